/** Declarations of MULTI and what belongs to it; `connection.ts` carries them out. */
import type { Call, DataCommand } from '../../store/command.ts';
import type { TransactionCommand } from '../session.ts';
import { NO_KEYS } from './container.ts';

const ALL_KEYS = { first: 1, last: -1, step: 1 };

const specs: readonly Pick<
  TransactionCommand,
  'name' | 'arity' | 'flags' | 'keys' | 'usage' | 'summary' | 'since' | 'complexity'
>[] = [
  {
    name: 'multi',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: NO_KEYS,
    summary: 'Begins a transaction: what follows is queued until EXEC',
    since: '1.2.0',
    complexity: 'O(1)',
  },
  {
    name: 'exec',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'skip_slowlog'],
    keys: NO_KEYS,
    summary: 'Runs the queued commands as one, unless a watched key has changed',
    since: '1.2.0',
    complexity: 'that of the queued commands',
  },
  {
    name: 'discard',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: NO_KEYS,
    summary: 'Drops the queued commands and the watches',
    since: '2.0.0',
    complexity: 'O(n) in the queued commands',
  },
  {
    name: 'watch',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: ALL_KEYS,
    usage: '<key> [<key> ...]',
    summary: 'Makes the next EXEC fail if one of the keys changes before it',
    since: '2.2.0',
    complexity: 'O(1) per key',
  },
  {
    name: 'unwatch',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: NO_KEYS,
    summary: 'Drops all watches',
    since: '2.2.0',
    complexity: 'O(1)',
  },
];

export const transactionCommands: readonly TransactionCommand[] = specs.map((spec) => ({
  ...spec,
  kind: 'transaction',
  categories: spec.name === 'exec' ? ['slow', 'transaction'] : ['fast', 'transaction'],
  group: 'transactions',
}));

/** UNWATCH between MULTI and EXEC: queued as in Redis, where it comes too late to mean anything. */
export const queuedUnwatch: DataCommand = {
  kind: 'data',
  name: 'unwatch',
  arity: 1,
  flags: [],
  keys: NO_KEYS,
  categories: [],
  summary: '',
  since: '2.2.0',
  group: 'transactions',
  complexity: 'O(1)',
  write: false,
  run: (_context, _args, reply) => reply.ok(),
};

/** Stands for a request that its user may not make, in the place where its reply has to be. */
export const refusedCommand: DataCommand = {
  ...queuedUnwatch,
  // No table has it, so that no client can send it.
  name: 'kvorum.refused',
  arity: 2,
  run: (_context, args, reply) => reply.error(args[1] ?? ''),
};

export function refusedCall(error: string): Call {
  return { command: refusedCommand, args: [refusedCommand.name, error] };
}
