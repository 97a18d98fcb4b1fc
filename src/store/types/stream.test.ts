/** Streams against a list of entries, with forks that must keep what they were, and what becomes of them in a snapshot. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';
import { radixNodes } from './radix-tree.ts';
import { formatId, idOf, MAX_ID, type StreamId, ZERO_ID } from './stream-id.ts';
import { UNKNOWN_READS } from './stream-group.ts';
import type { StreamEntry } from './stream-node.ts';
import { Stream, type Trim } from './stream.ts';

function partsOf(stream: Stream, partBytes: number): Buffer[] {
  const parts: Buffer[] = [];
  const writer = new ByteWriter(64);
  for (let cursor: number | null = 0; cursor !== null; ) {
    writer.truncate(0);
    cursor = stream.encode(cursor, writer, partBytes);
    parts.push(Buffer.from(writer.view()));
  }
  return parts;
}

function decoded(parts: readonly Buffer[]): Stream {
  const stream = new Stream();
  for (const part of parts) stream.decode(new ByteReader(part));
  return stream;
}

/** All there is to know about it, as text. */
function pictureOf(stream: Stream): string {
  return partsOf(stream, 64)
    .map((part) => part.toString('latin1'))
    .join('');
}

function idsOf(stream: Stream, from: StreamId = ZERO_ID, to: StreamId = MAX_ID): string[] {
  const ids: string[] = [];
  stream.visit(from, to, ({ id }) => void ids.push(formatId(id)));
  const backwards: string[] = [];
  stream.visitBackwards(from, to, ({ id }) => void backwards.push(formatId(id)));
  expect(backwards.reverse()).toEqual(ids);
  return ids;
}

type Action =
  | { readonly kind: 'add'; readonly step: number; readonly field: string; readonly value: string }
  | { readonly kind: 'delete'; readonly at: number }
  | { readonly kind: 'trim'; readonly exact: boolean; readonly by: 'length' | 'id'; readonly at: number }
  | { readonly kind: 'group'; readonly name: string }
  | { readonly kind: 'assign'; readonly name: string; readonly consumer: string; readonly at: number }
  | { readonly kind: 'acknowledge'; readonly name: string; readonly at: number }
  | { readonly kind: 'forget'; readonly name: string; readonly consumer: string }
  | { readonly kind: 'destroy'; readonly name: string }
  | { readonly kind: 'fork' };

const name = fc.constantFrom('g', 'h', '');
const consumer = fc.constantFrom('c', 'd', 'e');
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('add'),
      step: fc.integer({ min: 1, max: 3 }),
      field: fc.constantFrom('f', 'f', 'f', 'g'),
      value: fc.oneof(fc.string({ maxLength: 5 }), fc.constant('v'.repeat(1000))),
    } as const),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete'), at: fc.nat(200) } as const) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('trim'),
      exact: fc.boolean(),
      by: fc.constantFrom('length', 'id'),
      at: fc.nat(200),
    } as const),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('group'), name } as const) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('assign'), name, consumer, at: fc.nat(200) } as const),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('acknowledge'), name, at: fc.nat(200) } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget'), name, consumer } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('destroy'), name } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fork') } as const) },
);

/** What the stream should be: the numbers of its entries, and per group who has which. */
interface Model {
  numbers: number[];
  groups: Map<string, Map<number, string>>;
}

function apply(action: Action, stream: Stream, model: Model, last: number): number {
  const group = 'name' in action ? stream.group(action.name) : undefined;
  const held = 'name' in action ? model.groups.get(action.name) : undefined;
  switch (action.kind) {
    case 'add':
      stream.add(idOf(last + action.step, 1), [action.field], [action.value]);
      model.numbers.push(last + action.step);
      return last + action.step;
    case 'delete': {
      const there = model.numbers.includes(action.at);
      expect(stream.delete(idOf(action.at, 1))).toBe(there);
      model.numbers = model.numbers.filter((number) => number !== action.at);
      return last;
    }
    case 'trim': {
      const common = { approximate: !action.exact, limit: 0 };
      const trim: Trim =
        action.by === 'length'
          ? { ...common, by: 'length', lengthMax: action.at }
          : { ...common, by: 'id', idMin: idOf(action.at, 1) };
      const before = pictureOf(stream);
      const trims = stream.trims(trim);
      const removed = stream.trim(trim);
      expect(pictureOf(stream) !== before).toBe(trims);
      const most =
        action.by === 'length'
          ? Math.max(0, model.numbers.length - action.at)
          : model.numbers.filter((number) => number < action.at).length;
      if (action.exact) expect(removed).toBe(most);
      else expect(removed).toBeLessThanOrEqual(most);
      model.numbers.splice(0, removed);
      return last;
    }
    case 'group':
      if (group === undefined) {
        stream.createGroup(action.name, ZERO_ID, UNKNOWN_READS);
        model.groups.set(action.name, new Map());
      }
      return last;
    case 'assign': {
      if (group === undefined) return last;
      const own = stream.ownGroup(group);
      own.see(action.consumer, 1000 + action.at);
      own.assign({
        id: idOf(action.at, 1),
        consumer: action.consumer,
        deliveredAt: action.at,
        deliveries: 1,
      });
      held?.set(action.at, action.consumer);
      return last;
    }
    case 'acknowledge': {
      if (group === undefined) return last;
      expect(stream.ownGroup(group).acknowledge(idOf(action.at, 1))).toBe(held?.delete(action.at));
      return last;
    }
    case 'forget': {
      if (group === undefined) return last;
      stream.ownGroup(group).removeConsumer(action.consumer);
      for (const [number, owner] of held ?? []) if (owner === action.consumer) held?.delete(number);
      return last;
    }
    case 'destroy':
      if (group !== undefined) stream.removeGroup(group);
      model.groups.delete(action.name);
      return last;
    case 'fork':
      return last;
  }
}

function expectToBe(stream: Stream, { numbers, groups }: Model): void {
  const ids = numbers.map((number) => `${number}-1`);
  expect(stream.size).toBe(numbers.length);
  expect(idsOf(stream)).toEqual(ids);
  expect(formatId(stream.firstId)).toBe(ids[0] ?? '0-0');
  expect(stream.last()?.id).toBe(numbers.length === 0 ? undefined : idOf(numbers.at(-1) ?? 0, 1));
  const [from, to] = [numbers[3] ?? 2, numbers.at(-4) ?? 90];
  expect(idsOf(stream, idOf(from, 1), idOf(to, 1))).toEqual(
    numbers.filter((number) => number >= from && number <= to).map((number) => `${number}-1`),
  );
  expect(stream.groups.size).toBe(groups.size);
  for (const [groupName, held] of groups) {
    const group = stream.group(groupName);
    const numbersOf = (owner: string | null): string[] =>
      [...held]
        .filter(([, other]) => owner === null || other === owner)
        .map(([number]) => number)
        .sort((a, b) => a - b)
        .map((number) => `${number}-1`);
    expect(group?.pending.slice().map(({ id }) => formatId(id))).toEqual(numbersOf(null));
    group?.consumers.visit(0, group.consumers.size, ({ name: owner, pending }) => {
      expect(pending.slice().map(({ id }) => formatId(id))).toEqual(numbersOf(owner));
    });
  }
  // Counted along the way it is the same as counted anew, and the snapshot has everything.
  const copy = decoded(partsOf(stream, 300));
  expect(pictureOf(copy)).toBe(pictureOf(stream));
  expect(copy.bytes).toBe(stream.bytes);
  expect(copy.size).toBe(stream.size);
  const entries: StreamEntry[] = [];
  stream.visit(ZERO_ID, MAX_ID, (entry) => void entries.push(entry));
  copy.visit(ZERO_ID, MAX_ID, (entry) => expect(entry).toEqual(entries.shift()) as undefined);
}

test('a stream is its entries and groups, and its forks keep what it was', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400, size: 'max' }), (actions) => {
      let stream = new Stream();
      let model: Model = { numbers: [], groups: new Map() };
      let last = 0;
      const forks: { readonly fork: Stream; readonly picture: string; readonly model: Model }[] = [];
      for (const [at, one] of actions.entries()) {
        if (one.kind === 'fork') {
          const fork = stream.fork();
          const copy = {
            numbers: model.numbers.slice(),
            groups: new Map([...model.groups].map(([key, held]) => [key, new Map(held)])),
          };
          forks.push({ fork: at % 2 === 0 ? fork : stream, picture: pictureOf(stream), model });
          // Now the original goes on, now the fork.
          if (at % 2 === 1) stream = fork;
          model = copy;
        } else last = apply(one, stream, model, last);
      }
      expectToBe(stream, model);
      for (const { fork, picture, model: then } of forks.slice(-3)) {
        expect(pictureOf(fork)).toBe(picture);
        expectToBe(fork, then);
      }
    }),
    { numRuns: 60 },
  );
});

test('damaged bytes are told, and no stream comes of them that could not be', () => {
  const stream = new Stream();
  for (let at = 1; at < 250; at++) stream.add(idOf(at, 0), ['f', 'g'], [`value ${at}`, 'x']);
  stream.delete(idOf(3, 0));
  const group = stream.createGroup('group', idOf(5, 0), 5);
  group.see('a', 1);
  group.see('b', 2);
  for (const at of [1, 2, 3]) group.assign({ id: idOf(at, 0), consumer: 'b', deliveredAt: 7, deliveries: 2 });
  const whole = Buffer.concat(partsOf(stream, 1000));
  expect(pictureOf(decoded([whole]))).toBe(pictureOf(stream));
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const damaged = Buffer.from(whole.subarray(0, cut ? at : whole.length));
      if (!cut) damaged[at] = byte;
      let copy: Stream;
      try {
        copy = decoded([damaged]);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        return;
      }
      // What was taken is a stream: it can be written down and read again, and all its entries are found.
      expect(pictureOf(decoded(partsOf(copy, 1000)))).toBe(pictureOf(copy));
      const ids = idsOf(copy);
      expect(ids).toHaveLength(copy.size);
      copy.visit(ZERO_ID, MAX_ID, (entry) => expect(copy.get(entry.id)).toBe(entry) as undefined);
    }),
    { numRuns: 500 },
  );
});

describe('nodes', () => {
  const whole = (lengthMax: number, limit = 0): Trim => ({
    by: 'length',
    lengthMax,
    approximate: true,
    limit,
  });

  test('hold a hundred entries, deleted ones included, and are trimmed whole', () => {
    const stream = new Stream();
    for (let at = 1; at <= 250; at++) stream.add(idOf(at, 0), ['f'], ['v']);
    expect(stream.nodes.size).toBe(3);
    for (let at = 1; at <= 99; at++) stream.delete(idOf(at, 0));
    expect(stream.nodes.size).toBe(3);
    stream.delete(idOf(100, 0));
    expect(stream.nodes.size).toBe(2);
    expect(stream.trim(whole(60))).toBe(0);
    expect(stream.trim(whole(50, 99))).toBe(0);
    expect(stream.trim(whole(50, 100))).toBe(100);
    expect(stream.size).toBe(50);
  });

  test('count entries that were deleted while they were the last', () => {
    const stream = new Stream();
    for (let at = 1; at <= 100; at++) {
      stream.add(idOf(at, 0), ['f'], ['v']);
      if (at > 1) stream.delete(idOf(at, 0));
    }
    expect([stream.size, stream.nodes.size]).toEqual([1, 1]);
    stream.add(idOf(101, 0), ['f'], ['v']);
    expect([stream.size, stream.nodes.size]).toEqual([2, 2]);
  });

  /** How many entries the first node holds before there is a second one. */
  function capacity(fields: readonly string[], idAt: (at: number) => StreamId): number {
    const stream = new Stream();
    const names = fields.map(() => 'f');
    for (let at = 1; ; at++) {
      stream.add(idAt(at), names, fields);
      if (stream.nodes.size > 1) return at - 1;
    }
  }
  const each = (at: number): StreamId => idOf(at, 0);

  // What redis-server 7.0.15 does, as its XINFO STREAM shows.
  test.each([
    [30, 100],
    [31, 99],
    [62, 56],
    [63, 55],
    [64, 54],
    [125, 30],
    [126, 29],
    [200, 19],
    [1000, 4],
    [4094, 1],
  ])('hold four kilobytes: of values of %i bytes %i', (length, entries) => {
    expect(capacity(['v'.repeat(length)], each)).toBe(entries);
  });

  test.each([
    ['127', 57],
    ['128', 40],
    ['-1', 40],
    ['4095', 40],
    ['4096', 31],
    ['-4096', 39],
    ['-4097', 30],
    ['32767', 30],
    ['32768', 25],
    ['8388607', 24],
    ['8388608', 20],
    ['2147483647', 20],
    ['2147483648', 12],
    ['-9223372036854775808', 11],
    ['9223372036854775808', 6],
    ['007', 25],
    ['-0', 31],
  ])('hold four kilobytes: of entries with %s thirty times %i', (value, entries) => {
    expect(
      capacity(
        Array.from({ length: 30 }, () => value),
        each,
      ),
    ).toBe(entries);
  });

  test.each<[string, (at: number) => StreamId, number]>([
    ['small', each, 97],
    ['larger', (at) => idOf(at * 5000, 0), 91],
    ['large', (at) => idOf(at * 1_000_000, 0), 89],
    ['huge', (at) => idOf(at * 1_000_000_000, 0), 82],
    ['backwards in their sequence', (at) => idOf(at, 10_000 - at), 95],
    ['at the end of their sequence', (at) => idOf(at, 2n ** 64n - BigInt(at)), 95],
  ])('hold four kilobytes: of entries whose distances are %s', (_what, idAt, entries) => {
    expect(capacity(['v'.repeat(32)], idAt)).toBe(entries);
  });

  test('hold four kilobytes: of entries with fields other than those of the first fewer', () => {
    const stream = new Stream();
    for (let at = 1; stream.nodes.size < 2; at++) stream.add(each(at), [`f${at % 2}`], ['v'.repeat(30)]);
    expect(stream.size - 1).toBe(95);
  });

  test('a node whose last entry was deleted is not older than that one was', () => {
    const stream = new Stream();
    for (let at = 1; at <= 3; at++) stream.add(idOf(at, 0), ['f'], ['v']);
    stream.delete(idOf(3, 0));
    const trim: Trim = { by: 'id', idMin: idOf(3, 0), approximate: true, limit: 0 };
    expect(stream.trim(trim)).toBe(0);
    expect(stream.trim({ ...trim, approximate: false })).toBe(2);
    // As in Redis, an empty node stays.
    expect([stream.size, stream.nodes.size, stream.first(), stream.last()]).toEqual([
      0,
      1,
      undefined,
      undefined,
    ]);
    stream.add(idOf(4, 0), ['f'], ['v']);
    expect([stream.size, stream.nodes.size]).toEqual([1, 1]);
  });

  test('an id before an empty node finds its place', () => {
    const stream = new Stream();
    for (let at = 5; at <= 7; at++) stream.add(idOf(at, 0), ['f'], ['v']);
    stream.delete(idOf(7, 0));
    stream.trim({ by: 'id', idMin: idOf(7, 0), approximate: false, limit: 0 });
    // XSETID goes back.
    stream.lastId = idOf(1, 0);
    for (let at = 2; at <= 120; at++) stream.add(idOf(at, 0), ['f'], ['v']);
    expect(idsOf(stream)).toHaveLength(119);
    for (let at = 2; at <= 120; at++) expect(stream.get(idOf(at, 0))?.id).toBe(idOf(at, 0));
    expect(idsOf(stream, ZERO_ID, idOf(3, 0))).toEqual(['2-0', '3-0']);
    expect(pictureOf(decoded(partsOf(stream, 100)))).toBe(pictureOf(stream));
  });
});

describe('the nodes of a radix tree', () => {
  /** As the definition has it: all prefixes at which keys part, the stretches between them, the ends. */
  function counted(keys: readonly string[]): number {
    const prefixes = new Set(keys.flatMap((key) => Array.from(key, (_, at) => key.slice(0, at))));
    const isFork = (prefix: string): boolean =>
      new Set(keys.filter((key) => key.startsWith(prefix)).map((key) => key[prefix.length])).size > 1;
    let nodes = Math.max(1, keys.length);
    for (const prefix of prefixes) {
      // A stretch begins at the root or right behind a fork.
      if (isFork(prefix) || prefix === '' || isFork(prefix.slice(0, -1))) nodes++;
    }
    return nodes;
  }

  test('are counted right', () => {
    expect(radixNodes([])).toBe(1);
    expect(radixNodes(['abcd'])).toBe(2);
    const character = fc.constantFrom('a', 'b', 'c');
    const key = fc.array(character, { minLength: 6, maxLength: 6 }).map((characters) => characters.join(''));
    fc.assert(
      fc.property(fc.uniqueArray(key, { minLength: 1, maxLength: 30 }), (keys) => {
        expect(radixNodes(keys.toSorted())).toBe(counted(keys));
      }),
    );
  });
});
