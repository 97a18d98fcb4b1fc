/** Which entries an iteration visits, and in what order. */
import { StoreError } from './errors.ts';
import { type Bytes, toStored } from './text.ts';

/** What an iteration visits, and in what order. */
export interface RangeOptions {
  /** Keys that begin so. */
  prefix?: Bytes;
  /** Keys from this one on, in order of their bytes, which for text is that of its code points. */
  gte?: Bytes;
  /** Keys behind this one. */
  gt?: Bytes;
  /** Keys before this one. */
  lt?: Bytes;
  /** Keys up to this one. */
  lte?: Bytes;
  /** Only keys for which it is true. */
  filter?: (key: string) => boolean;
  /** In order of the keys. Default: true with a prefix, a bound or `reverse`; otherwise they come in no order. */
  sorted?: boolean;
  /** From the last to the first, in order. Default: false. */
  reverse?: boolean;
  /** Gives so many at most: a whole number from 0 on. Default: all. */
  limit?: number;
}

/** From the first key included to the first one not included; null for open ends. */
export interface Range {
  readonly from: string;
  readonly to: string | null;
  readonly sorted: boolean;
  readonly reverse: boolean;
  readonly limit: number;
}

export function rangeOf({
  prefix,
  gte,
  gt,
  lt,
  lte,
  sorted,
  reverse = false,
  limit = Infinity,
}: RangeOptions): Range {
  if (limit !== Infinity && (!Number.isInteger(limit) || limit < 0))
    throw new StoreError('INVALID_ARGUMENT', `limit: ${limit}; expected a whole number from 0 on`);
  let from = '';
  let to: string | null = null;
  const raise = (bound: string): void => void (from = bound > from ? bound : from);
  const lower = (bound: string | null): void => {
    if (bound !== null) to = to === null || bound < to ? bound : to;
  };
  if (prefix !== undefined) {
    raise(toStored(prefix));
    lower(behindPrefix(toStored(prefix)));
  }
  if (gte !== undefined) raise(toStored(gte));
  if (gt !== undefined) raise(`${toStored(gt)}\0`);
  if (lt !== undefined) lower(toStored(lt));
  if (lte !== undefined) lower(`${toStored(lte)}\0`);
  const bounded = from !== '' || to !== null;
  return { from, to, sorted: sorted ?? (bounded || reverse), reverse, limit };
}

/** The first string behind all that begin so; null when there is none. */
function behindPrefix(prefix: string): string | null {
  let end = prefix.length;
  while (end > 0 && prefix.charCodeAt(end - 1) === 255) end--;
  if (end === 0) return null;
  return prefix.slice(0, end - 1) + String.fromCharCode(prefix.charCodeAt(end - 1) + 1);
}
