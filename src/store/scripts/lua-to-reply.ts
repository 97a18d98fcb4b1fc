/** What a script returns, as the reply of its client. */
import { TYPE, type Lua, type State } from './lua.ts';
import { toInt64 } from './numbers.ts';
import { type Recording, WORD } from './recording.ts';

const WORD_STEPS = 100;
/** A Lua stack that is full at some depth of the result. */
const TOO_DEEP = 'ERR reached lua stack limit';
const FORMAT_CHARACTERS = 3;

/** A table that is being written down; on the stack are the table itself and, of maps and sets, the key that was last. */
interface Open {
  readonly kind: 'array' | 'map' | 'set';
  /** The recording's word that opens it. */
  readonly at: number;
  count: number;
  /** Of a map: a key was written and its value is on the stack. */
  keyed: boolean;
}

/** Writes the value on top down and takes it off. `protocol`: of the script, which decides what booleans are. */
export function recordResult(lua: Lua, state: State, reply: Recording, protocol: 2 | 3): void {
  const open: Open[] = [];
  const writer = new ResultWriter(lua, state, reply, protocol);
  // Not recursive: tables may be nested as deep as Lua's stack is long.
  let opened = writer.value();
  for (;;) {
    if (opened !== null) open.push(opened);
    const table = open.at(-1);
    if (table === undefined) return;
    if (writer.step(table)) {
      opened = writer.value();
      continue;
    }
    opened = null;
    reply.close(table.at, table.count);
    open.pop();
  }
}

class ResultWriter {
  readonly #lua: Lua;
  readonly #state: State;
  readonly #reply: Recording;
  readonly #protocol: 2 | 3;

  constructor(lua: Lua, state: State, reply: Recording, protocol: 2 | 3) {
    this.#lua = lua;
    this.#state = state;
    this.#reply = reply;
    this.#protocol = protocol;
  }

  /** Pushes the next value of the table; false, and the table is off the stack, when there is none. */
  step(table: Open): boolean {
    const { api } = this.#lua;
    const state = this.#state;
    switch (table.kind) {
      case 'array':
        api.lua_rawgeti(state, -1, table.count + 1);
        if (api.lua_type(state, -1) === TYPE.nil) {
          api.lua_settop(state, -3);
          return false;
        }
        table.count++;
        return true;
      case 'map':
        if (table.keyed) {
          // The key was written from a copy; its value is on top.
          table.keyed = false;
          return true;
        }
        if (api.lua_next(state, -2) === 0) {
          api.lua_settop(state, -3);
          return false;
        }
        table.count++;
        table.keyed = true;
        api.lua_pushvalue(state, -2);
        return true;
      case 'set':
        if (api.lua_next(state, -2) === 0) {
          api.lua_settop(state, -3);
          return false;
        }
        table.count++;
        api.lua_settop(state, -2);
        api.lua_pushvalue(state, -1);
        return true;
    }
  }

  /** Writes the value on top and takes it off, unless it is a table of values: that is opened. */
  value(): Open | null {
    const { api } = this.#lua;
    const state = this.#state;
    const reply = this.#reply;
    this.#lua.charge(WORD_STEPS);
    if (api.lua_checkstack(state, 4) === 0) reply.error(TOO_DEEP);
    else {
      switch (api.lua_type(state, -1)) {
        case TYPE.string: {
          const text = this.#lua.string(state, -1);
          this.#lua.charge(text.length >> 2);
          this.#lua.hold(reply.bytes + text.length);
          reply.bulk(text);
          break;
        }
        case TYPE.boolean: {
          const value = api.lua_toboolean(state, -1) !== 0;
          if (this.#protocol === 3) reply.boolean(value);
          else if (value) reply.integer(1);
          else reply.bulk(null);
          break;
        }
        case TYPE.number:
          reply.integer(toInt64(api.lua_tonumber(state, -1)));
          break;
        case TYPE.table: {
          const opened = this.#table();
          if (opened !== null) return opened;
          break;
        }
        default:
          reply.bulk(null);
      }
    }
    api.lua_settop(state, -2);
    return null;
  }

  /** The table on top: one of those that stand for another reply, or an array. */
  #table(): Open | null {
    const { api } = this.#lua;
    const state = this.#state;
    const reply = this.#reply;
    if (this.#field('err', TYPE.string)) {
      reply.error(errorLine(this.#takeText()));
      return null;
    }
    if (this.#field('ok', TYPE.string)) {
      reply.simple(line(this.#takeText()));
      return null;
    }
    if (this.#field('double', TYPE.number)) {
      reply.double(api.lua_tonumber(state, -1));
      api.lua_settop(state, -2);
      return null;
    }
    if (this.#field('big_number', TYPE.string)) {
      reply.bigNumber(line(this.#takeString()));
      return null;
    }
    if (this.#field('verbatim_string', TYPE.table)) {
      const written = this.#verbatim();
      api.lua_settop(state, -2);
      if (written) return null;
    }
    for (const kind of ['map', 'set'] as const) {
      if (!this.#field(kind, TYPE.table)) continue;
      api.lua_pushnil(state);
      return { kind, at: reply.open(WORD[kind]), count: 0, keyed: false };
    }
    return { kind: 'array', at: reply.open(WORD.array), count: 0, keyed: false };
  }

  /** Pushes the field if it has that type. */
  #field(name: string, type: number): boolean {
    this.#lua.rawGetField(this.#state, -1, name);
    if (this.#lua.api.lua_type(this.#state, -1) === type) return true;
    this.#lua.api.lua_settop(this.#state, -2);
    return false;
  }

  #verbatim(): boolean {
    const { api } = this.#lua;
    if (!this.#field('format', TYPE.string)) return false;
    const format = this.#takeText();
    if (!this.#field('string', TYPE.string)) return false;
    this.#reply.verbatim(
      format.slice(0, FORMAT_CHARACTERS).padEnd(FORMAT_CHARACTERS),
      this.#lua.string(this.#state, -1),
    );
    api.lua_settop(this.#state, -2);
    return true;
  }

  #takeString(): string {
    const text = this.#lua.string(this.#state, -1);
    this.#lua.api.lua_settop(this.#state, -2);
    return text;
  }

  /** As C sees it: up to a zero. */
  #takeText(): string {
    const text = this.#takeString();
    const end = text.indexOf('\0');
    return end === -1 ? text : text.slice(0, end);
  }
}

function line(text: string): string {
  return text.replaceAll(/[\r\n]/g, ' ');
}

/** A text as Redis makes an error's line of it. */
export function errorLine(text: string): string {
  return line(text.replace(/[\r\n]+$/, ''));
}
