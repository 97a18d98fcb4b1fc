/** One run: a time of trouble in which nothing wrong may happen, then peace, in which the right things must. */
import { perform, type TimedAction } from './actions.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import type { Coverage } from './coverage.ts';
import type { Mutation } from './disk.ts';
import { check, Failure } from './failure.ts';
import { makePeace, Nemesis, plan } from './nemesis.ts';
import { REPLAY_MS_PER_ENTRY } from './quiet.ts';
import type { TraceRecord } from './trace.ts';

/** Time for the cluster to converge once faults have stopped, and again to serve, in longest election timeouts. */
const CONVERGENCE_ELECTIONS = 20;
/** No message is under way for longer, in election timeouts. */
const MESSAGE_LIFE_ELECTIONS = 10;
/** A recording that ends in a failure is played on for so long after its last action, in election timeouts. */
const AFTERMATH_ELECTIONS = 20;
/** Writes that must commit in the end. */
const LAST_WRITES = 3;

/** Between the last step of the time of trouble and peace, in ms: time enough to tell the two apart. */
const TRUCE_MS = 0.001;

export interface RunOptions {
  readonly seed: number;
  /** Steps of nodes before faults stop. */
  readonly steps: number;
  readonly mutation: Mutation | null;
  /** Is told everything that happens. */
  readonly watch: ((record: TraceRecord) => void) | null;
}

/** A run as data: {@link replay} gives it again. */
export interface Recording {
  readonly options: ClusterOptions;
  /** In the order of time. */
  readonly actions: readonly TimedAction[];
  /** When the faults stop, in ms; infinite where the run failed before. */
  readonly peaceAt: number;
}

export interface RunResult {
  readonly failure: Failure | null;
  readonly steps: number;
  readonly virtualMs: number;
  readonly coverage: Coverage;
  /** Equal for two runs of the same seed. */
  readonly hash: number;
  /** The end of the trace. */
  readonly records: readonly TraceRecord[];
  readonly recording: Recording;
}

/** The run that follows from the seed. */
export function run({ seed, steps, mutation, watch }: RunOptions): RunResult {
  const { options, profile } = plan(seed, mutation);
  const cluster = new Cluster({ ...options, watch });
  const nemesis = new Nemesis(cluster, profile);
  let peaceAt = Number.POSITIVE_INFINITY;
  const failure = failureOf(() => {
    while (cluster.trace.steps < steps && cluster.schedule.next());
    peaceAt = cluster.now + TRUCE_MS;
    cluster.run(TRUCE_MS);
    nemesis.stop();
    mustServe(cluster);
  });
  return resultOf(cluster, failure, { options, actions: nemesis.actions, peaceAt });
}

/** Ends a replay that has taken long enough. */
class TimeIsUp extends Error {}

/** The same run as recorded, if the recording is whole; a similar one if not. It ends, without a failure, at `untilMs`. */
export function replay(
  recording: Recording,
  watch: RunOptions['watch'],
  untilMs: number = Number.POSITIVE_INFINITY,
): RunResult {
  const { options, actions, peaceAt } = recording;
  const cluster = new Cluster({ ...options, watch });
  const failure = failureOf(() => {
    for (const { at, action } of actions) cluster.schedule.after(at, null, () => perform(cluster, action));
    if (untilMs < Number.POSITIVE_INFINITY)
      cluster.schedule.after(untilMs, null, () => {
        throw new TimeIsUp();
      });
    cluster.run(Math.min(peaceAt, (actions.at(-1)?.at ?? 0) + AFTERMATH_ELECTIONS * options.electionMs));
    mustServe(cluster);
  });
  return resultOf(cluster, failure, recording);
}

function failureOf(work: () => void): Failure | null {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof Failure) return error;
    if (error instanceof TimeIsUp) return null;
    throw error;
  }
}

function resultOf(cluster: Cluster, failure: Failure | null, recording: Recording): RunResult {
  return {
    failure,
    steps: cluster.trace.steps,
    virtualMs: cluster.now,
    coverage: cluster.coverage,
    hash: cluster.trace.hash >>> 0,
    records: cluster.trace.records(),
    recording,
  };
}

/** LV: with the faults gone everybody agrees, new writes commit, reads are answered, and no client waits for ever. */
function mustServe(cluster: Cluster): void {
  makePeace(cluster);
  const { electionMs } = cluster.options;
  // A signal to take over that was under way may still cost a leader its place.
  cluster.run(electionMs * MESSAGE_LIFE_ELECTIONS);
  const limitMs =
    2 * electionMs * CONVERGENCE_ELECTIONS + cluster.checks.committedIndex * REPLAY_MS_PER_ENTRY;
  cluster.runUntil('one leader, all nodes equal', () => cluster.hasConverged(), limitMs);
  const leader = cluster.leader();
  if (leader === null) throw new Failure('LV', 'no leader after convergence');
  const writes = Array.from({ length: LAST_WRITES }, () => cluster.propose(leader));
  for (const host of cluster.members()) cluster.read(host);
  const outcomes = (): string[] => writes.map((id) => cluster.checks.proposals[id]?.outcome ?? 'open');
  cluster.runUntil('last writes', () => outcomes().every((outcome) => outcome !== 'open'), limitMs);
  check(
    outcomes().every((outcome) => outcome === 'acknowledged'),
    'LV',
    () => `last writes: ${outcomes().join(', ')}`,
  );
  cluster.runUntil('all nodes equal at the end', () => cluster.hasConverged(), limitMs);
  cluster.runUntil(
    'every client answered',
    () =>
      cluster.hosts.every(({ proposals, reads, transfers, changes }) => {
        return proposals.size === 0 && reads.size === 0 && transfers === 0 && changes.size === 0;
      }),
    limitMs,
  );
}
