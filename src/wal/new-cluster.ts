/**
 * The way out when a majority of a cluster is lost for ever: one directory becomes the only voter of a *new* cluster.
 *
 * Whether it holds everything that was acknowledged can't be known from inside it. What it lacks is gone, and what it
 * holds that was never committed becomes committed. So nothing does this by itself, and the old cluster can't notice:
 * the new one has another id and the directory another incarnation, and all other members' ids count as removed, so
 * that none of them, should it start again, is ever taken for a member.
 *
 * The steps, each durable before the next, so that a crash leaves a directory on which it can all be done again:
 *
 * 1. `identity` names the new cluster; the segments that are there keep their old head and are known as former ones. From
 *    here on the old cluster turns this node away, whatever it believes.
 * 2. An end of the log that was durable and is damaged is cut: here is nobody to get it back from.
 * 3. A new term begins, and its first entry says who takes part: this node. Its commit index covers the whole log.
 */
import { join } from 'node:path';
import { encodeConfiguration, membersOf } from '../raft/configuration.ts';
import { asIndex, asNodeId, asTerm, type Configuration, EntryType, type NodeId } from '../raft/types.ts';
import { ioError, WalError } from './errors.ts';
import { examine, type Examination } from './examine.ts';
import { newIncarnation, writeIdentity, type Identity } from './identity.ts';
import { nodeStorage } from './node-storage.ts';
import { cutEnd } from './repair.ts';
import { claim } from './setup.ts';
import type { Storage } from './storage.ts';
import { SEGMENT_BYTES_DEFAULT, Wal } from './wal.ts';

const CLUSTER_ID_BYTES = 16;

/** What a new cluster is made of. */
export interface NewClusterPlan {
  readonly directory: string;
  /** The node's id in the new cluster: its own, or one that was never used in the old one. */
  readonly nodeId: NodeId;
  /** Where other nodes will reach it. */
  readonly url: string;
  readonly storage?: Storage;
}

export interface NewCluster {
  readonly identity: Identity;
  /** The last entry that was kept, and the one behind it that begins the new cluster. */
  readonly keptTo: number;
  readonly configurationIndex: number;
  /** Members of the old cluster that are none of the new one. */
  readonly left: readonly NodeId[];
  /** What was cut, in words. */
  readonly notes: readonly string[];
}

/**
 * Makes the directory the only member of a new cluster. No process may have it open. Rejects with `WAL_FOREIGN` where it
 * holds no cluster or the id can't be used, with `WAL_CORRUPT` where more than the end of the log is damaged, and then
 * nothing was changed.
 */
export async function forceNewCluster(plan: NewClusterPlan): Promise<NewCluster> {
  const { directory, nodeId, storage = nodeStorage } = plan;
  try {
    const { identity, configuration, segmentBytes, notes } = await moveIdentity(storage, plan);
    const { clusterId, group } = identity;
    const { wal, recovered } = await Wal.open({
      directory,
      storage,
      fsync: 'always',
      segmentBytes,
      identity: { clusterId, nodeId, group },
      bootstrap: null,
    });
    const { lastIndex: keptTo } = recovered;
    try {
      const index = asIndex(keptTo + 1);
      const term = asTerm(recovered.hardState.term + 1);
      const { incarnation } = identity;
      const voters = [{ id: nodeId, url: plan.url, incarnation }];
      const removed = formerIds(configuration, nodeId);
      const payload = encodeConfiguration({ voters, outgoing: [], learners: [], removed });
      await wal.append({
        hardState: { term, vote: nodeId, recovering: false },
        entries: [{ index, term, type: EntryType.configuration, payload }],
        commit: index,
      });
      const left = membersOf(configuration).flatMap(({ id }) => (id === nodeId ? [] : [id]));
      return { identity, keptTo, configurationIndex: index, left, notes };
    } finally {
      await wal.close();
    }
  } catch (error) {
    throw ioError('make a new cluster of', directory, error);
  }
}

/** Steps 1 and 2, under the lock. */
async function moveIdentity(
  storage: Storage,
  { directory, nodeId }: NewClusterPlan,
): Promise<{ identity: Identity; configuration: Configuration; segmentBytes: number; notes: string[] }> {
  const unlock = await storage.lock(directory);
  try {
    const examination = await examine(storage, directory);
    const configuration = checkPossible(directory, nodeId, examination);
    const { identity: old, former } = examination.owners;
    const clusterId = storage.random(CLUSTER_ID_BYTES).toString('hex');
    const identity = { clusterId, nodeId, group: old.group, incarnation: newIncarnation(storage) };
    await writeIdentity(storage, directory, { identity, former: [...former, old] });
    // A claim beside the old identity is the rest of a set-up.
    await claim(storage, directory, identity);
    // The log is closed at once: the segment that it prepares need not be larger than the last one.
    const segmentBytes = Math.min(examination.log?.tail.fileBytes ?? Infinity, SEGMENT_BYTES_DEFAULT);
    const notes = await cutLostEnd(storage, directory, examination);
    return { identity, configuration, segmentBytes, notes };
  } finally {
    await unlock();
  }
}

/** The old configuration; throws where no new cluster can be made. */
function checkPossible(
  directory: string,
  nodeId: NodeId,
  { refusal, tail, configuration, owners }: Examination,
): Configuration {
  if (refusal !== null && tail?.label !== 'nobody to ask') throw refusal;
  if (configuration === null) {
    const what = 'has no cluster in it: this node had joined one and not yet got anything';
    throw new WalError('WAL_FOREIGN', `${directory} ${what}; use the directory of another member`);
  }
  const old = owners.identity.nodeId;
  if (nodeId !== old && formerIds(configuration, asNodeId(old)).includes(nodeId)) {
    const what = `${nodeId} was the id of another member`;
    throw new WalError('WAL_FOREIGN', `${what}; ids are never used again: take ${old} or a new one`);
  }
  if (configuration.removed.includes(nodeId)) {
    const what = `${nodeId} was removed from the cluster, and ids are never used again`;
    throw new WalError('WAL_FOREIGN', `${what}; choose a new one with --id`);
  }
  return configuration;
}

/** All ids of the old cluster but this one. */
function formerIds(configuration: Configuration, nodeId: NodeId): NodeId[] {
  const ids = [...configuration.removed, ...membersOf(configuration).map(({ id }) => id)];
  return ids.filter((id) => id !== nodeId);
}

async function cutLostEnd(
  storage: Storage,
  directory: string,
  { tail, log }: Examination,
): Promise<string[]> {
  if (log === null || (tail?.verdict !== 'recover' && tail?.label !== 'nobody to ask')) return [];
  const file = await storage.open(join(directory, log.tail.name), 'update');
  try {
    const { done } = await cutEnd(storage, directory, file, log, 'lost');
    return [`${done}: ${log.end.what}; the entries after ${log.index.last} that were in it are lost`];
  } finally {
    await file.close();
  }
}
