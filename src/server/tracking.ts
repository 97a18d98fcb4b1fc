/**
 * CLIENT TRACKING: clients that keep what they have read are told when it changes.
 *
 * ```
 *   a client reads a key ──▶ remembered, as the read runs ─┐
 *                                                          ├─▶ `invalidate` behind the replies of the turn
 *   the key changes on this node, whoever wrote it ────────┘
 * ```
 *
 * What counts is this node alone: its store, leader's or follower's, tells of every change as it applies the log, be it a
 * write of whatever client, an expiry or an eviction. A read that runs on this node is remembered in the same step, so no
 * change falls between the two. A read that is passed on to the leader (`--proxy`) runs elsewhere, on a state that this node
 * may not have come to yet, or left behind before the reply is here: it is remembered when it leaves, and if the key has
 * changed by the time of the reply, the client is told once more, behind it, and of the next change, too. It may be told of a
 * change that its copy has already, never the other way round. A write that is passed on comes back as anybody's, so NOLOOP does not spare its client.
 *
 * A node that falls behind, cut off from the others, tells late: the copies are as old as its own state. When a snapshot takes
 * the place of its state it can't know what has changed: then, as after FLUSHALL, all copies are void.
 *
 * A connection that does not track costs nothing: those that do submit commands of their own, which remember what they read
 * before they run ({@link Tracker.following}), and the store is listened to only while there are any.
 */
import { type DataCommand, keysOf } from '../store/command.ts';
import type { Request } from './engine.ts';
import type { StoreEvents, StoreWatcher } from './store-events.ts';
import { pushOf, type Push, type Subscriber } from './subscriptions.ts';

/** Where RESP2 clients, which can't be told on the connection that reads, hear of changes on another one. */
const CHANNEL = '__redis__:invalidate';
/** Bytes of remembered keys; with more, some are forgotten and their clients told so. */
const TABLE_BYTES_MAX: number = 128 * 1024 * 1024;
/** What remembering a key takes beside its bytes, about. */
const KEY_OVERHEAD_BYTES = 64;

/** The setting that bounds how many keys are remembered. */
export const TABLE_SETTING = 'tracking-table-max-keys';

/** A connection as tracking sees it. */
export interface Reader extends Subscriber {
  readonly id: number;
  readonly protocol: 2 | 3;
}

export interface TrackingOptions {
  /** The connection that is told instead; 0 for none. */
  readonly redirect: number;
  /** Told of all changes of keys with these prefixes, whatever it reads. */
  readonly broadcast: boolean;
  /** Only the reads behind CLIENT CACHING YES are remembered, or all but those behind CLIENT CACHING NO. */
  readonly choice: 'in' | 'out' | null;
  /** Not told of what it changes itself. */
  readonly noLoop: boolean;
}

type Role = 'read' | 'write' | 'both';

/** What one connection wants to be told. */
export class Tracker {
  readonly prefixes: Set<string> = new Set();
  options: TrackingOptions;
  /** CLIENT CACHING was given for what comes next. */
  caching = false;
  /** The connection that should be told is gone. */
  redirectBroken = false;
  /** `null` once it wants nothing more. */
  reader: Reader | null;

  readonly #tracking: Tracking;
  /** What stands in for commands: as reads, as writes, as both. */
  readonly #made: Readonly<Record<Role, Map<DataCommand, DataCommand>>> = {
    read: new Map(),
    write: new Map(),
    both: new Map(),
  };
  /** What was made of those that read. */
  readonly #reads = new Set<DataCommand>();
  /** Keys of reads that were passed on to the leader and are not answered. */
  #away: string[] = [];

  constructor(tracking: Tracking, reader: Reader, options: TrackingOptions) {
    this.#tracking = tracking;
    this.reader = reader;
    this.options = options;
  }

  /** The command to be run in place of `command`: it does the same, and tracking knows of it. */
  following(command: DataCommand): DataCommand {
    const reads = this.#remembers(command);
    const writes = command.write && this.options.noLoop;
    if (reads) return this.#standIn(command, writes ? 'both' : 'read');
    return writes ? this.#standIn(command, 'write') : command;
  }

  #remembers({ flags, categories }: DataCommand): boolean {
    const { broadcast, choice } = this.options;
    if (broadcast || (choice !== null && this.caching !== (choice === 'in'))) return false;
    return flags.includes('readonly') || categories.includes('scripting');
  }

  /** The request goes to the leader instead of being run here. */
  passedOn(request: Request): void {
    const calls =
      request.kind === 'command' ? [request] : request.kind === 'transaction' ? request.calls : [];
    for (const { command, args } of calls) {
      if (!this.#reads.has(command)) continue;
      for (const key of keysOf(command, args)) {
        this.#tracking.remember(this, key);
        this.#away.push(key);
      }
    }
  }

  /** All that was passed on is answered. */
  answered(): void {
    if (this.#away.length === 0) return;
    const keys = new Set(this.#away);
    this.#away = [];
    for (const key of keys) this.#tracking.tellIfForgotten(this, key);
  }

  #standIn(command: DataCommand, role: Role): DataCommand {
    const made = this.#made[role];
    const known = made.get(command);
    if (known !== undefined) return known;
    const standIn: DataCommand = {
      ...command,
      run: (context, args, reply) => {
        const keys = role === 'write' ? [] : keysOf(command, args);
        for (const key of keys) this.#tracking.remember(this, key);
        if (role !== 'read') this.#tracking.writer = this;
        command.run(context, args, reply);
        if (role !== 'read') {
          // That a collection which it emptied is removed belongs to it.
          context.keyspace.settle();
          this.#tracking.writer = null;
        }
        // A script may have changed a key and read it then.
        if (command.write) for (const key of keys) this.#tracking.remember(this, key);
      },
    };
    made.set(command, standIn);
    if (role !== 'write') this.#reads.add(standIn);
    return standIn;
  }
}

/** Those who are told of all keys with a prefix. */
interface Broadcast {
  readonly trackers: Set<Tracker>;
  /** What has changed since they were told, and who did it; `null`: somebody else, or several. */
  readonly changed: Map<string, Tracker | null>;
}

export class Tracking {
  /** Whose write runs, if it is one that need not hear of it. */
  writer: Tracker | null = null;

  readonly #events: StoreEvents;
  readonly #readers: ReadonlyMap<number, Reader>;
  readonly #trackers = new Set<Tracker>();
  /** By key, those who may have a copy; nearly always one. Some of them may want nothing more by now. */
  readonly #table = new Map<string, Tracker | Set<Tracker>>();
  #tableBytes = 0;
  #items = 0;
  /** 0: as many as there are. */
  #keysMax = 0;
  readonly #prefixes = new Map<string, Broadcast>();
  #broadcastScheduled = false;
  /** The key that the running write has changed, of which its client was not told. */
  #unsaid: string | null = null;
  #unwatch: (() => void) | null = null;
  readonly #watcher: StoreWatcher = {
    changed: (key) => this.#changed(key),
    cleared: () => this.#clearedAll(),
    restored: () => this.#clearedAll(),
    event: (type, event, key) => {
      // Its own write has met something that was gone: that is news to it.
      if (key === this.#unsaid && (type === 'x' || event === 'hexpired') && this.writer !== null)
        this.#tell(this.writer, [key]);
    },
  };

  /** `readers`: all connections of this node. */
  constructor(events: StoreEvents, readers: ReadonlyMap<number, Reader>) {
    this.#events = events;
    this.#readers = readers;
  }

  set keysMax(keys: number) {
    this.#keysMax = keys;
  }

  /** How many connections track; how many keys, copies and prefixes that makes. */
  get clients(): number {
    return this.#trackers.size;
  }

  get keys(): number {
    return this.#table.size;
  }

  get items(): number {
    return this.#items;
  }

  get prefixes(): number {
    return this.#prefixes.size;
  }

  /** Begins to track for a connection, or goes on with other options. */
  start(
    tracker: Tracker | null,
    reader: Reader,
    options: TrackingOptions,
    prefixes: readonly string[],
  ): Tracker {
    const own = tracker ?? new Tracker(this, reader, options);
    own.options = options;
    own.redirectBroken = false;
    this.#trackers.add(own);
    this.#unwatch ??= this.#events.watch(this.#watcher);
    if (!options.broadcast) return own;
    for (const prefix of prefixes.length === 0 ? [''] : prefixes) {
      own.prefixes.add(prefix);
      const broadcast = this.#prefixes.get(prefix);
      if (broadcast === undefined)
        this.#prefixes.set(prefix, { trackers: new Set([own]), changed: new Map() });
      else broadcast.trackers.add(own);
    }
    return own;
  }

  /** The connection wants nothing more. What is remembered of it is forgotten when a key changes. */
  end(tracker: Tracker): void {
    tracker.reader = null;
    this.#trackers.delete(tracker);
    for (const prefix of tracker.prefixes) {
      const broadcast = this.#prefixes.get(prefix);
      broadcast?.trackers.delete(tracker);
      if (broadcast?.trackers.size === 0) this.#prefixes.delete(prefix);
    }
    if (this.#trackers.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = null;
    this.#forgetAll();
  }

  /** The tracker's connection is given what the key holds. */
  remember(tracker: Tracker, key: string): void {
    if (tracker.reader === null) return;
    const known = this.#table.get(key);
    if (known === tracker) return;
    if (known === undefined) {
      this.#table.set(key, tracker);
      this.#tableBytes += key.length + KEY_OVERHEAD_BYTES;
    } else if (known instanceof Tracker) this.#table.set(key, new Set([known, tracker]));
    else if (known.has(tracker)) return;
    else known.add(tracker);
    this.#items += 1;
    if (known === undefined) this.#makeRoom();
  }

  /**
   * Tells the tracker that the key has changed unless it is still remembered, and remembers it again: a client that hears of
   * it together with its reply may look at the reply last.
   */
  tellIfForgotten(tracker: Tracker, key: string): void {
    const known = this.#table.get(key);
    if (known === tracker || (known instanceof Set && known.has(tracker))) return;
    this.#tell(tracker, [key]);
    this.remember(tracker, key);
  }

  /** Forgets those that have been remembered for longest while there are too many. */
  #makeRoom(): void {
    for (const [key, known] of this.#table) {
      const tooMany = this.#keysMax > 0 && this.#table.size > this.#keysMax;
      // Not the one that has just come, however long it is.
      if ((!tooMany && this.#tableBytes <= TABLE_BYTES_MAX) || this.#table.size === 1) return;
      this.#invalidate(key, known);
    }
  }

  #changed(key: string): void {
    if (this.#prefixes.size > 0) this.#noteForPrefixes(key);
    const known = this.#table.get(key);
    if (known !== undefined) this.#invalidate(key, known);
  }

  #invalidate(key: string, known: Tracker | Set<Tracker>): void {
    this.#table.delete(key);
    this.#tableBytes -= key.length + KEY_OVERHEAD_BYTES;
    this.#items -= known instanceof Tracker ? 1 : known.size;
    const keys = [key];
    for (const tracker of known instanceof Tracker ? [known] : known) {
      if (tracker === this.writer) this.#unsaid = key;
      else this.#tell(tracker, keys);
    }
  }

  /** Everything has changed. */
  #clearedAll(): void {
    this.#forgetAll();
    for (const tracker of this.#trackers) this.#tell(tracker, null);
  }

  #forgetAll(): void {
    this.#table.clear();
    this.#tableBytes = 0;
    this.#items = 0;
  }

  /* ---- broadcasts ---------------------------------------------------------------------------------------------- */

  #noteForPrefixes(key: string): void {
    for (const [prefix, { changed }] of this.#prefixes) {
      if (!key.startsWith(prefix)) continue;
      const before = changed.get(key);
      changed.set(key, before === undefined || before === this.writer ? this.writer : null);
      if (this.#broadcastScheduled) continue;
      this.#broadcastScheduled = true;
      // Once for all that one turn of the event loop has applied.
      process.nextTick(() => this.#broadcast());
    }
  }

  #broadcast(): void {
    this.#broadcastScheduled = false;
    for (const prefix of [...this.#prefixes.keys()].sort()) {
      const broadcast = this.#prefixes.get(prefix);
      if (broadcast === undefined || broadcast.changed.size === 0) continue;
      const { trackers, changed } = broadcast;
      const keys = [...changed.keys()].sort();
      const all = new Messages(keys);
      for (const tracker of trackers) {
        const news = tracker.options.noLoop ? keys.filter((key) => changed.get(key) !== tracker) : keys;
        if (news.length > 0) this.#send(tracker, news.length === keys.length ? all : new Messages(news));
      }
      changed.clear();
    }
  }

  /* ---- messages ------------------------------------------------------------------------------------------------ */

  /** `keys` null: all there are. */
  #tell(tracker: Tracker, keys: readonly string[] | null): void {
    this.#send(tracker, new Messages(keys));
  }

  #send(tracker: Tracker, messages: Messages): void {
    const { reader, options } = tracker;
    if (reader === null) return;
    const target = options.redirect === 0 ? reader : this.#readers.get(options.redirect);
    if (target === undefined) {
      tracker.redirectBroken = true;
      if (reader.protocol === 3) reader.push(redirectBroken(options.redirect));
    } else if (target.protocol === 3 || (options.redirect !== 0 && listens(target)))
      target.push(messages.push);
  }
}

/** What is sent of some keys, made when somebody wants it. */
class Messages {
  readonly #keys: readonly string[] | null;
  #push: Push | null = null;

  constructor(keys: readonly string[] | null) {
    this.#keys = keys;
  }

  get push(): Push {
    this.#push ??= invalidation(this.#keys);
    return this.#push;
  }
}

function invalidation(keys: readonly string[] | null): Push {
  const head = pushOf(['invalidate']).resp3.replace('>1', '>2');
  const message = pushOf(['message', CHANNEL]).resp2.replace('*2', '*3');
  if (keys === null) return { resp2: `${message}$-1\r\n`, resp3: `${head}_\r\n` };
  const names = pushOf(keys).resp2;
  return { resp2: message + names, resp3: head + names };
}

function redirectBroken(id: number): Push {
  const { resp3 } = pushOf(['tracking-redir-broken']);
  return { resp2: '', resp3: `${resp3.replace('>1', '>2')}:${id}\r\n` };
}

function listens({ subscribed: { channels, patterns, shards } }: Reader): boolean {
  return channels.size + patterns.size + shards.size > 0;
}
