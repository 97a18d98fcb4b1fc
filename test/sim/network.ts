/** The network between the nodes: it delays, loses, doubles and reorders messages, and its links can be cut one way. */
import type { Message, NodeId } from '../../src/raft/types.ts';
import type { Coverage } from './coverage.ts';
import type { Random } from './random.ts';
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

/** A script's say about a message: `undefined` leaves it to the weather. */
export type Intercept = (
  from: NodeId,
  to: NodeId,
  message: Message,
) => 'drop' | { delayMs: number } | undefined;

export class Network {
  weather: Weather = FAIR_WEATHER;
  intercept: Intercept | null = null;
  private readonly cuts = new Set<string>();
  /** When the latest message of each link is to arrive, to see overtaking. */
  private readonly arrivals = new Map<string, number>();
  private readonly schedule: Schedule;
  private readonly random: Random;
  private readonly coverage: Coverage;
  private readonly deliver: (from: NodeId, to: NodeId, message: Message) => void;
  private readonly lost: (from: NodeId, to: NodeId) => void;

  constructor(
    schedule: Schedule,
    random: Random,
    coverage: Coverage,
    deliver: (from: NodeId, to: NodeId, message: Message) => void,
    lost: (from: NodeId, to: NodeId) => void,
  ) {
    this.schedule = schedule;
    this.random = random;
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

  send(from: NodeId, to: NodeId, message: Message): void {
    this.coverage.count('messages sent');
    const { weather, random } = this;
    const order = this.intercept?.(from, to, message);
    const lossRate = message.type === 'append' ? weather.lossRate + weather.appendLossRate : weather.lossRate;
    if (order === 'drop' || this.isCut(from, to) || random.chance(lossRate)) {
      this.coverage.count('messages lost');
      this.lost(from, to);
      return;
    }
    this.carry(from, to, message, order?.delayMs ?? this.delay());
    if (random.chance(weather.doubleRate)) {
      this.coverage.count('messages doubled');
      this.carry(from, to, message, this.delay());
    }
  }

  private carry(from: NodeId, to: NodeId, message: Message, delayMs: number): void {
    const key = link(from, to);
    const arrival = this.schedule.now + delayMs;
    const latest = this.arrivals.get(key) ?? 0;
    if (arrival < latest) this.coverage.count('messages overtaken');
    else this.arrivals.set(key, arrival);
    this.schedule.after(delayMs, null, () => {
      if (!this.isCut(from, to)) this.deliver(from, to, message);
    });
  }

  private delay(): number {
    const { weather, random } = this;
    if (random.chance(weather.slowRate))
      return random.spread(Math.max(weather.maxDelayMs, 1), weather.slowMs);
    return random.between(weather.minDelayMs, weather.maxDelayMs);
  }
}

function link(from: NodeId, to: NodeId): string {
  return `${from}>${to}`;
}
