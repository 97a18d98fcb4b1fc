/** Replies as JavaScript values, for `execute` and for all typed calls that are made of it. */
import type { ReplyWriter } from '../store/reply.ts';
import { CommandError } from './errors.ts';
import { toBuffer, toText } from './text.ts';

/**
 * What a command answers, as its reply in RESP3: maps are `Map`s, sets are arrays, whole numbers beyond 2^53 are bigints. An error
 * that stands inside of a reply is a `CommandError`.
 */
export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | Buffer
  | CommandError
  | readonly Value[]
  | ReadonlyMap<Value, Value>;

/** An aggregate that waits for elements. */
interface Open {
  readonly items: Value[];
  left: number;
  readonly isMap: boolean;
}

/** Makes one reply. `buffers`: strings of the store become buffers, not text. */
export class ValueReply implements ReplyWriter {
  readonly #command: string;
  readonly #buffers: boolean;
  readonly #open: Open[] = [];
  #result: Value = null;

  constructor(command: string, buffers: boolean) {
    this.#command = command;
    this.#buffers = buffers;
  }

  /** The whole reply; throws it when it is an error. */
  result(): Value {
    if (this.#result instanceof CommandError) throw this.#result;
    return this.#result;
  }

  ok(): void {
    this.#add('OK');
  }
  simple(text: string): void {
    this.#add(toText(text));
  }
  error(text: string): void {
    this.#add(new CommandError(this.#command, toText(text)));
  }
  integer(value: number | bigint): void {
    const exact = typeof value === 'bigint' && Number.isSafeInteger(Number(value));
    this.#add(exact ? Number(value) : value);
  }
  bulk(value: string | null): void {
    if (value === null) this.#add(null);
    else this.#add(this.#buffers ? toBuffer(value) : toText(value));
  }
  double(value: number): void {
    this.#add(value);
  }
  boolean(value: boolean): void {
    this.#add(value);
  }
  nullArray(): void {
    this.#add(null);
  }
  array(length: number): void {
    this.#begin(length, length, false);
  }
  map(pairs: number): void {
    this.#begin(pairs, 2 * pairs, true);
  }
  set(length: number): void {
    this.array(length);
  }
  pairs(length: number): void {
    this.array(length);
  }
  pair(): void {
    this.array(2);
  }
  names(length: number): void {
    this.#begin(length, 2 * length, true);
  }
  named(): void {}
  verbatim(_format: string, text: string): void {
    this.bulk(text);
  }
  bigNumber(digits: string): void {
    this.#add(BigInt(digits));
  }

  #begin(size: number, left: number, isMap: boolean): void {
    if (size === 0) this.#add(isMap ? new Map() : []);
    else this.#open.push({ items: [], left, isMap });
  }

  #add(value: Value): void {
    const innermost = this.#open.at(-1);
    if (innermost === undefined) {
      this.#result = value;
      return;
    }
    innermost.items.push(value);
    innermost.left -= 1;
    if (innermost.left > 0) return;
    this.#open.pop();
    this.#add(innermost.isMap ? mapOf(innermost.items) : innermost.items);
  }
}

function mapOf(items: readonly Value[]): ReadonlyMap<Value, Value> {
  const map = new Map<Value, Value>();
  for (let at = 0; at + 1 < items.length; at += 2) map.set(items[at] ?? null, items[at + 1] ?? null);
  return map;
}
