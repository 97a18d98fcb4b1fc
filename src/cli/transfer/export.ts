/**
 * `kvorum export`: all keys of a cluster, into a file.
 *
 * Keys are walked over with SCAN while others write: each key is as it was at one moment, and every key that was there all
 * the time is in the file. The file has another name until it is complete and on the disk.
 */
import { FileSink, type Sink, writeEntries } from '../../embedded/exchange.ts';
import { type LeftOut, listOf, noteLeftOut } from '../../embedded/source.ts';
import { type Entry, type Format, quoted, type Unrepresentable } from '../../formats/format.ts';
import { encoderOf } from '../../formats/formats.ts';
import { CommandError } from '../command-error.ts';
import { inAWord } from './system-error.ts';
import { Progress } from './progress.ts';
import { type Reply, ReplyError } from './node-link.ts';

const SCAN_COUNT = '1000';
/** Keys that are asked for at a time; fewer where they are large. */
const KEYS_MAX = 256;
const ANSWER_BYTES: number = 16 * 1024 * 1024;
/** What stands for the standard output. */
const STANDARD = '-';

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

async function exportAll(origin: Origin, file: string, { format, lossy }: ExportOptions): Promise<void> {
  const counted = encoderOf(format, 0).end().head !== null;
  if (file === STANDARD && counted)
    throw new CommandError(
      `${format} says at its beginning how many entries it has, which is known at the end: give a file`,
    );
  const progress = new Progress('exporting', await sizeOf(origin));
  const sink = file === STANDARD ? new StandardOutput() : await fileSink(file);
  const leftOut: LeftOut = { named: [], count: 0 };
  const leaveOut = (refused: Unrepresentable): void => {
    if (!lossy)
      throw new CommandError(
        `${format} has no words for ${refused.message}; use --format rdb or resp, or --lossy to leave such entries out; nothing was written`,
        { cause: refused },
      );
    noteLeftOut(leftOut, refused.message);
  };
  let written: number;
  try {
    written = await writeEntries(sink, format, counting(entriesOf(origin), progress), leaveOut);
  } catch (error) {
    throw inAWord(error);
  } finally {
    progress.end();
  }
  // Not where the data may go.
  console.error(`${file} (${format}): ${written} entries were written`);
  if (leftOut.count > 0) console.error(`left out: ${listOf(leftOut)}`);
}

async function* counting(entries: AsyncIterable<Entry>, progress: Progress): AsyncGenerator<Entry> {
  for await (const entry of entries) {
    yield entry;
    progress.advance(entry.kind === 'library' ? 0 : 1, 1);
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
  do {
    const [page] = await origin.read([['SCAN', cursor, 'COUNT', SCAN_COUNT]]);
    if (page instanceof ReplyError) throw new CommandError(`SCAN was refused: ${page.text}`);
    const [next, found] = Array.isArray(page) ? (page as readonly Reply[]) : [];
    cursor = typeof next === 'string' ? next : '0';
    const keys = Array.isArray(found) ? (found as readonly string[]) : [];
    for await (const some of inSteps(origin, keys)) yield* await entriesFor(origin, some);
  } while (cursor !== '0');
}

/** As many keys at a time as an answer about them should hold: a server builds it in memory, and so do we. */
async function* inSteps(origin: Origin, keys: readonly string[]): AsyncGenerator<readonly string[]> {
  const sizes = keys.length === 0 ? [] : await origin.read(keys.map((key) => ['MEMORY', 'USAGE', key]));
  let step: string[] = [];
  let bytes = 0;
  for (const [index, key] of keys.entries()) {
    const reply = sizes[index];
    // What nobody tells may be anything.
    const size = typeof reply === 'number' ? reply : reply === null ? 0 : ANSWER_BYTES;
    if (step.length === KEYS_MAX || (step.length > 0 && bytes + size > ANSWER_BYTES)) {
      yield step;
      step = [];
      bytes = 0;
    }
    step.push(key);
    bytes += size;
  }
  if (step.length > 0) yield step;
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

class StandardOutput implements Sink {
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

async function fileSink(file: string): Promise<FileSink> {
  try {
    return await FileSink.open(file);
  } catch (error) {
    throw inAWord(error);
  }
}
