/**
 * Streams as bytes, in snapshots and digests.
 *
 * ```
 * stream   := header  node*  (group  consumer*  pending*)*      each begins with the byte of its kind
 * header   := lastId:id  maxDeletedId:id  entriesAdded          numbers of 64 bits as text
 * node     := first:id  last:id  deleted  listpackBytes  strings  count  entry*       strings: number, then each
 * entry    := id:id  other:u8  [strings]  value*                fields of its own where `other` is 1
 * group    := name  lastId:id  entriesRead                      groups and consumers in the order of their names
 * consumer := name  seenAt
 * pending  := id:id  consumer  deliveredAt  deliveries          the place of the consumer
 * ```
 */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { type Integer, parseInteger } from '../integer.ts';
import { LISTPACK_BYTES } from './listpack.ts';
import type { Stream } from './stream.ts';
import type { Consumer, StreamGroup } from './stream-group.ts';
import { ID_BYTES, type StreamId, ZERO_ID } from './stream-id.ts';
import { NODE_ENTRIES_MAX, type StreamEntry, type StreamNode } from './stream-node.ts';

const KIND = { header: 0, node: 1, group: 2, consumer: 3, pending: 4 } as const;
/**
 * The cursor: 0 is the header, n the nth node; beyond them this many times the group's place, counted from 1, and in it 0 for
 * the group itself, then its consumers, then what is pending.
 */
const GROUP_CURSOR = 0x1_0000_0000;
/** The least a string takes. */
const STRING_BYTES_MIN = 1;

export function encodeStream(
  stream: Stream,
  cursor: number,
  writer: ByteWriter,
  bytesMax: number,
): number | null {
  let next = cursor;
  while (next < GROUP_CURSOR) {
    if (next === 0) writeHeader(stream, writer);
    else {
      const node = stream.nodes.at(next - 1);
      if (node !== undefined) writeNode(node, writer);
    }
    next = next < stream.nodes.size ? next + 1 : GROUP_CURSOR;
    if (writer.length >= bytesMax && next < GROUP_CURSOR) return next;
  }
  for (;;) {
    const place = Math.floor(next / GROUP_CURSOR);
    const group = stream.groups.at(place - 1);
    if (group === undefined) return null;
    if (writer.length >= bytesMax) return next;
    const offset = next % GROUP_CURSOR;
    writeOfGroup(group, offset, writer);
    next = offset < group.consumers.size + group.pending.size ? next + 1 : (place + 1) * GROUP_CURSOR;
  }
}

function writeHeader({ lastId, maxDeletedId, entriesAdded }: Stream, writer: ByteWriter): void {
  writer.byte(KIND.header);
  writer.characters(lastId);
  writer.characters(maxDeletedId);
  writer.string(String(entriesAdded));
}

function writeStrings(strings: readonly string[], writer: ByteWriter): void {
  writer.varint(strings.length);
  for (const text of strings) writer.string(text);
}

function writeNode(node: StreamNode, writer: ByteWriter): void {
  writer.byte(KIND.node);
  writer.characters(node.first);
  writer.characters(node.last);
  writer.varint(node.deleted);
  writer.varint(node.listpackBytes);
  writeStrings(node.fields, writer);
  writer.varint(node.entries.length);
  for (const { id, fields, values } of node.entries) {
    writer.characters(id);
    writer.byte(fields === node.fields ? 0 : 1);
    if (fields !== node.fields) writeStrings(fields, writer);
    for (const value of values) writer.string(value);
  }
}

function writeOfGroup(group: StreamGroup, offset: number, writer: ByteWriter): void {
  if (offset === 0) {
    writer.byte(KIND.group);
    writer.string(group.name);
    writer.characters(group.lastId);
    writer.string(String(group.entriesRead));
    return;
  }
  const consumer = group.consumers.at(offset - 1);
  if (consumer !== undefined) {
    writer.byte(KIND.consumer);
    writer.string(consumer.name);
    writer.varint(consumer.seenAt);
    return;
  }
  const pending = group.pending.at(offset - 1 - group.consumers.size);
  if (pending === undefined) return;
  writer.byte(KIND.pending);
  writer.characters(pending.id);
  writer.varint(group.placeOf(pending.consumer));
  writer.varint(pending.deliveredAt);
  writer.string(String(pending.deliveries));
}

/** Fills a new stream with what `encodeStream` wrote, and takes nothing that no stream can be. */
export class StreamDecoder {
  readonly #stream: Stream;
  #last: keyof typeof KIND | null = null;
  /** What came last: its id, or its name. */
  #entryId: StreamId = ZERO_ID;
  #nodeFirst: StreamId | null = null;
  #group: StreamGroup | null = null;
  #consumer: Consumer | null = null;
  #pendingId: StreamId | null = null;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  decode(reader: ByteReader): void {
    while (reader.remaining > 0) this.#record(reader);
  }

  #record(reader: ByteReader): void {
    const kind = reader.byte('the kind of a record of a stream');
    const follows = (what: string, ...before: (keyof typeof KIND | null)[]): void => {
      if (!before.includes(this.#last)) reader.fail(`${what} of a stream out of order before`);
    };
    switch (kind) {
      case KIND.header:
        follows('the header', null);
        this.#header(reader);
        this.#last = 'header';
        break;
      case KIND.node:
        follows('a node', 'header', 'node');
        this.#node(reader);
        this.#last = 'node';
        break;
      case KIND.group:
        follows('a group', 'header', 'node', 'group', 'consumer', 'pending');
        this.#groupOf(reader);
        this.#last = 'group';
        break;
      case KIND.consumer:
        follows('a consumer', 'group', 'consumer');
        this.#consumerOf(reader);
        this.#last = 'consumer';
        break;
      case KIND.pending:
        follows('a pending entry', 'consumer', 'pending');
        this.#pending(reader);
        this.#last = 'pending';
        break;
      default:
        reader.fail(`the unknown kind ${kind} of a record of a stream before`);
    }
  }

  #header(reader: ByteReader): void {
    this.#stream.lastId = idFrom(reader);
    this.#stream.maxDeletedId = idFrom(reader);
    this.#stream.entriesAdded = integerFrom(reader);
  }

  #node(reader: ByteReader): void {
    const [first, last] = [idFrom(reader), idFrom(reader)];
    const deleted = reader.varint('the deleted entries of a node');
    const listpackBytes = reader.varint('the size of a node');
    const fields = stringsFrom(reader);
    const count = reader.count('the entries of a node', ID_BYTES);
    if (count + deleted > NODE_ENTRIES_MAX || count + deleted === 0)
      reader.fail(`a node of ${count} and ${deleted} deleted entries before`);
    if (listpackBytes < LISTPACK_BYTES) reader.fail(`a node of ${listpackBytes} bytes before`);
    if ((this.#nodeFirst !== null && first <= this.#nodeFirst) || first > last)
      reader.fail('a node out of order before');
    const entries: StreamEntry[] = [];
    for (let at = 0; at < count; at++) {
      const id = idFrom(reader);
      // The highest possible id of a node's first entry is the node's own.
      if (id <= this.#entryId || id < first || id > last || id > this.#stream.lastId)
        reader.fail('an entry of a stream out of order before');
      const other = reader.byte('whether an entry has fields of its own') === 1;
      const own = other ? stringsFrom(reader) : fields;
      const values = own.map(() => reader.string('a value of a stream'));
      entries.push({ id, fields: own, values });
      this.#entryId = id;
    }
    this.#nodeFirst = first;
    this.#stream.restoreNode({ first, last, fields, entries, deleted, listpackBytes });
  }

  #groupOf(reader: ByteReader): void {
    const name = reader.string('the name of a group');
    if (this.#group !== null && name <= this.#group.name) reader.fail('a group out of order before');
    const lastId = idFrom(reader);
    this.#group = this.#stream.createGroup(name, lastId, integerFrom(reader));
    this.#consumer = null;
    this.#pendingId = null;
  }

  #consumerOf(reader: ByteReader): void {
    const name = reader.string('the name of a consumer');
    if (this.#consumer !== null && name <= this.#consumer.name) reader.fail('a consumer out of order before');
    this.#group?.see(name, reader.varint('when a consumer was seen'));
    this.#consumer = this.#group?.consumer(name) ?? null;
  }

  #pending(reader: ByteReader): void {
    const id = idFrom(reader);
    if (this.#pendingId !== null && id <= this.#pendingId) reader.fail('a pending entry out of order before');
    const place = reader.varint('the consumer of a pending entry');
    const consumer = this.#group?.consumers.at(place);
    if (consumer === undefined) reader.fail(`a pending entry of the missing consumer ${place} before`);
    const deliveredAt = reader.varint('when an entry was delivered');
    const deliveries = integerFrom(reader);
    this.#group?.assign({ id, consumer: consumer.name, deliveredAt, deliveries });
    this.#pendingId = id;
  }
}

function idFrom(reader: ByteReader): StreamId {
  return reader.characters(ID_BYTES, 'an id');
}

function integerFrom(reader: ByteReader): Integer {
  const value = parseInteger(reader.string('a number of 64 bits'));
  return value ?? reader.fail('what is no number of 64 bits before');
}

function stringsFrom(reader: ByteReader): string[] {
  const count = reader.count('the fields of a stream', STRING_BYTES_MIN);
  return Array.from({ length: count }, () => reader.string('a field of a stream'));
}
