/**
 * All keys as they are at one moment, to be looked at one after the other while writes go on.
 *
 * It goes through the shards in order, and through a shard's keys in the order of their bytes: how the table came to hold
 * them is no part of the state, and the same state makes the same snapshot. Just before a key changes in a shard that it has
 * not reached, it keeps what the key held (a pointer to a string, a fork of a collection); when it comes to the shard it takes
 * the kept image in place of the present one and lets it go. So it costs memory only for keys that change ahead of it, and
 * stops nobody.
 */
import { type Entry, TimedEntry } from './entry.ts';
import { type EntryTable, SHARD_COUNT } from './entry-table.ts';
import { fnv1a } from './fnv.ts';
import type { Keyspace, View } from './keyspace.ts';
import { forkOf, type Value } from './value.ts';

/** What a key held at that moment. */
export interface Image {
  readonly value: Value;
  readonly expiresAt: number;
  readonly version: number;
  /** In ms since 1970; null where they are not kept. */
  readonly times: { readonly createdAt: number; readonly updatedAt: number } | null;
}

export interface FrozenKey {
  readonly key: string;
  readonly image: Image;
}

export class Frozen implements View {
  readonly #keyspace: Keyspace;
  readonly #table: EntryTable;
  /** Images of keys that changed, per shard not reached yet; null: the key did not exist. */
  readonly #images: (Map<string, Image | null> | undefined)[] = [];
  /** The first shard whose keys have not been collected. */
  #nextShard = 0;
  /** The keys of the shard before it, and how many of them were taken. */
  #collected: FrozenKey[] = [];
  #taken = 0;
  #imageCount = 0;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
    this.#table = keyspace.table;
    keyspace.addView(this);
  }

  /** How many images are held of keys that changed ahead of it. */
  get images(): number {
    return this.#imageCount;
  }

  /** The next key, which stays the next until it is taken; undefined when there is no more. */
  peek(): FrozenKey | undefined {
    while (this.#taken === this.#collected.length && this.#nextShard < SHARD_COUNT) {
      this.#collected = this.#collect(this.#nextShard);
      this.#taken = 0;
      this.#nextShard++;
    }
    return this.#collected[this.#taken];
  }

  /** Goes on to the key behind the next one. */
  take(): void {
    this.#taken++;
  }

  /** The keys from the next one on, each taken as it is given. */
  *[Symbol.iterator](): IterableIterator<FrozenKey> {
    for (let next = this.peek(); next !== undefined; next = this.peek()) {
      this.take();
      yield next;
    }
  }

  /** Keeps nothing any more. */
  close(): void {
    this.#keyspace.removeView(this);
    this.#images.length = 0;
    this.#imageCount = 0;
    this.#collected = [];
    this.#taken = 0;
    this.#nextShard = SHARD_COUNT;
  }

  beforeChange(shard: number, key: string, entry: Entry | undefined): void {
    if (shard < this.#nextShard) return;
    const images = (this.#images[shard] ??= new Map());
    if (images.has(key)) return;
    images.set(key, entry === undefined ? null : imageOf(entry));
    this.#imageCount++;
  }

  /** From now on the table is its own. */
  beforeClear(): void {
    this.#keyspace.removeView(this);
  }

  /** What the shard held at that moment. */
  #collect(at: number): FrozenKey[] {
    const images = this.#images[at];
    this.#images[at] = undefined;
    this.#imageCount -= images?.size ?? 0;
    const found: FrozenKey[] = [];
    for (const entry of this.#table.entriesOf(at)) {
      const { key } = entry;
      const image = images?.get(key);
      if (image !== null) found.push({ key, image: image ?? imageOf(entry) });
    }
    for (const [key, image] of images ?? [])
      if (image !== null && this.#table.get(key, fnv1a(key)) === undefined) found.push({ key, image });
    return found.sort((one, other) => (one.key < other.key ? -1 : 1));
  }
}

function imageOf(entry: Entry): Image {
  const { value, expiresAt, version } = entry;
  const times =
    entry instanceof TimedEntry ? { createdAt: entry.createdAt, updatedAt: entry.updatedAt } : null;
  return { value: forkOf(value), expiresAt, version, times };
}
