/** All commands over the keyspace. A new one is an entry in a file of `commands/` and nothing else. */
import type { DataCommand } from './command.ts';
import { expiryCommands } from './commands/expiry.ts';
import { keyCommands } from './commands/keys.ts';
import { stringCommands } from './commands/strings.ts';

/** By their names in lower case. */
export const dataCommands: ReadonlyMap<string, DataCommand> = new Map(
  [...stringCommands, ...keyCommands, ...expiryCommands].map((command) => [command.name, command]),
);
