/**
 * Ranges of sorted sets: by rank, by score or by the bytes of the members; to be read, stored, counted or removed.
 *
 * Every range becomes a range of ranks first, in O(log n), and all that is done with it is the same from there on.
 */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs, readAs } from '../context.ts';
import { parseBoundDouble } from '../double.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import {
  type LexBound,
  type LexRange,
  type Member,
  type Ranks,
  type ScoreRange,
  type Scored,
  SortedSet,
} from '../types/sorted-set.ts';
import { ONE_KEY, TWO_KEYS } from './positions.ts';

type Run = DataCommand['run'];

/** What is asked for, before the set is known. */
export type Range =
  | { readonly by: 'rank'; readonly start: number; readonly stop: number }
  | { readonly by: 'score'; readonly range: ScoreRange }
  | { readonly by: 'lex'; readonly range: LexRange };

/** The range between two arguments, or the text of the error. */
export function parseRange(by: Range['by'], min: string, max: string): Range | string {
  switch (by) {
    case 'rank': {
      const [start, stop] = [parseInteger(min), parseInteger(max)];
      if (start === undefined || stop === undefined) return NOT_AN_INTEGER;
      return { by, start: clampInteger(start), stop: clampInteger(stop) };
    }
    case 'score': {
      const [minExcluded, maxExcluded] = [min.startsWith('('), max.startsWith('(')];
      const [low, high] = [
        parseBoundDouble(minExcluded ? min.slice(1) : min),
        parseBoundDouble(maxExcluded ? max.slice(1) : max),
      ];
      if (low === undefined || high === undefined) return 'ERR min or max is not a float';
      return { by, range: { min: low, minExcluded, max: high, maxExcluded } };
    }
    case 'lex': {
      const [low, high] = [parseLexBound(min), parseLexBound(max)];
      if (low === undefined || high === undefined) return 'ERR min or max not valid string range item';
      return { by, range: { min: low, max: high } };
    }
  }
}

function parseLexBound(text: string): LexBound | undefined {
  const [first = '', second = '\0'] = text;
  switch (first) {
    case '-':
    case '+':
      // A zero byte ends the text, as in Redis.
      return second === '\0' ? first : undefined;
    case '(':
    case '[':
      return { member: text.slice(1), excluded: first === '(' };
    default:
      return undefined;
  }
}

/** Which part of a range is wanted: `limit` members behind the first `offset` ones, all of them below 0. */
export interface Part {
  readonly backwards: boolean;
  readonly offset: number;
  readonly limit: number;
}

const ALL: Part = { backwards: false, offset: 0, limit: -1 };

/** The ranks, from the lowest score, of what is asked for. */
export function ranksOf(set: SortedSet, range: Range, part: Part = ALL): Ranks {
  const { backwards, offset, limit } = part;
  if (offset < 0) return { from: 0, to: 0 };
  let { from, to } = skipping(set, range, backwards, offset);
  from = Math.max(0, from);
  to = Math.min(set.size, to);
  if (limit >= 0) {
    if (backwards) from = Math.max(from, to - limit);
    else to = Math.min(to, from + limit);
  }
  return { from, to: Math.max(from, to) };
}

function skipping(set: SortedSet, range: Range, backwards: boolean, offset: number): Ranks {
  const { size } = set;
  switch (range.by) {
    case 'rank': {
      const first = Math.max(0, range.start < 0 ? range.start + size : range.start);
      const last = range.stop < 0 ? range.stop + size : range.stop;
      return backwards ? { from: size - 1 - last, to: size - first } : { from: first, to: last + 1 };
    }
    case 'score': {
      const { from, to } = set.ranksByScore(range.range);
      return backwards ? { from, to: to - offset } : { from: from + offset, to };
    }
    case 'lex':
      return set.ranksByLex(range.range, backwards, offset);
  }
}

// --- Reading and storing -----------------------------------------------------------------------------------------

/** A range with its options, as ZRANGE and its older forms give it. */
interface Query {
  readonly range: Range;
  readonly part: Part;
  readonly withScores: boolean;
}

/** What a command says by its name; `undefined` where it is an option. */
interface Form {
  /** Where the key of the set is. */
  readonly key: number;
  readonly stores: boolean;
  readonly by: Range['by'] | undefined;
  readonly backwards: boolean | undefined;
}

/** The query, or the text of the error. */
function parseQuery(form: Form, args: readonly string[]): Query | string {
  let { by, backwards } = form;
  let withScores = false;
  let [offset, limit] = [0, -1];
  for (let at = form.key + 3; at < args.length; at++) {
    const option = (args[at] ?? '').toLowerCase();
    if (option === 'withscores' && !form.stores) withScores = true;
    else if (option === 'limit' && at + 2 < args.length) {
      const [first, second] = [parseInteger(args[++at] ?? ''), parseInteger(args[++at] ?? '')];
      if (first === undefined || second === undefined) return NOT_AN_INTEGER;
      [offset, limit] = [clampInteger(first), clampInteger(second)];
    } else if (option === 'rev' && backwards === undefined) backwards = true;
    else if ((option === 'bylex' || option === 'byscore') && by === undefined)
      by = option === 'bylex' ? 'lex' : 'score';
    else return SYNTAX_ERROR;
  }
  by ??= 'rank';
  backwards ??= false;
  if (limit !== -1 && by === 'rank')
    return 'ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX';
  if (withScores && by === 'lex')
    return 'ERR syntax error, WITHSCORES not supported in combination with BYLEX';
  const [first = '', second = ''] = args.slice(form.key + 1);
  // Backwards the higher end comes first, but ranks count from there.
  const swapped = backwards && by !== 'rank';
  const range = parseRange(by, swapped ? second : first, swapped ? first : second);
  if (typeof range === 'string') return range;
  // A range of ranks has no LIMIT, but Redis takes one without an end and ignores where it begins.
  return { range, part: { backwards, offset: by === 'rank' ? 0 : offset, limit }, withScores };
}

function visitPart(
  set: SortedSet,
  ranks: Ranks,
  { backwards }: Part,
  visit: (element: Scored) => void,
): void {
  if (backwards) set.visitBackwards(ranks, visit);
  else set.visit(ranks, visit);
}

function runRange(by: Range['by'] | undefined, backwards: boolean | undefined): Run {
  return (context, args, reply) => {
    const query = parseQuery({ key: 1, stores: false, by, backwards }, args);
    if (typeof query === 'string') {
      reply.error(query);
      return;
    }
    const set = readAs(context, args[1] ?? '', SortedSet);
    if (typeof set === 'string') reply.error(set);
    else if (set === undefined) reply.array(0);
    else writeRange(set, query, reply);
  };
}

function writeRange(set: SortedSet, { range, part, withScores }: Query, reply: ReplyWriter): void {
  const ranks = ranksOf(set, range, part);
  const length = ranks.to - ranks.from;
  if (!withScores) {
    reply.array(length);
    visitPart(set, ranks, part, ({ name }) => reply.bulk(name));
    return;
  }
  reply.pairs(length);
  visitPart(set, ranks, part, ({ name, score }) => {
    reply.pair();
    reply.bulk(name);
    reply.double(score);
  });
}

const runRangeStore: Run = (context, args, reply) => {
  const [, target = '', source = ''] = args;
  const query = parseQuery({ key: 2, stores: true, by: undefined, backwards: undefined }, args);
  if (typeof query === 'string') {
    reply.error(query);
    return;
  }
  const entry = entryAs(context, source, SortedSet);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const members: Member[] = [];
  if (entry !== undefined) {
    const ranks = ranksOf(entry.value, query.range, query.part);
    entry.value.visit(ranks, (member) => void members.push(member));
  }
  reply.integer(storeMembers(context, target, members, 'zrangestore'));
};

/** Puts a sorted set of these members in the place of whatever the key holds; without any, the key goes. Their number. */
export function storeMembers(
  context: Context,
  key: string,
  members: readonly Member[],
  event: string,
): number {
  const { keyspace, now } = context;
  if (members.length === 0) {
    if (keyspace.getForWrite(key, now) !== undefined) {
      keyspace.delete(key);
      context.notify('g', 'del', key);
    }
    return 0;
  }
  keyspace.set(key, SortedSet.of(members), 0);
  context.notify('z', event, key);
  return members.length;
}

// --- Counting and removing ---------------------------------------------------------------------------------------

function runCount(by: Range['by']): Run {
  return (context, args, reply) => {
    const [, key = '', min = '', max = ''] = args;
    const range = parseRange(by, min, max);
    if (typeof range === 'string') {
      reply.error(range);
      return;
    }
    const set = readAs(context, key, SortedSet);
    if (typeof set === 'string') {
      reply.error(set);
      return;
    }
    const { from, to } = set === undefined ? { from: 0, to: 0 } : ranksOf(set, range);
    reply.integer(to - from);
  };
}

function runRemoveRange(by: Range['by']): Run {
  const event = `zremrangeby${by}`;
  return (context, args, reply) => {
    const [, key = '', min = '', max = ''] = args;
    const range = parseRange(by, min, max);
    if (typeof range === 'string') {
      reply.error(range);
      return;
    }
    const entry = entryAs(context, key, SortedSet);
    if (typeof entry === 'string') {
      reply.error(entry);
      return;
    }
    const ranks = entry === undefined ? { from: 0, to: 0 } : ranksOf(entry.value, range);
    const removed = ranks.to - ranks.from;
    if (entry !== undefined && removed > 0) {
      context.keyspace.change(key, entry);
      entry.value.deleteRange(ranks);
      context.notify('z', event, key);
    }
    reply.integer(removed);
  };
}

// --- The table ---------------------------------------------------------------------------------------------------

type SortedSetCommand = Omit<DataCommand, 'kind' | 'group'>;

const range: SortedSetCommand = {
  name: 'zrange',
  arity: -4,
  write: false,
  flags: ['readonly'],
  keys: ONE_KEY,
  categories: ['read', 'sortedset', 'slow'],
  usage: '<key> <start> <stop> [BYSCORE|BYLEX] [REV] [LIMIT <offset> <count>] [WITHSCORES]',
  summary: 'Members of a sorted set in a range of ranks, scores or members',
  since: '1.2.0',
  complexity: 'O(log N + M) where M is the number of members returned',
  run: runRange(undefined, undefined),
};

const count: SortedSetCommand = {
  name: 'zcount',
  arity: 4,
  write: false,
  flags: ['readonly', 'fast'],
  keys: ONE_KEY,
  categories: ['read', 'sortedset', 'fast'],
  usage: '<key> <min> <max>',
  summary: 'The number of members in a range of scores',
  since: '2.0.0',
  complexity: 'O(log N)',
  run: runCount('score'),
};

const removeRange: SortedSetCommand = {
  name: 'zremrangebyrank',
  arity: 4,
  write: true,
  flags: ['write'],
  keys: ONE_KEY,
  categories: ['write', 'sortedset', 'slow'],
  usage: '<key> <start> <stop>',
  summary: 'Removes members in a range of ranks',
  since: '2.0.0',
  complexity: 'O(M log N) where M is the number of members removed, at most O(N)',
  run: runRemoveRange('rank'),
};

const commands: readonly SortedSetCommand[] = [
  range,
  {
    ...range,
    name: 'zrevrange',
    usage: '<key> <start> <stop> [WITHSCORES]',
    summary: 'Members of a sorted set in a range of ranks, from the highest score',
    run: runRange('rank', true),
  },
  {
    ...range,
    name: 'zrangebyscore',
    usage: '<key> <min> <max> [WITHSCORES] [LIMIT <offset> <count>]',
    summary: 'Members of a sorted set in a range of scores',
    since: '1.0.5',
    run: runRange('score', false),
  },
  {
    ...range,
    name: 'zrevrangebyscore',
    usage: '<key> <max> <min> [WITHSCORES] [LIMIT <offset> <count>]',
    summary: 'Members of a sorted set in a range of scores, from the highest',
    since: '2.2.0',
    run: runRange('score', true),
  },
  {
    ...range,
    name: 'zrangebylex',
    usage: '<key> <min> <max> [LIMIT <offset> <count>]',
    summary: 'Members in a range of members, of a sorted set in which all scores are the same',
    since: '2.8.9',
    run: runRange('lex', false),
  },
  {
    ...range,
    name: 'zrevrangebylex',
    usage: '<key> <max> <min> [LIMIT <offset> <count>]',
    summary:
      'Members in a range of members, the last first, of a sorted set in which all scores are the same',
    since: '2.8.9',
    run: runRange('lex', true),
  },
  {
    name: 'zrangestore',
    arity: -5,
    write: true,
    flags: ['write', 'denyoom'],
    keys: TWO_KEYS,
    categories: ['write', 'sortedset', 'slow'],
    usage: '<dst> <src> <min> <max> [BYSCORE|BYLEX] [REV] [LIMIT <offset> <count>]',
    summary: 'Stores what ZRANGE would return as another sorted set',
    since: '6.2.0',
    complexity: 'O(log N + M log M) where M is the number of members stored',
    run: runRangeStore,
  },
  count,
  {
    ...count,
    name: 'zlexcount',
    usage: '<key> <min> <max>',
    summary: 'The number of members in a range of members, where all scores are the same',
    since: '2.8.9',
    run: runCount('lex'),
  },
  removeRange,
  {
    ...removeRange,
    name: 'zremrangebyscore',
    usage: '<key> <min> <max>',
    summary: 'Removes members in a range of scores',
    since: '1.2.0',
    run: runRemoveRange('score'),
  },
  {
    ...removeRange,
    name: 'zremrangebylex',
    usage: '<key> <min> <max>',
    summary: 'Removes members in a range of members, where all scores are the same',
    since: '2.8.9',
    run: runRemoveRange('lex'),
  },
];

export const sortedSetRangeCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'sorted-set',
  ...command,
}));
