/**
 * What may follow on a line, out of the command table: the rest of a command's arguments as a hint, and for the tab key
 * names of commands, of subcommands and words of options.
 *
 * A syntax (the table's `usage`) becomes a sequence of parts, and each word that is typed takes one away: a word of an option
 * takes that option, wherever it stands among the options that may come now, and any other word takes the next argument and
 * with it the options that had to come before.
 */
import type { Command } from '../../server/session.ts';
import { type Part, partsOf } from '../../server/syntax.ts';
import { commandTable } from '../../server/table.ts';

type Parts = readonly Part[];

/** A command or subcommand, for help and hints. */
export interface Described {
  /** In capitals, a subcommand with its container's name: `CONFIG GET`. */
  readonly name: string;
  /** As the table declares it. */
  readonly syntax: string;
  readonly summary: string;
  readonly since: string;
  readonly group: string;
}

export class Hints {
  /** By name in capitals; containers are not among them, unless they do something by themselves. */
  readonly #commands: ReadonlyMap<string, Described>;
  readonly #containers: ReadonlySet<string>;

  /** `extra`: words of the target's own. */
  constructor(extra: readonly Described[]) {
    const all = [...new Set(commandTable.values())].flatMap(describe);
    this.#commands = new Map([...all, ...extra].map((one) => [one.name, one]));
    this.#containers = new Set(
      all.flatMap(({ name }) => (name.includes(' ') ? [name.split(' ')[0] ?? ''] : [])),
    );
  }

  all(): Described[] {
    return [...this.#commands.values()];
  }

  /** A command by its name in any case. */
  find(name: string): Described | undefined {
    return this.#commands.get(name.toUpperCase());
  }

  /** The rest of the arguments behind this line, with the blank before it where that is missing. */
  hint(line: string): string {
    const words = wordsOf(line).filter((word) => word !== '');
    const rest = this.#rest(words);
    if (rest === null || rest.length === 0) return '';
    return `${/\s$/.test(line) ? '' : ' '}${rest.map(({ text }) => text).join(' ')}`;
  }

  /** What the last word of this line may become, and that word. */
  complete(line: string): [candidates: string[], word: string] {
    const words = wordsOf(line.trimStart());
    const last = words.at(-1) ?? '';
    const wanted = last.toUpperCase();
    // What is typed in small letters goes on in small letters.
    const small = last !== '' && last === last.toLowerCase();
    const found = this.#next(words.slice(0, -1))
      .filter((candidate) => candidate.startsWith(wanted))
      .map((candidate) => `${small ? candidate.toLowerCase() : candidate} `);
    return [[...new Set(found)].sort(), last];
  }

  /** Words in capitals that may come behind these. */
  #next(before: readonly string[]): string[] {
    const [first = '', ...others] = before.map((word) => word.toUpperCase());
    if (first === 'HELP')
      return others.length === 0 ? this.#firstWords() : this.#secondWords(others[0] ?? '');
    if (first === '') return [...this.#firstWords(), 'HELP'];
    if (others.length === 0 && this.#containers.has(first)) return this.#secondWords(first);
    return literals(this.#rest(before) ?? []);
  }

  #firstWords(): string[] {
    return [...this.#commands.keys(), ...this.#containers].map((name) => name.split(' ')[0] ?? '');
  }

  #secondWords(container: string): string[] {
    return [...this.#commands.keys()].flatMap((name) => {
      const [first, second] = name.split(' ');
      return first === container && second !== undefined ? [second] : [];
    });
  }

  /** What is left of the syntax of the command that these words begin; null when they begin none. */
  #rest([first = '', second = '', ...others]: readonly string[]): Parts | null {
    const sub = this.find(`${first} ${second}`);
    if (sub !== undefined) return others.reduce(after, partsOf(sub.syntax));
    const command = this.find(first);
    if (command === undefined) return null;
    const args = second === '' ? others : [second, ...others];
    return args.reduce(after, partsOf(command.syntax));
  }
}

/** The command and its subcommands; of a container that does nothing by itself only these. Nothing that is only refused. */
function describe(command: Command): Described[] {
  const subcommands = command.kind === 'local' ? (command.subcommands ?? []) : [];
  const specs =
    subcommands.length > 0 && command.name !== 'command' ? subcommands : [command, ...subcommands];
  const here = specs.filter(({ absent }) => absent !== true);
  return here.map(({ name, usage, summary, since, group }) => ({
    name: name.replace('|', ' ').toUpperCase(),
    syntax: usage ?? '',
    summary,
    since,
    group,
  }));
}

/** The words of a line; the last one is empty behind a blank. Quoted blanks don't part words. */
function wordsOf(line: string): string[] {
  return line.match(/(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|[^\s"'])+|(?<=\s|^)$/g) ?? [''];
}

/** What is left of `parts` behind a word. */
function after(parts: Parts, word: string): Parts {
  return afterLiteral(parts, word.toUpperCase()) ?? afterArgument(parts);
}

/** Behind a word of an option, or one that has to stand there; null when `word` is none that may come now. */
function afterLiteral(parts: Parts, word: string): Parts | null {
  for (const [at, part] of parts.entries()) {
    if (part.kind === 'literal' && part.text === word) return parts.slice(at + 1);
    if (part.kind !== 'choice') return null;
    // Behind what has to stand there no earlier option may come.
    const others = part.repeated ? parts : part.optional ? parts.toSpliced(at, 1) : parts.slice(at + 1);
    for (const alternative of part.alternatives) {
      const rest = afterLiteral(alternative, word);
      if (rest !== null) return [...rest, ...others];
    }
    if (!part.optional) return null;
  }
  return null;
}

/** Behind any other word. */
function afterArgument(parts: Parts): Parts {
  for (const [at, part] of parts.entries()) {
    const others = parts.slice(at + 1);
    if (part.kind !== 'choice') return others;
    const taken = part.alternatives.find(([first]) => first?.kind === 'argument');
    if (taken !== undefined) return [...taken.slice(1), ...(part.repeated ? parts.slice(at) : others)];
    // Nothing that could stand here: it takes the place of what has to.
    if (!part.optional) return others;
  }
  return [];
}

/** The words to be written as they stand that may come now. */
function literals(parts: Parts): string[] {
  const found: string[] = [];
  for (const part of parts) {
    if (part.kind === 'literal') found.push(part.text);
    if (part.kind !== 'choice') break;
    found.push(...part.alternatives.flatMap(literals));
    if (!part.optional) break;
  }
  return found.filter((text) => /^[A-Z]/.test(text));
}
