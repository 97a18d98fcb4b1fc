/** Deadlines of fields of hashes: commands as of Redis 7.4 and 8.0, which the comparison with 7.0 can't show. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EventClass } from '../listener.ts';
import { call, Harness, Recorder, type Reply, restored, snapshotOf } from '../testing/harness.ts';

const SECOND = 1000;

function hashOf(...fields: string[]): Harness {
  const harness = new Harness();
  harness.run('HSET', 'hash', ...fields.flatMap((field) => [field, `value of ${field}`]));
  return harness;
}

/** Events from now on, by `events.splice(0)`. */
function listen(harness: Harness): string[] {
  const events: string[] = [];
  harness.store.listener = {
    changed: () => {},
    cleared: () => {},
    event: (type: EventClass, event, key) => void events.push(`${type} ${event} ${key}`),
    message: () => 0,
    metaChanged: () => {},
    refused() {},
    restored: () => {},
  };
  return events;
}

describe('HEXPIRE and its kin', () => {
  test('say for each field what became of it', () => {
    const harness = hashOf('a', 'b', 'c');
    expect(harness.run('HEXPIRE', 'hash', '10', 'FIELDS', '3', 'a', 'x', 'b')).toEqual([1, -2, 1]);
    expect(harness.run('HTTL', 'hash', 'FIELDS', '4', 'a', 'b', 'c', 'x')).toEqual([10, 10, -1, -2]);
    expect(harness.run('HPTTL', 'hash', 'FIELDS', '1', 'a')).toEqual([10 * SECOND]);
    expect(harness.run('HPEXPIRETIME', 'hash', 'FIELDS', '1', 'a')).toEqual([harness.now + 10 * SECOND]);
    expect(harness.run('HEXPIRETIME', 'hash', 'FIELDS', '1', 'a')).toEqual([harness.now / 1000 + 10]);
    expect(harness.run('HPERSIST', 'hash', 'FIELDS', '3', 'a', 'c', 'x')).toEqual([1, -1, -2]);
    expect(harness.run('HTTL', 'hash', 'FIELDS', '2', 'a', 'b')).toEqual([-1, 10]);
    expect(harness.run('HEXPIREAT', 'hash', '2000', 'FIELDS', '1', 'a')).toEqual([1]);
    expect(harness.run('HPEXPIREAT', 'hash', '2000001', 'FIELDS', '1', 'b')).toEqual([1]);
    expect(harness.run('HEXPIRETIME', 'hash', 'FIELDS', '2', 'a', 'b')).toEqual([2000, 2001]);
  });

  test('a missing key has none of the fields', () => {
    const harness = new Harness();
    expect(harness.run('HEXPIRE', 'none', '10', 'FIELDS', '2', 'a', 'b')).toEqual([-2, -2]);
    expect(harness.run('HTTL', 'none', 'FIELDS', '1', 'a')).toEqual([-2]);
    expect(harness.run('HPERSIST', 'none', 'FIELDS', '1', 'a')).toEqual([-2]);
  });

  test('a deadline that has passed deletes at once, with the key where nothing is left', () => {
    const harness = hashOf('a', 'b');
    const events = listen(harness);
    expect(harness.run('HEXPIRE', 'hash', '0', 'FIELDS', '2', 'a', 'x')).toEqual([2, -2]);
    expect(harness.run('HGETALL', 'hash')).toEqual(['b', 'value of b']);
    expect(harness.run('HPEXPIREAT', 'hash', '5', 'FIELDS', '2', 'b', 'b')).toEqual([2, -2]);
    expect(harness.run('EXISTS', 'hash')).toBe(0);
    expect(events).toEqual(['h hdel hash', 'h hdel hash', 'g del hash']);
  });

  test.each([
    // The deadline before, in s from now, and what 10 s from now is answered with.
    ['NX', null, 1],
    ['NX', 20, 0],
    ['XX', null, 0],
    ['XX', 20, 1],
    ['GT', null, 0],
    ['GT', 10, 0],
    ['GT', 9, 1],
    ['LT', null, 1],
    ['LT', 10, 0],
    ['lt', 11, 1],
  ])('%s with %s before', (condition, before, expected) => {
    const harness = hashOf('a');
    if (before !== null) harness.run('HEXPIRE', 'hash', String(before), 'FIELDS', '1', 'a');
    expect(harness.run('HEXPIRE', 'hash', '10', condition, 'FIELDS', '1', 'a')).toEqual([expected]);
    const ttl = expected === 1 ? 10 : (before ?? -1);
    expect(harness.run('HTTL', 'hash', 'FIELDS', '1', 'a')).toEqual([ttl]);
  });

  test('what is wrong with the arguments is told in the order of Redis', () => {
    const harness = hashOf('a');
    harness.run('SET', 'string', 'x');
    const errors: [string, string[]][] = [
      [
        'WRONGTYPE Operation against a key holding the wrong kind of value',
        ['string', 'x', 'FIELDS', '1', 'a'],
      ],
      ['ERR value is not an integer or out of range', ['hash', 'x', 'FIELDS', '0', 'a']],
      ['ERR invalid expire time, must be >= 0', ['hash', '-1', 'FIELDS', '0', 'a']],
      ["ERR invalid expire time in 'hexpire' command", ['hash', '70368744178', 'FIELDS', '1', 'a']],
      ["ERR invalid expire time in 'hexpire' command", ['hash', '9223372036854775807', 'FIELDS', '1', 'a']],
      [
        'ERR Mandatory argument FIELDS is missing or not at the right position',
        ['hash', '1', 'NX', 'XX', 'FIELDS', '1', 'a'],
      ],
      ['ERR Parameter `numFields` should be greater than 0', ['hash', '1', 'FIELDS', '0', 'a']],
      ['ERR Parameter `numFields` should be greater than 0', ['hash', '1', 'XX', 'FIELDS', 'a', 'a']],
      ['ERR The `numfields` parameter must match the number of arguments', ['none', '1', 'FIELDS', '2', 'a']],
      [
        'ERR The `numfields` parameter must match the number of arguments',
        ['hash', '1', 'FIELDS', '1', 'a', 'b'],
      ],
    ];
    for (const [text, args] of errors) expect(harness.run('HEXPIRE', ...args)).toEqual(new Error(text));
    expect(harness.run('HTTL', 'string', 'x', 'x', 'x')).toEqual(new Error(errors[0]![0]));
    expect(harness.run('HTTL', 'none', 'x', '1', 'a')).toEqual(new Error(errors[5]![0]));
    expect(harness.run('HPERSIST', 'hash', 'FIELDS', '2', 'a')).toEqual(new Error(errors[8]![0]));
    expect(harness.run('HTTL', 'hash', 'FIELDS', '1', 'a')).toEqual([-1]);
  });
});

describe('a field whose deadline has passed', () => {
  /** Two fields of three have expired. */
  function expired(): Harness {
    const harness = hashOf('a', 'b', 'c');
    harness.run('HSET', 'hash', 'b', '5');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '2', 'a', 'b');
    harness.now += 100;
    return harness;
  }

  test('is missing for every command that reads', () => {
    const harness = expired();
    const expected: [Reply, string[]][] = [
      [null, ['HGET', 'hash', 'a']],
      [
        [null, 'value of c'],
        ['HMGET', 'hash', 'a', 'c'],
      ],
      [1, ['HLEN', 'hash']],
      [0, ['HEXISTS', 'hash', 'a']],
      [0, ['HSTRLEN', 'hash', 'a']],
      [
        ['c', 'value of c'],
        ['HGETALL', 'hash'],
      ],
      [['c'], ['HKEYS', 'hash']],
      [['value of c'], ['HVALS', 'hash']],
      [
        ['0', ['c', 'value of c']],
        ['HSCAN', 'hash', '0'],
      ],
      ['c', ['HRANDFIELD', 'hash']],
      [['c'], ['HRANDFIELD', 'hash', '10']],
      [
        ['c', 'c'],
        ['HRANDFIELD', 'hash', '-2'],
      ],
      [
        [-2, -1],
        ['HTTL', 'hash', 'FIELDS', '2', 'a', 'c'],
      ],
      [[-2], ['HPEXPIRETIME', 'hash', 'FIELDS', '1', 'a']],
    ];
    const before = harness.store.digest();
    for (const [reply, args] of expected) expect(harness.run(...args), args.join(' ')).toEqual(reply);
    expect(harness.store.digest(), 'reads have changed nothing').toBe(before);
  });

  test('is missing for every command that writes', () => {
    const expected: [Reply, string[]][] = [
      [0, ['HDEL', 'hash', 'a']],
      [1, ['HSET', 'hash', 'a', '1']],
      [1, ['HSETNX', 'hash', 'a', '1']],
      [1, ['HINCRBY', 'hash', 'b', '1']],
      ['1.5', ['HINCRBYFLOAT', 'hash', 'b', '1.5']],
      [[-2], ['HPERSIST', 'hash', 'FIELDS', '1', 'a']],
      [[-2], ['HEXPIRE', 'hash', '10', 'FIELDS', '1', 'a']],
      [[null], ['HGETDEL', 'hash', 'FIELDS', '1', 'a']],
      [[null], ['HGETEX', 'hash', 'PERSIST', 'FIELDS', '1', 'a']],
      [0, ['HSETEX', 'hash', 'FXX', 'FIELDS', '1', 'a', '1']],
      [1, ['HSETEX', 'hash', 'FNX', 'KEEPTTL', 'FIELDS', '1', 'a', '1']],
    ];
    for (const [reply, args] of expected) {
      const harness = expired();
      expect(harness.run(...args), args.join(' ')).toEqual(reply);
      harness.now += 1_000_000;
      expect(harness.run('HLEN', 'hash'), 'the old deadline is gone').toBe(
        ['HSET', 'HSETNX', 'HINCRBY', 'HINCRBYFLOAT'].includes(args[0]!) || reply === 1 ? 2 : 1,
      );
    }
  });

  test('takes its key along when it was the last, also where nothing has removed it', () => {
    const harness = expired();
    harness.run('HDEL', 'hash', 'c');
    expect(harness.store.size, 'the memory is still held').toBe(1);
    for (const [reply, args] of [
      [0, ['EXISTS', 'hash']],
      ['none', ['TYPE', 'hash']],
      [-2, ['TTL', 'hash']],
      [[], ['HGETALL', 'hash']],
      [[], ['KEYS', '*']],
      [null, ['RANDOMKEY']],
      [null, ['GET', 'hash']],
    ] as [Reply, string[]][])
      expect(harness.run(...args), args.join(' ')).toEqual(reply);
    const events = listen(harness);
    expect(harness.run('SADD', 'hash', 'a')).toBe(1);
    expect(events).toEqual(['h hexpired hash', 'g del hash', 'n new hash', 's sadd hash']);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('is told of when a string takes the place of its hash', () => {
    const harness = hashOf('a');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
    harness.now += 100;
    const events = listen(harness);
    harness.run('SET', 'hash', 'x');
    expect(events).toEqual(['h hexpired hash', 'g del hash', 'n new hash', '$ set hash']);
    expect(harness.store.hasDue(harness.now)).toBe(false);
  });
});

describe('what becomes of deadlines', () => {
  test('HSET takes them away, counting up keeps them', () => {
    const harness = new Harness();
    harness.run('HSET', 'hash', 'a', '1', 'b', '1', 'c', '1', 'd', '1');
    harness.run('HEXPIRE', 'hash', '10', 'FIELDS', '4', 'a', 'b', 'c', 'd');
    harness.run('HSET', 'hash', 'a', '2');
    harness.run('HINCRBY', 'hash', 'b', '1');
    harness.run('HINCRBYFLOAT', 'hash', 'c', '1');
    harness.run('HSETNX', 'hash', 'd', '2');
    expect(harness.run('HTTL', 'hash', 'FIELDS', '4', 'a', 'b', 'c', 'd')).toEqual([-1, 10, 10, 10]);
  });

  test('they go along with RENAME and COPY, and the key that had them has none', () => {
    const harness = hashOf('a', 'b');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
    harness.run('COPY', 'hash', 'copy');
    harness.run('RENAME', 'hash', 'renamed');
    harness.run('HPERSIST', 'copy', 'FIELDS', '1', 'a');
    harness.run('RENAME', 'copy', 'copy of copy');
    expect(harness.run('HPTTL', 'renamed', 'FIELDS', '2', 'a', 'b')).toEqual([100, -1]);
    harness.now += 100;
    expect(harness.store.dueKeys(harness.now, 10)).toEqual(['renamed']);
    expect(harness.run('HLEN', 'renamed')).toBe(1);
    expect(harness.run('HLEN', 'copy of copy')).toBe(2);
    harness.run('FLUSHALL');
    expect(harness.store.hasDue(harness.now)).toBe(false);
  });

  test('a snapshot keeps them, of fields that have expired, too', () => {
    const harness = hashOf('a', 'b', 'c');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
    harness.run('HPEXPIRE', 'hash', '200', 'FIELDS', '1', 'b');
    harness.now += 100;
    harness.run('SET', 'other', 'x');
    const copy = restored(snapshotOf(harness.store));
    expect(copy.digest()).toBe(harness.store.digest());
    expect(copy.bytes).toBe(harness.store.bytes);
    expect(copy.dueKeys(harness.now, 10)).toEqual(['hash']);
    const reply = new Recorder();
    const { command, args } = call('HKEYS', 'hash');
    copy.read(command, args, reply, harness.now + 99);
    copy.read(command, args, reply, harness.now + 100);
    expect(reply.replies).toEqual([['b', 'c'], ['c']]);
  });
});

describe('memory', () => {
  test('is freed by an expiry operation, with events, and the key goes with the last field', () => {
    const harness = hashOf('a', 'b');
    const { bytes } = harness.store;
    harness.run('HSET', 'hash', 'c', '1', 'd', '1');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '2', 'c', 'd');
    harness.now += 99;
    expect(harness.store.hasDue(harness.now)).toBe(false);
    harness.now += 1;
    expect(harness.store.dueKeys(harness.now, 10)).toEqual(['hash']);
    const events = listen(harness);
    harness.expire(['hash', 'none']);
    expect(events.splice(0)).toEqual(['h hexpired hash']);
    expect(harness.store.bytes).toBe(bytes);
    expect(harness.store.hasDue(harness.now)).toBe(false);
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '2', 'a', 'b');
    harness.now += 100;
    events.length = 0;
    harness.expire(['hash']);
    expect(events).toEqual(['h hexpired hash', 'g del hash']);
    expect([harness.store.size, harness.store.bytes]).toEqual([0, 0]);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('an operation that comes before the time of a field, in the log, does nothing', () => {
    const harness = hashOf('a', 'b');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
    const before = harness.store.digest();
    harness.expire(['hash']);
    expect(harness.store.digest()).toBe(before);
  });

  test('of many fields that expire together goes in several steps', () => {
    const harness = new Harness();
    for (let at = 0; at < 5000; at += 100) {
      const fields = Array.from({ length: 100 }, (_, index) => `f${at + index}`);
      harness.run('HSETEX', 'hash', 'PX', '100', 'FIELDS', '100', ...fields.flatMap((field) => [field, 'x']));
    }
    harness.run('HSET', 'hash', 'stays', 'x');
    harness.run('HSETEX', 'small', 'PX', '101', 'FIELDS', '1', 'a', 'x');
    harness.run('HSET', 'small', 'stays', 'x');
    harness.now += 101;
    expect(harness.run('HLEN', 'hash')).toBe(1);
    const events = listen(harness);
    let steps = 0;
    while (harness.store.hasDue(harness.now)) {
      harness.expire(harness.store.dueKeys(harness.now, 1000));
      steps++;
      // What there was no time for is left as it was.
      expect(events.splice(0)).toEqual(['h hexpired hash', ...(steps < 3 ? [] : ['h hexpired small'])]);
      expect(harness.run('HGETALL', 'hash')).toEqual(['stays', 'x']);
    }
    expect(steps).toBe(3);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });
});

describe('WATCH', () => {
  const get = call('HGET', 'hash', 'a');
  const set = call('SET', 'result', 'x');

  test('sees that a field has expired, whether it is still in memory or not', () => {
    for (const removes of [false, true]) {
      const harness = hashOf('a', 'b');
      harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
      const watches = [{ key: 'hash', version: harness.store.version('hash') }];
      harness.now += 99;
      expect(harness.transaction([get], watches)).toEqual(['value of a']);
      harness.now += 1;
      if (removes) harness.expire(['hash']);
      expect(harness.transaction([get, set], watches)).toBeNull();
      expect(harness.follower().digest()).toBe(harness.store.digest());
    }
  });

  test('runs when nothing has expired since', () => {
    const harness = hashOf('a', 'b');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
    harness.now += 100;
    harness.expire(['hash']);
    const watches = [{ key: 'hash', version: harness.store.version('hash') }];
    harness.run('SET', 'other', 'x');
    expect(harness.transaction([get, set], watches)).toEqual([null, 'OK']);
  });

  test('can promise nothing about a hash that is about to change', () => {
    const harness = hashOf('a', 'b');
    harness.run('HPEXPIRE', 'hash', '100', 'FIELDS', '1', 'a');
    harness.now += 100;
    harness.run('SET', 'other', 'x');
    const watches = [{ key: 'hash', version: harness.store.version('hash') }];
    expect(harness.transaction([get, set], watches)).toBeNull();
  });
});

describe('HGETDEL, HGETEX and HSETEX', () => {
  test('HGETDEL reads and deletes', () => {
    const harness = hashOf('a', 'b');
    const events = listen(harness);
    expect(harness.run('HGETDEL', 'hash', 'FIELDS', '3', 'a', 'x', 'a')).toEqual(['value of a', null, null]);
    expect(harness.run('HGETDEL', 'hash', 'FIELDS', '1', 'b')).toEqual(['value of b']);
    expect(harness.run('HGETDEL', 'hash', 'FIELDS', '1', 'b')).toEqual([null]);
    expect(events).toEqual(['h hdel hash', 'h hdel hash', 'g del hash']);
    expect(harness.run('HGETDEL', 'hash', 'FIELDS', '0', 'b')).toEqual(
      new Error('ERR Number of fields must be a positive integer'),
    );
  });

  test('HGETEX reads, and changes deadlines where it is told to', () => {
    const harness = hashOf('a', 'b');
    const events = listen(harness);
    expect(harness.run('HGETEX', 'hash', 'EX', '10', 'FIELDS', '2', 'a', 'x')).toEqual(['value of a', null]);
    expect(harness.run('HGETEX', 'hash', 'FIELDS', '1', 'a')).toEqual(['value of a']);
    expect(harness.run('HTTL', 'hash', 'FIELDS', '2', 'a', 'b')).toEqual([10, -1]);
    expect(harness.run('HGETEX', 'hash', 'PERSIST', 'FIELDS', '2', 'a', 'b')).toEqual([
      'value of a',
      'value of b',
    ]);
    expect(harness.run('HTTL', 'hash', 'FIELDS', '1', 'a')).toEqual([-1]);
    expect(harness.run('HGETEX', 'hash', 'PXAT', '1', 'FIELDS', '2', 'a', 'b')).toEqual([
      'value of a',
      'value of b',
    ]);
    expect(harness.run('EXISTS', 'hash')).toBe(0);
    expect(events).toEqual(['h hexpire hash', 'h hpersist hash', 'h hdel hash', 'g del hash']);
  });

  test('HSETEX sets values and deadlines, if all fields are there or none', () => {
    const harness = new Harness();
    expect(harness.run('HSETEX', 'hash', 'FXX', 'EX', '10', 'FIELDS', '1', 'a', '1')).toBe(0);
    expect(harness.run('EXISTS', 'hash')).toBe(0);
    expect(harness.run('HSETEX', 'hash', 'EX', '10', 'FNX', 'FIELDS', '2', 'a', '1', 'b', '2')).toBe(1);
    expect(harness.run('HSETEX', 'hash', 'FNX', 'FIELDS', '2', 'a', '3', 'c', '3')).toBe(0);
    expect(harness.run('HSETEX', 'hash', 'FXX', 'FIELDS', '2', 'a', '3', 'c', '3')).toBe(0);
    expect(harness.run('HSETEX', 'hash', 'FXX', 'KEEPTTL', 'FIELDS', '1', 'a', '4')).toBe(1);
    expect(harness.run('HSETEX', 'hash', 'FIELDS', '1', 'b', '5')).toBe(1);
    expect(harness.run('HGETALL', 'hash')).toEqual(['a', '4', 'b', '5']);
    expect(harness.run('HTTL', 'hash', 'FIELDS', '2', 'a', 'b')).toEqual([10, -1]);
    expect(harness.run('HSETEX', 'hash', 'PXAT', '5', 'FIELDS', '2', 'a', '6', 'b', '6')).toBe(1);
    expect(harness.run('HSETEX', 'hash', 'PXAT', '5', 'FIELDS', '1', 'a', '6')).toBe(1);
    expect(harness.run('EXISTS', 'hash')).toBe(0);
  });

  test('HSETEX tells what is wrong', () => {
    const harness = new Harness();
    const errors = [
      ['Only one of FXX or FNX arguments can be specified', 'FNX FXX FIELDS 1 a 1'],
      ['Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified', 'EX 1 KEEPTTL FIELDS 1 a 1'],
      ['unknown argument: nonsense', 'nonsense FIELDS 1 a 1'],
      ['invalid number of fields', 'FIELDS 0 a 1'],
      ["wrong number of arguments for 'hsetex' command", 'FIELDS 2 a 1'],
      ["wrong number of arguments for 'hsetex' command", 'FIELDS 1 a 1 b'],
      ['invalid expire time, must be >= 0', 'EX -1 FIELDS 1 a 1'],
      ['missing FIELDS argument', 'FNX KEEPTTL FNX FNX'],
    ] as const;
    for (const [text, args] of errors)
      expect(harness.run('HSETEX', 'hash', ...args.split(' ')), args).toEqual(new Error(`ERR ${text}`));
    expect(harness.run('EXISTS', 'hash')).toBe(0);
  });
});

test('whatever happens to fields and deadlines, a hash is a map in which some entries have an end', () => {
  const step = fc.record({
    what: fc.constantFrom(
      'set',
      'set',
      'expire',
      'expire',
      'persist',
      'delete',
      'count',
      'wait',
      'wait',
      'clean',
      'copy',
    ),
    field: fc.nat(12),
    ms: fc.integer({ min: 1, max: 60 }),
    large: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), fc.boolean(), (steps, large) => {
      const harness = new Harness();
      const model = new Map<string, { value: string; end: number }>();
      // A long value makes it large.
      if (large) harness.run('HSET', 'hash', 'long', 'x'.repeat(100), 'other', 'x');
      if (large) harness.run('HDEL', 'hash', 'long');
      if (large) model.set('other', { value: 'x', end: Infinity });
      for (const { what, field: number, ms } of steps) {
        const name = `f${number}`;
        const there = model.get(name);
        if (what === 'set') {
          expect(harness.run('HSET', 'hash', name, String(ms))).toBe(there === undefined ? 1 : 0);
          model.set(name, { value: String(ms), end: Infinity });
        } else if (what === 'expire') {
          const reply = harness.run('HPEXPIRE', 'hash', String(ms), 'FIELDS', '1', name);
          expect(reply).toEqual([there === undefined ? -2 : 1]);
          if (there !== undefined) there.end = harness.now + ms;
        } else if (what === 'persist') {
          const reply = harness.run('HPERSIST', 'hash', 'FIELDS', '1', name);
          expect(reply).toEqual([there === undefined ? -2 : there.end === Infinity ? -1 : 1]);
          if (there !== undefined) there.end = Infinity;
        } else if (what === 'delete') {
          expect(harness.run('HDEL', 'hash', name)).toBe(model.delete(name) ? 1 : 0);
        } else if (what === 'count') {
          const sum = Number(there?.value ?? 0) + ms;
          expect(harness.run('HINCRBY', 'hash', name, String(ms))).toBe(sum);
          model.set(name, { value: String(sum), end: there?.end ?? Infinity });
        } else if (what === 'wait') {
          harness.now += ms;
          for (const [other, { end }] of model) if (end <= harness.now) model.delete(other);
        } else if (what === 'clean') harness.expire(harness.store.dueKeys(harness.now, 10));
        else {
          harness.run('RENAME', 'hash', 'moved');
          harness.run('COPY', 'moved', 'hash');
          harness.run('DEL', 'moved');
        }
        expect(harness.run('HLEN', 'hash')).toBe(model.size);
        expect(harness.run('EXISTS', 'hash')).toBe(model.size > 0 ? 1 : 0);
        const value = model.get(name)?.value ?? null;
        expect(harness.run('HGET', 'hash', name)).toBe(value);
        const next = Math.min(...[...model.values()].map(({ end }) => end));
        // The deadline is asked for in the log's time, which only writes move on.
        harness.run('SET', 'clock', '');
        expect(harness.store.deadlineOf('hash')).toBe(next);
      }
      const found = harness.run('HGETALL', 'hash') as string[];
      expect(new Map(found.flatMap((text, at) => (at % 2 === 0 ? [[text, found[at + 1]]] : [])))).toEqual(
        new Map([...model].map(([name, { value }]) => [name, value])),
      );
      const { store } = harness;
      expect(harness.follower().digest()).toBe(store.digest());
      const copy = restored(snapshotOf(store, 100));
      expect([copy.digest(), copy.bytes]).toEqual([store.digest(), store.bytes]);
      expect(copy.hasDue(harness.now)).toBe(store.hasDue(harness.now));
    }),
    { numRuns: 100 },
  );
});
