/** A machine's clocks: they drift, and the one on the wall is set by hand now and then. */
import type { Clock } from '../../../src/server/clock.ts';
import type { Random } from '../random.ts';
import type { Process, Schedule } from '../schedule.ts';

/** Milliseconds since 1970 at which all runs begin. */
const EPOCH_MS = 1_700_000_000_000;

export class MachineClock {
  /** How fast it goes. */
  #rate = 1;
  #base: number;
  #since = 0;
  /** How far its wall clock is from the truth, in ms. */
  wallOffsetMs = 0;
  readonly #schedule: Schedule;
  readonly #random: Random;
  /** Called whenever something that waited for time goes on. */
  readonly #disturbed: () => void;

  constructor(parts: { schedule: Schedule; random: Random; disturbed: () => void }) {
    this.#schedule = parts.schedule;
    this.#random = parts.random;
    this.#disturbed = parts.disturbed;
    this.#base = parts.random.below(1_000_000);
  }

  set rate(rate: number) {
    this.#base = this.#monotonic();
    this.#since = this.#schedule.now;
    this.#rate = rate;
  }

  /** As one life of a process sees it. */
  of(process: Process): Clock {
    const after = (ms: number, callback: () => void): (() => void) => {
      let waits = true;
      this.#schedule.after(ms / this.#rate, process, () => {
        if (!waits) return;
        waits = false;
        this.#disturbed();
        callback();
      });
      return () => {
        waits = false;
      };
    };
    return {
      monotonic: () => this.#monotonic(),
      wall: () => Math.floor(EPOCH_MS + this.#schedule.now + this.wallOffsetMs),
      after,
      every: (ms, callback) => {
        let cancel = (): void => undefined;
        const again = (): void => {
          cancel = after(ms * this.#random.between(0.95, 1.05), () => {
            again();
            callback();
          });
        };
        again();
        return () => cancel();
      },
      // A turn of the event loop takes its time, too; what waits for time to pass by turns must see it pass.
      soon: (callback) => void after(this.#random.between(0.01, 0.1), callback),
    };
  }

  #monotonic(): number {
    return this.#base + (this.#schedule.now - this.#since) * this.#rate;
  }
}
