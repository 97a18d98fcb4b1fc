/** Runs of many seeds: what one worker does with the seeds it is given, and what it tells about them. */
import { SCENARIOS } from './coverage.ts';
import type { Mutation } from './disk.ts';
import { run } from './simulation.ts';

/** Every so many seeds the run is done twice, and the traces must be the same. */
const REPEAT_EVERY = 20;

export interface Settings {
  readonly steps: number;
  readonly mutation: Mutation | null;
}

/** The seeds `first`, `first + 1`, … */
export interface Order {
  readonly first: number;
  readonly count: number;
}

/** The first seed of an order that found something. */
export interface Finding {
  readonly seed: number;
  readonly step: number;
  readonly what: string;
  /** Where an assertion of the core failed; else empty. */
  readonly stack: string;
  /** Whether the seed fails without the mutation, too: then it says nothing about the guard. */
  readonly failsAnyway: boolean;
}

/** Plain data: it travels between threads. */
export interface Report {
  readonly seeds: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly coverage: ReadonlyMap<string, number>;
  readonly finding: Finding | null;
}

/** Runs seed after seed and stops at the first finding. */
export function runSeeds({ first, count }: Order, { steps, mutation }: Settings): Report {
  const coverage = new Map<string, number>();
  let stepsDone = 0;
  let virtualMs = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const result = run({ seed, steps, mutation, watch: null });
    stepsDone += result.steps;
    virtualMs += result.virtualMs;
    for (const scenario of SCENARIOS)
      coverage.set(scenario, (coverage.get(scenario) ?? 0) + result.coverage.of(scenario));
    const report = (finding: Finding): Report => {
      return { seeds: seed - first + 1, steps: stepsDone, virtualMs, coverage, finding };
    };
    const { failure } = result;
    if (failure !== null) {
      const failsAnyway =
        mutation !== null && run({ seed, steps, mutation: null, watch: null }).failure !== null;
      const stack = failure.cause instanceof Error ? (failure.cause.stack ?? '') : '';
      return report({ seed, step: result.steps, what: failure.message, stack, failsAnyway });
    }
    if (count > 1 && seed % REPEAT_EVERY !== 1) continue;
    if (run({ seed, steps, mutation, watch: null }).hash === result.hash) continue;
    const what = 'two runs of this seed differ: something depends on more than the seed';
    return report({ seed, step: result.steps, what, stack: '', failsAnyway: false });
  }
  return { seeds: count, steps: stepsDone, virtualMs, coverage, finding: null };
}
