/** DUMP and RESTORE as commands. What is in a dump is told in `test/unit/dumps.test.ts`. */
import { describe, expect, test } from 'vitest';
import { crc64 } from '../rdb/crc64.ts';
import { eventsOf, Harness } from '../testing/harness.ts';

/** With a version and a checksum. */
function sealed(body: string, version = 10): string {
  const bytes = Buffer.from(`${body}${String.fromCharCode(version)}\0`, 'latin1');
  return Buffer.concat([bytes, crc64(bytes)]).toString('latin1');
}

function dumped(...args: string[]): { harness: Harness; dump: string } {
  const harness = new Harness();
  harness.run(...args);
  return { harness, dump: String(harness.run('DUMP', args[1] ?? '')) };
}

test('DUMP of nothing is null, and of a hash whose fields have all expired', () => {
  const harness = new Harness();
  expect(harness.run('DUMP', 'key')).toBe(null);
  harness.run('HSET', 'key', 'f', 'v');
  harness.run('HPEXPIRE', 'key', '10', 'FIELDS', '1', 'f');
  harness.now += 10;
  expect(harness.run('DUMP', 'key')).toBe(null);
});

describe('RESTORE', () => {
  test('looks at its arguments in the order in which Redis does', () => {
    const { harness, dump } = dumped('SET', 'key', 'value');
    const damaged = `${dump.slice(0, -1)}?`;
    const answers = (expected: string, ...args: string[]): void =>
      expect(harness.run('RESTORE', ...args), args.join(' ')).toEqual(new Error(expected));
    answers('ERR syntax error', 'key', 'x', damaged, 'nonsense', 'IDLETIME', '-1');
    answers('ERR syntax error', 'key', 'x', damaged, 'IDLETIME');
    answers('ERR syntax error', 'key', 'x', damaged, 'IDLETIME', '1', 'FREQ', '1');
    answers('ERR syntax error', 'key', 'x', damaged, 'FREQ', '1', 'IDLETIME', '1');
    answers('ERR value is not an integer or out of range', 'key', 'x', damaged, 'FREQ', 'x', 'nonsense');
    answers('ERR Invalid IDLETIME value, must be >= 0', 'key', 'x', damaged, 'IDLETIME', '-1');
    answers('ERR Invalid FREQ value, must be >= 0 and <= 255', 'key', 'x', damaged, 'FREQ', '256');
    answers('BUSYKEY Target key name already exists.', 'key', 'x', damaged);
    answers('ERR value is not an integer or out of range', 'key', 'x', damaged, 'REPLACE');
    answers('ERR Invalid TTL value, must be >= 0', 'key', '-1', damaged, 'REPLACE');
    answers('ERR DUMP payload version or checksum are wrong', 'key', '0', damaged, 'REPLACE');
    answers('ERR DUMP payload version or checksum are wrong', 'new', '0', '');
    answers('ERR DUMP payload version or checksum are wrong', 'new', '0', sealed('\x00\x01a', 13));
    expect(harness.run('GET', 'key')).toBe('value');
    expect(harness.run('EXISTS', 'new')).toBe(0);
  });

  test('replaces a key of any type, its deadline as well', () => {
    const { harness, dump } = dumped('SET', 'key', 'value');
    harness.run('RPUSH', 'list', 'a');
    harness.run('EXPIRE', 'list', '100');
    expect(harness.run('RESTORE', 'list', '0', dump, 'replace')).toBe('OK');
    expect(harness.run('GET', 'list')).toBe('value');
    expect(harness.run('TTL', 'list')).toBe(-1);
  });

  test('gives deadlines from now on, or absolute ones; one in the past only removes', () => {
    const { harness, dump } = dumped('SET', 'key', 'value');
    const events = eventsOf(harness.store);
    harness.run('RESTORE', 'relative', '500', dump);
    expect(harness.run('PTTL', 'relative')).toBe(500);
    harness.run('RESTORE', 'absolute', String(harness.now + 700), dump, 'ABSTTL');
    expect(harness.run('PTTL', 'absolute')).toBe(700);
    expect(harness.run('RESTORE', 'past', String(harness.now), dump, 'ABSTTL')).toBe('OK');
    expect(harness.run('EXISTS', 'past')).toBe(0);
    expect(harness.run('RESTORE', 'key', '1', dump, 'ABSTTL', 'REPLACE')).toBe('OK');
    expect(harness.run('EXISTS', 'key')).toBe(0);
    // Beyond 64 bits a sum is in the past.
    expect(harness.run('RESTORE', 'overflow', '9223372036854775807', dump)).toBe('OK');
    expect(harness.run('EXISTS', 'overflow')).toBe(0);
    expect(events.filter((event) => !event.includes('new'))).toEqual([
      'g restore relative',
      'g restore absolute',
      'g del key',
    ]);
  });

  test('of a key that has expired is of a free one', () => {
    const { harness, dump } = dumped('SET', 'key', 'value');
    harness.run('PEXPIRE', 'key', '5');
    harness.now += 5;
    expect(harness.run('RESTORE', 'key', '0', dump)).toBe('OK');
  });

  test('of a hash keeps the deadlines of its fields; where all have passed, there is nothing to keep', () => {
    const { harness } = dumped('HSET', 'key', 'f', '1', 'g', '2');
    harness.run('HPEXPIRE', 'key', '50', 'FIELDS', '1', 'f');
    const dump = String(harness.run('DUMP', 'key'));
    harness.run('HPEXPIRE', 'key', '70', 'FIELDS', '1', 'g');
    const passing = String(harness.run('DUMP', 'key'));
    harness.run('RESTORE', 'copy', '0', dump);
    expect(harness.run('HPTTL', 'copy', 'FIELDS', '2', 'f', 'g')).toEqual([50, -1]);
    harness.now += 60;
    harness.run('RESTORE', 'later', '0', dump);
    expect(harness.run('HGETALL', 'later')).toEqual(['g', '2']);
    harness.now += 20;
    expect(harness.run('RESTORE', 'copy', '0', passing, 'REPLACE')).toBe('OK');
    expect(harness.run('EXISTS', 'copy')).toBe(0);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('says when a key was used last, and how often', () => {
    const { harness, dump } = dumped('SET', 'key', 'value');
    harness.now = 1_700_000_000_000;
    harness.run('RESTORE', 'idle', '0', dump, 'IDLETIME', '3600');
    expect(harness.run('OBJECT', 'IDLETIME', 'idle')).toBe(3600);
    harness.run('RESTORE', 'ages', '0', dump, 'IDLETIME', '9223372036854775807');
    expect(harness.run('OBJECT', 'IDLETIME', 'ages')).toBeGreaterThan(8_000_000);
    harness.run('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
    harness.run('RESTORE', 'often', '0', dump, 'FREQ', '200');
    expect(harness.run('OBJECT', 'FREQ', 'often')).toBe(200);
  });
});

test('a few bytes do not ask for all memory', () => {
  const harness = new Harness();
  // Lengths that the bytes don't hold: of a string, a set, a compressed string and a list.
  for (const body of [
    '\x00\x81\x00\x00\x00\x00\x1f\xff\xff\xff',
    '\x02\x80\x7f\xff\xff\xff\x01a',
    '\x00\xc3\x05\x80\x1f\xff\xff\x00aaaaa',
    '\x12\x81\x00\x00\x00\xff\xff\xff\xff\xff',
  ])
    expect(harness.run('RESTORE', 'key', '0', sealed(body))).toEqual(new Error('ERR Bad data format'));
});
