/**
 * A client whose writes run exactly once, whatever happens to its connections and to the nodes: a session of kvorum
 * (docs/clients.md) over ioredis. One write at a time; more of them at once are more clients.
 *
 * ```ts
 * const client = await ExactlyOnce.open([{ host: '127.0.0.1', port: 6381 }, { host: '127.0.0.1', port: 6382 }]);
 * await client.write('INCRBY', 'balance', '100');
 * client.close();
 * ```
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The pause before the next attempt, in ms. */
const PAUSE_MS = 50;
/** A node that says nothing for so long is given up, in ms. */
const ANSWER_MS_MAX = 5_000;

/**
 * The write was not run, or nobody knows: the same write goes out again under the same number. Every other error reply is
 * the answer to the write, the first time as well as the second.
 */
const SEND_AGAIN = /^(MOVED|CLUSTERDOWN|BUSY|OOM|UNKNOWN|TOOLONG) /;
const MOVED = /^MOVED \d+ (.+):(\d+)$/;
/** A write before this one was turned away before it could take its number. */
const NEXT_IS = /^SEQGAP .*: (\d+) is the next/;

export class ExactlyOnce {
  /** How many writes were sent more than once. */
  repetitions = 0;
  readonly #nodes: readonly Address[];
  /** Which of the nodes is tried next, unless a redirect has named one. */
  #turn = 0;
  #redirect: Address | null = null;
  #connection: Redis | null = null;
  #session = 0;
  /** The number of the next write. */
  #next = 1;

  private constructor(nodes: readonly Address[]) {
    this.#nodes = nodes;
  }

  static async open(nodes: readonly Address[]): Promise<ExactlyOnce> {
    const client = new ExactlyOnce(nodes);
    // An answer that got lost leaves a session that nobody uses, and nothing else.
    client.#session = Number(await client.#insist(() => client.#connect().call('KVORUM.SESSION', 'OPEN')));
    client.#disconnect();
    return client;
  }

  /** Runs a write and resolves to its reply. */
  async write(command: string, ...args: readonly string[]): Promise<unknown> {
    let first = true;
    const reply = await this.#insist(() => {
      if (!first) this.repetitions += 1;
      first = false;
      return this.#resumed().call(command, ...args);
    });
    this.#next += 1;
    return reply;
  }

  close(): void {
    this.#disconnect();
  }

  /** A connection on which the next write carries the number `#next`. */
  #resumed(): Redis {
    if (this.#connection !== null) return this.#connection;
    const connection = this.#connect();
    // Sent just ahead of the write, on the same connection. If it fails, so does the write.
    connection.call('KVORUM.SESSION', 'RESUME', this.#session, this.#next).catch(() => undefined);
    return connection;
  }

  async #insist(attempt: () => Promise<unknown>): Promise<unknown> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        this.#disconnect();
        const text = error instanceof Error ? error.message : String(error);
        const next = NEXT_IS.exec(text);
        const moved = MOVED.exec(text);
        if (next !== null) this.#next = Number(next[1]);
        else if (moved !== null) this.#redirect = { host: moved[1] ?? '', port: Number(moved[2]) };
        // An error reply begins with a code in capitals; everything else is trouble with the connection.
        else if (/^[A-Z]+ /.test(text) && !SEND_AGAIN.test(text)) throw error;
        if (moved === null) await sleep(PAUSE_MS);
      }
    }
  }

  #connect(): Redis {
    if (this.#connection !== null) return this.#connection;
    const address = this.#redirect ?? this.#nodes[this.#turn++ % this.#nodes.length];
    if (address === undefined) throw new Error('no nodes were given');
    this.#redirect = null;
    this.#connection = new Redis({
      ...address,
      // The numbers are ours to keep: the library must not send anything again by itself.
      retryStrategy: () => null,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: ANSWER_MS_MAX,
      connectTimeout: ANSWER_MS_MAX,
    });
    this.#connection.on('error', () => undefined);
    return this.#connection;
  }

  #disconnect(): void {
    this.#connection?.disconnect();
    this.#connection = null;
  }
}
