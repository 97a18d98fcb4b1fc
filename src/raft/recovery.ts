/**
 * A node whose log may lack entries that it once acknowledged: its disk lost an end of the log that was durable before
 * (the log on disk notices and says so), or somebody put an old copy of its directory back (a leader's heartbeat shows
 * it, see {@link noticeLoss}). A commit may count on those entries. Until it has them again such a node may help to
 * replicate, but not to elect: it gives no vote and no pre-vote and does not campaign.
 *
 * ```
 *   recovering node                          leader
 *        │ ── recoveryRequest ──────────────▶ │  forgets the member's match index, probes from anew
 *        │ ◀── recoveryReply, last index i ── │
 *        │ ◀── appends, or a snapshot ─────── │
 *   everything up to i equal and durable: recovered
 * ```
 *
 * Why that is enough. What this node acknowledged to this leader lies at or below i, because a leader's log only grows.
 * What it acknowledged to earlier leaders and is committed is in this leader's log: the leader was elected by a majority
 * that either did not need this node or had its vote from before the loss, when its log was whole, and every other
 * majority holds the entry as usual. So its log is again at least what others relied on, before its next vote.
 *
 * Late acknowledgements of the former life may still reach the leader. They can only make it count an entry for
 * committed that this node had; the argument covers that. But they also make the leader believe that the entries are
 * here and not send them, so the node asks again for as long as nothing moves.
 */
import { becomeProbe, sendAppends } from './replication.ts';
import { type Node, send, setHardState, setRecovering } from './state.ts';
import { asIndex, type Heartbeat, type NodeId, type RecoveryReply } from './types.ts';

/* ---- the recovering follower ---------------------------------------------------------------------------------- */

/**
 * Whether the leader knows of an entry here that is not here. Exact: what a follower acknowledged in this term it never
 * removes in it, so only a lost disk explains it; and with the same term at `match` everything before is equal, too.
 */
export function noticeLoss(node: Node, { match, matchTerm }: Heartbeat): boolean {
  const { log } = node;
  // Compacted here: it is in the snapshot.
  if (match < log.firstIndex || log.termAt(match) === matchTerm) return false;
  setRecovering(node, true);
  return true;
}

/** Something came from the leader: ask it, or ask again when nothing has come of it. */
export function askForRecovery(node: Node, leader: NodeId): void {
  if (!node.recovering) return;
  // An old copy of the directory may not know whom it voted for. This leader is the only one that the term can have.
  if (node.vote === null) setHardState(node, node.term, leader);
  const { recovery, now, options } = node;
  if (recovery === null || recovery.term !== node.term || recovery.leader !== leader) {
    node.recovery = {
      term: node.term,
      leader,
      id: node.nextRecovery++,
      askedAt: now,
      askedAtMatch: asIndex(0),
      through: null,
      matched: asIndex(0),
    };
    send(node, leader, { type: 'recoveryRequest', term: node.term, id: node.recovery.id });
    return;
  }
  const moves = recovery.matched > recovery.askedAtMatch || node.fetching !== null;
  if (now - recovery.askedAt < options.electionMs) return;
  recovery.askedAt = now;
  recovery.askedAtMatch = recovery.matched;
  if (moves && recovery.through !== null) return;
  send(node, leader, { type: 'recoveryRequest', term: node.term, id: recovery.id });
}

export function onRecoveryReply(node: Node, from: NodeId, reply: RecoveryReply): void {
  const { recovery } = node;
  if (recovery === null || reply.id !== recovery.id || from !== recovery.leader) return;
  // The first answer is enough: it was given after the loss.
  recovery.through ??= reply.index;
}

/** Ends the recovery when everything that the leader named is here, durable. */
export function checkRecovery(node: Node): void {
  const { recovery } = node;
  if (recovery === null || recovery.through === null || recovery.term !== node.term) return;
  if (Math.min(recovery.matched, node.durableIndex) < recovery.through) return;
  node.recovery = null;
  setRecovering(node, false);
}

/* ---- the leader ----------------------------------------------------------------------------------------------- */

export function onRecoveryRequest(node: Node, from: NodeId, id: number): void {
  const role = node.role.name === 'leader' ? node.role : null;
  const progress = role?.progress.get(from);
  if (role === null || progress === undefined) {
    send(node, from, { type: 'recoveryReply', term: node.term, id, index: null });
    return;
  }
  const { lastIndex } = node.log;
  progress.lastContact = node.now;
  progress.match = asIndex(0);
  progress.recovering = true;
  becomeProbe(progress, asIndex(lastIndex + 1));
  send(node, from, { type: 'recoveryReply', term: node.term, id, index: lastIndex });
  sendAppends(node, from, progress);
}
