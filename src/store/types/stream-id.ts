/**
 * The ids of stream entries: two unsigned numbers of 64 bits, `<milliseconds>-<sequence>`.
 *
 * An id is kept as the 16 bytes of both numbers, big-endian, in a string: comparing strings compares ids, and a string is
 * what V8 compares and keeps best. Most numbers are far below 2^53 and never become a BigInt.
 */

/** The 16 bytes of an id. */
export type StreamId = string;

export const ID_BYTES = 16;
/** `0-0`: no entry has it. */
export const ZERO_ID: StreamId = '\0'.repeat(ID_BYTES);
export const MAX_ID: StreamId = '\xff'.repeat(ID_BYTES);

const WORD = 0x1_0000_0000;
/** Decimal digits that are surely below 2^53. */
const SAFE_DIGITS = 15;
const MAX_64 = 2n ** 64n;

/** Four words of 32 bits as bytes. In one call: pieces put together would have to be flattened. */
function bytesOfWords(msHigh: number, msLow: number, seqHigh: number, seqLow: number): StreamId {
  return String.fromCharCode(
    msHigh >>> 24,
    (msHigh >>> 16) & 255,
    (msHigh >>> 8) & 255,
    msHigh & 255,
    msLow >>> 24,
    (msLow >>> 16) & 255,
    (msLow >>> 8) & 255,
    msLow & 255,
    seqHigh >>> 24,
    (seqHigh >>> 16) & 255,
    (seqHigh >>> 8) & 255,
    seqHigh & 255,
    seqLow >>> 24,
    (seqLow >>> 16) & 255,
    (seqLow >>> 8) & 255,
    seqLow & 255,
  );
}

/** The 32 bits that begin at a byte of the id: 0 and 4 are the milliseconds, 8 and 12 the sequence. */
function word(id: StreamId, at: number): number {
  return (
    ((id.charCodeAt(at) << 24) |
      (id.charCodeAt(at + 1) << 16) |
      (id.charCodeAt(at + 2) << 8) |
      id.charCodeAt(at + 3)) >>>
    0
  );
}

type Unsigned = number | bigint;

function highWord(value: Unsigned): number {
  return typeof value === 'number' ? Math.floor(value / WORD) : Number(value >> 32n);
}

function lowWord(value: Unsigned): number {
  return typeof value === 'number' ? value % WORD : Number(value & 0xffff_ffffn);
}

/** The id of two numbers from 0 to 2^64 - 1. */
export function idOf(milliseconds: Unsigned, sequence: Unsigned): StreamId {
  return bytesOfWords(highWord(milliseconds), lowWord(milliseconds), highWord(sequence), lowWord(sequence));
}

function decimal(high: number, low: number): string {
  return high < 0x20_0000 ? String(high * WORD + low) : String((BigInt(high) << 32n) | BigInt(low));
}

/** `<milliseconds>-<sequence>` */
export function formatId(id: StreamId): string {
  return `${decimal(word(id, 0), word(id, 4))}-${decimal(word(id, 8), word(id, 12))}`;
}

/** The next id there can be; undefined after the last. */
export function nextId(id: StreamId): StreamId | undefined {
  const [msHigh, msLow, seqHigh, seqLow] = [word(id, 0), word(id, 4), word(id, 8), word(id, 12)];
  if (seqLow < WORD - 1) return bytesOfWords(msHigh, msLow, seqHigh, seqLow + 1);
  if (seqHigh < WORD - 1) return bytesOfWords(msHigh, msLow, seqHigh + 1, 0);
  if (msLow < WORD - 1) return bytesOfWords(msHigh, msLow + 1, 0, 0);
  return msHigh < WORD - 1 ? bytesOfWords(msHigh + 1, 0, 0, 0) : undefined;
}

/** The id before this one; undefined before the first. */
export function previousId(id: StreamId): StreamId | undefined {
  const [msHigh, msLow, seqHigh, seqLow] = [word(id, 0), word(id, 4), word(id, 8), word(id, 12)];
  const last = WORD - 1;
  if (seqLow > 0) return bytesOfWords(msHigh, msLow, seqHigh, seqLow - 1);
  if (seqHigh > 0) return bytesOfWords(msHigh, msLow, seqHigh - 1, last);
  if (msLow > 0) return bytesOfWords(msHigh, msLow - 1, last, last);
  return msHigh > 0 ? bytesOfWords(msHigh - 1, last, last, last) : undefined;
}

/** Whether only their sequences differ. */
export function sameMilliseconds(one: StreamId, other: StreamId): boolean {
  return one.slice(0, 8) === other.slice(0, 8);
}

/** Whether the sequence can't grow any more. */
export function hasLastSequence(id: StreamId): boolean {
  return word(id, 8) === WORD - 1 && word(id, 12) === WORD - 1;
}

/**
 * How far the milliseconds and the sequence of `id` are from those of `base`, as numbers of 64 bits with a sign that wrap
 * around. Exact below 2^52 in size; beyond, only that they are that large.
 */
export function distances(id: StreamId, base: StreamId): readonly [number, number] {
  return [distance(id, base, 0), distance(id, base, 8)];
}

function distance(id: StreamId, base: StreamId, at: number): number {
  let high = word(id, at) - word(base, at);
  if (high >= WORD / 2) high -= WORD;
  else if (high < -WORD / 2) high += WORD;
  return high * WORD + (word(id, at + 4) - word(base, at + 4));
}

// --- What clients write ------------------------------------------------------------------------------------------

/** A canonical number as most are, of so many digits that it is below 2^53. */
const PLAIN = /^(?:0|[1-9]\d{0,14})$/;
/** What C's `strtoull` reads as a whole. */
const LENIENT = /^[ \t\n\v\f\r]*([+-]?)(\d+)$/;
/** A number below 0 as Redis itself writes it: refused, while `strtoull` would let it wrap around. */
const NEGATIVE = /^-[1-9]\d{0,18}$/;
/** Longer texts are no ids. */
const ID_CHARACTERS_MAX = 127;

/** One of an id's two numbers, read as leniently as Redis does; undefined where that is none. */
function parseUnsigned(text: string): Unsigned | undefined {
  if (text.length <= SAFE_DIGITS && PLAIN.test(text)) return Number(text);
  const [, sign, digits] = LENIENT.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const value = BigInt(digits);
  if (value >= MAX_64) return undefined;
  if (sign !== '-') return value;
  if (NEGATIVE.test(text) && value <= MAX_64 / 2n) return undefined;
  return value === 0n ? 0 : MAX_64 - value;
}

export interface GivenId {
  readonly id: StreamId;
  /** Written as `<milliseconds>-*`: the sequence of `id` is 0 and another is to be found. */
  readonly anySequence: boolean;
}

/**
 * The id that `text` spells; the sequence may be missing and is then the lowest or the highest. Undefined for anything
 * else, `-` and `+` included.
 */
export function parseId(
  text: string,
  missingSequence: 'lowest' | 'highest' = 'lowest',
): StreamId | undefined {
  if (text.length > ID_CHARACTERS_MAX) return undefined;
  const zero = text.indexOf('\0');
  const whole = zero === -1 ? text : text.slice(0, zero);
  const dash = whole.indexOf('-');
  const milliseconds = parseUnsigned(dash === -1 ? whole : whole.slice(0, dash));
  if (milliseconds === undefined) return undefined;
  if (dash === -1) return idOf(milliseconds, missingSequence === 'lowest' ? 0 : MAX_64 - 1n);
  const sequence = parseUnsigned(whole.slice(dash + 1));
  return sequence === undefined ? undefined : idOf(milliseconds, sequence);
}

/** As `parseId`, and `<milliseconds>-*` as well. */
export function parseGivenId(text: string): GivenId | undefined {
  const anySequence = text.endsWith('-*') && text.indexOf('-') === text.length - 2;
  const id = parseId(anySequence ? text.slice(0, -2) : text);
  return id === undefined ? undefined : { id, anySequence };
}
