/** Writing into the middle of strings. */
import type { Context } from './context.ts';
import type { Entry } from './entry.ts';
import { Bytes, CHUNK_BYTES } from './types/bytes.ts';
import { isString, type PlainString, textOf } from './value.ts';

/**
 * Up to this length a string stays a JavaScript string: two copies of it (about 1 µs) cost less than what bytes that are
 * written in place take in memory, and every read is faster.
 */
const TEXT_BYTES_MAX = CHUNK_BYTES;

/** Where short strings are changed: a new buffer for each of them costs ten times as much as all the rest. */
let desk = new Bytes();

/**
 * Has `edit` write into the string under the key. `entry`: what the key holds, known to be a string; a missing key gets an
 * empty one. To be called only when the string will change.
 */
export function editString(
  context: Context,
  key: string,
  entry: Entry | undefined,
  edit: (bytes: Bytes) => void,
): void {
  const { keyspace } = context;
  if (entry?.value instanceof Bytes) {
    keyspace.change(key, entry);
    edit(entry.value);
    return;
  }
  const text = entry !== undefined && isString(entry.value) ? textOf(entry.value) : '';
  const bytes = text.length <= TEXT_BYTES_MAX ? desk : new Bytes();
  bytes.renew(text);
  edit(bytes);
  const value = stringOf(bytes);
  if (value === desk) desk = new Bytes();
  putString(context, key, entry, value);
}

/** Gives the key, which holds `entry`, another string and leaves its deadline. */
export function putString(context: Context, key: string, entry: Entry | undefined, value: PlainString): void {
  if (entry !== undefined) context.keyspace.replace(key, entry, value);
  else context.keyspace.set(key, value, 0);
}

/** The bytes as a key should hold them. */
export function stringOf(bytes: Bytes): PlainString {
  return bytes.length <= TEXT_BYTES_MAX ? bytes.toString() : bytes;
}
