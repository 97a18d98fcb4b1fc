/**
 * Commands of Redis that have no place here. They answer with an error that says why, and what to do instead, rather than
 * "unknown command"; COMMAND does not list them. Where Redis itself has a text for it, ours begins with it.
 */
import type { LocalCommand } from '../session.ts';
import { localCommands, type SubcommandSpec } from './container.ts';

interface NotApplicable {
  readonly name: string;
  /** The answer, behind `ERR`. */
  readonly reason: string;
  readonly since: string;
  readonly group: string;
}

const REPLICATION = 'kvorum replicates through its own log, and between its nodes alone';
const SLOTS = 'one shard holds all slots, and none ever moves';

const COMMANDS: readonly NotApplicable[] = [
  ...['sync', 'psync', 'replconf'].map((name) => ({
    name,
    reason: `${name.toUpperCase()} is not supported: ${REPLICATION}; to copy data, use DUMP and RESTORE, or SCAN`,
    since: name === 'psync' ? '2.8.0' : name === 'sync' ? '1.0.0' : '3.0.0',
    group: 'server',
  })),
  ...['replicaof', 'slaveof'].map((name) => ({
    name,
    reason: `REPLICAOF not allowed in cluster mode. Members are added and removed with 'kvorum cluster', and FAILOVER hands leadership over`,
    since: name === 'replicaof' ? '5.0.0' : '1.0.0',
    group: 'server',
  })),
  {
    name: 'migrate',
    reason: `MIGRATE is not supported: ${SLOTS}; to copy a key to another server, DUMP it here and RESTORE it there`,
    since: '2.6.0',
    group: 'generic',
  },
  {
    name: 'restore-asking',
    reason: `RESTORE-ASKING is not supported: ${SLOTS}; use RESTORE`,
    since: '3.0.0',
    group: 'server',
  },
  {
    name: 'debug',
    reason:
      'DEBUG command not allowed. OBJECT, MEMORY USAGE, CLIENT PAUSE, SLOWLOG and LATENCY tell what it is mostly used for',
    since: '1.0.0',
    group: 'server',
  },
  ...['pfdebug', 'pfselftest'].map((name) => ({
    name,
    reason: `${name.toUpperCase()} is not supported: it is a tool for the development of Redis`,
    since: '2.8.9',
    group: 'hyperloglog',
  })),
];

const shared = {
  flags: ['admin', 'noscript', 'loading', 'stale'],
  categories: ['admin', 'slow', 'dangerous'],
  complexity: 'O(1)',
} as const;

function refusing(reason: string): LocalCommand['run'] {
  return (_session, _args, reply) => reply.error(`ERR ${reason}`);
}

export const notApplicableCommands: readonly LocalCommand[] = COMMANDS.flatMap(
  ({ name, reason, since, group }) =>
    localCommands(group, [
      { ...shared, name, arity: -1, summary: reason, since, absent: true, run: refusing(reason) },
    ]),
);

/** Subcommands of CLUSTER, by what they are answered with. */
const CLUSTER: Readonly<Record<string, readonly string[]>> = {
  [`slots can't be assigned: ${SLOTS}`]: [
    'addslots',
    'addslotsrange',
    'delslots',
    'delslotsrange',
    'flushslots',
    'setslot',
  ],
  "nodes join with 'kvorum serve --join' or 'kvorum cluster add'": ['meet'],
  "members are removed with 'kvorum cluster remove'": ['forget'],
  'the epoch is the term of the log, which elections count': ['bumpepoch', 'set-config-epoch'],
  'every member has all data, and the leader is elected; FAILOVER on the leader hands leadership over': [
    'replicate',
    'failover',
  ],
  'a node leaves its cluster with its data directory: remove it, then start it with an empty one': ['reset'],
};

export const notApplicableClusterSubcommands: readonly SubcommandSpec[] = Object.entries(CLUSTER).flatMap(
  ([reason, names]) =>
    names.map((name): SubcommandSpec => {
      const text = `CLUSTER ${name.toUpperCase()} is not supported: ${reason}`;
      return { ...shared, name, arity: -2, summary: text, since: '3.0.0', absent: true, run: refusing(text) };
    }),
);

/** Those of MODULE that load and unload. */
export const notApplicableModuleSubcommands: readonly SubcommandSpec[] = ['load', 'loadex', 'unload'].map(
  (name): SubcommandSpec => {
    const text =
      'MODULE command not allowed. Modules are made for Redis alone; Bloom filters are built in, and FUNCTION LOAD adds commands in Lua';
    return { ...shared, name, arity: -2, summary: text, since: '4.0.0', absent: true, run: refusing(text) };
  },
);
