/**
 * A cluster of whole nodes in one process: the real driver, requests, snapshotter, log, store, codec and core of every
 * node, over disks, clocks and a network in virtual time, used by clients who remember everything.
 *
 * ```
 *   clients.ts ── requests ──▶ ┌─ machine.ts ────────────────────────────┐
 *      │                       │ src/server  src/raft  src/store  src/wal │
 *   oracle.ts: what they       └───┬──────────────┬──────────────┬───────┘
 *   may be told                 clock.ts       peers.ts      storage.ts
 *                                  └───── schedule.ts: virtual time ──────┘
 * ```
 *
 * The code of a node waits for promises. They are real, but whatever they wait for in the end is an occurrence of the
 * schedule (an operation of the disk, a timer, a chunk from the network). So after each occurrence that has to do with a
 * promise everything that can go on is let go on, and only then does virtual time move; what a dead process waits for
 * simply never happens. Nothing of the real world comes in: one seed, one run.
 *
 * Three kinds of watchers: `../checks.ts` holds every step of every core against the protocol; `shadow.ts` holds what a
 * log comes up with against what it had acknowledged; `oracle.ts` holds what clients are told against what they know.
 */
import type { Node } from '../../../src/raft/node.ts';
import {
  asNodeId,
  type Configuration,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  InvariantError,
  type Member,
  type Message,
  type NodeId,
  type Persist,
  type Recovered,
  type SnapshotMeta,
} from '../../../src/raft/types.ts';
import type { Store } from '../../../src/store/store.ts';
import { WalError } from '../../../src/wal/wal.ts';
import type { Operation } from '../../linearizability/history.ts';
import { Checks } from '../checks.ts';
import { Coverage } from '../coverage.ts';
import { check, Failure, type Invariant } from '../failure.ts';
import { Network } from '../network.ts';
import { Random } from '../random.ts';
import { Schedule } from '../schedule.ts';
import { Trace, type TraceRecord } from '../trace.ts';
import type { Caller } from './caller.ts';
import { type ClientOptions, SimulatedClient } from './clients.ts';
import { NodeCoverage, type NodeScenario } from './coverage.ts';
import { GeneratingClient } from './generating-client.ts';
import { isDiskError, Machine } from './machine.ts';
import { Operator } from './operator.ts';
import { Oracle } from './oracle.ts';
import { checkRoundTrip, differenceOf, portraitOf } from './portrait.ts';
import { Queues } from './queues.ts';
import { WaitingClient } from './waiting-client.ts';

export interface NodeWorldOptions {
  readonly seed: number;
  readonly voters: number;
  readonly learners: number;
  readonly heartbeatMs: number;
  readonly segmentBytes: number;
  /** Entries and bytes between two snapshots. */
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  /** Largest chunk of a snapshot on its way, in bytes. */
  readonly chunkBytes: number;
  readonly clients: number;
  readonly client: ClientOptions;
  /** Clients that ask for anything at all, and clients that wait for keys. */
  readonly generating: number;
  readonly waiting: number;
  readonly waitingKeys: number;
  /** Nobody's answers are judged before the end, so anything may become of any key: all may go at once. */
  readonly wild: boolean;
  readonly watch: ((record: TraceRecord) => void) | null;
}

/** Nodes are inspected from top to bottom once in this many steps. */
const INSPECTION_STEPS = 500;
/** Stores are compared at every so many entries: a digest looks at every byte. */
const DIGEST_ENTRIES = 16;
/** Of so many snapshots one is taken down as commands show it, for those who start from it or get it. */
const PORTRAIT_EVERY = 2;
/** One in so many snapshots is read back and written again beside the run. */
const ROUND_TRIP_EVERY = 16;
/** A process that its supervisor starts again is up after so many ms. */
const RESTART_MS = 200;
/** The election timeout of a node in heartbeats, at least. */
export const ELECTION_HEARTBEATS = 10;

export class NodeWorld {
  readonly options: NodeWorldOptions;
  readonly random: Random;
  readonly schedule: Schedule = new Schedule();
  readonly coverage: NodeCoverage = new NodeCoverage();
  readonly trace: Trace;
  readonly network: Network;
  readonly machines: readonly Machine[];
  readonly checks: Checks;
  readonly oracle: Oracle = new Oracle();
  readonly queues: Queues = new Queues();
  readonly clients: readonly SimulatedClient[];
  readonly waiters: readonly WaitingClient[];
  readonly operator: Operator;
  /** All but the first. */
  readonly #callers: readonly Caller[];
  /** What clients asked and were told. */
  readonly history: Operation[] = [];
  /** Share of frames that are damaged on the way. */
  frameDamageRate = 0;
  /** Share of the chunks of snapshots that end their connection, and of those that are damaged and nobody notices. */
  chunkTroubleRate = 0;
  chunkDamageRate = 0;
  clientsAsk = true;
  /** Whoever is down is started again. */
  atPeace = false;
  failure: Failure | null = null;
  /** Called after every step, before its effects are carried out; faults that take aim hook in here. */
  onStepped: ((machine: Machine, effects: readonly Effect[]) => void) | null = null;
  /** Called when a damaged disk has been refused at the start. */
  onRefused: ((machine: Machine) => void) | null = null;
  readonly #byId = new Map<NodeId, Machine>();
  /** By index: a hash over everything applied up to there, and the digest of the store. */
  readonly #states: number[] = [0];
  readonly #digests = new Map<number, string>();
  readonly #portraits = new Map<number, ReadonlyMap<string, string>>();
  readonly #deaths = new Map<Machine, Set<() => void>>();
  readonly #numbers = new WeakMap<Uint8Array, number>();

  #disturbed = false;
  #changed: Machine | null = null;
  #snapshots = 0;

  constructor(options: NodeWorldOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    this.trace = new Trace(options.watch);
    const members = Array.from({ length: options.voters + options.learners }, (_, at): Member => {
      return { id: asNodeId(`n${at + 1}`), url: `http://n${at + 1}`, incarnation: '1' };
    });
    const configuration: Configuration = {
      voters: members.slice(0, options.voters),
      outgoing: [],
      learners: members.slice(options.voters).map((one) => ({ ...one, promote: false, replaces: null })),
      removed: [],
    };
    this.machines = members.map(({ id }) => new Machine(this, id, configuration));
    for (const machine of this.machines) this.#byId.set(machine.id, machine);
    this.checks = new Checks(this.machines, ({ payload }) => this.#numbers.get(payload) ?? -1);
    this.network = new Network(
      this.schedule,
      this.random.seed(),
      new Coverage(),
      (from, to, message) => this.#arrive(from, to, message),
      (from, to) => this.notArrived(from, to),
    );
    this.clients = Array.from({ length: options.clients }, (_, at) => {
      return new SimulatedClient(this, `c${at + 1}`, options.client);
    });
    const { thinkMs, patienceMs, lifeMs } = options.client;
    this.waiters = Array.from({ length: options.waiting }, (_, at) => {
      // The first one sees to it that there is something.
      const putRate = at === 0 ? 0.9 : 0.3;
      return new WaitingClient(this, `t${at + 1}`, {
        thinkMs,
        patienceMs,
        putRate,
        keys: options.waitingKeys,
      });
    });
    const generating = Array.from({ length: options.generating }, (_, at) => {
      return new GeneratingClient(this, `g${at + 1}`, { thinkMs, patienceMs, lifeMs, wild: options.wild });
    });
    this.operator = new Operator(this);
    this.#callers = [...this.waiters, ...generating, this.operator];
    for (const machine of this.machines) machine.start();
  }

  /** Nobody has an open question. */
  get isQuiet(): boolean {
    return this.clients.every(({ isIdle }) => isIdle) && this.#callers.every(({ isIdle }) => isIdle);
  }

  /** Those who wait for keys close their connections. */
  endWaits(): void {
    for (const caller of this.#callers) if (caller.waits) caller.leave();
  }

  machine(id: NodeId): Machine | undefined {
    return this.#byId.get(id);
  }

  /* ---- time -------------------------------------------------------------------------------------------------------- */

  get now(): number {
    return this.schedule.now;
  }

  /** Something was done that a promise depends on. */
  disturb(): void {
    this.#disturbed = true;
  }

  /** Lets the next occurrence happen, and all that follows from it at once. */
  async next(): Promise<void> {
    // What was done from outside since the last occurrence.
    if (this.#disturbed) await this.settle();
    if (!this.schedule.next()) throw new Error('nothing will ever happen again');
    if (this.#disturbed) await this.settle();
    if (this.#changed !== null) this.#compareStore(this.#changed);
    for (const { id, driver, node } of this.machines)
      check(
        driver === null || node?.role.name === 'leader' || driver.blocked.size === 0,
        'LV',
        () => `${driver?.blocked.size} clients wait on ${id}, which does not lead: nobody tells them`,
      );
    if (this.failure !== null) throw this.failure;
  }

  /** Lets go on whatever does not wait for virtual time. */
  async settle(): Promise<void> {
    this.#disturbed = false;
    // All promises that are settled are followed up before the event loop turns.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    this.schedule.after(ms, null, () => undefined);
    while (this.now < end) await this.next();
  }

  /** Lets time pass until `condition` holds; a failure of liveness if it does not within `withinMs`. */
  async runUntil(what: string, condition: () => boolean, withinMs: number): Promise<void> {
    const end = this.now + withinMs;
    while (!condition()) {
      check(this.now <= end, 'LV', () => `${what}: not within ${withinMs} ms. ${this.summary()}`);
      await this.next();
    }
  }

  /** One line per node, for evidence. */
  summary(): string {
    const lines = this.machines.map(({ id, isUp, node, store, restoring, pausedUntil, disk }) => {
      if (node === null || store === null) {
        return `${id} ${isUp ? 'starting' : 'down'}${disk.damaged ? ', damaged' : ''}`;
      }
      const { term, commitIndex, log, role, leader } = node;
      const paused = pausedUntil > this.now ? ', paused' : '';
      return (
        `${id} ${role.name} of term ${term} led by ${leader ?? 'nobody'}, log ${log.firstIndex} to ${log.lastIndex}, ` +
        `commit ${commitIndex}, store ${store.appliedIndex}${restoring ? ', restoring' : ''}${paused}`
      );
    });
    return lines.join('; ');
  }

  note(machine: Machine | null, text: string): void {
    this.trace.note(this.now, machine?.id ?? null, text);
  }

  fail(invariant: Invariant, evidence: string): void {
    this.failure ??= new Failure(invariant, evidence);
  }

  /* ---- faults ------------------------------------------------------------------------------------------------------ */

  leader(): Machine | null {
    let best: Machine | null = null;
    for (const machine of this.machines) {
      if (machine.leads && (machine.node?.term ?? 0) > (best?.node?.term ?? 0)) best = machine;
    }
    return best;
  }

  /** The process dies; with `power`, and what was not synced with it. */
  crash(machine: Machine, power: boolean): void {
    if (!machine.isUp) return;
    this.coverage.count(power ? 'power losses' : 'kills');
    if (machine.driver === null) this.coverage.count('crashes during a start');
    this.note(machine, power ? 'loses power' : 'is killed');
    this.#bury(machine, power);
  }

  #bury(machine: Machine, power: boolean): void {
    const { node } = machine;
    machine.died();
    if (power) machine.storage.losePower();
    else machine.storage.processDied();
    for (const tell of this.#deaths.get(machine) ?? []) tell();
    this.#deaths.delete(machine);
    for (const client of [...this.clients, ...this.#callers]) client.machineDied(machine);
    if (node !== null) this.checks.durable();
    this.#reportDown(machine);
    if (this.atPeace) this.schedule.after(RESTART_MS, null, () => machine.start());
  }

  /** Calls back when the process of this machine is gone; the answer takes that back. */
  onDeath(machine: Machine, tell: () => void): () => void {
    const tells = this.#deaths.get(machine) ?? new Set();
    this.#deaths.set(machine, tells);
    tells.add(tell);
    return () => tells.delete(tell);
  }

  /** SIGTERM. */
  stop(machine: Machine): void {
    if (machine.driver === null) return;
    const { life } = machine;
    this.note(machine, 'is told to stop');
    this.disturb();
    machine.stop().then(
      (handed) => {
        if (life !== machine.life) return;
        this.coverage.count('orderly stops');
        if (handed) this.coverage.count('leadership handed over');
        this.schedule.after(0, null, () => {
          if (life !== machine.life) return;
          this.note(machine, 'has stopped');
          this.#bury(machine, false);
        });
      },
      (error: unknown) => {
        if (life === machine.life) machine.ended(error);
      },
    );
  }

  /** Another is to lead. */
  handOver({ driver }: Machine): void {
    if (driver === null) return;
    this.disturb();
    driver.handOver().then(
      (handed) => {
        if (handed) this.coverage.count('leadership handed over');
      },
      // It has ended; somebody else tells why.
      () => undefined,
    );
  }

  pause(machine: Machine, ms: number): void {
    this.coverage.count('pauses');
    this.note(machine, `is paused for ${ms.toFixed(0)} ms`);
    const until = Math.max(machine.pausedUntil, this.now + ms);
    machine.storage.paused(until - Math.max(machine.pausedUntil, this.now));
    machine.pausedUntil = until;
  }

  /** The process of a machine came to its end by itself. */
  processEnded(machine: Machine, error: unknown): void {
    if (error instanceof Failure) {
      this.failure ??= error;
      return;
    }
    const text = error instanceof Error ? error.message : String(error);
    const failed = isDiskError(error) && (machine.diskFailed || machine.storage.wasFull);
    const corrupt = error instanceof WalError && machine.disk.damaged && !failed;
    if (!failed && !corrupt) {
      const invariant = error instanceof InvariantError || !(error instanceof WalError) ? 'AS' : 'DU';
      this.failure ??= new Failure(invariant, `${machine.id}: ${text}`, { cause: error });
      return;
    }
    this.note(machine, `ends: ${text}`);
    const starting = machine.driver === null;
    this.#bury(machine, false);
    if (corrupt) {
      this.coverage.count(starting ? 'damage refused at start' : 'damage found while running');
      if (starting) {
        this.onRefused?.(machine);
        return;
      }
    } else this.coverage.count('nodes ended by a disk error');
    if (!this.atPeace) this.schedule.after(RESTART_MS, null, () => machine.start());
  }

  /** The death of a process shows in closed streams and refused connections. */
  #reportDown(machine: Machine): void {
    const { life } = machine;
    if (this.random.chance(0.5)) return;
    for (const other of this.machines) {
      if (other === machine || !other.isUp || this.network.isCut(machine.id, other.id)) continue;
      this.schedule.after(this.random.between(0, 20), other, () => {
        if (!machine.isUp && machine.life === life) other.driver?.onPeerDown(machine.id);
      });
    }
  }

  /* ---- network ----------------------------------------------------------------------------------------------------- */

  sent(machine: Machine, to: NodeId, message: Message): void {
    this.checks.sent(machine.id, message);
    if (message.type === 'voteReply' && message.granted) this.checks.grantSent(machine.id, to, message.term);
  }

  #arrive(from: NodeId, to: NodeId, message: Message): void {
    const machine = this.#byId.get(to);
    if (machine === undefined || machine.driver === null) {
      this.notArrived(from, to);
    } else if (machine.pausedUntil > this.now) {
      this.schedule.after(0, machine, () => machine.driver?.onMessage(from, message));
    } else {
      machine.driver.onMessage(from, message);
    }
  }

  /** The sender's transport sometimes notices. */
  notArrived(from: NodeId, to: NodeId): void {
    const sender = this.#byId.get(from);
    if (sender === undefined || !this.random.chance(0.3)) return;
    this.schedule.after(this.random.between(0, 5), sender, () => sender.driver?.onUnreachable(to));
  }

  /* ---- watching ---------------------------------------------------------------------------------------------------- */

  /** The log of a machine was opened. */
  recovered(machine: Machine, { snapshot, hardState }: Recovered): void {
    if (hardState.recovering) this.coverage.count('starts with a recovering log');
    if (machine.disk.damaged && machine.damagedBeforeStart) {
      // Every file is read at a start: what it did not mind now can't harm later.
      this.coverage.count('damage that did no harm');
      this.note(machine, 'comes up with a damaged disk');
      machine.disk.damaged = false;
    }
    machine.applied = snapshot?.index ?? 0;
    machine.state = this.#states[machine.applied] ?? 0;
  }

  /** What the log told of its recovery. */
  noted(machine: Machine, note: string): void {
    if (note.includes('a torn write after entry')) this.coverage.count('torn tails cut');
    this.note(machine, note);
  }

  /** Listens for the moments at which the state is written down. */
  watchStore(machine: Machine, store: Store): void {
    const start = store.startSnapshot.bind(store);
    store.startSnapshot = () => {
      this.#compare(machine, store);
      this.#snapshots += 1;
      if (this.#snapshots % PORTRAIT_EVERY === 0) this.#comparePortraits(machine, store);
      if (this.#snapshots % ROUND_TRIP_EVERY === 0) this.#roundTrip(machine, store);
      return start();
    };
  }

  /** The store stands at a snapshot; or at the beginning. */
  restored(machine: Machine, store: Store, snapshot: SnapshotMeta | null): void {
    if (snapshot === null) return;
    check(
      store.appliedIndex === snapshot.index,
      'SM',
      () => `${machine.id} restored snapshot ${snapshot.index} and stands at ${store.appliedIndex}`,
    );
    this.#compare(machine, store, 'digests compared after a start from a snapshot');
    this.#comparePortraits(machine, store);
  }

  /** SM: equal stores at equal indexes. */
  #compare(machine: Machine, store: Store, occasion: NodeScenario | null = null): void {
    const { appliedIndex } = store;
    const digest = store.digest();
    const other = this.#digests.get(appliedIndex);
    if (other === undefined) this.#digests.set(appliedIndex, digest);
    else {
      this.coverage.count('digests compared');
      if (occasion !== null) this.coverage.count(occasion);
    }
    check(
      other === undefined || other === digest,
      'SM',
      () => `the store of ${machine.id} after ${appliedIndex} differs from another node's`,
    );
  }

  /** SM: and so is what commands show of them. */
  #comparePortraits(machine: Machine, store: Store): void {
    const { appliedIndex } = store;
    const other = this.#portraits.get(appliedIndex);
    const portrait = portraitOf(store);
    if (other === undefined) {
      this.#portraits.set(appliedIndex, portrait);
      return;
    }
    this.coverage.count('portraits compared');
    const difference = differenceOf(other, portrait);
    check(
      difference === null,
      'SM',
      () => `commands show another state on ${machine.id} after ${appliedIndex}: ${difference}`,
    );
  }

  /** SM: a snapshot holds everything. */
  #roundTrip(machine: Machine, store: Store): void {
    this.coverage.count('snapshots read and written again');
    checkRoundTrip(store, machine.id);
  }

  #compareStore(machine: Machine): void {
    this.#changed = null;
    const { store, node, applied } = machine;
    if (store === null || node === null || machine.restoring) return;
    check(
      store.appliedIndex === applied,
      'EO',
      () => `${machine.id} was handed entries up to ${applied}, its store stands at ${store.appliedIndex}`,
    );
    if (applied % DIGEST_ENTRIES !== 0) return;
    this.#compare(
      machine,
      store,
      applied <= machine.appliedBefore ? 'digests compared after a replay' : null,
    );
  }

  /** After every step of a core, before its effects are carried out. */
  stepped(machine: Machine, node: Node, event: Event, effects: readonly Effect[], opened: boolean): void {
    this.coverage.count('steps');
    const { log, term, commitIndex } = node;
    const view = { role: node.role.name, term, lastIndex: log.lastIndex, commit: commitIndex };
    this.trace.step(this.now, machine.id, event, effects, view);
    this.disturb();
    if (opened) this.checks.opened(machine, node);
    this.#happened(machine, event, effects);
    this.checks.stepped(machine, node);
    for (const effect of effects) this.#willDo(machine, node, effect);
    if (this.trace.steps % INSPECTION_STEPS === 0) this.checks.inspect(machine, node);
    this.onStepped?.(machine, effects);
  }

  #happened(machine: Machine, event: Event, effects: readonly Effect[]): void {
    switch (event.type) {
      case 'propose': {
        const number = this.checks.propose();
        this.#numbers.set(event.payload, number);
        for (const effect of effects) {
          const proposal = this.checks.proposals[number];
          if (proposal === undefined) continue;
          if (effect.type === 'rejected' && effect.id === event.id) proposal.outcome = 'rejected';
          if (effect.type !== 'proposed' || effect.id !== event.id) continue;
          proposal.index = effect.index;
          proposal.term = effect.term;
        }
        break;
      }
      case 'snapshotSaved':
        this.coverage.count('snapshots taken');
        if (machine.disk.snapshot !== null) this.coverage.count('second-generation snapshots');
        machine.disk.saved(event.snapshot);
        break;
      case 'snapshotRestored': {
        const { store } = machine;
        machine.restoring = false;
        check(event.index >= machine.applied, 'EO', () => `${machine.id} goes back to ${event.index}`);
        machine.applied = event.index;
        machine.state = this.#states[event.index] ?? 0;
        this.coverage.count('snapshots installed');
        if (store !== null) {
          this.#compare(machine, store, 'digests compared after an installation');
          this.#comparePortraits(machine, store);
        }
        break;
      }
      default:
        break;
    }
  }

  #willDo(machine: Machine, node: Node, effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        this.checks.persisting(machine, node, this.#inChecksTerms(effect));
        break;
      case 'apply':
        check(!machine.restoring, 'DC', () => `${machine.id} applies while a snapshot is restored`);
        for (const entry of effect.entries) this.#apply(machine, entry);
        this.#changed = machine;
        break;
      case 'readReady':
        check(!machine.restoring, 'DC', () => `${machine.id} reads while a snapshot is restored`);
        break;
      case 'restoreSnapshot':
        machine.restoring = true;
        break;
      case 'readLog':
        this.coverage.count('log reads');
        break;
      case 'compact':
        this.coverage.count('compactions');
        break;
      case 'leadership':
        if (effect.role === 'leader') this.coverage.count('leaders elected');
        else if (machine.wasLeader) this.coverage.count('leaders deposed');
        machine.wasLeader = effect.role === 'leader';
        break;
      default:
        break;
    }
  }

  #apply(machine: Machine, entry: Entry): void {
    machine.state = this.checks.applying(machine, entry);
    machine.applied = entry.index;
    this.#states[entry.index] = machine.state;
    if (entry.type !== EntryType.batch) return;
    const number = this.#numbers.get(entry.payload);
    if (number !== undefined && this.checks.proposals[number]?.outcome === 'open')
      this.checks.acknowledged(number);
  }

  /**
   * The checks know a snapshot by the hash over the entries up to it. Here its file's bytes decide, and whether they are
   * the right ones shows when they are restored.
   */
  #inChecksTerms(persist: Persist): Persist {
    const { snapshot } = persist;
    if (snapshot === null) return persist;
    return { ...persist, snapshot: { ...snapshot, checksum: this.#states[snapshot.index] ?? -1 } };
  }

  /* ---- peace ------------------------------------------------------------------------------------------------------- */

  /** Everybody up, equal and led by one. */
  hasConverged(): boolean {
    const leader = this.leader();
    const node = leader?.node ?? null;
    if (node === null || (node.role.name === 'leader' && node.role.transfer !== null)) return false;
    const { lastIndex } = node.log;
    return this.machines.every(
      (machine) =>
        machine.driver !== null &&
        machine.node?.term === node.term &&
        machine.node.leader === node.id &&
        machine.node.log.lastIndex === lastIndex &&
        machine.node.commitIndex === lastIndex &&
        machine.store?.appliedIndex === lastIndex,
    );
  }

  /** SM: all stores at once, whatever their index. Only when they have converged. */
  compareAll(): void {
    for (const machine of this.machines) {
      const { store } = machine;
      if (store === null) continue;
      this.#compare(machine, store);
      this.#comparePortraits(machine, store);
    }
    const leader = this.leader();
    if (leader !== null && leader.store !== null) this.#roundTrip(leader, leader.store);
  }
}
