/**
 * INCRBYFLOAT's arithmetic. Redis computes it in the 80-bit floating point of x86 (64 bits of mantissa) and prints
 * 17 decimals, so that 0.1 + 0.2 is `0.3`. JavaScript's doubles would say 0.30000000000000004; the same numbers are
 * therefore computed here with BigInt, on every machine alike.
 */

/** `mantissa` × 2^`exponent`, the mantissa below 2^65 in size; or an infinity. */
export type LongDouble = { readonly mantissa: bigint; readonly exponent: number } | 'infinite';

const MANTISSA_BITS = 64;
/** Numbers from 2^16384 on are infinite, below 2^-16445 zero. */
const EXPONENT_MAX = 16384;
const EXPONENT_MIN = -16445;
/** Redis reads a number into a buffer of this many bytes. */
const CHARACTERS_MAX = 5 * 1024 - 1;
const DECIMALS = 17;
const DECIMAL_SCALE = 10n ** BigInt(DECIMALS);

const DECIMAL = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i;
const HEXADECIMAL = /^([+-]?)0x([\da-f]*)\.?([\da-f]*)(?:p([+-]?\d+))?$/i;
const INFINITY = /^[+-]?inf(?:inity)?$/i;

/** The number that `text` spells for C's `strtold`, or undefined if it spells none or one out of range. */
export function parseLongDouble(text: string): LongDouble | undefined {
  if (text.length > CHARACTERS_MAX) return undefined;
  if (INFINITY.test(text)) return 'infinite';
  const hexadecimal = HEXADECIMAL.exec(text);
  const [, sign = '', whole = '', fraction = '', power = '0'] = hexadecimal ?? DECIMAL.exec(text) ?? [];
  const digits = whole + fraction;
  if (digits === '') return undefined;
  const magnitude = BigInt(hexadecimal === null ? digits : `0x${digits}`);
  if (magnitude === 0n) return { mantissa: 0n, exponent: 0 };
  const exponent = Number(power);
  // Beyond this no number of digits that fits leads back into the range; the powers below stay affordable.
  if (Math.abs(exponent) > EXPONENT_MAX + 4 * CHARACTERS_MAX) return undefined;
  const scale = hexadecimal === null ? exponent - fraction.length : exponent - 4 * fraction.length;
  const base = hexadecimal === null ? 10n : 2n;
  const rounded =
    scale >= 0
      ? roundToMantissa(magnitude * base ** BigInt(scale), 1n, 0)
      : roundToMantissa(magnitude, base ** BigInt(-scale), 0);
  const top = rounded.exponent + bitLength(rounded.mantissa);
  if (top > EXPONENT_MAX || top < EXPONENT_MIN) return undefined;
  return sign === '-' ? { mantissa: -rounded.mantissa, exponent: rounded.exponent } : rounded;
}

/** The nearest double. A number that is not 0 stays so. */
export function toDouble(value: LongDouble): number {
  if (value === 'infinite') return Infinity;
  const { mantissa, exponent } = value;
  const double = Number(mantissa) * 2 ** exponent;
  if (double !== 0 || mantissa === 0n) return double;
  return mantissa < 0n ? -Number.MIN_VALUE : Number.MIN_VALUE;
}

/** The sum as Redis prints it, or undefined when it is not finite. */
export function addLongDoubles(left: LongDouble, right: LongDouble): string | undefined {
  if (left === 'infinite' || right === 'infinite') return undefined;
  const exponent = Math.min(left.exponent, right.exponent);
  const sum =
    (left.mantissa << BigInt(left.exponent - exponent)) +
    (right.mantissa << BigInt(right.exponent - exponent));
  if (sum === 0n) return '0';
  const rounded = roundToMantissa(sum < 0n ? -sum : sum, 1n, exponent);
  if (rounded.exponent + bitLength(rounded.mantissa) > EXPONENT_MAX) return undefined;
  const text = print(rounded.mantissa, rounded.exponent);
  return sum < 0n && text !== '0' ? `-${text}` : text;
}

/** numerator / denominator × 2^exponent with 64 bits of mantissa, ties to even. Both are positive. */
function roundToMantissa(
  numerator: bigint,
  denominator: bigint,
  exponent: number,
): { mantissa: bigint; exponent: number } {
  let shift = bitLength(numerator) - bitLength(denominator) - MANTISSA_BITS;
  let scaled = divide(numerator, denominator, shift);
  if (bitLength(scaled.quotient) > MANTISSA_BITS) scaled = divide(numerator, denominator, ++shift);
  return { mantissa: roundHalfEven(scaled), exponent: exponent + shift };
}

interface Division {
  readonly quotient: bigint;
  readonly remainder: bigint;
  readonly divisor: bigint;
}

/** numerator / (denominator × 2^shift) */
function divide(numerator: bigint, denominator: bigint, shift: number): Division {
  const dividend = shift < 0 ? numerator << BigInt(-shift) : numerator;
  const divisor = shift > 0 ? denominator << BigInt(shift) : denominator;
  return { quotient: dividend / divisor, remainder: dividend % divisor, divisor };
}

function roundHalfEven({ quotient, remainder, divisor }: Division): bigint {
  const twice = remainder * 2n;
  return twice > divisor || (twice === divisor && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** `%.17f` without the zeros at its end. */
function print(mantissa: bigint, exponent: number): string {
  const scaled = roundHalfEven(divide(mantissa * DECIMAL_SCALE, 1n, -exponent));
  const whole = String(scaled / DECIMAL_SCALE);
  const fraction = String(scaled % DECIMAL_SCALE)
    .padStart(DECIMALS, '0')
    .replace(/0+$/, '');
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

function bitLength(value: bigint): number {
  const digits = value.toString(16);
  return 4 * (digits.length - 1) + (32 - Math.clz32(Number.parseInt(digits[0] ?? '0', 16)));
}
