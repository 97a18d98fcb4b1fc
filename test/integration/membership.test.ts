/** Who takes part, changed while clients use the cluster, and what happens to nodes that should not take part. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ClusterView } from '../../src/server/driver.ts';
import { expectLinearizable } from '../linearizability/expect.ts';
import { Cluster, type NodeProcess, until, urlOf } from './cluster.ts';
import { Workload } from './workload.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
/** A refusal that a moment later may be none. */
const RETRIED = ['starting', 'pending', 'notReady', 'notLeader', 'unsafe'];

async function startCluster(size = 3, args: readonly string[] = []): Promise<Cluster> {
  const cluster = await Cluster.start(size, args);
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function prepareCluster(): Promise<Cluster> {
  const cluster = await Cluster.prepare();
  onTestFinished(() => cluster.stop());
  return cluster;
}

/** Asks a node's HTTP API. */
async function api(
  node: NodeProcess,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: { error?: { code: string; message: string } } & Partial<ClusterView> }> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(`${urlOf(node)}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as ClusterView };
}

/** Asks any node that runs for a change, again while the answer is that it can't be done at this moment. */
async function change(cluster: Cluster, method: string, path: string, body?: object): Promise<void> {
  await until(`${method} ${path}`, async () => {
    for (const node of cluster.nodes.filter(({ process }) => process !== null)) {
      const answer = await api(node, method, path, body).catch(() => null);
      if (answer?.status === 200) return true;
      const error = answer?.body.error;
      if (error === undefined || RETRIED.includes(error.code) || error.code === 'unknown') continue;
      throw new Error(`${method} ${path}: ${JSON.stringify(error)}`);
    }
    return false;
  });
}

/** Ids of those who take part, `null` while that changes. */
async function members(
  node: NodeProcess,
): Promise<{ voters: string[]; learners: string[]; removed: string[] } | null> {
  const { body } = await api(node, 'GET', '/v1/cluster');
  if (body.configuration === undefined || body.changing === true) return null;
  const { voters, learners, removed } = body.configuration;
  const ids = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id).toSorted();
  return { voters: ids(voters), learners: ids(learners), removed: removed.toSorted() };
}

/** Waits until these are the voters, as one of them knows it. */
async function voters(cluster: Cluster, ...ids: readonly string[]): Promise<void> {
  const node = cluster.nodes.find(({ id, process }) => process !== null && ids.includes(id))!;
  await until(`the voters ${ids.join()}`, async () => {
    const found = await members(node).catch(() => null);
    return found?.voters.join() === ids.toSorted().join();
  });
}

async function health(node: NodeProcess): Promise<{ status?: string; message?: string }> {
  const answer = await fetch(`${urlOf(node)}/health`).catch(() => null);
  return answer === null ? {} : ((await answer.json()) as { status: string });
}

/** The kvorum command, to its end. */
async function kvorum(...args: readonly string[]): Promise<{ code: number; output: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args]);
    return { code: 0, output: stdout };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { code, output: stderr };
  }
}

describe('under load', () => {
  test('two nodes are added and the first three removed, one at a time, with kill -9 in between', async () => {
    const cluster = await startCluster();
    const first = [...cluster.nodes];
    const workload = Workload.start({
      addresses: () => cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
      operationsPerSecond: 500,
    });
    await workload.progress(100);

    await cluster.join('n4', await cluster.follower());
    // While it catches up or is promoted.
    const killed = await cluster.leader();
    await cluster.kill(killed);
    await workload.progress(100);
    await cluster.launch(killed);
    await cluster.join('n5', killed);
    await voters(cluster, 'n1', 'n2', 'n3', 'n4', 'n5');

    const left = new Set(cluster.nodes.map(({ id }) => id));
    while (first.length > 0) {
      // The leader, when it is one of them: it leads until the change is agreed on, and hands over.
      const leader = await cluster.leader();
      const node = first.find((one) => one === leader) ?? first[0]!;
      first.splice(first.indexOf(node), 1);
      const removing = change(cluster, 'DELETE', `/v1/cluster/members/${node.id}`);
      const victim = first[0];
      if (victim !== undefined) {
        // Another one dies, and comes back: in the middle of the change, or after the hand-over of a leader that leaves,
        // which would choose that one as likely as any other.
        if (node === leader) await removing.then(() => workload.progress(50));
        await cluster.kill(victim);
        await workload.progress(50);
        await cluster.launch(victim);
      }
      await removing;
      left.delete(node.id);
      await voters(cluster, ...left);
      await until(`${node.id} to know it`, async () => (await health(node)).status === 'removed');
      await cluster.kill(node);
      cluster.nodes.splice(cluster.nodes.indexOf(node), 1);
      await workload.progress(100);
    }

    expect((await members(await cluster.leader()))?.removed).toEqual(['n1', 'n2', 'n3']);
    const report = await workload.stop();
    console.log(
      `membership changes under load: ${report.acknowledgedWrites} writes acknowledged in ${report.seconds.toFixed(1)} s ` +
        `(${report.unknownWrites} unknown), none lost; longest write outage ${report.longestGapMs} ms`,
    );
    expect(report.lost).toEqual([]);
    expectLinearizable(report.history);
  });
});

describe('joining', () => {
  test('a dead voter is replaced, and is told so when it comes back unaware', async () => {
    const cluster = await startCluster();
    const dead = await cluster.follower();
    await cluster.kill(dead);
    const alive = cluster.nodes.filter((node) => node !== dead);
    await cluster.join('n4', alive[0]!, ['--replace', dead.id]);
    await voters(cluster, ...alive.map(({ id }) => id), 'n4');
    expect((await members(alive[1]!))?.removed).toEqual([dead.id]);

    cluster.spawn(dead);
    await until('it to say that it was removed', async () => (await health(dead)).status === 'removed');
    expect((await health(dead)).message).toContain('add it under a new id');
    expect(cluster.logOf(dead)).toContain('this node was removed from the cluster');
    // Its id is burnt, for a new directory, too.
    await cluster.kill(dead);
    await rm(dead.directory, { recursive: true });
    dead.entry = ['--join', urlOf(alive[0]!)];
    cluster.spawn(dead);
    expect(await cluster.ended(dead)).toBe(1);
    expect(cluster.logOf(dead)).toContain(
      `${dead.id} was removed from this cluster, and an id is never used again`,
    );
  });

  test('a joiner that is killed at any moment goes on when it is started again, and then without --join', async () => {
    const cluster = await startCluster(1);
    const [via] = cluster.nodes as [NodeProcess];
    const joiner = await cluster.add('n4', ['--join', urlOf(via)]);
    const moments: readonly (readonly [string, () => boolean | Promise<boolean>])[] = [
      ['it has claimed its directory', () => existsSync(join(joiner.directory, 'claim'))],
      ['the cluster has agreed', async () => (await members(via))?.learners.includes('n4') === true],
      ['its directory is set up', () => existsSync(join(joiner.directory, 'identity'))],
    ];
    for (const [moment, reached] of moments) {
      cluster.spawn(joiner);
      await until(
        moment,
        async () => (await reached()) || (await members(via))?.voters.includes('n4') === true,
      );
      await cluster.kill(joiner);
    }
    joiner.entry = [];
    await cluster.launch(joiner);
    await voters(cluster, 'n1', 'n4');
    await cluster.converged();
  });

  test('a joiner waits while the cluster has no leader, and says why', async () => {
    const cluster = await startCluster(2);
    const [alive, other] = cluster.nodes as [NodeProcess, NodeProcess];
    await cluster.kill(other);
    const joiner = await cluster.add('n4', ['--join', urlOf(alive), '--learner']);
    cluster.spawn(joiner);
    await until('it to say what it waits for', async () => {
      const { status, message = '' } = await health(joiner);
      return status === 'joining' && /no leader|unknown|not known|agreed/.test(message);
    });
    await cluster.launch(other);
    await until('it to be a learner', async () => (await cluster.status(joiner))?.state === 'member');
    expect(await members(alive)).toMatchObject({ voters: ['n1', 'n2'], learners: ['n4'] });
  });
});

describe('founding', () => {
  test('goes on until all were heard, over crashes, and whoever is started otherwise is named', async () => {
    const cluster = await prepareCluster();
    for (const id of ['n1', 'n2', 'n3']) await cluster.add(id);
    const [n1, n2, n3] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
    const peers = cluster.nodes.map((node) => `${node.id}=${urlOf(node)}`);
    n1.entry = n2.entry = ['--peers', peers.join()];
    n3.entry = ['--peers', peers.slice(1).join()];
    cluster.spawn(n1);
    cluster.spawn(n2);
    await until('n1 to wait for n3 alone', async () => {
      const { status, message = '' } = await health(n1);
      return status === 'founding' && message.includes('n3') && !message.includes('n2');
    });
    await cluster.kill(n1);
    cluster.spawn(n1);
    cluster.spawn(n3);
    await until('both lists to be named', async () => {
      const { message = '' } = await health(n2);
      return (
        message.includes(`n3 was started with --peers ${peers.slice(1).join()}`) &&
        message.includes(peers.join())
      );
    });
    await cluster.kill(n3);
    n3.entry = n1.entry;
    await Promise.all([
      cluster.launch(n3),
      until('n1 to run', async () => (await cluster.status(n1)) !== null),
    ]);
    await cluster.leader();
    expect((await members(n1))?.voters).toEqual(['n1', 'n2', 'n3']);

    // From now on the directory knows.
    await cluster.kill(n2);
    n2.entry = [];
    await cluster.launch(n2);
    await cluster.converged();
  });

  test('an emptied directory is refused, and so is that of another cluster', async () => {
    const cluster = await startCluster();
    const [leader, emptied] = [await cluster.leader(), await cluster.follower()];
    await cluster.kill(emptied);
    await rename(emptied.directory, `${emptied.directory}.kept`);
    cluster.spawn(emptied);
    expect(await cluster.ended(emptied)).toBe(1);
    expect(cluster.logOf(emptied)).toContain('not the one that the cluster knows under this id');
    expect(cluster.logOf(emptied)).toContain('kvorum cluster remove <id>');
    // Nor can it come back as a new member under the same id.
    emptied.entry = ['--join', urlOf(leader)];
    cluster.spawn(emptied);
    expect(await cluster.ended(emptied)).toBe(1);
    expect(cluster.logOf(emptied)).toContain('is a member with another data directory');

    const other = await prepareCluster();
    const foreign = await other.add(emptied.id);
    await other.launch(foreign);
    await other.kill(foreign);
    await rm(emptied.directory, { recursive: true });
    await rename(foreign.directory, emptied.directory);
    cluster.spawn(emptied);
    expect(await cluster.ended(emptied)).toBe(1);
    expect(cluster.logOf(emptied)).toContain('to join that one, give an empty --data-dir');
    emptied.entry = [];
    cluster.spawn(emptied);
    await until('the others to turn it away', () =>
      cluster.logOf(leader).includes('the nodes belong to different clusters'),
    );
    await cluster.kill(emptied);

    // The old directory is still welcome.
    await rm(emptied.directory, { recursive: true });
    await rename(`${emptied.directory}.kept`, emptied.directory);
    await cluster.launch(emptied);
    await cluster.converged();
  });

  test('--peers does not make a cluster of one larger', async () => {
    const cluster = await startCluster(1);
    const [n1] = cluster.nodes as [NodeProcess];
    const n2 = await cluster.add('n2');
    const entry = ['--peers', `n1=${urlOf(n1)},n2=${urlOf(n2)}`];
    n2.entry = entry;
    cluster.spawn(n2);
    expect(await cluster.ended(n2)).toBe(1);
    expect(cluster.logOf(n2)).toContain('the cluster was founded without n2');
    await cluster.kill(n1);
    n1.entry = entry;
    cluster.spawn(n1);
    expect(await cluster.ended(n1)).toBe(1);
    expect(cluster.logOf(n1)).toContain('--peers names n2, which the cluster');
    n1.entry = [];
    await cluster.launch(n1);
    await cluster.leader();
    n2.entry = ['--join', urlOf(n1)];
    await cluster.launch(n2);
    await voters(cluster, 'n1', 'n2');
  });
});

test('an operator’s verbs, with a cluster secret', async () => {
  const secret = ['--cluster-secret', 'open-sesame'];
  const cluster = await startCluster(1, secret);
  const [n1] = cluster.nodes as [NodeProcess];
  const client = new Redis(n1.port);
  onTestFinished(() => client.disconnect());
  await client.set('k', 'v');
  const at = ['--url', urlOf(n1)];

  const waiting = await cluster.add('n2', ['--join', 'wait']);
  cluster.spawn(waiting);
  await until(
    'it to wait',
    async () => (await health(waiting)).message?.includes('kvorum cluster add') === true,
  );
  expect(await kvorum('cluster', 'add', urlOf(waiting), ...at)).toMatchObject({
    code: 1,
    output: expect.stringContaining('the cluster secret is missing or differs') as string,
  });
  const added = await kvorum('cluster', 'add', urlOf(waiting), '--learner', ...at, ...secret);
  expect(added).toEqual({
    code: 0,
    output:
      'n2 is added as a learner; give it a vote with: kvorum cluster promote n2\nvoters: n1; learners: n2\n',
  });
  await until('n2 to have the data', async () => (await cluster.status(waiting))?.keys === 1);
  await until('n2 to have caught up', async () => {
    const { code } = await kvorum('cluster', 'promote', 'n2', '--url', urlOf(waiting), ...secret);
    return code === 0;
  });
  await voters(cluster, 'n1', 'n2');
  expect((await kvorum('cluster', 'transfer', 'n2', ...at, ...secret)).output).toBe('n2 leads now\n');
  await until('n2 to lead', async () => (await cluster.status(waiting))?.role === 'leader');
  expect((await kvorum('cluster', 'transfer', 'n9', ...at, ...secret)).output).toContain('n9 is not a voter');
  expect((await kvorum('cluster', 'status', ...at)).output).toMatch(/^NODE.*\nn1 +follower.*\nn2 +leader.*/);
  const removed = await kvorum('cluster', 'remove', 'n1', ...at, ...secret);
  expect(removed.output).toContain('n1 is removed; stop it');
  await voters(cluster, 'n2');
  expect((await kvorum('cluster', 'remove', 'n2', '--url', urlOf(waiting), ...secret)).output).toContain(
    'n2 is the last voter',
  );
  const answer = await fetch(`${urlOf(waiting)}/v1/cluster/members`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer open-sesame' },
    body: JSON.stringify({ id: 'n/1', url: 'x', incarnation: '1' }),
  });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { code: 'invalid' } });
});
