/**
 * What callers of the log rely on, on the fault-free path and where operations fail.
 */
import { describe, expect, test } from 'vitest';
import { FaultyStorage, kernelError } from '../../test/unit/wal/faulty-storage.ts';
import {
  CONFIGURATION,
  DIRECTORY,
  foreignSnapshot,
  INITIAL,
  options,
  Runner,
} from '../../test/unit/wal/model.ts';
import { asIndex, asNodeId, asTerm, type Entry, EntryType } from '../raft/types.ts';
import { Wal, type WalOptions } from './wal.ts';

function entry(index: number, term: number, size = 100): Entry {
  const payload = Buffer.alloc(size, index & 255);
  return { index: asIndex(index), term: asTerm(term), type: EntryType.batch, payload };
}

function batch(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
}

const plain = (entries: readonly Entry[]) => ({ hardState: null, entries, commit: asIndex(1) });

async function opened(changes: Partial<WalOptions> = {}): Promise<{ wal: Wal; storage: FaultyStorage }> {
  const storage = new FaultyStorage();
  const { wal } = await Wal.open(options(storage, changes));
  return { wal, storage };
}

describe('an empty directory', () => {
  test('begins with the bootstrap, an existing one ignores it', async () => {
    const storage = new FaultyStorage();
    const first = await Wal.open(options(storage));
    expect(first.recovered).toMatchObject({
      hardState: INITIAL.hardState,
      snapshot: null,
      firstIndex: 1,
      lastIndex: 1,
      termRuns: [{ term: 1, first: 1 }],
      configurations: [{ index: 1, configuration: CONFIGURATION }],
    });
    await first.wal.append(plain(batch(2, 4)));
    await first.wal.close();
    const second = await Wal.open(options(storage));
    expect(second.recovered.lastIndex).toBe(4);
    expect(second.notes).toEqual([]);
  });

  test('without a bootstrap is an empty log in term 0', async () => {
    const { recovered } = await Wal.open(options(new FaultyStorage(), { bootstrap: null }));
    expect(recovered).toMatchObject({
      hardState: { term: 0, vote: null, recovering: false },
      configurations: [],
      firstIndex: 1,
      lastIndex: 0,
      compacted: { index: 0, term: 0 },
    });
  });

  test('keeps the cluster id it was set up with', async () => {
    const storage = new FaultyStorage();
    const identity = { clusterId: 'first', nodeId: 'n1', group: 'main' };
    await (await Wal.open(options(storage, { identity }))).wal.close();
    const { wal } = await Wal.open(options(storage, { identity: { ...identity, clusterId: 'second' } }));
    expect(wal.identity.clusterId).toBe('first');
  });
});

describe('append', () => {
  test('syncs term and vote in both copies before it writes the entries', async () => {
    const { wal, storage } = await opened();
    const order: string[] = [];
    storage.fail = (operation, path) => {
      if (operation === 'write' || operation === 'sync')
        order.push(`${operation} ${path.slice(DIRECTORY.length + 1)}`);
      return null;
    };
    const hardState = { term: asTerm(2), vote: asNodeId('n2'), recovering: false };
    await wal.append({ hardState, entries: [entry(2, 2)], commit: asIndex(1) });
    const log = order.at(-1)?.slice('sync '.length);
    expect(log).toMatch(/\.log$/);
    expect(order).toEqual([
      'write term-vote-a',
      'sync term-vote-a',
      'write term-vote-b',
      'sync term-vote-b',
      `write ${log}`,
      `sync ${log}`,
    ]);
  });

  test('of an entry larger than a segment works, and the log goes on', async () => {
    const { wal, storage } = await opened();
    await wal.append(plain([entry(2, 1, 300_000)]));
    await wal.append(plain(batch(3, 60)));
    expect((await wal.read(asIndex(2), asIndex(2), 1))[0]?.payload).toHaveLength(300_000);
    await wal.close();
    const again = await Wal.open(options(storage));
    expect(again.recovered.lastIndex).toBe(60);
  });

  test('refuses a gap, a falling term and a second append while one is under way', async () => {
    const { wal } = await opened();
    await wal.append({
      hardState: { term: asTerm(3), vote: null, recovering: false },
      entries: [entry(2, 3)],
      commit: asIndex(1),
    });
    const before = wal.lastIndex;
    const first = wal.append(plain([entry(3, 3)]));
    await expect(wal.append(plain([entry(4, 3)]))).rejects.toThrow('another one was under way');
    await first;
    expect(wal.lastIndex).toBe(before + 1);
    const gap = await opened();
    await expect(gap.wal.append(plain([entry(9, 1)]))).rejects.toThrow('appended to a log of 1 to 1');
    const falling = await opened();
    await expect(falling.wal.append(plain([entry(2, 1), entry(3, 0)]))).rejects.toThrow('of term 0');
    const ahead = await opened();
    await expect(ahead.wal.append(plain([entry(2, 5)]))).rejects.toThrow('of term 5');
  });

  test.each([
    ['EIO', 'sync', 'WAL_IO'],
    ['EIO', 'write', 'WAL_IO'],
    ['ENOSPC', 'write', 'WAL_FULL'],
  ])(
    'after %s of a %s the log refuses everything, and a new start recovers (scenario 50)',
    async (errno, failing, code) => {
      const { wal, storage } = await opened();
      await wal.append(plain(batch(2, 3)));
      let failures = 0;
      storage.fail = (operation, path) => {
        if (operation !== failing || !path.endsWith('.log') || failures > 0) return null;
        failures += 1;
        return kernelError(errno);
      };
      await expect(wal.append(plain([entry(4, 1)]))).rejects.toMatchObject({ code, retryable: false });
      // The disk would say yes now; the log must not ask.
      await expect(wal.append(plain([entry(4, 1)]))).rejects.toMatchObject({ code });
      await expect(
        wal.append({ hardState: INITIAL.hardState, entries: [], commit: asIndex(0) }),
      ).rejects.toMatchObject({ code });
      await wal.close();
      const { recovered } = await Wal.open(options(storage));
      expect([3, 4]).toContain(recovered.lastIndex);
    },
  );

  test('what a failed sync left in the page cache is written again before it is believed', async () => {
    const { wal, storage } = await opened();
    storage.fail = (operation, path) =>
      operation === 'sync' && path.endsWith('.log') ? kernelError('EIO') : null;
    await expect(wal.append(plain([entry(2, 1)]))).rejects.toThrow('EIO');
    // The kernel gave the pages up: they look written, and no later sync writes them.
    storage.fail = () => null;
    const path = [...storage.names.keys()].find((name) => name.endsWith('.log'))!;
    storage.names.get(path)!.dirty.clear();
    storage.killProcess();
    const again = await Wal.open(options(storage));
    expect(again.recovered.lastIndex).toBe(2);
    storage.losePower(() => false);
    const last = await Wal.open(options(storage));
    expect(last.recovered.lastIndex).toBe(2);
  });

  test('a failed sync in the background ends the log and is reported at once', async () => {
    const failures: string[] = [];
    const { wal, storage } = await opened({
      fsync: 'interval',
      onFailure: (error) => failures.push(error.code),
    });
    await wal.append(plain(batch(2, 3)));
    storage.fail = (operation) => (operation === 'sync' ? kernelError('EIO') : null);
    storage.tick();
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    expect(failures).toEqual(['WAL_IO']);
    storage.fail = () => null;
    await expect(wal.append(plain([entry(4, 1)]))).rejects.toMatchObject({ code: 'WAL_IO' });
  });

  test('a sync that fails when the log is closed says which file, and gives the directory free', async () => {
    const { wal, storage } = await opened();
    await wal.append(plain(batch(2, 3)));
    storage.fail = (operation) => (operation === 'sync' ? kernelError('EIO') : null);
    await expect(wal.close()).rejects.toMatchObject({ name: 'WalError', code: 'WAL_IO' });
    storage.fail = () => null;
    const { recovered } = await Wal.open(options(storage));
    expect(recovered.lastIndex).toBe(3);
  });

  test('a next segment that could not be prepared is tried again when it is needed', async () => {
    const { wal, storage } = await opened();
    let refusals = 1;
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    storage.fail = (operation, path) =>
      operation === 'open' && path.endsWith('.tmp') && (refusals -= 1) >= 0 ? kernelError('ENOSPC') : null;
    // The first rotation takes the segment that was prepared at the start; preparing the one after it fails.
    for (let from = 2; from <= 62; from += 20) await wal.append(plain(batch(from, from + 19)));
    expect(refusals).toBeLessThan(0);
    await wal.close();
    const { recovered } = await Wal.open(options(storage));
    expect(recovered.lastIndex).toBe(81);
  });

  test.each(['open', 'write', 'sync', 'rename'])(
    'no space for the next segment (%s): nothing is written, and the same append succeeds later',
    async (failing) => {
      const { wal, storage } = await opened();
      for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
      const full = (operation: string, path: string): Error | null =>
        operation === failing && path.endsWith('.tmp') ? kernelError('ENOSPC') : null;
      storage.fail = full;
      let last = 1;
      const fill = async (): Promise<void> => {
        for (;;) {
          await wal.append(plain(batch(last + 1, last + 20)));
          last += 20;
        }
      };
      const outage = { code: 'WAL_FULL', retryable: true };
      await expect(fill()).rejects.toMatchObject(outage);
      expect(wal.lastIndex).toBe(last);
      // As often as one likes, and the rest of the log goes on working.
      await expect(fill()).rejects.toMatchObject(outage);
      await expect(wal.append(plain([entry(last + 1, 1, 40_000)]))).rejects.toMatchObject(outage);
      expect([...storage.names.keys()].filter((name) => name.endsWith('.tmp'))).toEqual([]);
      expect((await wal.read(asIndex(last), asIndex(last), 1e6))[0]?.index).toBe(last);
      const hardState = { term: asTerm(2), vote: asNodeId('n2'), recovering: false };
      await wal.append({ hardState, entries: [], commit: asIndex(1) });
      storage.fail = () => null;
      await wal.append(plain(batch(last + 1, last + 20)));
      // The outage in the middle of nothing leaves nothing behind: a power loss now finds all of it.
      storage.losePower(() => false);
      const { recovered, notes } = await Wal.open(options(storage));
      expect(recovered).toMatchObject({ lastIndex: last + 20, hardState });
      expect(notes).toEqual([]);
    },
  );

  test('no space while a snapshot replaces the log: it can be tried again, too', async () => {
    const { wal, storage } = await opened();
    const { meta, file } = foreignSnapshot(50, 1);
    const receiver = await wal.receiveSnapshot(meta);
    await receiver.write(file);
    await receiver.finish();
    await wal.append(plain(batch(2, 60)));
    for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
    storage.fail = (operation, path) =>
      operation === 'write' && path.endsWith('.tmp') ? kernelError('ENOSPC') : null;
    await expect(wal.resetToSnapshot(meta)).rejects.toMatchObject({ code: 'WAL_FULL', retryable: true });
    storage.fail = () => null;
    await wal.resetToSnapshot(meta);
    await wal.append(plain([entry(51, 1)]));
    await wal.close();
    const { recovered } = await Wal.open(options(storage));
    expect(recovered).toMatchObject({ firstIndex: 51, lastIndex: 51 });
  });
});

describe('read', () => {
  test('gives at least one entry, then as many as fit', async () => {
    const { wal } = await opened();
    await wal.append(plain(batch(2, 20)));
    const indexes = async (from: number, to: number, bytes: number): Promise<number[]> =>
      (await wal.read(asIndex(from), asIndex(to), bytes)).map(({ index }) => index);
    expect(await indexes(3, 20, 1)).toEqual([3]);
    expect(await indexes(3, 20, 250)).toEqual([3, 4]);
    expect(await indexes(19, 400, 1e6)).toEqual([19, 20]);
    expect(await indexes(3, 5, 1e6)).toEqual([3, 4, 5]);
    expect(await indexes(21, 30, 1e6)).toEqual([]);
    expect(await indexes(5, 4, 1e6)).toEqual([]);
  });

  test('during a truncation gives nothing rather than entries that are no more (scenario 22)', async () => {
    const { wal } = await opened();
    await wal.append(plain(batch(2, 20)));
    const reading = wal.read(asIndex(5), asIndex(20), 1e6);
    let truncated = false;
    const hardState = { term: asTerm(2), vote: null, recovering: false };
    const appending = wal.append({ hardState, entries: batch(4, 9, 2), commit: asIndex(3) }).then(() => {
      truncated = true;
    });
    const early = await reading;
    // It either finished before the truncation, or noticed it.
    expect(truncated ? 0 : 16).toBe(early.length);
    await appending;
    expect((await wal.read(asIndex(4), asIndex(20), 1e6)).map(({ term }) => term)).toEqual(Array(6).fill(2));
  });

  test('that a truncation overtakes comes back empty', async () => {
    const { wal, storage } = await opened();
    await wal.append(plain(batch(2, 20)));
    await wal.append({
      hardState: { term: asTerm(2), vote: null, recovering: false },
      entries: [],
      commit: asIndex(1),
    });
    const reading = overtaken(storage, wal.read.bind(wal, asIndex(5), asIndex(20), 1e6), async () => {
      await wal.append(plain([entry(4, 2)]));
    });
    expect(await reading).toEqual([]);
  });

  test('that a compaction overtakes still gets what it asked for, or nothing', async () => {
    const { wal, storage } = await opened();
    for (let from = 2; from < 200; from += 10) await wal.append(plain(batch(from, from + 9)));
    const reading = overtaken(storage, wal.read.bind(wal, asIndex(2), asIndex(5), 1e6), () =>
      wal.compact(asIndex(150)),
    );
    expect((await reading).map(({ index }) => index)).toEqual([2, 3, 4, 5]);
    expect(wal.firstIndex).toBeGreaterThan(100);
    expect(await wal.read(asIndex(2), asIndex(5), 1e6)).toEqual([]);
  });

  test('of a record that changed on the disk is refused', async () => {
    const { wal, storage } = await opened();
    await wal.append(plain(batch(2, 3)));
    const path = [...storage.names.keys()].find((name) => name.endsWith('.log'))!;
    const bytes = storage.bytes(path);
    bytes[bytes.indexOf(Buffer.alloc(50, 3)) + 20]! ^= 1;
    await expect(wal.read(asIndex(2), asIndex(3), 1e6)).rejects.toMatchObject({ code: 'WAL_CORRUPT' });
  });
});

/** Holds the first read of a log file back until `other` is done. */
async function overtaken<T>(
  storage: FaultyStorage,
  read: () => Promise<T>,
  other: () => Promise<void>,
): Promise<T> {
  const original = storage.open.bind(storage);
  const { promise, resolve } = Promise.withResolvers<void>();
  storage.open = async (path, mode) => {
    const file = await original(path, mode);
    if (mode !== 'read') return file;
    return {
      ...file,
      read: async (buffer, position) => {
        await promise;
        return file.read(buffer, position);
      },
    };
  };
  const reading = read();
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  storage.open = original;
  await other();
  resolve();
  return reading;
}

describe('snapshots', () => {
  const at = (index: number) => ({
    index: asIndex(index),
    term: asTerm(1),
    configuration: CONFIGURATION,
    configurationIndex: asIndex(1),
  });

  async function take(wal: Wal, index: number, ...blocks: string[]) {
    const writer = await wal.createSnapshot(at(index));
    for (const block of blocks) await writer.write(Buffer.from(block));
    return writer.finish();
  }

  async function blocksOf(wal: Wal, id: Parameters<Wal['openSnapshot']>[0]): Promise<string[]> {
    const reader = await wal.openSnapshot(id);
    const blocks: string[] = [];
    for await (const block of reader) blocks.push(block.toString());
    await reader.close();
    return blocks;
  }

  test('give back their blocks, and survive a restart', async () => {
    const { wal, storage } = await opened();
    await wal.append(plain(batch(2, 9)));
    const meta = await take(wal, 5, 'one', '', 'three');
    expect(await blocksOf(wal, meta)).toEqual(['one', '', 'three']);
    await wal.close();
    const again = await Wal.open(options(storage));
    expect(again.recovered.snapshot).toEqual(meta);
    expect(await blocksOf(again.wal, meta)).toEqual(['one', '', 'three']);
  });

  test('an aborted one leaves nothing behind', async () => {
    const { wal, storage } = await opened();
    const writer = await wal.createSnapshot(at(1));
    await writer.write(Buffer.from('x'));
    await writer.abort();
    expect([...storage.names.keys()].filter((name) => name.includes('snapshot'))).toEqual([]);
  });

  test('travel in pieces and arrive with the same bytes', async () => {
    const from = await opened();
    await from.wal.append(plain(batch(2, 9)));
    const meta = await take(from.wal, 5, 'a'.repeat(600_000), 'b');
    const to = await opened();
    const receiver = await to.wal.receiveSnapshot(meta);
    for await (const piece of from.wal.snapshotPieces(meta, 0)!) await receiver.write(piece);
    await receiver.finish();
    await to.wal.resetToSnapshot(meta);
    expect(to.wal).toMatchObject({ firstIndex: 6, lastIndex: 5 });
    expect((await blocksOf(to.wal, meta)).at(-1)).toBe('b');
    expect(from.wal.snapshotPieces({ index: meta.index, checksum: 1 }, 0)).toBeNull();
    expect((await to.wal.receiveSnapshot(meta)).offset).toBe(meta.bytes);
  });

  test('what has changed on the disk does not pass for a snapshot, neither with the sender nor with the receiver', async () => {
    const from = await opened();
    await from.wal.append(plain(batch(2, 9)));
    const meta = await take(from.wal, 5, 'a'.repeat(600_000), 'b');
    const path = [...from.storage.names.keys()].find((name) => name.endsWith('.snap'))!;
    const file = await from.storage.open(path, 'update');
    await file.write([Buffer.from('x')], 300_000);
    await file.close();
    const to = await opened();
    const receiver = await to.wal.receiveSnapshot(meta);
    const sent = (async () => {
      for await (const piece of from.wal.snapshotPieces(meta, 0)!) await receiver.write(piece);
    })();
    await expect(sent).rejects.toMatchObject({ code: 'WAL_CORRUPT' });
    expect(receiver.offset).toBeLessThan(meta.bytes);
    for await (const piece of from.wal.snapshotPieces(meta, receiver.offset)!) await receiver.write(piece);
    await expect(receiver.finish()).rejects.toMatchObject({ code: 'WAL_TRANSFER' });
  });

  test('a suspended transfer goes on where it stood, and the one that was overtaken can not write (scenario 44)', async () => {
    const { wal } = await opened();
    const { meta, file } = foreignSnapshot(50, 1);
    const first = await wal.receiveSnapshot(meta);
    await first.write(file.subarray(0, 300));
    const second = await wal.receiveSnapshot(meta);
    expect(second.offset).toBe(300);
    await expect(first.write(file.subarray(300, 400))).rejects.toMatchObject({ code: 'WAL_TRANSFER' });
    await second.write(file.subarray(300));
    await second.finish();
    await first.suspend();
    await second.suspend();
    expect(await blocksOf(wal, meta)).toHaveLength(2);
  });

  test('one whose sync failed is given up: another sync would report success for what the disk does not have', async () => {
    const { wal, storage } = await opened();
    const { meta, file } = foreignSnapshot(50, 1);
    storage.fail = (operation, path) =>
      operation === 'sync' && path.includes('.part') ? kernelError('EIO') : null;
    const receiver = await wal.receiveSnapshot(meta);
    await receiver.write(file);
    await expect(receiver.finish()).rejects.toMatchObject({ code: 'WAL_IO' });
    await receiver.suspend();
    expect([...storage.names.keys()].filter((name) => name.includes('snapshot'))).toEqual([]);
    storage.fail = () => null;
    const again = await wal.receiveSnapshot(meta);
    expect(again.offset).toBe(0);
    await again.write(file);
    await again.finish();
    expect(await blocksOf(wal, meta)).toHaveLength(2);
  });

  test('one that differs from its announcement is given up, and the next transfer begins anew', async () => {
    const { wal, storage } = await opened();
    const { meta, file } = foreignSnapshot(50, 1);
    const wrong = Buffer.from(file);
    wrong[600]! ^= 1;
    const receiver = await wal.receiveSnapshot(meta);
    await receiver.write(wrong);
    await expect(receiver.finish()).rejects.toMatchObject({ code: 'WAL_TRANSFER' });
    expect([...storage.names.keys()].filter((name) => name.includes('snapshot'))).toEqual([]);
    const again = await wal.receiveSnapshot(meta);
    expect(again.offset).toBe(0);
    await expect(again.write(Buffer.alloc(meta.bytes + 1))).rejects.toMatchObject({ code: 'WAL_TRANSFER' });
  });

  test('a file that is being sent is not purged (scenario 45)', async () => {
    const { wal } = await opened();
    await wal.append(plain(batch(2, 9)));
    const old = await take(wal, 3, 'a'.repeat(400_000));
    const sending = wal.snapshotPieces(old, 0)!;
    await sending.next();
    const recent = await take(wal, 6, 'b');
    await wal.purgeSnapshots(1);
    expect(wal.snapshotPieces(old, 0)).not.toBeNull();
    await sending.return();
    await wal.purgeSnapshots(1);
    expect(wal.snapshotPieces(old, 0)).toBeNull();
    expect(wal.snapshotPieces(recent, 0)).not.toBeNull();
  });

  test('a purge that fails says what failed where', async () => {
    const { wal, storage } = await opened();
    await wal.append(plain(batch(2, 9)));
    await take(wal, 3, 'a');
    await take(wal, 6, 'b');
    storage.fail = (operation) => (operation === 'syncDirectory' ? kernelError('EIO') : null);
    await expect(wal.purgeSnapshots(1)).rejects.toMatchObject({
      name: 'WalError',
      code: 'WAL_IO',
      message: 'sync /data: EIO',
    });
  });

  test('received, but not yet in the log when the node stopped: the start finishes it', async () => {
    const runner = new Runner(new FaultyStorage());
    await runner.open();
    const { meta, file } = foreignSnapshot(50, 7);
    const receiver = await runner.wal.receiveSnapshot(meta);
    await receiver.write(file);
    await receiver.finish();
    runner.storage.losePower(() => false);
    const { recovered, notes } = await Wal.open(options(runner.storage));
    expect(recovered).toMatchObject({
      hardState: { term: 7, vote: null, recovering: false },
      firstIndex: 51,
      lastIndex: 50,
      compacted: { index: 50, term: 7 },
      commit: 50,
    });
    expect(notes.join()).toContain('gave way to the snapshot at 50');
  });
});
