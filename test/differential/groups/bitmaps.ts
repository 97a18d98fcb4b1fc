/** Single bits and fields of bits. */
import type { Group, Source } from '../group.ts';

const OFFSETS = [
  '4294967295',
  '4294967296',
  '-1',
  'abc',
  '',
  '1.5',
  '9223372036854775807',
  '#1',
  ' 1',
  '007',
  '65535',
];
const TYPES = ['i64', 'u63', 'u64', 'i65', 'i0', 'u0', 'i1', 'u1', 'I8', 'u08', 'i', '', 'x8', 'u+8'];
const EDGES = [
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '-9223372036854775807',
  '4611686018427387904',
  '9007199254740993',
  '-9007199254740993',
  '-129',
  '128',
  '255',
  '256',
  '-1',
  'abc',
  '1.0',
];

/** Mostly among the first bits, seldom far behind: what reads the string afterwards must not get megabytes. */
function offset(source: Source): string {
  if (source.chance(0.06)) return source.pick(OFFSETS.filter((_, at) => at > 0));
  return source.chance(0.05) ? String(source.below(70_000)) : String(source.below(90));
}

function range(source: Source): string[] {
  const bound = (): string => (source.chance(0.1) ? source.integer() : String(source.below(60) - 25));
  const unit = source.pick([[], [], ['BYTE'], ['BIT'], ['bit'], ['Byte'], ['nibble'], ['BIT', 'x']]);
  return source.pick([[], [bound()], [bound(), bound()], [bound(), bound(), ...unit]]);
}

function fieldType(source: Source): string {
  if (source.chance(0.15)) return source.pick(TYPES);
  return `${source.pick(['i', 'u'])}${1 + source.below(source.pick([8, 16, 40, 63, 64]))}`;
}

function fieldOffset(source: Source): string {
  if (source.chance(0.04))
    return source.pick(['#', '#-1', '#x', '#9223372036854775807', '#2305843009213693952', '-1']);
  return source.chance(0.3) ? `#${source.below(12)}` : offset(source);
}

function operand(source: Source): string {
  return source.chance(0.4) ? source.pick(EDGES) : String(source.below(600) - 200);
}

function operations(source: Source, max = 4): string[] {
  return source.some(() => {
    const field = [fieldType(source), fieldOffset(source)];
    const kind = source.below(12);
    if (kind < 3) return ['GET', ...field];
    if (kind < 6) return ['SET', ...field, operand(source)];
    if (kind < 10) return ['INCRBY', ...field, operand(source)];
    if (kind < 11) return ['OVERFLOW', source.pick(['WRAP', 'sat', 'FAIL', 'SAT', 'Fail', 'nonsense'])];
    return source.pick([['get'], ['SET', ...field], ['INCRBY'], ['overflow'], ['nonsense', ...field]]);
  }, max);
}

/** An overflow mode in front of operations that meet it. */
function overflowing(source: Source): string[] {
  return ['OVERFLOW', source.pick(['SAT', 'FAIL', 'WRAP']), ...operations(source, 3)];
}

function setBit(source: Source): string[] {
  const bit = source.chance(0.05) ? source.pick(['2', '-1', 'x', '', '01']) : source.pick(['0', '1', '1']);
  return ['SETBIT', source.key(), offset(source), bit];
}

export const group: Group = {
  name: 'bitmaps',
  commands: [
    setBit,
    setBit,
    (source) => ['GETBIT', source.key(), source.chance(0.1) ? source.pick(OFFSETS) : offset(source)],
    (source) => ['BITCOUNT', source.key(), ...range(source)],
    (source) => ['BITPOS', source.key(), source.pick(['0', '1', '0', '1', '2', 'x']), ...range(source)],
    (source) => ['BITFIELD', source.key(), ...operations(source)],
    (source) => ['BITFIELD', source.key(), ...overflowing(source)],
    (source) => ['BITFIELD_RO', source.key(), 'GET', fieldType(source), fieldOffset(source)],
    (source) => ['BITFIELD_RO', source.key(), ...operations(source, 2)],
    (source) => [
      'BITOP',
      source.pick(['AND', 'or', 'XOR', 'NOT', 'Not', 'nand']),
      source.key(),
      ...source.some(() => source.key()),
    ],
    (source) => ['SETRANGE', source.key(), source.pick(['0', '3', '20', '5000', '-1', 'x']), source.value()],
    (source) => ['GETRANGE', source.key(), source.small(), source.small()],
    (source) => ['GETRANGE', source.key(), '-9000', '-1'],
    (source) => ['APPEND', source.key(), '\xff\xff'],
    (source) => ['GET', source.key()],
  ],
};
