/**
 * How many bytes Redis's listpacks take. Nothing here is stored in one; but streams are cut into pieces where Redis cuts
 * them, by that number, and the pieces can be seen: trimming with `~` removes whole ones.
 */
import { parseInteger } from '../integer.ts';

/** The header and the end mark. */
export const LISTPACK_BYTES = 7;

/** The most characters of a text that can be a whole number of 64 bits. */
const INTEGER_CHARACTERS_MAX = 20;

/** What a string takes as an element: texts of canonical whole numbers are kept as numbers. */
export function stringBytes(text: string): number {
  const { length } = text;
  if (length > 0 && length <= INTEGER_CHARACTERS_MAX) {
    const code = text.charCodeAt(0);
    // A number begins with a digit or a sign; most strings stop here.
    if ((code >= 0x30 && code <= 0x39) || code === 0x2d) {
      const value = parseInteger(text);
      if (value !== undefined) return integerBytes(Number(value));
    }
  }
  return withBackLength(length < 64 ? 1 + length : length < 4096 ? 2 + length : 5 + length);
}

/** What a whole number takes as an element; it counts only to which power of two it is near. */
export function integerBytes(value: number): number {
  if (value >= 0 && value <= 127) return 2;
  if (value >= -4096 && value < 4096) return 3;
  if (value >= -0x8000 && value < 0x8000) return 4;
  if (value >= -0x80_0000 && value < 0x80_0000) return 5;
  if (value >= -0x8000_0000 && value < 0x8000_0000) return 6;
  return 10;
}

/** An element ends with its own length, so that a listpack can be read backwards. */
function withBackLength(bytes: number): number {
  if (bytes <= 127) return bytes + 1;
  if (bytes < 16_383) return bytes + 2;
  if (bytes < 2_097_151) return bytes + 3;
  return bytes < 268_435_455 ? bytes + 4 : bytes + 5;
}
