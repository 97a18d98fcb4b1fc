/**
 * Damage to bytes that were durable, kind by kind (scenarios 3, 47, 49), on a node alone: opening either refuses or
 * finds all that was acknowledged; it never comes up with less. Byte by byte: every-byte.test.ts.
 */
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { FaultyStorage, kernelError, Stopped } from '../../test/unit/wal/faulty-storage.ts';
import { type Action, CONFIGURATION, DIRECTORY, options, Runner, TRIO } from '../../test/unit/wal/model.ts';
import { asIndex, asTerm, EntryType } from '../raft/types.ts';
import { encodePage } from './page.ts';
import { Wal, WalError } from './wal.ts';

const append = (...sizes: number[]): Action => ({ type: 'append', back: 0, sizes, newTerm: false });

/** A log over several segments with a truncation and a snapshot, closed, so that all of it is known to be durable. */
async function closedLog(): Promise<Runner> {
  const runner = new Runner(new FaultyStorage());
  await runner.open();
  const script: Action[] = [
    append(900, 900),
    { type: 'snapshot', share: 0.6 },
    append(1500),
    append(1000),
    { type: 'append', back: 1, sizes: [100], newTerm: true },
    append(60),
    append(200),
  ];
  for (const action of script) await runner.run(action);
  await runner.wal.close();
  return runner;
}

/** Opens a damaged copy: an error's code, or `intact` when nothing acknowledged is gone. */
async function verdict(runner: Runner, storage: FaultyStorage): Promise<string> {
  const again = new Runner(storage);
  // A damaged snapshot may be given up while the log covers what it did: the entries are what counts.
  again.state = { ...runner.state, snapshot: null };
  const { hardState } = runner.state;
  try {
    await again.open();
  } catch (error) {
    if (error instanceof WalError) return error.code;
    throw error;
  }
  expect(again.state.hardState).toEqual(hardState);
  await again.wal.close();
  return 'intact';
}

function pathsOf(runner: Runner): string[] {
  return [...runner.storage.names.keys()].sort();
}

function onlyPath(runner: Runner, part: string): string {
  const found = pathsOf(runner).filter((path) => path.includes(part));
  expect(found.length, part).toBeGreaterThan(0);
  return found.at(-1)!;
}

describe('one flipped bit', () => {
  test('in the last batch of a node alone is refused as soon as the log was idle for a moment', async () => {
    const runner = new Runner(new FaultyStorage());
    await runner.open();
    await runner.run(append(300));
    await runner.run({ type: 'idle' });
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    runner.storage.killProcess();
    const path = onlyPath(runner, '.log');
    const bytes = runner.storage.bytes(path);
    const last = bytes.findLastIndex((byte) => byte !== 0);
    for (let at = last; at > last - 300; at -= 1) {
      const storage = runner.storage.clone();
      storage.bytes(path)[at]! ^= 4;
      const result = await verdict(runner, storage);
      expect(bytes[at] === 0 ? 'WAL_CORRUPT intact' : 'WAL_CORRUPT').toContain(result);
    }
  });
});

describe('the evidence, each kind alone', () => {
  test('a later batch: a busy log was killed, a batch before the last is damaged', async () => {
    const runner = new Runner(new FaultyStorage());
    await runner.open();
    await runner.run(append(300));
    const { storage } = runner;
    const path = onlyPath(runner, '.log');
    const start = storage.bytes(path).findLastIndex((byte) => byte !== 0) + 1;
    await runner.run(append(300));
    await runner.run(append(300));
    storage.killProcess();
    expect(
      storage
        .bytes(path)
        .subarray(4096 + 512, 8192)
        .every((byte) => byte === 0),
    ).toBe(true);
    const damaged = storage.clone();
    damaged.bytes(path)[Math.ceil(start / 512) * 512 + 100]! ^= 1;
    expect(await verdict(runner, damaged)).toBe('WAL_CORRUPT');
  });

  test('a successor: the damaged segment has lost its identifiers too, and stays as it is', async () => {
    const runner = await closedLog();
    const path = pathsOf(runner).find((name) => name.endsWith('.log'))!;
    const bytes = runner.storage.bytes(path);
    bytes.fill(0, 4096, 8192);
    // In its last batch, which no later one in the same segment speaks for.
    bytes[bytes.findLastIndex((byte) => byte !== 0) - 8]! ^= 1;
    const before = Buffer.from(bytes);
    expect(await verdict(runner, runner.storage)).toBe('WAL_CORRUPT');
    expect(runner.storage.bytes(path)).toEqual(before);
  });

  test('identifiers that can not be read leave the question open, so the damaged batch is refused', async () => {
    const runner = await closedLog();
    const path = onlyPath(runner, '.log');
    const bytes = runner.storage.bytes(path);
    const ring = bytes.subarray(4096, 8192);
    for (let at = 0; at < ring.length; at += 512) if (ring[at] !== 0) ring[at]! ^= 1;
    bytes[bytes.findLastIndex((byte) => byte !== 0) - 8]! ^= 1;
    expect(await verdict(runner, runner.storage)).toBe('WAL_CORRUPT');
  });
});

describe('lost and misplaced bytes', () => {
  test('any sector of a durable log that turns to zeros is refused or was empty', async () => {
    const runner = await closedLog();
    for (const path of pathsOf(runner).filter((name) => name.endsWith('.log'))) {
      for (let at = 0; at < runner.storage.bytes(path).length; at += 512) {
        const storage = runner.storage.clone();
        const sector = storage.bytes(path).subarray(at, at + 512);
        if (sector.every((byte) => byte === 0)) continue;
        sector.fill(0);
        const result = await verdict(runner, storage);
        // An identifier of an older batch is of no consequence while the log behind it is sound.
        if (at < 4096 || at >= 8192) expect(result, `${path} at ${at}`).toBe('WAL_CORRUPT');
      }
    }
  });

  test('a sector in the place of another one is refused', async () => {
    const runner = await closedLog();
    const path = onlyPath(runner, '.log');
    const storage = runner.storage.clone();
    const bytes = storage.bytes(path);
    const batches = bytes.subarray(8192);
    expect(batches.subarray(0, 1024).some((byte) => byte !== 0)).toBe(true);
    Buffer.from(batches.subarray(0, 512)).copy(batches, 512);
    expect(await verdict(runner, storage)).toBe('WAL_CORRUPT');
  });

  test.each([
    ['whole batches', 3],
    ['one record within a batch', 1],
  ])('a stale write in the right place breaks the chain: %s (scenario 49)', async (_what, sectors) => {
    // Two histories that differ from batch 2 on, in batches whose second entry fills exactly their second sector.
    const histories = [];
    for (let count = 0; count < 2; count += 1) {
      const runner = new Runner(new FaultyStorage());
      await runner.open();
      await runner.run(append(400));
      await runner.run(append(432, 480));
      await runner.wal.close();
      histories.push(runner);
    }
    const [ours, other] = histories as [Runner, Runner];
    const path = onlyPath(ours, '.log');
    const bytes = ours.storage.bytes(path);
    const batch =
      bytes.subarray(
        0,
        bytes.findLastIndex((byte) => byte !== 0),
      ).length - 1024;
    const start = Math.floor(batch / 512) * 512;
    const from = sectors === 1 ? start + 512 : start;
    other.storage.bytes(path).copy(bytes, from, from, from + sectors * 512);
    expect(await verdict(ours, ours.storage)).toBe('WAL_CORRUPT');
  });

  test('any file that disappears is refused, but for what exists twice or is only prepared', async () => {
    const runner = await closedLog();
    for (const path of pathsOf(runner)) {
      const storage = runner.storage.clone();
      storage.lose(path);
      const result = await verdict(runner, storage);
      // The snapshot's entries are all still in the log.
      const spare = path.includes('term-vote') || path.endsWith('.tmp') || path.endsWith('.snap');
      expect(result, path).toBe(spare ? 'intact' : 'WAL_CORRUPT');
    }
  });

  test('a segment that disappears is missed, even where a crash came between its name and the mark for it', async () => {
    for (let marks = 0; marks < 2; marks += 1) {
      const runner = new Runner(new FaultyStorage());
      await runner.open();
      const { storage } = runner;
      // The write of the mark, then its sync, never happen.
      let ring = 0;
      storage.fail = (operation, path) => {
        const isOld = path.endsWith('0000000000000001-0000000000000001.log');
        const named = [...storage.names.keys()].some((name) => name.includes('/0000000000000002-'));
        if (isOld && named && (operation === 'write' || operation === 'sync')) ring += 1;
        if (ring > marks) storage.stopAt = storage.operations;
        return null;
      };
      const filling = async (): Promise<void> => {
        for (;;) await runner.run(append(1500));
      };
      await expect(filling()).rejects.toMatchObject({ cause: expect.any(Stopped) as unknown });
      storage.losePower(() => false);
      await runner.open();
      await runner.run(append(100));
      await runner.wal.close();
      storage.lose(onlyPath(runner, '/0000000000000002-'));
      await expect(Wal.open(options(storage))).rejects.toThrow('[successor missing]');
    }
  });

  test('a segment that re-appears after it was compacted away is refused', async () => {
    const runner = await closedLog();
    await runner.open();
    await runner.run({ type: 'snapshot', share: 1 });
    const oldest = pathsOf(runner).find((path) => path.endsWith('.log'))!;
    const stale = Buffer.from(runner.storage.bytes(oldest));
    for (let count = 0; count < 4; count += 1) await runner.run(append(1800));
    await runner.run({ type: 'snapshot', share: 1 });
    await runner.run({ type: 'compact', share: 1 });
    await runner.wal.close();
    expect(pathsOf(runner)).not.toContain(oldest);
    runner.storage.setBytes(oldest, stale);
    expect(await verdict(runner, runner.storage.clone())).toBe('WAL_CORRUPT');
  });
});

describe('term and vote', () => {
  test('one damaged copy is repaired from the other, two are refused', async () => {
    const runner = await closedLog();
    for (const damaged of [['a'], ['b'], ['a', 'b']]) {
      const storage = runner.storage.clone();
      for (const copy of damaged) storage.bytes(`${DIRECTORY}/term-vote-${copy}`)[30]! ^= 1;
      expect(await verdict(runner, storage)).toBe(damaged.length === 1 ? 'intact' : 'WAL_CORRUPT');
      if (damaged.length === 1) {
        expect(storage.bytes(`${DIRECTORY}/term-vote-a`)).toEqual(storage.bytes(`${DIRECTORY}/term-vote-b`));
      }
    }
  });

  test('an older second copy never comes back once the newer was believed', async () => {
    const runner = await closedLog();
    const storage = runner.storage.clone();
    const older = Buffer.from(storage.bytes(`${DIRECTORY}/term-vote-b`));
    const first = new Runner(storage);
    first.state = runner.state;
    await first.open();
    await first.run({ type: 'vote' });
    await first.wal.close();
    // As if the crash had come between the two copies.
    storage.setBytes(`${DIRECTORY}/term-vote-b`, older);
    await first.open();
    await first.wal.close();
    storage.bytes(`${DIRECTORY}/term-vote-a`)[30]! ^= 1;
    await first.open();
    expect(first.wal.hardState).toEqual(first.state.hardState);
    expect(first.wal.hardState.vote).toBe('n2');
  });
});

describe('a bad end of the log that was durable', () => {
  /** As `closedLog`, with others to ask. */
  async function damagedEnd(configuration = TRIO): Promise<FaultyStorage> {
    const runner = new Runner(new FaultyStorage(), {}, configuration);
    await runner.open();
    await runner.run(append(300));
    await runner.run(append(300, 200));
    await runner.wal.close();
    const bytes = runner.storage.bytes(onlyPath(runner, '.log'));
    bytes[bytes.findLastIndex((byte) => byte !== 0) - 100]! ^= 1;
    return runner.storage;
  }

  test('is put aside, and the node recovers, with a note that says so', async () => {
    const storage = await damagedEnd();
    const { wal, recovered, notes } = await Wal.open(options(storage));
    expect(recovered).toMatchObject({ lastIndex: 2, hardState: { term: 1, recovering: true } });
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/kept as lost-0{15}3-at-\d+\.copy\. batch 3 is damaged: its identifier shows/);
    expect(notes[0]).toContain('Entries 3 to 4, which this node may have acknowledged, are gone here');
    await wal.close();
    const copy = [...storage.names.keys()].find((path) => path.includes('/lost-'))!;
    expect(storage.bytes(copy)).toHaveLength(1024);
  });

  test('stays a doubt until the core says otherwise, through starts and new entries', async () => {
    const storage = await damagedEnd();
    const first = await Wal.open(options(storage));
    const entry = { index: asIndex(3), term: asTerm(1), type: EntryType.batch, payload: Buffer.alloc(99, 7) };
    await first.wal.append({ hardState: null, entries: [entry], commit: asIndex(2) });
    await first.wal.close();
    const second = await Wal.open(options(storage));
    expect(second.recovered).toMatchObject({ lastIndex: 3, hardState: { recovering: true } });
    const hardState = { ...second.recovered.hardState, recovering: false };
    await second.wal.append({ hardState, entries: [], commit: asIndex(3) });
    await second.wal.close();
    const third = await Wal.open(options(storage));
    expect(third.recovered).toMatchObject({ lastIndex: 3, hardState: { recovering: false } });
    expect(third.notes).toEqual([]);
  });

  test('that cannot be noted in term and vote is not cut', async () => {
    const storage = await damagedEnd();
    const log = [...storage.names.keys()].find((path) => path.endsWith('.log'))!;
    const before = Buffer.from(storage.bytes(log));
    let writes = 0;
    storage.fail = (operation, path) => {
      if (operation !== 'sync' || !path.includes('term-vote')) return null;
      // The two of the start, then the first of the doubt; the second never comes.
      writes += 1;
      return writes > 3 ? kernelError('EIO') : null;
    };
    await expect(Wal.open(options(storage))).rejects.toMatchObject({ code: 'WAL_IO' });
    expect(writes).toBe(4);
    expect(storage.bytes(log)).toEqual(before);
  });

  test.each([
    ['the only voter', CONFIGURATION],
    [
      'the only voter beside a learner',
      {
        ...CONFIGURATION,
        learners: [{ ...TRIO.voters[1]!, promote: true, replaces: null }],
      },
    ],
  ])('is refused on %s, with the way out', async (_who, configuration) => {
    const storage = await damagedEnd(configuration);
    await expect(Wal.open(options(storage))).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      message: expect.stringMatching(
        /no other voter is known.*\[nobody to ask\].*--force-new-cluster/,
      ) as unknown,
    });
  });

  test('is recovered in a joint configuration where only the outgoing half has another voter', async () => {
    const storage = await damagedEnd({ ...CONFIGURATION, outgoing: TRIO.voters });
    const { recovered } = await Wal.open(options(storage));
    expect(recovered.hardState.recovering).toBe(true);
  });

  test('whose entries are in a snapshot: the log begins anew after that, and the node recovers', async () => {
    const runner = new Runner(new FaultyStorage(), {}, TRIO);
    await runner.open();
    await runner.run(append(300));
    await runner.run(append(300, 200));
    await runner.run({ type: 'snapshot', share: 1 });
    await runner.run(append(100));
    await runner.wal.close();
    // Every batch behind the first two.
    runner.storage.bytes(onlyPath(runner, '.log')).fill(0, 8192 + 2 * 512);
    const { wal, recovered, notes } = await Wal.open(options(runner.storage));
    expect(recovered).toMatchObject({
      compacted: { index: 4, term: 1 },
      firstIndex: 5,
      lastIndex: 4,
      commit: 4,
      snapshot: { index: 4 },
      hardState: { recovering: true },
    });
    expect(notes.join()).toContain('Entries 3 to 5, which this node may have acknowledged, are gone here');
    expect(notes.join()).toContain('gave way to the snapshot at 4');
    await wal.close();
  });

  test('goes by the configuration of the snapshot where the log holds none', async () => {
    for (const configuration of [TRIO, CONFIGURATION]) {
      const runner = new Runner(new FaultyStorage(), {}, configuration);
      await runner.open();
      await runner.run(append(1500, 1500));
      await runner.run({ type: 'snapshot', share: 1 });
      await runner.run(append(900));
      await runner.run({ type: 'compact', share: 1 });
      await runner.run(append(100));
      await runner.wal.close();
      const bytes = runner.storage.bytes(onlyPath(runner, '.log'));
      bytes[bytes.findLastIndex((byte) => byte !== 0) - 50]! ^= 1;
      const opening = Wal.open(options(runner.storage));
      if (configuration === CONFIGURATION) await expect(opening).rejects.toThrow('nobody to ask');
      else {
        const { recovered } = await opening;
        expect(recovered).toMatchObject({ configurations: [], hardState: { recovering: true } });
        expect(recovered.firstIndex).toBeGreaterThan(1);
      }
    }
  });

  test('of a node that has lost even the configuration is refused: it knows nobody to ask', async () => {
    const runner = new Runner(new FaultyStorage(), {}, TRIO);
    await runner.open();
    await runner.wal.close();
    runner.storage.bytes(onlyPath(runner, '.log'))[8192 + 100]! ^= 1;
    await expect(Wal.open(options(runner.storage))).rejects.toThrow('nobody to ask');
  });
});

describe('snapshots', () => {
  test('a damaged one is put aside while the log covers what it did, and refused when it does not', async () => {
    const runner = await closedLog();
    const covered = runner.storage.clone();
    const path = onlyPath(runner, '.snap');
    covered.bytes(path)[700]! ^= 1;
    const { wal, recovered, notes } = await Wal.open(options(covered));
    expect(recovered.snapshot).toBeNull();
    expect(recovered.firstIndex).toBe(1);
    expect(notes.join()).toContain('damaged');
    await wal.close();

    await runner.open();
    for (let count = 0; count < 4; count += 1) await runner.run(append(1800));
    await runner.run({ type: 'snapshot', share: 1 });
    await runner.run({ type: 'compact', share: 1 });
    await runner.wal.close();
    runner.storage.bytes(onlyPath(runner, '.snap'))[700]! ^= 1;
    expect(await verdict(runner, runner.storage)).toBe('WAL_CORRUPT');
  });

  test('the newest damaged: an older one serves while the log covers the gap, and not one entry longer (rule 8)', async () => {
    const runner = await closedLog();
    await runner.open();
    const older = runner.state.snapshot!;
    // As a node does it that is sending the older one: both files stay.
    const { index, term } = runner.state.entries.at(-1)!;
    const writer = await runner.wal.createSnapshot({ ...older, index, term });
    await writer.write(Buffer.alloc(700, 9));
    const newer = await writer.finish();
    await runner.wal.close();
    runner.storage.bytes(onlyPath(runner, '.snap'))[700]! ^= 1;

    const covered = runner.storage.clone();
    const { wal, recovered, notes } = await Wal.open(options(covered));
    expect(recovered.snapshot).toEqual(older);
    expect(recovered.lastIndex).toBe(newer.index);
    expect(notes.join()).toContain('.snap is damaged, put aside as snapshot-');
    // It is put aside for good: the next start has nothing to say.
    await wal.close();
    expect((await Wal.open(options(covered))).notes).toEqual([]);

    // The log now begins after the newer one, as it does when that came from a leader.
    const gap = runner.storage.clone();
    const undamaged = gap.bytes(onlyPath(runner, '.snap'));
    undamaged[700]! ^= 1;
    const { wal: shorter } = await Wal.open(options(gap));
    await shorter.resetToSnapshot(newer);
    await shorter.close();
    gap.bytes(onlyPath(runner, '.snap'))[700]! ^= 1;
    await expect(Wal.open(options(gap))).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      message: expect.stringMatching(
        /the log begins after entry \d+, but the newest sound snapshot covers \d+; snapshot-\d+-[0-9a-f]+\.snap is damaged: .*\[snapshot needed\].*Safe remedies/,
      ) as unknown,
    });
  });

  test('a log whose last term is above the stored term is refused', async () => {
    const runner = await closedLog();
    const page = encodePage('KVTRMVTE', { sequence: 99, term: 1, vote: null }, 512);
    for (const copy of ['a', 'b']) runner.storage.setBytes(`${DIRECTORY}/term-vote-${copy}`, page);
    await expect(Wal.open(options(runner.storage))).rejects.toMatchObject({ code: 'WAL_CORRUPT' });
  });
});

describe('refusals', () => {
  test('say which file, where, which entries, and what can be done', async () => {
    const runner = await closedLog();
    const path = onlyPath(runner, '.log');
    runner.storage.bytes(path)[8200]! ^= 1;
    const error = await Wal.open(options(runner.storage)).catch((thrown: unknown) => thrown as WalError);
    expect(error).toBeInstanceOf(WalError);
    expect((error as WalError).message).toContain(path);
    expect((error as WalError).message).toMatch(/offset 8192 \(entries \d+ to \d+\)/);
    expect((error as WalError).message).toContain('Safe remedies');
  });

  test('leave the directory as it was', async () => {
    const runner = await closedLog();
    runner.storage.bytes(onlyPath(runner, '.log'))[8200]! ^= 1;
    const before = new Map(
      [...runner.storage.names.keys()].map((path) => [path, Buffer.from(runner.storage.bytes(path))]),
    );
    await expect(Wal.open(options(runner.storage))).rejects.toThrow('Safe remedies');
    expect([...runner.storage.names.keys()]).toEqual([...before.keys()]);
    for (const [path, bytes] of before) expect(runner.storage.bytes(path)).toEqual(bytes);
    // And the lock is free again: the second attempt fails for the same reason.
    await expect(Wal.open(options(runner.storage))).rejects.toThrow('Safe remedies');
  });

  test.each(['nodeId', 'group'] as const)('a directory of another %s is foreign', async (field) => {
    const runner = await closedLog();
    const identity = { clusterId: 'c1', nodeId: 'n1', group: 'main', [field]: 'other' };
    await expect(Wal.open(options(runner.storage, { identity }))).rejects.toMatchObject({
      code: 'WAL_FOREIGN',
      message: expect.stringContaining('--data-dir') as unknown,
    });
  });

  test('an unknown format is named, in every kind of file (scenario 52)', async () => {
    const runner = await closedLog();
    for (const path of pathsOf(runner).filter((name) => !name.endsWith('.tmp') && !name.endsWith('.snap'))) {
      const storage = runner.storage.clone();
      const bytes = storage.bytes(path);
      const magic = bytes.toString('latin1', 0, 8);
      const value = JSON.parse(bytes.toString('utf8', 20, 20 + bytes.readUInt32LE(12))) as unknown;
      bytes.set(inFormat(7, encodePage(magic, value)));
      await expect(Wal.open(options(storage)), path).rejects.toMatchObject({ code: 'WAL_FORMAT' });
    }
  });
});

/** The same page as a later version might write it: only magic, format, length and checksum keep their places. */
function inFormat(format: number, page: Buffer): Buffer {
  page.writeUInt32LE(format, 8);
  page.writeUInt32LE(crc32(page.subarray(20), crc32(page.subarray(0, 16))), 16);
  return page;
}
