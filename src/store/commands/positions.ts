/** Where commands have their keys, see {@link CommandSpec.keys}. */
import type { CommandSpec } from '../command.ts';
import { clampInteger, parseInteger } from '../integer.ts';

export const NO_KEYS: CommandSpec['keys'] = { first: 0, last: 0, step: 0 };
export const ONE_KEY: CommandSpec['keys'] = { first: 1, last: 1, step: 1 };
export const TWO_KEYS: CommandSpec['keys'] = { first: 1, last: 2, step: 1 };
/** Every argument. */
export const ALL_KEYS: CommandSpec['keys'] = { first: 1, last: -1, step: 1 };
/** Key, value, key, value, … */
export const KEY_VALUE_PAIRS: CommandSpec['keys'] = { first: 1, last: -1, step: 2 };

/** The keys behind their number, which is the argument at `at`; none where there are fewer than it says. */
export function countedKeys(args: readonly string[], at: number): string[] {
  const count = clampInteger(parseInteger(args[at] ?? '') ?? 0);
  return count > 0 && at + count < args.length ? args.slice(at + 1, at + 1 + count) : [];
}
