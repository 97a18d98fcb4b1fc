/** MONITOR; see `monitors.ts` of the server. */
import type { LocalCommand } from '../session.ts';
import { localCommands } from './container.ts';

export const monitorCommands: readonly LocalCommand[] = localCommands('server', [
  {
    name: 'monitor',
    arity: 1,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    categories: ['admin', 'slow', 'dangerous'],
    summary: 'Shows every command that this node takes from now on, until RESET or QUIT',
    since: '1.0.0',
    complexity: 'O(1)',
    run(session, _args, reply) {
      session.port.engine.activity.monitors.add(session);
      reply.ok();
    },
  },
]);
