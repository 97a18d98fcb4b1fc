/**
 * A server, or the cluster behind it. Redirects are followed, so the connection is soon the leader's; a connection that was
 * lost is made again with the next command, to whichever known node answers. Nothing is ever sent twice that may have been
 * run: a command that was under way when the connection broke is an error that says so.
 */
import { CommandError } from '../command-error.ts';
import { type Address, addressOf, ConnectionLost, nameOf } from '../address.ts';
import { Connection } from './connection.ts';
import type { Described } from './hints.ts';
import type { Reply } from './reply.ts';
import { human } from './show.ts';
import type { AskSecret, Listener, Outcome, Target } from './target.ts';

const REDIRECTS_MAX = 5;
/** Bounds the addresses that redirects have told. */
const ADDRESSES_MAX = 16;
const INTERRUPTED = 'interrupted';

/** Byte strings. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export class ServerTarget implements Target {
  readonly show: (reply: Reply) => string = human;
  readonly spaced: boolean = false;
  readonly extraWords: readonly Described[] = [
    { name: 'EXIT', syntax: '', summary: 'Ends the session.', since: '', group: 'repl' },
  ];
  #credentials: Credentials | null;
  readonly #user: string;
  #connection: Connection | null = null;
  /** Whether the last attempt to connect succeeded. */
  #reached = false;
  /** Where to connect to, best first. */
  #addresses: readonly Address[];
  #inTransaction = false;
  /** Where to go on when the transaction under way is over. */
  #afterwards: Address | null = null;
  #listener: Listener = { onPush() {}, onNotice() {}, onRedirect() {} };
  #ask: AskSecret = () => Promise.resolve(null);

  /** `password` is used for `user`; without one it is asked for when the server wants it. */
  constructor(address: Address, user: string, password: string | null) {
    this.#addresses = [address];
    this.#user = user;
    this.#credentials = password === null ? null : { user, password };
  }

  get prompt(): string {
    const [address] = this.#addresses;
    if (!this.#reached || address === undefined) return 'not connected> ';
    return `${nameOf(address)}${this.#inTransaction ? '(TX)' : ''}> `;
  }

  async start(listener: Listener, ask: AskSecret): Promise<void> {
    this.#listener = listener;
    this.#ask = ask;
    await this.#connected();
  }

  async run(words: readonly string[]): Promise<Outcome> {
    const name = (words[0] ?? '').toLowerCase();
    if ((name === 'quit' || name === 'exit') && words.length === 1) return { kind: 'ended', text: null };
    let reply = await this.#exchange(words);
    if (startsWith(reply, 'NOAUTH ') && (await this.#authenticate())) reply = await this.#exchange(words);
    if (reply.type !== 'error') this.#note(name, words);
    if (name === 'exec' || name === 'discard' || name === 'reset') this.#endTransaction();
    const connection = this.#connection;
    if (connection === null || !listens(name, reply)) return { kind: 'reply', reply };
    const until = new Promise<string | null>((resolve) => {
      connection.onClose = (reason) => resolve(reason === INTERRUPTED ? null : reason);
    });
    return { kind: 'listening', reply, until };
  }

  interrupt(): void {
    this.#drop(INTERRUPTED);
  }

  async end(): Promise<null> {
    return null;
  }

  close(): void {
    this.#drop('closed');
  }

  /** Sends and follows redirects. */
  async #exchange(words: readonly string[]): Promise<Reply> {
    for (let redirects = 0; ; redirects += 1) {
      const wasInTransaction = this.#inTransaction;
      const connection = await this.#connected();
      if (wasInTransaction && !this.#inTransaction)
        throw new CommandError(
          'the connection was lost, and the transaction with it: begin again with MULTI',
        );
      let reply: Reply;
      try {
        reply = await connection.send(words);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        const doubt = error.unsent ? '' : '; whether the command was run is not known';
        throw new CommandError(`${error.message}${doubt}`);
      }
      const target = redirectOf(reply, this.#addresses[0]?.host ?? '');
      if (target === null) return reply;
      if (this.#inTransaction) {
        // The node that leads knows nothing of this transaction, so it has to be begun again there.
        this.#afterwards = target;
        return reply;
      }
      if (redirects === REDIRECTS_MAX) return reply;
      const [, slot = ''] = textOf(reply).split(' ');
      this.#listener.onRedirect(`-> Redirected to slot [${slot}] located at ${nameOf(target)}`);
      this.#goTo(target);
    }
  }

  /** What a command that was run changes about the connection. */
  #note(name: string, words: readonly string[]): void {
    if (name === 'multi') this.#inTransaction = true;
    else if (name === 'auth') {
      const [user, password] = words.length === 2 ? ['default', words[1]] : [words[1], words[2]];
      this.#credentials = { user: user ?? '', password: password ?? '' };
    } else if (name === 'hello') {
      const at = words.findIndex((word) => word.toLowerCase() === 'auth');
      if (at > 0) this.#credentials = { user: words[at + 1] ?? '', password: words[at + 2] ?? '' };
    }
  }

  /** The connection, made if there is none. */
  async #connected(): Promise<Connection> {
    if (this.#connection !== null && !this.#connection.closed) return this.#connection;
    this.#inTransaction = false;
    const reasons: string[] = [];
    for (const address of this.#addresses) {
      try {
        const connection = await Connection.open(address, (reply) => this.#listener.onPush(reply));
        this.#connection = connection;
        this.#reached = true;
        this.#prefer(address);
        await this.#greet(connection);
        return connection;
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        reasons.push(error.message);
      }
    }
    this.#reached = false;
    throw new CommandError(reasons.join('; '));
  }

  /** RESP3 and the password. A server that knows no HELLO goes on in RESP2. */
  async #greet(connection: Connection): Promise<void> {
    const reply = await connection.send(['HELLO', '3', ...this.#auth()]);
    if (startsWith(reply, 'NOAUTH ')) {
      await this.#authenticate();
      return;
    }
    if (startsWith(reply, 'WRONGPASS ')) this.#listener.onNotice(`AUTH failed: ${textOf(reply)}`);
    else if (reply.type === 'error' && this.#credentials !== null) {
      const { user, password } = this.#credentials;
      const answer = await connection.send(
        user === 'default' ? ['AUTH', password] : ['AUTH', user, password],
      );
      if (answer.type === 'error') this.#listener.onNotice(`AUTH failed: ${answer.text}`);
    }
  }

  /** Asks for the password; false when there is nobody to ask or it is wrong. */
  async #authenticate(): Promise<boolean> {
    const connection = this.#connection;
    const password = await this.#ask(`Password of ${this.#user}: `);
    if (password === null || connection === null) return false;
    this.#credentials = { user: this.#user, password };
    const reply = await connection.send(['HELLO', '3', ...this.#auth()]);
    if (reply.type !== 'error') return true;
    this.#credentials = null;
    this.#listener.onNotice(`AUTH failed: ${reply.text}`);
    return false;
  }

  #auth(): string[] {
    return this.#credentials === null ? [] : ['AUTH', this.#credentials.user, this.#credentials.password];
  }

  #goTo(address: Address): void {
    this.#drop('redirected');
    this.#prefer(address);
  }

  #prefer(address: Address): void {
    const others = this.#addresses.filter((other) => nameOf(other) !== nameOf(address));
    this.#addresses = [address, ...others].slice(0, ADDRESSES_MAX);
  }

  #drop(reason: string): void {
    this.#connection?.close(reason);
    this.#connection = null;
  }

  /** For after EXEC and DISCARD, whatever they answered. */
  #endTransaction(): void {
    this.#inTransaction = false;
    if (this.#afterwards !== null) this.#goTo(this.#afterwards);
    this.#afterwards = null;
  }
}

function textOf(reply: Reply): string {
  return reply.type === 'error' ? reply.text : '';
}

function startsWith(reply: Reply, text: string): boolean {
  return textOf(reply).startsWith(text);
}

/** Where `MOVED slot host:port` sends; without a host to another port of this one. */
function redirectOf(reply: Reply, host: string): Address | null {
  const [code, , address = ''] = textOf(reply).split(' ');
  return code === 'MOVED' ? addressOf(address, host) : null;
}

/** Whether messages follow. */
function listens(name: string, reply: Reply): boolean {
  if (name === 'monitor') return reply.type === 'status' && reply.text === 'OK';
  return /^[ps]?subscribe$/.test(name) && (reply.type === 'push' || reply.type === 'array');
}
