/**
 * A compressed string. Every command takes it for the string that it is: whoever wants its bytes asks `plainOf` or `textOf`
 * (see `value.ts`), which decompress all of it, each time. Nothing changes it: a write puts a plain string in its place.
 *
 * No command makes one, for what a compressor writes is another thing in another release of Node, and all nodes of a cluster
 * must hold the same. Who has a store for himself puts them there: the library.
 *
 * ```
 * encoded := algorithm:u8  length  compressed       length: of the string; compressed is one, too
 * ```
 *
 * What is decoded is not tried: a checksum vouched for the bytes, and to decompress all values takes as long as all the rest of
 * a start.
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type ByteReader, type ByteWriter, MAX_STRING_BYTES } from '../bytes.ts';
import { type Collection, ELEMENT_OVERHEAD_BYTES } from '../collection.ts';
import { invariant } from '../invariant.ts';

export type Algorithm = 'gzip' | 'zstd';

/** As they are encoded: never to be changed. */
const NUMBERS: Readonly<Record<Algorithm, number>> = { gzip: 1, zstd: 2 };
/** Fast, and little is gained above it. */
const LEVEL = 1;
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } };

export class Packed implements Collection {
  readonly type = 'string';
  /** No string that fits into its head or is a number becomes shorter. */
  readonly encoding = 'raw';
  readonly expiring = null;
  #algorithm: Algorithm = 'zstd';
  #length = 0;
  /** A byte string, as that is the smallest that V8 has for bytes. */
  #compressed = '';

  /** The string compressed; null where that takes no less memory. */
  static of(text: string, algorithm: Algorithm): Packed | null {
    const bytes = Buffer.from(text, 'latin1');
    const compressed =
      algorithm === 'gzip' ? gzipSync(bytes, { level: LEVEL }) : zstdCompressSync(bytes, ZSTD);
    if (ELEMENT_OVERHEAD_BYTES + compressed.length >= text.length) return null;
    const packed = new Packed();
    packed.#algorithm = algorithm;
    packed.#length = text.length;
    packed.#compressed = compressed.latin1Slice();
    return packed;
  }

  /** Of the string. */
  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return ELEMENT_OVERHEAD_BYTES + this.#compressed.length;
  }

  /** Only before it is decoded. */
  get vanishes(): boolean {
    return this.#length === 0;
  }

  slice(from?: number, to?: number): string {
    return this.toString().slice(from, to);
  }

  toString(): string {
    const bytes = Buffer.from(this.#compressed, 'latin1');
    const options = { maxOutputLength: this.#length };
    const text = this.#algorithm === 'gzip' ? gunzipSync(bytes, options) : zstdDecompressSync(bytes, options);
    invariant(text.length === this.#length, 'a compressed value that has another length');
    return text.latin1Slice();
  }

  fork(): Packed {
    return this;
  }

  encode(_cursor: number, writer: ByteWriter): null {
    writer.byte(NUMBERS[this.#algorithm]);
    writer.varint(this.#length);
    writer.string(this.#compressed);
    return null;
  }

  decode(reader: ByteReader): void {
    if (this.#length > 0) reader.fail('a second part of a compressed string before');
    const number = reader.byte('an algorithm');
    if (number === NUMBERS.gzip) this.#algorithm = 'gzip';
    else if (number === NUMBERS.zstd) this.#algorithm = 'zstd';
    else reader.fail(`the unknown algorithm ${number} before`);
    this.#length = reader.varint('the length of a string');
    if (this.#length === 0 || this.#length > MAX_STRING_BYTES)
      reader.fail(`a compressed string of ${this.#length} bytes before`);
    this.#compressed = reader.string('a compressed string');
  }
}
