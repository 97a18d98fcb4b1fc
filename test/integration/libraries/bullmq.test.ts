/**
 * BullMQ: jobs now, later, again and again, by priority, in flows and not too many at a time, by workers on different
 * nodes; and every one of five hundred is done though the leader is killed half-way.
 */
import { FlowProducer, type Job, Queue, QueueEvents, type QueueOptions, Worker } from 'bullmq';
import { Cluster as ClusterClient, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster, until } from '../cluster.ts';

const JOBS = 500;
const PATIENCE_MS = 60_000;

interface Way {
  readonly name: string;
  readonly args: readonly string[];
  /** A connection of its own for the n-th part of an application. */
  readonly connect: (cluster: Cluster, nth: number) => Promise<Redis | ClusterClient>;
}

const ways: readonly Way[] = [
  {
    name: 'plain clients of nodes that forward',
    args: ['--proxy', '--unknown-outcome', 'disconnect'],
    async connect(cluster, nth) {
      const followers = await cluster.followers();
      const { port } = followers[nth % followers.length]!;
      return new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    },
  },
  {
    name: 'cluster clients',
    args: ['--unknown-outcome', 'disconnect'],
    async connect(cluster) {
      const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
      return new ClusterClient(nodes, {
        clusterRetryStrategy: () => 50,
        retryDelayOnClusterDown: 50,
        redisOptions: { maxRetriesPerRequest: null },
      });
    },
  },
];

describe.each(ways)('$name', ({ args, connect }) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(3, args);
  });
  afterAll(() => cluster.stop());

  interface Closable {
    close(): Promise<unknown>;
    on(event: 'error', listener: (error: Error) => void): unknown;
  }

  let connections = 0;

  /** What every part takes. The prefix keeps all keys of all queues in one slot, as cluster clients insist. */
  async function options(): Promise<QueueOptions> {
    const connection = await connect(cluster, connections++);
    connection.on('error', () => {});
    onTestFinished(() => connection.disconnect());
    return { connection, prefix: '{bull}' };
  }

  function closed<Part extends Closable>(part: Part): Part {
    part.on('error', () => {});
    onTestFinished(async () => void (await part.close()));
    return part;
  }

  const queueOf = async (name: string): Promise<Queue> => closed(new Queue(name, await options()));

  async function workerOf(
    name: string,
    work: (job: Job) => Promise<unknown>,
    more: {
      concurrency?: number;
      limiter?: { max: number; duration: number };
      stalledInterval?: number;
    } = {},
  ): Promise<Worker> {
    return closed(new Worker(name, work, { ...(await options()), ...more }));
  }

  test('jobs now and later, and what became of them', async () => {
    const queue = await queueOf('letters');
    const events = closed(new QueueEvents('letters', await options()));
    await events.waitUntilReady();
    await workerOf('letters', async ({ data }) => {
      if (data.to === 'nobody') throw new Error('no such address');
      return `sent to ${data.to}`;
    });
    const now = await queue.add('letter', { to: 'ann' });
    const later = await queue.add('letter', { to: 'bob' }, { delay: 200 });
    const lost = await queue.add(
      'letter',
      { to: 'nobody' },
      { attempts: 3, backoff: { type: 'fixed', delay: 20 } },
    );
    expect(await now.waitUntilFinished(events, PATIENCE_MS)).toBe('sent to ann');
    expect(await later.waitUntilFinished(events, PATIENCE_MS)).toBe('sent to bob');
    await expect(lost.waitUntilFinished(events, PATIENCE_MS)).rejects.toThrow('no such address');
    expect((await queue.getJob(lost.id!))?.attemptsMade).toBe(3);
    expect(await queue.getJobCounts('completed', 'failed', 'delayed', 'waiting', 'active')).toEqual({
      completed: 2,
      failed: 1,
      delayed: 0,
      waiting: 0,
      active: 0,
    });
    const finished = (await later.getState()) === 'completed' ? await queue.getJob(later.id!) : undefined;
    expect(finished!.processedOn! - finished!.timestamp).toBeGreaterThanOrEqual(200);
  });

  test('the urgent first', async () => {
    const queue = await queueOf('urgent');
    await queue.pause();
    for (const priority of [5, 1, 3, 2, 4]) await queue.add(`priority ${priority}`, {}, { priority });
    const done: string[] = [];
    await workerOf('urgent', async ({ name }) => done.push(name));
    await queue.resume();
    await expect.poll(() => done.length, { timeout: PATIENCE_MS }).toBe(5);
    expect(done).toEqual([1, 2, 3, 4, 5].map((priority) => `priority ${priority}`));
  });

  test('again and again, until nobody wants it any more', async () => {
    const queue = await queueOf('clock');
    let ticks = 0;
    await workerOf('clock', async () => (ticks += 1));
    await queue.upsertJobScheduler('tick', { every: 50 }, { name: 'tick' });
    await expect.poll(() => ticks, { timeout: PATIENCE_MS }).toBeGreaterThanOrEqual(3);
    expect(await queue.getJobSchedulersCount()).toBe(1);
    expect(await queue.removeJobScheduler('tick')).toBe(true);
    expect(await queue.getJobSchedulersCount()).toBe(0);
    await until('the last tick', async () => (await queue.getDelayedCount()) === 0);
  });

  test('a flow: the parent waits for its children', async () => {
    const done: string[] = [];
    const flow = closed(new FlowProducer(await options()));
    await workerOf('dishes', async ({ name }) => {
      done.push(name);
      return `${name} is ready`;
    });
    await workerOf('meals', async (job) => {
      done.push(job.name);
      return Object.values(await job.getChildrenValues<string>()).sort((a, b) => a.localeCompare(b));
    });
    const { job } = await flow.add({
      name: 'dinner',
      queueName: 'meals',
      children: ['soup', 'rice', 'tea'].map((name) => ({ name, queueName: 'dishes', data: {} })),
    });
    await until('dinner', async () => await job.isCompleted());
    const meals = await queueOf('meals');
    expect((await meals.getJob(job.id!))?.returnvalue).toEqual([
      'rice is ready',
      'soup is ready',
      'tea is ready',
    ]);
    expect(done.at(-1)).toBe('dinner');
  });

  test('a limit on how many are done in a time, over two workers', async () => {
    const queue = await queueOf('limited');
    const limiter = { max: 5, duration: 300 };
    const starts: number[] = [];
    const work = async (job: Job): Promise<void> => void starts.push(job.processedOn!);
    await workerOf('limited', work, { limiter });
    await workerOf('limited', work, { limiter });
    await queue.addBulk(Array.from({ length: 12 }, (_, at) => ({ name: 'call', data: at })));
    await until('all calls', () => starts.length === 12);
    // Three windows were needed, and a window is as long as the limiter says.
    expect(Math.max(...starts) - Math.min(...starts)).toBeGreaterThanOrEqual(limiter.duration);
  });

  test('each of five hundred jobs is done by two workers, though the leader is killed half-way', async () => {
    const queue = await queueOf('many');
    const done = new Map<number, number>();
    const halfWay = Promise.withResolvers<void>();
    const work = async (job: Job<number>): Promise<number> => {
      done.set(job.data, (done.get(job.data) ?? 0) + 1);
      if (done.size >= JOBS / 2) halfWay.resolve();
      return job.data * 2;
    };
    // A job whose worker did not learn that it has it counts as stalled after a while, and is done by the next.
    const settings = { concurrency: 10, stalledInterval: 500, lockDuration: 3_000, maxStalledCount: 10 };
    const killed = await cluster.leader();
    const jobs = Array.from({ length: JOBS }, (_, at) => ({
      name: 'job',
      data: at,
      opts: { jobId: `job-${at}`, delay: at % 5 === 0 ? at : 0, attempts: 3 },
    }));
    // They have ids of their own: what is added again, because its reply was lost, is not added twice. And they may be tried
    // again: a connection that breaks as the end of a job is noted can count as the failure of the job.
    await until('the jobs to be added', () =>
      queue.addBulk(jobs).then(
        () => true,
        () => false,
      ),
    );
    await workerOf('many', work, settings);
    await workerOf('many', work, settings);
    await halfWay.promise;
    await cluster.kill(killed);
    await until('all jobs', () => done.size === JOBS);
    const counts = (): Promise<unknown> => queue.getJobCounts().catch(String);
    await expect
      .poll(counts, { timeout: PATIENCE_MS })
      .toMatchObject({ completed: JOBS, failed: 0, active: 0, delayed: 0 });
    await cluster.launch(killed);
    const twice = [...done.values()].filter((times) => times > 1).length;
    console.log(`${expect.getState().currentTestName}: ${twice} of ${JOBS} jobs were begun more than once`);
    // Only what was under way when the leader died is ever done again.
    expect(twice).toBeLessThanOrEqual(2 * settings.concurrency);
  });
});
