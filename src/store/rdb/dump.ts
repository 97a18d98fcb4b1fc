/**
 * Values as DUMP gives them: in the format of Redis 7.0's snapshots, so that its RESTORE takes them.
 *
 * ```
 * dump := kind:u8  what the kind has  version:u16le  crc64:u64le
 * ```
 */
import { ByteWriter, MAX_STRING_BYTES } from '../bytes.ts';
import { doubleText } from '../double.ts';
import { type Integer, parseInteger } from '../integer.ts';
import { invariant } from '../invariant.ts';
import { BloomFilter } from '../types/bloom.ts';
import { type Field, Hash } from '../types/hash.ts';
import { List } from '../types/list.ts';
import { LISTPACK_BYTES, stringBytes } from '../types/listpack.ts';
import { MemberSet } from '../types/set.ts';
import { SortedSet } from '../types/sorted-set.ts';
import { Stream } from '../types/stream.ts';
import { isString, textOf, type Value } from '../value.ts';
import { writeBloom } from './bloom.ts';
import { crc64 } from './crc64.ts';
import { FOOTER_BYTES, KIND, NODE, VERSION, VERSION_DEADLINES } from './kinds.ts';
import { intsetOf, listpackOf } from './packed.ts';
import { writeBlob, writeInt64, writeInteger, writeText } from './primitives.ts';
import { writeStream } from './streams.ts';

/**
 * Nodes of a list have up to so many bytes, as with Redis's default of `list-max-listpack-size`, or one longer element. What
 * an element takes besides its characters is not known before.
 */
const LIST_NODE_BYTES_MAX = 8192;
const LIST_ELEMENT_OVERHEAD_BYTES = 8;
/** Redis takes no larger scores for whole numbers. */
const WHOLE_SCORE_MAX: number = 2 ** 62;
/** A string takes no more than that besides its characters: kind, length and footer. */
const STRING_OVERHEAD_BYTES = 10 + FOOTER_BYTES;

/**
 * The dump of what the value is at `now`; null where it could be longer than a string can be. A collection takes more in
 * memory than in a dump.
 */
export function dumpOf(value: Value, now: number): string | null {
  const bytes = isString(value) ? value.length + STRING_OVERHEAD_BYTES : value.bytes + FOOTER_BYTES;
  if (bytes > MAX_STRING_BYTES) return null;
  const writer = new ByteWriter(64);
  const version = write(value, now, writer);
  writer.byte(version);
  writer.byte(0);
  writer.bytes(crc64(writer.view()));
  return writer.length > MAX_STRING_BYTES ? null : writer.view().toString('latin1');
}

/** Writes kind and value; the result is the version that knows the kind. */
function write(value: Value, now: number, writer: ByteWriter): number {
  if (isString(value)) {
    writer.byte(KIND.string);
    writeText(writer, textOf(value));
  } else if (value instanceof List) writeList(value, writer);
  else if (value instanceof Hash) return writeHash(value, now, writer);
  else if (value instanceof MemberSet) writeSet(value, writer);
  else if (value instanceof SortedSet) writeSortedSet(value, writer);
  else if (value instanceof Stream) {
    writer.byte(KIND.stream2);
    writeStream(value, writer);
  } else {
    invariant(value instanceof BloomFilter, `no dump of a ${value.type}`);
    writer.byte(KIND.module);
    writeBloom(value, writer);
  }
  return VERSION;
}

function writeList(list: List, writer: ByteWriter): void {
  const nodes: Buffer[] = [];
  let elements: string[] = [];
  let bytes = LISTPACK_BYTES;
  list.visit(0, list.size, (element) => {
    if (elements.length > 0 && bytes + element.length + LIST_ELEMENT_OVERHEAD_BYTES > LIST_NODE_BYTES_MAX) {
      nodes.push(listpackOf(elements));
      elements = [];
      bytes = LISTPACK_BYTES;
    }
    elements.push(element);
    bytes += stringBytes(element);
  });
  nodes.push(listpackOf(elements));
  writer.byte(KIND.listListpacks);
  writeInteger(writer, nodes.length);
  for (const node of nodes) {
    writeInteger(writer, NODE.packed);
    writeBlob(writer, node);
  }
}

function writeHash(hash: Hash, now: number, writer: ByteWriter): number {
  const fields: Field[] = [];
  hash.visit(now, (field) => void fields.push(field));
  const first = hash.next(now);
  if (first !== Infinity) {
    writeHashWithDeadlines(fields, first, writer);
    return VERSION_DEADLINES;
  }
  if (hash.encoding === 'listpack') {
    writer.byte(KIND.hashListpack);
    writeBlob(writer, listpackOf(fields.flatMap(({ name, value }) => [name, value])));
    return VERSION;
  }
  writer.byte(KIND.hash);
  writeInteger(writer, fields.length);
  for (const { name, value } of fields) {
    writeText(writer, name);
    writeText(writer, value);
  }
  return VERSION;
}

/** As Redis 7.4 does it: its predecessors know of no deadlines of fields. */
function writeHashWithDeadlines(fields: readonly Field[], first: number, writer: ByteWriter): void {
  writer.byte(KIND.hashDeadlines);
  writeInt64(writer, first);
  writeInteger(writer, fields.length);
  for (const { name, value, expiresAt } of fields) {
    writeInteger(writer, expiresAt === null ? 0 : expiresAt - first + 1);
    writeText(writer, name);
    writeText(writer, value);
  }
}

function writeSet(set: MemberSet, writer: ByteWriter): void {
  if (set.encoding === 'intset') {
    const integers: Integer[] = [];
    set.visit((name) => void integers.push(parseInteger(name) ?? 0));
    writer.byte(KIND.setIntset);
    writeBlob(writer, intsetOf(integers));
    return;
  }
  writer.byte(KIND.set);
  writeInteger(writer, set.size);
  set.visit((name) => writeText(writer, name));
}

function writeSortedSet(set: SortedSet, writer: ByteWriter): void {
  const all = { from: 0, to: set.size };
  if (set.encoding === 'listpack') {
    const elements: string[] = [];
    set.visit(all, ({ name, score }) => void elements.push(name, scoreText(score)));
    writer.byte(KIND.sortedSetListpack);
    writeBlob(writer, listpackOf(elements));
    return;
  }
  writer.byte(KIND.sortedSet);
  writeInteger(writer, set.size);
  set.visit(all, ({ name, score }) => {
    writeText(writer, name);
    writer.double(score);
  });
}

/** Whole numbers with all their digits, which is how a listpack keeps them as numbers. */
function scoreText(score: number): string {
  return Math.abs(score) <= WHOLE_SCORE_MAX && Number.isInteger(score)
    ? String(BigInt(score))
    : doubleText(score);
}
