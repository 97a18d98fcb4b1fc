/** Commands over the entries of streams. Groups of consumers have their own: `stream-groups.ts`, `stream-pending.ts`. */
import type { DataCommand } from '../command.ts';
import { changeAs, type Context, entryAs, readAs } from '../context.ts';
import { NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX_ERROR, wrongArity } from '../errors.ts';
import { clampInteger, type Integer, parseInteger } from '../integer.ts';
import { Stream, type Trim } from '../types/stream.ts';
import {
  hasLastSequence,
  idOf,
  MAX_ID,
  nextId,
  parseId,
  sameMilliseconds,
  type StreamId,
  ZERO_ID,
} from '../types/stream-id.ts';
import type { StreamEntry } from '../types/stream-node.ts';
import { ONE_KEY } from './positions.ts';
import { type AddArguments, INVALID_ID, parseAdd, parseIds, parseRange } from './stream-arguments.ts';
import { replyEntries, replyId } from './stream-replies.ts';

type Run = DataCommand['run'];

/** The most characters of an entry: Redis's bound for one of its pieces. */
const ENTRY_CHARACTERS_MAX = 2 ** 30;

const EXHAUSTED = 'ERR The stream has exhausted the last possible ID, unable to add more items';
const NOT_ABOVE_TOP = 'ERR The ID specified in XADD is equal or smaller than the target stream top item';

/** The id that the new entry gets, or undefined where what is wanted is not higher than all before. */
function idFor({ given }: AddArguments, lastId: StreamId, now: number): StreamId | undefined {
  if (given === null) {
    const id = idOf(now, 0);
    return id > lastId ? id : nextId(lastId);
  }
  const { id, anySequence } = given;
  if (!anySequence || !sameMilliseconds(id, lastId)) return id > lastId ? id : undefined;
  return hasLastSequence(lastId) ? undefined : nextId(lastId);
}

/** Trims a stream that may be changed, and says so. */
function trim(context: Context, key: string, stream: Stream, by: Trim): number {
  const removed = stream.trim(by);
  if (removed > 0) context.notify('t', 'xtrim', key);
  return removed;
}

const runXadd: Run = (context, args, reply) => {
  const options = parseAdd(args, 'xadd');
  if ('error' in options) {
    reply.error(options.error);
    return;
  }
  const { fieldsAt, given } = options;
  const [, key = ''] = args;
  const strings = args.length - fieldsAt;
  if (strings < 2 || strings % 2 === 1) {
    reply.error(wrongArity('xadd'));
    return;
  }
  if (given !== null && !given.anySequence && given.id === ZERO_ID) {
    reply.error('ERR The ID specified in XADD must be greater than 0-0');
    return;
  }
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined && options.onlyIfThere) {
    reply.bulk(null);
    return;
  }
  const lastId = entry?.value.lastId ?? ZERO_ID;
  const id = idFor(options, lastId, context.now);
  if (lastId === MAX_ID || id === undefined) {
    reply.error(lastId === MAX_ID ? EXHAUSTED : NOT_ABOVE_TOP);
    return;
  }
  const fields: string[] = [];
  const values: string[] = [];
  let characters = 0;
  for (let at = fieldsAt; at < args.length; at += 2) {
    const [field = '', value = ''] = [args[at], args[at + 1]];
    fields.push(field);
    values.push(value);
    characters += field.length + value.length;
  }
  if (characters > ENTRY_CHARACTERS_MAX) {
    reply.error('ERR Elements are too large to be stored');
    return;
  }
  const stream = changeAs(context, key, Stream);
  if (typeof stream === 'string') return;
  stream.add(id, fields, values);
  context.notify('t', 'xadd', key);
  if (options.trim !== null) trim(context, key, stream, options.trim);
  replyId(reply, id);
};

const runXtrim: Run = (context, args, reply) => {
  const options = parseAdd(args, 'xtrim');
  if ('error' in options) {
    reply.error(options.error);
    return;
  }
  const [, key = ''] = args;
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined || options.trim === null || !entry.value.trims(options.trim)) {
    reply.integer(0);
    return;
  }
  context.keyspace.change(key, entry);
  reply.integer(trim(context, key, entry.value, options.trim));
};

const runXdel: Run = (context, args, reply) => {
  const [, key = ''] = args;
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined) {
    reply.integer(0);
    return;
  }
  const ids = parseIds(args.slice(2));
  if (ids === undefined) {
    reply.error(INVALID_ID);
    return;
  }
  let deleted = 0;
  for (const id of ids) {
    if (entry.value.get(id) === undefined) continue;
    if (deleted === 0) context.keyspace.change(key, entry);
    entry.value.delete(id);
    deleted++;
  }
  if (deleted > 0) context.notify('t', 'xdel', key);
  reply.integer(deleted);
};

const runXlen: Run = (context, args, reply) => {
  const stream = readAs(context, args[1] ?? '', Stream);
  if (typeof stream === 'string') reply.error(stream);
  else reply.integer(stream?.size ?? 0);
};

/** XRANGE, and XREVRANGE, whose end comes first. */
function runRange(backwards: boolean): Run {
  return (context, args, reply) => {
    const [, key = '', first = '', second = ''] = args;
    const range = backwards ? parseRange(second, first) : parseRange(first, second);
    if ('error' in range) {
      reply.error(range.error);
      return;
    }
    let count: number | null = null;
    for (let at = 4; at < args.length; at += 2) {
      const argument = args[at + 1];
      if ((args[at] ?? '').toLowerCase() !== 'count' || argument === undefined) {
        reply.error(SYNTAX_ERROR);
        return;
      }
      const given = parseInteger(argument);
      if (given === undefined) {
        reply.error(NOT_AN_INTEGER);
        return;
      }
      count = Math.max(0, clampInteger(given));
    }
    const stream = readAs(context, key, Stream);
    if (typeof stream === 'string') reply.error(stream);
    else if (stream === undefined) reply.array(0);
    else if (count === 0) reply.nullArray();
    else {
      const entries: StreamEntry[] = [];
      const take = (entry: StreamEntry): boolean => entries.push(entry) !== count;
      if (backwards) stream.visitBackwards(range.from, range.to, take);
      else stream.visit(range.from, range.to, take);
      replyEntries(reply, entries);
    }
  };
}

interface SetIdOptions {
  readonly entriesAdded: Integer | null;
  readonly maxDeletedId: StreamId;
}

/** What follows XSETID's id, or the text of the error. */
function parseSetId(args: readonly string[], id: StreamId): SetIdOptions | string {
  let entriesAdded: Integer | null = null;
  let maxDeletedId = ZERO_ID;
  for (let at = 3; at < args.length; at += 2) {
    const argument = args[at + 1];
    if (argument === undefined) return SYNTAX_ERROR;
    switch ((args[at] ?? '').toLowerCase()) {
      case 'entriesadded': {
        const added = parseInteger(argument);
        if (added === undefined) return NOT_AN_INTEGER;
        if (added < 0) return 'ERR entries_added must be positive';
        entriesAdded = added;
        break;
      }
      case 'maxdeletedid': {
        const deleted = parseId(argument);
        if (deleted === undefined) return INVALID_ID;
        if (id < deleted)
          return 'ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id';
        maxDeletedId = deleted;
        break;
      }
      default:
        return SYNTAX_ERROR;
    }
  }
  return { entriesAdded, maxDeletedId };
}

/** Why XSETID can't be, or undefined. */
function refusal(stream: Stream, id: StreamId, { entriesAdded }: SetIdOptions): string | undefined {
  const top = stream.last();
  if (top === undefined) return undefined;
  if (id < top.id) return 'ERR The ID specified in XSETID is smaller than the target stream top item';
  if (entriesAdded !== null && entriesAdded < stream.size)
    return 'ERR The entries_added specified in XSETID is smaller than the target stream length';
  return undefined;
}

const runXsetid: Run = (context, args, reply) => {
  const [, key = '', text = ''] = args;
  const id = parseId(text);
  if (id === undefined) {
    reply.error(INVALID_ID);
    return;
  }
  const options = parseSetId(args, id);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string' || entry === undefined) {
    reply.error(entry ?? NO_SUCH_KEY);
    return;
  }
  const error = refusal(entry.value, id, options);
  if (error !== undefined) {
    reply.error(error);
    return;
  }
  context.keyspace.change(key, entry, true);
  const stream = entry.value;
  stream.lastId = id;
  if (options.entriesAdded !== null) stream.entriesAdded = options.entriesAdded;
  if (options.maxDeletedId !== ZERO_ID) stream.maxDeletedId = options.maxDeletedId;
  context.notify('t', 'xsetid', key);
  reply.ok();
};

type StreamCommand = Omit<DataCommand, 'kind' | 'group'>;

const commands: readonly StreamCommand[] = [
  {
    name: 'xadd',
    arity: -5,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'stream', 'fast'],
    usage:
      '<key> [NOMKSTREAM] [(MAXLEN|MINID) [=|~] <threshold> [LIMIT <count>]] *|<id> <field> <value> [<field> <value> ...]',
    summary: 'Adds an entry to a stream, creating it',
    since: '5.0.0',
    complexity: 'O(1), and O(N) where N entries are trimmed',
    run: runXadd,
  },
  {
    name: 'xlen',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'stream', 'fast'],
    usage: '<key>',
    summary: 'The number of entries of a stream',
    since: '5.0.0',
    complexity: 'O(1)',
    run: runXlen,
  },
  {
    name: 'xrange',
    arity: -4,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'stream', 'slow'],
    usage: '<key> <start> <end> [COUNT <count>]',
    summary: 'The entries of a stream between two ids',
    since: '5.0.0',
    complexity: 'O(log N + M) where M is the number of entries returned',
    run: runRange(false),
  },
  {
    name: 'xrevrange',
    arity: -4,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'stream', 'slow'],
    usage: '<key> <end> <start> [COUNT <count>]',
    summary: 'The entries of a stream between two ids, the last one first',
    since: '5.0.0',
    complexity: 'O(log N + M) where M is the number of entries returned',
    run: runRange(true),
  },
  {
    name: 'xdel',
    arity: -3,
    write: true,
    flags: ['write', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'stream', 'fast'],
    usage: '<key> <id> [<id> ...]',
    summary: 'Removes entries from a stream',
    since: '5.0.0',
    complexity: 'O(log N) per entry',
    run: runXdel,
  },
  {
    name: 'xtrim',
    arity: -4,
    write: true,
    flags: ['write'],
    keys: ONE_KEY,
    categories: ['write', 'stream', 'slow'],
    usage: '<key> (MAXLEN|MINID) [=|~] <threshold> [LIMIT <count>]',
    summary: 'Removes the oldest entries of a stream, down to a length or an id',
    since: '5.0.0',
    complexity: 'O(N) where N is the number of entries removed',
    run: runXtrim,
  },
  {
    name: 'xsetid',
    arity: -3,
    write: true,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'stream', 'fast'],
    usage: '<key> <last-id> [ENTRIESADDED <entries-added>] [MAXDELETEDID <max-deleted-entry-id>]',
    summary: 'Sets the last id of a stream, which new entries must exceed',
    since: '5.0.0',
    complexity: 'O(1)',
    run: runXsetid,
  },
];

export const streamCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'stream',
  ...command,
}));
