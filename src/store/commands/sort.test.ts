import { describe, expect, test } from 'vitest';
import { keysOf } from '../command.ts';
import { WRONG_TYPE } from '../errors.ts';
import { call, eventsOf, Harness } from '../testing/harness.ts';

function withElements(...elements: string[]): Harness {
  const harness = new Harness();
  harness.run('RPUSH', 'list', ...elements);
  return harness;
}

test('numbers by value, bytes by ALPHA, both ways', () => {
  const harness = withElements('3', '-1', '10', '2.5', 'inf', '0x10');
  expect(harness.run('SORT', 'list')).toEqual(['-1', '2.5', '3', '10', '0x10', 'inf']);
  expect(harness.run('SORT', 'list', 'desc')).toEqual(['inf', '0x10', '10', '3', '2.5', '-1']);
  expect(harness.run('SORT', 'list', 'ALPHA')).toEqual(['-1', '0x10', '10', '2.5', '3', 'inf']);
  expect(harness.run('SORT', 'list', 'DESC', 'ASC', 'LIMIT', '1', '2')).toEqual(['2.5', '3']);
  harness.run('RPUSH', 'list', 'text');
  expect(harness.run('SORT', 'list', 'LIMIT', '0', '1')).toEqual(
    new Error("ERR One or more scores can't be converted into double"),
  );
});

test('sets, sorted sets and what is not there', () => {
  const harness = new Harness();
  harness.run('SADD', 'set', '3', '1', '2');
  harness.run('ZADD', 'zset', '1', '30', '2', '20', '3', '10');
  harness.run('SET', 'string', 'value');
  expect(harness.run('SORT', 'set')).toEqual(['1', '2', '3']);
  expect(harness.run('SORT', 'zset')).toEqual(['10', '20', '30']);
  expect(harness.run('SORT', 'zset', 'BY', 'nosort')).toEqual(['30', '20', '10']);
  expect(harness.run('SORT', 'zset', 'BY', 'nosort', 'DESC', 'LIMIT', '0', '2')).toEqual(['10', '20']);
  expect(harness.run('SORT', 'missing')).toEqual([]);
  expect(harness.run('SORT', 'string')).toEqual(new Error(WRONG_TYPE));
  // Options are looked at before the key.
  expect(harness.run('SORT', 'string', 'nonsense')).toEqual(new Error('ERR syntax error'));
  expect(harness.run('SORT_RO', 'set', 'STORE', 'other')).toEqual(new Error('ERR syntax error'));
});

test('a part of the order is a part of the whole order, equal weights included', () => {
  const harness = new Harness();
  const digits = Array.from({ length: 200 }, (_, at) => String((at * 7919) % 1000));
  harness.run('RPUSH', 'list', ...digits);
  for (let tens = 0; tens < 100; tens += 3) harness.run('SET', `${tens}`, `${tens % 5}`);
  for (const options of [
    [],
    ['DESC'],
    ['ALPHA'],
    ['BY', '*'],
    ['BY', '*', 'ALPHA'],
    ['BY', '*', 'ALPHA', 'DESC'],
  ]) {
    const whole = harness.run('SORT', 'list', ...options) as string[];
    for (const [skipped, count] of [
      [0, 0],
      [0, 1],
      [3, 4],
      [50, 60],
      [190, 20],
      [0, 200],
    ] as const)
      expect(harness.run('SORT', 'list', ...options, 'LIMIT', `${skipped}`, `${count}`)).toEqual(
        whole.slice(skipped, skipped + count),
      );
  }
});

describe('patterns', () => {
  const harness = withElements('1', '2', '3');
  harness.run('MSET', 'weight_1', '30', 'weight_2', '20', 'odd_1', 'b', 'odd_3', 'a');
  harness.run('HSET', 'user_1', 'age', '7', '->', 'arrow');
  harness.run('HSET', 'user_2', 'age', '5');

  test.each([
    // What is missing weighs nothing.
    [
      ['BY', 'weight_*'],
      ['3', '2', '1'],
    ],
    [
      ['BY', 'user_*->age'],
      ['3', '2', '1'],
    ],
    [
      ['BY', 'odd_*', 'ALPHA'],
      ['2', '3', '1'],
    ],
    [
      ['BY', 'odd_*', 'ALPHA', 'DESC'],
      ['1', '3', '2'],
    ],
    [
      ['BY', 'constant', 'DESC'],
      ['3', '2', '1'],
    ],
    [['BY', 'weight_*', 'BY', 'constant', 'LIMIT', '1', '1'], ['2']],
    [
      ['GET', '#', 'GET', 'weight_*', 'LIMIT', '1', '2'],
      ['2', '20', '3', null],
    ],
    [
      ['GET', 'user_*->age'],
      ['7', '5', null],
    ],
    // A hash is no string, a string no hash, and an arrow needs a field; of two the first counts.
    [
      ['GET', 'user_*', 'GET', 'weight_*->age', 'LIMIT', '0', '1'],
      [null, null],
    ],
    [
      ['GET', 'user_*->', 'GET', 'user_*->->', 'LIMIT', '0', '1'],
      [null, 'arrow'],
    ],
    [['GET', 'constant', 'LIMIT', '0', '1'], [null]],
  ])('%j', (options, expected) => {
    expect(harness.run('SORT_RO', 'list', ...options)).toEqual(expected);
  });
});

test('STORE makes a list of the result, whatever was there, and none of nothing', () => {
  const harness = withElements('3', '1', '2');
  harness.run('SET', 'target', 'value');
  harness.run('EXPIRE', 'target', '100');
  const events = eventsOf(harness.store);
  expect(harness.run('SORT', 'list', 'GET', '#', 'GET', 'missing_*', 'STORE', 'target')).toBe(6);
  expect(harness.run('LRANGE', 'target', '0', '-1')).toEqual(['1', '', '2', '', '3', '']);
  expect(harness.run('TTL', 'target')).toBe(-1);
  expect(harness.run('SORT', 'list', 'STORE', 'list')).toBe(3);
  expect(harness.run('LRANGE', 'list', '0', '-1')).toEqual(['1', '2', '3']);
  expect(harness.run('SORT', 'list', 'LIMIT', '5', '1', 'STORE', 'target')).toBe(0);
  expect(harness.run('EXISTS', 'target')).toBe(0);
  expect(harness.run('SORT', 'missing', 'STORE', 'target')).toBe(0);
  harness.run('SORT', 'list', 'STORE', 'new');
  expect(events).toEqual([
    'l sortstore target',
    'l sortstore list',
    'g del target',
    'n new new',
    'l sortstore new',
  ]);
  expect(harness.follower().digest()).toBe(harness.store.digest());
});

test('a set that is stored unsorted is stored by name: the same from every node', () => {
  const harness = new Harness();
  harness.run('SADD', 'set', 'b', 'c', 'a', 'd');
  expect(harness.run('SORT', 'set', 'BY', 'constant', 'LIMIT', '1', '2', 'STORE', 'target')).toBe(2);
  expect(harness.run('LRANGE', 'target', '0', '-1')).toEqual(['b', 'c']);
});

test('its keys are the first one and the last to store in', () => {
  const keys = (...args: string[]): string[] => keysOf(call('SORT').command, ['SORT', ...args]);
  expect(keys('a')).toEqual(['a']);
  expect(keys('a', 'BY', 'store', 'GET', 'store', 'LIMIT', 'store', '1', 'store', 'b')).toEqual(['a', 'b']);
  expect(keys('a', 'STORE', 'b', 'STORE', 'c')).toEqual(['a', 'c']);
  expect(keys('a', 'STORE')).toEqual(['a']);
  expect(keys()).toEqual([]);
});
