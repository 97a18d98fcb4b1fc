import { type Collection, type CollectionClass } from './collection.ts';
import { WRONG_TYPE } from './errors.ts';
import type { Entry } from './entry.ts';
import type { Keyspace } from './keyspace.ts';
import type { EventClass } from './listener.ts';
import type { Meta, MetaTable } from './meta.ts';
import type { OnceTable } from './once.ts';

/** What a command waits for when it has nothing to give yet. */
export interface Wait {
  /** It is run again when one of them changes. */
  readonly keys: readonly string[];
  /** 0: for ever. */
  readonly timeoutMs: number;
  /** The command that is run then: the same, with what depends on this moment (`$` of XREAD) made explicit. */
  readonly retry: readonly string[];
}

/** What a handler may know besides its arguments, and what it may do besides its reply. */
export interface Context {
  readonly keyspace: Keyspace;
  /** What was run once and must not run again: the sessions of clients. */
  readonly once: OnceTable;
  /** Replicated settings, scripts, libraries and users: to be changed by `setMeta` only. */
  readonly meta: Meta;
  /**
   * Milliseconds since 1970: of a write, the time the leader put into the entry; of a read, the node's clock, but
   * never before the last entry's time.
   */
  readonly now: number;
  /** Steps that scripts have taken in the entry so far, or in reads of the last second; see `scripts/run.ts`. */
  scriptSteps: number;
  /** Whose rights a script has to keep to; null: nobody's, it may do everything. See `commands/on-behalf.ts`. */
  user: string | null;
  /** The next number in [0, 1) of a generator seeded by the entry's index and the command's place in it. */
  random(): number;
  /** Sets an entry of a replicated table, or removes it with `null`, and tells so. */
  setMeta(table: MetaTable, key: string, value: string | null): void;
  /** Tells of a keyspace event, as Redis names it: `notify('l', 'lpush', key)`. */
  notify(type: EventClass, event: string, key: string): void;
  /** Tells that a script was refused what its user may not do. */
  refused(user: string, reason: 'command' | 'key' | 'channel', object: string): void;
  /** Publishes a message. The result is for the reply alone: it differs from node to node. */
  publish(channel: string, message: string, sharded: boolean): number;
  /**
   * Says that a blocking command has nothing to give yet and has changed nothing. True: the client waits, and no reply must
   * be written. False: this run has to answer at once (in a transaction or a script, on a follower).
   */
  wait(wait: Wait): boolean;
}

/** The collection under the key, to be read: undefined where there is none, the text of the error where it is another type. */
export function readAs<C extends Collection>(
  context: Context,
  key: string,
  type: CollectionClass<C>,
): C | undefined | string {
  const entry = context.keyspace.get(key, context.now);
  if (entry === undefined) return undefined;
  return entry.value instanceof type ? entry.value : WRONG_TYPE;
}

/**
 * The entry of the collection under the key, for a write: undefined where there is none, the text of the error where it is
 * another type. Call `keyspace.change(key, entry)` before the collection is changed.
 */
export function entryAs<C extends Collection>(
  context: Context,
  key: string,
  type: CollectionClass<C>,
): Entry<C> | undefined | string {
  const entry = context.keyspace.getForWrite(key, context.now);
  if (entry === undefined) return undefined;
  return entry.value instanceof type ? (entry as Entry<C>) : WRONG_TYPE;
}

/** The collection under the key, ready to be changed: a new one where there is none; or the text of the error. */
export function changeAs<C extends Collection>(
  context: Context,
  key: string,
  type: CollectionClass<C>,
): C | string {
  const { keyspace } = context;
  const entry = entryAs(context, key, type);
  if (typeof entry === 'string') return entry;
  if (entry !== undefined) {
    keyspace.change(key, entry);
    return entry.value;
  }
  const collection = new type();
  keyspace.set(key, collection, 0);
  const created = keyspace.getForWrite(key, context.now);
  if (created !== undefined) keyspace.change(key, created);
  return collection;
}
