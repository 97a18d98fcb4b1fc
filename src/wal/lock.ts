/**
 * One process per directory, by listening on a Unix socket in it. The kernel closes the socket with the process,
 * however that ends, so there is nothing stale to misjudge: no process number that may have been reused, no time-out.
 * Sockets with a path are found by inode, so the lock also holds between containers that share a volume. It does not
 * hold between machines that share a network file system.
 *
 * The sockets are numbered, because removing a dead one and binding its name again can't be made one step. Who wants
 * the directory binds the number after the highest, provided that one is dead, and has it if then nobody stands higher
 * and nobody lower answers. Of two at the same moment at most one wins: if the first looked up before the second
 * bound, the first was listening already and the second sees it from above; otherwise the first sees the second.
 */
import { open, readdir, unlink, type FileHandle } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { WalError } from './errors.ts';

const NAME = /^lock-(\d{1,9})$/;
/** Two processes that start at once may meet this often on the same number before one gives up. */
const ATTEMPTS_MAX = 8;

/** Whether a process has the directory open. Takes nothing and leaves nothing behind. */
export async function isLocked(directory: string): Promise<boolean> {
  const handle = await open(directory, 'r');
  try {
    const base = process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : directory;
    for (const number of await numbers(directory)) if (await answers(`${base}/lock-${number}`)) return true;
    return false;
  } finally {
    await handle.close();
  }
}

export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  // Socket addresses hold about 100 bytes. Where /proc exists, a directory of any length is reached through a
  // descriptor, which must stay open: closing the server removes the socket by the path it was bound with.
  const handle = await open(directory, 'r');
  const base = process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : directory;
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const highest = Math.max(0, ...(await numbers(directory)));
      if (highest > 0 && (await answers(`${base}/lock-${highest}`))) throw locked(directory);
      const mine = highest + 1;
      const server = await bind(`${base}/lock-${mine}`);
      if (server === null) continue;
      try {
        await claim(directory, base, mine);
      } catch (error) {
        await closed(server);
        throw error;
      }
      return () => release(server, handle);
    }
    throw locked(directory);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Rejects unless `mine` is the highest and nobody lower lives; then removes the dead. */
async function claim(directory: string, base: string, mine: number): Promise<void> {
  const others = (await numbers(directory)).filter((number) => number !== mine);
  if (others.some((number) => number > mine)) throw locked(directory);
  for (const number of others) {
    if (await answers(`${base}/lock-${number}`)) throw locked(directory);
  }
  for (const number of others) await unlink(`${directory}/lock-${number}`).catch(() => undefined);
}

async function numbers(directory: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir(directory)) {
    const match = NAME.exec(name);
    if (match !== null) found.push(Number(match[1]));
  }
  return found;
}

/** Whether a process listens there. Anything but a plain refusal counts as one: a full backlog is a living process. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** Listens there; `null` when the name is taken. */
function bind(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

async function release(server: Server, handle: FileHandle): Promise<void> {
  await closed(server);
  await handle.close();
}

/** Closes the server, which also removes its socket from the directory. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function locked(directory: string): WalError {
  return new WalError(
    'WAL_LOCKED',
    `${directory}: another running process has this data directory open; stop it first, or give this one its own --data-dir`,
  );
}
