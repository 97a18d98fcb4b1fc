/**
 * The whole command table: the commands over the keyspace (`src/store/table.ts`) and those that a node answers by
 * itself (`commands/`). Dispatch, the arity check and COMMAND read it; a new command is an entry in one of its files.
 */
import type { DataCommand } from '../store/command.ts';
import { wrongArity } from '../store/errors.ts';
import { Catalogue } from '../store/acl/catalogue.ts';
import { hasArity } from '../store/arity.ts';
import { dataCommands } from '../store/table.ts';
import { aclCommands } from './commands/acl.ts';
import { clientCommands } from './commands/client.ts';
import { clusterCommands } from './commands/cluster.ts';
import { commandCommands } from './commands/command.ts';
import { configCommands } from './commands/config.ts';
import { connectionCommands } from './commands/connection.ts';
import { dataContainers } from './commands/data-containers.ts';
import { infoCommands } from './commands/info.ts';
import { latencyCommands } from './commands/latency.ts';
import { memoryCommands } from './commands/memory.ts';
import { monitorCommands } from './commands/monitor.ts';
import { notApplicableCommands } from './commands/not-applicable.ts';
import { operationCommands } from './commands/operations.ts';
import { pubsubCommands } from './commands/pubsub.ts';
import { pureCommands } from './commands/pure.ts';
import { replicationCommands } from './commands/replication.ts';
import { sessionCommands } from './commands/session.ts';
import { slowLogCommands } from './commands/slow-log.ts';
import { transactionCommands } from './commands/transaction.ts';
import { unknownCommand, unknownSubcommand } from './errors.ts';
import type { Command, CommandTable } from './session.ts';

/** Every command under its name in lower and in upper case, so that both are found without making a string. */
export const commandTable: CommandTable = new Map(
  [
    ...dataCommands.values(),
    ...pureCommands,
    ...transactionCommands,
    ...connectionCommands,
    ...clientCommands,
    ...aclCommands,
    ...commandCommands,
    ...configCommands,
    ...infoCommands,
    ...latencyCommands,
    ...memoryCommands,
    ...monitorCommands,
    ...notApplicableCommands,
    ...operationCommands,
    ...slowLogCommands,
    ...pubsubCommands,
    ...replicationCommands,
    ...clusterCommands,
    ...sessionCommands,
    ...dataContainers,
  ].flatMap((command): [string, Command][] => [
    [command.name, command],
    [command.name.toUpperCase(), command],
  ]),
);

/** All of it as rules for users speak of it. */
export const catalogue: Catalogue = new Catalogue(new Set(commandTable.values()));

/** The command or the subcommand that a request names; a container that it does not name further, or wrongly; or none. */
function named(args: readonly string[]): Command | undefined {
  const name = args[0] ?? '';
  const command = commandTable.get(name) ?? commandTable.get(name.toLowerCase());
  if (command?.kind !== 'local' || command.subcommands === undefined || args.length === 1) return command;
  const subcommand = `${command.name}|${(args[1] ?? '').toLowerCase()}`;
  return command.subcommands.find((candidate) => candidate.name === subcommand) ?? command;
}

/** The write that a request names, be it well-formed or not; `null` for anything else. */
export function writeNamed(args: readonly string[]): DataCommand | null {
  const command = named(args);
  return command?.kind === 'data' && command.write ? command : null;
}

/**
 * Whether the command is numbered in a session: writes are, but for those about sessions themselves and those that may
 * wait, whose outcome can be any time away.
 */
export function takesNumber({ write, flags }: DataCommand): boolean {
  return write && !flags.includes('no_multi') && !flags.includes('blocking');
}

/** The command that a request names, its arity checked; or the error that answers it. `args` is not empty. */
export function resolve(args: readonly string[]): Command | string {
  const command = named(args);
  if (command === undefined) return unknownCommand(args);
  if (command.kind === 'local' && command.subcommands !== undefined && args.length > 1)
    return unknownSubcommand(command.name, args[1] ?? '');
  return hasArity(command, args) ? command : wrongArity(command.name);
}
