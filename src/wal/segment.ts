/**
 * A segment file, and its head.
 *
 * ```
 * 0      head page: format, identity, where the log stood when the segment began
 * 4096   ring of identifiers, one per sector: "the log was durable up to batch n, which ends at this offset"
 * 8192   batches, then zeros up to the end of the file
 * ```
 *
 * A segment gets its final name only when its head is durable, so a crash leaves no segment without one.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { asIndex, asTerm, type Index } from '../raft/types.ts';
import type { Identity, Ownership } from './identity.ts';
import { decodePage, encodePage, foreignFormat } from './page.ts';
import { crcStart, getU64, putU64, type Position } from './record.ts';
import { readExactly, SECTOR_BYTES, type Storage, type StorageFile } from './storage.ts';

const MAGIC = 'KVSEGMNT';
const HEAD_BYTES = 4096;
export const RING_SLOTS = 8;
/** The name of a segment that is prepared and not in use. */
export const PREPARED_NAME = 'segment-next.tmp';
/** Offset of the first batch. */
export const DATA_START: number = HEAD_BYTES + RING_SLOTS * SECTOR_BYTES;

/** Where the log stood when the segment began. */
export interface SegmentHead {
  /** Rises by one per segment. */
  readonly sequence: number;
  /** The entry before the segment's first. */
  readonly after: Position;
  /** The number of the batch before the segment's first, and the CRC of that batch's last record. */
  readonly batch: number;
  readonly chain: number;
  /** The log begins here: whatever older segments are still there was replaced by a snapshot. */
  readonly begins: boolean;
}

/** One slot of the ring. Written only after the batch it names was durable. */
export interface Identifier {
  readonly batch: number;
  readonly last: Index;
  /** Offset behind the batch. */
  readonly end: number;
  /** A later segment exists, durably. */
  readonly sealed: boolean;
}

/** A ring without identifiers. */
export const EMPTY_RING: Ring = { slots: [], newest: null, bad: [], next: 0 };

/** What the ring of a segment says. */
export interface Ring {
  /** By slot; `null` where there is none that is sound. */
  readonly slots: readonly (Identifier | null)[];
  /** The identifier of the highest batch, if any. */
  readonly newest: Identifier | null;
  /** Slots that are neither empty nor sound. */
  readonly bad: readonly number[];
  /** The slot to write next. */
  readonly next: number;
}

/** `<sequence>-<first index>.log`, both in 16 digits so that names sort as numbers do. */
export function segmentName(head: SegmentHead): string {
  return `${digits(head.sequence)}-${digits(head.after.index + 1)}.log`;
}

/** The sequence number in a segment's name; `null` for other files. */
export function sequenceOf(name: string): number | null {
  const match = /^(\d{16})-\d{16}\.log$/.exec(name);
  return match === null ? null : Number(match[1]);
}

/**
 * Writes the head into a prepared file of zeros, durably, and gives the file its name. The name is durable when the
 * caller has synced the directory.
 */
export async function nameSegment(
  storage: Storage,
  directory: string,
  prepared: { readonly file: StorageFile; readonly name: string },
  head: SegmentHead,
  identity: Identity,
): Promise<string> {
  await prepared.file.write([encodePage(MAGIC, { ...head, identity }, HEAD_BYTES)], 0);
  await prepared.file.sync();
  const name = segmentName(head);
  await storage.rename(join(directory, prepared.name), join(directory, name));
  return name;
}

/** A segment's head, or why there is none. */
export type FoundHead =
  | { readonly name: string; readonly head: SegmentHead }
  | { readonly name: string; readonly head: null; readonly why: string };

/** Reads and checks the head of the segment `name`. Throws `WAL_FORMAT`. */
export async function readHead(
  file: StorageFile,
  name: string,
  { identity, former }: Ownership,
): Promise<FoundHead> {
  const bad = (why: string): FoundHead => ({ name, head: null, why });
  if ((await file.size()) < DATA_START) return bad('the file is too short to be a segment');
  const page = decodePage(MAGIC, await readExactly(file, 0, HEAD_BYTES));
  if (page.state === 'foreign') throw foreignFormat(name, page.format);
  if (page.state === 'bad') return bad(`the head is damaged: ${page.why}`);
  const { sequence, after, batch, chain, begins, identity: owner } = page.value;
  const position = after as Position;
  const head: SegmentHead = {
    sequence: Number(sequence),
    after: { index: asIndex(position.index), term: asTerm(position.term) },
    batch: Number(batch),
    chain: Number(chain),
    begins: begins === true,
  };
  if (segmentName(head) !== name)
    return bad(`the head belongs to ${segmentName(head)}: the file was renamed`);
  const text = JSON.stringify(owner);
  if (![identity, ...former].some((one) => JSON.stringify(one) === text))
    return bad(`the segment belongs to ${text}`);
  return { name, head };
}

/** Writes an identifier; the caller syncs. */
export async function writeIdentifier(
  file: StorageFile,
  sequence: number,
  slot: number,
  identifier: Identifier,
): Promise<void> {
  const sector = Buffer.alloc(SECTOR_BYTES);
  putU64(sector, identifier.batch, 8);
  putU64(sector, identifier.last, 16);
  putU64(sector, identifier.end, 24);
  sector[32] = identifier.sealed ? 1 : 0;
  const offset = slotOffset(slot);
  sector.writeUInt32LE(crc32(sector.subarray(4), crcStart(sequence, offset)), 0);
  await file.write([sector], offset);
}

/** Empties a slot; the caller syncs. */
export async function clearSlot(file: StorageFile, slot: number): Promise<void> {
  await file.write([Buffer.alloc(SECTOR_BYTES)], slotOffset(slot));
}

/** Reads the ring from the bytes of a whole segment. */
export function readRing(bytes: Buffer, sequence: number): Ring {
  const slots: (Identifier | null)[] = [];
  const bad: number[] = [];
  for (let slot = 0; slot < RING_SLOTS; slot += 1) {
    const offset = slotOffset(slot);
    const sector = bytes.subarray(offset, offset + SECTOR_BYTES);
    const sound = crc32(sector.subarray(4), crcStart(sequence, offset)) === sector.readUInt32LE(0);
    if (!sound && !isZero(sector)) bad.push(slot);
    slots.push(sound && !isZero(sector) ? decodeIdentifier(sector) : null);
  }
  return ringOf(slots, bad);
}

function decodeIdentifier(sector: Buffer): Identifier {
  return {
    batch: getU64(sector, 8),
    last: asIndex(getU64(sector, 16)),
    end: getU64(sector, 24),
    sealed: sector[32] === 1,
  };
}

function ringOf(slots: readonly (Identifier | null)[], bad: readonly number[]): Ring {
  let newest: Identifier | null = null;
  let next = 0;
  for (const [slot, identifier] of slots.entries()) {
    if (identifier === null) continue;
    // Of two for the same batch the sealed one is newer.
    const newer = newest === null || identifier.batch > newest.batch;
    if (!newer && !(identifier.batch === newest?.batch && identifier.sealed)) continue;
    newest = identifier;
    next = (slot + 1) % RING_SLOTS;
  }
  return { slots, newest, bad, next };
}

/** Empties the slots that name a batch after `batch`, durably; answers the ring that is left. */
export async function clearSlotsAfter(file: StorageFile, ring: Ring, batch: number): Promise<Ring> {
  const slots = [...ring.slots];
  for (const [slot, identifier] of ring.slots.entries()) {
    if (identifier === null || identifier.batch <= batch) continue;
    await clearSlot(file, slot);
    slots[slot] = null;
  }
  await file.sync();
  return ringOf(slots, ring.bad);
}

function slotOffset(slot: number): number {
  return HEAD_BYTES + slot * SECTOR_BYTES;
}

const zeros = Buffer.alloc(64 * 1024);

/** Whether all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}

function digits(value: number): string {
  return String(value).padStart(16, '0');
}
