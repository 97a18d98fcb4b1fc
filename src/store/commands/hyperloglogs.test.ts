/** What the comparison with Redis doesn't show of HyperLogLogs: hashes, errors of the estimate, reads, damage. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Murmur64 } from '../murmur.ts';
import { Harness, restored, snapshotOf } from '../testing/harness.ts';

/** MurmurHash64A as its author wrote it. */
function murmur(text: string, seed: bigint): bigint {
  const word = (value: bigint): bigint => BigInt.asUintN(64, value);
  const factor = 0xc6a4_a793_5bd1_e995n;
  const bytes = Buffer.from(text, 'latin1');
  let hash = word(seed ^ (BigInt(bytes.length) * factor));
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    let part = word(bytes.readBigUInt64LE(at) * factor);
    part = word((part ^ (part >> 47n)) * factor);
    hash = word((hash ^ part) * factor);
  }
  if (at < bytes.length) {
    for (let shift = 0n; at < bytes.length; shift += 8n) hash ^= BigInt(bytes[at++]!) << shift;
    hash = word(hash * factor);
  }
  hash = word((hash ^ (hash >> 47n)) * factor);
  return hash ^ (hash >> 47n);
}

test('the hash in halves is the hash in whole', () => {
  const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const text = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
  fc.assert(
    fc.property(text, seed, (element, key) => {
      const halves = new Murmur64();
      halves.hash(element, Number(key >> 32n) | 0, Number(key & 0xffff_ffffn));
      expect((BigInt(halves.high) << 32n) | BigInt(halves.low)).toBe(murmur(element, key));
    }),
    { numRuns: 2000 },
  );
});

function elements(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, at) => `element ${from + at}`);
}

describe('counting', () => {
  test('is near the truth from one element to half a million', () => {
    const harness = new Harness();
    let added = 0;
    for (const size of [1, 10, 100, 1000, 10_000, 100_000, 500_000]) {
      for (; added < size; added += Math.min(1000, size - added))
        harness.run('PFADD', 'key', ...elements(added, Math.min(size, added + 1000)));
      const count = Number(harness.run('PFCOUNT', 'key'));
      // The standard error is 0.81 %.
      expect(Math.abs(count - size)).toBeLessThanOrEqual(Math.ceil(size * 0.03));
    }
    expect(harness.run('PFADD', 'key', ...elements(0, 5000))).toBe(0);
  });

  test('a few elements fit in a few bytes, many in 12 KB', () => {
    const harness = new Harness();
    harness.run('PFADD', 'key', 'a');
    expect(harness.run('GET', 'key')).toBe('HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80q\xa6\x84NW');
    harness.run('PFADD', 'key', ...elements(0, 1000));
    expect(harness.run('STRLEN', 'key')).toBeLessThan(2200);
    harness.run('PFADD', 'key', ...elements(1000, 5000));
    expect(harness.run('STRLEN', 'key')).toBe(12_304);
    expect(harness.follower().digest()).toBe(harness.store.digest());
    expect(restored(snapshotOf(harness.store)).digest()).toBe(harness.store.digest());
  });

  test('is the same for a union, a merge, and all in one, dense or sparse', () => {
    const size = fc.constantFrom(0, 1, 50, 700, 4000);
    const sets = fc.array(fc.tuple(fc.nat(3000), size), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(sets, (ranges) => {
        const harness = new Harness();
        const keys = ranges.map(([from, count], at) => {
          if (count > 0) harness.run('PFADD', `key ${at}`, ...elements(from, from + count));
          harness.run('PFADD', 'all', ...elements(from, from + count));
          return `key ${at}`;
        });
        const count = harness.run('PFCOUNT', 'all');
        expect(harness.run('PFCOUNT', ...keys, 'missing')).toBe(count);
        expect(harness.run('PFMERGE', 'merged', ...keys, 'missing')).toBe('OK');
        expect(harness.run('PFCOUNT', 'merged')).toBe(count);
        expect(harness.run('PFCOUNT', 'merged', 'all')).toBe(count);
      }),
      { numRuns: 30 },
    );
  });

  test('a cardinality that Redis has put there is taken, and counting changes nothing', () => {
    const harness = new Harness();
    harness.run('SET', 'key', 'HYLL\x01\0\0\0\x07\0\0\0\0\0\0\0\x7f\xff');
    expect(harness.run('PFCOUNT', 'key')).toBe(7n);
    expect(harness.run('PFCOUNT', 'key', 'key')).toBe(0);
    harness.run('PFADD', 'key', 'element');
    const before = [harness.store.digest(), harness.run('GET', 'key'), harness.store.version('key')];
    expect(harness.run('PFCOUNT', 'key')).toBe(1);
    expect([harness.store.digest(), harness.run('GET', 'key'), harness.store.version('key')]).toEqual(before);
  });
});

describe('damage', () => {
  test('an addition that meets it changes nothing', () => {
    const harness = new Harness();
    // A hundred registers, and then nothing.
    harness.run('SET', 'key', `HYLL\x01${'\0'.repeat(11)}${'\0'.repeat(100)}`);
    const digest = harness.store.digest();
    expect(harness.run('PFADD', 'key', ...elements(0, 1000))).toEqual(
      new Error('INVALIDOBJ Corrupted HLL object detected'),
    );
    expect(harness.run('PFMERGE', 'key', 'key')).toEqual(
      new Error('INVALIDOBJ Corrupted HLL object detected'),
    );
    expect(harness.store.digest()).toBe(digest);
  });

  test('whatever follows the head of a sketch, there is an answer', () => {
    const opcodes = fc.array(
      fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 3 }), fc.constantFrom(1, 2, 100, 5000)),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(opcodes, fc.constantFrom('\0', '\x01', '\x01', '\x02'), (parts, encoding) => {
        const harness = new Harness();
        const registers = parts.map(([bytes, times]) => Buffer.from(bytes).toString('latin1').repeat(times));
        const damaged = `HYLL${encoding}${'\0'.repeat(10)}\x80${registers.join('')}`;
        harness.run('SET', 'key', damaged.slice(0, 12_304));
        for (const command of ['PFCOUNT', 'PFADD', 'PFMERGE'])
          for (const more of [[], ['a'], ['b', 'key', 'c', 'd']])
            expect(harness.run(command, 'key', ...more)).toBeDefined();
        expect(harness.follower().digest()).toBe(harness.store.digest());
      }),
      { numRuns: 300 },
    );
  });
});
