/**
 * The vocabulary of the consensus layer: what is stored in the log, what travels between nodes, what comes into
 * {@link ./node.ts | the core} as an event and what leaves it as an effect. Every other layer that talks about the
 * log (disk, network, driver) speaks in these types.
 *
 * Names follow Ongaro's thesis, "Consensus: Bridging Theory and Practice" (2014), figure 3.1 and onwards.
 */

declare const brand: unique symbol;
type Brand<Base, Name> = Base & { readonly [brand]: Name };

/** A raft term: 0 before the first election, then rising by one per candidacy. Below 2^53. */
export type Term = Brand<number, 'Term'>;
/** A position in the log. The first entry has index 1; 0 means "before the first entry". Below 2^53. */
export type Index = Brand<number, 'Index'>;
/** A node's name, chosen by the operator and never used again for another node. 1 to 64 of `[A-Za-z0-9_.-]`. */
export type NodeId = Brand<string, 'NodeId'>;
/** The name of one replicated log; a process may host several. The first is `main`. */
export type GroupId = Brand<string, 'GroupId'>;

/** Casts a number that is known to be a term. */
export const asTerm = (value: number): Term => value as Term;
/** Casts a number that is known to be an index. */
export const asIndex = (value: number): Index => value as Index;
/** Casts a string that is known to be a valid node id. */
export const asNodeId = (value: string): NodeId => value as NodeId;
/** Casts a string that is known to be a valid group id. */
export const asGroupId = (value: string): GroupId => value as GroupId;

/** What an entry's payload means. The numbers are part of the disk and wire formats. */
export const EntryType = {
  /** Appended by every new leader so that it has an entry of its own term to commit (thesis 6.4). Empty payload. */
  noop: 0,
  /** A batch of client writes; the store knows its encoding. */
  batch: 1,
  /** A {@link Configuration}, see `configuration.ts` for its encoding. */
  configuration: 2,
} as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** One record of the replicated log, and of the log on disk: they are the same thing. Immutable. */
export interface Entry {
  readonly index: Index;
  readonly term: Term;
  readonly type: EntryType;
  /** Never changed after the entry was made; it may be a view into a larger buffer that nobody else writes to. */
  readonly payload: Uint8Array;
}

/** A node and where its peers reach it. */
export interface MemberAddress {
  readonly id: NodeId;
  /** For example `http://127.0.0.1:7001`. */
  readonly url: string;
}

/** A node as the configuration names it. */
export interface Member extends MemberAddress {
  /** The random name of its data directory: an emptied directory under the same id is another one. 16 hex digits. */
  readonly incarnation: string;
}

/** A member that receives the log and has no vote. */
export interface Learner extends Member {
  /** The leader makes it a voter as soon as it has caught up. */
  readonly promote: boolean;
  /** The voter that leaves in the same change in which this one becomes a voter. */
  readonly replaces: NodeId | null;
}

/**
 * Who takes part. `outgoing` is empty except while a joint-consensus change is under way (thesis 4.3), when a
 * quorum needs a majority of `voters` and a majority of `outgoing`. A configuration is in force from the moment
 * its entry is appended. A node that joins begins without any: no voters, no quorum, and it never campaigns.
 */
export interface Configuration {
  readonly voters: readonly Member[];
  readonly outgoing: readonly Member[];
  readonly learners: readonly Learner[];
  /** Ids of former members, oldest first. They are never used again. */
  readonly removed: readonly NodeId[];
}

/** A change of who takes part, as an operator asks for it. */
export type MembershipChange =
  /** A new node, which gets the log; with `promote` it becomes a voter by itself. Repeating it changes nothing. */
  | { readonly type: 'addLearner'; readonly learner: Learner }
  /** A learner becomes a voter once it has caught up; `replaces` leaves in the same change. */
  | { readonly type: 'promote'; readonly id: NodeId; readonly replaces: NodeId | null }
  | { readonly type: 'remove'; readonly id: NodeId }
  | { readonly type: 'setUrl'; readonly id: NodeId; readonly url: string };

/** What must be on disk before any reply that depends on it. */
export interface HardState {
  readonly term: Term;
  /** The candidate voted for in `term`, if any. */
  readonly vote: NodeId | null;
  /**
   * The log may lack entries that this node once acknowledged. Until it has everything that the leader had when asked,
   * it grants no vote and does not campaign.
   */
  readonly recovering: boolean;
}

/** Identifies a snapshot and says what it covers; the bytes themselves never pass through the core. */
export interface SnapshotMeta {
  /** The last entry whose effect the snapshot includes. */
  readonly index: Index;
  readonly term: Term;
  readonly configuration: Configuration;
  /** The index of the entry that `configuration` came from. */
  readonly configurationIndex: Index;
  /** Size of the finished file in bytes. */
  readonly bytes: number;
  /** CRC-32 over the whole file, to tell two files of the same index apart and to check a transfer. */
  readonly checksum: number;
}

/** A run of entries of one term: the first index at which that term begins. Runs rise in both fields. */
export interface TermRun {
  readonly term: Term;
  readonly first: Index;
}

/* ------------------------------------------------------------------------------------------------------------- */

/** Fields that every message carries. */
interface MessageBase {
  /** The sender's term; of a pre-vote request, the term it would campaign in. */
  readonly term: Term;
}

/** Would you vote for me? Changes nobody's term (thesis 9.6). */
export interface PreVoteRequest extends MessageBase {
  readonly type: 'preVoteRequest';
  readonly lastIndex: Index;
  readonly lastTerm: Term;
}
export interface PreVoteReply extends MessageBase {
  readonly type: 'preVoteReply';
  readonly granted: boolean;
  /** The term the request asked about, so that a late grant is not counted for another attempt. */
  readonly campaignTerm: Term;
}
export interface VoteRequest extends MessageBase {
  readonly type: 'voteRequest';
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  /** The leader asked for this election: voters ignore their stickiness (thesis 4.2.3). */
  readonly transfer: boolean;
}
export interface VoteReply extends MessageBase {
  readonly type: 'voteReply';
  readonly granted: boolean;
}

/** AppendEntries (thesis 3.5). Empty `entries` probes for the match index. */
export interface Append extends MessageBase {
  readonly type: 'append';
  readonly prevIndex: Index;
  readonly prevTerm: Term;
  readonly entries: readonly Entry[];
  readonly commit: Index;
}
export interface AppendReply extends MessageBase {
  readonly type: 'appendReply';
  readonly result:
    | { readonly ok: true /** Durable and equal to the leader's log up to here. */; readonly match: Index }
    | {
        readonly ok: false;
        /** `prevIndex` of the append that did not fit, to tell a replayed rejection from a fresh one. */
        readonly rejected: Index;
        /** The follower's best guess for the next `prevIndex`, and the term it holds there (skips whole terms). */
        readonly hintIndex: Index;
        readonly hintTerm: Term;
      };
}

/** Keeps leadership, carries the commit index and a read round; small, so that it travels in the control lane. */
export interface Heartbeat extends MessageBase {
  readonly type: 'heartbeat';
  /** Never beyond what the receiver is known to have. */
  readonly commit: Index;
  /**
   * What the leader knows to be durable on the receiver, and the term there. A receiver whose log has no such entry has
   * lost what it once acknowledged. Both 0 where the leader knows of nothing.
   */
  readonly match: Index;
  readonly matchTerm: Term;
  /** The newest read round; a reply with this number confirms every round up to it. */
  readonly round: number;
}
export interface HeartbeatReply extends MessageBase {
  readonly type: 'heartbeatReply';
  readonly round: number;
  /** See {@link HardState}: the sender can't vote. */
  readonly recovering: boolean;
}

/** Tells a follower that the entries it needs are gone; it fetches the snapshot from the sender. */
export interface InstallSnapshot extends MessageBase {
  readonly type: 'installSnapshot';
  readonly snapshot: SnapshotMeta;
}
export interface InstallSnapshotReply extends MessageBase {
  readonly type: 'installSnapshotReply';
  /** The snapshot this answers. */
  readonly index: Index;
  /** `installed`: durable up to `index`. `fetching`: still at it. `failed`: ask again. */
  readonly status: 'installed' | 'fetching' | 'failed';
}

/** The leader hands over: campaign now, without a pre-vote (thesis 3.10). */
export interface TimeoutNow extends MessageBase {
  readonly type: 'timeoutNow';
}

/** A follower asks the leader for an index at which its reads are linearizable (thesis 6.4). */
export interface ReadIndexRequest extends MessageBase {
  readonly type: 'readIndexRequest';
  readonly id: number;
}
export interface ReadIndexReply extends MessageBase {
  readonly type: 'readIndexReply';
  readonly id: number;
  /** `null` where the receiver is not the leader or lost its leadership. */
  readonly index: Index | null;
}

/** A recovering follower asks what it has to have before it may vote again. The leader forgets what it knew of it. */
export interface RecoveryRequest extends MessageBase {
  readonly type: 'recoveryRequest';
  readonly id: number;
}
export interface RecoveryReply extends MessageBase {
  readonly type: 'recoveryReply';
  readonly id: number;
  /** The leader's last index when it was asked; `null` where the receiver does not lead. */
  readonly index: Index | null;
}

export type Message =
  | PreVoteRequest
  | PreVoteReply
  | VoteRequest
  | VoteReply
  | Append
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | InstallSnapshotReply
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexReply
  | RecoveryRequest
  | RecoveryReply;

/** A message and who is to get it. */
export interface Outbound {
  readonly to: NodeId;
  readonly message: Message;
}

/* ------------------------------------------------------------------------------------------------------------- */

/** Fields that every event carries. */
interface EventBase {
  /** Milliseconds of a clock that never runs backwards while the process lives. */
  readonly now: number;
}

/**
 * Everything that can happen to a node.
 *
 * - `tick`: time has passed; expected several times per heartbeat interval. `diskLow`: space is running out, so a leader
 *   turns proposals away.
 * - `message`: a peer said something.
 * - `persisted`: the disk work of the `persist` effect with this sequence number is durable.
 * - `propose`: append this batch; answered by `proposed` or `rejected` with the same id.
 * - `read`: answered, when the state machine may be read, by `readReady` or `readFailed` with the same id.
 * - `logRead`: the entries asked for by `readLog`; empty when they are gone.
 * - `snapshotSaved`: the driver wrote a snapshot at an applied index; entries up to `compactTo` may go.
 * - `snapshotFetched` / `snapshotFetchFailed`: end of a `fetchSnapshot`; the fetched file is durable.
 * - `snapshotRestored`: the state machine now stands at the snapshot's index.
 * - `peerDown`: the peer's streams are closed and a new connection was refused: its process is gone.
 * - `unreachable`: a message to the peer was dropped.
 * - `changeMembership`: answered by `membershipChanged` or `membershipRejected` with the same id.
 * - `transfer`: hand leadership to `to`, or to the best follower; `transferEnded` answers it.
 * - `campaign`: start an election now (a lone node at start).
 */
export type Event = EventBase &
  (
    | { readonly type: 'tick'; readonly diskLow: boolean }
    | { readonly type: 'message'; readonly from: NodeId; readonly message: Message }
    | { readonly type: 'persisted'; readonly sequence: number }
    | { readonly type: 'propose'; readonly id: number; readonly payload: Uint8Array }
    | { readonly type: 'read'; readonly id: number }
    | { readonly type: 'logRead'; readonly id: number; readonly entries: readonly Entry[] }
    | { readonly type: 'snapshotSaved'; readonly snapshot: SnapshotMeta; readonly compactTo: Index }
    | { readonly type: 'snapshotFetched'; readonly from: NodeId; readonly snapshot: SnapshotMeta }
    | { readonly type: 'snapshotFetchFailed'; readonly from: NodeId; readonly snapshot: SnapshotMeta }
    | { readonly type: 'snapshotRestored'; readonly index: Index }
    | { readonly type: 'peerDown'; readonly peer: NodeId }
    | { readonly type: 'unreachable'; readonly peer: NodeId }
    | { readonly type: 'changeMembership'; readonly id: number; readonly change: MembershipChange }
    | { readonly type: 'transfer'; readonly to: NodeId | null }
    | { readonly type: 'campaign' }
  );

export type RoleName = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** Why a proposal or a read was turned away; nothing was appended. */
export type Rejection = 'notLeader' | 'transferring' | 'busy' | 'diskFull';

/**
 * Why a change of membership was turned away. `notReady`: this term's first entry is not committed yet; `pending`: another
 * change is under way; `unsafe`: the new voters would have no live majority; `invalid`: it can never be done. `unknown`:
 * leadership was lost after the change was begun, and the next leader may finish it.
 */
export type MembershipRejection = 'notLeader' | 'notReady' | 'pending' | 'unsafe' | 'invalid' | 'unknown';

/** Disk work. At most one is in flight; the next is handed out after its `persisted` event. */
export interface Persist {
  readonly type: 'persist';
  /** Rises by one per persist effect; given back in `persisted`. */
  readonly sequence: number;
  /** `null`: unchanged since the last persist. Made durable *before* the entries. */
  readonly hardState: HardState | null;
  /**
   * Replace the whole log by this snapshot, already durable as a file: the log then begins after its index.
   * `null`: none. Comes before `entries`.
   */
  readonly snapshot: SnapshotMeta | null;
  /**
   * Contiguous. The first index is at most last + 1; entries on disk from there on are cut off first, durably,
   * before these are written.
   */
  readonly entries: readonly Entry[];
  /** The commit index known now; a hint that may be stored beside the entries. At most the last index. */
  readonly commit: Index;
  /** To be sent when, and only when, all of this is durable and before `persisted` is stepped. */
  readonly replies: readonly Outbound[];
}

/**
 * Everything a node can ask of the world. Effects of one step are carried out in order.
 *
 * - `send`: queue the message for the peer now; may be lost.
 * - `apply`: run these committed entries on the state machine, in order; contiguous with the ones before.
 * - `restoreSnapshot`: replace the state machine by this snapshot, then answer `snapshotRestored`. No `apply` and no
 *   `readReady` comes in between.
 * - `fetchSnapshot`: get the snapshot's file from that peer and make it durable, then `snapshotFetched` or `…Failed`.
 * - `readLog`: read entries from disk, at least one, up to about `maxBytes`, then answer `logRead`.
 * - `compact`: entries up to here may be removed from the disk.
 * - `leadership`: role, leader or term changed. A node that stops leading must answer its open requests.
 * - `transferEnded`: the transfer asked for is over; `ok` when another node took over.
 */
export type Effect =
  | Persist
  | { readonly type: 'send'; readonly to: NodeId; readonly message: Message }
  | { readonly type: 'apply'; readonly entries: readonly Entry[] }
  | { readonly type: 'restoreSnapshot'; readonly snapshot: SnapshotMeta }
  | { readonly type: 'fetchSnapshot'; readonly from: NodeId; readonly snapshot: SnapshotMeta }
  | {
      readonly type: 'readLog';
      readonly id: number;
      readonly from: Index;
      readonly to: Index;
      readonly maxBytes: number;
    }
  | { readonly type: 'compact'; readonly to: Index }
  | { readonly type: 'proposed'; readonly id: number; readonly index: Index; readonly term: Term }
  | { readonly type: 'rejected'; readonly id: number; readonly reason: Rejection }
  | { readonly type: 'readReady'; readonly ids: readonly number[] }
  | { readonly type: 'readFailed'; readonly ids: readonly number[]; readonly reason: Rejection }
  /**
   * The configuration in force changed. `leaving`: members of the one before that are not in it any more. Until it is
   * known to be committed they still count as members to the transport: a removed leader leads until then, and the change
   * may yet be rolled back.
   */
  | {
      readonly type: 'configuration';
      readonly configuration: Configuration;
      readonly leaving: readonly Member[];
    }
  /** The last configuration of the change is committed. */
  | { readonly type: 'membershipChanged'; readonly id: number; readonly configuration: Configuration }
  | {
      readonly type: 'membershipRejected';
      readonly id: number;
      readonly reason: MembershipRejection;
      /** What is wrong and what to do, in words. */
      readonly message: string;
    }
  | {
      readonly type: 'leadership';
      readonly role: RoleName;
      readonly leader: NodeId | null;
      readonly term: Term;
    }
  | { readonly type: 'transferEnded'; readonly ok: boolean };

/** What the disk held when the process started; see `openNode`. */
export interface Recovered {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
  /** Index of the first entry on disk, or last + 1 when there is none. */
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  /** The entry before `firstIndex`: where the log was compacted to. 0 and 0 for a fresh log. */
  readonly compacted: { readonly index: Index; readonly term: Term };
  readonly termRuns: readonly TermRun[];
  /** All configuration entries on disk, oldest first. None of them and no snapshot: a node that joins. */
  readonly configurations: readonly { readonly index: Index; readonly configuration: Configuration }[];
  /** The highest commit index found; a hint, at most `lastIndex`. */
  readonly commit: Index;
}

/** An impossible state: the process must stop, with this evidence, before it does harm. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Throws an {@link InvariantError} unless `condition` holds. `evidence` is only called when it does not. */
export function invariant(condition: boolean, evidence: () => string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${evidence()}`);
}
