import { expect, test } from 'vitest';
import { drawDiagram } from './diagram.ts';
import { shrink } from './shrink.ts';
import { replay, run, type RunResult } from './simulation.ts';
import type { TraceRecord } from './trace.ts';

const SEEDS = 200;

/** A run with disks that lose what they had reported as durable. */
function failingRun(): RunResult {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const result = run({ seed, steps: 10_000, mutation: 'lost-entries', watch: null });
    if (result.failure !== null) return result;
  }
  throw new Error(`no seed up to ${SEEDS} notices that entries are lost`);
}

test('a failing run is shrunk to a few actions that break the same invariant, and drawn', () => {
  const found = failingRun();
  const { recording, result } = shrink(found.recording, found.failure!.invariant);
  expect(recording.actions.length).toBeLessThan(found.recording.actions.length / 4);
  expect(result.steps).toBeLessThan(found.steps);

  const records: TraceRecord[] = [];
  const again = replay(recording, (record) => void records.push(record));
  expect(again.failure?.message).toBe(result.failure?.message);
  expect(again.failure?.invariant).toBe(found.failure?.invariant);
  expect(drawDiagram(records, 'text', 200)).toMatch(/n\d[^]*disk ✓ [\d.@]+[^]*crashes/);
});

test('a run that does not fail is not shrunk', () => {
  const { recording } = run({ seed: 1, steps: 2000, mutation: null, watch: null });
  expect(() => shrink(recording, 'ES')).toThrow('nothing to shrink');
});
