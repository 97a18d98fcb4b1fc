/**
 * How long things took, as counts in buckets that grow with the time: eight to each doubling, from a nanosecond to four
 * seconds, so that no percentile is off by more than an eighth.
 */

const SUB_BITS = 3;
const SUBS: number = 1 << SUB_BITS;
const NANOSECONDS_MAX: number = 2 ** 32 - 1;

/** Redis shows counts up to 1024 ns and each doubling of it. */
const FIRST_SHOWN_BITS = 10;

export class Histogram {
  readonly #counts = new Uint32Array(32 * SUBS);
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** Where a time is counted. */
  static bucketOf(microseconds: number): number {
    const nanoseconds = Math.min(NANOSECONDS_MAX, Math.max(1, Math.round(microseconds * 1000)));
    const bits = 31 - Math.clz32(nanoseconds);
    const sub = bits < SUB_BITS ? 0 : (nanoseconds >>> (bits - SUB_BITS)) & (SUBS - 1);
    return bits * SUBS + sub;
  }

  add(bucket: number): void {
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
  }

  /** In µs: this share of all took no longer, about. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#total));
    for (const [at, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return upperOf(at) / 1000;
    }
    return 0;
  }

  /** How many took up to so many µs: for each doubling that has some, as LATENCY HISTOGRAM shows it. */
  doublings(): { readonly microseconds: number; readonly count: number }[] {
    const shown: { microseconds: number; count: number }[] = [];
    let sum = 0;
    let told = 0;
    for (let bits = 0; bits < 32; bits += 1) {
      for (let sub = 0; sub < SUBS; sub += 1) sum += this.#counts[bits * SUBS + sub] ?? 0;
      const limit = bits + 1;
      if (limit < FIRST_SHOWN_BITS || sum === told) continue;
      // Redis's buckets have 128 steps to a doubling; their names are where the step ends that begins at the limit.
      shown.push({ microseconds: Math.floor((2 ** limit + 2 ** (limit - 7) - 1) / 1000), count: sum });
      told = sum;
    }
    return shown;
  }
}

/** The longest time that falls into the bucket, in ns. */
function upperOf(at: number): number {
  const bits = Math.floor(at / SUBS);
  if (bits < SUB_BITS) return 2 ** (bits + 1) - 1;
  return 2 ** bits + ((at % SUBS) + 1) * 2 ** (bits - SUB_BITS) - 1;
}
