/**
 * A queue of jobs that loses none: a job moves to a list of its worker in one step, and what a worker that died had in hand
 * goes back into the queue.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, type Store } from 'kvorum';

const QUEUE = 'jobs';
const AT_WORK = 'jobs:at-work';

function take(store: Store): string | undefined {
  const job = store.execute(['LMOVE', QUEUE, AT_WORK, 'LEFT', 'RIGHT']);
  return typeof job === 'string' ? job : undefined;
}

async function work(store: Store, jobs: number): Promise<void> {
  for (let done = 0; done < jobs; done++) {
    const job = take(store);
    if (job === undefined) return;
    console.log(`done: ${job}`);
    await store.list(AT_WORK).remove(job);
  }
}

const directory = await mkdtemp(join(tmpdir(), 'kvorum-example-'));
{
  await using store = await open(directory);
  await store.list(QUEUE).push('one', 'two', 'three');
  await work(store, 1);
  // The program ends with a job in hand.
  console.log(`taken: ${take(store)}`);
  await store.flush();
}
{
  await using store = await open(directory);
  while (store.execute(['LMOVE', AT_WORK, QUEUE, 'RIGHT', 'LEFT']) !== null);
  await work(store, Infinity);
  console.log(`left: ${store.list(QUEUE).length}`);
}
await rm(directory, { recursive: true });
