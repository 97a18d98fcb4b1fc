/** Copies that clients keep: real client libraries, whatever node they are connected to, are told when a key changes. */
import { Redis } from 'ioredis';
import { BasicClientSideCache, createClient } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster } from './cluster.ts';

async function cachingClient(port: number) {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU', recordStats: true });
  const client = createClient({
    socket: { host: '127.0.0.1', port },
    RESP: 3,
    clientSideCache: cache,
  });
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => client.destroy());
  return { client, cache };
}

test.each([
  { name: 'redirects', args: ['--follower-reads'] },
  { name: 'proxy', args: ['--proxy'] },
])('node-redis keeps what it reads from any node, until it changes: $name', async ({ args }) => {
  const cluster = await Cluster.start(3, args);
  onTestFinished(() => cluster.stop());
  const leader = await cluster.leader();
  const writer = createClient({ socket: { host: '127.0.0.1', port: leader.port } });
  await writer.connect();
  onTestFinished(() => writer.destroy());
  for (const { port } of cluster.nodes) {
    const { client, cache } = await cachingClient(port);
    for (let round = 0; round < 5; round += 1) {
      await writer.set('key', `${port} ${round}`);
      // Only the invalidation can end the life of the copy.
      await expect.poll(() => client.get('key'), { interval: 1 }).toBe(`${port} ${round}`);
      const hits = cache.stats().hitCount;
      await expect
        .poll(async () => (await client.get('key')) !== null && cache.stats().hitCount > hits, {
          interval: 1,
        })
        .toBe(true);
    }
    await writer.del('key');
    await expect.poll(() => client.get('key'), { interval: 1 }).toBe(null);
    await writer.flushAll();
  }
});

test('ioredis, over RESP2, hears of changes on a second connection', async () => {
  const cluster = await Cluster.start(1);
  onTestFinished(() => cluster.stop());
  const port = cluster.nodes[0]?.port ?? 0;
  const connect = (): Redis => {
    const redis = new Redis(port, '127.0.0.1', { protocol: 2 });
    onTestFinished(() => redis.disconnect());
    return redis;
  };
  const [reader, listener, writer] = [connect(), connect(), connect()];
  const heard: unknown[] = [];
  listener.on('message', (channel, keys) => heard.push([channel, keys]));
  const id = await listener.client('ID');
  await listener.subscribe('__redis__:invalidate');
  await reader.client('TRACKING', 'ON', 'REDIRECT', id);
  await reader.mget('a', 'b');
  await writer.set('a', '1');
  await writer.set('c', '1');
  await writer.flushall();
  await expect.poll(() => heard.length).toBe(2);
  expect(heard).toEqual([
    ['__redis__:invalidate', 'a'],
    ['__redis__:invalidate', ''],
  ]);
});
