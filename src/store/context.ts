import type { Keyspace } from './keyspace.ts';
import type { OnceTable } from './once.ts';

/** What a handler may know besides its arguments. */
export interface Context {
  readonly keyspace: Keyspace;
  /** What was run once and must not run again: the sessions of clients. */
  readonly once: OnceTable;
  /**
   * Milliseconds since 1970: of a write, the time the leader put into the entry; of a read, the node's clock, but
   * never before the last entry's time.
   */
  readonly now: number;
  /** The next number in [0, 1) of a generator seeded by the entry's index and the command's place in it. */
  random(): number;
}
