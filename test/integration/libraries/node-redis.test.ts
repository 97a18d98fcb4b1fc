/**
 * node-redis, which speaks RESP3 unless told otherwise: a plain client of one node, which passes everything on to the
 * leader, and a cluster client that follows redirects.
 */
import {
  BasicClientSideCache,
  type CommandParser,
  createClient,
  createCluster,
  defineScript,
  RESP_TYPES,
} from 'redis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster } from '../cluster.ts';
import { countThroughFailover } from './counting.ts';

const reconnectStrategy = (): number => 50;

// The types of a client carry those of all its modules and options: they are best left to inference.
// oxlint-disable-next-line typescript/explicit-function-return-type
async function plainClient(port: number, RESP: 2 | 3) {
  const client = createClient({ socket: { port, reconnectStrategy }, RESP });
  client.on('error', () => {});
  onTestFinished(() => client.destroy());
  return client.connect();
}

describe('a plain client of a follower that forwards', () => {
  let cluster: Cluster;
  let port: number;

  beforeAll(async () => {
    cluster = await Cluster.start(3, ['--proxy']);
    ({ port } = await cluster.follower());
  });
  afterAll(() => cluster.stop());

  describe.each([2, 3] as const)('RESP%i', (RESP) => {
    beforeAll(async () => {
      const client = await createClient({ socket: { port } }).connect();
      await client.flushAll();
      client.destroy();
    });

    test('a profile, a basket and a ranking', async () => {
      const redis = await plainClient(port, RESP);
      await redis.hSet('user:1', { name: 'Zoë', city: 'Łódź' });
      expect(await redis.hIncrBy('user:1', 'visits', 2)).toBe(2);
      expect({ ...(await redis.hGetAll('user:1')) }).toEqual({ name: 'Zoë', city: 'Łódź', visits: '2' });
      const picture = Buffer.from([0, 255, 13, 10, 128]);
      await redis.set('picture', picture, { expiration: { type: 'EX', value: 100 } });
      const buffers = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      expect(await buffers.get('picture')).toEqual(picture);
      await redis.rPush('basket', ['tea', 'bread', 'milk']);
      expect(await redis.lRange('basket', 1, -1)).toEqual(['bread', 'milk']);
      await redis.zAdd('ranking', [
        { value: 'ann', score: 10.5 },
        { value: 'bob', score: Infinity },
      ]);
      expect(await redis.zRangeWithScores('ranking', 0, -1)).toEqual([
        { value: 'ann', score: 10.5 },
        { value: 'bob', score: Infinity },
      ]);
      await redis.sAdd('tags', ['a', 'b']);
      expect(await redis.sIsMember('tags', 'a')).toBe(1);
    });

    test('a transaction, one that fails as a whole, and optimistic locking', async () => {
      const [redis, other] = [await plainClient(port, RESP), await plainClient(port, RESP)];
      expect(await redis.multi().incr('n').incr('n').get('n').exec()).toEqual([1, 2, '2']);
      await redis.watch('n');
      await other.incr('n');
      await expect(redis.multi().incr('n').exec()).rejects.toThrow('One (or more) of the watched keys');
      const wrong = redis.multi().set('text', 'x').incr('text').get('text').exec();
      await expect(wrong).rejects.toMatchObject({ errorIndexes: [1] });
      expect(await redis.get('n')).toBe('3');
    });

    test('scripts and functions', async () => {
      const script = defineScript({
        SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)",
        NUMBER_OF_KEYS: 1,
        parseCommand(parser: CommandParser, key: string, by: number) {
          parser.pushKey(key);
          parser.push(String(by));
        },
        transformReply: (reply: unknown) => reply as number,
      });
      const client = createClient({ socket: { port }, RESP, scripts: { addTwice: script } });
      onTestFinished(() => client.destroy());
      await client.connect();
      expect(await client.addTwice('twice', 4)).toBe(8);
      expect(await client.addTwice('twice', 1)).toBe(10);
      const library =
        "#!lua name=shop\nredis.register_function('stock', function(keys) return redis.call('GET', keys[1]) end)";
      await client.functionLoad(library, { REPLACE: true });
      expect(await client.fCall('stock', { keys: ['twice'], arguments: [] })).toBe('10');
      expect(await client.functionList()).toMatchObject([{ library_name: 'shop' }]);
    });

    test('everything that a scan finds', async () => {
      const redis = await plainClient(port, RESP);
      await Promise.all(Array.from({ length: 500 }, (_, at) => redis.set(`scanned ${at}`, 'x')));
      const found = new Set<string>();
      for await (const keys of redis.scanIterator({ MATCH: 'scanned *', COUNT: 100 }))
        for (const key of keys) found.add(key);
      expect(found.size).toBe(500);
    });

    test('news by channel, pattern and shard', async () => {
      const [subscriber, publisher] = [await plainClient(port, RESP), await plainClient(port, RESP)];
      const heard: string[] = [];
      const listener = (message: string, channel: string): number => heard.push(`${channel} ${message}`);
      await subscriber.subscribe(['news', 'weather'], listener);
      await subscriber.pSubscribe('w*', listener);
      await subscriber.sSubscribe('shard', listener);
      await publisher.publish('news', 'one');
      await publisher.publish('weather', 'rain');
      await publisher.sPublish('shard', 'two');
      await expect.poll(() => heard).toEqual(['news one', 'weather rain', 'weather rain', 'shard two']);
      await subscriber.unsubscribe('news');
      await publisher.publish('news', 'unheard');
      await publisher.publish('weather', 'sun');
      await expect.poll(() => heard.slice(4)).toEqual(['weather sun', 'weather sun']);
    });

    test('a worker that waits for work, and a group of readers', async () => {
      const [worker, producer] = [await plainClient(port, RESP), await plainClient(port, RESP)];
      const work = worker.blPop(['urgent', 'usual'], 0);
      await producer.rPush('usual', 'sweep');
      expect(await work).toEqual({ key: 'usual', element: 'sweep' });
      await producer.xGroupCreate('orders', 'shop', '$', { MKSTREAM: true });
      const stream = { key: 'orders', id: '>' };
      const waiting = worker.xReadGroup('shop', 'ann', stream, { BLOCK: 0 });
      const id = await producer.xAdd('orders', '*', { item: 'tea' });
      expect(JSON.parse(JSON.stringify(await waiting))).toMatchObject([
        { name: 'orders', messages: [{ id, message: { item: 'tea' } }] },
      ]);
      expect(await producer.xAck('orders', 'shop', id)).toBe(1);
      expect(await producer.xPending('orders', 'shop')).toMatchObject({ pending: 0 });
    });
  });

  test('what the client keeps for itself is void when somebody changes it through another node', async () => {
    const cache = new BasicClientSideCache();
    const reader = createClient({ socket: { port }, RESP: 3, clientSideCache: cache });
    onTestFinished(() => reader.destroy());
    await reader.connect();
    const writer = await plainClient((await cluster.leader()).port, 3);
    await writer.set('price', 1);
    for (let round = 0; round < 10; round += 1) expect(await reader.get('price')).toBe('1');
    // Its node may have come to the first price only after the leader had answered with it: then one more was asked for.
    expect(cache.stats().hitCount).toBeGreaterThanOrEqual(8);
    await writer.set('price', 2);
    await expect.poll(() => reader.get('price')).toBe('2');
    await writer.flushAll();
    await expect.poll(() => reader.get('price')).toBeNull();
  });

  test('counting goes on when the leader is killed, and nothing acknowledged is lost', async () => {
    await countThroughFailover(cluster, await plainClient(port, 3), { sendsAgain: false });
  });
});

describe('a cluster client', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(3);
  });
  afterAll(() => cluster.stop());

  // oxlint-disable-next-line typescript/explicit-function-return-type
  async function clusterClient() {
    const client = createCluster({
      rootNodes: cluster.nodes.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` })),
      useReplicas: true,
      topologyRefreshOnReconnectionAttemptStrategy: 100,
      defaults: { socket: { reconnectStrategy } },
    });
    client.on('error', () => {});
    onTestFinished(() => client.destroy());
    return client.connect();
  }

  test('keys, transactions and scans; reads on all nodes see what was written', async () => {
    const redis = await clusterClient();
    for (let at = 0; at < 50; at += 1) {
      await redis.set(`{k}${at}`, at);
      expect(await redis.get(`{k}${at}`)).toBe(String(at));
    }
    expect(await redis.mGet(['{k}1', '{k}2'])).toEqual(['1', '2']);
    expect(await redis.multi().incr('{n}').incr('{n}').exec()).toEqual([1, 2]);
    const found = new Set<string>();
    for (const master of redis.masters) {
      const node = await redis.nodeClient(master);
      for await (const keys of node.scanIterator({ MATCH: '{k}*' })) for (const key of keys) found.add(key);
    }
    expect(found.size).toBe(50);
  });

  test('news, also by shard', async () => {
    const [subscriber, publisher] = [await clusterClient(), await clusterClient()];
    const heard: string[] = [];
    const listener = (message: string, channel: string): number => heard.push(`${channel} ${message}`);
    await subscriber.subscribe('news', listener);
    await subscriber.pSubscribe('w*', listener);
    await subscriber.sSubscribe('shard', listener);
    await publisher.publish('news', 'one');
    await publisher.publish('weather', 'rain');
    await publisher.sPublish('shard', 'two');
    await expect.poll(() => heard.sort()).toEqual(['news one', 'shard two', 'weather rain']);
  });

  test('counting goes on when the leader is killed, and nothing acknowledged is lost', async () => {
    await countThroughFailover(cluster, await clusterClient(), { sendsAgain: false });
  });
});
