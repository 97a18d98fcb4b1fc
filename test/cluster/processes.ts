/** Nodes as processes of this machine, with a network between them in which faults can be made (`links.ts`). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { until } from '../integration/cluster.ts';
import { run } from '../integration/tools.ts';
import { Links } from './links.ts';
import {
  type Direction,
  freePorts,
  type Machine,
  type MachineOptions,
  type Machines,
  type Settings,
  statusOf,
} from './machines.ts';

const DIST = resolve(import.meta.dirname, '../../dist');

interface Process extends Machine {
  /** Where the other nodes reach it: its door. */
  readonly url: string;
  settings: Settings;
  child: ChildProcess | null;
}

export class Processes implements Machines {
  readonly kind = 'processes';
  readonly all: Process[] = [];
  readonly #root: string;
  readonly #links: Links = new Links();
  readonly #main: string;

  #added = 0;

  private constructor(root: string, options: MachineOptions) {
    this.#root = root;
    this.#main = join(options.dist ?? DIST, 'cli/main.js');
  }

  static async create(options: MachineOptions): Promise<Processes> {
    const root = await mkdtemp(join(tmpdir(), 'kvorum-cluster-'));
    const machines = new Processes(root, options);
    while (machines.all.length < options.size) await machines.#add();
    const peers = machines.all.map(({ id, url }) => `${id}=${url}`).join(',');
    for (const machine of machines.all) {
      const settings = { KVORUM_PEERS: peers, ...options.settings?.(machine.id) };
      machine.settings = { ...machine.settings, ...settings };
    }
    return machines;
  }

  async join(via: Machine, settings: Settings = {}): Promise<Machine> {
    const machine = await this.#add();
    machine.settings = { ...machine.settings, KVORUM_JOIN: this.#process(via).url, ...settings };
    return machine;
  }

  async discard(machine: Machine): Promise<void> {
    await this.kill(machine);
    this.all.splice(this.all.indexOf(this.#process(machine)), 1);
    await rm(join(this.#root, machine.id), { recursive: true, force: true });
  }

  async #add(): Promise<Process> {
    const [port, httpPort] = await freePorts(2);
    this.#added += 1;
    const id = `n${this.#added}`;
    const url = `http://127.0.0.1:${await this.#links.open(id, httpPort!)}`;
    const settings = {
      KVORUM_ID: id,
      KVORUM_PORT: `${port}`,
      KVORUM_HTTP_PORT: `${httpPort}`,
      KVORUM_HTTP_URL: url,
      KVORUM_DATA_DIR: join(this.#root, id),
    };
    const machine = { id, port: port!, httpPort: httpPort!, url, settings, child: null };
    this.all.push(machine);
    return machine;
  }

  isUp(machine: Machine): boolean {
    return this.#process(machine).child !== null;
  }

  async start(machine: Machine): Promise<void> {
    const own = this.#process(machine);
    const { id, settings } = own;
    const child = spawn(process.execPath, [this.#main, 'serve'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...settings },
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

  async kvorum(machine: Machine, ...args: readonly string[]): Promise<string> {
    const command = [this.#main, ...args, '--url', `http://127.0.0.1:${machine.httpPort}`];
    return run(process.execPath, command);
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
