/**
 * How entries lie in a segment: as records, grouped into batches.
 *
 * ```
 * record   CRC-32 u32 | chain u32 | payload bytes u32 | kind u8 | entry type u8 | 0 u16 | term u64 | index u64 | payload
 * batch    begin record, entry records, end record, each on a multiple of 8; the batch begins on a sector
 * ```
 *
 * The CRC covers all of the record after itself and starts from a value made of the segment's sequence number and the
 * record's offset, so that a sound record in the wrong place is not sound. `chain` is the CRC of the record before it:
 * a missing or exchanged record breaks the chain even where every CRC is right.
 *
 * A batch begins on a sector of its own, because then a torn write of batch n+1 can't touch what batch n made durable.
 */
import { crc32 } from 'node:zlib';
import type { Entry, EntryType, Index, Term } from '../raft/types.ts';
import { alignToSector } from './storage.ts';

export const RecordKind = {
  /** Its index and term name the entry that this batch follows; what the log held beyond it is replaced. */
  begin: 1,
  entry: 2,
  /** Its index and term are those of the last entry of the log. Without it the batch never happened. */
  end: 3,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export const RECORD_HEAD_BYTES = 32;
const MARK_BYTES = 16;
const ALIGNMENT = 8;

/** A record that proved sound. */
export interface StoredRecord {
  readonly kind: RecordKind;
  readonly type: EntryType;
  readonly term: Term;
  readonly index: Index;
  /** A view into the buffer it was read from. */
  readonly payload: Buffer;
  readonly chain: number;
  readonly crc: number;
}

/** An entry as one batch names it: what it follows. */
export interface Position {
  readonly index: Index;
  readonly term: Term;
}

/** Everything about a batch but its place. */
export interface Batch {
  /** Rises by one per batch, over all segments. */
  readonly number: number;
  /** The newest batch that was durable when this one was written: n - 1, unless fsync is off or at intervals. */
  readonly durable: number;
  readonly after: Position;
  readonly entries: readonly Entry[];
  /** The commit index known when it was written. */
  readonly commit: Index;
}

/** Bytes a record takes, including the gap behind it. */
export function recordBytes(payloadBytes: number): number {
  return Math.ceil((RECORD_HEAD_BYTES + payloadBytes) / ALIGNMENT) * ALIGNMENT;
}

/** Bytes a batch of these entries takes: whole sectors. */
export function batchBytes(entries: readonly Entry[]): number {
  let bytes = 2 * recordBytes(MARK_BYTES);
  for (const entry of entries) bytes += recordBytes(entry.payload.length);
  return alignToSector(bytes);
}

/**
 * Encodes batches into one buffer that is used again: the bytes of an `encode` are good until the next one.
 */
export class BatchEncoder {
  #buffer = Buffer.alloc(64 * 1024);
  #at = 0;
  #chain = 0;
  #sequence = 0;
  #base = 0;

  /**
   * The bytes of `batch` for the given place, the chain value for the next one, and where each entry's record lies.
   */
  encode(
    batch: Batch,
    place: { readonly sequence: number; readonly offset: number; readonly chain: number },
  ): { bytes: Buffer; chain: number; offsets: number[] } {
    const size = batchBytes(batch.entries);
    this.#reserve(size);
    this.#at = 0;
    this.#chain = place.chain;
    this.#sequence = place.sequence;
    this.#base = place.offset;
    this.#mark(RecordKind.begin, batch.after, batch.number, batch.durable);
    const offsets: number[] = [];
    let last: Position = batch.after;
    for (const entry of batch.entries) {
      offsets.push(this.#base + this.#at);
      this.#buffer.set(entry.payload, this.#at + RECORD_HEAD_BYTES);
      this.#seal(RecordKind.entry, entry.type, entry, entry.payload.length);
      last = entry;
    }
    this.#mark(RecordKind.end, last, batch.number, batch.commit);
    this.#buffer.fill(0, this.#at, size);
    return { bytes: this.#buffer.subarray(0, size), chain: this.#chain, offsets };
  }

  /** A larger buffer than this is not kept: one huge batch must not hold its memory for ever. */
  static readonly #KEEP_BYTES_MAX = 8 * 1024 * 1024;

  #reserve(size: number): void {
    const fits = this.#buffer.length >= size;
    const tooLarge =
      this.#buffer.length > BatchEncoder.#KEEP_BYTES_MAX && size <= BatchEncoder.#KEEP_BYTES_MAX;
    if (!fits || tooLarge) this.#buffer = Buffer.alloc(Math.max(size, 64 * 1024));
  }

  #mark(kind: RecordKind, position: Position, first: number, second: number): void {
    putU64(this.#buffer, first, this.#at + RECORD_HEAD_BYTES);
    putU64(this.#buffer, second, this.#at + RECORD_HEAD_BYTES + 8);
    this.#seal(kind, 0, position, MARK_BYTES);
  }

  /** Writes the head around a payload that is in place, and moves on to the next record. */
  #seal(kind: RecordKind, type: EntryType, position: Position, payloadBytes: number): void {
    const buffer = this.#buffer;
    const at = this.#at;
    const end = at + RECORD_HEAD_BYTES + payloadBytes;
    buffer.writeUInt32LE(this.#chain, at + 4);
    buffer.writeUInt32LE(payloadBytes, at + 8);
    buffer[at + 12] = kind;
    buffer[at + 13] = type;
    buffer.writeUInt16LE(0, at + 14);
    putU64(buffer, position.term, at + 16);
    putU64(buffer, position.index, at + 24);
    this.#chain = crc32(buffer.subarray(at + 4, end), crcStart(this.#sequence, this.#base + at));
    buffer.writeUInt32LE(this.#chain, at);
    this.#at = at + recordBytes(payloadBytes);
    buffer.fill(0, end, this.#at);
  }
}

/**
 * The record at `at` of `buffer`, which holds the segment `sequence` from its offset `base` on; `null` when it is not
 * sound. The chain is not checked here.
 */
export function decodeRecord(buffer: Buffer, at: number, sequence: number, base = 0): StoredRecord | null {
  if (at + RECORD_HEAD_BYTES > buffer.length) return null;
  const payloadBytes = buffer.readUInt32LE(at + 8);
  const end = at + RECORD_HEAD_BYTES + payloadBytes;
  const kind = buffer[at + 12];
  const type = buffer[at + 13];
  if (end > buffer.length) return null;
  if (kind !== RecordKind.begin && kind !== RecordKind.entry && kind !== RecordKind.end) return null;
  if (kind !== RecordKind.entry && payloadBytes !== MARK_BYTES) return null;
  const crc = buffer.readUInt32LE(at);
  if (crc32(buffer.subarray(at + 4, end), crcStart(sequence, base + at)) !== crc) return null;
  return {
    kind,
    type: type as EntryType,
    term: getU64(buffer, at + 16) as Term,
    index: getU64(buffer, at + 24) as Index,
    payload: buffer.subarray(at + RECORD_HEAD_BYTES, end),
    chain: buffer.readUInt32LE(at + 4),
    crc,
  };
}

/** Whether the bytes there look like a begin record; cheap enough to ask at every sector of a segment. */
export function isBeginRecord(buffer: Buffer, at: number): boolean {
  return at + RECORD_HEAD_BYTES + MARK_BYTES <= buffer.length && buffer[at + 12] === RecordKind.begin;
}

/** The two numbers of a begin record (batch, durable) or an end record (batch, commit). */
export function decodeMark(record: StoredRecord): { batch: number; second: number } {
  return { batch: getU64(record.payload, 0), second: getU64(record.payload, 8) };
}

/** Different for every offset within a segment and, for the same offset, for every sequence number below 2^32. */
export function crcStart(sequence: number, offset: number): number {
  return (Math.imul(sequence, 0x9e3779b1) + offset) >>> 0;
}

/** Writes an integer below 2^53 as 64 bits. */
export function putU64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32LE(value >>> 0, at);
  buffer.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

export function getU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32;
}
