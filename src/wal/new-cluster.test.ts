import { describe, expect, test } from 'vitest';
import { FaultyStorage } from '../../test/unit/wal/faulty-storage.ts';
import {
  type Action,
  CONFIGURATION,
  digest,
  DIRECTORY,
  options,
  readAll,
  Runner,
  TRIO,
} from '../../test/unit/wal/model.ts';
import { asNodeId, type Configuration } from '../raft/types.ts';
import { forceNewCluster, type NewCluster } from './new-cluster.ts';
import { Wal } from './wal.ts';

const append = (...sizes: number[]): Action => ({ type: 'append', back: 0, sizes, newTerm: false });

/** A member of three, over two segments, closed. */
async function member(configuration: Configuration = TRIO): Promise<Runner> {
  const runner = new Runner(new FaultyStorage(), {}, configuration);
  await runner.open();
  for (const action of [append(1500, 1500), { type: 'vote' } as const, append(1800), append(300)])
    await runner.run(action);
  await runner.wal.close();
  return runner;
}

const force = (storage: FaultyStorage, nodeId = 'n1'): Promise<NewCluster> =>
  forceNewCluster({ directory: DIRECTORY, nodeId: asNodeId(nodeId), url: 'http://new', storage });

/** As the node that starts afterwards. */
function reopen(storage: FaultyStorage, nodeId = 'n1'): ReturnType<typeof Wal.open> {
  return Wal.open(options(storage, { identity: { clusterId: 'ignored', nodeId, group: 'main' } }));
}

function spoilEnd(storage: FaultyStorage): void {
  const path = [...storage.names.keys()]
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)!;
  const bytes = storage.bytes(path);
  bytes[bytes.findLastIndex((byte) => byte !== 0) - 100]! ^= 1;
}

describe('a forced new cluster', () => {
  test('keeps every entry, and its only voter is this node in a new term', async () => {
    const { storage, state } = await member();
    const before = await reopen(storage);
    await before.wal.close();
    const made = await force(storage);
    expect(made).toMatchObject({ keptTo: 5, configurationIndex: 6, left: ['n2', 'n3'], notes: [] });
    const { wal, recovered, notes } = await reopen(storage);
    expect(notes).toEqual([]);
    expect(wal.identity).toEqual(made.identity);
    expect(wal.identity.clusterId).not.toBe(before.wal.identity.clusterId);
    expect(wal.identity.incarnation).not.toBe(before.wal.identity.incarnation);
    expect((await readAll(wal, 1, 5)).map(digest)).toEqual(state.entries.map(digest));
    expect(recovered).toMatchObject({
      hardState: { term: 3, vote: 'n1', recovering: false },
      lastIndex: 6,
      commit: 6,
    });
    expect(recovered.configurations.at(-1)).toEqual({
      index: 6,
      configuration: {
        voters: [{ id: 'n1', url: 'http://new', incarnation: wal.identity.incarnation }],
        outgoing: [],
        learners: [],
        removed: ['n2', 'n3'],
      },
    });
    await wal.close();
  });

  test('goes on like any other log: rotates, restarts, and can be forced once more under another id', async () => {
    const { storage } = await member();
    await force(storage);
    const made = await force(storage, 'n9');
    expect(made).toMatchObject({ keptTo: 6, left: ['n1'] });
    const { wal, recovered } = await reopen(storage, 'n9');
    expect(recovered.configurations.at(-1)?.configuration.removed).toEqual(['n2', 'n3', 'n1']);
    expect(recovered.lastIndex).toBe(7);
    await wal.close();
  });

  test('ends a recovery, and cuts a damaged end that nobody can give back', async () => {
    for (const configuration of [TRIO, CONFIGURATION]) {
      const { storage } = await member(configuration);
      spoilEnd(storage);
      if (configuration === CONFIGURATION) await expect(reopen(storage)).rejects.toThrow('nobody to ask');
      const made = await force(storage);
      expect(made.keptTo).toBe(4);
      expect(made.notes.join()).toMatch(/kept as lost-.*the entries after 4 that were in it are lost/);
      const { wal, recovered } = await reopen(storage);
      expect(recovered).toMatchObject({ lastIndex: 5, hardState: { recovering: false } });
      await wal.close();
    }
    const { storage } = await member();
    spoilEnd(storage);
    const doubting = await reopen(storage);
    expect(doubting.recovered.hardState.recovering).toBe(true);
    await doubting.wal.close();
    await force(storage);
    const { recovered } = await reopen(storage);
    expect(recovered.hardState.recovering).toBe(false);
  });

  test('a crash at any operation leaves the old cluster as it was, or a directory on which it can be done again', async () => {
    const { storage: original, state } = await member();
    spoilEnd(original);
    const kept = state.entries.slice(0, 4).map(digest);
    for (let at = 1, stopped = true; stopped; at += 1) {
      const storage = original.clone();
      storage.stopAt = at;
      stopped = await force(storage).then(
        () => false,
        () => true,
      );
      storage.losePower(() => at % 2 === 0);
      const old = storage.clone();
      const { wal, recovered } = await reopen(old);
      const forced = recovered.configurations.at(-1)?.configuration.removed.length === 2;
      // The one thing that must never be: a member of the old cluster that believes to be alone in it.
      if (forced) expect(wal.identity.clusterId, `crash at ${at}`).not.toBe('c1');
      await wal.close();
      const again = await force(storage);
      const opened = await reopen(storage);
      expect(opened.recovered.lastIndex).toBe(again.configurationIndex);
      expect((await readAll(opened.wal, 1, 4)).map(digest)).toEqual(kept);
      await opened.wal.close();
    }
  });
});

describe('is refused, and nothing is changed,', () => {
  async function unchanged(storage: FaultyStorage, expected: object, nodeId = 'n1'): Promise<void> {
    const before = new Map([...storage.names].map(([path, { content }]) => [path, Buffer.from(content)]));
    await expect(force(storage, nodeId)).rejects.toMatchObject(expected);
    expect([...storage.names.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [path, bytes] of before) expect(storage.bytes(path)).toEqual(bytes);
  }

  test('while a process has the directory', async () => {
    const { storage } = await member();
    const { wal } = await reopen(storage);
    await expect(force(storage)).rejects.toMatchObject({ code: 'WAL_LOCKED' });
    await wal.close();
  });

  test('where more than the end of the log is damaged', async () => {
    const { storage } = await member();
    const first = [...storage.names.keys()].filter((name) => name.endsWith('.log')).sort()[0]!;
    storage.bytes(first)[8192 + 100]! ^= 1;
    await unchanged(storage, { code: 'WAL_CORRUPT' });
  });

  test('under the id of another member, or of a removed one', async () => {
    const { storage } = await member({ ...TRIO, removed: [asNodeId('n0')] });
    await unchanged(storage, { message: expect.stringContaining('n2 was the id of another member') }, 'n2');
    await unchanged(storage, { message: expect.stringContaining('n0 was the id of another') }, 'n0');
    const removed = await member({ ...TRIO, voters: TRIO.voters.slice(1), removed: [asNodeId('n1')] });
    await unchanged(removed.storage, { message: expect.stringContaining('choose a new one') });
  });

  test('on a directory in which no cluster ever was', async () => {
    const storage = new FaultyStorage();
    await (await Wal.open(options(storage, { bootstrap: null }))).wal.close();
    await unchanged(storage, { code: 'WAL_FOREIGN', message: expect.stringContaining('no cluster in it') });
  });
});
