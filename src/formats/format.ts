/**
 * The files that data come in and go out as.
 *
 * ```
 *                        ┌──────────── src/formats ────────────┐
 *  file ──▶ Buffers ──▶  │ Input ──▶ reader ──▶ commands       │ ──▶ a cluster, a data directory
 *  file ◀── Buffers ◀──  │           Encoder ◀── entries       │ ◀── DUMP of each key
 *                        └─────────────────────────────────────┘
 * ```
 *
 * A reader makes commands of bytes: whatever takes commands can be filled from any format. What Redis's snapshots hold
 * becomes RESTORE with the very bytes of the file, so there is one decoder of values, the store's. An encoder makes bytes of
 * entries; what its format has no words for, it refuses, and never leaves out by itself.
 *
 * Nothing here opens a file. A reader holds one record at a time and trusts no number in a file before the bytes that it
 * announces are there. The first thing that is wrong ends the reading with a {@link DamagedFile}.
 *
 * Keys, values and arguments are byte strings: one character per byte.
 */

/**
 * A format of files: `json` (`{version, timestamp, data}`), `binary` (magic 0x4B56DB), `kvsp` (a snapshot), `kvlg` (a log), Redis's
 * snapshots (`rdb`), and commands as clients send them (`resp`), which Redis's append-only files are, too.
 */
export type Format = 'json' | 'binary' | 'kvsp' | 'kvlg' | 'rdb' | 'resp';
export const FORMATS: readonly Format[] = ['json', 'binary', 'kvsp', 'kvlg', 'rdb', 'resp'];

/** A command to be run, and where in the file it comes from. */
export interface ReadCommand {
  readonly args: readonly string[];
  /** The database that it is for; 0 in formats that have only one. */
  readonly database: number;
  readonly offset: number;
}

/** What readers are told, and tell. */
export interface Reading {
  /** Looks at the insides of every value, and not only for its end: for the first time that a file is read. */
  readonly check: boolean;
  /** Told what can't be taken over; it throws, or the reader goes on without it. */
  readonly leaveOut: (what: string, offset: number) => void;
}

/** What an encoder is fed. */
export type Entry =
  | {
      readonly kind: 'string';
      readonly key: string;
      readonly value: string;
      readonly expiresAt: number | null;
    }
  /** Any value, as DUMP gives it. */
  | { readonly kind: 'dump'; readonly key: string; readonly dump: string; readonly expiresAt: number | null }
  /** A library of functions. */
  | { readonly kind: 'library'; readonly code: string };

/** Writes one file. */
export interface Encoder {
  /** What the file begins with. */
  readonly head: Buffer;
  /** The bytes of the next entry. Throws {@link Unrepresentable}. */
  entry(entry: Entry): Buffer;
  /** What the file ends with, and what its beginning is to be overwritten with: a number that was not known before. */
  end(): { readonly tail: Buffer; readonly head: Buffer | null };
}

/** The format has no words for an entry. */
export class Unrepresentable extends Error {
  override readonly name = 'Unrepresentable';
}

/** The first bytes of a file, enough to recognise any format. */
export const RECOGNISED_BYTES = 64;

/** The formats that begin like this. */
const MAGICS: readonly (readonly [string, Format])[] = [
  ['REDIS', 'rdb'],
  ['KVSP', 'kvsp'],
  ['KVLG', 'kvlg'],
  ['\x00KV\xdb', 'binary'],
  ['\xdbVK\x00', 'binary'],
  ['*', 'resp'],
  ['#', 'resp'],
  // A manifest of Redis's append-only files.
  ['file ', 'resp'],
];
/** Behind an optional byte order mark. */
const JSON_START = /^(?:\xef\xbb\xbf)?[ \t\r\n]*\{/;
const INLINE_START = /^[ \t\r\n]*[A-Za-z]/;

/** The format of a file that begins with these bytes; null where none does. */
export function recognise(start: Uint8Array): Format | null {
  const text = Buffer.from(start.subarray(0, RECOGNISED_BYTES)).toString('latin1');
  const found = MAGICS.find(([magic]) => text.startsWith(magic));
  if (found !== undefined) return found[1];
  if (JSON_START.test(text)) return 'json';
  return INLINE_START.test(text) ? 'resp' : null;
}

/** Other endings that people give files. */
const ENDINGS: Readonly<Record<string, Format>> = { aof: 'resp', txt: 'resp' };

/** The format that the end of a file's name says; null for none. */
export function formatNamed(file: string): Format | null {
  const ending = /\.([^./\\]+)$/.exec(file)?.[1]?.toLowerCase() ?? '';
  return FORMATS.find((format) => format === ending) ?? ENDINGS[ending] ?? null;
}

/** A key as a person reads it. */
export function quoted(key: string): string {
  const text = Array.from(key.slice(0, 64), (character) =>
    character >= ' ' && character <= '~' && character !== '"' && character !== '\\'
      ? character
      : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  ).join('');
  return key.length > 64 ? `"${text}"…` : `"${text}"`;
}
