/** The first line of a script or a library: `#!lua name=… flags=…`. */
import { splitWords } from '../split-words.ts';
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
  const [engine, ...options] = splitWords(body.slice(0, end)) ?? [];
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
  const [engine, ...options] = (end === -1 ? null : splitWords(text.slice(0, end))) ?? [];
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
