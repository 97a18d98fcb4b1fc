/** Recorded sequences: what a real redis-server answered, for machines without one. One sequence per line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './generate.ts';
import { REDIS_VERSION } from './redis-server.ts';

export interface Recording {
  readonly seed: number;
  readonly steps: readonly Step[];
  /** Per protocol: when it began in ms since 1970, and a reply per step (latin1, empty for a pause). */
  readonly resp2: { readonly start: number; readonly replies: readonly string[] };
  readonly resp3: { readonly start: number; readonly replies: readonly string[] };
}

const FILE = join(import.meta.dirname, `../fixtures/redis-${REDIS_VERSION}/strings-and-keys.jsonl`);

/** `null` stands for a pause, and in the RESP3 replies for "as in RESP2". */
interface Line {
  readonly seed: number;
  readonly start2: number;
  readonly start3: number;
  readonly steps: readonly (readonly [connection: 0 | 1, ...args: string[]] | null)[];
  readonly replies2: readonly string[];
  readonly replies3: readonly (string | null)[];
}

export function writeRecordings(recordings: readonly Recording[]): void {
  const lines = recordings.map(({ seed, steps, resp2, resp3 }): Line => {
    return {
      seed,
      start2: resp2.start,
      start3: resp3.start,
      steps: steps.map((step) => (step.kind === 'pause' ? null : [step.connection, ...step.args])),
      replies2: resp2.replies,
      replies3: resp3.replies.map((reply, at) => (reply === resp2.replies[at] ? null : reply)),
    };
  });
  writeFileSync(FILE, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

export function readRecordings(): Recording[] {
  const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n');
  return lines.map((text) => {
    const line = JSON.parse(text) as Line;
    return {
      seed: line.seed,
      steps: line.steps.map((step): Step => {
        if (step === null) return { kind: 'pause' };
        const [connection, ...args] = step;
        return { kind: 'command', connection, args };
      }),
      resp2: { start: line.start2, replies: line.replies2 },
      resp3: {
        start: line.start3,
        replies: line.replies3.map((reply, at) => reply ?? line.replies2[at] ?? ''),
      },
    };
  });
}
