/**
 * Runs scripts and functions, each in an interpreter that has seen nothing before it.
 *
 * ```
 *   code ──compile──▶ image ──restore──▶ KEYS, ARGV ──▶ run ──▶ reply
 *             └─ kept for the next time: it follows from the code alone
 * ```
 *
 * Whether an image was kept makes no difference to a run, only to its cost: with it a small script takes about 10 µs. All a
 * run may see is its image, its arguments and its host, and it ends after the same number of steps on every node, see
 * `lua.ts`. What it has written until then stays: there is no way back once a command has run.
 */
import { invariant } from '../invariant.ts';
import { RecentTable } from '../recent.ts';
import { addDebugFunctions, newLua, PLACE, showGlobals } from './environment.ts';
import type { RegisteredFunction, ScriptHost } from './host.ts';
import {
  ALL_RESULTS,
  type Image,
  type Lua,
  PROTECTED_CALLS_MAX,
  SCRIPT_MEMORY_MAX,
  ScriptStopped,
  type State,
  type StopReason,
  TYPE,
} from './lua.ts';
import { errorLine, recordResult } from './lua-to-reply.ts';
import type { Recording } from './recording.ts';
import { wasm } from './webassembly.ts';

/**
 * The most steps that a script may take: 12 million of Lua's instructions, about, or 30,000 commands that write. Measured: 0.05 to 0.2 s
 * at 3 GHz, by what it does. The leader hears nothing while it runs the script, nor then while its followers do: twice that, on a
 * machine half as fast, has to be less than an election timeout.
 */
export const SCRIPT_STEPS_MAX = 100_000_000;
/** The same for the code of a library while it is loaded, and for compiling. */
const LOAD_STEPS_MAX = 25_000_000;
/** Images that are kept, and their bytes together. */
const IMAGES_MAX = 256;
const IMAGE_BYTES_MAX: number = 32 * 1024 * 1024;
const MEGABYTE: number = 1024 * 1024;

/** What became of code: an interpreter that can run it, or why there is none. */
export type CompiledScript =
  | { readonly kind: 'ready'; readonly image: Image }
  | { readonly kind: 'failed'; readonly error: string };
export type LoadedLibrary =
  | { readonly kind: 'ready'; readonly image: Image; readonly functions: readonly RegisteredFunction[] }
  | { readonly kind: 'failed'; readonly error: string };

/** One run of a script or of a function of a library. */
export interface Invocation {
  /** What errors name: the SHA-1 of a script, or the function. */
  readonly name: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
  readonly host: ScriptHost;
}

class ScriptEngine {
  #lua: Lua | null = null;
  /** Interpreters with nothing compiled in them. */
  #scriptBase: Image | null = null;
  #libraryBase: Image | null = null;
  readonly #scripts = new RecentTable<string, CompiledScript>(IMAGES_MAX, IMAGE_BYTES_MAX);
  readonly #libraries = new RecentTable<string, LoadedLibrary>(IMAGES_MAX, IMAGE_BYTES_MAX);

  /** `code`: without a shebang. */
  script(code: string): CompiledScript {
    const kept = this.#scripts.use(code);
    if (kept !== undefined) return kept;
    const compiled = this.#compile(code);
    this.#scripts.add(code, compiled, bytesOf(compiled));
    return compiled;
  }

  /** `code`: without a shebang. */
  library(code: string): LoadedLibrary {
    const kept = this.#libraries.use(code);
    if (kept !== undefined) return kept;
    const loaded = this.#load(code);
    this.#libraries.add(code, loaded, bytesOf(loaded));
    return loaded;
  }

  /** Runs a script; the reply, an error included, is in `reply`, the result is the number of steps. */
  runScript(image: Image, invocation: Invocation, reply: Recording): number {
    return this.#run(image, invocation, reply, (lua, state) => {
      pushArray(lua, state, invocation.keys);
      lua.setField(state, PLACE.globals, 'KEYS');
      pushArray(lua, state, invocation.args);
      lua.setField(state, PLACE.globals, 'ARGV');
      return lua.api.lua_pcall(state, 0, 1, PLACE.handler) === 0;
    });
  }

  /** Runs the function `invocation.name` of a library. */
  runFunction(image: Image, invocation: Invocation, reply: Recording): number {
    return this.#run(image, invocation, reply, (lua, state) => {
      lua.rawGetField(state, PLACE.functions, invocation.name);
      pushArray(lua, state, invocation.keys);
      pushArray(lua, state, invocation.args);
      return lua.api.lua_pcall(state, 2, 1, PLACE.handler) === 0;
    });
  }

  #run(
    image: Image,
    { name, host }: Invocation,
    reply: Recording,
    call: (lua: Lua, state: State) => boolean,
  ): number {
    const lua = this.#machine();
    const { api, state } = lua;
    invariant(lua.host === null, `the script ${name} inside another one`);
    reply.clear();
    lua.restore(image);
    lua.refuel(SCRIPT_STEPS_MAX);
    lua.host = host;
    try {
      const ended = call(lua, state);
      // The result where Redis has it, so that a Lua stack is full at the same depth.
      api.lua_replace(state, PLACE.handler + 1);
      api.lua_settop(state, PLACE.handler + 1);
      if (ended) recordResult(lua, state, reply, host.protocol);
      else reply.error(errorLine(errorOf(lua, state, name)));
    } catch (error) {
      const reason = stopReason(lua, error);
      if (reason === null) throw error;
      reply.clear();
      reply.error(stoppedError(name, reason, host.wrote));
    } finally {
      this.#leave(lua);
    }
    return SCRIPT_STEPS_MAX - lua.fuel;
  }

  #compile(code: string): CompiledScript {
    const lua = this.#machine();
    return this.#guarded(lua, (): CompiledScript => {
      lua.restore(this.#scriptImage(lua));
      lua.refuel(LOAD_STEPS_MAX);
      if (lua.load(lua.state, code, '@user_script')) return { kind: 'ready', image: lua.image() };
      return { kind: 'failed', error: lua.string(lua.state, -1) };
    });
  }

  #load(code: string): LoadedLibrary {
    const lua = this.#machine();
    const { api, state } = lua;
    const functions: RegisteredFunction[] = [];
    const loaded = this.#guarded(lua, (): LoadedLibrary => {
      lua.restore(this.#libraryImage(lua));
      lua.refuel(LOAD_STEPS_MAX);
      if (!lua.load(state, code, '@user_function'))
        return { kind: 'failed', error: `Error compiling function: ${lua.string(state, -1)}` };
      lua.library = functions;
      if (api.lua_pcall(state, 0, ALL_RESULTS, 0) !== 0)
        return { kind: 'failed', error: registrationError(messageOf(lua, state)) };
      api.lua_settop(state, PLACE.functions);
      showGlobals(lua, state, 'globals');
      return { kind: 'ready', image: lua.image(), functions };
    });
    return loaded;
  }

  /** Prepares code; what stops it is its error. */
  #guarded<Outcome>(
    lua: Lua,
    prepare: () => Outcome,
  ): Outcome | { readonly kind: 'failed'; readonly error: string } {
    try {
      return prepare();
    } catch (error) {
      const reason = stopReason(lua, error);
      if (reason === null) throw error;
      if (lua.library === null) return { kind: 'failed', error: `the code ${WHY[reason]}` };
      return {
        kind: 'failed',
        error: registrationError(
          reason === 'steps' ? 'ERR FUNCTION LOAD timeout' : `ERR the code ${WHY[reason]}`,
        ),
      };
    } finally {
      this.#leave(lua);
    }
  }

  #machine(): Lua {
    this.#lua ??= newLua();
    return this.#lua;
  }

  /** Memory that was made larger would hide from the next script that it needs more. */
  #leave(lua: Lua): void {
    lua.host = null;
    lua.library = null;
    if (lua.grown) this.#lua = null;
  }

  #scriptImage(lua: Lua): Image {
    if (this.#scriptBase === null) {
      lua.restore(this.#libraryImage(lua));
      showGlobals(lua, lua.state, 'globals');
      addDebugFunctions(lua, lua.state);
      this.#scriptBase = lua.image();
    }
    return this.#scriptBase;
  }

  /** The first image of a machine, as it was made; then always the same. */
  #libraryImage(lua: Lua): Image {
    if (this.#libraryBase === null) {
      showGlobals(lua, lua.state, 'loadGlobals');
      this.#libraryBase = lua.image();
    }
    return this.#libraryBase;
  }
}

/** One for all stores of a process: it keeps nothing of a run. */
export const engine: ScriptEngine = new ScriptEngine();

function bytesOf(prepared: CompiledScript | LoadedLibrary): number {
  return prepared.kind === 'ready'
    ? prepared.image.data.length + prepared.image.heap.length
    : prepared.error.length;
}

function pushArray(lua: Lua, state: State, texts: readonly string[]): void {
  lua.api.lua_createtable(state, 0, 0);
  for (const [at, text] of texts.entries()) {
    lua.pushString(state, text);
    lua.api.lua_rawseti(state, -2, at + 1);
  }
}

/** Why a script could not go on; null where that has another reason. */
function stopReason(lua: Lua, error: unknown): StopReason | 'crash' | null {
  if (error instanceof ScriptStopped) return error.reason;
  if (!(error instanceof wasm.RuntimeError)) return null;
  return lua.fuel < 0 ? 'steps' : 'crash';
}

const WHY: Readonly<Record<StopReason | 'crash', string>> = {
  steps: `was stopped after ${SCRIPT_STEPS_MAX} steps, the most that one call may take`,
  memory: `was stopped: it needs more than ${SCRIPT_MEMORY_MAX / MEGABYTE} MB of memory`,
  depth: `was stopped: it nests more than ${PROTECTED_CALLS_MAX} calls of pcall or of coroutines`,
  crash: 'was stopped: it broke the interpreter',
};

function stoppedError(name: string, reason: StopReason | 'crash', wrote: boolean): string {
  const rest = wrote ? '; what it wrote before stays written' : '';
  return `ERR script: ${name} ${WHY[reason]}${rest}. Do less in one call.`;
}

function registrationError(message: string): string {
  return `Error registering functions: ${message}`;
}

/** The error on top, as a client sees it. */
function errorOf(lua: Lua, state: State, name: string): string {
  const { api } = lua;
  if (api.lua_type(state, -1) !== TYPE.table) {
    const message = api.lua_isstring(state, -1) === 0 ? 'execution failure' : lua.string(state, -1);
    return `ERR Error running script ${name}, ${message.slice(0, 100)}`;
  }
  const message = messageOf(lua, state);
  const source = textField(lua, state, 'source');
  const line = textField(lua, state, 'line');
  if (source === null || line === null) return message;
  return `${message} script: ${name}, on ${source}:${line}.`;
}

function messageOf(lua: Lua, state: State): string {
  if (lua.api.lua_type(state, -1) !== TYPE.table)
    return `ERR ${lua.api.lua_isstring(state, -1) === 0 ? 'unknown error' : lua.string(state, -1)}`;
  return textField(lua, state, 'err') ?? 'ERR unknown error';
}

/** A text or number in the table on top. */
function textField(lua: Lua, state: State, name: string): string | null {
  lua.rawGetField(state, -1, name);
  const text = lua.api.lua_isstring(state, -1) === 0 ? null : lua.string(state, -1);
  lua.api.lua_settop(state, -2);
  return text;
}
