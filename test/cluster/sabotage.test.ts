/**
 * Proof that these tests can fail: a build that answers reads without asking a quorum first must be caught, by the same
 * scenario and the same check of the history that the real build passes.
 *
 * Two other classic faults can't be shown here. An acknowledgement before fsync and a vote that is forgotten need a
 * disk that loses what was not synced, and a killed container or process leaves the kernel's cache alone: these are the
 * simulator's to find (`npm run test:mutation`: append-durable, own-disk, vote-durable, candidacy-durable, vote-once).
 */
import { expect, inject, onTestFinished, test } from 'vitest';
import { Workload } from '../integration/workload.ts';
import { check, type Verdict } from '../linearizability/checker.ts';
import { explain } from '../linearizability/explain.ts';
import { caughtUp, command, leaderOf } from './machines.ts';
import { buildWithout } from './sabotage.ts';
import { startMachines } from './start.ts';

const SOME = 200;
/**
 * Four times that of the others, so that this leader believes in itself for seconds after the others have another. Like
 * this, a slow clock looks: what is promised must not depend on any.
 */
const HEARTBEAT_MS = { slow: 800, quick: 200 };

/** Isolates a leader whose clock is slow while clients go on reading from it; what the checker says of the history. */
async function askDeposedLeader(dist: string | null): Promise<Verdict> {
  const machines = await startMachines(inject('machines'), {
    size: 3,
    settings: (id) => ({ KVORUM_HEARTBEAT: `${id === 'n1' ? HEARTBEAT_MS.slow : HEARTBEAT_MS.quick}` }),
    ...(dist === null ? {} : { dist }),
  });
  onTestFinished(() => machines.dispose());
  const [slow, ...quick] = machines.all;
  await command(machines, slow!, 'cluster', 'transfer', slow!.id);
  const load = Workload.start({
    // Most clients at the node that is going to be deposed.
    addresses: () => [slow!, slow!, slow!, ...quick].map(({ port }) => ({ host: '127.0.0.1', port })),
    followerReaders: 8,
  });
  await load.progress(SOME);
  expect(await leaderOf(machines)).toBe(slow);
  await machines.isolate(slow!, 'both');
  await leaderOf(machines, quick);
  await load.progress(SOME);
  await machines.heal(slow!);
  await caughtUp(machines);
  const { history } = await load.stop();
  const verdict = check(history);
  if (dist === null && verdict.verdict !== 'linearizable') console.error(explain(history));
  return verdict;
}

test('a deposed leader that does not know it yet answers no read', async () => {
  expect((await askDeposedLeader(null)).verdict).toBe('linearizable');
});

test('a build that reads without a round is caught', async () => {
  const broken = await buildWithout('read-round');
  onTestFinished(() => broken.remove());
  expect((await askDeposedLeader(broken.dist)).verdict).toBe('violated');
});
