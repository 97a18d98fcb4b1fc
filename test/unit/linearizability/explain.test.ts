import { resolve } from 'node:path';
import { assert, integer, pre, property } from 'fast-check';
import { expect, test } from 'vitest';
import { check } from '../../linearizability/checker.ts';
import { explain } from '../../linearizability/explain.ts';
import { type Operation, readHistory } from '../../linearizability/history.ts';
import { minimise } from '../../linearizability/minimise.ts';
import { Random } from '../../sim/random.ts';
import { atomicHistory, bruteForce, mutated } from './generate.ts';

function bad(name: string): string {
  const file = resolve(import.meta.dirname, `../../linearizability/histories/bad-${name}.jsonl`);
  return `\n${explain(readHistory(file).operations)}\n`;
}

test('an explanation shows the operations, the longest order and the one that does not fit', () => {
  expect(bad('stale-read')).toMatchInlineSnapshot(`
    "
    Not linearizable. Of 3 operations, these 3 on x show it:

      ├──┤                 a [0.0 … 10.0 ms] SET x 1 → "OK"
            ├──┤           a [20.0 … 30.0 ms] SET x 2 → "OK"
                  ├──┤     b [40.0 … 50.0 ms] GET x → "1"  ◀ does not fit

    The longest order that fits the answers:
      a [0.0 … 10.0 ms] SET x 1 → "OK"
      a [20.0 … 30.0 ms] SET x 2 → "OK"
    It leaves
      x = "2"
    and what must come next is
      b [40.0 … 50.0 ms] GET x → "1"
    which would have been answered "2".
    Nothing else was under way at that time.
    "
  `);
});

test('an explanation names what was under way and unknown outcomes', () => {
  expect(bad('transaction-half-applied')).toMatchInlineSnapshot(`
    "
    Not linearizable. Of 4 operations, these 4 on x, y show it:

      ├──┤                    a [0.0 … 10.0 ms] SET x 1 + SET y 1 → "OK" + "OK"
            ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  b [20.0 … ms] SET x 2 + SET y 2 → unknown
               ├──┤           c [30.0 … 40.0 ms] GET x → "2"
                     ├──┤     c [50.0 … 60.0 ms] GET y → "1"  ◀ does not fit

    The longest order that fits the answers:
      a [0.0 … 10.0 ms] SET x 1 + SET y 1 → "OK" + "OK"
      b [20.0 … ms] SET x 2 + SET y 2 → unknown
      c [30.0 … 40.0 ms] GET x → "2"
    It leaves
      x = "2"
      y = "2"
    and what must come next is
      c [50.0 … 60.0 ms] GET y → "1"
    which would have been answered "2".
    Under way at the same time:
      b [20.0 … ms] SET x 2 + SET y 2 → unknown
    "
  `);
});

test('an explanation says when nobody wrote what was read', () => {
  expect(bad('read-of-a-refused-write')).toContain(
    'No operation writes refused: was a refused one executed?',
  );
});

test('an explanation says where long values part', () => {
  const tokens = Array.from({ length: 40 }, (_, at) => `${at};`);
  const appends = tokens.map((token, at): Operation => {
    const replies = [tokens.slice(0, at + 1).join('').length];
    return {
      client: 'a',
      invoked: 2 * at,
      calls: [['APPEND', 'l', token]],
      outcome: { returned: 2 * at + 1, replies },
    };
  });
  const value = tokens.filter((token) => token !== '38;').join('');
  const read: Operation = {
    client: 'b',
    invoked: 100,
    calls: [['GET', 'l']],
    outcome: { returned: 101, replies: [value] },
  };
  expect(explain([...appends, read])).toContain(
    'After 105 bytes that agree, "8;39;" would have come, and "9;" came.',
  );
});

test('a long history is explained by the few operations that matter', () => {
  const history = atomicHistory(new Random(7), {
    operations: 2000,
    clients: 8,
    keys: 8,
    unknown: 0.01,
    transactions: 0.1,
  });
  // A register's newest value is read and later, by a read sent after that one was answered, the one before.
  const moment = 1 + Math.max(...history.map(({ outcome }) => outcome?.returned ?? 0));
  const register = (at: number, call: 'SET' | 'GET', value: string): (typeof history)[number] => ({
    client: 'late',
    invoked: moment + at,
    calls: [call === 'SET' ? ['SET', 'k0', value] : ['GET', 'k0']],
    outcome: { returned: moment + at + 1, replies: [call === 'SET' ? 'OK' : value] },
  });
  const stale = [
    register(0, 'SET', 'older'),
    register(2, 'SET', 'newer'),
    register(4, 'GET', 'newer'),
    register(6, 'GET', 'older'),
  ];
  expect(check(history).verdict).toBe('linearizable');
  expect(minimise([...history, ...stale])).toEqual([stale[0], stale[1], stale[3]]);
});

test('what is left of a history that is not linearizable is not linearizable either, and smaller', () => {
  assert(
    property(integer(), (seed) => {
      const random = new Random(seed);
      const shape = { operations: 8, clients: 4, keys: 3, unknown: 0.2, transactions: 0.2 };
      const history = mutated(random, atomicHistory(random, shape));
      pre(!bruteForce(history));
      const operations = minimise(history);
      expect(bruteForce(operations)).toBe(false);
      expect(operations.length).toBeLessThanOrEqual(history.length);
    }),
    { numRuns: 500 },
  );
});

test('a linearizable history has nothing to explain', () => {
  expect(() => explain([])).toThrow('linearizable');
});
