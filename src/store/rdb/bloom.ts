/**
 * Bloom filters in dumps: the way in which Redis writes what belongs to its modules, with the fields of RedisBloom.
 *
 * ```
 * module := type:length  (2 length | 4 f64le | 5 string)*  0
 * bloom  := size  filters  options  expansion  (capacity  error  hashes  bitsPerItem  bits  0  array  size)*
 * ```
 */
import type { ByteWriter } from '../bytes.ts';
import type { Integer } from '../integer.ts';
import { BloomFilter } from '../types/bloom.ts';
import {
  type DumpReader,
  readCount,
  readString,
  readUnsigned,
  writeBlob,
  writeInteger,
} from './primitives.ts';

const UNSIGNED = 2;
const DOUBLE = 4;
const STRING = 5;
const END = 0;

const NAME = 'MBbloom--';
const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** The version of RedisBloom's fields, in the lowest bits of the type. */
const FIELDS_VERSION = 4n;
/** Nine characters of 6 bits, and 10 bits for the version. */
const TYPE: bigint =
  (Array.from(NAME).reduce((id, character) => (id << 6n) | BigInt(CHARACTERS.indexOf(character)), 0n) <<
    10n) |
  FIELDS_VERSION;

/** Places in the header that BF.SCANDUMP gives, see `types/bloom.ts`. */
const HEADER_BYTES = 20;
const FILTER_BYTES = 53;
/** What a filter takes in a dump, at least. */
const DUMPED_BYTES_MIN = 8 * 2;

export function writeBloom(filter: BloomFilter, writer: ByteWriter): void {
  const header = filter.header();
  const unsigned = (number: Integer): void => {
    writer.byte(UNSIGNED);
    writeInteger(writer, number);
  };
  const double = (at: number): void => {
    writer.byte(DOUBLE);
    writer.bytes(header.subarray(at, at + 8));
  };
  writeInteger(writer, TYPE);
  unsigned(header.readBigUInt64LE(0));
  for (const at of [8, 12, 16]) unsigned(header.readUInt32LE(at));
  let offset = 0;
  for (let at = HEADER_BYTES; at < header.length; at += FILTER_BYTES) {
    const bytes = Number(header.readBigUInt64LE(at));
    unsigned(header.readBigUInt64LE(at + 44));
    double(at + 24);
    unsigned(header.readUInt32LE(at + 40));
    double(at + 32);
    unsigned(header.readBigUInt64LE(at + 8));
    unsigned(0);
    writer.byte(STRING);
    writeBlob(writer, Buffer.from(filter.dump(offset, bytes) ?? '', 'latin1'));
    unsigned(header.readBigUInt64LE(at + 16));
    offset += bytes;
  }
  writer.byte(END);
}

export function readBloom(reader: DumpReader): BloomFilter {
  const type = readUnsigned(reader, 'the type of a module');
  if (BigInt(type) !== TYPE) reader.fail('a module that is not known before');
  const expect = (opcode: number): void => {
    if (readUnsigned(reader, 'the kind of a field') !== opcode) reader.fail('a field of another kind before');
  };
  const unsigned = (): bigint => {
    expect(UNSIGNED);
    return BigInt(readUnsigned(reader, 'a field'));
  };
  const double = (): number => {
    expect(DOUBLE);
    return reader.double('a field');
  };
  const word = (): number => {
    const number = unsigned();
    return number <= 0xffff_ffffn ? Number(number) : reader.fail(`the number ${number} before`);
  };
  const size = unsigned();
  expect(UNSIGNED);
  const count = readCount(reader, 'the number of filters', DUMPED_BYTES_MIN);
  const header = Buffer.alloc(HEADER_BYTES + FILTER_BYTES * count);
  header.writeBigUInt64LE(size, 0);
  header.writeUInt32LE(count, 8);
  header.writeUInt32LE(word(), 12);
  header.writeUInt32LE(word(), 16);
  const arrays: Buffer[] = [];
  for (let at = HEADER_BYTES; at < header.length; at += FILTER_BYTES) {
    header.writeBigUInt64LE(unsigned(), at + 44);
    header.writeDoubleLE(double(), at + 24);
    header.writeUInt32LE(word(), at + 40);
    header.writeDoubleLE(double(), at + 32);
    header.writeBigUInt64LE(unsigned(), at + 8);
    if (unsigned() !== 0n) reader.fail('a filter of another kind before');
    expect(STRING);
    const array = readString(reader, 'the bits of a filter');
    header.writeBigUInt64LE(BigInt(array.length), at);
    header.writeBigUInt64LE(unsigned(), at + 16);
    arrays.push(array);
  }
  expect(END);
  const filter = new BloomFilter();
  if (!filter.loadHeader(header)) reader.fail('a Bloom filter that can not be before');
  let offset = 0;
  for (const array of arrays) {
    filter.load(offset, array.toString('latin1'));
    offset += array.length;
  }
  return filter;
}
