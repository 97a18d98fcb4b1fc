/**
 * Strings and bytes. The store holds byte strings, one latin1 character per byte; the library's callers have JavaScript
 * strings, which are held as UTF-8, and buffers. Plain ASCII is the same in all of them, and is recognised by its length.
 */
import { MAX_STRING_BYTES } from '../store/bytes.ts';
import { StoreError } from './errors.ts';

/** A key or a value: text, which is held as UTF-8, or bytes. */
export type Bytes = string | Uint8Array;

/** As the store holds it. */
export function toStored(value: Bytes): string {
  if (typeof value === 'string') {
    const bytes = Buffer.byteLength(value);
    return bytes === value.length ? value : Buffer.from(fitting(value, bytes)).latin1Slice();
  }
  if (!ArrayBuffer.isView(value))
    throw new StoreError(
      'INVALID_ARGUMENT',
      `${typeof value} ${String(value)}: keys and values are strings or Uint8Arrays`,
    );
  const { buffer, byteOffset, byteLength } = fitting(value, value.byteLength);
  return Buffer.from(buffer, byteOffset, byteLength).latin1Slice();
}

/** The value, if a string of that many bytes can be. */
function fitting<T extends Bytes>(value: T, bytes: number): T {
  if (bytes > MAX_STRING_BYTES)
    throw new StoreError(
      'VALUE_TOO_LARGE',
      `a key or a value of ${bytes} bytes; no store takes more than ${MAX_STRING_BYTES}`,
    );
  return value;
}

/** As a caller reads it: bytes that are not UTF-8 become U+FFFD. */
export function toText(stored: string): string {
  return Buffer.byteLength(stored) === stored.length ? stored : Buffer.from(stored, 'latin1').toString();
}

export function toBuffer(stored: string): Buffer {
  return Buffer.from(stored, 'latin1');
}
