/**
 * A hash of a whole state for comparing nodes: a sum of one hash per key, so that the order in which a node happens to
 * hold its keys doesn't count, the last removals, settings and scripts, and a hash of what is known of named writes, whose order does count. Against accidents,
 * not against attackers.
 */
import { ByteWriter } from './bytes.ts';
import type { Collection } from './collection.ts';
import type { Keyspace } from './keyspace.ts';
import type { Meta } from './meta.ts';
import type { OnceTable } from './once.ts';

/** Bytes of a collection that are hashed at a time. */
const CHUNK_BYTES: number = 64 * 1024;

/** 16 hexadecimal digits. O(bytes): for tests, checks and diagnosis. */
export function digestOf(keyspace: Keyspace, once: OnceTable, meta: Meta): string {
  let high = 0;
  let low = 0;
  for (const shard of keyspace.shards) {
    for (const [key, { value, expiresAt, version }] of shard) {
      // A CRC would not do: it is linear, so two keys that swap their values would cancel out in a sum.
      let one = absorb(0x9747_b28c, key);
      let other = 0x3c6e_f372;
      let length = 0;
      for (const text of typeof value === 'string' ? [value] : textsOf(value)) {
        one = absorb(one, text);
        other = absorb(other, text);
        length += text.length;
      }
      other = absorb(other, key);
      for (const number of [key.length, length, expiresAt, version]) {
        one = mix(mix(one, number | 0), Math.floor(number / 0x1_0000_0000) | 0);
        other = mix(mix(other, number | 0), Math.floor(number / 0x1_0000_0000) | 0);
      }
      high = (high + finish(one)) | 0;
      low = (low + finish(other)) | 0;
    }
  }
  keyspace.removals.forEach((number, shard) => {
    if (number === 0) return;
    const one = mix(mix(mix(0x2545_f491, shard), number | 0), Math.floor(number / 0x1_0000_0000) | 0);
    high = (high + finish(one)) | 0;
    low = (low + finish(mix(one, shard))) | 0;
  });
  for (const body of meta.records()) {
    high = (high + finish(absorb(0x5f35_6495, body))) | 0;
    low = (low + finish(absorb(0x4cf5_ad43, body))) | 0;
  }
  if (once.sessions + once.keys === 0) return hexadecimal(high) + hexadecimal(low);
  let one = 0x1b87_3593;
  let other = 0x27d4_eb2f;
  const records = once.records();
  for (let next = records.next(); next.done !== true; next = records.next()) {
    const { type, body } = next.value;
    one = mix(absorb(one, type), body.length);
    one = absorb(one, body);
    other = mix(absorb(other, body), body.length);
  }
  return hexadecimal((high + finish(one)) | 0) + hexadecimal((low + finish(other)) | 0);
}

/** A collection as its snapshot has it, and its type. */
function* textsOf(collection: Collection): Generator<string> {
  yield collection.type;
  const writer = new ByteWriter(1024);
  for (let cursor: number | null = 0; cursor !== null; ) {
    writer.truncate(0);
    cursor = collection.encode(cursor, writer, CHUNK_BYTES);
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
