/** What all collections have in common: snapshots, digests, sizes and keys that go away. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EventClass } from './listener.ts';
import { Store } from './store.ts';
import { call, Harness, Recorder, restored, snapshotOf } from './testing/harness.ts';
import { bytesOf } from './value.ts';

test('a snapshot shows one moment, whatever happens to its collections while it is written', () => {
  const word = fc.tuple(fc.constantFrom('LPUSH', 'RPUSH', 'DEL', 'COPY'), fc.nat(30), fc.nat(300));
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 60, size: 'max' }),
      fc.integer({ min: 64, max: 900 }),
      (words, frame) => {
        const harness = new Harness();
        for (let at = 0; at < 30; at++)
          harness.run(
            'RPUSH',
            `list ${at}`,
            ...Array.from({ length: 1 + at * at }, (_, index) => `e${index}`),
          );
        harness.run('PEXPIRE', 'list 3', '100000');
        harness.run('SET', 'string', 'value');
        const before = harness.store.digest();
        const encoder = harness.store.startSnapshot();
        const blocks: Uint8Array[] = [];
        let step = 0;
        for (let block = encoder.next(frame); block !== null; block = encoder.next(frame)) {
          blocks.push(block);
          const [name = 'LPUSH', key = 0, value = 0] = words[step++] ?? [];
          if (name === 'DEL') harness.run('DEL', `list ${key}`);
          else if (name === 'COPY') harness.run('COPY', `list ${key}`, `list ${value % 40}`, 'REPLACE');
          else harness.run(name, `list ${key}`, `new ${value}`);
        }
        const copy = restored(blocks);
        expect(copy.digest()).toBe(before);
        expect(harness.follower().digest()).toBe(harness.store.digest());
        // Counted up and down along the way it is the same as counted anew.
        expect(restored(snapshotOf(harness.store)).bytes).toBe(harness.store.bytes);
      },
    ),
    { numRuns: 20 },
  );
});

test('listeners hear of changes and events on every node', () => {
  const heard: string[] = [];
  const store = new Store();
  store.listener = {
    changed: (key) => void heard.push(`changed ${key}`),
    cleared: () => void heard.push('cleared'),
    event: (type: EventClass, event, key) => void heard.push(`${type} ${event} ${key}`),
    message: () => 0,
    metaChanged: () => {},
    refused() {},
    restored: () => void heard.push('restored'),
  };
  const run = (...args: string[]): void => {
    const { command } = call(...args);
    store.beginEntry(store.appliedIndex + 1, 1000);
    store.execute(command, args, new Recorder());
    store.endEntry();
  };
  run('RPUSH', 'list', 'a');
  expect(heard).toContain('changed list');
  expect(heard).toContain('l rpush list');
  expect(store.bytes).toBeGreaterThan(bytesOf('list', ''));
  run('DEL', 'list');
  expect(store.bytes).toBe(0);
});
