/** Keyv with @keyv/redis: a cache of anything that JSON can hold, with deadlines and namespaces. */
import KeyvRedis, { Keyv } from '@keyv/redis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster } from '../cluster.ts';

const TTL_MS = 50;
const LONG_MS = 3_600_000;
const PATIENCE_MS = 20_000;

const ways = [
  { name: 'a node that forwards', args: ['--proxy'], clustered: false },
  { name: 'a cluster client', args: [], clustered: true },
] as const;

describe.each(ways)('$name', ({ args, clustered }) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(3, args);
  });
  afterAll(() => cluster.stop());

  async function cacheOf(namespace: string): Promise<Keyv> {
    const url = `redis://127.0.0.1:${(await cluster.follower()).port}`;
    const store = new KeyvRedis(clustered ? { rootNodes: [{ url }] } : url);
    const cache = new Keyv(store, { namespace, useKeyPrefix: false, throwOnErrors: true });
    cache.on('error', () => {});
    onTestFinished(() => cache.disconnect());
    // Keyv connects when it is first used, and several first uses at once get in each other's way in its cluster client.
    await cache.get('nothing');
    return cache;
  }

  test('values of all kinds, one by one and many at once', async () => {
    const cache = await cacheOf('kinds');
    const value = { text: 'Zoë', list: [1, 2.5, null], nested: { yes: true } };
    expect(await cache.set('object', value)).toBe(true);
    expect(await cache.get('object')).toEqual(value);
    const many = Array.from({ length: 100 }, (_, at) => ({ key: `key ${at}`, value: at }));
    await cache.setMany(many);
    expect(await cache.getMany(['key 0', 'key 99', 'key 100'])).toEqual([0, 99, undefined]);
    expect(await cache.has('key 5')).toBe(true);
    expect(await cache.delete(['key 5', 'key 6'])).toBe(true);
    expect(await cache.has('key 5')).toBe(false);
  });

  test('what is over its deadline is gone', async () => {
    const cache = await cacheOf('deadlines');
    await cache.set('short', 1, TTL_MS);
    await cache.set('long', 1, LONG_MS);
    await expect.poll(() => cache.get('short')).toBeUndefined();
    expect(await cache.get('long')).toBe(1);
  });

  test('clearing one namespace leaves the other', async () => {
    const [cache, other] = [await cacheOf('one'), await cacheOf('other')];
    await Promise.all(Array.from({ length: 50 }, (_, at) => cache.set(`key ${at}`, at)));
    await other.set('key 1', 'stays');
    const store = cache.store as KeyvRedis<unknown>;
    const keys: string[] = [];
    for await (const [key] of store.iterator('one')) keys.push(key);
    expect(new Set(keys).size).toBe(50);
    await cache.clear();
    expect(await cache.get('key 1')).toBeUndefined();
    expect(await other.get('key 1')).toBe('stays');
  });

  test('what was cached before the leader was killed is there afterwards', async () => {
    const cache = await cacheOf('lasting');
    await cache.set('answer', 42, LONG_MS);
    const killed = await cluster.leader();
    await cluster.kill(killed);
    // Its cluster client waits for the node that it knows as the master, and learns from that one when it is back.
    if (clustered) await cluster.launch(killed);
    await expect.poll(() => cache.get('answer').catch(String), { timeout: PATIENCE_MS }).toBe(42);
    if (!clustered) await cluster.launch(killed);
  });
});
