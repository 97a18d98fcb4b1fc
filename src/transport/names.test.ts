import type { LookupFunction } from 'node:net';
import { expect, test } from 'vitest';
import { Names } from './names.ts';

/** Lookups that answer when told to. */
function slowNames(): { names: Names; asked: string[]; answer: (at: number, address: string) => void } {
  const asked: string[] = [];
  const answers: ((address: string) => void)[] = [];
  const lookup: LookupFunction = (name, _options, callback) => {
    asked.push(name);
    answers.push((address) => callback(null, address, 4));
  };
  return { names: new Names(lookup), asked, answer: (at, address) => answers[at]!(address) };
}

test('a name has one lookup under way, whose answer goes to everybody who asked meanwhile', () => {
  const { names, asked, answer } = slowNames();
  const got: unknown[] = [];
  for (let at = 0; at < 3; at += 1) names.lookup('n1', {}, (_error, address) => got.push(address));
  names.lookup('n2', {}, (_error, address) => got.push(address));
  expect(asked).toEqual(['n1', 'n2']);
  answer(0, '10.0.0.1');
  expect(got).toEqual(['10.0.0.1', '10.0.0.1', '10.0.0.1']);
  answer(1, '10.0.0.2');
  names.lookup('n1', {}, () => undefined);
  expect(asked).toEqual(['n1', 'n2', 'n1']);
});

test('a forgotten lookup still answers those who waited, and nobody who asks later', () => {
  const { names, asked, answer } = slowNames();
  const got: unknown[] = [];
  names.lookup('n1', {}, (_error, address) => got.push(address));
  names.forget('n1');
  names.lookup('n1', {}, (_error, address) => got.push(address));
  expect(asked).toEqual(['n1', 'n1']);
  answer(0, 'old');
  expect(got).toEqual(['old']);
  // The old answer has not ended the new lookup.
  names.lookup('n1', {}, (_error, address) => got.push(address));
  expect(asked).toHaveLength(2);
  answer(1, 'new');
  expect(got).toEqual(['old', 'new', 'new']);
});
