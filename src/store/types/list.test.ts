import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../bytes.ts';
import { COLLECTION_OVERHEAD_BYTES, ELEMENT_OVERHEAD_BYTES } from '../collection.ts';
import { List } from './list.ts';

const steps = fc.array(
  fc.record({
    what: fc.constantFrom('push', 'unshift', 'pop', 'take', 'insert', 'replace', 'range', 'remove', 'fork'),
    end: fc.constantFrom('head' as const, 'tail' as const),
    where: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    count: fc.nat(40),
    element: fc.constantFrom('a', 'b', 'c', 'somewhat longer'),
  }),
  { maxLength: 200 },
);

function elementsOf(list: List): string[] {
  const elements: string[] = [];
  list.visit(0, list.size, (element) => void elements.push(element));
  return elements;
}

test('it is an array that counts its bytes, and a fork is left alone', () => {
  fc.assert(
    fc.property(steps, fc.nat(400), (history, initial) => {
      let list = new List();
      const array: string[] = [];
      for (let at = 0; at < initial; at++) {
        list.push('tail', `${at % 7}`);
        array.push(`${at % 7}`);
      }
      const forks: { list: List; array: string[] }[] = [];
      for (const { what, end, where, count, element } of history) {
        const at = Math.floor(where * array.length);
        switch (what) {
          case 'push':
            list.push('tail', element);
            array.push(element);
            break;
          case 'unshift':
            list.push('head', element);
            array.unshift(element);
            break;
          case 'pop':
            expect(list.pop(end)).toBe(end === 'head' ? array.shift() : array.pop());
            break;
          case 'take': {
            const taken =
              end === 'head' ? array.splice(0, count) : array.splice(-count || array.length, count);
            expect(list.take(end, count)).toEqual(end === 'head' ? taken : taken.reverse());
            break;
          }
          case 'insert':
            list.insertAt(at, element);
            array.splice(at, 0, element);
            break;
          case 'replace':
            if (at < array.length) list.replaceAt(at, element);
            if (at < array.length) array[at] = element;
            break;
          case 'range':
            list.deleteRange(at, Math.min(at + count, array.length));
            array.splice(at, count);
            break;
          case 'remove': {
            const found = list.positionsOf(element, {
              from: end,
              skipped: 0,
              max: 1 + count,
              depth: Infinity,
            });
            list.deleteAll(end === 'head' ? found : found.toReversed());
            const ordered = end === 'head' ? array : array.toReversed();
            let left = 1 + count;
            const kept = ordered.filter((one) => one !== element || left-- <= 0);
            array.splice(0, array.length, ...(end === 'head' ? kept : kept.reverse()));
            break;
          }
          default:
            // The fork goes on, and the one that it was made from must stay what it was.
            forks.push({ list, array: array.slice() });
            list = list.fork();
        }
        expect(list.size).toBe(array.length);
      }
      for (const one of [{ list, array }, ...forks]) {
        expect(elementsOf(one.list)).toEqual(one.array);
        const characters = one.array.join('').length;
        expect(one.list.bytes).toBe(
          COLLECTION_OVERHEAD_BYTES + one.array.length * ELEMENT_OVERHEAD_BYTES + characters,
        );
      }
    }),
    { numRuns: 100 },
  );
});

test('positions of an element: from either end, some skipped, so many, so deep', () => {
  const list = new List();
  for (const element of 'abcabcabc') list.push('tail', element);
  const all = { from: 'head', skipped: 0, max: Infinity, depth: Infinity } as const;
  expect(list.positionsOf('a', all)).toEqual([0, 3, 6]);
  expect(list.positionsOf('a', { ...all, from: 'tail' })).toEqual([6, 3, 0]);
  expect(list.positionsOf('a', { ...all, skipped: 1 })).toEqual([3, 6]);
  expect(list.positionsOf('a', { ...all, from: 'tail', skipped: 1, max: 1 })).toEqual([3]);
  expect(list.positionsOf('a', { ...all, depth: 6 })).toEqual([0, 3]);
  expect(list.positionsOf('a', { ...all, from: 'tail', depth: 3 })).toEqual([6]);
  expect(list.positionsOf('a', { ...all, from: 'tail', depth: 2 })).toEqual([]);
});

test('written in parts it comes back', () => {
  const list = new List();
  for (let at = 0; at < 1000; at++) list.push('tail', `element ${at}`);
  const copy = new List();
  const writer = new ByteWriter(64);
  let parts = 0;
  for (let cursor: number | null = 0; cursor !== null; parts++) {
    writer.truncate(0);
    cursor = list.encode(cursor, writer, 256);
    expect(writer.length).toBeLessThan(300);
    copy.decode(new ByteReader(writer.view()));
  }
  expect(parts).toBeGreaterThan(10);
  expect(elementsOf(copy)).toEqual(elementsOf(list));
  expect(copy.bytes).toBe(list.bytes);
});
