/**
 * Bloom filters as in RedisBloom: a set that forgets what was added, and knows with a small error whether something was. What
 * it calls missing was never added; what it calls there was, but for one in so many as the error rate says.
 *
 * A filter is an array of bits; an item sets some of them, at places that its hash gives. When as many items were added
 * as the filter was made for, a larger one is put behind it, with half the error rate, so that all of them together keep
 * to it: 1/2 + 1/4 + 1/8 + … Sizes, hashes and places are RedisBloom's own, so that BF.SCANDUMP and BF.LOADCHUNK carry filters from
 * one to the other:
 *
 * ```
 * header := size:u64  filters:u32  options:u32  expansion:u32  filter*                    all little-endian
 * filter := bytes:u64  bits:u64  size:u64  error:f64  bitsPerItem:f64  hashes:u32  capacity:u64  0:u8
 * ```
 *
 * In a snapshot the first part is that header, and every other one the number of a filter and a run of its bytes.
 */
import { type ByteReader, type ByteWriter } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES } from '../collection.ts';
import { Murmur64 } from '../murmur.ts';
import { Bytes, CHUNK_BYTES } from './bytes.ts';

/** The next filter has this part of the error rate of the one before it. */
const TIGHTENING = 0.5;
/** ln 2 and its square with the digits that RedisBloom has: for an error rate of 1/2^n the last one decides about a hash. */
const LN2 = 693_147_180_559_945 / 1e15;
const LN2_SQUARED = 0.480453013918201;
const SEED_HIGH = 0xc6a4_a793;
const SEED_LOW = 0x5bd1_e995;
/** The largest array, 8 GiB: places are computed exactly up to 2^37. */
const BITS_MAX = 2 ** 36;
/** More cannot come about by adding: the error rate would be 0. */
const FILTERS_MAX = 1100;
export const EXPANSION_MAX = 32_768;
export const EXPANSION_DEFAULT = 2;

/** Options of RedisBloom's header: sizes are not rounded, hashes have 64 bits, and no filter is put behind the first. */
const UNROUNDED = 1;
const HASH_64 = 4;
const FIXED = 8;
const HEADER_BYTES = 20;
const HEADER_FILTER_BYTES = 53;
/** What RedisBloom says that it takes besides the bits. */
const SIZE_OVERHEAD_BYTES = 32;
const FILTER_OVERHEAD_BYTES = 64;

interface Filter {
  /** How many items it is made for. */
  readonly capacity: number;
  readonly error: number;
  readonly bits: number;
  readonly hashes: number;
  /** How many items it has. */
  size: number;
  /** As far as something was ever written. */
  readonly array: Bytes;
}

export interface BloomOptions {
  readonly error: number;
  readonly capacity: number;
  /** How many times as large every filter is as the one before it; `null`: there is only one. */
  readonly expansion: number | null;
}

function bitsPerItem(error: number): number {
  return Math.abs(Math.log(error) / LN2_SQUARED);
}

/** A filter for so many items; null where that would be too large, or where nothing can be that exact. */
function filterOf(capacity: number, error: number): Filter | null {
  if (capacity < 1 || error <= 0 || error >= 1) return null;
  const each = bitsPerItem(error);
  const bits = 64 * Math.ceil(Math.max(1, Math.floor(capacity * each)) / 64);
  if (bits > BITS_MAX) return null;
  return { capacity, error, bits, hashes: Math.ceil(LN2 * each), size: 0, array: new Bytes() };
}

/** `number % divisor` for whole numbers below 2^53, several times as fast as the operator is beyond 32 bits. */
function modulo(number: number, divisor: number): number {
  const rest = number - Math.floor(number / divisor) * divisor;
  // The quotient may have been rounded up to the next whole number.
  return rest < 0 ? rest + divisor : rest;
}

const first = new Murmur64();
const second = new Murmur64();

/** Sets the two hashes that all places of an item come from. */
function hash(item: string): void {
  first.hash(item, SEED_HIGH, SEED_LOW);
  second.hash(item, first.high, first.low);
}

/** Whether the filter has all bits of the item that was hashed; `set`: from now on it has. */
function test({ bits, hashes, array }: Filter, set: boolean): boolean {
  let { high, low } = first;
  let found = true;
  for (let left = hashes; left > 0; left--) {
    // The 64 bits modulo the size, 16 of them at a time.
    const upper = modulo(modulo(high, bits) * 0x1_0000 + (low >>> 16), bits);
    const place = modulo(upper * 0x1_0000 + (low & 0xffff), bits);
    const at = Math.floor(place / 8);
    const byte = array.at(at);
    const bit = 1 << (place % 8);
    if ((byte & bit) === 0) {
      if (!set) return false;
      found = false;
      array.set(at, byte | bit);
    }
    low += second.low;
    high = (high + second.high + (low > 0xffff_ffff ? 1 : 0)) >>> 0;
    low >>>= 0;
  }
  return found;
}

export class BloomFilter implements Collection {
  readonly type = 'MBbloom--';
  readonly encoding = 'raw';
  readonly expiring = null;
  #filters: Filter[] = [];
  #expansion: number | null = null;

  /** One that was reserved stays, even empty. */
  get vanishes(): boolean {
    return this.#filters.length === 0;
  }

  get bytes(): number {
    return COLLECTION_OVERHEAD_BYTES + this.reportedBytes;
  }

  /** What BF.INFO gives as the size. */
  get reportedBytes(): number {
    return this.#sum(({ bits }) => FILTER_OVERHEAD_BYTES + bits / 8) + SIZE_OVERHEAD_BYTES;
  }

  /** How many items can be added altogether before it must grow. */
  get capacity(): number {
    return this.#sum(({ capacity }) => capacity);
  }

  /** How many items were added that it didn't know. */
  get size(): number {
    return this.#sum(({ size }) => size);
  }

  get filters(): number {
    return this.#filters.length;
  }

  get expansion(): number | null {
    return this.#expansion;
  }

  /** Bytes, hashes, capacity and size of each filter. */
  get details(): { bytes: number; hashes: number; capacity: number; size: number }[] {
    return this.#filters.map(({ bits, hashes, capacity, size }) => ({
      bytes: bits / 8,
      hashes,
      capacity,
      size,
    }));
  }

  fork(): BloomFilter {
    const fork = new BloomFilter();
    fork.#expansion = this.#expansion;
    fork.#filters = this.#filters.map((filter) => ({ ...filter, array: filter.array.fork() }));
    return fork;
  }

  /** Prepares a new filter; false where that can't be, and nothing comes of it. */
  reserve({ error, capacity, expansion }: BloomOptions): boolean {
    // One that grows begins with half the error rate, so that the sum of all is right.
    const filter = filterOf(capacity, expansion === null ? error : error * TIGHTENING);
    if (filter === null) return false;
    this.#filters = [filter];
    this.#expansion = expansion;
    return true;
  }

  has(item: string): boolean {
    hash(item);
    // Most items are in the last one.
    for (let at = this.#filters.length - 1; at >= 0; at--)
      if (test(this.#filters[at] as Filter, false)) return true;
    return false;
  }

  /** Whether an item that it doesn't know can be added: `full` where it must not grow, `stuck` where it can't. */
  get room(): 'free' | 'full' | 'stuck' {
    const last = this.#filters.at(-1);
    if (last !== undefined && last.size < last.capacity) return 'free';
    if (this.#expansion === null) return 'full';
    return this.#next() === null ? 'stuck' : 'free';
  }

  /** Adds an item that it doesn't know; there must be room. */
  add(item: string): void {
    let last = this.#filters.at(-1);
    if (last === undefined || last.size >= last.capacity) {
      last = this.#next() ?? undefined;
      if (last === undefined) return;
      this.#filters.push(last);
    }
    hash(item);
    test(last, true);
    last.size++;
  }

  /** The filter that is to be put behind the last one. */
  #next(): Filter | null {
    const last = this.#filters.at(-1);
    if (last === undefined || this.#filters.length >= FILTERS_MAX) return null;
    return filterOf(last.capacity * (this.#expansion ?? 0), last.error * TIGHTENING);
  }

  #sum(of: (filter: Filter) => number): number {
    return this.#filters.reduce((sum, filter) => sum + of(filter), 0);
  }

  // --- Dumps -----------------------------------------------------------------------------------------------------

  header(): Buffer {
    const header = Buffer.alloc(HEADER_BYTES + HEADER_FILTER_BYTES * this.#filters.length);
    header.writeBigUInt64LE(BigInt(this.size), 0);
    header.writeUInt32LE(this.#filters.length, 8);
    header.writeUInt32LE(UNROUNDED | HASH_64 | (this.#expansion === null ? FIXED : 0), 12);
    header.writeUInt32LE(this.#expansion ?? EXPANSION_DEFAULT, 16);
    for (const [index, { bits, size, error, hashes, capacity }] of this.#filters.entries()) {
      const at = HEADER_BYTES + HEADER_FILTER_BYTES * index;
      for (const [place, number] of [bits / 8, bits, size].entries())
        header.writeBigUInt64LE(BigInt(number), at + 8 * place);
      header.writeDoubleLE(error, at + 24);
      header.writeDoubleLE(bitsPerItem(error), at + 32);
      header.writeUInt32LE(hashes, at + 40);
      header.writeBigUInt64LE(BigInt(capacity), at + 44);
    }
    return header;
  }

  /** Makes a new filter what the header says, with all bits clear; false where that can't be. */
  loadHeader(header: Buffer): boolean {
    if (header.length < HEADER_BYTES) return false;
    const count = header.readUInt32LE(8);
    const options = header.readUInt32LE(12);
    const expansion = header.readUInt32LE(16);
    if (count === 0 || count > FILTERS_MAX || header.length !== HEADER_BYTES + HEADER_FILTER_BYTES * count)
      return false;
    if ((options & ~FIXED) !== (UNROUNDED | HASH_64)) return false;
    const fixed = (options & FIXED) !== 0;
    if (!fixed && (expansion < 1 || expansion > EXPANSION_MAX)) return false;
    const filters: Filter[] = [];
    for (let at = HEADER_BYTES; at < header.length; at += HEADER_FILTER_BYTES) {
      const [bytes, bits, size] = [0, 8, 16].map((offset) => Number(header.readBigUInt64LE(at + offset)));
      const error = header.readDoubleLE(at + 24);
      const each = header.readDoubleLE(at + 32);
      const hashes = header.readUInt32LE(at + 40);
      const capacity = Number(header.readBigUInt64LE(at + 44));
      if (bytes === undefined || bits === undefined || size === undefined) return false;
      if (bits !== 8 * bytes || bytes % 8 !== 0 || bits === 0 || bits > BITS_MAX || header[at + 52] !== 0)
        return false;
      // Not equal: the logarithm may have been computed elsewhere.
      if (!(error > 0 && error < 1) || !(Math.abs(each - bitsPerItem(error)) < 1e-6)) return false;
      if (hashes !== Math.ceil(LN2 * each) || hashes === 0) return false;
      if (!Number.isSafeInteger(capacity) || capacity < 1 || !Number.isSafeInteger(size)) return false;
      filters.push({ capacity, error, bits, hashes, size, array: new Bytes() });
    }
    this.#filters = filters;
    this.#expansion = fixed ? null : expansion;
    return Number.isSafeInteger(this.size) && header.readBigUInt64LE(0) === BigInt(this.size);
  }

  /** Bytes of the arrays, as if those were one, from `from` on: up to `bytesMax`, all of the same array; null at the end. */
  dump(from: number, bytesMax: number): string | null {
    const found = this.#at(from);
    if (found === null) return null;
    const { filter, offset } = found;
    const length = Math.min(bytesMax, filter.bits / 8 - offset);
    return filter.array.slice(offset, offset + length).padEnd(length, '\0');
  }

  /** Whether `load` can put so many bytes there. */
  fits(from: number, length: number): 'fits' | 'nowhere' | 'too long' {
    const found = this.#at(from);
    if (found === null) return 'nowhere';
    return length <= found.filter.bits / 8 - found.offset ? 'fits' : 'too long';
  }

  load(from: number, bytes: string): void {
    const found = this.#at(from);
    found?.filter.array.write(found.offset, bytes);
  }

  #at(from: number): { readonly filter: Filter; readonly offset: number } | null {
    let offset = from;
    for (const filter of this.#filters) {
      if (offset < filter.bits / 8) return { filter, offset };
      offset -= filter.bits / 8;
    }
    return null;
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    if (cursor === 0) {
      writer.bytes(this.header());
      return this.#filters.length === 0 ? null : 1;
    }
    // Behind the header, the cursor counts the chunks of all arrays; an array that nothing was written to has one.
    let chunk = cursor - 1;
    for (const [index, { array }] of this.#filters.entries()) {
      const chunks = Math.max(1, Math.ceil(array.length / CHUNK_BYTES));
      if (chunk >= chunks) {
        chunk -= chunks;
        continue;
      }
      writer.varint(index);
      const next = array.encode(chunk, writer, bytesMax);
      if (next !== null) return cursor + next - chunk;
      return index === this.#filters.length - 1 ? null : cursor + chunks - chunk;
    }
    return null;
  }

  decode(reader: ByteReader): void {
    if (this.#filters.length === 0) {
      const header = reader.view(reader.remaining, 'the header of a Bloom filter');
      if (!this.loadHeader(header)) reader.fail('the header of a Bloom filter that can not be before');
      return;
    }
    const filter = this.#filters[reader.varint('the number of a filter')];
    if (filter === undefined) reader.fail('a filter that is not there before');
    filter.array.decode(reader, filter.bits / 8);
  }
}
