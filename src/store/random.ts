/**
 * A small seeded generator (mulberry32): the same seed gives the same numbers on every node. Good enough to pick
 * keys and members; not for secrets.
 */
export class Random {
  #state = 0;

  /** Starts the sequence that belongs to two whole numbers below 2^53. */
  seed(first: number, second: number): void {
    const high = Math.imul((first / 0x1_0000_0000) | 0, 0x85eb_ca6b);
    this.#state = (Math.imul(first | 0, 0x9e37_79b1) ^ high) + Math.imul(second | 0, 0xc2b2_ae35);
  }

  /** The next number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }
}
