/** LATENCY: what took this node longer than `latency-monitor-threshold`, by kind of event. */

/** Samples kept of each event. */
const SAMPLES_MAX = 160;

export type LatencyEvent = 'command' | 'fast-command' | 'aof-fsync-always';

export interface LatencySample {
  /** Seconds since 1970. */
  readonly at: number;
  readonly ms: number;
}

export interface LatencySeries {
  /** Oldest first, one per second at most: the longest of it. */
  readonly samples: readonly LatencySample[];
  readonly maxMs: number;
}

export class LatencyMonitor {
  /** In ms; 0 keeps nothing. */
  threshold = 0;
  readonly #events = new Map<string, { samples: LatencySample[]; maxMs: number }>();

  get events(): ReadonlyMap<string, LatencySeries> {
    return this.#events;
  }

  /** `at`: seconds since 1970. */
  add(event: LatencyEvent, milliseconds: number, at: number): void {
    const ms = Math.floor(milliseconds);
    if (this.threshold === 0 || ms < this.threshold) return;
    const series = this.#events.get(event) ?? { samples: [], maxMs: 0 };
    this.#events.set(event, series);
    series.maxMs = Math.max(series.maxMs, ms);
    const last = series.samples.at(-1);
    if (last?.at === at) series.samples[series.samples.length - 1] = { at, ms: Math.max(ms, last.ms) };
    else series.samples.push({ at, ms });
    if (series.samples.length > SAMPLES_MAX) series.samples.shift();
  }

  /** How many events were forgotten; all without names. */
  reset(events: readonly string[]): number {
    const names = events.length === 0 ? [...this.#events.keys()] : events;
    return names.filter((name) => this.#events.delete(name)).length;
  }
}
