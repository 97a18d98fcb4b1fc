/**
 * What a run can find. The first group are the invariants of the design; the rest are promises of the core's
 * contract with its driver.
 */
export const INVARIANTS = {
  ES: 'one leader per term',
  LM: 'log matching',
  LC: 'leader completeness',
  SM: 'same applied sequence everywhere',
  CI: 'committed entries are immutable',
  MT: 'term, vote and commit never go back, not even across a restart',
  LZ: 'a read sees every write acknowledged before it began',
  DU: 'a committed write is on the disk of a majority and is never removed',
  EO: 'every entry is applied once and in order',
  RB: 'queues are bounded',
  ID: 'a removed id never comes back, and a member keeps its directory',
  AV: 'the cluster serves while every majority it needs is healthy',
  LV: 'when faults stop, the cluster converges and serves',
  UN: 'a write reported as turned away never appears in a log',
  DC: "the core keeps its driver's contract",
  AS: 'no assertion of the core fails',
} as const;

export type Invariant = keyof typeof INVARIANTS;

/** An invariant is broken. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly invariant: Invariant;

  constructor(invariant: Invariant, evidence: string, options?: ErrorOptions) {
    super(`${invariant} (${INVARIANTS[invariant]}): ${evidence}`, options);
    this.invariant = invariant;
  }
}

/** Throws a {@link Failure} unless `condition` holds. */
export function check(condition: boolean, invariant: Invariant, evidence: () => string): asserts condition {
  if (!condition) throw new Failure(invariant, evidence());
}
