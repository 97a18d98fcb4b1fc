import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from './bytes.ts';

test('numbers, strings and doubles come back from a buffer that had to grow', () => {
  const item = fc.oneof(
    fc.maxSafeNat(),
    fc.constantFrom(127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 35 - 1, 2 ** 49, 2 ** 53 - 1),
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );
  fc.assert(
    fc.property(fc.array(item), fc.double({ noNaN: true }), (items, double) => {
      const writer = new ByteWriter(1);
      for (const one of items) {
        if (typeof one === 'number') writer.varint(one);
        else writer.string(one);
      }
      writer.double(double);
      const reader = new ByteReader(writer.view());
      for (const one of items)
        expect(typeof one === 'number' ? reader.varint('a number') : reader.string('a string')).toBe(one);
      expect(reader.double('a double')).toBe(double);
      expect(reader.remaining).toBe(0);
    }),
  );
});

test('a varint that does not end or exceeds 2^53 is refused where it stands', () => {
  const read = (...bytes: number[]) => new ByteReader(Buffer.from(bytes), 100).varint('a length');
  expect(() => read(0x80)).toThrow(new FormatError('the bytes end where a length should be', 101));
  expect(() => read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f)).toThrow('is not a number below 2^53');
  expect(() => read(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0)).toThrow('is not a number below 2^53');
  expect(read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)).toBe(Number.MAX_SAFE_INTEGER);
});

test('a length beyond the end is refused before anything is allocated', () => {
  const reader = new ByteReader(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]));
  expect(() => reader.string('a key')).toThrow(
    'the length of a key says 4294967295, more than the bytes hold',
  );
});
