/** bee-queue, over the node-redis of ten years ago: a plain client without reconnecting cleverness of any kind. */
import BeeQueue from 'bee-queue';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess, until } from '../cluster.ts';

const JOBS = 500;
const CONCURRENCY = 10;
const PATIENCE_MS = 60_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start(3, ['--proxy', '--unknown-outcome', 'disconnect']);
});
afterAll(() => cluster.stop());

/** A queue of one process, by way of one node. */
async function queueOf<Data>(name: string, { port }: NodeProcess): Promise<BeeQueue<Data>> {
  const queue = new BeeQueue<Data>(name, {
    redis: { host: '127.0.0.1', port, retry_strategy: () => 50 },
    activateDelayedJobs: true,
    delayedDebounce: 20,
    stallInterval: 1_000,
    initialRedisFailureRetryDelay: 50,
  } as BeeQueue.QueueSettings);
  queue.on('error', () => {});
  onTestFinished(() => queue.close(0).catch(() => {}));
  await queue.ready();
  return queue;
}

test('jobs now and later, with progress, results and retries', async () => {
  const [one, other] = await cluster.followers();
  const queue = await queueOf<{ to: string }>('letters', one!);
  const worker = await queueOf<{ to: string }>('letters', other!);
  let attempts = 0;
  worker.process(async (job: BeeQueue.Job<{ to: string }>) => {
    job.reportProgress({ half: true });
    if (job.data.to === 'nobody' && (attempts += 1) < 3) throw new Error('no such address');
    return `sent to ${job.data.to}`;
  });
  const finished = new Map<string, unknown>();
  const progress = new Set<string>();
  queue.on('job succeeded', (id, result) => finished.set(id, result));
  queue.on('job progress', (id) => progress.add(id));
  const now = await queue.createJob({ to: 'ann' }).save();
  const later = await queue
    .createJob({ to: 'bob' })
    .delayUntil(Date.now() + 200)
    .save();
  const tried = await queue.createJob({ to: 'nobody' }).retries(5).backoff('fixed', 20).save();
  await expect.poll(() => finished.size, { timeout: PATIENCE_MS }).toBe(3);
  expect(finished.get(now.id)).toBe('sent to ann');
  expect(finished.get(later.id)).toBe('sent to bob');
  expect(finished.get(tried.id)).toBe('sent to nobody');
  expect(attempts).toBe(3);
  expect(progress.has(now.id)).toBe(true);
  expect(await queue.checkHealth()).toMatchObject({ succeeded: 3, failed: 0, waiting: 0, active: 0 });
});

test('each of five hundred jobs is done by two workers, though the leader is killed half-way', async () => {
  const killed = await cluster.leader();
  // Those that stay: the client knows no node but its own.
  const others = cluster.nodes.filter((node) => node !== killed);
  const queue = await queueOf<{ at: number }>('many', others[0]!);
  const done = new Map<number, number>();
  const halfWay = Promise.withResolvers<void>();
  const work = async ({ data }: BeeQueue.Job<{ at: number }>): Promise<void> => {
    done.set(data.at, (done.get(data.at) ?? 0) + 1);
    if (done.size >= JOBS / 2) halfWay.resolve();
  };
  const jobs = Array.from({ length: JOBS }, (_, at) => queue.createJob({ at }).setId(`job-${at}`));
  // They have ids of their own: what is saved again, because its reply was lost, is not saved twice.
  await until('the jobs to be saved', async () => {
    const unsaved = await queue.saveAll(jobs).catch(() => null);
    return unsaved?.size === 0;
  });
  for (const node of others) {
    const worker = await queueOf<{ at: number }>('many', node);
    worker.process(CONCURRENCY, work);
    // What a worker took and never finished is put back by whoever looks.
    worker.checkStalledJobs(1_000).catch(() => {});
  }
  await halfWay.promise;
  await cluster.kill(killed);
  await until('all jobs', () => done.size === JOBS);
  await until('the queue to be empty', async () => {
    const health = await queue.checkHealth().catch(() => null);
    return health !== null && health.succeeded === JOBS;
  });
  await cluster.launch(killed);
  const twice = [...done.values()].filter((times) => times > 1).length;
  console.log(`${expect.getState().currentTestName}: ${twice} of ${JOBS} jobs were begun more than once`);
  expect(twice).toBeLessThanOrEqual(2 * CONCURRENCY);
});
