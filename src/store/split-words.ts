/** Lines that people type: an inline request, what stands in the parentheses of an ACL rule, the first line of a script. */
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };
/** What C's `isspace` calls a space. */
const SPACE = /[ \t\n\v\f\r]/;
const HEX = /^[0-9a-fA-F]{2}$/;

/**
 * The words of a line by Redis's quoting rules: `"…"` with `\n \r \t \b \a \xHH` and `\c` for any other
 * character, `'…'` with `\'` only; a closing quote must be followed by a space. Null when quotes don't match.
 */
export function splitWords(line: string): string[] | null {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && SPACE.test(line.charAt(at))) at += 1;
    if (at >= line.length) return words;
    let word = '';
    // A quote may also open in the middle of a word: foo"bar" is foobar.
    while (at < line.length && !' \n\r\t'.includes(line.charAt(at))) {
      const quote = line.charAt(at);
      if (quote !== '"' && quote !== "'") {
        word += quote;
        at += 1;
        continue;
      }
      const quoted = readQuoted(line, at + 1, quote);
      if (quoted === null) return null;
      word += quoted.text;
      at = quoted.end;
      if (at < line.length && !SPACE.test(line.charAt(at))) return null;
      break;
    }
    words.push(word);
  }
}

/** What stands in quotes from `start` on, and the position behind the closing one; null without one. */
function readQuoted(line: string, start: number, quote: string): { text: string; end: number } | null {
  let text = '';
  let at = start;
  while (at < line.length) {
    const char = line.charAt(at);
    if (char === quote) return { text, end: at + 1 };
    const next = line.charAt(at + 1);
    if (char !== '\\' || next === '' || (quote === "'" && next !== "'")) {
      text += char;
      at += 1;
      continue;
    }
    const hex = line.slice(at + 2, at + 4);
    if (quote === '"' && next === 'x' && HEX.test(hex)) {
      text += String.fromCharCode(Number.parseInt(hex, 16));
      at += 4;
    } else {
      text += quote === '"' ? (ESCAPES[next] ?? next) : next;
      at += 2;
    }
  }
  return null;
}
