/** What the comparison with Redis can't show of functions: the same everywhere, limits, what calls leave behind. */
import { expect, test } from 'vitest';
import { Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';

const COUNTER = `#!lua name=counter
local step = 1
local seen = {}
redis.register_function('add', function(keys, args)
  seen[#seen + 1] = keys[1]
  return {redis.call('incrby', keys[1], args[1] or step), #seen}
end)
redis.register_function{
  function_name = 'get',
  callback = function(keys) return redis.call('get', keys[1]) end,
  flags = {'no-writes'},
  description = 'the count',
}`;

function error(reply: Reply): string {
  return reply instanceof Error ? reply.message : `no error: ${String(reply)}`;
}

test('a library is there on all nodes, after a snapshot and a change, and its functions run in the log', () => {
  const harness = new Harness();
  expect(harness.run('FUNCTION', 'LOAD', COUNTER)).toBe('counter');
  expect(harness.run('FCALL', 'add', '1', 'key', '5')).toEqual([5, 1]);
  const copy = restored(snapshotOf(harness.store));
  const loaded = harness.payloads.length;
  // A name is found in any case.
  expect(harness.run('FCALL', 'ADD', '1', 'key')).toEqual([6, 1]);
  expect(harness.run('FCALL_RO', 'get', '1', 'key')).toBe('6');
  harness.run('FUNCTION', 'LOAD', 'REPLACE', COUNTER.replace('local step = 1', 'local step = 10'));
  harness.run('FCALL', 'add', '1', 'key');
  expect(harness.run('GET', 'key')).toBe('16');
  harness.payloads.slice(loaded).forEach((payload, at) => copy.applyBatch(loaded + at + 1, payload));
  expect(copy.digest()).toBe(harness.store.digest());
  expect(harness.follower().digest()).toBe(harness.store.digest());
});

test('what a library keeps in its variables begins anew with every call', () => {
  const harness = new Harness();
  harness.run('FUNCTION', 'LOAD', COUNTER);
  for (let at = 1; at < 4; at++) expect(harness.run('FCALL', 'add', '1', 'key')).toEqual([at, 1]);
});

test('FCALL_RO runs only what says that it does not write', () => {
  const harness = new Harness();
  harness.run('FUNCTION', 'LOAD', COUNTER);
  expect(error(harness.run('FCALL_RO', 'add', '1', 'key'))).toBe(
    'ERR Can not execute a script with write flag using *_ro command.',
  );
});

test('a library that can not be loaded changes nothing', () => {
  const harness = new Harness();
  harness.run('FUNCTION', 'LOAD', COUNTER);
  const broken = "#!lua name=counter\nredis.register_function('add', function() end) error('x')";
  expect(error(harness.run('FUNCTION', 'LOAD', 'REPLACE', broken))).toMatch(/Error registering functions/);
  const endless = "#!lua name=counter\nredis.register_function('add', function() end) while true do end";
  expect(error(harness.run('FUNCTION', 'LOAD', 'REPLACE', endless))).toBe(
    'ERR Error registering functions: ERR FUNCTION LOAD timeout',
  );
  const large = '#!lua name=counter\nlocal t = {} while true do t[#t + 1] = {} end';
  expect(error(harness.run('FUNCTION', 'LOAD', 'REPLACE', large))).toMatch(
    /Error registering functions: ERR/,
  );
  const taken = "#!lua name=another\nredis.register_function('Add', function() end)";
  expect(error(harness.run('FUNCTION', 'LOAD', taken))).toBe('ERR Function Add already exists');
  expect(harness.run('FCALL', 'add', '1', 'key')).toEqual([1, 1]);
});

test('a function is ended as a script is', () => {
  const harness = new Harness();
  harness.run(
    'FUNCTION',
    'LOAD',
    "#!lua name=l\nredis.register_function('loop', function() while true do end end)",
  );
  expect(error(harness.run('FCALL', 'loop', '0'))).toMatch(/^ERR script: loop was stopped after \d+ steps/);
});

test('a dump brings all libraries back, and a collision changes nothing', () => {
  const harness = new Harness();
  const other = "#!lua name=other\nredis.register_function('one', function() return 1 end)";
  harness.run('FUNCTION', 'LOAD', COUNTER);
  harness.run('FUNCTION', 'LOAD', other);
  const dump = harness.run('FUNCTION', 'DUMP') as string;
  harness.run('FUNCTION', 'FLUSH');
  expect(error(harness.run('FCALL', 'one', '0'))).toBe('ERR Function not found');
  harness.run('FUNCTION', 'LOAD', other);
  expect(error(harness.run('FUNCTION', 'RESTORE', dump))).toBe('ERR Library other already exists');
  expect(error(harness.run('FCALL', 'add', '1', 'key'))).toBe('ERR Function not found');
  expect(harness.run('FUNCTION', 'RESTORE', dump, 'REPLACE')).toBe('OK');
  expect(harness.run('FCALL', 'add', '1', 'key')).toEqual([1, 1]);
  expect(harness.run('FUNCTION', 'DUMP')).toHaveLength(dump.length);
  expect(error(harness.run('FUNCTION', 'RESTORE', `${dump.slice(0, -1)}x`))).toBe(
    'ERR DUMP payload version or checksum are wrong',
  );
  expect(harness.follower().digest()).toBe(harness.store.digest());
});
