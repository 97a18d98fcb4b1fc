import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { options } from '../../test/unit/wal/model.ts';
import { FaultyStorage } from '../../test/unit/wal/faulty-storage.ts';
import { asIndex, asTerm, EntryType } from '../raft/types.ts';
import { nodeStorage } from './node-storage.ts';
import { Wal } from './wal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kvorum-storage-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

test('several buffers land one after the other, and a read stops at the end of the file', async () => {
  const path = join(directory, 'file');
  const file = await nodeStorage.open(path, 'create');
  await file.write([Buffer.from('one'), Buffer.alloc(0), Buffer.from('two')], 4);
  await file.write([Buffer.from('zero')], 0);
  await file.sync();
  expect(await file.size()).toBe(10);
  const buffer = Buffer.alloc(20);
  expect(await file.read(buffer, 3)).toBe(7);
  expect(buffer.toString('latin1', 0, 7)).toBe('oonetwo');
  await file.close();
  expect(readFileSync(path, 'latin1')).toBe('zeroonetwo');
});

test('directories are made with their parents; missing files are told by their code', async () => {
  const deep = join(directory, 'a', 'b');
  await nodeStorage.makeDirectory(deep);
  await nodeStorage.makeDirectory(deep);
  expect(await nodeStorage.list(deep)).toEqual([]);
  await expect(nodeStorage.open(join(deep, 'x'), 'read')).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(nodeStorage.remove(join(deep, 'x'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a place where no directory can be made is told, not tried for ever', async () => {
  await expect(nodeStorage.makeDirectory('/proc/kvorum/data')).rejects.toMatchObject({ code: 'ENOENT' });
  const file = join(directory, 'file');
  await (await nodeStorage.open(file, 'create')).close();
  await expect(nodeStorage.makeDirectory(file)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(nodeStorage.makeDirectory(join(file, 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test('free space is that of the device the directory lies on', async () => {
  expect(await nodeStorage.freeBytes(directory)).toBeGreaterThan(0);
  await expect(nodeStorage.freeBytes(join(directory, 'x'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('the log works on the real disk: rotates, refuses a second opener, and is all there afterwards', async () => {
  const real = {
    ...options(new FaultyStorage(), { segmentBytes: 65_536 }),
    directory: join(directory, 'data'),
    storage: nodeStorage,
  };
  const { wal } = await Wal.open(real);
  await expect(Wal.open(real)).rejects.toMatchObject({ code: 'WAL_LOCKED' });
  for (let index = 2; index <= 200; index += 1) {
    const payload = Buffer.alloc(1000, index);
    const entry = { index: asIndex(index), term: asTerm(1), type: EntryType.batch, payload };
    await wal.append({ hardState: null, entries: [entry], commit: asIndex(1) });
  }
  await wal.close();
  const { wal: again, recovered, notes } = await Wal.open(real);
  expect(recovered.lastIndex).toBe(200);
  expect(notes).toEqual([]);
  const entries = await again.read(asIndex(100), asIndex(110), 1e6);
  expect(entries.map(({ payload }) => payload[0])).toEqual(entries.map(({ index }) => index));
  await again.close();
});
