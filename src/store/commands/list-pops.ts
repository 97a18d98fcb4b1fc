/** Commands that take elements off the ends of lists, and those that wait until there is one. */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs } from '../context.ts';
import { SYNTAX_ERROR, wrongArity } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { parseTimeout } from '../timeout.ts';
import { type End, List } from '../types/list.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

const EVENTS: Readonly<Record<End, string>> = { head: 'lpop', tail: 'rpop' };

/** The outermost element of a list that is not empty. */
function popOne(context: Context, key: string, entry: Entry<List>, end: End): string {
  context.keyspace.change(key, entry);
  const element = entry.value.pop(end) ?? '';
  context.notify('l', EVENTS[end], key);
  return element;
}

/** Replies with up to `count` elements of a list that is not empty. */
function popMany(
  context: Context,
  key: string,
  entry: Entry<List>,
  end: End,
  count: number,
  reply: ReplyWriter,
): void {
  context.keyspace.change(key, entry);
  const elements = entry.value.take(end, count);
  context.notify('l', EVENTS[end], key);
  reply.array(elements.length);
  for (const element of elements) reply.bulk(element);
}

/** The number, at least `least`, that the text spells; undefined for anything else. */
function parseCount(text: string, least: number): number | undefined {
  const count = parseInteger(text);
  return count === undefined || count < least ? undefined : clampInteger(count);
}

// --- One list ----------------------------------------------------------------------------------------------------

function runPop(command: string, end: End): Run {
  return (context, args, reply) => {
    const [, key = '', amount] = args;
    if (args.length > 3) {
      reply.error(wrongArity(command));
      return;
    }
    const count = amount === undefined ? null : parseCount(amount, 0);
    if (count === undefined) {
      reply.error('ERR value is out of range, must be positive');
      return;
    }
    const entry = entryAs(context, key, List);
    if (typeof entry === 'string') reply.error(entry);
    else if (entry === undefined) {
      if (count === null) reply.bulk(null);
      else reply.nullArray();
    } else if (count === null) reply.bulk(popOne(context, key, entry, end));
    else if (count === 0) reply.array(0);
    else popMany(context, key, entry, end, count, reply);
  };
}

// --- The first of several lists ----------------------------------------------------------------------------------

type First = { readonly key: string; readonly entry: Entry<List> };

/** The first key that holds a list: undefined where there is none, the text of the error when one before it holds something else. */
function firstList(context: Context, keys: readonly string[]): First | undefined | string {
  for (const key of keys) {
    const entry = entryAs(context, key, List);
    if (typeof entry === 'string') return entry;
    if (entry !== undefined) return { key, entry };
  }
  return undefined;
}

function runBlockingPop(end: End): Run {
  return (context, args, reply) => {
    const timeoutMs = parseTimeout(args.at(-1) ?? '');
    if (typeof timeoutMs === 'string') {
      reply.error(timeoutMs);
      return;
    }
    const keys = args.slice(1, -1);
    const first = firstList(context, keys);
    if (typeof first === 'string') reply.error(first);
    else if (first !== undefined) {
      reply.array(2);
      reply.bulk(first.key);
      reply.bulk(popOne(context, first.key, first.entry, end));
    } else if (!context.wait({ keys, timeoutMs, retry: args })) reply.nullArray();
  };
}

interface ManyPops {
  readonly keys: readonly string[];
  readonly end: End;
  readonly count: number;
}

const ENDS: Readonly<Record<string, End>> = { left: 'head', right: 'tail' };

/** An end of a list as LEFT or RIGHT; undefined for anything else. */
export function parseEnd(word: string): End | undefined {
  const name = word.toLowerCase();
  return Object.hasOwn(ENDS, name) ? ENDS[name] : undefined;
}

/** `numkeys key … LEFT|RIGHT [COUNT count]` from `at` on, or the text of the error reply. */
function parseManyPops(args: readonly string[], at: number): ManyPops | string {
  const keyCount = parseCount(args[at] ?? '', 1);
  if (keyCount === undefined) return 'ERR numkeys should be greater than 0';
  const behind = at + 1 + keyCount;
  const end = parseEnd(args[behind] ?? '');
  if (end === undefined) return SYNTAX_ERROR;
  const keys = args.slice(at + 1, behind);
  const options = args.slice(behind + 1);
  if (options.length === 0) return { keys, end, count: 1 };
  const [word = '', amount, ...more] = options;
  if (word.toLowerCase() !== 'count' || amount === undefined) return SYNTAX_ERROR;
  const count = parseCount(amount, 1);
  if (count === undefined) return 'ERR count should be greater than 0';
  return more.length > 0 ? SYNTAX_ERROR : { keys, end, count };
}

/** LMPOP; BLMPOP with the timeout in front, which may wait. */
function runManyPops(blocks: boolean): Run {
  return (context, args, reply) => {
    const pops = parseManyPops(args, blocks ? 2 : 1);
    if (typeof pops === 'string') {
      reply.error(pops);
      return;
    }
    const timeoutMs = blocks ? parseTimeout(args[1] ?? '') : 0;
    if (typeof timeoutMs === 'string') {
      reply.error(timeoutMs);
      return;
    }
    const { keys, end, count } = pops;
    const first = firstList(context, keys);
    if (typeof first === 'string') reply.error(first);
    else if (first !== undefined) {
      reply.array(2);
      reply.bulk(first.key);
      popMany(context, first.key, first.entry, end, count, reply);
    } else if (!blocks || !context.wait({ keys, timeoutMs, retry: args })) reply.nullArray();
  };
}

// --- The table ---------------------------------------------------------------------------------------------------

type PopCommand = Omit<DataCommand, 'kind' | 'group' | 'write'>;

const pop: PopCommand = {
  name: 'lpop',
  arity: -2,
  flags: ['write', 'fast'],
  keys: ONE_KEY,
  categories: ['write', 'list', 'fast'],
  usage: '<key> [<count>]',
  summary: 'Takes elements off the head of a list',
  since: '1.0.0',
  complexity: 'O(N) where N is the number of elements taken',
  run: runPop('lpop', 'head'),
};

const blockingPop: PopCommand = {
  name: 'blpop',
  arity: -3,
  flags: ['write', 'noscript', 'blocking'],
  keys: { first: 1, last: -2, step: 1 },
  categories: ['write', 'list', 'slow', 'blocking'],
  usage: '<key> [<key> ...] <timeout>',
  summary: 'Takes an element off the head of the first list that has one, or waits for it',
  since: '2.0.0',
  complexity: 'O(N) where N is the number of keys',
  run: runBlockingPop('head'),
};

const commands: readonly PopCommand[] = [
  pop,
  {
    ...pop,
    name: 'rpop',
    usage: '<key> [<count>]',
    summary: 'Takes elements off the tail of a list',
    run: runPop('rpop', 'tail'),
  },
  {
    name: 'lmpop',
    arity: -4,
    flags: ['write', 'movablekeys'],
    keys: { first: 0, last: 0, step: 0 },
    categories: ['write', 'list', 'slow'],
    usage: '<numkeys> <key> [<key> ...] LEFT|RIGHT [COUNT <count>]',
    summary: 'Takes elements off one end of the first list that is there',
    since: '7.0.0',
    complexity: 'O(N+M) where N is the number of keys and M that of the elements taken',
    run: runManyPops(false),
  },
  blockingPop,
  {
    ...blockingPop,
    name: 'brpop',
    usage: '<key> [<key> ...] <timeout>',
    summary: 'Takes an element off the tail of the first list that has one, or waits for it',
    run: runBlockingPop('tail'),
  },
  {
    name: 'blmpop',
    arity: -5,
    flags: ['write', 'blocking', 'movablekeys'],
    keys: { first: 0, last: 0, step: 0 },
    categories: ['write', 'list', 'slow', 'blocking'],
    usage: '<timeout> <numkeys> <key> [<key> ...] LEFT|RIGHT [COUNT <count>]',
    summary: 'Takes elements off one end of the first list that is there, or waits for one',
    since: '7.0.0',
    complexity: 'O(N+M) where N is the number of keys and M that of the elements taken',
    run: runManyPops(true),
  },
];

export const listPopCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'list',
  write: true,
  ...command,
}));
