/**
 * Where the keys of a command are and what it does with each of them, as the key specifications of Redis say it: COMMAND tells
 * clients, and what a user may do with which keys is checked by them (`access.ts`).
 *
 * Most commands follow from their declaration: the keys at its positions are read, and changed too where it writes. Those that
 * Redis describes in another way stand here, in groups, as their declarations share most of what they say.
 */
import { clampInteger, parseInteger } from './integer.ts';

/**
 * RO, RW, OW and RM say whether the value is read, changed, overwritten or removed as a whole; `access`, `insert`, `update` and
 * `delete` whether the content that a client stored gets out, and how it may be changed.
 */
export type KeyFlag =
  | 'RO'
  | 'RW'
  | 'OW'
  | 'RM'
  | 'access'
  | 'update'
  | 'insert'
  | 'delete'
  /** What stands there is treated as a key when requests are sent to nodes, and is none. */
  | 'not_key'
  /** What is done depends on other arguments: {@link EXACT} says. */
  | 'variable_flags';

export interface KeySpec {
  readonly flags: readonly KeyFlag[];
  /** Where the search for keys begins: at an argument, or behind a word that comes at `from` or later. */
  readonly begin: { readonly index: number } | { readonly keyword: string; readonly from: number } | null;
  /**
   * Which arguments they are. `last`: counted from the first, or from the end where it is negative; `share`: of what is left only
   * the first part is keys. `first`: behind their number.
   */
  readonly find:
    | { readonly last: number; readonly step: number; readonly share: number }
    | { readonly first: number }
    | null;
  readonly notes?: string;
  /** What the `usage` calls the argument, where the specification does not say which it is. */
  readonly argument?: string;
}

/** A key among the arguments of a request. */
export interface KeyReference {
  readonly position: number;
  readonly flags: readonly KeyFlag[];
}

/** What this file needs to know of a command. */
interface Declaration {
  readonly name: string;
  readonly flags: readonly string[];
  readonly keys: { readonly first: number; readonly last: number; readonly step: number };
}

function flagsOf(text: string): KeyFlag[] {
  return text.split(' ') as KeyFlag[];
}

function words(text: string): string[] {
  return text.split(' ').filter((word) => word !== '');
}

// --- Commands whose keys are where they declare them, and are used in another way ------------------------------------

const USED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    RO: `exists hexists hlen hstrlen llen memory|usage object|encoding object|freq object|idletime object|refcount scard
      sismember strlen touch type watch xlen zcard httl hpttl hexpiretime hpexpiretime bf.exists bf.mexists bf.card bf.info`,
    'RW access': 'pfcount',
    'RW insert': `append hsetnx linsert lpush lpushx pfadd rpush rpushx sadd xgroup|create xgroup|createconsumer bf.add bf.madd
      bf.insert bf.reserve`,
    'RW update': `expire expireat geoadd hmset hset lset persist pexpire pexpireat setrange xack xadd xclaim xgroup|setid xsetid
      zadd hexpire hpexpire hexpireat hpexpireat hpersist hsetex bf.loadchunk`,
    'RW delete': `hdel lrem ltrim srem xautoclaim xdel xgroup|delconsumer xgroup|destroy xtrim zrem zremrangebylex
      zremrangebyrank zremrangebyscore`,
    'RW access delete': `blpop brpop bzpopmax bzpopmin getdel lpop rpop spop zpopmax zpopmin hgetdel`,
    'RW access update variable_flags': 'set bitfield',
    'OW update': 'mset psetex restore setex',
    'OW insert': 'msetnx setnx',
    'RM delete': 'del delete unlink',
    not_key: 'spublish ssubscribe sunsubscribe',
  }).flatMap(([flags, names]) => words(names.replaceAll('\n', ' ')).map((name) => [name, flags])),
);

const NOTES: ReadonlyMap<string, string> = new Map([
  ['bitfield', 'This command allows both access and modification of the key'],
  ['getex', 'RW and UPDATE because it changes the TTL'],
  ['pfcount', 'RW because it may change the internal representation of the key, and propagate to replicas'],
  ['set', 'RW and ACCESS due to the optional `GET` argument'],
  ['xadd', 'UPDATE instead of INSERT because of the optional trimming feature'],
]);

// --- Commands with several kinds of keys, or with keys that their positions can't tell -------------------------------

/** `count` keys from the argument at `index` on, to the end where it is 0. */
function at(index: number, flags: string, count = 1): KeySpec {
  return {
    flags: flagsOf(flags),
    begin: { index },
    find: { last: count - 1, step: 1, share: 0 },
  };
}

/** Keys behind their number, which is the argument at `index`. */
function counted(index: number, flags: string): KeySpec {
  return { flags: flagsOf(flags), begin: { index }, find: { first: 1 } };
}

/** The key behind a word, or the first half of all that is behind it. */
function behind(keyword: string, from: number, flags: string, half = false): KeySpec {
  return {
    flags: flagsOf(flags),
    begin: { keyword, from },
    find: { last: half ? -1 : 0, step: 1, share: half ? 2 : 0 },
  };
}

function unknown(argument: string, flags: string, notes: string): KeySpec {
  return { flags: flagsOf(flags), begin: null, find: null, notes, argument };
}

const READ = 'RO access';
const MOVED = [at(1, 'RW access delete'), at(2, 'RW insert')];
const STORED = [at(1, 'OW update'), at(2, READ, 0)];
const STORED_COUNTED = [at(1, 'OW update'), counted(2, READ)];
const SORTED = [
  at(1, READ),
  unknown(
    'pattern',
    READ,
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
  ),
];
const SCRIPTED = counted(2, 'RW access update');
const SCRIPTED_READING = counted(2, READ);
const worst = (spec: KeySpec, flags: string): KeySpec => ({
  ...spec,
  notes: `We cannot tell how the keys will be used so we assume the worst, ${flags}`,
});

const SPECS: ReadonlyMap<string, readonly KeySpec[]> = new Map(
  Object.entries({
    bitop: [at(2, 'OW update'), at(3, READ, 0)],
    blmove: MOVED,
    blmpop: [counted(2, 'RW access delete')],
    brpoplpush: MOVED,
    bzmpop: [counted(2, 'RW access delete')],
    copy: [at(1, READ), at(2, 'OW update')],
    eval: [worst(SCRIPTED, 'RW and UPDATE')],
    eval_ro: [worst(SCRIPTED_READING, 'RO and ACCESS')],
    evalsha: [SCRIPTED],
    evalsha_ro: [SCRIPTED_READING],
    fcall: [worst(SCRIPTED, 'RW and UPDATE')],
    fcall_ro: [worst(SCRIPTED_READING, 'RO and ACCESS')],
    georadius: [at(1, READ), behind('STORE', 6, 'OW update'), behind('STOREDIST', 6, 'OW update')],
    georadiusbymember: [at(1, READ), behind('STORE', 5, 'OW update'), behind('STOREDIST', 5, 'OW update')],
    geosearchstore: [at(1, 'OW update'), at(2, READ)],
    'kvorum.as': [counted(4, 'RW access update')],
    'kvorum.as_ro': [counted(4, READ)],
    lmove: MOVED,
    lmpop: [counted(1, 'RW access delete')],
    pfmerge: [at(1, 'RW access insert'), at(2, READ, 0)],
    rename: [at(1, 'RW access delete'), at(2, 'OW update')],
    renamenx: [at(1, 'RW access delete'), at(2, 'OW insert')],
    rpoplpush: MOVED,
    sdiffstore: STORED,
    sintercard: [counted(1, READ)],
    sinterstore: [at(1, 'RW update'), at(2, READ, 0)],
    smove: MOVED,
    sort: [
      ...SORTED,
      unknown(
        'destination',
        'OW update',
        "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
      ),
    ],
    sort_ro: SORTED,
    sunionstore: STORED,
    xread: [behind('STREAMS', 1, READ, true)],
    xreadgroup: [behind('STREAMS', 4, READ, true)],
    zdiff: [counted(1, READ)],
    zdiffstore: STORED_COUNTED,
    zinter: [counted(1, READ)],
    zintercard: [counted(1, READ)],
    zinterstore: STORED_COUNTED,
    zmpop: [counted(1, 'RW access delete')],
    zrangestore: [at(1, 'OW update'), at(2, READ)],
    zunion: [counted(1, READ)],
    zunionstore: STORED_COUNTED,
  }),
);

/** How commands use their keys that no specification can tell in full, or tells right in every case. */
const EXACT: Readonly<Record<string, (args: readonly string[]) => KeyReference[]>> = {
  set: (args) => {
    const gets = args.some((arg, position) => position > 2 && arg.toLowerCase() === 'get');
    return [{ position: 1, flags: flagsOf(gets ? 'RW access update' : 'OW update') }];
  },
  bitfield: (args) => [{ position: 1, flags: flagsOf(onlyGets(args) ? READ : 'RW access update') }],
  georadius: (args) => targetsOfSearch(args, 6),
  georadiusbymember: (args) => targetsOfSearch(args, 5),
  sort: (args) => {
    const target = targetOfSort(args);
    const source: KeyReference = { position: 1, flags: flagsOf(READ) };
    return target === null ? [source] : [source, { position: target, flags: flagsOf('OW update') }];
  },
  sort_ro: () => [{ position: 1, flags: flagsOf(READ) }],
  xread: readStreams,
  xreadgroup: readStreams,
};

/** Whether a BITFIELD changes nothing; one that is malformed may. */
function onlyGets(args: readonly string[]): boolean {
  for (let position = 2; position < args.length; position++) {
    const left = args.length - position - 1;
    const word = (args[position] ?? '').toLowerCase();
    if (word === 'get' && left >= 2) position += 2;
    else if (word === 'overflow' && left >= 1) position += 1;
    else return false;
  }
  return true;
}

/** Arguments behind the options of SORT that have some. */
const ARGUMENTS_OF_SORT: ReadonlyMap<string, number> = new Map([
  ['limit', 2],
  ['get', 1],
  ['by', 1],
]);

/** The position of the key behind the last STORE, which is the one that counts. */
function targetOfSort(args: readonly string[]): number | null {
  let target: number | null = null;
  for (let position = 2; position < args.length; position++) {
    const word = (args[position] ?? '').toLowerCase();
    if (word === 'store' && position + 1 < args.length) target = position + 1;
    position += ARGUMENTS_OF_SORT.get(word) ?? 0;
  }
  return target;
}

/**
 * The key of GEORADIUS and those behind its STORE and STOREDIST. The specification would take a target that is named STORE for
 * the option, and overlook the one that counts.
 */
function targetsOfSearch(args: readonly string[], from: number): KeyReference[] {
  const targets = { store: [] as KeyReference[], storedist: [] as KeyReference[] };
  for (let position = from; position + 1 < args.length; position++) {
    const word = (args[position] ?? '').toLowerCase();
    if (word !== 'store' && word !== 'storedist') continue;
    position += 1;
    targets[word].push({ position, flags: flagsOf('OW update') });
  }
  return [{ position: 1, flags: flagsOf(READ) }, ...targets.store, ...targets.storedist];
}

/** Arguments behind the options of XREAD and XREADGROUP, which may be words like STREAMS. */
const ARGUMENTS_OF_READ: ReadonlyMap<string, number> = new Map([
  ['block', 1],
  ['count', 1],
  ['group', 2],
]);

function readStreams(args: readonly string[]): KeyReference[] {
  for (let position = 1; position < args.length; position++) {
    const word = (args[position] ?? '').toLowerCase();
    if (word === 'streams') {
      const count = Math.floor((args.length - position - 1) / 2);
      return Array.from({ length: count }, (_, key) => ({
        position: position + 1 + key,
        flags: flagsOf(READ),
      }));
    }
    position += ARGUMENTS_OF_READ.get(word) ?? 0;
  }
  return [];
}

// --- What is asked for -----------------------------------------------------------------------------------------------

const known = new Map<string, readonly KeySpec[]>();

/** The specifications of a command's keys; none where it has no keys. */
export function keySpecsOf(command: Declaration): readonly KeySpec[] {
  let specs = known.get(command.name);
  if (specs === undefined) {
    specs = SPECS.get(command.name) ?? declared(command);
    known.set(command.name, specs);
  }
  return specs;
}

function declared({ name, flags, keys: { first, last, step } }: Declaration): readonly KeySpec[] {
  if (first === 0) return [];
  const usual = flags.includes('write') ? 'RW access update' : READ;
  const notes = NOTES.get(name);
  const spec: KeySpec = {
    flags: flagsOf(USED.get(name) ?? usual),
    begin: { index: first },
    find: { last: last < 0 ? last : last - first, step, share: 0 },
  };
  return [notes === undefined ? spec : { ...spec, notes }];
}

/** Whether any argument of the command is a key. */
export function hasKeys(command: Declaration): boolean {
  return keySpecsOf(command).some(({ flags }) => !flags.includes('not_key'));
}

/** The keys among arguments, which may be malformed: then fewer, or none. With what is treated as a key and is none. */
export function keyReferences(command: Declaration, args: readonly string[]): readonly KeyReference[] {
  const exact = EXACT[command.name];
  if (exact !== undefined) return args.length > 1 ? exact(args) : [];
  const references: KeyReference[] = [];
  for (const spec of keySpecsOf(command)) {
    const range = rangeOf(spec, args);
    if (range === 'invalid') return [];
    if (range === null) continue;
    for (let position = range.first; position <= range.last; position += range.step)
      references.push({ position, flags: spec.flags });
  }
  return references;
}

/** `null`: its word is not there. */
function rangeOf(
  { begin, find }: KeySpec,
  args: readonly string[],
): { readonly first: number; readonly last: number; readonly step: number } | 'invalid' | null {
  if (begin === null || find === null) return 'invalid';
  const start = 'index' in begin ? begin.index : behindWord(begin, args);
  if (start === null) return null;
  let range;
  if ('first' in find) {
    const count = clampInteger(parseInteger(args[start] ?? '') ?? 0);
    range = { first: start + find.first, last: start + find.first + count - 1, step: 1 };
  } else {
    const { last, step, share } = find;
    const left = share === 0 ? args.length - start : Math.floor((args.length - start) / share);
    range = { first: start, last: last < 0 ? start + left + last : start + last, step };
  }
  return range.last >= args.length || range.last < range.first ? 'invalid' : range;
}

function behindWord(
  { keyword, from }: { readonly keyword: string; readonly from: number },
  args: readonly string[],
): number | null {
  for (let position = from; position < args.length; position++)
    if ((args[position] ?? '').toUpperCase() === keyword) return position + 1;
  return null;
}
