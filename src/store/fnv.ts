/** FNV-1a (draft-eastlake-fnv) over the bytes of a byte string: 32 bits, the upper half folded into the lower one. */
export function fnv1a(bytes: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ bytes.charCodeAt(at), 0x01000193);
  return hash ^ (hash >>> 16);
}
