/**
 * What can happen to a node's data beyond a crash, and what is promised then.
 *
 * - **The end of the log is lost, and the log notices** ({@link loseTail}): the node comes back recovering. No acknowledged
 *   write is lost, whoever it happens to and however often: what a commit counted on is either there or on a node that
 *   gives no vote before it has it again. Recovering nodes count as absent when it comes to electing a leader.
 * - **The directory is lost** ({@link wipe}): whatever comes up under the id has another incarnation and is refused by
 *   everyone who knows the member. It counts as a member that is down for good, and is to be replaced.
 * - **An old copy of the directory is put back** ({@link putBack}): the node can't know that it has forgotten entries, votes
 *   and terms, so this can only be safe in a cluster that does not depend on what it forgot. Promised is: nothing is lost
 *   and nobody is elected wrongly if the voters are the same as when the copy was made (with older ones the node could be
 *   elected by others that were removed, or by itself), and if, when it is put back, there is a leader whom all other
 *   voters are in one term with, with no rival candidate, and a majority without this node has everything that it ever
 *   acknowledged. Messages of its former life are gone by then (the process was ended and its connections with it). From
 *   then on anything may happen. The leader's next heartbeat makes such a node recover. In any other situation an old copy
 *   must not be put back: remove the node and add it under a new id.
 */
import { asIndex, type Member } from '../../src/raft/types.ts';
import type { Cluster, Host } from './cluster.ts';
import { Disk } from './disk.ts';

/** The node, which is down, loses the end of its log. Does nothing where too many others are lost already. */
export function loseTail(cluster: Cluster, host: Host): void {
  if (host.isUp || host.isImpostor || !canSpare(cluster, host)) return;
  const count = host.disk.loseTail(host.random);
  cluster.coverage.count('ends of logs lost');
  cluster.trace.note(cluster.now, host.id, `loses ${count} entries at the end of its log`);
}

/** The directory of a node that is down is emptied. Does nothing where too many others are lost already. */
export function wipe(cluster: Cluster, host: Host): void {
  if (host.isUp || host.isImpostor || !canSpare(cluster, host)) return;
  host.empty(new Disk(null, cluster.options.mutation));
  cluster.checks.forgot(host);
  cluster.coverage.count('directories emptied');
  cluster.trace.note(cluster.now, host.id, 'loses its directory');
}

/** A node that is down gets its directory back as it was when it was copied, if that is a time to do so. */
export function putBack(cluster: Cluster, host: Host): void {
  const { copy } = host;
  if (copy === null || host.isUp || host.isImpostor || !mayPutBack(cluster, host)) return;
  host.copy = null;
  host.disk = copy;
  cluster.checks.forgot(host);
  cluster.network.forget(host.id);
  cluster.coverage.count('old copies put back');
  cluster.trace.note(cluster.now, host.id, `has its old directory again, log up to ${copy.lastIndex}`);
}

/** The configurations that the cluster goes by or may yet go by, each as its one or two lists of voters. */
function halvesInForce({ checks }: Cluster): (readonly Member[])[] {
  const found = [checks.configuration, ...checks.openConfigurations()];
  return found.flatMap(({ voters, outgoing }) => (outgoing.length === 0 ? [voters] : [voters, outgoing]));
}

/** Whether every majority that may be needed can be had from the nodes that `counts` accepts. */
function hasMajorities(cluster: Cluster, counts: (host: Host) => boolean): boolean {
  const able = new Set(cluster.hosts.filter((host) => !host.isImpostor && counts(host)).map(({ id }) => id));
  return halvesInForce(cluster).every((voters) => {
    return voters.filter(({ id }) => able.has(id)).length * 2 > voters.length;
  });
}

/** The fault bound: as long as this holds, the cluster has to serve. */
export function isWithinBound(cluster: Cluster): boolean {
  return hasMajorities(cluster, ({ node }) => node !== null && !node.recovering);
}

/**
 * Whether the cluster gets by without this node for good, and no leader counts on it: that one might yet begin a change of
 * the voters, which then can't be ended.
 */
function canSpare(cluster: Cluster, host: Host): boolean {
  const believed = cluster.hosts.some((other) => {
    const role = other.node?.role;
    if (role?.name !== 'leader') return false;
    const contact = role.progress.get(host.id)?.lastContact ?? Number.NEGATIVE_INFINITY;
    return cluster.clock(other) - contact < cluster.options.electionMs;
  });
  return !believed && hasMajorities(cluster, (other) => other !== host && !other.disk.hardState.recovering);
}

function mayPutBack(cluster: Cluster, host: Host): boolean {
  if (!knowsVoters(cluster, host)) return false;
  const leader = cluster.leader();
  const node = leader?.node ?? null;
  if (leader === null || node === null || leader === host || node.role.name !== 'leader') return false;
  const { term, log, commitIndex } = node;
  if (host.disk.hardState.term > term) return false;
  const quiet = cluster.hosts.every((other) => {
    if (other === host || other === leader || other.isImpostor) return true;
    const { hardState } = other.disk;
    return hardState.term === term && hardState.vote !== other.id && (other.node?.term ?? term) === term;
  });
  const match = node.role.progress.get(host.id)?.match ?? 0;
  if (!quiet || match > commitIndex || commitIndex < cluster.checks.committedIndex) return false;
  const index = asIndex(cluster.checks.committedIndex);
  const entryTerm = log.termAt(index);
  return (
    entryTerm !== null &&
    hasMajorities(
      cluster,
      (other) => other !== host && !other.disk.hardState.recovering && other.disk.holds(index, entryTerm),
    )
  );
}

/** Whether the copy was made when the voters were those of now, and no change of them is under way. */
function knowsVoters(cluster: Cluster, { copy }: Host): boolean {
  const names = (voters: readonly Member[]): string =>
    voters
      .map(({ id }) => id)
      .toSorted()
      .join(' ');
  const known = copy?.configurations().at(-1)?.configuration;
  if (known === undefined || known.outgoing.length > 0) return false;
  return halvesInForce(cluster).every((voters) => names(voters) === names(known.voters));
}
