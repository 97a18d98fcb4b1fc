/** Replies as a client reads them: RESP2 and RESP3, out of chunks of any size. */

/** Texts are byte strings. A map's items are name, value, name, value. */
export type Reply =
  | {
      readonly type: 'status' | 'error' | 'bulk' | 'verbatim' | 'integer' | 'double' | 'bignumber';
      readonly text: string;
    }
  | { readonly type: 'nil' }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: Aggregate; readonly items: readonly Reply[] };

type Aggregate = 'array' | 'set' | 'map' | 'push';

/** What came is no reply. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** An aggregate whose items are still coming. An attribute belongs to the reply behind it and is dropped. */
interface Open {
  readonly type: Aggregate | 'attribute';
  readonly items: Reply[];
  left: number;
}

const AGGREGATES: Readonly<Record<string, { readonly type: Open['type']; readonly perItem: 1 | 2 }>> = {
  '*': { type: 'array', perItem: 1 },
  '~': { type: 'set', perItem: 1 },
  '>': { type: 'push', perItem: 1 },
  '%': { type: 'map', perItem: 2 },
  '|': { type: 'attribute', perItem: 2 },
};
const LINES: Readonly<Record<string, 'status' | 'error' | 'integer' | 'double' | 'bignumber'>> = {
  '+': 'status',
  '-': 'error',
  ':': 'integer',
  ',': 'double',
  '(': 'bignumber',
};
const BLOBS: Readonly<Record<string, 'bulk' | 'verbatim' | 'error'>> = {
  $: 'bulk',
  '=': 'verbatim',
  '!': 'error',
};
/** `txt:` in front of a verbatim string. */
const FORMAT_CHARS = 4;

export class ReplyDecoder {
  #text = '';
  #at = 0;
  /** Chunks that are not looked at before there are `#wanted` characters: a long value is put together once. */
  #chunks: string[] = [];
  #waiting = 0;
  #wanted = 0;
  readonly #open: Open[] = [];

  /** The replies that are complete with this chunk. */
  push(chunk: string): Reply[] {
    this.#chunks.push(chunk);
    this.#waiting += chunk.length;
    if (this.#text.length - this.#at + this.#waiting < this.#wanted) return [];
    this.#text = this.#text.slice(this.#at) + this.#chunks.join('');
    this.#at = 0;
    this.#chunks = [];
    this.#waiting = 0;
    this.#wanted = 0;
    const replies: Reply[] = [];
    for (;;) {
      const value = this.#next();
      if (value === null) return replies;
      const whole = this.#place(value);
      if (whole !== null) replies.push(whole);
    }
  }

  /** The next scalar, or empty aggregate; null when the text is short. Other aggregates are opened on the way. */
  #next(): Reply | null {
    for (;;) {
      const end = this.#text.indexOf('\r\n', this.#at);
      if (end === -1) return null;
      const kind = this.#text.charAt(this.#at);
      const line = this.#text.slice(this.#at + 1, end);
      const text = LINES[kind];
      const blob = BLOBS[kind];
      const aggregate = AGGREGATES[kind];
      if (blob !== undefined) return this.#blob(blob, sizeOf(line), end + 2);
      this.#at = end + 2;
      if (text !== undefined) return { type: text, text: line };
      if (aggregate === undefined) {
        if (kind === '_') return { type: 'nil' };
        if (kind === '#') return { type: 'boolean', value: line === 't' };
        throw new ProtocolError(`not a reply: ${JSON.stringify(`${kind}${line}`.slice(0, 40))}`);
      }
      const size = sizeOf(line);
      if (size < 0) return { type: 'nil' };
      const { type, perItem } = aggregate;
      if (size > 0) this.#open.push({ type, items: [], left: size * perItem });
      else if (type !== 'attribute') return { type, items: [] };
    }
  }

  #blob(type: 'bulk' | 'verbatim' | 'error', size: number, start: number): Reply | null {
    if (size < 0) {
      this.#at = start;
      return { type: 'nil' };
    }
    const end = start + size + 2;
    if (this.#text.length < end) {
      this.#wanted = end - this.#at;
      return null;
    }
    this.#at = end;
    return { type, text: this.#text.slice(type === 'verbatim' ? start + FORMAT_CHARS : start, end - 2) };
  }

  /** Puts a value where it belongs; the reply that is complete with it, or null. */
  #place(value: Reply): Reply | null {
    let done = value;
    for (let open = this.#open.at(-1); open !== undefined; open = this.#open.at(-1)) {
      open.items.push(done);
      open.left -= 1;
      if (open.left > 0) return null;
      this.#open.pop();
      if (open.type === 'attribute') return null;
      done = { type: open.type, items: open.items };
    }
    return done;
  }
}

function sizeOf(line: string): number {
  const size = Number(line);
  if (line === '' || !Number.isSafeInteger(size))
    throw new ProtocolError(`"${line.slice(0, 40)}" is no length`);
  return size;
}
