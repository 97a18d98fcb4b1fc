/** A line as words, by the quoting rules that the client port has for inline requests, which are redis-cli's. */
import { splitWords } from '../../server/resp/parser.ts';

/** `open`: a quote is not closed yet, so that the next line may be the rest. `wrong`: no further line mends it. */
export type Line =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'open' }
  | { readonly kind: 'wrong' };

/** What redis-cli says of quotes that don't match. */
export const WRONG_QUOTES = 'Invalid argument(s)';

/** `line`: a byte string. */
export function readLine(line: string): Line {
  const words = splitWords(line);
  if (words !== null) return { kind: 'words', words };
  const closes = (quote: string): boolean => splitWords(`${line}\n${quote}`) !== null;
  return { kind: closes('"') || closes("'") ? 'open' : 'wrong' };
}

/** Text as the bytes that go over the wire, one character each. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
