/** The network between the nodes: it delays, loses, doubles and reorders messages, and its links can be cut one way. */
import type { Message, NodeId } from '../../src/raft/types.ts';
import type { Coverage } from './coverage.ts';
import { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface Weather {
  /** Delay of an ordinary message in ms. */
  minDelayMs: number;
  maxDelayMs: number;
  lossRate: number;
  doubleRate: number;
  /** Lost besides, of the appends alone: the leader stays, and the logs drift apart. */
  appendLossRate: number;
  /** Share of messages that are stuck somewhere for up to `slowMs`: they arrive terms later. */
  slowRate: number;
  slowMs: number;
}

export const FAIR_WEATHER: Weather = {
  minDelayMs: 0.2,
  maxDelayMs: 2,
  lossRate: 0,
  doubleRate: 0,
  appendLossRate: 0,
  slowRate: 0,
  slowMs: 0,
};

/** A script's say about a message: `undefined` leaves it to the weather; one on `hold` is the script's to carry. */
export type Intercept = (
  from: NodeId,
  to: NodeId,
  message: Message,
) => 'drop' | 'hold' | { delayMs: number } | undefined;

export class Network {
  weather: Weather = FAIR_WEATHER;
  intercept: Intercept | null = null;
  private readonly cuts = new Set<string>();
  private readonly forgotten = new Map<NodeId, number>();
  private cleared = -1;
  /** When the latest message of each link is to arrive, to see overtaking. */
  private readonly arrivals = new Map<string, number>();
  private readonly delays: { from: NodeId; to: NodeId; type: Message['type']; delayMs: number }[] = [];
  private readonly schedule: Schedule;
  private readonly seed: number;
  /** One generator per link. */
  private readonly randoms = new Map<string, Random>();
  private readonly coverage: Coverage;
  private readonly deliver: (from: NodeId, to: NodeId, message: Message) => void;
  private readonly lost: (from: NodeId, to: NodeId, message: Message) => void;

  constructor(
    schedule: Schedule,
    seed: number,
    coverage: Coverage,
    deliver: (from: NodeId, to: NodeId, message: Message) => void,
    lost: (from: NodeId, to: NodeId, message: Message) => void,
  ) {
    this.schedule = schedule;
    this.seed = seed;
    this.coverage = coverage;
    this.deliver = deliver;
    this.lost = lost;
  }

  /** Cuts the way from `from` to `to`, and what is under way on it. */
  cut(from: NodeId, to: NodeId): void {
    this.cuts.add(link(from, to));
  }

  /** Cuts both ways between every node of `left` and every node of `right`. */
  cutBetween(left: readonly NodeId[], right: readonly NodeId[]): void {
    for (const a of left) {
      for (const b of right) {
        if (a === b) continue;
        this.cut(a, b);
        this.cut(b, a);
      }
    }
  }

  heal(): void {
    this.cuts.clear();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.cuts.size > 0 && this.cuts.has(link(from, to));
  }

  /** What is under way to and from this node never arrives: it was ended and its connections with it. */
  forget(id: NodeId): void {
    this.forgotten.set(id, this.schedule.now);
  }

  /** Nothing of what is under way arrives. */
  clear(): void {
    this.cleared = this.schedule.now;
  }

  /** The next message of this kind on this link takes so long, whatever the weather. */
  delayNext(from: NodeId, to: NodeId, type: Message['type'], delayMs: number): void {
    this.delays.push({ from, to, type, delayMs });
  }

  send(from: NodeId, to: NodeId, message: Message): void {
    this.coverage.count('messages sent');
    const { weather } = this;
    const key = link(from, to);
    const random = this.randomOf(key);
    const order = this.intercept?.(from, to, message) ?? this.takeDelay(from, to, message);
    if (order === 'hold') return;
    const lossRate = message.type === 'append' ? weather.lossRate + weather.appendLossRate : weather.lossRate;
    if (order === 'drop' || this.isCut(from, to) || random.chance(lossRate)) {
      this.coverage.count('messages lost');
      this.lost(from, to, message);
      return;
    }
    this.carry(from, to, message, order?.delayMs ?? this.delay(random));
    if (random.chance(weather.doubleRate)) {
      this.coverage.count('messages doubled');
      this.carry(from, to, message, this.delay(random));
    }
  }

  /** Brings a message, perhaps one held back before, to its receiver in `delayMs`. */
  carry(from: NodeId, to: NodeId, message: Message, delayMs: number): void {
    const key = link(from, to);
    const arrival = this.schedule.now + delayMs;
    const latest = this.arrivals.get(key) ?? 0;
    if (arrival < latest) this.coverage.count('messages overtaken');
    else this.arrivals.set(key, arrival);
    const sent = this.schedule.now;
    this.schedule.after(delayMs, null, () => {
      if (this.isCut(from, to) || sent <= this.endOf(from, to)) this.lost(from, to, message);
      else this.deliver(from, to, message);
    });
  }

  /** What was sent on this link up to then is gone. */
  private endOf(from: NodeId, to: NodeId): number {
    return Math.max(this.cleared, this.forgotten.get(from) ?? -1, this.forgotten.get(to) ?? -1);
  }

  private delay(random: Random): number {
    const { weather } = this;
    if (random.chance(weather.slowRate))
      return random.spread(Math.max(weather.maxDelayMs, 1), weather.slowMs);
    return random.between(weather.minDelayMs, weather.maxDelayMs);
  }

  private takeDelay(from: NodeId, to: NodeId, { type }: Message): { delayMs: number } | undefined {
    const { delays } = this;
    if (delays.length === 0) return undefined;
    const at = delays.findIndex((delay) => delay.from === from && delay.to === to && delay.type === type);
    return at === -1 ? undefined : delays.splice(at, 1)[0];
  }

  private randomOf(key: string): Random {
    let random = this.randoms.get(key);
    if (random === undefined) {
      random = Random.of(this.seed, key);
      this.randoms.set(key, random);
    }
    return random;
  }
}

function link(from: NodeId, to: NodeId): string {
  return `${from}>${to}`;
}
