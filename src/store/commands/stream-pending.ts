/** XPENDING, XCLAIM and XAUTOCLAIM: what was delivered and not acknowledged, and giving it to another consumer. */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs, readAs } from '../context.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { addWrapping, clampInteger, type Integer, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { type Pending, pendingProbe, type StreamGroup } from '../types/stream-group.ts';
import { parseId, type StreamId, ZERO_ID } from '../types/stream-id.ts';
import type { StreamEntry } from '../types/stream-node.ts';
import { Stream } from '../types/stream.ts';
import { ONE_KEY } from './positions.ts';
import {
  type Failure,
  INVALID_ID,
  noKeyOrGroup,
  parseRange,
  parseStart,
  quoted,
  type Range,
} from './stream-arguments.ts';
import { seeConsumer } from './stream-groups.ts';
import { replyEntries, replyId, replyIds } from './stream-replies.ts';

type Run = DataCommand['run'];

// --- XPENDING ----------------------------------------------------------------------------------------------------

interface PendingQuery {
  readonly range: Range;
  readonly count: number;
  readonly idleMin: number;
  readonly consumer: string | undefined;
}

/** XPENDING's longer form. */
function parseQuery(args: readonly string[]): PendingQuery | Failure {
  let at = 3;
  let idleMin = 0;
  if ((args[3] ?? '').toLowerCase() === 'idle') {
    const given = parseInteger(args[4] ?? '');
    if (given === undefined) return { error: NOT_AN_INTEGER };
    if (args.length < 8) return { error: SYNTAX_ERROR };
    idleMin = clampInteger(given);
    at = 5;
  }
  const count = parseInteger(args[at + 2] ?? '');
  if (count === undefined) return { error: NOT_AN_INTEGER };
  const range = parseRange(args[at] ?? '', args[at + 1] ?? '');
  if ('error' in range) return range;
  return { range, count: Math.max(0, clampInteger(count)), idleMin, consumer: args[at + 3] };
}

function replySummary(group: StreamGroup, reply: ReplyWriter): void {
  const { pending, consumers } = group;
  const [first, last] = [pending.at(0), pending.at(pending.size - 1)];
  reply.array(4);
  reply.integer(pending.size);
  if (first === undefined || last === undefined) {
    reply.bulk(null);
    reply.bulk(null);
    reply.nullArray();
    return;
  }
  replyId(reply, first.id);
  replyId(reply, last.id);
  const busy: { readonly name: string; readonly count: number }[] = [];
  consumers.visit(0, consumers.size, ({ name, pending: { size } }) => {
    if (size > 0) busy.push({ name, count: size });
  });
  reply.array(busy.length);
  for (const { name, count } of busy) {
    reply.array(2);
    reply.bulk(name);
    reply.bulk(String(count));
  }
}

function replyPending(group: StreamGroup, query: PendingQuery, now: number, reply: ReplyWriter): void {
  const { range, count, idleMin, consumer } = query;
  const pending = consumer === undefined ? group.pending : group.consumer(consumer)?.pending;
  const found: Pending[] = [];
  if (pending !== undefined && count > 0)
    pending.visit(pending.rank(pendingProbe(range.from)), pending.size, (one) => {
      if (one.id > range.to) return false;
      if (idleMin === 0 || now - one.deliveredAt >= idleMin) found.push(one);
      return found.length < count;
    });
  reply.array(found.length);
  for (const one of found) {
    reply.array(4);
    replyId(reply, one.id);
    reply.bulk(one.consumer);
    reply.integer(Math.max(0, now - one.deliveredAt));
    reply.integer(one.deliveries);
  }
}

const runXpending: Run = (context, args, reply) => {
  const [, key = '', name = ''] = args;
  if (args.length !== 3 && (args.length < 6 || args.length > 9)) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const query = args.length === 3 ? null : parseQuery(args);
  if (query !== null && 'error' in query) {
    reply.error(query.error);
    return;
  }
  const stream = readAs(context, key, Stream);
  if (typeof stream === 'string') {
    reply.error(stream);
    return;
  }
  const group = stream?.group(name);
  if (group === undefined) reply.error(noKeyOrGroup(key, name));
  else if (query === null) replySummary(group, reply);
  else replyPending(group, query, context.now, reply);
};

// --- Claiming ----------------------------------------------------------------------------------------------------

/** What is done to a stream's group, copied and announced only when something is done to it indeed. */
class Claim {
  readonly stream: Stream;
  readonly #context: Context;
  readonly #key: string;
  readonly #entry: Entry<Stream>;
  readonly #consumer: string;
  #group: StreamGroup;
  #changes = false;
  #seen = false;

  constructor(context: Context, key: string, entry: Entry<Stream>, group: StreamGroup, consumer: string) {
    this.stream = entry.value;
    this.#context = context;
    this.#key = key;
    this.#entry = entry;
    this.#group = group;
    this.#consumer = consumer;
  }

  get group(): StreamGroup {
    return this.#group;
  }

  /** The group, ready to be changed. */
  change(): StreamGroup {
    if (!this.#changes) {
      this.#context.keyspace.change(this.#key, this.#entry, true);
      this.#group = this.stream.ownGroup(this.#group);
      this.#changes = true;
    }
    return this.#group;
  }

  /** Gives the consumer an entry; it is created with its first one. */
  give(id: StreamId, deliveredAt: number, deliveries: Integer): void {
    const group = this.change();
    if (!this.#seen) seeConsumer(this.#context, this.#key, group, this.#consumer);
    this.#seen = true;
    group.assign({ id, consumer: this.#consumer, deliveredAt, deliveries });
  }
}

/** The claim that XCLAIM or XAUTOCLAIM begins; undefined after an error. */
function beginClaim(context: Context, args: readonly string[], reply: ReplyWriter): Claim | undefined {
  const [, key = '', name = '', consumer = ''] = args;
  const entry = entryAs(context, key, Stream);
  if (typeof entry === 'string') {
    reply.error(entry);
    return undefined;
  }
  const group = entry?.value.group(name);
  if (entry !== undefined && group !== undefined) return new Claim(context, key, entry, group, consumer);
  reply.error(noKeyOrGroup(key, name));
  return undefined;
}

function replyClaimed(reply: ReplyWriter, claimed: readonly StreamEntry[], justId: boolean): void {
  if (justId)
    replyIds(
      reply,
      claimed.map(({ id }) => id),
    );
  else replyEntries(reply, claimed);
}

interface ClaimOptions {
  readonly idleMin: number;
  readonly ids: readonly StreamId[];
  readonly deliveredAt: number;
  /** null: one more than before. */
  readonly deliveries: Integer | null;
  readonly force: boolean;
  readonly justId: boolean;
  readonly lastId: StreamId;
}

/** XCLAIM's arguments behind the consumer, or the text of the error. */
function parseClaim(args: readonly string[], now: number): ClaimOptions | string {
  const idleMin = parseInteger(args[4] ?? '');
  if (idleMin === undefined) return 'ERR Invalid min-idle-time argument for XCLAIM';
  const ids: StreamId[] = [];
  let at = 5;
  for (; at < args.length; at++) {
    const id = parseId(args[at] ?? '');
    if (id === undefined) break;
    ids.push(id);
  }
  let deliveredAt = now;
  let deliveries: Integer | null = null;
  let [force, justId] = [false, false];
  let lastId = ZERO_ID;
  for (; at < args.length; at++) {
    const word = args[at] ?? '';
    const option = word.toLowerCase();
    const argument = args[at + 1];
    if (option === 'force') force = true;
    else if (option === 'justid') justId = true;
    else if ((option === 'idle' || option === 'time') && argument !== undefined) {
      const given = parseInteger(argument);
      if (given === undefined) return `ERR Invalid ${option.toUpperCase()} option argument for XCLAIM`;
      deliveredAt = option === 'time' ? clampInteger(given) : now - clampInteger(given);
      at++;
    } else if (option === 'retrycount' && argument !== undefined) {
      const given = parseInteger(argument);
      if (given === undefined) return 'ERR Invalid RETRYCOUNT option argument for XCLAIM';
      deliveries = given < 0 ? null : given;
      at++;
    } else if (option === 'lastid' && argument !== undefined) {
      const given = parseId(argument);
      if (given === undefined) return INVALID_ID;
      lastId = given;
      at++;
    } else return `ERR Unrecognized XCLAIM option '${quoted(word)}'`;
  }
  // What never was or is still to come: clients' clocks may be wrong.
  if (deliveredAt < 0 || deliveredAt > now) deliveredAt = now;
  return {
    idleMin: Math.max(0, clampInteger(idleMin)),
    ids,
    deliveredAt,
    deliveries,
    force,
    justId,
    lastId,
  };
}

const runXclaim: Run = (context, args, reply) => {
  const { now } = context;
  const claim = beginClaim(context, args, reply);
  if (claim === undefined) return;
  const options = parseClaim(args, now);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const { idleMin, deliveredAt, deliveries, force, justId, lastId } = options;
  if (lastId > claim.group.lastId) claim.change().lastId = lastId;
  const claimed: StreamEntry[] = [];
  for (const id of options.ids) {
    const pending = claim.group.pendingOf(id);
    const entry = claim.stream.get(id);
    if (entry === undefined) {
      // Nobody can have it any more.
      if (pending !== undefined) claim.change().acknowledge(id);
      continue;
    }
    if (pending === undefined ? !force : idleMin > 0 && now - pending.deliveredAt < idleMin) continue;
    const before = pending?.deliveries ?? 1;
    claim.give(id, deliveredAt, deliveries ?? (justId ? before : addWrapping(before, 1)));
    claimed.push(entry);
  }
  replyClaimed(reply, claimed, justId);
};

/** XAUTOCLAIM looks at so many pending entries for each that it may give. */
const ATTEMPTS_PER_ENTRY = 10;
const AUTOCLAIM_COUNT_DEFAULT = 100;
/** That many ids of 16 bytes Redis could list. */
const AUTOCLAIM_COUNT_MAX = 2n ** 59n - 1n;

interface AutoClaimOptions {
  readonly idleMin: number;
  readonly start: StreamId;
  readonly count: number;
  readonly justId: boolean;
}

function parseAutoClaim(args: readonly string[]): AutoClaimOptions | Failure {
  const idleMin = parseInteger(args[4] ?? '');
  if (idleMin === undefined) return { error: 'ERR Invalid min-idle-time argument for XAUTOCLAIM' };
  const start = parseStart(args[5] ?? '');
  if (typeof start !== 'string') return start;
  let count = AUTOCLAIM_COUNT_DEFAULT;
  let justId = false;
  for (let at = 6; at < args.length; at++) {
    const option = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (option === 'count' && argument !== undefined) {
      const given = parseInteger(argument);
      if (given === undefined || given < 1 || given > AUTOCLAIM_COUNT_MAX)
        return { error: 'ERR COUNT must be > 0' };
      count = clampInteger(given);
      at++;
    } else if (option === 'justid') justId = true;
    else return { error: SYNTAX_ERROR };
  }
  return { idleMin: Math.max(0, clampInteger(idleMin)), start, count, justId };
}

const runXautoclaim: Run = (context, args, reply) => {
  const { now } = context;
  const options = parseAutoClaim(args);
  if ('error' in options) {
    reply.error(options.error);
    return;
  }
  const claim = beginClaim(context, args, reply);
  if (claim === undefined) return;
  const { idleMin, count, justId } = options;
  const claimed: StreamEntry[] = [];
  const gone: StreamId[] = [];
  let place = claim.group.pending.rank(pendingProbe(options.start));
  for (let left = count * ATTEMPTS_PER_ENTRY; left > 0 && claimed.length + gone.length < count; left--) {
    const pending = claim.group.pending.at(place);
    if (pending === undefined) break;
    const { id, deliveries } = pending;
    const entry = claim.stream.get(id);
    if (entry === undefined) {
      claim.change().acknowledge(id);
      gone.push(id);
      continue;
    }
    place++;
    if (idleMin > 0 && now - pending.deliveredAt < idleMin) continue;
    claim.give(id, now, justId ? deliveries : addWrapping(deliveries, 1));
    claimed.push(entry);
  }
  reply.array(3);
  replyId(reply, claim.group.pending.at(place)?.id ?? ZERO_ID);
  replyClaimed(reply, claimed, justId);
  replyIds(reply, gone);
};

const shared = { kind: 'data', group: 'stream', keys: ONE_KEY, since: '5.0.0' } as const;

export const streamPendingCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'xpending',
    arity: -3,
    write: false,
    flags: ['readonly'],
    categories: ['read', 'stream', 'slow'],
    usage: '<key> <group> [[IDLE <min-idle-time>] <start> <end> <count> [<consumer>]]',
    summary: 'What is pending for a group of consumers: a summary, or a list',
    complexity: 'O(log N + M) where M is the number of entries looked at; the summary O(consumers)',
    run: runXpending,
  },
  {
    ...shared,
    name: 'xclaim',
    arity: -6,
    write: true,
    flags: ['write', 'fast'],
    categories: ['write', 'stream', 'fast'],
    usage:
      '<key> <group> <consumer> <min-idle-time> <id> [<id> ...] [IDLE <ms>] [TIME <unix-time-milliseconds>] [RETRYCOUNT <count>] [FORCE] [JUSTID] [LASTID <id>]',
    summary: 'Gives pending entries to another consumer',
    complexity: 'O(log N) per id',
    run: runXclaim,
  },
  {
    ...shared,
    name: 'xautoclaim',
    arity: -6,
    write: true,
    flags: ['write', 'fast'],
    categories: ['write', 'stream', 'fast'],
    usage: '<key> <group> <consumer> <min-idle-time> <start> [COUNT <count>] [JUSTID]',
    summary: 'Gives entries that have been pending for long to another consumer',
    since: '6.2.0',
    complexity: 'O(log N) per entry looked at',
    run: runXautoclaim,
  },
];
