/**
 * Lua's own functions that need something before them. Some would let a script see or change what the sandbox protects,
 * some count in 32 bits where Redis's Lua counts in 64, some could go deeper into the machine's stack than it is.
 */
import {
  ALL_RESULTS,
  type HostFunction,
  INDEX,
  type Lua,
  SCRIPT_MEMORY_MAX,
  ScriptStopped,
  type State,
  TYPE,
} from '../lua.ts';
import { backingOf, isProtected, pushShownMetatable } from '../protection.ts';
import { format } from './format.ts';

const READONLY = 'Attempt to modify a readonly table';
/** Items of a pattern that make its matching go a level deeper. */
const PATTERN_ITEMS_MAX = 200;
const PIECE_STEPS = 100;
const DEEPENING = /[()*+?-]/g;

/** As in Redis 7: what was raised as a table comes back as its message. */
const pcall: HostFunction = (lua, state) => {
  const { api } = lua;
  const args = api.lua_gettop(state);
  api.lua_pushboolean(state, 1);
  api.lua_insert(state, 1);
  if (api.lua_pcall(state, args - 1, ALL_RESULTS, 0) !== 0) {
    api.lua_remove(state, 1);
    if (api.lua_type(state, -1) === TYPE.table) {
      lua.getField(state, -1, 'err');
      if (api.lua_isstring(state, -1) !== 0) api.lua_replace(state, -2);
    }
    api.lua_pushboolean(state, 0);
    api.lua_insert(state, 1);
  }
  return api.lua_gettop(state);
};

const tostring: HostFunction = (lua, state) => {
  const { api } = lua;
  if (api.lua_type(state, 1) !== TYPE.lightUserdata) return lua.callOwn(state, 'tostring');
  // The only one is null, and how C prints that is up to its library.
  lua.pushString(state, 'userdata: (nil)');
  return 1;
};

const NUMERAL = /^[\t-\r ]*(?<sign>[+-]?)(?<prefix>0x)?(?<digits>[\da-z]+)[\t-\r ]*(?:\0.*)?$/is;

const PREFIX_ALONE = /^[\t-\r ]*[+-]?0x[\t-\r ]*$/i;

/** With a base: `strtoul` of 64 bits. */
const tonumber: HostFunction = (lua, state) => {
  const { api } = lua;
  const base = api.lua_gettop(state) < 2 ? 10 : Math.trunc(api.luaL_optinteger(state, 2, 10));
  if (base === 10) {
    // The interpreter's C library finds a number in it.
    if (api.lua_type(state, 1) === TYPE.string && PREFIX_ALONE.test(lua.string(state, 1)))
      api.lua_pushnil(state);
    else return lua.callOwn(state, 'tonumber');
    return 1;
  }
  const text = lua.checkString(state, 1);
  if (base < 2 || base > 36) lua.failArgument(state, 2, 'base out of range');
  const value = readUnsigned(text, base);
  if (value === null) api.lua_pushnil(state);
  else api.lua_pushnumber(state, Number(value));
  return 1;
};

function readUnsigned(text: string, base: number): bigint | null {
  const groups = NUMERAL.exec(text)?.groups;
  if (groups === undefined) return null;
  const { sign, prefix } = groups;
  let { digits = '' } = groups;
  // `0x` is a prefix in base 16 alone; elsewhere it is a zero and another digit.
  if (prefix !== undefined && base !== 16) digits = prefix + digits;
  let value = 0n;
  for (const digit of digits.toLowerCase()) {
    const worth = Number.parseInt(digit, 36);
    if (worth >= base) return null;
    value = value * BigInt(base) + BigInt(worth);
    if (value >= 2n ** 64n) value = 2n ** 64n;
  }
  if (value >= 2n ** 64n) return 2n ** 64n - 1n;
  return sign === '-' ? BigInt.asUintN(64, -value) : value;
}

const loadstring: HostFunction = (lua, state) => {
  const { api } = lua;
  const { first } = lua.stringFacts(state, 1);
  // Code that was compiled before: see `Lua.load`.
  if (first !== 0x1b) return lua.callOwn(state, 'loadstring');
  const code = lua.checkString(state, 1);
  const name = api.lua_isstring(state, 2) === 0 ? code : lua.string(state, 2);
  return loaded(lua, state, code, name);
};

/** All pieces at once: no script runs in the middle of a compilation. */
const load: HostFunction = (lua, state) => {
  const { api } = lua;
  api.luaL_checktype(state, 1, TYPE.function);
  const name = api.lua_isstring(state, 2) === 0 ? '=(load)' : lua.string(state, 2);
  const pieces: string[] = [];
  let length = 0;
  for (;;) {
    lua.checkStack(state, 3, 'too many nested functions');
    api.lua_pushvalue(state, 1);
    if (api.lua_pcall(state, 0, 1, 0) !== 0) break;
    const type = api.lua_type(state, -1);
    const piece = lua.string(state, -1);
    if (type !== TYPE.nil && api.lua_isstring(state, -1) === 0) {
      lua.pushString(state, 'reader function must return a string');
      break;
    }
    api.lua_settop(state, -2);
    lua.charge(PIECE_STEPS + (piece.length >> 4));
    if (piece === '') return loaded(lua, state, pieces.join(''), name);
    length += piece.length;
    lua.hold(length);
    pieces.push(piece);
  }
  api.lua_pushnil(state);
  api.lua_insert(state, -2);
  return 2;
};

function loaded(lua: Lua, state: State, code: string, name: string): number {
  if (lua.load(state, code, name)) return 1;
  lua.api.lua_pushnil(state);
  lua.api.lua_insert(state, -2);
  return 2;
}

/** A function that reads a table given first, and finds what stands behind a protected one. */
function seesThrough(name: string): HostFunction {
  return (lua, state) => {
    if (isProtected(lua, state, 1)) {
      backingOf(lua, state, 1);
      lua.api.lua_replace(state, 1);
    }
    return lua.callOwn(state, name);
  };
}

/** As `pairs` is made: `next`, the first upvalue, the table, nil. */
const pairs: HostFunction = (lua, state) => {
  const { api } = lua;
  api.luaL_checktype(state, 1, TYPE.table);
  api.lua_pushvalue(state, INDEX.firstUpvalue);
  if (isProtected(lua, state, 1)) backingOf(lua, state, 1);
  else api.lua_pushvalue(state, 1);
  api.lua_pushnil(state);
  return 3;
};

/** A function that changes a table given first. `valid`: whether it gets as far as that with its other arguments. */
function keepsOff(name: string, valid: (lua: Lua, state: State) => boolean): HostFunction {
  return (lua, state) => {
    if (!isProtected(lua, state, 1) || !valid(lua, state)) return lua.callOwn(state, name);
    lua.pushString(state, READONLY);
    return lua.raise(state);
  };
}

const getmetatable: HostFunction = (lua, state) =>
  pushShownMetatable(lua, state, 1) ? 1 : lua.callOwn(state, 'getmetatable');

const RANGE_31 = 2 ** 31;
const RANGE_63 = 2 ** 63;

/** Positions in a string have 32 bits here and 64 in Redis: what lies between the two is as far as one can go. */
function clampPosition({ api }: Lua, state: State, arg: number): void {
  if (api.lua_type(state, arg) !== TYPE.number) return;
  const position = api.lua_tonumber(state, arg);
  if (!(Math.abs(position) >= RANGE_31 && Math.abs(position) < RANGE_63)) return;
  api.lua_pushnumber(state, Math.sign(position) * (RANGE_31 - 1));
  api.lua_replace(state, arg);
}

function clamping(name: string): HostFunction {
  return (lua, state) => {
    clampPosition(lua, state, 2);
    clampPosition(lua, state, 3);
    return lua.callOwn(state, name);
  };
}

/** The original puts byte after byte. */
const rep: HostFunction = (lua, state) => {
  const text = lua.checkString(state, 1);
  const times = Math.trunc(lua.api.luaL_checknumber(state, 2));
  const length = times > 0 ? text.length * times : 0;
  if (length > SCRIPT_MEMORY_MAX) throw new ScriptStopped('memory');
  lua.charge(length / 16);
  lua.pushString(state, length === 0 ? '' : text.repeat(times));
  return 1;
};

/** A function of patterns. `plainArg`: where it is told that its pattern is none. */
function matching(name: string, plainArg: number | null): HostFunction {
  return (lua, state) => {
    const { api } = lua;
    clampPosition(lua, state, 3);
    if (api.lua_type(state, 2) !== TYPE.string || api.lua_objlen(state, 2) <= PATTERN_ITEMS_MAX)
      return lua.callOwn(state, name);
    const plain = plainArg !== null && api.lua_toboolean(state, plainArg) !== 0;
    const items = plain ? 0 : (lua.string(state, 2).match(DEEPENING)?.length ?? 0);
    if (items > PATTERN_ITEMS_MAX) lua.fail(state, 'pattern too complex');
    return lua.callOwn(state, name);
  };
}

/** `__newindex` of a protected table. */
export const refuseChange: HostFunction = (lua, state) => lua.fail(state, READONLY);

/** `__index` of tables in which nothing may be missing. */
export const refuseMissing: HostFunction = (lua, state) => {
  const { api } = lua;
  if (api.lua_gettop(state) !== 2) lua.fail(state, 'Wrong number of arguments to luaProtectedTableError');
  if (api.lua_isstring(state, -1) === 0)
    lua.fail(state, 'Second argument to luaProtectedTableError must be a string or number');
  const name = lua.string(state, -1);
  const end = name.indexOf('\0');
  return lua.fail(
    state,
    `Script attempted to access nonexistent global variable '${end === -1 ? name : name.slice(0, end)}'`,
  );
};

/** What takes the place of a function of the same name, in the globals or in a table there. */
export const replacements: Readonly<Record<'globals' | 'string', Readonly<Record<string, HostFunction>>>> = {
  globals: {
    pcall,
    tostring,
    tonumber,
    loadstring,
    load,
    next: seesThrough('next'),
    pairs,
    rawget: seesThrough('rawget'),
    rawset: keepsOff('rawset', (lua, state) => lua.api.lua_gettop(state) >= 3),
    setmetatable: keepsOff('setmetatable', ({ api }, state) =>
      [TYPE.nil, TYPE.table].some((type) => api.lua_type(state, 2) === type),
    ),
    getmetatable,
  },
  string: {
    format,
    sub: clamping('sub'),
    byte: clamping('byte'),
    rep,
    find: matching('find', 4),
    match: matching('match', null),
    gmatch: matching('gmatch', null),
    gfind: matching('gfind', null),
    gsub: matching('gsub', null),
  },
};
