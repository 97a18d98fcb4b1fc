/**
 * BITFIELD: whole numbers of any width at any bit of a string, the highest bit first. Fields of up to 40 bits are numbers of
 * JavaScript throughout, wider ones are BigInts.
 */
import type { DataCommand } from '../command.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR, WRONG_TYPE } from '../errors.ts';
import { editString } from '../in-place.ts';
import { type Integer, parseInteger } from '../integer.ts';
import type { Bytes } from '../types/bytes.ts';
import { byteAt, isString, MAX_STRING_BYTES, plainOf, type PlainString } from '../value.ts';
import { BAD_BIT_OFFSET, BITS_MAX } from './bitmaps.ts';
import { ONE_KEY } from './positions.ts';

const BAD_TYPE =
  'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.';
/** With the 7 bits that may be in front of them in their first byte these are below 2^48: whole bytes of an exact double. */
const NUMBER_BITS_MAX = 40;
/** Added to what has {@link NUMBER_BITS_MAX} bits it is still exact. */
const NUMBER_MAX = 2 ** 52;

type Overflow = 'wrap' | 'sat' | 'fail';

interface Field {
  readonly signed: boolean;
  readonly bits: number;
  /** Of its first bit. */
  readonly offset: number;
}

type Operation = { readonly field: Field } & (
  | { readonly kind: 'get' }
  | { readonly kind: 'set' | 'incrby'; readonly operand: Integer; readonly overflow: Overflow }
);

// --- Arguments ---------------------------------------------------------------------------------------------------

/** The type and the offset of a field, or the text of the error. */
function parseField(type: string, position: string): Field | string {
  const signed = type.startsWith('i');
  const bits = parseInteger(type.slice(1));
  if ((!signed && !type.startsWith('u')) || bits === undefined || bits < 1 || bits > (signed ? 64 : 63))
    return BAD_TYPE;
  const counted = position.startsWith('#');
  const number = parseInteger(counted ? position.slice(1) : position);
  if (number === undefined) return BAD_BIT_OFFSET;
  // In 64 bits, as in Redis: a product that leaves them comes back from the other side.
  const offset = counted ? BigInt.asIntN(64, BigInt(number) * BigInt(bits)) : number;
  if (offset < 0 || offset >= BITS_MAX) return BAD_BIT_OFFSET;
  return { signed, bits: Number(bits), offset: Number(offset) };
}

/** The operations behind the key, or the text of the error. */
function parseOperations(args: readonly string[]): Operation[] | string {
  const operations: Operation[] = [];
  let overflow: Overflow = 'wrap';
  for (let at = 2; at < args.length; ) {
    const kind = (args[at] ?? '').toLowerCase();
    const left = args.length - at - 1;
    if (kind === 'overflow' && left >= 1) {
      const word = (args[at + 1] ?? '').toLowerCase();
      if (word !== 'wrap' && word !== 'sat' && word !== 'fail') return 'ERR Invalid OVERFLOW type specified';
      overflow = word;
      at += 2;
      continue;
    }
    const writes = kind === 'set' || kind === 'incrby';
    if (!(kind === 'get' && left >= 2) && !(writes && left >= 3)) return SYNTAX_ERROR;
    const field = parseField(args[at + 1] ?? '', args[at + 2] ?? '');
    if (typeof field === 'string') return field;
    if (writes) {
      const operand = parseInteger(args[at + 3] ?? '');
      if (operand === undefined) return NOT_AN_INTEGER;
      if (endOf(field) > MAX_STRING_BYTES) return BAD_BIT_OFFSET;
      operations.push({ kind, field, operand, overflow });
    } else operations.push({ kind: 'get', field });
    at += writes ? 4 : 3;
  }
  return operations;
}

/** How long a string is that just holds the field, in bytes. */
function endOf({ offset, bits }: Field): number {
  return Math.floor((offset + bits - 1) / 8) + 1;
}

// --- Fields ------------------------------------------------------------------------------------------------------

function readField(value: PlainString, field: Field): Integer {
  const { signed, bits, offset } = field;
  const start = Math.floor(offset / 8);
  const end = endOf(field);
  const behind = 8 * end - offset - bits;
  if (bits <= NUMBER_BITS_MAX) {
    let bytes = 0;
    for (let at = start; at < end; at++) bytes = bytes * 256 + byteAt(value, at);
    const number = Math.floor(bytes / 2 ** behind) % 2 ** bits;
    return signed && number >= 2 ** (bits - 1) ? number - 2 ** bits : number;
  }
  let bytes = 0n;
  for (let at = start; at < end; at++) bytes = (bytes << 8n) | BigInt(byteAt(value, at));
  const shifted = bytes >> BigInt(behind);
  return signed ? BigInt.asIntN(bits, shifted) : BigInt.asUintN(bits, shifted);
}

function writeField(bytes: Bytes, field: Field, number: Integer): void {
  if (typeof number === 'bigint') {
    // In two halves: the lower one of 32 bits, the upper one of what is left.
    const rest = BigInt.asUintN(field.bits, number);
    const upper = field.bits - 32;
    writeNumber(bytes, { ...field, bits: upper }, Number(rest >> 32n));
    writeNumber(
      bytes,
      { signed: false, bits: 32, offset: field.offset + upper },
      Number(rest & 0xffff_ffffn),
    );
  } else writeNumber(bytes, field, number < 0 ? number + 2 ** field.bits : number);
}

function writeNumber(bytes: Bytes, field: Field, number: number): void {
  const end = endOf(field);
  let rest = number;
  let left = field.bits;
  let behind = 8 * end - field.offset - field.bits;
  for (let at = end - 1; left > 0; at--) {
    const count = Math.min(left, 8 - behind);
    const mask = (1 << count) - 1;
    bytes.set(at, (bytes.at(at) & ~(mask << behind)) | (((rest % 256) & mask) << behind));
    rest = Math.floor(rest / 2 ** count);
    left -= count;
    behind = 0;
  }
}

/** `before + by` as the field can hold it, or null where it can't and shall not. */
function fitted(field: Field, before: Integer, by: Integer, overflow: Overflow): Integer | null {
  const { signed, bits } = field;
  const exact = (number: Integer): number is number =>
    typeof number === 'number' && Math.abs(number) <= NUMBER_MAX;
  // A number that is set comes as `before`, of any size.
  if (bits > NUMBER_BITS_MAX || !exact(before) || !exact(by) || (!signed && before < 0)) {
    const result = fittedBig(field, BigInt(before), BigInt(by), overflow);
    return result === null || bits > NUMBER_BITS_MAX ? result : Number(result);
  }
  const size = 2 ** bits;
  const max = signed ? size / 2 - 1 : size - 1;
  const min = signed ? -size / 2 : 0;
  const sum = before + by;
  if (sum >= min && sum <= max) return sum;
  switch (overflow) {
    case 'fail':
      return null;
    case 'sat':
      return sum > max ? max : min;
    case 'wrap': {
      const wrapped = ((sum % size) + size) % size;
      return wrapped > max ? wrapped - size : wrapped;
    }
  }
}

/**
 * The same with the 64-bit arithmetic of Redis, of which two things can be seen: what is set in an unsigned field counts as
 * unsigned itself, so that -1 is too large; and the room up to the maximum may itself overflow, so that the smallest
 * numbers of all, set in a narrow field, are too large as well.
 */
function fittedBig({ signed, bits }: Field, before: bigint, by: bigint, overflow: Overflow): bigint | null {
  const value = signed ? before : BigInt.asUintN(64, before);
  const max = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  const min = signed ? -max - 1n : 0n;
  const up = BigInt.asIntN(64, max - value);
  const down = BigInt.asIntN(64, min - value);
  const narrow = signed && bits < 64;
  const over = value > max || (by > up && (narrow || (by > 0n && value >= 0n)));
  const under = value < min || (by < down && (narrow || (by < 0n && (!signed || value < 0n))));
  if (!over && !under) return value + by;
  switch (overflow) {
    case 'fail':
      return null;
    case 'sat':
      return over ? max : min;
    case 'wrap':
      return signed ? BigInt.asIntN(bits, value + by) : BigInt.asUintN(bits, value + by);
  }
}

/** What an operation that writes leaves in its field; null where it fails. */
function resultOf(
  operation: Operation & { readonly kind: 'set' | 'incrby' },
  before: Integer,
): Integer | null {
  const { kind, field, operand, overflow } = operation;
  return kind === 'set' ? fitted(field, operand, 0, overflow) : fitted(field, before, operand, overflow);
}

function differ(one: Integer, other: Integer): boolean {
  return one !== other && BigInt(one) !== BigInt(other);
}

// --- The commands ------------------------------------------------------------------------------------------------

/** Whether the operations change anything of the value, its length apart. */
function changes(value: PlainString, operations: readonly Operation[]): boolean {
  return operations.some((operation) => {
    if (operation.kind === 'get') return false;
    const before = readField(value, operation.field);
    const result = resultOf(operation, before);
    return result !== null && differ(result, before);
  });
}

function runBitField(readOnly: boolean): DataCommand['run'] {
  return (context, args, reply) => {
    const [, key = ''] = args;
    const operations = parseOperations(args);
    if (typeof operations === 'string') {
      reply.error(operations);
      return;
    }
    const ends = operations.map((operation) => (operation.kind === 'get' ? 0 : endOf(operation.field)));
    const length = Math.max(0, ...ends);
    if (readOnly && length > 0) {
      reply.error('ERR BITFIELD_RO only supports the GET subcommand');
      return;
    }
    const { keyspace, now } = context;
    const entry = readOnly ? keyspace.get(key, now) : keyspace.getForWrite(key, now);
    const held = entry?.value ?? '';
    if (!isString(held)) {
      reply.error(WRONG_TYPE);
      return;
    }
    const value = plainOf(held);
    const grows = length > value.length;
    const replies: (Integer | null)[] = [];
    const run = (current: PlainString, bytes: Bytes | null): number => {
      let written = 0;
      for (const operation of operations) {
        const before = readField(current, operation.field);
        if (operation.kind === 'get') {
          replies.push(before);
          continue;
        }
        const result = resultOf(operation, before);
        replies.push(operation.kind === 'set' && result !== null ? before : result);
        if (result === null) continue;
        if (grows || differ(result, before)) written++;
        if (bytes !== null) writeField(bytes, operation.field, result);
      }
      return written;
    };
    let written = 0;
    if (grows || changes(value, operations)) {
      editString(context, key, entry, (bytes) => {
        bytes.grow(length);
        written = run(bytes, bytes);
      });
    } else run(value, null);
    if (written > 0) context.notify('$', 'setbit', key);
    reply.array(replies.length);
    for (const number of replies) {
      if (number === null) reply.bulk(null);
      else reply.integer(number);
    }
  };
}

type BitFieldCommand = Omit<DataCommand, 'kind' | 'group' | 'keys'>;

const commands: readonly BitFieldCommand[] = [
  {
    name: 'bitfield',
    arity: -2,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['write', 'bitmap', 'slow'],
    usage:
      '<key> [GET <encoding> <offset>|[OVERFLOW (WRAP|SAT|FAIL)] (SET <encoding> <offset> <value>|INCRBY <encoding> <offset> <increment>) ...]',
    summary: 'Reads, sets and increments whole numbers of any width among the bits of a string',
    since: '3.2.0',
    complexity: 'O(1) per operation',
    run: runBitField(false),
  },
  {
    name: 'bitfield_ro',
    arity: -2,
    write: false,
    flags: ['readonly', 'fast'],
    categories: ['read', 'bitmap', 'fast'],
    usage: '<key> [GET <encoding> <offset> ...]',
    summary: 'Reads whole numbers of any width among the bits of a string',
    since: '6.0.0',
    complexity: 'O(1) per operation',
    run: runBitField(true),
  },
];

export const bitFieldCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'bitmap',
  keys: ONE_KEY,
  ...command,
}));
