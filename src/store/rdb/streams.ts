/**
 * Streams in dumps.
 *
 * ```
 * stream  := nodes:length  (first:string  listpack:string)*  size  lastId  firstId  maxDeletedId  entriesAdded  groups
 *            ids are two lengths; in the dumps of Redis 6, firstId to entriesAdded are missing
 * node    := entries  deleted  fields  field*  0  entry*                                  a listpack
 * entry   := flags  milliseconds  sequence  (fields  (field value)* | value*)  elements    distances from `first`
 * groups  := number  (name  lastId  entriesRead  number  pending*  number  consumer*)*     no entriesRead in Redis 6
 * pending := id:16  deliveredAt:i64le  deliveries
 * consumer := name  seenAt:i64le  number  id:16*                                           a second time from Redis 7.2 on
 * ```
 */
import type { ByteWriter } from '../bytes.ts';
import { type Integer, parseInteger } from '../integer.ts';
import { Stream } from '../types/stream.ts';
import { type StreamGroup, UNKNOWN_READS } from '../types/stream-group.ts';
import { ID_BYTES, idOf, type StreamId, ZERO_ID } from '../types/stream-id.ts';
import { readsUpTo } from '../types/stream-lag.ts';
import { NODE_ENTRIES_MAX, type StreamEntry, type StreamNode } from '../types/stream-node.ts';
import { listpackOf, readListpack } from './packed.ts';
import {
  type DumpReader,
  readCount,
  readInt64,
  readSigned,
  readString,
  readText,
  readUnsigned,
  writeBlob,
  writeInt64,
  writeInteger,
  writeText,
} from './primitives.ts';

const DELETED = 1;
const SAME_FIELDS = 2;
/** What a node, a group, a pending entry and a consumer take at least. */
const NODE_BYTES_MIN = 2;
const GROUP_BYTES_MIN = 5;
const PENDING_BYTES_MIN: number = ID_BYTES + 9;
const CONSUMER_BYTES_MIN = 10;

/** The two numbers of an id. */
function numbersOf(id: StreamId): [bigint, bigint] {
  const bytes = Buffer.from(id, 'latin1');
  return [bytes.readBigUInt64BE(0), bytes.readBigUInt64BE(8)];
}

// --- Writing -----------------------------------------------------------------------------------------------------

export function writeStream(stream: Stream, writer: ByteWriter): void {
  const nodes: StreamNode[] = [];
  stream.nodes.visit(0, stream.nodes.size, (node) => {
    // Redis has no nodes without entries.
    if (node.entries.length > 0) nodes.push(node);
  });
  writeInteger(writer, nodes.length);
  for (const node of nodes) {
    writeText(writer, node.first);
    writeBlob(writer, listpackOf(elementsOf(node)));
  }
  writeInteger(writer, stream.size);
  for (const id of [stream.lastId, stream.firstId, stream.maxDeletedId]) writeId(writer, id);
  writeInteger(writer, stream.entriesAdded);
  writeInteger(writer, stream.groups.size);
  stream.groups.visit(0, stream.groups.size, (group) => writeGroup(group, writer));
}

function writeId(writer: ByteWriter, id: StreamId): void {
  for (const number of numbersOf(id)) writeInteger(writer, number);
}

/** Entries that were deleted are left out: Redis keeps them until the whole node goes. */
function elementsOf({ first, fields, entries }: StreamNode): string[] {
  const elements = [String(entries.length), '0', String(fields.length), ...fields, '0'];
  const base = numbersOf(first);
  for (const { id, fields: own, values } of entries) {
    const same = own === fields;
    const start = elements.length;
    elements.push(same ? String(SAME_FIELDS) : '0');
    for (const [index, number] of numbersOf(id).entries())
      elements.push(String(BigInt.asIntN(64, number - (base[index] ?? 0n))));
    // One by one: as arguments of one call there could be too many.
    if (same) for (const value of values) elements.push(value);
    else {
      elements.push(String(own.length));
      for (const [index, field] of own.entries()) elements.push(field, values[index] ?? '');
    }
    elements.push(String(elements.length - start));
  }
  return elements;
}

function writeGroup(group: StreamGroup, writer: ByteWriter): void {
  writeText(writer, group.name);
  writeId(writer, group.lastId);
  writeInteger(writer, group.entriesRead);
  const { pending, consumers } = group;
  writeInteger(writer, pending.size);
  pending.visit(0, pending.size, ({ id, deliveredAt, deliveries }) => {
    writer.characters(id);
    writeInt64(writer, deliveredAt);
    writeInteger(writer, deliveries);
  });
  writeInteger(writer, consumers.size);
  consumers.visit(0, consumers.size, ({ name, seenAt, pending: own }) => {
    writeText(writer, name);
    writeInt64(writer, seenAt);
    writeInteger(writer, own.size);
    own.visit(0, own.size, ({ id }) => writer.characters(id));
  });
}

// --- Reading -----------------------------------------------------------------------------------------------------

/** `version`: 1 in Redis 5 and 6, 2 in 7.0, 3 from 7.2 on. */
export function readStream(reader: DumpReader, version: 1 | 2 | 3): Stream {
  const stream = new Stream();
  let last: StreamId | null = null;
  for (let left = readCount(reader, 'the nodes of a stream', NODE_BYTES_MIN); left > 0; left--)
    last = readNode(stream, reader, last);
  const size = readUnsigned(reader, 'the size of a stream');
  if (size !== stream.size) reader.fail(`a stream of ${size} entries that has ${stream.size} before`);
  const lastId = readId(reader);
  if (last !== null && last > lastId) reader.fail('the last id of a stream that has a higher one before');
  stream.entriesAdded = size;
  if (version > 1) {
    readId(reader);
    stream.maxDeletedId = readId(reader);
    stream.entriesAdded = readSigned(reader, 'the entries ever added');
  }
  stream.lastId = lastId;
  for (let left = readCount(reader, 'the groups of a stream', GROUP_BYTES_MIN); left > 0; left--)
    readGroup(stream, reader, version);
  return stream;
}

function readId(reader: DumpReader): StreamId {
  return idOf(toUnsigned(readUnsigned(reader, 'an id')), toUnsigned(readUnsigned(reader, 'an id')));
}

function toUnsigned(number: Integer): Integer {
  return number < 0 ? BigInt.asUintN(64, BigInt(number)) : number;
}

/** Walks over the elements of a node. */
class Elements {
  readonly #elements: readonly string[];
  readonly #reader: DumpReader;
  #at = 0;

  /** `reader`: is told what is wrong. */
  constructor(elements: readonly string[], reader: DumpReader) {
    this.#elements = elements;
    this.#reader = reader;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#elements.length - this.#at;
  }

  text(): string {
    return this.#elements[this.#at++] ?? this.#reader.fail('a node that ends too early before');
  }

  integer(): Integer {
    return parseInteger(this.text()) ?? this.#reader.fail('an element that is no number before');
  }

  /** A number of elements that follow. */
  count(): number {
    const count = this.integer();
    if (typeof count !== 'number' || count < 0 || count > this.left)
      return this.#reader.fail(`${count} elements of a node that has ${this.left} before`);
    return count;
  }

  texts(count: number): string[] {
    return Array.from({ length: count }, () => this.text());
  }
}

/** Puts a node, whose ids must be higher than `before`, behind the others; the id of its last entry. */
function readNode(stream: Stream, reader: DumpReader, before: StreamId | null): StreamId {
  const first = readText(reader, 'the id of a node');
  if (first.length !== ID_BYTES || (before !== null && first <= before))
    reader.fail('a node of a stream out of order before');
  const listpack = readString(reader, 'a node');
  const elements = new Elements(readListpack(listpack, reader), reader);
  const [count, deleted] = [elements.integer(), elements.integer()];
  const fields = elements.texts(elements.count());
  if (elements.text() !== '0') reader.fail('the fields of a node that do not end before');
  const base = numbersOf(first);
  const entries: StreamEntry[] = [];
  let gone = 0;
  // What was deleted need not be in order: XSETID can go back behind it.
  let last = first;
  while (elements.left > 0) {
    const start = elements.at;
    const flags = elements.integer();
    if (flags < 0 || flags > (DELETED | SAME_FIELDS)) reader.fail(`an entry with the flags ${flags} before`);
    const [milliseconds = 0n, sequence = 0n] = base.map((number) =>
      BigInt.asUintN(64, number + BigInt(elements.integer())),
    );
    last = idOf(milliseconds, sequence);
    const same = (Number(flags) & SAME_FIELDS) !== 0;
    const own = same ? fields : [];
    const values: string[] = same ? elements.texts(fields.length) : [];
    if (!same) {
      for (let left = elements.count(); left > 0; left--) {
        own.push(elements.text());
        values.push(elements.text());
      }
    }
    const size = elements.at - start;
    if (elements.integer() !== size) reader.fail('the wrong size of an entry before');
    if ((Number(flags) & DELETED) !== 0) {
      gone++;
      continue;
    }
    const highest = entries.at(-1)?.id;
    if (highest === undefined ? last < first : last <= highest)
      reader.fail('an entry of a stream out of order before');
    if (own.length === 0 || last === ZERO_ID) reader.fail('an entry without fields or without an id before');
    entries.push({ id: last, fields: own, values });
  }
  const highest = entries.at(-1)?.id;
  if (highest === undefined || highest > last)
    return reader.fail('a node without entries or out of order before');
  if (count !== entries.length || deleted !== gone)
    reader.fail('a node with other entries than it says before');
  if (entries.length + gone <= NODE_ENTRIES_MAX)
    stream.restoreNode({ first, last, fields, entries, deleted: gone, listpackBytes: listpack.length });
  // From a server with longer nodes: cut anew.
  else for (const { id, fields: own, values } of entries) stream.add(id, own, values);
  return highest;
}

function readGroup(stream: Stream, reader: DumpReader, version: 1 | 2 | 3): void {
  const name = readText(reader, 'the name of a group');
  if (stream.group(name) !== undefined) reader.fail('the same group a second time before');
  const lastId = readId(reader);
  const read =
    version === 1 ? (readsUpTo(stream, lastId) ?? UNKNOWN_READS) : readSigned(reader, 'the entries read');
  const group = stream.createGroup(name, lastId, read);
  const pending = new Map<StreamId, { readonly deliveredAt: number; readonly deliveries: Integer }>();
  for (let left = readCount(reader, 'what is pending', PENDING_BYTES_MIN); left > 0; left--) {
    const id = reader.characters(ID_BYTES, 'an id');
    const deliveredAt = readTime(reader);
    const deliveries = readSigned(reader, 'a number of deliveries');
    if (pending.has(id)) reader.fail('an entry that is pending twice before');
    pending.set(id, { deliveredAt, deliveries });
  }
  for (let left = readCount(reader, 'consumers', CONSUMER_BYTES_MIN); left > 0; left--) {
    const consumer = readText(reader, 'the name of a consumer');
    if (!group.see(consumer, readTime(reader))) reader.fail('the same consumer a second time before');
    // When it was last given something: not known here.
    if (version === 3) readInt64(reader, 'a time');
    for (let ids = readCount(reader, 'what is pending', ID_BYTES); ids > 0; ids--) {
      const id = reader.characters(ID_BYTES, 'an id');
      const delivery = pending.get(id);
      if (delivery === undefined) return reader.fail('an entry that is pending for nobody, or twice, before');
      group.assign({ id, consumer, ...delivery });
      pending.delete(id);
    }
  }
  if (pending.size > 0) reader.fail('an entry that is pending for nobody before');
}

/** ms since 1970. */
function readTime(reader: DumpReader): number {
  const time = readInt64(reader, 'a time');
  return typeof time === 'number' && time >= 0 ? time : reader.fail(`the time ${time} before`);
}
