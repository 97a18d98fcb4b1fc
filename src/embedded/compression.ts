/**
 * Compressed snapshots: each block of a file by itself, so that no more than one is in memory, and in the thread pool, so that
 * the event loop goes on. The file around them is the same, with the checksums of what stands in it.
 *
 * ```
 * block := 'KVZ'  algorithm:u8 ('g' or 's')  length:u32  compressed     length: of what comes of it
 *        | plain                                                         where that is not longer
 * ```
 *
 * A plain block begins with the length of its frame, which as a number is below all that begin a compressed one. So each block
 * says what it is, and a store reads all of them whatever its options are.
 */
import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { FormatError } from '../store/bytes.ts';
import { FRAME_BYTES_MAX } from '../store/snapshot.ts';
import type { Algorithm } from '../store/types/packed.ts';

/** How something is compressed: `zstd` takes less time than `gzip`. */
export type Compression = 'none' | 'gzip' | 'zstd';

const HEAD_BYTES = 8;
const MARKER = 'KVZ';
/** Fast and nearly as small as higher levels: gzip's 6 takes four times as long for 3 % less. */
const LEVEL = 1;
const GZIP = { level: LEVEL };
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } };
/** Zstandard asks for memory before it has seen the data: not for more than a block could need. */
const ZSTD_READ = { params: { [constants.ZSTD_d_windowLogMax]: Math.log2(FRAME_BYTES_MAX) } };

const ALGORITHMS = {
  gzip: { letter: 'g', compress: promisify(gzip), options: GZIP, expand: promisify(gunzip), readOptions: {} },
  zstd: {
    letter: 's',
    compress: promisify(zstdCompress),
    options: ZSTD,
    expand: promisify(zstdDecompress),
    readOptions: ZSTD_READ,
  },
} as const satisfies Record<Algorithm, unknown>;

/** The block as it is to be written; itself where compression makes it no shorter. */
export async function compressBlock(block: Uint8Array, algorithm: Algorithm): Promise<Uint8Array> {
  const { letter, compress, options } = ALGORITHMS[algorithm];
  const compressed = await compress(block, options);
  if (HEAD_BYTES + compressed.length >= block.length) return block;
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(MARKER + letter, 'latin1');
  head.writeUInt32LE(block.length, 4);
  return Buffer.concat([head, compressed]);
}

/** What `compressBlock` was given. Takes no more memory than the largest block there is, whatever the bytes are. */
export async function expandBlock(block: Buffer): Promise<Uint8Array> {
  if (block.length < HEAD_BYTES || block.readUInt32LE(0) <= FRAME_BYTES_MAX) return block;
  const algorithm = Object.values(ALGORITHMS).find(
    ({ letter }) => block.latin1Slice(0, 4) === MARKER + letter,
  );
  if (algorithm === undefined)
    throw damaged(`begins with ${JSON.stringify(block.latin1Slice(0, 4))}, which this release does not know`);
  const length = block.readUInt32LE(4);
  if (length === 0 || length > FRAME_BYTES_MAX)
    throw damaged(`would have ${length} bytes (from 1 to ${FRAME_BYTES_MAX} are possible)`);
  const options = { ...algorithm.readOptions, maxOutputLength: length };
  const expanded = await algorithm.expand(block.subarray(HEAD_BYTES), options).catch((error: unknown) => {
    throw damaged(`can't be decompressed to ${length} bytes (${String(error)})`);
  });
  if (expanded.length !== length) throw damaged(`has ${expanded.length} bytes and should have ${length}`);
  return expanded;
}

function damaged(how: string): FormatError {
  return new FormatError(`a compressed block that ${how},`, 0);
}
