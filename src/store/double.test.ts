import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { doubleText, fixedText, parseBoundDouble, parseDouble } from './double.ts';

test('what is printed is read again', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true }), (value) => {
      expect(parseDouble(doubleText(value))).toBe(value);
      expect(parseBoundDouble(doubleText(value))).toBe(value);
    }),
  );
});

describe('an argument', () => {
  test.each([
    ['1', 1],
    ['+1.5', 1.5],
    ['-.5', -0.5],
    ['5.', 5],
    ['1E3', 1000],
    ['-0', -0],
    ['inf', Infinity],
    ['+INF', Infinity],
    ['-Infinity', -Infinity],
    ['0e-500', 0],
    ['4.9e-324', 5e-324],
    ['0x10', 16],
    ['0X1.8p1', 3],
    ['-0x.8', -0.5],
    ['0x1p-1074', 5e-324],
    ['0x1.8p-1075', 5e-324],
    ['0x1.fffffffffffffp1023', Number.MAX_VALUE],
    // Halfway between two doubles: to the even one, and up as soon as anything follows.
    ['0x1.00000000000008', 1],
    ['0x1.00000000000018', 1 + 2 ** -51],
    ['0x1.000000000000080000000000000000000001', 1 + 2 ** -52],
    ['0x0000000000000000000000000001', 1],
    ['0x0p99999999999', 0],
  ])('%j is %d', (text, value) => expect(parseDouble(text)).toBe(value));

  test.each([
    '',
    ' 1',
    '1 ',
    '.',
    '-',
    'abc',
    '1e',
    'e5',
    '0x',
    '0x.',
    '0xg',
    '0x1p',
    'nan',
    '-nan',
    'nan(1)',
    '1e400',
    '-1e400',
    '1e-400',
    '0x1p1024',
    '0x1p-1075',
    '0x1p-9999999999',
    '1\0',
    '(1',
    '1_000',
    'infinit',
    '0b1',
    '0o7',
  ])('%j is none', (text) => expect(parseDouble(text)).toBeUndefined());
});

describe('the bound of a range', () => {
  test.each([
    ['', 0],
    [' \t\n1', 1],
    ['1e400', Infinity],
    ['-1e400', -Infinity],
    ['1e-400', 0],
    ['0x1p-9999999999', 0],
    ['5\0 and more', 5],
    ['\0', 0],
  ])('%j is %d', (text, value) => expect(parseBoundDouble(text)).toBe(value));

  test.each([' ', '1 ', 'nan', 'x', '((1'])('%j is none', (text) =>
    expect(parseBoundDouble(text)).toBeUndefined(),
  );
});

test('hexadecimal digits read as the number that BigInt makes of them', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 400n }),
      fc.integer({ min: -1500, max: 600 }),
      (mantissa, power) => {
        // Number() rounds a BigInt to the nearest double, ties to even; where the result is not subnormal, scaling is exact.
        const expected = Number(mantissa);
        fc.pre(expected * 2 ** power > 2 ** -1000 || mantissa === 0n);
        expect(parseBoundDouble(`0x${mantissa.toString(16)}p${power}`)).toBe(expected * 2 ** power);
      },
    ),
  );
});

describe('so many decimals', () => {
  test.each([
    [1.5, 4, '1.5000'],
    [166274.1516, 4, '166274.1516'],
    [13.361389338970184, 17, '13.36138933897018433'],
    // In the middle between two: to the even one, as C does.
    [0.03125, 4, '0.0312'],
    [0.09375, 4, '0.0938'],
    [-0.03125, 4, '-0.0312'],
    [181.0078125, 6, '181.007812'],
    [-0, 6, '-0.000000'],
    [-1e-9, 6, '-0.000000'],
    [1e22, 2, '10000000000000000000000.00'],
    [Infinity, 6, 'inf'],
  ])('%d with %d', (value, decimals, text) => expect(fixedText(value, decimals)).toBe(text));
});
