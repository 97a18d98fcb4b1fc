/**
 * What a node knows. Fields that only one role has live inside that role, so that a follower cannot touch a leader's
 * progress; progress itself is a union in the same way.
 */
import type { Log } from './log.ts';
import type { Random } from './random.ts';
import {
  type Configuration,
  type Effect,
  type HardState,
  type Index,
  type Member,
  type Message,
  type NodeId,
  type Outbound,
  type SnapshotMeta,
  type Term,
} from './types.ts';

/** Bounds of the core, all in the open so that tests can make them small. */
export interface Limits {
  /** Payload of one append message, at least one entry. */
  readonly appendBytes: number;
  /** Appends sent to a follower and not yet answered. */
  readonly windowMessages: number;
  readonly windowBytes: number;
  /** Own entries appended and not yet committed; beyond it proposals are turned away as `busy`. */
  readonly uncommittedBytes: number;
  /** Applied and durable entries kept in memory for followers that are slightly behind. */
  readonly cacheBytes: number;
  /** Entries applied between two disk reads while a restarted node catches up. */
  readonly applyBytes: number;
  /** Reads waiting for a round; beyond it they are turned away as `busy`. */
  readonly waitingReads: number;
}

export const DEFAULT_LIMITS: Limits = {
  appendBytes: 1024 * 1024,
  windowMessages: 8,
  windowBytes: 4 * 1024 * 1024,
  uncommittedBytes: 64 * 1024 * 1024,
  cacheBytes: 16 * 1024 * 1024,
  applyBytes: 4 * 1024 * 1024,
  waitingReads: 65_536,
};

export interface NodeOptions {
  readonly id: NodeId;
  /** Time between heartbeats in ms. */
  readonly heartbeatMs: number;
  /** Shortest election timeout in ms; the timeout is random in [electionMs, 2 × electionMs). */
  readonly electionMs: number;
  readonly seed: number;
  readonly limits?: Partial<Limits>;
}

/** How a leader sees one other member (thesis 10.2.1; the three states are etcd's). */
export interface Progress {
  /** Known to be durable there and equal to the leader's log. */
  match: Index;
  /** The next entry to send. */
  next: Index;
  /** When it last answered in this term; long ago until it has. */
  lastContact: number;
  /** When `match` last rose or the window last began to fill: older than a heartbeat means something was lost. */
  movedAt: number;
  /** The newest read round it confirmed. */
  round: number;
  /** The disk read under way for this member. */
  reading: number | null;
  /** It said so itself: it casts no vote. */
  recovering: boolean;
  state: ProgressState;
}

/**
 * What network and disk are trusted to manage, 5 MB/s: a large entry that is not done yet is not lost, and a disk that
 * is busy with it is not stuck.
 */
export const BYTES_PER_MS_MIN = 5_000;

export type ProgressState =
  /** The match index is unknown: one append at a time, to find it. */
  | {
      readonly name: 'probe';
      waiting: boolean /** Not sent again before, unless it is known to be lost. */;
      retryAt: number;
    }
  /** Appends are sent ahead of their answers, within the window. */
  | {
      readonly name: 'replicate';
      readonly inFlight: { readonly last: Index; readonly bytes: number }[];
      bytes: number;
    }
  /** The entries it needs are gone: it is fetching the snapshot; nothing but heartbeats until it is done. */
  | { readonly name: 'snapshot'; index: Index; resendAt: number };

/** A read waiting for its round: of this node's own driver, or of a follower that asked. */
export interface PendingRead {
  readonly id: number;
  /** `null`: this node's own. */
  readonly from: NodeId | null;
}

/** Reads that may run once `index` is applied; given up at `deadline`. */
export interface ConfirmedRead {
  readonly index: Index;
  readonly ids: number[];
  readonly deadline: number;
}

/** Reads of a leader (thesis 6.4): one round at a time, shared by all that arrived before it started. */
export interface ReadRounds {
  /** Number of the newest round started. */
  round: number;
  /** The round under way and the commit index when it started. */
  current: { readonly round: number; readonly index: Index; readonly reads: readonly PendingRead[] } | null;
  waiting: PendingRead[];
}

export interface Transfer {
  readonly to: NodeId;
  readonly deadline: number;
  /** `transferEnded` is to answer it; nobody asked for the one that ends the lead of a removed leader. */
  readonly requested: boolean;
  sent: boolean;
}

/** How far the log went in the past; see `membership.ts` for what a learner must have. */
export interface Pace {
  /** When `latest` was noted; `earlier` was noted half an election timeout before. */
  at: number;
  earlier: Index;
  latest: Index;
}

/** What a recovering follower has from the leader that it asked; see `recovery.ts`. */
export interface Recovery {
  readonly term: Term;
  readonly leader: NodeId;
  /** Number of the question on the wire. */
  readonly id: number;
  askedAt: number;
  /** What `matched` was then. */
  askedAtMatch: Index;
  /** What it has to have, once the leader has said so. */
  through: Index | null;
  /** Entries up to here equal the leader's; they may be on their way to the disk. */
  matched: Index;
}

export interface Leader {
  readonly name: 'leader';
  readonly progress: Map<NodeId, Progress>;
  /** This term's first entry: nothing is read before it is committed, nothing older is committed by counting. */
  readonly noopIndex: Index;
  /** Bytes of own entries behind `noopIndex` that are not committed. */
  uncommittedBytes: number;
  heartbeatAt: number;
  /** When this leadership began: before one election timeout has passed silence proves nothing. */
  readonly since: number;
  readonly reads: ReadRounds;
  transfer: Transfer | null;
  /** The request to change the membership that is to be answered; a change may be under way without one. */
  membershipRequest: number | null;
  pace: Pace;
}

export type Role =
  | { readonly name: 'follower' }
  | { readonly name: 'preCandidate'; readonly votes: Map<NodeId, boolean> }
  | { readonly name: 'candidate'; readonly votes: Map<NodeId, boolean> }
  | Leader;

/** Disk work: what has to be handed out, and what is under way. */
export interface PersistState {
  sequence: number;
  /** `through` shrinks when entries of the write under way are truncated: the late ack of an overwritten entry is void. */
  inFlight: {
    readonly sequence: number;
    through: Index;
    readonly hardState: HardState;
    readonly snapshot: SnapshotMeta | null;
    readonly since: number;
    /** Of the entries. */
    readonly bytes: number;
  } | null;
  /** First entry not yet handed out. */
  unsavedFrom: Index;
  hardStateDirty: boolean;
  snapshot: SnapshotMeta | null;
  replies: Outbound[];
}

export interface Node {
  readonly options: NodeOptions;
  readonly id: NodeId;
  readonly limits: Limits;
  readonly random: Random;
  readonly log: Log;
  now: number;
  term: Term;
  vote: NodeId | null;
  /** See {@link HardState}. */
  recovering: boolean;
  recovery: Recovery | null;
  /** Begins at a random place, as {@link Node.nextForwardedRead} does and for the same reason. */
  nextRecovery: number;
  /** As the last tick said: a leader turns proposals away. */
  diskLow: boolean;
  /** The hard state as the disk has it. */
  durableHardState: HardState;
  role: Role;
  leader: NodeId | null;
  /** When the current leader was last heard from: voters stick to it for an election timeout. */
  leaderContact: number;
  /** The leader's process is known to be gone: campaign and retry at the heartbeat's pace. */
  leaderGone: boolean;
  electionDeadline: number;
  commitIndex: Index;
  /** Entries up to here were handed to the state machine. */
  appliedIndex: Index;
  /** Entries up to here are on this node's disk and are part of the log. */
  durableIndex: Index;
  readonly persist: PersistState;
  /** A snapshot that replaces the state machine: first durable, then restored; nothing is applied meanwhile. */
  restoring: { readonly snapshot: SnapshotMeta; durable: boolean } | null;
  /** The restore under way; a newer snapshot waits until it is done. */
  restoreInFlight: Index | null;
  /** The snapshot being fetched and from whom. */
  fetching: { readonly from: NodeId; readonly snapshot: SnapshotMeta } | null;
  /** The disk read for applying under way. */
  applyReading: number | null;
  nextReadLogId: number;
  /** Oldest first. */
  confirmedReads: ConfirmedRead[];
  /** This follower's own reads that wait for the leader's answer: their number on the wire, and when they are given up. */
  readonly forwardedReads: Map<number, { readonly id: number; readonly deadline: number }>;
  /**
   * Begins at a random place: the answer to a question of this node's former life must not be taken for the answer to
   * a new one. It would name an index from before the new read began.
   */
  nextForwardedRead: number;
  /** What `leadership` and `configuration` last reported. */
  reported: {
    role: Role['name'];
    leader: NodeId | null;
    term: Term;
    configuration: Configuration;
    leaving: readonly Member[];
  };
  effects: Effect[];
}

/** Queues a message to go out at once. Only for what needs no durability. */
export function send(node: Node, to: NodeId, message: Message): void {
  node.effects.push({ type: 'send', to, message });
}

/** Queues a message that may leave only when everything known so far is on disk. */
export function sendWhenDurable(node: Node, to: NodeId, message: Message): void {
  const { persist } = node;
  const clean =
    persist.inFlight === null &&
    !persist.hardStateDirty &&
    persist.snapshot === null &&
    persist.replies.length === 0 &&
    persist.unsavedFrom > node.log.lastIndex;
  if (clean) send(node, to, message);
  else persist.replies.push({ to, message });
}

/** Enters a term, with or without a vote; durable before anything that depends on it is said. */
export function setHardState(node: Node, term: Term, vote: NodeId | null): void {
  if (node.term === term && node.vote === vote) return;
  node.term = term;
  node.vote = vote;
  node.persist.hardStateDirty = true;
}

/** Enters or leaves the state in which this node gives no vote; durable before the next vote in any case. */
export function setRecovering(node: Node, recovering: boolean): void {
  if (node.recovering === recovering) return;
  node.recovering = recovering;
  node.persist.hardStateDirty = true;
}

/** Draws the next election timeout. */
export function resetElectionDeadline(node: Node): void {
  const base = node.leaderGone ? node.options.heartbeatMs : node.options.electionMs;
  node.electionDeadline = node.now + node.random.between(base, 2 * base);
}
