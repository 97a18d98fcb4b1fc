/**
 * The commands that rebuild a value, whatever the key held before: for command files, and for values of a snapshot that are
 * too large for one request. Streams and Bloom filters have states that no commands lead to; they stay RESTORE.
 */
import { doubleText } from '../store/double.ts';
import { valueOf } from '../store/rdb/restore.ts';
import { Hash } from '../store/types/hash.ts';
import { List } from '../store/types/list.ts';
import { MemberSet } from '../store/types/set.ts';
import { SortedSet } from '../store/types/sorted-set.ts';
import { isString, textOf } from '../store/value.ts';

type Command = readonly string[];

/** What one command holds at most, besides a single longer argument: as many elements as in Redis's own append-only files. */
const ELEMENTS_MAX = 64;
const PIECE_BYTES = 64 * 1024;
/** A longer string is appended to in pieces of this size. */
const STRING_PIECE_BYTES: number = 4 * 1024 * 1024;

/** `dump` is intact. None for one that holds no value. */
export function* commandsOf(key: string, dump: string, expiresAt: number | null): Generator<Command> {
  const value = valueOf(Buffer.from(dump, 'latin1'));
  if (value === undefined) return;
  if (isString(value)) {
    yield* stringCommands(key, textOf(value), expiresAt);
    return;
  }
  if (value instanceof List) {
    const elements: string[] = [];
    value.visit(0, value.size, (element) => void elements.push(element));
    yield ['DEL', key];
    yield* inPieces(['RPUSH', key], elements, 1);
  } else if (value instanceof MemberSet) {
    const members: string[] = [];
    value.visit((name) => void members.push(name));
    yield ['DEL', key];
    yield* inPieces(['SADD', key], members, 1);
  } else if (value instanceof SortedSet) {
    const members: string[] = [];
    value.visit({ from: 0, to: value.size }, ({ name, score }) => void members.push(doubleText(score), name));
    yield ['DEL', key];
    yield* inPieces(['ZADD', key], members, 2);
  } else if (value instanceof Hash) {
    const fields: string[] = [];
    const deadlines: Command[] = [];
    value.visit(0, ({ name, value: text, expiresAt: deadline }) => {
      fields.push(name, text);
      if (deadline !== null) deadlines.push(['HPEXPIREAT', key, String(deadline), 'FIELDS', '1', name]);
    });
    yield ['DEL', key];
    yield* inPieces(['HSET', key], fields, 2);
    yield* deadlines;
  } else {
    yield restoreCommand(key, dump, expiresAt);
    return;
  }
  if (expiresAt !== null) yield ['PEXPIREAT', key, String(expiresAt)];
}

/** Puts a value in the place of whatever the key held. */
export function restoreCommand(
  key: string,
  dump: string,
  expiresAt: number | null,
  options: Command = [],
): Command {
  return ['RESTORE', key, String(expiresAt ?? 0), dump, 'REPLACE', 'ABSTTL', ...options];
}

export function* stringCommands(key: string, text: string, expiresAt: number | null): Generator<Command> {
  const first = text.slice(0, STRING_PIECE_BYTES);
  if (first.length === text.length) {
    yield expiresAt === null ? ['SET', key, text] : ['SET', key, text, 'PXAT', String(expiresAt)];
    return;
  }
  yield ['SET', key, first];
  for (let at = first.length; at < text.length; at += STRING_PIECE_BYTES)
    yield ['APPEND', key, text.slice(at, at + STRING_PIECE_BYTES)];
  if (expiresAt !== null) yield ['PEXPIREAT', key, String(expiresAt)];
}

/** `each`: so many arguments belong together. */
function* inPieces(head: Command, elements: readonly string[], each: number): Generator<Command> {
  let piece: string[] = [];
  let bytes = 0;
  for (let at = 0; at < elements.length; at += each) {
    for (const element of elements.slice(at, at + each)) {
      piece.push(element);
      bytes += element.length;
    }
    if (piece.length >= ELEMENTS_MAX * each || bytes >= PIECE_BYTES) {
      yield [...head, ...piece];
      piece = [];
      bytes = 0;
    }
  }
  if (piece.length > 0) yield [...head, ...piece];
}
