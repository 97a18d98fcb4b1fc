/**
 * Numbers of 106 bits: the sum of two doubles, of which the second is what the first could not hold. The arithmetic of
 * T. J. Dekker (1971) and D. E. Knuth, made of nothing but additions and multiplications of doubles, which IEEE 754 defines to the
 * last bit: the same on every machine.
 */
export interface DoubleDouble {
  readonly high: number;
  readonly low: number;
}

/** 2^27 + 1: splits a double into two halves of 26 bits. */
const SPLITTER = 134_217_729;

/** The exact sum of two doubles. */
export function sumOf(a: number, b: number): DoubleDouble {
  const high = a + b;
  const part = high - a;
  return { high, low: a - (high - part) + (b - part) };
}

/** The same where `a` is not smaller in size than `b`. */
function sumOfLarger(a: number, b: number): DoubleDouble {
  const high = a + b;
  return { high, low: b - (high - a) };
}

/** The exact product of two doubles that are neither huge nor tiny. */
export function productOf(a: number, b: number): DoubleDouble {
  const high = a * b;
  const aScaled = SPLITTER * a;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = SPLITTER * b;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return { high, low: aHigh * bHigh - high + aHigh * bLow + aLow * bHigh + aLow * bLow };
}

export function add(a: DoubleDouble, b: DoubleDouble): DoubleDouble {
  const high = sumOf(a.high, b.high);
  const low = sumOf(a.low, b.low);
  const middle = sumOfLarger(high.high, high.low + low.high);
  return sumOfLarger(middle.high, middle.low + low.low);
}

export function negate({ high, low }: DoubleDouble): DoubleDouble {
  return { high: -high, low: -low };
}

export function multiply(a: DoubleDouble, b: DoubleDouble): DoubleDouble {
  const product = productOf(a.high, b.high);
  return sumOfLarger(product.high, product.low + (a.high * b.low + a.low * b.high));
}

export function divide(a: number, b: number): DoubleDouble {
  const high = a / b;
  const product = productOf(high, b);
  return sumOfLarger(high, (a - product.high - product.low) / b);
}

/** The square root of a number that is not negative. */
export function squareRoot(a: DoubleDouble): DoubleDouble {
  const high = Math.sqrt(a.high);
  if (high === 0) return { high: 0, low: 0 };
  const square = productOf(high, high);
  return sumOfLarger(high, (a.high - square.high - square.low + a.low) / (2 * high));
}
