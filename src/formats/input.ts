/**
 * Reads a file record by record, in bounded memory.
 *
 * A parser of a record is a plain function over what has arrived. Where the bytes don't suffice it is simply run again when
 * there are at least twice as many: so parsers need no states of their own, and what is read twice is at most as
 * much as what is read once. Only what has arrived is ever allocated, whatever a damaged length announces.
 */
import { ByteReader, MAX_STRING_BYTES } from '../store/bytes.ts';
import type { Crc64 } from '../store/rdb/crc64.ts';
import { readUnsigned } from '../store/rdb/primitives.ts';

/** No record is longer: what is longer could not be a value, either. */
export const RECORD_BYTES_MAX: number = MAX_STRING_BYTES + 64 * 1024;
const FOUND_BYTES = 16;

const EMPTY: Buffer = Buffer.alloc(0);

/** The bytes at `offset` are not what they should be. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile';
  readonly file: string;
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  /** Where the file just ends too early: everything before this offset is whole. */
  readonly wholeTo: number | null;

  constructor(
    file: string,
    {
      offset,
      expected,
      found,
      wholeTo = null,
    }: Omit<Damage, 'wholeTo'> & { readonly wholeTo?: number | null },
  ) {
    super(`${file} is damaged at byte ${offset}: expected ${expected}, found ${found}`);
    this.file = file;
    this.offset = offset;
    this.expected = expected;
    this.found = found;
    this.wholeTo = wholeTo;
  }
}

type Damage = Pick<DamagedFile, 'offset' | 'expected' | 'found' | 'wholeTo'>;

/** More bytes are needed. */
class Short extends Error {
  readonly what: string;
  /** How many there must be from the beginning of the record. */
  readonly needed: number;

  constructor(what: string, needed: number) {
    super(what);
    this.what = what;
    this.needed = needed;
  }
}

/** What a parser sees of a file: the bytes of a record from its beginning on, as many as have arrived. */
export class Cursor extends ByteReader {
  /** There are no more bytes than these. */
  readonly last: boolean;
  readonly #file: string;
  readonly #record: Buffer;
  readonly #start: number;

  constructor(file: string, record: Buffer, start: number, last: boolean) {
    super(record, start);
    this.#file = file;
    this.#record = record;
    this.#start = start;
    this.last = last;
  }

  /** How many bytes of the record were read. */
  get taken(): number {
    return this.offset - this.#start;
  }

  /** What was read since the record had `from` bytes. */
  since(from: number): Buffer {
    return this.#record.subarray(from, this.taken);
  }

  /** What has arrived and was not read, left where it is. */
  ahead(): Buffer {
    return this.#record.subarray(this.taken);
  }

  /** Says that the bytes at `offset` are not what was expected. */
  wrong(expected: string, offset: number = this.offset, found?: string): never {
    throw new DamagedFile(this.#file, {
      offset,
      expected,
      found: found ?? foundIn(this.#record.subarray(offset - this.#start)),
    });
  }

  /** So many bytes must be there for `what`. */
  need(count: number, what: string): void {
    if (this.remaining < count) this.lack(count, what);
  }

  /** So many bytes are needed for `what`, and are not there. */
  lack(count: number, what: string): never {
    throw new Short(what, this.taken + count);
  }

  u32(what: string): number {
    return this.view(4, what).readUInt32BE();
  }

  /** Bytes whose number stands before them in four bytes, the highest first or last. */
  sized(what: string, littleEndian = false): Buffer {
    const from = this.offset;
    const header = this.view(4, `the length of ${what}`);
    const size = littleEndian ? header.readUInt32LE() : header.readUInt32BE();
    if (size > MAX_STRING_BYTES)
      this.wrong(`${what} of at most ${MAX_STRING_BYTES} bytes`, from, `a length of ${size}`);
    return this.view(size, what);
  }

  /** A length as Redis's snapshots have it. */
  length(what: string): number {
    return Number(readUnsigned(this, what));
  }

  /** Both are called by what the store reads dumps with. */
  override fail(what: string): never {
    return this.wrong('what Redis writes', this.offset, what.replace(/ before$/, ''));
  }

  protected override short(count: number, what: string): never {
    return this.lack(count, what);
  }
}

function foundIn(bytes: Buffer): string {
  if (bytes.length === 0) return 'the end of the file';
  const start = bytes.subarray(0, FOUND_BYTES);
  const text = start.toString('latin1').replaceAll(/[^ -~]/g, '.');
  const hex = start.toString('hex').replaceAll(/(..)(?=.)/g, '$1 ');
  return `${hex} (${JSON.stringify(text)})`;
}

/** One file. */
export class Input {
  /** As errors name it. */
  readonly file: string;
  /** Is fed what is read from now on. */
  checksum: Crc64 | null = null;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #recordBytesMax: number;
  readonly #ahead: boolean;
  #buffer: Buffer = EMPTY;
  /** Where in the file the buffer begins. */
  #base = 0;
  /** What of the buffer was read. */
  #at = 0;
  #ended = false;

  /** `ahead`: more may be read than is needed. Of a connection not: whoever has answered says no more. */
  constructor(
    file: string,
    chunks: AsyncIterable<Buffer>,
    recordBytesMax: number = RECORD_BYTES_MAX,
    ahead: boolean = true,
  ) {
    this.file = file;
    this.#recordBytesMax = recordBytesMax;
    this.#ahead = ahead;
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Where the next record begins. */
  get offset(): number {
    return this.#base + this.#at;
  }

  /** The next record: what `parse` makes of it, and as many bytes as it reads. `parse` may be called several times. */
  async read<T>(parse: (cursor: Cursor) => T): Promise<T> {
    for (;;) {
      const cursor = new Cursor(this.file, this.#buffer.subarray(this.#at), this.offset, this.#ended);
      try {
        const result = parse(cursor);
        this.checksum?.add(cursor.since(0));
        this.#at += cursor.taken;
        return result;
      } catch (error) {
        if (!(error instanceof Short)) throw error;
        if (this.#ended) throw this.#endsInside(error);
        await this.#fetch(error);
      }
    }
  }

  /** Whether everything was read. */
  async atEnd(): Promise<boolean> {
    while (this.#at === this.#buffer.length && !this.#ended) await this.#fetch(new Short('', 1));
    return this.#at === this.#buffer.length;
  }

  /** Says that something is wrong with the file as a whole. */
  wrong(expected: string, found: string, wholeTo: number | null = null): never {
    throw new DamagedFile(this.file, { offset: this.offset, expected, found, wholeTo });
  }

  /** No more bytes are wanted. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #endsInside({ what }: Short): DamagedFile {
    const offset = this.#base + this.#buffer.length;
    return new DamagedFile(this.file, {
      offset,
      expected: what,
      found: `the end of the file, inside what begins at byte ${this.offset}`,
      wholeTo: this.offset,
    });
  }

  async #fetch({ needed, what }: Short): Promise<void> {
    const rest = this.#buffer.subarray(this.#at);
    if (needed > this.#recordBytesMax || rest.length >= this.#recordBytesMax)
      throw new DamagedFile(this.file, {
        offset: this.offset,
        expected: `at most ${this.#recordBytesMax} bytes until ${what}`,
        found: `${needed} or more`,
      });
    const more = this.#ahead ? Math.max(needed, 2 * rest.length) : needed;
    const wanted = Math.min(more, this.#recordBytesMax);
    const parts = [rest];
    let size = rest.length;
    while (size < wanted && !this.#ended) {
      const next = await this.#chunks.next();
      if (next.done === true) this.#ended = true;
      else {
        parts.push(next.value);
        size += next.value.length;
      }
    }
    this.#base += this.#at;
    this.#at = 0;
    this.#buffer = parts.length === 2 && rest.length === 0 ? (parts[1] ?? EMPTY) : Buffer.concat(parts);
  }
}
