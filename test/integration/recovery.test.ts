/** Damaged and lost directories under real nodes, and the ways out that docs/recovery.md names. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import type { Inspection } from '../../src/wal/inspect.ts';
import { answered, Cluster, type NodeProcess, until, urlOf } from './cluster.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');

/** Runs the command line; resolves to its exit code and what it said. */
async function kvorum(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN, ...args]);
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

async function check(node: NodeProcess): Promise<{ code: number; found: Inspection }> {
  const { code, out } = await kvorum('check', node.directory, '--json');
  return { code, found: JSON.parse(out) as Inspection };
}

function client(node: NodeProcess): Redis {
  const redis = new Redis({ port: node.port, retryStrategy: null });
  redis.on('error', () => undefined);
  onTestFinished(() => redis.disconnect());
  return redis;
}

/** Flips a bit of the newest of a node's files of that kind; `where`: in which byte of it. */
function spoil(node: NodeProcess, kind: '.log' | '.snap', where: (bytes: Buffer) => number): void {
  const name = readdirSync(node.directory)
    .filter((file) => file.endsWith(kind))
    .sort()
    .at(-1)!;
  const path = join(node.directory, name);
  const bytes = readFileSync(path);
  bytes[where(bytes)]! ^= 1;
  writeFileSync(path, bytes);
}

/** In the last batch of a log. */
const inTheEnd = (bytes: Buffer): number => bytes.findLastIndex((byte) => byte !== 0) - 60;
const inTheMiddle = (bytes: Buffer): number => Math.floor(bytes.length / 2);

async function started(size: number, ...args: string[]): Promise<Cluster> {
  const cluster = await Cluster.start(size, args);
  onTestFinished(() => cluster.stop());
  return cluster;
}

test('a node that lost the end of its log recovers from the others, and then counts as a voter again', async () => {
  const cluster = await started(3);
  const leader = await cluster.leader();
  const damaged = await cluster.follower();
  const redis = client(leader);
  for (let count = 0; count < 20; count += 1) expect(await redis.set(`k${count}`, `${count}`)).toBe('OK');
  await cluster.converged();
  expect(await cluster.kill(damaged, 'SIGTERM')).toBe(0);
  expect((await check(damaged)).code).toBe(0);
  spoil(damaged, '.log', inTheEnd);
  const before = await check(damaged);
  expect(before).toMatchObject({
    code: 1,
    found: { decision: 'recovering', findings: [{ label: 'lost end' }] },
  });

  await cluster.launch(damaged);
  await cluster.converged();
  expect(cluster.logOf(damaged)).toContain('gives no vote and does not campaign');
  // The doubt is taken away as soon as it has everything; the file says so.
  await until('the recovery to end', async () => {
    const { found } = await check(damaged);
    return found.content?.termVote.every(({ recovering }) => recovering === false) === true;
  });

  // With the third node gone nothing goes without it: it votes, and it has all that was acknowledged.
  await cluster.kill(leader);
  const next = await cluster.leader();
  const survivor = client(next);
  for (let count = 0; count < 20; count += 1) expect(await survivor.get(`k${count}`)).toBe(`${count}`);
  expect(await survivor.set('after', '1')).toBe('OK');
});

test('the snapshot of a leader rots: it is replaced when another node needs it, and the node catches up', async () => {
  const cluster = await started(3, '--snapshot-entries', '100');
  const leader = await cluster.leader();
  const [away] = await cluster.followers();
  await cluster.kill(away!);
  const redis = client(leader);
  for (let count = 0; count < 500; count += 1) await answered(() => redis.set(`k${count}`, 'x'.repeat(1000)));
  await until('the log to be compacted, and no newer snapshot to be under way', async () => {
    const status = await cluster.status(leader);
    return status !== null && status.firstIndex > 100 && status.appliedIndex - status.snapshotIndex < 100;
  });
  spoil(leader, '.snap', inTheMiddle);

  // Nobody writes any more: the leader itself sees to it that there is something newer.
  await cluster.launch(away!);
  await cluster.converged();
  expect(cluster.logOf(leader)).toContain('this snapshot is damaged; a new one takes its place');
  expect(cluster.logOf(away!)).toContain('snapshot restored');
  await cluster.kill(leader);
  const survivor = client(await cluster.leader());
  for (let count = 0; count < 500; count += 50)
    expect(await survivor.get(`k${count}`)).toBe('x'.repeat(1000));
});

test('two of three are lost for ever: the third becomes a new cluster, which others join', async () => {
  const cluster = await started(3);
  const leader = await cluster.leader();
  const redis = client(leader);
  expect(await redis.set('a', '1')).toBe('OK');
  await cluster.converged();
  const [kept, ...lost] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
  for (const node of cluster.nodes) await cluster.kill(node);

  const force = ['recover', kept.directory, '--force-new-cluster', '--id', kept.id, '--url', urlOf(kept)];
  expect(await kvorum(...force)).toMatchObject({
    code: 1,
    err: expect.stringContaining('WARNING') as unknown,
  });
  const done = await kvorum(...force, '--yes-i-accept-data-loss');
  expect(done).toMatchObject({
    code: 0,
    out: expect.stringContaining(`${kept.id} is the only voter`) as unknown,
  });
  expect((await check(kept)).found.content?.configuration?.removed).toEqual(lost.map(({ id }) => id));

  kept.entry = [];
  await cluster.launch(kept);
  expect(await cluster.leader()).toBe(kept);
  const alone = client(kept);
  expect(await alone.get('a')).toBe('1');
  expect(await alone.set('b', '2')).toBe('OK');

  // One of the lost comes back unaware: it is turned away, and can do nothing by itself.
  const [unaware] = lost;
  await cluster.launch(unaware);
  await until('it to hear that it does not belong here', () =>
    cluster.logOf(unaware).includes('different clusters'),
  );

  const joined = await cluster.join('n9', kept);
  await until('the new node to have a vote', async () => {
    const { voters } = (await check(kept)).found.content?.configuration ?? { voters: [] };
    return voters.some(({ id }) => id === joined.id);
  });
  expect(await alone.get('b')).toBe('2');
  expect((await cluster.status(unaware))?.leader).toBe(null);
});
