/**
 * Where the pure core meets the world: events go into `step`, effects come out and become disk writes, messages,
 * applied entries and answers. The driver is the only place that calls `step`, one event at a time; an effect that
 * causes an event at once (a disk write with nothing to write, for example) queues it behind the current one.
 *
 * ```
 *   requests.ts ──propose, read──▶ ┌────────┐ ──persist──▶ wal ──persisted──┐
 *   transport ─────message───────▶ │  step  │ ──send─────▶ transport        │
 *   timers ──────────tick────────▶ └────────┘ ──apply────▶ requests, store  │
 *                                       ▲───────────────────────────────────┘
 * ```
 *
 * A failed disk write or a broken invariant ends the process through `onFatal`: what is on disk is then still what
 * the core believed, and nothing more was promised.
 */
import type { Logger } from 'pino';
import { configurationOf, type Node, openNode, step } from '../raft/node.ts';
import { membersOf } from '../raft/configuration.ts';
import {
  asIndex,
  type Configuration,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  type GroupId,
  type Index,
  type Member,
  type MemberAddress,
  type MembershipChange,
  type MembershipRejection,
  type Message,
  type NodeId,
  type Persist,
  type Recovered,
  type SnapshotMeta,
  type Term,
} from '../raft/types.ts';
import { settings } from '../store/settings.ts';
import type { Store } from '../store/store.ts';
import type { Transport } from '../transport/transport.ts';
import type { SnapshotId, Wal } from '../wal/wal.ts';
import { Activity } from './activity.ts';
import { Blocked } from './blocked.ts';
import type { Clock } from './clock.ts';
import { DiskSpace } from './disk-space.ts';
import type {
  Engine,
  Lane,
  MemberStatus,
  NodeAddress,
  NodeStatus,
  Request,
  SnapshotStatus,
} from './engine.ts';
import { Requests } from './requests.ts';
import { Snapshotter } from './snapshotter.ts';
import { StoreEvents } from './store-events.ts';

/** Ticks per heartbeat: how finely timeouts are noticed. */
const TICKS_PER_HEARTBEAT = 5;
/** How often a leader looks for keys whose time has come when nothing else writes. */
const EXPIRE_EVERY_MS = 100;
/** Election timeouts are this many heartbeats, up to twice as many. */
export const ELECTION_HEARTBEATS = 10;

/** What is said of a node that is no longer a member. */
export const REMOVED: string =
  'this node was removed from the cluster, and its id is never used again; stop it, or add it under a new id with an ' +
  'empty data directory (kvorum serve --id <new id> --join <url>)';

/** A change that this node was asked for and can't see the end of. */
const STOPPED: MembershipOutcome = {
  ok: false,
  reason: 'unknown',
  message: 'this node stopped; the change may or may not be made by the next leader',
};

type Plain<T> = T extends unknown ? Omit<T, 'now'> : never;

/** What the driver needs of the transport; see there. */
export type Peers = Pick<Transport, 'send' | 'setPeers' | 'connected' | 'fetchSnapshot'>;

export interface DriverOptions {
  readonly id: NodeId;
  readonly group: GroupId;
  readonly clusterId: string;
  readonly recovered: Recovered;
  readonly wal: Wal;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly heartbeatMs: number;
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly fsync: NodeStatus['fsync'];
  readonly seed: number;
  /** Where clients reach this node. */
  readonly clientAddress: () => { readonly host: string; readonly port: number };
  /** URLs given by the operator win over those in the configuration: addresses may change while a node is down. */
  readonly urls: ReadonlyMap<NodeId, string>;
  /** The process must end. Called at most once; the driver does nothing more. */
  readonly onFatal: (error: unknown) => void;
  /** Sees every step of the core, before its effects are carried out. */
  readonly onStepped?: (node: Node, event: Event, effects: readonly Effect[]) => void;
}

/** How a change of membership ended. */
export type MembershipOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: MembershipRejection; readonly message: string };

/** Who takes part, as this node knows it. */
export interface ClusterView {
  readonly clusterId: string;
  /** The node that says so; what it says of the others' progress is only known to the leader. */
  readonly node: NodeId;
  readonly leader: NodeId | null;
  readonly term: number;
  readonly configuration: Configuration;
  /** A change is under way: not agreed on yet, or its second half is still to come. */
  readonly changing: boolean;
  readonly commitIndex: number;
  readonly members: readonly MemberStatus[];
}

/** A hash of everything that a node holds once it has applied the log up to `index`. */
export interface StateDigest {
  readonly index: number;
  readonly digest: string;
}

export class Driver implements Engine {
  readonly events: StoreEvents;
  readonly blocked: Blocked;
  readonly activity: Activity;
  readonly #options: DriverOptions;
  readonly #node: Node;
  readonly #requests: Requests;
  readonly #snapshotter: Snapshotter;
  readonly #peers: Peers;
  readonly #diskSpace: DiskSpace;
  readonly #clientAddresses = new Map<NodeId, { readonly host: string; readonly port: number }>();
  readonly #events: Plain<Event>[] = [];
  #stepping = false;
  #stopped = false;
  #diskBusy = false;
  /** What ends the timers. */
  #timers: (() => void)[] = [];
  /** The newest write of the log; done when the disk is not busy. */
  #writing: Promise<void> = Promise.resolve();
  /** The hand-over under way. */
  #transfer: PromiseWithResolvers<boolean> | null = null;
  /** The snapshot on its way to the disk, and what became of those before. */
  #taking: Promise<boolean> | null = null;
  #snapshots: Omit<SnapshotStatus, 'inProgress'>;
  /** The digest that is being worked out. */
  #digest: Promise<StateDigest> | null = null;
  #nextChange = 1;
  /** Changes of membership that are not decided. */
  readonly #changes = new Map<number, (outcome: MembershipOutcome) => void>();
  /** Members that `--peers` places elsewhere, and where the cluster knows them. */
  readonly #differing = new Map<NodeId, string>();
  /** What the log was told last. */
  #recovering: boolean;
  /** Peers that say that this node was removed. */
  readonly #removedBy = new Set<NodeId>();

  /** The store must stand at `recovered.snapshot`. */
  constructor(options: DriverOptions, peers: Peers) {
    this.#options = options;
    this.#peers = peers;
    this.events = new StoreEvents(options.store);
    const { id, heartbeatMs, seed, clock, store, wal, logger } = options;
    const electionMs = heartbeatMs * ELECTION_HEARTBEATS;
    this.#node = openNode({ id, heartbeatMs, electionMs, seed }, options.recovered, clock.monotonic());
    this.#recovering = this.#node.recovering;
    // At once: what has gathered behind a write that waits for space must be turned away, and nothing more taken.
    const onChange = (): void => {
      this.#tick();
      this.#requests.flush();
    };
    this.#diskSpace = new DiskSpace({ wal, clock, logger, onChange });
    this.blocked = new Blocked({ store, clock, events: this.events });
    this.activity = new Activity(clock);
    this.#snapshots = { taken: 0, lastAt: Math.floor(clock.wall() / 1000), lastOk: true, lastSeconds: -1 };
    this.#configureActivity();
    this.#requests = new Requests({
      store,
      clock,
      blocked: this.blocked,
      activity: this.activity,
      proposer: {
        isLeading: () => this.leading,
        // While the disk is full what has gathered is not kept waiting: the core turns it away.
        isDiskBusy: () => this.#diskBusy && !this.#diskSpace.outage,
        propose: (batch, payload) => this.#step({ type: 'propose', id: batch, payload }),
        read: (batch) => this.#step({ type: 'read', id: batch }),
      },
    });
    this.#snapshotter = new Snapshotter({
      store,
      wal,
      peers,
      clock,
      logger,
      entries: options.snapshotEntries,
      bytes: options.snapshotBytes,
      snapshot: options.recovered.snapshot,
      onDamaged: () => {
        if (this.leading) this.#requests.moveTimeOn();
      },
    });
  }

  #configureActivity(): void {
    const configure = (): void =>
      this.activity.configure((name) => Number(this.setting(name) ?? settings.get(name)?.initial));
    configure();
    this.events.watch({
      metaChanged: (table) => {
        if (table === 'settings') configure();
      },
      restored: configure,
    });
  }

  /** Tells the transport who the peers are; before the HTTP port listens, or they would be turned away as unknown. */
  connectPeers(): void {
    this.#comparePeers(configurationOf(this.#node));
    this.#setPeers(configurationOf(this.#node), []);
  }

  /** Begins to take part. A node that is the only voter has nobody to wait for. */
  start(): void {
    const { heartbeatMs, clock } = this.#options;
    this.#timers = [
      clock.every(heartbeatMs / TICKS_PER_HEARTBEAT, () => this.#tick()),
      clock.every(EXPIRE_EVERY_MS, () => this.#requests.expire()),
    ];
    const { voters, outgoing } = configurationOf(this.#node);
    const alone = voters.length === 1 && outgoing.length === 0 && voters[0]?.id === this.#options.id;
    this.#diskSpace.start();
    if (alone) this.#step({ type: 'campaign' });
    else this.#tick();
  }

  #tick(): void {
    this.#step({ type: 'tick', diskLow: this.#diskSpace.low });
    // No entry may come any more that would bring it about.
    if (this.#diskSpace.low) this.#snapshotIfDue();
  }

  /** Hands leadership over if this node has it and another voter can take it. Resolves to whether another takes it. */
  async handOver(): Promise<boolean> {
    const { id, logger } = this.#options;
    const { voters, outgoing } = configurationOf(this.#node);
    if (!this.leading || ![...voters, ...outgoing].some((voter) => voter.id !== id)) return false;
    const ok = await this.transfer(null);
    logger.info({ ok }, ok ? 'leadership handed over' : 'leadership could not be handed over');
    return ok;
  }

  /**
   * Hands leadership to `to`, or to the voter that is closest behind. Resolves to whether another node takes it; within
   * about an election timeout. While one hand-over is under way, another call gets its outcome.
   */
  transfer(to: NodeId | null): Promise<boolean> {
    if (!this.leading) return Promise.resolve(false);
    if (this.#transfer !== null) return this.#transfer.promise;
    const { promise } = (this.#transfer = Promise.withResolvers<boolean>());
    this.#step({ type: 'transfer', to });
    return promise;
  }

  get successor(): NodeId | null {
    const { role } = this.#node;
    return role.name === 'leader' ? (role.transfer?.to ?? null) : null;
  }

  /** Changes who takes part. May stay undecided for as long as there is no quorum. */
  changeMembership(change: MembershipChange): Promise<MembershipOutcome> {
    const id = this.#nextChange;
    this.#nextChange += 1;
    const { promise, resolve } = Promise.withResolvers<MembershipOutcome>();
    if (this.#stopped) resolve(STOPPED);
    else this.#changes.set(id, resolve);
    this.#step({ type: 'changeMembership', id, change });
    return promise;
  }

  /** Stops taking part, once the disk write under way is done. Rejects when that fails. */
  async stop(): Promise<void> {
    for (const end of this.#timers) end();
    this.#snapshotter.stop();
    this.#stopped = true;
    this.#diskSpace.stop();
    this.#requests.leadershipLost();
    this.#endWaits();
    await this.#writing;
  }

  /* ---- what the transport tells ------------------------------------------------------------------------------- */

  onMessage(from: NodeId, message: Message): void {
    this.#step({ type: 'message', from, message });
  }

  onPeerDown(peer: NodeId): void {
    this.#options.logger.warn({ peer }, 'peer is down: its streams closed and a new connection was refused');
    this.#step({ type: 'peerDown', peer });
  }

  onUnreachable(peer: NodeId): void {
    this.#step({ type: 'unreachable', peer });
  }

  onPeerAddress(peer: NodeId, address: { readonly host: string; readonly port: number }): void {
    this.#clientAddresses.set(peer, address);
  }

  /** `removed`: the peer says that this node is no longer a member; otherwise it takes it for one. */
  onRemoved(peer: NodeId, removed: boolean): void {
    if (!removed) {
      this.#removedBy.delete(peer);
    } else if (!this.#removedBy.has(peer)) {
      this.#removedBy.add(peer);
      this.#options.logger.error({ peer }, `${peer} says: ${REMOVED}`);
    }
  }

  /* ---- what the client port asks ------------------------------------------------------------------------------ */

  get id(): NodeId {
    return this.#options.id;
  }

  get lookups(): { readonly hits: number; readonly misses: number } {
    return this.#options.store.lookups;
  }

  resetLookups(): void {
    this.#options.store.resetLookups();
  }

  get dataBytes(): number {
    return this.#options.store.bytes;
  }

  setting(name: string): string | undefined {
    return this.#options.store.meta.get('settings', name);
  }

  get users(): ReadonlyMap<string, string> {
    return this.#options.store.meta.entries('users');
  }

  get leading(): boolean {
    return this.#node.role.name === 'leader' && !this.#stopped;
  }

  get pendingBytes(): number {
    return this.#requests.pendingBytes;
  }

  get lastProposedIndex(): number {
    return this.#requests.lastProposedIndex;
  }

  now(): number {
    return this.#requests.now();
  }

  submit(lane: Lane, request: Request): void {
    this.#requests.submit(lane, request);
  }

  leaderAddress(): NodeAddress | null {
    const { leader } = this.#node;
    const address = leader === null ? null : this.#addressOf(leader);
    return leader === null || address === null ? null : { id: leader, ...address };
  }

  /** The leader, unless this node is it or knows none. */
  leaderMember(): MemberAddress | null {
    const { leader } = this.#node;
    if (leader === this.#options.id) return null;
    const member = membersOf(configurationOf(this.#node)).find(({ id }) => id === leader);
    return member === undefined ? null : { id: member.id, url: this.#urlOf(member) };
  }

  /** Where the others look for this node; `null` before its log has told it. */
  get url(): string | null {
    return membersOf(configurationOf(this.#node)).find(({ id }) => id === this.#options.id)?.url ?? null;
  }

  /** Who takes part, with the progress of each where this node leads. */
  clusterView(): ClusterView {
    const { term, leader, log, commitIndex } = this.#node;
    const { configuration } = log;
    return {
      clusterId: this.#options.clusterId,
      node: this.#options.id,
      leader,
      term,
      configuration,
      changing: configuration.outgoing.length > 0 || log.configurationIndex > commitIndex,
      commitIndex,
      members: membersOf(configuration).map((member) => this.#memberStatus(member)),
    };
  }

  replicasAt(index: number): number {
    const { role } = this.#node;
    if (role.name !== 'leader') return 0;
    let count = 0;
    for (const { match } of role.progress.values()) if (match >= index) count += 1;
    return count;
  }

  /** The digest of the state as it is now, worked out beside everything else; the one under way where there is one. */
  digest(): Promise<StateDigest> {
    this.#digest ??= this.#workOutDigest().finally(() => {
      this.#digest = null;
    });
    return this.#digest;
  }

  async #workOutDigest(): Promise<StateDigest> {
    const { store, clock } = this.#options;
    const index = store.appliedIndex;
    const digest = store.startDigest();
    for (;;) {
      const result = digest.step();
      if (result !== null) return { index, digest: result };
      await new Promise<void>((resolve) => {
        clock.soon(resolve);
      });
    }
  }

  status(): NodeStatus {
    const { id, group, clusterId, store, fsync } = this.#options;
    const { role, term, leader, log, commitIndex, appliedIndex, recovering } = this.#node;
    return {
      id,
      clusterId,
      group,
      state: this.#state(),
      role: role.name,
      term,
      leader,
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      commitIndex,
      appliedIndex,
      snapshotIndex: log.snapshot?.index ?? 0,
      members: membersOf(log.configuration).map((member) => this.#memberStatus(member)),
      keys: store.size,
      keysWithExpiry: store.expiring,
      fsync,
      recovering,
      diskLow: this.#diskSpace.low,
    };
  }

  #state(): NodeStatus['state'] {
    const { log, commitIndex } = this.#node;
    const { configuration } = log;
    const left = configuration.removed.includes(this.#options.id) && log.configurationIndex <= commitIndex;
    if (left || this.#removedBy.size > 0) return 'removed';
    return membersOf(configuration).length === 0 ? 'joining' : 'member';
  }

  #memberStatus(member: Member): MemberStatus {
    const { id } = member;
    const { role, leader, log } = this.#node;
    const self = id === this.#options.id;
    const learner = log.configuration.learners.some((other) => other.id === id);
    const progress = role.name === 'leader' ? role.progress.get(id) : undefined;
    const ownMatch = role.name === 'leader' && self ? this.#node.durableIndex : null;
    return {
      id,
      url: this.#urlOf(member),
      client: this.#addressOf(id),
      role: id === leader ? 'leader' : learner ? 'learner' : leader === null ? 'unknown' : 'follower',
      self,
      connected: self || this.#peers.connected(id),
      match: progress?.match ?? ownMatch,
    };
  }

  #urlOf({ id, url }: Member): string {
    return this.#options.urls.get(id) ?? url;
  }

  #addressOf(id: NodeId): { readonly host: string; readonly port: number } | null {
    return id === this.#options.id ? this.#options.clientAddress() : (this.#clientAddresses.get(id) ?? null);
  }

  /* ---- events in, effects out --------------------------------------------------------------------------------- */

  #step(event: Plain<Event>): void {
    if (this.#stopped) return;
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const event: Event = { ...next, now: this.#options.clock.monotonic() };
        const effects = step(this.#node, event);
        this.#options.onStepped?.(this.#node, event, effects);
        for (const effect of effects) this.#perform(effect);
        if (this.#node.recovering !== this.#recovering) this.#onRecovering(this.#node.recovering);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#stepping = false;
    }
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        this.#persist(effect);
        break;
      case 'send':
        this.#peers.send(effect.to, effect.message);
        break;
      case 'apply':
        for (const entry of effect.entries) this.#apply(entry);
        this.#snapshotIfDue();
        break;
      case 'proposed':
        this.#requests.proposed(effect.id, effect.index, effect.term);
        break;
      case 'rejected':
        this.#requests.rejected(effect.id, effect.reason);
        break;
      case 'readReady':
        this.#requests.readsReady(effect.ids);
        break;
      case 'readFailed':
        this.#requests.readsFailed(effect.ids, effect.reason);
        break;
      case 'readLog':
        this.#readLog(effect.id, effect.from, effect.to, effect.maxBytes);
        break;
      case 'compact':
        this.#background(this.#compact(effect.to));
        break;
      case 'fetchSnapshot':
        this.#fetchSnapshot(effect.from, effect.snapshot);
        break;
      case 'restoreSnapshot':
        this.#background(this.#restoreSnapshot(effect.snapshot));
        break;
      case 'configuration':
        this.#onConfiguration(effect);
        break;
      case 'membershipChanged':
        this.#changeDecided(effect.id, { ok: true });
        break;
      case 'membershipRejected':
        this.#changeDecided(effect.id, { ok: false, reason: effect.reason, message: effect.message });
        break;
      case 'leadership':
        this.#onLeadership(effect);
        break;
      case 'transferEnded':
        this.#transfer?.resolve(effect.ok);
        this.#transfer = null;
        break;
    }
  }

  #onRecovering(recovering: boolean): void {
    const { logger } = this.#options;
    this.#recovering = recovering;
    if (recovering)
      logger.error(
        'recovering: the leader knows of entries here that are not here, so the disk has lost them or the data directory is ' +
          'an old copy; this node gives no vote until it has all that its leader has',
      );
    else logger.info('recovered: this node has all that its leader had, and votes again');
  }

  #onLeadership({ role, leader, term }: Extract<Effect, { type: 'leadership' }>): void {
    this.#options.logger.info({ role, leader, term }, 'leadership');
    if (role !== 'leader') this.#requests.leadershipLost();
  }

  /** `leaving`: members until it is certain that they are not. */
  #setPeers(configuration: Configuration, leaving: readonly Member[]): void {
    const { id } = this.#options;
    const members = [...membersOf(configuration), ...leaving];
    const peers = members.filter((member) => member.id !== id);
    this.#peers.setPeers(
      peers.map((peer) => ({ ...peer, url: this.#urlOf(peer) })),
      configuration.removed,
      peers.length === members.length && !configuration.removed.includes(id),
    );
  }

  /** Says where what the operator told this node differs from what the cluster knows, which may be newer. */
  #comparePeers(configuration: Configuration): void {
    for (const { id, url } of membersOf(configuration)) {
      const given = this.#options.urls.get(id);
      if (given === undefined || given === url || id === this.#options.id) continue;
      if (this.#differing.get(id) === url) continue;
      this.#differing.set(id, url);
      this.#options.logger.warn(
        `the cluster knows ${id} at ${url}, but --peers says ${given}, which counts on this node; if ${id} has moved, correct --peers or leave it out`,
      );
    }
  }

  /** A configuration takes effect as soon as it is in the log. */
  #onConfiguration({ configuration, leaving }: Extract<Effect, { type: 'configuration' }>): void {
    const names = (members: readonly Member[]): string => members.map(({ id }) => id).join(',');
    const { voters, outgoing, learners, removed } = configuration;
    this.#options.logger.info(
      {
        voters: names(voters),
        outgoing: names(outgoing),
        learners: names(learners),
        removed: removed.join(),
      },
      'configuration',
    );
    this.#comparePeers(configuration);
    this.#setPeers(configuration, leaving);
  }

  #changeDecided(id: number, outcome: MembershipOutcome): void {
    this.#changes.get(id)?.(outcome);
    this.#changes.delete(id);
  }

  /** Nobody will be told anything more. */
  #endWaits(): void {
    this.#transfer?.resolve(false);
    for (const resolve of this.#changes.values()) resolve(STOPPED);
    this.#changes.clear();
  }

  /* ---- disk --------------------------------------------------------------------------------------------------- */

  #persist(work: Persist): void {
    if (work.hardState === null && work.snapshot === null && work.entries.length === 0) {
      this.#persisted(work);
      return;
    }
    this.#diskBusy = true;
    const startedAt = this.#options.clock.monotonic();
    this.#writing = this.#write(work);
    this.#writing.then(
      () => {
        this.#diskBusy = false;
        this.activity.took('aof-fsync-always', this.#options.clock.monotonic() - startedAt);
        if (this.#stopped) return;
        this.#persisted(work);
        this.#requests.flush();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #write({ hardState, entries, commit, snapshot }: Persist): Promise<void> {
    if (snapshot === null) return this.#append({ hardState, entries, commit });
    return this.#writeBehindSnapshot({ hardState, entries, commit, snapshot });
  }

  /** The term first: a log that begins in a term the node does not know of would not open again. */
  async #writeBehindSnapshot(
    work: Pick<Persist, 'hardState' | 'entries' | 'commit'> & { snapshot: SnapshotMeta },
  ): Promise<void> {
    const { wal } = this.#options;
    if (work.hardState !== null)
      await this.#append({ hardState: work.hardState, entries: [], commit: asIndex(0) });
    await this.#diskSpace.write(() => wal.resetToSnapshot(work.snapshot));
    if (work.entries.length > 0)
      await this.#append({ hardState: null, entries: work.entries, commit: work.commit });
  }

  #append(work: Pick<Persist, 'hardState' | 'entries' | 'commit'>): Promise<void> {
    const bytes = work.entries.reduce((sum, { payload }) => sum + payload.length, 0);
    return this.#diskSpace.write(() => this.#options.wal.append(work), bytes);
  }

  #persisted(work: Persist): void {
    for (const { to, message } of work.replies) this.#peers.send(to, message);
    this.#step({ type: 'persisted', sequence: work.sequence });
  }

  #readLog(id: number, from: Index, to: Index, maxBytes: number): void {
    this.#entries(from, to, maxBytes).then(
      (entries) => this.#step({ type: 'logRead', id, entries }),
      (error: unknown) => this.#fail(error),
    );
  }

  /** Reads again what the log still holds but changed around while it was read; empty only where it is gone. */
  async #entries(from: Index, to: Index, maxBytes: number): Promise<readonly Entry[]> {
    const { wal } = this.#options;
    for (;;) {
      const entries = await wal.read(from, to, maxBytes);
      if (entries.length > 0 || from < wal.firstIndex || from > wal.lastIndex) return entries;
    }
  }

  async #compact(to: Index): Promise<void> {
    await this.#options.wal.compact(to);
    await this.#options.wal.purgeSnapshots(1);
  }

  /* ---- state machine ------------------------------------------------------------------------------------------ */

  #apply(entry: Entry): void {
    if (entry.type === EntryType.batch) {
      this.#requests.apply(entry);
    } else {
      const { store } = this.#options;
      store.beginEntry(entry.index, store.time);
      store.endEntry();
    }
    this.#snapshotter.applied(entry.payload.length);
  }

  #snapshotIfDue(): void {
    if (this.#stopped || !this.#snapshotter.isDue(this.#diskSpace.freeBytesWhileLow)) return;
    const { log, appliedIndex } = this.#node;
    const index = asIndex(this.#options.store.appliedIndex);
    const term = log.termAt(index);
    // A later entry of the same step may have moved the log on; the next one will find it due again.
    if (term === null || index !== appliedIndex || this.#node.restoring !== null) return;
    this.#background(this.#snapshot(index, term).then(() => {}));
  }

  /** Takes a snapshot at the index, which is the one that the store stands at. Resolves to whether it is on disk. */
  #snapshot(index: Index, term: Term): Promise<boolean> {
    const { clock } = this.#options;
    const at = this.#node.log.configurationAt(index);
    const state = { index, term, configuration: at.configuration, configurationIndex: at.index };
    const startedAt = clock.monotonic();
    this.#taking = this.#snapshotter
      .take(state, this.#diskSpace.freeBytesWhileLow)
      .then((taken) => {
        if (taken !== null) this.#step({ type: 'snapshotSaved', ...taken });
        const { taken: count, lastAt } = this.#snapshots;
        this.#snapshots = {
          taken: taken === null ? count : count + 1,
          lastAt: taken === null ? lastAt : Math.floor(clock.wall() / 1000),
          lastOk: taken !== null,
          lastSeconds: Math.floor((clock.monotonic() - startedAt) / 1000),
        };
        return taken !== null;
      })
      .finally(() => {
        this.#taking = null;
      });
    return this.#taking;
  }

  get snapshots(): SnapshotStatus {
    return { ...this.#snapshots, inProgress: this.#taking !== null };
  }

  async takeSnapshot(): Promise<boolean> {
    if (this.#taking !== null) return this.#taking;
    const { store, clock } = this.#options;
    for (;;) {
      const { log, appliedIndex, restoring } = this.#node;
      const index = asIndex(store.appliedIndex);
      const term = log.termAt(index);
      if (this.#stopped || restoring !== null) return false;
      // Nothing has happened since the last one.
      if (index <= (log.snapshot?.index ?? 0)) return true;
      if (index === appliedIndex && term !== null) {
        const taken = this.#snapshot(index, term);
        this.#background(taken.then(() => {}));
        return taken;
      }
      await new Promise<void>((resolve) => {
        clock.soon(resolve);
      });
    }
  }

  /** See {@link Snapshotter.pieces}. */
  snapshotPieces(id: SnapshotId, offset: number): AsyncGenerator<Buffer, void, void> | null {
    return this.#snapshotter.pieces(id, offset);
  }

  async #restoreSnapshot(snapshot: SnapshotMeta): Promise<void> {
    await this.#snapshotter.restore(snapshot);
    this.#step({ type: 'snapshotRestored', index: snapshot.index });
  }

  #fetchSnapshot(from: NodeId, snapshot: SnapshotMeta): void {
    this.#snapshotter.fetch(from, snapshot).then(
      () => this.#step({ type: 'snapshotFetched', from, snapshot }),
      // The snapshotter has said why.
      () => this.#step({ type: 'snapshotFetchFailed', from, snapshot }),
    );
  }

  /** Work that nothing waits for here, but that must not fail. */
  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#diskSpace.stop();
    for (const end of this.#timers) end();
    this.#endWaits();
    this.#options.onFatal(error);
  }
}
