/**
 * Trouble and load for a world of whole nodes, drawn from the seed. Each run switches on its own selection of faults
 * ("swarm testing"): a cluster that suffers everything at once hardly ever gets far enough for the rare bugs.
 */
import type { Effect } from '../../../src/raft/types.ts';
import { FAIR_WEATHER } from '../network.ts';
import { Random } from '../random.ts';
import type { TraceRecord } from '../trace.ts';
import type { Machine } from './machine.ts';
import { DAMAGES, FAST, kernelError, type Operation, type Speed } from './storage.ts';
import { ELECTION_HEARTBEATS, type NodeWorld, type NodeWorldOptions } from './world.ts';

/** No message is under way for longer, in election timeouts. */
export const MESSAGE_LIFE_ELECTIONS = 4;

const FAULTS = [
  'power',
  'kill',
  'powerAll',
  'aimedCrash',
  'stop',
  'pause',
  'partition',
  'weather',
  'stall',
  'diskError',
  'diskFull',
  'damage',
  'clock',
  'wire',
  'lull',
  'transfer',
] as const;
type Fault = (typeof FAULTS)[number];

/** The character of one run. */
export interface NodeProfile {
  readonly faults: readonly Fault[];
  /** Mean time between two faults, in ms. */
  readonly faultMs: number;
  /** How long a crashed node stays away, at most, in ms. */
  readonly downMs: number;
}

/** Everything about a run that follows from its seed. */
export function planNodes(
  seed: number,
  watch: ((record: TraceRecord) => void) | null,
): { options: NodeWorldOptions; profile: NodeProfile } {
  const random = new Random(seed ^ 0x0dd5);
  const heartbeatMs = random.pick([20, 40, 100]);
  const electionMs = heartbeatMs * ELECTION_HEARTBEATS;
  const others = Random.of(seed, 'other clients');
  const wild = others.chance(0.15);
  const options: NodeWorldOptions = {
    seed,
    // Mostly three and five; the odd sizes have their own corner cases.
    voters: random.pick([3, 3, 3, 3, 3, 5, 5, 1, 2, 4]),
    learners: random.chance(0.15) ? 1 : 0,
    heartbeatMs,
    // The smallest there are, so that the log begins new ones all the time.
    segmentBytes: random.pick([12_288, 16_384, 65_536]),
    snapshotEntries: random.pick([8, 20, 60, 200]),
    snapshotBytes: random.pick([3000, 30_000, 1_000_000]),
    chunkBytes: random.pick([300, 3000, 100_000]),
    clients: 1 + random.below(8),
    client: {
      thinkMs: random.spread(2, 100),
      patienceMs: electionMs * random.pick([1, 3]),
      readRate: random.pick([0.2, 0.5, 0.8]),
      keys: random.pick([1, 2, 4]),
      lifeMs: electionMs * random.pick([1, 4]),
      fillingBytes: random.pick([0, 100, 1000, 3000, 8000]),
      pipeline: random.pick([2, 5, 20]),
      namedRate: random.pick([0, 0.5, 1]),
    },
    generating: others.pick([0, 1, 1, 2]),
    waiting: wild ? 0 : others.pick([0, 0, 2, 4]),
    waitingKeys: others.pick([1, 2]),
    wild,
    watch,
  };
  const profile: NodeProfile = {
    faults: random.shuffled(FAULTS).slice(0, 1 + random.below(FAULTS.length)),
    faultMs: electionMs * random.spread(0.2, 3),
    downMs: electionMs * random.spread(0.3, 4),
  };
  return { options, profile };
}

export class NodeNemesis {
  readonly #world: NodeWorld;
  readonly #profile: NodeProfile;
  readonly #random: Random;
  readonly #electionMs: number;
  #active = true;
  /** How the damaged disks are mended. */
  readonly #undo = new Map<Machine, () => void>();
  /** Whose disk was refused, and the number of the life that has not begun since. */
  readonly #refused = new Map<Machine, number>();

  constructor(world: NodeWorld, profile: NodeProfile) {
    this.#world = world;
    this.#profile = profile;
    this.#random = world.random;
    this.#electionMs = world.options.heartbeatMs * ELECTION_HEARTBEATS;
    for (const machine of world.machines) machine.storage.speed = this.#someSpeed();
    this.#again();
    if (profile.faults.includes('aimedCrash')) {
      world.onStepped = (machine, effects) => this.#aimAtEffects(machine, effects);
      for (const machine of world.machines) {
        machine.storage.onDone = (operation) => this.#aimAtOperation(machine, operation);
      }
    }
    // Whoever reads the refusal puts the damaged files back from a copy, sooner or later.
    world.onRefused = (machine) => {
      this.#refused.set(machine, machine.life);
      this.#later(this.#random.spread(1, this.#profile.downMs), () => this.#restore(machine));
    };
  }

  /** All faults end, for good, and everybody is up. */
  makePeace(): void {
    const world = this.#world;
    this.#active = false;
    world.atPeace = true;
    world.onStepped = null;
    world.onRefused = (machine) => {
      this.#refused.set(machine, machine.life);
      this.#restore(machine);
    };
    world.network.heal();
    world.network.weather = FAIR_WEATHER;
    world.frameDamageRate = 0;
    world.chunkTroubleRate = 0;
    world.chunkDamageRate = 0;
    for (const machine of world.machines) {
      const { storage, clock } = machine;
      storage.speed = FAST;
      storage.stallMs = 0;
      storage.freeBytes = Infinity;
      storage.fail = null;
      storage.onDone = null;
      clock.rate = 1;
      machine.pausedUntil = Math.min(machine.pausedUntil, world.now);
      this.#restore(machine);
      machine.start();
    }
    world.note(null, 'faults stop');
  }

  #again(): void {
    this.#later(this.#profile.faultMs * this.#random.between(0.1, 1.9), () => {
      this.#strike(this.#random.pick(this.#profile.faults));
      this.#again();
    });
  }

  #later(ms: number, action: () => void): void {
    this.#world.schedule.after(ms, null, () => {
      if (this.#active) action();
    });
  }

  #victim(): Machine {
    const { random, machines } = { random: this.#random, machines: this.#world.machines };
    const leader = this.#world.leader();
    return leader !== null && random.chance(0.4) ? leader : random.pick(machines);
  }

  #strike(fault: Fault): void {
    const [world, random] = [this.#world, this.#random];
    world.note(null, `nemesis: ${fault}`);
    switch (fault) {
      case 'power':
        this.#crash(this.#victim(), true);
        break;
      case 'kill':
        this.#crash(this.#victim(), false);
        break;
      case 'powerAll':
        if (random.chance(0.6)) break;
        world.coverage.count('power losses of all nodes');
        for (const machine of world.machines) this.#crash(machine, true);
        break;
      case 'aimedCrash':
        break;
      case 'stop': {
        const machine = this.#victim();
        world.stop(machine);
        this.#later(this.#downMs() + this.#electionMs, () => this.#startAgain(machine));
        break;
      }
      case 'transfer':
        this.#transfer();
        break;
      case 'pause':
        world.pause(this.#victim(), random.spread(10, 5 * this.#electionMs));
        break;
      case 'partition':
        this.#partition();
        break;
      case 'weather':
        this.#changeWeather();
        break;
      case 'stall':
        this.#disturbDisk(this.#victim());
        break;
      case 'diskError':
        this.#failOperations(this.#victim());
        break;
      case 'diskFull': {
        const machine = this.#victim();
        if (machine.storage.freeBytes === Infinity) world.coverage.count('disks full');
        machine.storage.freeBytes =
          random.pick([0, 1000, 3, 6]) * (random.chance(0.5) ? world.options.segmentBytes : 1);
        this.#later(random.spread(10, 5 * this.#electionMs), () => {
          machine.storage.freeBytes = Infinity;
        });
        break;
      }
      case 'damage':
        this.#damage(this.#victim());
        break;
      case 'clock':
        this.#changeClock(this.#victim());
        break;
      case 'lull':
        // The log falls idle, and notes what of it is durable.
        world.clientsAsk = false;
        this.#later(random.spread(200, 2000), () => {
          world.clientsAsk = true;
        });
        break;
      case 'wire':
        world.frameDamageRate = random.pick([0, 0.01, 0.1]);
        world.chunkTroubleRate = random.pick([0, 0.05, 0.3]);
        world.chunkDamageRate = random.pick([0, 0.02, 0.1]);
        break;
    }
  }

  #downMs(): number {
    return this.#random.spread(1, this.#profile.downMs);
  }

  #crash(machine: Machine, power: boolean, downMs: number = this.#downMs()): void {
    this.#world.crash(machine, power);
    this.#later(downMs, () => this.#startAgain(machine));
  }

  /** A machine whose disk was refused waits for its copy. */
  #startAgain(machine: Machine): void {
    machine.start();
  }

  /** Crashes in the moments that matter: around votes, elections and snapshots. */
  #aimAtEffects(machine: Machine, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (!this.#random.chance(rateOf(effect))) continue;
      this.#crashSoon(machine, this.#random.spread(0.01, 10));
      return;
    }
  }

  /** Crashes between two operations of the disk; the rare ones are the interesting ones. */
  #aimAtOperation(machine: Machine, operation: Operation): void {
    const rare = operation === 'rename' || operation === 'remove' || operation === 'syncDirectory';
    if (!this.#random.chance(rare ? 0.02 : 0.0005)) return;
    this.#world.coverage.count('crashes in a disk operation');
    this.#crashSoon(machine, this.#random.chance(0.5) ? 0 : this.#random.spread(0.005, 1));
  }

  #crashSoon(machine: Machine, ms: number): void {
    const { life } = machine;
    this.#later(ms, () => {
      if (machine.life === life) this.#crash(machine, this.#random.chance(0.7), this.#random.spread(0.2, 50));
    });
  }

  #partition(): void {
    const [world, random] = [this.#world, this.#random];
    const ids = random.shuffled(world.machines.map(({ id }) => id));
    world.coverage.count('partitions');
    const leader = world.leader()?.id;
    switch (random.pick(['halves', 'one-way', 'leader', 'leader'] as const)) {
      case 'halves': {
        const at = 1 + random.below(Math.max(1, ids.length - 1));
        world.network.cutBetween(ids.slice(0, at), ids.slice(at));
        break;
      }
      case 'one-way':
        for (const from of ids) for (const to of ids) if (random.chance(0.3)) world.network.cut(from, to);
        break;
      case 'leader':
        if (leader !== undefined) world.network.cutBetween([leader], ids);
        break;
    }
    this.#later(random.spread(10, 6 * this.#electionMs), () => world.network.heal());
  }

  /** The old leader is cut off while another takes over: for a while both lead, in different terms. */
  #transfer(): void {
    const [world, random] = [this.#world, this.#random];
    const leader = world.leader();
    if (leader === null) return;
    world.handOver(leader);
    if (random.chance(0.3)) return;
    const others = world.machines.map(({ id }) => id).filter((id) => id !== leader.id);
    this.#later(random.spread(0.5, 10), () => world.network.cutBetween([leader.id], others));
    this.#later(random.spread(50, 5 * this.#electionMs), () => world.network.heal());
  }

  #changeWeather(): void {
    const random = this.#random;
    this.#world.network.weather = random.chance(0.3)
      ? FAIR_WEATHER
      : {
          minDelayMs: random.spread(0.1, 5),
          maxDelayMs: random.spread(5, 60),
          lossRate: random.pick([0, 0.01, 0.1, 0.3]),
          doubleRate: random.pick([0, 0.1, 0.3]),
          slowRate: random.pick([0, 0.01, 0.1]),
          appendLossRate: random.pick([0, 0, 0.5, 0.95]),
          slowMs: random.spread(100, MESSAGE_LIFE_ELECTIONS * this.#electionMs),
        };
  }

  #disturbDisk(machine: Machine): void {
    const random = this.#random;
    if (random.chance(0.5)) {
      this.#world.coverage.count('disk stalls');
      machine.storage.stallMs = random.spread(10, 5 * this.#electionMs);
    } else {
      machine.storage.speed = this.#someSpeed();
    }
  }

  #someSpeed(): Speed {
    const syncMaxMs = this.#random.spread(0.1, 30);
    const syncMinMs = syncMaxMs * this.#random.next();
    return { syncMinMs, syncMaxMs, cachedMs: this.#random.pick([0.01, 0.2]) };
  }

  /** One operation fails; the next of its kind would succeed, and must not be believed. */
  #failOperations(machine: Machine): void {
    const random = this.#random;
    const kind: Operation = random.pick(['write', 'sync', 'sync', 'syncDirectory', 'rename']);
    const code = kind === 'write' && random.chance(0.3) ? 'ENOSPC' : 'EIO';
    let left = 1 + random.below(5);
    machine.storage.fail = (operation) => {
      if (operation !== kind || !machine.isUp) return null;
      left -= 1;
      if (left > 0) return null;
      machine.storage.fail = null;
      machine.diskFailed = true;
      this.#world.coverage.count(kind === 'write' ? 'failed writes' : 'failed syncs');
      return kernelError(code);
    };
  }

  /** One disk at a time, so that the others are a majority. */
  #damage(machine: Machine): void {
    const { storage, disk } = machine;
    // Of two voters neither can recover: without the vote of the one the other is not elected.
    if (this.#world.options.voters === 2) return;
    if (this.#world.machines.some(({ disk: other }) => other.damaged || other.hardState.recovering)) return;
    const damaged = storage.damage(this.#random.pick(DAMAGES));
    if (damaged === null) return;
    this.#world.note(machine, damaged.what);
    this.#world.coverage.count('disks damaged');
    disk.damaged = true;
    this.#undo.set(machine, damaged.undo);
    // A damage that nobody has met must show at the next start.
    if (machine.isUp) this.#later(this.#downMs(), () => this.#crash(machine, this.#random.chance(0.5)));
  }

  /**
   * Puts back from a copy what was damaged, where the machine has been down since that was refused: only then the damage
   * is all that is wrong. A later start may be making up for it, or may have died over that, with other files changed;
   * and nobody exchanges files under a running process.
   */
  #restore(machine: Machine): void {
    const undo = this.#undo.get(machine);
    if (undo === undefined || !machine.disk.damaged) return;
    if (machine.isUp || machine.life !== this.#refused.get(machine)) return;
    this.#undo.delete(machine);
    this.#world.coverage.count('disks restored from a copy');
    this.#world.note(machine, 'gets its files back from a copy');
    undo();
    machine.disk.damaged = false;
    machine.start();
  }

  #changeClock(machine: Machine): void {
    const [random, coverage] = [this.#random, this.#world.coverage];
    if (random.chance(0.5)) {
      coverage.count('clocks drifting');
      machine.clock.rate = random.spread(0.5, 2);
    } else {
      coverage.count('clocks stepped');
      const before = machine.clock.wallOffsetMs;
      machine.clock.wallOffsetMs = random.between(-1, 1) * random.spread(1, 100_000);
      if (random.chance(0.5)) return;
      // Set wrong and set right again, before anybody has acted on it.
      this.#later(random.spread(1, 200), () => {
        machine.clock.wallOffsetMs = before;
      });
    }
  }
}

/** Chance that a node crashes shortly after this effect. */
function rateOf(effect: Effect): number {
  switch (effect.type) {
    case 'persist':
      if (effect.hardState !== null) return 0.1;
      return effect.snapshot !== null ? 0.3 : 0.01;
    case 'leadership':
      return effect.role === 'leader' ? 0.2 : 0.02;
    case 'fetchSnapshot':
    case 'restoreSnapshot':
      return 0.15;
    case 'compact':
      return 0.05;
    default:
      return 0;
  }
}
