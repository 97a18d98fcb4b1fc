import { describe, expect, test } from 'vitest';
import { decide, RULES, type TailFacts } from './recovery.ts';

const KEYS = [
  'damaged',
  'sealed',
  'inconsistent',
  'laterBatchProves',
  'identifierProves',
  'ringReadable',
] as const;

function everyCombination(): TailFacts[] {
  return Array.from({ length: 2 ** KEYS.length }, (_, bits) => {
    const facts = KEYS.map((key, at) => [key, (bits & (1 << at)) !== 0] as const);
    return Object.fromEntries(facts) as unknown as TailFacts;
  });
}

describe('the decision on an unsound end of the log', () => {
  test('cuts only a damaged end of the newest segment for whose durability there is no evidence at all', () => {
    for (const facts of everyCombination()) {
      const torn =
        facts.damaged &&
        !facts.sealed &&
        !facts.inconsistent &&
        !facts.laterBatchProves &&
        !facts.identifierProves &&
        facts.ringReadable;
      expect(decide(facts).verdict === 'truncate', JSON.stringify(facts)).toBe(torn);
    }
  });

  test('accepts an undamaged log, whatever else is known, unless a sound record is impossible', () => {
    for (const facts of everyCombination()) {
      const accepted = !facts.damaged && !facts.inconsistent;
      expect(decide(facts).verdict === 'ok', JSON.stringify(facts)).toBe(accepted);
    }
  });

  test('every rule decides something and says why it refuses', () => {
    const used = new Set(everyCombination().map((facts) => decide(facts).label));
    expect([...used].sort()).toEqual(RULES.map(({ label }) => label).sort());
    for (const { verdict, because } of RULES) if (verdict === 'refuse') expect(because).not.toBe('');
  });
});
