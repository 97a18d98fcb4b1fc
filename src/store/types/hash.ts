/**
 * Hashes: fields with values in a {@link MemberTable}, and a second tree of those fields that have a deadline, the next
 * one first.
 *
 * A field whose deadline has passed is missing, for whoever asks: every look-up says for which moment it asks. It takes
 * memory until {@link Hash.remove} or a write removes it, and that is in the log.
 */
import type { ByteReader, ByteWriter } from '../bytes.ts';
import {
  type Collection,
  COLLECTION_OVERHEAD_BYTES,
  ELEMENT_OVERHEAD_BYTES,
  type Expiring,
} from '../collection.ts';
import { hashOf, MemberTable, type Named } from '../member-table.ts';
import { type Choices, choicesOf } from '../random-choice.ts';
import { Tree } from '../tree.ts';

/** Beyond one of these a hash is no listpack in Redis, and no small table here. */
const LISTPACK_FIELDS_MAX = 512;
const LISTPACK_BYTES_MAX = 64;
/** What a deadline costs, about. */
const DEADLINE_BYTES = 32;

export interface Field extends Named {
  readonly value: string;
  /**
   * Its deadline in ms since 1970, `null` for none: not 0, because V8 would then keep all of them, where one is no small
   * integer, as boxed doubles of 16 bytes.
   */
  readonly expiresAt: number | null;
}

export function isAlive(field: Field, now: number): boolean {
  return field.expiresAt === null || field.expiresAt > now;
}

function byDeadline(a: Field, b: Field): number {
  const difference = (a.expiresAt ?? Infinity) - (b.expiresAt ?? Infinity);
  if (difference !== 0) return difference;
  if (a.hash !== b.hash) return a.hash - b.hash;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export class Hash implements Collection, Expiring {
  readonly type = 'hash';
  #table = new MemberTable<Field>();
  /** Those with a deadline; `null` until there is one. */
  #deadlines: Tree<Field> | null = null;
  /** Of all fields and values. */
  #characters = 0;

  get encoding(): string {
    return this.#table.large ? 'hashtable' : 'listpack';
  }

  get vanishes(): boolean {
    return this.#table.size === 0;
  }

  get bytes(): number {
    return (
      COLLECTION_OVERHEAD_BYTES +
      this.#table.size * ELEMENT_OVERHEAD_BYTES +
      (this.#deadlines?.size ?? 0) * DEADLINE_BYTES +
      this.#characters
    );
  }

  fork(): Hash {
    const fork = new Hash();
    fork.#table = this.#table.fork();
    fork.#deadlines = this.#deadlines?.fork() ?? null;
    fork.#characters = this.#characters;
    return fork;
  }

  // --- Fields ----------------------------------------------------------------------------------------------------

  /** How many fields are there at `now`. */
  size(now: number): number {
    return this.#table.size - this.#dueCount(now);
  }

  /** The value of the field; undefined when it is not there at `now`. */
  get(name: string, now: number): string | undefined {
    return this.field(name, now)?.value;
  }

  field(name: string, now: number): Field | undefined {
    const field = this.#table.get(name);
    return field !== undefined && isAlive(field, now) ? field : undefined;
  }

  /** Gives the field a value and a deadline; the result is what was in its place, which may have expired. */
  put(name: string, value: string, expiresAt: number | null = null): Field | undefined {
    const field: Field = { name, hash: hashOf(name), value, expiresAt };
    const before = this.#table.put(field);
    if (before === undefined) this.#characters += name.length + value.length;
    else {
      this.#characters += value.length - before.value.length;
      if (before.expiresAt !== null) this.#deadlines?.delete(before);
    }
    if (expiresAt !== null) (this.#deadlines ??= new Tree(byDeadline)).put(field);
    if (isTooLong(name, value) || this.#table.size > LISTPACK_FIELDS_MAX) this.#table.grow();
    return before;
  }

  /** Takes the field out; the result may have expired. */
  delete(name: string): Field | undefined {
    const field = this.#table.delete(name);
    if (field === undefined) return undefined;
    this.#characters -= name.length + field.value.length;
    if (field.expiresAt !== null) this.#deadlines?.delete(field);
    return field;
  }

  /** Calls `visit` for all fields that are there at `now`. */
  visit(now: number, visit: (field: Field) => void): void {
    this.#table.visit((field) => {
      if (isAlive(field, now)) visit(field);
    });
  }

  /** One step of a scan, see {@link MemberTable.scan}. */
  scan(cursor: number, count: number, now: number, visit: (field: Field) => void): number {
    return this.#table.scan(cursor, count, (field) => {
      if (isAlive(field, now)) visit(field);
    });
  }

  /** The fields that are there at `now`, to choose from. O(fields) while some have expired and are not removed. */
  choices(now: number): Choices<Field> {
    if (this.#dueCount(now) === 0) return this.#table;
    const alive: Field[] = [];
    this.visit(now, (field) => void alive.push(field));
    return choicesOf(alive);
  }

  // --- Deadlines -------------------------------------------------------------------------------------------------

  get expiring(): Expiring | null {
    return this.#deadlines === null || this.#deadlines.size === 0 ? null : this;
  }

  get first(): number {
    return this.#deadlines?.at(0)?.expiresAt ?? Infinity;
  }

  get last(): number {
    const deadlines = this.#deadlines;
    if (deadlines === null || deadlines.size < this.#table.size) return Infinity;
    return deadlines.at(deadlines.size - 1)?.expiresAt ?? Infinity;
  }

  next(now: number): number {
    return this.#deadlines?.at(this.#dueCount(now))?.expiresAt ?? Infinity;
  }

  remove(now: number, max: number): number {
    const deadlines = this.#deadlines;
    if (deadlines === null) return 0;
    const due = Math.min(this.#dueCount(now), max);
    deadlines.visit(0, due, ({ name, value }) => {
      this.#table.delete(name);
      this.#characters -= name.length + value.length;
    });
    deadlines.deleteRange(0, due);
    return due;
  }

  /** How many fields have expired and take memory. */
  #dueCount(now: number): number {
    const deadlines = this.#deadlines;
    if (deadlines === null || deadlines.size === 0) return 0;
    return deadlines.countBefore((field) => isAlive(field, now));
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  /** Whether the table is large, then the fields: a name, a value, a deadline or 0. */
  encode(cursor: number, writer: ByteWriter, bytesMax: number): number | null {
    if (cursor === 0) writer.byte(this.#table.large ? 1 : 0);
    let next = cursor;
    this.#table.visit(({ name, value, expiresAt }) => {
      writer.string(name);
      writer.string(value);
      writer.varint(expiresAt ?? 0);
      next++;
      return writer.length < bytesMax;
    }, cursor);
    return next === this.#table.size ? null : next;
  }

  decode(reader: ByteReader): void {
    if (this.#table.size === 0) {
      const large = reader.byte('whether a hash is large');
      if (large > 1) reader.fail(`${large} for whether a hash is large before`);
      if (large === 1) this.#table.grow();
    }
    const { large } = this.#table;
    do {
      const name = reader.string('a field');
      const value = reader.string('the value of a field');
      const expiresAt = reader.varint('the deadline of a field');
      if (this.put(name, value, expiresAt === 0 ? null : expiresAt) !== undefined)
        reader.fail('the same field a second time before');
    } while (reader.remaining > 0);
    if (this.#table.large !== large) reader.fail('a small hash that is large before');
  }
}

function isTooLong(name: string, value: string): boolean {
  return name.length > LISTPACK_BYTES_MAX || value.length > LISTPACK_BYTES_MAX;
}
