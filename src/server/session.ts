/**
 * What commands that this node answers by itself may know and do: the faces that a connection and the client port
 * show them, and the shapes of such commands.
 */
import type { CommandSpec, DataCommand } from '../store/command.ts';
import type { ReplyWriter } from '../store/reply.ts';
import type { AclLog } from './acl-log.ts';
import type { Ending } from './blocked.ts';
import type { UnknownOutcome } from './config.ts';
import type { Engine, Request } from './engine.ts';
import type { Subscriber, Subscriptions } from './subscriptions.ts';
import type { Tracker, Tracking } from './tracking.ts';
import type { Users } from './users.ts';

/** The Redis release whose behaviour the commands follow, as clients ask for it. */
export const REDIS_VERSION = '7.0.15';

/** One client connection. */
export interface Session extends Subscriber {
  /** Never given to another connection while the process lives. */
  readonly id: number;
  readonly port: PortContext;
  protocol: 2 | 3;
  /** Where the reply to the request under way goes. */
  readonly reply: ReplyWriter;
  /** Set by CLIENT SETNAME and SETINFO; empty until then. */
  name: string;
  libraryName: string;
  libraryVersion: string;
  readonly authenticated: boolean;
  /** Who it is; `default` until it has said who. */
  readonly userName: string;
  /** Whether reads are run on this node although it does not lead. */
  readsHere: boolean;
  /** `host:port` of the client, and of this end. */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** Milliseconds of {@link PortContext.monotonic}. */
  readonly connectedAt: number;
  readonly activeAt: number;
  /** The command that runs or ran last, as COMMAND names it. */
  readonly lastCommand: string;
  /** Commands queued since MULTI; -1 outside a transaction. */
  readonly queuedCommands: number;
  /** Bytes received and not yet parsed, and bytes of replies not yet taken by the network. */
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** Bytes of the commands queued since MULTI. */
  readonly queuedBytes: number;
  /** Set by CLIENT NO-EVICT and NO-TOUCH: not to be closed for its memory, nor to count as a use of the keys that it reads. */
  noEvict: boolean;
  noTouch: boolean;
  /** What it wants to hear of what it reads; `null` for nothing. */
  tracker: Tracker | null;
  /** No more requests are taken from it. */
  readonly closing: boolean;
  /** It waits: for a key, for replicas, or for the end of a pause. */
  readonly blocked: boolean;
  /** Ends the wait for a key or for replicas; false when there is none. */
  unblock(ending: Ending): boolean;
  /** Whether user and password are right; remembers it if so. `command`: by which it says who it is. */
  authenticate(user: string, password: string, command: string): boolean;
  /**
   * Sends a write that needs no key on its way to the leader, whoever that is; its reply is that to the request under way. What
   * is behind it waits until this node, too, has seen what it has changed.
   */
  submit(command: DataCommand, args: readonly string[]): void;
  /** Back to the state of a fresh connection, except for what was already answered. */
  reset(): void;
  /**
   * Its writes are from now on those of an exactly-once session: the next one has this sequence, each further one the
   * next. See `once.ts` in the store.
   */
  resume(session: number, sequence: number): void;
  /**
   * Opens one of the answers to SUBSCRIBE and its kin, a push in RESP3; `length` replies follow, into the result: pushes are
   * sent, be replies mute or not.
   */
  openPush(length: number): ReplyWriter;
  /**
   * What becomes of replies: they are sent, or not, or that to the next request is not. Takes effect with the reply to the
   * request that asks for it.
   */
  muteReplies(which: 'none' | 'all' | 'next'): void;
  /** The reply comes later; nothing of this connection runs in between. */
  later(reply: Promise<(reply: ReplyWriter) => void>): void;
  /** Closes the connection at once, whatever is open. */
  destroy(): void;
  /** No more requests; closes once the replies so far are out. */
  quit(): void;
  /**
   * Answers with the number of other nodes that hold all of this connection's writes on disk: once there are `count`
   * of them, or after `timeoutMs` (0: no limit). Nothing of this connection runs in between.
   */
  waitForReplicas(
    count: number,
    timeoutMs: number,
    reply: ReplyWriter,
    answer?: (have: number, reply: ReplyWriter) => void,
  ): void;
}

/** The client port and the node behind it. */
export interface PortContext {
  readonly engine: Engine;
  /** Passes requests on to the leader: messages, and with `--proxy` all others. */
  readonly forwarder: { submit(request: Request): void };
  /** Whether a node other than the leader passes on what it gets; otherwise clients are redirected. */
  readonly proxy: boolean;
  readonly commands: CommandTable;
  readonly users: Users;
  /** What was refused to users here. */
  readonly aclLog: AclLog;
  /** Who listens on this node. */
  readonly subscriptions: Subscriptions;
  /** Who is told on this node of what changes. */
  readonly tracking: Tracking;
  readonly sessions: ReadonlyMap<number, Session>;
  readonly statistics: PortStatistics;
  readonly settings: PortSettings;
  /**
   * Holds the requests of all connections, or those that write, from the next one on for `ms`. What is held already stays so
   * for the longer of both times, and all if one of both says all.
   */
  pause(what: 'all' | 'writes', ms: number): void;
  unpause(): void;
  /** Stops the node as its operator would. */
  shutDown(): void;
  /** Milliseconds that never run backwards. */
  monotonic(): number;
}

export interface PortSettings {
  readonly host: string;
  /** The bound port, also where 0 was asked for. */
  readonly port: number;
  /** Whether connections begin with reads on this node, see {@link Session.readsHere}. */
  readonly followerReads: boolean;
  /** How a client learns that nobody knows whether its write was run: by `-UNKNOWN`, or by the end of its connection. */
  readonly unknownOutcome: UnknownOutcome;
  readonly maxClients: number;
  readonly maxRequestBytes: number;
}

/** Counters since the process started. */
export interface PortStatistics {
  /** Milliseconds of {@link PortContext.monotonic}. */
  readonly startedAt: number;
  connections: number;
  rejectedConnections: number;
  commands: number;
  inputBytes: number;
  outputBytes: number;
  /** Keys that have gone on this node because their time had come, or to make room. */
  expiredKeys: number;
  evictedKeys: number;
  /** Of the last full second. */
  commandsPerSecond: number;
  inputBytesPerSecond: number;
  outputBytesPerSecond: number;
  /** Memory in use at the start and the most seen, by a look every second; in bytes. */
  readonly startMemory: number;
  peakMemory: number;
}

/** By name, in lower and in upper case. */
export type CommandTable = ReadonlyMap<string, Command>;

/** Runs on this node alone and at once; waits until everything before it on its connection is answered. */
export interface LocalCommand extends CommandSpec {
  readonly kind: 'local';
  readonly subcommands?: readonly (LocalCommand | DataCommand)[];
  /** Whether it must see what was acknowledged anywhere before; without a leader it is run all the same. */
  readonly fresh?: (args: readonly string[]) => boolean;
  readonly run: (session: Session, args: readonly string[], reply: ReplyWriter) => void;
}

/**
 * A reply made of the arguments and the clock alone: right on any node, at any moment between other requests, and in
 * a transaction, where it stands as a read that looks at no key.
 */
export interface PureCommand extends CommandSpec {
  readonly kind: 'pure';
  /** `now`: ms since 1970. */
  readonly answer: (args: readonly string[], now: number, reply: ReplyWriter) => void;
  /** The same as a call of a transaction. */
  readonly call: DataCommand;
}

/** MULTI and what belongs to it: they change the connection, which knows them by name. */
export interface TransactionCommand extends CommandSpec {
  readonly kind: 'transaction';
  readonly name: 'multi' | 'exec' | 'discard' | 'watch' | 'unwatch';
}

export type Command = DataCommand | LocalCommand | PureCommand | TransactionCommand;
