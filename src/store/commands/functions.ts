/**
 * FCALL and FUNCTION: libraries of functions, replicated as their code. As with EVAL a call travels in the log and runs on
 * every node. What a library keeps in variables of its own begins anew with every call: state belongs into keys.
 */
import type { CommandSpec, DataCommand } from '../command.ts';
import type { Context } from '../context.ts';
import { matchesGlob } from '../glob.ts';
import type { CommandFinder } from '../scripts/calls.ts';
import { engine } from '../scripts/engine.ts';
import { dumpLibraries, readLibraries } from '../scripts/function-dump.ts';
import { functionIndex, functionsOf, type Library, loadLibrary } from '../scripts/function-index.ts';
import { readCounts, runFor } from '../scripts/run.ts';
import { NO_KEYS } from './positions.ts';
import { NOT_BUSY, READING, WRITING } from './scripts.ts';

/** Bytes of all libraries together. */
const LIBRARIES_BYTES_MAX: number = 64 * 1024 * 1024;

type Run = DataCommand['run'];

function runFcall(finder: CommandFinder, readOnly: boolean): Run {
  return (context, args, reply) => {
    const { library, found } = functionIndex(context.meta).functions.get((args[1] ?? '').toLowerCase()) ?? {};
    if (library === undefined || found === undefined) {
      reply.error('ERR Function not found');
      return;
    }
    const counts = readCounts(args, 'ERR Bad number of keys provided');
    if (typeof counts === 'string') {
      reply.error(counts);
      return;
    }
    const loaded = engine.library(library.code);
    if (loaded.kind === 'failed') {
      reply.error(`ERR ${loaded.error}`);
      return;
    }
    const { keys, rest } = counts;
    const flags = new Set(found.flags);
    runFor(
      { finder, context, reply, name: found.name, keys, args: rest, flags, readOnly },
      (invocation, recording) => engine.runFunction(loaded.image, invocation, recording),
    );
  };
}

/** Takes a library in; `null`, or the error that changed nothing. */
function addLibrary(context: Context, text: string, replace: boolean): Library | string {
  const { libraries } = functionIndex(context.meta);
  const library = loadLibraryUnless(text, replace ? null : libraries);
  if (typeof library === 'string') return library;
  const others = [...libraries.values()].filter(({ name }) => name !== library.name);
  const taken = functionsOf(others);
  const twice = library.functions.find(({ name }) => taken.has(name.toLowerCase()));
  if (twice !== undefined) return `ERR Function ${twice.name} already exists`;
  const bytes = others.reduce((sum, other) => sum + other.text.length, library.text.length);
  if (bytes > LIBRARIES_BYTES_MAX)
    return `ERR all libraries together may have ${LIBRARIES_BYTES_MAX} bytes; delete one first`;
  store(context, library);
  return library;
}

/** The name is looked at before the code is run. */
function loadLibraryUnless(text: string, taken: ReadonlyMap<string, Library> | null): Library | string {
  return loadLibrary(text, (name) =>
    taken?.has(name) === true ? `ERR Library '${name}' already exists` : null,
  );
}

function store(context: Context, library: Library): void {
  context.setMeta('libraries', library.name, library.text);
}

function clear(context: Context): void {
  for (const name of context.meta.entries('libraries').keys()) context.setMeta('libraries', name, null);
}

const runLoad: Run = (context, args, reply) => {
  const options = args.slice(2, -1);
  const unknown = options.find((option) => option.toLowerCase() !== 'replace');
  if (unknown !== undefined) {
    reply.error(`ERR Unknown option given: ${asInC(unknown)}`);
    return;
  }
  const library = addLibrary(context, args.at(-1) ?? '', options.length > 0);
  if (typeof library === 'string') reply.error(library);
  else reply.bulk(library.name);
};

const runDelete: Run = (context, args, reply) => {
  const [, , name = ''] = args;
  if (context.meta.get('libraries', name) === undefined) {
    reply.error('ERR Library not found');
    return;
  }
  context.setMeta('libraries', name, null);
  reply.ok();
};

const runFlush: Run = (context, args, reply) => {
  const mode = (args[2] ?? 'sync').toLowerCase();
  if (args.length > 3) reply.error(subcommandError(args));
  else if (mode !== 'sync' && mode !== 'async')
    reply.error('ERR FUNCTION FLUSH only supports SYNC|ASYNC option');
  else {
    clear(context);
    reply.ok();
  }
};

function subcommandError(args: readonly string[]): string {
  return `ERR unknown subcommand or wrong number of arguments for '${args[1] ?? ''}'. Try FUNCTION HELP.`;
}

/** Up to a zero. */
function asInC(text: string): string {
  const end = text.indexOf('\0');
  return end === -1 ? text : text.slice(0, end);
}

const runList: Run = (context, args, reply) => {
  let pattern: string | null = null;
  let withCode = false;
  for (let at = 2; at < args.length; at++) {
    const option = (args[at] ?? '').toLowerCase();
    if (!withCode && option === 'withcode') withCode = true;
    else if (pattern === null && option === 'libraryname') {
      if (at === args.length - 1) {
        reply.error('ERR library name argument was not given');
        return;
      }
      pattern = args[++at] ?? '';
    } else {
      reply.error(`ERR Unknown argument ${asInC(args[at] ?? '')}`);
      return;
    }
  }
  const listed = [...functionIndex(context.meta).libraries.values()].filter(
    ({ name }) => pattern === null || matchesGlob(pattern.toLowerCase(), name.toLowerCase()),
  );
  reply.array(listed.length);
  for (const { name, text, functions } of listed) {
    reply.map(withCode ? 4 : 3);
    reply.bulk('library_name');
    reply.bulk(name);
    reply.bulk('engine');
    reply.bulk('LUA');
    reply.bulk('functions');
    reply.array(functions.length);
    for (const { name: functionName, description, flags } of functions) {
      reply.map(3);
      reply.bulk('name');
      reply.bulk(functionName);
      reply.bulk('description');
      reply.bulk(description);
      reply.bulk('flags');
      reply.set(flags.length);
      for (const flag of flags) reply.simple(flag);
    }
    if (!withCode) continue;
    reply.bulk('library_code');
    reply.bulk(text);
  }
};

const runStats: Run = (context, _args, reply) => {
  const { libraries } = functionIndex(context.meta);
  let functions = 0;
  for (const library of libraries.values()) functions += library.functions.length;
  reply.map(2);
  reply.bulk('running_script');
  reply.bulk(null);
  reply.bulk('engines');
  reply.map(1);
  reply.bulk('LUA');
  reply.map(2);
  reply.bulk('libraries_count');
  reply.integer(libraries.size);
  reply.bulk('functions_count');
  reply.integer(functions);
};

const runDump: Run = (context, _args, reply) =>
  reply.bulk(dumpLibraries(context.meta.entries('libraries').values()));

const POLICIES = ['append', 'replace', 'flush'];

const runRestore: Run = (context, args, reply) => {
  const [, , payload = '', policy = 'append'] = args;
  if (args.length > 4) {
    reply.error(subcommandError(args));
    return;
  }
  const chosen = policy.toLowerCase();
  if (!POLICIES.includes(chosen)) {
    reply.error('ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.');
    return;
  }
  const restored = restoredLibraries(payload);
  const error = typeof restored === 'string' ? restored : collision(context, restored, chosen);
  if (typeof restored === 'string' || error !== null) {
    reply.error(error ?? '');
    return;
  }
  if (chosen === 'flush') clear(context);
  for (const library of restored.values()) store(context, library);
  reply.ok();
};

/** The libraries of a payload, each loaded; or the error of the first that can't be. */
function restoredLibraries(payload: string): Map<string, Library> | string {
  const texts = readLibraries(payload);
  if (typeof texts === 'string') return texts;
  const restored = new Map<string, Library>();
  for (const text of texts) {
    const library = loadLibraryUnless(text, restored);
    if (typeof library === 'string') return library;
    const taken = functionsOf(restored.values());
    const twice = library.functions.find(({ name }) => taken.has(name.toLowerCase()));
    if (twice !== undefined) return `ERR Function ${twice.name} already exists`;
    restored.set(library.name, library);
  }
  return restored;
}

/** What stands in the way of restored libraries. */
function collision(context: Context, restored: ReadonlyMap<string, Library>, policy: string): string | null {
  const { libraries } = functionIndex(context.meta);
  const kept = policy === 'flush' ? [] : [...libraries.values()];
  const there = kept.find(({ name }) => restored.has(name));
  if (policy === 'append' && there !== undefined) return `ERR Library ${there.name} already exists`;
  const others = kept.filter(({ name }) => !restored.has(name));
  const taken = functionsOf(others);
  for (const name of functionsOf(restored.values()).keys()) {
    const other = taken.get(name);
    if (other !== undefined) return `ERR Function ${other.found.name} already exists`;
  }
  const bytes = [...others, ...restored.values()].reduce((sum, { text }) => sum + text.length, 0);
  if (bytes <= LIBRARIES_BYTES_MAX) return null;
  return `ERR all libraries together may have ${LIBRARIES_BYTES_MAX} bytes`;
}

const management = {
  kind: 'data',
  group: 'scripting',
  keys: NO_KEYS,
  since: '7.0.0',
  complexity: 'O(N) where N is the number of libraries',
} as const satisfies Partial<CommandSpec> & { kind: 'data' };
const changing = {
  ...management,
  write: true,
  anywhere: true,
  categories: ['write', 'slow', 'scripting'],
} as const;
const asking = { ...management, write: false, categories: ['slow', 'scripting'] } as const;

const subcommands: readonly DataCommand[] = [
  {
    ...changing,
    name: 'function|load',
    usage: '[REPLACE] <function-code>',
    arity: -3,
    flags: ['write', 'denyoom', 'noscript'],
    summary: 'Takes a library in and answers its name.',
    complexity: 'O(1), if the code that registers its functions is',
    run: runLoad,
  },
  {
    ...changing,
    name: 'function|delete',
    usage: '<library-name>',
    arity: 3,
    flags: ['write', 'noscript'],
    summary: 'Removes a library and its functions.',
    run: runDelete,
  },
  {
    ...changing,
    name: 'function|flush',
    usage: '[ASYNC|SYNC]',
    arity: -2,
    flags: ['write', 'noscript'],
    summary: 'Removes all libraries.',
    run: runFlush,
  },
  {
    ...changing,
    name: 'function|restore',
    usage: '<serialized-value> [FLUSH|APPEND|REPLACE]',
    arity: -3,
    flags: ['write', 'denyoom', 'noscript'],
    summary: 'Takes in the libraries of a payload of FUNCTION DUMP.',
    run: runRestore,
  },
  {
    ...asking,
    name: 'function|list',
    usage: '[LIBRARYNAME <library-name-pattern>] [WITHCODE]',
    arity: -2,
    flags: ['noscript'],
    summary: 'The libraries and their functions.',
    run: runList,
  },
  {
    ...asking,
    name: 'function|stats',
    arity: 2,
    flags: ['noscript', 'allow_busy'],
    summary: 'How many libraries and functions there are.',
    run: runStats,
  },
  {
    ...asking,
    name: 'function|dump',
    arity: 2,
    flags: ['noscript'],
    summary: 'All libraries in one payload for FUNCTION RESTORE.',
    run: runDump,
  },
  {
    ...asking,
    name: 'function|kill',
    arity: 2,
    flags: ['noscript', 'allow_busy'],
    summary: 'Says that no function is running: each ends before anything else is answered.',
    run: (_context, _args, reply) => reply.error(NOT_BUSY),
  },
];

export function functionCommands(finder: CommandFinder): {
  readonly commands: readonly DataCommand[];
  readonly subcommands: readonly DataCommand[];
} {
  return {
    commands: [
      {
        ...WRITING,
        name: 'fcall',
        usage: '<function> <numkeys> [<key> ...] [<arg> ...]',
        summary: 'Calls a function of a library',
        since: '7.0.0',
        complexity: 'that of the function',
        run: runFcall(finder, false),
      },
      {
        ...READING,
        name: 'fcall_ro',
        usage: '<function> <numkeys> [<key> ...] [<arg> ...]',
        summary: 'Calls a function of a library that only reads',
        since: '7.0.0',
        complexity: 'that of the function',
        run: runFcall(finder, true),
      },
    ],
    subcommands,
  };
}
