/** `redis`: what scripts know of the server, and `math.random`. */
import { INDEX, TYPE, type HostFunction, type Lua, type State } from '../lua.ts';
import { formatG } from '../numbers.ts';
import { pushReply } from '../reply-to-lua.ts';
import { Recording, WORD } from '../recording.ts';
import { sha1 } from '../sha1.ts';
import { SCRIPT_FLAGS, type RegisteredFunction, type ScriptFlag, type ScriptHost } from '../host.ts';

/** To take an argument, to make a value of a reply; what a command itself costs is in `costs.ts`. */
const WORD_STEPS = 64;
const HASH_STEPS = 600;
const LOG_LEVEL_MAX = 3;
const REPLICATION_FLAGS_MAX = 3;
/** A name of a function or of a library. */
export const NAME: RegExp = /^\w+$/;
export const BAD_NAME =
  'Library names can only contain letters, numbers, or underscores(_) and must be at least one character long';

/** `{err = text}`. A text that begins with `-` brings its own code, any other one is an `ERR`. */
function pushError(lua: Lua, state: State, text: string): void {
  let message = `ERR ${trimmed(text)}`;
  if (text.startsWith('-')) {
    const blank = text.indexOf(' ');
    message =
      blank === -1
        ? `ERR ${trimmed(text.slice(1))}`
        : `${text.slice(1, blank)} ${trimmed(text.slice(blank + 1))}`;
  }
  lua.api.lua_createtable(state, 0, 0);
  lua.pushString(state, message);
  lua.setField(state, -2, 'err');
}

function trimmed(text: string): string {
  return text.replaceAll(/^[\r\n]+|[\r\n]+$/g, '');
}

/** The error of a command: the server's statistics have it already. */
function pushCommandError(lua: Lua, state: State, text: string): void {
  pushError(lua, state, text);
  lua.api.lua_pushboolean(state, 1);
  lua.setField(state, -2, 'ignore_error_stats_update');
}

function raiseError(lua: Lua, state: State, text: string): never {
  pushError(lua, state, text);
  return lua.raise(state);
}

/** The host of the script that runs. */
function hostOf(lua: Lua, state: State, who: string): ScriptHost {
  return lua.host ?? raiseError(lua, state, `${who} can only be called inside a script invocation`);
}

/** Takes all arguments off; null after an error is on the stack. */
function takeArguments(lua: Lua, state: State): string[] | null {
  const { api } = lua;
  const count = api.lua_gettop(state);
  if (count === 0) {
    pushError(lua, state, 'Please specify at least one argument for this redis lib call');
    return null;
  }
  const args: string[] = [];
  let bytes = 0;
  for (let index = 1; index <= count; index++) {
    const type = api.lua_type(state, index);
    if (type === TYPE.string) args.push(lua.string(state, index));
    else if (type === TYPE.number) args.push(numberText(lua, state, index));
    else {
      api.lua_settop(state, 0);
      pushError(lua, state, 'Lua redis lib command arguments must be strings or integers');
      return null;
    }
    const length = args.at(-1)?.length ?? 0;
    bytes += length;
    lua.hold(bytes);
    lua.charge(WORD_STEPS + (length >> 2));
  }
  api.lua_settop(state, 0);
  return args;
}

function numberText(lua: Lua, state: State, index: number): string {
  const value = lua.api.lua_tonumber(state, index);
  if (Number.isNaN(value)) return lua.isNegativeNaN(state, index) ? '-nan' : 'nan';
  return formatG(value, 17);
}

const reply = new Recording();

/** `raises`: whether an error of the command is raised or is the result. */
function command(raises: boolean): HostFunction {
  return (lua, state) => {
    const host = hostOf(lua, state, 'redis.call/pcall');
    const args = takeArguments(lua, state);
    if (args === null) return raises ? lua.raise(state) : 1;
    const refused = host.call(args, reply);
    lua.charge(host.callSteps);
    if (refused !== null) {
      pushCommandError(lua, state, refused);
      return raises ? lua.raise(state) : 1;
    }
    if (reply.words[0] === WORD.error) {
      pushCommandError(lua, state, `-${String(reply.values[0])}`);
      return raises ? lua.raise(state) : 1;
    }
    lua.charge(reply.words.length * WORD_STEPS + (reply.bytes >> 2));
    pushReply(lua, state, reply, host.protocol);
    return 1;
  };
}

const sha1hex: HostFunction = (lua, state) => {
  if (lua.api.lua_gettop(state) !== 1) raiseError(lua, state, 'wrong number of arguments');
  const text = lua.string(state, 1);
  lua.charge(HASH_STEPS + text.length);
  lua.pushString(state, sha1(text));
  return 1;
};

function oneString(lua: Lua, state: State): string | null {
  if (lua.api.lua_gettop(state) === 1 && lua.api.lua_type(state, 1) === TYPE.string)
    return lua.string(state, 1);
  pushError(lua, state, 'wrong number or type of arguments');
  return null;
}

const errorReply: HostFunction = (lua, state) => {
  // As C sees it: up to a zero.
  const text = oneString(lua, state)?.split('\0', 1)[0];
  if (text !== undefined) pushError(lua, state, text.startsWith('-') ? text : `-${text}`);
  return 1;
};

const statusReply: HostFunction = (lua, state) => {
  if (oneString(lua, state) === null) return 1;
  lua.api.lua_createtable(state, 0, 0);
  lua.api.lua_pushvalue(state, 1);
  lua.setField(state, -2, 'ok');
  return 1;
};

/** What is replicated is not a script's to decide here: the script itself is. */
const setRepl: HostFunction = (lua, state) => {
  if (lua.host === null)
    raiseError(lua, state, 'redis.set_repl can only be called inside a script invocation');
  if (lua.api.lua_gettop(state) !== 1) raiseError(lua, state, 'redis.set_repl() requires two arguments.');
  const flags = Math.trunc(lua.api.lua_tonumber(state, -1));
  if (flags < 0 || flags > REPLICATION_FLAGS_MAX)
    raiseError(lua, state, 'Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.');
  return 0;
};

const aclCheckCmd: HostFunction = (lua, state) => {
  const host = hostOf(lua, state, 'redis.acl_check_cmd');
  const args = takeArguments(lua, state);
  if (args === null) return lua.raise(state);
  if (!host.knows(args)) raiseError(lua, state, 'Invalid command passed to redis.acl_check_cmd()');
  lua.api.lua_pushboolean(state, host.permits(args) ? 1 : 0);
  return 1;
};

/** Takes what Redis takes. A node writes no log of its own for it: the script runs on all of them. */
const log: HostFunction = (lua, state) => {
  const { api } = lua;
  const count = api.lua_gettop(state);
  if (count < 2) raiseError(lua, state, 'redis.log() requires two arguments or more.');
  if (api.lua_isnumber(state, 1) === 0)
    raiseError(lua, state, 'First argument must be a number (log level).');
  const level = Math.trunc(api.lua_tonumber(state, 1));
  if (!(level >= 0 && level <= LOG_LEVEL_MAX)) raiseError(lua, state, 'Invalid debug level.');
  return 0;
};

const setresp: HostFunction = (lua, state) => {
  const host = hostOf(lua, state, 'redis.setresp');
  if (lua.api.lua_gettop(state) !== 1) raiseError(lua, state, 'redis.setresp() requires one argument.');
  const protocol = Math.trunc(lua.api.lua_tonumber(state, 1));
  if (protocol !== 2 && protocol !== 3) raiseError(lua, state, 'RESP version must be 2 or 3.');
  host.protocol = protocol;
  return 0;
};

const breakpoint: HostFunction = (lua, state) => {
  lua.api.lua_pushboolean(state, 0);
  return 1;
};

const debug: HostFunction = () => 0;

const replicateCommands: HostFunction = (lua, state) => {
  lua.api.lua_pushboolean(state, 1);
  return 1;
};

// --- math ----------------------------------------------------------------------------------------------------------

const random: HostFunction = (lua, state) => {
  const { api } = lua;
  const { host } = lua;
  if (host === null) return lua.fail(state, 'math.random can only be called inside a script invocation');
  const share = host.random.next();
  switch (api.lua_gettop(state)) {
    case 0:
      api.lua_pushnumber(state, share);
      return 1;
    case 1: {
      const upper = api.luaL_checkinteger(state, 1);
      if (upper < 1) lua.failArgument(state, 1, 'interval is empty');
      api.lua_pushnumber(state, Math.floor(share * upper) + 1);
      return 1;
    }
    case 2: {
      const lower = api.luaL_checkinteger(state, 1);
      const upper = api.luaL_checkinteger(state, 2);
      if (lower > upper) lua.failArgument(state, 2, 'interval is empty');
      // The width is an int, as in C.
      api.lua_pushnumber(state, Math.floor(share * ((upper - lower + 1) | 0)) + lower);
      return 1;
    }
    default:
      return lua.fail(state, 'wrong number of arguments');
  }
};

const randomseed: HostFunction = (lua, state) => {
  const { host } = lua;
  if (host === null) return lua.fail(state, 'math.randomseed can only be called inside a script invocation');
  host.random.seed(lua.api.luaL_checkinteger(state, 1));
  return 0;
};

// --- Libraries -----------------------------------------------------------------------------------------------------

/**
 * Keeps the function under its name in the table that is the first upvalue, for the run, and tells of it. The error of the
 * original has no position.
 */
const registerFunction: HostFunction = (lua, state) => {
  const { library } = lua;
  if (library === null)
    return raiseError(lua, state, 'redis.register_function can only be called on FUNCTION LOAD command');
  const count = lua.api.lua_gettop(state);
  if (count < 1 || count > 2) raiseError(lua, state, 'wrong number of arguments to redis.register_function');
  const registered = count === 1 ? readNamed(lua, state) : readPositional(lua, state);
  if (!NAME.test(registered.name)) raiseError(lua, state, BAD_NAME);
  if (library.some(({ name }) => name === registered.name))
    raiseError(lua, state, 'Function already exists in the library');
  library.push(registered);
  // The function is on top.
  lua.pushString(state, registered.name);
  lua.api.lua_insert(state, -2);
  lua.api.lua_rawset(state, UPVALUE_FUNCTIONS);
  return 0;
};

/** The first upvalue: functions of the library, by name. */
const UPVALUE_FUNCTIONS: number = INDEX.firstUpvalue;

function readPositional(lua: Lua, state: State): RegisteredFunction {
  const { api } = lua;
  if (api.lua_isstring(state, 1) === 0)
    raiseError(lua, state, 'first argument to redis.register_function must be a string');
  if (api.lua_type(state, 2) !== TYPE.function)
    raiseError(lua, state, 'second argument to redis.register_function must be a function');
  return { name: lua.string(state, 1), description: null, flags: [] };
}

function readNamed(lua: Lua, state: State): RegisteredFunction {
  const { api } = lua;
  if (api.lua_type(state, 1) !== TYPE.table)
    raiseError(
      lua,
      state,
      'calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).',
    );
  let name: string | null = null;
  let description: string | null = null;
  let flags: readonly ScriptFlag[] = [];
  // Place 2: the callback.
  api.lua_pushnil(state);
  api.lua_pushnil(state);
  while (api.lua_next(state, 1) !== 0) {
    if (api.lua_isstring(state, -2) === 0)
      raiseError(lua, state, 'named argument key given to redis.register_function is not a string');
    // A number as key: read from a copy, or `lua_next` would lose its place.
    api.lua_pushvalue(state, -2);
    const key = lua.string(state, -1).toLowerCase();
    api.lua_settop(state, -2);
    switch (key) {
      case 'function_name':
        name = stringOr(
          lua,
          state,
          'function_name argument given to redis.register_function must be a string',
        );
        break;
      case 'description':
        description = stringOr(
          lua,
          state,
          'description argument given to redis.register_function must be a string',
        );
        break;
      case 'callback':
        if (api.lua_type(state, -1) !== TYPE.function)
          raiseError(lua, state, 'callback argument given to redis.register_function must be a function');
        api.lua_pushvalue(state, -1);
        api.lua_replace(state, 2);
        break;
      case 'flags':
        if (api.lua_type(state, -1) !== TYPE.table)
          raiseError(
            lua,
            state,
            'flags argument to redis.register_function must be a table representing function flags',
          );
        flags = readFlags(lua, state);
        break;
      default:
        raiseError(lua, state, 'unknown argument given to redis.register_function');
    }
    api.lua_settop(state, -2);
  }
  if (name === null)
    return raiseError(lua, state, 'redis.register_function must get a function name argument');
  if (api.lua_type(state, 2) !== TYPE.function)
    raiseError(lua, state, 'redis.register_function must get a callback argument');
  return { name, description, flags };
}

/** The text of the value on top, which may be a number. */
function stringOr(lua: Lua, state: State, error: string): string {
  if (lua.api.lua_isstring(state, -1) === 0) raiseError(lua, state, error);
  return lua.string(state, -1);
}

/** The flags in the table on top. */
function readFlags(lua: Lua, state: State): ScriptFlag[] {
  const { api } = lua;
  const given = new Set<ScriptFlag>();
  for (let at = 1; ; at++) {
    api.lua_pushnumber(state, at);
    api.lua_gettable(state, -2);
    if (api.lua_type(state, -1) === TYPE.nil) break;
    const text = api.lua_isstring(state, -1) === 0 ? '' : lua.string(state, -1).toLowerCase();
    const flag = SCRIPT_FLAGS.find((candidate) => candidate === text);
    if (flag === undefined) return raiseError(lua, state, 'unknown flag given');
    given.add(flag);
    api.lua_settop(state, -2);
  }
  api.lua_settop(state, -2);
  return SCRIPT_FLAGS.filter((flag) => given.has(flag));
}

// --- Tables --------------------------------------------------------------------------------------------------------

/** In EVAL and in functions. */
export const redisFunctions: Readonly<Record<string, HostFunction>> = {
  call: command(true),
  pcall: command(false),
  log,
  setresp,
  sha1hex,
  error_reply: errorReply,
  status_reply: statusReply,
  set_repl: setRepl,
  acl_check_cmd: aclCheckCmd,
};
/** In EVAL alone. */
export const debugFunctions: Readonly<Record<string, HostFunction>> = {
  breakpoint,
  debug,
  replicate_commands: replicateCommands,
};
/** While a library is loaded, with the constants of logging and the version. */
export const loadFunctions: Readonly<Record<'register_function' | 'log', HostFunction>> = {
  register_function: registerFunction,
  log,
};
export const mathFunctions: Readonly<Record<string, HostFunction>> = { random, randomseed };

export const LOG_CONSTANTS: Readonly<Record<string, number>> = {
  LOG_DEBUG: 0,
  LOG_VERBOSE: 1,
  LOG_NOTICE: 2,
  LOG_WARNING: 3,
};
/** The release whose scripts these are: 7.0.15. */
export const VERSION_NUMBER = 0x07000f;
export const VERSION = '7.0.15';
export const REPLICATION_CONSTANTS: Readonly<Record<string, number>> = {
  REPL_NONE: 0,
  REPL_AOF: 1,
  REPL_SLAVE: 2,
  REPL_REPLICA: 2,
  REPL_ALL: 3,
};
