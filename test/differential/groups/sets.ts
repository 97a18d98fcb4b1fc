/** Sets: of small integers, of few names, and now and then at the size where their encoding changes. */
import { canonical, type Comparison } from '../compare.ts';
import type { Group, Source } from '../group.ts';

function member(source: Source): string {
  if (source.chance(0.1)) return source.integer();
  return source.chance(0.5) ? String(source.below(20)) : source.member();
}

/** Integers, so that sets of nothing else are met often. */
function numbers(source: Source): string[] {
  if (source.chance(0.05)) {
    const [from, count] = [source.below(100), source.pick([500, 511, 512, 513])];
    return Array.from({ length: count }, (_, at) => String(from + at));
  }
  return source.some(() => String(source.below(30) - 10), 8);
}

/** Only integers come here, and few: they are in ascending order. */
const INTEGERS = 'integers';

function integers(source: Source): string[] {
  const number = source.pick([
    '-9223372036854775808',
    '9223372036854775807',
    '9007199254740993',
    source.small(),
  ]);
  return source.pick([
    ['SADD', INTEGERS, number, String(source.below(50))],
    ['SREM', INTEGERS, number],
    ['SISMEMBER', INTEGERS, number],
    ['SMEMBERS', INTEGERS],
    ['SSCAN', INTEGERS, '0'],
    ['SMOVE', source.key(), INTEGERS, number],
    ['SDIFF', INTEGERS, source.key()],
  ]);
}

/** Which member goes differs, and nothing may come of that: here is never more than one. */
const ONE = 'one';

function pop(source: Source): string[] {
  return source.pick([
    ['SADD', ONE, 'x'],
    ['SADD', ONE, 'x'],
    ['SET', ONE, 'x'],
    ['DEL', ONE],
    ['SMOVE', ONE, source.key(), 'x'],
    ['SPOP', ONE],
    ['SPOP', ONE, source.integer()],
  ]);
}

const unorderedUnlessIntegers: Comparison = (expected, actual, args) =>
  args[1] !== INTEGERS && canonical(expected) === canonical(actual);

const scan: Comparison = (expected, actual, args) => {
  if (args[1] === INTEGERS) return false;
  if (!('items' in expected) || !('items' in actual)) return canonical(expected) === canonical(actual);
  // Only a scan in one step finds the same.
  const whole = [expected, actual].every(
    ({ items: [cursor] }) => cursor && 'text' in cursor && cursor.text === '0',
  );
  return !whole || canonical(expected) === canonical(actual);
};

const combined = ['SINTER', 'SUNION', 'SDIFF'];

export const group: Group = {
  name: 'sets',
  commands: [
    (source) => ['SADD', source.key(), ...source.some(() => member(source), 6)],
    (source) => ['SADD', source.key(), ...source.some(() => member(source), 6)],
    (source) => ['SADD', source.key(), ...numbers(source)],
    (source) => ['SADD', source.key(), ...numbers(source)],
    integers,
    (source) => ['SREM', source.key(), ...source.some(() => member(source), 4)],
    (source) => ['SREM', source.key(), ...numbers(source)],
    (source) => ['SISMEMBER', source.key(), member(source)],
    (source) => ['SMISMEMBER', source.key(), ...source.some(() => member(source), 6)],
    (source) => ['SMEMBERS', source.key()],
    (source) => ['SMEMBERS', source.key()],
    (source) => ['SCARD', source.key()],
    (source) => ['SMOVE', source.key(), source.key(), member(source)],
    (source) => [source.pick(combined), ...source.some(() => source.key(), 4)],
    (source) => [source.pick(combined), ...source.some(() => source.key(), 2)],
    (source) => [`${source.pick(combined)}STORE`, source.key(), ...source.some(() => source.key(), 3)],
    (source) => [`${source.pick(combined)}STORE`, source.key(), ...source.some(() => source.key(), 2)],
    (source) => {
      const keys = source.some(() => source.key(), 3);
      return [
        'SINTERCARD',
        source.chance(0.85) ? String(keys.length) : source.integer(),
        ...keys,
        ...source.options([() => ['LIMIT', source.integer()], () => ['LIMIT'], () => ['COUNT', '1']]),
      ];
    },
    (source) => ['SRANDMEMBER', source.key()],
    (source) => ['SRANDMEMBER', source.key(), source.chance(0.8) ? source.small() : randomCount(source)],
    pop,
    pop,
    (source) => [
      'SSCAN',
      source.key(),
      source.pick(['0', '0', '0', '0', '', '-0', '+0', 'abc', '1.5', '18446744073709551616']),
      ...source.options([
        () => ['MATCH', source.pick(['*', 'm*', '[0-9]', 'm[1-4]', '?', '1*', 'nothing', ''])],
        () => ['COUNT', source.pick(['1', '2', '10', '1000', '0', '-1', 'abc', '9223372036854775808'])],
        () => ['TYPE', 'set'],
      ]),
    ],
  ],
  compare: {
    smembers: unorderedUnlessIntegers,
    sinter: 'unordered',
    sunion: 'unordered',
    sdiff: unorderedUnlessIntegers,
    srandmember: 'kind',
    sscan: scan,
  },
  asMade: (args) => args[1] === ONE,
};

/** No count that Redis would answer with more than a client can take. */
function randomCount(source: Source): string {
  const count = source.integer();
  return /^-\d{4,18}$/.test(count) || count === '-9223372036854775807' ? '-100' : count;
}
