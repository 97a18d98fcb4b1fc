/** GEOSEARCH and GEOSEARCHSTORE, and what they took the place of: GEORADIUS and its kin. */
import type { DataCommand } from '../command.ts';
import { type Context, entryAs, readAs } from '../context.ts';
import { parseDouble } from '../double.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { type Found, search, type Shape } from '../geo-search.ts';
import { type Place, placeOf } from '../geohash.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { SortedSet } from '../types/sorted-set.ts';
import { parsePlace, parseUnit, writeDistance, writePlace } from './geo.ts';
import { ONE_KEY, TWO_KEYS } from './positions.ts';
import { storeMembers } from './sorted-set-ranges.ts';

type Run = DataCommand['run'];

/** How a command is written. */
interface Form {
  /** Where middle and shape come from: arguments in fixed places, or options. */
  readonly by: 'place' | 'member' | 'options';
  /** Whether the result is never stored, always, or where an option says so. */
  readonly stores: 'never' | 'always' | 'maybe';
}

/** A size without its middle. */
type Size =
  | { readonly kind: 'circle'; readonly radius: number; readonly unit: number }
  | { readonly kind: 'box'; readonly width: number; readonly height: number; readonly unit: number };

interface Query {
  /** What gave the middle: nothing else must come as well. */
  from: 'member' | 'place' | null;
  /** Not known where it is a member's of a set that is missing. */
  middle: Place | null;
  size: Size | null;
  withDistance: boolean;
  withHash: boolean;
  withPlace: boolean;
  order: 'ascending' | 'descending' | null;
  /** 0: all. */
  count: number;
  /** The first ones that are found will do. */
  any: boolean;
  target: string | null;
  storesDistances: boolean;
}

// --- Arguments ---------------------------------------------------------------------------------------------------

function parseCircle(radiusText: string, unitText: string): Size | string {
  const radius = parseDouble(radiusText);
  if (radius === undefined) return 'ERR need numeric radius';
  if (radius < 0) return 'ERR radius cannot be negative';
  const unit = parseUnit(unitText);
  return typeof unit === 'string' ? unit : { kind: 'circle', radius, unit };
}

function parseBox(widthText: string, heightText: string, unitText: string): Size | string {
  const width = parseDouble(widthText);
  if (width === undefined) return 'ERR need numeric width';
  const height = parseDouble(heightText);
  if (height === undefined) return 'ERR need numeric height';
  if (height < 0 || width < 0) return 'ERR height or width cannot be negative';
  const unit = parseUnit(unitText);
  return typeof unit === 'string' ? unit : { kind: 'box', width, height, unit };
}

/** Where a member is, `null` where there is no set; or the text of the error. */
function placeOfMember(set: SortedSet | undefined, name: string): Place | null | string {
  if (set === undefined) return null;
  const score = set.get(name)?.score;
  return score === undefined ? 'ERR could not decode requested zset member' : placeOf(score);
}

/** What is asked for, or the text of the error. `set` is `undefined` where the key is missing. */
function parseQuery(form: Form, args: readonly string[], set: SortedSet | undefined): Query | string {
  const query: Query = {
    from: null,
    middle: null,
    size: null,
    withDistance: false,
    withHash: false,
    withPlace: false,
    order: null,
    count: 0,
    any: false,
    target: form.by === 'options' && form.stores === 'always' ? (args[1] ?? '') : null,
    storesDistances: false,
  };
  const error = parseFixed(form, args, set, query) ?? parseOptions(form, args, set, query);
  return error ?? checkQuery(form, args[0] ?? '', query) ?? query;
}

/** Takes the arguments in fixed places; the text of the error where they are wrong. */
function parseFixed(
  { by }: Form,
  args: readonly string[],
  set: SortedSet | undefined,
  query: Query,
): string | undefined {
  if (by === 'options') return undefined;
  const middle =
    by === 'place' ? parsePlace(args[2] ?? '', args[3] ?? '') : placeOfMember(set, args[2] ?? '');
  if (typeof middle === 'string') return middle;
  query.from = by;
  query.middle = middle;
  // Without a middle Redis does not look at the radius either.
  if (middle === null) return undefined;
  const at = by === 'place' ? 4 : 3;
  const size = parseCircle(args[at] ?? '', args[at + 1] ?? '');
  if (typeof size === 'string') return size;
  query.size = size;
  return undefined;
}

/** Takes the options; the text of the error where they are wrong. */
function parseOptions(
  form: Form,
  args: readonly string[],
  set: SortedSet | undefined,
  query: Query,
): string | undefined {
  let at = firstOption(form);
  while (at < args.length) {
    const [option = '', ...rest] = args.slice(at, at + 4);
    const taken =
      parseCommonOption(option.toLowerCase(), rest, query) ??
      (form.by === 'options'
        ? parseShapeOption(form, option.toLowerCase(), rest, set, query)
        : parseStoreOption(form, option.toLowerCase(), rest, query));
    if (taken === null) return SYNTAX_ERROR;
    if (typeof taken === 'string') return taken;
    at += 1 + taken;
  }
  return undefined;
}

function firstOption({ by, stores }: Form): number {
  if (by === 'place') return 6;
  if (by === 'member') return 5;
  return stores === 'always' ? 3 : 2;
}

/** How many of the arguments behind the option belong to it; the text of the error; or `null` where it is none of these. */
type Taken = number | string | null;

function parseCommonOption(option: string, [first]: readonly string[], query: Query): Taken {
  switch (option) {
    case 'withdist':
      query.withDistance = true;
      return 0;
    case 'withhash':
      query.withHash = true;
      return 0;
    case 'withcoord':
      query.withPlace = true;
      return 0;
    case 'any':
      query.any = true;
      return 0;
    case 'asc':
      query.order = 'ascending';
      return 0;
    case 'desc':
      query.order = 'descending';
      return 0;
    case 'count': {
      if (first === undefined) return null;
      const count = parseInteger(first);
      if (count === undefined) return NOT_AN_INTEGER;
      if (count <= 0) return 'ERR COUNT must be > 0';
      query.count = clampInteger(count);
      return 1;
    }
    default:
      return null;
  }
}

/** STORE and STOREDIST of GEORADIUS. */
function parseStoreOption(form: Form, option: string, [first]: readonly string[], query: Query): Taken {
  if (form.stores !== 'maybe' || first === undefined) return null;
  if (option !== 'store' && option !== 'storedist') return null;
  query.target = first;
  query.storesDistances = option === 'storedist';
  return 1;
}

/** What GEOSEARCH has instead of arguments in fixed places. */
function parseShapeOption(
  form: Form,
  option: string,
  rest: readonly string[],
  set: SortedSet | undefined,
  query: Query,
): Taken {
  const [first = '', second = '', third = ''] = rest;
  switch (option) {
    case 'storedist':
      if (form.stores !== 'always') return null;
      query.storesDistances = true;
      return 0;
    case 'frommember': {
      if (rest.length < 1 || query.from === 'place') return null;
      const middle = placeOfMember(set, first);
      if (typeof middle === 'string') return middle;
      query.middle = middle;
      query.from = 'member';
      return 1;
    }
    case 'fromlonlat': {
      if (rest.length < 2 || query.from === 'member') return null;
      const middle = parsePlace(first, second);
      if (typeof middle === 'string') return middle;
      query.middle = middle;
      query.from = 'place';
      return 2;
    }
    case 'byradius':
    case 'bybox': {
      const count = option === 'bybox' ? 3 : 2;
      const kind = option === 'bybox' ? 'box' : 'circle';
      if (rest.length < count || (query.size !== null && query.size.kind !== kind)) return null;
      const size = kind === 'box' ? parseBox(first, second, third) : parseCircle(first, second);
      if (typeof size === 'string') return size;
      query.size = size;
      return count;
    }
    default:
      return null;
  }
}

/** The text of the error where options contradict each other or are missing; `name` as the client wrote it. */
function checkQuery({ by }: Form, name: string, query: Query): string | undefined {
  const { from, size, target, withDistance, withHash, withPlace, any, count } = query;
  if (target !== null && (withDistance || withHash || withPlace)) {
    const command = by === 'options' ? 'GEOSEARCHSTORE' : 'STORE option in GEORADIUS';
    return `ERR ${command} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`;
  }
  if (from === null) return `ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ${name}`;
  if (by === 'options' && size === null)
    return `ERR exactly one of BYRADIUS and BYBOX can be specified for ${name}`;
  if (any && count === 0) return 'ERR the ANY argument requires COUNT argument';
  return undefined;
}

// --- Results -----------------------------------------------------------------------------------------------------

function runSearch(form: Form): Run {
  const event = form.by === 'options' ? 'geosearchstore' : 'georadiusstore';
  return (context, args, reply) => {
    const key = args[form.stores === 'always' ? 2 : 1] ?? '';
    const set = form.stores === 'never' ? readAs(context, key, SortedSet) : setToWrite(context, key);
    if (typeof set === 'string') {
      reply.error(set);
      return;
    }
    const query = parseQuery(form, args, set);
    if (typeof query === 'string') {
      reply.error(query);
      return;
    }
    const found = set === undefined ? [] : find(set, query);
    const { target, storesDistances } = query;
    if (target === null) writeFound(found, query, reply);
    else {
      const unit = query.size?.unit ?? 1;
      const members = found.map(({ member: { name, score }, distance }) => ({
        name,
        score: storesDistances ? distance / unit : score,
      }));
      reply.integer(storeMembers(context, target, members, event));
    }
  };
}

/** As `readAs`, and a key whose deadline has passed is removed. */
function setToWrite(context: Context, key: string): SortedSet | undefined | string {
  const entry = entryAs(context, key, SortedSet);
  return typeof entry === 'string' ? entry : entry?.value;
}

function find(set: SortedSet, { middle, size, order, any, count }: Query): Found[] {
  // Both are known where there is a set.
  if (middle === null || size === null) return [];
  const shape: Shape = { ...size, middle };
  const found = search(set, shape, any ? count : 0);
  // The nearest ones are meant where only their number is given.
  const sorted = order ?? (count > 0 && !any ? 'ascending' : null);
  if (sorted === 'ascending') found.sort((a, b) => a.distance - b.distance);
  else if (sorted === 'descending') found.sort((a, b) => b.distance - a.distance);
  return count > 0 ? found.slice(0, count) : found;
}

function writeFound(found: readonly Found[], query: Query, reply: ReplyWriter): void {
  const { withDistance, withHash, withPlace } = query;
  const unit = query.size?.unit ?? 1;
  const extras = Number(withDistance) + Number(withHash) + Number(withPlace);
  reply.array(found.length);
  for (const { member, place, distance } of found) {
    if (extras > 0) reply.array(1 + extras);
    reply.bulk(member.name);
    if (withDistance) writeDistance(distance / unit, reply);
    if (withHash) reply.integer(Number.isSafeInteger(member.score) ? member.score : wholeOf(member.score));
    if (withPlace) writePlace(place, reply);
  }
}

const LEAST = -(2n ** 63n);

/** A score as a 64-bit number, as an x86 processor makes it. */
function wholeOf(score: number): bigint {
  if (!Number.isFinite(score) || Math.abs(score) >= 2 ** 63) return LEAST;
  return BigInt(Math.trunc(score));
}

// --- The table ---------------------------------------------------------------------------------------------------

type GeoCommand = Omit<DataCommand, 'kind' | 'group'>;

const SEARCH =
  'O(N + log M) where N is the number of members in the cells around the shape and M all there are';

const georadius: GeoCommand = {
  name: 'georadius',
  arity: -6,
  write: true,
  flags: ['write', 'denyoom', 'movablekeys'],
  keys: ONE_KEY,
  categories: ['write', 'geo', 'slow'],
  usage:
    '<key> <longitude> <latitude> <radius> M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count> [ANY]] [ASC|DESC] [STORE <key>] [STOREDIST <key>]',
  summary: 'Members in a circle around a place; GEOSEARCH has taken its place',
  since: '3.2.0',
  complexity: SEARCH,
  run: runSearch({ by: 'place', stores: 'maybe' }),
};

const georadiusRo: GeoCommand = {
  name: 'georadius_ro',
  arity: -6,
  write: false,
  flags: ['readonly'],
  keys: ONE_KEY,
  categories: ['read', 'geo', 'slow'],
  usage:
    '<key> <longitude> <latitude> <radius> M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count> [ANY]] [ASC|DESC]',
  summary: 'Members in a circle around a place, never stored; GEOSEARCH has taken its place',
  since: '3.2.10',
  complexity: SEARCH,
  run: runSearch({ by: 'place', stores: 'never' }),
};

const commands: readonly GeoCommand[] = [
  {
    name: 'geosearch',
    arity: -7,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'geo', 'slow'],
    usage:
      '<key> (FROMMEMBER <member>|FROMLONLAT <longitude> <latitude>) (BYRADIUS <radius> (M|KM|FT|MI)|BYBOX <width> <height> (M|KM|FT|MI)) [ASC|DESC] [COUNT <count> [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]',
    summary: 'Members in a circle or a rectangle around a place or a member',
    since: '6.2.0',
    complexity: SEARCH,
    run: runSearch({ by: 'options', stores: 'never' }),
  },
  {
    name: 'geosearchstore',
    arity: -8,
    write: true,
    flags: ['write', 'denyoom'],
    keys: TWO_KEYS,
    categories: ['write', 'geo', 'slow'],
    usage:
      '<destination> <source> (FROMMEMBER <member>|FROMLONLAT <longitude> <latitude>) (BYRADIUS <radius> (M|KM|FT|MI)|BYBOX <width> <height> (M|KM|FT|MI)) [ASC|DESC] [COUNT <count> [ANY]] [STOREDIST]',
    summary: 'Stores members in a circle or a rectangle as another sorted set',
    since: '6.2.0',
    complexity: SEARCH,
    run: runSearch({ by: 'options', stores: 'always' }),
  },
  georadius,
  georadiusRo,
  {
    ...georadius,
    name: 'georadiusbymember',
    arity: -5,
    usage:
      '<key> <member> <radius> M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count> [ANY]] [ASC|DESC] [STORE <key>] [STOREDIST <key>]',
    summary: 'Members in a circle around a member; GEOSEARCH has taken its place',
    run: runSearch({ by: 'member', stores: 'maybe' }),
  },
  {
    ...georadiusRo,
    name: 'georadiusbymember_ro',
    arity: -5,
    usage:
      '<key> <member> <radius> M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count> [ANY]] [ASC|DESC]',
    summary: 'Members in a circle around a member, never stored; GEOSEARCH has taken its place',
    run: runSearch({ by: 'member', stores: 'never' }),
  },
];

export const geoSearchCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'geo',
  ...command,
}));
