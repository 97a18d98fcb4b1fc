import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { MANIFEST } from '../../test/formats/snapshot.ts';
import { Wal, WalError } from '../wal/wal.ts';
import { Journal } from './journal.ts';
import { type Change, open, type Store, StoreError, type StoreOptions } from './index.ts';

let root = '';
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvorum-embedded-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));
const fresh = (): string => join(root, `store-${++made}`);

/** The code with which it fails; undefined when it does not. */
async function codeOf(run: () => unknown): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error instanceof StoreError ? error.code : String(error);
  }
}

describe('with timestamps', () => {
  const times = (store: Store, key: string): (number | null | undefined)[] => {
    const entry = store.getEntry(key);
    return [entry?.createdAt, entry?.updatedAt];
  };
  /** Until the clock shows another millisecond. */
  const later = async (): Promise<number> => {
    const from = Date.now();
    while (Date.now() <= from) await new Promise(setImmediate);
    return Date.now();
  };

  test('an entry knows when it was made and when it last changed, over restarts, snapshots and restores', async () => {
    const directory = fresh();
    const file = fresh();
    const before = await later();
    let store = await open({ directory, timestamps: true });
    await store.set('a', '1');
    store.execute(['HSET', 'h', 'f', '1']);
    await store.flush();
    const made = await later();
    await store.set('a', '2');
    store.execute(['HSET', 'h', 'f', '2']);
    await store.flush();
    const known = ['a', 'h'].map((key) => times(store, key));
    for (const [createdAt = null, updatedAt = null] of known) {
      expect(createdAt).toBeGreaterThanOrEqual(before);
      expect(createdAt).toBeLessThan(made);
      expect(updatedAt).toBeGreaterThanOrEqual(made);
    }
    // From the log, from a snapshot of its own, from a file.
    await store.close();
    store = await open({ directory, timestamps: true, snapshotOnClose: true });
    expect(['a', 'h'].map((key) => times(store, key))).toEqual(known);
    await store.snapshot(file);
    await store.close();
    store = await open({ directory, timestamps: true });
    expect(['a', 'h'].map((key) => times(store, key))).toEqual(known);
    await later();
    await store.set('a', '3');
    await store.restore(file);
    expect(['a', 'h'].map((key) => times(store, key))).toEqual(known);
    await store.delete('a');
    await later();
    await store.set('a', '4');
    expect(times(store, 'a')[0]).toBe(times(store, 'a')[1]);
    expect(times(store, 'a')[0]).toBeGreaterThan(known[0]?.[1] ?? Infinity);
    await store.close();
  });

  test('what is from before or without them is unknown', async () => {
    const directory = fresh();
    await using plain = await open({ directory, snapshotOnClose: true });
    await plain.set('a', '1');
    expect(times(plain, 'a')).toEqual([null, null]);
    await plain.close();
    await using timed = await open({ directory, timestamps: true, snapshotOnClose: true });
    expect(times(timed, 'a')).toEqual([null, null]);
    await timed.set('a', '2');
    expect(times(timed, 'a')).toEqual([null, expect.any(Number)]);
    await timed.close();
    await using again = await open({ directory });
    expect([again.get('a'), ...times(again, 'a')]).toEqual(['2', null, null]);
  });

  test('a key that has expired is made anew', async () => {
    await using store = await open({ timestamps: true, cleanupInterval: 60_000 });
    await store.set('a', '1', { ttl: 1 });
    await later();
    const at = await later();
    await store.set('a', '2');
    expect(times(store, 'a')[0]).toBeGreaterThanOrEqual(at);
  });
});

describe('what was used lately is found on a short way', () => {
  /** `Ã©` is what the bytes of `é` are as latin1 text: one must never be taken for the other. */
  const key = fc.constantFrom('a', 'b', 'é', 'Ã©', '');
  const text = fc.constantFrom('1', 'é', 'Ã©', '', 'some longer text', 'a very long text, '.repeat(20));
  const options = fc.constantFrom<StoreOptions>({}, { valueCompression: 'zstd', valueCompressionMinSize: 1 });
  const step = fc.oneof(
    fc.record({ do: fc.constant('set' as const), key, text, ttl: fc.constantFrom(undefined, 0, 60_000) }),
    fc.record({ do: fc.constantFrom('get' as const, 'get bytes' as const, 'delete' as const), key }),
    fc.record({
      do: fc.constantFrom('append' as const, 'change a byte' as const, 'batch' as const),
      key,
      text,
    }),
    fc.record({ do: fc.constantFrom('expire' as const, 'rename' as const), key }),
    fc.record({ do: fc.constantFrom('clear' as const, 'keep' as const, 'restore' as const) }),
  );

  test('and is always what a map would hold', async () => {
    await fc.assert(
      fc.asyncProperty(options, fc.array(step, { maxLength: 60 }), async (chosen, steps) => {
        await using store = await open(chosen);
        let model = new Map<string, string>();
        const file = fresh();
        let kept: Map<string, string> | null = null;
        for (const each of steps) {
          switch (each.do) {
            case 'set':
              void store.set(each.key, each.text, each.ttl === undefined ? {} : { ttl: each.ttl });
              model.set(each.key, each.text);
              break;
            case 'get':
              break;
            case 'get bytes':
              expect(store.getBuffer(each.key)?.toString()).toBe(model.get(each.key));
              break;
            case 'delete':
              void store.delete(each.key);
              model.delete(each.key);
              break;
            case 'append':
              store.execute(['APPEND', each.key, each.text]);
              if (each.text !== '' || model.has(each.key))
                model.set(each.key, (model.get(each.key) ?? '') + each.text);
              else if (store.has(each.key)) model.set(each.key, '');
              break;
            case 'change a byte': {
              const bytes = Buffer.from(model.get(each.key) ?? '');
              if (bytes.length === 0) break;
              store.execute(['SETRANGE', each.key, 0, 'x']);
              bytes[0] = 0x78;
              model.set(each.key, bytes.toString());
              break;
            }
            case 'batch':
              void store.batch().put(each.key, each.text).delete('b').write();
              model.set(each.key, each.text);
              model.delete('b');
              break;
            case 'expire':
              if (model.delete(each.key)) store.execute(['PEXPIREAT', each.key, 1]);
              break;
            case 'rename':
              if (!model.has(each.key)) break;
              store.execute(['RENAME', each.key, 'a']);
              model.set('a', model.get(each.key) ?? '');
              if (each.key !== 'a') model.delete(each.key);
              break;
            case 'clear':
              void store.clear();
              model.clear();
              break;
            case 'keep':
              await store.snapshot(file);
              kept = new Map(model);
              break;
            case 'restore':
              if (kept === null) break;
              await store.restore(file);
              model = new Map(kept);
              break;
          }
          for (const name of ['a', 'b', 'é', 'Ã©', '']) expect(store.get(name)).toBe(model.get(name));
        }
      }),
      { numRuns: 300 },
    );
  });

  test('and not written to when it was evicted or has expired', async () => {
    await using store = await open({ maxEntries: 1, eviction: 'random', cleanupInterval: 1 });
    void store.set('a', '1');
    void store.set('a', '2');
    void store.set('b', '1');
    void store.set('a', '3');
    expect([store.get('a'), store.get('b')]).toEqual(['3', undefined]);
    await store.set('a', '4', { ttl: 1 });
    await expect.poll(() => store.size).toBe(0);
    void store.set('a', '5');
    expect(store.get('a')).toBe('5');
  });

  test('and is not given any more by a store that was closed', async () => {
    const store = await open();
    void store.set('a', '1');
    void store.set('a', '2');
    expect(store.get('a')).toBe('2');
    await store.close();
    expect(await codeOf(() => store.get('a'))).toBe('CLOSED');
  });

  test('and a listener that writes the key again is not overlooked', async () => {
    await using store = await open();
    store.on('change', (change) => {
      if (change.type === 'set' && change.value === '1') void store.set('a', 'é');
    });
    void store.set('a', '0');
    void store.set('a', '1');
    expect([store.get('a'), store.get('a')]).toEqual(['é', 'é']);
  });
});

describe('reading and writing', () => {
  test('a write is seen at once, and its promise resolves', async () => {
    await using store = await open();
    const written = store.set('name', 'Alice');
    expect(store.get('name')).toBe('Alice');
    await written;
    expect(store.get('missing')).toBeUndefined();
    expect(await store.delete('name')).toBe(true);
    expect(await store.delete('name')).toBe(false);
    expect(store.has('name')).toBe(false);
  });

  test('text of every language and every byte come back as they were', async () => {
    await using store = await open();
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme' }),
        async (key, value) => {
          await store.set(key, value);
          expect(store.get(key)).toBe(value);
        },
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), fc.uint8Array(), async (key, value) => {
        await store.set(key, value);
        expect(store.getBuffer(key)).toEqual(Buffer.from(value));
      }),
    );
    await store.set('straße', 'grün');
    expect(store.getBuffer(Buffer.from('straße'))?.toString()).toBe('grün');
    expect([...store.keys({ prefix: 'stra' })]).toEqual(['straße']);
  });

  test('setNX, xx and compareAndSet tell whether they wrote', async () => {
    await using store = await open();
    expect(await store.setNX('lock', 'a')).toBe(true);
    expect(await store.setNX('lock', 'b')).toBe(false);
    expect(await store.setIf('other', 'b', { xx: true })).toBe(false);
    await store.set('other', 'b', { xx: true });
    expect(store.has('other')).toBe(false);
    expect(await store.compareAndSet('lock', 'b', 'c')).toBe(false);
    expect(await store.compareAndSet('lock', 'a', 'c')).toBe(true);
    expect(await store.compareAndSet('new', undefined, '1')).toBe(true);
    expect(store.get('lock')).toBe('c');
    expect(await codeOf(() => store.setIf('x', '1', { nx: true, xx: true }))).toBe('INVALID_ARGUMENT');
  });

  test('times to live: given, default, changed, taken away; onExpire hears of it with the value', async () => {
    const gone: [string, string | null][] = [];
    await using store = await open({
      defaultTtl: 60_000,
      cleanupInterval: 1,
      onExpire: (key, value) => void gone.push([key, value]),
    });
    await store.set('default', '1');
    await store.set('ever', '1', { ttl: 0 });
    await store.set('soon', 'value', { ttl: 1 });
    expect(store.ttl('default')).toBeGreaterThan(50_000);
    expect(store.ttl('ever')).toBeNull();
    expect(store.ttl('missing')).toBeUndefined();
    expect(await store.expire('ever', 1_000_000)).toBe(true);
    expect(store.ttl('ever')).toBeGreaterThan(900_000);
    expect(await store.persist('ever')).toBe(true);
    expect(store.ttl('ever')).toBeNull();
    await expect.poll(() => gone).toEqual([['soon', 'value']]);
    expect(store.get('soon')).toBeUndefined();
    expect(store.size).toBe(2);
    expect(store.stats().expired).toBe(1);
  });

  test('with refreshTtlOnAccess a read keeps an entry alive', async () => {
    await using store = await open({ defaultTtl: 60_000, refreshTtlOnAccess: true });
    await store.set('a', '1', { ttl: 1000 });
    store.get('a');
    expect(store.ttl('a')).toBeGreaterThan(50_000);
  });

  test('any command of the table, with its reply as values and its error as an error', async () => {
    await using store = await open();
    expect(store.execute(['ZADD', 'board', 1, 'ann', 2.5, 'bob'])).toBe(2);
    expect(store.execute(['ZRANGE', 'board', 0, -1, 'WITHSCORES'])).toEqual([
      ['ann', 1],
      ['bob', 2.5],
    ]);
    expect(store.execute(['HSET', 'h', 'f', 'v'])).toBe(1);
    expect(store.execute(['HGETALL', 'h'])).toEqual(new Map([['f', 'v']]));
    expect(store.execute(['GET', 'none'])).toBeNull();
    store.execute(['SET', 'bytes', Buffer.from([0, 255])]);
    expect(store.execute(['GET', 'bytes'], { buffers: true })).toEqual(Buffer.from([0, 255]));
    expect(() => store.execute(['LPUSH', 'h', 'x'])).toThrow('WRONGTYPE');
    expect(() => store.get('h')).toThrow('WRONGTYPE');
    expect(await codeOf(() => store.execute(['GET']))).toBe('COMMAND');
    expect(await codeOf(() => store.execute(['CLUSTER', 'INFO']))).toBe('INVALID_ARGUMENT');
  });

  test('lists, hashes, sets, sorted sets and counters', async () => {
    await using store = await open();
    const list = store.list('l');
    expect(await list.push('b', 'c')).toBe(2);
    expect(await list.unshift('a')).toBe(3);
    expect([...list]).toEqual(['a', 'b', 'c']);
    expect(list.slice(0, 2)).toEqual(['a', 'b']);
    expect(list.slice(-2)).toEqual(['b', 'c']);
    expect(await list.pop()).toBe('c');
    expect(await list.shift()).toBe('a');
    await list.set(0, 'x');
    expect(list.at(0)).toBe('x');
    expect(await list.remove('x')).toBe(1);
    expect(list.length).toBe(0);
    const hash = store.hash('h');
    expect(await hash.assign({ a: '1', b: '2' })).toBe(2);
    expect(await hash.set('a', '3')).toBe(false);
    expect(await hash.increment('a')).toBe(4);
    expect(hash.toObject()).toEqual({ a: '4', b: '2' });
    expect(await hash.delete('b')).toBe(true);
    expect(hash.has('b')).toBe(false);
    const set = store.memberSet('s');
    expect(await set.add('x', 'y', 'x')).toBe(2);
    expect(set.has('x')).toBe(true);
    expect([...set].sort()).toEqual(['x', 'y']);
    const sorted = store.sortedSet('z');
    await sorted.add('ann', 10);
    await sorted.add('bob', Infinity);
    expect(await sorted.increment('ann', 5)).toBe(15);
    expect(sorted.rank('bob')).toBe(1);
    expect(sorted.rank('bob', { reverse: true })).toBe(0);
    expect([...sorted]).toEqual([
      { member: 'ann', score: 15 },
      { member: 'bob', score: Infinity },
    ]);
    expect(sorted.between(0, 20)).toEqual([{ member: 'ann', score: 15 }]);
    const counter = store.counter('c');
    expect(counter.value).toBe(0);
    await counter.add();
    await counter.add(9_007_199_254_740_993n);
    expect(counter.value).toBe(9_007_199_254_740_994n);
  });

  test('what is known about an entry', async () => {
    await using store = await open();
    await store.set('a', 'eins', { ttl: 5000 });
    const entry = store.getEntry('a');
    expect(entry).toMatchObject({ key: 'a', value: 'eins', type: 'string' });
    expect(entry?.expiresAt).toBeGreaterThan(Date.now());
    await store.set('a', 'zwei');
    expect(store.getEntry('a')?.version).not.toBe(entry?.version);
    await store.list('l').push('x');
    expect(store.getEntry('l')).toMatchObject({ value: null, type: 'list', expiresAt: null });
    expect(store.getEntry('none')).toBeUndefined();
  });

  test('hits, misses, writes are counted', async () => {
    await using store = await open();
    await store.set('a', '1');
    store.get('a');
    store.get('a');
    store.get('b');
    await store.delete('a');
    expect(store.stats()).toMatchObject({ entries: 0, hits: 2, misses: 1, gets: 3, sets: 1, deletes: 1 });
    expect(store.stats().hitRate).toBeCloseTo(2 / 3);
  });
});

describe('who hears of a write may do anything', () => {
  /** What is thrown where nobody can catch it, while `run` runs and in the turn after it. */
  async function uncaughtIn(run: () => Promise<void>): Promise<unknown[]> {
    const others = process.listeners('uncaughtException');
    const thrown: unknown[] = [];
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => void thrown.push(error.message));
    try {
      await run();
      await new Promise(setImmediate);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    }
    return thrown;
  }

  /** What is on disk. */
  async function reopened(directory: string): Promise<[string, string][]> {
    await using store = await open(directory);
    return [...store.entries({ sorted: true })];
  }

  test('what is written when everything was removed is not removed at the next start', async () => {
    const directory = fresh();
    {
      await using store = await open(directory);
      await store.set('a', '1');
      store.once('change', () => void store.set('cleared', '1'));
      await store.clear();
      await store.flush();
    }
    expect(await reopened(directory)).toEqual([['cleared', '1']]);
  });

  test.each(['clear', 'batch'] as const)(
    'a listener that throws in a %s changes nothing of it',
    async (what) => {
      const directory = fresh();
      const heard: string[] = [];
      const thrown = await uncaughtIn(async () => {
        await using store = await open(directory);
        await store.set('a', '1');
        store.on('change', ({ type }) => {
          heard.push(type);
          throw new Error('not mine');
        });
        if (what === 'clear') await store.clear();
        else await store.batch().put('b', '1').put('c', '1').write();
      });
      expect(heard).toEqual(what === 'clear' ? ['clear'] : ['set', 'set']);
      expect(thrown).toEqual(heard.map(() => 'not mine'));
      const left = what === 'clear' ? [] : ['a', 'b', 'c'];
      expect((await reopened(directory)).map(([key]) => key)).toEqual(left);
    },
  );

  test('who hears of a part of a batch sees all of it, and what he writes comes behind it', async () => {
    await using store = await open();
    const seen: (string | undefined)[] = [];
    store.once('change', () => {
      seen.push(store.get('b'));
      void store.set('b', 'later');
    });
    await store.batch().put('a', '1').put('b', '1').write();
    expect(seen).toEqual(['1']);
    expect(store.get('b')).toBe('later');
  });

  test('changes are told in one order to all listeners, also those that a listener makes', async () => {
    const heard: string[][] = [[], []];
    const note = (to: number) => (change: Change) => change.type === 'set' && heard[to]!.push(change.key);
    const store = await open();
    store.on('change', note(0));
    store.once('change', () => void store.set('b', '1'));
    store.once('change', () => void store.close());
    store.on('change', note(1));
    void store.batch().put('a', '1').put('c', '1').write();
    await store.close();
    // The end came while the first was told: the rest was told before it.
    expect(heard).toEqual([
      ['a', 'c', 'b'],
      ['c', 'b', 'a'],
    ]);
    expect(heard.map((each) => each.toSorted())).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  test('a write of which a listener hears and closes the store resolves, whatever was written', async () => {
    for (const write of [
      (store: Store) => store.set('a', '1'),
      (store: Store) => store.list('a').push('1'),
      (store: Store) => store.counter('a').add(1),
    ]) {
      const store = await open({ directory: fresh() });
      const closed: Promise<void>[] = [];
      store.once('change', () => void closed.push(store.close()));
      await write(store);
      expect(closed).toHaveLength(1);
      await closed[0];
    }
  });

  test('what was done before a write was refused, or before the end, is told', async () => {
    const heard: string[] = [];
    const store = await open({ maxEntries: 2, eviction: 'ttl', onEvict: (key) => void heard.push(key) });
    void store.set('a', '1');
    void store.set('b', '1', { ttl: 60_000 });
    store.on('change', ({ type }) => void heard.push(`${type} ${store.get('a')}`));
    expect(() => store.execute(['MSET', 'c', 1, 'd', 1])).toThrow('maxEntries');
    await store.close();
    expect(heard).toEqual(['delete 1', 'b']);
  });

  test('a snapshot from onEvict is of the store behind the write', async () => {
    const file = fresh();
    let taken: Promise<unknown> = Promise.resolve();
    await using store = await open({
      maxEntries: 1,
      eviction: 'lru',
      onEvict: () => {
        taken = store.snapshot(file);
      },
    });
    await store.set('a', '1');
    await store.set('b', '1');
    await taken;
    expect([...store.keys()]).toEqual(['b']);
    await using other = await open();
    await other.restore(file);
    expect([...other.keys()]).toEqual(['b']);
  });

  test('a read that moves a deadline sees what its listener has done', async () => {
    await using store = await open({ defaultTtl: 60_000, refreshTtlOnAccess: true });
    await store.set('warm', '1', { ttl: 0 });
    await store.set('warm', '2', { ttl: 0 });
    store.get('warm');
    await store.set('a', '1', { ttl: 50_000 });
    store.on('change', (change) => change.type === 'set' && void store.delete(change.key));
    expect([store.get('a'), store.get('a'), store.has('a')]).toEqual([undefined, undefined, false]);
  });
});

describe('time within a turn', () => {
  /** The clock goes on while the program works, and its turn with it. */
  const pass = (ms: number): void => {
    for (const until = Date.now() + ms; Date.now() < until; );
  };

  test('what has expired for reads is not found by a write, and does not come back', async () => {
    const directory = fresh();
    let left: string[] = [];
    {
      await using store = await open(directory);
      for (const key of ['a', 'b']) void store.set(key, '1', { ttl: 5 });
      pass(10);
      expect(store.get('a')).toBeUndefined();
      const persisted = store.persist('a');
      expect(store.execute(['INCR', 'b'])).toBe(1);
      expect(await persisted).toBe(false);
      expect(store.stats().expired).toBe(2);
      left = [...store.keys({ sorted: true })];
      expect(left).toEqual(['b']);
    }
    await using store = await open(directory);
    expect([...store.keys({ sorted: true })]).toEqual(left);
  });

  test('a batch is one entry of the log, also when something expires in the middle of it', async () => {
    const directory = fresh();
    const append = vi.spyOn(Wal.prototype, 'append');
    await using store = await open({ directory, onExpire: () => {}, cleanupInterval: 60_000 });
    void store.set('old', '1', { ttl: 5 });
    pass(10);
    append.mockClear();
    await store.batch().put('a', '1').put('b', '1').write();
    expect(append.mock.calls.flatMap(([{ entries }]) => entries)).toHaveLength(1);
    append.mockRestore();
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'b']);
  });

  test('a time to live beyond all numbers lasts, here and on disk', async () => {
    const directory = fresh();
    const { MAX_SAFE_INTEGER, MAX_VALUE } = Number;
    {
      await using store = await open({ directory, valueCompression: 'gzip', valueCompressionMinSize: 1 });
      await store.set('a', '1', { ttl: MAX_VALUE });
      await store.set('b', 'b'.repeat(1000), { ttl: MAX_SAFE_INTEGER });
      await store.set('c', '1');
      await store.expire('c', MAX_VALUE);
    }
    for (let round = 0; round < 2; round++) {
      await using store = await open({ directory, snapshotOnClose: true });
      for (const key of ['a', 'b', 'c']) expect(store.getEntry(key)?.expiresAt).toBe(MAX_SAFE_INTEGER);
    }
  });
});

describe('limits', () => {
  test('a key or value that is too large is refused and nothing is changed', async () => {
    await using store = await open({ maxKeySize: 4, maxValueSize: 8 });
    expect(await codeOf(() => store.set('fünf', '1'))).toBe('KEY_TOO_LARGE');
    expect(await codeOf(() => store.set('a', '123456789'))).toBe('VALUE_TOO_LARGE');
    expect(await codeOf(() => store.execute(['LPUSH', 'toolong', 'x']))).toBe('KEY_TOO_LARGE');
    expect(await codeOf(() => store.batch().put('a', '1').put('b', '123456789').write())).toBe(
      'VALUE_TOO_LARGE',
    );
    expect(await codeOf(() => store.batch().put('a', '1').putWithTtl('b', '1', -1).write())).toBe(
      'INVALID_ARGUMENT',
    );
    expect(store.size).toBe(0);
  });

  test('a full store without eviction refuses new keys and takes new values', async () => {
    await using store = await open({ maxEntries: 2 });
    await store.set('a', '1');
    await store.set('b', '1');
    expect(await codeOf(() => store.set('c', '1'))).toBe('STORE_FULL');
    expect(await codeOf(() => store.execute(['LPUSH', 'c', '1']))).toBe('STORE_FULL');
    expect(await codeOf(() => store.batch().delete('a').put('c', '1').put('d', '1').write())).toBe(
      'STORE_FULL',
    );
    await store.set('a', '2');
    await store.delete('b');
    await store.set('c', '1');
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'c']);
  });

  test('a batch is refused as a whole where it has no room, and only there', async () => {
    const operation = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      ttl: fc.constantFrom(null, 0, 60_000),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<'none' | 'ttl'>('none', 'ttl'),
        fc.array(operation, { maxLength: 4 }),
        fc.array(operation, { maxLength: 8 }),
        async (eviction, before, operations) => {
          await using store = await open({ maxEntries: 3, eviction });
          for (const { key, ttl } of before) await codeOf(() => store.set(key, 'before', { ttl: ttl ?? 0 }));
          const held = new Set(store.keys());
          const batch = store.batch();
          let most = 0;
          const model = new Set(held);
          for (const { key, ttl } of operations) {
            if (ttl === null) model.delete(key);
            else model.add(key);
            most = Math.max(most, model.size);
            if (ttl === null) batch.delete(key);
            else batch.putWithTtl(key, 'after', ttl);
          }
          const code = await codeOf(() => batch.write());
          if (code !== undefined) {
            expect(code).toBe('STORE_FULL');
            expect(most).toBeGreaterThan(3);
            expect(new Set(store.keys())).toEqual(held);
            expect([...store.values()].every((value) => value === 'before')).toBe(true);
          } else if (eviction === 'none') {
            expect(most).toBeLessThanOrEqual(3);
            expect(new Set(store.keys())).toEqual(model);
          }
          expect(store.size).toBeLessThanOrEqual(3);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a store that has more than it may now takes new values, also in a batch', async () => {
    const directory = fresh();
    {
      await using store = await open(directory);
      await store.batch().put('a', '1').put('b', '1').put('c', '1').write();
    }
    await using store = await open({ directory, maxEntries: 2 });
    await store.set('a', '2');
    store.execute(['APPEND', 'a', '3']);
    await store.batch().put('b', '2').delete('c').put('b', '3').write();
    expect([...store.entries({ sorted: true })]).toEqual([
      ['a', '23'],
      ['b', '3'],
    ]);
  });

  test('a batch takes the room of what has expired', async () => {
    await using store = await open({ maxEntries: 1, cleanupInterval: 1_000_000 });
    await store.set('a', '1', { ttl: 1 });
    await expect.poll(() => store.get('a')).toBeUndefined();
    await store.batch().put('b', '1').write();
    expect([...store.keys()]).toEqual(['b']);
  });

  test.each(['none', 'lru', 'random'] as const)(
    'MSET makes room for all of its keys: %s',
    async (eviction) => {
      await using store = await open({ maxEntries: 3, eviction });
      store.execute(['MSET', 'a', 1, 'b', 1]);
      const more = ['MSET', 'b', 2, 'c', 2, 'd', 2] as const;
      if (eviction === 'none') expect(await codeOf(() => store.execute(more))).toBe('STORE_FULL');
      else store.execute(more);
      expect([...store.keys({ sorted: true })]).toEqual(eviction === 'none' ? ['a', 'b'] : ['b', 'c', 'd']);
      const many = ['MSET', 'e', 1, 'f', 1, 'g', 1, 'h', 1] as const;
      expect(await codeOf(() => store.execute(many))).toBe('STORE_FULL');
    },
  );

  test('a read of another type is a use, too', async () => {
    await using store = await open({ maxEntries: 2, eviction: 'lru' });
    await store.hash('hash').set('f', '1');
    await store.set('a', '1');
    store.hash('hash').get('f');
    await store.set('b', '1');
    expect([...store.keys({ sorted: true })]).toEqual(['b', 'hash']);
  });

  test('what waits for the disk is bounded within a turn, too; a batch is refused as a whole', async () => {
    await using store = await open(fresh());
    const check = vi.spyOn(Journal.prototype, 'check').mockImplementation((bytes = 0) => {
      if (bytes > 1000) throw new StoreError('BUSY', `${bytes}`);
    });
    const long = 'x'.repeat(800);
    const written = [store.set('a', long), store.set('b', long)];
    expect(() => store.set('c', long)).toThrow(StoreError);
    expect(() => store.execute(['SET', 'c', long])).toThrow(StoreError);
    await Promise.all(written);
    await store.batch().put('d', long).put('e', long).put('f', long).write();
    void store.batch().put('d', long).put('e', long).write();
    const refused = store.batch().put('g', '1').put('h', '1').write();
    expect(await codeOf(() => refused)).toBe('BUSY');
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'b', 'd', 'e', 'f']);
    check.mockRestore();
    const huge = 'x'.repeat(100 * 1024 * 1024);
    const batch = store.batch();
    for (let at = 0; at < 6; at++) batch.put(`huge${at}`, huge);
    expect(await codeOf(() => batch.write())).toBe('VALUE_TOO_LARGE');
    expect(store.size).toBe(5);
  });

  test('what has expired makes room before anything is evicted', async () => {
    await using store = await open({ maxEntries: 2, cleanupInterval: 1_000_000 });
    await store.set('a', '1');
    await store.set('b', '1', { ttl: 1 });
    await expect.poll(() => store.get('b')).toBeUndefined();
    await store.set('c', '1');
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'c']);
  });

  test.each([
    ['lru', ['a', 'c', 'd']],
    ['lfu', ['a', 'c', 'd']],
    ['ttl', ['a', 'c', 'd']],
  ] as const)('%s', async (eviction, left) => {
    const evicted: [string, string | null][] = [];
    await using store = await open({
      maxEntries: 3,
      eviction,
      onEvict: (key, value) => void evicted.push([key, value]),
    });
    await store.set('a', '1', { ttl: 300_000 });
    await store.set('b', '2', { ttl: 100_000 });
    await store.set('c', '3', { ttl: 200_000 });
    store.get('c');
    store.get('a');
    await store.set('d', '4');
    expect(evicted).toEqual([['b', '2']]);
    expect([...store.keys({ sorted: true })]).toEqual(left);
    expect(store.stats().evicted).toBe(1);
  });

  test('random: any, and never more than maxEntries', async () => {
    await using store = await open({ maxEntries: 10, eviction: 'random' });
    for (let at = 0; at < 100; at++) await store.set(`k${at}`, '1');
    expect(store.size).toBe(10);
  });

  test('ttl: without any deadline nothing may go', async () => {
    await using store = await open({ maxEntries: 1, eviction: 'ttl' });
    await store.set('a', '1');
    expect(await codeOf(() => store.set('b', '1'))).toBe('STORE_FULL');
  });

  test('least recently and least frequently used, as a model has it', async () => {
    const step = fc.tuple(fc.constantFrom('get', 'set', 'delete'), fc.integer({ min: 0, max: 9 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('lru', 'lfu'),
        fc.array(step, { maxLength: 60 }),
        async (eviction, steps) => {
          await using store = await open({ maxEntries: 4, eviction });
          const model = new Map<string, { uses: number; at: number }>();
          let at = 0;
          for (const [what, number] of steps) {
            const key = `k${number}`;
            const known = model.get(key);
            at++;
            if (what === 'delete') {
              await store.delete(key);
              model.delete(key);
            } else if (what === 'get') {
              store.get(key);
              if (known !== undefined) model.set(key, { uses: known.uses + 1, at });
            } else {
              await store.set(key, '1');
              if (known === undefined && model.size === 4) {
                const [victim] = [...model].sort(([, a], [, b]) =>
                  eviction === 'lru' ? a.at - b.at : a.uses - b.uses || a.at - b.at,
                )[0]!;
                model.delete(victim);
              }
              model.set(key, { uses: (known?.uses ?? 0) + 1, at });
            }
            expect([...store.keys({ sorted: true })]).toEqual([...model.keys()].sort());
          }
        },
      ),
    );
  });

  test('what is neither a path nor options is refused', async () => {
    for (const given of [new URL('file:///tmp/data'), 5, true])
      expect(await codeOf(() => open(given as StoreOptions))).toBe('INVALID_OPTION');
  });

  test.each([
    [{ maxEntrys: 3 }, 'maxEntrys'],
    [{ maxEntries: 0 }, 'maxEntries: 0'],
    [{ sync: 'sometimes' }, 'sync: "sometimes"'],
    [{ persistence: 'wal' }, 'persistence: "wal"'],
    [{ directory: '' }, 'directory: ""'],
    [{ defaultTtl: -1 }, 'defaultTtl: -1'],
    [{ refreshTtlOnAccess: true }, 'refreshTtlOnAccess'],
    [{ onEvict: 'no' }, 'onEvict: "no"'],
    [{ keepSnapshots: 0 }, 'keepSnapshots: 0'],
  ])('an option that makes no sense is named: %j', async (options, message) => {
    await expect(open(options as StoreOptions)).rejects.toThrow(message);
    expect(await codeOf(() => open(options as StoreOptions))).toBe('INVALID_OPTION');
  });
});

describe('together', () => {
  test('a batch is applied at once', async () => {
    await using store = await open();
    await store.set('old', '1');
    const batch = store.batch().put('a', '1').putWithTtl('b', '2', 60_000).delete('old').delete('none');
    expect(batch.size).toBe(4);
    expect(store.has('a')).toBe(false);
    expect(await batch.write()).toEqual({ successful: 4, failed: 0, deleted: 1 });
    expect(batch.size).toBe(0);
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'b']);
  });

  test('a batch is empty when it is told of, and whole after it was refused', async () => {
    await using store = await open({ maxEntries: 2 });
    const batch = store.batch().put('a', '1');
    store.once('change', () => batch.put('b', '1'));
    await batch.write();
    expect(batch.size).toBe(1);
    batch.put('c', '1');
    expect(await codeOf(() => batch.write())).toBe('STORE_FULL');
    expect(batch.size).toBe(2);
    await store.delete('a');
    await batch.write();
    expect([...store.keys({ sorted: true })]).toEqual(['b', 'c']);
  });

  test('a transaction that somebody else disturbs runs again, and loses nothing', async () => {
    await using store = await open();
    await store.set('sum', '0');
    const add = () =>
      store.transaction(async (transaction) => {
        const sum = Number(transaction.get('sum'));
        await Promise.resolve();
        transaction.set('sum', String(sum + 1));
        return sum;
      });
    const seen = await Promise.all(Array.from({ length: 20 }, add));
    expect(store.get('sum')).toBe('20');
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });

  test('a transaction sees its own writes, and one that throws writes nothing', async () => {
    await using store = await open();
    await expect(
      store.transaction((transaction) => {
        transaction.set('a', '1');
        expect(transaction.get('a')).toBe('1');
        transaction.delete('a');
        expect(transaction.has('a')).toBe(false);
        transaction.set('b', '1');
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(store.size).toBe(0);
  });

  test('and so does one that a restore disturbs, whose versions may be the same', async () => {
    const file = fresh();
    {
      await using other = await open();
      await other.set('a', 'restored');
      await other.snapshot(file);
    }
    await using store = await open();
    await store.set('a', 'before');
    let runs = 0;
    await store.transaction(async (transaction) => {
      const value = transaction.get('a');
      if (runs++ === 0) await store.restore(file);
      transaction.set('b', `${value}`);
    });
    expect([runs, store.get('b')]).toEqual([2, 'restored']);
  });

  test('one that is always disturbed ends', async () => {
    await using store = await open();
    const disturbed = store.transaction((transaction) => {
      transaction.get('a');
      void store.set('a', String(Math.random()));
    });
    await expect(disturbed).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

describe('iterations', () => {
  test('ranges, prefixes, order, limits and filters as a sorted array has them', async () => {
    await using store = await open();
    let written = 0;
    const key = fc.string({ unit: fc.constantFrom('a', 'b', 'ä', '\u{1F600}'), maxLength: 4 });
    const bytes = (text: string) => Buffer.from(text);
    const least = <T>(a: T, b: T, text: (each: T) => string) =>
      Buffer.compare(bytes(text(a)), bytes(text(b)));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(key, fc.boolean()), { maxLength: 30 }),
        fc.record(
          { prefix: key, gte: key, gt: key, lt: key, lte: key, reverse: fc.boolean(), limit: fc.nat(5) },
          { requiredKeys: [] },
        ),
        async (changes, options) => {
          for (const [name, present] of changes) {
            if (!present) await store.delete(name);
            else await store.set(name, String((written += 1)));
          }
          const compare = (name: string, bound: string | undefined) =>
            bound === undefined ? null : Buffer.compare(bytes(name), bytes(bound));
          let expected = store
            .keys('*')
            .filter((name) => name.startsWith(options.prefix ?? ''))
            .filter((name) => (compare(name, options.gte) ?? 0) >= 0 && (compare(name, options.gt) ?? 1) > 0)
            .filter((name) => (compare(name, options.lt) ?? -1) < 0 && (compare(name, options.lte) ?? 0) <= 0)
            .sort((a, b) => least(a, b, (each) => each));
          if (options.reverse === true) expected.reverse();
          expected = expected.slice(0, options.limit ?? Infinity);
          const found = [...store.keys({ ...options, sorted: true })];
          expect(found).toEqual(expected);
          expect([...store.entries({ ...options, sorted: true })]).toEqual(
            expected.map((name) => [name, store.get(name)]),
          );
        },
      ),
    );
  });

  test('without an order all is as it was when it began', async () => {
    await using store = await open();
    for (let at = 0; at < 1000; at++) await store.set(`k${at}`, 'before');
    const seen = new Map<string, string>();
    let changed = false;
    for (const [key, value] of store) {
      seen.set(key, value);
      if (changed) continue;
      changed = true;
      for (let at = 0; at < 1000; at += 2) await store.set(`k${at}`, 'after');
      for (let at = 1; at < 1000; at += 4) await store.delete(`k${at}`);
      await store.set('new', 'after');
    }
    expect(seen.size).toBe(1000);
    expect(new Set(seen.values())).toEqual(new Set(['before']));
  });

  test('a hash of which all fields have expired is seen nowhere', async () => {
    await using store = await open({ cleanupInterval: 1_000_000 });
    await store.hash('h').set('f', '1');
    await store.set('a', '1');
    store.execute(['HPEXPIRE', 'h', 1, 'FIELDS', 1, 'f']);
    await expect.poll(() => store.has('h')).toBe(false);
    expect([[...store.keys()], [...store.keys({ sorted: true })]]).toEqual([['a'], ['a']]);
    expect(await store.export(fresh(), 'rdb')).toMatchObject({ entries: 1 });
  });

  test('an iteration in order is not disturbed by writes, and one may end early', async () => {
    await using store = await open();
    for (let at = 0; at < 100; at++) await store.set(`k${String(at).padStart(2, '0')}`, '1');
    const seen: string[] = [];
    for (const key of store.keys({ prefix: 'k' })) {
      seen.push(key);
      await store.delete('k50');
      await store.set('k000', 'behind it');
      await store.set('k999', 'before it');
    }
    expect(seen).toHaveLength(99);
    for (const key of store.keys({ prefix: 'k', filter: (each) => each.endsWith('5'), limit: 2 }))
      seen.push(key);
    expect(seen.slice(99)).toEqual(['k05', 'k15']);
    for (const key of store.keys()) {
      expect(key).toBeDefined();
      break;
    }
  });

  test.each<[string, (store: Store) => Promise<unknown>, string[]]>([
    ['is written', (store) => store.set('b', 'new'), ['old', 'new', 'old']],
    [
      'goes and comes back',
      async (store) => store.delete('b').then(() => store.set('b', 'new')),
      ['old', 'new', 'old'],
    ],
    ['is replaced by another', async (store) => store.execute(['RENAME', 'a', 'b']), ['old', 'old', 'old']],
    ['goes', (store) => store.delete('b'), ['old', 'old']],
    ['becomes a list', async (store) => store.execute(['EVAL', SCRIPT, 1, 'b']), ['old', 'old']],
    ['goes with all others', (store) => store.clear(), ['old']],
    ['is given a value of more bytes', (store) => store.set('b', 'größer'), ['old', 'größer', 'old']],
  ])(
    'in order, a key that %s while its turn has not come is told of as it is then',
    async (_what, change, expected) => {
      await using store = await open();
      for (const key of ['a', 'b', 'c']) await store.set(key, 'old');
      for (let round = 0; round < 2; round++) {
        const seen: string[] = [];
        for (const value of store.values({ sorted: true })) {
          seen.push(value);
          if (seen.length === 1) await change(store);
        }
        expect(seen).toEqual(expected);
        await store.clear();
        for (const key of ['a', 'b', 'c']) await store.set(key, 'old');
      }
    },
  );

  test('in order, a key that expires while its turn has not come is left out', async () => {
    await using store = await open({ cleanupInterval: 1_000_000 });
    await store.set('a', '1');
    await store.set('b', '1', { ttl: 20 });
    const seen: string[] = [];
    for (const key of store.keys({ sorted: true })) {
      seen.push(key);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    expect(seen).toEqual(['a']);
    await store.set('b', '2');
    expect([...store.values({ sorted: true })]).toEqual(['1', '2']);
  });
});

describe('watching', () => {
  test.each(['on', 'once', 'addListener', 'prependListener'] as const)(
    'a change is told to a listener that came by %s alone',
    async (way) => {
      await using store = await open();
      const events: Change[] = [];
      store[way]('change', (change) => void events.push(change));
      await store.set('a', '1');
      expect(events).toEqual([{ type: 'set', key: 'a', value: '1' }]);
    },
  );

  test('a key, a prefix, everything: in order, with values', async () => {
    await using store = await open();
    const signal = AbortSignal.timeout(5000);
    const one = store.watch('user:1', { signal });
    const all = store.watch({ prefix: 'user:' }, { signal });
    const events: Change[] = [];
    store.on('change', (change) => void events.push(change));
    await store.set('user:1', 'Alice');
    await store.set('user:2', 'Bob');
    await store.set('other', '1');
    await store.delete('user:1');
    await store.list('user:3').push('x');
    await store.clear();
    expect(await one.next()).toEqual({ done: false, value: { type: 'set', key: 'user:1', value: 'Alice' } });
    expect(await one.next()).toEqual({ done: false, value: { type: 'delete', key: 'user:1' } });
    expect(await one.next()).toEqual({ done: false, value: { type: 'clear' } });
    const seen: Change[] = [];
    for await (const change of all) {
      seen.push(change);
      if (change.type === 'clear') break;
    }
    expect(seen.map((change) => ('key' in change ? change.key : '*'))).toEqual([
      'user:1',
      'user:2',
      'user:1',
      'user:3',
      '*',
    ]);
    expect(events).toHaveLength(6);
  });

  test('ends with its signal and with the store', async () => {
    const store = await open();
    const stop = new AbortController();
    const first = store.watch('a', { signal: stop.signal }).next();
    stop.abort();
    expect(await first).toEqual({ done: true, value: undefined });
    const second = store.watch('a').next();
    await store.close();
    expect(await second).toEqual({ done: true, value: undefined });
  });

  test('a buffer that holds nothing is refused', async () => {
    await using store = await open();
    for (const buffer of [0, -1, 1.5, NaN])
      expect(await codeOf(() => store.watch('a', { buffer }))).toBe('INVALID_ARGUMENT');
  });

  test('who has left hears nothing more, no error either', async () => {
    await using store = await open();
    const watcher = store.watch('a', { buffer: 1 });
    for (let at = 0; at < 2; at++) await store.set('a', '1');
    await watcher.return?.();
    expect(await watcher.next()).toEqual({ done: true, value: undefined });
  });

  test('who does not keep up gets what was kept, and then an error', async () => {
    await using store = await open();
    const watcher = store.watch({ prefix: '' }, { buffer: 2 });
    for (const key of ['a', 'b', 'c']) await store.set(key, '1');
    expect(await watcher.next()).toMatchObject({ value: { key: 'a' } });
    expect(await watcher.next()).toMatchObject({ value: { key: 'b' } });
    await expect(watcher.next()).rejects.toMatchObject({ code: 'OVERFLOW' });
    expect(await watcher.next()).toEqual({ done: true, value: undefined });
  });
});

describe('on disk', () => {
  test.each(['wal', 'snapshot', 'hybrid'] as const)(
    '%s: what was written is there again',
    async (persistence) => {
      const directory = fresh();
      let digest = '';
      {
        await using store = await open({ directory, persistence, snapshotBytes: 2000 });
        for (let at = 0; at < 200; at++)
          await store.set(`k${at}`, `v${at}`, at % 3 === 0 ? { ttl: 600_000 } : {});
        await store.list('list').push('a', 'b');
        await store.delete('k7');
        await store.batch().put('ü', 'ö').delete('k8').write();
        digest = digestOf(store);
      }
      await using store = await open({ directory, persistence });
      expect(store.size).toBe(200);
      expect(store.get('k9')).toBe('v9');
      expect(store.ttl('k9')).toBeGreaterThan(500_000);
      expect(store.has('k7')).toBe(false);
      expect([...store.list('list')]).toEqual(['a', 'b']);
      expect(store.get('ü')).toBe('ö');
      expect(digestOf(store)).toBe(digest);
    },
  );

  test('evictions and expiries are in the log', async () => {
    const directory = fresh();
    let digest = '';
    {
      await using store = await open({ directory, maxEntries: 5, eviction: 'lru', cleanupInterval: 1 });
      for (let at = 0; at < 20; at++) await store.set(`k${at}`, '1', at % 2 === 0 ? { ttl: 1 } : {});
      await expect.poll(() => store.stats().expired).toBeGreaterThan(0);
      await store.flush();
      digest = digestOf(store);
    }
    await using store = await open({ directory, cleanupInterval: 1_000_000 });
    expect(digestOf(store)).toBe(digest);
  });

  test('a snapshot on demand lets the log go, and only so many are kept', async () => {
    const directory = fresh();
    await using store = await open({ directory, keepSnapshots: 2 });
    for (let round = 0; round < 4; round++) {
      await store.set('a', String(round));
      const taken = await store.snapshot();
      expect(taken.entries).toBe(1);
      expect((await readFile(taken.path)).length).toBe(taken.bytes);
    }
    expect((await readdir(directory)).filter((name) => name.endsWith('.snap'))).toHaveLength(2);
  });

  test.each(['wal', 'snapshot', 'hybrid'] as const)(
    '%s: a snapshot of nothing is one, too',
    async (persistence) => {
      for (const wrote of [false, true]) {
        const directory = fresh();
        {
          await using store = await open({ directory, persistence, snapshotOnClose: true });
          await store.snapshot();
          if (wrote) await store.set('a', '1');
        }
        for (const size of [Number(wrote), 1]) {
          await using store = await open({ directory, persistence });
          expect(store.size).toBe(size);
          await store.snapshot();
          await store.set('a', '1');
        }
      }
    },
  );

  test('a snapshot that ends an entry which wants one itself is taken alone', async () => {
    const directory = fresh();
    const create = vi.spyOn(Wal.prototype, 'createSnapshot');
    await using store = await open({ directory, snapshotBytes: 100 });
    void store.set('a', 'x'.repeat(200));
    await store.snapshot();
    expect(create).toHaveBeenCalledTimes(1);
    create.mockRestore();
  });

  test('writes go on while a snapshot is taken, and it is of one moment', async () => {
    await using store = await open();
    for (let at = 0; at < 20_000; at++) void store.set(`k${at}`, 'x'.repeat(100));
    const file = join(root, 'moment.snap');
    const taken = store.snapshot(file);
    const done = new AbortController();
    void taken.finally(() => done.abort());
    let writes = 0;
    while (!done.signal.aborted) {
      await store.set(`k${writes % 20_000}`, 'later');
      writes++;
      await new Promise(setImmediate);
    }
    expect(writes).toBeGreaterThan(1);
    await using other = await open();
    await other.restore(file);
    expect(other.size).toBe(20_000);
    expect([...other.values()].every((value) => value.length === 100)).toBe(true);
  });

  test('restore replaces everything, here and on disk; a damaged file changes nothing', async () => {
    const directory = fresh();
    const file = join(root, 'restore.snap');
    {
      await using source = await open();
      await source.set('from', 'the file');
      await source.snapshot(file);
    }
    {
      await using store = await open({ directory });
      await store.set('before', '1');
      await store.restore(file);
      expect([...store]).toEqual([['from', 'the file']]);
      await store.set('after', '2');
    }
    const bytes = await readFile(file);
    bytes[600] = (bytes[600] ?? 0) ^ 1;
    const damaged = join(root, 'damaged.snap');
    await writeFile(damaged, bytes);
    await using store = await open({ directory });
    expect([...store.entries({ sorted: true })]).toEqual([
      ['after', '2'],
      ['from', 'the file'],
    ]);
    const refused = store.restore(damaged);
    await expect(refused).rejects.toMatchObject({ code: 'DAMAGED' });
    await expect(refused).rejects.toThrow(`${damaged} is damaged`);
    expect(store.size).toBe(2);
    await store.set('still', 'works');
  });

  test.each(['rdb', 'resp'] as const)('%s: all types and deadlines go out and come in', async (format) => {
    const file = join(root, `all.${format}`);
    await using store = await open();
    await store.set('text', 'ü', { ttl: 600_000 });
    await store.list('list').push('a', 'b');
    await store.hash('hash').assign({ f: 'v' });
    await store.memberSet('set').add('x', '1');
    await store.sortedSet('sorted').add('m', 1.5);
    store.execute(['XADD', 'stream', '1-1', 'f', 'v']);
    const library = "#!lua name=l\nredis.register_function('answer', function() return 'ü' end)";
    store.execute(['FUNCTION', 'LOAD', library]);
    expect(await store.export(file, format)).toMatchObject({ entries: 6, path: file });
    await using other = await open();
    await other.set('kept', '1');
    expect((await other.load(file)).commands).toBeGreaterThanOrEqual(6);
    expect(other.size).toBe(7);
    expect(other.get('text')).toBe('ü');
    expect(other.ttl('text')).toBeGreaterThan(500_000);
    expect([...other.list('list')]).toEqual(['a', 'b']);
    expect(other.hash('hash').toObject()).toEqual({ f: 'v' });
    expect(other.execute(['XRANGE', 'stream', '-', '+'])).toEqual([['1-1', ['f', 'v']]]);
    expect(other.execute(['FCALL', 'answer', '0'])).toBe('ü');
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length - 5));
    await using third = await open();
    expect(await codeOf(() => third.load(file))).toBe('DAMAGED');
    expect(third.size).toBe(0);
  });

  test.each(['json', 'binary', 'kvsp', 'kvlg'] as const)('%s: strings go out and come in', async (format) => {
    const file = join(root, `strings.${format}`);
    await using store = await open();
    await store.set('user:1', 'Alice');
    await store.set('user:2', 'Bob');
    await store.export(file, format);
    await using other = await open();
    await other.load(file);
    expect([...other.entries({ sorted: true })]).toEqual([
      ['user:1', 'Alice'],
      ['user:2', 'Bob'],
    ]);
  });

  test('a file for several databases changes nothing; a command that is refused is counted', async () => {
    const file = join(root, 'commands.txt');
    await using store = await open();
    await writeFile(file, 'SET a 1\nSELECT 1\nSET b 2\n');
    await expect(store.load(file)).rejects.toThrow(
      'commands.txt has data in the databases 0 (1 commands), 1 (1 commands)',
    );
    expect(store.size).toBe(0);
    await writeFile(file, 'SET a 1\nLPUSH a 2\nSET b 2\n');
    await expect(store.load(file)).rejects.toThrow(
      'commands.txt: command 2 was refused, those before it were run: lpush: WRONGTYPE',
    );
    expect(store.get('a')).toBe('1');
  });

  test('what can not be said in a format leaves no file; the keys are in order if asked', async () => {
    const folder = fresh();
    await mkdir(folder);
    const file = join(folder, 'data.json');
    await using store = await open();
    for (const key of ['b', 'ü', 'a', 'c', 'B']) await store.set(key, '1');
    await store.export(file, 'json', { sorted: true });
    await Promise.all([1, 2, 3].map(() => store.export(file, 'json', { sorted: true })));
    const exported = await readFile(file, 'utf8');
    expect(Object.keys((JSON.parse(exported) as { data: object }).data)).toEqual(['B', 'a', 'b', 'c', 'ü']);
    await store.list('list').push('x');
    await expect(store.export(file, 'json')).rejects.toThrow(
      `${file}: json has no words for "list", which is a list`,
    );
    expect(await readdir(folder)).toEqual(['data.json']);
    expect(await readFile(file, 'utf8')).toBe(exported);
  });

  test('an append-only file of Redis by its manifest, its base first', async () => {
    await using store = await open();
    expect(await store.load(MANIFEST)).toEqual({ commands: 9 });
    expect(store.getBuffer('a\r\nb')).toEqual(Buffer.of(0, 0xff));
    expect([...store.list('list')]).toEqual(['b']);
    expect(store.has('in the base')).toBe(false);
    const folder = fresh();
    await mkdir(folder);
    const damaged = join(folder, 'x.manifest');
    await writeFile(damaged, 'file a seq 1 type b\nnonsense\n');
    expect(await codeOf(() => store.load(damaged))).toBe('INVALID_ARGUMENT');
    await writeFile(damaged, 'file missing.aof seq 1 type i\n');
    await expect(store.load(damaged)).rejects.toThrow('missing.aof');
  });

  test.each(['wal', 'snapshot', 'hybrid'] as const)(
    '%s: snapshots, restores and the end wait for each other',
    async (persistence) => {
      const directory = fresh();
      const file = fresh();
      {
        await using source = await open();
        await source.set('from', 'the file');
        await source.snapshot(file);
      }
      const store = await open({ directory, persistence });
      await store.set('before', '1');
      const under = [store.restore(file), store.restore(file), store.snapshot(), store.restore(file)];
      expect(await codeOf(() => store.set('between', '1'))).toBe('BUSY');
      await Promise.all([...under, store.snapshot()]);
      await store.set('after', '2');
      const last = store.restore(file);
      const closed = store.close();
      expect(await codeOf(() => store.set('late', '1'))).toBe('CLOSED');
      expect(store.close()).toBe(closed);
      await Promise.all([last, closed, store.close()]);
      await using again = await open({ directory });
      expect([...again]).toEqual([['from', 'the file']]);
      await again.set('on', 'we go');
    },
  );

  test('who hears of a restore may write', async () => {
    const directory = fresh();
    const file = fresh();
    {
      await using store = await open(directory);
      await store.set('a', '1');
      await store.snapshot(file);
      store.once('change', () => void store.set('restored', '1'));
      await store.restore(file);
      await store.flush();
    }
    await using store = await open(directory);
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'restored']);
  });

  describe('when the disk fails', () => {
    const failing = (name: 'append' | 'createSnapshot' | 'purgeSnapshots') =>
      vi.spyOn(Wal.prototype, name).mockRejectedValue(new WalError('WAL_FULL', 'no space'));
    afterEach(() => {
      vi.restoreAllMocks();
    });

    test('writes say so, reads go on, and nothing else is heard of it', async () => {
      const directory = fresh();
      const store = await open({
        directory,
        defaultTtl: 60_000,
        refreshTtlOnAccess: true,
        cleanupInterval: 1,
      });
      await store.set('a', '1', { ttl: 50_000 });
      await store.set('b', '1', { ttl: 50 });
      failing('append');
      expect(await codeOf(() => store.set('c', '1'))).toBe('DISK');
      for (const write of [
        () => store.set('c', '1'),
        () => store.delete('a'),
        () => store.batch().put('c', '1').write(),
        () => store.flush(),
      ])
        expect(await codeOf(write)).toBe('DISK');
      expect(store.get('a')).toBe('1');
      await expect.poll(() => store.get('b')).toBeUndefined();
      // For the look at what has expired.
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await codeOf(() => store.close())).toBe('DISK');
      vi.restoreAllMocks();
      await using again = await open(directory);
      expect(again.get('a')).toBe('1');
    });

    test('where only snapshots have no room the log goes on, and they are tried now and then', async () => {
      const directory = fresh();
      {
        await using store = await open({ directory, snapshotBytes: 1000 });
        const create = failing('createSnapshot');
        const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
        for (let at = 0; at < 50; at++) await store.set(`k${at}`, 'x'.repeat(100));
        expect(create.mock.calls.length).toBeGreaterThan(1);
        expect(create.mock.calls.length).toBeLessThan(10);
        // Once, until one could be written.
        const warning = [
          expect.stringContaining('no snapshot could be written'),
          { code: 'KVORUM_SNAPSHOT' },
        ];
        expect(warn.mock.calls).toEqual([warning]);
        create.mockRestore();
        const written = async (): Promise<boolean> =>
          (await readdir(directory)).some((name) => name.endsWith('.snap'));
        while (!(await written())) await store.set('k0', 'x'.repeat(1000));
        failing('createSnapshot');
        await expect
          .poll(async () => {
            await store.set('k0', 'x'.repeat(1000));
            return warn.mock.calls.length;
          })
          .toBe(2);
      }
      vi.restoreAllMocks();
      await using again = await open(directory);
      expect(again.size).toBe(50);
    });

    test('a last snapshot that fails does not keep the directory', async () => {
      const directory = fresh();
      const store = await open({ directory, persistence: 'snapshot' });
      await store.set('a', '1');
      failing('createSnapshot');
      await expect(store.snapshot()).rejects.toMatchObject({ code: 'DISK', message: /no space/ });
      await expect(store.close()).rejects.toThrow('no space');
      vi.restoreAllMocks();
      await using again = await open(directory);
      expect(again.size).toBe(0);
    });

    test('a restore that may be on the disk and may not lets nothing be written behind it', async () => {
      const directory = fresh();
      const file = fresh();
      const store = await open(directory);
      await store.set('a', '1');
      await store.snapshot(file);
      await store.set('a', '2');
      failing('purgeSnapshots');
      expect(await codeOf(() => store.restore(file))).toBe('DISK');
      expect(await codeOf(() => store.set('b', '1'))).toBe('DISK');
      vi.restoreAllMocks();
      expect(await codeOf(() => store.close())).toBe('DISK');
      await using again = await open(directory);
      expect([...again]).toEqual([['a', '1']]);
    });
  });

  test('an end that was durable and is damaged is refused, and given up where that is accepted', async () => {
    const directory = fresh();
    {
      await using store = await open(directory);
      for (const key of ['a', 'b', 'c']) await store.set(key, 'the value');
    }
    const [name] = (await readdir(directory)).filter((each) => each.endsWith('.log'));
    const file = join(directory, name ?? '');
    const bytes = await readFile(file);
    const damage = async (at: number): Promise<void> => {
      const damaged = Buffer.from(bytes);
      damaged[at] = 0;
      await writeFile(file, damaged);
    };
    await damage(bytes.indexOf('the value'));
    expect(await codeOf(() => open(directory))).toBe('DAMAGED');
    expect(await codeOf(() => open({ directory, acceptLoss: true }))).toBe('DAMAGED');
    await damage(bytes.lastIndexOf('the value'));
    await expect(open(directory)).rejects.toThrow('or open it with `acceptLoss: true`');
    {
      await using store = await open({ directory, acceptLoss: true });
      expect([...store.keys({ sorted: true })]).toEqual(['a', 'b']);
      await store.set('d', '1');
    }
    await using store = await open(directory);
    expect([...store.keys({ sorted: true })]).toEqual(['a', 'b', 'd']);
  });

  test('a directory is open once at a time', async () => {
    const directory = fresh();
    await using store = await open(directory);
    expect(await codeOf(() => open(directory))).toBe('LOCKED');
    await store.close();
    await store.close();
    for (const use of [
      () => store.set('a', '1'),
      () => store.setNX('a', '1'),
      () => store.get('a'),
      () => store.has('a'),
      () => store.ttl('a'),
      () => store.getEntry('a'),
      () => store.transaction((transaction) => transaction.has('a')),
      () => store.snapshot(),
    ])
      expect(await codeOf(use)).toBe('CLOSED');
    await (await open(directory)).close();
  });

  test('concurrent writers share the disk, and each promise means what it says', async () => {
    const directory = fresh();
    const writers = Array.from({ length: 16 }, (_, writer) => writer);
    {
      await using store = await open(directory);
      await Promise.all(
        writers.map(async (writer) => {
          for (let at = 0; at < 50; at++) await store.set(`${writer}:${at}`, String(at));
        }),
      );
    }
    await using store = await open(directory);
    expect(store.size).toBe(16 * 50);
  });
});

/** Has a list take the key's place. */
const SCRIPT = "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x')";

/** Of everything that the store holds, versions and deadlines included. */
function digestOf(store: Store): string {
  const rows = [...store.keys({ sorted: true })].map((key) => {
    const { version, expiresAt, value } = store.getEntry(key)!;
    return `${key} ${version} ${expiresAt} ${value}`;
  });
  return rows.join('\n');
}
