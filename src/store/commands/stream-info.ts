/** XINFO: what there is to know about a stream, its groups and their consumers. */
import type { DataCommand } from '../command.ts';
import { type Context, readAs } from '../context.ts';
import { NO_SUCH_KEY, NOT_AN_INTEGER, wrongSubcommand } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { radixNodes } from '../types/radix-tree.ts';
import {
  type Consumer,
  type ReadonlyPending,
  type StreamGroup,
  UNKNOWN_READS,
} from '../types/stream-group.ts';
import { MAX_ID, type StreamId, ZERO_ID } from '../types/stream-id.ts';
import { lagOf } from '../types/stream-lag.ts';
import type { StreamEntry } from '../types/stream-node.ts';
import { Stream } from '../types/stream.ts';
import { noSuchGroup } from './stream-arguments.ts';
import { replyEntries, replyEntry, replyId } from './stream-replies.ts';

type Run = DataCommand['run'];

/** The stream that is asked about; undefined after an error. */
function streamOf(context: Context, args: readonly string[], reply: ReplyWriter): Stream | undefined {
  const stream = readAs(context, args[2] ?? '', Stream);
  if (typeof stream === 'object') return stream;
  reply.error(stream ?? NO_SUCH_KEY);
  return undefined;
}

function replyLag(reply: ReplyWriter, stream: Stream, group: StreamGroup): void {
  reply.bulk('entries-read');
  if (group.entriesRead === UNKNOWN_READS) reply.bulk(null);
  else reply.integer(group.entriesRead);
  reply.bulk('lag');
  const lag = lagOf(stream, group);
  if (lag === null) reply.bulk(null);
  else reply.integer(lag);
}

// --- STREAM ------------------------------------------------------------------------------------------------------

const FULL_COUNT_DEFAULT = 10;

/** How many entries XINFO STREAM FULL shows of each list, 0 for all; null where FULL is not wanted; or the error's text. */
function parseFull(args: readonly string[]): number | null | string {
  const [, , , full, option, text] = args;
  if (full === undefined) return null;
  if (full.toLowerCase() !== 'full' || (args.length !== 4 && args.length !== 6)) return wrongSubcommand(args);
  if (text === undefined) return FULL_COUNT_DEFAULT;
  if (option?.toLowerCase() !== 'count') return wrongSubcommand(args);
  const count = parseInteger(text);
  if (count === undefined) return NOT_AN_INTEGER;
  return count < 0 ? FULL_COUNT_DEFAULT : clampInteger(count);
}

function replyEdge(reply: ReplyWriter, name: string, entry: StreamEntry | undefined): void {
  reply.bulk(name);
  if (entry === undefined) reply.bulk(null);
  else replyEntry(reply, entry);
}

function replyIdOf(reply: ReplyWriter, name: string, id: StreamId): void {
  reply.bulk(name);
  replyId(reply, id);
}

const runStream: Run = (context, args, reply) => {
  const stream = streamOf(context, args, reply);
  if (stream === undefined) return;
  const count = parseFull(args);
  if (typeof count === 'string') {
    reply.error(count);
    return;
  }
  const firsts: StreamId[] = [];
  stream.nodes.visit(0, stream.nodes.size, ({ first }) => void firsts.push(first));
  reply.map(count === null ? 10 : 9);
  reply.bulk('length');
  reply.integer(stream.size);
  reply.bulk('radix-tree-keys');
  reply.integer(firsts.length);
  reply.bulk('radix-tree-nodes');
  reply.integer(radixNodes(firsts));
  replyIdOf(reply, 'last-generated-id', stream.lastId);
  replyIdOf(reply, 'max-deleted-entry-id', stream.maxDeletedId);
  reply.bulk('entries-added');
  reply.integer(stream.entriesAdded);
  replyIdOf(reply, 'recorded-first-entry-id', stream.firstId);
  if (count !== null) {
    replyFull(stream, count, reply);
    return;
  }
  reply.bulk('groups');
  reply.integer(stream.groups.size);
  replyEdge(reply, 'first-entry', stream.first());
  replyEdge(reply, 'last-entry', stream.last());
};

function replyFull(stream: Stream, count: number, reply: ReplyWriter): void {
  const entries: StreamEntry[] = [];
  stream.visit(ZERO_ID, MAX_ID, (entry) => entries.push(entry) !== count);
  reply.bulk('entries');
  replyEntries(reply, entries);
  reply.bulk('groups');
  reply.array(stream.groups.size);
  stream.groups.visit(0, stream.groups.size, (group) => replyFullGroup(stream, group, count, reply));
}

function replyFullGroup(stream: Stream, group: StreamGroup, count: number, reply: ReplyWriter): void {
  const { name, consumers, pending } = group;
  reply.map(7);
  reply.bulk('name');
  reply.bulk(name);
  replyIdOf(reply, 'last-delivered-id', group.lastId);
  replyLag(reply, stream, group);
  reply.bulk('pel-count');
  reply.integer(pending.size);
  replyFullPending(reply, pending, count, true);
  reply.bulk('consumers');
  reply.array(consumers.size);
  consumers.visit(0, consumers.size, (consumer) => {
    reply.map(4);
    reply.bulk('name');
    reply.bulk(consumer.name);
    reply.bulk('seen-time');
    reply.integer(consumer.seenAt);
    reply.bulk('pel-count');
    reply.integer(consumer.pending.size);
    replyFullPending(reply, consumer.pending, count, false);
  });
}

function replyFullPending(reply: ReplyWriter, pending: ReadonlyPending, count: number, ofAll: boolean): void {
  const shown = count === 0 ? pending.size : Math.min(count, pending.size);
  reply.bulk('pending');
  reply.array(shown);
  pending.visit(0, shown, ({ id, consumer, deliveredAt, deliveries }) => {
    reply.array(ofAll ? 4 : 3);
    replyId(reply, id);
    if (ofAll) reply.bulk(consumer);
    reply.integer(deliveredAt);
    reply.integer(deliveries);
  });
}

// --- GROUPS and CONSUMERS ----------------------------------------------------------------------------------------

const runGroups: Run = (context, args, reply) => {
  const stream = streamOf(context, args, reply);
  if (stream === undefined) return;
  const { groups } = stream;
  reply.array(groups.size);
  groups.visit(0, groups.size, (group) => {
    reply.map(6);
    reply.bulk('name');
    reply.bulk(group.name);
    reply.bulk('consumers');
    reply.integer(group.consumers.size);
    reply.bulk('pending');
    reply.integer(group.pending.size);
    replyIdOf(reply, 'last-delivered-id', group.lastId);
    replyLag(reply, stream, group);
  });
};

const runConsumers: Run = (context, args, reply) => {
  const stream = streamOf(context, args, reply);
  if (stream === undefined) return;
  const [, , key = '', name = ''] = args;
  const consumers = stream.group(name)?.consumers;
  if (consumers === undefined) {
    reply.error(noSuchGroup(name, key));
    return;
  }
  reply.array(consumers.size);
  consumers.visit(0, consumers.size, ({ name: consumer, pending, seenAt }: Consumer) => {
    reply.map(3);
    reply.bulk('name');
    reply.bulk(consumer);
    reply.bulk('pending');
    reply.integer(pending.size);
    reply.bulk('idle');
    reply.integer(Math.max(0, context.now - seenAt));
  });
};

const shared = {
  kind: 'data',
  group: 'stream',
  write: false,
  flags: ['readonly'],
  keys: { first: 2, last: 2, step: 1 },
  categories: ['read', 'stream', 'slow'],
  since: '5.0.0',
} as const;

/** Subcommands. */
export const streamInfoSubcommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'xinfo|stream',
    usage: '<key> [FULL [COUNT <count>]]',
    arity: -3,
    summary: 'What there is to know about a stream.',
    complexity: 'O(N) in the pieces of up to 100 entries that it consists of',
    run: runStream,
  },
  {
    ...shared,
    name: 'xinfo|groups',
    usage: '<key>',
    arity: 3,
    summary: 'The groups of a stream.',
    complexity: 'O(N) in the groups',
    run: runGroups,
  },
  {
    ...shared,
    name: 'xinfo|consumers',
    usage: '<key> <groupname>',
    arity: 4,
    summary: 'The consumers of a group.',
    complexity: 'O(N) in the consumers',
    run: runConsumers,
  },
];
