import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Deadlines } from './deadlines.ts';
import { Entry } from './entry.ts';

type Move = { readonly key: number; readonly deadline: number | null };

const KEYS = 6;
const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.record({ key: fc.nat(KEYS - 1), deadline: fc.option(fc.integer({ min: 1, max: 50 })) }),
  { maxLength: 200, size: 'max' },
);

test('the heap agrees with a plain list, whatever was moved, cancelled and set again', () => {
  fc.assert(
    fc.property(moves, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 8 }), (steps, now, max) => {
      const deadlines = new Deadlines();
      const entries = Array.from({ length: KEYS }, () => new Entry('key', '', 0));
      const model = new Map<string, number>();
      for (const { key, deadline } of steps) {
        const entry = entries[key]!;
        if (deadline === null) {
          deadlines.clear(entry);
          model.delete(`k${key}`);
        } else {
          deadlines.set(`k${key}`, entry, deadline);
          model.set(`k${key}`, deadline);
        }
        expect(deadlines.count).toBe(model.size);
        expect(entry.expiresAt).toBe(deadline ?? 0);
      }
      expect(deadlines.earliest()).toBe(Math.min(...model.values()));
      const due = [...model].filter(([, at]) => at <= now).sort(([, one], [, other]) => one - other);
      const expected = due.slice(0, max).map(([, at]) => at);
      for (const round of ['first', 'second, nothing was removed'])
        expect(
          deadlines.due(now, max).map((key) => model.get(key)),
          round,
        ).toEqual(expected);
    }),
  );
});

test('stale timers are bounded: a hundred thousand ever shorter deadlines of a few keys', () => {
  const deadlines = new Deadlines();
  const entries = Array.from({ length: 10 }, () => new Entry('key', '', 0));
  for (let at = 100_000; at > 0; at--) {
    deadlines.set('k', entries[at % 10]!, at);
    expect(deadlines.timers).toBeLessThanOrEqual(2 * 10 + 64);
  }
  for (const entry of entries) deadlines.clear(entry);
  expect(deadlines.count).toBe(0);
  expect(deadlines.timers).toBeLessThanOrEqual(64);
});

test('a deadline that moves on costs no timer', () => {
  const deadlines = new Deadlines();
  const entry = new Entry('key', '', 0);
  for (let at = 1; at <= 1000; at++) deadlines.set('session', entry, at);
  deadlines.set('session', entry, 1);
  deadlines.set('session', entry, 1);
  expect(deadlines.timers, 'the same deadline again').toBe(1);
  deadlines.set('session', entry, 1000);
  expect(deadlines.timers).toBe(1);
  expect(deadlines.earliest()).toBe(1000);
});
