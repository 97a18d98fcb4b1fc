/**
 * What the keyspace, snapshots and the digest need of a value that is no string. Each data type is a class in `types/` and
 * a line in `types.ts`.
 *
 * A collection is changed in place, but only between {@link Keyspace.change} and the end of the command: whoever must keep
 * what it was has made a fork by then.
 */
import type { ByteReader, ByteWriter } from './bytes.ts';

/** As TYPE names them. A `string` is one that is written in place; all others are JavaScript's own. */
export type CollectionType = 'string' | 'list' | 'hash' | 'set' | 'zset' | 'stream' | 'MBbloom--';

export interface Collection {
  readonly type: CollectionType;
  /** As OBJECT ENCODING names it. */
  readonly encoding: string;
  /** Whether the key goes away when the command ends: a collection that has nothing left, of the types that Redis removes. */
  readonly vanishes: boolean;
  /** What it takes in memory, about, in bytes. The same on every node. O(1). */
  readonly bytes: number;
  /** Where parts of it have deadlines, which are fields of hashes: what is known of these. */
  readonly expiring: Expiring | null;
  /** O(1): the two share what neither changes. */
  fork(): Collection;
  /**
   * Writes it down, from `cursor` on, until about `bytesMax` bytes are written; 0 at first, and the result is the cursor to
   * go on from, or `null` at the end. The same bytes on every node.
   */
  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null;
  /**
   * Takes what one call of `encode` wrote, in order, to the end of the reader. Throws a `FormatError` where that can't be.
   * For a new collection only.
   */
  decode(reader: ByteReader): void;
}

/**
 * The deadlines of a collection's parts, in ms since 1970. A part whose deadline has passed is missing for whoever looks at the
 * collection, and takes memory until it is removed, which is in the log.
 */
export interface Expiring {
  /** The first deadline of all parts that take memory; Infinity where none has one. */
  readonly first: number;
  /** The last one: then nothing is left of the collection. Infinity where a part has none. */
  readonly last: number;
  /** The first one after `now`; Infinity where there is none. */
  next(now: number): number;
  /** Removes up to `max` parts that have expired; how many. */
  remove(now: number, max: number): number;
}

/** The class of a type of collection. */
export interface CollectionClass<C extends Collection> {
  new (): C;
}

/** What an element costs besides its bytes, about: the object, its place in the tree, the head of its string. */
export const ELEMENT_OVERHEAD_BYTES = 64;
/** What an empty collection costs. */
export const COLLECTION_OVERHEAD_BYTES = 256;
