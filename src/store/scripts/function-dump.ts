/**
 * Libraries as FUNCTION DUMP writes them: a piece of Redis's RDB format.
 *
 * ```
 * payload := (245  string)*  version:u16  crc64:u64     the strings are the libraries' texts; little-endian
 * string  := length  bytes  |  195  length  length  compressed bytes       compressed and full length
 * length  := 00xxxxxx  |  01xxxxxx x:u8  |  128 x:u32  |  129 x:u64        big-endian
 * ```
 *
 * What is written is never compressed, which Redis reads as well.
 */
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';

const LIBRARY = 245;
const LIBRARY_BEFORE_7 = 246;
const VERSION = 10;
const TRAILER_BYTES = 10;
const LENGTH = { short: 0, middle: 1, long: 2, encoded: 3 } as const;
const LONG_64 = 129;
const COMPRESSED = 3;

export function dumpLibraries(texts: Iterable<string>): string {
  const writer = new ByteWriter(1024);
  for (const text of texts) {
    writer.byte(LIBRARY);
    writeLength(writer, text.length);
    writer.characters(text);
  }
  writer.byte(VERSION);
  writer.byte(0);
  writer.characters(crc64(writer.view()));
  return writer.view().toString('latin1');
}

/** The texts in a payload; or the error. */
export function readLibraries(payload: string): string[] | string {
  const bytes = Buffer.from(payload, 'latin1');
  const end = bytes.length - TRAILER_BYTES;
  if (end < 0 || bytes.readUInt16LE(end) > VERSION || crc64(bytes.subarray(0, -8)) !== payload.slice(-8))
    return 'ERR DUMP payload version or checksum are wrong';
  const reader = new ByteReader(bytes.subarray(0, end));
  const texts: string[] = [];
  try {
    while (reader.remaining > 0) {
      const type = reader.byte('a type');
      if (type === LIBRARY_BEFORE_7) return 'ERR Pre-GA function format not supported';
      if (type !== LIBRARY) return 'ERR given type is not a function';
      texts.push(readString(reader));
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return 'ERR Failed loading library code';
  }
  return texts;
}

function writeLength(writer: ByteWriter, length: number): void {
  if (length < 0x40) writer.byte(length);
  else if (length < 0x4000) {
    writer.byte(0x40 | (length >> 8));
    writer.byte(length & 0xff);
  } else {
    writer.byte(0x80);
    for (let shift = 24; shift >= 0; shift -= 8) writer.byte((length >>> shift) & 0xff);
  }
}

function readLength(reader: ByteReader, head: number): number {
  switch (head >> 6) {
    case LENGTH.short:
      return head & 0x3f;
    case LENGTH.middle:
      return ((head & 0x3f) << 8) | reader.byte('a length');
    default: {
      let length = 0;
      for (let left = head === LONG_64 ? 8 : 4; left > 0; left--)
        length = length * 256 + reader.byte('a length');
      return length;
    }
  }
}

function readString(reader: ByteReader): string {
  const head = reader.byte('a string');
  if (head >> 6 !== LENGTH.encoded) return readBytes(reader, readLength(reader, head));
  if ((head & 0x3f) !== COMPRESSED) return reader.fail('a number where a text should be');
  const packed = readLength(reader, reader.byte('a length'));
  const length = readLength(reader, reader.byte('a length'));
  return decompress(reader, Buffer.from(readBytes(reader, packed), 'latin1'), length);
}

function readBytes(reader: ByteReader, length: number): string {
  if (length > reader.remaining) reader.fail('a text that is too short');
  let text = '';
  for (let left = length; left > 0; left--) text += String.fromCharCode(reader.byte('a text'));
  return text;
}

/** The most that a library's text may be: nothing is unpacked to more. */
const TEXT_BYTES_MAX: number = 64 * 1024 * 1024;

/** LZF: runs of new bytes, and runs that were there before. */
function decompress(reader: ByteReader, packed: Buffer, length: number): string {
  if (length > TEXT_BYTES_MAX) reader.fail('a text that is too long');
  const unpacked = Buffer.alloc(length);
  let at = 0;
  let to = 0;
  const next = (): number => packed[at++] ?? reader.fail('a compressed text that is too short');
  while (at < packed.length) {
    const control = next();
    if (control < 32) {
      for (let left = control + 1; left > 0; left--) unpacked[to++] = next();
      continue;
    }
    let run = control >> 5;
    if (run === 7) run += next();
    let from = to - ((control & 0x1f) << 8) - next() - 1;
    if (from < 0 || to + run + 2 > length) reader.fail('a compressed text that is damaged');
    for (let left = run + 2; left > 0; left--) unpacked[to++] = unpacked[from++] ?? 0;
  }
  if (to !== length) reader.fail('a compressed text of another length');
  return unpacked.toString('latin1');
}

const POLYNOMIAL = 0x95ac_9329_ac4b_c9b5n;

const CRC_TABLE: readonly bigint[] = Array.from({ length: 256 }, (_, byte) => {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) value = (value & 1n) === 0n ? value >> 1n : (value >> 1n) ^ POLYNOMIAL;
  return value;
});

/** Jones's CRC of 64 bits, little-endian. */
function crc64(bytes: Uint8Array): string {
  let value = 0n;
  for (const byte of bytes) value = (CRC_TABLE[Number((value ^ BigInt(byte)) & 0xffn)] ?? 0n) ^ (value >> 8n);
  const encoded = Buffer.alloc(8);
  encoded.writeBigUInt64LE(value);
  return encoded.toString('latin1');
}
