/**
 * Reading the log back: every segment from the oldest to the newest, batch by batch, each held against what the ones
 * before it promised. Stops at the first thing that is not sound, and tells what is known about that place, so that
 * {@link ./recovery.ts} can decide. Changes nothing.
 */
import { join } from 'node:path';
import { decodeConfiguration } from '../raft/configuration.ts';
import { asIndex, asTerm, EntryType, InvariantError, type Configuration, type Index } from '../raft/types.ts';
import { corrupt, ioError } from './errors.ts';
import type { Ownership } from './identity.ts';
import { LogIndex } from './log-index.ts';
import {
  decodeMark,
  decodeRecord,
  isBeginRecord,
  RecordKind,
  recordBytes,
  type StoredRecord,
} from './record.ts';
import type { TailFacts } from './recovery.ts';
import {
  DATA_START,
  EMPTY_RING,
  isZero,
  readHead,
  readRing,
  sequenceOf,
  type FoundHead,
  type Identifier,
  type Ring,
} from './segment.ts';
import { alignToSector, readExactly, SECTOR_BYTES, type Storage } from './storage.ts';

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

/** A segment that was read to its end, or to where it stops to be sound. */
export interface ReplayedSegment {
  readonly name: string;
  readonly sequence: number;
  readonly bytes: number;
  /** Sound batches. */
  readonly batches: number;
  readonly ring: Ring;
  /** What an identifier would say of it. */
  readonly state: Identifier;
}

/** A configuration entry. */
export interface ConfigurationAt {
  readonly index: Index;
  readonly configuration: Configuration;
}

/** The place where the sound log ends, and all that is known about it. */
export interface LogEnd {
  readonly path: string;
  readonly offset: number;
  /** Offset behind the last byte that is not zero. */
  readonly usedEnd: number;
  /** What is wrong there, in words; empty when nothing is. */
  readonly what: string;
  /** The last entry that the identifiers speak of, where that is beyond the sound log. */
  readonly promised: Index | null;
  readonly facts: Omit<TailFacts, 'restorable'>;
}

/** A log as it was found. */
export interface ReplayedLog {
  /** The entries before `end`. */
  readonly index: LogIndex;
  readonly segments: readonly ReplayedSegment[];
  /** Older segments that count no more: a snapshot has replaced them. */
  readonly replaced: readonly string[];
  /** Segments behind the place where the log stops to be sound. */
  readonly unread: readonly string[];
  readonly end: LogEnd;
  /** Where the log goes on, once its end is mended. Of the newest segment, unless the log must be refused. */
  readonly tail: LogTail;
  readonly ring: Ring;
  readonly configurations: readonly ConfigurationAt[];
  /** How many entries there are of each type. */
  readonly entryTypes: ReadonlyMap<EntryType, number>;
  /** The highest commit index any batch carried. */
  readonly commit: Index;
}

/** Reads the log in `directory`; throws `WAL_FORMAT`, `WAL_IO`, or `WAL_CORRUPT` where there is nothing to tell of. */
export async function replayLog(
  storage: Storage,
  directory: string,
  owners: Ownership,
): Promise<ReplayedLog> {
  try {
    return await new Replay(storage, directory, owners).run();
  } catch (error) {
    throw ioError('read the log in', directory, error);
  }
}

class Replay {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #owners: Ownership;
  #index = new LogIndex({ index: asIndex(0), term: asTerm(0) });
  #configurations: ConfigurationAt[] = [];
  /** Of every entry that counts, in order. */
  #types: EntryType[] = [];
  #commit = asIndex(0);
  #batch = 0;
  #chain = 0;

  constructor(storage: Storage, directory: string, owners: Ownership) {
    this.#storage = storage;
    this.#directory = directory;
    this.#owners = owners;
  }

  async run(): Promise<ReplayedLog> {
    const { found, replaced } = await this.#heads();
    const segments: ReplayedSegment[] = [];
    for (const [at, segment] of found.entries()) {
      const isNewest = at === found.length - 1;
      const { end, ring, tail, batches } = await this.#segment(segment, isNewest);
      const { name, sequence, fileBytes: bytes, batch } = tail;
      const sealed = ring.newest?.sealed === true;
      const state = { batch, last: this.#index.last, end: tail.end, sealed };
      segments.push({ name, sequence, bytes, batches, ring, state });
      if (!isNewest && isClean(end)) continue;
      const entryTypes = new Map<EntryType, number>();
      for (const type of this.#types) entryTypes.set(type, (entryTypes.get(type) ?? 0) + 1);
      return {
        index: this.#index,
        segments,
        replaced,
        unread: found.slice(at + 1).map(({ name }) => name),
        end,
        tail,
        ring,
        configurations: this.#configurations,
        entryTypes,
        commit: this.#commit,
      };
    }
    throw new InvariantError('the newest segment was not among the segments');
  }

  /** The heads of the segments that make up the log, oldest first. */
  async #heads(): Promise<{ found: FoundHead[]; replaced: string[] }> {
    const names = (await this.#storage.list(this.#directory))
      .filter((name) => sequenceOf(name) !== null)
      .sort();
    const found: FoundHead[] = [];
    for (const name of names) found.push(await this.#head(name));
    if (found.length === 0)
      throw corrupt(this.#directory, 0, 'there is no segment of the log [no log]', 'all entries');
    const begin = found.findLastIndex(({ head }) => head?.begins === true);
    const replaced = found.splice(0, Math.max(0, begin)).map(({ name }) => name);
    return { found, replaced };
  }

  async #head(name: string): Promise<FoundHead> {
    const file = await this.#storage.open(join(this.#directory, name), 'read');
    try {
      return await readHead(file, name, this.#owners);
    } finally {
      await file.close();
    }
  }

  async #segment(
    segment: FoundHead,
    isNewest: boolean,
  ): Promise<{ end: LogEnd; ring: Ring; tail: LogTail; batches: number }> {
    const { name } = segment;
    const path = join(this.#directory, name);
    const bytes = await this.#content(path);
    const misfit = this.#begin(segment);
    const before = this.#batch;
    const { sequence, offset, inconsistent } =
      misfit === null ? this.#batches(bytes, segment) : { sequence: 0, offset: 0, inconsistent: null };
    const ring = misfit === null ? readRing(bytes, sequence) : EMPTY_RING;
    const scan = scanBehind(bytes, offset, sequence, this.#batch + 1);
    const identifierProves = (ring.newest?.batch ?? 0) > this.#batch;
    const facts: LogEnd['facts'] = {
      headSound: segment.head !== null,
      follows: segment.head === null || misfit === null,
      damaged: !scan.zero || identifierProves,
      sealed: !isNewest,
      successorMissing: isNewest && ring.newest?.sealed === true,
      inconsistent: inconsistent !== null,
      laterBatchProves: scan.proves,
      identifierProves,
      ringReadable: ring.bad.length === 0,
    };
    const what = misfit ?? inconsistent ?? whatIsWrong(facts, this.#batch + 1);
    const promised = identifierProves ? (ring.newest?.last ?? null) : null;
    const end: LogEnd = { path, offset, usedEnd: scan.used, what, promised, facts };
    const { length: fileBytes } = bytes;
    const tail = { sequence, name, fileBytes, end: offset, batch: this.#batch, chain: this.#chain };
    return { end, ring, tail, batches: this.#batch - before };
  }

  /** The whole file, synced first: what the kernel shows may not be on the disk yet. */
  async #content(path: string): Promise<Buffer> {
    const file = await this.#storage.open(path, 'read');
    try {
      await file.sync();
      return await readExactly(file, 0, await file.size());
    } finally {
      await file.close();
    }
  }

  /** Holds a segment's head against the log so far and begins it; answers why it can't. */
  #begin(segment: FoundHead): string | null {
    const { name, head } = segment;
    if (head === null) return segment.why;
    const { last, lastTerm, segments } = this.#index;
    const previous = segments.at(-1);
    if (previous === undefined) {
      this.#index = new LogIndex(head.after);
    } else {
      const follows =
        head.sequence === previous.sequence + 1 &&
        head.after.index === last &&
        head.after.term === lastTerm &&
        head.batch === this.#batch &&
        head.chain === this.#chain;
      if (!follows) {
        return (
          `the segment does not follow ${previous.name}: batch ${head.batch} and entry ${head.after.index} ` +
          `should come before it, found were ${this.#batch} and ${last}`
        );
      }
    }
    this.#batch = head.batch;
    this.#chain = head.chain;
    this.#index.addSegment(head.sequence, name);
    return null;
  }

  /** Runs the batches of a segment up to the first that is not sound. */
  #batches(
    bytes: Buffer,
    { name }: FoundHead,
  ): { sequence: number; offset: number; inconsistent: string | null } {
    const sequence = sequenceOf(name) ?? 0;
    for (let offset = DATA_START; ; ) {
      const step = this.#next(bytes, offset, sequence);
      if (step.state === 'none') return { sequence, offset, inconsistent: null };
      if (step.state === 'inconsistent') return { sequence, offset, inconsistent: step.why };
      offset = step.end;
    }
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
      this.#types.length = Math.max(0, index - this.#index.base.index);
      this.#index.truncate({ index, term });
      this.#configurations = this.#configurations.filter((configuration) => configuration.index <= index);
    }
    for (const { record, offset } of entries) {
      if (record.index !== this.#index.last + 1 || record.term < this.#index.lastTerm) {
        return `entry ${record.index} of term ${record.term} follows ${this.#index.last} of ${this.#index.lastTerm}`;
      }
      this.#index.add(record.index, record.term, offset, record.payload.length);
      this.#types.push(record.type);
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

function isClean({ facts }: LogEnd): boolean {
  return facts.headSound && facts.follows && !facts.damaged && !facts.inconsistent && !facts.successorMissing;
}

function whatIsWrong(facts: LogEnd['facts'], batch: number): string {
  if (facts.successorMissing) return 'the segment after this one is missing';
  return facts.damaged ? `batch ${batch} is damaged` : '';
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
