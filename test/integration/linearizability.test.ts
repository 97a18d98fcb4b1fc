/**
 * Real nodes are killed and paused under a load of clients, and everything that the clients were told must agree with
 * one order of what they asked, to the end, where every key is read once more: a write that was acknowledged and is
 * lost would contradict it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { expectLinearizable } from '../linearizability/expect.ts';
import { Cluster, type NodeProcess } from './cluster.ts';
import { Workload } from './workload.ts';

/** Longer than any election takes: when the node wakes up, another one has long been leading. */
const PAUSE_MS = 3000;
/** Shorter than any election timeout: the leader does not notice. */
const DEAF_MS = 300;
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

/** A process that stands still, its sockets open, until it is told to go on. */
function freeze(node: NodeProcess): () => void {
  node.process!.kill('SIGSTOP');
  return () => node.process!.kill('SIGCONT');
}

/** Starts the node again with a setting of its own, and hands leadership on until it leads. */
async function leadWith(cluster: Cluster, node: NodeProcess, variable: string, value: string): Promise<void> {
  await cluster.kill(node, 'SIGTERM');
  process.env[variable] = value;
  await cluster.launch(node);
  delete process.env[variable];
  for (let leader = await cluster.leader(); leader !== node; leader = await cluster.leader()) {
    await cluster.kill(leader, 'SIGTERM');
    await cluster.launch(leader);
  }
}

test('the leader is killed just when nobody hears it, comes back, and so does the next', async () => {
  await underLoad(['--snapshot-entries', '500'], async (cluster, load) => {
    for (let round = 0; round < 2; round += 1) {
      const leader = await cluster.leader();
      const thaw = cluster.nodes.filter((node) => node !== leader).map(freeze);
      // What it acknowledges from now on nobody else has.
      await sleep(DEAF_MS);
      await cluster.kill(leader);
      for (const goOn of thaw) goOn();
      await load.progress(WRITES);
      await cluster.launch(leader);
      await load.progress(WRITES);
    }
  });
});

test('the leader sleeps, and wakes up as one who was deposed and finds requests that waited for it', async () => {
  await underLoad([], async (cluster, load) => {
    const sleeps = async (leader: NodeProcess): Promise<void> => {
      const goOn = freeze(leader);
      await Promise.all([sleep(PAUSE_MS), load.progress(WRITES)]);
      goOn();
      await load.progress(WRITES);
    };
    await sleeps(await cluster.leader());
    // One so slow to doubt itself that on waking it still believes that it leads.
    const [slow] = cluster.nodes;
    await leadWith(cluster, slow!, 'KVORUM_HEARTBEAT', '800');
    await sleeps(slow!);
  });
});

test('the followers sleep until the leader gives up, and then get all that it had sent them', async () => {
  await underLoad([], async (cluster, load) => {
    const leader = await cluster.leader();
    const thaw = cluster.nodes.filter((node) => node !== leader).map(freeze);
    await sleep(PAUSE_MS);
    for (const goOn of thaw) goOn();
    await load.progress(WRITES);
  });
});

test('all nodes are killed at once', async () => {
  await underLoad(['--snapshot-entries', '500'], async (cluster, load) => {
    await Promise.all(cluster.nodes.map((node) => cluster.kill(node)));
    await Promise.all(cluster.nodes.map((node) => cluster.launch(node)));
    await load.progress(WRITES);
  });
});
