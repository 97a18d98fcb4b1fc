/**
 * The replicated log as the core sees it: which term every index has (as runs, a few numbers for millions of
 * entries), which configurations it holds, and the newest entries themselves. Older entries are only on disk and are
 * read back through a `readLog` effect.
 *
 * ```
 *   compacted.index   cacheFirst                  lastIndex
 *         │               │                           │
 *   ──────┼───────────────┼───────────────────────────┤
 *   in the snapshot   on disk only       in memory
 * ```
 */
import { decodeConfiguration, NOBODY } from './configuration.ts';
import {
  asIndex,
  asTerm,
  type Configuration,
  type Entry,
  EntryType,
  type Index,
  invariant,
  type Recovered,
  type SnapshotMeta,
  type Term,
  type TermRun,
} from './types.ts';

/** What an entry costs in memory beside its payload; used wherever entries are counted in bytes. */
const ENTRY_OVERHEAD_BYTES = 64;
/** Evicted slots at the head of the cache are cut off in one go once there are this many, to keep that linear. */
const CACHE_TRIM_SLOTS = 1024;

export interface ConfigurationAt {
  readonly index: Index;
  readonly configuration: Configuration;
}

/** Size of an entry for the bounds on messages, windows and caches. */
export function entryBytes(entry: Entry): number {
  return entry.payload.length + ENTRY_OVERHEAD_BYTES;
}

export class Log {
  /** The entry before the first one kept; its term is needed to check the first append. */
  compacted: { readonly index: Index; readonly term: Term };
  lastIndex: Index;
  /** The newest snapshot on this node's disk. */
  snapshot: SnapshotMeta | null;
  private runs: TermRun[];
  /** Oldest first; the first one was in force at `compacted.index`, the last one is in force now. */
  private configurations: ConfigurationAt[];
  /** Slots before `cacheHead` are emptied: their payloads must not stay alive until the array is trimmed. */
  private cache: (Entry | null)[] = [];
  private cacheHead = 0;
  private cacheFirstIndex: Index;
  private cacheBytes = 0;

  constructor(recovered: Recovered) {
    this.compacted = recovered.compacted;
    this.lastIndex = recovered.lastIndex;
    this.snapshot = recovered.snapshot;
    this.runs = [...recovered.termRuns];
    this.cacheFirstIndex = asIndex(recovered.lastIndex + 1);
    this.configurations = recovered.configurations.filter((at) => at.index <= recovered.lastIndex);
    const { snapshot } = recovered;
    if (snapshot !== null && !this.configurations.some((at) => at.index <= snapshot.index)) {
      this.configurations.unshift({
        index: snapshot.configurationIndex,
        configuration: snapshot.configuration,
      });
    }
    if (this.configurations.length === 0) {
      invariant(
        recovered.lastIndex === 0,
        () => `the log ends at ${recovered.lastIndex} and holds no configuration`,
      );
      this.configurations.push({ index: asIndex(0), configuration: NOBODY });
    }
  }

  get firstIndex(): Index {
    return asIndex(this.compacted.index + 1);
  }

  get lastTerm(): Term {
    return this.runs.at(-1)?.term ?? this.compacted.term;
  }

  /** The one in force: the latest, committed or not. */
  get configuration(): Configuration {
    return this.latestConfiguration().configuration;
  }

  get configurationIndex(): Index {
    return this.latestConfiguration().index;
  }

  /** The term runs of the kept entries, oldest first. */
  get termRuns(): readonly TermRun[] {
    return this.runs;
  }

  /** The term of the entry at `index`, `null` where the log does not know it (compacted or beyond the end). */
  termAt(index: Index): Term | null {
    if (index === this.compacted.index) return this.compacted.term;
    if (index < this.compacted.index || index > this.lastIndex) return null;
    return this.runs[this.runOf(index)]?.term ?? null;
  }

  /** The largest index up to `index` whose term is at most `term`; never below the compacted one (thesis 3.5's back-up). */
  lastIndexOfTermAtMost(index: Index, term: Term): Index {
    let candidate = index < this.lastIndex ? index : this.lastIndex;
    for (let run = this.runOf(candidate); run >= 0; run -= 1) {
      const { term: runTerm, first } = this.runs[run] as TermRun;
      if (runTerm <= term) return candidate;
      candidate = asIndex(first - 1);
    }
    return candidate > this.compacted.index ? candidate : this.compacted.index;
  }

  /** Appends one entry right behind the last. */
  append(entry: Entry): void {
    invariant(entry.index === this.lastIndex + 1, () => `append of ${entry.index} behind ${this.lastIndex}`);
    invariant(entry.term >= this.lastTerm, () => `append of term ${entry.term} behind term ${this.lastTerm}`);
    if (this.runs.at(-1)?.term !== entry.term) this.runs.push({ term: entry.term, first: entry.index });
    this.cache.push(entry);
    this.cacheBytes += entryBytes(entry);
    this.lastIndex = entry.index;
    if (entry.type === EntryType.configuration) {
      this.configurations.push({ index: entry.index, configuration: decodeConfiguration(entry.payload) });
    }
  }

  /** Removes every entry from `index` on; configurations they brought are rolled back. */
  truncateFrom(index: Index): void {
    invariant(
      index > this.compacted.index,
      () => `truncation at ${index}, compacted to ${this.compacted.index}`,
    );
    while ((this.runs.at(-1)?.first ?? 0) >= index) this.runs.pop();
    while (this.configurations.length > 1 && this.latestConfiguration().index >= index)
      this.configurations.pop();
    invariant(
      this.latestConfiguration().index < index,
      () => `truncation at ${index} removes every configuration`,
    );
    const kept = Math.max(this.cacheHead, this.cacheHead + index - this.cacheFirstIndex);
    for (const entry of this.cache.splice(kept)) this.cacheBytes -= entry === null ? 0 : entryBytes(entry);
    this.lastIndex = asIndex(index - 1);
    if (this.cacheFirstIndex > index) this.cacheFirstIndex = index;
  }

  /** Forgets entries up to `index`, which must be covered by the snapshot. */
  compact(index: Index): void {
    const term = this.termAt(index);
    invariant(
      term !== null && index <= (this.snapshot?.index ?? 0),
      () => `compaction to ${index} is not covered`,
    );
    while (this.runs[1] !== undefined && this.runs[1].first <= index + 1) this.runs.shift();
    const first = this.runs[0];
    if (first !== undefined) {
      if (index === this.lastIndex) this.runs = [];
      else if (first.first <= index) this.runs[0] = { term: first.term, first: asIndex(index + 1) };
    }
    while (this.configurations[1] !== undefined && this.configurations[1].index <= index)
      this.configurations.shift();
    this.compacted = { index, term };
    while (this.cacheHead < this.cache.length && this.cacheFirstIndex <= index) this.evictFirst();
    this.trimCache();
    if (this.cacheFirstIndex <= index) this.cacheFirstIndex = asIndex(this.lastIndex + 1);
  }

  /** The whole log is replaced by a snapshot: it goes on behind the snapshot's index. */
  resetTo(snapshot: SnapshotMeta): void {
    this.compacted = { index: snapshot.index, term: snapshot.term };
    this.lastIndex = snapshot.index;
    this.snapshot = snapshot;
    this.runs = [];
    this.configurations = [{ index: snapshot.configurationIndex, configuration: snapshot.configuration }];
    this.cache = [];
    this.cacheHead = 0;
    this.cacheBytes = 0;
    this.cacheFirstIndex = asIndex(snapshot.index + 1);
  }

  /** The configuration in force at `index`, for a snapshot taken there. */
  configurationAt(index: Index): ConfigurationAt {
    const found = this.configurations.findLast((at) => at.index <= index);
    invariant(found !== undefined, () => `no configuration is known at ${index}`);
    return found;
  }

  /** The configurations that may be in force once it is settled what comes after `index`, oldest first. */
  configurationsFrom(index: Index): readonly ConfigurationAt[] {
    const first = this.configurations.findLastIndex((at) => at.index <= index);
    return this.configurations.slice(Math.max(first, 0));
  }

  /** Index of the first entry that is still in memory; last + 1 when none is. */
  get cacheFirst(): Index {
    return this.cacheFirstIndex;
  }

  /** The cached entry at `index`. */
  cached(index: Index): Entry {
    const entry = this.cache[this.cacheHead + index - this.cacheFirstIndex];
    invariant(entry?.index === index, () => `entry ${index} is not in memory`);
    return entry;
  }

  /** Cached entries from `from` to `to`, at least one, then as many as fit into `maxBytes`. */
  slice(from: Index, to: Index, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= to; index = asIndex(index + 1)) {
      const entry = this.cached(index);
      bytes += entryBytes(entry);
      if (entries.length > 0 && bytes > maxBytes) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Drops entries up to `upTo` from memory, oldest first, until the rest fits into `maxBytes`. */
  evict(upTo: Index, maxBytes: number): void {
    while (this.cacheBytes > maxBytes && this.cacheFirstIndex <= upTo && this.cacheHead < this.cache.length) {
      this.evictFirst();
    }
    this.trimCache();
  }

  private evictFirst(): void {
    const entry = this.cache[this.cacheHead];
    invariant(entry !== undefined && entry !== null, () => 'eviction from an empty cache');
    this.cacheBytes -= entryBytes(entry);
    this.cache[this.cacheHead] = null;
    this.cacheHead += 1;
    this.cacheFirstIndex = asIndex(this.cacheFirstIndex + 1);
  }

  private trimCache(): void {
    if (this.cacheHead === this.cache.length) {
      this.cache = [];
      this.cacheHead = 0;
    } else if (this.cacheHead >= CACHE_TRIM_SLOTS && this.cacheHead * 2 >= this.cache.length) {
      this.cache.splice(0, this.cacheHead);
      this.cacheHead = 0;
    }
  }

  /** Position of the run that holds `index`, -1 when it lies before all of them. */
  private runOf(index: Index): number {
    let low = 0;
    let high = this.runs.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if ((this.runs[middle] as TermRun).first <= index) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  /** There is always one. Asked for in every step, so without a closure for the evidence. */
  private latestConfiguration(): ConfigurationAt {
    return this.configurations.at(-1) as ConfigurationAt;
  }
}

/** Whether a candidate's log (`lastTerm`, `lastIndex`) is at least as up to date as `log` (thesis 3.6.1). */
export function isUpToDate(log: Log, lastTerm: Term, lastIndex: Index): boolean {
  return lastTerm > log.lastTerm || (lastTerm === log.lastTerm && lastIndex >= log.lastIndex);
}

/**
 * What a follower answers to an append whose previous entry it does not hold: the last index at which its log could
 * still agree with the leader's, and the term there. The leader skips in the same way on its side, so that at most
 * one probe per term is needed.
 */
export function conflictHint(log: Log, prevIndex: Index, prevTerm: Term): { index: Index; term: Term } {
  const index = log.lastIndexOfTermAtMost(prevIndex, prevTerm);
  return { index, term: log.termAt(index) ?? asTerm(0) };
}
