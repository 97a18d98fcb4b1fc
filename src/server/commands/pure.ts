/** Commands whose reply needs neither keys nor this node: see {@link PureCommand}. */
import { NOT_AN_INTEGER, wrongArity } from '../../store/errors.ts';
import { parseInteger } from '../../store/integer.ts';
import type { PureCommand } from '../session.ts';
import { NO_KEYS } from './container.ts';

const specs: readonly Omit<PureCommand, 'kind' | 'keys' | 'call'>[] = [
  {
    name: 'ping',
    arity: -1,
    flags: ['fast'],
    categories: ['fast', 'connection'],
    summary: 'Answers PONG, or its argument: the node is there',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    answer(args, _now, reply) {
      if (args.length === 1) reply.simple('PONG');
      else if (args.length === 2) reply.bulk(args[1] ?? '');
      else reply.error(wrongArity('ping'));
    },
  },
  {
    name: 'echo',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    categories: ['fast', 'connection'],
    summary: 'Answers its argument',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    answer: (args, _now, reply) => reply.bulk(args[1] ?? ''),
  },
  {
    name: 'time',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    categories: ['fast'],
    summary: 'The time in seconds since 1970 and the microseconds of the current one',
    since: '2.6.0',
    group: 'server',
    complexity: 'O(1)',
    answer(_args, now, reply) {
      reply.array(2);
      reply.bulk(String(Math.floor(now / 1000)));
      reply.bulk(String(Math.floor(now % 1000) * 1000));
    },
  },
  {
    name: 'select',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    categories: ['fast', 'connection'],
    summary: 'Chooses the database; there is one, 0',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    answer(args, _now, reply) {
      const database = parseInteger(args[1] ?? '');
      if (database === undefined) reply.error(NOT_AN_INTEGER);
      else if (database === 0) reply.ok();
      else reply.error('ERR DB index is out of range');
    },
  },
];

export const pureCommands: readonly PureCommand[] = specs.map(({ answer, ...spec }) => ({
  ...spec,
  kind: 'pure',
  keys: NO_KEYS,
  answer,
  call: {
    ...spec,
    kind: 'data',
    keys: NO_KEYS,
    write: false,
    run: (context, args, reply) => answer(args, context.now, reply),
  },
}));
