/** A disk that is really full: a small file system in memory, filled and emptied beside running nodes. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess, until } from './cluster.ts';
import { ReplyError, RespClient, type WireReply } from './resp-client.ts';

const MiB = 1024 * 1024;
const REPLY_MS_MAX = 20_000;

/** Whether this process may mount a file system; says loudly when it may not. */
function canMount(): boolean {
  if (process.platform === 'linux' && process.getuid?.() === 0) return true;
  console.warn(
    '\n*** SKIPPED: only root on Linux can mount a small disk, so the tests of a full one do not run ***\n',
  );
  return false;
}

/** Puts a node's directory on a disk of its own. */
function onSmallDisk(node: NodeProcess, bytes: number): void {
  mkdirSync(node.directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'kvorum-test', node.directory]);
}

/** Fills the disk of a node until only `left` bytes are free. */
function fill(node: NodeProcess, left: number): void {
  const { bavail, bsize } = statfsSync(node.directory);
  writeFileSync(join(node.directory, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - left), 1));
}

/** A connection as a function: sends one command, resolves to its reply. */
async function client(node: NodeProcess): Promise<(...args: string[]) => Promise<WireReply>> {
  const connected = await RespClient.connect({ host: '127.0.0.1', port: node.port });
  onTestFinished(() => connected.close());
  return async (...args) => {
    const [reply] = await connected.send([args], REPLY_MS_MAX);
    return reply ?? null;
  };
}

const isRefusal = (reply: WireReply): boolean => reply instanceof ReplyError && reply.code === 'OOM';

test.runIf(canMount())(
  'a node alone refuses writes, serves reads, and takes writes again by itself',
  async () => {
    const cluster = await Cluster.prepare();
    const node = await cluster.add('n1');
    onTestFinished(async () => {
      await cluster.kill(node);
      execFileSync('umount', [node.directory]);
      await cluster.stop();
    });
    onSmallDisk(node, 256 * MiB);
    await cluster.launch(node);
    await cluster.leader();
    const { pid } = node.process!;
    const redis = await client(node);
    expect(await redis('SET', 'a', '1')).toBe('OK');

    fill(node, 20 * MiB);
    await until('writes to be refused', async () => isRefusal(await redis('SET', 'b', '1')));
    const refusal = await redis('SET', 'c', '1');
    expect((refusal as ReplyError).text).toMatch(/^OOM the disk of the leader is nearly full/);
    expect(await redis('GET', 'a')).toBe('1');
    expect(await redis('GET', 'c')).toBe(null);
    expect(await redis('INCR', 'c')).toSatisfy(isRefusal);

    rmSync(join(node.directory, 'filler'));
    await until('writes to be taken again', async () => (await redis('SET', 'c', '2')) === 'OK');
    expect(await redis('GET', 'c')).toBe('2');
    expect(node.process?.pid).toBe(pid);
    expect(cluster.logOf(node)).toContain('the disk is almost full: writes are refused');
    expect(cluster.logOf(node)).toContain('there is space on the disk again');

    await cluster.kill(node);
    await cluster.launch(node);
    await cluster.leader();
    const again = await client(node);
    expect([await again('GET', 'a'), await again('GET', 'c')]).toEqual(['1', '2']);
  },
);

test.runIf(canMount())(
  'a follower whose disk is full to the last byte waits, and catches up without a restart',
  async () => {
    const cluster = await Cluster.prepare([
      '--snapshot-entries',
      '1000000',
      '--snapshot-bytes',
      '1000000000',
    ]);
    const nodes = [await cluster.add('n1'), await cluster.add('n2'), await cluster.add('n3')];
    const small = nodes[2]!;
    onTestFinished(async () => {
      await cluster.kill(small);
      execFileSync('umount', [small.directory]);
      await cluster.stop();
    });
    onSmallDisk(small, 128 * MiB);
    const peers = nodes.map(({ id, httpPort }) => `${id}=http://127.0.0.1:${httpPort}`).join(',');
    for (const node of nodes) node.entry = ['--peers', peers];
    await Promise.all(nodes.map((node) => cluster.launch(node)));
    let leader = await cluster.leader();
    if (leader === small) {
      await cluster.kill(small);
      leader = await cluster.leader();
      await cluster.launch(small);
    }
    await cluster.converged();
    const { pid } = small.process!;
    fill(small, 0);

    // More than the segment in use and the one that is prepared can hold.
    const redis = await client(leader);
    const value = 'x'.repeat(MiB);
    for (let count = 0; count < 48; count += 1) expect(await redis('SET', `k${count}`, value)).toBe('OK');
    await until('the small disk to be full', () => cluster.logOf(small).includes('waits for space'));
    expect(await redis('SET', 'last', '1')).toBe('OK');

    rmSync(join(small.directory, 'filler'));
    await until('the follower to catch up', async () => {
      const [there, here] = await Promise.all([cluster.status(leader), cluster.status(small)]);
      return there !== null && there.appliedIndex === here?.appliedIndex;
    });
    expect(small.process?.pid).toBe(pid);
    expect(cluster.logOf(small).match(/waits for space/g)).toHaveLength(1);
    expect(cluster.logOf(small)).toContain('the log has room again');
  },
);
