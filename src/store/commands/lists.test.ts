/** Lists and the commands that take elements off them; what they answer in detail is compared with Redis elsewhere. */
import { describe, expect, test } from 'vitest';
import { keysOf } from '../command.ts';
import { WRONG_TYPE } from '../errors.ts';
import { Store } from '../store.ts';
import { call, eventsOf, Harness, Recorder, restored, snapshotOf } from '../testing/harness.ts';

const MILLION = 1_000_000;

/** A harness with lists, by their keys. */
function withLists(lists: Readonly<Record<string, string>>): Harness {
  const harness = new Harness();
  for (const [key, elements] of Object.entries(lists)) harness.run('RPUSH', key, ...elements.split(''));
  harness.run('SET', 'string', 'value');
  return harness;
}

function elements(harness: Harness, key: string): string {
  return (harness.run('LRANGE', key, '0', '-1') as string[]).join('');
}

test('ends, the middle and ranges', () => {
  const harness = new Harness();
  expect(harness.run('RPUSH', 'list', 'b', 'c')).toBe(2);
  expect(harness.run('LPUSH', 'list', 'a', '0')).toBe(4);
  expect(elements(harness, 'list')).toBe('0abc');
  expect(harness.run('LINSERT', 'list', 'before', 'b', 'x')).toBe(5);
  expect(harness.run('LINSERT', 'list', 'AFTER', 'c', 'y')).toBe(6);
  expect(harness.run('LINSERT', 'list', 'AFTER', 'nothing', 'y')).toBe(-1);
  expect(harness.run('LSET', 'list', '-1', 'z')).toBe('OK');
  expect(elements(harness, 'list')).toBe('0axbcz');
  expect(harness.run('LINDEX', 'list', '-2')).toBe('c');
  expect(harness.run('LTRIM', 'list', '1', '-2')).toBe('OK');
  expect(harness.run('LPOP', 'list')).toBe('a');
  expect(harness.run('RPOP', 'list', '2')).toEqual(['c', 'b']);
  expect(elements(harness, 'list')).toBe('x');
});

test('LREM takes from the head, from the tail or all', () => {
  const harness = withLists({ one: 'abacada', two: 'abacada', three: 'abacada' });
  expect(harness.run('LREM', 'one', '2', 'a')).toBe(2);
  expect(elements(harness, 'one')).toBe('bcada');
  expect(harness.run('LREM', 'two', '-2', 'a')).toBe(2);
  expect(elements(harness, 'two')).toBe('abacd');
  expect(harness.run('LREM', 'three', '0', 'a')).toBe(4);
  expect(elements(harness, 'three')).toBe('bcd');
});

test('LPOS counts matches from an end and positions from the head', () => {
  const harness = withLists({ list: 'abcabcabc' });
  expect(harness.run('LPOS', 'list', 'b')).toBe(1);
  expect(harness.run('LPOS', 'list', 'b', 'RANK', '-1')).toBe(7);
  expect(harness.run('LPOS', 'list', 'b', 'RANK', '2', 'COUNT', '0')).toEqual([4, 7]);
  expect(harness.run('LPOS', 'list', 'b', 'MAXLEN', '1')).toBe(null);
  expect(harness.run('LPOS', 'list', 'b', 'MAXLEN', '1', 'COUNT', '1')).toEqual([]);
});

test('a list that loses its last element is gone, whichever command takes it', () => {
  for (const last of [
    ['LPOP', 'list'],
    ['RPOP', 'list', '5'],
    ['LTRIM', 'list', '5', '9'],
    ['LREM', 'list', '0', 'a'],
    ['RPOPLPUSH', 'list', 'other'],
    ['LMPOP', '1', 'list', 'RIGHT', 'COUNT', '9'],
    ['BLPOP', 'list', '0'],
  ]) {
    const harness = withLists({ list: 'a' });
    harness.run('PEXPIRE', 'list', '5000');
    const events = eventsOf(harness.store);
    harness.run(...last);
    expect(harness.run('EXISTS', 'list'), last[0]).toBe(0);
    expect(events.at(-1), last[0]).toBe('g del list');
    expect(harness.store.deadlineOf('list')).toBe(Infinity);
  }
});

describe('moves', () => {
  test('from any end to any end', () => {
    const harness = withLists({ one: 'abc', two: 'xyz' });
    expect(harness.run('LMOVE', 'one', 'two', 'LEFT', 'RIGHT')).toBe('a');
    expect(harness.run('LMOVE', 'one', 'two', 'right', 'left')).toBe('c');
    expect([elements(harness, 'one'), elements(harness, 'two')]).toEqual(['b', 'cxyza']);
    expect(harness.run('RPOPLPUSH', 'missing', 'two')).toBe(null);
  });

  test('on one list they turn it round, be it of one element', () => {
    const harness = withLists({ list: 'abc', single: 'a' });
    harness.run('RPOPLPUSH', 'list', 'list');
    expect(elements(harness, 'list')).toBe('cab');
    const events = eventsOf(harness.store);
    harness.run('RPOPLPUSH', 'single', 'single');
    expect(elements(harness, 'single')).toBe('a');
    expect(events).toEqual(['l lpush single', 'l rpop single']);
  });

  test('a target of another type leaves the source alone', () => {
    const harness = withLists({ list: 'abc' });
    const version = harness.store.version('list');
    expect(harness.run('LMOVE', 'list', 'string', 'LEFT', 'LEFT')).toEqual(new Error(WRONG_TYPE));
    expect(elements(harness, 'list')).toBe('abc');
    expect(harness.store.version('list')).toBe(version);
    // Without a source nobody looks at the target.
    expect(harness.run('LMOVE', 'missing', 'string', 'LEFT', 'LEFT')).toBe(null);
  });

  test('a new target is told of before the source', () => {
    const harness = withLists({ list: 'a' });
    const events = eventsOf(harness.store);
    harness.run('LMOVE', 'list', 'new', 'LEFT', 'RIGHT');
    expect(events).toEqual(['n new new', 'l rpush new', 'l lpop list', 'g del list']);
  });
});

test('mistakes are found in the order in which Redis looks for them', () => {
  const harness = withLists({ list: 'abc' });
  const error = (...args: string[]): string => (harness.run(...args) as Error).message;
  // The arguments first …
  expect(error('LPOP', 'string', 'x')).toBe('ERR value is out of range, must be positive');
  expect(error('LREM', 'string', 'x', 'a')).toBe('ERR value is not an integer or out of range');
  expect(error('LINSERT', 'missing', 'on', 'a', 'b')).toBe('ERR syntax error');
  expect(error('LPOS', 'string', 'a', 'COUNT', '-1')).toBe("ERR COUNT can't be negative");
  expect(error('BLMPOP', 'never', '0', 'list', 'LEFT')).toBe('ERR numkeys should be greater than 0');
  expect(error('BLMPOP', 'never', '1', 'list', 'LEFT')).toBe('ERR timeout is not a float or out of range');
  expect(error('BLMOVE', 'list', 'list', 'up', 'LEFT', 'never')).toBe('ERR syntax error');
  // … but for two commands, which look at the key before the index.
  expect(error('LSET', 'missing', 'x', 'a')).toBe('ERR no such key');
  expect(error('LINDEX', 'string', 'x')).toBe(WRONG_TYPE);
  expect(harness.run('LINDEX', 'missing', 'x')).toBe(null);
  // Of several keys those before the first list count.
  expect(error('BLPOP', 'missing', 'string', 'list', '0')).toBe(WRONG_TYPE);
  expect(harness.run('LMPOP', '3', 'missing', 'list', 'string', 'LEFT')).toEqual(['list', ['a']]);
});

test('what changes nothing leaves the version that WATCH sees', () => {
  const harness = withLists({ list: 'abc' });
  const version = harness.store.version('list');
  harness.run('LREM', 'list', '0', 'nothing');
  harness.run('LPOP', 'list', '0');
  harness.run('LINSERT', 'list', 'BEFORE', 'nothing', 'x');
  harness.run('LSET', 'list', '7', 'x');
  harness.run('LPUSHX', 'missing', 'x');
  expect(harness.store.version('list')).toBe(version);
  // LTRIM is a change in Redis's eyes, even if everything stays.
  harness.run('LTRIM', 'list', '0', '-1');
  expect(harness.store.version('list')).not.toBe(version);
});

describe('with nothing to give', () => {
  const nothing: readonly (readonly [args: string[], keys: string[], timeoutMs: number])[] = [
    [['BLPOP', 'one', 'two', '1.5'], ['one', 'two'], 1500],
    [['brpop', 'one', '0'], ['one'], 0],
    [['BLMOVE', 'one', 'two', 'LEFT', 'RIGHT', '0.0001'], ['one'], 1],
    [['BRPOPLPUSH', 'one', 'two', '1e-9'], ['one'], 1],
    [['BLMPOP', '-0.0001', '2', 'one', 'two', 'LEFT', 'COUNT', '3'], ['one', 'two'], 0],
  ];
  test.each(nothing)('%j waits for %j', (args, keys, timeoutMs) => {
    const store = new Store();
    const reply = new Recorder();
    store.beginEntry(1, 1000);
    expect(store.executeOrWait(call(...args).command, args, reply)).toEqual({ keys, timeoutMs, retry: args });
    expect(reply.replies).toEqual([]);
    // As in a transaction: it answers at once.
    store.execute(call(...args).command, args, reply);
    expect(reply.replies).toEqual([null]);
    store.endEntry();
    expect(store.size).toBe(0);
  });

  test.each(nothing)('%j takes what is there', (args) => {
    const harness = withLists({ one: 'abc' });
    const reply = new Recorder();
    const { store } = harness;
    store.beginEntry(store.appliedIndex + 1, 1000);
    expect(store.executeOrWait(call(...args).command, args, reply)).toBe(null);
    expect(reply.replies).toHaveLength(1);
    store.endEntry();
    expect(harness.run('LLEN', 'one')).toBeLessThan(3);
  });
});

test('keys whose number is an argument', () => {
  const keys = (...args: string[]): string[] => keysOf(call(...args).command, args);
  expect(keys('LMPOP', '2', 'a', 'b', 'LEFT')).toEqual(['a', 'b']);
  expect(keys('BLMPOP', '0', '2', 'a', 'b', 'LEFT')).toEqual(['a', 'b']);
  expect(keys('BLPOP', 'a', 'b', '0')).toEqual(['a', 'b']);
  for (const number of ['0', '-1', 'x', '9', '9223372036854775807'])
    expect(keys('LMPOP', number, 'a', 'b', 'LEFT')).toEqual([]);
});

test('a list of a million elements, cut and thinned out, is the same on every node', () => {
  const harness = new Harness();
  const thousand = Array.from({ length: 1000 }, (_, at) => `${at % 10}`);
  for (let at = 0; at < MILLION; at += 1000) harness.run('RPUSH', 'list', ...thousand);
  const { bytes } = harness.store;
  harness.run('COPY', 'list', 'copy');
  expect(harness.run('LREM', 'list', '0', '3')).toBe(MILLION / 10);
  expect(harness.run('LTRIM', 'list', '450000', '-450001')).toBe('OK');
  expect(harness.run('LLEN', 'list')).toBe(0);
  expect(harness.run('LTRIM', 'copy', '499990', '500009')).toBe('OK');
  expect(elements(harness, 'copy')).toBe('01234567890123456789');
  harness.run('RENAME', 'copy', 'list');
  expect(harness.store.bytes).toBe(bytes - (MILLION - 20) * 65);
  expect(harness.follower().digest()).toBe(harness.store.digest());
  expect(restored(snapshotOf(harness.store)).digest()).toBe(harness.store.digest());
});
