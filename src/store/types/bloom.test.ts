/** Bloom filters: the sizes and hits of RedisBloom's own tests, errors, snapshots, dumps and damage. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../bytes.ts';
import { Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';
import { BloomFilter } from './bloom.ts';

function reserved(error: number, capacity: number, expansion: number | null = 2): BloomFilter {
  const filter = new BloomFilter();
  expect(filter.reserve({ error, capacity, expansion })).toBe(true);
  return filter;
}

/** Adds numbers from 0 as RedisBloom does, those left out that it takes for known. */
function fill(filter: BloomFilter, count: number): void {
  for (let at = 0; at < count; at++) if (!filter.has(String(at))) filter.add(String(at));
}

describe('as in RedisBloom', () => {
  test('sizes, and which of the numbers from 0 it takes for known', () => {
    const small = reserved(0.01, 10);
    fill(small, 100);
    expect(small.size).toBe(99);
    expect(small.details).toEqual([
      { bytes: 16, hashes: 8, capacity: 10, size: 10 },
      { bytes: 32, hashes: 9, capacity: 20, size: 20 },
      { bytes: 72, hashes: 10, capacity: 40, size: 40 },
      { bytes: 160, hashes: 11, capacity: 80, size: 29 },
    ]);
    const exact = reserved(0.001, 100);
    fill(exact, 4000);
    expect(exact.size).toBe(3997);
    expect(exact.details).toEqual([
      { bytes: 200, hashes: 11, capacity: 100, size: 100 },
      { bytes: 432, hashes: 12, capacity: 200, size: 200 },
      { bytes: 936, hashes: 13, capacity: 400, size: 400 },
      { bytes: 2016, hashes: 14, capacity: 800, size: 800 },
      { bytes: 4320, hashes: 15, capacity: 1600, size: 1600 },
      { bytes: 9216, hashes: 16, capacity: 3200, size: 897 },
    ]);
  });

  test.each([
    [1, 23],
    [2, 5],
    [4, 4],
  ])('growing %d times makes %d filters of 100 items', (expansion, filters) => {
    const filter = reserved(0.01, 4, expansion);
    fill(filter, 100);
    expect(filter.filters).toBe(filters);
  });

  test('what BF.INFO calls the size', () => {
    expect(reserved(0.001, 100).reportedBytes).toBe(296);
    expect(reserved(0.000001, 300_000_000).reportedBytes).toBe(1_132_420_232);
    expect(reserved(0.001, 50_000).details[0]).toEqual({
      bytes: 98_880,
      hashes: 11,
      capacity: 50_000,
      size: 0,
    });
    expect(reserved(0.01, 3, null).reportedBytes).toBe(104);
    for (const [error, capacity] of [
      [0.99, 3],
      [0.95, 8],
      [0.9999999999999999, 100],
    ] as const) {
      const filter = reserved(error, capacity, null);
      filter.add('1');
      expect(filter.has('1')).toBe(true);
    }
  });
});

test.each([0.1, 0.01, 0.001])('of items that were never added it knows no more than %d', (error) => {
  for (const capacity of [50, 20_000]) {
    const filter = reserved(error, capacity);
    fill(filter, 20_000);
    for (let at = 0; at < 20_000; at++) if (!filter.has(String(at))) throw new Error(`${at} was added`);
    let known = 0;
    for (let at = 0; at < 100_000; at++) if (filter.has(`other ${at}`)) known++;
    // In the first, tiny arrays the places of an item depend on each other.
    expect(known / 100_000).toBeLessThan(error * (capacity === 50 ? 2 : 1));
  }
});

describe('the commands', () => {
  test('tell what is new, and stop where a filter that does not grow is full', () => {
    const harness = new Harness();
    expect(harness.run('BF.ADD', 'key', 'a')).toBe(true);
    expect(harness.run('BF.ADD', 'key', 'a')).toBe(false);
    expect(harness.run('BF.MADD', 'key', 'a', 'b', 'b')).toEqual([false, true, false]);
    expect(harness.run('BF.MEXISTS', 'key', 'a', 'c')).toEqual([true, false]);
    expect(harness.run('BF.CARD', 'key')).toBe(2);
    expect(harness.run('TYPE', 'key')).toBe('MBbloom--');
    expect(harness.run('BF.INFO', 'key')).toEqual([
      'Capacity',
      100,
      'Size',
      240,
      'Number of filters',
      1,
      'Number of items inserted',
      2,
      'Expansion rate',
      2,
    ]);
    expect(harness.run('BF.INSERT', 'fixed', 'CAPACITY', '3', 'NONSCALING', 'ITEMS', 'a', 'b', 'c')).toEqual([
      true,
      true,
      true,
    ]);
    const full = new Error('ERR non scaling filter is full');
    expect(harness.run('BF.INSERT', 'fixed', 'ITEMS', 'a', 'b', 'd', 'c', 'e')).toEqual([false, false, full]);
    const version = harness.store.version('fixed');
    expect(harness.run('BF.ADD', 'fixed', 'd')).toEqual(full);
    expect(harness.store.version('fixed')).toBe(version);
    expect(harness.run('BF.INFO', 'fixed', 'expansion')).toEqual([null]);
    expect(harness.run('BF.EXISTS', 'missing', 'a')).toBe(false);
    expect(harness.run('BF.CARD', 'missing')).toBe(0);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test.each<[string[], string]>([
    [['BF.RESERVE', 'new', '0', '10'], 'ERR (0 < error rate range < 1)'],
    [['BF.RESERVE', 'new', '1', '10'], 'ERR (0 < error rate range < 1)'],
    [['BF.RESERVE', 'new', 'x', '10'], 'ERR bad error rate'],
    [['BF.RESERVE', 'new', 'nan', '10'], 'ERR bad error rate'],
    [['BF.RESERVE', 'new', '0.1', 'x'], 'ERR bad capacity'],
    [['BF.RESERVE', 'new', '0.1', '0'], 'ERR (capacity should be larger than 0)'],
    [['BF.RESERVE', 'new', '0.1', '9', 'EXPANSION'], 'ERR no expansion'],
    [['BF.RESERVE', 'new', '0.1', '9', 'EXPANSION', '0'], 'ERR bad expansion'],
    [
      ['BF.RESERVE', 'new', '0.1', '9', 'EXPANSION', '2', 'NONSCALING'],
      'ERR Nonscaling filters cannot expand',
    ],
    [['BF.RESERVE', 'new', '0.1', '9', 'nonsense'], 'ERR Unknown argument received'],
    [['BF.RESERVE', 'new', '0.1', '9223372036854775807'], 'ERR could not create filter'],
    [['BF.RESERVE', 'filter', '0.1', '9'], 'ERR item exists'],
    [
      ['BF.RESERVE', 'string', '0.1', '9'],
      'WRONGTYPE Operation against a key holding the wrong kind of value',
    ],
    [['BF.INSERT', 'new', 'NOCREATE', 'ITEMS', 'a'], 'ERR not found'],
    [['BF.INSERT', 'new', 'NOCREATE', 'ITEMS'], "ERR wrong number of arguments for 'bf.insert' command"],
    [['BF.INSERT', 'new', 'ERROR', 'big', 'ITEMS', 'a'], 'ERR bad error rate'],
    [['BF.INSERT', 'new', 'EXPANSION', '0', 'ITEMS', 'a'], 'ERR bad expansion'],
    [['BF.INSERT', 'new', 'NONSENSE', 'ITEMS', 'a'], 'ERR Unknown argument received'],
    [['BF.ADD', 'string', 'a'], 'WRONGTYPE Operation against a key holding the wrong kind of value'],
    [['BF.CARD', 'string'], 'WRONGTYPE Operation against a key holding the wrong kind of value'],
    [['BF.INFO', 'new'], 'ERR not found'],
    [['BF.INFO', 'filter', 'nonsense'], 'ERR Invalid information value'],
    [['BF.SCANDUMP', 'new', '0'], 'ERR not found'],
    [['BF.SCANDUMP', 'filter', 'x'], 'ERR Second argument must be numeric'],
    [['BF.LOADCHUNK', 'new', '1', 'nonsense'], 'ERR received bad data'],
    [['BF.LOADCHUNK', 'new', '2', ''], 'ERR not found'],
    [['BF.LOADCHUNK', 'filter', '-9223372036854775808', '1'], 'ERR received bad data'],
    [['BF.LOADCHUNK', 'filter', '922337203685477588', '1'], 'ERR invalid offset - no link found'],
    [['BF.LOADCHUNK', 'filter', '400', 'x'.repeat(399)], 'ERR invalid chunk - Too big for current filter'],
  ])('%j', (args, error) => {
    const harness = new Harness();
    harness.run('SET', 'string', 'x');
    harness.run('BF.ADD', 'filter', 'x');
    const before = harness.store.digest();
    expect(harness.run(...args)).toEqual(new Error(error));
    expect(harness.store.digest()).toBe(before);
  });
});

describe('copies', () => {
  test('a snapshot has the moment at which it was begun', () => {
    const harness = new Harness();
    harness.run('BF.RESERVE', 'empty', '0.001', '1000000');
    harness.run('BF.RESERVE', 'key', '0.01', '500');
    const items = Array.from({ length: 4000 }, (_, at) => `item ${at}`);
    harness.run('BF.MADD', 'key', ...items.slice(0, 2000));
    const before = harness.store.digest();
    const encoder = harness.store.startSnapshot();
    const blocks: Uint8Array[] = [];
    let at = 2000;
    for (let block = encoder.next(300); block !== null; block = encoder.next(300)) {
      blocks.push(block);
      harness.run('BF.ADD', 'key', items[at++ % 4000]!);
      harness.run('BF.ADD', 'empty', 'x');
    }
    expect(restored(blocks).digest()).toBe(before);
    const copy = restored(snapshotOf(harness.store));
    expect(copy.digest()).toBe(harness.store.digest());
    expect(copy.bytes).toBe(harness.store.bytes);
    expect(harness.follower().digest()).toBe(harness.store.digest());
    harness.run('BF.MADD', 'key', ...items);
    copy.applyBatch(harness.store.appliedIndex, harness.payloads.at(-1)!);
    expect(copy.digest()).toBe(harness.store.digest());
  });

  test('a dump brings back the same filter', () => {
    const harness = new Harness();
    harness.run('BF.RESERVE', 'key', '0.01', '60');
    const items = Array.from({ length: 500 }, (_, at) => String(at));
    harness.run('BF.MADD', 'key', ...items);
    for (let iterator: Reply = 0; ; ) {
      const [next, bytes] = harness.run('BF.SCANDUMP', 'key', String(iterator)) as [number, string];
      if (next === 0) break;
      expect(harness.run('BF.LOADCHUNK', 'copy', String(next), bytes)).toBe('OK');
      iterator = next;
    }
    expect(harness.run('BF.INFO', 'copy')).toEqual(harness.run('BF.INFO', 'key'));
    expect(harness.run('BF.MEXISTS', 'copy', ...items)).toEqual(harness.run('BF.MEXISTS', 'key', ...items));
    for (const iterator of ['-5', '1', '777', '100000000'])
      expect(harness.run('BF.SCANDUMP', 'copy', iterator)).toEqual(
        harness.run('BF.SCANDUMP', 'key', iterator),
      );
  });

  test('a header that was tampered with makes no filter that could not be', () => {
    const header = reserved(0.01, 60).header();
    fc.assert(
      fc.property(
        fc.nat(header.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.boolean(),
        (at, byte, cut) => {
          const damaged = Buffer.from(header);
          damaged[at] = byte;
          const filter = new BloomFilter();
          if (!filter.loadHeader(cut ? damaged.subarray(0, at) : damaged)) return;
          expect(filter.capacity).toBeGreaterThan(0);
          if (filter.room === 'free' && !filter.has('item')) filter.add('item');
          expect(filter.header().length).toBeGreaterThanOrEqual(header.length);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a damaged snapshot is refused, or says something that can be', () => {
    const harness = new Harness();
    harness.run('BF.RESERVE', 'key', '0.1', '20');
    harness.run('BF.MADD', 'key', ...Array.from({ length: 60 }, (_, at) => `item ${at}`));
    const [block] = snapshotOf(harness.store, 1 << 20);
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: block!.length - 1 }),
        fc.integer({ min: 0, max: 255 }),
        (at, byte) => {
          const damaged = Buffer.from(block!);
          damaged[at] = byte;
          try {
            restored([damaged]);
            expect(damaged.equals(block!)).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
