/** Taking up and laying down leadership, and handing it over on purpose (thesis 3.10). */
import { isVoter, membersOf } from './configuration.ts';
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
    if (role.transfer !== null) node.effects.push({ type: 'transferEnded', ok: superseded });
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
  };
  node.role = role;
  node.leader = node.id;
  node.leaderGone = false;
  appendOwn(node, EntryType.noop, EMPTY);
  broadcastHeartbeats(node, role);
  broadcastAppends(node, role);
}

function freshProgress(node: Node): Progress {
  return {
    match: asIndex(0),
    next: asIndex(node.log.lastIndex + 1),
    lastContact: node.now,
    movedAt: node.now,
    round: 0,
    reading: null,
    state: { name: 'probe', waiting: false, retryAt: 0 },
  };
}

/** Starts a transfer to `to`, or to the voter that is closest behind. No proposals are taken until it ends. */
export function startTransfer(node: Node, to: NodeId | null): void {
  const { role } = node;
  const target = role.name === 'leader' ? (to ?? bestSuccessor(node, role)) : null;
  if (
    role.name !== 'leader' ||
    target === null ||
    target === node.id ||
    !isVoter(node.log.configuration, target)
  ) {
    node.effects.push({ type: 'transferEnded', ok: false });
    return;
  }
  if (role.transfer !== null) node.effects.push({ type: 'transferEnded', ok: false });
  role.transfer = { to: target, deadline: node.now + node.options.electionMs, sent: false };
  continueTransfer(node, role);
}

/** Sends the signal as soon as the successor has every entry. */
export function continueTransfer(node: Node, role: Leader): void {
  const { transfer } = role;
  if (transfer === null || transfer.sent) return;
  if ((role.progress.get(transfer.to)?.match ?? 0) < node.log.lastIndex) return;
  transfer.sent = true;
  send(node, transfer.to, { type: 'timeoutNow', term: node.term });
}

/** Gives up a transfer that has taken an election timeout, and takes proposals again. */
export function checkTransfer(node: Node, role: Leader): void {
  if (role.transfer === null || node.now < role.transfer.deadline) return;
  role.transfer = null;
  node.effects.push({ type: 'transferEnded', ok: false });
}

function bestSuccessor(node: Node, role: Leader): NodeId | null {
  let best: NodeId | null = null;
  let bestMatch = -1;
  for (const [id, { match, lastContact }] of role.progress) {
    const alive = node.now - lastContact < node.options.electionMs;
    if (alive && match > bestMatch && isVoter(node.log.configuration, id)) {
      best = id;
      bestMatch = match;
    }
  }
  return best;
}
