/** A connection to one node, for many requests at once. Replies are read as files are: see `src/formats/input.ts`. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Address, ConnectionLost, nameOf, reasonOf } from '../address.ts';
import { type Cursor, DamagedFile, Input } from '../../formats/input.ts';
import { encodeCommand } from '../../formats/resp.ts';

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
    this.#replies = new Input(name, socket as AsyncIterable<Buffer>);
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
      while (replies.length < requests.length) replies.push(await this.#replies.read(readReply));
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

  close(): void {
    this.#socket.destroy();
  }
}

/** A reply in RESP2. */
function readReply(cursor: Cursor, depth = 0): Reply {
  const end = cursor.ahead().indexOf('\r\n');
  if (end === -1) return cursor.lack(cursor.remaining + 1, 'a reply');
  const start = cursor.offset;
  const line = cursor.characters(end + 2, 'a reply').slice(1, -2);
  switch (cursor.since(cursor.taken - end - 2)[0]) {
    case 0x2b:
      return line;
    case 0x2d:
      return new ReplyError(line);
    case 0x3a:
      return Number(line);
    case 0x24: {
      const length = Number(line);
      return length < 0 ? null : cursor.characters(length + 2, 'a reply').slice(0, -2);
    }
    case 0x2a: {
      const replies: Reply[] = [];
      if (depth > DEPTH_MAX) return cursor.wrong('a reply of fewer levels', start);
      for (let left = Number(line); left > 0; left--) replies.push(readReply(cursor, depth + 1));
      return Number(line) < 0 ? null : replies;
    }
    default:
      return cursor.wrong('a reply', start);
  }
}
