/**
 * Unions, intersections and differences of sorted sets, with sets among them: their members count as if they had the score 1.
 *
 * The inputs are taken in the order of their sizes, the smallest first, because Redis adds in that order, and sums of floating point
 * numbers depend on it.
 */
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { parseDouble } from '../double.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR, WRONG_TYPE } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { MemberSet } from '../types/set.ts';
import { inOrder, type Member, SortedSet } from '../types/sorted-set.ts';
import type { Value } from '../value.ts';
import { countedKeys, NO_KEYS, ONE_KEY } from './positions.ts';
import { storeMembers } from './sorted-set-ranges.ts';

type Run = DataCommand['run'];
type Operation = 'union' | 'inter' | 'diff';

// --- Inputs ------------------------------------------------------------------------------------------------------

interface Input {
  readonly size: number;
  weight: number;
  scoreOf(name: string): number | undefined;
  visit(visit: (name: string, score: number) => boolean | void): void;
}

/** What a key holds as an input, nothing as an empty one; undefined for a value of another type. */
function inputOf(value: Value | undefined): Input | undefined {
  if (value === undefined) return { size: 0, weight: 1, scoreOf: () => undefined, visit() {} };
  if (value instanceof MemberSet)
    return {
      size: value.size,
      weight: 1,
      scoreOf: (name) => (value.has(name) ? 1 : undefined),
      visit: (visit) => value.visit((name) => visit(name, 1)),
    };
  if (value instanceof SortedSet)
    return {
      size: value.size,
      weight: 1,
      scoreOf: (name) => value.get(name)?.score,
      visit: (visit) => value.visit({ from: 0, to: value.size }, ({ name, score }) => visit(name, score)),
    };
  return undefined;
}

interface Query {
  readonly inputs: readonly Input[];
  readonly aggregate: (a: number, b: number) => number;
  readonly withScores: boolean;
  /** Of ZINTERCARD; 0 for none. */
  readonly limit: number;
}

const AGGREGATES: Readonly<Record<string, (a: number, b: number) => number>> = {
  // Two infinities that cancel each other out make 0.
  sum: (a, b) => (Number.isNaN(a + b) ? 0 : a + b),
  min: (a, b) => (b < a ? b : a),
  max: (a, b) => (b > a ? b : a),
};

/** What a command makes of its inputs, where to, and which options it therefore has. */
interface Form {
  readonly name: string;
  readonly operation: Operation;
  readonly result: 'members' | 'stored' | 'count';
}

/** What is asked for, or the text of the error. The types of the keys are looked at before the options, as in Redis. */
function parseQuery(context: Context, form: Form, args: readonly string[]): Query | string {
  const at = form.result === 'stored' ? 2 : 1;
  const number = parseInteger(args[at] ?? '');
  if (number === undefined) return NOT_AN_INTEGER;
  if (number < 1) return `ERR at least 1 input key is needed for '${form.name}' command`;
  if (number > args.length - at - 1) return SYNTAX_ERROR;
  const inputs: Input[] = [];
  for (const key of countedKeys(args, at)) {
    const input = inputOf(context.keyspace.get(key, context.now)?.value);
    if (input === undefined) return WRONG_TYPE;
    inputs.push(input);
  }
  return parseOptions(form, inputs, args.slice(at + 1 + inputs.length));
}

function parseOptions(form: Form, inputs: readonly Input[], args: readonly string[]): Query | string {
  const weighs = form.operation !== 'diff' && form.result !== 'count';
  let aggregate = AGGREGATES['sum'] as Query['aggregate'];
  let withScores = false;
  let limit = 0;
  for (let at = 0; at < args.length; at++) {
    const option = (args[at] ?? '').toLowerCase();
    const left = args.length - at - 1;
    if (option === 'weights' && weighs && left >= inputs.length) {
      for (const input of inputs) {
        const weight = parseDouble(args[++at] ?? '');
        if (weight === undefined) return 'ERR weight value is not a float';
        input.weight = weight;
      }
    } else if (option === 'aggregate' && weighs && left > 0) {
      const name = (args[++at] ?? '').toLowerCase();
      const chosen = Object.hasOwn(AGGREGATES, name) ? AGGREGATES[name] : undefined;
      if (chosen === undefined) return SYNTAX_ERROR;
      aggregate = chosen;
    } else if (option === 'withscores' && form.result === 'members') withScores = true;
    else if (option === 'limit' && form.result === 'count' && left > 0) {
      const parsed = parseInteger(args[++at] ?? '');
      if (parsed === undefined || parsed < 0) return "ERR LIMIT can't be negative";
      limit = clampInteger(parsed);
    } else return SYNTAX_ERROR;
  }
  return { inputs, aggregate, withScores, limit };
}

// --- Results -----------------------------------------------------------------------------------------------------

function bySize(inputs: readonly Input[]): Input[] {
  return inputs.toSorted((a, b) => a.size - b.size);
}

/** 0 × infinity is 0. */
function weighted(input: Input, score: number): number {
  const product = input.weight * score;
  return Number.isNaN(product) ? 0 : product;
}

function union({ inputs, aggregate }: Query): Member[] {
  const scores = new Map<string, number>();
  for (const input of bySize(inputs)) {
    input.visit((name, score) => {
      const [there, more] = [scores.get(name), weighted(input, score)];
      scores.set(name, there === undefined ? more : aggregate(there, more));
    });
  }
  return [...scores].map(([name, score]) => ({ name, score }));
}

/** Calls `visit` for the members that are in all inputs, until it answers false. */
function intersect(
  { inputs, aggregate }: Query,
  visit: (name: string, score: number) => boolean | void,
): void {
  const [smallest, ...others] = bySize(inputs);
  smallest?.visit((name, score) => {
    let result = weighted(smallest, score);
    for (const other of others) {
      const theirs = other.scoreOf(name);
      if (theirs === undefined) return true;
      result = aggregate(result, theirs * other.weight);
    }
    return visit(name, result);
  });
}

function difference({ inputs }: Query): Member[] {
  const [first, ...others] = inputs;
  const members: Member[] = [];
  first?.visit((name, score) => {
    if (others.every((other) => other.scoreOf(name) === undefined)) members.push({ name, score });
  });
  return members;
}

function membersOf(operation: Operation, query: Query): Member[] {
  switch (operation) {
    case 'union':
      return union(query);
    case 'diff':
      return difference(query);
    case 'inter': {
      const members: Member[] = [];
      intersect(query, (name, score) => void members.push({ name, score }));
      return members;
    }
  }
}

function countCommon(query: Query): number {
  let count = 0;
  intersect(query, () => ++count !== query.limit);
  return count;
}

function runAlgebra(form: Form): Run {
  const { name, operation, result } = form;
  return (context, args, reply) => {
    const query = parseQuery(context, form, args);
    if (typeof query === 'string') reply.error(query);
    else if (result === 'count') reply.integer(countCommon(query));
    else if (result === 'members') writeMembers(membersOf(operation, query), query.withScores, reply);
    else reply.integer(storeMembers(context, args[1] ?? '', membersOf(operation, query), name));
  };
}

function writeMembers(members: Member[], withScores: boolean, reply: ReplyWriter): void {
  members.sort(inOrder);
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
}

// --- The table ---------------------------------------------------------------------------------------------------

type SortedSetCommand = Omit<DataCommand, 'kind' | 'group'>;

function reading(name: string, operation: Operation): Omit<SortedSetCommand, 'summary' | 'complexity'> {
  return {
    name,
    arity: -3,
    write: false,
    flags: ['readonly', 'movablekeys'],
    keys: NO_KEYS,
    categories: ['read', 'sortedset', 'slow'],
    since: '6.2.0',
    run: runAlgebra({ name, operation, result: 'members' }),
  };
}

function storing(
  name: string,
  operation: Operation,
  since: string,
): Omit<SortedSetCommand, 'summary' | 'complexity'> {
  return {
    name,
    arity: -4,
    write: true,
    flags: ['write', 'denyoom', 'movablekeys'],
    keys: ONE_KEY,
    categories: ['write', 'sortedset', 'slow'],
    since,
    run: runAlgebra({ name, operation, result: 'stored' }),
  };
}

const UNION = 'O(N log N) where N is the number of members of all sets';
const INTERSECTION =
  'O(N K log M) where N is the size of the smallest set, K the number of sets and M the size of the largest';
const DIFFERENCE =
  'O(N K log M) where N is the size of the first set, K the number of sets and M the size of the largest';

const commands: readonly SortedSetCommand[] = [
  {
    ...reading('zunion', 'union'),
    usage:
      '<numkeys> <key> [<key> ...] [WEIGHTS <weight> [<weight> ...]] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]',
    summary: 'The members of all of several sorted sets, their scores added up',
    complexity: UNION,
  },
  {
    ...reading('zinter', 'inter'),
    usage:
      '<numkeys> <key> [<key> ...] [WEIGHTS <weight> [<weight> ...]] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]',
    summary: 'The members that several sorted sets have in common, their scores added up',
    complexity: INTERSECTION,
  },
  {
    ...reading('zdiff', 'diff'),
    usage: '<numkeys> <key> [<key> ...] [WITHSCORES]',
    summary: 'The members of a sorted set that are in none of the others',
    complexity: DIFFERENCE,
  },
  {
    ...reading('zintercard', 'inter'),
    usage: '<numkeys> <key> [<key> ...] [LIMIT <limit>]',
    summary: 'How many members several sorted sets have in common',
    since: '7.0.0',
    complexity: INTERSECTION,
    run: runAlgebra({ name: 'zintercard', operation: 'inter', result: 'count' }),
  },
  {
    ...storing('zunionstore', 'union', '2.0.0'),
    usage:
      '<destination> <numkeys> <key> [<key> ...] [WEIGHTS <weight> [<weight> ...]] [AGGREGATE (SUM|MIN|MAX)]',
    summary: 'Stores the members of all of several sorted sets, their scores added up',
    complexity: UNION,
  },
  {
    ...storing('zinterstore', 'inter', '2.0.0'),
    usage:
      '<destination> <numkeys> <key> [<key> ...] [WEIGHTS <weight> [<weight> ...]] [AGGREGATE (SUM|MIN|MAX)]',
    summary: 'Stores the members that several sorted sets have in common, their scores added up',
    complexity: INTERSECTION,
  },
  {
    ...storing('zdiffstore', 'diff', '6.2.0'),
    usage: '<destination> <numkeys> <key> [<key> ...]',
    summary: 'Stores the members of a sorted set that are in none of the others',
    complexity: DIFFERENCE,
  },
];

export const sortedSetAlgebraCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'sorted-set',
  ...command,
}));
