/**
 * SORT and SORT_RO: the elements of a list, set or sorted set in an order of their own or that of other keys' values.
 *
 * A pattern names another key for each element: `weight_*` the string at `weight_7` for the element 7, `user_*->age` the
 * field `age` of the hash at `user_7`. Without an asterisk there is nothing to put the element in, so as something to sort
 * by it says that nothing is to be sorted, and as something to get it is null, but for `#`, the element itself.
 */
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { parseDouble } from '../double.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR, WRONG_TYPE } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { Hash } from '../types/hash.ts';
import { List } from '../types/list.ts';
import { MemberSet } from '../types/set.ts';
import { SortedSet } from '../types/sorted-set.ts';
import { isString, textOf } from '../value.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

// --- Options -----------------------------------------------------------------------------------------------------

type Pattern =
  | { readonly kind: 'element' }
  | { readonly kind: 'nothing' }
  /** `field` null: the key holds a string. */
  | {
      readonly kind: 'key';
      readonly before: string;
      readonly behind: string;
      readonly field: string | null;
    };

function parsePattern(text: string): Pattern {
  if (text === '#') return { kind: 'element' };
  const asterisk = text.indexOf('*');
  if (asterisk === -1) return { kind: 'nothing' };
  const before = text.slice(0, asterisk);
  const arrow = text.indexOf('->', asterisk + 1);
  // An arrow to nothing belongs to the name of the key.
  if (arrow === -1 || arrow + 2 === text.length)
    return { kind: 'key', before, behind: text.slice(asterisk + 1), field: null };
  return { kind: 'key', before, behind: text.slice(asterisk + 1, arrow), field: text.slice(arrow + 2) };
}

interface Options {
  descending: boolean;
  /** By bytes and not by numbers. */
  alpha: boolean;
  /** The elements stay in the order that they have. */
  unsorted: boolean;
  /** Null: by the elements themselves. */
  by: Pattern | null;
  /** None: the elements themselves. */
  gets: Pattern[];
  skipped: number;
  /** Below 0: all. */
  count: number;
  /** Null: the result is the reply. */
  target: string | null;
}

/** How many arguments the options have that have some. */
const ARGUMENTS: ReadonlyMap<string, number> = new Map([
  ['limit', 2],
  ['by', 1],
  ['get', 1],
  ['store', 1],
]);

/** The options behind the key, or the text of the error reply. */
function parseOptions(args: readonly string[], mayStore: boolean): Options | string {
  const options: Options = {
    descending: false,
    alpha: false,
    unsorted: false,
    by: null,
    gets: [],
    skipped: 0,
    count: -1,
    target: null,
  };
  for (let at = 2; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const [first = '', second = ''] = args.slice(at + 1);
    const count = ARGUMENTS.get(word) ?? 0;
    if (at + count >= args.length) return SYNTAX_ERROR;
    switch (word) {
      case 'asc':
        options.descending = false;
        break;
      case 'desc':
        options.descending = true;
        break;
      case 'alpha':
        options.alpha = true;
        break;
      case 'limit': {
        const [skipped, limit] = [parseInteger(first), parseInteger(second)];
        if (skipped === undefined || limit === undefined) return NOT_AN_INTEGER;
        options.skipped = Math.max(0, clampInteger(skipped));
        options.count = clampInteger(limit);
        break;
      }
      case 'by':
        options.by = parsePattern(first);
        // Once is enough, whatever comes behind it.
        options.unsorted ||= options.by.kind !== 'key';
        break;
      case 'get':
        options.gets.push(parsePattern(first));
        break;
      case 'store':
        if (!mayStore) return SYNTAX_ERROR;
        options.target = first;
        break;
      default:
        return SYNTAX_ERROR;
    }
    at += count;
  }
  return options;
}

// --- Order -------------------------------------------------------------------------------------------------------

/** What a pattern leads to for an element; undefined where there is nothing, or something else. */
function lookUp({ keyspace, now }: Context, pattern: Pattern, element: string): string | undefined {
  switch (pattern.kind) {
    case 'element':
      return element;
    case 'nothing':
      return undefined;
    case 'key': {
      const value = keyspace.get(pattern.before + element + pattern.behind, now)?.value;
      if (value === undefined) return undefined;
      if (pattern.field !== null) return value instanceof Hash ? value.get(pattern.field, now) : undefined;
      return isString(value) ? textOf(value) : undefined;
    }
  }
}

/** The number that C's `strtod` reads if that is all of the text: blanks in front, or nothing at all, are no mistake. */
function parseWeight(text: string): number | undefined {
  const whole = cString(text);
  return whole === '' ? 0 : parseDouble(whole.replace(/^[ \t\n\v\f\r]+/, ''));
}

/** A text for C: a zero byte ends it. */
function cString(text: string): string {
  const end = text.indexOf('\0');
  return end === -1 ? text : text.slice(0, end);
}

function compare<T extends number | string>(one: T, other: T): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

interface Weighed<W> {
  readonly element: string;
  readonly weight: W;
}

/**
 * The first `count` in order, as a stable sort would have them. For few of many all the others are only compared with the
 * last of the few: an eighth of the time for ten of a million.
 */
function firstOf<T>(items: readonly T[], count: number, order: (a: T, b: T) => number): T[] {
  let first: T[] = [];
  let last: T | undefined;
  for (const item of items) {
    if (last !== undefined && order(item, last) >= 0) continue;
    first.push(item);
    if (first.length < 2 * count) continue;
    first = first.sort(order).slice(0, count);
    last = first.at(-1);
  }
  return first.sort(order).slice(0, count);
}

/** By numbers; equal ones by the bytes of the elements. Undefined when one is no number. */
function sortByNumber(
  context: Context,
  elements: readonly string[],
  options: Options,
  count: number,
): string[] | undefined {
  const { by, descending } = options;
  const weighed: Weighed<number>[] = [];
  for (const element of elements) {
    const text = by === null ? element : lookUp(context, by, element);
    const weight = text === undefined ? 0 : parseWeight(text);
    if (weight === undefined) return undefined;
    weighed.push({ element, weight });
  }
  const sign = descending ? -1 : 1;
  const order = (a: Weighed<number>, b: Weighed<number>): number =>
    sign * (compare(a.weight, b.weight) || compare(a.element, b.element));
  return firstOf(weighed, count, order).map(({ element }) => element);
}

/** By bytes; what leads to nothing comes first, and equal ones stay in the order that they have. */
function sortByBytes(
  context: Context,
  elements: readonly string[],
  options: Options,
  count: number,
): string[] {
  const { by, descending, target } = options;
  const weighed = elements.map((element): Weighed<string | undefined> => {
    const text = by === null ? element : lookUp(context, by, element);
    // Only what is stored is compared beyond a zero byte, as in Redis.
    return { element, weight: text === undefined || target !== null ? text : cString(text) };
  });
  const sign = descending ? -1 : 1;
  const order = (a: Weighed<string | undefined>, b: Weighed<string | undefined>): number => {
    if (a.weight === undefined || b.weight === undefined)
      return sign * (Number(a.weight !== undefined) - Number(b.weight !== undefined));
    return sign * compare(a.weight, b.weight);
  };
  return firstOf(weighed, count, order).map(({ element }) => element);
}

// --- The commands ------------------------------------------------------------------------------------------------

type Source = List | MemberSet | SortedSet;

/** From the first to behind the last that is wanted of so many elements. */
function wanted({ skipped, count }: Options, size: number): readonly [number, number] {
  const start = Math.min(skipped, size);
  return [start, count < 0 ? size : Math.min(size, start + count)];
}

/** Elements in the order that they have, backwards or not, from `start` to before `end`. */
function inPlace(source: Source, backwards: boolean, start: number, end: number): string[] {
  const elements: string[] = [];
  // A set has no order that could be turned round.
  const [from, to] =
    backwards && !(source instanceof MemberSet) ? [source.size - end, source.size - start] : [start, end];
  if (source instanceof List) source.visit(from, to, (element) => void elements.push(element));
  else if (source instanceof SortedSet) source.visit({ from, to }, ({ name }) => void elements.push(name));
  else
    source.visit((name) => {
      if (elements.length === to - from) return false;
      elements.push(name);
      return true;
    }, from);
  return backwards && !(source instanceof MemberSet) ? elements.reverse() : elements;
}

/** The elements that are wanted, in their order; undefined when they are to be numbers and one is none. */
function sorted(context: Context, source: Source, options: Options): string[] | undefined {
  const [start, end] = wanted(options, source.size);
  // What is stored must not depend on the order that a set happens to have.
  const byName = options.unsorted && options.target !== null && source instanceof MemberSet;
  if (options.unsorted && !byName) return inPlace(source, options.descending, start, end);
  const elements = inPlace(source, false, 0, source.size);
  const all = byName
    ? sortByBytes(context, elements, { ...options, by: null }, end)
    : options.alpha
      ? sortByBytes(context, elements, options, end)
      : sortByNumber(context, elements, options, end);
  return all?.slice(start, end);
}

function runSort(mayStore: boolean): Run {
  return (context, args, reply) => {
    const options = parseOptions(args, mayStore);
    if (typeof options === 'string') {
      reply.error(options);
      return;
    }
    const source = context.keyspace.get(args[1] ?? '', context.now)?.value ?? new List();
    if (!(source instanceof List || source instanceof MemberSet || source instanceof SortedSet)) {
      reply.error(WRONG_TYPE);
      return;
    }
    const elements = sorted(context, source, options);
    if (elements === undefined) {
      reply.error("ERR One or more scores can't be converted into double");
      return;
    }
    const { gets, target } = options;
    const results: (string | undefined)[] =
      gets.length === 0
        ? elements
        : elements.flatMap((element) => gets.map((pattern) => lookUp(context, pattern, element)));
    if (target === null) {
      reply.array(results.length);
      for (const result of results) reply.bulk(result ?? null);
    } else store(context, target, results, reply);
  };
}

function store(
  context: Context,
  target: string,
  results: readonly (string | undefined)[],
  reply: ReplyWriter,
): void {
  const { keyspace, now } = context;
  if (results.length > 0) {
    const list = new List();
    for (const result of results) list.push('tail', result ?? '');
    keyspace.set(target, list, 0);
    context.notify('l', 'sortstore', target);
  } else if (keyspace.getForWrite(target, now) !== undefined) {
    keyspace.delete(target);
    context.notify('g', 'del', target);
  }
  reply.integer(results.length);
}

const shared = {
  kind: 'data',
  group: 'generic',
  arity: -2,
  keys: ONE_KEY,
  complexity: 'O(N+M*log(M)) where N is the number of elements to sort and M that of those returned',
} as const;

export const sortCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'sort',
    write: true,
    flags: ['write', 'denyoom', 'movablekeys'],
    categories: ['write', 'set', 'sortedset', 'list', 'slow', 'dangerous'],
    usage:
      '<key> [BY <pattern>] [LIMIT <offset> <count>] [GET <pattern> ...] [ASC|DESC] [ALPHA] [STORE <destination>]',
    summary: 'Sorts the elements of a list, set or sorted set; the result is the reply or is stored',
    since: '1.0.0',
    run: runSort(true),
  },
  {
    ...shared,
    name: 'sort_ro',
    write: false,
    flags: ['readonly', 'movablekeys'],
    categories: ['read', 'set', 'sortedset', 'list', 'slow', 'dangerous'],
    usage: '<key> [BY <pattern>] [LIMIT <offset> <count>] [GET <pattern> ...] [ASC|DESC] [ALPHA]',
    summary: 'Sorts the elements of a list, set or sorted set without storing anything',
    since: '7.0.0',
    run: runSort(false),
  },
];
