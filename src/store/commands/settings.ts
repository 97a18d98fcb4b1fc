/** CONFIG SET: settings that hold on all nodes. */
import type { DataCommand } from '../command.ts';
import { SYNTAX_ERROR } from '../errors.ts';
import { settings } from '../settings.ts';
import { NO_KEYS } from './positions.ts';

/** All of them are set, or none. */
const runSet: DataCommand['run'] = (context, args, reply) => {
  if (args.length % 2 !== 0) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const values = new Map<string, string>();
  for (let at = 2; at < args.length; at += 2) {
    const name = (args[at] ?? '').toLowerCase();
    const setting = settings.get(name);
    if (setting === undefined) {
      reply.error(`ERR Unknown option or number of arguments for CONFIG SET - '${args[at] ?? ''}'`);
      return;
    }
    const parsed = setting.parse(args[at + 1] ?? '');
    const problem = values.has(name) ? 'duplicate parameter' : 'problem' in parsed ? parsed.problem : null;
    if (problem !== null) {
      reply.error(`ERR CONFIG SET failed (possibly related to argument '${args[at] ?? ''}') - ${problem}`);
      return;
    }
    if ('value' in parsed) values.set(name, parsed.value);
  }
  for (const [name, value] of values) context.setMeta('settings', name, value);
  reply.ok();
};

export const settingCommands: readonly DataCommand[] = [
  {
    kind: 'data',
    group: 'server',
    name: 'config|set',
    arity: -4,
    write: true,
    anywhere: true,
    flags: ['write', 'admin', 'noscript', 'no_multi', 'loading', 'stale'],
    keys: NO_KEYS,
    categories: ['admin', 'slow', 'dangerous'],
    usage: '<parameter> <value> [<parameter> <value> ...]',
    summary: 'Sets parameters for all nodes, all or none.',
    since: '2.0.0',
    complexity: 'O(n) in the parameters',
    run: runSet,
  },
];
