/**
 * Commands over the deadlines of fields of hashes, as of Redis 7.4 and 8.0. A missing key and a hash without the field are
 * the same, and what is wrong with the arguments is told after WRONGTYPE: as Redis does in these commands, unlike others.
 */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs, readAs } from '../context.ts';
import { invalidExpireTime, NOT_AN_INTEGER, wrongArity } from '../errors.ts';
import { TIME_OPTIONS, type TimeUnit, unitName } from '../expire-time.ts';
import { parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import { type Field, Hash } from '../types/hash.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

/** What these commands say of a field, by number. */
const NO_FIELD = -2;
const NO_DEADLINE = -1;
const CONDITION_NOT_MET = 0;
const DONE = 1;
const DELETED = 2;

/** The latest deadline that Redis takes, in ms since 1970: the year 4199. */
const DEADLINE_MAX: number = 2 ** 46 - 1;

const NO_FIELDS_WORD = 'ERR Mandatory argument FIELDS is missing or not at the right position';
const COUNT_MISMATCH = 'ERR The `numfields` parameter must match the number of arguments';
const NO_SUCH_COUNT = 'ERR Parameter `numFields` should be greater than 0';
const NOT_POSITIVE_COUNT = 'ERR Number of fields must be a positive integer';

/** The fields behind `FIELDS count` at `from`, to the end of the arguments; or the text of the error reply. */
function parseFields(args: readonly string[], from: number, badCount: string): readonly string[] | string {
  if ((args[from] ?? '').toLowerCase() !== 'fields') return NO_FIELDS_WORD;
  const count = parseInteger(args[from + 1] ?? '');
  if (count === undefined || count < 1) return badCount;
  return count === args.length - from - 2 ? args.slice(from + 2) : COUNT_MISMATCH;
}

/** A deadline in ms since 1970, or the text of the error reply. It may have passed. */
function parseDeadline(text: string, unit: TimeUnit, now: number, command: string): number | string {
  const amount = parseInteger(text);
  if (amount === undefined) return NOT_AN_INTEGER;
  if (amount < 0) return 'ERR invalid expire time, must be >= 0';
  const deadline = Number(amount) * unit.milliseconds + (unit.absolute ? 0 : now);
  return deadline > DEADLINE_MAX ? invalidExpireTime(command) : deadline;
}

// --- HEXPIRE and its kin -----------------------------------------------------------------------------------------

type Condition = 'nx' | 'xx' | 'gt' | 'lt';

function conditionOf(word: string): Condition | null {
  const lower = word.toLowerCase();
  return lower === 'nx' || lower === 'xx' || lower === 'gt' || lower === 'lt' ? lower : null;
}

/** A field without a deadline counts as one that expires at the end of time. */
function isMet(condition: Condition | null, current: number | null, deadline: number): boolean {
  switch (condition) {
    case 'nx':
      return current === null;
    case 'xx':
      return current !== null;
    case 'gt':
      return current !== null && deadline > current;
    case 'lt':
      return current === null || deadline < current;
    case null:
      return true;
  }
}

function runHexpire(command: string, unit: TimeUnit): Run {
  return (context, args, reply) => {
    const [, key = '', time = '', word = ''] = args;
    const entry = entryAs(context, key, Hash);
    if (typeof entry === 'string') {
      reply.error(entry);
      return;
    }
    const deadline = parseDeadline(time, unit, context.now, command);
    if (typeof deadline === 'string') {
      reply.error(deadline);
      return;
    }
    const condition = conditionOf(word);
    const fields = parseFields(args, condition === null ? 3 : 4, NO_SUCH_COUNT);
    if (typeof fields === 'string') {
      reply.error(fields);
      return;
    }
    reply.array(fields.length);
    let changed = false;
    for (const name of fields) {
      const field = entry?.value.field(name, context.now);
      if (entry === undefined || field === undefined) reply.integer(NO_FIELD);
      else if (!isMet(condition, field.expiresAt, deadline)) reply.integer(CONDITION_NOT_MET);
      else {
        changed = true;
        context.keyspace.change(key, entry);
        reply.integer(setDeadline(context, entry.value, field, deadline));
      }
    }
    if (changed) context.notify('h', deadline <= context.now ? 'hdel' : 'hexpire', key);
  };
}

/** A field whose deadline has passed when it gets it is deleted at once. */
function setDeadline(context: Context, hash: Hash, { name, value }: Field, deadline: number): number {
  if (deadline <= context.now) {
    hash.delete(name);
    return DELETED;
  }
  hash.put(name, value, deadline);
  return DONE;
}

const runHpersist: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const fields = parseFields(args, 2, NO_SUCH_COUNT);
  if (typeof fields === 'string') {
    reply.error(fields);
    return;
  }
  reply.array(fields.length);
  let changed = false;
  for (const name of fields) {
    const field = entry?.value.field(name, context.now);
    if (entry === undefined || field === undefined) reply.integer(NO_FIELD);
    else if (field.expiresAt === null) reply.integer(NO_DEADLINE);
    else {
      changed = true;
      context.keyspace.change(key, entry);
      entry.value.put(name, field.value);
      reply.integer(DONE);
    }
  }
  if (changed) context.notify('h', 'hpersist', key);
};

/** HTTL and its kin. Seconds are rounded up: a field that is there never says 0. */
function runHttl(unit: TimeUnit): Run {
  return (context, args, reply) => {
    const hash = readAs(context, args[1] ?? '', Hash);
    if (typeof hash === 'string') {
      reply.error(hash);
      return;
    }
    const fields = parseFields(args, 2, NO_SUCH_COUNT);
    if (typeof fields === 'string') {
      reply.error(fields);
      return;
    }
    reply.array(fields.length);
    for (const name of fields) {
      const field = hash?.field(name, context.now);
      if (field === undefined) reply.integer(NO_FIELD);
      else if (field.expiresAt === null) reply.integer(NO_DEADLINE);
      else {
        const milliseconds = field.expiresAt - (unit.absolute ? 0 : context.now);
        reply.integer(Math.ceil(milliseconds / unit.milliseconds));
      }
    }
  };
}

// --- HGETDEL, HGETEX, HSETEX -------------------------------------------------------------------------------------

const runHgetdel: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const fields = parseFields(args, 2, NOT_POSITIVE_COUNT);
  if (typeof fields === 'string') {
    reply.error(fields);
    return;
  }
  reply.array(fields.length);
  let changed = false;
  for (const name of fields) {
    const value = entry?.value.get(name, context.now);
    reply.bulk(value ?? null);
    if (entry === undefined || value === undefined) continue;
    changed = true;
    context.keyspace.change(key, entry);
    entry.value.delete(name);
  }
  if (changed) context.notify('h', 'hdel', key);
};

/** What is to become of deadlines: nothing, none is left, all are this one. */
type Expiry =
  | { readonly kind: 'keep' }
  | { readonly kind: 'persist' }
  | { readonly kind: 'set'; readonly at: number };

const runHgetex: Run = (context, args, reply) => {
  const [, key = '', word = '', time = ''] = args;
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const unit = TIME_OPTIONS.get(word.toLowerCase());
  let expiry: Expiry = { kind: 'keep' };
  let from = 2;
  if (unit !== undefined) {
    const at = parseDeadline(time, unit, context.now, 'hgetex');
    if (typeof at === 'string') {
      reply.error(at);
      return;
    }
    expiry = { kind: 'set', at };
    from = 4;
  } else if (word.toLowerCase() === 'persist') {
    expiry = { kind: 'persist' };
    from = 3;
  }
  const fields = parseFields(args, from, NOT_POSITIVE_COUNT);
  if (typeof fields === 'string') {
    reply.error(fields);
    return;
  }
  reply.array(fields.length);
  let changed = false;
  for (const name of fields) {
    const field = entry?.value.field(name, context.now);
    reply.bulk(field?.value ?? null);
    if (entry !== undefined && field !== undefined && renew(context, key, entry, field, expiry))
      changed = true;
  }
  if (!changed || expiry.kind === 'keep') return;
  if (expiry.kind === 'persist') context.notify('h', 'hpersist', key);
  else context.notify('h', expiry.at <= context.now ? 'hdel' : 'hexpire', key);
};

/** False when nothing is to be done. */
function renew(context: Context, key: string, entry: Entry<Hash>, field: Field, expiry: Expiry): boolean {
  if (expiry.kind === 'keep' || (expiry.kind === 'persist' && field.expiresAt === null)) return false;
  context.keyspace.change(key, entry);
  if (expiry.kind === 'set') setDeadline(context, entry.value, field, expiry.at);
  else entry.value.put(field.name, field.value);
  return true;
}

interface SetOptions {
  /** All fields must be there, or none. */
  condition: 'fnx' | 'fxx' | null;
  expiry: Expiry;
  /** Field, value, field, value, … */
  pairs: readonly string[];
}

/** What stands behind HSETEX's key, or the text of the error reply. */
function parseSetOptions(args: readonly string[], now: number): SetOptions | string {
  const options: SetOptions = { condition: null, expiry: { kind: 'persist' }, pairs: [] };
  let hasExpiry = false;
  for (let at = 2; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const unit = TIME_OPTIONS.get(word);
    if (word === 'fields') {
      const count = parseInteger(args[at + 1] ?? '');
      if (at + 3 >= args.length) return wrongArity('hsetex');
      if (count === undefined || count < 1) return 'ERR invalid number of fields';
      if (Number(count) * 2 !== args.length - at - 2) return wrongArity('hsetex');
      return { ...options, pairs: args.slice(at + 2) };
    }
    if (word === 'fnx' || word === 'fxx') {
      if (options.condition !== null && options.condition !== word)
        return 'ERR Only one of FXX or FNX arguments can be specified';
      options.condition = word;
    } else if (unit !== undefined || word === 'keepttl') {
      if (hasExpiry) return 'ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified';
      hasExpiry = true;
      if (unit === undefined) {
        options.expiry = { kind: 'keep' };
        continue;
      }
      if (++at === args.length) return 'ERR missing expire time';
      const deadline = parseDeadline(args[at] ?? '', unit, now, 'hsetex');
      if (typeof deadline === 'string') return deadline;
      options.expiry = { kind: 'set', at: deadline };
    } else return `ERR unknown argument: ${args[at] ?? ''}`;
  }
  return 'ERR missing FIELDS argument';
}

const runHsetex: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  const { keyspace, now } = context;
  const options = parseSetOptions(args, now);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const { condition, expiry, pairs } = options;
  const met = pairs.every((name, at) => {
    if (condition === null || at % 2 === 1) return true;
    return (entry?.value.field(name, now) !== undefined) === (condition === 'fxx');
  });
  if (!met) {
    reply.integer(0);
    return;
  }
  const gone = expiry.kind === 'set' && expiry.at <= now;
  if (entry === undefined && !gone) keyspace.set(key, new Hash(), 0);
  const target = entryAs(context, key, Hash);
  if (target !== undefined && typeof target !== 'string') {
    keyspace.change(key, target);
    for (let at = 0; at < pairs.length; at += 2)
      putWith(target.value, pairs[at] ?? '', pairs[at + 1] ?? '', expiry, now);
    context.notify('h', 'hset', key);
    if (expiry.kind === 'set') context.notify('h', gone ? 'hdel' : 'hexpire', key);
  }
  reply.integer(1);
};

function putWith(hash: Hash, name: string, value: string, expiry: Expiry, now: number): void {
  if (expiry.kind === 'keep') hash.put(name, value, hash.field(name, now)?.expiresAt);
  else if (expiry.kind === 'persist') hash.put(name, value);
  else if (expiry.at > now) hash.put(name, value, expiry.at);
  else hash.delete(name);
}

// --- The table ---------------------------------------------------------------------------------------------------

type ExpiryCommand = Omit<DataCommand, 'kind' | 'group' | 'keys' | 'write' | 'categories' | 'complexity'>;

const SECONDS: TimeUnit = { milliseconds: 1000, absolute: false };
const MILLISECONDS: TimeUnit = { milliseconds: 1, absolute: false };
const SECONDS_SINCE_1970: TimeUnit = { milliseconds: 1000, absolute: true };
const MILLISECONDS_SINCE_1970: TimeUnit = { milliseconds: 1, absolute: true };

const FIELDS = 'FIELDS <numfields> <field> [<field> ...]';

function hexpire(name: string, unit: TimeUnit, summary: string): ExpiryCommand {
  const flags = ['write', 'denyoom', 'fast'] as const;
  const usage = `<key> <${unitName(unit)}> [NX|XX|GT|LT] ${FIELDS}`;
  return { name, arity: -6, flags, usage, summary, since: '7.4.0', run: runHexpire(name, unit) };
}

function httl(name: string, unit: TimeUnit, summary: string): ExpiryCommand {
  const flags = ['readonly', 'fast'] as const;
  const usage = `<key> ${FIELDS}`;
  return { name, arity: -5, flags, usage, summary, since: '7.4.0', run: runHttl(unit) };
}

const commands: readonly ExpiryCommand[] = [
  hexpire('hexpire', SECONDS, 'Gives fields of a hash a deadline some seconds from now'),
  hexpire('hpexpire', MILLISECONDS, 'Gives fields of a hash a deadline some milliseconds from now'),
  hexpire('hexpireat', SECONDS_SINCE_1970, 'Gives fields of a hash a deadline in seconds since 1970'),
  hexpire(
    'hpexpireat',
    MILLISECONDS_SINCE_1970,
    'Gives fields of a hash a deadline in milliseconds since 1970',
  ),
  httl('httl', SECONDS, 'The seconds until fields of a hash expire'),
  httl('hpttl', MILLISECONDS, 'The milliseconds until fields of a hash expire'),
  httl('hexpiretime', SECONDS_SINCE_1970, 'The deadlines of fields of a hash in seconds since 1970'),
  httl(
    'hpexpiretime',
    MILLISECONDS_SINCE_1970,
    'The deadlines of fields of a hash in milliseconds since 1970',
  ),
  {
    name: 'hpersist',
    arity: -5,
    flags: ['write', 'fast'],
    usage: '<key> FIELDS <numfields> <field> [<field> ...]',
    summary: 'Takes the deadlines of fields of a hash away',
    since: '7.4.0',
    run: runHpersist,
  },
  {
    name: 'hgetdel',
    arity: -5,
    flags: ['write', 'fast'],
    usage: '<key> FIELDS <numfields> <field> [<field> ...]',
    summary: 'Reads fields of a hash and removes them',
    since: '8.0.0',
    run: runHgetdel,
  },
  {
    name: 'hgetex',
    arity: -5,
    flags: ['write', 'fast'],
    usage:
      '<key> [EX <seconds>|PX <milliseconds>|EXAT <unix-time-seconds>|PXAT <unix-time-milliseconds>|PERSIST] FIELDS <numfields> <field> [<field> ...]',
    summary: 'Reads fields of a hash and changes their deadlines',
    since: '8.0.0',
    run: runHgetex,
  },
  {
    name: 'hsetex',
    arity: -6,
    flags: ['write', 'denyoom', 'fast'],
    usage:
      '<key> [FNX|FXX] [EX <seconds>|PX <milliseconds>|EXAT <unix-time-seconds>|PXAT <unix-time-milliseconds>|KEEPTTL] FIELDS <numfields> <field> <value> [<field> <value> ...]',
    summary: 'Gives fields of a hash values and deadlines, creating it',
    since: '8.0.0',
    run: runHsetex,
  },
];

export const hashExpiryCommands: readonly DataCommand[] = commands.map((command) => {
  const write = command.flags.includes('write');
  return {
    kind: 'data',
    group: 'hash',
    keys: ONE_KEY,
    write,
    categories: [write ? 'write' : 'read', 'hash', 'fast'],
    complexity: 'O(log N) per field',
    ...command,
  };
});
