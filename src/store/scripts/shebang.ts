/** The first line of a script or a library: `#!lua name=… flags=…`. */
import { SCRIPT_FLAGS, type ScriptFlag } from './host.ts';
import { BAD_NAME, NAME } from './libraries/redis.ts';

/** A script and what its first line says. */
export interface ScriptText {
  /** From the end of the first line on, if that is one: so its lines keep their numbers. */
  readonly code: string;
  /** `null`: there is no such line, and the script may do what scripts always could. */
  readonly flags: ReadonlySet<ScriptFlag> | null;
}

export interface LibraryText {
  readonly name: string;
  readonly code: string;
}

/** A script's text taken apart, or the error. */
export function readScript(body: string): ScriptText | string {
  if (!body.startsWith('#!')) return { code: body, flags: null };
  const end = body.indexOf('\n');
  if (end === -1) return 'ERR Invalid script shebang';
  const [engine, ...options] = splitArguments(body.slice(0, end)) ?? [];
  if (engine === undefined) return 'ERR Invalid engine in script shebang';
  if (engine !== '#!lua') return `ERR Unexpected engine in script shebang: ${engine}`;
  const flags = new Set<ScriptFlag>();
  for (const option of options) {
    if (!option.startsWith('flags=')) return `ERR Unknown lua shebang option: ${option}`;
    const names = option.slice('flags='.length);
    for (const name of names === '' ? [] : names.split(',')) {
      const flag = SCRIPT_FLAGS.find((candidate) => candidate === name);
      if (flag === undefined) return `ERR Unexpected flag in script shebang: ${name}`;
      flags.add(flag);
    }
  }
  return { code: body.slice(end), flags };
}

/** A library's text taken apart, or the error. */
export function readLibrary(text: string): LibraryText | string {
  if (!text.startsWith('#!')) return 'ERR Missing library metadata';
  const end = text.indexOf('\n');
  const [engine, ...options] = (end === -1 ? null : splitArguments(text.slice(0, end))) ?? [];
  if (engine === undefined) return 'ERR Invalid library metadata';
  let name: string | null = null;
  for (const option of options) {
    if (!option.toLowerCase().startsWith('name=')) return `ERR Invalid metadata value given: ${option}`;
    if (name !== null) return 'ERR Invalid metadata value, name argument was given multiple times';
    name = option.slice('name='.length);
  }
  if (name === null) return 'ERR Library name was not given';
  if (!NAME.test(name)) return `ERR ${BAD_NAME}`;
  if (engine.slice(2).toLowerCase() !== 'lua') return `ERR Engine '${engine.slice(2)}' not found`;
  return { name, code: text.slice(end) };
}

const BLANK = /[\s\0]/;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };

/** The words of a line, as Redis splits its configuration and inline commands: quotes hold words together. */
function splitArguments(line: string): string[] | null {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && BLANK.test(line[at] ?? '')) at++;
    if (at >= line.length) return words;
    let word = '';
    while (at < line.length && !BLANK.test(line[at] ?? '')) {
      const character = line[at] ?? '';
      if (character !== '"' && character !== "'") {
        word += character;
        at++;
        continue;
      }
      const quoted = readQuoted(line, at);
      if (quoted === null) return null;
      word += quoted.text;
      at = quoted.end;
    }
    words.push(word);
  }
}

/** The quoted part that begins at `start`; a blank or the end must follow it. */
function readQuoted(line: string, start: number): { readonly text: string; readonly end: number } | null {
  const quote = line[start] ?? '';
  let text = '';
  for (let at = start + 1; at < line.length; ) {
    const character = line[at] ?? '';
    if (character === quote) {
      const next = line[at + 1];
      return next === undefined || BLANK.test(next) ? { text, end: at + 1 } : null;
    }
    const byte = /^\\x([\da-f]{2})/i.exec(line.slice(at, at + 4));
    if (quote === '"' && byte !== null) {
      text += String.fromCharCode(Number.parseInt(byte[1] ?? '', 16));
      at += 4;
    } else if (quote === '"' && character === '\\' && at + 1 < line.length) {
      const escaped = line[at + 1] ?? '';
      text += ESCAPES[escaped] ?? escaped;
      at += 2;
    } else if (quote === "'" && character === '\\' && line[at + 1] === "'") {
      text += "'";
      at += 2;
    } else {
      text += character;
      at++;
    }
  }
  return null;
}
