/** Commands over the members of sorted sets one by one; ranges of them are in `sorted-set-ranges.ts`. */
import type { DataCommand } from '../command.ts';
import { changeAs, type Context, entryAs, readAs } from '../context.ts';
import { doubleText, parseDouble } from '../double.ts';
import { NOT_A_FLOAT, SYNTAX_ERROR } from '../errors.ts';
import { matchesGlob } from '../glob.ts';
import { chooseDistinct, chooseOne, chooseRepeatedly } from '../random-choice.ts';
import type { ReplyWriter } from '../reply.ts';
import { type Member, SortedSet } from '../types/sorted-set.ts';
import { parseChoice } from './choice-options.ts';
import { ONE_KEY } from './positions.ts';
import { INVALID_CURSOR, parseCursor, parseScanOptions } from './scan-options.ts';

type Run = DataCommand['run'];

// --- Adding ------------------------------------------------------------------------------------------------------

/** What ZADD does with members that are there already, and with those that are not. */
export interface AddOptions {
  /** NX. */
  onlyNew: boolean;
  /** XX. */
  onlyThere: boolean;
  /** GT. */
  onlyGreater: boolean;
  /** LT. */
  onlyLess: boolean;
  /** CH: the reply counts members with another score, too. */
  countsChanges: boolean;
  /** INCR, and ZINCRBY: scores are added to what the members have. */
  increments: boolean;
}

/** None of them. */
export const PLAIN: AddOptions = {
  onlyNew: false,
  onlyThere: false,
  onlyGreater: false,
  onlyLess: false,
  countsChanges: false,
  increments: false,
};

/** The options from the second argument on, and where they end. */
function parseAddOptions(args: readonly string[]): { options: AddOptions; end: number } {
  const options = { ...PLAIN };
  for (let at = 2; ; at++) {
    switch ((args[at] ?? '').toLowerCase()) {
      case 'nx':
        options.onlyNew = true;
        break;
      case 'xx':
        options.onlyThere = true;
        break;
      case 'gt':
        options.onlyGreater = true;
        break;
      case 'lt':
        options.onlyLess = true;
        break;
      case 'ch':
        options.countsChanges = true;
        break;
      case 'incr':
        options.increments = true;
        break;
      default:
        return { options, end: at };
    }
  }
}

/** The text of the error where the options exclude each other. */
function checkAddOptions(options: AddOptions, members: number): string | undefined {
  const { onlyNew, onlyThere, onlyGreater, onlyLess } = options;
  if (onlyNew && onlyThere) return 'ERR XX and NX options at the same time are not compatible';
  if ((onlyGreater && onlyNew) || (onlyLess && onlyNew) || (onlyGreater && onlyLess))
    return 'ERR GT, LT, and/or NX options at the same time are not compatible';
  if (options.increments && members > 1) return 'ERR INCR option supports a single increment-element pair';
  return undefined;
}

/** A score and its member, as they are added. */
export type Addition = readonly [score: number, name: string];

/** Adds members as ZADD does, and replies. The options must not exclude each other. */
export function addMembers(
  context: Context,
  key: string,
  options: AddOptions,
  additions: readonly Addition[],
  reply: ReplyWriter,
): void {
  const entry = entryAs(context, key, SortedSet);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  let [added, updated] = [0, 0];
  /** The result of INCR: `null` where an option forbade it. */
  let result: number | null = null;
  let set = entry?.value;
  for (const [score, name] of additions) {
    const there = set?.get(name);
    const outcome = decide(options, there?.score, score);
    if (outcome === 'nan') {
      reply.error('ERR resulting score is not a number (NaN)');
      return;
    }
    if (outcome === 'leave') continue;
    result = outcome;
    if (there?.score === outcome) continue;
    if (added + updated === 0) {
      // Not before: a write that changes nothing must not look like one.
      const changing = changeAs(context, key, SortedSet);
      if (typeof changing === 'string') return;
      set = changing;
    }
    if (there === undefined) {
      set?.add(name, outcome);
      added++;
    } else {
      set?.move(there, outcome);
      updated++;
    }
  }
  if (added + updated > 0) context.notify('z', options.increments ? 'zincr' : 'zadd', key);
  if (!options.increments) reply.integer(options.countsChanges ? added + updated : added);
  else if (result === null) reply.bulk(null);
  else reply.double(result);
}

/** The score that the member gets, or that it keeps what it has, or that the sum of two infinities is no number. */
function decide(options: AddOptions, there: number | undefined, score: number): number | 'leave' | 'nan' {
  if (there === undefined) return options.onlyThere ? 'leave' : score;
  if (options.onlyNew) return 'leave';
  const wanted = options.increments ? there + score : score;
  if (Number.isNaN(wanted)) return 'nan';
  if ((options.onlyLess && wanted >= there) || (options.onlyGreater && wanted <= there)) return 'leave';
  return wanted;
}

/** ZADD and ZINCRBY, which is ZADD with INCR and no other option. */
function runAdd(increments: boolean): Run {
  return (context, args, reply) => {
    const { options, end } = increments
      ? { options: { ...PLAIN, increments }, end: 2 }
      : parseAddOptions(args);
    const count = args.length - end;
    if (count === 0 || count % 2 !== 0) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    const error = checkAddOptions(options, count / 2);
    if (error !== undefined) {
      reply.error(error);
      return;
    }
    const additions: Addition[] = [];
    for (let at = end; at < args.length; at += 2) {
      const score = parseDouble(args[at] ?? '');
      if (score === undefined) {
        reply.error(NOT_A_FLOAT);
        return;
      }
      additions.push([score, args[at + 1] ?? '']);
    }
    addMembers(context, args[1] ?? '', options, additions, reply);
  };
}

// --- One by one --------------------------------------------------------------------------------------------------

const runRemove: Run = (context, args, reply) => {
  const [, key = '', ...names] = args;
  const entry = entryAs(context, key, SortedSet);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  let removed = 0;
  if (entry !== undefined) {
    for (const name of names) {
      if (entry.value.get(name) === undefined) continue;
      if (removed === 0) context.keyspace.change(key, entry);
      entry.value.delete(name);
      removed++;
    }
    if (removed > 0) context.notify('z', 'zrem', key);
  }
  reply.integer(removed);
};

const runScore: Run = (context, args, reply) => {
  const [, key = '', name = ''] = args;
  const set = readAs(context, key, SortedSet);
  if (typeof set === 'string') reply.error(set);
  else writeScore(set?.get(name)?.score, reply);
};

const runScores: Run = (context, args, reply) => {
  const [, key = '', ...names] = args;
  const set = readAs(context, key, SortedSet);
  if (typeof set === 'string') {
    reply.error(set);
    return;
  }
  reply.array(names.length);
  for (const name of names) writeScore(set?.get(name)?.score, reply);
};

function writeScore(score: number | undefined, reply: ReplyWriter): void {
  if (score === undefined) reply.bulk(null);
  else reply.double(score);
}

const runCard: Run = (context, args, reply) => {
  const set = readAs(context, args[1] ?? '', SortedSet);
  if (typeof set === 'string') reply.error(set);
  else reply.integer(set?.size ?? 0);
};

/** ZRANK, and ZREVRANK, which counts from the highest score. */
function runRank(backwards: boolean): Run {
  return (context, args, reply) => {
    const [, key = '', name = ''] = args;
    const set = readAs(context, key, SortedSet);
    if (typeof set === 'string') {
      reply.error(set);
      return;
    }
    const member = set?.get(name);
    if (set === undefined || member === undefined) reply.bulk(null);
    else reply.integer(backwards ? set.size - 1 - set.rankOf(member) : set.rankOf(member));
  };
}

// --- Scanning and choosing ---------------------------------------------------------------------------------------

const runScan: Run = (context, args, reply) => {
  const cursor = parseCursor(args[2] ?? '');
  if (cursor === undefined) {
    reply.error(INVALID_CURSOR);
    return;
  }
  const set = readAs(context, args[1] ?? '', SortedSet);
  if (typeof set === 'string') {
    reply.error(set);
    return;
  }
  // Redis looks at the options only where there is something to scan.
  const options = set === undefined ? undefined : parseScanOptions(args, 3, false);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const found: Member[] = [];
  let next = 0;
  if (set !== undefined && options !== undefined) {
    const { pattern, count } = options;
    next = set.scan(cursor, count, (member) => {
      if (pattern === '*' || matchesGlob(pattern, member.name)) found.push(member);
    });
  }
  reply.array(2);
  reply.bulk(String(next));
  reply.array(2 * found.length);
  for (const { name, score } of found) {
    reply.bulk(name);
    reply.bulk(doubleText(score));
  }
};

const runRandom: Run = (context, args, reply) => {
  const choice = args.length > 2 ? parseChoice(args, 'withscores') : null;
  if (typeof choice === 'string') {
    reply.error(choice);
    return;
  }
  const set = readAs(context, args[1] ?? '', SortedSet);
  if (typeof set === 'string') {
    reply.error(set);
    return;
  }
  const random = (): number => context.random();
  const choices = set && {
    size: set.size,
    at: (rank: number) => set.at(rank),
    visit: (visit: (member: Member) => boolean | void) => set.visit({ from: 0, to: set.size }, visit),
  };
  if (choice === null) {
    reply.bulk((choices && chooseOne(choices, random))?.name ?? null);
    return;
  }
  const { count, withMore: withScores } = choice;
  let members: Member[] = [];
  if (choices !== undefined)
    members = count < 0 ? chooseRepeatedly(choices, -count, random) : chooseDistinct(choices, count, random);
  if (!withScores) {
    reply.array(members.length);
    for (const { name } of members) reply.bulk(name);
    return;
  }
  reply.pairs(members.length);
  for (const { name, score } of members) {
    reply.pair();
    reply.bulk(name);
    reply.double(score);
  }
};

// --- The table ---------------------------------------------------------------------------------------------------

type SortedSetCommand = Omit<DataCommand, 'kind' | 'group'>;

const commands: readonly SortedSetCommand[] = [
  {
    name: 'zadd',
    arity: -4,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'sortedset', 'fast'],
    usage: '<key> [NX|XX] [GT|LT] [CH] [INCR] <score> <member> [<score> <member> ...]',
    summary: 'Adds members with scores to a sorted set, or gives members other scores',
    since: '1.2.0',
    complexity: 'O(log N) for each member, where N is the size of the set',
    run: runAdd(false),
  },
  {
    name: 'zincrby',
    arity: 4,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'sortedset', 'fast'],
    usage: '<key> <increment> <member>',
    summary: 'Adds to the score of a member',
    since: '1.2.0',
    complexity: 'O(log N) where N is the size of the set',
    run: runAdd(true),
  },
  {
    name: 'zrem',
    arity: -3,
    write: true,
    flags: ['write', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'sortedset', 'fast'],
    usage: '<key> <member> [<member> ...]',
    summary: 'Removes members',
    since: '1.2.0',
    complexity: 'O(M log N) where N is the size of the set and M the number of members to remove',
    run: runRemove,
  },
  {
    name: 'zscore',
    arity: 3,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'fast'],
    usage: '<key> <member>',
    summary: 'The score of a member',
    since: '1.2.0',
    complexity: 'O(log N)',
    run: runScore,
  },
  {
    name: 'zmscore',
    arity: -3,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'fast'],
    usage: '<key> <member> [<member> ...]',
    summary: 'The scores of several members',
    since: '6.2.0',
    complexity: 'O(M log N) where M is the number of members asked for',
    run: runScores,
  },
  {
    name: 'zcard',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'fast'],
    usage: '<key>',
    summary: 'The number of members of a sorted set',
    since: '1.2.0',
    complexity: 'O(1)',
    run: runCard,
  },
  {
    name: 'zrank',
    arity: 3,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'fast'],
    usage: '<key> <member>',
    summary: 'How many members come before one, from the lowest score',
    since: '2.0.0',
    complexity: 'O(log N)',
    run: runRank(false),
  },
  {
    name: 'zrevrank',
    arity: 3,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'fast'],
    usage: '<key> <member>',
    summary: 'How many members come before one, from the highest score',
    since: '2.0.0',
    complexity: 'O(log N)',
    run: runRank(true),
  },
  {
    name: 'zscan',
    arity: -3,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'slow'],
    usage: '<key> <cursor> [MATCH <pattern>] [COUNT <count>]',
    summary: 'Walks over members and scores in steps',
    since: '2.8.0',
    complexity: 'O(log N + COUNT) per step, O(N) for the whole walk',
    run: runScan,
  },
  {
    name: 'zrandmember',
    arity: -2,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'sortedset', 'slow'],
    usage: '<key> [<count> [WITHSCORES]]',
    summary: 'Any members of a sorted set',
    since: '6.2.0',
    complexity: 'O(M log N) where M is the number of members returned, at most O(N) where they are distinct',
    run: runRandom,
  },
];

export const sortedSetCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'sorted-set',
  ...command,
}));
