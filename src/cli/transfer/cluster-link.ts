/**
 * A cluster, wherever its leader is: follows redirects, waits while there is no leader, and sends again what certainly was not
 * run. With a session (docs/clients.md) also what may have been: then it is run once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError } from '../command-error.ts';
import { type Address, ConnectionLost, nameOf } from '../address.ts';
import { bytesOf } from '../repl/words.ts';
import { type Credentials, NodeLink, type Reply, ReplyError } from './node-link.ts';

/** Codes of replies that say: not run, and never will be. */
const REFUSALS: ReadonlySet<string> = new Set([
  'BUSY',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'MOVED',
  'OOM',
  'READONLY',
  'TRYAGAIN',
]);
/** Before these it can't be said. */
const UNKNOWN = 'UNKNOWN';
const MOVED = /^MOVED \d+ (.*):(\d+)$/;
const NEXT_IS = /^SEQGAP .*: (\d+) is the next/;
/** Replies that are not kept; the commands were run. */
const RUN_BEFORE: ReadonlySet<string> = new Set(['APPLIED', 'SEQOLD']);

const PAUSE_MS = 50;
/** A cluster that takes nothing for so long is given up, in ms. */
const PATIENCE_MS = 60_000;

type Command = readonly string[];

export class ClusterLink {
  readonly #credentials: Credentials;
  /** Where nodes are, the next to be tried first. */
  #addresses: Address[];
  #node: NodeLink | null = null;
  /** Null where the server has no sessions. */
  #session: { readonly id: string; next: number } | null = null;
  #lastTrouble = '';

  private constructor(address: Address, credentials: Credentials) {
    this.#addresses = [address];
    this.#credentials = credentials;
  }

  static async to(address: Address, credentials: Credentials): Promise<ClusterLink> {
    const link = new ClusterLink(address, credentials);
    // At once: a wrong address or password is better said before anything is read.
    link.#node = await link.#connect(address).catch((error: unknown) => {
      if (error instanceof ConnectionLost) throw new CommandError(error.message);
      throw error;
    });
    return link;
  }

  /** Reads, in one step of their own. */
  async read(requests: readonly Command[]): Promise<readonly Reply[]> {
    return this.#insist(async (node) => {
      const replies = await node.ask(requests.length === 1 ? requests : inTransaction(requests));
      return requests.length === 1 ? replies : executed(replies);
    });
  }

  /** The commands that are sent from now on are run once each, whatever happens. */
  async openSession(): Promise<void> {
    const [id] = await this.#insist((node) => node.ask([['KVORUM.SESSION', 'OPEN']]));
    if (typeof id === 'number') this.#session = { id: String(id), next: 1 };
  }

  /** Runs commands in order, in one step. The replies; null where they ran before and the replies are gone. */
  async run(commands: readonly Command[]): Promise<readonly Reply[] | null> {
    const requests = commands.length === 1 ? commands : inTransaction(commands);
    const session = this.#session;
    if (session === null) {
      const replies = await this.#insist((node) => node.ask(requests), false);
      return commands.length === 1 ? replies : executed(replies);
    }
    for (;;) {
      const resume = ['KVORUM.SESSION', 'RESUME', session.id, String(session.next)];
      const replies = (await this.#insist((node) => node.ask([resume, ...requests]))).slice(1);
      const last = replies.at(-1);
      const gap = last instanceof ReplyError ? NEXT_IS.exec(last.text) : null;
      if (gap !== null) {
        // What was sent last was no write, and has taken no number.
        session.next = Number(gap[1]);
        continue;
      }
      if (last instanceof ReplyError && RUN_BEFORE.has(last.code)) {
        session.next++;
        return null;
      }
      if (!(last instanceof ReplyError && last.code === 'EXECABORT')) session.next++;
      return commands.length === 1 ? replies : executed(replies);
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    if (session !== null) await this.#node?.ask([['KVORUM.SESSION', 'CLOSE', session.id]]).catch(() => {});
    this.#node?.close();
  }

  /** `again`: what may have been run may be sent again. */
  async #insist(ask: (node: NodeLink) => Promise<readonly Reply[]>, again = true): Promise<readonly Reply[]> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      let unknown: string | null = null;
      try {
        this.#node ??= await this.#connect(this.#addresses[0] ?? { host: '', port: 0 });
        const replies = await ask(this.#node);
        const refusal = flat(replies).find(({ code }) => REFUSALS.has(code) || code === UNKNOWN);
        if (refusal === undefined) return replies;
        if (refusal.code === UNKNOWN) unknown = refusal.text;
        this.#lastTrouble = refusal.text;
        this.#follow(refusal.text);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        if (!error.unsent) unknown = error.message;
        this.#lastTrouble = error.message;
        this.#leave();
      }
      if (unknown !== null && !again)
        throw new CommandError(`nobody knows whether the last commands were run: ${unknown}`);
      if (performance.now() > deadline)
        throw new CommandError(
          `the cluster has taken nothing for ${PATIENCE_MS / 1000} s; the last it said: ${this.#lastTrouble}`,
        );
      await sleep(PAUSE_MS);
    }
  }

  /** Goes where a refusal points. */
  #follow(text: string): void {
    const [, host, port] = MOVED.exec(text) ?? [];
    this.#leave();
    if (port === undefined) return;
    const named = { host: host || (this.#addresses[0]?.host ?? ''), port: Number(port) };
    this.#addresses = [named, ...this.#addresses.filter((other) => !same(other, named))];
  }

  /** The next attempt goes to the next node. */
  #leave(): void {
    this.#node?.close();
    this.#node = null;
    const [first, ...others] = this.#addresses;
    if (first !== undefined) this.#addresses = [...others, first];
  }

  async #connect(address: Address): Promise<NodeLink> {
    const node = await NodeLink.to(address);
    try {
      await this.#introduce(node, address);
      return node;
    } catch (error) {
      node.close();
      throw error;
    }
  }

  /** Says who asks, and hears where the other nodes are, should this one go away. */
  async #introduce(node: NodeLink, address: Address): Promise<void> {
    const { user, password } = this.#credentials;
    if (password !== null) {
      const [reply] = await node.ask([['AUTH', bytesOf(user), bytesOf(password)]]);
      if (reply instanceof ReplyError) throw new CommandError(`${nameOf(address)} says: ${reply.text}`);
    }
    const [slots] = await node.ask([['CLUSTER', 'SLOTS']]);
    if (slots instanceof ReplyError && slots.code === 'NOAUTH')
      throw new CommandError(`${nameOf(address)} says: ${slots.text} Give --password.`);
    for (const other of nodesIn(slots ?? null))
      if (!this.#addresses.some((known) => same(known, other))) this.#addresses.push(other);
  }
}

function inTransaction(commands: readonly Command[]): readonly Command[] {
  return [['MULTI'], ...commands, ['EXEC']];
}

/** What EXEC answered; where it ran nothing, what every command was answered when it was queued. */
function executed(replies: readonly Reply[]): readonly Reply[] {
  const last = replies.at(-1);
  if (Array.isArray(last)) return last as readonly Reply[];
  return replies.slice(1, -1).map((reply) => (reply === 'QUEUED' ? (last ?? null) : reply));
}

function* flatten(replies: readonly Reply[]): Generator<ReplyError> {
  for (const reply of replies) {
    if (reply instanceof ReplyError) yield reply;
    else if (Array.isArray(reply)) yield* flatten(reply as readonly Reply[]);
  }
}

function flat(replies: readonly Reply[]): readonly ReplyError[] {
  return [...flatten(replies)];
}

/** The addresses in a reply to CLUSTER SLOTS. */
function nodesIn(slots: Reply): Address[] {
  const found: Address[] = [];
  for (const range of Array.isArray(slots) ? (slots as readonly Reply[]) : []) {
    for (const node of Array.isArray(range) ? (range as readonly Reply[]).slice(2) : []) {
      const [host, port] = Array.isArray(node) ? (node as readonly Reply[]) : [];
      if (typeof host === 'string' && host !== '' && typeof port === 'number') found.push({ host, port });
    }
  }
  return found;
}

function same(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}
