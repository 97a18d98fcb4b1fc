/**
 * Snapshots between the store, the disk and the other nodes: when to take one, and how to write, fetch and restore
 * it in slices, so that the event loop is never held for long.
 */
import type { Logger } from 'pino';
import { asIndex, type Index, type NodeId, type SnapshotMeta, type Term } from '../raft/types.ts';
import type { SnapshotEncoder } from '../store/snapshot.ts';
import type { Store } from '../store/store.ts';
import type { Transport } from '../transport/transport.ts';
import { CorruptError, type SnapshotId, type Wal, WalError } from '../wal/wal.ts';
import type { Clock } from './clock.ts';

/** What is encoded in one go; at about 250 MB/s a slice of it holds the loop for a millisecond. */
const SLICE_BYTES = 256 * 1024;
/** Of the entries between two snapshots, this part stays in the log for members that were away only shortly. */
const KEPT_TAIL_SHARE = 0.5;

/** Where a snapshot of the applied state would stand. */
export interface AppliedState {
  readonly index: Index;
  readonly term: Term;
  readonly configuration: SnapshotMeta['configuration'];
  readonly configurationIndex: Index;
}

/** A snapshot on its way to the disk. */
interface Taking {
  readonly encoder: SnapshotEncoder;
  aborted: boolean;
}

export class Snapshotter {
  readonly #store: Store;
  readonly #wal: Wal;
  readonly #peers: Pick<Transport, 'fetchSnapshot'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  readonly #onDamaged: () => void;
  #entriesSince = 0;
  #bytesSince = 0;
  /** Bytes of entries since the last snapshot that is on the disk. */
  #bytesUncovered = 0;
  /** After a snapshot that found no room: how much there has to be before one is tried for the sake of room. */
  #roomNeeded = 0;
  /** The snapshot that this node took or restored last. */
  #last: Pick<SnapshotMeta, 'index' | 'bytes'>;
  /** It could not be read when another node asked for it: a newer one is due. */
  #damaged = false;
  /** The snapshot being taken; restoring another one ends it. */
  #taking: Taking | null = null;
  #fetching: AbortController | null = null;
  /** What was said last of a fetch that failed; the leader offers its snapshot again several times a second. */
  #fetchProblem: string | null = null;

  constructor(options: {
    store: Store;
    wal: Wal;
    peers: Pick<Transport, 'fetchSnapshot'>;
    clock: Clock;
    logger: Logger;
    entries: number;
    bytes: number;
    /** Where the store stands; null for an empty one. */
    snapshot: Pick<SnapshotMeta, 'index' | 'bytes'> | null;
    /** Another node can't have the snapshot of this one, and a newer one needs a newer entry. */
    onDamaged: () => void;
  }) {
    this.#store = options.store;
    this.#wal = options.wal;
    this.#peers = options.peers;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#entriesMax = options.entries;
    this.#bytesMax = options.bytes;
    this.#last = options.snapshot ?? { index: asIndex(0), bytes: 0 };
    this.#onDamaged = options.onDamaged;
  }

  /** Counts an applied entry. */
  applied(bytes: number): void {
    this.#entriesSince += 1;
    this.#bytesSince += bytes;
    this.#bytesUncovered += bytes;
  }

  /** Whether it is time for a snapshot and none is under way. `freeBytes`: of a disk that is nearly full, otherwise `null`. */
  isDue(freeBytes: number | null): boolean {
    if (this.#taking !== null) return false;
    if (this.#damaged && this.#store.appliedIndex > this.#last.index) return true;
    if (freeBytes !== null && this.#makesRoom(freeBytes)) return true;
    // A state larger than the limit has its limits grow with it: so the disk writes at most as much for snapshots as it
    // does for the log, however much the nodes hold.
    const growth = Math.max(1, this.#last.bytes / this.#bytesMax);
    return this.#entriesSince >= this.#entriesMax * growth || this.#bytesSince >= this.#bytesMax * growth;
  }

  /** Without it a node could wait for ever for space that its own log takes. */
  #makesRoom(freeBytes: number): boolean {
    const { segmentBytes } = this.#wal;
    const needed = Math.max(this.#store.bytes + segmentBytes, this.#roomNeeded);
    return this.#bytesUncovered >= segmentBytes && needed <= freeBytes;
  }

  /**
   * Writes a snapshot of the state as it is now, while later entries are applied. Resolves to what it covers and how
   * far the log may be compacted, or to null when a restore made it pointless or the disk has no room for it.
   * `freeBytes`: of a disk that is nearly full, otherwise `null`.
   */
  async take(
    state: AppliedState,
    freeBytes: number | null,
  ): Promise<{ snapshot: SnapshotMeta; compactTo: Index } | null> {
    const taking: Taking = { encoder: this.#store.startSnapshot(), aborted: false };
    this.#taking = taking;
    // Should this one fail, too, the next node that asks is the reason for another.
    this.#damaged = false;
    const uncovered = this.#bytesUncovered;
    const keep = freeBytes !== null ? 0 : Math.floor(this.#entriesSince * KEPT_TAIL_SHARE);
    this.#entriesSince = 0;
    this.#bytesSince = 0;
    const startedAt = this.#clock.monotonic();
    try {
      const snapshot = await this.#write(state, taking);
      if (snapshot === null) return null;
      this.#last = snapshot;
      this.#bytesUncovered -= uncovered;
      this.#roomNeeded = 0;
      this.#damaged = false;
      const ms = Math.round(this.#clock.monotonic() - startedAt);
      this.#logger.info({ index: snapshot.index, bytes: snapshot.bytes, ms }, 'snapshot taken');
      return { snapshot, compactTo: asIndex(Math.max(0, snapshot.index - keep)) };
    } catch (error) {
      // The log still holds everything, and says so itself when it has no room either.
      if (!(error instanceof WalError) || error.code !== 'WAL_FULL') throw error;
      this.#roomNeeded = (freeBytes ?? 0) + this.#wal.segmentBytes;
      this.#logger.error({ index: state.index }, `no snapshot, the log grows on: ${error.message}`);
      return null;
    } finally {
      taking.encoder.cancel();
      if (this.#taking === taking) this.#taking = null;
    }
  }

  /** Null when it was given up. A file that is not finished is removed. */
  async #write(state: AppliedState, taking: Taking): Promise<SnapshotMeta | null> {
    const writer = await this.#wal.createSnapshot(state);
    try {
      while (!taking.aborted) {
        const block = taking.encoder.next(SLICE_BYTES);
        if (block === null) return await writer.finish();
        await writer.write(block);
        await nextTurn(this.#clock);
      }
    } catch (error) {
      await writer.abort();
      throw error;
    }
    await writer.abort();
    return null;
  }

  /** Replaces the store's content by a snapshot on this node's disk. */
  async restore(snapshot: SnapshotMeta): Promise<void> {
    this.#abortTaking();
    await restoreStore(this.#store, this.#wal, snapshot, this.#clock);
    this.#entriesSince = 0;
    this.#bytesSince = 0;
    this.#bytesUncovered = 0;
    this.#last = snapshot;
    this.#damaged = false;
    this.#logger.info(
      { index: snapshot.index, bytes: snapshot.bytes, keys: this.#store.size },
      'snapshot restored',
    );
  }

  /** The bytes of a snapshot's file for another node, from `offset` on; `null` when it is not (or no longer) here. */
  pieces(id: SnapshotId, offset: number): AsyncGenerator<Buffer, void, void> | null {
    const pieces = this.#wal.snapshotPieces(id, offset);
    return pieces === null ? null : this.#noticeDamage(id, pieces);
  }

  async *#noticeDamage(
    { index }: SnapshotId,
    pieces: AsyncGenerator<Buffer, void, void>,
  ): AsyncGenerator<Buffer, void, void> {
    try {
      yield* pieces;
    } catch (error) {
      // An older one is of no use any more, and may have been removed before it was read.
      if (index < this.#last.index) throw error;
      const problem = error instanceof CorruptError ? error.what : String(error);
      // Whoever does not get it asks again at once.
      if (!this.#damaged)
        this.#logger.error({ index, error: problem }, 'this snapshot is damaged; a new one takes its place');
      this.#damaged = true;
      this.#onDamaged();
      throw error;
    }
  }

  /** Gets a snapshot's file from another node; resolves when it is durable here. A newer fetch ends an older one. */
  async fetch(from: NodeId, snapshot: SnapshotMeta): Promise<void> {
    this.#fetching?.abort();
    const aborted = new AbortController();
    this.#fetching = aborted;
    try {
      const receiver = await this.#wal.receiveSnapshot(snapshot);
      if (this.#fetchProblem === null)
        this.#logger.info(
          { from, index: snapshot.index, bytes: snapshot.bytes, offset: receiver.offset },
          'fetching snapshot',
        );
      try {
        await this.#peers.fetchSnapshot(from, snapshot, receiver, aborted.signal);
        await receiver.finish();
        this.#fetchProblem = null;
      } catch (error) {
        await receiver.suspend();
        throw error;
      }
    } catch (error) {
      const problem = String(error);
      if (problem !== this.#fetchProblem)
        this.#logger.warn({ from, index: snapshot.index, error: problem }, 'snapshot could not be fetched');
      this.#fetchProblem = problem;
      throw error;
    } finally {
      if (this.#fetching === aborted) this.#fetching = null;
    }
  }

  /** Ends whatever is under way. */
  stop(): void {
    this.#abortTaking();
    this.#fetching?.abort();
  }

  #abortTaking(): void {
    if (this.#taking === null) return;
    this.#taking.aborted = true;
    this.#taking.encoder.cancel();
    this.#taking = null;
  }
}

/** Replaces the store's content by a snapshot on this node's disk, block by block. */
export async function restoreStore(
  store: Store,
  wal: Wal,
  snapshot: SnapshotMeta,
  clock: Clock,
): Promise<void> {
  const decoder = store.beginRestore();
  const reader = await wal.openSnapshot(snapshot);
  try {
    for await (const block of reader) {
      decoder.push(block);
      await nextTurn(clock);
    }
  } finally {
    await reader.close();
  }
  decoder.finish();
}

function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve));
}
