/** Hashes: few fields, so that they meet, and now and then a hash that grows large. */
import { canonical, type Comparison, type Value } from '../compare.ts';
import type { Group, Source } from '../group.ts';

function field(source: Source): string {
  return source.chance(0.03) ? 'f'.repeat(source.pick([64, 65])) : source.member();
}

function value(source: Source): string {
  if (source.chance(0.3)) return source.integer();
  return source.chance(0.2) ? source.float() : source.value();
}

/** Enough fields for a hash to change its encoding, or nearly. */
function many(source: Source): string[] {
  const fields: string[] = [];
  const count = source.pick([100, 400, 505, 520]);
  for (let at = 0; at < count; at++) fields.push(`n${at}`, String(at));
  return fields;
}

/** Only short fields and values come here: Redis keeps them in the order of arrival, and so do we. */
const SMALL = 'small';

function small(source: Source): string[] {
  const field = `m${source.below(20)}`;
  return source.pick([
    ['HSET', SMALL, field, source.small(), `m${source.below(20)}`, 'x'],
    ['HSETNX', SMALL, field, source.small()],
    ['HDEL', SMALL, field],
    ['HINCRBY', SMALL, field, '1'],
    ['HGETALL', SMALL],
    ['HKEYS', SMALL],
    ['HVALS', SMALL],
    ['HSCAN', SMALL, '0', 'MATCH', 'm1*'],
  ]);
}

/** A hash that Redis keeps as a hash table is in no order. */
const pairsUnlessSmall: Comparison = (expected, actual, args) =>
  args[1] !== SMALL && pairs(expected) === pairs(actual);

const unorderedUnlessSmall: Comparison = (expected, actual, args) =>
  args[1] !== SMALL && canonical(expected) === canonical(actual);

/** Fields and values without their order; they stay together. */
function pairs(value: Value): string {
  if (value.type !== '*') return canonical(value);
  return value.items
    .map((item, at) => `${at % 2 === 0 ? '' : canonical(value.items[at - 1] as Value)}${canonical(item)}`)
    .sort()
    .join();
}

const scan: Comparison = (expected, actual, args) => {
  if (args[1] === SMALL) return false;
  if (!('items' in expected) || !('items' in actual)) return canonical(expected) === canonical(actual);
  const [cursor, found] = expected.items;
  const [otherCursor, otherFound] = actual.items;
  // Only a scan in one step finds the same.
  const whole = [cursor, otherCursor].every((one) => one !== undefined && 'text' in one && one.text === '0');
  if (!whole || found === undefined || otherFound === undefined) return true;
  return pairs(found) === pairs(otherFound);
};

export const group: Group = {
  name: 'hashes',
  commands: [
    (source) => ['HSET', source.key(), ...source.some(() => [field(source), value(source)], 6)],
    (source) => ['HSET', source.key(), ...source.some(() => [field(source), value(source)])],
    (source) => ['HSET', source.key(), ...source.some(() => field(source))],
    (source) => [
      source.pick(['HSET', 'HMSET']),
      source.key(),
      ...(source.chance(0.1) ? many(source) : ['a', '1']),
    ],
    (source) => ['HMSET', source.key(), ...source.some(() => [field(source), value(source)])],
    (source) => ['HSETNX', source.key(), field(source), value(source)],
    (source) => ['HGET', source.key(), field(source)],
    (source) => ['HMGET', source.key(), ...source.some(() => field(source), 5)],
    (source) => ['HGETALL', source.key()],
    (source) => ['HGETALL', source.key()],
    small,
    small,
    (source) => ['HKEYS', source.key()],
    (source) => ['HVALS', source.key()],
    (source) => ['HLEN', source.key()],
    (source) => ['HEXISTS', source.key(), field(source)],
    (source) => ['HDEL', source.key(), ...source.some(() => field(source), 4)],
    (source) => ['HDEL', source.key(), ...source.some(() => field(source), 30)],
    (source) => ['HSTRLEN', source.key(), field(source)],
    (source) => ['HINCRBY', source.key(), field(source), source.integer()],
    (source) => ['HINCRBY', source.key(), field(source), source.small()],
    (source) => ['HINCRBYFLOAT', source.key(), field(source), source.float()],
    (source) => ['HRANDFIELD', source.key()],
    (source) => [
      'HRANDFIELD',
      source.key(),
      source.chance(0.8) ? source.small() : randomCount(source),
      ...source.pick([[], [], ['WITHVALUES'], ['withvalues'], ['WITHVALUE'], ['WITHVALUES', 'x']]),
    ],
    (source) => [
      'HSCAN',
      source.key(),
      source.pick(['0', '0', '0', '0', '', '-0', '+0', 'abc', '1.5', '18446744073709551616']),
      ...source.options([
        () => ['MATCH', source.pick(['*', 'm*', '[0-9]', 'm[1-4]', '?', 'nothing', ''])],
        () => ['COUNT', source.pick(['1', '2', '10', '1000', '0', '-1', 'abc', '9223372036854775808'])],
        () => ['TYPE', 'hash'],
        () => ['NOVALUES'],
      ]),
    ],
  ],
  compare: {
    hgetall: pairsUnlessSmall,
    hkeys: unorderedUnlessSmall,
    hvals: unorderedUnlessSmall,
    hrandfield: 'kind',
    hscan: scan,
  },
};

/** No count that Redis would answer with more than a client can take. */
function randomCount(source: Source): string {
  const count = source.integer();
  return /^-\d{4,18}$/.test(count) || count === '-9223372036854775807' ? '-100' : count;
}
