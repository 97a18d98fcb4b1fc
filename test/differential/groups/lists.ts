/** Lists. The blocking commands wait for a moment only, with nothing to come. */
import type { Group, Source } from '../group.ts';

const element = (source: Source): string =>
  source.chance(0.7) ? source.pick(['a', 'b', 'c']) : source.value();
const end = (source: Source): string =>
  source.pick(['LEFT', 'RIGHT', 'left', 'Right', 'LEFT', 'RIGHT', 'up', '']);
const count = (source: Source): string => (source.chance(0.7) ? String(source.below(6)) : source.integer());
const timeout = (source: Source): string =>
  source.chance(0.6)
    ? '0.01'
    : source.pick(['0.001', '1e-3', '0x.01', '-1', '-0.5', 'inf', 'nan', '1e400', 'x', '', ' 1', '1 ']);
const keys = (source: Source): string[] => source.some(() => source.key());

/** `numkeys key … LEFT|RIGHT [COUNT count]`, not always right. */
function pops(source: Source): string[] {
  const names = keys(source);
  const number = source.chance(0.9) ? String(names.length) : source.integer();
  const options = source.pick([
    () => [],
    () => ['COUNT', count(source)],
    () => ['count', count(source)],
    () => ['COUNT'],
    () => ['COUNT', '1', 'COUNT', '2'],
    () => ['nonsense', '1'],
  ])();
  return [number, ...names, end(source), ...options];
}

const posOptions = (source: Source): string[] =>
  source.options([
    () => ['RANK', source.pick(['1', '-1', '2', '-2', '3', '-7', '0', 'x', '9223372036854775807', ''])],
    () => ['COUNT', count(source)],
    () => ['MAXLEN', count(source)],
    () => [source.pick(['RANK', 'COUNT', 'MAXLEN', 'FIRST', ''])],
  ]);

export const group: Group = {
  name: 'lists',
  commands: [
    (source) => ['LPUSH', source.key(), ...source.some(() => element(source), 6)],
    (source) => ['RPUSH', source.key(), ...source.some(() => element(source), 6)],
    (source) => ['RPUSH', source.key(), ...source.some(() => element(source), 6)],
    // Long enough for several nodes of a tree.
    (source) => ['RPUSH', source.key(), ...Array.from({ length: 150 }, (_, at) => `${at % 70}`)],
    (source) => ['LPUSHX', source.key(), ...source.some(() => element(source))],
    (source) => ['RPUSHX', source.key(), ...source.some(() => element(source))],
    (source) => ['LPOP', source.key()],
    (source) => ['LPOP', source.key(), count(source)],
    (source) => ['RPOP', source.key()],
    (source) => ['RPOP', source.key(), count(source)],
    (source) => ['LLEN', source.key()],
    (source) => ['LRANGE', source.key(), '0', '-1'],
    (source) => ['LRANGE', source.key(), source.small(), source.small()],
    (source) => ['LRANGE', source.key(), source.integer(), source.integer()],
    (source) => ['LINDEX', source.key(), source.small()],
    (source) => ['LINDEX', source.key(), source.integer()],
    (source) => ['LSET', source.key(), source.small(), element(source)],
    (source) => ['LSET', source.key(), source.integer(), element(source)],
    (source) => [
      'LINSERT',
      source.key(),
      source.pick(['BEFORE', 'AFTER', 'before', 'after', 'on']),
      element(source),
      element(source),
    ],
    (source) => ['LREM', source.key(), source.small(), element(source)],
    (source) => ['LREM', source.key(), source.integer(), element(source)],
    (source) => ['LTRIM', source.key(), source.small(), source.small()],
    (source) => ['LTRIM', source.key(), String(source.below(100)), String(-source.below(100))],
    (source) => ['LTRIM', source.key(), source.integer(), source.integer()],
    (source) => ['LPOS', source.key(), element(source), ...posOptions(source)],
    (source) => ['LPOS', source.key(), element(source), ...posOptions(source)],
    (source) => ['LMOVE', source.key(), source.key(), end(source), end(source)],
    (source) => ['LMOVE', source.key(), source.key(), 'LEFT', 'RIGHT'],
    (source) => ['RPOPLPUSH', source.key(), source.key()],
    (source) => ['LMPOP', ...pops(source)],
    (source) => ['LMPOP', ...pops(source)],
    (source) => ['BLPOP', ...keys(source), timeout(source)],
    (source) => ['BRPOP', ...keys(source), timeout(source)],
    (source) => ['BLMPOP', timeout(source), ...pops(source)],
    (source) => ['BLMOVE', source.key(), source.key(), end(source), end(source), timeout(source)],
    (source) => ['BRPOPLPUSH', source.key(), source.key(), timeout(source)],
  ],
};
