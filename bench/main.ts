/**
 * `npm run bench`: kvorum beside Redis and etcd, on this machine, now. Each round starts every system in turn on
 * fresh data and runs all workloads against it, so that a busy minute of the machine hits all of them alike; what is
 * printed is the median over the rounds with its range. The servers and the generator share the machine's cores:
 * the ratios mean more than the numbers.
 *
 * Options: --seconds N per workload (5), --rounds N (3), --only name,… , --json.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

import { KEYS, type Sample, VALUE_BYTES, WORKLOADS, type Workload, measure } from './load.ts';
import { SYSTEMS, type System } from './systems.ts';

interface Result {
  readonly system: string;
  readonly workload: Workload;
  readonly samples: Sample[];
}

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: SYSTEMS.map(({ name }) => name).join(',') },
    json: { type: 'boolean', default: false },
  },
});

/** The clock starts when compilers and caches are warm. */
const WARM_UP_SECONDS = 0.5;
/** Columns of the report, in characters. */
const WIDTH = 14;

const seconds = positive('--seconds', options.seconds);
const rounds = positive('--rounds', options.rounds);
const systems = options.only.split(',').map(systemCalled).filter(isThere);
const results: Result[] = systems.flatMap(({ name }) =>
  WORKLOADS.map((workload) => ({ system: name, workload, samples: [] })),
);
for (let round = 1; round <= rounds; round += 1) {
  for (const system of systems) await runSystem(system, round);
}
if (options.json) console.log(JSON.stringify({ machine: machine(), seconds, rounds, results }, null, 2));
else report();

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${flag}: ${text} is not a positive number`);
  return value;
}

function systemCalled(name: string): System {
  const system = SYSTEMS.find((known) => known.name === name);
  if (system !== undefined) return system;
  throw new Error(`--only: ${name} is not known; use ${SYSTEMS.map((known) => known.name).join(', ')}`);
}

function isThere({ name, version }: System): boolean {
  const there = version() !== null;
  if (!there) console.error(`\n*** ${name} IS SKIPPED: its program is not installed on this machine ***\n`);
  return there;
}

async function runSystem(system: System, round: number): Promise<void> {
  const running = await system.start();
  for (const workload of WORKLOADS) {
    await measure(running.connect, workload, WARM_UP_SECONDS);
    const sample = await measure(running.connect, workload, seconds);
    results
      .find((result) => result.system === system.name && result.workload === workload)
      ?.samples.push(sample);
    console.error(`round ${round} ${system.name} ${title(workload)}: ${Math.round(sample.opsPerSecond)}/s`);
  }
  await running.stop();
}

function title({ verb, clients, pipeline }: Workload): string {
  return `${verb} c=${clients} P=${pipeline}`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function machine(): string {
  return `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.version}`;
}

function report(): void {
  console.log(`\n${machine()}`);
  console.log(
    `${VALUE_BYTES}-byte values, ${KEYS} keys at random, ${rounds} rounds of ${seconds} s, median and range`,
  );
  for (const { name, promise, version } of systems) console.log(`  ${name}: ${promise} (${version() ?? ''})`);
  for (const workload of WORKLOADS) reportWorkload(workload);
}

function reportWorkload(workload: Workload): void {
  const rows = results.filter((result) => result.workload === workload);
  const rate = (name: string): number | undefined => {
    const samples = rows.find(({ system }) => system === name)?.samples;
    return samples === undefined ? undefined : median(samples.map(({ opsPerSecond }) => opsPerSecond));
  };
  const references = ['redis-1', 'etcd-3'].filter((name) => rate(name) !== undefined);
  const head = ['ops/s', 'range', 'p50 ms', 'p99 ms', ...references.map((name) => `× ${name}`)];
  console.log(`\n${title(workload).padEnd(18)}${head.map((cell) => cell.padStart(WIDTH)).join('')}`);
  for (const { system, samples } of rows) {
    const rates = samples.map(({ opsPerSecond }) => opsPerSecond);
    const cells = [
      thousands(median(rates)),
      `${thousands(Math.min(...rates))}–${thousands(Math.max(...rates))}`,
      median(samples.map(({ p50Ms }) => p50Ms)).toFixed(2),
      median(samples.map(({ p99Ms }) => p99Ms)).toFixed(2),
      ...references.map((name) => (median(rates) / (rate(name) ?? 1)).toFixed(2)),
    ];
    console.log(`  ${system.padEnd(16)}${cells.map((cell) => cell.padStart(WIDTH)).join('')}`);
  }
}

function thousands(rate: number): string {
  return `${(rate / 1000).toFixed(rate < 10_000 ? 2 : 1)}k`;
}
