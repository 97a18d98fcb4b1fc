/**
 * Which commands a selector opens, as a row of bits, made from its rules in their order. A command that is not open may
 * be open with a certain first argument.
 */
import { CATEGORIES, type Catalogue, type Numbered } from './catalogue.ts';

export class Allowed {
  readonly #catalogue: Catalogue;
  /** 1: open. */
  readonly bits: Uint8Array;
  /** By the command's number, as they were written. */
  readonly firstArguments: Map<number, string[]> = new Map();
  /** Whether it began with all of them: then commands of later releases are open, too. */
  all = false;

  /** Rules about commands that this release does not know open and close nothing. */
  constructor(catalogue: Catalogue, rules: Iterable<string>) {
    this.#catalogue = catalogue;
    this.bits = new Uint8Array(catalogue.all.length);
    for (const rule of rules) this.apply(rule);
  }

  apply(rule: string): void {
    const open = rule.startsWith('+');
    const about = rule.slice(1);
    if (about.startsWith('@')) {
      this.#applyCategory(about.slice(1).toLowerCase(), open);
      return;
    }
    const named = this.#catalogue.named(about.toLowerCase());
    if (named !== undefined) this.#set(named, open);
    else if (open && about.includes('|')) this.#addFirstArgument(about);
  }

  #applyCategory(category: string, open: boolean): void {
    if (category === 'all') {
      this.all = open;
      this.bits.fill(open ? 1 : 0);
      this.firstArguments.clear();
      return;
    }
    for (const named of this.#catalogue.inCategory(category) ?? []) this.#set(named, open);
  }

  /** A command with all its subcommands, whatever arguments were open. */
  #set({ id, subcommands }: Numbered, open: boolean): void {
    this.bits[id] = open ? 1 : 0;
    this.firstArguments.delete(id);
    for (const subcommand of subcommands) this.bits[subcommand.id] = open ? 1 : 0;
  }

  #addFirstArgument(about: string): void {
    const bar = about.indexOf('|');
    const command = this.#catalogue.named(about.slice(0, bar).toLowerCase());
    // Of a command with subcommands it is one that is not known here.
    if (command === undefined || command.subcommands.length > 0) return;
    const known = this.firstArguments.get(command.id);
    if (known === undefined) this.firstArguments.set(command.id, [about.slice(bar + 1)]);
    else known.push(about.slice(bar + 1));
  }

  /**
   * Rules that make the same, as Redis shows them: it does not keep those that were given, but looks for the categories that
   * come closest, and then adds and takes away single commands.
   */
  describe(): string {
    const catalogue = this.#catalogue;
    const additive = !this.all;
    const rules = [additive ? '-@all' : '+@all'];
    const made = new Allowed(catalogue, rules);
    const left = new Allowed(catalogue, []);
    left.bits.set(this.bits);
    const unused = new Set(CATEGORIES);
    for (;;) {
      const best = left.#closest(unused, additive);
      if (best === undefined) break;
      unused.delete(best);
      const rule = `${additive ? '+' : '-'}@${best}`;
      made.apply(rule);
      left.apply(`${additive ? '-' : '+'}@${best}`);
      rules.push(rule);
    }
    for (const named of catalogue.all) {
      const open = this.bits[named.id];
      if (open !== made.bits[named.id]) {
        rules.push(`${open === 1 ? '+' : '-'}${named.spec.name}`);
        made.#set(named, open === 1);
      }
      if (open === 0)
        for (const argument of this.firstArguments.get(named.id) ?? [])
          rules.push(`+${named.spec.name}|${argument}`);
    }
    return rules.join(' ');
  }

  /** The category with the fewest commands that it would be wrong for, if it is right for more. */
  #closest(categories: Iterable<string>, additive: boolean): string | undefined {
    let best: string | undefined;
    let [leastWrong, mostRight] = [Infinity, 0];
    for (const category of categories) {
      let [open, closed] = [0, 0];
      for (const { id } of this.#catalogue.inCategory(category) ?? []) {
        if (this.bits[id] === 1) open += 1;
        else closed += 1;
      }
      const [right, wrong] = additive ? [open, closed] : [closed, open];
      if (right <= wrong || wrong > leastWrong || (wrong === leastWrong && right <= mostRight)) continue;
      [best, leastWrong, mostRight] = [category, wrong, right];
    }
    return best;
  }
}
