/**
 * Requests of a follower's clients on their way to the leader, and their outcomes on the way back.
 *
 * ```
 * requests := format:u8  count  request*
 * request  := head:u8  name  body             head and name as in the store's `batch.ts`
 *   command     (kind 1) := arguments
 *   transaction (kind 2) := watches  count  arguments*
 *   watch       (kind 3) := arguments                     the keys
 *   waiting     (kind 4) := again:u8  arguments           a command that may wait; 1: its client waits already
 * outcomes := format:u8  count  outcome*                  one for each request, in order
 * outcome  := 0 reply | 1 reply, kept from the first time | 2 not run | 3 run, reply too long | 4 watches, +OK
 *           | 5 waits again | 6 waits: its keys as watches, timeout in ms:f64, arguments of the next try
 * ```
 */
import { ByteReader, ByteWriter, FormatError } from '../store/bytes.ts';
import {
  ONCE_BITS,
  readArguments,
  readOnce,
  readWatches,
  writeArguments,
  writeHead,
  writeWatches,
} from '../store/batch.ts';
import type { Watch } from '../store/command.ts';
import type { Wait } from '../store/context.ts';
import type { Once } from '../store/once.ts';
import type { Request, Waits } from './engine.ts';

const FORMAT_VERSION = 1;
const KIND = { command: 1, transaction: 2, watch: 3, waiting: 4 } as const;
const OUTCOME = {
  reply: 0,
  repeated: 1,
  refused: 2,
  tooLong: 3,
  watches: 4,
  waitsAgain: 5,
  waits: 6,
  unknown: 7,
} as const;
const BUFFER_BYTES = 16 * 1024;

/** A request that can travel: one that needs the leader. */
export type Travelling = Exclude<Request, { kind: 'text' }>;

/** A request as it arrives: its commands not looked up yet. */
export type Arrived =
  | {
      readonly kind: 'command';
      readonly once: Once | null;
      readonly args: readonly string[];
      /** Whether its client may wait, or does already. */
      readonly waits: 'no' | 'may' | 'again';
    }
  | {
      readonly kind: 'transaction';
      readonly once: Once | null;
      readonly watches: readonly Watch[];
      readonly calls: readonly (readonly string[])[];
    }
  | { readonly kind: 'watch'; readonly keys: readonly string[] };

/** What became of a request. */
export type Outcome =
  /** `reply`: encoded, see the store's `encoded-reply.ts`. */
  | { readonly kind: 'reply'; readonly reply: Uint8Array; readonly repeated: boolean }
  /** Certainly not run: the node asked does not lead. */
  | { readonly kind: 'refused' }
  /** Run, but the reply is more than is forwarded. */
  | { readonly kind: 'tooLong' }
  /** Maybe run: the answer is missing, or the node asked does not know either. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'watches'; readonly watches: readonly Watch[] }
  /** Run, and nothing to give yet; see {@link Waits.nothingYet}. */
  | { readonly kind: 'waits'; readonly wait: Wait | null; readonly seen: readonly Watch[] };

export function encodeRequests(requests: readonly Travelling[]): Uint8Array {
  const writer = new ByteWriter(BUFFER_BYTES);
  writer.byte(FORMAT_VERSION);
  writer.varint(requests.length);
  for (const request of requests) {
    switch (request.kind) {
      case 'command':
        writeCommand(writer, request.once, request.waits);
        writeArguments(writer, request.args);
        break;
      case 'transaction':
        writeHead(writer, KIND.transaction, request.once);
        writeWatches(writer, request.watches);
        writer.varint(request.calls.length);
        for (const { args } of request.calls) writeArguments(writer, args);
        break;
      case 'watch':
        writeHead(writer, KIND.watch, null);
        writeArguments(writer, request.keys);
    }
  }
  return writer.view();
}

function writeCommand(writer: ByteWriter, once: Once | null, waits: Waits | undefined): void {
  writeHead(writer, waits === undefined ? KIND.command : KIND.waiting, once);
  if (waits !== undefined) writer.byte(waits.again ? 1 : 0);
}

/** Throws a {@link FormatError} when the bytes are no requests. */
export function decodeRequests(bytes: Uint8Array): Arrived[] {
  return decode(bytes, 2, (reader) => {
    const head = reader.byte('a request');
    const once = readOnce(reader, head);
    switch (head & ~ONCE_BITS) {
      case KIND.command:
        return { kind: 'command', once, args: readArguments(reader), waits: 'no' };
      case KIND.waiting: {
        const waits = reader.byte('whether a client waits') === 0 ? 'may' : 'again';
        return { kind: 'command', once, args: readArguments(reader), waits };
      }
      case KIND.transaction: {
        const watches = readWatches(reader);
        const calls: string[][] = [];
        for (let left = reader.count('the number of calls', 2); left > 0; left--)
          calls.push(readArguments(reader));
        return { kind: 'transaction', once, watches, calls };
      }
      case KIND.watch:
        return { kind: 'watch', keys: readArguments(reader) };
      default:
        return reader.fail(`request ${head} is unknown, before or`);
    }
  });
}

export function encodeOutcomes(outcomes: readonly Outcome[]): Uint8Array {
  const writer = new ByteWriter(BUFFER_BYTES);
  writer.byte(FORMAT_VERSION);
  writer.varint(outcomes.length);
  for (const outcome of outcomes) {
    switch (outcome.kind) {
      case 'reply':
        writer.byte(outcome.repeated ? OUTCOME.repeated : OUTCOME.reply);
        writer.varint(outcome.reply.length);
        writer.bytes(outcome.reply);
        break;
      case 'refused':
      case 'tooLong':
      case 'unknown':
        writer.byte(OUTCOME[outcome.kind]);
        break;
      case 'watches':
        writer.byte(OUTCOME.watches);
        writeWatches(writer, outcome.watches);
        break;
      case 'waits':
        writer.byte(outcome.wait === null ? OUTCOME.waitsAgain : OUTCOME.waits);
        if (outcome.wait === null) break;
        writeWatches(writer, outcome.seen);
        writer.double(outcome.wait.timeoutMs);
        writeArguments(writer, outcome.wait.retry);
    }
  }
  return writer.view();
}

/** Throws a {@link FormatError} when the bytes are no outcomes. */
export function decodeOutcomes(bytes: Uint8Array): Outcome[] {
  return decode(bytes, 1, (reader): Outcome => {
    const tag = reader.byte('an outcome');
    switch (tag) {
      case OUTCOME.reply:
      case OUTCOME.repeated:
        return { kind: 'reply', reply: reader.bytes('a reply'), repeated: tag === OUTCOME.repeated };
      case OUTCOME.refused:
        return { kind: 'refused' };
      case OUTCOME.tooLong:
        return { kind: 'tooLong' };
      case OUTCOME.unknown:
        return { kind: 'unknown' };
      case OUTCOME.watches:
        return { kind: 'watches', watches: readWatches(reader) };
      case OUTCOME.waitsAgain:
        return { kind: 'waits', wait: null, seen: [] };
      case OUTCOME.waits: {
        const seen = readWatches(reader);
        const timeoutMs = reader.double('a timeout');
        const wait = { keys: seen.map(({ key }) => key), timeoutMs, retry: readArguments(reader) };
        return { kind: 'waits', wait, seen };
      }
      default:
        return reader.fail(`outcome ${tag} is unknown, before or`);
    }
  });
}

function decode<Item>(bytes: Uint8Array, itemBytes: number, read: (reader: ByteReader) => Item): Item[] {
  const reader = new ByteReader(bytes);
  const version = reader.byte('the format version');
  if (version !== FORMAT_VERSION)
    throw new FormatError(`format ${version} of forwarded requests is not ${FORMAT_VERSION},`, 0);
  const items: Item[] = [];
  for (let left = reader.count('the number of items', itemBytes); left > 0; left--) items.push(read(reader));
  if (reader.remaining > 0) reader.fail(`${reader.remaining} bytes too many`);
  return items;
}
