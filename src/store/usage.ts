/**
 * When each key was last used and how often: what LRU and LFU eviction choose by, and OBJECT IDLETIME and FREQ tell. Each
 * node knows it of the commands that ran on it, so it is no part of the state: nothing that is replicated may depend on it.
 *
 * As in Redis it is one small number per key, which V8 keeps in its entry without allocating: 23 bits for the second of
 * the last use (it comes round after 97 days) and 8 bits for a counter that grows the slower the higher it is (1000 uses
 * make about 18 of it, a million 255) and falls by one with every minute without a use. Redis keeps either the one or
 * the other; both at once fit, so that another policy finds what it needs.
 */

/**
 * The sign bit of the number is free for a note: that a string is plain ASCII, so that whoever reads it as text need not look at
 * all of it again. Every change takes it away.
 */
export const PLAIN: number = 1 << 31;
const USAGE_BITS: number = ~PLAIN;

/** As `lfu-log-factor`: how much harder each step of the counter is than the one before. */
const LOG_FACTOR = 10;
/** What a new key begins with, so that it is not the first to go. */
const COUNTER_NEW = 5;
const COUNTER_MAX = 255;
const COUNTER_BITS = 8;
/** Full minutes, below 2^23. */
const SECONDS_ROUND: number = 60 * 139_810;
const MINUTES_ROUND: number = SECONDS_ROUND / 60;

export class UsageClock {
  /** How often reads have found a key, or have not. */
  hits = 0;
  misses = 0;
  #milliseconds = 0;
  /** Since 1970, less full rounds. */
  #seconds = 0;
  /** Of a xorshift generator, which no other node has to agree with. */
  #random = 0x2545_f491;

  /** The time of the command under way, in ms since 1970. */
  get now(): number {
    return this.#milliseconds;
  }

  set now(milliseconds: number) {
    if (milliseconds === this.#milliseconds) return;
    this.#milliseconds = milliseconds;
    this.#seconds = Math.floor(milliseconds / 1000) % SECONDS_ROUND;
  }

  /** Of a new key. */
  first(): number {
    return (this.#seconds << COUNTER_BITS) | COUNTER_NEW;
  }

  /** Of a key that was last used so many seconds ago, with a counter of its own or that of a new one. */
  of(idleSeconds: number, frequency: number | null): number {
    const passed = Math.min(idleSeconds, SECONDS_ROUND - 1);
    const seconds = (this.#seconds - passed + SECONDS_ROUND) % SECONDS_ROUND;
    return (seconds << COUNTER_BITS) | (frequency ?? COUNTER_NEW);
  }

  /** Of a key that is used now, with what it had before. */
  next(usage: number): number {
    let counter = usage & COUNTER_MAX;
    if (secondsOf(usage) !== this.#seconds) counter = this.frequency(usage);
    if (counter < COUNTER_MAX && this.#chance(Math.max(0, counter - COUNTER_NEW) * LOG_FACTOR + 1)) counter++;
    return (this.#seconds << COUNTER_BITS) | counter;
  }

  /** Seconds since its last use. */
  idleSeconds(usage: number): number {
    const passed = this.#seconds - secondsOf(usage);
    return passed < 0 ? passed + SECONDS_ROUND : passed;
  }

  /** Its counter, less the minutes since its last use. */
  frequency(usage: number): number {
    const minute = Math.floor(secondsOf(usage) / 60);
    const passed = Math.floor(this.#seconds / 60) - minute;
    return Math.max(0, (usage & COUNTER_MAX) - (passed < 0 ? passed + MINUTES_ROUND : passed));
  }

  /** True once in `among` times. */
  #chance(among: number): boolean {
    let mixed = this.#random;
    mixed ^= mixed << 13;
    mixed ^= mixed >>> 17;
    mixed ^= mixed << 5;
    this.#random = mixed;
    return (mixed & 0x3fff_ffff) * among < 0x4000_0000;
  }
}

function secondsOf(usage: number): number {
  return (usage & USAGE_BITS) >> COUNTER_BITS;
}
