/**
 * The Lua 5.1 interpreter as a WebAssembly module, and its C API for TypeScript.
 *
 * Everything the interpreter knows lies in its memory: so a copy of the memory is a copy of the interpreter. A script
 * begins with the same bytes on every node, whatever ran there before, and the module is deterministic (see
 * `metering.ts`): so it goes through the same states, addresses and the order of `pairs` included.
 *
 * ```
 *   │ data │ stack ▼ │ heap ▲           │ not used          │
 *   └──────┘         └──────┘ break     └ 16 MB, or as much as a script has asked for
 *     what an image holds    : zeros
 * ```
 *
 * A script that the limits end is thrown out of by an exception which no `pcall` catches, and what it leaves behind is
 * overwritten by the next image. Memory never shrinks: after a script that made it grow the whole machine is replaced.
 */
import { invariant } from '../invariant.ts';
import type { RegisteredFunction, ScriptHost } from './host.ts';
import { interpreter } from './interpreter.ts';
import {
  PAGE_BYTES,
  wasm,
  type WasmFunction,
  type WasmGlobal,
  type WasmImports,
  type WasmMemory,
  type WasmTable,
} from './webassembly.ts';

/** The address of a coroutine. */
export type State = number;

/** A function that Lua calls: takes its arguments from the stack, leaves results there and answers how many. */
export type HostFunction = (lua: Lua, state: State) => number;

/** The types of values. */
export const TYPE = {
  nil: 0,
  boolean: 1,
  lightUserdata: 2,
  number: 3,
  string: 4,
  table: 5,
  function: 6,
  userdata: 7,
  thread: 8,
} as const;

/** Places that are no stack positions. */
export const INDEX = { registry: -10000, globals: -10002, firstUpvalue: -10003 } as const;
/** As many results as there are. */
export const ALL_RESULTS = -1;

/** What one script may take in memory. */
export const SCRIPT_MEMORY_MAX: number = 64 * 1024 * 1024;

/** What it may have the node hold besides: arguments of a command, a text that is being made, its reply. */
const HELD_BYTES_MAX: number = 2 * SCRIPT_MEMORY_MAX;

/**
 * How deep calls of `pcall` and of coroutines may be nested. Each takes about 3.5 KB of the 984 KB that V8 has for its stack,
 * and where that ends is no business of a script: it depends on the compiler.
 */
export const PROTECTED_CALLS_MAX = 80;

export type StopReason = 'steps' | 'memory' | 'depth';

/** Thrown through the interpreter when a script has gone beyond a limit. */
export class ScriptStopped extends Error {
  readonly reason: StopReason;

  constructor(reason: StopReason) {
    super(`a script ran out of ${reason}`);
    this.name = 'ScriptStopped';
    this.reason = reason;
  }
}

/** An interpreter at rest. */
export interface Image {
  readonly data: Uint8Array;
  readonly heap: Uint8Array;
}

/** The functions of the C API in use, as the Lua 5.1 manual has them. */
export interface LuaApi {
  lua_gettop(state: State): number;
  lua_settop(state: State, index: number): void;
  lua_pushvalue(state: State, index: number): void;
  lua_remove(state: State, index: number): void;
  lua_insert(state: State, index: number): void;
  lua_replace(state: State, index: number): void;
  lua_checkstack(state: State, slots: number): number;
  lua_type(state: State, index: number): number;
  lua_isnumber(state: State, index: number): number;
  lua_isstring(state: State, index: number): number;
  lua_tonumber(state: State, index: number): number;
  lua_toboolean(state: State, index: number): number;
  lua_tolstring(state: State, index: number, length: number): number;
  lua_objlen(state: State, index: number): number;
  lua_touserdata(state: State, index: number): number;
  lua_topointer(state: State, index: number): number;
  lua_tocfunction(state: State, index: number): number;
  lua_pushnil(state: State): void;
  lua_pushnumber(state: State, value: number): void;
  lua_pushlstring(state: State, at: number, length: number): void;
  lua_pushcclosure(state: State, slot: number, upvalues: number): void;
  lua_pushboolean(state: State, value: number): void;
  lua_pushlightuserdata(state: State, at: number): void;
  lua_gettable(state: State, index: number): void;
  lua_getfield(state: State, index: number, name: number): void;
  lua_rawget(state: State, index: number): void;
  lua_rawgeti(state: State, index: number, at: number): void;
  lua_createtable(state: State, elements: number, fields: number): void;
  lua_newuserdata(state: State, bytes: number): number;
  lua_getmetatable(state: State, index: number): number;
  lua_settable(state: State, index: number): void;
  lua_setfield(state: State, index: number, name: number): void;
  lua_rawset(state: State, index: number): void;
  lua_rawseti(state: State, index: number, at: number): void;
  lua_setmetatable(state: State, index: number): number;
  lua_pcall(state: State, args: number, results: number, handler: number): number;
  lua_call(state: State, args: number, results: number): void;
  lua_next(state: State, index: number): number;
  lua_concat(state: State, count: number): void;
  lua_error(state: State): number;
  lua_gc(state: State, what: number, data: number): number;
  luaL_newstate(): State;
  luaL_loadbuffer(state: State, at: number, length: number, name: number): number;
  luaL_where(state: State, level: number): void;
  luaL_argerror(state: State, arg: number, message: number): number;
  luaL_typerror(state: State, arg: number, type: number): number;
  luaL_checklstring(state: State, arg: number, length: number): number;
  luaL_checknumber(state: State, arg: number): number;
  luaL_checkinteger(state: State, arg: number): number;
  luaL_optinteger(state: State, arg: number, preset: number): number;
  luaL_checktype(state: State, arg: number, type: number): void;
  luaL_checkstack(state: State, slots: number, message: number): void;
  luaopen_base(state: State): number;
  luaopen_table(state: State): number;
  luaopen_string(state: State): number;
  luaopen_math(state: State): number;
  luaopen_debug(state: State): number;
}

/** What else the module exports. */
interface Internals {
  readonly memory: WasmMemory;
  readonly fuel: WasmGlobal;
  readonly __indirect_function_table: WasmTable;
  malloc(bytes: number): number;
  free(at: number): void;
  stackSave(): number;
  stackRestore(at: number): void;
  setThrew(threw: number, value: number): void;
  emscripten_stack_init(): void;
  emscripten_stack_get_base(): number;
  emscripten_stack_get_end(): number;
  __wasm_call_ctors(): void;
}

/** What `longjmp` throws: a value that is nothing else. */
const LONG_JUMP = { longJump: true };
/** JavaScript's exceptions take their time. */
const LONG_JUMP_STEPS = 1000;
/** The data begins there. */
const DATA_START = 1024;
/** For texts on their way into the interpreter; a longer one gets memory of its own. */
const SCRATCH_BYTES = 4096;
/** Below this many characters a loop is faster than a call into native code. */
const SHORT_TEXT = 12;
/** The most steps that can be given out at once. */
const FUEL_MAX = 0x7fff_ffff;

interface OwnFunction {
  readonly slot: number;
  readonly call: WasmFunction;
}

export class Lua {
  /** Addresses of the tables that stand in front of protected ones, see `protection.ts`. */
  readonly fronts: Set<number> = new Set();
  /** What the script that runs finds around it; null while a script is only compiled. */
  host: ScriptHost | null = null;
  /** Takes the functions of a library that is being loaded. */
  library: RegisteredFunction[] | null = null;
  readonly api: LuaApi;
  /** The main coroutine. */
  readonly state: State;
  readonly #internals: Internals;
  readonly #hostSlots: ReadonlyMap<HostFunction, number>;
  readonly #dataEnd: number;
  readonly #heapStart: number;
  /** Where the module keeps how far its heap reaches. */
  readonly #breakAt: number;
  /** Where a length is put, and behind it texts. */
  readonly #scratch: number;
  readonly #own = new Map<string, OwnFunction>();
  #bytes: Buffer;
  #words: Uint32Array;
  /** How far the heap has ever reached since the machine was made: from its break on there may be something else than zeros. */
  #dirtyEnd = 0;
  #grown = false;
  /** Of protected calls. */
  #depth = 0;

  /** `hosts`: everything that Lua may call. The same list in the same order makes the same machine. */
  constructor(hosts: readonly HostFunction[]) {
    const { exports } = new wasm.Instance(interpreter(), this.#imports());
    this.#internals = exports as unknown as Internals;
    this.api = exports as unknown as LuaApi;
    this.#bytes = Buffer.from(this.#internals.memory.buffer);
    this.#words = new Uint32Array(this.#internals.memory.buffer);
    this.refuel(FUEL_MAX);
    this.#internals.emscripten_stack_init();
    this.#heapStart = this.#internals.emscripten_stack_get_base();
    this.#dataEnd = this.#internals.emscripten_stack_get_end();
    this.#breakAt = this.#findBreak();
    this.#internals.__wasm_call_ctors();
    this.#hostSlots = this.#addToTable(hosts);
    this.#scratch = this.#internals.malloc(8 + SCRATCH_BYTES);
    this.state = this.api.luaL_newstate();
  }

  /** The memory was made larger, which can't be undone. */
  get grown(): boolean {
    return this.#grown;
  }

  // --- Limits ------------------------------------------------------------------------------------------------------

  /** Steps that may be taken from now on. */
  refuel(steps: number): void {
    this.#internals.fuel.value = steps;
  }

  /** Steps that are left. */
  get fuel(): number {
    return this.#internals.fuel.value;
  }

  /** Accounts for work that is done outside the interpreter. */
  charge(steps: number): void {
    const left = this.#internals.fuel.value - Math.min(Math.ceil(steps), FUEL_MAX);
    this.#internals.fuel.value = Math.max(left, -1);
    if (left < 0) throw new ScriptStopped('steps');
  }

  /** To be asked before more texts are put together outside the interpreter: how many bytes they have by now. */
  hold(bytes: number): void {
    if (bytes > HELD_BYTES_MAX) throw new ScriptStopped('memory');
  }

  // --- Images ------------------------------------------------------------------------------------------------------

  /** A copy of the interpreter as it is. Nothing may be under way in it. */
  image(): Image {
    const end = this.#break();
    return {
      data: Uint8Array.from(this.#bytes.subarray(DATA_START, this.#dataEnd)),
      heap: Uint8Array.from(this.#bytes.subarray(this.#heapStart, end)),
    };
  }

  /** Makes it what it was when the image was taken, by this machine or by another one. */
  restore({ data, heap }: Image): void {
    const end = this.#heapStart + heap.length;
    this.#dirtyEnd = Math.max(this.#dirtyEnd, this.#break());
    this.#depth = 0;
    if (end > this.#bytes.length) this.#grow(end);
    if (this.#dirtyEnd > end) this.#bytes.fill(0, end, this.#dirtyEnd);
    this.#dirtyEnd = end;
    this.#bytes.set(data, DATA_START);
    this.#bytes.set(heap, this.#heapStart);
    this.#internals.stackRestore(this.#heapStart);
  }

  // --- Values ------------------------------------------------------------------------------------------------------

  /** The bytes of a string, or of a number as Lua writes it; empty where there is neither. */
  string(state: State, index: number): string {
    const at = this.api.lua_tolstring(state, index, this.#scratch);
    return at === 0 ? '' : this.#text(at, this.#words[this.#scratch >> 2] ?? 0);
  }

  /** As `string`, of an argument that has to be one. */
  checkString(state: State, arg: number): string {
    const at = this.api.luaL_checklstring(state, arg, this.#scratch);
    return this.#text(at, this.#words[this.#scratch >> 2] ?? 0);
  }

  /** The length of the string at the index and its first byte, -1 in an empty one. */
  stringFacts(state: State, index: number): { readonly length: number; readonly first: number } {
    const at = this.api.lua_tolstring(state, index, this.#scratch);
    const length = at === 0 ? 0 : (this.#words[this.#scratch >> 2] ?? 0);
    return { length, first: length === 0 ? -1 : (this.#bytes[at] ?? -1) };
  }

  pushString(state: State, text: string): void {
    const { length } = text;
    const own = length > SCRATCH_BYTES;
    const at = own ? this.#internals.malloc(length) : this.#scratch + 8;
    this.#write(at, text);
    this.api.lua_pushlstring(state, at, length);
    if (own) this.#internals.free(at);
  }

  /** Which NaN a NaN of JavaScript is depends on the machine: there are two here, and each is always the same. */
  pushNumber(state: State, value: number, negativeNaN = true): void {
    this.api.lua_pushnumber(state, Number.isNaN(value) ? 0 : value);
    if (!Number.isNaN(value)) return;
    // 0 / 0 as the interpreter reckons it, which has a sign.
    this.#loadConstant(state, negativeNaN ? 'return 0/0' : 'return -(0/0)');
    this.api.lua_remove(state, -2);
  }

  /** Whether the NaN at the index has a sign. JavaScript does not tell; its text does. */
  isNegativeNaN(state: State, index: number): boolean {
    this.api.lua_pushvalue(state, index);
    const negative = this.string(state, -1).startsWith('-');
    this.api.lua_settop(state, -2);
    return negative;
  }

  /** `table[name] = the value on top`, which is taken off. */
  setField(state: State, index: number, name: string): void {
    this.api.lua_setfield(state, index, this.#cString(name));
  }

  /** Pushes `table[name]`. */
  getField(state: State, index: number, name: string): void {
    this.api.lua_getfield(state, index, this.#cString(name));
  }

  /** Pushes `table[name]` without asking metatables. */
  rawGetField(state: State, index: number, name: string): void {
    this.pushString(state, name);
    this.api.lua_rawget(state, index < 0 && index > INDEX.registry ? index - 1 : index);
  }

  pushHost(state: State, host: HostFunction, upvalues = 0): void {
    const slot = this.#hostSlots.get(host);
    invariant(slot !== undefined, `the function ${host.name} is not known to the interpreter`);
    this.api.lua_pushcclosure(state, slot, upvalues);
  }

  /** Remembers the interpreter's own function at the index, for whoever takes its place. */
  keepOwn(state: State, index: number, name: string): void {
    const slot = this.api.lua_tocfunction(state, index);
    this.#own.set(name, { slot, call: this.#internals.__indirect_function_table.get(slot) });
  }

  /** Runs it with the arguments of the function that took its place. */
  callOwn(state: State, name: string): number {
    return this.#ownFunction(name).call(state);
  }

  pushOwn(state: State, name: string): void {
    this.api.lua_pushcclosure(state, this.#ownFunction(name).slot, 0);
  }

  /** Compiles a chunk and leaves the function; false: an error message in its place. */
  load(state: State, code: string, name: string): boolean {
    const at = this.#internals.malloc(code.length + name.length + 2);
    this.#write(at, code);
    const nameAt = at + code.length + 1;
    this.#write(nameAt, `${name}\0`);
    // Precompiled code could do anything to the interpreter; behind a blank it is a syntax error, as in Redis.
    const binary = code.charCodeAt(0) === 0x1b;
    if (binary) this.#bytes[at] = 0x20;
    if (binary) this.#bytes[at + 1] = 0x1b;
    const failed = this.api.luaL_loadbuffer(state, at, binary ? 2 : code.length, nameAt) !== 0;
    this.#internals.free(at);
    return !failed;
  }

  /** The number at that place in a block of userdata. */
  readWord(at: number): number {
    return this.#words[at >> 2] ?? 0;
  }

  writeWord(at: number, value: number): void {
    this.#words[at >> 2] = value;
  }

  // --- Errors ------------------------------------------------------------------------------------------------------

  /** Raises the value on top. */
  raise(state: State): never {
    this.api.lua_error(state);
    throw new Error('lua_error came back');
  }

  /** Raises an error with the position of the caller before it. */
  fail(state: State, message: string): never {
    this.api.luaL_where(state, 1);
    this.pushString(state, message);
    this.api.lua_concat(state, 2);
    return this.raise(state);
  }

  failArgument(state: State, arg: number, message: string): never {
    this.api.luaL_argerror(state, arg, this.#cString(message));
    throw new Error('luaL_argerror came back');
  }

  failType(state: State, arg: number, type: string): never {
    this.api.luaL_typerror(state, arg, this.#cString(type));
    throw new Error('luaL_typerror came back');
  }

  checkStack(state: State, slots: number, message: string): void {
    this.api.luaL_checkstack(state, slots, this.#cString(message));
  }

  // --- Memory ------------------------------------------------------------------------------------------------------

  #ownFunction(name: string): OwnFunction {
    const found = this.#own.get(name);
    invariant(found !== undefined, `the interpreter has no ${name}`);
    return found;
  }

  #loadConstant(state: State, code: string): void {
    this.load(state, code, '=constant');
    this.api.lua_call(state, 0, 1);
  }

  #text(at: number, length: number): string {
    if (length > SHORT_TEXT) return this.#bytes.latin1Slice(at, at + length);
    let text = '';
    for (let offset = at; offset < at + length; offset++)
      text += String.fromCharCode(this.#bytes[offset] ?? 0);
    return text;
  }

  #write(at: number, text: string): void {
    const { length } = text;
    if (length > SHORT_TEXT) this.#bytes.latin1Write(text, at);
    else for (let offset = 0; offset < length; offset++) this.#bytes[at + offset] = text.charCodeAt(offset);
  }

  #cString(text: string): number {
    invariant(text.length < SCRATCH_BYTES, `a C string of ${text.length} characters`);
    const at = this.#scratch + 8;
    this.#write(at, text);
    this.#bytes[at + text.length] = 0;
    return at;
  }

  #break(): number {
    return this.#words[this.#breakAt >> 2] ?? 0;
  }

  /** Of all words of the data only the break has the heap's address before the heap is used. */
  #findBreak(): number {
    const found: number[] = [];
    for (let at = DATA_START; at < this.#dataEnd; at += 4)
      if (this.#words[at >> 2] === this.#heapStart) found.push(at);
    const [only = 0] = found;
    invariant(found.length === 1, `${found.length} places could hold the break of the interpreter's heap`);
    return only;
  }

  #grow(bytes: number): void {
    const { memory } = this.#internals;
    memory.grow(Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES));
    this.#grown = true;
    this.#bytes = Buffer.from(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
  }

  // --- The module's surroundings -----------------------------------------------------------------------------------

  #imports(): WasmImports {
    const imports: WasmImports = {};
    for (const { module, name } of wasm.Module.imports(interpreter())) {
      // Clocks, files and the environment: nothing that a script can reach asks for them.
      (imports[module] ??= {})[name] = () => {
        throw new Error(`the Lua interpreter asks for ${name}`);
      };
    }
    const environment = { environ_sizes_get: () => 0, environ_get: () => 0 };
    Object.assign((imports['wasi_snapshot_preview1'] ??= {}), environment);
    Object.assign((imports['env'] ??= {}), {
      emscripten_resize_heap: (bytes: number) => this.#resize(bytes >>> 0),
      emscripten_memcpy_js: (to: number, from: number, length: number) => {
        // 16 bytes a step: what the loops of the module take for short ones.
        this.charge(length >>> 4);
        this.#bytes.copyWithin(to, from, from + length);
        return to;
      },
      _emscripten_throw_longjmp: () => {
        this.charge(LONG_JUMP_STEPS);
        throw LONG_JUMP;
      },
      invoke_vii: (slot: number, first: number, second: number) => this.#invoke(slot, first, second),
    });
    return imports;
  }

  /** A call that a `longjmp` may end: what `setjmp` is made of. */
  #invoke(slot: number, first: number, second: number): number {
    const stack = this.#internals.stackSave();
    if (++this.#depth > PROTECTED_CALLS_MAX) throw new ScriptStopped('depth');
    try {
      this.#internals.__indirect_function_table.get(slot)(first, second);
    } catch (error) {
      if (error !== LONG_JUMP) throw error;
      this.#internals.stackRestore(stack);
      this.#internals.setThrew(1, 0);
    } finally {
      this.#depth--;
    }
    return 0;
  }

  #resize(bytes: number): number {
    if (bytes > this.#heapStart + SCRIPT_MEMORY_MAX) throw new ScriptStopped('memory');
    this.#grow(bytes);
    return 1;
  }

  /** A table takes only functions that a module exports: so a module is made that exports these. */
  #addToTable(hosts: readonly HostFunction[]): ReadonlyMap<HostFunction, number> {
    const functions: Record<string, WasmFunction> = {};
    hosts.forEach((host, at) => {
      functions[String(at)] = (state = 0) => host(this, state);
    });
    const { exports } = new wasm.Instance(new wasm.Module(passThrough(hosts.length)), { hosts: functions });
    const table = this.#internals.__indirect_function_table;
    const first = table.grow(hosts.length);
    const slots = new Map<HostFunction, number>();
    hosts.forEach((host, at) => {
      table.set(first + at, exports[String(at)] as WasmFunction);
      slots.set(host, first + at);
    });
    return slots;
  }
}

/** A module that imports `hosts.0`, `hosts.1`, …, functions of a coroutine with a number as result, and exports them. */
function passThrough(count: number): Uint8Array {
  const names = Array.from({ length: count }, (_, at) => [...Buffer.from(String(at))]);
  const hosts = [...Buffer.from('hosts')];
  const imports = names.flatMap((name) => [hosts.length, ...hosts, name.length, ...name, 0, 0]);
  const exported = names.flatMap((name, at) => [name.length, ...name, 0, ...unsigned(at)]);
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    0x01,
    0x00,
    0x00,
    0x00,
    // One type: (i32) → i32.
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]),
    ...section(2, [...unsigned(count), ...imports]),
    ...section(7, [...unsigned(count), ...exported]),
  ]);
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content];
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}
