/** Commands over keys whatever they hold, deadlines apart. */
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { NO_SUCH_KEY, NOT_AN_INTEGER, SAME_OBJECT, SYNTAX_ERROR } from '../errors.ts';
import { matchesGlob } from '../glob.ts';
import { parseInteger } from '../integer.ts';
import { SHARD_COUNT } from '../entry-table.ts';
import { isExpired } from '../keyspace.ts';
import type { ReplyWriter } from '../reply.ts';
import { forkOf, typeOf } from '../value.ts';
import { ALL_KEYS, NO_KEYS, ONE_KEY, TWO_KEYS } from './positions.ts';
import { INVALID_CURSOR, parseCursor, parseScanOptions } from './scan-options.ts';

type Run = DataCommand['run'];

const runDel: Run = (context, args, reply) => {
  let removed = 0;
  for (let at = 1; at < args.length; at++) {
    const key = args[at] ?? '';
    if (context.keyspace.getForWrite(key, context.now) === undefined) continue;
    context.keyspace.delete(key);
    context.notify('g', 'del', key);
    removed++;
  }
  reply.integer(removed);
};

/** EXISTS, and TOUCH, which is a use of the keys. A key named twice counts twice. */
function runExists(uses: boolean): Run {
  return ({ keyspace, now }, args, reply) => {
    let found = 0;
    for (const key of args.slice(1))
      if ((uses ? keyspace.get(key, now) : keyspace.find(key, now)) !== undefined) found++;
    reply.integer(found);
  };
}

const runType: Run = (context, args, reply) => {
  const entry = context.keyspace.find(args[1] ?? '', context.now);
  reply.simple(entry === undefined ? 'none' : typeOf(entry.value));
};

// --- All keys ----------------------------------------------------------------------------------------------------

/**
 * Adds the living keys of one shard that match, in the order of their bytes: the order inside a shard is no
 * part of the state, so other nodes may have another one.
 */
function collectKeys(
  context: Context,
  shard: number,
  pattern: string,
  type: string | null,
  found: string[],
): void {
  const matches: string[] = [];
  for (const entry of context.keyspace.table.entriesOf(shard)) {
    const { key } = entry;
    if (isExpired(entry, context.now)) continue;
    if (type !== null && typeOf(entry.value) !== type) continue;
    if (pattern === '*' || matchesGlob(pattern, key)) matches.push(key);
  }
  if (matches.length > 1) matches.sort();
  for (const key of matches) found.push(key);
}

function replyKeys(keys: readonly string[], reply: ReplyWriter): void {
  reply.array(keys.length);
  for (const key of keys) reply.bulk(key);
}

const runKeys: Run = (context, args, reply) => {
  const found: string[] = [];
  for (let shard = 0; shard < SHARD_COUNT; shard++) collectKeys(context, shard, args[1] ?? '', null, found);
  replyKeys(found, reply);
};

/**
 * The cursor is the next shard's number, and a step returns whole shards until it has visited COUNT keys. A key
 * never changes its shard, so one that is there during the whole scan is returned exactly once.
 */
const runScan: Run = (context, args, reply) => {
  const cursor = parseCursor(args[1] ?? '');
  if (cursor === undefined) {
    reply.error(INVALID_CURSOR);
    return;
  }
  const options = parseScanOptions(args, 2, true);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const found: string[] = [];
  let shard = Math.min(cursor, SHARD_COUNT);
  for (let visited = 0; shard < SHARD_COUNT && visited < options.count; shard++) {
    visited += context.keyspace.table.sizeOf(shard);
    collectKeys(context, shard, options.pattern, options.type, found);
  }
  // Empty shards at the end would only cost the client a round trip for nothing.
  while (shard < SHARD_COUNT && context.keyspace.table.sizeOf(shard) === 0) shard++;
  reply.array(2);
  reply.bulk(String(shard === SHARD_COUNT ? 0 : shard));
  replyKeys(found, reply);
};

const runRandomKey: Run = (context, _args, reply) => {
  // A place among all keys chooses the shard, so that every key is as likely as any other.
  let place = Math.floor(context.random() * context.keyspace.size);
  let start = 0;
  for (; start < SHARD_COUNT - 1; start++) {
    const size = context.keyspace.table.sizeOf(start);
    if (place < size) break;
    place -= size;
  }
  // Where all keys of the shard have expired, the next one with a living key stands in.
  const found: string[] = [];
  for (let step = 0; step < SHARD_COUNT && found.length === 0; step++)
    collectKeys(context, (start + step) % SHARD_COUNT, '*', null, found);
  reply.bulk(found[Math.floor(context.random() * found.length)] ?? null);
};

const runDbSize: Run = (context, _args, reply) => reply.integer(context.keyspace.size);

const runFlush: Run = (context, args, reply) => {
  const mode = args[1]?.toLowerCase() ?? 'sync';
  if (args.length > 2 || (mode !== 'sync' && mode !== 'async')) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  context.keyspace.clear();
  reply.ok();
};

// --- Moving and copying ------------------------------------------------------------------------------------------

/** Redis removes what a key held before it moves or copies something there, and so creates the key anew. */
function tellNew(context: Context, key: string): void {
  context.notify('n', 'new', key);
}

/** Moves `from` to `to` with its deadline; `onlyIfFree` makes it RENAMENX. Undefined: `from` is missing. */
function rename(context: Context, args: readonly string[], onlyIfFree: boolean): boolean | undefined {
  const [, from = '', to = ''] = args;
  const { keyspace, now } = context;
  const entry = keyspace.getForWrite(from, now);
  if (entry === undefined) return undefined;
  if (from === to) return !onlyIfFree;
  const taken = keyspace.getForWrite(to, now) !== undefined;
  if (onlyIfFree && taken) return false;
  const { value, expiresAt } = entry;
  keyspace.delete(from);
  keyspace.set(to, value, expiresAt);
  if (taken) tellNew(context, to);
  context.notify('g', 'rename_from', from);
  context.notify('g', 'rename_to', to);
  return true;
}

const runRename: Run = (context, args, reply) => {
  if (rename(context, args, false) === undefined) reply.error(NO_SUCH_KEY);
  else reply.ok();
};

const runRenameNx: Run = (context, args, reply) => {
  const renamed = rename(context, args, true);
  if (renamed === undefined) reply.error(NO_SUCH_KEY);
  else reply.integer(renamed ? 1 : 0);
};

const INT_MIN = -2_147_483_648;
const INT_MAX = 2_147_483_647;

/** COPY's options: whether to replace, or the text of the error reply. */
function parseCopyOptions(args: readonly string[]): { replace: boolean } | string {
  let replace = false;
  for (let at = 3; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (word === 'replace') replace = true;
    else if (word === 'db' && argument !== undefined) {
      at++;
      const database = parseInteger(argument);
      if (database === undefined) return NOT_AN_INTEGER;
      if (database < INT_MIN || database > INT_MAX)
        return `ERR value is out of range, value must between ${INT_MIN} and ${INT_MAX}`;
      // There is one database.
      if (database !== 0) return 'ERR DB index is out of range';
    } else return SYNTAX_ERROR;
  }
  return { replace };
}

const runCopy: Run = (context, args, reply) => {
  const [, from = '', to = ''] = args;
  const options = parseCopyOptions(args);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  if (from === to) {
    reply.error(SAME_OBJECT);
    return;
  }
  const { keyspace, now } = context;
  const entry = keyspace.getForWrite(from, now);
  const taken = entry !== undefined && keyspace.getForWrite(to, now) !== undefined;
  if (entry === undefined || (!options.replace && taken)) {
    reply.integer(0);
    return;
  }
  keyspace.set(to, forkOf(entry.value), entry.expiresAt);
  if (taken) tellNew(context, to);
  context.notify('g', 'copy_to', to);
  reply.integer(1);
};

// --- The table ---------------------------------------------------------------------------------------------------

type KeyCommand = Omit<DataCommand, 'kind' | 'group'>;

const del: KeyCommand = {
  name: 'del',
  arity: -2,
  write: true,
  flags: ['write'],
  keys: ALL_KEYS,
  categories: ['keyspace', 'write', 'slow'],
  usage: '<key> [<key> ...]',
  summary: 'Removes keys',
  since: '1.0.0',
  complexity: 'O(N) where N is the number of keys',
  run: runDel,
};

const commands: readonly KeyCommand[] = [
  del,
  { ...del, name: 'delete', summary: 'Another name for DEL' },
  {
    ...del,
    name: 'unlink',
    flags: ['write', 'fast'],
    categories: ['keyspace', 'write', 'fast'],
    usage: '<key> [<key> ...]',
    summary: 'Removes keys; here the same as DEL',
    since: '4.0.0',
  },
  {
    name: 'exists',
    arity: -2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ALL_KEYS,
    categories: ['keyspace', 'read', 'fast'],
    usage: '<key> [<key> ...]',
    summary: 'Counts how many of the keys are there',
    since: '1.0.0',
    complexity: 'O(N) where N is the number of keys',
    run: runExists(false),
  },
  {
    name: 'touch',
    arity: -2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ALL_KEYS,
    categories: ['keyspace', 'read', 'fast'],
    usage: '<key> [<key> ...]',
    summary: 'Counts how many of the keys are there, as EXISTS does, and counts as a use of them',
    since: '3.2.1',
    complexity: 'O(N) where N is the number of keys',
    run: runExists(true),
  },
  {
    name: 'type',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['keyspace', 'read', 'fast'],
    usage: '<key>',
    summary: 'The data type of what a key holds',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runType,
  },
  {
    name: 'keys',
    arity: 2,
    write: false,
    flags: ['readonly'],
    keys: NO_KEYS,
    categories: ['keyspace', 'read', 'slow', 'dangerous'],
    usage: '<pattern>',
    summary: 'All keys that match a pattern, in one reply',
    since: '1.0.0',
    complexity: 'O(N) where N is the number of keys in the store',
    run: runKeys,
  },
  {
    name: 'scan',
    arity: -2,
    write: false,
    flags: ['readonly'],
    keys: NO_KEYS,
    categories: ['keyspace', 'read', 'slow'],
    usage: '<cursor> [MATCH <pattern>] [COUNT <count>] [TYPE <type>]',
    summary: 'Walks over all keys in steps',
    since: '2.8.0',
    complexity: 'O(COUNT) per step, O(N) for the whole walk over N keys',
    run: runScan,
  },
  {
    name: 'randomkey',
    arity: 1,
    write: false,
    flags: ['readonly'],
    keys: NO_KEYS,
    categories: ['keyspace', 'read', 'slow'],
    summary: 'Any key',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runRandomKey,
  },
  {
    name: 'dbsize',
    arity: 1,
    write: false,
    flags: ['readonly', 'fast'],
    keys: NO_KEYS,
    categories: ['keyspace', 'read', 'fast'],
    summary: 'The number of keys',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runDbSize,
  },
  {
    name: 'flushall',
    arity: -1,
    write: true,
    flags: ['write'],
    keys: NO_KEYS,
    categories: ['keyspace', 'write', 'slow', 'dangerous'],
    usage: '[ASYNC|SYNC]',
    summary: 'Removes every key',
    since: '1.0.0',
    complexity: 'O(1); the memory is freed afterwards',
    run: runFlush,
  },
  {
    name: 'flushdb',
    arity: -1,
    write: true,
    flags: ['write'],
    keys: NO_KEYS,
    categories: ['keyspace', 'write', 'slow', 'dangerous'],
    usage: '[ASYNC|SYNC]',
    summary: 'Removes every key of the database; there is one',
    since: '1.0.0',
    complexity: 'O(1); the memory is freed afterwards',
    run: runFlush,
  },
  {
    name: 'rename',
    arity: 3,
    write: true,
    flags: ['write'],
    keys: TWO_KEYS,
    categories: ['keyspace', 'write', 'slow'],
    usage: '<key> <newkey>',
    summary: 'Gives a key another name, overwriting what has it',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runRename,
  },
  {
    name: 'renamenx',
    arity: 3,
    write: true,
    flags: ['write', 'fast'],
    keys: TWO_KEYS,
    categories: ['keyspace', 'write', 'fast'],
    usage: '<key> <newkey>',
    summary: 'Gives a key another name that is free',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runRenameNx,
  },
  {
    name: 'copy',
    arity: -3,
    write: true,
    flags: ['write', 'denyoom'],
    keys: TWO_KEYS,
    categories: ['keyspace', 'write', 'slow'],
    usage: '<source> <destination> [DB <destination-db>] [REPLACE]',
    summary: 'Copies what a key holds, and its deadline, to another key',
    since: '6.2.0',
    complexity: 'O(1); what the two share is copied when one of them changes',
    run: runCopy,
  },
];

export const keyCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'generic',
  ...command,
}));
