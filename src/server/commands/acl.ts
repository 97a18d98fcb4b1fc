/**
 * ACL: users and what they may do. They are replicated (`users.ts` of the store's commands, and of the server), and what is
 * asked about them is answered when this node has seen all that was acknowledged before; the log of refusals is this node's own.
 */
import { randomBytes } from 'node:crypto';
import { CATEGORIES } from '../../store/acl/catalogue.ts';
import type { Denial } from '../../store/acl/rights.ts';
import type { Selector, UserRules } from '../../store/acl/rules.ts';
import { hasArity } from '../../store/arity.ts';
import { userCommands } from '../../store/commands/users.ts';
import { NOT_AN_INTEGER, wrongArity } from '../../store/errors.ts';
import { clampInteger, parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { AclLogEntry } from '../acl-log.ts';
import { wrongSubcommand } from '../errors.ts';
import type { LocalCommand, Session } from '../session.ts';
import type { User } from '../users.ts';
import { container, type SubcommandSpec } from './container.ts';

const GENPASS_BITS = 256;
const GENPASS_BITS_MAX = 4096;
const LOG_ENTRIES = 10;
const QUOTED_BYTES_MAX = 128;

const administrative = {
  flags: ['admin', 'noscript', 'loading', 'stale'],
  categories: ['admin', 'slow', 'dangerous'],
  since: '6.0.0',
} as const;

const harmless = {
  flags: ['noscript', 'loading', 'stale'],
  categories: ['slow'],
  since: '6.0.0',
} as const;

const always = (): boolean => true;

/** A change of users: made ready here, and sent on its way to the log. */
const changes: readonly SubcommandSpec[] = userCommands.map((command) => ({
  ...administrative,
  name: command.name.slice('acl|'.length),
  arity: command.arity,
  summary: command.summary,
  complexity: command.complexity,
  ...(command.usage === undefined ? {} : { usage: command.usage }),
  fresh: always,
  run(session, args, reply) {
    const ready = command.name === 'acl|setuser' ? session.port.users.prepare(args) : args;
    if (typeof ready === 'string') reply.error(ready);
    else session.submit(command, ready);
  },
}));

export const aclCommands: readonly LocalCommand[] = [
  container(
    'server',
    {
      name: 'acl',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for commands about users and what they may do',
      since: '6.0.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...harmless,
        name: 'cat',
        usage: '[<categoryname>]',
        arity: -2,
        summary: 'The categories of commands, or the commands of one.',
        complexity: 'O(n) in the commands',
        run: cat,
      },
      ...changes,
      {
        ...administrative,
        name: 'dryrun',
        usage: '<username> <command> [<arg> ...]',
        arity: -4,
        summary: 'Whether a user may run a command, which is not run.',
        since: '7.0.0',
        complexity: 'O(1)',
        fresh: always,
        run: dryRun,
      },
      {
        ...harmless,
        name: 'genpass',
        usage: '[<bits>]',
        arity: -2,
        summary: 'A password by chance, in hexadecimal digits.',
        complexity: 'O(1)',
        run: generatePassword,
      },
      {
        ...administrative,
        name: 'getuser',
        usage: '<username>',
        arity: 3,
        summary: 'All about a user.',
        complexity: 'O(n) in the rules of the user',
        fresh: always,
        run({ port: { users } }, args, reply) {
          const user = users.get(args[2] ?? '');
          if (user === undefined) reply.bulk(null);
          else writeUser(user, reply);
        },
      },
      {
        ...administrative,
        name: 'list',
        arity: 2,
        summary: 'All users with their rules, one line for each.',
        complexity: 'O(n) in the users and their rules',
        fresh: always,
        run({ port: { users } }, _args, reply) {
          const all = users.all();
          reply.array(all.length);
          for (const user of all) reply.bulk(describe(user));
        },
      },
      {
        ...administrative,
        name: 'load',
        arity: 2,
        summary: 'Answers OK: there is no file, users are in the log and known to all nodes.',
        complexity: 'O(1)',
        run: (_session, _args, reply) => reply.ok(),
      },
      {
        ...administrative,
        name: 'log',
        usage: '[<count>|RESET]',
        arity: -2,
        summary: 'What this node has refused to users, the newest first; or forgets it.',
        complexity: 'O(n) in the entries',
        run: log,
      },
      {
        ...administrative,
        name: 'save',
        arity: 2,
        summary: 'Answers OK: users are in the log, on the disks of a majority.',
        complexity: 'O(1)',
        run: (_session, _args, reply) => reply.ok(),
      },
      {
        ...administrative,
        name: 'users',
        arity: 2,
        summary: 'The names of all users.',
        complexity: 'O(n) in the users',
        fresh: always,
        run({ port: { users } }, _args, reply) {
          const all = users.all();
          reply.array(all.length);
          for (const { name } of all) reply.bulk(name);
        },
      },
      {
        ...harmless,
        name: 'whoami',
        arity: 2,
        summary: 'The user of this connection.',
        complexity: 'O(1)',
        run: (session, _args, reply) => reply.bulk(session.userName),
      },
    ],
  ),
];

function cat({ port: { users } }: Session, args: readonly string[], reply: ReplyWriter): void {
  if (args.length > 3) {
    reply.error(wrongSubcommand('acl', args[1] ?? ''));
    return;
  }
  const category = args[2];
  if (category === undefined) {
    reply.array(CATEGORIES.length);
    for (const each of CATEGORIES) reply.bulk(each);
    return;
  }
  const commands = users.catalogue.inCategory(category.toLowerCase());
  if (commands === undefined) {
    reply.error(`ERR Unknown category '${category.slice(0, QUOTED_BYTES_MAX)}'`);
    return;
  }
  reply.array(commands.length);
  for (const { spec } of commands) reply.bulk(spec.name);
}

function generatePassword(_session: Session, args: readonly string[], reply: ReplyWriter): void {
  if (args.length > 3) {
    reply.error(wrongSubcommand('acl', args[1] ?? ''));
    return;
  }
  const bits = args[2] === undefined ? GENPASS_BITS : parseInteger(args[2]);
  if (bits === undefined) reply.error(NOT_AN_INTEGER);
  else if (bits <= 0 || bits > GENPASS_BITS_MAX)
    reply.error(
      `ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to ${GENPASS_BITS_MAX}`,
    );
  else {
    const digits = Math.ceil(Number(bits) / 4);
    reply.bulk(
      randomBytes(Math.ceil(digits / 2))
        .toString('hex')
        .slice(0, digits),
    );
  }
}

/* ---- Users ------------------------------------------------------------------------------------------------------- */

function writeUser({ rules, rights }: User, reply: ReplyWriter): void {
  const commands = rights.describeCommands();
  const [own, ...others] = rules.selectors;
  reply.map(6);
  reply.bulk('flags');
  writeFlags(rules, reply);
  reply.bulk('passwords');
  reply.array(rules.passwords.size);
  for (const hash of rules.passwords) reply.bulk(hash);
  writeSelector(own, commands[0] ?? '', reply);
  reply.bulk('selectors');
  reply.array(others.length);
  others.forEach((selector, at) => {
    reply.map(3);
    writeSelector(selector, commands[at + 1] ?? '', reply);
  });
}

function writeFlags(rules: UserRules, reply: ReplyWriter): void {
  const flags = rules.flags();
  reply.set(flags.length);
  for (const flag of flags) reply.bulk(flag);
}

function writeSelector(selector: Selector, commands: string, reply: ReplyWriter): void {
  for (const [name, value] of [
    ['commands', commands],
    ['keys', selector.keyRules().join(' ')],
    ['channels', selector.channelRules().join(' ')],
  ] as const) {
    reply.bulk(name);
    reply.bulk(value);
  }
}

/** As a line of a configuration file. */
function describe({ name, rules, rights }: User): string {
  const hashes = Array.from(rules.passwords, (hash) => `#${hash}`);
  const selectors = rights.describeCommands().map((commands, at) => {
    const text = rules.selectors[at] === undefined ? '' : describeSelector(rules.selectors[at], commands);
    return at === 0 ? text : `(${text})`;
  });
  return ['user', name, ...rules.flags(), ...hashes, ...selectors].join(' ');
}

function describeSelector(selector: Selector, commands: string): string {
  const channels = selector.channelRules();
  const reset = selector.channels === null ? [] : ['resetchannels'];
  return [...selector.keyRules(), ...reset, ...channels, commands].join(' ');
}

function dryRun({ port: { users, commands } }: Session, args: readonly string[], reply: ReplyWriter): void {
  const [, , name = '', ...request] = args;
  const user = users.get(name);
  if (user === undefined) {
    reply.error(`ERR User '${name}' not found`);
    return;
  }
  const first = (request[0] ?? '').toLowerCase();
  const outer = first.includes('|') ? undefined : commands.get(first);
  const wanted = `${first}|${(request[1] ?? '').toLowerCase()}`;
  const subcommands = outer?.subcommands ?? [];
  const command =
    subcommands.length === 0 || request.length === 1
      ? outer
      : subcommands.find((subcommand) => subcommand.name === wanted);
  if (command === undefined) {
    reply.error(`ERR Command '${request[0] ?? ''}' not found`);
    return;
  }
  if (!hasArity(command, request)) {
    reply.error(wrongArity(command.name));
    return;
  }
  const denial = user.rights.check(command, request);
  if (denial === null) reply.ok();
  else reply.bulk(`This user has no permissions to ${forbidden(denial, command.name, request)}`);
}

function forbidden({ reason, position }: Denial, command: string, request: readonly string[]): string {
  if (reason === 'command') return `run the '${command}' command`;
  // As Redis repeats it: as a string of C.
  const [name = ''] = (request[position] ?? '').split('\0', 1);
  return `access the '${name}' ${reason}`;
}

/* ---- The log ----------------------------------------------------------------------------------------------------- */

function log({ port }: Session, args: readonly string[], reply: ReplyWriter): void {
  if (args.length > 3) {
    reply.error(wrongSubcommand('acl', args[1] ?? ''));
    return;
  }
  const option = args[2];
  if (option?.toLowerCase() === 'reset') {
    port.aclLog.clear();
    reply.ok();
    return;
  }
  const count = option === undefined ? LOG_ENTRIES : parseInteger(option);
  if (count === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const entries = port.aclLog.entries.slice(0, Math.max(0, clampInteger(count)));
  reply.array(entries.length);
  for (const entry of entries) writeLogEntry(entry, port.monotonic(), reply);
}

function writeLogEntry(entry: AclLogEntry, now: number, reply: ReplyWriter): void {
  reply.map(7);
  reply.bulk('count');
  reply.integer(entry.count);
  for (const [name, value] of [
    ['reason', entry.reason],
    ['context', entry.context],
    ['object', entry.object],
    ['username', entry.user],
  ] as const) {
    reply.bulk(name);
    reply.bulk(value);
  }
  reply.bulk('age-seconds');
  reply.double(Math.round(now - entry.at) / 1000);
  reply.bulk('client-info');
  reply.bulk(entry.client);
}
