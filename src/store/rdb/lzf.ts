/**
 * LZF, by which Redis compresses strings in its dumps.
 *
 * ```
 * compressed := piece*
 * piece := 000nnnnn                       n + 1 bytes follow, as they are
 *        | lllddddd dddddddd              the l + 2 bytes that begin d + 1 bytes before
 *        | 111ddddd llllllll dddddddd     the same with l + 9
 * ```
 */

const LITERALS_MAX = 32;
const DISTANCE_MAX = 1 << 13;
const COPIED_MAX = 264;
/** Copies of more bytes have their length in a byte of its own. */
const SHORT_COPIED_MAX = 8;
/** So many bytes stand for {@link COPIED_MAX}. */
const LONG_COPY_BYTES = 3;
/** What a copy and the beginning of the next piece need at most. */
const ROOM_BYTES = 4;
const SLOT_BITS = 16;
const SLOTS_BASE_MAX = 0x7fff_ffff;

/**
 * Where three bytes that hash alike were seen last, counted on from one call to the next: what earlier calls left is below
 * `slotsBase`, and need not be cleared away (256 KB, for what may be a few bytes).
 */
const slots = new Int32Array(1 << SLOT_BITS);
let slotsBase = 0;

/** The slot of the three bytes at `at`. */
function slotOf(bytes: Uint8Array, at: number): number {
  const three = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
  return ((three >> (24 - SLOT_BITS)) - three * 5) & ((1 << SLOT_BITS) - 1);
}

/**
 * How many bytes at `from` are the same as at `at`, of which three are. Redis leaves the last two alone, unless it compares
 * sixteen at a time.
 */
function equalBytes(bytes: Uint8Array, from: number, at: number): number {
  const countMax = Math.min(bytes.length - at - 2, COPIED_MAX);
  let count = 3;
  if (countMax > 16) {
    while (count <= 18 && bytes[from + count] === bytes[at + count]) count++;
    if (count <= 18) return count;
  }
  while (count < countMax && bytes[from + count] === bytes[at + count]) count++;
  return count;
}

/**
 * The same in up to `lengthMax` bytes, or null. With the choices that Redis makes, so that the same value has the same dump.
 */
export function compress(bytes: Uint8Array, lengthMax: number): Buffer | null {
  if (lengthMax <= 0) return null;
  const out = Buffer.allocUnsafe(lengthMax);
  const end = bytes.length;
  if (slotsBase + end > SLOTS_BASE_MAX) {
    slots.fill(0);
    slotsBase = 0;
  }
  const base = slotsBase;
  slotsBase += end;
  let literals = 0;
  let at = 0;
  // Behind the first byte of a piece.
  let to = 1;
  const endPiece = (): void => {
    if (literals === 0) to--;
    else out[to - literals - 1] = literals - 1;
    literals = 0;
  };
  /** False where there is no room. */
  const literal = (): boolean => {
    if (to >= lengthMax) return false;
    out[to++] = bytes[at++] ?? 0;
    literals++;
    if (literals === LITERALS_MAX) {
      endPiece();
      to++;
    }
    return true;
  };
  while (at < end - 2) {
    const slot = slotOf(bytes, at);
    const from = (slots[slot] ?? 0) - base;
    slots[slot] = base + at;
    // Redis finds nothing at the beginning.
    const near = from > 0 && at - from <= DISTANCE_MAX;
    if (
      !near ||
      bytes[from] !== bytes[at] ||
      bytes[from + 1] !== bytes[at + 1] ||
      bytes[from + 2] !== bytes[at + 2]
    ) {
      if (!literal()) return null;
      continue;
    }
    if (to - (literals === 0 ? 1 : 0) + ROOM_BYTES >= lengthMax) return null;
    endPiece();
    const count = equalBytes(bytes, from, at);
    const distance = at - from - 1;
    if (count <= SHORT_COPIED_MAX) out[to++] = ((count - 2) << 5) | (distance >> 8);
    else {
      out[to++] = (7 << 5) | (distance >> 8);
      out[to++] = count - SHORT_COPIED_MAX - 1;
    }
    out[to++] = distance & 0xff;
    to++;
    at += count;
    if (at >= end - 2) break;
    // Of what was copied, only the end can be found again.
    for (const before of [at - 2, at - 1]) slots[slotOf(bytes, before)] = base + before;
  }
  if (to + 3 > lengthMax) return null;
  for (let left = end - at; left > 0; left--) literal();
  endPiece();
  return out.subarray(0, to);
}

/** What `compressed` stands for, which is known to have `length` bytes; null where it is something else. */
export function decompress(compressed: Uint8Array, length: number): Buffer | null {
  // Before anything is allocated: a few bytes must not ask for gigabytes.
  if (length > (compressed.length / LONG_COPY_BYTES) * COPIED_MAX) return null;
  const bytes = Buffer.alloc(length);
  let to = 0;
  for (let at = 0; at < compressed.length; ) {
    const control = compressed[at++] ?? 0;
    if (control < LITERALS_MAX) {
      const count = control + 1;
      if (at + count > compressed.length || to + count > length) return null;
      bytes.set(compressed.subarray(at, at + count), to);
      at += count;
      to += count;
      continue;
    }
    let count = control >> 5;
    if (count === 7) count += compressed[at++] ?? 0;
    count += 2;
    const from = to - ((control & 31) << 8) - (compressed[at++] ?? 0) - 1;
    if (at > compressed.length || from < 0 || to + count > length) return null;
    // Byte by byte: what is copied may be what was just written.
    for (let index = 0; index < count; index++) bytes[to + index] = bytes[from + index] ?? 0;
    to += count;
  }
  return to === length ? bytes : null;
}
