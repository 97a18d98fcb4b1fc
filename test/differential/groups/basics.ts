/** What every other group meets on its keys: strings, deadlines, types. */
import type { Group } from '../group.ts';

export const group: Group = {
  name: 'basics',
  commands: [
    (source) => ['SET', source.key(), source.value()],
    (source) => ['SET', source.key(), source.integer()],
    (source) => ['GET', source.key()],
    (source) => ['DEL', source.key()],
    (source) => ['DEL', source.key()],
    (source) => ['TYPE', source.key()],
    (source) => ['EXISTS', ...source.some(() => source.key())],
    (source) => ['RENAME', source.key(), source.key()],
    (source) => ['COPY', source.key(), source.key(), ...source.pick([[], ['REPLACE']])],
    (source) => ['EXPIRE', source.key(), source.pick(['1000', '5000', '100000'])],
    (source) => ['PERSIST', source.key()],
    (source) => ['TTL', source.key()],
    () => ['KEYS', '*'],
    (source) => ['APPEND', source.key(), source.value()],
    (source) => ['STRLEN', source.key()],
    (source) => ['INCR', source.key()],
    () => ['DBSIZE'],
  ],
  compare: { keys: 'unordered', ttl: 'time' },
};
