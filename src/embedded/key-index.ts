/**
 * The keys in order of their bytes, for scans of a range. Made at the first such scan; from then on changed keys are noted
 * and put into place by the next one, so that a store that never scans pays nothing. A scan looks at a fork, which writes
 * do not disturb.
 */
import { Tree } from '../store/tree.ts';

/** With more changes than this share of the keys it is cheaper to begin anew. */
const CHANGED_SHARE_MAX = 0.25;
const CHANGED_MIN = 1024;

export class KeyIndex {
  #keys: Tree<string> | null = null;
  readonly #changed = new Set<string>();

  /** Whether changes are to be noted. */
  get active(): boolean {
    return this.#keys !== null;
  }

  /** The key was written or removed. */
  changed(key: string): void {
    if (this.#keys === null) return;
    this.#changed.add(key);
    if (this.#changed.size > Math.max(CHANGED_MIN, CHANGED_SHARE_MAX * this.#keys.size)) this.forget();
  }

  /** Everything has changed. */
  forget(): void {
    this.#keys = null;
    this.#changed.clear();
  }

  /** All keys in order, as they are now. `all` and `has` tell what the store has. */
  read(all: () => string[], has: (key: string) => boolean): Tree<string> {
    if (this.#keys === null) {
      this.#keys = new Tree(byBytes);
      for (const key of all().sort(byBytes)) this.#keys.push(key);
    }
    for (const key of this.#changed) {
      if (has(key)) this.#keys.put(key);
      else this.#keys.delete(key);
    }
    this.#changed.clear();
    return this.#keys.fork();
  }
}

/** Byte strings compare as their bytes do. */
function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
