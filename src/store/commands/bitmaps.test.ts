/** What the comparison with Redis doesn't show of bitmaps: long ones, their snapshots, what counts as a change. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keysOf } from '../command.ts';
import type { EventClass } from '../listener.ts';
import { call, Harness, restored, snapshotOf } from '../testing/harness.ts';
import { MAX_STRING_BYTES } from '../value.ts';

/** The bits of a string as text, to be counted and searched in the simplest way. */
function bitsOf(text: string): string {
  return Array.from(text, (character) => character.charCodeAt(0).toString(2).padStart(8, '0')).join('');
}

describe('a long bitmap', () => {
  test('is still a string: every string command works on it', () => {
    const harness = new Harness();
    harness.run('SETBIT', 'key', '80007', '1');
    expect(harness.run('TYPE', 'key')).toBe('string');
    expect(harness.run('STRLEN', 'key')).toBe(10_001);
    expect(harness.run('GETRANGE', 'key', '-2', '-1')).toBe('\0\x01');
    expect(harness.run('APPEND', 'key', 'end')).toBe(10_004);
    expect(harness.run('GET', 'key')).toBe(`${'\0'.repeat(10_000)}\x01end`);
    expect(harness.run('MGET', 'key', 'none')).toEqual([`${'\0'.repeat(10_000)}\x01end`, null]);
    expect(harness.run('INCR', 'key')).toEqual(new Error('ERR value is not an integer or out of range'));
    expect(harness.run('SCAN', '0', 'TYPE', 'string', 'COUNT', '9999')).toEqual(['0', ['key']]);
    expect(harness.run('COPY', 'key', 'copy')).toBe(1);
    expect(harness.run('SETRANGE', 'key', '0', 'begin')).toBe(10_004);
    expect(harness.run('GETRANGE', 'copy', '0', '4')).toBe('\0'.repeat(5));
    expect(harness.run('GETDEL', 'key')).toMatch(/^begin/);
    expect(harness.run('SET', 'copy', 'short', 'GET')).toHaveLength(10_004);
    expect(harness.run('GET', 'copy')).toBe('short');
    expect(harness.follower().digest()).toBe(harness.store.digest());
  });

  test('a snapshot shows it as it was, and what is restored goes on the same way', () => {
    const harness = new Harness();
    harness.run('SETBIT', 'far', '1000000', '1');
    harness.run('SETRANGE', 'dense', '0', 'abcdefgh'.repeat(3000));
    const before = harness.store.digest();
    const encoder = harness.store.startSnapshot();
    const blocks = [encoder.next(200)!];
    for (let at = 0; at < 100; at++) {
      harness.run('SETBIT', 'far', String(at * 9999), '1');
      harness.run('BITFIELD', 'dense', 'SET', 'u8', `#${at * 200}`, '0');
      const block = encoder.next(2000);
      if (block !== null) blocks.push(block);
    }
    for (let block = encoder.next(2000); block !== null; block = encoder.next(2000)) blocks.push(block);
    expect(restored(blocks).digest()).toBe(before);
    // Zeros that were written and zeros that never were must not make a difference.
    harness.run('SETBIT', 'far', '1000000', '0');
    const copy = restored(snapshotOf(harness.store));
    expect(copy.digest()).toBe(harness.store.digest());
    expect(copy.bytes).toBe(harness.store.bytes);
    harness.run('SETBIT', 'far', '2000000', '0');
    copy.applyBatch(harness.store.appliedIndex, harness.payloads.at(-1)!);
    expect(copy.digest()).toBe(harness.store.digest());
    expect(copy.bytes).toBe(harness.store.bytes);
  });

  test('the last bit that there can be is nearly free', () => {
    const harness = new Harness();
    const last = String(8 * MAX_STRING_BYTES - 1);
    expect(harness.run('SETBIT', 'key', last, '1')).toBe(0);
    expect(harness.run('BITCOUNT', 'key')).toBe(1);
    expect(harness.run('BITPOS', 'key', '1')).toBe(Number(last));
    expect(harness.run('BITPOS', 'key', '0', '-1')).toBe(Number(last) - 7);
    const error = new Error('ERR bit offset is not an integer or out of range');
    expect(harness.run('SETBIT', 'key', String(8 * MAX_STRING_BYTES), '1')).toEqual(error);
    expect(harness.run('GETBIT', 'key', String(8 * MAX_STRING_BYTES))).toBe(0);
    expect(harness.run('BITFIELD', 'key', 'SET', 'u9', String(8 * MAX_STRING_BYTES - 8), '1')).toEqual(error);
    expect(harness.run('BITFIELD', 'key', 'SET', 'u8', String(8 * MAX_STRING_BYTES - 8), '1')).toEqual([1]);
    expect(snapshotOf(harness.store).reduce((sum, { length }) => sum + length, 0)).toBeLessThan(10_000);
  });

  test('counting and finding agree with the simplest way, across chunks', () => {
    const piece = fc.tuple(
      fc.constantFrom('\0', '\xff', '\x10', '\x7f'),
      fc.constantFrom(1, 2, 3, 4093, 4096, 5000),
    );
    const near = fc.integer({ min: -70_000, max: 70_000 });
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.constantFrom('BIT', 'BYTE'),
        fc.tuple(near, near),
        (pieces, inPlace, unit, [start, end]) => {
          const text = pieces.map(([byte, times]) => byte.repeat(times)).join('');
          const harness = new Harness();
          harness.run(...(inPlace ? ['SETRANGE', 'key', '0', text] : ['SET', 'key', text]));
          const bits = bitsOf(text);
          const size = unit === 'BIT' ? 1 : 8;
          const units = bits.length / size;
          const from = Math.max(0, start < 0 ? units + start : start);
          const to = Math.max(0, end < 0 ? units + end : end);
          const range = from > to ? '' : bits.slice(from * size, (to + 1) * size);
          // BITPOS, unlike BITCOUNT, takes two ends before the beginning for the beginning.
          const ones = start < 0 && end < 0 && start > end ? 0 : range.replaceAll('0', '').length;
          expect(harness.run('BITCOUNT', 'key', String(start), String(end), unit)).toBe(ones);
          for (const bit of ['0', '1']) {
            const at = range.indexOf(bit);
            expect(harness.run('BITPOS', 'key', bit, String(start), String(end), unit)).toBe(
              at === -1 ? -1 : from * size + at,
            );
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('BITOP agrees with the simplest way, across chunks and zeros that were never written', () => {
    const operand = fc.tuple(
      fc.constantFrom('abc', '\xff', '\x0f\xf0'),
      fc.constantFrom(0, 1, 3000, 5000, 9000),
    );
    fc.assert(
      fc.property(fc.array(operand, { minLength: 1, maxLength: 3 }), fc.boolean(), (operands, far) => {
        const harness = new Harness();
        const texts = operands.map(([piece, times], at) => {
          if (times > 0) harness.run('SETRANGE', `key ${at}`, far ? '9000' : '0', piece.repeat(times));
          return times > 0 ? '\0'.repeat(far ? 9000 : 0) + piece.repeat(times) : '';
        });
        const length = Math.max(...texts.map((text) => text.length));
        const keys = texts.map((_, at) => `key ${at}`);
        const columns = (combine: (one: number, other: number) => number): string => {
          const rows = texts.map((text) => Buffer.from(text.padEnd(length, '\0'), 'latin1'));
          const first = rows.shift()!;
          for (const row of rows)
            for (const [at, byte] of row.entries()) first[at] = combine(first[at]!, byte);
          return first.toString('latin1');
        };
        const expected = {
          AND: columns((one, other) => one & other),
          OR: columns((one, other) => one | other),
          XOR: columns((one, other) => one ^ other),
        };
        for (const [name, result] of Object.entries(expected)) {
          expect(harness.run('BITOP', name, 'result', ...keys)).toBe(length);
          expect(harness.run('GET', 'result')).toBe(length === 0 ? null : result);
        }
        expect(harness.run('BITOP', 'NOT', 'result', 'key 0')).toBe(texts[0]!.length);
        const inverted = Array.from(texts[0]!, (character) =>
          String.fromCharCode(character.charCodeAt(0) ^ 0xff),
        );
        expect(harness.run('GET', 'result') ?? '').toBe(inverted.join(''));
        expect(harness.follower().digest()).toBe(harness.store.digest());
      }),
      { numRuns: 60 },
    );
  });
});

describe('changes', () => {
  test('what leaves the bits as they are changes nothing and tells nobody', () => {
    const harness = new Harness();
    const events: string[] = [];
    harness.store.listener = {
      changed: () => {},
      cleared: () => {},
      event: (type: EventClass, event) => void events.push(`${type} ${event}`),
      message: () => 0,
      metaChanged: () => {},
      refused() {},
      restored: () => {},
    };
    const told = (...args: string[]): string[] => {
      const [key = ''] = keysOf(call(...args).command, args);
      const version = harness.store.version(key);
      events.length = 0;
      harness.run(...args);
      expect(harness.store.version(key) !== version).toBe(events.length > 0);
      return [...events];
    };
    expect(told('SETBIT', 'key', '7', '0')).toEqual(['n new', '$ setbit']);
    expect(told('SETBIT', 'key', '7', '0')).toEqual([]);
    expect(told('SETBIT', 'key', '8', '0')).toEqual(['$ setbit']);
    expect(told('BITFIELD', 'key', 'SET', 'u8', '0', '0')).toEqual([]);
    expect(told('BITFIELD', 'key', 'GET', 'u8', '1000')).toEqual([]);
    expect(told('BITFIELD', 'key', 'OVERFLOW', 'FAIL', 'INCRBY', 'u2', '0', '5')).toEqual([]);
    expect(told('BITFIELD', 'key', 'INCRBY', 'u2', '0', '1', 'INCRBY', 'u2', '0', '-1')).toEqual([
      '$ setbit',
    ]);
    expect(told('BITFIELD', 'other', 'OVERFLOW', 'FAIL', 'INCRBY', 'u2', '80', '5')).toEqual(['n new']);
    expect(harness.run('STRLEN', 'other')).toBe(11);
    expect(told('BITOP', 'AND', 'result', 'key')).toEqual(['n new', '$ set']);
    expect(told('BITOP', 'AND', 'result', 'missing')).toEqual(['g del']);
    expect(told('BITOP', 'AND', 'result', 'missing')).toEqual([]);
  });

  test('a value that was read is not changed by a later write', () => {
    const harness = new Harness();
    harness.run('SETBIT', 'key', '99999', '1');
    const copy = harness.run('GET', 'key') as string;
    harness.run('SETBIT', 'key', '0', '1');
    expect(copy.charCodeAt(0)).toBe(0);
  });
});
