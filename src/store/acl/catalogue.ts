/** The commands that rules speak of: numbered, so that what a user may run is a row of bits, and sorted into categories. */
import type { CommandSpec } from '../command.ts';
import type { RuleProblem } from './rules.ts';

/** In the order in which Redis lists them; the last is that of a module. */
export const CATEGORIES: readonly string[] = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
  'bloom',
];

/** A command or a subcommand. */
export interface Numbered {
  readonly id: number;
  readonly spec: CommandSpec;
  /** Its subcommands, if it has any. */
  readonly subcommands: readonly Numbered[];
  readonly isSubcommand: boolean;
}

export class Catalogue {
  /** By their numbers: each command, and behind it its subcommands. */
  readonly all: readonly Numbered[];
  readonly #byName: ReadonlyMap<string, Numbered>;
  readonly #categories: ReadonlyMap<string, readonly Numbered[]>;

  constructor(commands: Iterable<CommandSpec>) {
    const all: Numbered[] = [];
    for (const spec of commands) {
      const id = all.length;
      const subcommands = (spec.subcommands ?? []).map((subcommand, at): Numbered => {
        return { id: id + 1 + at, spec: subcommand, subcommands: [], isSubcommand: true };
      });
      all.push({ id, spec, subcommands, isSubcommand: false }, ...subcommands);
    }
    this.all = all;
    this.#byName = new Map(all.map((each) => [each.spec.name, each]));
    this.#categories = new Map(
      CATEGORIES.map((category) => [category, all.filter(({ spec }) => spec.categories.includes(category))]),
    );
  }

  /** By its name in lower case, a subcommand as `container|name`. */
  named(name: string): Numbered | undefined {
    return this.#byName.get(name);
  }

  /** All of a category, in lower case. */
  inCategory(category: string): readonly Numbered[] | undefined {
    return this.#categories.get(category);
  }

  /** What is wrong with a rule about commands, `+…` or `-…`. */
  problemOf(rule: string): RuleProblem | null {
    const about = rule.slice(1).toLowerCase();
    if (about.startsWith('@'))
      return about === '@all' || this.#categories.has(about.slice(1)) ? null : 'unknown';
    const bar = about.lastIndexOf('|');
    if (rule.startsWith('-') || bar === -1) return this.#byName.has(about) ? null : 'unknown';
    const command = this.#byName.get(about.slice(0, bar));
    if (command === undefined) return 'unknown';
    if (command.isSubcommand) return 'firstArgument';
    if (bar === about.length - 1) return 'syntax';
    return command.subcommands.length === 0 || this.#byName.has(about) ? null : 'unknown';
  }
}
