/** Writes that are gathered and applied together. */
import { type Bytes, toStored } from './text.ts';
import type { Operation } from './store.ts';

export interface BatchResult {
  /** Operations that were applied: all of them. */
  readonly successful: number;
  /** Always 0: a batch that can't be applied as a whole throws and changes nothing. */
  readonly failed: number;
  /** Keys among them that were there and are deleted. */
  readonly deleted: number;
}

export class Batch {
  readonly #apply: (operations: readonly Operation[]) => Promise<BatchResult>;
  #operations: Operation[] = [];

  /** @internal Use `store.batch()`. */
  constructor(apply: (operations: readonly Operation[]) => Promise<BatchResult>) {
    this.#apply = apply;
  }

  /** How many operations it holds. */
  get size(): number {
    return this.#operations.length;
  }

  put(key: Bytes, value: Bytes): this {
    this.#operations.push({ key: toStored(key), value: toStored(value), ttl: undefined });
    return this;
  }

  /** `ttl`: milliseconds that the entry lives. */
  putWithTtl(key: Bytes, value: Bytes, ttl: number): this {
    this.#operations.push({ key: toStored(key), value: toStored(value), ttl });
    return this;
  }

  delete(key: Bytes): this {
    this.#operations.push({ key: toStored(key), value: null, ttl: undefined });
    return this;
  }

  /** Applies all of it at once, in order, and empties the batch; resolves when it is durable. */
  async write(): Promise<BatchResult> {
    const result = this.#apply(this.#operations);
    this.#operations = [];
    return result;
  }
}
