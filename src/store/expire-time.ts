/** From the spellings of a deadline (`EX 10`, `PXAT 1700000000000`, EXPIRE's argument) to ms since 1970. */
import { invalidExpireTime, NOT_AN_INTEGER } from './errors.ts';
import { addIntegers, clampInteger, type Integer, multiplyIntegers, parseInteger } from './integer.ts';

export interface TimeUnit {
  /** Milliseconds in one. */
  readonly milliseconds: 1 | 1000;
  /** Since 1970, and not from now on. */
  readonly absolute: boolean;
}

/** As the usage of a command names it. */
export function unitName({ milliseconds, absolute }: TimeUnit): string {
  return `${absolute ? 'unix-time-' : ''}${milliseconds === 1 ? 'milliseconds' : 'seconds'}`;
}

/** The four options of SET and GETEX. */
export const TIME_OPTIONS: ReadonlyMap<string, TimeUnit> = new Map<string, TimeUnit>([
  ['ex', { milliseconds: 1000, absolute: false }],
  ['px', { milliseconds: 1, absolute: false }],
  ['exat', { milliseconds: 1000, absolute: true }],
  ['pxat', { milliseconds: 1, absolute: true }],
]);

/**
 * A deadline in ms since 1970, or the text of the error reply. It may lie in the past; then the key is to be
 * removed. Redis computes in 64 bits and so refuses what overflows them; deadlines beyond 2^53 - 1 (the year
 * 287396) are kept as 2^53 - 1.
 */
export function parseDeadline(text: string, unit: TimeUnit, now: number, command: string): number | string {
  const amount = parseInteger(text);
  if (amount === undefined) return NOT_AN_INTEGER;
  const milliseconds = multiplyIntegers(amount, unit.milliseconds);
  if (milliseconds === undefined) return invalidExpireTime(command);
  const deadline: Integer | undefined = unit.absolute ? milliseconds : addIntegers(milliseconds, now);
  return deadline === undefined ? invalidExpireTime(command) : clampInteger(deadline);
}

/** As {@link parseDeadline} for commands that set a value with it, where an amount below 1 is an error too. */
export function parsePositiveDeadline(
  text: string,
  unit: TimeUnit,
  now: number,
  command: string,
): number | string {
  const amount = parseInteger(text);
  if (amount !== undefined && amount <= 0) return invalidExpireTime(command);
  return parseDeadline(text, unit, now, command);
}
