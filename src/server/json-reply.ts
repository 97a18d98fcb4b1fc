/**
 * Replies as JSON values. Byte strings that are UTF-8 become strings, others `{"base64": "…"}`; whole numbers beyond 2^53
 * and the doubles that JSON can't say become strings, maps objects, sets arrays, and an error inside an array
 * `{"error": {"code": …, "message": …}}`.
 */
import { isUtf8 } from 'node:buffer';
import type { ReplyWriter } from '../store/reply.ts';
import { doubleText } from '../store/double.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** An error reply: its first word and the rest. */
export interface ReplyError {
  readonly code: string;
  readonly message: string;
}

/** An aggregate that waits for elements. */
interface Open {
  readonly items: Json[];
  left: number;
  readonly finish: (items: Json[]) => Json;
}

/** Makes one reply. */
export class JsonReply implements ReplyWriter {
  #result: Json | undefined;
  #error: ReplyError | null = null;
  readonly #open: Open[] = [];

  /** The whole reply when it is not an error; undefined before it is written. */
  get result(): Json | undefined {
    return this.#result;
  }

  /** The reply when it is an error as a whole. */
  get failure(): ReplyError | null {
    return this.#error;
  }

  ok(): void {
    this.#add('OK');
  }

  simple(text: string): void {
    this.#add(jsonText(text));
  }

  error(text: string): void {
    const blank = text.indexOf(' ');
    const error = {
      code: blank === -1 ? text : text.slice(0, blank),
      message: Buffer.from(text.slice(blank + 1), 'latin1').toString('utf8'),
    };
    if (this.#open.length === 0) this.#error = error;
    else this.#add({ error });
  }

  integer(value: number | bigint): void {
    this.#add(typeof value === 'number' ? value : String(value));
  }

  bulk(value: string | null): void {
    this.#add(value === null ? null : jsonText(value));
  }

  double(value: number): void {
    this.#add(Number.isFinite(value) ? value : doubleText(value));
  }

  boolean(value: boolean): void {
    this.#add(value);
  }

  nullArray(): void {
    this.#add(null);
  }

  array(length: number): void {
    this.#begin(length, (items) => items);
  }

  map(pairs: number): void {
    this.#begin(pairs * 2, objectOf);
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
    this.map(length);
  }

  named(): void {}

  verbatim(_format: string, text: string): void {
    this.#add(jsonText(text));
  }

  bigNumber(digits: string): void {
    this.#add(digits);
  }

  #begin(length: number, finish: Open['finish']): void {
    if (length === 0) this.#add(finish([]));
    else this.#open.push({ items: [], left: length, finish });
  }

  #add(value: Json): void {
    let complete = value;
    for (let open = this.#open.at(-1); open !== undefined; open = this.#open.at(-1)) {
      open.items.push(complete);
      open.left -= 1;
      if (open.left > 0) return;
      this.#open.pop();
      complete = open.finish(open.items);
    }
    this.#result = complete;
  }
}

/** A byte string as JSON. */
function jsonText(bytes: string): Json {
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString('utf8') : { base64: buffer.toString('base64') };
}

function objectOf(items: Json[]): Json {
  const fields: [string, Json][] = [];
  for (let at = 0; at + 1 < items.length; at += 2) {
    const name = items[at] ?? null;
    fields.push([typeof name === 'string' ? name : JSON.stringify(name), items[at + 1] ?? null]);
  }
  return Object.fromEntries(fields);
}
