/** The timeouts of blocking commands: seconds with a fraction, as BLPOP and its kin take them. */
import { parseLongDouble, toDouble } from './long-double.ts';

/** From here on Redis's 64 bits overflow, and it takes the time for a negative one. */
const MILLISECONDS_MAX = 2 ** 63;

/** In ms, 0 for ever; or the text of the error reply. */
export function parseTimeout(text: string): number | string {
  const seconds = parseLongDouble(text);
  if (seconds === undefined) return 'ERR timeout is not a float or out of range';
  // Rounded up: a time too short to be told is not for ever.
  const milliseconds = Math.ceil(toDouble(seconds) * 1000);
  if (milliseconds < 0 || milliseconds >= MILLISECONDS_MAX) return 'ERR timeout is negative';
  // Never -0, which a number just below 0 becomes.
  return Math.min(milliseconds, Number.MAX_SAFE_INTEGER) + 0;
}
