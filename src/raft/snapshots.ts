/**
 * Snapshots as the core sees them (thesis 5): a snapshot of its own lets the log's head go; a leader's snapshot
 * replaces log and state machine. The file itself is fetched by the driver, chunk by chunk; the core decides only
 * whether it is wanted and when it takes effect:
 *
 *   installSnapshot ─▶ fetchSnapshot ─▶ snapshotFetched ─▶ persist(snapshot) ─▶ restoreSnapshot ─▶ snapshotRestored
 */
import { acknowledge, becomeProbe, commitTo, sendAppends } from './replication.ts';
import { type Leader, type Node, send, sendWhenDurable } from './state.ts';
import {
  asIndex,
  type Index,
  type InstallSnapshot,
  type InstallSnapshotReply,
  invariant,
  type NodeId,
  type SnapshotMeta,
} from './types.ts';

/**
 * This node wrote a snapshot. The log goes up to `compactTo`, except for what a member being caught up still needs. A
 * member that does not answer holds nothing: it may be away for good, and log and snapshots would pile up meanwhile.
 */
export function onSnapshotSaved(node: Node, snapshot: SnapshotMeta, compactTo: Index): void {
  if (snapshot.index <= (node.log.snapshot?.index ?? 0)) return;
  invariant(
    snapshot.index <= node.appliedIndex,
    () => `snapshot at ${snapshot.index}, applied ${node.appliedIndex}`,
  );
  node.log.snapshot = snapshot;
  let to = Math.min(compactTo, snapshot.index, node.durableIndex);
  if (node.role.name === 'leader') {
    for (const { state, lastContact } of node.role.progress.values()) {
      const answers = node.now - lastContact < node.options.electionMs;
      if (state.name === 'snapshot' && answers) to = Math.min(to, state.index);
    }
  }
  if (to <= node.log.compacted.index) return;
  node.log.compact(asIndex(to));
  node.effects.push({ type: 'compact', to: asIndex(to) });
}

export function onInstallSnapshot(node: Node, from: NodeId, { snapshot }: InstallSnapshot): void {
  if (snapshot.index <= node.commitIndex) {
    answerInstalled(node, from, node.commitIndex);
    return;
  }
  const { fetching } = node;
  const underWay = fetching !== null && fetching.from === from && sameSnapshot(fetching.snapshot, snapshot);
  if (!underWay) {
    node.fetching = { from, snapshot };
    node.effects.push({ type: 'fetchSnapshot', from, snapshot });
  }
  send(node, from, {
    type: 'installSnapshotReply',
    term: node.term,
    index: snapshot.index,
    status: 'fetching',
  });
}

/** The file is here and whole. What it holds is committed, whoever leads by now. */
export function onSnapshotFetched(node: Node, from: NodeId, snapshot: SnapshotMeta): void {
  const { fetching } = node;
  if (fetching === null || !sameSnapshot(fetching.snapshot, snapshot)) return;
  node.fetching = null;
  if (snapshot.index > node.commitIndex) {
    if (node.log.termAt(snapshot.index) === snapshot.term) commitTo(node, snapshot.index);
    else replaceLog(node, snapshot);
  }
  if (from === node.leader) answerInstalled(node, from, node.commitIndex);
}

export function onSnapshotFetchFailed(node: Node, from: NodeId, snapshot: SnapshotMeta): void {
  const { fetching } = node;
  if (fetching === null || !sameSnapshot(fetching.snapshot, snapshot)) return;
  node.fetching = null;
  if (from !== node.leader) return;
  send(node, from, {
    type: 'installSnapshotReply',
    term: node.term,
    index: snapshot.index,
    status: 'failed',
  });
}

function replaceLog(node: Node, snapshot: SnapshotMeta): void {
  const { persist } = node;
  node.log.resetTo(snapshot);
  // Entries on their way to the disk belong to the old log: their acknowledgement must not count for the new one.
  if (persist.inFlight !== null && persist.inFlight.through > node.commitIndex)
    persist.inFlight.through = node.commitIndex;
  if (node.durableIndex > node.commitIndex) node.durableIndex = node.commitIndex;
  persist.unsavedFrom = asIndex(snapshot.index + 1);
  persist.snapshot = snapshot;
  node.applyReading = null;
  node.restoring = { snapshot, durable: false };
  // What is committed equals every later leader's log.
  if (node.recovery !== null && snapshot.index > node.recovery.matched)
    node.recovery.matched = snapshot.index;
  commitTo(node, snapshot.index);
}

/** The new log is durable, though entries behind it may be on their way: the state machine follows, once at a time. */
export function restoreWhenDurable(node: Node): void {
  const { restoring } = node;
  if (restoring === null || !restoring.durable || node.restoreInFlight !== null) return;
  node.restoreInFlight = restoring.snapshot.index;
  node.effects.push({ type: 'restoreSnapshot', snapshot: restoring.snapshot });
}

export function onSnapshotRestored(node: Node, index: Index): void {
  invariant(
    node.restoreInFlight === index,
    () => `restored to ${index}, asked for ${node.restoreInFlight ?? 'nothing'}`,
  );
  node.restoreInFlight = null;
  invariant(index > node.appliedIndex, () => `restored to ${index}, had applied ${node.appliedIndex}`);
  node.appliedIndex = index;
  // A newer one may have been installed meanwhile: it is restored next, before anything is applied.
  if (node.restoring?.snapshot.index === index) node.restoring = null;
}

/** A member's answer to the leader's offer. */
export function onInstallSnapshotReply(
  node: Node,
  role: Leader,
  from: NodeId,
  reply: InstallSnapshotReply,
): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastContact = node.now;
  const { state } = progress;
  switch (reply.status) {
    case 'installed':
      acknowledge(node, role, from, progress, reply.index);
      // Installed, but the log has moved on meanwhile: start over from where it stands.
      if (progress.state.name === 'snapshot') becomeProbe(progress, asIndex(progress.match + 1));
      break;
    case 'fetching':
      if (state.name === 'snapshot') state.resendAt = node.now + node.options.electionMs;
      break;
    case 'failed':
      // Offered again at the next heartbeat, not at once: the cause may last (a full disk).
      if (state.name === 'snapshot') state.resendAt = node.now;
      break;
  }
  sendAppends(node, from, progress);
}

function answerInstalled(node: Node, to: NodeId, index: Index): void {
  sendWhenDurable(node, to, { type: 'installSnapshotReply', term: node.term, index, status: 'installed' });
}

function sameSnapshot(a: SnapshotMeta, b: SnapshotMeta): boolean {
  return a.index === b.index && a.term === b.term && a.checksum === b.checksum && a.bytes === b.bytes;
}
