import { expect, test } from 'vitest';
import { Coverage } from './coverage.ts';
import { MUTATIONS, type Mutation } from './disk.ts';
import { replay, run, type RunResult } from './simulation.ts';
import { formatRecord } from './trace.ts';

const SEEDS = 200;
const STEPS = 10_000;

function runSeed(seed: number, mutation: Mutation | null = null): RunResult {
  return run({ seed, steps: STEPS, mutation, watch: null });
}

/** A failure with everything needed to understand and replay it. */
function story(seed: number, { failure, records }: RunResult): string {
  const again = `npm run test:sim -- --world core --seed ${seed} --steps ${STEPS} --shrink --diagram`;
  return failure === null
    ? ''
    : [...records.map((record) => formatRecord(record)), failure.message, again].join('\n');
}

test(`${SEEDS} seeds break no invariant, and every scenario occurs in them`, () => {
  const total = new Coverage();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const result = runSeed(seed);
    expect(story(seed, result)).toBe('');
    total.add(result.coverage);
  }
  expect(total.missing()).toEqual([]);
});

test('the same seed gives the same run', () => {
  for (const seed of [1, 2, 3, 4, 5]) expect(runSeed(seed).hash).toBe(runSeed(seed).hash);
  expect(runSeed(1).hash).not.toBe(runSeed(2).hash);
});

test('the actions of a run give the same run again', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const { hash, recording } = runSeed(seed);
    expect(replay(recording, null).hash).toBe(hash);
  }
});

for (const [mutation, meaning] of Object.entries(MUTATIONS) as [Mutation, string][]) {
  test(`it is noticed when ${meaning}`, () => {
    let seed = 1;
    while (seed <= SEEDS && runSeed(seed, mutation).failure === null) seed += 1;
    expect(seed).toBeLessThanOrEqual(SEEDS);
    expect(story(seed, runSeed(seed))).toBe('');
  });
}
