/**
 * A Redis client that does nothing but count: replies have a known length, so a reply is checked by its first byte
 * and skipped. It never parses, so that it measures the server and not itself.
 */
import { type Socket, connect } from 'node:net';

import { type Connection, KEYS, VALUE_BYTES, type Workload, keyOf, valueOf } from './load.ts';

const COMMANDS: Readonly<Record<Workload['verb'], Buffer>> = {
  SET: encodeAll((key, value) => ['SET', key, value]),
  GET: encodeAll((key) => ['GET', key]),
};
/** `+OK\r\n`, and `$100\r\n` with its hundred bytes and `\r\n`. */
const REPLIES = {
  SET: { bytes: 5, head: '+'.charCodeAt(0) },
  GET: { bytes: 6 + VALUE_BYTES + 2, head: '$'.charCodeAt(0) },
} as const;

const READ_BYTES = 2 ** 16;

/** All commands behind one another, each as long as the next. */
function encodeAll(words: (key: string, value: string) => readonly string[]): Buffer {
  const encoded: string[] = [];
  for (let number = 0; number < KEYS; number += 1)
    encoded.push(encode(words(keyOf(number), valueOf(number))));
  return Buffer.from(encoded.join(''), 'latin1');
}

/** One command as an array of bulk strings. */
export function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

export async function connectResp(host: string, port: number): Promise<Connection> {
  const connection = new RespConnection();
  await connection.open(host, port);
  return connection;
}

class RespConnection implements Connection {
  #socket: Socket | null = null;
  #reply: (typeof REPLIES)[Workload['verb']] = REPLIES.SET;
  /** Bytes that the batch under way still has to bring. */
  #missing = 0;
  /** Bytes of the current reply that are still to come: where the next reply begins. */
  #skip = 0;
  #done: ((error?: Error) => void) | null = null;

  open(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket = connect({
        host,
        port,
        noDelay: true,
        // One buffer for the life of the connection: no allocation, no collection in the middle of a measurement.
        onread: {
          buffer: Buffer.allocUnsafe(READ_BYTES),
          callback: (length, bytes) => this.#received(bytes, length),
        },
      })
        .once('connect', resolve)
        .once('close', () => this.#finish(new Error('the server closed the connection')))
        .on('error', reject);
    });
  }

  send(verb: Workload['verb'], first: number, count: number, done: (error?: Error) => void): void {
    const commands = COMMANDS[verb];
    const size = commands.length / KEYS;
    this.#reply = REPLIES[verb];
    this.#missing = count * this.#reply.bytes;
    this.#done = done;
    this.#socket?.write(commands.subarray(first * size, (first + count) * size));
  }

  close(): void {
    this.#done = null;
    this.#socket?.destroy();
  }

  #received(bytes: Uint8Array, length: number): boolean {
    let at = this.#skip;
    while (at < length) {
      // The second byte tells a missing key ("$-1") from a value ("$100").
      if (bytes[at] !== this.#reply.head || bytes[at + 1] === MINUS) {
        this.#finish(
          new Error(
            `unexpected reply: ${Buffer.from(bytes.slice(at, Math.min(length, at + 120))).toString('latin1')}`,
          ),
        );
        return false;
      }
      at += this.#reply.bytes;
    }
    this.#skip = at - length;
    this.#missing -= length;
    if (this.#missing === 0) this.#finish();
    else if (this.#missing < 0) this.#finish(new Error('more replies than commands'));
    return true;
  }

  #finish(error?: Error): void {
    const done = this.#done;
    this.#done = null;
    done?.(error);
  }
}

const MINUS = '-'.charCodeAt(0);

/** Writes every key once, so that each GET finds one. */
export async function fillResp(host: string, port: number): Promise<void> {
  const connection = await connectResp(host, port);
  try {
    for (let first = 0; first < KEYS; first += FILL_BATCH) {
      await new Promise<void>((resolve, reject) => {
        connection.send('SET', first, Math.min(FILL_BATCH, KEYS - first), (error) =>
          error === undefined ? resolve() : reject(error),
        );
      });
    }
  } finally {
    connection.close();
  }
}

const FILL_BATCH = 500;

/** One command on a connection of its own; the first line of the reply. */
export function askResp(host: string, port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ host, port }, () => socket.write(encode(words)));
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error(`no reply within ${ANSWER_MS_MAX} ms`)));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n')) return;
      resolve(text.slice(0, text.indexOf('\r\n')));
      socket.destroy();
    });
    socket.on('error', reject).on('close', () => reject(new Error('closed without a reply')));
  });
}

const ANSWER_MS_MAX = 2000;
