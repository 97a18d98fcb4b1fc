/** Bytes that are written in place, against a plain buffer. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../bytes.ts';
import { Bytes, CHUNK_BYTES } from './bytes.ts';

type Step =
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'write'; readonly at: number; readonly text: string }
  | { readonly kind: 'grow'; readonly to: number }
  | { readonly kind: 'fork' };

/** Around the edges of chunks, mostly. */
const place = fc
  .tuple(fc.nat(4), fc.integer({ min: -3, max: 3 }))
  .map(([chunk, near]) => Math.max(0, chunk * CHUNK_BYTES + near));
const text = fc
  .tuple(fc.string({ unit: 'binary-ascii', maxLength: 8 }), fc.constantFrom(1, 1, 1000))
  .map(([piece, times]) => piece.repeat(times));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: place, byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant('write' as const), at: place, text }),
  fc.record({ kind: fc.constant('grow' as const), to: place }),
  fc.constant({ kind: 'fork' as const }),
);

/** A string with `text` at `at`. */
function written(before: string, at: number, patch: string): string {
  const padded = before.padEnd(at, '\0');
  return padded.slice(0, at) + patch + padded.slice(at + patch.length);
}

function apply(bytes: Bytes, model: string, change: Step): string {
  switch (change.kind) {
    case 'set':
      bytes.set(change.at, change.byte);
      return written(model, change.at, String.fromCharCode(change.byte));
    case 'write':
      bytes.write(change.at, change.text);
      return written(model, change.at, change.text);
    case 'grow':
      bytes.grow(change.to);
      return model.padEnd(change.to, '\0');
    case 'fork':
      return model;
  }
}

/** What its parts of about `bytesMax` bytes look like. */
function encoded(bytes: Bytes, bytesMax: number): string[] {
  const parts: string[] = [];
  for (let cursor: number | null = 0; cursor !== null; ) {
    const writer = new ByteWriter(16);
    cursor = bytes.encode(cursor, writer, bytesMax);
    parts.push(writer.view().toString('latin1'));
  }
  return parts;
}

function decoded(parts: readonly string[]): Bytes {
  const bytes = new Bytes();
  for (const part of parts) bytes.decode(new ByteReader(Buffer.from(part, 'latin1')));
  return bytes;
}

test('behaves as a buffer, and what a fork holds stays as it was', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, continueInFork) => {
      let bytes = new Bytes();
      let model = '';
      const forks: { readonly fork: Bytes; readonly model: string }[] = [];
      for (const change of steps) {
        if (change.kind === 'fork') {
          const fork = bytes.fork();
          // Whichever of the two goes on, the other must not see it.
          forks.push({ fork: continueInFork ? bytes : fork, model });
          if (continueInFork) bytes = fork;
        }
        model = apply(bytes, model, change);
        expect(bytes.length).toBe(model.length);
      }
      expect(bytes.toString()).toBe(model);
      for (const { fork, model: kept } of forks) expect(fork.toString()).toBe(kept);
      for (const at of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, model.length - 1, model.length]) {
        if (at < 0) continue;
        expect(bytes.at(at)).toBe(at < model.length ? model.charCodeAt(at) : 0);
        expect(bytes.slice(at, at + CHUNK_BYTES + 5)).toBe(model.slice(at, at + CHUNK_BYTES + 5));
      }
    }),
    { numRuns: 300 },
  );
});

test('what is written down tells the bytes and nothing of how they came about', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 20 }),
      fc.array(step, { maxLength: 8 }),
      fc.constantFrom(1, 5000, 100_000),
      (steps, more, bytesMax) => {
        const bytes = new Bytes();
        let model = steps.reduce((before, change) => apply(bytes, before, change), '');
        const parts = encoded(bytes, bytesMax);
        for (const part of parts) expect(part.length).toBeLessThan(bytesMax + CHUNK_BYTES + 8);
        const copy = decoded(parts);
        expect(copy.toString()).toBe(model);
        expect(copy.bytes).toBe(bytes.bytes);
        for (const change of more) {
          model = apply(bytes, model, change);
          apply(copy, '', change);
        }
        expect(encoded(copy, bytesMax)).toEqual(encoded(bytes, bytesMax));
        const plain = new Bytes();
        plain.write(0, model);
        expect(encoded(plain, bytesMax)).toEqual(encoded(bytes, bytesMax));
      },
    ),
    { numRuns: 200 },
  );
});

test('a bit far behind costs what it is, not the way to it', () => {
  const bytes = new Bytes();
  bytes.set(500_000_000, 1);
  expect(encoded(bytes, 1 << 20).join('').length).toBeLessThan(CHUNK_BYTES + 16);
  expect(decoded(encoded(bytes, 1 << 20)).at(500_000_000)).toBe(1);
});

describe('damaged bytes', () => {
  test.each([
    ['a chunk behind one that is not full', '\x00\x01a\x00\x01b'],
    ['a chunk that is too long', `\x00\x81\x20${'a'.repeat(CHUNK_BYTES + 1)}`],
    ['more zeros than a string can hold', '\xff\xff\xff\xff\x7f\x01a'],
    ['a length beyond the end', '\x00\x05abc'],
    ['a cut number', '\x80'],
  ])('%s', (_, part) => {
    expect(() => decoded([part])).toThrow(FormatError);
  });

  test('nothing else than an error comes of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (part) => {
        try {
          const bytes = new Bytes();
          bytes.decode(new ByteReader(part));
          expect(bytes.slice(Math.max(0, bytes.length - 100)).length).toBeLessThanOrEqual(100);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
