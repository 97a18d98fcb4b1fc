/** Processes of a benchmark: each with a folder and ports of its own, all gone at the end whatever happens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const HOST = '127.0.0.1';
const CLI = join(import.meta.dirname, '../dist/cli/main.js');
const START_MS_MAX = 30_000;
const POLL_MS = 20;

const alive = new Set<ChildProcess>();
const folders = new Set<string>();

// Also on Ctrl-C and on an exception: a server left behind would spoil the next measurement.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
process.on('SIGINT', () => process.exit(130)).on('SIGTERM', () => process.exit(143));

/** A fresh folder that is removed when the benchmark ends. Under `KVORUM_BENCH_DIR`, else the temporary folder. */
export function freshFolder(name: string): string {
  const folder = mkdtempSync(join(process.env['KVORUM_BENCH_DIR'] ?? tmpdir(), `kvorum-bench-${name}-`));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** Starts a program whose output goes to `<folder>/output`; an end that was not asked for ends the benchmark. */
export function start(program: string, args: readonly string[], folder: string): ChildProcess {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'output');
  const output = createWriteStream(file, { flags: 'a' });
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(output);
  child.stderr.pipe(output);
  alive.add(child);
  child.once('exit', (code, signal) => {
    alive.delete(child);
    if (child.killed || signal === 'SIGKILL') return;
    console.error(`${program} ${args.join(' ')} ended with ${code ?? signal}:`);
    console.error(existsSync(file) ? readFileSync(file, 'utf8').slice(-4000) : '');
    process.exit(1);
  });
  return child;
}

/** Kills a process and waits until it is gone. */
export function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

/** Sends a signal that does not end the process: unlike `child.kill`, this doesn't mark it as killed. */
export function signal(child: ChildProcess, name: 'SIGSTOP' | 'SIGCONT'): void {
  if (child.pid !== undefined) process.kill(child.pid, name);
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Asks again and again until `attempt` gives something; a rejection counts as "not yet". */
export async function until<Value>(what: string, attempt: () => Promise<Value | null>): Promise<Value> {
  const end = performance.now() + START_MS_MAX;
  let reason: unknown;
  while (performance.now() < end) {
    try {
      const value = await attempt();
      if (value !== null) return value;
    } catch (error) {
      reason = error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`${what}: not within ${START_MS_MAX} ms`, { cause: reason });
}

/** A kvorum node as a process of its own. */
export interface KvorumNode {
  readonly id: string;
  readonly port: number;
  readonly url: string;
  process: ChildProcess;
  /** Starts it again on the same data, after its process has ended. */
  restart(): void;
}

/** Starts `count` nodes of one cluster from the built program, on fresh data below `folder`. */
export async function startKvorum(count: number, folder: string): Promise<KvorumNode[]> {
  if (!existsSync(CLI)) throw new Error(`${CLI} is missing; run npm run build first`);
  const ports = await freePorts(count * 2);
  const nodes = Array.from({ length: count }, (_, at) => ({
    id: `n${at + 1}`,
    port: ports[at] ?? 0,
    url: `http://${HOST}:${ports[count + at] ?? 0}`,
  }));
  const peers = nodes.map(({ id, url }) => `${id}=${url}`).join(',');
  return nodes.map((node) => {
    const home = join(folder, node.id);
    const args = [
      '--id',
      node.id,
      '--port',
      String(node.port),
      '--peers',
      peers,
      '--data-dir',
      join(home, 'data'),
    ];
    const launch = (): ChildProcess =>
      start(process.execPath, [CLI, 'serve', ...args, '--log-level', 'warn'], home);
    return {
      ...node,
      process: launch(),
      restart(): void {
        this.process = launch();
      },
    };
  });
}
