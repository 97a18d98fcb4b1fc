/** LCS, and OBJECT and MEMORY USAGE of whatever there is. */
import type { Group, Source } from '../group.ts';

const text = (source: Source): string =>
  Array.from({ length: source.below(30) }, () => source.pick(['a', 'b', 'c', '\xff', '\0'])).join('');
/** Around the edges of encodings. */
const value = (source: Source): string =>
  source.pick([
    source.integer(),
    'x'.repeat(43 + source.below(3)),
    String(9995 + source.below(10)),
    source.value(),
    source.float(),
  ]);

export const group: Group = {
  name: 'strings2',
  commands: [
    (source) => ['SET', source.key(), text(source)],
    (source) => ['SET', source.key(), text(source)],
    (source) => ['SET', source.key(), text(source)],
    (source) => ['SET', source.key(), value(source)],
    (source) => ['MSET', source.key(), value(source), source.key(), text(source)],
    (source) => ['INCRBY', source.key(), source.small()],
    (source) => ['RPUSH', source.key(), source.value()],
    (source) => [
      'LCS',
      source.key(),
      source.key(),
      ...source.options([
        () => ['LEN'],
        () => ['IDX'],
        () => ['IDX'],
        () => ['WITHMATCHLEN'],
        () => ['MINMATCHLEN', source.integer()],
        () => ['MINMATCHLEN', String(source.below(4))],
        () => [source.pick(['MINMATCHLEN', 'nonsense', ''])],
      ]),
    ],
    (source) => ['LCS', source.key(), source.key()],
    (source) => ['LCS', source.key(), source.key(), 'IDX'],
    (source) => ['LCS', source.key(), source.key(), 'IDX', 'WITHMATCHLEN', 'MINMATCHLEN', '2'],
    (source) => ['OBJECT', source.pick(['ENCODING', 'encoding']), source.key()],
    (source) => ['OBJECT', source.pick(['REFCOUNT', 'IDLETIME', 'FREQ', 'nonsense', '']), source.key()],
    (source) => ['MEMORY', 'USAGE', source.key()],
    (source) => [
      'MEMORY',
      'USAGE',
      source.key(),
      source.pick(['SAMPLES', 'samples', 'nonsense']),
      source.integer(),
    ],
  ],
  compare: {
    // Redis's own estimate.
    'memory|usage': 'kind',
    'object|idletime': 'time',
    // After APPEND a string is raw in Redis until it is loaded again; after COPY a number is the key's own, and within a
    // transaction its commands refer to the value, too.
    'object|encoding': (expected) => 'text' in expected && expected.text === 'raw',
    'object|refcount': (expected) => 'text' in expected && ['1', '2'].includes(expected.text),
  },
};
