/**
 * Snapshot files on their way between nodes. The receiver asks for the file from an offset on; the sender answers
 * with chunks, each with its place in the file and a checksum, and a last empty one at the end:
 *
 * ```
 * offset  bytes
 *      0      4  CRC-32 of everything after it
 *      4      4  number of bytes in the chunk, 0 at the end of the file
 *      8      8  where in the file they stand
 *     16      …  the bytes
 * ```
 *
 * A connection that breaks, or brings a damaged chunk, is replaced by one that goes on after the last good byte.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { IncomingHttpHeaders } from 'node:http';
import { type Index, type SnapshotMeta, asIndex } from '../raft/types.ts';
import { type LinkProblem, connectionTo, redialDelay } from './incoming.ts';

/** Largest chunk in bytes. Small, so that a transfer leaves the event loop to other work several times per MB. */
export const SNAPSHOT_CHUNK_BYTES_MAX: number = 256 * 1024;
/** A sender gives each receiver at most this much per second, to leave disk and network to the log. */
const SNAPSHOT_BYTES_PER_SECOND_MAX = 64 * 1024 * 1024;
/** A transfer fails after so many attempts in a row that brought no byte: about two seconds of pauses. */
const SNAPSHOT_FAILURES_MAX = 8;

const HEAD_BYTES = 16;
const CRC_BYTES = 4;
const NAME = /^([1-9][0-9]{0,15})-([0-9a-f]{8})$/;

/** Where a node finds the snapshot files that it serves. */
export interface SnapshotSource {
  /**
   * The bytes of that file from `offset` on, in pieces of any size, or `null` when there is no such file (any more).
   * The file must stay until the iteration ends or is given up (`return` of the iterator).
   */
  open(
    index: Index,
    checksum: number,
    offset: number,
  ): AsyncIterable<Uint8Array> | null | Promise<AsyncIterable<Uint8Array> | null>;
}

/** Where a fetched snapshot goes. */
export interface SnapshotSink {
  /** How many bytes of the file it has: 0, or where an earlier transfer broke off. Every `write` moves it on. */
  readonly offset: number;
  /** Takes the next bytes of the file, a buffer that is the sink's own from then on. A rejection ends the transfer. */
  write(chunk: Buffer): Promise<void>;
}

/** The snapshot can't be had from this peer: asking again would not help. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
}

/** The last part of the path under which a snapshot is served. */
export function snapshotName({ index, checksum }: Pick<SnapshotMeta, 'index' | 'checksum'>): string {
  return `${index}-${checksum.toString(16).padStart(8, '0')}`;
}

/** The reverse of {@link snapshotName}; `null` where `name` is none. */
export function parseSnapshotName(name: string): { index: Index; checksum: number } | null {
  const match = NAME.exec(name);
  if (match === null) return null;
  return { index: asIndex(Number(match[1])), checksum: Number.parseInt(match[2] ?? '', 16) };
}

/* ----------------------------------------------------------------------------------------------------- sending */

/** The body of the answer: `pieces`, the file from `offset` on, as chunks, at the allowed rate. */
export async function* encodeSnapshot(
  pieces: AsyncIterable<Uint8Array>,
  offset: number,
): AsyncGenerator<Buffer, void, void> {
  let at = offset;
  let nextAt = 0;
  for await (const piece of pieces) {
    for (let from = 0; from < piece.length; from += SNAPSHOT_CHUNK_BYTES_MAX) {
      const bytes = piece.subarray(from, from + SNAPSHOT_CHUNK_BYTES_MAX);
      const now = performance.now();
      if (nextAt > now) await sleep(nextAt - now);
      nextAt = Math.max(nextAt, now) + (bytes.length / SNAPSHOT_BYTES_PER_SECOND_MAX) * 1000;
      yield encodeChunk(at, bytes);
      at += bytes.length;
    }
  }
  yield encodeChunk(at, new Uint8Array(0));
}

function encodeChunk(offset: number, bytes: Uint8Array): Buffer {
  const chunk = Buffer.allocUnsafe(HEAD_BYTES + bytes.length);
  chunk.writeUInt32LE(bytes.length, 4);
  chunk.writeBigUInt64LE(BigInt(offset), 8);
  chunk.set(bytes, HEAD_BYTES);
  chunk.writeUInt32LE(crc32(chunk.subarray(CRC_BYTES)), 0);
  return chunk;
}

/* --------------------------------------------------------------------------------------------------- receiving */

interface FetchOptions {
  readonly url: string;
  /** Path of the snapshot, without the offset. */
  readonly path: string;
  readonly headers: () => Record<string, string>;
  readonly silenceMsMax: number;
  /** What is wrong with the head of the answer, or `null`. */
  readonly check: (status: number, headers: IncomingHttpHeaders) => LinkProblem | null;
  readonly snapshot: SnapshotMeta;
  readonly sink: SnapshotSink;
  readonly signal: AbortSignal;
}

/**
 * Brings `sink.offset` to `snapshot.bytes`. Rejects with a {@link SnapshotError} where the peer doesn't give the file,
 * with the sink's error, with the signal's reason, or with the last failure when attempts bring nothing.
 * The checksum over the whole file is the sink's to check: an earlier process may have fetched the first half.
 */
export async function fetchSnapshot(options: FetchOptions): Promise<void> {
  const { sink, snapshot, signal } = options;
  signal.throwIfAborted();
  for (let failures = 0; sink.offset < snapshot.bytes; ) {
    const before = sink.offset;
    const broken = await fetchOnce(options);
    if (broken === null) break;
    failures = sink.offset > before ? 0 : failures + 1;
    if (failures >= SNAPSHOT_FAILURES_MAX) {
      const progress = `${sink.offset} of ${snapshot.bytes} B`;
      throw new Error(`snapshot ${snapshotName(snapshot)} stands at ${progress}`, { cause: broken });
    }
    signal.throwIfAborted();
    await sleep(redialDelay(failures), undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Fetches as much as one connection brings. `null`: all of it; otherwise why the connection is of no more use. */
async function fetchOnce(options: FetchOptions): Promise<Error | null> {
  const { url, path, headers, silenceMsMax, check, sink, snapshot, signal } = options;
  const client = connectionTo(url, silenceMsMax);
  try {
    const answer = await client
      .request({ path: `${path}?offset=${sink.offset}`, method: 'GET', headers: headers(), signal })
      .catch(asBroken);
    if (answer instanceof Broken) return answer;
    const problem = check(answer.statusCode, answer.headers);
    if (problem !== null) {
      if (answer.statusCode >= 500) return new Broken(problem.text);
      throw new SnapshotError(`snapshot ${snapshotName(snapshot)}: ${problem.text}`);
    }
    for await (const { offset, bytes } of chunksOf(answer.body)) {
      if (offset !== sink.offset) return new Broken(`a chunk for byte ${offset} came at byte ${sink.offset}`);
      if (bytes.length === 0 || offset + bytes.length > snapshot.bytes) {
        throw new SnapshotError(`the sender's snapshot is not of ${snapshot.bytes} B but of another length`);
      }
      await sink.write(bytes);
      if (sink.offset === snapshot.bytes) return null;
    }
    return new Broken('the answer ended before the file');
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Broken) return error;
    throw error;
  } finally {
    await client.destroy();
  }
}

/** A failure of the connection or of what it brought, as against one of the sink. */
class Broken extends Error {}

function asBroken(error: unknown): Broken {
  return new Broken(error instanceof Error ? error.message : String(error), { cause: error });
}

/** Cuts a body into checked chunks. Ends without an error where the body ends; throws {@link Broken}. */
async function* chunksOf(
  body: AsyncIterable<Buffer>,
): AsyncGenerator<{ offset: number; bytes: Buffer }, void, void> {
  let held: Buffer = Buffer.alloc(0);
  const pieces = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await pieces.next().catch(asBroken);
      if (next instanceof Broken) throw next;
      if (next.done === true) return;
      held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
      for (let chunk = firstChunk(held); chunk !== null; chunk = firstChunk(held)) {
        held = held.subarray(HEAD_BYTES + chunk.bytes.length);
        yield chunk;
      }
    }
  } finally {
    await pieces.return?.();
  }
}

/** The chunk at the beginning of `held`, or `null` while it is incomplete. */
function firstChunk(held: Buffer): { offset: number; bytes: Buffer } | null {
  if (held.length < HEAD_BYTES) return null;
  const length = held.readUInt32LE(4);
  if (length > SNAPSHOT_CHUNK_BYTES_MAX) throw new Broken(`a chunk says that it has ${length} B`);
  if (held.length < HEAD_BYTES + length) return null;
  const offset = Number(held.readBigUInt64LE(8));
  if (crc32(held.subarray(CRC_BYTES, HEAD_BYTES + length)) !== held.readUInt32LE(0)) {
    throw new Broken(`the chunk at byte ${offset} has a wrong checksum`);
  }
  return { offset, bytes: held.subarray(HEAD_BYTES, HEAD_BYTES + length) };
}
