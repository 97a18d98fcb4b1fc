/** Commands over the deadlines of keys. */
import type { DataCommand } from '../command.ts';
import { parseDeadline, type TimeUnit, unitName } from '../expire-time.ts';
import type { Entry } from '../entry.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

interface Conditions {
  nx: boolean;
  xx: boolean;
  gt: boolean;
  lt: boolean;
}

/** The conditions behind EXPIRE's time, or the text of the error reply. */
function parseConditions(args: readonly string[]): Conditions | string {
  const conditions: Conditions = { nx: false, xx: false, gt: false, lt: false };
  for (let at = 3; at < args.length; at++) {
    const word = args[at] ?? '';
    switch (word.toLowerCase()) {
      case 'nx':
        conditions.nx = true;
        break;
      case 'xx':
        conditions.xx = true;
        break;
      case 'gt':
        conditions.gt = true;
        break;
      case 'lt':
        conditions.lt = true;
        break;
      default:
        // Redis prints it as a C string: only up to a zero byte.
        return `ERR Unsupported option ${word.split('\0', 1)[0]}`;
    }
  }
  if (conditions.nx && (conditions.xx || conditions.gt || conditions.lt))
    return 'ERR NX and XX, GT or LT options at the same time are not compatible';
  if (conditions.gt && conditions.lt) return 'ERR GT and LT options at the same time are not compatible';
  return conditions;
}

/** A key without a deadline counts as one that expires at the end of time. */
function conditionsHold(conditions: Conditions, entry: Entry, deadline: number): boolean {
  const current = entry.expiresAt === 0 ? Infinity : entry.expiresAt;
  if (conditions.nx && current !== Infinity) return false;
  if (conditions.xx && current === Infinity) return false;
  if (conditions.gt && deadline <= current) return false;
  return !(conditions.lt && deadline >= current);
}

function runExpire(command: string, unit: TimeUnit): Run {
  return (context, args, reply) => {
    const [, key = '', time = ''] = args;
    const conditions = parseConditions(args);
    if (typeof conditions === 'string') {
      reply.error(conditions);
      return;
    }
    const deadline = parseDeadline(time, unit, context.now, command);
    if (typeof deadline === 'string') {
      reply.error(deadline);
      return;
    }
    const entry = context.keyspace.getForWrite(key, context.now);
    if (entry === undefined || !conditionsHold(conditions, entry, deadline)) {
      reply.integer(0);
      return;
    }
    if (deadline <= context.now) {
      context.keyspace.delete(key);
      context.notify('g', 'del', key);
    } else {
      context.keyspace.setDeadline(key, entry, deadline);
      context.notify('g', 'expire', key);
    }
    reply.integer(1);
  };
}

const runPersist: Run = (context, args, reply) => {
  const [, key = ''] = args;
  const entry = context.keyspace.getForWrite(key, context.now);
  const had = entry !== undefined && entry.expiresAt !== 0;
  if (had) {
    context.keyspace.setDeadline(key, entry, 0);
    context.notify('g', 'persist', key);
  }
  reply.integer(had ? 1 : 0);
};

const NO_KEY = -2;
const NO_DEADLINE = -1;

/** TTL and its kin. Seconds are rounded, not cut: a key that has just been given 10 s says 10. */
function runTtl(unit: TimeUnit): Run {
  return (context, args, reply) => {
    const entry = context.keyspace.find(args[1] ?? '', context.now);
    if (entry === undefined) reply.integer(NO_KEY);
    else if (entry.expiresAt === 0) reply.integer(NO_DEADLINE);
    else {
      const milliseconds = unit.absolute ? entry.expiresAt : entry.expiresAt - context.now;
      reply.integer(unit.milliseconds === 1 ? milliseconds : Math.floor((milliseconds + 500) / 1000));
    }
  };
}

function expire(name: string, unit: TimeUnit, since: string, summary: string): DataCommand {
  return {
    kind: 'data',
    group: 'generic',
    name,
    arity: -3,
    write: true,
    flags: ['write', 'fast'],
    keys: ONE_KEY,
    categories: ['keyspace', 'write', 'fast'],
    usage: `<key> <${unitName(unit)}> [NX|XX|GT|LT]`,
    summary,
    since,
    complexity: 'O(1)',
    run: runExpire(name, unit),
  };
}

function ttl(name: string, unit: TimeUnit, since: string, summary: string): DataCommand {
  return {
    kind: 'data',
    group: 'generic',
    name,
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['keyspace', 'read', 'fast'],
    usage: '<key>',
    summary,
    since,
    complexity: 'O(1)',
    run: runTtl(unit),
  };
}

export const expiryCommands: readonly DataCommand[] = [
  expire(
    'expire',
    { milliseconds: 1000, absolute: false },
    '1.0.0',
    'Gives a key a deadline some seconds from now',
  ),
  expire(
    'pexpire',
    { milliseconds: 1, absolute: false },
    '2.6.0',
    'Gives a key a deadline some milliseconds from now',
  ),
  expire(
    'expireat',
    { milliseconds: 1000, absolute: true },
    '1.2.0',
    'Gives a key a deadline in seconds since 1970',
  ),
  expire(
    'pexpireat',
    { milliseconds: 1, absolute: true },
    '2.6.0',
    'Gives a key a deadline in milliseconds since 1970',
  ),
  {
    kind: 'data',
    group: 'generic',
    name: 'persist',
    arity: 2,
    write: true,
    flags: ['write', 'fast'],
    keys: ONE_KEY,
    categories: ['keyspace', 'write', 'fast'],
    usage: '<key>',
    summary: 'Takes the deadline of a key away',
    since: '2.2.0',
    complexity: 'O(1)',
    run: runPersist,
  },
  ttl('ttl', { milliseconds: 1000, absolute: false }, '1.0.0', 'The seconds until a key expires'),
  ttl('pttl', { milliseconds: 1, absolute: false }, '2.6.0', 'The milliseconds until a key expires'),
  ttl(
    'expiretime',
    { milliseconds: 1000, absolute: true },
    '7.0.0',
    'The deadline of a key in seconds since 1970',
  ),
  ttl(
    'pexpiretime',
    { milliseconds: 1, absolute: true },
    '7.0.0',
    'The deadline of a key in milliseconds since 1970',
  ),
];
