/**
 * Scenarios of the design that need whole nodes and that the swarm brings about too seldom to rely on it. The watchers
 * of the world look on: a test only has to bring the situation about, and to see that it came.
 */
import { expect, test } from 'vitest';
import { DATA_START } from '../../../src/wal/segment.ts';
import { DAMAGES, type Damage } from './storage.ts';
import type { Machine } from './machine.ts';
import { LAST_QUEUE } from './waiting-client.ts';
import { NodeWorld, type NodeWorldOptions } from './world.ts';

const CALM: NodeWorldOptions = {
  seed: 1,
  voters: 3,
  learners: 0,
  heartbeatMs: 20,
  segmentBytes: 12_288,
  snapshotEntries: 20,
  snapshotBytes: 1_000_000,
  chunkBytes: 3000,
  clients: 3,
  client: {
    thinkMs: 5,
    patienceMs: 1000,
    readRate: 0.2,
    keys: 2,
    lifeMs: 200,
    fillingBytes: 100,
    pipeline: 3,
    namedRate: 0,
  },
  generating: 0,
  waiting: 0,
  waitingKeys: 1,
  wild: false,
  watch: null,
};

/** A cluster that serves. */
async function calm(changes: Partial<NodeWorldOptions> = {}): Promise<NodeWorld> {
  const world = new NodeWorld({ ...CALM, ...changes });
  const { coverage } = world;
  const written = (): number =>
    coverage.of('writes acknowledged') + coverage.of('generated commands answered');
  await world.runUntil('some writes', () => written() > 50, 10_000);
  return world;
}

function leaderOf(world: NodeWorld): Machine {
  const leader = world.leader();
  if (leader === null) throw new Error('nobody leads');
  return leader;
}

function followerOf(world: NodeWorld): Machine {
  return world.machines.find((machine) => machine !== world.leader())!;
}

async function moreWrites(world: NodeWorld, count = 50): Promise<void> {
  const before = world.coverage.of('writes acknowledged');
  await world.runUntil(
    'more writes',
    () => world.coverage.of('writes acknowledged') >= before + count,
    30_000,
  );
}

async function converge(world: NodeWorld): Promise<void> {
  world.clientsAsk = false;
  await world.runUntil('all nodes equal', () => world.isQuiet && world.hasConverged(), 30_000);
  world.compareAll();
  for (const client of world.clients) client.readEverything();
  await world.runUntil('everything is read', () => world.clients.every(({ isIdle }) => isIdle), 30_000);
}

test('44: a snapshot that arrives damaged is noticed when it is complete, and fetched again', async () => {
  const world = await calm();
  const away = followerOf(world);
  world.crash(away, true);
  await moreWrites(world, 200);
  world.chunkDamageRate = 1;
  away.start();
  await world.runUntil('a damaged chunk', () => world.coverage.of('snapshot chunks damaged') > 0, 20_000);
  world.chunkDamageRate = 0;
  const installed = world.coverage.of('snapshots installed');
  await world.runUntil('a whole one', () => world.coverage.of('snapshots installed') > installed, 20_000);
  await converge(world);
});

test('45: a file that is sent to a slow receiver is there until it has arrived', async () => {
  const world = await calm({ chunkBytes: 40 });
  const away = followerOf(world);
  world.crash(away, true);
  await moreWrites(world, 200);
  away.start();
  await world.runUntil('a transfer', () => world.coverage.of('snapshot transfers begun') > 0, 20_000);
  const sender = leaderOf(world);
  const snapshots = (): string[] => sender.storage.paths().filter((path) => path.endsWith('.snap'));
  const [sent = ''] = snapshots();
  await world.runUntil('newer ones', () => snapshots().length > 1, 20_000);
  expect(snapshots()).toContain(sent);
  expect(world.coverage.of('snapshot transfers done')).toBe(0);
  await world.runUntil('the transfer', () => world.coverage.of('snapshot transfers done') > 0, 20_000);
  await world.runUntil('the purge', () => !snapshots().includes(sent), 20_000);
  await converge(world);
});

test('47: damage under a running node ends it when it reads there, and its next start refuses', async () => {
  const world = await calm({ voters: 1, learners: 1, snapshotEntries: 100_000 });
  const [leader, away] = world.machines as [Machine, Machine];
  world.crash(away, false);
  await moreWrites(world);
  const segments = (): string[] => leader.storage.paths().filter((name) => name.endsWith('.log'));
  const needed = segments().sort().at(-1) ?? '';
  await world.runUntil('the next segment', () => !segments().sort().at(-1)?.startsWith(needed), 20_000);
  // A process that began anew has nothing of its log in memory: what the other lacks comes from the disk.
  world.crash(leader, false);
  leader.start();
  await moreWrites(world);
  leader.disk.damaged = true;
  leader.storage.flip(needed, DATA_START + 600);
  const refused: Machine[] = [];
  world.onRefused = (machine) => void refused.push(machine);
  away.start();
  await world.runUntil('the refusal', () => refused.includes(leader), 20_000);
  expect(world.coverage.of('damage found while running')).toBe(1);
  leader.storage.flip(needed, DATA_START + 600);
  leader.disk.damaged = false;
  leader.start();
  await converge(world);
});

test('50: a leader without space turns writes away or yields, and goes on by itself when there is space', async () => {
  const world = await calm();
  const leader = leaderOf(world);
  const turnedAway = world.coverage.of('writes turned away');
  leader.storage.freeBytes = 0;
  await world.run(3000);
  expect(world.coverage.of('writes turned away')).toBeGreaterThan(turnedAway);
  leader.storage.freeBytes = Number.POSITIVE_INFINITY;
  await moreWrites(world);
  await converge(world);
  expect(world.coverage.of('starts')).toBe(3);
});

test('whoever waits for a key is served by the next leader, and gets nothing twice', async () => {
  const world = await calm({ clients: 1, waiting: 4 });
  for (let change = 0; change < 5; change += 1) {
    const served = world.coverage.of('clients served by a queue');
    await world.runUntil(
      'service',
      () => world.coverage.of('clients served by a queue') > served + 20,
      20_000,
    );
    await world.runUntil('a waiting client', () => world.waiters.some(({ waits }) => waits), 20_000);
    const leader = leaderOf(world);
    if (change % 2 === 0) world.handOver(leader);
    else {
      world.crash(leader, true);
      leader.start();
    }
  }
  expect(world.coverage.of('waits ended by a lost leader')).toBeGreaterThan(0);
  world.clientsAsk = false;
  for (const waiter of world.waiters) waiter.waitForLast();
  await world.runUntil('everybody waits', () => world.waiters.every(({ waits }) => waits), 20_000);
  const before = leaderOf(world);
  world.handOver(before);
  await world.runUntil('another leader', () => world.leader() !== before && world.hasConverged(), 20_000);
  await world.runUntil('everybody waits again', () => world.waiters.every(({ waits }) => waits), 20_000);
  for (const _ of world.waiters)
    world.operator.order('RPUSH', LAST_QUEUE, world.queues.element(LAST_QUEUE, world.now));
  await world.runUntil('everybody is served', () => world.waiters.every(({ hasLast }) => hasLast), 20_000);
});

test('keys go by the log when there is no memory, and every node holds the same', async () => {
  const world = await calm({ generating: 3, clients: 1, wild: true });
  await world.runUntil('evictions', () => world.coverage.of('keys evicted') > 30, 120_000);
  world.crash(followerOf(world), true);
  await world.runUntil('more', () => world.coverage.of('keys evicted') > 60, 120_000);
  for (const machine of world.machines) machine.start();
  world.clientsAsk = false;
  world.operator.order('CONFIG', 'SET', 'maxmemory', '0');
  await world.runUntil('memory', () => world.operator.isDone && world.hasConverged(), 30_000);
  world.compareAll();
});

test('49: whatever one damaged file holds, a node comes up right or not at all', async () => {
  for (const kind of DAMAGES) {
    for (let seed = 1; seed <= 2; seed += 1) await damaged(kind, seed);
  }
});

async function damaged(kind: Damage, seed: number): Promise<void> {
  const world = await calm({ seed });
  world.clientsAsk = false;
  await world.run(1000);
  const machine = world.random.pick(world.machines);
  const done = machine.storage.damage(kind);
  if (done === null) return;
  machine.disk.damaged = true;
  const refused: Machine[] = [];
  world.onRefused = (one) => void refused.push(one);
  world.crash(machine, world.random.chance(0.5));
  machine.start();
  await world.runUntil('the end of the start', () => machine.driver !== null || refused.length > 0, 20_000);
  if (refused.length > 0) {
    done.undo();
    machine.disk.damaged = false;
    machine.start();
  }
  world.clientsAsk = true;
  await moreWrites(world, 10);
  await converge(world);
}
