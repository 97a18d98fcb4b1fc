/** What Redis calls saving, failing over, tracking and the like: mostly how it refuses what makes no sense. */
import type { Group, Source } from '../group.ts';

const number = (source: Source): string =>
  source.pick(['0', '0', '1', '-1', '-2', 'x', '', '9223372036854775808']);

/** Nothing here may change what the other commands are answered, or end the server. */
export const group: Group = {
  name: 'operations',
  local: true,
  commands: [
    (source) => ['MOVE', source.key(), number(source)],
    (source) => ['SWAPDB', number(source), number(source)],
    (source) => ['SELECT', number(source)],
    (source) => ['SLOWLOG', 'GET', source.pick(['-2', 'x', '', '1.5'])],
    () => ['SLOWLOG', 'RESET'],
    (source) => ['LATENCY', source.pick(['HISTORY', 'GRAPH']), source.pick(['command', 'nosuch', ''])],
    (source) => ['LATENCY', 'RESET', ...source.some(() => source.pick(['command', 'nosuch']))],
    () => ['LATENCY', 'LATEST'],
    (source) => ['LATENCY', 'HISTOGRAM', source.pick(['nosuch', ''])],
    () => ['MEMORY', 'PURGE'],
    () => ['BGSAVE', 'now'],
    () => ['LASTSAVE'],
    () => ['MODULE', 'LIST'],
    (source) => [
      'SHUTDOWN',
      ...source.pick([['ABORT'], ['x'], ['SAVE', 'NOSAVE'], ['ABORT', 'NOW'], ['NOW', 'x']]),
    ],
    (source) => [
      'FAILOVER',
      ...source.options([
        () => ['TO', source.pick(['127.0.0.1', 'x']), number(source)],
        () => ['TIMEOUT', number(source)],
        () => ['FORCE'],
        () => ['ABORT'],
        () => ['TO'],
        () => ['nonsense'],
      ]),
    ],
    (source) => ['CLIENT', 'CACHING', source.pick(['YES', 'NO', 'x'])],
    () => ['CLIENT', 'TRACKINGINFO'],
    () => ['CLIENT', 'GETREDIR'],
    (source) => [
      'CLIENT',
      'TRACKING',
      source.pick(['OFF', 'x', 'off']),
      ...source.pick([[], ['BCAST'], ['x']]),
    ],
    (source) => ['CONFIG', 'SET', 'slowlog-max-len', source.pick(['128', '-1', 'x', '2147483648'])],
    (source) => ['CONFIG', 'SET', 'tracking-table-max-keys', source.pick(['1000000', '-1', 'x'])],
    (source) => ['CONFIG', 'GET', source.pick(['slowlog-*', 'latency-monitor-*', 'tracking-*'])],
    () => ['CONFIG', 'RESETSTAT'],
  ],
  compare: { lastsave: 'time', 'config|get': 'unordered' },
  // Without its last word LATENCY HISTOGRAM tells of all that ever ran, and how long that took, and SLOWLOG GET of what a busy
  // machine made slow; BGSAVE whether the one before is done.
  asMade: ([name = '', subcommand = '']) =>
    ['SHUTDOWN', 'FAILOVER', 'MONITOR', 'BGSAVE', 'SLOWLOG'].includes(name.toUpperCase()) ||
    subcommand === 'HISTOGRAM',
};
