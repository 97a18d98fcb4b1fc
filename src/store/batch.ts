/**
 * The payload of a log entry: all writes that reached the leader in one turn of its event loop.
 *
 * ```
 * payload   := version:u8  time:f64 (ms)  operations:u32  operation*
 * operation := head:u8  body              head = kind (low 4 bits) | flags (high 4 bits, none defined yet)
 * command     (kind 1) := arguments
 * transaction (kind 2) := count  { key  version }*   count  arguments*     the watches, then the writes
 * expire      (kind 3) := count  key*
 * arguments := count  string*             the first is the command's name
 * ```
 *
 * Counts, lengths and versions are varints, strings a length and bytes. The flags leave room for a client session
 * and a sequence number per operation. Part of the disk and wire formats: a change needs a new version byte.
 */
import { ByteReader, ByteWriter, FormatError } from './bytes.ts';
import type { Call, Watch } from './command.ts';
import { invariant } from './invariant.ts';

const FORMAT_VERSION = 1;
const HEADER_BYTES = 1 + 8 + 4;
const KIND = { command: 1, transaction: 2, expire: 3 } as const;

/** The buffer of a fresh encoder, and what a larger one is cut back to after a huge batch. */
const BUFFER_BYTES = 64 * 1024;
const BUFFER_BYTES_KEPT_MAX = 4 * 1024 * 1024;

export type Operation =
  | { readonly kind: 'command'; readonly args: readonly string[] }
  | {
      readonly kind: 'transaction';
      readonly watches: readonly Watch[];
      readonly calls: readonly (readonly string[])[];
    }
  | { readonly kind: 'expire'; readonly keys: readonly string[] };

export interface Batch {
  /** The leader's time in ms since 1970. */
  readonly time: number;
  readonly operations: readonly Operation[];
}

/** Collects operations until the leader proposes them. */
export class BatchEncoder {
  #writer = new ByteWriter(BUFFER_BYTES);
  #operations = 0;

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
  addCommand(args: readonly string[]): void {
    this.#operations++;
    this.#writer.byte(KIND.command);
    this.#arguments(args);
  }

  /** Reads change nothing, so only the writes among `calls` travel. */
  addTransaction(calls: readonly Call[], watches: readonly Watch[]): void {
    this.#operations++;
    this.#writer.byte(KIND.transaction);
    this.#writer.varint(watches.length);
    for (const { key, version } of watches) {
      this.#writer.string(key);
      this.#writer.varint(version);
    }
    let writes = 0;
    for (const call of calls) if (call.command.write) writes++;
    this.#writer.varint(writes);
    for (const call of calls) if (call.command.write) this.#arguments(call.args);
  }

  /** Keys whose deadline the leader has seen pass; each node removes those that its own entry says so of. */
  addExpire(keys: readonly string[]): void {
    this.#operations++;
    this.#writer.byte(KIND.expire);
    this.#writer.varint(keys.length);
    for (const key of keys) this.#writer.string(key);
  }

  /** The payload, stamped with the leader's time in ms since 1970; the encoder is empty again. */
  finish(time: number): Uint8Array {
    const payload = Buffer.allocUnsafeSlow(this.#writer.length);
    payload.set(this.#writer.view());
    payload.writeDoubleLE(time, 1);
    payload.writeUInt32LE(this.#operations, 9);
    if (payload.length > BUFFER_BYTES_KEPT_MAX) this.#writer = new ByteWriter(BUFFER_BYTES);
    this.#reset();
    return payload;
  }

  #reset(): void {
    this.#operations = 0;
    this.#writer.truncate(0);
    this.#writer.byte(FORMAT_VERSION);
    for (let at = 1; at < HEADER_BYTES; at++) this.#writer.byte(0);
  }

  #arguments(args: readonly string[]): void {
    invariant(args.length > 0, 'a command without a name in a batch');
    this.#writer.varint(args.length);
    for (const arg of args) this.#writer.string(arg);
  }
}

/**
 * Reads a whole payload before anything of it is run, so that a malformed one changes nothing.
 * Throws {@link FormatError} with the offset.
 */
export function decodeBatch(payload: Uint8Array): Batch {
  const reader = new ByteReader(payload);
  const version = reader.byte('the format version');
  if (version !== FORMAT_VERSION)
    throw new FormatError(`batch format ${version} is not ${FORMAT_VERSION}, the one this release reads,`, 0);
  const time = reader.double('the time');
  if (!Number.isSafeInteger(time) || time < 0) throw new FormatError(`the time ${time} is not valid`, 1);
  let count = 0;
  for (let shift = 0; shift < 32; shift += 8) count += reader.byte('the number of operations') * 2 ** shift;
  const operations: Operation[] = [];
  while (operations.length < count) operations.push(readOperation(reader));
  if (reader.remaining > 0) reader.fail(`${reader.remaining} bytes too many`);
  return { time, operations };
}

function readOperation(reader: ByteReader): Operation {
  const head = reader.byte('an operation');
  switch (head) {
    case KIND.command:
      return { kind: 'command', args: readArguments(reader) };
    case KIND.transaction: {
      const watches: Watch[] = [];
      for (let left = reader.count('the number of watches', 2); left > 0; left--)
        watches.push({ key: reader.string('a watched key'), version: reader.varint('a version') });
      const calls: string[][] = [];
      for (let left = reader.count('the number of calls', 2); left > 0; left--)
        calls.push(readArguments(reader));
      return { kind: 'transaction', watches, calls };
    }
    case KIND.expire: {
      const keys: string[] = [];
      for (let left = reader.count('the number of keys', 1); left > 0; left--)
        keys.push(reader.string('an expired key'));
      return { kind: 'expire', keys };
    }
    default:
      return reader.fail(`operation ${head} is unknown, before or`);
  }
}

function readArguments(reader: ByteReader): string[] {
  const count = reader.count('the number of arguments', 1);
  if (count === 0) reader.fail('a command without a name before');
  const args: string[] = [];
  for (let left = count; left > 0; left--) args.push(reader.string('an argument'));
  return args;
}
