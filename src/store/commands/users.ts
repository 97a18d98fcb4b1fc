/**
 * ACL SETUSER and DELUSER as they are in the log: users hold on all nodes. The node that a client talks to has made the rules
 * ready (`src/server/users.ts`): passwords are hashes, and what names no command never gets here.
 */
import {
  BAD_USER_NAME,
  DEFAULT_USER,
  hasSpaces,
  mergeSelectors,
  ruleError,
  UserRules,
} from '../acl/rules.ts';
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { NO_KEYS } from './positions.ts';

/** Marks the argument that says what `default` needs where nobody has said so before: what that node was started with. */
const INITIAL = '\0';

/** The first argument behind the name, for `default` alone: the hash of the password, or null for none. */
export function initialPassword(hash: string | null): string {
  return `${INITIAL}${hash ?? ''}`;
}

function rulesBefore({ meta }: Context, name: string, initial: string | undefined): UserRules {
  const known = meta.get('users', name);
  if (known !== undefined) return UserRules.decode(known);
  if (name !== DEFAULT_USER) return new UserRules();
  return UserRules.initialDefault(initial === undefined || initial === '' ? null : initial);
}

/** All of the rules are taken, or none. */
const runSetUser: DataCommand['run'] = (context, args, reply) => {
  const [, , name = '', ...rest] = args;
  const initial = rest[0]?.startsWith(INITIAL) === true ? rest[0].slice(INITIAL.length) : undefined;
  const merged = mergeSelectors(initial === undefined ? rest : rest.slice(1));
  if (hasSpaces(name) || typeof merged === 'string') {
    reply.error(typeof merged === 'string' ? merged : BAD_USER_NAME);
    return;
  }
  const rules = rulesBefore(context, name, initial);
  for (const rule of merged) {
    const problem = rules.add(rule);
    if (problem === null) continue;
    reply.error(ruleError(rule, problem));
    return;
  }
  context.setMeta('users', name, rules.encode());
  reply.ok();
};

const runDelUser: DataCommand['run'] = (context, args, reply) => {
  const names = args.slice(2);
  if (names.includes(DEFAULT_USER)) {
    reply.error("ERR The 'default' user cannot be removed");
    return;
  }
  let deleted = 0;
  for (const name of names) {
    if (context.meta.get('users', name) === undefined) continue;
    context.setMeta('users', name, null);
    deleted += 1;
  }
  reply.integer(deleted);
};

const shared = {
  kind: 'data',
  group: 'server',
  arity: -3,
  write: true,
  anywhere: true,
  flags: ['write', 'admin', 'noscript', 'no_multi', 'loading', 'stale'],
  keys: NO_KEYS,
  categories: ['admin', 'slow', 'dangerous'],
  since: '6.0.0',
} as const;

export const userCommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'acl|setuser',
    usage: '<username> [<rule> ...]',
    summary: 'Makes a user, or changes one, by these rules.',
    complexity: 'O(N) where N is the number of rules given and of those that the user has',
    run: runSetUser,
  },
  {
    ...shared,
    name: 'acl|deluser',
    usage: '<username> [<username> ...]',
    summary: 'Removes users and closes their connections; tells how many there were.',
    complexity: 'O(1) per user',
    run: runDelUser,
  },
];
