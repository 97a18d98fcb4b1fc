/**
 * A sequence that is fast at everything: a B+ tree whose branches count what is below them. Elements are found, put in
 * and taken out by position, and by order where the tree has one, each in O(log n); with {@link FANOUT} a million elements
 * are four levels deep, and the ends are as near as the depth.
 *
 * **Forks.** `fork` makes a second tree in O(1) that shares all nodes. Every tree has a mark of its own, a node bears the
 * mark of the tree that made it, and a tree changes only nodes with its own mark: others it copies first, from the root
 * down to the place of the change. That is how a snapshot keeps what a value was while the value goes on changing.
 *
 * What orders an element never changes. In a tree with forks nothing of it does: a change is another element in the same place,
 * or the forks see it, too.
 */
import { invariant } from './invariant.ts';

/** Elements of a leaf and children of a branch, at most. */
const FANOUT = 64;
/** Two neighbours that together have no more than this become one. */
const MERGED_MAX = 48;

interface Leaf<E> {
  readonly mark: object;
  readonly leaf: true;
  readonly items: E[];
}

interface Branch<E> {
  readonly mark: object;
  readonly leaf: false;
  readonly children: Node<E>[];
  /** Elements below each child. */
  readonly counts: number[];
  /** The first element below each child: a search would otherwise go down to it for every child that it looks at. */
  readonly firsts: E[];
}

type Node<E> = Leaf<E> | Branch<E>;

/** Negative: `a` comes before `b`; 0: they are in the same place. */
export type Compare<E> = (a: E, b: E) => number;

export class Tree<E> {
  readonly #compare: Compare<E>;
  #mark: object = {};
  #root: Node<E>;
  #size = 0;

  /** `compare`: for a tree that is in order; without it only positions can be used. */
  constructor(compare: Compare<E> = noOrder) {
    this.#compare = compare;
    this.#root = { mark: this.#mark, leaf: true, items: [] };
  }

  get size(): number {
    return this.#size;
  }

  /** Another tree with the same elements. Neither sees what becomes of the other. */
  fork(): Tree<E> {
    const fork = new Tree<E>(this.#compare);
    fork.#root = this.#root;
    fork.#size = this.#size;
    // The nodes now bear the mark of neither.
    this.#mark = {};
    return fork;
  }

  // --- By position -----------------------------------------------------------------------------------------------

  /** The element at `index`, from 0; undefined outside. */
  at(index: number): E | undefined {
    if (index < 0 || index >= this.#size) return undefined;
    let node = this.#root;
    let at = index;
    while (!node.leaf) {
      let child = 0;
      while (at >= (node.counts[child] ?? 0)) at -= node.counts[child++] ?? 0;
      node = childOf(node, child);
    }
    return node.items[at];
  }

  /** Puts the element at `index`, from 0 to `size`; what was there and all behind it moves on. */
  insertAt(index: number, element: E): void {
    invariant(index >= 0 && index <= this.#size, `insertion at ${index} of ${this.#size}`);
    this.#root = this.#own(this.#root);
    const split = this.#insert(this.#root, index, element);
    if (split !== null) this.#grow(split);
    this.#size++;
  }

  push(element: E): void {
    this.insertAt(this.#size, element);
  }

  /** Puts the element in the place of the one at `index`. */
  replaceAt(index: number, element: E): void {
    invariant(index >= 0 && index < this.#size, `replacement at ${index} of ${this.#size}`);
    let node = (this.#root = this.#own(this.#root));
    let at = index;
    while (!node.leaf) {
      let child = 0;
      while (at >= (node.counts[child] ?? 0)) at -= node.counts[child++] ?? 0;
      if (at === 0) node.firsts[child] = element;
      node = this.#ownChild(node, child);
    }
    node.items[at] = element;
  }

  /** Takes the element at `index` out. */
  deleteAt(index: number): E {
    invariant(index >= 0 && index < this.#size, `deletion at ${index} of ${this.#size}`);
    this.#root = this.#own(this.#root);
    const deleted = this.#delete(this.#root, index);
    while (!this.#root.leaf && this.#root.children.length === 1) this.#root = childOf(this.#root, 0);
    this.#size--;
    return deleted;
  }

  /** Takes out the elements from `from` to before `to`. O(log n), however many they are. */
  deleteRange(from: number, to: number): void {
    invariant(from >= 0 && from <= to && to <= this.#size, `deletion of ${from} to ${to} of ${this.#size}`);
    if (from === to) return;
    this.#root = this.#own(this.#root);
    this.#deleteRange(this.#root, from, to);
    while (!this.#root.leaf && this.#root.children.length === 1) this.#root = childOf(this.#root, 0);
    this.#size -= to - from;
    if (this.#size === 0) this.clear();
  }

  clear(): void {
    this.#root = { mark: this.#mark, leaf: true, items: [] };
    this.#size = 0;
  }

  /** Calls `visit` for the elements from `from` to before `to` until it answers false. Nothing may change meanwhile. */
  visit(from: number, to: number, visit: (element: E) => boolean | void): void {
    const start = Math.max(0, from);
    if (start < Math.min(to, this.#size)) walk(this.#root, start, Math.min(to, this.#size), visit);
  }

  /** The same, the last one first. */
  visitBackwards(from: number, to: number, visit: (element: E) => boolean | void): void {
    const start = Math.max(0, from);
    if (start < Math.min(to, this.#size)) walkBackwards(this.#root, start, Math.min(to, this.#size), visit);
  }

  /** The elements from `from` to before `to`. */
  slice(from = 0, to: number = this.#size): E[] {
    const elements: E[] = [];
    this.visit(from, to, (element) => void elements.push(element));
    return elements;
  }

  // --- By order --------------------------------------------------------------------------------------------------

  /** How many elements come before the first for which `reached` holds; it must hold for all behind that one, too. */
  countBefore(reached: (element: E) => boolean): number {
    let node = this.#root;
    let before = 0;
    while (!node.leaf) {
      // The child before the first one that begins with `reached`.
      let [low, high] = [1, node.children.length];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (reached(node.firsts[middle] as E)) high = middle;
        else low = middle + 1;
      }
      for (let at = 0; at < low - 1; at++) before += node.counts[at] ?? 0;
      node = childOf(node, low - 1);
    }
    const { items } = node;
    let [low, high] = [0, items.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (reached(items[middle] as E)) high = middle;
      else low = middle + 1;
    }
    return before + low;
  }

  /** The position at which `probe` is or would be. */
  rank(probe: E): number {
    return this.#find(probe, true) as number;
  }

  /** The element in the place of `probe`. */
  get(probe: E): E | undefined {
    return this.#find(probe, false) as E | undefined;
  }

  /** Puts the element in its place, and in the place of the one that is there, which is the result. */
  put(element: E): E | undefined {
    const rank = this.rank(element);
    const there = this.at(rank);
    if (there !== undefined && this.#compare(there, element) === 0) {
      this.replaceAt(rank, element);
      return there;
    }
    this.insertAt(rank, element);
    return undefined;
  }

  /** Takes out the element in the place of `probe`. */
  delete(probe: E): E | undefined {
    const rank = this.rank(probe);
    const there = this.at(rank);
    if (there === undefined || this.#compare(there, probe) !== 0) return undefined;
    return this.deleteAt(rank);
  }

  // --- Nodes -----------------------------------------------------------------------------------------------------

  /** The position of `probe`, or the element in its place; without a closure, as this is what look-ups spend time with. */
  #find(probe: E, rank: boolean): number | E | undefined {
    const compare = this.#compare;
    let node = this.#root;
    let before = 0;
    while (!node.leaf) {
      let [low, high] = [1, node.children.length];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (compare(node.firsts[middle] as E, probe) > 0) high = middle;
        else low = middle + 1;
      }
      if (rank) for (let at = 0; at < low - 1; at++) before += node.counts[at] ?? 0;
      node = childOf(node, low - 1);
    }
    const { items } = node;
    let [low, high] = [0, items.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compare(items[middle] as E, probe);
      if (order === 0) return rank ? before + middle : items[middle];
      if (order > 0) high = middle;
      else low = middle + 1;
    }
    return rank ? before + low : undefined;
  }

  /** The node, or a copy of it, that this tree may change. */
  #own(node: Node<E>): Node<E> {
    if (node.mark === this.#mark) return node;
    const mark = this.#mark;
    if (node.leaf) return { mark, leaf: true, items: node.items.slice() };
    const { children, counts, firsts } = node;
    return { mark, leaf: false, children: children.slice(), counts: counts.slice(), firsts: firsts.slice() };
  }

  #ownChild(branch: Branch<E>, at: number): Node<E> {
    const child = this.#own(childOf(branch, at));
    branch.children[at] = child;
    return child;
  }

  /** A new root over the old one and the node that was split off it. */
  #grow(split: Node<E>): void {
    const children = [this.#root, split];
    this.#root = {
      mark: this.#mark,
      leaf: false,
      children,
      counts: children.map(count),
      firsts: children.map(firstOf),
    };
  }

  /** Puts the element in below a node of this tree; the node that had to be split off, to its right. */
  #insert(node: Node<E>, index: number, element: E): Node<E> | null {
    if (node.leaf) {
      if (node.items.length < FANOUT) {
        if (index === node.items.length) node.items.push(element);
        else node.items.splice(index, 0, element);
        return null;
      }
      // At either end full leaves stay full: sequences that grow there would otherwise be half empty.
      const middle = index === FANOUT ? FANOUT : index === 0 ? 0 : FANOUT / 2;
      const items = node.items.splice(middle);
      if (index <= middle && middle !== FANOUT) node.items.splice(index, 0, element);
      else items.splice(index - middle, 0, element);
      return { mark: this.#mark, leaf: true, items };
    }
    let child = 0;
    let at = index;
    const last = node.children.length - 1;
    while (child < last && at > (node.counts[child] ?? 0)) at -= node.counts[child++] ?? 0;
    const below = this.#ownChild(node, child);
    const split = this.#insert(below, at, element);
    if (at === 0) node.firsts[child] = element;
    if (split === null) {
      node.counts[child] = (node.counts[child] ?? 0) + 1;
      return null;
    }
    node.counts[child] = count(below);
    node.children.splice(child + 1, 0, split);
    node.counts.splice(child + 1, 0, count(split));
    node.firsts.splice(child + 1, 0, firstOf(split));
    if (node.children.length <= FANOUT) return null;
    const middle = child + 1 === FANOUT ? FANOUT - 1 : FANOUT / 2;
    const children = node.children.splice(middle);
    return {
      mark: this.#mark,
      leaf: false,
      children,
      counts: node.counts.splice(middle),
      firsts: node.firsts.splice(middle),
    };
  }

  /** Takes the element out below a node of this tree. */
  #delete(node: Node<E>, index: number): E {
    if (node.leaf) {
      const deleted = node.items[index] as E;
      if (index === node.items.length - 1) node.items.pop();
      else if (index === 0) node.items.shift();
      else node.items.splice(index, 1);
      return deleted;
    }
    let child = 0;
    let at = index;
    while (at >= (node.counts[child] ?? 0)) at -= node.counts[child++] ?? 0;
    const below = this.#ownChild(node, child);
    const deleted = this.#delete(below, at);
    node.counts[child] = (node.counts[child] ?? 0) - 1;
    if (length(below) === 0 && node.children.length > 1) {
      node.children.splice(child, 1);
      node.counts.splice(child, 1);
      node.firsts.splice(child, 1);
      return deleted;
    }
    if (at === 0 && length(below) > 0) node.firsts[child] = firstOf(below);
    if (!this.#merge(node, child)) this.#merge(node, child - 1);
    return deleted;
  }

  /** Takes out what is below a node of this tree from `from` to before `to`. */
  #deleteRange(node: Node<E>, from: number, to: number): void {
    if (node.leaf) {
      node.items.splice(from, to - from);
      return;
    }
    // At most two children keep a part; those between them go away as they are.
    let start = 0;
    let first = -1;
    let gone = 0;
    for (let child = 0; child < node.children.length && start < to; child++) {
      const size = node.counts[child] ?? 0;
      const end = start + size;
      if (end > from) {
        if (first === -1) first = child;
        const [low, high] = [Math.max(0, from - start), Math.min(to, end) - start];
        if (high - low === size) gone++;
        else {
          this.#deleteRange(this.#ownChild(node, child), low, high);
          node.counts[child] = size - (high - low);
          if (low === 0) node.firsts[child] = firstOf(childOf(node, child));
          if (gone === 0) first = child + 1;
        }
      }
      start = end;
    }
    node.children.splice(first, gone);
    node.counts.splice(first, gone);
    node.firsts.splice(first, gone);
    // What is left on either side of the gap may be small.
    for (let child = Math.min(first + 1, node.children.length - 1); child >= Math.max(0, first - 2); child--)
      this.#merge(node, child);
  }

  /** Makes the child and the one behind it one, if together they are small. */
  #merge(node: Branch<E>, child: number): boolean {
    const [left, right] = [node.children[child], node.children[child + 1]];
    if (left === undefined || right === undefined || length(left) + length(right) > MERGED_MAX) return false;
    const merged = this.#ownChild(node, child);
    if (merged.leaf && right.leaf) merged.items.push(...right.items);
    else if (!merged.leaf && !right.leaf) {
      merged.children.push(...right.children);
      merged.counts.push(...right.counts);
      merged.firsts.push(...right.firsts);
    }
    node.counts[child] = (node.counts[child] ?? 0) + (node.counts[child + 1] ?? 0);
    node.children.splice(child + 1, 1);
    node.counts.splice(child + 1, 1);
    node.firsts.splice(child + 1, 1);
    return true;
  }
}

function noOrder(): never {
  throw new Error('a tree without an order was asked for a place in it');
}

function childOf<E>(branch: Branch<E>, at: number): Node<E> {
  return branch.children[at] as Node<E>;
}

function length<E>(node: Node<E>): number {
  return node.leaf ? node.items.length : node.children.length;
}

function count<E>(node: Node<E>): number {
  return node.leaf ? node.items.length : node.counts.reduce((sum, below) => sum + below, 0);
}

/** The first element below a node that is not empty. */
function firstOf<E>(node: Node<E>): E {
  return (node.leaf ? node.items[0] : node.firsts[0]) as E;
}

/** False when `visit` has had enough. */
function walk<E>(node: Node<E>, from: number, to: number, visit: (element: E) => boolean | void): boolean {
  if (node.leaf) {
    for (let at = from; at < to; at++) if (visit(node.items[at] as E) === false) return false;
    return true;
  }
  let start = 0;
  for (let child = 0; child < node.children.length && start < to; child++) {
    const end = start + (node.counts[child] ?? 0);
    if (end > from) {
      const below = childOf(node, child);
      if (!walk(below, Math.max(0, from - start), Math.min(to, end) - start, visit)) return false;
    }
    start = end;
  }
  return true;
}

function walkBackwards<E>(
  node: Node<E>,
  from: number,
  to: number,
  visit: (element: E) => boolean | void,
): boolean {
  if (node.leaf) {
    for (let at = to - 1; at >= from; at--) if (visit(node.items[at] as E) === false) return false;
    return true;
  }
  let end = count(node);
  for (let child = node.children.length - 1; child >= 0 && end > from; child--) {
    const start = end - (node.counts[child] ?? 0);
    if (start < to) {
      const below = childOf(node, child);
      if (!walkBackwards(below, Math.max(0, from - start), Math.min(to, end) - start, visit)) return false;
    }
    end = start;
  }
  return true;
}
