/**
 * `struct`: values as bytes after a format, as Roberto Ierusalimschy's library lays them out on x86-64.
 *
 * ```
 * > < big, little endian   ! alignment   x padding   b B h H l L T i I integers, `in` of n bytes
 * cn n characters, c0 as many as the number before says   s characters and a zero   f d floats
 * ```
 */
import type { HostFunction, Lua, State } from '../lua.ts';

const INTEGER_BYTES_MAX = 32;
const INT_MAX = 0x7fff_ffff;
const ALIGNMENT_MAX = 8;
const ITEM_STEPS = 300;
const DIGIT = /\d/;
const ALPHANUMERIC = /[\da-z]/i;
const RANGE_63 = 2 ** 63;
const RANGE_64 = 2 ** 64;

/** The format while it is read. */
interface Format {
  readonly lua: Lua;
  readonly state: State;
  readonly text: string;
  at: number;
  little: boolean;
  alignment: number;
}

function formatOf(lua: Lua, state: State): Format {
  const text = lua.checkString(state, 1);
  const end = text.indexOf('\0');
  return { lua, state, text: end === -1 ? text : text.slice(0, end), at: 0, little: true, alignment: 1 };
}

function readCount(format: Format, preset: number): number {
  if (!DIGIT.test(format.text[format.at] ?? '')) return preset;
  let count = 0;
  for (; DIGIT.test(format.text[format.at] ?? ''); format.at++) {
    count = count * 10 + Number(format.text[format.at]);
    if (count > INT_MAX) format.lua.fail(format.state, 'integral size overflow');
  }
  return count;
}

/** The size of what the option stands for; 0 where it stands for nothing or nothing fixed. */
function sizeOf(format: Format, option: string): number {
  switch (option) {
    case 'B':
    case 'b':
    case 'x':
      return 1;
    case 'H':
    case 'h':
      return 2;
    case 'f':
      return 4;
    case 'L':
    case 'l':
    case 'T':
    case 'd':
      return 8;
    case 'c':
      return readCount(format, 1);
    case 'i':
    case 'I': {
      const size = readCount(format, 4);
      if (size > INTEGER_BYTES_MAX)
        format.lua.fail(format.state, `integral size ${size} is larger than limit of ${INTEGER_BYTES_MAX}`);
      return size;
    }
    default:
      return 0;
  }
}

/** Bytes of padding before the option at that position. */
function paddingOf(format: Format, position: number, option: string, size: number): number {
  if (size === 0 || option === 'c') return 0;
  const unit = Math.min(size, format.alignment);
  return (unit - (position & (unit - 1))) & (unit - 1);
}

function control(format: Format, option: string): void {
  switch (option) {
    case ' ':
      return;
    case '>':
    case '<':
      format.little = option === '<';
      return;
    case '!': {
      const alignment = readCount(format, ALIGNMENT_MAX);
      if (alignment <= 0 || (alignment & (alignment - 1)) !== 0)
        format.lua.fail(format.state, `alignment ${alignment} is not a power of 2`);
      format.alignment = alignment;
      return;
    }
    default:
      format.lua.failArgument(format.state, 1, `invalid format option '${option}'`);
  }
}

/** The 64 bits that x86 makes of a number. */
function toBits(value: number): bigint {
  if (value < 0) return value >= -RANGE_63 ? BigInt.asUintN(64, BigInt(Math.trunc(value))) : 1n << 63n;
  if (Number.isNaN(value)) return 1n << 63n;
  return value < RANGE_64 ? BigInt(Math.trunc(value)) : 0n;
}

function integerBytes(value: bigint, size: number, little: boolean): string {
  let text = '';
  for (let rest = value, left = size; left > 0; left--, rest >>= 8n) {
    const character = String.fromCharCode(Number(rest & 0xffn));
    text = little ? text + character : character + text;
  }
  return text;
}

const scratch = Buffer.alloc(8);

/** Byte 0 is that of the little end. */
function floatBytes(value: number, size: 4 | 8, little: boolean, negativeNaN: boolean): string {
  // Which NaN JavaScript writes is up to the machine.
  const top = negativeNaN ? 0xff : 0x7f;
  if (Number.isNaN(value)) scratch.set(size === 4 ? [0, 0, 0xc0, top] : [0, 0, 0, 0, 0, 0, 0xf8, top]);
  else if (size === 4) scratch.writeFloatLE(value);
  else scratch.writeDoubleLE(value);
  const bytes = scratch.subarray(0, size);
  return (little ? bytes : Buffer.from(bytes).reverse()).toString('latin1');
}

const pack: HostFunction = (lua, state) => {
  const format = formatOf(lua, state);
  let result = '';
  let arg = 2;
  // Where the arguments end there is a nil, as the original has there.
  lua.api.lua_pushnil(state);
  while (format.at < format.text.length) {
    const option = format.text[format.at++] ?? '';
    const size = sizeOf(format, option);
    result += '\0'.repeat(paddingOf(format, result.length, option, size));
    switch (option) {
      case 'b':
      case 'B':
      case 'h':
      case 'H':
      case 'l':
      case 'L':
      case 'T':
      case 'i':
      case 'I':
        result += integerBytes(toBits(lua.api.luaL_checknumber(state, arg++)), size, format.little);
        break;
      case 'x':
        result += '\0';
        break;
      case 'f':
      case 'd': {
        const value = lua.api.luaL_checknumber(state, arg);
        const negativeNaN = Number.isNaN(value) && lua.isNegativeNaN(state, arg);
        result += floatBytes(value, option === 'f' ? 4 : 8, format.little, negativeNaN);
        arg++;
        break;
      }
      case 'c':
      case 's': {
        const text = lua.checkString(state, arg++);
        const length = size === 0 ? text.length : size;
        if (text.length < length) lua.failArgument(state, arg, 'string too short');
        result += text.slice(0, length) + (option === 's' ? '\0' : '');
        lua.charge(length >> 4);
        break;
      }
      default:
        control(format, option);
    }
    lua.charge(ITEM_STEPS);
    lua.hold(result.length);
  }
  lua.pushString(state, result);
  return 1;
};

function readInteger(data: string, at: number, size: number, option: string, little: boolean): number {
  let value = 0n;
  for (let offset = 0; offset < size; offset++) {
    const byte = data.charCodeAt(little ? at + size - 1 - offset : at + offset);
    value = BigInt.asUintN(64, (value << 8n) | BigInt(byte));
  }
  if (option !== option.toLowerCase()) return Number(value);
  // x86 takes the distance of a shift modulo 64.
  const mask = BigInt.asUintN(64, (2n ** 64n - 1n) << BigInt((size * 8 - 1) & 63));
  return Number(BigInt.asIntN(64, (value & mask) === 0n ? value : value | mask));
}

function pushFloat(lua: Lua, state: State, bytes: string, little: boolean): void {
  scratch.write(bytes, 'latin1');
  const view = scratch.subarray(0, bytes.length);
  if (!little) view.reverse();
  const value = bytes.length === 4 ? view.readFloatLE() : view.readDoubleLE();
  lua.pushNumber(state, value, ((view[bytes.length - 1] ?? 0) & 0x80) !== 0);
}

const unpack: HostFunction = (lua, state) => {
  const { api } = lua;
  const format = formatOf(lua, state);
  const data = lua.checkString(state, 2);
  const start = api.luaL_optinteger(state, 3, 1);
  if (start === 0) lua.failArgument(state, 3, 'offset must be 1 or greater');
  let position = start - 1;
  let results = 0;
  const need = (size: number): void => {
    // Before the beginning is beyond the end, in the original's unsigned numbers.
    if (position < 0 || position + size > data.length) lua.failArgument(state, 2, 'data string too short');
  };
  api.lua_settop(state, 2);
  while (format.at < format.text.length) {
    const option = format.text[format.at++] ?? '';
    let size = sizeOf(format, option);
    if (size > data.length) lua.failArgument(state, 2, 'data string too short');
    position += paddingOf(format, position, option, size);
    need(size);
    lua.checkStack(state, 2, 'too many results');
    switch (option) {
      case 'b':
      case 'B':
      case 'h':
      case 'H':
      case 'l':
      case 'L':
      case 'T':
      case 'i':
      case 'I':
        api.lua_pushnumber(state, readInteger(data, position, size, option, format.little));
        results++;
        break;
      case 'x':
        break;
      case 'f':
      case 'd':
        pushFloat(lua, state, data.slice(position, position + size), format.little);
        results++;
        break;
      case 'c':
        if (size === 0) {
          if (results === 0 || api.lua_isnumber(state, -1) === 0)
            lua.fail(state, "format 'c0' needs a previous size");
          size = api.lua_tonumber(state, -1) >>> 0;
          api.lua_settop(state, -2);
          results--;
          need(size);
        }
        lua.pushString(state, data.slice(position, position + size));
        results++;
        break;
      case 's': {
        const end = data.indexOf('\0', position);
        if (end === -1) lua.fail(state, 'unfinished string in data');
        size = end - position + 1;
        lua.pushString(state, data.slice(position, end));
        results++;
        break;
      }
      default:
        control(format, option);
    }
    position += size;
    lua.charge(ITEM_STEPS + (size >> 4));
  }
  api.lua_pushnumber(state, position + 1);
  return results + 1;
};

const size: HostFunction = (lua, state) => {
  const format = formatOf(lua, state);
  let position = 0;
  while (format.at < format.text.length) {
    const option = format.text[format.at++] ?? '';
    const length = sizeOf(format, option);
    position += paddingOf(format, position, option, length);
    if (option === 's') lua.failArgument(state, 1, "option 's' has no fixed size");
    if (option === 'c' && length === 0) lua.failArgument(state, 1, "option 'c0' has no fixed size");
    if (!ALPHANUMERIC.test(option)) control(format, option);
    position += length;
  }
  lua.api.lua_pushnumber(state, position);
  return 1;
};

export const structLibrary: Readonly<Record<string, HostFunction>> = { pack, unpack, size };
