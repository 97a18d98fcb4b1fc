/** All commands over the keyspace. A new one is an entry in a file of `commands/` and nothing else. */
import { ScriptRights } from './acl/script-rights.ts';
import type { CommandSpec, DataCommand } from './command.ts';
import { bitFieldCommands } from './commands/bitfields.ts';
import { bitmapCommands } from './commands/bitmaps.ts';
import { bloomCommands } from './commands/bloom.ts';
import { commonSubsequenceCommands } from './commands/common-subsequence.ts';
import { dumpCommands } from './commands/dump.ts';
import { expiryCommands } from './commands/expiry.ts';
import { hashExpiryCommands } from './commands/hash-expiry.ts';
import { geoSearchCommands } from './commands/geo-searches.ts';
import { geoCommands } from './commands/geo.ts';
import { hashCommands } from './commands/hashes.ts';
import { hyperLogLogCommands } from './commands/hyperloglogs.ts';
import { keyCommands } from './commands/keys.ts';
import { listMoveCommands } from './commands/list-moves.ts';
import { listPopCommands } from './commands/list-pops.ts';
import { listCommands } from './commands/lists.ts';
import { pureCalls } from './commands/pure.ts';
import { functionCommands } from './commands/functions.ts';
import { type OnBehalfCommands, onBehalfCommands } from './commands/on-behalf.ts';
import { NO_KEYS } from './commands/positions.ts';
import { publishingCommands } from './commands/publishing.ts';
import { memorySubcommands, objectSubcommands } from './commands/objects.ts';
import { scriptCommands } from './commands/scripts.ts';
import { sessionCommands } from './commands/sessions.ts';
import { sortedSetAlgebraCommands } from './commands/sorted-set-algebra.ts';
import { sortedSetPopCommands } from './commands/sorted-set-pops.ts';
import { sortCommands } from './commands/sort.ts';
import { sortedSetRangeCommands } from './commands/sorted-set-ranges.ts';
import { sortedSetCommands } from './commands/sorted-sets.ts';
import { settingCommands } from './commands/settings.ts';
import { setAlgebraCommands } from './commands/set-algebra.ts';
import { setCommands } from './commands/sets.ts';
import { streamGroupCommands, streamGroupSubcommands } from './commands/stream-groups.ts';
import { streamInfoSubcommands } from './commands/stream-info.ts';
import { streamPendingCommands } from './commands/stream-pending.ts';
import { streamReadCommands } from './commands/stream-reads.ts';
import { streamCommands } from './commands/streams.ts';
import { stringCommands } from './commands/strings.ts';
import { userCommands } from './commands/users.ts';
import type { CommandFinder } from './scripts/calls.ts';

/** What scripts may call; asked for while one runs, so after the tables below are made. */
const finder: CommandFinder = {
  find: (args) => dataCommandOf(args) ?? pureCalls.get((args[0] ?? '').toLowerCase()),
  isContainer: (name) => containers.has(name),
  rightsOf: (meta, user) => rights.of(meta, user),
};
const rights = new ScriptRights(() => [
  ...dataCommands.values(),
  ...pureCalls.values(),
  ...Array.from(containers, (name) => containerOf(name)),
]);

const scripting = scriptCommands(finder);
const functions = functionCommands(finder);

/** By their names in lower case. */
export const dataCommands: ReadonlyMap<string, DataCommand> = new Map(
  [
    ...stringCommands, //
    ...commonSubsequenceCommands,
    ...keyCommands,
    ...expiryCommands,
    ...listCommands,
    ...listPopCommands,
    ...listMoveCommands,
    ...sortCommands,
    ...hashCommands,
    ...hashExpiryCommands,
    ...sortedSetCommands,
    ...sortedSetRangeCommands,
    ...sortedSetPopCommands,
    ...sortedSetAlgebraCommands,
    ...geoCommands,
    ...geoSearchCommands,
    ...bitmapCommands,
    ...bitFieldCommands,
    ...bloomCommands,
    ...dumpCommands,
    ...setCommands,
    ...setAlgebraCommands,
    ...streamCommands,
    ...streamReadCommands,
    ...publishingCommands,
    ...hyperLogLogCommands,
    ...streamGroupCommands,
    ...streamPendingCommands,
    ...scripting.commands,
    ...functions.commands,
  ].map((command) => [command.name, command]),
);

/** Subcommands, by `container|name` in lower case. Their containers are in `src/server/commands`. */
export const dataSubcommands: ReadonlyMap<string, DataCommand> = new Map(
  [
    ...sessionCommands, //
    ...settingCommands,
    ...userCommands,
    ...objectSubcommands,
    ...memorySubcommands,
    ...streamGroupSubcommands,
    ...streamInfoSubcommands,
    ...scripting.subcommands,
    ...functions.subcommands,
  ].map((command) => [command.name, command]),
);

/** Commands that have subcommands. */
const containers: ReadonlySet<string> = new Set(
  [...dataSubcommands.keys()].map((name) => name.slice(0, name.indexOf('|'))),
);

/** As rules for users speak of it, with the subcommands that are here. */
function containerOf(name: string): CommandSpec {
  return {
    name,
    arity: -2,
    flags: [],
    keys: NO_KEYS,
    categories: ['slow'],
    summary: '',
    since: '2.0.0',
    group: 'server',
    complexity: '',
    subcommands: [...dataSubcommands.values()].filter((command) => command.name.startsWith(`${name}|`)),
  };
}

/** What nodes put before the commands of some users; no client can name them. */
export const onBehalf: OnBehalfCommands = onBehalfCommands((args) => dataCommandOf(args));
const internalCommands: ReadonlyMap<string, DataCommand> = new Map(
  [onBehalf.writing, onBehalf.reading].map((command) => [command.name, command]),
);

/** The command or subcommand that a request names, its arity unchecked. */
export function dataCommandOf(args: readonly string[]): DataCommand | undefined {
  const name = args[0] ?? '';
  const command = dataCommands.get(name) ?? dataCommands.get(name.toLowerCase());
  return (
    command ?? dataSubcommands.get(`${name}|${args[1] ?? ''}`.toLowerCase()) ?? internalCommands.get(name)
  );
}
