import { expect, test } from 'vitest';
import { Harness, restored, snapshotOf } from '../testing/harness.ts';

const set = (harness: Harness, ...pairs: string[]): unknown => harness.run('CONFIG', 'SET', ...pairs);

test('settings are as Redis shows them, on every node and in snapshots', () => {
  const harness = new Harness();
  expect(set(harness, 'MaxMemory', '1gb', 'maxmemory-policy', 'ALLKEYS-LRU')).toBe('OK');
  expect(set(harness, 'notify-keyspace-events', 'xKg')).toBe('OK');
  const shown = (store: Harness['store']): string[] =>
    ['maxmemory', 'maxmemory-policy', 'notify-keyspace-events'].map(
      (name) => store.meta.get('settings', name) ?? '',
    );
  expect(shown(harness.store)).toEqual(['1073741824', 'allkeys-lru', 'gxK']);
  for (const store of [harness.follower(), restored(snapshotOf(harness.store))]) {
    expect(shown(store)).toEqual(shown(harness.store));
    expect(store.digest()).toBe(harness.store.digest());
  }
  set(harness, 'maxmemory', '0');
  expect(harness.follower().digest()).toBe(harness.store.digest());
});

const immutable = (name: string): string =>
  `ERR CONFIG SET failed (possibly related to argument '${name}') - can't set immutable config`;

test('what can not be changed may be set to what it is', () => {
  const harness = new Harness();
  expect(set(harness, 'save', '', 'APPENDONLY', 'Yes', 'maxmemory', '1')).toBe('OK');
  expect(harness.store.meta.size).toBe(1);
});

test.each([
  [['nonsense', '1'], "ERR Unknown option or number of arguments for CONFIG SET - 'nonsense'"],
  [
    ['maxmemory', '1', 'nonsense', '1'],
    "ERR Unknown option or number of arguments for CONFIG SET - 'nonsense'",
  ],
  [
    ['maxmemory', 'x'],
    "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
  ],
  [
    ['maxmemory', '1', 'maxmemory', '2'],
    "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter",
  ],
  [
    ['slowlog-max-len', 'x'],
    "ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - argument couldn't be parsed into an integer",
  ],
  [
    ['maxmemory', 'x', 'nonsense', '1'],
    "ERR Unknown option or number of arguments for CONFIG SET - 'nonsense'",
  ],
  [['maxmemory', '1', 'Databases', '1'], immutable('Databases')],
  [['maxmemory', '1', 'appendonly', 'no'], immutable('appendonly')],
  [
    ['save', '', 'maxmemory', '1', 'save', '60 1'],
    "ERR CONFIG SET failed (possibly related to argument 'save') - duplicate parameter",
  ],
  [['maxmemory', '1', 'maxmemory-policy'], 'ERR syntax error'],
])('%o is refused as a whole', (pairs, message) => {
  const harness = new Harness();
  expect(set(harness, ...pairs)).toEqual(new Error(message));
  expect(harness.store.meta.size).toBe(0);
});

test('flags of events, A for all of them', () => {
  const harness = new Harness();
  for (const [flags, shown] of [
    ['KEA', 'AKE'],
    ['Kg$lshztxed', 'AK'],
    ['nm', 'nm'],
    ['mnKE', 'nKEm'],
    ['', ''],
  ] as const) {
    expect(set(harness, 'notify-keyspace-events', flags)).toBe('OK');
    expect(harness.store.meta.get('settings', 'notify-keyspace-events')).toBe(shown);
  }
  expect(set(harness, 'notify-keyspace-events', 'q')).toBeInstanceOf(Error);
});
