import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';
import { type Scored, SortedSet } from './sorted-set.ts';

function entries(model: ReadonlyMap<string, number>): { name: string; score: number }[] {
  return [...model].map(([name, score]) => ({ name, score }));
}

/** A map as a sorted set would list it. */
function listed(model: ReadonlyMap<string, number>): [string, number][] {
  return [...model].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : a > b ? 1 : 0));
}

function members(set: SortedSet): [string, number][] {
  const found: [string, number][] = [];
  set.visit({ from: 0, to: set.size }, ({ name, score }) => void found.push([name, score]));
  return found;
}

function encoded(set: SortedSet, bytesMax: number): Buffer[] {
  const parts: Buffer[] = [];
  for (let cursor: number | null = 0; cursor !== null; ) {
    const writer = new ByteWriter(64);
    cursor = set.encode(cursor, writer, bytesMax);
    parts.push(Buffer.from(writer.view()));
  }
  return parts;
}

function decoded(parts: readonly Uint8Array[]): SortedSet {
  const set = new SortedSet();
  for (const part of parts) set.decode(new ByteReader(part));
  return set;
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom('set', 'set', 'set', 'delete', 'range', 'fork'),
    member: fc.nat(300),
    score: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }), fc.constant(Infinity)),
  }),
  { maxLength: 500 },
);

test('small or large it is a map that is sorted, and forks and snapshots are what it was', () => {
  fc.assert(
    fc.property(steps, fc.nat(400), fc.integer({ min: 10, max: 500 }), (history, initial, bytesMax) => {
      const model = new Map(Array.from({ length: initial }, (_, at) => [`m${at}`, at % 7]));
      let set = SortedSet.of(entries(model));
      const forks: [SortedSet, [string, number][]][] = [];
      for (const { what, member, score } of history) {
        const name = `m${member}`;
        const there = set.get(name);
        expect(there?.score).toBe(model.get(name));
        if (what === 'set') {
          if (there === undefined) set.add(name, score + 0);
          else set.move(there, score + 0);
          model.set(name, score + 0);
        } else if (what === 'delete') expect(set.delete(name)).toBe(model.delete(name));
        else if (what === 'fork') forks.push([set.fork(), listed(model)]);
        else {
          const from = Math.min(member, set.size);
          const to = Math.min(set.size, from + (Math.abs(Math.trunc(score)) % 120));
          for (const [gone] of listed(model).slice(from, to)) model.delete(gone);
          set.deleteRange({ from, to });
          if (member % 5 === 0 && set.size > 0) set = decoded(encoded(set, bytesMax));
        }
        expect(set.size).toBe(model.size);
      }
      const order = listed(model);
      forks.push([set, order]);
      for (const [fork, expected] of forks) expect(members(fork)).toEqual(expected);
      for (let at = 0; at <= 400; at++) expect(set.get(`m${at}`)?.score).toBe(model.get(`m${at}`));
      for (const [rank, [name, score]] of order.entries()) {
        expect(set.get(name)?.score).toBe(score);
        expect(set.rankOf(set.get(name) as Scored)).toBe(rank);
        expect(set.at(rank)?.name).toBe(name);
      }
      if (set.size === 0) return;
      const copy = decoded(encoded(set, bytesMax));
      expect([members(copy), copy.encoding, copy.bytes]).toEqual([order, set.encoding, set.bytes]);
      expect(Buffer.concat(encoded(copy, 1e9))).toEqual(Buffer.concat(encoded(set, 1e9)));
    }),
    { numRuns: 60 },
  );
});

test('ranges by score are those that a filter finds', () => {
  const scores = fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 300 });
  const bound = fc.tuple(fc.integer({ min: -6, max: 6 }), fc.boolean());
  fc.assert(
    fc.property(scores, bound, bound, (given, [min, minExcluded], [max, maxExcluded]) => {
      const set = SortedSet.of(given.map((score, at) => ({ name: `m${at}`, score })));
      const { from, to } = set.ranksByScore({ min, minExcluded, max, maxExcluded });
      const inside = members(set).filter(
        ([, score]) =>
          (minExcluded ? score > min : score >= min) && (maxExcluded ? score < max : score <= max),
      );
      expect(members(set).slice(from, Math.max(from, to))).toEqual(inside);
    }),
  );
});

test('ranges by member are those that a filter finds, in small sets and in large ones', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '\0', '\xff'), maxLength: 4 });
  const bound = fc.oneof(
    fc.constantFrom('-' as const, '+' as const),
    fc.record({ member: name, excluded: fc.boolean() }),
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(name),
      bound,
      bound,
      fc.boolean(),
      fc.nat(3),
      (names, min, max, backwards, skipped) => {
        const inside = names.sort().filter((each) => {
          if (min === '+' || max === '-') return false;
          if (min !== '-' && (min.excluded ? each <= min.member : each < min.member)) return false;
          return max === '+' || (max.excluded ? each < max.member : each <= max.member);
        });
        const expected = backwards
          ? inside.slice(0, Math.max(0, inside.length - skipped))
          : inside.slice(skipped);
        const small = SortedSet.of(names.map((name) => ({ name, score: 1 })));
        const large = small.fork();
        // What is behind all others changes nothing for bounds as short as these.
        large.add('\xff'.repeat(70), 1);
        large.delete('\xff'.repeat(70));
        expect(large.encoding).toBe('skiplist');
        for (const set of [small, large]) {
          const { from, to } = set.ranksByLex({ min, max }, backwards, skipped);
          expect(
            members(set)
              .map(([each]) => each)
              .slice(from, Math.max(from, to)),
          ).toEqual(expected);
        }
      },
    ),
  );
});

describe('a set becomes large', () => {
  test('with its 129th member', () => {
    const set = new SortedSet();
    for (let at = 0; at < 128; at++) set.add(`m${at}`, at);
    expect(set.encoding).toBe('listpack');
    set.add('one more', 0);
    expect(set.encoding).toBe('skiplist');
    set.deleteRange({ from: 1, to: 129 });
    expect([set.size, set.encoding]).toEqual([1, 'skiplist']);
  });

  test('with a member of 65 bytes', () => {
    const set = new SortedSet();
    set.add('x'.repeat(64), 0);
    expect(set.encoding).toBe('listpack');
    set.add('x'.repeat(65), 0);
    expect(set.encoding).toBe('skiplist');
  });

  test('and knows -0 only then, as Redis does', () => {
    const set = new SortedSet();
    set.add('small', -0);
    set.add('x'.repeat(65), -0);
    expect([set.get('small')?.score, set.get('x'.repeat(65))?.score]).toEqual([0, -0]);
  });
});

test('a scan of a large set sees every member once', () => {
  const set = SortedSet.of(Array.from({ length: 1000 }, (_, at) => ({ name: `m${at}`, score: at })));
  const seen: string[] = [];
  let cursor = 0;
  do {
    cursor = set.scan(cursor, 10, ({ name }) => seen.push(name));
  } while (cursor !== 0);
  expect(seen.sort()).toEqual(
    members(set)
      .map(([name]) => name)
      .sort(),
  );
});

describe('damaged bytes are refused', () => {
  const bytes = (head: number, ...elements: readonly [number, string][]): Uint8Array => {
    const writer = new ByteWriter(64);
    writer.byte(head);
    for (const [score, name] of elements) {
      writer.double(score);
      writer.string(name);
    }
    return writer.view();
  };
  test.each([
    ['an unknown head', bytes(2, [1, 'a'])],
    ['a score that is no number', bytes(0, [NaN, 'a'])],
    ['scores in disorder', bytes(1, [2, 'a'], [1, 'b'])],
    ['members in disorder', bytes(0, [1, 'b'], [1, 'a'])],
    ['a member twice in a small set', bytes(0, [1, 'a'], [2, 'a'])],
    ['a member twice in a large set', bytes(1, [1, 'a'], [2, 'a'])],
    ['a long member in a small set', bytes(0, [1, 'a'.repeat(65)])],
    [
      'too many members in a small set',
      bytes(0, ...Array.from({ length: 129 }, (_, at) => [at, `${at}`] as [number, string])),
    ],
    ['an end in the middle', bytes(1, [1, 'a']).subarray(0, 8)],
    ['nothing', new Uint8Array()],
  ])('%s', (_name, damaged) => {
    expect(() => decoded([damaged])).toThrow(FormatError);
  });

  test('a member that came in an earlier part, too', () => {
    expect(() => decoded([bytes(0, [1, 'a']), bytes(0, [2, 'a']).subarray(1)])).toThrow(FormatError);
  });
});
