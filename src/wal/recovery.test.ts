import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decide, type Rule, STATE_RULES, type StateFacts, TAIL_RULES, type TailFacts } from './recovery.ts';

const TAIL_KEYS: Record<keyof TailFacts, true> = {
  headSound: true,
  follows: true,
  damaged: true,
  sealed: true,
  successorMissing: true,
  inconsistent: true,
  laterBatchProves: true,
  identifierProves: true,
  ringReadable: true,
  restorable: true,
};
const STATE_KEYS: Record<keyof StateFacts, true> = {
  termBehind: true,
  snapshotDamaged: true,
  covered: true,
  agrees: true,
  contradicts: true,
};

/** Every combination of true and false. */
function everyCombination<Facts>(names: Record<keyof Facts, true>): Facts[] {
  const keys = Object.keys(names);
  return Array.from({ length: 2 ** keys.length }, (_, bits) => {
    const facts = keys.map((key, at) => [key, (bits & (1 << at)) !== 0] as const);
    return Object.fromEntries(facts) as Facts;
  });
}

const tail = (facts: TailFacts) => decide(TAIL_RULES, facts);
const state = (facts: StateFacts) => decide(STATE_RULES, facts);

describe('the end of the log', () => {
  const all = everyCombination<TailFacts>(TAIL_KEYS);
  /** No crash leaves this, whatever happened to the last batch. */
  const impossible = (facts: TailFacts): boolean =>
    !facts.headSound || !facts.follows || facts.inconsistent || facts.successorMissing;
  /** The damage lies before something sound. */
  const inTheMiddle = (facts: TailFacts): boolean => facts.sealed || facts.laterBatchProves;

  test('is cut only where it is damaged, in the newest segment, without any evidence that it was durable', () => {
    for (const facts of all) {
      const torn =
        !impossible(facts) &&
        facts.damaged &&
        !inTheMiddle(facts) &&
        !facts.identifierProves &&
        facts.ringReadable;
      expect(tail(facts).verdict === 'truncate', JSON.stringify(facts)).toBe(torn);
    }
  });

  test('is given up for a recovery only where it was durable, is the very end, and another voter is known', () => {
    for (const facts of all) {
      const lost =
        !impossible(facts) &&
        facts.damaged &&
        !inTheMiddle(facts) &&
        facts.identifierProves &&
        facts.restorable;
      expect(tail(facts).verdict === 'recover', JSON.stringify(facts)).toBe(lost);
    }
  });

  test('is believed only where nothing is damaged and nothing is impossible', () => {
    for (const facts of all) {
      expect(tail(facts).verdict === 'ok', JSON.stringify(facts)).toBe(!impossible(facts) && !facts.damaged);
    }
  });

  test('everything else is refused', () => {
    const refused = all.filter((facts) => tail(facts).verdict === 'refuse');
    for (const facts of refused) {
      const reason = impossible(facts) || inTheMiddle(facts) || facts.identifierProves || !facts.ringReadable;
      expect(reason, JSON.stringify(facts)).toBe(true);
    }
    expect(refused.length).toBeGreaterThan(0);
  });
});

describe('term, log and snapshots', () => {
  const all = everyCombination<StateFacts>(STATE_KEYS);

  test('a start needs a term that is not behind, a snapshot up to the log, and no contradiction', () => {
    for (const facts of all) {
      const possible = !facts.termBehind && facts.covered && (facts.agrees || !facts.contradicts);
      expect(state(facts).verdict !== 'refuse', JSON.stringify(facts)).toBe(possible);
      expect(state(facts).verdict === 'install', JSON.stringify(facts)).toBe(possible && !facts.agrees);
    }
  });

  test('a damaged snapshot changes nothing about what is allowed, only about what is said', () => {
    for (const facts of all) {
      const undamaged = state({ ...facts, snapshotDamaged: false });
      expect(state(facts).verdict, JSON.stringify(facts)).toBe(undamaged.verdict);
    }
  });
});

test('docs/recovery.md has every rule, in the order in which they decide', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/recovery.md'), 'utf8');
  for (const rules of [TAIL_RULES, STATE_RULES]) {
    const rows = rules.map(({ label }) => docs.indexOf(`\n| \`${label}\` | `));
    expect(rows.every((row) => row >= 0)).toBe(true);
    expect(rows).toEqual(rows.toSorted((a, b) => a - b));
  }
});

test.each<[string, readonly Pick<Rule<never, never>, 'label' | 'because'>[], string[]]>([
  ['tail', TAIL_RULES, everyCombination<TailFacts>(TAIL_KEYS).map((facts) => tail(facts).label)],
  ['state', STATE_RULES, everyCombination<StateFacts>(STATE_KEYS).map((facts) => state(facts).label)],
])(
  'every rule of the %s table decides something, has a name of its own, and says why',
  (_name, rules, used) => {
    expect([...new Set(used)].sort()).toEqual(rules.map(({ label }) => label).sort());
    for (const { because } of rules) expect(because).not.toBe('');
  },
);
