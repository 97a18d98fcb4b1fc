/**
 * A hash table of entries in a fixed number of shards, each of which grows and shrinks by itself.
 *
 * Sharding bounds what one step can cost: a single table of 5M keys would rehash itself in one go of 0.6 s. SCAN and snapshots
 * move from shard to shard, whose membership never changes while keys come and go.
 * The hash depends on the key alone, so that a SCAN cursor means the same on every node and after every restart.
 *
 * The entries of a bucket are linked, which takes no objects but them: with a `Map` in each shard an entry of a million took 11
 * bytes more, and a SET a tenth longer. Two kinds of keys are no good there, and go to a `Map` of their shard: those of a bucket
 * too full for chance, because everybody can work out the hash and make keys that all come into one (the hash of a `Map` is
 * secret); and long ones, because a shard that changes its size hashes its keys again (a `Map` keeps the hashes).
 */
import type { Entry } from './entry.ts';
import { fnv1a } from './fnv.ts';
import { invariant } from './invariant.ts';

/**
 * How many shards. Memory and speed of GET and SET hardly depend on it (4096 against 16384: within 5 %); more of
 * them make SCAN's steps finer in a huge keyspace and KEYS and SCAN slower in a tiny one. At 5M keys a shard holds 1200.
 */
export const SHARD_COUNT = 4096;
const SHARD_BITS: number = Math.log2(SHARD_COUNT);

/** Entries per bucket from which a shard gets twice as many, and those from which it gets half as many. */
const LOAD_MAX = 1.5;
const LOAD_MIN = 1 / 8;
const BUCKETS_MIN = 4;
/** One more in a bucket comes about by chance in one of 10^12, when there are as many as may be. */
const CHAIN_MAX = 16;

/** Longer keys are never linked. */
const LINKED_KEY_BYTES_MAX = 1024;
/** Up to so many entries it is faster to list them than to find one by trying places, which succeeds once in 10 to 128 times. */
const LISTED_MAX = 32;
const TRIES = 1024;

/** The first entry of each chain. A power of two of them. */
type Buckets = (Entry | undefined)[];

/** Of a shard that never had a key; it gets others before its first one. */
const NO_BUCKETS: Buckets = [undefined];

/** The shard of the keys that have the hash. */
export function shardOf(hash: number): number {
  return hash & (SHARD_COUNT - 1);
}

/** `hash` is always {@link fnv1a} of the key, which callers have at hand. */
export class EntryTable {
  readonly #shards: Buckets[] = Array.from({ length: SHARD_COUNT }, () => NO_BUCKETS);
  readonly #sizes = new Uint32Array(SHARD_COUNT);
  /** By shard, the entries that are not linked. */
  readonly #others = new Map<number, Map<string, Entry>>();

  /** How many entries the shard has. */
  sizeOf(shard: number): number {
    return this.#sizes[shard] ?? 0;
  }

  /** The entries of the shard as they are now, in no order that means anything. */
  entriesOf(shard: number): Entry[] {
    const entries: Entry[] = [];
    for (const head of this.#shards[shard] ?? NO_BUCKETS)
      for (let each = head; each !== undefined; each = each.next) entries.push(each);
    for (const entry of this.#others.get(shard)?.values() ?? []) entries.push(entry);
    return entries;
  }

  /**
   * An entry of the shard by chance, each as likely as any other, as a rule without a look at all of them; undefined where
   * there is none. `random` gives numbers in [0, 1).
   */
  anyOf(shard: number, random: () => number): Entry | undefined {
    const buckets = this.#shards[shard] ?? NO_BUCKETS;
    const isListed = this.sizeOf(shard) <= LISTED_MAX || this.#others.has(shard);
    for (let tries = isListed ? 0 : TRIES; tries > 0; tries--) {
      let entry = buckets[Math.floor(random() * buckets.length)];
      // One place among as many as the longest chain has: most are empty, but none is likelier than others.
      let place = Math.floor(random() * CHAIN_MAX);
      for (; place > 0 && entry !== undefined; place--) entry = entry.next;
      if (entry !== undefined) return entry;
    }
    const entries = this.entriesOf(shard);
    return entries[Math.floor(random() * entries.length)];
  }

  get(key: string, hash: number): Entry | undefined {
    const buckets = this.#bucketsOf(hash);
    let entry = buckets[placeOf(hash, buckets)];
    while (entry !== undefined && entry.key !== key) entry = entry.next;
    if (entry === undefined && this.#others.size > 0) return this.#others.get(shardOf(hash))?.get(key);
    return entry;
  }

  /** Adds an entry whose key is not there. */
  add(entry: Entry, hash: number): void {
    const shard = shardOf(hash);
    const size = this.sizeOf(shard) + 1;
    this.#sizes[shard] = size;
    let buckets = this.#bucketsOf(hash);
    if (size > LOAD_MAX * buckets.length || buckets === NO_BUCKETS)
      buckets = this.#resize(shard, Math.max(2 * buckets.length, BUCKETS_MIN));
    this.#put(entry, shard, buckets, hash);
  }

  /** Removes an entry that is there. */
  delete(entry: Entry, hash: number): void {
    const shard = shardOf(hash);
    const buckets = this.#bucketsOf(hash);
    if (!unlink(buckets, placeOf(hash, buckets), entry)) this.#leaveOthers(shard, entry);
    const size = this.sizeOf(shard) - 1;
    this.#sizes[shard] = size;
    if (size < LOAD_MIN * buckets.length && buckets.length > BUCKETS_MIN)
      this.#resize(shard, buckets.length / 2);
  }

  #put(entry: Entry, shard: number, buckets: Buckets, hash: number): void {
    const at = placeOf(hash, buckets);
    const head = buckets[at];
    if (entry.key.length <= LINKED_KEY_BYTES_MAX && !isFull(head)) {
      entry.next = head;
      buckets[at] = entry;
      return;
    }
    entry.next = undefined;
    const others = this.#others.get(shard);
    if (others === undefined) this.#others.set(shard, new Map([[entry.key, entry]]));
    else others.set(entry.key, entry);
  }

  #leaveOthers(shard: number, { key }: Entry): void {
    const others = this.#others.get(shard);
    invariant(others?.delete(key) === true, `the key ${JSON.stringify(key)} is removed and was not there`);
    if (others.size === 0) this.#others.delete(shard);
  }

  /** All entries find their places again: some that were linked may have none in a chain now, and the other way round. */
  #resize(shard: number, length: number): Buckets {
    const entries = this.entriesOf(shard);
    const buckets: Buckets = Array.from({ length });
    this.#shards[shard] = buckets;
    this.#others.delete(shard);
    // Where a long key would have its place nobody asks.
    for (const entry of entries)
      this.#put(entry, shard, buckets, entry.key.length > LINKED_KEY_BYTES_MAX ? 0 : fnv1a(entry.key));
    return buckets;
  }

  #bucketsOf(hash: number): Buckets {
    // `shardOf` yields nothing outside the array.
    return this.#shards[shardOf(hash)] as Buckets;
  }
}

/** The bits of the hash that did not choose the shard. */
function placeOf(hash: number, buckets: Buckets): number {
  return (hash >>> SHARD_BITS) & (buckets.length - 1);
}

function isFull(head: Entry | undefined): boolean {
  let count = 0;
  for (let each = head; each !== undefined && count < CHAIN_MAX; each = each.next) count++;
  return count === CHAIN_MAX;
}

/** Takes the entry out of the chain; false if it is not in it. */
function unlink(buckets: Buckets, at: number, entry: Entry): boolean {
  let before: Entry | undefined;
  let each = buckets[at];
  while (each !== undefined && each !== entry) {
    before = each;
    each = each.next;
  }
  if (each === undefined) return false;
  if (before === undefined) buckets[at] = entry.next;
  else before.next = entry.next;
  // Whoever still has it must not keep those behind it.
  entry.next = undefined;
  return true;
}
