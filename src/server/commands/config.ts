/** CONFIG GET: the parameters of Redis that have a truthful value here, because client libraries ask for them. */
import { matchesGlob } from '../../store/glob.ts';
import { BULK_BYTES_MAX } from '../resp/parser.ts';
import type { LocalCommand, PortContext } from '../session.ts';
import { container } from './container.ts';

/** Seconds before an idle connection is probed. */
export const KEEPALIVE_SECONDS = 300;

const FSYNC = { always: 'always', interval: 'everysec', never: 'no' } as const;

function parameters({ engine, settings }: PortContext): [string, string][] {
  return [
    ['appendfsync', FSYNC[engine.status().fsync]],
    ['appendonly', 'yes'],
    ['bind', settings.host],
    ['cluster-enabled', 'yes'],
    ['databases', '1'],
    ['maxclients', String(settings.maxClients)],
    ['maxmemory', '0'],
    ['maxmemory-policy', 'noeviction'],
    ['notify-keyspace-events', ''],
    ['port', String(settings.port)],
    ['proto-max-bulk-len', String(Math.min(BULK_BYTES_MAX, settings.maxRequestBytes))],
    ['save', ''],
    ['tcp-keepalive', String(KEEPALIVE_SECONDS)],
    ['timeout', '0'],
  ];
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
          const found = parameters(session.port).filter(([name]) =>
            patterns.some((pattern) => matchesGlob(pattern, name)),
          );
          reply.map(found.length);
          for (const [name, value] of found) {
            reply.bulk(name);
            reply.bulk(value);
          }
        },
      },
    ],
  ),
];
