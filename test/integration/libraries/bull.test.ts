/** Bull: jobs now, later and again and again, by workers on different nodes; and none is lost when the leader is killed. */
import Bull from 'bull';
import { Cluster as ClusterClient, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster, until } from '../cluster.ts';

const JOBS = 500;
const CONCURRENCY = 10;
const PATIENCE_MS = 60_000;

const ways = [
  {
    name: 'plain clients of nodes that forward',
    args: ['--proxy', '--unknown-outcome', 'disconnect'],
    clustered: false,
  },
  { name: 'cluster clients', args: ['--unknown-outcome', 'disconnect'], clustered: true },
] as const;

describe.each(ways)('$name', ({ args, clustered }) => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(3, args);
  });
  afterAll(() => cluster.stop());

  /** Bull wants three connections: one for commands, one that listens, one per worker that waits. */
  function connect(port: number): Redis | ClusterClient {
    const settings = { maxRetriesPerRequest: null, enableReadyCheck: false };
    const nodes = cluster.nodes.map((node) => ({ host: '127.0.0.1', port: node.port }));
    const client = clustered
      ? new ClusterClient(nodes, {
          clusterRetryStrategy: () => 50,
          retryDelayOnClusterDown: 50,
          redisOptions: settings,
          enableReadyCheck: false,
        })
      : new Redis(port, '127.0.0.1', { ...settings, retryStrategy: () => 50 });
    client.on('error', () => {});
    return client;
  }

  /** A queue of one process. The prefix keeps all its keys in one slot, as cluster clients insist. */
  async function queueOf(name: string, nth: number): Promise<Bull.Queue> {
    const followers = await cluster.followers();
    const { port } = followers[nth % followers.length]!;
    const clients: ReturnType<typeof connect>[] = [];
    const queue = new Bull(name, {
      prefix: '{bull}',
      createClient: () => {
        const client = connect(port);
        clients.push(client);
        return client as never;
      },
      settings: { stalledInterval: 500, lockDuration: 3_000, maxStalledCount: 10, retryProcessDelay: 50 },
    });
    queue.on('error', () => {});
    // It waits for clients to say goodbye, which one that is looking for its nodes does not; so nobody waits for it.
    onTestFinished(() => {
      queue.close(true).catch(() => {});
      for (const client of clients) client.disconnect();
    });
    return queue;
  }

  /** Works on a queue to the end of the test, when the promise for that is rejected. */
  function process<Data>(
    queue: Bull.Queue,
    concurrency: number,
    work: (job: Bull.Job<Data>) => Promise<unknown>,
  ): void {
    queue.process(concurrency, work).catch(() => {});
  }

  test('jobs now, later, by priority and with retries', async () => {
    const [queue, worker] = [await queueOf('letters', 0), await queueOf('letters', 1)];
    await queue.pause();
    const usual = await queue.add({ to: 'ann' }, { priority: 2 });
    const urgent = await queue.add({ to: 'bob' }, { priority: 1 });
    const later = await queue.add({ to: 'cy' }, { delay: 200 });
    const lost = await queue.add({ to: 'nobody' }, { attempts: 2, backoff: 20, priority: 3 });
    const order: string[] = [];
    process(worker, 1, async ({ data }: Bull.Job<{ to: string }>) => {
      order.push(data.to);
      if (data.to === 'nobody') throw new Error('no such address');
      return `sent to ${data.to}`;
    });
    await queue.resume();
    expect(await urgent.finished()).toBe('sent to bob');
    expect(await usual.finished()).toBe('sent to ann');
    expect(await later.finished()).toBe('sent to cy');
    await expect(lost.finished()).rejects.toThrow('no such address');
    expect(order.slice(0, 2)).toEqual(['bob', 'ann']);
    expect(order.filter((to) => to === 'nobody').length).toBe(2);
    expect(await queue.getJobCounts()).toMatchObject({ completed: 3, failed: 1, delayed: 0, waiting: 0 });
  });

  test('again and again, until nobody wants it any more', async () => {
    const [queue, worker] = [await queueOf('clock', 0), await queueOf('clock', 1)];
    let ticks = 0;
    process(worker, 1, async () => (ticks += 1));
    await queue.add({}, { repeat: { every: 100 } });
    await expect.poll(() => ticks, { timeout: PATIENCE_MS }).toBeGreaterThanOrEqual(2);
    // A worker that has just begun one would note the next.
    await worker.close();
    const [repeated] = await queue.getRepeatableJobs();
    await queue.removeRepeatableByKey(repeated!.key);
    expect(await queue.getRepeatableJobs()).toEqual([]);
  });

  test('each of five hundred jobs is done by two workers, though the leader is killed half-way', async () => {
    const queue = await queueOf('many', 0);
    const done = new Map<number, number>();
    const halfWay = Promise.withResolvers<void>();
    const work = async ({ data }: Bull.Job<{ at: number }>): Promise<void> => {
      done.set(data.at, (done.get(data.at) ?? 0) + 1);
      if (done.size >= JOBS / 2) halfWay.resolve();
    };
    const killed = await cluster.leader();
    const jobs = Array.from({ length: JOBS }, (_, at) => ({
      data: { at },
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
    for (const nth of [0, 1]) process(await queueOf('many', nth), CONCURRENCY, work);
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
    expect(twice).toBeLessThanOrEqual(2 * CONCURRENCY);
  });
});
