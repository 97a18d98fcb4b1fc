/** Lists: a {@link Tree} of byte strings by position, so that the ends are near and the middle is not far. */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES, ELEMENT_OVERHEAD_BYTES } from '../collection.ts';
import { Tree } from '../tree.ts';

export class List implements Collection {
  readonly type = 'list';
  readonly encoding = 'quicklist';
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

  push(end: 'head' | 'tail', element: string): void {
    this.insertAt(end === 'head' ? 0 : this.#tree.size, element);
  }

  /** Takes the element at that end out; undefined when there is none. */
  pop(end: 'head' | 'tail'): string | undefined {
    if (this.#tree.size === 0) return undefined;
    return this.deleteAt(end === 'head' ? 0 : this.#tree.size - 1);
  }

  insertAt(index: number, element: string): void {
    this.#tree.insertAt(index, element);
    this.#characters += element.length;
  }

  deleteAt(index: number): string {
    const element = this.#tree.deleteAt(index);
    this.#characters -= element.length;
    return element;
  }

  /** Calls `visit` for the elements from `from` to before `to` until it answers false. */
  visit(from: number, to: number, visit: (element: string) => boolean | void): void {
    this.#tree.visit(from, to, visit);
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
