/** Streams and their groups of consumers. Ids are mostly given: those that `*` makes differ between servers. */
import type { Value } from '../compare.ts';
import type { Group, Source } from '../group.ts';

/** Mostly one of two, which few other commands spoil. */
function keyOf(source: Source): string {
  return source.chance(0.8) ? source.pick(['a', 'b']) : source.key();
}

/** The most milliseconds of usual ids. */
const TOP = 9;

/** Small ids, so that they meet, and some at the edges. */
function id(source: Source): string {
  if (source.chance(0.04)) return source.pick(ODD_IDS);
  const milliseconds = source.chance(0.5) ? TOP : source.below(TOP + 1);
  return source.chance(0.2) ? String(milliseconds) : `${milliseconds}-${source.below(9)}`;
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

/** Long ones now and then: a piece of a stream ends after 4096 bytes, and trimming with `~` removes whole pieces. */
function value(source: Source): string {
  if (source.chance(0.5)) return source.value();
  if (source.chance(0.3)) return source.integer();
  return 'v'.repeat(source.pick([63, 64, 126, 200, 500, 1000, 1300, 4000, 5000]) + source.below(3));
}

function fields(source: Source): string[] {
  if (source.chance(0.6)) return ['f', value(source)];
  return source.some(() => [field(source), value(source)]);
}

function trimming(source: Source): string[] {
  const sign = source.pick([[], ['='], ['~'], ['~'], ['~']]);
  const by = source.chance(0.5)
    ? ['MAXLEN', ...sign, source.chance(0.8) ? String(source.below(8)) : source.integer()]
    : ['MINID', ...sign, id(source)];
  return source.chance(0.2) ? [...by, 'LIMIT', source.pick(['0', '1', '5', '100', '-1', 'x', ''])] : by;
}

function xadd(source: Source): string[] {
  const key = keyOf(source);
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

/** An entry behind all that are usually there. */
function xaddNext(source: Source): string[] {
  return ['XADD', keyOf(source), `${source.chance(0.8) ? TOP : source.below(TOP)}-*`, ...fields(source)];
}

/** Few groups and consumers, so that they meet. */
function groupName(source: Source): string {
  return source.chance(0.05) ? source.value() : source.pick(['g', 'g', 'h']);
}

function consumer(source: Source): string {
  return source.chance(0.05) ? source.value() : source.pick(['c', 'c', 'd', '']);
}

/** Nothing is pending for about this long unless XCLAIM said so. */
function idle(source: Source): string {
  return source.chance(0.1) ? source.integer() : source.pick(['0', '0', '60000', '-1']);
}

function ids(source: Source): string[] {
  return source.chance(0.3)
    ? [`${TOP}`, `${TOP}-1`, `${TOP}-2`, `${TOP}-3`]
    : source.some(() => id(source), 4);
}

function read(source: Source, options: readonly (() => string[])[], start: () => string): string[] {
  const keys = source.some(() => keyOf(source));
  const count = source.chance(0.05) ? keys.slice(1) : keys;
  return [...source.options(options), 'STREAMS', ...keys, ...count.map(start)];
}

const count = (source: Source): string[] => ['COUNT', source.chance(0.8) ? source.small() : source.integer()];

/** Whether two numbers are times that are near each other, or the same. */
function near(one: Value | undefined, other: Value | undefined): boolean {
  if (one === undefined || other === undefined || !('text' in one) || !('text' in other)) return false;
  return one.type === other.type && Math.abs(Number(one.text) - Number(other.text)) <= 30_000;
}

/**
 * All but the times has to be the same: those behind `idle` and `seen-time`, and in rows of what is pending the last but
 * one.
 */
function butForTimes(one: Value, other: Value, pending = false): boolean {
  if (!('items' in one) || !('items' in other)) return JSON.stringify(one) === JSON.stringify(other);
  if (one.type !== other.type || one.items.length !== other.items.length) return false;
  return one.items.every((item, at) => {
    const counterpart = other.items[at];
    const before = one.items[at - 1];
    const name = before?.type === '$' ? before.text : '';
    if (name === 'idle' || name === 'seen-time') return near(item, counterpart);
    if (pending && at === one.items.length - 2) return near(item, counterpart);
    if (counterpart === undefined) return false;
    if (name !== 'pending' || !('items' in item) || !('items' in counterpart))
      return butForTimes(item, counterpart);
    return (
      item.items.length === counterpart.items.length &&
      item.items.every((row, index) => butForTimes(row, counterpart.items[index] as Value, true))
    );
  });
}

/** XPENDING's rows. */
function rowsButForTimes(one: Value, other: Value): boolean {
  if (!('items' in one) || !('items' in other)) return butForTimes(one, other);
  return (
    one.items.length === other.items.length &&
    one.items.every((row, at) =>
      butForTimes(row, other.items[at] as Value, 'items' in row && row.items.length === 4),
    )
  );
}

export const group: Group = {
  name: 'streams',
  commands: [
    xadd,
    xadd,
    xaddNext,
    xaddNext,
    xaddNext,
    xaddNext,
    xaddNext,
    xaddNext,
    (source) => ['XLEN', keyOf(source)],
    (source) => [
      'XRANGE',
      keyOf(source),
      bound(source),
      bound(source),
      ...source.options([() => ['COUNT', source.integer()]]),
    ],
    (source) => ['XRANGE', keyOf(source), '-', '+'],
    (source) => [
      'XREVRANGE',
      keyOf(source),
      bound(source),
      bound(source),
      ...source.options([() => ['COUNT', source.integer()]]),
    ],
    (source) => ['XREVRANGE', keyOf(source), '+', '-'],
    (source) => ['XDEL', keyOf(source), ...source.some(() => id(source))],
    (source) => ['XTRIM', keyOf(source), ...trimming(source)],
    (source) => [
      'XSETID',
      keyOf(source),
      id(source),
      ...source.options([
        () => ['ENTRIESADDED', source.integer()],
        () => ['MAXDELETEDID', id(source)],
        () => [source.value()],
      ]),
    ],
    (source) => ['XREAD', ...read(source, [() => count(source)], () => id(source))],
    (source) => [
      'XGROUP',
      'CREATE',
      keyOf(source),
      groupName(source),
      source.pick(['$', '0', '0', id(source)]),
      ...source.options([
        () => ['MKSTREAM'],
        () => ['MKSTREAM'],
        () => ['ENTRIESREAD', source.integer()],
        () => [source.value()],
      ]),
    ],
    (source) => ['XGROUP', 'CREATE', keyOf(source), 'g', '0', 'MKSTREAM'],
    (source) => [
      'XGROUP',
      'SETID',
      keyOf(source),
      groupName(source),
      source.pick(['$', '0', id(source)]),
      ...source.options([() => ['ENTRIESREAD', source.integer()], () => ['MKSTREAM']]),
    ],
    (source) => [
      'XGROUP',
      source.pick(['CREATECONSUMER', 'DELCONSUMER', 'createconsumer']),
      keyOf(source),
      groupName(source),
      consumer(source),
    ],
    (source) =>
      source.chance(0.5)
        ? ['XGROUP', 'DESTROY', keyOf(source), groupName(source)]
        : ['XGROUP', source.pick(['NONSENSE', 'create', '']), keyOf(source)],
    (source) => [
      'XREADGROUP',
      'GROUP',
      groupName(source),
      consumer(source),
      ...read(source, [() => count(source), () => ['NOACK']], () => (source.chance(0.7) ? '>' : id(source))),
    ],
    (source) => ['XREADGROUP', 'GROUP', 'g', consumer(source), 'COUNT', '2', 'STREAMS', keyOf(source), '>'],
    (source) => [
      'XREADGROUP',
      'GROUP',
      'g',
      consumer(source),
      'STREAMS',
      keyOf(source),
      source.pick(['>', '0']),
    ],
    (source) => [
      'XREADGROUP',
      ...read(
        source,
        [
          () => ['GROUP', groupName(source), consumer(source)],
          () => ['NOACK'],
          () => ['BLOCK', source.pick(['-1', 'x', '1.5'])],
        ],
        () => id(source),
      ),
    ],
    (source) => ['XACK', keyOf(source), groupName(source), ...ids(source)],
    (source) => ['XPENDING', keyOf(source), groupName(source)],
    (source) => ['XPENDING', keyOf(source), 'g', '-', '+', '10'],
    (source) => [
      'XPENDING',
      keyOf(source),
      groupName(source),
      ...(source.chance(0.3) ? ['IDLE', idle(source)] : []),
      bound(source),
      bound(source),
      source.chance(0.8) ? String(source.below(6)) : source.integer(),
      ...(source.chance(0.5) ? [consumer(source)] : []),
    ],
    (source) => [
      'XCLAIM',
      keyOf(source),
      groupName(source),
      consumer(source),
      idle(source),
      ...ids(source),
      ...source.options([
        () => ['IDLE', source.pick(['100000', '0', source.integer()])],
        () => ['TIME', source.pick(['1000', source.integer()])],
        () => ['RETRYCOUNT', source.integer()],
        () => ['FORCE'],
        () => ['FORCE'],
        () => ['JUSTID'],
        () => ['LASTID', id(source)],
        () => [source.value()],
      ]),
    ],
    (source) => [
      'XAUTOCLAIM',
      keyOf(source),
      groupName(source),
      consumer(source),
      idle(source),
      bound(source),
      ...source.options([
        () => ['COUNT', source.pick(['1', '2', '5', '0', '-1', 'x', '9223372036854775807'])],
        () => ['JUSTID'],
        () => [source.value()],
      ]),
    ],
    (source) => ['XINFO', 'STREAM', keyOf(source)],
    (source) => [
      'XINFO',
      'STREAM',
      keyOf(source),
      ...source.pick([['FULL'], ['full', 'count', source.integer()], ['FULL', 'COUNT', '0'], ['FULL', 'x']]),
    ],
    (source) => ['XINFO', 'STREAM', keyOf(source), 'FULL'],
    (source) => ['XINFO', 'GROUPS', keyOf(source)],
    (source) => ['XINFO', 'CONSUMERS', keyOf(source), groupName(source)],
    (source) => ['XINFO', source.pick(['', 'groups', 'nonsense']), ...source.some(() => keyOf(source))],
  ],
  compare: { xpending: rowsButForTimes, xinfo: (one, other) => butForTimes(one, other) },
};
