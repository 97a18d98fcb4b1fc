/**
 * Files of commands: what `redis-cli --pipe` takes, and so Redis's append-only files.
 *
 * Commands are RESP arrays, or inline as a person types them. A file may begin with a snapshot (append-only files do after a
 * rewrite), and lines that begin with `#` are Redis's notes about the time. SELECT says which database the commands behind it are for.
 * MULTI and EXEC fall away: what is between them is read as a whole or not at all.
 *
 * From Redis 7 on an append-only file is a folder of several, and a manifest says which come after which.
 */
import { MAX_STRING_BYTES } from '../store/bytes.ts';
import { splitWords } from '../store/split-words.ts';
import { commandsOf, stringCommands } from './commands.ts';
import type { Encoder, Entry, ReadCommand, Reading } from './format.ts';
import type { Cursor, Input } from './input.ts';
import { isSnapshot, readRdb } from './rdb.ts';

const ARGUMENTS_MAX: number = 1024 * 1024;
const INLINE_BYTES_MAX: number = 64 * 1024;
const LENGTH_DIGITS_MAX = 10;
const STAR = 0x2a;
const DOLLAR = 0x24;
const HASH = 0x23;
const LF = 0x0a;

/** They are about a connection, or turn it into something else: in a file they mean nothing. */
const OF_CONNECTIONS: ReadonlySet<string> = new Set(
  'AUTH CLIENT DISCARD HELLO MONITOR PSUBSCRIBE PSYNC PUNSUBSCRIBE QUIT REPLCONF RESET SHUTDOWN SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE SYNC UNSUBSCRIBE UNWATCH WATCH'.split(
    ' ',
  ),
);

// --- Reading -----------------------------------------------------------------------------------------------------

export async function* readResp(input: Input, reading: Reading): AsyncGenerator<ReadCommand> {
  if (await input.atEnd()) return;
  const snapshot = await input.read((cursor) => {
    if (!cursor.last) cursor.need(5, 'a command');
    return isSnapshot(cursor);
  });
  if (snapshot) yield* readRdb(input, reading);
  let database = 0;
  /** Where a transaction that has not ended yet began. */
  let opened: number | null = null;
  while (!(await input.atEnd())) {
    const { offset } = input;
    const args = await input.read(readCommand);
    const name = args[0]?.toUpperCase();
    if (name === undefined) continue;
    if (name === 'SELECT' && args.length === 2 && /^\d{1,9}$/.test(args[1] ?? '')) database = Number(args[1]);
    else if (name === 'MULTI' && opened === null) opened = offset;
    else if (name === 'EXEC' && opened !== null) opened = null;
    else if (OF_CONNECTIONS.has(name) || name === 'MULTI' || name === 'EXEC' || name === 'SELECT')
      input.wrong('a command that changes data', `${name} at byte ${offset}`);
    else yield { args, database, offset };
  }
  if (opened !== null)
    input.wrong('EXEC', `the end of the file, in the transaction that begins at byte ${opened}`, opened);
}

/** Empty for what is no command. */
function readCommand(cursor: Cursor): readonly string[] {
  if (cursor.peek() !== STAR) return readInline(cursor);
  const start = cursor.offset;
  const count = readLength(cursor, 'a number of arguments');
  if (count > ARGUMENTS_MAX) cursor.wrong(`at most ${ARGUMENTS_MAX} arguments`, start);
  const args: string[] = [];
  for (let left = count; left > 0; left--) {
    cursor.need(1, 'an argument');
    const at = cursor.offset;
    if (cursor.peek() !== DOLLAR) cursor.wrong("an argument's length behind $");
    const length = readLength(cursor, 'the length of an argument');
    if (length < 0 || length > MAX_STRING_BYTES)
      cursor.wrong(`an argument of 0 to ${MAX_STRING_BYTES} bytes`, at);
    const argument = cursor.characters(length, 'an argument');
    const end = cursor.offset;
    if (cursor.characters(2, 'the end of an argument') !== '\r\n')
      cursor.wrong('a line break behind an argument', end);
    args.push(argument);
  }
  return args;
}

/** The number behind a type byte, and its line break. */
function readLength(cursor: Cursor, what: string): number {
  const start = cursor.offset;
  const text = cursor.ahead().toString('latin1', 1, LENGTH_DIGITS_MAX + 4);
  const end = text.indexOf('\r\n');
  if (end === -1 && text.length < LENGTH_DIGITS_MAX + 3) cursor.need(text.length + 2, what);
  const digits = text.slice(0, end);
  if (end === -1 || !/^(?:-1|\d+)$/.test(digits)) cursor.wrong(what, start);
  cursor.view(1 + end + 2, what);
  return Number(digits);
}

/** One line: a note, or words. The last one may end with the file. */
function readInline(cursor: Cursor): readonly string[] {
  const start = cursor.offset;
  const ahead = cursor.ahead();
  const found = ahead.indexOf(LF);
  const size = found === -1 ? ahead.length : found;
  if (size > INLINE_BYTES_MAX) cursor.wrong(`a line of at most ${INLINE_BYTES_MAX} bytes`, start);
  if (found === -1 && !cursor.last) cursor.need(ahead.length + 1, 'the end of a line');
  const line = cursor.characters(size, 'a line');
  if (found !== -1) cursor.byte('the end of a line');
  if (line.charCodeAt(0) === HASH) return [];
  const words = splitWords(line.endsWith('\r') ? line.slice(0, -1) : line);
  const word = words?.[0];
  // A command that can't be one: it is a piece of something else.
  if (words === null || (word !== undefined && !/^[A-Za-z][\w.|-]*$/.test(word)))
    return cursor.wrong('a command', start);
  return words;
}

const MANIFEST_LINE = /^file (?:"((?:[^"\\]|\\.)*)"|(\S+)) seq (\d+) type ([bhi])\s*$/;

/** Whether a file that begins like this is a manifest. */
export function isManifest(start: Uint8Array): boolean {
  return Buffer.from(start).toString('latin1', 0, 5) === 'file ';
}

/** The files that a manifest names, in the order in which they are read; null where it is none. Names are as in the manifest. */
export function manifestFiles(text: string): readonly string[] | null {
  const files: { readonly name: string; readonly rank: number }[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const found = MANIFEST_LINE.exec(line);
    const name = found?.[1] ?? found?.[2];
    if (found === null || name === undefined || name.includes('/')) return null;
    // The history is what a rewrite has replaced.
    if (found[4] === 'h') continue;
    files.push({ name: name.replaceAll(/\\(.)/g, '$1'), rank: found[4] === 'b' ? -1 : Number(found[3]) });
  }
  return files.sort((a, b) => a.rank - b.rank).map(({ name }) => name);
}

// --- Writing -----------------------------------------------------------------------------------------------------

/** Commands as RESP, that rebuild each key whatever it was before. */
export function respEncoder(): Encoder {
  return {
    head: Buffer.alloc(0),
    entry: (entry) => Buffer.concat(Array.from(commandsFor(entry), encodeCommand)),
    end: () => ({ tail: Buffer.alloc(0), head: null }),
  };
}

function* commandsFor(entry: Entry): Generator<readonly string[]> {
  switch (entry.kind) {
    case 'string':
      return yield* stringCommands(entry.key, entry.value, entry.expiresAt);
    case 'dump':
      return yield* commandsOf(entry.key, entry.dump, entry.expiresAt);
    case 'library':
      return yield ['FUNCTION', 'LOAD', 'REPLACE', entry.code];
    default:
      entry satisfies never;
  }
}

/** A command as RESP. */
export function encodeCommand(args: readonly string[]): Buffer {
  return Buffer.from(
    `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`,
    'latin1',
  );
}
