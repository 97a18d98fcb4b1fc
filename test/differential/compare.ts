/** Replies as values of their types, and when two of them mean the same. */
import { CLOSED } from './link.ts';

/** A reply: its type byte and its content; `%` maps hold their pairs one after the other. */
export type Value =
  | { readonly type: '+' | '-' | ':' | ',' | '#' | '(' | '$' | '='; readonly text: string }
  | { readonly type: '_' }
  | { readonly type: '*' | '~' | '>' | '%'; readonly items: readonly Value[] };

/**
 * - `unordered`: an array, set or map whose order says nothing (also below the first level, where pairs are arrays).
 * - `kind`: only type and length count, at all levels: for random choices and times.
 * - `time`: integers may differ by 30 s, in ms or s; everything else counts.
 * - `numbers`: floating point numbers count as numbers, to a part in 10^14.
 * - a function: true where the replies mean the same.
 */
export type Comparison =
  | 'unordered'
  | 'kind'
  | 'time'
  | 'numbers'
  | ((expected: Value, actual: Value, args: readonly string[]) => boolean);

/** Reads one reply from its bytes as latin1 characters. */
export function decode(reply: string): Value {
  return decodeAt(reply, { at: 0 });
}

function decodeAt(reply: string, cursor: { at: number }): Value {
  const end = reply.indexOf('\r\n', cursor.at);
  const type = reply[cursor.at] ?? '';
  const line = reply.slice(cursor.at + 1, end);
  cursor.at = end + 2;
  switch (type) {
    case '$':
    case '=': {
      if (line === '-1') return { type: '_' };
      const text = reply.slice(cursor.at, cursor.at + Number(line));
      cursor.at += Number(line) + 2;
      return { type, text };
    }
    case '*':
    case '~':
    case '>':
    case '%': {
      if (line === '-1') return { type: '_' };
      const length = Number(line) * (type === '%' ? 2 : 1);
      const items = Array.from({ length }, () => decodeAt(reply, cursor));
      return { type, items };
    }
    case '_':
      return { type };
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '(':
      return { type, text: line };
    default:
      throw new Error(`a reply that begins with ${JSON.stringify(type)}`);
  }
}

/** Whether the replies mean the same; equal bytes always do. */
export function means(
  comparison: Comparison | undefined,
  expected: string,
  actual: string,
  args: readonly string[],
): boolean {
  if (expected === actual) return true;
  if (comparison === undefined || [expected, actual].includes(CLOSED)) return false;
  const [one, other] = [decode(expected), decode(actual)];
  switch (comparison) {
    case 'unordered':
      return canonical(one) === canonical(other);
    case 'kind':
      return shape(one) === shape(other);
    case 'time':
      return closeBy(one, other, (a, b) => Math.abs(a - b) <= TOLERANCE_MS);
    case 'numbers':
      return closeBy(one, other, (a, b) => Math.abs(a - b) <= Math.max(Math.abs(a), Math.abs(b)) / 1e14);
    default:
      return comparison(one, other, args);
  }
}

const TOLERANCE_MS = 30_000;

/** The same text for replies that differ only in their order. */
export function canonical(value: Value): string {
  if (value.type === '_') return '_';
  if ('text' in value) return JSON.stringify([value.type, value.text]);
  const texts = value.items.map(canonical);
  if (value.type !== '%') return `${value.type}[${texts.sort().join()}]`;
  const pairs = texts.flatMap((text, at) => (at % 2 === 0 ? [`${text}:${texts[at + 1] ?? ''}`] : []));
  return `%[${pairs.sort().join()}]`;
}

function shape(value: Value): string {
  if ('items' in value) return `${value.type}${value.items.length}[${value.items.map(shape).join()}]`;
  return value.type;
}

function closeBy(one: Value, other: Value, close: (a: number, b: number) => boolean): boolean {
  if (one.type !== other.type) return false;
  if ('items' in one && 'items' in other)
    return (
      one.items.length === other.items.length &&
      one.items.every((item, at) => closeBy(item, other.items[at] as Value, close))
    );
  if (!('text' in one) || !('text' in other)) return true;
  if (one.text === other.text) return true;
  if (one.type === '-' || one.text === '' || other.text === '') return false;
  return close(Number(one.text), Number(other.text));
}
