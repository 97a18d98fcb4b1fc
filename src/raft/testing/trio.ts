/**
 * A few nodes on a perfect network, driven by hand: for tests that read as a story. Every verb runs until nothing
 * moves any more. Disks write at once unless held; links can be cut. Faults at random are the simulator's business.
 */
import { encodeConfiguration } from '../configuration.ts';
import { type Limits, type Node, openNode, step } from '../node.ts';
import {
  asIndex,
  asNodeId,
  asTerm,
  type Effect,
  type Entry,
  EntryType,
  type Event,
  type Message,
  type NodeId,
  type Recovered,
} from '../types.ts';

export const HEARTBEAT_MS = 100;
export const ELECTION_MS = 1000;

type Plain<T> = T extends unknown ? Omit<T, 'now'> : never;

interface Held {
  readonly replies: readonly { to: NodeId; message: Message }[];
  readonly sequence: number;
}

export class Trio {
  now = 0;
  readonly nodes: Map<NodeId, Node> = new Map();
  readonly applied: Map<NodeId, Entry[]> = new Map();
  readonly effects: { readonly id: NodeId; readonly effect: Effect }[] = [];
  /** `a>b` for a link that drops what a sends to b. */
  readonly cut: Set<string> = new Set();
  /** Nodes whose disk does not answer. */
  readonly slowDisks: Set<NodeId> = new Set();
  readonly #held = new Map<NodeId, Held[]>();
  readonly #inbox: { readonly to: NodeId; readonly event: Plain<Event> }[] = [];

  constructor(names: readonly string[] = ['a', 'b', 'c'], limits: Partial<Limits> = {}) {
    const voters = names.map((name) => ({ id: asNodeId(name), url: `http://${name}`, incarnation: name }));
    const configuration = { voters, outgoing: [], learners: [], removed: [] };
    const term = asTerm(1);
    const recovered: Recovered = {
      hardState: { term, vote: null, recovering: false },
      snapshot: null,
      firstIndex: asIndex(1),
      lastIndex: asIndex(1),
      compacted: { index: asIndex(0), term: asTerm(0) },
      termRuns: [{ term, first: asIndex(1) }],
      configurations: [{ index: asIndex(1), configuration }],
      commit: asIndex(0),
    };
    this.#bootstrap = {
      index: asIndex(1),
      term,
      type: EntryType.configuration,
      payload: encodeConfiguration(configuration),
    };
    for (const [at, { id }] of voters.entries()) {
      const options = { id, heartbeatMs: HEARTBEAT_MS, electionMs: ELECTION_MS, seed: at + 1, limits };
      this.nodes.set(id, openNode(options, recovered, 0));
      this.applied.set(id, []);
    }
  }
  readonly #bootstrap: Entry;

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
      for (const to of this.nodes.keys()) this.#inbox.push({ to, event: { type: 'tick', diskLow: false } });
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
      // Only the founding entry was never in memory.
      this.#inbox.push({
        to: node.id,
        event: { type: 'logRead', id: effect.id, entries: [this.#bootstrap] },
      });
    }
  }

  #persisted(id: NodeId, { replies, sequence }: Held): void {
    for (const { to, message } of replies) this.#send(id, to, message);
    this.#inbox.push({ to: id, event: { type: 'persisted', sequence } });
  }

  #send(from: NodeId, to: NodeId, message: Message): void {
    if (!this.cut.has(`${from}>${to}`)) this.#inbox.push({ to, event: { type: 'message', from, message } });
  }
}
