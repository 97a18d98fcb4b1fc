/** COMMAND: the command table, told to clients. */
import { type CommandSpec, keysOf } from '../../store/command.ts';
import { SYNTAX_ERROR } from '../../store/errors.ts';
import { matchesGlob } from '../../store/glob.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import { hasArity } from '../../store/arity.ts';
import type { Command, CommandTable, LocalCommand, Session } from '../session.ts';
import { container } from './container.ts';

const shared = {
  flags: ['loading', 'stale'],
  categories: ['slow', 'connection'],
  complexity: 'O(n) in the commands asked for',
} as const;

export const commandCommands: readonly LocalCommand[] = [
  container(
    'server',
    {
      name: 'command',
      arity: -1,
      flags: ['loading', 'stale'],
      categories: ['slow', 'connection'],
      summary: 'Returns detailed information about all commands',
      since: '2.8.13',
      complexity: 'O(n) in the commands',
      run: (session, _args, reply) => writeInfos(allOf(session.port.commands), reply),
    },
    [
      {
        ...shared,
        name: 'count',
        arity: 2,
        summary: 'The number of commands.',
        since: '2.8.13',
        complexity: 'O(1)',
        run: (session, _args, reply) => reply.integer(allOf(session.port.commands).length),
      },
      {
        ...shared,
        name: 'info',
        usage: '[<command> ...]',
        arity: -2,
        summary: 'Arity, flags, key positions and categories of these commands, or of all.',
        since: '2.8.13',
        run(session, args, reply) {
          const { commands } = session.port;
          writeInfos(
            args.length > 2 ? args.slice(2).map((name) => find(commands, name)) : allOf(commands),
            reply,
          );
        },
      },
      {
        ...shared,
        name: 'docs',
        usage: '[<command> ...]',
        arity: -2,
        summary: 'What these commands, or all, do.',
        since: '7.0.0',
        run: docs,
      },
      {
        ...shared,
        name: 'list',
        usage: '[FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]',
        arity: -2,
        summary: 'The names of all commands, or of those that pass the filter.',
        since: '7.0.0',
        run: list,
      },
      {
        ...shared,
        name: 'getkeys',
        usage: '<command> [<argument> ...]',
        arity: -3,
        summary: 'The keys among the arguments of a command.',
        since: '2.8.13',
        complexity: 'O(n) in the arguments',
        run: getKeys,
      },
    ],
  ),
];

/** Every command once; the table holds each under two names. */
function allOf(commands: CommandTable): Command[] {
  return [...new Set(commands.values())];
}

function subcommandsOf(command: CommandSpec): readonly CommandSpec[] {
  return command.subcommands ?? [];
}

/** A command by its name in any case, a subcommand as `container|name`. */
function find(commands: CommandTable, name: string): CommandSpec | undefined {
  const [first = '', second] = name.toLowerCase().split('|', 2);
  const command = commands.get(first);
  if (command === undefined || second === undefined) return command;
  return subcommandsOf(command).find((sub) => sub.name === `${first}|${second}`);
}

/* ---- INFO ---------------------------------------------------------------------------------------------------- */

function writeInfos(specs: readonly (CommandSpec | undefined)[], reply: ReplyWriter): void {
  reply.array(specs.length);
  for (const spec of specs) {
    if (spec === undefined) reply.bulk(null);
    else writeInfo(spec, reply);
  }
}

function writeInfo(spec: CommandSpec, reply: ReplyWriter): void {
  const subcommands = subcommandsOf(spec);
  const flags = spec.flags.filter((flag) => flag !== 'may_replicate');
  reply.array(10);
  reply.bulk(spec.name);
  reply.integer(spec.arity);
  reply.set(flags.length);
  for (const flag of flags) reply.simple(flag);
  reply.integer(spec.keys.first);
  reply.integer(spec.keys.last);
  reply.integer(spec.keys.step);
  reply.set(spec.categories.length);
  for (const category of spec.categories) reply.simple(`@${category}`);
  // Hints on how to spread a command over shards and merge the answers: there is one shard.
  reply.set(0);
  writeKeySpecs(spec, reply);
  reply.set(subcommands.length);
  for (const subcommand of subcommands) writeInfo(subcommand, reply);
}

/** Where the keys are, in the words of Redis 7: at an index, then a range. */
function writeKeySpecs({ keys, flags }: CommandSpec, reply: ReplyWriter): void {
  if (keys.first === 0) {
    reply.set(0);
    return;
  }
  reply.set(1);
  reply.map(3);
  reply.bulk('flags');
  reply.set(1);
  reply.simple(flags.includes('write') ? 'RW' : 'RO');
  reply.bulk('begin_search');
  reply.map(2);
  writeField(reply, 'type', 'index');
  reply.bulk('spec');
  reply.map(1);
  writeNumber(reply, 'index', keys.first);
  reply.bulk('find_keys');
  reply.map(2);
  writeField(reply, 'type', 'range');
  reply.bulk('spec');
  reply.map(3);
  // Counted from the first key, unless from the end of the arguments.
  writeNumber(reply, 'lastkey', keys.last < 0 ? keys.last : keys.last - keys.first);
  writeNumber(reply, 'keystep', keys.step);
  writeNumber(reply, 'limit', 0);
}

/* ---- DOCS ---------------------------------------------------------------------------------------------------- */

function docs(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const { commands } = session.port;
  const specs: readonly (CommandSpec | undefined)[] =
    args.length > 2 ? args.slice(2).map((name) => find(commands, name)) : allOf(commands);
  writeDocs(
    specs.filter((spec) => spec !== undefined),
    reply,
  );
}

function writeDocs(specs: readonly CommandSpec[], reply: ReplyWriter): void {
  reply.map(specs.length);
  for (const spec of specs) {
    const subcommands = subcommandsOf(spec);
    reply.bulk(spec.name);
    reply.map(subcommands.length > 0 ? 5 : 4);
    writeField(reply, 'summary', spec.summary);
    writeField(reply, 'since', spec.since);
    writeField(reply, 'group', spec.group);
    writeField(reply, 'complexity', spec.complexity);
    if (subcommands.length > 0) {
      reply.bulk('subcommands');
      writeDocs(subcommands, reply);
    }
  }
}

/* ---- LIST and GETKEYS ---------------------------------------------------------------------------------------- */

function list(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const all = allOf(session.port.commands);
  const names = args.length === 2 ? all.map(({ name }) => name) : filtered(all, args);
  if (names === null) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  reply.array(names.length);
  for (const name of names) reply.bulk(name);
}

/** The names that pass `FILTERBY <filter> <value>`; null where that is not what `args` say. */
function filtered(commands: readonly Command[], args: readonly string[]): string[] | null {
  const [, , by = '', filter = '', value = ''] = args;
  if (args.length !== 5 || by.toLowerCase() !== 'filterby') return null;
  const specs = commands.flatMap((command): CommandSpec[] => [command, ...subcommandsOf(command)]);
  const wanted = value.toLowerCase();
  switch (filter.toLowerCase()) {
    case 'module':
      return [];
    case 'aclcat':
      return specs.filter(({ categories }) => categories.includes(wanted)).map(({ name }) => name);
    case 'pattern':
      return specs.filter(({ name }) => matchesGlob(wanted, name)).map(({ name }) => name);
    default:
      return null;
  }
}

function getKeys(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const request = args.slice(2);
  const [name = '', subcommand = ''] = request;
  const { commands } = session.port;
  const command = find(commands, `${name}|${subcommand}`) ?? find(commands, name);
  if (command === undefined) {
    reply.error('ERR Invalid command specified');
    return;
  }
  if (command.keys.first === 0 && command.keysIn === undefined) {
    reply.error('ERR The command has no key arguments');
    return;
  }
  if (!hasArity(command, request)) {
    reply.error('ERR Invalid number of arguments specified for command');
    return;
  }
  const keys = keysOf(command, request);
  if (keys.length === 0) {
    reply.error('ERR Invalid arguments specified for command');
    return;
  }
  reply.array(keys.length);
  for (const key of keys) reply.bulk(key);
}

function writeField(reply: ReplyWriter, name: string, value: string): void {
  reply.bulk(name);
  reply.bulk(value);
}

function writeNumber(reply: ReplyWriter, name: string, value: number): void {
  reply.bulk(name);
  reply.integer(value);
}
