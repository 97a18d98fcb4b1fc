import { describe, expect, test } from 'vitest';
import { keepsReply } from '../once.ts';
import { call, Harness } from '../testing/harness.ts';
import { bytesOf } from '../value.ts';

describe('OBJECT ENCODING', () => {
  test.each([
    ['12345', 'int'],
    ['-1', 'int'],
    ['9223372036854775807', 'int'],
    ['9223372036854775808', 'embstr'],
    ['007', 'embstr'],
    ['', 'embstr'],
    ['x'.repeat(44), 'embstr'],
    ['x'.repeat(45), 'raw'],
  ])('of %j is %s', (value, encoding) => {
    const harness = new Harness();
    harness.run('SET', 'key', value);
    expect(harness.run('OBJECT', 'ENCODING', 'key')).toBe(encoding);
  });

  test('of collections is what they say, of nothing null', () => {
    const harness = new Harness();
    harness.run('RPUSH', 'list', 'a');
    harness.run('HSET', 'hash', 'a', '1');
    expect(harness.run('OBJECT', 'encoding', 'list')).toBe('quicklist');
    expect(harness.run('OBJECT', 'encoding', 'hash')).toBe('listpack');
    expect(harness.run('OBJECT', 'encoding', 'missing')).toBe(null);
  });
});

test('OBJECT REFCOUNT: Redis shares small numbers', () => {
  const harness = new Harness();
  harness.run('MSET', 'small', '9999', 'large', '10000', 'negative', '-1', 'text', 'x');
  const references = (key: string): unknown => harness.run('OBJECT', 'REFCOUNT', key);
  expect(['small', 'large', 'negative', 'text', 'missing'].map(references)).toEqual([
    2_147_483_647,
    1,
    1,
    1,
    null,
  ]);
});

describe('uses', () => {
  test('IDLETIME counts from the last use; telling about a key is none', () => {
    const harness = new Harness();
    harness.run('SET', 'key', 'value');
    const idle = (): unknown => harness.run('OBJECT', 'IDLETIME', 'key');
    harness.now += 10_000;
    for (const command of ['EXISTS', 'TYPE', 'TTL', 'EXPIRETIME']) harness.run(command, 'key');
    harness.run('MEMORY', 'USAGE', 'key');
    expect([idle(), idle()]).toEqual([10, 10]);
    for (const use of [
      ['GET', 'key'],
      ['TOUCH', 'key'],
      ['APPEND', 'key', 'x'],
      ['SET', 'key', 'other'],
    ]) {
      harness.run(...use);
      expect(idle(), use[0]).toBe(0);
      harness.now += 3000;
      expect(idle()).toBe(3);
    }
    expect(harness.run('OBJECT', 'IDLETIME', 'missing')).toBe(null);
  });

  test('FREQ counts where the policy asks for it, and IDLETIME where it does not', () => {
    const harness = new Harness();
    harness.run('SET', 'key', 'value');
    const error = (...args: string[]): string => (harness.run(...args) as Error).message;
    expect(error('OBJECT', 'FREQ', 'key')).toContain('ERR An LFU maxmemory policy is not selected');
    expect(harness.run('OBJECT', 'FREQ', 'missing')).toBe(null);
    harness.run('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    expect(error('OBJECT', 'FREQ', 'key')).toContain('ERR An LFU maxmemory policy is not selected');
    harness.run('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lfu');
    expect(harness.run('OBJECT', 'FREQ', 'key')).toBe(5);
    for (let uses = 0; uses < 1000; uses++) harness.run('GET', 'key');
    expect(harness.run('OBJECT', 'FREQ', 'key')).toBeGreaterThan(8);
    expect(error('OBJECT', 'IDLETIME', 'key')).toContain('ERR An LFU maxmemory policy is selected');
  });

  test('they are no part of the state: a follower that served no read agrees', () => {
    const harness = new Harness();
    harness.run('SET', 'key', 'value');
    harness.now += 5000;
    harness.run('GET', 'key');
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('what they answer is not kept for writes that are named', () => {
    const kept = (...names: string[]): boolean =>
      keepsReply([call('SET', 'a', '1'), call('OBJECT', ...names, 'a')]);
    expect(kept('ENCODING')).toBe(true);
    expect(kept('IDLETIME')).toBe(false);
    expect(kept('FREQ')).toBe(false);
  });
});

test('MEMORY USAGE is what the store counts', () => {
  const harness = new Harness();
  harness.run('SET', 'key', 'value');
  expect(harness.run('MEMORY', 'USAGE', 'key')).toBe(bytesOf('key', 'value'));
  expect(harness.run('MEMORY', 'USAGE', 'key', 'SAMPLES', '0')).toBe(harness.store.bytes);
  expect(harness.run('MEMORY', 'USAGE', 'missing')).toBe(null);
  const error = (...args: string[]): string =>
    (harness.run('MEMORY', 'USAGE', 'key', ...args) as Error).message;
  expect(error('SAMPLES', 'x')).toBe('ERR value is not an integer or out of range');
  expect(error('SAMPLES', '-1')).toBe('ERR syntax error');
  expect(error('SAMPLES')).toBe('ERR syntax error');
  expect(error('nonsense', '1')).toBe('ERR syntax error');
});
