/**
 * Redis's glob patterns over bytes: `*`, `?`, `[a-z]`, `[^…]`, `\` before a literal. Matched without a regular
 * expression and without recursion: on a mismatch only the last `*` is tried again one byte later, which is enough
 * and makes the worst case |pattern| × |text| where a naive matcher is exponential (`a*a*a*…b`).
 */
export function matchesGlob(pattern: string, text: string): boolean {
  // As in Redis, where no `*` matches the empty string; KEYS and the like take `*` for all before they ask.
  if (text.length === 0) return pattern === '';
  let patternAt = 0;
  let textAt = 0;
  let starAt = -1;
  let starTextAt = 0;
  while (textAt < text.length) {
    if (patternAt < pattern.length) {
      if (pattern.charCodeAt(patternAt) === STAR) {
        starAt = patternAt++;
        starTextAt = textAt;
        continue;
      }
      const next = matchOne(pattern, patternAt, text.charCodeAt(textAt));
      if (next >= 0) {
        patternAt = next;
        textAt++;
        continue;
      }
    }
    if (starAt < 0) return false;
    patternAt = starAt + 1;
    textAt = ++starTextAt;
  }
  while (patternAt < pattern.length && pattern.charCodeAt(patternAt) === STAR) patternAt++;
  return patternAt === pattern.length;
}

const STAR = 0x2a;
const QUESTION = 0x3f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const BACKSLASH = 0x5c;
const CARET = 0x5e;
const DASH = 0x2d;

/** The position behind the pattern's element at `at` if it matches the byte, otherwise -1. */
function matchOne(pattern: string, at: number, byte: number): number {
  const element = pattern.charCodeAt(at);
  if (element === QUESTION) return at + 1;
  if (element === OPEN) return matchSet(pattern, at + 1, byte);
  // A backslash at the very end stands for itself.
  const literal = element === BACKSLASH && at + 1 < pattern.length ? at + 1 : at;
  return pattern.charCodeAt(literal) === byte ? literal + 1 : -1;
}

/** As `matchOne` for the set whose `[` stands before `start`. One that is never closed ends with the pattern. */
function matchSet(pattern: string, start: number, byte: number): number {
  let at = start;
  const negated = pattern.charCodeAt(at) === CARET;
  if (negated) at++;
  let found = false;
  while (at < pattern.length && pattern.charCodeAt(at) !== CLOSE) {
    if (pattern.charCodeAt(at) === BACKSLASH && at + 1 < pattern.length) {
      found ||= pattern.charCodeAt(at + 1) === byte;
      at += 2;
    } else if (at + 2 < pattern.length && pattern.charCodeAt(at + 1) === DASH) {
      const one = pattern.charCodeAt(at);
      const other = pattern.charCodeAt(at + 2);
      found ||= byte >= Math.min(one, other) && byte <= Math.max(one, other);
      at += 3;
    } else {
      found ||= pattern.charCodeAt(at) === byte;
      at++;
    }
  }
  if (found === negated) return -1;
  return Math.min(at + 1, pattern.length);
}
