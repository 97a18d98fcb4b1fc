/**
 * What a call of a command costs a script, in steps of about a nanosecond each (at worst two). The steps bound how long a
 * script can keep all nodes from anything else, so they follow the work, and nothing but the state and the arguments: every
 * node comes to the same number.
 *
 * Most commands look at what they answer and at a few nodes of a tree: they cost the same always, and what they
 * are given, what they answer and what they add to the keyspace. Those in {@link WHOLE} may go through all their keys hold,
 * and find nothing.
 */
import { type DataCommand, keysOf } from '../command.ts';
import { SHARD_COUNT } from '../entry-table.ts';
import type { Keyspace } from '../keyspace.ts';
import { bytesOf, isString } from '../value.ts';

const READ_STEPS = 1000;
const WRITE_STEPS = 3000;
/** To look at one key among all keys, at a member of a collection that is scanned. */
const KEY_STEPS = 100;
/** To make an empty keyspace. */
const CLEAR_STEPS = 400_000;
/** To look at each shard once. */
const SHARDS_STEPS: number = 16 * SHARD_COUNT;
/** To go through the registers of a HyperLogLog. */
const REGISTERS_STEPS = 150_000;

const WHOLE: ReadonlySet<string> = new Set(
  (
    'bitcount bitop bitpos copy geosearch geosearchstore georadius georadius_ro georadiusbymember georadiusbymember_ro ' +
    'linsert lpos lrem sdiff sdiffstore sinter sintercard sinterstore sort sort_ro sunion sunionstore zdiff zdiffstore ' +
    'zinter zintercard zinterstore zunion zunionstore'
  ).split(' '),
);

/** To be asked for before it runs: afterwards its keys may hold something else. */
export function stepsOf(command: DataCommand, args: readonly string[], keyspace: Keyspace): number {
  const steps = command.write ? WRITE_STEPS : READ_STEPS;
  const { name } = command;
  if (WHOLE.has(name)) return steps + bytesUnder(command, args, keyspace);
  switch (name) {
    case 'keys':
      return steps + SHARDS_STEPS + KEY_STEPS * keyspace.size;
    case 'scan':
      return steps + SHARDS_STEPS + Math.min(countOption(args), keyspace.size) * KEY_STEPS;
    case 'randomkey':
      return steps + SHARDS_STEPS + (KEY_STEPS * keyspace.size) / SHARD_COUNT;
    case 'hscan':
    case 'sscan':
    case 'zscan':
      return steps + Math.min(countOption(args) * KEY_STEPS, bytesUnder(command, args, keyspace));
    case 'lcs': {
      const [first = 0, second = 0] = keysOf(command, args).map((key) => bytesAt(key, keyspace));
      return steps + first * second;
    }
    case 'pfcount':
    case 'pfmerge':
      return steps + REGISTERS_STEPS * (args.length - 1);
    case 'flushall':
    case 'flushdb':
      return steps + CLEAR_STEPS;
    default:
      return steps;
  }
}

/** Bytes of collections; of strings, which are gone through faster, an eighth. */
function bytesUnder(command: DataCommand, args: readonly string[], keyspace: Keyspace): number {
  return keysOf(command, args).reduce((sum, key) => {
    const value = keyspace.peek(key)?.value;
    if (value === undefined) return sum;
    return sum + (isString(value) ? value.length / 8 : value.bytes);
  }, 0);
}

function bytesAt(key: string, keyspace: Keyspace): number {
  const entry = keyspace.peek(key);
  return entry === undefined ? 0 : bytesOf(key, entry.value);
}

/** The number behind COUNT; 0 where there is none. */
function countOption(args: readonly string[]): number {
  const at = args.findIndex((arg, index) => index > 1 && arg.toLowerCase() === 'count');
  const count = at === -1 ? 0 : Number(args[at + 1] ?? 0);
  return Number.isFinite(count) ? Math.max(0, count) : 0;
}
