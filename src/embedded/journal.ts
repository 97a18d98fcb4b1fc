/**
 * What makes a store durable: the log and the snapshots of a directory, the same as a cluster's node has, with one owner and
 * no elections. An entry of the log is what was written without an `await` in between; entries that come while the disk
 * is at work go to it together.
 *
 * A log entry and a snapshot stand at an index. Every turn with writes takes the next one, also where nothing is logged, so
 * that a snapshot says what it holds.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asIndex, asTerm, type Entry, EntryType, type SnapshotMeta } from '../raft/types.ts';
import { FormatError } from '../store/bytes.ts';
import type { Store as StateMachine } from '../store/store.ts';
import { snapshotName } from '../wal/snapshots.ts';
import { CorruptError } from '../wal/errors.ts';
import { IDENTITY_FILE } from '../wal/identity.ts';
import { isOurs } from '../wal/setup.ts';
import { Wal, WalError } from '../wal/wal.ts';
import { StoreError } from './errors.ts';
import type { Settings } from './options.ts';
import { decodeAll, standingAt } from './snapshot-file.ts';

const IDENTITY = { clusterId: 'embedded', nodeId: 'store', group: 'embedded' };
/** The group of all snapshots of the library. */
export const GROUP: string = IDENTITY.group;
const TERM = asTerm(1);
/** A store in a program is often small, and its directory should be. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** Log that is read at once when a store opens. */
const REPLAY_BYTES = 8 * 1024 * 1024;
/** Bytes that may wait for the disk. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;

/** A finished snapshot in the directory. */
export interface DirectorySnapshot {
  readonly path: string;
  readonly bytes: number;
}

export class Journal {
  readonly #wal: Wal;
  readonly #directory: string;
  readonly #logs: boolean;
  readonly #keep: number;
  #queue: Entry[] = [];
  #queueBytes = 0;
  /** What was logged since the last snapshot, and how large that one was. */
  bytesSinceSnapshot = 0;
  lastSnapshotBytes: number;
  /** The disk's work under way. */
  #work: Promise<void> | null = null;
  #failure: StoreError | null = null;

  private constructor(wal: Wal, directory: string, settings: Settings, snapshot: SnapshotMeta | null) {
    this.#wal = wal;
    this.#directory = directory;
    this.#logs = settings.persistence !== 'snapshot';
    this.#keep = settings.keepSnapshots;
    this.lastSnapshotBytes = snapshot?.bytes ?? 0;
  }

  /** Opens the directory and brings the state machine to where it stood. */
  static async open(directory: string, settings: Settings, machine: StateMachine): Promise<Journal> {
    let journal: Journal | null = null;
    const opened = await Wal.open({
      directory,
      fsync: settings.sync,
      fsyncIntervalMs: settings.syncInterval,
      segmentBytes: SEGMENT_BYTES,
      identity: IDENTITY,
      acceptLoss: settings.acceptLoss,
      bootstrap: { hardState: { term: TERM, vote: null, recovering: false }, entries: [] },
      onFailure: (error) => journal?.fail(error),
    }).catch((error: unknown) => {
      if (error instanceof WalError && error.code === 'WAL_FOREIGN')
        throw new StoreError(
          'INVALID_OPTION',
          `option directory: ${directory} is the data directory of a server; expected another one, for the library alone. kvorum export and import take data over`,
          error,
        );
      // Most often it is no disk: a file in the place of a directory, or somebody else's.
      if (error instanceof WalError && error.code === 'WAL_IO')
        throw new StoreError('DISK', `${directory} can't be opened: ${error.message}`, error);
      throw refusal(directory, error);
    });
    const { wal, recovered, notes } = opened;
    try {
      if (recovered.hardState.recovering && !settings.acceptLoss)
        throw new StoreError(
          'DAMAGED',
          `${directory}: the end of the log was damaged, and writes that were acknowledged are gone: ${notes.join('; ')}. ` +
            'Restore the directory from a copy, or open it with `acceptLoss: true` to go on with what is left',
        );
      const { snapshot } = recovered;
      if (snapshot !== null) {
        const reader = await wal.openSnapshot(snapshot);
        try {
          await decodeAll(machine.beginRestore(), reader);
        } finally {
          await reader.close();
        }
      }
      if (recovered.hardState.recovering)
        await wal.append({
          hardState: { ...recovered.hardState, recovering: false },
          entries: [],
          commit: wal.lastIndex,
        });
      journal = new Journal(wal, directory, settings, snapshot);
      await journal.#replay(machine);
      return journal;
    } catch (error) {
      await wal.close();
      throw refusal(directory, error);
    }
  }

  async #replay(machine: StateMachine): Promise<void> {
    let next = Math.max(machine.appliedIndex + 1, this.#wal.firstIndex);
    while (next <= this.#wal.lastIndex) {
      const entries = await this.#wal.read(asIndex(next), this.#wal.lastIndex, REPLAY_BYTES);
      for (const { index, payload } of entries) {
        machine.applyBatch(index, payload);
        this.bytesSinceSnapshot += payload.length;
      }
      next += entries.length;
    }
  }

  /** Throws what makes further writes impossible, or would make too many of them wait. `open`: bytes of the entry of this turn. */
  check(open: number = 0): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#queueBytes + open > WAITING_BYTES_MAX)
      throw new StoreError(
        'BUSY',
        `${this.#queueBytes + open} bytes wait for the disk, at most ${WAITING_BYTES_MAX} may; wait for the promises of earlier writes`,
      );
  }

  /** Takes what was written in one turn; resolves when it is as durable as `sync` asks. */
  append(index: number, payload: Uint8Array): Promise<void> {
    if (!this.#logs) return Promise.resolve();
    this.#queue.push({ index: asIndex(index), term: TERM, type: EntryType.batch, payload });
    this.#queueBytes += payload.length;
    this.bytesSinceSnapshot += payload.length;
    return this.flush();
  }

  /** Resolves when everything that was handed over is as durable as `sync` asks. */
  async flush(): Promise<void> {
    // What waits goes with the next write, which begins when the one under way has ended.
    while (this.#queue.length > 0 || this.#work !== null) {
      const last = this.#queue.length > 0 ? this.#queue.at(-1) : null;
      this.#work ??= this.#write().finally(() => {
        this.#work = null;
      });
      await this.#work;
      if (last === null || last === undefined || this.#wal.lastIndex >= last.index) break;
    }
    if (this.#failure !== null) throw this.#failure;
  }

  async #write(): Promise<void> {
    const entries = this.#queue;
    this.#queue = [];
    try {
      if (this.#failure === null && entries.length > 0)
        await this.#wal.append({ hardState: null, entries, commit: this.#wal.lastIndex });
    } catch (error) {
      this.fail(error);
    } finally {
      for (const { payload } of entries) this.#queueBytes -= payload.length;
    }
  }

  /** After this nothing more is taken: what the disk holds is not known until the directory is opened again. */
  fail(error: unknown): StoreError {
    this.#failure ??= new StoreError(
      'DISK',
      `${this.#directory}: the disk failed: ${String(error)}; close the store and open it again`,
      error,
    );
    return this.#failure;
  }

  /** One has failed: the next is due when the log has grown as much again, not with every write. */
  snapshotLater(): void {
    this.bytesSinceSnapshot = 0;
  }

  /** Writes a snapshot of what `blocks` tell, as the store stood at `index`, and lets the log before it go. */
  async snapshot(index: number, blocks: AsyncIterable<Uint8Array>): Promise<DirectorySnapshot> {
    try {
      return await this.#snapshot(index, blocks);
    } catch (error) {
      throw refusal(this.#directory, error);
    }
  }

  async #snapshot(index: number, blocks: AsyncIterable<Uint8Array>): Promise<DirectorySnapshot> {
    const since = this.bytesSinceSnapshot;
    const writer = await this.#wal.createSnapshot(standingAt(index));
    let meta: SnapshotMeta;
    try {
      for await (const block of blocks) await writer.write(block);
      meta = await writer.finish();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    if (this.#logs) {
      await this.flush();
      await this.#wal.compact(asIndex(Math.min(index, this.#wal.lastIndex)));
    } else {
      await this.#wal.resetToSnapshot(meta);
    }
    await this.#wal.purgeSnapshots(this.#keep);
    this.bytesSinceSnapshot = Math.max(0, this.bytesSinceSnapshot - since);
    this.lastSnapshotBytes = meta.bytes;
    return { path: join(this.#directory, snapshotName(meta)), bytes: meta.bytes };
  }

  /** The same for a state that comes from elsewhere: the log begins anew behind it. Nothing may be written meanwhile. */
  async replace(index: number, blocks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.flush();
    const writer = await this.#wal.createSnapshot(standingAt(index));
    try {
      for await (const block of blocks) await writer.write(block);
    } catch (error) {
      await writer.abort();
      throw error;
    }
    try {
      const meta = await writer.finish();
      await this.#wal.resetToSnapshot(meta);
      await this.#wal.purgeSnapshots(this.#keep);
      this.bytesSinceSnapshot = 0;
      this.lastSnapshotBytes = meta.bytes;
    } catch (error) {
      // The next start may find the snapshot: nothing must be acknowledged that it would take away.
      throw this.fail(error);
    }
  }

  async close(): Promise<void> {
    await this.flush().catch(() => undefined);
    await this.#wal.close().catch((error: unknown) => this.fail(error));
    if (this.#failure !== null) throw this.#failure;
  }
}

/** Whether there is something of a store in the directory, or of a server. */
export async function holdsData(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(() => []);
  return names.some((name) => name === IDENTITY_FILE || isOurs(name));
}

/** What the log says of a directory or a file, in the library's words: its own remedies are those of a cluster. */
export function refusal(path: string, error: unknown): unknown {
  if (error instanceof CorruptError) {
    const remedy = error.evidence.includes('[nobody to ask]')
      ? ', or open it with `acceptLoss: true` to go on with what is left'
      : '';
    return new StoreError(
      'DAMAGED',
      `${error.file} is damaged: ${error.evidence}. Nothing was changed; go on with a copy from before${remedy}`,
      error,
    );
  }
  if (error instanceof FormatError)
    return new StoreError('DAMAGED', `${path} is damaged: ${error.message}. Nothing was changed`, error);
  if (!(error instanceof WalError)) return error;
  switch (error.code) {
    case 'WAL_LOCKED':
      return new StoreError(
        'LOCKED',
        `${path} is open already, here or in another process; close it there first`,
        error,
      );
    case 'WAL_CORRUPT':
      return new StoreError('DAMAGED', `${path} is damaged: ${error.message}`, error);
    default:
      return new StoreError('DISK', `${path}: the disk failed: ${error.message}`, error);
  }
}
