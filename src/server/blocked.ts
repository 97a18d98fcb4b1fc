/**
 * Clients that wait for a key: what becomes of BLPOP and its kin when there is nothing to give.
 *
 * ```
 *   first run ──nothing──▶ in the line of each key ──a key changed──▶ run again, for that key ──▶ answered
 *                              ▲    │                                   │
 *                              │    └─▶ timeout, CLIENT UNBLOCK,        │
 *                              │        client or leadership lost       │
 *                              └───────────────nothing──────────────────┘
 * ```
 *
 * Only this node knows who waits; nothing of it is in the log. Each run is a write like any other, and one that finds
 * nothing changes nothing. So a client that waits costs the cluster one entry when it comes and one when it is served.
 *
 * Who came first is served first. A key that has changed calls no more clients than it may have something for: as many as
 * a list or a sorted set has elements, and of the readers of a stream's group as many as there were changes. Each one's
 * success is the change that calls the next. Readers without a group take nothing away: all of them are answered, from
 * the state as it is applied here. That is linearizable, on any node: what they wait for was committed after they asked.
 *
 * Whoever is called and finds nothing (others may come in between) keeps its place. Whatever ends the wait of a client
 * that was called comes too late when its run has left: the run's outcome is its answer, unless it finds nothing.
 *
 * Without their leader nobody waits in silence: all are told so at once, and what had left has an unknown outcome.
 */
import type { CollectionType } from '../store/collection.ts';
import { type DataCommand, keysOf, type Watch } from '../store/command.ts';
import { forOneKey, groupOf } from '../store/commands/one-key.ts';
import type { Wait } from '../store/context.ts';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import type { Store } from '../store/store.ts';
import { List } from '../store/types/list.ts';
import { SortedSet } from '../store/types/sorted-set.ts';
import { Stream } from '../store/types/stream.ts';
import { typeOf, type Value } from '../store/value.ts';
import type { Clock } from './clock.ts';
import { type Client, type Request, tellUnknown, type Waits } from './engine.ts';
import { ERRORS, errorText } from './errors.ts';
import type { StoreEvents } from './store-events.ts';

/** Bytes of commands and keys of all who wait. Beyond it nobody else may. */
export const BLOCKED_BYTES_MAX: number = 64 * 1024 * 1024;
/** What a client that waits, and each key that it waits for, cost beside their bytes: objects, a place in a set, a timer. */
const WAITER_OVERHEAD_BYTES = 512;
const KEY_OVERHEAD_BYTES = 256;
/** When those are called again whose run was turned away: the disk is full, or leadership is being handed over. */
const CALL_AGAIN_MS = 100;
/** The longest time that a timer can be set to. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What the commands of a group wait for, by the group's name. */
const AWAITED: Readonly<Record<string, CollectionType>> = {
  list: 'list',
  'sorted-set': 'zset',
  stream: 'stream',
};

/** As Redis tells the readers of a group. */
const STREAM_GONE = 'UNBLOCKED the stream key no longer exists';
const GROUP_GONE = 'NOGROUP the consumer group this client was blocked on no longer exists';
const UNBLOCKED_BY_CLIENT = 'UNBLOCKED client unblocked via CLIENT UNBLOCK';

/** How a wait ends without having got anything: with the null reply, with an error, or for nobody. */
export type Ending =
  | { readonly kind: 'timeout' | 'gone' }
  | { readonly kind: 'error'; readonly text: string };

export const TIMED_OUT: Ending = { kind: 'timeout' };
/** The client has closed its connection. */
export const GONE: Ending = { kind: 'gone' };
export const UNBLOCKED: Ending = { kind: 'error', text: UNBLOCKED_BY_CLIENT };
/** This node does not lead any more, or stops. */
export const LEADER_LOST: Ending & { readonly kind: 'error' } = {
  kind: 'error',
  text: errorText(ERRORS.unblocked),
};

/** A command that has nothing to give yet, and whose it is. */
export interface Waiting {
  readonly client: Client;
  readonly command: DataCommand;
  readonly wait: Wait;
  /** The way of its further runs; `null`: here and at once, from what is applied. */
  readonly submit: ((request: Request) => void) | null;
  /** The versions of its keys when it was run: on another node, maybe. */
  readonly seen: readonly Watch[];
}

export type CommandRequest = Extract<Request, { kind: 'command' }>;

/** Those who wait for one kind of thing under one key, in the order in which they came. */
interface Line {
  readonly type: CollectionType;
  /** Of the group, where a stream's news are shared out in one; `nothing`: all of them get the same. */
  readonly takes: 'elements' | 'news' | 'nothing';
  readonly group: string;
  readonly waiters: Set<Waiter>;
  /** How many of them were called for this key and are on their way. */
  called: number;
}

/** Everyone who waits on this node. */
export class Blocked {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  /** By key, then by what is waited for. */
  readonly #lines = new Map<string, Map<string, Line>>();
  /** Keys to be looked at, and how often each has changed. */
  #changed = new Map<string, number>();
  /** Keys whose callers were turned away. */
  readonly #turnedAway = new Set<string>();
  #bytes = 0;
  #lookScheduled = false;
  #alarmSet = false;

  constructor(options: { store: Store; clock: Clock; events: StoreEvents }) {
    this.#store = options.store;
    this.#clock = options.clock;
    options.events.watch({
      changed: (key) => this.#note(key),
      cleared: () => this.#noteAll(),
      restored: () => {
        this.#noteAll();
        this.#lookSoon();
      },
    });
  }

  /** How many clients wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** What they take in memory, about, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a client in that waits from now on; `null` when there is no room. */
  add(waiting: Waiting): Waiter | null {
    const waiter = new Waiter(this, waiting);
    if (this.#bytes > 0 && this.#bytes + waiter.bytes > BLOCKED_BYTES_MAX) return null;
    this.#bytes += waiter.bytes;
    this.#waiters.add(waiter);
    for (const key of waiter.keys) this.#line(key, waiter).waiters.add(waiter);
    this.#setTimer(waiter, waiting.wait.timeoutMs);
    // This node may have applied by now what the other one had not when it ran the command.
    for (const { key, version } of waiting.seen) if (this.#store.version(key) > version) this.look(key);
    return waiter;
  }

  /** An entry is applied: calls those for whom it may have something. */
  applied(): void {
    while (this.#changed.size > 0) {
      const changed = this.#changed;
      this.#changed = new Map();
      for (const [key, changes] of changed) this.#callFor(key, changes);
    }
  }

  /** This node can't find out any more what they wait for. */
  leadershipLost(): void {
    for (const waiter of this.#waiters) waiter.end(LEADER_LOST);
  }

  /* ---- what a waiter tells ------------------------------------------------------------------------------------- */

  /** Looks at a key again, soon. */
  look(key: string): void {
    this.#note(key);
    this.#lookSoon();
  }

  /** A run for this key could not be made now. */
  turnedAway(key: string): void {
    this.#turnedAway.add(key);
    if (this.#alarmSet) return;
    this.#alarmSet = true;
    this.#clock.after(CALL_AGAIN_MS, () => {
      this.#alarmSet = false;
      for (const key of this.#turnedAway) this.#note(key);
      this.#turnedAway.clear();
      this.applied();
    });
  }

  /** It is on its way, or back from it. */
  counted(waiter: Waiter, key: string, difference: 1 | -1): void {
    const line = this.#lines.get(key)?.get(waiter.line);
    if (line !== undefined) line.called += difference;
  }

  remove(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    this.#bytes -= waiter.bytes;
    waiter.cancelTimer?.();
    for (const key of waiter.keys) {
      const lines = this.#lines.get(key);
      const line = lines?.get(waiter.line);
      if (lines === undefined || line === undefined) continue;
      line.waiters.delete(waiter);
      if (line.waiters.size === 0) lines.delete(waiter.line);
      if (lines.size === 0) this.#lines.delete(key);
    }
  }

  /** Runs a read on what is applied; false: it still finds nothing. */
  readHere(waiter: Waiter, key: string): boolean {
    const args = forOneKey(waiter.retry, key);
    return this.#store.readOrWait(waiter.command, args, waiter.reply, this.#store.time) === null;
  }

  /* ---- who is called ------------------------------------------------------------------------------------------- */

  #note(key: string): void {
    if (this.#lines.has(key)) this.#changed.set(key, (this.#changed.get(key) ?? 0) + 1);
  }

  #noteAll(): void {
    for (const key of this.#lines.keys()) this.#note(key);
  }

  #lookSoon(): void {
    if (this.#lookScheduled) return;
    this.#lookScheduled = true;
    this.#clock.soon(() => {
      this.#lookScheduled = false;
      this.applied();
    });
  }

  #callFor(key: string, changes: number): void {
    const value = this.#store.peek(key);
    for (const line of this.#lines.get(key)?.values() ?? []) {
      const text = line.takes === 'news' ? whyGone(value, line.group) : null;
      if (text !== null) for (const waiter of line.waiters) waiter.end({ kind: 'error', text });
      else if (value !== undefined && typeOf(value) === line.type)
        call(line, key, quota(line, value, changes));
    }
  }

  #line(key: string, waiter: Waiter): Line {
    let lines = this.#lines.get(key);
    if (lines === undefined) this.#lines.set(key, (lines = new Map()));
    let line = lines.get(waiter.line);
    if (line === undefined) lines.set(waiter.line, (line = emptyLine(waiter)));
    return line;
  }

  #setTimer(waiter: Waiter, timeoutMs: number): void {
    if (timeoutMs === 0) return;
    const ms = Math.min(timeoutMs, TIMER_MS_MAX);
    waiter.cancelTimer = this.#clock.after(ms, () => {
      if (timeoutMs > ms) this.#setTimer(waiter, timeoutMs - ms);
      else waiter.end(TIMED_OUT);
    });
  }
}

/** A client that waits. Its further runs are made in its name, and it passes their answer on. */
export class Waiter implements Client, Waits {
  readonly again = true;
  readonly keys: readonly string[];
  readonly command: DataCommand;
  readonly retry: readonly string[];
  /** The name of its line. */
  readonly line: string;
  readonly bytes: number;
  /** What ends its time. */
  cancelTimer: (() => void) | null = null;
  readonly #table: Blocked;
  readonly #client: Client;
  readonly #submit: Waiting['submit'];
  /** `called`: its run waits to leave. `away`: the run has left. */
  #state: 'waiting' | 'called' | 'away' | 'done' = 'waiting';
  /** The key that it was called for. */
  #calledFor = '';
  /** Keys that changed while it was not here. */
  #missed: Set<string> | null = null;
  #ending: Ending | null = null;

  constructor(table: Blocked, { client, command, wait, submit }: Waiting) {
    this.#table = table;
    this.#client = client;
    this.#submit = submit;
    this.command = command;
    this.keys = wait.keys;
    this.retry = wait.retry;
    const group = groupOf(wait.retry);
    this.line = group === null ? command.group : `${command.group} ${group}`;
    let bytes = WAITER_OVERHEAD_BYTES;
    for (const key of wait.keys) bytes += KEY_OVERHEAD_BYTES + key.length;
    for (const arg of wait.retry) bytes += arg.length;
    this.bytes = bytes;
  }

  /** Its key may have something: runs again. False: it is on its way already. */
  call(key: string): boolean {
    if (this.#state !== 'waiting') {
      (this.#missed ??= new Set()).add(key);
      return false;
    }
    if (this.#submit === null) {
      if (this.#table.readHere(this, key)) this.#done();
      return true;
    }
    this.#state = 'called';
    this.#calledFor = key;
    this.#table.counted(this, key, 1);
    const args = forOneKey(this.retry, key);
    this.#submit({ kind: 'command', client: this, command: this.command, args, once: null, waits: this });
    return true;
  }

  /** Ends the wait, once its run is back if that has left. */
  end(ending: Ending): void {
    if (this.#state === 'done') return;
    if (this.#state === 'away') {
      this.#ending ??= ending;
      return;
    }
    // The next one in line takes its place.
    if (this.#state === 'called') this.#back();
    if (ending.kind === 'timeout') this.#client.reply.nullArray();
    else if (ending.kind === 'error') this.#client.reply.error(ending.text);
    this.#done();
  }

  /* ---- what is told of its run --------------------------------------------------------------------------------- */

  get reply(): ReplyWriter {
    return this.#client.reply;
  }

  get remoteAddress(): string {
    return this.#client.remoteAddress ?? '';
  }

  get name(): string {
    return this.#client.name ?? '';
  }

  starts(): boolean {
    if (this.#state === 'called') this.#state = 'away';
    // Asked a second time, when the first one got nowhere.
    else if (this.#state === 'away' && this.#ending !== null) this.#comeBack();
    return this.#state === 'away';
  }

  nothingYet(): void {
    for (const key of this.#missed ?? []) this.#table.look(key);
    this.#comeBack();
  }

  refused(): void {
    this.#table.turnedAway(this.#calledFor);
    this.#comeBack();
  }

  /** Told also of a run that was refused: then it waits again by now. */
  settled(): void {
    if (this.#state !== 'away') return;
    this.#table.counted(this, this.#calledFor, -1);
    this.#done();
  }

  unknown(): void {
    tellUnknown(this.#client);
  }

  watched(): void {}

  repeated(): void {}

  /** Waits again, unless its time is over. */
  #comeBack(): void {
    this.#back();
    if (this.#ending !== null) this.end(this.#ending);
  }

  #back(): void {
    if (this.#state === 'called') this.#table.look(this.#calledFor);
    this.#table.counted(this, this.#calledFor, -1);
    this.#state = 'waiting';
    this.#missed = null;
  }

  #done(): void {
    this.#state = 'done';
    this.#table.remove(this);
    this.#client.settled(1);
  }
}

/**
 * Runs a command whose client may wait, in the entry that is open, or at `now` (ms since 1970) when it reads. False: it
 * waits, and has no answer.
 */
export function runOrWait(
  store: Store,
  { command, args, client }: CommandRequest,
  waits: Waits,
  now: number,
): boolean {
  // As in Redis: whoever waits for a list is not told that somebody has put something else there.
  const muted = waits.again && holdsAnother(store.peek(keysOf(command, args)[0] ?? ''), command);
  const reply = muted ? noReply : client.reply;
  const wait = command.write
    ? store.executeOrWait(command, args, reply)
    : store.readOrWait(command, args, reply, now);
  if (wait === null && !muted) return true;
  const seen = (wait?.keys ?? []).map((key) => ({ key, version: store.version(key) }));
  waits.nothingYet(wait, seen);
  return false;
}

/** Whether there is something under the key that the command does not wait for. */
function holdsAnother(value: Value | undefined, command: DataCommand): boolean {
  return value !== undefined && typeOf(value) !== AWAITED[command.group];
}

function emptyLine({ command, retry }: Waiter): Line {
  const type = AWAITED[command.group];
  if (type === undefined) throw new Error(`${command.name} is no command to wait with`);
  const group = groupOf(retry);
  const takes = group !== null ? 'news' : command.write ? 'elements' : 'nothing';
  return { type, takes, group: group ?? '', waiters: new Set(), called: 0 };
}

/** Why nothing can be expected for the group of a stream any more; `null` where that is not so. */
function whyGone(value: Value | undefined, group: string): string | null {
  if (!(value instanceof Stream)) return STREAM_GONE;
  return value.group(group) === undefined ? GROUP_GONE : null;
}

/** How many of the line the value may have something for. */
function quota({ takes, called }: Line, value: Value, changes: number): number {
  switch (takes) {
    case 'elements':
      return (value instanceof List || value instanceof SortedSet ? value.size : 1) - called;
    case 'news':
      return changes;
    case 'nothing':
      return Infinity;
  }
}

/** Calls the first `count` that are there. */
function call(line: Line, key: string, count: number): void {
  let left = count;
  for (const waiter of line.waiters) {
    if (left <= 0) return;
    if (waiter.call(key)) left -= 1;
  }
}
