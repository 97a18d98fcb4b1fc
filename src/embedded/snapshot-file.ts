/** Snapshots in files of their own, anywhere: the same bytes as those in a data directory. */
import { dirname } from 'node:path';
import { asIndex, asTerm } from '../raft/types.ts';
import type { SnapshotEncoder } from '../store/snapshot.ts';
import type { SnapshotDecoder } from '../store/snapshot-decoder.ts';
import { nodeStorage } from '../wal/node-storage.ts';
import {
  readBlocks,
  readFooter,
  SnapshotEncoder as FileEncoder,
  type SnapshotState,
  verifySnapshot,
} from '../wal/snapshot-file.ts';
import type { StorageFile } from '../wal/storage.ts';
import { recognise, RECOGNISED_BYTES } from '../formats/format.ts';
import { StoreError } from './errors.ts';
import { FileSink } from './exchange.ts';

/** As all that is in a store's directory. */
const OWNER_ONLY = 0o600;
import { compressBlock, type Compression, expandBlock } from './compression.ts';

/** What is encoded of a snapshot in one go: a millisecond or two. */
const SLICE_BYTES = 256 * 1024;

/** What a store's snapshots say of a cluster's things: nothing. Before the first entry there is no term, as in the log. */
export function standingAt(index: number): SnapshotState {
  const configuration = { voters: [], outgoing: [], learners: [], removed: [] };
  return {
    index: asIndex(index),
    term: asTerm(Math.min(index, 1)),
    configuration,
    configurationIndex: asIndex(0),
  };
}

/** The encoder's blocks, each in a turn of its own. `decoder`: takes them, too. */
export async function* slices(
  encoder: SnapshotEncoder,
  compression: Compression,
  decoder?: SnapshotDecoder,
): AsyncGenerator<Uint8Array, void, void> {
  for (let block = encoder.next(SLICE_BYTES); block !== null; block = encoder.next(SLICE_BYTES)) {
    decoder?.push(block);
    yield compression === 'none' ? block : await compressBlock(block, compression);
    await new Promise(setImmediate);
  }
}

/** Has the decoder take the blocks, all of them; what they tell is then there. */
export async function decodeAll(decoder: SnapshotDecoder, blocks: AsyncIterable<Buffer>): Promise<void> {
  for await (const block of blocks) decoder.push(await expandBlock(block));
  decoder.finish();
}

/**
 * Writes a file, durable under its name when this resolves to its size in bytes; one that was there is replaced then, not
 * before.
 */
export async function writeSnapshotFile(
  path: string,
  group: string,
  index: number,
  blocks: AsyncIterable<Uint8Array>,
): Promise<number> {
  await nodeStorage.makeDirectory(dirname(path));
  const sink = await FileSink.open(path, OWNER_ONLY);
  const encoder = new FileEncoder();
  const put = async (buffers: readonly Uint8Array[]): Promise<void> => {
    for (const buffer of buffers) await sink.write(buffer);
  };
  try {
    await put(encoder.head(group));
    for await (const block of blocks) await put(encoder.block(block));
    await put(encoder.footer(standingAt(index)).buffers);
    await sink.finish(null);
  } catch (error) {
    await sink.discard();
    throw error;
  }
  return encoder.bytes;
}

/** The blocks of a file, after a check of all of it; throws a `WalError` where it is damaged. */
export async function* readSnapshotFile(path: string): AsyncGenerator<Buffer, void, void> {
  const file = await nodeStorage.open(path, 'read');
  try {
    await refuseOthers(file, path);
    await verifySnapshot(file, path);
    const { blocksEnd } = await readFooter(file, path);
    yield* readBlocks(file, path, blocksEnd);
  } finally {
    await file.close();
  }
}

/** A file of another program is not damaged. Commands begin with any letter, as what is damaged may. */
async function refuseOthers(file: StorageFile, path: string): Promise<void> {
  const start = Buffer.alloc(RECOGNISED_BYTES);
  const format = recognise(start.subarray(0, await file.read(start, 0)));
  if (format === 'json' || format === 'rdb' || format === 'binary')
    throw new StoreError(
      'INVALID_ARGUMENT',
      `${path}: not a snapshot that a store wrote, but ${format}, which load() reads`,
    );
}
