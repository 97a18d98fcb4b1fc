/** DUMP and RESTORE: values as bytes that Redis understands, see `rdb/`. */
import { MAX_STRING_BYTES } from '../bytes.ts';
import type { DataCommand } from '../command.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { addWrapping, clampInteger, type Integer, parseInteger } from '../integer.ts';
import { dumpOf } from '../rdb/dump.ts';
import { isIntact, valueOf } from '../rdb/restore.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

const FREQUENCY_MAX = 255;

const runDump: Run = (context, args, reply) => {
  const entry = context.keyspace.get(args[1] ?? '', context.now);
  if (entry === undefined) {
    reply.bulk(null);
    return;
  }
  const dump = dumpOf(entry.value, context.now);
  if (dump === null)
    reply.error(`ERR the dump could have more than ${MAX_STRING_BYTES} bytes, read the value in parts`);
  else reply.bulk(dump);
};

interface RestoreOptions {
  replace: boolean;
  absolute: boolean;
  idleSeconds: Integer | null;
  frequency: number | null;
}

/** The options behind RESTORE's value, or the text of the error. */
function parseOptions(args: readonly string[]): RestoreOptions | string {
  const options: RestoreOptions = { replace: false, absolute: false, idleSeconds: null, frequency: null };
  for (let at = 4; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (word === 'replace') options.replace = true;
    else if (word === 'absttl') options.absolute = true;
    else if (word === 'idletime' && argument !== undefined && options.frequency === null) {
      const seconds = parseInteger(argument);
      if (seconds === undefined) return NOT_AN_INTEGER;
      if (seconds < 0) return 'ERR Invalid IDLETIME value, must be >= 0';
      options.idleSeconds = seconds;
      at++;
    } else if (word === 'freq' && argument !== undefined && options.idleSeconds === null) {
      const frequency = parseInteger(argument);
      if (frequency === undefined) return NOT_AN_INTEGER;
      if (frequency < 0 || frequency > FREQUENCY_MAX)
        return 'ERR Invalid FREQ value, must be >= 0 and <= 255';
      options.frequency = Number(frequency);
      at++;
    } else return SYNTAX_ERROR;
  }
  return options;
}

const runRestore: Run = (context, args, reply) => {
  const [, key = '', text = '', bytes = ''] = args;
  const { keyspace, now } = context;
  const options = parseOptions(args);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const there = keyspace.getForWrite(key, now) !== undefined;
  if (there && !options.replace) {
    reply.error('BUSYKEY Target key name already exists.');
    return;
  }
  const ttl = parseInteger(text);
  if (ttl === undefined || ttl < 0) {
    reply.error(ttl === undefined ? NOT_AN_INTEGER : 'ERR Invalid TTL value, must be >= 0');
    return;
  }
  const dump = Buffer.from(bytes, 'latin1');
  if (!isIntact(dump)) {
    reply.error('ERR DUMP payload version or checksum are wrong');
    return;
  }
  const value = valueOf(dump);
  if (value === undefined) {
    reply.error('ERR Bad data format');
    return;
  }
  // In 64 bits, as in Redis: what leaves them has passed.
  const deadline = options.absolute ? ttl : addWrapping(ttl, now);
  if (there) keyspace.delete(key);
  // As of a hash of which all fields have expired: there is nothing to be kept.
  const { last = Infinity } = (typeof value === 'string' ? null : value.expiring) ?? {};
  if ((ttl !== 0 && deadline <= now) || last <= now) {
    if (there) context.notify('g', 'del', key);
    reply.ok();
    return;
  }
  keyspace.set(key, value, ttl === 0 ? 0 : clampInteger(deadline));
  const { idleSeconds, frequency } = options;
  const entry = keyspace.peek(key);
  if (entry !== undefined && (idleSeconds !== null || frequency !== null))
    entry.usage = keyspace.usage.of(clampInteger(idleSeconds ?? 0), frequency);
  context.notify('g', 'restore', key);
  reply.ok();
};

type DumpCommand = Omit<DataCommand, 'kind' | 'group' | 'keys'>;

const commands: readonly DumpCommand[] = [
  {
    name: 'dump',
    arity: 2,
    write: false,
    flags: ['readonly'],
    categories: ['keyspace', 'read', 'slow'],
    usage: '<key>',
    summary: 'What a key holds, as bytes that RESTORE takes',
    since: '2.6.0',
    complexity: 'O(N) where N is the number of bytes',
    run: runDump,
  },
  {
    name: 'restore',
    arity: -4,
    write: true,
    flags: ['write', 'denyoom'],
    categories: ['keyspace', 'write', 'slow', 'dangerous'],
    usage: '<key> <ttl> <serialized-value> [REPLACE] [ABSTTL] [IDLETIME <seconds>] [FREQ <frequency>]',
    summary: 'Makes a key of what DUMP gave, here or in Redis',
    since: '2.6.0',
    complexity: 'O(N) where N is the number of bytes, O(N * log N) for sorted sets and sets',
    run: runRestore,
  },
];

export const dumpCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'generic',
  keys: ONE_KEY,
  ...command,
}));
