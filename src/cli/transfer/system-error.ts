/** What files and disks say is no fault of the program: a sentence, and no stack. */
import { CommandError } from '../command-error.ts';

/** What the system or the library has refused, as the operator hears it; anything else is a fault and stays what it is. */
export function inAWord(error: unknown): unknown {
  return error instanceof Error && 'code' in error
    ? new CommandError(error.message, { cause: error })
    : error;
}
