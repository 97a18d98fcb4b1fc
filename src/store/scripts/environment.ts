/**
 * Builds an interpreter in which scripts can run: Lua's libraries without those that reach outside, the libraries that
 * Redis adds, and globals that are there to be read.
 *
 * What is left on the stack is found there again whenever an image of it is restored, see {@link PLACE}.
 */
import { bitLibrary } from './libraries/bit.ts';
import { refuseChange, refuseMissing, replacements } from './libraries/base.ts';
import { cjsonSettings, pushConfig } from './libraries/cjson-config.ts';
import { decode } from './libraries/cjson-decode.ts';
import { encode } from './libraries/cjson-encode.ts';
import { CMSGPACK_TEXTS, cmsgpackLibrary } from './libraries/cmsgpack.ts';
import {
  debugFunctions,
  LOG_CONSTANTS,
  loadFunctions,
  mathFunctions,
  redisFunctions,
  REPLICATION_CONSTANTS,
  VERSION,
  VERSION_NUMBER,
} from './libraries/redis.ts';
import { structLibrary } from './libraries/struct.ts';
import { INDEX, type HostFunction, Lua, type State } from './lua.ts';
import { backingOf, protect, setShownMetatables } from './protection.ts';

/** Places on the stack of an interpreter at rest. */
export const PLACE = {
  /** Turns an error into a table with its source and line. */
  handler: 1,
  /** The table behind the globals. */
  globals: 2,
  /** What a library sees in place of the globals while it is loaded. */
  loadGlobals: 3,
  /** The functions of a library, by name. */
  functions: 4,
  /** A compiled script. */
  chunk: 5,
} as const;

/** How far a collection of garbage is put off while an image is made: small scripts end before the first one. */
const FIRST_COLLECTION_PERCENT = 1000;
const USUAL_PERCENT = 200;
const GC = { collect: 2, setPause: 6 } as const;

/** Where an error came from: the function that raised it, or its caller if that is none of Lua's. */
const HANDLER = `
local getinfo, type, tostring = debug.getinfo, type, tostring
return function(err)
  local at = getinfo(2, 'nSl')
  if at and at.what == 'C' then at = getinfo(3, 'nSl') end
  if type(err) ~= 'table' then err = {err = 'ERR ' .. tostring(err)} end
  if at then
    err.source = at.source
    err.line = at.currentline
  end
  return err
end`;

const REMOVED = ['print', 'dofile', 'loadfile', 'getfenv', 'setfenv', 'newproxy', 'debug'];
/** Tables among the globals, all of which are protected. */
const TABLES = ['string', 'table', 'math', 'coroutine', 'bit', 'struct', 'cjson', 'cmsgpack', 'redis'];

const cjsonFunctions: Readonly<Record<string, HostFunction>> = {
  encode,
  decode,
  ...cjsonSettings,
  new: (lua, state) => {
    pushCjson(lua, state);
    return 1;
  },
};

/** Everything that Lua may call, always in this order. */
const HOSTS: readonly HostFunction[] = [
  replacements.globals,
  replacements.string,
  bitLibrary,
  structLibrary,
  cmsgpackLibrary,
  cjsonFunctions,
  redisFunctions,
  debugFunctions,
  mathFunctions,
].flatMap((library) => Object.values(library));

/** A new interpreter, ready to take an image or to compile. The same on every node. */
export function newLua(): Lua {
  const lua = new Lua([...HOSTS, loadFunctions.register_function, refuseChange, refuseMissing]);
  const { api, state } = lua;
  api.luaopen_base(state);
  api.luaopen_table(state);
  api.luaopen_string(state);
  api.luaopen_math(state);
  api.luaopen_debug(state);
  api.lua_settop(state, 0);
  lua.load(state, HANDLER, '@err_handler_def');
  api.lua_call(state, 0, 1);
  buildGlobals(lua, state);
  buildLoadGlobals(lua, state);
  api.lua_gc(state, GC.setPause, FIRST_COLLECTION_PERCENT);
  api.lua_gc(state, GC.collect, 0);
  api.lua_gc(state, GC.setPause, USUAL_PERCENT);
  return lua;
}

/** Adds what only EVAL's scripts have. */
export function addDebugFunctions(lua: Lua, state: State): void {
  lua.getField(state, PLACE.globals, 'redis');
  backingOf(lua, state, -1);
  setFunctions(lua, state, debugFunctions);
  lua.api.lua_settop(state, -3);
}

/** Has scripts see the globals, or what there is for a library that is being loaded. */
export function showGlobals(lua: Lua, state: State, which: 'globals' | 'loadGlobals'): void {
  const { api } = lua;
  api.lua_getmetatable(state, INDEX.globals);
  api.lua_pushvalue(state, PLACE[which]);
  lua.setField(state, -2, '__index');
  api.lua_settop(state, -2);
}

/** Puts the table behind the globals in its place on the stack, and its front in that of the globals. */
function buildGlobals(lua: Lua, state: State): void {
  const { api } = lua;
  api.lua_pushvalue(state, INDEX.globals);
  for (const name of REMOVED) {
    api.lua_pushnil(state);
    lua.setField(state, -2, name);
  }
  replace(lua, state, replacements.globals);
  lua.getField(state, -1, 'string');
  replace(lua, state, replacements.string);
  api.lua_settop(state, -2);
  lua.getField(state, -1, 'math');
  setFunctions(lua, state, mathFunctions);
  api.lua_settop(state, -2);
  addTable(lua, state, 'bit', bitLibrary);
  addTable(lua, state, 'struct', structLibrary);
  addTable(lua, state, 'cmsgpack', cmsgpackLibrary, CMSGPACK_TEXTS);
  pushCjson(lua, state);
  lua.setField(state, -2, 'cjson');
  addTable(
    lua,
    state,
    'redis',
    redisFunctions,
    { REDIS_VERSION: VERSION },
    {
      ...LOG_CONSTANTS,
      ...REPLICATION_CONSTANTS,
      REDIS_VERSION_NUM: VERSION_NUMBER,
    },
  );
  for (const name of TABLES) {
    lua.getField(state, -1, name);
    protect(lua, state, refuseChange);
    lua.setField(state, -2, name);
  }
  // Methods of strings are looked up in what scripts know as `string`.
  lua.pushString(state, '');
  api.lua_getmetatable(state, -1);
  lua.getField(state, PLACE.globals, 'string');
  lua.setField(state, -2, '__index');
  api.lua_settop(state, PLACE.globals);
  refuseMissingFields(lua, state);
  api.lua_pushvalue(state, PLACE.globals);
  protect(lua, state, refuseChange);
  api.lua_pushvalue(state, -1);
  lua.setField(state, PLACE.globals, '_G');
  setShownMetatables(lua, state, refuseChange);
  api.lua_replace(state, INDEX.globals);
}

/** `redis` with next to nothing in it, and nothing else. */
function buildLoadGlobals(lua: Lua, state: State): void {
  const { api } = lua;
  api.lua_createtable(state, 0, 0);
  addTable(
    lua,
    state,
    'redis',
    { log: loadFunctions.log },
    { REDIS_VERSION: VERSION },
    {
      ...LOG_CONSTANTS,
      REDIS_VERSION_NUM: VERSION_NUMBER,
    },
  );
  lua.getField(state, -1, 'redis');
  // The table that will be in `PLACE.functions`; it is made here, as the upvalue of the function that fills it.
  api.lua_createtable(state, 0, 0);
  api.lua_pushvalue(state, -1);
  lua.pushHost(state, loadFunctions.register_function, 1);
  lua.setField(state, -3, 'register_function');
  api.lua_insert(state, PLACE.loadGlobals);
  refuseMissingFields(lua, state);
  protect(lua, state, refuseChange);
  lua.setField(state, -2, 'redis');
  refuseMissingFields(lua, state);
  // Under the table of functions, which was put below for a while.
  api.lua_insert(state, PLACE.loadGlobals);
}

/** Of the table on top. */
function refuseMissingFields(lua: Lua, state: State): void {
  lua.api.lua_createtable(state, 0, 1);
  lua.pushHost(state, refuseMissing);
  lua.setField(state, -2, '__index');
  lua.api.lua_setmetatable(state, -2);
}

/** Puts functions in the place of those of the same name in the table on top. */
function replace(lua: Lua, state: State, functions: Readonly<Record<string, HostFunction>>): void {
  for (const [name, host] of Object.entries(functions)) {
    lua.getField(state, -1, name);
    lua.keepOwn(state, -1, name);
    lua.api.lua_settop(state, -2);
    // `pairs` hands out `next`, the original.
    if (name === 'pairs') lua.pushOwn(state, 'next');
    lua.pushHost(state, host, name === 'pairs' ? 1 : 0);
    lua.setField(state, -2, name);
  }
}

/** Adds functions to the table on top. */
function setFunctions(lua: Lua, state: State, functions: Readonly<Record<string, HostFunction>>): void {
  for (const [name, host] of Object.entries(functions)) {
    lua.pushHost(state, host);
    lua.setField(state, -2, name);
  }
}

/** Adds a library to the table on top. */
function addTable(
  lua: Lua,
  state: State,
  name: string,
  functions: Readonly<Record<string, HostFunction>>,
  texts: Readonly<Record<string, string>> = {},
  numbers: Readonly<Record<string, number>> = {},
): void {
  lua.api.lua_createtable(state, 0, 0);
  setFunctions(lua, state, functions);
  for (const [field, text] of Object.entries(texts)) {
    lua.pushString(state, text);
    lua.setField(state, -2, field);
  }
  for (const [field, number] of Object.entries(numbers)) {
    lua.pushNumber(state, number);
    lua.setField(state, -2, field);
  }
  lua.setField(state, -2, name);
}

/** Pushes a `cjson` with settings of its own. */
function pushCjson(lua: Lua, state: State): void {
  const { api } = lua;
  api.lua_createtable(state, 0, 0);
  pushConfig(lua, state);
  for (const [name, host] of Object.entries(cjsonFunctions)) {
    api.lua_pushvalue(state, -1);
    lua.pushHost(state, host, 1);
    lua.setField(state, -3, name);
  }
  api.lua_settop(state, -2);
  api.lua_pushlightuserdata(state, 0);
  lua.setField(state, -2, 'null');
  for (const [field, text] of Object.entries({ _NAME: 'cjson', _VERSION: '2.1.0' })) {
    lua.pushString(state, text);
    lua.setField(state, -2, field);
  }
}
