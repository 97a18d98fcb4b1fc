/**
 * What a node's log told the node is durable: the checks' view of its disk, and what the log must still know when it is
 * opened again, whatever happened to the process. Only what was under way may be there or not.
 */
import {
  asIndex,
  asTerm,
  type Entry,
  type HardState,
  type Index,
  type Recovered,
  type SnapshotMeta,
  type Term,
} from '../../../src/raft/types.ts';
import type { Wal } from '../../../src/wal/wal.ts';
import type { DurableState } from '../checks.ts';
import { check } from '../failure.ts';

type Appended = Parameters<Wal['append']>[0];

interface Position {
  readonly index: Index;
  readonly term: Term;
}

/** A log as far as its shape goes. */
interface Shape {
  readonly base: Position;
  readonly entries: readonly Entry[];
}

export class Shadow implements DurableState {
  readonly #name: string;
  hardState: HardState;
  snapshot: SnapshotMeta | null = null;
  #base: Position = { index: asIndex(0), term: asTerm(0) };
  /** Whatever was written behind the base: the log removes whole segments, so it may hold more than it has to. */
  #entries: Entry[];
  /** Up to here entries may be gone. */
  #compacted = 0;
  /** The snapshot files that are durable here, or were under way when the process died. */
  readonly #files = new Map<number, SnapshotMeta>();
  /** Cut off by what replaced it. */
  readonly #replaced = new Map<string, Entry>();
  /** Lost to damage: index and term. */
  readonly #owed = new Map<number, Term>();
  #appending: Appended | null = null;
  #resetting: SnapshotMeta | null = null;
  /** Something happened to the disk that no rule allows; what comes up may be refused, but not be wrong. */
  damaged = false;

  constructor(name: string, hardState: HardState, entries: readonly Entry[]) {
    this.#name = name;
    this.hardState = hardState;
    this.#entries = [...entries];
  }

  get lastIndex(): Index {
    return asIndex(this.#base.index + this.#entries.length);
  }

  termAt(index: Index): Term | null {
    return termIn({ base: this.#base, entries: this.#entries }, index);
  }

  holds(index: Index, term: Term): boolean {
    return (this.snapshot !== null && this.snapshot.index >= index) || this.termAt(index) === term;
  }

  hasFile(snapshot: SnapshotMeta): boolean {
    return this.#files.has(snapshot.index);
  }

  read(from: Index, to: Index): Entry[] {
    return this.#entries.filter(({ index }) => index >= from && index <= to);
  }

  /** Listens to what the log is asked to do and what it says it has done. */
  watch(wal: Wal): void {
    const append = wal.append.bind(wal);
    const reset = wal.resetToSnapshot.bind(wal);
    const compact = wal.compact.bind(wal);
    const receive = wal.receiveSnapshot.bind(wal);
    wal.append = async (work) => {
      this.#appending = work;
      await append(work);
      this.#appended(work);
    };
    wal.resetToSnapshot = async (snapshot) => {
      this.#resetting = snapshot;
      await reset(snapshot);
      this.#reset(snapshot);
    };
    wal.compact = (to) => {
      this.#compact(to);
      return compact(to);
    };
    wal.receiveSnapshot = (meta) => {
      this.#files.set(meta.index, meta);
      return receive(meta);
    };
  }

  /** A file of this node's own snapshot is complete. */
  saved(snapshot: SnapshotMeta): void {
    this.#files.set(snapshot.index, snapshot);
    if (snapshot.index > (this.snapshot?.index ?? 0)) this.snapshot = snapshot;
  }

  #appended({ hardState, entries }: Appended): void {
    this.#appending = null;
    if (hardState !== null) this.hardState = hardState;
    const [first] = entries;
    if (first === undefined) return;
    check(
      first.index > this.#base.index && first.index <= this.lastIndex + 1,
      'DC',
      () =>
        `${this.#name} wrote entry ${first.index} into a log of ${this.#base.index + 1} to ${this.lastIndex}`,
    );
    for (const entry of this.#entries.splice(first.index - this.#base.index - 1))
      this.#replaced.set(`${entry.index}@${entry.term}`, entry);
    this.#entries.push(...entries);
  }

  #reset(snapshot: SnapshotMeta): void {
    this.#resetting = null;
    this.snapshot = snapshot;
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.#compacted = snapshot.index;
  }

  #compact(to: Index): void {
    check(
      to <= (this.snapshot?.index ?? 0),
      'DC',
      () => `${this.#name} compacts to ${to}, its snapshot covers ${this.snapshot?.index ?? 0}`,
    );
    this.#compacted = Math.max(this.#compacted, to);
  }

  /** Holds what came up against what was promised, and goes on from there. */
  reopened(recovered: Recovered): void {
    this.#hardStateReopened(recovered);
    this.#snapshotReopened(recovered);
    this.#logReopened(recovered);
    this.hardState = recovered.hardState;
    this.snapshot = recovered.snapshot;
    this.#appending = null;
    this.#resetting = null;
  }

  #hardStateReopened({ hardState, snapshot }: Recovered): void {
    const allowed = [this.hardState];
    const writing = this.#appending?.hardState ?? null;
    if (writing !== null) allowed.push(writing);
    // The term of a snapshot that was received, whose installation is finished at the start.
    if (snapshot !== null && snapshot.term > this.hardState.term && this.#files.has(snapshot.index)) {
      allowed.push({ ...this.hardState, term: snapshot.term, vote: null });
    }
    check(
      allowed.some(({ term, vote }) => term === hardState.term && vote === hardState.vote),
      'MT',
      () => `${this.#name} came up with ${show(hardState)}; durable was ${allowed.map(show).join(' or ')}`,
    );
    check(
      !hardState.recovering ||
        this.hardState.recovering ||
        this.damaged ||
        this.#appending?.hardState?.recovering === true,
      'DU',
      () => `${this.#name} doubts its log after a mere crash`,
    );
    check(
      hardState.recovering || !this.hardState.recovering || this.#appending?.hardState?.recovering === false,
      'DU',
      () => `${this.#name} was recovering and has forgotten it`,
    );
  }

  #snapshotReopened({ snapshot }: Recovered): void {
    const index = snapshot?.index ?? 0;
    check(
      index >= (this.snapshot?.index ?? 0) || this.damaged,
      'DU',
      () => `${this.#name} came up with a snapshot at ${index}; it had one at ${this.snapshot?.index ?? 0}`,
    );
  }

  #logReopened(recovered: Recovered): void {
    const { compacted, lastIndex, termRuns, snapshot, hardState } = recovered;
    const found = (index: number): number => {
      if (index === compacted.index) return compacted.term;
      return termRuns.findLast(({ first }) => first <= index)?.term ?? -1;
    };
    const shapes = this.#allowedLogs(snapshot);
    // The oldest segments may be lost to damage where the snapshot covers them.
    const begins = this.damaged ? (snapshot?.index ?? 0) : this.#compacted;
    const shape = shapes.find((one) => {
      if (lastIndex !== lastOf(one) || compacted.index > Math.max(begins, one.base.index)) return false;
      for (let index: number = Math.max(compacted.index, one.base.index); index <= lastIndex; index += 1)
        if (found(index) !== termIn(one, asIndex(index))) return false;
      return true;
    });
    // A node that knows that it forgot may have forgotten; the protocol makes up for it.
    if (shape === undefined && hardState.recovering && this.damaged) {
      this.#forget(recovered, found);
      this.#compacted = Math.max(this.#compacted, compacted.index);
      return;
    }
    check(shape !== undefined, 'DU', () => {
      const logs = shapes.map(
        (one) => `${one.base.index + 1} to ${lastOf(one)}@${termIn(one, asIndex(lastOf(one)))}`,
      );
      return `${this.#name} came up with entries ${compacted.index + 1} to ${lastIndex}@${found(lastIndex)}; durable were ${logs.join(' or ')}`;
    });
    this.#base = shape.base;
    this.#entries = [...shape.entries];
    this.#compacted = Math.max(this.#compacted, compacted.index);
  }

  /**
   * The log ends earlier, or with what its last batches had replaced. Where it ends before its snapshot does, it gave way
   * to that.
   */
  #forget({ compacted, lastIndex, snapshot }: Recovered, termOf: (index: number) => number): void {
    check(
      compacted.index <= Math.max(this.#compacted, snapshot?.index ?? 0),
      'DU',
      () => `${this.#name} came up with a log that begins after ${compacted.index}, which no snapshot covers`,
    );
    const before = this.#entries;
    const from = this.#base.index + 1;
    const gaveWay = lastIndex === compacted.index && lastIndex === snapshot?.index;
    if (gaveWay && this.#files.has(snapshot.index))
      this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    for (let index = this.#base.index + 1; index <= lastIndex; index += 1) {
      const known = before[index - from];
      const kept = index <= this.#compacted ? known?.term : termOf(index);
      const entry = known?.term === kept ? known : this.#replaced.get(`${index}@${kept}`);
      check(
        entry !== undefined,
        'DU',
        () => `${this.#name} came up with entry ${index}@${kept}, which it never had`,
      );
      this.#entries.push(entry);
    }
    for (const { index, term } of before)
      if (index > this.#base.index && this.termAt(index) !== term) this.#owed.set(index, term);
  }

  /** Whether it had the entry, lost it, and knows that it can't vote before it has it again. */
  owes(index: Index, term: Term): boolean {
    return this.hardState.recovering && this.#owed.get(index) === term;
  }

  #allowedLogs(snapshot: SnapshotMeta | null): Shape[] {
    const now: Shape = { base: this.#base, entries: this.#entries };
    const shapes = [now];
    const [first] = this.#appending?.entries ?? [];
    if (this.#appending !== null && first !== undefined) {
      const kept = this.#entries.slice(0, Math.max(0, first.index - this.#base.index - 1));
      shapes.push({ base: this.#base, entries: [...kept, ...this.#appending.entries] });
    }
    const installed = this.#resetting ?? snapshot;
    if (installed !== null && this.#files.has(installed.index)) {
      const { index, term } = installed;
      if (this.#resetting !== null || this.termAt(index) !== term)
        shapes.push({ base: { index, term }, entries: [] });
    }
    return shapes;
  }
}

function termIn({ base, entries }: Shape, index: Index): Term | null {
  return index === base.index ? base.term : (entries[index - base.index - 1]?.term ?? null);
}

function lastOf({ base, entries }: Shape): number {
  return base.index + entries.length;
}

function show({ term, vote, recovering }: HardState): string {
  return `term ${term}, vote ${vote ?? 'none'}${recovering ? ', recovering' : ''}`;
}
