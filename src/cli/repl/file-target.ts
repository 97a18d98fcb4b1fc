/**
 * A file: its data in memory, and no server. What the seeds call the key-value store's command line.
 *
 * The file is read at the start and written by SNAPSHOT, and from time to time and at the end if something was changed since. It
 * is replaced as a whole, so that there is always either what was or what is. A format that has no words for something (JSON
 * for lists, or for deadlines) refuses the snapshot rather than leave it out; a file whose name ends in `.rdb` holds everything.
 */
import { stat } from 'node:fs/promises';
import { CommandError as Refusal, StoreError } from '../../embedded/errors.ts';
import { type Source, sourceOf } from '../../embedded/source.ts';
import { open, type Store } from '../../embedded/store.ts';
import { type Value, ValueReply } from '../../embedded/value-reply.ts';
import { type Format, formatNamed, Unrepresentable } from '../../formats/format.ts';
import { resolve } from '../../server/table.ts';
import { CommandError } from '../command-error.ts';
import type { Described } from './hints.ts';
import type { Reply } from './reply.ts';
import { plain } from './show.ts';
import type { Listener, Outcome, Target } from './target.ts';
import { bytesOf } from './words.ts';

const OK: Reply = { type: 'status', text: 'OK' };
const GOODBYE = 'Goodbye!';
/** What is not saved by then is saved without being asked for. */
const SNAPSHOT_INTERVAL_MS: number = 5 * 60 * 1000;

export class FileTarget implements Target {
  readonly prompt = '> ';
  readonly show: (reply: Reply) => string = plain;
  readonly spaced: boolean = true;
  readonly extraWords: readonly Described[];
  readonly #file: string;
  /** What it is saved as; null for a manifest, whose files are only read. */
  readonly #format: Format | null;
  readonly #store: Store;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | null = null;
  /** Whether the file lacks something. */
  #changed = false;
  /** One is written after the other: an older state must not replace a newer one. */
  #saving: Promise<void> = Promise.resolve();
  /** Why it last could not be saved unasked: once is enough to say so. */
  #told: string | null = null;
  /** Whether the last command was an EXIT that could not save. */
  #warned = false;
  /** The commands since MULTI; `null` outside a transaction. */
  #queued: (readonly string[])[] | null = null;
  #spoiled = false;

  private constructor(file: string, format: Format | null, store: Store, intervalMs: number) {
    this.#file = file;
    this.#intervalMs = intervalMs;
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
  static async open(file: string, intervalMs: number = SNAPSHOT_INTERVAL_MS): Promise<FileTarget> {
    try {
      const source = await existing(file);
      const store = await open();
      if (source === null) return new FileTarget(file, formatNamed(file) ?? 'json', store, intervalMs);
      await store.load(file, source.format);
      const isManifest = source.parts.every((part) => part.file !== file);
      return new FileTarget(file, isManifest ? null : source.format, store, intervalMs);
    } catch (error) {
      throw asCommandError(error);
    }
  }

  async start({ onNotice }: Pick<Listener, 'onNotice'>): Promise<void> {
    this.#timer = setInterval(() => void this.#saveUnasked(onNotice), this.#intervalMs).unref();
  }

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
    await this.#saveChanges();
    return GOODBYE;
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  async #saveUnasked(tell: (text: string) => void): Promise<void> {
    if (!this.#changed) return;
    try {
      await this.#save();
      this.#told = null;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (error.message !== this.#told) tell(bytesOf(error.message));
      this.#told = error.message;
    }
  }

  async #saveBeforeExit(): Promise<void> {
    try {
      await this.#saveChanges();
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

  async #saveChanges(): Promise<void> {
    await this.#saving;
    if (this.#changed) await this.#save();
  }

  async #save(): Promise<void> {
    const saved = this.#saving.then(async () => {
      // What comes from here on may not be in the file.
      this.#changed = false;
      try {
        await this.#write();
      } catch (error) {
        this.#changed = true;
        throw error;
      }
    });
    this.#saving = saved.catch(() => undefined);
    await saved;
  }

  async #write(): Promise<void> {
    if (this.#format === null)
      throw new CommandError(
        `${this.#file} is the manifest of an append-only file, which is only read; kvorum import takes it over`,
      );
    try {
      await this.#store.export(this.#file, this.#format, { sorted: true });
    } catch (error) {
      if (!(error instanceof StoreError))
        throw asCommandError(error, (message) => `${this.#file} is not saved: ${message}`);
      const lacking = error.cause instanceof Unrepresentable && this.#format !== 'rdb';
      const remedy = lacking ? '; a file whose name ends in .rdb holds everything' : '';
      throw asCommandError(error, (message) => `${message}${remedy}`);
    }
  }
}

/** Null where there is none yet, or one that nothing was written to. */
async function existing(file: string): Promise<Source | null> {
  try {
    const found = await stat(file);
    if (found.isFile() && found.size === 0) return null;
    return await sourceOf(file, null);
  } catch (error) {
    // Of a manifest's own files none may be missing.
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && path === file) return null;
    throw error;
  }
}

/** Of the files and the data; anything else is a fault of ours and stays what it is. */
function asCommandError(error: unknown, words: (message: string) => string = (message) => message): unknown {
  return error instanceof Error && 'code' in error
    ? new CommandError(words(error.message), { cause: error })
    : error;
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
