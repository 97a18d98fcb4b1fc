/**
 * Users: one connection makes and changes them, the other one is one of them. Rules about commands are shown as what comes to
 * the same, and the commands are not all the same here, so they are compared by what they open among those that both have.
 */
import { Allowed } from '../../../src/store/acl/allowed.ts';
import { CATEGORIES } from '../../../src/store/acl/catalogue.ts';
import { catalogue } from '../../../src/server/table.ts';
import type { Value } from '../compare.ts';
import { type Group, SECOND, type Source } from '../group.ts';

const USERS = ['ann', 'bob', 'default', 'a\xffb'];
const PASSWORDS = ['pw', 'x', '', '\x00\xff'];
const CHANNELS = ['news', 'news.1', 'n*', 'quiet', 'quiet.*'];
/** Nobody listens to them: a message would come in between replies. */
const SILENT = ['quiet', 'quiet.1', 'quiet.2'];
const PATTERNS = ['a', 'a*', '[bc]', 'd?', '*', ''];
const COMMANDS = [
  'get',
  'set',
  'GET',
  'mset',
  'del',
  'exists',
  'copy',
  'sort',
  'config',
  'config|get',
  'Config|Set',
  'client|id',
  'client',
  'publish',
  'subscribe',
  'psubscribe',
  'multi',
  'exec',
  'eval',
  'ping',
  'acl',
  'acl|whoami',
  'nope',
  'get|x',
  'config|nope',
  'config|get|x',
  'select|0',
  'select|',
  'object|encoding',
  '',
];
const NAMES = [
  'all',
  'read',
  'write',
  'string',
  'keyspace',
  'fast',
  'slow',
  'dangerous',
  'pubsub',
  'connection',
  'ADMIN',
];
const HASHES = ['30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4', 'A'.repeat(64), '12'];
const WORDS = [
  'on',
  'on',
  'ON',
  'off',
  'nopass',
  'resetpass',
  'reset',
  'allkeys',
  'resetkeys',
  'allchannels',
  'resetchannels',
  'allcommands',
  'nocommands',
  'clearselectors',
  'sanitize-payload',
  'skip-sanitize-payload',
  'nonsense',
  '',
];

/** Of what a selector may hold. */
function selectorRule(source: Source): string {
  switch (source.below(9)) {
    case 0:
      return `~${source.pick(PATTERNS)}`;
    case 1:
      return `${source.pick(['%R~', '%W~', '%rw~', '%R', '%', '%X~', '%~'])}${source.pick(PATTERNS)}`;
    case 2:
      return `&${source.pick([...CHANNELS, 'n?ws', '*'])}`;
    case 3:
    case 4:
    case 5:
      return `${source.pick(['+', '+', '-'])}${source.pick(COMMANDS)}`;
    default:
      return `${source.pick(['+', '-'])}@${source.chance(0.02) ? 'nope' : source.pick(NAMES)}`;
  }
}

function rule(source: Source): string | string[] {
  switch (source.below(12)) {
    case 0:
    case 1:
      return source.pick(WORDS);
    case 2:
      return `${source.pick(['>', '>', '<'])}${source.pick(PASSWORDS)}`;
    case 3:
      return `${source.pick(['#', '!'])}${source.pick(HASHES)}`;
    case 4: {
      const rules = source.some(() => selectorRule(source), 4);
      const inside = `(${rules.join(' ')})`;
      if (source.chance(0.1))
        return source.pick(['(', ')', '()', '(+get', `(~a ${source.pick(['"b', "'c d'", '~"a"'])})`, '(on)']);
      return source.chance(0.3) ? inside.split(' ') : inside;
    }
    default:
      return selectorRule(source);
  }
}

function setUser(source: Source): string[] {
  // Its connection must be able to go on.
  const name = source.pick(USERS);
  if (name === 'default' && source.chance(0.8))
    return [
      'ACL',
      'SETUSER',
      name,
      source.pick(['on', 'off', 'nopass', '>pw', '<pw', 'resetpass', 'nonsense', '+get', '~a']),
    ];
  if (name === 'default') return ['ACL', 'GETUSER', name];
  return ['ACL', 'SETUSER', name, ...source.some(() => rule(source), 5)];
}

/** Users that can do something. */
function usefulUser(source: Source): string[] {
  const commands = source.pick([
    ['+@all'],
    ['+@all', `-@${source.pick(NAMES.slice(1))}`],
    ['+@read', '+@write', '+@connection'],
  ]);
  const keys = source.some(() => `${source.pick(['~', '%R~', '%W~'])}${source.pick(PATTERNS.slice(0, 4))}`);
  const channels = source.some(() => `&${source.pick(CHANNELS)}`);
  return [
    'ACL',
    'SETUSER',
    source.pick(['ann', 'bob']),
    'reset',
    'on',
    'nopass',
    ...keys,
    ...channels,
    ...commands,
  ];
}

function request(source: Source): string[] {
  const { key, value } = { key: () => source.key(), value: () => source.member() };
  return source.pick<() => string[]>([
    () => ['GET', key()],
    () => ['GET', key()],
    () => ['SET', key(), value(), ...source.pick([[], ['GET'], ['NX']])],
    () => ['MSET', key(), value(), key(), value()],
    () => ['DEL', key()],
    () => ['EXISTS', key(), key()],
    () => ['COPY', key(), key(), 'REPLACE'],
    () => ['SINTERSTORE', key(), key(), key()],
    () => ['SMOVE', key(), key(), value()],
    () => [
      'SORT',
      key(),
      ...source.options([
        () => ['BY', 'w_*'],
        () => ['GET', '#'],
        () => ['BY', 'nosort'],
        () => ['LIMIT', '0', '1'],
        () => ['NOPE'],
      ]),
    ],
    () => ['SORT', key(), 'STORE', key()],
    () => ['BITFIELD', key(), source.pick(['GET', 'SET']), 'u8', '0', ...source.pick([[], ['1']])],
    () => ['LMPOP', String(source.below(3)), key(), key(), 'LEFT'],
    () => ['XREAD', 'STREAMS', key(), key(), '0', '0'],
    () => ['OBJECT', 'ENCODING', key()],
    () => ['PUBLISH', source.pick(SILENT), value()],
    () => ['CONFIG', source.pick(['GET', 'NOPE']), 'maxmemory-samples'],
    () => ['CLIENT', 'GETNAME'],
    () => ['WATCH', key()],
    () => ['KEYS', 'nothing'],
    () => ['DBSIZE', 'x'],
    () => ['PING'],
  ])();
}

/** A script that makes a request, declared keys or not. */
function script(source: Source): string[] {
  const args = request(source);
  const call = source.pick(['redis.call', 'redis.pcall', 'redis.acl_check_cmd']);
  // Nodes know more of what they answer by themselves than a script does.
  if (['CONFIG', 'CLIENT', 'WATCH', 'OBJECT'].includes(args[0] ?? ''))
    return ['EVAL', 'return 1', '1', source.key()];
  const keys = source.chance(0.3) ? [source.key()] : [];
  return [
    source.pick(['EVAL', 'EVAL', 'EVAL_RO']),
    `return ${call}(unpack(ARGV))`,
    String(keys.length),
    ...keys,
    ...args,
  ];
}

function bySecond(make: (source: Source) => string[]): (source: Source) => string[] {
  return (source) => [SECOND, ...make(source)];
}

/** A transaction, while rights may change. */
function transaction(source: Source): string[][] {
  const call = (): string[] => {
    const args = source.chance(0.2) ? script(source) : request(source);
    return ['CONFIG', 'CLIENT', 'WATCH'].includes(args[0] ?? '') ? ['GET', source.key()] : args;
  };
  const calls = source
    .some(() => 'x', 4)
    .flatMap(() => [[SECOND, ...call()], ...(source.chance(0.3) ? [usefulUser(source)] : [])]);
  return [[SECOND, 'AUTH', source.pick(['ann', 'bob']), 'x'], [SECOND, 'MULTI'], ...calls, [SECOND, 'EXEC']];
}

const listening = (source: Source): string[] =>
  source.pick([
    ['SUBSCRIBE', source.pick(CHANNELS.slice(0, 2))],
    ['PSUBSCRIBE', source.pick(['n*', 'x*'])],
    ['UNSUBSCRIBE', 'news'],
    ['RESET'],
  ]);

const authentication = (source: Source): string[] =>
  source.pick([
    ['AUTH', source.pick(USERS), source.pick(PASSWORDS)],
    ['AUTH', source.pick(USERS), source.pick(PASSWORDS)],
    ['AUTH', source.pick(['ann', 'bob']), 'pw'],
    ['AUTH', source.pick(PASSWORDS)],
    ['AUTH', 'a', 'b', 'c'],
    ['HELLO', '2', 'AUTH', source.pick(USERS), source.pick(PASSWORDS)],
    ['ACL', 'WHOAMI'],
    ['RESET'],
  ]);

/** What rules open among the commands of Redis 7.0, and which arguments. */
function meaning(rules: string): string {
  const allowed = new Allowed(catalogue, rules.split(' '));
  const open = catalogue.all
    .filter(
      ({ spec: { name, since, absent } }) =>
        absent !== true && since < '7.1' && !/^(delete|kvorum|bf|h?expire)/.test(name),
    )
    .map(
      ({ id, spec }) => `${spec.name}${allowed.bits[id]}${(allowed.firstArguments.get(id) ?? []).join('|')}`,
    );
  return `${allowed.all} ${open.join()}`;
}

/** With rules about commands replaced by their meaning. */
function canonical(value: Value): unknown {
  if ('items' in value) return [value.type, value.items.map(canonical)];
  if (!('text' in value)) return value;
  return value.text.replaceAll(/[+-]@all(?: [+-][^ )]+)*/g, meaning);
}

function sameRules(expected: Value, actual: Value): boolean {
  return JSON.stringify(canonical(expected)) === JSON.stringify(canonical(actual));
}

/** Only those that both have. */
function sameCommands(expected: Value, actual: Value, args: readonly string[]): boolean {
  const names = (value: Value): Set<string> =>
    new Set('items' in value ? value.items.map((item) => ('text' in item ? item.text : '')) : []);
  const [ours, theirs] = [names(actual), names(expected)];
  if (args.length === 2) return [...theirs].every((name) => ours.has(name));
  const inBoth = [...theirs].filter((name) => catalogue.named(name) !== undefined);
  const category = (args[2] ?? '').toLowerCase();
  return (
    inBoth.length > 0 &&
    inBoth.every((name) => catalogue.named(name)?.spec.categories.includes(category) === ours.has(name))
  );
}

/**
 * But for the time and what is told of the client, and for the order: what a script is refused is known when the log has it, while
 * requests behind it may have been refused at once. Of the last few of them only the number is the same.
 */
function sameLog(expected: Value, actual: Value, args: readonly string[]): boolean {
  const entries = (value: Value): string[] => {
    if (!('items' in value)) return [JSON.stringify(value)];
    return value.items
      .map((entry) => JSON.stringify('items' in entry ? [entry.type, entry.items.slice(0, 11)] : entry))
      .sort();
  };
  const [ones, others] = [entries(expected), entries(actual)];
  if (ones.length === others.length && args.length > 2 && 'items' in expected) return 'items' in actual;
  return JSON.stringify(ones) === JSON.stringify(others);
}

export const group: Group = {
  name: 'acl',
  local: true,
  before: [
    ['ACL', 'DELUSER', ...USERS.filter((name) => name !== 'default')],
    ['ACL', 'SETUSER', 'default', 'reset', 'on', 'nopass', 'allkeys', 'allchannels', 'allcommands'],
    ['ACL', 'LOG', 'RESET'],
  ],
  commands: [
    setUser,
    setUser,
    usefulUser,
    usefulUser,
    (source) => [
      'ACL',
      'SETUSER',
      'default',
      ...source.pick([
        ['on', 'nopass'],
        ['resetpass', '>pw'],
      ]),
    ],
    (source) => ['ACL', 'DELUSER', ...source.some(() => source.pick(USERS))],
    (source) => ['ACL', 'GETUSER', source.pick(USERS)],
    () => ['ACL', 'LIST'],
    () => ['ACL', 'USERS'],
    (source) => ['ACL', 'CAT', ...source.pick([[], [source.pick(CATEGORIES.slice(0, -2))], ['nope']])],
    (source) => ['ACL', 'GENPASS', source.pick(['5', '0', '-1', '256', 'x', '4096', '4097'])],
    (source) => ['ACL', 'LOG', ...source.pick([[], ['3'], ['RESET'], ['-1'], ['x'], ['1', '2']])],
    (source) => ['ACL', 'DRYRUN', source.pick(USERS), ...request(source)],
    (source) => ['ACL', 'DRYRUN', source.pick(USERS), source.pick(COMMANDS), source.key()],
    (source) => [
      'ACL',
      source.pick(['NOPE', 'WHOAMI', 'LIST', 'GETUSER', 'SETUSER', 'DELUSER', 'USERS']),
      ...source.pick([[], ['x', 'y', 'z']]),
    ],
    (source) => ['SADD', source.key(), source.member()],
    () => ['CLIENT', 'KILL', 'USER', 'nope'],
    bySecond(authentication),
    bySecond((source) => ['AUTH', source.pick(['ann', 'bob']), 'pw']),
    bySecond((source) => ['AUTH', source.pick(['ann', 'bob']), 'pw']),
    bySecond(request),
    bySecond(request),
    bySecond(request),
    bySecond(request),
    bySecond(request),
    bySecond(script),
    bySecond(script),
    bySecond(listening),
    bySecond((source) => [source.pick(['EXEC', 'DISCARD'])]),
    bySecond((source) => ['ACL', source.pick(['WHOAMI', 'USERS'])]),
  ],
  scenes: [transaction],
  asMade: () => true,
  compare: {
    'acl|list': sameRules,
    'acl|getuser': sameRules,
    'acl|cat': sameCommands,
    'acl|log': sameLog,
    'acl|genpass': (expected, actual) =>
      'text' in expected && 'text' in actual && expected.text.length === actual.text.length,
    hello: 'kind',
  },
};
