/** One connection to one server: a request at a time, and what the server says unasked. */
import { connect, type Socket } from 'node:net';
import { type Address, ConnectionLost, nameOf, reasonOf } from '../address.ts';
import { ProtocolError, type Reply, ReplyDecoder } from './reply.ts';

const CONNECT_MS_MAX = 5000;

interface Waiting {
  /** A push answers it: SUBSCRIBE and its kin have no other answer. */
  readonly takesPush: boolean;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: ConnectionLost) => void;
}

const ANSWERED_BY_PUSH = /^[ps]?(?:un)?subscribe$/i;

export class Connection {
  readonly #socket: Socket;
  readonly #onPush: (reply: Reply) => void;
  readonly #decoder: ReplyDecoder = new ReplyDecoder();
  #waiting: Waiting | null = null;
  #lost: string | null = null;
  /** Called when it ends by itself or by {@link close}. */
  onClose: (reason: string) => void = () => {};

  private constructor(socket: Socket, onPush: (reply: Reply) => void) {
    this.#socket = socket;
    this.#onPush = onPush;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#onData(chunk));
    socket.on('error', ({ message }) => this.#end(message));
    socket.on('close', () => this.#end('the server closed the connection'));
  }

  /** Rejects with {@link ConnectionLost}. `onPush` gets all that comes unasked, what MONITOR shows included. */
  static open(address: Address, onPush: (reply: Reply) => void): Promise<Connection> {
    const name = nameOf(address);
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, noDelay: true, keepAlive: true });
      const fail = (reason: string): void => {
        socket.destroy();
        reject(new ConnectionLost(`no connection to ${name}: ${reason}`, true));
      };
      const timer = setTimeout(() => fail(`no answer in ${CONNECT_MS_MAX} ms`), CONNECT_MS_MAX);
      const failed = (error: Error & { readonly code?: string }): void => {
        clearTimeout(timer);
        fail(reasonOf(error));
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', failed);
        resolve(new Connection(socket, onPush));
      });
    });
  }

  get closed(): boolean {
    return this.#lost !== null;
  }

  /** Byte strings. One request at a time. */
  send(words: readonly string[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== null) {
        reject(new ConnectionLost(this.#lost, true));
        return;
      }
      this.#waiting = { takesPush: ANSWERED_BY_PUSH.test(words[0] ?? ''), resolve, reject };
      const bulks = words.map((word) => `$${word.length}\r\n${word}\r\n`).join('');
      this.#socket.write(`*${words.length}\r\n${bulks}`, 'latin1');
    });
  }

  close(reason: string): void {
    this.#end(reason);
  }

  #onData(chunk: string): void {
    let replies: Reply[];
    try {
      replies = this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#end(`this is no Redis server: ${error.message}`);
      return;
    }
    for (const reply of replies) {
      const waiting = this.#waiting;
      if (waiting === null || (reply.type === 'push' && !waiting.takesPush)) this.#onPush(reply);
      else {
        this.#waiting = null;
        waiting.resolve(reply);
      }
    }
  }

  #end(reason: string): void {
    if (this.#lost !== null) return;
    this.#lost = reason;
    this.#socket.destroy();
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(new ConnectionLost(reason, false));
    this.onClose(reason);
  }
}
