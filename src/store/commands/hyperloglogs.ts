/** Commands over HyperLogLogs; see `hyperloglog.ts`. */
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { WRONG_TYPE } from '../errors.ts';
import {
  cachedCardinality,
  cardinality,
  cardinalityOf,
  denseRegister,
  EMPTY_SKETCH,
  isDense,
  isSketch,
  type Mark,
  markOf,
  mergeInto,
  raiseDense,
  REGISTERS,
  SparseSketch,
} from '../hyperloglog.ts';
import { editString, putString } from '../in-place.ts';
import type { Entry } from '../entry.ts';
import type { Bytes } from '../types/bytes.ts';
import { isString, plainOf, type StringValue, textOf, type Value } from '../value.ts';
import { ALL_KEYS, ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

const NO_SKETCH = 'WRONGTYPE Key is not a valid HyperLogLog string value.';
const CORRUPT = 'INVALIDOBJ Corrupted HLL object detected';

/** The error for a value that is no HyperLogLog. */
function refusal(value: Value): string | null {
  if (!isString(value)) return WRONG_TYPE;
  return isSketch(plainOf(value)) ? null : NO_SKETCH;
}

const runPfAdd: Run = (context, args, reply) => {
  const [, key = '', ...elements] = args;
  const entry = context.keyspace.getForWrite(key, context.now);
  const error = entry === undefined ? null : refusal(entry.value);
  if (error !== null) {
    reply.error(error);
    return;
  }
  const result = raise(context, key, entry, elements.map(markOf), entry === undefined);
  if (result === 'corrupt') {
    reply.error(CORRUPT);
    return;
  }
  if (result === 'raised') context.notify('$', 'pfadd', key);
  reply.integer(result === 'raised' ? 1 : 0);
};

/**
 * Raises registers of the sketch under the key, which is an empty one where there is none. `always`: as if something had
 * changed even if nothing does.
 */
function raise(
  context: Context,
  key: string,
  entry: Entry | undefined,
  marks: readonly Mark[],
  always: boolean,
): 'raised' | 'same' | 'corrupt' {
  const value = plainOf((entry?.value ?? EMPTY_SKETCH) as StringValue);
  if (isDense(value)) {
    if (!always && marks.every((mark) => denseRegister(value, mark >> 6) >= (mark & 63))) return 'same';
    editString(context, key, entry, (bytes) => raiseDense(bytes, marks));
    return 'raised';
  }
  const sketch = new SparseSketch(textOf(value));
  let raised = always;
  for (const [at, mark] of marks.entries()) {
    const result = sketch.raise(mark);
    if (result === 'corrupt') return 'corrupt';
    if (result === 'full') {
      const dense = sketch.toDense();
      if (dense === null) return 'corrupt';
      raiseDense(dense, marks.slice(at));
      putString(context, key, entry, dense);
      return 'raised';
    }
    if (result === 'raised') raised = true;
  }
  if (!raised) return 'same';
  sketch.makeStale();
  putString(context, key, entry, sketch.toString());
  return 'raised';
}

/** The highest values of the registers of all sketches, and whether one of them is dense; or the text of the error. */
function merged(
  context: Context,
  keys: readonly string[],
): { readonly registers: Uint8Array; readonly dense: boolean } | string {
  const registers = new Uint8Array(REGISTERS);
  let dense = false;
  for (const key of keys) {
    const value = context.keyspace.get(key, context.now)?.value;
    if (value === undefined) continue;
    const error = refusal(value);
    if (error !== null) return error;
    const sketch = plainOf(value as StringValue);
    if (!mergeInto(registers, sketch)) return CORRUPT;
    dense ||= isDense(sketch);
  }
  return { registers, dense };
}

const runPfCount: Run = (context, args, reply) => {
  const [, key = '', ...others] = args;
  if (others.length > 0) {
    const all = merged(context, args.slice(1));
    if (typeof all === 'string') reply.error(all);
    else reply.integer(cardinality(all.registers));
    return;
  }
  const value = context.keyspace.get(key, context.now)?.value;
  const error = value === undefined ? null : refusal(value);
  if (error !== null) reply.error(error);
  else {
    const sketch = plainOf((value ?? EMPTY_SKETCH) as StringValue);
    const count = cachedCardinality(sketch) ?? cardinalityOf(sketch);
    if (count === null) reply.error(CORRUPT);
    else reply.integer(count);
  }
};

const runPfMerge: Run = (context, args, reply) => {
  const [, key = ''] = args;
  const all = merged(context, args.slice(1));
  if (typeof all === 'string') {
    reply.error(all);
    return;
  }
  const entry = context.keyspace.getForWrite(key, context.now);
  const value = plainOf((entry?.value ?? EMPTY_SKETCH) as StringValue);
  const there = new Uint8Array(REGISTERS);
  mergeInto(there, value);
  const marks: Mark[] = [];
  for (const [register, highest] of all.registers.entries())
    if (highest > (there[register] ?? 0)) marks.push((register << 6) | highest);
  const dense: Bytes | null = all.dense && !isDense(value) ? new SparseSketch(textOf(value)).toDense() : null;
  if (dense === null) raise(context, key, entry, marks, true);
  else {
    raiseDense(dense, marks);
    putString(context, key, entry, dense);
  }
  // Redis tells of it as of an addition of many elements.
  context.notify('$', 'pfadd', key);
  reply.ok();
};

// --- The table ---------------------------------------------------------------------------------------------------

type SketchCommand = Omit<DataCommand, 'kind' | 'group'>;

const commands: readonly SketchCommand[] = [
  {
    name: 'pfadd',
    arity: -2,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'hyperloglog', 'fast'],
    usage: '<key> [<element> ...]',
    summary: 'Adds elements to a HyperLogLog, creating it',
    since: '2.8.9',
    complexity: 'O(1) per element',
    run: runPfAdd,
  },
  {
    name: 'pfcount',
    arity: -2,
    write: false,
    flags: ['readonly'],
    keys: ALL_KEYS,
    categories: ['read', 'hyperloglog', 'slow'],
    usage: '<key> [<key> ...]',
    summary: 'How many different elements were added to HyperLogLogs, about',
    since: '2.8.9',
    complexity: 'O(N) where N is the number of keys; 0.2 ms each',
    run: runPfCount,
  },
  {
    name: 'pfmerge',
    arity: -2,
    write: true,
    flags: ['write', 'denyoom'],
    keys: ALL_KEYS,
    categories: ['write', 'hyperloglog', 'slow'],
    usage: '<destkey> [<sourcekey> ...]',
    summary: 'Adds to a HyperLogLog what others count, creating it',
    since: '2.8.9',
    complexity: 'O(N) where N is the number of keys; 0.2 ms each',
    run: runPfMerge,
  },
];

export const hyperLogLogCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'hyperloglog',
  ...command,
}));
