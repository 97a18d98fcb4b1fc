/** What the comparison with Redis can't show: the table itself, walks over all keys, and what differs on purpose. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keysOf } from '../command.ts';
import { hasArity } from '../arity.ts';
import { dataCommands } from '../table.ts';
import { call, Harness, type Reply } from '../testing/harness.ts';

describe('the table', () => {
  test.each([...dataCommands.values()])('$name is coherent', (command) => {
    expect(dataCommands.get(command.name)).toBe(command);
    expect(command.name).toBe(command.name.toLowerCase());
    // What goes through the log and yet changes no key by itself is neither, to Redis: PUBLISH, for one; scripts are a matter
    // of their own.
    if (!command.flags.includes('may_replicate') && command.group !== 'scripting') {
      expect(command.flags).toContain(command.write ? 'write' : 'readonly');
      expect(command.categories).toContain(command.write ? 'write' : 'read');
    }
    expect(command.categories).toContain(command.flags.includes('fast') ? 'fast' : 'slow');
    expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
    expect(command.since).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('arity counts the name, and a negative one is the least', () => {
    expect(hasArity(call('GET', 'k').command, ['GET', 'k'])).toBe(true);
    expect(hasArity(call('GET', 'k').command, ['GET'])).toBe(false);
    expect(hasArity(call('MGET', 'k').command, ['MGET', 'a', 'b'])).toBe(true);
    expect(hasArity(call('MGET', 'k').command, ['MGET'])).toBe(false);
  });

  test('keys are where the table says', () => {
    expect(keysOf(call('MSET').command, ['MSET', 'a', '1', 'b', '2'])).toEqual(['a', 'b']);
    expect(keysOf(call('COPY').command, ['COPY', 'a', 'b', 'REPLACE'])).toEqual(['a', 'b']);
    expect(keysOf(call('DEL').command, ['DEL', 'a', 'b', 'c'])).toEqual(['a', 'b', 'c']);
    expect(keysOf(call('SCAN').command, ['SCAN', '0'])).toEqual([]);
  });
});

/** Walks over all keys, changing the store between the steps. */
function scanAll(harness: Harness, options: string[], between: () => void = () => {}): string[] {
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, keys] = harness.run('SCAN', cursor, ...options) as [string, string[]];
    found.push(...keys);
    cursor = next;
    between();
  } while (cursor !== '0');
  return found;
}

describe('SCAN', () => {
  test('returns every key that is there all the time exactly once, however many come and go', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer(), (count, seed) => {
        const harness = new Harness();
        const steady = Array.from({ length: 60 }, (_, at) => `steady:${at}`);
        for (const key of steady) harness.run('SET', key, '1');
        let at = seed >>> 0;
        const found = scanAll(harness, ['COUNT', String(count)], () => {
          for (let left = 5; left > 0; left--) {
            at = (Math.imul(at, 1_664_525) + 1_013_904_223) >>> 0;
            harness.run(at % 2 === 0 ? 'SET' : 'DEL', `moving:${at % 50}`, ...(at % 2 === 0 ? ['1'] : []));
          }
          harness.run('SET', steady[at % 60]!, 'overwritten');
        });
        expect(found.filter((key) => key.startsWith('steady:')).sort()).toEqual([...steady].sort());
      }),
      { numRuns: 30 },
    );
  });

  test('takes several steps, of about COUNT keys each, and the last one says 0', () => {
    const harness = new Harness();
    for (let at = 0; at < 1000; at++) harness.run('SET', `k${at}`, '1');
    const [cursor, keys] = harness.run('SCAN', '0', 'COUNT', '100') as [string, string[]];
    expect(cursor).not.toBe('0');
    expect(keys.length).toBeGreaterThanOrEqual(100);
    expect(keys.length).toBeLessThan(110);
    expect(new Set(scanAll(harness, ['COUNT', '100'])).size).toBe(1000);
  });

  test('a cursor means the same on another node', () => {
    const harness = new Harness();
    for (let at = 0; at < 200; at++) harness.run('SET', `k${at}`, '1');
    const [cursor] = harness.run('SCAN', '0', 'COUNT', '50') as [string, string[]];
    const other = new Harness();
    for (let at = 199; at >= 0; at--) other.run('SET', `k${at}`, '1');
    expect(other.run('SCAN', cursor, 'COUNT', '50')).toEqual(harness.run('SCAN', cursor, 'COUNT', '50'));
  });

  test('a cursor from nowhere ends the walk', () => {
    const harness = new Harness();
    harness.run('SET', 'k', '1');
    for (const cursor of ['4096', '18446744073709551615'])
      expect(harness.run('SCAN', cursor)).toEqual(['0', []]);
  });
});

describe('RANDOMKEY', () => {
  test('reaches every living key and no expired one', () => {
    const harness = new Harness();
    for (let at = 0; at < 20; at++) harness.run('SET', `k${at}`, '1', ...(at < 10 ? ['PX', '5'] : []));
    harness.now += 10;
    const seen = new Set<Reply>();
    for (let left = 1000; left > 0; left--) seen.add(harness.run('RANDOMKEY'));
    expect(seen).toEqual(new Set(Array.from({ length: 10 }, (_, at) => `k${at + 10}`)));
  });

  test('finds nothing where all have expired', () => {
    const harness = new Harness();
    harness.run('SET', 'k', '1', 'PX', '5');
    harness.now += 5;
    expect(harness.run('RANDOMKEY')).toBeNull();
  });
});

describe('what differs from Redis on purpose', () => {
  test('DELETE is DEL', () => {
    const harness = new Harness();
    harness.run('MSET', 'a', '1', 'b', '2');
    expect(harness.run('DELETE', 'a', 'b', 'c')).toBe(2);
  });

  test('a deadline beyond 2^53 - 1 ms is kept as that', () => {
    const harness = new Harness();
    harness.run('SET', 'k', 'v', 'PXAT', '9223372036854775807');
    expect(harness.run('PEXPIRETIME', 'k')).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('there is one database', () => {
    const harness = new Harness();
    harness.run('SET', 'a', '1');
    expect(harness.run('COPY', 'a', 'b', 'DB', '1')).toEqual(new Error('ERR DB index is out of range'));
    expect(harness.run('COPY', 'a', 'b', 'DB', '0')).toBe(1);
  });
});

describe('a string', () => {
  test('appended to in small and large pieces is their concatenation', () => {
    const harness = new Harness();
    let expected = '';
    for (let at = 0; at < 3000; at++) {
      const piece = at % 100 === 0 ? 'L'.repeat(300) : String(at);
      expected += piece;
      expect(harness.run('APPEND', 'log', piece)).toBe(expected.length);
    }
    expect(harness.run('GET', 'log')).toBe(expected);
  });

  test('may not grow beyond what a string can hold', () => {
    const harness = new Harness();
    const tooLong = new Error('ERR string exceeds maximum allowed size (proto-max-bulk-len)');
    expect(harness.run('SETRANGE', 'k', '536870888', 'x')).toEqual(tooLong);
    expect(harness.run('SETRANGE', 'k', '536870887', 'x')).toBe(536_870_888);
    expect(harness.run('APPEND', 'k', 'x')).toEqual(tooLong);
    expect(harness.run('STRLEN', 'k')).toBe(536_870_888);
  });
});
