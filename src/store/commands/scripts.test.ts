/** What the comparison with Redis can't show of scripts: limits, the same state everywhere, what runs leave behind. */
import { describe, expect, test } from 'vitest';
import { call, eventsOf, Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';

function evaluate(harness: Harness, script: string, ...args: string[]): Reply {
  return harness.run('EVAL', script, '0', ...args);
}

function error(reply: Reply): string {
  return reply instanceof Error ? reply.message : `no error: ${String(reply)}`;
}

/** A follower has applied the same, and so has one that begins with a snapshot in the middle. */
function expectSameEverywhere(harness: Harness): void {
  expect(harness.follower().digest()).toBe(harness.store.digest());
  const half = Math.floor(harness.payloads.length / 2);
  const first = new Harness().store;
  harness.payloads.slice(0, half).forEach((payload, at) => first.applyBatch(at + 1, payload));
  const late = restored(snapshotOf(first));
  harness.payloads.slice(half).forEach((payload, at) => late.applyBatch(half + at + 1, payload));
  expect(late.digest()).toBe(harness.store.digest());
}

const SHA_OF_RETURN_1 = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db';

describe('scripts', () => {
  test('read, write and answer', () => {
    const harness = new Harness();
    const script =
      'redis.call("set", KEYS[1], ARGV[1]) return {redis.call("get", KEYS[1]), 3.9, true, false}';
    expect(harness.run('EVAL', script, '1', 'key', 'value')).toEqual(['value', 3, 1, null]);
    expect(harness.run('GET', 'key')).toBe('value');
  });

  test('are known by their SHA-1 after EVAL and SCRIPT LOAD, on followers and after a snapshot as well', () => {
    const harness = new Harness();
    expect(error(harness.run('EVALSHA', SHA_OF_RETURN_1, '0'))).toBe(
      'NOSCRIPT No matching script. Please use EVAL.',
    );
    expect(harness.run('SCRIPT', 'LOAD', 'return 1')).toBe(SHA_OF_RETURN_1);
    expect(evaluate(harness, 'return 2')).toBe(2);
    expect(harness.run('EVALSHA', SHA_OF_RETURN_1.toUpperCase(), '0')).toBe(1);
    expect(harness.store.meta.entries('scripts').size).toBe(2);
    expectSameEverywhere(harness);
    const copy = restored(snapshotOf(harness.store));
    expect([...copy.meta.entries('scripts')]).toEqual([...harness.store.meta.entries('scripts')]);
    expect(harness.run('SCRIPT', 'FLUSH')).toBe('OK');
    expect(harness.run('SCRIPT', 'EXISTS', SHA_OF_RETURN_1)).toEqual([0]);
  });

  test('that only read leave no trace, and can not write', () => {
    const harness = new Harness();
    expect(harness.run('EVAL_RO', 'return redis.call("get", "key")', '0')).toBeNull();
    expect(error(harness.run('EVAL_RO', 'return redis.call("set", "key", 1)', '0'))).toMatch(
      /^ERR Write commands are not allowed from read-only scripts\. script: [\da-f]{40}, on @user_script:1\.$/,
    );
    expect(error(evaluate(harness, '#!lua flags=no-writes\nreturn redis.call("set", "key", 1)'))).toMatch(
      /^ERR Write commands are not allowed from read-only scripts\. script: [\da-f]{40}, on @user_script:2\.$/,
    );
    expect(harness.run('DBSIZE')).toBe(0);
  });

  test('keep what they wrote before an error, and the error says where it came from', () => {
    const harness = new Harness();
    const reply = evaluate(harness, 'redis.call("set", "a", 1)\nredis.call("incr", "a", "b")');
    expect(error(reply)).toMatch(
      /^ERR Wrong number of args calling Redis command from script script: [\da-f]{40}, on @user_script:2\.$/,
    );
    expect(harness.run('GET', 'a')).toBe('1');
    expectSameEverywhere(harness);
  });

  test('take the time and the dice of their entry', () => {
    const harness = new Harness();
    harness.now = 1_234_567_890_123;
    for (let at = 0; at < 50; at++) harness.run('SADD', 'set', `member ${at}`);
    const script = `
      redis.call('set', 'time', table.concat(redis.call('time'), '.'))
      redis.call('rpush', 'list', math.random(), math.random(1000), redis.call('randomkey'))
      redis.call('rpush', 'list', unpack(redis.call('srandmember', 'set', 5)))
      redis.call('rpush', 'list', redis.call('spop', 'set'), redis.call('xadd', 'stream', '*', 'a', 'b'))
      redis.call('expire', 'time', 100)`;
    evaluate(harness, script);
    evaluate(harness, script);
    expect(harness.run('GET', 'time')).toBe('1234567890.123000');
    const drawn = harness.run('LRANGE', 'list', '0', '-1') as Reply[];
    const half = drawn.length / 2;
    for (const [at, what] of ['a number', 'a number up to 1000'].entries())
      expect(drawn[at], what).not.toBe(drawn[half + at]);
    expect(drawn.slice(2, half - 1)).not.toEqual(drawn.slice(half + 2, -1));
    expectSameEverywhere(harness);
  });

  test('see tables in the same order, whatever ran before them', () => {
    const order = `
      local t, keys = {}, {}
      for i = 1, 300 do t['key ' .. (i * 7919) % 1000] = i end
      t[redis] = 1 t[t] = 2 t[print or 1.5] = 3
      for k in pairs(t) do keys[#keys + 1] = tostring(k) end
      return keys`;
    const fresh = evaluate(new Harness(), order);
    const used = new Harness();
    for (let at = 0; at < 200; at++)
      evaluate(used, `local s = {} for i = 1, ${at} do s[i] = {i, 'x' .. i} end`);
    evaluate(used, 'local t = {} while true do t[#t + 1] = {} end');
    expect(evaluate(used, order)).toEqual(fresh);
  });

  test('leave nothing behind for the next one', () => {
    const harness = new Harness();
    expect(error(evaluate(harness, 'x = 1'))).toContain('Attempt to modify a readonly table');
    expect(error(evaluate(harness, 'return x'))).toContain(
      "Script attempted to access nonexistent global variable 'x'",
    );
    expect(error(evaluate(harness, 'string.upper = nil'))).toContain('Attempt to modify a readonly table');
    expect(evaluate(harness, 'cjson.encode_max_depth(1) return 1')).toBe(1);
    expect(evaluate(harness, 'return cjson.encode({{{}}})')).toBe('[[{}]]');
    expect(evaluate(harness, 'math.randomseed(7) return 1')).toBe(1);
    expect(evaluate(harness, 'redis.setresp(3) return 1')).toBe(1);
    expect(evaluate(harness, 'return type(redis.call("hgetall", "none").map)')).toBe('nil');
  });

  test('do not reach what every node answers in its own way', () => {
    const harness = new Harness();
    for (const command of [
      '"client", "id"',
      '"info"',
      '"object", "idletime", "a"',
      '"object", "freq", "a"',
      '"pubsub", "channels"',
      '"kvorum.session", "open"',
      '"eval", "return 1", 0',
      '"multi"',
    ])
      expect(error(evaluate(harness, `return redis.call(${command})`))).toMatch(
        /^ERR This Redis command is not allowed from script/,
      );
  });

  test('publish, and do not see who listens on this node', () => {
    const harness = new Harness();
    eventsOf(harness.store, 5);
    expect(harness.run('PUBLISH', 'channel', 'message')).toBe(5);
    expect(evaluate(harness, 'return redis.call("publish", "channel", "message")')).toBe(0);
  });

  test('do not wait', () => {
    const harness = new Harness();
    expect(evaluate(harness, 'return redis.call("xread", "block", 0, "streams", "s", "$")')).toBeNull();
  });
});

describe('a script is ended', () => {
  test.each([
    ['a loop', 'while true do end'],
    ['a loop around pcall', 'while true do pcall(function() while true do end end) end'],
    ['a loop in a coroutine', 'coroutine.wrap(function() while true do end end)()'],
    ['a loop inside a pattern', 'return string.find(string.rep("a", 100000), string.rep("a-", 10) .. "b")'],
    ['commands without end', 'while true do redis.call("set", "a", 1) end'],
    ['commands that look at much', 'while true do redis.call("keys", "x*") end'],
    ['texts without end', 'local t = {1} while true do cjson.encode(t) end'],
    ['a text that grows', 'local s = "x" while true do s = s .. s end'],
  ])('by its steps: %s', (_what, script) => {
    const harness = new Harness();
    expect(error(evaluate(harness, script))).toMatch(
      /was stopped after \d+ steps, the most that one call may take/,
    );
    expect(evaluate(harness, 'return 1')).toBe(1);
    expectSameEverywhere(harness);
  });

  const longText = 'local s = string.rep("x", 2^22) local t = {} for i = 1, 40 do t[i] = s end ';
  test.each([
    ['a table that grows', 'local t = {} for i = 1, 1e9 do t[i] = i end'],
    ['coroutines', 'local t = {} while true do t[#t + 1] = coroutine.create(function() end) end'],
    ['a text of a gigabyte', 'return string.rep("x", 1024 * 1024 * 1024)'],
    ['more than 32 bits say', 'return string.rep("x", 2^32 + 1)'],
    ['JSON', `${longText}return cjson.encode(t)`],
    ['MessagePack', `${longText}return cmsgpack.pack(t)`],
    ['a format', `${longText}return string.format(string.rep("%s", 40), unpack(t))`],
    ['a struct', `${longText}return struct.pack(string.rep("s", 40), unpack(t))`],
    ['a result', `${longText}return t`],
    ['arguments', `${longText}return redis.call("echo", unpack(t))`],
    ['code', `${longText}return load(function() return s end)`],
  ])('by its memory: %s', (_what, script) => {
    const harness = new Harness();
    expect(error(evaluate(harness, script))).toMatch(/was stopped: it needs more than 64 MB of memory/);
    expect(evaluate(harness, 'return 1')).toBe(1);
  });

  test.each([
    ['pcall', 'local function f() return pcall(f) end return f()'],
    ['coroutines', 'local function f() return coroutine.wrap(f)() end return f()'],
    ['both', 'local function f() return pcall(coroutine.wrap(f)) end return f()'],
  ])('where it nests too many calls of %s', (_what, script) => {
    expect(error(evaluate(new Harness(), script))).toMatch(
      /it nests more than 80 calls of pcall or of coroutines/,
    );
  });

  test.each([
    ['functions', 'local function f() return 1 + f() end return f()', /stack overflow/],
    [
      'metamethods',
      'local t t = setmetatable({}, {__index = function(_, k) return t[k + 1] end}) return t[1]',
      /overflow/,
    ],
    ['parentheses', `return ${'('.repeat(5000)}1${')'.repeat(5000)}`, /too many syntax levels/],
    ['comparisons', 'local function f() table.sort({3, 2, 1}, f) end f()', /C stack overflow/],
  ])('where it nests too many %s', (_what, script, text) => {
    expect(error(evaluate(new Harness(), script))).toMatch(text);
  });

  test('and keeps what it wrote until then, the same on every node', () => {
    const harness = new Harness();
    const reply = evaluate(harness, 'while true do redis.call("incr", "count") end');
    expect(error(reply)).toMatch(/; what it wrote before stays written\. Do less in one call\.$/);
    expect(Number(harness.run('GET', 'count'))).toBeGreaterThan(10_000);
    expectSameEverywhere(harness);
  });

  test('before it begins, where others of the same entry took too long', () => {
    const harness = new Harness();
    const loop = ['EVAL', 'while true do end', '0'] as const;
    harness.run('SET', 'x', '0');
    const replies = harness.transaction(
      [['EVAL', 'return 1', '0'], loop, ['EVAL', 'return redis.call("incr", "x")', '0'], ['INCR', 'x']].map(
        ([name = '', ...args]) => call(name, ...args),
      ),
    ) as Reply[];
    expect(replies[0]).toBe(1);
    expect(error(replies[1] ?? null)).toContain('was stopped after');
    expect(error(replies[2] ?? null)).toMatch(/^BUSY .* this one was not run/);
    expect(replies[3]).toBe(1);
    expect(evaluate(harness, 'return redis.call("incr", "x")')).toBe(2);
    expectSameEverywhere(harness);
  });
});

test('scripts that only read are not begun either, where one answered with them took too long', () => {
  const harness = new Harness();
  harness.run('SET', 'a', '1');
  expect(error(harness.run('EVAL_RO', 'while true do end', '0'))).toContain('was stopped after');
  expect(error(harness.run('EVAL_RO', 'return 1', '0'))).toMatch(/^BUSY /);
  harness.now += 1000;
  expect(harness.run('EVAL_RO', 'return 1', '0')).toBe(1);
});

describe('where memory is full', () => {
  function full(): Harness {
    const harness = new Harness();
    harness.run('SET', 'a', 'x'.repeat(1000));
    harness.run('CONFIG', 'SET', 'maxmemory', '100');
    return harness;
  }
  const OOM = "OOM command not allowed when used memory > 'maxmemory'.";

  test('scripts may do what needs none, and go on once they have written', () => {
    const harness = full();
    expect(error(evaluate(harness, 'return redis.call("set", "b", 1)'))).toMatch(/^OOM command not allowed/);
    expect(error(evaluate(harness, '#!lua\nreturn 1'))).toBe(OOM);
    expect(evaluate(harness, '#!lua flags=no-writes\nreturn redis.call("strlen", "a")')).toBe(1000);
    expect(evaluate(harness, 'redis.call("del", "a") return redis.call("set", "b", 1)')).toBe('OK');
    expectSameEverywhere(harness);
  });

  test('scripts that say so may do everything', () => {
    const harness = full();
    expect(evaluate(harness, '#!lua flags=allow-oom\nreturn redis.call("set", "b", 1)')).toBe('OK');
  });
});
