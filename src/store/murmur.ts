/**
 * MurmurHash64A, the 64-bit hash of Redis's HyperLogLogs and Bloom filters, on halves of 32 bits: BigInts take twenty times as long.
 */

const FACTOR_HIGH = 0xc6a4_a793;
const FACTOR_LOW = 0x5bd1_e995;

/** The upper 32 bits of the product of two numbers of 32 bits without a sign. */
function upperProduct(one: number, other: number): number {
  const [oneHigh, oneLow] = [one >>> 16, one & 0xffff];
  const [otherHigh, otherLow] = [other >>> 16, other & 0xffff];
  const middle = oneHigh * otherLow + ((oneLow * otherLow) >>> 16);
  const carry = (middle & 0xffff) + oneLow * otherHigh;
  return (oneHigh * otherHigh + Math.floor(middle / 0x1_0000) + Math.floor(carry / 0x1_0000)) | 0;
}

/** Hashes texts of bytes; one at a time, the result stays until the next. */
export class Murmur64 {
  /** The halves of the last hash, without a sign. */
  high = 0;
  low = 0;

  hash(text: string, seedHigh: number, seedLow: number): void {
    this.high = 0;
    this.low = text.length;
    this.#multiply();
    this.high ^= seedHigh;
    this.low ^= seedLow;
    const whole = text.length - (text.length % 8);
    for (let at = 0; at < whole; at += 8) {
      const [high, low] = [this.high, this.low];
      this.low = wordAt(text, at);
      this.high = wordAt(text, at + 4);
      this.#multiply();
      this.#shiftIn();
      this.#multiply();
      this.high ^= high;
      this.low ^= low;
      this.#multiply();
    }
    if (whole < text.length) {
      for (let at = whole; at < text.length; at++) {
        const place = at - whole;
        if (place < 4) this.low ^= text.charCodeAt(at) << (8 * place);
        else this.high ^= text.charCodeAt(at) << (8 * (place - 4));
      }
      this.#multiply();
    }
    this.#shiftIn();
    this.#multiply();
    this.#shiftIn();
    this.high >>>= 0;
    this.low >>>= 0;
  }

  /** Times the factor, in 64 bits. */
  #multiply(): void {
    const { high, low } = this;
    this.high =
      (upperProduct(low >>> 0, FACTOR_LOW) + Math.imul(low, FACTOR_HIGH) + Math.imul(high, FACTOR_LOW)) | 0;
    this.low = Math.imul(low, FACTOR_LOW);
  }

  /** Its upper 17 bits are combined with its lowest. */
  #shiftIn(): void {
    this.low ^= this.high >>> 15;
  }
}

/** Four characters from `at` on, the first one lowest. */
function wordAt(text: string, at: number): number {
  return (
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)
  );
}
