/** Runs of many seeds: what one worker does with the seeds it is given, and what it tells about them. */
import { SCENARIOS } from './coverage.ts';
import type { Mutation } from './disk.ts';
import { NODE_SCENARIOS } from './node-world/coverage.ts';
import { runNodes } from './node-world/run.ts';
import { run, type RunResult } from './simulation.ts';

/** Of so many seeds two runs, one of each world, are done twice, and the traces must be the same. */
const REPEAT_EVERY = 20;

/** `mixed`: the seed decides. */
export const WORLDS = ['mixed', 'core', 'node'] as const;
export type World = (typeof WORLDS)[number];

/** One in so many seeds of a mixed campaign is a run of whole nodes, which takes several times as long. */
const NODE_WORLD_EVERY = 4;

/** The world in which a seed runs. */
export function worldOf(seed: number, world: World): 'core' | 'node' {
  if (world !== 'mixed') return world;
  return seed % NODE_WORLD_EVERY === 0 ? 'node' : 'core';
}

export interface Settings {
  readonly steps: number;
  /** Of the core's world; there all seeds run when something is taken away. */
  readonly mutation: Mutation | null;
  readonly world: World;
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
export async function runSeeds({ first, count }: Order, settings: Settings): Promise<Report> {
  const { mutation } = settings;
  const coverage = new Map<string, number>();
  let stepsDone = 0;
  let virtualMs = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const result = await runIn(settings, seed).catch((cause: unknown) => {
      throw new Error(`the simulator itself failed in seed ${seed}`, { cause });
    });
    stepsDone += result.steps;
    virtualMs += result.virtualMs;
    for (const [name, times] of result.coverage) coverage.set(name, (coverage.get(name) ?? 0) + times);
    const report = (finding: Finding): Report => {
      return { seeds: seed - first + 1, steps: stepsDone, virtualMs, coverage, finding };
    };
    const { failure } = result;
    if (failure !== null) {
      const failsAnyway =
        mutation !== null && (await runIn({ ...settings, mutation: null }, seed)).failure !== null;
      const stack = failure.cause instanceof Error ? (failure.cause.stack ?? '') : '';
      return report({ seed, step: result.steps, what: failure.message, stack, failsAnyway });
    }
    if (count > 1 && seed % REPEAT_EVERY > 1) continue;
    if ((await runIn(settings, seed)).hash === result.hash) continue;
    const what = 'two runs of this seed differ: something depends on more than the seed';
    return report({ seed, step: result.steps, what, stack: '', failsAnyway: false });
  }
  return { seeds: count, steps: stepsDone, virtualMs, coverage, finding: null };
}

/** What both kinds of runs have in common. Scenarios are counted by world and name. */
type Outcome = Pick<RunResult, 'failure' | 'steps' | 'virtualMs' | 'hash'> & {
  readonly coverage: readonly (readonly [string, number])[];
};

async function runIn({ steps, mutation, world }: Settings, seed: number): Promise<Outcome> {
  if (worldOf(seed, world) === 'core') {
    const result = run({ seed, steps, mutation, watch: null });
    return {
      ...result,
      coverage: SCENARIOS.map((name) => [`core: ${name}`, result.coverage.of(name)] as const),
    };
  }
  const result = await runNodes({ seed, steps, watch: null });
  return {
    ...result,
    coverage: NODE_SCENARIOS.map((name) => [`node: ${name}`, result.coverage.of(name)] as const),
  };
}
