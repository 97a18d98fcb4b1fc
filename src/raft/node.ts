/**
 * The consensus core: Raft (Ongaro, "Consensus: Bridging Theory and Practice", 2014) as a deterministic state
 * machine. `step(node, event)` changes the node in place and returns what the world has to do; nothing in this
 * folder opens a socket, writes a file, reads a clock or waits. That is what lets a whole cluster run in one process
 * from one seed.
 *
 * ```
 *            tick, messages, client batches, disk acknowledgements
 *                                  │
 *                                  ▼
 *                          step(node, event)          election.ts     votes, pre-votes, check-quorum
 *                                  │                  leadership.ts   taking, leaving, transferring it
 *                                  │                  replication.ts  appends, commitment
 *                                  │                  reads.ts        read rounds
 *                                  │                  snapshots.ts    install and compaction
 *                                  │                  membership.ts   who takes part
 *                                  │                  recovery.ts     after entries were lost
 *                                  ▼                  log.ts          what the core knows of the log
 *      persist · send · apply · readReady · leadership · …
 * ```
 *
 * Three rules carry the safety argument:
 *
 * 1. A reply that promises something durable is data inside the `persist` effect, so that it can't leave early; a
 *    candidate's own vote and a leader's own acknowledgement count only when the disk has answered.
 * 2. One disk write is in flight. When entries of it are truncated meanwhile, its acknowledgement shrinks.
 * 3. Only committed *and* locally durable entries are applied.
 *
 * Time comes in with every event. A message of a later term ends whatever the node was doing, in one place, below.
 */
import {
  campaign,
  checkQuorum,
  disregardsVoteRequest,
  onHardStateDurable,
  onPreVoteReply,
  onPreVoteRequest,
  onVoteReply,
  onVoteRequest,
  startPreVote,
} from './election.ts';
import { advanceMembership, onChangeMembership, promoteLearners } from './membership.ts';
import { checkTransfer, continueTransfer, startTransfer, stepDown } from './leadership.ts';
import { membersOf } from './configuration.ts';
import { entryBytes, Log } from './log.ts';
import { Random } from './random.ts';
import {
  advanceReads,
  expireForwardedReads,
  failForwardedReads,
  onRead,
  onReadIndexReply,
  onReadIndexRequest,
  releaseReads,
} from './reads.ts';
import { askForRecovery, checkRecovery, noticeLoss, onRecoveryReply, onRecoveryRequest } from './recovery.ts';
import {
  advanceCommit,
  appendOwn,
  broadcastAppends,
  broadcastHeartbeats,
  commitTo,
  onAppend,
  onAppendReply,
  onHeartbeatReply,
  onLogReadForPeer,
  onUnreachable,
} from './replication.ts';
import {
  onInstallSnapshot,
  onInstallSnapshotReply,
  onSnapshotFetched,
  onSnapshotFetchFailed,
  onSnapshotRestored,
  onSnapshotSaved,
  restoreWhenDurable,
} from './snapshots.ts';
import { DEFAULT_LIMITS, type Node, type NodeOptions, resetElectionDeadline, send } from './state.ts';
import {
  asIndex,
  type Configuration,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  type Heartbeat,
  type Index,
  invariant,
  type Member,
  type Message,
  type NodeId,
  type Recovered,
} from './types.ts';

/** For the numbers of questions to the leader: 2^32 places to begin at, 2^20 apart; together below 2^53. */
const QUESTION_STARTS = 0x1_0000_0000;
const QUESTIONS_PER_LIFE = 0x10_0000;

const NO_MEMBERS: readonly Member[] = [];

export type { Limits, Node, NodeOptions } from './state.ts';
export { DEFAULT_LIMITS } from './state.ts';

/**
 * A node as it comes up from its disk. The state machine must stand at the recovered snapshot (or be empty) before
 * the first step; entries behind it that are known to be committed are handed out by `apply`.
 */
export function openNode(options: NodeOptions, recovered: Recovered, now: number): Node {
  const { hardState, snapshot } = recovered;
  const applied = snapshot?.index ?? asIndex(0);
  const log = new Log(recovered);
  const random = new Random(options.seed);
  invariant(
    hardState.term >= log.lastTerm,
    () => `term ${hardState.term} on disk, last entry has term ${log.lastTerm}`,
  );
  invariant(
    recovered.firstIndex <= applied + 1,
    () => `log begins at ${recovered.firstIndex}, snapshot ends at ${applied}`,
  );
  invariant(
    recovered.lastIndex >= applied,
    () => `log ends at ${recovered.lastIndex}, snapshot at ${applied}`,
  );
  const node: Node = {
    options,
    id: options.id,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    random,
    log,
    now,
    term: hardState.term,
    vote: hardState.vote,
    recovering: hardState.recovering,
    recovery: null,
    nextRecovery: Math.floor(random.next() * QUESTION_STARTS) * QUESTIONS_PER_LIFE,
    diskLow: false,
    durableHardState: hardState,
    role: { name: 'follower' },
    leader: null,
    leaderContact: now,
    leaderGone: false,
    electionDeadline: now,
    commitIndex: asIndex(Math.max(applied, Math.min(recovered.commit, recovered.lastIndex))),
    appliedIndex: applied,
    durableIndex: recovered.lastIndex,
    persist: {
      sequence: 0,
      inFlight: null,
      unsavedFrom: asIndex(recovered.lastIndex + 1),
      hardStateDirty: false,
      snapshot: null,
      replies: [],
    },
    restoring: null,
    restoreInFlight: null,
    fetching: null,
    applyReading: null,
    nextReadLogId: 1,
    confirmedReads: [],
    forwardedReads: new Map(),
    nextForwardedRead: Math.floor(random.next() * QUESTION_STARTS) * QUESTIONS_PER_LIFE,
    reported: {
      role: 'follower',
      leader: null,
      term: hardState.term,
      configuration: log.configuration,
      leaving: NO_MEMBERS,
    },
    effects: [],
  };
  resetElectionDeadline(node);
  return node;
}

/** The configuration in force: the latest in the log, committed or not. */
export function configurationOf(node: Node): Configuration {
  return node.log.configuration;
}

/**
 * Feeds one event to the node and returns what to do about it, in order. Throws an `InvariantError` when something
 * impossible happened; the process must end then, without carrying out anything more.
 */
export function step(node: Node, event: Event): Effect[] {
  node.effects = [];
  node.now = event.now;
  const leaderBefore = node.leader;
  dispatch(node, event);
  if (node.leader !== leaderBefore) failForwardedReads(node);
  settle(node);
  return node.effects;
}

function dispatch(node: Node, event: Event): void {
  switch (event.type) {
    case 'tick':
      node.diskLow = event.diskLow;
      onTick(node);
      break;
    case 'message':
      onMessage(node, event.from, event.message);
      break;
    case 'persisted':
      onPersisted(node, event.sequence);
      break;
    case 'propose':
      onPropose(node, event.id, event.payload);
      break;
    case 'read':
      onRead(node, event.id);
      break;
    case 'logRead':
      onLogRead(node, event.id, event.entries);
      break;
    case 'snapshotSaved':
      onSnapshotSaved(node, event.snapshot, event.compactTo);
      break;
    case 'snapshotFetched':
      onSnapshotFetched(node, event.from, event.snapshot);
      break;
    case 'snapshotFetchFailed':
      onSnapshotFetchFailed(node, event.from, event.snapshot);
      break;
    case 'snapshotRestored':
      onSnapshotRestored(node, event.index);
      break;
    case 'peerDown':
      onPeerDown(node, event.peer);
      break;
    case 'unreachable':
      if (node.role.name === 'leader') onUnreachable(node.role, event.peer);
      break;
    case 'changeMembership':
      onChangeMembership(node, event.id, event.change);
      break;
    case 'transfer':
      startTransfer(node, event.to);
      break;
    case 'campaign':
      if (node.role.name !== 'leader') startPreVote(node);
      break;
  }
}

/** What follows from any event: commitment, reads, the next disk write, applying, reporting. */
function settle(node: Node): void {
  if (node.recovering) checkRecovery(node);
  if (node.role.name === 'leader') advanceReads(node, node.role);
  if (node.role.name === 'leader') advanceMembership(node, node.role);
  flushPersist(node);
  restoreWhenDurable(node);
  applyCommitted(node);
  releaseReads(node);
  node.log.evict(asIndex(Math.min(node.appliedIndex, node.durableIndex)), node.limits.cacheBytes);
  report(node);
}

function onTick(node: Node): void {
  const { role } = node;
  if (node.forwardedReads.size > 0 || node.confirmedReads.length > 0) expireForwardedReads(node);
  if (role.name !== 'leader') {
    if (node.now >= node.electionDeadline) startPreVote(node);
    return;
  }
  checkQuorum(node);
  if (node.role !== role) return;
  checkTransfer(node, role);
  if (node.role !== role) return;
  promoteLearners(node, role);
  if (node.now >= role.heartbeatAt) broadcastHeartbeats(node, role);
}

/**
 * The one place where terms are compared. A later term makes this node a follower of it, except for what does not
 * claim a term: a pre-vote request, and a request for a vote that stickiness disregards. An earlier term is answered
 * with ours, so that its sender catches up, if the sender expects an answer.
 */
function onMessage(node: Node, from: NodeId, message: Message): void {
  if (message.type === 'preVoteRequest') {
    onPreVoteRequest(node, from, message);
    return;
  }
  if (message.type === 'voteRequest' && disregardsVoteRequest(node, message)) return;
  if (message.term > node.term) stepDown(node, message.term, null);
  // A pre-vote may come from a node that is terms behind: granting one does not take it into the candidate's term.
  if (message.term < node.term && message.type !== 'preVoteReply') {
    answerEarlierTerm(node, from, message);
    return;
  }
  handle(node, from, message);
}

function handle(node: Node, from: NodeId, message: Exclude<Message, { type: 'preVoteRequest' }>): void {
  const { role } = node;
  switch (message.type) {
    case 'preVoteReply':
      onPreVoteReply(node, from, message);
      break;
    case 'voteRequest':
      onVoteRequest(node, from, message);
      break;
    case 'voteReply':
      onVoteReply(node, from, message);
      break;
    case 'append':
      followLeader(node, from);
      onAppend(node, from, message);
      askForRecovery(node, from);
      break;
    case 'heartbeat':
      followLeader(node, from);
      onHeartbeat(node, from, message);
      askForRecovery(node, from);
      break;
    case 'installSnapshot':
      followLeader(node, from);
      onInstallSnapshot(node, from, message);
      askForRecovery(node, from);
      break;
    case 'appendReply':
      if (role.name === 'leader') {
        onAppendReply(node, role, from, message);
        continueTransfer(node, role);
      }
      break;
    case 'heartbeatReply':
      if (role.name === 'leader') onHeartbeatReply(node, role, from, message);
      break;
    case 'installSnapshotReply':
      if (role.name === 'leader') onInstallSnapshotReply(node, role, from, message);
      break;
    case 'timeoutNow':
      if (role.name !== 'leader') campaign(node, true);
      break;
    case 'readIndexRequest':
      onReadIndexRequest(node, from, message.id);
      break;
    case 'readIndexReply':
      onReadIndexReply(node, message);
      break;
    case 'recoveryRequest':
      onRecoveryRequest(node, from, message.id);
      break;
    case 'recoveryReply':
      onRecoveryReply(node, from, message);
      break;
  }
}

/** The sender leads this term; there can be no other leader in it. */
function followLeader(node: Node, from: NodeId): void {
  invariant(node.role.name !== 'leader', () => `${from} and ${node.id} both lead term ${node.term}`);
  stepDown(node, node.term, from);
  node.leaderContact = node.now;
  node.leaderGone = false;
  resetElectionDeadline(node);
}

function onHeartbeat(node: Node, from: NodeId, heartbeat: Heartbeat): void {
  // The leader knows that this node had everything up to `commit`; after a lost disk that may no longer be so.
  if (!noticeLoss(node, heartbeat)) commitTo(node, heartbeat.commit);
  send(node, from, {
    type: 'heartbeatReply',
    term: node.term,
    round: heartbeat.round,
    recovering: node.recovering,
  });
}

/** A message of a term that is over: whoever still acts in it learns the current one; late replies are dropped. */
function answerEarlierTerm(node: Node, from: NodeId, message: Message): void {
  const { term } = node;
  switch (message.type) {
    case 'voteRequest':
      send(node, from, { type: 'voteReply', term, granted: false });
      break;
    case 'append':
    case 'heartbeat':
    case 'installSnapshot':
      send(node, from, { type: 'heartbeatReply', term, round: 0, recovering: node.recovering });
      break;
    case 'readIndexRequest':
      send(node, from, { type: 'readIndexReply', term, id: message.id, index: null });
      break;
    case 'preVoteRequest':
    case 'preVoteReply':
    case 'voteReply':
    case 'appendReply':
    case 'heartbeatReply':
    case 'installSnapshotReply':
    case 'timeoutNow':
    case 'readIndexReply':
    case 'recoveryRequest':
    case 'recoveryReply':
      break;
  }
}

function onPropose(node: Node, id: number, payload: Uint8Array): void {
  const { role } = node;
  if (role.name !== 'leader') {
    node.effects.push({ type: 'rejected', id, reason: 'notLeader' });
  } else if (role.transfer !== null) {
    node.effects.push({ type: 'rejected', id, reason: 'transferring' });
  } else if (node.diskLow) {
    node.effects.push({ type: 'rejected', id, reason: 'diskFull' });
  } else if (
    role.uncommittedBytes > 0 &&
    role.uncommittedBytes + payload.length > node.limits.uncommittedBytes
  ) {
    node.effects.push({ type: 'rejected', id, reason: 'busy' });
  } else {
    const entry = appendOwn(node, EntryType.batch, payload);
    role.uncommittedBytes += entryBytes(entry);
    node.effects.push({ type: 'proposed', id, index: entry.index, term: entry.term });
    broadcastAppends(node, role);
  }
}

/** A peer's process is gone. If it led, nobody has to wait for the election timeout to know. */
function onPeerDown(node: Node, peer: NodeId): void {
  if (node.role.name === 'leader') {
    onUnreachable(node.role, peer);
  } else if (node.leader === peer) {
    node.leader = null;
    node.leaderGone = true;
    node.electionDeadline = node.now + node.random.between(0, node.options.heartbeatMs);
  }
}

/* ---- disk ----------------------------------------------------------------------------------------------------- */

/** Hands out everything that is not on its way to the disk yet, if the disk is free. */
function flushPersist(node: Node): void {
  const { persist, log } = node;
  if (persist.inFlight !== null) return;
  const first = persist.unsavedFrom;
  if (
    !persist.hardStateDirty &&
    persist.snapshot === null &&
    persist.replies.length === 0 &&
    first > log.lastIndex
  )
    return;
  const entries: Entry[] = [];
  let bytes = 0;
  for (let index = first; index <= log.lastIndex; index = asIndex(index + 1)) {
    const entry = log.cached(index);
    entries.push(entry);
    bytes += entryBytes(entry);
  }
  const hardState = { term: node.term, vote: node.vote, recovering: node.recovering };
  persist.sequence += 1;
  const { sequence, snapshot } = persist;
  persist.inFlight = { sequence, through: log.lastIndex, hardState, snapshot, since: node.now, bytes };
  node.effects.push({
    type: 'persist',
    sequence,
    hardState: persist.hardStateDirty ? hardState : null,
    snapshot,
    entries,
    commit: node.commitIndex < log.lastIndex ? node.commitIndex : log.lastIndex,
    // A promise made in an earlier term may speak of entries that are gone by now.
    replies: persist.replies.filter(({ message }) => message.term === node.term),
  });
  persist.unsavedFrom = asIndex(log.lastIndex + 1);
  persist.hardStateDirty = false;
  persist.snapshot = null;
  persist.replies = [];
}

function onPersisted(node: Node, sequence: number): void {
  const { inFlight } = node.persist;
  invariant(
    inFlight?.sequence === sequence,
    () => `disk write ${sequence} done, ${inFlight?.sequence ?? 'none'} is under way`,
  );
  node.persist.inFlight = null;
  node.durableHardState = inFlight.hardState;
  if (inFlight.through > node.durableIndex) node.durableIndex = inFlight.through;
  const { restoring } = node;
  if (restoring !== null && restoring.snapshot === inFlight.snapshot) restoring.durable = true;
  onHardStateDurable(node);
  if (node.role.name === 'leader') advanceCommit(node, node.role);
}

/* ---- applying ------------------------------------------------------------------------------------------------- */

/** Hands committed, locally durable entries to the state machine; after a restart they come back from disk first. */
function applyCommitted(node: Node): void {
  if (node.restoring !== null || node.applyReading !== null) return;
  const to = asIndex(Math.min(node.commitIndex, node.durableIndex));
  if (to <= node.appliedIndex) return;
  const from = asIndex(node.appliedIndex + 1);
  if (from < node.log.cacheFirst) {
    node.applyReading = node.nextReadLogId++;
    const last = asIndex(Math.min(to, node.log.cacheFirst - 1));
    node.effects.push({
      type: 'readLog',
      id: node.applyReading,
      from,
      to: last,
      maxBytes: node.limits.applyBytes,
    });
    return;
  }
  apply(node, node.log.slice(from, to, Number.POSITIVE_INFINITY));
}

function apply(node: Node, entries: readonly Entry[]): void {
  node.effects.push({ type: 'apply', entries });
  node.appliedIndex = entries.at(-1)?.index ?? node.appliedIndex;
}

function onLogRead(node: Node, id: number, entries: readonly Entry[]): void {
  if (id === node.applyReading) {
    node.applyReading = null;
    const first: Index | undefined = entries[0]?.index;
    invariant(
      first === node.appliedIndex + 1,
      () => `read ${String(first)} from disk, applied ${node.appliedIndex}`,
    );
    apply(node, entries);
  } else if (node.role.name === 'leader') {
    onLogReadForPeer(node, node.role, id, entries);
  }
}

function report(node: Node): void {
  const { reported, role, leader, term, log } = node;
  const { configuration } = log;
  const leaving = log.configurationIndex > node.commitIndex ? leavingMembers(node) : NO_MEMBERS;
  if (reported.configuration !== configuration || reported.leaving.length !== leaving.length) {
    reported.configuration = configuration;
    reported.leaving = leaving;
    node.effects.push({ type: 'configuration', configuration, leaving });
  }
  if (reported.role === role.name && reported.leader === leader && reported.term === term) return;
  reported.role = role.name;
  reported.leader = leader;
  reported.term = term;
  node.effects.push({ type: 'leadership', role: role.name, leader, term });
}

/** Members of the configurations that may come back if the latest one is rolled back, and not of that. */
function leavingMembers({ log, commitIndex }: Node): Member[] {
  const leaving = new Map<NodeId, Member>();
  for (const { configuration } of log.configurationsFrom(commitIndex)) {
    for (const member of membersOf(configuration)) leaving.set(member.id, member);
  }
  for (const { id } of membersOf(log.configuration)) leaving.delete(id);
  return [...leaving.values()];
}
