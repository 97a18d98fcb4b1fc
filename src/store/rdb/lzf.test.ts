import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compress, decompress } from './lzf.ts';

/** Bytes in which much comes again. */
const repetitive = fc
  .array(fc.oneof(fc.constantFrom('a', 'bc', 'abcabcabd', '\0'.repeat(300), 'x'.repeat(9000)), fc.string()), {
    maxLength: 60,
  })
  .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

test('what is compressed expands to the same, and is no longer than allowed', () => {
  fc.assert(
    fc.property(repetitive, fc.nat(40), (bytes, saved) => {
      const compressed = compress(bytes, bytes.length - saved);
      if (compressed === null) return;
      expect(compressed.length).toBeLessThanOrEqual(bytes.length - saved);
      expect(decompress(compressed, bytes.length)).toEqual(bytes);
      expect(decompress(compressed, bytes.length + 1)).toBe(null);
      if (bytes.length > 0) expect(decompress(compressed, bytes.length - 1)).toBe(null);
    }),
    { numRuns: 500 },
  );
});

test('what repeats becomes shorter; what does not is left alone', () => {
  const repeated = Buffer.from('0123456789'.repeat(100));
  expect(compress(repeated, repeated.length - 4)?.length).toBeLessThan(50);
  expect(compress(Buffer.from('no three bytes here twice'), 21)).toBe(null);
});

test('any bytes expand to so many bytes or to nothing, and never ask for more than they can stand for', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(300), (bytes, length) => {
      const expanded = decompress(bytes, length);
      if (expanded !== null) expect(expanded.length).toBe(length);
    }),
    { numRuns: 2000 },
  );
  expect(decompress(Buffer.from([0xe0, 0xff, 0x00]), 2 ** 40)).toBe(null);
});
