/** A connection to one node, for many requests at once. Replies are read as files are: see `src/formats/input.ts`. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Address, ConnectionLost, nameOf, reasonOf } from '../address.ts';
import { type Cursor, DamagedFile, Input, RECORD_BYTES_MAX } from '../../formats/input.ts';
import { encodeCommand } from '../../formats/resp.ts';

/** As they were typed. */
export interface Credentials {
  readonly user: string;
  readonly password: string | null;
}

/** An error reply. */
export class ReplyError {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get code(): string {
    return this.text.split(' ', 1)[0] ?? '';
  }
}

export type Reply = string | number | null | ReplyError | readonly Reply[];

/** A node that says nothing for so long is given up, in ms. */
const SILENCE_MS_MAX = 30_000;
const DEPTH_MAX = 8;

export class NodeLink {
  readonly #socket: Socket;
  readonly #replies: Input;

  private constructor(name: string, socket: Socket) {
    this.#socket = socket;
    this.#replies = new Input(name, socket as AsyncIterable<Buffer>, RECORD_BYTES_MAX, false);
  }

  /** Rejects with {@link ConnectionLost} where nobody answers. */
  static async to(address: Address): Promise<NodeLink> {
    const socket = connect({ ...address, noDelay: true });
    const name = nameOf(address);
    socket.once('timeout', () => socket.destroy(new Error(`no answer in ${SILENCE_MS_MAX} ms`)));
    socket.setTimeout(SILENCE_MS_MAX);
    try {
      await once(socket, 'connect');
    } catch (error) {
      throw new ConnectionLost(
        `${name}: ${error instanceof Error ? reasonOf(error) : 'no connection'}`,
        true,
      );
    }
    // Whoever reads replies gets it, too.
    socket.on('error', () => {});
    return new NodeLink(name, socket);
  }

  /** Sends all in one go; as many replies. */
  async ask(requests: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    if (this.#socket.destroyed)
      throw new ConnectionLost(`${this.#replies.file}: the connection was lost`, true);
    this.#socket.setTimeout(SILENCE_MS_MAX);
    try {
      for (const request of requests) this.#socket.write(encodeCommand(request));
      const replies: Reply[] = [];
      while (replies.length < requests.length) replies.push(await this.#reply());
      // Until the next question there is nothing to be said.
      this.#socket.setTimeout(0);
      return replies;
    } catch (error) {
      this.close();
      let text = error instanceof Error ? error.message : String(error);
      if (error instanceof DamagedFile)
        text = error.wholeTo === null ? 'what it answers is not RESP' : 'the connection was lost';
      throw new ConnectionLost(`${this.#replies.file}: ${text}`, false);
    }
  }

  /** What an array holds is read piece by piece: all of it may be more than one record can be. */
  async #reply(depth: number = 0): Promise<Reply> {
    const part = await this.#replies.read(readPart);
    if (part.kind === 'reply') return part.reply;
    if (depth > DEPTH_MAX) this.#replies.wrong('a reply of fewer levels', 'one more');
    const replies: Reply[] = [];
    while (replies.length < part.length) replies.push(await this.#reply(depth + 1));
    return replies;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A whole reply, or how many come that are the elements of one. */
type Part =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'array'; readonly length: number };

/** A part of a reply in RESP2. */
function readPart(cursor: Cursor): Part {
  const end = cursor.ahead().indexOf('\r\n');
  if (end === -1) return cursor.lack(cursor.remaining + 1, 'a reply');
  const start = cursor.offset;
  const line = cursor.characters(end + 2, 'a reply').slice(1, -2);
  switch (cursor.since(cursor.taken - end - 2)[0]) {
    case 0x2b:
      return { kind: 'reply', reply: line };
    case 0x2d:
      return { kind: 'reply', reply: new ReplyError(line) };
    case 0x3a:
      return { kind: 'reply', reply: Number(line) };
    case 0x24: {
      const length = Number(line);
      const reply = length < 0 ? null : cursor.characters(length + 2, 'a reply').slice(0, -2);
      return { kind: 'reply', reply };
    }
    case 0x2a: {
      const length = Number(line);
      return length < 0 ? { kind: 'reply', reply: null } : { kind: 'array', length };
    }
    default:
      return cursor.wrong('a reply', start);
  }
}
