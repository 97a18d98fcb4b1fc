/**
 * Strings and bytes. The store holds byte strings, one latin1 character per byte; the library's callers have JavaScript
 * strings, which are held as UTF-8, and buffers. Plain ASCII is the same in all of them, and is recognised by its length.
 */
import { StoreError } from './errors.ts';

/** A key or a value: text, which is held as UTF-8, or bytes. */
export type Bytes = string | Uint8Array;

/** As the store holds it. */
export function toStored(value: Bytes): string {
  if (typeof value === 'string')
    return Buffer.byteLength(value) === value.length ? value : Buffer.from(value).latin1Slice();
  if (!ArrayBuffer.isView(value))
    throw new StoreError(
      'INVALID_ARGUMENT',
      `${typeof value} ${String(value)}: keys and values are strings or Uint8Arrays`,
    );
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).latin1Slice();
}

/** As a caller reads it: bytes that are not UTF-8 become U+FFFD. */
export function toText(stored: string): string {
  return Buffer.byteLength(stored) === stored.length ? stored : Buffer.from(stored, 'latin1').toString();
}

export function toBuffer(stored: string): Buffer {
  return Buffer.from(stored, 'latin1');
}
