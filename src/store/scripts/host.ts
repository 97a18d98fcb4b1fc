/** What a running script finds around it, besides the interpreter's own libraries. */
import type { RedisRandom } from './random.ts';
import type { Recording } from './recording.ts';

/** What one run of a script may do, and what it has changed about itself. */
export interface ScriptHost {
  /**
   * Runs a command; its reply is in `reply`, which is cleared before. The text of the error where the command may not run
   * at all.
   */
  call(args: readonly string[], reply: Recording): string | null;
  /** What that has cost besides arguments and reply, in steps. */
  readonly callSteps: number;
  /** Whether a command of this name is there, for ACL checks. */
  knows(args: readonly string[]): boolean;
  /** Whether the user who runs the script may run it. */
  permits(args: readonly string[]): boolean;
  /** The protocol whose replies the script sees. */
  protocol: 2 | 3;
  readonly random: RedisRandom;
  /** Whether a command has written. */
  readonly wrote: boolean;
}

/** A function of a library, as it registers it. */
export interface RegisteredFunction {
  readonly name: string;
  readonly description: string | null;
  readonly flags: readonly ScriptFlag[];
}

/** Redis's flags of scripts, in the order in which FUNCTION LIST has them. */
export const SCRIPT_FLAGS = [
  'no-writes',
  'allow-oom',
  'allow-stale',
  'no-cluster',
  'allow-cross-slot-keys',
] as const;
export type ScriptFlag = (typeof SCRIPT_FLAGS)[number];
