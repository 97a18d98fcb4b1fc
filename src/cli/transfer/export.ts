/**
 * `kvorum export`: all keys of a cluster, into a file.
 *
 * Keys are walked over with SCAN while others write: each key is as it was at one moment, and every key that was there all
 * the time is in the file. The file has another name until it is complete and on the disk.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { type Entry, type Encoder, type Format, quoted, Unrepresentable } from '../../formats/format.ts';
import { encoderOf } from '../../formats/formats.ts';
import { CommandError } from '../command-error.ts';
import { explain } from '../serve.ts';
import { Progress } from './progress.ts';
import { type Reply, ReplyError } from './node-link.ts';
import { STANDARD } from './source.ts';

const SCAN_COUNT = '1000';
/** Keys that are asked for at a time; fewer where they are large. */
const KEYS_MAX = 256;
const ANSWER_BYTES: number = 16 * 1024 * 1024;
const WRITE_BYTES: number = 1024 * 1024;
const NAMED_MAX = 10;

export interface ExportOptions {
  readonly format: Format;
  /** Leaves out what the format has no words for. */
  readonly lossy: boolean;
}

/** What is exported. */
export interface Origin {
  /** Runs reads in one step. */
  read(requests: readonly (readonly string[])[]): Promise<readonly Reply[]>;
  close(): Promise<void>;
}

export async function exportFile(origin: Origin, file: string, options: ExportOptions): Promise<void> {
  try {
    await exportAll(origin, file, options);
  } finally {
    await origin.close();
  }
}

async function exportAll(origin: Origin, file: string, options: ExportOptions): Promise<void> {
  const encoder = encoderOf(options.format, Date.now());
  const counted = encoderOf(options.format, 0).end().head !== null;
  if (file === STANDARD && counted)
    throw new CommandError(
      `${options.format} says at its beginning how many entries it has, which is known at the end: give a file`,
    );
  const out = file === STANDARD ? new StandardOutput() : await FileOutput.open(file);
  const leftOut: string[] = [];
  let [written, left] = [0, 0];
  const progress = new Progress('exporting', await sizeOf(origin));
  try {
    await out.write(encoder.head);
    for await (const entry of entriesOf(origin)) {
      const bytes = encoded(encoder, entry, options, (what) => {
        left++;
        if (leftOut.length < NAMED_MAX) leftOut.push(what);
      });
      if (bytes !== null) {
        await out.write(bytes);
        written++;
      }
      progress.advance(entry.kind === 'library' ? 0 : 1, 1);
    }
    const { tail, head } = encoder.end();
    await out.write(tail);
    await out.finish(head);
  } catch (error) {
    await out.discard();
    throw error;
  } finally {
    progress.end();
  }
  // Not where the data may go.
  console.error(`${file} (${options.format}): ${written} entries were written`);
  if (left > 0)
    console.error(
      `left out: ${leftOut.join('; ')}${left > leftOut.length ? `; and ${left - leftOut.length} more` : ''}`,
    );
}

/** Null for an entry that is left out. */
function encoded(
  encoder: Encoder,
  entry: Entry,
  { format, lossy }: ExportOptions,
  leaveOut: (what: string) => void,
): Buffer | null {
  try {
    return encoder.entry(entry);
  } catch (error) {
    if (!(error instanceof Unrepresentable)) throw error;
    if (!lossy)
      throw new CommandError(
        `${format} has no words for ${error.message}; use --format rdb or resp, or --lossy to leave such entries out; nothing was written`,
        { cause: error },
      );
    leaveOut(error.message);
    return null;
  }
}

async function sizeOf(origin: Origin): Promise<number> {
  const [size] = await origin.read([['DBSIZE']]);
  if (size instanceof ReplyError) throw new CommandError(`DBSIZE was refused: ${size.text}`);
  return typeof size === 'number' ? size : 0;
}

async function* entriesOf(origin: Origin): AsyncGenerator<Entry> {
  yield* librariesOf(origin);
  let cursor = '0';
  let keysMax = KEYS_MAX;
  do {
    const [page] = await origin.read([['SCAN', cursor, 'COUNT', SCAN_COUNT]]);
    if (page instanceof ReplyError) throw new CommandError(`SCAN was refused: ${page.text}`);
    const [next, found] = Array.isArray(page) ? (page as readonly Reply[]) : [];
    cursor = typeof next === 'string' ? next : '0';
    const keys = Array.isArray(found) ? (found as readonly string[]) : [];
    for (let at = 0; at < keys.length; ) {
      const some = keys.slice(at, at + keysMax);
      at += some.length;
      const entries = await entriesFor(origin, some);
      yield* entries;
      const largest = Math.max(1, ...entries.map((entry) => (entry.kind === 'dump' ? entry.dump.length : 1)));
      keysMax = Math.max(1, Math.min(KEYS_MAX, Math.floor(ANSWER_BYTES / largest)));
    }
  } while (cursor !== '0');
}

/** Keys that are gone meanwhile are not among them. */
async function entriesFor(origin: Origin, keys: readonly string[]): Promise<Entry[]> {
  const replies = await origin.read(
    keys.flatMap((key) => [
      ['DUMP', key],
      ['PEXPIRETIME', key],
    ]),
  );
  const entries: Entry[] = [];
  for (const [index, key] of keys.entries()) {
    const [dump, deadline] = replies.slice(2 * index, 2 * index + 2);
    for (const reply of [dump, deadline])
      if (reply instanceof ReplyError) throw new CommandError(`${quoted(key)} can't be read: ${reply.text}`);
    if (typeof dump !== 'string' || typeof deadline !== 'number') continue;
    entries.push({ kind: 'dump', key, dump, expiresAt: deadline < 0 ? null : deadline });
  }
  return entries;
}

async function* librariesOf(origin: Origin): AsyncGenerator<Entry> {
  const [list] = await origin.read([['FUNCTION', 'LIST', 'WITHCODE']]);
  if (list instanceof ReplyError) throw new CommandError(`FUNCTION LIST was refused: ${list.text}`);
  for (const library of Array.isArray(list) ? (list as readonly Reply[]) : []) {
    const fields = Array.isArray(library) ? (library as readonly Reply[]) : [];
    const code = fields[fields.indexOf('library_code') + 1];
    if (typeof code === 'string') yield { kind: 'library', code };
  }
}

// --- Where it goes -----------------------------------------------------------------------------------------------

class StandardOutput {
  constructor() {
    // Writes are told, too.
    process.stdout.on('error', () => {});
  }

  async write(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(bytes, (error) => {
        if (error) reject(new CommandError(`nobody reads the standard output any more: ${error.message}`));
        else resolve();
      });
    });
  }

  async finish(): Promise<void> {}

  async discard(): Promise<void> {}
}

class FileOutput {
  readonly #file: string;
  readonly #handle: FileHandle;
  #waiting: Buffer[] = [];
  #bytes = 0;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  static async open(file: string): Promise<FileOutput> {
    try {
      return new FileOutput(file, await open(`${file}.part`, 'w'));
    } catch (error) {
      throw new CommandError(error instanceof Error ? explain(error) : String(error), { cause: error });
    }
  }

  async write(bytes: Buffer): Promise<void> {
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes >= WRITE_BYTES) await this.#flush();
  }

  /** `head` overwrites the beginning. */
  async finish(head: Buffer | null): Promise<void> {
    await this.#flush();
    if (head !== null) await this.#handle.write(head, 0, head.length, 0);
    await this.#handle.sync();
    await this.#handle.close();
    await rename(`${this.#file}.part`, this.#file);
  }

  async discard(): Promise<void> {
    await this.#handle.close();
    await rm(`${this.#file}.part`, { force: true });
  }

  async #flush(): Promise<void> {
    await this.#handle.writeFile(Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#bytes = 0;
  }
}
