import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashOf, MemberTable, type Named } from './member-table.ts';

interface Item extends Named {
  readonly value: number;
}

const item = (name: string, value: number): Item => ({ name, hash: hashOf(name), value });

test('small or large it is a map, and a fork is left alone', () => {
  const step = fc.tuple(
    fc.constantFrom('put', 'put', 'delete', 'fork', 'grow', 'deleteAt', 'deleteWhere'),
    fc.integer({ min: 0, max: 300 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
      const table = new MemberTable<Item>();
      const map = new Map<string, number>();
      const forks: { table: MemberTable<Item>; map: Map<string, number> }[] = [];
      for (const [what, number] of steps) {
        const name = `name:${number}`;
        if (what === 'put') {
          expect(table.put(item(name, number))?.value).toBe(map.get(name));
          map.set(name, number);
        } else if (what === 'delete') {
          expect(table.delete(name)?.value).toBe(map.get(name));
          map.delete(name);
        } else if (what === 'deleteAt') {
          if (map.size > 0) map.delete(table.deleteAt(number % map.size).name);
        } else if (what === 'deleteWhere') {
          table.deleteWhere(({ value }) => value % 7 === number % 7);
          for (const [each, value] of map) if (value % 7 === number % 7) map.delete(each);
        } else if (what === 'fork') forks.push({ table: table.fork(), map: new Map(map) });
        else if (number < 30) table.grow();
        expect(table.size).toBe(map.size);
        expect(table.has(name)).toBe(map.has(name));
      }
      for (const { table: one, map: other } of [{ table, map }, ...forks]) {
        const found = new Map<string, number>();
        one.visit(({ name, value }) => void found.set(name, value));
        expect(found).toEqual(other);
      }
    }),
  );
});

test('a small table keeps the order of arrival, a large one is in the same order whatever its history', () => {
  const names = Array.from({ length: 200 }, (_, at) => `member ${at}`);
  const order = (added: readonly string[], large: boolean): string[] => {
    const table = new MemberTable<Item>();
    for (const name of added) table.put(item(name, 0));
    if (large) table.grow();
    const found: string[] = [];
    table.visit(({ name }) => void found.push(name));
    return found;
  };
  expect(order(names, false)).toEqual(names);
  expect(order(names, true)).toEqual(order(names.toReversed(), true));
});

test('a scan sees what is there all the time exactly once, though others come and go', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.infiniteStream(fc.nat(5000)), (count, numbers) => {
      const table = new MemberTable<Item>();
      table.grow();
      for (let at = 0; at < 1000; at++) table.put(item(`stays ${at}`, at));
      const seen: string[] = [];
      let cursor = 0;
      do {
        cursor = table.scan(cursor, count, ({ name }) => seen.push(name));
        const number = numbers.next().value ?? 0;
        if (number % 2 === 0) table.put(item(`comes ${number}`, number));
        else table.delete(`comes ${number - 1}`);
      } while (cursor !== 0);
      const stayed = seen.filter((name) => name.startsWith('stays'));
      expect(stayed.length).toBe(1000);
      expect(new Set(stayed).size).toBe(1000);
    }),
    { numRuns: 20 },
  );
});
