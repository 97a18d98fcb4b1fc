/** CRC-64 with Jones's polynomial, reflected, as Redis ends its dumps; in halves of 32 bits. */

const POLYNOMIAL_HIGH = 0x95ac_9329;
const POLYNOMIAL_LOW = 0xac4b_c9b5;

const HIGH = new Uint32Array(256);
const LOW = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let [high, low] = [0, byte];
  for (let bit = 0; bit < 8; bit++) {
    const odd = (low & 1) === 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (odd) {
      low ^= POLYNOMIAL_LOW;
      high ^= POLYNOMIAL_HIGH;
    }
  }
  HIGH[byte] = high;
  LOW[byte] = low;
}

/** The checksum of bytes that come one part after the other. */
export class Crc64 {
  #high = 0;
  #low = 0;

  add(bytes: Uint8Array): this {
    let [high, low] = [this.#high, this.#low];
    for (let at = 0; at < bytes.length; at++) {
      const index = (low ^ (bytes[at] ?? 0)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (LOW[index] ?? 0);
      high = (high >>> 8) ^ (HIGH[index] ?? 0);
    }
    this.#high = high;
    this.#low = low;
    return this;
  }

  /** Of all that was added, as 8 bytes, the lowest first. */
  bytes(): Buffer {
    const checksum = Buffer.allocUnsafe(8);
    checksum.writeInt32LE(this.#low | 0, 0);
    checksum.writeInt32LE(this.#high | 0, 4);
    return checksum;
  }
}

export function crc64(bytes: Uint8Array): Buffer {
  return new Crc64().add(bytes).bytes();
}
