import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BatchEncoder, decodeBatch, type Operation } from './batch.ts';
import { FormatError } from './bytes.ts';
import type { Once } from './once.ts';
import { call } from './testing/harness.ts';
import { Packed } from './types/packed.ts';

const TIME = 1_700_000_000_123;
const byteString = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const args = fc.array(byteString, { minLength: 1, maxLength: 5 });
const version = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 127, 128, 2 ** 31, 2 ** 32, 2 ** 53 - 1));
const once: fc.Arbitrary<Once | null> = fc.oneof(
  fc.constant(null),
  fc.record({ kind: fc.constant('session' as const), session: version, sequence: version }),
  fc.record({ kind: fc.constant('key' as const), key: byteString, fingerprint: byteString }),
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('command' as const), once, args }),
  fc
    .record({
      kind: fc.constant('transaction' as const),
      once,
      keepsReply: fc.constant(false),
      watches: fc.array(fc.record({ key: byteString, version }), { maxLength: 3 }),
      calls: fc.array(args, { maxLength: 3 }),
    })
    .map((one) => ({ ...one, keepsReply: one.once !== null })),
  fc.record({ kind: fc.constant('expire' as const), keys: fc.array(byteString, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('evict' as const), keys: fc.array(byteString, { maxLength: 5 }) }),
  fc.record({
    kind: fc.constant('put' as const),
    key: byteString,
    value: byteString.map((text) => packed(text.repeat(100) || 'x'.repeat(1000))),
    expiresAt: version,
  }),
);

function packed(text: string): Packed {
  const value = Packed.of(text, text.length % 200 === 0 ? 'gzip' : 'zstd');
  if (value === null) throw new Error(`${text} does not become shorter`);
  return value;
}

function add(encoder: BatchEncoder, one: Operation): void {
  if (one.kind === 'command') encoder.addCommand(one.args, one.once);
  else if (one.kind === 'expire') encoder.addExpire(one.keys);
  else if (one.kind === 'evict') encoder.addEvict(one.keys);
  else if (one.kind === 'put') encoder.addPut(one.key, one.value, one.expiresAt);
  else {
    const { command } = call('SET', 'k', 'v');
    encoder.addTransaction(
      one.calls.map((each) => ({ command, args: each })),
      one.watches,
      one.once,
    );
  }
}

function encode(operations: readonly Operation[], encoder = new BatchEncoder()): Uint8Array {
  for (const one of operations) add(encoder, one);
  return encoder.finish(TIME);
}

test('what was put in comes out, from one encoder used again and again', () => {
  const encoder = new BatchEncoder();
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (operations) => {
      const batch = decodeBatch(encode(operations, encoder));
      expect(batch).toEqual({ time: TIME, operations });
      // Which that comparison does not look into.
      expect(batch.operations.map(textOfPut)).toEqual(operations.map(textOfPut));
      expect(encoder.operations).toBe(0);
    }),
  );
});

function textOfPut(one: Operation): string | null {
  return one.kind === 'put' ? one.value.toString() : null;
}

test('the format is the one that earlier releases read, unless a value is compressed', () => {
  const encoder = new BatchEncoder();
  const version = (...operations: Operation[]): number | undefined => encode(operations, encoder)[0];
  const value = packed('text'.repeat(100));
  expect(version({ kind: 'evict', keys: ['a'] })).toBe(3);
  expect(version({ kind: 'evict', keys: ['a'] }, { kind: 'put', key: 'b', value, expiresAt: 0 })).toBe(4);
  expect(version({ kind: 'evict', keys: ['a'] })).toBe(3);
});

test('the encoder tells its size before the payload is made', () => {
  const encoder = new BatchEncoder();
  const empty = encoder.bytes;
  encoder.addCommand(['SET', 'key', 'value']);
  expect(encoder.operations).toBe(1);
  const { bytes } = encoder;
  expect(bytes).toBe(empty + 1 + 1 + 4 + 4 + 6);
  expect(encoder.finish(TIME).length).toBe(bytes);
});

test('a payload keeps its bytes while the encoder goes on', () => {
  const encoder = new BatchEncoder();
  const first = encode([{ kind: 'command', once: null, args: ['SET', 'a', 'first'] }], encoder);
  encode([{ kind: 'command', once: null, args: ['SET', 'b', 'other'] }], encoder);
  expect(decodeBatch(first).operations).toEqual([
    { kind: 'command', once: null, args: ['SET', 'a', 'first'] },
  ]);
});

test('a batch larger than the buffer grows it', () => {
  const large = 'x'.repeat(5 * 1024 * 1024);
  const operations: Operation[] = [{ kind: 'command', once: null, args: ['SET', 'k', large] }];
  const encoder = new BatchEncoder();
  expect(decodeBatch(encode(operations, encoder)).operations).toEqual(operations);
  expect(decodeBatch(encode(operations, encoder)).operations).toEqual(operations);
});

test('reads of a transaction stay at home', () => {
  const encoder = new BatchEncoder();
  encoder.addTransaction([call('GET', 'a'), call('SET', 'a', '1'), call('TTL', 'a')], []);
  expect(decodeBatch(encoder.finish(TIME)).operations).toEqual([
    { kind: 'transaction', once: null, keepsReply: false, watches: [], calls: [['SET', 'a', '1']] },
  ]);
});

test('reads of a transaction travel when its reply is to be kept, unless it reads more than the keys it names', () => {
  const encoder = new BatchEncoder();
  const once: Once = { kind: 'session', session: 7, sequence: 3 };
  encoder.addTransaction([call('GET', 'a'), call('SET', 'a', '1')], [], once);
  encoder.addTransaction([call('DBSIZE'), call('SET', 'a', '1')], [], once);
  expect(decodeBatch(encoder.finish(TIME)).operations).toEqual([
    {
      kind: 'transaction',
      once,
      keepsReply: true,
      watches: [],
      calls: [
        ['GET', 'a'],
        ['SET', 'a', '1'],
      ],
    },
    { kind: 'transaction', once, keepsReply: false, watches: [], calls: [['SET', 'a', '1']] },
  ]);
});

test('a payload of the release before names is read, and it has none', () => {
  const old = Buffer.from(encode([{ kind: 'command', once: null, args: ['SET', 'key', 'value'] }]));
  old[0] = 1;
  expect(decodeBatch(old).operations).toEqual([
    { kind: 'command', once: null, args: ['SET', 'key', 'value'] },
  ]);
  const named = Buffer.from(
    encode([{ kind: 'command', once: { kind: 'key', key: 'k', fingerprint: 'f' }, args: ['SET', 'a', 'b'] }]),
  );
  named[0] = 1;
  expect(() => decodeBatch(named)).toThrow(FormatError);
});

test('a payload cut off anywhere, or with a byte too many, is refused with an offset', () => {
  const whole = encode([
    { kind: 'command', once: null, args: ['SET', 'key', 'value'] },
    {
      kind: 'transaction',
      once: null,
      keepsReply: false,
      watches: [{ key: 'w', version: 300 }],
      calls: [['DEL', 'a', 'b']],
    },
    { kind: 'expire', keys: ['gone', 'too'] },
    { kind: 'put', key: 'big', value: packed('text'.repeat(100)), expiresAt: 7 },
  ]);
  for (let length = 0; length < whole.length; length++)
    expect(() => decodeBatch(whole.subarray(0, length)), `cut at ${length}`).toThrow(FormatError);
  expect(() => decodeBatch(Buffer.concat([whole, Buffer.from([0])]))).toThrow(/bytes too many at offset/);
});

test('damaged payloads give a FormatError or another batch, never anything else', () => {
  const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 4 }), damage, (operations, bytes) => {
      const payload = Buffer.from(encode(operations));
      for (const { at, byte } of bytes) payload[at % payload.length] = byte;
      try {
        expect(decodeBatch(payload).operations.length).toBeLessThanOrEqual(payload.length);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        expect((error as FormatError).offset).toBeLessThanOrEqual(payload.length);
      }
    }),
    { numRuns: 2000 },
  );
});

test('random bytes are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      bytes[0] = 2;
      expect(() => decodeBatch(bytes)).toThrow(FormatError);
    }),
  );
});
