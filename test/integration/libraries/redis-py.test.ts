/** redis-py, as Debian has it: a program in Python does what applications do, while the leader is killed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster } from '../cluster.ts';
import { present } from '../tools.ts';

/** Debian's own: another Python that comes first in the path has other packages. */
const PYTHON = '/usr/bin/python3';
const PROGRAM = resolve(import.meta.dirname, 'redis_py.py');

const installed = present('python3-redis', spawnSync(PYTHON, ['-c', 'import redis']).status === 0);

/** Runs the program to its end; calls back when it has counted a quarter of the way. Rejects if it fails. */
async function runProgram(args: readonly string[], whileCounting: () => Promise<void>): Promise<string[]> {
  const child: ChildProcess = spawn(PYTHON, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const meanwhile: Promise<void>[] = [];
  createInterface(child.stdout!).on('line', (line) => {
    lines.push(line);
    if (line === 'counted 50') meanwhile.push(whileCounting());
  });
  // What it complains of without failing is its own affair.
  let complaints = '';
  child.stderr!.on('data', (text: Buffer) => (complaints += text.toString()));
  await once(child, 'close');
  await Promise.all(meanwhile);
  if (child.exitCode !== 0) throw new Error(`redis_py.py ended with ${child.exitCode}: ${complaints}`);
  return lines;
}

const ways = [
  { name: 'a client of a node that forwards', mode: 'plain', args: ['--proxy'] },
  { name: 'a cluster client', mode: 'cluster', args: [] },
] as const;

test.skipIf(!installed).each(ways)('$name', async ({ mode, args }) => {
  const cluster = await Cluster.start(3, args);
  onTestFinished(() => cluster.stop());
  const ports = (await cluster.followers()).map(({ port }) => `${port}`);
  const said = await runProgram([mode, ...ports], async () => {
    const killed = await cluster.leader();
    await cluster.kill(killed);
    await cluster.launch(killed);
  });
  expect(said).toEqual(['counted 50', 'counted 100', 'counted 150', 'counted 200', 'done']);
});
