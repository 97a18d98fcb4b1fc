/**
 * A script has the rights of the user who runs it, and is run on every node: so who it is travels with it. A node that takes EVAL
 * or its kin from a user who may not do everything puts `kvorum.as <user>` before it; no client can send that itself. The rights
 * are those that the log says the user has at that place.
 */
import type { DataCommand } from '../command.ts';
import { wrongArity } from '../errors.ts';
import { hasArity } from '../arity.ts';
import { NO_KEYS } from './positions.ts';

const RUN_SCRIPTS: ReadonlySet<string> = new Set([
  'eval',
  'eval_ro',
  'evalsha',
  'evalsha_ro',
  'fcall',
  'fcall_ro',
]);

/** Whether the command runs what a client has written. */
export function runsScripts({ name }: Pick<DataCommand, 'name'>): boolean {
  return RUN_SCRIPTS.has(name);
}

export interface OnBehalfCommands {
  readonly writing: DataCommand;
  readonly reading: DataCommand;
}

/** `find`: the command that a request names. */
export function onBehalfCommands(
  find: (args: readonly string[]) => DataCommand | undefined,
): OnBehalfCommands {
  const run: DataCommand['run'] = (context, args, reply) => {
    const [, user = '', ...request] = args;
    const command = find(request);
    if (command === undefined || !runsScripts(command) || !hasArity(command, request)) {
      reply.error(wrongArity(request[0] ?? ''));
      return;
    }
    context.user = user;
    command.run(context, request, reply);
    context.user = null;
  };
  const shared = {
    kind: 'data',
    group: 'scripting',
    arity: -5,
    keys: NO_KEYS,
    categories: ['slow', 'scripting'],
    summary: '',
    since: '7.0.0',
    complexity: 'that of the script',
    run,
  } as const;
  return {
    writing: { ...shared, name: 'kvorum.as', write: true, flags: ['noscript', 'may_replicate'] },
    reading: { ...shared, name: 'kvorum.as_ro', write: false, flags: ['noscript', 'readonly'] },
  };
}
