/** The assertion that tests make about a history. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './checker.ts';
import { explain } from './explain.ts';
import { type Operation, writeHistory } from './history.ts';

/** Throws an explanation unless the history is linearizable; keeps the history in a file then. Undecided is a failure. */
export function expectLinearizable(history: readonly Operation[]): void {
  const { verdict } = check(history);
  if (verdict === 'linearizable') return;
  const file = join(mkdtempSync(join(tmpdir(), 'kvorum-history-')), `${verdict}.jsonl`);
  writeHistory(file, { title: `${verdict}, kept for a closer look`, operations: history });
  throw new Error(`${explain(history)}\n\nThe whole history: ${file}`);
}
