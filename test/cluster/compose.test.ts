/** The compose file as the README tells people to use it: up, written to through whichever node, down. */
import { Cluster as IoredisCluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { hasTool, run } from '../integration/tools.ts';
import { statusOf } from './machines.ts';
import { compose } from './setup.ts';

/** As published by the compose file. */
const NODES = [1, 2, 3].map((at) => ({ id: `n${at}`, port: 6380 + at, httpPort: 7380 + at }));
const PASSWORD = 'kvorum-dev';

describe.skipIf(inject('machines') === 'processes')('docker compose', () => {
  let follower: (typeof NODES)[number];

  beforeAll(async () => {
    compose('up', '--build', '--wait');
    const all = await Promise.all(NODES.map((node) => statusOf(node)));
    follower = NODES[all.findIndex((status) => status?.role === 'follower')]!;
  });
  afterAll(() => {
    compose('down', '--volumes');
  });

  test('a follower names the leader at an address that works from here', async () => {
    const client = new Redis(follower.port, { password: PASSWORD });
    await expect(client.set('greeting', 'hello')).rejects.toThrow(/^MOVED \d+ 127\.0\.0\.1:638[123]$/);
    client.disconnect();
  });

  test('a cluster client that knows a follower only writes and reads', async () => {
    const client = new IoredisCluster([{ host: '127.0.0.1', port: follower.port }], {
      redisOptions: { password: PASSWORD },
    });
    expect(await client.set('greeting', 'hello')).toBe('OK');
    expect(await client.get('greeting')).toBe('hello');
    client.disconnect();
  });

  test.skipIf(!hasTool('redis-cli'))('redis-cli -c at a follower', async () => {
    const cli = ['-c', '-p', `${follower.port}`, '-a', PASSWORD, '--no-auth-warning'];
    expect(await run('redis-cli', [...cli, 'INCR', 'visits'])).toBe('1\n');
    expect(await run('redis-cli', [...cli, 'GET', 'visits'])).toBe('1\n');
  });

  test('status, asked inside one container, shows all three', () => {
    const table = compose('exec', '-T', 'n1', 'node', 'dist/cli/main.js', 'status');
    expect(table.match(/^n[123] +(leader|follower) .* ok$/gm)).toHaveLength(3);
  });

  test('what was written is still there after a restart of everything', async () => {
    compose('restart');
    compose('up', '--wait');
    const client = new IoredisCluster([{ host: '127.0.0.1', port: follower.port }], {
      redisOptions: { password: PASSWORD },
      clusterRetryStrategy: () => 50,
    });
    client.on('error', () => undefined);
    expect(await client.get('greeting')).toBe('hello');
    client.disconnect();
  });
});
