/**
 * A node's disk: what survives its process. A write takes effect when it is finished; a crash in the middle leaves a
 * prefix of its stages, in the order the contract of `persist` gives them:
 *
 *   hard state ─▶ snapshot replaces log ─▶ conflicting tail cut off ─▶ entry ─▶ entry ─▶ … ─▶ commit hint
 */
import { decodeConfiguration, encodeConfiguration } from '../../src/raft/configuration.ts';
import {
  asIndex,
  asTerm,
  type Configuration,
  type Entry,
  EntryType,
  type HardState,
  type Index,
  type Persist,
  type Recovered,
  type SnapshotMeta,
  type Term,
  type TermRun,
} from '../../src/raft/types.ts';
import { check } from './failure.ts';
import type { Random } from './random.ts';

/** A guard taken away on purpose; the checks must notice. */
export type Mutation =
  | 'vote-persistence'
  | 'early-replies'
  | 'lost-entries'
  | 'commit-ahead'
  | 'unconfirmed-reads';

export const MUTATIONS: Readonly<Record<Mutation, string>> = {
  'vote-persistence': 'the disk forgets whom the node voted for',
  'early-replies': 'replies are sent when a disk write begins, not when it is durable',
  'lost-entries': 'a crash takes back the last entries although their write was reported as durable',
  'commit-ahead': 'after a restart everything on disk is taken for committed',
  'unconfirmed-reads': 'a node that believes it leads answers reads without a round',
};

/** Entries at the end of the log that are lost at once, at most. */
const LOST_ENTRIES_MAX = 6;
/** Snapshot files kept beside the one in use. */
const FILES_KEPT = 2;

export class Disk {
  readonly mutation: Mutation | null;
  hardState: HardState = { term: asTerm(1), vote: null, recovering: false };
  snapshot: SnapshotMeta | null = null;
  compacted: { readonly index: Index; readonly term: Term } = { index: asIndex(0), term: asTerm(0) };
  commit: Index = asIndex(0);
  /** Durable snapshot files, oldest first. */
  files: SnapshotMeta[] = [];
  inFlight: Persist | null = null;
  private entries: Entry[] = [];
  /** Terms of the entries that were durable here and are gone, by index; until the node has recovered. */
  private lost: ReadonlyMap<number, Term> = new Map();

  /** A disk as founding a cluster leaves it, with the configuration as entry 1, or `null`: as joining one does, empty. */
  constructor(configuration: Configuration | null, mutation: Mutation | null) {
    this.mutation = mutation;
    if (configuration === null) {
      this.hardState = { term: asTerm(0), vote: null, recovering: false };
      return;
    }
    this.entries.push(
      Object.freeze({
        index: asIndex(1),
        term: asTerm(1),
        type: EntryType.configuration,
        payload: encodeConfiguration(configuration),
      }),
    );
  }

  /** What an operator's copy of the directory holds. */
  copy(): Disk {
    const copy = new Disk(null, this.mutation);
    copy.hardState = this.hardState;
    copy.snapshot = this.snapshot;
    copy.compacted = this.compacted;
    copy.commit = this.commit;
    copy.files = [...this.files];
    copy.entries = [...this.entries];
    copy.lost = this.lost;
    return copy;
  }

  /**
   * The end of the log can't be read any more although it was durable, and the log notices: it cuts it off and has the
   * node recover. Returns how many entries are gone.
   */
  loseTail(random: Random): number {
    const floor = Math.max(this.snapshot?.index ?? 0, this.compacted.index, 1);
    const first = Math.max(floor + 1, this.lastIndex - random.below(LOST_ENTRIES_MAX));
    const lost = new Map(this.lost);
    for (let index = first; index <= this.lastIndex; index += 1)
      lost.set(index, this.termAt(asIndex(index)) as Term);
    const count = Math.max(0, this.lastIndex - first + 1);
    this.entries.length -= count;
    this.lost = lost;
    this.commit = asIndex(Math.min(this.commit, this.lastIndex));
    this.hardState = { ...this.hardState, recovering: true };
    return count;
  }

  /** Whether the entry was durable here, is lost, and the node knows that it must not vote without it. */
  owes(index: Index, term: Term): boolean {
    return this.hardState.recovering && this.lost.get(index) === term;
  }

  /** The configurations in the log, oldest first; the first may come from the snapshot. */
  configurations(): { readonly index: Index; readonly configuration: Configuration }[] {
    const found = this.entries.flatMap(({ index, type, payload }) =>
      type === EntryType.configuration ? [{ index, configuration: decodeConfiguration(payload) }] : [],
    );
    const { snapshot } = this;
    if (snapshot !== null && !found.some(({ index }) => index <= snapshot.index))
      found.unshift({ index: snapshot.configurationIndex, configuration: snapshot.configuration });
    return found;
  }

  get firstIndex(): Index {
    return asIndex(this.compacted.index + 1);
  }

  get lastIndex(): Index {
    return asIndex(this.compacted.index + this.entries.length);
  }

  termAt(index: Index): Term | null {
    if (index === this.compacted.index) return this.compacted.term;
    return this.entries[index - this.firstIndex]?.term ?? null;
  }

  /** Whether the entry's effect is safe here, in the log or in a snapshot. */
  holds(index: Index, term: Term): boolean {
    return (this.snapshot !== null && this.snapshot.index >= index) || this.termAt(index) === term;
  }

  begin(persist: Persist): void {
    check(this.inFlight === null, 'DC', () => `disk write ${persist.sequence} while another is under way`);
    this.inFlight = persist;
  }

  finish(): Persist {
    const persist = this.inFlight;
    check(persist !== null, 'DC', () => 'no disk write to finish');
    this.inFlight = null;
    this.write(persist, Number.POSITIVE_INFINITY);
    return persist;
  }

  /** The power goes: some prefix of the write under way is on disk. Returns how many of its stages are. */
  crash(random: Random): number {
    const persist = this.inFlight;
    this.inFlight = null;
    if (this.mutation === 'lost-entries') this.forgetTail(random);
    if (persist === null) return 0;
    const stages = random.below(3 + persist.entries.length + 1);
    this.write(persist, stages);
    return stages;
  }

  private write(persist: Persist, stages: number): void {
    if (stages >= 1 && persist.hardState !== null) {
      this.hardState =
        this.mutation === 'vote-persistence' ? { ...persist.hardState, vote: null } : persist.hardState;
      if (!this.hardState.recovering) this.lost = new Map();
    }
    const { snapshot } = persist;
    if (stages >= 2 && snapshot !== null) {
      this.snapshot = snapshot;
      this.compacted = { index: snapshot.index, term: snapshot.term };
      this.entries = [];
      this.commit = snapshot.index;
    }
    const first = persist.entries[0]?.index;
    if (first === undefined) {
      if (stages >= 3) this.commit = persist.commit;
      return;
    }
    if (stages >= 3) this.entries.length = Math.min(this.entries.length, first - this.firstIndex);
    const written = Math.min(persist.entries.length, stages - 3);
    for (let at = 0; at < written; at += 1) this.entries.push(persist.entries[at] as Entry);
    if (stages > 3 + persist.entries.length) this.commit = persist.commit;
  }

  private forgetTail(random: Random): void {
    const floor = Math.max(this.snapshot?.index ?? 1, this.compacted.index);
    const lost = Math.min(random.below(4), this.lastIndex - floor);
    this.entries.length -= lost;
    this.commit = asIndex(Math.min(this.commit, this.lastIndex));
  }

  /** A file of this node's own snapshot is complete. */
  saveFile(snapshot: SnapshotMeta): void {
    this.addFile(snapshot);
    if (snapshot.index > (this.snapshot?.index ?? 0)) this.snapshot = snapshot;
  }

  /** A file from another node is complete; it counts once a `persist` has named it. */
  addFile(snapshot: SnapshotMeta): void {
    if (this.hasFile(snapshot)) return;
    this.files.push(snapshot);
    while (this.files.length > FILES_KEPT && this.files[0]?.index !== this.snapshot?.index)
      this.files.shift();
  }

  hasFile(snapshot: SnapshotMeta): boolean {
    return this.files.some((file) => file.index === snapshot.index && file.checksum === snapshot.checksum);
  }

  compact(to: Index): void {
    const term = this.termAt(to);
    check(
      term !== null && this.snapshot !== null && to <= this.snapshot.index,
      'DC',
      () => `compaction to ${to} on a disk with entries ${this.firstIndex} to ${this.lastIndex}`,
    );
    this.entries.splice(0, to - this.compacted.index);
    this.compacted = { index: to, term };
  }

  /** Entries from `from` to `to`, at least one if it is there, then up to `maxBytes`. */
  read(from: Index, to: Index, maxBytes: number): Entry[] {
    const found: Entry[] = [];
    let bytes = 0;
    for (let index: number = from; index <= to; index += 1) {
      const entry = this.entries[index - this.firstIndex];
      if (entry === undefined) break;
      bytes += entry.payload.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  recover(): Recovered {
    const termRuns: TermRun[] = [];
    const configurations: { index: Index; configuration: Configuration }[] = [];
    for (const { index, term, type, payload } of this.entries) {
      if (termRuns.at(-1)?.term !== term) termRuns.push({ term, first: index });
      if (type === EntryType.configuration)
        configurations.push({ index, configuration: decodeConfiguration(payload) });
    }
    const commit = this.mutation === 'commit-ahead' ? this.lastIndex : this.commit;
    return {
      hardState: this.hardState,
      snapshot: this.snapshot,
      firstIndex: this.firstIndex,
      lastIndex: this.lastIndex,
      compacted: this.compacted,
      termRuns,
      configurations,
      commit: asIndex(Math.max(commit, this.snapshot?.index ?? 0)),
    };
  }
}
