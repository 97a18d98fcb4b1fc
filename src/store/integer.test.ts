import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addIntegers,
  addWrapping,
  clampInteger,
  type Integer,
  multiplyIntegers,
  negateInteger,
  parseInteger,
} from './integer.ts';

const MIN = -(2n ** 63n);
const MAX = 2n ** 63n - 1n;
const edges = fc.constantFrom(
  MIN,
  MIN + 1n,
  MAX,
  MAX - 1n,
  0n,
  1n,
  -1n,
  2n ** 53n,
  2n ** 53n - 1n,
  -(2n ** 53n),
);
const int64 = fc.oneof(edges, fc.bigInt({ min: MIN, max: MAX }), fc.bigInt({ min: -1000n, max: 1000n }));

/** What the functions must answer for a mathematical result. */
function fitting(value: bigint): Integer | undefined {
  if (value < MIN || value > MAX) return undefined;
  return value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n ? Number(value) : value;
}

test('every 64-bit integer is read back from its canonical spelling, small ones as numbers', () => {
  fc.assert(
    fc.property(int64, (value) => {
      expect(parseInteger(String(value))).toBe(fitting(value));
    }),
  );
});

test.each([
  '',
  '-',
  '+1',
  ' 1',
  '1 ',
  '01',
  '-0',
  '00',
  '1.0',
  '1e3',
  '0x1',
  'abc',
  '1\0',
  '--1',
  '-01',
  '9223372036854775808',
  '-9223372036854775809',
  '99999999999999999999',
  '100000000000000000000',
])('%j is no integer', (text) => {
  expect(parseInteger(text)).toBeUndefined();
});

test('sums, products and negations are exact or refused', () => {
  fc.assert(
    fc.property(int64, int64, (left, right) => {
      const [one, other] = [fitting(left)!, fitting(right)!];
      expect(addIntegers(one, other)).toBe(fitting(left + right));
      expect(addWrapping(one, other)).toBe(fitting(BigInt.asIntN(64, left + right)));
      expect(multiplyIntegers(one, other)).toBe(fitting(left * right));
      expect(negateInteger(one)).toBe(fitting(-left));
    }),
  );
});

test('clamping stays within the safe integers', () => {
  expect(clampInteger(MAX)).toBe(Number.MAX_SAFE_INTEGER);
  expect(clampInteger(MIN)).toBe(Number.MIN_SAFE_INTEGER);
  expect(clampInteger(-5)).toBe(-5);
});
