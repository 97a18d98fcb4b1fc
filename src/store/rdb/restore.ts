/**
 * Reads what DUMP gives, of Redis 2.6 to 7.4 as well, apart from kinds that no server writes since Redis 2.6. The bytes come
 * from anybody: whatever is wrong with them ends in a `FormatError`, before much is allocated and before anything is built that
 * could not be.
 */
import { FormatError } from '../bytes.ts';
import { parseDouble } from '../double.ts';
import { parseInteger } from '../integer.ts';
import { type Field, Hash } from '../types/hash.ts';
import { List } from '../types/list.ts';
import { MemberSet } from '../types/set.ts';
import { type Member, SortedSet } from '../types/sorted-set.ts';
import type { Value } from '../value.ts';
import { readBloom } from './bloom.ts';
import { crc64 } from './crc64.ts';
import { FOOTER_BYTES, KIND, NODE, VERSION_DEADLINES } from './kinds.ts';
import { readIntset, readListpack, readZiplist } from './packed.ts';
import { DumpReader, readCount, readInt64, readString, readText, readUnsigned } from './primitives.ts';
import { readStream } from './streams.ts';

/** Whether it ends with a version that is known and with the checksum of all before. */
export function isIntact(dump: Buffer): boolean {
  const version = dump.length - FOOTER_BYTES;
  if (version < 0 || dump.readUInt16LE(version) > VERSION_DEADLINES) return false;
  const checksum = dump.length - 8;
  return crc64(dump.subarray(0, checksum)).equals(dump.subarray(checksum));
}

/** The value in an intact dump; undefined where it is none. Bytes behind it don't count, as in Redis. */
export function valueOf(dump: Buffer): Value | undefined {
  try {
    return read(new DumpReader(dump.subarray(0, dump.length - FOOTER_BYTES)));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function read(reader: DumpReader): Value {
  const kind = reader.byte('the kind of a value');
  const packed = (): Buffer => readString(reader, 'a value');
  switch (kind) {
    case KIND.string:
      return readText(reader, 'a string');
    case KIND.list:
      return listOf(readTexts(reader), reader);
    case KIND.listZiplist:
      return listOf(readZiplist(packed(), reader), reader);
    case KIND.listZiplists:
      return listOf(
        readNodes(reader, () => readZiplist(packed(), reader)),
        reader,
      );
    case KIND.listListpacks:
      return listOf(
        readNodes(reader, () => readListNode(reader)),
        reader,
      );
    case KIND.set:
      return setOf(readTexts(reader), reader);
    case KIND.setIntset:
      return setOf(readIntset(packed(), reader), reader);
    case KIND.setListpack:
      return setOf(readListpack(packed(), reader), reader);
    case KIND.hash:
      return hashOf(readTexts(reader, 2), reader);
    case KIND.hashZiplist:
      return hashOf(readZiplist(packed(), reader), reader);
    case KIND.hashListpack:
      return hashOf(readListpack(packed(), reader), reader);
    case KIND.hashDeadlines:
      return readHashWithDeadlines(reader);
    case KIND.hashDeadlinesListpack:
      return readListpackWithDeadlines(reader);
    case KIND.sortedSetText:
      return sortedSetOf(readScored(reader, readScoreText), reader);
    case KIND.sortedSet:
      return sortedSetOf(
        readScored(reader, () => reader.double('a score')),
        reader,
      );
    case KIND.sortedSetZiplist:
      return sortedSetOf(scoredOf(readZiplist(packed(), reader)), reader);
    case KIND.sortedSetListpack:
      return sortedSetOf(scoredOf(readListpack(packed(), reader)), reader);
    case KIND.stream1:
      return readStream(reader, 1);
    case KIND.stream2:
      return readStream(reader, 2);
    case KIND.stream3:
      return readStream(reader, 3);
    case KIND.module:
      return readBloom(reader);
    default:
      return reader.fail(`the unknown kind ${kind} before`);
  }
}

/** So many texts as the number in front of them says, times `each`. */
function* readTexts(reader: DumpReader, each = 1): Generator<string> {
  const count = each * readCount(reader, 'the number of elements', each);
  reader.expectElements(count);
  for (let left = count; left > 0; left--) yield readText(reader, 'an element');
}

// --- Lists -------------------------------------------------------------------------------------------------------

function* readNodes(reader: DumpReader, readNode: () => string[]): Generator<string> {
  for (let left = readCount(reader, 'the nodes of a list', 1); left > 0; left--) yield* readNode();
}

function readListNode(reader: DumpReader): string[] {
  const kind = readUnsigned(reader, 'the kind of a node');
  if (kind === NODE.plain) return [readText(reader, 'a node')];
  if (kind !== NODE.packed) reader.fail(`a node of the unknown kind ${kind} before`);
  return readListpack(readString(reader, 'a node'), reader);
}

function listOf(elements: Iterable<string>, reader: DumpReader): List {
  const list = new List();
  for (const element of elements) list.push('tail', element);
  if (list.vanishes) reader.fail('an empty list before');
  return list;
}

// --- Sets and hashes ---------------------------------------------------------------------------------------------

function setOf(members: Iterable<string>, reader: DumpReader): MemberSet {
  const set = new MemberSet();
  for (const member of members) if (!set.add(member)) reader.fail('the same member a second time before');
  if (set.vanishes) reader.fail('an empty set before');
  return set;
}

/** `elements`: a field, its value, and so on. */
function hashOf(elements: Iterable<string>, reader: DumpReader): Hash {
  const hash = new Hash();
  let field: string | null = null;
  for (const element of elements) {
    if (field === null) field = element;
    else {
      if (hash.put(field, element) !== undefined) reader.fail('the same field a second time before');
      field = null;
    }
  }
  if (field !== null) reader.fail('a field without a value before');
  if (hash.vanishes) reader.fail('an empty hash before');
  return hash;
}

function readHashWithDeadlines(reader: DumpReader): Hash {
  const hash = new Hash();
  const first = readInt64(reader, 'the first deadline');
  const count = readCount(reader, 'the number of fields', 3);
  reader.expectElements(2 * count);
  for (let left = count; left > 0; left--) {
    const offset = readUnsigned(reader, 'a deadline');
    const name = readText(reader, 'a field');
    const value = readText(reader, 'a value');
    const expiresAt = offset === 0 ? null : Number(first) + Number(offset) - 1;
    putWithDeadline(hash, { name, value, expiresAt }, reader);
  }
  if (hash.vanishes) reader.fail('an empty hash before');
  return hash;
}

/** A field, its value, its deadline or 0, and so on; behind the first deadline. */
function readListpackWithDeadlines(reader: DumpReader): Hash {
  const hash = new Hash();
  readInt64(reader, 'the first deadline');
  const elements = readListpack(readString(reader, 'a hash'), reader);
  for (let at = 0; at < elements.length; at += 3) {
    const [name = '', value = '', deadline = ''] = elements.slice(at, at + 3);
    const expiresAt = deadline === '0' ? null : Number(parseInteger(deadline) ?? NaN);
    putWithDeadline(hash, { name, value, expiresAt }, reader);
  }
  if (hash.vanishes) reader.fail('an empty hash before');
  return hash;
}

function putWithDeadline(
  hash: Hash,
  { name, value, expiresAt }: Omit<Field, 'hash'>,
  reader: DumpReader,
): void {
  if (expiresAt !== null && (!Number.isSafeInteger(expiresAt) || expiresAt <= 0))
    reader.fail(`the deadline ${expiresAt} before`);
  if (hash.put(name, value, expiresAt) !== undefined) reader.fail('the same field a second time before');
}

// --- Sorted sets -------------------------------------------------------------------------------------------------

/** A member, its score, and so on. */
function readScored(reader: DumpReader, readScore: (reader: DumpReader) => number): Member[] {
  const count = readCount(reader, 'the number of members', 2);
  reader.expectElements(count);
  return Array.from({ length: count }, () => {
    const name = readText(reader, 'a member');
    return { name, score: readScore(reader) };
  });
}

/** What stands for the scores that have no digits. */
const SCORE_TEXT_NAN = 253;
const SCORE_TEXT_INFINITY = 254;

function readScoreText(reader: DumpReader): number {
  const length = reader.byte('the length of a score');
  if (length < SCORE_TEXT_NAN) return parseDouble(reader.characters(length, 'a score')) ?? NaN;
  if (length === SCORE_TEXT_NAN) return NaN;
  return length === SCORE_TEXT_INFINITY ? Infinity : -Infinity;
}

/** One without a score gets no number for it. */
function scoredOf(elements: readonly string[]): Member[] {
  const members: Member[] = [];
  for (let at = 0; at < elements.length; at += 2)
    members.push({ name: elements[at] ?? '', score: parseDouble(elements[at + 1] ?? '') ?? NaN });
  return members;
}

function sortedSetOf(members: readonly Member[], reader: DumpReader): SortedSet {
  if (members.length === 0) reader.fail('an empty sorted set before');
  const names = new Set<string>();
  for (const { name, score } of members) {
    if (Number.isNaN(score)) reader.fail('a score that is no number before');
    names.add(name);
  }
  if (names.size !== members.length) reader.fail('the same member a second time before');
  return SortedSet.of(members);
}
