/** Files of other programs on their way out: entries, encoded into a file that has its name when it is complete. */
import type { Stats } from 'node:fs';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { encoderOf } from '../formats/formats.ts';
import { type Entry, type Format, Unrepresentable } from '../formats/format.ts';
import type { Frozen } from '../store/frozen.ts';
import { isExpired } from '../store/keyspace.ts';
import { dumpOf } from '../store/rdb/dump.ts';
import type { Store as StateMachine } from '../store/store.ts';
import { isString, textOf } from '../store/value.ts';
import { nodeStorage } from '../wal/node-storage.ts';
import { StoreError } from './errors.ts';
import { toText } from './text.ts';

const CHUNK_BYTES: number = 1024 * 1024;
/** Entries that are encoded in one go: a few milliseconds. */
const ENTRIES_AT_ONCE = 500;
const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o777;

/** What encoded bytes go to. */
export interface Sink {
  /** A megabyte or so at a time. */
  write(bytes: Buffer): Promise<void>;
  /** After the last bytes. `head`: overwrites the beginning. */
  finish(head: Buffer | null): Promise<void>;
  /** In place of `finish`. */
  discard(): Promise<void>;
}

/**
 * Encodes all entries; how many were written. `leaveOut` is told of one that the format has no words for: it throws, or that one
 * is left out. When this rejects, the sink has discarded what it had.
 */
export async function writeEntries(
  sink: Sink,
  format: Format,
  entries: Iterable<Entry> | AsyncIterable<Entry>,
  leaveOut: (refused: Unrepresentable) => void,
): Promise<number> {
  const encoder = encoderOf(format, Date.now());
  let written = 0;
  let waiting = [encoder.head];
  let waitingBytes = encoder.head.length;
  let met = 0;
  try {
    for await (const entry of entries) {
      if (++met % ENTRIES_AT_ONCE === 0) await new Promise(setImmediate);
      let encoded: Buffer;
      try {
        encoded = encoder.entry(entry);
      } catch (error) {
        if (!(error instanceof Unrepresentable)) throw error;
        leaveOut(error);
        continue;
      }
      written++;
      waiting.push(encoded);
      waitingBytes += encoded.length;
      if (waitingBytes < CHUNK_BYTES) continue;
      await sink.write(Buffer.concat(waiting));
      waiting = [];
      waitingBytes = 0;
    }
    const { tail, head } = encoder.end();
    await sink.write(Buffer.concat([...waiting, tail]));
    await sink.finish(head);
  } catch (error) {
    await sink.discard();
    throw error;
  }
  return written;
}

/** All that the store holds now, whatever is written meanwhile: its function libraries, then its keys. */
export class AllEntries {
  readonly #libraries: readonly string[];
  readonly #frozen: Frozen;
  readonly #at: number = Date.now();

  constructor(machine: StateMachine) {
    this.#libraries = [...machine.meta.entries('libraries').values()];
    this.#frozen = machine.freeze();
  }

  /** Once. `sorted`: in the order of their bytes, as Go writes its maps. */
  *read(sorted: boolean): IterableIterator<Entry> {
    yield* sorted ? [...this.#inNoOrder()].sort(byKey) : this.#inNoOrder();
  }

  *#inNoOrder(): IterableIterator<Entry> {
    for (const code of this.#libraries) yield { kind: 'library', code };
    for (const { key, image } of this.#frozen) {
      if (isExpired(image, this.#at)) continue;
      const expiresAt = image.expiresAt === 0 ? null : image.expiresAt;
      if (isString(image.value)) yield { kind: 'string', key, value: textOf(image.value), expiresAt };
      else {
        const dump = dumpOf(image.value, this.#at);
        if (dump === null)
          throw new StoreError('INVALID_ARGUMENT', `${toText(key)}: too large to be written as one value`);
        yield { kind: 'dump', key, dump, expiresAt };
      }
    }
  }

  /** Keeps nothing any more. */
  close(): void {
    this.#frozen.close();
  }
}

function byKey(one: Entry, other: Entry): number {
  if (one.kind === 'library' || other.kind === 'library')
    return Number(other.kind === 'library') - Number(one.kind === 'library');
  return one.key < other.key ? -1 : 1;
}

/** Files that this process has begun to write. */
let sinks = 0;

/**
 * A file, durable under its name when `finish` resolves; one that was there is replaced then, not before. The new one belongs to
 * whom the old one did and may be read by the same people; where a link leads to it, the link stays.
 */
export class FileSink implements Sink {
  readonly #file: string;
  /** Its name until it is complete: each writer has its own. */
  readonly #partial: string;
  readonly #handle: FileHandle;
  #bytes = 0;

  private constructor(file: string, partial: string, handle: FileHandle) {
    this.#file = file;
    this.#partial = partial;
    this.#handle = handle;
  }

  /** `mode`: of a file that is not there yet, less what the process does not grant. */
  static async open(file: string, mode: number = 0o666): Promise<FileSink> {
    const old = await fileAt(file);
    const target = old === null ? file : await realpath(file);
    const partial = `${target}.${process.pid}-${++sinks}.part`;
    const handle = await open(partial, 'w', old === null ? mode : OWNER_ONLY);
    const sink = new FileSink(target, partial, handle);
    try {
      if (old !== null) {
        // Only the superuser gives files away; of others it is theirs already.
        await handle.chown(old.uid, old.gid).catch(() => undefined);
        await handle.chmod(old.mode & PERMISSIONS);
      }
    } catch (error) {
      await sink.discard();
      throw error;
    }
    return sink;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes);
    this.#bytes += bytes.length;
  }

  async finish(head: Buffer | null): Promise<void> {
    if (head !== null) await this.#handle.write(head, 0, head.length, 0);
    await this.#handle.sync();
    await this.#handle.close();
    await rename(this.#partial, this.#file);
    await nodeStorage.syncDirectory(dirname(this.#file));
  }

  async discard(): Promise<void> {
    await this.#handle.close();
    await rm(this.#partial, { force: true });
  }
}

/** What is to be replaced; null where there is nothing yet. */
async function fileAt(file: string): Promise<Stats | null> {
  const old = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  // A directory can't be replaced by a file, and a device or a pipe could: with all that use it.
  if (old !== null && !old.isFile())
    throw new StoreError(
      'INVALID_ARGUMENT',
      `${file}: ${old.isDirectory() ? 'a directory' : 'a device or a pipe'}; expected the name of a file`,
    );
  return old;
}
