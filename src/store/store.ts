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
import type { Call, DataCommand, Watch } from './command.ts';
import type { Context } from './context.ts';
import { digestOf } from './digest.ts';
import { invariant } from './invariant.ts';
import { isExpired, Keyspace } from './keyspace.ts';
import { Random } from './random.ts';
import { noReply, type ReplyWriter } from './reply.ts';
import { SnapshotEncoder } from './snapshot.ts';
import { SnapshotDecoder } from './snapshot-decoder.ts';
import { dataCommands } from './table.ts';

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

/** The context of all writes of a store, or of all its reads. */
class StoreContext implements Context {
  keyspace: Keyspace;
  now = 0;
  readonly #random = new Random();

  constructor(keyspace: Keyspace) {
    this.keyspace = keyspace;
  }

  seed(first: number, second: number): void {
    this.#random.seed(first, second);
  }

  random(): number {
    return this.#random.next();
  }
}

export class Store {
  #keyspace = new Keyspace();
  readonly #writes = new StoreContext(this.#keyspace);
  readonly #reads = new StoreContext(this.#keyspace);
  #time = 0;
  #appliedIndex = 0;
  /** The entry being applied, 0 between entries. */
  #entry = 0;
  /** How many writes of the entry were run. */
  #ordinal = 0;
  #readCount = 0;

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

  // --- Entries ---------------------------------------------------------------------------------------------------

  /** Opens the entry at `index`, stamped with the leader's `time` in ms since 1970. */
  beginEntry(index: number, time: number): void {
    invariant(this.#entry === 0, `entry ${index} begins while ${this.#entry} is open`);
    invariant(index > this.#appliedIndex, `entry ${index} after ${this.#appliedIndex}`);
    this.#entry = index;
    this.#ordinal = 0;
    this.#time = Math.max(this.#time, time);
    this.#writes.now = this.#time;
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

  /**
   * Runs a transaction inside the entry: all calls, or none and a null array when a watched key has another version.
   */
  executeTransaction(calls: readonly Call[], watches: readonly Watch[], reply: ReplyWriter): void {
    if (!this.#unchanged(watches, this.#time)) {
      reply.nullArray();
      return;
    }
    reply.array(calls.length);
    for (const { command, args } of calls) this.execute(command, args, reply);
  }

  /** Removes those of the keys whose deadline is not after the entry's time. */
  expire(keys: readonly string[]): void {
    invariant(this.#entry !== 0, 'expiry outside an entry');
    for (const key of keys) this.#keyspace.getForWrite(key, this.#time);
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
      switch (run.kind) {
        case 'command':
          this.execute(run.call.command, run.call.args, noReply);
          break;
        case 'transaction':
          this.executeTransaction(run.calls, run.watches, noReply);
          break;
        case 'expire':
          this.expire(run.keys);
      }
    }
    this.endEntry();
  }

  // --- Reads -----------------------------------------------------------------------------------------------------

  /** Runs a read at `now` (ms since 1970; never before the last entry's time). */
  read(command: DataCommand, args: readonly string[], reply: ReplyWriter, now: number): void {
    invariant(!command.write, `${command.name} writes and needs an entry`);
    this.#runRead(command, args, reply, Math.max(now, this.#time));
  }

  /** As `executeTransaction` for calls that only read. */
  readTransaction(calls: readonly Call[], watches: readonly Watch[], reply: ReplyWriter, now: number): void {
    if (!this.#unchanged(watches, Math.max(now, this.#time))) {
      reply.nullArray();
      return;
    }
    reply.array(calls.length);
    for (const { command, args } of calls) this.read(command, args, reply, now);
  }

  /**
   * The number of the write that last changed the key; 0 if it is missing or has expired at `now`. Two equal
   * answers mean that nothing changed the key in between (a missing one may have come and gone).
   */
  version(key: string, now: number = this.#time): number {
    return this.#keyspace.get(key, Math.max(now, this.#time))?.version ?? 0;
  }

  /** A hash over all keys, values, deadlines and versions in no order: equal stores have equal digests. */
  digest(): string {
    return digestOf(this.#keyspace);
  }

  // --- Expiry ----------------------------------------------------------------------------------------------------

  /** Whether the key expires after the last entry's time and not after `now`: a read at `now` finds it gone. */
  isDue(key: string, now: number): boolean {
    const entry = this.#keyspace.get(key, this.#time);
    return entry !== undefined && isExpired(entry, now);
  }

  /** Whether `dueKeys` has something. Amortised O(1). */
  hasDue(now: number): boolean {
    return this.#keyspace.deadlines.earliest() <= now;
  }

  /** Up to `max` keys whose deadline is not after `now`, earliest first; they stay until an entry removes them. */
  dueKeys(now: number, max: number): string[] {
    return this.#keyspace.deadlines.due(now, max);
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  /** Starts a snapshot of the state as it is now; see {@link SnapshotEncoder}. One at a time, between entries. */
  startSnapshot(): SnapshotEncoder {
    invariant(this.#entry === 0, `a snapshot starts inside entry ${this.#entry}`);
    return new SnapshotEncoder(this.#keyspace, { time: this.#time, appliedIndex: this.#appliedIndex });
  }

  /** Starts to read a snapshot back; the state is replaced when the decoder's `finish` has seen all of it. */
  beginRestore(): SnapshotDecoder {
    return new SnapshotDecoder((keyspace, { time, appliedIndex }) => {
      invariant(this.#entry === 0, `a snapshot is restored inside entry ${this.#entry}`);
      this.#keyspace = keyspace;
      this.#writes.keyspace = keyspace;
      this.#reads.keyspace = keyspace;
      this.#time = time;
      this.#appliedIndex = appliedIndex;
    });
  }

  #runWrite(command: DataCommand, args: readonly string[], reply: ReplyWriter): void {
    this.#keyspace.writeNumber++;
    this.#writes.seed(this.#entry, this.#ordinal++);
    command.run(this.#writes, args, reply);
  }

  #runRead(command: DataCommand, args: readonly string[], reply: ReplyWriter, now: number): void {
    this.#reads.now = now;
    this.#reads.seed(this.#appliedIndex, this.#readCount++);
    command.run(this.#reads, args, reply);
  }

  #unchanged(watches: readonly Watch[], now: number): boolean {
    for (const { key, version } of watches) if (this.version(key, now) !== version) return false;
    return true;
  }
}

type Run =
  | { readonly kind: 'command'; readonly call: Call }
  | { readonly kind: 'transaction'; readonly calls: readonly Call[]; readonly watches: readonly Watch[] }
  | { readonly kind: 'expire'; readonly keys: readonly string[] };

function resolve(operation: Operation): Run {
  switch (operation.kind) {
    case 'command':
      return { kind: 'command', call: callOf(operation.args) };
    case 'transaction':
      return { kind: 'transaction', calls: operation.calls.map(callOf), watches: operation.watches };
    default:
      return operation;
  }
}

function callOf(args: readonly string[]): Call {
  const [name = ''] = args;
  const command = dataCommands.get(name) ?? dataCommands.get(name.toLowerCase());
  if (command === undefined || !command.write || !hasArity(command, args))
    throw new UnknownWriteError(name, args.length);
  return { command, args };
}
