import type { Collection, CollectionType } from './collection.ts';
import { invariant } from './invariant.ts';
import { Bytes } from './types/bytes.ts';
import { Packed } from './types/packed.ts';

export { MAX_STRING_BYTES } from './bytes.ts';

/**
 * What a key can hold. Strings are byte strings: one latin1 character per byte, V8's most compact form of bytes
 * (1M random SETs: 1.7 µs and 558 MB, against 2.3 µs and 767 MB with pooled Buffers). Bitmaps and HyperLogLogs are
 * strings, too.
 */
export type Value = string | Collection;

/**
 * What the string commands can use. A long string becomes `Bytes` when something is first written into the middle of it
 * (see `in-place.ts`) and stays so until it is overwritten. In a store of the library it may be compressed. All have
 * `length` and `slice`.
 */
export type StringValue = PlainString | Packed;

/** A string whose bytes can be looked at one by one. */
export type PlainString = string | Bytes;

/** The type names of TYPE and of SCAN's TYPE option. */
export function typeOf(value: Value): CollectionType {
  return typeof value === 'string' ? 'string' : value.type;
}

/** Whether string commands may use the value; otherwise they answer WRONGTYPE. */
export function isString(value: Value): value is StringValue {
  return typeof value === 'string' || value instanceof Bytes || value instanceof Packed;
}

/** The string decompressed, if it was: O(length) then, so a command asks once. */
export function plainOf(value: StringValue): PlainString {
  return value instanceof Packed ? value.toString() : value;
}

/** All of a string. O(length) for bytes that are written in place and for those that are compressed. */
export function textOf(value: StringValue): string {
  return typeof value === 'string' ? value : value.toString();
}

/** The byte of a string at `index`; 0 behind its end. */
export function byteAt(value: PlainString, index: number): number {
  if (typeof value !== 'string') return value.at(index);
  return index < value.length ? value.charCodeAt(index) : 0;
}

/** What a key costs besides its bytes and those of its value, about: its entry, its place in the table, heads of strings. */
const KEY_OVERHEAD_BYTES = 128;

/** What a key and its value take in memory, about, in bytes. The same on every node. */
export function bytesOf(key: string, value: Value): number {
  return KEY_OVERHEAD_BYTES + key.length + (typeof value === 'string' ? value.length : value.bytes);
}

/** The value as it is now, for whoever keeps it while the key goes on changing. O(1). */
export function forkOf(value: Value): Value {
  return typeof value === 'string' ? value : value.fork();
}

/** Pieces from this length on are worth the node that V8 links them with. */
const SMALL_PIECE_BYTES = 256;
/** The least growth after which small pieces are put together. */
const GROWTH_BYTES_MIN = 4096;
/** Above that, the part of its length by which a value grows until then: a power of two. */
const GROWTH_FRACTION = 64;

/**
 * `value + suffix`, without the memory that V8 would spend on small pieces: it only links them, 32 bytes each, until
 * somebody reads the whole (2M appends of 2 bytes: a value of 4 MB in 122 MB of heap, with this in 14 MB). Reading one character makes
 * V8 copy the pieces together; done each time the value has grown by a 64th, that costs nothing
 * that can be measured.
 */
export function append(value: string, suffix: string): string {
  const joined = value + suffix;
  if (suffix.length >= SMALL_PIECE_BYTES) return joined;
  const magnitude = 2 ** (31 - Math.clz32(joined.length));
  const step = Math.max(GROWTH_BYTES_MIN, magnitude / GROWTH_FRACTION);
  if (Math.floor(value.length / step) !== Math.floor(joined.length / step)) {
    // The check uses what was read, or the compiler would drop the reading.
    invariant(joined.charCodeAt(0) < 256, 'a value that is no byte string');
  }
  return joined;
}
