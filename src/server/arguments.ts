/**
 * The arguments of a command as COMMAND DOCS tells them, a tree that redis-cli and other tools make their hints from. Nothing of
 * it is declared: the shape follows from the `usage` of the table, which arguments are keys from the key specifications
 * (`key-specs.ts`), and the types of values from their names.
 *
 *     <key> [NX|XX] [LIMIT <offset> <count>]     key       key, of the first specification
 *                                                nx_xx     oneof, optional: nx and xx, each a pure-token
 *                                                limit     block, optional, token LIMIT: offset and count, integers
 *
 * Redis has names of its own for alternatives and blocks (`condition`), which a usage can't tell; these are made of what they
 * hold.
 */
import type { CommandSpec } from '../store/command.ts';
import { type KeySpec, keySpecsOf } from '../store/key-specs.ts';
import { type Choice, type Part, partsOf, repeats } from './syntax.ts';

export interface Argument {
  readonly name: string;
  readonly type: 'oneof' | 'block' | 'pure-token' | 'key' | ValueType;
  /** Which of the command's key specifications it falls under. */
  readonly keySpec?: number;
  /** The word before it, or instead of it. */
  readonly token?: string;
  /** `multiple_token`: the word comes again with every repetition. */
  readonly flags: readonly ('optional' | 'multiple' | 'multiple_token')[];
  readonly arguments?: readonly Argument[];
}

type ValueType = 'string' | 'integer' | 'double' | 'pattern' | 'unix-time';

/** By name, or by command and name where the same name is something else there; what is not here is a string. */
const TYPES: ReadonlyMap<string, ValueType> = new Map(
  Object.entries({
    integer: `
      bit bitfield:value bits capacity client-id client|pause:timeout count cursor db decrement destination-db
      end entries-added entries-read expansion frequency increment index index1 index2 iterator len limit
      milliseconds min-idle-time ms num-matches numfields numkeys numlocal numreplicas offset port protover rank
      seconds sequence setbit:value slot start stop ttl version wait:timeout waitaof:timeout weight`,
    double: `
      error-rate height hincrbyfloat:increment incrbyfloat:increment latitude longitude max min radius score
      timeout width`,
    pattern: 'pattern',
    'unix-time': 'unix-time-milliseconds unix-time-seconds',
    string: `
      xautoclaim:min-idle-time xautoclaim:start xclaim:min-idle-time xpending:end xpending:start xrange:end
      xrange:start xrevrange:end xrevrange:start zlexcount:max zlexcount:min zrange:start zrange:stop
      zrangebylex:max zrangebylex:min zrangestore:max zrangestore:min zremrangebylex:max zremrangebylex:min
      zrevrangebylex:max zrevrangebylex:min`,
  }).flatMap(([type, names]) =>
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, type as ValueType] as const),
  ),
);

/** Made once: redis-cli asks for those of all commands, which take some 20 ms. */
const known = new WeakMap<CommandSpec, readonly Argument[]>();

export function argumentsOf(command: CommandSpec): readonly Argument[] {
  let all = known.get(command);
  if (all === undefined) {
    all = withKeys(command, sequenceOf(partsOf(command.usage ?? ''), command.name));
    known.set(command, all);
  }
  return all;
}

/* ---- The tree ------------------------------------------------------------------------------------------------ */

function sequenceOf(parts: readonly Part[], command: string): Argument[] {
  const [first] = parts;
  if (first === undefined) return [];
  const again = parts.findIndex((part, at) => at > 0 && repeats(part, parts.slice(0, at)));
  if (again > 0) {
    const repeated = groupOf(parts.slice(0, again), command);
    return [{ ...repeated, flags: ['multiple'] }, ...sequenceOf(parts.slice(again + 1), command)];
  }
  const end = first.kind === 'literal' ? endOfOperands(parts) : 1;
  return [
    argumentOf(first, sequenceOf(parts.slice(1, end), command), command),
    ...sequenceOf(parts.slice(end), command),
  ];
}

/** Where those end that must follow the word that the parts begin with. */
function endOfOperands(parts: readonly Part[]): number {
  const end = parts.findIndex(
    (part, at) =>
      at > 0 &&
      (part.kind === 'literal' ||
        (part.kind === 'choice' && part.optional && !repeats(part, parts.slice(at - 1, at)))),
  );
  return end < 0 ? parts.length : end;
}

/** `operands`: of a word. */
function argumentOf(part: Part, operands: readonly Argument[], command: string): Argument {
  switch (part.kind) {
    case 'choice':
      return choiceOf(part, command);
    case 'argument': {
      const type = TYPES.get(`${command}:${part.text}`) ?? TYPES.get(part.text) ?? 'string';
      return { name: part.text, type, flags: [] };
    }
    case 'literal':
      return behindWord(part.text, operands);
  }
}

function behindWord(token: string, [first, ...others]: readonly Argument[]): Argument {
  const name = token.toLowerCase();
  if (first === undefined) return { name, type: 'pure-token', token, flags: [] };
  if (others.length === 0 && first.token === undefined) return { ...first, token };
  return { name, type: 'block', token, flags: [], arguments: [first, ...others] };
}

function choiceOf({ alternatives, optional, repeated }: Choice, command: string): Argument {
  const groups = alternatives.map((parts) => groupOf(parts, command));
  const [first] = groups;
  const one: Argument =
    first !== undefined && groups.length === 1
      ? first
      : { name: nameOf(groups), type: 'oneof', flags: [], arguments: groups };
  const isMultiple = repeated || one.flags.includes('multiple');
  return {
    ...one,
    flags: [
      ...(optional ? (['optional'] as const) : []),
      ...(isMultiple ? (['multiple'] as const) : []),
      ...(repeated && one.token !== undefined ? (['multiple_token'] as const) : []),
    ],
  };
}

/** A sequence as one argument. What follows a word and its block in it belongs to them. */
function groupOf(parts: readonly Part[], command: string): Argument {
  const all = sequenceOf(parts, command);
  const [first, ...others] = all;
  if (first !== undefined && others.length === 0) return first;
  if (first?.token === undefined || (first.type !== 'block' && first.type !== 'pure-token'))
    return { name: nameOf(all), type: 'block', flags: [], arguments: all };
  return { ...first, type: 'block', arguments: [...(first.arguments ?? []), ...others] };
}

function nameOf(all: readonly Argument[]): string {
  return all.map(({ name }) => name).join('_');
}

/* ---- Keys ---------------------------------------------------------------------------------------------------- */

/** The same with the keys among them marked. */
function withKeys(command: CommandSpec, all: readonly Argument[]): readonly Argument[] {
  const specs = keySpecsOf(command);
  /** Where the next argument of a request stands; null behind what may be missing or come again. */
  let position: number | null = command.name.split('|').length;
  const mark = (argument: Argument, token: string | undefined): Argument => {
    const { type, flags, arguments: inner } = argument;
    let marked = argument;
    if (type === 'block') marked = { ...argument, arguments: markAll(inner ?? [], token) };
    else {
      const at = specs.findIndex((spec) => isFor(spec, argument, position, token));
      if (at >= 0 && inner === undefined)
        marked = { ...argument, type: type === 'pattern' ? type : 'key', keySpec: at };
      if (position !== null) position += 1;
    }
    if (flags.length > 0) position = null;
    return marked;
  };
  /** `token`: the word before the first of them. */
  const markAll = (each: readonly Argument[], token?: string): Argument[] =>
    each.map((argument, at) => mark(argument, argument.token ?? (at === 0 ? token : undefined)));
  return markAll(all);
}

function isFor(
  { flags, begin, find, argument }: KeySpec,
  { name }: Argument,
  position: number | null,
  token: string | undefined,
): boolean {
  if (flags.includes('not_key')) return false;
  if (begin === null || find === null) return name === argument;
  if ('keyword' in begin) return token === begin.keyword;
  if (position === null) return false;
  if ('first' in find) return position === begin.index + find.first;
  const distance = position - begin.index;
  return distance === 0 || (distance > 0 && distance <= find.last && distance % find.step === 0);
}
