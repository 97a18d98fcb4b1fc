/** SLOWLOG: the commands that took this node longest; see `slow-log.ts` of the server. */
import { wrongSubcommand } from '../errors.ts';
import { parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LocalCommand, Session } from '../session.ts';
import { container } from './container.ts';

const SHOWN_BY_DEFAULT = 10;

const shared = {
  flags: ['admin', 'loading', 'stale'],
  categories: ['admin', 'slow', 'dangerous'],
  complexity: 'O(1)',
  since: '2.2.12',
} as const;

export const slowLogCommands: readonly LocalCommand[] = [
  container(
    'server',
    {
      name: 'slowlog',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for commands about slow commands',
      since: '2.2.12',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...shared,
        name: 'get',
        usage: '[<count>]',
        arity: -2,
        summary:
          'The last slow commands of this node, newest first: 10, or as many as asked for; -1 for all.',
        complexity: 'O(n) in the entries',
        run: get,
      },
      {
        ...shared,
        name: 'len',
        arity: 2,
        summary: 'How many are kept.',
        run: ({ port }, _args, reply) => reply.integer(port.engine.activity.slowLog.entries.length),
      },
      {
        ...shared,
        name: 'reset',
        arity: 2,
        summary: 'Forgets them.',
        run({ port }, _args, reply) {
          port.engine.activity.slowLog.reset();
          reply.ok();
        },
      },
    ],
  ),
];

function get({ port }: Session, args: readonly string[], reply: ReplyWriter): void {
  if (args.length > 3) {
    reply.error(wrongSubcommand('slowlog', args[1] ?? ''));
    return;
  }
  const count = args.length > 2 ? parseInteger(args[2] ?? '') : SHOWN_BY_DEFAULT;
  if (count === undefined || count < -1) {
    reply.error('ERR count should be greater than or equal to -1');
    return;
  }
  const { entries } = port.engine.activity.slowLog;
  const shown = count < 0 ? entries : entries.slice(0, Number(count));
  reply.array(shown.length);
  for (const entry of shown) {
    reply.array(6);
    reply.integer(entry.id);
    reply.integer(entry.at);
    reply.integer(entry.microseconds);
    reply.array(entry.args.length);
    for (const arg of entry.args) reply.bulk(arg);
    reply.bulk(entry.address);
    reply.bulk(entry.name);
  }
}
