/** Lists: a {@link Tree} of byte strings by position, so that the ends are near and the middle is not far. */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES, ELEMENT_OVERHEAD_BYTES } from '../collection.ts';
import { Tree } from '../tree.ts';

export type End = 'head' | 'tail';

/** To take out more than this part of a list, one element here and one there, the rest is put together anew. */
const REBUILT_FROM = 1 / 16;

export class List implements Collection {
  readonly type = 'list';
  readonly encoding = 'quicklist';
  readonly expiring = null;
  #tree = new Tree<string>();
  /** Of all elements. */
  #characters = 0;

  get size(): number {
    return this.#tree.size;
  }

  get vanishes(): boolean {
    return this.#tree.size === 0;
  }

  get bytes(): number {
    return COLLECTION_OVERHEAD_BYTES + this.#tree.size * ELEMENT_OVERHEAD_BYTES + this.#characters;
  }

  fork(): List {
    const fork = new List();
    fork.#tree = this.#tree.fork();
    fork.#characters = this.#characters;
    return fork;
  }

  /** The element at `index` from the head, from 0; undefined outside. */
  at(index: number): string | undefined {
    return this.#tree.at(index);
  }

  push(end: End, element: string): void {
    this.insertAt(end === 'head' ? 0 : this.#tree.size, element);
  }

  /** Takes the element at that end out; undefined when there is none. */
  pop(end: End): string | undefined {
    if (this.#tree.size === 0) return undefined;
    return this.deleteAt(end === 'head' ? 0 : this.#tree.size - 1);
  }

  /** Takes up to `count` elements out at that end, the outermost first. */
  take(end: End, count: number): string[] {
    const size = this.#tree.size;
    const taken = Math.min(count, size);
    const from = end === 'head' ? 0 : size - taken;
    const elements = this.#tree.slice(from, from + taken);
    this.deleteRange(from, from + taken);
    return end === 'head' ? elements : elements.reverse();
  }

  insertAt(index: number, element: string): void {
    this.#tree.insertAt(index, element);
    this.#characters += element.length;
  }

  /** Puts the element in the place of the one at `index`, which there must be. */
  replaceAt(index: number, element: string): void {
    this.#characters += element.length - (this.#tree.at(index)?.length ?? 0);
    this.#tree.replaceAt(index, element);
  }

  deleteAt(index: number): string {
    const element = this.#tree.deleteAt(index);
    this.#characters -= element.length;
    return element;
  }

  /** Takes out the elements from `from` to before `to`: O(their number), but only for their length. */
  deleteRange(from: number, to: number): void {
    this.#tree.visit(from, to, ({ length }) => void (this.#characters -= length));
    this.#tree.deleteRange(from, to);
  }

  /** Takes out the elements at these positions, which ascend. */
  deleteAll(positions: readonly number[]): void {
    if (positions.length <= this.#tree.size * REBUILT_FROM) {
      // The last one first: the others stay where they are.
      for (const position of positions.toReversed()) this.deleteAt(position);
      return;
    }
    const tree = new Tree<string>();
    let at = 0;
    let next = 0;
    this.#tree.visit(0, this.#tree.size, (element) => {
      if (at++ !== positions[next]) tree.push(element);
      else {
        next++;
        this.#characters -= element.length;
      }
    });
    this.#tree = tree;
  }

  /** Calls `visit` for the elements from `from` to before `to` until it answers false. Nothing may change meanwhile. */
  visit(from: number, to: number, visit: (element: string) => boolean | void): void {
    this.#tree.visit(from, to, visit);
  }

  /**
   * Up to `max` positions of an element among the first `depth` from an end, the nearest first; those `skipped` that are
   * nearest of all do not count.
   */
  positionsOf(element: string, { from, skipped, max, depth }: Search): number[] {
    const found: number[] = [];
    const size = this.#tree.size;
    let passed = 0;
    let left = skipped;
    const look = (candidate: string): boolean => {
      if (candidate === element && left-- <= 0) found.push(from === 'head' ? passed : size - 1 - passed);
      passed++;
      return found.length < max;
    };
    if (from === 'head') this.#tree.visit(0, Math.min(size, depth), look);
    else this.#tree.visitBackwards(Math.max(0, size - depth), size, look);
    return found;
  }

  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    let next = cursor;
    this.#tree.visit(cursor, this.#tree.size, (element) => {
      writer.string(element);
      next++;
      return writer.length < bytesMax;
    });
    return next === this.#tree.size ? null : next;
  }

  decode(reader: ByteReader): void {
    while (reader.remaining > 0) this.push('tail', reader.string('an element of a list'));
  }
}

/** What {@link List.positionsOf} looks for; all numbers may be Infinity. */
export interface Search {
  readonly from: End;
  readonly skipped: number;
  readonly max: number;
  readonly depth: number;
}
