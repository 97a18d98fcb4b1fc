/** `cjson.decode`, as Mark Pulford's lua-cjson 2.1.0 does it. */
import type { HostFunction, Lua, State } from '../lua.ts';
import { readNumber } from '../numbers.ts';
import { readConfig, type CjsonConfig } from './cjson-config.ts';

/** The names that the original's messages have. */
type TokenType =
  | 'T_OBJ_BEGIN'
  | 'T_OBJ_END'
  | 'T_ARR_BEGIN'
  | 'T_ARR_END'
  | 'T_STRING'
  | 'T_NUMBER'
  | 'T_BOOLEAN'
  | 'T_NULL'
  | 'T_COLON'
  | 'T_COMMA'
  | 'T_END';

type Token = TokenType | 'T_ERROR';

const MARKS: Readonly<Record<string, TokenType>> = {
  '{': 'T_OBJ_BEGIN',
  '}': 'T_OBJ_END',
  '[': 'T_ARR_BEGIN',
  ']': 'T_ARR_END',
  ',': 'T_COMMA',
  ':': 'T_COLON',
};
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  t: '\t',
  n: '\n',
  f: '\f',
  r: '\r',
};
const TOKEN_STEPS = 80;
/** Characters of a string up to the next one that means something. */
const PLAIN = /[^"\\\0]*/y;
const HEX4 = /[\da-f]{4}/iy;
const INVALID_NUMBER = /\+|-?0x|-?0\d|-?inf|-?nan/iy;
/** Where a number, `inf` or `nan` may begin: other letters are no token at all. */
const NUMBER_START = /[-+\din]/i;

/** An array or an object that is open. */
interface Open {
  readonly object: boolean;
  index: number;
}

class Decoder {
  readonly #lua: Lua;
  readonly #state: State;
  readonly #text: string;
  readonly #config: CjsonConfig;
  #at = 0;
  /** Where the token begins, or an error in it. */
  #tokenAt = 0;
  #type: Token = 'T_END';
  /** Of a string; of an error. */
  #string = '';
  #number = 0;
  #negative = false;
  #boolean = false;

  constructor(lua: Lua, state: State, text: string) {
    this.#lua = lua;
    this.#state = state;
    this.#text = text;
    this.#config = readConfig(lua, state);
  }

  /** Pushes the value. Not recursive: how deep a text goes is up to whoever wrote it. */
  decode(): void {
    const { api } = this.#lua;
    const state = this.#state;
    const open: Open[] = [];
    let type = this.#next();
    for (;;) {
      // A value begins here.
      if (type === 'T_OBJ_BEGIN' || type === 'T_ARR_BEGIN') {
        const object = type === 'T_OBJ_BEGIN';
        this.#descend(open.length + 1, object ? 3 : 2);
        api.lua_createtable(state, 0, 0);
        type = this.#next();
        if (type !== (object ? 'T_OBJ_END' : 'T_ARR_END')) {
          open.push({ object, index: 0 });
          if (object) type = this.#key(type);
          continue;
        }
      } else this.#pushScalar();
      // A value is complete: what it belongs to takes it.
      let inner = open.at(-1);
      while (inner !== undefined) {
        if (inner.object) api.lua_rawset(state, -3);
        else api.lua_rawseti(state, -2, ++inner.index);
        type = this.#next();
        if (type === 'T_COMMA') break;
        if (type !== (inner.object ? 'T_OBJ_END' : 'T_ARR_END'))
          this.#fail(inner.object ? 'comma or object end' : 'comma or array end');
        open.pop();
        inner = open.at(-1);
      }
      type = this.#next();
      if (inner === undefined) break;
      if (inner.object) type = this.#key(type);
    }
    if (type !== 'T_END') this.#fail('the end');
  }

  /** Pushes the key, which is a token of that type, and goes on to the token with which its value begins. */
  #key(type: Token): Token {
    if (type !== 'T_STRING') this.#fail('object key string');
    this.#lua.pushString(this.#state, this.#string);
    if (this.#next() !== 'T_COLON') this.#fail('colon');
    return this.#next();
  }

  #pushScalar(): void {
    const { api } = this.#lua;
    const state = this.#state;
    switch (this.#type) {
      case 'T_STRING':
        this.#lua.pushString(state, this.#string);
        return;
      case 'T_NUMBER':
        this.#lua.pushNumber(state, this.#number, this.#negative);
        return;
      case 'T_BOOLEAN':
        api.lua_pushboolean(state, this.#boolean ? 1 : 0);
        return;
      case 'T_NULL':
        api.lua_pushlightuserdata(state, 0);
        return;
      default:
        this.#fail('value');
    }
  }

  #descend(depth: number, slots: number): void {
    if (depth <= this.#config.decodeMaxDepth && this.#lua.api.lua_checkstack(this.#state, slots) !== 0)
      return;
    this.#lua.fail(this.#state, `Found too many nested data structures (${depth}) at character ${this.#at}`);
  }

  #fail(expected: string): never {
    const found = this.#type === 'T_ERROR' ? this.#string : this.#type;
    return this.#lua.fail(
      this.#state,
      `Expected ${expected} but found ${found} at character ${this.#tokenAt + 1}`,
    );
  }

  #error(what: string): void {
    this.#type = 'T_ERROR';
    this.#tokenAt = this.#at;
    this.#string = what;
  }

  #next(): Token {
    this.#lua.charge(TOKEN_STEPS);
    this.#read();
    return this.#type;
  }

  #read(): void {
    const text = this.#text;
    let character = text[this.#at] ?? '\0';
    while (character === ' ' || character === '\t' || character === '\n' || character === '\r')
      character = text[++this.#at] ?? '\0';
    this.#tokenAt = this.#at;
    if (character === '\0') {
      this.#type = 'T_END';
      return;
    }
    const mark = MARKS[character];
    if (mark !== undefined) {
      this.#type = mark;
      this.#at++;
    } else if (character === '"') this.#readString();
    else if (text.startsWith('true', this.#at)) this.#readBoolean(true, 4);
    else if (text.startsWith('false', this.#at)) this.#readBoolean(false, 5);
    else if (text.startsWith('null', this.#at)) {
      this.#type = 'T_NULL';
      this.#at += 4;
    } else if (NUMBER_START.test(character)) this.#readNumber(character);
    else this.#error('invalid token');
  }

  #readBoolean(value: boolean, length: number): void {
    this.#type = 'T_BOOLEAN';
    this.#boolean = value;
    this.#at += length;
  }

  #readNumber(character: string): void {
    INVALID_NUMBER.lastIndex = this.#at;
    const invalid = INVALID_NUMBER.test(this.#text);
    const ordinary = character === '-' || (character >= '0' && character <= '9');
    if (ordinary && invalid && !this.#config.decodeInvalidNumbers) return this.#error('invalid number');
    if (!ordinary && !(invalid && this.#config.decodeInvalidNumbers)) return this.#error('invalid token');
    const number = readNumber(this.#text, this.#at);
    if (number === null) return this.#error('invalid number');
    this.#type = 'T_NUMBER';
    this.#number = number.value;
    this.#negative = number.negative;
    this.#at = number.end;
  }

  #readString(): void {
    const text = this.#text;
    let value = '';
    this.#at++;
    for (;;) {
      PLAIN.lastIndex = this.#at;
      PLAIN.test(text);
      value += text.slice(this.#at, PLAIN.lastIndex);
      this.#lua.charge(1 + ((PLAIN.lastIndex - this.#at) >> 4));
      this.#at = PLAIN.lastIndex;
      const character = text[this.#at] ?? '\0';
      if (character === '"') break;
      if (character === '\0') return this.#error('unexpected end of string');
      const escape = text[this.#at + 1] ?? '\0';
      if (escape === 'u') {
        const unescaped = this.#unicode();
        if (unescaped === null) return this.#error('invalid unicode escape code');
        value += unescaped;
        continue;
      }
      const unescaped = ESCAPES[escape];
      if (unescaped === undefined) return this.#error('invalid escape code');
      value += unescaped;
      this.#at += 2;
    }
    this.#at++;
    this.#type = 'T_STRING';
    this.#string = value;
  }

  /** The UTF-8 bytes of the escape here, and goes on behind it; null where it is none. */
  #unicode(): string | null {
    let code = this.#hex(this.#at + 2);
    let length = 6;
    if (code === null) return null;
    if ((code & 0xf800) === 0xd800) {
      if ((code & 0x400) !== 0) return null;
      if (!this.#text.startsWith('\\u', this.#at + length)) return null;
      const low = this.#hex(this.#at + length + 2);
      if (low === null || (low & 0xfc00) !== 0xdc00) return null;
      code = (((code & 0x3ff) << 10) | (low & 0x3ff)) + 0x1_0000;
      length = 12;
    }
    this.#at += length;
    return Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1');
  }

  #hex(at: number): number | null {
    HEX4.lastIndex = at;
    return HEX4.test(this.#text) ? Number.parseInt(this.#text.slice(at, at + 4), 16) : null;
  }
}

export const decode: HostFunction = (lua, state) => {
  if (lua.api.lua_gettop(state) !== 1) lua.failArgument(state, 1, 'expected 1 argument');
  const text = lua.checkString(state, 1);
  if (text.length >= 2 && (text[0] === '\0' || text[1] === '\0'))
    lua.fail(state, 'JSON parser does not support UTF-16 or UTF-32');
  new Decoder(lua, state, text).decode();
  return 1;
};
