import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  areaOf,
  cellOf,
  distanceBetween,
  geohashText,
  isOnMap,
  LATITUDE_MAX,
  neighbour,
  placeOf,
  scoreOf,
  scoresOf,
  STEP_MAX,
} from './geohash.ts';

const PALERMO = { longitude: 13.361389, latitude: 38.115556 };
const CATANIA = { longitude: 15.087269, latitude: 37.502669 };

/** Evenly distributed, other than fast-check's doubles, of which half are tiny. */
function evenly(min: number, max: number): fc.Arbitrary<number> {
  return fc.nat(2 ** 31 - 1).map((part) => min + (part / 2 ** 31) * (max - min));
}

const place = fc.record({
  longitude: evenly(-180, 180),
  latitude: evenly(-LATITUDE_MAX, LATITUDE_MAX),
});

test('what Redis says of two towns in Sicily', () => {
  expect([scoreOf(PALERMO), scoreOf(CATANIA)]).toEqual([3_479_099_956_230_698, 3_479_447_370_796_909]);
  expect([geohashText(PALERMO), geohashText(CATANIA)]).toEqual(['sqc8b49rny0', 'sqdtr74hyu0']);
  const [one, other] = [placeOf(scoreOf(PALERMO)), placeOf(scoreOf(CATANIA))];
  expect(one).toEqual({ longitude: 13.361389338970184, latitude: 38.1155563954963 });
  expect(distanceBetween(one, other).toFixed(4)).toBe('166274.1516');
});

test('a score leads back to the cell in which the place is', () => {
  fc.assert(
    fc.property(place, (given) => {
      const score = scoreOf(given);
      const found = placeOf(score);
      expect(Math.abs(found.longitude - given.longitude)).toBeLessThan(180.0001 / 2 ** STEP_MAX);
      expect(Math.abs(found.latitude - given.latitude)).toBeLessThan(85.0512 / 2 ** STEP_MAX);
    }),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 52n - 1n }), (score) => {
      expect(scoreOf(placeOf(Number(score)))).toBe(Number(score));
    }),
  );
});

test('a coarser cell is the range of scores of all places in it', () => {
  fc.assert(
    fc.property(place, place, fc.integer({ min: 1, max: STEP_MAX }), (one, other, step) => {
      fc.pre(one.longitude < 180 && one.latitude < LATITUDE_MAX);
      const cell = cellOf(one, step);
      const { west, east, south, north } = areaOf(cell);
      const inside =
        other.longitude >= west &&
        other.longitude < east &&
        other.latitude >= south &&
        other.latitude < north;
      const [from, before] = scoresOf(cell);
      const score = scoreOf(other);
      // At a border the division may be rounded to the other side.
      const border = [
        other.longitude - west,
        east - other.longitude,
        other.latitude - south,
        north - other.latitude,
      ];
      fc.pre(border.every((distance) => Math.abs(distance) > 1e-5));
      expect(score >= from && score < before).toBe(inside);
    }),
  );
});

describe('any score is somewhere on the map', () => {
  test.each([-1, -Infinity, Infinity, 1e300, 2 ** 63, 2 ** 64, 2 ** 64 - 2 ** 11, 0.5, -(2 ** 63), 2 ** 53])(
    '%d',
    (score) => {
      expect(isOnMap(placeOf(score))).toBe(true);
    },
  );
});

test('beyond a border the map begins anew at the other side', () => {
  const corner = { row: 0, column: 7, step: 3 };
  expect(neighbour(corner, -1, 1)).toEqual({ row: 7, column: 0, step: 3 });
  expect(neighbour(corner, 1, -1)).toEqual({ row: 1, column: 6, step: 3 });
  // A place on the border is in a cell beyond the last one, and stays there where nothing moves it.
  const beyond = cellOf({ longitude: 180, latitude: 0 }, 3);
  expect(beyond.column).toBe(8);
  expect([neighbour(beyond, 1, 0).column, neighbour(beyond, 0, 1).column]).toEqual([8, 1]);
});
