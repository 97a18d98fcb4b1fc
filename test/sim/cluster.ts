/**
 * A whole cluster in one process: the real consensus core, and a simulated world around it: clocks, disks, network,
 * snapshot files, clients. The {@link Cluster} does for the core what the server's driver does in production, with
 * every delay drawn from one seed, and holds every step against the {@link Checks}.
 *
 * ```
 *   nemesis.ts / a scenario: crash, pause, cut, propose, read, …
 *        │
 *   cluster.ts ── step ──▶ src/raft ── effects ──▶ disk.ts, network.ts, state machine
 *        │                                              │
 *   checks.ts: invariants after every step      schedule.ts: virtual time
 * ```
 */
import { isVoter, membersOf, NOBODY, standingOf } from '../../src/raft/configuration.ts';
import { configurationOf, type Limits, type Node, openNode, step } from '../../src/raft/node.ts';
import {
  asIndex,
  asNodeId,
  type Configuration,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  type Index,
  InvariantError,
  type Member,
  type MembershipChange,
  type Message,
  type NodeId,
  type Outbound,
  type SnapshotMeta,
  type Term,
} from '../../src/raft/types.ts';
import { Checks, payloadOf, proposalOf } from './checks.ts';
import { Coverage } from './coverage.ts';
import { Disk, type Mutation } from './disk.ts';
import { check, Failure } from './failure.ts';
import { Network } from './network.ts';
import { Random } from './random.ts';
import { type Process, Schedule } from './schedule.ts';
import { Trace, type TraceRecord } from './trace.ts';

export interface ClusterOptions {
  readonly seed: number;
  readonly voters: number;
  readonly learners: number;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  /** Time between two ticks of a node. */
  readonly tickMs: number;
  readonly limits: Partial<Limits>;
  /** Applied entries between two snapshots; 0 takes none. */
  readonly snapshotEntries: number;
  /** Entries that stay in the log behind a snapshot. */
  readonly snapshotTail: number;
  /** Whether the transport turns removed nodes away; where it does not, the core has to bear them. */
  readonly refusesRemoved: boolean;
  readonly mutation: Mutation | null;
  /** Is told everything that happens. */
  readonly watch: ((record: TraceRecord) => void) | null;
}

export const CALM: Omit<ClusterOptions, 'seed'> = {
  voters: 3,
  learners: 0,
  heartbeatMs: 100,
  electionMs: 1000,
  tickMs: 25,
  limits: {},
  snapshotEntries: 0,
  snapshotTail: 0,
  refusesRemoved: true,
  mutation: null,
  watch: null,
};

/** How long a node's disk and snapshot work takes, in ms. */
export interface DiskSpeed {
  minMs: number;
  maxMs: number;
}

/** Nodes are inspected from top to bottom once in this many steps. */
const INSPECTION_STEPS = 500;
/** Times a snapshot takes longer than an ordinary disk write. */
const SNAPSHOT_SLOWNESS = 10;
/** Times a log read takes longer when nothing of it is in the page cache. */
const COLD_READ_SLOWNESS = 20;

export class Host implements Process {
  readonly id: NodeId;
  disk: Disk;
  /** The name of its directory; see {@link Member}. */
  incarnation = 'first';
  /** What the directory held that this node has lost. */
  private former: Disk | null = null;
  /** An operator's copy of the directory. */
  copy: Disk | null = null;
  /** Of everything about this node that chance decides. */
  readonly random: Random;
  life = 0;
  pausedUntil = 0;
  node: Node | null = null;
  /** The state machine: a counter and a hash over everything applied. */
  applied: Index = asIndex(0);
  state = 0;
  restoring: SnapshotMeta | null = null;
  savingSnapshot = false;
  /** Writes of clients connected here, by id. */
  readonly proposals: Set<number> = new Set();
  /** Reads of clients connected here, with the index that they must see. */
  readonly reads: Map<number, number> = new Map();
  /** Begins anew in every life, so that answers to a former life's questions can be mistaken. */
  nextReadId = 1;
  /** Transfers asked for and not answered. */
  transfers = 0;
  /** Membership changes asked for and not answered. */
  readonly changes: Set<number> = new Set();
  /** Whom its transport takes for members. */
  configuration: Configuration = NOBODY;
  leaving: readonly Member[] = [];
  /** Where `configuration` stands in its log. */
  configurationIndex: Index = asIndex(0);
  recovering = false;
  /** Where the last joint configuration stands that it began in this life. */
  jointIndex: Index = asIndex(0);
  wasLeader = false;
  persistSequence = 0;
  /** The node's own clock: `clockBase + (now − clockSince) × clockRate`. */
  clockBase = 0;
  clockSince = 0;
  clockRate = 1;
  diskSpeed: DiskSpeed = { minMs: 0.2, maxMs: 2 };
  /** One disk write takes this much longer. */
  stallMs = 0;
  /** No entry finds room on the disk before. */
  fullUntil = 0;

  constructor(id: NodeId, disk: Disk, random: Random) {
    this.id = id;
    this.disk = disk;
    this.random = random;
  }

  get isUp(): boolean {
    return this.node !== null;
  }

  /** Whether it lost its directory and comes up with another under the same id. */
  get isImpostor(): boolean {
    return this.former !== null;
  }

  /** The directory is lost; the next one has another name. */
  empty(disk: Disk): void {
    this.former = this.disk;
    this.copy = null;
    this.disk = disk;
    this.incarnation = 'second';
  }

  /** See {@link Subject}: an impostor is refused, so it will never vote again at all. */
  owes(index: Index, term: Term): boolean {
    if (this.former !== null) return this.former.holds(index, term) || this.former.owes(index, term);
    return this.disk.owes(index, term);
  }

  get leads(): boolean {
    return this.node?.role.name === 'leader';
  }
}

export class Cluster {
  readonly options: ClusterOptions;
  readonly schedule: Schedule = new Schedule();
  readonly coverage: Coverage = new Coverage();
  readonly trace: Trace;
  readonly network: Network;
  readonly hosts: Host[];
  readonly checks: Checks;
  /** Called after the effects of every step; faults that take aim hook in here. */
  onStepped: ((host: Host, event: Event, effects: readonly Effect[]) => void) | null = null;
  private readonly byId = new Map<NodeId, Host>();
  private nextChange = 1;
  /** Faults so far: what is promised for a time without any is void when the number has risen. */
  disturbances = 0;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.trace = new Trace(options.watch);
    const members = Array.from({ length: options.voters + options.learners }, (_, at): Member => {
      return { id: asNodeId(`n${at + 1}`), url: `http://n${at + 1}`, incarnation: 'first' };
    });
    const configuration: Configuration = {
      voters: members.slice(0, options.voters),
      outgoing: [],
      learners: members.slice(options.voters).map((one) => ({ ...one, promote: false, replaces: null })),
      removed: [],
    };
    this.hosts = members.map(({ id }) => {
      return new Host(id, new Disk(configuration, options.mutation), Random.of(options.seed, id));
    });
    for (const host of this.hosts) this.byId.set(host.id, host);
    this.checks = new Checks(this.hosts);
    this.network = new Network(
      this.schedule,
      options.seed,
      this.coverage,
      (from, to, message) => this.arrive(from, to, message),
      (from, to, message) => this.notArrived(from, to, message),
    );
    for (const host of this.hosts) this.start(host);
  }

  /* ---- time ---------------------------------------------------------------------------------------------------- */

  get now(): number {
    return this.schedule.now;
  }

  /** Lets `ms` of virtual time pass. */
  run(ms: number): void {
    const wait = { over: false };
    this.schedule.after(ms, null, () => {
      wait.over = true;
    });
    while (!wait.over && this.schedule.next());
  }

  /** Lets time pass until `condition` holds; a failure of liveness if it does not within `withinMs`. */
  runUntil(what: string, condition: () => boolean, withinMs: number): void {
    const end = this.now + withinMs;
    while (!condition()) {
      check(
        this.now <= end && this.schedule.next(),
        'LV',
        () => `${what}: not within ${withinMs} ms. ${this.summary()}`,
      );
    }
  }

  /** One line per node, for evidence. */
  summary(): string {
    const nodes = this.hosts.map(({ id, node, applied, proposals, reads, transfers, changes }) => {
      if (node === null) return `${id} down`;
      const { term, commitIndex, log, role } = node;
      const open = Object.entries({
        writes: proposals.size,
        reads: reads.size,
        transfers,
        changes: changes.size,
      }).map(([what, count]) => (count === 0 ? '' : ` open ${what} ${count}`));
      return (
        `${id}${node.recovering ? ' recovering' : ''} ${role.name} term ${term} log ${log.firstIndex}-${log.lastIndex} ` +
        `commit ${commitIndex} applied ${applied}${open.join('')}`
      );
    });
    return nodes.join('; ');
  }

  /* ---- what a script or the nemesis does ----------------------------------------------------------------------- */

  has(id: NodeId): boolean {
    return this.byId.has(id);
  }

  host(id: string): Host {
    const host = this.byId.get(asNodeId(id));
    if (host === undefined) throw new Error(`no host ${id}`);
    return host;
  }

  /** The leader of the latest term, if any. */
  leader(): Host | null {
    let best: Host | null = null;
    for (const host of this.hosts) {
      if (host.leads && host.node !== null && host.node.term > (best?.node?.term ?? 0)) best = host;
    }
    return best;
  }

  /** A new node, as it is before anybody has added it: with an empty log. `null` if there is one of that name. */
  join(id: NodeId): Host | null {
    if (this.byId.has(id)) return null;
    this.coverage.count('nodes joined');
    const { mutation, seed } = this.options;
    const host = new Host(id, new Disk(null, mutation), Random.of(seed, id));
    this.hosts.push(host);
    this.byId.set(id, host);
    this.checks.joined(host);
    this.start(host);
    return host;
  }

  start(host: Host): void {
    check(host.node === null, 'DC', () => `${host.id} is up`);
    const { options } = this;
    const { disk, random } = host;
    host.clockBase = random.below(1_000_000);
    host.clockSince = this.now;
    host.pausedUntil = 0;
    host.restoring = null;
    host.savingSnapshot = false;
    host.transfers = 0;
    host.changes.clear();
    host.jointIndex = asIndex(0);
    host.wasLeader = false;
    host.persistSequence = 0;
    host.nextReadId = 1;
    host.applied = disk.snapshot?.index ?? asIndex(0);
    host.state = disk.snapshot?.checksum ?? 0;
    const { id } = host;
    const { heartbeatMs, electionMs, limits } = options;
    host.node = this.guarded(host, () =>
      openNode(
        { id, heartbeatMs, electionMs, seed: random.seed(), limits },
        disk.recover(),
        this.clock(host),
      ),
    );
    const { hardState, firstIndex, lastIndex, commit } = disk;
    const { term, vote } = hardState;
    const log = `log ${firstIndex}..${lastIndex} commit ${commit}`;
    this.trace.note(this.now, id, `starts: term ${term} vote ${vote ?? '-'} ${log}`);
    this.checks.opened(host, host.node);
    host.recovering = host.node.recovering;
    host.configuration = configurationOf(host.node);
    host.configurationIndex = host.node.log.configurationIndex;
    host.leaving = [];
    this.planTick(host);
  }

  /** The process dies and the power with it. */
  crash(host: Host): void {
    if (host.node === null) return;
    this.coverage.count('crashes');
    const hadWrite = host.disk.inFlight !== null;
    host.node = null;
    host.life += 1;
    const stages = host.disk.crash(host.random);
    if (hadWrite) this.coverage.count('crashes in a disk write');
    this.trace.note(this.now, host.id, `crashes${hadWrite ? ` in a disk write, ${stages} stages done` : ''}`);
    this.forget(host, 'crash');
    this.checks.durable();
  }

  restart(host: Host): void {
    if (host.isUp) return;
    this.coverage.count('restarts');
    if (this.checks.configuration.removed.includes(host.id)) this.coverage.count('removed nodes restarted');
    this.start(host);
  }

  /** The process is frozen; its clock goes on. */
  pause(host: Host, ms: number): void {
    this.coverage.count('pauses');
    this.trace.note(this.now, host.id, `is paused for ${ms.toFixed(0)} ms`);
    host.pausedUntil = Math.max(host.pausedUntil, this.now + ms);
  }

  setClockRate(host: Host, rate: number): void {
    this.coverage.count('clock changes');
    host.clockBase = this.clock(host);
    host.clockSince = this.now;
    host.clockRate = rate;
  }

  /** A client's write to this node. Returns its number. */
  propose(host: Host, bytes = 0): number {
    const id = this.checks.propose();
    host.proposals.add(id);
    this.coverage.count('writes proposed');
    this.step(host, { type: 'propose', now: this.clock(host), id, payload: payloadOf(id, bytes) });
    return id;
  }

  /** A client's read from this node. Returns its number. */
  read(host: Host): number {
    const id = host.nextReadId++;
    host.reads.set(id, this.checks.readBegins());
    if (this.options.mutation === 'unconfirmed-reads' && host.leads) this.endRead(host, id);
    else this.step(host, { type: 'read', now: this.clock(host), id });
    return id;
  }

  transfer(host: Host, to: NodeId | null): void {
    this.coverage.count('transfers begun');
    host.transfers += 1;
    this.step(host, { type: 'transfer', now: this.clock(host), to });
  }

  /** An operator asks this node for a change of the membership. Returns the number of the request. */
  change(host: Host, change: MembershipChange): number {
    const id = this.nextChange++;
    this.coverage.count('membership changes asked for');
    host.changes.add(id);
    this.step(host, { type: 'changeMembership', now: this.clock(host), id, change });
    return id;
  }

  /** The disk is full for a while; the node is told before. */
  fillDisk(host: Host, ms: number): void {
    this.coverage.count('full disks');
    host.fullUntil = this.now + ms;
  }

  /** Feeds any other event. */
  feed(host: Host, event: Event): void {
    this.step(host, event);
  }

  /** The node's own clock in ms. */
  clock(host: Host): number {
    return host.clockBase + (this.now - host.clockSince) * host.clockRate;
  }

  /* ---- the driver ---------------------------------------------------------------------------------------------- */

  private planTick(host: Host): void {
    this.schedule.after(this.options.tickMs * host.random.between(0.8, 1.2), host, () => {
      this.step(host, { type: 'tick', diskLow: host.fullUntil > this.now, now: this.clock(host) });
      this.planTick(host);
    });
  }

  private step(host: Host, event: Event): void {
    const { node } = host;
    if (node === null) return;
    const effects = this.guarded(host, () => step(node, event));
    const { log, term, commitIndex } = node;
    const view = { role: node.role.name, term, lastIndex: log.lastIndex, commit: commitIndex };
    this.trace.step(this.now, host.id, event, effects, view);
    this.checks.stepped(host, node);
    if (node.recovering !== host.recovering) this.recoveringChanged(host, node.recovering);
    for (const effect of effects) this.perform(host, node, effect);
    check(
      host.restoring !== null || node.restoring !== null || host.applied === node.appliedIndex,
      'EO',
      () =>
        `${host.id} says it applied up to ${node.appliedIndex}, the state machine stands at ${host.applied}`,
    );
    check(
      node.restoring === null || host.restoring !== null || !isInForce(node.restoring.snapshot, host.disk),
      'LV',
      () => `${host.id} keeps its state machine waiting for a snapshot that is durable`,
    );
    if (this.trace.steps % INSPECTION_STEPS === 0) this.checks.inspect(host, node);
    this.onStepped?.(host, event, effects);
  }

  private recoveringChanged(host: Host, recovering: boolean): void {
    host.recovering = recovering;
    this.coverage.count(recovering ? 'old copies noticed' : 'nodes recovered');
  }

  /** An assertion of the core that fails is a finding like any other. */
  private guarded<T>(host: Host, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof InvariantError || error instanceof TypeError) {
        throw new Failure('AS', `${host.id}: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }

  private perform(host: Host, node: Node, effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        check(effect.sequence === host.persistSequence + 1, 'DC', () => `${host.id} skips a disk write`);
        host.persistSequence = effect.sequence;
        this.checks.persisting(host, node, effect);
        this.persist(host, effect);
        break;
      case 'send':
        this.send(host, effect);
        break;
      case 'apply':
        check(host.restoring === null, 'DC', () => `${host.id} applies while a snapshot is restored`);
        for (const entry of effect.entries) this.apply(host, entry);
        this.considerSnapshot(host, node);
        break;
      case 'restoreSnapshot':
        this.restore(host, effect.snapshot);
        break;
      case 'fetchSnapshot':
        this.fetch(host, effect.from, effect.snapshot);
        break;
      case 'readLog':
        this.readLog(host, effect.id, effect.from, effect.to, effect.maxBytes);
        break;
      case 'compact':
        this.coverage.count('compactions');
        host.disk.compact(effect.to);
        break;
      case 'proposed': {
        const proposal = this.checks.proposals[effect.id];
        check(proposal !== undefined, 'DC', () => `${host.id} answers the unknown write ${effect.id}`);
        proposal.index = effect.index;
        proposal.term = effect.term;
        break;
      }
      case 'rejected': {
        const proposal = this.checks.proposals[effect.id];
        check(
          host.proposals.delete(effect.id) && proposal !== undefined,
          'DC',
          () => `write ${effect.id} is not open`,
        );
        proposal.outcome = 'rejected';
        this.coverage.count('writes turned away');
        if (effect.reason === 'diskFull') this.coverage.count('writes turned away for a full disk');
        break;
      }
      case 'readReady':
        check(host.restoring === null, 'DC', () => `${host.id} reads while a snapshot is restored`);
        for (const id of effect.ids) this.endRead(host, id);
        break;
      case 'readFailed':
        for (const id of effect.ids) {
          this.coverage.count('reads failed');
          check(host.reads.delete(id), 'DC', () => `${host.id} answers read ${id}, which is not open`);
        }
        break;
      case 'leadership':
        this.onLeadership(host, effect.role);
        break;
      case 'transferEnded':
        check(host.transfers > 0, 'DC', () => `${host.id} ends a transfer that nobody asked for`);
        host.transfers -= 1;
        if (effect.ok) this.coverage.count('transfers done');
        break;
      case 'membershipChanged':
        check(
          host.changes.delete(effect.id) && effect.configuration.outgoing.length === 0,
          'DC',
          () => `${host.id} reports change ${effect.id} as done`,
        );
        this.coverage.count('membership changes done');
        break;
      case 'membershipRejected':
        check(
          host.changes.delete(effect.id),
          'DC',
          () => `${host.id} turns the unknown change ${effect.id} away`,
        );
        this.coverage.count(
          effect.reason === 'unknown'
            ? 'membership changes with unknown outcome'
            : 'membership changes turned away',
        );
        break;
      case 'configuration':
        this.configured(host, node, effect.configuration, effect.leaving);
        break;
    }
  }

  /** Counts what the new configuration means. */
  private configured(host: Host, node: Node, configuration: Configuration, leaving: readonly Member[]): void {
    const { configuration: before, configurationIndex: beforeIndex } = host;
    const { configurationIndex } = node.log;
    host.configuration = configuration;
    host.configurationIndex = configurationIndex;
    host.leaving = leaving;
    if (before === configuration) return;
    const { coverage } = this;
    if (configurationIndex < beforeIndex && before.outgoing.length > 0)
      coverage.count('joint configurations rolled back');
    if (!host.leads) return;
    if (configuration.outgoing.length > 0) {
      coverage.count('joint configurations begun');
      host.jointIndex = configurationIndex;
      const [added, left] = [
        configuration.voters.some(({ id }) => !isVoter(before, id)),
        before.voters.some(({ id }) => !configuration.voters.some((voter) => voter.id === id)),
      ];
      if (added) coverage.count(left ? 'voters replaced' : 'learners promoted');
    } else if (before.outgoing.length > 0 && host.jointIndex !== beforeIndex) {
      coverage.count('joint configurations finished by another leader');
    }
    const moved = membersOf(configuration).some(({ id, url }) =>
      membersOf(before).some((member) => member.id === id && member.url !== url),
    );
    if (moved) coverage.count('addresses changed');
  }

  private onLeadership(host: Host, role: string): void {
    if (role === 'leader') this.coverage.count('leaders elected');
    else if (host.wasLeader) {
      this.coverage.count('leaders deposed');
      if (!isVoter(host.configuration, host.id) && host.leaving.length === 0)
        this.coverage.count('leaders removed');
    }
    host.wasLeader = role === 'leader';
    check(role === 'leader' || host.changes.size === 0, 'DC', () => `${host.id} leaves a change unanswered`);
    if (role === 'preCandidate') this.coverage.count('pre-votes');
    if (role === 'candidate') this.coverage.count('campaigns');
    if (role !== 'leader') this.forget(host, 'lost leadership');
  }

  /** The clients of open writes get "outcome unknown"; those of a dead process also lose their reads. */
  private forget(host: Host, why: 'crash' | 'lost leadership'): void {
    for (const id of host.proposals) {
      const proposal = this.checks.proposals[id];
      if (proposal !== undefined) proposal.outcome = 'unknown';
      this.coverage.count('writes with unknown outcome');
    }
    host.proposals.clear();
    if (why === 'crash') host.reads.clear();
  }

  /* ---- disk ---- */

  private persist(host: Host, effect: Extract<Effect, { type: 'persist' }>): void {
    const { disk } = host;
    this.coverage.count('disk writes');
    const first = effect.entries[0]?.index;
    if (first !== undefined && effect.snapshot === null && first <= disk.lastIndex)
      this.coverage.count('log tails cut off');
    disk.begin(effect);
    if (disk.mutation === 'early-replies') for (const reply of effect.replies) this.send(host, reply);
    const stall = host.stallMs;
    host.stallMs = 0;
    // Written again and again until there is room.
    const needsRoom = effect.entries.length > 0 || effect.snapshot !== null;
    const full = needsRoom ? Math.max(0, host.fullUntil - this.now) : 0;
    this.schedule.after(this.diskDelay(host) + stall + full, host, () => {
      disk.finish();
      if (disk.mutation !== 'early-replies') for (const reply of effect.replies) this.send(host, reply);
      this.step(host, { type: 'persisted', now: this.clock(host), sequence: effect.sequence });
    });
  }

  private diskDelay(host: Host): number {
    return host.random.between(host.diskSpeed.minMs, host.diskSpeed.maxMs);
  }

  private readLog(host: Host, id: number, from: Index, to: Index, maxBytes: number): void {
    const { disk } = host;
    this.coverage.count('log reads');
    check(from <= to, 'DC', () => `${host.id} reads its log from ${from} to ${to}`);
    // A real read happens somewhere between the question and the answer, while writes and compaction go on.
    const early = host.random.chance(0.5) ? disk.read(from, to, maxBytes) : null;
    const slowness = host.random.chance(0.2) ? COLD_READ_SLOWNESS : 1;
    this.schedule.after(this.diskDelay(host) * slowness, host, () => {
      const entries = early ?? disk.read(from, to, maxBytes);
      if (entries.length === 0) this.coverage.count('log reads of gone entries');
      this.step(host, { type: 'logRead', now: this.clock(host), id, entries });
    });
  }

  /* ---- network ---- */

  private send(host: Host, { to, message }: Outbound): void {
    this.checks.sent(host.id, message);
    if (message.type === 'voteReply' && message.granted) {
      this.coverage.count('votes granted');
      this.checks.grantSent(host.id, to, message.term);
    }
    this.network.send(host.id, to, message);
  }

  private arrive(from: NodeId, to: NodeId, message: Message): void {
    const host = this.byId.get(to);
    if (host === undefined || !host.isUp || !this.isAccepted(from, to)) {
      this.notArrived(from, to, message);
      return;
    }
    // Goes through the schedule once more only while the process is frozen.
    if (host.pausedUntil > this.now) this.schedule.after(0, host, () => this.receive(host, from, message));
    else this.receive(host, from, message);
  }

  /**
   * Whether the two talk, as their transports decide it: neither with an impostor of a member, nor with a node that was
   * removed. One that is not known at all may be a member of a newer configuration. One that is leaving still counts.
   */
  private isAccepted(from: NodeId, to: NodeId): boolean {
    const [one, other] = [this.host(from), this.host(to)];
    return this.admits(one, other) && this.admits(other, one);
  }

  private admits(host: Host, peer: Host): boolean {
    if (!host.isUp) return true;
    switch (standingOf(host.configuration, peer.id, peer.incarnation)) {
      case 'member':
      case 'stranger':
        return true;
      case 'impostor':
        this.coverage.count('messages of impostors refused');
        return false;
      case 'removed':
        if (!this.options.refusesRemoved) return true;
        if (host.leaving.some(({ id, incarnation }) => id === peer.id && incarnation === peer.incarnation))
          return true;
        this.coverage.count('messages of removed nodes refused');
        return false;
    }
  }

  private receive(host: Host, from: NodeId, message: Message): void {
    this.step(host, { type: 'message', now: this.clock(host), from, message });
  }

  /** The sender's transport sometimes notices. */
  private notArrived(from: NodeId, to: NodeId, message: Message): void {
    this.trace.lost(this.now, from, to, message);
    const sender = this.byId.get(from);
    if (sender === undefined || !sender.random.chance(0.3)) return;
    this.schedule.after(sender.random.between(0, 5), sender, () => {
      this.step(sender, { type: 'unreachable', now: this.clock(sender), peer: to });
    });
  }

  /** The death of `host` shows in closed streams and refused connections. */
  reportDown(host: Host): void {
    const { life } = host;
    for (const other of this.hosts) {
      if (other === host || !other.isUp || this.network.isCut(host.id, other.id)) continue;
      this.schedule.after(other.random.between(0, 20), other, () => {
        if (host.isUp || host.life !== life) return;
        this.coverage.count('peers reported down');
        this.step(other, { type: 'peerDown', now: this.clock(other), peer: host.id });
      });
    }
  }

  /* ---- state machine and snapshots ---- */

  private apply(host: Host, entry: Entry): void {
    host.state = this.checks.applying(host, entry);
    host.applied = entry.index;
    if (entry.type !== EntryType.batch) return;
    const id = proposalOf(entry);
    if (!host.proposals.delete(id)) return;
    this.coverage.count('writes acknowledged');
    this.checks.acknowledged(id);
  }

  private endRead(host: Host, id: number): void {
    const required = host.reads.get(id);
    check(required !== undefined, 'DC', () => `${host.id} answers read ${id}, which is not open`);
    host.reads.delete(id);
    this.checks.readEnds(host.id, required, host.applied);
    this.coverage.count(host.leads ? 'reads on leaders' : 'reads on followers');
  }

  private considerSnapshot(host: Host, node: Node): void {
    const { snapshotEntries } = this.options;
    const { applied, state } = host;
    if (snapshotEntries === 0 || host.savingSnapshot) return;
    if (applied - (host.disk.snapshot?.index ?? 0) < snapshotEntries) return;
    const at = node.log.configurationAt(applied);
    const snapshot: SnapshotMeta = Object.freeze({
      index: applied,
      term: node.log.termAt(applied) ?? node.log.lastTerm,
      configuration: at.configuration,
      configurationIndex: at.index,
      bytes: 1000 + applied,
      checksum: state,
    });
    this.checks.isTrueSnapshot(host.id, snapshot);
    host.savingSnapshot = true;
    this.schedule.after(this.diskDelay(host) * SNAPSHOT_SLOWNESS, host, () => {
      host.savingSnapshot = false;
      // A newer one came from the leader meanwhile.
      if (snapshot.index <= (host.disk.snapshot?.index ?? 0)) return;
      // The leader's snapshot may be replacing the log just now.
      if (node.restoring !== null || host.disk.termAt(snapshot.index) !== snapshot.term) return;
      this.coverage.count('snapshots saved');
      host.disk.saveFile(snapshot);
      const compactTo = asIndex(Math.max(0, snapshot.index - this.options.snapshotTail));
      this.step(host, { type: 'snapshotSaved', now: this.clock(host), snapshot, compactTo });
    });
  }

  private fetch(host: Host, from: NodeId, snapshot: SnapshotMeta): void {
    const source = this.byId.get(from);
    const sourceLife = source?.life;
    this.schedule.after(this.diskDelay(host) * SNAPSHOT_SLOWNESS, host, () => {
      const served =
        source !== undefined &&
        source.isUp &&
        source.life === sourceLife &&
        source.disk.hasFile(snapshot) &&
        !this.network.isCut(from, host.id) &&
        this.isAccepted(from, host.id) &&
        !host.random.chance(this.network.weather.lossRate);
      const now = this.clock(host);
      if (served) {
        host.disk.addFile(snapshot);
        this.coverage.count('snapshots fetched');
        this.step(host, { type: 'snapshotFetched', now, from, snapshot });
      } else {
        this.coverage.count('snapshot fetches failed');
        this.step(host, { type: 'snapshotFetchFailed', now, from, snapshot });
      }
    });
  }

  private restore(host: Host, snapshot: SnapshotMeta): void {
    check(
      host.disk.snapshot?.index === snapshot.index,
      'DC',
      () => `${host.id} restores a snapshot not in force`,
    );
    this.checks.isTrueSnapshot(host.id, snapshot);
    check(host.restoring === null, 'DC', () => `${host.id} restores two snapshots at once`);
    host.restoring = snapshot;
    this.schedule.after(this.diskDelay(host) * SNAPSHOT_SLOWNESS, host, () => {
      host.restoring = null;
      check(
        snapshot.index >= host.applied,
        'EO',
        () => `${host.id} goes back from ${host.applied} to ${snapshot.index}`,
      );
      host.applied = snapshot.index;
      host.state = snapshot.checksum;
      this.coverage.count('snapshots restored');
      this.step(host, { type: 'snapshotRestored', now: this.clock(host), index: snapshot.index });
    });
  }

  /** Those of the hosts that the latest leader, if there is one, has for members. */
  members(): readonly Host[] {
    const leader = this.leader();
    if (leader === null) return [];
    return this.hosts.filter(
      ({ id, incarnation }) => standingOf(leader.configuration, id, incarnation) === 'member',
    );
  }

  /** All members up, equal, led by one of them, and no change of them under way. */
  hasConverged(): boolean {
    const leader = this.leader()?.node;
    if (leader === undefined || leader === null) return false;
    // A transfer begun before the faults stopped turns writes away until it is over.
    if (leader.role.name === 'leader' && leader.role.transfer !== null) return false;
    const { lastIndex, configuration, configurationIndex } = leader.log;
    if (configuration.outgoing.length > 0 || configurationIndex > leader.commitIndex) return false;
    if (!isVoter(configuration, leader.id)) return false;
    const members = this.members();
    if (configuration.learners.some((one) => one.promote && members.some(({ id }) => id === one.id)))
      return false;
    return members.every(
      ({ node, applied }) =>
        node !== null &&
        !node.recovering &&
        node.term === leader.term &&
        node.leader === leader.id &&
        node.log.lastIndex === lastIndex &&
        node.commitIndex === lastIndex &&
        applied === lastIndex,
    );
  }
}

/** Whether the log on this disk begins with `snapshot`. */
function isInForce(snapshot: SnapshotMeta, disk: Disk): boolean {
  return disk.snapshot?.index === snapshot.index && disk.snapshot.checksum === snapshot.checksum;
}
