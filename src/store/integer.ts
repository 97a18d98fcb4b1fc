/**
 * Redis's integers: 64 bits with a sign, in one canonical spelling (no blanks, no `+`, no leading zeros, no `-0`).
 * They are numbers below 2^53 and BigInt only beyond, because BigInt costs an allocation per operation.
 */
export type Integer = number | bigint;

const MIN = -(2n ** 63n);
const MAX = 2n ** 63n - 1n;
/** `-9223372036854775808` */
const MAX_CHARACTERS = 20;

/** The integer that `text` spells, or undefined. */
export function parseInteger(text: string): Integer | undefined {
  const length = text.length;
  if (length === 0 || length > MAX_CHARACTERS) return undefined;
  const start = text.charCodeAt(0) === 0x2d ? 1 : 0;
  if (start === length) return undefined;
  // A zero may only stand alone.
  if (text.charCodeAt(start) === 0x30) return length === 1 ? 0 : undefined;
  let value = 0;
  for (let at = start; at < length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  if (value <= Number.MAX_SAFE_INTEGER) return start === 1 ? -value : value;
  const big = BigInt(text);
  return big >= MIN && big <= MAX ? big : undefined;
}

/** The sum, or undefined when it leaves the 64 bits. */
export function addIntegers(left: Integer, right: Integer): Integer | undefined {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return narrowed(BigInt(left) + BigInt(right));
}

/** The sum of counters that wrap around at 64 bits, as C's do. */
export function addWrapping(left: Integer, right: Integer): Integer {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const wrapped = BigInt.asIntN(64, BigInt(left) + BigInt(right));
  const small = Number(wrapped);
  return Number.isSafeInteger(small) ? small : wrapped;
}

/** The product, or undefined when it leaves the 64 bits. */
export function multiplyIntegers(left: Integer, right: Integer): Integer | undefined {
  if (typeof left === 'number' && typeof right === 'number') {
    const product = left * right;
    // `+ 0` turns -0, which 0 × -1 yields, into 0.
    if (Number.isSafeInteger(product)) return product + 0;
  }
  return narrowed(BigInt(left) * BigInt(right));
}

/** `-value`, or undefined for the smallest integer, which has no counterpart. */
export function negateInteger(value: Integer): Integer | undefined {
  return typeof value === 'number' ? (value === 0 ? 0 : -value) : narrowed(-value);
}

/** The nearest number below 2^53 in size, for positions and deadlines where nothing larger makes a difference. */
export function clampInteger(value: Integer): number {
  if (typeof value === 'number') return value;
  return value < 0n ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
}

function narrowed(value: bigint): Integer | undefined {
  if (value < MIN || value > MAX) return undefined;
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value;
}
