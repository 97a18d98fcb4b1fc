/** DUMP of whatever there is, and RESTORE of dumps that Redis gave, which then meet all other commands. */
import type { Value } from '../compare.ts';
import { readDumps } from '../dumps.ts';
import type { Group, Source } from '../group.ts';
import { meaningOf } from '../meaning.ts';

/** What is much larger only takes time. */
const DUMP_BYTES_MAX = 3000;

const DUMPS: readonly string[] = readDumps().flatMap(({ dump, differs, commands }) => {
  const dumps = differs === 'old' ? [dump, commands[0]?.[3] ?? ''] : [dump];
  return dumps.filter(({ length }) => length <= DUMP_BYTES_MAX);
});

function dump(source: Source): string {
  const sound = source.pick(DUMPS);
  if (source.chance(0.95)) return sound;
  const place = source.below(sound.length);
  return source.pick([
    source.value(),
    sound.slice(0, place),
    `${sound}x`,
    `${sound.slice(0, place)}?${sound.slice(place + 1)}`,
  ]);
}

/** None that pass while the test runs, nor beyond what we keep. */
function deadline(source: Source): string[] {
  if (source.chance(0.6)) return ['0'];
  return [source.pick(['100000', '99999999999999', '9223372036854775807', '-1', 'x', '', '1.5'])];
}

function options(source: Source): string[] {
  const chosen = source.options([
    () => ['REPLACE'],
    () => ['IDLETIME', source.pick(['0', '1000', '8000000', '-1', 'x', '9223372036854775808'])],
    () => ['FREQ', source.pick(['0', '255', '256', source.integer()])],
    () => [source.pick(['IDLETIME', 'FREQ', 'NX', ''])],
  ]);
  return source.chance(0.7) ? ['REPLACE', ...chosen] : chosen;
}

function sameMeaning(one: Value, other: Value): boolean {
  if (!('text' in one) || !('text' in other)) return one.type === other.type;
  if (one.type !== '$' || other.type !== '$') return false;
  return meaningOf(one.text) === meaningOf(other.text);
}

export const group: Group = {
  name: 'dump',
  commands: [
    (source) => ['DUMP', source.key()],
    (source) => ['RESTORE', source.key(), '0', dump(source), 'REPLACE'],
    (source) => ['RESTORE', source.key(), ...deadline(source), dump(source), ...options(source)],
    (source) => [
      'RESTORE',
      source.key(),
      source.pick(['0', '1', '1000000000000', '4000000000000']),
      dump(source),
      'ABSTTL',
      ...options(source),
    ],
    (source) => ['OBJECT', source.pick(['ENCODING', 'IDLETIME', 'REFCOUNT']), source.key()],
    (source) => ['PTTL', source.key()],
  ],
  compare: { dump: sameMeaning, pttl: 'time', 'object|idletime': 'time' },
};
