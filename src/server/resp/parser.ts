/**
 * Requests out of bytes: RESP arrays of bulk strings, and the inline form so that `nc` works.
 *
 * An index walks over the chunk and every finished argument leaves it as a string of its own, so nothing is read
 * twice and nothing keeps a 64 KiB chunk alive. What a chunk leaves unfinished (a header, a short argument) is put
 * before the next one; a long argument gathers in a buffer of its own, which grows with what has arrived and not with
 * what was announced.
 *
 * Limits and error texts are those of Redis 7.0; after an error nothing more is read and the connection must close.
 */
import { BYTE_STRING_MAX } from './latin1.ts';
import { splitWords } from '../../store/split-words.ts';

/** For clients that read lines by the same rules as inline requests. */
export { splitWords } from '../../store/split-words.ts';

/** Redis's `proto-max-bulk-len`, or what V8 can hold. Bytes of one argument. */
export const BULK_BYTES_MAX: number = Math.min(512 * 1024 * 1024, BYTE_STRING_MAX);
/** Arguments of one request. */
export const ARGUMENTS_MAX: number = 1024 * 1024;
/** Bytes of one inline request. */
export const INLINE_BYTES_MAX: number = 64 * 1024;
/** What a client may send before it has authenticated: as in Redis, enough for AUTH and HELLO. */
export const STRANGER_ARGUMENTS_MAX = 10;
export const STRANGER_BULK_BYTES_MAX: number = 16 * 1024;
/** An unfinished argument longer than this gathers in its own buffer. */
const LONG_BULK_BYTES = 32 * 1024;
/** Digits of a length; more than any limit has. */
const LENGTH_DIGITS_MAX = 15;

const CR = 13;
const LF = 10;
const MINUS = 0x2d;
const ZERO = 0x30;
const STAR = 0x2a;
const DOLLAR = 0x24;

/** Outcomes of reading a length beside the length itself; a negative one is returned as -1. */
const SHORT = -2;
const INVALID = -3;

const EMPTY: Buffer = Buffer.alloc(0);

/** Splits the bytes of one connection into requests: `push` a chunk, then `next` until it is null. */
export class RequestParser {
  /** True while the client has not authenticated but must: much smaller limits. */
  restricted = false;

  readonly #requestBytesMax: number;
  #buffer: Buffer = EMPTY;
  #at = 0;
  /** Where the search for an inline request's end goes on, relative to `at`. */
  #searched = 0;
  #arguments: string[] = [];
  /** Arguments of the current request that have not arrived; 0 between two requests. */
  #missing = 0;
  /** Length of the current argument once its header was read, else -1. */
  #bulkLength = -1;
  #requestBytes = 0;
  /** The current argument if it is long, with its CRLF. */
  #long: Buffer | null = null;
  #longAt = 0;
  #error: string | null = null;

  /** `requestBytesMax`: bytes of all arguments of one request. */
  constructor(requestBytesMax: number) {
    this.#requestBytesMax = requestBytesMax;
  }

  /** Why nothing more can be read, as an error reply; null while all is well. */
  get error(): string | null {
    return this.#error;
  }

  /** Bytes that arrived and were not made into arguments yet. */
  get buffered(): number {
    return this.#buffer.length - this.#at + this.#longAt;
  }

  /** Takes the next bytes of the connection; the chunk is the parser's from now on. */
  push(chunk: Buffer): void {
    const rest = this.#long === null ? chunk : this.#fillLong(this.#long, chunk);
    if (rest.length === 0) return;
    this.#buffer =
      this.#at === this.#buffer.length ? rest : Buffer.concat([this.#buffer.subarray(this.#at), rest]);
    this.#at = 0;
  }

  /** The next request, at least its name; null when more bytes are needed or after an {@link error}. */
  next(): string[] | null {
    while (this.#error === null) {
      if (this.#missing === 0) {
        if (this.#at === this.#buffer.length) break;
        if (this.#buffer[this.#at] !== STAR) {
          const request = this.#inline();
          if (request === null) break;
          if (request.length > 0) return request;
          continue;
        }
        if (!this.#startRequest()) break;
        continue;
      }
      if (!this.#argument()) break;
      if (this.#missing === 0) {
        const request = this.#arguments;
        this.#arguments = [];
        return request;
      }
    }
    // A finished chunk is let go at once: an idle connection must not keep 64 KiB alive.
    if (this.#at === this.#buffer.length) {
      this.#buffer = EMPTY;
      this.#at = 0;
    }
    return null;
  }

  /** Reads `*<count>`; false when it is short or wrong. An empty request is skipped, as in Redis. */
  #startRequest(): boolean {
    const count = this.#length();
    if (count === SHORT) return false;
    if (count === INVALID || count > ARGUMENTS_MAX) return this.#fail('invalid multibulk length');
    if (this.restricted && count > STRANGER_ARGUMENTS_MAX)
      return this.#fail('unauthenticated multibulk length');
    this.#missing = Math.max(0, count);
    this.#requestBytes = 0;
    return true;
  }

  /** Reads one argument; false when it is short or wrong. */
  #argument(): boolean {
    if (this.#bulkLength < 0 && !this.#startArgument()) return false;
    const length = this.#bulkLength;
    const end = this.#at + length;
    if (this.#long !== null) {
      if (this.#longAt < length + 2) return false;
      this.#arguments.push(this.#long.latin1Slice(0, length));
      this.#long = null;
      this.#longAt = 0;
    } else if (end + 2 <= this.#buffer.length) {
      this.#arguments.push(this.#buffer.latin1Slice(this.#at, end));
      this.#at = end + 2;
    } else {
      if (length > LONG_BULK_BYTES) this.#startLong();
      return false;
    }
    this.#bulkLength = -1;
    this.#missing -= 1;
    return true;
  }

  /** Reads `$<length>`. */
  #startArgument(): boolean {
    if (this.#at === this.#buffer.length) return false;
    const type = this.#buffer[this.#at] ?? 0;
    if (type !== DOLLAR) return this.#fail(`expected '$', got '${String.fromCharCode(type)}'`);
    const length = this.#length();
    if (length === SHORT) return false;
    if (length < 0 || length > BULK_BYTES_MAX) return this.#fail('invalid bulk length');
    if (this.restricted && length > STRANGER_BULK_BYTES_MAX) return this.#fail('unauthenticated bulk length');
    this.#requestBytes += length;
    if (this.#requestBytes > this.#requestBytesMax)
      return this.#fail(`request longer than ${this.#requestBytesMax} bytes`);
    this.#bulkLength = length;
    return true;
  }

  /** The number behind the type byte at `at`, and moves behind its CRLF; {@link SHORT}, {@link INVALID} or -1. */
  #length(): number {
    const buffer = this.#buffer;
    const end = buffer.length;
    let at = this.#at + 1;
    const negative = buffer[at] === MINUS;
    if (negative) at += 1;
    const start = at;
    let value = 0;
    for (; at < end; at += 1) {
      const byte = buffer[at] ?? 0;
      if (byte === CR) break;
      const digit = byte - ZERO;
      if (digit < 0 || digit > 9 || at - start >= LENGTH_DIGITS_MAX) return INVALID;
      value = value * 10 + digit;
    }
    const digits = at - start;
    // A zero stands only alone: Redis reads no `01` and no `-0`.
    if (digits > 0 && buffer[start] === ZERO && (digits > 1 || negative)) return INVALID;
    if (at + 1 >= end) return SHORT;
    if (digits === 0) return INVALID;
    this.#at = at + 2;
    return negative ? -1 : value;
  }

  /** An inline request; empty for a blank line, null when it is short or wrong. */
  #inline(): string[] | null {
    const line = this.#buffer.indexOf(LF, this.#at + this.#searched);
    const end = line < 0 ? this.#buffer.length : line;
    if (end - this.#at > INLINE_BYTES_MAX) {
      this.#fail('too big inline request');
      return null;
    }
    if (line < 0) {
      this.#searched = end - this.#at;
      return null;
    }
    const withoutCr = line > this.#at && this.#buffer[line - 1] === CR ? line - 1 : line;
    const request = splitWords(this.#buffer.latin1Slice(this.#at, withoutCr));
    if (request === null) this.#fail('unbalanced quotes in request');
    this.#at = line + 1;
    this.#searched = 0;
    return request;
  }

  #startLong(): void {
    const rest = this.#buffer.subarray(this.#at);
    this.#buffer = EMPTY;
    this.#at = 0;
    this.#long = Buffer.allocUnsafeSlow(Math.min(this.#bulkLength + 2, 2 * LONG_BULK_BYTES));
    this.#fillLong(this.#long, rest);
  }

  /** Moves what belongs to the long argument there; returns the rest. */
  #fillLong(long: Buffer, chunk: Buffer): Buffer {
    const wanted = this.#bulkLength + 2;
    const taken = Math.min(wanted - this.#longAt, chunk.length);
    const needed = this.#longAt + taken;
    let target = long;
    if (needed > long.length) {
      target = Buffer.allocUnsafeSlow(Math.min(wanted, Math.max(needed, 2 * long.length)));
      long.copy(target, 0, 0, this.#longAt);
      this.#long = target;
    }
    chunk.copy(target, this.#longAt, 0, taken);
    this.#longAt = needed;
    return chunk.subarray(taken);
  }

  #fail(what: string): false {
    this.#error = `ERR Protocol error: ${what}`;
    this.#buffer = EMPTY;
    this.#at = 0;
    this.#long = null;
    this.#longAt = 0;
    this.#arguments = [];
    return false;
  }
}
