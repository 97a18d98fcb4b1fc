/** What the comparison with Redis can't show of sets: random choices, snapshots, followers, sizes, damaged bytes. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';
import { Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';
import { MemberSet } from '../types/set.ts';

function members(harness: Harness, key: string): Set<Reply> {
  return new Set(harness.run('SMEMBERS', key) as Reply[]);
}

function fill(harness: Harness, key: string, count: number, prefix = 'member '): void {
  for (let from = 0; from < count; from += 1000) {
    const names: string[] = [];
    for (let at = from; at < Math.min(count, from + 1000); at++) names.push(`${prefix}${at}`);
    harness.run('SADD', key, ...names);
  }
}

test('a set is a set, of integers, small or large, on the leader, on a follower and out of a snapshot', () => {
  const step = fc.tuple(
    fc.constantFrom('SADD', 'SADD', 'SADD', 'SREM', 'SPOP', 'COPY', 'many', 'SUNIONSTORE', 'SDIFFSTORE'),
    fc.oneof(
      fc.integer({ min: -20, max: 60 }).map(String),
      fc.nat(30).map((number) => `m${number}`),
    ),
    fc.nat(120),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const harness = new Harness();
      let model = new Set<Reply>();
      let copy = new Set<Reply>();
      for (const [what, name, number] of steps) {
        if (what === 'SADD') {
          expect(harness.run('SADD', 'set', name)).toBe(model.has(name) ? 0 : 1);
          model.add(name);
        } else if (what === 'SREM') {
          expect(harness.run('SREM', 'set', name)).toBe(model.delete(name) ? 1 : 0);
        } else if (what === 'SPOP') {
          const popped = harness.run('SPOP', 'set', String(number)) as string[];
          expect(popped.length).toBe(Math.min(model.size, number));
          for (const one of popped) expect(model.delete(one)).toBe(true);
        } else if (what === 'COPY') {
          if (harness.run('COPY', 'set', 'copy', 'REPLACE') === 1) copy = new Set(model);
        } else if (what === 'many') {
          fill(harness, 'set', number, '');
          for (let at = 0; at < number; at++) model.add(String(at));
        } else if (what === 'SUNIONSTORE') {
          harness.run('SUNIONSTORE', 'set', 'set', 'copy');
          model = new Set([...model, ...copy]);
        } else {
          harness.run('SDIFFSTORE', 'set', 'set', 'copy');
          model = new Set([...model].filter((one) => !copy.has(one)));
        }
        expect(harness.run('SCARD', 'set')).toBe(model.size);
      }
      expect(members(harness, 'set')).toEqual(model);
      expect(members(harness, 'copy')).toEqual(copy);
      const { store } = harness;
      expect(harness.follower().digest()).toBe(store.digest());
      const other = restored(snapshotOf(store, 100));
      expect(other.digest()).toBe(store.digest());
      expect(other.bytes, 'counted along the way as counted anew').toBe(store.bytes);
    }),
    { numRuns: 60 },
  );
});

test('integers are in ascending order, beyond 2^53 too, until something else comes or there are too many', () => {
  const set = new MemberSet();
  const names = [
    '9007199254740993',
    '5',
    '-9223372036854775808',
    '9223372036854775807',
    '-7',
    '0',
    '9007199254740992',
  ];
  for (const name of names) set.add(name);
  const found: string[] = [];
  set.visit((name) => void found.push(name));
  expect(found).toEqual(names.toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)));
  expect(set.encoding).toBe('intset');
  expect(set.has('9007199254740993')).toBe(true);
  expect(set.has('9007199254740991')).toBe(false);
  expect(set.has('05')).toBe(false);
  set.add('05');
  expect(set.encoding).toBe('hashtable');
  expect(names.every((name) => set.has(name))).toBe(true);
  const many = new MemberSet();
  for (let at = 0; at < 512; at++) many.add(String(at));
  expect(many.encoding).toBe('intset');
  many.add('512');
  expect(many.encoding).toBe('hashtable');
  expect(many.size).toBe(513);
});

test('what changes nothing leaves the version: a watching transaction runs', () => {
  const harness = new Harness();
  harness.run('SADD', 'set', 'a', 'b');
  harness.run('SADD', 'other', 'a');
  const version = harness.store.version('set');
  harness.run('SADD', 'set', 'a', 'b', 'a');
  harness.run('SREM', 'set', 'x');
  harness.run('SPOP', 'set', '0');
  harness.run('SMOVE', 'set', 'other', 'x');
  harness.run('SMOVE', 'set', 'set', 'a');
  harness.run('SMOVE', 'other', 'set', 'a');
  harness.run('SUNIONSTORE', 'result', 'set', 'other');
  expect(harness.store.version('set')).toBe(version);
  harness.run('SREM', 'set', 'a');
  expect(harness.store.version('set')).not.toBe(version);
});

test('a set that combines a large one leaves it alone', () => {
  const harness = new Harness();
  fill(harness, 'large', 2000);
  fill(harness, 'tail', 10, 'tail ');
  expect(harness.run('SUNIONSTORE', 'result', 'tail', 'large')).toBe(2010);
  expect(harness.run('SDIFFSTORE', 'result', 'result', 'large', 'tail', 'large')).toBe(0);
  expect(harness.run('SCARD', 'large')).toBe(2000);
  expect(harness.run('EXISTS', 'result')).toBe(0);
});

describe('SPOP and SRANDMEMBER', () => {
  test('reach every member, in a set of any kind', () => {
    for (const [size, prefix] of [
      [5, ''],
      [5, 'm'],
      [300, 'm'],
    ] as const) {
      const harness = new Harness();
      fill(harness, 'set', size, prefix);
      const seen = new Set<Reply>();
      for (let left = 15 * size; left > 0; left--) seen.add(harness.run('SRANDMEMBER', 'set'));
      expect(seen.size).toBe(size);
      for (const count of [1, size >> 3, size >> 1, size - 1, size, size + 1]) {
        const names = harness.run('SRANDMEMBER', 'set', String(count)) as string[];
        expect(new Set(names).size).toBe(Math.min(count, size));
      }
      expect(harness.run('SRANDMEMBER', 'set', '-20')).toHaveLength(20);
    }
  });

  test('every member goes as often as any other, whether few are taken or many', () => {
    for (const count of [1, 3, 6]) {
      const went = new Map<string, number>();
      const harness = new Harness();
      for (let left = 2000; left > 0; left--) {
        fill(harness, 'set', 8, 'm');
        for (const name of harness.run('SPOP', 'set', String(count)) as string[])
          went.set(name, (went.get(name) ?? 0) + 1);
      }
      // 2000 × count / 8 each, with six times the deviation that chance has.
      const expected = 250 * count;
      for (let at = 0; at < 8; at++)
        expect(Math.abs((went.get(`m${at}`) ?? 0) - expected)).toBeLessThan(6 * Math.sqrt(expected));
    }
  });

  test('a set that was large stays in the order of a large one when most of it is taken', () => {
    const harness = new Harness();
    fill(harness, 'set', 1000);
    expect(harness.run('SPOP', 'set', '990')).toHaveLength(990);
    fill(harness, 'set', 20, 'new ');
    expect(restored(snapshotOf(harness.store)).digest()).toBe(harness.store.digest());
    expect(harness.run('SCARD', 'set')).toBe(30);
  });
});

test('SSCAN walks over a large set in steps, each member exactly once, and sees integers in one', () => {
  const harness = new Harness();
  fill(harness, 'set', 1000);
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, names] = harness.run('SSCAN', 'set', cursor, 'COUNT', '50') as [string, string[]];
    found.push(...names);
    cursor = next;
  } while (cursor !== '0');
  expect(found.length).toBe(1000);
  expect(new Set(found)).toEqual(members(harness, 'set'));
  fill(harness, 'integers', 400, '');
  expect(harness.run('SSCAN', 'integers', '0')).toEqual(['0', harness.run('SMEMBERS', 'integers')]);
});

test('the order of events is that of Redis where a set is emptied into another', () => {
  const harness = new Harness();
  const heard: string[] = [];
  harness.store.listener = {
    changed: () => {},
    cleared: () => {},
    event: (_type, event, key) => void heard.push(`${event} ${key}`),
    message: () => 0,
    metaChanged: () => {},
    refused() {},
    restored: () => {},
  };
  harness.run('SADD', 'from', 'a');
  harness.run('SMOVE', 'from', 'to', 'a');
  expect(heard.splice(0)).toEqual(['new from', 'sadd from', 'srem from', 'del from', 'new to', 'sadd to']);
  harness.run('SUNIONSTORE', 'to', 'to');
  harness.run('SINTERSTORE', 'to', 'to', 'none');
  harness.run('SINTERSTORE', 'to', 'to', 'none');
  expect(heard.splice(0)).toEqual(['sunionstore to', 'del to']);
  harness.run('SADD', 'set', 'a', 'b');
  harness.run('SPOP', 'set', '2');
  expect(heard).toEqual(['new set', 'sadd set', 'spop set', 'del set']);
});

test('damaged bytes are told of and make no set', () => {
  const bytesOf = (kept: number, ...names: string[]): ByteReader => {
    const writer = new ByteWriter(64);
    writer.byte(kept);
    for (const name of names) writer.string(name);
    return new ByteReader(writer.view());
  };
  for (const reader of [
    bytesOf(3, 'a'),
    bytesOf(0, '1', '1'),
    bytesOf(0, '1', 'a'),
    bytesOf(1, 'a', 'b', 'a'),
    bytesOf(1),
    bytesOf(1, ...Array.from({ length: 129 }, (_, at) => String(at))),
    bytesOf(0, ...Array.from({ length: 513 }, (_, at) => String(at))),
  ])
    expect(() => new MemberSet().decode(reader)).toThrow(FormatError);
});
