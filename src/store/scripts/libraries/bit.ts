/** `bit`: operations on 32 bits, as Mike Pall's BitOp has them. */
import type { HostFunction, Lua, State } from '../lua.ts';

/** Added to a number it moves its low 32 bits to the end of the mantissa: 2^52 + 2^51. */
const SHIFTER = 6755399441055744;

const double = new Float64Array(1);
const words = new Int32Array(double.buffer);

function bits(lua: Lua, state: State, arg: number): number {
  const value = lua.api.lua_tonumber(state, arg);
  double[0] = value + SHIFTER;
  const result = Number.isNaN(value) ? 0 : (words[0] ?? 0);
  if (result === 0 && lua.api.lua_isnumber(state, arg) === 0) lua.failType(state, arg, 'number');
  return result;
}

function one(operation: (value: number) => number): HostFunction {
  return (lua, state) => {
    lua.api.lua_pushnumber(state, operation(bits(lua, state, 1)) | 0);
    return 1;
  };
}

/** Of as many arguments as there are. */
function all(operation: (left: number, right: number) => number): HostFunction {
  return (lua, state) => {
    let result = bits(lua, state, 1);
    for (let arg = lua.api.lua_gettop(state); arg > 1; arg--)
      result = operation(result, bits(lua, state, arg));
    lua.api.lua_pushnumber(state, result | 0);
    return 1;
  };
}

function shift(operation: (value: number, count: number) => number): HostFunction {
  return (lua, state) => {
    const value = bits(lua, state, 1);
    lua.api.lua_pushnumber(state, operation(value, bits(lua, state, 2) & 31) | 0);
    return 1;
  };
}

const tohex: HostFunction = (lua, state) => {
  const value = bits(lua, state, 1);
  const wanted = lua.api.lua_gettop(state) < 2 ? 8 : bits(lua, state, 2);
  const digits = Math.min(8, Math.abs(wanted));
  const text = (value >>> 0)
    .toString(16)
    .padStart(8, '0')
    .slice(8 - digits);
  lua.pushString(state, wanted < 0 ? text.toUpperCase() : text);
  return 1;
};

export const bitLibrary: Readonly<Record<string, HostFunction>> = {
  tobit: one((value) => value),
  bnot: one((value) => ~value),
  band: all((left, right) => left & right),
  bor: all((left, right) => left | right),
  bxor: all((left, right) => left ^ right),
  lshift: shift((value, count) => value << count),
  rshift: shift((value, count) => value >>> count),
  arshift: shift((value, count) => value >> count),
  rol: shift((value, count) => (value << count) | (value >>> (32 - count))),
  ror: shift((value, count) => (value << (32 - count)) | (value >>> count)),
  bswap: one((value) => (value >>> 24) | ((value >>> 8) & 0xff00) | ((value & 0xff00) << 8) | (value << 24)),
  tohex,
};
