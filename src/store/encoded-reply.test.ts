import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, FormatError } from './bytes.ts';
import { ReplyEncoder, writeEncodedReply } from './encoded-reply.ts';
import { noReply, type ReplyWriter } from './reply.ts';

/** Writes down the calls themselves. */
function logger(): { readonly calls: unknown[]; readonly reply: ReplyWriter } {
  const calls: unknown[] = [];
  const names = Object.keys(noReply) as (keyof ReplyWriter)[];
  const reply = Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => calls.push([name, ...args])]),
  ) as unknown as ReplyWriter;
  return { calls, reply };
}

type Write = (reply: ReplyWriter) => void;
const text = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const leaf: fc.Arbitrary<Write> = fc.oneof(
  fc.constant<Write>((reply) => reply.ok()),
  text.map(
    (value): Write =>
      (reply) =>
        reply.simple(value),
  ),
  text.map(
    (value): Write =>
      (reply) =>
        reply.error(value),
  ),
  fc.maxSafeInteger().map(
    (value): Write =>
      (reply) =>
        reply.integer(value),
  ),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }).map(
    (value): Write =>
      (reply) =>
        reply.integer(value),
  ),
  fc.option(text).map(
    (value): Write =>
      (reply) =>
        reply.bulk(value),
  ),
  fc.double().map(
    (value): Write =>
      (reply) =>
        reply.double(value),
  ),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(
    (value): Write =>
      (reply) =>
        reply.double(Number(value.toFixed(5)), value.toFixed(5)),
  ),
  fc.boolean().map(
    (value): Write =>
      (reply) =>
        reply.boolean(value),
  ),
  fc.constant<Write>((reply) => reply.nullArray()),
  text.map(
    (value): Write =>
      (reply) =>
        reply.verbatim('txt', value),
  ),
  text.map(
    (value): Write =>
      (reply) =>
        reply.bigNumber(value),
  ),
);
const { tree } = fc.letrec<{ tree: Write }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.array(tie('tree'), { maxLength: 4 }).map(
      (items): Write =>
        (reply) => {
          reply.array(items.length);
          for (const item of items) item(reply);
        },
    ),
    fc.array(tie('tree'), { maxLength: 4 }).map(
      (items): Write =>
        (reply) => {
          reply.set(items.length);
          for (const item of items) item(reply);
        },
    ),
    fc.array(fc.tuple(tie('tree'), tie('tree')), { maxLength: 3 }).map(
      (pairs): Write =>
        (reply) => {
          reply.map(pairs.length);
          for (const item of pairs.flat()) item(reply);
        },
    ),
  ),
}));

test('what is written again are the same calls, and they were passed on the first time', () => {
  fc.assert(
    fc.property(fc.array(tree, { minLength: 1, maxLength: 3 }), (replies) => {
      const first = logger();
      const encoder = new ReplyEncoder(first.reply, 1_000_000);
      for (const write of replies) write(encoder);
      const again = logger();
      const reader = new ByteReader(encoder.view());
      for (let left = replies.length; left > 0; left--) writeEncodedReply(reader, again.reply);
      expect(again.calls).toEqual(first.calls);
      expect(reader.remaining).toBe(0);
    }),
  );
});

test('beyond the limit replies are still passed on, and what is written down is not complete', () => {
  const { calls, reply } = logger();
  const encoder = new ReplyEncoder(reply, 100);
  encoder.array(2);
  encoder.bulk('x'.repeat(60));
  expect(encoder.overflowed).toBe(false);
  encoder.bulk('y'.repeat(60));
  encoder.ok();
  expect(encoder.overflowed).toBe(true);
  expect(calls).toEqual([['array', 2], ['bulk', 'x'.repeat(60)], ['bulk', 'y'.repeat(60)], ['ok']]);
  expect(encoder.length).toBeLessThanOrEqual(100);
});

test('damaged bytes give a FormatError or another reply, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const reader = new ByteReader(bytes);
      try {
        writeEncodedReply(reader, noReply);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }),
    { numRuns: 2000 },
  );
});
