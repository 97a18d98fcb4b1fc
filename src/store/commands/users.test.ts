/** ACL SETUSER and DELUSER in the log; what they mean is told in `../acl`. */
import { expect, test } from 'vitest';
import { UserRules } from '../acl/rules.ts';
import { Harness, restored, snapshotOf } from '../testing/harness.ts';
import { initialPassword } from './users.ts';

const HASH = 'c'.repeat(64);

test('users are the same on every node and in snapshots', () => {
  const harness = new Harness();
  expect(harness.run('ACL', 'SETUSER', 'ann', 'on', `#${HASH}`, '~a*', '(+get', '~b)')).toBe('OK');
  expect(harness.run('ACL', 'SETUSER', 'bob')).toBe('OK');
  expect(harness.run('ACL', 'SETUSER', 'ann', '+@read', '-get')).toBe('OK');
  expect(harness.store.meta.get('users', 'ann')).toBe(
    `[["on","#${HASH}","~a*","+@read","-get"],["~b","+get"]]`,
  );
  for (const store of [harness.follower(), restored(snapshotOf(harness.store))]) {
    expect([...store.meta.entries('users')]).toEqual([...harness.store.meta.entries('users')]);
    expect(store.digest()).toBe(harness.store.digest());
  }
  expect(harness.run('ACL', 'DELUSER', 'bob', 'nobody', 'ann')).toBe(2);
  expect(harness.store.meta.entries('users').size).toBe(0);
  expect(harness.follower().digest()).toBe(harness.store.digest());
});

test('a change is made as a whole or not at all', () => {
  const harness = new Harness();
  harness.run('ACL', 'SETUSER', 'ann', 'on');
  const before = harness.store.meta.get('users', 'ann');
  for (const [rule, error] of [
    [`!${HASH}`, 'The password you are trying to remove from the user does not exist'],
    ['nonsense', 'Syntax error'],
  ])
    expect(harness.run('ACL', 'SETUSER', 'ann', 'off', rule!)).toEqual(
      new Error(`ERR Error in ACL SETUSER modifier '${rule}': ${error}`),
    );
  expect(harness.run('ACL', 'SETUSER', 'ann', 'off', '(+get')).toEqual(
    new Error("ERR Unmatched parenthesis in acl selector starting at '(+get'."),
  );
  expect(harness.run('ACL', 'SETUSER', 'a b')).toEqual(
    new Error("ERR Usernames can't contain spaces or null characters"),
  );
  expect(harness.run('ACL', 'DELUSER', 'ann', 'default')).toEqual(
    new Error("ERR The 'default' user cannot be removed"),
  );
  expect(harness.store.meta.get('users', 'ann')).toBe(before);
});

test('the first change of default takes over what a node was started with, later ones do not', () => {
  const other = 'd'.repeat(64);
  const harness = new Harness();
  const kept = (): UserRules => UserRules.decode(harness.store.meta.get('users', 'default')!);
  harness.run('ACL', 'SETUSER', 'default', initialPassword(HASH), `#${other}`);
  expect([...kept().passwords]).toEqual([HASH, other]);
  expect(kept().enabled && kept().selectors[0].keys === null).toBe(true);
  harness.run('ACL', 'SETUSER', 'default', initialPassword(null), `!${HASH}`);
  expect([...kept().passwords]).toEqual([other]);
  expect(kept().nopass).toBe(false);
});

test('without a password default begins open', () => {
  const harness = new Harness();
  harness.run('ACL', 'SETUSER', 'default', initialPassword(null), '-flushall');
  expect(UserRules.decode(harness.store.meta.get('users', 'default')!).nopass).toBe(true);
});

test('a script has the rights that its user has at that place of the log, on followers and after a restart', () => {
  const harness = new Harness();
  harness.run('ACL', 'SETUSER', 'ann', '~a', '+@all');
  const evaluate = (script: string): unknown => harness.run('kvorum.as', 'ann', 'EVAL', script, '0');
  const refused = (result: unknown): boolean =>
    result instanceof Error && result.message.includes('The user executing');
  expect(evaluate("return redis.call('SET', 'a', '1')")).toBe('OK');
  expect(refused(evaluate("return redis.call('SET', 'b', '1')"))).toBe(true);
  harness.run('ACL', 'SETUSER', 'ann', '~b');
  expect(evaluate("return redis.call('SET', 'b', '1')")).toBe('OK');
  harness.run('ACL', 'DELUSER', 'ann');
  expect(refused(evaluate("return redis.call('SET', 'a', '2')"))).toBe(true);
  expect(harness.run('EVAL', "return redis.call('SET', 'a', '3')", '0')).toBe('OK');
  expect(harness.follower().digest()).toBe(harness.store.digest());
});
