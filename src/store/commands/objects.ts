/** OBJECT and MEMORY USAGE: what there is to know of a key besides what it holds. None of it counts as a use of the key. */
import type { DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { parseInteger } from '../integer.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { bytesOf, type Value } from '../value.ts';

type Run = DataCommand['run'];

/** Up to this length Redis keeps a string and its head in one piece. */
const EMBEDDED_BYTES_MAX = 44;
/** Redis has the whole numbers below this once for all keys … */
const SHARED_INTEGERS = 10_000;
/** … and so many references to each of them. */
const SHARED_REFERENCES = 2_147_483_647;

/** As Redis has the value in memory. Of a string that was written into or appended to it forgets what it could be. */
function encodingOf(value: Value): string {
  if (typeof value !== 'string') return value.encoding;
  if (parseInteger(value) !== undefined) return 'int';
  return value.length <= EMBEDDED_BYTES_MAX ? 'embstr' : 'raw';
}

function referencesOf(value: Value): number {
  const integer = typeof value === 'string' ? parseInteger(value) : undefined;
  return integer !== undefined && integer >= 0 && integer < SHARED_INTEGERS ? SHARED_REFERENCES : 1;
}

/** A subcommand about a key, and the null bulk where there is none. */
function about(tell: (context: Context, entry: Entry, reply: ReplyWriter) => void): Run {
  return (context, args, reply) => {
    const entry = context.keyspace.find(args[2] ?? '', context.now);
    if (entry === undefined) reply.bulk(null);
    else tell(context, entry, reply);
  };
}

function evictsByFrequency(context: Context): boolean {
  return context.meta.get('settings', 'maxmemory-policy')?.endsWith('-lfu') ?? false;
}

const SWITCHING =
  'Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.';

const runIdleTime = about((context, { usage }, reply) => {
  if (evictsByFrequency(context))
    reply.error(`ERR An LFU maxmemory policy is selected, idle time not tracked. ${SWITCHING}`);
  else reply.integer(context.keyspace.usage.idleSeconds(usage));
});

const runFrequency = about((context, { usage }, reply) => {
  if (evictsByFrequency(context)) reply.integer(context.keyspace.usage.frequency(usage));
  else reply.error(`ERR An LFU maxmemory policy is not selected, access frequency not tracked. ${SWITCHING}`);
});

const runMemoryUsage: Run = (context, args, reply) => {
  const [, , key = ''] = args;
  for (let at = 3; at < args.length; at += 2) {
    const argument = args[at + 1];
    const isSamples = (args[at] ?? '').toLowerCase() === 'samples' && argument !== undefined;
    // All elements are counted as they come and go: there is nothing to sample.
    const samples = isSamples ? parseInteger(argument) : -1;
    if (samples === undefined || samples < 0) {
      reply.error(samples === undefined ? NOT_AN_INTEGER : SYNTAX_ERROR);
      return;
    }
  }
  const entry = context.keyspace.find(key, context.now);
  if (entry === undefined) reply.bulk(null);
  else reply.integer(bytesOf(key, entry.value));
};

// --- The table ---------------------------------------------------------------------------------------------------

const shared = {
  kind: 'data',
  group: 'generic',
  arity: 3,
  write: false,
  flags: ['readonly'],
  keys: { first: 2, last: 2, step: 1 },
  categories: ['keyspace', 'read', 'slow'],
  usage: '<key>',
  since: '2.2.3',
  complexity: 'O(1)',
} as const;

export const objectSubcommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'object|encoding',
    summary: 'How Redis would keep the value of a key in memory.',
    run: about((_context, { value }, reply) => reply.bulk(encodingOf(value))),
  },
  {
    ...shared,
    name: 'object|refcount',
    summary: 'How many references Redis would have to the value of a key.',
    run: about((_context, { value }, reply) => reply.integer(referencesOf(value))),
  },
  {
    ...shared,
    name: 'object|idletime',
    replyVaries: true,
    summary: 'The seconds since this node last used a key.',
    run: runIdleTime,
  },
  {
    ...shared,
    name: 'object|freq',
    replyVaries: true,
    summary: 'How often this node used a key, as a logarithm.',
    since: '4.0.0',
    run: runFrequency,
  },
];

export const memorySubcommands: readonly DataCommand[] = [
  {
    ...shared,
    name: 'memory|usage',
    group: 'server',
    arity: -3,
    categories: ['read', 'slow'],
    usage: '<key> [SAMPLES <count>]',
    summary: 'About how many bytes a key and its value take in memory.',
    since: '4.0.0',
    run: runMemoryUsage,
  },
];
