/**
 * A file system in memory that loses power. What was written but not synced survives a power loss sector by sector,
 * what was done to a directory but not synced survives change by change, each as `survives` decides. It can also stop
 * the process at any operation, fail an operation, and change bytes behind the log's back.
 */
import { type OpenMode, SECTOR_BYTES, type Storage, type StorageFile } from '../../../src/wal/storage.ts';
import { WalError } from '../../../src/wal/errors.ts';

/** Thrown by the operation at which the process stops, and by all after it. */
export class Stopped extends Error {}

class Inode {
  content: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  readonly dirty: Set<number> = new Set();

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (end > this.content.length)
      this.content = Buffer.concat([this.content, Buffer.alloc(end - this.content.length)]);
    this.content.set(bytes, position);
    for (let at = Math.floor(position / SECTOR_BYTES); at * SECTOR_BYTES < end; at += 1) this.dirty.add(at);
  }

  sync(): void {
    if (this.durable.length !== this.content.length) {
      this.durable = Buffer.from(this.content);
    } else {
      for (const at of this.dirty)
        this.content.copy(this.durable, at * SECTOR_BYTES, at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES);
    }
    this.dirty.clear();
  }

  /** Sectors that do not survive are as they were; those the file never had are zeros, or beyond its end. */
  losePower(survives: () => boolean): void {
    const surviving = [...this.dirty].filter(() => survives());
    const grown = Math.max(
      0,
      ...surviving.map((at) => Math.min(this.content.length, (at + 1) * SECTOR_BYTES)),
    );
    const length = Math.max(Math.min(this.durable.length, this.content.length), grown);
    const after = Buffer.alloc(length);
    this.durable.copy(after);
    for (const at of surviving)
      this.content.copy(after, at * SECTOR_BYTES, at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES);
    this.content = after;
    this.durable = Buffer.from(after);
    this.dirty.clear();
  }

  clone(): Inode {
    const copy = new Inode();
    copy.content = Buffer.from(this.content);
    copy.durable = Buffer.from(this.content);
    return copy;
  }
}

type Names = Map<string, Inode>;

export class FaultyStorage implements Storage {
  /** As the processes see it, by full path. */
  names: Names = new Map();
  /** As the disk has it. */
  #durableNames: Names = new Map();
  #changes: ((names: Names) => void)[] = [];
  #locked = false;
  #generation = 0;
  #drawn = 0;
  readonly #timers = new Set<() => void>();
  /** What is said to be free, in bytes. */
  free: number = 2 ** 40;
  /** Operations done so far. */
  operations = 0;
  /** The process stops in this operation: it has its effect, but a sync does not become durable. */
  stopAt: number = Infinity;
  /** Asked before every operation; an error it returns is thrown instead. */
  fail: (operation: string, path: string) => Error | null = () => null;

  /** Runs all timers once. */
  tick(): void {
    for (const task of this.#timers) task();
  }

  /** The power goes, and comes back. Files that are open belong to a process that is gone. */
  losePower(survives: () => boolean): void {
    for (const inode of new Set([...this.names.values(), ...this.#durableNames.values()]))
      inode.losePower(survives);
    const names = new Map(this.#durableNames);
    for (const change of this.#changes) if (survives()) change(names);
    this.names = names;
    this.#durableNames = new Map(names);
    this.#changes = [];
    this.killProcess();
  }

  /** The process is gone, the operating system is not: everything written is there. */
  killProcess(): void {
    this.#locked = false;
    this.#generation += 1;
    this.#timers.clear();
    this.stopAt = Infinity;
    this.fail = () => null;
  }

  /** An independent copy of the disk as a process sees it. */
  clone(): FaultyStorage {
    const copy = new FaultyStorage();
    for (const [path, inode] of this.names) copy.names.set(path, inode.clone());
    copy.#durableNames = new Map(copy.names);
    return copy;
  }

  /** The content of a file, to be looked at or changed in place; a change is on the disk at once. */
  bytes(path: string): Buffer {
    const inode = this.names.get(path);
    if (inode === undefined) throw missing(path);
    inode.durable = inode.content;
    return inode.content;
  }

  /** Replaces a file's content on the disk. */
  setBytes(path: string, content: Buffer): void {
    const inode = this.names.get(path) ?? new Inode();
    inode.content = Buffer.from(content);
    inode.durable = inode.content;
    this.names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** Takes a file away from the disk. */
  lose(path: string): void {
    this.names.delete(path);
    this.#durableNames.delete(path);
  }

  async #operation<T>(
    operation: string,
    path: string,
    run: () => T,
    generation = this.#generation,
  ): Promise<T> {
    await Promise.resolve();
    if (generation !== this.#generation || this.operations >= this.stopAt) throw new Stopped(operation);
    this.operations += 1;
    const error = this.fail(operation, path);
    if (error !== null) throw error;
    const stops = this.operations >= this.stopAt;
    const result = stops && operation.startsWith('sync') ? undefined : run();
    if (stops) throw new Stopped(operation);
    return result as T;
  }

  async makeDirectory(): Promise<void> {}

  list(directory: string): Promise<string[]> {
    const prefix = `${directory}/`;
    return this.#operation('list', directory, () =>
      [...this.names.keys()]
        .filter((path) => path.startsWith(prefix))
        .map((path) => path.slice(prefix.length)),
    );
  }

  open(path: string, mode: OpenMode): Promise<StorageFile> {
    return this.#operation('open', path, () => {
      let inode = this.names.get(path);
      if (inode === undefined) {
        if (mode !== 'create') throw missing(path);
        const made = new Inode();
        inode = made;
        this.#change((names) => names.set(path, made));
      } else if (mode === 'create') {
        inode.content = Buffer.alloc(0);
        inode.dirty.clear();
      }
      return this.#file(path, inode);
    });
  }

  #file(path: string, inode: Inode): StorageFile {
    const generation = this.#generation;
    let open = true;
    const operation = <T>(name: string, run: () => T): Promise<T> =>
      this.#operation(
        name,
        path,
        () => {
          if (!open) throw new Error(`${name} of ${path}, which is closed`);
          return run();
        },
        generation,
      );
    return {
      read: (buffer, position) =>
        operation('read', () => inode.content.copy(buffer, 0, position, position + buffer.length)),
      write: (buffers, position) => operation('write', () => inode.write(Buffer.concat(buffers), position)),
      sync: () => operation('sync', () => inode.sync()),
      size: () => operation('size', () => inode.content.length),
      close: () =>
        operation('close', () => {
          open = false;
        }),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operation('rename', from, () => {
      const inode = this.names.get(from);
      if (inode === undefined) throw missing(from);
      this.#change((names) => {
        names.delete(from);
        names.set(to, inode);
      });
    });
  }

  remove(path: string): Promise<void> {
    return this.#operation('remove', path, () => {
      if (!this.names.has(path)) throw missing(path);
      this.#change((names) => names.delete(path));
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#operation('syncDirectory', path, () => {
      this.#durableNames = new Map(this.names);
      this.#changes = [];
    });
  }

  freeBytes(directory: string): Promise<number> {
    return this.#operation('freeBytes', directory, () => this.free);
  }

  async lock(directory: string): Promise<() => Promise<void>> {
    if (this.#locked) throw new WalError('WAL_LOCKED', directory);
    this.#locked = true;
    return async () => {
      this.#locked = false;
    };
  }

  every(_periodMs: number, task: () => void): () => void {
    this.#timers.add(task);
    return () => this.#timers.delete(task);
  }

  /** Different at every call, the same in every run. */
  random(bytes: number): Buffer {
    const drawn = Buffer.alloc(bytes);
    drawn.writeUInt32BE((this.#drawn += 1), bytes - 4);
    return drawn;
  }

  #change(change: (names: Names) => void): void {
    change(this.names);
    this.#changes.push(change);
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
}

/** An error as the kernel gives it. */
export function kernelError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** A source of coin tosses that repeats itself for the same seed. */
export function coin(seed: number): () => boolean {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) & 1) === 1;
  };
}
