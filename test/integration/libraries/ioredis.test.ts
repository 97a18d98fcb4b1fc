/**
 * ioredis, as applications use it: a plain client that knows one node, which passes everything on to the leader, and a
 * cluster client that follows redirects. Both do the same things and outlive the leader.
 */
import { Cluster as ClusterClient, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster } from '../cluster.ts';
import { countThroughFailover } from './counting.ts';

/** How an application reaches a cluster of three: what both kinds of client can do. */
interface Way {
  readonly name: string;
  readonly args: readonly string[];
  readonly connect: (cluster: Cluster) => Promise<Redis | ClusterClient>;
}

const ways: readonly Way[] = [
  {
    name: 'a plain client of a follower that forwards',
    args: ['--proxy'],
    async connect(cluster) {
      const { port } = await cluster.follower();
      return new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
    },
  },
  {
    name: 'a cluster client',
    args: [],
    async connect(cluster) {
      const { port } = await cluster.follower();
      return new ClusterClient([{ host: '127.0.0.1', port }], {
        clusterRetryStrategy: () => 50,
        retryDelayOnClusterDown: 50,
        maxRedirections: 100,
      });
    },
  },
];

describe.each(ways)('$name', ({ args, connect }) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(3, args);
  });
  afterAll(() => cluster.stop());

  /** A client of its own, as a service has for each purpose. */
  async function client(): Promise<Redis | ClusterClient> {
    const redis = await connect(cluster);
    onTestFinished(() => redis.disconnect());
    return redis;
  }

  test('a profile, a basket and a ranking', async () => {
    const redis = await client();
    await redis.hset('user:1', { name: 'Zoë', city: 'Łódź' });
    await redis.hincrby('user:1', 'visits', 2);
    expect(await redis.hgetall('user:1')).toEqual({ name: 'Zoë', city: 'Łódź', visits: '2' });
    const picture = Buffer.from([0, 255, 13, 10, 128]);
    await redis.set('picture', picture, 'EX', 100);
    expect(await redis.getBuffer('picture')).toEqual(picture);
    expect(await redis.ttl('picture')).toBeGreaterThan(0);
    await redis.rpush('basket', 'tea', 'bread', 'milk');
    await redis.lrem('basket', 1, 'bread');
    expect(await redis.lrange('basket', 0, -1)).toEqual(['tea', 'milk']);
    await redis.zadd('ranking', 10, 'ann', 30, 'bob', 20, 'cy');
    expect(await redis.zrevrange('ranking', 0, 1, 'WITHSCORES')).toEqual(['bob', '30', 'cy', '20']);
    expect(await redis.zrank('ranking', 'cy')).toBe(1);
    await redis.sadd('tags', 'a', 'b');
    expect(await redis.smismember('tags', 'a', 'c')).toEqual([1, 0]);
  });

  test('a pipeline whose commands fail one by one, and a transaction that fails as a whole', async () => {
    const redis = await client();
    const replies = await redis.pipeline().set('{p}text', 'x').incr('{p}text').append('{p}text', 'y').exec();
    expect(replies?.map(([error, reply]) => error?.message ?? reply)).toEqual([
      'OK',
      'ERR value is not an integer or out of range',
      2,
    ]);
    expect(await redis.multi().incr('{p}n').incr('{p}n').get('{p}n').exec()).toEqual([
      [null, 1],
      [null, 2],
      [null, '2'],
    ]);
    await expect(redis.multi().incr('{p}n').call('SET', ['{p}n']).exec()).rejects.toThrow('EXECABORT');
    expect(await redis.get('{p}n')).toBe('2');
  });

  test('everything that a scan finds', async () => {
    const redis = await client();
    const pipeline = redis.pipeline();
    for (let at = 0; at < 500; at += 1) pipeline.set(`{scanned}${at}`, at);
    await pipeline.exec();
    const found = new Set<string>();
    // A cluster client scans node by node.
    const nodes = redis instanceof ClusterClient ? redis.nodes('master') : [redis];
    for (const node of nodes)
      for await (const keys of node.scanStream({ match: '{scanned}*', count: 100 }))
        for (const key of keys as string[]) found.add(key);
    expect(found.size).toBe(500);
  });

  test('news by channel and by pattern', async () => {
    const [subscriber, publisher] = [await client(), await client()];
    const heard: string[] = [];
    subscriber.on('message', (channel, message) => heard.push(`${channel} ${message}`));
    subscriber.on('pmessage', (pattern, channel, message) => heard.push(`${pattern} ${channel} ${message}`));
    expect(await subscriber.subscribe('news', 'weather')).toBe(2);
    await subscriber.psubscribe('w*');
    await publisher.publish('news', 'one');
    await publisher.publish('weather', 'rain');
    await expect.poll(() => heard).toEqual(['news one', 'weather rain', 'w* weather rain']);
    await subscriber.unsubscribe('news');
  });

  test('a worker that waits for work', async () => {
    const [worker, producer] = [await client(), await client()];
    const work = worker.blpop('urgent{q}', 'usual{q}', 0);
    await producer.rpush('usual{q}', 'sweep');
    expect(await work).toEqual(['usual{q}', 'sweep']);
    const moved = worker.blmove('todo{q}', 'doing{q}', 'LEFT', 'RIGHT', 0);
    await producer.rpush('todo{q}', 'cook');
    expect(await moved).toBe('cook');
    expect(await producer.lrange('doing{q}', 0, -1)).toEqual(['cook']);
    expect(await worker.blpop('nothing{q}', 0.05)).toBeNull();
  });

  test('a stream, its group of consumers, and the work of one that went away', async () => {
    const [redis, late] = [await client(), await client()];
    await redis.xgroup('CREATE', 'orders', 'shop', '$', 'MKSTREAM');
    const waiting = late.xreadgroup('GROUP', 'shop', 'bob', 'BLOCK', 0, 'STREAMS', 'orders', '>');
    const first = await redis.xadd('orders', '*', 'item', 'tea');
    expect(await waiting).toEqual([['orders', [[first, ['item', 'tea']]]]]);
    const second = await redis.xadd('orders', '*', 'item', 'milk');
    await redis.xreadgroup('GROUP', 'shop', 'ann', 'COUNT', 1, 'STREAMS', 'orders', '>');
    expect(await redis.xack('orders', 'shop', first!)).toBe(1);
    expect(await redis.xpending('orders', 'shop')).toEqual([1, second, second, [['ann', '1']]]);
    const [, claimed] = (await redis.xautoclaim('orders', 'shop', 'bob', 0, '0')) as [string, unknown[]];
    expect(claimed).toEqual([[second, ['item', 'milk']]]);
  });

  test('a command of its own, in Lua, also where the node has never heard of it', async () => {
    const redis = (await client()) as (Redis | ClusterClient) & {
      transfer(from: string, to: string, amount: number): Promise<[string, string] | null>;
    };
    redis.defineCommand('transfer', {
      numberOfKeys: 2,
      lua: `if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then return false end
            redis.call('DECRBY', KEYS[1], ARGV[1])
            redis.call('INCRBY', KEYS[2], ARGV[1])
            return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}`,
    });
    await redis.set('{bank}ann', 100);
    expect(await redis.transfer('{bank}ann', '{bank}bob', 70)).toEqual(['30', '70']);
    expect(await redis.transfer('{bank}ann', '{bank}bob', 70)).toBeNull();
    await redis.script('FLUSH');
    expect(await redis.transfer('{bank}ann', '{bank}bob', 30)).toEqual(['0', '100']);
  });

  test('optimistic locking: of two who watch, one wins', async () => {
    // Transactions of a cluster client run on the connection that the key leads to.
    const redis = await client();
    await redis.set('stock', 1);
    const port = redis instanceof ClusterClient ? (await cluster.leader()).port : redis.options.port;
    const [one, other] = [new Redis(port!), new Redis(port!)];
    onTestFinished(() => [one, other].forEach((each) => each.disconnect()));
    await Promise.all([one.watch('stock'), other.watch('stock')]);
    const outcomes = [await one.multi().decr('stock').exec(), await other.multi().decr('stock').exec()];
    expect(outcomes).toEqual([[[null, 0]], null]);
    expect(await redis.get('stock')).toBe('0');
  });

  test('counting goes on when the leader is killed, and nothing acknowledged is lost', async () => {
    const redis = await client();
    redis.on('error', () => {});
    await countThroughFailover(cluster, redis, { sendsAgain: redis instanceof ClusterClient });
  });
});
