/**
 * Files of other programs on their way in: which they are, whether they are whole, and their commands. For the library,
 * for `kvorum import` and for `kvorum repl --file` alike.
 *
 * A file is read twice. The first time nothing is done: every byte is looked at, checksums are compared, values are decoded. What
 * is whole is then read again for its commands. So damage leaves everything as it was.
 *
 * An append-only file of Redis 7 is several files, the parts; its manifest names them.
 */
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FORMATS, type Format, type ReadCommand, recognise, RECOGNISED_BYTES } from '../formats/format.ts';
import { readFormat } from '../formats/formats.ts';
import { DamagedFile, Input } from '../formats/input.ts';
import { isManifest, manifestFiles } from '../formats/resp.ts';
import { HEAD_MAGIC } from '../wal/snapshot-file.ts';
import { StoreError } from './errors.ts';

const CHUNK_BYTES: number = 1024 * 1024;
/** One step of a target holds no more: neither many nor large ones hold others up. */
const BATCH_COMMANDS_MAX = 500;
const BATCH_BYTES_MAX: number = 1024 * 1024;
/** Of what was left out, so many are named. */
const NAMED_MAX = 10;

export interface Part {
  readonly file: string;
  /** Only so many bytes of it are read. */
  readonly end: number;
}

export interface Source {
  /** As it was named. */
  readonly file: string;
  readonly format: Format;
  /** In the order in which they are read. */
  readonly parts: readonly Part[];
}

/** What is taken of a source that can't be taken as it is. */
export interface Taking {
  /** Which of a file's databases; null: the only one that has keys, if that is 0. */
  readonly database: number | 'all' | null;
  /** Goes on without what can't be taken over. */
  readonly lossy: boolean;
  /** What a crash has cut off at the end of a log is left out. */
  readonly tornEnd: boolean;
}

/** Of what was left out, the first few, and how many there are. */
export interface LeftOut {
  readonly named: string[];
  count: number;
}

export function noteLeftOut(leftOut: LeftOut, what: string): void {
  leftOut.count++;
  if (leftOut.named.length < NAMED_MAX) leftOut.named.push(what);
}

/** In words. */
export function listOf({ named, count }: LeftOut): string {
  return `${named.join('; ')}${count > named.length ? `; and ${count - named.length} more` : ''}`;
}

/** A source that is whole, and what of it is taken. */
export interface Whole extends Source {
  readonly database: number | 'all';
  readonly lossy: boolean;
  readonly leftOut: LeftOut;
  /** Commands for other databases. */
  readonly skipped: number;
  /** Bytes that were cut off at the end, and left out. */
  readonly torn: number;
}

/** Commands of one part. */
export interface Batch {
  readonly file: string;
  readonly commands: readonly ReadCommand[];
}

/** Told how many bytes and commands were read. */
export type Advance = (bytes: number, commands: number) => void;

/** Looks at the beginning of a file for its format, where that was not said. */
export async function sourceOf(file: string, given: Format | null): Promise<Source> {
  if (given !== null) checkFormat(given);
  const part = await partOf(file);
  const start = await startOf(file);
  if (start.toString('latin1').startsWith(HEAD_MAGIC))
    throw invalid(
      `${file}: a snapshot that a store wrote: its restore() reads it, in place of all that it holds`,
    );
  const format = given ?? recognise(start);
  if (format === null)
    throw invalid(
      `${file}: no format begins like this (${start.toString('hex', 0, 8) || 'it is empty'}); give its format, one of ${FORMATS.join(', ')}`,
    );
  if (format !== 'resp' || !isManifest(start)) return { file, format, parts: [part] };
  const names = manifestFiles(await readFile(file, 'latin1'));
  if (names === null) throw invalid(`${file}: not a manifest of append-only files`);
  const parts = names.map((name) => partOf(join(dirname(file), name)));
  return { file, format, parts: await Promise.all(parts) };
}

/** Programs without types may name another one. */
export function checkFormat(format: Format): void {
  if (!FORMATS.includes(format)) throw invalid(`format: ${format}; expected one of ${FORMATS.join(', ')}`);
}

async function startOf(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(RECOGNISED_BYTES), 0, RECOGNISED_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function partOf(file: string): Promise<Part> {
  const found = await stat(file);
  if (!found.isFile())
    throw invalid(
      `${file}: ${found.isDirectory() ? 'a directory' : 'a device or a pipe'}; expected a file, which can be read twice`,
    );
  return { file, end: found.size };
}

export function totalOf({ parts }: Pick<Source, 'parts'>): number {
  return parts.reduce((sum, { end }) => sum + end, 0);
}

/** The first reading. Rejects with a `StoreError` for what is damaged or can't be taken. */
export async function wholeOf(
  source: Source,
  taking: Taking = { database: null, lossy: false, tornEnd: false },
  advance: Advance = () => {},
): Promise<Whole> {
  const { file, format, parts } = source;
  const databases = new Map<number, number>();
  const leftOut: LeftOut = { named: [], count: 0 };
  const whole: Part[] = [];
  for (const part of parts) {
    // Only the last one can have been written to when a crash came.
    const mayBeTorn = part === parts.at(-1) && (format === 'resp' || format === 'kvlg');
    whole.push(await check(format, part, mayBeTorn, { taking, databases, leftOut, advance }));
  }
  const database = taking.database ?? onlyOf(file, databases);
  const skipped = [...databases]
    .filter(([number]) => database !== 'all' && number !== database)
    .reduce((sum, [, count]) => sum + count, 0);
  const torn = totalOf(source) - totalOf({ parts: whole });
  return { file, format, parts: whole, database, lossy: taking.lossy, leftOut, skipped, torn };
}

interface Check {
  readonly taking: Taking;
  /** Numbers of commands. */
  readonly databases: Map<number, number>;
  readonly leftOut: LeftOut;
  readonly advance: Advance;
}

/** Reads a part to its end; what of it is whole. */
async function check(format: Format, part: Part, mayBeTorn: boolean, checking: Check): Promise<Part> {
  const { taking, databases, leftOut, advance } = checking;
  const found = new Map<number, number>();
  const before = { named: leftOut.named.length, count: leftOut.count };
  const leaveOut = (what: string, offset: number): void => {
    if (!taking.lossy)
      throw invalid(
        `${part.file} at byte ${offset}: ${what}, can't be taken over; kvorum import --lossy goes on without it`,
      );
    noteLeftOut(leftOut, what);
  };
  const input = inputOf(part, advance);
  try {
    let read = 0;
    for await (const { database } of readFormat(format, input, { check: true, leaveOut })) {
      if (++read % BATCH_COMMANDS_MAX === 0) await new Promise(setImmediate);
      found.set(database, (found.get(database) ?? 0) + 1);
      advance(0, 1);
    }
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    const { wholeTo } = error;
    if (!mayBeTorn || wholeTo === null || wholeTo >= part.end) throw damaged(error);
    if (!taking.tornEnd)
      throw damaged(
        error,
        `; everything before byte ${wholeTo} is whole: kvorum import --torn-end takes that`,
      );
    leftOut.named.length = before.named;
    leftOut.count = before.count;
    return check(format, { ...part, end: wholeTo }, mayBeTorn, checking);
  } finally {
    await input.close();
  }
  for (const [database, count] of found) databases.set(database, (databases.get(database) ?? 0) + count);
  return part;
}

/** The only database with keys. */
function onlyOf(file: string, databases: ReadonlyMap<number, number>): number {
  const numbers = [...databases.keys()].toSorted((a, b) => a - b);
  const [first = 0] = numbers;
  if (numbers.length < 2 && first === 0) return first;
  const list = numbers.map((number) => `${number} (${databases.get(number)} commands)`).join(', ');
  throw invalid(
    `${file} has data in the databases ${list}, and kvorum has one database: choose with kvorum import --db <number>, or take all with --db all, where of keys of the same name the last one stays`,
  );
}

/**
 * The second reading: the commands, in order, as many together as one step holds. Rejects with a `StoreError` where the file has
 * changed.
 */
export async function* batchesOf(whole: Whole, advance: Advance = () => {}): AsyncGenerator<Batch> {
  for (const part of whole.parts) {
    const { file } = part;
    const leaveOut = (what: string): void => {
      if (!whole.lossy) throw invalid(`${file} has changed since it was checked: ${what}`);
    };
    const input = inputOf(part, advance);
    let commands: ReadCommand[] = [];
    let bytes = 0;
    try {
      const reading = { check: false, leaveOut };
      for await (const command of readFormat(whole.format, input, reading)) {
        if (whole.database !== 'all' && command.database !== whole.database) continue;
        const size = command.args.reduce((sum, arg) => sum + arg.length, 0);
        if (
          commands.length === BATCH_COMMANDS_MAX ||
          (commands.length > 0 && bytes + size > BATCH_BYTES_MAX)
        ) {
          yield { file, commands };
          commands = [];
          bytes = 0;
        }
        commands.push(command);
        bytes += size;
      }
    } catch (error) {
      throw error instanceof DamagedFile ? damaged(error) : error;
    } finally {
      await input.close();
    }
    if (commands.length > 0) yield { file, commands };
  }
}

function inputOf({ file, end }: Part, advance: Advance): Input {
  return new Input(file, chunksOf(file, end, advance));
}

async function* chunksOf(file: string, end: number, advance: Advance): AsyncGenerator<Buffer> {
  if (end === 0) return;
  const stream = createReadStream(file, { highWaterMark: CHUNK_BYTES, end: end - 1 });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    advance(chunk.length, 0);
    yield chunk;
  }
}

function damaged(error: DamagedFile, remedy = ''): StoreError {
  return new StoreError('DAMAGED', `${error.message}${remedy}`, error);
}

function invalid(message: string): StoreError {
  return new StoreError('INVALID_ARGUMENT', message);
}
