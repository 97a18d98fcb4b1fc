/**
 * A node, assembled: the directory is claimed; a new one founds or joins a cluster; the log is opened and recovered, the
 * state machine stands at the newest snapshot, the client port listens, and only then does the node take part.
 *
 * The HTTP port listens from the claim on: founders meet over it, and health checks hear what a node waits for.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { type Logger, pino } from 'pino';
import { encodeConfiguration, membersOf } from '../raft/configuration.ts';
import {
  asGroupId,
  asIndex,
  asTerm,
  type Configuration,
  EntryType,
  type Member,
  type Recovered,
} from '../raft/types.ts';
import { Store } from '../store/store.ts';
import { Guard } from '../transport/identity.ts';
import { Transport } from '../transport/transport.ts';
import { claimDirectory, Wal, type WalOptions } from '../wal/wal.ts';
import { ClientPort } from './client-port.ts';
import { systemClock } from './clock.ts';
import { addCommandEndpoint, type CommandTarget } from './command-endpoint.ts';
import { type Config, ConfigError, type HostPort, httpUrlOf } from './config.ts';
import { Driver } from './driver.ts';
import { questionBytesMax, runForwarded } from './forwarded.ts';
import { Forwarder } from './forwarder.ts';
import { addFoundingRoute, type AskedNode, type Beginning, Founding, foundedBy } from './founding.ts';
import { addRoutes, type Stage, waitingFor } from './http.ts';
import { addJoiningRoutes, clusterAt, Joining } from './joining.ts';
import { addMembershipRoutes, STRICT } from './membership.ts';
import { clientsMax, httpConnectionsMax, openFilesMax } from './open-files.ts';
import { turnPagesAway } from './pages.ts';
import { restoreStore } from './snapshotter.ts';
import { catalogue } from './table.ts';
import { Users } from './users.ts';

/** The one replicated log of this release. */
const GROUP = asGroupId('main');
/** Link heartbeats per raft heartbeat interval are not needed: a link is dead after four of these, in ms. */
const LINK_HEARTBEAT_MS = 500;

/**
 * How long clients are still answered after leadership was handed over: busy ones learn the new leader by a redirect.
 * Some client libraries take seconds to find it when the connection closes instead.
 */
const REDIRECT_MS = 200;

/** The question between nodes that carries requests of clients to the leader. */
const FORWARD_QUESTION = 'forward';

/** How many different lives the core's generator can lead: 32 bits. */
const SEEDS = 0x1_0000_0000;

/** A node that is up. */
export interface RunningServer {
  /** Where Redis clients connect. */
  readonly address: HostPort;
  /** Where peers and HTTP clients connect. */
  readonly httpAddress: HostPort;
  /** Hands leadership over, answers what is open, and closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts a node; one that founds or joins a cluster takes as long as the others let it wait. Rejects with an error that
 * says what to do when its directory, its ports, its configuration or the cluster don't allow it. `onFatal` is called when
 * a running node can't go on (a failed disk write, a broken invariant); the process must end then.
 */
export async function startServer(
  config: Config,
  onFatal: (error: unknown) => void = endProcess,
): Promise<RunningServer> {
  const server = new Server(config, onFatal);
  try {
    return await server.start();
  } catch (error) {
    // What keeps it from closing follows from this, and must not be told in its place.
    await server.stop().catch(() => {});
    throw error;
  }
}

class Server {
  readonly #config: Config;
  readonly #onFatal: (error: unknown) => void;
  readonly #logger: Logger;
  readonly #guard: Guard;
  readonly #users: Users;
  readonly #http: FastifyInstance;
  readonly #filesMax = openFilesMax();
  #stage: Stage = { name: 'starting' };
  #httpAddress: HostPort;
  #clientAddress: HostPort;
  #transport: Transport | null = null;
  #wal: Wal | null = null;
  #driver: Driver | null = null;
  #forwarder: Forwarder | null = null;
  #port: ClientPort | null = null;

  constructor(config: Config, onFatal: (error: unknown) => void) {
    this.#config = config;
    this.#onFatal = onFatal;
    this.#logger = pino({ level: config.logLevel, base: { node: config.id } });
    this.#guard = new Guard(config.clusterSecret);
    this.#users = new Users(config.password, catalogue);
    this.#httpAddress = { host: config.host, port: config.httpPort };
    this.#clientAddress = config.announce ?? { host: config.host, port: config.port };
    const logger: FastifyBaseLogger = this.#logger;
    this.#http = fastify({
      loggerInstance: logger,
      logController: new LogController({ disableRequestLogging: true }),
      forceCloseConnections: true,
      ...STRICT,
    });
  }

  async start(): Promise<RunningServer> {
    const { id, dataDir } = this.#config;
    const claim = await claimDirectory({ directory: dataDir, nodeId: id, group: GROUP });
    const { incarnation } = claim.state === 'founded' ? claim.identity : claim;
    const transport = this.#newTransport(incarnation);
    await this.#listenToHttp(transport, incarnation);
    const self: Member = { id, url: this.#url(), incarnation };
    if (claim.state === 'founded') await checkJoin(this.#config, claim.identity.clusterId);
    const beginning = claim.state === 'founded' ? null : await this.#begin(self);
    const { wal, recovered } = await this.#openLog(beginning);
    const store = new Store();
    if (recovered.snapshot !== null) await restoreStore(store, wal, recovered.snapshot, systemClock);
    const configuration = configurationOf(recovered);
    if (configuration !== null) checkMembers(this.#config, configuration, this.#logger);
    const driver = this.#newDriver(transport, wal, recovered, store);
    this.#users.attach(driver);
    const forwarder = new Forwarder({
      self: id,
      engine: driver,
      clock: systemClock,
      ask: (to, question, signal) => transport.ask(to, FORWARD_QUESTION, question, signal),
    });
    this.#forwarder = forwarder;
    const address = await this.#listenToClients(driver, forwarder);
    // From here on peers are admitted: nothing may come between this and telling the transport who they are.
    this.#driver = driver;
    this.#stage = { name: 'running', driver };
    driver.connectPeers();
    driver.start();
    return { address, httpAddress: this.#httpAddress, stop: () => this.stop() };
  }

  /** Closes all that is open, the rest too when one fails; rejects with the first failure. */
  async stop(): Promise<void> {
    const steps: readonly (() => unknown)[] = [
      async () => (await this.#driver?.handOver()) === true && sleep(REDIRECT_MS),
      () => this.#port?.close(),
      () => this.#forwarder?.stop(),
      () => this.#driver?.stop(),
      () => this.#transport?.close(),
      () => this.#http.close(),
      () => this.#wal?.close(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Where the others reach this node: as it was started, as they know it, or else where the port is bound. */
  #url(): string {
    return this.#config.httpUrl ?? this.#driver?.url ?? httpUrlOf(this.#httpAddress);
  }

  #newTransport(incarnation: string): Transport {
    const { id } = this.#config;
    const driver = (): Driver => {
      if (this.#driver === null)
        throw new Error('a peer was admitted before this node was part of a cluster');
      return this.#driver;
    };
    this.#transport = new Transport({
      self: { id, group: GROUP, incarnation },
      clusterId: () => (this.#driver === null ? null : (this.#wal?.identity.clusterId ?? null)),
      guard: this.#guard,
      url: () => this.#url(),
      clientAddress: () => this.#clientAddress,
      heartbeatMs: LINK_HEARTBEAT_MS,
      logger: this.#logger,
      snapshots: {
        open: (index, checksum, offset) => this.#driver?.snapshotPieces({ index, checksum }, offset) ?? null,
      },
      onMessage: (from, message) => driver().onMessage(from, message),
      onPeerDown: (peer) => driver().onPeerDown(peer),
      onUnreachable: (peer) => driver().onUnreachable(peer),
      onPeerAddress: (peer, address) => driver().onPeerAddress(peer, address),
      onRemoved: (peer, removed) => driver().onRemoved(peer, removed),
    });
    return this.#transport;
  }

  async #listenToHttp(transport: Transport, incarnation: string): Promise<void> {
    const { id, host, httpPort, maxRequestBytes, clusterSecret } = this.#config;
    const node: AskedNode = { id, incarnation, stage: () => this.#foundingStage() };
    const waiting = (): string => waitingFor(this.#stage);
    if (clusterSecret === null) turnPagesAway(this.#http);
    transport.routes(this.#http);
    transport.serve(this.#http, FORWARD_QUESTION, questionBytesMax(maxRequestBytes), (question) =>
      this.#runForwarded(question),
    );
    addCommandEndpoint(this.#http, {
      users: this.#users,
      maxRequestBytes,
      target: () => this.#commandTarget(),
      waiting,
    });
    addRoutes(this.#http, () => this.#stage);
    addFoundingRoute(this.#http, GROUP, this.#guard, node);
    addJoiningRoutes(this.#http, this.#guard, () =>
      this.#stage.name === 'joining' ? this.#stage.joining : null,
    );
    addMembershipRoutes(this.#http, { guard: this.#guard, driver: () => this.#driver, waiting });
    const connections = httpConnectionsMax(
      clientsMax(this.#config.maxClients, this.#filesMax),
      this.#filesMax,
    );
    if (Number.isFinite(connections)) this.#http.server.maxConnections = connections;
    await this.#http.listen({ host, port: httpPort });
    const bound = this.#http.server.address();
    if (typeof bound === 'object' && bound !== null) this.#httpAddress = { host, port: bound.port };
  }

  /** Peers are admitted only while there is a driver. */
  async #runForwarded(question: Uint8Array): Promise<Uint8Array> {
    if (this.#driver === null) throw new Error('a question came before this node was part of a cluster');
    return runForwarded(this.#driver, question);
  }

  #commandTarget(): CommandTarget | null {
    const [engine, forwarder] = [this.#driver, this.#forwarder];
    return engine === null || forwarder === null ? null : { engine, forwarder };
  }

  #foundingStage(): ReturnType<AskedNode['stage']> {
    const stage = this.#stage;
    if (stage.name === 'founding') return { state: 'founding', founding: stage.founding };
    if (stage.name !== 'running') return null;
    const { clusterId, configuration } = stage.driver.clusterView();
    // A node that has only just joined can't say who belongs to the cluster.
    return membersOf(configuration).length === 0 ? null : { state: 'founded', clusterId, configuration };
  }

  /** A directory that belongs to no cluster yet: joins one, founds one with others, or founds one alone. */
  async #begin(self: Member): Promise<Beginning> {
    const { peers, join, learner, replace } = this.#config;
    const [guard, logger] = [this.#guard, this.#logger];
    if (join !== null) {
      const joining = new Joining({
        self,
        via: join === 'wait' ? null : join,
        learner,
        replaces: replace,
        guard,
        logger,
      });
      this.#stage = { name: 'joining', joining };
      return joining.run();
    }
    if (peers === null || peers.length === 1) return foundedBy(GROUP, [self]);
    const founding = new Founding({ group: GROUP, self, peers, guard, logger });
    this.#stage = { name: 'founding', founding };
    return founding.run();
  }

  /** `beginning`: what a new directory begins with; `null` for one that is set up already. */
  async #openLog(beginning: Beginning | null): Promise<{ wal: Wal; recovered: Recovered }> {
    const { id, dataDir, fsync, fsyncIntervalMs } = this.#config;
    const { wal, recovered, notes } = await Wal.open({
      directory: dataDir,
      fsync,
      fsyncIntervalMs,
      identity: { clusterId: beginning?.clusterId ?? '', nodeId: id, group: GROUP },
      bootstrap: bootstrapOf(beginning?.configuration ?? null),
      onFailure: this.#onFatal,
    });
    this.#wal = wal;
    for (const note of notes) this.#logger.warn(note);
    return { wal, recovered };
  }

  #newDriver(transport: Transport, wal: Wal, recovered: Recovered, store: Store): Driver {
    const { id, heartbeatMs, snapshotEntries, snapshotBytes, fsync, peers } = this.#config;
    return new Driver(
      {
        id,
        group: GROUP,
        clusterId: wal.identity.clusterId,
        recovered,
        wal,
        store,
        clock: systemClock,
        logger: this.#logger,
        heartbeatMs,
        snapshotEntries,
        snapshotBytes,
        fsync,
        seed: randomInt(SEEDS),
        clientAddress: () => this.#clientAddress,
        urls: new Map((peers ?? []).map((peer) => [peer.id, peer.url])),
        onFatal: this.#onFatal,
      },
      transport,
    );
  }

  async #listenToClients(engine: Driver, forwarder: Forwarder): Promise<HostPort> {
    const { host, port, maxRequestBytes, followerReads, proxy, unknownOutcome, announce } = this.#config;
    const maxClients = clientsMax(this.#config.maxClients, this.#filesMax);
    if (maxClients < this.#config.maxClients)
      this.#logger.warn(
        `--max-clients: ${this.#config.maxClients} are too many for a process that may have ${this.#filesMax} files open, so ${maxClients} are ` +
          'taken; raise that limit (ulimit -n, LimitNOFILE of systemd) or give fewer',
      );
    this.#port = new ClientPort({
      engine,
      host,
      port,
      users: this.#users,
      maxClients,
      maxRequestBytes,
      followerReads,
      forwarder,
      proxy,
      unknownOutcome,
      logger: this.#logger,
      // As its operator would: the program that runs the node stops it.
      onShutDown: () => process.kill(process.pid, 'SIGTERM'),
    });
    const address = await this.#port.listen();
    this.#clientAddress = announce ?? address;
    return address;
  }
}

/** Nothing more may be promised, and the log on disk is valid at any moment. */
function endProcess(error: unknown): void {
  // Thrown from a fresh turn, so that it reaches the process as an uncaught exception whoever called.
  setImmediate(() => {
    throw error;
  });
}

/** The first entry of every log, the same on all founding members: who they are. A node that joins begins without. */
function bootstrapOf(configuration: Configuration | null): WalOptions['bootstrap'] {
  if (configuration === null) return null;
  const term = asTerm(1);
  const payload = encodeConfiguration(configuration);
  return {
    hardState: { term, vote: null, recovering: false },
    entries: [{ index: asIndex(1), term, type: EntryType.configuration, payload }],
  };
}

function configurationOf(recovered: Recovered): Configuration | null {
  return recovered.configurations.at(-1)?.configuration ?? recovered.snapshot?.configuration ?? null;
}

/** A directory belongs to one cluster for ever: `--join` may name that one again, and no other. */
async function checkJoin({ join, dataDir }: Config, clusterId: string): Promise<void> {
  if (join === null || join === 'wait') return;
  const found = await clusterAt(join);
  if (found === null || found === clusterId) return;
  throw new ConfigError(
    `--join: ${dataDir} belongs to the cluster ${clusterId} and ${join} to ${found}; to join that one, give an empty --data-dir`,
  );
}

/**
 * The members are in the log; `--peers` can only say where they are. It may name members that this node has not heard of
 * yet, unless it is alone: then nobody can have added them.
 */
function checkMembers(
  { id, peers, httpUrl, dataDir }: Config,
  configuration: Configuration,
  logger: Logger,
): void {
  const members = membersOf(configuration);
  const known = new Set([...members.map((member) => member.id), ...configuration.removed]);
  const unknown = (peers ?? []).map((peer) => peer.id).filter((peer) => !known.has(peer));
  if (unknown.length > 0) {
    const problem = `--peers names ${unknown.join(', ')}, which the cluster in ${dataDir} does not know`;
    const remedy = 'it only founds clusters; a node is added by starting it with --join <url of a member>';
    if (members.every((member) => member.id === id)) throw new ConfigError(`${problem}: ${remedy}`);
    logger.warn(`${problem} so far: ${remedy}`);
  }
  const self = members.find((member) => member.id === id);
  if (self === undefined || httpUrl === null || self.url === httpUrl) return;
  logger.warn(
    `the other nodes look for this one at ${self.url} and not at ${httpUrl}; if it has moved, tell them: ` +
      `PATCH /v1/cluster/members/${id} with {"url": "${httpUrl}"} on any node`,
  );
}
