/**
 * A short way to what was used lately: from a key as its caller has it straight to its text and its entry. The way around it
 * looks at every character of the key, to hash it and to see whether it is ASCII, finds the shard and the entry first and looks
 * at every character of the value: most of what a read or a write costs.
 *
 * Only plain keys are here, nothing but ASCII, and only while they hold plain strings without a deadline. A key has a slot,
 * and arrays hold what belongs to it: side by side in memory, which entries are not.
 */
import type { Entry } from '../store/entry.ts';
import type { Bytes } from './text.ts';

/** Keys; with their slots about 7 MB. All are forgotten when it is full: those in use are back with their next use. */
const KEYS_MAX = 128 * 1024;

export class RecentEntries {
  readonly #slots = new Map<Bytes, number>();
  /** Undefined where the key has changed since. */
  #texts: (string | undefined)[] = [];
  #entries: Entry[] = [];

  /** The slot of a key, which is plain then; undefined where it is not known here. */
  slot(key: Bytes): number | undefined {
    return this.#slots.get(key);
  }

  /** What the key of the slot holds; undefined where that is not known here. */
  text(slot: number): string | undefined {
    return this.#texts[slot];
  }

  /** The entry of the slot's key; undefined likewise. */
  entry(slot: number): Entry | undefined {
    return this.#texts[slot] === undefined ? undefined : this.#entries[slot];
  }

  /** What the key of the slot holds now. */
  put(slot: number, text: string, entry: Entry): void {
    this.#texts[slot] = text;
    this.#entries[slot] = entry;
  }

  /** A plain key and what it holds. */
  add(key: string, text: string, entry: Entry): void {
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      if (this.#slots.size >= KEYS_MAX) this.clear();
      slot = this.#slots.size;
      this.#slots.set(key, slot);
    }
    this.put(slot, text, entry);
  }

  /** The key has changed in some way. */
  changed(key: string): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined) this.#texts[slot] = undefined;
  }

  clear(): void {
    this.#slots.clear();
    this.#texts = [];
    this.#entries = [];
  }
}
