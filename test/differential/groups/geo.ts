/**
 * Places: few members, most of them in a region where the usual radius finds some and not all.
 *
 * No two members are equally far from anywhere: which of them comes first, where COUNT cuts, is chance in Redis. So members of
 * the group's own sets have places of their own, and in sets that others fill nothing is counted.
 */
import type { Group, Source } from '../group.ts';

/** Sets of places of this group alone; there are those of others, too, and one for what is stored. */
const OWN = ['g1', 'g2'];
const STORED = 'g3';

/** One with so many places that Redis keeps a skip list. */
const LARGE = 'large places';

/** Places all over the map, the same whenever they are added. */
function many(source: Source): string[] {
  const from = source.below(5) * 60;
  return Array.from({ length: 60 }, (_, at) => {
    const number = from + at;
    const [east, north] = [((number * 7919) % 3600) / 10 - 180, ((number * 104_729) % 1700) / 10 - 85];
    return [String(east + number / 1e4), String(north + number / 1e5), `p${number}`];
  }).flat();
}

function key(source: Source): string {
  return source.chance(0.85) ? source.pick(OWN) : source.key();
}

function member(source: Source): string {
  return source.chance(0.9) ? `m${source.below(12)}` : source.member();
}

function mostly(source: Source, right: () => string, odd: readonly string[]): string {
  return source.chance(0.95) ? right() : source.pick(odd);
}

/** A fraction of `max`, either side of 0, with so many decimals that no two are alike. */
function within(source: Source, max: number): string {
  return String((source.below(2_000_001) / 1_000_000 - 1) * max);
}

const EAST = ['180', '-180', '0', '179.9999', '-179.9999', '-0.5'];
const NORTH = ['85.05112878', '-85.0511', '84.9', '-80.1', '66.5', '0'];

/** Longitude and latitude: near each other, anywhere, at the borders, or none. */
function place(source: Source): string[] {
  if (source.chance(0.15)) return [within(source, 180), within(source, 85.05112878)];
  if (source.chance(0.15))
    return [
      source.pick([...EAST, within(source, 180)]),
      source.pick([...NORTH, '-85.05112878', within(source, 85)]),
    ];
  return nearby(source);
}

/** A place that no other member gets. */
function placeOf(name: string, source: Source): string[] {
  const number = /^m(\d+)$/.exec(name)?.[1];
  if (number === undefined || !source.chance(0.15)) return nearby(source);
  // Two at the same latitude have others of the longitudes.
  const half = EAST.slice(Number(number) < 6 ? 0 : 3).slice(0, 3);
  return [source.pick(half), NORTH[Number(number) % 6] ?? ''];
}

function nearby(source: Source): string[] {
  if (source.chance(0.05))
    return [
      source.pick(['180.1', '-181', 'x', 'nan', 'inf', '1e300', '181.0078125', '']),
      source.pick(['85.06', '-90', '-0', 'x', '0x10', '1e-400', '']),
    ];
  return [String(13 + Number(within(source, 4))), String(38 + Number(within(source, 3)))];
}

/** A place and a member. */
function placed(source: Source): string[] {
  const name = member(source);
  return [...placeOf(name, source), name];
}

function unit(source: Source): string {
  return mostly(source, () => source.pick(['m', 'km', 'ft', 'mi', 'KM']), ['cm', '', 'kms']);
}

function distance(source: Source): string {
  const usual = (): string => source.pick(['1', '50', '200', '500', '1000.5', '5000', '25000', '0']);
  return mostly(source, usual, ['-1', 'x', '1e400', 'inf', 'nan', '1e9', '0.0001', ' 1']);
}

/** A radius whose unit is such that it finds something. */
function radius(source: Source): string[] {
  return source.chance(0.8)
    ? [distance(source), source.pick(['km', 'km', 'mi'])]
    : [distance(source), unit(source)];
}

function box(source: Source): string[] {
  return [distance(source), ...radius(source)];
}

const ORDER = (source: Source): string[] => source.pick([['ASC'], ['DESC'], ['asc'], []]);

function replyOptions(source: Source): string[] {
  return ['WITHDIST', 'WITHHASH', 'WITHCOORD'].filter(() => source.chance(0.3));
}

function count(source: Source, key: string): string[] {
  if (!OWN.includes(key) && key !== LARGE) return [];
  const number = mostly(source, () => String(1 + source.below(6)), [
    '0',
    '-1',
    'x',
    '9223372036854775808',
    '',
  ]);
  return source.chance(0.4) ? ['COUNT', number, ...source.pick([[], ['ANY']])] : [];
}

function odd(source: Source): string[] {
  if (source.chance(0.9)) return [];
  return source.pick([
    ['ANY'],
    ['COUNT'],
    ['STOREDIST'],
    ['WITHDIST'],
    ['STORE', STORED],
    ['BYRADIUS', '1', 'km'],
    ['x'],
  ]);
}

function shuffled(source: Source, parts: readonly string[][]): string[] {
  const left = [...parts];
  const order: string[][] = [];
  while (left.length > 0) order.push(...left.splice(source.below(left.length), 1));
  return order.flat();
}

/** The set that is searched, and the query. */
function searched(source: Source, set: string, stores: boolean): string[] {
  const middle = source.chance(0.5)
    ? ['FROMLONLAT', ...place(source)]
    : ['FROMMEMBER', source.chance(0.8) ? member(source) : `p${source.below(300)}`];
  const shape = source.chance(0.6) ? ['BYRADIUS', ...radius(source)] : ['BYBOX', ...box(source)];
  const rest = stores ? source.pick([[], ['STOREDIST']]) : replyOptions(source);
  const parts = [middle, shape, ORDER(source), count(source, set), rest, odd(source)];
  if (source.chance(0.04)) parts.splice(source.below(2), 1);
  return [set, ...shuffled(source, parts)];
}

function target(source: Source): string {
  return source.chance(0.8) ? STORED : source.key();
}

/** The options of GEORADIUS. */
function around(source: Source, set: string, ro: boolean): string[] {
  const store = source.chance(0.25) && !ro ? [source.pick(['STORE', 'STOREDIST']), target(source)] : [];
  const rest = store.length > 0 && source.chance(0.9) ? [] : replyOptions(source);
  return shuffled(source, [ORDER(source), count(source, set), rest, store, odd(source)]);
}

function aroundPlace(name: string, set: string, source: Source): string[] {
  return [name, set, ...place(source), ...radius(source), ...around(source, set, name.endsWith('_RO'))];
}

function aroundMember(name: string, set: string, source: Source): string[] {
  return [name, set, member(source), ...radius(source), ...around(source, set, name.endsWith('_RO'))];
}

export const group: Group = {
  name: 'geo',
  commands: [
    ...Array.from({ length: 6 }, () => (source: Source) => [
      'GEOADD',
      key(source),
      ...source.some(() => placed(source), 3),
    ]),
    (source) => [
      'GEOADD',
      key(source),
      ...source.options([() => ['NX'], () => ['XX'], () => ['CH'], () => ['INCR']]),
      ...placed(source),
    ],
    (source) => ['ZREM', key(source), ...source.some(() => member(source))],
    (source) => ['ZADD', source.chance(0.8) ? STORED : source.key(), source.float(), member(source)],
    (source) => ['GEOPOS', key(source), ...source.some(() => member(source), 4)],
    (source) => ['GEOHASH', key(source), ...source.some(() => member(source), 4)],
    (source) => [
      'GEODIST',
      key(source),
      member(source),
      member(source),
      ...source.pick([[], [unit(source)]]),
    ],
    (source) => ['GEOSEARCH', ...searched(source, key(source), false)],
    (source) => ['GEOSEARCH', ...searched(source, key(source), false)],
    (source) => ['GEOSEARCH', ...searched(source, source.pick([STORED, key(source)]), false)],
    (source) => ['GEOSEARCHSTORE', target(source), ...searched(source, key(source), true)],
    (source) => aroundPlace('GEORADIUS', key(source), source),
    (source) => aroundPlace('GEORADIUS_RO', key(source), source),
    (source) => aroundMember('GEORADIUSBYMEMBER', key(source), source),
    (source) => aroundMember('GEORADIUSBYMEMBER_RO', key(source), source),
    (source) => ['GEOADD', LARGE, ...many(source)],
    (source) => ['GEOSEARCH', ...searched(source, LARGE, false)],
    (source) => ['GEOSEARCHSTORE', STORED, ...searched(source, LARGE, true)],
    (source) => aroundPlace('GEORADIUS', LARGE, source),
    (source) => ['ZRANGE', source.pick([STORED, key(source)]), '0', '-1', 'WITHSCORES'],
    (source) => ['GEOPOS', STORED, ...source.some(() => member(source), 4)],
  ],
};
