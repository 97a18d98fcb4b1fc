/** A compressed string is the string that it is, whatever command looks at it: two stores, one with the same values plain. */
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';
import { dataCommands } from '../table.ts';
import { eventsOf, Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';
import { isString, plainOf } from '../value.ts';
import { type Algorithm, Packed } from './packed.ts';

const ALGORITHMS: readonly Algorithm[] = ['gzip', 'zstd'];

function packed(text: string, algorithm: Algorithm): Packed {
  const value = Packed.of(text, algorithm);
  if (value === null) throw new Error(`${text.length} bytes do not become shorter`);
  return value;
}

/** A sketch of some elements, as its key holds it. */
function sketchOf(elements: number): string {
  const harness = new Harness();
  for (let at = 0; at < elements; at++) harness.run('PFADD', 'sketch', `element ${at}`);
  return String(harness.run('GET', 'sketch'));
}

/** What the keys hold in the beginning. */
const VALUES: Readonly<Record<string, string>> = {
  text: 'Mississippi, '.repeat(40),
  other: `${'Missouri, '.repeat(60)}!`,
  bits: `\x00\x00${'\x00\xff\x81'.repeat(5000)}`,
  ones: '\xff'.repeat(9000),
  number: `3.${'0'.repeat(300)}`,
  long: 'lorem ipsum '.repeat(1000),
  dense: sketchOf(2000),
  sparse: sketchOf(900),
};

/** Two stores, whose second one has the values compressed. */
class Pair {
  readonly plain: Harness = new Harness();
  readonly packed: Harness = new Harness();
  readonly #events: readonly [string[], string[]];

  constructor(algorithm: Algorithm) {
    for (const [key, text] of Object.entries(VALUES)) {
      this.plain.run('SET', key, text);
      this.packed.put(key, packed(text, algorithm));
    }
    for (const harness of [this.plain, this.packed]) {
      harness.run('RPUSH', 'list', 'text', 'other');
      harness.run('SET', 'short', '12');
    }
    this.#events = [eventsOf(this.plain.store), eventsOf(this.packed.store)];
  }

  /** Both must answer the same. */
  run(...args: string[]): Reply {
    const [one, other] = [this.plain.run(...args), this.packed.run(...args)];
    expect(other, args.join(' ').slice(0, 200)).toEqual(one);
    return other;
  }

  /** Both must be the same. */
  check(): void {
    expect(this.#events[1]).toEqual(this.#events[0]);
    const { plain, packed } = this;
    const keys = this.run('KEYS', '*') as string[];
    for (const key of keys) {
      if (this.run('TYPE', key) === 'string') this.run('GET', key);
      expect(packed.store.version(key)).toBe(plain.store.version(key));
    }
    const digest = plain.store.digest();
    expect(packed.store.digest()).toBe(digest);
    expect(packed.follower().digest()).toBe(digest);
    expect(restored(snapshotOf(packed.store)).digest()).toBe(digest);
  }
}

const COMMANDS: readonly (readonly string[])[] = [
  ['GET', 'text'],
  ['STRLEN', 'text'],
  ['GETRANGE', 'text', '3', '-5'],
  ['GETRANGE', 'text', '-4', '-1'],
  ['SUBSTR', 'text', '1', '2'],
  ['MGET', 'text', 'missing', 'other', 'list'],
  ['GETSET', 'text', 'new'],
  ['GETDEL', 'text'],
  ['GETEX', 'text', 'EX', '100'],
  ['SET', 'text', 'new', 'GET', 'KEEPTTL'],
  ['SETNX', 'text', 'new'],
  ['SET', 'text', 'new', 'XX'],
  ['APPEND', 'text', 'tail'],
  ['APPEND', 'long', 'tail'],
  ['SETRANGE', 'text', '5', 'middle'],
  ['SETRANGE', 'long', '5000', 'middle'],
  ['SETRANGE', 'text', '0', ''],
  ['INCR', 'text'],
  ['INCRBYFLOAT', 'number', '1.5'],
  ['INCRBYFLOAT', 'text', '1.5'],
  ['SETBIT', 'bits', '17', '1'],
  ['SETBIT', 'long', '17', '1'],
  ['SETBIT', 'bits', '0', '0'],
  ['GETBIT', 'bits', '25'],
  ['BITCOUNT', 'bits'],
  ['BITCOUNT', 'bits', '5', '-7', 'BIT'],
  ['BITPOS', 'bits', '1'],
  ['BITPOS', 'ones', '0'],
  ['BITPOS', 'ones', '0', '2', '-1'],
  ['BITOP', 'AND', 'target', 'bits', 'ones', 'text'],
  ['BITOP', 'NOT', 'bits', 'bits'],
  ['BITFIELD', 'bits', 'GET', 'u8', '#2', 'SET', 'i5', '100', '7', 'INCRBY', 'u63', '77', '1'],
  ['BITFIELD', 'bits', 'SET', 'u8', '0', '0'],
  ['BITFIELD_RO', 'bits', 'GET', 'u63', '9'],
  ['PFCOUNT', 'dense'],
  ['PFCOUNT', 'sparse'],
  ['PFCOUNT', 'dense', 'sparse', 'missing'],
  ['PFCOUNT', 'text'],
  ['PFADD', 'dense', 'a', 'b', 'c', 'd', 'e', 'f'],
  ['PFADD', 'sparse', 'a', 'b', 'c'],
  ['PFADD', 'text', 'a'],
  ['PFMERGE', 'sparse', 'dense'],
  ['PFMERGE', 'target', 'dense', 'sparse'],
  ['LCS', 'text', 'other'],
  ['LCS', 'text', 'other', 'IDX', 'MINMATCHLEN', '4', 'WITHMATCHLEN'],
  ['SORT', 'list', 'BY', '*', 'ALPHA', 'GET', '*', 'GET', '#'],
  ['DUMP', 'text'],
  ['COPY', 'text', 'copy'],
  ['RENAME', 'text', 'bits'],
  ['TYPE', 'text'],
  ['OBJECT', 'ENCODING', 'text'],
  ['OBJECT', 'REFCOUNT', 'text'],
  ['SCAN', '0', 'COUNT', '1000', 'TYPE', 'string'],
  ['PEXPIRE', 'text', '5000'],
  ['DEL', 'text'],
  ['LPUSH', 'text', 'a'],
  ['LRANGE', 'text', '0', '-1'],
  ['HGET', 'text', 'field'],
  ['SUNIONSTORE', 'target', 'text'],
  ['ZUNIONSTORE', 'target', '1', 'text'],
  ['XADD', 'text', '*', 'a', 'b'],
  ['GEOADD', 'text', '1', '1', 'a'],
  ['EVAL', "return {redis.call('STRLEN', 'text'), redis.call('GET', 'other')}", '0'],
  ['EVAL', "redis.call('APPEND', 'text', '!') return redis.call('GET', 'text')", '0'],
];

describe.each(ALGORITHMS)('compressed with %s', (algorithm) => {
  test('every command that concerns strings answers and does what it does to a plain one', () => {
    for (const command of COMMANDS) {
      const pair = new Pair(algorithm);
      pair.run(...command);
      pair.run(...command);
      pair.check();
    }
  });

  test('what is appended to a very long one is behind it', () => {
    const harness = new Harness();
    const text = 'lorem ipsum '.repeat(100_000);
    harness.put('long', packed(text, algorithm));
    expect(harness.run('APPEND', 'long', 'tail')).toBe(text.length + 4);
    expect(harness.run('GET', 'long')).toBe(`${text}tail`);
  });

  test('whatever commands come, the stores stay the same', () => {
    const words =
      'GET SET INCRBY AND OR XOR NOT BIT BYTE EX PX KEEPTTL XX NX PERSIST LEN IDX BY ALPHA STORE REPLACE OVERFLOW FAIL';
    const token = fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom(...Object.keys(VALUES), 'list', 'short', 'target') },
      fc.constantFrom('0', '1', '-1', '7', '100', '2.5', 'u8', 'i13', '#3', '*', 'a', ''),
      fc.constantFrom(...words.split(' ')),
    );
    const groups = ['string', 'bitmap', 'hyperloglog', 'keyspace'];
    // What a value takes is what it takes.
    const others = ['memory', 'flushall', 'flushdb', 'object'];
    const commands = [...dataCommands.values()]
      .filter(
        ({ name, categories }) => !others.includes(name) && groups.some((each) => categories.includes(each)),
      )
      .map(({ name, arity }) => {
        const [minLength, maxLength] = arity < 0 ? [-arity - 1, -arity + 3] : [arity - 1, arity - 1];
        return fc.tuple(fc.constant(name), fc.array(token, { minLength, maxLength }));
      });
    expect(commands.length).toBeGreaterThan(50);
    let answered = 0;
    fc.assert(
      fc.property(fc.array(fc.oneof(...commands), { minLength: 10, maxLength: 40 }), (calls) => {
        const pair = new Pair(algorithm);
        for (const [name, args] of calls) if (!(pair.run(name, ...args) instanceof Error)) answered++;
        pair.check();
      }),
      { numRuns: 50 },
    );
    expect(answered).toBeGreaterThan(100);
  });

  test('it takes less memory, and the store counts what it takes', () => {
    const { plain, packed: other } = new Pair(algorithm);
    expect(other.store.bytes).toBeLessThan(plain.store.bytes / 5);
    const before = other.store.bytes;
    other.run('COPY', 'text', 'copy');
    const { bytes } = other.store;
    other.run('APPEND', 'text', '!');
    expect(other.store.bytes).toBeGreaterThan(bytes);
    other.run('DEL', 'text', 'copy');
    other.put('text', packed(VALUES['text'] ?? '', algorithm));
    expect(other.store.bytes).toBe(before);
    expect(restored(snapshotOf(other.store)).bytes).toBe(before);
    expect(other.follower().bytes).toBe(before);
  });

  test('a snapshot shows the moment at which it began', () => {
    const { packed: harness } = new Pair(algorithm);
    const digest = harness.store.digest();
    const encoder = harness.store.startSnapshot();
    const blocks = [encoder.next(100)];
    harness.run('APPEND', 'text', '!');
    harness.run('SETBIT', 'bits', '3', '1');
    harness.put('other', packed('another '.repeat(100), algorithm));
    harness.run('DEL', 'long');
    for (let block = encoder.next(100); block !== null; block = encoder.next(100)) blocks.push(block);
    expect(restored(blocks.filter((block) => block !== null)).digest()).toBe(digest);
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('what expires is gone, here and after a restart', () => {
    const harness = new Harness();
    harness.put('text', packed('text '.repeat(100), algorithm), harness.now + 10);
    expect(harness.run('PTTL', 'text')).toBe(10);
    const copy = restored(snapshotOf(harness.store));
    expect(copy.deadlineOf('text')).toBe(harness.now + 10);
    harness.now += 10;
    expect(harness.run('GET', 'text')).toBeNull();
    harness.expire(['text']);
    expect(harness.follower().size).toBe(0);
  });

  test('the bytes of any string come back, or it is not compressed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 30 }), (bytes, times) => {
        const text = Buffer.from(bytes).latin1Slice().repeat(times);
        const value = Packed.of(text, algorithm);
        if (value === null) return;
        expect(value.bytes).toBeLessThan(text.length);
        expect(value.length).toBe(text.length);
        const writer = new ByteWriter(16);
        expect(value.encode(0, writer)).toBeNull();
        const copy = new Packed();
        copy.decode(new ByteReader(writer.view()));
        for (const each of [value, copy, value.fork()]) expect(isString(each) && plainOf(each)).toBe(text);
      }),
    );
    expect(Packed.of('', algorithm)).toBeNull();
    expect(Packed.of('short', algorithm)).toBeNull();
  });
});

test('a damaged one is refused, or does not become longer than it says', () => {
  const decode = (bytes: Uint8Array): Packed => {
    const value = new Packed();
    value.decode(new ByteReader(bytes));
    return value;
  };
  for (const algorithm of ALGORITHMS) {
    const writer = new ByteWriter(16);
    packed('text '.repeat(100), algorithm).encode(0, writer);
    const whole = Buffer.from(writer.view());
    for (let at = 0; at < whole.length; at++) {
      expect(() => decode(whole.subarray(0, at))).toThrow(FormatError);
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x41, at);
      try {
        const value = decode(damaged);
        expect(value.toString().length).toBe(value.length);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
    const again = decode(whole);
    expect(() => again.decode(new ByteReader(whole))).toThrow('a second part');
  }
  const bomb = gzipSync(Buffer.alloc(1024 * 1024)).latin1Slice();
  const writer = new ByteWriter(16);
  writer.byte(1);
  writer.varint(1000);
  writer.string(bomb);
  expect(() => decode(writer.view()).toString()).toThrow('larger than 1000 bytes');
  expect(() => decode(Buffer.from('\x03\x05\x01x', 'latin1'))).toThrow('the unknown algorithm 3');
  expect(() => decode(Buffer.from('\x01\x00\x01x', 'latin1'))).toThrow('a compressed string of 0 bytes');
});
