/** Sorted sets. */
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
 * The key of a set with long members, that Redis keeps in a skip list. Ranges of members stay away from it: where the scores
 * differ, a skip list answers by the dice that built it.
 */
const LARGE = 'large';

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

/** The end of a range of scores. */
function bound(source: Source): string {
  const spelled = source.pick(['-inf', '+inf', score(source), score(source), source.float()]);
  return source.chance(0.25) ? `(${spelled}` : spelled;
}

/** The end of a range of members. */
function lex(source: Source): string {
  return source.pick([
    '-',
    '+',
    `[${member(source)}`,
    `(${member(source)}`,
    '-',
    '+',
    member(source),
    '',
    '+x',
    '-\0x',
  ]);
}

function rank(source: Source): string {
  return source.chance(0.9) ? source.small() : source.integer();
}

const ADD_OPTIONS = [['NX'], ['XX'], ['GT'], ['LT'], ['CH'], ['INCR']].map((option) => () => option);

function limit(source: Source): string[] {
  return ['LIMIT', rank(source), rank(source)];
}

const WITH_SCORES = (): string[] => ['WITHSCORES'];

/** Two ends of a range of any kind and, mostly, the option that says of which. */
function range(source: Source): string[] {
  const rev = source.pick([[], [], ['REV']]);
  const options = source.options([() => limit(source), WITH_SCORES, WITH_SCORES, () => ['REV']]);
  switch (source.below(4)) {
    case 0:
      return [rank(source), rank(source), ...rev, ...options];
    case 1:
      return [bound(source), bound(source), 'BYSCORE', ...rev, ...options];
    case 2:
      return [lex(source), lex(source), 'BYLEX', ...rev, ...options];
    default:
      return [bound(source), rank(source), ...options, source.pick(['BYLEX', 'BYSCORE', 'rev'])];
  }
}

export const group: Group = {
  name: 'zsets',
  commands: [
    ...Array.from({ length: 5 }, () => (source: Source) => ['ZADD', source.key(), ...scored(source, 6)]),
    (source) => ['ZADD', source.key(), ...source.options(ADD_OPTIONS), ...scored(source)],
    (source) => ['ZADD', source.key(), ...source.options(ADD_OPTIONS), score(source), member(source)],
    (source) => ['ZADD', source.key(), 'INCR', ...source.options(ADD_OPTIONS), score(source), member(source)],
    // The same score for all, as ranges of members need it.
    (source) => ['ZADD', source.key(), ...source.some(() => ['1', member(source)], 8)],
    (source) => ['ZINCRBY', source.key(), score(source), member(source)],
    (source) => ['ZREM', source.key(), ...source.some(() => member(source))],
    (source) => ['ZSCORE', source.key(), member(source)],
    (source) => ['ZMSCORE', source.key(), ...source.some(() => member(source))],
    (source) => ['ZCARD', source.key()],
    (source) => ['ZRANK', source.key(), member(source)],
    (source) => ['ZREVRANK', source.key(), member(source)],
    (source) => ['ZCOUNT', source.key(), bound(source), bound(source)],
    (source) => ['ZLEXCOUNT', source.key(), lex(source), lex(source)],
    (source) => ['ZRANGE', source.key(), ...range(source)],
    (source) => ['ZRANGE', source.key(), ...range(source)],
    (source) => ['ZRANGESTORE', source.key(), source.key(), ...range(source)],
    (source) => ['ZREVRANGE', source.key(), rank(source), rank(source), ...source.options([WITH_SCORES])],
    (source) => [
      source.pick(['ZRANGEBYSCORE', 'ZREVRANGEBYSCORE']),
      source.key(),
      bound(source),
      bound(source),
      ...source.options([WITH_SCORES, () => limit(source)]),
    ],
    (source) => [
      source.pick(['ZRANGEBYLEX', 'ZREVRANGEBYLEX']),
      source.key(),
      lex(source),
      lex(source),
      ...source.options([() => limit(source), () => limit(source), WITH_SCORES]),
    ],
    (source) => ['ZREMRANGEBYRANK', source.key(), rank(source), rank(source)],
    (source) => ['ZREMRANGEBYSCORE', source.key(), bound(source), bound(source)],
    (source) => ['ZREMRANGEBYLEX', source.key(), lex(source), lex(source)],
    (source) => ['ZRANGE', source.key(), '0', '-1', 'WITHSCORES'],
    (source) => ['ZADD', LARGE, ...source.options(ADD_OPTIONS), score(source), source.value()],
    (source) => ['ZADD', LARGE, ...source.some(() => [score(source), source.value()], 6)],
    (source) => ['ZREM', LARGE, source.value()],
    (source) => ['ZRANGE', LARGE, rank(source), rank(source), ...source.options([WITH_SCORES])],
    (source) => ['ZREMRANGEBYRANK', LARGE, rank(source), rank(source)],
    (source) => ['ZREMRANGEBYSCORE', LARGE, bound(source), bound(source)],
    (source) => ['ZRANGESTORE', LARGE, LARGE, rank(source), rank(source)],
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
  },
};
