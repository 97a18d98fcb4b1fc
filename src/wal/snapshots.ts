/**
 * The snapshot files of one directory: taking, reading, sending, receiving and removing them. A finished file never
 * changes; its name tells its index and checksum.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { invariant, type SnapshotMeta } from '../raft/types.ts';
import { corrupt, CorruptError, ioError, isMissing, WalError } from './errors.ts';
import {
  readBlocks,
  readFooter,
  SnapshotEncoder,
  verifySnapshot,
  type SnapshotState,
} from './snapshot-file.ts';
import { readExactly, type Storage, type StorageFile } from './storage.ts';

/** Bytes of one piece of a file that is sent. */
const PIECE_BYTES = 256 * 1024;
const NAME = /^snapshot-(\d{16})-([0-9a-f]{8})\.snap$/;

/** What names a finished file. */
export type SnapshotId = Pick<SnapshotMeta, 'index' | 'checksum'>;

/** A snapshot that is being taken. Exactly one of `finish` and `abort` ends it. */
export interface SnapshotWriter {
  /** Takes the next block; `block` may be used again when this resolves. */
  write(block: Uint8Array): Promise<void>;
  /** Durable under its final name when this resolves. */
  finish(): Promise<SnapshotMeta>;
  abort(): Promise<void>;
}

/** The blocks of a snapshot, each checked; throws `WAL_CORRUPT` where one is damaged. */
export interface SnapshotReader extends AsyncIterable<Buffer> {
  close(): Promise<void>;
}

/** A snapshot that comes from another node. */
export interface SnapshotReceiver {
  /** How many bytes of the file are here. */
  readonly offset: number;
  /** Takes the bytes from `offset` on. Rejects with `WAL_TRANSFER` when the file would become too long. */
  write(chunk: Uint8Array): Promise<void>;
  /** Checks the whole file and makes it durable. Rejects with `WAL_TRANSFER`, and forgets the bytes, when it is wrong. */
  finish(): Promise<void>;
  /** Stops here; a later `receiveSnapshot` of the same file by this process goes on from `offset`. */
  suspend(): Promise<void>;
  /** Forgets what came. */
  abort(): Promise<void>;
}

export function snapshotName({ index, checksum }: SnapshotId): string {
  return `snapshot-${String(index).padStart(16, '0')}-${checksum.toString(16).padStart(8, '0')}.snap`;
}

/** A finished file as it was found. */
export type FoundSnapshot = { readonly name: string; readonly bytes: number } & (
  | { readonly meta: SnapshotMeta }
  | { readonly meta: null; readonly error: CorruptError }
);

/** Reads and checks every finished file, oldest first. Changes nothing. Throws `WAL_FORMAT` or `WAL_IO`. */
export async function readSnapshots(storage: Storage, directory: string): Promise<FoundSnapshot[]> {
  const names = (await storage.list(directory)).filter((name) => NAME.test(name)).sort();
  const found: FoundSnapshot[] = [];
  for (const name of names) found.push(await readSnapshot(storage, directory, name));
  return found;
}

async function readSnapshot(storage: Storage, directory: string, name: string): Promise<FoundSnapshot> {
  const path = join(directory, name);
  const file = await storage.open(path, 'read').catch((error: unknown) => {
    throw ioError('open', path, error);
  });
  try {
    await file.sync();
    const bytes = await file.size();
    try {
      const meta = await verifySnapshot(file, path);
      if (snapshotName(meta) === name) return { name, bytes, meta };
      throw corrupt(path, 0, `the content is that of ${snapshotName(meta)}`, 'a snapshot');
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      return { name, bytes, meta: null, error };
    }
  } catch (error) {
    throw ioError('read', path, error);
  } finally {
    await file.close();
  }
}

/** What a transfer that was broken off has received: the running checksum makes that it can only go on in order. */
interface Received {
  readonly meta: SnapshotMeta;
  offset: number;
  checksum: number;
}

export class Snapshots {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #group: string;
  /** Finished files, oldest first. */
  #files: SnapshotMeta[];
  /** How many are reading a file, by name. */
  readonly #inUse = new Map<string, number>();
  #temporaries = 0;
  #received: Received | null = null;
  #receiver: Receiver | null = null;

  /** `found`: the sound files, as {@link readSnapshots} gives them. */
  constructor(storage: Storage, directory: string, group: string, found: readonly SnapshotMeta[]) {
    this.#storage = storage;
    this.#directory = directory;
    this.#group = group;
    this.#files = [...found];
  }

  /** Puts a damaged file aside, durably. */
  async setAside(name: string): Promise<string> {
    const aside = `${name}.damaged`;
    await this.#storage.rename(this.#path(name), this.#path(aside));
    await this.#storage.syncDirectory(this.#directory);
    return aside;
  }

  /** Begins a snapshot file. */
  async create(state: SnapshotState): Promise<SnapshotWriter> {
    this.#temporaries += 1;
    const name = `snapshot-${this.#temporaries}.tmp`;
    const path = this.#path(name);
    const file = await this.#storage.open(path, 'create').catch((error: unknown) => {
      throw ioError('create', path, error);
    });
    const encoder = new SnapshotEncoder();
    const put = async (buffers: readonly Uint8Array[], offset: number): Promise<void> => {
      try {
        await file.write(buffers, offset);
      } catch (error) {
        throw ioError('write', path, error);
      }
    };
    await put(encoder.head(this.#group), 0);
    return {
      write: (block) => {
        const at = encoder.bytes;
        return put(encoder.block(block), at);
      },
      finish: async () => {
        const at = encoder.bytes;
        const { buffers, meta } = encoder.footer(state);
        await put(buffers, at);
        await this.#publish(file, name, meta);
        return meta;
      },
      abort: async () => {
        await file.close();
        await this.#remove(name);
      },
    };
  }

  /** Gives a complete temporary file its final name, durably. */
  async #publish(file: StorageFile, name: string, meta: SnapshotMeta): Promise<void> {
    const path = this.#path(name);
    try {
      await file.sync();
      await file.close();
      await this.#storage.rename(path, this.#path(snapshotName(meta)));
      await this.#storage.syncDirectory(this.#directory);
    } catch (error) {
      throw ioError('publish', path, error);
    }
    this.#files = this.#files.filter((other) => snapshotName(other) !== snapshotName(meta));
    this.#files.push(meta);
    this.#files.sort((a, b) => a.index - b.index);
  }

  has(id: SnapshotId): boolean {
    return this.#files.some((meta) => snapshotName(meta) === snapshotName(id));
  }

  async open(id: SnapshotId): Promise<SnapshotReader> {
    const name = snapshotName(id);
    const release = this.#hold(name);
    try {
      const file = await this.#open(name);
      const { blocksEnd } = await readFooter(file, this.#path(name));
      let open = true;
      return {
        [Symbol.asyncIterator]: () => readBlocks(file, this.#path(name), blocksEnd),
        close: async () => {
          if (!open) return;
          open = false;
          release();
          await file.close();
        },
      };
    } catch (error) {
      release();
      throw ioError('read', this.#path(name), error);
    }
  }

  /**
   * The bytes of a finished file from `offset` on; `null` when it is not (or no longer) here. Throws `WAL_CORRUPT` instead of the
   * last piece of a whole file that has changed on the disk, and `WAL_IO`.
   */
  pieces(id: SnapshotId, offset: number): AsyncGenerator<Buffer, void, void> | null {
    return this.has(id) ? this.#pieces(id, offset) : null;
  }

  async *#pieces(id: SnapshotId, offset: number): AsyncGenerator<Buffer, void, void> {
    const name = snapshotName(id);
    const path = this.#path(name);
    const release = this.#hold(name);
    let file: StorageFile | null = null;
    let checksum = 0;
    try {
      file = await this.#open(name);
      const size = await file.size();
      for (let at = offset; at < size; at += PIECE_BYTES) {
        const piece = await readExactly(file, at, Math.min(size, at + PIECE_BYTES));
        checksum = crc32(piece, checksum);
        // Before the last piece: whoever has that one asks for nothing more. A transfer that goes on in the middle can't know.
        if (offset === 0 && at + piece.length === size && checksum !== id.checksum)
          throw corrupt(path, 0, 'the content has changed since it was written', 'a snapshot');
        yield piece;
      }
    } catch (error) {
      throw ioError('read', path, error);
    } finally {
      release();
      await file?.close();
    }
  }

  /** Begins or goes on with the transfer of a file. An earlier one that is still open is suspended. */
  async receive(meta: SnapshotMeta): Promise<SnapshotReceiver> {
    await this.#receiver?.suspend();
    if (this.has(meta)) return new Present(meta.bytes);
    const name = partName(meta);
    const resumes = this.#received !== null && partName(this.#received.meta) === name;
    if (!resumes && this.#received !== null) {
      await this.#remove(partName(this.#received.meta));
      this.#received = null;
    }
    const received = (resumes ? this.#received : null) ?? { meta, offset: 0, checksum: 0 };
    const path = this.#path(name);
    const file = await this.#storage.open(path, resumes ? 'update' : 'create').catch((error: unknown) => {
      throw ioError('open', path, error);
    });
    this.#received = received;
    this.#receiver = new Receiver(file, path, received, {
      complete: async () => {
        // After a failed sync nobody knows what of the file is on the disk, and another sync would not tell either: what has
        // come is given up, and comes again into a new file.
        this.#received = null;
        try {
          await this.#publish(file, name, meta);
        } catch (error) {
          await file.close().catch(() => undefined);
          await this.#remove(name).catch(() => undefined);
          throw error;
        }
      },
      discard: async () => {
        await this.#remove(name);
        this.#received = null;
      },
    });
    return this.#receiver;
  }

  /** Removes all but the newest `keep` files, except those in use. */
  async purge(keep: number): Promise<void> {
    invariant(keep >= 1, () => `purge down to ${keep} snapshots`);
    const old = this.#files.slice(0, -keep).filter((meta) => !this.#inUse.has(snapshotName(meta)));
    if (old.length === 0) return;
    // First forgotten, then removed: nobody can begin to read a file that is about to go.
    this.#files = this.#files.filter((meta) => !old.includes(meta));
    for (const meta of old) await this.#remove(snapshotName(meta));
    try {
      await this.#storage.syncDirectory(this.#directory);
    } catch (error) {
      throw ioError('sync', this.#directory, error);
    }
  }

  #open(name: string): Promise<StorageFile> {
    return this.#storage.open(this.#path(name), 'read');
  }

  async #remove(name: string): Promise<void> {
    try {
      await this.#storage.remove(this.#path(name));
    } catch (error) {
      if (!isMissing(error)) throw ioError('remove', this.#path(name), error);
    }
  }

  #hold(name: string): () => void {
    this.#inUse.set(name, (this.#inUse.get(name) ?? 0) + 1);
    return () => {
      const users = (this.#inUse.get(name) ?? 1) - 1;
      if (users === 0) this.#inUse.delete(name);
      else this.#inUse.set(name, users);
    };
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

function partName(id: SnapshotId): string {
  return snapshotName(id).replace('.snap', '.part');
}

class Receiver implements SnapshotReceiver {
  readonly #file: StorageFile;
  readonly #path: string;
  readonly #received: Received;
  readonly #then: { complete(): Promise<void>; discard(): Promise<void> };
  #open = true;
  /** The write under way: a suspended transfer must not write any more when the next one begins. */
  #writing: Promise<void> = Promise.resolve();

  constructor(
    file: StorageFile,
    path: string,
    received: Received,
    then: { complete(): Promise<void>; discard(): Promise<void> },
  ) {
    this.#file = file;
    this.#path = path;
    this.#received = received;
    this.#then = then;
  }

  get offset(): number {
    return this.#received.offset;
  }

  write(chunk: Uint8Array): Promise<void> {
    const writing = this.#write(chunk);
    this.#writing = writing.catch(() => undefined);
    return writing;
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (!this.#open) throw new WalError('WAL_TRANSFER', `${this.#path}: another transfer has taken over`);
    const { meta, offset } = this.#received;
    if (offset + chunk.length > meta.bytes) {
      throw new WalError('WAL_TRANSFER', `${this.#path}: more than the announced ${meta.bytes} bytes came`);
    }
    try {
      await this.#file.write([chunk], offset);
    } catch (error) {
      throw ioError('write', this.#path, error);
    }
    this.#received.checksum = crc32(chunk, this.#received.checksum);
    this.#received.offset += chunk.length;
  }

  async finish(): Promise<void> {
    if (!this.#open) throw new WalError('WAL_TRANSFER', `${this.#path}: the transfer was suspended`);
    const { meta, offset, checksum } = this.#received;
    const wrong =
      offset === meta.bytes && checksum === meta.checksum ? await this.#mismatch() : 'checksum or length';
    if (wrong !== null) {
      await this.abort();
      throw new WalError(
        'WAL_TRANSFER',
        `${this.#path}: ${wrong} differs from what was announced; fetch it again`,
      );
    }
    this.#open = false;
    await this.#then.complete();
  }

  /** What the footer says otherwise than the announcement; the bytes are known to be the sender's. */
  async #mismatch(): Promise<string | null> {
    const { meta } = this.#received;
    const found = await readFooter(this.#file, this.#path).catch((error: unknown) => String(error));
    if (typeof found === 'string') return found;
    return found.meta.index === meta.index && found.meta.term === meta.term ? null : 'index or term';
  }

  async suspend(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#writing;
    await this.#file.close();
  }

  async abort(): Promise<void> {
    if (!this.#open) return;
    await this.suspend();
    await this.#then.discard();
  }
}

/** The transfer of a file that is already here. */
class Present implements SnapshotReceiver {
  readonly offset: number;

  constructor(offset: number) {
    this.offset = offset;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (chunk.length > 0) throw new WalError('WAL_TRANSFER', 'the snapshot is complete already');
  }

  async finish(): Promise<void> {}
  async suspend(): Promise<void> {}
  async abort(): Promise<void> {}
}
