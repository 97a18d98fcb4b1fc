/** One run of whole nodes: a time of trouble in which nothing wrong may happen, then peace, in which the right things must. */
import { check as isLinearizable } from '../../linearizability/checker.ts';
import { explain } from '../../linearizability/explain.ts';
import { check, Failure } from '../failure.ts';
import type { TraceRecord } from '../trace.ts';
import type { NodeCoverage } from './coverage.ts';
import { MESSAGE_LIFE_ELECTIONS, NodeNemesis, planNodes } from './nemesis.ts';
import { holds, LAST_QUEUE, WaitingClient } from './waiting-client.ts';
import { ELECTION_HEARTBEATS, NodeWorld } from './world.ts';

/** Time for the cluster to converge once faults have stopped, and again to serve, in election timeouts. */
const CONVERGENCE_ELECTIONS = 60;

/** Configurations that the linearizability checker looks at for keys that belong together. */
const CONFIGURATIONS_MAX = 5000;

export interface NodeRunOptions {
  readonly seed: number;
  /** Steps of all cores together before faults stop. */
  readonly steps: number;
  /** Gets every record of the trace. */
  readonly watch: ((record: TraceRecord) => void) | null;
}

export interface NodeRunResult {
  readonly failure: Failure | null;
  readonly steps: number;
  readonly virtualMs: number;
  readonly coverage: NodeCoverage;
  /** Equal for two runs of the same seed. */
  readonly hash: number;
  /** The end of the trace. */
  readonly records: readonly TraceRecord[];
}

export async function runNodes({ seed, steps, watch }: NodeRunOptions): Promise<NodeRunResult> {
  const { options, profile } = planNodes(seed, watch);
  const world = new NodeWorld(options);
  let failure: Failure | null = null;
  // A promise of a node that nobody looks after would end its process.
  const unhandled = (error: unknown): void => {
    world.failure ??=
      error instanceof Failure
        ? error
        : new Failure('AS', `unhandled rejection: ${String(error)}`, { cause: error });
  };
  process.on('unhandledRejection', unhandled);
  try {
    const nemesis = new NodeNemesis(world, profile);
    while (world.trace.steps < steps) await world.next();
    nemesis.makePeace();
    await mustServe(world);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    failure = error;
  } finally {
    process.off('unhandledRejection', unhandled);
  }
  return {
    failure,
    steps: world.trace.steps,
    virtualMs: world.now,
    coverage: world.coverage,
    hash: world.trace.hash >>> 0,
    records: world.trace.records(),
  };
}

/** LV: with the faults gone everybody agrees, new writes are taken, and everything acknowledged is there to be read. */
async function mustServe(world: NodeWorld): Promise<void> {
  const { clients, options } = world;
  const electionMs = options.heartbeatMs * ELECTION_HEARTBEATS;
  const limitMs = electionMs * CONVERGENCE_ELECTIONS + 5000;
  world.clientsAsk = false;
  // A signal to take over that was under way may still cost a leader its place.
  await world.run(electionMs * MESSAGE_LIFE_ELECTIONS);
  // Or a write that has to be sent until it is taken would be turned away for ever.
  world.operator.order('CONFIG', 'SET', 'maxmemory', '0');
  await world.runUntil('there is memory', () => world.operator.isDone, limitMs);
  await world.runUntil('nobody waits for what is there', () => !waitsInVain(world), limitMs);
  world.endWaits();
  await world.runUntil('every client is answered', () => world.isQuiet, limitMs);
  await world.runUntil('all nodes equal', () => world.hasConverged(), limitMs);
  for (const { id, driver } of world.machines)
    check(
      driver === null || driver.blocked.size === 0,
      'LV',
      () => `a client that has gone still waits on ${id}`,
    );
  world.compareAll();
  const acknowledged = world.coverage.of('writes acknowledged');
  await again(world, (at) => clients[at]?.writeOnce(), acknowledged + 1, 'writes acknowledged', limitMs);
  for (const client of clients) client.readEverything();
  await world.runUntil('everything is read', () => clients.every(({ isIdle }) => isIdle), limitMs);
  await everybodyServed(world, limitMs);
  await world.runUntil('all nodes equal at the end', () => world.hasConverged(), limitMs);
  world.compareAll();
  const { store } = world.leader() ?? {};
  if (store !== null && store !== undefined) WaitingClient.settle(world, store, options.waitingKeys);
  judge(world);
}

/** Whether somebody waits under a key that holds something for him. */
function waitsInVain(world: NodeWorld): boolean {
  const { driver = null, store = null } = world.leader() ?? {};
  if (driver === null || store === null) return true;
  return world.waiters.some(({ waits, awaited }) => waits && awaited.some((key) => holds(store, key)));
}

/** LV: who waits gets what is put in for him. */
async function everybodyServed(world: NodeWorld, limitMs: number): Promise<void> {
  const { waiters, operator, queues } = world;
  if (waiters.length === 0) return;
  for (const waiter of waiters) waiter.waitForLast();
  await world.runUntil('everybody waits', () => waiters.every(({ waits }) => waits), limitMs);
  for (const _ of waiters) operator.order('RPUSH', LAST_QUEUE, queues.element(LAST_QUEUE, world.now));
  await world.runUntil('everybody has got something', () => waiters.every(({ hasLast }) => hasLast), limitMs);
  await world.runUntil('the operator is told', () => operator.isDone, limitMs);
}

/** LZ: there is an order of all operations that explains every answer. Where the search gives up, the oracle has spoken. */
function judge({ history, coverage }: NodeWorld): void {
  const verdict = isLinearizable(history, CONFIGURATIONS_MAX);
  if (verdict.verdict === 'linearizable') coverage.count('histories found linearizable');
  check(verdict.verdict !== 'violated', 'LZ', () => explain(history));
}

/** A client that is sent elsewhere must ask once more. */
async function again(
  world: NodeWorld,
  ask: (client: number) => void,
  count: number,
  what: 'writes acknowledged',
  limitMs: number,
): Promise<void> {
  const end = world.now + limitMs;
  while (world.coverage.of(what) < count) {
    check(world.now <= end, 'LV', () => `${what}: none within ${limitMs} ms. ${world.summary()}`);
    ask(0);
    await world.runUntil('an answer', () => world.clients[0]?.isIdle === true, limitMs);
  }
}
