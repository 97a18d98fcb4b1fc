/** Commands over sets. */
import type { DataCommand } from '../command.ts';
import { changeAs, entryAs, readAs } from '../context.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { matchesGlob } from '../glob.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import { chooseDistinct, chooseOne, chooseRepeatedly, REPEATS_MAX } from '../random-choice.ts';
import type { ReplyWriter } from '../reply.ts';
import { MemberSet } from '../types/set.ts';
import { ONE_KEY, TWO_KEYS } from './positions.ts';
import { INVALID_CURSOR, parseCursor, parseScanOptions } from './scan-options.ts';

type Run = DataCommand['run'];

// --- Reading -----------------------------------------------------------------------------------------------------

/** A read of the set under the key; undefined where there is none. */
function reads(run: (set: MemberSet | undefined, args: readonly string[], reply: ReplyWriter) => void): Run {
  return (context, args, reply) => {
    const set = readAs(context, args[1] ?? '', MemberSet);
    if (typeof set === 'string') reply.error(set);
    else run(set, args, reply);
  };
}

const runSismember = reads((set, args, reply) => reply.integer(set?.has(args[2] ?? '') === true ? 1 : 0));

const runSmismember = reads((set, args, reply) => {
  reply.array(args.length - 2);
  for (let at = 2; at < args.length; at++) reply.integer(set?.has(args[at] ?? '') === true ? 1 : 0);
});

const runScard = reads((set, _args, reply) => reply.integer(set?.size ?? 0));

const runSmembers = reads((set, _args, reply) => {
  reply.set(set?.size ?? 0);
  set?.visit((name) => reply.bulk(name));
});

const runSscan: Run = (context, args, reply) => {
  const cursor = parseCursor(args[2] ?? '');
  if (cursor === undefined) {
    reply.error(INVALID_CURSOR);
    return;
  }
  const set = readAs(context, args[1] ?? '', MemberSet);
  if (typeof set === 'string') {
    reply.error(set);
    return;
  }
  // Redis looks at the options only where there is something to scan.
  const options = set === undefined ? undefined : parseScanOptions(args, 3, false);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const found: string[] = [];
  let next = 0;
  if (set !== undefined && options !== undefined) {
    const { pattern, count } = options;
    next = set.scan(cursor, count, (name) => {
      if (pattern === '*' || matchesGlob(pattern, name)) found.push(name);
    });
  }
  reply.array(2);
  reply.bulk(String(next));
  reply.array(found.length);
  for (const name of found) reply.bulk(name);
};

const LONG_MAX = 2n ** 63n - 1n;

/** SRANDMEMBER's count, or the text of the error reply. */
function parseRandomCount(args: readonly string[]): number | string {
  if (args.length > 3) return SYNTAX_ERROR;
  const count = parseInteger(args[2] ?? '');
  if (count === undefined) return NOT_AN_INTEGER;
  if (count < -LONG_MAX) return `ERR value is out of range, value must between -${LONG_MAX} and ${LONG_MAX}`;
  return count < -REPEATS_MAX ? 'ERR value is out of range' : clampInteger(count);
}

const runSrandmember: Run = (context, args, reply) => {
  const count = args.length > 2 ? parseRandomCount(args) : null;
  if (typeof count === 'string') {
    reply.error(count);
    return;
  }
  const set = readAs(context, args[1] ?? '', MemberSet);
  if (typeof set === 'string') {
    reply.error(set);
    return;
  }
  const random = (): number => context.random();
  if (count === null) {
    reply.bulk((set && chooseOne(set, random)) ?? null);
    return;
  }
  let names: string[] = [];
  if (set !== undefined)
    names = count < 0 ? chooseRepeatedly(set, -count, random) : chooseDistinct(set, count, random);
  reply.array(names.length);
  for (const name of names) reply.bulk(name);
};

// --- Writing -----------------------------------------------------------------------------------------------------

const runSadd: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  const entry = entryAs(context, key, MemberSet);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  let set: MemberSet | undefined;
  let added = 0;
  for (let at = 2; at < args.length; at++) {
    const name = args[at] ?? '';
    if (entry?.value.has(name) === true) continue;
    if (set === undefined) {
      const changed = changeAs(context, key, MemberSet);
      if (typeof changed === 'string') return;
      set = changed;
    }
    // In a new set a name may come twice.
    if (set.add(name)) added++;
  }
  if (added > 0) context.notify('s', 'sadd', key);
  reply.integer(added);
};

const runSrem: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  const entry = entryAs(context, key, MemberSet);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  if (entry === undefined) {
    reply.integer(0);
    return;
  }
  let removed = 0;
  for (let at = 2; at < args.length; at++) {
    const name = args[at] ?? '';
    if (!entry.value.has(name)) continue;
    context.keyspace.change(key, entry);
    entry.value.delete(name);
    removed++;
  }
  if (removed > 0) context.notify('s', 'srem', key);
  reply.integer(removed);
};

const runSmove: Run = (context, args, reply) => {
  const [, from = '', to = '', name = ''] = args;
  const { keyspace } = context;
  const source = entryAs(context, from, MemberSet);
  const target = entryAs(context, to, MemberSet);
  if (source === undefined) {
    reply.integer(0);
    return;
  }
  if (typeof source === 'string') {
    reply.error(source);
    return;
  }
  if (typeof target === 'string') {
    reply.error(target);
    return;
  }
  if (!source.value.has(name) || source === target) {
    reply.integer(source.value.has(name) ? 1 : 0);
    return;
  }
  keyspace.change(from, source);
  source.value.delete(name);
  context.notify('s', 'srem', from);
  if (source.value.size === 0) {
    // Before the other key's events, as in Redis, and not at the end.
    keyspace.delete(from);
    context.notify('g', 'del', from);
  }
  if (target === undefined || !target.value.has(name)) {
    const changed = changeAs(context, to, MemberSet);
    if (typeof changed === 'string') return;
    changed.add(name);
    context.notify('s', 'sadd', to);
  }
  reply.integer(1);
};

const runSpop: Run = (context, args, reply) => {
  const key = args[1] ?? '';
  if (args.length > 3) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const one = args.length === 2;
  const count = one ? 1 : parseInteger(args[2] ?? '');
  if (count === undefined || count < 0) {
    reply.error('ERR value is out of range, must be positive');
    return;
  }
  const entry = entryAs(context, key, MemberSet);
  if (typeof entry === 'string') {
    reply.error(entry);
    return;
  }
  const wanted = Math.min(clampInteger(count), entry?.value.size ?? 0);
  let names: string[] = [];
  if (entry !== undefined && wanted > 0) {
    context.keyspace.change(key, entry);
    names = entry.value.take(wanted, () => context.random());
    context.notify('s', 'spop', key);
  }
  if (one) {
    reply.bulk(names[0] ?? null);
    return;
  }
  reply.set(names.length);
  for (const name of names) reply.bulk(name);
};

// --- The table ---------------------------------------------------------------------------------------------------

type SetCommand = Omit<DataCommand, 'kind' | 'group' | 'keys' | 'write' | 'flags' | 'categories'> &
  Partial<Pick<DataCommand, 'keys'>>;

/** What commands of a kind have in common. */
function kin(flags: DataCommand['flags'], commands: readonly SetCommand[]): readonly DataCommand[] {
  const write = flags.includes('write');
  const categories = [write ? 'write' : 'read', 'set', flags.includes('fast') ? 'fast' : 'slow'];
  return commands.map((command) => ({
    kind: 'data',
    group: 'set',
    keys: ONE_KEY,
    flags,
    write,
    categories,
    ...command,
  }));
}

export const setCommands: readonly DataCommand[] = [
  ...kin(
    ['readonly', 'fast'],
    [
      {
        name: 'sismember',
        arity: 3,
        usage: '<key> <member>',
        summary: 'Whether a set has a member',
        since: '1.0.0',
        complexity: 'O(log N)',
        run: runSismember,
      },
      {
        name: 'smismember',
        arity: -3,
        usage: '<key> <member> [<member> ...]',
        summary: 'Which of several members a set has',
        since: '6.2.0',
        complexity: 'O(log N) per member',
        run: runSmismember,
      },
      {
        name: 'scard',
        arity: 2,
        usage: '<key>',
        summary: 'The number of members of a set',
        since: '1.0.0',
        complexity: 'O(1)',
        run: runScard,
      },
    ],
  ),
  ...kin(
    ['readonly'],
    [
      {
        name: 'smembers',
        arity: 2,
        usage: '<key>',
        summary: 'All members of a set',
        since: '1.0.0',
        complexity: 'O(N) where N is the number of members',
        run: runSmembers,
      },
      {
        name: 'sscan',
        arity: -3,
        usage: '<key> <cursor> [MATCH <pattern>] [COUNT <count>]',
        summary: 'Walks over the members of a set in steps',
        since: '2.8.0',
        complexity: 'O(log N + COUNT) per step',
        run: runSscan,
      },
      {
        name: 'srandmember',
        arity: -2,
        usage: '<key> [<count>]',
        summary: 'Any members of a set',
        since: '1.0.0',
        complexity: 'O(log N) per member, at most O(N) for different ones',
        run: runSrandmember,
      },
    ],
  ),
  ...kin(
    ['write', 'denyoom', 'fast'],
    [
      {
        name: 'sadd',
        arity: -3,
        usage: '<key> <member> [<member> ...]',
        summary: 'Adds members to a set, creating it',
        since: '1.0.0',
        complexity: 'O(log N) per member',
        run: runSadd,
      },
    ],
  ),
  ...kin(
    ['write', 'fast'],
    [
      {
        name: 'srem',
        arity: -3,
        usage: '<key> <member> [<member> ...]',
        summary: 'Removes members of a set',
        since: '1.0.0',
        complexity: 'O(log N) per member',
        run: runSrem,
      },
      {
        name: 'smove',
        arity: 4,
        keys: TWO_KEYS,
        usage: '<source> <destination> <member>',
        summary: 'Moves a member from one set to another',
        since: '1.0.0',
        complexity: 'O(log N)',
        run: runSmove,
      },
      {
        name: 'spop',
        arity: -2,
        usage: '<key> [<count>]',
        summary: 'Takes any members out of a set',
        since: '1.0.0',
        complexity: 'O(log N) per member, at most O(N)',
        run: runSpop,
      },
    ],
  ),
];
