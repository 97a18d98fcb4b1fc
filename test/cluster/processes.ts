/** Nodes as processes of this machine, with a network between them in which faults can be made (`links.ts`). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { until } from '../integration/cluster.ts';
import { Links } from './links.ts';
import {
  type Direction,
  freePorts,
  type Machine,
  type MachineOptions,
  type Machines,
  statusOf,
} from './machines.ts';

const DIST = resolve(import.meta.dirname, '../../dist');

interface Process extends Machine {
  /** Where the other nodes reach it: its door. */
  readonly url: string;
  child: ChildProcess | null;
}

export class Processes implements Machines {
  readonly kind = 'processes';
  readonly all: Process[];
  readonly #root: string;
  readonly #links: Links;
  readonly #options: MachineOptions;

  private constructor(all: Process[], root: string, links: Links, options: MachineOptions) {
    this.all = all;
    this.#root = root;
    this.#links = links;
    this.#options = options;
  }

  static async create(options: MachineOptions): Promise<Processes> {
    const root = await mkdtemp(join(tmpdir(), 'kvorum-cluster-'));
    const links = new Links();
    const ports = await freePorts(options.size * 2);
    const all: Process[] = [];
    for (let at = 0; at < options.size; at += 1) {
      const id = `n${at + 1}`;
      const [port, httpPort] = [ports[at * 2]!, ports[at * 2 + 1]!];
      const url = `http://127.0.0.1:${await links.open(id, httpPort)}`;
      all.push({ id, port, httpPort, url, child: null });
    }
    return new Processes(all, root, links, options);
  }

  isUp(machine: Machine): boolean {
    return this.#process(machine).child !== null;
  }

  async start(machine: Machine): Promise<void> {
    const own = this.#process(machine);
    const { id, port, httpPort } = own;
    const child = spawn(process.execPath, [join(this.#options.dist ?? DIST, 'cli/main.js'), 'serve'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        KVORUM_ID: id,
        KVORUM_PORT: `${port}`,
        KVORUM_HTTP_PORT: `${httpPort}`,
        KVORUM_DATA_DIR: join(this.#root, id),
        KVORUM_PEERS: this.all.map((other) => `${other.id}=${other.url}`).join(','),
        ...this.#options.settings?.(id),
      },
    });
    own.child = child;
    const log = createWriteStream(this.#logFile(id), { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.on('close', () => log.end());
    await until(`${id} to answer`, async () => {
      if (child.exitCode !== null)
        throw new Error(`${id} ended with ${child.exitCode}:\n${await this.log(machine)}`);
      return (await statusOf(machine)) !== null;
    });
  }

  async kill(machine: Machine): Promise<void> {
    await this.#end(machine, 'SIGKILL');
  }

  async stop(machine: Machine): Promise<number> {
    return (await this.#end(machine, 'SIGTERM')) ?? -1;
  }

  /** Ends the process and waits for it; its exit code, `null` after a signal. */
  async #end(machine: Machine, signal: NodeJS.Signals): Promise<number | null> {
    const own = this.#process(machine);
    const { child } = own;
    if (child === null) return null;
    own.child = null;
    // Its faults go with it, as a container's firewall does.
    this.#links.mend(machine.id);
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
  }

  pause(machine: Machine): Promise<void> {
    this.#process(machine).child?.kill('SIGSTOP');
    return Promise.resolve();
  }

  resume(machine: Machine): Promise<void> {
    this.#process(machine).child?.kill('SIGCONT');
    return Promise.resolve();
  }

  disconnect(machine: Machine): Promise<void> {
    this.#links.sever(machine.id);
    return Promise.resolve();
  }

  reconnect(machine: Machine): Promise<void> {
    this.#links.mend(machine.id);
    return Promise.resolve();
  }

  isolate(machine: Machine, direction: Direction): Promise<void> {
    this.#links.hold(machine.id, direction);
    return Promise.resolve();
  }

  heal(machine: Machine): Promise<void> {
    this.#links.mend(machine.id);
    return Promise.resolve();
  }

  async log(machine: Machine): Promise<string> {
    return readFile(this.#logFile(machine.id), 'utf8');
  }

  async dispose(): Promise<void> {
    await Promise.all(this.all.map((machine) => this.kill(machine)));
    await this.#links.close();
    await rm(this.#root, { recursive: true, force: true });
  }

  #logFile(id: string): string {
    return join(this.#root, `${id}.log`);
  }

  #process(machine: Machine): Process {
    const found = this.all.find(({ id }) => id === machine.id);
    if (found === undefined) throw new Error(`${machine.id} is not one of these machines`);
    return found;
  }
}
