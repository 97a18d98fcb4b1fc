/** Commands with subcommands, and what all files of this folder need to declare theirs. */
import type { CommandSpec, DataCommand } from '../../store/command.ts';
import { wrongArity } from '../../store/errors.ts';
import type { LocalCommand } from '../session.ts';

export const NO_KEYS: CommandSpec['keys'] = { first: 0, last: 0, step: 0 };

/** A local command's declaration without what is the same for a whole file. */
export type LocalSpec = Omit<LocalCommand, 'kind' | 'keys' | 'group'> & Partial<Pick<LocalCommand, 'keys'>>;

/** Completes declarations: few of these commands take keys. */
export function localCommands(group: string, specs: readonly LocalSpec[]): readonly LocalCommand[] {
  return specs.map((spec) => ({ kind: 'local', keys: NO_KEYS, group, ...spec }));
}

/** A subcommand's declaration: its name is without the container's. */
export type SubcommandSpec = LocalSpec;

/**
 * A container and its subcommands; HELP is made from their summaries. `run` answers the bare container where that
 * means something. `data`: subcommands that go through the log or read from it, with their full names. `helpCategories`: of
 * HELP, besides `slow`.
 */
export function container(
  group: string,
  spec: Omit<LocalSpec, 'run' | 'subcommands'> & { readonly run?: LocalSpec['run'] },
  subcommands: readonly SubcommandSpec[],
  data: readonly DataCommand[] = [],
  helpCategories: readonly string[] = [],
): LocalCommand {
  const help: SubcommandSpec = {
    name: 'help',
    arity: 2,
    flags: ['loading', 'stale'],
    categories: ['slow', ...helpCategories],
    summary: 'Lists these subcommands.',
    since: '5.0.0',
    complexity: 'O(1)',
    run(_session, _args, reply) {
      reply.array(lines.length);
      for (const line of lines) reply.simple(line);
    },
  };
  const all = [...subcommands, help];
  const lines = [
    `${spec.name.toUpperCase()} <subcommand> [<argument> ...], where <subcommand> is one of:`,
    ...[
      ...data.map((sub) => ({ ...sub, name: sub.name.slice(spec.name.length + 1) })),
      ...all.filter(({ absent }) => absent !== true),
    ].flatMap(({ name, usage, summary }) => [
      usage === undefined ? name.toUpperCase() : `${name.toUpperCase()} ${usage}`,
      `    ${summary}`,
    ]),
  ];
  return {
    kind: 'local',
    keys: NO_KEYS,
    group,
    run: (_session, _args, reply) => reply.error(wrongArity(spec.name)),
    ...spec,
    subcommands: [
      ...data,
      ...all.map(
        (sub): LocalCommand => ({
          kind: 'local',
          keys: NO_KEYS,
          group,
          ...sub,
          name: `${spec.name}|${sub.name}`,
        }),
      ),
    ],
  };
}
