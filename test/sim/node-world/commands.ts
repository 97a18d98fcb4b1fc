/**
 * Commands of all types for the nodes to run: those that the differential test sends to Redis as well, and here those of
 * which Redis 7.0 knows nothing or whose replies depend on the moment: deadlines that pass while a run lasts, of keys and of
 * fields, random choices, Bloom filters, settings, all keys at once.
 *
 * Nobody judges the replies. What counts is that every node makes the same of them, today, from a snapshot or from the log.
 */
import { mayWait } from '../../../src/store/commands/one-key.ts';
import { hasArity } from '../../../src/store/arity.ts';
import { type Call, keysOf } from '../../../src/store/command.ts';
import { EVICTION_POLICIES } from '../../../src/store/settings.ts';
import { dataCommandOf } from '../../../src/store/table.ts';
import { commandOf, type Group, Source } from '../../differential/group.ts';
import { loadGroups } from '../../differential/groups.ts';

const DIFFERENTIAL: readonly Group[] = [...(await loadGroups()).values()];

/** Few, so that they meet; and one that no other type uses, so that filters live to grow. */
function filter(source: Source): string {
  return source.chance(0.7) ? 'bloom' : source.key();
}

const items = (source: Source): string[] => source.some(() => `item ${source.below(200)}`, 20);

const BLOOM: Group = {
  name: 'bloom',
  commands: [
    (source) => ['BF.ADD', filter(source), source.value()],
    (source) => ['BF.MADD', filter(source), ...items(source)],
    (source) => ['BF.INSERT', filter(source), 'CAPACITY', '10', 'ITEMS', ...items(source)],
    (source) => ['BF.RESERVE', filter(source), '0.01', String(1 + source.below(50)), 'EXPANSION', '2'],
    (source) => ['BF.EXISTS', filter(source), `item ${source.below(200)}`],
    (source) => ['BF.INFO', filter(source)],
    (source) => ['BF.SCANDUMP', filter(source), '0'],
    (source) => ['COPY', filter(source), source.key(), 'REPLACE'],
  ],
};

/** What is drawn by lot, on all nodes alike; where it is kept under a name, the replies of reads as well. */
const LOTS: Group = {
  name: 'lots',
  commands: [
    (source) => ['SADD', source.key(), ...source.some(() => source.member(), 8)],
    (source) => ['SPOP', source.key()],
    (source) => ['SPOP', source.key(), String(source.below(4))],
    (source) => ['SRANDMEMBER', source.key(), source.small()],
    (source) => ['HSET', source.key(), ...source.some(() => [source.member(), source.value()], 4)],
    (source) => ['HRANDFIELD', source.key(), source.small(), 'WITHVALUES'],
    (source) => ['ZADD', source.key(), ...source.some(() => [source.small(), source.member()], 4)],
    (source) => ['ZRANDMEMBER', source.key(), source.small()],
    (source) => ['XADD', source.key(), 'MAXLEN', '~', '20', '*', 'field', source.value()],
    () => ['RANDOMKEY'],
  ],
};

/** What of the world and of the past a script could let into the state. */
const FATES: readonly string[] = [
  'return redis.call("set", KEYS[1], tostring(math.random()))',
  'return redis.call("set", KEYS[1], table.concat(redis.call("time"), "."))',
  'return redis.call("set", KEYS[1], tostring({}) .. tostring(next))',
  'return redis.call("xadd", KEYS[1], "*", "by", "a script")',
  'return redis.call("spop", KEYS[1])',
  'return redis.call("set", KEYS[1], tostring(redis.call("randomkey")))',
  'return redis.call("set", KEYS[1], tostring(redis.call("pttl", KEYS[2])))',
  'return redis.call("set", KEYS[1], cjson.encode(redis.call("scan", 0)))',
  'local a = {} for i = 1, 20 do a["k" .. i * 7] = i end local b = {} for k in pairs(a) do b[#b + 1] = k end ' +
    'return redis.call("set", KEYS[1], table.concat(b))',
  'redis.call("rpush", KEYS[1], "half") return redis.call("incr", KEYS[1])',
  'local a = {} for i = 1, 2000 do a[i] = ("x"):rep(100) end return redis.call("incrby", KEYS[1], collectgarbage("count") > 0 and #a or 0)',
];

const SCRIPTS: Group = {
  name: 'fates',
  commands: [
    (source) => ['EVAL', source.pick(FATES), '2', source.key(), source.key()],
    (source) => ['SADD', source.key(), ...source.some(() => source.member(), 8)],
    (source) => ['SCRIPT', 'LOAD', source.pick(FATES)],
    (source) => ['FUNCTION', 'LOAD', 'REPLACE', fateful(source.pick(FATES))],
    (source) => ['FCALL', 'fate', '2', source.key(), source.key()],
    // With the rights that a user has at that place of the log.
    (source) => ['kvorum.as', 'ann', 'EVAL', source.pick(FATES), '2', source.key(), source.key()],
    (source) => [
      'ACL',
      'SETUSER',
      'ann',
      source.pick(['~*', 'resetkeys', '+@all', '-@write', '+@fast', '-spop']),
    ],
    (source) => ['ACL', 'DELUSER', source.pick(['ann', 'bob'])],
  ],
};

function fateful(script: string): string {
  const body = script.replaceAll('KEYS', 'keys');
  return `#!lua name=fates\nredis.register_function("fate", function(keys, args) ${body} end)`;
}

/** Deadlines of up to `lifeMs`. */
function deadlines(lifeMs: number): Group {
  const life = (source: Source): string => String(1 + source.below(lifeMs));
  const fields = (source: Source): string[] => {
    const names = source.some(() => source.member());
    return ['FIELDS', String(names.length), ...names];
  };
  const pairs = (source: Source): string[] => {
    const names = source.some(() => source.member());
    return ['FIELDS', String(names.length), ...names.flatMap((name) => [name, source.value()])];
  };
  return {
    name: 'deadlines',
    commands: [
      (source) => ['PEXPIRE', source.key(), life(source)],
      (source) => ['PEXPIRE', source.key(), life(source), source.pick(['NX', 'XX', 'GT', 'LT'])],
      (source) => ['PERSIST', source.key()],
      (source) => ['SET', source.key(), source.value(), 'PX', life(source)],
      (source) => ['GETEX', source.key(), 'PX', life(source)],
      (source) => ['PTTL', source.key()],
      (source) => ['HSET', source.key(), ...source.some(() => [source.member(), source.value()], 6)],
      (source) => ['HPEXPIRE', source.key(), life(source), ...fields(source)],
      (source) => ['HPEXPIRE', source.key(), life(source), ...fields(source)],
      (source) => [
        'HPEXPIRE',
        source.key(),
        life(source),
        source.pick(['NX', 'XX', 'GT', 'LT']),
        ...fields(source),
      ],
      (source) => ['HPERSIST', source.key(), ...fields(source)],
      (source) => ['HPTTL', source.key(), ...fields(source)],
      (source) => ['HGETDEL', source.key(), ...fields(source)],
      (source) => ['HGETEX', source.key(), 'PX', life(source), ...fields(source)],
      (source) => ['HSETEX', source.key(), 'PX', life(source), ...pairs(source)],
      (source) => ['RENAME', source.key(), source.key()],
      (source) => ['COPY', source.key(), source.key(), 'REPLACE'],
    ],
  };
}

/** CONFIG SET, mostly such that keys must go soon. `heldBytes`: what keys and values take now. */
function settings(wild: boolean, heldBytes: () => number): Group {
  const policies = EVICTION_POLICIES.filter((policy) => wild || !policy.startsWith('allkeys'));
  return {
    name: 'settings',
    commands: [
      () => ['CONFIG', 'SET', 'maxmemory', '0'],
      (source) => [
        'CONFIG',
        'SET',
        'maxmemory',
        String(Math.ceil((heldBytes() * (50 + source.below(60))) / 100)),
        'maxmemory-policy',
        source.pick(policies),
      ],
      (source) => ['CONFIG', 'SET', 'maxmemory-samples', String(1 + source.below(10))],
      (source) => ['CONFIG', 'SET', 'notify-keyspace-events', source.pick(['', 'KEA', 'Ex'])],
      (source) => ['PUBLISH', 'channel', source.value()],
    ],
  };
}

const ALL_KEYS: Group = {
  name: 'all keys',
  commands: [() => ['FLUSHALL'], () => ['FLUSHDB', 'ASYNC'], () => ['DBSIZE'], () => ['KEYS', '*']],
};

export interface CommandOptions {
  readonly seed: number;
  /** Nobody's keys need to be spared. */
  readonly wild: boolean;
  /** How long keys and fields with a deadline live, in ms, at most. */
  readonly lifeMs: number;
  readonly heldBytes: () => number;
}

/** What a client asks in one go. */
export type Asked =
  | { readonly kind: 'command'; readonly call: Call; readonly waits: boolean }
  | { readonly kind: 'transaction'; readonly calls: readonly Call[] };

/** Keys of those whose every answer is judged. */
const JUDGED = /^[a-z]\d/;

export class Commands {
  readonly #source: Source;
  readonly #wild: boolean;
  readonly #usual: readonly Group[];
  readonly #rare: readonly Group[];

  constructor({ seed, wild, lifeMs, heldBytes }: CommandOptions) {
    const source = new Source(seed);
    this.#source = source;
    this.#wild = wild;
    // Few groups at a time meet more often than all of them.
    const all = [...DIFFERENTIAL, BLOOM, LOTS, SCRIPTS, deadlines(lifeMs)];
    const chosen = all.filter(({ name }) => name === 'basics' || name === 'deadlines' || source.chance(0.3));
    this.#usual = chosen;
    this.#rare = [settings(wild, heldBytes), ...(wild ? [ALL_KEYS] : [])];
  }

  next(): Asked {
    const source = this.#source;
    if (source.chance(0.12)) {
      const calls = Array.from({ length: 1 + source.below(4) }, () => this.#call());
      const queued = calls.filter(({ command }) => !command.flags.includes('no_multi'));
      if (queued.length > 0) return { kind: 'transaction', calls: queued };
    }
    const call = this.#call();
    return { kind: 'command', call, waits: mayWait(call.command, call.args) };
  }

  /** One that a node would run. */
  #call(): Call {
    const source = this.#source;
    for (;;) {
      const args = commandOf(source.pick(source.chance(0.03) ? this.#rare : this.#usual), source);
      const command = dataCommandOf(args);
      if (command === undefined || !hasArity(command, args)) continue;
      if (!this.#wild && keysOf(command, args).some((key) => JUDGED.test(key))) continue;
      return { command, args };
    }
  }
}
