/**
 * Sine, cosine and arc sine, rounded correctly but for one number in many millions. JavaScript leaves the last bits of its own to the
 * engine, and nodes with different ones would disagree about what GEOSEARCHSTORE finds; the C library that Redis uses rounds
 * correctly, too, nearly always.
 *
 * All are computed with twice the digits of a double and rounded at the end.
 */
import {
  add,
  divide,
  type DoubleDouble,
  multiply,
  negate,
  productOf,
  squareRoot,
  sumOf,
} from './double-double.ts';

/** π/2 to 159 bits. */
const HALF_PI: DoubleDouble = { high: Math.PI / 2, low: 6.123233995736766e-17 };
const HALF_PI_REST = -1.4973849048591833e-33;

/** Terms of the series that are summed up with all digits; those behind them are so small that a double's will do. */
const EXACT_TERMS = 4;
const TERMS = 13;

/** ±1/n! for every other n from `first` on, signs alternating. */
function coefficients(first: number): readonly DoubleDouble[] {
  return Array.from({ length: TERMS }, (_, at) => {
    let factorial = 1;
    for (let n = 2; n <= first + 2 * at; n++) factorial *= n;
    return divide(at % 2 === 0 ? 1 : -1, factorial);
  });
}

const SINE = coefficients(1);
const COSINE = coefficients(0);

/** The sum of coefficient × square^n. */
function series(terms: readonly DoubleDouble[], square: DoubleDouble): DoubleDouble {
  let tail = 0;
  for (let at = TERMS - 1; at >= EXACT_TERMS; at--)
    tail = tail * square.high + (terms[at] as DoubleDouble).high;
  let sum: DoubleDouble = { high: tail, low: 0 };
  for (let at = EXACT_TERMS - 1; at >= 0; at--) sum = add(multiply(sum, square), terms[at] as DoubleDouble);
  return sum;
}

/** The sine of `x` + `quarters` × π/2, for an `x` of a few turns at most. */
function turnedSine(x: number, quarters: number): DoubleDouble {
  const turns = Math.round(x / HALF_PI.high);
  // What is left is at most π/4.
  let rest = add({ high: x, low: 0 }, negate(productOf(turns, HALF_PI.high)));
  rest = add(rest, negate(productOf(turns, HALF_PI.low)));
  rest = add(rest, { high: -turns * HALF_PI_REST, low: 0 });
  const square = multiply(rest, rest);
  const quadrant = (turns + quarters) & 3;
  const value = quadrant % 2 === 0 ? multiply(rest, series(SINE, square)) : series(COSINE, square);
  return quadrant < 2 ? value : negate(value);
}

export function sine(x: number): number {
  return turnedSine(x, 0).high;
}

export function cosine(x: number): number {
  return turnedSine(x, 1).high;
}

/** The angle from 0 to π/2 whose sine is `x`; NaN where `x` is above 1. */
export function arcSine(x: number): number {
  if (x > 1 || Number.isNaN(x)) return NaN;
  if (x <= 0.5) return arc({ high: x, low: 0 }).high;
  // From the other end, where the sine is steep: asin x = π/2 - 2 asin √((1 - x) / 2).
  const half = arc(squareRoot({ high: (1 - x) / 2, low: 0 }));
  return add(HALF_PI, { high: -2 * half.high, low: -2 * half.low }).high;
}

/** The arc sine of 0 to 0.5. */
function arc(x: DoubleDouble): DoubleDouble {
  const { high } = x;
  if (high === 0) return x;
  const square = high * high;
  let angle = high * (1 + square * (1 / 6 + square * (3 / 40 + square * (15 / 336 + square * (105 / 3456)))));
  // Newton's method doubles the digits that are right: a thousandth at first, then about all that a double has, then twice as many.
  for (let step = 0; step < 2; step++)
    angle += (high - roughly(SINE, angle) * angle) / roughly(COSINE, angle);
  const missing = add(x, negate(turnedSine(angle, 0))).high;
  return sumOf(angle, missing / roughly(COSINE, angle));
}

/** A series in doubles. */
function roughly(terms: readonly DoubleDouble[], angle: number): number {
  const square = angle * angle;
  let sum = 0;
  for (let at = TERMS - 1; at >= 0; at--) sum = sum * square + (terms[at] as DoubleDouble).high;
  return sum;
}
