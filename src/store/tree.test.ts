import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Tree } from './tree.ts';

const numbers = (): Tree<number> => new Tree((a, b) => a - b);

/** The same steps on a tree and on an array. */
const steps = fc.array(
  fc.record({
    what: fc.constantFrom('insert', 'insert', 'push', 'unshift', 'delete', 'deleteRange', 'replace', 'fork'),
    where: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    /** How much of the rest a range takes: mostly little, so that something is left. */
    part: fc.oneof(fc.double({ min: 0, max: 0.1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
  }),
  { maxLength: 400, size: 'max' },
);

test('by position it is an array, and a fork is left alone', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 3000 }), (history, initial) => {
      const tree = new Tree<number>();
      const array: number[] = [];
      for (let at = 0; at < initial; at++) {
        tree.push(at);
        array.push(at);
      }
      let next = initial;
      const forks: { tree: Tree<number>; array: number[] }[] = [];
      for (const { what, where, part } of history) {
        const at = Math.floor(where * array.length);
        next++;
        if (what === 'insert') {
          tree.insertAt(at, next);
          array.splice(at, 0, next);
        } else if (what === 'push') {
          tree.push(next);
          array.push(next);
        } else if (what === 'unshift') {
          tree.insertAt(0, next);
          array.unshift(next);
        } else if (what === 'deleteRange') {
          const length = Math.floor(part * (array.length - at));
          tree.deleteRange(at, at + length);
          array.splice(at, length);
        } else if (what === 'fork') forks.push({ tree: tree.fork(), array: array.slice() });
        else if (array.length > 0 && what === 'delete') {
          expect(tree.deleteAt(at)).toBe(array.splice(at, 1)[0]);
        } else if (array.length > 0) {
          tree.replaceAt(at, next);
          array[at] = next;
        }
        expect(tree.size).toBe(array.length);
        expect(tree.at(at)).toBe(array[at]);
      }
      for (const { tree: one, array: other } of [{ tree, array }, ...forks]) {
        expect(one.slice()).toEqual(other);
        const [from, to] = [Math.floor(other.length / 3), Math.floor((2 * other.length) / 3)];
        expect(one.slice(from, to)).toEqual(other.slice(from, to));
        const backwards: number[] = [];
        one.visitBackwards(from, to, (element) => void backwards.push(element));
        expect(backwards).toEqual(other.slice(from, to).reverse());
      }
    }),
    { numRuns: 60 },
  );
});

test('by order it is a sorted set', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 2000 })), { maxLength: 4000, size: 'max' }),
      (history) => {
        const tree = numbers();
        const set = new Set<number>();
        for (const [puts, value] of history) {
          if (puts) expect(tree.put(value)).toBe(set.has(value) ? value : undefined);
          else expect(tree.delete(value)).toBe(set.has(value) ? value : undefined);
          if (puts) set.add(value);
          else set.delete(value);
        }
        const sorted = [...set].sort((a, b) => a - b);
        expect(tree.slice()).toEqual(sorted);
        for (const probe of [0, 7, 500, 1999, 3000]) {
          const before = sorted.filter((value) => value < probe).length;
          expect(tree.rank(probe)).toBe(before);
          expect(tree.countBefore((value) => value >= probe)).toBe(before);
          expect(tree.get(probe)).toBe(set.has(probe) ? probe : undefined);
        }
      },
    ),
    { numRuns: 30 },
  );
});

describe('what grows at one end', () => {
  test.each(['push', 'unshift'] as const)('%s and take away until nothing is left', (end) => {
    const tree = new Tree<number>();
    for (let at = 0; at < 20_000; at++) tree.insertAt(end === 'push' ? tree.size : 0, at);
    expect(tree.at(end === 'push' ? 12_345 : 19_999 - 12_345)).toBe(12_345);
    for (let at = 0; at < 20_000; at++) expect(tree.deleteAt(end === 'push' ? 0 : tree.size - 1)).toBe(at);
    expect([tree.size, tree.slice(), tree.at(0)]).toEqual([0, [], undefined]);
  });
});

test('a visit ends when it is told so', () => {
  const tree = numbers();
  for (let at = 0; at < 1000; at++) tree.push(at);
  const seen: number[] = [];
  tree.visit(100, 1000, (element) => seen.push(element) < 3);
  tree.visitBackwards(100, 1000, (element) => seen.push(element) < 6);
  expect(seen).toEqual([100, 101, 102, 999, 998, 997]);
});

test('ranges of every size are taken out of trees of every size', () => {
  for (const size of [1, 63, 64, 65, 1000, 5000]) {
    for (const [from, to] of [
      [0, size],
      [0, size >> 1],
      [size >> 1, size],
      [size >> 2, size - (size >> 2)],
      [size >> 1, size >> 1],
      [1, size],
      [0, size - 1],
    ] as const) {
      if (from > to) continue;
      const tree = numbers();
      const array = Array.from({ length: size }, (_, at) => at);
      for (const element of array) tree.push(element);
      const fork = tree.fork();
      tree.deleteRange(from, to);
      const rest = array.toSpliced(from, to - from);
      expect(tree.slice()).toEqual(rest);
      for (const element of array) tree.put(element);
      expect(tree.slice()).toEqual(array);
      expect(fork.slice()).toEqual(array);
    }
  }
});

test.each([
  ['emptied', (at: number): boolean => at < 64 || (at >= 192 && at < 320) || at >= 8192],
  ['put together', (at: number): boolean => at % 10 === 3],
])('a search finds its way after leaves and branches were %s', (_what, stays) => {
  const tree = numbers();
  for (let at = 0; at < 10_000; at++) tree.push(at);
  for (let at = 9_999; at >= 0; at--) if (!stays(at)) expect(tree.delete(at)).toBe(at);
  const rest = Array.from({ length: 10_000 }, (_, at) => at).filter(stays);
  expect(tree.slice()).toEqual(rest);
  for (const [rank, element] of rest.entries()) {
    expect(tree.get(element)).toBe(element);
    expect(tree.rank(element)).toBe(rank);
  }
  for (let at = 0; at < 10_000; at++) tree.put(at);
  expect(tree.slice()).toEqual(Array.from({ length: 10_000 }, (_, at) => at));
});
