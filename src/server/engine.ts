/**
 * The border between the client port, which knows sockets and protocols, and the driver, which knows the log: a
 * request goes in, and when its outcome is known the engine writes the reply into the client's own writer.
 */
import type { NodeId } from '../raft/types.ts';
import type { Call, DataCommand, Watch } from '../store/command.ts';
import type { Once } from '../store/once.ts';
import type { Wait } from '../store/context.ts';
import type { ReplyWriter } from '../store/reply.ts';
import type { Activity } from './activity.ts';
import type { Blocked } from './blocked.ts';
import { outcomeUnknown } from './errors.ts';
import type { StoreEvents } from './store-events.ts';

/** The engine's view of a connection (or of any other caller). */
export interface Client {
  /** Where the replies of its requests go, in the order in which it submitted them. */
  readonly reply: ReplyWriter;
  /** For SLOWLOG and MONITOR, where it is known. */
  readonly remoteAddress?: string;
  readonly name?: string;
  /** `count` requests have been answered; called at most once per client and batch, after the replies were written. */
  settled(count: number): void;
  /** The answer to a `watch` request, called just before its `+OK` is written. */
  watched(watches: readonly Watch[]): void;
  /** The reply just written was kept from the first time that the request was sent. */
  repeated(): void;
  /**
   * In place of a reply: this node does not lead, and has not run the request and never will. The client writes what
   * its peer should do instead. `settled` counts it like an answered one.
   */
  refused(request: Request): void;
  /** In place of a reply: a write that may or may not be run. Without this method it is answered `-UNKNOWN`. */
  unknown?(): void;
}

/** Tells a client that nobody knows whether its write was run. */
export function tellUnknown(client: Client): void {
  if (client.unknown === undefined) client.reply.error(outcomeUnknown());
  else client.unknown();
}

/** One thing a client waits for. */
export type Request =
  | {
      readonly kind: 'command';
      readonly client: Client;
      readonly command: DataCommand;
      readonly args: readonly string[];
      /** The name of a write that must not run twice; `null` for reads and for writes without one. */
      readonly once: Once | null;
      /** Set where the command may wait for a key instead of being answered at once. */
      readonly waits?: Waits;
    }
  | {
      readonly kind: 'transaction';
      readonly client: Client;
      readonly calls: readonly Call[];
      readonly watches: readonly Watch[];
      readonly once: Once | null;
    }
  | { readonly kind: 'watch'; readonly client: Client; readonly keys: readonly string[] }
  /** A reply already known (`+QUEUED`, an arity error) that has to wait for the ones before it. */
  | {
      readonly kind: 'text';
      readonly client: Client;
      readonly write: (reply: ReplyWriter) => void;
      /** In place of `write`, where there is no leader; without it the reply is written all the same. */
      readonly refused?: () => void;
    };

/** Who waits when a command has nothing to give yet; see `blocked.ts`. */
export interface Waits {
  /** The client waits already and this is another try: when it can't be made, the client goes on waiting. */
  readonly again: boolean;
  /** Called when the request leaves. False: nobody wants that any more; it is dropped, neither answered nor settled. */
  starts(): boolean;
  /**
   * In place of a reply: it was run, has changed nothing and has nothing to give; `settled` does not count it. `wait` is
   * null when what is there is not what is waited for. `seen`: the versions of its keys.
   */
  nothingYet(wait: Wait | null, seen: readonly Watch[]): void;
}

/**
 * Where a request waits. `log`: it rides in the next log entry; reads in it run just where they stand among the
 * writes. `read`: it waits for a read round only. A client must not have requests open in both at once.
 */
export type Lane = 'log' | 'read';

/** A node as clients see it. */
export interface NodeAddress {
  readonly id: NodeId;
  readonly host: string;
  readonly port: number;
}

/** A member of the cluster as this node knows it. */
export interface MemberStatus {
  readonly id: NodeId;
  readonly url: string;
  /** `null` until the member told it. */
  readonly client: { readonly host: string; readonly port: number } | null;
  readonly role: 'leader' | 'follower' | 'learner' | 'unknown';
  readonly self: boolean;
  /** Whether a stream from it is open, true for this node itself. */
  readonly connected: boolean;
  /** Only on the leader: the last entry known to be durable there. */
  readonly match: number | null;
}

/** What INFO, CLUSTER, ROLE and the status endpoint report. */
export interface NodeStatus {
  readonly id: NodeId;
  readonly clusterId: string;
  readonly group: string;
  /** `joining`: its log has not told it who the members are yet. `removed`: by its log, or by what a peer says. */
  readonly state: 'member' | 'joining' | 'removed';
  readonly role: 'follower' | 'preCandidate' | 'candidate' | 'leader';
  readonly term: number;
  readonly leader: NodeId | null;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly snapshotIndex: number;
  readonly members: readonly MemberStatus[];
  readonly keys: number;
  readonly keysWithExpiry: number;
  readonly fsync: 'always' | 'interval' | 'never';
  /** It may lack what it acknowledged, and gives no vote until it has that again. */
  readonly recovering: boolean;
  /** Its disk is nearly full; writes are refused where it leads. */
  readonly diskLow: boolean;
}

/** The snapshots of this node since it was started. */
export interface SnapshotStatus {
  readonly inProgress: boolean;
  /** How many were taken; when the last one was done, in seconds since 1970, or else when the node was started. */
  readonly taken: number;
  readonly lastAt: number;
  /** Whether the last one came to its end, and how long it took; -1 for none. */
  readonly lastOk: boolean;
  readonly lastSeconds: number;
}

export interface Engine {
  /** What happens in the store of this node, leader or not. */
  readonly events: StoreEvents;
  /** What the commands of this node come to. */
  readonly activity: Activity;
  /** The clients of this node that wait for keys. */
  readonly blocked: Blocked;
  /** True while this node leads: data commands are taken here and nowhere else. */
  readonly leading: boolean;
  /** The leader's client address where it is known, for MOVED. */
  leaderAddress(): NodeAddress | null;
  /**
   * Takes a request; it is answered later, never within this call. All requests of one event-loop turn share an
   * entry or a read round. On a node that does not lead, or when a bound is reached, the answer is an error.
   */
  submit(lane: Lane, request: Request): void;
  /** Bytes of requests taken and not yet answered, for back-pressure. */
  readonly pendingBytes: number;
  status(): NodeStatus;
  /** How often reads on this node have found a key, or have not. */
  readonly lookups: { readonly hits: number; readonly misses: number };
  resetLookups(): void;
  /** What keys and values take in memory, about, in bytes. */
  readonly dataBytes: number;
  /** A replicated setting; undefined where it was never set. */
  setting(name: string): string | undefined;
  /** The replicated users by name, as their rules are kept. */
  readonly users: ReadonlyMap<string, string>;
  /** Index of the newest entry proposed here, for WAIT. */
  readonly lastProposedIndex: number;
  /** How many other nodes hold everything up to `index` on disk, as far as this leader knows. */
  replicasAt(index: number): number;
  readonly snapshots: SnapshotStatus;
  /** Takes a snapshot of the state as it is now, or waits for the one under way. Resolves to whether it is on disk. */
  takeSnapshot(): Promise<boolean>;
  /** Hands leadership to `to`, or to the voter that is closest behind. Resolves to whether another node takes it. */
  transfer(to: NodeId | null): Promise<boolean>;
  /** Whom this leader is handing its leadership to. */
  readonly successor: NodeId | null;
  /** Milliseconds since 1970, never running backwards, never before the last entry's time. */
  now(): number;
}
