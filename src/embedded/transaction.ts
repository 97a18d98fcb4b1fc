/** Reads and writes that nobody else comes between. */
import type { BatchResult } from './batch.ts';
import { StoreError } from './errors.ts';
import { deleteOperation, type Operation, putOperation } from './operation.ts';
import { type Bytes, toBuffer, toStored, toText } from './text.ts';

/** How often a transaction is run before its promise rejects with `CONFLICT`. */
const ATTEMPTS_MAX = 100;

/** What a transaction needs of the store. */
interface Base {
  /** Another object after everything was replaced at once: by others whose versions may be the same. */
  generation(): object;
  find(key: string): { readonly value: string | undefined; readonly version: number };
  apply(operations: readonly Operation[]): Promise<BatchResult>;
}

/** The store as the function of `store.transaction()` sees it: with its own writes, which nobody else sees yet. */
export class Transaction {
  readonly #base: Base;
  readonly #generation: object;
  readonly #versions = new Map<string, number>();
  readonly #writes = new Map<string, Operation>();

  /** @internal Use `store.transaction()`. */
  constructor(base: Base) {
    this.#base = base;
    this.#generation = base.generation();
  }

  /** The text under the key; `undefined` without it, or when it holds no string. */
  get(key: Bytes): string | undefined {
    const stored = this.#read(toStored(key));
    return stored === undefined ? undefined : toText(stored);
  }

  /** The bytes under the key, likewise. */
  getBuffer(key: Bytes): Buffer | undefined {
    const stored = this.#read(toStored(key));
    return stored === undefined ? undefined : toBuffer(stored);
  }

  /** Whether the key holds a string. */
  has(key: Bytes): boolean {
    return this.#read(toStored(key)) !== undefined;
  }

  /** Sets the key. `ttl`: milliseconds that the entry lives, 0 for ever. Default: the store's `defaultTtl`. */
  set(key: Bytes, value: Bytes, { ttl }: { ttl?: number } = {}): void {
    const operation = putOperation(key, value, ttl);
    this.#writes.set(operation.key, operation);
  }

  /** Removes the key, if it is there. */
  delete(key: Bytes): void {
    const operation = deleteOperation(key);
    this.#writes.set(operation.key, operation);
  }

  /** @internal Whether nothing that was read has changed. */
  get unchanged(): boolean {
    if (this.#versions.size > 0 && this.#base.generation() !== this.#generation) return false;
    for (const [key, version] of this.#versions) if (this.#base.find(key).version !== version) return false;
    return true;
  }

  /** @internal */
  get operations(): Operation[] {
    return [...this.#writes.values()];
  }

  #read(key: string): string | undefined {
    const own = this.#writes.get(key);
    if (own !== undefined) return own.value ?? undefined;
    const { value, version } = this.#base.find(key);
    if (!this.#versions.has(key)) this.#versions.set(key, version);
    return value;
  }
}

export async function runTransaction<T>(
  run: (transaction: Transaction) => T | Promise<T>,
  base: Base,
): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const transaction = new Transaction(base);
    const result = await run(transaction);
    if (!transaction.unchanged) continue;
    await base.apply(transaction.operations);
    return result;
  }
  throw new StoreError(
    'CONFLICT',
    `after ${ATTEMPTS_MAX} attempts somebody still changed what the transaction had read`,
  );
}
