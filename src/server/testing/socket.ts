/** A client that knows nothing but bytes (one latin1 character each). */
import { connect, type Socket } from 'node:net';
import { expect } from 'vitest';

export class RawClient implements AsyncDisposable {
  readonly socket: Socket;
  /** Bytes sent so far with `send` and `request`. */
  sent = 0;
  #received = '';
  #ended = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1' });
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return client;
  }

  /** Sends bytes as they are. */
  send(text: string): void {
    this.sent += text.length;
    this.socket.write(text, 'latin1');
  }

  /** Sends requests, each a line of words, as arrays of bulk strings in one write. */
  request(...lines: readonly string[]): void {
    this.send(lines.map((line) => encode(line.split(' '))).join(''));
  }

  /** Waits for these bytes to be the next ones. */
  async expect(...replies: readonly string[]): Promise<void> {
    const expected = replies.map((reply) => `${reply}\r\n`).join('');
    while (this.#received.length < expected.length && !this.#ended) await this.#change();
    const received = this.#received.slice(0, Math.max(expected.length, this.#ended ? Infinity : 0));
    this.#received = this.#received.slice(received.length);
    expect(received).toBe(expected);
  }

  /** Everything up to and with these bytes. */
  async through(end: string): Promise<string> {
    while (!this.#received.includes(end) && !this.#ended) await this.#change();
    const length = this.#received.indexOf(end) + end.length;
    const received = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return received;
  }

  /** One bulk or verbatim string of any content. */
  async bulk(): Promise<string> {
    for (;;) {
      const header = /^[$=](\d+)\r\n/.exec(this.#received);
      const start = header?.[0].length ?? 0;
      const end = start + Number(header?.[1] ?? 0);
      if (header !== null && this.#received.length >= end + 2) {
        const text = this.#received.slice(start, end);
        this.#received = this.#received.slice(end + 2);
        return text;
      }
      if (this.#ended) throw new Error(`closed after ${JSON.stringify(this.#received)}`);
      await this.#change();
    }
  }

  /** Waits until the other side has closed, and says what came before. */
  async closed(): Promise<string> {
    while (!this.#ended) await this.#change();
    return this.#received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

export function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}
