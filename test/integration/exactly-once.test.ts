/** Writes under sessions and through proxies while leaders are killed: how often each of them was run. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { ExactlyOnce } from '../../examples/exactly-once.ts';
import { Cluster, type NodeProcess, until } from './cluster.ts';

async function startCluster(args: readonly string[]): Promise<Cluster> {
  const cluster = await Cluster.start(3, args);
  onTestFinished(() => cluster.stop());
  return cluster;
}

/** Kills the leader with -9, waits for the next one, and starts the killed node again. */
async function replaceLeader(cluster: Cluster): Promise<void> {
  const leader = await cluster.leader();
  await cluster.kill(leader, 'SIGKILL');
  await cluster.leader();
  await cluster.launch(leader);
}

async function valueOf(node: NodeProcess, key: string): Promise<string | null> {
  const client = new Redis(node.port);
  try {
    return await client.get(key);
  } finally {
    client.disconnect();
  }
}

test('INCR under sessions is run exactly once, while leaders are killed and snapshots are taken and installed', async () => {
  const cluster = await startCluster(['--snapshot-entries', '50']);
  const addresses = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  const clients = await Promise.all(Array.from({ length: 16 }, () => ExactlyOnce.open(addresses)));
  onTestFinished(() => clients.forEach((client) => client.close()));
  const answers: unknown[] = [];
  const stop = new AbortController();
  const running = clients.map(async (client) => {
    while (!stop.signal.aborted) answers.push(await client.write('INCR', 'counter'));
  });
  for (let round = 0; round < 4; round += 1) {
    const before = answers.length;
    await until('answers', () => answers.length > before + 300);
    await replaceLeader(cluster);
  }
  stop.abort();
  await Promise.all(running);
  expect(clients.reduce((sum, { repetitions }) => sum + repetitions, 0)).toBeGreaterThan(0);
  expect(await valueOf(await cluster.leader(), 'counter')).toBe(String(answers.length));
  // Each answer is that of its own run: no two writes were given the same one.
  expect(new Set(answers).size).toBe(answers.length);
});

test('a plain client of a follower with --proxy keeps every acknowledged write when the leader is killed', async () => {
  const cluster = await startCluster(['--proxy']);
  const leader = await cluster.leader();
  const follower = await cluster.follower();
  const acknowledged: string[] = [];
  const failures = new Map<string, string>();
  let increments = 0;
  const stop = new AbortController();
  const clients = Array.from({ length: 8 }, () => new Redis(follower.port));
  onTestFinished(() => clients.forEach((client) => client.disconnect()));
  const running = clients.map(async (client, writer) => {
    for (let count = 0; !stop.signal.aborted; count += 1) {
      const key = `w${writer}:${count}`;
      try {
        expect(await client.set(key, key)).toBe('OK');
        acknowledged.push(key);
        increments += 1;
        await client.incr('counter');
        // What a client has written it finds, through the same node.
        expect(await client.get(key)).toBe(key);
      } catch (error) {
        failures.set(key, String(error));
      }
    }
  });
  await until('writes through the proxy', () => acknowledged.length > 300);
  await cluster.kill(leader, 'SIGKILL');
  const before = acknowledged.length;
  await until('writes after the failover', () => acknowledged.length > before + 300);
  stop.abort();
  await Promise.all(running);
  const reader = new Redis((await cluster.leader()).port);
  onTestFinished(() => reader.disconnect());
  for (let at = 0; at < acknowledged.length; at += 500) {
    const keys = acknowledged.slice(at, at + 500);
    expect(await reader.mget(keys)).toEqual(keys);
  }
  // Nothing was sent to the next leader again that the old one may have run.
  expect(Number(await reader.get('counter'))).toBeLessThanOrEqual(increments);
  expect(Number(await reader.get('counter'))).toBeGreaterThanOrEqual(increments - failures.size);
  // At most what was on its way to the leader can be unknown. All else that failed was certainly not run.
  const unknown = [...failures.values()].filter((failure) => failure.includes('UNKNOWN'));
  expect(unknown.length).toBeLessThanOrEqual(clients.length);
  for (const failure of failures.values()) expect(failure).toMatch(/UNKNOWN|CLUSTERDOWN/);
});

test('transactions, WATCH and pipelines work through a proxy', async () => {
  const cluster = await startCluster(['--proxy']);
  const follower = await cluster.follower();
  const [one, two] = [new Redis(follower.port), new Redis((await cluster.leader()).port)];
  onTestFinished(() => [one, two].forEach((client) => client.disconnect()));
  expect(await one.multi().set('m', '1').incr('m').get('m').exec()).toEqual([
    [null, 'OK'],
    [null, 2],
    [null, '2'],
  ]);
  await one.set('watched', 'a');
  await one.watch('watched');
  await two.set('watched', 'b');
  expect(await one.multi().set('watched', 'c').exec()).toBeNull();
  await one.watch('watched');
  expect(await one.multi().set('watched', 'c').exec()).toEqual([[null, 'OK']]);
  const pipeline = one.pipeline();
  for (let at = 0; at < 1000; at += 1) pipeline.incr('piped').get('piped').ping().call('NOSUCH');
  const results = (await pipeline.exec())!;
  for (let at = 0; at < 1000; at += 1) {
    expect(results[4 * at]).toEqual([null, at + 1]);
    expect(results[4 * at + 1]).toEqual([null, String(at + 1)]);
    expect(results[4 * at + 2]).toEqual([null, 'PONG']);
    expect(String(results[4 * at + 3]![0])).toContain('unknown command');
  }
});
