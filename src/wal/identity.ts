/**
 * Whose directory this is. Written last when a directory is set up and by rename, so that its presence means "set up
 * completely"; while `identity.tmp` is there and `identity` is not, the set-up was interrupted and begins anew.
 */
import { join } from 'node:path';
import { corrupt, ioError, WalError } from './errors.ts';
import { decodePage, encodePage, foreignFormat } from './page.ts';
import { readWhole, type Storage } from './storage.ts';

const MAGIC = 'KVIDENTY';
export const IDENTITY_FILE = 'identity';
export const IDENTITY_TEMPORARY = 'identity.tmp';

/** The cluster, the node and the replicated log that a directory belongs to. */
export interface Identity {
  /** Given to a directory when it is set up; from then on the directory's own counts. */
  readonly clusterId: string;
  readonly nodeId: string;
  readonly group: string;
}

/** A copy with the fields in a fixed order, so that equal identities have equal JSON. */
export function normalized({ clusterId, nodeId, group }: Identity): Identity {
  return { clusterId, nodeId, group };
}

/** Announces a set-up, durably: from here on the directory is ours to clear until `identity` exists. */
export async function beginSetup(storage: Storage, directory: string, identity: Identity): Promise<void> {
  const path = join(directory, IDENTITY_TEMPORARY);
  try {
    const file = await storage.open(path, 'create');
    try {
      await file.write([encodePage(MAGIC, identity)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await storage.syncDirectory(directory);
  } catch (error) {
    throw ioError('write', path, error);
  }
}

/** Declares the set-up complete, durably. */
export async function endSetup(storage: Storage, directory: string): Promise<void> {
  const path = join(directory, IDENTITY_FILE);
  try {
    await storage.rename(join(directory, IDENTITY_TEMPORARY), path);
    await storage.syncDirectory(directory);
  } catch (error) {
    throw ioError('rename', path, error);
  }
}

/** Reads whose directory it is; throws unless it belongs to the node and the group of `expected`. */
export async function readIdentity(
  storage: Storage,
  directory: string,
  expected: Identity,
): Promise<Identity> {
  const path = join(directory, IDENTITY_FILE);
  const bytes = await readWhole(storage, path).catch((error: unknown) => {
    throw ioError('read', path, error);
  });
  const page = decodePage(MAGIC, bytes);
  if (page.state === 'foreign') throw foreignFormat(path, page.format);
  if (page.state === 'bad') throw corrupt(path, 0, `the identity is damaged: ${page.why}`, 'no entries');
  for (const field of ['nodeId', 'group'] as const) {
    const found = page.value[field];
    if (found === expected[field]) continue;
    throw new WalError(
      'WAL_FOREIGN',
      `${directory} belongs to ${field} "${String(found)}", this process is ${field} "${expected[field]}"; ` +
        `${field === 'nodeId' ? `start it with --id ${String(found)}` : `start it for that ${field}`}, or give it another --data-dir`,
    );
  }
  return normalized({ ...expected, clusterId: String(page.value['clusterId']) });
}
