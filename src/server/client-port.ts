/**
 * The client port: where Redis clients connect. It accepts connections and gives each its end of turn; what happens
 * in one is in `connection.ts`.
 *
 * All connections that did something in a turn of the event loop are looked at once, when the turn ends: the replies
 * that came for one client from an entry with thousands of requests leave in a single write.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { NodeId } from '../raft/types.ts';
import { settings } from '../store/settings.ts';
import { ACL_LOG_SETTING, AclLog } from './acl-log.ts';
import { KEEPALIVE_SECONDS } from './commands/config.ts';
import type { UnknownOutcome } from './config.ts';
import { usedMemory } from './commands/memory.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Engine } from './engine.ts';
import { ERRORS, errorText } from './errors.ts';
import type { CommandTable, PortContext, PortSettings, PortStatistics } from './session.ts';
import { NOTIFY_SETTING, Subscriptions } from './subscriptions.ts';
import { commandTable } from './table.ts';
import { TABLE_SETTING, Tracking } from './tracking.ts';
import type { User, Users } from './users.ts';

/** Connections that may wait to be accepted. */
const BACKLOG = 511;
/** How often WAIT looks at the progress of the other nodes. */
const POLL_MS = 5;
/** How often rates and memory are looked at. */
const SAMPLE_MS = 1_000;
/** The longest time that a timer can be set to. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** How long `close` waits for replies that are still open. */
const CLOSE_MS = 5_000;

export interface ClientPortOptions {
  readonly engine: Engine;
  /** The address to bind. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly users: Users;
  readonly maxClients: number;
  /** Bytes of all arguments of one request, and of one transaction. */
  readonly maxRequestBytes: number;
  /** See {@link PortSettings.followerReads}. */
  readonly followerReads: boolean;
  /** See {@link PortContext.forwarder}. */
  readonly forwarder: PortContext['forwarder'];
  /** See {@link PortContext.proxy}. */
  readonly proxy: PortContext['proxy'];
  /** See {@link PortSettings.unknownOutcome}. */
  readonly unknownOutcome?: UnknownOutcome;
  readonly logger: Logger;
  /** A client has asked for the end of this node. */
  readonly onShutDown?: () => void;
}

export class ClientPort implements ConnectionOwner {
  readonly engine: Engine;
  readonly nodeId: NodeId;
  readonly proxy: PortContext['proxy'];
  readonly forwarder: PortContext['forwarder'];
  readonly subscriptions: Subscriptions = new Subscriptions();
  readonly tracking: Tracking;
  readonly commands: CommandTable = commandTable;
  readonly users: Users;
  readonly aclLog: AclLog;
  readonly statistics: PortStatistics;

  readonly #options: ClientPortOptions;
  readonly #server: Server;
  readonly #connections = new Map<number, Connection>();
  #settings: PortSettings;
  #nextId = 1;
  #touched: Connection[] = [];
  #polled = new Set<Connection>();
  #poller: NodeJS.Timeout | null = null;
  #pause: { readonly what: 'all' | 'writes'; readonly until: number } | null = null;
  #pauseTimer: NodeJS.Timeout | null = null;
  readonly #sampler: NodeJS.Timeout;
  /** The counters when they were last looked at, and when that was. */
  #sampled = { at: 0, commands: 0, inputBytes: 0, outputBytes: 0 };
  #closing = false;
  #overruled = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: ClientPortOptions) {
    const { engine, host, port, users, maxClients, maxRequestBytes, followerReads } = options;
    const { unknownOutcome = 'error' } = options;
    this.#options = options;
    this.engine = engine;
    this.users = users;
    this.aclLog = new AclLog(() => engine.setting(ACL_LOG_SETTING));
    this.proxy = options.proxy;
    this.forwarder = options.forwarder;
    this.tracking = new Tracking(engine.events, this.#connections);
    this.#listenToStore();
    this.nodeId = engine.status().id;
    this.#settings = { host, port, maxClients, maxRequestBytes, followerReads, unknownOutcome };
    this.statistics = {
      startedAt: this.monotonic(),
      connections: 0,
      rejectedConnections: 0,
      commands: 0,
      inputBytes: 0,
      outputBytes: 0,
      expiredKeys: 0,
      evictedKeys: 0,
      commandsPerSecond: 0,
      inputBytesPerSecond: 0,
      outputBytesPerSecond: 0,
      startMemory: usedMemory(),
      peakMemory: 0,
    };
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS).unref();
    // Half-open, because `printf … | nc` closes its side before it reads the replies.
    this.#server = createServer(
      {
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_SECONDS * 1000,
      },
      (socket) => this.#accept(socket),
    );
  }

  /** Binds the port. Rejects with the system's error when it can't. */
  listen(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.logger.error({ error }, 'client port'));
        const address = this.#server.address();
        const bound = typeof address === 'object' && address !== null ? address.port : port;
        this.#settings = { ...this.#settings, port: bound };
        resolve({ host, port: bound });
      });
    });
  }

  /**
   * Accepts nobody and parses nothing more, and closes each connection when its open requests are answered; those
   * that are not answered in time are closed all the same.
   */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#server.listening) this.#server.close();
    for (const connection of this.#connections.values()) connection.quit();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
        setTimeout(resolve, CLOSE_MS).unref();
      });
    }
    for (const connection of this.#connections.values()) connection.destroy();
    clearInterval(this.#sampler);
    if (this.#poller !== null) clearInterval(this.#poller);
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer);
  }

  get sessions(): ReadonlyMap<number, Connection> {
    return this.#connections;
  }

  get settings(): PortSettings {
    return this.#settings;
  }

  get paused(): 'all' | 'writes' | null {
    return this.#pause?.what ?? null;
  }

  shutDown(): void {
    this.#options.onShutDown?.();
  }

  pause(what: 'all' | 'writes', ms: number): void {
    const until = Math.max(this.monotonic() + ms, this.#pause?.until ?? 0);
    this.#pause = { what: this.#pause?.what === 'all' ? 'all' : what, until };
    this.#setPauseTimer(until);
  }

  unpause(): void {
    this.#pause = null;
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer);
    this.#pauseTimer = null;
    for (const connection of this.#connections.values()) this.touch(connection);
  }

  #setPauseTimer(until: number): void {
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer);
    const ms = Math.min(until - this.monotonic(), TIMER_MS_MAX);
    this.#pauseTimer = setTimeout(() => {
      if (this.monotonic() < until) this.#setPauseTimer(until);
      else this.unpause();
    }, ms).unref();
  }

  monotonic(): number {
    return performance.now();
  }

  touch(connection: Connection): void {
    if (connection.touched) return;
    connection.touched = true;
    if (this.#touched.length === 0) process.nextTick(this.#turn);
    this.#touched.push(connection);
  }

  poll(connection: Connection): void {
    this.#polled.add(connection);
    this.#poller ??= setInterval(() => this.#pollAll(), POLL_MS);
  }

  warn(connection: Connection, what: string): void {
    const { id, remoteAddress, name } = connection;
    this.#options.logger.warn({ client: id, address: remoteAddress, name }, what);
  }

  #listenToStore(): void {
    const { engine, subscriptions, tracking } = this;
    const readSettings = (): void => {
      subscriptions.notify = engine.setting(NOTIFY_SETTING) ?? '';
      tracking.keysMax = Number(engine.setting(TABLE_SETTING) ?? settings.get(TABLE_SETTING)?.initial);
    };
    readSettings();
    this.users.watch({
      deleted: (user) => this.#ofUser(user).forEach((connection) => connection.leaveUser()),
      changed: (user) => {
        this.#ofUser(user).forEach((connection) => connection.endForbiddenListening());
        if (user === this.users.default)
          for (const connection of this.#connections.values()) connection.limitStranger();
        this.#tellIfOverruled();
      },
    });
    this.#tellIfOverruled();
    engine.events.watch({
      // On every node that runs the script: none of them knows the client.
      refused: (user, reason, object) =>
        this.aclLog.add({ context: 'lua', user, reason, object, client: '' }, this.monotonic()),
      message: (channel, message, sharded) => subscriptions.message(channel, message, sharded),
      event: (type, event, key) => {
        if (type === 'x') this.statistics.expiredKeys += 1;
        else if (type === 'e') this.statistics.evictedKeys += 1;
        subscriptions.event(type, event, key);
      },
      metaChanged: (table) => {
        if (table === 'settings') readSettings();
      },
      restored: readSettings,
    });
  }

  /** Whoever looks for the reason why the password of the configuration is refused finds it. */
  #tellIfOverruled(): void {
    if (this.#overruled === this.users.overruled) return;
    this.#overruled = this.users.overruled;
    if (this.#overruled)
      this.#options.logger.warn(
        'the password that this node was started with is not one of the user default: ACL SETUSER has set others, which hold on all nodes',
      );
  }

  #ofUser(user: User): Connection[] {
    return [...this.#connections.values()].filter((connection) => connection.isUser(user));
  }

  readonly #turn = (): void => {
    const connections = this.#touched;
    this.#touched = [];
    for (const connection of connections) {
      connection.touched = false;
      connection.turn();
    }
  };

  #sample(): void {
    const { statistics } = this;
    const { commands, inputBytes, outputBytes } = statistics;
    const before = this.#sampled;
    const now = this.monotonic();
    // Below 0 when the counters were set to 0 in between.
    const rate = (from: number, to: number): number =>
      Math.max(0, Math.round(((to - from) * 1000) / (now - before.at)));
    statistics.commandsPerSecond = rate(before.commands, commands);
    statistics.inputBytesPerSecond = rate(before.inputBytes, inputBytes);
    statistics.outputBytesPerSecond = rate(before.outputBytes, outputBytes);
    statistics.peakMemory = Math.max(statistics.peakMemory, usedMemory());
    this.#sampled = { at: now, commands, inputBytes, outputBytes };
  }

  #pollAll(): void {
    for (const connection of this.#polled) if (!connection.poll()) this.#polled.delete(connection);
    if (this.#polled.size > 0 || this.#poller === null) return;
    clearInterval(this.#poller);
    this.#poller = null;
  }

  #accept(socket: Socket): void {
    this.statistics.connections += 1;
    if (this.#closing) {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= this.#settings.maxClients) {
      this.statistics.rejectedConnections += 1;
      // Nothing of it is read: whoever is turned away must not cost anything more.
      socket.on('error', () => {});
      socket.end(`-${errorText(ERRORS.maxClients)}\r\n`, () => socket.destroy());
      return;
    }
    const connection = new Connection(this, socket, this.#nextId);
    this.#nextId += 1;
    this.#connections.set(connection.id, connection);
    socket.on('close', () => {
      this.#connections.delete(connection.id);
      this.subscriptions.forget(connection);
      this.engine.activity.monitors.delete(connection);
      if (connection.tracker !== null) this.tracking.end(connection.tracker);
      if (this.#connections.size === 0) this.#onEmpty?.();
    });
  }
}
