/** Streams and their groups of consumers. Ids are mostly given: those that `*` makes differ between servers. */
import type { Group, Source } from '../group.ts';

/** Small ids, so that they meet, and some at the edges. */
function id(source: Source): string {
  if (source.chance(0.1)) return source.pick(ODD_IDS);
  const milliseconds = source.below(12);
  return source.chance(0.3) ? String(milliseconds) : `${milliseconds}-${source.below(4)}`;
}

const ODD_IDS = [
  '0-0',
  '0',
  '0-*',
  '5-*',
  '18446744073709551615-*',
  '-',
  '+',
  '$',
  '>',
  '',
  '-1',
  '1-',
  '1-1-1',
  '-1-1',
  '1--1',
  '1--0',
  '1- -3',
  ' 1-1',
  '1-+2',
  '+1-2',
  '007-01',
  '1-1 ',
  '(1-1',
  'abc',
  '1-abc',
  '1.5-0',
  '1\x00-9',
  '1-1\x00x',
  '9007199254740993-9007199254740995',
  '9223372036854775807-9223372036854775808',
  '18446744073709551615-18446744073709551614',
  '18446744073709551615-18446744073709551615',
  '18446744073709551616-0',
  '1-18446744073709551615',
  '1-18446744073709551616',
  '1-99999999999999999999999',
  '0'.repeat(125) + '1',
  '0'.repeat(127) + '1',
];

function bound(source: Source): string {
  const dice = source.below(10);
  if (dice < 3) return source.pick(['-', '+']);
  return dice < 5 ? `(${id(source)}` : id(source);
}

function field(source: Source): string {
  return source.chance(0.8) ? source.pick(['f', 'g', 'h']) : source.value();
}

function fields(source: Source): string[] {
  if (source.chance(0.5)) return ['f', source.value()];
  return source.some(() => [field(source), source.value()]);
}

function trimming(source: Source): string[] {
  const sign = source.pick([[], ['='], ['~'], ['~']]);
  const by = source.chance(0.5)
    ? ['MAXLEN', ...sign, source.chance(0.8) ? String(source.below(8)) : source.integer()]
    : ['MINID', ...sign, id(source)];
  return source.chance(0.2) ? [...by, 'LIMIT', source.pick(['0', '1', '5', '100', '-1', 'x', ''])] : by;
}

function xadd(source: Source): string[] {
  const key = source.key();
  const options = source.chance(0.3)
    ? source.options([
        () => ['NOMKSTREAM'],
        () => trimming(source),
        () => ['LIMIT', source.pick(['0', '5'])],
        () => [source.value()],
      ])
    : [];
  return ['XADD', key, ...options, id(source), ...fields(source)];
}

/** An entry behind all that are likely to be there: the milliseconds grow with the sequence. */
function xaddNext(source: Source): string[] {
  return ['XADD', source.key(), `${source.below(1000)}-*`, ...fields(source)];
}

export const group: Group = {
  name: 'streams',
  commands: [
    xadd,
    xadd,
    xadd,
    xaddNext,
    xaddNext,
    (source) => ['XLEN', source.key()],
    (source) => [
      'XRANGE',
      source.key(),
      bound(source),
      bound(source),
      ...source.options([() => ['COUNT', source.integer()]]),
    ],
    (source) => ['XRANGE', source.key(), '-', '+'],
    (source) => [
      'XREVRANGE',
      source.key(),
      bound(source),
      bound(source),
      ...source.options([() => ['COUNT', source.integer()]]),
    ],
    (source) => ['XREVRANGE', source.key(), '+', '-'],
    (source) => ['XDEL', source.key(), ...source.some(() => id(source))],
    (source) => ['XTRIM', source.key(), ...trimming(source)],
    (source) => [
      'XSETID',
      source.key(),
      id(source),
      ...source.options([
        () => ['ENTRIESADDED', source.integer()],
        () => ['MAXDELETEDID', id(source)],
        () => [source.value()],
      ]),
    ],
    (source) => {
      const keys = source.some(() => source.key());
      return [
        'XREAD',
        ...source.options([() => ['COUNT', source.integer()]]),
        'STREAMS',
        ...keys,
        ...keys.map(() => id(source)),
      ];
    },
  ],
};
