/** Numbers as C prints and reads them: `%.Ng` and `strtod`. JavaScript rounds ties away from zero, C to even. */

/** Digits behind those in question, by which a tie is told from a number next to one. */
const TIE_DIGITS = 30;

/** `%.{precision}g`; `precision` from 1 to 17. */
export function formatG(value: number, precision: number): string {
  if (Number.isNaN(value)) return '-nan';
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (Number.isInteger(value) && Math.abs(value) < 10 ** Math.min(precision, 15)) return String(value);
  const sign = value < 0 ? '-' : '';
  const [digits, exponent] = significant(Math.abs(value), precision);
  if (exponent < -4 || exponent >= precision) {
    const mantissa = withoutZeros(`${digits.slice(0, 1)}.${digits.slice(1)}`);
    const power = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${power}`;
  }
  if (exponent < 0) return `${sign}${withoutZeros(`0.${'0'.repeat(-exponent - 1)}${digits}`)}`;
  return `${sign}${withoutZeros(`${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`)}`;
}

/** The first digits of a positive number, rounded, and the power of ten of the first. */
function significant(value: number, precision: number): readonly [digits: string, exponent: number] {
  let [mantissa = '', power = ''] = value.toExponential(precision - 1).split('e');
  const [more = ''] = value.toExponential(precision + TIE_DIGITS).split('e');
  const tie = more.endsWith(`5${'0'.repeat(TIE_DIGITS)}`);
  const below = more.replace('.', '').slice(0, precision);
  // Between two numbers: the one with the even last digit.
  if (tie && Number(below.at(-1)) % 2 === 0) {
    mantissa = below;
    [, power = ''] = value.toExponential(precision + TIE_DIGITS).split('e');
  }
  return [mantissa.replace('.', ''), Number(power)];
}

/** Of a text with a decimal point. */
function withoutZeros(text: string): string {
  return text.replace(/\.?0*$/, '');
}

const NUMBER =
  /(?<sign>[+-]?)(?:0x(?<hex>[\da-f]+\.?[\da-f]*|\.[\da-f]+)(?:p(?<power>[+-]?\d+))?|(?<decimal>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(?<infinity>inf(?:inity)?)|(?<nan>nan(?:\(\w*\))?))/iy;

/** The number that `text` begins with at `at`, as `strtod` reads it, and where it ends; null where there is none. */
export function readNumber(
  text: string,
  at: number,
): { readonly value: number; readonly end: number; readonly negative: boolean } | null {
  NUMBER.lastIndex = at;
  const groups = NUMBER.exec(text)?.groups;
  if (groups === undefined) return null;
  const end = NUMBER.lastIndex;
  const negative = groups['sign'] === '-';
  const { hex, power = '0', decimal, infinity } = groups;
  let value = NaN;
  if (hex !== undefined) value = hexadecimal(hex, Number(power));
  else if (decimal !== undefined) value = Number(decimal);
  else if (infinity !== undefined) value = Infinity;
  return { value: negative ? -value : value, end, negative };
}

function hexadecimal(digits: string, power: number): number {
  const point = digits.indexOf('.');
  const fraction = point === -1 ? 0 : digits.length - point - 1;
  const whole = Number(BigInt(`0x${digits.replace('.', '') || '0'}`));
  const exponent = power - 4 * fraction;
  // In two steps: 2^exponent alone may be out of range.
  const half = Math.trunc(exponent / 2);
  return whole * 2 ** half * 2 ** (exponent - half);
}

const RANGE = 2 ** 63;

/** `(long long) value` on x86: what does not fit is the smallest number. */
export function toInt64(value: number): number | bigint {
  if (Number.isSafeInteger(Math.trunc(value))) return Math.trunc(value) + 0;
  if (value >= -RANGE && value < RANGE) return BigInt(Math.trunc(value));
  return -(2n ** 63n);
}
