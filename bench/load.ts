/**
 * The load that every system gets: a closed loop of clients, each with one batch of `pipeline` commands under way.
 *
 * The generator shares the machine with the servers, so it must cost little: all commands are encoded before the
 * clock starts, and a command has the same length for every key, so that a batch is a view into one long buffer.
 */
import { invariant } from '../src/raft/types.ts';

export const KEYS = 100_000;
export const VALUE_BYTES = 100;
/** No answer for so long means that the system hangs; the benchmark stops rather than print a wrong number. */
const SILENCE_MS_MAX = 30_000;

export interface Workload {
  readonly verb: 'SET' | 'GET';
  readonly clients: number;
  /** Commands that a client sends before it waits for all their replies. */
  readonly pipeline: number;
}

export const WORKLOADS: readonly Workload[] = (['SET', 'GET'] as const).flatMap((verb) => [
  { verb, clients: 1, pipeline: 1 },
  { verb, clients: 50, pipeline: 1 },
  { verb, clients: 50, pipeline: 16 },
]);

/** One client of a system. */
export interface Connection {
  /**
   * Sends the commands for `count` keys from the `first` on, and calls `done` when all are answered, with the
   * error if one of them was not answered as it should be.
   */
  send(verb: Workload['verb'], first: number, count: number, done: (error?: Error) => void): void;
  close(): void;
}

/** What one run of a workload gave. */
export interface Sample {
  readonly opsPerSecond: number;
  /** From sending a batch to the last of its replies. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** The key that has this number: 16 bytes, in an order that looks random. */
export function keyOf(number: number): string {
  // 61,681 has no factor in common with 100,000: every key comes exactly once.
  return `key:${String((number * 61_681) % KEYS).padStart(12, '0')}`;
}

/** A value of {@link VALUE_BYTES} letters that differs from key to key and does not compress to nothing. */
export function valueOf(number: number): string {
  let state = number + 1;
  let text = '';
  while (text.length < VALUE_BYTES) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += state.toString(36);
  }
  return text.slice(0, VALUE_BYTES);
}

/** Runs one workload for so many seconds; rejects when a command is answered wrongly or not at all. */
export async function measure(
  connect: () => Promise<Connection>,
  workload: Workload,
  seconds: number,
): Promise<Sample> {
  const connections = await Promise.all(Array.from({ length: workload.clients }, () => connect()));
  const latencies = new Latencies();
  const start = performance.now();
  let last = start;
  try {
    const watch = silence(() => last);
    await Promise.race([
      watch.broken,
      Promise.all(
        connections.map((connection) =>
          closedLoop(connection, workload, start + seconds * 1000, (sent, now) => {
            last = now;
            latencies.add(now - sent);
          }),
        ),
      ),
    ]).finally(watch.stop);
  } finally {
    for (const connection of connections) connection.close();
  }
  const operations = latencies.count * workload.pipeline;
  const [p50Ms, p99Ms] = latencies.percentiles(0.5, 0.99);
  return { opsPerSecond: operations / ((last - start) / 1000), p50Ms: p50Ms ?? 0, p99Ms: p99Ms ?? 0 };
}

function closedLoop(
  connection: Connection,
  { verb, pipeline }: Workload,
  end: number,
  record: (sent: number, now: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    const next = (): void => {
      sent = performance.now();
      connection.send(verb, Math.floor(Math.random() * (KEYS - pipeline)), pipeline, done);
    };
    const done = (error?: Error): void => {
      if (error !== undefined) return reject(error);
      const now = performance.now();
      record(sent, now);
      if (now < end) next();
      else resolve();
    };
    next();
  });
}

function silence(last: () => number): { broken: Promise<never>; stop: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setInterval(() => {
    const ms = performance.now() - last();
    if (ms > SILENCE_MS_MAX) reject(new Error(`no reply for ${Math.round(ms)} ms`));
  }, 1000);
  return { broken: promise, stop: () => clearInterval(timer) };
}

/** Milliseconds, as many as there are: a run gives some hundred thousand. */
class Latencies {
  count = 0;
  #samples = new Float64Array(2 ** 16);

  add(ms: number): void {
    if (this.count === this.#samples.length) {
      const grown = new Float64Array(this.count * 2);
      grown.set(this.#samples);
      this.#samples = grown;
    }
    this.#samples[this.count] = ms;
    this.count += 1;
  }

  percentiles(...shares: readonly number[]): number[] {
    invariant(this.count > 0, () => 'a run without a single reply');
    const sorted = this.#samples.slice(0, this.count).sort();
    return shares.map((share) => sorted[Math.min(this.count - 1, Math.floor(this.count * share))] ?? 0);
  }
}
