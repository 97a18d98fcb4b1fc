/** `cmsgpack`: MessagePack, in the dialect of antirez's lua-cmsgpack 0.4.0. */
import { TYPE, type HostFunction, type Lua, type State } from '../lua.ts';

/** Tables below that many others become nil: what a table that holds itself ends with. */
const NESTING_MAX = 16;
const VALUE_STEPS = 120;
const KEY_STEPS = 60;
const INT_MAX = 0x7fff_ffff;
const INT_MIN = -0x8000_0000;
const RANGE_63 = 2 ** 63;
const NO_ROOM = 'too many return values at once; use unpack_one or unpack_limit instead.';

const scratch = Buffer.alloc(9);

// --- Packing -------------------------------------------------------------------------------------------------------

/** The head, then `size` bytes of the number with the big end first. */
function header(head: number, value: number | bigint, size: 1 | 2 | 4 | 8): string {
  scratch[0] = head;
  if (size === 8) scratch.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 1);
  else scratch.writeUIntBE(Number(value), 1, size);
  return scratch.latin1Slice(0, 1 + size);
}

function packedInteger(value: number | bigint): string {
  if (value >= 0) {
    if (value <= 0x7f) return String.fromCharCode(Number(value));
    if (value <= 0xff) return header(0xcc, value, 1);
    if (value <= 0xffff) return header(0xcd, value, 2);
    if (value <= 0xffff_ffff) return header(0xce, value, 4);
    return header(0xcf, value, 8);
  }
  if (value >= -32) return String.fromCharCode(0x100 + Number(value));
  if (value >= -0x80) return header(0xd0, Number(value) & 0xff, 1);
  if (value >= -0x8000) return header(0xd1, Number(value) & 0xffff, 2);
  if (value >= INT_MIN) return header(0xd2, Number(value) >>> 0, 4);
  return header(0xd3, value, 8);
}

function packedNumber(value: number): string {
  if (Number.isInteger(value) && value >= -RANGE_63 && value < RANGE_63)
    return packedInteger(Number.isSafeInteger(value) ? value : BigInt(value));
  const short = Math.fround(value) === value;
  scratch[0] = short ? 0xca : 0xcb;
  if (short) scratch.writeFloatBE(value, 1);
  else scratch.writeDoubleBE(value, 1);
  return scratch.latin1Slice(0, short ? 5 : 9);
}

function packedString(text: string): string {
  const { length } = text;
  if (length < 32) return String.fromCharCode(0xa0 | length) + text;
  if (length <= 0xff) return header(0xd9, length, 1) + text;
  if (length <= 0xffff) return header(0xda, length, 2) + text;
  return header(0xdb, length, 4) + text;
}

/** Packs the value on top and takes it off. */
function packValue(lua: Lua, state: State, level: number): string {
  const { api } = lua;
  const type = api.lua_type(state, -1);
  let packed = '\xc0';
  if (type === TYPE.string) packed = packedString(lua.string(state, -1));
  else if (type === TYPE.boolean) packed = api.lua_toboolean(state, -1) === 0 ? '\xc2' : '\xc3';
  else if (type === TYPE.number) {
    const value = api.lua_tonumber(state, -1);
    if (!Number.isNaN(value)) packed = packedNumber(value);
    else packed = `\xcb${lua.isNegativeNaN(state, -1) ? '\xff' : '\x7f'}\xf8\0\0\0\0\0\0`;
  }
  if (type === TYPE.table && level < NESTING_MAX) packed = packTable(lua, state, level);
  lua.charge(VALUE_STEPS + (packed.length >> 4));
  api.lua_settop(state, -2);
  return packed;
}

function packTable(lua: Lua, state: State, level: number): string {
  const { api } = lua;
  lua.checkStack(state, 3, 'in function table_is_an_array');
  const { keys, array } = countKeys(lua, state);
  const parts: string[] = [];
  if (array) {
    const length = api.lua_objlen(state, -1);
    parts.push(length <= 15 ? String.fromCharCode(0x90 | length) : longHead(0xdc, length));
    for (let at = 1; at <= length; at++) {
      api.lua_pushnumber(state, at);
      api.lua_gettable(state, -2);
      parts.push(packValue(lua, state, level + 1));
    }
    return joined(lua, parts);
  }
  parts.push(keys <= 15 ? String.fromCharCode(0x80 | keys) : longHead(0xde, keys));
  api.lua_pushnil(state);
  while (api.lua_next(state, -2) !== 0) {
    api.lua_pushvalue(state, -2);
    parts.push(packValue(lua, state, level + 1), packValue(lua, state, level + 1));
  }
  return joined(lua, parts);
}

function joined(lua: Lua, parts: readonly string[]): string {
  lua.hold(parts.reduce((sum, { length }) => sum + length, 0));
  return parts.join('');
}

function longHead(head: number, length: number): string {
  return length <= 0xffff ? header(head, length, 2) : header(head + 1, length, 4);
}

/** The number of keys of the table on top, and whether they are 1, 2, 3, … without a hole. */
function countKeys(lua: Lua, state: State): { readonly keys: number; readonly array: boolean } {
  const { api } = lua;
  let keys = 0;
  let highest = 0;
  let array = true;
  api.lua_pushnil(state);
  while (api.lua_next(state, -2) !== 0) {
    api.lua_settop(state, -2);
    keys++;
    lua.charge(KEY_STEPS);
    if (!array) continue;
    const key = api.lua_type(state, -1) === TYPE.number ? api.lua_tonumber(state, -1) : 0;
    array = key > 0 && key <= INT_MAX && Number.isInteger(key);
    highest = Math.max(highest, key);
  }
  return { keys, array: array && highest === keys };
}

const pack: HostFunction = (lua, state) => {
  const { api } = lua;
  const args = api.lua_gettop(state);
  if (args === 0) lua.failArgument(state, 0, 'MessagePack pack needs input.');
  if (api.lua_checkstack(state, args) === 0)
    lua.failArgument(state, 0, 'Too many arguments for MessagePack pack.');
  const parts: string[] = [];
  for (let arg = 1; arg <= args; arg++) {
    lua.checkStack(state, 1, 'in function mp_check');
    api.lua_pushvalue(state, arg);
    parts.push(packValue(lua, state, 0));
  }
  lua.pushString(state, joined(lua, parts));
  return 1;
};

// --- Unpacking -----------------------------------------------------------------------------------------------------

/** An array or a map whose elements are still to come. */
interface Open {
  readonly map: boolean;
  left: number;
  /** Of the next element of an array. */
  index: number;
  /** Of a map: a key is on the stack and its value comes next. */
  keyed: boolean;
}

class Unpacker {
  readonly #lua: Lua;
  readonly #state: State;
  readonly #data: Buffer;
  readonly #text: string;
  #at: number;

  constructor(lua: Lua, state: State, text: string, offset: number) {
    this.#lua = lua;
    this.#state = state;
    this.#text = text;
    this.#data = Buffer.from(text, 'latin1');
    this.#at = offset;
  }

  get at(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at >= this.#data.length;
  }

  /** Pushes the next value, whole. Not recursive: how deep a message goes is up to whoever made it. */
  next(): void {
    const { api } = this.#lua;
    const open: Open[] = [];
    for (;;) {
      const opened = this.#one();
      if (opened !== null) {
        api.lua_createtable(this.#state, 0, 0);
        if (!opened.map) this.#lua.checkStack(this.#state, 1, 'in function mp_decode_to_lua_array');
        open.push(opened);
      }
      // What is complete goes into what it belongs to, which may be complete by that.
      let complete = opened === null || opened.left === 0;
      if (complete && opened !== null) open.pop();
      for (let parent = open.at(-1); complete && parent !== undefined; parent = open.at(-1)) {
        complete = this.#put(parent);
        if (!complete) break;
        open.pop();
      }
      const parent = open.at(-1);
      if (parent === undefined) return;
      if (!parent.map) api.lua_pushnumber(this.#state, parent.index++);
    }
  }

  /** Puts the value on top into the table below it; true when that was the last. */
  #put(parent: Open): boolean {
    if (parent.map && !parent.keyed) {
      parent.keyed = true;
      return false;
    }
    this.#lua.api.lua_settable(this.#state, -3);
    parent.keyed = false;
    parent.left--;
    return parent.left === 0;
  }

  /** Pushes a value, or answers what is opened by it. */
  #one(): Open | null {
    const { api } = this.#lua;
    const state = this.#state;
    this.#need(1);
    this.#lua.charge(VALUE_STEPS);
    this.#lua.checkStack(state, 1, NO_ROOM);
    const head = this.#data[this.#at] ?? 0;
    if (head < 0x80 || head >= 0xe0) {
      api.lua_pushnumber(state, (head << 24) >> 24);
      this.#at++;
      return null;
    }
    if (head < 0x90) return this.#opens(true, 0, head & 0x0f);
    if (head < 0xa0) return this.#opens(false, 0, head & 0x0f);
    if (head < 0xc0) return this.#string(0, head & 0x1f);
    switch (head) {
      case 0xc0:
        api.lua_pushnil(state);
        this.#at++;
        return null;
      case 0xc2:
      case 0xc3:
        api.lua_pushboolean(state, head & 1);
        this.#at++;
        return null;
      case 0xca:
      case 0xcb: {
        const size = head === 0xca ? 4 : 8;
        this.#need(1 + size);
        const value =
          size === 4 ? this.#data.readFloatBE(this.#at + 1) : this.#data.readDoubleBE(this.#at + 1);
        this.#lua.pushNumber(state, value, ((this.#data[this.#at + 1] ?? 0) & 0x80) !== 0);
        this.#at += 1 + size;
        return null;
      }
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        this.#integer(head);
        return null;
      case 0xd9:
        return this.#string(1, this.#unsigned(1));
      case 0xda:
        return this.#string(2, this.#unsigned(2));
      case 0xdb:
        return this.#string(4, this.#unsigned(4));
      case 0xdc:
        return this.#opens(false, 2, this.#unsigned(2));
      case 0xdd:
        return this.#opens(false, 4, this.#unsigned(4));
      case 0xde:
        return this.#opens(true, 2, this.#unsigned(2));
      case 0xdf:
        return this.#opens(true, 4, this.#unsigned(4));
      default:
        return this.#lua.fail(state, 'Bad data format in input.');
    }
  }

  #integer(head: number): void {
    const size = 1 << (head & 3);
    this.#need(1 + size);
    const at = this.#at + 1;
    let value: number;
    // 64 bits without a sign go through a signed number in the original.
    if (size === 8) value = Number(this.#data.readBigInt64BE(at));
    else if (head < 0xd0) value = this.#data.readUIntBE(at, size);
    else value = this.#data.readIntBE(at, size);
    this.#lua.api.lua_pushnumber(this.#state, value);
    this.#at += 1 + size;
  }

  /** The number of `size` bytes behind the head. */
  #unsigned(size: number): number {
    this.#need(1 + size);
    return this.#data.readUIntBE(this.#at + 1, size);
  }

  #string(size: number, length: number): null {
    this.#need(1 + size + length);
    const start = this.#at + 1 + size;
    this.#lua.pushString(this.#state, this.#text.slice(start, start + length));
    this.#at = start + length;
    return null;
  }

  #opens(map: boolean, size: number, left: number): Open {
    this.#at += 1 + size;
    return { map, left, index: 1, keyed: false };
  }

  #need(bytes: number): void {
    if (this.#at + bytes > this.#data.length) this.#lua.fail(this.#state, 'Missing bytes in input.');
  }
}

function unpackFrom(lua: Lua, state: State, limit: number, offset: number): number {
  const { api } = lua;
  const text = lua.checkString(state, 1);
  if (offset < 0 || limit < 0)
    // The original's message has the length in place of the limit.
    lua.fail(state, `Invalid request to unpack with offset of ${offset} and limit of ${text.length}.`);
  if (offset > text.length)
    lua.fail(state, `Start offset ${offset} greater than input length ${text.length}.`);
  lua.charge(text.length >> 4);
  const all = limit === 0 && offset === 0;
  const unpacker = new Unpacker(lua, state, text, offset);
  let count = 0;
  for (; !unpacker.done && count < (all ? INT_MAX : limit); count++) unpacker.next();
  if (all) return count;
  lua.checkStack(state, 1, 'in function mp_unpack_full');
  api.lua_pushnumber(state, unpacker.done ? -1 : unpacker.at);
  api.lua_insert(state, 2);
  return count + 1;
}

const unpack: HostFunction = (lua, state) => unpackFrom(lua, state, 0, 0);

const unpackOne: HostFunction = (lua, state) => {
  const offset = lua.api.luaL_optinteger(state, 2, 0);
  lua.api.lua_settop(state, 1);
  return unpackFrom(lua, state, 1, offset);
};

const unpackLimit: HostFunction = (lua, state) => {
  const limit = lua.api.luaL_checkinteger(state, 2);
  const offset = lua.api.luaL_optinteger(state, 3, 0);
  lua.api.lua_settop(state, 1);
  return unpackFrom(lua, state, limit, offset);
};

export const cmsgpackLibrary: Readonly<Record<string, HostFunction>> = {
  pack,
  unpack,
  unpack_one: unpackOne,
  unpack_limit: unpackLimit,
};

export const CMSGPACK_TEXTS: Readonly<Record<string, string>> = {
  _NAME: 'cmsgpack',
  _VERSION: 'lua-cmsgpack 0.4.0',
  _COPYRIGHT: 'Copyright (C) 2012, Salvatore Sanfilippo',
  _DESCRIPTION: 'MessagePack C implementation for Lua',
};
