/**
 * The longest common subsequence of two strings, by the table of the textbook: cell (i, j) is the length of that of the
 * first i bytes of one and the first j of the other. It is not unique, so the way back through the table takes the turns
 * that Redis takes: up only where that is longer, otherwise to the left.
 */
import { invariant } from './invariant.ts';

/** Bytes of the table at 4 a cell, as Redis has it: its `proto-max-bulk-len`. */
const TABLE_BYTES_MAX: number = 512 * 1024 * 1024;
const REDIS_CELL_BYTES = 4;

/** A piece that is the same in both, as the positions of its first and its last byte. */
export interface CommonRange {
  readonly first: readonly [start: number, end: number];
  readonly second: readonly [start: number, end: number];
}

/** Whether the table would be larger than Redis makes it; none of ours is then needed. */
export function isTooLongForTable(first: string, second: string): boolean {
  return (first.length + 1) * (second.length + 1) * REDIS_CELL_BYTES > TABLE_BYTES_MAX;
}

export class CommonSubsequence {
  readonly #first: Buffer;
  readonly #second: Buffer;
  /** Row by row, one for each byte of the first string and one more. The limit keeps lengths below 2^16. */
  readonly #table: Uint16Array;

  constructor(first: string, second: string) {
    invariant(!isTooLongForTable(first, second), 'a table of common subsequences is too large');
    // With nothing a long string has nothing in common: no table for that.
    const nothing = first === '' || second === '';
    this.#first = Buffer.from(nothing ? '' : first, 'latin1');
    this.#second = Buffer.from(nothing ? '' : second, 'latin1');
    this.#table = tableOf(this.#first, this.#second);
  }

  get length(): number {
    return this.#table.at(-1) ?? 0;
  }

  text(): string {
    const bytes = Buffer.alloc(this.length);
    let left = bytes.length;
    this.#walk((at) => {
      left -= 1;
      bytes[left] = this.#first[at] ?? 0;
    });
    return bytes.toString('latin1');
  }

  /** The pieces that it is made of, the last one first. */
  ranges(): CommonRange[] {
    const ranges: CommonRange[] = [];
    // Of the piece that is being followed back to its beginning.
    let [start, otherStart, length] = [0, 0, 0];
    const end = (): void => {
      if (length === 0) return;
      ranges.push({
        first: [start, start + length - 1],
        second: [otherStart, otherStart + length - 1],
      });
    };
    this.#walk((at, otherAt) => {
      if (at + 1 !== start || otherAt + 1 !== otherStart) {
        end();
        length = 0;
      }
      [start, otherStart] = [at, otherAt];
      length++;
    });
    end();
    return ranges;
  }

  /** Calls `visit` with the positions of each byte in both strings, the last one first. */
  #walk(visit: (at: number, otherAt: number) => void): void {
    const [first, second, table] = [this.#first, this.#second, this.#table];
    const width = second.length + 1;
    let at = first.length;
    let otherAt = second.length;
    while (at > 0 && otherAt > 0) {
      if (first[at - 1] === second[otherAt - 1]) visit(--at, --otherAt);
      else if ((table[(at - 1) * width + otherAt] ?? 0) > (table[at * width + otherAt - 1] ?? 0)) at--;
      else otherAt--;
    }
  }
}

function tableOf(first: Buffer, second: Buffer): Uint16Array {
  const width = second.length + 1;
  const table = new Uint16Array((first.length + 1) * width);
  for (let row = 1; row <= first.length; row++) {
    const byte = first[row - 1];
    const start = row * width + 1;
    // Of the cells around, only the one above has to be read.
    let diagonal = 0;
    let before = 0;
    for (let column = 0; column < second.length; column++) {
      const above = table[start + column - width] ?? 0;
      if (byte === second[column]) before = diagonal + 1;
      else if (above > before) before = above;
      table[start + column] = before;
      diagonal = above;
    }
  }
  return table;
}
