/**
 * What makes sure that a write is run once, however often it is sent (thesis 6.3). A client that gets no answer, or
 * learns that the outcome is unknown, sends the write again under the same name; whoever finds the name in the
 * replicated table answers with the reply of the first time.
 *
 * There are two ways to name a write:
 * - **session and sequence**: a client opens a session and numbers its writes 1, 2, 3, …. The numbers have no gaps, so
 *   what was run is known exactly: everything up to the last number, whether its reply is still kept or not.
 * - **a key**: any text that the client has made up for this one write. The table remembers it for as long as there is
 *   room, and the fingerprint of the write with it, to tell a repetition from a mistake.
 *
 * Both tables are part of the state: the same on every node, in snapshots and in the digest. All that changes them
 * stands in the log, the order of use included, by which the oldest entries go when a table is full.
 */
import { type ByteReader, ByteWriter } from './bytes.ts';
import type { Call } from './command.ts';
import { invariant } from './invariant.ts';
import { RecentTable } from './recent.ts';

/** Sessions held; one more and the least recently used is forgotten. */
export const SESSIONS_MAX = 10_000;
/** Replies kept per session: of its last writes. */
export const SESSION_REPLIES_MAX = 128;
/** Bytes of a reply that are kept. Of a write with a longer one it is only known that it was run. */
export const KEPT_REPLY_BYTES_MAX = 4096;
/** Bytes of all sessions together, and of all keys, each with its overhead. */
export const ONCE_TABLE_BYTES_MAX: number = 64 * 1024 * 1024;
/** Idempotency keys held; one more and the least recently used is forgotten. */
export const KEYS_MAX = 10_000;
/** Longest idempotency key in bytes. */
export const KEY_BYTES_MAX = 255;

/** What keeping one reply costs besides its bytes, about. */
const REPLY_OVERHEAD_BYTES = 32;
/** In place of a reply that is not kept. No reply is encoded in no bytes. */
const NOT_KEPT = '';

/** The name of a write that must not be run twice. */
export type Once =
  | { readonly kind: 'session'; readonly session: number; readonly sequence: number }
  | { readonly kind: 'key'; readonly key: string; readonly fingerprint: string };

/** What is to be done with a named write. */
export type Verdict =
  | { readonly kind: 'run' }
  /** An encoded reply, see `encoded-reply.ts`. */
  | { readonly kind: 'repeat'; readonly reply: string }
  | { readonly kind: 'refuse'; readonly error: string };

/** What is known of a session to whoever asks. */
export interface SessionFacts {
  /** The sequence that its next write must have. */
  readonly next: number;
  /** The lowest sequence whose reply is kept; `next` when there is none. */
  readonly oldest: number;
}

interface Session {
  /** The sequence of the last write that was run, 0 before the first. */
  last: number;
  /** Encoded replies of the last writes, in order. */
  replies: string[];
  /** A snapshot still reads `replies`: the next change is made in a copy. */
  shared: boolean;
}

interface Keyed {
  readonly fingerprint: string;
  readonly reply: string;
}

const RUN: Verdict = { kind: 'run' };

/** Whether the reply of a transaction is the same on every node, so that it can be kept: it names all keys it reads. */
export function keepsReply(calls: readonly Call[]): boolean {
  return calls.every(
    ({ command }) => command.replyVaries !== true && (command.write || command.keys.first > 0),
  );
}

export class OnceTable {
  readonly #sessions = new RecentTable<number, Session>(SESSIONS_MAX, ONCE_TABLE_BYTES_MAX);
  readonly #keys = new RecentTable<string, Keyed>(KEYS_MAX, ONCE_TABLE_BYTES_MAX);

  get sessions(): number {
    return this.#sessions.size;
  }

  get keys(): number {
    return this.#keys.size;
  }

  // --- Sessions themselves ---------------------------------------------------------------------------------------

  /** `id` must never have been used before. */
  open(id: number): void {
    this.#sessions.add(id, { last: 0, replies: [], shared: false }, 0);
  }

  /** False when there is no such session. */
  close(id: number): boolean {
    return this.#sessions.delete(id);
  }

  facts(id: number): SessionFacts | null {
    const session = this.#sessions.peek(id);
    if (session === undefined) return null;
    return { next: session.last + 1, oldest: session.last - session.replies.length + 1 };
  }

  // --- Writes ----------------------------------------------------------------------------------------------------

  /** Looks a write up. Counts as a use. */
  judge(once: Once): Verdict {
    return once.kind === 'session'
      ? this.#judgeSession(once.session, once.sequence)
      : this.#judgeKey(once.key, once.fingerprint);
  }

  /** A write was run; `reply` is its encoded reply, `null` if that can't be kept. */
  record(once: Once, reply: string | null): void {
    const kept = reply ?? NOT_KEPT;
    if (once.kind === 'key') {
      const { key, fingerprint } = once;
      this.#keys.add(key, { fingerprint, reply: kept }, key.length + fingerprint.length + kept.length);
      return;
    }
    const session = this.#sessions.peek(once.session);
    invariant(session !== undefined, `session ${once.session} went while its write ran`);
    invariant(once.sequence === session.last + 1, `sequence ${once.sequence} run after ${session.last}`);
    if (session.shared) {
      session.replies = session.replies.slice();
      session.shared = false;
    }
    session.last = once.sequence;
    session.replies.push(kept);
    let bytes = kept.length + REPLY_OVERHEAD_BYTES;
    if (session.replies.length > SESSION_REPLIES_MAX)
      bytes -= (session.replies.shift()?.length ?? 0) + REPLY_OVERHEAD_BYTES;
    this.#sessions.grow(once.session, bytes);
  }

  #judgeSession(id: number, sequence: number): Verdict {
    const session = this.#sessions.use(id);
    if (session === undefined) return refusal(unknownSession(id));
    const { last, replies } = session;
    if (sequence === last + 1) return RUN;
    if (sequence > last) return refusal(sequenceGap(id, sequence, last + 1));
    const reply = replies[sequence - last + replies.length - 1];
    if (reply === undefined) return refusal(sequenceTooOld(id, sequence));
    return reply === NOT_KEPT ? refusal(replyNotKept()) : { kind: 'repeat', reply };
  }

  #judgeKey(key: string, fingerprint: string): Verdict {
    const known = this.#keys.use(key);
    if (known === undefined) return RUN;
    if (known.fingerprint !== fingerprint) return refusal(KEY_REUSED);
    return known.reply === NOT_KEPT ? refusal(replyNotKept()) : { kind: 'repeat', reply: known.reply };
  }

  // --- Snapshots -------------------------------------------------------------------------------------------------

  /**
   * All entries as records of a snapshot, in the order of their use, of the table as it is now although it is read
   * later (3 ms for full tables; what changes afterwards changes in a copy).
   */
  records(): Iterator<OnceRecord> {
    const sessions = Array.from(this.#sessions, ([id, session]) => {
      session.shared = true;
      return [id, session.last, session.replies] as const;
    });
    return encodeRecords(sessions, [...this.#keys]);
  }

  /** Puts a session back, used last. Throws a `FormatError` when the bytes are none. */
  restoreSession(reader: ByteReader): void {
    const id = reader.varint('a session');
    const last = reader.varint('a sequence');
    const replies: string[] = [];
    let bytes = 0;
    for (let left = reader.count('the number of replies', 1); left > 0; left--) {
      const reply = reader.string('a reply');
      replies.push(reply);
      bytes += reply.length + REPLY_OVERHEAD_BYTES;
    }
    if (replies.length > Math.min(last, SESSION_REPLIES_MAX))
      reader.fail(`${replies.length} replies of ${last} writes before`);
    if (this.#sessions.peek(id) !== undefined) reader.fail('the same session a second time before');
    this.#sessions.add(id, { last, replies, shared: false }, bytes);
  }

  /** Puts a key back, used last. Throws a `FormatError` when the bytes are none. */
  restoreKey(reader: ByteReader): void {
    const key = reader.string('an idempotency key');
    const fingerprint = reader.string('a fingerprint');
    const reply = reader.string('a reply');
    if (this.#keys.peek(key) !== undefined) reader.fail('the same idempotency key a second time before');
    this.#keys.add(key, { fingerprint, reply }, key.length + fingerprint.length + reply.length);
  }
}

/** The body of a record of a snapshot, as a byte string. */
export interface OnceRecord {
  readonly type: 'session' | 'key';
  readonly body: string;
}

const RECORD_BUFFER_BYTES = 1024;

function* encodeRecords(
  sessions: readonly (readonly [id: number, last: number, replies: readonly string[]])[],
  keys: readonly (readonly [key: string, keyed: Keyed])[],
): Generator<OnceRecord, void, void> {
  const writer = new ByteWriter(RECORD_BUFFER_BYTES);
  for (const [id, last, replies] of sessions) {
    writer.truncate(0);
    writer.varint(id);
    writer.varint(last);
    writer.varint(replies.length);
    for (const reply of replies) writer.string(reply);
    yield { type: 'session', body: writer.view().toString('latin1') };
  }
  for (const [key, { fingerprint, reply }] of keys) {
    writer.truncate(0);
    writer.string(key);
    writer.string(fingerprint);
    writer.string(reply);
    yield { type: 'key', body: writer.view().toString('latin1') };
  }
}

// --- Errors: each code says what the client can do ---------------------------------------------------------------

export function unknownSession(id: number): string {
  return `NOSESSION session ${id} is not known: it was closed, or not used for so long that others took its place; this write was not run, an earlier sending of it may have been`;
}

function sequenceGap(id: number, sequence: number, next: number): string {
  return `SEQGAP sequence ${sequence} was not run: ${next} is the next of session ${id}; send the writes from there on again, after KVORUM.SESSION RESUME ${id} ${next}`;
}

function sequenceTooOld(id: number, sequence: number): string {
  return `SEQOLD sequence ${sequence} of session ${id} was run once, and is not run again; only the replies of the last ${SESSION_REPLIES_MAX} are kept`;
}

function replyNotKept(): string {
  return `APPLIED the write was run once, and is not run again; its reply is not kept (longer than ${KEPT_REPLY_BYTES_MAX} bytes, or about more than the keys it names)`;
}

const KEY_REUSED =
  'KEYREUSED the idempotency key was used for another command before; this one was not run, use a key of its own';

function refusal(error: string): Verdict {
  return { kind: 'refuse', error };
}
