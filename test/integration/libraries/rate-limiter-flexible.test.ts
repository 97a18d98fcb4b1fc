/** rate-limiter-flexible: three web servers, each on a node of its own, allow together exactly what is allowed. */
import { Cluster as ClusterClient, Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Cluster } from '../cluster.ts';

/** Long enough that no limit ends during a test. */
const DURATION_S = 3600;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start(3, ['--proxy']);
});
afterAll(() => cluster.stop());

function plainClient(port: number): Redis {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

interface Outcome {
  readonly allowed: number;
  readonly refused: number;
  readonly failed: number;
}

/** Everybody consumes so many points of one key, one by one, all at once. */
async function consume(limiters: readonly RateLimiterRedis[], key: string, each: number): Promise<Outcome> {
  const outcome = { allowed: 0, refused: 0, failed: 0 };
  await Promise.all(
    limiters.flatMap((limiter) =>
      Array.from({ length: each }, () =>
        limiter.consume(key).then(
          () => (outcome.allowed += 1),
          (reason: unknown) => {
            // What is refused is told with what is left; everything else is an error.
            if (reason instanceof RateLimiterRes) outcome.refused += 1;
            else outcome.failed += 1;
          },
        ),
      ),
    ),
  );
  return outcome;
}

test('requests at all servers at once: as many pass as there are points, whatever the client library', async () => {
  const points = 100;
  const options = { points, duration: DURATION_S };
  const [one, two, three] = cluster.nodes.map(({ port }) => port) as [number, number, number];
  const nodeRedis = createClient({ url: `redis://127.0.0.1:${two}` });
  onTestFinished(() => nodeRedis.destroy());
  await nodeRedis.connect();
  const clustered = new ClusterClient([{ host: '127.0.0.1', port: three }]);
  onTestFinished(() => clustered.disconnect());
  const limiters = [
    new RateLimiterRedis({ ...options, storeClient: plainClient(one) }),
    new RateLimiterRedis({ ...options, storeClient: nodeRedis, useRedisPackage: true }),
    new RateLimiterRedis({ ...options, storeClient: clustered }),
  ];
  expect(await consume(limiters, 'ann', 50)).toEqual({ allowed: 100, refused: 50, failed: 0 });
  const left = await limiters[0]!.get('ann');
  expect(left).toMatchObject({ consumedPoints: 150, remainingPoints: 0 });
  expect(left!.msBeforeNext).toBeGreaterThan(0);
  expect(left!.msBeforeNext).toBeLessThanOrEqual(DURATION_S * 1000);
});

test('points are given back, taken away and blocked', async () => {
  const limiter = new RateLimiterRedis({
    points: 5,
    duration: DURATION_S,
    blockDuration: DURATION_S,
    storeClient: plainClient((await cluster.follower()).port),
  });
  await limiter.penalty('bob', 4);
  expect((await limiter.consume('bob')).remainingPoints).toBe(0);
  await expect(limiter.consume('bob')).rejects.toMatchObject({ remainingPoints: 0 });
  expect(await limiter.delete('bob')).toBe(true);
  expect((await limiter.consume('bob')).consumedPoints).toBe(1);
  expect((await limiter.reward('bob', 1)).consumedPoints).toBe(0);
  await limiter.block('bob', DURATION_S);
  await expect(limiter.consume('bob')).rejects.toBeInstanceOf(RateLimiterRes);
});

test('never more than allowed while the leader is killed', async () => {
  const points = 200;
  const followers = await cluster.followers();
  const limiters = followers.map(
    ({ port }) => new RateLimiterRedis({ points, duration: DURATION_S, storeClient: plainClient(port) }),
  );
  const killed = await cluster.leader();
  const total = { allowed: 0, refused: 0, failed: 0 };
  const add = ({ allowed, refused, failed }: Outcome): void => {
    total.allowed += allowed;
    total.refused += refused;
    total.failed += failed;
  };
  add(await consume(limiters, 'cy', 20));
  const kill = cluster.kill(killed);
  // Requests whose fate is unknown may have used a point: all others must find theirs.
  for (let round = 0; total.refused === 0; round += 1) add(await consume(limiters, 'cy', 20));
  await kill;
  await cluster.launch(killed);
  expect(total.allowed).toBeLessThanOrEqual(points);
  expect(total.allowed + total.failed).toBeGreaterThanOrEqual(points);
});
