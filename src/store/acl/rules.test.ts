/** What users are made of, without a server: rules one by one, what is kept of them, and what they come to. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dataCommands, dataSubcommands } from '../table.ts';
import type { CommandSpec } from '../command.ts';
import { Allowed } from './allowed.ts';
import { Catalogue, CATEGORIES } from './catalogue.ts';
import { Rights } from './rights.ts';
import { mergeSelectors, rulesInside, UserRules } from './rules.ts';

/** With a container, which only the server has. */
const container: CommandSpec = {
  name: 'xgroup',
  arity: -2,
  flags: [],
  keys: { first: 0, last: 0, step: 0 },
  categories: ['slow'],
  summary: '',
  since: '5.0.0',
  group: 'stream',
  complexity: '',
  subcommands: [...dataSubcommands.values()].filter(({ name }) => name.startsWith('xgroup|')),
};
const catalogue = new Catalogue([...dataCommands.values(), container]);
const HASH = 'a'.repeat(64);

function userOf(...rules: string[]): UserRules {
  const user = new UserRules();
  for (const rule of rules) expect(user.add(rule), rule).toBeNull();
  return user;
}

function mayRun(user: UserRules, ...args: string[]): string {
  const name = args[0]!.toLowerCase();
  const command = catalogue.named(`${name}|${args[1]!.toLowerCase()}`) ?? catalogue.named(name);
  const denial = new Rights(catalogue, user).check(command!.spec, args);
  return denial === null
    ? 'yes'
    : denial.reason === 'command'
      ? 'command'
      : `${denial.reason} ${args[denial.position]}`;
}

describe('what a user may do', () => {
  test('nothing at first, everything with three rules', () => {
    expect(mayRun(userOf(), 'GET', 'a')).toBe('command');
    const all = userOf('+@all', '~*', '&*');
    expect(new Rights(catalogue, all).unlimited).toBe(true);
    for (const rule of ['-get', 'resetkeys', 'resetchannels'])
      expect(new Rights(catalogue, userOf('+@all', '~*', '&*', rule)).unlimited, rule).toBe(false);
  });

  test('later rules overrule earlier ones, a command all of its subcommands', () => {
    const user = userOf('+@all', '~*', '-@write', '+set', '-xgroup', '+xgroup|create');
    expect(mayRun(user, 'SET', 'a', '1')).toBe('yes');
    expect(mayRun(user, 'APPEND', 'a', '1')).toBe('command');
    expect(mayRun(user, 'XGROUP', 'CREATE', 's', 'g', '$')).toBe('yes');
    expect(mayRun(user, 'XGROUP', 'DESTROY', 's', 'g')).toBe('command');
    user.add('+xgroup');
    expect(mayRun(user, 'XGROUP', 'DESTROY', 's', 'g')).toBe('yes');
  });

  test('keys for what is done with them', () => {
    const user = userOf('+@all', '%R~in*', '%W~out*', '~both');
    expect(mayRun(user, 'GET', 'in')).toBe('yes');
    expect(mayRun(user, 'GET', 'out')).toBe('key out');
    expect(mayRun(user, 'SET', 'out', '1')).toBe('yes');
    // With GET it tells what was there.
    expect(mayRun(user, 'SET', 'out', '1', 'GET')).toBe('key out');
    expect(mayRun(user, 'SET', 'both', '1', 'GET')).toBe('yes');
    expect(mayRun(user, 'COPY', 'in', 'out')).toBe('yes');
    expect(mayRun(user, 'COPY', 'out', 'in')).toBe('key out');
    expect(mayRun(user, 'SINTERSTORE', 'out', 'in', 'in2')).toBe('yes');
    expect(mayRun(user, 'SINTERSTORE', 'out', 'in', 'out2')).toBe('key out2');
    expect(mayRun(user, 'GETEX', 'in')).toBe('key in');
    // Whether a key is there is no secret from those who may do anything with it.
    expect(mayRun(user, 'EXISTS', 'in', 'out')).toBe('yes');
    expect(mayRun(user, 'EXISTS', 'in', 'none')).toBe('key none');
  });

  test('no key is overlooked for being named like an option', () => {
    const user = userOf('+@all', '~k', '~STORE', '~streams', '~c');
    const search = ['GEORADIUS', 'k', '1', '2', '3', 'm'];
    expect(mayRun(user, ...search, 'STOREDIST', 'STORE', 'STORE', 'secret')).toBe('key secret');
    expect(mayRun(user, ...search, 'STORE', 'k', 'STORE', 'secret')).toBe('key secret');
    expect(mayRun(user, 'XREADGROUP', 'COUNT', '1', 'GROUP', 'streams', 'c', 'STREAMS', 'secret', '>')).toBe(
      'key secret',
    );
    expect(mayRun(user, 'SORT', 'k', 'GET', 'STORE', 'STORE', 'secret')).toBe('key secret');
  });

  test('channels by what they are called, patterns word for word', () => {
    const user = userOf('+@all', '&news.*', '&s');
    expect(mayRun(user, 'PUBLISH', 'news.1', 'x')).toBe('yes');
    expect(mayRun(user, 'PUBLISH', 'news', 'x')).toBe('channel news');
    expect(mayRun(user, 'SPUBLISH', 's', 'x')).toBe('yes');
    const rights = new Rights(catalogue, user);
    expect(rights.mayListen('news.*', true)).toBe(true);
    expect(rights.mayListen('news.1*', true)).toBe(false);
    expect(rights.mayListen('news.1', false)).toBe(true);
  });

  test('one selector has to allow all of it; the reason told is the one that got furthest', () => {
    const user = userOf('+get', '~a*', '(+get +set ~b*)', '(+publish &c)');
    expect(mayRun(user, 'GET', 'a1')).toBe('yes');
    expect(mayRun(user, 'SET', 'b1', '1')).toBe('yes');
    expect(mayRun(user, 'SET', 'a1', '1')).toBe('key a1');
    expect(mayRun(user, 'GET', 'z')).toBe('key z');
    expect(mayRun(user, 'DEL', 'a1')).toBe('command');
    expect(mayRun(user, 'PUBLISH', 'd', 'x')).toBe('channel d');
    user.add('clearselectors');
    expect(mayRun(user, 'GET', 'b1')).toBe('key b1');
  });

  test('a first argument of a command that is closed', () => {
    const user = userOf('+get|a', '+GET|B', '~*');
    expect(mayRun(user, 'GET', 'a')).toBe('yes');
    expect(mayRun(user, 'GET', 'A')).toBe('yes');
    expect(mayRun(user, 'GET', 'b')).toBe('yes');
    expect(mayRun(user, 'GET', 'c')).toBe('command');
    user.add('-get');
    expect(mayRun(user, 'GET', 'a')).toBe('command');
  });

  test('SORT must not tell of keys that it does not name', () => {
    const option = (user: UserRules, ...args: string[]): string | null =>
      new Rights(catalogue, user).deniedOptionOfSort(catalogue.named('sort')!.spec, ['SORT', ...args]);
    const user = userOf('+@all', '~l', '%W~*');
    expect(option(user, 'l', 'BY', 'w_*')).toBe('BY');
    expect(option(user, 'l', 'BY', 'nosort', 'LIMIT', '0', '1', 'GET', '#')).toBe('GET');
    expect(option(user, 'l', 'NONSENSE', 'BY', 'w_*')).toBeNull();
    expect(option(user, 'l', 'ALPHA', 'DESC')).toBeNull();
    expect(option(userOf('+@all', '~l', '%R~*'), 'l', 'BY', 'w_*')).toBeNull();
    // The selector that opens all keys has to open SORT as well.
    expect(option(userOf('+sort', '~l', '(%R~* +get)'), 'l', 'BY', 'w_*')).toBe('BY');
  });
});

describe('rules', () => {
  test.each([
    ['nonsense', 'syntax'],
    ['%~a', 'syntax'],
    ['%', 'syntax'],
    ['%RR~a', 'syntax'],
    ['~a b', 'syntax'],
    ['&a\tb', 'syntax'],
    ['#12', 'hash'],
    [`#${HASH.toUpperCase()}`, 'hash'],
    [`!${HASH}`, 'noSuchPassword'],
    ['(on)', 'syntax'],
    ['(allkeys ~b)', 'allKeys'],
  ])('%s is refused, and changes nothing', (rule, problem) => {
    const user = userOf('on', '~k', '+get');
    const before = user.encode();
    expect(user.add(rule)).toBe(problem);
    expect(user.encode()).toBe(before);
  });

  test('a pattern behind all of them has no meaning', () => {
    expect(userOf('allkeys').add('%R~a')).toBe('allKeys');
    expect(userOf('allchannels').add('&a')).toBe('allChannels');
    expect(userOf('%RW~*').add('~a')).toBeNull();
    expect(UserRules.decode(userOf('%RW~*').encode()).add('~a')).toBeNull();
  });

  test('which commands there are', () => {
    const problems = (...rules: string[]) => rules.map((rule) => catalogue.problemOf(rule));
    expect(problems('+get', '-GET', '+@Read', '-@all', '+get|x', '+xgroup|create', '-xgroup|create')).toEqual(
      Array(7).fill(null),
    );
    expect(problems('+nope', '-get|x', '+@nope', '+nope|x', '+xgroup|nope', '+nope|', '+')).toEqual(
      Array(7).fill('unknown'),
    );
    expect(problems('+get|', '+xgroup|')).toEqual(['syntax', 'syntax']);
    expect(problems('+xgroup|create|x')).toEqual(['firstArgument']);
  });

  test('passwords are a set, and none once any will do', () => {
    const other = 'b'.repeat(64);
    const user = userOf(`#${HASH}`, `#${other}`, `#${HASH}`);
    expect([...user.passwords]).toEqual([HASH, other]);
    user.add(`!${HASH}`);
    expect([...user.passwords]).toEqual([other]);
    user.add('nopass');
    expect([user.nopass, user.passwords.size]).toEqual([true, 0]);
    user.add(`#${HASH}`);
    expect([user.nopass, user.passwords.size]).toEqual([false, 1]);
  });

  test('selectors in several arguments, and quotes inside', () => {
    expect(mergeSelectors(['on', '(+get', '~a', '~b)', '(+set)'])).toEqual(['on', '(+get ~a ~b)', '(+set)']);
    expect(mergeSelectors(['(', '+get'])).toBe("ERR Unmatched parenthesis in acl selector starting at '('.");
    expect(rulesInside(`(~"a\\x62" '+get'  &c)`)).toEqual(['~ab', '+get', '&c']);
    expect(rulesInside('(~a "b)')).toEqual([]);
  });

  test('rules about commands are shown as Redis shows them: what comes closest', () => {
    const shown = (...rules: string[]): string => new Allowed(catalogue, rules).describe();
    expect(shown()).toBe('-@all');
    expect(shown('+@all', '-get')).toBe('+@all -get');
    expect(shown('+get', '-get', '+set')).toBe('-@all +set');
    expect(shown('+@read', '-@string', '+@all', '-@geo')).toBe('+@all -@geo');
    expect(shown('+xgroup', '-xgroup|create')).toBe('-@all +xgroup -xgroup|create');
    expect(shown('+@read', '+append|a', '+append|b')).toBe('-@all +@read +append|a +append|b');
  });
});

/** Rules about commands of all kinds, which often meet. */
const commandRule = fc.oneof(
  fc.constantFrom('+@all', '-@all', 'allcommands', 'nocommands'),
  fc
    .tuple(fc.constantFrom('+', '-'), fc.constantFrom(...CATEGORIES))
    .map(([sign, name]) => `${sign}@${name}`),
  fc
    .tuple(
      fc.constantFrom('+', '-'),
      fc.constantFrom('get', 'set', 'GET', 'append', 'xgroup', 'xgroup|create', 'XGROUP|Destroy'),
    )
    .map((parts) => parts.join('')),
  fc.constantFrom('+get|a', '+get|b', '+get|A', '+append|x'),
);
const anyRule = fc.oneof(
  commandRule,
  fc.constantFrom(
    'on',
    'off',
    'nopass',
    'resetpass',
    `#${HASH}`,
    'sanitize-payload',
    'skip-sanitize-payload',
    'reset',
    'allkeys',
    'resetkeys',
    '~a',
    '%R~a',
    '%W~a',
    '%RW~*',
    '~',
    'allchannels',
    'resetchannels',
    '&c',
    '&',
    '(+get ~a)',
    '(~a %R~b &c +@all -@write +get|x)',
    '()',
    'clearselectors',
  ),
);

/** What can be asked of a user's commands. */
function meaning(allowed: Allowed): unknown {
  const first = new Map<number, Set<string>>();
  // A first argument that is open anyway says nothing.
  for (const [id, names] of allowed.firstArguments)
    if (allowed.bits[id] === 0) first.set(id, new Set(names.map((name) => name.toLowerCase())));
  return { bits: [...allowed.bits], all: allowed.all, first };
}

describe('what is kept', () => {
  test('means the same as all that was given', () => {
    fc.assert(
      fc.property(fc.array(commandRule, { maxLength: 12 }), (rules) => {
        const user = userOf(...rules);
        const plain = rules.map((rule) =>
          rule.replace('allcommands', '+@all').replace('nocommands', '-@all'),
        );
        const kept = new Allowed(catalogue, user.selectors[0].commands.values());
        expect(meaning(kept)).toEqual(meaning(new Allowed(catalogue, plain)));
      }),
    );
  });

  test('is shown in rules that make the same', () => {
    fc.assert(
      fc.property(fc.array(commandRule, { maxLength: 12 }), (rules) => {
        const allowed = new Allowed(catalogue, userOf(...rules).selectors[0].commands.values());
        expect(meaning(new Allowed(catalogue, allowed.describe().split(' ')))).toEqual(meaning(allowed));
      }),
    );
  });

  test('is the user again, and goes on like it', () => {
    fc.assert(
      fc.property(
        fc.array(anyRule, { maxLength: 12 }),
        fc.array(anyRule, { maxLength: 4 }),
        (rules, more) => {
          const user = new UserRules();
          for (const rule of rules) user.add(rule);
          const again = UserRules.decode(user.encode());
          expect(again.encode()).toBe(user.encode());
          for (const rule of more) expect(again.add(rule)).toBe(user.add(rule));
          expect(again.encode()).toBe(user.encode());
        },
      ),
    );
  });

  test('does not grow with what is said again and again', () => {
    const user = userOf('+@all');
    for (let round = 0; round < 100; round++)
      for (const rule of ['-get', '+get', '-@read', '+@read', '+set|a', '~a', '&c', `#${HASH}`])
        user.add(rule);
    expect(user.encode().length).toBeLessThan(250);
  });
});
