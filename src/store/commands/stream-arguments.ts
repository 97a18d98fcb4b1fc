/** What the commands over streams have in common: ids, ranges of ids, and what to trim. */
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import { NODE_ENTRIES_MAX } from '../types/stream-node.ts';
import {
  type GivenId,
  MAX_ID,
  nextId,
  parseGivenId,
  parseId,
  previousId,
  type StreamId,
  ZERO_ID,
} from '../types/stream-id.ts';
import type { Trim } from '../types/stream.ts';

export const INVALID_ID = 'ERR Invalid stream ID specified as stream command argument';

/** As C's `%s` would show it in an error. */
export function quoted(text: string): string {
  const zero = text.indexOf('\0');
  return zero === -1 ? text : text.slice(0, zero);
}

export function noSuchGroup(group: string, key: string): string {
  return `NOGROUP No such consumer group '${quoted(group)}' for key name '${quoted(key)}'`;
}

export function noKeyOrGroup(key: string, group: string): string {
  return `NOGROUP No such key '${quoted(key)}' or consumer group '${quoted(group)}'`;
}

/** An error in its own clothes: ids are strings, too. */
export interface Failure {
  readonly error: string;
}

export interface Range {
  readonly from: StreamId;
  readonly to: StreamId;
}

/** One end of a range of ids: `-` and `+` are the first and the last, and `(` before an id leaves it out. */
function parseBound(text: string, end: 'start' | 'end'): StreamId | Failure {
  const missing = end === 'start' ? 'lowest' : 'highest';
  if (text.length > 1 && text.startsWith('(')) {
    const bound = parseId(text.slice(1), missing);
    if (bound === undefined) return { error: INVALID_ID };
    const inside = end === 'start' ? nextId(bound) : previousId(bound);
    return inside ?? { error: `ERR invalid ${end} ID for the interval` };
  }
  if (text === '-') return ZERO_ID;
  if (text === '+') return MAX_ID;
  return parseId(text, missing) ?? { error: INVALID_ID };
}

/** Where a range begins. */
export function parseStart(text: string): StreamId | Failure {
  return parseBound(text, 'start');
}

export function parseRange(start: string, end: string): Range | Failure {
  const from = parseBound(start, 'start');
  if (typeof from !== 'string') return from;
  const to = parseBound(end, 'end');
  return typeof to === 'string' ? { from, to } : to;
}

/** All of the arguments as ids, or undefined. */
export function parseIds(texts: readonly string[]): StreamId[] | undefined {
  const ids: StreamId[] = [];
  for (const text of texts) {
    const id = parseId(text);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

/** The most that is trimmed at once with `~` where no LIMIT is given. */
const LIMIT_DEFAULT = 100 * NODE_ENTRIES_MAX;

export interface AddArguments {
  readonly trim: Trim | null;
  /** XADD: whether a missing stream stays missing. */
  readonly onlyIfThere: boolean;
  /** XADD: the id, null for `*`. */
  readonly given: GivenId | null;
  /** XADD: where the fields begin. */
  readonly fieldsAt: number;
}

/** The options of XADD, up to its id, or all of those of XTRIM. */
export function parseAdd(args: readonly string[], command: 'xadd' | 'xtrim'): AddArguments | Failure {
  const adds = command === 'xadd';
  let strategy: { readonly by: 'length'; lengthMax: number } | { by: 'id'; idMin: StreamId } | null = null;
  let approximate = false;
  let limit: number | null = null;
  let onlyIfThere = false;
  let given: GivenId | null = null;
  let at = 2;
  for (; at < args.length; at++) {
    const text = args[at] ?? '';
    if (adds && text === '*') break;
    const more = args.length - 1 - at;
    const option = text.toLowerCase();
    if ((option === 'maxlen' || option === 'minid') && more > 0) {
      if (strategy !== null)
        return {
          error: 'ERR syntax error, MAXLEN and MINID options at the same time are not compatible',
        };
      const sign = args[at + 1];
      approximate = more > 1 && sign === '~';
      if (approximate || (more > 1 && sign === '=')) at++;
      at++;
      const bound = args[at] ?? '';
      if (option === 'maxlen') {
        const length = parseInteger(bound);
        if (length === undefined) return { error: NOT_AN_INTEGER };
        if (length < 0) return { error: 'ERR The MAXLEN argument must be >= 0.' };
        strategy = { by: 'length', lengthMax: clampInteger(length) };
      } else {
        const idMin = parseId(bound);
        if (idMin === undefined) return { error: INVALID_ID };
        strategy = { by: 'id', idMin };
      }
    } else if (option === 'limit' && more > 0) {
      at++;
      const count = parseInteger(args[at] ?? '');
      if (count === undefined) return { error: NOT_AN_INTEGER };
      if (count < 0) return { error: 'ERR The LIMIT argument must be >= 0.' };
      limit = clampInteger(count);
    } else if (adds && option === 'nomkstream') onlyIfThere = true;
    else if (adds) {
      const id = parseGivenId(text);
      if (id === undefined) return { error: INVALID_ID };
      given = id;
      break;
    } else return { error: SYNTAX_ERROR };
  }
  if (strategy === null && limit !== null && limit !== 0)
    return { error: 'ERR syntax error, LIMIT cannot be used without specifying a trimming strategy' };
  if (strategy === null && !adds)
    return { error: 'ERR syntax error, XTRIM must be called with a trimming strategy' };
  if (limit !== null && !approximate)
    return { error: 'ERR syntax error, LIMIT cannot be used without the special ~ option' };
  const trim =
    strategy === null
      ? null
      : { ...strategy, approximate, limit: limit ?? (approximate ? LIMIT_DEFAULT : 0) };
  return { trim, onlyIfThere, given, fieldsAt: at + 1 };
}
