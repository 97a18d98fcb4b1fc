/** Taking up and laying down leadership, and handing it over on purpose (thesis 3.10). */
import { membersOf } from './configuration.ts';
import { failReads } from './reads.ts';
import { appendOwn, broadcastAppends, broadcastHeartbeats } from './replication.ts';
import { type Leader, type Node, type Progress, resetElectionDeadline, send, setHardState } from './state.ts';
import { asIndex, EntryType, type NodeId, type Term } from './types.ts';

const EMPTY = new Uint8Array(0);

/** Follows `leader` (or nobody yet) in `term`. Ends a leadership: its reads fail, its transfer is over. */
export function stepDown(node: Node, term: Term, leader: NodeId | null): void {
  const { role } = node;
  const superseded = term > node.term;
  if (superseded) setHardState(node, term, null);
  if (role.name === 'leader') {
    failReads(node, role);
    // Without a later term nobody took over: this leader lost its quorum or its disk.
    if (role.transfer !== null) endTransfer(node, role, superseded);
    if (role.membershipRequest !== null) {
      node.effects.push({
        type: 'membershipRejected',
        id: role.membershipRequest,
        reason: 'unknown',
        message:
          `${node.id} lost its leadership while the change was under way; the next leader either finishes it or has never ` +
          'heard of it. Look at the members, and ask again if they have not changed',
      });
    }
  }
  if (role.name !== 'follower') {
    node.role = { name: 'follower' };
    resetElectionDeadline(node);
  }
  node.leader = leader;
}

/** A won election: the first entry of the new term makes everything before it committable (thesis 3.6.2, 6.4). */
export function becomeLeader(node: Node): void {
  const noopIndex = asIndex(node.log.lastIndex + 1);
  const progress = new Map<NodeId, Progress>();
  for (const { id } of membersOf(node.log.configuration)) {
    if (id !== node.id) progress.set(id, freshProgress(node));
  }
  const role: Leader = {
    name: 'leader',
    progress,
    noopIndex,
    uncommittedBytes: 0,
    heartbeatAt: 0,
    since: node.now,
    reads: { round: 0, current: null, waiting: [] },
    transfer: null,
    membershipRequest: null,
    pace: { at: node.now, earlier: noopIndex, latest: noopIndex },
  };
  node.role = role;
  node.leader = node.id;
  node.leaderGone = false;
  appendOwn(node, EntryType.noop, EMPTY);
  broadcastHeartbeats(node, role);
  broadcastAppends(node, role);
}

/** Nothing is known of the member yet. */
export function freshProgress(node: Node): Progress {
  return {
    match: asIndex(0),
    next: asIndex(node.log.lastIndex + 1),
    lastContact: Number.NEGATIVE_INFINITY,
    movedAt: node.now,
    round: 0,
    reading: null,
    recovering: false,
    state: { name: 'probe', waiting: false, retryAt: 0 },
  };
}

/** Starts a transfer to `to`, or to the voter that is closest behind. No proposals are taken until it ends. */
export function startTransfer(node: Node, to: NodeId | null): void {
  const { role } = node;
  const target = role.name === 'leader' ? (to ?? bestSuccessor(node, role)) : null;
  if (role.name !== 'leader' || target === null || target === node.id || !stays(node, target)) {
    node.effects.push({ type: 'transferEnded', ok: false });
    return;
  }
  if (role.transfer !== null) endTransfer(node, role, false);
  beginTransfer(node, role, target, true);
}

/**
 * A leader that is no voter any more, by a committed configuration, makes the end of the change known, hands over to
 * the best follower and leads no longer.
 */
export function leave(node: Node, role: Leader): void {
  if (role.transfer !== null) return;
  broadcastHeartbeats(node, role);
  const target = bestSuccessor(node, role);
  if (target === null) stepDown(node, node.term, null);
  else beginTransfer(node, role, target, false);
}

function beginTransfer(node: Node, role: Leader, to: NodeId, requested: boolean): void {
  role.transfer = { to, deadline: node.now + node.options.electionMs, requested, sent: false };
  continueTransfer(node, role);
}

/** Sends the signal as soon as the successor has every entry. */
export function continueTransfer(node: Node, role: Leader): void {
  const { transfer } = role;
  if (transfer === null || transfer.sent) return;
  if ((role.progress.get(transfer.to)?.match ?? 0) < node.log.lastIndex) return;
  transfer.sent = true;
  send(node, transfer.to, { type: 'timeoutNow', term: node.term });
  // A removed leader would not hear of the next term: nobody asks it for its vote.
  if (!transfer.requested) stepDown(node, node.term, null);
}

/** Gives up a transfer that has taken an election timeout, and takes proposals again. A removed leader leads no longer. */
export function checkTransfer(node: Node, role: Leader): void {
  const { transfer } = role;
  if (transfer === null || node.now < transfer.deadline) return;
  endTransfer(node, role, false);
  if (!transfer.requested) stepDown(node, node.term, null);
}

function endTransfer(node: Node, role: Leader, ok: boolean): void {
  if (role.transfer?.requested === true) node.effects.push({ type: 'transferEnded', ok });
  role.transfer = null;
}

/** Whether the member has answered lately and may vote, as far as is known. */
export function isHealthy(node: Node, role: Leader, id: NodeId): boolean {
  if (id === node.id) return true;
  const progress = role.progress.get(id);
  if (progress === undefined || progress.recovering) return false;
  return node.now - progress.lastContact < node.options.electionMs;
}

/** Whether the member is a voter, and still one when the change under way is done. */
function stays(node: Node, id: NodeId): boolean {
  return node.log.configuration.voters.some((voter) => voter.id === id);
}

function bestSuccessor(node: Node, role: Leader): NodeId | null {
  let best: NodeId | null = null;
  let bestMatch = -1;
  for (const [id, { match }] of role.progress) {
    if (match > bestMatch && stays(node, id) && isHealthy(node, role, id)) {
      best = id;
      bestMatch = match;
    }
  }
  return best;
}
