/** Commands over one list. Those that take elements away from it are in `list-pops.ts` and `list-moves.ts`. */
import type { DataCommand } from '../command.ts';
import { changeAs, entryAs, readAs } from '../context.ts';
import { INDEX_OUT_OF_RANGE, NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, type Integer, parseInteger } from '../integer.ts';
import { type End, List } from '../types/list.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

/** LPUSH and its kin; `onlyIfThere` makes it LPUSHX. */
function runPush(end: End, onlyIfThere: boolean): Run {
  const event = end === 'head' ? 'lpush' : 'rpush';
  return (context, args, reply) => {
    const [, key = ''] = args;
    const entry = entryAs(context, key, List);
    if (typeof entry === 'string') {
      reply.error(entry);
      return;
    }
    if (entry === undefined && onlyIfThere) {
      reply.integer(0);
      return;
    }
    const list = entry === undefined ? changeAs(context, key, List) : entry.value;
    if (typeof list === 'string') return;
    if (entry !== undefined) context.keyspace.change(key, entry);
    for (let at = 2; at < args.length; at++) list.push(end, args[at] ?? '');
    context.notify('l', event, key);
    reply.integer(list.size);
  };
}

const runLlen: Run = (context, args, reply) => {
  const list = readAs(context, args[1] ?? '', List);
  if (typeof list === 'string') reply.error(list);
  else reply.integer(list?.size ?? 0);
};

/** From the first element of a range to behind its last one, which may be counted from the end; both 0 for an empty range. */
function rangeOf(size: number, first: Integer, last: Integer): readonly [number, number] {
  const start = Math.max(0, clampInteger(first) + (first < 0 ? size : 0));
  const end = Math.min(size, clampInteger(last) + (last < 0 ? size : 0) + 1);
  return start < end ? [start, end] : [0, 0];
}

const runLrange: Run = (context, args, reply) => {
  const [, key = '', first = '', last = ''] = args;
  const [from, to] = [parseInteger(first), parseInteger(last)];
  if (from === undefined || to === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const list = readAs(context, key, List);
  if (typeof list === 'string') {
    reply.error(list);
    return;
  }
  const [start, end] = rangeOf(list?.size ?? 0, from, to);
  reply.array(end - start);
  list?.visit(start, end, (element) => reply.bulk(element));
};

const runLtrim: Run = (context, args, reply) => {
  const [, key = '', first = '', last = ''] = args;
  const [from, to] = [parseInteger(first), parseInteger(last)];
  if (from === undefined || to === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const entry = entryAs(context, key, List);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry !== undefined) {
    // Also when everything stays: Redis tells of that as of a change.
    context.keyspace.change(key, entry);
    const list = entry.value;
    const [start, end] = rangeOf(list.size, from, to);
    list.deleteRange(end, list.size);
    list.deleteRange(0, start);
    context.notify('l', 'ltrim', key);
  }
  reply.ok();
};

// --- By position -------------------------------------------------------------------------------------------------

/** The position that an index, counted from the end when it is negative, means; outside of the list when there is none. */
function positionOf(list: List, index: Integer): number {
  return clampInteger(index) + (index < 0 ? list.size : 0);
}

const runLindex: Run = (context, args, reply) => {
  const [, key = '', position = ''] = args;
  const list = readAs(context, key, List);
  if (typeof list === 'string') {
    reply.error(list);
    return;
  }
  // As in Redis, where a missing key hides the mistake.
  const index = list === undefined ? 0 : parseInteger(position);
  if (index === undefined) reply.error(NOT_AN_INTEGER);
  else reply.bulk(list?.at(positionOf(list, index)) ?? null);
};

const runLset: Run = (context, args, reply) => {
  const [, key = '', position = '', element = ''] = args;
  const entry = entryAs(context, key, List);
  if (typeof entry === 'string' || entry === undefined) {
    reply.error(entry ?? NO_SUCH_KEY);
    return;
  }
  const index = parseInteger(position);
  if (index === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const at = positionOf(entry.value, index);
  if (at < 0 || at >= entry.value.size) {
    reply.error(INDEX_OUT_OF_RANGE);
    return;
  }
  context.keyspace.change(key, entry);
  entry.value.replaceAt(at, element);
  context.notify('l', 'lset', key);
  reply.ok();
};

// --- By value ----------------------------------------------------------------------------------------------------

const NOT_FOUND = -1;

const runLinsert: Run = (context, args, reply) => {
  const [, key = '', where = '', pivot = '', element = ''] = args;
  const side = where.toLowerCase();
  if (side !== 'before' && side !== 'after') {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const entry = entryAs(context, key, List);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined) {
    reply.integer(0);
    return;
  }
  const list = entry.value;
  const [at] = list.positionsOf(pivot, { from: 'head', skipped: 0, max: 1, depth: Infinity });
  if (at === undefined) {
    reply.integer(NOT_FOUND);
    return;
  }
  context.keyspace.change(key, entry);
  list.insertAt(side === 'before' ? at : at + 1, element);
  context.notify('l', 'linsert', key);
  reply.integer(list.size);
};

const runLrem: Run = (context, args, reply) => {
  const [, key = '', amount = '', element = ''] = args;
  const count = parseInteger(amount);
  if (count === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const entry = entryAs(context, key, List);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const from = count < 0 ? 'tail' : 'head';
  const max = Math.abs(clampInteger(count)) || Infinity;
  const found = entry?.value.positionsOf(element, { from, skipped: 0, max, depth: Infinity }) ?? [];
  if (entry !== undefined && found.length > 0) {
    context.keyspace.change(key, entry);
    entry.value.deleteAll(from === 'head' ? found : found.reverse());
    context.notify('l', 'lrem', key);
  }
  reply.integer(found.length);
};

interface PosOptions {
  /** From 1; below 0 from the tail. */
  rank: number;
  /** Null: one is wanted, and not an array. */
  count: number | null;
  depth: number;
}

const RANK_ZERO =
  "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... " +
  'or use negative to start from the end of the list';

/** The options behind LPOS's element, or the text of the error reply. */
function parsePosOptions(args: readonly string[]): PosOptions | string {
  const options: PosOptions = { rank: 1, count: null, depth: Infinity };
  for (let at = 3; at < args.length; at += 2) {
    const word = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (argument === undefined || !['rank', 'count', 'maxlen'].includes(word)) return SYNTAX_ERROR;
    const integer = parseInteger(argument);
    if (word === 'rank') {
      if (integer === undefined) return NOT_AN_INTEGER;
      if (integer === 0) return RANK_ZERO;
      options.rank = clampInteger(integer);
      continue;
    }
    if (integer === undefined || integer < 0) return `ERR ${word.toUpperCase()} can't be negative`;
    if (word === 'count') options.count = clampInteger(integer);
    // No limit is another way to say 0.
    else options.depth = clampInteger(integer) || Infinity;
  }
  return options;
}

const runLpos: Run = (context, args, reply) => {
  const [, key = '', element = ''] = args;
  const options = parsePosOptions(args);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const list = readAs(context, key, List);
  if (typeof list === 'string') {
    reply.error(list);
    return;
  }
  const { rank, count, depth } = options;
  const from = rank < 0 ? 'tail' : 'head';
  const max = count === null ? 1 : count || Infinity;
  const found = list?.positionsOf(element, { from, skipped: Math.abs(rank) - 1, max, depth }) ?? [];
  if (count !== null) {
    reply.array(found.length);
    for (const position of found) reply.integer(position);
    return;
  }
  const [position] = found;
  if (position === undefined) reply.bulk(null);
  else reply.integer(position);
};

// --- The table ---------------------------------------------------------------------------------------------------

type ListCommand = Omit<DataCommand, 'kind' | 'group'>;

const push: ListCommand = {
  name: 'lpush',
  arity: -3,
  write: true,
  flags: ['write', 'denyoom', 'fast'],
  keys: ONE_KEY,
  categories: ['write', 'list', 'fast'],
  usage: '<key> <element> [<element> ...]',
  summary: 'Puts elements in front of a list, creating it',
  since: '1.0.0',
  complexity: 'O(1) per element',
  run: runPush('head', false),
};

const commands: readonly ListCommand[] = [
  push,
  {
    ...push,
    name: 'rpush',
    usage: '<key> <element> [<element> ...]',
    summary: 'Puts elements behind a list, creating it',
    run: runPush('tail', false),
  },
  {
    ...push,
    name: 'lpushx',
    usage: '<key> <element> [<element> ...]',
    summary: 'Puts elements in front of a list that is there',
    since: '2.2.0',
    run: runPush('head', true),
  },
  {
    ...push,
    name: 'rpushx',
    usage: '<key> <element> [<element> ...]',
    summary: 'Puts elements behind a list that is there',
    since: '2.2.0',
    run: runPush('tail', true),
  },
  {
    name: 'llen',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'list', 'fast'],
    usage: '<key>',
    summary: 'The number of elements of a list',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runLlen,
  },
  {
    name: 'lrange',
    arity: 4,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'list', 'slow'],
    usage: '<key> <start> <stop>',
    summary: 'A range of the elements of a list',
    since: '1.0.0',
    complexity: 'O(log N + M) where M is the number of elements returned',
    run: runLrange,
  },
  {
    name: 'ltrim',
    arity: 4,
    write: true,
    flags: ['write'],
    keys: ONE_KEY,
    categories: ['write', 'list', 'slow'],
    usage: '<key> <start> <stop>',
    summary: 'Removes all elements of a list outside a range',
    since: '1.0.0',
    complexity: 'O(N) where N is the number of elements removed',
    run: runLtrim,
  },
  {
    name: 'lindex',
    arity: 3,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'list', 'slow'],
    usage: '<key> <index>',
    summary: 'The element of a list at a position',
    since: '1.0.0',
    complexity: 'O(log N)',
    run: runLindex,
  },
  {
    name: 'lset',
    arity: 4,
    write: true,
    flags: ['write', 'denyoom'],
    keys: ONE_KEY,
    categories: ['write', 'list', 'slow'],
    usage: '<key> <index> <element>',
    summary: 'Puts another element at a position of a list',
    since: '1.0.0',
    complexity: 'O(log N)',
    run: runLset,
  },
  {
    name: 'linsert',
    arity: 5,
    write: true,
    flags: ['write', 'denyoom'],
    keys: ONE_KEY,
    categories: ['write', 'list', 'slow'],
    usage: '<key> BEFORE|AFTER <pivot> <element>',
    summary: 'Puts an element before or behind another one',
    since: '2.2.0',
    complexity: 'O(N) where N is the number of elements up to the other one',
    run: runLinsert,
  },
  {
    name: 'lrem',
    arity: 4,
    write: true,
    flags: ['write'],
    keys: ONE_KEY,
    categories: ['write', 'list', 'slow'],
    usage: '<key> <count> <element>',
    summary: 'Removes elements that are equal to a value',
    since: '1.0.0',
    complexity: 'O(N)',
    run: runLrem,
  },
  {
    name: 'lpos',
    arity: -3,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'list', 'slow'],
    usage: '<key> <element> [RANK <rank>] [COUNT <num-matches>] [MAXLEN <len>]',
    summary: 'The positions of elements that are equal to a value',
    since: '6.0.6',
    complexity: 'O(N)',
    run: runLpos,
  },
];

export const listCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'list',
  ...command,
}));
