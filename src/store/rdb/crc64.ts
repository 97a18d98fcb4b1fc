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

/** The checksum as 8 bytes, the lowest first. */
export function crc64(bytes: Uint8Array): Buffer {
  let [high, low] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const index = (low ^ (bytes[at] ?? 0)) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (LOW[index] ?? 0);
    high = (high >>> 8) ^ (HIGH[index] ?? 0);
  }
  const checksum = Buffer.allocUnsafe(8);
  checksum.writeInt32LE(low | 0, 0);
  checksum.writeInt32LE(high | 0, 4);
  return checksum;
}
