/**
 * Bytes that are written in place: a string in which somebody sets bits or ranges, and the bit arrays of Bloom filters.
 *
 * A JavaScript string can't be changed, so one bit of a bitmap of 1 MB would cost a copy of all of it. Here the bytes lie in
 * chunks. A chunk that was never written is `null` and costs nothing, however far behind it the next bit is. `fork` makes a
 * second value in O(1) that shares all chunks: every value has a mark of its own, a chunk bears the mark of the value that
 * made it, and a value writes only into chunks with its own mark; others it copies first.
 *
 * ```
 * encoded := (zeros  bytes)*       how many chunks of zeros, and the chunk behind them; only the last may be short or empty
 * ```
 *
 * Behind the last byte a chunk holds zeros, always.
 */
import { type ByteReader, type ByteWriter, MAX_STRING_BYTES } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES } from '../collection.ts';

/** What a write after a fork copies at most, and what a single bit costs at least. */
export const CHUNK_BYTES = 4096;

interface Chunk {
  readonly mark: object;
  readonly bytes: Buffer;
}

const ZEROS = Buffer.alloc(CHUNK_BYTES);

export class Bytes implements Collection {
  readonly type = 'string';
  readonly encoding = 'raw';
  readonly expiring = null;
  /** Strings stay, whatever is in them. */
  readonly vanishes = false;
  #length = 0;
  #chunks: (Chunk | null)[] = [];
  /** A fork uses `#chunks` as well: the next change is made in a copy. */
  #shared = false;
  #mark: object = {};

  get length(): number {
    return this.#length;
  }

  /** As if all chunks were there: what is allowed must not depend on where somebody wrote. */
  get bytes(): number {
    return COLLECTION_OVERHEAD_BYTES + this.#length;
  }

  fork(): Bytes {
    const fork = new Bytes();
    fork.#length = this.#length;
    fork.#chunks = this.#chunks;
    fork.#shared = true;
    this.#shared = true;
    // The chunks now bear the mark of neither.
    this.#mark = {};
    return fork;
  }

  // --- Reading ---------------------------------------------------------------------------------------------------

  /** The byte at `index`; 0 outside. */
  at(index: number): number {
    return this.#chunks[Math.floor(index / CHUNK_BYTES)]?.bytes[index % CHUNK_BYTES] ?? 0;
  }

  /** All bytes of a chunk, from 0; `null`: they are zeros. Not to be changed, nor kept. */
  chunk(at: number): Buffer | null {
    return this.#chunks[at]?.bytes ?? null;
  }

  /** The bytes from `from` to before `to` as a byte string; both from 0 to the length. */
  slice(from = 0, to: number = this.#length): string {
    const end = Math.min(to, this.#length);
    if (from >= end) return '';
    const first = Math.floor(from / CHUNK_BYTES);
    const last = Math.floor((end - 1) / CHUNK_BYTES);
    if (first === last) {
      const start = first * CHUNK_BYTES;
      return (this.chunk(first) ?? ZEROS).toString('latin1', from - start, end - start);
    }
    const all = Buffer.allocUnsafeSlow(end - from);
    for (let at = first; at <= last; at++) {
      const start = at * CHUNK_BYTES;
      const bytes = this.chunk(at) ?? ZEROS;
      bytes.copy(
        all,
        Math.max(0, start - from),
        Math.max(0, from - start),
        Math.min(CHUNK_BYTES, end - start),
      );
    }
    return all.toString('latin1');
  }

  toString(): string {
    return this.slice();
  }

  // --- Writing ---------------------------------------------------------------------------------------------------

  /** Replaces everything by the bytes of a byte string, in the same first chunk where that is no fork's. */
  renew(text: string): void {
    const first = this.#shared ? null : this.#chunks[0];
    this.#chunks = first?.mark === this.#mark ? [first] : [];
    this.#chunks[0]?.bytes.fill(0);
    this.#shared = false;
    this.#length = 0;
    this.write(0, text);
  }

  /** Makes it at least so long, with zeros. */
  grow(length: number): void {
    if (length <= this.#length) return;
    this.#length = length;
    this.#own();
    for (let left = Math.ceil(length / CHUNK_BYTES) - this.#chunks.length; left > 0; left--)
      this.#chunks.push(null);
  }

  /** Sets the byte at `index`, growing where there is none. */
  set(index: number, byte: number): void {
    this.grow(index + 1);
    const at = Math.floor(index / CHUNK_BYTES);
    if (byte !== 0 || this.chunk(at) !== null) this.writable(at)[index % CHUNK_BYTES] = byte;
  }

  /** Puts the characters of a byte string at `offset`, growing where it is too short. */
  write(offset: number, text: string): void {
    this.grow(offset + text.length);
    for (let done = 0; done < text.length; ) {
      const place = (offset + done) % CHUNK_BYTES;
      const piece = text.slice(done, done + CHUNK_BYTES - place);
      this.writable(Math.floor((offset + done) / CHUNK_BYTES)).write(piece, place, 'latin1');
      done += piece.length;
    }
  }

  /** All bytes of a chunk, to be changed; those behind the length must stay zeros. */
  writable(at: number): Buffer {
    this.#own();
    const chunk = this.#chunks[at] ?? null;
    if (chunk !== null && chunk.mark === this.#mark) return chunk.bytes;
    const bytes = Buffer.alloc(CHUNK_BYTES);
    chunk?.bytes.copy(bytes);
    this.#chunks[at] = { mark: this.#mark, bytes };
    return bytes;
  }

  #own(): void {
    if (!this.#shared) return;
    this.#shared = false;
    this.#chunks = this.#chunks.slice();
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    const whole = Math.floor(this.#length / CHUNK_BYTES);
    let at = cursor;
    while (at < this.#chunks.length && writer.length < bytesMax) {
      const start = at;
      // Written zeros are the same as none: the bytes must not tell how the value came about.
      while (at < whole && isZeros(this.chunk(at))) at++;
      writer.varint(at - start);
      const bytes = (this.chunk(at) ?? ZEROS).subarray(0, Math.max(0, this.#length - at * CHUNK_BYTES));
      writer.varint(bytes.length);
      writer.bytes(bytes);
      at++;
    }
    return at < this.#chunks.length ? at : null;
  }

  /** `lengthMax`: what it can't be longer than. */
  decode(reader: ByteReader, lengthMax: number = MAX_STRING_BYTES): void {
    while (reader.remaining > 0) {
      const zeros = reader.varint('a number of zeros');
      const bytes = reader.bytes('bytes');
      const start = this.#length + zeros * CHUNK_BYTES;
      if (this.#length % CHUNK_BYTES !== 0 || bytes.length > CHUNK_BYTES)
        reader.fail('a chunk of another size before');
      if (start + bytes.length > lengthMax) reader.fail(`more than ${lengthMax} bytes before`);
      this.grow(start + bytes.length);
      if (bytes.length > 0) this.writable(start / CHUNK_BYTES).set(bytes);
    }
  }
}

function isZeros(chunk: Buffer | null): boolean {
  return chunk === null || chunk.equals(ZEROS);
}
