/**
 * Scripts and functions: what values become on the way in and out, the libraries, errors and their positions, the sandbox.
 * Left out is what differs on purpose (see README.md) and `error({})`, which ends Redis 7.0.15.
 */
import { canonical, type Value } from '../compare.ts';
import type { Group, Source } from '../group.ts';

/** A string of Lua for any bytes. */
function quoted(text: string): string {
  const bytes = Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    const plain = code >= 0x20 && code < 0x7f && character !== '"' && character !== '\\';
    return plain ? character : `\\${String(code).padStart(3, '0')}`;
  });
  return `"${bytes.join('')}"`;
}

const NUMBERS = [
  '0',
  '1',
  '-1',
  '3.99',
  '-3.99',
  '0.1',
  '1e15',
  '1e16',
  '1e20',
  '1e100',
  '-1e300',
  '2^31',
  '2^31-1',
  '-2^31',
  '2^32',
  '2^53',
  '2^53+2',
  '2^62',
  '2^63',
  '-2^63',
  '2^64',
  '1/0',
  '-1/0',
  '0/0',
  '-(0/0)',
  '-0',
  '1e-5',
  '123456789012345',
  '1.5e-10',
  '255',
  '256',
  '65535',
  '65536',
  '1000000000000.25',
  '1125899906842624.25',
  '0x7f',
  '1e308*10',
  '5e-324',
  '127',
  '128',
  '-32',
  '-33',
  '-128',
  '-129',
];
const number = (source: Source): string =>
  source.chance(0.5) ? source.pick(NUMBERS) : String(source.below(2000) / source.pick([1, 1, 4, 7]) - 300);
/** Not the two that are none: what functions make of their signs is up to the C library. */
const aNumber = (source: Source): string => number(source).replace(/^.*0\/0.*$/, '7');
const text = (source: Source): string =>
  quoted(
    source.pick([
      source.value(),
      source.value(),
      source.float(),
      source.integer(),
      'a\0b',
      'x'.repeat(source.below(300)),
    ]),
  );

/** An expression of any value; `level` bounds how deep tables go. */
function value(source: Source, level = 0): string {
  const dice = source.below(level > 3 ? 6 : 14);
  if (dice < 2) return number(source);
  if (dice < 4) return text(source);
  if (dice === 4) return source.pick(['true', 'false']);
  if (dice === 5) return source.pick(['nil', 'true', 'false', 'cjson.null', 'tostring', 'cjson.null']);
  const inner = (): string => value(source, level + 1);
  if (dice < 9) return `{${Array.from({ length: source.below(5) }, inner).join(',')}}`;
  if (dice < 11) {
    const fields = Array.from({ length: source.below(5) }, () => `[${key(source)}]=${inner()}`);
    return `{${fields.join(',')}}`;
  }
  const field = source.pick([
    'err',
    'ok',
    'double',
    'big_number',
    'map',
    'set',
    'verbatim_string',
    'map',
    'set',
    'double',
  ]);
  return `{${field}=${field !== 'double' && source.chance(0.3) ? inner() : typed(source, field, inner)}}`;
}

function key(source: Source): string {
  return source.pick([
    () => text(source),
    () => `"k${source.below(9)}"`,
    () => String(source.below(6)),
    () => aNumber(source),
    () => source.pick(['true', '1.5', '-1', '2^40']),
  ])();
}

function typed(source: Source, field: string, inner: () => string): string {
  switch (field) {
    case 'double':
      // Not where 17 digits are more than the shortest that read back as the same number.
      return source.pick(['0', '1', '-1', '2.5', '-0.25', '1/0', '-1/0', '2^53', '123456789012345']);
    case 'big_number':
      return source.pick(['"12345678901234567890"', '"-1"', '"a\\r\\nb"', '5']);
    case 'map':
      return `{${Array.from({ length: source.below(3) }, () => `[${key(source)}]=${inner()}`).join(',')}}`;
    case 'set':
      return `{${Array.from({ length: source.below(3) }, () => `[${key(source)}]=true`).join(',')}}`;
    case 'verbatim_string':
      return `{format=${source.pick(['"txt"', '"mkd"', '"x"', '"abcd"', '5'])},string=${text(source)}}`;
    case 'err':
      return source.pick([
        '"ERR x"',
        '"My Own text"',
        '"-DASH x"',
        '"a\\r\\nb\\n"',
        '""',
        '"NOSPACE"',
        '"a\\0b"',
      ]);
    default:
      return source.pick(['"OK"', '"fine\\r\\nx"', '""', '"a\\0b"']);
  }
}

/** Any value as a text that does not depend on addresses. */
const SHOW =
  'local function show(v, d) d = d or 0 if type(v) == "table" then if d > 4 then return "..." end local r = {} ' +
  'for k, e in pairs(v) do r[#r+1] = show(k, d+1) .. "=" .. show(e, d+1) end table.sort(r) return "{" .. table.concat(r, ",") .. "}" ' +
  'elseif type(v) == "function" then return "function" else return type(v) .. ":" .. tostring(v) end end ' +
  'local function all(...) local r = {} for i = 1, select("#", ...) do r[i] = show((select(i, ...))) end return r end ';

function evaluate(
  source: Source,
  script: string,
  keys: readonly string[] = [],
  args: readonly string[] = [],
): string[] {
  const name = source.chance(0.05) ? 'EVAL_RO' : 'EVAL';
  return [name, script, String(keys.length), ...keys, ...args];
}

// --- Commands from scripts -------------------------------------------------------------------------------------------

const call = (source: Source): string => {
  const k = quoted(source.key());
  // Small hashes, and sets of whole numbers: those have an order.
  const hash = quoted(`hash:${source.below(3)}`);
  const set = quoted(`set:${source.below(3)}`);
  const made = source.pick([
    () => `"set",${k},${text(source)}`,
    () => `"SET",${k},${number(source)}`,
    () => `"get",${k}`,
    () => `"incr",${k}`,
    () => `"incrbyfloat",${k},${number(source)}`,
    () => `"mget",${k},"a","b"`,
    () => `"rpush",${k},${text(source)},${number(source)}`,
    () => `"lrange",${k},0,-1`,
    () => `"lpop",${k}`,
    () => `"lpop",${k},2`,
    () => `"hset",${hash},"f",${quoted(source.member().slice(0, 60))},"g",${number(source)}`,
    () => `"hgetall",${hash}`,
    () => `"hget",${hash},"f"`,
    () => `"sadd",${set},1,${source.below(9)}`,
    () => `"sismember",${set},1`,
    () => `"smembers",${set}`,
    () => `"zadd",${k},1.5,"m",2,"n"`,
    () => `"zscore",${k},"m"`,
    () => `"zrange",${k},0,-1,"withscores"`,
    () => `"zpopmin",${k}`,
    () => `"type",${k}`,
    () => `"exists",${k},${k}`,
    () => `"del",${k}`,
    () => `"expiretime",${k}`,
    () => `"expire",${k},100000`,
    () => `"append",${k},${text(source)}`,
    () => `"dbsize"`,
    () => `"ping"`,
    () => `"echo",${text(source)}`,
    () => `"xadd",${k},"1-${source.below(9)}","f",${text(source)}`,
    () => `"xrange",${k},"-","+"`,
    () => `"select",0`,
    () => `"select",${number(source)}`,
    () => `"nosuch",${k}`,
    () => `"get"`,
    () => `"xinfo"`,
    () => `"eval","return 1",0`,
    () => `"script","load","x"`,
    () => `"multi"`,
    () => `"blpop",${k},0`,
    () => `"subscribe","x"`,
    () => value(source),
    () => `"get",${value(source)}`,
    () => ``,
    () => `"publish","x","y"`,
    () => `"lmpop",1,${k},"left"`,
    () => `"set",${k},"x","get"`,
    () => `"zadd",${k},1`,
    () => `"bitcount",${k}`,
    () => `"keys","h*o"`,
  ])();
  return made;
};

// --- Libraries -------------------------------------------------------------------------------------------------------

const JSON_TEXTS = [
  '{}',
  '[]',
  '[1,2,3]',
  '{"a":1,"b":[true,false,null]}',
  '"x"',
  '1',
  '-0',
  '1e5',
  '[1.5,-2.25e3]',
  'null',
  'true',
  '[[[]]]',
  '{"a":{"b":{}}}',
  '"\\u0041\\u00e9\\u20ac\\ud83d\\ude00"',
  '"\\n\\t\\"\\\\\\/\\b\\f\\r"',
  '[1,]',
  '{"a"}',
  '{"a":}',
  '{1:2}',
  '[nan]',
  '[-inf,Infinity]',
  '0x1F',
  '01',
  '+5',
  '.5',
  '5.',
  '1e',
  '"abc',
  '"\\x"',
  '"\\u12"',
  '"\\ud800x"',
  '"\\udc00"',
  '[1 2]',
  ' [ 1 , 2 ] ',
  '{"a":1,"a":2}',
  '[1]x',
  '',
  ' ',
  '"a\nb"',
  'tru',
  'nul',
  'Nan',
  'iNf',
  '[1,null,3]',
  '{"1":"x","2":"y"}',
  '12345678901234567890',
  '1e400',
  '-1e-400',
  '[0.1,1e22,123456789.123456789]',
];
const json = (source: Source): string => {
  const chosen = source.pick(JSON_TEXTS);
  if (chosen === '' || source.chance(0.7)) return chosen;
  const at = source.below(chosen.length);
  return source.pick([
    () => chosen.slice(0, at),
    () =>
      chosen.slice(0, at) +
      source.pick(['"', ',', ']', '}', '[', '\\', '\0', 'x', ':', '1', '-', 'e']) +
      chosen.slice(at),
    () => chosen.slice(0, at) + chosen.slice(at + 1),
  ])();
};

const bytes = (source: Source): string =>
  Array.from({ length: source.below(12) }, () =>
    String.fromCharCode(
      source.chance(0.5)
        ? source.pick([
            0x90, 0x91, 0x92, 0x80, 0x81, 0xa1, 0xc0, 0xc1, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1,
            0xd2, 0xd3, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff, 0, 1, 2,
          ])
        : source.below(256),
    ),
  ).join('');

const FORMATS = [
  'b',
  'B',
  'h',
  'H',
  'l',
  'L',
  'T',
  'i',
  'I',
  'i3',
  'I7',
  'i8',
  'i16',
  'i33',
  'i0',
  'x',
  'f',
  'd',
  's',
  'c0',
  'c3',
  'c',
  '<',
  '>',
  '!',
  '!4',
  '!3',
  '!16',
  ' ',
  'z',
  '%',
  'i99999999999',
];
const structFormat = (source: Source): string =>
  Array.from({ length: source.below(5) }, () => source.pick(FORMATS)).join('');

const SPECS = [
  '%d',
  '%5d',
  '%-5d|',
  '%05d',
  '%+d',
  '% d',
  '%.3d',
  '%5.3d',
  '%x',
  '%X',
  '%#x',
  '%o',
  '%#o',
  '%u',
  '%i',
  '%c',
  '%s',
  '%10s',
  '%-10s|',
  '%.2s',
  '%q',
  '%f',
  '%.2f',
  '%10.3f',
  '%e',
  '%g',
  '%.14g',
  '%G',
  '%E',
  '%%',
  '%',
  '%z',
  '%123d',
  '%.123d',
  '%+-#0 d',
  '%+-#0  +d',
  '%5c',
  '%.0d',
  '%08x',
  '%-08d|',
  '%.17g',
  '%a',
];
const PATTERNS = [
  'a',
  '.',
  '%d+',
  '(%a+)',
  '^x',
  'x$',
  '[a-c]+',
  '[^%s]',
  '%b()',
  '%f[%w]',
  '(a)(b)?',
  'a-',
  'a*',
  '.-b',
  '%1',
  '(',
  ')',
  '[',
  '%',
  '(()',
  'a%',
  '%g',
  '[%',
  '(.)%1',
  '[]]',
  '[^]]',
  '%z',
  '',
  '()',
];
const SUBJECTS = [
  'abc',
  'hello world',
  'aaabbb',
  '(a(b)c)',
  'x=1, y=2',
  '',
  'a\0b\0',
  'THE (quick) fox',
  '  trim  ',
  '123abc456',
];

const expression = (source: Source): string =>
  source.pick([
    () =>
      `string.format(${quoted(source.some(() => source.pick(SPECS)).join(' '))}, ${source.some(() => value(source, 4), 4).join(',')})`,
    () =>
      `string.find(${quoted(source.pick(SUBJECTS))}, ${quoted(source.pick(PATTERNS))}${source.pick(['', ',1', ',-2', ',100', ',1,true'])})`,
    () =>
      `string.match(${quoted(source.pick(SUBJECTS))}, ${quoted(source.pick(PATTERNS))}${source.pick(['', ',2', ',-3'])})`,
    () =>
      `string.gsub(${quoted(source.pick(SUBJECTS))}, ${quoted(source.pick(PATTERNS))}, ${source.pick(['"<%0>"', '"%1"', '"%2"', '{a="A",x=false}', 'function(s) return s.."!" end', 'string.upper', '"%"', 'nil', '5'])}${source.pick(['', ',1', ',0'])})`,
    () =>
      `(function() local r = {} for a, b in string.gmatch(${quoted(source.pick(SUBJECTS))}, ${quoted(source.pick(PATTERNS))}) do r[#r+1] = tostring(a) .. tostring(b) if #r > 20 then break end end return table.concat(r, "|") end)()`,
    () =>
      `string.${source.pick(['upper', 'lower', 'len', 'reverse', 'byte', 'char', 'rep', 'sub'])}(${source
        .some(() => value(source, 4).replace(/e\d{2,}/, 'e3'), 3)
        .filter((each) => !/\^|\/0|e20|1e1|1125899|123456|65535|65536/.test(each))
        .join(',')})`,
    () => `tonumber(${value(source, 4)}${source.pick(['', ',10', ',16', ',2', ',36', ',37', ',1', ',8.5'])})`,
    () =>
      `tonumber(${quoted(source.pick(['ff', 'FF', '0x1f', ' 12 ', '-ff', 'zz', '1e5', 'ffffffffff', '1'.repeat(70), '0x', '', '12x', '0x1p4', 'nan', 'inf']))}${source.pick(['', ',10', ',16', ',2', ',36'])})`,
    () => `string.gsub(tostring(${value(source, 4)}), "0x%x+", "")`,
    () => `${value(source, 4)} .. ${value(source, 4)}`,
    () => `${value(source, 4)} + ${value(source, 4)}`,
    () => `${value(source, 4)} < ${value(source, 4)}`,
    () => `${value(source, 4)} == ${value(source, 4)}`,
    () => `#${value(source, 2)}`,
    () =>
      `math.${source.pick(['floor', 'ceil', 'abs', 'sqrt', 'max', 'min', 'fmod', 'modf', 'frexp', 'pow'])}(${source.some(() => aNumber(source), 2).join(',')})`,
    () => `math.ldexp(${aNumber(source)},${source.small()})`,
    () => `table.concat(${value(source, 2)}, ${text(source)})`,
    () => `unpack(${value(source, 2)})`,
    () => `select(${source.chance(0.8) ? source.small() : text(source)}, 1, 2, 3)`,
    () => `next(${value(source, 2)})`,
    () =>
      `loadstring(${quoted(source.pick(['return 1', 'return +', 'x = 1', 'return x', 'error("e")', '\x1bLua', '', 'return ...', 'local a = ', 'for i=1,2 do end return i', 'goto x', 'return "\\q"', '"', '[[', '--[[']))})`,
    () =>
      `(loadstring(${quoted(source.pick(['return 1', 'x = 1', 'return x', 'error("e")', 'return redis.call("ping").ok']))}))()`,
    () => `cjson.encode(${value(source)})`,
    () => `cjson.encode(${value(source)})`,
    () => `cjson.decode(${quoted(json(source))})`,
    () => `cjson.decode(${quoted(json(source))})`,
    () => `cjson.encode(cjson.decode(${quoted(json(source))}))`,
    () =>
      `cjson.${source.pick(['encode', 'decode'])}(${source.pick(['', '1,2', 'nil', '{},{}', 'tostring'])})`,
    () => `cmsgpack.pack(${source.some(() => value(source), 3).join(',')})`,
    () => `cmsgpack.unpack(cmsgpack.pack(${source.some(() => value(source), 3).join(',')}))`,
    () => `cmsgpack.unpack(${quoted(bytes(source))})`,
    () =>
      `cmsgpack.unpack_one(${quoted(bytes(source))}${source.pick(['', ',0', ',1', ',3', ',-1', ',100'])})`,
    () =>
      `cmsgpack.unpack_limit(${quoted(bytes(source))},${source.pick(['0', '1', '2', '-1', '5'])}${source.pick(['', ',0', ',1', ',3', ',-1', ',100'])})`,
    () =>
      `struct.pack(${quoted(structFormat(source))}${source.some(() => `,${value(source, 4)}`, 4).join('')})`,
    () =>
      `struct.unpack(${quoted(structFormat(source))}, ${quoted(bytes(source) + bytes(source))}${source.pick(['', ',1', ',2', ',5', ',0', ',-1', ',99'])})`,
    () => `struct.size(${quoted(structFormat(source))})`,
    () =>
      `bit.${source.pick(['tobit', 'bnot', 'band', 'bor', 'bxor', 'lshift', 'rshift', 'arshift', 'rol', 'ror', 'bswap', 'tohex'])}(${source.some(() => value(source, 4).replace(/1e\+?\d+|1\/0|2\^6\d/, '77'), 3).join(',')})`,
    () => `redis.sha1hex(${text(source)})`,
    () =>
      `redis.${source.pick(['status_reply', 'error_reply'])}(${source.pick(['', text(source), '"MY err"', '"-MY err"', '"x"', '1', '"a","b"'])})`,
    () => `redis.pcall(${call(source)})`,
    () => `redis.pcall(${call(source)})`,
    () => `pcall(redis.call${source.chance(0.9) ? `,${call(source)}`.replace(/,$/, '') : ''})`,
    () => `redis.log(${source.pick(['redis.LOG_NOTICE,"x"', '1', '"a","b"', '7,"x"', ''])})`,
    () => `redis.setresp(${source.pick(['2', '3', '4', '', '"3"', '2,3'])})`,
    () => `redis.set_repl(${source.pick(['redis.REPL_ALL', '0', '1', '4', '', '-1', '1,2'])})`,
    () =>
      `redis.acl_check_cmd(${source.pick(['"get"', '"set","a"', '"nosuch"', '', '"xinfo","foo"', '"xinfo","stream"'])})`,
    () => `redis.${source.pick(['breakpoint', 'debug', 'replicate_commands'])}()`,
    () =>
      `redis.${source.pick(['REDIS_VERSION', 'REDIS_VERSION_NUM', 'LOG_DEBUG', 'REPL_ALL', 'nosuch', 'LOG_WARNING'])}`,
    () =>
      `(function() math.randomseed(${source.pick(['0', '1', '-5', '123456', '2^31-1'])}) return math.random(), math.random(${source.pick(['', '10', '5,7', '0', '7,5', '1,2,3', '"x"'])}) end)()`,
    () =>
      `xpcall(function() ${source.pick(['error("x")', 'return 1, 2', 'local a = nil + 1', 'error({err="x"})'])} end, function(e) return show(e) end)`,
    () => `coroutine.wrap(function(...) coroutine.yield(...) return 5 end)(${value(source)})`,
    () =>
      `coroutine.resume(coroutine.create(function() ${source.pick(['error("x")', 'return 1', 'coroutine.yield(2)', 'redis.call("ping")'])} end))`,
    () =>
      `${source.pick(['rawget', 'next', 'pairs', 'getmetatable', 'rawset', 'setmetatable', 'type'])}(${source.pick(['_G', 'redis', 'string', '""', '{}', 'cjson', '5'])}${source.pick([', "x"', ', nil', ', {}', ', "call", 1', ''])})`
        .replace(/^(next|pairs)\((_G|redis|string|cjson).*$/, 'type($2)')
        .replace(/^getmetatable\(_G.*$/, 'type(getmetatable(_G).__index)')
        .replace(/^pairs\(\{\}.*$/, '1'),
    () =>
      source.pick([
        'KEYS',
        'ARGV',
        '#KEYS',
        'KEYS[1]',
        'ARGV[1]',
        'ARGV[2]',
        '_VERSION',
        '_G == _G._G',
        'os',
        'io',
        'require',
        'print',
        'getfenv',
        'debug',
        'newproxy',
        'dofile',
        'package',
        'arg',
        'math.pi',
        'math.huge',
        'string.gfind == nil',
        'table.getn({1,2})',
      ]),
  ])();

const statement = (source: Source): string =>
  source.pick([
    () => `return ${value(source)}`,
    () => `return ${value(source)}`,
    () => `return ${value(source)}, ${value(source)}`,
    () => `redis.setresp(3) return ${value(source)}`,
    () => `return redis.call(${call(source)})`,
    () => `return redis.call(${call(source)})`,
    () => `return redis.pcall(${call(source)})`,
    () => `redis.call(${call(source)}) return redis.call(${call(source)})`,
    () => `redis.setresp(3) return redis.call(${call(source)})`,
    () => `redis.setresp(3) ${SHOW} return all(redis.pcall(${call(source)}))`,
    () => `${SHOW} return all(redis.pcall(${call(source)}))`,
    () => `${SHOW} return all(${expression(source)})`,
    () => `${SHOW} return all(${expression(source)})`,
    () => `${SHOW} return all(${expression(source)})`,
    () => `${SHOW} return all(${expression(source)})`,
    () => `${SHOW} return all(pcall(function() return ${expression(source)} end))`,
    () => `return ${expression(source)}`,
    () =>
      `\n\n  error(${source.pick(['"x"', '"x", 0', '"x", 2', '{err="E x"}', 'nil', 'true', '5', '{err="a\\nb"}', '{err="x", extra=1}', '"a\\nb"', 'redis.error_reply("MY x")', 'redis.status_reply("x")'.replace('status_reply("x")', 'error_reply("y")')])})`,
    () =>
      source.pick([
        'x = 1',
        'return x',
        'redis.call = 1',
        'redis.x = 1',
        'string.x = 1',
        '_G.x = 1',
        'return _G.x',
        'KEYS = 1',
        'KEYS[1] = 5 return KEYS',
        'function f() end',
        'local function f() return f() + 1 end f()',
        'getmetatable("").__index = nil',
        'rawset(_G, "x", 1)',
        'setmetatable(_G, nil)',
        'return #redis',
        '_G[1] = 2',
        'return _G[{}]',
        'string = nil',
      ]),
    () =>
      source.pick([
        'return (',
        'x =',
        'return 1 2',
        '',
        ' ',
        'end',
        'return "abc',
        '--',
        'local a = "x" ..\n\n nil',
        'for',
        "return '\\xZZ'",
        '\x1bLua',
        'return 1 \0 2',
        '#!lua\nreturn 1',
        '#!lua flags=no-writes\nreturn redis.call("set","a","b")',
        '#!lua flags=no-writes\nreturn redis.call("get","a")',
        '#!lua flags=foo\nreturn 1',
        '#!lua name=x\nreturn 1',
        '#!js\nreturn 1',
        '#!lua',
        '#!\nreturn 1',
        '#!lua flags=allow-oom,allow-stale\nerror("x")',
        '#!lua flags=\nreturn 1',
        '#!lua "flags=no-writes"\nreturn 2',
        '#!lua "x\nreturn 1',
        '#!lua flags=allow-cross-slot-keys,no-cluster\nreturn 1',
        '#!lua flags=no-writes,\nreturn 1',
        '#!lua flags=NO-WRITES\nreturn 1',
      ]),
    () =>
      `if redis.call("exists", ${quoted(source.key())}) == 1 then return redis.call("type", ${quoted(source.key())}) else return {redis.call("set", ${quoted(source.key())}, ARGV[1] or "x")} end`,
    () =>
      `for i = 1, ${source.below(20)} do redis.call("incr", ${quoted(source.key())}) end return redis.call("get", ${quoted(source.key())})`,
    () => `local r = {} for k, v in pairs(${value(source)}) do r[#r+1] = tostring(k) end return r`,
    () => `local t = cjson.decode(ARGV[1] or '{}') return cjson.encode(t)`,
  ])();

// --- Functions -------------------------------------------------------------------------------------------------------

const LIBRARIES = ['lib', 'other', 'LIB'];
const NAMES = ['f', 'g', 'h'];

const registration = (source: Source): string =>
  source.pick([
    () => `redis.register_function("${source.pick(NAMES)}", function(keys, args) ${statement(source)} end)`,
    () => `redis.register_function("${source.pick(NAMES)}", function(keys, args) ${statement(source)} end)`,
    () =>
      `redis.register_function("${source.pick(NAMES)}", function(keys, args) return {#keys, keys[1], args[1]} end)`,
    () =>
      `redis.register_function{function_name="${source.pick(NAMES)}", callback=function() ${statement(source)} end, flags={${source.pick(['', '"no-writes"', '"no-writes","allow-oom"', '"x"', '5', '"NO-WRITES"', '"allow-cross-slot-keys","no-cluster","allow-stale"'])}}${source.pick(['', ', description="d"', ', description={}', ', more=1'])}}`,
    () =>
      source.pick([
        'redis.register_function()',
        'redis.register_function("x")',
        'redis.register_function("x", 1)',
        'redis.register_function({})',
        'redis.register_function{callback=function() end}',
        'redis.register_function{function_name="x"}',
        'redis.register_function{function_name={}, callback=function() end}',
        'local x = string.rep',
        'redis.call("ping")',
        'x = 1',
        'redis.x = 1',
        'return 5',
        'local x = nil + 1',
        'redis.log(1, "x")',
        'local x = redis.REDIS_VERSION',
        'local x = KEYS',
        'return (',
        'local a, b = 1, 2',
      ]),
  ])();

const library = (source: Source): string => {
  const shebang = source.chance(0.85)
    ? `#!lua name=${source.pick(LIBRARIES)}`
    : source.pick([
        '#!lua',
        '#!js name=lib',
        '#!lua name=',
        '#!lua name=a name=b',
        '#!lua x=1',
        '#!LUA NAME=lib',
        'x',
        '#!lua name="a b"',
        '#!lua name="lib"',
        '',
        '#!lua name=lib "',
      ]);
  return `${shebang}${source.chance(0.97) ? '\n' : ''}${source.some(() => registration(source), 2).join('\n')}`;
};

const SCRIPTS = ['return 1', 'return KEYS[1]', 'return redis.call("get","a")', 'error("x")'];
const SHAS = [
  'e0e1f9fabfc9d4800c877a703b823ac0578ff8db',
  '4a2267357833227dd98abdedb8cf24b15a986445',
  '69342c5c39e5ae5f0077aecc32c0f81811fb8193',
  'x',
  '',
];
const sha = (source: Source): string => {
  const chosen = source.pick(SHAS);
  return source.chance(0.2) ? chosen.toUpperCase() : chosen;
};

function taken(reply: Value): string {
  return 'text' in reply ? reply.text.replace(/^ERR Function \w+ already exists/, 'taken') : '';
}

/**
 * Scores have fewer digits here, and those above 10^17 more; scripts give them as texts, and inside texts. The sign of a NaN is
 * not what it is on the machine.
 */
function sameButForDigits(one: Value, other: Value): boolean {
  const text = (value: Value): string =>
    JSON.stringify(value)
      .replaceAll('-nan', 'nan')
      .replaceAll(/-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+|-?\d{18,}/g, (digits) => String(Number(digits)));
  return text(one) === text(other);
}

export const group: Group = {
  name: 'scripts',
  commands: [
    ...Array.from(
      { length: 20 },
      () => (source: Source) =>
        evaluate(
          source,
          statement(source),
          source.chance(0.3) ? [source.key()] : [],
          source.chance(0.3) ? [source.value(), json(source)] : [],
        ),
    ),
    (source) => [
      'EVAL',
      source.pick(SCRIPTS),
      source.pick(['0', '1', '2', '-1', 'x', '']),
      ...source.some(() => source.key(), 2),
    ],
    (source) => [
      source.pick(['EVALSHA', 'EVALSHA', 'EVALSHA_RO']),
      sha(source),
      source.pick(['0', '0', '1', 'x', '-1']),
      ...source.some(() => source.key(), 2),
    ],
    (source) => ['SCRIPT', 'LOAD', source.pick([...SCRIPTS, 'return (', '#!lua flags=x\n'])],
    (source) => ['SCRIPT', 'EXISTS', ...source.some(() => sha(source))],
    (source) => ['SCRIPT', 'FLUSH', ...source.options([() => ['SYNC'], () => ['ASYNC'], () => ['x']])],
    (source) => ['SCRIPT', source.pick(['KILL', 'FOO', 'EXISTS', 'LOAD'])],
    (source) => [
      'FUNCTION',
      'LOAD',
      ...source.pick([['REPLACE'], ['REPLACE'], [], ['replace', 'REPLACE'], ['x']]),
      library(source),
    ],
    (source) => ['FUNCTION', 'LOAD', 'REPLACE', library(source)],
    (source) => [
      'FUNCTION',
      'LIST',
      ...source.options([
        () => ['WITHCODE'],
        () => ['LIBRARYNAME', source.pick(['*', 'lib', 'LIB', 'o*', 'x'])],
        () => ['x'],
        () => ['LIBRARYNAME'],
      ]),
    ],
    (source) => ['FUNCTION', 'DELETE', source.pick(LIBRARIES)],
    (source) => ['FUNCTION', source.pick(['STATS', 'KILL', 'FLUSH', 'FOO', 'LOAD', 'DELETE'])],
    (source) => ['FUNCTION', 'FLUSH', ...source.options([() => ['SYNC'], () => ['ASYNC'], () => ['x']])],
    (source) => [
      'FUNCTION',
      'RESTORE',
      source.pick(['x', '', '\x0a\0\0\0\0\0\0\0\0\0']),
      ...source.options([() => ['FLUSH'], () => ['x']]),
    ],
    ...Array.from({ length: 4 }, () => (source: Source) => [
      source.pick(['FCALL', 'FCALL', 'FCALL', 'FCALL_RO']),
      source.pick([...NAMES, 'F', 'nosuch']),
      source.pick(['0', '0', '1', '1', '2', 'x', '-1', '']),
      ...source.some(() => source.key(), 3),
    ]),
  ],
  compare: {
    eval: sameButForDigits,
    eval_ro: sameButForDigits,
    evalsha: sameButForDigits,
    evalsha_ro: sameButForDigits,
    fcall: sameButForDigits,
    fcall_ro: sameButForDigits,
    // The order of libraries and of their functions is that of a hash table in Redis.
    'function|list': (one, other) => canonical(one) === canonical(other),
    // Which of several names is met first, too.
    'function|load': (one, other) => taken(one) === taken(other),
  },
  // An argument more or less would only be a script's.
  asMade: (args) => ['EVAL', 'EVAL_RO'].includes(args[0] ?? ''),
};
