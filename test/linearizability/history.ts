/**
 * What clients asked a cluster and what it told them.
 *
 * A history is a list of operations. Each has an interval, from the moment when it was sent to the moment when its
 * answer came, and a system is linearizable if every operation can be given one moment inside its interval such that
 * executing them one by one at those moments gives the answers that the clients got (Herlihy & Wing, 1990).
 *
 * An operation is a list of commands that take effect as one; a single command is a transaction of one. An operation
 * whose answer never came (a lost connection, a reply that says "unknown") may take effect at any moment after it was
 * sent, much later too, or never.
 */
import { readFileSync, writeFileSync } from 'node:fs';

/** A command and its arguments, as they go over the wire. */
export type Call = readonly [string, ...string[]];

export type Reply = string | number | null | readonly Reply[];

export interface Outcome {
  /** When the answer came. */
  readonly returned: number;
  /** One for each call; `null`: it was executed by then, with whatever answer. */
  readonly replies: readonly Reply[] | null;
}

export interface Operation {
  readonly client: string;
  /** When it was sent. All times of a history are milliseconds on one clock that never goes back. */
  readonly invoked: number;
  readonly calls: readonly Call[];
  /** `null`: nobody knows whether or when it took effect. */
  readonly outcome: Outcome | null;
}

/** A history in a file: the first line is the title, every other line an operation. */
export interface NamedHistory {
  readonly title: string;
  readonly operations: readonly Operation[];
}

export function readHistory(file: string): NamedHistory {
  const [first = '', ...rest] = readFileSync(file, 'utf8').trimEnd().split('\n');
  const { title } = JSON.parse(first) as { title: string };
  return { title, operations: rest.map((line) => JSON.parse(line) as Operation) };
}

export function writeHistory(file: string, { title, operations }: NamedHistory): void {
  const lines = [{ title }, ...operations].map((record) => JSON.stringify(record));
  writeFileSync(file, `${lines.join('\n')}\n`);
}
