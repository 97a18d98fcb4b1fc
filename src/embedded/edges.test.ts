/** What a program may ask in a hurry, or without types: it is answered or refused, and nothing is kept that it did not mean. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { asTerm } from '../raft/types.ts';
import { Wal } from '../wal/wal.ts';
import { type Argument, open, type Store } from './index.ts';

let store: Store;

beforeEach(async () => {
  store = await open();
  onTestFinished(() => store.close());
});

const refused = (message: string, code = 'INVALID_ARGUMENT'): object =>
  expect.objectContaining({ code, message: expect.stringContaining(message) as string });

test('what is neither text nor bytes nor a number is no argument of a command', async () => {
  for (const value of [undefined, null, {}, true, ['x']])
    expect(() => store.execute(['SET', 'a', value as Argument])).toThrow('keys and values are strings');
  const fields = { field: undefined } as unknown as Record<string, string>;
  await expect(store.hash('h').assign(fields)).rejects.toThrow('keys and values are strings');
  expect(store.size).toBe(0);
  store.execute(['RPUSH', 'list', 1, -2n, 0.5, new Uint8Array([0x61])]);
  expect([...store.list('list')]).toEqual(['1', '-2', '0.5', 'a']);
});

test('no time to live is for ever where a key is set, and no time where it has one already', async () => {
  await store.set('a', '1', { ttl: 0 });
  expect(store.ttl('a')).toBe(null);
  await expect(store.expire('a', -1)).rejects.toThrow(
    'ttl: -1; expected milliseconds, from 0 (gone at once) on',
  );
  expect(() => store.set('a', '1', { ttl: -1 })).toThrow('from 0 (for ever) on');
  expect(await store.expire('a', 0)).toBe(true);
  expect(store.has('a')).toBe(false);
});

test('what no string can hold is too large, and not a fault', async () => {
  // Not touched, so it takes no memory.
  const huge = Buffer.alloc(512 * 1024 * 1024);
  expect(() => store.set('a', huge)).toThrow(refused('bytes; no store takes more than', 'VALUE_TOO_LARGE'));
  expect(() => store.get(huge)).toThrow(refused('bytes; no store takes more than', 'VALUE_TOO_LARGE'));
});

test('a slice may go on without end, as that of an array', async () => {
  await store.list('l').push('a', 'b', 'c');
  expect(store.list('l').slice(1, Infinity)).toEqual(['b', 'c']);
  expect(store.list('l').slice(0, -1)).toEqual(['a', 'b']);
  await store.sortedSet('z').add('m', 1);
  expect(store.sortedSet('z').slice(0, Infinity)).toEqual([{ member: 'm', score: 1 }]);
});

test('a hash takes more fields at once than a function takes arguments', async () => {
  const fields = Object.fromEntries(Array.from({ length: 150_000 }, (_, at) => [`f${at}`, 'v']));
  expect(await store.hash('h').assign(fields)).toBe(150_000);
});

test('a counter over something else says so when it is read, as when it is added to', async () => {
  for (const text of ['abc', '1.5', '', ' 1', '9223372036854775808']) {
    await store.set('c', text);
    expect(() => store.counter('c').value).toThrow('ERR value is not an integer or out of range');
    await expect(store.counter('c').add()).rejects.toThrow('ERR value is not an integer or out of range');
  }
  await store.set('c', '9223372036854775807');
  expect(store.counter('c').value).toBe(9223372036854775807n);
});

test('a watch of nothing is refused when it begins', async () => {
  for (const target of [undefined, null, 5, {}, { key: 5 }, { prefix: Buffer.from('a') }, Buffer.from('a')])
    expect(() => store.watch(target as unknown as string)).toThrow('expected a key, { key } or { prefix }');
  await store.set('a', '1');
});

test('a limit counts what is given, so that whoever goes on behind the last one misses nothing', async () => {
  await store.list('a').push('x');
  await store.set('b', '1');
  await store.list('c').push('x');
  await store.set('d', '2');
  expect([...store.entries({ sorted: true, limit: 1 })]).toEqual([['b', '1']]);
  expect([...store.values({ gt: 'b', limit: 1 })]).toEqual(['2']);
  expect([...store.values({ limit: 2 })].sort()).toEqual(['1', '2']);
  expect([...store.entries({ reverse: true, limit: 2, filter: (key) => key !== 'd' })]).toEqual([['b', '1']]);
  expect([...store.keys({ sorted: true, limit: 2 })]).toEqual(['a', 'b']);
});

test('a batch and a transaction of nothing are refused by a closed store, too', async () => {
  const other = await open();
  await other.close();
  await expect(other.batch().write()).rejects.toEqual(refused('closed', 'CLOSED'));
  await expect(other.transaction(() => 1)).rejects.toEqual(refused('closed', 'CLOSED'));
});

test('more may expire at once than is removed in one go', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const cache = await open({ cleanupInterval: 1000 });
  onTestFinished(() => cache.close());
  for (let at = 0; at < 20_000; at++) void cache.set(`k${at}`, 'v', { ttl: 1 });
  const after = Date.now() + 2;
  while (Date.now() < after) await new Promise(setImmediate);
  await vi.advanceTimersByTimeAsync(999);
  expect(cache.size).toBe(20_000);
  // Not a thousand each time.
  await vi.advanceTimersByTimeAsync(100);
  expect(cache.stats()).toMatchObject({ entries: 0, expired: 20_000 });
});

test('a path that is no directory of a store says what it is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kvorum-edges-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await expect(open(file)).rejects.toEqual(refused(`${file} can't be opened: `, 'DISK'));
  const server = join(folder, 'server');
  mkdirSync(server);
  const { wal } = await Wal.open({
    directory: server,
    identity: { clusterId: 'c', nodeId: 'n1', group: 'main' },
    fsync: 'always',
    bootstrap: { hardState: { term: asTerm(1), vote: null, recovering: false }, entries: [] },
  });
  await wal.close();
  await expect(open(server)).rejects.toEqual(
    refused(`${server} is the data directory of a server`, 'INVALID_OPTION'),
  );
});
