/**
 * Streams: entries in the order of their ids, in pieces of up to a hundred (see `stream-node.ts`), and consumer groups
 * (`stream-group.ts`).
 *
 * ```
 *  nodes    │ 1-0 … 99-0 │ 100-0 … 199-0 │ 200-0 … │◀── XADD        lastId: the highest id ever given
 *             ▲ XTRIM            ▲ XDEL                              maxDeletedId: of those that XDEL took out
 *  groups     "a": lastId, pending ─ consumers, each with its own pending
 * ```
 *
 * All of it forks in O(1): nodes and groups bear the mark of the stream that may change them.
 */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES } from '../collection.ts';
import { addWrapping, type Integer } from '../integer.ts';
import { Tree } from '../tree.ts';
import { StreamDecoder, encodeStream } from './stream-codec.ts';
import { byName, StreamGroup } from './stream-group.ts';
import { type StreamId, ZERO_ID } from './stream-id.ts';
import { type NodeState, type Owner, type StreamEntry, StreamNode } from './stream-node.ts';

/** What to remove from a stream's beginning. */
export type Trim = {
  /** Whole nodes only. */
  readonly approximate: boolean;
  /** No more than so many entries; 0 for any number. */
  readonly limit: number;
} & (
  | { readonly by: 'length'; readonly lengthMax: number }
  /** Entries with lower ids go. */
  | { readonly by: 'id'; readonly idMin: StreamId }
);

type Visit = (entry: StreamEntry) => boolean | void;

export class Stream implements Collection {
  readonly type = 'stream';
  readonly encoding = 'stream';
  readonly expiring = null;
  /** A stream without entries stays: it has its groups, and its last id. */
  readonly vanishes = false;
  /** The highest id that was ever given to an entry, or set by XSETID. */
  lastId: StreamId = ZERO_ID;
  /** The highest id that XDEL took out. */
  maxDeletedId: StreamId = ZERO_ID;
  /** How many entries were ever added. 64 bits. */
  entriesAdded: Integer = 0;
  #owner: Owner = { groupBytes: 0 };
  #nodes = new Tree<StreamNode>();
  #groups = new Tree<StreamGroup>(byName);
  #size = 0;
  #entryBytes = 0;
  /** While it comes from a snapshot. */
  #decoder: StreamDecoder | null = null;

  /** How many entries it has. */
  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return COLLECTION_OVERHEAD_BYTES + this.#entryBytes + this.#owner.groupBytes;
  }

  fork(): Stream {
    const fork = new Stream();
    const { groupBytes } = this.#owner;
    fork.lastId = this.lastId;
    fork.maxDeletedId = this.maxDeletedId;
    fork.entriesAdded = this.entriesAdded;
    fork.#owner = { groupBytes };
    fork.#nodes = this.#nodes.fork();
    fork.#groups = this.#groups.fork();
    fork.#size = this.#size;
    fork.#entryBytes = this.#entryBytes;
    this.#owner = { groupBytes };
    return fork;
  }

  // --- Entries ---------------------------------------------------------------------------------------------------

  /** The nodes, for telling what they are in Redis; not to be changed. */
  get nodes(): Pick<Tree<StreamNode>, 'size' | 'at' | 'visit'> {
    return this.#nodes;
  }

  /** The id of the first entry; `0-0` where there is none. */
  get firstId(): StreamId {
    return this.first()?.id ?? ZERO_ID;
  }

  first(): StreamEntry | undefined {
    let first: StreamEntry | undefined;
    // A node may have lost all of its entries.
    this.#nodes.visit(0, this.#nodes.size, ({ entries }) => (first = entries[0]) === undefined);
    return first;
  }

  last(): StreamEntry | undefined {
    let last: StreamEntry | undefined;
    this.#nodes.visitBackwards(0, this.#nodes.size, ({ entries }) => (last = entries.at(-1)) === undefined);
    return last;
  }

  get(id: StreamId): StreamEntry | undefined {
    const node = this.#nodes.at(this.#nodeOf(id));
    const entry = node?.entries[node.countBefore(id)];
    return entry?.id === id ? entry : undefined;
  }

  /** Adds an entry, whose id must be higher than `lastId`. */
  add(id: StreamId, fields: readonly string[], values: readonly string[]): void {
    let characters = 0;
    for (const field of fields) characters += field.length;
    for (const value of values) characters += value.length;
    const node = this.#nodeToFill(id, fields, characters);
    const entry = node.push(id, fields, values);
    this.#size++;
    this.#entryBytes += node.bytesOf(entry);
    this.entriesAdded = addWrapping(this.entriesAdded, 1);
    this.lastId = id;
  }

  /** Takes an entry out; false if there was none. */
  delete(id: StreamId): boolean {
    const at = this.#nodeOf(id);
    const found = this.#nodes.at(at);
    const place = found?.countBefore(id) ?? 0;
    if (found === undefined || found.entries[place]?.id !== id) return false;
    if (found.entries.length === 1) this.#removeNode(at, found);
    else this.#removeEntries(this.#ownNode(at, found), place, 1);
    if (id > this.maxDeletedId) this.maxDeletedId = id;
    return true;
  }

  /** Whether `trim` would change something. */
  trims(trim: Trim): boolean {
    const node = this.#nodes.at(0);
    return node !== undefined && this.#trimsOf(node, trim, 0) > 0;
  }

  /** Removes entries from the beginning: how many that were. */
  trim(trim: Trim): number {
    let removed = 0;
    for (let node = this.#nodes.at(0); node !== undefined; node = this.#nodes.at(0)) {
      const count = this.#trimsOf(node, trim, removed);
      if (count === 0) break;
      removed += Math.min(count, node.entries.length);
      if (count === Infinity) this.#removeNode(0, node);
      else {
        this.#removeEntries(this.#ownNode(0, node), 0, count);
        break;
      }
    }
    return removed;
  }

  /** Calls `visit` for the entries from the id `from` to the id `to`, both included, until it answers false. */
  visit(from: StreamId, to: StreamId, visit: Visit): void {
    this.#nodes.visit(this.#nodeOf(from), this.#nodes.size, (node) => {
      const { entries } = node;
      for (let at = node.first < from ? node.countBefore(from) : 0; at < entries.length; at++) {
        const entry = entries[at] as StreamEntry;
        if (entry.id > to || visit(entry) === false) return false;
      }
      return node.first <= to;
    });
  }

  /** The same, the last one first. */
  visitBackwards(from: StreamId, to: StreamId, visit: Visit): void {
    this.#nodes.visitBackwards(0, this.#nodeOf(to) + 1, ({ entries }) => {
      for (let at = entries.length - 1; at >= 0; at--) {
        const entry = entries[at] as StreamEntry;
        if (entry.id > to) continue;
        if (entry.id < from || visit(entry) === false) return false;
      }
      return true;
    });
  }

  /** The place of the node where an entry of that id is, if it is anywhere. */
  #nodeOf(id: StreamId): number {
    return Math.max(0, this.#nodes.countBefore(({ first }) => first > id) - 1);
  }

  /** The last node, or a new one behind it. */
  #nodeToFill(id: StreamId, fields: readonly string[], characters: number): StreamNode {
    const at = this.#nodes.size - 1;
    const last = this.#nodes.at(at);
    if (last !== undefined) {
      if (!last.isFullFor(characters) && id > last.first) return this.#ownNode(at, last);
      // XSETID may have gone back, before a node that has lost its entries.
      if (id <= last.first) this.#removeNode(at, last);
    }
    const node = StreamNode.begin(this.#owner, id, fields);
    this.#nodes.push(node);
    this.#entryBytes += node.ownBytes;
    return node;
  }

  #ownNode(at: number, node: StreamNode): StreamNode {
    const owned = node.ownedBy(this.#owner);
    if (owned !== node) this.#nodes.replaceAt(at, owned);
    return owned;
  }

  #removeNode(at: number, node: StreamNode): void {
    this.#nodes.deleteAt(at);
    this.#size -= node.entries.length;
    this.#entryBytes -= node.bytes;
  }

  #removeEntries(node: StreamNode, from: number, count: number): void {
    for (const entry of node.entries.splice(from, count)) this.#entryBytes -= node.bytesOf(entry);
    node.deleted += count;
    this.#size -= count;
  }

  /** How many entries of the first node `trim` removes after `removed` others; Infinity: the node itself. */
  #trimsOf(node: StreamNode, trim: Trim, removed: number): number {
    const entries = node.entries.length;
    if (trim.by === 'length' && this.#size <= trim.lengthMax) return 0;
    if (trim.limit !== 0 && removed + entries > trim.limit) return 0;
    if (trim.by === 'length') {
      if (this.#size - entries >= trim.lengthMax) return Infinity;
      return trim.approximate ? 0 : this.#size - trim.lengthMax;
    }
    if (node.last < trim.idMin) return Infinity;
    return trim.approximate ? 0 : node.countBefore(trim.idMin);
  }

  // --- Groups ----------------------------------------------------------------------------------------------------

  /** In the order of their names. */
  get groups(): Pick<Tree<StreamGroup>, 'size' | 'at' | 'visit'> {
    return this.#groups;
  }

  /** A group to be read. */
  group(name: string): StreamGroup | undefined {
    return this.#groups.get({ name } as StreamGroup);
  }

  /** The group, which must be this stream's, ready to be changed. */
  ownGroup(group: StreamGroup): StreamGroup {
    const owned = group.ownedBy(this.#owner);
    if (owned !== group) this.#groups.put(owned);
    return owned;
  }

  /** A group of a name that no other one has. */
  createGroup(name: string, lastId: StreamId, entriesRead: Integer): StreamGroup {
    const group = StreamGroup.create(this.#owner, name, lastId, entriesRead);
    this.#groups.put(group);
    return group;
  }

  removeGroup(group: StreamGroup): void {
    this.#groups.delete(group);
    this.#owner.groupBytes -= group.bytes;
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    return encodeStream(this, cursor, writer, bytesMax);
  }

  decode(reader: ByteReader): void {
    this.#decoder ??= new StreamDecoder(this);
    this.#decoder.decode(reader);
  }

  /** Puts a node back behind the others. */
  restoreNode(state: NodeState): void {
    const node = new StreamNode(this.#owner, state);
    this.#nodes.push(node);
    this.#size += node.entries.length;
    this.#entryBytes += node.bytes;
  }
}
