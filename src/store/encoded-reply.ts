/**
 * Replies as bytes of no protocol, to be written again later: for a client that asks a second time, and for one that
 * is connected to another node. Whether it speaks RESP2, RESP3 or HTTP is decided when the reply is written again.
 *
 * ```
 * reply := tag:u8  what belongs to it      an array, map, set or list of pairs is followed by its elements, each a reply
 * ```
 *
 * Part of the snapshot format and of the wire format between nodes: a tag never changes its meaning.
 */
import { type ByteReader, ByteWriter, VARINT_BYTES_MAX } from './bytes.ts';
import type { ReplyWriter } from './reply.ts';

const TAG = {
  ok: 0,
  simple: 1,
  error: 2,
  integer: 3,
  bulk: 4,
  nullBulk: 5,
  double: 6,
  true: 7,
  false: 8,
  nullArray: 9,
  array: 10,
  map: 11,
  set: 12,
  verbatim: 13,
  pairs: 14,
  pair: 15,
  names: 16,
  named: 17,
  digits: 18,
  bigNumber: 19,
} as const;

const BUFFER_BYTES = 64;

/** Writes replies down, and passes them on at the same time. */
export class ReplyEncoder implements ReplyWriter {
  readonly #target: ReplyWriter;
  readonly #limit: number;
  readonly #writer = new ByteWriter(BUFFER_BYTES);
  #overflowed = false;

  /** `target` gets every reply in full; what is written down ends at `limit` bytes. */
  constructor(target: ReplyWriter, limit: number) {
    this.#target = target;
    this.#limit = limit;
  }

  /** More than the limit came: what is written down is not complete. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  get length(): number {
    return this.#writer.length;
  }

  /** What was written down; a view that the next reply may change. */
  view(): Buffer {
    return this.#writer.view();
  }

  ok(): void {
    this.#target.ok();
    this.#tag(TAG.ok, 0);
  }

  simple(text: string): void {
    this.#target.simple(text);
    this.#text(TAG.simple, text);
  }

  error(text: string): void {
    this.#target.error(text);
    this.#text(TAG.error, text);
  }

  integer(value: number | bigint): void {
    this.#target.integer(value);
    this.#text(TAG.integer, String(value));
  }

  bulk(value: string | null): void {
    this.#target.bulk(value);
    if (value === null) this.#tag(TAG.nullBulk, 0);
    else this.#text(TAG.bulk, value);
  }

  double(value: number, text?: string): void {
    if (text !== undefined) {
      this.#target.double(value, text);
      this.#text(TAG.digits, text);
      return;
    }
    this.#target.double(value);
    if (this.#tag(TAG.double, 8)) this.#writer.double(value);
  }

  boolean(value: boolean): void {
    this.#target.boolean(value);
    this.#tag(value ? TAG.true : TAG.false, 0);
  }

  nullArray(): void {
    this.#target.nullArray();
    this.#tag(TAG.nullArray, 0);
  }

  array(length: number): void {
    this.#target.array(length);
    this.#count(TAG.array, length);
  }

  map(pairs: number): void {
    this.#target.map(pairs);
    this.#count(TAG.map, pairs);
  }

  set(length: number): void {
    this.#target.set(length);
    this.#count(TAG.set, length);
  }

  pairs(length: number): void {
    this.#target.pairs(length);
    this.#count(TAG.pairs, length);
  }

  pair(): void {
    this.#target.pair();
    this.#tag(TAG.pair, 0);
  }

  names(length: number): void {
    this.#target.names(length);
    this.#count(TAG.names, length);
  }

  named(): void {
    this.#target.named();
    this.#tag(TAG.named, 0);
  }

  verbatim(format: string, text: string): void {
    this.#target.verbatim(format, text);
    if (!this.#tag(TAG.verbatim, format.length + text.length + 2 * VARINT_BYTES_MAX)) return;
    this.#writer.string(format);
    this.#writer.string(text);
  }

  bigNumber(digits: string): void {
    this.#target.bigNumber(digits);
    this.#text(TAG.bigNumber, digits);
  }

  #text(tag: number, text: string): void {
    if (this.#tag(tag, text.length + VARINT_BYTES_MAX)) this.#writer.string(text);
  }

  #count(tag: number, count: number): void {
    if (this.#tag(tag, VARINT_BYTES_MAX)) this.#writer.varint(count);
  }

  /** False when `bytes` more have no room behind the tag. */
  #tag(tag: number, bytes: number): boolean {
    if (this.#overflowed || this.#writer.length + 1 + bytes > this.#limit) {
      this.#overflowed = true;
      return false;
    }
    this.#writer.byte(tag);
    return true;
  }
}

/** Writes one whole reply again. Throws a `FormatError` when the bytes are none. */
export function writeEncodedReply(reader: ByteReader, reply: ReplyWriter): void {
  for (let left = 1; left > 0; left--) left += writeElement(reader, reply);
}

/** Writes one reply or opens an aggregate; the number of replies that belong to it and follow. */
function writeElement(reader: ByteReader, reply: ReplyWriter): number {
  const tag = reader.byte('a reply');
  switch (tag) {
    case TAG.ok:
      reply.ok();
      return 0;
    case TAG.simple:
      reply.simple(reader.string('a simple string'));
      return 0;
    case TAG.error:
      reply.error(reader.string('an error'));
      return 0;
    case TAG.integer:
      reply.integer(readInteger(reader));
      return 0;
    case TAG.bulk:
      reply.bulk(reader.string('a bulk string'));
      return 0;
    case TAG.nullBulk:
      reply.bulk(null);
      return 0;
    case TAG.double:
      reply.double(reader.double('a double'));
      return 0;
    case TAG.digits: {
      const text = reader.string('a double');
      const value = Number(text);
      if (text === '' || Number.isNaN(value)) reader.fail('a double that is none before');
      reply.double(value, text);
      return 0;
    }
    case TAG.true:
    case TAG.false:
      reply.boolean(tag === TAG.true);
      return 0;
    case TAG.nullArray:
      reply.nullArray();
      return 0;
    case TAG.array: {
      const length = reader.count('the length of an array', 1);
      reply.array(length);
      return length;
    }
    case TAG.map: {
      const pairs = reader.count('the length of a map', 2);
      reply.map(pairs);
      return 2 * pairs;
    }
    case TAG.set: {
      const length = reader.count('the length of a set', 1);
      reply.set(length);
      return length;
    }
    case TAG.pairs:
    case TAG.names: {
      // Each element is a pair with its own tag, and two replies.
      const length = reader.count('the number of pairs', 3);
      if (tag === TAG.pairs) reply.pairs(length);
      else reply.names(length);
      return length;
    }
    case TAG.pair:
      reply.pair();
      return 2;
    case TAG.named:
      reply.named();
      return 2;
    case TAG.verbatim: {
      const format = reader.string('a format');
      reply.verbatim(format, reader.string('a text'));
      return 0;
    }
    case TAG.bigNumber:
      reply.bigNumber(reader.string('a big number'));
      return 0;
    default:
      return reader.fail(`the unknown reply tag ${tag} before`);
  }
}

function readInteger(reader: ByteReader): number | bigint {
  const text = reader.string('an integer');
  if (!/^-?\d{1,20}$/.test(text)) reader.fail('an integer without digits before');
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}
