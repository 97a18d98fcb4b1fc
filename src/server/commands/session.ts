/** KVORUM.SESSION: each write of a client exactly once, whatever happens to connections and nodes. See `once.ts`. */
import { sessionCommands as replicated } from '../../store/commands/sessions.ts';
import { NOT_AN_INTEGER } from '../../store/errors.ts';
import { clampInteger, parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LocalCommand, Session } from '../session.ts';
import { container } from './container.ts';

export const sessionCommands: readonly LocalCommand[] = [
  container(
    'kvorum',
    {
      name: 'kvorum.session',
      arity: -2,
      flags: [],
      categories: ['slow', 'connection'],
      summary: 'A container for commands that make writes safe to send again',
      since: '7.0.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        name: 'resume',
        usage: '<id> <sequence>',
        arity: 4,
        flags: ['loading', 'stale', 'fast'],
        categories: ['fast', 'connection'],
        summary: 'Gives the next write of this connection that sequence, and each further one the next.',
        since: '7.0.0',
        complexity: 'O(1)',
        run: resume,
      },
    ],
    replicated,
  ),
];

function resume(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const id = parseInteger(args[2] ?? '');
  const sequence = parseInteger(args[3] ?? '');
  if (id === undefined || sequence === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const [first, next] = [clampInteger(id), clampInteger(sequence)];
  if (first < 1 || next < 1 || first === Number.MAX_SAFE_INTEGER || next === Number.MAX_SAFE_INTEGER) {
    reply.error('ERR session and sequence are whole numbers from 1 on, below 2^53 - 1');
    return;
  }
  session.resume(first, next);
  reply.ok();
}
