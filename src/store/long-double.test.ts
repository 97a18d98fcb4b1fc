import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { addLongDoubles, parseLongDouble } from './long-double.ts';

function sum(left: string, right: string): string | undefined {
  const [one, other] = [parseLongDouble(left), parseLongDouble(right)];
  if (one === undefined || other === undefined) throw new Error(`${left} or ${right} is no number`);
  return addLongDoubles(one, other);
}

// The right-hand sides are what redis-server 7.0.15 answers on x86-64.
test.each([
  ['0.1', '0.2', '0.3'],
  ['10.50', '0.1', '10.6'],
  ['5.0e3', '2.0e2', '5200'],
  ['3000', '0x1p-3', '3000.125'],
  ['1', '-1', '0'],
  ['-0', '0', '0'],
  ['-1e-30', '0', '0'],
  ['123456789.123', '0', '123456789.12299999999959255'],
  ['12345678901234567890.5', '0', '12345678901234567890'],
  ['1e17', '0.5', '100000000000000000.5'],
  ['.5', '5.', '5.5'],
  ['3.14159265358979', '123456.789', '123459.93059265358979104'],
])('%s + %s = %s', (left, right, expected) => {
  expect(sum(left, right)).toBe(expected);
});

test.each([
  '',
  '.',
  'abc',
  ' 1',
  '1 ',
  '1e',
  '1e5000',
  '1e-5000',
  'nan',
  '0x',
  '--1',
  '1\0',
  '1'.repeat(5120),
])('%j is no number', (text) => {
  expect(parseLongDouble(text)).toBeUndefined();
});

test('an infinity can be read but not added', () => {
  expect(parseLongDouble('-Inf')).toBe('infinite');
  expect(sum('inf', '1')).toBeUndefined();
  expect(sum('1e4932', '1e4932')).toBeUndefined();
});

test('whole numbers of up to 64 bits add up exactly', () => {
  const whole = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n });
  fc.assert(
    fc.property(whole, whole, (left, right) => {
      expect(sum(String(left), String(right))).toBe(String(left + right));
    }),
  );
});

test('what was printed reads back as itself', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), (value) => {
      const printed = sum(String(value), '0')!;
      expect(sum(printed, '0')).toBe(printed);
    }),
  );
});
