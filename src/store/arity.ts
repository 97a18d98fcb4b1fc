import type { CommandSpec } from './command.ts';

/** Whether `args`, the name included, are as many as the command takes. */
export function hasArity(command: CommandSpec, args: readonly string[]): boolean {
  return command.arity >= 0 ? args.length === command.arity : args.length >= -command.arity;
}
