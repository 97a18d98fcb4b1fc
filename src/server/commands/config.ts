/**
 * CONFIG: the parameters of Redis that have a truthful value here, because client libraries ask for them. Those that can be
 * set hold on all nodes and are in the log, see `settings.ts` of the store; the others say how this node was started.
 */
import { matchesGlob } from '../../store/glob.ts';
import { BULK_BYTES_MAX } from '../resp/parser.ts';
import type { LocalCommand, PortContext } from '../session.ts';
import { settingCommands } from '../../store/commands/settings.ts';
import { fixedSettings, settings as replicated } from '../../store/settings.ts';
import { container } from './container.ts';

/** Seconds before an idle connection is probed. */
export const KEEPALIVE_SECONDS: number = Number(fixedSettings.get('tcp-keepalive'));

const FSYNC = { always: 'always', interval: 'everysec', never: 'no' } as const;

function parameters({ engine, settings }: PortContext): [string, string][] {
  const found: [string, string][] = [
    ['appendfsync', FSYNC[engine.status().fsync]],
    ['bind', settings.host],
    ['cluster-enabled', 'yes'],
    ['databases', '1'],
    ['maxclients', String(settings.maxClients)],
    ['port', String(settings.port)],
    ['proto-max-bulk-len', String(Math.min(BULK_BYTES_MAX, settings.maxRequestBytes))],
    ...[...fixedSettings].flatMap(([name, value]): [string, string][] =>
      value === null ? [] : [[name, value]],
    ),
    ...Array.from(replicated.values(), ({ name, initial }): [string, string] => [
      name,
      engine.setting(name) ?? initial,
    ]),
  ];
  return found.sort(([one], [other]) => (one < other ? -1 : 1));
}

export const configCommands: readonly LocalCommand[] = [
  container(
    'server',
    {
      name: 'config',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for server configuration commands',
      since: '2.0.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        name: 'get',
        usage: '<pattern> [<pattern> ...]',
        arity: -3,
        flags: ['admin', 'noscript', 'loading', 'stale'],
        categories: ['admin', 'slow', 'dangerous'],
        summary: 'The parameters that match one of the patterns, with their values.',
        since: '2.0.0',
        complexity: 'O(n) in the parameters, times the patterns',
        run(session, args, reply) {
          const patterns = args.slice(2).map((pattern) => pattern.toLowerCase());
          const found = parameters(session.port).flatMap(([name, value]): [string, string][] => {
            const which = patterns.findIndex((pattern) => matchesGlob(pattern, name));
            if (which < 0) return [];
            // As it was written: who asks for one parameter looks for its name.
            return [[patterns[which] === name ? (args[which + 2] ?? name) : name, value]];
          });
          reply.map(found.length);
          for (const [name, value] of found) {
            reply.bulk(name);
            reply.bulk(value);
          }
        },
      },
      {
        name: 'resetstat',
        arity: 2,
        flags: ['admin', 'noscript', 'loading', 'stale'],
        categories: ['admin', 'slow', 'dangerous'],
        summary: 'Sets the counters of this node that INFO shows to zero.',
        since: '2.0.0',
        complexity: 'O(1)',
        run({ port: { statistics, engine } }, _args, reply) {
          engine.activity.reset();
          engine.resetLookups();
          statistics.expiredKeys = 0;
          statistics.evictedKeys = 0;
          statistics.connections = 0;
          statistics.rejectedConnections = 0;
          statistics.commands = 0;
          statistics.inputBytes = 0;
          statistics.outputBytes = 0;
          reply.ok();
        },
      },
      {
        name: 'rewrite',
        arity: 2,
        flags: ['admin', 'noscript', 'loading', 'stale'],
        categories: ['admin', 'slow', 'dangerous'],
        summary: 'Answers OK: what is set is in the log, on the disks of a majority.',
        since: '2.8.0',
        complexity: 'O(1)',
        run: (_session, _args, reply) => reply.ok(),
      },
    ],
    settingCommands,
  ),
];
