import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { add, divide, multiply, negate, productOf, squareRoot, sumOf } from './double-double.ts';
import { arcSine, cosine, sine } from './trigonometry.ts';

// Fixed point numbers with 400 bits behind the point, as a measure for all of this.
const BITS = 400n;
const ONE = 1n << BITS;

/** Exactly. */
function fixed(value: number): bigint {
  // Doubles down to 2^-300 here, and a mantissa of 53 bits.
  return (BigInt(value * 2 ** 353) * ONE) / 2n ** 353n;
}

/** The sum of a series whose terms become 0. */
function sum(first: bigint, next: (term: bigint, at: bigint) => bigint): bigint {
  let total = 0n;
  let at = 0n;
  for (let term = first; term !== 0n; term = next(term, ++at)) total += term;
  return total;
}

function fixedSine(x: bigint): bigint {
  const square = (x * x) >> BITS;
  return sum(x, (term, at) => (-term * square) / ONE / (2n * at * (2n * at + 1n)));
}

function fixedCosine(x: bigint): bigint {
  const square = (x * x) >> BITS;
  return sum(ONE, (term, at) => (-term * square) / ONE / (2n * at * (2n * at - 1n)));
}

/** Half of the distance of a double to the nearer one of its neighbours. */
function halfUlp(value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const exponent = ((bits.getUint32(0) >>> 20) & 0x7ff) - 1023;
  const isPowerOfTwo = bits.getUint32(4) === 0 && bits.getUint32(0) % 2 ** 20 === 0;
  return fixed(2 ** (exponent - (isPowerOfTwo ? 54 : 53)));
}

/** Whether no double is nearer to the number than this one. */
function isNearest(value: number, exact: bigint): boolean {
  const difference = fixed(value) - exact;
  return (difference < 0n ? -difference : difference) <= halfUlp(value);
}

/** Evenly distributed, other than fast-check's doubles, of which half are tiny. */
function evenly(min: number, max: number): fc.Arbitrary<number> {
  return fc.bigInt({ min: 0n, max: 2n ** 60n }).map((part) => min + (Number(part) / 2 ** 60) * (max - min));
}

/** What `fixed` can tell. */
function isPlain(value: number): boolean {
  return value === 0 || Math.abs(value) > 1e-60;
}

const angle = fc
  .oneof(
    evenly(-6.5, 6.5),
    fc.double({ min: -6.5, max: 6.5, noNaN: true }),
    // Next to where they are 0.
    fc
      .tuple(fc.integer({ min: -4, max: 4 }), fc.integer({ min: -9, max: 9 }))
      .map(([quarters, bits]) => (quarters * Math.PI) / 2 + bits * 2 ** -52),
    fc.integer({ min: -400, max: 400 }).map((degrees) => (degrees / 180) * Math.PI),
  )
  .filter(isPlain);

describe('to the last bit', () => {
  const some = { numRuns: 3000 };

  test('sine', () => {
    fc.assert(
      fc.property(angle, (x) => {
        expect(x === 0 ? sine(x) === 0 : isNearest(sine(x), fixedSine(fixed(x)))).toBe(true);
      }),
      some,
    );
  });

  test('cosine', () => {
    fc.assert(
      fc.property(angle, (x) => {
        expect(isNearest(cosine(x), fixedCosine(fixed(x)))).toBe(true);
      }),
      some,
    );
  });

  test('arc sine: the sine of its neighbours is farther away', () => {
    const value = fc.oneof(evenly(0, 1), fc.double({ min: 0, max: 1, noNaN: true }), evenly(1 - 1e-6, 1));
    fc.assert(
      fc.property(value, (x) => {
        fc.pre(x !== 0 && isPlain(x));
        const found = arcSine(x);
        const [below, above] = [fixed(found) - halfUlp(found), fixed(found) + halfUlp(found)];
        // Where the sine turns back at π/2 it says nothing.
        if (above < fixed(Math.PI / 2)) expect(fixedSine(above) >= fixed(x)).toBe(true);
        expect(fixedSine(below) <= fixed(x)).toBe(true);
      }),
      some,
    );
  });
});

test('edges', () => {
  expect([sine(0), cosine(0), arcSine(0), arcSine(1)]).toEqual([0, 1, 0, Math.PI / 2]);
  expect(arcSine(1 + 2 ** -52)).toBe(NaN);
  // What Redis shows of a circle's edge depends on these bits; engines have been seen to differ in them.
  expect(sine(Math.PI)).toBe(1.2246467991473532e-16);
  expect(cosine(Math.PI / 2)).toBe(6.123233995736766e-17);
});

test('numbers of two doubles are exact to 100 bits', () => {
  const number = fc
    .double({ min: -1e10, max: 1e10, noNaN: true })
    .filter((x) => x === 0 || Math.abs(x) > 1e-10);
  const near = (actual: { high: number; low: number }, exact: bigint): boolean => {
    const difference = fixed(actual.high) + fixed(actual.low) - exact;
    return (difference < 0n ? -difference : difference) <= ((exact < 0n ? -exact : exact) >> 100n) + 1n;
  };
  fc.assert(
    fc.property(number, number, number, (a, b, c) => {
      const [x, y, z] = [fixed(a), fixed(b), fixed(c)];
      expect(near(sumOf(a, b), x + y)).toBe(true);
      expect(near(productOf(a, b), (x * y) >> BITS)).toBe(true);
      const [product, other] = [productOf(a, b), { high: c, low: 0 }];
      expect(near(multiply(product, other), (x * y * z) >> (2n * BITS))).toBe(true);
      if (b !== 0) expect(near(divide(a, b), (x * ONE) / y)).toBe(true);
      // A sum may cancel out what is exact.
      const sum = add(product, negate(other));
      const exact = ((x * y) >> BITS) - z;
      const size = ((x * y) >> BITS) + z;
      const error = fixed(sum.high) + fixed(sum.low) - exact;
      const absolute = (value: bigint): bigint => (value < 0n ? -value : value);
      expect(absolute(error) <= (absolute(exact) >> 98n) + (absolute(size) >> 200n) + 1n).toBe(true);
      const root = squareRoot({ high: Math.abs(a), low: 0 });
      const square = multiply(root, root);
      expect(near(square, absolute(x))).toBe(true);
    }),
  );
});
