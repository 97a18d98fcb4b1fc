/** Other programs' files: read as commands, written from entries. See `src/formats`. */
import { createReadStream } from 'node:fs';
import { open as openFile, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { encoderOf, readFormat } from '../formats/formats.ts';
import { type Entry, type Format, recognise, RECOGNISED_BYTES, Unrepresentable } from '../formats/format.ts';
import { DamagedFile, Input } from '../formats/input.ts';
import { StoreError } from './errors.ts';

const CHUNK_BYTES: number = 1024 * 1024;

/** The commands of a file, after a first reading to its end: one that is damaged or can't be taken over throws before. */
export async function* commandsIn(file: string, given: Format | null): AsyncGenerator<readonly string[]> {
  const format = given ?? (await formatOf(file));
  try {
    for await (const { database } of readFormat(format, inputOf(file), {
      check: true,
      leaveOut: refuse(file),
    })) {
      if (database !== 0)
        throw new StoreError(
          'INVALID_ARGUMENT',
          `${file}: it has keys of database ${database}; a store has only one`,
        );
    }
    const again = readFormat(format, inputOf(file), { check: false, leaveOut() {} });
    for await (const { args } of again) yield args;
  } catch (error) {
    throw error instanceof DamagedFile ? new StoreError('DAMAGED', error.message, error) : error;
  }
}

function inputOf(file: string): Input {
  return new Input(file, createReadStream(file, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>);
}

function refuse(file: string): (what: string, offset: number) => never {
  return (what, offset) => {
    throw new StoreError('INVALID_ARGUMENT', `${file}: at byte ${offset}: ${what}`);
  };
}

async function formatOf(file: string): Promise<Format> {
  const handle = await openFile(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(RECOGNISED_BYTES), 0, RECOGNISED_BYTES, 0);
    const format = recognise(buffer.subarray(0, bytesRead));
    if (format === null)
      throw new StoreError('INVALID_ARGUMENT', `${file}: no format begins like this; say which it is`);
    return format;
  } finally {
    await handle.close();
  }
}

/** Writes a file, durable under its name when this resolves to its size; one that was there is replaced then, not before. */
export async function writeFormat(file: string, format: Format, entries: Iterable<Entry>): Promise<number> {
  const encoder = encoderOf(format, Date.now());
  const temporary = join(dirname(file), `.${basename(file)}.tmp`);
  const handle = await openFile(temporary, 'w');
  let bytes = 0;
  let waiting: Buffer[] = [encoder.head];
  let waitingBytes = encoder.head.length;
  const write = async (): Promise<void> => {
    await handle.writev(waiting);
    bytes += waitingBytes;
    waiting = [];
    waitingBytes = 0;
  };
  try {
    for (const entry of entries) {
      const encoded = encoder.entry(entry);
      waiting.push(encoded);
      waitingBytes += encoded.length;
      if (waitingBytes >= CHUNK_BYTES) await write();
    }
    const { tail, head } = encoder.end();
    waiting.push(tail);
    waitingBytes += tail.length;
    await write();
    if (head !== null) await handle.write(head, 0, head.length, 0);
    await handle.sync();
  } catch (error) {
    throw error instanceof Unrepresentable
      ? new StoreError('INVALID_ARGUMENT', `${file}: ${error.message}`, error)
      : error;
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  return bytes;
}
