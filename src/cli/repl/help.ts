/** HELP: what the command table says of a command, a group, or of help itself. */
import { shown } from '../../server/syntax.ts';
import type { Described, Hints } from './hints.ts';

const USAGE = `HELP <command>   what a command does
HELP @<group>    the commands of a group: @GROUPS
The tab key completes commands, subcommands and options; EXIT or Ctrl-D ends.`;

/** `words`: what stands behind HELP. */
export function helpOn(hints: Hints, words: readonly string[]): string {
  const [first = ''] = words;
  if (first === '') {
    const groups = [...new Set(hints.all().map(({ group }) => `@${group}`))].sort();
    return USAGE.replace('@GROUPS', groups.join(' '));
  }
  const found = first.startsWith('@')
    ? hints.all().filter(({ group }) => group === first.slice(1).toLowerCase())
    : matching(hints, words.join(' ').toUpperCase());
  if (found.length === 0) return `No help on ${words.join(' ')}: HELP tells what there is.`;
  return found.map(describe).join('\n');
}

/** The command of this name, and the subcommands of a container. */
function matching(hints: Hints, name: string): Described[] {
  return hints.all().filter((one) => one.name === name || one.name.startsWith(`${name} `));
}

function describe({ name, syntax, summary, since, group }: Described): string {
  const lines = [`${name} ${shown(syntax)}`.trimEnd(), `  ${summary}`, `  group: ${group}`];
  return `\n${since === '' ? lines.join('\n') : `${lines.join('\n')}, since ${since}`}`;
}
