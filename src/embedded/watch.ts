/**
 * Changes as they happen, for whoever watches a key or a prefix. A watcher that does not keep up has its changes
 * kept, up to a bound; then it ends with `OVERFLOW` after those that were kept, for with gaps it would be of no use.
 */
import { StoreError } from './errors.ts';

/**
 * What has happened. `set`: the key was written; `value` is its text, null if it is no string. `delete`: deleted, expired or
 * evicted. `clear`: all keys are gone, or others are in their place, by `clear`, `FLUSHALL` or `restore`.
 */
export type Change =
  | { readonly type: 'set'; readonly key: string; readonly value: string | null }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'clear' };

/** How changes are watched. */
export interface WatchOptions {
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
  /** Changes that are kept for a watcher that is busy; with one more it ends with `OVERFLOW`, after those. From 1 on. Default: 1024. */
  buffer?: number;
}

/** What is watched: one key, or all keys with a prefix. */
export type Target = { readonly key: string } | { readonly prefix: string };

const BUFFER_DEFAULT = 1024;

export class Watchers {
  readonly #all = new Set<Watcher>();

  get size(): number {
    return this.#all.size;
  }

  /** The changes from now on, whenever they are asked for. */
  add(target: Target, { signal, buffer = BUFFER_DEFAULT }: WatchOptions): AsyncIterableIterator<Change> {
    if (!Number.isInteger(buffer) || buffer < 1)
      throw new StoreError('INVALID_ARGUMENT', `buffer: ${buffer}; expected a whole number from 1 on`);
    checkTarget(target);
    const abort = (): void => watcher.end(null);
    const watcher = new Watcher(target, buffer, () => {
      this.#all.delete(watcher);
      signal?.removeEventListener('abort', abort);
    });
    this.#all.add(watcher);
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort);
    return watcher;
  }

  tell(change: Change): void {
    for (const watcher of this.#all) watcher.tell(change);
  }

  /** Nothing will change any more. */
  close(): void {
    for (const watcher of this.#all) watcher.end(null);
  }
}

/** Programs without types may say something else, of which nobody would ever hear. */
function checkTarget(target: Partial<Record<string, unknown>>): void {
  const text = typeof target === 'object' && target !== null ? (target['key'] ?? target['prefix']) : target;
  if (typeof text !== 'string')
    throw new StoreError(
      'INVALID_ARGUMENT',
      `watch: ${typeof text} ${String(text)}; expected a key, { key } or { prefix }, as text`,
    );
}

class Watcher implements AsyncIterableIterator<Change> {
  readonly #target: Target;
  readonly #buffer: number;
  readonly #left: () => void;
  readonly #kept: Change[] = [];
  /** Those who ask and have no change yet. */
  readonly #asking: {
    resolve: (next: IteratorResult<Change>) => void;
    reject: (error: StoreError) => void;
  }[] = [];
  /** Why it ended; null for no reason; undefined while it goes on. */
  #end: StoreError | null | undefined;

  constructor(target: Target, buffer: number, left: () => void) {
    this.#target = target;
    this.#buffer = buffer;
    this.#left = left;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  tell(change: Change): void {
    if (this.#end !== undefined || !this.#wants(change)) return;
    const asking = this.#asking.shift();
    if (asking !== undefined) asking.resolve({ done: false, value: change });
    else if (this.#kept.length < this.#buffer) this.#kept.push(change);
    else
      this.end(
        new StoreError(
          'OVERFLOW',
          `${this.#buffer} changes were not taken in time; begin anew, or with a larger buffer`,
        ),
      );
  }

  next(): Promise<IteratorResult<Change>> {
    const change = this.#kept.shift();
    if (change !== undefined) return Promise.resolve({ done: false, value: change });
    if (this.#end === undefined)
      return new Promise((resolve, reject) => this.#asking.push({ resolve, reject }));
    const why = this.#end;
    this.#end = null;
    return why === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(why);
  }

  return(): Promise<IteratorResult<Change>> {
    this.#kept.length = 0;
    this.end(null);
    this.#end = null;
    return Promise.resolve({ done: true, value: undefined });
  }

  end(why: StoreError | null): void {
    if (this.#end !== undefined) return;
    this.#end = why;
    this.#left();
    for (const { resolve } of this.#asking.splice(0)) resolve({ done: true, value: undefined });
  }

  #wants(change: Change): boolean {
    if (change.type === 'clear') return true;
    return 'key' in this.#target
      ? change.key === this.#target.key
      : change.key.startsWith(this.#target.prefix);
  }
}
