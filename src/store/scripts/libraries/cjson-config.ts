/**
 * The settings of a `cjson` table. They lie in a block of the interpreter's memory, the first upvalue of the table's
 * functions: so they are part of its images, and a script's settings end with the script.
 */
import { INDEX, TYPE, type HostFunction, type Lua, type State } from '../lua.ts';

const INVALID_NUMBERS = ['off', 'on', 'null'] as const;

export interface CjsonConfig {
  readonly sparseConvert: boolean;
  readonly sparseRatio: number;
  readonly sparseSafe: number;
  readonly encodeMaxDepth: number;
  readonly decodeMaxDepth: number;
  readonly encodeInvalidNumbers: (typeof INVALID_NUMBERS)[number];
  readonly decodeInvalidNumbers: boolean;
  readonly encodeNumberPrecision: number;
}

/** The words of the block, and what a new table begins with. */
const WORDS = {
  sparseConvert: 0,
  sparseRatio: 1,
  sparseSafe: 2,
  encodeMaxDepth: 3,
  decodeMaxDepth: 4,
  encodeInvalidNumbers: 5,
  decodeInvalidNumbers: 6,
  encodeNumberPrecision: 7,
  encodeKeepBuffer: 8,
} as const;
const PRESETS = [0, 2, 10, 1000, 1000, 0, 1, 14, 1];
type Setting = keyof typeof WORDS;

const INT_MAX = 0x7fff_ffff;

/** Pushes a block with the presets. */
export function pushConfig(lua: Lua, state: State): void {
  const block = lua.api.lua_newuserdata(state, 4 * PRESETS.length);
  for (const [word, preset] of PRESETS.entries()) lua.writeWord(block + 4 * word, preset);
}

function get(lua: Lua, block: number, setting: Setting): number {
  return lua.readWord(block + 4 * WORDS[setting]);
}

/** Those of the function that runs. */
export function readConfig(lua: Lua, state: State): CjsonConfig {
  const block = lua.api.lua_touserdata(state, INDEX.firstUpvalue);
  return {
    sparseConvert: get(lua, block, 'sparseConvert') !== 0,
    sparseRatio: get(lua, block, 'sparseRatio'),
    sparseSafe: get(lua, block, 'sparseSafe'),
    encodeMaxDepth: get(lua, block, 'encodeMaxDepth'),
    decodeMaxDepth: get(lua, block, 'decodeMaxDepth'),
    encodeInvalidNumbers: INVALID_NUMBERS[get(lua, block, 'encodeInvalidNumbers')] ?? 'off',
    decodeInvalidNumbers: get(lua, block, 'decodeInvalidNumbers') !== 0,
    encodeNumberPrecision: get(lua, block, 'encodeNumberPrecision'),
  };
}

/** Fills the arguments up with nil; answers the block. */
function begin(lua: Lua, state: State, args: number): number {
  const { api } = lua;
  if (api.lua_gettop(state) > args) lua.failArgument(state, args + 1, 'found too many arguments');
  api.lua_settop(state, args);
  return api.lua_touserdata(state, INDEX.firstUpvalue);
}

/** Takes a whole number, where there is one, and pushes the setting. */
function integer(
  lua: Lua,
  state: State,
  {
    arg,
    block,
    setting,
    min,
    max,
  }: { arg: number; block: number; setting: Setting; min: number; max: number },
): void {
  const { api } = lua;
  if (api.lua_type(state, arg) !== TYPE.nil) {
    const value = Math.trunc(api.luaL_checknumber(state, arg));
    // The original names the first argument, whichever it is.
    if (!(min <= value && value <= max))
      lua.failArgument(state, 1, `expected integer between ${min} and ${max}`);
    lua.writeWord(block + 4 * WORDS[setting], value);
  }
  api.lua_pushnumber(state, get(lua, block, setting));
}

/** Takes one of the options, or a boolean for the first two, and pushes the setting. */
function option(
  lua: Lua,
  state: State,
  {
    arg,
    block,
    setting,
    options,
  }: { arg: number; block: number; setting: Setting; options: readonly string[] },
): void {
  const { api } = lua;
  const type = api.lua_type(state, arg);
  if (type === TYPE.boolean) lua.writeWord(block + 4 * WORDS[setting], api.lua_toboolean(state, arg));
  else if (type !== TYPE.nil) {
    const name = lua.checkString(state, arg);
    const chosen = options.indexOf(name);
    if (chosen === -1) lua.failArgument(state, arg, `invalid option '${name}'`);
    lua.writeWord(block + 4 * WORDS[setting], chosen);
  }
  const value = get(lua, block, setting);
  if (value > 1) lua.pushString(state, options[value] ?? '');
  else api.lua_pushboolean(state, value);
}

const sparseArray: HostFunction = (lua, state) => {
  const block = begin(lua, state, 3);
  option(lua, state, { arg: 1, block, setting: 'sparseConvert', options: ['off', 'on'] });
  integer(lua, state, { arg: 2, block, setting: 'sparseRatio', min: 0, max: INT_MAX });
  integer(lua, state, { arg: 3, block, setting: 'sparseSafe', min: 0, max: INT_MAX });
  return 3;
};

function integerSetting(setting: Setting, max: number): HostFunction {
  return (lua, state) => {
    integer(lua, state, { arg: 1, block: begin(lua, state, 1), setting, min: 1, max });
    return 1;
  };
}

function optionSetting(setting: Setting, options: readonly string[]): HostFunction {
  return (lua, state) => {
    option(lua, state, { arg: 1, block: begin(lua, state, 1), setting, options });
    return 1;
  };
}

export const cjsonSettings: Readonly<Record<string, HostFunction>> = {
  encode_sparse_array: sparseArray,
  encode_max_depth: integerSetting('encodeMaxDepth', INT_MAX),
  decode_max_depth: integerSetting('decodeMaxDepth', INT_MAX),
  encode_number_precision: integerSetting('encodeNumberPrecision', 14),
  encode_keep_buffer: optionSetting('encodeKeepBuffer', ['off', 'on']),
  encode_invalid_numbers: optionSetting('encodeInvalidNumbers', INVALID_NUMBERS),
  decode_invalid_numbers: optionSetting('decodeInvalidNumbers', ['off', 'on']),
};
