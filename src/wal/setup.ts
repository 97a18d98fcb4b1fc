/**
 * How an empty directory becomes a node's.
 *
 * ```
 * empty ──claim──▶ claimed ──segment, term and vote, then identity──▶ founded
 * ```
 *
 * A crash on the way leaves a claim, and what was written beside it counts for nothing: nothing was promised yet.
 */
import { join } from 'node:path';
import { asIndex, asTerm, type Entry, type HardState } from '../raft/types.ts';
import { corrupt, ioError } from './errors.ts';
import { HardStateFiles, isHardStateFile } from './hard-state.ts';
import {
  checkOwner,
  CLAIM_FILE,
  IDENTITY_FILE,
  readClaim,
  readIdentity,
  writeClaim,
  writeIdentity,
  type Identity,
  type Owner,
} from './identity.ts';
import { nodeStorage } from './node-storage.ts';
import { batchBytes, BatchEncoder } from './record.ts';
import { DATA_START, nameSegment, PREPARED_NAME, sequenceOf, type SegmentHead } from './segment.ts';
import { alignToSector, makeZeros, type Storage } from './storage.ts';

/** What an empty directory begins with. */
export interface Bootstrap {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/** A node that joins: it knows nobody, and the leader will fill its log. */
const NOTHING: Bootstrap = {
  hardState: { term: asTerm(0), vote: null, recovering: false },
  entries: [],
};

/** What a directory turned out to be. */
export type Claim =
  | { readonly state: 'founded'; readonly identity: Identity }
  | { readonly state: 'claimed'; readonly incarnation: string };

/**
 * Makes an empty directory this node's, durably, before a cluster is known; a directory that is claimed or set up
 * already is only read. The directory is locked no longer than the call: whoever opens it locks it again, and finds
 * the same incarnation. Rejects with a `WalError`, `WAL_FOREIGN` when it belongs to another node or group.
 */
export async function claimDirectory({
  directory,
  nodeId,
  group,
  storage = nodeStorage,
}: Owner & { readonly directory: string; readonly storage?: Storage }): Promise<Claim> {
  try {
    await storage.makeDirectory(directory);
    const unlock = await storage.lock(directory);
    try {
      return await claim(storage, directory, { nodeId, group });
    } finally {
      await unlock();
    }
  } catch (error) {
    throw ioError('claim', directory, error);
  }
}

/** The same for a directory that is locked. */
export async function claim(storage: Storage, directory: string, owner: Owner): Promise<Claim> {
  await storage.syncDirectory(directory);
  const names = await storage.list(directory);
  if (names.includes(IDENTITY_FILE)) {
    const { identity } = await readIdentity(storage, directory);
    checkOwner(directory, identity, owner);
    // The claim has done its work. Beside a lost identity it would make a log look like an interrupted set-up.
    if (names.includes(CLAIM_FILE)) await removeAll(storage, directory, [CLAIM_FILE]);
    return { state: 'founded', identity };
  }
  if (names.includes(CLAIM_FILE)) {
    const found = await readClaim(storage, directory);
    checkOwner(directory, found, owner);
    return { state: 'claimed', incarnation: found.incarnation };
  }
  const ours = names.filter(isOurs);
  if (ours.length > 0) {
    const path = join(directory, IDENTITY_FILE);
    throw corrupt(path, 0, `the file is missing beside ${ours.join(', ')} [identity]`, 'all entries');
  }
  return { state: 'claimed', incarnation: await writeClaim(storage, directory, owner) };
}

/**
 * Sets a claimed directory up, after a look whether an earlier set-up was interrupted. `bootstrap`: what it begins
 * with, `null` for a node that joins.
 */
export async function setUp(
  storage: Storage,
  directory: string,
  identity: Identity,
  bootstrap: Bootstrap | null,
  segmentBytes: number,
): Promise<void> {
  await removeAll(storage, directory, (await storage.list(directory)).filter(isOurs));
  const { hardState, entries } = bootstrap ?? NOTHING;
  await HardStateFiles.create(storage, directory, hardState);
  const after = { index: asIndex(0), term: asTerm(0) };
  const head: SegmentHead = { sequence: 1, after, batch: 0, chain: 0, begins: true };
  const size = Math.max(segmentBytes, alignToSector(DATA_START + batchBytes(entries)));
  const file = await makeZeros(storage, join(directory, PREPARED_NAME), size);
  try {
    if (entries.length > 0) {
      const batch = { number: 1, durable: 0, after, entries, commit: asIndex(0) };
      const { bytes } = new BatchEncoder().encode(batch, { sequence: 1, offset: DATA_START, chain: 0 });
      await file.write([bytes], DATA_START);
    }
    await nameSegment(storage, directory, { file, name: PREPARED_NAME }, head, identity);
    await storage.syncDirectory(directory);
  } finally {
    await file.close();
  }
  await writeIdentity(storage, directory, { identity, former: [] });
  await removeAll(storage, directory, [CLAIM_FILE]);
}

/** Removes files, durably. */
export async function removeAll(
  storage: Storage,
  directory: string,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return;
  for (const name of names) await storage.remove(join(directory, name));
  await storage.syncDirectory(directory);
}

/** Whether a file holds something of a log that was set up. */
export function isOurs(name: string): boolean {
  return sequenceOf(name) !== null || isHardStateFile(name) || name.startsWith('snapshot-');
}
