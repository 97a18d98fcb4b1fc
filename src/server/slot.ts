/**
 * Redis Cluster's hash slots. One shard holds them all, so they decide nothing here; cluster clients still route by
 * them and remember a MOVED by its slot.
 */
export const SLOTS = 16384;

/** CRC-16/XMODEM (polynomial 0x1021), the one Redis Cluster is defined by. */
const TABLE: Uint16Array = table();

function table(): Uint16Array {
  return Uint16Array.from({ length: 256 }, (_unused, byte) => {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    return crc & 0xffff;
  });
}

/** The slot of a key: of what stands between its first `{` and the next `}`, if that is not empty. */
export function keySlot(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const tagged = close > open + 1;
  const end = tagged ? close : key.length;
  let crc = 0;
  for (let at = tagged ? open + 1 : 0; at < end; at += 1) {
    crc = ((crc << 8) & 0xffff) ^ (TABLE[((crc >> 8) ^ key.charCodeAt(at)) & 0xff] ?? 0);
  }
  return crc % SLOTS;
}
