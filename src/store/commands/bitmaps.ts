/** Commands over the single bits of strings; bit 0 is the highest of the first byte. */
import type { DataCommand } from '../command.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR, WRONG_TYPE } from '../errors.ts';
import { editString, stringOf } from '../in-place.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import { Bytes, CHUNK_BYTES } from '../types/bytes.ts';
import { byteAt, isString, MAX_STRING_BYTES, plainOf, type PlainString } from '../value.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

export const BAD_BIT_OFFSET = 'ERR bit offset is not an integer or out of range';
const BAD_BIT = 'ERR bit is not an integer or out of range';
/** Redis's longest string in bits: offsets are below. The last of them are beyond our own longest string: bits that are not set. */
export const BITS_MAX: number = 8 * 512 * 1024 * 1024;

// --- One bit -----------------------------------------------------------------------------------------------------

function parseBitOffset(text: string): number | undefined {
  const offset = parseInteger(text);
  return offset === undefined || offset < 0 || offset >= BITS_MAX ? undefined : Number(offset);
}

function bitAt(value: PlainString, offset: number): number {
  return (byteAt(value, Math.floor(offset / 8)) >> (7 - (offset % 8))) & 1;
}

const runSetBit: Run = (context, args, reply) => {
  const [, key = '', position = '', text = ''] = args;
  const offset = parseBitOffset(position);
  if (offset === undefined || offset >= 8 * MAX_STRING_BYTES) {
    reply.error(BAD_BIT_OFFSET);
    return;
  }
  if (text !== '0' && text !== '1') {
    reply.error(BAD_BIT);
    return;
  }
  const entry = context.keyspace.getForWrite(key, context.now);
  const held = entry?.value ?? '';
  if (!isString(held)) {
    reply.error(WRONG_TYPE);
    return;
  }
  const value = plainOf(held);
  const before = bitAt(value, offset);
  const index = Math.floor(offset / 8);
  if (before !== Number(text) || index >= value.length) {
    const flipped = byteAt(value, index) ^ (before === Number(text) ? 0 : 0x80 >> (offset % 8));
    editString(context, key, entry, (bytes) => bytes.set(index, flipped));
    context.notify('$', 'setbit', key);
  }
  reply.integer(before);
};

const runGetBit: Run = (context, args, reply) => {
  const offset = parseBitOffset(args[2] ?? '');
  if (offset === undefined) {
    reply.error(BAD_BIT_OFFSET);
    return;
  }
  const value = context.keyspace.get(args[1] ?? '', context.now)?.value ?? '';
  if (isString(value)) reply.integer(bitAt(plainOf(value), offset));
  else reply.error(WRONG_TYPE);
};

// --- Counting and finding ----------------------------------------------------------------------------------------

/** Bits from `from` to before `to`, counted from the beginning of the string. */
interface BitRange {
  readonly from: number;
  readonly to: number;
}

/** The range from `first` to `last`, both included, both below 0 when counted from the end, in units of `bits` bits. */
function bitRange(first: number, last: number, length: number, bits: number): BitRange {
  const units = (8 * length) / bits;
  const from = Math.max(0, first < 0 ? units + first : first);
  const to = Math.min(units, Math.max(0, last < 0 ? units + last : last) + 1);
  return { from: from * bits, to: to * bits };
}

/** What BYTE or BIT at the end of a range counts in, in bits; undefined for another word. */
function unitOf(word: string | undefined): 1 | 8 | undefined {
  switch ((word ?? 'byte').toLowerCase()) {
    case 'bit':
      return 1;
    case 'byte':
      return 8;
    default:
      return undefined;
  }
}

const BITS_OF_BYTE: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
});

/** Bits that are set among the bytes from `from` to before `to` of a chunk. */
function countOnes(chunk: Buffer, from: number, to: number): number {
  let count = 0;
  let at = from;
  for (; at < to && at % 4 !== 0; at++) count += BITS_OF_BYTE[chunk[at] ?? 0] ?? 0;
  const words = wordsOf(chunk);
  for (; at + 4 <= to; at += 4) {
    // Sums of neighbouring bits, then pairs, then halves of bytes, then all four bytes.
    let word = words[at >> 2] ?? 0;
    word -= (word >>> 1) & 0x5555_5555;
    word = (word & 0x3333_3333) + ((word >>> 2) & 0x3333_3333);
    count += Math.imul((word + (word >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
  }
  for (; at < to; at++) count += BITS_OF_BYTE[chunk[at] ?? 0] ?? 0;
  return count;
}

/** Where chunks of JavaScript strings are copied to: a new buffer each time costs more than all the rest. */
const COPY: Buffer = Buffer.alloc(CHUNK_BYTES);

/** All bytes of a chunk of the string, zeros behind its end; `null`: they are zeros. Good until the next call. */
function chunkOf(value: PlainString, at: number): Buffer | null {
  if (typeof value !== 'string') return value.chunk(at);
  const piece = value.slice(at * CHUNK_BYTES, (at + 1) * CHUNK_BYTES);
  if (piece.length === 0) return null;
  COPY.write(piece, 0, 'latin1');
  return COPY.fill(0, piece.length);
}

/**
 * Calls `visit` for the chunks that have bytes of the range `[from, to)`, with where in the chunk those begin and end, and
 * where in the string the chunk begins; until it answers false.
 */
function visitChunks(
  value: PlainString,
  from: number,
  to: number,
  visit: (chunk: Buffer | null, from: number, to: number, start: number) => boolean | void,
): void {
  for (let at = Math.floor(from / CHUNK_BYTES); at * CHUNK_BYTES < to; at++) {
    const start = at * CHUNK_BYTES;
    const [first, last] = [Math.max(0, from - start), Math.min(CHUNK_BYTES, to - start)];
    if (visit(chunkOf(value, at), first, last, start) === false) return;
  }
}

/** The bits of a byte from `bit` on. */
const behind = (bit: number): number => 0xff >> bit;

function countBits(value: PlainString, { from, to }: BitRange): number {
  if (from >= to) return 0;
  const [first, last] = [Math.floor(from / 8), Math.floor(to / 8)];
  let count = 0;
  visitChunks(value, first, last, (chunk, start, end) => {
    if (chunk !== null) count += countOnes(chunk, start, end);
  });
  // What the first byte has in front of the range, and what the byte in which it ends has of it.
  count -= BITS_OF_BYTE[byteAt(value, first) & ~behind(from % 8)] ?? 0;
  return count + (BITS_OF_BYTE[byteAt(value, last) & ~behind(to % 8)] ?? 0);
}

const runBitCount: Run = (context, args, reply) => {
  const [, key = '', start, end, unit] = args;
  const value = context.keyspace.get(key, context.now)?.value;
  if (value === undefined) {
    reply.integer(0);
    return;
  }
  if (!isString(value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  if (start === undefined) {
    reply.integer(countBits(plainOf(value), { from: 0, to: 8 * value.length }));
    return;
  }
  if (end === undefined || args.length > 5) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const [from, to] = [parseInteger(start), parseInteger(end)];
  if (from === undefined || to === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  if (from < 0 && to < 0 && from > to) {
    reply.integer(0);
    return;
  }
  const bits = unitOf(unit);
  if (bits === undefined) reply.error(SYNTAX_ERROR);
  else {
    const range = bitRange(clampInteger(from), clampInteger(to), value.length, bits);
    reply.integer(countBits(plainOf(value), range));
  }
};

/** The first bit of the range that is `bit`; -1 where there is none. */
function findBit(value: PlainString, bit: number, { from, to }: BitRange): number {
  const skipped = bit === 1 ? 0 : 0xff;
  let found = -1;
  visitChunks(value, Math.floor(from / 8), Math.ceil(to / 8), (chunk, start, end, before) => {
    if (chunk === null && bit === 1) return true;
    for (let at = start; at < end; at++) {
      const byte = chunk === null ? 0 : chunk[at];
      if (byte === skipped) continue;
      let candidates = (byte ?? 0) ^ skipped;
      if (8 * (before + at) < from) candidates &= behind(from % 8);
      if (candidates === 0) continue;
      found = 8 * (before + at) + Math.clz32(candidates) - 24;
      return false;
    }
    return true;
  });
  return found < to ? found : -1;
}

const runBitPos: Run = (context, args, reply) => {
  const [, key = '', text = '', start, end, unit] = args;
  const bit = parseInteger(text);
  if (bit === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  if (bit !== 0 && bit !== 1) {
    reply.error('ERR The bit argument must be 1 or 0.');
    return;
  }
  const value = context.keyspace.get(key, context.now)?.value;
  if (value === undefined) {
    // As if the string went on with zeros for ever.
    reply.integer(bit === 1 ? -1 : 0);
    return;
  }
  if (!isString(value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  if (args.length > 6) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const first = parseInteger(start ?? '0');
  const bits = unitOf(unit);
  const last = parseInteger(end ?? '-1');
  if (first === undefined) reply.error(NOT_AN_INTEGER);
  else if (bits === undefined) reply.error(SYNTAX_ERROR);
  else if (last === undefined) reply.error(NOT_AN_INTEGER);
  else {
    const range = bitRange(clampInteger(first), clampInteger(last), value.length, bits);
    if (range.from >= range.to) reply.integer(-1);
    else {
      const found = findBit(plainOf(value), bit, range);
      // Without an end, the zeros behind the string count.
      reply.integer(found === -1 && bit === 0 && end === undefined ? range.to : found);
    }
  }
};

// --- Whole bitmaps -----------------------------------------------------------------------------------------------

type BitOperation = 'and' | 'or' | 'xor' | 'not';

const OPERATIONS: ReadonlySet<string> = new Set<BitOperation>(['and', 'or', 'xor', 'not']);

/** The sources, filled up with zeros to the longest, bit by bit. */
function combine(operation: BitOperation, sources: readonly PlainString[]): Bytes {
  const result = new Bytes();
  const length = sources.reduce((longest, source) => Math.max(longest, source.length), 0);
  result.grow(length);
  for (let at = 0; at * CHUNK_BYTES < length; at++) {
    let into: Int32Array | null = null;
    for (const source of sources) {
      const chunk = chunkOf(source, at);
      if (chunk === null) {
        // Zeros decide an AND, and do nothing to an OR or XOR.
        if (operation === 'or' || operation === 'xor') continue;
        into?.fill(0);
        if (operation === 'and') break;
      }
      if (into === null) {
        into = wordsOf(result.writable(at));
        if (chunk !== null) into.set(wordsOf(chunk));
      } else if (chunk !== null) merge(operation, into, wordsOf(chunk));
    }
    if (operation !== 'not' || into === null) continue;
    for (let index = 0; index < into.length; index++) into[index] = ~(into[index] ?? 0);
    // Behind the end there are zeros.
    result.writable(at).fill(0, Math.min(CHUNK_BYTES, length - at * CHUNK_BYTES));
  }
  return result;
}

function merge(operation: BitOperation, into: Int32Array, words: Int32Array): void {
  for (let at = 0; at < into.length; at++) {
    const [one, other] = [into[at] ?? 0, words[at] ?? 0];
    into[at] = operation === 'and' ? one & other : operation === 'or' ? one | other : one ^ other;
  }
}

function wordsOf(chunk: Buffer): Int32Array {
  return new Int32Array(chunk.buffer, chunk.byteOffset, CHUNK_BYTES / 4);
}

const runBitOp: Run = (context, args, reply) => {
  const [, name = '', to = '', ...keys] = args;
  const operation = name.toLowerCase();
  if (!OPERATIONS.has(operation)) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (operation === 'not' && keys.length !== 1) {
    reply.error('ERR BITOP NOT must be called with a single source key.');
    return;
  }
  const { keyspace, now } = context;
  const sources: PlainString[] = [];
  for (const key of keys) {
    const value = keyspace.getForWrite(key, now)?.value ?? '';
    if (!isString(value)) {
      reply.error(WRONG_TYPE);
      return;
    }
    sources.push(plainOf(value));
  }
  const result = combine(operation as BitOperation, sources);
  const there = keyspace.getForWrite(to, now) !== undefined;
  if (result.length > 0) {
    keyspace.set(to, stringOf(result), 0);
    context.notify('$', 'set', to);
  } else if (there) {
    keyspace.delete(to);
    context.notify('g', 'del', to);
  }
  reply.integer(result.length);
};

// --- The table ---------------------------------------------------------------------------------------------------

type BitmapCommand = Omit<DataCommand, 'kind' | 'group' | 'keys'> & Partial<Pick<DataCommand, 'keys'>>;

const commands: readonly BitmapCommand[] = [
  {
    name: 'setbit',
    arity: 4,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['write', 'bitmap', 'slow'],
    usage: '<key> <offset> <value>',
    summary: 'Sets or clears a bit of a string and returns what it was',
    since: '2.2.0',
    complexity: 'O(1)',
    run: runSetBit,
  },
  {
    name: 'getbit',
    arity: 3,
    write: false,
    flags: ['readonly', 'fast'],
    categories: ['read', 'bitmap', 'fast'],
    usage: '<key> <offset>',
    summary: 'A bit of a string',
    since: '2.2.0',
    complexity: 'O(1)',
    run: runGetBit,
  },
  {
    name: 'bitcount',
    arity: -2,
    write: false,
    flags: ['readonly'],
    categories: ['read', 'bitmap', 'slow'],
    usage: '<key> [<start> <end> [BYTE|BIT]]',
    summary: 'Counts the bits that are set in a string or in a part of it',
    since: '2.6.0',
    complexity: 'O(N) where N is the number of bytes',
    run: runBitCount,
  },
  {
    name: 'bitpos',
    arity: -3,
    write: false,
    flags: ['readonly'],
    categories: ['read', 'bitmap', 'slow'],
    usage: '<key> <bit> [<start> [<end> [BYTE|BIT]]]',
    summary: 'The first bit of a string, or of a part of it, that is set or clear',
    since: '2.8.7',
    complexity: 'O(N) where N is the number of bytes',
    run: runBitPos,
  },
  {
    name: 'bitop',
    arity: -4,
    write: true,
    flags: ['write', 'denyoom'],
    keys: { first: 2, last: -1, step: 1 },
    categories: ['write', 'bitmap', 'slow'],
    usage: 'AND|OR|XOR|NOT <destkey> <key> [<key> ...]',
    summary: 'Combines strings bit by bit and keeps the result under another key',
    since: '2.6.0',
    complexity: 'O(N) where N is the number of bytes of all strings',
    run: runBitOp,
  },
];

export const bitmapCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'bitmap',
  keys: ONE_KEY,
  ...command,
}));
