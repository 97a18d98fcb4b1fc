import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Configuration,
  type Entry,
  type Index,
  type Learner,
  type Member,
  type Message,
  type NodeId,
  type Term,
  EntryType,
  InvariantError,
  asIndex,
  asNodeId,
  asTerm,
} from '../raft/types.ts';
import { FRAME_BYTES_MAX, FrameDecoder, FrameError, encodeFrame, encodeLinkHeartbeat } from './codec.ts';
import { MESSAGES } from './testing/messages.ts';

const from = asNodeId('n1');
const to = asNodeId('n2.example_org-7');
const first: Message = { type: 'timeoutNow', term: asTerm(1) };

/** All messages that a decoder makes of these pieces. */
function decode(pieces: readonly Buffer[]): Message[] {
  const messages: Message[] = [];
  const decoder = new FrameDecoder((sender, receiver, message) => {
    expect([sender, receiver]).toEqual([from, to]);
    messages.push(message);
  });
  for (const piece of pieces) decoder.push(piece);
  return messages;
}

const inPieces = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );

/** A frame whose bytes were changed by someone who knows how to compute a checksum. */
function forged(change: (frame: Buffer) => void, message = first): Buffer {
  const frame = Buffer.from(encodeFrame(from, to, message));
  change(frame);
  frame.writeUInt32LE(crc32(frame.subarray(4)), 0);
  return frame;
}

test('every message survives, whole and byte by byte, with link heartbeats in between', () => {
  const frames = MESSAGES.flatMap((message) => [
    encodeFrame(from, to, message),
    encodeLinkHeartbeat(from, to),
  ]);
  const stream = Buffer.concat(frames);
  expect(decode([stream])).toEqual(MESSAGES);
  expect(decode(inPieces(stream, 1))).toEqual(MESSAGES);
});

test('a message is encoded in few bytes', () => {
  expect(encodeFrame(from, to, first)).toHaveLength(10 + 8 + 1 + 2 + 1 + to.length);
});

test('payloads do not keep the pieces alive that they came in', () => {
  const entries: Entry[] = [1, 2].map((index) => ({
    index: asIndex(index),
    term: asTerm(1),
    type: EntryType.batch,
    payload: Buffer.from('payload'),
  }));
  const append = {
    type: 'append',
    term: asTerm(1),
    prevIndex: asIndex(0),
    prevTerm: asTerm(0),
    commit: asIndex(0),
    entries,
  } as const;
  const frame = encodeFrame(from, to, append);
  const piece = Buffer.concat([frame, Buffer.alloc(64 * 1024)]).subarray(0, frame.length);
  const [message] = decode([piece]);
  const payloads = message?.type === 'append' ? message.entries.map(({ payload }) => payload) : [];
  expect(payloads.map(({ buffer }) => buffer.byteLength)).toEqual([frame.length, frame.length]);
  piece.fill(0);
  expect(payloads.map((payload) => Buffer.from(payload).toString())).toEqual(['payload', 'payload']);
});

describe('refused, with the reason', () => {
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    [
      'a flipped bit',
      forgedWithoutChecksum((frame) => frame.writeUInt8(frame.readUInt8(12) ^ 4, 12)),
      /checksum/,
    ],
    [
      'a flipped bit in the length',
      forgedWithoutChecksum((frame) => frame.writeUInt32LE(frame.length - 1, 4)),
      /checksum/,
    ],
    ['another format', forged((frame) => frame.writeUInt8(2, 8)), /format 2, this version reads 1/],
    ['an unknown type', forged((frame) => frame.writeUInt8(99, 9)), /unknown message type 99/],
    ['a length below the prefix', forged((frame) => frame.writeUInt32LE(9, 4)), /length of 9 B/],
    [
      'a length beyond the limit',
      forged((frame) => frame.writeUInt32LE(FRAME_BYTES_MAX + 1, 4)),
      /length of 671088641 B/,
    ],
    ['an HTTP answer', Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), /format 32|format 49|unknown/],
    ['a number beyond 2^53', forged((frame) => frame.writeUInt32LE(2 ** 21, 14)), /beyond 2\^53/],
    ['a bad node id', forged((frame) => frame.write('/', 19)), /bad node id of 2 B/],
    ['an id without end', forged((frame) => frame.writeUInt8(200, 18)), /ends inside a field of 200 B/],
    ['bytes after the end', forged((frame) => frame.writeUInt8(12, 9), MESSAGES[16]), /9 B after its end/],
    [
      'a flag that is none',
      forged((frame) => frame.writeUInt8(2, frame.length - 1), MESSAGES[3]),
      /has 2 at byte/,
    ],
    [
      'an unknown status',
      forged((frame) => frame.writeUInt8(3, frame.length - 1), MESSAGES[11]),
      /snapshot status 3/,
    ],
    [
      'an unknown entry type',
      forged((frame) => frame.writeUInt8(9, frame.length - 15), MESSAGES[5]),
      /type 9/,
    ],
    [
      'a bad configuration',
      forged((frame) => frame.write('!', frame.length - 1), MESSAGES[10]),
      /bad configuration/,
    ],
  ];
  test.each(cases)('%s', (_, bytes, reason) => {
    expect(() => decode([bytes])).toThrow(FrameError);
    expect(() => decode([bytes])).toThrow(reason);
    expect(() => decode(inPieces(bytes, 1))).toThrow(reason);
  });

  function forgedWithoutChecksum(change: (frame: Buffer) => void): Buffer {
    const frame = Buffer.from(encodeFrame(from, to, first));
    change(frame);
    return frame;
  }
});

test('a decoder that was stopped, or met a bad frame, hands out nothing more', () => {
  const good = encodeFrame(from, to, first);
  const messages: Message[] = [];
  const failed = new FrameDecoder((_from, _to, message) => messages.push(message));
  expect(() => failed.push(Buffer.concat([good, Buffer.alloc(20)]))).toThrow(FrameError);
  failed.push(good);
  expect(messages).toEqual([first]);

  const stopped: FrameDecoder = new FrameDecoder((_from, _to, message) => {
    messages.push(message);
    stopped.stop();
  });
  stopped.push(Buffer.concat([good, good]));
  expect(messages).toEqual([first, first]);
});

test('entries with a gap can not be sent', () => {
  const entry = { index: asIndex(3), term: asTerm(1), type: EntryType.noop, payload: new Uint8Array(0) };
  const append = {
    type: 'append',
    term: asTerm(1),
    prevIndex: asIndex(1),
    prevTerm: asTerm(1),
    commit: asIndex(1),
  } as const;
  expect(() => encodeFrame(from, to, { ...append, entries: [entry] })).toThrow(InvariantError);
});

/* ------------------------------------------------------------------------------------------------------------- */

const number = fc.oneof(fc.nat(), fc.maxSafeNat());
const index = number.map(asIndex);
const term = number.map(asTerm);
const member = fc.record<Member>({
  id: fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/).map<NodeId>(asNodeId),
  url: fc.string({ unit: 'binary' }),
  incarnation: fc.string({ unit: 'binary' }),
});
const id = fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/).map<NodeId>(asNodeId);
const learner = fc
  .tuple(member, fc.boolean(), fc.option(id))
  .map(([one, promote, replaces]): Learner => ({ ...one, promote, replaces }));
const members = fc.array(member, { maxLength: 5 });
const configuration = fc.record<Configuration>({
  voters: members,
  outgoing: members,
  learners: fc.array(learner, { maxLength: 5 }),
  removed: fc.array(id, { maxLength: 5 }),
});
const entryType = fc.constantFrom(...Object.values(EntryType));

interface Loose {
  readonly term: Term;
  readonly type: EntryType;
  readonly payload: Uint8Array;
}
const entriesAfter = (prev: Index, loose: readonly Loose[]): Entry[] =>
  loose.map((entry, at) => ({ ...entry, index: asIndex(prev + 1 + at) }));

const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ type: fc.constant('preVoteRequest' as const), term, lastIndex: index, lastTerm: term }),
  fc.record({ type: fc.constant('preVoteReply' as const), term, granted: fc.boolean(), campaignTerm: term }),
  fc.record({
    type: fc.constant('voteRequest' as const),
    term,
    lastIndex: index,
    lastTerm: term,
    transfer: fc.boolean(),
  }),
  fc.record({ type: fc.constant('voteReply' as const), term, granted: fc.boolean() }),
  fc
    .tuple(
      term,
      fc.nat().map(asIndex),
      term,
      index,
      fc.array(
        fc.record({ term, type: entryType, payload: fc.uint8Array().map((bytes) => Buffer.from(bytes)) }),
      ),
    )
    .map(([term, prevIndex, prevTerm, commit, loose]) => ({
      type: 'append' as const,
      term,
      prevIndex,
      prevTerm,
      commit,
      entries: entriesAfter(prevIndex, loose),
    })),
  fc.record({
    type: fc.constant('appendReply' as const),
    term,
    result: fc.oneof(
      fc.record({ ok: fc.constant(true as const), match: index }),
      fc.record({ ok: fc.constant(false as const), rejected: index, hintIndex: index, hintTerm: term }),
    ),
  }),
  fc.record({
    type: fc.constant('heartbeat' as const),
    term,
    commit: index,
    match: index,
    matchTerm: term,
    round: number,
  }),
  fc.record({
    type: fc.constant('heartbeatReply' as const),
    term,
    round: number,
    recovering: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('installSnapshot' as const),
    term,
    snapshot: fc.record({
      index,
      term,
      configuration,
      configurationIndex: index,
      bytes: number,
      checksum: fc.nat(0xffff_ffff),
    }),
  }),
  fc.record({
    type: fc.constant('installSnapshotReply' as const),
    term,
    index,
    status: fc.constantFrom('installed' as const, 'fetching' as const, 'failed' as const),
  }),
  fc.record({ type: fc.constant('timeoutNow' as const), term }),
  fc.record({ type: fc.constant('readIndexRequest' as const), term, id: number }),
  fc.record({ type: fc.constant('readIndexReply' as const), term, id: number, index: fc.option(index) }),
  fc.record({ type: fc.constant('recoveryRequest' as const), term, id: number }),
  fc.record({ type: fc.constant('recoveryReply' as const), term, id: number, index: fc.option(index) }),
);

/** Cuts `bytes` at the given places, in any order, some of them beyond its end. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const bounds = [
    0,
    ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b),
    bytes.length,
  ];
  return bounds.slice(1).map((end, at) => bytes.subarray(bounds[at], end));
}

test('any messages, in any pieces, come out as they went in', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (messages, places) => {
        const stream = Buffer.concat(messages.map((message) => encodeFrame(from, to, message)));
        expect(decode(cut(stream, places))).toEqual(messages);
      },
    ),
  );
});

/** Feeds bytes that may be anything; only a FrameError may come of it. */
function endure(pieces: readonly Buffer[]): void {
  const decoder = new FrameDecoder(() => {});
  try {
    for (const piece of pieces) decoder.push(piece);
  } catch (error) {
    expect(error).toBeInstanceOf(FrameError);
  }
}

test('damaged streams, checksum right or wrong, end in a FrameError at worst', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      anyMessage,
      damage,
      fc.array(fc.nat(), { maxLength: 3 }),
      fc.boolean(),
      (message, bytes, places, mend) => {
        const frame = Buffer.from(encodeFrame(from, to, message));
        for (const [at, value] of bytes) frame.writeUInt8(value, at % frame.length);
        if (mend) frame.writeUInt32LE(frame.length, 4);
        if (mend) frame.writeUInt32LE(crc32(frame.subarray(4)), 0);
        endure(cut(frame, places));
      },
    ),
    { numRuns: 1000 },
  );
});

test('random bytes end in a FrameError at worst', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (pieces) =>
      endure(pieces.map((piece) => Buffer.from(piece))),
    ),
  );
});
