/**
 * XREAD and XREADGROUP: what is new in several streams at once, and waiting for it.
 *
 * Where nothing is new and BLOCK was given, the client waits, and the command is run again when one of the keys changes. It
 * is not the same command any more: `$` has become the id that it meant, and the timeout has a `+` behind it, by which the
 * handler knows that a client has been waiting. To such a client a missing key or group is told in other words, and a
 * key of another type says nothing.
 */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs, readAs } from '../context.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { addWrapping, clampInteger, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { pendingProbe, type StreamGroup } from '../types/stream-group.ts';
import { formatId, MAX_ID, nextId, parseId, type StreamId, ZERO_ID } from '../types/stream-id.ts';
import { noteRead } from '../types/stream-lag.ts';
import type { StreamEntry } from '../types/stream-node.ts';
import { Stream } from '../types/stream.ts';
import { NO_KEYS } from './positions.ts';
import { INVALID_ID, noKeyOrGroup } from './stream-arguments.ts';
import { seeConsumer } from './stream-groups.ts';
import { replyEntries, replyEntry, replyId } from './stream-replies.ts';

type Run = DataCommand['run'];

/** What a client that had to wait gets at most where it set no COUNT. */
const WAITING_COUNT_DEFAULT = 1000;
const TIMEOUT_MAX = 2n ** 63n - 1n;

const GROUP_NEEDS_XREADGROUP =
  'ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.';
const NOACK_NEEDS_XREADGROUP =
  'ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.';
const UNBALANCED =
  "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
const NO_DOLLAR =
  'ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this ' +
  'consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return ' +
  'an empty result set.';
const NEEDS_XREADGROUP =
  'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.';
const KEY_GONE = 'UNBLOCKED the stream key no longer exists';
const GROUP_GONE = 'NOGROUP the consumer group this client was blocked on no longer exists';

function noGroup(key: string, group: string): string {
  return `${noKeyOrGroup(key, group)} in XREADGROUP with GROUP option`;
}

interface ReadOptions {
  /** null: no waiting. */
  readonly timeoutMs: number | null;
  /** The client has been waiting. */
  readonly again: boolean;
  /** 0: all. */
  readonly count: number;
  readonly group: { readonly name: string; readonly consumer: string } | null;
  readonly noAck: boolean;
  readonly keys: readonly string[];
  readonly ids: readonly string[];
}

/** BLOCK's milliseconds, or the text of the error. */
function parseTimeout(text: string, now: number): number | string {
  const timeout = parseInteger(text);
  if (timeout === undefined) return 'ERR timeout is not an integer or out of range';
  if (timeout < 0) return 'ERR timeout is negative';
  if (BigInt(timeout) > TIMEOUT_MAX - BigInt(now)) return 'ERR timeout is out of range';
  return clampInteger(timeout);
}

/** Everything but the ids' meaning, or the text of the error. */
function parseRead(args: readonly string[], grouped: boolean, now: number): ReadOptions | string {
  let timeoutMs: number | null = null;
  let again = false;
  let count = 0;
  let group: ReadOptions['group'] = null;
  let noAck = false;
  for (let at = 1; at < args.length; at++) {
    const more = args.length - 1 - at;
    const option = (args[at] ?? '').toLowerCase();
    if (option === 'block' && more > 0) {
      at++;
      const text = args[at] ?? '';
      again = text.endsWith('+');
      const timeout = parseTimeout(again ? text.slice(0, -1) : text, now);
      if (typeof timeout === 'string') return timeout;
      timeoutMs = timeout;
    } else if (option === 'count' && more > 0) {
      at++;
      const given = parseInteger(args[at] ?? '');
      if (given === undefined) return NOT_AN_INTEGER;
      count = Math.max(0, clampInteger(given));
    } else if (option === 'streams' && more > 0) {
      if (more % 2 !== 0) return UNBALANCED;
      if (grouped && group === null) return 'ERR Missing GROUP option for XREADGROUP';
      const [keys, ids] = [args.slice(at + 1, at + 1 + more / 2), args.slice(at + 1 + more / 2)];
      return { timeoutMs, again, count, group, noAck, keys, ids };
    } else if (option === 'group' && more > 1) {
      if (!grouped) return GROUP_NEEDS_XREADGROUP;
      group = { name: args[at + 1] ?? '', consumer: args[at + 2] ?? '' };
      at += 2;
    } else if (option === 'noack') {
      if (!grouped) return NOACK_NEEDS_XREADGROUP;
      noAck = true;
    } else return SYNTAX_ERROR;
  }
  return SYNTAX_ERROR;
}

/** Has the client wait, or tells it that there is nothing. `ids`: what the ones it gave mean now. */
function waitOrNothing(
  context: Context,
  args: readonly string[],
  { timeoutMs, again, count, keys }: ReadOptions,
  ids: readonly string[],
  reply: ReplyWriter,
): void {
  if (timeoutMs !== null) {
    const retry: string[] = again ? [...args] : [args[0] ?? ''];
    if (!again) {
      const streams = args.length - 2 * keys.length - 1;
      // The last COUNT counts, as the last BLOCK does.
      const given = count === 0 ? ['COUNT', String(WAITING_COUNT_DEFAULT)] : [];
      retry.push(...args.slice(1, streams), 'BLOCK', `${timeoutMs}+`, ...given, 'STREAMS', ...keys, ...ids);
    }
    if (context.wait({ keys, timeoutMs, retry })) return;
  }
  reply.nullArray();
}

// --- XREAD -------------------------------------------------------------------------------------------------------

/** The stream under a key and the id behind which its news begin; or the text of the error. */
function newsOf(
  context: Context,
  key: string,
  text: string,
  again: boolean,
): { readonly stream: Stream | undefined; readonly after: StreamId } | string {
  const found = readAs(context, key, Stream);
  if (typeof found === 'string' && !again) return found;
  const stream = typeof found === 'string' ? undefined : found;
  if (text === '$') return { stream, after: stream?.lastId ?? ZERO_ID };
  if (text === '>') return NEEDS_XREADGROUP;
  const after = parseId(text);
  return after === undefined ? INVALID_ID : { stream, after };
}

/** Up to `count` entries behind an id; 0 for all. */
function entriesAfter(stream: Stream, after: StreamId, count: number): StreamEntry[] {
  const entries: StreamEntry[] = [];
  const from = nextId(after);
  if (from !== undefined) stream.visit(from, MAX_ID, (entry) => entries.push(entry) !== count);
  return entries;
}

const runXread: Run = (context, args, reply) => {
  const options = parseRead(args, false, context.now);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const { keys, ids, count, again } = options;
  const news: { readonly key: string; readonly entries: readonly StreamEntry[] }[] = [];
  const meanings: string[] = [];
  const found: { readonly key: string; readonly stream: Stream; readonly after: StreamId }[] = [];
  for (let at = 0; at < keys.length; at++) {
    const [key = '', text = ''] = [keys[at], ids[at]];
    const of = newsOf(context, key, text, again);
    if (typeof of === 'string') {
      reply.error(of);
      return;
    }
    meanings.push(formatId(of.after));
    if (of.stream !== undefined) found.push({ key, stream: of.stream, after: of.after });
  }
  for (const { key, stream, after } of found) {
    const entries = entriesAfter(stream, after, count);
    if (entries.length > 0) news.push({ key, entries });
  }
  if (news.length === 0) {
    waitOrNothing(context, args, options, meanings, reply);
    return;
  }
  reply.names(news.length);
  for (const { key, entries } of news) {
    reply.named();
    reply.bulk(key);
    replyEntries(reply, entries);
  }
};

// --- XREADGROUP --------------------------------------------------------------------------------------------------

/** One of XREADGROUP's streams. */
interface Wanted {
  readonly key: string;
  readonly entry: Entry<Stream>;
  readonly group: StreamGroup;
  /** null: what is new to the group; otherwise what is pending for the consumer behind that id. */
  readonly after: StreamId | null;
}

/** A stream, its group and what is wanted of it; or the text of the error. */
function wantedOf(
  context: Context,
  key: string,
  text: string,
  name: string,
  again: boolean,
): Wanted | string {
  const entry = entryAs(context, key, Stream);
  if (entry === undefined || typeof entry === 'string') {
    if (again) return KEY_GONE;
    return entry ?? noGroup(key, name);
  }
  const group = entry.value.group(name);
  if (group === undefined) return again ? GROUP_GONE : noGroup(key, name);
  if (text === '$') return NO_DOLLAR;
  if (text === '>') return { key, entry, group, after: null };
  const after = parseId(text);
  if (after === undefined) return INVALID_ID;
  return { key, entry, group, after: after === MAX_ID ? null : after };
}

/** Gives the consumer what is new to the group. */
function deliver(
  context: Context,
  stream: Stream,
  group: StreamGroup,
  consumer: string | null,
  entries: readonly StreamEntry[],
  reply: ReplyWriter,
): void {
  for (const { id } of entries) {
    noteRead(stream, group, id);
    group.lastId = id;
    if (consumer !== null) group.assign({ id, consumer, deliveredAt: context.now, deliveries: 1 });
  }
  replyEntries(reply, entries);
}

/** Gives the consumer once more what is pending for it. */
function deliverAgain(
  context: Context,
  stream: Stream,
  group: StreamGroup,
  consumer: string,
  after: StreamId,
  count: number,
  reply: ReplyWriter,
): void {
  const mine = group.consumer(consumer)?.pending;
  const from = mine?.rank(pendingProbe(nextId(after) ?? MAX_ID)) ?? 0;
  const again = mine?.slice(from, count === 0 ? mine.size : Math.min(mine.size, from + count)) ?? [];
  reply.array(again.length);
  for (const pending of again) {
    const entry = stream.get(pending.id);
    if (entry === undefined) {
      // Its entry is gone.
      reply.array(2);
      replyId(reply, pending.id);
      reply.nullArray();
      continue;
    }
    group.assign({
      ...pending,
      deliveredAt: context.now,
      deliveries: addWrapping(pending.deliveries, 1),
    });
    replyEntry(reply, entry);
  }
}

const runXreadgroup: Run = (context, args, reply) => {
  const options = parseRead(args, true, context.now);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const { keys, ids, count, again, noAck } = options;
  const { name, consumer } = options.group ?? { name: '', consumer: '' };
  const served: (Wanted & { readonly entries: readonly StreamEntry[] })[] = [];
  // A key may be named twice: its group has by then read what the first one is given.
  const reached = new Map<string, StreamId>();
  for (let at = 0; at < keys.length; at++) {
    const wanted = wantedOf(context, keys[at] ?? '', ids[at] ?? '', name, again);
    if (typeof wanted === 'string') {
      reply.error(wanted);
      return;
    }
    const { key, entry, group, after } = wanted;
    const entries = after === null ? entriesAfter(entry.value, reached.get(key) ?? group.lastId, count) : [];
    const last = entries.at(-1);
    if (last !== undefined) reached.set(key, last.id);
    if (after !== null || last !== undefined) served.push({ ...wanted, entries });
  }
  if (served.length === 0) {
    waitOrNothing(context, args, options, ids, reply);
    return;
  }
  reply.names(served.length);
  for (const { key, entry, after, entries } of served) {
    const stream = entry.value;
    const found = stream.group(name);
    if (found === undefined) continue;
    context.keyspace.change(key, entry, true);
    const group = stream.ownGroup(found);
    seeConsumer(context, key, group, consumer);
    reply.named();
    reply.bulk(key);
    if (after === null) {
      deliver(context, stream, group, noAck ? null : consumer, entries, reply);
      // Another one may wait for what this one has left.
      if (group.lastId < (stream.last()?.id ?? ZERO_ID)) context.keyspace.listener?.changed(key);
    } else deliverAgain(context, stream, group, consumer, after, count, reply);
  }
};

const shared = {
  kind: 'data',
  group: 'stream',
  keys: NO_KEYS,
  since: '5.0.0',
  complexity: 'O(log N + M) per stream, where M is the number of entries returned',
} as const;

export const streamReadCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'xread',
    arity: -4,
    write: false,
    flags: ['readonly', 'blocking', 'movablekeys'],
    categories: ['read', 'stream', 'slow', 'blocking'],
    usage: '[COUNT <count>] [BLOCK <milliseconds>] STREAMS <key> [<key> ...] <id> [<id> ...]',
    summary: 'Entries of several streams behind an id each, or waits for some',
    run: runXread,
  },
  {
    ...shared,
    name: 'xreadgroup',
    arity: -7,
    write: true,
    flags: ['write', 'blocking', 'movablekeys'],
    categories: ['write', 'stream', 'slow', 'blocking'],
    usage:
      'GROUP <group> <consumer> [COUNT <count>] [BLOCK <milliseconds>] [NOACK] STREAMS <key> [<key> ...] <id> [<id> ...]',
    summary: 'What is new to a group of consumers in several streams, or pending for one of them',
    run: runXreadgroup,
  },
];
