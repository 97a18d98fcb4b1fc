/** The reply of a command as a script sees it: what Redis makes of RESP2, or of RESP3 after `redis.setresp(3)`. */
import { doubleText } from '../double.ts';
import type { Lua, State } from './lua.ts';
import { type Recording, WORD } from './recording.ts';

/** Pushes one value. Replies are as deep as commands make them: a few levels. */
export function pushReply(lua: Lua, state: State, reply: Recording, protocol: 2 | 3): void {
  new Pusher(lua, state, reply, protocol).push();
}

class Pusher {
  readonly #lua: Lua;
  readonly #state: State;
  readonly #reply: Recording;
  readonly #protocol: 2 | 3;
  #at = 0;

  constructor(lua: Lua, state: State, reply: Recording, protocol: 2 | 3) {
    this.#lua = lua;
    this.#state = state;
    this.#reply = reply;
    this.#protocol = protocol;
  }

  push(): void {
    const { api } = this.#lua;
    const state = this.#state;
    const at = this.#at++;
    const word = this.#reply.words[at] ?? WORD.null;
    const value = this.#reply.values[at] ?? null;
    this.#lua.checkStack(state, 5, 'in a reply');
    switch (word) {
      case WORD.integer:
        // 64 bits become a double, as everything in Lua.
        api.lua_pushnumber(state, Number(value));
        return;
      case WORD.bulk:
        this.#lua.pushString(state, String(value));
        return;
      case WORD.simple:
        this.#wrapped('ok', String(value));
        return;
      case WORD.error:
        this.#wrapped('err', String(value));
        return;
      case WORD.null:
      case WORD.nullArray:
        if (this.#protocol === 3) api.lua_pushnil(state);
        else api.lua_pushboolean(state, 0);
        return;
      case WORD.boolean:
        if (this.#protocol === 3) api.lua_pushboolean(state, value === true ? 1 : 0);
        else api.lua_pushnumber(state, value === true ? 1 : 0);
        return;
      case WORD.double:
        this.#double(Number(value), this.#reply.digits.get(at));
        return;
      case WORD.bigNumber:
        if (this.#protocol === 3) this.#wrapped('big_number', String(value));
        else this.#lua.pushString(state, String(value));
        return;
      case WORD.verbatim:
        this.#verbatim(String(value));
        return;
      case WORD.array:
        this.#array(Number(value));
        return;
      case WORD.map:
        if (this.#protocol === 3) this.#map(Number(value));
        else this.#array(2 * Number(value));
        return;
      case WORD.set:
        if (this.#protocol === 3) this.#set(Number(value));
        else this.#array(Number(value));
        return;
      case WORD.pairs:
        if (this.#protocol === 3) this.#array(Number(value));
        else this.#flat(Number(value));
        return;
      case WORD.names:
        if (this.#protocol === 3) this.#map(Number(value));
        else this.#array(Number(value));
        return;
      case WORD.pair:
      case WORD.named:
        this.#array(2);
        return;
    }
  }

  #wrapped(field: string, text: string): void {
    this.#lua.api.lua_createtable(this.#state, 0, 0);
    this.#lua.pushString(this.#state, text);
    this.#lua.setField(this.#state, -2, field);
  }

  #double(value: number, digits: string | undefined): void {
    if (this.#protocol === 2) {
      this.#lua.pushString(this.#state, digits ?? doubleText(value));
      return;
    }
    this.#lua.api.lua_createtable(this.#state, 0, 0);
    this.#lua.pushNumber(this.#state, value, false);
    this.#lua.setField(this.#state, -2, 'double');
  }

  #verbatim(text: string): void {
    if (this.#protocol === 2) {
      this.#lua.pushString(this.#state, text.slice(4));
      return;
    }
    this.#lua.api.lua_createtable(this.#state, 0, 0);
    this.#lua.api.lua_createtable(this.#state, 0, 0);
    this.#lua.pushString(this.#state, text.slice(4));
    this.#lua.setField(this.#state, -2, 'string');
    this.#lua.pushString(this.#state, text.slice(0, 3));
    this.#lua.setField(this.#state, -2, 'format');
    this.#lua.setField(this.#state, -2, 'verbatim_string');
  }

  #array(length: number): void {
    this.#lua.api.lua_createtable(this.#state, 0, 0);
    for (let index = 1; index <= length; index++) {
      this.push();
      this.#lua.api.lua_rawseti(this.#state, -2, index);
    }
  }

  /** Pairs one after the other. */
  #flat(pairs: number): void {
    this.#lua.api.lua_createtable(this.#state, 0, 0);
    for (let pair = 0; pair < pairs; pair++) {
      this.#at++;
      for (let index = 1; index <= 2; index++) {
        this.push();
        this.#lua.api.lua_rawseti(this.#state, -2, 2 * pair + index);
      }
    }
  }

  /** `{map = {…}}`. */
  #map(pairs: number): void {
    const { api } = this.#lua;
    api.lua_createtable(this.#state, 0, 0);
    api.lua_createtable(this.#state, 0, 0);
    for (let pair = 0; pair < pairs; pair++) {
      if (this.#reply.words[this.#at] === WORD.named) this.#at++;
      this.push();
      this.push();
      api.lua_rawset(this.#state, -3);
    }
    this.#lua.setField(this.#state, -2, 'map');
  }

  /** `{set = {[member] = true}}`. */
  #set(members: number): void {
    const { api } = this.#lua;
    api.lua_createtable(this.#state, 0, 0);
    api.lua_createtable(this.#state, 0, 0);
    for (let member = 0; member < members; member++) {
      this.push();
      api.lua_pushboolean(this.#state, 1);
      api.lua_rawset(this.#state, -3);
    }
    this.#lua.setField(this.#state, -2, 'set');
  }
}
