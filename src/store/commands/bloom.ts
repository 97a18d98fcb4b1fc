/** Commands over Bloom filters; see `types/bloom.ts`. */
import type { DataCommand } from '../command.ts';
import { changeAs, type Context, entryAs, readAs } from '../context.ts';
import { parseDouble } from '../double.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { BloomFilter, type BloomOptions, EXPANSION_DEFAULT, EXPANSION_MAX } from '../types/bloom.ts';
import { wrongArity } from '../errors.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

const NOT_FOUND = 'ERR not found';
const NOT_CREATED = 'ERR could not create filter';
const BAD_ERROR_RATE = 'ERR bad error rate';
const BAD_CAPACITY = 'ERR bad capacity';
const BAD_EXPANSION = 'ERR bad expansion';
const BAD_DATA = 'ERR received bad data';
const UNKNOWN_ARGUMENT = 'ERR Unknown argument received';
/** RedisBloom's, where nothing else is asked for. */
const DEFAULTS: BloomOptions = { error: 0.01, capacity: 100, expansion: EXPANSION_DEFAULT };
/** What BF.SCANDUMP returns at once, at most. */
const DUMP_BYTES_MAX: number = 1024 * 1024;

// --- Arguments ---------------------------------------------------------------------------------------------------

function parseErrorRate(text: string): number | string {
  const error = parseDouble(text);
  if (error === undefined) return BAD_ERROR_RATE;
  return error > 0 && error < 1 ? error : 'ERR (0 < error rate range < 1)';
}

function parseCapacity(text: string): number | string {
  const capacity = parseInteger(text);
  if (capacity === undefined) return BAD_CAPACITY;
  return capacity > 0 ? clampInteger(capacity) : 'ERR (capacity should be larger than 0)';
}

function parseExpansion(text: string): number | string {
  const expansion = parseInteger(text);
  return expansion !== undefined && expansion >= 1 && expansion <= EXPANSION_MAX
    ? Number(expansion)
    : BAD_EXPANSION;
}

/** The options of BF.RESERVE behind the capacity: the expansion, or the text of the error. */
function parseReserveOptions(args: readonly string[]): number | null | string {
  let fixed = false;
  let expansion: number | undefined;
  for (let at = 4; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    if (word === 'nonscaling') fixed = true;
    else if (word !== 'expansion') return UNKNOWN_ARGUMENT;
    else {
      const text = args[++at];
      if (text === undefined) return 'ERR no expansion';
      const parsed = parseExpansion(text);
      if (typeof parsed === 'string') return parsed;
      expansion = parsed;
    }
  }
  if (fixed && expansion !== undefined) return 'ERR Nonscaling filters cannot expand';
  return fixed ? null : (expansion ?? EXPANSION_DEFAULT);
}

interface Insertion {
  /** What to make where there is no filter; `null`: that is an error. */
  readonly create: BloomOptions | null;
  readonly items: readonly string[];
}

/** The arguments of BF.INSERT, or the text of the error. */
function parseInsertion(args: readonly string[]): Insertion | string {
  let { error, capacity, expansion } = DEFAULTS;
  let create = true;
  let fixed = false;
  for (let at = 2; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    if (word === 'items') {
      const items = args.slice(at + 1);
      if (items.length === 0) break;
      return { create: create ? { error, capacity, expansion: fixed ? null : expansion } : null, items };
    }
    if (word === 'nocreate') create = false;
    else if (word === 'nonscaling') fixed = true;
    else {
      const parsers = { error: parseErrorRate, capacity: parseCapacity, expansion: parseExpansion };
      if (word !== 'error' && word !== 'capacity' && word !== 'expansion') return UNKNOWN_ARGUMENT;
      const text = args[++at];
      if (text === undefined) break;
      const parsed = parsers[word](text);
      if (typeof parsed === 'string') return parsed;
      if (word === 'error') error = parsed;
      else if (word === 'capacity') capacity = parsed;
      else expansion = parsed;
    }
  }
  return wrongArity('bf.insert');
}

// --- Making and filling ------------------------------------------------------------------------------------------

const runReserve: Run = (context, args, reply) => {
  const [, key = '', rate = '', size = ''] = args;
  if (args.length > 7) {
    reply.error(wrongArity('bf.reserve'));
    return;
  }
  const error = parseErrorRate(rate);
  const capacity = parseCapacity(size);
  const expansion = parseReserveOptions(args);
  const failure = [error, capacity, expansion].find((parsed) => typeof parsed === 'string');
  if (typeof error === 'string' || typeof capacity === 'string' || typeof expansion === 'string') {
    reply.error(String(failure));
    return;
  }
  const entry = entryAs(context, key, BloomFilter);
  if (typeof entry === 'string') reply.error(entry);
  else if (entry !== undefined) reply.error('ERR item exists');
  else if (create(context, key, { error, capacity, expansion })) reply.ok();
  else reply.error(NOT_CREATED);
};

/** Puts a new filter under a key that is missing; false where it can't be made. */
function create(context: Context, key: string, options: BloomOptions): boolean {
  // Tried apart from the key: one that fails must not leave a key.
  if (!new BloomFilter().reserve(options)) return false;
  const filter = changeAs(context, key, BloomFilter);
  return typeof filter !== 'string' && filter.reserve(options);
}

/** Adds the items; for each whether it is new, or the text of the error, behind which none is tried. */
function addAll(
  context: Context,
  key: string,
  entry: Entry<BloomFilter>,
  items: readonly string[],
): (boolean | string)[] {
  const filter = entry.value;
  const results: (boolean | string)[] = [];
  for (const item of items) {
    if (filter.has(item)) {
      results.push(false);
      continue;
    }
    switch (filter.room) {
      case 'full':
        return [...results, 'ERR non scaling filter is full'];
      case 'stuck':
        return [...results, 'ERR problem inserting into filter'];
      case 'free':
        context.keyspace.change(key, entry);
        filter.add(item);
        results.push(true);
    }
  }
  return results;
}

function insert(
  context: Context,
  key: string,
  insertion: Insertion,
  several: boolean,
  reply: ReplyWriter,
): void {
  let entry = entryAs(context, key, BloomFilter);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined) {
    if (insertion.create === null || !create(context, key, insertion.create)) {
      reply.error(insertion.create === null ? NOT_FOUND : NOT_CREATED);
      return;
    }
    entry = entryAs(context, key, BloomFilter);
  }
  const results = typeof entry === 'object' ? addAll(context, key, entry, insertion.items) : [];
  if (several) reply.array(results.length);
  for (const result of results) {
    if (typeof result === 'string') reply.error(result);
    else reply.boolean(result);
  }
}

const runAdd: Run = (context, args, reply) =>
  insert(context, args[1] ?? '', { create: DEFAULTS, items: args.slice(2) }, false, reply);

const runMAdd: Run = (context, args, reply) =>
  insert(context, args[1] ?? '', { create: DEFAULTS, items: args.slice(2) }, true, reply);

const runInsert: Run = (context, args, reply) => {
  const insertion = parseInsertion(args);
  if (typeof insertion === 'string') reply.error(insertion);
  else insert(context, args[1] ?? '', insertion, true, reply);
};

// --- Asking ------------------------------------------------------------------------------------------------------

function runExists(several: boolean): Run {
  return (context, args, reply) => {
    const filter = readAs(context, args[1] ?? '', BloomFilter);
    if (several) reply.array(args.length - 2);
    // A key of another type has no items, as in RedisBloom.
    for (const item of args.slice(2)) reply.boolean(typeof filter === 'object' && filter.has(item));
  };
}

const runCard: Run = (context, args, reply) => {
  const filter = readAs(context, args[1] ?? '', BloomFilter);
  if (typeof filter === 'string') reply.error(filter);
  else reply.integer(filter?.size ?? 0);
};

const INFORMATION: readonly {
  readonly word: string;
  readonly name: string;
  readonly of: (filter: BloomFilter) => number | null;
}[] = [
  { word: 'capacity', name: 'Capacity', of: ({ capacity }) => capacity },
  { word: 'size', name: 'Size', of: ({ reportedBytes }) => reportedBytes },
  { word: 'filters', name: 'Number of filters', of: ({ filters }) => filters },
  { word: 'items', name: 'Number of items inserted', of: ({ size }) => size },
  { word: 'expansion', name: 'Expansion rate', of: ({ expansion }) => expansion },
];

const runInfo: Run = (context, args, reply) => {
  const [, key = '', word] = args;
  if (args.length > 3) {
    reply.error(wrongArity('bf.info'));
    return;
  }
  const filter = readAs(context, key, BloomFilter);
  if (typeof filter !== 'object') {
    reply.error(filter ?? NOT_FOUND);
    return;
  }
  const put = (number: number | null): void => (number === null ? reply.bulk(null) : reply.integer(number));
  if (word === undefined) {
    reply.map(INFORMATION.length);
    for (const { name, of } of INFORMATION) {
      reply.simple(name);
      put(of(filter));
    }
    return;
  }
  const asked = INFORMATION.find((information) => information.word === word.toLowerCase());
  if (asked === undefined) {
    reply.error('ERR Invalid information value');
    return;
  }
  reply.array(1);
  put(asked.of(filter));
};

// --- Dumps -------------------------------------------------------------------------------------------------------

/** The header has the iterator 1; behind it, the iterator says how many bytes came before, plus 1. */
const HEADER_ITERATOR = 1;

const runScanDump: Run = (context, args, reply) => {
  const [, key = '', text = ''] = args;
  const filter = readAs(context, key, BloomFilter);
  if (typeof filter !== 'object') {
    reply.error(filter ?? NOT_FOUND);
    return;
  }
  const iterator = parseInteger(text);
  if (iterator === undefined) {
    reply.error('ERR Second argument must be numeric');
    return;
  }
  reply.array(2);
  if (iterator === 0) {
    reply.integer(HEADER_ITERATOR);
    reply.bulk(filter.header().toString('latin1'));
    return;
  }
  const from = clampInteger(iterator) - HEADER_ITERATOR;
  const bytes = from < 0 ? null : filter.dump(from, DUMP_BYTES_MAX);
  reply.integer(bytes === null ? 0 : from + bytes.length + HEADER_ITERATOR);
  reply.bulk(bytes ?? '');
};

const runLoadChunk: Run = (context, args, reply) => {
  const [, key = '', text = '', bytes = ''] = args;
  const iterator = parseInteger(text);
  if (iterator === undefined) {
    reply.error('ERR Second argument must be numeric');
    return;
  }
  const entry = entryAs(context, key, BloomFilter);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined) {
    if (iterator !== HEADER_ITERATOR) reply.error(NOT_FOUND);
    else {
      const filter = new BloomFilter();
      if (filter.loadHeader(Buffer.from(bytes, 'latin1'))) {
        context.keyspace.set(key, filter, 0);
        reply.ok();
      } else reply.error(BAD_DATA);
    }
    return;
  }
  const from = clampInteger(iterator) - HEADER_ITERATOR - bytes.length;
  switch (from < 0 ? 'before' : entry.value.fits(from, bytes.length)) {
    case 'before':
      reply.error(BAD_DATA);
      break;
    case 'nowhere':
      reply.error('ERR invalid offset - no link found');
      break;
    case 'too long':
      reply.error('ERR invalid chunk - Too big for current filter');
      break;
    case 'fits':
      context.keyspace.change(key, entry);
      entry.value.load(from, bytes);
      reply.ok();
  }
};

// --- The table ---------------------------------------------------------------------------------------------------

type BloomCommand = Omit<DataCommand, 'kind' | 'group' | 'keys' | 'since' | 'write' | 'flags' | 'categories'>;

const WRITE: Pick<DataCommand, 'write' | 'flags' | 'categories'> = {
  write: true,
  flags: ['write', 'denyoom'],
  categories: ['write', 'bloom', 'slow'],
};
const READ: Pick<DataCommand, 'write' | 'flags' | 'categories'> = {
  write: false,
  flags: ['readonly', 'fast'],
  categories: ['read', 'bloom', 'fast'],
};

const writes: readonly BloomCommand[] = [
  {
    name: 'bf.reserve',
    arity: -4,
    usage: '<key> <error-rate> <capacity> [EXPANSION <expansion>] [NONSCALING]',
    summary: 'Makes an empty Bloom filter for an error rate and a number of items',
    complexity: 'O(1)',
    run: runReserve,
  },
  {
    name: 'bf.add',
    arity: 3,
    usage: '<key> <item>',
    summary: 'Adds an item to a Bloom filter, creating it',
    complexity: 'O(K) where K is the number of hashes of all filters',
    run: runAdd,
  },
  {
    name: 'bf.madd',
    arity: -3,
    usage: '<key> <item> [<item> ...]',
    summary: 'Adds items to a Bloom filter, creating it',
    complexity: 'O(N * K) where N is the number of items and K that of the hashes of all filters',
    run: runMAdd,
  },
  {
    name: 'bf.insert',
    arity: -4,
    usage:
      '<key> [CAPACITY <capacity>] [ERROR <error-rate>] [EXPANSION <expansion>] [NOCREATE] [NONSCALING] ITEMS <item> [<item> ...]',
    summary: 'Adds items to a Bloom filter, creating it as told',
    complexity: 'O(N * K) where N is the number of items and K that of the hashes of all filters',
    run: runInsert,
  },
  {
    name: 'bf.loadchunk',
    arity: 4,
    usage: '<key> <iterator> <data>',
    summary: 'Restores a part of a Bloom filter',
    complexity: 'O(N) where N is the number of bytes',
    run: runLoadChunk,
  },
];

const reads: readonly BloomCommand[] = [
  {
    name: 'bf.exists',
    arity: 3,
    usage: '<key> <item>',
    summary: 'Whether an item was added to a Bloom filter, with a small error',
    complexity: 'O(K) where K is the number of hashes of all filters',
    run: runExists(false),
  },
  {
    name: 'bf.mexists',
    arity: -3,
    usage: '<key> <item> [<item> ...]',
    summary: 'Whether items were added to a Bloom filter, with a small error',
    complexity: 'O(N * K) where N is the number of items and K that of the hashes of all filters',
    run: runExists(true),
  },
  {
    name: 'bf.card',
    arity: 2,
    usage: '<key>',
    summary: 'How many items were added to a Bloom filter',
    complexity: 'O(1)',
    run: runCard,
  },
  {
    name: 'bf.info',
    arity: -2,
    usage: '<key> [CAPACITY|SIZE|FILTERS|ITEMS|EXPANSION]',
    summary: 'Size, capacity and growth of a Bloom filter',
    complexity: 'O(1)',
    run: runInfo,
  },
  {
    name: 'bf.scandump',
    arity: 3,
    usage: '<key> <iterator>',
    summary: 'A part of a Bloom filter, to be restored with BF.LOADCHUNK',
    complexity: 'O(N) where N is the number of bytes',
    run: runScanDump,
  },
];

/** They came with RedisBloom, its version 1.0.0; BF.CARD with 2.4.4. */
export const bloomCommands: readonly DataCommand[] = [
  ...writes.map((command) => ({ ...WRITE, ...command })),
  ...reads.map((command) => ({ ...READ, ...command })),
].map((command) => ({
  kind: 'data',
  group: 'bf',
  since: command.name === 'bf.card' ? '2.4.4' : '1.0.0',
  keys: ONE_KEY,
  ...command,
}));
