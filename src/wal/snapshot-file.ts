/**
 * A snapshot file: what the store writes, in blocks, and a footer that says what it covers.
 *
 * ```
 * 0     head page of one sector: format, group
 * 512   blocks: length u32 | CRC-32 u32 (starts from the block's offset) | bytes
 *       footer page: what the snapshot covers, CRC-32 of everything before it | length of the page u32
 * ```
 *
 * Written under a temporary name and renamed when durable. The same bytes travel between nodes, so nothing in it
 * belongs to one node.
 */
import { crc32 } from 'node:zlib';
import { decodeConfiguration, encodeConfiguration } from '../raft/configuration.ts';
import { asIndex, asTerm, type SnapshotMeta } from '../raft/types.ts';
import { corrupt, WalError } from './errors.ts';
import { decodePage, encodePage, foreignFormat } from './page.ts';
import { readExactly, SECTOR_BYTES, type StorageFile } from './storage.ts';

/** What a snapshot's file begins with. */
export const HEAD_MAGIC = 'KVSNAPHD';
const FOOTER_MAGIC = 'KVSNAPFT';
const BLOCK_HEAD_BYTES = 8;
const FOOTER_BYTES_MAX = 16 * 1024 * 1024;
/** Largest block of a snapshot in bytes. */
export const SNAPSHOT_BLOCK_BYTES_MAX: number = 256 * 1024 * 1024;
/** How much is read at once while a whole file is checked. */
const SCAN_BYTES = 1024 * 1024;

/** What a snapshot covers, known before its file exists. */
export type SnapshotState = Pick<SnapshotMeta, 'index' | 'term' | 'configuration' | 'configurationIndex'>;

/** Encodes a snapshot file from front to back, and keeps its checksum. */
export class SnapshotEncoder {
  #bytes = 0;
  #digest = 0;

  /** Length of what was encoded so far. */
  get bytes(): number {
    return this.#bytes;
  }

  head(group: string): Uint8Array[] {
    return this.#count([encodePage(HEAD_MAGIC, { group }, SECTOR_BYTES)]);
  }

  block(block: Uint8Array): Uint8Array[] {
    if (block.length > SNAPSHOT_BLOCK_BYTES_MAX) {
      throw new WalError(
        'WAL_TOO_LARGE',
        `a snapshot block of ${block.length} bytes; at most ${SNAPSHOT_BLOCK_BYTES_MAX} are allowed`,
      );
    }
    const head = Buffer.alloc(BLOCK_HEAD_BYTES);
    head.writeUInt32LE(block.length, 0);
    head.writeUInt32LE(crc32(block, this.#bytes >>> 0), 4);
    return this.#count([head, block]);
  }

  /** The end of the file, and what names it from now on. */
  footer(state: SnapshotState): { buffers: Uint8Array[]; meta: SnapshotMeta } {
    const page = encodePage(FOOTER_MAGIC, {
      index: state.index,
      term: state.term,
      configuration: Buffer.from(encodeConfiguration(state.configuration)).toString('utf8'),
      configurationIndex: state.configurationIndex,
      bytes: this.#bytes,
      digest: this.#digest,
    });
    const length = Buffer.alloc(4);
    length.writeUInt32LE(page.length, 0);
    const buffers = this.#count([page, length]);
    const { index, term, configuration, configurationIndex } = state;
    const meta = {
      index,
      term,
      configuration,
      configurationIndex,
      bytes: this.#bytes,
      checksum: this.#digest,
    };
    return { buffers, meta };
  }

  #count(buffers: Uint8Array[]): Uint8Array[] {
    for (const buffer of buffers) {
      this.#digest = crc32(buffer, this.#digest);
      this.#bytes += buffer.length;
    }
    return buffers;
  }
}

/** What the footer of a file says: its meta and where its blocks end. Throws `WAL_CORRUPT` or `WAL_FORMAT`. */
export async function readFooter(
  file: StorageFile,
  path: string,
): Promise<{ meta: SnapshotMeta; blocksEnd: number; digest: number }> {
  const size = await file.size();
  if (size < SECTOR_BYTES + 4) throw damaged(path, size, 'the file is too short');
  const length = (await readExactly(file, size - 4, size)).readUInt32LE(0);
  const blocksEnd = size - 4 - length;
  if (length > FOOTER_BYTES_MAX || blocksEnd < SECTOR_BYTES) throw damaged(path, size - 4, 'no footer');
  const footer = await readExactly(file, blocksEnd, size);
  const page = decodePage(FOOTER_MAGIC, footer.subarray(0, length));
  if (page.state === 'foreign') throw foreignFormat(path, page.format);
  if (page.state === 'bad') throw damaged(path, blocksEnd, `the footer is damaged: ${page.why}`);
  const { index, term, configuration, configurationIndex, bytes, digest } = page.value;
  if (bytes !== blocksEnd) throw damaged(path, blocksEnd, `the footer expects to stand at ${String(bytes)}`);
  const meta: SnapshotMeta = {
    index: asIndex(Number(index)),
    term: asTerm(Number(term)),
    configuration: decodeConfiguration(Buffer.from(String(configuration), 'utf8')),
    configurationIndex: asIndex(Number(configurationIndex)),
    bytes: size,
    checksum: crc32(footer, Number(digest)),
  };
  return { meta, blocksEnd, digest: Number(digest) };
}

/** Reads the whole file and holds it against its footer. */
export async function verifySnapshot(file: StorageFile, path: string): Promise<SnapshotMeta> {
  const { meta, blocksEnd, digest } = await readFooter(file, path);
  let found = 0;
  for (let at = 0; at < blocksEnd; at += SCAN_BYTES) {
    found = crc32(await readExactly(file, at, Math.min(blocksEnd, at + SCAN_BYTES)), found);
  }
  if (found !== digest) throw damaged(path, 0, 'the content does not match its checksum');
  return meta;
}

/** The store's blocks, each checked. */
export async function* readBlocks(
  file: StorageFile,
  path: string,
  blocksEnd: number,
): AsyncGenerator<Buffer, void, void> {
  const page = decodePage(HEAD_MAGIC, await readExactly(file, 0, SECTOR_BYTES));
  if (page.state === 'foreign') throw foreignFormat(path, page.format);
  if (page.state === 'bad') throw damaged(path, 0, `the head is damaged: ${page.why}`);
  for (let at = SECTOR_BYTES; at < blocksEnd; ) {
    if (at + BLOCK_HEAD_BYTES > blocksEnd) throw damaged(path, at, 'a block is cut off');
    const head = await readExactly(file, at, at + BLOCK_HEAD_BYTES);
    const end = at + BLOCK_HEAD_BYTES + head.readUInt32LE(0);
    if (end > blocksEnd) throw damaged(path, at, 'the length of a block is impossible');
    const block = await readExactly(file, at + BLOCK_HEAD_BYTES, end);
    if (crc32(block, at >>> 0) !== head.readUInt32LE(4)) throw damaged(path, at, 'a block is damaged');
    yield block;
    at = end;
  }
}

function damaged(path: string, offset: number, what: string): WalError {
  return corrupt(path, offset, what, 'a snapshot');
}
