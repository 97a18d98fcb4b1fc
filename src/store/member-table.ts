/**
 * What hashes and sets are made of: elements with distinct names.
 *
 * A small table keeps them in the order in which they came, as Redis does, and looks through all of them. A large one
 * keeps them in the order of a hash of their names, in a {@link Tree}: found in O(log n), the same order on every node
 * whatever their history, and a cursor of a scan is a place in that order, so that it stays right while elements come and
 * go. A table that was large stays so until it is emptied (Redis converts in one direction, too).
 */
import { fnv1a } from './fnv.ts';
import { invariant } from './invariant.ts';
import { Tree } from './tree.ts';

/** An element. Immutable: a change is another element of that name. */
export interface Named {
  readonly name: string;
  /** {@link hashOf} its name. */
  readonly hash: number;
}

/** FNV-1a over the bytes, in 30 bits: V8 keeps such numbers without allocating. */
export function hashOf(name: string): number {
  // Murmur3's last step: FNV leaves the high bits of short names alike.
  let hash = Math.imul(fnv1a(name), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) & 0x3fff_ffff;
}

function inOrder(a: Named, b: Named): number {
  if (a.hash !== b.hash) return a.hash - b.hash;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export class MemberTable<E extends Named> {
  /** While it is small. */
  #items: E[] | null = [];
  /** A fork uses `#items` as well: the next change is made in a copy. */
  #shared = false;
  #tree: Tree<E> | null = null;

  /** A large one of elements with distinct names, in any order. */
  static largeOf<E extends Named>(elements: E[]): MemberTable<E> {
    const table = new MemberTable<E>();
    table.#items = elements;
    table.grow();
    return table;
  }

  get size(): number {
    return this.#tree?.size ?? this.#items?.length ?? 0;
  }

  /** Whether the order is that of the hash. */
  get large(): boolean {
    return this.#tree !== null;
  }

  fork(): MemberTable<E> {
    const fork = new MemberTable<E>();
    fork.#items = this.#items;
    fork.#tree = this.#tree?.fork() ?? null;
    fork.#shared = true;
    this.#shared = true;
    return fork;
  }

  /** Makes it large. */
  grow(): void {
    if (this.#items === null) return;
    const tree = new Tree<E>(inOrder);
    for (const item of this.#items.toSorted(inOrder)) tree.push(item);
    this.#tree = tree;
    this.#items = null;
  }

  get(name: string): E | undefined {
    return this.find(name, hashOf(name));
  }

  /** As `get`, for a name whose hash is known. */
  find(name: string, hash: number): E | undefined {
    if (this.#items !== null) return this.#items[this.#place(name, hash)];
    return this.#large.get({ name, hash } as E);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Adds the element, or puts it in the place of the one of its name, which is the result. */
  put(element: E): E | undefined {
    if (this.#items === null) return this.#large.put(element);
    const items = this.#own(this.#items);
    const place = this.#place(element.name, element.hash);
    const there = items[place];
    items[place === -1 ? items.length : place] = element;
    return there;
  }

  delete(name: string): E | undefined {
    const hash = hashOf(name);
    if (this.#items === null) return this.#large.delete({ name, hash } as E);
    const place = this.#place(name, hash);
    return place === -1 ? undefined : this.#own(this.#items).splice(place, 1)[0];
  }

  /** The element at a place in the table's order, from 0: for random choices. */
  at(index: number): E | undefined {
    return this.#items === null ? this.#large.at(index) : this.#items[index];
  }

  /** Takes the element at that place out. */
  deleteAt(index: number): E {
    if (this.#items === null) return this.#large.deleteAt(index);
    const deleted = this.#own(this.#items).splice(index, 1)[0];
    invariant(deleted !== undefined, `no element at ${index} of ${this.size}`);
    return deleted;
  }

  /** Takes out all elements for which `goes` holds. O(n), so for many of them at once. */
  deleteWhere(goes: (element: E) => boolean): void {
    if (this.#items !== null) {
      this.#items = this.#items.filter((item) => !goes(item));
      this.#shared = false;
      return;
    }
    const rest = new Tree<E>(inOrder);
    this.#large.visit(0, this.size, (element) => {
      if (!goes(element)) rest.push(element);
    });
    this.#tree = rest;
  }

  /** Calls `visit` for all elements in the table's order, until it answers false. Nothing may change meanwhile. */
  visit(visit: (element: E) => boolean | void, from = 0, to: number = this.size): void {
    if (this.#items === null) this.#large.visit(from, to, visit);
    else for (let at = from; at < to; at++) if (visit(this.#items[at] as E) === false) return;
  }

  /**
   * One step of a scan from a cursor, 0 at first: calls `visit` for about `count` elements and gives the next cursor, 0 at
   * the end. What is there during the whole scan is visited exactly once in a large table; a small one is visited whole.
   */
  scan(cursor: number, count: number, visit: (element: E) => void): number {
    if (this.#items !== null) {
      for (const item of this.#items) visit(item);
      return 0;
    }
    const tree = this.#large;
    const from = tree.countBefore(({ hash }) => hash >= cursor);
    let visited = 0;
    let last = 0;
    let next = 0;
    tree.visit(from, tree.size, (element) => {
      // Equal hashes share a cursor, so they go together.
      if (visited >= count && element.hash !== last) {
        next = element.hash;
        return false;
      }
      visit(element);
      visited++;
      last = element.hash;
      return true;
    });
    return next;
  }

  get #large(): Tree<E> {
    invariant(this.#tree !== null, 'a table that is neither small nor large');
    return this.#tree;
  }

  #own(items: E[]): E[] {
    if (!this.#shared) return items;
    this.#shared = false;
    this.#items = items.slice();
    return this.#items;
  }

  /** Numbers are compared in a fraction of the time that texts take: what makes it worth while to look through hundreds. */
  #place(name: string, hash: number): number {
    const items = this.#items ?? [];
    for (let at = 0; at < items.length; at++) {
      const item = items[at];
      if (item !== undefined && item.hash === hash && item.name === name) return at;
    }
    return -1;
  }
}
