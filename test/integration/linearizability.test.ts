/**
 * Real nodes are killed and paused under a load of clients, and everything that the clients were told must agree with
 * one order of what they asked, to the end, where every key is read once more: a write that was acknowledged and is
 * lost would contradict it.
 */
import { expect, onTestFinished, test } from 'vitest';
import { expectLinearizable } from '../linearizability/expect.ts';
import { Cluster, type NodeProcess } from './cluster.ts';
import { Workload } from './workload.ts';

/** Longer than any election takes: when the node wakes up, another one has long been leading. */
const PAUSE_MS = 3000;
/** Acknowledged between two faults, so that each meets a cluster at work. */
const WRITES = 300;

/** Runs `faults` under load, then looks at what the clients saw. */
async function underLoad(
  args: readonly string[],
  faults: (cluster: Cluster, load: Workload) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.start(3, args);
  onTestFinished(() => cluster.stop());
  const addresses = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  const load = Workload.start({ addresses: () => addresses });
  await load.progress(WRITES);
  await faults(cluster, load);
  await load.progress(WRITES);
  const { history, ...report } = await load.stop();
  console.log(`${expect.getState().currentTestName}: ${JSON.stringify(report)}`);
  expect(report.lost).toEqual([]);
  expectLinearizable(history);
}

/** Stops a process where it is, its sockets open, and lets it go on after a while. */
async function pause(node: NodeProcess, until: Promise<unknown>): Promise<void> {
  node.process!.kill('SIGSTOP');
  await until;
  node.process!.kill('SIGCONT');
}

test('the leader is killed, comes back, and so does the next', async () => {
  await underLoad(['--snapshot-entries', '500'], async (cluster, load) => {
    for (let round = 0; round < 2; round += 1) {
      const leader = await cluster.leader();
      await cluster.kill(leader);
      await load.progress(WRITES);
      await cluster.launch(leader);
      await load.progress(WRITES);
    }
  });
});

test('the leader sleeps, wakes up as one who was deposed, and finds requests that waited for it', async () => {
  await underLoad([], async (cluster, load) => {
    for (let round = 0; round < 2; round += 1) {
      const leader = await cluster.leader();
      const longEnough = new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      await pause(leader, Promise.all([longEnough, load.progress(WRITES)]));
      await load.progress(WRITES);
    }
  });
});

test('all nodes are killed at once', async () => {
  await underLoad(['--snapshot-entries', '500'], async (cluster, load) => {
    await Promise.all(cluster.nodes.map((node) => cluster.kill(node)));
    await Promise.all(cluster.nodes.map((node) => cluster.launch(node)));
    await load.progress(WRITES);
  });
});
