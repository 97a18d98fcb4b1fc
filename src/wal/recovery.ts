/**
 * What to do about a log that ends in something unsound: the one place where that is decided.
 *
 * A crash may leave the batch that was being written torn, in any pattern of sectors; nobody was told that it is
 * durable, so it may go. Damage to a batch that *was* durable must never be taken for that: the log would come up
 * shorter than what was acknowledged, and a majority of such nodes would forget the write. So the question is always:
 * **is there evidence that the unsound batch was once durable?** There are three kinds.
 *
 * - It lies in a segment that has a successor: a segment is synced before its successor exists.
 * - A sound later batch says so: every batch carries the number of the newest batch that was durable when it was
 *   written, which is n - 1 in batch n when every append is synced.
 * - An identifier says so. It lies in the segment's head, far from the data, and is written (then synced) only *after*
 *   the sync of its batch returned: within {@link ./wal.ts | a tenth of a second} when the log falls idle, and at once
 *   when it is closed.
 *
 * The identifier could travel with its batch in the same sync. But sectors of one sync may reach the disk in any order,
 * so a power loss would leave identifiers of torn batches: with every sector's fate a coin toss, a quarter (one-sector
 * batch) to half (long batch) of all power losses during a sync would leave a log that must be refused although nothing
 * but a crash happened. Written afterwards, an identifier proves durability, and a mere crash never refuses to start.
 * The price: the *newest* batch has no evidence until the next batch or the idle identifier, so damage to exactly
 * that batch, together with a crash within that tenth of a second, would be mistaken for a torn tail.
 */

/** What is known about the place where the sound log ends. */
export interface TailFacts {
  /** The expected batch is neither sound nor absent (zeros), or is absent although there is evidence for it. */
  readonly damaged: boolean;
  /** A later segment exists, or is known to have existed. */
  readonly sealed: boolean;
  /** A sound record with impossible content: an index gap, a broken chain. No crash makes one. */
  readonly inconsistent: boolean;
  /** A sound later batch was written when this one was durable. */
  readonly laterBatchProves: boolean;
  /** An identifier names this batch or a later one. */
  readonly identifierProves: boolean;
  /** Every slot of the identifier ring is sound or empty. */
  readonly ringReadable: boolean;
}

export type Verdict = 'ok' | 'truncate' | 'refuse';

interface Rule {
  readonly label: string;
  readonly when: Partial<TailFacts>;
  readonly verdict: Verdict;
  /** Said in the refusal. */
  readonly because: string;
}

/** The first rule whose facts all hold decides. */
export const RULES: readonly Rule[] = [
  {
    label: 'inconsistent',
    when: { inconsistent: true },
    verdict: 'refuse',
    because: 'a sound record contradicts the ones before it',
  },
  { label: 'clean', when: { damaged: false }, verdict: 'ok', because: '' },
  {
    label: 'sealed',
    when: { sealed: true },
    verdict: 'refuse',
    because: 'the segment was complete and durable before the next one was begun',
  },
  {
    label: 'later batch',
    when: { laterBatchProves: true },
    verdict: 'refuse',
    because: 'a sound later batch shows that this one was durable',
  },
  {
    label: 'identifier',
    when: { identifierProves: true },
    verdict: 'refuse',
    because: 'its identifier shows that it was durable',
  },
  {
    label: 'ring unreadable',
    when: { ringReadable: false },
    verdict: 'refuse',
    because: 'the identifiers, which would tell a torn write from damage, are damaged themselves',
  },
  {
    label: 'torn tail',
    when: {},
    verdict: 'truncate',
    because: 'the write was interrupted before it was durable',
  },
];

/** The rule that decides. */
export function decide(facts: TailFacts): Rule {
  const keys = Object.keys(facts) as (keyof TailFacts)[];
  const rule = RULES.find(({ when }) =>
    keys.every((key) => when[key] === undefined || when[key] === facts[key]),
  );
  // The last rule has no conditions.
  return rule as Rule;
}
