/**
 * Real nodes as real processes, each with its own directory, started through the command line as an operator would.
 * Everything a failed test needs to be understood is in the nodes' logs, which are kept and shown.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, readFileSync, type WriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusReply } from '../../src/cli/status.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
/** Below the range from which the kernel takes ports for outgoing connections: nobody else gets them by chance. */
const PORTS = { from: 20_000, to: 30_000 };
const PATIENCE_MS = 30_000;
const POLL_MS = 25;
/** How long the nodes have at the end of a test to stand at the same index. */
const SAME_INDEX_MS = 5_000;
const ANSWER_MS = 1_000;

export interface NodeProcess {
  readonly id: string;
  readonly port: number;
  readonly httpPort: number;
  readonly directory: string;
  readonly logFile: string;
  /** How it comes into its cluster: `--peers`, `--join`, or nothing. */
  entry: readonly string[];
  process: ChildProcess | null;
  log: WriteStream | null;
}

export class Cluster {
  readonly nodes: NodeProcess[];
  readonly #root: string;
  readonly #args: readonly string[];

  private constructor(root: string, nodes: NodeProcess[], args: readonly string[]) {
    this.#root = root;
    this.nodes = nodes;
    this.#args = args;
  }

  /** Starts `size` nodes with these extra arguments and waits until one of them leads. */
  static async start(size: number, args: readonly string[] = []): Promise<Cluster> {
    const cluster = await Cluster.prepare(args);
    for (let at = 1; at <= size; at += 1) await cluster.add(`n${at}`);
    const peers = cluster.nodes.map(({ id, httpPort }) => `${id}=http://127.0.0.1:${httpPort}`).join(',');
    if (size > 1) for (const node of cluster.nodes) node.entry = ['--peers', peers];
    await Promise.all(cluster.nodes.map((node) => cluster.launch(node)));
    await cluster.leader();
    return cluster;
  }

  /** No nodes yet. */
  static async prepare(args: readonly string[] = []): Promise<Cluster> {
    return new Cluster(await mkdtemp(join(tmpdir(), 'kvorum-test-')), [], args);
  }

  /** One more node, not started. `entry`: see {@link NodeProcess.entry}. */
  async add(id: string, entry: readonly string[] = []): Promise<NodeProcess> {
    const [port, httpPort] = (await this.#freePorts(2)) as [number, number];
    const node: NodeProcess = {
      id,
      port,
      httpPort,
      directory: join(this.#root, id),
      logFile: join(this.#root, `${id}.log`),
      entry,
      process: null,
      log: null,
    };
    this.nodes.push(node);
    return node;
  }

  /** Starts a new node that joins through `via`, which may be any member; resolves when it has a log of its own. */
  async join(id: string, via: NodeProcess, args: readonly string[] = []): Promise<NodeProcess> {
    const node = await this.add(id, ['--join', urlOf(via), ...args]);
    await this.launch(node);
    return node;
  }

  /** Starts a node's process; resolves when it runs as part of a cluster. */
  async launch(node: NodeProcess): Promise<void> {
    const child = this.spawn(node);
    await until(`${node.id} to answer`, async () => {
      if (child.exitCode !== null)
        throw new Error(`${node.id} ended with ${child.exitCode}:\n${this.logOf(node)}`);
      return (await this.status(node)) !== null;
    });
  }

  /** Starts a node's process, whatever becomes of it. */
  spawn(node: NodeProcess): ChildProcess {
    const args = [
      MAIN,
      'serve',
      '--id',
      node.id,
      '--port',
      `${node.port}`,
      '--http-port',
      `${node.httpPort}`,
    ];
    args.push('--data-dir', node.directory, ...node.entry, ...this.#args);
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    node.process = child;
    node.log = createWriteStream(node.logFile, { flags: 'a' });
    child.stdout.pipe(node.log, { end: false });
    child.stderr.pipe(node.log, { end: false });
    return child;
  }

  /** Waits for a node that does not stay; resolves to its exit code. */
  async ended(node: NodeProcess): Promise<number | null> {
    const child = node.process;
    if (child === null) throw new Error(`${node.id} was not started`);
    // Not 'exit': what it said last may still be on its way.
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    return child.exitCode;
  }

  /** Ends a node's process and waits for it; resolves to its exit code, null after a signal. */
  async kill(node: NodeProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = node.process;
    if (child === null) return null;
    node.process = null;
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    node.log?.end();
    return child.exitCode;
  }

  async status(node: NodeProcess): Promise<StatusReply | null> {
    try {
      const reply = await fetch(`http://127.0.0.1:${node.httpPort}/v1/status`, {
        signal: AbortSignal.timeout(2000),
      });
      return reply.ok ? ((await reply.json()) as StatusReply) : null;
    } catch {
      return null;
    }
  }

  /** The node that leads and can commit; waits for it. */
  async leader(): Promise<NodeProcess> {
    let found: NodeProcess | undefined;
    await until('a leader', async () => {
      for (const node of this.nodes) {
        if (node.process === null) continue;
        const status = await this.status(node);
        if (status?.role === 'leader' && status.commitIndex > 1) found = node;
      }
      return found !== undefined;
    });
    return found!;
  }

  async follower(): Promise<NodeProcess> {
    const [first] = await this.followers();
    return first!;
  }

  /** All nodes that run and do not lead. */
  async followers(): Promise<NodeProcess[]> {
    const leader = await this.leader();
    return this.nodes.filter((node) => node !== leader && node.process !== null);
  }

  /** Waits until every running node has applied what the leader has committed. */
  async converged(): Promise<void> {
    await until('all nodes to stand at the same index', async () => {
      const running = this.nodes.filter((node) => node.process !== null);
      const all = await Promise.all(running.map((node) => this.status(node)));
      const applied = new Set(all.map((status) => status?.appliedIndex));
      return applied.size === 1 && all.every((status) => typeof status?.leader === 'string');
    });
  }

  logOf(node: NodeProcess): string {
    return existsSync(node.logFile) ? readFileSync(node.logFile, 'utf8') : '';
  }

  /** Ends all nodes. Rejects if those that are up and agree on how far they are do not hold the same. */
  async stop(): Promise<void> {
    try {
      await this.#compareDigests();
    } finally {
      await this.#end();
    }
  }

  async #compareDigests(): Promise<void> {
    const deadline = performance.now() + SAME_INDEX_MS;
    while (performance.now() < deadline) {
      const running = this.nodes.filter((node) => node.process !== null);
      const found = (await Promise.all(running.map(digestOf))).filter((digest) => digest !== null);
      if (found.length < 2) return;
      const [first] = found;
      if (found.every(({ index }) => index === first?.index)) {
        const digests = found.map(({ digest }) => digest);
        if (new Set(digests).size === 1) return;
        throw new Error(`the nodes hold different things at index ${first?.index}: ${digests.join(', ')}`);
      }
      await sleep(POLL_MS);
    }
  }

  async #end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.kill(node)));
    await rm(this.#root, { recursive: true, force: true });
  }

  async #freePorts(count: number): Promise<number[]> {
    const taken = this.nodes.flatMap(({ port, httpPort }) => [port, httpPort]);
    const ports: number[] = [];
    while (ports.length < count) {
      const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
      if (!taken.includes(port) && !ports.includes(port) && (await isFree(port))) ports.push(port);
    }
    return ports;
  }
}

/** What a node holds, in a hash; `null` when it does not say: it is frozen, cut off or on its way. */
async function digestOf(node: NodeProcess): Promise<{ index: number; digest: string } | null> {
  try {
    const answer = await fetch(`${urlOf(node)}/v1/digest`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return answer.ok ? ((await answer.json()) as { index: number; digest: string }) : null;
  } catch {
    return null;
  }
}

/** A node's HTTP address. */
export function urlOf({ httpPort }: Pick<NodeProcess, 'httpPort'>): string {
  return `http://127.0.0.1:${httpPort}`;
}

/** Polls until `condition` holds; fails with what was waited for. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await sleep(POLL_MS);
  }
}

/**
 * Sends a command that may be run twice until it is answered. On a machine that stands still for a second the leader
 * changes, and clients are told: of a write whose outcome nobody knows, of a read that no leader confirms.
 */
export async function answered<T>(send: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await send();
    } catch (error) {
      const told = /^(?:UNKNOWN|CLUSTERDOWN|MOVED) /.test((error as Error).message);
      if (!told || performance.now() > deadline) throw error;
      await sleep(POLL_MS);
    }
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
