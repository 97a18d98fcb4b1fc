import type { Timer } from './deadlines.ts';
import { PLAIN } from './usage.ts';
import type { Value } from './value.ts';

/** A key and what is known about it. Changed in place when the key is overwritten: no allocation, no new place in the table. */
export class Entry<V extends Value = Value> {
  readonly key: string;
  value: V;
  /** Deadline in ms since 1970, 0 for none. */
  declare expiresAt: number;
  /** The number of the write that last changed it, see `Keyspace.writeNumber`. */
  version: number;
  /** For `Deadlines` only. */
  declare timer: Timer | null;
  /** When it was last used and how often, see `usage.ts`. Each node's own, and no part of the state. */
  usage: number;
  /** For `EntryTable` only. */
  next: Entry | undefined = undefined;

  constructor(key: string, value: V, version: number, usage = 0) {
    this.key = key;
    this.value = value;
    this.version = version;
    this.usage = usage;
  }
}

// Most entries never have a deadline: what their prototype has takes no room in them (16 bytes of some 230).
Object.assign(Entry.prototype, { expiresAt: 0, timer: null });

/** An entry that knows when it was made and when it last changed, in ms since 1970; 0 for unknown. */
export class TimedEntry extends Entry {
  createdAt = 0;
  updatedAt = 0;
}

/** Whether it is known that the entry holds a string of nothing but ASCII. */
export function isPlain(entry: Entry): entry is Entry<string> {
  return entry.usage < 0;
}

/** Notes that the entry holds a string of nothing but ASCII; known until it changes. */
export function notePlain(entry: Entry): void {
  entry.usage |= PLAIN;
}
