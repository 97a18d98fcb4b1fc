/**
 * A few nodes on a perfect network, driven by hand: for tests that read as a story. Every verb runs until nothing
 * moves any more. Disks write at once unless held; links can be cut. Faults at random are the simulator's business.
 */
import { decodeConfiguration, encodeConfiguration } from '../configuration.ts';
import { type Limits, type Node, openNode, step } from '../node.ts';
import {
  asIndex,
  asNodeId,
  asTerm,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  type HardState,
  type Learner,
  type Member,
  type MembershipChange,
  type Message,
  type NodeId,
  type Persist,
  type Recovered,
  type TermRun,
} from '../types.ts';

export const HEARTBEAT_MS = 100;
export const ELECTION_MS = 1000;

type Plain<T> = T extends unknown ? Omit<T, 'now'> : never;

type Held = Pick<Persist, 'sequence' | 'snapshot' | 'entries' | 'replies'>;

function memberOf(name: string): Member {
  return { id: asNodeId(name), url: `http://${name}`, incarnation: name };
}

/** The learner of that name, as one asks for it to be added. */
export function learnerOf(name: string, more: Partial<Learner> = {}): Learner {
  return { ...memberOf(name), promote: false, replaces: null, ...more };
}

function recoveredFrom(entries: readonly Entry[], hardState: HardState): Recovered {
  const termRuns: TermRun[] = [];
  for (const { term, index } of entries) {
    if (termRuns.at(-1)?.term !== term) termRuns.push({ term, first: index });
  }
  return {
    hardState,
    snapshot: null,
    firstIndex: asIndex(1),
    lastIndex: asIndex(entries.length),
    compacted: { index: asIndex(0), term: asTerm(0) },
    termRuns,
    configurations: entries
      .filter(({ type }) => type === EntryType.configuration)
      .map(({ index, payload }) => ({ index, configuration: decodeConfiguration(payload) })),
    commit: asIndex(0),
  };
}

export class Trio {
  now = 0;
  readonly nodes: Map<NodeId, Node> = new Map();
  readonly applied: Map<NodeId, Entry[]> = new Map();
  readonly effects: { readonly id: NodeId; readonly effect: Effect }[] = [];
  /** `a>b` for a link that drops what a sends to b. */
  readonly cut: Set<string> = new Set();
  readonly fullDisks: Set<NodeId> = new Set();
  /** Nodes whose disk does not answer. */
  readonly slowDisks: Set<NodeId> = new Set();
  /** What is durable, by index. */
  readonly #disks = new Map<NodeId, Map<number, Entry>>();
  readonly #limits: Partial<Limits>;
  #nextSeed = 1;
  readonly #held = new Map<NodeId, Held[]>();
  readonly #inbox: { readonly to: NodeId; readonly event: Plain<Event> }[] = [];

  constructor(names: readonly string[] = ['a', 'b', 'c'], limits: Partial<Limits> = {}) {
    this.#limits = limits;
    const voters = names.map((name) => memberOf(name));
    const term = asTerm(1);
    const founding = {
      index: asIndex(1),
      term,
      type: EntryType.configuration,
      payload: encodeConfiguration({ voters, outgoing: [], learners: [], removed: [] }),
    };
    for (const name of names) this.open(name, [founding], { term, vote: null, recovering: false });
  }

  /** A node comes up with this on its disk: in place of the one of that name, or as a new one. */
  open(name: string, entries: readonly Entry[], hardState: HardState): void {
    const id = asNodeId(name);
    const seed = this.#nextSeed++;
    const options = { id, heartbeatMs: HEARTBEAT_MS, electionMs: ELECTION_MS, seed, limits: this.#limits };
    this.#held.delete(id);
    this.nodes.set(id, openNode(options, recoveredFrom(entries, hardState), this.now));
    this.applied.set(id, []);
    this.#disks.set(id, new Map(entries.map((entry) => [entry.index, entry])));
  }

  /** A new node with an empty log, as `kvorum serve --join` starts it. */
  join(name: string): void {
    this.open(name, [], { term: asTerm(0), vote: null, recovering: false });
  }

  /** What is durable on a node, up to `through`. */
  disk(name: string, through: number = Number.POSITIVE_INFINITY): Entry[] {
    return [...this.#disks.get(asNodeId(name))!.values()].filter(({ index }) => index <= through);
  }

  /** Asks for a change of membership; returns the number of the request. */
  change(name: string, change: MembershipChange): number {
    const id = this.#nextId++;
    this.feed(name, { type: 'changeMembership', id, change });
    return id;
  }

  /** How a request to change the membership was answered: `changed`, a reason, or nothing yet. */
  answers(id: number): string[] {
    return this.effects.flatMap(({ effect }) => {
      if (effect.type === 'membershipChanged' && effect.id === id) return ['changed'];
      return effect.type === 'membershipRejected' && effect.id === id ? [effect.reason] : [];
    });
  }

  /** The names in a node's configuration: `a b|c` is voters a and b, outgoing c. */
  members(name: string): string {
    const { voters, outgoing } = this.node(name).log.configuration;
    const names = (members: readonly Member[]): string => members.map(({ id }) => id).join(' ');
    return outgoing.length === 0 ? names(voters) : `${names(voters)}|${names(outgoing)}`;
  }

  node(name: string): Node {
    return this.nodes.get(asNodeId(name))!;
  }

  /** The payloads a node has applied, as text. */
  values(name: string): string[] {
    return this.applied
      .get(asNodeId(name))!
      .filter(({ type }) => type === EntryType.batch)
      .map(({ payload }) => new TextDecoder().decode(payload));
  }

  /** What a node reported in effects of one type, oldest first. */
  reported<Type extends Effect['type']>(name: string, type: Type): Extract<Effect, { type: Type }>[] {
    return this.effects
      .filter(({ id, effect }) => id === asNodeId(name) && effect.type === type)
      .map(({ effect }) => effect as Extract<Effect, { type: Type }>);
  }

  isolate(name: string): void {
    for (const id of this.nodes.keys()) {
      this.cut.add(`${name}>${id}`);
      this.cut.add(`${id}>${name}`);
    }
  }

  heal(): void {
    this.cut.clear();
  }

  /** Time passes; every node ticks. */
  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += HEARTBEAT_MS / 5;
      for (const to of this.nodes.keys())
        this.#inbox.push({ to, event: { type: 'tick', diskLow: this.fullDisks.has(to) } });
      this.settle();
    }
  }

  /** Makes `name` the leader by an election of its own. */
  elect(name: string): void {
    this.feed(name, { type: 'campaign' });
  }

  propose(name: string, text: string): void {
    this.feed(name, { type: 'propose', id: this.#nextId++, payload: new TextEncoder().encode(text) });
  }
  #nextId = 1;

  feed(name: string, event: Plain<Event>): void {
    this.#inbox.push({ to: asNodeId(name), event });
    this.settle();
  }

  message(from: string, to: string, message: Message): void {
    this.feed(to, { type: 'message', from: asNodeId(from), message });
  }

  /** The disk answers again, for everything it had taken. */
  releaseDisk(name: string): void {
    const id = asNodeId(name);
    this.slowDisks.delete(id);
    const held = this.#held.get(id) ?? [];
    this.#held.delete(id);
    for (const work of held) this.#persisted(id, work);
    this.settle();
  }

  /** The disk finishes the write under way and stays slow. */
  releaseOne(name: string): void {
    const id = asNodeId(name);
    const work = this.#held.get(id)?.shift();
    if (work !== undefined) this.#persisted(id, work);
    this.settle();
  }

  settle(): void {
    for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
      const node = this.nodes.get(next.to)!;
      for (const effect of step(node, { ...next.event, now: this.now })) this.#perform(node, effect);
    }
  }

  #perform(node: Node, effect: Effect): void {
    this.effects.push({ id: node.id, effect });
    if (effect.type === 'send') {
      this.#send(node.id, effect.to, effect.message);
    } else if (effect.type === 'persist') {
      if (this.slowDisks.has(node.id)) this.#held.set(node.id, [...(this.#held.get(node.id) ?? []), effect]);
      else this.#persisted(node.id, effect);
    } else if (effect.type === 'apply') {
      this.applied.get(node.id)!.push(...effect.entries);
    } else if (effect.type === 'readLog') {
      const entries = this.disk(node.id).filter(({ index }) => index >= effect.from && index <= effect.to);
      this.#inbox.push({ to: node.id, event: { type: 'logRead', id: effect.id, entries } });
    }
  }

  #persisted(id: NodeId, { replies, sequence, entries, snapshot }: Held): void {
    const disk = this.#disks.get(id)!;
    if (snapshot !== null) disk.clear();
    for (let index = entries[0]?.index ?? 0; disk.delete(index); index = asIndex(index + 1));
    for (const entry of entries) disk.set(entry.index, entry);
    for (const { to, message } of replies) this.#send(id, to, message);
    this.#inbox.push({ to: id, event: { type: 'persisted', sequence } });
  }

  #send(from: NodeId, to: NodeId, message: Message): void {
    if (this.nodes.has(to) && !this.cut.has(`${from}>${to}`))
      this.#inbox.push({ to, event: { type: 'message', from, message } });
  }
}
