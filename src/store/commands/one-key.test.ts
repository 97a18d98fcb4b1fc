import { expect, test } from 'vitest';
import { forOneKey, groupOf, mayWait } from './one-key.ts';

test.each([
  ['BLPOP a b c 1.5', 'b', 'BLPOP b 1.5'],
  ['bzpopmax a 0', 'a', 'bzpopmax a 0'],
  ['BLMPOP 2 3 a b c LEFT COUNT 4', 'c', 'BLMPOP 2 1 c LEFT COUNT 4'],
  ['BZMPOP 0 1 a MIN', 'a', 'BZMPOP 0 1 a MIN'],
  ['BLMOVE a b LEFT RIGHT 0', 'a', 'BLMOVE a b LEFT RIGHT 0'],
  ['XREAD COUNT 2 BLOCK 0 STREAMS a b 1-1 2-2', 'b', 'XREAD COUNT 2 BLOCK 0 STREAMS b 2-2'],
  [
    'XREADGROUP GROUP streams block NOACK BLOCK 5 STREAMS a b > >',
    'a',
    'XREADGROUP GROUP streams block NOACK BLOCK 5 STREAMS a >',
  ],
  ['XREAD BLOCK 0 STREAMS streams x streams 1-1', 'streams', 'XREAD BLOCK 0 STREAMS streams streams'],
])('%s for %s', (line, key, expected) => {
  expect(forOneKey(line.split(' '), key).join(' ')).toBe(expected);
});

test('only what is flagged as blocking may wait, and readers of streams only with BLOCK', () => {
  const waits = (line: string, flags = ['blocking']): boolean => mayWait({ flags }, line.split(' '));
  expect(waits('BLPOP a 0')).toBe(true);
  expect(waits('GET a', [])).toBe(false);
  expect(waits('XREAD STREAMS block 0')).toBe(false);
  expect(waits('XREAD COUNT 1 block 0 STREAMS a $')).toBe(true);
  expect(waits('XREADGROUP GROUP block block STREAMS a >')).toBe(false);
});

test('the group of a reader', () => {
  expect(groupOf('XREADGROUP COUNT 1 GROUP g c STREAMS a >'.split(' '))).toBe('g');
  expect(groupOf('XREAD STREAMS group g'.split(' '))).toBeNull();
});
