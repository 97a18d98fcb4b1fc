/**
 * Commands that need neither keys nor a node: their replies follow from their arguments and the time. A node answers them
 * at once, see `src/server/commands/pure.ts`; in scripts they run as part of the entry, so TIME is the entry's there.
 */
import type { CommandSpec, DataCommand } from '../command.ts';
import { NOT_AN_INTEGER, wrongArity } from '../errors.ts';
import { parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { NO_KEYS } from './positions.ts';

/** `now`: ms since 1970. */
export interface PureSpec extends CommandSpec {
  readonly answer: (args: readonly string[], now: number, reply: ReplyWriter) => void;
}

const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;
const NO_INT = `ERR value is out of range, value must between ${INT_MIN} and ${INT_MAX}`;

const NO_DATABASE = 'ERR DB index is out of range';

const shared = { keys: NO_KEYS, complexity: 'O(1)' } as const;

export const pureSpecs: readonly PureSpec[] = [
  {
    ...shared,
    name: 'ping',
    arity: -1,
    flags: ['fast'],
    categories: ['fast', 'connection'],
    usage: '[<message>]',
    summary: 'Answers PONG, or its argument: the node is there',
    since: '1.0.0',
    group: 'connection',
    answer(args, _now, reply) {
      if (args.length === 1) reply.simple('PONG');
      else if (args.length === 2) reply.bulk(args[1] ?? '');
      else reply.error(wrongArity('ping'));
    },
  },
  {
    ...shared,
    name: 'echo',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    categories: ['fast', 'connection'],
    usage: '<message>',
    summary: 'Answers its argument',
    since: '1.0.0',
    group: 'connection',
    answer: (args, _now, reply) => reply.bulk(args[1] ?? ''),
  },
  {
    ...shared,
    name: 'time',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    categories: ['fast'],
    summary: 'The time in seconds since 1970 and the microseconds of the current one',
    since: '2.6.0',
    group: 'server',
    answer(_args, now, reply) {
      reply.array(2);
      reply.bulk(String(Math.floor(now / 1000)));
      reply.bulk(String(Math.floor(now % 1000) * 1000));
    },
  },
  {
    ...shared,
    name: 'select',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    categories: ['fast', 'connection'],
    usage: '<index>',
    summary: 'Chooses the database; there is one, 0',
    since: '1.0.0',
    group: 'connection',
    answer(args, _now, reply) {
      const database = parseInteger(args[1] ?? '');
      if (database === undefined) reply.error(NOT_AN_INTEGER);
      else if (database < INT_MIN || database > INT_MAX) reply.error(NO_INT);
      else if (database === 0) reply.ok();
      else reply.error(NO_DATABASE);
    },
  },
  {
    ...shared,
    name: 'move',
    arity: 3,
    flags: ['write', 'fast'],
    keys: { first: 1, last: 1, step: 1 },
    categories: ['keyspace', 'write', 'fast'],
    usage: '<key> <db>',
    summary: 'Moves a key to another database; there is none',
    since: '1.0.0',
    group: 'generic',
    answer(args, _now, reply) {
      const database = parseInteger(args[2] ?? '');
      if (database === undefined) reply.error(NOT_AN_INTEGER);
      else if (database < INT_MIN || database > INT_MAX) reply.error(NO_INT);
      else if (database === 0) reply.error('ERR source and destination objects are the same');
      else reply.error(NO_DATABASE);
    },
  },
  {
    ...shared,
    name: 'swapdb',
    arity: 3,
    flags: ['write', 'fast'],
    categories: ['keyspace', 'write', 'fast', 'dangerous'],
    usage: '<index1> <index2>',
    summary: 'Exchanges two databases; there is one, 0',
    since: '4.0.0',
    group: 'server',
    answer(args, _now, reply) {
      const [first, second] = [parseInteger(args[1] ?? ''), parseInteger(args[2] ?? '')];
      if (first === undefined) reply.error('ERR invalid first DB index');
      else if (second === undefined) reply.error('ERR invalid second DB index');
      else if (first === 0 && second === 0) reply.ok();
      else reply.error(NO_DATABASE);
    },
  },
  {
    ...shared,
    name: 'lolwut',
    arity: -1,
    flags: ['readonly', 'fast'],
    categories: ['read', 'fast'],
    usage: '[VERSION <version>]',
    summary: 'Says which release of Redis the commands follow',
    since: '5.0.0',
    group: 'server',
    answer: (_args, _now, reply) => reply.verbatim('txt', 'Redis ver. 7.0.15\n'),
  },
];

/** The same as calls of transactions and of scripts, by name. */
export const pureCalls: ReadonlyMap<string, DataCommand> = new Map(
  pureSpecs.map(({ answer, ...spec }) => [
    spec.name,
    { ...spec, kind: 'data', write: false, run: ({ now }, args, reply) => answer(args, now, reply) },
  ]),
);
