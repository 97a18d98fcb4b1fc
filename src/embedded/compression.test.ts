import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
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

  test('any damaged byte of a file is refused and changes nothing, and so is any prefix', async () => {
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
