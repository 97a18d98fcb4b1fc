/** What every client library must get through: the leader dies in the middle of its work. */
import { expect } from 'vitest';
import type { Cluster } from '../cluster.ts';

export interface Counter {
  incr(key: string): Promise<number>;
  get(key: string): Promise<string | null>;
}

/**
 * Counts through a client until 200 increments were acknowledged, while the leader is killed and comes back. All that
 * were acknowledged must be there; of those that failed nobody knows, so they may be. A client that sends again by itself
 * what a dead node did not answer may count twice.
 */
export async function countThroughFailover(
  cluster: Cluster,
  client: Counter,
  { sendsAgain }: { readonly sendsAgain: boolean },
): Promise<void> {
  const outcomes = { acknowledged: 0, failed: 0 };
  const count = async (upTo: number): Promise<void> => {
    while (outcomes.acknowledged < upTo)
      await client.incr('visits').then(
        () => (outcomes.acknowledged += 1),
        () => (outcomes.failed += 1),
      );
  };
  await count(50);
  const killed = await cluster.leader();
  await Promise.all([cluster.kill(killed), count(150)]);
  await cluster.launch(killed);
  await count(200);
  const counted = Number(await client.get('visits'));
  expect(counted).toBeGreaterThanOrEqual(outcomes.acknowledged);
  if (!sendsAgain) expect(counted).toBeLessThanOrEqual(outcomes.acknowledged + outcomes.failed);
}
