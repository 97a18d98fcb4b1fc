/**
 * What Redis packs small values into: listpacks, and ziplists before them, are elements one behind the other, each a string or a
 * whole number, with lengths that let them be walked from both ends; intsets are numbers in order. Here they only come and
 * go in dumps; an element is a string, a number is spelt.
 *
 * ```
 * listpack := bytes:u32le  elements:u16le  (encoding  data  length backwards)*  0xff
 *   encoding: 0nnnnnnn number | 10nnnnnn string | 110nnnnn n:u8 number | 1110nnnn n:u8 string
 *             0xf0 n:u32le string | 0xf1 i16le | 0xf2 i24le | 0xf3 i32le | 0xf4 i64le
 * ziplist  := bytes:u32le  tail:u32le  elements:u16le  (length before  encoding  data)*  0xff
 *   encoding: 00nnnnnn | 01nnnnnn n:u8 | 0x80 n:u32be  string
 *             0xc0 i16le | 0xd0 i32le | 0xe0 i64le | 0xf0 i24le | 0xfe i8 | 1111nnnn n - 1
 * intset   := 2, 4 or 8:u32le  integers:u32le  integer*
 * ```
 */
import { ByteReader, ByteWriter } from '../bytes.ts';
import { type Integer, parseInteger } from '../integer.ts';
import { LISTPACK_BYTES } from '../types/listpack.ts';
import type { DumpReader } from './primitives.ts';

const END = 0xff;
/** A number of elements that says: count them. */
const MANY = 0xffff;
/** Longer texts are no whole numbers of 64 bits. */
const INTEGER_CHARACTERS_MAX = 20;

// --- Listpacks ---------------------------------------------------------------------------------------------------

/** The elements of a listpack in a dump. */
export function readListpack(bytes: Buffer, dump: DumpReader): string[] {
  const reader = new ByteReader(bytes);
  const size = reader.view(4, 'the size of a listpack').readUInt32LE();
  const count = reader.view(2, 'the number of elements').readUInt16LE();
  if (size !== bytes.length) reader.fail(`a listpack of ${size} bytes in ${bytes.length}`);
  const elements: string[] = [];
  while (reader.peek() !== END) {
    dump.expectElements(1);
    const start = reader.offset;
    elements.push(readElement(reader));
    const length = reader.offset - start;
    for (const byte of backLength(length))
      if (reader.byte('the length of an element') !== byte)
        reader.fail('the wrong length of an element before');
  }
  reader.byte('the end of a listpack');
  if (reader.remaining > 0) reader.fail('bytes behind the end of a listpack');
  if (count !== MANY && count !== elements.length)
    reader.fail(`${elements.length} elements in a listpack of ${count}`);
  return elements;
}

function readElement(reader: ByteReader): string {
  const what = 'an element of a listpack';
  const first = reader.byte(what);
  if (first < 0x80) return String(first);
  if (first < 0xc0) return reader.characters(first & 0x3f, what);
  if (first < 0xe0) {
    const number = ((first & 0x1f) << 8) | reader.byte(what);
    return String(number < 0x1000 ? number : number - 0x2000);
  }
  if (first < 0xf0) return reader.characters(((first & 0x0f) << 8) | reader.byte(what), what);
  switch (first) {
    case 0xf0:
      return reader.characters(reader.view(4, what).readUInt32LE(), what);
    case 0xf1:
      return String(reader.view(2, what).readInt16LE());
    case 0xf2:
      return String(reader.view(3, what).readIntLE(0, 3));
    case 0xf3:
      return String(reader.view(4, what).readInt32LE());
    case 0xf4:
      return String(reader.view(8, what).readBigInt64LE());
    default:
      return reader.fail(`the encoding ${first} of an element before`);
  }
}

/** The length of an element as it stands behind it: 7 bits a byte, the highest first, marked but for the first. */
function backLength(length: number): number[] {
  const bytes = [length & 0x7f];
  for (let rest = Math.floor(length / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[0] = (bytes[0] ?? 0) | 0x80;
    bytes.unshift(rest & 0x7f);
  }
  // Redis takes one byte more for the highest number that would fit.
  if (length === 16_383 || length === 2_097_151 || length === 268_435_455) {
    bytes[0] = (bytes[0] ?? 0) | 0x80;
    bytes.unshift(0);
  }
  return bytes;
}

export function listpackOf(elements: readonly string[]): Buffer {
  const writer = new ByteWriter(64);
  writer.bytes(Buffer.alloc(LISTPACK_BYTES - 1));
  for (const element of elements) {
    const start = writer.length;
    const number = element.length <= INTEGER_CHARACTERS_MAX ? parseInteger(element) : undefined;
    if (number === undefined) writeString(writer, element);
    else writeNumber(writer, number);
    for (const byte of backLength(writer.length - start)) writer.byte(byte);
  }
  writer.byte(END);
  const listpack = Buffer.from(writer.view());
  listpack.writeUInt32LE(listpack.length, 0);
  listpack.writeUInt16LE(Math.min(elements.length, MANY), 4);
  return listpack;
}

function writeString(writer: ByteWriter, text: string): void {
  const { length } = text;
  if (length < 0x40) writer.byte(0x80 | length);
  else if (length < 0x1000) {
    writer.byte(0xe0 | (length >> 8));
    writer.byte(length & 0xff);
  } else {
    writer.byte(0xf0);
    for (const shift of [0, 8, 16, 24]) writer.byte((length >>> shift) & 0xff);
  }
  writer.characters(text);
}

function writeNumber(writer: ByteWriter, number: Integer): void {
  if (typeof number === 'number' && number >= 0 && number < 0x80) writer.byte(number);
  else if (typeof number === 'number' && number >= -0x1000 && number < 0x1000) {
    writer.byte(0xc0 | ((number >> 8) & 0x1f));
    writer.byte(number & 0xff);
  } else {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(number));
    const fits = (bits: number): boolean => number >= -(2 ** (bits - 1)) && number < 2 ** (bits - 1);
    const size = fits(16) ? 2 : fits(24) ? 3 : fits(32) ? 4 : 8;
    writer.byte(size === 8 ? 0xf4 : 0xef + size);
    writer.bytes(bytes.subarray(0, size));
  }
}

// --- Ziplists ----------------------------------------------------------------------------------------------------

export function readZiplist(bytes: Buffer, dump: DumpReader): string[] {
  const reader = new ByteReader(bytes);
  const size = reader.view(4, 'the size of a ziplist').readUInt32LE();
  const tail = reader.view(4, 'the place of the last element').readUInt32LE();
  const count = reader.view(2, 'the number of elements').readUInt16LE();
  if (size !== bytes.length) reader.fail(`a ziplist of ${size} bytes in ${bytes.length}`);
  const elements: string[] = [];
  let before = 0;
  let last = reader.offset;
  while (reader.peek() !== END) {
    dump.expectElements(1);
    const start = reader.offset;
    const length = reader.byte('the length of the element before');
    const given =
      length === 0xfe ? reader.view(4, 'the length of the element before').readUInt32LE() : length;
    if (given !== before) reader.fail('the wrong length of an element before');
    elements.push(readZiplistElement(reader));
    before = reader.offset - start;
    last = start;
  }
  reader.byte('the end of a ziplist');
  if (reader.remaining > 0 || tail !== last) reader.fail('the wrong end of a ziplist before');
  if (count !== MANY && count !== elements.length)
    reader.fail(`${elements.length} elements in a ziplist of ${count}`);
  return elements;
}

function readZiplistElement(reader: ByteReader): string {
  const what = 'an element of a ziplist';
  const first = reader.byte(what);
  if (first < 0x40) return reader.characters(first, what);
  if (first < 0x80) return reader.characters(((first & 0x3f) << 8) | reader.byte(what), what);
  if (first > 0xf0 && first < 0xfe) return String((first & 0x0f) - 1);
  switch (first) {
    case 0x80:
      return reader.characters(reader.view(4, what).readUInt32BE(), what);
    case 0xc0:
      return String(reader.view(2, what).readInt16LE());
    case 0xd0:
      return String(reader.view(4, what).readInt32LE());
    case 0xe0:
      return String(reader.view(8, what).readBigInt64LE());
    case 0xf0:
      return String(reader.view(3, what).readIntLE(0, 3));
    case 0xfe:
      return String(reader.view(1, what).readInt8());
    default:
      return reader.fail(`the encoding ${first} of an element before`);
  }
}

// --- Intsets -----------------------------------------------------------------------------------------------------

export function readIntset(bytes: Buffer, dump: DumpReader): string[] {
  const reader = new ByteReader(bytes);
  const size = reader.view(4, 'the size of an integer').readUInt32LE();
  const count = reader.view(4, 'the number of integers').readUInt32LE();
  if ((size !== 2 && size !== 4 && size !== 8) || reader.remaining !== count * size)
    reader.fail(`an intset of ${count} integers of ${size} bytes in ${bytes.length}`);
  dump.expectElements(count);
  return Array.from({ length: count }, () => {
    const integer = reader.view(size, 'an integer');
    return String(size === 8 ? integer.readBigInt64LE() : integer.readIntLE(0, size));
  });
}

/** `integers` ascend. */
export function intsetOf(integers: readonly Integer[]): Buffer {
  const [lowest = 0, highest = 0] = [integers[0], integers.at(-1)];
  const fits = (bits: number): boolean => lowest >= -(2 ** (bits - 1)) && highest < 2 ** (bits - 1);
  const size = fits(16) ? 2 : fits(32) ? 4 : 8;
  const bytes = Buffer.alloc(8 + size * integers.length);
  bytes.writeUInt32LE(size, 0);
  bytes.writeUInt32LE(integers.length, 4);
  for (const [index, integer] of integers.entries()) {
    const at = 8 + size * index;
    if (size === 8) bytes.writeBigInt64LE(BigInt(integer), at);
    else bytes.writeIntLE(Number(integer), at, size);
  }
  return bytes;
}
