/** Containers all of whose subcommands, HELP apart, are commands over the keyspace: `dataSubcommands` has them. */
import { dataSubcommands } from '../../store/table.ts';
import type { LocalCommand } from '../session.ts';
import { container, type LocalSpec } from './container.ts';

/** A container as COMMAND reports it, with all subcommands of its name. */
function dataContainer(
  group: string,
  name: string,
  since: string,
  summary: string,
  helpCategories: readonly string[],
): LocalCommand {
  const spec: Omit<LocalSpec, 'run'> = {
    name,
    arity: -2,
    flags: [],
    categories: ['slow'],
    summary,
    since,
    complexity: 'that of the subcommand',
  };
  const subcommands = [...dataSubcommands.values()].filter((command) => command.name.startsWith(`${name}|`));
  return container(group, spec, [], subcommands, helpCategories);
}

export const dataContainers: readonly LocalCommand[] = [
  dataContainer('generic', 'object', '2.2.3', 'A container for commands that tell about keys', ['keyspace']),
  dataContainer('stream', 'xgroup', '5.0.0', 'A container for commands over groups of consumers', ['stream']),
  dataContainer('stream', 'xinfo', '5.0.0', 'A container for commands that tell about streams', ['stream']),
  dataContainer('scripting', 'script', '2.6.0', 'A container for commands over scripts', ['scripting']),
  dataContainer('scripting', 'function', '7.0.0', 'A container for commands over libraries of functions', [
    'scripting',
  ]),
];
