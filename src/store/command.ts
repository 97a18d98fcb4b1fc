/**
 * One entry of the command table. From it come dispatch, arity and key checks, redirects, COMMAND and its
 * subcommands, and the list of commands in the documentation.
 */
import type { Context } from './context.ts';
import { keyReferences } from './key-specs.ts';
import type { ReplyWriter } from './reply.ts';

/** Redis's own flag names, as COMMAND INFO reports them, for those that have a meaning here. */
export type CommandFlag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'admin'
  | 'pubsub'
  | 'noscript'
  | 'blocking'
  | 'loading'
  | 'stale'
  | 'skip_monitor'
  | 'skip_slowlog'
  | 'fast'
  | 'no_auth'
  /** Goes through the log and is paused as a write, though it changes no key by itself; COMMAND INFO keeps it to itself. */
  | 'may_replicate'
  | 'no_multi'
  | 'no_mandatory_keys'
  | 'no_async_loading'
  | 'movablekeys'
  | 'allow_busy';

/** What every command declares about itself. */
export interface CommandSpec {
  /** Lower case, as COMMAND reports it; a subcommand is `container|name`. */
  readonly name: string;
  /** The number of arguments with the name itself; negative: at least that many. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  /**
   * Position of the first key (the name is 0), 0 for none; of the last (negative: from the end); distance. What is done with
   * them, and where those are that positions can't tell, is in `key-specs.ts`.
   */
  readonly keys: { readonly first: number; readonly last: number; readonly step: number };
  /** ACL categories without `@`. */
  readonly categories: readonly string[];
  readonly summary: string;
  /** The Redis version that introduced it. */
  readonly since: string;
  /** The group on redis.io: `string`, `generic`, `connection`, … */
  readonly group: string;
  readonly complexity: string;
  readonly subcommands?: readonly CommandSpec[];
  /**
   * What follows the name, as HELP shows it: `<argument>`, `[optional]`, `one|other`, `(a group)`, `<repeated> [<repeated> ...]`;
   * words in capitals are written as they stand. None where nothing follows.
   */
  readonly usage?: string;
  /** It is there to say that there is no such command, and why: COMMAND does not list it. */
  readonly absent?: true;
}

/**
 * A command over the keyspace. Deterministic: of the outside world it sees only `context` (the entry's time and
 * seed) and `args`; `args[0]` is the name as the client wrote it. The arity is checked before. A handler writes
 * exactly one reply, also when it fails, and a failing handler changes nothing.
 */
export interface DataCommand extends CommandSpec {
  readonly kind: 'data';
  /** True: goes through the log. False: runs on one node, after a read round, and changes nothing. */
  readonly write: boolean;
  readonly run: (context: Context, args: readonly string[], reply: ReplyWriter) => void;
  /** A write without keys that any node takes and passes on to the leader: there is no key that could be redirected. */
  readonly anywhere?: true;
  /** The reply differs from node to node (the number of subscribers, the last use of a key), so it is never kept. */
  readonly replyVaries?: true;
}

/** A queued command of a transaction. */
export interface Call {
  readonly command: DataCommand;
  readonly args: readonly string[];
}

/** A key that must still have this version when the transaction runs; see `Store.version`. */
export interface Watch {
  readonly key: string;
  readonly version: number;
}

/** The keys among `args`, which may be malformed. */
export function keysOf(command: CommandSpec, args: readonly string[]): string[] {
  return keyReferences(command, args).map(({ position }) => args[position] ?? '');
}
