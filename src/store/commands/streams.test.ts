import { describe, expect, test } from 'vitest';
import { noReply } from '../reply.ts';
import { call, Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';

/** The ids of a reply of entries. */
function idsOf(reply: Reply): Reply[] {
  return (reply as Reply[][]).map(([id]) => id ?? null);
}

function add(harness: Harness, key: string, from: number, to: number): void {
  for (let at = from; at <= to; at++) harness.run('XADD', key, `${at}-0`, 'f', String(at));
}

/** The follower has the same, and so has whoever restores a snapshot. */
function expectSameEverywhere(harness: Harness): void {
  const digest = harness.store.digest();
  expect(harness.follower().digest()).toBe(digest);
  const copy = restored(snapshotOf(harness.store));
  expect(copy.digest()).toBe(digest);
  expect(copy.bytes).toBe(harness.store.bytes);
}

describe('XADD', () => {
  test('takes ids from the time of the entry, and never an older one than before', () => {
    const harness = new Harness();
    expect(harness.run('XADD', 's', '*', 'f', 'v')).toBe('1000000-0');
    expect(harness.run('XADD', 's', '*', 'f', 'v')).toBe('1000000-1');
    harness.now -= 5000;
    expect(harness.run('XADD', 's', '*', 'f', 'v')).toBe('1000000-2');
    expect(harness.run('XADD', 's', '2000000-7', 'f', 'v')).toBe('2000000-7');
    harness.now += 10_000;
    expect(harness.run('XADD', 's', '*', 'f', 'v')).toBe('2000000-8');
    expect(harness.run('XADD', 's', '3000000-18446744073709551615', 'f', 'v')).toBe(
      '3000000-18446744073709551615',
    );
    expect(harness.run('XADD', 's', '*', 'f', 'v')).toBe('3000001-0');
    expectSameEverywhere(harness);
  });

  test('finds the sequence for given milliseconds', () => {
    const harness = new Harness();
    expect(harness.run('XADD', 's', '0-*', 'f', 'v')).toBe('0-1');
    expect(harness.run('XADD', 's', '0-*', 'f', 'v')).toBe('0-2');
    expect(harness.run('XADD', 's', '5-*', 'f', 'v')).toBe('5-0');
    expect(harness.run('XADD', 's', '4-*', 'f', 'v')).toBeInstanceOf(Error);
    expect(harness.run('XADD', 's', '5-18446744073709551615', 'f', 'v')).toBe('5-18446744073709551615');
    expect(harness.run('XADD', 's', '5-*', 'f', 'v')).toBeInstanceOf(Error);
  });

  test('says when there are no more ids', () => {
    const harness = new Harness();
    const last = '18446744073709551615-18446744073709551615';
    expect(harness.run('XADD', 's', last, 'f', 'v')).toBe(last);
    const exhausted = 'ERR The stream has exhausted the last possible ID, unable to add more items';
    expect(harness.run('XADD', 's', '*', 'f', 'v')).toEqual(new Error(exhausted));
    expect(harness.run('XADD', 's', '1-1', 'f', 'v')).toEqual(new Error(exhausted));
    expect(harness.run('XREAD', 'STREAMS', 's', last)).toBeNull();
  });

  test('creates nothing when it fails, and is not to create with NOMKSTREAM', () => {
    const harness = new Harness();
    expect(harness.run('XADD', 's', '0-0', 'f', 'v')).toEqual(
      new Error('ERR The ID specified in XADD must be greater than 0-0'),
    );
    expect(harness.run('XADD', 's', 'NOMKSTREAM', '*', 'f', 'v')).toBeNull();
    expect(harness.run('XADD', 's', '1-1', 'f', 'v', 'g')).toEqual(
      new Error("ERR wrong number of arguments for 'xadd' command"),
    );
    expect(harness.run('XADD', 's', 'MAXLEN', '1', 'MINID', '1', '1-1', 'f', 'v')).toBeInstanceOf(Error);
    expect(harness.run('XADD', 's', 'LIMIT', '5', '1-1', 'f', 'v')).toBeInstanceOf(Error);
    expect(harness.run('EXISTS', 's')).toBe(0);
  });

  test('trims: to a length or an id, and with ~ only what Redis would', () => {
    const harness = new Harness();
    add(harness, 's', 1, 250);
    harness.run('XADD', 's', 'MAXLEN', '~', '100', '251-0', 'f', 'v');
    expect(harness.run('XLEN', 's')).toBe(151);
    harness.run('XADD', 's', 'MINID', '~', '199', '252-0', 'f', 'v');
    expect(harness.run('XLEN', 's')).toBe(152);
    harness.run('XADD', 's', 'MINID', '199', '253-0', 'f', 'v');
    expect(harness.run('XLEN', 's')).toBe(55);
    harness.run('XADD', 's', 'MAXLEN', '=', '3', '254-0', 'f', 'v');
    expect(idsOf(harness.run('XRANGE', 's', '-', '+'))).toEqual(['252-0', '253-0', '254-0']);
    // As ever, a stream without entries stays.
    harness.run('XADD', 's', 'MAXLEN', '0', '255-0', 'f', 'v');
    expect(harness.run('XRANGE', 's', '-', '+')).toEqual([]);
    expect(harness.run('TYPE', 's')).toBe('stream');
    expectSameEverywhere(harness);
  });
});

describe('ranges', () => {
  const harness = new Harness();
  add(harness, 's', 1, 120);

  test('are between ids, forwards and backwards', () => {
    expect(idsOf(harness.run('XRANGE', 's', '98', '102'))).toEqual([
      '98-0',
      '99-0',
      '100-0',
      '101-0',
      '102-0',
    ]);
    expect(idsOf(harness.run('XREVRANGE', 's', '102', '(98-0'))).toEqual(['102-0', '101-0', '100-0', '99-0']);
    expect(idsOf(harness.run('XRANGE', 's', '(98-0', '+', 'COUNT', '1', 'COUNT', '2'))).toEqual([
      '99-0',
      '100-0',
    ]);
    expect(idsOf(harness.run('XREVRANGE', 's', '+', '-', 'COUNT', '1'))).toEqual(['120-0']);
    expect(harness.run('XRANGE', 's', '50', '40')).toEqual([]);
  });

  test('of nothing: no entries asked for, none there, no stream', () => {
    expect(harness.run('XRANGE', 's', '-', '+', 'COUNT', '0')).toBeNull();
    expect(harness.run('XRANGE', 'missing', '-', '+', 'COUNT', '0')).toEqual([]);
    expect(harness.run('XRANGE', 's', '(18446744073709551615-18446744073709551615', '+')).toEqual(
      new Error('ERR invalid start ID for the interval'),
    );
    expect(harness.run('XRANGE', 's', '-', '(0-0')).toEqual(new Error('ERR invalid end ID for the interval'));
  });
});

test('XDEL leaves a stream that knows what it had', () => {
  const harness = new Harness();
  add(harness, 's', 1, 3);
  expect(harness.run('XDEL', 's', '2', '2-0', '7')).toBe(1);
  expect(harness.run('XDEL', 's', '1', '3', 'x')).toBeInstanceOf(Error);
  expect(harness.run('XDEL', 's', '1', '3')).toBe(2);
  expect(harness.run('XLEN', 's')).toBe(0);
  expect(harness.run('XADD', 's', '3-0', 'f', 'v')).toBeInstanceOf(Error);
  expect(harness.run('XSETID', 's', '2')).toBe('OK');
  expect(harness.run('XADD', 's', '3-0', 'f', 'v')).toBe('3-0');
  expectSameEverywhere(harness);
});

test('a write that changes nothing is none to who watches the key', () => {
  const harness = new Harness();
  add(harness, 's', 1, 3);
  const version = harness.store.version('s');
  harness.run('XDEL', 's', '9');
  harness.run('XTRIM', 's', 'MAXLEN', '3');
  harness.run('XTRIM', 's', 'MINID', '1');
  harness.run('XADD', 's', '1-1', 'f', 'v');
  expect(harness.store.version('s')).toBe(version);
  // Nor is XSETID, for Redis.
  harness.run('XSETID', 's', '9');
  expect(harness.store.version('s')).toBe(version);
  harness.run('XDEL', 's', '2');
  expect(harness.store.version('s')).not.toBe(version);
  expectSameEverywhere(harness);
});

describe('XREAD', () => {
  test('gives what is behind the ids, of those streams that have something', () => {
    const harness = new Harness();
    add(harness, 's', 1, 3);
    add(harness, 't', 1, 1);
    expect(harness.run('XREAD', 'COUNT', '1', 'STREAMS', 's', 't', 'u', '1', '0', '0')).toEqual([
      ['s', [['2-0', ['f', '2']]]],
      ['t', [['1-0', ['f', '1']]]],
    ]);
    expect(harness.run('XREAD', 'STREAMS', 's', 't', '$', '1')).toBeNull();
    harness.run('XDEL', 's', '3');
    expect(harness.run('XREAD', 'STREAMS', 's', '2')).toBeNull();
  });

  test('has the client wait, for what comes after this moment', () => {
    const harness = new Harness();
    add(harness, 's', 1, 3);
    const waitOf = (...args: string[]): unknown => {
      const { command } = call(...args);
      return harness.store.readOrWait(command, args, noReply, harness.now);
    };
    const retry = [
      'XREAD',
      'BLOCK',
      '70',
      'BLOCK',
      '70+',
      'COUNT',
      '1000',
      'STREAMS',
      's',
      't',
      '3-0',
      '0-0',
    ];
    expect(waitOf('XREAD', 'BLOCK', '70', 'STREAMS', 's', 't', '$', '$')).toEqual({
      keys: ['s', 't'],
      timeoutMs: 70,
      retry,
    });
    // What waits goes on waiting, also when a key has become something else.
    harness.run('SET', 's', 'x');
    expect(waitOf(...retry)).toEqual({ keys: ['s', 't'], timeoutMs: 70, retry });
    expect(waitOf('XREAD', 'BLOCK', '70', 'STREAMS', 's', '0')).toBeNull();
    harness.run('DEL', 's');
    add(harness, 't', 9, 9);
    expect(harness.run(...retry)).toEqual([['t', [['9-0', ['f', '9']]]]]);
    // In a transaction there is no waiting.
    expect(harness.run('XREAD', 'BLOCK', '0', 'STREAMS', 's', '$')).toBeNull();
  });

  test.each([
    ['-1', 'ERR timeout is negative'],
    ['x', 'ERR timeout is not an integer or out of range'],
    ['9223372036854775807', 'ERR timeout is out of range'],
  ])('does not wait for %s ms', (timeout, error) => {
    expect(new Harness().run('XREAD', 'BLOCK', timeout, 'STREAMS', 's', '0')).toEqual(new Error(error));
  });
});
