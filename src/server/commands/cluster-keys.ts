/** CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: they look at every key, as one shard has no use for keys by slot. */
import type { DataCommand } from '../../store/command.ts';
import type { Context } from '../../store/context.ts';
import { NOT_AN_INTEGER } from '../../store/errors.ts';
import { parseInteger } from '../../store/integer.ts';
import { SHARD_COUNT } from '../../store/entry-table.ts';
import { isExpired } from '../../store/keyspace.ts';
import { keySlot, SLOTS } from '../slot.ts';
import { NO_KEYS } from './container.ts';

const shared = {
  kind: 'data',
  write: false,
  group: 'cluster',
  keys: NO_KEYS,
  flags: ['stale'],
  categories: ['slow'],
  since: '3.0.0',
  complexity: 'O(N) where N is the number of keys',
} as const;

export const clusterKeyCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'cluster|countkeysinslot',
    usage: '<slot>',
    arity: 3,
    summary: 'How many keys there are in a slot.',
    run(context, args, reply) {
      const slot = parseInteger(args[2] ?? '');
      if (slot === undefined) reply.error(NOT_AN_INTEGER);
      else if (slot < 0 || slot >= SLOTS) reply.error('ERR Invalid slot');
      else reply.integer(keysIn(context, Number(slot), Infinity).length);
    },
  },
  {
    ...shared,
    name: 'cluster|getkeysinslot',
    usage: '<slot> <count>',
    arity: 4,
    summary: 'Some of the keys in a slot.',
    run(context, args, reply) {
      const slot = parseInteger(args[2] ?? '');
      const count = parseInteger(args[3] ?? '');
      if (slot === undefined || count === undefined) reply.error(NOT_AN_INTEGER);
      else if (slot < 0 || slot >= SLOTS || count < 0) reply.error('ERR Invalid slot or number of keys');
      else {
        const keys = keysIn(context, Number(slot), Number(count));
        reply.array(keys.length);
        for (const key of keys) reply.bulk(key);
      }
    },
  },
];

/** At most `max` of them, the first in order. */
function keysIn({ keyspace, now }: Context, slot: number, max: number): string[] {
  const keys: string[] = [];
  for (let shard = 0; shard < SHARD_COUNT; shard++)
    for (const entry of keyspace.table.entriesOf(shard))
      if (!isExpired(entry, now) && keySlot(entry.key) === slot) keys.push(entry.key);
  return keys.sort().slice(0, max);
}
