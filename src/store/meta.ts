/**
 * What is replicated besides keys: settings, scripts, function libraries, users. A few small tables of texts, by name, each
 * in the order in which its keys came; the same on every node, in snapshots and in the digest.
 */
import { type ByteReader, ByteWriter } from './bytes.ts';

/** `settings`: by name. `scripts`: by SHA-1. `libraries`: by name. `users`: by name, as ACL rules. */
export const META_TABLES = ['settings', 'scripts', 'libraries', 'users'] as const;
export type MetaTable = (typeof META_TABLES)[number];

const RECORD_BYTES = 256;

export class Meta {
  readonly #tables: Map<string, Map<string, string>> = new Map(
    META_TABLES.map((table) => [table, new Map()]),
  );
  /** Characters of the texts of each table. */
  readonly #bytes = new Map<string, number>();
  /** How often each table has changed since this object was made. Each node's own. */
  readonly #changes = new Map<string, number>();

  get(table: MetaTable, key: string): string | undefined {
    return this.#table(table).get(key);
  }

  /** All of a table, oldest first. Not to be kept while it changes. */
  entries(table: MetaTable): ReadonlyMap<string, string> {
    return this.#table(table);
  }

  set(table: MetaTable, key: string, value: string): void {
    this.#changed(table, value.length - (this.get(table, key)?.length ?? 0));
    this.#table(table).set(key, value);
  }

  /** False if it was not there. */
  delete(table: MetaTable, key: string): boolean {
    this.#changed(table, -(this.get(table, key)?.length ?? 0));
    return this.#table(table).delete(key);
  }

  clear(table: MetaTable): void {
    this.#changed(table, -this.bytes(table));
    this.#table(table).clear();
  }

  /** What the texts of a table take in memory, their names apart. */
  bytes(table: MetaTable): number {
    return this.#bytes.get(table) ?? 0;
  }

  /** Another number after every change of the table: for what a node derives from it. */
  changes(table: MetaTable): number {
    return this.#changes.get(table) ?? 0;
  }

  /** How many there are in all tables. */
  get size(): number {
    let size = 0;
    for (const table of this.#tables.values()) size += table.size;
    return size;
  }

  /** What a snapshot keeps of it: one body of a record for each; as it is now, whatever comes. */
  records(tables: readonly MetaTable[] = META_TABLES): string[] {
    const bodies: string[] = [];
    for (const table of tables) {
      for (const [key, value] of this.#table(table)) {
        const writer = new ByteWriter(RECORD_BYTES);
        for (const text of [table, key, value]) writer.string(text);
        bodies.push(writer.view().toString('latin1'));
      }
    }
    return bodies;
  }

  /** Puts back what one of `records` says. */
  restore(reader: ByteReader): void {
    const name = reader.string('the name of a table');
    const table = this.#tables.get(name);
    if (table === undefined) reader.fail(`the unknown table ${JSON.stringify(name)} before`);
    const key = reader.string('a key of a table');
    if (table.has(key)) reader.fail(`the same key of table ${name} a second time before`);
    const text = reader.string('a text of a table');
    table.set(key, text);
    this.#changed(name, text.length);
  }

  #changed(table: string, bytes: number): void {
    this.#bytes.set(table, (this.#bytes.get(table) ?? 0) + bytes);
    this.#changes.set(table, (this.#changes.get(table) ?? 0) + 1);
  }

  #table(name: MetaTable): Map<string, string> {
    // All of them are there from the beginning.
    return this.#tables.get(name) as Map<string, string>;
  }
}
