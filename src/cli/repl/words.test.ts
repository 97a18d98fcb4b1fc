import { expect, test } from 'vitest';

import { type Line, readLine } from './words.ts';

const words = (...list: readonly string[]): Line => ({ kind: 'words', words: list });

// Each as redis-cli 7.0.15 takes it.
test.each<[string, Line]>([
  ['', words()],
  ['  \t ', words()],
  ['SET a 1', words('SET', 'a', '1')],
  ['SET a "b c"', words('SET', 'a', 'b c')],
  ['SET a ""', words('SET', 'a', '')],
  [String.raw`SET a "\x00\xff\n\r\t\a\b\q\""`, words('SET', 'a', '\x00\xff\n\r\t\x07\bq"')],
  [String.raw`SET a "\xg1"`, words('SET', 'a', 'xg1')],
  [String.raw`SET a '\x41 \n it\'s'`, words('SET', 'a', String.raw`\x41 \n it's`)],
  [String.raw`SET a \x41`, words('SET', 'a', String.raw`\x41`)],
  ['SET a b"c d"', words('SET', 'a', 'bc d')],
  ['SET "a"b', { kind: 'wrong' }],
  ['SET "a""b"', { kind: 'wrong' }],
  ["SET 'a'b", { kind: 'wrong' }],
  ['SET a "b', { kind: 'open' }],
  ["SET a 'b", { kind: 'open' }],
  ["SET a it's", { kind: 'open' }],
  [`SET a "b'`, { kind: 'open' }],
  [`SET a 'b"`, { kind: 'open' }],
  ['SET a "b\\', { kind: 'open' }],
  ['SET a "b\nc"', words('SET', 'a', 'b\nc')],
])('%j', (line, expected) => {
  expect(readLine(line)).toEqual(expected);
});
