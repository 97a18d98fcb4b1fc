/**
 * Faults of machines and networks, made to a cluster of three while clients use it. Each scenario ends with the whole
 * history of what the clients were told: it must be linearizable, and no acknowledged write may be lost.
 */
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import type { ClusterView } from '../../src/server/driver.ts';
import { Workload } from '../integration/workload.ts';
import { expectLinearizable } from '../linearizability/expect.ts';
import { until } from '../integration/cluster.ts';
import { caughtUp, command, leaderOf, type Machine, type Machines, others, statusOf } from './machines.ts';
import { startMachines } from './start.ts';

/** Acknowledged writes that count as "the cluster works". */
const SOME = 200;

/** And for a good ten seconds. */
const LONG = 5000;

let machines: Machines;

beforeAll(async () => {
  machines = await startMachines(inject('machines'), { size: 3 });
});
afterAll(async () => {
  await machines?.dispose();
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'pass') return;
  for (const machine of machines.all) console.error(`--- ${machine.id}\n${await machines.log(machine)}`);
});

/** Runs a scenario under load, waits until the cluster is whole again, and checks what the clients saw. */
async function underLoad(scenario: (load: Workload) => Promise<void>): Promise<void> {
  const load = Workload.start({
    addresses: () => machines.all.map(({ port }) => ({ host: '127.0.0.1', port })),
    followerReaders: 2,
  });
  try {
    await load.progress(SOME);
    await scenario(load);
    await load.progress(SOME);
  } catch (error) {
    // What went wrong first is what there is to know; the load has its own opinion of a cluster that is not whole.
    await load.stop().catch(() => undefined);
    throw error;
  }
  const report = await load.stop();
  await caughtUp(machines);
  const name = expect.getState().currentTestName;
  console.log(
    `${name}: ${report.acknowledgedWrites} writes and ${report.acknowledgedReads} reads acknowledged, ` +
      `${report.unknownWrites} writes of unknown outcome, longest write outage ${report.longestGapMs} ms`,
  );
  expect(report.lost).toEqual([]);
  expectLinearizable(report.history);
}

/** Waits until these have a vote, and nobody else, and no change is under way. */
async function votersAre(expected: readonly Machine[]): Promise<void> {
  const ids = expected.map(({ id }) => id).toSorted();
  await until(`the voters ${ids.join()}`, async () => {
    const { httpPort } = await leaderOf(machines, expected);
    const reply = await fetch(`http://127.0.0.1:${httpPort}/v1/cluster`);
    const { configuration, changing } = (await reply.json()) as ClusterView;
    const voters = configuration.voters.map(({ id }) => String(id)).toSorted();
    return !changing && voters.join() === ids.join();
  });
}

async function nextLeader(old: Machine): Promise<Machine> {
  return leaderOf(machines, others(machines, old));
}

test('kill: the leader, then a follower, and both come back', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    await machines.kill(leader);
    const next = await nextLeader(leader);
    await load.progress(SOME);
    await machines.start(leader);
    await caughtUp(machines);
    const follower = others(machines, next).find((machine) => machine !== leader)!;
    await machines.kill(follower);
    await load.progress(SOME);
    await machines.start(follower);
  });
});

test('kill: a follower stays away for long, and is soon as good as any when it is back', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    const [away, other] = others(machines, leader);
    await machines.kill(away!);
    // Its name is unknown meanwhile, and every lookup of it takes its time.
    await load.progress(LONG);
    await machines.start(away!);
    await caughtUp(machines);
    // Now the leader needs its answers.
    await machines.kill(other!);
    await load.progress(SOME);
    await machines.start(other!);
  });
});

test('kill: all at once', async () => {
  await underLoad(async () => {
    await Promise.all(machines.all.map((machine) => machines.kill(machine)));
    await Promise.all(machines.all.map((machine) => machines.start(machine)));
    await leaderOf(machines);
  });
});

test('pause: the leader sleeps until another leads, and wakes up into a later term', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    await machines.pause(leader);
    await nextLeader(leader);
    await load.progress(SOME);
    await machines.resume(leader);
    await caughtUp(machines);
  });
});

test('disconnect: the leader is taken off the network and put back', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    await machines.disconnect(leader);
    await nextLeader(leader);
    await load.progress(SOME);
    await machines.reconnect(leader);
    await caughtUp(machines);
  });
});

test('isolate: nothing passes between the leader and the others', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    await machines.isolate(leader, 'both');
    await nextLeader(leader);
    await load.progress(SOME);
    await machines.heal(leader);
    await caughtUp(machines);
  });
});

test('isolate: the leader is heard and hears nobody', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    await machines.isolate(leader, 'in');
    await nextLeader(leader);
    await load.progress(SOME);
    await machines.heal(leader);
    await caughtUp(machines);
  });
});

test('isolate: the leader hears the others and nobody hears it', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    await machines.isolate(leader, 'out');
    await nextLeader(leader);
    await load.progress(SOME);
    await machines.heal(leader);
    await caughtUp(machines);
  });
});

test('isolate: a follower that hears nobody asks for no votes, and disturbs nobody when it is back', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    const follower = others(machines, leader)[0]!;
    await machines.isolate(follower, 'in');
    await until('the follower to miss its leader', async () => (await statusOf(follower))?.leader === null);
    await load.progress(SOME);
    // Others would have to follow it into a term of its own.
    const lonely = (await statusOf(follower))!;
    expect(lonely.term).toBeLessThanOrEqual((await statusOf(leader))!.term);
    await machines.heal(follower);
    await caughtUp(machines);
  });
});

test('restart: the leader hands over and comes back', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    expect(await machines.stop(leader)).toBe(0);
    expect(await machines.log(leader)).toContain('leadership handed over');
    await nextLeader(leader);
    await load.progress(SOME);
    await machines.start(leader);
  });
});

test('rolling restart: every node in turn, the next when the last has caught up', async () => {
  await underLoad(async (load) => {
    for (const machine of machines.all) {
      expect(await machines.stop(machine)).toBe(0);
      await load.progress(SOME);
      await machines.start(machine);
      await caughtUp(machines);
    }
  });
});

test('replace: a dead node by a new one', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    const dead = others(machines, leader)[0]!;
    await machines.kill(dead);
    await load.progress(SOME);
    const fresh = await machines.join(leader, { KVORUM_REPLACE: dead.id });
    await machines.start(fresh);
    await votersAre(others(machines, dead));
    await machines.discard(dead);
    await caughtUp(machines);
  });
});

test('replace: the leader, by hand, while it works', async () => {
  await underLoad(async (load) => {
    const leader = await leaderOf(machines);
    const fresh = await machines.join(leader);
    await machines.start(fresh);
    await votersAre(machines.all);
    await command(machines, fresh, 'cluster', 'remove', leader.id);
    await votersAre(others(machines, leader));
    await load.progress(SOME);
    await machines.discard(leader);
    await command(machines, fresh, 'cluster', 'transfer', fresh.id);
    expect(await leaderOf(machines)).toBe(fresh);
    await load.progress(SOME);
  });
});
