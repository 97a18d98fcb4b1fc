/** Commands that combine sets. */
import type { DataCommand } from '../command.ts';
import { type Context, readAs } from '../context.ts';
import { SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { MemberSet } from '../types/set.ts';
import { differenceOf, intersect, unionOf } from '../types/set-algebra.ts';
import { ALL_KEYS, NO_KEYS } from './positions.ts';

type Run = DataCommand['run'];
type Sets = readonly (MemberSet | undefined)[];

/** The sets under the keys, or the text of the error where one is something else, be the result clear before or not. */
function setsAt(context: Context, keys: readonly string[]): Sets | string {
  const sets: (MemberSet | undefined)[] = [];
  for (const key of keys) {
    const set = readAs(context, key, MemberSet);
    if (typeof set === 'string') return set;
    sets.push(set);
  }
  return sets;
}

function isThere(set: MemberSet | undefined): set is MemberSet {
  return set !== undefined;
}

/** Calls `visit` for what is in all of them, until it answers false; nothing is where one is missing. */
function intersectAll(sets: Sets, visit: (name: string) => boolean | void): void {
  if (sets.every(isThere)) intersect(sets, visit);
}

function intersectionOf(sets: Sets): MemberSet {
  const intersection = new MemberSet();
  intersectAll(sets, (name) => void intersection.add(name));
  return intersection;
}

function difference([first, ...others]: Sets): MemberSet {
  return first === undefined ? new MemberSet() : differenceOf(first, others.filter(isThere));
}

function union(sets: Sets): MemberSet {
  return unionOf(sets.filter(isThere));
}

/** Replies with what `combine` calls its second argument for. */
function runCombine(combine: (sets: Sets, visit: (name: string) => void) => void): Run {
  return (context, args, reply) => {
    const sets = setsAt(context, args.slice(1));
    if (typeof sets === 'string') {
      reply.error(sets);
      return;
    }
    const names: string[] = [];
    combine(sets, (name) => void names.push(name));
    replySet(names, reply);
  };
}

function replySet(names: readonly string[], reply: ReplyWriter): void {
  reply.set(names.length);
  for (const name of names) reply.bulk(name);
}

const runSinter = runCombine(intersectAll);
const runSdiff = runCombine((sets, visit) => difference(sets).visit(visit));

/** Without a set of ours, whose order nobody needs: a `Set` takes a third of the time. */
const runSunion = runCombine((sets, visit) => {
  const names = new Set<string>();
  for (const set of sets) set?.visit((name) => void names.add(name));
  names.forEach(visit);
});

/** The same with a key for the result, which is removed where there is none. */
function runStore(event: string, combine: (sets: Sets) => MemberSet): Run {
  return (context, args, reply) => {
    const sets = setsAt(context, args.slice(2));
    if (typeof sets === 'string') {
      reply.error(sets);
      return;
    }
    const result = combine(sets);
    const key = args[1] ?? '';
    const { keyspace } = context;
    const there = keyspace.getForWrite(key, context.now) !== undefined;
    if (result.size > 0) {
      keyspace.set(key, result, 0);
      context.notify('s', event, key);
    } else if (there) {
      keyspace.delete(key);
      context.notify('g', 'del', key);
    }
    reply.integer(result.size);
  };
}

const runSintercard: Run = (context, args, reply) => {
  const count = parseInteger(args[1] ?? '');
  if (count === undefined || count < 1) {
    reply.error('ERR numkeys should be greater than 0');
    return;
  }
  if (count > args.length - 2) {
    reply.error("ERR Number of keys can't be greater than number of args");
    return;
  }
  const end = 2 + Number(count);
  let limit = 0;
  for (let at = end; at < args.length; at += 2) {
    if ((args[at] ?? '').toLowerCase() !== 'limit' || at + 1 === args.length) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    const number = parseInteger(args[at + 1] ?? '');
    if (number === undefined || number < 0) {
      reply.error("ERR LIMIT can't be negative");
      return;
    }
    limit = clampInteger(number);
  }
  const sets = setsAt(context, args.slice(2, end));
  if (typeof sets === 'string') {
    reply.error(sets);
    return;
  }
  let found = 0;
  intersectAll(sets, () => ++found !== limit);
  reply.integer(found);
};

// --- The table ---------------------------------------------------------------------------------------------------

type AlgebraCommand = Omit<DataCommand, 'kind' | 'group'>;

const combined: Omit<AlgebraCommand, 'name' | 'summary' | 'complexity' | 'run'> = {
  arity: -2,
  write: false,
  flags: ['readonly'],
  keys: ALL_KEYS,
  categories: ['read', 'set', 'slow'],
  since: '1.0.0',
};

const stored: Omit<AlgebraCommand, 'name' | 'summary' | 'complexity' | 'run'> = {
  ...combined,
  arity: -3,
  write: true,
  flags: ['write', 'denyoom'],
  categories: ['write', 'set', 'slow'],
};

const commands: readonly AlgebraCommand[] = [
  {
    ...combined,
    name: 'sinter',
    usage: '<key> [<key> ...]',
    summary: 'What several sets have in common',
    complexity: 'O(N × M) where N is the number of members of the smallest set, M that of sets',
    run: runSinter,
  },
  {
    ...combined,
    name: 'sintercard',
    arity: -3,
    flags: ['readonly', 'movablekeys'],
    keys: NO_KEYS,
    since: '7.0.0',
    usage: '<numkeys> <key> [<key> ...] [LIMIT <limit>]',
    summary: 'How much several sets have in common',
    complexity: 'O(N × M) where N is the number of members of the smallest set, M that of sets',
    run: runSintercard,
  },
  {
    ...stored,
    name: 'sinterstore',
    usage: '<destination> <key> [<key> ...]',
    summary: 'Stores what several sets have in common',
    complexity: 'O(N × M) where N is the number of members of the smallest set, M that of sets',
    run: runStore('sinterstore', intersectionOf),
  },
  {
    ...combined,
    name: 'sunion',
    usage: '<key> [<key> ...]',
    summary: 'What is in at least one of several sets',
    complexity: 'O(N) where N is the number of members of all sets',
    run: runSunion,
  },
  {
    ...stored,
    name: 'sunionstore',
    usage: '<destination> <key> [<key> ...]',
    summary: 'Stores what is in at least one of several sets',
    complexity: 'O(N) where N is the number of members of all sets but the largest',
    run: runStore('sunionstore', union),
  },
  {
    ...combined,
    name: 'sdiff',
    usage: '<key> [<key> ...]',
    summary: 'What is in the first of several sets only',
    complexity: 'O(N) where N is the number of members of all sets',
    run: runSdiff,
  },
  {
    ...stored,
    name: 'sdiffstore',
    usage: '<destination> <key> [<key> ...]',
    summary: 'Stores what is in the first of several sets only',
    complexity: 'O(N) where N is the number of members of all sets',
    run: runStore('sdiffstore', difference),
  },
];

export const setAlgebraCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'set',
  ...command,
}));
