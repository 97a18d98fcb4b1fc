import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { generate } from '../../test/differential/generate.ts';
import { InProcess } from '../../test/differential/in-process.ts';
import { BatchEncoder } from './batch.ts';
import { FormatError } from './bytes.ts';
import type { DataCommand } from './command.ts';
import { digestOf } from './digest.ts';
import { Keyspace } from './keyspace.ts';
import { Meta } from './meta.ts';
import { OnceTable } from './once.ts';
import { noReply } from './reply.ts';
import { Store } from './store.ts';
import { call, Harness, Recorder } from './testing/harness.ts';

describe('entries', () => {
  test('a follower that applies the bytes has the state of the leader that ran the commands', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const both = new InProcess(2, 1_700_000_000_000);
        for (const step of generate(seed, 200)) both.run(step);
        expect(both.follower.digest()).toBe(both.leader.digest());
        expect(both.follower.size).toBe(both.leader.size);
        expect(both.follower.expiring).toBe(both.leader.expiring);
        expect(both.follower.time).toBe(both.leader.time);
      }),
      { numRuns: 30 },
    );
  });

  test('an entry that was removed holds nothing any more, for whoever still has it', () => {
    const harness = new Harness();
    harness.run('SET', 'k', 'v');
    const entry = harness.store.stored('k');
    expect(entry?.value).toBe('v');
    harness.run('DEL', 'k');
    expect(entry?.value).toBe('');
  });

  test('time never runs backwards, whatever a new leader thinks', () => {
    const harness = new Harness();
    harness.run('SET', 'k', 'v', 'PX', '100');
    harness.now += 100;
    harness.run('SET', 'other', '1');
    expect(harness.run('GET', 'k')).toBeNull();
    harness.now -= 50;
    harness.run('SET', 'other', '2');
    expect(harness.store.time).toBe(1_000_100);
    expect(harness.run('GET', 'k'), 'seen as expired, gone for ever').toBeNull();
    expect(harness.run('TTL', 'k')).toBe(-2);
  });

  test('a value put without a command leaves the state that SET leaves, over what has expired, too', () => {
    const put = fc.record({
      key: fc.constantFrom('a', 'b'),
      value: fc.constantFrom('1', 'longer'),
      lives: fc.constantFrom(0, 1, 1000),
      passes: fc.constantFrom(0, 1),
      /** Whether the entry is looked up before. */
      known: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(put, { maxLength: 12 }), (puts) => {
        const [one, other] = [new Store(), new Store()];
        let time = 1000;
        puts.forEach(({ key, value, lives, passes, known }, at) => {
          time += passes;
          const expiresAt = lives === 0 ? 0 : time + lives;
          one.beginEntry(at + 1, time);
          one.put(key, value, expiresAt, known ? one.stored(key) : undefined);
          one.endEntry();
          const batch = new BatchEncoder();
          batch.addCommand(['SET', key, value, ...(lives === 0 ? [] : ['PXAT', String(expiresAt)])]);
          other.applyBatch(at + 1, batch.finish(time));
        });
        expect(one.digest()).toBe(other.digest());
      }),
    );
  });

  test('an entry counts as applied when it has ended', () => {
    const store = new Store();
    store.beginEntry(7, 1000);
    expect(store.appliedIndex).toBe(0);
    store.endEntry();
    expect(store.appliedIndex).toBe(7);
    expect(() => store.beginEntry(7, 1000)).toThrow('entry 7 after 7');
  });

  test('writes belong into an entry', () => {
    const store = new Store();
    const { command, args } = call('SET', 'a', '1');
    expect(() => store.execute(command, args, noReply)).toThrow('set outside an entry');
    expect(() => store.read(command, args, noReply, 0)).toThrow('set writes and needs an entry');
  });

  test('a malformed or unknown batch changes nothing', () => {
    const store = new Store();
    const encoder = new BatchEncoder();
    encoder.addCommand(['SET', 'a', '1']);
    const payload = encoder.finish(5);
    expect(() => store.applyBatch(1, payload.subarray(0, -1))).toThrow(FormatError);
    for (const args of [
      ['FROBNICATE', 'x'],
      ['GET', 'a'],
      ['SET', 'a'],
    ]) {
      encoder.addCommand(['SET', 'a', '1']);
      encoder.addCommand(args);
      const unknown = encoder.finish(5);
      expect(() => store.applyBatch(1, unknown)).toThrow(`the write '${args[0]}'`);
    }
    expect(store.size).toBe(0);
    store.applyBatch(1, payload);
    expect(store.size).toBe(1);
  });
});

describe('reads between the writes of an entry', () => {
  /** Stores random numbers, as SPOP or a script would. */
  const roll: DataCommand = {
    ...call('SET', 'k', 'v').command,
    run: (context, args, reply) => {
      context.keyspace.set(args[1] ?? '', String(context.random()), 0);
      reply.ok();
    },
  };

  function rolled(readsBetween: number): string[] {
    const store = new Store();
    const randomKey = call('RANDOMKEY');
    const recorder = new Recorder();
    store.beginEntry(9, 1000);
    for (const key of ['a', 'b', 'c']) {
      store.execute(roll, ['ROLL', key], noReply);
      for (let left = readsBetween; left > 0; left--)
        store.read(randomKey.command, randomKey.args, noReply, 2000);
    }
    store.endEntry();
    const { command, args } = call('MGET', 'a', 'b', 'c');
    store.read(command, args, recorder, 2000);
    return recorder.replies[0] as string[];
  }

  test('do not disturb what the writes draw', () => {
    const numbers = rolled(0);
    expect(new Set(numbers).size, 'each write has a seed of its own').toBe(3);
    expect(rolled(3)).toEqual(numbers);
  });

  test('do not remove what they see as expired', () => {
    const harness = new Harness();
    harness.run('SET', 'k', 'v', 'PX', '100');
    harness.now += 1000;
    const before = harness.store.digest();
    for (const name of ['GET', 'TTL', 'EXISTS', 'TYPE', 'STRLEN', 'TOUCH', 'MGET']) harness.run(name, 'k');
    for (const args of [['KEYS', '*'], ['SCAN', '0'], ['RANDOMKEY'], ['DBSIZE']]) harness.run(...args);
    expect(harness.run('GET', 'k')).toBeNull();
    expect(harness.store.digest()).toBe(before);
    expect(harness.store.size).toBe(1);
  });

  test('see the writes before them and a clock that is never behind the entry', () => {
    const store = new Store();
    const recorder = new Recorder();
    store.beginEntry(1, 5000);
    const set = call('SET', 'k', 'v', 'PX', '100');
    store.execute(set.command, set.args, noReply);
    const pttl = call('PTTL', 'k');
    store.read(pttl.command, pttl.args, recorder, 1);
    store.read(pttl.command, pttl.args, recorder, 5040);
    store.endEntry();
    expect(recorder.replies).toEqual([100, 60]);
  });
});

describe('transactions', () => {
  test('all replies in one array, errors included', () => {
    const harness = new Harness();
    const reply = harness.transaction([call('SET', 'a', 'x'), call('INCR', 'a'), call('GET', 'a')]);
    expect(reply).toEqual(['OK', new Error('ERR value is not an integer or out of range'), 'x']);
  });

  test('a watched key that changed, came, went or expired stops everything', () => {
    const harness = new Harness();
    harness.run('SET', 'steady', '1');
    harness.run('SET', 'k', '1', 'PX', '100');
    const watch = (key: string) => ({ key, version: harness.store.version(key, harness.now) });
    const attempt = (...keys: { key: string; version: number }[]) =>
      harness.transaction([call('SET', 'done', '1')], keys);

    const [steady, k, missing] = [watch('steady'), watch('k'), watch('missing')];
    expect(attempt(steady, k, missing), 'nothing changed').toEqual(['OK']);
    harness.run('SET', 'missing', '');
    expect(attempt(missing), 'it came').toBeNull();
    harness.run('SET', 'steady', '1');
    expect(attempt(steady), 'the same value, written again').toBeNull();
    for (const args of [
      ['PEXPIRE', 'missing', '500'],
      ['PERSIST', 'missing'],
      ['APPEND', 'missing', ''],
    ]) {
      const before = watch('missing');
      harness.run(...args);
      expect(attempt(before), args[0]).toBeNull();
    }
    harness.now += 100;
    expect(attempt(k), 'it expired, nothing removed it').toBeNull();
    const gone = watch('k');
    expect(attempt(gone), 'it was gone already').toEqual(['OK']);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test.each([['DEL', 'k'], ['GETDEL', 'k'], ['FLUSHALL'], ['PEXPIREAT', 'k', '1']])(
    'a watched key that was missing, came and went again with %s stops everything',
    (...removal) => {
      const harness = new Harness();
      const watch = { key: 'k', version: harness.store.version('k', harness.now) };
      harness.run('SET', 'k', '1');
      harness.run(...removal);
      expect(harness.run('EXISTS', 'k')).toBe(0);
      expect(harness.transaction([call('SET', 'done', '1')], [watch])).toBeNull();
      // Every node must decide alike.
      const follower = harness.follower();
      expect(follower.digest()).toBe(harness.store.digest());
      expect(follower.version('k')).toBe(harness.store.version('k'));
    },
  );

  test('a watched key that was missing and came and expired stops everything, removed or not', () => {
    const harness = new Harness();
    const watch = { key: 'k', version: harness.store.version('k', harness.now) };
    harness.run('SET', 'k', '1', 'PX', '10');
    harness.now += 10;
    expect(harness.transaction([call('SET', 'done', '1')], [watch])).toBeNull();
    harness.expire(['k']);
    expect(harness.transaction([call('SET', 'done', '1')], [watch])).toBeNull();
  });

  test('a watched key that is missing does not change when its remains or other keys are removed', () => {
    const harness = new Harness();
    harness.run('SET', 'k', '1', 'PX', '10');
    harness.run('SET', 'other', '1');
    harness.now += 10;
    const watches = ['k', 'missing'].map((key) => ({
      key,
      version: harness.store.version(key, harness.now),
    }));
    harness.expire(['k']);
    harness.run('DEL', 'other');
    harness.run('FLUSHALL');
    expect(harness.transaction([call('SET', 'done', '1')], watches)).toEqual(['OK']);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('a change later in the same entry is a change', () => {
    const store = new Store();
    const set = call('SET', 'k', '1');
    store.beginEntry(1, 1000);
    store.execute(set.command, set.args, noReply);
    const version = store.version('k');
    store.execute(set.command, set.args, noReply);
    expect(store.version('k')).not.toBe(version);
    store.endEntry();
  });

  test('that only read need no entry', () => {
    const harness = new Harness();
    harness.run('SET', 'k', 'v');
    const recorder = new Recorder();
    const version = harness.store.version('k');
    harness.store.readTransaction([call('GET', 'k')], [{ key: 'k', version }], recorder, harness.now);
    harness.store.readTransaction([call('GET', 'k')], [{ key: 'k', version: 0 }], recorder, harness.now);
    expect(recorder.replies).toEqual([['v'], null]);
  });
});

describe('expiry', () => {
  test('keys are due between the last entry and now; an entry that names them removes them', () => {
    const harness = new Harness();
    const { store } = harness;
    harness.run('SET', 'soon', '1', 'PX', '100');
    harness.run('SET', 'later', '1', 'PX', '200');
    harness.run('SET', 'never', '1');
    const start = harness.now;
    expect(store.expiring).toBe(2);
    expect(store.hasDue(start + 99)).toBe(false);
    expect(store.hasDue(start + 100)).toBe(true);
    expect(store.deadlineOf('soon')).toBe(start + 100);
    expect(store.deadlineOf('later')).toBe(start + 200);
    expect(store.deadlineOf('never')).toBe(Infinity);
    expect(store.deadlineOf('missing')).toBe(Infinity);
    expect(store.dueKeys(start + 1000, 1)).toEqual(['soon']);
    expect(store.dueKeys(start + 1000, 10)).toEqual(['soon', 'later']);

    harness.now = start + 150;
    harness.expire(['soon', 'later', 'never', 'missing']);
    expect(store.size, 'only what the entry’s own time says').toBe(2);
    expect(store.deadlineOf('soon')).toBe(Infinity);
    expect(store.expiring).toBe(1);
    expect(harness.follower().digest()).toBe(store.digest());
  });

  test('a key that the last entry’s time has passed is no longer due: every read misses it already', () => {
    const harness = new Harness();
    harness.run('SET', 'k', '1', 'PX', '100');
    harness.now += 100;
    harness.run('SET', 'other', '1');
    expect(harness.store.deadlineOf('k')).toBe(Infinity);
    expect(harness.store.dueKeys(harness.now, 10), 'but still to be removed').toEqual(['k']);
  });

  test('a key set again has lost its old deadline', () => {
    const harness = new Harness();
    harness.run('SET', 'k', '1', 'PX', '100');
    harness.run('SET', 'k', '2');
    expect(harness.store.hasDue(harness.now + 1000)).toBe(false);
    expect(harness.store.expiring).toBe(0);
  });
});

describe('the digest', () => {
  function digest(...commands: string[][]): string {
    const harness = new Harness();
    for (const args of commands) harness.run(...args);
    return harness.store.digest();
  }

  test('does not depend on the order inside the store', () => {
    const keys = Array.from({ length: 100 }, (_, at) => `k${at}`);
    const [one, other] = [new Keyspace(), new Keyspace()];
    for (const key of keys) one.restore(key, `value of ${key}`, 0, 7);
    for (const key of keys.toReversed()) other.restore(key, `value of ${key}`, 0, 7);
    expect(digestOf(other, new OnceTable(), new Meta())).toBe(digestOf(one, new OnceTable(), new Meta()));
  });

  test('of the contents knows keys, values, deadlines and libraries, and nothing of how they came about', () => {
    const library = "#!lua name=l\nredis.register_function('f', function() return 1 end)";
    const contents = (...commands: string[][]): string => {
      const harness = new Harness();
      for (const args of commands) harness.run(...args);
      return harness.store.digest('contents');
    };
    const plain = [
      ['SET', 'a', '1'],
      ['SET', 'bits', `${'\0'.repeat(20_000)}\x01`],
      ['FUNCTION', 'LOAD', library],
    ];
    const roundabout = [
      ['SET', 'gone', '1'],
      ['SETBIT', 'bits', '160007', '1'],
      ['EVAL', 'return 1', '0'],
      ['FUNCTION', 'LOAD', library],
      ['SET', 'a', '2'],
      ['SET', 'a', '1'],
      ['DEL', 'gone'],
    ];
    expect(digest(...roundabout)).not.toBe(digest(...plain));
    expect(contents(...roundabout)).toBe(contents(...plain));
    for (const more of [
      ['SET', 'a', '2'],
      ['PEXPIREAT', 'a', '4102444800000'],
      ['SET', 'b', ''],
      ['FUNCTION', 'FLUSH'],
    ])
      expect(contents(...plain, more)).not.toBe(contents(...plain));
  });

  test('tells apart swapped values, moved borders, deadlines and versions', () => {
    const digests = [
      digest(),
      digest(['SET', 'a', '1'], ['SET', 'b', '2']),
      digest(['SET', 'a', '2'], ['SET', 'b', '1']),
      digest(['SET', 'ab', 'c']),
      digest(['SET', 'a', 'bc']),
      digest(['SET', 'a', 'bc', 'PX', '10']),
      digest(['SET', 'a', 'bc', 'PX', '11']),
      digest(['SET', 'a', 'bc'], ['SET', 'a', 'bc']),
    ];
    expect(new Set(digests).size).toBe(digests.length);
  });
});
