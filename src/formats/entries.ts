/**
 * The seeds' binary files: keys and values one behind the other, each with its length before it.
 *
 * ```
 * binary := 0x004B56DB:u32  version = 1:u32  seconds:i64  entries:u32  (key value)*
 * kvsp   := "KVSP"  nanoseconds:i64  entries:u32  (key value)*
 * kvlg   := ("KVLG"  operation:u8  nanoseconds:i64  key  value)*
 * key, value := length:u32  bytes                                operation: 1 sets, 2 deletes
 * ```
 *
 * All numbers have their highest byte first. For `binary` the seeds don't say it; Go's `binary.BigEndian`, which they name for the
 * other two, is taken. Files of the other order can be told by their magic number, and are read too.
 *
 * There is no checksum in any of them: whatever has the right shape is taken for the data.
 */
import { FormatError } from '../store/bytes.ts';
import { valueOf } from '../store/rdb/restore.ts';
import { isString, textOf } from '../store/value.ts';
import { type Encoder, type Entry, quoted, type ReadCommand, Unrepresentable } from './format.ts';
import type { Cursor, Input } from './input.ts';

const BINARY_MAGIC = 0x004b_56db;
const BINARY_VERSION = 1;
const SNAPSHOT_MAGIC = 0x4b56_5350;
const LOG_MAGIC = 0x4b56_4c47;
const SET = 1;
const DELETE = 2;
const ENTRIES_MAX = 0xffff_ffff;

// --- Reading -----------------------------------------------------------------------------------------------------

export async function* readBinary(input: Input): AsyncGenerator<ReadCommand> {
  const { count, littleEndian } = await input.read((cursor) => {
    const magic = cursor.u32('the magic number 00 4b 56 db');
    const little = magic === 0xdb56_4b00;
    if (!little && magic !== BINARY_MAGIC)
      cursor.wrong('the magic number 00 4b 56 db or db 56 4b 00', cursor.offset - 4);
    const u32 = (what: string): number => {
      const bytes = cursor.view(4, what);
      return little ? bytes.readUInt32LE() : bytes.readUInt32BE();
    };
    const version = u32('the version');
    if (version !== BINARY_VERSION)
      cursor.wrong(`version ${BINARY_VERSION}`, cursor.offset - 4, `version ${version}`);
    cursor.view(8, 'the time');
    return { count: u32('the number of entries'), littleEndian: little };
  });
  yield* readEntries(input, count, littleEndian);
}

export async function* readSnapshot(input: Input): AsyncGenerator<ReadCommand> {
  const count = await input.read((cursor) => {
    expectMagic(cursor, SNAPSHOT_MAGIC, 'KVSP');
    cursor.view(8, 'the time');
    return cursor.u32('the number of entries');
  });
  yield* readEntries(input, count, false);
}

async function* readEntries(input: Input, count: number, littleEndian: boolean): AsyncGenerator<ReadCommand> {
  for (let entry = 1; entry <= count; entry++) {
    const { offset } = input;
    if (await input.atEnd()) input.wrong(`entry ${entry} of ${count}`, 'the end of the file');
    const args = await input.read((cursor) => [
      'SET',
      cursor.sized('a key', littleEndian).toString('latin1'),
      cursor.sized('a value', littleEndian).toString('latin1'),
    ]);
    yield { args, database: 0, offset };
  }
  if (!(await input.atEnd())) input.wrong(`the end of the file after ${count} entries`, 'more bytes');
}

export async function* readLog(input: Input): AsyncGenerator<ReadCommand> {
  while (!(await input.atEnd())) {
    const { offset } = input;
    yield { args: await input.read(readLogged), database: 0, offset };
  }
}

function readLogged(cursor: Cursor): string[] {
  expectMagic(cursor, LOG_MAGIC, 'KVLG');
  const operation = cursor.byte('an operation');
  if (operation !== SET && operation !== DELETE)
    cursor.wrong('the operation 01 (set) or 02 (delete)', cursor.offset - 1);
  cursor.view(8, 'the time');
  const key = cursor.sized('a key').toString('latin1');
  const at = cursor.offset;
  const value = cursor.sized('a value');
  if (operation === SET) return ['SET', key, value.toString('latin1')];
  if (value.length > 0) cursor.wrong('no value for a deleted key', at, `one of ${value.length} bytes`);
  return ['DEL', key];
}

function expectMagic(cursor: Cursor, magic: number, name: string): void {
  const what = `the magic number ${name}`;
  if (cursor.u32(what) !== magic) cursor.wrong(what, cursor.offset - 4);
}

// --- Writing -----------------------------------------------------------------------------------------------------

/** What a format without types and deadlines holds of an entry. */
export function plainOf(entry: Entry): { readonly key: string; readonly value: string } {
  if (entry.kind === 'library') throw new Unrepresentable('a library of functions');
  const { key, expiresAt } = entry;
  const value = entry.kind === 'string' ? entry.value : stringIn(entry.dump, key);
  if (expiresAt !== null) throw new Unrepresentable(`${quoted(key)}, which expires`);
  return { key, value };
}

function stringIn(dump: string, key: string): string {
  const value = valueOf(Buffer.from(dump, 'latin1'));
  if (value === undefined) throw new FormatError(`the dump of ${quoted(key)} is none`, 0);
  if (!isString(value)) throw new Unrepresentable(`${quoted(key)}, which is a ${value.type}`);
  return textOf(value);
}

function pair(key: string, value: string, head: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(head.length + 8 + key.length + value.length);
  head.copy(bytes);
  let at = bytes.writeUInt32BE(key.length, head.length);
  at += bytes.write(key, at, 'latin1');
  at = bytes.writeUInt32BE(value.length, at);
  bytes.write(value, at, 'latin1');
  return bytes;
}

const NOTHING = Buffer.alloc(0);

/** Entries behind a head that says how many they are. */
class CountedEncoder implements Encoder {
  readonly #head: (count: number) => Buffer;
  #count = 0;

  constructor(head: (count: number) => Buffer) {
    this.#head = head;
  }

  get head(): Buffer {
    return this.#head(0);
  }

  entry(entry: Entry): Buffer {
    const { key, value } = plainOf(entry);
    if (this.#count === ENTRIES_MAX) throw new Unrepresentable(`more than ${ENTRIES_MAX} entries`);
    this.#count++;
    return pair(key, value, NOTHING);
  }

  end(): { tail: Buffer; head: Buffer } {
    return { tail: NOTHING, head: this.#head(this.#count) };
  }
}

/** `now`: ms since 1970, as everywhere. */
export function binaryEncoder(now: number): Encoder {
  return new CountedEncoder((count) => {
    const head = Buffer.allocUnsafe(20);
    head.writeUInt32BE(BINARY_MAGIC, 0);
    head.writeUInt32BE(BINARY_VERSION, 4);
    head.writeBigInt64BE(BigInt(Math.floor(now / 1000)), 8);
    head.writeUInt32BE(count, 16);
    return head;
  });
}

export function snapshotEncoder(now: number): Encoder {
  return new CountedEncoder((count) => {
    const head = Buffer.allocUnsafe(16);
    head.writeUInt32BE(SNAPSHOT_MAGIC, 0);
    head.writeBigInt64BE(nanoseconds(now), 4);
    head.writeUInt32BE(count, 12);
    return head;
  });
}

/** A log that sets every key once. */
export function logEncoder(now: number): Encoder {
  const head = Buffer.allocUnsafe(13);
  head.writeUInt32BE(LOG_MAGIC, 0);
  head.writeUInt8(SET, 4);
  head.writeBigInt64BE(nanoseconds(now), 5);
  return {
    head: NOTHING,
    entry(entry) {
      const { key, value } = plainOf(entry);
      return pair(key, value, head);
    },
    end: () => ({ tail: NOTHING, head: null }),
  };
}

function nanoseconds(now: number): bigint {
  return BigInt(Math.floor(now)) * 1_000_000n;
}
