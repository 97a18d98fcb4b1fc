/**
 * The seeds' JSON file, as Go's `json.MarshalIndent` lays it out with two spaces.
 *
 * ```json
 * {
 *   "version": 1,
 *   "timestamp": "2024-01-15T10:30:00Z",
 *   "data": {
 *     "user:1": "Alice"
 *   }
 * }
 * ```
 *
 * JSON is text, keys and values are bytes: the text is their UTF-8, and bytes that are no UTF-8 can't be written. Numbers among the
 * values are read as the characters that they are written with. Order and white space don't count in what is read.
 */
import { isUtf8 } from 'node:buffer';
import { plainOf } from './entries.ts';
import { type Encoder, quoted, type ReadCommand, Unrepresentable } from './format.ts';
import type { Cursor, Input } from './input.ts';

const VERSION = '1';
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BYTE_ORDER_MARK = 0xef;
/** A byte that no number and no word begins or goes on with. */
const WORD_END = /[^-+.0-9A-Za-z]/;
const WORD_CHARACTERS_MAX = 400;

// --- Reading -----------------------------------------------------------------------------------------------------

export async function* readJson(input: Input): AsyncGenerator<ReadCommand> {
  await input.read((cursor) => {
    if (cursor.peek() === BYTE_ORDER_MARK) cursor.view(3, 'a byte order mark');
    expect(cursor, '{');
  });
  const seen = new Set<string>();
  let first = true;
  while (await input.read((cursor) => more(cursor, first))) {
    first = false;
    const { offset } = input;
    const name = await input.read((cursor) => readName(cursor));
    if (seen.has(name)) input.wrong(`one member ${quoted(name)}`, `a second one at byte ${offset}`);
    seen.add(name);
    if (name === 'data') yield* readData(input);
    else await input.read((cursor) => readMember(cursor, name));
  }
  for (const name of ['version', 'data'])
    if (!seen.has(name)) input.wrong(`a member ${quoted(name)} before the end`, 'none');
  while (!(await input.atEnd()))
    await input.read((cursor) => {
      if (!SPACES.has(cursor.byte('a space'))) cursor.wrong('the end of the file', cursor.offset - 1);
    });
}

async function* readData(input: Input): AsyncGenerator<ReadCommand> {
  await input.read((cursor) => expect(cursor, '{'));
  let first = true;
  while (await input.read((cursor) => more(cursor, first))) {
    first = false;
    const { offset } = input;
    const args = await input.read((cursor) => ['SET', readName(cursor), readScalar(cursor, 'a value')]);
    yield { args, database: 0, offset };
  }
}

/** Whether an object has another member: moves behind the comma, or behind the closing brace. */
function more(cursor: Cursor, first: boolean): boolean {
  skipSpaces(cursor);
  const next = String.fromCharCode(cursor.peek() ?? 0);
  if (first ? next !== '}' && next !== '"' : next !== '}' && next !== ',')
    cursor.wrong(first ? 'a member or }' : ', or }');
  if (next === '"') return true;
  cursor.byte(next);
  return next === ',';
}

/** `"name":` */
function readName(cursor: Cursor): string {
  skipSpaces(cursor);
  const name = readString(cursor, 'a key');
  expect(cursor, ':');
  return name;
}

/** What stands beside `data`. */
function readMember(cursor: Cursor, name: string): void {
  skipSpaces(cursor);
  const at = cursor.offset;
  const value = readScalar(cursor, `the ${name}`);
  if (name === 'version' && value !== VERSION) cursor.wrong(`version ${VERSION}`, at);
}

/** A string, or a number as it is spelt. */
function readScalar(cursor: Cursor, what: string): string {
  skipSpaces(cursor);
  if (cursor.peek() === QUOTE) return readString(cursor, what);
  const at = cursor.offset;
  const text = cursor.ahead().toString('latin1', 0, WORD_CHARACTERS_MAX);
  const size = text.search(WORD_END);
  if (size === -1 && text.length < WORD_CHARACTERS_MAX) cursor.need(text.length + 1, what);
  const word = size === -1 ? text : text.slice(0, size);
  if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(word))
    cursor.wrong(`${what}, which is a string or a number`, at);
  return cursor.characters(word.length, what);
}

/** As the bytes of its UTF-8. */
function readString(cursor: Cursor, what: string): string {
  const start = cursor.offset;
  if (cursor.peek() !== QUOTE) cursor.wrong(`${what} in quotes`);
  const bytes = cursor.ahead();
  let at = 1;
  let escaped = false;
  for (; bytes[at] !== QUOTE; at++) {
    const byte = bytes[at];
    if (byte === undefined) return cursor.lack(at + 1, `the end of ${what}`);
    if (byte < 0x20) cursor.wrong(`${what} without control characters`, start + at);
    if (byte === BACKSLASH) {
      escaped = true;
      at++;
    }
  }
  const whole = cursor.view(at + 1, what);
  if (!isUtf8(whole)) cursor.wrong(`${what} in UTF-8`, start);
  if (!escaped) return whole.toString('latin1', 1, at);
  const text = unescaped(whole);
  if (text === null) return cursor.wrong(`${what} with escapes that JSON knows, of whole characters`, start);
  return Buffer.from(text).toString('latin1');
}

function unescaped(whole: Buffer): string | null {
  try {
    const text = JSON.parse(whole.toString()) as string;
    return text.isWellFormed() ? text : null;
  } catch {
    return null;
  }
}

function expect(cursor: Cursor, character: string): void {
  skipSpaces(cursor);
  if (cursor.peek() !== character.charCodeAt(0)) cursor.wrong(character);
  cursor.byte(character);
}

/** To something else, which must be there. */
function skipSpaces(cursor: Cursor): void {
  while (SPACES.has(cursor.peek() ?? -1)) cursor.byte('a space');
  cursor.need(1, 'more');
}

// --- Writing -----------------------------------------------------------------------------------------------------

/** In the order in which the entries come. */
export function jsonEncoder(now: number): Encoder {
  let first = true;
  return {
    head: Buffer.from(
      `{\n  "version": ${VERSION},\n  "timestamp": "${timestamp(now)}",\n  "data": {`,
      'latin1',
    ),
    entry(entry) {
      const { key, value } = plainOf(entry);
      const line = `\n    ${literal(key, key)}: ${literal(value, key)}`;
      const bytes = Buffer.from(first ? line : `,${line}`, 'latin1');
      first = false;
      return bytes;
    },
    end: () => ({ tail: Buffer.from(first ? '}\n}' : '\n  }\n}'), head: null }),
  };
}

/** RFC 3339, with the fraction of a second without its last zeros, as Go's. */
function timestamp(now: number): string {
  return new Date(now).toISOString().replace(/\.?0*Z$/, 'Z');
}

/** What Go's encoder escapes besides quotes and backslashes: what HTML or JavaScript could stumble over. U+2028 and U+2029 in UTF-8. */
const ESCAPED = /["\\<>&]|[^ -\xff]|\xe2\x80[\xa8\xa9]/g;
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\xe2\x80\xa8': '\\u2028',
  '\xe2\x80\xa9': '\\u2029',
};

/** A byte string as JSON, in the bytes of its UTF-8. `of`: the key it belongs to. */
function literal(text: string, of: string): string {
  if (!isUtf8(Buffer.from(text, 'latin1')))
    throw new Unrepresentable(`${quoted(of)}, which has bytes that are no UTF-8`);
  return `"${text.replace(ESCAPED, (found) => SHORT[found] ?? `\\u00${found.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`;
}
