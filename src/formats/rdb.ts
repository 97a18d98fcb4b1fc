/**
 * Redis's snapshots, from version 1 (Redis 1.3) to 12 (Redis 7.4).
 *
 * ```
 * file := "REDIS" version:4 digits  part*  0xff  crc64:u64le          no checksum before version 5; 0 stands for none
 * part := 0xfa name value            what the server says of itself
 *       | 0xfe database | 0xfb keys expiring | 0xf4 slot keys expiring
 *       | 0xf5 code                  a library of functions
 *       | 0xf7 module field* 0       data of a module that belong to no key
 *       | (0xfc ms:i64le | 0xfd seconds:i32le)?  (0xf8 idle)?  (0xf9 frequency:u8)?  kind:u8 key value
 * ```
 *
 * The bytes of a value, with its kind before them and the version and a checksum behind, are what RESTORE takes. So all that has
 * to be known here of the kinds is where a value ends.
 */
import { Crc64, crc64 } from '../store/rdb/crc64.ts';
import { dumpOf } from '../store/rdb/dump.ts';
import { FOOTER_BYTES, KIND, VERSION, VERSION_DEADLINES } from '../store/rdb/kinds.ts';
import { DumpReader, readString } from '../store/rdb/primitives.ts';
import { valueOf } from '../store/rdb/restore.ts';
import { ByteWriter } from '../store/bytes.ts';
import { writeBlob, writeText } from '../store/rdb/primitives.ts';
import { commandsOf, restoreCommand } from './commands.ts';
import {
  type Encoder,
  type Entry,
  quoted,
  type ReadCommand,
  type Reading,
  Unrepresentable,
} from './format.ts';
import type { Cursor, Input } from './input.ts';

/** What a part begins with; lower bytes are kinds of values. */
const PART = {
  slot: 0xf4,
  library: 0xf5,
  libraryOfCandidate: 0xf6,
  module: 0xf7,
  idle: 0xf8,
  frequency: 0xf9,
  auxiliary: 0xfa,
  resize: 0xfb,
  expiresMs: 0xfc,
  expiresSeconds: 0xfd,
  select: 0xfe,
  end: 0xff,
} as const;

const MAGIC = 'REDIS';
const CHECKSUM_VERSION = 5;
/** A value with more bytes is rebuilt with commands of its elements, of which each is a small request. */
const LARGE_BYTES: number = 8 * 1024 * 1024;

/** Kinds that no server writes since Redis 2.6, and of a candidate of Redis 4. */
const MODULE_WITHOUT_FIELDS = 6;
const HASH_ZIPMAP = 9;

// --- Reading -----------------------------------------------------------------------------------------------------

/** Whether a file that begins like this is a snapshot. */
export function isSnapshot(cursor: Cursor): boolean {
  return cursor.ahead().toString('latin1', 0, MAGIC.length) === MAGIC;
}

type Part =
  | { readonly kind: 'about' }
  | { readonly kind: 'library'; readonly code: string }
  | { readonly kind: 'module'; readonly name: string }
  | { readonly kind: 'select'; readonly database: number }
  | { readonly kind: 'value'; readonly value: RawValue }
  | { readonly kind: 'end' };

interface RawValue {
  readonly key: string;
  /** The kind of the value, and its bytes. */
  readonly type: number;
  readonly body: Buffer;
  readonly expiresAt: number | null;
  /** Options of RESTORE: how long the key has not been used, or how often it was. */
  readonly usage: readonly string[];
}

/** To the end of the snapshot, which is not always that of the file: a file of commands may begin with one. */
export async function* readRdb(input: Input, reading: Reading): AsyncGenerator<ReadCommand> {
  input.checksum = new Crc64();
  const version = await input.read(readVersion);
  let database = 0;
  for (;;) {
    const { offset } = input;
    const part = await input.read(readPart);
    switch (part.kind) {
      case 'about':
        break;
      case 'select':
        ({ database } = part);
        break;
      case 'library':
        yield { args: ['FUNCTION', 'LOAD', 'REPLACE', part.code], database: 0, offset };
        break;
      case 'module':
        reading.leaveOut(`data of the module ${part.name} that belong to no key`, offset);
        break;
      case 'value':
        for (const args of commandsFor(part.value, version, { input, reading, offset }))
          yield { args, database, offset };
        break;
      case 'end':
        await readChecksum(input, version);
        return;
      default:
        part satisfies never;
    }
  }
}

function readVersion(cursor: Cursor): number {
  const magic = cursor.characters(MAGIC.length, 'the magic word REDIS');
  if (magic !== MAGIC) cursor.wrong('the magic word REDIS', 0);
  const text = cursor.characters(4, 'a version');
  const version = /^\d{4}$/.test(text) ? Number(text) : 0;
  if (version < 1 || version > VERSION_DEADLINES)
    cursor.wrong(`a version from 0001 to 00${VERSION_DEADLINES}`, MAGIC.length, JSON.stringify(text));
  return version;
}

async function readChecksum(input: Input, version: number): Promise<void> {
  const checksum = input.checksum?.bytes();
  input.checksum = null;
  if (version < CHECKSUM_VERSION || checksum === undefined) return;
  await input.read((cursor) => {
    const found = cursor.view(8, 'the checksum');
    if (found.every((byte) => byte === 0) || found.equals(checksum)) return;
    cursor.wrong(
      `the checksum ${checksum.toString('hex')} of all bytes before`,
      cursor.offset - 8,
      `${found.toString('hex')}: something before is damaged`,
    );
  });
}

function readPart(cursor: Cursor): Part {
  const start = cursor.offset;
  let expiresAt: number | null = null;
  const usage: string[] = [];
  for (;;) {
    const type = cursor.byte('the next key or the end of the snapshot');
    switch (type) {
      case PART.auxiliary:
        skipString(cursor, 'a name');
        skipString(cursor, 'what the server says of itself');
        return { kind: 'about' };
      case PART.resize:
        cursor.length('a number of keys');
        cursor.length('a number of keys');
        return { kind: 'about' };
      case PART.slot:
        for (let left = 3; left > 0; left--) cursor.length('a number of keys');
        return { kind: 'about' };
      case PART.select:
        return { kind: 'select', database: cursor.length('a database') };
      case PART.library:
        return { kind: 'library', code: readText(cursor, 'a library') };
      case PART.libraryOfCandidate:
        return cursor.wrong('no library of a release candidate of Redis 7.0', start);
      case PART.module:
        return { kind: 'module', name: readModule(cursor) };
      case PART.end:
        return { kind: 'end' };
      case PART.expiresMs: {
        expiresAt = Number(cursor.view(8, 'a deadline').readBigInt64LE());
        break;
      }
      case PART.expiresSeconds:
        expiresAt = cursor.view(4, 'a deadline').readInt32LE() * 1000;
        break;
      case PART.idle:
        usage.splice(0, 2, 'IDLETIME', String(cursor.length('an idle time')));
        break;
      case PART.frequency:
        usage.splice(0, 2, 'FREQ', String(cursor.byte('a frequency')));
        break;
      default: {
        const key = readText(cursor, 'a key');
        const from = cursor.taken;
        skipValue(cursor, type, start);
        return { kind: 'value', value: { key, type, body: cursor.since(from), expiresAt, usage } };
      }
    }
  }
}

interface Place {
  readonly input: Input;
  readonly reading: Reading;
  readonly offset: number;
}

function* commandsFor(raw: RawValue, version: number, place: Place): Generator<readonly string[]> {
  const { key, type, body, expiresAt, usage } = raw;
  const { input, reading, offset } = place;
  if (type === HASH_ZIPMAP) {
    yield ['DEL', key];
    const fields = zipmapFields(readString(new DumpReader(body), 'a hash'));
    if (fields === null) return input.wrong(`the hash ${quoted(key)} from byte ${offset} on`, 'no zipmap');
    yield ['HSET', key, ...fields];
    if (expiresAt !== null) yield ['PEXPIREAT', key, String(expiresAt)];
    return;
  }
  const dump = withFooter(type, body, version);
  const large = dump.length > LARGE_BYTES;
  if ((reading.check || type === KIND.module) && valueOf(dump) === undefined) {
    if (type !== KIND.module)
      input.wrong(
        `the value of ${quoted(key)}, of kind ${type}, from byte ${offset} on`,
        'none of that kind',
      );
    reading.leaveOut(`${quoted(key)}, which belongs to the module ${moduleIn(body)}`, offset);
    return;
  }
  const text = dump.toString('latin1');
  // A deadline that has no meaning as one is long past.
  const deadline = expiresAt === null ? null : Math.max(1, Math.min(expiresAt, Number.MAX_SAFE_INTEGER));
  if (large) yield* commandsOf(key, text, deadline);
  else yield restoreCommand(key, text, deadline, usage);
}

function withFooter(type: number, body: Buffer, version: number): Buffer {
  const dump = Buffer.allocUnsafe(1 + body.length + FOOTER_BYTES);
  dump[0] = type;
  body.copy(dump, 1);
  dump.writeUInt16LE(version, 1 + body.length);
  crc64(dump.subarray(0, -8)).copy(dump, dump.length - 8);
  return dump;
}

/** The fields and values of a hash as Redis 2.4 packed it; null where it is none. */
function zipmapFields(bytes: Buffer): string[] | null {
  const fields: string[] = [];
  let at = 1;
  const take = (free: boolean): boolean => {
    let size = bytes[at++] ?? 255;
    if (size === 254) {
      if (at + 4 > bytes.length) return false;
      size = bytes.readUInt32LE(at);
      at += 4;
    } else if (size === 255) return false;
    const spare = free ? (bytes[at++] ?? 0) : 0;
    if (at + size + spare >= bytes.length) return false;
    fields.push(bytes.toString('latin1', at, at + size));
    at += size + spare;
    return true;
  };
  while (at < bytes.length && bytes[at] !== 255) if (!take(false) || !take(true)) return null;
  return fields.length > 0 && at === bytes.length - 1 ? fields : null;
}

// --- Where a value ends --------------------------------------------------------------------------------------------

function readText(cursor: Cursor, what: string): string {
  const from = cursor.taken;
  skipString(cursor, what);
  const bytes = cursor.since(from);
  const start = cursor.offset - bytes.length;
  const reader = new DumpReader(bytes, start);
  try {
    return readString(reader, what).toString('latin1');
  } catch {
    return cursor.wrong(`${what}, compressed`, start);
  }
}

function skipString(cursor: Cursor, what: string): void {
  const start = cursor.offset;
  const first = cursor.peek();
  if (first === undefined || first < 0xc0) {
    skip(cursor, cursor.length(`the length of ${what}`), what);
    return;
  }
  cursor.byte(what);
  switch (first) {
    case 0xc0:
    case 0xc1:
    case 0xc2:
      skip(cursor, 1 << (first & 3), what);
      return;
    case 0xc3: {
      const size = cursor.length(`the compressed length of ${what}`);
      cursor.length(`the length of ${what}`);
      skip(cursor, size, what);
      return;
    }
    default:
      cursor.wrong(`the length of ${what}`, start);
  }
}

function skip(cursor: Cursor, count: number, what: string): void {
  cursor.view(count, what);
}

function skipStrings(cursor: Cursor, count: number): void {
  for (let left = count; left > 0; left--) skipString(cursor, 'an element');
}

function skipValue(cursor: Cursor, type: number, start: number): void {
  const count = (): number => cursor.length('the number of elements');
  switch (type) {
    case KIND.string:
    case HASH_ZIPMAP:
    case KIND.listZiplist:
    case KIND.setIntset:
    case KIND.sortedSetZiplist:
    case KIND.hashZiplist:
    case KIND.hashListpack:
    case KIND.sortedSetListpack:
    case KIND.setListpack:
      return skipString(cursor, 'a value');
    case KIND.list:
    case KIND.set:
    case KIND.listZiplists:
      return skipStrings(cursor, count());
    case KIND.hash:
      return skipStrings(cursor, 2 * count());
    case KIND.sortedSetText:
      for (let left = count(); left > 0; left--) {
        skipString(cursor, 'a member');
        const size = cursor.byte('the length of a score');
        if (size < 253) skip(cursor, size, 'a score');
      }
      return;
    case KIND.sortedSet:
      for (let left = count(); left > 0; left--) {
        skipString(cursor, 'a member');
        skip(cursor, 8, 'a score');
      }
      return;
    case KIND.listListpacks:
      for (let left = count(); left > 0; left--) {
        cursor.length('the kind of a node');
        skipString(cursor, 'a node');
      }
      return;
    case KIND.hashDeadlines:
      skip(cursor, 8, 'the first deadline');
      for (let left = count(); left > 0; left--) {
        cursor.length('a deadline');
        skipStrings(cursor, 2);
      }
      return;
    case KIND.hashDeadlinesListpack:
      skip(cursor, 8, 'the first deadline');
      return skipString(cursor, 'a value');
    case KIND.stream1:
      return skipStream(cursor, 1);
    case KIND.stream2:
      return skipStream(cursor, 2);
    case KIND.stream3:
      return skipStream(cursor, 3);
    case KIND.module:
      return void readModule(cursor);
    case MODULE_WITHOUT_FIELDS:
      return cursor.wrong(
        'a value whose end can be found',
        start,
        'one of a module for Redis 4.0 candidates',
      );
    default:
      return cursor.wrong('a key, or what is known to stand between keys', start);
  }
}

const ID_BYTES = 16;

function skipStream(cursor: Cursor, version: 1 | 2 | 3): void {
  const lengths = (count: number): void => {
    for (let left = count; left > 0; left--) cursor.length('a number of a stream');
  };
  const count = (what: string): number => cursor.length(`the number of ${what}`);
  skipStrings(cursor, 2 * count('nodes'));
  // The size and the last id; the first id, the highest deleted one and the entries ever added.
  lengths(version === 1 ? 3 : 8);
  for (let groups = count('groups'); groups > 0; groups--) {
    skipString(cursor, 'a group');
    lengths(version === 1 ? 2 : 3);
    for (let pending = count('pending entries'); pending > 0; pending--) {
      skip(cursor, ID_BYTES + 8, 'a pending entry');
      cursor.length('a number of deliveries');
    }
    for (let consumers = count('consumers'); consumers > 0; consumers--) {
      skipString(cursor, 'a consumer');
      skip(cursor, version === 3 ? 16 : 8, 'a time');
      for (let pending = count('pending entries'); pending > 0; pending--)
        skip(cursor, ID_BYTES, 'a pending entry');
    }
  }
}

/** Walks over the fields of a module; its name. */
function readModule(cursor: Cursor): string {
  const from = cursor.taken;
  cursor.length('the type of a module');
  const name = moduleIn(cursor.since(from));
  for (;;) {
    const at = cursor.offset;
    const kind = cursor.length('the kind of a field');
    switch (kind) {
      case 0:
        return name;
      case 1:
      case 2:
        cursor.length('a field');
        break;
      case 3:
        skip(cursor, 4, 'a field');
        break;
      case 4:
        skip(cursor, 8, 'a field');
        break;
      case 5:
        skipString(cursor, 'a field');
        break;
      default:
        cursor.wrong('a field of a module', at);
    }
  }
}

const NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Nine characters of six bits each, in a length of 64 bits, and ten bits for the version. */
function moduleIn(bytes: Buffer): string {
  if (bytes.length < 9) return '?';
  let rest = bytes.readBigUInt64BE(1) >> 10n;
  let name = '';
  for (let left = 9; left > 0; left--) {
    name = (NAME_CHARACTERS[Number(rest & 63n)] ?? '') + name;
    rest >>= 6n;
  }
  return name;
}

// --- Writing -----------------------------------------------------------------------------------------------------

/** A snapshot as Redis 7.0 writes it; hashes whose fields have deadlines need 7.4. */
export function rdbEncoder(now: number): Encoder {
  const checksum = new Crc64();
  const counted = (bytes: Buffer): Buffer => {
    checksum.add(bytes);
    return bytes;
  };
  const start = new ByteWriter(128);
  start.characters(`${MAGIC}${String(VERSION).padStart(4, '0')}`);
  for (const [name, value] of [
    ['redis-ver', '7.0.15'],
    ['redis-bits', '64'],
    ['ctime', String(Math.floor(now / 1000))],
  ] as const) {
    start.byte(PART.auxiliary);
    writeText(start, name);
    writeText(start, value);
  }
  // Libraries and keys of database 0 follow.
  start.byte(PART.select);
  start.byte(0);
  return {
    head: counted(start.view()),
    entry: (entry) => counted(rdbEntry(entry, now)),
    end: () => ({
      tail: Buffer.concat([counted(Buffer.of(PART.end)), checksum.bytes()]),
      head: null,
    }),
  };
}

function rdbEntry(entry: Entry, now: number): Buffer {
  const writer = new ByteWriter(64);
  if (entry.kind === 'library') {
    writer.byte(PART.library);
    writeBlob(writer, Buffer.from(entry.code, 'latin1'));
    return writer.view();
  }
  const { key, expiresAt } = entry;
  const dump = entry.kind === 'dump' ? entry.dump : dumpOf(entry.value, now);
  if (dump === null) throw new Unrepresentable(`${quoted(key)}, which is too long`);
  if (expiresAt !== null) {
    writer.byte(PART.expiresMs);
    const deadline = Buffer.allocUnsafe(8);
    deadline.writeBigInt64LE(BigInt(expiresAt));
    writer.bytes(deadline);
  }
  writer.byte(dump.charCodeAt(0));
  writeText(writer, key);
  writer.characters(dump.slice(1, -FOOTER_BYTES));
  return writer.view();
}
