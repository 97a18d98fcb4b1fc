/** The data directory of an embedded store, while no program has it open: the same commands, without a network. */
import { stat } from 'node:fs/promises';
import { CommandError as Refused, StoreError } from '../../embedded/errors.ts';
import { holdsData } from '../../embedded/journal.ts';
import { open, type Store } from '../../embedded/store.ts';
import type { Value } from '../../embedded/value-reply.ts';
import { CommandError } from '../command-error.ts';
import type { Origin } from './export.ts';
import { type Reply, ReplyError } from './node-link.ts';
import type { Target } from './target.ts';

export class Directory implements Target, Origin {
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Makes a new one where there is none. */
  static async create(directory: string): Promise<Directory> {
    return new Directory(await mended(open(directory)));
  }

  static async existing(directory: string): Promise<Directory> {
    const found = await stat(directory).catch(() => null);
    if (found?.isDirectory() !== true)
      throw new CommandError(`${directory}: neither a directory nor <host>:<port>`);
    if (!(await holdsData(directory))) throw new CommandError(`${directory}: there is no store in it`);
    return Directory.create(directory);
  }

  /** All are in one entry of the log, since nothing is waited for in between. */
  async run(commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    const replies = commands.map((args) => this.#execute(args));
    await mended(this.#store.flush());
    return replies;
  }

  async read(requests: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    return requests.map((args) => this.#execute(args));
  }

  async close(): Promise<void> {
    await mended(this.#store.close());
  }

  #execute([name = '', ...args]: readonly string[]): Reply {
    try {
      return replyOf(
        this.#store.execute([name, ...args.map((arg) => Buffer.from(arg, 'latin1'))], { buffers: true }),
      );
    } catch (error) {
      if (error instanceof Refused) return new ReplyError(error.reply);
      if (error instanceof StoreError && error.code === 'INVALID_ARGUMENT')
        return new ReplyError(`ERR ${error.message}`);
      throw error;
    }
  }
}

async function mended<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StoreError) throw new CommandError(error.message, { cause: error });
    throw error;
  }
}

/** As a server would send it. */
function replyOf(value: Value): Reply {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof Refused) return new ReplyError(value.reply);
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  if (value instanceof Map) return [...value].flat().map((item: Value) => replyOf(item));
  return (value as readonly Value[]).map(replyOf);
}
