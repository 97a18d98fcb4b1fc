/** A clock that stands until a test moves it. */
import type { Clock } from '../clock.ts';

export class ManualClock implements Clock {
  /** In ms, of the steady clock and since 1970. */
  now = 0;
  #alarms: { readonly at: number; readonly callback: () => void }[] = [];
  #soon: (() => void)[] = [];

  monotonic(): number {
    return this.now;
  }

  wall(): number {
    return this.now;
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { at: this.now + ms, callback };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  every(): () => void {
    return () => undefined;
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** How many alarms are set. */
  get alarms(): number {
    return this.#alarms.length;
  }

  /** Runs what was to be run soon, and what that asks for. */
  turn(): void {
    while (this.#soon.length > 0) for (const callback of this.#soon.splice(0)) callback();
  }

  /** Lets time pass: alarms ring at their time, in order. */
  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      this.turn();
      const next = this.#alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#alarms = this.#alarms.filter((alarm) => alarm !== next);
      this.now = Math.max(this.now, next.at);
      next.callback();
    }
    this.now = until;
  }
}
