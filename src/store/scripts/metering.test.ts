/** Counted steps: the same number for the same work, whatever the work is and whatever was done before. */
import { expect, test } from 'vitest';
import { Harness } from '../testing/harness.ts';
import { engine } from './engine.ts';
import type { ScriptHost } from './host.ts';
import { RedisRandom } from './random.ts';
import { Recording } from './recording.ts';

function stepsOf(code: string): number {
  const compiled = engine.script(code);
  if (compiled.kind === 'failed') throw new Error(compiled.error);
  const host: ScriptHost = {
    call: () => null,
    callSteps: 0,
    knows: () => true,
    permits: () => true,
    protocol: 2,
    random: new RedisRandom(),
    wrote: false,
  };
  return engine.runScript(compiled.image, { name: 'test', keys: [], args: [], host }, new Recording());
}

test('the same script takes the same steps, and more work takes more', () => {
  const loop = (turns: number): string => `for i = 1, ${turns} do end`;
  const one = stepsOf(loop(1000));
  stepsOf('local t = {} for i = 1, 10000 do t[i] = {} end');
  expect(stepsOf(loop(1000))).toBe(one);
  const more = stepsOf(loop(2000)) - one;
  expect(stepsOf(loop(3000)) - one).toBe(2 * more);
  // Work inside one instruction counts: comparing, joining and finding in long texts.
  const text = 'local s = string.rep("a", 100000) ';
  for (const work of ['return s .. "b" == s .. "c"', 'return #(s .. s)', 'return s:find("b")'])
    expect(stepsOf(text + work) - stepsOf(text)).toBeGreaterThan(5000);
});

/**
 * When scripts are stopped is part of what a log means: nodes that count in different ways would come to different states. If this
 * number changes, releases before and after can't be in one cluster, nor read each other's logs.
 */
test('a loop of commands is stopped after the same number of them as ever', () => {
  const harness = new Harness();
  harness.run('EVAL', 'while true do redis.call("incr", "count") end', '0');
  expect(harness.run('GET', 'count')).toBe('30157');
});

test('what is not a number is the same bytes on every machine', () => {
  const harness = new Harness();
  const nan = (expression: string): unknown =>
    harness.run('EVAL', `return tostring(${expression}) .. struct.pack(">d", ${expression})`, '0');
  expect(nan('0/0')).toBe('-nan\xff\xf8\0\0\0\0\0\0');
  expect(nan('-(0/0)')).toBe('nan\x7f\xf8\0\0\0\0\0\0');
  expect(nan('1/0 - 1/0')).toBe('-nan\xff\xf8\0\0\0\0\0\0');
  expect(nan('math.sqrt(-1)')).toBe('-nan\xff\xf8\0\0\0\0\0\0');
});
