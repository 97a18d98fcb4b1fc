import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compressBlock, expandBlock } from './compression.ts';
import { FormatError } from '../store/bytes.ts';
import { FRAME_BYTES_MAX } from '../store/snapshot.ts';
import { Store as StateMachine } from '../store/store.ts';
import { open, type Store, StoreError } from './index.ts';
import { GROUP } from './journal.ts';
import { writeSnapshotFile } from './snapshot-file.ts';

const ALGORITHMS = ['gzip', 'zstd'] as const;

let root = '';
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvorum-compression-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));
const fresh = (): string => join(root, `${++made}`);

function everything(store: Store): unknown {
  const strings = [...store.entries({ sorted: true })];
  return [strings, store.execute(['HGETALL', 'hash']), store.execute(['LRANGE', 'list', 0, -1])];
}

async function fill(store: Store, count: number): Promise<void> {
  for (let at = 0; at < count; at++)
    void store.set(`user:${at}`, `{"name":"user ${at}","city":"Wien"}`.repeat(3));
  store.execute(['HSET', 'hash', 'field', 'value '.repeat(100)]);
  store.execute(['RPUSH', 'list', 'a', 'b', '\u0000ÿ']);
  await store.flush();
}

describe.each(ALGORITHMS)('snapshots with %s', (snapshotCompression) => {
  test('a file is a fraction of a plain one, and is read by a store with any option', async () => {
    await using store = await open({ snapshotCompression });
    await using plain = await open();
    await fill(store, 10_000);
    await fill(plain, 10_000);
    const [file, plainFile] = [fresh(), fresh()];
    const { bytes, entries } = await store.snapshot(file);
    expect(entries).toBe(10_002);
    expect((await readFile(file)).length).toBe(bytes);
    expect(bytes).toBeLessThan((await plain.snapshot(plainFile)).bytes / 4);
    for (const other of ['none', ...ALGORITHMS] as const) {
      await using restored = await open({ snapshotCompression: other });
      await restored.restore(file);
      expect(everything(restored)).toEqual(everything(store));
      await restored.restore(plainFile);
      expect(everything(restored)).toEqual(everything(store));
    }
  });

  test('a directory opens with it and without; what restore puts there is compressed, too', async () => {
    const directory = fresh();
    const persistence = 'snapshot';
    await using before = await open();
    await fill(before, 3000);
    const [expected, file] = [everything(before), fresh()];
    const plainBytes = (await before.snapshot(file)).bytes;
    {
      await using store = await open({ directory, persistence, snapshotCompression });
      await store.restore(file);
      const { bytes, path } = await store.snapshot();
      expect(bytes).toBeLessThan(plainBytes / 4);
      expect((await readFile(path)).length).toBe(bytes);
    }
    {
      await using store = await open({ directory, persistence });
      expect(everything(store)).toEqual(expected);
    }
    // On its closing it wrote a plain one.
    await using store = await open({ directory, persistence, snapshotCompression });
    expect(everything(store)).toEqual(expected);
  });

  test('any damaged byte of a file is refused and changes nothing, and so is a prefix', async () => {
    await using store = await open({ snapshotCompression });
    await fill(store, 3);
    const file = fresh();
    await store.snapshot(file);
    const bytes = await readFile(file);
    expect(bytes.includes('KVZ')).toBe(true);
    await store.set('mine', 'kept');
    const refused = async (what: string): Promise<void> => {
      const error: unknown = await store.restore(file).then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error, what).toBeInstanceOf(Error);
      expect(store.get('mine'), what).toBe('kept');
    };
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (at % 8)), at);
      await writeFile(file, damaged);
      await refused(`byte ${at}`);
      if (at % 16 !== 0) continue;
      await writeFile(file, bytes.subarray(0, at));
      await refused(`the first ${at} bytes`);
    }
    await writeFile(file, bytes);
    await store.restore(file);
    expect(store.has('mine')).toBe(false);
  });

  test('a damaged byte that the checksums of the file vouch for does not get past that of the frame', async () => {
    const machine = new StateMachine();
    machine.beginEntry(1, 1);
    for (let at = 0; at < 20; at++) machine.put(`key ${at}`, 'value '.repeat(at), 0);
    machine.endEntry();
    const block = machine.startSnapshot().next(FRAME_BYTES_MAX) ?? Buffer.alloc(0);
    const compressed = Buffer.from(await compressBlock(block, snapshotCompression));
    expect(await expandBlock(compressed)).toEqual(block);
    const digest = machine.digest();
    for (let at = 0; at < compressed.length; at++) {
      const damaged = Buffer.from(compressed);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x10, at);
      const copy = new StateMachine();
      try {
        const decoder = copy.beginRestore();
        decoder.push(await expandBlock(damaged));
        decoder.finish();
      } catch (error) {
        expect(error instanceof StoreError || error instanceof FormatError, String(error)).toBe(true);
        continue;
      }
      // Some bits of gzip's head say nothing.
      expect(copy.digest(), `byte ${at}`).toBe(digest);
    }
  });

  test('what would become larger than it says, or than a block can be, is refused', async () => {
    const compress = snapshotCompression === 'gzip' ? gzipSync : zstdCompressSync;
    const bombBytes = 16 * 1024 * 1024;
    const bomb = compress(Buffer.alloc(bombBytes));
    for (const [length, how] of [
      [0, 'would have 0 bytes'],
      [1000, "can't be decompressed to 1000 bytes"],
      [bombBytes - 1, "can't be decompressed to"],
      [bombBytes + 1, 'should have'],
      [0xffff_ffff, 'would have 4294967295 bytes'],
    ] as const) {
      const head = Buffer.from(`KVZ${snapshotCompression === 'gzip' ? 'g' : 's'}....`);
      head.writeUInt32LE(length, 4);
      const file = fresh();
      const blocks = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.concat([head, bomb]);
      };
      await writeSnapshotFile(file, GROUP, 1, blocks());
      await using store = await open();
      await store.set('mine', 'kept');
      // It is not decompressed to be compared then: it ends where it becomes too long.
      const message: unknown = expect.stringContaining(how);
      await expect(store.restore(file)).rejects.toMatchObject({ code: 'DAMAGED', message });
      expect(store.get('mine')).toBe('kept');
    }
  });
});

test('what does not become shorter is written as it is; an algorithm of a later release is refused by name', async () => {
  const incompressible = Buffer.from(
    '\u0030\u0000\u0000\u0000 no two bytes of this are alike: 0Xyz',
    'latin1',
  );
  for (const algorithm of ALGORITHMS)
    expect(await compressBlock(incompressible, algorithm)).toBe(incompressible);
  await expect(expandBlock(Buffer.from('KVZx, or what it may be'))).rejects.toThrow('"KVZx"');
});

test('an option that makes no sense is refused by its name', async () => {
  await expect(open({ snapshotCompression: 'lz4' as 'gzip' })).rejects.toThrow(
    'option snapshotCompression: "lz4"',
  );
});

describe.each(ALGORITHMS)('values with %s', (valueCompression) => {
  const text = 'Grüße aus Wien, '.repeat(100);
  const bytes = Buffer.from('\u0000ÿ\u0080\r\n'.repeat(500), 'latin1');

  test('whoever looks sees what was written, and the store holds less', async () => {
    const seen: unknown[] = [];
    const evicted: unknown[] = [];
    const expired: unknown[] = [];
    await using store = await open({
      valueCompression,
      maxEntries: 3,
      eviction: 'lru',
      cleanupInterval: 1,
      onEvict: (key, value) => void evicted.push([key, value]),
      onExpire: (key, value) => void expired.push([key, value]),
    });
    store.on('change', (change) => void seen.push(change));
    const watched = store.watch('text');
    await store.set('text', text);
    const change = { type: 'set', key: 'text', value: text };
    expect((await watched.next()).value).toEqual(change);
    expect(seen).toEqual([change]);
    const entry = store.getEntry('text');
    expect(entry).toMatchObject({ key: 'text', value: text, type: 'string', expiresAt: null });
    expect(entry?.bytes).toBeLessThan(text.length / 5);
    expect(store.stats().bytes).toBe(entry?.bytes);
    expect(store.get('text')).toBe(text);
    expect(store.execute(['GET', 'text'])).toBe(text);
    expect(store.execute(['STRLEN', 'text'])).toBe(Buffer.byteLength(text));
    await store.batch().put('bytes', bytes).write();
    expect(store.getBuffer('bytes')).toEqual(bytes);
    expect([...store.entries({ sorted: true })][1]).toEqual(['text', text]);
    expect([...store.values({ prefix: 'te' })]).toEqual([text]);
    expect([...store.keys({ prefix: 'te' })]).toEqual(['text']);
    expect(await store.compareAndSet('text', `${text}?`, 'other')).toBe(false);
    expect(await store.compareAndSet('text', text, `${text}!`)).toBe(true);
    const length = await store.transaction((transaction) => {
      const found = transaction.get('text') ?? '';
      transaction.set('text', `${found}!`);
      return found.length + (transaction.get('text')?.length ?? 0);
    });
    expect(length).toBe(2 * text.length + 3);
    expect(store.get('text')).toBe(`${text}!!`);
    expect(store.getEntry('text')?.bytes).toBeLessThan(text.length / 5);
    expect(store.execute(['APPEND', 'text', '?'])).toBe(Buffer.byteLength(text) + 3);
    expect(store.get('text')).toBe(`${text}!!?`);
    await store.set('text', text);
    await store.set('third', text, { ttl: 1 });
    await expect.poll(() => expired).toEqual([['third', text]]);
    for (const key of ['a', 'b', 'c']) await store.set(key, key);
    expect(evicted).toEqual([
      ['bytes', bytes.toString()],
      ['text', text],
    ]);
  });

  test('a key whose value is now compressed and now plain has the one that was set last', async () => {
    await using store = await open({ valueCompression });
    const ascii = 'Greetings from Wien, '.repeat(100);
    for (let round = 0; round < 3; round++) {
      for (const value of ['short', ascii, ascii, text, 'short', 'other', text, ascii]) {
        await store.set('key', value);
        for (let reads = 0; reads < 3; reads++) expect(store.get('key')).toBe(value);
        expect(store.getBuffer('key')?.toString()).toBe(value);
      }
    }
  });

  test('short values and those that do not become shorter are kept as they are', async () => {
    await using store = await open({ valueCompression, valueCompressionMinSize: 500 });
    await using plain = await open();
    const noise = randomBytes(2000);
    for (const each of [store, plain]) {
      await each.set('short', 'x'.repeat(499));
      await each.set('noise', noise);
      await each.set('long', 'x'.repeat(500));
    }
    for (const key of ['short', 'noise']) expect(store.getEntry(key)?.bytes).toBe(plain.getEntry(key)?.bytes);
    expect(store.getEntry('long')?.bytes).toBeLessThan((plain.getEntry('long')?.bytes ?? 0) - 300);
    expect(store.getBuffer('noise')).toEqual(noise);
  });

  test('they are compressed on disk, too, and whatever the options say now they are read', async () => {
    const directory = fresh();
    const expected = new Map<string, string>();
    const check = (store: Store): void => expect(new Map(store.entries())).toEqual(expected);
    const write = async (store: Store, from: number): Promise<void> => {
      for (let at = from; at < from + 50; at++) {
        const [key, value] = [`key ${at}`, `#${at} ${text}`];
        void store.set(key, value, at % 2 === 0 ? {} : { ttl: 1_000_000 });
        expected.set(key, value);
      }
      await store.flush();
    };
    {
      await using store = await open({ directory, valueCompression });
      await write(store, 0);
      expect((await readFile(join(directory, await logIn(directory)))).includes('Wien, Gr')).toBe(false);
    }
    for (const other of ['none', 'gzip', 'zstd'] as const) {
      await using store = await open({ directory, valueCompression: other });
      check(store);
      expect(store.ttl('key 0')).toBeNull();
      expect(store.ttl('key 1')).toBeGreaterThan(900_000);
      await write(store, { none: 100, gzip: 200, zstd: 300 }[other]);
      const { path } = await store.snapshot();
      check(store);
      // Each is as it was written, and stays so.
      const written = await readFile(path);
      expect(written.includes(`#49 ${'Grüße aus Wien, '.repeat(3)}`)).toBe(false);
      expect(written.includes(`#149 ${'Grüße aus Wien, '.repeat(3)}`)).toBe(true);
      const { bytes } = store.stats();
      const file = fresh();
      await store.snapshot(file);
      await using copy = await open();
      await copy.restore(file);
      check(copy);
      expect(copy.stats().bytes).toBe(bytes);
    }
    await using store = await open(directory);
    check(store);
  });

  test('other programs get the plain ones', async () => {
    await using store = await open({ valueCompression });
    await store.set('text', text);
    await store.set('more', text.repeat(2));
    for (const format of ['json', 'binary', 'kvsp', 'kvlg', 'rdb', 'resp'] as const) {
      const file = fresh();
      await store.export(file, format);
      await using copy = await open();
      await copy.load(file, format);
      expect([...copy.entries({ sorted: true })], format).toEqual([...store.entries({ sorted: true })]);
    }
  });
});

async function logIn(directory: string): Promise<string> {
  return (await readdir(directory)).find((name) => name.endsWith('.log')) ?? '';
}
