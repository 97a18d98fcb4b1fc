/**
 * EVAL, EVALSHA and SCRIPT. A script travels in the log as it came and runs on every node, inside the entry: see
 * `src/store/scripts/engine.ts`. Scripts are known by their SHA-1 in a replicated table, so that EVALSHA finds them on every
 * node and after a restart.
 */
import type { CommandSpec, DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { NOT_AN_INTEGER } from '../errors.ts';
import type { ReplyWriter } from '../reply.ts';
import type { CommandFinder } from '../scripts/calls.ts';
import { engine } from '../scripts/engine.ts';
import { readCounts, runFor } from '../scripts/run.ts';
import { sha1 } from '../scripts/sha1.ts';
import { readScript } from '../scripts/shebang.ts';
import { NO_KEYS } from './positions.ts';

/** Bytes of all scripts together; the oldest goes for a new one. */
const SCRIPTS_BYTES_MAX: number = 64 * 1024 * 1024;
const SHA1_CHARACTERS = 40;
const NO_SCRIPT = 'NOSCRIPT No matching script. Please use EVAL.';
export const NOT_BUSY = 'NOTBUSY No scripts in execution right now.';

/** Remembers a script. */
function remember(context: Context, sha: string, body: string): void {
  const { meta } = context;
  if (meta.get('scripts', sha) !== undefined) return;
  context.setMeta('scripts', sha, body);
  for (const oldest of meta.entries('scripts').keys()) {
    if (meta.bytes('scripts') <= SCRIPTS_BYTES_MAX || oldest === sha) return;
    context.setMeta('scripts', oldest, null);
  }
}

/** An error if the script can't be compiled. */
function compileError(body: string): string | null {
  const text = readScript(body);
  if (typeof text === 'string') return text;
  const compiled = engine.script(text.code);
  return compiled.kind === 'ready' ? null : `ERR Error compiling script (new function): ${compiled.error}`;
}

type Run = DataCommand['run'];

/** EVAL and EVALSHA; `readOnly`: _RO, which leaves no trace, the script itself included. */
function runEval(finder: CommandFinder, bySha: boolean, readOnly: boolean): Run {
  return (context, args, reply) => {
    const [, script = ''] = args;
    if (bySha && script.length !== SHA1_CHARACTERS) {
      reply.error(NO_SCRIPT);
      return;
    }
    const counts = readCounts(args, NOT_AN_INTEGER);
    if (typeof counts === 'string') {
      reply.error(counts);
      return;
    }
    const sha = bySha ? script.toLowerCase() : sha1(script);
    const body = context.meta.get('scripts', sha) ?? (bySha ? undefined : script);
    if (body === undefined) {
      reply.error(NO_SCRIPT);
      return;
    }
    const text = readScript(body);
    if (typeof text === 'string') {
      reply.error(text);
      return;
    }
    const compiled = engine.script(text.code);
    if (compiled.kind === 'failed') {
      reply.error(`ERR Error compiling script (new function): ${compiled.error}`);
      return;
    }
    if (!readOnly) remember(context, sha, body);
    const { keys, rest } = counts;
    runFor(
      { finder, context, reply, name: sha, keys, args: rest, flags: text.flags, readOnly },
      (invocation, recording) => engine.runScript(compiled.image, invocation, recording),
    );
  };
}

const runLoad: Run = (context, args, reply) => {
  const [, , body = ''] = args;
  const sha = sha1(body);
  const error = context.meta.get('scripts', sha) === undefined ? compileError(body) : null;
  if (error !== null) {
    reply.error(error);
    return;
  }
  remember(context, sha, body);
  reply.bulk(sha);
};

const runExists: Run = (context, args, reply) => {
  reply.array(args.length - 2);
  for (const sha of args.slice(2))
    reply.integer(context.meta.get('scripts', sha.toLowerCase()) === undefined ? 0 : 1);
};

const runFlush: Run = (context, args, reply) => {
  const mode = (args[2] ?? 'sync').toLowerCase();
  if (args.length > 3 || (mode !== 'sync' && mode !== 'async')) {
    reply.error('ERR SCRIPT FLUSH only support SYNC|ASYNC option');
    return;
  }
  for (const sha of context.meta.entries('scripts').keys()) context.setMeta('scripts', sha, null);
  reply.ok();
};

/** A debugger would stop all nodes. */
function runDebug(_context: Context, args: readonly string[], reply: ReplyWriter): void {
  const mode = (args[2] ?? '').toLowerCase();
  if (mode === 'no') reply.ok();
  else if (mode === 'yes' || mode === 'sync')
    reply.error(
      'ERR scripts run on all nodes at once and cannot be debugged there; debug them on a Redis server',
    );
  else reply.error('ERR Use SCRIPT DEBUG YES/SYNC/NO');
}

/** What the commands that run scripts or functions have in common. */
type Shared = Pick<
  DataCommand,
  'kind' | 'group' | 'arity' | 'keys' | 'categories' | 'complexity' | 'write' | 'flags'
>;

const evaluation = {
  kind: 'data',
  group: 'scripting',
  arity: -3,
  keys: NO_KEYS,
  categories: ['slow', 'scripting'],
  complexity: 'that of the script',
} as const;
const RUN_FLAGS = ['noscript', 'stale', 'skip_monitor', 'no_mandatory_keys', 'movablekeys'] as const;
export const WRITING: Shared = { ...evaluation, write: true, flags: [...RUN_FLAGS, 'may_replicate'] };
export const READING: Shared = { ...evaluation, write: false, flags: ['readonly', ...RUN_FLAGS] };

const management = {
  kind: 'data',
  group: 'scripting',
  keys: NO_KEYS,
  categories: ['slow', 'scripting'],
  since: '2.6.0',
  complexity: 'O(1)',
} as const satisfies Partial<CommandSpec> & { kind: 'data' };

const subcommands: readonly DataCommand[] = [
  {
    ...management,
    name: 'script|load',
    anywhere: true,
    usage: '<script>',
    arity: 3,
    write: true,
    flags: ['noscript', 'stale'],
    summary: 'Remembers a script without running it; answers its SHA-1.',
    complexity: 'O(N) where N is the length of the script',
    run: runLoad,
  },
  {
    ...management,
    name: 'script|exists',
    usage: '<sha1> [<sha1> ...]',
    arity: -3,
    write: false,
    flags: ['noscript'],
    summary: 'Whether scripts are remembered.',
    complexity: 'O(N) where N is the number of scripts asked for',
    run: runExists,
  },
  {
    ...management,
    name: 'script|flush',
    anywhere: true,
    usage: '[ASYNC|SYNC]',
    arity: -2,
    write: true,
    flags: ['noscript'],
    summary: 'Forgets all scripts.',
    run: runFlush,
  },
  {
    ...management,
    name: 'script|kill',
    arity: 2,
    write: false,
    flags: ['noscript', 'allow_busy'],
    summary: 'Says that no script is running: each ends before anything else is answered.',
    run: (_context, _args, reply) => reply.error(NOT_BUSY),
  },
  {
    ...management,
    name: 'script|debug',
    usage: '(YES|SYNC|NO)',
    arity: 3,
    write: false,
    flags: ['noscript'],
    since: '3.2.0',
    summary: 'Takes NO: scripts are not debugged on a cluster.',
    run: runDebug,
  },
];

export function scriptCommands(finder: CommandFinder): {
  readonly commands: readonly DataCommand[];
  readonly subcommands: readonly DataCommand[];
} {
  return {
    commands: [
      {
        ...WRITING,
        name: 'eval',
        usage: '<script> <numkeys> [<key> ...] [<arg> ...]',
        summary: 'Runs a script',
        since: '2.6.0',
        run: runEval(finder, false, false),
      },
      {
        ...WRITING,
        name: 'evalsha',
        usage: '<sha1> <numkeys> [<key> ...] [<arg> ...]',
        summary: 'Runs a script that is remembered, by its SHA-1',
        since: '2.6.0',
        run: runEval(finder, true, false),
      },
      {
        ...READING,
        name: 'eval_ro',
        usage: '<script> <numkeys> [<key> ...] [<arg> ...]',
        summary: 'Runs a script that only reads',
        since: '7.0.0',
        run: runEval(finder, false, true),
      },
      {
        ...READING,
        name: 'evalsha_ro',
        usage: '<sha1> <numkeys> [<key> ...] [<arg> ...]',
        summary: 'Runs a script that is remembered and only reads, by its SHA-1',
        since: '7.0.0',
        run: runEval(finder, true, true),
      },
    ],
    subcommands,
  };
}
