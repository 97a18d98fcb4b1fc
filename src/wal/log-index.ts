/**
 * Where every entry of the log lies, in memory: which segment, which offset. Segments are only ever written at their
 * end, so a truncation leaves superseded records behind; this index alone knows which records count.
 */
import { asIndex, asTerm, invariant, type Index, type Term, type TermRun } from '../raft/types.ts';
import type { Position } from './record.ts';

/** The entries that count in one segment: `first`, `first + 1`, … Their number is the length of the arrays. */
export interface SegmentEntries {
  readonly sequence: number;
  readonly name: string;
  first: Index;
  readonly offsets: number[];
  /** Payload bytes of each. */
  readonly sizes: number[];
}

/** Where one entry lies. */
export interface Place {
  readonly segment: SegmentEntries;
  /** Its place in the arrays of `segment`. */
  readonly at: number;
}

export class LogIndex {
  /** The entry before the first one. */
  base: Position;
  /** Oldest first; together they hold every entry exactly once, without gaps. */
  readonly segments: SegmentEntries[] = [];
  #runs: TermRun[] = [];
  #last: Index;

  constructor(base: Position) {
    this.base = { index: base.index, term: base.term };
    this.#last = base.index;
  }

  get first(): Index {
    return asIndex(this.base.index + 1);
  }

  get last(): Index {
    return this.#last;
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.base.term;
  }

  get termRuns(): readonly TermRun[] {
    return this.#runs;
  }

  /** The term of an entry between the base and the last, both included; `null` outside. */
  termAt(index: Index): Term | null {
    if (index === this.base.index) return this.base.term;
    if (index < this.base.index || index > this.#last) return null;
    let term: Term = this.base.term;
    for (const run of this.#runs) {
      if (run.first > index) break;
      term = run.term;
    }
    return term;
  }

  /** Following entries go into this segment. */
  addSegment(sequence: number, name: string): void {
    this.segments.push({ sequence, name, first: asIndex(this.#last + 1), offsets: [], sizes: [] });
  }

  add(index: Index, term: Term, offset: number, payloadBytes: number): void {
    const segment = this.segments.at(-1);
    invariant(
      segment !== undefined && index === this.#last + 1,
      () => `entry ${index} follows ${this.#last}`,
    );
    if (this.#runs.length === 0 || this.lastTerm !== term) this.#runs.push({ term, first: index });
    segment.offsets.push(offset);
    segment.sizes.push(payloadBytes);
    this.#last = index;
  }

  /** Forgets every entry after `last`, which may lie before the base: then the log begins after it. */
  truncate(last: Position): void {
    invariant(
      last.index <= this.#last,
      () => `truncation to ${last.index} beyond the last entry ${this.#last}`,
    );
    for (const segment of this.segments.toReversed()) {
      const keep = Math.max(0, last.index - segment.first + 1);
      if (keep >= segment.offsets.length && keep > 0) break;
      segment.offsets.length = keep;
      segment.sizes.length = keep;
      if (keep > 0) break;
      segment.first = asIndex(Math.min(segment.first, last.index + 1));
    }
    this.#runs = this.#runs.filter((run) => run.first <= last.index);
    if (last.index < this.base.index) this.base = { index: last.index, term: last.term };
    this.#last = last.index;
  }

  /** Where `index` lies; `null` when the log does not hold it. */
  find(index: Index): Place | null {
    if (index <= this.base.index || index > this.#last) return null;
    const segment = this.segments.findLast((candidate) => candidate.first <= index);
    invariant(segment !== undefined, () => `no segment holds entry ${index}`);
    const at = index - segment.first;
    invariant(at < segment.offsets.length, () => `${segment.name} does not hold entry ${index}`);
    return { segment, at };
  }

  /** The oldest segment, when the log no longer needs it once entries up to `to` may go; the newest always stays. */
  droppable(to: Index): SegmentEntries | null {
    const [oldest, next] = this.segments;
    return oldest !== undefined && next !== undefined && next.first - 1 <= to ? oldest : null;
  }

  /** Forgets the oldest segment and its entries. */
  dropOldest(): void {
    this.segments.shift();
    const base = asIndex((this.segments[0]?.first ?? this.#last + 1) - 1);
    this.base = { index: base, term: this.termAt(base) ?? asTerm(0) };
    const kept = this.#runs.findLastIndex((run) => run.first <= base + 1);
    this.#runs.splice(0, Math.max(0, kept));
    const [oldest] = this.#runs;
    if (oldest === undefined) return;
    if (this.#last === base) this.#runs = [];
    else if (oldest.first <= base) this.#runs[0] = { term: oldest.term, first: this.first };
  }

  /** Empties the log: it begins after `base`. Segments already forgotten by the caller's choice stay in order. */
  reset(base: Position): void {
    this.segments.length = 0;
    this.#runs = [];
    this.base = { index: base.index, term: base.term };
    this.#last = base.index;
  }
}
