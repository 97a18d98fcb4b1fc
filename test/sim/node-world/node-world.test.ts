import { expect, test, vi } from 'vitest';
import { formatRecord } from '../trace.ts';
import { NodeCoverage, type NodeScenario } from './coverage.ts';
import { type NodeRunResult, runNodes } from './run.ts';
import { NodeWorld } from './world.ts';

const SEEDS = 40;
const STEPS = 6000;
/** Too seldom for so few seeds; they have tests of their own. */
const RARE: readonly NodeScenario[] = [
  'damage found while running',
  'snapshot chunks damaged',
  'starts with a recovering log',
];

function runSeed(seed: number): Promise<NodeRunResult> {
  return runNodes({ seed, steps: STEPS, watch: null });
}

/** A failure with everything needed to understand and replay it. */
function story(seed: number, { failure, records }: NodeRunResult): string {
  const again = `npm run test:sim -- --world node --seed ${seed} --steps ${STEPS}`;
  return failure === null ? '' : [...records.map(formatRecord), failure.message, again].join('\n');
}

test(`${SEEDS} seeds break no invariant, and every scenario occurs in them`, async () => {
  const total = new NodeCoverage();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const result = await runSeed(seed);
    expect(story(seed, result)).toBe('');
    total.add(result.coverage);
  }
  expect(total.missing().filter((scenario) => !RARE.includes(scenario))).toEqual([]);
});

test('the same seed gives the same run', async () => {
  for (const seed of [1, 2, 3, 4, 5]) expect((await runSeed(seed)).hash).toBe((await runSeed(seed)).hash);
  expect((await runSeed(1)).hash).not.toBe((await runSeed(2)).hash);
});

test('no promise goes on outside the moments that are left for it', async () => {
  const lazy = await Promise.all([11, 12, 13].map(runSeed));
  const next = Object.getOwnPropertyDescriptor(NodeWorld.prototype, 'next');
  const original: (this: NodeWorld) => Promise<void> = next?.value;
  vi.spyOn(NodeWorld.prototype, 'next').mockImplementation(async function patient(this: NodeWorld) {
    this.disturb();
    await original.call(this);
    await this.settle();
    await this.settle();
  });
  for (const [at, seed] of [11, 12, 13].entries()) expect((await runSeed(seed)).hash).toBe(lazy[at]?.hash);
  vi.restoreAllMocks();
});
