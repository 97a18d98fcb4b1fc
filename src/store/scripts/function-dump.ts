/**
 * Libraries as FUNCTION DUMP writes them, in the format of `../rdb`:
 *
 * ```
 * payload := (245  string)*  version:u16  crc64:u64     the strings are the libraries' texts; little-endian
 * ```
 */
import { ByteWriter, FormatError } from '../bytes.ts';
import { crc64 } from '../rdb/crc64.ts';
import { FOOTER_BYTES, VERSION } from '../rdb/kinds.ts';
import { DumpReader, readText, writeText } from '../rdb/primitives.ts';
import { isIntact } from '../rdb/restore.ts';

const LIBRARY = 245;
const LIBRARY_BEFORE_7 = 246;

export function dumpLibraries(texts: Iterable<string>): string {
  const writer = new ByteWriter(1024);
  for (const text of texts) {
    writer.byte(LIBRARY);
    writeText(writer, text);
  }
  writer.byte(VERSION);
  writer.byte(0);
  writer.bytes(crc64(writer.view()));
  return writer.view().toString('latin1');
}

/** The texts in a payload; or the error. */
export function readLibraries(payload: string): string[] | string {
  const bytes = Buffer.from(payload, 'latin1');
  if (!isIntact(bytes)) return 'ERR DUMP payload version or checksum are wrong';
  const reader = new DumpReader(bytes.subarray(0, -FOOTER_BYTES));
  const texts: string[] = [];
  try {
    while (reader.remaining > 0) {
      const type = reader.byte('a type');
      if (type === LIBRARY_BEFORE_7) return 'ERR Pre-GA function format not supported';
      if (type !== LIBRARY) return 'ERR given type is not a function';
      texts.push(readText(reader, 'a library'));
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return 'ERR Failed loading library code';
  }
  return texts;
}
