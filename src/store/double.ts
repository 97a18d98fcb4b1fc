/**
 * Doubles as C's `strtod` reads them and as RESP spells them: decimal and hexadecimal, with exponents, and infinities by
 * name. JavaScript's own conversion knows neither hexadecimal fractions nor `inf`, and takes blanks and an empty text.
 */

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const HEXADECIMAL = /^([+-]?)0x(?=\.?[\da-f])([\da-f]*)\.?([\da-f]*)(?:p([+-]?\d+))?$/i;
const INFINITY = /^([+-]?)inf(?:inity)?$/i;
/** No digit but 0 before the exponent. */
const ZERO = /^[+-]?(?:0x)?[0.]+(?:[ep].*)?$/i;

/** Hexadecimal digits that decide how a number is rounded; what follows them only counts as "more" or "nothing". */
const DIGITS_MAX = 16;
/** The bits of a double's mantissa, and the power of two of the last bit of the smallest double. */
const MANTISSA_BITS = 53;
const EXPONENT_MIN = -1074;
const EXPONENT_MAX = 1023;

/**
 * The number that an argument spells, or undefined: for what is no number, for NaN, and for one so large or so small that
 * only an infinity or 0 would be left of it.
 */
export function parseDouble(text: string): number | undefined {
  const value = read(text);
  if (value === 0) return ZERO.test(text) ? value : undefined;
  if (value === Infinity || value === -Infinity) return INFINITY.test(text) ? value : undefined;
  return value;
}

/**
 * The same for the bounds of a range, where Redis looks less closely: blanks may stand in front, what is too large is
 * infinite, what is too small is 0, as is nothing at all, and a zero byte ends the text.
 */
export function parseBoundDouble(text: string): number | undefined {
  const end = text.indexOf('\0');
  const whole = end === -1 ? text : text.slice(0, end);
  return whole === '' ? 0 : read(whole.replace(/^[ \t\n\v\f\r]+/, ''));
}

/** A double as RESP spells it: the shortest digits that read back as the same number. */
export function doubleText(value: number): string {
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (Number.isNaN(value)) return 'nan';
  return Object.is(value, -0) ? '-0' : String(value);
}

/**
 * As C prints `%.<decimals>f`: so many decimals, at least one, rounded to the nearest, of two equally near ones to the even one. JavaScript's
 * `toFixed` rounds those up and gives up at 10^21.
 */
export function fixedText(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return doubleText(value);
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.${'0'.repeat(decimals)}`;
  if (Object.is(value, -0)) return `-${(0).toFixed(decimals)}`;
  // In the middle between two is only what has one binary place more than decimals, and all its decimals are few.
  const half = value * 2 ** (decimals + 1);
  if (Number.isInteger(half) && half % 2 !== 0) {
    const exact = value.toFixed(decimals + 1);
    if (Number(exact.at(-2)) % 2 === 0) return exact.slice(0, -1);
  }
  return value.toFixed(decimals);
}

function read(text: string): number | undefined {
  if (DECIMAL.test(text)) return Number(text);
  const infinity = INFINITY.exec(text);
  if (infinity !== null) return infinity[1] === '-' ? -Infinity : Infinity;
  const hexadecimal = HEXADECIMAL.exec(text);
  if (hexadecimal === null) return undefined;
  const [, sign = '', whole = '', fraction = '', power = '0'] = hexadecimal;
  const value = readHexadecimal(whole, fraction, Number(power));
  return sign === '-' ? -value : value;
}

/** 0x`whole`.`fraction` × 2^`power`, to the nearest double, of two equally near ones the even one. */
function readHexadecimal(whole: string, fraction: string, power: number): number {
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return 0;
  const kept = digits.slice(0, DIGITS_MAX);
  // One digit more stands for all that were left out.
  const rest = digits.length <= DIGITS_MAX ? '' : /[^0]/.test(digits.slice(DIGITS_MAX)) ? '1' : '0';
  const mantissa = BigInt(`0x${kept}${rest}`);
  const exponent = power + 4 * (digits.length - kept.length - rest.length - fraction.length);
  const bits = mantissa.toString(2).length;
  const highest = exponent + bits - 1;
  if (highest > EXPONENT_MAX) return Infinity;
  if (highest < EXPONENT_MIN - 1) return 0;
  const last = Math.max(highest - (MANTISSA_BITS - 1), EXPONENT_MIN);
  const shift = last - exponent;
  if (shift <= 0) return Number(mantissa) * 2 ** exponent;
  const quotient = mantissa >> BigInt(shift);
  const twice = (mantissa - (quotient << BigInt(shift))) * 2n;
  const divisor = 1n << BigInt(shift);
  const up = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  return Number(up ? quotient + 1n : quotient) * 2 ** last;
}
