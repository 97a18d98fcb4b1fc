/** Who a directory belongs to, before and after it is set up. */
import { describe, expect, test } from 'vitest';
import { FaultyStorage } from '../../test/unit/wal/faulty-storage.ts';
import { DIRECTORY, options } from '../../test/unit/wal/model.ts';
import { claimDirectory, Wal } from './wal.ts';

const owner = { nodeId: 'n1', group: 'main' };
const claimIn = (storage: FaultyStorage, as = owner) =>
  claimDirectory({ directory: DIRECTORY, storage, ...as });

async function incarnationOf(storage: FaultyStorage): Promise<string> {
  const claim = await claimIn(storage);
  return claim.state === 'claimed' ? claim.incarnation : claim.identity.incarnation;
}

describe('a claim', () => {
  test('is durable, is read back as often as one likes, and ends when the directory is set up', async () => {
    const storage = new FaultyStorage();
    const first = await claimIn(storage);
    expect(first).toEqual({ state: 'claimed', incarnation: expect.stringMatching(/^[0-9a-f]{16}$/) });
    storage.losePower(() => false);
    expect(await claimIn(storage)).toEqual(first);
    const { wal } = await Wal.open(options(storage));
    const incarnation = first.state === 'claimed' ? first.incarnation : '';
    expect(wal.identity).toEqual({ ...owner, clusterId: 'c1', incarnation });
    await wal.close();
    expect(await claimIn(storage)).toEqual({ state: 'founded', identity: wal.identity });
    expect([...storage.names.keys()]).not.toContain(`${DIRECTORY}/claim`);
  });

  test('survives a crash at any operation as one and the same, or was never made', async () => {
    for (let at = 1, stopped = true; stopped; at += 1) {
      const storage = new FaultyStorage();
      storage.stopAt = at;
      const made = await incarnationOf(storage).catch(() => null);
      stopped = made === null;
      storage.losePower(() => at % 2 === 0);
      const read = await incarnationOf(storage);
      if (made !== null) expect(read).toBe(made);
      storage.losePower(() => false);
      expect(await incarnationOf(storage)).toBe(read);
    }
  });

  test('keeps its incarnation through a set-up that crashes at any operation', async () => {
    for (let at = 1, stopped = true; stopped; at += 1) {
      const storage = new FaultyStorage();
      const incarnation = await incarnationOf(storage);
      storage.stopAt = storage.operations + at;
      stopped = await Wal.open(options(storage)).then(
        () => false,
        () => true,
      );
      storage.losePower(() => at % 2 === 0);
      const { wal, recovered } = await Wal.open(options(storage));
      expect(wal.identity.incarnation).toBe(incarnation);
      expect(recovered.lastIndex).toBe(1);
      await wal.close();
      expect([...storage.names.keys()]).not.toContain(`${DIRECTORY}/claim`);
    }
  });

  test('of another node or group is refused, with the remedy, before and after the set-up', async () => {
    const storage = new FaultyStorage();
    await claimIn(storage);
    const refused = async (): Promise<void> => {
      await expect(claimIn(storage, { ...owner, nodeId: 'n2' })).rejects.toMatchObject({
        code: 'WAL_FOREIGN',
        message: expect.stringContaining('start it with --id n1') as unknown,
      });
      await expect(claimIn(storage, { ...owner, group: 'other' })).rejects.toMatchObject({
        code: 'WAL_FOREIGN',
      });
    };
    await refused();
    await (await Wal.open(options(storage))).wal.close();
    await refused();
  });

  test('is refused while another process has the directory, and gives it free again', async () => {
    const storage = new FaultyStorage();
    const { wal } = await Wal.open(options(storage));
    await expect(claimIn(storage)).rejects.toMatchObject({ code: 'WAL_LOCKED' });
    await wal.close();
    expect(await claimIn(storage)).toMatchObject({ state: 'founded' });
  });

  test('an emptied directory is another one', async () => {
    const storage = new FaultyStorage();
    const before = await incarnationOf(storage);
    for (const path of storage.names.keys()) storage.lose(path);
    expect(await incarnationOf(storage)).not.toBe(before);
  });

  test('what is left of a log without an identity is never claimed', async () => {
    const storage = new FaultyStorage();
    await (await Wal.open(options(storage))).wal.close();
    storage.lose(`${DIRECTORY}/identity`);
    await expect(claimIn(storage)).rejects.toMatchObject({ code: 'WAL_CORRUPT' });
  });
});
