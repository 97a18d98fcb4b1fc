import { expect, test } from 'vitest';
import { UsageClock } from './usage.ts';

const MINUTE = 60_000;
/** Some moment, not at the edge of anything. */
const NOW = 1_700_000_000_000;

test('idle for so many seconds, also where the clock comes round', () => {
  const clock = new UsageClock();
  const round = 60 * 139_810 * 1000;
  for (const start of [NOW, Math.ceil(NOW / round) * round - 2000]) {
    clock.now = start;
    const usage = clock.first();
    for (const seconds of [0, 1, 59, 60, 3600, 86_400]) {
      clock.now = start + 1000 * seconds;
      expect(clock.idleSeconds(usage)).toBe(seconds);
      expect(clock.idleSeconds(clock.next(usage))).toBe(0);
    }
  }
});

test('the more often the higher, and always slower', () => {
  const clock = new UsageClock();
  clock.now = NOW;
  let usage = clock.first();
  const after = new Map<number, number>();
  for (let uses = 0; uses <= 1_000_000; uses++) {
    if ([0, 100, 1000, 100_000, 1_000_000].includes(uses)) after.set(uses, clock.frequency(usage));
    usage = clock.next(usage);
  }
  // Redis's own measurement for its logarithmic factor of 10: 10, 18, 142 and 255.
  expect(after.get(0)).toBe(5);
  expect(Math.abs(after.get(100)! - 10)).toBeLessThan(5);
  expect(Math.abs(after.get(1000)! - 18)).toBeLessThan(8);
  expect(Math.abs(after.get(100_000)! - 142)).toBeLessThan(25);
  expect(after.get(1_000_000)).toBe(255);
});

test('a minute without a use takes one away, at the latest when it is used again', () => {
  const clock = new UsageClock();
  clock.now = NOW;
  const usage = clock.first();
  clock.now = NOW + 2 * MINUTE;
  expect(clock.frequency(usage)).toBe(3);
  const again = clock.next(usage);
  expect([3, 4]).toContain(clock.frequency(again));
  clock.now = NOW + 100 * MINUTE;
  expect(clock.frequency(again)).toBe(0);
});

test('it is a small number: V8 keeps it in the entry', () => {
  const clock = new UsageClock();
  for (let day = 0; day < 200; day++) {
    clock.now = NOW + day * 24 * 60 * MINUTE;
    const usage = clock.next(clock.first());
    expect(usage).toBeGreaterThanOrEqual(0);
    expect(usage).toBeLessThan(2 ** 31);
  }
});
