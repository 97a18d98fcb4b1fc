/**
 * The keys and their values.
 *
 * A key whose deadline has passed is missing, for every command. Reads leave it where it is; a write that meets it,
 * or an expiry operation in the log, removes it.
 */
import type { Expiring } from './collection.ts';
import { Deadlines, type Timed } from './deadlines.ts';
import { Entry, TimedEntry } from './entry.ts';
import { EntryTable, SHARD_COUNT, shardOf } from './entry-table.ts';
import { fnv1a } from './fnv.ts';
import type { StoreListener } from './listener.ts';
import { PLAIN, UsageClock } from './usage.ts';
import { bytesOf, type Value } from './value.ts';

/** The version of a key that no version equals, this one neither: what it holds has changed and will be changed. */
export const UNSETTLED: number = Number.MAX_SAFE_INTEGER;

/** Told about every change just before it happens, so that it can keep what was there. */
export interface View {
  /** `entry` is undefined when the key did not exist. */
  beforeChange(shard: number, key: string, entry: Entry | undefined): void;
  /** The table is about to be given up, and will never change again. */
  beforeClear(): void;
}

export class Keyspace {
  /**
   * Counts the writes since the beginning of the log; changed keys take it as their version. Finer than the entry's
   * index: a WATCH between two writes of one entry must see that the second one changed the key.
   */
  writeNumber = 0;
  #table = new EntryTable();
  /**
   * Per shard, the highest version of all keys that were removed from it: what there is to tell about a key that is
   * missing. Without it a missing key could come and go between WATCH and EXEC, and a GET in between would have seen what
   * EXEC knows nothing of. A number for each key would never end; that of a shard makes some watches of missing keys fail
   * in vain, when another of the shard's keys is removed.
   */
  readonly #removals: Float64Array = new Float64Array(SHARD_COUNT);
  #deadlines = new Deadlines();
  /** Of keys that hold something whose parts have deadlines: when the first part expires. */
  #partDeadlines = new Deadlines();
  readonly #partTimers = new Map<string, Timed>();
  #size = 0;
  #bytes = 0;
  /** Hardly ever one, never many: whoever looks at all keys while they change. */
  #views: readonly View[] = [];
  /** Entries whose collections the command under way changes: what they take now is not in `#bytes`. */
  #changing: { readonly key: string; readonly entry: Entry }[] = [];
  /** Tells the time to what is no part of the state: uses and events. Its own clock is set before every command. */
  readonly usage: UsageClock = new UsageClock();
  /** Told what happens to keys. Each node's own. */
  listener: StoreListener | null = null;
  /** Whether entries are {@link TimedEntry}. */
  readonly timed: boolean;

  constructor(timed = false) {
    this.timed = timed;
  }

  /** What all keys and values take in memory, about, in bytes. The same on every node. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keys held, those included whose deadline passed but which nothing has removed yet (as in Redis). */
  get size(): number {
    return this.#size;
  }

  /** How many of them have a deadline. */
  get expiring(): number {
    return this.#deadlines.count;
  }

  /** When the next key expires, or a part of what one holds, in ms since 1970; Infinity for never. Amortised O(1). */
  get earliestDeadline(): number {
    return Math.min(this.#deadlines.earliest(), this.#partDeadlines.earliest());
  }

  /** Up to `max` keys that have expired at `now` or that hold something of which a part has; the first ones of either kind. */
  due(now: number, max: number): string[] {
    const keys = this.#deadlines.due(now, max);
    return [...keys, ...this.#partDeadlines.due(now, max - keys.length)];
  }

  /** To be looked at only. Another one after everything was removed. */
  get table(): EntryTable {
    return this.#table;
  }

  /** Per shard, the highest version of all keys that were removed; 0 for none. */
  get removals(): Readonly<Float64Array> {
    return this.#removals;
  }

  /** The entry whatever its deadline. */
  peek(key: string): Entry | undefined {
    return this.#table.get(key, fnv1a(key));
  }

  /** The entry of a key that is alive at `now`: the look-up for commands that tell about the key and do not use it. */
  find(key: string, now: number): Entry | undefined {
    const entry = this.peek(key);
    return entry === undefined || isExpired(entry, now) ? undefined : entry;
  }

  /** The same for commands that read what the key holds. */
  get(key: string, now: number): Entry | undefined {
    const entry = this.find(key, now);
    if (entry === undefined) this.usage.misses++;
    else {
      this.usage.hits++;
      entry.usage = this.usage.next(entry.usage);
    }
    return entry;
  }

  /**
   * A number that is another one after every change of the key. Even while the key is there, odd while it is missing; one
   * that has expired is told of as if it were removed, so that nothing changes when it is. {@link UNSETTLED} while something
   * that has expired is in what the key holds.
   */
  version(key: string, now: number): number {
    const entry = this.peek(key);
    if (entry !== undefined && !isExpired(entry, now)) {
      const parts = expiringOf(entry);
      return parts !== null && parts.first <= now ? UNSETTLED : 2 * entry.version;
    }
    return 2 * Math.max(this.#removals[shardOf(fnv1a(key))] ?? 0, entry?.version ?? 0) + 1;
  }

  /** As `get`, and removes the key if its deadline has passed: the look-up for writes. */
  getForWrite(key: string, now: number): Entry | undefined {
    const entry = this.peek(key);
    if (entry === undefined) return undefined;
    if (!isExpired(entry, now)) {
      entry.usage = this.usage.next(entry.usage);
      return entry;
    }
    this.#expire(key, entry, now);
    return undefined;
  }

  /**
   * Removes the key if it has expired, or else up to `maxParts` parts of what it holds that have; how many of those. No use
   * of the key, but a write that is a change of it, with a number of its own.
   */
  expire(key: string, now: number, maxParts: number): number {
    const entry = this.peek(key);
    if (entry === undefined) return 0;
    if (isExpired(entry, now)) {
      this.#expire(key, entry, now);
      return 0;
    }
    const parts = expiringOf(entry);
    if (parts === null || parts.first > now || maxParts === 0) return 0;
    this.writeNumber++;
    this.change(key, entry);
    const removed = parts.remove(now, maxParts);
    this.listener?.event('h', 'hexpired', key);
    this.settle();
    return removed;
  }

  /**
   * Creates the key, with a `new` event, or overwrites it; `expiresAt` (ms since 1970, 0 for none) takes the place of its
   * deadline. One whose deadline has passed is overwritten, too, which tells the same as if it were removed before. Returns
   * the key's entry. `known`: it, where the caller has it already.
   */
  set(key: string, value: Value, expiresAt: number, known?: Entry): Entry {
    const hash = known === undefined || this.#views.length > 0 ? fnv1a(key) : 0;
    let entry = known ?? this.#table.get(key, hash);
    if (this.#views.length > 0) this.#tellViews(hash, key, entry);
    if (entry === undefined) {
      entry = this.#newEntry(key, value, this.writeNumber);
      this.#table.add(entry, hash);
      this.#size++;
      this.listener?.event('n', 'new', key);
    } else {
      if (isExpired(entry, this.usage.now)) {
        this.#tellExpired(key, entry.expiresAt, this.usage.now);
        this.listener?.event('n', 'new', key);
        if (this.timed && entry instanceof TimedEntry) entry.createdAt = this.usage.now;
      }
      this.#leave(key, entry);
      entry.value = value;
      this.#written(entry);
      entry.usage = this.usage.next(entry.usage);
    }
    this.#enter(key, entry);
    if (expiresAt !== 0) this.#deadlines.set(key, entry, expiresAt);
    else if (entry.timer !== null) this.#deadlines.clear(entry);
    return entry;
  }

  /** Gives an existing key a new value and leaves its deadline. */
  replace(key: string, entry: Entry, value: Value): void {
    this.#beforeChange(key, entry);
    this.#leave(key, entry);
    entry.value = value;
    this.#written(entry);
    this.#enter(key, entry);
  }

  /**
   * To be called before the command changes the collection under the key in place, for the first time or again. Until the
   * command ends a key may hold a collection with nothing in it; {@link settle} then removes it. `silently`: who watches the
   * key, waits for it or has a copy of it does not hear of it, as of what Redis does not call a change.
   */
  change(key: string, entry: Entry, silently = false): void {
    if (!this.#changing.some((changing) => changing.entry === entry)) {
      this.#beforeChange(key, entry);
      this.#leave(key, entry);
      this.#changing.push({ key, entry });
    } else if (entry.version === this.writeNumber) return;
    if (silently) return;
    this.#written(entry);
    this.listener?.changed(key);
  }

  /** A write has ended: collections that it left empty are removed, with a `del` event. */
  settle(): void {
    if (this.#changing.length === 0) return;
    const changed = this.#changing;
    this.#changing = [];
    for (const { key, entry } of changed) {
      const { value } = entry;
      this.#bytes += bytesOf(key, value);
      this.#followParts(key, entry);
      if (typeof value === 'string' || !value.vanishes) continue;
      this.delete(key);
      this.listener?.event('g', 'del', key);
    }
  }

  /** Gives an existing key a deadline in ms since 1970, or takes it away with 0. */
  setDeadline(key: string, entry: Entry, expiresAt: number): void {
    this.#beforeChange(key, entry);
    this.#written(entry);
    if (expiresAt !== 0) this.#deadlines.set(key, entry, expiresAt);
    else this.#deadlines.clear(entry);
    this.listener?.changed(key);
  }

  /** Removes the key whatever its deadline; false if there was none. */
  delete(key: string): boolean {
    const hash = fnv1a(key);
    const entry = this.#table.get(key, hash);
    if (entry === undefined) return false;
    if (this.#views.length > 0) this.#tellViews(hash, key, entry);
    this.#table.delete(entry, hash);
    this.#leave(key, entry);
    // Whoever still has the entry must not keep what it held.
    entry.value = '';
    const at = shardOf(hash);
    this.#removals[at] = Math.max(this.#removals[at] ?? 0, entry.version);
    this.#deadlines.clear(entry);
    this.#leaveParts(key);
    this.#size--;
    this.listener?.changed(key);
    return true;
  }

  /** Removes everything. The old table is left to whoever still reads it and to the garbage collector. */
  clear(): void {
    for (const view of this.#views) view.beforeClear();
    // As if every key had just been written: to look for the highest version would take as long as there are keys.
    for (let shard = 0; shard < SHARD_COUNT; shard++)
      if (this.#table.sizeOf(shard) > 0) this.#removals[shard] = this.writeNumber;
    this.#table = new EntryTable();
    this.#deadlines = new Deadlines();
    this.#partDeadlines = new Deadlines();
    this.#partTimers.clear();
    this.#size = 0;
    this.#bytes = 0;
    this.#changing = [];
    this.listener?.cleared();
  }

  /**
   * A few keys by chance, for whoever chooses among them; a key may come twice, and fewer come where keys are few. `random`
   * gives numbers in [0, 1). What comes depends on the order inside the node: nothing replicated may depend on it.
   */
  sample(from: 'all' | 'expiring', count: number, random: () => number): string[] {
    const keys: string[] = [];
    for (let tries = 4 * count; tries > 0 && keys.length < count && this.#size > 0; tries--) {
      if (from === 'expiring') {
        const key = this.#deadlines.at(random());
        if (key !== undefined) keys.push(key);
        continue;
      }
      const start = Math.floor(random() * SHARD_COUNT);
      const entry = this.#table.anyOf(this.#occupied(start), random);
      if (entry !== undefined) keys.push(entry.key);
    }
    return keys;
  }

  /** That shard, or the next one that has keys. */
  #occupied(start: number): number {
    for (let at = start; at < start + SHARD_COUNT; at++)
      if (this.#table.sizeOf(at % SHARD_COUNT) > 0) return at % SHARD_COUNT;
    return start;
  }

  /** Puts an entry back as it was, when a snapshot is restored; false if the key is there already. */
  restore(key: string, value: Value, expiresAt: number, version: number): boolean {
    const hash = fnv1a(key);
    if (this.#table.get(key, hash) !== undefined) return false;
    const entry = this.#newEntry(key, value, version);
    if (entry instanceof TimedEntry) {
      entry.createdAt = 0;
      entry.updatedAt = 0;
    }
    this.#table.add(entry, hash);
    this.#size++;
    this.#bytes += bytesOf(key, value);
    if (expiresAt !== 0) this.#deadlines.set(key, entry, expiresAt);
    this.#followParts(key, entry);
    return true;
  }

  /** Puts back when the entry was made and last changed, in ms since 1970; false if there is no such key. */
  restoreTimes(key: string, createdAt: number, updatedAt: number): boolean {
    const entry = this.peek(key);
    if (entry instanceof TimedEntry) {
      entry.createdAt = createdAt;
      entry.updatedAt = updatedAt;
    }
    return entry !== undefined;
  }

  /** Puts the number of a shard's last removal back, when a snapshot is restored; false if it makes no sense. */
  restoreRemoval(shard: number, number: number): boolean {
    if (shard >= SHARD_COUNT || number > this.writeNumber) return false;
    this.#removals[shard] = number;
    return true;
  }

  /** Tells the view of every change from now on. */
  addView(view: View): void {
    this.#views = [...this.#views, view];
  }

  removeView(view: View): void {
    this.#views = this.#views.filter((each) => each !== view);
  }

  #newEntry(key: string, value: Value, version: number): Entry {
    const usage = this.usage.first();
    if (!this.timed) return new Entry(key, value, version, usage);
    const entry = new TimedEntry(key, value, version, usage);
    entry.createdAt = this.usage.now;
    entry.updatedAt = this.usage.now;
    return entry;
  }

  /** The write under way has changed the entry. */
  #written(entry: Entry): void {
    entry.version = this.writeNumber;
    if (this.timed && entry instanceof TimedEntry) entry.updatedAt = this.usage.now;
  }

  /** What the key held is about to be replaced or removed: it counts no more. */
  #leave(key: string, entry: Entry): void {
    entry.usage &= ~PLAIN;
    const at =
      this.#changing.length === 0 ? -1 : this.#changing.findIndex((changing) => changing.entry === entry);
    // What is being changed was taken off when the change began.
    if (at === -1) this.#bytes -= bytesOf(key, entry.value);
    else this.#changing.splice(at, 1);
  }

  /** The key holds something else now. */
  #enter(key: string, entry: Entry): void {
    this.#bytes += bytesOf(key, entry.value);
    this.#followParts(key, entry);
    this.listener?.changed(key);
  }

  /** Notes when the first part of what the key holds expires. */
  #followParts(key: string, entry: Entry): void {
    const first = expiringOf(entry)?.first ?? Infinity;
    if (first === Infinity) {
      this.#leaveParts(key);
      return;
    }
    let timed = this.#partTimers.get(key);
    if (timed === undefined) {
      timed = { expiresAt: 0, timer: null };
      this.#partTimers.set(key, timed);
    }
    this.#partDeadlines.set(key, timed, first);
  }

  #leaveParts(key: string): void {
    // Most stores have nothing of the kind, and this runs with every write.
    if (this.#partTimers.size === 0) return;
    const timed = this.#partTimers.get(key);
    if (timed === undefined) return;
    this.#partDeadlines.clear(timed);
    this.#partTimers.delete(key);
  }

  /** Removes a key that has expired. */
  #expire(key: string, entry: Entry, now: number): void {
    const { expiresAt } = entry;
    this.delete(key);
    this.#tellExpired(key, expiresAt, now);
  }

  /** A hash of which all fields have expired is told of as one that was emptied. */
  #tellExpired(key: string, expiresAt: number, now: number): void {
    if (expiresAt !== 0 && expiresAt <= now) this.listener?.event('x', 'expired', key);
    else {
      this.listener?.event('h', 'hexpired', key);
      this.listener?.event('g', 'del', key);
    }
  }

  #beforeChange(key: string, entry: Entry): void {
    if (this.#views.length > 0) this.#tellViews(fnv1a(key), key, entry);
  }

  #tellViews(hash: number, key: string, entry: Entry | undefined): void {
    for (const view of this.#views) view.beforeChange(shardOf(hash), key, entry);
  }
}

/** Whether its deadline has passed at `now`, or those of all parts of what it holds. */
export function isExpired(entry: Pick<Entry, 'value' | 'expiresAt'>, now: number): boolean {
  if (entry.expiresAt !== 0 && entry.expiresAt <= now) return true;
  const { value } = entry;
  return typeof value !== 'string' && value.expiring !== null && value.expiring.last <= now;
}

function expiringOf({ value }: Entry): Expiring | null {
  return typeof value === 'string' ? null : value.expiring;
}
