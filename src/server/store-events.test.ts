import { expect, test } from 'vitest';
import { noReply } from '../store/reply.ts';
import { Store } from '../store/store.ts';
import { dataCommands } from '../store/table.ts';
import { StoreEvents } from './store-events.ts';

/** Applies one command as an entry of its own. */
function run(store: Store, line: string): void {
  const args = line.split(' ');
  store.beginEntry(store.appliedIndex + 1, 1000);
  store.execute(dataCommands.get(args[0]!.toLowerCase())!, args, noReply);
  store.endEntry();
}

test('every watcher is told what it asked for, in the order in which they came, until it is removed', () => {
  const store = new Store();
  const events = new StoreEvents(store);
  const told: string[] = [];
  const remove = events.watch({ changed: (key) => told.push(`one: ${key}`) });
  events.watch({
    changed: (key) => told.push(`two: ${key}`),
    cleared: () => told.push('two: cleared'),
    event: (type, event, key) => told.push(`two: ${type} ${event} ${key}`),
  });
  run(store, 'RPUSH a 1');
  expect(told).toEqual(expect.arrayContaining(['one: a', 'two: a', 'two: l rpush a']));
  expect(told.indexOf('one: a')).toBeLessThan(told.indexOf('two: a'));

  told.length = 0;
  remove();
  run(store, 'RPUSH a 2');
  run(store, 'FLUSHALL');
  expect(told).not.toContain('one: a');
  expect(told).toEqual(expect.arrayContaining(['two: a', 'two: cleared']));
});

test('receivers of a message are counted together', () => {
  const events = new StoreEvents(new Store());
  expect(events.message('c', 'm', false)).toBe(0);
  events.watch({ message: (channel) => (channel === 'c' ? 2 : 0) });
  events.watch({ message: () => 3 });
  expect(events.message('c', 'm', false)).toBe(5);
  expect(events.message('d', 'm', false)).toBe(3);
});
