/**
 * The payload of a log entry: all writes that reached the leader in one turn of its event loop.
 *
 * ```
 * payload   := version:u8  time:f64 (ms)  operations:u32  operation*
 * operation := head:u8  name  body        head = kind (low 4 bits) | flags (high 4 bits)
 * name      := session  sequence          with flag 1      what makes it run only once, see `once.ts`
 *            | key  fingerprint           with flag 2      (no name with neither)
 * command     (kind 1) := arguments
 * transaction (kind 2) := count  { key  version }*   count  arguments*     the watches, then the writes;
 *                                                    with flag 4 all calls: their replies are kept
 * expire      (kind 3) := count  key*                 keys whose deadline has passed
 * evict       (kind 4) := count  key*                 keys that make room for others
 * put         (kind 5) := key  expiresAt  value    a compressed one, see `types/packed.ts`; 0 for no deadline
 * arguments := count  string*             the first is the command's name
 * ```
 *
 * Counts, lengths, versions and numbers are varints, strings a length and bytes. Part of the disk and wire formats: a
 * change needs a new version byte. Version 1 had no names, version 2 no kind 4, version 3 no kind 5; it is still written where
 * there is none, which is everywhere but in the library.
 */
import { ByteReader, ByteWriter, FormatError } from './bytes.ts';
import type { Call, Watch } from './command.ts';
import { invariant } from './invariant.ts';
import { keepsReply, type Once } from './once.ts';
import { Packed } from './types/packed.ts';

const FORMAT_VERSION = 3;
const FORMAT_VERSION_WITH_PUTS = 4;
const FORMAT_VERSION_WITHOUT_NAMES = 1;
const HEADER_BYTES = 1 + 8 + 4;
const KIND = { command: 1, transaction: 2, expire: 3, evict: 4, put: 5 } as const;
const FLAG = { session: 0x10, key: 0x20, allCalls: 0x40 } as const;
const KIND_BITS = 0x0f;
/** The bits of a head that say what name follows. */
export const ONCE_BITS: number = FLAG.session | FLAG.key;

/** The buffer of a fresh encoder, and what a larger one is cut back to after a huge batch. */
const BUFFER_BYTES = 64 * 1024;
const BUFFER_BYTES_KEPT_MAX = 4 * 1024 * 1024;

export type Operation =
  | { readonly kind: 'command'; readonly once: Once | null; readonly args: readonly string[] }
  | {
      readonly kind: 'transaction';
      readonly once: Once | null;
      /** Whether `calls` are all of them, and their replies are kept; only the writes otherwise. */
      readonly keepsReply: boolean;
      readonly watches: readonly Watch[];
      readonly calls: readonly (readonly string[])[];
    }
  | { readonly kind: 'expire'; readonly keys: readonly string[] }
  | { readonly kind: 'evict'; readonly keys: readonly string[] }
  | { readonly kind: 'put'; readonly key: string; readonly value: Packed; readonly expiresAt: number };

export interface Batch {
  /** The leader's time in ms since 1970. */
  readonly time: number;
  readonly operations: readonly Operation[];
}

/** Collects operations until the leader proposes them. */
export class BatchEncoder {
  #writer = new ByteWriter(BUFFER_BYTES);
  #operations = 0;
  #version = FORMAT_VERSION;

  constructor() {
    this.#reset();
  }

  /** How many operations it holds. */
  get operations(): number {
    return this.#operations;
  }

  /** The length of the payload so far. */
  get bytes(): number {
    return this.#writer.length;
  }

  /** `args[0]` is the command's name. */
  addCommand(args: readonly string[], once: Once | null = null): void {
    this.#operations++;
    writeHead(this.#writer, KIND.command, once);
    writeArguments(this.#writer, args);
  }

  /** Reads change nothing, so only the writes among `calls` travel, unless the reply is to be known on every node. */
  addTransaction(calls: readonly Call[], watches: readonly Watch[], once: Once | null = null): void {
    const all = once !== null && keepsReply(calls);
    this.#operations++;
    writeHead(this.#writer, KIND.transaction | (all ? FLAG.allCalls : 0), once);
    writeWatches(this.#writer, watches);
    let count = 0;
    for (const call of calls) if (all || call.command.write) count++;
    this.#writer.varint(count);
    for (const call of calls) if (all || call.command.write) writeArguments(this.#writer, call.args);
  }

  /** Keys whose deadline the leader has seen pass; each node removes those that its own entry says so of. */
  addExpire(keys: readonly string[]): void {
    this.#addKeys(KIND.expire, keys);
  }

  /** Keys that the leader has chosen to go. */
  addEvict(keys: readonly string[]): void {
    this.#addKeys(KIND.evict, keys);
  }

  /** A key that was given a compressed value, and a deadline in ms since 1970 or 0. */
  addPut(key: string, value: Packed, expiresAt: number): void {
    this.#operations++;
    this.#version = FORMAT_VERSION_WITH_PUTS;
    this.#writer.byte(KIND.put);
    this.#writer.string(key);
    this.#writer.varint(expiresAt);
    value.encode(0, this.#writer);
  }

  #addKeys(kind: number, keys: readonly string[]): void {
    this.#operations++;
    this.#writer.byte(kind);
    this.#writer.varint(keys.length);
    for (const key of keys) this.#writer.string(key);
  }

  /** The payload, stamped with the leader's time in ms since 1970; the encoder is empty again. */
  finish(time: number): Uint8Array {
    const payload = Buffer.allocUnsafeSlow(this.#writer.length);
    payload.set(this.#writer.view());
    payload.writeUInt8(this.#version, 0);
    payload.writeDoubleLE(time, 1);
    payload.writeUInt32LE(this.#operations, 9);
    if (payload.length > BUFFER_BYTES_KEPT_MAX) this.#writer = new ByteWriter(BUFFER_BYTES);
    this.#reset();
    return payload;
  }

  #reset(): void {
    this.#operations = 0;
    this.#version = FORMAT_VERSION;
    this.#writer.truncate(0);
    for (let at = 0; at < HEADER_BYTES; at++) this.#writer.byte(0);
  }
}

/**
 * Reads a whole payload before anything of it is run, so that a malformed one changes nothing.
 * Throws {@link FormatError} with the offset.
 */
export function decodeBatch(payload: Uint8Array): Batch {
  const reader = new ByteReader(payload);
  const version = reader.byte('the format version');
  if (version < FORMAT_VERSION_WITHOUT_NAMES || version > FORMAT_VERSION_WITH_PUTS)
    throw new FormatError(`batch format ${version} is none of those that this release reads (1 to 4),`, 0);
  const time = reader.double('the time');
  if (!Number.isSafeInteger(time) || time < 0) throw new FormatError(`the time ${time} is not valid`, 1);
  let count = 0;
  for (let shift = 0; shift < 32; shift += 8) count += reader.byte('the number of operations') * 2 ** shift;
  const operations: Operation[] = [];
  const flags = version === FORMAT_VERSION_WITHOUT_NAMES ? KIND_BITS : 0xff;
  while (operations.length < count) operations.push(readOperation(reader, flags));
  if (reader.remaining > 0) reader.fail(`${reader.remaining} bytes too many`);
  return { time, operations };
}

/** `known`: the bits that the head may have. */
function readOperation(reader: ByteReader, known: number): Operation {
  const head = reader.byte('an operation');
  if ((head & ~known) !== 0) reader.fail(`operation ${head} is unknown, before or`);
  const once = readOnce(reader, head);
  const all = (head & FLAG.allCalls) !== 0;
  switch (head & ~(ONCE_BITS | FLAG.allCalls)) {
    case KIND.command:
      if (all) break;
      return { kind: 'command', once, args: readArguments(reader) };
    case KIND.transaction: {
      if (all && once === null) break;
      const watches = readWatches(reader);
      const calls: string[][] = [];
      for (let left = reader.count('the number of calls', 2); left > 0; left--)
        calls.push(readArguments(reader));
      return { kind: 'transaction', once, keepsReply: all, watches, calls };
    }
    case KIND.expire:
    case KIND.evict: {
      if (once !== null || all) break;
      const keys: string[] = [];
      for (let left = reader.count('the number of keys', 1); left > 0; left--)
        keys.push(reader.string('a key'));
      return { kind: head === KIND.expire ? 'expire' : 'evict', keys };
    }
    case KIND.put: {
      if (once !== null || all) break;
      const key = reader.string('a key');
      const expiresAt = reader.varint('a deadline');
      const value = new Packed();
      value.decode(reader);
      return { kind: 'put', key, value, expiresAt };
    }
  }
  return reader.fail(`operation ${head} is unknown, before or`);
}

/** The head of an operation and its name. `bits`: kind and other flags. */
export function writeHead(writer: ByteWriter, bits: number, once: Once | null): void {
  if (once === null) writer.byte(bits);
  else if (once.kind === 'session') {
    writer.byte(bits | FLAG.session);
    writer.varint(once.session);
    writer.varint(once.sequence);
  } else {
    writer.byte(bits | FLAG.key);
    writer.string(once.key);
    writer.string(once.fingerprint);
  }
}

/** The name behind a head; `null` where the head says that there is none. */
export function readOnce(reader: ByteReader, head: number): Once | null {
  switch (head & ONCE_BITS) {
    case 0:
      return null;
    case FLAG.session: {
      const session = reader.varint('a session');
      return { kind: 'session', session, sequence: reader.varint('a sequence') };
    }
    case FLAG.key: {
      const key = reader.string('an idempotency key');
      return { kind: 'key', key, fingerprint: reader.string('a fingerprint') };
    }
    default:
      return reader.fail('an operation with two names before');
  }
}

export function writeWatches(writer: ByteWriter, watches: readonly Watch[]): void {
  writer.varint(watches.length);
  for (const { key, version } of watches) {
    writer.string(key);
    writer.varint(version);
  }
}

export function readWatches(reader: ByteReader): Watch[] {
  const watches: Watch[] = [];
  for (let left = reader.count('the number of watches', 2); left > 0; left--)
    watches.push({ key: reader.string('a watched key'), version: reader.varint('a version') });
  return watches;
}

export function writeArguments(writer: ByteWriter, args: readonly string[]): void {
  invariant(args.length > 0, 'a command without a name in a batch');
  writer.varint(args.length);
  for (const arg of args) writer.string(arg);
}

export function readArguments(reader: ByteReader): string[] {
  const count = reader.count('the number of arguments', 1);
  if (count === 0) reader.fail('a command without a name before');
  const args: string[] = [];
  for (let left = count; left > 0; left--) args.push(reader.string('an argument'));
  return args;
}
