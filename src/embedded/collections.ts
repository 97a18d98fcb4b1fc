/**
 * Lists, hashes, sets, sorted sets and counters under a key. Reads are synchronous; writes apply at once and return a promise
 * of their result that resolves when they are durable. A key that holds something else makes them throw or reject.
 */
import { parseInteger } from '../store/integer.ts';
import { CommandError } from './errors.ts';
import type { Argument } from './store.ts';
import type { Bytes } from './text.ts';
import type { Value } from './value-reply.ts';

/** What they need of a store. */
interface Executor {
  execute(args: readonly [string, ...Argument[]]): Value;
  /** Resolves when what was written is as durable as `sync` asks. */
  durable(): Promise<void>;
}

abstract class Collection {
  readonly #store: Executor;
  readonly #key: Bytes;

  constructor(store: Executor, key: Bytes) {
    this.#store = store;
    this.#key = key;
  }

  protected read<T>(as: (reply: Value) => T, command: string, args: readonly Argument[] = []): T {
    return as(this.#store.execute([command, this.#key, ...args]));
  }

  protected async write<T>(
    as: (reply: Value) => T,
    command: string,
    args: readonly Argument[] = [],
  ): Promise<T> {
    const result = this.read(as, command, args);
    await this.#store.durable();
    return result;
  }
}

/** A list of values under a key, as `store.list(key)` gives it. Iterating it goes over all values as they were at the beginning. */
export class List extends Collection implements Iterable<string> {
  /** How many values there are; 0 without the key. */
  get length(): number {
    return this.read(count, 'LLEN');
  }

  /** Puts values behind the last one; resolves to the new length. */
  push(...values: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'RPUSH', values);
  }

  /** Puts values before the first one, each before the one before it; resolves to the new length. */
  unshift(...values: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'LPUSH', values);
  }

  /** Takes the last value away and resolves to it; `undefined` when there is none. */
  pop(): Promise<string | undefined> {
    return this.write(text, 'RPOP');
  }

  /** Takes the first value away and resolves to it; `undefined` when there is none. */
  shift(): Promise<string | undefined> {
    return this.write(text, 'LPOP');
  }

  /** The value at that place; negative counts from the end. */
  at(index: number): string | undefined {
    return this.read(text, 'LINDEX', [index]);
  }

  /** Values from `start` to `end`, the latter not included; negative counts from the end. */
  slice(start = 0, end?: number): string[] {
    if (end === 0) return [];
    return this.read(texts, 'LRANGE', [start, lastOf(end)]);
  }

  /** Overwrites the value at that place; rejects with `COMMAND` when there is none. */
  set(index: number, value: Bytes): Promise<void> {
    return this.write(nothing, 'LSET', [index, value]);
  }

  /** Removes all values that are equal; resolves to how many. */
  remove(value: Bytes): Promise<number> {
    return this.write(count, 'LREM', [0, value]);
  }

  /** All values. */
  [Symbol.iterator](): IterableIterator<string> {
    return this.slice()[Symbol.iterator]();
  }
}

/** Fields with values under a key, as `store.hash(key)` gives it. */
export class Hash extends Collection implements Iterable<[string, string]> {
  /** How many fields there are. */
  get size(): number {
    return this.read(count, 'HLEN');
  }

  /** The value of a field; `undefined` without it. */
  get(field: Bytes): string | undefined {
    return this.read(text, 'HGET', [field]);
  }

  /** Whether there is such a field. */
  has(field: Bytes): boolean {
    return this.read(yes, 'HEXISTS', [field]);
  }

  /** Sets one field; resolves to whether it is new. */
  set(field: Bytes, value: Bytes): Promise<boolean> {
    return this.write(yes, 'HSET', [field, value]);
  }

  /** Sets all fields of an object; resolves to how many are new. */
  async assign(fields: Readonly<Record<string, Bytes>>): Promise<number> {
    const pairs = Object.entries(fields).flat();
    return pairs.length === 0 ? 0 : this.write(count, 'HSET', pairs);
  }

  /** Removes a field; resolves to whether it was there. */
  delete(field: Bytes): Promise<boolean> {
    return this.write(yes, 'HDEL', [field]);
  }

  /** Adds to the whole number of 64 bits in a field, 0 if it is missing; resolves to the sum, a bigint beyond 2^53. */
  increment(field: Bytes, by: number | bigint = 1): Promise<number | bigint> {
    return this.write(whole, 'HINCRBY', [field, by]);
  }

  /** All fields and values as an object. */
  toObject(): Record<string, string> {
    return Object.fromEntries(this);
  }

  /** All fields. */
  keys(): string[] {
    return this.read(texts, 'HKEYS');
  }

  /** All values, in the order of `keys`. */
  values(): string[] {
    return this.read(texts, 'HVALS');
  }

  /** All fields and values. */
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.read(pairs, 'HGETALL')[Symbol.iterator]();
  }
}

/** A set of members under a key, as `store.memberSet(key)` gives it. */
export class MemberSet extends Collection implements Iterable<string> {
  /** How many members there are. */
  get size(): number {
    return this.read(count, 'SCARD');
  }

  /** Whether it is a member. */
  has(member: Bytes): boolean {
    return this.read(yes, 'SISMEMBER', [member]);
  }

  /** Adds members; resolves to how many are new. */
  add(...members: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'SADD', members);
  }

  /** Removes members; resolves to how many were there. */
  delete(...members: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'SREM', members);
  }

  /** Takes a member away by chance and resolves to it; `undefined` when there is none. */
  pop(): Promise<string | undefined> {
    return this.write(text, 'SPOP');
  }

  /** All members. */
  [Symbol.iterator](): IterableIterator<string> {
    return this.read(texts, 'SMEMBERS')[Symbol.iterator]();
  }
}

/** A member of a sorted set and what it is sorted by. */
export interface Scored {
  /** The member. */
  readonly member: string;
  /** Its score; both infinities are scores, too. */
  readonly score: number;
}

/** Members in the order of their scores under a key, as `store.sortedSet(key)` gives it; equal scores go by the bytes of the member. */
export class SortedSet extends Collection implements Iterable<Scored> {
  /** How many members there are. */
  get size(): number {
    return this.read(count, 'ZCARD');
  }

  /** Sets a member's score; resolves to whether the member is new. */
  add(member: Bytes, score: number): Promise<boolean> {
    return this.write(yes, 'ZADD', [scoreText(score), member]);
  }

  /** Adds to a member's score, 0 if it is missing; resolves to the sum. */
  increment(member: Bytes, by: number): Promise<number> {
    return this.write(count, 'ZINCRBY', [scoreText(by), member]);
  }

  /** Removes a member; resolves to whether it was there. */
  delete(member: Bytes): Promise<boolean> {
    return this.write(yes, 'ZREM', [member]);
  }

  /** A member's score; `undefined` without it. */
  score(member: Bytes): number | undefined {
    return this.read(number, 'ZSCORE', [member]);
  }

  /** How many come before it; `reverse` counts from the highest score. `undefined` for what is no member. */
  rank(member: Bytes, { reverse = false }: { reverse?: boolean } = {}): number | undefined {
    return this.read(number, reverse ? 'ZREVRANK' : 'ZRANK', [member]);
  }

  /**
   * Members from `start` to `end`, the latter not included, by rank; negative counts from the end. `reverse` begins with the
   * highest score.
   */
  slice(start = 0, end?: number, { reverse = false }: { reverse?: boolean } = {}): Scored[] {
    if (end === 0) return [];
    const args: Argument[] = [start, lastOf(end)];
    if (reverse) args.push('REV');
    return this.read(scored, 'ZRANGE', [...args, 'WITHSCORES']);
  }

  /** Members whose score is from `min` to `max`, both included. */
  between(min: number, max: number): Scored[] {
    return this.read(scored, 'ZRANGE', [scoreText(min), scoreText(max), 'BYSCORE', 'WITHSCORES']);
  }

  /** All members, the lowest score first. */
  [Symbol.iterator](): IterableIterator<Scored> {
    return this.slice()[Symbol.iterator]();
  }
}

/** A whole number of 64 bits under a key, as `store.counter(key)` gives it; 0 while there is none. */
export class Counter extends Collection {
  /** The number; a bigint beyond 2^53. Throws a `CommandError` when the key holds something else. */
  get value(): number | bigint {
    const value = parseInteger(this.read(text, 'GET') ?? '0');
    if (value === undefined) throw new CommandError('get', 'ERR value is not an integer or out of range');
    return value;
  }

  /** Adds to it, also what is negative; resolves to the new value. Rejects with `COMMAND` beyond 64 bits. */
  add(by: number | bigint = 1): Promise<number | bigint> {
    return this.write(whole, 'INCRBY', [by]);
  }
}

/** The last place of a slice that ends before `end`. */
function lastOf(end: number | undefined): number {
  return end === undefined || end === Infinity ? -1 : end - 1;
}

function scoreText(score: number): string {
  if (score === Infinity) return '+inf';
  return score === -Infinity ? '-inf' : String(score);
}

// --- What a command answers ---------------------------------------------------------------------------------------

function nothing(): void {}

function whole(reply: Value): number | bigint {
  if (typeof reply === 'number' || typeof reply === 'bigint') return reply;
  throw unexpected(reply);
}

/** A number, or nothing. */
function number(reply: Value): number | undefined {
  return reply === null ? undefined : count(reply);
}

function count(reply: Value): number {
  return Number(whole(reply));
}

function yes(reply: Value): boolean {
  return reply === 1;
}

/** Text, or nothing. */
function text(reply: Value): string | undefined {
  if (reply === null) return undefined;
  if (typeof reply === 'string') return reply;
  throw unexpected(reply);
}

function texts(reply: Value): string[] {
  if (!Array.isArray(reply)) throw unexpected(reply);
  return reply.map((each: Value) => text(each) ?? '');
}

function pairs(reply: Value): [string, string][] {
  if (!(reply instanceof Map)) throw unexpected(reply);
  return [...reply].map(([key, value]: [Value, Value]) => [text(key) ?? '', text(value) ?? '']);
}

function scored(reply: Value): Scored[] {
  if (!Array.isArray(reply)) throw unexpected(reply);
  return reply.map((each: Value) => {
    if (!Array.isArray(each)) throw unexpected(each);
    const [member = null, score = null]: Value[] = each;
    return { member: text(member) ?? '', score: count(score) };
  });
}

/** The table answers something else than it says: a bug. */
function unexpected(reply: Value): Error {
  return new Error(
    `a command answered ${JSON.stringify(reply)}, which is not what it is documented to answer`,
  );
}
