/**
 * The settings that CONFIG SET changes. They are replicated: set on one node they hold on all, through failovers and in
 * snapshots, so there is nothing to be written to a file. What concerns one node alone is said when it is started.
 */
import { parseInteger } from './integer.ts';

export interface Setting {
  readonly name: string;
  /** As CONFIG GET shows it while nobody has set it. */
  readonly initial: string;
  readonly summary: string;
  /** The value as CONFIG GET shows it, or what is wrong with it. */
  readonly parse: (text: string) => { readonly value: string } | { readonly problem: string };
}

/** Every flag of `notify-keyspace-events` that `A` stands for. */
export const ALL_EVENTS: readonly string[] = ['g', '$', 'l', 's', 'h', 'z', 'x', 'e', 't', 'd'];

export const EVICTION_POLICIES = [
  'volatile-lru',
  'volatile-lfu',
  'volatile-random',
  'volatile-ttl',
  'allkeys-lru',
  'allkeys-lfu',
  'allkeys-random',
  'noeviction',
] as const;
export type EvictionPolicy = (typeof EVICTION_POLICIES)[number];

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['k', 1000],
  ['kb', 1024],
  ['m', 1000 ** 2],
  ['mb', 1024 ** 2],
  ['g', 1000 ** 3],
  ['gb', 1024 ** 3],
]);

function memory(text: string): ReturnType<Setting['parse']> {
  const [, digits = '', unit = ''] = /^(\d{1,16})([a-z]*)$/.exec(text.toLowerCase()) ?? [];
  const bytes = Number(digits) * (UNITS.get(unit) ?? NaN);
  return digits !== '' && Number.isSafeInteger(bytes)
    ? { value: String(bytes) }
    : { problem: 'argument must be a memory value' };
}

function whole(least: number, most: number | bigint): Setting['parse'] {
  return (text) => {
    const number = parseInteger(text);
    if (number === undefined) return { problem: "argument couldn't be parsed into an integer" };
    if (number < least || number > most)
      return { problem: `argument must be between ${least} and ${most} inclusive` };
    return { value: String(number) };
  };
}

function oneOf(values: readonly string[]): Setting['parse'] {
  return (text) => {
    const value = text.toLowerCase();
    return values.includes(value)
      ? { value }
      : { problem: `argument(s) must be one of the following: ${values.join(', ')}` };
  };
}

function events(text: string): ReturnType<Setting['parse']> {
  const known: readonly string[] = [...ALL_EVENTS, 'K', 'E', 'A', 'n', 'm'];
  const flags = new Set(text.split('').flatMap((flag) => (flag === 'A' ? ALL_EVENTS : [flag])));
  for (const flag of flags)
    if (!known.includes(flag)) return { problem: "Invalid event class character. Use 'Ag$lshzxeKEtmdn'." };
  const all = ALL_EVENTS.every((flag) => flags.has(flag));
  const shown = all ? 'A' : ALL_EVENTS.filter((flag) => flags.has(flag)).join('');
  return {
    value: `${shown}${(all ? ['K', 'E', 'm'] : ['n', 'K', 'E', 'm']).filter((flag) => flags.has(flag)).join('')}`,
  };
}

const INT_MAX = 2_147_483_647;
const INT64_MAX = 9_223_372_036_854_775_807n;

const SETTINGS: readonly Setting[] = [
  {
    name: 'acllog-max-len',
    initial: '128',
    summary: 'Refusals that ACL LOG keeps',
    parse: whole(0, INT64_MAX),
  },
  {
    name: 'latency-monitor-threshold',
    initial: '0',
    summary: 'Milliseconds from which an event is kept for LATENCY; 0 keeps none',
    parse: whole(0, INT64_MAX),
  },
  {
    name: 'maxmemory',
    initial: '0',
    summary: 'Bytes that keys and values may take, about, on each node; 0: as much as there is',
    parse: memory,
  },
  {
    name: 'maxmemory-policy',
    initial: 'noeviction',
    summary:
      'Which keys go when there are more: none, or by use, deadline or chance, of all or of those with a deadline',
    parse: oneOf(EVICTION_POLICIES),
  },
  {
    name: 'maxmemory-samples',
    initial: '5',
    summary: 'Keys that are looked at to choose one that goes',
    parse: whole(1, INT_MAX),
  },
  {
    name: 'notify-keyspace-events',
    initial: '',
    summary: 'Which events of keys become messages, as flags',
    parse: events,
  },
  {
    name: 'slowlog-log-slower-than',
    initial: '10000',
    summary: 'Microseconds from which a command is kept for SLOWLOG; 0 keeps all, -1 none',
    parse: whole(-1, INT64_MAX),
  },
  {
    name: 'slowlog-max-len',
    initial: '128',
    summary: 'Commands that SLOWLOG keeps',
    parse: whole(0, INT64_MAX),
  },
  {
    name: 'tracking-table-max-keys',
    initial: '1000000',
    summary: 'Keys that a node remembers for clients that track what they read; 0: as many as there are',
    parse: whole(0, INT64_MAX),
  },
];

/** By their names. */
export const settings: ReadonlyMap<string, Setting> = new Map(
  SETTINGS.map((setting) => [setting.name, setting]),
);

/**
 * What nobody can change, with its value where that is the same on every node. To set it to the value that it has is no mistake
 * (applications and scripts begin with that); `null`: it is refused in any case.
 */
export const fixedSettings: ReadonlyMap<string, string | null> = new Map([
  ['appendfsync', null],
  ['appendonly', 'yes'],
  ['bind', null],
  ['cluster-enabled', null],
  ['databases', null],
  ['maxclients', null],
  ['port', null],
  ['proto-max-bulk-len', null],
  ['replica-read-only', 'yes'],
  ['save', ''],
  // A snapshot that fails is taken again later; the log has it all.
  ['stop-writes-on-bgsave-error', 'no'],
  ['tcp-keepalive', '300'],
  ['timeout', '0'],
]);
