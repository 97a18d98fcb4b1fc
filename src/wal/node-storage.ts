/**
 * {@link Storage} over `node:fs`. Every call runs in the thread pool, so that the event loop never waits for a disk.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { lockDirectory } from './lock.ts';
import type { OpenMode, Storage, StorageFile } from './storage.ts';

const FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', update: 'r+', create: 'w+' };
/** Largest single read or write in bytes; the kernel's own limit is just below 2 GiB. */
const TRANSFER_BYTES_MAX = 256 * 1024 * 1024;

/** The real disk. */
export const nodeStorage: Storage = {
  makeDirectory: (path) => makeDirectory(resolve(path)),
  list: (path) => readdir(path),
  open: async (path, mode) => new NodeFile(await open(path, FLAGS[mode], 0o600)),
  rename,
  remove: unlink,
  syncDirectory,
  async freeBytes(directory) {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  },
  lock: lockDirectory,
  every(periodMs, task) {
    const timer = setInterval(task, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  random: randomBytes,
};

class NodeFile implements StorageFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    let got = 0;
    while (got < buffer.length) {
      const length = Math.min(buffer.length - got, TRANSFER_BYTES_MAX);
      const { bytesRead } = await this.#handle.read(buffer, got, length, position + got);
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return got;
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let rest = buffers.filter((buffer) => buffer.length > 0);
    for (let at = position; rest.length > 0; ) {
      const written = await this.#writeSome(rest, at);
      if (written === 0) throw new Error('the kernel wrote nothing and gave no error');
      at += written;
      rest = withoutFirst(rest, written);
    }
  }

  /** One call to the kernel, which may take only a part (a signal, a quota, its limit). */
  async #writeSome(buffers: readonly Uint8Array[], position: number): Promise<number> {
    const [first] = buffers;
    if (first !== undefined && (buffers.length === 1 || first.length >= TRANSFER_BYTES_MAX)) {
      const length = Math.min(first.length, TRANSFER_BYTES_MAX);
      return (await this.#handle.write(first, 0, length, position)).bytesWritten;
    }
    return (await this.#handle.writev(buffers, position)).bytesWritten;
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** What is left of `buffers` behind the first `bytes`. */
function withoutFirst(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = bytes;
  for (const buffer of buffers) {
    if (skip < buffer.length) rest.push(buffer.subarray(skip));
    skip = Math.max(0, skip - buffer.length);
  }
  return rest;
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Not Node's `recursive`: where a parent is there and yet says ENOENT (/proc, automounts), that tries for ever. */
async function makeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    const orphan = code === 'ENOENT' && !(await stat(parent).catch(() => null));
    if (!orphan) throw error;
    await makeDirectory(parent);
    await mkdir(path, 0o700);
  }
  await syncDirectory(parent);
}
