/**
 * Which members of a sorted set of places are in a circle or a rectangle: those of at most nine cells, the one of the middle and its
 * neighbours, as large as they must be to cover the shape, are looked at one by one.
 *
 * Redis's steps are followed one by one, because the order of what is found shows in replies, and because near the poles and at the
 * borders of the map the cells do not cover all of a shape.
 */
import {
  type Area,
  areaOf,
  type Cell,
  cellOf,
  degrees,
  distanceBetween,
  EARTH_RADIUS,
  neighbour,
  type Place,
  placeOf,
  radians,
  scoresOf,
  STEP_MAX,
} from './geohash.ts';
import { cosine } from './trigonometry.ts';
import type { Member, SortedSet } from './types/sorted-set.ts';

/** What is searched, in a unit of so many metres. */
export type Shape =
  | { readonly kind: 'circle'; readonly middle: Place; readonly radius: number; readonly unit: number }
  | {
      readonly kind: 'box';
      readonly middle: Place;
      readonly width: number;
      readonly height: number;
      readonly unit: number;
    };

/** A member in the shape. */
export interface Found {
  readonly member: Member;
  readonly place: Place;
  /** In metres from the middle. */
  readonly distance: number;
}

/** The members in the shape, in no order that means anything, but always the same; at most `limit` of them, 0 for all. */
export function search(set: SortedSet, shape: Shape, limit: number): Found[] {
  const found: Found[] = [];
  const full = (): boolean => limit > 0 && found.length >= limit;
  let last: Cell | null = null;
  for (const [at, cell] of cellsOf(shape).entries()) {
    if (cell === null) continue;
    // Of a map of few cells two neighbours may be the same. Redis does not compare with the middle.
    if (last !== null && at > 0 && last.row === cell.row && last.column === cell.column) continue;
    if (full()) break;
    const [min, max] = scoresOf(cell);
    const ranks = set.ranksByScore({ min, minExcluded: false, max, maxExcluded: true });
    set.visit(ranks, (member) => {
      const place = placeOf(member.score);
      const distance = distanceWithin(shape, place);
      if (distance !== null) found.push({ member, place, distance });
      return !full();
    });
    if (at > 0) last = cell;
  }
  return found;
}

/** How far the place is from the middle; `null` where it is outside. */
function distanceWithin(shape: Shape, place: Place): number | null {
  const { middle, unit } = shape;
  if (shape.kind === 'circle') {
    const distance = distanceBetween(middle, place);
    return distance > shape.radius * unit ? null : distance;
  }
  // Along the parallel of the place, and along its meridian.
  const across = distanceBetween(place, { longitude: middle.longitude, latitude: place.latitude });
  if (across > (shape.width * unit) / 2) return null;
  const along = distanceBetween(place, { longitude: place.longitude, latitude: middle.latitude });
  return along > (shape.height * unit) / 2 ? null : distanceBetween(middle, place);
}

// --- Cells -------------------------------------------------------------------------------------------------------

/** The middle cell and its neighbours, in the order in which they are looked through; `null` for those that can't have any of it. */
function cellsOf(shape: Shape): (Cell | null)[] {
  const { middle } = shape;
  let step = stepFor(radiusOf(shape), middle.latitude);
  let cell = cellOf(middle, step);
  // Cells of the first step cover everything: with only two rows and columns, all are neighbours.
  if (step > 1) {
    const bounds = boundsOf(shape);
    if (fallsShort(cell, bounds)) {
      step--;
      cell = cellOf(middle, step);
    }
    if (step > 1) return neighboursWithin(cell, bounds);
  }
  return neighboursWithin(cell, null);
}

/** How far the shape reaches, in metres. */
function radiusOf(shape: Shape): number {
  if (shape.kind === 'circle') return shape.radius * shape.unit;
  const [half, otherHalf] = [shape.width / 2, shape.height / 2];
  return Math.sqrt(half * half + otherHalf * otherHalf) * shape.unit;
}

/** Half of the equator on Mercator's map, in metres. */
const MERCATOR_MAX = 20_037_726.37;

/** The finest division whose cells are larger than the radius, near the poles a coarser one. */
function stepFor(radius: number, latitude: number): number {
  if (radius === 0) return STEP_MAX;
  let step = 1;
  for (let reach = radius; reach < MERCATOR_MAX; reach *= 2) step++;
  step -= 2;
  if (Math.abs(latitude) > 66) step--;
  if (Math.abs(latitude) > 80) step--;
  return Math.min(STEP_MAX, Math.max(1, step));
}

/** What the shape lies in. East and west are told for the end that is nearer to the pole, where a degree is shorter. */
function boundsOf(shape: Shape): Area {
  const { middle, unit } = shape;
  const height = unit * (shape.kind === 'circle' ? shape.radius : shape.height / 2);
  const width = unit * (shape.kind === 'circle' ? shape.radius : shape.width / 2);
  const up = degrees(height / EARTH_RADIUS);
  const farLatitude = middle.latitude < 0 ? middle.latitude - up : middle.latitude + up;
  const aside = degrees(width / EARTH_RADIUS / cosine(radians(farLatitude)));
  return {
    west: middle.longitude - aside,
    east: middle.longitude + aside,
    south: middle.latitude - up,
    north: middle.latitude + up,
  };
}

/** Whether a cell and its neighbours do not reach as far as the bounds. */
function fallsShort(cell: Cell, bounds: Area): boolean {
  return (
    areaOf(neighbour(cell, 1, 0)).north < bounds.north ||
    areaOf(neighbour(cell, -1, 0)).south > bounds.south ||
    areaOf(neighbour(cell, 0, 1)).east < bounds.east ||
    areaOf(neighbour(cell, 0, -1)).west > bounds.west
  );
}

/** Redis's order: rows to the north, columns to the east. */
const DIRECTIONS: readonly (readonly [north: number, east: number])[] = [
  [0, 0],
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
  [1, 1],
  [1, -1],
  [-1, 1],
  [-1, -1],
];

function neighboursWithin(cell: Cell, bounds: Area | null): (Cell | null)[] {
  const area = areaOf(cell);
  return DIRECTIONS.map(([north, east]) => {
    const useless =
      bounds !== null &&
      ((north < 0 && area.south < bounds.south) ||
        (north > 0 && area.north > bounds.north) ||
        (east < 0 && area.west < bounds.west) ||
        (east > 0 && area.east > bounds.east));
    return useless ? null : neighbour(cell, north, east);
  });
}
