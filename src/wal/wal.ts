/**
 * The durable side of a node: its log, its term and vote, its snapshots, in one directory.
 *
 * ```
 * claim, then identity                    whose directory this is                   identity.ts, setup.ts
 * term-vote-a, term-vote-b                term and vote, twice                       hard-state.ts
 * 0000000000000007-0000000000041201.log   segments: sequence and first index        segment.ts, record.ts
 * snapshot-0000000000041000-9a1b22c3.snap index and checksum                        snapshots.ts, snapshot-file.ts
 * torn-….copy, lost-….copy, ….damaged     put aside by a recovery, for whoever wants to look   repair.ts
 * lock-1                                  held while a process uses the directory     lock.ts
 * ….tmp, ….part                           unfinished; removed at the next start, unless the directory is refused
 * ```
 *
 * **The log only grows at its end.** An append is one write of one batch and one fdatasync into zeros that were
 * prepared before. A batch names the entry it follows; when that is not the last one, the entries behind it are
 * replaced. So a truncation and what replaces it are one atomic batch, nothing on disk is ever overwritten, a reader
 * that is busy with the old entries finds them intact, and no crash can leave a truncation half done. Where the
 * entries that count lie is known in memory (log-index.ts).
 *
 * **What a crash or a bad disk may leave** is decided in recovery.ts, from what examine.ts has found: torn batches that
 * were never acknowledged are cut; a durable end that is damaged is cut too, but the node then gives no vote until the
 * others have brought it back; anything else that is unsound is refused. The evidence is the *identifier*: after `IDENTIFIER_DELAY_MS` without an append
 * the log notes, in the head of the segment, which batch it is known to be durable up to. A busy log needs no
 * identifiers and pays nothing for them, because each batch says that the one before it was durable.
 *
 * **When a segment is full** the next one, prepared in the background, gets its head and name (synced), then the full
 * one is marked as sealed (synced), then the batch goes into the new one. So a sealed segment is durable as a whole,
 * and a successor that has disappeared is noticed. Compaction only ever removes whole segments from the old end, one
 * at a time, each removal synced before the next, so that a crash leaves no gap.
 *
 * **Errors.** After a failed write or sync of the log the object refuses all further work: the kernel may have dropped
 * the pages, and a repeated fdatasync would report success for them. The process must end; opening again writes the
 * unconfirmed end of the log anew before it is believed. There is one error to live on after: no space for the *next*
 * segment. Batches only ever go into zeros that have their place on the disk, so a full disk is met there, under a
 * temporary name, before a byte of the batch is written; the same append may be made again when there is space.
 */
import { join } from 'node:path';
import {
  asIndex,
  asTerm,
  invariant,
  InvariantError,
  type Entry,
  type HardState,
  type Index,
  type Recovered,
  type SnapshotMeta,
  type Term,
} from '../raft/types.ts';
import { corrupt, ioError, isMissing, nothingWritten, WalError } from './errors.ts';
import { examine } from './examine.ts';
import { HardStateFiles } from './hard-state.ts';
import { normalized, type Identity } from './identity.ts';
import type { LogIndex, SegmentEntries } from './log-index.ts';
import { nodeStorage } from './node-storage.ts';
import { BatchEncoder, batchBytes, decodeRecord, recordBytes, RecordKind, type Position } from './record.ts';
import type { TailRule } from './recovery.ts';
import { cutEnd, sealEarlier } from './repair.ts';
import type { LogTail, ReplayedLog } from './replay.ts';
import {
  clearSlot,
  DATA_START,
  nameSegment,
  PREPARED_NAME,
  RING_SLOTS,
  writeIdentifier,
  type Ring,
  type SegmentHead,
} from './segment.ts';
import { claim, removeAll, setUp, type Bootstrap } from './setup.ts';
import type { SnapshotState } from './snapshot-file.ts';
import {
  Snapshots,
  type FoundSnapshot,
  type SnapshotId,
  type SnapshotReader,
  type SnapshotReceiver,
  type SnapshotWriter,
} from './snapshots.ts';
import { alignToSector, makeZeros, readExactly, type Storage, type StorageFile } from './storage.ts';

export { CorruptError, WalError, type WalErrorCode } from './errors.ts';
export type { Identity } from './identity.ts';
export { claimDirectory, type Claim } from './setup.ts';
export type { SnapshotId, SnapshotReader, SnapshotReceiver, SnapshotWriter } from './snapshots.ts';

export const SEGMENT_BYTES_DEFAULT: number = 16 * 1024 * 1024;
const SEGMENT_BYTES_MIN = DATA_START + 4096;
/** Largest batch, all entries and their heads together. A batch larger than a segment gets a segment of its own size. */
export const BATCH_BYTES_MAX: number = 1024 * 1024 * 1024;
/** How long the log must be idle before the durability of its last batch is noted apart from it. */
const IDENTIFIER_DELAY_MS = 100;
const FSYNC_INTERVAL_MS_DEFAULT = 1000;
const LARGE_NAME = 'segment-large.tmp';

/**
 * When an append counts as durable. `always`: after fdatasync. `interval`: after the write; fdatasync follows within
 * `fsyncIntervalMs`. `never`: after the write; the operating system decides. With the latter two a power loss may take
 * acknowledged entries; a crash of the process alone takes none.
 */
export type FsyncMode = 'always' | 'interval' | 'never';

export interface WalOptions {
  readonly directory: string;
  readonly storage?: Storage;
  readonly fsync: FsyncMode;
  /** Milliseconds, for `interval`. */
  readonly fsyncIntervalMs?: number;
  /** Size of a segment file. */
  readonly segmentBytes?: number;
  /**
   * Must match a directory that is claimed or set up, but for the cluster id, which one that is set up knows itself.
   * The incarnation is the directory's own.
   */
  readonly identity: Omit<Identity, 'incarnation'>;
  /**
   * What a directory that is not set up begins with; `null`: term 0 and an empty log without any configuration, for a
   * node that joins. One that is set up ignores it.
   */
  readonly bootstrap: Bootstrap | null;
  /**
   * An end of the log that was durable and is damaged is cut, and `recovering` noted, also where no other voter could give it
   * back. For a log that nobody else has. Default: false, it is refused.
   */
  readonly acceptLoss?: boolean;
  /** A sync in the background failed: the process must end. The next append would say so too. */
  readonly onFailure?: (error: WalError) => void;
}

/** The segment that is written to. */
interface Tail extends LogTail {
  readonly file: StorageFile;
  /** Ring slot of the next identifier. */
  slot: number;
}

export class Wal {
  /** Whose directory it is. */
  readonly identity: Identity;
  /** What the log takes from the disk at once. */
  readonly segmentBytes: number;
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #fsync: FsyncMode;
  readonly #onFailure: (error: WalError) => void;
  readonly #hardState: HardStateFiles;
  readonly #snapshots: Snapshots;
  readonly #index: LogIndex;
  readonly #encoder = new BatchEncoder();
  readonly #unlock: () => Promise<void>;
  readonly #stopTimer: () => void;
  #tail: Tail;
  /** Batches up to this one are known to be durable. */
  #durable: number;
  /** The batch of the newest identifier on disk. */
  #identified: number;
  #appending = false;
  /** Rises whenever entries stop to count, so that a read under way notices. */
  #truncations = 0;
  #failure: WalError | null = null;
  #closed = false;
  /** The sync or identifier under way beside the appends. */
  #settling: Promise<void> | null = null;
  /** The tail is being exchanged: nothing else may write to it. */
  #rotating = false;
  /** Compactions, one after the other. */
  #compacting: Promise<void> = Promise.resolve();
  /** The next segment, zeroed; `null` when that failed and has to be tried again. */
  #prepared: Promise<StorageFile | null>;

  private constructor(parts: {
    options: WalOptions;
    storage: Storage;
    identity: Identity;
    hardState: HardStateFiles;
    snapshots: Snapshots;
    index: LogIndex;
    tail: Tail;
    identified: number;
    unlock: () => Promise<void>;
  }) {
    const { options, storage, identity, hardState, snapshots, index, tail, identified, unlock } = parts;
    this.identity = identity;
    this.#storage = storage;
    this.#directory = options.directory;
    this.#fsync = options.fsync;
    this.segmentBytes = segmentBytesOf(options);
    this.#onFailure = options.onFailure ?? ((): void => undefined);
    this.#hardState = hardState;
    this.#snapshots = snapshots;
    this.#index = index;
    this.#tail = tail;
    this.#durable = tail.batch;
    this.#identified = identified;
    this.#unlock = unlock;
    this.#prepared = this.#prepare();
    const periodMs =
      options.fsync === 'interval'
        ? (options.fsyncIntervalMs ?? FSYNC_INTERVAL_MS_DEFAULT)
        : IDENTIFIER_DELAY_MS;
    let seen = tail.batch;
    this.#stopTimer = storage.every(periodMs, () => {
      const idle = seen === this.#tail.batch && !this.#appending;
      seen = this.#tail.batch;
      if (options.fsync === 'interval' || (options.fsync === 'always' && idle)) this.#settleInBackground();
    });
  }

  /**
   * Opens the directory, claims and sets it up first where that has not been done, recovers what a crash left. `notes`
   * tells in words what was repaired or cut, for the log file. Rejects with a {@link WalError}; nothing is open then.
   */
  static async open(
    options: WalOptions,
  ): Promise<{ wal: Wal; recovered: Recovered; notes: readonly string[] }> {
    const storage = options.storage ?? nodeStorage;
    const { directory } = options;
    segmentBytesOf(options);
    const undo: (() => Promise<void>)[] = [];
    try {
      await storage.makeDirectory(directory);
      const unlock = await storage.lock(directory);
      undo.push(unlock);
      return await Wal.#openLocked(options, storage, unlock, undo);
    } catch (error) {
      for (const step of undo.toReversed()) await step().catch(() => undefined);
      throw ioError('open', directory, error);
    }
  }

  static async #openLocked(
    options: WalOptions,
    storage: Storage,
    unlock: () => Promise<void>,
    undo: (() => Promise<void>)[],
  ): Promise<{ wal: Wal; recovered: Recovered; notes: readonly string[] }> {
    const { directory } = options;
    const notes: string[] = [];
    const claimed = await claim(storage, directory, options.identity);
    const identity =
      claimed.state === 'founded'
        ? claimed.identity
        : normalized({ ...options.identity, incarnation: claimed.incarnation });
    if (claimed.state === 'claimed')
      await setUp(storage, directory, identity, options.bootstrap, segmentBytesOf(options));
    const found = await examine(storage, directory, options.acceptLoss);
    const { log, snapshot } = found;
    if (found.refusal !== null) throw found.refusal;
    invariant(log !== null, () => `${directory} has no log and is not refused`);
    await removeUnfinished(storage, directory);
    const hardState = await HardStateFiles.open(storage, directory, found.hardState, notes);
    undo.push(() => hardState.close());
    if (log.replaced.length > 0) await removeAll(storage, directory, log.replaced);
    await sealEarlier(storage, directory, log);
    const file = await storage.open(join(directory, log.tail.name), 'update');
    undo.push(() => file.close());
    const ring = await mendEnd(storage, directory, file, found.tail, log, hardState, notes);
    const snapshots = new Snapshots(storage, directory, identity.group, soundOf(found.snapshots));
    for (const { name, meta } of found.snapshots) {
      if (meta === null)
        notes.push(
          `${name} is damaged, put aside as ${await snapshots.setAside(name)}; the log serves without it`,
        );
    }
    const tail: Tail = { ...log.tail, file, slot: ring.next };
    await confirmTail(tail, ring.newest?.end ?? DATA_START);
    const { index } = log;
    const identified = ring.newest?.batch ?? 0;
    const wal = new Wal({
      options,
      storage,
      identity,
      hardState,
      snapshots,
      index,
      tail,
      identified,
      unlock,
    });
    undo.length = 0;
    try {
      if (found.state?.verdict === 'install' && snapshot !== null) await wal.#install(snapshot, notes);
      wal.#settleInBackground();
      await wal.#settling;
      if (wal.#failure !== null) throw wal.#failure;
      if (wal.#tail.name === tail.name) for (const slot of ring.bad) await clearSlot(tail.file, slot);
    } catch (error) {
      await wal.close().catch(() => undefined);
      throw error;
    }
    const recovered: Recovered = {
      hardState: hardState.state,
      snapshot,
      firstIndex: index.first,
      lastIndex: index.last,
      compacted: index.base,
      termRuns: [...index.termRuns],
      configurations: log.configurations.filter((configuration) => configuration.index > index.base.index),
      commit: asIndex(Math.min(index.last, Math.max(log.commit, snapshot?.index ?? 0))),
    };
    return { wal, recovered, notes };
  }

  /** Index of the first entry on disk; last + 1 when there is none. */
  get firstIndex(): Index {
    return this.#index.first;
  }

  get lastIndex(): Index {
    return this.#index.last;
  }

  /** Bytes that are free on the device. */
  freeBytes(): Promise<number> {
    return this.#storage.freeBytes(this.#directory);
  }

  /** What was last made durable. */
  get hardState(): HardState {
    return this.#hardState.state;
  }

  /**
   * Makes term and vote, then the entries durable as the fsync mode says (term and vote always are). The first entry
   * follows the last one or replaces it and all behind it. One call at a time. Rejects with `WAL_TOO_LARGE`, or with a
   * `WAL_FULL` that is `retryable`, and then no entry was written and the log goes on; or with `WAL_FULL` or `WAL_IO`,
   * and then the log can't be used any more.
   */
  async append(work: {
    readonly hardState: HardState | null;
    readonly entries: readonly Entry[];
    /** A hint that is stored beside the entries. */
    readonly commit: Index;
  }): Promise<void> {
    this.#enter();
    try {
      const size = batchBytes(work.entries);
      if (size > BATCH_BYTES_MAX) {
        throw new WalError('WAL_TOO_LARGE', `a batch of ${size} bytes; at most ${BATCH_BYTES_MAX} fit`);
      }
      if (work.hardState !== null) await this.#hardState.write(work.hardState);
      if (work.entries.length > 0) await this.#writeBatch(work.entries, work.commit, size);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#appending = false;
    }
  }

  async #writeBatch(entries: readonly Entry[], commit: Index, size: number): Promise<void> {
    const after = this.#positionBefore(entries);
    if (this.#tail.end + size > this.#tail.fileBytes) await this.#rotate({ base: null, size });
    const tail = this.#tail;
    const number = tail.batch + 1;
    const batch = { number, durable: this.#durable, after, entries, commit };
    const { bytes, chain, offsets } = this.#encoder.encode(batch, {
      sequence: tail.sequence,
      offset: tail.end,
      chain: tail.chain,
    });
    await tail.file.write([bytes], tail.end);
    if (this.#fsync === 'always') await tail.file.sync();
    tail.end += bytes.length;
    tail.batch = number;
    tail.chain = chain;
    if (this.#fsync === 'always') this.#durable = number;
    if (after.index < this.#index.last) {
      this.#truncations += 1;
      this.#index.truncate(after);
    }
    for (const [at, { index, term, payload }] of entries.entries()) {
      this.#index.add(index, term, offsets[at] ?? 0, payload.length);
    }
  }

  /** The entry that these follow, after a look whether they can. */
  #positionBefore(entries: readonly Entry[]): Position {
    const first = entries[0]?.index ?? asIndex(0);
    const index = asIndex(first - 1);
    const term = this.#index.termAt(index);
    invariant(
      term !== null,
      () => `entry ${first} appended to a log of ${this.firstIndex} to ${this.lastIndex}`,
    );
    let previous: Term = term;
    for (const [at, entry] of entries.entries()) {
      invariant(
        entry.index === first + at && entry.term >= previous && entry.term <= this.#hardState.state.term,
        () => `entry ${entry.index} of term ${entry.term} at place ${at} after ${index} of term ${term}`,
      );
      previous = entry.term;
    }
    return { index, term };
  }

  /**
   * Entries `from` to `to`, both included, as many as fit in `maxBytes` of payload but at least one. Empty when the log
   * does not hold `from` any more or changed meanwhile. Rejects with `WAL_CORRUPT` where the disk has changed a record.
   */
  async read(from: Index, to: Index, maxBytes: number): Promise<Entry[]> {
    const place = this.#index.find(from);
    if (place === null || to < from) return [];
    const { segment, at } = place;
    const wanted = Math.min(to - from + 1, segment.offsets.length - at);
    const before = this.#truncations;
    const records: { offset: number; end: number }[] = [];
    for (let bytes = 0; records.length < wanted; ) {
      const offset = segment.offsets[at + records.length] ?? 0;
      const size = segment.sizes[at + records.length] ?? 0;
      bytes += size;
      if (bytes > maxBytes && records.length > 0) break;
      records.push({ offset, end: offset + recordBytes(size) });
    }
    const entries = await this.#readRecords(segment, records, from);
    return this.#truncations === before ? entries : [];
  }

  async #readRecords(
    { name, sequence }: SegmentEntries,
    records: readonly { offset: number; end: number }[],
    from: Index,
  ): Promise<Entry[]> {
    const path = join(this.#directory, name);
    let file: StorageFile;
    try {
      // A descriptor of its own: it stays good when the segment is compacted away meanwhile.
      file = await this.#storage.open(path, 'read');
    } catch (error) {
      if (isMissing(error) && this.#index.first > from) return [];
      throw ioError('open', path, error);
    }
    try {
      const base = records[0]?.offset ?? 0;
      const bytes = await readExactly(file, base, records.at(-1)?.end ?? base);
      return records.map(({ offset }, at) => {
        const record = decodeRecord(bytes, offset - base, sequence, base);
        if (record?.kind !== RecordKind.entry || record.index !== from + at) {
          throw corrupt(path, offset, 'a record changed after it was written', `entry ${from + at}`);
        }
        return { index: record.index, term: record.term, type: record.type, payload: record.payload };
      });
    } catch (error) {
      throw ioError('read', path, error);
    } finally {
      await file.close();
    }
  }

  /** Lets the entries up to `to` go: removes whole segments, so some of them may stay. */
  compact(to: Index): Promise<void> {
    invariant(to <= this.lastIndex, () => `compaction up to ${to}, the log ends at ${this.lastIndex}`);
    const compacted = this.#compacting.then(() => this.#compact(to));
    this.#compacting = compacted.catch(() => undefined);
    return compacted;
  }

  async #compact(to: Index): Promise<void> {
    while (this.#failure === null && !this.#closed) {
      const segment = this.#index.droppable(to);
      if (segment === null) return;
      this.#index.dropOldest();
      await this.#remove([segment.name]);
    }
  }

  /** Removes files, durably. */
  async #remove(names: readonly string[]): Promise<void> {
    try {
      for (const name of names) await this.#storage.remove(join(this.#directory, name));
      await this.#storage.syncDirectory(this.#directory);
    } catch (error) {
      throw ioError('remove', names.join(', '), error);
    }
  }

  /**
   * Replaces the whole log by a snapshot whose file is durable here: the log is empty and begins after it. Term and
   * vote must have been brought up to the snapshot's term before. Not while an append is under way. Rejects as `append`
   * does.
   */
  async resetToSnapshot(snapshot: SnapshotMeta): Promise<void> {
    this.#enter();
    try {
      invariant(
        this.#snapshots.has(snapshot),
        () => `reset to snapshot ${snapshot.index}, which is not here`,
      );
      await this.#reset({ index: snapshot.index, term: snapshot.term });
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#appending = false;
    }
  }

  async #reset(base: Position): Promise<void> {
    await this.#compacting;
    const replaced = this.#index.segments.map(({ name }) => name);
    await this.#rotate({ base, size: 0 });
    await this.#remove(replaced);
  }

  /** Begins a snapshot of the state as it was applied up to `state.index`. */
  createSnapshot(state: SnapshotState): Promise<SnapshotWriter> {
    return this.#snapshots.create(state);
  }

  /** Opens a snapshot of this directory for reading. */
  openSnapshot(id: SnapshotId): Promise<SnapshotReader> {
    return this.#snapshots.open(id);
  }

  /**
   * The bytes of a snapshot's file from `offset` on, to be sent; `null` when it is not here. The file stays until the
   * iteration ends, with `WAL_CORRUPT` where the content has changed on the disk.
   */
  snapshotPieces(id: SnapshotId, offset: number): AsyncGenerator<Buffer, void, void> | null {
    return this.#snapshots.pieces(id, offset);
  }

  /** Begins to receive a snapshot's file, or goes on where a suspended transfer of the same file stood. */
  receiveSnapshot(meta: SnapshotMeta): Promise<SnapshotReceiver> {
    return this.#snapshots.receive(meta);
  }

  /** Removes all snapshots but the newest `keep`, at least 1, and those that are being read or sent. */
  purgeSnapshots(keep: number): Promise<void> {
    return this.#snapshots.purge(keep);
  }

  /** Waits for what is under way, notes what is durable, and gives the directory free. */
  async close(): Promise<void> {
    if (this.#closed) return;
    invariant(!this.#appending, () => 'the log is closed during an append');
    this.#closed = true;
    this.#stopTimer();
    try {
      await this.#compacting;
      await this.#settling;
      if (this.#failure === null) await this.#settle();
    } catch (error) {
      throw ioError('sync', join(this.#directory, this.#tail.name), error);
    } finally {
      await (await this.#prepared)?.close();
      await this.#tail.file.close();
      await this.#hardState.close();
      await this.#unlock();
    }
  }

  /* ------------------------------------------------------------------------------------------------------------- */

  #enter(): void {
    if (this.#failure !== null) throw this.#failure;
    invariant(!this.#closed, () => 'the log is closed');
    invariant(!this.#appending, () => 'an append began while another one was under way');
    this.#appending = true;
  }

  /** Remembers an error after which nothing more may be written. */
  #failed(error: unknown): unknown {
    if (error instanceof WalError && (error.code === 'WAL_TOO_LARGE' || error.retryable)) return error;
    const failure = ioError('write', join(this.#directory, this.#tail.name), error);
    this.#failure ??= failure;
    return error instanceof InvariantError ? error : failure;
  }

  #settleInBackground(): void {
    if (this.#settling !== null || this.#rotating || this.#failure !== null || this.#closed) return;
    this.#settling = this.#settle()
      .catch((error: unknown) => {
        const failure = ioError('sync', join(this.#directory, this.#tail.name), error);
        this.#failure ??= failure;
        this.#onFailure(failure);
      })
      .finally(() => {
        this.#settling = null;
      });
  }

  /** Makes what was written durable, and then notes so in the ring. */
  async #settle(sealed = false): Promise<void> {
    const tail = this.#tail;
    const { batch, end } = tail;
    const last = this.#index.last;
    if (this.#identified >= batch && !sealed) return;
    if (this.#durable < batch) {
      await tail.file.sync();
      this.#durable = Math.max(this.#durable, batch);
    }
    await writeIdentifier(tail.file, tail.sequence, tail.slot, { batch, last, end, sealed });
    tail.slot = (tail.slot + 1) % RING_SLOTS;
    await tail.file.sync();
    this.#identified = Math.max(this.#identified, batch);
  }

  /**
   * Goes on in a new segment with room for a batch of `size` bytes. With a `base` the log begins anew after it, and the
   * old segments count no more from the moment the new one has its name.
   */
  async #rotate(to: { base: Position | null; size: number }): Promise<void> {
    this.#rotating = true;
    try {
      await this.#settling;
      if (this.#failure !== null) throw this.#failure;
      await this.#nextSegment(to);
    } finally {
      this.#rotating = false;
    }
  }

  async #nextSegment({ base, size }: { base: Position | null; size: number }): Promise<void> {
    const old = this.#tail;
    if (this.#durable < old.batch) {
      await old.file.sync();
      this.#durable = old.batch;
    }
    const head: SegmentHead = {
      sequence: old.sequence + 1,
      after: base ?? { index: this.#index.last, term: this.#index.lastTerm },
      batch: old.batch,
      chain: old.chain,
      begins: base !== null,
    };
    const { file, name, fileBytes } = await this.#newSegment(DATA_START + size, head);
    await this.#storage.syncDirectory(this.#directory);
    if (base === null) {
      await this.#settle(true);
    } else {
      this.#truncations += 1;
      this.#index.reset(base);
    }
    await old.file.close();
    this.#index.addSegment(head.sequence, name);
    const { sequence, batch, chain } = head;
    this.#tail = { sequence, name, fileBytes, end: DATA_START, batch, chain, file, slot: 0 };
    if (fileBytes === this.segmentBytes) this.#prepared = this.#prepare();
  }

  /**
   * A segment with its head and its name, and zeros up to at least `bytes`. All of this happens under a temporary name:
   * when it fails, the log on disk is what it was, and where only space was missing the caller may try again.
   */
  async #newSegment(
    bytes: number,
    head: SegmentHead,
  ): Promise<{ file: StorageFile; name: string; fileBytes: number }> {
    const large = bytes > this.segmentBytes;
    const fileBytes = large ? alignToSector(bytes) : this.segmentBytes;
    const temporary = large ? LARGE_NAME : PREPARED_NAME;
    const path = join(this.#directory, temporary);
    let file: StorageFile | null = null;
    try {
      file = (large ? null : await this.#prepared) ?? (await makeZeros(this.#storage, path, fileBytes));
      const prepared = { file, name: temporary };
      const name = await nameSegment(this.#storage, this.#directory, prepared, head, this.identity);
      return { file, name, fileBytes };
    } catch (error) {
      // Never again the same descriptor: a later sync of it would not tell of this failure.
      if (!large) this.#prepared = Promise.resolve(null);
      await file?.close();
      await this.#storage.remove(path).catch(() => undefined);
      throw nothingWritten(ioError('begin', path, error));
    }
  }

  /** Prepares the next segment. A failure is no harm yet: the next rotation tries again. */
  #prepare(): Promise<StorageFile | null> {
    const path = join(this.#directory, PREPARED_NAME);
    return makeZeros(this.#storage, path, this.segmentBytes).catch(() => null);
  }

  /** Finishes a snapshot's installation that a crash interrupted between its file and the log. */
  async #install(snapshot: SnapshotMeta, notes: string[]): Promise<void> {
    const { base, last } = this.#index;
    // It came from a leader in whose term this node can't have voted if it had not heard of that term.
    if (snapshot.term > this.#hardState.state.term)
      await this.#hardState.write({ ...this.#hardState.state, term: asTerm(snapshot.term), vote: null });
    await this.#reset({ index: snapshot.index, term: snapshot.term });
    notes.push(
      `the log of ${base.index + 1} to ${last} gave way to the snapshot at ${snapshot.index}, received before`,
    );
  }
}

/**
 * Cuts an unsound end of the log. Where the node may have acknowledged what is cut, it first notes durably that it must
 * recover: a crash in between leaves the doubt, never a shorter log without it.
 */
async function mendEnd(
  storage: Storage,
  directory: string,
  file: StorageFile,
  rule: TailRule | null,
  log: ReplayedLog,
  hardState: HardStateFiles,
  notes: string[],
): Promise<Ring> {
  const { end, ring } = log;
  const { last } = log.index;
  if (rule?.verdict === 'recover') {
    await hardState.write({ ...hardState.state, recovering: true });
    const cut = await cutEnd(storage, directory, file, log, 'lost');
    // A batch that replaced others may be gone without the log being shorter for it.
    const gone =
      end.promised === null || end.promised <= last ? 'written last' : `${last + 1} to ${end.promised}`;
    notes.push(
      `${cut.done}. ${end.what}: ${rule.because}. Entries ${gone}, which this node may have acknowledged, are gone here: ` +
        'it gives no vote and does not campaign until it has caught up with a leader. Check the disk.',
    );
    return cut.ring;
  }
  if (hardState.state.recovering)
    notes.push('this node is still recovering: no vote and no campaign until it has caught up with a leader');
  if (rule?.verdict !== 'truncate') return ring;
  const cut = await cutEnd(storage, directory, file, log, 'torn');
  notes.push(`${cut.done}: a torn write after entry ${last}, which nobody was told of`);
  return cut.ring;
}

function soundOf(found: readonly FoundSnapshot[]): SnapshotMeta[] {
  return found.flatMap(({ meta }) => (meta === null ? [] : [meta]));
}

/** Checks and completes the setting. */
function segmentBytesOf({ segmentBytes = SEGMENT_BYTES_DEFAULT }: WalOptions): number {
  if (
    !Number.isSafeInteger(segmentBytes) ||
    segmentBytes < SEGMENT_BYTES_MIN ||
    segmentBytes > BATCH_BYTES_MAX
  ) {
    throw new RangeError(
      `segmentBytes is ${segmentBytes}; it must be between ${SEGMENT_BYTES_MIN} and ${BATCH_BYTES_MAX}`,
    );
  }
  return alignToSector(segmentBytes);
}

/**
 * Writes the end of the log once more, from the newest identifier on, and syncs: after a failed sync the kernel may
 * show bytes as written that the disk does not have, and only a new write makes it try again. The same bytes in the
 * same sectors, so a crash in the middle does no harm.
 */
async function confirmTail(tail: Tail, from: number): Promise<void> {
  if (tail.end <= from) return;
  await tail.file.write([await readExactly(tail.file, from, tail.end)], from);
  await tail.file.sync();
}

async function removeUnfinished(storage: Storage, directory: string): Promise<void> {
  for (const name of await storage.list(directory)) {
    if (name.endsWith('.tmp') || name.endsWith('.part')) await storage.remove(join(directory, name));
  }
}
