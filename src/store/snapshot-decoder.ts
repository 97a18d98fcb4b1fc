/** Reads what `snapshot.ts` describes and writes. */
import { crc32 } from 'node:zlib';
import { ByteReader, FormatError, VARINT_BYTES_MAX } from './bytes.ts';
import { Chunks } from './chunks.ts';
import type { Collection } from './collection.ts';
import { invariant } from './invariant.ts';
import { Keyspace } from './keyspace.ts';
import { Meta } from './meta.ts';
import { OnceTable } from './once.ts';
import {
  FORMAT_VERSION,
  FORMAT_VERSION_MIN,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  MAGIC,
  RECORD_TYPE,
  type SnapshotPosition,
} from './snapshot.ts';
import { newCollection } from './types.ts';
import { MAX_STRING_BYTES } from './value.ts';

/** A record has a key, a value and a few numbers; what is known of a session is less. */
const RECORD_BYTES_MAX = 2 * MAX_STRING_BYTES + 1024;

/** What a snapshot brings back. */
export interface RestoredState {
  readonly keyspace: Keyspace;
  readonly once: OnceTable;
  readonly meta: Meta;
}

/** Takes the bytes of a snapshot in pieces of any size and builds a keyspace from them. */
export class SnapshotDecoder {
  readonly #complete: (state: RestoredState, position: SnapshotPosition) => void;
  readonly #keyspace: Keyspace;
  readonly #once = new OnceTable();
  readonly #meta = new Meta();
  /** The collection whose parts may follow; it gets its key when it is complete. */
  #collection: {
    readonly key: string;
    readonly version: number;
    readonly expiresAt: number;
    readonly value: Collection;
  } | null = null;
  /** Bytes pushed that don't make a whole frame yet. */
  readonly #frames = new Chunks();
  /** Bytes out of frames that don't make a whole record yet. */
  readonly #bodies = new Chunks();
  #position: SnapshotPosition | null = null;
  #removalRecords = 0;
  #state: 'open' | 'ended' | 'failed' = 'open';

  /** `complete` gets the result, from `finish`. `timed`: whether entries are to know their times. */
  constructor(complete: (state: RestoredState, position: SnapshotPosition) => void, timed: boolean) {
    this.#complete = complete;
    this.#keyspace = new Keyspace(timed);
  }

  /**
   * Takes the next bytes, which the caller may use again. Throws a {@link FormatError} with the offset when the
   * snapshot is damaged; nothing comes of it then.
   */
  push(bytes: Uint8Array): void {
    invariant(this.#state !== 'failed', 'a snapshot goes on after its damage was reported');
    this.#frames.push(Buffer.from(bytes));
    try {
      while (this.#readFrame());
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
  }

  /** All bytes were pushed: puts the new state in place, or throws a {@link FormatError} if some are missing. */
  finish(): void {
    invariant(this.#state !== 'failed', 'a damaged snapshot is to take effect');
    if (this.#state !== 'ended' || this.#frames.length > 0 || this.#position === null) {
      this.#state = 'failed';
      throw new FormatError('the snapshot is cut off', this.#frames.offset + this.#frames.length);
    }
    const [keyspace, once, meta] = [this.#keyspace, this.#once, this.#meta];
    this.#complete({ keyspace, once, meta }, this.#position);
  }

  /** False when there is no whole frame. */
  #readFrame(): boolean {
    const { offset } = this.#frames;
    if (this.#state === 'ended' && this.#frames.length > 0)
      throw new FormatError('bytes after the end of the snapshot', offset);
    if (this.#frames.length < FRAME_HEADER_BYTES) return false;
    const header = this.#frames.peek(FRAME_HEADER_BYTES);
    const length = header.readUInt32LE(0);
    const checksum = header.readUInt32LE(4);
    if (length === 0 || length > FRAME_BYTES_MAX)
      throw new FormatError(`a snapshot frame of ${length} bytes`, offset);
    if (this.#frames.length < FRAME_HEADER_BYTES + length) return false;
    const body = this.#frames.take(FRAME_HEADER_BYTES + length).subarray(FRAME_HEADER_BYTES);
    if (crc32(body) !== checksum) throw new FormatError('a wrong checksum of the snapshot frame', offset);
    this.#bodies.push(body);
    if (this.#position === null) this.#position = this.#readHeader();
    while (this.#readRecord());
    return true;
  }

  #readHeader(): SnapshotPosition {
    const reader = new ByteReader(this.#bodies.peek(this.#bodies.length));
    let magic = '';
    while (magic.length < MAGIC.length) magic += String.fromCharCode(reader.byte('the magic'));
    if (magic !== MAGIC) throw new FormatError(`not a snapshot: it begins with ${JSON.stringify(magic)}`, 0);
    const version = reader.byte('the format version');
    if (version < FORMAT_VERSION_MIN || version > FORMAT_VERSION)
      throw new FormatError(
        `snapshot format ${version} is none of those that this release reads (${FORMAT_VERSION_MIN} to ${FORMAT_VERSION}),`,
        MAGIC.length,
      );
    const time = reader.double('the time');
    if (!Number.isSafeInteger(time) || time < 0) reader.fail(`the time ${time} is not valid before`);
    const appliedIndex = reader.varint('the applied index');
    this.#keyspace.usage.now = time;
    this.#keyspace.writeNumber = reader.varint('the number of writes');
    this.#bodies.take(reader.offset);
    return { time, appliedIndex };
  }

  /** False when there is no whole record. */
  #readRecord(): boolean {
    const available = this.#bodies.length;
    if (available === 0) return false;
    const head = this.#bodies.peek(Math.min(available, VARINT_BYTES_MAX));
    // The length itself may be cut off by the end of the frame.
    if (available < VARINT_BYTES_MAX && head.every((byte) => byte >= 0x80)) return false;
    const headReader = new ByteReader(head, this.#bodies.offset);
    const length = headReader.varint('the length of a record');
    if (length === 0) return this.#readEnd();
    if (length > RECORD_BYTES_MAX) headReader.fail(`a record of ${length} bytes before`);
    const headBytes = headReader.offset - this.#bodies.offset;
    if (available < headBytes + length) return false;
    this.#bodies.take(headBytes);
    const { offset } = this.#bodies;
    this.#restore(new ByteReader(this.#bodies.take(length), offset));
    return true;
  }

  #restore(reader: ByteReader): void {
    const type = reader.byte('the type of a record');
    if (type !== RECORD_TYPE.part) this.#finishCollection(reader);
    switch (type) {
      case RECORD_TYPE.string:
        this.#restoreString(reader);
        break;
      case RECORD_TYPE.session:
        this.#once.restoreSession(reader);
        break;
      case RECORD_TYPE.key:
        this.#once.restoreKey(reader);
        break;
      case RECORD_TYPE.removals:
        this.#removalRecords++;
        while (reader.remaining > 0) this.#restoreRemoval(reader);
        break;
      case RECORD_TYPE.text:
        this.#meta.restore(reader);
        break;
      case RECORD_TYPE.collection:
        this.#beginCollection(reader);
        break;
      case RECORD_TYPE.part:
        if (this.#collection === null) reader.fail('a part of nothing before');
        this.#collection.value.decode(reader);
        break;
      case RECORD_TYPE.times:
        this.#restoreTimes(reader);
        break;
      default:
        reader.fail(`the unknown record type ${type} before`);
    }
    if (reader.remaining > 0) reader.fail(`${reader.remaining} bytes too many in a record`);
  }

  #restoreString(reader: ByteReader): void {
    const version = reader.varint('a version');
    const expiresAt = reader.varint('a deadline');
    const key = reader.string('a key');
    const value = reader.string('a value');
    if (!this.#keyspace.restore(key, value, expiresAt, version))
      reader.fail('the same key a second time before');
  }

  #restoreTimes(reader: ByteReader): void {
    const createdAt = reader.varint('the time of creation');
    const updatedAt = reader.varint('the time of the last change');
    if (!this.#keyspace.restoreTimes(reader.string('a key'), createdAt, updatedAt))
      reader.fail('the times of no key before');
  }

  #beginCollection(reader: ByteReader): void {
    const version = reader.varint('a version');
    const expiresAt = reader.varint('a deadline');
    const key = reader.string('a key');
    const type = reader.string('the type of a collection');
    const value = newCollection(type);
    if (value === undefined) reader.fail(`the unknown type ${JSON.stringify(type)} before`);
    this.#collection = { key, version, expiresAt, value };
  }

  /** Only now, because what the keyspace takes for its size must not change behind its back. */
  #finishCollection(reader: ByteReader): void {
    if (this.#collection === null) return;
    const { key, version, expiresAt, value } = this.#collection;
    this.#collection = null;
    if (value.vanishes) reader.fail(`an empty ${value.type} before`);
    if (!this.#keyspace.restore(key, value, expiresAt, version))
      reader.fail('the same key a second time before');
  }

  #restoreRemoval(reader: ByteReader): void {
    const shard = reader.varint('a shard');
    const number = reader.varint('a removal');
    if (!this.#keyspace.restoreRemoval(shard, number))
      reader.fail(`removal ${number} in shard ${shard} is not possible before`);
  }

  #readEnd(): boolean {
    const reader = new ByteReader(this.#bodies.peek(this.#bodies.length), this.#bodies.offset);
    reader.byte('the end');
    this.#finishCollection(reader);
    const count = reader.varint('the number of records');
    const { sessions, keys } = this.#once;
    const found = this.#keyspace.size + this.#meta.size + sessions + keys + this.#removalRecords;
    if (count !== found) reader.fail(`${found} records in a snapshot of ${count}, known`);
    if (reader.remaining > 0) reader.fail('bytes after the end of the snapshot');
    this.#bodies.take(this.#bodies.length);
    this.#state = 'ended';
    return false;
  }
}
