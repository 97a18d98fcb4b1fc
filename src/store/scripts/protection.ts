/**
 * Tables that a script can read and not change. Redis's Lua has a flag for that in each table; here the script gets an
 * empty table in front of the real one, whose metatable leads every access to it and every assignment to an error.
 *
 * ```
 *   script ──▶ { }  ── __index ──▶ the table     `next`, `pairs` and `rawget` look behind it;
 *                └──── __newindex ─▶ error       `rawset` and `setmetatable` refuse
 * ```
 *
 * The registry knows what is behind: `registry[front] = table`.
 */
import { INDEX, TYPE, type HostFunction, type Lua, type State } from './lua.ts';

/** In the registry: fronts of the metatables that `getmetatable` shows of the globals and of strings. */
const GLOBALS_METATABLE = 'kvorum.globals';
const STRING_METATABLE = 'kvorum.string';

/** Takes the table on top and leaves its front there. */
export function protect(lua: Lua, state: State, refuseChange: HostFunction): void {
  const { api } = lua;
  api.lua_createtable(state, 0, 0);
  api.lua_createtable(state, 0, 2);
  api.lua_pushvalue(state, -3);
  lua.setField(state, -2, '__index');
  lua.pushHost(state, refuseChange);
  lua.setField(state, -2, '__newindex');
  api.lua_setmetatable(state, -2);
  // registry[front] = table
  api.lua_pushvalue(state, -1);
  api.lua_pushvalue(state, -3);
  api.lua_rawset(state, INDEX.registry);
  api.lua_remove(state, -2);
  lua.fronts.add(api.lua_topointer(state, -1));
}

/** Whether the value is a front. */
export function isProtected(lua: Lua, state: State, index: number): boolean {
  const { api } = lua;
  // The addresses are those of the interpreter at rest, so nothing else can have one of them.
  return api.lua_type(state, index) === TYPE.table && lua.fronts.has(api.lua_topointer(state, index));
}

/** Pushes the table behind a front. */
export function backingOf(lua: Lua, state: State, index: number): void {
  lua.api.lua_pushvalue(state, index);
  lua.api.lua_rawget(state, INDEX.registry);
}

/** The fronts that `getmetatable` shows: of the globals, whose front is at the index, and of strings. */
export function setShownMetatables(lua: Lua, state: State, refuseChange: HostFunction): void {
  const { api } = lua;
  backingOf(lua, state, -1);
  api.lua_getmetatable(state, -1);
  protect(lua, state, refuseChange);
  lua.setField(state, INDEX.registry, GLOBALS_METATABLE);
  api.lua_settop(state, -2);
  lua.pushString(state, '');
  api.lua_getmetatable(state, -1);
  protect(lua, state, refuseChange);
  lua.setField(state, INDEX.registry, STRING_METATABLE);
  api.lua_settop(state, -2);
}

/** Pushes what `getmetatable` is to show in place of the truth; false where that may be shown. */
export function pushShownMetatable(lua: Lua, state: State, index: number): boolean {
  const { api } = lua;
  if (api.lua_type(state, index) === TYPE.string) {
    lua.getField(state, INDEX.registry, STRING_METATABLE);
    return true;
  }
  if (!isProtected(lua, state, index)) return false;
  api.lua_pushvalue(state, INDEX.globals);
  const globals = api.lua_topointer(state, -1) === api.lua_topointer(state, index);
  api.lua_settop(state, -2);
  if (globals) lua.getField(state, INDEX.registry, GLOBALS_METATABLE);
  else api.lua_pushnil(state);
  return true;
}
