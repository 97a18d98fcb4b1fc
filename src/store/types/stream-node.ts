/**
 * The pieces a stream consists of: up to a hundred entries each, as many as in one of Redis's. They make a stream cheap (a
 * piece says once which fields its entries have), and XTRIM with `~` removes nothing but whole pieces, so they are cut
 * where Redis cuts them: after {@link NODE_ENTRIES_MAX} entries, those included that were deleted since, or so many bytes.
 */
import { integerBytes, LISTPACK_BYTES, stringBytes } from './listpack.ts';
import { distances, type StreamId } from './stream-id.ts';

/** Redis's `stream-node-max-entries` and `stream-node-max-bytes`. */
export const NODE_ENTRIES_MAX = 100;
const NODE_BYTES_MAX = 4096;

/** What an entry and each of its strings cost besides their characters, about. */
const ENTRY_OVERHEAD_BYTES = 136;
const STRING_OVERHEAD_BYTES = 28;

/** Immutable. */
export interface StreamEntry {
  readonly id: StreamId;
  /** Those of the node, or others. */
  readonly fields: readonly string[];
  /** As many as there are fields. */
  readonly values: readonly string[];
}

/**
 * Whom nodes and groups belong to: a stream changes only those with its own mark, others it copies first. The groups count
 * in it what they take.
 */
export interface Owner {
  groupBytes: number;
}

/** All that a node is, besides whose. */
export type NodeState = Pick<
  StreamNode,
  'first' | 'last' | 'fields' | 'entries' | 'deleted' | 'listpackBytes'
>;

export class StreamNode {
  readonly owner: Owner;
  /** The id of the first entry it ever had, and the fields of that entry. */
  readonly first: StreamId;
  readonly fields: readonly string[];
  /** The id of the last entry it ever had. */
  last: StreamId;
  /** Those that were not deleted; in order. */
  readonly entries: StreamEntry[];
  /** How many were deleted. */
  deleted: number;
  /** What it would take in Redis; deleted entries stay in it. */
  listpackBytes: number;

  constructor(owner: Owner, state: NodeState) {
    this.owner = owner;
    this.first = state.first;
    this.last = state.last;
    this.fields = state.fields;
    this.entries = state.entries;
    this.deleted = state.deleted;
    this.listpackBytes = state.listpackBytes;
  }

  /** A node whose first entry will be that one. */
  static begin(owner: Owner, id: StreamId, fields: readonly string[]): StreamNode {
    let listpackBytes = LISTPACK_BYTES + 3 * integerBytes(0) + integerBytes(fields.length);
    for (const field of fields) listpackBytes += stringBytes(field);
    return new StreamNode(owner, {
      first: id,
      last: id,
      fields: fields.slice(),
      entries: [],
      deleted: 0,
      listpackBytes,
    });
  }

  /** The node, or a copy of it, that the owner may change. */
  ownedBy(owner: Owner): StreamNode {
    if (this.owner === owner) return this;
    const { first, last, fields, entries, deleted, listpackBytes } = this;
    return new StreamNode(owner, { first, last, fields, entries: entries.slice(), deleted, listpackBytes });
  }

  /** Whether an entry whose strings have so many characters has to go into another node. */
  isFullFor(characters: number): boolean {
    if (this.listpackBytes + characters >= NODE_BYTES_MAX) return true;
    return this.entries.length + this.deleted >= NODE_ENTRIES_MAX;
  }

  /** Adds an entry behind the others. */
  push(id: StreamId, fields: readonly string[], values: readonly string[]): StreamEntry {
    const shared = sameStrings(fields, this.fields);
    const [milliseconds, sequence] = distances(id, this.first);
    let bytes = integerBytes(0) + integerBytes(milliseconds) + integerBytes(sequence);
    if (shared) bytes += integerBytes(fields.length + 3);
    else {
      bytes += integerBytes(fields.length) + integerBytes(2 * fields.length + 4);
      for (const field of fields) bytes += stringBytes(field);
    }
    for (const value of values) bytes += stringBytes(value);
    this.listpackBytes += bytes;
    // Copies, as arrays that grew are larger than what they hold: to 17 places from the first push on.
    const entry: StreamEntry = {
      id,
      fields: shared ? this.fields : fields.slice(),
      values: values.slice(),
    };
    this.entries.push(entry);
    this.last = id;
    return entry;
  }

  /** What it takes in memory without its entries, about. */
  get ownBytes(): number {
    return stringsBytes(this.fields);
  }

  /** What one of its entries takes. */
  bytesOf({ fields, values }: StreamEntry): number {
    return ENTRY_OVERHEAD_BYTES + stringsBytes(values) + (fields === this.fields ? 0 : stringsBytes(fields));
  }

  /** What all of it takes. */
  get bytes(): number {
    let bytes = this.ownBytes;
    for (const entry of this.entries) bytes += this.bytesOf(entry);
    return bytes;
  }

  /** How many of its entries have lower ids. */
  countBefore(id: StreamId): number {
    const { entries } = this;
    let [low, high] = [0, entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((entries[middle] as StreamEntry).id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function stringsBytes(strings: readonly string[]): number {
  let bytes = strings.length * STRING_OVERHEAD_BYTES;
  for (const text of strings) bytes += text.length;
  return bytes;
}

function sameStrings(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}
