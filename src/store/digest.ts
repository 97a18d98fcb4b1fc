/**
 * A hash of a whole state for comparing nodes: a sum of one hash per key, so that the order in which a node happens to
 * hold its keys doesn't count, the last removals, settings and scripts, and a hash of what is known of named writes, whose order does count. Against accidents,
 * not against attackers.
 */
import { ByteWriter } from './bytes.ts';
import { Frozen, type FrozenKey } from './frozen.ts';
import type { Keyspace } from './keyspace.ts';
import type { Meta } from './meta.ts';
import type { OnceRecord, OnceTable } from './once.ts';
import { dumpOf } from './rdb/dump.ts';
import { Packed } from './types/packed.ts';
import { isString, textOf, type Value } from './value.ts';

/**
 * `state`: everything that is replicated. `contents`: keys, values, deadlines and libraries of functions, which is what a file
 * of data holds: the same for a store and one that was filled from its export. How a collection is kept counts in both.
 */
export type DigestScope = 'state' | 'contents';

/** Bytes of a collection that are hashed at a time. */
const CHUNK_BYTES: number = 64 * 1024;

/** Bytes of keys and values between two looks at whether it is time to pause. */
const STEP_BYTES = 256 * 1024;

/** 16 hexadecimal digits. O(bytes), in one go. */
export function digestOf(
  keyspace: Keyspace,
  once: OnceTable,
  meta: Meta,
  scope: DigestScope = 'state',
): string {
  const digest = new Digest(keyspace, once, meta, scope);
  for (;;) {
    const result = digest.step();
    if (result !== null) return result;
  }
}

/** The digest of the state as it is when this is made, worked out in steps while the state goes on changing. */
export class Digest {
  readonly #keys: Frozen;
  readonly #once: Iterator<OnceRecord> | null;
  readonly #scope: DigestScope;
  #high = 0;
  #low = 0;
  /** A collection that is not done yet, and the hashes of its key so far. */
  #rest: { readonly key: FrozenKey; readonly texts: Iterator<string>; state: KeyState } | null = null;

  constructor(keyspace: Keyspace, once: OnceTable, meta: Meta, scope: DigestScope = 'state') {
    this.#keys = new Frozen(keyspace);
    this.#scope = scope;
    this.#once = null;
    if (scope === 'contents') {
      this.#addMeta(meta.records(['libraries']));
      return;
    }
    if (once.sessions + once.keys > 0) this.#once = once.records();
    keyspace.removals.forEach((number, shard) => {
      if (number === 0) return;
      const one = mix(mix(mix(0x2545_f491, shard), number | 0), Math.floor(number / 0x1_0000_0000) | 0);
      this.#add(one, mix(one, shard));
    });
    this.#addMeta(meta.records());
  }

  #addMeta(records: readonly string[]): void {
    for (const body of records) this.#add(absorb(0x5f35_6495, body), absorb(0x4cf5_ad43, body));
  }

  /** Goes on for a while, some ms at most; 16 hexadecimal digits when it is done. */
  step(): string | null {
    let bytes = 0;
    while (bytes < STEP_BYTES) {
      const done = this.#next();
      if (done === null) return this.#finish();
      bytes += done;
    }
    return null;
  }

  /** Gives it up. */
  cancel(): void {
    this.#keys.close();
  }

  /** Goes on by one text; how many bytes that was, `null` after the last. */
  #next(): number | null {
    if (this.#rest === null) {
      const next = this.#keys.peek();
      if (next === undefined) return null;
      this.#keys.take();
      const { value } = next.image;
      const texts = textsOf(this.#scope === 'contents' ? contentsOf(value) : value);
      this.#rest = {
        key: next,
        texts,
        state: { one: absorb(0x9747_b28c, next.key), other: 0x3c6e_f372, length: 0 },
      };
    }
    const { key, texts, state } = this.#rest;
    const text = texts.next();
    if (text.done === true) {
      this.#rest = null;
      this.#addKey(key, state);
      return key.key.length + KEY_COST;
    }
    state.one = absorb(state.one, text.value);
    state.other = absorb(state.other, text.value);
    state.length += text.value.length;
    return text.value.length;
  }

  // A CRC would not do: it is linear, so two keys that swap their values would cancel out in a sum.
  #addKey(
    { key, image: { expiresAt, version } }: FrozenKey,
    { one: first, other: second, length }: KeyState,
  ): void {
    let one = first;
    let other = absorb(second, key);
    for (const number of [key.length, length, expiresAt, this.#scope === 'state' ? version : 0]) {
      one = mix(mix(one, number | 0), Math.floor(number / 0x1_0000_0000) | 0);
      other = mix(mix(other, number | 0), Math.floor(number / 0x1_0000_0000) | 0);
    }
    this.#add(one, other);
  }

  #add(one: number, other: number): void {
    this.#high = (this.#high + finish(one)) | 0;
    this.#low = (this.#low + finish(other)) | 0;
  }

  #finish(): string {
    this.#keys.close();
    const records = this.#once;
    if (records === null) return hexadecimal(this.#high) + hexadecimal(this.#low);
    let one = 0x1b87_3593;
    let other = 0x27d4_eb2f;
    for (let next = records.next(); next.done !== true; next = records.next()) {
      const { type, body } = next.value;
      one = mix(absorb(one, type), body.length);
      one = absorb(one, body);
      other = mix(absorb(other, body), body.length);
    }
    this.#add(one, other);
    return hexadecimal(this.#high) + hexadecimal(this.#low);
  }
}

/** The hashes of a key as far as its value was read. */
interface KeyState {
  one: number;
  other: number;
  length: number;
}

/** What a key costs besides its bytes, in bytes of text, about. */
const KEY_COST = 64;

/** The value without what is left of how it came about: strings that are written in place, room that deleted entries of streams took. */
function contentsOf(value: Value): Value {
  if (isString(value)) return textOf(value);
  return value.type === 'stream' ? (dumpOf(value, 0) ?? value) : value;
}

/** A string in pieces; a collection's type and the collection as its snapshot has it. */
function* textsOf(held: Value): Generator<string, void> {
  // Whether a string is compressed is nobody's business.
  const value = held instanceof Packed ? held.toString() : held;
  if (typeof value === 'string') {
    for (let at = 0; at < value.length; at += CHUNK_BYTES) yield value.slice(at, at + CHUNK_BYTES);
    return;
  }
  yield value.type;
  const writer = new ByteWriter(1024);
  for (let cursor: number | null = 0; cursor !== null; ) {
    writer.truncate(0);
    cursor = value.encode(cursor, writer, CHUNK_BYTES);
    yield writer.view().toString('latin1');
  }
}

/** Murmur3's step with a 32-bit word. */
function mix(hash: number, word: number): number {
  let scrambled = Math.imul(word, 0xcc9e_2d51);
  scrambled = Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b87_3593);
  const mixed = hash ^ scrambled;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
}

function absorb(hash: number, text: string): number {
  let absorbed = hash;
  for (let at = 0; at < text.length; at++) absorbed = mix(absorbed, text.charCodeAt(at));
  return absorbed;
}

/** Murmur3's last step: every bit of the input reaches every bit of the result. */
function finish(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}

function hexadecimal(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
