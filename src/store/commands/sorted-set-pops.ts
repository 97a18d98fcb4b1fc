/** Commands that take the members with the lowest or the highest scores out of sorted sets, and those that wait for some. */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs } from '../context.ts';
import { SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { parseTimeout } from '../timeout.ts';
import { type Scored, SortedSet } from '../types/sorted-set.ts';
import { NO_KEYS, ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

/** From which end members are taken. */
type End = 'min' | 'max';

/** Takes up to `count` members, at least one, out of a set that has some, the outermost first. */
function pop(context: Context, { key, entry }: Candidate, end: End, count: number): Scored[] {
  const { value: set } = entry;
  const taken = Math.min(count, set.size);
  const ranks = end === 'min' ? { from: 0, to: taken } : { from: set.size - taken, to: set.size };
  const members: Scored[] = [];
  if (end === 'min') set.visit(ranks, (member) => void members.push(member));
  else set.visitBackwards(ranks, (member) => void members.push(member));
  context.keyspace.change(key, entry);
  set.deleteRange(ranks);
  context.notify('z', `zpop${end}`, key);
  return members;
}

/** A key that holds a sorted set. */
interface Candidate {
  readonly key: string;
  readonly entry: Entry<SortedSet>;
}

/** The first of the keys that holds something: undefined where there is none, the text of the error if that is no sorted set. */
function firstOf(context: Context, keys: readonly string[]): Candidate | undefined | string {
  for (const key of keys) {
    const entry = entryAs(context, key, SortedSet);
    if (typeof entry === 'string') return entry;
    if (entry !== undefined) return { key, entry };
  }
  return undefined;
}

/** ZPOPMIN and ZPOPMAX. */
function runPop(end: End): Run {
  return (context, args, reply) => {
    const [, key = '', amount] = args;
    if (args.length > 3) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    const count = amount === undefined ? 1 : parseInteger(amount);
    if (count === undefined || count < 0) {
      reply.error('ERR value is out of range, must be positive');
      return;
    }
    const candidate = firstOf(context, [key]);
    if (typeof candidate === 'string') reply.error(candidate);
    else if (candidate === undefined || count === 0) reply.array(0);
    else {
      const members = pop(context, candidate, end, clampInteger(count));
      // One member that nobody counted is no list of pairs.
      if (amount === undefined) reply.array(2);
      else reply.pairs(members.length);
      for (const { name, score } of members) {
        if (amount !== undefined) reply.pair();
        reply.bulk(name);
        reply.double(score);
      }
    }
  };
}

/** BZPOPMIN and BZPOPMAX: the last argument is the timeout. */
function runBlockingPop(end: End): Run {
  return (context, args, reply) => {
    const keys = args.slice(1, -1);
    const timeoutMs = parseTimeout(args.at(-1) ?? '');
    if (typeof timeoutMs === 'string') {
      reply.error(timeoutMs);
      return;
    }
    const candidate = firstOf(context, keys);
    if (typeof candidate === 'string') reply.error(candidate);
    else if (candidate === undefined) waitFor(context, keys, timeoutMs, args, reply);
    else {
      reply.array(3);
      reply.bulk(candidate.key);
      for (const { name, score } of pop(context, candidate, end, 1)) {
        reply.bulk(name);
        reply.double(score);
      }
    }
  };
}

function waitFor(
  context: Context,
  keys: readonly string[],
  timeoutMs: number,
  retry: readonly string[],
  reply: ReplyWriter,
): void {
  if (!context.wait({ keys, timeoutMs, retry })) reply.nullArray();
}

interface Several {
  readonly keys: readonly string[];
  readonly end: End;
  readonly count: number;
}

/** What ZMPOP and BZMPOP ask for, from the number of keys at `at` on; or the text of the error. */
function parseSeveral(args: readonly string[], at: number): Several | string {
  const numberOfKeys = parseInteger(args[at] ?? '');
  if (numberOfKeys === undefined || numberOfKeys < 1) return 'ERR numkeys should be greater than 0';
  const behind = at + 1 + clampInteger(numberOfKeys);
  const [end, ...options] = args.slice(behind).map((word) => word.toLowerCase());
  if (end !== 'min' && end !== 'max') return SYNTAX_ERROR;
  let count: number | null = null;
  for (let option = 0; option < options.length; option += 2) {
    const amount = options[option + 1];
    if (options[option] !== 'count' || amount === undefined || count !== null) return SYNTAX_ERROR;
    const parsed = parseInteger(amount);
    if (parsed === undefined || parsed < 1) return 'ERR count should be greater than 0';
    count = clampInteger(parsed);
  }
  return { keys: args.slice(at + 1, behind), end, count: count ?? 1 };
}

/** ZMPOP, and BZMPOP, whose first argument is the timeout. */
function runPopFromSeveral(blocking: boolean): Run {
  return (context, args, reply) => {
    const several = parseSeveral(args, blocking ? 2 : 1);
    if (typeof several === 'string') {
      reply.error(several);
      return;
    }
    const { keys, end, count } = several;
    const timeoutMs = blocking ? parseTimeout(args[1] ?? '') : null;
    if (typeof timeoutMs === 'string') {
      reply.error(timeoutMs);
      return;
    }
    const candidate = firstOf(context, keys);
    if (typeof candidate === 'string') reply.error(candidate);
    else if (candidate !== undefined) {
      const members = pop(context, candidate, end, count);
      reply.array(2);
      reply.bulk(candidate.key);
      reply.array(members.length);
      for (const { name, score } of members) {
        reply.array(2);
        reply.bulk(name);
        reply.double(score);
      }
    } else if (timeoutMs === null) reply.nullArray();
    else waitFor(context, keys, timeoutMs, args, reply);
  };
}

// --- The table ---------------------------------------------------------------------------------------------------

type SortedSetCommand = Omit<DataCommand, 'kind' | 'group'>;

const zpopmin: SortedSetCommand = {
  name: 'zpopmin',
  arity: -2,
  write: true,
  flags: ['write', 'fast'],
  keys: ONE_KEY,
  categories: ['write', 'sortedset', 'fast'],
  usage: '<key> [<count>]',
  summary: 'Takes out the members with the lowest scores',
  since: '5.0.0',
  complexity: 'O(log N + M) where M is the number of members taken out, O(M log N) at most',
  run: runPop('min'),
};

const bzpopmin: SortedSetCommand = {
  name: 'bzpopmin',
  arity: -3,
  write: true,
  flags: ['write', 'noscript', 'blocking', 'fast'],
  keys: { first: 1, last: -2, step: 1 },
  categories: ['write', 'sortedset', 'fast', 'blocking'],
  usage: '<key> [<key> ...] <timeout>',
  summary: 'Takes out the member with the lowest score of the first set that has one, or waits for it',
  since: '5.0.0',
  complexity: 'O(log N)',
  run: runBlockingPop('min'),
};

const commands: readonly SortedSetCommand[] = [
  zpopmin,
  {
    ...zpopmin,
    name: 'zpopmax',
    usage: '<key> [<count>]',
    summary: 'Takes out the members with the highest scores',
    run: runPop('max'),
  },
  {
    name: 'zmpop',
    arity: -4,
    write: true,
    flags: ['write', 'movablekeys'],
    keys: NO_KEYS,
    categories: ['write', 'sortedset', 'slow'],
    usage: '<numkeys> <key> [<key> ...] MIN|MAX [COUNT <count>]',
    summary: 'Takes the lowest or the highest members out of the first set that has some',
    since: '7.0.0',
    complexity: 'O(K + M log N) where K is the number of keys and M that of members taken out',
    run: runPopFromSeveral(false),
  },
  bzpopmin,
  {
    ...bzpopmin,
    name: 'bzpopmax',
    usage: '<key> [<key> ...] <timeout>',
    summary: 'Takes out the member with the highest score of the first set that has one, or waits for it',
    run: runBlockingPop('max'),
  },
  {
    name: 'bzmpop',
    arity: -5,
    write: true,
    flags: ['write', 'blocking', 'movablekeys'],
    keys: NO_KEYS,
    categories: ['write', 'sortedset', 'slow', 'blocking'],
    usage: '<timeout> <numkeys> <key> [<key> ...] MIN|MAX [COUNT <count>]',
    summary: 'Takes the lowest or the highest members out of the first set that has some, or waits for them',
    since: '7.0.0',
    complexity: 'O(K + M log N) where K is the number of keys and M that of members taken out',
    run: runPopFromSeveral(true),
  },
];

export const sortedSetPopCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'sorted-set',
  ...command,
}));
