/** Sorted sets and their commands; what they answer in detail is compared with Redis elsewhere. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keysOf } from '../command.ts';
import { WRONG_TYPE } from '../errors.ts';
import { Store } from '../store.ts';
import { call, eventsOf, Harness, Recorder, type Reply, restored, snapshotOf } from '../testing/harness.ts';

/** A harness with sorted sets, by their keys: `a 1 b 2`. */
function withSets(sets: Readonly<Record<string, string>>): Harness {
  const harness = new Harness();
  for (const [key, members] of Object.entries(sets)) {
    const words = members.split(' ');
    for (let at = 0; at < words.length; at += 2) harness.run('ZADD', key, words[at + 1]!, words[at]!);
  }
  harness.run('SET', 'string', 'value');
  return harness;
}

/** What the set holds, as `withSets` takes it. */
function listed(harness: Harness, key: string): string {
  return (harness.run('ZRANGE', key, '0', '-1', 'WITHSCORES') as Reply[]).flat().join(' ');
}

describe('ZADD', () => {
  // What becomes of a member with the score 5, and of one that is not there, when each gets 4, 5 or 6.
  test.each([
    ['', '4 5 6', '4 5 6'],
    ['NX', '5 5 5', '4 5 6'],
    ['XX', '4 5 6', '- - -'],
    ['GT', '5 5 6', '4 5 6'],
    ['LT', '4 5 5', '4 5 6'],
    ['XX GT', '5 5 6', '- - -'],
    ['XX LT', '4 5 5', '- - -'],
  ])('%s', (options, there, missing) => {
    const results = (member: string): string =>
      ['4', '5', '6']
        .map((score) => {
          const harness = withSets({ set: 'there 5' });
          const words = options.split(' ').filter((word) => word !== '');
          harness.run('ZADD', 'set', ...words, score, member);
          return harness.run('ZSCORE', 'set', member) ?? '-';
        })
        .join(' ');
    expect([results('there'), results('missing')]).toEqual([there, missing]);
  });

  test('counts what is new, with CH what is different as well, and with INCR tells the score', () => {
    const harness = withSets({ set: 'a 1 b 2' });
    expect(harness.run('ZADD', 'set', '1', 'a', '3', 'b', '4', 'c')).toBe(1);
    expect(harness.run('ZADD', 'set', 'CH', '1', 'a', '5', 'b', '6', 'd')).toBe(2);
    expect(harness.run('ZADD', 'set', 'INCR', '1.5', 'a')).toBe(2.5);
    expect(harness.run('ZADD', 'set', 'INCR', 'NX', '1.5', 'a')).toBe(null);
    expect(harness.run('ZADD', 'set', 'XX', 'INCR', '1', 'nobody')).toBe(null);
    expect(harness.run('ZINCRBY', 'set', '-2.5', 'a')).toBe(0);
    expect(listed(harness, 'set')).toBe('a 0 c 4 b 5 d 6');
  });

  test('a member that comes twice has the last score', () => {
    const harness = new Harness();
    expect(harness.run('ZADD', 'set', 'CH', '1', 'a', '2', 'a', '1', 'a')).toBe(3);
    expect(listed(harness, 'set')).toBe('a 1');
  });

  test('options that exclude each other are told before scores that are none, and those before the type', () => {
    const harness = withSets({});
    const error = (...args: string[]): string => (harness.run('ZADD', 'string', ...args) as Error).message;
    expect(error('1')).toMatch(/wrong number|syntax/);
    expect(error('NX', 'XX', 'x', 'a')).toBe('ERR XX and NX options at the same time are not compatible');
    expect(error('NX', 'GT', 'x', 'a')).toMatch(/^ERR GT, LT, and\/or NX/);
    expect(error('GT', 'LT', 'x', 'a')).toMatch(/^ERR GT, LT, and\/or NX/);
    expect(error('INCR', 'x', 'a', 'x', 'b')).toMatch(/^ERR INCR option/);
    expect(error('1', 'a', 'x', 'b')).toBe('ERR value is not a valid float');
    expect(error('1', 'a', '2', 'b')).toBe(WRONG_TYPE);
  });

  test('infinities that cancel each other out are refused, and nothing has changed', () => {
    const harness = withSets({ set: 'a inf' });
    const [before, version] = [harness.store.digest(), harness.store.version('set')];
    expect(harness.run('ZINCRBY', 'set', '-inf', 'a')).toEqual(
      new Error('ERR resulting score is not a number (NaN)'),
    );
    expect([harness.store.version('set'), harness.store.digest()]).toEqual([version, before]);
  });
});

test('what changes nothing is no change', () => {
  const harness = withSets({ set: 'a 1 b 2' });
  const events = eventsOf(harness.store);
  const version = harness.store.version('set');
  for (const args of [
    ['ZADD', 'set', '1', 'a', '2', 'b'],
    ['ZADD', 'set', 'NX', '7', 'a'],
    ['ZADD', 'set', 'XX', '7', 'c'],
    ['ZINCRBY', 'set', '0', 'a'],
    ['ZREM', 'set', 'c'],
    ['ZREMRANGEBYRANK', 'set', '5', '6'],
    ['ZREMRANGEBYSCORE', 'set', '(2', '3'],
    ['ZREMRANGEBYLEX', 'set', '[x', '+'],
    ['ZPOPMIN', 'set', '0'],
    ['ZADD', 'other', 'XX', '1', 'a'],
    ['ZUNIONSTORE', 'other', '1', 'nothing'],
  ])
    harness.run(...args);
  expect(harness.store.version('set')).toBe(version);
  expect(harness.run('EXISTS', 'other')).toBe(0);
  expect(events).toEqual([]);
});

describe('ranges', () => {
  const members = Array.from({ length: 200 }, (_, at) => ({
    name: `m${String((at * 7919) % 200).padStart(3, '0')}`,
    score: Math.floor(at / 3),
  }));
  const ends = fc.tuple(fc.integer({ min: -5, max: 75 }), fc.integer({ min: -5, max: 75 }));
  const limit = fc.option(fc.tuple(fc.nat(10), fc.integer({ min: -1, max: 30 })));

  test.each([20, 200])('of %d members: BYSCORE, REV and LIMIT are what they say', (size) => {
    const harness = new Harness();
    for (const { name, score } of members.slice(0, size)) harness.run('ZADD', 'set', String(score), name);
    const all = harness.run('ZRANGE', 'set', '0', '-1') as string[];
    const scores = new Map(members.map(({ name, score }) => [name, score]));
    fc.assert(
      fc.property(ends, limit, fc.boolean(), fc.boolean(), ([low, high], part, back, excluded) => {
        let expected = all.filter((name) => {
          const score = scores.get(name)!;
          return (excluded ? score > low : score >= low) && score <= high;
        });
        if (back) expected.reverse();
        if (part !== null) expected = expected.slice(part[0], part[1] < 0 ? undefined : part[0] + part[1]);
        const bounds = [`${excluded ? '(' : ''}${low}`, String(high)];
        const found = harness.run(
          'ZRANGE',
          'set',
          ...(back ? [...bounds.reverse(), 'REV'] : bounds),
          'BYSCORE',
          ...(part === null ? [] : ['LIMIT', String(part[0]), String(part[1])]),
        );
        expect(found).toEqual(expected);
      }),
    );
  });

  test('by rank, from either end', () => {
    const harness = withSets({ set: 'a 1 b 2 c 3 d 4' });
    const range = (...args: string[]): string => (harness.run('ZRANGE', 'set', ...args) as string[]).join('');
    expect(range('0', '-1')).toBe('abcd');
    expect(range('-3', '-2')).toBe('bc');
    expect(range('1', '100')).toBe('bcd');
    expect(range('-100', '0')).toBe('a');
    expect(range('2', '1')).toBe('');
    expect(range('0', '1', 'REV')).toBe('dc');
    expect(range('-1', '-1', 'REV')).toBe('a');
    expect(range('9223372036854775807', '-9223372036854775808')).toBe('');
    expect(harness.run('ZREVRANGE', 'set', '1', '2')).toEqual(['c', 'b']);
    expect([harness.run('ZRANK', 'set', 'c'), harness.run('ZREVRANK', 'set', 'c')]).toEqual([2, 1]);
  });

  test('an option that makes no sense is told before what the bounds are, and those before the type', () => {
    const harness = withSets({});
    const error = (...args: string[]): string => (harness.run('ZRANGE', 'string', ...args) as Error).message;
    expect(error('x', 'y', 'REV', 'REV')).toBe('ERR syntax error');
    expect(error('x', 'y', 'LIMIT', '0', '1')).toMatch(/^ERR syntax error, LIMIT is only supported/);
    expect(error('x', 'y', 'BYLEX', 'WITHSCORES')).toMatch(/^ERR syntax error, WITHSCORES not supported/);
    expect(error('x', 'y', 'BYSCORE', 'LIMIT', 'x', '1')).toMatch(/not an integer/);
    expect(error('x', 'y', 'BYLEX')).toBe('ERR min or max not valid string range item');
    expect(error('nan', '1', 'BYSCORE')).toBe('ERR min or max is not a float');
    expect(error('0', '1')).toBe(WRONG_TYPE);
  });

  test('of the half of a large set are taken out at once, and it is as if the rest had been added alone', () => {
    const harness = new Harness();
    const other = new Harness();
    const pairs = (from: number, to: number): string[] =>
      Array.from({ length: to - from }, (_, at) => [String(from + at), `member ${from + at}`]).flat();
    harness.run('ZADD', 'set', ...pairs(0, 20_000));
    other.run('ZADD', 'set', ...pairs(0, 4000), ...pairs(16_000, 20_000));
    expect(harness.run('ZREMRANGEBYSCORE', 'set', '4000', '(16000')).toBe(12_000);
    expect(harness.run('ZSCORE', 'set', 'member 4000')).toBe(null);
    expect(harness.run('ZADD', 'set', '1', 'member 15999')).toBe(1);
    expect(harness.run('ZREM', 'set', 'member 15999')).toBe(1);
    const content = (each: Harness): Reply[] =>
      ['0', '1000', '2000'].map((cursor) => each.run('ZSCAN', 'set', cursor, 'COUNT', '100000'));
    expect(content(harness)).toEqual(content(other));
    expect(harness.store.bytes).toBe(other.store.bytes);
    expect(harness.run('ZREMRANGEBYRANK', 'set', '0', '-1')).toBe(8000);
    expect(harness.run('EXISTS', 'set')).toBe(0);
  });

  test('are stored in the place of anything, without its deadline', () => {
    const harness = withSets({ set: 'a 1 b 2 c 3' });
    harness.run('EXPIRE', 'string', '100');
    expect(harness.run('ZRANGESTORE', 'string', 'set', '3', '(1', 'BYSCORE', 'REV', 'LIMIT', '0', '1')).toBe(
      1,
    );
    expect([listed(harness, 'string'), harness.run('TTL', 'string')]).toEqual(['c 3', -1]);
    expect(harness.run('ZRANGESTORE', 'set', 'set', '0', '1')).toBe(2);
    expect(listed(harness, 'set')).toBe('a 1 b 2');
    expect(harness.run('ZRANGESTORE', 'string', 'set', '5', '6')).toBe(0);
    expect(harness.run('EXISTS', 'string')).toBe(0);
  });
});

describe('taking out', () => {
  test('the lowest and the highest, one or several', () => {
    const harness = withSets({ set: 'a 1 b 2 c 3 d 4 e 5' });
    expect(harness.run('ZPOPMIN', 'set')).toEqual(['a', 1]);
    expect(harness.run('ZPOPMAX', 'set', '2')).toEqual([
      ['e', 5],
      ['d', 4],
    ]);
    expect(harness.run('ZMPOP', '3', 'nothing', 'set', 'string', 'MAX', 'COUNT', '9')).toEqual([
      'set',
      [
        ['c', 3],
        ['b', 2],
      ],
    ]);
    expect(harness.run('EXISTS', 'set')).toBe(0);
    expect(harness.run('ZPOPMIN', 'set')).toEqual([]);
    expect(harness.run('ZMPOP', '1', 'set', 'MIN')).toBe(null);
    expect(harness.run('ZMPOP', '2', 'string', 'set', 'MIN')).toEqual(new Error(WRONG_TYPE));
  });

  test('a set that has lost its last member is gone, and that is told after what took it', () => {
    for (const last of [
      ['ZREM', 'set', 'x', 'a'],
      ['ZPOPMAX', 'set'],
      ['BZPOPMIN', 'set', '0'],
      ['ZMPOP', '1', 'set', 'MIN'],
      ['ZREMRANGEBYLEX', 'set', '-', '+'],
      ['ZREMRANGEBYSCORE', 'set', '-inf', '+inf'],
    ]) {
      const harness = withSets({ set: 'a 1' });
      const events = eventsOf(harness.store);
      harness.run(...last);
      expect(events.length, last[0]).toBe(2);
      expect(events[0], last[0]).toMatch(/^z z.* set$/);
      expect(events[1], last[0]).toBe('g del set');
    }
  });

  test.each([
    [['BZPOPMIN', 'nothing', 'other', '0.5'], ['nothing', 'other'], 500],
    [['BZPOPMAX', 'nothing', '0'], ['nothing'], 0],
    [['BZMPOP', '1', '2', 'nothing', 'other', 'MIN', 'COUNT', '2'], ['nothing', 'other'], 1000],
  ])('%j waits for %j', (args, keys, timeoutMs) => {
    const store = new Store();
    const reply = new Recorder();
    store.beginEntry(1, 1000);
    expect(store.executeOrWait(call(...args).command, args, reply)).toEqual({ keys, timeoutMs, retry: args });
    expect(reply.replies).toEqual([]);
    store.execute(call(...args).command, args, reply);
    expect(reply.replies).toEqual([null]);
    store.endEntry();
  });

  test('nobody waits where there is something to take, or where the timeout is none', () => {
    const harness = withSets({ set: 'a 1 b 2' });
    expect(harness.run('BZPOPMAX', 'nothing', 'set', 'string', '0')).toEqual(['set', 'b', 2]);
    expect(harness.run('BZMPOP', '0', '2', 'nothing', 'set', 'MIN')).toEqual(['set', [['a', 1]]]);
    expect(harness.run('BZPOPMIN', 'string', '-1')).toEqual(new Error('ERR timeout is negative'));
    expect(harness.run('BZMPOP', 'x', '0', 'string', 'MIN')).toEqual(
      new Error('ERR numkeys should be greater than 0'),
    );
  });
});

describe('unions, intersections and differences', () => {
  test('add, weigh and choose scores', () => {
    const harness = withSets({ one: 'a 1 b 2', two: 'b 3 c 4', three: 'b 10' });
    harness.run('SADD', 'set', 'b', 'c', 'd');
    const run = (command: string): string =>
      (harness.run(...command.split(' '), 'WITHSCORES') as Reply[]).flat().join(' ');
    expect(run('ZUNION 2 one two')).toBe('a 1 c 4 b 5');
    expect(run('ZUNION 2 one two WEIGHTS 2 -1')).toBe('c -4 b 1 a 2');
    expect(run('ZUNION 3 one two three AGGREGATE MIN')).toBe('a 1 b 2 c 4');
    expect(run('ZUNION 2 one set')).toBe('a 1 c 1 d 1 b 3');
    expect(run('ZINTER 3 one two three AGGREGATE MAX')).toBe('b 10');
    expect(run('ZINTER 2 two set WEIGHTS 1 100')).toBe('b 103 c 104');
    expect(run('ZINTER 2 one nothing')).toBe('');
    expect(run('ZDIFF 2 two one')).toBe('c 4');
    expect(run('ZDIFF 3 set one two')).toBe('d 1');
    expect(harness.run('ZINTERCARD', '2', 'two', 'set')).toBe(2);
    expect(harness.run('ZINTERCARD', '2', 'two', 'set', 'LIMIT', '1')).toBe(1);
  });

  test('sums begin with the smallest set, as in Redis: another order would round differently', () => {
    const harness = withSets({ three: 'x 1 y 0 z 0', two: 'x 1e16 y 0', one: 'x -1e16' });
    const scoreOfX = (command: string): Reply => {
      harness.run(command, 'to', '3', 'three', 'two', 'one');
      return harness.run('ZSCORE', 'to', 'x');
    };
    // (-1e16 + 1e16) + 1, and not (1 + 1e16) + -1e16, which is 0.
    expect([scoreOfX('ZUNIONSTORE'), scoreOfX('ZINTERSTORE')]).toEqual([1, 1]);
  });

  test('infinities that cancel each other out, and 0 times infinity, make 0', () => {
    const harness = withSets({ one: 'a inf', two: 'a -inf' });
    const scores = (...args: string[]): Reply[] => (harness.run(...args, 'WITHSCORES') as Reply[]).flat();
    expect(scores('ZUNION', '2', 'one', 'two')).toEqual(['a', 0]);
    expect(scores('ZINTER', '2', 'one', 'two')).toEqual(['a', 0]);
    expect(scores('ZUNION', '1', 'one', 'WEIGHTS', '0')).toEqual(['a', 0]);
  });

  test('are stored over one of their inputs, and what is empty removes the key', () => {
    const harness = withSets({ one: 'a 1 b 2', two: 'b 3 c 4' });
    const events = eventsOf(harness.store);
    expect(harness.run('ZUNIONSTORE', 'one', '2', 'one', 'two')).toBe(3);
    expect(listed(harness, 'one')).toBe('a 1 c 4 b 5');
    expect(harness.run('ZINTERSTORE', 'new', '2', 'one', 'two')).toBe(2);
    expect(harness.run('ZDIFFSTORE', 'two', '2', 'two', 'one')).toBe(0);
    expect(harness.run('EXISTS', 'two')).toBe(0);
    expect(events).toEqual(['z zunionstore one', 'n new new', 'z zinterstore new', 'g del two']);
  });

  test('a key of another type is told before an option that is none', () => {
    const harness = withSets({ one: 'a 1' });
    const error = (...args: string[]): string => (harness.run(...args) as Error).message;
    expect(error('ZUNION', '0', 'one')).toBe("ERR at least 1 input key is needed for 'zunion' command");
    expect(error('ZUNION', '3', 'one', 'string')).toBe('ERR syntax error');
    expect(error('ZUNION', '2', 'one', 'string', 'what')).toBe(WRONG_TYPE);
    expect(error('ZUNION', '1', 'one', 'WEIGHTS', 'x')).toBe('ERR weight value is not a float');
    expect(error('ZDIFF', '1', 'one', 'WEIGHTS', '1')).toBe('ERR syntax error');
    expect(error('ZUNIONSTORE', 'to', '1', 'one', 'WITHSCORES')).toBe('ERR syntax error');
  });

  test('keys are where their number says', () => {
    const keys = (...args: string[]): string[] => keysOf(call(...args).command, args);
    expect(keys('ZUNION', '2', 'a', 'b', 'WITHSCORES')).toEqual(['a', 'b']);
    expect(keys('ZUNIONSTORE', 'to', '2', 'a', 'b', 'WEIGHTS', '1', '2')).toEqual(['to', 'a', 'b']);
    expect(keys('ZINTERCARD', '1', 'a', 'LIMIT', '2')).toEqual(['a']);
    expect(keys('ZMPOP', '2', 'a', 'b', 'MIN')).toEqual(['a', 'b']);
    expect(keys('BZMPOP', '0', '1', 'a', 'MIN')).toEqual(['a']);
    expect(keys('BZPOPMIN', 'a', 'b', '0')).toEqual(['a', 'b']);
    expect(keys('ZRANGESTORE', 'to', 'from', '0', '1')).toEqual(['to', 'from']);
    for (const odd of ['x', '-1', '99999999999999999999', '3'])
      expect(keys('ZUNION', odd, 'a', 'b')).toEqual([]);
  });
});

describe('a large set', () => {
  const large = (): Harness => {
    const harness = new Harness();
    for (let at = 0; at < 500; at++) harness.run('ZADD', 'set', String(at / 4), `m${at}`);
    return harness;
  };

  test('is scanned in steps, every member with its score', () => {
    const harness = large();
    const found = new Map<string, string>();
    let [cursor, steps] = ['0', 0];
    do {
      const [next, pairs] = harness.run('ZSCAN', 'set', cursor, 'COUNT', '20') as [string, string[]];
      for (let at = 0; at < pairs.length; at += 2) found.set(pairs[at]!, pairs[at + 1]!);
      [cursor, steps] = [next, steps + 1];
    } while (cursor !== '0');
    expect([found.size, found.get('m2'), steps >= 20]).toEqual([500, '0.5', true]);
  });

  test('gives random members: different ones, or any number of any', () => {
    const harness = large();
    const distinct = harness.run('ZRANDMEMBER', 'set', '300') as string[];
    expect([distinct.length, new Set(distinct).size]).toEqual([300, 300]);
    expect((harness.run('ZRANDMEMBER', 'set', '1000') as string[]).length).toBe(500);
    const repeated = harness.run('ZRANDMEMBER', 'set', '-2000', 'WITHSCORES') as [string, number][];
    expect(repeated.length).toBe(2000);
    expect(new Set(repeated.map(([member]) => member)).size).toBeGreaterThan(400);
    for (const [member, score] of repeated) expect(score).toBe(Number(member.slice(1)) / 4);
    expect(harness.run('ZRANDMEMBER', 'set')).toMatch(/^m\d+$/);
    expect(harness.run('ZRANDMEMBER', 'nothing')).toBe(null);
  });
});

test('followers and snapshots have the same sets, whatever was done to them', () => {
  const word = fc.constantFrom(
    'ZADD',
    'ZADD',
    'ZINCRBY',
    'ZREM',
    'ZPOPMIN',
    'ZREMRANGEBYRANK',
    'ZUNIONSTORE',
  );
  const step = fc.tuple(word, fc.nat(2), fc.nat(400), fc.integer({ min: -9, max: 9 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const harness = new Harness();
      for (const [name, set, number, score] of steps) {
        const key = `set ${set}`;
        const many = Array.from({ length: number / 2 }, (_, at) => [String(score), `m${at}`]).flat();
        if (name === 'ZADD') harness.run('ZADD', key, String(score), `m${number}`, ...many);
        else if (name === 'ZINCRBY') harness.run('ZINCRBY', key, String(score / 8), `m${number}`);
        else if (name === 'ZREM') harness.run('ZREM', key, `m${number}`);
        else if (name === 'ZPOPMIN') harness.run('ZPOPMIN', key, String(Math.abs(score)));
        else if (name === 'ZUNIONSTORE') harness.run('ZUNIONSTORE', key, '2', 'set 0', 'set 1');
        else harness.run('ZREMRANGEBYRANK', key, String(score), String(score + number));
      }
      const copy = restored(snapshotOf(harness.store, 256));
      expect(copy.digest()).toBe(harness.store.digest());
      expect(copy.bytes).toBe(harness.store.bytes);
      expect(harness.follower().digest()).toBe(harness.store.digest());
    }),
    { numRuns: 40 },
  );
});
