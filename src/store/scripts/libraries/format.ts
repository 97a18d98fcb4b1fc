/**
 * `string.format` with whole numbers of 64 bits. The interpreter's own has 32 where it is compiled for WebAssembly, and a
 * time in milliseconds does not fit into them; it is asked for numbers with a point.
 */
import type { HostFunction, Lua, State } from '../lua.ts';
import { toInt64 } from '../numbers.ts';

/** Flags, width, precision: as many of each as the original takes. */
const SPECIFICATION = /(?<flags>[-+ #0]*)(?<width>\d{0,2})(?:(?<point>\.)(?<precision>\d{0,2}))?/y;
const FLAGS_MAX = 5;
const ITEM_STEPS = 250;
/** A string from this length on is taken as it is, without width, when no precision is given. */
const LONG_STRING = 100;

interface Specification {
  readonly text: string;
  readonly flags: string;
  readonly width: number;
  /** -1 for none. */
  readonly precision: number;
}

function readSpecification(lua: Lua, state: State, format: string, at: number): Specification {
  SPECIFICATION.lastIndex = at;
  const match = SPECIFICATION.exec(format);
  const { flags = '', width = '', point, precision = '' } = match?.groups ?? {};
  const text = match?.[0] ?? '';
  if (flags.length > FLAGS_MAX) lua.fail(state, 'invalid format (repeated flags)');
  if (/\d/.test(format[at + text.length] ?? ''))
    lua.fail(state, 'invalid format (width or precision too long)');
  return { text, flags, width: Number(width), precision: point === undefined ? -1 : Number(precision) };
}

function padded(text: string, { flags, width }: Specification): string {
  return flags.includes('-') ? text.padEnd(width) : text.padStart(width);
}

/** A whole number as C prints it. `digits`: without a sign. */
function integer(digits: string, sign: string, specification: Specification): string {
  const { flags, width, precision } = specification;
  if (precision >= 0) {
    const shown = precision === 0 && digits === '0' ? '' : digits.padStart(precision, '0');
    return padded(sign + shown, specification);
  }
  if (flags.includes('0') && !flags.includes('-'))
    return sign + digits.padStart(Math.max(0, width - sign.length), '0');
  return padded(sign + digits, specification);
}

function signed(value: number, specification: Specification): string {
  const whole = toInt64(value);
  const { flags } = specification;
  let sign = '';
  if (whole < 0) sign = '-';
  else if (flags.includes('+')) sign = '+';
  else if (flags.includes(' ')) sign = ' ';
  return integer(String(whole).replace('-', ''), sign, specification);
}

function unsigned(value: number, conversion: string, specification: Specification): string {
  const large = value >= 2 ** 63;
  const whole = large ? (value < 2 ** 64 ? BigInt(value) : 0n) : BigInt.asUintN(64, BigInt(toInt64(value)));
  if (conversion === 'u') return integer(String(whole), '', specification);
  const marked = specification.flags.includes('#');
  if (conversion === 'o') {
    const digits = whole.toString(8);
    return integer(marked && whole !== 0n ? `0${digits}` : digits, '', specification);
  }
  const text = integer(whole.toString(16), marked && whole !== 0n ? '0x' : '', specification);
  return conversion === 'X' ? text.toUpperCase() : text;
}

/** As Lua reads it back. */
function quoted(text: string): string {
  const escaped = text.replaceAll(/["\\\n\r\0]/g, (character) => {
    if (character === '\r') return '\\r';
    return character === '\0' ? '\\000' : `\\${character}`;
  });
  return `"${escaped}"`;
}

function throughC(lua: Lua, state: State, text: string, arg: number): string {
  const { api } = lua;
  api.luaL_checknumber(state, arg);
  lua.checkStack(state, 3, 'format');
  lua.pushOwn(state, 'format');
  lua.pushString(state, text);
  api.lua_pushvalue(state, arg);
  api.lua_call(state, 2, 1);
  const result = lua.string(state, -1);
  api.lua_settop(state, -2);
  return result;
}

function string(text: string, specification: Specification): string {
  if (specification.precision < 0 && text.length >= LONG_STRING) return text;
  // The original hands it to C, where a zero ends a string.
  const end = text.indexOf('\0');
  const whole = end === -1 ? text : text.slice(0, end);
  const { precision } = specification;
  return padded(precision < 0 ? whole : whole.slice(0, precision), specification);
}

export const format: HostFunction = (lua, state) => {
  const { api } = lua;
  const args = api.lua_gettop(state);
  const text = lua.checkString(state, 1);
  let result = '';
  let arg = 1;
  for (let at = 0; at < text.length; ) {
    const percent = text.indexOf('%', at);
    const end = percent === -1 ? text.length : percent;
    result += text.slice(at, end);
    lua.charge(ITEM_STEPS + ((end - at) >> 4));
    lua.hold(result.length);
    at = end + 1;
    if (percent === -1) break;
    if (text[at] === '%') {
      result += '%';
      at++;
      continue;
    }
    if (++arg > args) lua.failArgument(state, arg, 'no value');
    const specification = readSpecification(lua, state, text, at);
    at += specification.text.length;
    const conversion = text[at++] ?? '';
    switch (conversion) {
      case 'c': {
        const code = Number(toInt64(api.luaL_checknumber(state, arg))) & 0xff;
        const shown = padded(String.fromCharCode(code), specification);
        // Again C: what comes behind a zero is lost.
        result += code === 0 ? shown.slice(0, shown.indexOf('\0')) : shown;
        break;
      }
      case 'd':
      case 'i':
        result += signed(api.luaL_checknumber(state, arg), specification);
        break;
      case 'o':
      case 'u':
      case 'x':
      case 'X':
        result += unsigned(api.luaL_checknumber(state, arg), conversion, specification);
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'g':
      case 'G':
        result += throughC(lua, state, `%${specification.text}${conversion}`, arg);
        break;
      case 'q': {
        const value = lua.checkString(state, arg);
        lua.charge(value.length >> 2);
        result += quoted(value);
        break;
      }
      case 's': {
        const value = lua.checkString(state, arg);
        lua.charge(value.length >> 4);
        result += string(value, specification);
        break;
      }
      default:
        lua.fail(state, `invalid option '%${conversion === '\0' ? '' : conversion}' to 'format'`);
    }
  }
  lua.pushString(state, result);
  return 1;
};
