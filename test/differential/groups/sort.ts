/** SORT over lists, sets and sorted sets, by the values of other keys. */
import { canonical } from '../compare.ts';
import type { Group, Source } from '../group.ts';

/** Few, so that the keys that patterns lead to are there. */
const ELEMENTS = ['1', '2', '3', '4', '10', '-7', '2.5'];
const element = (source: Source): string =>
  source.chance(0.85)
    ? source.pick(ELEMENTS)
    : source.pick(['a', 'b', '', ' 3', '3 ', 'nan', '0x10', '1e3', 'inf']);
const number = (source: Source): string => (source.chance(0.8) ? source.pick(ELEMENTS) : element(source));
const pattern = (source: Source): string =>
  source.pick([
    '#',
    'w_*',
    'w_*',
    'h_*->f',
    'h_*->f',
    'h_*->g',
    'h_*->',
    '*',
    'w_*->f',
    'h_*',
    'nothing',
    '',
    'h_*->f->g',
    '*_1',
    'w_*_*',
  ]);
const target = (source: Source): string => (source.chance(0.6) ? source.pick(['out', 'w_1']) : source.key());

/** Nothing that says by what is sorted. */
const others = (source: Source): string[] =>
  source.options([
    () => ['ASC'],
    () => ['DESC'],
    () => ['GET', pattern(source)],
    () => ['GET', pattern(source)],
    () => ['STORE', target(source)],
    () => [source.pick(['LIMIT', 'GET', 'STORE', 'nonsense', ''])],
  ]);
const limit = (source: Source): string[] => [
  'LIMIT',
  ...(source.chance(0.8) ? [source.small(), source.small()] : [source.integer(), source.integer()]),
];
/** Equal weights of ALPHA and BY come in any order when there is a LIMIT, or when the elements have none themselves. */
const orders = (source: Source): string[] =>
  source.pick([
    [],
    ['ALPHA'],
    ['BY', pattern(source)],
    ['BY'],
    ['BY', pattern(source), 'ALPHA'],
    limit(source),
    [...limit(source), 'ALPHA'],
    [...limit(source), 'BY', pattern(source)],
  ]);

/** What holds anything, and so maybe a set: nothing that leaves the order open. */
const total = (source: Source): string[] =>
  source.pick([
    [],
    ['ALPHA'],
    ['BY', source.pick(['w_*', 'h_*->f', '*'])],
    limit(source),
    [...limit(source), 'ALPHA'],
    [...limit(source), 'BY', 'h_*->g'],
  ]);

/** Keys that no other group has. */
const LISTS = ['list_1', 'list_2', 'list_3', 'out'];
const list = (source: Source): string => source.pick(LISTS);
const set = (source: Source): string => source.pick(['set_1', 'set_2']);
const sortedSet = (source: Source): string => source.pick(['zset_1', 'zset_2']);

export const group: Group = {
  name: 'sort',
  commands: [
    (source) => ['DEL', list(source), source.pick([set(source), sortedSet(source)])],
    (source) => ['RPUSH', list(source), ...source.some(() => number(source), 6)],
    (source) => ['RPUSH', list(source), ...source.some(() => source.pick(ELEMENTS), 6)],
    (source) => ['RPUSH', list(source), ...source.some(() => source.pick(ELEMENTS), 6)],
    (source) => ['SADD', set(source), ...source.some(() => source.pick(ELEMENTS), 6)],
    (source) => ['ZADD', sortedSet(source), ...source.some(() => [source.small(), source.pick(ELEMENTS)], 6)],
    (source) => ['SET', `w_${element(source)}`, number(source)],
    (source) => ['SET', `w_${source.pick(ELEMENTS)}`, source.pick(ELEMENTS)],
    (source) => [
      'HSET',
      `h_${source.pick(ELEMENTS)}`,
      source.pick(['f', 'f', 'g', '->', 'f->g']),
      number(source),
    ],
    (source) => ['HSET', `h_${source.pick(ELEMENTS)}`, 'f', source.pick(ELEMENTS)],
    (source) => ['DEL', `w_${source.pick(ELEMENTS)}`, `h_${source.pick(ELEMENTS)}`],
    (source) => ['SORT', list(source), ...orders(source), ...others(source)],
    (source) => ['SORT', list(source), ...others(source), ...orders(source), ...others(source)],
    (source) => ['SORT', list(source), ...orders(source), ...others(source)],
    (source) => ['SORT_RO', list(source), ...orders(source), ...others(source)],
    (source) => ['SORT', source.key(), ...total(source), ...others(source)],
    // Sets: no order of their own, so that nothing but whole results can be compared.
    (source) => ['SORT', set(source), ...source.pick([[], ['ALPHA'], limit(source)]), ...others(source)],
    (source) => ['SORT', set(source), 'BY', 'w_*', ...source.pick([[], limit(source)]), ...others(source)],
    (source) => [
      'SORT',
      set(source),
      'BY',
      'nothing',
      ...limit(source),
      ...others(source),
      'STORE',
      target(source),
    ],
    (source) => ['SORT_RO', set(source), 'BY', pattern(source), ...source.pick([[], ['ALPHA'], ['DESC']])],
    (source) => [
      'SORT',
      sortedSet(source),
      ...source.pick([[], ['ALPHA'], limit(source)]),
      ...others(source),
    ],
    (source) => [
      'SORT',
      sortedSet(source),
      'BY',
      source.pick(['nothing', 'w_*']),
      ...limit(source),
      ...others(source),
    ],
    (source) => [
      'SORT_RO',
      sortedSet(source),
      'BY',
      pattern(source),
      ...source.pick([[], ['ALPHA'], ['DESC']]),
    ],
    (source) => ['LRANGE', target(source), '0', '-1'],
    (source) => ['TYPE', target(source)],
  ],
  compare: {
    sort_ro: (expected, actual, args) =>
      canonical(expected) === canonical(actual) && /^z?set_/.test(args[1] ?? ''),
  },
};
