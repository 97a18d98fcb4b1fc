/** Commands over places, which are scores of sorted sets; searches are in `geo-searches.ts`. */
import type { DataCommand } from '../command.ts';
import { readAs } from '../context.ts';
import { fixedText, parseDouble } from '../double.ts';
import { NOT_A_FLOAT, SYNTAX_ERROR } from '../errors.ts';
import { distanceBetween, geohashText, isOnMap, type Place, placeOf, scoreOf } from '../geohash.ts';
import type { ReplyWriter } from '../reply.ts';
import { SortedSet } from '../types/sorted-set.ts';
import { ONE_KEY } from './positions.ts';
import { type Addition, addMembers, PLAIN } from './sorted-sets.ts';

type Run = DataCommand['run'];

// --- Arguments and replies ---------------------------------------------------------------------------------------

/** The place that two arguments name, or the text of the error. */
export function parsePlace(longitudeText: string, latitudeText: string): Place | string {
  const [longitude, latitude] = [parseDouble(longitudeText), parseDouble(latitudeText)];
  if (longitude === undefined || latitude === undefined) return NOT_A_FLOAT;
  const place = { longitude, latitude };
  if (isOnMap(place)) return place;
  return `ERR invalid longitude,latitude pair ${fixedText(longitude, 6)},${fixedText(latitude, 6)}`;
}

/** In metres. */
const UNITS: Readonly<Record<string, number>> = { m: 1, km: 1000, ft: 0.3048, mi: 1609.34 };

/** How many metres the unit has, or the text of the error. */
export function parseUnit(text: string): number | string {
  const unit = text.toLowerCase();
  const metres = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
  return metres ?? 'ERR unsupported unit provided. please use M, KM, FT, MI';
}

/** A distance is told to 4 decimals in every protocol. */
export function writeDistance(distance: number, reply: ReplyWriter): void {
  reply.bulk(fixedText(distance, 4));
}

export function writePlace({ longitude, latitude }: Place, reply: ReplyWriter): void {
  reply.array(2);
  writeCoordinate(longitude, reply);
  writeCoordinate(latitude, reply);
}

/** 17 decimals, without zeros at the end: a coordinate has no more digits that mean anything. */
function writeCoordinate(value: number, reply: ReplyWriter): void {
  const text = fixedText(value, 17).replace(/\.?0+$/, '');
  reply.double(value, text === '-0' ? '0' : text);
}

// --- Commands ----------------------------------------------------------------------------------------------------

/** ZADD with places for scores; of its options NX, XX and CH. */
const runAdd: Run = (context, args, reply) => {
  const options = { ...PLAIN };
  let at = 2;
  for (; at < args.length; at++) {
    const word = args[at]?.toLowerCase();
    if (word === 'nx') options.onlyNew = true;
    else if (word === 'xx') options.onlyThere = true;
    else if (word === 'ch') options.countsChanges = true;
    else break;
  }
  const count = args.length - at;
  if (count === 0 || count % 3 !== 0 || (options.onlyNew && options.onlyThere)) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const additions: Addition[] = [];
  for (; at < args.length; at += 3) {
    const place = parsePlace(args[at] ?? '', args[at + 1] ?? '');
    if (typeof place === 'string') {
      reply.error(place);
      return;
    }
    additions.push([scoreOf(place), args[at + 2] ?? '']);
  }
  addMembers(context, args[1] ?? '', options, additions, reply);
};

/** GEOPOS and GEOHASH: something about each member's place. */
function runEach(write: (place: Place | undefined, reply: ReplyWriter) => void): Run {
  return (context, args, reply) => {
    const [, key = '', ...names] = args;
    const set = readAs(context, key, SortedSet);
    if (typeof set === 'string') {
      reply.error(set);
      return;
    }
    reply.array(names.length);
    for (const name of names) {
      const score = set?.get(name)?.score;
      write(score === undefined ? undefined : placeOf(score), reply);
    }
  };
}

const runPositions = runEach((place, reply) => {
  if (place === undefined) reply.nullArray();
  else writePlace(place, reply);
});

const runHashes = runEach((place, reply) => reply.bulk(place === undefined ? null : geohashText(place)));

const runDistance: Run = (context, args, reply) => {
  const [, key = '', one = '', other = '', unitText = 'm'] = args;
  const unit = args.length > 5 ? SYNTAX_ERROR : parseUnit(unitText);
  if (typeof unit === 'string') {
    reply.error(unit);
    return;
  }
  const set = readAs(context, key, SortedSet);
  if (typeof set === 'string') {
    reply.error(set);
    return;
  }
  const [from, to] = [set?.get(one)?.score, set?.get(other)?.score];
  if (from === undefined || to === undefined) reply.bulk(null);
  else writeDistance(distanceBetween(placeOf(from), placeOf(to)) / unit, reply);
};

// --- The table ---------------------------------------------------------------------------------------------------

const commands: readonly Omit<DataCommand, 'kind' | 'group'>[] = [
  {
    name: 'geoadd',
    arity: -5,
    write: true,
    flags: ['write', 'denyoom'],
    keys: ONE_KEY,
    categories: ['write', 'geo', 'slow'],
    usage: '<key> [NX|XX] [CH] <longitude> <latitude> <member> [<longitude> <latitude> <member> ...]',
    summary: 'Adds members with places, by longitude and latitude, to a sorted set',
    since: '3.2.0',
    complexity: 'O(log N) for each member, where N is the size of the set',
    run: runAdd,
  },
  {
    name: 'geopos',
    arity: -2,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'geo', 'slow'],
    usage: '<key> [<member> ...]',
    summary: 'Longitude and latitude of members',
    since: '3.2.0',
    complexity: 'O(log N) for each member asked for',
    run: runPositions,
  },
  {
    name: 'geohash',
    arity: -2,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'geo', 'slow'],
    usage: '<key> [<member> ...]',
    summary: 'The places of members as geohashes of 11 characters',
    since: '3.2.0',
    complexity: 'O(log N) for each member asked for',
    run: runHashes,
  },
  {
    name: 'geodist',
    arity: -4,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'geo', 'slow'],
    usage: '<key> <member1> <member2> [M|KM|FT|MI]',
    summary: 'How far two members are from each other',
    since: '3.2.0',
    complexity: 'O(log N)',
    run: runDistance,
  },
];

export const geoCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'geo',
  ...command,
}));
