/**
 * The simulator's command line:
 *
 *   npm run test:sim -- [--seeds N] [--seed FIRST] [--steps N] [--trace] [--mutate NAME]
 *
 * Runs N seeds from FIRST on (by default 200 from 1; with --seed alone, just that one) and stops at the first failure
 * with exit code 1, the invariant, and the end of the trace. `--mutate` takes a guard away and turns the outcome
 * round: exit code 0 only if a seed finds it, and does not fail with the guard in place.
 */
import { parseArgs } from 'node:util';
import { Coverage, SCENARIOS } from './coverage.ts';
import { type Mutation, MUTATIONS } from './disk.ts';
import { run, type RunResult } from './simulation.ts';
import { formatRecord, type TraceRecord } from './trace.ts';

const DEFAULT_SEEDS = 200;
const DEFAULT_STEPS = 10_000;
/** Every so many seeds the run is done twice, and the traces must be the same. */
const REPEAT_EVERY = 20;

interface Arguments {
  readonly first: number;
  readonly seeds: number;
  readonly steps: number;
  readonly trace: boolean;
  readonly mutation: Mutation | null;
}

function parse(): Arguments {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      steps: { type: 'string' },
      trace: { type: 'boolean', default: false },
      mutate: { type: 'string' },
    },
  });
  const { mutate } = values;
  if (mutate !== undefined && !(mutate in MUTATIONS)) {
    throw new Error(`--mutate ${mutate}: no such mutation; there are ${Object.keys(MUTATIONS).join(', ')}`);
  }
  return {
    first: natural('seed', values.seed, 1),
    seeds: natural('seeds', values.seeds, values.seed === undefined ? DEFAULT_SEEDS : 1),
    steps: natural('steps', values.steps, DEFAULT_STEPS),
    trace: values.trace,
    mutation: (mutate as Mutation | undefined) ?? null,
  };
}

function natural(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name} ${text}: must be a whole number from 1 on`);
  return value;
}

function main(): void {
  const { first, seeds, steps, trace, mutation } = parse();
  const watch = trace ? (record: TraceRecord): void => console.log(formatRecord(record)) : null;
  const total = new Coverage();
  const began = performance.now();
  let stepsDone = 0;
  let virtualMs = 0;
  for (let seed = first; seed < first + seeds; seed += 1) {
    const result = run({ seed, steps, mutation, watch });
    total.add(result.coverage);
    stepsDone += result.steps;
    virtualMs += result.virtualMs;
    if (result.failure !== null) {
      report(seed, steps, mutation, result);
      // What fails with the guard in place as well says nothing about the guard.
      const guarded = mutation === null ? result : run({ seed, steps, mutation: null, watch: null });
      if (guarded.failure === null)
        console.log(`seed ${seed} notices that ${MUTATIONS[mutation as Mutation]}`);
      else process.exitCode = 1;
      return;
    }
    if (
      (seed - first) % REPEAT_EVERY === 0 &&
      run({ seed, steps, mutation, watch: null }).hash !== result.hash
    ) {
      console.error(`seed ${seed}: two runs differ; something depends on more than the seed`);
      process.exitCode = 1;
      return;
    }
  }
  const seconds = (performance.now() - began) / 1000;
  for (const scenario of SCENARIOS) console.log(`${String(total.of(scenario)).padStart(10)} ${scenario}`);
  console.log(
    `${seeds} seeds in ${seconds.toFixed(1)} s: ${(seeds / seconds).toFixed(1)} seeds/s, ` +
      `${Math.round(stepsDone / seconds)} steps/s, ${Math.round(virtualMs / 1000)} s of virtual time`,
  );
  if (mutation !== null) {
    console.error(`no seed noticed that ${MUTATIONS[mutation]}`);
    process.exitCode = 1;
  }
}

function report(seed: number, steps: number, mutation: Mutation | null, result: RunResult): void {
  const { failure, records } = result;
  for (const record of records) console.log(formatRecord(record));
  console.log(`seed ${seed}, step ${result.steps}: ${failure?.message ?? ''}`);
  if (failure?.cause instanceof Error) console.log(failure.cause.stack ?? '');
  const mutate = mutation === null ? '' : ` --mutate ${mutation}`;
  console.log(`again: npm run test:sim -- --seed ${seed} --steps ${steps}${mutate}`);
}

main();
