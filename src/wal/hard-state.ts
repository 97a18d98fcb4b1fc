/**
 * Term and vote, in two copies. The first is durable before the second is touched, so at most one is ever torn, and no
 * reply leaves before both are durable. Hence:
 *
 * - a crash between the two leaves an older second copy, and nobody has heard of the newer state: either is right, the
 *   newer is taken;
 * - one copy damaged at rest: the other is current, because opening makes both equal before anything is answered;
 * - both damaged: the node may have voted in a way it can't remember, so it refuses to start.
 */
import { join } from 'node:path';
import { asTerm, invariant, type HardState, type NodeId } from '../raft/types.ts';
import { ioError, isMissing } from './errors.ts';
import { decodePage, encodePage, foreignFormat } from './page.ts';
import { readWhole, SECTOR_BYTES, type OpenMode, type Storage, type StorageFile } from './storage.ts';

const MAGIC = 'KVTRMVTE';
const COPIES = ['term-vote-a', 'term-vote-b'] as const;

/** A state with its place in the order of writes. */
export interface Stored {
  /** Rises by one per write; the higher of two sound copies is the newer. */
  readonly sequence: number;
  readonly state: HardState;
}

/** What one of the files turned out to be. */
export type HardStateCopy = { readonly name: string } & (
  | { readonly state: 'sound'; readonly stored: Stored }
  | { readonly state: 'missing' | 'bad'; readonly why: string }
);

/** Both files, and the newer of the sound ones. */
export interface FoundHardState {
  readonly copies: readonly HardStateCopy[];
  /** `null`: neither is sound, and the node may have voted in a way it can't remember. */
  readonly newest: Stored | null;
}

/** Whether a file of the directory is a copy. */
export function isHardStateFile(name: string): boolean {
  return (COPIES as readonly string[]).includes(name);
}

export class HardStateFiles {
  readonly #files: readonly StorageFile[];
  readonly #directory: string;
  #stored: Stored;

  private constructor(directory: string, files: readonly StorageFile[], stored: Stored) {
    this.#directory = directory;
    this.#files = files;
    this.#stored = stored;
  }

  get state(): HardState {
    return this.#stored.state;
  }

  /** Makes both copies anew, durably but for their names: the caller syncs the directory. */
  static async create(storage: Storage, directory: string, state: HardState): Promise<void> {
    const modes = COPIES.map((): OpenMode => 'create');
    const files = new HardStateFiles(directory, await openFiles(storage, directory, modes), {
      sequence: 0,
      state,
    });
    try {
      await files.write(state);
    } finally {
      await files.close();
    }
  }

  /**
   * Takes the newer sound copy and writes both, even when they are equal: after a failed sync the kernel may show
   * bytes that the disk does not have. `notes` hears about a repair.
   */
  static async open(
    storage: Storage,
    directory: string,
    { copies, newest }: FoundHardState,
    notes: string[],
  ): Promise<HardStateFiles> {
    invariant(newest !== null, () => 'term and vote are opened although neither copy is sound');
    const modes = copies.map((copy): OpenMode => (copy.state === 'missing' ? 'create' : 'update'));
    const files = new HardStateFiles(directory, await openFiles(storage, directory, modes), newest);
    try {
      // The other one first: while it is written, the newest is perhaps the only sound one.
      const newestAt = copies.findIndex((copy) => copy.state === 'sound' && copy.stored === newest);
      await files.#writeCopies(newest, [1 - newestAt, newestAt]);
      if (modes.includes('create')) await storage.syncDirectory(directory);
    } catch (error) {
      await files.close();
      throw ioError('write', join(directory, 'term-vote'), error);
    }
    for (const copy of copies) {
      if (copy.state !== 'sound') notes.push(`${copy.name} ${copy.why}; repaired from the other copy`);
    }
    return files;
  }

  /** Durable in both copies when it resolves. */
  async write(state: HardState): Promise<void> {
    const stored = { sequence: this.#stored.sequence + 1, state };
    try {
      await this.#writeCopies(stored, [0, 1]);
    } catch (error) {
      throw ioError('write', join(this.#directory, 'term-vote'), error);
    }
    this.#stored = stored;
  }

  async #writeCopies({ sequence, state }: Stored, order: readonly number[]): Promise<void> {
    const page = encodePage(MAGIC, { sequence, ...state }, SECTOR_BYTES);
    for (const at of order) {
      const file = this.#files[at];
      if (file === undefined) continue;
      await file.write([page], 0);
      await file.sync();
    }
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}

async function openFiles(
  storage: Storage,
  directory: string,
  modes: readonly OpenMode[],
): Promise<StorageFile[]> {
  const files: StorageFile[] = [];
  for (const [at, name] of COPIES.entries()) {
    files.push(await storage.open(join(directory, name), modes[at] ?? 'update'));
  }
  return files;
}

/** Reads both copies and changes nothing. Throws `WAL_FORMAT` or `WAL_IO`. */
export async function readHardState(storage: Storage, directory: string): Promise<FoundHardState> {
  const copies: HardStateCopy[] = [];
  for (const name of COPIES) copies.push(await readCopy(storage, directory, name));
  let newest: Stored | null = null;
  for (const copy of copies) {
    if (copy.state === 'sound' && copy.stored.sequence > (newest?.sequence ?? -1)) newest = copy.stored;
  }
  return { copies, newest };
}

async function readCopy(storage: Storage, directory: string, name: string): Promise<HardStateCopy> {
  const path = join(directory, name);
  let bytes: Buffer;
  try {
    bytes = await readWhole(storage, path);
  } catch (error) {
    if (isMissing(error)) return { name, state: 'missing', why: 'is missing' };
    throw ioError('read', path, error);
  }
  const page = decodePage(MAGIC, bytes);
  if (page.state === 'foreign') throw foreignFormat(path, page.format);
  if (page.state === 'bad') return { name, state: 'bad', why: `is damaged (${page.why})` };
  const { sequence, term, vote, recovering } = page.value;
  return {
    name,
    state: 'sound',
    stored: {
      sequence: Number(sequence),
      state: {
        term: asTerm(Number(term)),
        vote: typeof vote === 'string' ? (vote as NodeId) : null,
        recovering: recovering === true,
      },
    },
  };
}
