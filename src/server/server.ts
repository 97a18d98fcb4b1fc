/**
 * A node, assembled: the directory is opened and recovered, the state machine stands at the newest snapshot, the
 * ports listen, and only then does the node take part.
 */
import { createHash, randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import { type Logger, pino } from 'pino';
import { encodeConfiguration, membersOf } from '../raft/configuration.ts';
import {
  asGroupId,
  asIndex,
  asTerm,
  type Configuration,
  EntryType,
  type MemberAddress,
  type NodeId,
  type Recovered,
} from '../raft/types.ts';
import { Store } from '../store/store.ts';
import { Transport } from '../transport/transport.ts';
import { Wal } from '../wal/wal.ts';
import { ClientPort } from './client-port.ts';
import { systemClock } from './clock.ts';
import { type Config, ConfigError, type HostPort } from './config.ts';
import { Driver } from './driver.ts';
import { addRoutes } from './http.ts';
import { restoreStore } from './snapshotter.ts';

/** The one replicated log of this release. */
const GROUP = asGroupId('main');
/** Link heartbeats per raft heartbeat interval are not needed: a link is dead after four of these, in ms. */
const LINK_HEARTBEAT_MS = 500;

/**
 * How long clients are still answered after leadership was handed over: busy ones learn the new leader by a redirect.
 * Some client libraries take seconds to find it when the connection closes instead.
 */
const REDIRECT_MS = 200;

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
 * Starts a node. Rejects with an error that says what to do when its directory, its ports or its configuration don't
 * allow it. `onFatal` is called when a running node can't go on (a failed disk write, a broken invariant); the
 * process must end then.
 */
export async function startServer(
  config: Config,
  onFatal: (error: unknown) => void = endProcess,
): Promise<RunningServer> {
  const logger = pino({ level: config.logLevel, base: { node: config.id } });
  const { wal, recovered, notes } = await Wal.open({
    directory: config.dataDir,
    fsync: config.fsync,
    fsyncIntervalMs: config.fsyncIntervalMs,
    identity: { clusterId: newClusterId(config.peers), nodeId: config.id, group: GROUP },
    bootstrap: bootstrap(config.peers),
    onFailure: onFatal,
  });
  for (const note of notes) logger.warn(note);
  try {
    return await startNode(config, logger, wal, recovered, onFatal);
  } catch (error) {
    await wal.close();
    throw error;
  }
}

async function startNode(
  config: Config,
  logger: Logger,
  wal: Wal,
  recovered: Recovered,
  onFatal: (error: unknown) => void,
): Promise<RunningServer> {
  checkPeers(config, recovered);
  const store = new Store();
  if (recovered.snapshot !== null) await restoreStore(store, wal, recovered.snapshot, systemClock);

  let clientAddress: HostPort = config.announce ?? { host: config.host, port: config.port };
  const transport = new Transport({
    self: { id: config.id, group: GROUP },
    clusterId: wal.identity.clusterId,
    secret: config.clusterSecret,
    clientAddress: () => clientAddress,
    heartbeatMs: LINK_HEARTBEAT_MS,
    logger,
    snapshots: { open: (index, checksum, offset) => wal.snapshotPieces({ index, checksum }, offset) },
    onMessage: (from, message) => driver.onMessage(from, message),
    onPeerDown: (peer) => driver.onPeerDown(peer),
    onUnreachable: (peer) => driver.onUnreachable(peer),
    onPeerAddress: (peer, address) => driver.onPeerAddress(peer, address),
  });
  const driver: Driver = new Driver(
    {
      id: config.id,
      group: GROUP,
      clusterId: wal.identity.clusterId,
      recovered,
      wal,
      store,
      clock: systemClock,
      logger,
      heartbeatMs: config.heartbeatMs,
      snapshotEntries: config.snapshotEntries,
      snapshotBytes: config.snapshotBytes,
      fsync: config.fsync,
      seed: randomInt(SEEDS),
      clientAddress: () => clientAddress,
      urls: new Map(config.peers.map(({ id, url }) => [id, url])),
      onFatal,
    },
    transport,
  );

  const httpLogger: FastifyBaseLogger = logger;
  const http = fastify({
    loggerInstance: httpLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
  });
  transport.routes(http);
  addRoutes(http, driver);
  const port = new ClientPort({
    engine: driver,
    host: config.host,
    port: config.port,
    password: config.password,
    maxClients: config.maxClients,
    maxRequestBytes: config.maxRequestBytes,
    followerReads: config.followerReads,
    proxy: null,
    logger,
  });
  try {
    const address = await port.listen();
    clientAddress = config.announce ?? address;
    driver.connectPeers();
    await http.listen({ host: config.host, port: config.httpPort });
    const bound = http.server.address();
    const httpPort = typeof bound === 'object' && bound !== null ? bound.port : config.httpPort;
    const httpAddress = { host: config.host, port: httpPort };
    driver.start();
    return { address, httpAddress, stop };
  } catch (error) {
    await stop();
    throw error;
  }

  async function stop(): Promise<void> {
    if (await driver.handOver()) await sleep(REDIRECT_MS);
    await port.close();
    await driver.stop();
    await transport.close();
    await http.close();
    await wal.close();
  }
}

/** Nothing more may be promised, and the log on disk is valid at any moment. */
function endProcess(error: unknown): void {
  // Thrown from a fresh turn, so that it reaches the process as an uncaught exception whoever called.
  setImmediate(() => {
    throw error;
  });
}

/** The same on every node of a cluster that is started with the same peers; a node alone is a cluster of its own. */
function newClusterId(peers: readonly MemberAddress[]): string {
  if (peers.length === 1) return randomUUID();
  const text = peers.map(({ id, url }) => `${id}=${url}`).sort((a, b) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(`${GROUP} ${text.join(' ')}`)
    .digest('hex')
    .slice(0, 32);
}

/** The first entry of every log, the same on all founding members: who they are. */
function bootstrap(
  peers: readonly MemberAddress[],
): NonNullable<Parameters<typeof Wal.open>[0]['bootstrap']> {
  const configuration: Configuration = {
    voters: [...peers].sort((a, b) => (a.id < b.id ? -1 : 1)).map((peer) => ({ ...peer, incarnation: '' })),
    outgoing: [],
    learners: [],
    removed: [],
  };
  const term = asTerm(1);
  const payload = encodeConfiguration(configuration);
  return {
    hardState: { term, vote: null, recovering: false },
    entries: [{ index: asIndex(1), term, type: EntryType.configuration, payload }],
  };
}

/** The members are in the log; `--peers` can only say where they are. */
function checkPeers(config: Config, recovered: Recovered): void {
  const configuration = recovered.configurations.at(-1)?.configuration ?? recovered.snapshot?.configuration;
  const known = configuration === undefined ? [] : ids(membersOf(configuration));
  const given = ids(config.peers);
  if (known.join() === given.join()) return;
  throw new ConfigError(
    `--peers names ${given.join(', ')}, but the cluster in ${config.dataDir} has the members ${known.join(', ')}; ` +
      'give the same members, or another --data-dir to found a new cluster',
  );
}

function ids(members: readonly MemberAddress[]): NodeId[] {
  return members.map(({ id }) => id).sort();
}
