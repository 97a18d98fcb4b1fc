/**
 * The whole state as bytes, written in slices while writes go on, and read back in any chunking.
 *
 * ```
 * snapshot := frame*                                 every frame can be checked by itself
 * frame    := length:u32  crc32:u32  body            length and checksum of the body
 * bodies   := magic  version:u8  time:f64  appliedIndex  writeNumber  record*  0  count
 * record   := length  type:u8  what the type has               length of what follows it
 *   string    (type 1) := version  expiresAt  key  value
 *   session   (type 2) := id  last  count  reply*                see `once.ts`; least recently used first
 *   named key (type 3) := key  fingerprint  reply                the same
 *   removals  (type 4) := (shard  number)*                       those of `keyspace.ts` that are not 0
 *   text      (type 5) := table  key  text                       a replicated setting, script, …: see `meta.ts`
 *   collection (type 6) := version  expiresAt  key  type         its type as TYPE names it; `packed` of a compressed string
 *   part      (type 7) := what the type has                      of the collection before it; as many as it takes
 *   times     (type 8) := createdAt  updatedAt  key              of the key that came last, where they are kept
 * ```
 *
 * The bodies of all frames, put together, are one stream; a record may lie across frames, the header and the end never do. Numbers without a size are
 * varints, keys, values and replies strings. The count at the end is that of all records, parts and times apart. Version 1 had type 1
 * alone, version 2 types 1 to 4; version 4 differs from 3 by type 8.
 *
 * A snapshot shows one moment, though the store changes while it is written: see `frozen.ts`.
 */
import { crc32 } from 'node:zlib';
import { ByteWriter, VARINT_BYTES_MAX } from './bytes.ts';
import type { Collection } from './collection.ts';
import { Frozen, type Image } from './frozen.ts';
import { invariant } from './invariant.ts';
import { SHARD_COUNT } from './entry-table.ts';
import type { Keyspace } from './keyspace.ts';
import type { Meta } from './meta.ts';
import type { OnceRecord, OnceTable } from './once.ts';
import { nameOf } from './types.ts';

export const MAGIC = 'KVSS';
export const FORMAT_VERSION = 4;
/** That of a snapshot without times. */
const FORMAT_VERSION_WITHOUT_TIMES = 3;
/** Older versions are read as well: each has only added types of records. */
export const FORMAT_VERSION_MIN = 1;
export const RECORD_TYPE = {
  string: 1,
  session: 2,
  key: 3,
  removals: 4,
  text: 5,
  collection: 6,
  part: 7,
  times: 8,
} as const;

export const FRAME_HEADER_BYTES = 8;
/** The largest frame that is written or read. */
export const FRAME_BYTES_MAX: number = 64 * 1024 * 1024;
/** The smallest: room for a frame's header and the snapshot's. */
export const FRAME_BYTES_MIN = 64;
/** What a record holds besides the bytes of its key and value: a type and five numbers. */
const RECORD_OVERHEAD_BYTES = 1 + 5 * VARINT_BYTES_MAX;
/** A part of a collection has about so many bytes: it can be written within a slice. */
const PART_BYTES = 16 * 1024;
/** A zero and the count. */
const END_BYTES = 1 + VARINT_BYTES_MAX;

/** Where in the log a snapshot stands. */
export interface SnapshotPosition {
  readonly time: number;
  readonly appliedIndex: number;
}

/** Writes a snapshot of the keyspace as it is when the encoder is made. */
export class SnapshotEncoder {
  readonly #keys: Frozen;
  readonly #writer = new ByteWriter(FRAME_BYTES_MIN);
  /** What is left of the header or of a record too long for one frame. */
  #rest: string[];
  /** A collection that is being written, and from where it goes on. */
  #parts: { readonly collection: Collection; readonly cursor: number } | null = null;
  readonly #part = new ByteWriter(FRAME_BYTES_MIN);
  /** What follows the key that is being written. */
  #times: string[] = [];
  /** What is known of named writes; before the keys. */
  #onceRecords: Iterator<OnceRecord> | null;
  #count = 0;
  #state: 'open' | 'ended' = 'open';

  constructor(keyspace: Keyspace, once: OnceTable, meta: Meta, { time, appliedIndex }: SnapshotPosition) {
    this.#keys = new Frozen(keyspace);
    this.#onceRecords = once.records();
    const header = new ByteWriter(FRAME_BYTES_MIN);
    header.characters(MAGIC);
    header.byte(keyspace.timed ? FORMAT_VERSION : FORMAT_VERSION_WITHOUT_TIMES);
    header.double(time);
    header.varint(appliedIndex);
    header.varint(keyspace.writeNumber);
    const removals = removalPieces(keyspace);
    this.#count += (removals.length > 0 ? 1 : 0) + meta.size;
    const texts = meta.records().flatMap((body) => recordOf('text', body));
    this.#rest = [header.view().toString('latin1'), ...removals, ...texts];
  }

  /** How many images are held of keys that changed ahead of the encoder. */
  get images(): number {
    return this.#keys.images;
  }

  /** The next piece of at most `maxBytes` bytes, at least {@link FRAME_BYTES_MIN}; null when there is no more. */
  next(maxBytes: number): Uint8Array | null {
    invariant(
      maxBytes >= FRAME_BYTES_MIN && maxBytes <= FRAME_BYTES_MAX,
      `snapshot frames of ${maxBytes} bytes`,
    );
    if (this.#state === 'ended') return null;
    this.#writer.truncate(0);
    this.#writer.characters('\0'.repeat(FRAME_HEADER_BYTES));
    this.#fill(maxBytes);
    const frame = Buffer.allocUnsafeSlow(this.#writer.length);
    frame.set(this.#writer.view());
    frame.writeUInt32LE(frame.length - FRAME_HEADER_BYTES, 0);
    frame.writeUInt32LE(crc32(frame.subarray(FRAME_HEADER_BYTES)), 4);
    return frame;
  }

  /** Gives the snapshot up. Does nothing when it has ended. */
  cancel(): void {
    this.#end();
  }

  #end(): void {
    this.#state = 'ended';
    this.#keys.close();
    this.#rest = [];
    this.#parts = null;
    this.#onceRecords = null;
  }

  /** Adds to the frame until it is full or the snapshot at its end. */
  #fill(maxBytes: number): void {
    for (;;) {
      const room = maxBytes - this.#writer.length;
      if (this.#rest.length > 0) {
        if (room === 0) return;
        this.#writeRest(room);
        continue;
      }
      const named = this.#onceRecords?.next();
      if (named !== undefined && named.done !== true) {
        this.#rest = oncePieces(named.value);
        this.#count++;
        continue;
      }
      this.#onceRecords = null;
      if (this.#parts !== null) {
        this.#nextPart(this.#parts);
        continue;
      }
      if (this.#times.length > 0) {
        this.#rest = this.#times;
        this.#times = [];
        continue;
      }
      const record = this.#keys.peek();
      if (record === undefined) {
        if (room < END_BYTES) return;
        this.#writer.byte(0);
        this.#writer.varint(this.#count);
        this.#end();
        return;
      }
      const { key, image } = record;
      if (typeof image.value !== 'string') {
        this.#take(key, image);
        this.#rest = collectionPieces(key, image, image.value);
        this.#parts = { collection: image.value, cursor: 0 };
        continue;
      }
      const bytes = key.length + image.value.length + RECORD_OVERHEAD_BYTES;
      if (bytes > room && bytes <= maxBytes - FRAME_HEADER_BYTES) return;
      this.#take(key, image);
      if (bytes <= room) writeRecord(this.#writer, key, image, image.value);
      else this.#rest = recordPieces(key, image, image.value);
    }
  }

  /** The key's record is about to be written. */
  #take(key: string, { times }: Image): void {
    this.#keys.take();
    this.#count++;
    if (times !== null) this.#times = timesPieces(key, times);
  }

  #nextPart({ collection, cursor }: { readonly collection: Collection; readonly cursor: number }): void {
    this.#part.truncate(0);
    const next = collection.encode(cursor, this.#part, PART_BYTES);
    this.#rest = recordOf('part', this.#part.view().toString('latin1'));
    this.#parts = next === null ? null : { collection, cursor: next };
  }

  #writeRest(room: number): void {
    const [piece = '', ...others] = this.#rest;
    this.#writer.characters(piece.slice(0, room));
    this.#rest = piece.length > room ? [piece.slice(room), ...others] : others;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Everything of a record before the characters of its key, those after them up to the value's characters. */
function writeRecordHead(
  writer: ByteWriter,
  key: string,
  { expiresAt, version }: Image,
  value: string,
): void {
  const bytes =
    1 +
    varintBytes(version) +
    varintBytes(expiresAt) +
    varintBytes(key.length) +
    key.length +
    varintBytes(value.length) +
    value.length;
  writer.varint(bytes);
  writer.byte(RECORD_TYPE.string);
  writer.varint(version);
  writer.varint(expiresAt);
  writer.varint(key.length);
}

function writeRecord(writer: ByteWriter, key: string, image: Image, value: string): void {
  writeRecordHead(writer, key, image, value);
  writer.characters(key);
  writer.string(value);
}

/** The same bytes, as strings to be cut at will without a copy of the value. */
function recordPieces(key: string, image: Image, value: string): string[] {
  const writer = new ByteWriter(FRAME_BYTES_MIN);
  writeRecordHead(writer, key, image, value);
  const head = writer.view().toString('latin1');
  writer.truncate(0);
  writer.varint(value.length);
  return [head, key, writer.view().toString('latin1'), value].filter((piece) => piece.length > 0);
}

/** The record that a collection begins with. */
function collectionPieces(key: string, { expiresAt, version }: Image, collection: Collection): string[] {
  const writer = new ByteWriter(FRAME_BYTES_MIN);
  writer.varint(version);
  writer.varint(expiresAt);
  writer.string(key);
  writer.string(nameOf(collection));
  return recordOf('collection', writer.view().toString('latin1'));
}

function timesPieces(key: string, { createdAt, updatedAt }: NonNullable<Image['times']>): string[] {
  const writer = new ByteWriter(FRAME_BYTES_MIN);
  writer.varint(createdAt);
  writer.varint(updatedAt);
  writer.string(key);
  return recordOf('times', writer.view().toString('latin1'));
}

/** The record of the last removals; nothing when there were none. */
function removalPieces({ removals }: Keyspace): string[] {
  const writer = new ByteWriter(FRAME_BYTES_MIN);
  for (let shard = 0; shard < SHARD_COUNT; shard++) {
    const number = removals[shard] ?? 0;
    if (number === 0) continue;
    writer.varint(shard);
    writer.varint(number);
  }
  const body = writer.view().toString('latin1');
  return body === '' ? [] : recordOf('removals', body);
}

function oncePieces({ type, body }: OnceRecord): string[] {
  return recordOf(type, body);
}

function recordOf(type: keyof typeof RECORD_TYPE, body: string): string[] {
  const writer = new ByteWriter(FRAME_BYTES_MIN);
  writer.varint(1 + body.length);
  writer.byte(RECORD_TYPE[type]);
  return [writer.view().toString('latin1'), body];
}
