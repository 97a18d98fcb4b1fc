/** `cjson.encode`, as Mark Pulford's lua-cjson 2.1.0 does it. */
import { TYPE, type HostFunction, type Lua, type State } from '../lua.ts';
import { formatG } from '../numbers.ts';
import { readConfig, type CjsonConfig } from './cjson-config.ts';

// oxlint-disable-next-line no-control-regex -- they are what has to be escaped.
const ESCAPED = /["\\/\u0000-\u001f\u007f]/g;
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
};
const TYPE_NAMES = [
  'nil',
  'boolean',
  'userdata',
  'number',
  'string',
  'table',
  'function',
  'userdata',
  'thread',
];
const VALUE_STEPS = 120;
const KEY_STEPS = 60;
const INT_MAX = 0x7fff_ffff;
const INT_MIN = -0x8000_0000;

function quoted(text: string): string {
  return `"${text.replace(
    ESCAPED,
    (character) => SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )}"`;
}

/** A table that is being written: an array up to `length`, or an object whose keys `lua_next` goes through. */
interface Open {
  readonly length: number;
  at: number;
}

class Encoder {
  readonly #lua: Lua;
  readonly #state: State;
  readonly #config: CjsonConfig;
  readonly #parts: string[] = [];
  #length = 0;

  constructor(lua: Lua, state: State) {
    this.#lua = lua;
    this.#state = state;
    this.#config = readConfig(lua, state);
  }

  /** The text of the value on top. Not recursive: tables may be nested deeper than JavaScript's stack reaches. */
  encode(): string {
    const { api } = this.#lua;
    const state = this.#state;
    const open: Open[] = [];
    let opened = this.#value(0);
    for (;;) {
      if (opened !== null) open.push(opened);
      // The value on top is written: whatever it belongs to goes on.
      let table = open.at(-1);
      while (table !== undefined) {
        if (opened === null) api.lua_settop(state, -2);
        opened = null;
        if (table.length >= 0) {
          if (table.at < table.length) {
            if (table.at++ > 0) this.#add(',');
            api.lua_rawgeti(state, -1, table.at);
            break;
          }
          this.#add(']');
        } else {
          if (api.lua_next(state, -2) !== 0) {
            if (table.at++ > 0) this.#add(',');
            this.#key();
            break;
          }
          this.#add('}');
        }
        open.pop();
        table = open.at(-1);
      }
      if (table === undefined) return this.#parts.join('');
      opened = this.#value(open.length);
    }
  }

  /** Writes the value on top, or its beginning: then it is a table which is opened, and with an object's first key before. */
  #value(depth: number): Open | null {
    const { api } = this.#lua;
    const state = this.#state;
    this.#lua.charge(VALUE_STEPS);
    const type = api.lua_type(state, -1);
    switch (type) {
      case TYPE.string:
        this.#string(-1);
        return null;
      case TYPE.number:
        this.#number(-1);
        return null;
      case TYPE.boolean:
        this.#add(api.lua_toboolean(state, -1) === 0 ? 'false' : 'true');
        return null;
      case TYPE.nil:
        this.#add('null');
        return null;
      case TYPE.table:
        return this.#table(depth + 1);
      case TYPE.lightUserdata:
        if (api.lua_touserdata(state, -1) === 0) {
          this.#add('null');
          return null;
        }
        return this.#refuse(-1, 'type not supported');
      default:
        return this.#refuse(-1, 'type not supported');
    }
  }

  #table(depth: number): Open {
    const { api } = this.#lua;
    if (depth > this.#config.encodeMaxDepth || api.lua_checkstack(this.#state, 3) === 0)
      this.#lua.fail(this.#state, `Cannot serialise, excessive nesting (${depth})`);
    const length = this.#arrayLength();
    if (length > 0) {
      this.#add('[');
      return { length, at: 0 };
    }
    this.#add('{');
    api.lua_pushnil(this.#state);
    return { length: -1, at: 0 };
  }

  /** The highest index of the table on top; -1 where it is an object. */
  #arrayLength(): number {
    const { api } = this.#lua;
    const state = this.#state;
    let highest = 0;
    let items = 0;
    api.lua_pushnil(state);
    while (api.lua_next(state, -2) !== 0) {
      this.#lua.charge(KEY_STEPS);
      const key = api.lua_type(state, -2) === TYPE.number ? api.lua_tonumber(state, -2) : 0;
      if (!Number.isInteger(key) || key < 1) {
        api.lua_settop(state, -3);
        return -1;
      }
      // As x86 makes an int of it.
      if (key > highest) highest = key > INT_MAX ? INT_MIN : key;
      items++;
      api.lua_settop(state, -2);
    }
    const { sparseRatio, sparseSafe, sparseConvert } = this.#config;
    if (sparseRatio > 0 && highest > items * sparseRatio && highest > sparseSafe) {
      if (!sparseConvert) this.#refuse(-1, 'excessively sparse array');
      return -1;
    }
    return highest;
  }

  /** Writes the key below the value on top. */
  #key(): void {
    const type = this.#lua.api.lua_type(this.#state, -2);
    if (type === TYPE.string) this.#string(-2);
    else if (type === TYPE.number) {
      this.#add('"');
      this.#number(-2);
      this.#add('"');
    } else this.#refuse(-2, 'table key must be a number or string');
    this.#add(':');
  }

  #string(index: number): void {
    this.#add(quoted(this.#lua.string(this.#state, index)));
  }

  #number(index: number): void {
    const value = this.#lua.api.lua_tonumber(this.#state, index);
    if (!Number.isFinite(value)) {
      if (this.#config.encodeInvalidNumbers === 'off') this.#refuse(index, 'must not be NaN or Inf');
      if (this.#config.encodeInvalidNumbers === 'null') return this.#add('null');
      if (Number.isNaN(value)) return this.#add('nan');
    }
    this.#add(formatG(value, this.#config.encodeNumberPrecision));
  }

  #add(text: string): void {
    this.#lua.charge(1 + (text.length >> 4));
    this.#length += text.length;
    this.#lua.hold(this.#length);
    this.#parts.push(text);
  }

  #refuse(index: number, reason: string): never {
    const type = TYPE_NAMES[this.#lua.api.lua_type(this.#state, index)] ?? 'nil';
    return this.#lua.fail(this.#state, `Cannot serialise ${type}: ${reason}`);
  }
}

export const encode: HostFunction = (lua, state) => {
  if (lua.api.lua_gettop(state) !== 1) lua.failArgument(state, 1, 'expected 1 argument');
  lua.pushString(state, new Encoder(lua, state).encode());
  return 1;
};
