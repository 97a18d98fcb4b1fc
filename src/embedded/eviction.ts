/** Which entry goes when a full store is to take another one. */
import type { Eviction } from './options.ts';

/** What an order has to ask the store. */
export interface Held {
  /** A key by chance; undefined in an empty store. */
  any(): string | undefined;
  /** The key whose deadline comes first; undefined without deadlines. */
  soonest(): string | undefined;
}

export interface EvictionOrder {
  /** The key was read or written. */
  used(key: string): void;
  /** The key is gone. */
  gone(key: string): void;
  /** Everything is gone. */
  cleared(): void;
  /** The key that goes next; undefined when there is none that may. */
  next(): string | undefined;
}

/** Null for `none`. */
export function evictionOrder(eviction: Eviction, held: Held): EvictionOrder | null {
  switch (eviction) {
    case 'none':
      return null;
    case 'lru':
      return new LeastRecentlyUsed();
    case 'lfu':
      return new LeastFrequentlyUsed();
    case 'random':
      return { ...careless, next: () => held.any() };
    case 'ttl':
      return { ...careless, next: () => held.soonest() };
  }
}

const careless = { used(): void {}, gone(): void {}, cleared(): void {} };

/** Exact: a `Map` remembers the order in which keys were put into it. */
class LeastRecentlyUsed implements EvictionOrder {
  readonly #keys = new Set<string>();

  used(key: string): void {
    this.#keys.delete(key);
    this.#keys.add(key);
  }

  gone(key: string): void {
    this.#keys.delete(key);
  }

  cleared(): void {
    this.#keys.clear();
  }

  next(): string | undefined {
    return first(this.#keys);
  }
}

/**
 * Exact, in O(1): the keys by their number of uses, and among those of the same number the one that reached it first. What
 * was evicted begins anew.
 */
class LeastFrequentlyUsed implements EvictionOrder {
  readonly #uses = new Map<string, number>();
  readonly #keys = new Map<number, Set<string>>();
  /** No key has fewer uses. */
  #least = 1;

  used(key: string): void {
    const uses = this.#uses.get(key) ?? 0;
    if (uses > 0) this.#leave(key, uses);
    else this.#least = 1;
    this.#uses.set(key, uses + 1);
    const there = this.#keys.get(uses + 1);
    if (there === undefined) this.#keys.set(uses + 1, new Set([key]));
    else there.add(key);
    if (this.#least === uses && !this.#keys.has(uses)) this.#least = uses + 1;
  }

  gone(key: string): void {
    const uses = this.#uses.get(key);
    if (uses === undefined) return;
    this.#uses.delete(key);
    this.#leave(key, uses);
  }

  cleared(): void {
    this.#uses.clear();
    this.#keys.clear();
    this.#least = 1;
  }

  next(): string | undefined {
    if (this.#uses.size === 0) return undefined;
    let there = this.#keys.get(this.#least);
    // Only after the last key of the least number has gone otherwise.
    if (there === undefined) {
      this.#least = Math.min(...this.#keys.keys());
      there = this.#keys.get(this.#least);
    }
    return there === undefined ? undefined : first(there);
  }

  #leave(key: string, uses: number): void {
    const there = this.#keys.get(uses);
    there?.delete(key);
    if (there?.size === 0) this.#keys.delete(uses);
  }
}

function first(keys: ReadonlySet<string>): string | undefined {
  for (const key of keys) return key;
  return undefined;
}
