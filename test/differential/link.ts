/** A client connection that takes many commands at once and gives their replies as bytes. */
import { connect, type Socket } from 'node:net';
import { replyEnd } from './reply.ts';

/** In place of a reply that will never come. */
export const CLOSED = '<closed>';

export class Link {
  readonly #socket: Socket;
  readonly #mayClose: boolean;
  #closed = false;
  #received = '';
  #at = 0;
  #replies: string[] = [];
  #expected = 0;
  #deliver: ((replies: string[]) => void) | null = null;
  #fail: ((error: Error) => void) | null = null;

  private constructor(socket: Socket, mayClose: boolean) {
    this.#socket = socket;
    this.#mayClose = mayClose;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#onData(text));
    socket.on('error', (error) => {
      if (!this.#mayClose) this.#fail?.(error);
    });
    socket.on('close', () => this.#onClose());
  }

  /** `to`: a port of this machine, or the path of a socket. `mayClose`: the server may close it, which is an answer, too. */
  static async to(to: number | string, protocol: 2 | 3, mayClose = false): Promise<Link> {
    const socket = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const link = new Link(socket, mayClose);
    await link.send([['HELLO', String(protocol)]]);
    return link;
  }

  /** The replies to all commands, sent at once. */
  send(commands: readonly (readonly string[])[]): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.#replies = [];
      this.#expected = commands.length;
      this.#deliver = resolve;
      this.#fail = reject;
      if (this.#closed) this.#onClose();
      else this.#socket.write(commands.map(encode).join(''), 'latin1');
    });
  }

  close(): void {
    this.#fail = null;
    this.#socket.destroy();
  }

  /** The server has closed it. */
  get closed(): boolean {
    return this.#closed;
  }

  #onClose(): void {
    this.#closed = true;
    if (!this.#mayClose) this.#fail?.(new Error('the server closed the connection'));
    while (this.#replies.length < this.#expected) this.#replies.push(CLOSED);
    this.#deliver?.(this.#replies);
  }

  #onData(text: string): void {
    this.#received += text;
    for (;;) {
      const end = replyEnd(this.#received, this.#at);
      if (end < 0) break;
      this.#replies.push(this.#received.slice(this.#at, end));
      this.#at = end;
    }
    if (this.#at === this.#received.length) {
      this.#received = '';
      this.#at = 0;
    }
    if (this.#replies.length >= this.#expected) this.#deliver?.(this.#replies);
  }
}

function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}
