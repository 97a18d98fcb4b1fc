/**
 * Elections: pre-vote (thesis 9.6), check-quorum and leader stickiness (thesis 6.2 and 4.2.3), always together.
 * A partial set is known to deadlock: without pre-vote a returning node disturbs the cluster, without check-quorum a
 * half-cut leader holds its followers for ever, without stickiness either can be defeated.
 */
import { isVoter, quorumValue, tally } from './configuration.ts';
import { isUpToDate } from './log.ts';
import { becomeLeader, stepDown } from './leadership.ts';
import {
  BYTES_PER_MS_MIN,
  type Node,
  resetElectionDeadline,
  send,
  sendWhenDurable,
  setHardState,
} from './state.ts';
import {
  asTerm,
  type NodeId,
  type PreVoteReply,
  type PreVoteRequest,
  type VoteReply,
  type VoteRequest,
} from './types.ts';

/** Asks whether an election could be won, without disturbing anyone. */
export function startPreVote(node: Node): void {
  resetElectionDeadline(node);
  node.leader = null;
  if (!mayCampaign(node)) return;
  // Its vote for itself would not get to the disk; its rising term alone would spoil the others' elections.
  if (isDiskStuck(node)) return;
  node.role = { name: 'preCandidate', votes: new Map([[node.id, true]]) };
  if (tally(node.log.configuration, node.role.votes) === 'won') {
    campaign(node, false);
    return;
  }
  const { lastIndex, lastTerm } = node.log;
  forEachOtherVoter(node, (to) => {
    send(node, to, { type: 'preVoteRequest', term: asTerm(node.term + 1), lastIndex, lastTerm });
  });
}

/**
 * Starts an election. The requests leave with the write that makes the own vote durable: otherwise a crash could
 * take back a log tail that voters had already compared with theirs.
 */
export function campaign(node: Node, transfer: boolean): void {
  if (!mayCampaign(node)) return;
  node.leader = null;
  setHardState(node, asTerm(node.term + 1), node.id);
  node.role = { name: 'candidate', votes: new Map() };
  resetElectionDeadline(node);
  const { lastIndex, lastTerm } = node.log;
  forEachOtherVoter(node, (to) => {
    sendWhenDurable(node, to, { type: 'voteRequest', term: node.term, lastIndex, lastTerm, transfer });
  });
}

/**
 * A voter may. So may one that the latest configuration leaves out, as long as that is not known to be committed: when
 * nobody else has the entry, the others can't be elected against its longer log (thesis 4.2.2). Its own vote does not
 * count then. A recovering node can't know what its log lacks.
 */
function mayCampaign({ log, id, commitIndex, recovering }: Node): boolean {
  if (recovering) return false;
  return log.configurationsFrom(commitIndex).some(({ configuration }) => isVoter(configuration, id));
}

/** The candidate's own vote counts once it is on disk. */
export function onHardStateDurable(node: Node): void {
  const { durableHardState, role } = node;
  if (role.name !== 'candidate' || durableHardState.term !== node.term) return;
  if (durableHardState.vote === node.id) countVote(node, node.id, true);
}

export function onPreVoteRequest(node: Node, from: NodeId, request: PreVoteRequest): void {
  const granted =
    request.term > node.term &&
    !node.recovering &&
    !hearsFromLeader(node) &&
    isUpToDate(node.log, request.lastTerm, request.lastIndex);
  send(node, from, { type: 'preVoteReply', term: node.term, granted, campaignTerm: request.term });
}

export function onPreVoteReply(node: Node, from: NodeId, reply: PreVoteReply): void {
  const { role } = node;
  if (role.name !== 'preCandidate' || reply.campaignTerm !== node.term + 1) return;
  role.votes.set(from, reply.granted);
  switch (tally(node.log.configuration, role.votes)) {
    case 'won':
      campaign(node, false);
      break;
    case 'lost':
      node.role = { name: 'follower' };
      break;
    case 'open':
      break;
  }
}

/** Whether a request for a vote is to be ignored altogether: a leader is there, and it did not ask for the election. */
export function disregardsVoteRequest(node: Node, request: VoteRequest): boolean {
  return request.term > node.term && !request.transfer && hearsFromLeader(node);
}

export function onVoteRequest(node: Node, from: NodeId, request: VoteRequest): void {
  const free = node.vote === null || node.vote === from;
  const granted =
    request.term === node.term &&
    free &&
    !node.recovering &&
    node.role.name === 'follower' &&
    isUpToDate(node.log, request.lastTerm, request.lastIndex);
  if (granted) {
    setHardState(node, node.term, from);
    resetElectionDeadline(node);
  }
  sendWhenDurable(node, from, { type: 'voteReply', term: node.term, granted });
}

export function onVoteReply(node: Node, from: NodeId, reply: VoteReply): void {
  countVote(node, from, reply.granted);
}

function countVote(node: Node, from: NodeId, granted: boolean): void {
  const { role } = node;
  if (role.name !== 'candidate') return;
  role.votes.set(from, granted);
  switch (tally(node.log.configuration, role.votes)) {
    case 'won':
      becomeLeader(node);
      break;
    case 'lost':
      stepDown(node, node.term, null);
      break;
    case 'open':
      break;
  }
}

/** A leader hears from itself; its own check-quorum says when that ends. */
function hearsFromLeader(node: Node): boolean {
  if (node.role.name === 'leader') return true;
  return node.leader !== null && node.now - node.leaderContact < node.options.electionMs;
}

/** A leader that a quorum has not answered for an election timeout can't commit and must not pretend (thesis 6.2). */
export function checkQuorum(node: Node): void {
  const { role, options, now } = node;
  if (role.name !== 'leader') return;
  const contact = quorumValue(node.log.configuration, (id) =>
    id === node.id ? now : (role.progress.get(id)?.lastContact ?? Number.NEGATIVE_INFINITY),
  );
  if (now - Math.max(contact, role.since) >= options.electionMs) {
    stepDown(node, node.term, null);
    return;
  }
  // A stuck disk must not hold the cluster: others may lead. A lone voter has nobody to make room for.
  const alone = node.log.configuration.voters.length === 1 && node.log.configuration.outgoing.length === 0;
  if (!alone && isDiskStuck(node)) stepDown(node, node.term, null);
}

/** A large entry takes its time on the next leader's disk, too: to step down would only make its outcome unknown. */
function isDiskStuck({ persist: { inFlight }, options, now }: Node): boolean {
  if (inFlight === null) return false;
  return now - inFlight.since >= options.electionMs + inFlight.bytes / BYTES_PER_MS_MIN;
}

function forEachOtherVoter(node: Node, visit: (id: NodeId) => void): void {
  const { voters, outgoing } = node.log.configuration;
  for (const { id } of voters) if (id !== node.id) visit(id);
  for (const { id } of outgoing) {
    if (id !== node.id && !voters.some((voter) => voter.id === id)) visit(id);
  }
}
