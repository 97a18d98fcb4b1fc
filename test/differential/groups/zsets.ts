/** Sorted sets. */
import { canonical, type Comparison, type Value } from '../compare.ts';
import type { Group, Source } from '../group.ts';

/** Few, so that scores are equal now and then; some that a double holds exactly, and some that it doesn't. */
const SCORES = [
  '0',
  '1',
  '2',
  '3',
  '-1',
  '1.5',
  '0.1',
  '0.2',
  '-2.25',
  '1e3',
  '3.3',
  '-0',
  'inf',
  '-inf',
  '100',
];

/**
 * The key of a set with long or many members, that Redis keeps in a skip list. Ranges of members stay away from it: where the scores
 * differ, a skip list answers by the dice that built it.
 */
const LARGE = 'large';

/** Sorted sets of this group alone, and one in which all scores are the same, as ranges of members need it. */
const OWN = ['z1', 'z2', 'z3'];
const SAME = 'same';
/** A set, which unions and intersections take as well. */
const SET = 'set';

function key(source: Source): string {
  return source.chance(0.55) ? source.pick(OWN) : source.key();
}

function lexKey(source: Source): string {
  return source.chance(0.7) ? SAME : key(source);
}

function member(source: Source): string {
  const chosen = source.member();
  return chosen.length > 64 ? 'long' : chosen;
}

function score(source: Source): string {
  return source.chance(0.85) ? source.pick(SCORES) : source.float();
}

function scored(source: Source, max = 4): string[] {
  return source.some(() => [score(source), member(source)], max);
}

/** What is right mostly, and odd now and then. */
function mostly(source: Source, right: () => string, odd: readonly string[]): string {
  return source.chance(0.93) ? right() : source.pick(odd);
}

/** Enough members to make a set large in two or three times. */
function numbered(source: Source): string[] {
  const from = source.below(4) * 50;
  return Array.from({ length: 50 }, (_, at) => [String((from + at) % 7), `n${from + at}`]).flat();
}

/** The end of a range of scores. */
function bound(source: Source, usual: string): string {
  const spelled = source.pick([usual, usual, score(source), source.float()]);
  return source.chance(0.25) ? `(${spelled}` : spelled;
}

function bounds(source: Source): string[] {
  const ends = [bound(source, '-inf'), bound(source, '+inf')];
  return source.chance(0.8) ? ends : ends.reverse();
}

/** The end of a range of members. */
function lex(source: Source, usual: string): string {
  const near = (): string => source.pick([usual, `[${member(source)}`, `(${member(source)}`]);
  return mostly(source, near, [member(source), '', '+x', '-\0x', '+', '-']);
}

function lexes(source: Source): string[] {
  const ends = [lex(source, '-'), lex(source, '+')];
  return source.chance(0.8) ? ends : ends.reverse();
}

function rank(source: Source): string {
  return source.chance(0.93) ? source.small() : source.integer();
}

function ranks(source: Source): string[] {
  return source.chance(0.3) ? ['0', '-1'] : [rank(source), rank(source)];
}

const ADD_OPTIONS = [['NX'], ['XX'], ['GT'], ['LT'], ['CH'], ['INCR']].map((option) => () => option);

function limit(source: Source): string[] {
  if (source.chance(0.9)) return ['LIMIT', String(source.below(3)), String(source.below(6) - 1)];
  return ['LIMIT', rank(source), rank(source)];
}

const WITH_SCORES = (): string[] => ['WITHSCORES'];

/** Two ends of a range of any kind and the options that go with it, mostly; forwards or backwards. */
function range(source: Source, stores: boolean): string[] {
  const scores = stores || source.chance(0.5) ? [] : ['WITHSCORES'];
  const usual = source.pick([[], [], limit(source)]);
  const odd = source.chance(0.1) ? source.options([() => limit(source), WITH_SCORES, () => ['REV']]) : [];
  const back = source.chance(0.35);
  const facing = (ends: string[]): string[] => (back ? [...ends.reverse(), 'REV'] : ends);
  switch (source.below(3)) {
    case 0:
      return [...ranks(source), ...(back ? ['REV'] : []), ...scores, ...odd];
    case 1:
      return [...facing(bounds(source)), 'BYSCORE', ...usual, ...scores, ...odd];
    default:
      return [...facing(lexes(source)), 'bylex', ...usual, ...odd];
  }
}

/** How many members may be taken. */
function count(source: Source): string {
  return source.chance(0.9) ? String(source.below(5)) : source.integer();
}

/** No count that Redis would answer with more than a client can take. */
function modest(text: string): string {
  return /^-?\d{4,19}$/.test(text) && text !== '-9223372036854775808' ? '-100' : text;
}

/** Keys and, mostly, their number in front. */
function keys(source: Source): string[] {
  const named = source.some(() => (source.chance(0.8) ? source.pick([...OWN, SET]) : key(source)), 4);
  return [source.chance(0.95) ? String(named.length) : source.integer(), ...named];
}

function timeout(source: Source): string {
  return mostly(source, () => '0.01', [
    '.02',
    '-1',
    'abc',
    '',
    '1e-3',
    '-0.5',
    'inf',
    '-inf',
    'nan',
    '1e300',
  ]);
}

/** Options of unions and intersections; weights for as many keys as there are, mostly. */
function aggregation(source: Source, named: readonly string[]): string[] {
  const several = (from: readonly string[]): string[] =>
    Array.from({ length: source.chance(0.95) ? named.length - 1 : source.below(5) }, () => source.pick(from));
  return [
    () => ['WEIGHTS', ...several(['1', '2', '0.5', '-1', '0', 'inf', '-inf', '3.3'])],
    () => ['WEIGHTS', ...several(source.chance(0.9) ? ['1', '2', '0.1'] : ['1', 'x', 'nan'])],
    () => ['AGGREGATE', mostly(source, () => source.pick(['SUM', 'MIN', 'MAX', 'min']), ['average'])],
    WITH_SCORES,
    () => ['LIMIT', rank(source)],
  ].flatMap((option, at) => (source.chance([0.2, 0.2, 0.5, 0.5, 0.02][at] ?? 0) ? option() : []));
}

function algebra(source: Source, name: string): string[] {
  const named = keys(source);
  const target = name.endsWith('STORE') ? [key(source)] : [];
  const scores = name.endsWith('STORE') ? [] : source.pick([[], ['WITHSCORES']]);
  if (name.startsWith('ZDIFF') && source.chance(0.9)) return [name, ...target, ...named, ...scores];
  const options = aggregation(source, named).filter(
    (option) => option !== 'WITHSCORES' || target.length === 0,
  );
  if (name === 'ZINTERCARD')
    return [name, ...named, ...(source.chance(0.9) ? source.pick([[], ['LIMIT', rank(source)]]) : options)];
  return [name, ...target, ...named, ...options];
}

function several(source: Source): string[] {
  return [
    ...keys(source),
    mostly(source, () => source.pick(['MIN', 'MAX', 'max']), ['middle', '']),
    ...source.pick([[], [], ['COUNT', count(source)], ['COUNT', count(source)]]),
    ...(source.chance(0.05) ? source.pick([['COUNT'], ['LIMIT', '1'], ['COUNT', '1']]) : []),
  ];
}

/** Members and scores, whose order says nothing where Redis keeps a skip list. */
const scan: Comparison = (expected, actual) => scanned(expected) === scanned(actual);

function scanned(value: Value): string {
  if (!('items' in value) || value.items.length !== 2) return canonical(value);
  const [cursor, found] = value.items as [Value, Value];
  if (!('items' in found)) return canonical(value);
  const texts = found.items.map((item, at) => {
    const text = 'text' in item ? item.text : '';
    return at % 2 === 0 ? text : String(Number(text.replace('inf', 'Infinity')));
  });
  const pairs = texts.flatMap((text, at) => (at % 2 === 0 ? [`${text} ${texts[at + 1]}`] : []));
  return `${canonical(cursor)} ${found.type} ${pairs.sort().join()}`;
}

export const group: Group = {
  name: 'zsets',
  commands: [
    ...Array.from({ length: 8 }, () => (source: Source) => ['ZADD', key(source), ...scored(source, 6)]),
    (source) => ['ZADD', key(source), ...source.options(ADD_OPTIONS), ...scored(source)],
    (source) => ['ZADD', key(source), ...source.options(ADD_OPTIONS), score(source), member(source)],
    (source) => ['ZADD', key(source), 'INCR', ...source.options(ADD_OPTIONS), score(source), member(source)],
    (source) => ['ZADD', SAME, ...source.some(() => ['1', member(source)], 8)],
    (source) => ['ZADD', SAME, ...source.some(() => ['1', member(source)], 8)],
    (source) => ['SADD', SET, ...source.some(() => member(source), 6)],
    (source) => ['SREM', SET, ...source.some(() => member(source), 6)],
    (source) => ['ZINCRBY', key(source), score(source), member(source)],
    (source) => ['ZINCRBY', 'z1', source.pick(['inf', '-inf', '1']), 'm1'],
    (source) => ['ZREM', key(source), ...source.some(() => member(source))],
    (source) => ['ZSCORE', key(source), member(source)],
    (source) => ['ZMSCORE', key(source), ...source.some(() => member(source))],
    (source) => ['ZCARD', key(source)],
    (source) => [source.pick(['ZRANK', 'ZREVRANK']), key(source), member(source)],
    (source) => ['ZCOUNT', key(source), ...bounds(source)],
    (source) => ['ZLEXCOUNT', lexKey(source), ...lexes(source)],
    (source) => ['ZRANGE', lexKey(source), ...range(source, false)],
    (source) => ['ZRANGE', key(source), ...range(source, false)],
    (source) => ['ZRANGESTORE', key(source), lexKey(source), ...range(source, true)],
    (source) => ['ZREVRANGE', key(source), ...ranks(source), ...source.options([WITH_SCORES])],
    (source) => [
      'ZRANGEBYSCORE',
      key(source),
      ...bounds(source),
      ...source.options([WITH_SCORES, () => limit(source)]),
    ],
    (source) => [
      'ZREVRANGEBYSCORE',
      key(source),
      ...bounds(source).reverse(),
      ...source.options([WITH_SCORES, () => limit(source)]),
    ],
    (source) => ['ZRANGEBYLEX', lexKey(source), ...lexes(source), ...source.pick([[], limit(source)])],
    (source) => [
      'ZREVRANGEBYLEX',
      lexKey(source),
      ...lexes(source).reverse(),
      ...source.options([() => limit(source), () => limit(source), () => limit(source), WITH_SCORES]),
    ],
    (source) => ['ZREMRANGEBYRANK', key(source), rank(source), source.pick(['0', '1', '2', rank(source)])],
    (source) => ['ZREMRANGEBYSCORE', key(source), bound(source, '1'), bound(source, '2')],
    (source) => ['ZREMRANGEBYLEX', lexKey(source), ...lexes(source)],
    (source) => ['ZRANGE', key(source), '0', '-1', 'WITHSCORES'],
    (source) => ['ZADD', LARGE, ...source.options(ADD_OPTIONS), score(source), source.value()],
    (source) => ['ZADD', LARGE, ...source.some(() => [score(source), source.value()], 6)],
    (source) => ['ZADD', LARGE, ...numbered(source)],
    (source) => ['ZREM', LARGE, source.value()],
    (source) => ['ZRANGE', LARGE, ...ranks(source), ...source.options([WITH_SCORES])],
    (source) => ['ZREMRANGEBYRANK', LARGE, rank(source), rank(source)],
    (source) => ['ZREMRANGEBYSCORE', LARGE, ...bounds(source)],
    (source) => ['ZRANGESTORE', LARGE, LARGE, ...ranks(source)],
    (source) => [source.pick(['ZPOPMIN', 'ZPOPMAX']), key(source), ...source.pick([[], [count(source)]])],
    (source) => [source.pick(['ZPOPMIN', 'ZPOPMAX']), LARGE, ...source.pick([[], [count(source)]])],
    (source) => [source.pick(['BZPOPMIN', 'BZPOPMAX']), ...source.some(() => key(source)), timeout(source)],
    (source) => ['ZMPOP', ...several(source)],
    (source) => ['BZMPOP', timeout(source), ...several(source)],
    ...['ZUNION', 'ZINTER', 'ZDIFF', 'ZUNIONSTORE', 'ZINTERSTORE', 'ZDIFFSTORE', 'ZINTERCARD'].map(
      (name) => (source: Source) => algebra(source, name),
    ),
    (source) => ['ZUNIONSTORE', key(source), '2', key(source), key(source)],
    (source) => [
      'ZRANDMEMBER',
      key(source),
      ...source.pick([[], [rank(source)], [rank(source), 'WITHSCORES']]).map(modest),
    ],
    (source) => [
      'ZSCAN',
      key(source),
      mostly(source, () => '0', ['', 'abc', '18446744073709551616']),
      ...source.options([
        () => ['MATCH', source.pick(['*', 'm*', '[0-9]', 'm[1-4]', '?', 'nothing', ''])],
        () => ['COUNT', mostly(source, () => '10', ['1000', '0', '-1', 'abc', '9223372036854775808'])],
        () => source.pick([['MATCH', 'm*'], ['TYPE', 'zset'], ['NOSCORES']]),
      ]),
    ],
  ],
  compare: {
    zadd: 'numbers',
    zincrby: 'numbers',
    zscore: 'numbers',
    zmscore: 'numbers',
    zrange: 'numbers',
    zrevrange: 'numbers',
    zrangebyscore: 'numbers',
    zrevrangebyscore: 'numbers',
    zpopmin: 'numbers',
    zpopmax: 'numbers',
    bzpopmin: 'numbers',
    bzpopmax: 'numbers',
    zmpop: 'numbers',
    bzmpop: 'numbers',
    zunion: 'numbers',
    zinter: 'numbers',
    zdiff: 'numbers',
    zrandmember: 'kind',
    zscan: scan,
  },
};
