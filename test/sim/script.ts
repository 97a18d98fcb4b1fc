/**
 * Golden scripts: the protocol told in short stories. A script is a list of commands, each followed by what it brought
 * about, indented by four spaces; `#` begins a comment. {@link playScript} plays the commands on a simulated cluster and
 * returns the same text with the output as it is now.
 *
 * ```
 * nodes 3
 * elect n1
 *     n1 campaigns in term 2
 *     n1 leads term 2
 * cut n1 | n2 n3
 * write n1 a
 *     n1 takes: a as 3@2
 * run 5s
 *     n1 leads no more
 *     outcome unknown: a
 * ```
 *
 * Chance is seeded; `repeat seeds 50` as the first command plays everything with 50 seeds (only the first is recorded,
 * but all must pass). The invariants are checked after every step, without being asked. The commands: script-commands.ts.
 */
import { drawDiagram } from './diagram.ts';
import { Failure } from './failure.ts';
import { Player } from './script-commands.ts';
import type { TraceRecord } from './trace.ts';

const INDENT = '    ';
/** Of the diagram that comes with a failure. */
const DIAGRAM_LINES = 40;

export interface Played {
  /** The script with its outputs renewed. */
  readonly text: string;
  /** What happened with the first seed. */
  readonly records: readonly TraceRecord[];
}

/** Throws an Error that names the line where a command makes no sense, an expectation fails or an invariant breaks. */
export function playScript(text: string): Played {
  const lines = text.split('\n').filter((line) => !line.startsWith(INDENT));
  const seeds = repetitions(lines);
  const first = playOnce(lines, 1);
  for (let seed = 2; seed <= seeds; seed += 1) playOnce(lines, seed);
  return first;
}

function repetitions(lines: readonly string[]): number {
  const command = lines.find((line) => isCommand(line));
  const count = /^repeat seeds (\d+)$/.exec(command ?? '')?.[1];
  return count === undefined ? 1 : Number(count);
}

function isCommand(line: string): boolean {
  return line.trim() !== '' && !line.startsWith('#');
}

function playOnce(lines: readonly string[], seed: number): Played {
  const player = new Player(seed);
  const output: string[] = [];
  for (const [at, line] of lines.entries()) {
    output.push(line);
    if (!isCommand(line) || line.startsWith('repeat seeds')) continue;
    try {
      output.push(...player.play(line).map((result) => INDENT + result));
    } catch (error) {
      if (error instanceof TypeError) throw error;
      const diagram = drawDiagram(player.records, 'text', DIAGRAM_LINES);
      const what = error instanceof Failure || error instanceof Error ? error.message : String(error);
      throw new Error(`command ${at + 1}, "${line}", seed ${seed}: ${what}\n${diagram}`, { cause: error });
    }
  }
  return { text: output.join('\n'), records: player.records };
}
