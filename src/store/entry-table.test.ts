import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Entry } from './entry.ts';
import { EntryTable, SHARD_COUNT, shardOf } from './entry-table.ts';
import { fnv1a } from './fnv.ts';

/** `2 ** doublings` keys with the same hash: FNV-1a is at the same place again after each of two parts. */
function collidingKeys(doublings: number): string[] {
  let keys = [''];
  for (let part = 0; part < doublings; part++) {
    const [prefix = ''] = keys;
    const [one, other] = collision(prefix);
    keys = keys.flatMap((key) => [key + one, key + other]);
  }
  return keys;
}

/** Two parts after which the hash is the same, behind the prefix. */
function collision(prefix: string): [string, string] {
  const parts = new Map<number, string>();
  for (let number = 0; ; number++) {
    const part = number.toString(36).padStart(6, '0');
    const hash = fnv1a(prefix + part);
    const other = parts.get(hash);
    if (other !== undefined) return [other, part];
    parts.set(hash, part);
  }
}

function chainOf(entry: Entry): number {
  let length = 0;
  for (let each: Entry | undefined = entry; each !== undefined; each = each.next) length++;
  return length;
}

function allOf(table: EntryTable): Entry[] {
  return Array.from({ length: SHARD_COUNT }, (_, shard) => table.entriesOf(shard)).flat();
}

const COLLIDING = collidingKeys(10);
const LONG = Array.from({ length: 20 }, (_, at) => String(at).padStart(1020 + at, '-'));

test('holds what a Map holds, also keys that were made to collide and long ones', () => {
  // Few keys that come and go often, many in one shard, and many that collide.
  const sameShard = Array.from({ length: 400_000 }, (_, at) => `key:${at}`).filter(
    (key) => shardOf(fnv1a(key)) === 7,
  );
  const anyKey = fc.oneof(
    fc.constantFrom(...COLLIDING.slice(0, 100)),
    fc.constantFrom(...sameShard),
    fc.constantFrom(...LONG),
    fc.string({ maxLength: 3, unit: 'binary-ascii' }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(anyKey, fc.boolean()), { maxLength: 600, size: 'max' }), (steps) => {
      const table = new EntryTable();
      const model = new Map<string, Entry>();
      for (const [key, adds] of steps) {
        const hash = fnv1a(key);
        const entry = table.get(key, hash);
        expect(entry).toBe(model.get(key));
        if (adds && entry === undefined) {
          const added = new Entry(key, '', 0);
          table.add(added, hash);
          model.set(key, added);
        } else if (!adds && entry !== undefined) {
          table.delete(entry, hash);
          model.delete(key);
          expect(table.get(key, hash)).toBeUndefined();
          expect(entry.next).toBeUndefined();
        }
      }
      for (const [key, entry] of model) expect(table.get(key, fnv1a(key))).toBe(entry);
      expect(new Set(allOf(table))).toEqual(new Set(model.values()));
      for (let shard = 0; shard < SHARD_COUNT; shard++)
        expect(table.sizeOf(shard)).toBe(table.entriesOf(shard).length);
    }),
    { numRuns: 30 },
  );
});

test('a shard that grew and shrank holds the same entries, each in its own shard', () => {
  const table = new EntryTable();
  const keys = Array.from({ length: 50_000 }, (_, at) => `key:${at}`);
  for (const key of keys) table.add(new Entry(key, key, 0), fnv1a(key));
  for (const [at, key] of keys.entries()) {
    const entry = table.get(key, fnv1a(key));
    expect(entry?.value).toBe(key);
    if (at % 100 !== 0 && entry !== undefined) table.delete(entry, fnv1a(key));
  }
  const left = keys.filter((_, at) => at % 100 === 0);
  expect(
    allOf(table)
      .map(({ key }) => key)
      .sort(),
  ).toEqual(left.sort());
  for (let shard = 0; shard < SHARD_COUNT; shard++)
    for (const { key } of table.entriesOf(shard)) expect(shardOf(fnv1a(key))).toBe(shard);
  for (const key of left) expect(table.get(key, fnv1a(key))?.key).toBe(key);
});

test('keys that were made to collide make no long chain', () => {
  const table = new EntryTable();
  const [first = ''] = COLLIDING;
  expect(new Set(COLLIDING.map(fnv1a))).toEqual(new Set([fnv1a(first)]));
  for (const key of COLLIDING) table.add(new Entry(key, '', 0), fnv1a(key));
  const entries = table.entriesOf(shardOf(fnv1a(first)));
  expect(entries).toHaveLength(COLLIDING.length);
  expect(Math.max(...entries.map(chainOf))).toBe(16);
  for (const entry of entries) {
    expect(table.get(entry.key, fnv1a(first))).toBe(entry);
    table.delete(entry, fnv1a(first));
  }
  expect(allOf(table)).toEqual([]);
});

test('any entry of a shard may come by chance, and only those', () => {
  const table = new EntryTable();
  const shard = shardOf(fnv1a(COLLIDING[0] ?? ''));
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 3) / 2 ** 28;
  };
  expect(table.anyOf(shard, random)).toBeUndefined();
  // One, a chain, a chain and others that found no room in it; then fewer again.
  for (const count of [1, 10, 100, 2]) {
    const keys = COLLIDING.slice(0, count);
    for (const entry of table.entriesOf(shard))
      if (!keys.includes(entry.key)) table.delete(entry, fnv1a(entry.key));
    for (const key of keys)
      if (table.get(key, fnv1a(key)) === undefined) table.add(new Entry(key, '', 0), fnv1a(key));
    const found = new Map<string, number>();
    for (let draw = 0; draw < 200 * count; draw++) {
      const key = table.anyOf(shard, random)?.key ?? 'none';
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    expect(new Set(found.keys())).toEqual(new Set(keys));
    for (const times of found.values()) {
      expect(times).toBeGreaterThan(100);
      expect(times).toBeLessThan(300);
    }
  }
});

test('chains that come together when a shard shrinks become no long one', () => {
  // Keys of one shard, many of any kind, and some that come together in one bucket as long as there are no more than 128.
  const others: string[] = [];
  const together: string[] = [];
  for (let number = 0; together.length < 20; number++) {
    const key = number.toString(36);
    const hash = fnv1a(key);
    if (shardOf(hash) !== 7) continue;
    if (((hash >>> 12) & 127) === 0) together.push(key);
    else if (others.length < 2000) others.push(key);
  }
  const table = new EntryTable();
  for (const key of [...others, ...together]) table.add(new Entry(key, '', 0), fnv1a(key));
  for (const entry of table.entriesOf(7))
    if (!together.includes(entry.key)) table.delete(entry, fnv1a(entry.key));
  const entries = table.entriesOf(7);
  expect(entries.map(({ key }) => key).sort()).toEqual(together.sort());
  expect(Math.max(...entries.map(chainOf))).toBe(16);
  for (const entry of entries) expect(table.get(entry.key, fnv1a(entry.key))).toBe(entry);
  // The last of the chain, and those that are in none.
  expect(entries.filter(({ next }) => next === undefined)).toHaveLength(1 + together.length - 16);
  // They have room again when it grows.
  for (const key of others) table.add(new Entry(key, '', 0), fnv1a(key));
  for (const entry of entries) expect(table.get(entry.key, fnv1a(entry.key))).toBe(entry);
  expect(table.sizeOf(7)).toBe(others.length + together.length);
  expect(table.entriesOf(7)).toHaveLength(others.length + together.length);
});

test('removing an entry that is not there is a broken invariant', () => {
  const table = new EntryTable();
  table.add(new Entry('a', '', 0), fnv1a('a'));
  expect(() => table.delete(new Entry('b', '', 0), fnv1a('b'))).toThrow('"b" is removed and was not there');
});
