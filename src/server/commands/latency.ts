/** LATENCY: what took this node long, and how the times of commands are spread; see `latency.ts` of the server. */
import type { CommandSpec } from '../../store/command.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LatencySeries } from '../latency.ts';
import type { LocalCommand, Session } from '../session.ts';
import { container } from './container.ts';

const shared = {
  flags: ['admin', 'noscript', 'loading', 'stale'],
  categories: ['admin', 'slow', 'dangerous'],
  complexity: 'O(1)',
  since: '2.8.13',
} as const;

export const latencyCommands: readonly LocalCommand[] = [
  container(
    'server',
    {
      name: 'latency',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for commands about what takes long',
      since: '2.8.13',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...shared,
        name: 'latest',
        arity: 2,
        summary: 'Of each kind of event: when it was last slow, by how many ms then, and the most ever.',
        run: latest,
      },
      {
        ...shared,
        name: 'history',
        usage: '<event>',
        arity: 3,
        summary: 'When events of this kind were slow, and by how many ms.',
        run: history,
      },
      {
        ...shared,
        name: 'reset',
        usage: '[<event> ...]',
        arity: -2,
        summary: 'Forgets the events of these kinds, or all.',
        run: ({ port }, args, reply) => reply.integer(port.engine.activity.latency.reset(args.slice(2))),
      },
      {
        ...shared,
        name: 'graph',
        usage: '<event>',
        arity: 3,
        summary: 'Draws the times of events of this kind.',
        run: graph,
      },
      {
        ...shared,
        name: 'doctor',
        arity: 2,
        summary: 'Says in words what was slow.',
        run: (session, _args, reply) => reply.verbatim('txt', report(session)),
      },
      {
        ...shared,
        name: 'histogram',
        usage: '[<command> ...]',
        arity: -2,
        summary: 'How the times of these commands, or of all, are spread: how many took up to so many µs.',
        since: '7.0.0',
        complexity: 'O(n) in the commands',
        run: histogram,
      },
    ],
  ),
];

function latest({ port }: Session, _args: readonly string[], reply: ReplyWriter): void {
  const { events } = port.engine.activity.latency;
  reply.array(events.size);
  for (const [name, { samples, maxMs }] of events) {
    const last = samples.at(-1);
    reply.array(4);
    reply.bulk(name);
    reply.integer(last?.at ?? 0);
    reply.integer(last?.ms ?? 0);
    reply.integer(maxMs);
  }
}

function history({ port }: Session, args: readonly string[], reply: ReplyWriter): void {
  const samples = port.engine.activity.latency.events.get(args[2] ?? '')?.samples ?? [];
  reply.array(samples.length);
  for (const { at, ms } of samples) {
    reply.array(2);
    reply.integer(at);
    reply.integer(ms);
  }
}

/** Height of a graph in lines. */
const LINES = 4;

function graph({ port }: Session, args: readonly string[], reply: ReplyWriter): void {
  const name = args[2] ?? '';
  const series = port.engine.activity.latency.events.get(name);
  if (series === undefined) reply.error(`ERR No samples available for event '${name}'`);
  else reply.verbatim('txt', drawing(name, series, Math.floor(port.engine.now() / 1000)));
}

/** Columns of bars, the age of each below it, one digit per line. */
function drawing(name: string, { samples, maxMs }: LatencySeries, now: number): string {
  const times = samples.map(({ ms }) => ms);
  const [low, high] = [Math.min(...times), Math.max(...times)];
  const height = (ms: number): number => (high === low ? 1 : 1 + ((ms - low) / (high - low)) * (LINES - 1));
  const lines = [`${name} - high ${high} ms, low ${low} ms (all time high ${maxMs} ms)`, '-'.repeat(80)];
  for (let line = LINES; line >= 1; line -= 1)
    lines.push(times.map((ms) => (height(ms) >= line ? '#' : ' ')).join(''));
  lines.push('');
  const ages = samples.map(({ at }) => age(now - at));
  for (let digit = 0; digit < 4; digit += 1)
    lines.push(
      ages
        .map((text) => text[digit] ?? ' ')
        .join('')
        .trimEnd(),
    );
  return `${lines.join('\n').trimEnd()}\n`;
}

function age(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

const ADVICE: Readonly<Record<string, string>> = {
  command:
    'SLOWLOG GET shows which commands these were. Commands over large collections hold up all clients: ask for less at once, with SCAN and its kin, LIMIT and COUNT.',
  'fast-command':
    'Commands that do little were slow: the machine had no time for the node, or its memory is swapped out.',
  'aof-fsync-always':
    'The disk was slow to keep a write of the log, and every write waits for that: give the node a faster disk, or one of its own.',
};

function report({ port }: Session): string {
  const { latency } = port.engine.activity;
  if (latency.threshold === 0)
    return 'Latency monitoring is disabled: use CONFIG SET latency-monitor-threshold <milliseconds> to enable it. If nothing better comes to mind, 100 is a good start.\n';
  if (latency.events.size === 0) return 'No event took longer than latency-monitor-threshold on this node.\n';
  const lines = ['What took this node longer than latency-monitor-threshold:', ''];
  for (const [name, { samples, maxMs }] of latency.events) {
    const sum = samples.reduce((total, { ms }) => total + ms, 0);
    lines.push(
      `- ${name}: ${samples.length} seconds with such events, ${Math.round(sum / samples.length)} ms on average, ${maxMs} ms at most.`,
      `  ${ADVICE[name] ?? ''}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function histogram({ port }: Session, args: readonly string[], reply: ReplyWriter): void {
  const { commands } = port.engine.activity;
  const names =
    args.length > 2 ? args.slice(2).flatMap((name) => withSubcommands(port, name)) : commands.keys();
  const shown = [...new Set(names)].flatMap((name) => {
    const times = commands.get(name)?.histogram ?? null;
    return times === null ? [] : [{ name, times }];
  });
  reply.map(shown.length);
  for (const { name, times } of shown) {
    const buckets = times.doublings();
    reply.bulk(name);
    reply.map(2);
    reply.bulk('calls');
    reply.integer(times.total);
    reply.bulk('histogram_usec');
    reply.map(buckets.length);
    for (const { microseconds, count } of buckets) {
      reply.integer(microseconds);
      reply.integer(count);
    }
  }
}

function withSubcommands({ commands }: Session['port'], name: string): string[] {
  const wanted = name.toLowerCase();
  const subcommands: readonly CommandSpec[] = commands.get(wanted)?.subcommands ?? [];
  return subcommands.length > 0 ? subcommands.map((each) => each.name) : [wanted];
}
