/** XGROUP and XACK: groups of consumers, who is in them, and what they have done. What is pending: `stream-pending.ts`. */
import type { DataCommand } from '../command.ts';
import { changeAs, type Context, entryAs } from '../context.ts';
import { NOT_AN_INTEGER, wrongSubcommand } from '../errors.ts';
import { type Integer, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { type StreamGroup, UNKNOWN_READS } from '../types/stream-group.ts';
import { MAX_ID, parseId, type StreamId, ZERO_ID } from '../types/stream-id.ts';
import { Stream } from '../types/stream.ts';
import { ONE_KEY } from './positions.ts';
import { INVALID_ID, noSuchGroup, parseIds } from './stream-arguments.ts';

type Run = DataCommand['run'];

const KEY_NEEDED =
  'ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the ' +
  'MKSTREAM option to create an empty stream automatically.';

interface GroupOptions {
  readonly create: boolean;
  readonly entriesRead: Integer;
}

/** What follows the id of XGROUP CREATE and SETID, or the text of the error. */
function parseOptions(args: readonly string[]): GroupOptions | string {
  const creates = (args[1] ?? '').toLowerCase() === 'create';
  let create = false;
  let entriesRead: Integer = UNKNOWN_READS;
  for (let at = 5; at < args.length; at++) {
    const option = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (creates && option === 'mkstream') create = true;
    else if (option === 'entriesread' && argument !== undefined) {
      const given = parseInteger(argument);
      if (given === undefined) return NOT_AN_INTEGER;
      if (given < 0 && given !== UNKNOWN_READS) return 'ERR value for ENTRIESREAD must be positive or -1';
      entriesRead = given;
      at++;
    } else return wrongSubcommand(args);
  }
  return { create, entriesRead };
}

/** The stream of a subcommand that needs one; undefined after an error. */
function streamEntry(
  context: Context,
  args: readonly string[],
  reply: ReplyWriter,
): Entry<Stream> | undefined {
  const entry = entryAs(context, args[2] ?? '', Stream);
  if (typeof entry === 'object') return entry;
  reply.error(entry ?? KEY_NEEDED);
  return undefined;
}

/** The stream and the group of a subcommand that needs both; undefined after an error. */
function groupEntry(
  context: Context,
  args: readonly string[],
  reply: ReplyWriter,
): { readonly entry: Entry<Stream>; readonly group: StreamGroup } | undefined {
  const entry = streamEntry(context, args, reply);
  if (entry === undefined) return undefined;
  const [, , key = '', name = ''] = args;
  const group = entry.value.group(name);
  if (group !== undefined) return { entry, group };
  reply.error(noSuchGroup(name, key));
  return undefined;
}

/** The most arguments that XGROUP CREATE takes, one of each option. */
const CREATE_ARGUMENTS_MAX = 8;

const runCreate: Run = (context, args, reply) => {
  const [, , key = '', name = '', text = ''] = args;
  const options = parseOptions(args);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined && !options.create) {
    reply.error(KEY_NEEDED);
    return;
  }
  if (args.length > CREATE_ARGUMENTS_MAX) {
    reply.error(wrongSubcommand(args));
    return;
  }
  const id = text === '$' ? (entry?.value.lastId ?? ZERO_ID) : parseId(text);
  if (id === undefined) {
    reply.error(INVALID_ID);
    return;
  }
  if (entry?.value.group(name) !== undefined) {
    reply.error('BUSYGROUP Consumer Group name already exists');
    return;
  }
  if (entry !== undefined) context.keyspace.change(key, entry, true);
  const stream = entry?.value ?? changeAs(context, key, Stream);
  if (typeof stream === 'string') return;
  stream.createGroup(name, id, options.entriesRead);
  context.notify('t', 'xgroup-create', key);
  reply.ok();
};

/** As XGROUP SETID reads it: `-` and `+` are ids, too. */
function parsePosition(text: string, lastId: StreamId): StreamId | undefined {
  switch (text) {
    case '$':
      return lastId;
    case '-':
      return ZERO_ID;
    case '+':
      return MAX_ID;
    default:
      return parseId(text);
  }
}

const runSetId: Run = (context, args, reply) => {
  const [, , key = '', , text = ''] = args;
  const options = parseOptions(args);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const found = groupEntry(context, args, reply);
  if (found === undefined) return;
  if (args.length !== 5 && args.length !== 7) {
    reply.error(wrongSubcommand(args));
    return;
  }
  const { entry } = found;
  const id = parsePosition(text, entry.value.lastId);
  if (id === undefined) {
    reply.error(INVALID_ID);
    return;
  }
  context.keyspace.change(key, entry, true);
  const group = entry.value.ownGroup(found.group);
  group.lastId = id;
  group.entriesRead = options.entriesRead;
  context.notify('t', 'xgroup-setid', key);
  reply.ok();
};

const runDestroy: Run = (context, args, reply) => {
  const [, , key = '', name = ''] = args;
  const entry = streamEntry(context, args, reply);
  if (entry === undefined) return;
  const group = entry.value.group(name);
  if (group === undefined) {
    reply.integer(0);
    return;
  }
  // Not silently: who waits for the group waits in vain.
  context.keyspace.change(key, entry);
  entry.value.removeGroup(group);
  context.notify('t', 'xgroup-destroy', key);
  reply.integer(1);
};

const runCreateConsumer: Run = (context, args, reply) => {
  const [, , key = '', , consumer = ''] = args;
  const found = groupEntry(context, args, reply);
  if (found === undefined) return;
  const { entry, group } = found;
  if (group.consumer(consumer) !== undefined) {
    reply.integer(0);
    return;
  }
  context.keyspace.change(key, entry, true);
  seeConsumer(context, key, entry.value.ownGroup(group), consumer);
  reply.integer(1);
};

const runDeleteConsumer: Run = (context, args, reply) => {
  const [, , key = '', , consumer = ''] = args;
  const found = groupEntry(context, args, reply);
  if (found === undefined) return;
  const { entry, group } = found;
  if (group.consumer(consumer) === undefined) {
    reply.integer(0);
    return;
  }
  context.keyspace.change(key, entry, true);
  const pending = entry.value.ownGroup(group).removeConsumer(consumer) ?? 0;
  context.notify('t', 'xgroup-delconsumer', key);
  reply.integer(pending);
};

/** A consumer of a group that may be changed asks for something; it is created where there is none. */
export function seeConsumer(context: Context, key: string, group: StreamGroup, consumer: string): void {
  if (group.see(consumer, context.now)) context.notify('t', 'xgroup-createconsumer', key);
}

const runXack: Run = (context, args, reply) => {
  const [, key = '', name = ''] = args;
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const group = entry?.value.group(name);
  if (entry === undefined || group === undefined) {
    reply.integer(0);
    return;
  }
  const ids = parseIds(args.slice(3));
  if (ids === undefined) {
    reply.error(INVALID_ID);
    return;
  }
  const known = ids.filter((id) => group.pendingOf(id) !== undefined);
  if (known.length === 0) {
    reply.integer(0);
    return;
  }
  context.keyspace.change(key, entry, true);
  const own = entry.value.ownGroup(group);
  // An id may come twice.
  reply.integer(known.reduce((count, id) => count + (own.acknowledge(id) ? 1 : 0), 0));
};

const shared = {
  kind: 'data',
  group: 'stream',
  write: true,
  keys: { first: 2, last: 2, step: 1 },
  since: '5.0.0',
} as const;

export const streamGroupCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'xack',
    arity: -4,
    flags: ['write', 'fast'],
    keys: ONE_KEY,
    categories: ['write', 'stream', 'fast'],
    usage: '<key> <group> <id> [<id> ...]',
    summary: 'Takes entries from what is pending for a group of consumers',
    complexity: 'O(log N) per id',
    run: runXack,
  },
];

/** Subcommands. */
export const streamGroupSubcommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'xgroup|create',
    usage: '<key> <groupname> <id>|$ [MKSTREAM] [ENTRIESREAD <entries-read>]',
    arity: -5,
    flags: ['write', 'denyoom'],
    categories: ['write', 'stream', 'slow'],
    summary: 'Creates a group, which will be given what comes after that id; and the stream.',
    complexity: 'O(log N)',
    run: runCreate,
  },
  {
    ...shared,
    name: 'xgroup|createconsumer',
    usage: '<key> <groupname> <consumername>',
    arity: 5,
    flags: ['write', 'denyoom'],
    categories: ['write', 'stream', 'slow'],
    summary: 'Creates a consumer of a group.',
    since: '6.2.0',
    complexity: 'O(log N)',
    run: runCreateConsumer,
  },
  {
    ...shared,
    name: 'xgroup|delconsumer',
    usage: '<key> <groupname> <consumername>',
    arity: 5,
    flags: ['write'],
    categories: ['write', 'stream', 'slow'],
    summary: 'Removes a consumer and forgets what is pending for it.',
    complexity: 'O(M log N) where M entries are pending for it',
    run: runDeleteConsumer,
  },
  {
    ...shared,
    name: 'xgroup|destroy',
    usage: '<key> <groupname>',
    arity: 4,
    flags: ['write'],
    categories: ['write', 'stream', 'slow'],
    summary: 'Removes a group with all it knows.',
    complexity: 'O(N) in its consumers',
    run: runDestroy,
  },
  {
    ...shared,
    name: 'xgroup|setid',
    usage: '<key> <groupname> <id>|$ [ENTRIESREAD <entries-read>]',
    arity: -5,
    flags: ['write'],
    categories: ['write', 'stream', 'slow'],
    summary: 'Makes the group go on after another id.',
    complexity: 'O(log N)',
    run: runSetId,
  },
];
