/**
 * A checksummed page of JSON: the one shape of everything on disk that is small and rare (identity, term and vote,
 * segment heads, snapshot heads and footers). Readable in a hex dump, and each kind has its own magic and format.
 *
 * ```
 * magic 8 | format u32 | JSON length u32 | CRC-32 of all the rest u32 | JSON
 * ```
 */
import { crc32 } from 'node:zlib';
import { WalError } from './errors.ts';

const HEAD_BYTES = 20;
/** The version of everything this layer writes; readers refuse any other. */
export const FORMAT = 2;

/** Encodes `value` into a page of exactly `bytes` bytes (zeros behind the JSON), or as long as it needs. */
export function encodePage(magic: string, value: unknown, bytes?: number): Buffer {
  const json = Buffer.from(JSON.stringify(value), 'utf8');
  const page = Buffer.alloc(bytes ?? HEAD_BYTES + json.length);
  if (HEAD_BYTES + json.length > page.length) {
    throw new WalError(
      'WAL_TOO_LARGE',
      `${magic}: ${json.length} bytes of JSON do not fit a page of ${page.length}`,
    );
  }
  page.write(magic, 0, 8, 'latin1');
  page.writeUInt32LE(FORMAT, 8);
  page.writeUInt32LE(json.length, 12);
  json.copy(page, HEAD_BYTES);
  page.writeUInt32LE(checksum(page, json.length), 16);
  return page;
}

/** What a page turned out to hold. `foreign`: intact, but of a format this version does not read. */
export type Page =
  | { readonly state: 'ok'; readonly value: Readonly<Record<string, unknown>> }
  | { readonly state: 'foreign'; readonly format: number }
  | { readonly state: 'bad'; readonly why: string };

export function decodePage(magic: string, page: Buffer): Page {
  if (page.length < HEAD_BYTES) return { state: 'bad', why: `only ${page.length} bytes long` };
  if (page.toString('latin1', 0, 8) !== magic)
    return { state: 'bad', why: `it does not begin with ${magic}` };
  const length = page.readUInt32LE(12);
  if (HEAD_BYTES + length > page.length) return { state: 'bad', why: 'its length is impossible' };
  if (checksum(page, length) !== page.readUInt32LE(16)) return { state: 'bad', why: 'its checksum is wrong' };
  const format = page.readUInt32LE(8);
  if (format !== FORMAT) return { state: 'foreign', format };
  const value: unknown = JSON.parse(page.toString('utf8', HEAD_BYTES, HEAD_BYTES + length));
  if (typeof value !== 'object' || value === null) return { state: 'bad', why: 'it holds no object' };
  return { state: 'ok', value: value as Record<string, unknown> };
}

/** The error for an intact page of another format. */
export function foreignFormat(file: string, format: number): WalError {
  return new WalError(
    'WAL_FORMAT',
    `${file}: written in format ${format}, this version reads ${FORMAT}; start the version of kvorum that wrote it`,
  );
}

function checksum(page: Buffer, length: number): number {
  return crc32(page.subarray(HEAD_BYTES, HEAD_BYTES + length), crc32(page.subarray(0, 16)));
}
