import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { search, type Shape } from './geo-search.ts';
import { distanceBetween, type Place, placeOf, scoreOf } from './geohash.ts';
import { SortedSet } from './types/sorted-set.ts';

/** Evenly distributed, other than fast-check's doubles, of which half are tiny. */
function evenly(min: number, max: number): fc.Arbitrary<number> {
  return fc.nat(2 ** 31 - 1).map((part) => min + (part / 2 ** 31) * (max - min));
}

/** Where no shape reaches the poles or the other side of the map: there Redis, too, does not find all. */
const place = fc.record({
  longitude: evenly(-100, 100),
  latitude: evenly(-50, 50),
});
const places = fc.array(place, { minLength: 300, maxLength: 400 });

function setOf(members: readonly Place[]): SortedSet {
  return SortedSet.of(members.map((each, at) => ({ name: `m${at}`, score: scoreOf(each) })));
}

function names(found: readonly { member: { name: string } }[]): string[] {
  return found.map(({ member }) => member.name).sort();
}

test('a circle has exactly the members whose distance says so', () => {
  fc.assert(
    fc.property(places, place, evenly(0, 2500), (members, middle, radius) => {
      const set = setOf(members);
      const found = search(set, { kind: 'circle', middle, radius, unit: 1000 }, 0);
      const expected = members.flatMap((each, at) =>
        distanceBetween(middle, placeOf(scoreOf(each))) <= radius * 1000 ? [`m${at}`] : [],
      );
      expect(names(found)).toEqual(expected.sort());
    }),
  );
});

test('a box has those that are near enough along the meridian and along their parallel', () => {
  const size = evenly(0, 3000);
  fc.assert(
    fc.property(places, place, size, size, (members, middle, width, height) => {
      const shape: Shape = { kind: 'box', middle, width, height, unit: 1000 };
      const expected = members.flatMap((each, at) => {
        const at2 = placeOf(scoreOf(each));
        const across = distanceBetween(at2, { ...at2, longitude: middle.longitude });
        const along = distanceBetween(at2, { ...at2, latitude: middle.latitude });
        return across <= width * 500 && along <= height * 500 ? [`m${at}`] : [];
      });
      expect(names(search(setOf(members), shape, 0))).toEqual(expected.sort());
    }),
  );
});

test('nobody is found twice, wherever the middle is and however far it reaches', () => {
  const anywhere = fc.record({
    longitude: evenly(-180, 180),
    latitude: evenly(-85, 85),
  });
  fc.assert(
    fc.property(
      fc.array(anywhere, { minLength: 50, maxLength: 100 }),
      anywhere,
      fc.nat(25_000),
      (members, middle, radius) => {
        const found = search(setOf(members), { kind: 'circle', middle, radius, unit: 1000 }, 0);
        expect(new Set(names(found)).size).toBe(found.length);
        for (const { place: where, distance } of found) expect(distanceBetween(middle, where)).toBe(distance);
      },
    ),
  );
});

test('with a limit it stops there', () => {
  const set = setOf(Array.from({ length: 300 }, (_, at) => ({ longitude: 10 + at / 1000, latitude: 50 })));
  const shape: Shape = { kind: 'circle', middle: { longitude: 10, latitude: 50 }, radius: 100, unit: 1000 };
  expect(search(set, shape, 7).length).toBe(7);
  expect(search(set, shape, 0).length).toBe(300);
});

test('near the poles, where degrees are short, the cells are large enough', () => {
  for (const latitude of [70, 75, 78, -75, -78]) {
    const members = Array.from({ length: 241 }, (_, at) => ({ longitude: at - 120, latitude }));
    const middle = { longitude: 5, latitude };
    const shape: Shape = { kind: 'circle', middle, radius: 1900, unit: 1000 };
    const expected = members.filter((each) => distanceBetween(middle, placeOf(scoreOf(each))) <= 1_900_000);
    expect(search(setOf(members), shape, 0).length, `at ${latitude}`).toBe(expected.length);
  }
});
