/**
 * A store inside the program: reads are synchronous, writes apply at once and return a promise that settles when they are as
 * durable as was asked for.
 *
 * ```
 * set, delete, execute …  ──▶  the state machine, inside an entry that is open until the turn of the event loop ends
 *                              the journal: the entry goes to the log, with those that waited   ──▶ promise
 * get, entries, …         ──▶  the state machine
 * ```
 *
 * The state machine, its commands and the files are those of a cluster's node. Keys and values are text, held as UTF-8, or
 * bytes; `get` answers text and `getBuffer` bytes.
 */
import { EventEmitter } from 'node:events';
import { hasArity } from '../store/arity.ts';
import { BatchEncoder } from '../store/batch.ts';
import { type DataCommand, keysOf } from '../store/command.ts';
import { type Entry, isPlain, notePlain, TimedEntry } from '../store/entry.ts';
import type { StoreListener } from '../store/listener.ts';
import { Store as StateMachine } from '../store/store.ts';
import { dataCommandOf, dataCommands } from '../store/table.ts';
import { Packed } from '../store/types/packed.ts';
import { bytesOf, isString, textOf, type Value as StoredValue } from '../store/value.ts';
import type { Entry as FileEntry, Format } from '../formats/format.ts';
import { Batch, type BatchResult } from './batch.ts';
import { Counter, Hash, List, MemberSet, SortedSet } from './collections.ts';
import { CommandError, StoreError } from './errors.ts';
import { evictionOrder, type EvictionOrder } from './eviction.ts';
import { GROUP, Journal, refusal } from './journal.ts';
import { AllEntries, FileSink, writeEntries } from './exchange.ts';
import type { Operation } from './operation.ts';
import { type Settings, settingsOf, type StoreOptions } from './options.ts';
import { type RangeOptions, rangeOf } from './range.ts';
import { decodeAll, readSnapshotFile, slices, writeSnapshotFile } from './snapshot-file.ts';
import { RecentEntries } from './recent-entries.ts';
import { type Bytes, toBuffer, toStored, toText } from './text.ts';
import { allKeys, chosen, KeyIndex, scanUnordered, type Visited } from './scan.ts';
import { batchesOf, checkFormat, sourceOf, wholeOf } from './source.ts';
import { Telling } from './telling.ts';
import { runTransaction, type Transaction } from './transaction.ts';
import { type Value, ValueReply } from './value-reply.ts';
import { type Change, type Target, Watchers, type WatchOptions } from './watch.ts';

/** How a key is set. */
export interface SetOptions {
  /** Milliseconds that the entry lives from now; 0 for ever. Default: the store's `defaultTtl`. */
  ttl?: number;
  /** Only where there is no such key. Default: false. */
  nx?: boolean;
  /** Only where there is such a key. Default: false. */
  xx?: boolean;
}

/** An entry with what is known about it. */
export interface StoredEntry {
  /** The key. */
  readonly key: string;
  /** Its text; null when it is no string. */
  readonly value: string | null;
  /** `string`, `list`, `hash` and so on, as TYPE answers. */
  readonly type: string;
  /** When it was made, in ms since 1970; null without the option `timestamps`, or from before it. */
  readonly createdAt: number | null;
  /** When it last changed, in ms since 1970; null as `createdAt`. */
  readonly updatedAt: number | null;
  /** When it expires, in milliseconds since 1970; null for never. */
  readonly expiresAt: number | null;
  /** Another one after every change. */
  readonly version: number;
  /** What it takes in memory, about, in bytes. */
  readonly bytes: number;
}

/** A snapshot that was written. */
export interface SnapshotInfo {
  /** Entries that it holds. */
  readonly entries: number;
  /** Size of its file. */
  readonly bytes: number;
  /** Where it is. */
  readonly path: string;
}

/** Counts since the store was opened, but for `entries` and `bytes`, which are as of now. */
export interface StoreStats {
  /** Entries there are. */
  readonly entries: number;
  /** What all keys and values take in memory, about, in bytes. */
  readonly bytes: number;
  /** Reads by `get` and `getBuffer` that found something. */
  readonly hits: number;
  /** Reads that found nothing. */
  readonly misses: number;
  /** Hits per read, from 0 to 1; 0 before the first. */
  readonly hitRate: number;
  /** Hits and misses together. */
  readonly gets: number;
  /** Keys set; what `execute` and the other types write is not counted. */
  readonly sets: number;
  /** Keys that were to be deleted, there or not, likewise. */
  readonly deletes: number;
  /** Entries whose time was over. */
  readonly expired: number;
  /** Entries that made room. */
  readonly evicted: number;
}

/** An argument of a command; numbers are written in decimal. */
export type Argument = Bytes | number | bigint;

/** How a command's reply is given. */
export interface ExecuteOptions {
  /** Strings of the reply as buffers. Default: false, they are text. */
  buffers?: boolean;
}

/** Expired entries that are removed in one go. */
const EXPIRED_AT_ONCE = 1000;
/** A read moves a deadline when it gains at least this share of the time to live: a log line per read would be too many. */
const REFRESH_SHARE = 1 / 16;
/** Keys and values of a batch or a transaction: with all that may wait already they fit into one write of the log. */
const TOGETHER_BYTES_MAX = 512 * 1024 * 1024;
/** Of a snapshot that nobody asked for, so that nobody has its error. */
const SNAPSHOT_WARNING = 'KVORUM_SNAPSHOT';
const DONE: Promise<void> = Promise.resolve();
const SET = 'SET';
const PXAT = 'PXAT';
const DEL = commandNamed('del');
const PEXPIREAT = commandNamed('pexpireat');
const PERSIST = commandNamed('persist');
const FLUSHALL = commandNamed('flushall');
const now = Date.now;

/**
 * Opens a store: a directory, with every write on its disk before its promise settles; or options; or neither, in memory
 * only. Rejects with `INVALID_OPTION`, and for a directory with `LOCKED`, `DAMAGED` or `DISK`.
 */
export async function open(directory?: string | StoreOptions): Promise<Store> {
  const settings = settingsOf(typeof directory === 'string' ? { directory } : (directory ?? {}));
  const machine = new StateMachine(settings.timestamps);
  const journal =
    settings.directory === null || settings.persistence === 'none'
      ? null
      : await Journal.open(settings.directory, settings, machine);
  return new Store(settings, machine, journal);
}

/**
 * A store, as `open` gives it. Keys and values are text or bytes; what is read as text and is not UTF-8 has U+FFFD in its place.
 *
 * Reads are synchronous. Writes apply at once and return a promise that settles when they are as durable as `sync` asks. A
 * write that is refused has changed nothing: `KEY_TOO_LARGE`, `VALUE_TOO_LARGE`, `STORE_FULL`, `BUSY` (256 MiB wait for the disk),
 * `INVALID_ARGUMENT`, `COMMAND` (the key holds another type). After `DISK` nobody knows whether the write lasts. `set`, `clear` and
 * `execute` throw what is refused, the others reject.
 *
 * `on('change', listener)` tells every `Change` when it has happened, before it is durable; those of a batch when all of it has.
 * What a listener throws does not reach who wrote: it is an uncaught exception of the program.
 */
export class Store extends EventEmitter<{ change: [Change] }> implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #machine: StateMachine;
  readonly #journal: Journal | null;
  readonly #batch = new BatchEncoder();
  readonly #order: EvictionOrder | null;
  readonly #index: KeyIndex;
  readonly #recent = new RecentEntries();
  readonly #watchers = new Watchers();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Whether an entry is open: something was written in this turn. */
  #writing = false;
  /** Of the writes of this turn; pending until they are durable. */
  #durable: Promise<void> = DONE;
  #settle: ((outcome: Promise<void>) => void) | null = null;
  /** Keys that the write under way changed, where somebody wants to know. */
  #changed: string[] = [];
  #listening = false;
  readonly #telling = new Telling();
  /** For the collections. */
  readonly #executor = {
    execute: (args: readonly [string, ...Argument[]]): Value => this.execute(args),
    durable: (): Promise<void> => this.#durable,
  };
  /** The snapshot or restore under way: one at a time. */
  #filing: Promise<unknown> | null = null;
  /** Whether it was told that no snapshot can be written: once is enough until one could. */
  #warned = false;
  #restoring = false;
  /** The next part of the removal of what has expired. */
  #cleaning: NodeJS.Timeout | null = null;
  #closed = false;
  #closing: Promise<void> | null = null;
  #hits = 0;
  #misses = 0;
  #sets = 0;
  #deletes = 0;
  #expired = 0;
  #evicted = 0;

  /** @internal Use {@link open}. */
  constructor(settings: Settings, machine: StateMachine, journal: Journal | null) {
    super();
    // However a listener comes: `on`, `once`, `prependListener`.
    super.on('newListener' as 'change', () => {
      this.#listening = true;
    });
    this.#settings = settings;
    this.#machine = machine;
    machine.listener = this.#listener();
    this.#index = new KeyIndex(machine);
    this.#journal = journal;
    this.#order = evictionOrder(settings.eviction, {
      any: () => machine.sampleKeys('all', 1, Math.random)[0]?.key,
      soonest: () => machine.dueKeys(Number.MAX_SAFE_INTEGER, 1)[0],
    });
    if (this.#order !== null) {
      this.#listening = true;
      for (const key of allKeys(this.#machine)) this.#order.used(key);
    }
    const every = (ms: number, task: () => void): void =>
      void this.#timers.push(setInterval(task, ms).unref());
    every(settings.cleanupInterval, () => this.#cleanUp());
    if (journal !== null && settings.snapshotInterval > 0)
      every(settings.snapshotInterval, () => this.#snapshotInBackground());
  }

  // --- Reading ---------------------------------------------------------------------------------------------------

  /** The text under the key; `undefined` without it. Throws a `CommandError` when it holds no string. */
  get(key: Bytes): string | undefined {
    const slot = this.#recent.slot(key);
    if (slot !== undefined) {
      const recent = this.#recent.text(slot);
      if (recent !== undefined) {
        this.#hits++;
        return recent;
      }
    }
    const storedKey = toStored(key);
    const entry = this.#use(storedKey);
    if (entry === undefined) return undefined;
    const { value } = entry;
    if (typeof value !== 'string') return toText(stringOf(value));
    const text = isPlain(entry) ? value : toText(value);
    if (text === value) {
      notePlain(entry);
      if (storedKey === key && this.#isLasting(entry)) this.#recent.add(key, text, entry);
    }
    return text;
  }

  /** Whether a read of the entry is nothing but a read: no use of it is to be noted, and no deadline can pass. */
  #isLasting(entry: Entry): boolean {
    return this.#order === null && entry.expiresAt === 0;
  }

  /** The bytes under the key; `undefined` without it. Throws a `CommandError` when it holds no string. */
  getBuffer(key: Bytes): Buffer | undefined {
    const entry = this.#use(toStored(key));
    return entry === undefined ? undefined : toBuffer(stringOf(entry.value));
  }

  #use(key: string): Entry | undefined {
    this.#check();
    const entry = this.#machine.use(key, now);
    if (entry === undefined) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    if (this.#order !== null) this.#order.used(key);
    if (!this.#settings.refreshTtlOnAccess || entry.expiresAt === 0) return entry;
    this.#refresh(key, entry.expiresAt);
    // Whoever heard of that may have written the key.
    return this.#machine.find(key, now());
  }

  #find(key: string): Readonly<Entry> | undefined {
    this.#check();
    return this.#machine.find(key, now());
  }

  /** The entry with what is known about it; `undefined` without it. Does not count as a use of it. */
  getEntry(key: Bytes): StoredEntry | undefined {
    const stored = toStored(key);
    const entry = this.#find(stored);
    if (entry === undefined) return undefined;
    const { value, expiresAt, version } = entry;
    const { createdAt, updatedAt } = entry instanceof TimedEntry ? entry : { createdAt: 0, updatedAt: 0 };
    return {
      key: toText(stored),
      value: isString(value) ? toText(textOf(value)) : null,
      type: typeof value === 'string' ? 'string' : value.type,
      createdAt: createdAt === 0 ? null : createdAt,
      updatedAt: updatedAt === 0 ? null : updatedAt,
      expiresAt: expiresAt === 0 ? null : expiresAt,
      version,
      bytes: bytesOf(stored, value),
    };
  }

  /** Whether there is such a key, of whatever type. */
  has(key: Bytes): boolean {
    return this.#find(toStored(key)) !== undefined;
  }

  /** The same as `has`. */
  exists(key: Bytes): boolean {
    return this.has(key);
  }

  /** How many entries there are; those that expired within the last moments may be counted. */
  get size(): number {
    return this.#machine.size;
  }

  /** Milliseconds that the entry still lives; null for ever, `undefined` without it. */
  ttl(key: Bytes): number | null | undefined {
    const entry = this.#find(toStored(key));
    if (entry === undefined) return undefined;
    return entry.expiresAt === 0 ? null : Math.max(0, entry.expiresAt - now());
  }

  /**
   * All keys that match the pattern, as KEYS has it: `*`, `?`, `[a-z]`, `\` before what is meant literally. It goes by bytes: a
   * letter that is not ASCII is two or more, so it takes as many `?`, and does not stand in brackets.
   */
  keys(pattern: string): string[];
  /** The keys, in the order and within the bounds that the options say. */
  keys(options?: RangeOptions): IterableIterator<string>;
  keys(options: string | RangeOptions = {}): string[] | IterableIterator<string> {
    if (typeof options !== 'string') return this.#keysIn(options);
    return this.execute(['KEYS', options]) as unknown as string[];
  }

  /** The values of strings; entries of other types are left out. */
  *values(options: RangeOptions = {}): IterableIterator<string> {
    for (const found of this.#visit(options, true)) {
      const text = textFound(found);
      if (text !== undefined) yield text;
    }
  }

  /**
   * Keys and values of strings; entries of other types are left out.
   *
   * Without an order all is as it was when the iteration began, whatever is written meanwhile. In order, the keys are those
   * of that moment, less those that are gone when their turn comes, with their values then.
   */
  *entries(options: RangeOptions = {}): IterableIterator<[key: string, value: string]> {
    for (const found of this.#visit(options, true)) {
      const text = textFound(found);
      if (text !== undefined) yield [toText(found.key), text];
    }
  }

  /** All of `entries`. */
  [Symbol.iterator](): IterableIterator<[key: string, value: string]> {
    return this.entries();
  }

  *#keysIn(options: RangeOptions): IterableIterator<string> {
    for (const { key } of this.#visit(options, false)) yield toText(key);
  }

  /** `strings`: entries of other types are left out by whoever asks. */
  #visit(options: RangeOptions, strings: boolean): IterableIterator<Visited> {
    this.#check();
    const range = rangeOf(options);
    if (range.sorted) this.#listening = true;
    const all = range.sorted ? this.#index.scan(range, now) : scanUnordered(this.#machine, range, now);
    const { filter } = options;
    return filter === undefined && range.limit === Infinity ? all : chosen(all, filter, range.limit, strings);
  }

  // --- Writing ---------------------------------------------------------------------------------------------------

  /** Sets the key, whatever it held. With `nx` or `xx` use {@link setIf}, which tells whether it was done. */
  set(key: Bytes, value: Bytes, options?: SetOptions): Promise<void> {
    const slot = this.#recent.slot(key);
    // What has a slot is plain.
    const storedKey = slot === undefined ? toStored(key) : (key as string);
    if (
      options !== undefined &&
      (options.nx === true || options.xx === true) &&
      !this.#allows(storedKey, options)
    )
      return this.#durable;
    const storedValue = toStored(value);
    this.#put(storedKey, storedValue, options?.ttl, storedKey === key && storedValue === value, slot);
    return this.#durable;
  }

  /** As `set`, and resolves to whether the key was set. */
  async setIf(key: Bytes, value: Bytes, options: SetOptions): Promise<boolean> {
    const storedKey = toStored(key);
    const allowed = this.#allows(storedKey, options);
    if (allowed) this.#put(storedKey, toStored(value), options.ttl);
    await this.#durable;
    return allowed;
  }

  /** Sets the key if it is missing; resolves to whether it was. */
  setNX(key: Bytes, value: Bytes, options: Pick<SetOptions, 'ttl'> = {}): Promise<boolean> {
    return this.setIf(key, value, { ...options, nx: true });
  }

  /** Sets the key if it holds the expected value, `undefined` for no such key; resolves to whether it did. */
  async compareAndSet(
    key: Bytes,
    expected: Bytes | undefined,
    value: Bytes,
    options: Pick<SetOptions, 'ttl'> = {},
  ): Promise<boolean> {
    const storedKey = toStored(key);
    const found = this.#find(storedKey)?.value;
    const isExpected =
      expected === undefined
        ? found === undefined
        : found !== undefined && isString(found) && textOf(found) === toStored(expected);
    if (isExpected) this.#put(storedKey, toStored(value), options.ttl);
    await this.#durable;
    return isExpected;
  }

  /** Removes the key; resolves to whether it was there. */
  async delete(key: Bytes): Promise<boolean> {
    const gone = this.#remove(toStored(key));
    await this.#durable;
    return gone;
  }

  /** Removes everything. */
  clear(): Promise<void> {
    this.#run(FLUSHALL, ['FLUSHALL']);
    return this.#durable;
  }

  /**
   * Gives the entry `ttl` milliseconds to live from now; resolves to whether it was there. With 0 it is gone at once: to have it
   * live for ever there is {@link persist}.
   */
  async expire(key: Bytes, ttl: number): Promise<boolean> {
    const deadline = String(deadlineIn(wholeMs(ttl, 'gone at once'), now()));
    const done = this.#run(PEXPIREAT, ['PEXPIREAT', toStored(key), deadline]) === 1;
    await this.#durable;
    return done;
  }

  /** Has the entry live for ever; resolves to whether it had a deadline. */
  async persist(key: Bytes): Promise<boolean> {
    const done = this.#run(PERSIST, ['PERSIST', toStored(key)]) === 1;
    await this.#durable;
    return done;
  }

  /** Begins a batch: writes that are applied together or not at all. */
  batch(): Batch {
    return new Batch((operations) => this.#apply(operations));
  }

  /**
   * Runs `run`, whose reads are noted and whose writes are gathered. When it is done and nothing that it read has changed
   * meanwhile, all writes are applied at once; otherwise it runs again, 100 times at most, then it rejects with `CONFLICT`. When
   * `run` throws nothing is written. Resolves to what `run` returned, when the writes are durable.
   */
  transaction<T>(run: (transaction: Transaction) => T | Promise<T>): Promise<T> {
    return runTransaction(run, {
      generation: () => this.#machine.generation,
      find: (key) => {
        this.#check();
        const at = now();
        const value = this.#machine.find(key, at)?.value;
        return {
          value: value !== undefined && isString(value) ? textOf(value) : undefined,
          version: this.#machine.version(key, at),
        };
      },
      apply: (operations) => this.#apply(operations),
    });
  }

  /**
   * Runs any command of the table that concerns data, by its Redis name. The reply is there at once; what it wrote is durable
   * when {@link flush} resolves. Throws a `CommandError` when the command answers with an error, and `INVALID_ARGUMENT` where
   * there is no such command here. `BLPOP` and the like do not wait.
   */
  execute(args: readonly [string, ...Argument[]], { buffers = false }: ExecuteOptions = {}): Value {
    const stored = args.map((arg) =>
      typeof arg === 'number' || typeof arg === 'bigint' ? String(arg) : toStored(arg),
    );
    const command = dataCommandOf(stored);
    if (command === undefined)
      throw new StoreError(
        'INVALID_ARGUMENT',
        `${args[0]}: no such command here; expected one that concerns data`,
      );
    if (!hasArity(command, stored))
      throw new CommandError(command.name, `ERR wrong number of arguments for '${command.name}' command`);
    const reply = new ValueReply(command.name, buffers);
    if (command.write) this.#write(command, stored, reply);
    else {
      this.#check();
      this.#machine.read(command, stored, reply, now());
      if (this.#order !== null)
        for (const key of keysOf(command, stored))
          if (this.#machine.stored(key) !== undefined) this.#order.used(key);
    }
    return reply.result();
  }

  // --- Other types -----------------------------------------------------------------------------------------------------

  /** The list under the key, which need not be there yet. */
  list(key: Bytes): List {
    return new List(this.#executor, key);
  }

  /** The hash under the key, likewise. */
  hash(key: Bytes): Hash {
    return new Hash(this.#executor, key);
  }

  /** The set under the key, likewise. */
  memberSet(key: Bytes): MemberSet {
    return new MemberSet(this.#executor, key);
  }

  /** The sorted set under the key, likewise. */
  sortedSet(key: Bytes): SortedSet {
    return new SortedSet(this.#executor, key);
  }

  /** The counter under the key, likewise. */
  counter(key: Bytes): Counter {
    return new Counter(this.#executor, key);
  }

  // --- Watching --------------------------------------------------------------------------------------------------

  /**
   * Changes of the key, or of all keys with the prefix, from now on. The iteration ends with the signal of the options or with
   * the store, and with `OVERFLOW` when too many changes were not taken.
   */
  watch(target: string | Target, options: WatchOptions = {}): AsyncIterableIterator<Change> {
    this.#check();
    this.#listening = true;
    return this.#watchers.add(typeof target === 'string' ? { key: target } : target, options);
  }

  // --- Files and the end -------------------------------------------------------------------------------------

  /** Resolves when everything that was written is as durable as `sync` asks; rejects with `DISK`. */
  async flush(): Promise<void> {
    this.#check();
    await this.#durable;
    await this.#journal?.flush();
  }

  /**
   * Writes all entries as they are now into a file, or without one into the store's directory, where the log before it is
   * let go. Writes go on meanwhile. A file that was there is replaced when the new one is complete.
   */
  async snapshot(file?: string): Promise<SnapshotInfo> {
    this.#check();
    if (file === undefined && this.#journal === null)
      throw new StoreError(
        'INVALID_ARGUMENT',
        'a store without a directory needs the name of a file for its snapshot',
      );
    return this.#alone(() => this.#takeSnapshot(file));
  }

  /** Runs what deals with all of the store: at once, or after what does so already. */
  async #alone<T>(task: () => Promise<T>): Promise<T> {
    while (this.#filing !== null) await this.#filing.catch(() => undefined);
    this.#check();
    // Before it begins: it ends the entry of this turn, which may want a snapshot.
    this.#filing = DONE;
    const filing = task().finally(() => {
      this.#filing = null;
    });
    this.#filing = filing;
    return filing;
  }

  async #takeSnapshot(file: string | undefined): Promise<SnapshotInfo> {
    this.#endTurn();
    const entries = this.#machine.size;
    const index = this.#machine.appliedIndex;
    const encoder = this.#machine.startSnapshot();
    const blocks = slices(encoder, this.#settings.snapshotCompression);
    try {
      if (file !== undefined)
        return { entries, path: file, bytes: await writeSnapshotFile(file, GROUP, index, blocks) };
      if (this.#journal === null) throw closed();
      return { entries, ...(await this.#journal.snapshot(index, blocks)) };
    } finally {
      encoder.cancel();
    }
  }

  #snapshotInBackground(): void {
    if (this.#filing !== null || this.#closed) return;
    // A disk that has failed is told of by the writes; where only a snapshot has no room, the log goes on, if there is one.
    this.snapshot().then(
      () => {
        this.#warned = false;
      },
      (error: unknown) => {
        this.#journal?.snapshotLater();
        if (this.#closed || this.#warned) return;
        this.#warned = true;
        const reason = error instanceof Error ? error.message : String(error);
        process.emitWarning(`kvorum: no snapshot could be written: ${reason}`, { code: SNAPSHOT_WARNING });
      },
    );
  }

  /**
   * Replaces everything by what is in a file that {@link snapshot} wrote. All or nothing, after a crash, too: a damaged one is
   * refused with `DAMAGED`. Writes meanwhile are refused with `BUSY`.
   */
  async restore(file: string): Promise<void> {
    this.#check();
    await this.#alone(() => this.#restore(file));
  }

  async #restore(file: string): Promise<void> {
    this.#restoring = true;
    try {
      this.#endTurn();
      const index = this.#machine.appliedIndex + 1;
      if (this.#journal === null) await readInto(this.#machine, file, index);
      else {
        // What becomes durable is what the state machine then takes from memory: a damaged file changes neither.
        const copy = new StateMachine(this.#settings.timestamps);
        await readInto(copy, file, index);
        const decoder = this.#machine.beginRestore(index);
        const blocks = slices(copy.startSnapshot(), this.#settings.snapshotCompression, decoder);
        await this.#journal.replace(index, blocks);
        decoder.finish();
      }
    } finally {
      this.#restoring = false;
      this.#telling.tell();
    }
  }

  /**
   * Adds what is in a file of another program: JSON, the binary formats, Redis's snapshots, files of commands and the manifest of
   * an append-only file, recognised by their beginning. Keys that are there already are overwritten. The whole file is read
   * once before the first key is written, so that a damaged one changes nothing but rejects with `DAMAGED`. A command that
   * is refused ends it; the error says how many were run before. Resolves to the number of commands, when all are durable.
   */
  async load(file: string, format: Format | null = null): Promise<{ commands: number }> {
    this.#check();
    let commands = 0;
    for await (const batch of batchesOf(await wholeOf(await sourceOf(file, format)))) {
      for (const { args } of batch.commands) {
        const [name = '', ...others] = args;
        try {
          this.execute([name, ...others.map(toBuffer)]);
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          const what = `${file}: command ${commands + 1} was refused, those before it were run: ${error.message}`;
          throw new StoreError(error.code, what, error);
        }
        commands++;
      }
      await this.#durable;
      await new Promise(setImmediate);
    }
    await this.flush();
    return { commands };
  }

  /**
   * Writes all entries as they are now in a format of another program; rejects with `INVALID_ARGUMENT` where that can't say one.
   * `sorted`: in the order of their keys, for people who read them; they are sorted in one go.
   */
  async export(
    file: string,
    format: Format,
    { sorted = false }: { sorted?: boolean } = {},
  ): Promise<SnapshotInfo> {
    this.#check();
    checkFormat(format);
    let entries = 0;
    const counted = function* (found: Iterable<FileEntry>): Generator<FileEntry, void, void> {
      for (const entry of found) {
        if (entry.kind !== 'library') entries++;
        yield entry;
      }
    };
    const all = new AllEntries(this.#machine);
    try {
      const sink = await FileSink.open(file);
      await writeEntries(sink, format, counted(all.read(sorted)), (refused) => {
        const what = `${file}: ${format} has no words for ${refused.message}`;
        throw new StoreError('INVALID_ARGUMENT', what, refused);
      });
      return { entries, path: file, bytes: sink.bytes };
    } finally {
      all.close();
    }
  }

  /** What the store holds, and has done since it was opened. */
  stats(): StoreStats {
    const gets = this.#hits + this.#misses;
    return {
      entries: this.#machine.size,
      bytes: this.#machine.bytes,
      hits: this.#hits,
      misses: this.#misses,
      hitRate: gets === 0 ? 0 : this.#hits / gets,
      gets,
      sets: this.#sets,
      deletes: this.#deletes,
      expired: this.#expired,
      evicted: this.#evicted,
    };
  }

  /**
   * Makes what was written durable, takes a last snapshot if the options say so, and gives the directory free, whether it can do
   * the rest or not. From the call on everything else is refused with `CLOSED`. Later calls give the same promise.
   */
  close(): Promise<void> {
    if (this.#closing === null) this.#telling.end();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#endTurn();
    this.#closed = true;
    this.#recent.clear();
    for (const timer of this.#timers) clearInterval(timer);
    this.#watchers.close();
    while (this.#filing !== null) await this.#filing.catch(() => undefined);
    try {
      if (this.#journal !== null && this.#settings.snapshotOnClose) await this.#takeSnapshot(undefined);
    } finally {
      await this.#journal?.close();
    }
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // --- The way of a write ----------------------------------------------------------------------------------------

  /** Opens the entry of this turn where none is open. Throws when nothing may be written. */
  #begin(): void {
    if (this.#writing) {
      if (!this.#telling.held) this.#journal?.check(this.#batch.bytes);
      return;
    }
    this.#check();
    if (this.#restoring)
      throw new StoreError('BUSY', 'a snapshot is being restored; wait for the promise of restore()');
    this.#journal?.check();
    this.#machine.beginEntry(this.#machine.appliedIndex + 1, now());
    this.#writing = true;
    if (this.#journal === null) this.#durable = DONE;
    else {
      this.#durable = new Promise((resolve) => {
        this.#settle = resolve;
      });
      // Whoever does not wait for it hears of a failed disk from the next write.
      this.#durable.catch(() => undefined);
    }
    queueMicrotask(() => {
      this.#endTurn();
      // What a write that was refused has done before.
      this.#telling.tell();
    });
  }

  /** Opens the entry of this turn for a write that nobody asked for; false where none can be made now. */
  #mayWrite(): boolean {
    try {
      this.#begin();
      return true;
    } catch {
      return false;
    }
  }

  /** Closes the entry and hands it to the journal. */
  #endTurn(): void {
    if (!this.#writing) return;
    this.#writing = false;
    this.#machine.endEntry();
    if (this.#journal === null) return;
    const settle = this.#settle;
    this.#settle = null;
    const payload = this.#batch.finish(this.#machine.time);
    settle?.(this.#journal.append(this.#machine.appliedIndex, payload));
    const { bytesSinceSnapshot, lastSnapshotBytes } = this.#journal;
    const { persistence, snapshotBytes } = this.#settings;
    if (persistence === 'hybrid' && bytesSinceSnapshot >= Math.max(snapshotBytes, lastSnapshotBytes))
      this.#snapshotInBackground();
  }

  /** `plain`: key and value are known to be nothing but ASCII. `slot`: of the key, where it is known. */
  #put(key: string, value: string, ttl: number | undefined, plain = false, slot?: number): void {
    const { maxKeySize, maxValueSize, maxEntries, defaultTtl } = this.#settings;
    if (key.length > maxKeySize) throw tooLarge('KEY_TOO_LARGE', 'key', key.length, maxKeySize);
    if (value.length > maxValueSize) throw tooLarge('VALUE_TOO_LARGE', 'value', value.length, maxValueSize);
    const lives = ttl === undefined ? defaultTtl : wholeMs(ttl);
    const held = this.#held(value);
    this.#begin();
    if (this.#settings.onExpire !== null) this.#expireDue();
    if (this.#machine.size >= maxEntries && this.#machine.stored(key) === undefined) this.#makeRoom(1);
    this.#sets++;
    // Never before the time of the entry, which a clock that was put back does not undo.
    const expiresAt = lives === 0 ? 0 : deadlineIn(lives, Math.max(now(), this.#machine.time));
    const { size } = this.#machine;
    const known = slot === undefined ? undefined : this.#recent.entry(slot);
    const entry = this.#machine.put(key, held, expiresAt, known);
    if (plain && typeof held === 'string') {
      notePlain(entry);
      if (this.#isLasting(entry)) {
        if (slot !== undefined) this.#recent.put(slot, held, entry);
        // Not what is new: many are written once and seldom read.
        else if (this.#machine.size === size) this.#recent.add(key, held, entry);
      }
    }
    if (this.#journal !== null) {
      if (typeof held !== 'string') this.#batch.addPut(key, held, expiresAt);
      else if (expiresAt === 0) this.#batch.addCommand([SET, key, held]);
      else this.#batch.addCommand([SET, key, held, PXAT, String(expiresAt)]);
    }
    this.#wrote();
  }

  /** The value as the options want it kept. */
  #held(value: string): string | Packed {
    const { valueCompression, valueCompressionMinSize } = this.#settings;
    if (valueCompression === 'none' || value.length < valueCompressionMinSize) return value;
    return Packed.of(value, valueCompression) ?? value;
  }

  #remove(key: string): boolean {
    this.#deletes++;
    return this.#run(DEL, ['DEL', key]) === 1;
  }

  /** Runs a command that answers with a number. */
  #run(command: DataCommand, args: readonly string[]): Value {
    const reply = new ValueReply(command.name, false);
    this.#write(command, args, reply);
    return reply.result();
  }

  #write(command: DataCommand, args: readonly string[], reply: ValueReply): void {
    this.#checkSizes(command, args);
    this.#begin();
    // The command sees the time of the entry; what reads do not see any more it must not find.
    this.#expireDue();
    if (this.#settings.maxEntries !== Infinity && command.flags.includes('denyoom'))
      this.#makeRoomFor(command, args);
    this.#machine.execute(command, args, reply);
    if (this.#journal !== null) this.#batch.addCommand(args);
    this.#wrote();
  }

  #apply(operations: readonly Operation[]): Promise<BatchResult> {
    const { maxKeySize, maxValueSize } = this.#settings;
    let bytes = 0;
    for (const { key, value, ttl } of operations) {
      bytes += key.length + (value?.length ?? 0);
      if (ttl !== undefined) wholeMs(ttl);
      if (key.length > maxKeySize) throw tooLarge('KEY_TOO_LARGE', 'key', key.length, maxKeySize);
      if (value !== null && value.length > maxValueSize)
        throw tooLarge('VALUE_TOO_LARGE', 'value', value.length, maxValueSize);
    }
    if (this.#journal !== null && bytes > TOGETHER_BYTES_MAX)
      throw tooLarge('VALUE_TOO_LARGE', 'batch', bytes, TOGETHER_BYTES_MAX);
    if (operations.length > 0) this.#begin();
    else this.#check();
    this.#checkRoom(operations);
    let deleted = 0;
    this.#telling.held = true;
    try {
      for (const { key, value, ttl, plain } of operations) {
        if (value !== null) this.#put(key, value, ttl, plain, plain ? this.#recent.slot(key) : undefined);
        else if (this.#remove(key)) deleted++;
      }
    } finally {
      this.#telling.held = false;
    }
    this.#wrote();
    const result = { successful: operations.length, failed: 0, deleted };
    return this.#durable.then(() => result);
  }

  #allows(key: string, { nx = false, xx = false }: SetOptions): boolean {
    if (nx && xx)
      throw new StoreError('INVALID_ARGUMENT', 'nx and xx together allow nothing; give one of them');
    const there = this.#find(key) !== undefined;
    return nx ? !there : !xx || there;
  }

  /** Throws where the operations would fill the store and nobody could make room for all of them. */
  #checkRoom(operations: readonly Operation[]): void {
    const { maxEntries, eviction } = this.#settings;
    if (maxEntries === Infinity || (eviction !== 'none' && eviction !== 'ttl')) return;
    this.#expireDue();
    const there = new Map<string, boolean>();
    let { size, expiring } = this.#machine;
    let sizeMax = 0;
    for (const { key, value } of operations) {
      const stored = this.#machine.stored(key);
      // Those that the operations are about may be there again when they have gone.
      if (!there.has(key) && stored !== undefined && stored.expiresAt !== 0) expiring--;
      const was = there.get(key) ?? stored !== undefined;
      if (value === null && was) size--;
      if (value !== null && !was) sizeMax = Math.max(sizeMax, ++size);
      there.set(key, value !== null);
    }
    if (sizeMax - maxEntries > (eviction === 'ttl' ? expiring : 0)) throw full(maxEntries);
  }

  #makeRoomFor(command: DataCommand, args: readonly string[]): void {
    // Of the keys of others some are read, and at most one is new.
    const isMany = command.name === 'mset' || command.name === 'msetnx';
    if (!isMany && this.#machine.size < this.#settings.maxEntries) return;
    const keys = new Set(keysOf(command, args));
    let missing = 0;
    for (const key of keys) if (this.#machine.stored(key) === undefined) missing++;
    if (isMany) this.#makeRoom(missing, keys);
    else this.#makeRoom(Math.min(missing, 1));
  }

  /** Has others go until there is room for so many more; `wanted`: whose room is wanted again when they go. */
  #makeRoom(more: number, wanted?: ReadonlySet<string>): void {
    const { maxEntries, onEvict } = this.#settings;
    if (more === 0) return;
    if (more > maxEntries) throw full(maxEntries);
    let free = more;
    while (this.#machine.size + free > maxEntries) {
      const at = now();
      const [due] = this.#machine.dueKeys(at, 1);
      // Of others only a part has expired.
      if (due !== undefined && this.#machine.find(due, at) === undefined) {
        this.#expire([due], at);
        if (wanted?.has(due) === true) free++;
        continue;
      }
      const chosen = this.#order?.next();
      if (chosen === undefined) throw full(maxEntries);
      const value = onEvict === null ? null : this.#valueOf(chosen);
      this.#machine.evict([chosen]);
      if (this.#journal !== null) this.#batch.addEvict([chosen]);
      this.#evicted++;
      if (wanted?.has(chosen) === true) free++;
      this.#noteChanges();
      if (onEvict !== null) this.#telling.add(() => onEvict(toText(chosen), value));
    }
  }

  /** Removes what has expired, for as long as there is some of it: a part in each turn, and what else goes on in between. */
  #cleanUp(): void {
    if (!this.#machine.hasDue(now()) || !this.#mayWrite()) return;
    this.#expireDue();
    this.#wrote();
    if (this.#cleaning !== null) return;
    this.#cleaning = setTimeout(() => {
      this.#cleaning = null;
      this.#cleanUp();
    }, 0).unref();
  }

  /** Removes what has expired, in the entry of this turn. */
  #expireDue(): void {
    // Most stores have no deadlines, and this runs with every command.
    if (!this.#machine.hasDue(Number.MAX_VALUE)) return;
    const at = now();
    if (this.#machine.hasDue(at)) this.#expire(this.#machine.dueKeys(at, EXPIRED_AT_ONCE), at);
  }

  /** Keys whose time is over at `at`, or that of a part of what they hold. */
  #expire(keys: readonly string[], at: number): void {
    const { onExpire } = this.#settings;
    const gone = [...new Set(keys)].filter((key) => this.#machine.find(key, at) === undefined);
    if (onExpire !== null)
      for (const key of gone) {
        const value = this.#valueOf(key);
        this.#telling.add(() => onExpire(toText(key), value));
      }
    this.#expired += gone.length;
    if (this.#machine.time >= at) {
      this.#machine.expire(keys);
      if (this.#journal !== null) this.#batch.addExpire(keys);
    } else if (gone.length > 0) {
      // For the entry of this turn, which began before, their time has not come; parts can wait for the next one.
      this.#machine.evict(gone);
      if (this.#journal !== null) this.#batch.addEvict(gone);
    }
    this.#noteChanges();
  }

  #refresh(key: string, expiresAt: number): void {
    const { defaultTtl } = this.#settings;
    const deadline = deadlineIn(defaultTtl, now());
    if (deadline - expiresAt < defaultTtl * REFRESH_SHARE || !this.#mayWrite()) return;
    this.#run(PEXPIREAT, ['PEXPIREAT', key, String(deadline)]);
  }

  #valueOf(key: string): string | null {
    const value = this.#machine.stored(key)?.value;
    return value !== undefined && isString(value) ? toText(textOf(value)) : null;
  }

  #checkSizes(command: DataCommand, args: readonly string[]): void {
    const { maxKeySize, maxValueSize } = this.#settings;
    for (const key of keysOf(command, args))
      if (key.length > maxKeySize) throw tooLarge('KEY_TOO_LARGE', 'key', key.length, maxKeySize);
    for (const arg of args)
      if (arg.length > maxValueSize) throw tooLarge('VALUE_TOO_LARGE', 'argument', arg.length, maxValueSize);
  }

  #listener(): StoreListener {
    return {
      changed: (key) => {
        this.#recent.changed(key);
        if (this.#listening) this.#changed.push(key);
      },
      cleared: () => this.#noteCleared(),
      event: (type, _event, key) => {
        if (type === 'n') this.#index.changed(key);
      },
      message: () => 0,
      metaChanged() {},
      refused() {},
      restored: () => this.#noteCleared(),
    };
  }

  /** A write is done, and in the entry of this turn. */
  #wrote(): void {
    if (this.#changed.length > 0) this.#noteChanges();
    this.#telling.tell();
  }

  #noteChanges(): void {
    const keys = this.#changed.length === 1 ? this.#changed : new Set(this.#changed);
    this.#changed = [];
    const watched = this.#watchers.size > 0 || this.listenerCount('change') > 0;
    for (const key of keys) {
      const value = this.#machine.stored(key)?.value;
      if (value === undefined) {
        this.#index.changed(key);
        this.#order?.gone(key);
      } else this.#order?.used(key);
      if (!watched) continue;
      this.#noteChange(
        value === undefined
          ? { type: 'delete', key: toText(key) }
          : { type: 'set', key: toText(key), value: isString(value) ? toText(textOf(value)) : null },
      );
    }
  }

  #noteCleared(): void {
    this.#recent.clear();
    if (!this.#listening) return;
    this.#changed = [];
    this.#index.forget();
    if (this.#order !== null) {
      this.#order.cleared();
      for (const key of allKeys(this.#machine)) this.#order.used(key);
    }
    this.#noteChange({ type: 'clear' });
  }

  #noteChange(change: Change): void {
    this.#telling.add(() => {
      this.#watchers.tell(change);
      this.emit('change', change);
    });
  }

  #check(): void {
    if (this.#closed) throw closed();
  }
}

function commandNamed(name: string): DataCommand {
  const command = dataCommands.get(name);
  if (command === undefined) throw new Error(`the table has no ${name}`);
  return command;
}

/** The text of a string; undefined where it is something else. */
function textFound({ value, plain }: Visited): string | undefined {
  if (plain && typeof value === 'string') return value;
  return isString(value) ? toText(textOf(value)) : undefined;
}

/** Replaces what the state machine holds by what is in the file. */
async function readInto(machine: StateMachine, file: string, index: number): Promise<void> {
  try {
    await decodeAll(machine.beginRestore(index), readSnapshotFile(file));
  } catch (error) {
    throw refusal(file, error);
  }
}

/** All of a string's bytes. */
function stringOf(value: StoredValue): string {
  if (!isString(value))
    throw new CommandError('get', 'WRONGTYPE Operation against a key holding the wrong kind of value');
  return textOf(value);
}

function wholeMs(ttl: number, zero = 'for ever'): number {
  if (!Number.isFinite(ttl) || ttl < 0)
    throw new StoreError('INVALID_ARGUMENT', `ttl: ${ttl}; expected milliseconds, from 0 (${zero}) on`);
  return Math.ceil(ttl);
}

/** In ms since 1970. */
function deadlineIn(ms: number, at: number): number {
  return Math.min(at + ms, Number.MAX_SAFE_INTEGER);
}

function tooLarge(
  code: 'KEY_TOO_LARGE' | 'VALUE_TOO_LARGE',
  what: string,
  bytes: number,
  max: number,
): StoreError {
  return new StoreError(code, `a ${what} of ${bytes} bytes; the store takes at most ${max}`);
}

function full(max: number): StoreError {
  return new StoreError(
    'STORE_FULL',
    `the store holds ${max} entries, as many as maxEntries allows; delete some, or choose an eviction`,
  );
}

function closed(): StoreError {
  return new StoreError('CLOSED', 'the store is closed');
}
