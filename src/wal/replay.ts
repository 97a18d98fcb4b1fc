/**
 * Reading the log back: every segment from the oldest to the newest, batch by batch, each held against what the ones
 * before it promised. Stops at the first thing that is not sound and lets {@link ./recovery.ts} decide.
 */
import { join } from 'node:path';
import { decodeConfiguration } from '../raft/configuration.ts';
import { asIndex, asTerm, EntryType, InvariantError, type Configuration, type Index } from '../raft/types.ts';
import { corrupt, ioError } from './errors.ts';
import type { Identity } from './identity.ts';
import { LogIndex } from './log-index.ts';
import {
  decodeMark,
  decodeRecord,
  isBeginRecord,
  RecordKind,
  recordBytes,
  type StoredRecord,
} from './record.ts';
import { decide, type TailFacts } from './recovery.ts';
import {
  DATA_START,
  isZero,
  readHead,
  readRing,
  sequenceOf,
  type Ring,
  type SegmentHead,
} from './segment.ts';
import {
  alignToSector,
  readExactly,
  SECTOR_BYTES,
  writeZeros,
  type Storage,
  type StorageFile,
} from './storage.ts';

/** Copies of cut tails that are kept; the oldest go first. */
const TORN_COPIES_MAX = 8;

/** Where the next batch goes. */
export interface LogTail {
  readonly sequence: number;
  readonly name: string;
  readonly fileBytes: number;
  /** Offset behind the last batch. */
  end: number;
  /** Number of the last batch, and the CRC of its last record. */
  batch: number;
  chain: number;
}

/** A log as it was found, cut and repaired. */
export interface ReplayedLog {
  readonly index: LogIndex;
  readonly tail: LogTail;
  /** The newest segment, open for writing. */
  readonly file: StorageFile;
  readonly ring: Ring;
  readonly configurations: readonly { readonly index: Index; readonly configuration: Configuration }[];
  /** The highest commit index any batch carried. */
  readonly commit: Index;
}

/** Reads the log in `directory`; throws `WAL_CORRUPT` or `WAL_FORMAT` where it must not be used. */
export async function replayLog(
  storage: Storage,
  directory: string,
  identity: Identity,
  notes: string[],
): Promise<ReplayedLog> {
  try {
    return await new Replay(storage, directory, identity, notes).run();
  } catch (error) {
    throw ioError('read the log in', directory, error);
  }
}

class Replay {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #identity: Identity;
  readonly #notes: string[];
  #index = new LogIndex({ index: asIndex(0), term: asTerm(0) });
  #configurations: { index: Index; configuration: Configuration }[] = [];
  #commit = asIndex(0);
  #batch = 0;
  #chain = 0;

  constructor(storage: Storage, directory: string, identity: Identity, notes: string[]) {
    this.#storage = storage;
    this.#directory = directory;
    this.#identity = identity;
    this.#notes = notes;
  }

  async run(): Promise<ReplayedLog> {
    const segments = await this.#segments();
    const newest = segments.at(-1);
    if (newest === undefined)
      throw corrupt(this.#directory, 0, 'there is no segment of the log', 'all entries');
    for (const segment of segments) {
      const file = await this.#storage.open(join(this.#directory, segment.name), 'update');
      let keep = false;
      try {
        const replayed = await this.#segment(file, segment, segment === newest);
        if (segment !== newest) continue;
        keep = true;
        return {
          ...replayed,
          index: this.#index,
          file,
          configurations: this.#configurations,
          commit: this.#commit,
        };
      } finally {
        if (!keep) await file.close();
      }
    }
    throw new InvariantError('the newest segment was not among the segments');
  }

  /** The segments that make up the log, oldest first. Removes those that a snapshot has replaced. */
  async #segments(): Promise<{ name: string; head: SegmentHead }[]> {
    const names = (await this.#storage.list(this.#directory))
      .filter((name) => sequenceOf(name) !== null)
      .sort();
    const segments: { name: string; head: SegmentHead }[] = [];
    for (const name of names) {
      const file = await this.#storage.open(join(this.#directory, name), 'read');
      try {
        segments.push({ name, head: await readHead(file, name, this.#identity) });
      } finally {
        await file.close();
      }
    }
    const begin = segments.findLastIndex(({ head }) => head.begins);
    const replaced = segments.splice(0, Math.max(0, begin));
    for (const { name } of replaced) await this.#storage.remove(join(this.#directory, name));
    if (replaced.length > 0) await this.#storage.syncDirectory(this.#directory);
    return segments;
  }

  async #segment(
    file: StorageFile,
    { name, head }: { name: string; head: SegmentHead },
    isNewest: boolean,
  ): Promise<{ tail: LogTail; ring: Ring }> {
    await file.sync();
    const path = join(this.#directory, name);
    const bytes = await readExactly(file, 0, await file.size());
    this.#begin(path, name, head);
    const ring = readRing(bytes, head.sequence);
    let end = DATA_START;
    let stopped = this.#next(bytes, end, head.sequence);
    while (stopped.state === 'batch') {
      end = stopped.end;
      stopped = this.#next(bytes, end, head.sequence);
    }
    const proved = ring.newest?.batch ?? 0;
    const scan = scanBehind(bytes, end, head.sequence, this.#batch + 1);
    const facts: TailFacts = {
      damaged: !scan.zero || proved > this.#batch,
      inconsistent: stopped.state === 'inconsistent',
      sealed: !isNewest || ring.newest?.sealed === true,
      laterBatchProves: scan.proves,
      identifierProves: proved > this.#batch,
      ringReadable: ring.bad.length === 0,
    };
    const { verdict, label, because } = decide(facts);
    if (verdict === 'refuse') {
      const what = stopped.state === 'inconsistent' ? stopped.why : `batch ${this.#batch + 1} is damaged`;
      throw corrupt(path, end, `${what}: ${because} [${label}]`, `entries from ${this.#index.last + 1} on`);
    }
    if (isNewest && ring.newest?.sealed === true) {
      throw corrupt(
        path,
        end,
        'the segment after this one is missing',
        `entries from ${this.#index.last + 1} on`,
      );
    }
    if (verdict === 'truncate') await this.#cut(file, path, bytes, end, scan.used);
    const tail = {
      sequence: head.sequence,
      name,
      fileBytes: bytes.length,
      end,
      batch: this.#batch,
      chain: this.#chain,
    };
    return { tail, ring };
  }

  /** Holds a segment's head against the log so far. */
  #begin(path: string, name: string, head: SegmentHead): void {
    if (this.#index.segments.length === 0) {
      this.#index = new LogIndex(head.after);
    } else {
      const { last, lastTerm, segments } = this.#index;
      const follows =
        head.sequence === (segments.at(-1)?.sequence ?? 0) + 1 &&
        head.after.index === last &&
        head.after.term === lastTerm &&
        head.batch === this.#batch &&
        head.chain === this.#chain;
      if (!follows) {
        throw corrupt(
          path,
          0,
          `the segment does not follow ${segments.at(-1)?.name}: batch ${head.batch} and entry ${head.after.index} ` +
            `should come before it, found were ${this.#batch} and ${last}; a segment is missing or damaged`,
          `entries from ${last + 1} on`,
        );
      }
    }
    this.#batch = head.batch;
    this.#chain = head.chain;
    this.#index.addSegment(head.sequence, name);
  }

  /** Takes the batch at `at`, if it is sound and complete. */
  #next(bytes: Buffer, at: number, sequence: number): Step {
    const begin = decodeRecord(bytes, at, sequence);
    if (begin === null) return NONE;
    if (begin.kind !== RecordKind.begin)
      return inconsistent('a batch does not begin where the one before ended');
    if (begin.chain !== this.#chain) return inconsistent('the chain of records is broken');
    const number = decodeMark(begin).batch;
    if (number !== this.#batch + 1)
      return inconsistent(`batch ${number} stands where ${this.#batch + 1} belongs`);
    const entries: { record: StoredRecord; offset: number }[] = [];
    let chain = begin.crc;
    let offset = at + recordBytes(begin.payload.length);
    for (;;) {
      const record = decodeRecord(bytes, offset, sequence);
      if (record === null || record.chain !== chain || record.kind === RecordKind.begin) return NONE;
      chain = record.crc;
      const following = offset + recordBytes(record.payload.length);
      if (record.kind === RecordKind.end) {
        const problem = this.#apply(begin, entries, record);
        if (problem !== null) return inconsistent(problem);
        this.#batch = number;
        this.#chain = chain;
        return { state: 'batch', end: alignToSector(following) };
      }
      entries.push({ record, offset });
      offset = following;
    }
  }

  /** Runs a complete batch on the index; answers what is impossible about it. */
  #apply(
    begin: StoredRecord,
    entries: readonly { record: StoredRecord; offset: number }[],
    end: StoredRecord,
  ): string | null {
    const { index, term } = begin;
    if (index > this.#index.last) return `entry ${index + 1} follows ${this.#index.last}: there is a gap`;
    const known = this.#index.termAt(index);
    if (known !== null && known !== term)
      return `entry ${index} has term ${known}, its successor says ${term}`;
    if (index < this.#index.last) {
      this.#index.truncate({ index, term });
      this.#configurations = this.#configurations.filter((configuration) => configuration.index <= index);
    }
    for (const { record, offset } of entries) {
      if (record.index !== this.#index.last + 1 || record.term < this.#index.lastTerm) {
        return `entry ${record.index} of term ${record.term} follows ${this.#index.last} of ${this.#index.lastTerm}`;
      }
      this.#index.add(record.index, record.term, offset, record.payload.length);
      if (record.type === EntryType.configuration) {
        this.#configurations.push({
          index: record.index,
          configuration: decodeConfiguration(record.payload),
        });
      }
    }
    if (end.index !== this.#index.last) return `the batch says that it ends with ${end.index}`;
    const { second } = decodeMark(end);
    if (second > this.#commit) this.#commit = asIndex(Math.min(second, this.#index.last));
    return null;
  }

  /** Overwrites the torn tail with zeros, after a copy of it was made for whoever wants to look. */
  async #cut(file: StorageFile, path: string, bytes: Buffer, from: number, to: number): Promise<void> {
    const names = (await this.#storage.list(this.#directory))
      .filter((name) => name.startsWith('torn-'))
      .sort();
    for (const name of names.slice(0, Math.max(0, names.length + 1 - TORN_COPIES_MAX))) {
      await this.#storage.remove(join(this.#directory, name));
    }
    const name = `torn-${String(this.#batch + 1).padStart(16, '0')}-at-${from}.copy`;
    const copy = await this.#storage.open(join(this.#directory, name), 'create');
    try {
      await copy.write([bytes.subarray(from, to)], 0);
      await copy.sync();
    } finally {
      await copy.close();
    }
    await this.#storage.syncDirectory(this.#directory);
    await writeZeros(file, from, to);
    this.#notes.push(
      `${path}: cut a torn write of ${to - from} bytes at offset ${from}, after entry ${this.#index.last}; kept as ${name}`,
    );
  }
}

type Step =
  | { readonly state: 'batch'; readonly end: number }
  /** No sound batch: whether the place is empty or damaged shows when all that is behind it is looked at. */
  | { readonly state: 'none' }
  | { readonly state: 'inconsistent'; readonly why: string };

const NONE: Step = { state: 'none' };

function inconsistent(why: string): Step {
  return { state: 'inconsistent', why };
}

/** What lies behind the sound log: all zeros; up to where not; a later batch that was written when `batch` was durable. */
function scanBehind(
  bytes: Buffer,
  from: number,
  sequence: number,
  batch: number,
): { zero: boolean; used: number; proves: boolean } {
  let used = from;
  let proves = false;
  for (let at = from; at < bytes.length; at += SECTOR_BYTES) {
    if (isZero(bytes.subarray(at, at + SECTOR_BYTES))) continue;
    used = Math.min(bytes.length, at + SECTOR_BYTES);
    const record = isBeginRecord(bytes, at) ? decodeRecord(bytes, at, sequence) : null;
    if (record === null) continue;
    const mark = decodeMark(record);
    if (mark.batch > batch && mark.second >= batch) proves = true;
  }
  return { zero: used === from, used, proves };
}
