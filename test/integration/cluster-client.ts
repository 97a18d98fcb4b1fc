/**
 * A client that finds the node which takes its requests, and knows what became of each: answered, certainly never
 * executed, or nobody knows. That difference is all that matters for a history, and most client libraries lose it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../linearizability/history.ts';
import { type Address, ReplyError, RespClient, Silence, type WireReply } from './resp-client.ts';

export type Result =
  | { readonly kind: 'answered'; readonly replies: readonly WireReply[] }
  /** It was sent, and no answer tells what became of it. */
  | { readonly kind: 'unknown' }
  /** It was not executed and never will be. */
  | { readonly kind: 'refused' };

/** Errors that promise that the request was not and will not be applied: it may be sent again. */
const REFUSALS: ReadonlySet<string> = new Set([
  'BUSY',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'MOVED',
  'OOM',
  'READONLY',
  'TRYAGAIN',
  'UNBLOCKED',
]);
/** Between two attempts while nobody takes requests. */
const RETRY_MS = 20;

export interface ClusterClientOptions {
  /** Where nodes can be found; asked again whenever the client has to look for one. */
  readonly addresses: () => readonly Address[];
  /** Turns an address that a node names in a redirect into one that can be reached from here. */
  readonly reachable: (named: Address) => Address;
  /** How long it waits for an answer. */
  readonly patienceMs: number;
  /** Asks any node, as a client that reads from followers does, and says READONLY to each. */
  readonly readonly: boolean;
}

export class ClusterClient {
  readonly #options: ClusterClientOptions;
  #connection: RespClient | null = null;
  #next: Address | null = null;
  /**
   * The last connection ended without a reply. What forwards a port accepts connections for a node that isn't there, and
   * ends them: a request sent into one is a write of unknown outcome for nothing, so the next one begins with PING.
   */
  #hungUp = false;

  constructor(options: ClusterClientOptions) {
    this.#options = options;
  }

  /** The connection of the last answer, for requests that make sense only on the same one; `null` if it is gone. */
  get connection(): RespClient | null {
    return this.#connection?.closed === false ? this.#connection : null;
  }

  /** Executes calls as one atomic step wherever they are taken; gives up once `stopped` says so. */
  async execute(calls: readonly Call[], stopped: () => boolean): Promise<Result> {
    while (!stopped()) {
      const connection = await this.#connected();
      if (connection === null) continue;
      const result = await this.executeOn(connection, calls);
      if (result.kind !== 'refused') return result;
    }
    return { kind: 'refused' };
  }

  /**
   * Executes calls as one atomic step on this connection. After `refused` the next connection is a better one. The one
   * reply `null` to several calls is that of a transaction whose watched keys have changed: it was not executed.
   */
  async executeOn(connection: RespClient, calls: readonly Call[]): Promise<Result> {
    const requests = calls.length === 1 ? calls : [['MULTI'], ...calls, ['EXEC']];
    const replies = await this.send(connection, requests);
    if (replies === null) return { kind: 'unknown' };
    const last = replies.at(-1) ?? null;
    if (!(last instanceof ReplyError)) {
      return {
        kind: 'answered',
        replies: calls.length === 1 || !Array.isArray(last) ? replies.slice(-1) : last,
      };
    }
    if (last.code === 'UNKNOWN') return { kind: 'unknown' };
    await this.refused(replies.find((reply) => reply instanceof ReplyError) ?? last);
    return { kind: 'refused' };
  }

  /** Sends requests as they are; `null` when the connection was lost and nobody knows what became of them. */
  async send(
    connection: RespClient,
    requests: readonly (readonly string[])[],
  ): Promise<readonly WireReply[] | null> {
    try {
      return await connection.send(requests, this.#options.patienceMs);
    } catch (error) {
      this.#hungUp = !(error instanceof Silence);
      // Some clients try the silent node again: its backlog then holds requests sent while it was away.
      this.#next = Math.random() < 0.5 ? connection.address : null;
      this.#connection = null;
      return null;
    }
  }

  /** Goes where an error that promises "not executed" points, or elsewhere. Throws for any other error. */
  async refused(error: ReplyError): Promise<void> {
    if (!REFUSALS.has(error.code)) throw new Error(`unexpected reply: ${error.text}`);
    this.#connection?.close();
    this.#connection = null;
    const [, host, port] = /^MOVED \d+ (.*):(\d+)/.exec(error.text) ?? [];
    if (host === undefined) await sleep(RETRY_MS);
    else this.#next = this.#options.reachable({ host, port: Number(port) });
  }

  close(): void {
    this.#connection?.close();
  }

  async #connected(): Promise<RespClient | null> {
    if (this.#connection?.closed === false) return this.#connection;
    const addresses = this.#options.addresses();
    const address = this.#next ?? addresses[Math.floor(Math.random() * addresses.length)];
    this.#next = null;
    if (address === undefined) throw new Error('the client was given no addresses');
    try {
      this.#connection = await RespClient.connect(address);
      if (this.#hungUp) await this.#connection.send([['PING']], this.#options.patienceMs);
      this.#hungUp = false;
      if (this.#options.readonly) await this.#connection.send([['READONLY']], this.#options.patienceMs);
      return this.#connection;
    } catch {
      this.#connection?.close();
      this.#connection = null;
      await sleep(RETRY_MS);
      return null;
    }
  }
}
