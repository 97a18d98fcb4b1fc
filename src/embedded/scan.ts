/**
 * Iterations over the store: in the order of the keys' bytes, from an index, or all as it is at one moment.
 */
import { type Entry, isPlain } from '../store/entry.ts';
import { isExpired } from '../store/keyspace.ts';
import type { Store as StateMachine } from '../store/store.ts';
import { Tree } from '../store/tree.ts';
import { isString, type Value } from '../store/value.ts';
import type { Range, RangeOptions } from './range.ts';
import { toText } from './text.ts';

/** With more changes than this share of the keys it is cheaper to begin anew. */
const CHANGED_SHARE_MAX = 0.25;
const CHANGED_MIN = 1024;
/** Keys that an iteration in order takes out of the index at once. */
const KEYS_AT_ONCE = 64;

/** What an iteration comes by. */
export interface Visited {
  readonly key: string;
  readonly value: Value;
  /** Whether the value is known to be a string of nothing but ASCII. */
  readonly plain: boolean;
}

/**
 * The entries in order of their keys' bytes. Made at the first scan; from then on keys that come and go are noted and put into
 * place by the next one, so that a store that never scans pays nothing. A scan looks at a fork, which writes do not disturb.
 * It has the entries themselves: the look-ups, which jump about in memory, are most of what a scan would cost.
 */
export class KeyIndex {
  readonly #machine: StateMachine;
  #keys: Tree<Readonly<Entry>> | null = null;
  readonly #changed = new Set<string>();
  /** Grows whenever a key comes or goes: while it stays the entries of a scan are those of the store. */
  #changes = 0;

  constructor(machine: StateMachine) {
    this.#machine = machine;
  }

  /** There is such a key now, or no longer. Its value is the entry's, which stays when that changes. */
  changed(key: string): void {
    this.#changes++;
    if (this.#keys === null) return;
    this.#changed.add(key);
    if (this.#changed.size > Math.max(CHANGED_MIN, CHANGED_SHARE_MAX * this.#keys.size)) this.forget();
  }

  /** Everything has changed. */
  forget(): void {
    this.#changes++;
    this.#keys = null;
    this.#changed.clear();
  }

  /**
   * The keys of the range that there are now, less those that are gone when their turn comes, with their values then; `clock`
   * tells the time in ms since 1970. From before it the index must be told of every key that comes or goes.
   */
  *scan({ from, to, reverse }: Range, clock: () => number): IterableIterator<Visited> {
    const keys = this.#read();
    const changes = this.#changes;
    let start = rankOf(keys, from);
    let end = to === null ? keys.size : rankOf(keys, to);
    while (start < end) {
      const some = reverse
        ? keys.slice(Math.max(start, end - KEYS_AT_ONCE), end).reverse()
        : keys.slice(start, Math.min(end, start + KEYS_AT_ONCE));
      if (reverse) end -= some.length;
      else start += some.length;
      for (const entry of some) {
        const there = this.#changes === changes ? entry : this.#machine.stored(entry.key);
        if (there !== undefined && !this.#machine.isExpired(there, clock))
          yield { key: there.key, value: there.value, plain: isPlain(there) };
      }
    }
  }

  /** All keys in order, as they are now. */
  #read(): Tree<Readonly<Entry>> {
    if (this.#keys === null) {
      this.#changed.clear();
      this.#keys = new Tree(byKey);
      for (const key of allKeys(this.#machine).sort(byBytes)) {
        const entry = this.#machine.stored(key);
        if (entry !== undefined) this.#keys.push(entry);
      }
    }
    for (const key of this.#changed) {
      const entry = this.#machine.stored(key);
      const rank = rankOf(this.#keys, key);
      if (entry !== undefined) this.#keys.put(entry);
      else if (this.#keys.at(rank)?.key === key) this.#keys.deleteAt(rank);
    }
    this.#changed.clear();
    return this.#keys.fork();
  }
}

/** All of the range, in no order, as it is when the iteration begins, whatever is written meanwhile. */
export function* scanUnordered(
  machine: StateMachine,
  { from, to }: Range,
  clock: () => number,
): IterableIterator<Visited> {
  const at = clock();
  const frozen = machine.freeze();
  try {
    for (const { key, image } of frozen) {
      if (key < from || (to !== null && key >= to) || isExpired(image, at)) continue;
      yield { key, value: image.value, plain: false };
    }
  } finally {
    frozen.close();
  }
}

/** All keys, in no order, those included that have expired and are still there. */
export function allKeys(machine: StateMachine): string[] {
  const frozen = machine.freeze();
  const keys = Array.from(frozen, ({ key }) => key);
  frozen.close();
  return keys;
}

/** Those that the filter wants, as many as the limit allows. `strings`: what else there is does not count. */
export function* chosen(
  all: Iterable<Visited>,
  filter: RangeOptions['filter'],
  limit: number,
  strings: boolean,
): IterableIterator<Visited> {
  let left = limit;
  if (left === 0) return;
  for (const found of all) {
    if (strings && !isString(found.value)) continue;
    if (filter !== undefined && !filter(toText(found.key))) continue;
    yield found;
    if (--left === 0) return;
  }
}

/** How many keys come before it. */
function rankOf(keys: Tree<Readonly<Entry>>, key: string): number {
  return keys.countBefore((entry) => entry.key >= key);
}

function byKey(one: Readonly<Entry>, other: Readonly<Entry>): number {
  return byBytes(one.key, other.key);
}

/** Byte strings compare as their bytes do. */
function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
