/** What the comparison with Redis can't show of hashes: snapshots, followers, sizes, damaged bytes, large ones. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';
import { Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';
import { Hash } from '../types/hash.ts';

/** Field and value, field and value, … as a map. */
function mapOf(reply: Reply): Map<string, string> {
  const map = new Map<string, string>();
  const texts = reply as string[];
  for (let at = 0; at < texts.length; at += 2) map.set(texts[at]!, texts[at + 1]!);
  return map;
}

function fill(harness: Harness, key: string, count: number): void {
  for (let at = 0; at < count; at++) harness.run('HSET', key, `field ${at}`, `value ${at}`);
}

test('a hash is a map, small or large, on the leader, on a follower and out of a snapshot', () => {
  const step = fc.tuple(
    fc.constantFrom('HSET', 'HSET', 'HSETNX', 'HDEL', 'HINCRBY', 'COPY', 'long'),
    fc.nat(40),
    fc.nat(1000),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
      const harness = new Harness();
      const model = new Map<string, string>();
      for (const [what, number, value] of steps) {
        const field = `f${number}`;
        const there = model.get(field);
        if (what === 'COPY') harness.run('COPY', 'hash', `copy ${number % 3}`, 'REPLACE');
        else if (what === 'HDEL') {
          expect(harness.run('HDEL', 'hash', field)).toBe(model.delete(field) ? 1 : 0);
        } else if (what === 'HSET') {
          expect(harness.run('HSET', 'hash', field, String(value))).toBe(there === undefined ? 1 : 0);
          model.set(field, String(value));
        } else if (what === 'HSETNX') {
          expect(harness.run('HSETNX', 'hash', field, String(value))).toBe(there === undefined ? 1 : 0);
          model.set(field, there ?? String(value));
        } else if (what === 'HINCRBY') {
          const sum = Number(there ?? 0) + value;
          expect(harness.run('HINCRBY', 'hash', field, String(value))).toBe(sum);
          model.set(field, String(sum));
        } else {
          harness.run('HSET', 'hash', 'long', 'v'.repeat(65));
          model.set('long', '0');
          harness.run('HSET', 'hash', 'long', '0');
        }
        expect(harness.run('HLEN', 'hash')).toBe(model.size);
      }
      expect(mapOf(harness.run('HGETALL', 'hash'))).toEqual(model);
      const { store } = harness;
      expect(harness.follower().digest()).toBe(store.digest());
      const copy = restored(snapshotOf(store, 100));
      expect(copy.digest()).toBe(store.digest());
      expect(copy.bytes, 'counted along the way as counted anew').toBe(store.bytes);
    }),
    { numRuns: 60 },
  );
});

test('a small hash keeps the order of arrival, also where a value is replaced', () => {
  const harness = new Harness();
  harness.run('HSET', 'hash', 'c', '1', 'a', '2', 'b', '3');
  harness.run('HSET', 'hash', 'c', '4');
  expect(harness.run('HGETALL', 'hash')).toEqual(['c', '4', 'a', '2', 'b', '3']);
});

test('an empty hash is no key', () => {
  const harness = new Harness();
  harness.run('HSET', 'hash', 'a', '1', 'b', '2');
  expect(harness.run('HDEL', 'hash', 'a', 'x', 'b', 'a')).toBe(2);
  expect(harness.run('EXISTS', 'hash')).toBe(0);
  expect(harness.store.bytes).toBe(0);
});

test('what changes nothing leaves the version: a watching transaction runs', () => {
  const harness = new Harness();
  harness.run('HSET', 'hash', 'a', 'text');
  const version = harness.store.version('hash');
  harness.run('HDEL', 'hash', 'x');
  harness.run('HSETNX', 'hash', 'a', '2');
  harness.run('HINCRBY', 'hash', 'a', '1');
  harness.run('HINCRBYFLOAT', 'hash', 'a', '1');
  expect(harness.store.version('hash')).toBe(version);
  harness.run('HSET', 'hash', 'a', 'text');
  expect(harness.store.version('hash')).not.toBe(version);
});

test('a snapshot keeps a hash that was large as large: its order is another one', () => {
  const harness = new Harness();
  fill(harness, 'hash', 600);
  for (let at = 3; at < 600; at++) harness.run('HDEL', 'hash', `field ${at}`);
  const copy = restored(snapshotOf(harness.store));
  expect(copy.digest()).toBe(harness.store.digest());
});

describe('HRANDFIELD', () => {
  test('reaches every field; different ones are different, as many as there are', () => {
    for (const size of [5, 100, 700]) {
      const harness = new Harness();
      fill(harness, 'hash', size);
      const seen = new Set<Reply>();
      for (let left = 12 * size; left > 0; left--) seen.add(harness.run('HRANDFIELD', 'hash'));
      expect(seen.size).toBe(size);
      for (const count of [0, 1, size >> 3, size >> 1, size - 1, size, size + 1]) {
        const fields = harness.run('HRANDFIELD', 'hash', String(count)) as string[];
        expect(new Set(fields).size).toBe(Math.min(count, size));
        expect(fields.length).toBe(Math.min(count, size));
      }
      expect(harness.run('HRANDFIELD', 'hash', '-20')).toHaveLength(20);
    }
  });

  test('the values are those of the fields', () => {
    const harness = new Harness();
    fill(harness, 'hash', 20);
    // Pairs are arrays to the recorder, as in RESP3.
    const pairs = harness.run('HRANDFIELD', 'hash', '10', 'WITHVALUES') as [string, string][];
    for (const [field, value] of pairs) expect(value).toBe(field.replace('field', 'value'));
  });

  test('refuses to send more than anybody can take', () => {
    const harness = new Harness();
    fill(harness, 'hash', 2);
    expect(harness.run('HRANDFIELD', 'hash', '-1000000000')).toEqual(new Error('ERR value is out of range'));
  });
});

test('HSCAN walks over a large hash in steps, each field with its value exactly once', () => {
  const harness = new Harness();
  fill(harness, 'hash', 1000);
  const found: string[] = [];
  let cursor = '0';
  let steps = 0;
  do {
    const [next, pairs] = harness.run('HSCAN', 'hash', cursor, 'COUNT', '50') as [string, string[]];
    found.push(...pairs);
    cursor = next;
    steps++;
  } while (cursor !== '0');
  expect(found.length).toBe(2000);
  expect(mapOf(found).get('field 500')).toBe('value 500');
  expect(mapOf(found).size).toBe(1000);
  expect(steps).toBeGreaterThan(15);
});

test('damaged bytes are told of and make no hash', () => {
  const hash = new Hash();
  for (let at = 0; at < 5; at++) hash.put(`f${at}`, 'value', at === 2 ? 1000 : null);
  const writer = new ByteWriter(64);
  hash.encode(0, writer, 10_000);
  const bytes = writer.view();
  const decoded = new Hash();
  decoded.decode(new ByteReader(bytes));
  expect(decoded.size(0)).toBe(5);
  for (let length = 0; length < bytes.length; length++) {
    // Cut between two fields it is a shorter hash: the frame's checksum and the record's length are there for that.
    if ([11, 21, 32, 42].includes(length)) continue;
    expect(() => new Hash().decode(new ByteReader(bytes.subarray(0, length)))).toThrow(FormatError);
  }
  const twice = Buffer.concat([bytes, bytes.subarray(1)]);
  expect(() => new Hash().decode(new ByteReader(twice))).toThrow('the same field a second time');
  const flag = Buffer.from(bytes);
  flag[0] = 2;
  expect(() => new Hash().decode(new ByteReader(flag))).toThrow('whether a hash is large');
  const small = new ByteWriter(64);
  small.byte(0);
  small.string('field');
  small.string('v'.repeat(65));
  small.varint(0);
  expect(() => new Hash().decode(new ByteReader(small.view()))).toThrow('a small hash that is large');
});
