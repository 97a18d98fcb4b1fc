/**
 * What to do about a directory that a crash or a bad disk has left in an unsound state: the one place where that is
 * decided. Two tables, each read from the top; the first rule whose conditions all hold decides.
 *
 * ## The end of the log
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
 * batch) to half (long batch) of all power losses during a sync would leave a log that must be doubted although nothing
 * but a crash happened. Written afterwards, an identifier proves durability, and a mere crash never raises a doubt.
 * The price: the *newest* batch has no evidence until the next batch or the idle identifier, so damage to exactly
 * that batch, together with a crash within that tenth of a second, would be mistaken for a torn tail.
 *
 * ## Recovering
 *
 * Where the end of the log was durable and is damaged, and nothing sound lies behind it, the node may go on without it,
 * *recovering*: it grants no vote and does not campaign until it has everything its leader had when it asked. Why no
 * acknowledged write is lost: an entry this node acknowledged was committed by a majority of which every other member
 * still has it. No leader without the entry can come up with the votes of the rest, and this node's vote, which could
 * tip the scales because the node has forgotten, is withheld. Once it has caught up within one term it holds again all
 * that it ever acknowledged and that was committed. That needs someone who can give the entries back: the only voter of
 * a cluster is refused, and so is a node that has lost even the configuration and knows nobody to ask.
 *
 * By the same argument a log that is damaged in the *middle* could be cut there. It is refused all the same. A bad end
 * is what a power loss and a lying disk leave on a machine that is otherwise well; a hole in sealed bytes is a disk that
 * loses data at rest, and a node on it should be replaced, not healed over and over. And what would be cut away behind
 * the hole is sound: should more than one node be hit, those may be the last copies of acknowledged writes, and no
 * start of a process may throw them away. Replacing the member brings the same copy of the log to a disk that keeps it.
 *
 * ## Term, log and snapshots against each other
 *
 * Each file may be sound by itself and still not fit the others: an old backup of one of them, a lost rename. What no
 * crash can explain is refused. A damaged snapshot does no harm while the log still holds every entry behind an older
 * one (or behind none); it is then put aside.
 */

/** What is known about the place where the sound log ends. */
export interface TailFacts {
  /** The segment's head can be read. */
  readonly headSound: boolean;
  /** The head continues where the segment before it ended. */
  readonly follows: boolean;
  /** The expected batch is neither sound nor absent (zeros), or is absent although there is evidence for it. */
  readonly damaged: boolean;
  /** A later segment exists. */
  readonly sealed: boolean;
  /** A later segment is known to have existed, and does not. */
  readonly successorMissing: boolean;
  /** A sound record with impossible content: an index gap, a broken chain. No crash makes one. */
  readonly inconsistent: boolean;
  /** A sound later batch was written when this one was durable. */
  readonly laterBatchProves: boolean;
  /** An identifier names this batch or a later one. */
  readonly identifierProves: boolean;
  /** Every slot of the identifier ring is sound or empty. */
  readonly ringReadable: boolean;
  /** Another voter is known, which can give back what is missing. */
  readonly restorable: boolean;
}

/**
 * `truncate`: nobody was told of it, it may go. `recover`: it was durable; cut it after it is noted that this node may
 * have forgotten what it acknowledged.
 */
export type TailVerdict = 'ok' | 'truncate' | 'recover' | 'refuse';

/** A line of a table. */
export interface Rule<Facts, Verdict> {
  readonly label: string;
  readonly when: Partial<Facts>;
  readonly verdict: Verdict;
  /** Said in the report and in the refusal. */
  readonly because: string;
}

export type TailRule = Rule<TailFacts, TailVerdict>;

export const TAIL_RULES: readonly TailRule[] = [
  {
    label: 'head damaged',
    when: { headSound: false },
    verdict: 'refuse',
    because: 'the head was durable before the segment got its name',
  },
  {
    label: 'segment missing',
    when: { follows: false },
    verdict: 'refuse',
    because: 'a segment before it is missing or is an old copy',
  },
  {
    label: 'inconsistent',
    when: { inconsistent: true },
    verdict: 'refuse',
    because: 'a sound record contradicts the ones before it',
  },
  {
    label: 'successor missing',
    when: { successorMissing: true },
    verdict: 'refuse',
    because: 'the segment was marked as complete when the next one existed',
  },
  { label: 'clean', when: { damaged: false }, verdict: 'ok', because: 'the log ends with a sound batch' },
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
    label: 'lost end',
    when: { identifierProves: true, restorable: true },
    verdict: 'recover',
    because: 'its identifier shows that it was durable, and nothing sound comes after it',
  },
  {
    label: 'nobody to ask',
    when: { identifierProves: true },
    verdict: 'refuse',
    because: 'its identifier shows that it was durable, and no other voter is known who could give it back',
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

/** How term, log and snapshots fit together. The newest *sound* snapshot is meant, or none. */
export interface StateFacts {
  /** The log ends in a term above the stored one. */
  readonly termBehind: boolean;
  /** A snapshot file is damaged. */
  readonly snapshotDamaged: boolean;
  /** The snapshot reaches up to where the log begins. */
  readonly covered: boolean;
  /** The log holds the entry that the snapshot ends with. */
  readonly agrees: boolean;
  /** The log should hold it: the log begins there, or the entry in its place was committed. */
  readonly contradicts: boolean;
}

/** `install`: the snapshot came from a leader and replaces the log; a crash came in between. */
export type StateVerdict = 'ok' | 'install' | 'refuse';

export type StateRule = Rule<StateFacts, StateVerdict>;

export const STATE_RULES: readonly StateRule[] = [
  {
    label: 'term behind',
    when: { termBehind: true },
    verdict: 'refuse',
    because: 'a term is durable before its entries, so the files of term and vote are old copies',
  },
  {
    label: 'snapshot needed',
    when: { snapshotDamaged: true, covered: false },
    verdict: 'refuse',
    because: 'the log no longer holds the entries up to its index, and no other snapshot does',
  },
  {
    label: 'snapshot missing',
    when: { covered: false },
    verdict: 'refuse',
    because: 'the log is only shortened behind a durable snapshot',
  },
  {
    label: 'snapshot contradicts',
    when: { agrees: false, contradicts: true },
    verdict: 'refuse',
    because: 'what a snapshot holds was committed, and the log has committed something else',
  },
  {
    label: 'snapshot received',
    when: { agrees: false },
    verdict: 'install',
    because: 'it came from a leader, and the log that it replaces was still to be put away',
  },
  {
    label: 'older snapshot',
    when: { snapshotDamaged: true },
    verdict: 'ok',
    because: 'the log holds every entry that the damaged snapshot covered',
  },
  { label: 'consistent', when: {}, verdict: 'ok', because: 'term, log and snapshots fit together' },
];

/** The rule that decides. */
export function decide<Facts extends object, Verdict>(
  rules: readonly Rule<Facts, Verdict>[],
  facts: Facts,
): Rule<Facts, Verdict> {
  const keys = Object.keys(facts) as (keyof Facts)[];
  const rule = rules.find(({ when }) =>
    keys.every((key) => when[key] === undefined || when[key] === facts[key]),
  );
  // The last rule of each table has no conditions.
  return rule as Rule<Facts, Verdict>;
}
