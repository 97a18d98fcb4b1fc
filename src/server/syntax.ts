/**
 * What may follow a command's name, taken apart: the table declares it as one line of text (`usage`), and the REPL's hints and
 * the arguments of COMMAND DOCS are made from the parts.
 *
 *     <key> [NX|XX] (FROM <member>|AT <x> <y>) <score> <member> [<score> <member> ...]
 *
 * A word stands as it is; `<…>` is a name for what is to be written; `[…]` may be left out; `|` parts alternatives, inside of
 * brackets or, of single words, between blanks; `…` behind a blank and three dots may come again.
 */

export type Part = Single | Choice;

/** A word to be written as it stands, or a name for what is to be written. */
interface Single {
  readonly kind: 'literal' | 'argument';
  /** As it is shown: without angle brackets. */
  readonly text: string;
}

/** One of these sequences; a sequence in brackets is a choice of one. */
export interface Choice {
  readonly kind: 'choice';
  readonly text: string;
  readonly alternatives: readonly (readonly Part[])[];
  readonly optional: boolean;
  readonly repeated: boolean;
}

const REPEATED = ' ...';

export function partsOf(usage: string): readonly Part[] {
  return splitOutside(usage, ' ').map((source): Part => {
    const text = shown(source);
    const optional = source.startsWith('[');
    const inner = optional || source.startsWith('(') ? source.slice(1, -1) : source;
    const repeated = inner.endsWith(REPEATED);
    const alternatives = splitOutside(repeated ? inner.slice(0, -REPEATED.length) : inner, '|');
    if (inner === source && alternatives.length === 1)
      return { kind: source.startsWith('<') ? 'argument' : 'literal', text };
    return { kind: 'choice', text, alternatives: alternatives.map(partsOf), optional, repeated };
  });
}

/** A usage as people read it. */
export function shown(usage: string): string {
  return usage.replaceAll(/[<>]/g, '');
}

/** Whether `part` says that the parts before it may come again: `[<key> ...]` behind `<key>`. */
export function repeats(part: Part | undefined, before: readonly Part[]): boolean {
  if (part?.kind !== 'choice' || !part.optional || !part.repeated) return false;
  const [sequence = [], ...others] = part.alternatives;
  return others.length === 0 && textOf(sequence) === textOf(before);
}

function textOf(parts: readonly Part[]): string {
  return parts.map(({ text }) => text).join(' ');
}

/** Splits where no bracket is open. */
function splitOutside(text: string, separator: string): string[] {
  const pieces: string[] = [];
  let depth = 0;
  let piece = '';
  for (const char of text) {
    if (char === '[' || char === '(') depth += 1;
    if (char === ']' || char === ')') depth -= 1;
    if (char === separator && depth === 0) {
      pieces.push(piece);
      piece = '';
    } else piece += char;
  }
  return [...pieces, piece].filter((one) => one !== '');
}
