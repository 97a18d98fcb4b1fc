/**
 * The replicated state machine: the same entries in the same order give the same state on every node.
 *
 * ```
 *              leader                                        follower, or a restart
 *  beginEntry(index, time)                                   applyBatch(index, payload)
 *    execute / executeTransaction / expire    ═ same state ═   = beginEntry, the same
 *    read / readTransaction (for waiting clients)                operations, endEntry
 *  endEntry()
 * ```
 *
 * All a write may see is the keyspace, its arguments, the entry's time and numbers drawn from a seed made of the
 * entry's index and the write's place in the entry. Reads may be put anywhere between writes: they change nothing,
 * not even the removal of an expired key, and draw from a generator of their own.
 *
 * Deadlines are absolute and compared with the entry's time. A key whose deadline has passed is missing from then
 * on; who removes its memory (a write that meets it, an expiry operation) is in the log, so that even the number of
 * keys is the same everywhere.
 */
import { hasArity } from './arity.ts';
import { decodeBatch, type Operation } from './batch.ts';
import { ByteReader } from './bytes.ts';
import type { Call, DataCommand, Watch } from './command.ts';
import type { Context, Wait } from './context.ts';
import type { Entry } from './entry.ts';
import { Digest, digestOf, type DigestScope } from './digest.ts';
import { ReplyEncoder, writeEncodedReply } from './encoded-reply.ts';
import { Frozen } from './frozen.ts';
import { invariant } from './invariant.ts';
import { isExpired, Keyspace, UNSETTLED } from './keyspace.ts';
import type { EventClass, StoreListener } from './listener.ts';
import { Meta, type MetaTable } from './meta.ts';
import { KEPT_REPLY_BYTES_MAX, keepsReply, type Once, OnceTable } from './once.ts';
import { Random } from './random.ts';
import { noReply, type ReplyWriter } from './reply.ts';
import { SnapshotEncoder } from './snapshot.ts';
import { SnapshotDecoder } from './snapshot-decoder.ts';
import { dataCommandOf } from './table.ts';
import type { Packed } from './types/packed.ts';
import { PLAIN } from './usage.ts';
import { bytesOf, type Value } from './value.ts';

/**
 * Parts of collections that one operation removes because their time has come, at most: some ms of work. The others wait for
 * the next one, invisible. It belongs to what a log means: nodes with different numbers would differ.
 */
const PARTS_EXPIRED_MAX = 2000;

/** Many batches of reads may be answered at once, so what scripts take in them is counted by the clock. */
const SCRIPT_READS_MS = 1000;

/** A log entry names a write that this release does not have: its log was written by a newer one. */
export class UnknownWriteError extends Error {
  constructor(name: string, args: number) {
    super(
      `the log holds the write '${name}' with ${args - 1} arguments, which this release does not know; ` +
        'start the release that wrote it, or a newer one',
    );
    this.name = 'UnknownWriteError';
  }
}

/** How a key was used on this node. */
export interface KeyUse {
  readonly key: string;
  readonly bytes: number;
  readonly idleSeconds: number;
  /** As OBJECT FREQ tells it. */
  readonly frequency: number;
  /** In ms since 1970; 0 without a deadline. */
  readonly expiresAt: number;
}

/** Who is told of the calls of a transaction, one by one. */
export interface CallObserver {
  starts(command: DataCommand): void;
  ran(args: readonly string[]): void;
}

const UNOBSERVED: CallObserver = { starts: () => {}, ran: () => {} };

/** The context of all writes of a store, or of all its reads. */
class StoreContext implements Context {
  keyspace: Keyspace;
  once: OnceTable;
  meta: Meta;
  now = 0;
  scriptSteps = 0;
  user: string | null = null;
  /** Whether the command that runs may have its client wait, and what it waits for. */
  mayWait = false;
  waits: Wait | null = null;
  readonly #random = new Random();

  constructor(keyspace: Keyspace, once: OnceTable, meta: Meta) {
    this.keyspace = keyspace;
    this.once = once;
    this.meta = meta;
  }

  setMeta(table: MetaTable, key: string, value: string | null): void {
    if (value === null) this.meta.delete(table, key);
    else this.meta.set(table, key, value);
    this.keyspace.listener?.metaChanged(table, key);
  }

  notify(type: EventClass, event: string, key: string): void {
    this.keyspace.listener?.event(type, event, key);
  }

  refused(user: string, reason: 'command' | 'key' | 'channel', object: string): void {
    this.keyspace.listener?.refused(user, reason, object);
  }

  publish(channel: string, message: string, sharded: boolean): number {
    return this.keyspace.listener?.message(channel, message, sharded) ?? 0;
  }

  wait(wait: Wait): boolean {
    if (this.mayWait) this.waits = wait;
    return this.mayWait;
  }

  seed(first: number, second: number): void {
    this.#random.seed(first, second);
  }

  random(): number {
    return this.#random.next();
  }
}

export class Store {
  #keyspace: Keyspace;
  #once = new OnceTable();
  #meta = new Meta();
  readonly #writes: StoreContext;
  readonly #reads: StoreContext;
  #time = 0;
  #appliedIndex = 0;
  /** The entry being applied, 0 between entries. */
  #entry = 0;
  /** How many writes of the entry were run. */
  #ordinal = 0;
  #readCount = 0;
  /** What scripts that only read have taken is counted until then. */
  #scriptReadsUntil = 0;
  /** What runs now is run on every node, its reads included, because their replies are kept. */
  #everywhere = false;

  /** `timed`: whether entries know when they were made and last changed, at some 50 bytes each. */
  constructor(timed = false) {
    this.#keyspace = new Keyspace(timed);
    this.#writes = new StoreContext(this.#keyspace, this.#once, this.#meta);
    this.#reads = new StoreContext(this.#keyspace, this.#once, this.#meta);
  }

  /** The time of the last entry in ms since 1970. It never runs backwards, whatever leaders' clocks do. */
  get time(): number {
    return this.#time;
  }

  /** The index of the last entry that was applied in full. */
  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Keys held. Those are included whose deadline passed and which no entry has removed yet. */
  get size(): number {
    return this.#keyspace.size;
  }

  /** How many of them have a deadline. */
  get expiring(): number {
    return this.#keyspace.expiring;
  }

  /** What all keys and values take in memory, about, in bytes. The same on every node. */
  get bytes(): number {
    return this.#keyspace.bytes;
  }

  /** How often commands that read looked for a key on this node and found it, or did not, since the last snapshot it took over. */
  get lookups(): { readonly hits: number; readonly misses: number } {
    const { hits, misses } = this.#keyspace.usage;
    return { hits, misses };
  }

  resetLookups(): void {
    this.#keyspace.usage.hits = 0;
    this.#keyspace.usage.misses = 0;
  }

  /** Replicated settings, scripts, libraries and users; to be read only. */
  get meta(): Meta {
    return this.#meta;
  }

  get listener(): StoreListener | null {
    return this.#keyspace.listener;
  }

  /** Told what happens while entries are applied. One; `null` for none. */
  set listener(listener: StoreListener | null) {
    this.#keyspace.listener = listener;
  }

  // --- Entries ---------------------------------------------------------------------------------------------------

  /** Opens the entry at `index`, stamped with the leader's `time` in ms since 1970. */
  beginEntry(index: number, time: number): void {
    invariant(this.#entry === 0, `entry ${index} begins while ${this.#entry} is open`);
    invariant(index > this.#appliedIndex, `entry ${index} after ${this.#appliedIndex}`);
    this.#entry = index;
    this.#ordinal = 0;
    this.#time = Math.max(this.#time, time);
    this.#writes.now = this.#time;
    this.#writes.scriptSteps = 0;
    this.#keyspace.usage.now = this.#time;
  }

  /** Closes it: the state now includes it. An entry without operations is opened and closed, too. */
  endEntry(): void {
    invariant(this.#entry !== 0, 'an entry ends that never began');
    this.#appliedIndex = this.#entry;
    this.#entry = 0;
  }

  /** Runs a command inside the entry. */
  execute(command: DataCommand, args: readonly string[], reply: ReplyWriter): void {
    invariant(this.#entry !== 0, `${command.name} outside an entry`);
    if (command.write) this.#runWrite(command, args, reply);
    else this.#runRead(command, args, reply, this.#time);
  }

  /** As `execute`; where the command has nothing to give yet, nothing is written and the result is what it waits for. */
  executeOrWait(command: DataCommand, args: readonly string[], reply: ReplyWriter): Wait | null {
    return this.#mayWait(this.#writes, () => this.execute(command, args, reply));
  }

  /**
   * Runs a transaction inside the entry: all calls, or none and a null array when a watched key has another version.
   */
  executeTransaction(
    calls: readonly Call[],
    watches: readonly Watch[],
    reply: ReplyWriter,
    observer: CallObserver = UNOBSERVED,
  ): void {
    if (!this.#unchanged(watches, this.#time)) {
      reply.nullArray();
      return;
    }
    reply.array(calls.length);
    for (const { command, args } of calls) {
      observer.starts(command);
      this.execute(command, args, reply);
      observer.ran(args);
    }
  }

  /**
   * Runs `run` inside the entry, unless a write of this name was run before or must not be run: then its kept reply, or
   * the reason, is written in its place. `keepsReply`: whether the reply will be the same on every node. True when a
   * kept reply was written.
   */
  executeOnce(
    once: Once,
    keepsReply: boolean,
    reply: ReplyWriter,
    run: (reply: ReplyWriter) => void,
  ): boolean {
    const verdict = this.#once.judge(once);
    switch (verdict.kind) {
      case 'refuse':
        reply.error(verdict.error);
        return false;
      case 'repeat':
        writeEncodedReply(new ByteReader(Buffer.from(verdict.reply, 'latin1')), reply);
        return true;
      case 'run': {
        const encoder = new ReplyEncoder(reply, keepsReply ? KEPT_REPLY_BYTES_MAX : 0);
        this.#everywhere = keepsReply;
        run(encoder);
        this.#everywhere = false;
        this.#once.record(once, encoder.overflowed ? null : encoder.view().toString('latin1'));
        return false;
      }
    }
  }

  /** What `SET key value` does, with a deadline in ms since 1970 that is to come or 0, without a command around it. See `Keyspace.set`. */
  put(key: string, value: string | Packed, expiresAt: number, known?: Entry): Entry {
    invariant(this.#entry !== 0, 'a value put outside an entry');
    const keyspace = this.#keyspace;
    keyspace.writeNumber++;
    keyspace.usage.now = this.#time;
    this.#ordinal++;
    // As SET does, whose replay must number the removal, too: with a deadline it removes what has expired, without it writes over it.
    if (expiresAt !== 0) keyspace.getForWrite(key, this.#time);
    const entry = keyspace.set(key, value, expiresAt, expiresAt === 0 ? known : undefined);
    const { listener } = keyspace;
    if (listener === null) return entry;
    listener.event('$', 'set', key);
    if (expiresAt !== 0) listener.event('g', 'expire', key);
    return entry;
  }

  /** Removes those of the keys whose deadline is not after the entry's time, or of what they hold, those parts. */
  expire(keys: readonly string[]): void {
    invariant(this.#entry !== 0, 'expiry outside an entry');
    let parts = PARTS_EXPIRED_MAX;
    for (const key of keys) parts -= this.#keyspace.expire(key, this.#time, parts);
  }

  /** Removes the keys, so that there is room: what the leader has chosen. */
  evict(keys: readonly string[]): void {
    invariant(this.#entry !== 0, 'eviction outside an entry');
    for (const key of keys) {
      this.#keyspace.writeNumber++;
      if (this.#keyspace.delete(key)) this.#keyspace.listener?.event('e', 'evicted', key);
    }
  }

  /**
   * Applies an entry's payload as a follower does: for nobody's eyes. Throws a `FormatError` (malformed) or an
   * {@link UnknownWriteError} before it changes anything.
   */
  applyBatch(index: number, payload: Uint8Array): void {
    const { time, operations } = decodeBatch(payload);
    const runs = operations.map(resolve);
    this.beginEntry(index, time);
    for (const run of runs) {
      if (run.kind === 'expire') this.expire(run.keys);
      else if (run.kind === 'evict') this.evict(run.keys);
      else if (run.kind === 'put') this.put(run.key, run.value, run.expiresAt);
      else if (run.once === null) this.#run(run, noReply);
      else this.executeOnce(run.once, run.keepsReply, noReply, (reply) => this.#run(run, reply));
    }
    this.endEntry();
  }

  #run(run: ClientRun, reply: ReplyWriter): void {
    if (run.kind === 'command') this.execute(run.call.command, run.call.args, reply);
    else this.executeTransaction(run.calls, run.watches, reply);
  }

  // --- Reads -----------------------------------------------------------------------------------------------------

  /** Runs a read at `now` (ms since 1970; never before the last entry's time). */
  read(command: DataCommand, args: readonly string[], reply: ReplyWriter, now: number): void {
    invariant(!command.write, `${command.name} writes and needs an entry`);
    this.#runRead(command, args, reply, Math.max(now, this.#time));
  }

  /** As `read`; where the command has nothing to give yet, nothing is written and the result is what it waits for. */
  readOrWait(command: DataCommand, args: readonly string[], reply: ReplyWriter, now: number): Wait | null {
    return this.#mayWait(this.#reads, () => this.read(command, args, reply, now));
  }

  /** As `executeTransaction` for calls that only read. */
  readTransaction(
    calls: readonly Call[],
    watches: readonly Watch[],
    reply: ReplyWriter,
    now: number,
    observer: CallObserver = UNOBSERVED,
  ): void {
    if (!this.#unchanged(watches, Math.max(now, this.#time))) {
      reply.nullArray();
      return;
    }
    reply.array(calls.length);
    for (const { command, args } of calls) {
      observer.starts(command);
      this.read(command, args, reply, now);
      observer.ran(args);
    }
  }

  /**
   * What GET finds, without a command around it: the key's entry, to be looked at only. `clock` tells the time in ms since
   * 1970, and is asked only where there is a deadline.
   */
  use(key: string, clock: () => number): Entry | undefined {
    const entry = this.#keyspace.peek(key);
    if (entry === undefined) return undefined;
    if (this.isExpired(entry, clock)) return undefined;
    entry.usage = this.#keyspace.usage.next(entry.usage) | (entry.usage & PLAIN);
    return entry;
  }

  /** Whether nobody finds the entry any more; `clock` (ms since 1970) is asked where it has a deadline only. */
  isExpired(entry: Readonly<Entry>, clock: () => number): boolean {
    if (entry.expiresAt === 0 && typeof entry.value === 'string') return false;
    return isExpired(entry, Math.max(clock(), this.#time));
  }

  /** Another object after all that the store held was removed or replaced at once. */
  get generation(): object {
    return this.#keyspace.table;
  }

  /** The entry of a key that is alive at `now` (ms since 1970), to be looked at only. No use of it. */
  find(key: string, now: number): Readonly<Entry> | undefined {
    return this.#keyspace.find(key, Math.max(now, this.#time));
  }

  /** The same whatever its deadline. */
  stored(key: string): Readonly<Entry> | undefined {
    return this.#keyspace.peek(key);
  }

  /** All keys as they are now, between two writes, for whoever looks at them while writes go on; to be closed. */
  freeze(): Frozen {
    return new Frozen(this.#keyspace);
  }

  /** What the key holds in the log's time, to be looked at only; undefined for nothing. */
  peek(key: string): Value | undefined {
    return this.#keyspace.find(key, this.#time)?.value;
  }

  /**
   * A number for the state of the key, be it there or missing or expired at `now`. Two equal answers mean that nothing
   * changed the key in between.
   */
  version(key: string, now: number = this.#time): number {
    return this.#keyspace.version(key, Math.max(now, this.#time));
  }

  /**
   * A hash over all keys, values, deadlines and versions in no order, over what is kept of named writes in the order
   * of use, and over settings, scripts, libraries and users: equal stores have equal digests. With `contents` only of what a
   * file of data holds.
   */
  digest(scope: DigestScope = 'state'): string {
    return digestOf(this.#keyspace, this.#once, this.#meta, scope);
  }

  /** The same in steps, of the state as it is now, between entries. */
  startDigest(): Digest {
    invariant(this.#entry === 0, `a digest starts inside entry ${this.#entry}`);
    return new Digest(this.#keyspace, this.#once, this.#meta);
  }

  // --- Expiry ----------------------------------------------------------------------------------------------------

  /**
   * When the key will expire, or the next part of what it holds, in ms since 1970; Infinity if never, or if it is not there
   * in the log's time.
   */
  deadlineOf(key: string): number {
    const entry = this.#keyspace.find(key, this.#time);
    if (entry === undefined) return Infinity;
    const { value, expiresAt } = entry;
    const next = typeof value === 'string' ? Infinity : (value.expiring?.next(this.#time) ?? Infinity);
    return Math.min(next, expiresAt === 0 ? Infinity : expiresAt);
  }

  /** Whether `dueKeys` has something. Amortised O(1). */
  hasDue(now: number): boolean {
    return this.#keyspace.earliestDeadline <= now;
  }

  /**
   * Up to `max` keys whose deadline is not after `now`, earliest first, then those that hold parts of which that is true; they
   * stay until an entry removes them.
   */
  dueKeys(now: number, max: number): string[] {
    return this.#keyspace.due(now, max);
  }

  /** A few keys by chance, with what one needs to choose among them. See `Keyspace.sample`. */
  sampleKeys(from: 'all' | 'expiring', count: number, random: () => number): KeyUse[] {
    const { usage } = this.#keyspace;
    const found: KeyUse[] = [];
    for (const key of this.#keyspace.sample(from, count, random)) {
      const entry = this.#keyspace.peek(key);
      if (entry === undefined) continue;
      found.push({
        key,
        bytes: bytesOf(key, entry.value),
        idleSeconds: usage.idleSeconds(entry.usage),
        frequency: usage.frequency(entry.usage),
        expiresAt: entry.expiresAt,
      });
    }
    return found;
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  /** Starts a snapshot of the state as it is now; see {@link SnapshotEncoder}. One at a time, between entries. */
  startSnapshot(): SnapshotEncoder {
    invariant(this.#entry === 0, `a snapshot starts inside entry ${this.#entry}`);
    return new SnapshotEncoder(this.#keyspace, this.#once, this.#meta, {
      time: this.#time,
      appliedIndex: this.#appliedIndex,
    });
  }

  /**
   * Starts to read a snapshot back; the state is replaced when the decoder's `finish` has seen all of it. `index`: where the
   * store stands then, if not where the snapshot was taken.
   */
  beginRestore(index: number | null = null): SnapshotDecoder {
    return new SnapshotDecoder(({ keyspace, once, meta }, { time, appliedIndex }) => {
      invariant(this.#entry === 0, `a snapshot is restored inside entry ${this.#entry}`);
      keyspace.listener = this.#keyspace.listener;
      this.#keyspace = keyspace;
      this.#once = once;
      this.#meta = meta;
      for (const context of [this.#writes, this.#reads]) {
        context.keyspace = keyspace;
        context.once = once;
        context.meta = meta;
      }
      this.#time = index === null ? time : Math.max(time, this.#time);
      this.#appliedIndex = index ?? appliedIndex;
      keyspace.listener?.restored();
    }, this.#keyspace.timed);
  }

  #mayWait(context: StoreContext, run: () => void): Wait | null {
    context.mayWait = true;
    run();
    context.mayWait = false;
    const { waits } = context;
    context.waits = null;
    return waits;
  }

  #runWrite(command: DataCommand, args: readonly string[], reply: ReplyWriter): void {
    this.#keyspace.writeNumber++;
    // A read may have come between that was told a later time.
    this.#keyspace.usage.now = this.#time;
    this.#writes.seed(this.#entry, this.#ordinal++);
    command.run(this.#writes, args, reply);
    this.#keyspace.settle();
  }

  #runRead(command: DataCommand, args: readonly string[], reply: ReplyWriter, now: number): void {
    if (this.#everywhere || now >= this.#scriptReadsUntil) {
      this.#reads.scriptSteps = 0;
      this.#scriptReadsUntil = now + SCRIPT_READS_MS;
    }
    this.#reads.now = now;
    this.#keyspace.usage.now = now;
    if (this.#everywhere) this.#reads.seed(this.#entry, this.#ordinal++);
    else this.#reads.seed(this.#appliedIndex, this.#readCount++);
    command.run(this.#reads, args, reply);
  }

  #unchanged(watches: readonly Watch[], now: number): boolean {
    for (const { key, version } of watches)
      if (version === UNSETTLED || this.version(key, now) !== version) return false;
    return true;
  }
}

type ClientRun = { readonly once: Once | null; readonly keepsReply: boolean } & (
  | { readonly kind: 'command'; readonly call: Call }
  | { readonly kind: 'transaction'; readonly calls: readonly Call[]; readonly watches: readonly Watch[] }
);
type Run = ClientRun | Exclude<Operation, { kind: 'command' | 'transaction' }>;

function resolve(operation: Operation): Run {
  switch (operation.kind) {
    case 'command': {
      const call = callOf(operation.args, true);
      return { kind: 'command', once: operation.once, keepsReply: keepsReply([call]), call };
    }
    case 'transaction': {
      const { once, keepsReply, watches, calls } = operation;
      return {
        kind: 'transaction',
        once,
        keepsReply,
        watches,
        calls: calls.map((args) => callOf(args, !keepsReply)),
      };
    }
    case 'expire':
    case 'evict':
    case 'put':
      return operation;
  }
}

/** `writes`: whether a read has no business there. */
function callOf(args: readonly string[], writes: boolean): Call {
  const command = dataCommandOf(args);
  if (command === undefined || (writes && !command.write) || !hasArity(command, args))
    throw new UnknownWriteError(args[0] ?? '', args.length);
  return { command, args };
}
