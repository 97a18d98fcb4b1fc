import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { assert, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { check, parts } from '../../linearizability/checker.ts';
import { type Operation, readHistory } from '../../linearizability/history.ts';
import { unseen } from '../../linearizability/minimise.ts';
import { Random } from '../../sim/random.ts';
import { atomicHistory, bruteForce, mutated, type Shape, withIgnoredAnswers } from './generate.ts';

const HISTORIES = resolve(import.meta.dirname, '../../linearizability/histories');

describe('the histories in the folder', () => {
  for (const file of readdirSync(HISTORIES)) {
    const { title, operations } = readHistory(resolve(HISTORIES, file));
    test(`${file}: ${title}`, () => {
      const expected = file.startsWith('good-') ? 'linearizable' : 'violated';
      expect(check(operations).verdict).toBe(expected);
    });
  }
});

const SMALL: Shape = { operations: 7, clients: 3, keys: 4, unknown: 0.2, transactions: 0.2 };
const ONE_KEY: Shape = { ...SMALL, keys: 1, clients: 4 };

describe('random histories', () => {
  test('every history of an atomic object is linearizable', () => {
    assert(
      property(integer(), (seed) => {
        const random = new Random(seed);
        const shape = { operations: 200, clients: 6, keys: 4, unknown: 0.05, transactions: 0.1 };
        expect(check(atomicHistory(random, shape)).verdict).toBe('linearizable');
      }),
      { numRuns: 100 },
    );
  });

  test('with an answer or a time changed, the verdict is that of trying every order', () => {
    const verdicts = { linearizable: 0, violated: 0, undecided: 0 };
    assert(
      property(integer(), (seed) => {
        const random = new Random(seed);
        const changed = mutated(random, atomicHistory(random, random.pick([SMALL, ONE_KEY])));
        const history = random.chance(0.2) ? withIgnoredAnswers(random, changed) : changed;
        const { verdict } = check(history);
        verdicts[verdict] += 1;
        expect(verdict).toBe(bruteForce(history) ? 'linearizable' : 'violated');
      }),
      { numRuns: 2000 },
    );
    expect(verdicts.linearizable).toBeGreaterThan(200);
    expect(verdicts.violated).toBeGreaterThan(200);
  });

  test('leaving out what nobody saw breaks no linearizable history', () => {
    let left = 0;
    assert(
      property(integer(), (seed) => {
        const random = new Random(seed);
        const atomic = atomicHistory(random, { ...SMALL, keys: 3, unknown: 0.3 });
        const history = withIgnoredAnswers(random, atomic);
        const gone = new Set(unseen(history));
        const less = history.filter((operation) => !gone.has(operation));
        left += history.length - less.length;
        expect(bruteForce(less)).toBe(true);
      }),
      { numRuns: 500 },
    );
    expect(left).toBeGreaterThan(100);
  });
});

describe('long histories', () => {
  const LONG: Shape = { operations: 10_000, clients: 10, keys: 20, unknown: 0.01, transactions: 0 };

  test('10,000 operations of 10 clients on 20 keys take hardly more configurations than operations', () => {
    const history = atomicHistory(new Random(1), LONG);
    expect(parts(history)).toHaveLength(20);
    const { verdict, configurations } = check(history);
    expect(verdict).toBe('linearizable');
    expect(configurations).toBeLessThan(20_000);
  });

  test('so do transactions that tie all keys together', () => {
    const history = atomicHistory(new Random(2), { ...LONG, unknown: 0.001, transactions: 0.1 });
    expect(parts(history)).toHaveLength(1);
    const { verdict, configurations } = check(history);
    expect(verdict).toBe('linearizable');
    expect(configurations).toBeLessThan(200_000);
  });

  test('a register with a burst of unknown outcomes, as when a port forwarder swallows requests, is decided', () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const shape = { operations: 150, clients: 8, keys: 1, unknown: 0.4, transactions: 0 };
      const { verdict, configurations } = check(atomicHistory(new Random(seed), shape));
      expect(verdict).toBe('linearizable');
      expect(configurations).toBeLessThan(50_000);
    }
  });

  test('one lost write in 10,000 operations is found', () => {
    const history = atomicHistory(new Random(3), { ...LONG, unknown: 0 });
    const lost = history.find(({ calls }, at) => at > 5000 && calls[0]![0] === 'INCRBY')!;
    expect(check(history.filter((operation) => operation !== lost)).verdict).toBe('violated');
  });
});

test('a search that takes too long is undecided, and says where it was', () => {
  const history = Array.from(
    { length: 12 },
    (_, at): Operation => ({
      client: `c${at}`,
      invoked: 0,
      calls: [['APPEND', 'l', `${at};`]],
      outcome: { returned: 10, replies: [at === 11 ? 1 : 2] },
    }),
  );
  const verdict = check(history, 5);
  expect(verdict).toMatchObject({ verdict: 'undecided', configurations: 5 });
});
