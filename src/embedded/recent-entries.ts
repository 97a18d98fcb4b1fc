/**
 * A short way to what was used lately: from a key as its caller has it straight to its entry. The way around it looks at every
 * character of the key, to hash it and to see whether it is ASCII, and finds the shard first: most of what a read or a write
 * costs.
 *
 * Only plain keys that hold plain strings are here. What makes a way wrong is seen from the entry itself: a change, its removal
 * among them, takes the note that its value is plain away.
 */
import { type Entry, isPlain } from '../store/keyspace.ts';
import type { Bytes } from './text.ts';

/** Entries; about 5 MB. All are forgotten when it is full: those in use are back with their next use. */
const ENTRIES_MAX = 128 * 1024;

export class RecentEntries {
  readonly #entries = new Map<Bytes, Entry>();
  #generation: object | null = null;

  /** The key's entry, which holds a plain string; undefined for not known here. `generation`: the store's. */
  find(key: Bytes, generation: object): Entry<string> | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || !isPlain(entry)) return undefined;
    if (generation === this.#generation) return entry;
    // Everything was removed at once, and no entry was told.
    this.#entries.clear();
    this.#generation = generation;
    return undefined;
  }

  /** Whether the key is here, and so plain; its entry need not be. */
  has(key: Bytes): key is string {
    return this.#entries.has(key);
  }

  /** A plain key, and its entry. */
  add(key: string, entry: Entry): void {
    if (this.#entries.size >= ENTRIES_MAX) this.#entries.clear();
    this.#entries.set(key, entry);
  }

  clear(): void {
    this.#entries.clear();
  }
}
