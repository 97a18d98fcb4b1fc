/** COMMAND: the command table, told to clients. */
import type { CommandSpec } from '../../store/command.ts';
import { hasKeys, keyReferences, type KeySpec, keySpecsOf } from '../../store/key-specs.ts';
import { SYNTAX_ERROR } from '../../store/errors.ts';
import { matchesGlob } from '../../store/glob.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import { hasArity } from '../../store/arity.ts';
import { type Argument, argumentsOf } from '../arguments.ts';
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
        usage: '[<command-name> ...]',
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
        usage: '[<command-name> ...]',
        arity: -2,
        summary: 'What these commands, or all, do.',
        since: '7.0.0',
        run: docs,
      },
      {
        ...shared,
        name: 'list',
        usage: '[FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]',
        arity: -2,
        summary: 'The names of all commands, or of those that pass the filter.',
        since: '7.0.0',
        run: list,
      },
      {
        ...shared,
        name: 'getkeys',
        usage: '<command> <arg> [<arg> ...]',
        arity: -4,
        summary: 'The keys among the arguments of a command.',
        since: '2.8.13',
        complexity: 'O(n) in the arguments',
        run: getKeys(false),
      },
      {
        ...shared,
        name: 'getkeysandflags',
        usage: '<command> <arg> [<arg> ...]',
        arity: -4,
        summary: 'The keys among the arguments of a command, and what it does with each.',
        since: '7.0.0',
        complexity: 'O(n) in the arguments',
        run: getKeys(true),
      },
    ],
    [],
    ['connection'],
  ),
];

/** Every command once; the table holds each under two names. */
function allOf(commands: CommandTable): Command[] {
  return [...new Set(commands.values())].filter(({ absent }) => absent !== true);
}

function subcommandsOf(command: CommandSpec): readonly CommandSpec[] {
  return (command.subcommands ?? []).filter(({ absent }) => absent !== true);
}

/** A command by its name in any case, a subcommand as `container|name`. */
function find(commands: CommandTable, name: string): CommandSpec | undefined {
  const wanted = name.toLowerCase();
  const [first = ''] = wanted.split('|', 1);
  const command = commands.get(first);
  if (command === undefined || command.absent === true) return undefined;
  if (wanted === first) return command;
  return subcommandsOf(command).find((sub) => sub.name === wanted);
}

/** The command or subcommand that a request names. */
function commandNamed(
  commands: CommandTable,
  [name = '', second]: readonly string[],
): CommandSpec | undefined {
  if (name.includes('|')) return undefined;
  const command = find(commands, name);
  if (command === undefined || second === undefined || subcommandsOf(command).length === 0) return command;
  return find(commands, `${name}|${second}`);
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
  const keySpecs = keySpecsOf(spec);
  reply.set(keySpecs.length);
  for (const keySpec of keySpecs) writeKeySpec(keySpec, reply);
  reply.set(subcommands.length);
  for (const subcommand of subcommands) writeInfo(subcommand, reply);
}

/** Where the keys are and what is done with them, in the words of Redis 7. */
function writeKeySpec({ flags, begin, find, notes }: KeySpec, reply: ReplyWriter): void {
  reply.map(notes === undefined ? 3 : 4);
  if (notes !== undefined) writeField(reply, 'notes', notes);
  reply.bulk('flags');
  writeFlags(flags, reply);
  reply.bulk('begin_search');
  if (begin === null) writeTyped(reply, 'unknown', []);
  else if ('index' in begin) writeTyped(reply, 'index', [['index', begin.index]]);
  else
    writeTyped(reply, 'keyword', [
      ['keyword', begin.keyword],
      ['startfrom', begin.from],
    ]);
  reply.bulk('find_keys');
  if (find === null) writeTyped(reply, 'unknown', []);
  else if ('first' in find)
    writeTyped(reply, 'keynum', [
      ['keynumidx', 0],
      ['firstkey', find.first],
      ['keystep', 1],
    ]);
  else
    writeTyped(reply, 'range', [
      ['lastkey', find.last],
      ['keystep', find.step],
      ['limit', find.share],
    ]);
}

function writeFlags(flags: readonly string[], reply: ReplyWriter): void {
  reply.set(flags.length);
  for (const flag of flags) reply.simple(flag);
}

function writeTyped(
  reply: ReplyWriter,
  type: string,
  fields: readonly (readonly [name: string, value: string | number])[],
): void {
  reply.map(2);
  writeField(reply, 'type', type);
  reply.bulk('spec');
  reply.map(fields.length);
  for (const [name, value] of fields) {
    reply.bulk(name);
    if (typeof value === 'number') reply.integer(value);
    else reply.bulk(value);
  }
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
    const all = argumentsOf(spec);
    reply.bulk(spec.name);
    reply.map(4 + Number(all.length > 0) + Number(subcommands.length > 0));
    writeField(reply, 'summary', spec.summary);
    writeField(reply, 'since', spec.since);
    writeField(reply, 'group', spec.group);
    writeField(reply, 'complexity', spec.complexity);
    if (all.length > 0) writeArguments(all, reply);
    if (subcommands.length > 0) {
      reply.bulk('subcommands');
      writeDocs(subcommands, reply);
    }
  }
}

function writeArguments(all: readonly Argument[], reply: ReplyWriter): void {
  reply.bulk('arguments');
  reply.array(all.length);
  for (const { name, type, keySpec, token, flags, arguments: inner } of all) {
    const more = [keySpec, token, inner].filter((one) => one !== undefined).length;
    reply.map(2 + more + Number(flags.length > 0));
    writeField(reply, 'name', name);
    writeField(reply, 'type', type);
    if (keySpec !== undefined) {
      reply.bulk('key_spec_index');
      reply.integer(keySpec);
    }
    if (token !== undefined) writeField(reply, 'token', token);
    if (flags.length > 0) {
      reply.bulk('flags');
      writeFlags(flags, reply);
    }
    if (inner !== undefined) writeArguments(inner, reply);
  }
}

/* ---- LIST and GETKEYS ---------------------------------------------------------------------------------------- */

function list(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const all = allOf(session.port.commands).flatMap((command): CommandSpec[] => [
    command,
    ...subcommandsOf(command),
  ]);
  const names = args.length === 2 ? all.map(({ name }) => name) : filtered(all, args);
  if (names === null) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  reply.array(names.length);
  for (const name of names) reply.bulk(name);
}

/** The names that pass `FILTERBY <filter> <value>`; null where that is not what `args` say. */
function filtered(specs: readonly CommandSpec[], args: readonly string[]): string[] | null {
  const [, , by = '', filter = '', value = ''] = args;
  if (args.length !== 5 || by.toLowerCase() !== 'filterby') return null;
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

function getKeys(withFlags: boolean): LocalCommand['run'] {
  return ({ port: { commands } }, args, reply) => {
    const request = args.slice(2);
    const command = commandNamed(commands, request);
    if (command === undefined) reply.error('ERR Invalid command specified');
    else if (!hasKeys(command)) reply.error('ERR The command has no key arguments');
    else if (!hasArity(command, request))
      reply.error('ERR Invalid number of arguments specified for command');
    else writeKeys(command, request, withFlags, reply);
  };
}

function writeKeys(
  command: CommandSpec,
  request: readonly string[],
  withFlags: boolean,
  reply: ReplyWriter,
): void {
  const keys = keyReferences(command, request);
  if (keys.length === 0 && !command.flags.includes('no_mandatory_keys')) {
    reply.error('ERR Invalid arguments specified for command');
    return;
  }
  reply.array(keys.length);
  for (const { position, flags } of keys) {
    if (withFlags) reply.array(2);
    reply.bulk(request[position] ?? '');
    if (withFlags) writeFlags(flags, reply);
  }
}

function writeField(reply: ReplyWriter, name: string, value: string): void {
  reply.bulk(name);
  reply.bulk(value);
}
