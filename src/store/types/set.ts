/**
 * Sets: of few integers in ascending order, as Redis keeps and lists them; of anything else a {@link MemberTable}. A set
 * that has once held anything else stays a table until it is emptied.
 */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import { type Collection, COLLECTION_OVERHEAD_BYTES, ELEMENT_OVERHEAD_BYTES } from '../collection.ts';
import { parseInteger } from '../integer.ts';
import { hashOf, MemberTable, type Named } from '../member-table.ts';
import { IntegerSet } from './integer-set.ts';

/** Beyond it a set of integers is a hash table in Redis, and a table here. */
export const INTSET_MEMBERS_MAX = 512;
/** Beyond it a table is large: looking through all of it begins to take longer than looking up. */
const SMALL_MEMBERS_MAX = 128;
const INTEGER_BYTES = 8;
/** From this part of all on members are not taken out one by one: what remains is built anew. */
const REBUILD_SHARE = 1 / 4;

/** What a snapshot says of how the members are kept. */
const KEPT = { integers: 0, small: 1, large: 2 } as const;

export class MemberSet implements Collection {
  readonly type = 'set';
  readonly expiring = null;
  /** While it is a set of few integers; the table is empty then. */
  #integers: IntegerSet | null = new IntegerSet();
  #table = new MemberTable<Named>();
  /** Of all members of the table. */
  #characters = 0;

  get encoding(): string {
    return this.#integers === null ? 'hashtable' : 'intset';
  }

  get size(): number {
    return this.#integers?.size ?? this.#table.size;
  }

  get vanishes(): boolean {
    return this.size === 0;
  }

  get bytes(): number {
    if (this.#integers !== null) return COLLECTION_OVERHEAD_BYTES + this.#integers.size * INTEGER_BYTES;
    return COLLECTION_OVERHEAD_BYTES + this.#table.size * ELEMENT_OVERHEAD_BYTES + this.#characters;
  }

  fork(): MemberSet {
    const fork = new MemberSet();
    fork.#integers = this.#integers?.fork() ?? null;
    fork.#table = this.#table.fork();
    fork.#characters = this.#characters;
    return fork;
  }

  // --- Members ---------------------------------------------------------------------------------------------------

  has(name: string): boolean {
    if (this.#integers === null) return this.#table.has(name);
    const integer = parseInteger(name);
    return integer !== undefined && this.#integers.has(integer);
  }

  /** False if it was there. */
  add(name: string): boolean {
    if (this.#integers !== null) {
      const integer = parseInteger(name);
      if (integer !== undefined) {
        const added = this.#integers.add(integer);
        if (this.#integers.size > INTSET_MEMBERS_MAX) this.#leaveIntegers(this.#integers);
        return added;
      }
      this.#leaveIntegers(this.#integers);
    }
    return this.#put(name);
  }

  /** False if it was not there. */
  delete(name: string): boolean {
    if (this.#integers !== null) {
      const integer = parseInteger(name);
      return integer !== undefined && this.#integers.delete(integer);
    }
    if (this.#table.delete(name) === undefined) return false;
    this.#characters -= name.length;
    return true;
  }

  /** The member at a place in the set's order, from 0. */
  at(index: number): string | undefined {
    if (this.#integers === null) return this.#table.at(index)?.name;
    const integer = this.#integers.at(index);
    return integer === undefined ? undefined : String(integer);
  }

  /** Takes `count` members out, which it has, any as likely as any other. */
  take(count: number, random: () => number): string[] {
    const taken: string[] = [];
    if (count < this.size * REBUILD_SHARE) {
      while (taken.length < count) {
        const name = this.at(Math.floor(random() * this.size)) ?? '';
        this.delete(name);
        taken.push(name);
      }
      return taken;
    }
    const kept = new MemberSet();
    let left = this.size;
    if (this.#integers === null) kept.#integers = null;
    if (this.#table.large) kept.#table.grow();
    this.visit((name) => {
      if (random() * left-- < count - taken.length) taken.push(name);
      else kept.add(name);
    });
    this.#integers = kept.#integers;
    this.#table = kept.#table;
    this.#characters = kept.#characters;
    return taken;
  }

  /** Calls `visit` for all members, or until it answers false. Nothing may change meanwhile. */
  visit(visit: (name: string) => boolean | void, from = 0): void {
    if (this.#integers === null) {
      this.#table.visit(({ name }) => visit(name), from);
      return;
    }
    for (let at = from; at < this.#integers.size; at++)
      if (visit(String(this.#integers.at(at))) === false) return;
  }

  /** One step of a scan, see {@link MemberTable.scan}; integers are visited in one. */
  scan(cursor: number, count: number, visit: (name: string) => void): number {
    if (this.#integers === null) return this.#table.scan(cursor, count, ({ name }) => visit(name));
    this.visit(visit);
    return 0;
  }

  #put(name: string): boolean {
    if (this.#table.put({ name, hash: hashOf(name) }) !== undefined) return false;
    this.#characters += name.length;
    if (this.#table.size > SMALL_MEMBERS_MAX) this.#table.grow();
    return true;
  }

  #leaveIntegers(integers: IntegerSet): void {
    this.#integers = null;
    for (let at = 0; at < integers.size; at++) this.#put(String(integers.at(at)));
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  /** How the members are kept, then the members. */
  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    const kept = this.#table.large ? KEPT.large : KEPT.small;
    if (cursor === 0) writer.byte(this.#integers === null ? kept : KEPT.integers);
    let next = cursor;
    this.visit((name) => {
      writer.string(name);
      next++;
      return writer.length < bytesMax;
    }, cursor);
    return next === this.size ? null : next;
  }

  decode(reader: ByteReader): void {
    if (this.size === 0) {
      const kept = reader.byte('how a set is kept');
      if (kept > KEPT.large) reader.fail(`${kept} for how a set is kept before`);
      if (kept !== KEPT.integers) this.#integers = null;
      if (kept === KEPT.large) this.#table.grow();
    }
    const { encoding } = this;
    const { large } = this.#table;
    do if (!this.add(reader.string('a member of a set'))) reader.fail('the same member a second time before');
    while (reader.remaining > 0);
    if (this.encoding !== encoding || this.#table.large !== large)
      reader.fail('a set that is kept otherwise before');
  }
}
