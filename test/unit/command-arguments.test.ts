/** The arguments that COMMAND DOCS tells, which are made from the usages of the command table, beside those that Redis tells. */
import { expect, test } from 'vitest';
import { FakeEngine } from '../../src/server/testing/engine.ts';
import { portOf } from '../../src/server/testing/port.ts';
import {
  type ArgumentsByCommand,
  argumentsFrom,
  type DocumentedArgument,
  readArguments,
} from '../differential/command-docs.ts';

/** Where ours is meant to be other, or a usage can't say it. */
const DIFFERENT: Readonly<Record<string, string>> = {
  bitop: 'Redis names no operations',
  'client|kill': 'Redis says of each filter by itself that it may be missing',
  'command|getkeys': 'Redis says nothing',
  'command|getkeysandflags': 'Redis says nothing',
  'config|get': 'a pattern, not only a parameter',
  geohash: 'no member is needed, as the arity says',
  geopos: 'no member is needed, as the arity says',
  geosearch: 'BYRADIUS belongs to the block, not to its first argument',
  geosearchstore: 'BYRADIUS belongs to the block, not to its first argument',
  pfmerge: 'no source is needed, as the arity says',
  xtrim: 'Redis has a block around the strategy, which is not optional as in XADD',
};

async function ours(): Promise<ArgumentsByCommand> {
  const port = portOf(new FakeEngine());
  try {
    const address = await port.listen();
    return await argumentsFrom(`redis://127.0.0.1:${address.port}`);
  } finally {
    await port.close();
  }
}

/**
 * Without what a usage does not say: the version of an argument, and the name of alternatives and of words. A block of one
 * argument is that argument.
 */
function shapeOf(all: readonly DocumentedArgument[]): unknown[] {
  return all.map((one): unknown => {
    const { type, key_spec_index, token, flags = [], arguments: inner = [] } = one;
    const [first] = inner;
    if (type === 'block' && first !== undefined && inner.length === 1 && first.token === undefined)
      return shapeOf([
        { ...first, ...(token === undefined ? {} : { token }), flags: [...flags, ...(first.flags ?? [])] },
      ])[0];
    const name = ['oneof', 'block', 'pure-token'].includes(type) ? '' : one.name.replaceAll('_', '-');
    return { name, type, key_spec_index, token, flags, arguments: shapeOf(inner) };
  });
}

test('they are those of Redis, but for what is meant to be other', async () => {
  const found = await ours();
  const common = [...readArguments()].filter(([name]) => found.has(name));
  expect(common.length).toBeGreaterThan(300);
  const same = (name: string, theirs: readonly DocumentedArgument[]) =>
    JSON.stringify(shapeOf(found.get(name) ?? [])) === JSON.stringify(shapeOf(theirs));
  for (const [name, theirs] of common)
    if (DIFFERENT[name] === undefined)
      expect({ name, arguments: shapeOf(found.get(name) ?? []) }).toEqual({
        name,
        arguments: shapeOf(theirs),
      });
  const needless = common.filter(([name, theirs]) => DIFFERENT[name] !== undefined && same(name, theirs));
  expect(needless.map(([name]) => name)).toEqual([]);
});

test('commands that Redis 7.0 does not have', async () => {
  const found = await ours();
  const key = { name: 'key', type: 'key', key_spec_index: 0 };
  expect(found.get('bf.insert')?.slice(-1)).toEqual([
    { name: 'item', type: 'string', token: 'ITEMS', flags: ['multiple'] },
  ]);
  expect(found.get('hexpire')).toEqual([
    key,
    { name: 'seconds', type: 'integer' },
    {
      name: 'nx_xx_gt_lt',
      type: 'oneof',
      flags: ['optional'],
      arguments: ['NX', 'XX', 'GT', 'LT'].map((token) => ({
        name: token.toLowerCase(),
        type: 'pure-token',
        token,
      })),
    },
    {
      name: 'fields',
      type: 'block',
      token: 'FIELDS',
      arguments: [
        { name: 'numfields', type: 'integer' },
        { name: 'field', type: 'string', flags: ['multiple'] },
      ],
    },
  ]);
});

test('every key is told once, and what is no key is not', async () => {
  const keysIn = (all: readonly DocumentedArgument[] = []): unknown[] =>
    all.flatMap((one) => [...(one.type === 'key' ? [one.key_spec_index] : []), ...keysIn(one.arguments)]);
  const found = await ours();
  expect(keysIn(found.get('georadius'))).toEqual([0, 1, 2]);
  expect(keysIn(found.get('xreadgroup'))).toEqual([0]);
  expect(keysIn(found.get('mset'))).toEqual([0]);
  expect(keysIn(found.get('ssubscribe'))).toEqual([]);
});
