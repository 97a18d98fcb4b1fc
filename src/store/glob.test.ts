import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesGlob } from './glob.ts';

test.each([
  ['*', '', false],
  ['**', '', false],
  ['', '', true],
  ['', 'a', false],
  ['*', 'anything\r\n\xff', true],
  ['h?llo', 'hello', true],
  ['h?llo', 'hllo', false],
  ['h*llo', 'heeeello', true],
  ['h[ae]llo', 'hallo', true],
  ['h[ae]llo', 'hillo', false],
  ['h[^e]llo', 'hello', false],
  ['h[a-c]llo', 'hbllo', true],
  ['h[c-a]llo', 'hbllo', true],
  ['h[a-]', 'h-', false],
  ['h[a-]', 'h^', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'axb', false],
  ['[\\]]', ']', true],
  ['[abc', 'b', true],
  ['[]a]', 'a]', false],
  ['a\\', 'a\\', true],
  ['*.*.c', 'a.b.c', true],
  ['*a*b', 'xaxbx', false],
  ['a*', 'a', true],
])('%j and %j: %s', (pattern, text, expected) => {
  expect(matchesGlob(pattern, text)).toBe(expected);
});

/** The textbook definition for patterns of letters, `*` and `?`. */
function matchesNaively(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*')
    return matchesNaively(pattern.slice(1), text) || (text !== '' && matchesNaively(pattern, text.slice(1)));
  return (
    text !== '' &&
    (pattern[0] === '?' || pattern[0] === text[0]) &&
    matchesNaively(pattern.slice(1), text.slice(1))
  );
}

test('stars and question marks match as defined', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(pattern, text, (one, other) => {
      expect(matchesGlob(one, other)).toBe(matchesNaively(one, other));
    }),
    { numRuns: 1000 },
  );
});

test('a pattern made to explode ends: 2^1000 ways for a matcher that tries them all', () => {
  expect(matchesGlob(`${'a*'.repeat(1000)}b`, 'a'.repeat(5000))).toBe(false);
});
