/**
 * Trouble and load, drawn from the seed. Each run switches on its own selection of faults ("swarm testing"): a
 * cluster that suffers everything at once hardly ever gets far enough for the rare bugs.
 *
 * The nemesis has a generator of its own, and whatever it does to the cluster goes through {@link Nemesis.act}: the
 * list of its actions gives the same run again without it.
 */
import { membersOf } from '../../src/raft/configuration.ts';
import type { Effect, Member, Message, NodeId } from '../../src/raft/types.ts';
import { type Action, disturbs, nodeAt, perform, type TimedAction } from './actions.ts';
import { type Cluster, type ClusterOptions, CALM, type Host } from './cluster.ts';
import type { Mutation } from './disk.ts';
import { FAIR_WEATHER, type Weather } from './network.ts';
import { calmDown, quietMs } from './quiet.ts';
import { Random } from './random.ts';

const FAULTS = [
  'crash',
  'crashAll',
  'aimedCrash',
  'rivals',
  'pause',
  'partition',
  'weather',
  'disk',
  'clock',
  'transfer',
  'membership',
  'lostTail',
  'lostDirectory',
  'oldCopy',
  'fullDisk',
  'quiet',
] as const;
type Fault = (typeof FAULTS)[number];

/** Kinds of faults in one run, at most. */
const FAULTS_MAX = 9;
const VOTE_AIM = 0.15;
/** Never in the same instant: in a replay it would come before what provoked it. */
const SHORTLY_MS = 0.001;
/** Hosts in a run, former members among them. */
const HOSTS_MAX = 12;
/** Beyond it no voters are added on purpose. */
const VOTERS_WANTED = 6;

/** The character of one run. */
export interface Profile {
  readonly faults: readonly Fault[];
  /** Mean time between two faults. */
  readonly faultMs: number;
  /** Mean time between two writes of clients. */
  readonly writeMs: number;
  readonly readMs: number;
  /** Mean time between two changes of the membership. */
  readonly changeMs: number;
  /** Largest filling of a write. */
  readonly writeBytes: number;
  /** How long a crashed node stays away, at most. */
  readonly downMs: number;
}

/** Everything about a run that follows from its seed. */
export function plan(seed: number, mutation: Mutation | null): { options: ClusterOptions; profile: Profile } {
  const random = new Random(seed ^ 0x5eed);
  const heartbeatMs = random.pick([20, 40, 80]);
  const electionMs = heartbeatMs * random.pick([5, 8]);
  const snapshots = random.chance(0.7);
  const faults = random.shuffled(FAULTS).slice(0, 1 + random.below(FAULTS_MAX));
  const options: ClusterOptions = {
    ...CALM,
    seed,
    // Mostly three and five; the odd sizes have their own corner cases.
    voters: random.pick([3, 3, 3, 3, 5, 5, 5, 1, 2, 4]),
    learners: random.chance(0.15) ? 1 : 0,
    heartbeatMs,
    electionMs,
    tickMs: heartbeatMs / 2,
    limits: random.chance(0.7)
      ? {
          appendBytes: random.pick([100, 300, 2000]),
          windowMessages: random.pick([1, 2, 8]),
          windowBytes: random.pick([200, 1000, 10_000]),
          uncommittedBytes: random.pick([500, 5000]),
          cacheBytes: random.pick([0, 300, 3000]),
          applyBytes: random.pick([100, 1000]),
          waitingReads: random.pick([2, 20]),
        }
      : {},
    snapshotEntries: snapshots ? random.pick([5, 20, 100]) : 0,
    snapshotTail: random.pick([0, 3, 20]),
    refusesRemoved: random.chance(0.5),
    mutation,
  };
  const profile: Profile = {
    faults,
    faultMs: electionMs * random.spread(0.3, 4),
    writeMs: random.spread(5, 200),
    readMs: random.spread(5, 200),
    changeMs: electionMs * random.spread(1, 20),
    writeBytes: random.pick([0, 50, 300]),
    downMs: electionMs * random.spread(1, 20),
  };
  return { options, profile };
}

/** All faults end, for good, and everybody is up. */
export function makePeace(cluster: Cluster): void {
  cluster.trace.note(cluster.now, null, 'faults stop');
  cluster.onStepped = null;
  cluster.network.intercept = null;
  calmDown(cluster);
  cluster.disturbances += 1;
  for (const host of cluster.hosts) cluster.restart(host);
}

export class Nemesis {
  /** Everything it did so far. */
  readonly actions: TimedAction[] = [];
  private readonly cluster: Cluster;
  private readonly profile: Profile;
  private readonly random: Random;
  private active = true;
  /** Chance that a node crashes while it makes a vote durable or soon after. */
  private voteAim = VOTE_AIM;
  /** Nothing is disturbed before. */
  private quietUntil = 0;

  constructor(cluster: Cluster, profile: Profile) {
    this.cluster = cluster;
    this.profile = profile;
    this.random = Random.of(cluster.options.seed, 'nemesis');
    this.repeat(profile.writeMs, () => this.write());
    this.repeat(profile.readMs, () => this.readSomewhere());
    this.repeat(profile.faultMs, () => this.strike(this.random.pick(profile.faults)));
    const { faults } = profile;
    if (faults.includes('membership')) this.repeat(profile.changeMs, () => this.changeMembership());
    cluster.onStepped = (host, _event, effects) => {
      if (faults.includes('membership')) {
        this.followUp(host, effects);
        this.disturbChange(host, effects);
      }
      if (faults.includes('aimedCrash') || faults.includes('rivals')) this.takeAim(host, effects);
      if (faults.includes('transfer')) this.disturbTransfer(host, effects);
    };
    if (faults.includes('transfer')) cluster.network.intercept = (...sent) => this.delayTransfer(...sent);
  }

  /** It decides nothing more. */
  stop(): void {
    this.active = false;
  }

  private act(action: Action): void {
    const wait = this.quietUntil - this.cluster.now;
    if (wait > 0 && disturbs(action)) {
      this.later(wait, () => this.act(action));
      return;
    }
    try {
      perform(this.cluster, action);
    } finally {
      // Afterwards: what it did on the way, such as to delay a message that this action sends, has to come before it.
      this.actions.push({ at: this.cluster.now, action });
    }
  }

  /** `action` again and again, at random times with this mean distance. */
  private repeat(meanMs: number, action: () => void): void {
    this.cluster.schedule.after(meanMs * this.random.between(0.1, 1.9), null, () => {
      if (!this.active) return;
      action();
      this.repeat(meanMs, action);
    });
  }

  private later(ms: number, action: () => void): void {
    this.cluster.schedule.after(Math.max(ms, SHORTLY_MS), null, () => {
      if (this.active) action();
    });
  }

  /* ---- load ---- */

  private write(): void {
    const host = this.random.chance(0.95) ? this.someLeader() : this.someHost();
    if (host !== null) this.writeTo(host, this.random.chance(0.05) ? 10 : 1);
  }

  private writeTo(host: Host, writes: number): void {
    for (let count = 0; count < writes && this.isAwake(host); count += 1) {
      this.act({ type: 'write', node: host.id, bytes: this.random.below(this.profile.writeBytes + 1) });
    }
  }

  private readSomewhere(): void {
    const host = this.random.chance(0.6) ? this.someLeader() : this.someHost();
    if (host !== null && this.isAwake(host)) this.act({ type: 'read', node: host.id });
  }

  private isAwake(host: Host): boolean {
    return host.isUp && host.pausedUntil <= this.cluster.now;
  }

  private someHost(): Host {
    return this.random.pick(this.cluster.hosts);
  }

  /** A leader, perhaps one that is deposed and doesn't know it. */
  private someLeader(): Host | null {
    const leaders = this.cluster.hosts.filter(({ leads }) => leads);
    return leaders.length === 0 ? null : this.random.pick(leaders);
  }

  private victim(): Host {
    return this.random.chance(0.4) ? (this.someLeader() ?? this.someHost()) : this.someHost();
  }

  /* ---- faults ---- */

  private strike(fault: Fault): void {
    const { cluster, random } = this;
    switch (fault) {
      case 'crash':
        this.crash(this.victim(), this.downTime());
        break;
      case 'crashAll':
        if (random.chance(0.7)) break;
        cluster.coverage.count('crashes of all nodes');
        for (const host of cluster.hosts) this.crash(host, this.downTime());
        break;
      case 'aimedCrash':
        break;
      case 'rivals':
        this.rouseRivals();
        break;
      case 'pause':
        this.act({
          type: 'pause',
          node: this.victim().id,
          ms: random.spread(5, 5 * cluster.options.electionMs),
        });
        break;
      case 'partition':
        this.partition();
        this.later(random.spread(50, 10 * cluster.options.electionMs), () => this.act({ type: 'heal' }));
        break;
      case 'weather':
        this.act({ type: 'weather', weather: this.weather() });
        break;
      case 'disk':
        this.disturbDisk(this.victim());
        break;
      case 'clock':
        // Nothing may depend on how fast time goes.
        for (const host of cluster.hosts)
          if (random.chance(0.5)) this.act({ type: 'clockRate', node: host.id, rate: random.spread(0.2, 5) });
        break;
      case 'transfer':
        this.askForTransfer();
        break;
      case 'membership':
        this.changeMembership();
        break;
      case 'lostTail':
        if (random.chance(0.5)) this.damage('loseTail');
        else this.exploitLoss();
        break;
      case 'lostDirectory':
        this.damage('wipe');
        break;
      case 'oldCopy':
        this.damageByCopy();
        break;
      case 'fullDisk':
        this.act({
          type: 'fillDisk',
          node: this.victim().id,
          ms: random.spread(10, 5 * cluster.options.electionMs),
        });
        break;
      case 'quiet':
        if (random.chance(0.2)) this.quieten();
        break;
    }
  }

  /* ---- who takes part ---- */

  /** An operator at work, now and then a confused one. */
  private changeMembership(): void {
    const host = this.random.chance(0.9) ? this.someLeader() : this.someHost();
    if (host !== null && this.isAwake(host)) this.ask(host);
  }

  private ask(host: Host): void {
    const { cluster, random } = this;
    const { voters, learners } = host.configuration;
    if (voters.length === 0) return;
    const replaces = random.chance(0.4) ? this.toBeReplaced(voters).id : null;
    const kind = random.pick(['add', 'add', 'again', 'promote', 'remove', 'remove', 'url'] as const);
    const member = random.pick(membersOf(host.configuration));
    switch (kind) {
      case 'add': {
        if (cluster.hosts.length >= HOSTS_MAX || (voters.length >= VOTERS_WANTED && replaces === null)) break;
        const id = nodeAt(cluster.hosts.length);
        const promote = replaces !== null || random.chance(0.7);
        this.act({ type: 'join', node: id });
        if (!cluster.has(id)) break;
        const { incarnation } = cluster.host(id);
        const learner = { id, url: `http://${id}`, incarnation, promote, replaces };
        this.act({ type: 'change', node: host.id, change: { type: 'addLearner', learner } });
        break;
      }
      case 'again': {
        const { id, incarnation } = random.pick(cluster.hosts);
        const learner = { id, url: `http://${id}`, incarnation, promote: true, replaces: null };
        this.act({ type: 'change', node: host.id, change: { type: 'addLearner', learner } });
        break;
      }
      case 'promote':
        if (learners.length === 0) break;
        this.act({
          type: 'change',
          node: host.id,
          change: { type: 'promote', id: random.pick(learners).id, replaces },
        });
        break;
      case 'remove':
        if (voters.length + cluster.hosts.length <= VOTERS_WANTED && random.chance(0.5)) break;
        this.act({
          type: 'change',
          node: host.id,
          change: { type: 'remove', id: random.chance(0.3) ? host.id : this.toBeReplaced([member]).id },
        });
        break;
      case 'url': {
        const url = `http://${member.id}-${random.below(10)}`;
        this.act({ type: 'change', node: host.id, change: { type: 'setUrl', id: member.id, url } });
        break;
      }
    }
  }

  /** One whose directory is lost, if there is one, or any of these. */
  private toBeReplaced(members: readonly Member[]): Member {
    const { cluster, random } = this;
    const lost = members.filter(({ id }) => cluster.host(id).isImpostor);
    return random.pick(lost.length > 0 ? lost : members);
  }

  /** Often the next change follows at once. */
  private followUp(host: Host, effects: readonly Effect[]): void {
    if (!effects.some(({ type }) => type === 'membershipChanged') || !this.random.chance(0.5)) return;
    this.later(this.random.spread(0.01, 50), () => {
      if (this.isAwake(host)) this.ask(host);
    });
  }

  /** A leader in the middle of a change is cut off, perhaps before anybody heard of it, or crashes. */
  private disturbChange(host: Host, effects: readonly Effect[]): void {
    const { cluster, random } = this;
    const begun = effects.some(
      (effect) => effect.type === 'configuration' && effect.configuration.outgoing.length > 0,
    );
    if (!begun || !host.leads || !random.chance(0.3)) return;
    if (random.chance(0.3)) {
      this.later(random.between(0, 3), () => this.crash(host, this.downTime()));
      return;
    }
    const others = cluster.hosts.map(({ id }) => id).filter((id) => id !== host.id);
    this.later(random.chance(0.5) ? 0 : random.between(0, 3), () => {
      this.cutBetween([host.id], others);
      this.later(random.spread(1, 8) * cluster.options.electionMs, () => this.act({ type: 'heal' }));
    });
  }

  /* ---- what is lost ---- */

  /** The node is away long enough for nobody to count on it any more. */
  private damage(type: 'loseTail' | 'wipe'): void {
    const { cluster, random } = this;
    const host = this.victim();
    if (!host.isUp) return;
    this.act({ type: 'crash', node: host.id });
    this.later(cluster.options.electionMs * random.between(0.5, 5), () => {
      this.act({ type, node: host.id });
      this.later(this.downTime(), () => this.act({ type: 'restart', node: host.id }));
    });
  }

  /**
   * The leader dies just after it has committed, and the one it committed with loses what it had; perhaps another, that was
   * away meanwhile, gets a late signal to take over from the days when it had everything.
   */
  private exploitLoss(): void {
    const { cluster, random } = this;
    const { electionMs } = cluster.options;
    const leader = this.someLeader();
    const [loser, other] = random.shuffled(cluster.hosts.filter((host) => host !== leader && host.isUp));
    if (leader === null || loser === undefined) return;
    let wait = random.spread(0.5, 20);
    if (other !== undefined && random.chance(0.5)) {
      const [from, to] = [leader.id, other.id];
      this.act({ type: 'delayNext', from, to, message: 'timeoutNow', ms: 2 * electionMs });
      this.act({ type: 'transfer', node: from, to });
      wait += 1.5 * electionMs;
      this.later(wait - 0.1, () => this.crash(other, random.spread(20, 100), false));
    }
    this.later(wait, () => this.writeTo(leader, 1 + random.below(3)));
    this.later(wait + random.spread(2, 20), () => {
      this.crash(leader, random.spread(1, 10) * electionMs, random.chance(0.5));
      this.act({ type: 'crash', node: loser.id });
      this.act({ type: 'loseTail', node: loser.id });
      this.later(random.spread(0.2, 20), () => this.act({ type: 'restart', node: loser.id }));
    });
  }

  private damageByCopy(): void {
    const host = this.someHost();
    if (host.copy === null || this.random.chance(0.3)) {
      this.act({ type: 'copy', node: host.id });
      return;
    }
    if (!host.isUp) return;
    this.act({ type: 'crash', node: host.id });
    this.act({ type: 'putBack', node: host.id });
    this.later(this.random.spread(0.1, 100), () => this.act({ type: 'restart', node: host.id }));
  }

  /** As many stay down as may. */
  private quieten(): void {
    const { cluster, random } = this;
    const down = random
      .shuffled(cluster.hosts.map(({ id }) => id))
      .slice(0, random.below(cluster.hosts.length));
    this.act({ type: 'quiet', down });
    this.quietUntil = cluster.now + quietMs(cluster) + cluster.options.electionMs;
    this.later(this.quietUntil - cluster.now, () => {
      for (const node of down) this.act({ type: 'restart', node });
    });
  }

  /**
   * The leader dies before everybody's eyes, on a network so slow that several campaign in one term before they hear of
   * each other, and voters crash with their vote just given: the hardest hour for the vote on disk.
   */
  private rouseRivals(): void {
    const { cluster, random } = this;
    const { heartbeatMs, electionMs } = cluster.options;
    const weather = { ...FAIR_WEATHER, minDelayMs: 1, maxDelayMs: heartbeatMs, doubleRate: 0.2 };
    this.act({ type: 'weather', weather });
    this.voteAim = 0.5;
    this.later(random.between(1, 3) * electionMs, () => {
      this.act({ type: 'weather', weather: FAIR_WEATHER });
      this.voteAim = VOTE_AIM;
    });
    this.crash(this.someLeader() ?? this.someHost(), this.downTime(), true);
  }

  private downTime(): number {
    return this.random.spread(1, this.profile.downMs);
  }

  /** With `seen`, everybody notices at once, and all who may campaign do, in the same term. */
  private crash(host: Host, downMs: number, seen: boolean = this.random.chance(0.5)): void {
    if (!host.isUp) return;
    const node = host.id;
    this.act({ type: 'crash', node });
    if (seen) this.act({ type: 'noticeCrash', node });
    this.later(downMs, () => this.act({ type: 'restart', node }));
  }

  /** Crashes in the moments that matter: around votes, disk writes, elections and snapshots; often back at once. */
  private takeAim(host: Host, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (!this.random.chance(this.aimRate(effect))) continue;
      const life = host.life;
      this.later(this.random.spread(0.01, 10), () => {
        if (host.life === life) this.crash(host, this.random.spread(0.2, 50));
      });
      return;
    }
  }

  /** The old leader is cut off while another takes over: for a while both lead, in different terms. */
  private disturbTransfer(host: Host, effects: readonly Effect[]): void {
    const signalled = effects.some(
      (effect) => effect.type === 'send' && effect.message.type === 'timeoutNow',
    );
    if (!signalled || !this.random.chance(0.3)) return;
    const { cluster, random } = this;
    this.later(random.between(0, 3), () => {
      const others = cluster.hosts.map(({ id }) => id).filter((id) => id !== host.id);
      this.cutBetween([host.id], others);
      this.writeTo(host, random.below(5));
    });
    this.later(random.spread(20, 5 * cluster.options.electionMs), () => this.act({ type: 'heal' }));
  }

  /** Some signals to take over arrive when nobody wants it any more, at a node that may have fallen behind. */
  private delayTransfer(from: NodeId, to: NodeId, message: Message): undefined {
    if (message.type !== 'timeoutNow' || !this.random.chance(0.3)) return;
    if (this.cluster.now < this.quietUntil) return;
    const ms = this.random.spread(10, 5 * this.cluster.options.electionMs);
    this.act({ type: 'delayNext', from, to, message: 'timeoutNow', ms });
  }

  private partition(): void {
    const { cluster, random } = this;
    const { coverage } = cluster;
    const ids = random.shuffled(cluster.hosts.map(({ id }) => id));
    const kind = random.pick(['symmetric', 'one-way', 'bridge', 'leader'] as const);
    switch (kind) {
      case 'symmetric': {
        const at = 1 + random.below(Math.max(1, ids.length - 1));
        this.cutBetween(ids.slice(0, at), ids.slice(at));
        coverage.count('partitions, symmetric');
        break;
      }
      case 'one-way': {
        const rate = random.pick([0.2, 0.5]);
        for (const from of ids) {
          const to = ids.filter((id) => id !== from && random.chance(rate));
          if (to.length > 0) this.act({ type: 'cut', from: [from], to });
        }
        coverage.count('partitions, one-way');
        break;
      }
      case 'bridge': {
        // Two halves that only see each other through the first node.
        const middle = 1 + Math.ceil((ids.length - 1) / 2);
        this.cutBetween(ids.slice(1, middle), ids.slice(middle));
        coverage.count('partitions, bridge');
        break;
      }
      case 'leader': {
        const leader = this.someLeader() ?? this.someHost();
        const others: NodeId[] = ids.filter((id) => id !== leader.id);
        // Perhaps with a companion; either way it goes on writing, and its log drifts away from the others'.
        this.cutBetween([leader.id], others.slice(random.below(2)));
        coverage.count('partitions, symmetric');
        this.writeTo(leader, random.below(10));
        break;
      }
    }
  }

  private cutBetween(left: readonly NodeId[], right: readonly NodeId[]): void {
    this.act({ type: 'cut', from: left, to: right });
    this.act({ type: 'cut', from: right, to: left });
  }

  private weather(): Weather {
    const { random } = this;
    if (random.chance(0.3)) return FAIR_WEATHER;
    return {
      minDelayMs: random.spread(0.1, 5),
      maxDelayMs: random.spread(5, 60),
      lossRate: random.pick([0, 0.01, 0.1, 0.3]),
      doubleRate: random.pick([0, 0.1, 0.3]),
      slowRate: random.pick([0, 0.01, 0.1]),
      appendLossRate: random.pick([0, 0, 0.5, 0.95]),
      slowMs: random.spread(100, 10 * this.cluster.options.electionMs),
    };
  }

  private disturbDisk(host: Host): void {
    const { random, cluster } = this;
    if (random.chance(0.5)) {
      this.act({
        type: 'diskStall',
        node: host.id,
        ms: random.spread(10, 5 * cluster.options.electionMs),
      });
    } else {
      const maxMs = random.spread(0.1, 50);
      this.act({ type: 'diskSpeed', node: host.id, minMs: maxMs * random.next(), maxMs });
    }
  }

  private askForTransfer(): void {
    const host = this.random.chance(0.9) ? this.someLeader() : this.someHost();
    if (host === null || !this.isAwake(host)) return;
    const to = this.random.chance(0.5) ? this.someHost().id : null;
    this.act({ type: 'transfer', node: host.id, to });
  }

  /** Chance that a node crashes shortly after this effect. */
  private aimRate(effect: Effect): number {
    switch (effect.type) {
      case 'persist':
        if (effect.hardState !== null) return this.voteAim;
        return effect.snapshot !== null ? 0.2 : 0.003;
      case 'leadership':
        return effect.role === 'leader' ? 0.2 : 0.02;
      case 'configuration':
        return 0.1;
      case 'fetchSnapshot':
      case 'restoreSnapshot':
      case 'compact':
        return 0.05;
      default:
        return 0;
    }
  }
}
