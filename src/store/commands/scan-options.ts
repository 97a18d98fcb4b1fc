/** What SCAN, HSCAN, SSCAN and ZSCAN have in common: their cursor and what may stand behind it. */
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';

export const INVALID_CURSOR = 'ERR invalid cursor';

const COUNT_DEFAULT = 10;

export interface ScanOptions {
  pattern: string;
  /** As TYPE names it; null for all. */
  type: string | null;
  count: number;
}

/** The options from `args[from]` on, or the text of the error reply. `typed`: whether TYPE is one of them. */
export function parseScanOptions(
  args: readonly string[],
  from: number,
  typed: boolean,
): ScanOptions | string {
  const options: ScanOptions = { pattern: '*', type: null, count: COUNT_DEFAULT };
  for (let at = from; at < args.length; at += 2) {
    const word = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (argument === undefined) return SYNTAX_ERROR;
    if (word === 'match') options.pattern = argument;
    else if (word === 'type' && typed) options.type = argument.toLowerCase();
    else if (word === 'count') {
      const count = parseInteger(argument);
      if (count === undefined) return NOT_AN_INTEGER;
      if (count < 1) return SYNTAX_ERROR;
      options.count = clampInteger(count);
    } else return SYNTAX_ERROR;
  }
  return options;
}

/** C's `strtoul` takes a sign and an empty text, so Redis does. */
const CURSOR = /^[+-]?\d*$/;
const CURSOR_MAX = 2n ** 64n;

/** Where to go on, `Number.MAX_SAFE_INTEGER` for all that is larger; undefined for what is no cursor. */
export function parseCursor(text: string): number | undefined {
  if (!CURSOR.test(text)) return undefined;
  const digits = text.replace(/^[+-]/, '');
  if (digits.length > 20 || BigInt(digits) >= CURSOR_MAX) return undefined;
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}
