/**
 * The entries in order of their keys' bytes, for scans of a range. Made at the first such scan; from then on keys that come
 * and go are noted and put into place by the next one, so that a store that never scans pays nothing. A scan looks at a fork,
 * which writes do not disturb.
 */
import type { Entry } from '../store/keyspace.ts';
import { Tree } from '../store/tree.ts';

/** With more changes than this share of the keys it is cheaper to begin anew. */
const CHANGED_SHARE_MAX = 0.25;
const CHANGED_MIN = 1024;

/** A key with its entry: the look-ups, which jump about in memory, are most of what a scan would cost. */
export interface Indexed {
  readonly key: string;
  readonly entry: Readonly<Entry>;
}

export class KeyIndex {
  #keys: Tree<Indexed> | null = null;
  readonly #changed = new Set<string>();
  /** Grows whenever a key comes or goes: while it stays the entries of a scan are those of the store. */
  changes = 0;

  /** There is such a key now, or no longer. Its value is the entry's, which stays when that changes. */
  changed(key: string): void {
    this.changes++;
    if (this.#keys === null) return;
    this.#changed.add(key);
    if (this.#changed.size > Math.max(CHANGED_MIN, CHANGED_SHARE_MAX * this.#keys.size)) this.forget();
  }

  /** Everything has changed. */
  forget(): void {
    this.changes++;
    this.#keys = null;
    this.#changed.clear();
  }

  /** All keys in order, as they are now. `all` and `find` tell what the store has. */
  read(all: () => string[], find: (key: string) => Readonly<Entry> | undefined): Tree<Indexed> {
    if (this.#keys === null) {
      this.#changed.clear();
      this.#keys = new Tree(byKey);
      for (const key of all().sort(byBytes)) {
        const entry = find(key);
        if (entry !== undefined) this.#keys.push({ key, entry });
      }
    }
    for (const key of this.#changed) {
      const entry = find(key);
      const rank = rankOf(this.#keys, key);
      if (entry !== undefined) this.#keys.put({ key, entry });
      else if (this.#keys.at(rank)?.key === key) this.#keys.deleteAt(rank);
    }
    this.#changed.clear();
    return this.#keys.fork();
  }
}

/** How many keys come before it. */
export function rankOf(keys: Tree<Indexed>, key: string): number {
  return keys.countBefore((indexed) => indexed.key >= key);
}

function byKey(one: Indexed, other: Indexed): number {
  return byBytes(one.key, other.key);
}

/** Byte strings compare as their bytes do. */
function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
