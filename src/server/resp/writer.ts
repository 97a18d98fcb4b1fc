/**
 * Replies as bytes: the one place that knows how RESP2 and RESP3 look on the wire.
 *
 * Handlers call the methods in order and the bytes go straight into a slab, so that a reply costs no object at all;
 * the connection takes what has gathered once per event-loop turn and hands it to the socket in one write (a write per
 * reply costs eight times as much as the whole of a pipelined SET).
 *
 * ```
 *   slab   │ taken earlier, maybe still in the kernel's queue │ gathered │ free │
 *          0                                                start        at     length
 * ```
 *
 * A taken range is never written again: the next replies go behind it, and a full slab is left to the garbage
 * collector. So no copy is made and no buffer has to come back from the socket.
 */
import { doubleText } from '../../store/double.ts';
import type { ReplyWriter } from '../../store/reply.ts';

/** First slab of a connection in bytes: small, because ten thousand idle connections keep theirs. */
const SLAB_BYTES_MIN = 4 * 1024;
/** Slabs of a busy connection in bytes. One reply larger than this gets a slab of its own size. */
const SLAB_BYTES_MAX = 64 * 1024;
/** Type byte, sign, 20 digits and CRLF twice: more than any header or number needs. */
const HEADER_BYTES = 32;

const CR = 13;
const LF = 10;
const ZERO = 48;

const OK = '+OK\r\n';

/** Bytes a connection may gather in one turn by default; see {@link RespWriter.overflowed}. */
export const OUTPUT_BYTES_MAX: number = 1024 * 1024 * 1024;

/** Writes replies in the protocol of one connection. */
export class RespWriter implements ReplyWriter {
  /** RESP version; HELLO switches it between two replies. */
  protocol: 2 | 3 = 2;

  readonly #limit: number;
  readonly #onError: ((text: string) => void) | null;
  #slab: Buffer = Buffer.allocUnsafe(0);
  #start = 0;
  #at = 0;
  /** Full slabs of this turn, oldest first; nearly always empty. */
  #full: Buffer[] = [];
  #fullBytes = 0;
  #overflowed = false;

  /** `limit`: bytes that may gather before they are taken, checked slab by slab. `onError`: told of each error. */
  constructor(limit: number = OUTPUT_BYTES_MAX, onError: ((text: string) => void) | null = null) {
    this.#limit = limit;
    this.#onError = onError;
  }

  /** Bytes gathered and not yet taken. */
  get length(): number {
    return this.#fullBytes + this.#at - this.#start;
  }

  /**
   * True once more than the limit would have gathered. What did not fit is dropped, so the stream is no longer
   * well formed: the connection has to be closed.
   */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Hands out the gathered bytes; they belong to the caller. Empty when there are none. */
  take(): Buffer {
    const last = this.#slab.subarray(this.#start, this.#at);
    this.#start = this.#at;
    if (this.#full.length === 0) return last;
    this.#full.push(last);
    const all = Buffer.concat(this.#full);
    this.#full = [];
    this.#fullBytes = 0;
    return all;
  }

  ok(): void {
    if (this.#room(OK.length)) this.#text(OK);
  }

  simple(text: string): void {
    this.#line(0x2b, text);
  }

  error(text: string): void {
    this.#onError?.(text);
    this.#line(0x2d, withoutLineBreaks(text));
  }

  integer(value: number | bigint): void {
    this.#header(0x3a, value);
  }

  bulk(value: string | null): void {
    if (value === null) {
      this.#null('$-1\r\n');
      return;
    }
    const size = value.length;
    if (!this.#room(size + HEADER_BYTES)) return;
    this.#put(0x24);
    this.#number(size);
    this.#crlf();
    this.#text(value);
    this.#crlf();
  }

  double(value: number, text: string = doubleText(value)): void {
    if (this.protocol === 3) this.#line(0x2c, text);
    else this.bulk(text);
  }

  boolean(value: boolean): void {
    if (this.protocol === 3) this.#line(0x23, value ? 't' : 'f');
    else this.integer(value ? 1 : 0);
  }

  nullArray(): void {
    this.#null('*-1\r\n');
  }

  array(length: number): void {
    this.#header(0x2a, length);
  }

  map(pairs: number): void {
    if (this.protocol === 3) this.#header(0x25, pairs);
    else this.#header(0x2a, pairs * 2);
  }

  set(length: number): void {
    this.#header(this.protocol === 3 ? 0x7e : 0x2a, length);
  }

  pairs(length: number): void {
    this.#header(0x2a, this.protocol === 3 ? length : 2 * length);
  }

  pair(): void {
    if (this.protocol === 3) this.#header(0x2a, 2);
  }

  names(length: number): void {
    this.#header(this.protocol === 3 ? 0x25 : 0x2a, length);
  }

  named(): void {
    if (this.protocol === 2) this.#header(0x2a, 2);
  }

  /** Opens a message that answers nothing, or (SUBSCRIBE) one of several answers: a push in RESP3, an array in RESP2. */
  push(length: number): void {
    this.#header(this.protocol === 3 ? 0x3e : 0x2a, length);
  }

  /** Bytes that are a reply or a push already. */
  raw(bytes: string): void {
    if (this.#room(bytes.length)) this.#text(bytes);
  }

  verbatim(format: string, text: string): void {
    if (this.protocol === 2) {
      this.bulk(text);
      return;
    }
    const size = text.length + format.length + 1;
    if (!this.#room(size + HEADER_BYTES)) return;
    this.#put(0x3d);
    this.#number(size);
    this.#crlf();
    this.#text(format);
    this.#put(0x3a);
    this.#text(text);
    this.#crlf();
  }

  bigNumber(digits: string): void {
    if (this.protocol === 3) this.#line(0x28, digits);
    else this.bulk(digits);
  }

  #null(resp2: string): void {
    if (!this.#room(HEADER_BYTES)) return;
    this.#text(this.protocol === 3 ? '_\r\n' : resp2);
  }

  #line(type: number, text: string): void {
    if (!this.#room(text.length + HEADER_BYTES)) return;
    this.#put(type);
    this.#text(text);
    this.#crlf();
  }

  #header(type: number, value: number | bigint): void {
    if (!this.#room(HEADER_BYTES)) return;
    this.#put(type);
    this.#number(value);
    this.#crlf();
  }

  /** Up to three digits by hand, as nearly every length is: 3 ns against 25 ns for a string. */
  #number(value: number | bigint): void {
    if (typeof value === 'bigint' || value < 0 || value > 999) {
      this.#text(String(value));
      return;
    }
    if (value >= 100) this.#put(ZERO + ((value / 100) | 0));
    if (value >= 10) this.#put(ZERO + (((value / 10) | 0) % 10));
    this.#put(ZERO + (value % 10));
  }

  #put(byte: number): void {
    this.#slab[this.#at++] = byte;
  }

  #crlf(): void {
    this.#slab[this.#at++] = CR;
    this.#slab[this.#at++] = LF;
  }

  #text(text: string): void {
    this.#at += this.#slab.latin1Write(text, this.#at);
  }

  /** Makes sure that `bytes` fit behind `at`; false when the limit forbids it. */
  #room(bytes: number): boolean {
    return this.#at + bytes <= this.#slab.length || this.#nextSlab(bytes);
  }

  #nextSlab(bytes: number): boolean {
    if (this.#overflowed || this.length + bytes > this.#limit) {
      this.#overflowed = true;
      return false;
    }
    if (this.#at > this.#start) {
      this.#full.push(this.#slab.subarray(this.#start, this.#at));
      this.#fullBytes += this.#at - this.#start;
    }
    const usual = Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, this.length * 2));
    this.#slab = Buffer.allocUnsafeSlow(Math.max(usual, bytes));
    this.#start = 0;
    this.#at = 0;
    return true;
  }
}

function withoutLineBreaks(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replaceAll(/[\r\n]/g, ' ') : text;
}
