/**
 * Lists, hashes, sets, sorted sets and counters under a key. Reads are synchronous; writes apply at once and return a promise
 * of their result that resolves when they are durable. A key that holds something else makes them throw or reject.
 */
import type { Argument } from './store.ts';
import type { Bytes } from './text.ts';
import type { Value } from './value-reply.ts';

/** What they need of a store. */
interface Executor {
  execute(args: readonly [string, ...Argument[]]): Value;
  flush(): Promise<void>;
}

abstract class Collection {
  readonly #store: Executor;
  readonly #key: Bytes;

  constructor(store: Executor, key: Bytes) {
    this.#store = store;
    this.#key = key;
  }

  protected read<T>(as: (reply: Value) => T, command: string, ...args: Argument[]): T {
    return as(this.#store.execute([command, this.#key, ...args]));
  }

  protected async write<T>(as: (reply: Value) => T, command: string, ...args: Argument[]): Promise<T> {
    const result = this.read(as, command, ...args);
    await this.#store.flush();
    return result;
  }
}

export class List extends Collection implements Iterable<string> {
  get length(): number {
    return this.read(count, 'LLEN');
  }

  /** Puts values behind the last one; resolves to the new length. */
  push(...values: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'RPUSH', ...values);
  }

  /** Puts values before the first one, each before the one before it; resolves to the new length. */
  unshift(...values: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'LPUSH', ...values);
  }

  /** Takes the last value away. */
  pop(): Promise<string | undefined> {
    return this.write(text, 'RPOP');
  }

  /** Takes the first value away. */
  shift(): Promise<string | undefined> {
    return this.write(text, 'LPOP');
  }

  /** The value at that place; negative counts from the end. */
  at(index: number): string | undefined {
    return this.read(text, 'LINDEX', index);
  }

  /** Values from `start` to `end`, the latter not included; negative counts from the end. */
  slice(start = 0, end?: number): string[] {
    if (end === 0) return [];
    return this.read(texts, 'LRANGE', start, end === undefined ? -1 : end - 1);
  }

  /** Overwrites the value at that place; rejects when there is none. */
  set(index: number, value: Bytes): Promise<void> {
    return this.write(nothing, 'LSET', index, value);
  }

  /** Removes all values that are equal; resolves to how many. */
  remove(value: Bytes): Promise<number> {
    return this.write(count, 'LREM', 0, value);
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.slice()[Symbol.iterator]();
  }
}

export class Hash extends Collection implements Iterable<[string, string]> {
  get size(): number {
    return this.read(count, 'HLEN');
  }

  get(field: Bytes): string | undefined {
    return this.read(text, 'HGET', field);
  }

  has(field: Bytes): boolean {
    return this.read(yes, 'HEXISTS', field);
  }

  /** Sets one field; resolves to whether it is new. */
  set(field: Bytes, value: Bytes): Promise<boolean> {
    return this.write(yes, 'HSET', field, value);
  }

  /** Sets all fields of an object; resolves to how many are new. */
  async assign(fields: Readonly<Record<string, Bytes>>): Promise<number> {
    const pairs = Object.entries(fields).flat();
    return pairs.length === 0 ? 0 : this.write(count, 'HSET', ...pairs);
  }

  delete(field: Bytes): Promise<boolean> {
    return this.write(yes, 'HDEL', field);
  }

  /** Adds to the whole number in a field, 0 if it is missing; resolves to the sum. */
  increment(field: Bytes, by: number | bigint = 1): Promise<number | bigint> {
    return this.write(whole, 'HINCRBY', field, by);
  }

  toObject(): Record<string, string> {
    return Object.fromEntries(this);
  }

  keys(): string[] {
    return this.read(texts, 'HKEYS');
  }

  values(): string[] {
    return this.read(texts, 'HVALS');
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.read(pairs, 'HGETALL')[Symbol.iterator]();
  }
}

export class MemberSet extends Collection implements Iterable<string> {
  get size(): number {
    return this.read(count, 'SCARD');
  }

  has(member: Bytes): boolean {
    return this.read(yes, 'SISMEMBER', member);
  }

  /** Resolves to how many are new. */
  add(...members: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'SADD', ...members);
  }

  /** Resolves to how many were there. */
  delete(...members: [Bytes, ...Bytes[]]): Promise<number> {
    return this.write(count, 'SREM', ...members);
  }

  /** Takes one away by chance. */
  pop(): Promise<string | undefined> {
    return this.write(text, 'SPOP');
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.read(texts, 'SMEMBERS')[Symbol.iterator]();
  }
}

/** A member of a sorted set and what it is sorted by. */
export interface Scored {
  readonly member: string;
  readonly score: number;
}

export class SortedSet extends Collection implements Iterable<Scored> {
  get size(): number {
    return this.read(count, 'ZCARD');
  }

  /** Sets a member's score; resolves to whether it is new. */
  add(member: Bytes, score: number): Promise<boolean> {
    return this.write(yes, 'ZADD', scoreText(score), member);
  }

  /** Adds to a member's score, 0 if it is missing; resolves to the sum. */
  increment(member: Bytes, by: number): Promise<number> {
    return this.write(count, 'ZINCRBY', scoreText(by), member);
  }

  delete(member: Bytes): Promise<boolean> {
    return this.write(yes, 'ZREM', member);
  }

  score(member: Bytes): number | undefined {
    return this.read(number, 'ZSCORE', member);
  }

  /** How many come before it; `reverse` counts from the highest score. */
  rank(member: Bytes, { reverse = false }: { reverse?: boolean } = {}): number | undefined {
    return this.read(number, reverse ? 'ZREVRANK' : 'ZRANK', member);
  }

  /** Members from `start` to `end`, the latter not included, by rank; negative counts from the end. */
  slice(start = 0, end?: number, { reverse = false }: { reverse?: boolean } = {}): Scored[] {
    if (end === 0) return [];
    const args: Argument[] = [start, end === undefined ? -1 : end - 1];
    if (reverse) args.push('REV');
    return this.read(scored, 'ZRANGE', ...args, 'WITHSCORES');
  }

  /** Members whose score is from `min` to `max`, both included. */
  between(min: number, max: number): Scored[] {
    return this.read(scored, 'ZRANGE', scoreText(min), scoreText(max), 'BYSCORE', 'WITHSCORES');
  }

  [Symbol.iterator](): IterableIterator<Scored> {
    return this.slice()[Symbol.iterator]();
  }
}

/** A whole number under a key; 0 while there is none. */
export class Counter extends Collection {
  get value(): number | bigint {
    const digits = this.read(text, 'GET') ?? '0';
    const value = Number(digits);
    return Number.isSafeInteger(value) ? value : BigInt(digits);
  }

  /** Resolves to the new value. */
  add(by: number | bigint = 1): Promise<number | bigint> {
    return this.write(whole, 'INCRBY', by);
  }
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
