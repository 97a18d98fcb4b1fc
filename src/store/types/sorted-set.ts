/**
 * Sorted sets: members with a score each, in the order of their scores and, where those are equal, of their bytes.
 *
 * The order is a {@link Tree}, which counts: a rank and the member at a rank are found in O(log n). A small set looks for a
 * member by looking through all of it, as Redis's listpack does. A large one has a dictionary besides, by a hash of the
 * member; like Redis's skip list it stays large until it is gone.
 *
 * ```
 *   order       a 1 │ c 1 │ b 2 │ d 7      by score, then by bytes
 *   dictionary  d 7 │ a 1 │ b 2 │ c 1      by hash: the same elements, for large sets only
 * ```
 */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES, ELEMENT_OVERHEAD_BYTES } from '../collection.ts';
import { hashOf, MemberTable, type Named } from '../member-table.ts';
import { Tree } from '../tree.ts';

/** More members, or a longer one, make a set large. */
export const SMALL_MEMBERS_MAX = 128;
const SMALL_MEMBER_BYTES_MAX = 64;
/** What a score costs, about, and a place in the dictionary. */
const SCORE_BYTES = 24;
const DICTIONARY_BYTES = 16;
/** Above this part of the set it is cheaper to make the dictionary anew than to take members out of it one by one. */
const REBUILT_PART = 1 / 8;

/** A member and its score, which is never NaN. */
export interface Member {
  readonly name: string;
  readonly score: number;
}

/** As the set keeps it. */
export interface Scored extends Member, Named {}

/** Scores between two, either of which may be left out. */
export interface ScoreRange {
  readonly min: number;
  readonly minExcluded: boolean;
  readonly max: number;
  readonly maxExcluded: boolean;
}

/** An end of a range of members: one, with or without itself, or what is before or behind all members. */
export type LexBound = '-' | '+' | { readonly member: string; readonly excluded: boolean };

export interface LexRange {
  readonly min: LexBound;
  readonly max: LexBound;
}

/** Positions from `from` to before `to`; empty where `to` is not behind `from`. */
export interface Ranks {
  readonly from: number;
  readonly to: number;
}

const NOWHERE: Ranks = { from: 0, to: 0 };

/** The head of an encoded set. */
const SMALL = 0;
const LARGE = 1;

/** The order of a sorted set: by score, then by the bytes of the member. */
export function inOrder(a: Member, b: Member): number {
  if (a.score < b.score) return -1;
  if (a.score > b.score) return 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export class SortedSet implements Collection {
  readonly type = 'zset';
  readonly expiring = null;
  #order = new Tree<Scored>(inOrder);
  /** `null` while the set is small. */
  #dictionary: MemberTable<Scored> | null = null;
  /** Of all members. */
  #characters = 0;

  /** With these members, each of which comes once, in any order. */
  static of(members: readonly Member[]): SortedSet {
    const set = new SortedSet();
    const large =
      members.length > SMALL_MEMBERS_MAX || members.some(({ name }) => name.length > SMALL_MEMBER_BYTES_MAX);
    const elements = members.map(({ name, score }) => {
      return { name, hash: hashOf(name), score: large ? score : withoutSign(score) };
    });
    for (const element of elements.sort(inOrder)) set.#insert(element, set.size);
    // At the end, as to sort them once more takes less time than to find the place of each.
    if (large) set.#grow();
    return set;
  }

  get encoding(): 'listpack' | 'skiplist' {
    return this.#dictionary === null ? 'listpack' : 'skiplist';
  }

  get size(): number {
    return this.#order.size;
  }

  get vanishes(): boolean {
    return this.#order.size === 0;
  }

  get bytes(): number {
    const each = ELEMENT_OVERHEAD_BYTES + SCORE_BYTES + (this.#dictionary === null ? 0 : DICTIONARY_BYTES);
    return COLLECTION_OVERHEAD_BYTES + this.#order.size * each + this.#characters;
  }

  fork(): SortedSet {
    const fork = new SortedSet();
    fork.#order = this.#order.fork();
    fork.#dictionary = this.#dictionary?.fork() ?? null;
    fork.#characters = this.#characters;
    return fork;
  }

  /** The member of that name; undefined where there is none. */
  get(name: string): Scored | undefined {
    if (this.#dictionary !== null) return this.#dictionary.get(name);
    let found: Scored | undefined;
    // Numbers are compared in a fraction of the time that texts take.
    const hash = hashOf(name);
    this.#order.visit(0, this.#order.size, (element) => {
      if (element.hash !== hash || element.name !== name) return true;
      found = element;
      return false;
    });
    return found;
  }

  /** The member at a rank, the lowest score has 0; undefined outside. */
  at(rank: number): Scored | undefined {
    return this.#order.at(rank);
  }

  rankOf(element: Scored): number {
    return this.#order.rank(element);
  }

  /** Adds a member that is not there. */
  add(name: string, score: number): void {
    if (this.#dictionary === null && (this.size >= SMALL_MEMBERS_MAX || name.length > SMALL_MEMBER_BYTES_MAX))
      this.#grow();
    const element = this.#element(name, hashOf(name), score);
    this.#insert(element, this.#order.rank(element));
  }

  /** Gives a member that is there another score. */
  move({ name, hash, score: before }: Scored, score: number): void {
    const element = this.#element(name, hash, score);
    this.#order.delete({ name, hash, score: before });
    this.#order.put(element);
    this.#dictionary?.put(element);
  }

  /** Takes the member out; false if it is not there. */
  delete(name: string): boolean {
    const element = this.get(name);
    if (element === undefined) return false;
    this.#order.delete(element);
    this.#dictionary?.delete(name);
    this.#characters -= name.length;
    return true;
  }

  /** Takes out the members at these ranks. */
  deleteRange({ from, to }: Ranks): void {
    const [first, last] = [this.at(from), this.at(to - 1)];
    if (first === undefined || last === undefined || from >= to) return;
    const dictionary = this.#dictionary;
    const rebuilt = dictionary !== null && to - from > this.size * REBUILT_PART;
    this.#order.visit(from, to, ({ name }) => {
      this.#characters -= name.length;
      if (dictionary !== null && !rebuilt) dictionary.delete(name);
    });
    if (rebuilt)
      dictionary.deleteWhere((element) => inOrder(first, element) <= 0 && inOrder(element, last) <= 0);
    this.#order.deleteRange(from, to);
  }

  /** Calls `visit` for the members at these ranks, the lowest first, until it answers false. */
  visit({ from, to }: Ranks, visit: (element: Scored) => boolean | void): void {
    this.#order.visit(from, to, visit);
  }

  /** The same, the highest first. */
  visitBackwards({ from, to }: Ranks, visit: (element: Scored) => boolean | void): void {
    this.#order.visitBackwards(from, to, visit);
  }

  /** One step of a scan, see {@link MemberTable.scan}; a small set is visited whole. */
  scan(cursor: number, count: number, visit: (element: Scored) => void): number {
    if (this.#dictionary !== null) return this.#dictionary.scan(cursor, count, visit);
    this.#order.visit(0, this.size, visit);
    return 0;
  }

  // --- Ranges ----------------------------------------------------------------------------------------------------

  ranksByScore({ min, minExcluded, max, maxExcluded }: ScoreRange): Ranks {
    const from = this.#order.countBefore(({ score }) => (minExcluded ? score > min : score >= min));
    const to = this.#order.countBefore(({ score }) => (maxExcluded ? score >= max : score > max));
    return { from, to };
  }

  /**
   * The members of a range whose scores are all the same; `skipped` of them are left out, the first ones or, `backwards`, the
   * last ones.
   *
   * With different scores a range of members says nothing. A small set then answers as Redis's listpack does, which walks
   * until it has left the range; a large one is searched as if it were in order.
   */
  ranksByLex(range: LexRange, backwards: boolean, skipped: number): Ranks {
    const { size } = this;
    const [lowest, highest] = [this.at(0), this.at(size - 1)];
    if (lowest === undefined || highest === undefined || isEmpty(range)) return NOWHERE;
    if (!notBelow(highest.name, range.min) || !notAbove(lowest.name, range.max)) return NOWHERE;
    if (this.#dictionary === null) return this.#walkLex(range, backwards, skipped);
    const from = this.#order.countBefore(({ name }) => notBelow(name, range.min));
    const to = this.#order.countBefore(({ name }) => !notAbove(name, range.max));
    return backwards ? { from, to: to - skipped } : { from: from + skipped, to };
  }

  #walkLex(range: LexRange, backwards: boolean, skipped: number): Ranks {
    const { size } = this;
    const names = this.#order.slice().map(({ name }) => name);
    if (backwards) {
      const last = names.findLastIndex((name) => notAbove(name, range.max));
      if (last === -1 || !notBelow(names[last] ?? '', range.min)) return NOWHERE;
      const to = last + 1 - skipped;
      let from = to;
      while (from > 0 && notBelow(names[from - 1] ?? '', range.min)) from--;
      return { from, to };
    }
    const first = names.findIndex((name) => notBelow(name, range.min));
    if (first === -1 || !notAbove(names[first] ?? '', range.max)) return NOWHERE;
    const from = first + skipped;
    let to = from;
    while (to < size && notAbove(names[to] ?? '', range.max)) to++;
    return { from, to };
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    if (cursor === 0) writer.byte(this.#dictionary === null ? SMALL : LARGE);
    let next = cursor;
    this.#order.visit(cursor, this.size, ({ name, score }) => {
      writer.double(score);
      writer.string(name);
      next++;
      return writer.length < bytesMax;
    });
    return next === this.size ? null : next;
  }

  decode(reader: ByteReader): void {
    if (this.size === 0) {
      const head = reader.byte('the head of a sorted set');
      if (head === LARGE) this.#grow();
      else if (head !== SMALL) reader.fail(`the unknown head ${head} of a sorted set before`);
    }
    let last = this.at(this.size - 1);
    // A small set has no dictionary that would tell who is there.
    const small = this.#dictionary === null ? new Set(this.#order.slice().map(({ name }) => name)) : null;
    while (reader.remaining > 0) {
      const score = reader.double('a score');
      if (Number.isNaN(score)) reader.fail('a score that is no number before');
      const name = reader.string('a member of a sorted set');
      const element = this.#element(name, hashOf(name), score);
      if (last !== undefined && inOrder(last, element) >= 0)
        reader.fail('a member in the wrong place before');
      const known = small === null ? this.get(name) !== undefined : small.has(name);
      if (known) reader.fail('a member for the second time before');
      if (small !== null && (small.size >= SMALL_MEMBERS_MAX || name.length > SMALL_MEMBER_BYTES_MAX))
        reader.fail('a small sorted set that is large before');
      small?.add(name);
      this.#insert(element, this.size);
      last = element;
    }
  }

  // --- Elements --------------------------------------------------------------------------------------------------

  #element(name: string, hash: number, score: number): Scored {
    return { name, hash, score: this.#dictionary === null ? withoutSign(score) : score };
  }

  #insert(element: Scored, rank: number): void {
    this.#order.insertAt(rank, element);
    this.#dictionary?.put(element);
    this.#characters += element.name.length;
  }

  #grow(): void {
    this.#dictionary = MemberTable.largeOf(this.#order.slice());
  }
}

/** Redis's listpack has no -0. */
function withoutSign(score: number): number {
  return score + 0;
}

/** Whether the member is not before the lower end of a range. */
function notBelow(name: string, min: LexBound): boolean {
  if (min === '-' || min === '+') return min === '-';
  return min.excluded ? name > min.member : name >= min.member;
}

/** Whether the member is not behind the upper end of a range. */
function notAbove(name: string, max: LexBound): boolean {
  if (max === '-' || max === '+') return max === '+';
  return max.excluded ? name < max.member : name <= max.member;
}

/** Whether nothing can be in the range. */
function isEmpty({ min, max }: LexRange): boolean {
  if (min === '+' || max === '-') return true;
  if (min === '-' || max === '+') return false;
  return min.member > max.member || (min.member === max.member && (min.excluded || max.excluded));
}
