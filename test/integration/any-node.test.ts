/**
 * Clients that stay with whatever node they meet: followers read for them and pass their writes on, while leaders are
 * killed and put to sleep. What all of them are told must agree with one order.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { expectLinearizable } from '../linearizability/expect.ts';
import { Cluster } from './cluster.ts';
import { Workload } from './workload.ts';

/** Longer than any election takes: when the node wakes up, another one has long been leading. */
const PAUSE_MS = 3000;
/** Acknowledged between two faults, so that each meets a cluster at work. */
const WRITES = 300;

/** Runs the load, takes the leader away twice, and looks at what the clients saw. */
async function withoutLeaders(args: readonly string[]): Promise<void> {
  const cluster = await Cluster.start(3, ['--snapshot-entries', '300', ...args]);
  onTestFinished(() => cluster.stop());
  const addresses = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  const load = Workload.start({ addresses: () => addresses, followerReaders: 6 });
  await load.progress(WRITES);

  const killed = await cluster.leader();
  await cluster.kill(killed);
  await load.progress(WRITES);
  await cluster.launch(killed);
  await load.progress(WRITES);

  const asleep = await cluster.leader();
  asleep.process!.kill('SIGSTOP');
  await Promise.all([sleep(PAUSE_MS), load.progress(WRITES)]);
  asleep.process!.kill('SIGCONT');
  await load.progress(WRITES);

  const { history, ...report } = await load.stop();
  console.log(`${expect.getState().currentTestName}: ${JSON.stringify(report)}`);
  expect(report.lost).toEqual([]);
  expectLinearizable(history);
}

test('clients that read from followers', () => withoutLeaders([]));

test('clients whose node passes everything on to the leader', () => withoutLeaders(['--proxy']));

test('clients whose node reads itself and passes the rest on', () =>
  withoutLeaders(['--proxy', '--follower-reads']));
