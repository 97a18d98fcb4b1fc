import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { CommonSubsequence, isTooLongForTable } from './common-subsequence.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\xff'), maxLength: 40 });

/** The length by the definition, without a table of what was found already. */
function lengthOf(one: string, other: string, known = new Map<string, number>()): number {
  if (one === '' || other === '') return 0;
  const key = `${one.length},${other.length}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const rest = [one.slice(1), other.slice(1)] as const;
  const length =
    one[0] === other[0]
      ? 1 + lengthOf(...rest, known)
      : Math.max(lengthOf(rest[0], other, known), lengthOf(one, rest[1], known));
  known.set(key, length);
  return length;
}

test('what is found is in both, in order, is the longest, and its pieces make it up', () => {
  fc.assert(
    fc.property(text, text, (one, other) => {
      const common = new CommonSubsequence(one, other);
      expect(common.length).toBe(lengthOf(one, other));
      expect(common.text()).toHaveLength(common.length);
      const ranges = common.ranges().toReversed();
      const piece = (whole: string, [start, end]: readonly [number, number]): string =>
        whole.slice(start, end + 1);
      expect(ranges.map(({ first }) => piece(one, first)).join('')).toBe(common.text());
      expect(ranges.map(({ second }) => piece(other, second)).join('')).toBe(common.text());
      for (const [at, { first, second }] of ranges.entries()) {
        const before = ranges[at - 1];
        if (before === undefined) continue;
        expect(first[0]).toBeGreaterThan(before.first[1]);
        expect(second[0]).toBeGreaterThan(before.second[1]);
        // As long as they can be: neighbours in both strings are one piece.
        expect(first[0] - before.first[1] + (second[0] - before.second[1])).toBeGreaterThan(2);
      }
    }),
  );
});

test('of several longest ones the one that Redis finds', () => {
  const common = new CommonSubsequence('ohmytext', 'mynewtext');
  expect(common.text()).toBe('mytext');
  expect(common.ranges()).toEqual([
    { first: [4, 7], second: [5, 8] },
    { first: [2, 3], second: [0, 1] },
  ]);
  expect(new CommonSubsequence('ab', 'ba').text()).toBe('b');
});

test('a table that Redis would refuse is not made', () => {
  const lines = 'x'.repeat(11_585);
  expect(isTooLongForTable(lines.slice(1), lines.slice(1))).toBe(false);
  expect(isTooLongForTable(lines, lines)).toBe(true);
  expect(isTooLongForTable('', 'x'.repeat(2 ** 27 - 1))).toBe(false);
});
