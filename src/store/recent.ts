/**
 * A table that forgets what was not used for longest once it is full, in number or in bytes. Which entry that is
 * follows from the uses alone, so nodes that see the same uses forget the same.
 */
import { invariant } from './invariant.ts';

/** What an entry costs in memory besides what it says itself, about. */
const ENTRY_OVERHEAD_BYTES = 256;

export class RecentTable<Key, Value> {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  /** Least recently used first. */
  readonly #entries = new Map<Key, { readonly value: Value; bytes: number }>();
  #bytes = 0;

  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Looks without using. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  /** The value, used last from now on. */
  use(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Adds an entry, used last; others may go for it. The key must be new. */
  add(key: Key, value: Value, bytes: number): void {
    invariant(!this.#entries.has(key), 'an entry is added a second time');
    this.#entries.set(key, { value, bytes: 0 });
    this.#bytes += ENTRY_OVERHEAD_BYTES;
    this.grow(key, bytes);
  }

  /** The entry, just used, has become larger by so many bytes, or smaller; others may go for it, never the last one. */
  grow(key: Key, bytes: number): void {
    const entry = this.#entries.get(key);
    invariant(entry !== undefined, 'an entry grows that is not there');
    entry.bytes += bytes;
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      const full = this.#entries.size > this.#entriesMax || this.#bytes > this.#bytesMax;
      if (!full || this.#entries.size === 1) return;
      this.delete(oldest);
    }
  }

  /** False if there was none. */
  delete(key: Key): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#bytes -= ENTRY_OVERHEAD_BYTES + entry.bytes;
    return true;
  }

  /** Least recently used first. */
  *[Symbol.iterator](): Generator<readonly [Key, Value], void, void> {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }
}
