/** MEMORY: what the process and its data take. MEMORY USAGE, of one key, is a command over the keyspace. */
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { memorySubcommands } from '../../store/commands/objects.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LocalCommand, PortContext, Session } from '../session.ts';
import { container } from './container.ts';

const shared = { flags: [], categories: ['slow'], complexity: 'O(1)', since: '4.0.0' } as const;

/** Less than this says nothing about how memory is used. */
const LITTLE_BYTES: number = 5 * 1024 * 1024;
/** More than so many times what the data takes should be looked at. */
const OVERHEAD_MAX = 4;

export const memoryCommands: readonly LocalCommand[] = [
  container(
    'server',
    {
      name: 'memory',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for commands that tell about memory',
      since: '4.0.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...shared,
        name: 'stats',
        arity: 2,
        summary: 'What memory is used for, in bytes.',
        run: stats,
      },
      {
        ...shared,
        name: 'doctor',
        arity: 2,
        summary: 'Says in words whether memory is a problem.',
        run: ({ port }, _args, reply) => reply.verbatim('txt', `${advice(port)}\n`),
      },
      {
        ...shared,
        name: 'purge',
        arity: 2,
        summary: 'Answers OK: V8 gives memory back by itself.',
        run: (_session, _args, reply) => reply.ok(),
      },
      {
        ...shared,
        name: 'malloc-stats',
        arity: 2,
        summary: "The spaces of V8's heap.",
        run: (_session, _args, reply) => reply.verbatim('txt', heap()),
      },
    ],
    memorySubcommands,
  ),
];

/** Bytes of the process that are in use, as INFO tells it. */
export function usedMemory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What requests and replies of the clients take that are not yet run, or not yet read. */
export function clientBytes(port: PortContext): number {
  let bytes = 0;
  for (const { inputBytes, outputBytes, queuedBytes } of port.sessions.values())
    bytes += inputBytes + outputBytes + queuedBytes;
  return bytes;
}

function stats({ port }: Session, _args: readonly string[], reply: ReplyWriter): void {
  const { engine, statistics } = port;
  const { heapTotal, rss, heapUsed, external } = process.memoryUsage();
  const used = heapUsed + external;
  const peak = Math.max(statistics.peakMemory, used);
  const data = engine.dataBytes;
  const keys = engine.status().keys;
  const whole: readonly (readonly [string, number])[] = [
    ['peak.allocated', peak],
    ['total.allocated', used],
    ['startup.allocated', statistics.startMemory],
    ['replication.backlog', 0],
    ['clients.slaves', 0],
    ['clients.normal', clientBytes(port)],
    ['cluster.links', 0],
    ['aof.buffer', engine.pendingBytes],
    ['lua.caches', 0],
    ['functions.caches', 0],
    ['overhead.total', Math.max(0, used - data)],
    ['keys.count', keys],
    ['keys.bytes-per-key', keys === 0 ? 0 : Math.floor(data / keys)],
    ['dataset.bytes', data],
  ];
  const shares: readonly (readonly [string, number])[] = [
    ['dataset.percentage', (100 * data) / used],
    ['peak.percentage', (100 * used) / peak],
  ];
  const allocator: readonly (readonly [string, number])[] = [
    ['allocator.allocated', heapUsed],
    ['allocator.active', heapTotal],
    ['allocator.resident', rss],
  ];
  reply.map(whole.length + shares.length + allocator.length + 2);
  for (const [name, value] of whole) integer(reply, name, value);
  for (const [name, value] of shares) double(reply, name, value);
  for (const [name, value] of allocator) integer(reply, name, value);
  double(reply, 'fragmentation', rss / used);
  integer(reply, 'fragmentation.bytes', rss - used);
}

function integer(reply: ReplyWriter, name: string, value: number): void {
  reply.bulk(name);
  reply.integer(value);
}

function double(reply: ReplyWriter, name: string, value: number): void {
  reply.bulk(name);
  reply.double(value);
}

function advice({ engine, statistics }: PortContext): string {
  const used = usedMemory();
  const data = engine.dataBytes;
  const limit = getHeapStatistics().heap_size_limit;
  if (used > 0.9 * limit)
    return `${used} bytes are in use, and V8 ends the process at ${limit}: raise --max-old-space-size, or bound the data with CONFIG SET maxmemory.`;
  if (data < LITTLE_BYTES) return 'The data is too little to say anything about how memory is used.';
  if (used > OVERHEAD_MAX * data)
    return `${used} bytes are in use for ${data} bytes of data: CLIENT LIST shows whether clients leave replies unread (omem, tot-mem), INFO stats what tracking remembers.`;
  if (statistics.peakMemory > 2 * used)
    return `The peak was ${statistics.peakMemory} bytes, twice what is in use now: what was large then is gone.`;
  return 'No problem with memory is known.';
}

function heap(): string {
  const lines = getHeapSpaceStatistics().map(
    ({ space_name, space_size, space_used_size, physical_space_size }) =>
      `${space_name}: used ${space_used_size} of ${space_size}, resident ${physical_space_size}`,
  );
  const { heap_size_limit, malloced_memory, external_memory } = getHeapStatistics();
  return [
    ...lines,
    `limit ${heap_size_limit}, malloced ${malloced_memory}, external ${external_memory}`,
    '',
  ].join('\n');
}
