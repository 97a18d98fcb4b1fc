/**
 * What a node wants to know of what happens in its store while entries are applied: for subscribers, for clients that wait
 * for a key and for those that cache. It runs on every node, must not change the store, and is no part of the state.
 */

/**
 * The classes of keyspace events, by the letters of `notify-keyspace-events`: generic, string, list, hash, set, sorted set,
 * stream, expired, evicted, new key, module (Bloom filters).
 */
export type EventClass = 'g' | '$' | 'l' | 'h' | 's' | 'z' | 't' | 'x' | 'e' | 'n' | 'd';

export interface StoreListener {
  /** The key was set, changed, given another deadline or removed; more than once per command, maybe. */
  changed(key: string): void;
  /** All keys were removed. */
  cleared(): void;
  /** A keyspace event, as Redis names it. */
  event(type: EventClass, event: string, key: string): void;
  /** A message was published; the number of clients of this node that get it. */
  message(channel: string, message: string, sharded: boolean): number;
  /** A replicated setting, script, function library or user was changed; see `meta.ts`. `key` null: any of the table. */
  metaChanged(table: string, key: string | null): void;
  /** A script was refused what its user may not do: a command, a key or a channel. */
  refused(user: string, reason: 'command' | 'key' | 'channel', object: string): void;
  /** A snapshot has taken the place of everything. */
  restored(): void;
}
