/**
 * Clients that use a cluster while something is done to it, and a record of all that they asked and were told.
 *
 * ```ts
 * const workload = Workload.start({ addresses: () => cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })) });
 * await workload.progress(300);          // 300 more acknowledged writes from now on
 * await cluster.kill(leader);
 * await workload.progress(300);
 * const report = await workload.stop();  // reads every key once more, then ends
 * expectLinearizable(report.history);
 * ```
 *
 * Every client has one operation under way at a time, on one of a few keys: registers (SET with its conditions, DEL,
 * compare and set with WATCH), counters (INCRBY), lists to append to (APPEND), and pairs of keys that transactions
 * append to together. Every written value is written once in the whole history, so that an answer says which write it
 * saw. A key is left for a fresh one after some hundred operations: it keeps values short and checking fast. All keys
 * are read once more at the end, so an acknowledged write that is lost contradicts the history.
 *
 * Half of the clients are impatient and leave a silent node soon; the others wait for longer than most pauses last, so
 * that a node that wakes up finds requests both from before its pause and from later.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, Operation, Reply } from '../linearizability/history.ts';
import { ClusterClient, type Result } from './cluster-client.ts';
import { type Address, ReplyError } from './resp-client.ts';

export interface WorkloadOptions {
  /** Where nodes can be found, now; asked again whenever a client looks for one. */
  readonly addresses: () => readonly Address[];
  /** Turns an address named in a redirect into one that can be reached from here. Default: as it is. */
  readonly reachable?: (named: Address) => Address;
  /** How many clients read and write. Default 8. */
  readonly clients?: number;
  /** How many more only read, from any node, on READONLY connections. Default 0. */
  readonly followerReaders?: number;
  /** About how many operations all clients together start in a second. Default 1000. */
  readonly operationsPerSecond?: number;
}

export interface Report {
  readonly history: readonly Operation[];
  readonly acknowledgedWrites: number;
  readonly acknowledgedReads: number;
  readonly unknownWrites: number;
  readonly seconds: number;
  readonly writesPerSecond: number;
  /** The longest time without an acknowledged write. */
  readonly longestGapMs: number;
  /** Acknowledged appends that are missing at the end. */
  readonly lost: readonly string[];
}

/** Operations in a history; a workload that would need more fails. */
export const HISTORY_MAX = 200_000;
const OPERATIONS_PER_KEY = 200;
const IMPATIENCE_MS = 300;
const PATIENCE_MS = 10_000;
/** For the reads at the end, when the cluster should be well again, and for {@link Workload.progress}. */
const RECOVERY_MS = 60_000;
const POLL_MS = 10;

type Kind = 'register' | 'counter' | 'list' | 'pair';
/** The kinds of keys in use at a time. */
const SLOTS: readonly Kind[] = ['register', 'register', 'counter', 'list', 'list', 'pair'];

/** The keys that one slot uses now. */
interface Slot {
  readonly kind: Kind;
  keys: readonly string[];
  uses: number;
}

export class Workload {
  readonly #clients: ClusterClient[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #history: Operation[] = [];
  readonly #keys: (readonly string[])[] = [];
  readonly #slots: Slot[];
  /** Keys of other workloads on the same cluster are never touched. */
  readonly #prefix: string = randomUUID().slice(0, 8);
  readonly #pauseMs: number;
  readonly #startedAt = performance.now();
  #lastWriteAt = this.#startedAt;
  #longestGapMs = 0;
  #acknowledgedWrites = 0;
  #acknowledgedReads = 0;
  #stopped = false;
  #failure: unknown = null;

  private constructor(options: WorkloadOptions) {
    const { addresses, reachable = (named) => named, clients = 8, followerReaders = 0 } = options;
    this.#pauseMs = ((clients + followerReaders) * 1000) / (options.operationsPerSecond ?? 1000);
    this.#slots = SLOTS.map((kind) => ({ kind, keys: this.#freshKeys(kind), uses: 0 }));
    for (let at = 0; at < clients + followerReaders; at += 1) {
      const readonly = at >= clients;
      const patienceMs = at % 2 === 0 ? IMPATIENCE_MS : PATIENCE_MS;
      const client = new ClusterClient({ addresses, reachable, patienceMs, readonly });
      this.#clients.push(client);
      this.#running.push(this.#run(client, `c${at}`, readonly));
    }
  }

  static start(options: WorkloadOptions): Workload {
    return new Workload(options);
  }

  get acknowledgedWrites(): number {
    return this.#acknowledgedWrites;
  }

  /** Waits until so many more writes are acknowledged. */
  async progress(writes: number): Promise<void> {
    const goal = this.#acknowledgedWrites + writes;
    const deadline = performance.now() + RECOVERY_MS;
    while (this.#acknowledgedWrites < goal) {
      if (this.#failure !== null) throw this.#failure;
      if (performance.now() > deadline) {
        const missing = goal - this.#acknowledgedWrites;
        throw new Error(`${missing} of ${writes} writes were not acknowledged in ${RECOVERY_MS} ms`);
      }
      await sleep(POLL_MS);
    }
  }

  /** Ends the load, reads every key once more and reports. Fails if a client got an answer that it can't explain. */
  async stop(): Promise<Report> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#noteGap();
    const seconds = (performance.now() - this.#startedAt) / 1000;
    if (this.#failure === null) await this.#readAll();
    for (const client of this.#clients) client.close();
    if (this.#failure !== null) throw this.#failure;
    return {
      history: this.#history,
      acknowledgedWrites: this.#acknowledgedWrites,
      acknowledgedReads: this.#acknowledgedReads,
      unknownWrites: this.#history.filter(({ outcome }) => outcome === null).length,
      seconds,
      writesPerSecond: Math.round(this.#acknowledgedWrites / seconds),
      longestGapMs: Math.round(this.#longestGapMs),
      lost: lostAppends(this.#history),
    };
  }

  async #run(client: ClusterClient, name: string, readonly: boolean): Promise<void> {
    try {
      for (let count = 0; !this.#stopped && this.#failure === null; count += 1) {
        if (this.#history.length >= HISTORY_MAX) {
          throw new Error(
            `the history has ${HISTORY_MAX} operations: stop earlier, or lower operationsPerSecond`,
          );
        }
        const startedAt = performance.now();
        await this.#operate(client, name, `${name}.${count};`, readonly);
        const pause = this.#pauseMs * 2 * Math.random() - (performance.now() - startedAt);
        if (pause > 1) await sleep(pause);
      }
    } catch (error) {
      this.#failure ??= error;
    }
  }

  /** One operation. `token` is the value that it writes, if any: nobody else writes it. */
  async #operate(client: ClusterClient, name: string, token: string, readonly: boolean): Promise<void> {
    const { kind, keys } = this.#slot();
    const [key = ''] = keys;
    const dice = readonly ? 0 : Math.random();
    if (dice < 0.35)
      await this.#execute(
        client,
        name,
        keys.map((each): Call => ['GET', each]),
      );
    else if (kind === 'register' && dice < 0.5) await this.#compareAndSet(client, name, key, token);
    else await this.#execute(client, name, writeOf(kind, keys, token));
  }

  /** A key's turn; every so often its slot moves on to fresh ones. */
  #slot(): Slot {
    const slot = this.#slots[Math.floor(Math.random() * this.#slots.length)]!;
    slot.uses += 1;
    if (slot.uses > OPERATIONS_PER_KEY) {
      slot.keys = this.#freshKeys(slot.kind);
      slot.uses = 1;
    }
    return slot;
  }

  #freshKeys(kind: Kind): readonly string[] {
    const key = `${this.#prefix}:${kind}${this.#keys.length}`;
    const keys = kind === 'pair' ? [`${key}:a`, `${key}:b`] : [key];
    this.#keys.push(keys);
    return keys;
  }

  async #execute(client: ClusterClient, name: string, calls: readonly Call[]): Promise<void> {
    const invoked = performance.now();
    this.#record(name, invoked, calls, await client.execute(calls, () => this.#stopped));
  }

  /** Reads a register and sets it if nobody has changed it meanwhile: what is recorded is the transaction alone. */
  async #compareAndSet(client: ClusterClient, name: string, key: string, token: string): Promise<void> {
    const { connection } = client;
    if (connection === null) return;
    const watched = await client.send(connection, [
      ['WATCH', key],
      ['GET', key],
    ]);
    const refusal = watched?.find((reply) => reply instanceof ReplyError);
    if (refusal !== undefined) await client.refused(refusal);
    if (watched === null || refusal !== undefined) return;
    const calls: Call[] = [
      ['GET', key],
      ['SET', key, token],
    ];
    const invoked = performance.now();
    const result = await client.executeOn(connection, calls);
    // A failed comparison is no operation at all; if it was executed nevertheless, a later read sees a value from nowhere.
    if (result.kind === 'answered' && result.replies.length < calls.length) return;
    if (result.kind === 'answered' && result.replies[0] !== watched[1]) {
      const seen = JSON.stringify([watched[1], result.replies[0]]);
      throw new Error(`EXEC succeeded though ${key} had changed between WATCH and EXEC: ${seen}`);
    }
    this.#record(name, invoked, calls, result);
  }

  #record(client: string, invoked: number, calls: readonly Call[], result: Result): void {
    const write = calls.some(([command]) => command !== 'GET');
    switch (result.kind) {
      case 'answered': {
        const returned = performance.now();
        const replies = result.replies.map(understood);
        this.#history.push({ client, invoked, calls, outcome: { returned, replies } });
        if (!write) this.#acknowledgedReads += 1;
        else {
          this.#acknowledgedWrites += 1;
          this.#noteGap();
        }
        break;
      }
      case 'unknown':
        if (write) this.#history.push({ client, invoked, calls, outcome: null });
        break;
      case 'refused':
        break;
    }
  }

  #noteGap(): void {
    const now = performance.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastWriteAt);
    this.#lastWriteAt = now;
  }

  /** Reads every key that was ever used, so that the history ends with all that is left of it. */
  async #readAll(): Promise<void> {
    const deadline = performance.now() + RECOVERY_MS;
    const client = this.#clients[0]!;
    for (const keys of this.#keys) {
      const calls = keys.map((key): Call => ['GET', key]);
      for (let read = false; !read; ) {
        if (performance.now() > deadline)
          throw new Error(`no answer to the reads at the end in ${RECOVERY_MS} ms`);
        const invoked = performance.now();
        const result = await client.execute(calls, () => performance.now() > deadline);
        this.#record('end', invoked, calls, result);
        read = result.kind === 'answered';
      }
    }
  }
}

/** A write to keys of a kind, one of those that the kind allows. */
function writeOf(kind: Kind, keys: readonly string[], token: string): Call[] {
  const [key = ''] = keys;
  const dice = Math.random();
  switch (kind) {
    case 'register':
      if (dice < 0.15) return [['DEL', key]];
      if (dice < 0.3) return [['SET', key, token, 'NX']];
      if (dice < 0.4) return [['SET', key, token, 'XX']];
      if (dice < 0.6) return [['SET', key, token, 'GET']];
      return [['SET', key, token]];
    case 'counter':
      return [['INCRBY', key, `${1 + Math.floor(dice * 5)}`]];
    case 'list':
      return [['APPEND', key, token]];
    case 'pair': {
      const appends = keys.map((each): Call => ['APPEND', each, token]);
      if (dice < 0.3) return [...keys.map((each): Call => ['GET', each]), ...appends];
      return dice < 0.4 ? appends.slice(0, 1) : appends;
    }
  }
}

function understood(reply: unknown): Reply {
  if (reply === null || typeof reply === 'string' || typeof reply === 'number') return reply;
  throw new Error(`unexpected reply: ${reply instanceof ReplyError ? reply.text : JSON.stringify(reply)}`);
}

/**
 * Acknowledged appends whose token is missing in the last value read of their key. Appended to is what is never
 * overwritten, so this needs no search: a second opinion beside the checker's.
 */
function lostAppends(history: readonly Operation[]): string[] {
  const last = new Map<string, Reply>();
  for (const { client, calls, outcome } of history) {
    if (client === 'end') calls.forEach(([, key = ''], at) => last.set(key, outcome?.replies?.[at] ?? null));
  }
  const lost: string[] = [];
  for (const { client, calls, outcome } of history) {
    if (outcome === null) continue;
    for (const [command, key = '', token = ''] of calls) {
      if (command === 'APPEND' && !String(last.get(key)).includes(token)) {
        lost.push(`${key} ${token} of ${client}, acknowledged at ${outcome.returned.toFixed(1)} ms`);
      }
    }
  }
  return lost;
}
