/**
 * Reading and writing the store's binary formats: bytes, varints (7 bits a byte, low bits first, below 2^53),
 * doubles (8 bytes, little-endian) and byte strings (varint length, then the bytes).
 */

/**
 * The longest string value in bytes: V8's limit for a string (2^29 - 24), 24 bytes below Redis's default
 * `proto-max-bulk-len` of 512 MiB.
 */
export const MAX_STRING_BYTES = 536_870_888;

/** Malformed bytes: what was expected and at which offset from the beginning. */
export class FormatError extends Error {
  readonly offset: number;

  constructor(what: string, offset: number) {
    super(`${what} at offset ${offset}`);
    this.name = 'FormatError';
    this.offset = offset;
  }
}

/** Below this many characters a loop writes faster than a call into native code (7 against 27 ns at 3 characters). */
const NATIVE_WRITE_MIN = 16;
/** A varint below 2^53 has at most this many bytes. */
export const VARINT_BYTES_MAX = 8;

/** A buffer that grows as it is written. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(initialBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** Takes back what was written after `length`. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** What was written; a view that the next write may change. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = value;
  }

  varint(value: number): void {
    if (this.#length + VARINT_BYTES_MAX > this.#bytes.length) this.#grow(VARINT_BYTES_MAX);
    let rest = value;
    // Beyond 31 bits the bit operators don't reach.
    while (rest > 0x7fff_ffff) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  double(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow(8);
    this.#bytes.writeDoubleLE(value, this.#length);
    this.#length += 8;
  }

  /** The characters of a byte string, without their number. */
  characters(text: string): void {
    const length = text.length;
    if (this.#length + length > this.#bytes.length) this.#grow(length);
    if (length < NATIVE_WRITE_MIN) {
      for (let at = 0; at < length; at++) this.#bytes[this.#length + at] = text.charCodeAt(at);
    } else this.#bytes.write(text, this.#length, 'latin1');
    this.#length += length;
  }

  string(text: string): void {
    this.varint(text.length);
    this.characters(text);
  }

  /** Bytes without their number. */
  bytes(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + needed));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** Reads what a {@link ByteWriter} wrote; anything else is a {@link FormatError}. */
export class ByteReader {
  readonly #bytes: Buffer;
  /** Where `bytes` begins in the whole that errors refer to. */
  readonly #base: number;
  #at = 0;

  constructor(bytes: Uint8Array, base = 0) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#base = base;
  }

  /** Offset of the next byte, from the beginning of the whole. */
  get offset(): number {
    return this.#base + this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  fail(what: string): never {
    throw new FormatError(what, this.offset);
  }

  /** `count` bytes are not there, of which `what` should be made. */
  protected short(_count: number, what: string): never {
    return this.fail(`the bytes end where ${what} should be`);
  }

  byte(what: string): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) return this.short(1, what);
    this.#at++;
    return value;
  }

  varint(what: string): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.byte(what);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    return this.fail(`${what} is not a number below 2^53`);
  }

  /** How many items follow, each of at least `itemBytes` bytes: a number too large to be true fails here. */
  count(what: string, itemBytes: number): number {
    const count = this.varint(what);
    if (count * itemBytes > this.remaining) this.fail(`${what} says ${count}, more than the bytes hold,`);
    return count;
  }

  double(what: string): number {
    if (this.remaining < 8) this.short(8, what);
    const value = this.#bytes.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }

  /** The next byte, left where it is; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** So many bytes; a view of what is read from. */
  view(count: number, what: string): Buffer {
    if (this.remaining < count) this.short(count, what);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** Their number and the bytes; a view of what is read from. */
  bytes(what: string): Uint8Array {
    const length = this.count(`the length of ${what}`, 1);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** So many bytes, whose number is not written. */
  characters(count: number, what: string): string {
    if (this.remaining < count) this.short(count, what);
    this.#at += count;
    return this.#bytes.toString('latin1', this.#at - count, this.#at);
  }

  string(what: string): string {
    const length = this.count(`the length of ${what}`, 1);
    const end = this.#at + length;
    // Up to 4 characters a loop beats the call into native code (58 ns).
    const text =
      length <= 4 ? this.#shortString(this.#at, end) : this.#bytes.toString('latin1', this.#at, end);
    this.#at = end;
    return text;
  }

  #shortString(from: number, to: number): string {
    let text = '';
    for (let at = from; at < to; at++) text += String.fromCharCode(this.#bytes[at] ?? 0);
    return text;
  }
}
