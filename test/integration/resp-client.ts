/**
 * A client that hides nothing: no retries, no redirects, no reconnects. What it sends may have been executed from the
 * moment it was written to the socket, and a caller can tell that apart from what was never sent.
 */
import { connect, type Socket } from 'node:net';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** An error reply. A value, since it answers one of several pipelined requests. */
export class ReplyError {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get code(): string {
    return this.text.split(' ', 1)[0] ?? '';
  }
}

export type WireReply = string | number | null | ReplyError | readonly WireReply[];

const CONNECT_MS = 1000;

export class RespClient {
  readonly address: Address;
  readonly #socket: Socket;
  #received = '';
  #waiting: Exchange | null = null;

  private constructor(address: Address, socket: Socket) {
    this.address = address;
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#onData(chunk));
    socket.on('close', () => this.#fail(new Error('the connection was lost')));
  }

  /** Rejects when nobody answers there within a second. */
  static connect(address: Address): Promise<RespClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, noDelay: true });
      const timer = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_MS);
      socket.on('error', reject);
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(new RespClient(address, socket));
      });
    });
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /**
   * Sends requests in one write and resolves to as many replies. Rejects when the connection is lost or the replies
   * have not all come after `patienceMs`; the connection is closed then, and what became of the requests is unknown.
   */
  send(requests: readonly (readonly string[])[], patienceMs: number): Promise<WireReply[]> {
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(new Error('the connection is closed'));
        return;
      }
      const timer = setTimeout(() => this.#fail(new Silence(`no reply in ${patienceMs} ms`)), patienceMs);
      this.#waiting = { replies: [], expected: requests.length, timer, resolve, reject };
      this.#socket.write(requests.map(encode).join(''), 'latin1');
    });
  }

  close(): void {
    this.#fail(new Error('closed'));
  }

  #onData(chunk: string): void {
    this.#received += chunk;
    const waiting = this.#waiting;
    if (waiting === null) return;
    while (waiting.replies.length < waiting.expected) {
      const parsed = parse(this.#received, 0);
      if (parsed === null) return;
      this.#received = this.#received.slice(parsed.end);
      waiting.replies.push(parsed.reply);
    }
    this.#waiting = null;
    clearTimeout(waiting.timer);
    waiting.resolve(waiting.replies);
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    clearTimeout(waiting.timer);
    waiting.reject(error);
  }
}

/** The connection stands and no reply came in time. */
export class Silence extends Error {}

interface Exchange {
  readonly replies: WireReply[];
  readonly expected: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (replies: WireReply[]) => void;
  readonly reject: (error: Error) => void;
}

function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}

/** The RESP2 reply at `at`, or null while it is incomplete. */
function parse(bytes: string, at: number): { reply: WireReply; end: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return null;
  const line = bytes.slice(at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (bytes[at]) {
    case '+':
      return { reply: line, end };
    case '-':
      return { reply: new ReplyError(line), end };
    case ':':
      return { reply: Number(line), end };
    case '$': {
      const length = Number(line);
      if (length < 0) return { reply: null, end };
      if (bytes.length < end + length + 2) return null;
      return { reply: bytes.slice(end, end + length), end: end + length + 2 };
    }
    case '*':
      return Number(line) < 0 ? { reply: null, end } : parseElements(bytes, end, Number(line));
    default:
      throw new Error(`not a RESP2 reply: ${JSON.stringify(bytes.slice(at, at + 40))}`);
  }
}

function parseElements(bytes: string, at: number, count: number): { reply: WireReply[]; end: number } | null {
  const reply: WireReply[] = [];
  let end = at;
  while (reply.length < count) {
    const element = parse(bytes, end);
    if (element === null) return null;
    reply.push(element.reply);
    end = element.end;
  }
  return { reply, end };
}
