/**
 * Frames: how a raft message looks on a stream between two nodes. All numbers are little-endian; a *number* of
 * 8 bytes holds an integer below 2^53; an *id* is one byte of length and that many ASCII bytes.
 *
 * ```
 * offset  bytes
 *      0      4  CRC-32 of everything after it
 *      4      4  length of the whole frame in bytes
 *      8      1  format version
 *      9      1  message type, see TYPE
 *     10      8  term
 *     18      …  id of the sender, id of the receiver
 *      …      …  body, by message type
 * ```
 *
 * The length stands inside the checksum, so that a flipped bit in it can't join two frames into a third. Version and
 * type come before the first bytes that depend on them, so that a stream of something else is refused at once and
 * not after as many bytes as its "length" says.
 */
import { crc32 } from 'node:zlib';
import { decodeConfiguration, encodeConfiguration, isValidId } from '../raft/configuration.ts';
import {
  type Append,
  type AppendReply,
  type Entry,
  EntryType,
  type Index,
  type InstallSnapshotReply,
  type Message,
  type NodeId,
  type SnapshotMeta,
  type Term,
  asIndex,
  asNodeId,
  asTerm,
  invariant,
} from '../raft/types.ts';

/** Version of the frame format. A receiver refuses every other. */
export const FRAME_FORMAT = 1;
/**
 * The largest frame in bytes, 640 MiB: the largest request that a client port can be set to allow, and room for what
 * else is in its batch. Whoever makes entries must keep an append of one entry below it: a larger one could never be
 * replicated, so {@link encodeFrame} takes it for a broken invariant.
 */
export const FRAME_BYTES_MAX: number = 640 * 1024 * 1024;

/** Bytes up to and including the message type: what must be there before a frame can be judged. */
const PREFIX_BYTES = 10;
const CRC_BYTES = 4;
/** Room for every message except the two that carry variable data: prefix, term, two ids, five numbers. */
const SMALL_FRAME_BYTES = PREFIX_BYTES + 8 + 2 * 65 + 5 * 8;
const ENTRY_HEAD_BYTES = 13;
const TWO_TO_32 = 2 ** 32;

/** Numbers are part of the wire format: never used again for another message. */
const TYPE = {
  linkHeartbeat: 0,
  preVoteRequest: 1,
  preVoteReply: 2,
  voteRequest: 3,
  voteReply: 4,
  append: 5,
  appendReply: 6,
  heartbeat: 7,
  heartbeatReply: 8,
  installSnapshot: 9,
  installSnapshotReply: 10,
  timeoutNow: 11,
  readIndexRequest: 12,
  readIndexReply: 13,
  recoveryRequest: 14,
  recoveryReply: 15,
} as const satisfies Record<Message['type'] | 'linkHeartbeat', number>;
const TYPE_MAX = TYPE.recoveryReply;

const SNAPSHOT_STATUS = ['installed', 'fetching', 'failed'] as const;
const NO_PAYLOAD = Buffer.alloc(0);

/** The bytes are not a frame of this format. The message says what is wrong; the stream must be given up. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/* ---------------------------------------------------------------------------------------------------- encoding */

/** One message as a frame. Payloads are copied once, so that the frame is one piece for checksum and socket. */
export function encodeFrame(from: NodeId, to: NodeId, message: Message): Buffer {
  const writer = new Writer(frameBytes(message), TYPE[message.type], message.term, from, to);
  writeBody(writer, message);
  return writer.finish();
}

/** A frame that says only "I am here", for a stream on which there is nothing else to say. */
export function encodeLinkHeartbeat(from: NodeId, to: NodeId): Buffer {
  return new Writer(SMALL_FRAME_BYTES, TYPE.linkHeartbeat, asTerm(0), from, to).finish();
}

/** Bytes to set aside: enough, except for a snapshot with a large configuration, where the writer grows. */
function frameBytes(message: Message): number {
  if (message.type !== 'append') return SMALL_FRAME_BYTES;
  let bytes = SMALL_FRAME_BYTES;
  for (const entry of message.entries) bytes += ENTRY_HEAD_BYTES + entry.payload.length;
  return bytes;
}

function writeBody(writer: Writer, message: Message): void {
  switch (message.type) {
    case 'preVoteRequest':
      writer.number(message.lastIndex);
      writer.number(message.lastTerm);
      return;
    case 'preVoteReply':
      writer.flag(message.granted);
      writer.number(message.campaignTerm);
      return;
    case 'voteRequest':
      writer.number(message.lastIndex);
      writer.number(message.lastTerm);
      writer.flag(message.transfer);
      return;
    case 'voteReply':
      writer.flag(message.granted);
      return;
    case 'append':
      writeAppend(writer, message);
      return;
    case 'appendReply':
      writeAppendResult(writer, message.result);
      return;
    case 'heartbeat':
      writer.number(message.commit);
      writer.number(message.match);
      writer.number(message.matchTerm);
      writer.number(message.round);
      return;
    case 'heartbeatReply':
      writer.number(message.round);
      writer.flag(message.recovering);
      return;
    case 'installSnapshot':
      writeSnapshotMeta(writer, message.snapshot);
      return;
    case 'installSnapshotReply':
      writer.number(message.index);
      writer.u8(SNAPSHOT_STATUS.indexOf(message.status));
      return;
    case 'timeoutNow':
      return;
    case 'readIndexRequest':
    case 'recoveryRequest':
      writer.number(message.id);
      return;
    case 'readIndexReply':
    case 'recoveryReply':
      writer.number(message.id);
      writer.flag(message.index !== null);
      if (message.index !== null) writer.number(message.index);
      return;
  }
}

/** Entries carry no index of their own: they follow `prevIndex` without a gap, and the format can't say otherwise. */
function writeAppend(writer: Writer, { prevIndex, prevTerm, commit, entries }: Append): void {
  writer.number(prevIndex);
  writer.number(prevTerm);
  writer.number(commit);
  writer.u32(entries.length);
  let expected = prevIndex + 1;
  for (const entry of entries) {
    invariant(
      entry.index === expected,
      () => `append after ${prevIndex} holds ${entry.index} for ${expected}`,
    );
    writer.u8(entry.type);
    writer.number(entry.term);
    writer.bytes(entry.payload);
    expected += 1;
  }
}

function writeAppendResult(writer: Writer, result: AppendReply['result']): void {
  writer.flag(result.ok);
  if (result.ok) {
    writer.number(result.match);
  } else {
    writer.number(result.rejected);
    writer.number(result.hintIndex);
    writer.number(result.hintTerm);
  }
}

function writeSnapshotMeta(writer: Writer, snapshot: SnapshotMeta): void {
  writer.number(snapshot.index);
  writer.number(snapshot.term);
  writer.number(snapshot.configurationIndex);
  writer.number(snapshot.bytes);
  writer.u32(snapshot.checksum);
  writer.bytes(encodeConfiguration(snapshot.configuration));
}

class Writer {
  #buffer: Buffer;
  #at = PREFIX_BYTES;

  constructor(bytes: number, type: number, term: Term, from: NodeId, to: NodeId) {
    this.#buffer = Buffer.allocUnsafe(bytes);
    this.#buffer[8] = FRAME_FORMAT;
    this.#buffer[9] = type;
    this.number(term);
    this.#id(from);
    this.#id(to);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#at] = value;
    this.#at += 1;
  }

  flag(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
  }

  number(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, () => `${value} in a message is not an integer ≥ 0`);
    this.#reserve(8);
    const low = value >>> 0;
    this.#buffer.writeUInt32LE(low, this.#at);
    this.#buffer.writeUInt32LE((value - low) / TWO_TO_32, this.#at + 4);
    this.#at += 8;
  }

  /** A length of 4 bytes, then the bytes. */
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  finish(): Buffer {
    invariant(this.#at <= FRAME_BYTES_MAX, () => `a frame of ${this.#at} B exceeds ${FRAME_BYTES_MAX} B`);
    const frame = this.#buffer.subarray(0, this.#at);
    frame.writeUInt32LE(frame.length, 4);
    frame.writeUInt32LE(crc32(frame.subarray(CRC_BYTES)), 0);
    return frame;
  }

  #id(id: NodeId): void {
    invariant(isValidId(id), () => `"${id}" is not a node id`);
    this.u8(id.length);
    this.#reserve(id.length);
    this.#at += this.#buffer.write(id, this.#at, 'latin1');
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#at + bytes, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/* ---------------------------------------------------------------------------------------------------- decoding */

/** Receives every message of a stream, in order. */
export type FrameHandler = (from: NodeId, to: NodeId, message: Message) => void;

/**
 * Cuts a stream, in whatever pieces it arrives, into frames. Holds at most one unfinished frame.
 *
 * Payloads of entries live on in the log, so they must not keep the pieces alive that they arrived in: an append is
 * copied, as one block that its entries share, because they also leave memory together.
 */
export class FrameDecoder {
  readonly #handler: FrameHandler;
  /** A frame whose prefix is known and whose end hasn't come, in a buffer of its final size. */
  #unfinished: Buffer | null = null;
  #filled = 0;
  /** Less than a prefix. */
  #rest: Buffer = Buffer.alloc(0);
  #stopped = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** No message is handed out from now on, not even those of the piece being pushed. */
  stop(): void {
    this.#stopped = true;
    this.#unfinished = null;
    this.#rest = Buffer.alloc(0);
  }

  /** Throws a {@link FrameError} at the first byte that can't be part of a frame; the decoder is then stopped. */
  push(piece: Buffer): void {
    try {
      this.#push(piece);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  #push(piece: Buffer): void {
    if (this.#stopped) return;
    let bytes = piece;
    let at = 0;
    if (this.#unfinished !== null) {
      const frame = this.#unfinished;
      at = piece.copy(frame, this.#filled);
      this.#filled += at;
      if (this.#filled < frame.length) return;
      this.#unfinished = null;
      this.#decode(frame, true);
    } else if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, piece]);
    }
    while (!this.#stopped && bytes.length - at >= PREFIX_BYTES) {
      const size = frameSize(bytes, at);
      if (bytes.length - at < size) {
        // As long as the peer says, within the limit: pages that are never written to cost no memory.
        this.#unfinished = Buffer.allocUnsafeSlow(size);
        this.#filled = bytes.copy(this.#unfinished, 0, at);
        this.#rest = this.#rest.subarray(0, 0);
        return;
      }
      this.#decode(bytes.subarray(at, at + size), false);
      at += size;
    }
    if (!this.#stopped) this.#rest = Buffer.from(bytes.subarray(at));
  }

  #decode(frame: Buffer, owned: boolean): void {
    const stored = frame.readUInt32LE(0);
    const computed = crc32(frame.subarray(CRC_BYTES));
    if (stored !== computed) {
      throw new FrameError(`frame of ${frame.length} B has checksum ${computed}, its head says ${stored}`);
    }
    const type = frame.readUInt8(9);
    const reader = new Reader(type === TYPE.append && !owned ? copyOf(frame) : frame);
    const term = asTerm(reader.number());
    const from = reader.id();
    const to = reader.id();
    if (type === TYPE.linkHeartbeat) return;
    const message = readMessage(reader, type, term);
    reader.end();
    this.#handler(from, to, message);
  }
}

/** The size that the prefix at `at` announces, after checking all that a prefix tells. */
function frameSize(bytes: Buffer, at: number): number {
  const format = bytes.readUInt8(at + 8);
  if (format !== FRAME_FORMAT) {
    throw new FrameError(`frame has format ${format}, this version reads ${FRAME_FORMAT}`);
  }
  const type = bytes.readUInt8(at + 9);
  if (type > TYPE_MAX) throw new FrameError(`frame has the unknown message type ${type}`);
  const size = bytes.readUInt32LE(at + 4);
  if (size < PREFIX_BYTES || size > FRAME_BYTES_MAX) {
    throw new FrameError(
      `frame has a length of ${size} B, allowed are ${PREFIX_BYTES} to ${FRAME_BYTES_MAX}`,
    );
  }
  return size;
}

/** Outside Node's buffer pool, for the same reason for which it is made. */
function copyOf(frame: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(frame.length);
  frame.copy(copy);
  return copy;
}

function readMessage(reader: Reader, type: number, term: Term): Message {
  switch (type) {
    case TYPE.preVoteRequest:
      return { type: 'preVoteRequest', term, lastIndex: reader.index(), lastTerm: reader.term() };
    case TYPE.preVoteReply:
      return { type: 'preVoteReply', term, granted: reader.flag(), campaignTerm: reader.term() };
    case TYPE.voteRequest: {
      const lastIndex = reader.index();
      const lastTerm = reader.term();
      return { type: 'voteRequest', term, lastIndex, lastTerm, transfer: reader.flag() };
    }
    case TYPE.voteReply:
      return { type: 'voteReply', term, granted: reader.flag() };
    case TYPE.append:
      return readAppend(reader, term);
    case TYPE.appendReply:
      return { type: 'appendReply', term, result: readAppendResult(reader) };
    case TYPE.heartbeat:
      return {
        type: 'heartbeat',
        term,
        commit: reader.index(),
        match: reader.index(),
        matchTerm: reader.term(),
        round: reader.number(),
      };
    case TYPE.heartbeatReply:
      return { type: 'heartbeatReply', term, round: reader.number(), recovering: reader.flag() };
    case TYPE.installSnapshot:
      return { type: 'installSnapshot', term, snapshot: readSnapshotMeta(reader) };
    case TYPE.installSnapshotReply:
      return { type: 'installSnapshotReply', term, index: reader.index(), status: readStatus(reader) };
    case TYPE.timeoutNow:
      return { type: 'timeoutNow', term };
    case TYPE.readIndexRequest:
      return { type: 'readIndexRequest', term, id: reader.number() };
    case TYPE.readIndexReply:
      return { type: 'readIndexReply', term, id: reader.number(), index: readOptionalIndex(reader) };
    case TYPE.recoveryRequest:
      return { type: 'recoveryRequest', term, id: reader.number() };
    case TYPE.recoveryReply:
      return { type: 'recoveryReply', term, id: reader.number(), index: readOptionalIndex(reader) };
    default:
      throw new FrameError(`frame has the unknown message type ${type}`);
  }
}

function readOptionalIndex(reader: Reader): Index | null {
  return reader.flag() ? reader.index() : null;
}

function readAppend(reader: Reader, term: Term): Append {
  const prevIndex = reader.index();
  const prevTerm = reader.term();
  const commit = reader.index();
  const count = reader.u32();
  const entries: Entry[] = [];
  for (let at = 1; at <= count; at++) {
    const type = reader.u8();
    if (!isEntryType(type)) throw new FrameError(`frame has an entry of the unknown type ${type}`);
    const entryTerm = reader.term();
    entries.push({ index: asIndex(prevIndex + at), term: entryTerm, type, payload: reader.bytes() });
  }
  return { type: 'append', term, prevIndex, prevTerm, commit, entries };
}

function isEntryType(type: number): type is EntryType {
  return type === EntryType.noop || type === EntryType.batch || type === EntryType.configuration;
}

function readAppendResult(reader: Reader): AppendReply['result'] {
  if (reader.flag()) return { ok: true, match: reader.index() };
  const rejected = reader.index();
  const hintIndex = reader.index();
  return { ok: false, rejected, hintIndex, hintTerm: reader.term() };
}

function readSnapshotMeta(reader: Reader): SnapshotMeta {
  const index = reader.index();
  const term = reader.term();
  const configurationIndex = reader.index();
  const bytes = reader.number();
  const checksum = reader.u32();
  try {
    const configuration = decodeConfiguration(reader.bytes());
    return { index, term, configurationIndex, bytes, checksum, configuration };
  } catch (error) {
    throw new FrameError(`frame has a bad configuration: ${String(error)}`, { cause: error });
  }
}

function readStatus(reader: Reader): InstallSnapshotReply['status'] {
  const code = reader.u8();
  const status = SNAPSHOT_STATUS[code];
  if (status === undefined) throw new FrameError(`frame has the unknown snapshot status ${code}`);
  return status;
}

/** Reads the part of a frame after its prefix; throws a {@link FrameError} where the frame ends too early. */
class Reader {
  readonly #frame: Buffer;
  #at = PREFIX_BYTES;

  constructor(frame: Buffer) {
    this.#frame = frame;
  }

  u8(): number {
    return this.#frame.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#frame.readUInt32LE(this.#take(4));
  }

  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw new FrameError(`frame has ${value} at byte ${this.#at - 1}, where 0 or 1 belongs`);
    return value === 1;
  }

  number(): number {
    const at = this.#take(8);
    const value = this.#frame.readUInt32LE(at) + this.#frame.readUInt32LE(at + 4) * TWO_TO_32;
    if (!Number.isSafeInteger(value)) throw new FrameError(`frame has ${value} at byte ${at}, beyond 2^53`);
    return value;
  }

  index(): Index {
    return asIndex(this.number());
  }

  term(): Term {
    return asTerm(this.number());
  }

  id(): NodeId {
    const length = this.u8();
    const at = this.#take(length);
    const id = this.#frame.toString('latin1', at, at + length);
    if (!isValidId(id)) throw new FrameError(`frame has a bad node id of ${length} B at byte ${at}`);
    return asNodeId(id);
  }

  bytes(): Uint8Array {
    const length = this.u32();
    const at = this.#take(length);
    return length === 0 ? NO_PAYLOAD : this.#frame.subarray(at, at + length);
  }

  /** Everything must have been read. */
  end(): void {
    const left = this.#frame.length - this.#at;
    if (left > 0) throw new FrameError(`frame has ${left} B after its end`);
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#frame.length) {
      throw new FrameError(
        `frame of ${this.#frame.length} B ends inside a field of ${bytes} B at byte ${at}`,
      );
    }
    this.#at = at + bytes;
    return at;
  }
}
