/** A stranger's program: run and type-checked against the installed package by scripts/check-package.ts. It ends well or throws. */
import assert from 'node:assert/strict';
import { type Change, CommandError, open, Store, StoreError, type StoreOptions } from 'kvorum';

const options: StoreOptions = { directory: './library', sync: 'never' };
const changes: Change[] = [];
{
  await using store: Store = await open(options);
  assert.ok(store instanceof Store);
  store.on('change', (change: Change) => void changes.push(change));
  await store.set('user:1', 'Alice', { ttl: 60_000 });
  await store.batch().put('user:2', 'Bob').delete('user:3').write();
  await store.sortedSet('scores').add('Alice', 1.5);
  assert.throws(
    () => store.execute(['LPUSH', 'user:1', 'x']),
    (error) => error instanceof CommandError && error.code === 'COMMAND',
  );
  // @ts-expect-error The declarations are there, and know that a number is no key.
  assert.throws(() => store.get(1), StoreError);
}
await using store = await open('./library');
const name: string | undefined = store.get('user:1');
assert.equal(name, 'Alice');
assert.deepEqual([...store.entries({ prefix: 'user:', gt: 'user:1' })], [['user:2', 'Bob']]);
assert.deepEqual([...store.sortedSet('scores')], [{ member: 'Alice', score: 1.5 }]);
assert.deepEqual(
  changes.map((change) => change.type),
  ['set', 'set', 'set'],
);
