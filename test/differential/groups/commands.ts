/** COMMAND: what it tells about commands and about the keys among arguments, which may be malformed. */
import { dataCommands, dataSubcommands } from '../../../src/store/table.ts';
import type { Value } from '../compare.ts';
import type { Group, Source } from '../group.ts';

/** Those of Redis 7.0 itself. */
const NAMES: readonly string[] = [...dataCommands.values(), ...dataSubcommands.values()]
  .filter(({ since, name }) => since < '7.1' && !/^(delete|kvorum|config|bf)/.test(name))
  .map(({ name }) => name);

const LOCAL = [
  'multi',
  'exec',
  'watch',
  'subscribe',
  'ssubscribe',
  'publish',
  'client|list',
  'command|getkeys',
];

const WORDS = ['STORE', 'storedist', 'GET', 'by', 'STREAMS', 'count', 'limit', 'group', 'set', 'u8', 'm'];

function words(source: Source): string[] {
  return source.some(() => {
    if (source.chance(0.4)) return source.key();
    return source.chance(0.5) ? source.pick(WORDS) : source.small();
  }, 8);
}

/** A name and what would be behind it, all of it nonsense. */
function request(source: Source): string[] {
  return [...source.pick(NAMES).split('|'), ...words(source)];
}

/** Likely forms of those whose keys are not where they always are. */
const MOVABLE: readonly ((source: Source) => string[])[] = [
  (source) => [
    'set',
    source.key(),
    source.value(),
    ...source.options([() => ['GET'], () => ['EX', '9'], () => ['NX']]),
  ],
  (source) => [
    'bitfield',
    source.key(),
    ...source.some(() =>
      source.pick([
        ['GET', 'u8', '0'],
        ['SET', 'u8', '0', '1'],
        ['OVERFLOW', 'SAT'],
      ]),
    ),
  ],
  (source) => [
    'sort',
    source.key(),
    ...source.options([() => ['BY', 'store'], () => ['STORE', source.key()], () => ['LIMIT', '0', '1']]),
  ],
  (source) => [
    'georadius',
    source.key(),
    '1',
    '2',
    '3',
    'm',
    ...source.pick([[], ['STORE', source.key()], ['storedist', source.key(), 'STORE', source.key()]]),
  ],
  (source) => ['eval', 'x', String(source.below(3)), ...source.some(() => source.key())],
  (source) => ['zunionstore', source.key(), String(source.below(4)), ...source.some(() => source.key())],
  (source) => ['lmpop', String(source.below(4)), ...source.some(() => source.key()), 'LEFT'],
  (source) => [
    'xread',
    ...source.options([() => ['COUNT', '1'], () => ['BLOCK', '0']]),
    'STREAMS',
    ...source.some(() => source.key(), 4),
  ],
  (source) => ['xreadgroup', 'GROUP', 'g', 'c', 'STREAMS', ...source.some(() => source.key(), 4)],
];

/** All but the hints, of which there are none here. */
function sameInfo(expected: Value, actual: Value): boolean {
  return JSON.stringify(withoutHints(expected)) === JSON.stringify(withoutHints(actual));
}

function withoutHints(value: Value): unknown {
  if (!('items' in value)) return value;
  const items = value.items.filter((_, at) => !(value.type === '*' && value.items.length === 10 && at === 7));
  const inner = items.map(withoutHints);
  // Categories have no order.
  return value.items.every((item) => 'text' in item && item.text.startsWith('@'))
    ? inner.map(String).sort()
    : inner;
}

export const group: Group = {
  name: 'commands',
  local: true,
  commands: [
    (source) => ['COMMAND', 'INFO', ...source.some(() => source.pick([...NAMES, ...LOCAL, 'nope', 'get|x']))],
    (source) => ['COMMAND', 'GETKEYSANDFLAGS', ...source.pick(MOVABLE)(source)],
    (source) => ['COMMAND', 'GETKEYSANDFLAGS', ...source.pick(MOVABLE)(source)],
    (source) => ['COMMAND', 'GETKEYSANDFLAGS', ...request(source)],
    (source) => ['COMMAND', 'GETKEYS', ...request(source)],
    () => ['COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', 'transaction'],
    () => ['COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'X[ag]*'],
    (source) => ['COMMAND', 'LIST', ...source.some(() => source.pick(['FILTERBY', 'MODULE', 'nope']))],
  ],
  // Without arguments some of it tells of all commands, and there are others here.
  asMade: ([, subcommand]) => subcommand === 'INFO' || subcommand === 'LIST',
  compare: { 'command|info': sameInfo, 'command|list': 'unordered' },
};
