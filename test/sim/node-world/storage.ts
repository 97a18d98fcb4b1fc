/**
 * A node's disk in virtual time: what its processes read and write takes a while, can fail, and survives them only as
 * far as the rules of `src/wal/storage.ts` promise. Written but not synced: each sector survives a power loss or not. A
 * change of a directory that was not synced: each may or may not have happened. A write that the process's death
 * interrupts: a part of it, perhaps. After a failed sync the kernel believes pages to be clean that the disk never got.
 *
 * Beyond those rules a disk can also be *damaged*: bits flip, a synced write turns out lost or misdirected, a removed
 * file is back. The log promises to notice, and to refuse.
 */
import { WalError } from '../../../src/wal/errors.ts';
import { DATA_START } from '../../../src/wal/segment.ts';
import { type OpenMode, SECTOR_BYTES, type Storage, type StorageFile } from '../../../src/wal/storage.ts';
import type { Random } from '../random.ts';
import type { Process, Schedule } from '../schedule.ts';
import type { NodeCoverage } from './coverage.ts';

export type Operation =
  | 'list'
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'syncDirectory';

/** How long operations take, in ms. */
export interface Speed {
  readonly syncMinMs: number;
  readonly syncMaxMs: number;
  /** Of everything that only touches the page cache. */
  readonly cachedMs: number;
}

export const FAST: Speed = { syncMinMs: 0.1, syncMaxMs: 1, cachedMs: 0.01 };

/** What a disk has suffered, in words, and how a copy of its files makes up for it. */
export interface Damaged {
  readonly what: string;
  readonly undo: () => void;
}

/** Sectors whose last sync is remembered, so that it can turn out to have gone wrong. */
const RECENT_MAX = 64;
/** Removed files that can come back. */
const REMOVED_MAX = 4;
/**
 * A file is damaged only when its process has left it alone for so long: the durability of the newest batch is noted a
 * tenth of a second after it, and until then the log can't tell damage to it from a torn write (recovery.ts). Only the
 * time of one life counts. When it ends too early, the note waits until a later life has opened the log completely.
 */
const QUIET_MS = 800;

/** A run of sectors as they are at one moment. */
interface Image {
  readonly at: number;
  readonly bytes: Buffer;
}

/** What a sync will have made durable when it is done. */
interface Flush {
  readonly images: readonly Image[];
  readonly length: number;
  readonly upTo: number;
}

class Inode {
  /** As processes see it. */
  content: Buffer = Buffer.alloc(0);
  /** As the disk has it. */
  durable: Buffer = Buffer.alloc(0);
  /** Sectors that the disk does not have yet, with the number of the write that made them so. */
  readonly dirty: Map<number, number> = new Map();
  /** Sectors that differ from the disk's and that no sync will write: the sync that had to do it failed. */
  readonly dropped: Set<number> = new Set();
  /** When it was last written, or what was written became durable. */
  lastChangeAt = 0;
  /** Its process died while it was in use, so it may lack what would prove its newest batch durable. */
  fragile = false;
  #writes = 0;

  write(bytes: Uint8Array, position: number, now: number): void {
    const end = position + bytes.length;
    if (end > this.content.length) {
      this.content = Buffer.concat([this.content, Buffer.alloc(end - this.content.length)]);
    }
    this.content.set(bytes, position);
    this.#writes += 1;
    this.lastChangeAt = now;
    for (let at = Math.floor(position / SECTOR_BYTES); at * SECTOR_BYTES < end; at += 1) {
      this.dirty.set(at, this.#writes);
      this.dropped.delete(at);
    }
  }

  empty(): void {
    this.content = Buffer.alloc(0);
    this.dirty.clear();
    this.dropped.clear();
  }

  /** A sync makes durable what is written when it begins, not what comes while it lasts. */
  beginFlush(): Flush {
    const images: Image[] = [];
    let from = -2;
    let to = -2;
    const take = (): void => {
      if (from < 0) return;
      const at = from * SECTOR_BYTES;
      images.push({ at, bytes: Buffer.from(this.content.subarray(at, (to + 1) * SECTOR_BYTES)) });
    };
    for (const sector of this.dirty.keys()) {
      if (sector === to + 1) {
        to = sector;
        continue;
      }
      take();
      from = sector;
      to = sector;
    }
    take();
    return { images, length: this.content.length, upTo: this.#writes };
  }

  endFlush({ images, length, upTo }: Flush, now: number): void {
    if (images.length > 0) this.lastChangeAt = now;
    if (this.durable.length !== length) {
      const resized = Buffer.alloc(length);
      this.durable.copy(resized);
      this.durable = resized;
    }
    for (const { at, bytes } of images) this.durable.set(bytes, at);
    for (const [sector, number] of this.dirty) if (number <= upTo) this.dirty.delete(sector);
  }

  /** The sync failed: what `forgets` picks is taken for clean from now on. */
  failFlush(forgets: () => boolean): void {
    for (const sector of this.dirty.keys()) {
      if (!forgets()) continue;
      this.dirty.delete(sector);
      this.dropped.add(sector);
    }
  }

  /** Nothing of it is under way, and its process had the time to note what of it is durable. */
  isQuiet(now: number): boolean {
    return this.dirty.size === 0 && this.dropped.size === 0 && now - this.lastChangeAt >= QUIET_MS;
  }

  /** The kernel gives up clean pages whenever it likes: what the disk never got is then gone. */
  evict(): void {
    for (const sector of this.dropped) this.#revert(sector);
    this.dropped.clear();
  }

  /** Sectors that do not survive are as they were; those the file never had are zeros, or beyond its end. */
  losePower(survives: () => boolean): void {
    const surviving = [...this.dirty.keys()].filter(() => survives());
    let length = Math.min(this.durable.length, this.content.length);
    for (const at of surviving)
      length = Math.max(length, Math.min(this.content.length, (at + 1) * SECTOR_BYTES));
    const after = Buffer.alloc(length);
    this.durable.copy(after);
    for (const at of surviving)
      this.content.copy(after, at * SECTOR_BYTES, at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES);
    this.content = after;
    this.durable = Buffer.from(after);
    this.dirty.clear();
    this.dropped.clear();
  }

  #revert(sector: number): void {
    const at = sector * SECTOR_BYTES;
    if (at < this.content.length) this.content.fill(0, at, Math.min(at + SECTOR_BYTES, this.content.length));
    // Either may end before it: the disk's side where the file has grown since, the other where it was cut.
    const end = Math.min(at + SECTOR_BYTES, this.durable.length, this.content.length);
    if (at < end) this.content.set(this.durable.subarray(at, end), at);
  }
}

type Names = Map<string, Inode>;

/** A sector that a sync wrote, and what it wrote over. */
interface WrittenSector {
  readonly path: string;
  readonly inode: Inode;
  readonly at: number;
  readonly before: Buffer;
  readonly after: Buffer;
}

/** How a disk can be worse than its rules allow. */
export const DAMAGES = ['flipped bit', 'lost write', 'misdirected write', 'file back', 'file gone'] as const;
export type Damage = (typeof DAMAGES)[number];

export class Disk {
  speed: Speed = FAST;
  /** The next sync takes this much longer. */
  stallMs = 0;
  /** How much files may still grow. */
  freeBytes: number = Infinity;
  /** Something did not fit in this life of the process. */
  wasFull = false;
  /** Asked before every operation; the error that it answers is what the operation ends with. */
  fail: ((operation: Operation, path: string) => Error | null) | null = null;
  /** Told when an operation has been carried out. */
  onDone: ((operation: Operation, path: string) => void) | null = null;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #coverage: NodeCoverage;
  /** Called whenever a promise that a process waits for is made or settled. */
  readonly #disturbed: () => void;
  #names: Names = new Map();
  #durableNames: Names = new Map();
  /** What happened to the directory and is not durable. */
  #changes: ((names: Names) => void)[] = [];
  /** What becomes of the operations under way when the process dies. */
  readonly #interrupts = new Set<() => void>();
  readonly #recent: WrittenSector[] = [];
  readonly #removed: { readonly path: string; readonly inode: Inode }[] = [];
  #locked = false;

  constructor(parts: { schedule: Schedule; random: Random; coverage: NodeCoverage; disturbed: () => void }) {
    this.#schedule = parts.schedule;
    this.#random = parts.random;
    this.#coverage = parts.coverage;
    this.#disturbed = parts.disturbed;
  }

  /* ---- what a process sees ---------------------------------------------------------------------------------------- */

  /** The disk for one life of a process; whatever it waits for when it dies never comes. */
  mount(process: Process, every: Storage['every']): Storage {
    const operate = <T>(operation: Operation, path: string, work: Work<T>): Promise<T> =>
      this.#operate(process, operation, path, work);
    return {
      makeDirectory: async () => undefined,
      list: (directory) => operate('list', directory, { run: () => this.#list(directory) }),
      open: (path, mode) => {
        const work = { run: () => this.#open(path, mode, operate) };
        return operate(mode === 'create' ? 'create' : 'open', path, work);
      },
      rename: (from, to) => this.#structural(operate, 'rename', from, () => this.#rename(from, to)),
      remove: (path) => this.#structural(operate, 'remove', path, () => this.#remove(path)),
      syncDirectory: (path) => {
        // As with files: what happens while it lasts is not covered.
        const covered = this.#changes.length;
        return operate('syncDirectory', path, { run: () => this.#syncDirectory(covered) });
      },
      // More than any disk has, where nothing limits it.
      freeBytes: (path) =>
        operate('list', path, { run: () => Math.min(this.freeBytes, Number.MAX_SAFE_INTEGER) }),
      random: (bytes) => Buffer.from(Array.from({ length: bytes }, () => this.#random.below(256))),
      lock: async (directory) => {
        if (this.#locked) throw new WalError('WAL_LOCKED', directory);
        this.#locked = true;
        return async () => {
          this.#locked = false;
        };
      },
      every,
    };
  }

  /** The log was opened completely: the end of it was confirmed, and that it is durable was noted. */
  opened(): void {
    for (const inode of this.#names.values()) inode.fragile = false;
  }

  /** The process is gone, the operating system is not. What it was writing may be there in part. */
  processDied(): void {
    for (const interrupt of this.#interrupts) if (this.#random.chance(0.5)) interrupt();
    this.#interrupts.clear();
    this.#locked = false;
    const evicts = this.#random.chance(0.5);
    for (const inode of this.#names.values()) {
      if (!inode.isQuiet(this.#schedule.now)) inode.fragile = true;
      if (evicts) inode.evict();
    }
  }

  /** The power goes, and the process with it. */
  losePower(): void {
    this.processDied();
    // Half of all losses take everything or nothing, which is rarer than it looks when every sector tosses its coin.
    const rate = this.#random.pick([0, 0.5, 0.5, 0.9, 1]);
    const survives = (): boolean => this.#random.chance(rate);
    for (const inode of new Set([...this.#names.values(), ...this.#durableNames.values()]))
      inode.losePower(survives);
    const names = new Map(this.#durableNames);
    for (const change of this.#changes) {
      if (survives()) change(names);
      else this.#coverage.count('directory changes lost');
    }
    this.#names = names;
    this.#durableNames = new Map(names);
    this.#changes = [];
  }

  /** All files, as a process sees them. */
  paths(): string[] {
    return [...this.#names.keys()];
  }

  #operate<T>(process: Process, operation: Operation, path: string, work: Work<T>): Promise<T> {
    this.#disturbed();
    const error = this.fail?.(operation, path) ?? null;
    const { interrupt } = work;
    if (interrupt !== undefined) this.#interrupts.add(interrupt);
    return new Promise<T>((resolve, reject) => {
      this.#schedule.after(this.#duration(operation), process, () => {
        this.#disturbed();
        if (interrupt !== undefined) this.#interrupts.delete(interrupt);
        if (error !== null) {
          work.failed?.();
          reject(error);
          return;
        }
        try {
          resolve(work.run());
        } catch (failure) {
          reject(failure);
        }
        this.onDone?.(operation, path);
      });
    });
  }

  #duration(operation: Operation): number {
    const { syncMinMs, syncMaxMs, cachedMs } = this.speed;
    if (operation !== 'sync' && operation !== 'syncDirectory')
      return cachedMs * this.#random.between(0.5, 1.5);
    const stall = this.stallMs;
    this.stallMs = 0;
    return this.#random.between(syncMinMs, syncMaxMs) + stall;
  }

  #list(directory: string): string[] {
    const prefix = `${directory}/`;
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length));
  }

  #open(path: string, mode: OpenMode, operate: Operate): StorageFile {
    let inode = this.#names.get(path);
    if (inode === undefined) {
      if (mode !== 'create') throw missing(path);
      const made = new Inode();
      inode = made;
      this.#change((names) => names.set(path, made));
    } else if (mode === 'create') {
      inode.empty();
    }
    return this.#file(path, inode, operate);
  }

  #file(path: string, inode: Inode, operate: Operate): StorageFile {
    let open = true;
    const mustBeOpen = (): void => {
      if (!open) throw new Error(`${path} is used after it was closed`);
    };
    return {
      read: (buffer, position) => {
        mustBeOpen();
        return operate('read', path, {
          run: () => inode.content.copy(buffer, 0, position, position + buffer.length),
        });
      },
      write: (buffers, position) => {
        mustBeOpen();
        const bytes = buffers.length === 1 ? (buffers[0] as Uint8Array) : Buffer.concat(buffers);
        const part = (): void => {
          inode.write(bytes.subarray(0, this.#random.below(bytes.length + 1)), position, this.#schedule.now);
        };
        const run = (): void => {
          const growth = Math.max(0, position + bytes.length - inode.content.length);
          if (growth > this.freeBytes) {
            inode.write(
              bytes.subarray(0, bytes.length - growth + this.freeBytes),
              position,
              this.#schedule.now,
            );
            this.freeBytes = 0;
            this.wasFull = true;
            this.#coverage.count('writes to a full disk');
            throw kernelError('ENOSPC');
          }
          this.freeBytes -= growth;
          inode.write(bytes, position, this.#schedule.now);
        };
        return operate('write', path, { run, interrupt: part, failed: part });
      },
      sync: () => {
        mustBeOpen();
        const flush = inode.beginFlush();
        return operate('sync', path, {
          run: () => {
            this.#remember(path, inode, flush);
            inode.endFlush(flush, this.#schedule.now);
          },
          failed: () => inode.failFlush(() => this.#random.chance(0.7)),
        });
      },
      size: () => operate('read', path, { run: () => inode.content.length }),
      close: async () => {
        open = false;
      },
    };
  }

  /** An operation on the directory; one that is interrupted has happened or not. */
  #structural(operate: Operate, operation: Operation, path: string, run: () => void): Promise<void> {
    const interrupt = (): void => {
      if (this.#names.has(path)) run();
    };
    return operate(operation, path, { run, interrupt });
  }

  #rename(from: string, to: string): void {
    const inode = this.#names.get(from);
    if (inode === undefined) throw missing(from);
    if (to.endsWith('.log')) this.#coverage.count('log segments begun');
    this.#change((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  #remove(path: string): void {
    const inode = this.#names.get(path);
    if (inode === undefined) throw missing(path);
    this.freeBytes += inode.content.length;
    this.#change((names) => names.delete(path));
    if (!path.endsWith('.log')) return;
    this.#removed.push({ path, inode });
    if (this.#removed.length > REMOVED_MAX) this.#removed.shift();
  }

  #syncDirectory(covered: number): void {
    for (const change of this.#changes.splice(0, covered)) change(this.#durableNames);
  }

  #change(change: (names: Names) => void): void {
    change(this.#names);
    this.#changes.push(change);
  }

  #remember(path: string, inode: Inode, { images }: Flush): void {
    for (const { at, bytes } of images) {
      // Large writes are zeros that nobody misses.
      if (bytes.length > 8 * SECTOR_BYTES) continue;
      const before = Buffer.alloc(bytes.length);
      inode.durable.copy(before, 0, at, at + bytes.length);
      this.#recent.push({ path, inode, at, before, after: bytes });
      if (this.#recent.length > RECENT_MAX) this.#recent.shift();
    }
  }

  /* ---- damage ------------------------------------------------------------------------------------------------------ */

  /** Damages something at rest; null when there was nothing to damage. */
  damage(kind: Damage): Damaged | null {
    const random = this.#random;
    switch (kind) {
      case 'flipped bit': {
        const files = this.#damageable().filter(([, { content }]) => content.length > 0);
        if (files.length === 0) return null;
        const segments = files.filter(([path]) => path.endsWith('.log')).sort(([a], [b]) => (a < b ? -1 : 1));
        const [path, inode] = random.chance(0.3)
          ? (segments.at(-1) ?? random.pick(files))
          : random.pick(files);
        // Most bytes of a segment are zeros that stand for nothing; what was written counts for more, its end the most.
        const used = inode.content.length - trailingZeros(inode.content);
        const from = random.chance(0.5) ? Math.max(0, used - 2 * SECTOR_BYTES) : 0;
        const to = random.chance(0.8) ? used : inode.content.length;
        const at = from + random.below(Math.max(1, to - from));
        const bytes = Buffer.from([(inode.content[at] ?? 0) ^ (1 << random.below(8))]);
        return { what: `a bit of byte ${at} of ${path} flips`, undo: patch(inode, at, bytes) };
      }
      case 'lost write': {
        const written = this.#someWrite(() => true);
        if (written === null) return null;
        const { path, inode, at, before, after } = written;
        return {
          what: `the write of ${after.length} bytes at ${at} of ${path} was lost`,
          undo: patch(inode, at, before),
        };
      }
      case 'misdirected write': {
        // Not of an identifier: with it the evidence goes that would prove the damage it does (recovery.ts).
        const written = this.#someWrite(({ at }) => at >= DATA_START);
        const files = this.#damageable().filter(([, { content }]) => content.length >= SECTOR_BYTES);
        if (written === null || files.length === 0) return null;
        const [path, target] = random.pick(files);
        const sector = random.below(Math.floor(target.content.length / SECTOR_BYTES)) * SECTOR_BYTES;
        // What was written there since would have covered it.
        const later = this.#recent.slice(this.#recent.indexOf(written) + 1);
        const end = sector + written.after.length;
        if (later.some(({ inode, at, after }) => inode === target && at < end && sector < at + after.length))
          return null;
        const undoLost = patch(written.inode, written.at, written.before);
        const undoMisplaced = patch(
          target,
          sector,
          written.after.subarray(0, target.content.length - sector),
        );
        return {
          what: `the write at ${written.at} of ${written.path} went to ${sector} of ${path}`,
          undo: () => {
            undoMisplaced();
            undoLost();
          },
        };
      }
      case 'file back': {
        const removed = this.#removed.shift();
        if (removed === undefined || this.#names.has(removed.path)) return null;
        const { path, inode } = removed;
        this.#names.set(path, inode);
        this.#durableNames.set(path, inode);
        return { what: `${path} is back`, undo: () => this.#forget(path, inode) };
      }
      case 'file gone': {
        const files = this.#damageable();
        if (files.length === 0) return null;
        const [path, inode] = random.pick(files);
        this.#forget(path, inode);
        const undo = (): void => {
          this.#names.set(path, inode);
          this.#durableNames.set(path, inode);
        };
        return { what: `${path} is gone`, undo };
      }
    }
  }

  /** Flips a bit of the byte at this offset. */
  flip(path: string, at: number): void {
    const inode = this.#names.get(path);
    if (inode === undefined) throw missing(path);
    patch(inode, at, Buffer.from([(inode.content[at] ?? 0) ^ 1]));
  }

  /** The process is paused for so long. Nothing of it happens meanwhile, so its files count as quiet only later. */
  paused(ms: number): void {
    for (const inode of this.#names.values()) inode.lastChangeAt += ms;
  }

  #forget(path: string, inode: Inode): void {
    if (this.#names.get(path) === inode) this.#names.delete(path);
    if (this.#durableNames.get(path) === inode) this.#durableNames.delete(path);
  }

  #damageable(): [string, Inode][] {
    return [...this.#names].filter(
      ([path, inode]) =>
        this.#durableNames.get(path) === inode &&
        this.#isAtRest(inode) &&
        !/\.(copy|damaged|tmp|part)$/.test(path),
    );
  }

  #someWrite(suits: (written: WrittenSector) => boolean): WrittenSector | null {
    const found = this.#recent.filter((written) => {
      const { inode, at, after, path } = written;
      if (this.#names.get(path) !== inode || !this.#isAtRest(inode) || !suits(written)) return false;
      return inode.durable.subarray(at, at + after.length).equals(after);
    });
    return found.length === 0 ? null : this.#random.pick(found);
  }

  #isAtRest(inode: Inode): boolean {
    return !inode.fragile && inode.isQuiet(this.#schedule.now);
  }
}

interface Work<T> {
  readonly run: () => T;
  /** The process dies meanwhile. */
  readonly interrupt?: () => void;
  /** It ends with an injected error. */
  readonly failed?: () => void;
}

type Operate = <T>(operation: Operation, path: string, work: Work<T>) => Promise<T>;

/** Changes what a file holds. The answer takes that back where nobody has written since. */
function patch(inode: Inode, at: number, bytes: Buffer): () => void {
  const before = Buffer.from(inode.content.subarray(at, at + bytes.length));
  const put = (what: Buffer): void => {
    inode.content.set(what, at);
    inode.durable.set(what.subarray(0, Math.max(0, inode.durable.length - at)), at);
  };
  put(bytes.subarray(0, before.length));
  return () => {
    if (inode.content.subarray(at, at + before.length).equals(bytes.subarray(0, before.length))) put(before);
  };
}

function trailingZeros(bytes: Buffer): number {
  let at = bytes.length;
  while (at > 0 && bytes[at - 1] === 0) at -= 1;
  return bytes.length - at;
}

function missing(path: string): Error {
  return Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
}

/** An error as the kernel gives it. */
export function kernelError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
