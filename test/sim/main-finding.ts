/** What the command line shows of one run: its trace or a diagram of it, as it was or shrunk. */
import { readFileSync } from 'node:fs';
import { describe } from './actions.ts';
import { type DiagramStyle, drawDiagram } from './diagram.ts';
import { INVARIANTS } from './failure.ts';
import { playScript } from './script.ts';
import { runNodes } from './node-world/run.ts';
import { type Settings, worldOf } from './seeds.ts';
import { shrink } from './shrink.ts';
import { type Recording, replay, run, type RunResult } from './simulation.ts';
import { formatRecord, type TraceRecord } from './trace.ts';

export interface View extends Settings {
  /** All of the trace, not only its end. */
  readonly trace: boolean;
  readonly shrink: boolean;
  /** Instead of the trace. */
  readonly diagram: DiagramStyle | null;
  readonly lines: number;
}

/** A run in which nothing broke. */
export async function tellRun(seed: number, view: View): Promise<void> {
  const records: TraceRecord[] = [];
  const { steps, mutation, world } = view;
  const watch = (record: TraceRecord): void => void records.push(record);
  if (worldOf(seed, world) === 'node') await runNodes({ seed, steps, watch });
  else run({ seed, steps, mutation, watch });
  show(records, view);
}

export async function tellFinding(seed: number, view: View): Promise<void> {
  const { steps, mutation, world } = view;
  const shrinks = view.shrink && worldOf(seed, world) === 'core';
  if (view.shrink && !shrinks) console.log(`seed ${seed} is a run of whole nodes, which can't be shrunk`);
  if (!shrinks) {
    await tellRun(seed, view);
    return;
  }
  const found = run({ seed, steps, mutation, watch: null });
  if (found.failure === null) {
    console.log(`seed ${seed} breaks no invariant: there is nothing to shrink`);
    return;
  }
  const { recording, result, runs } = shrink(found.recording, found.failure.invariant);
  const records: TraceRecord[] = [];
  replay(recording, (record) => void records.push(record));
  console.log(
    `seed ${seed}: ${found.steps} steps and ${found.recording.actions.length} actions, shrunk in ${runs} runs to ` +
      `${result.steps} steps and these:`,
  );
  tellRecording(recording, result);
  console.log();
  show(records, view);
  console.log(`\n${result.failure?.message ?? ''}\n`);
}

/** Plays a golden script and shows it with its output as it is now. */
export function tellScript(file: string, view: View): void {
  const { text, records } = playScript(readFileSync(file, 'utf8'));
  console.log(text);
  if (view.diagram !== null) show(records, view);
}

function tellRecording({ options, actions, peaceAt }: Recording, { failure, virtualMs }: RunResult): void {
  const { voters, learners, limits, snapshotEntries, snapshotTail, seed } = options;
  const facts = [`${voters} voters`];
  if (learners > 0) facts.push(`${learners} learners`);
  if (snapshotEntries > 0) facts.push(`a snapshot every ${snapshotEntries} entries, ${snapshotTail} kept`);
  facts.push(...Object.entries(limits).map(([name, value]) => `${name} ${value}`), `delays of seed ${seed}`);
  const line = (at: number, text: string): void => console.log(`${at.toFixed(1).padStart(12)} ms  ${text}`);
  line(0, facts.join(', '));
  for (const { at, action } of actions) line(at, describe(action));
  if (virtualMs >= peaceAt) line(peaceAt, 'the faults stop, everybody is up');
  if (failure !== null) line(virtualMs, `broken: ${INVARIANTS[failure.invariant]}`);
}

function show(records: readonly TraceRecord[], { trace, diagram, lines }: View): void {
  if (diagram !== null) {
    console.log(drawDiagram(records, diagram, lines));
    return;
  }
  for (const record of trace ? records : records.slice(-lines)) console.log(formatRecord(record));
}
