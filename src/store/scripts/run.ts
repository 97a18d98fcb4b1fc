/** Running a script or a function for a client: what both ways of it share. */
import type { Context } from '../context.ts';
import { OUT_OF_MEMORY } from '../errors.ts';
import { parseInteger } from '../integer.ts';
import { isFull } from '../memory.ts';
import { noReply, type ReplyWriter } from '../reply.ts';
import { type CommandFinder, ScriptCalls } from './calls.ts';
import { type Invocation, SCRIPT_STEPS_MAX } from './engine.ts';
import type { ScriptFlag } from './host.ts';
import { Recording } from './recording.ts';

/**
 * Scripts of one entry run one after the other on every node, with nothing in between, as may those of a second that only
 * read; so there is a bound for all of them
 * as well: room for thousands that end by themselves, but when one had to be stopped, those behind it are not even begun.
 * A loop that forty clients send at once takes a fraction of a second, not ten.
 */
const ENTRY_STEPS_MAX: number = 20 * SCRIPT_STEPS_MAX;
const ENTRY_FULL =
  'BUSY other scripts sent at the same time took too many steps; this one was not run. Send it again.';
export const WRITES_FROM_RO = 'ERR Can not execute a script with write flag using *_ro command.';

/** The keys and the arguments behind the script or function in the arguments of a command; or the error. */
export function readCounts(
  args: readonly string[],
  notANumber: string,
): { readonly keys: readonly string[]; readonly rest: readonly string[] } | string {
  const count = parseInteger(args[2] ?? '');
  if (count === undefined) return notANumber;
  if (count > args.length - 3) return "ERR Number of keys can't be greater than number of args";
  if (count < 0) return "ERR Number of keys can't be negative";
  const end = 3 + Number(count);
  return { keys: args.slice(3, end), rest: args.slice(end) };
}

/** Who runs what, and whether it may write. */
export interface ScriptRun {
  readonly finder: CommandFinder;
  readonly context: Context;
  readonly reply: ReplyWriter;
  readonly name: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
  /** `null`: a script without a first line that has any. */
  readonly flags: ReadonlySet<ScriptFlag> | null;
  /** Asked for by a command that only reads. */
  readonly readOnly: boolean;
}

const recording = new Recording();

/** Answers for a run, or why there is none. */
export function runFor(
  { finder, context, reply, name, keys, args, flags, readOnly }: ScriptRun,
  run: (invocation: Invocation, reply: Recording) => number,
): void {
  const full = flags?.has('allow-oom') !== true && isFull(context.keyspace, context.meta);
  const noWrites = flags?.has('no-writes') === true;
  let refusal: string | null = null;
  if (readOnly && flags !== null && !noWrites) refusal = WRITES_FROM_RO;
  else if (full && flags !== null && !noWrites) refusal = OUT_OF_MEMORY;
  else if (context.scriptSteps >= ENTRY_STEPS_MAX) refusal = ENTRY_FULL;
  if (refusal !== null) {
    reply.error(refusal);
    return;
  }
  const host = new ScriptCalls(finder, context, { readOnly: readOnly || noWrites, full });
  const steps = run({ name, keys, args, host }, recording);
  context.scriptSteps += steps > SCRIPT_STEPS_MAX ? ENTRY_STEPS_MAX : steps;
  if (reply !== noReply) recording.replay(reply);
  recording.clear();
}
