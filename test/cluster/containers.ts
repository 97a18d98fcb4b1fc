/**
 * Nodes as containers of the project's image, one each, on a network of their own:
 *
 *     clients of this machine ──▶ published port ──▶ bridge ──▶ n1   n2   n3
 *                                                                └────┴────┘  kvorum-test-…: nodes only
 *
 * Clients come in by Docker's default bridge and nodes talk over the named network. So a fault between the nodes leaves
 * the clients where they are, which is the hard case: a node that lost the others can still be asked.
 *
 * Node is process 1 in them, as in the compose file: the image's entry point handles SIGTERM and starts no children.
 */
import {
  getContainerRuntimeClient,
  GenericContainer,
  Network,
  type StartedNetwork,
  Wait,
} from 'testcontainers';
import { until } from '../integration/cluster.ts';
import { run } from '../integration/tools.ts';
import {
  type Direction,
  freePorts,
  type Machine,
  type MachineOptions,
  type Machines,
  type Settings,
  statusOf,
} from './machines.ts';

/** Built from the project's Dockerfile by the compose file. */
export const IMAGE = 'kvorum:local';
/** On every container and in the name of every network that these tests make, so that no others are touched. */
export const LABEL = 'kvorum.test';
/** Sorts behind "bridge": Docker publishes a container's ports through the network whose name comes first. */
export const NETWORK_PREFIX = 'kvorum-test-';
const CLIENT_PORT = 6380;
const HTTP_PORT = 7380;
/** For the hand-over of leadership and the closing of the log. */
const STOP_SECONDS_MAX = 20;

interface Container extends Machine {
  /** What makes it a member of a cluster, and what else it was given. */
  readonly settings: Settings;
  /** `null` until it was started for the first time. */
  docker: string | null;
  up: boolean;
}

type Runtime = Awaited<ReturnType<typeof getContainerRuntimeClient>>;
type Handle = ReturnType<Runtime['container']['getById']>;

/** Where the other nodes reach it. */
function urlOf(id: string): string {
  return `http://${id}:${HTTP_PORT}`;
}

export class Containers implements Machines {
  readonly kind = 'containers';
  readonly all: Container[] = [];
  readonly #runtime: Runtime;
  readonly #network: StartedNetwork;
  readonly #subnet: string;
  readonly #options: MachineOptions;
  #added = 0;

  private constructor(runtime: Runtime, network: StartedNetwork, subnet: string, options: MachineOptions) {
    this.#runtime = runtime;
    this.#network = network;
    this.#subnet = subnet;
    this.#options = options;
  }

  static async create(options: MachineOptions): Promise<Containers> {
    const runtime = await getContainerRuntimeClient();
    const name = `${NETWORK_PREFIX}${process.pid}-${Date.now()}`;
    const network = await new Network({ nextUuid: () => name }).start();
    const subnet = await run('docker', [
      'network',
      'inspect',
      '--format',
      '{{(index .IPAM.Config 0).Subnet}}',
      name,
    ]);
    const machines = new Containers(runtime, network, subnet.trim(), options);
    const ids = Array.from({ length: options.size }, (_, at) => `n${at + 1}`);
    const peers = ids.map((id) => `${id}=${urlOf(id)}`).join(',');
    for (const id of ids) await machines.#add({ KVORUM_PEERS: peers, ...options.settings?.(id) });
    return machines;
  }

  isUp(machine: Machine): boolean {
    return this.#container(machine).up;
  }

  async start(machine: Machine): Promise<void> {
    const container = this.#container(machine);
    if (container.docker === null) container.docker = await this.#make(container);
    else await this.#handle(machine).start();
    container.up = true;
    await until(`${machine.id} to answer`, async () => {
      const { State: state } = await this.#handle(machine).inspect();
      if (!state.Running)
        throw new Error(`${machine.id} ended with ${state.ExitCode}:\n${await this.log(machine)}`);
      return (await statusOf(machine)) !== null;
    });
  }

  async join(via: Machine, settings: Settings = {}): Promise<Machine> {
    return this.#add({ KVORUM_JOIN: urlOf(via.id), ...settings });
  }

  async discard(machine: Machine): Promise<void> {
    const container = this.#container(machine);
    this.all.splice(this.all.indexOf(container), 1);
    if (container.docker !== null) await this.#remove(container.docker);
  }

  async #remove(id: string): Promise<void> {
    await this.#runtime.container.getById(id).remove({ force: true, v: true });
  }

  async #add(settings: Settings): Promise<Container> {
    const [port, httpPort] = await freePorts(2);
    this.#added += 1;
    const id = `n${this.#added}`;
    const container = { id, port: port!, httpPort: httpPort!, settings, docker: null, up: false };
    this.all.push(container);
    return container;
  }

  /** Makes and starts a container; its id. */
  async #make({ id, port, httpPort, settings }: Container): Promise<string> {
    const container = new GenericContainer(IMAGE)
      .withNetwork(this.#network)
      .withNetworkAliases(id)
      .withLabels({ [LABEL]: id })
      .withExposedPorts({ container: CLIENT_PORT, host: port }, { container: HTTP_PORT, host: httpPort })
      .withEnvironment({
        KVORUM_ID: id,
        KVORUM_HTTP_URL: urlOf(id),
        KVORUM_ANNOUNCE: `127.0.0.1:${port}`,
        KVORUM_CLUSTER_SECRET: 'kvorum-test',
        // The clients of these tests give no password; the ports are this machine's.
        KVORUM_INSECURE: 'true',
        ...settings,
      })
      // The first line that the node logs; `start` waits for it to answer.
      .withWaitStrategy(Wait.forLogMessage(/./));
    const { dist } = this.#options;
    if (dist !== undefined) container.withCopyDirectoriesToContainer([{ source: dist, target: '/app/dist' }]);
    return (await container.start()).getId();
  }

  async kill(machine: Machine): Promise<void> {
    this.#container(machine).up = false;
    const handle = this.#handle(machine);
    await handle.kill({ signal: 'SIGKILL' });
    await handle.wait();
  }

  async stop(machine: Machine): Promise<number> {
    this.#container(machine).up = false;
    const handle = this.#handle(machine);
    await handle.stop({ t: STOP_SECONDS_MAX });
    return (await handle.inspect()).State.ExitCode;
  }

  async pause(machine: Machine): Promise<void> {
    await this.#handle(machine).pause();
  }

  async resume(machine: Machine): Promise<void> {
    await this.#handle(machine).unpause();
  }

  async disconnect(machine: Machine): Promise<void> {
    const network = this.#runtime.network.getById(this.#network.getId());
    await network.disconnect({ Container: this.#handle(machine).id });
  }

  async reconnect(machine: Machine): Promise<void> {
    const network = this.#runtime.network.getById(this.#network.getId());
    // Its name went with the connection.
    await network.connect({
      Container: this.#handle(machine).id,
      EndpointConfig: { Aliases: [machine.id] },
    });
  }

  async isolate(machine: Machine, direction: Direction): Promise<void> {
    if (direction !== 'out') await this.#firewall(machine, ['-A', 'INPUT', '-s', this.#subnet, '-j', 'DROP']);
    if (direction !== 'in') await this.#firewall(machine, ['-A', 'OUTPUT', '-d', this.#subnet, '-j', 'DROP']);
  }

  async heal(machine: Machine): Promise<void> {
    await this.#firewall(machine, ['-F']);
  }

  /** The rules of a container's own network: they go with it when it is killed. */
  async #firewall(machine: Machine, args: readonly string[]): Promise<void> {
    const { Pid: pid } = (await this.#handle(machine).inspect()).State;
    const command = ['nsenter', '-t', `${pid}`, '-n', 'iptables', ...args];
    if (process.getuid?.() !== 0) command.unshift('sudo', '-n');
    await run(command[0]!, command.slice(1));
  }

  async kvorum(machine: Machine, ...args: readonly string[]): Promise<string> {
    return run('docker', ['exec', this.#handle(machine).id, 'node', 'dist/cli/main.js', ...args]);
  }

  async log(machine: Machine): Promise<string> {
    return run('docker', ['logs', this.#handle(machine).id]);
  }

  async dispose(): Promise<void> {
    await Promise.all(
      this.all.map(async ({ docker }) => {
        if (docker !== null) await this.#remove(docker);
      }),
    );
    await this.#network.stop();
  }

  #handle(machine: Machine): Handle {
    const { docker } = this.#container(machine);
    if (docker === null) throw new Error(`${machine.id} was never started`);
    return this.#runtime.container.getById(docker);
  }

  #container(machine: Machine): Container {
    const container = this.all.find(({ id }) => id === machine.id);
    if (container === undefined) throw new Error(`${machine.id} is not one of these machines`);
    return container;
  }
}
