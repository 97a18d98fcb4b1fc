/**
 * Lengths and strings as Redis's dumps have them.
 *
 * ```
 * length := 00nnnnnn | 01nnnnnn n:u8 | 10000000 n:u32be | 10000001 n:u64be
 * string := length  bytes
 *         | 11000000 n:i8 | 11000001 n:i16le | 11000010 n:i32le        a whole number, spelt
 *         | 11000011 length length bytes                               compressed, see `lzf.ts`
 * ```
 */
import { ByteReader, type ByteWriter, MAX_STRING_BYTES } from '../bytes.ts';
import { type Integer, parseInteger } from '../integer.ts';
import { compress, decompress } from './lzf.ts';

const ENCODED = 0xc0;
const COMPRESSED = 0xc3;
const LENGTH_32 = 0x80;
const LENGTH_64 = 0x81;
/** Longer texts are not tried as numbers: those have 32 bits. */
const INTEGER_CHARACTERS_MAX = 11;
/** As in Redis: what is not longer is not compressed, nor what does not become so much shorter. */
const UNCOMPRESSED_BYTES_MAX = 20;
const SAVED_BYTES_MIN = 4;
/** Above that Redis goes on; but here nothing else would happen meanwhile (up to 25 ms for a megabyte). */
const COMPRESSED_BYTES_MAX = 1024 * 1024;

/** What all strings of a dump may expand to, and how many elements it may have: as many as come uncompressed in 32 MB. */
const EXPANDED_BYTES_MAX = MAX_STRING_BYTES;
const ELEMENTS_MAX = 2 ** 24;

/** Reads a dump. A few bytes of one must not ask for all memory: they can stand for 88 times as many, or for one of a million. */
export class DumpReader extends ByteReader {
  #expandedLeft = EXPANDED_BYTES_MAX;
  #elementsLeft = ELEMENTS_MAX;

  /** Says that so many elements are about to be made. */
  expectElements(count: number): void {
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) this.fail(`more than ${ELEMENTS_MAX} elements`);
  }

  /** Says that a string is about to be expanded to so many bytes. */
  expectBytes(count: Integer): void {
    this.#expandedLeft -= Number(count);
    if (this.#expandedLeft < 0) this.fail(`more than ${EXPANDED_BYTES_MAX} bytes`);
  }
}

/** A number of 64 bits without a sign. */
export function readUnsigned(reader: ByteReader, what: string): Integer {
  const first = reader.byte(what);
  if (first < 0x40) return first;
  if (first < 0x80) return ((first & 0x3f) << 8) | reader.byte(what);
  if (first === LENGTH_32) return reader.view(4, what).readUInt32BE();
  if (first === LENGTH_64) return narrow(reader.view(8, what).readBigUInt64BE());
  return reader.fail(`${what} that is no number before`);
}

/** The same bits as a number with a sign. */
export function readSigned(reader: ByteReader, what: string): Integer {
  const number = readUnsigned(reader, what);
  return typeof number === 'number' ? number : narrow(BigInt.asIntN(64, number));
}

/** How many items follow, each of at least `itemBytes` bytes: a number too large to be true fails here. */
export function readCount(reader: ByteReader, what: string, itemBytes: number): number {
  const count = readUnsigned(reader, what);
  if (typeof count !== 'number' || count * itemBytes > reader.remaining)
    return reader.fail(`${what} says ${count}, more than the bytes hold,`);
  return count;
}

export function readText(reader: DumpReader, what: string): string {
  return readString(reader, what).toString('latin1');
}

/** A string; maybe a view of what is read from. */
export function readString(reader: DumpReader, what: string): Buffer {
  const kind = reader.peek() ?? 0;
  if (kind < ENCODED) return reader.view(readCount(reader, `the length of ${what}`, 1), what);
  reader.byte(what);
  switch (kind) {
    case ENCODED:
      return Buffer.from(String(reader.view(1, what).readInt8()));
    case ENCODED | 1:
      return Buffer.from(String(reader.view(2, what).readInt16LE()));
    case ENCODED | 2:
      return Buffer.from(String(reader.view(4, what).readInt32LE()));
    case COMPRESSED: {
      const size = readCount(reader, `the compressed length of ${what}`, 1);
      const length = readUnsigned(reader, `the length of ${what}`);
      reader.expectBytes(length);
      return (
        decompress(reader.view(size, what), Number(length)) ??
        reader.fail(`${what} that can't be expanded before`)
      );
    }
    default:
      return reader.fail(`${what} of an unknown kind before`);
  }
}

/** A number of 64 bits with a sign, the lowest byte first. */
export function readInt64(reader: ByteReader, what: string): Integer {
  return narrow(reader.view(8, what).readBigInt64LE());
}

function narrow(number: bigint): Integer {
  return number >= Number.MIN_SAFE_INTEGER && number <= Number.MAX_SAFE_INTEGER ? Number(number) : number;
}

/** A number from -2^63 to 2^64 - 1, as 64 bits without a sign. */
export function writeInteger(writer: ByteWriter, number: Integer): void {
  if (number >= 0 && number < 0x40) writer.byte(Number(number));
  else if (number >= 0 && number < 0x4000) {
    writer.byte(0x40 | (Number(number) >> 8));
    writer.byte(Number(number) & 0xff);
  } else if (number >= 0 && number <= 0xffff_ffff) {
    writer.byte(LENGTH_32);
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32BE(Number(number));
    writer.bytes(bytes);
  } else {
    writer.byte(LENGTH_64);
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(number)));
    writer.bytes(bytes);
  }
}

export function writeText(writer: ByteWriter, text: string): void {
  const number = text.length <= INTEGER_CHARACTERS_MAX ? parseInteger(text) : undefined;
  if (typeof number === 'number' && number >= -0x8000_0000 && number <= 0x7fff_ffff) {
    writeNumber(writer, number);
  } else if (isCompressible(text)) {
    writeBlob(writer, Buffer.from(text, 'latin1'));
  } else {
    writeInteger(writer, text.length);
    writer.characters(text);
  }
}

/** A number of 32 bits, as a string. */
function writeNumber(writer: ByteWriter, number: number): void {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32LE(number);
  const size = number >= -0x80 && number <= 0x7f ? 0 : number >= -0x8000 && number <= 0x7fff ? 1 : 2;
  writer.byte(ENCODED | size);
  writer.bytes(bytes.subarray(0, 1 << size));
}

/** A string that spells no number. */
export function writeBlob(writer: ByteWriter, bytes: Buffer): void {
  const compressed = isCompressible(bytes) ? compress(bytes, bytes.length - SAVED_BYTES_MIN) : null;
  if (compressed !== null) {
    writer.byte(COMPRESSED);
    writeInteger(writer, compressed.length);
  }
  writeInteger(writer, bytes.length);
  writer.bytes(compressed ?? bytes);
}

function isCompressible({ length }: { readonly length: number }): boolean {
  return length > UNCOMPRESSED_BYTES_MAX && length <= COMPRESSED_BYTES_MAX;
}

export function writeInt64(writer: ByteWriter, number: Integer): void {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64LE(BigInt(number));
  writer.bytes(bytes);
}
