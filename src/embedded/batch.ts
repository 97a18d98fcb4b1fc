/** Writes that are gathered and applied together. */
import { deleteOperation, type Operation, putOperation } from './operation.ts';
import type { Bytes } from './text.ts';

/** What a batch has done. */
export interface BatchResult {
  /** Operations that were applied: all of them. */
  readonly successful: number;
  /** Always 0: a batch that can't be applied as a whole throws and changes nothing. */
  readonly failed: number;
  /** Keys among them that were there and are deleted. */
  readonly deleted: number;
}

/** Writes that are gathered, and applied together or not at all. `store.batch()` makes one; its calls can be chained. */
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

  /** Sets a key, which lives as long as the store's `defaultTtl` says. */
  put(key: Bytes, value: Bytes): this {
    this.#operations.push(putOperation(key, value, undefined));
    return this;
  }

  /** Sets a key that lives `ttl` milliseconds; 0 for ever. */
  putWithTtl(key: Bytes, value: Bytes, ttl: number): this {
    this.#operations.push(putOperation(key, value, ttl));
    return this;
  }

  /** Removes a key, if it is there. */
  delete(key: Bytes): this {
    this.#operations.push(deleteOperation(key));
    return this;
  }

  /**
   * Applies all of it at once, in order, and empties the batch; resolves when it is durable. Rejects, with nothing changed and
   * nothing taken out of the batch, when one of the writes is refused: the codes are those of `Store`'s writes.
   */
  async write(): Promise<BatchResult> {
    const operations = this.#operations;
    // Before they are told of: who hears of them may gather others.
    this.#operations = [];
    let result: Promise<BatchResult>;
    try {
      result = this.#apply(operations);
    } catch (error) {
      this.#operations = operations;
      throw error;
    }
    return result;
  }
}
