/** Commands over hashes, deadlines of their fields apart. */
import type { DataCommand } from '../command.ts';
import { changeAs, entryAs, readAs } from '../context.ts';
import { NOT_A_FLOAT, NOT_AN_INTEGER, wrongArity } from '../errors.ts';
import { matchesGlob } from '../glob.ts';
import { addIntegers, parseInteger } from '../integer.ts';
import { addLongDoubles, parseLongDouble } from '../long-double.ts';
import { chooseDistinct, chooseOne, chooseRepeatedly } from '../random-choice.ts';
import type { ReplyWriter } from '../reply.ts';
import { type Field, Hash, isAlive } from '../types/hash.ts';
import { parseChoice } from './choice-options.ts';
import { ONE_KEY } from './positions.ts';
import { INVALID_CURSOR, parseCursor, parseScanOptions } from './scan-options.ts';

type Run = DataCommand['run'];

// --- Reading -----------------------------------------------------------------------------------------------------

/** A read of the hash under the key; undefined where there is none. */
function reads(
  run: (hash: Hash | undefined, now: number, args: readonly string[], reply: ReplyWriter) => void,
): Run {
  return (context, args, reply) => {
    const hash = readAs(context, args[1] ?? '', Hash);
    if (typeof hash === 'string') reply.error(hash);
    else run(hash, context.now, args, reply);
  };
}

const runHget = reads((hash, now, args, reply) => reply.bulk(hash?.get(args[2] ?? '', now) ?? null));

const runHmget = reads((hash, now, args, reply) => {
  reply.array(args.length - 2);
  for (let at = 2; at < args.length; at++) reply.bulk(hash?.get(args[at] ?? '', now) ?? null);
});

const runHlen = reads((hash, now, _args, reply) => reply.integer(hash?.size(now) ?? 0));

const runHexists = reads((hash, now, args, reply) => {
  reply.integer(hash?.field(args[2] ?? '', now) === undefined ? 0 : 1);
});

const runHstrlen = reads((hash, now, args, reply) =>
  reply.integer(hash?.get(args[2] ?? '', now)?.length ?? 0),
);

const runHgetall = reads((hash, now, _args, reply) => {
  reply.map(hash?.size(now) ?? 0);
  hash?.visit(now, ({ name, value }) => {
    reply.bulk(name);
    reply.bulk(value);
  });
});

const runHkeys = reads((hash, now, _args, reply) => {
  reply.array(hash?.size(now) ?? 0);
  hash?.visit(now, ({ name }) => reply.bulk(name));
});

const runHvals = reads((hash, now, _args, reply) => {
  reply.array(hash?.size(now) ?? 0);
  hash?.visit(now, ({ value }) => reply.bulk(value));
});

const runHscan: Run = (context, args, reply) => {
  const cursor = parseCursor(args[2] ?? '');
  if (cursor === undefined) {
    reply.error(INVALID_CURSOR);
    return;
  }
  const hash = readAs(context, args[1] ?? '', Hash);
  if (typeof hash === 'string') {
    reply.error(hash);
    return;
  }
  // Redis looks at the options only where there is something to scan.
  const options = hash === undefined ? undefined : parseScanOptions(args, 3, false);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const found: Field[] = [];
  let next = 0;
  if (hash !== undefined && options !== undefined) {
    const { pattern, count } = options;
    next = hash.scan(cursor, count, context.now, (field) => {
      if (pattern === '*' || matchesGlob(pattern, field.name)) found.push(field);
    });
  }
  reply.array(2);
  reply.bulk(String(next));
  reply.array(2 * found.length);
  for (const { name, value } of found) {
    reply.bulk(name);
    reply.bulk(value);
  }
};

const runHrandfield: Run = (context, args, reply) => {
  const choice = args.length > 2 ? parseChoice(args, 'withvalues') : null;
  if (typeof choice === 'string') {
    reply.error(choice);
    return;
  }
  const hash = readAs(context, args[1] ?? '', Hash);
  if (typeof hash === 'string') {
    reply.error(hash);
    return;
  }
  const random = (): number => context.random();
  const choices = hash?.choices(context.now);
  if (choice === null) {
    reply.bulk((choices && chooseOne(choices, random))?.name ?? null);
    return;
  }
  const { count, withMore: withValues } = choice;
  let fields: Field[] = [];
  if (choices !== undefined)
    fields = count < 0 ? chooseRepeatedly(choices, -count, random) : chooseDistinct(choices, count, random);
  if (!withValues) {
    reply.array(fields.length);
    for (const { name } of fields) reply.bulk(name);
    return;
  }
  reply.pairs(fields.length);
  for (const { name, value } of fields) {
    reply.pair();
    reply.bulk(name);
    reply.bulk(value);
  }
};

// --- Writing -----------------------------------------------------------------------------------------------------

/** HSET, and HMSET which says `OK` instead of how many fields are new. */
function runHset(command: 'hset' | 'hmset'): Run {
  return (context, args, reply) => {
    if (args.length % 2 === 1) {
      reply.error(wrongArity(command));
      return;
    }
    const key = args[1] ?? '';
    const hash = changeAs(context, key, Hash);
    if (typeof hash === 'string') {
      reply.error(hash);
      return;
    }
    let created = 0;
    for (let at = 2; at < args.length; at += 2) {
      const before = hash.put(args[at] ?? '', args[at + 1] ?? '');
      if (before === undefined || !isAlive(before, context.now)) created++;
    }
    context.notify('h', 'hset', key);
    if (command === 'hset') reply.integer(created);
    else reply.ok();
  };
}

const runHsetnx: Run = (context, args, reply) => {
  const [, key = '', name = '', value = ''] = args;
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry?.value.field(name, context.now) !== undefined) {
    reply.integer(0);
    return;
  }
  const hash = changeAs(context, key, Hash);
  if (typeof hash === 'string') return;
  hash.put(name, value);
  context.notify('h', 'hset', key);
  reply.integer(1);
};

const runHdel: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined) {
    reply.integer(0);
    return;
  }
  let deleted = 0;
  for (let at = 2; at < args.length; at++) {
    const name = args[at] ?? '';
    if (entry.value.field(name, context.now) === undefined) continue;
    context.keyspace.change(key, entry);
    entry.value.delete(name);
    deleted++;
  }
  if (deleted > 0) context.notify('h', 'hdel', key);
  reply.integer(deleted);
};

const runHincrby: Run = (context, args, reply) => {
  const [, key = '', name = '', amount = ''] = args;
  const by = parseInteger(amount);
  if (by === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const field = entry?.value.field(name, context.now);
  const current = parseInteger(field?.value ?? '0');
  if (current === undefined) {
    reply.error('ERR hash value is not an integer');
    return;
  }
  const sum = addIntegers(current, by);
  if (sum === undefined) {
    reply.error('ERR increment or decrement would overflow');
    return;
  }
  const hash = changeAs(context, key, Hash);
  if (typeof hash === 'string') return;
  // A field that is counted up keeps its deadline.
  hash.put(name, String(sum), field?.expiresAt);
  context.notify('h', 'hincrby', key);
  reply.integer(sum);
};

const runHincrbyfloat: Run = (context, args, reply) => {
  const [, key = '', name = '', amount = ''] = args;
  const by = parseLongDouble(amount);
  if (by === undefined || by === 'infinite') {
    reply.error(by === undefined ? NOT_A_FLOAT : 'ERR value is NaN or Infinity');
    return;
  }
  const entry = entryAs(context, key, Hash);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const field = entry?.value.field(name, context.now);
  const current = parseLongDouble(field?.value ?? '0');
  if (current === undefined) {
    reply.error('ERR hash value is not a float');
    return;
  }
  const sum = addLongDoubles(current, by);
  if (sum === undefined) {
    reply.error('ERR increment would produce NaN or Infinity');
    return;
  }
  const hash = changeAs(context, key, Hash);
  if (typeof hash === 'string') return;
  hash.put(name, sum, field?.expiresAt);
  context.notify('h', 'hincrbyfloat', key);
  reply.bulk(sum);
};

// --- The table ---------------------------------------------------------------------------------------------------

type HashCommand = Omit<DataCommand, 'kind' | 'group' | 'keys' | 'write' | 'flags' | 'categories'>;

/** What commands of a kind have in common. */
function kin(
  flags: DataCommand['flags'],
  commands: readonly HashCommand[],
): readonly Omit<DataCommand, 'kind' | 'group'>[] {
  const write = flags.includes('write');
  const categories = [write ? 'write' : 'read', 'hash', flags.includes('fast') ? 'fast' : 'slow'];
  return commands.map((command) => ({ ...command, flags, write, categories, keys: ONE_KEY }));
}

const commands: readonly Omit<DataCommand, 'kind' | 'group'>[] = [
  ...kin(
    ['readonly', 'fast'],
    [
      {
        name: 'hget',
        arity: 3,
        usage: '<key> <field>',
        summary: 'The value of a field of a hash',
        since: '2.0.0',
        complexity: 'O(log N)',
        run: runHget,
      },
      {
        name: 'hmget',
        arity: -3,
        usage: '<key> <field> [<field> ...]',
        summary: 'The values of several fields of a hash',
        since: '2.0.0',
        complexity: 'O(log N) per field',
        run: runHmget,
      },
      {
        name: 'hlen',
        arity: 2,
        usage: '<key>',
        summary: 'The number of fields of a hash',
        since: '2.0.0',
        complexity: 'O(1), O(log N) where fields have deadlines',
        run: runHlen,
      },
      {
        name: 'hexists',
        arity: 3,
        usage: '<key> <field>',
        summary: 'Whether a hash has a field',
        since: '2.0.0',
        complexity: 'O(log N)',
        run: runHexists,
      },
      {
        name: 'hstrlen',
        arity: 3,
        usage: '<key> <field>',
        summary: 'The length of the value of a field of a hash',
        since: '3.2.0',
        complexity: 'O(log N)',
        run: runHstrlen,
      },
    ],
  ),
  ...kin(
    ['readonly'],
    [
      {
        name: 'hgetall',
        arity: 2,
        usage: '<key>',
        summary: 'All fields of a hash with their values',
        since: '2.0.0',
        complexity: 'O(N) where N is the number of fields',
        run: runHgetall,
      },
      {
        name: 'hkeys',
        arity: 2,
        usage: '<key>',
        summary: 'All fields of a hash',
        since: '2.0.0',
        complexity: 'O(N) where N is the number of fields',
        run: runHkeys,
      },
      {
        name: 'hvals',
        arity: 2,
        usage: '<key>',
        summary: 'The values of all fields of a hash',
        since: '2.0.0',
        complexity: 'O(N) where N is the number of fields',
        run: runHvals,
      },
      {
        name: 'hscan',
        arity: -3,
        usage: '<key> <cursor> [MATCH <pattern>] [COUNT <count>]',
        summary: 'Walks over the fields of a hash in steps',
        since: '2.8.0',
        complexity: 'O(log N + COUNT) per step',
        run: runHscan,
      },
      {
        name: 'hrandfield',
        arity: -2,
        usage: '<key> [<count> [WITHVALUES]]',
        summary: 'Any fields of a hash, with their values if wanted',
        since: '6.2.0',
        complexity: 'O(log N) per field, at most O(N) for different ones',
        run: runHrandfield,
      },
    ],
  ),
  ...kin(
    ['write', 'denyoom', 'fast'],
    [
      {
        name: 'hset',
        arity: -4,
        usage: '<key> <field> <value> [<field> <value> ...]',
        summary: 'Gives fields of a hash values, creating it',
        since: '2.0.0',
        complexity: 'O(log N) per field',
        run: runHset('hset'),
      },
      {
        name: 'hmset',
        arity: -4,
        usage: '<key> <field> <value> [<field> <value> ...]',
        summary: 'As HSET, with another reply',
        since: '2.0.0',
        complexity: 'O(log N) per field',
        run: runHset('hmset'),
      },
      {
        name: 'hsetnx',
        arity: 4,
        usage: '<key> <field> <value>',
        summary: 'Gives a field of a hash a value if the field is not there',
        since: '2.0.0',
        complexity: 'O(log N)',
        run: runHsetnx,
      },
      {
        name: 'hincrby',
        arity: 4,
        usage: '<key> <field> <increment>',
        summary: 'Adds to the whole number in a field of a hash',
        since: '2.0.0',
        complexity: 'O(log N)',
        run: runHincrby,
      },
      {
        name: 'hincrbyfloat',
        arity: 4,
        usage: '<key> <field> <increment>',
        summary: 'Adds to the number with a fraction in a field of a hash',
        since: '2.6.0',
        complexity: 'O(log N)',
        run: runHincrbyfloat,
      },
    ],
  ),
  ...kin(
    ['write', 'fast'],
    [
      {
        name: 'hdel',
        arity: -3,
        usage: '<key> <field> [<field> ...]',
        summary: 'Removes fields of a hash',
        since: '2.0.0',
        complexity: 'O(log N) per field',
        run: runHdel,
      },
    ],
  ),
];

export const hashCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'hash',
  ...command,
}));
