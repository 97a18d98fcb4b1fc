/** One run: a time of trouble in which nothing wrong may happen, then peace, in which the right things must. */
import { Cluster } from './cluster.ts';
import type { Coverage } from './coverage.ts';
import type { Mutation } from './disk.ts';
import { check, Failure } from './failure.ts';
import { Nemesis, plan } from './nemesis.ts';

/** Time for the cluster to converge once faults have stopped, and again to serve, in longest election timeouts. */
const CONVERGENCE_ELECTIONS = 20;
/** Time a restarted node may take to read one entry back from its disk, where it reads them one by one. */
const REPLAY_MS_PER_ENTRY = 12;
/** No message is under way for longer, in election timeouts. */
const MESSAGE_LIFE_ELECTIONS = 10;
/** Writes that must commit in the end. */
const LAST_WRITES = 3;

export interface RunOptions {
  readonly seed: number;
  /** Steps of nodes before faults stop. */
  readonly steps: number;
  readonly mutation: Mutation | null;
  /** Gets every line of the trace. */
  readonly print: ((line: string) => void) | null;
}

export interface RunResult {
  readonly failure: Failure | null;
  readonly steps: number;
  readonly virtualMs: number;
  readonly coverage: Coverage;
  /** Equal for two runs of the same seed. */
  readonly hash: number;
  /** The end of the trace. */
  readonly lines: readonly string[];
}

export function run({ seed, steps, mutation, print }: RunOptions): RunResult {
  const { options, profile } = plan(seed, mutation, print);
  const cluster = new Cluster(options);
  let failure: Failure | null = null;
  try {
    const nemesis = new Nemesis(cluster, profile);
    while (cluster.trace.steps < steps && cluster.schedule.next());
    nemesis.makePeace();
    mustServe(cluster);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    failure = error;
  }
  return {
    failure,
    steps: cluster.trace.steps,
    virtualMs: cluster.now,
    coverage: cluster.coverage,
    hash: cluster.trace.hash >>> 0,
    lines: cluster.trace.lines(),
  };
}

/** LV: with the faults gone everybody agrees, new writes commit, reads are answered, and no client waits for ever. */
function mustServe(cluster: Cluster): void {
  const { electionMs } = cluster.options;
  // A signal to take over that was under way may still cost a leader its place.
  cluster.run(electionMs * MESSAGE_LIFE_ELECTIONS);
  const limitMs =
    2 * electionMs * CONVERGENCE_ELECTIONS + cluster.checks.committedIndex * REPLAY_MS_PER_ENTRY;
  cluster.runUntil('one leader, all nodes equal', () => cluster.hasConverged(), limitMs);
  const leader = cluster.leader();
  if (leader === null) throw new Failure('LV', 'no leader after convergence');
  const writes = Array.from({ length: LAST_WRITES }, () => cluster.propose(leader));
  for (const host of cluster.hosts) cluster.read(host);
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
      cluster.hosts.every(({ proposals, reads, transfers }) => {
        return proposals.size === 0 && reads.size === 0 && transfers === 0;
      }),
    limitMs,
  );
}
