/** Commands over string values, numbers included. */
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import {
  NOT_A_FLOAT,
  NOT_AN_INTEGER,
  STRING_TOO_LONG,
  SYNTAX_ERROR,
  WRONG_TYPE,
  wrongArity,
} from '../errors.ts';
import { parsePositiveDeadline, TIME_OPTIONS, type TimeUnit } from '../expire-time.ts';
import { editString } from '../in-place.ts';
import { addIntegers, clampInteger, type Integer, negateInteger, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import { addLongDoubles, parseLongDouble } from '../long-double.ts';
import type { ReplyWriter } from '../reply.ts';
import { append, isString, MAX_STRING_BYTES, plainOf, textOf } from '../value.ts';
import { ALL_KEYS, KEY_VALUE_PAIRS, ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

/** Replies with the value or the null bulk; false, after a WRONGTYPE, when it is no string. */
function replyValue(entry: Entry | undefined, reply: ReplyWriter): boolean {
  if (entry === undefined) reply.bulk(null);
  else if (isString(entry.value)) reply.bulk(textOf(entry.value));
  else {
    reply.error(WRONG_TYPE);
    return false;
  }
  return true;
}

function set(context: Context, key: string, value: string): void {
  context.keyspace.set(key, value, 0);
  context.notify('$', 'set', key);
}

/** Sets the value with a deadline in ms since 1970; one that has already passed leaves no key. */
function setWithDeadline(context: Context, key: string, value: string, expiresAt: number): void {
  const past = expiresAt <= context.now;
  if (!past) context.keyspace.set(key, value, expiresAt);
  else if (!context.keyspace.delete(key)) context.notify('n', 'new', key);
  context.notify('$', 'set', key);
  context.notify('g', 'expire', key);
  // In Redis it is there until somebody looks.
  if (past) context.notify('x', 'expired', key);
}

/** Removes a key that is there. */
function remove(context: Context, key: string): void {
  context.keyspace.delete(key);
  context.notify('g', 'del', key);
}

// --- GET and SET -------------------------------------------------------------------------------------------------

const runGet: Run = (context, args, reply) => {
  const [, key = ''] = args;
  replyValue(context.keyspace.get(key, context.now), reply);
};

interface SetOptions {
  condition: 'nx' | 'xx' | null;
  get: boolean;
  keepTtl: boolean;
  unit: TimeUnit | null;
  time: string;
}

/** The options behind SET's value, or null where Redis says syntax error. */
function parseSetOptions(args: readonly string[]): SetOptions | null {
  const options: SetOptions = { condition: null, get: false, keepTtl: false, unit: null, time: '' };
  for (let at = 3; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const unit = TIME_OPTIONS.get(word);
    if (unit !== undefined) {
      const time = args[at + 1];
      // The same unit twice passes, as in Redis; the last one counts.
      if (time === undefined || options.keepTtl || (options.unit ?? unit) !== unit) return null;
      options.unit = unit;
      options.time = time;
      at++;
    } else if (word === 'nx' || word === 'xx') {
      if ((options.condition ?? word) !== word) return null;
      options.condition = word;
    } else if (word === 'get') options.get = true;
    else if (word === 'keepttl' && options.unit === null) options.keepTtl = true;
    else return null;
  }
  return options;
}

const runSet: Run = (context, args, reply) => {
  const [, key = '', value = ''] = args;
  if (args.length === 3) {
    set(context, key, value);
    reply.ok();
    return;
  }
  const options = parseSetOptions(args);
  if (options === null) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  let expiresAt = 0;
  if (options.unit !== null) {
    const deadline = parsePositiveDeadline(options.time, options.unit, context.now, 'set');
    if (typeof deadline === 'string') {
      reply.error(deadline);
      return;
    }
    expiresAt = deadline;
  }
  const entry = context.keyspace.getForWrite(key, context.now);
  if (options.get && !replyValue(entry, reply)) return;
  const blocked = options.condition === (entry === undefined ? 'xx' : 'nx');
  if (!blocked) {
    if (expiresAt !== 0) setWithDeadline(context, key, value, expiresAt);
    else if (options.keepTtl && entry !== undefined) {
      context.keyspace.replace(key, entry, value);
      context.notify('$', 'set', key);
    } else set(context, key, value);
  }
  if (options.get) return;
  if (blocked) reply.bulk(null);
  else reply.ok();
};

const runSetNx: Run = (context, args, reply) => {
  const [, key = '', value = ''] = args;
  const free = context.keyspace.getForWrite(key, context.now) === undefined;
  if (free) set(context, key, value);
  reply.integer(free ? 1 : 0);
};

function runSetEx(command: string, unit: TimeUnit): Run {
  return (context, args, reply) => {
    const [, key = '', time = '', value = ''] = args;
    const deadline = parsePositiveDeadline(time, unit, context.now, command);
    if (typeof deadline === 'string') {
      reply.error(deadline);
      return;
    }
    setWithDeadline(context, key, value, deadline);
    reply.ok();
  };
}

const runGetSet: Run = (context, args, reply) => {
  const [, key = '', value = ''] = args;
  if (replyValue(context.keyspace.getForWrite(key, context.now), reply)) set(context, key, value);
};

const runGetDel: Run = (context, args, reply) => {
  const [, key = ''] = args;
  const entry = context.keyspace.getForWrite(key, context.now);
  if (replyValue(entry, reply) && entry !== undefined) remove(context, key);
};

/** What GETEX is to do with the deadline, or null where Redis says syntax error. */
function parseGetExOptions(
  args: readonly string[],
): { persist: boolean; unit: TimeUnit | null; time: string } | null {
  let persist = false;
  let chosen: TimeUnit | null = null;
  let time = '';
  for (let at = 2; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const unit = TIME_OPTIONS.get(word);
    if (unit === undefined) {
      if (word !== 'persist' || chosen !== null) return null;
      persist = true;
      continue;
    }
    const next = args[at + 1];
    if (next === undefined || persist || (chosen ?? unit) !== unit) return null;
    chosen = unit;
    time = next;
    at++;
  }
  return { persist, unit: chosen, time };
}

const runGetEx: Run = (context, args, reply) => {
  const [, key = ''] = args;
  const options = parseGetExOptions(args);
  if (options === null) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const entry = context.keyspace.getForWrite(key, context.now);
  if (entry === undefined || !isString(entry.value)) {
    replyValue(entry, reply);
    return;
  }
  const { value } = entry;
  if (options.unit !== null) {
    const deadline = parsePositiveDeadline(options.time, options.unit, context.now, 'getex');
    if (typeof deadline === 'string') {
      reply.error(deadline);
      return;
    }
    if (deadline <= context.now) remove(context, key);
    else {
      context.keyspace.setDeadline(key, entry, deadline);
      context.notify('g', 'expire', key);
    }
  } else if (options.persist && entry.expiresAt !== 0) {
    context.keyspace.setDeadline(key, entry, 0);
    context.notify('g', 'persist', key);
  }
  reply.bulk(textOf(value));
};

// --- Several keys at once ----------------------------------------------------------------------------------------

const runMGet: Run = (context, args, reply) => {
  reply.array(args.length - 1);
  for (let at = 1; at < args.length; at++) {
    const value = context.keyspace.get(args[at] ?? '', context.now)?.value;
    reply.bulk(value !== undefined && isString(value) ? textOf(value) : null);
  }
};

function setPairs(context: Context, args: readonly string[]): void {
  for (let at = 1; at < args.length; at += 2) set(context, args[at] ?? '', args[at + 1] ?? '');
}

const runMSet: Run = (context, args, reply) => {
  if (args.length % 2 === 0) {
    reply.error(wrongArity('mset'));
    return;
  }
  setPairs(context, args);
  reply.ok();
};

const runMSetNx: Run = (context, args, reply) => {
  if (args.length % 2 === 0) {
    reply.error(wrongArity('msetnx'));
    return;
  }
  for (let at = 1; at < args.length; at += 2) {
    if (context.keyspace.getForWrite(args[at] ?? '', context.now) === undefined) continue;
    reply.integer(0);
    return;
  }
  setPairs(context, args);
  reply.integer(1);
};

// --- Parts of a string -------------------------------------------------------------------------------------------

/**
 * Up to this length what is appended is joined to the value. A longer one is put together in one piece when it is read next,
 * in a snapshot too, and that may take so long (512 MB: 0.3 s) that it is written in place instead.
 */
const JOINED_BYTES_MAX = 1024 * 1024;

const runAppend: Run = (context, args, reply) => {
  const [, key = '', suffix = ''] = args;
  const entry = context.keyspace.getForWrite(key, context.now);
  if (entry === undefined) {
    context.keyspace.set(key, suffix, 0);
    context.notify('$', 'append', key);
    reply.integer(suffix.length);
    return;
  }
  if (!isString(entry.value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  const value = plainOf(entry.value);
  const length = value.length + suffix.length;
  if (length > MAX_STRING_BYTES) {
    reply.error(STRING_TOO_LONG);
    return;
  }
  if (typeof value === 'string' && length <= JOINED_BYTES_MAX)
    context.keyspace.replace(key, entry, append(value, suffix));
  else editString(context, key, entry, (bytes) => bytes.write(value.length, suffix));
  context.notify('$', 'append', key);
  reply.integer(length);
};

const runStrLen: Run = (context, args, reply) => {
  const entry = context.keyspace.get(args[1] ?? '', context.now);
  if (entry === undefined) reply.integer(0);
  else if (isString(entry.value)) reply.integer(entry.value.length);
  else reply.error(WRONG_TYPE);
};

const runGetRange: Run = (context, args, reply) => {
  const [, key = '', first = '', last = ''] = args;
  const from = parseInteger(first);
  const to = parseInteger(last);
  if (from === undefined || to === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const value = context.keyspace.get(key, context.now)?.value ?? '';
  if (!isString(value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  if (from < 0 && to < 0 && from > to) {
    reply.bulk('');
    return;
  }
  const start = Math.max(0, from < 0 ? value.length + clampInteger(from) : clampInteger(from));
  const end = Math.max(0, to < 0 ? value.length + clampInteger(to) : clampInteger(to));
  reply.bulk(start > end ? '' : value.slice(start, end + 1));
};

const runSetRange: Run = (context, args, reply) => {
  const [, key = '', position = '', patch = ''] = args;
  const offset = parseInteger(position);
  if (offset === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  if (offset < 0) {
    reply.error('ERR offset is out of range');
    return;
  }
  const entry = context.keyspace.getForWrite(key, context.now);
  const value = entry === undefined ? '' : entry.value;
  if (!isString(value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  if (patch.length === 0) {
    reply.integer(value.length);
    return;
  }
  const start = clampInteger(offset);
  if (start + patch.length > MAX_STRING_BYTES) {
    reply.error(STRING_TOO_LONG);
    return;
  }
  const length = Math.max(value.length, start + patch.length);
  editString(context, key, entry, (bytes) => bytes.write(start, patch));
  context.notify('$', 'setrange', key);
  reply.integer(length);
};

// --- Numbers -----------------------------------------------------------------------------------------------------

function increment(context: Context, key: string, by: Integer, reply: ReplyWriter): void {
  const entry = context.keyspace.getForWrite(key, context.now);
  const value = entry?.value;
  if (value !== undefined && !isString(value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  const current = value === undefined ? 0 : parseInteger(textOf(value));
  if (current === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const sum = addIntegers(current, by);
  if (sum === undefined) {
    reply.error('ERR increment or decrement would overflow');
    return;
  }
  if (entry === undefined) context.keyspace.set(key, String(sum), 0);
  else context.keyspace.replace(key, entry, String(sum));
  context.notify('$', 'incrby', key);
  reply.integer(sum);
}

const runIncr: Run = (context, args, reply) => increment(context, args[1] ?? '', 1, reply);
const runDecr: Run = (context, args, reply) => increment(context, args[1] ?? '', -1, reply);

const runIncrBy: Run = (context, args, reply) => {
  const by = parseInteger(args[2] ?? '');
  if (by === undefined) reply.error(NOT_AN_INTEGER);
  else increment(context, args[1] ?? '', by, reply);
};

const runDecrBy: Run = (context, args, reply) => {
  const by = parseInteger(args[2] ?? '');
  if (by === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const negated = negateInteger(by);
  if (negated === undefined) reply.error('ERR decrement would overflow');
  else increment(context, args[1] ?? '', negated, reply);
};

const runIncrByFloat: Run = (context, args, reply) => {
  const [, key = '', amount = ''] = args;
  const entry = context.keyspace.getForWrite(key, context.now);
  const value = entry?.value;
  if (value !== undefined && !isString(value)) {
    reply.error(WRONG_TYPE);
    return;
  }
  const current = parseLongDouble(textOf(value ?? '0'));
  const by = parseLongDouble(amount);
  if (current === undefined || by === undefined) {
    reply.error(NOT_A_FLOAT);
    return;
  }
  const sum = addLongDoubles(current, by);
  if (sum === undefined) {
    reply.error('ERR increment would produce NaN or Infinity');
    return;
  }
  if (entry === undefined) context.keyspace.set(key, sum, 0);
  else context.keyspace.replace(key, entry, sum);
  context.notify('$', 'incrbyfloat', key);
  reply.bulk(sum);
};

// --- The table ---------------------------------------------------------------------------------------------------

type StringCommand = Omit<DataCommand, 'kind' | 'group' | 'keys'> & Partial<Pick<DataCommand, 'keys'>>;

const commands: readonly StringCommand[] = [
  {
    name: 'get',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    categories: ['read', 'string', 'fast'],
    usage: '<key>',
    summary: 'Reads the value of a key',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runGet,
  },
  {
    name: 'set',
    arity: -3,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['write', 'string', 'slow'],
    usage:
      '<key> <value> [NX|XX] [GET] [EX <seconds>|PX <milliseconds>|EXAT <unix-time-seconds>|PXAT <unix-time-milliseconds>|KEEPTTL]',
    summary: 'Sets a key, if wished only when it is there or missing, with or without a deadline',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runSet,
  },
  {
    name: 'setnx',
    arity: 3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key> <value>',
    summary: 'Sets a key that is missing',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runSetNx,
  },
  {
    name: 'setex',
    arity: 4,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['write', 'string', 'slow'],
    usage: '<key> <seconds> <value>',
    summary: 'Sets a key that expires after some seconds',
    since: '2.0.0',
    complexity: 'O(1)',
    run: runSetEx('setex', { milliseconds: 1000, absolute: false }),
  },
  {
    name: 'psetex',
    arity: 4,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['write', 'string', 'slow'],
    usage: '<key> <milliseconds> <value>',
    summary: 'Sets a key that expires after some milliseconds',
    since: '2.6.0',
    complexity: 'O(1)',
    run: runSetEx('psetex', { milliseconds: 1, absolute: false }),
  },
  {
    name: 'getset',
    arity: 3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key> <value>',
    summary: 'Sets a key and returns what it held before',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runGetSet,
  },
  {
    name: 'getdel',
    arity: 2,
    write: true,
    flags: ['write', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key>',
    summary: 'Returns the value of a key and removes the key',
    since: '6.2.0',
    complexity: 'O(1)',
    run: runGetDel,
  },
  {
    name: 'getex',
    arity: -2,
    write: true,
    flags: ['write', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage:
      '<key> [EX <seconds>|PX <milliseconds>|EXAT <unix-time-seconds>|PXAT <unix-time-milliseconds>|PERSIST]',
    summary: 'Returns the value of a key and sets or takes away its deadline',
    since: '6.2.0',
    complexity: 'O(1)',
    run: runGetEx,
  },
  {
    name: 'mget',
    arity: -2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ALL_KEYS,
    categories: ['read', 'string', 'fast'],
    usage: '<key> [<key> ...]',
    summary: 'Reads the values of several keys at one moment',
    since: '1.0.0',
    complexity: 'O(N) where N is the number of keys',
    run: runMGet,
  },
  {
    name: 'mset',
    arity: -3,
    write: true,
    flags: ['write', 'denyoom'],
    keys: KEY_VALUE_PAIRS,
    categories: ['write', 'string', 'slow'],
    usage: '<key> <value> [<key> <value> ...]',
    summary: 'Sets several keys at one moment',
    since: '1.0.1',
    complexity: 'O(N) where N is the number of keys',
    run: runMSet,
  },
  {
    name: 'msetnx',
    arity: -3,
    write: true,
    flags: ['write', 'denyoom'],
    keys: KEY_VALUE_PAIRS,
    categories: ['write', 'string', 'slow'],
    usage: '<key> <value> [<key> <value> ...]',
    summary: 'Sets several keys if all of them are missing',
    since: '1.0.1',
    complexity: 'O(N) where N is the number of keys',
    run: runMSetNx,
  },
  {
    name: 'append',
    arity: 3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key> <value>',
    summary: 'Adds bytes to the end of a value',
    since: '2.0.0',
    complexity: 'O(1)',
    run: runAppend,
  },
  {
    name: 'strlen',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    categories: ['read', 'string', 'fast'],
    usage: '<key>',
    summary: 'The length of a value in bytes',
    since: '2.2.0',
    complexity: 'O(1)',
    run: runStrLen,
  },
  {
    name: 'getrange',
    arity: 4,
    write: false,
    flags: ['readonly'],
    categories: ['read', 'string', 'slow'],
    usage: '<key> <start> <end>',
    summary: 'Reads a part of a value, both ends included',
    since: '2.4.0',
    complexity: 'O(N) where N is the length of the part',
    run: runGetRange,
  },
  {
    name: 'substr',
    arity: 4,
    write: false,
    flags: ['readonly'],
    categories: ['read', 'string', 'slow'],
    usage: '<key> <start> <end>',
    summary: 'The old name of GETRANGE',
    since: '1.0.0',
    complexity: 'O(N) where N is the length of the part',
    run: runGetRange,
  },
  {
    name: 'setrange',
    arity: 4,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['write', 'string', 'slow'],
    usage: '<key> <offset> <value>',
    summary: 'Overwrites a part of a value, filling a gap with zero bytes',
    since: '2.2.0',
    complexity: 'O(N) where N is the length of the value',
    run: runSetRange,
  },
  {
    name: 'incr',
    arity: 2,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key>',
    summary: 'Adds one to a whole number',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runIncr,
  },
  {
    name: 'decr',
    arity: 2,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key>',
    summary: 'Takes one from a whole number',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runDecr,
  },
  {
    name: 'incrby',
    arity: 3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key> <increment>',
    summary: 'Adds to a whole number',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runIncrBy,
  },
  {
    name: 'decrby',
    arity: 3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key> <decrement>',
    summary: 'Takes from a whole number',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runDecrBy,
  },
  {
    name: 'incrbyfloat',
    arity: 3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    categories: ['write', 'string', 'fast'],
    usage: '<key> <increment>',
    summary: 'Adds to a number with a fraction',
    since: '2.6.0',
    complexity: 'O(1)',
    run: runIncrByFloat,
  },
];

export const stringCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'string',
  keys: ONE_KEY,
  ...command,
}));
