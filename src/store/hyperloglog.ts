/**
 * HyperLogLogs: how many different elements were added, to within 0.81 %, in 12 KB at most. They are strings, byte for byte
 * those of Redis, so that GET, SET and RESTORE carry them from one to the other.
 *
 * An element's hash chooses one of 16384 registers with its lower 14 bits; the register keeps the longest run of zeros, plus
 * one, that the upper 50 bits of its elements began with. Whoever adds an element again changes nothing.
 *
 * ```
 * sketch  := "HYLL"  encoding:u8  0 0 0  cardinality:u64le  registers        the top bit of the cardinality: it is out of date
 * dense   (encoding 0) := 16384 registers of 6 bits, the lowest bits of a byte first
 * sparse  (encoding 1) := (00nnnnnn | 01nnnnnn nnnnnnnn | 1vvvvvnn)*         n + 1 registers of 0, the same, of v + 1
 * ```
 *
 * A sparse sketch becomes dense when it would be longer than {@link SPARSE_BYTES_MAX}, or when a register doesn't fit. Which
 * opcodes follow each other depends on the way the registers came about; so as to have the same bytes as Redis, a register
 * is raised with the very steps that Redis takes.
 *
 * The cardinality in the head: Redis's PFCOUNT puts it there. Here a read changes nothing, so PFCOUNT uses a number that is up
 * to date (from a sketch that Redis made) and computes it otherwise (0.2 ms); those 8 bytes are what can differ.
 */
import { Murmur64 } from './murmur.ts';
import { Bytes } from './types/bytes.ts';
import { byteAt, type PlainString, textOf } from './value.ts';

export const REGISTERS = 16_384;
const HEAD_BYTES = 16;
const DENSE_BYTES: number = HEAD_BYTES + (REGISTERS * 6) / 8;
/** Redis's `hll-sparse-max-bytes`. */
const SPARSE_BYTES_MAX = 3000;
/** The highest bit of the cardinality's last byte. */
const STALE_AT = 15;
const STALE = 0x80;
/** Of the hash, those that don't choose the register. */
const RUN_BITS = 50;
const SEED = 0xadc8_3b19;

const VALUE_MAX = 32;
const VALUE_RUN_MAX = 4;
const ZEROS_SHORT_MAX = 64;

/** A sketch of nothing: one run of 16384 zeros. */
export const EMPTY_SKETCH: string = `HYLL\x01${'\0'.repeat(HEAD_BYTES - 5)}\x7f\xff`;

/** Whether the string looks like a sketch; its registers may still be nonsense. */
export function isSketch(value: PlainString): boolean {
  if (value.length < HEAD_BYTES || value.slice(0, 4) !== 'HYLL') return false;
  return isDense(value) ? value.length === DENSE_BYTES : byteAt(value, 4) === 1;
}

export function isDense(value: PlainString): boolean {
  return byteAt(value, 4) === 0;
}

// --- Elements ----------------------------------------------------------------------------------------------------

/** A register and the value that it must have at least: `register << 6 | value`. */
export type Mark = number;

const murmur = new Murmur64();

/** The register of an element, and how long the run of zeros in its hash is. */
export function markOf(element: string): Mark {
  murmur.hash(element, 0, SEED);
  const { high, low } = murmur;
  // The 18 bits of the lower half that are left, then the 32 of the upper one.
  const lower = low >>> 14;
  const zeros = lower !== 0 ? lowestBit(lower) : high !== 0 ? 18 + lowestBit(high) : RUN_BITS;
  return ((low & (REGISTERS - 1)) << 6) | (zeros + 1);
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

// --- Dense -------------------------------------------------------------------------------------------------------

export function denseRegister(sketch: PlainString, register: number): number {
  const at = HEAD_BYTES + ((register * 6) >> 3);
  const shift = (register * 6) & 7;
  return ((byteAt(sketch, at) | (byteAt(sketch, at + 1) << 8)) >> shift) & 63;
}

/** Raises registers of a dense sketch and marks its cardinality as out of date. */
export function raiseDense(sketch: Bytes, marks: readonly Mark[]): void {
  for (const mark of marks) {
    const [register, value] = [mark >> 6, mark & 63];
    if (denseRegister(sketch, register) >= value) continue;
    const at = HEAD_BYTES + ((register * 6) >> 3);
    const shift = (register * 6) & 7;
    const word = (sketch.at(at) | (sketch.at(at + 1) << 8)) & ~(63 << shift);
    sketch.set(at, (word | (value << shift)) & 0xff);
    if (shift > 2) sketch.set(at + 1, (word | (value << shift)) >> 8);
  }
  sketch.set(STALE_AT, sketch.at(STALE_AT) | STALE);
}

// --- Sparse ------------------------------------------------------------------------------------------------------

const isValue = (opcode: number): boolean => opcode >= 0x80;
const isLong = (opcode: number): boolean => (opcode & 0xc0) === 0x40;
const valueOf = (opcode: number): number => ((opcode >> 2) & 31) + 1;
const valueOpcode = (value: number, run: number): number => 0x80 | ((value - 1) << 2) | (run - 1);

/** So many zeros: one byte or two. */
function zeroOpcode(run: number): number[] {
  return run > ZEROS_SHORT_MAX ? [0x40 | ((run - 1) >> 8), (run - 1) & 0xff] : [run - 1];
}

/** How many registers the opcode at `at` is about. */
function runAt(bytes: Uint8Array, at: number): number {
  const opcode = bytes[at] ?? 0;
  if (isValue(opcode)) return (opcode & 3) + 1;
  return (isLong(opcode) ? ((opcode & 63) << 8) | (bytes[at + 1] ?? 0) : opcode) + 1;
}

/** Calls `visit` for every opcode, with the value of its registers; false if they are not as many as there must be. */
function visitRuns(bytes: Uint8Array, visit: (first: number, run: number, value: number) => void): boolean {
  let first = 0;
  for (let at = HEAD_BYTES; at < bytes.length; ) {
    const opcode = bytes[at] ?? 0;
    const run = runAt(bytes, at);
    if (isValue(opcode)) {
      if (first + run > REGISTERS) return false;
      visit(first, run, valueOf(opcode));
    } else visit(first, run, 0);
    first += run;
    at += isLong(opcode) ? 2 : 1;
  }
  return first === REGISTERS;
}

/** Where sketches of the usual size are changed. */
const DESK = Buffer.alloc(2 * SPARSE_BYTES_MAX);

/** A sparse sketch that is being changed. One at a time. */
export class SparseSketch {
  readonly #bytes: Buffer;
  #length: number;

  constructor(text: string) {
    // An element lengthens it by three bytes at most, and not beyond the limit.
    this.#bytes = text.length + 8 <= DESK.length ? DESK : Buffer.alloc(text.length + 8);
    this.#length = this.#bytes.write(text, 'latin1');
  }

  toString(): string {
    return this.#bytes.toString('latin1', 0, this.#length);
  }

  /** The same as a dense sketch, with a cardinality that is out of date; null where it is corrupt. */
  toDense(): Bytes | null {
    const bytes = this.#bytes.subarray(0, this.#length);
    const dense = new Bytes();
    dense.write(0, `HYLL\0${bytes.toString('latin1', 5, HEAD_BYTES)}`);
    dense.grow(DENSE_BYTES);
    const marks: Mark[] = [];
    const valid = visitRuns(bytes, (first, run, value) => {
      if (value === 0) return;
      for (let register = first; register < first + run; register++) marks.push((register << 6) | value);
    });
    if (!valid) return null;
    raiseDense(dense, marks);
    return dense;
  }

  /** `full`: the register can't be raised in a sparse sketch. */
  raise(mark: Mark): 'raised' | 'same' | 'full' | 'corrupt' {
    const [register, value] = [mark >> 6, mark & 63];
    if (value > VALUE_MAX) return 'full';
    const bytes = this.#bytes;
    // The opcode that the register is in, the one before it, and its first register.
    let [at, before, first, run] = [HEAD_BYTES, -1, 0, 0];
    // Behind the end is what an earlier sketch left.
    bytes[this.#length] = 0;
    for (; at < this.#length; first += run) {
      run = runAt(bytes, at);
      if (register < first + run) break;
      before = at;
      at += isLong(bytes[at] ?? 0) ? 2 : 1;
    }
    if (run === 0 || at >= this.#length) return 'corrupt';
    const opcode = bytes[at] ?? 0;
    const there = isValue(opcode) ? valueOf(opcode) : 0;
    if (there >= value) return 'same';
    if (run === 1 && !isLong(opcode)) bytes[at] = valueOpcode(value, 1);
    else {
      const [left, right] = [register - first, first + run - 1 - register];
      const split = (registers: number): number[] =>
        registers === 0 ? [] : there > 0 ? [valueOpcode(there, registers)] : zeroOpcode(registers);
      const opcodes = [...split(left), valueOpcode(value, 1), ...split(right)];
      const old = isLong(opcode) ? 2 : 1;
      const growth = opcodes.length - old;
      if (growth > 0 && this.#length + growth > SPARSE_BYTES_MAX) return 'full';
      bytes.copyWithin(at + opcodes.length, at + old, this.#length);
      bytes.set(opcodes, at);
      this.#length += growth;
    }
    this.#join(before === -1 ? HEAD_BYTES : before);
    this.makeStale();
    return 'raised';
  }

  /** Marks the cardinality as out of date. */
  makeStale(): void {
    this.#bytes[STALE_AT] = (this.#bytes[STALE_AT] ?? 0) | STALE;
  }

  /** Makes one opcode of neighbours with the same value, among the next five. */
  #join(from: number): void {
    const bytes = this.#bytes;
    let at = from;
    for (let left = 5; left > 0 && at < this.#length; left--) {
      const opcode = bytes[at] ?? 0;
      const next = bytes[at + 1] ?? 0;
      if (isValue(opcode) && at + 1 < this.#length && isValue(next) && valueOf(opcode) === valueOf(next)) {
        const run = runAt(bytes, at) + runAt(bytes, at + 1);
        if (run <= VALUE_RUN_MAX) {
          bytes[at + 1] = valueOpcode(valueOf(opcode), run);
          bytes.copyWithin(at, at + 1, this.#length);
          this.#length--;
          continue;
        }
      }
      at += isLong(opcode) ? 2 : 1;
    }
  }
}

// --- Counting ----------------------------------------------------------------------------------------------------

/** Raises `registers` to those of the sketch; false where it is corrupt. */
export function mergeInto(registers: Uint8Array, sketch: PlainString): boolean {
  const bytes = Buffer.from(textOf(sketch), 'latin1');
  if (isDense(sketch)) {
    for (let register = 0, at = HEAD_BYTES; register < REGISTERS; register += 4, at += 3) {
      // Four registers are three bytes.
      const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
      for (let index = 0; index < 4; index++) {
        const value = (word >> (6 * index)) & 63;
        if (value > (registers[register + index] ?? 0)) registers[register + index] = value;
      }
    }
    return true;
  }
  return visitRuns(bytes, (first, run, value) => {
    if (value === 0) return;
    for (let register = first; register < first + run; register++)
      if (value > (registers[register] ?? 0)) registers[register] = value;
  });
}

/** The cardinality in the head; null where it is out of date. */
export function cachedCardinality(sketch: PlainString): bigint | null {
  if ((byteAt(sketch, STALE_AT) & STALE) !== 0) return null;
  return Buffer.from(sketch.slice(8, HEAD_BYTES), 'latin1').readBigUInt64LE();
}

/** How many elements were added, about. Null: the sketch is corrupt. */
export function cardinalityOf(sketch: PlainString): number | bigint | null {
  const counts = new Uint32Array(64);
  if (isDense(sketch)) {
    const registers = new Uint8Array(REGISTERS);
    mergeInto(registers, sketch);
    return cardinality(registers);
  }
  const valid = visitRuns(Buffer.from(textOf(sketch), 'latin1'), (_, run, value) => {
    counts[value] = (counts[value] ?? 0) + run;
  });
  return valid ? estimate(counts) : null;
}

export function cardinality(registers: Uint8Array): number | bigint {
  const counts = new Uint32Array(64);
  for (const value of registers) counts[value] = (counts[value] ?? 0) + 1;
  return estimate(counts);
}

/** 0.5 / ln 2. */
const ALPHA = 0.7213475204444817;
/** What registers of nothing but nonsense give in Redis: a number that is no 64-bit integer. */
const NO_ESTIMATE = -(2n ** 63n);

/**
 * The estimate from how many registers have each value: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
 * sketches", arXiv:1702.01284, algorithm 6.
 */
function estimate(counts: Uint32Array): number | bigint {
  const of = (value: number): number => counts[value] ?? 0;
  let z = REGISTERS * tau((REGISTERS - of(RUN_BITS + 1)) / REGISTERS);
  for (let value = RUN_BITS; value >= 1; value--) z = (z + of(value)) * 0.5;
  z += REGISTERS * sigma(of(0) / REGISTERS);
  const result = Math.round((ALPHA * REGISTERS * REGISTERS) / z);
  if (result >= 2 ** 63) return NO_ESTIMATE;
  return Number.isSafeInteger(result) ? result : BigInt(result);
}

function sigma(of: number): number {
  if (of === 1) return Infinity;
  let [x, y, z, last] = [of, 1, of, -1];
  while (last !== z) {
    x *= x;
    last = z;
    z += x * y;
    y += y;
  }
  return z;
}

function tau(of: number): number {
  if (of === 0 || of === 1) return 0;
  let [x, y, z, last] = [of, 1, 1 - of, -1];
  while (last !== z) {
    x = Math.sqrt(x);
    last = z;
    y *= 0.5;
    z -= (1 - x) ** 2 * y;
  }
  return z / 3;
}
