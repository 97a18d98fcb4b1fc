/**
 * Whose directory this is: the page that says so, and the claim that comes before it.
 *
 * A directory belongs to a node before it belongs to a cluster: the members of a cluster that is founded name their
 * directories to each other before the cluster has an id, and a node that joins names its own before it learns the
 * id. So the first thing ever written is the *claim*: node, group and a random *incarnation*. Once the directory is
 * set up, `identity` takes its place, written last and by rename, so that its presence means "set up completely";
 * while there is only a claim, a set-up may have been interrupted and begins anew (setup.ts).
 *
 * The incarnation tells an emptied directory from the one that was there before under the same id: votes and
 * acknowledged entries are gone with the old one, so the others must not take the new one for it.
 */
import { join } from 'node:path';
import { corrupt, ioError, WalError } from './errors.ts';
import { decodePage, encodePage, foreignFormat } from './page.ts';
import { readWhole, type Storage } from './storage.ts';

const IDENTITY_MAGIC = 'KVIDENTY';
const CLAIM_MAGIC = 'KVCLAIMD';
export const IDENTITY_FILE = 'identity';
export const CLAIM_FILE = 'claim';
const INCARNATION_BYTES = 8;

/** The node and the replicated log that a directory is for; known before anything else. */
export interface Owner {
  readonly nodeId: string;
  readonly group: string;
}

/** The cluster, the node, the replicated log and the directory itself. */
export interface Identity extends Owner {
  /** Given to a directory when it is set up; from then on the directory's own counts. */
  readonly clusterId: string;
  /** The directory's random name: 16 hex digits, made when it was claimed. */
  readonly incarnation: string;
}

/** Whose directory it is, and whose it was: segments that are older than a forced new cluster keep their old owner. */
export interface Ownership {
  readonly identity: Identity;
  /** Oldest first; empty but after `kvorum recover --force-new-cluster`. */
  readonly former: readonly Identity[];
}

/** A copy with the fields in a fixed order, so that equal identities have equal JSON. */
export function normalized({ clusterId, nodeId, group, incarnation }: Identity): Identity {
  return { clusterId, nodeId, group, incarnation };
}

/** A fresh incarnation. */
export function newIncarnation(storage: Storage): string {
  return storage.random(INCARNATION_BYTES).toString('hex');
}

/** Declares whose the directory is, durably and in one step. */
export function writeIdentity(
  storage: Storage,
  directory: string,
  { identity, former }: Ownership,
): Promise<void> {
  const value = { ...normalized(identity), former: former.map(normalized) };
  return publish(storage, directory, IDENTITY_FILE, encodePage(IDENTITY_MAGIC, value));
}

/** Claims an empty directory, durably; answers its incarnation. */
export async function writeClaim(
  storage: Storage,
  directory: string,
  { nodeId, group }: Owner,
): Promise<string> {
  const incarnation = newIncarnation(storage);
  await publish(storage, directory, CLAIM_FILE, encodePage(CLAIM_MAGIC, { nodeId, group, incarnation }));
  return incarnation;
}

/** Writes a whole file under another name and renames it, each step durable before the next. */
async function publish(storage: Storage, directory: string, name: string, page: Buffer): Promise<void> {
  const path = join(directory, name);
  const temporary = `${path}.tmp`;
  try {
    const file = await storage.open(temporary, 'create');
    try {
      await file.write([page], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await storage.rename(temporary, path);
    await storage.syncDirectory(directory);
  } catch (error) {
    throw ioError('write', path, error);
  }
}

/** Whose directory it is. Throws `WAL_CORRUPT` or `WAL_FORMAT`. */
export async function readIdentity(storage: Storage, directory: string): Promise<Ownership> {
  const value = await readPage(storage, join(directory, IDENTITY_FILE), IDENTITY_MAGIC);
  const { former } = value;
  return {
    identity: decodeIdentity(value),
    former: Array.isArray(former)
      ? former.map((one) => decodeIdentity(one as Readonly<Record<string, unknown>>))
      : [],
  };
}

function decodeIdentity(value: Readonly<Record<string, unknown>>): Identity {
  const field = (name: keyof Identity): string => String(value[name]);
  return {
    clusterId: field('clusterId'),
    nodeId: field('nodeId'),
    group: field('group'),
    incarnation: field('incarnation'),
  };
}

/** Who has claimed a directory that is not set up. Throws `WAL_CORRUPT` or `WAL_FORMAT`. */
export async function readClaim(
  storage: Storage,
  directory: string,
): Promise<Owner & { readonly incarnation: string }> {
  const { nodeId, group, incarnation } = await readPage(storage, join(directory, CLAIM_FILE), CLAIM_MAGIC);
  return { nodeId: String(nodeId), group: String(group), incarnation: String(incarnation) };
}

async function readPage(
  storage: Storage,
  path: string,
  magic: string,
): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readWhole(storage, path).catch((error: unknown) => {
    throw ioError('read', path, error);
  });
  const page = decodePage(magic, bytes);
  if (page.state === 'foreign') throw foreignFormat(path, page.format);
  if (page.state === 'bad')
    throw corrupt(path, 0, `whose directory it is can't be read: ${page.why} [identity]`, 'no entries');
  return page.value;
}

/** Throws `WAL_FOREIGN` unless the directory is that of `expected`. */
export function checkOwner(directory: string, found: Owner, expected: Owner): void {
  for (const field of ['nodeId', 'group'] as const) {
    if (found[field] === expected[field]) continue;
    const remedy =
      field === 'nodeId' ? `start it with --id ${found.nodeId}` : `start it for the group ${found.group}`;
    throw new WalError(
      'WAL_FOREIGN',
      `${directory} belongs to ${field} "${found[field]}", this process is ${field} "${expected[field]}"; ` +
        `${remedy}, or give it another --data-dir`,
    );
  }
}
