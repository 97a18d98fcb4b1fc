import { Cluster as IoredisCluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, type NodeProcess } from './cluster.ts';
import { encode, exchange, hasTool, run } from './tools.ts';

let cluster: Cluster;
let leader: NodeProcess;
let follower: NodeProcess;

beforeAll(async () => {
  cluster = await Cluster.start(3);
  leader = await cluster.leader();
  follower = await cluster.follower();
});
afterAll(async () => {
  await cluster.stop();
});

describe('ioredis', () => {
  test('a single connection to the leader', async () => {
    const client = new Redis(leader.port, '127.0.0.1');
    expect(await client.set('single', 'ä€\0')).toBe('OK');
    expect(await client.get('single')).toBe('ä€\0');
    expect(await client.incr('counter')).toBe(1);
    expect(await client.multi().set('m', '1').incr('m').get('m').exec()).toEqual([
      [null, 'OK'],
      [null, 2],
      [null, '2'],
    ]);
    expect(await client.pexpire('m', 100_000)).toBe(1);
    expect(await client.pttl('m')).toBeGreaterThan(0);
    client.disconnect();
  });

  test('a cluster client that knows any one node', async () => {
    for (const node of cluster.nodes) {
      const client = new IoredisCluster([{ host: '127.0.0.1', port: node.port }]);
      await client.set(`from ${node.id}`, node.id);
      expect(await client.get(`from ${node.id}`)).toBe(node.id);
      client.disconnect();
    }
  });

  test('WATCH makes a transaction fail when the key was changed by another', async () => {
    const [one, two] = [new Redis(leader.port), new Redis(leader.port)];
    await one.set('watched', 'a');
    await one.watch('watched');
    await two.set('watched', 'b');
    expect(await one.multi().set('watched', 'c').exec()).toBeNull();
    expect(await two.get('watched')).toBe('b');
    one.disconnect();
    two.disconnect();
  });
});

describe('node-redis', () => {
  test('a single connection to the leader', async () => {
    const client = await createClient({ url: `redis://127.0.0.1:${leader.port}` }).connect();
    expect(await client.set('node-redis', 'v', { condition: 'NX' })).toBe('OK');
    expect(await client.get('node-redis')).toBe('v');
    expect(await client.mGet(['node-redis', 'nothing'])).toEqual(['v', null]);
    client.destroy();
  });

  test('a cluster client that knows a follower only', async () => {
    const client = await createCluster({
      rootNodes: [{ url: `redis://127.0.0.1:${follower.port}` }],
    }).connect();
    await client.set('k', 'v');
    expect(await client.get('k')).toBe('v');
    client.destroy();
  });
});

test.skipIf(!hasTool('redis-cli'))('redis-cli -c follows the redirect of a follower', async () => {
  const cli = (...args: string[]): Promise<string> =>
    run('redis-cli', ['-c', '-p', `${follower.port}`, ...args]);
  expect((await cli('SET', 'cli', 'value')).trim()).toBe('OK');
  expect((await cli('GET', 'cli')).trim()).toBe('value');
});

test('a follower redirects to the leader with the slot of the key', async () => {
  const reply = `-MOVED 12182 127.0.0.1:${leader.port}\r\n`;
  expect(await exchange(follower.port, encode('GET', 'foo'), reply.length)).toBe(reply);
});

test.skipIf(!hasTool('nc'))('a person with nc', async () => {
  const script = `printf 'SET a 1\\r\\nGET a\\r\\nQUIT\\r\\n' | nc 127.0.0.1 ${leader.port}`;
  expect(await run('sh', ['-c', script])).toBe('+OK\r\n$1\r\n1\r\n+OK\r\n');
});

test('a pipelined burst of mixed commands keeps its order', async () => {
  const rounds = 300;
  let request = '';
  let expected = '';
  for (let round = 0; round < rounds; round += 1) {
    const value = `value ${round}`;
    request += encode('SET', 'burst', value) + encode('GET', 'burst') + encode('PING') + encode('NOSUCH');
    expected += `+OK\r\n$${value.length}\r\n${value}\r\n+PONG\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n`;
    request +=
      encode('MULTI') + encode('INCR', 'n') + encode('GET', 'burst') + encode('EXEC') + encode('ECHO', value);
    expected += `+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:${round + 1}\r\n$${value.length}\r\n${value}\r\n$${value.length}\r\n${value}\r\n`;
  }
  expect(await exchange(leader.port, request, expected.length)).toBe(expected);
});

test('a hundred clients at once', async () => {
  const clients = Array.from({ length: 100 }, () => new Redis(leader.port));
  await Promise.all(
    clients.map(async (client, at) => {
      for (let round = 0; round < 20; round += 1) await client.incrby('shared', at);
    }),
  );
  expect(await clients[0]!.get('shared')).toBe(String((20 * (99 * 100)) / 2));
  for (const client of clients) client.disconnect();
});
