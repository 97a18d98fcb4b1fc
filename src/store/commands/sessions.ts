/**
 * Sessions of clients that want each of their writes to be run exactly once: see `once.ts`. RESUME, which gives the
 * writes of a connection their numbers, is the connection's business and not here.
 */
import type { DataCommand } from '../command.ts';
import { NOT_AN_INTEGER } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import { unknownSession } from '../once.ts';
import type { ReplyWriter } from '../reply.ts';
import { NO_KEYS } from './positions.ts';

/** The id among the arguments, or undefined after an error. Ids are whole and above 0. */
function sessionId(args: readonly string[], reply: ReplyWriter): number | undefined {
  const id = parseInteger(args[2] ?? '');
  if (id === undefined) reply.error(NOT_AN_INTEGER);
  return id === undefined ? undefined : clampInteger(id);
}

const shared = {
  kind: 'data',
  keys: NO_KEYS,
  since: '7.0.0',
  group: 'kvorum',
  complexity: 'O(1)',
} as const;

export const sessionCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'kvorum.session|open',
    arity: 2,
    write: true,
    flags: ['write', 'no_multi', 'fast'],
    categories: ['write', 'fast', 'connection'],
    summary: 'Opens a session and answers its id, which is never used again.',
    // The number of the write: counted since the beginning of the log, the same on every node.
    run(context, _args, reply) {
      context.once.open(context.keyspace.writeNumber);
      reply.integer(context.keyspace.writeNumber);
    },
  },
  {
    ...shared,
    name: 'kvorum.session|close',
    usage: '<id>',
    arity: 3,
    write: true,
    flags: ['write', 'no_multi', 'fast'],
    categories: ['write', 'fast', 'connection'],
    summary: 'Forgets a session and the replies kept for it; 0 when there was none.',
    run(context, args, reply) {
      const id = sessionId(args, reply);
      if (id !== undefined) reply.integer(context.once.close(id) ? 1 : 0);
    },
  },
  {
    ...shared,
    name: 'kvorum.session|info',
    usage: '<id>',
    arity: 3,
    write: false,
    flags: ['readonly', 'no_multi', 'fast'],
    categories: ['read', 'fast', 'connection'],
    summary: 'The sequence that the next write of a session must have, and the lowest whose reply is kept.',
    run(context, args, reply) {
      const id = sessionId(args, reply);
      if (id === undefined) return;
      const facts = context.once.facts(id);
      if (facts === null) {
        reply.error(unknownSession(id));
        return;
      }
      reply.map(3);
      reply.bulk('id');
      reply.integer(id);
      reply.bulk('next');
      reply.integer(facts.next);
      reply.bulk('oldest');
      reply.integer(facts.oldest);
    },
  },
];
