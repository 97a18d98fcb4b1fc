/**
 * Places on the earth as scores of a sorted set.
 *
 * The map is cut into rows and columns, 2^26 of each, and the bits of both numbers are shuffled: the score of a place is the number of
 * its cell. Every pair of bits halves the cell in both directions, so all places in a coarser cell are one range of scores:
 *
 * ```
 *   row     1 0 1 …        step 1: 4 cells    score begins with 01
 *   column  0 1 1 …        step 2: 16         …with 01 10
 *   score   01 10 11 …     step 26: 2^52      places a few decimetres apart
 *           └ column, row
 * ```
 *
 * The map ends at 85.05112878°, as Mercator's does. All of it is computed as Redis does, to the last bit.
 */
import { arcSine, cosine, sine } from './trigonometry.ts';

export const LONGITUDE_MAX = 180;
export const LATITUDE_MAX = 85.05112878;
/** Of geohashes as the rest of the world writes them. */
const POLE = 90;

/** The finest division, that of scores. */
export const STEP_MAX = 26;

/** In metres; the mean that Redis uses. */
export const EARTH_RADIUS = 6_372_797.560856;
const DEGREE: number = Math.PI / 180;

/** A place in degrees. */
export interface Place {
  readonly longitude: number;
  readonly latitude: number;
}

/** A cell of the map that is divided into 2^`step` rows and columns, from the south-west on. */
export interface Cell {
  readonly row: number;
  readonly column: number;
  readonly step: number;
}

/** The borders of a cell in degrees. */
export interface Area {
  readonly west: number;
  readonly east: number;
  readonly south: number;
  readonly north: number;
}

export function isOnMap({ longitude, latitude }: Place): boolean {
  return Math.abs(longitude) <= LONGITUDE_MAX && Math.abs(latitude) <= LATITUDE_MAX;
}

/** The cell of a place on the map. On its northern and eastern borders it is a cell beyond the last one. */
export function cellOf(
  { longitude, latitude }: Place,
  step: number,
  latitudeMax: number = LATITUDE_MAX,
): Cell {
  const row = (latitude + latitudeMax) / (2 * latitudeMax);
  const column = (longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX);
  return { row: Math.floor(row * 2 ** step), column: Math.floor(column * 2 ** step), step };
}

/** The cell that is so many rows and columns away; beyond a border the map begins anew at the other side. */
export function neighbour({ row, column, step }: Cell, north: number, east: number): Cell {
  const size = 2 ** step;
  return {
    // What does not move may stay beyond the border.
    row: north === 0 ? row : (row + north + size) % size,
    column: east === 0 ? column : (column + east + size) % size,
    step,
  };
}

export function areaOf({ row, column, step }: Cell): Area {
  const size = 2 ** step;
  // 32 bits are what Redis keeps of a row or column.
  const [nextRow, nextColumn] = [(row + 1) % 2 ** 32, (column + 1) % 2 ** 32];
  return {
    west: -LONGITUDE_MAX + (column / size) * (2 * LONGITUDE_MAX),
    east: -LONGITUDE_MAX + (nextColumn / size) * (2 * LONGITUDE_MAX),
    south: -LATITUDE_MAX + (row / size) * (2 * LATITUDE_MAX),
    north: -LATITUDE_MAX + (nextRow / size) * (2 * LATITUDE_MAX),
  };
}

/** The scores of all places in the cell: from the first one to before the second. */
export function scoresOf({ row, column, step }: Cell): readonly [from: number, before: number] {
  const high = spread(row >>> 16) + 2 * spread(column >>> 16);
  const low = spread(row & 0xffff) + 2 * spread(column & 0xffff);
  const scale = 2 ** (2 * (STEP_MAX - step));
  return [(high * 2 ** 32 + low) * scale, (high * 2 ** 32 + (low + 1)) * scale];
}

/** The score of a place on the map. */
export function scoreOf(place: Place): number {
  return scoresOf(cellOf(place, STEP_MAX))[0];
}

/** The middle of the cell that a score says; of any score, as any sorted set can be asked for places. */
export function placeOf(score: number): Place {
  const [low, high] = wordsOf(score);
  const row = gather(high) * 2 ** 16 + gather(low);
  const column = gather(high >>> 1) * 2 ** 16 + gather(low >>> 1);
  const { west, east, south, north } = areaOf({ row, column, step: STEP_MAX });
  return {
    longitude: clamp((west + east) / 2, LONGITUDE_MAX),
    latitude: clamp((south + north) / 2, LATITUDE_MAX),
  };
}

function clamp(value: number, max: number): number {
  return Math.max(-max, Math.min(max, value));
}

/** The lower and the higher 32 bits of a score as an x86 processor makes a 64-bit number of it. */
function wordsOf(score: number): readonly [low: number, high: number] {
  if (score >= 0 && score < 2 ** 64) {
    const whole = Math.floor(score);
    return [(whole % 2 ** 32) >>> 0, Math.floor(whole / 2 ** 32)];
  }
  if (score >= 2 ** 64) return [0, 0];
  if (score < -(2 ** 63)) return [0, 0x8000_0000];
  const bits = BigInt.asUintN(64, BigInt(Math.trunc(score)));
  return [Number(bits & 0xffff_ffffn), Number(bits >> 32n)];
}

/** The lower 16 bits, with a zero before each. */
function spread(bits: number): number {
  let spread = bits & 0xffff;
  spread = (spread | (spread << 8)) & 0x00ff_00ff;
  spread = (spread | (spread << 4)) & 0x0f0f_0f0f;
  spread = (spread | (spread << 2)) & 0x3333_3333;
  return (spread | (spread << 1)) & 0x5555_5555;
}

/** Every other of 32 bits, the lowest included. */
function gather(bits: number): number {
  let gathered = bits & 0x5555_5555;
  gathered = (gathered | (gathered >>> 1)) & 0x3333_3333;
  gathered = (gathered | (gathered >>> 2)) & 0x0f0f_0f0f;
  gathered = (gathered | (gathered >>> 4)) & 0x00ff_00ff;
  return (gathered | (gathered >>> 8)) & 0xffff;
}

const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';
/** Five bits a character; of the 11th Redis has but two, and says 0. */
const TEXT_LENGTH = 10;

/** The place as a geohash of 11 characters, whose map ends at the poles. */
export function geohashText(place: Place): string {
  const [bits] = scoresOf(cellOf(place, STEP_MAX, POLE));
  let text = '';
  for (let at = 1; at <= TEXT_LENGTH; at++)
    text += ALPHABET[Math.floor(bits / 2 ** (2 * STEP_MAX - 5 * at)) % 32] ?? '';
  return `${text}0`;
}

export function radians(degrees: number): number {
  return degrees * DEGREE;
}

export function degrees(radians: number): number {
  return radians / DEGREE;
}

/** In metres, along a great circle: the haversine formula. */
export function distanceBetween(one: Place, other: Place): number {
  const [latitude, otherLatitude] = [radians(one.latitude), radians(other.latitude)];
  const u = sine((otherLatitude - latitude) / 2);
  const v = sine((radians(other.longitude) - radians(one.longitude)) / 2);
  const haversine = u * u + cosine(latitude) * cosine(otherLatitude) * v * v;
  return 2 * EARTH_RADIUS * arcSine(Math.sqrt(haversine));
}
