/**
 * A file: its data in memory, and no server. What the seeds call the key-value store's command line.
 *
 * The file is read at the start and written by SNAPSHOT, and at the end if something was changed since. It is replaced as a
 * whole, so that there is always either what was or what is. A format that has no words for something (JSON for lists, or for
 * deadlines) refuses the snapshot rather than leave it out; a file whose name ends in `.rdb` holds everything.
 */
import { createReadStream } from 'node:fs';
import { open as openFile, rename, rm } from 'node:fs/promises';
import { extname } from 'node:path';

import { CommandError as Refusal, StoreError } from '../../embedded/errors.ts';
import { open, type Store } from '../../embedded/store.ts';
import { type Value, ValueReply } from '../../embedded/value-reply.ts';
import {
  type Entry,
  FORMATS,
  type Format,
  recognise,
  RECOGNISED_BYTES,
  Unrepresentable,
} from '../../formats/format.ts';
import { encoderOf, readFormat } from '../../formats/formats.ts';
import { DamagedFile, Input } from '../../formats/input.ts';
import { resolve } from '../../server/table.ts';
import { CommandError } from '../command-error.ts';
import type { Described } from './hints.ts';
import type { Reply } from './reply.ts';
import { plain } from './show.ts';
import type { Outcome, Target } from './target.ts';
import { bytesOf } from './words.ts';

const OK: Reply = { type: 'status', text: 'OK' };
const GOODBYE = 'Goodbye!';
const LIBRARY_CODE: Buffer = Buffer.from('library_code');

export class FileTarget implements Target {
  readonly prompt = '> ';
  readonly show: (reply: Reply) => string = plain;
  readonly spaced: boolean = true;
  readonly extraWords: readonly Described[];
  readonly #file: string;
  readonly #format: Format;
  readonly #store: Store;
  /** Whether the file lacks something. */
  #changed = false;
  /** Whether the last command was an EXIT that could not save. */
  #warned = false;
  /** The commands since MULTI; `null` outside a transaction. */
  #queued: (readonly string[])[] | null = null;
  #spoiled = false;

  private constructor(file: string, format: Format, store: Store) {
    this.#file = file;
    this.#format = format;
    this.#store = store;
    const word = (name: string, summary: string): Described => ({
      name,
      syntax: '',
      summary,
      since: '',
      group: 'repl',
    });
    this.extraWords = [
      word('SNAPSHOT', `Writes everything to ${file}`),
      word('EXIT', `Ends the session; writes what was changed to ${file}`),
    ];
  }

  /** Reads the file; one that is not there yet is made by the first snapshot. */
  static async open(file: string): Promise<FileTarget> {
    const start = await beginningOf(file);
    const format = start === null ? formatOf(file) : recognise(start);
    if (format === null)
      throw new CommandError(`${file}: no format begins like this; it can be one of ${FORMATS.join(', ')}`);
    const store = await open();
    if (start !== null) await load(store, file, format);
    return new FileTarget(file, format, store);
  }

  async start(): Promise<void> {}

  async run(words: readonly string[]): Promise<Outcome> {
    const name = (words[0] ?? '').toLowerCase();
    const warned = this.#warned;
    this.#warned = false;
    if (words.length === 1) {
      if (name === 'snapshot') {
        await this.#save();
        return { kind: 'said', text: bytesOf(`Saved snapshot to ${this.#file}`) };
      }
      if (name === 'exit' || name === 'quit') {
        if (!warned) await this.#saveBeforeExit();
        return { kind: 'ended', text: GOODBYE };
      }
    }
    return { kind: 'reply', reply: this.#reply(name, words) };
  }

  interrupt(): void {}

  async end(): Promise<string> {
    if (this.#changed) await this.#save();
    return GOODBYE;
  }

  close(): void {}

  async #saveBeforeExit(): Promise<void> {
    try {
      if (this.#changed) await this.#save();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#warned = true;
      throw new CommandError(`${error.message}; EXIT again leaves without saving`, { cause: error });
    }
  }

  /** Nobody else uses the data, so a transaction needs no more than to be run in one go. */
  #reply(name: string, words: readonly string[]): Reply {
    const command = resolve(words);
    if (typeof command === 'string') {
      this.#spoiled = true;
      return { type: 'error', text: command };
    }
    if (command.kind === 'transaction') return this.#transaction(command.name);
    if (this.#queued === null) return this.#execute(name, words);
    this.#queued.push(words);
    return { type: 'status', text: 'QUEUED' };
  }

  #transaction(name: 'multi' | 'exec' | 'discard' | 'watch' | 'unwatch'): Reply {
    const queued = this.#queued;
    if (name === 'watch' || name === 'unwatch') return OK;
    if (name === 'multi') {
      if (queued !== null) return { type: 'error', text: 'ERR MULTI calls can not be nested' };
      this.#queued = [];
      this.#spoiled = false;
      return OK;
    }
    if (queued === null) return { type: 'error', text: `ERR ${name.toUpperCase()} without MULTI` };
    this.#queued = null;
    if (name === 'discard') return OK;
    if (this.#spoiled)
      return { type: 'error', text: 'EXECABORT Transaction discarded because of previous errors.' };
    return {
      type: 'array',
      items: queued.map((words) => this.#execute((words[0] ?? '').toLowerCase(), words)),
    };
  }

  #execute(name: string, words: readonly string[]): Reply {
    const command = resolve(words);
    if (typeof command === 'string') return { type: 'error', text: command };
    try {
      if (command.kind === 'pure') {
        const reply = new ValueReply(name, true);
        command.answer(words, Date.now(), reply);
        return replyOf(reply.result());
      }
      if (command.kind !== 'data')
        return {
          type: 'error',
          text: `ERR '${command.name.replace('|', ' ')}' needs a server: kvorum repl <host>:<port>`,
        };
      if (command.write) this.#changed = true;
      const args = words.slice(1).map((word) => Buffer.from(word, 'latin1'));
      const value = this.#store.execute([words[0] ?? '', ...args], { buffers: true });
      // As the seeds have both; DEL tells how many there were.
      if (name === 'delete') return OK;
      if (name === 'keys') return replyOf([...(value as readonly Buffer[])].sort((a, b) => a.compare(b)));
      return replyOf(value);
    } catch (error) {
      if (error instanceof Refusal) return { type: 'error', text: bytesOf(error.reply) };
      if (error instanceof StoreError) return { type: 'error', text: bytesOf(`ERR ${error.message}`) };
      throw error;
    }
  }

  async #save(): Promise<void> {
    let bytes: Buffer;
    try {
      bytes = this.#encode();
    } catch (error) {
      if (!(error instanceof Unrepresentable)) throw error;
      const remedy = this.#format === 'rdb' ? '' : '; a file whose name ends in .rdb holds everything';
      throw new CommandError(`${this.#file}: ${this.#format} can't hold ${error.message}${remedy}`, {
        cause: error,
      });
    }
    await replace(this.#file, bytes);
    this.#changed = false;
  }

  /** Keys in the order of their bytes, as Go's maps are written. */
  #encode(): Buffer {
    const encoder = encoderOf(this.#format, Date.now());
    // In the order of the file: some formats have a checksum at their end.
    const libraries = this.#libraries().map((code) => encoder.entry({ kind: 'library', code }));
    const entries = this.#keys().flatMap((key) => {
      const entry = this.#entry(key);
      return entry === null ? [] : [encoder.entry(entry)];
    });
    const { tail, head } = encoder.end();
    return Buffer.concat([head ?? encoder.head, ...libraries, ...entries, tail]);
  }

  /** The code of the libraries of functions. */
  #libraries(): string[] {
    const list = this.#store.execute(['FUNCTION', 'LIST', 'WITHCODE'], { buffers: true });
    return (list as readonly ReadonlyMap<Value, Value>[]).flatMap((library) =>
      [...library].flatMap(([name, value]) =>
        Buffer.isBuffer(name) && name.equals(LIBRARY_CODE) && Buffer.isBuffer(value)
          ? [value.toString('latin1')]
          : [],
      ),
    );
  }

  #keys(): Buffer[] {
    const keys = this.#store.execute(['KEYS', '*'], { buffers: true }) as readonly Buffer[];
    return [...keys].sort((a, b) => a.compare(b));
  }

  /** `null` for a key that has just expired. */
  #entry(bytes: Buffer): Entry | null {
    const ask = (name: string): Value => this.#store.execute([name, bytes], { buffers: true });
    const key = bytes.toString('latin1');
    const deadline = ask('PEXPIRETIME');
    const expiresAt = typeof deadline === 'number' && deadline > 0 ? deadline : null;
    const dump = ask('DUMP');
    return Buffer.isBuffer(dump) ? { kind: 'dump', key, dump: dump.toString('latin1'), expiresAt } : null;
  }
}

/** What tells the format; null when there is no file. */
async function beginningOf(file: string): Promise<Buffer | null> {
  try {
    const handle = await openFile(file);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(RECOGNISED_BYTES), 0, RECOGNISED_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw asCommandError(error);
  }
}

/** Of a new file, by the end of its name. */
function formatOf(file: string): Format {
  const ending = extname(file).slice(1).toLowerCase();
  return FORMATS.find((format) => format === ending) ?? 'json';
}

async function load(store: Store, file: string, format: Format): Promise<void> {
  const reading = {
    check: true,
    leaveOut(what: string, offset: number): never {
      throw new CommandError(`${file}: ${what} at byte ${offset} can't be taken over; use kvorum import`);
    },
  };
  try {
    const input = new Input(file, createReadStream(file));
    for await (const { args, database } of readFormat(format, input, reading)) {
      if (database !== 0)
        throw new CommandError(
          `${file}: it has a database ${database}, and there is only 0; use kvorum import`,
        );
      const [name = '', ...others] = args;
      store.execute([name, ...others.map((arg) => Buffer.from(arg, 'latin1'))]);
    }
  } catch (error) {
    throw asCommandError(error);
  }
}

/** The file has its old content or the new one, whenever the machine stops. */
async function replace(file: string, bytes: Buffer): Promise<void> {
  const next = `${file}.${process.pid}.tmp`;
  try {
    const handle = await openFile(next, 'w');
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(next, file);
  } catch (error) {
    await rm(next, { force: true }).catch(() => {});
    throw new CommandError(
      `${file} is not saved: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** Of the files and the data; anything else is a fault of ours and stays what it is. */
function asCommandError(error: unknown): unknown {
  if (error instanceof DamagedFile || (error instanceof Error && 'code' in error))
    return new CommandError(error.message, { cause: error });
  return error;
}

function replyOf(value: Value): Reply {
  if (value === null) return { type: 'nil' };
  if (typeof value === 'string') return { type: 'status', text: bytesOf(value) };
  if (typeof value === 'boolean') return { type: 'boolean', value };
  if (typeof value === 'bigint') return { type: 'integer', text: `${value}` };
  if (typeof value === 'number')
    return { type: Number.isSafeInteger(value) ? 'integer' : 'double', text: doubleText(value) };
  if (Buffer.isBuffer(value)) return { type: 'bulk', text: value.toString('latin1') };
  if (value instanceof Refusal) return { type: 'error', text: bytesOf(value.reply) };
  if (value instanceof Map) return { type: 'map', items: [...value].flat().map(replyOf) };
  return { type: 'array', items: (value as readonly Value[]).map(replyOf) };
}

function doubleText(value: number): string {
  return `${value}`.replace('Infinity', 'inf');
}
