/**
 * The generator of `math.random` in Redis's scripts (drand48's, with its constants), so that `math.randomseed` leads to the
 * numbers that it leads to there. Multiplied in two halves: 48 bits are too many for a product of doubles.
 */
const MULTIPLIER_HIGH = 0x5_deec;
const MULTIPLIER_LOW = 0xe66d;
const INCREMENT = 0xb;
const SEED_LOW = 0x330e;
const RANGE_16 = 0x1_0000;
const RANGE_32 = 0x1_0000_0000;
/** The largest number of `lrand48`. */
const MAX = 0x7fff_ffff;

export class RedisRandom {
  /** The upper 32 bits and the lower 16. */
  #high = 0;
  #low = 0;

  /** `seed`: 32 bits. */
  seed(seed: number): void {
    this.#high = seed >>> 0;
    this.#low = SEED_LOW;
  }

  /** The next number in [0, 1). */
  next(): number {
    const low = this.#low * MULTIPLIER_LOW + INCREMENT;
    const carry = Math.floor(low / RANGE_16);
    // Of the products only what falls into the 48 bits counts: the upper 32 of them.
    const high =
      productLow32(this.#high, MULTIPLIER_LOW) +
      productLow32(this.#low, MULTIPLIER_HIGH) +
      productHigh(this.#high) +
      carry;
    this.#low = low % RANGE_16;
    this.#high = high % RANGE_32;
    return (Math.floor(this.#high / 2) % MAX) / MAX;
  }
}

/** The low 32 bits of a product. */
function productLow32(left: number, right: number): number {
  return Math.imul(left, right) >>> 0;
}

/** What the upper parts of both factors add to the upper 32 bits: they meet 16 bits further up. */
function productHigh(high: number): number {
  return (Math.imul(high, MULTIPLIER_HIGH) << 16) >>> 0;
}
