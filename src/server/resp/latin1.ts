/**
 * Node's byte-string primitives, which its type definitions leave out. `write(text, at, 'latin1')` and
 * `toString('latin1', …)` end in the same code after checks that cost as much as the copy of a short value.
 */
import { constants } from 'node:buffer';

declare global {
  // The type parameter must read as in Node's own declaration for the two to merge.
  interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
    /** The bytes `[start, end)` as a string of one character each; a copy. */
    latin1Slice(start?: number, end?: number): string;
    /** Writes one byte per character at `offset`; returns how many were written. */
    latin1Write(text: string, offset: number): number;
  }
}

/** The longest byte string that V8 can hold: 512 MiB less a few bytes. */
export const BYTE_STRING_MAX: number = constants.MAX_STRING_LENGTH;
