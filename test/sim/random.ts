import { Random as Generator } from '../../src/raft/random.ts';

/** The simulator's only source of chance. */
export class Random extends Generator {
  /** An integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    if (item === undefined) throw new Error('pick from an empty list');
    return item;
  }

  /** A number in [from, to) whose logarithm is uniform: small values as likely as large ones. */
  spread(from: number, to: number): number {
    return from * (to / from) ** this.next();
  }

  /** A seed for a generator of its own. */
  seed(): number {
    return this.below(0x1_0000_0000);
  }

  /**
   * A generator for one concern, such as one link or one disk: what the others draw doesn't shift it, so that a run
   * with one fault less stays much the same elsewhere.
   */
  static of(seed: number, concern: string): Random {
    let hash = 0x811c9dc5 ^ seed;
    for (let at = 0; at < concern.length; at += 1) {
      hash = Math.imul(hash ^ concern.charCodeAt(at), 0x01000193);
    }
    return new Random(hash);
  }

  shuffled<T>(list: readonly T[]): T[] {
    const copy = [...list];
    for (let at = copy.length - 1; at > 0; at -= 1) {
      const other = this.below(at + 1);
      [copy[at], copy[other]] = [copy[other] as T, copy[at] as T];
    }
    return copy;
  }
}
