/** redlock: several processes want to do what only one may do at a time, while the leader is killed. */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess } from '../cluster.ts';

/** What of redlock is used here: its types are out of reach of its own exports. */
interface Lock {
  readonly expiration: number;
  extend(durationMs: number): Promise<Lock>;
  release(): Promise<unknown>;
}
type Settings = Readonly<Record<string, number>>;
interface Locks {
  acquire(resources: readonly string[], durationMs: number): Promise<Lock>;
  release(lock: Lock, settings: Settings): Promise<unknown>;
  on(event: 'error', listener: (error: unknown) => void): void;
}
type Constructor = new (clients: readonly Redis[], settings: Settings) => Locks;
const { default: Redlock } = createRequire(import.meta.url)('redlock') as { default: Constructor };

/**
 * Far longer than anybody holds it. Not too long: who does not learn that he got it, as the leader died, waits for its
 * end like everybody else.
 */
const LOCK_MS = 5_000;
const WORK_MS = 5;
const CONTENDERS = 5;
const TURNS = 8;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start(3, ['--proxy']);
});
afterAll(() => cluster.stop());

/** Locks kept by the cluster, through this node. One cluster is one place: it is no less safe than several Redis are. */
function locksOn({ port }: NodeProcess, retryCount: number): Locks {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  const locks = new Redlock([client], { retryCount, retryDelay: 20, retryJitter: 20 });
  locks.on('error', () => {});
  return locks;
}

test('who has the lock keeps it, extends it and gives it back', async () => {
  const [first, second] = cluster.nodes;
  const [mine, theirs] = [locksOn(first!, 0), locksOn(second!, 0)];
  const lock = await mine.acquire(['account:1', 'account:2'], LOCK_MS);
  await expect(theirs.acquire(['account:2'], LOCK_MS)).rejects.toThrow('unable to achieve a quorum');
  const extended = await lock.extend(2 * LOCK_MS);
  expect(extended.expiration).toBeGreaterThan(lock.expiration);
  await extended.release();
  const next = await theirs.acquire(['account:2'], LOCK_MS);
  await next.release();
});

test('a lock that nobody gives back ends by itself', async () => {
  const [first, second] = cluster.nodes;
  await locksOn(first!, 0).acquire(['abandoned'], 100);
  const lock = await locksOn(second!, 1000).acquire(['abandoned'], LOCK_MS);
  await lock.release();
});

test('never two at once, while the leader is killed', async () => {
  const followers = await cluster.followers();
  const inside = { now: 0, most: 0, turns: 0 };
  const halfWay = Promise.withResolvers<void>();
  const contend = async (who: number): Promise<void> => {
    const locks = locksOn(followers[who % followers.length]!, 1000);
    for (let turn = 0; turn < TURNS; turn += 1) {
      const lock = await locks.acquire(['door'], LOCK_MS);
      inside.now += 1;
      inside.most = Math.max(inside.most, inside.now);
      await sleep(WORK_MS);
      inside.now -= 1;
      inside.turns += 1;
      if (inside.turns === (CONTENDERS * TURNS) / 2) halfWay.resolve();
      // One whose fate was unknown may have been run. It is sent again, and finds nothing to give back.
      await locks.release(lock, { retryCount: 5 }).catch(() => {});
    }
  };
  const killed = await cluster.leader();
  const all = Promise.all(Array.from({ length: CONTENDERS }, (_, who) => contend(who)));
  await Promise.race([halfWay.promise, all]);
  await cluster.kill(killed);
  await all;
  await cluster.launch(killed);
  expect(inside).toEqual({ now: 0, most: 1, turns: CONTENDERS * TURNS });
});
