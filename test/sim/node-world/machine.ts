/**
 * One machine: a disk, clocks, and at times a process on it, which is a node as `kvorum serve` assembles it, but for the
 * ports: the log is opened and recovered, the store stands at the newest snapshot, the driver takes part.
 */
import { type Logger, pino } from 'pino';
import { encodeConfiguration } from '../../../src/raft/configuration.ts';
import type { Node } from '../../../src/raft/node.ts';
import {
  asGroupId,
  asIndex,
  asTerm,
  type Configuration,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  type HardState,
  type Index,
  type NodeId,
  type Term,
} from '../../../src/raft/types.ts';
import { Driver } from '../../../src/server/driver.ts';
import { restoreStore } from '../../../src/server/snapshotter.ts';
import { Store } from '../../../src/store/store.ts';
import { Wal, WalError } from '../../../src/wal/wal.ts';
import type { Subject } from '../checks.ts';
import type { Process } from '../schedule.ts';
import { MachineClock } from './clock.ts';
import type { NodeScenario } from './coverage.ts';
import { PeersOf } from './peers.ts';
import { Shadow } from './shadow.ts';
import { Disk } from './storage.ts';
import type { NodeWorld } from './world.ts';

const GROUP = asGroupId('main');
const DIRECTORY = '/data';
const quiet: Logger = pino({ enabled: false });

/** Keyspace events that are counted. */
const EVENTS: Readonly<Record<string, NodeScenario>> = {
  expired: 'keys expired in the log',
  hexpired: 'fields expired in the log',
  evicted: 'keys evicted',
};

export class Machine implements Subject, Process {
  readonly id: NodeId;
  readonly storage: Disk;
  readonly clock: MachineClock;
  readonly disk: Shadow;
  life = 0;
  pausedUntil = 0;
  /** From the moment the process begins to its death. */
  isUp = false;
  /** Set once the node takes part. */
  driver: Driver | null = null;
  wal: Wal | null = null;
  store: Store | null = null;
  /** The core, once it has made its first step. */
  node: Node | null = null;
  /** The last entry handed to the store, and a hash over all of them. */
  applied = 0;
  state = 0;
  /** The last entry that the store had in any life. */
  appliedBefore = 0;
  restoring = false;
  wasLeader = false;
  /** An operation of the disk was made to fail in this life. */
  diskFailed = false;
  damagedBeforeStart = false;
  readonly #world: NodeWorld;
  readonly #bootstrap: { readonly hardState: HardState; readonly entries: readonly Entry[] };

  constructor(world: NodeWorld, id: NodeId, configuration: Configuration) {
    this.id = id;
    this.#world = world;
    const { schedule, random, coverage } = world;
    const disturbed = (): void => world.disturb();
    this.storage = new Disk({ schedule, random, coverage, disturbed });
    this.clock = new MachineClock({ schedule, random, disturbed });
    const term = asTerm(1);
    this.#bootstrap = {
      hardState: { term, vote: null, recovering: false },
      entries: [
        {
          index: asIndex(1),
          term,
          type: EntryType.configuration,
          payload: encodeConfiguration(configuration),
        },
      ],
    };
    this.disk = new Shadow(id, this.#bootstrap.hardState, this.#bootstrap.entries);
  }

  owes(index: Index, term: Term): boolean {
    return this.disk.owes(index, term);
  }

  get leads(): boolean {
    return this.driver?.leading === true;
  }

  get isAwake(): boolean {
    return this.driver !== null && this.pausedUntil <= this.#world.schedule.now;
  }

  /** Starts the process. */
  start(): void {
    if (this.isUp) return;
    this.isUp = true;
    this.pausedUntil = 0;
    this.diskFailed = false;
    this.damagedBeforeStart = this.disk.damaged;
    this.storage.wasFull = false;
    this.#world.coverage.count('starts');
    this.#world.note(this, 'starts');
    this.#world.disturb();
    const { life } = this;
    this.#boot().catch((error: unknown) => {
      if (life === this.life) this.ended(error);
    });
  }

  async #boot(): Promise<void> {
    const world = this.#world;
    const clock = this.clock.of(this);
    const { wal, recovered, notes } = await Wal.open({
      directory: DIRECTORY,
      storage: this.storage.mount(this, (ms, task) => clock.every(ms, task)),
      fsync: 'always',
      segmentBytes: world.options.segmentBytes,
      identity: { clusterId: 'c1', nodeId: this.id, group: GROUP },
      bootstrap: this.#bootstrap,
      onFailure: (error) => this.ended(error),
    });
    this.storage.opened();
    for (const note of notes) world.noted(this, note);
    this.disk.reopened(recovered);
    world.recovered(this, recovered);
    this.disk.watch(wal);
    const store = new Store();
    world.watchStore(this, store);
    if (recovered.snapshot !== null) {
      world.coverage.count('starts from a snapshot');
      await restoreStore(store, wal, recovered.snapshot, clock);
    }
    world.restored(this, store, recovered.snapshot);
    const peers = new PeersOf(world, this);
    const { id } = this;
    const driver = new Driver(
      {
        id,
        group: GROUP,
        clusterId: wal.identity.clusterId,
        recovered,
        wal,
        store,
        clock,
        logger: quiet,
        heartbeatMs: world.options.heartbeatMs,
        snapshotEntries: world.options.snapshotEntries,
        snapshotBytes: world.options.snapshotBytes,
        fsync: 'always',
        seed: world.random.seed(),
        clientAddress: () => ({ host: id, port: 1 }),
        urls: new Map(),
        onFatal: (error) => this.ended(error),
        onStepped: (node, event, effects) => this.#stepped(node, event, effects),
      },
      peers,
    );
    driver.events.watch({ event: (_type, event) => this.#happened(event) });
    this.wal = wal;
    this.store = store;
    this.driver = driver;
    for (const { id: peer } of world.machines)
      if (peer !== id) driver.onPeerAddress(peer, { host: peer, port: 1 });
    driver.connectPeers();
    driver.start();
  }

  #stepped(node: Node, event: Event, effects: readonly Effect[]): void {
    const opened = this.node === null;
    this.node = node;
    this.#world.stepped(this, node, event, effects, opened);
  }

  /** A keyspace event. */
  #happened(event: string): void {
    const scenario = EVENTS[event];
    if (scenario !== undefined) this.#world.coverage.count(scenario);
  }

  /** The process can't go on. */
  ended(error: unknown): void {
    const { life } = this;
    this.#world.schedule.after(0, null, () => {
      if (life === this.life) this.#world.processEnded(this, error);
    });
  }

  /** The process is gone from one moment to the next. */
  died(): void {
    this.life += 1;
    this.appliedBefore = Math.max(this.appliedBefore, this.applied);
    this.isUp = false;
    this.driver = null;
    this.wal = null;
    this.store = null;
    this.node = null;
    this.restoring = false;
    this.wasLeader = false;
  }

  /** Hands over, stops taking part, closes the log. */
  async stop(): Promise<boolean> {
    const { driver, wal } = this;
    if (driver === null || wal === null) return false;
    const handed = await driver.handOver();
    await driver.stop();
    await wal.close();
    return handed;
  }
}

/** Whether an error says that the disk did what it was told to do wrong. */
export function isDiskError(error: unknown): boolean {
  return error instanceof WalError && (error.code === 'WAL_IO' || error.code === 'WAL_FULL');
}
