import { Cluster as IoredisCluster, Redis } from 'ioredis';
import { createCluster } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster, until } from './cluster.ts';

/** Writes numbered keys one after the other, as many writers at once, until stopped; remembers what was acknowledged. */
class Writers {
  readonly acknowledged = new Map<string, string>();
  readonly unknown: string[] = [];
  readonly #client: IoredisCluster;
  #stopped = false;
  readonly #running: Promise<void>[];

  constructor(client: IoredisCluster, writers: number) {
    this.#client = client;
    this.#running = Array.from({ length: writers }, (_, writer) => this.#write(writer));
  }

  async #write(writer: number): Promise<void> {
    for (let count = 0; !this.#stopped; count += 1) {
      const key = `w${writer}:${count}`;
      try {
        if ((await this.#client.set(key, `${count}`)) === 'OK') this.acknowledged.set(key, `${count}`);
      } catch {
        this.unknown.push(key);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }
}

async function startCluster(args: readonly string[] = []): Promise<Cluster> {
  const cluster = await Cluster.start(3, args);
  onTestFinished(() => cluster.stop());
  return cluster;
}

function clusterClient(cluster: Cluster): IoredisCluster {
  const client = new IoredisCluster(
    cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    {
      redisOptions: { maxRetriesPerRequest: null },
      clusterRetryStrategy: () => 50,
      retryDelayOnClusterDown: 50,
      retryDelayOnFailover: 50,
      maxRedirections: 200,
    },
  );
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

async function expectAll(client: IoredisCluster, written: ReadonlyMap<string, string>): Promise<void> {
  const keys = [...written.keys()];
  for (let at = 0; at < keys.length; at += 500) {
    const some = keys.slice(at, at + 500);
    expect(await client.mget(some)).toEqual(some.map((key) => written.get(key)));
  }
}

test('kill -9 of the leader under load loses no acknowledged write, and a new leader serves', async () => {
  const cluster = await startCluster();
  const client = clusterClient(cluster);
  const writers = new Writers(client, 16);
  for (let round = 0; round < 3; round += 1) {
    const before = writers.acknowledged.size;
    await until('writes to be acknowledged', () => writers.acknowledged.size > before + 300);
    const leader = await cluster.leader();
    await cluster.kill(leader, 'SIGKILL');
    const atKill = writers.acknowledged.size;
    const next = await cluster.leader();
    expect(next).not.toBe(leader);
    await until('the new leader to acknowledge writes', () => writers.acknowledged.size > atKill + 300);
    await cluster.launch(leader);
  }
  await writers.stop();
  expect(writers.acknowledged.size).toBeGreaterThan(1000);
  await expectAll(client, writers.acknowledged);
});

test('all nodes killed at once come back with every acknowledged write', async () => {
  const cluster = await startCluster(['--snapshot-entries', '200']);
  const client = clusterClient(cluster);
  const writers = new Writers(client, 16);
  await until('writes', () => writers.acknowledged.size > 3000);
  await Promise.all(cluster.nodes.map((node) => cluster.kill(node, 'SIGKILL')));
  const acknowledged = new Map(writers.acknowledged);
  await Promise.all(cluster.nodes.map((node) => cluster.launch(node)));
  await cluster.leader();
  await writers.stop();
  await expectAll(client, acknowledged);
});

test('a node that was away for long gets a snapshot, catches up, and can lead', async () => {
  const cluster = await startCluster(['--snapshot-entries', '100']);
  const leader = await cluster.leader();
  const [away, other] = cluster.nodes.filter((node) => node !== leader);
  await cluster.kill(away!, 'SIGKILL');
  const client = new Redis(leader.port);
  for (let count = 0; count < 500; count += 1) await client.set(`{k}${count}`, 'x'.repeat(1000));
  await until('the log to be compacted', async () => ((await cluster.status(leader))?.firstIndex ?? 0) > 100);
  await cluster.launch(away!);
  await cluster.converged();
  expect(cluster.logOf(away!)).toContain('snapshot restored');
  client.disconnect();
  // Only what the returned node holds can now be what a majority agrees on: take the other follower away.
  await cluster.kill(other!, 'SIGKILL');
  await cluster.kill(leader, 'SIGTERM');
  await cluster.launch(other!);
  // Whoever led while the others were gone may have to be elected again.
  let values: (string | null)[] = [];
  await until('reads', async () => {
    const next = new Redis((await cluster.leader()).port);
    try {
      values = await next.mget(Array.from({ length: 10 }, (_, at) => `{k}${at * 50}`));
      return true;
    } catch {
      return false;
    } finally {
      next.disconnect();
    }
  });
  expect(values).toEqual(Array.from({ length: 10 }, () => 'x'.repeat(1000)));
});

test('SIGTERM hands leadership over and ends with exit code 0', async () => {
  const cluster = await startCluster();
  const leader = await cluster.leader();
  expect(await cluster.kill(leader, 'SIGTERM')).toBe(0);
  expect(cluster.logOf(leader)).toContain('leadership handed over');
  expect(await cluster.leader()).not.toBe(leader);
});

test('busy clients are redirected before a node that handed over closes their connections', async () => {
  const cluster = await startCluster();
  const leader = await cluster.leader();
  const client = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${leader.port}` }] });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.destroy());
  let written = 0;
  const stop = new AbortController();
  const refusals: string[] = [];
  const writing = (async () => {
    while (!stop.signal.aborted) {
      try {
        await client.incr('n');
        written += 1;
      } catch (error) {
        refusals.push(String(error));
      }
    }
  })();
  await until('writes', () => written > 100);
  await cluster.kill(leader, 'SIGTERM');
  const before = written;
  await until('more writes', () => written > before + 100);
  stop.abort();
  await writing;
  for (const refusal of refusals) expect(refusal).toMatch(/^Error: (CLUSTERDOWN|UNKNOWN)/);
  expect(Number(await client.get('n'))).toBeGreaterThanOrEqual(written);
});

test('without a majority a write gets a bounded answer, and the node serves again when it is back', async () => {
  const cluster = await startCluster();
  const leader = await cluster.leader();
  const others = cluster.nodes.filter((node) => node !== leader);
  const client = new Redis(leader.port);
  await client.set('a', '1');
  await Promise.all(others.map((node) => cluster.kill(node, 'SIGKILL')));
  await expect(client.set('a', '2')).rejects.toThrow(/^(UNKNOWN|CLUSTERDOWN)/);
  await until('the lone node to refuse', async () => (await cluster.status(leader))?.role !== 'leader');
  await expect(client.get('a')).rejects.toThrow(/^CLUSTERDOWN/);
  await Promise.all(others.map((node) => cluster.launch(node)));
  const next = new Redis((await cluster.leader()).port);
  expect(['1', '2']).toContain(await next.get('a'));
  client.disconnect();
  next.disconnect();
});

test('a single node keeps everything over kill -9 and over SIGTERM', async () => {
  const cluster = await Cluster.start(1, ['--snapshot-entries', '50']);
  onTestFinished(() => cluster.stop());
  const node = cluster.nodes[0]!;
  let count = 0;
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    const client = new Redis(node.port);
    for (let more = 0; more < 100; more += 1) await client.set(`k${count++}`, 'v');
    client.disconnect();
    await cluster.kill(node, signal);
    await cluster.launch(node);
    await cluster.leader();
  }
  const client = new Redis(node.port);
  expect(await client.dbsize()).toBe(count);
  client.disconnect();
});
