import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from './bytes.ts';
import { Store } from './store.ts';
import { FRAME_BYTES_MIN } from './snapshot.ts';
import { Harness, restored, snapshotOf } from './testing/harness.ts';

/** A few hundred keys, some with a deadline, some expired already, some large. */
function filled(): Harness {
  const harness = new Harness();
  for (let at = 0; at < 300; at++) {
    const deadline = at % 3 === 0 ? ['PX', String(10 + at)] : [];
    harness.run('SET', `key:${at}`, `value ${at} `.repeat(at % 7), ...deadline);
  }
  harness.run('SET', '', 'the empty key');
  harness.run('SET', '\x00\xff\r\n', '\x80\x00');
  harness.run('SET', 'large', 'L'.repeat(5000));
  harness.now += 100;
  harness.run('DEL', 'key:1');
  return harness;
}

/** Everything that must survive. */
function stateOf(store: Store): unknown {
  return {
    digest: store.digest(),
    size: store.size,
    expiring: store.expiring,
    time: store.time,
    appliedIndex: store.appliedIndex,
    versions: ['key:2', 'key:0', 'key:299', '', 'large', 'missing'].map((key) => store.version(key)),
    due: store.dueKeys(store.time + 1e9, 1000).sort(),
  };
}

describe('a snapshot', () => {
  test.each([FRAME_BYTES_MIN, 100, 1024, 1024 * 1024])(
    'in blocks of %i bytes brings everything back',
    (bytes) => {
      const { store } = filled();
      const blocks = snapshotOf(store, bytes);
      for (const block of blocks) expect(block.length).toBeLessThanOrEqual(bytes);
      expect(stateOf(restored(blocks))).toEqual(stateOf(store));
    },
  );

  test('goes on where the store was: the same writes give the same state', () => {
    const harness = filled();
    const copy = restored(snapshotOf(harness.store));
    const from = harness.payloads.length;
    harness.run('SET', 'key:5', 'later');
    harness.run('INCR', 'counter');
    harness.payloads.slice(from).forEach((payload, at) => copy.applyBatch(from + at + 1, payload));
    expect(stateOf(copy)).toEqual(stateOf(harness.store));
    expect(copy.version('counter')).toBe(harness.store.version('counter'));
  });

  test('can be pushed in pieces of any size, down to single bytes', () => {
    const { store } = filled();
    const whole = Buffer.concat(snapshotOf(store, 700));
    for (const size of [1, 7, 699, 4096]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
      expect(restored(pieces).digest()).toBe(store.digest());
    }
  });

  test('restored makes the same snapshot again, whatever became of the keys before', () => {
    const harness = new Harness();
    for (let at = 0; at < 30_000; at++) harness.run('SET', `key:${at}`, String(at));
    for (let at = 0; at < 30_000; at++) if (at % 20 !== 0) harness.run('DEL', `key:${at}`);
    const blocks = snapshotOf(harness.store, 1024 * 1024);
    expect(snapshotOf(restored(blocks), 1024 * 1024)).toEqual(blocks);
  });

  test('of an empty store is a snapshot', () => {
    const copy = restored(snapshotOf(new Store()));
    expect(copy.size).toBe(0);
    expect(copy.appliedIndex).toBe(0);
  });

  test('replaces what was there', () => {
    const { store } = filled();
    const other = new Harness();
    other.run('SET', 'old', 'gone');
    other.run('SET', 'key:2', 'old', 'PX', '5');
    const decoder = other.store.beginRestore();
    for (const block of snapshotOf(store)) decoder.push(block);
    expect(other.run('GET', 'old'), 'nothing changes before the end').toBe('gone');
    decoder.finish();
    expect(stateOf(other.store)).toEqual(stateOf(store));
    expect(other.run('GET', 'old')).toBeNull();
  });
});

type Write = readonly string[];
const key = fc.nat(11).map((at) => `key:${at}`);
const write: fc.Arbitrary<Write> = fc.oneof(
  fc.tuple(fc.constant('SET'), key, fc.string({ maxLength: 60 })),
  fc.tuple(fc.constant('SET'), key, fc.string({ maxLength: 60 }), fc.constant('PX'), fc.constant('500')),
  fc.tuple(fc.constant('DEL'), key),
  fc.tuple(fc.constant('RENAME'), key, key),
  fc.tuple(fc.constant('APPEND'), key, fc.constant('+')),
  fc.tuple(fc.constant('PEXPIRE'), key, fc.constant('700')),
  fc.tuple(fc.constant('PERSIST'), key),
  fc.tuple(fc.constant('PEXPIREAT'), key, fc.constant('1')),
);
const writeOrFlush = fc.oneof(
  { weight: 30, arbitrary: write },
  { weight: 1, arbitrary: fc.constant(['FLUSHALL']) },
);

test('a snapshot taken in slices under writes shows the moment at which it began', () => {
  fc.assert(
    fc.property(
      fc.array(write, { maxLength: 30 }),
      fc.array(writeOrFlush, { maxLength: 60 }),
      fc.integer({ min: FRAME_BYTES_MIN, max: 200 }),
      (before, during, blockBytes) => {
        const harness = new Harness();
        for (const args of before) harness.run(...args);
        const state = stateOf(harness.store);
        const snapshot = harness.store.startSnapshot();
        const blocks: Uint8Array[] = [];
        const writes = [...during];
        for (let block = snapshot.next(blockBytes); block !== null; block = snapshot.next(blockBytes)) {
          blocks.push(block);
          harness.now += 50;
          for (const args of writes.splice(0, 3)) harness.run(...args);
        }
        expect(stateOf(restored(blocks))).toEqual(state);
        // The view is gone: the next snapshot shows the present.
        expect(stateOf(restored(snapshotOf(harness.store)))).toEqual(stateOf(harness.store));
      },
    ),
    { numRuns: 150 },
  );
});

test('a store that is emptied and filled again during a snapshot leaves the snapshot as it was', () => {
  const harness = filled();
  const state = stateOf(harness.store);
  const snapshot = harness.store.startSnapshot();
  const blocks = [snapshot.next(FRAME_BYTES_MIN)!];
  harness.run('SET', 'key:7', 'changed before');
  harness.run('FLUSHALL');
  for (let at = 0; at < 300; at++) harness.run('SET', `key:${at}`, 'changed after');
  for (let block = snapshot.next(1024); block !== null; block = snapshot.next(1024)) blocks.push(block);
  expect(stateOf(restored(blocks))).toEqual(state);
});

test('what a snapshot keeps of changed keys is let go when it has passed them', () => {
  const harness = filled();
  const snapshot = harness.store.startSnapshot();
  const change = () => {
    for (let at = 0; at < 300; at++) harness.run('SET', `key:${at}`, 'changed');
  };
  change();
  change();
  expect(snapshot.images, 'one image per key, however often it changes').toBe(300);
  let held = snapshot.images;
  const seen = new Set<number>();
  while (snapshot.next(1024) !== null) {
    expect(snapshot.images).toBeLessThanOrEqual(held);
    held = snapshot.images;
    seen.add(held);
    change();
    expect(snapshot.images, 'nothing is kept of keys that were passed').toBe(held);
  }
  expect(snapshot.images).toBe(0);
  expect(seen.size, 'let go step by step').toBeGreaterThan(5);
});

test('two snapshots and a digest at a time each show their own moment; a cancelled one ends', () => {
  const harness = filled();
  const { store } = harness;
  const before = store.digest();
  const first = store.startSnapshot();
  const blocks = [first.next(1024) ?? Buffer.alloc(0)];
  const digest = store.startDigest();
  harness.run('SET', 'key:299', 'changed');
  harness.run('FLUSHALL');
  harness.run('RPUSH', 'key:5', 'a');
  const second = store.startSnapshot();
  harness.run('RPUSH', 'key:5', 'b');
  for (let block = first.next(1024); block !== null; block = first.next(1024)) blocks.push(block);
  expect(restored(blocks).digest()).toBe(before);
  let result = digest.step();
  while (result === null) result = digest.step();
  expect(result).toBe(before);
  second.cancel();
  expect(second.next(1024)).toBeNull();
  expect(restored(snapshotOf(store)).digest()).toBe(store.digest());
});

test('a snapshot does not start inside an entry', () => {
  const store = new Store();
  store.beginEntry(1, 1);
  expect(() => store.startSnapshot()).toThrow('inside entry 1');
});

describe('a damaged snapshot', () => {
  const harness = new Harness();
  harness.run('SET', 'a', 'one', 'PX', '1000');
  harness.run('SET', 'b', 'two');
  const whole = Buffer.concat(snapshotOf(harness.store, FRAME_BYTES_MIN));

  test('is found out whichever bit flips', () => {
    for (let at = 0; at < whole.length * 8; at++) {
      const damaged = Buffer.from(whole);
      damaged[at >> 3]! ^= 1 << (at & 7);
      expect(() => restored([damaged]), `bit ${at}`).toThrow(FormatError);
    }
  });

  test('is found out wherever it ends', () => {
    for (let length = 0; length < whole.length; length++)
      expect(() => restored([whole.subarray(0, length)]), `cut at ${length}`).toThrow(FormatError);
    expect(() => restored([whole, Buffer.from([1])])).toThrow('after the end of the snapshot at offset');
  });

  test('never takes effect, whatever the caller does after the error', () => {
    const store = new Store();
    const decoder = store.beginRestore();
    const damaged = Buffer.from(whole);
    damaged[20]! ^= 1;
    expect(() => decoder.push(damaged)).toThrow('checksum of the snapshot frame at offset 0');
    expect(() => decoder.push(whole)).toThrow('after its damage');
    expect(() => decoder.finish()).toThrow('damaged');
    expect(store.size).toBe(0);
  });
});
