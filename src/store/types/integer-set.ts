/** A small set of 64-bit integers in ascending order, as Redis keeps sets that hold nothing else. */
import type { Integer } from '../integer.ts';

export class IntegerSet {
  #integers: Integer[] = [];
  /** A fork uses `#integers` as well: the next change is made in a copy. */
  #shared = false;

  get size(): number {
    return this.#integers.length;
  }

  fork(): IntegerSet {
    const fork = new IntegerSet();
    fork.#integers = this.#integers;
    fork.#shared = true;
    this.#shared = true;
    return fork;
  }

  has(integer: Integer): boolean {
    return this.#integers[this.#place(integer)] === integer;
  }

  /** False if it was there. */
  add(integer: Integer): boolean {
    const place = this.#place(integer);
    if (this.#integers[place] === integer) return false;
    this.#own().splice(place, 0, integer);
    return true;
  }

  /** False if it was not there. */
  delete(integer: Integer): boolean {
    const place = this.#place(integer);
    if (this.#integers[place] !== integer) return false;
    this.#own().splice(place, 1);
    return true;
  }

  /** The integer at a place from 0, the smallest. */
  at(index: number): Integer | undefined {
    return this.#integers[index];
  }

  /** How many are below `integer`. */
  #place(integer: Integer): number {
    let low = 0;
    let high = this.#integers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#integers[middle] as Integer) < integer) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #own(): Integer[] {
    if (this.#shared) {
      this.#shared = false;
      this.#integers = this.#integers.slice();
    }
    return this.#integers;
  }
}
