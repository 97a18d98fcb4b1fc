/** What HRANDFIELD and ZRANDMEMBER may be asked for. */
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import { REPEATS_MAX } from '../random-choice.ts';

const LONG_MAX = 2n ** 63n - 1n;

export interface Choice {
  /** Below 0: so many, each of them any. */
  readonly count: number;
  /** Whether what belongs to the names, values or scores, is wanted as well. */
  readonly withMore: boolean;
}

/** What the arguments behind the key ask for, `option` being the word for more; or the text of the error reply. */
export function parseChoice(args: readonly string[], option: string): Choice | string {
  const count = parseInteger(args[2] ?? '');
  if (count === undefined) return NOT_AN_INTEGER;
  if (count < -LONG_MAX) return `ERR value is out of range, value must between -${LONG_MAX} and ${LONG_MAX}`;
  const withMore = args.length > 3;
  if (args.length > 4 || (withMore && args[3]?.toLowerCase() !== option)) return SYNTAX_ERROR;
  const half = LONG_MAX / 2n;
  if ((withMore && (count < -half || count > half)) || count < -REPEATS_MAX)
    return 'ERR value is out of range';
  return { count: clampInteger(count), withMore };
}
