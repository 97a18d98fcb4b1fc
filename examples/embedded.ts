/** A store inside the program: open it, write, read, look around, find everything again after a restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'kvorum';

const directory = await mkdtemp(join(tmpdir(), 'kvorum-example-'));
{
  await using store = await open(directory);
  // Each promise resolves when the write is on the disk; those that run together share it.
  await Promise.all([
    store.set('user:1', 'Alice'),
    store.set('user:2', 'Bob'),
    store.list('news').push('hello', 'world'),
  ]);
  await store.batch().put('user:3', 'Carol').delete('user:2').write();
  const balance = await store.transaction((transaction) => {
    const next = Number(transaction.get('balance') ?? 100) - 30;
    transaction.set('balance', String(next));
    return next;
  });
  console.log(`balance: ${balance}`);
}
{
  await using store = await open(directory);
  for (const [key, value] of store.entries({ prefix: 'user:' })) console.log(`${key} = ${value}`);
  console.log(`news: ${[...store.list('news')].join(', ')}`);
  console.log(`newest user: ${[...store.keys({ prefix: 'user:', reverse: true, limit: 1 })].join('')}`);
}
await rm(directory, { recursive: true });
