/** The file or files of an import: which format, in which order, and how often they can be read. */
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FORMATS, type Format, recognise, RECOGNISED_BYTES } from '../../formats/format.ts';
import { Input } from '../../formats/input.ts';
import { isManifest, manifestFiles } from '../../formats/resp.ts';
import { CommandError } from '../command-error.ts';
import { explain } from '../serve.ts';
import type { Progress } from './progress.ts';

const CHUNK_BYTES: number = 1024 * 1024;
/** What stands for the standard input or output. */
export const STANDARD = '-';

/** One file to be read. */
export interface Part {
  readonly file: string;
  readonly bytes: number;
  /** Only so much of it is read. */
  readonly end: number;
}

export interface Source {
  readonly format: Format;
  readonly parts: readonly Part[];
}

/** Looks at the beginning of a file for its format, where that was not said. */
export async function sourceOf(file: string, format: Format | null): Promise<Source> {
  try {
    const start = await startOf(file);
    const found = format ?? recognise(start);
    if (found === null)
      throw new CommandError(
        `${file}: no format begins like this (${start.toString('hex', 0, 8) || 'it is empty'}); give --format, one of ${FORMATS.join(', ')}`,
      );
    if (found !== 'resp' || !isManifest(start)) return { format: found, parts: [await partOf(file)] };
    const names = manifestFiles(await readFile(file, 'latin1'));
    if (names === null) throw new CommandError(`${file}: not a manifest of append-only files`);
    const parts = names.map((name) => partOf(join(dirname(file), name)));
    return { format: found, parts: await Promise.all(parts) };
  } catch (error) {
    if (!(error instanceof Error) || error instanceof CommandError) throw error;
    throw new CommandError(explain(error), { cause: error });
  }
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
  const { size } = await stat(file);
  return { file, bytes: size, end: size };
}

/** From its beginning. */
export function inputOf({ file, end }: Part, progress: Progress): Input {
  return new Input(file, chunksOf(file, end, progress));
}

async function* chunksOf(file: string, end: number, progress: Progress): AsyncGenerator<Buffer> {
  if (end === 0) return;
  const stream = createReadStream(file, { highWaterMark: CHUNK_BYTES, end: end - 1 });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    progress.advance(chunk.length, 0);
    yield chunk;
  }
}
