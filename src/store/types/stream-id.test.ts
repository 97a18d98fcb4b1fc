import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  distances,
  formatId,
  hasLastSequence,
  idOf,
  MAX_ID,
  nextId,
  parseGivenId,
  parseId,
  previousId,
  sameMilliseconds,
  ZERO_ID,
} from './stream-id.ts';

const LAST = 2n ** 64n - 1n;
/** All sizes are as likely as any other, and the edges of 32, 53 and 64 bits come often. */
const number64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 20n }),
  fc.bigInt({ min: 0n, max: LAST }),
  fc
    .tuple(fc.constantFrom(2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n), fc.integer({ min: -2, max: 2 }))
    .map(([edge, by]) => {
      const value = edge + BigInt(by);
      return value > LAST ? LAST : value;
    }),
);
const pair = fc.tuple(number64, number64);

const narrow = (value: bigint): number | bigint =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

test('ids are written and read exactly, and compared as strings they are in order', () => {
  fc.assert(
    fc.property(pair, pair, ([ms, seq], [otherMs, otherSeq]) => {
      const id = idOf(narrow(ms), narrow(seq));
      const other = idOf(otherMs, otherSeq);
      expect(id).toHaveLength(16);
      expect(idOf(ms, seq)).toBe(id);
      expect(formatId(id)).toBe(`${ms}-${seq}`);
      expect(parseId(`${ms}-${seq}`)).toBe(id);
      expect(parseId(String(ms))).toBe(idOf(ms, 0));
      expect(parseId(String(ms), 'highest')).toBe(idOf(ms, LAST));
      expect(id < other).toBe(ms < otherMs || (ms === otherMs && seq < otherSeq));
      expect(sameMilliseconds(id, other)).toBe(ms === otherMs);
      expect(hasLastSequence(id)).toBe(seq === LAST);
    }),
  );
});

test('each id has a next and a previous one, but for the last and the first', () => {
  fc.assert(
    fc.property(pair, ([ms, seq]) => {
      const id = idOf(ms, seq);
      const value = (ms << 64n) | seq;
      const idAt = (at: bigint): string => idOf(at >> 64n, at & LAST);
      const next = nextId(id);
      expect(next).toBe(value === (1n << 128n) - 1n ? undefined : idAt(value + 1n));
      expect(previousId(id)).toBe(value === 0n ? undefined : idAt(value - 1n));
    }),
  );
  expect(nextId(MAX_ID)).toBeUndefined();
  expect(previousId(ZERO_ID)).toBeUndefined();
});

test('distances wrap around at 64 bits; far ones are only known to be far', () => {
  fc.assert(
    fc.property(pair, pair, ([ms, seq], [baseMs, baseSeq]) => {
      const expected = [BigInt.asIntN(64, ms - baseMs), BigInt.asIntN(64, seq - baseSeq)].map(Number);
      distances(idOf(ms, seq), idOf(baseMs, baseSeq)).forEach((distance, at) => {
        const exact = expected[at] ?? 0;
        if (Math.abs(exact) < 2 ** 52) expect(distance).toBe(exact);
        else expect(Math.abs(distance)).toBeGreaterThan(2 ** 51);
      });
    }),
  );
});

describe('what clients write', () => {
  test.each([
    ['1-1', '1-1'],
    ['7', '7-0'],
    [' 1-\t2', '1-2'],
    ['+1-+2', '1-2'],
    ['007-01', '7-1'],
    // C's strtoull lets what is below 0 wrap around; Redis sees to it only where the number is canonical.
    ['1--0', '1-0'],
    ['1- -3', '1-18446744073709551613'],
    ['1--03', '1-18446744073709551613'],
    ['1--9223372036854775809', '1-9223372036854775807'],
    // A zero byte ends it.
    ['1\x00-9', '1-0'],
    [`${'0'.repeat(126)}1`, '1-0'],
  ])('%j is the id %s', (text, id) => {
    expect(formatId(parseId(text) ?? '')).toBe(id);
  });

  test.each([
    '',
    '-',
    '+',
    '*',
    '$',
    '-1',
    '1-',
    '1-x',
    '1-1-1',
    '1--3',
    '1 -1',
    '1-1 ',
    '1.5',
    '1-*',
    '18446744073709551616',
    '1-18446744073709551616',
    '1--9223372036854775808',
    `${'0'.repeat(127)}1`,
  ])('%j is none', (text) => {
    expect(parseId(text)).toBeUndefined();
  });

  test('the sequence may be left to the stream', () => {
    expect(parseGivenId('5-*')).toEqual({ id: idOf(5, 0), anySequence: true });
    expect(parseGivenId('5-7')).toEqual({ id: idOf(5, 7), anySequence: false });
    for (const text of ['*', '-*', '5-**', '5-1-*', 'x-*']) expect(parseGivenId(text)).toBeUndefined();
  });
});
