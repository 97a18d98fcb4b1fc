import { pino } from 'pino';
import { expect, test } from 'vitest';
import { asIndex, asNodeId, asTerm } from '../raft/types.ts';
import { noReply } from '../store/reply.ts';
import { Store } from '../store/store.ts';
import { dataCommands } from '../store/table.ts';
import { type Wal, WalError, type WalErrorCode } from '../wal/wal.ts';
import { systemClock } from './clock.ts';
import { Snapshotter } from './snapshotter.ts';

const state = {
  index: asIndex(1),
  term: asTerm(1),
  configuration: { voters: [], outgoing: [], learners: [], removed: [] },
  configurationIndex: asIndex(1),
};

/** A store with a key in it and a disk that fails with `code` when a snapshot is written. */
function onFailingDisk(code: WalErrorCode): {
  snapshotter: Snapshotter;
  store: Store;
  aborted: () => boolean;
} {
  const store = new Store();
  store.beginEntry(1, 1);
  store.execute(dataCommands.get('set')!, ['SET', 'a', '1'], noReply);
  store.endEntry();
  let aborted = false;
  const writer = {
    write: () => Promise.reject(new WalError(code, 'no')),
    abort: () => {
      aborted = true;
      return Promise.resolve();
    },
  };
  const wal = { createSnapshot: () => Promise.resolve(writer), segmentBytes: 100 } as unknown as Wal;
  const peers = { fetchSnapshot: () => Promise.resolve() };
  const logger = pino({ level: 'silent' });
  const snapshotter = new Snapshotter({
    store,
    wal,
    peers,
    clock: systemClock,
    logger,
    entries: 1,
    bytes: 1e9,
    snapshot: null,
    onDamaged: () => undefined,
  });
  snapshotter.applied(10);
  return { snapshotter, store, aborted: () => aborted };
}

test('without room for a snapshot the log grows on, and the next one is tried when it is due again', async () => {
  const { snapshotter, store, aborted } = onFailingDisk('WAL_FULL');
  expect(snapshotter.isDue(null)).toBe(true);
  expect(await snapshotter.take(state, null)).toBeNull();
  expect(aborted()).toBe(true);
  expect(snapshotter.isDue(null)).toBe(false);
  snapshotter.applied(10);
  expect(snapshotter.isDue(null)).toBe(true);
  // The store is free for the next one.
  store.startSnapshot().cancel();
});

test('on a disk that is nearly full a snapshot is due where it has room and lets go of a segment, once per room found', async () => {
  const { snapshotter, store } = onFailingDisk('WAL_FULL');
  await snapshotter.take(state, null);
  const room = store.bytes + 100;
  expect(snapshotter.isDue(1e9)).toBe(false);
  for (let at = 0; at < 9; at += 1) snapshotter.applied(10);
  await snapshotter.take(state, room);
  expect(snapshotter.isDue(room + 99)).toBe(false);
  expect(snapshotter.isDue(room + 100)).toBe(true);
  expect(snapshotter.isDue(null)).toBe(false);
});

test('any other failure of the disk is not survived', async () => {
  const { snapshotter, aborted } = onFailingDisk('WAL_IO');
  await expect(snapshotter.take(state, null)).rejects.toThrow('no');
  expect(aborted()).toBe(true);
});

test('what is larger than the limit gets as much log between two snapshots as it is large itself', () => {
  const due = (bytes: number | null, entries: number, each: number) => {
    const snapshotter = new Snapshotter({
      store: new Store(),
      wal: {} as Wal,
      peers: { fetchSnapshot: () => Promise.resolve() },
      clock: systemClock,
      logger: pino({ level: 'silent' }),
      entries: 10,
      bytes: 1000,
      snapshot: bytes === null ? null : { index: asIndex(0), bytes },
      onDamaged: () => undefined,
    });
    for (let at = 0; at < entries; at++) snapshotter.applied(each);
    return snapshotter.isDue(null);
  };
  expect(due(null, 10, 1)).toBe(true);
  expect(due(900, 10, 1)).toBe(true);
  expect(due(900, 1, 1000)).toBe(true);
  expect(due(5000, 49, 1)).toBe(false);
  expect(due(5000, 50, 1)).toBe(true);
  expect(due(5000, 1, 4999)).toBe(false);
  expect(due(5000, 1, 5000)).toBe(true);
});

test('a snapshot that can not be fetched is said once, however often it is tried, and again when the reason is another', async () => {
  const lines: string[] = [];
  let problem: string | null = 'no space';
  const receiver = { offset: 0, finish: async () => undefined, suspend: async () => undefined };
  const snapshotter = new Snapshotter({
    store: new Store(),
    wal: { receiveSnapshot: () => Promise.resolve(receiver) } as unknown as Wal,
    peers: {
      fetchSnapshot: () => (problem === null ? Promise.resolve() : Promise.reject(new Error(problem))),
    },
    clock: systemClock,
    logger: pino({}, { write: (line) => void lines.push((JSON.parse(line) as { msg: string }).msg) }),
    entries: 1,
    bytes: 1,
    snapshot: null,
    onDamaged: () => undefined,
  });
  const snapshot = { ...state, bytes: 1, checksum: 1 };
  const fetch = (): Promise<string> =>
    snapshotter.fetch(asNodeId('n1'), snapshot).then(
      () => 'fetched',
      (error: Error) => error.message,
    );
  for (let tries = 0; tries < 3; tries += 1) expect(await fetch()).toBe('no space');
  problem = 'reset';
  expect(await fetch()).toBe('reset');
  problem = null;
  expect(await fetch()).toBe('fetched');
  expect(await fetch()).toBe('fetched');
  const [begins, fails] = ['fetching snapshot', 'snapshot could not be fetched'];
  expect(lines).toEqual([begins, fails, fails, begins]);
});

test('a snapshot that turns out to be damaged when it is sent is replaced by one at a newer entry, once', async () => {
  const store = new Store();
  const write = (index: number): void => {
    store.beginEntry(index, 1);
    store.execute(dataCommands.get('set')!, ['SET', 'a', '1'], noReply);
    store.endEntry();
  };
  write(1);
  const lines: string[] = [];
  let heard = 0;
  // eslint-disable-next-line require-yield
  async function* broken(): AsyncGenerator<Buffer, void, void> {
    throw new WalError('WAL_IO', 'unreadable');
  }
  const writer = {
    write: () => Promise.resolve(),
    finish: () => Promise.resolve({ ...state, index: asIndex(2), bytes: 1, checksum: 2 }),
  };
  const wal = { snapshotPieces: broken, createSnapshot: () => Promise.resolve(writer) } as unknown as Wal;
  const snapshotter = new Snapshotter({
    store,
    wal,
    peers: { fetchSnapshot: () => Promise.resolve() },
    clock: systemClock,
    logger: pino({}, { write: (line) => void lines.push((JSON.parse(line) as { msg: string }).msg) }),
    entries: 100,
    bytes: 1e9,
    snapshot: { index: asIndex(1), bytes: 1 },
    onDamaged: () => (heard += 1),
  });
  const send = (): Promise<unknown> => snapshotter.pieces({ index: asIndex(1), checksum: 1 }, 0)!.next();
  await expect(send()).rejects.toThrow('unreadable');
  expect(heard).toBe(1);
  expect(lines).toEqual(['this snapshot is damaged; a new one takes its place']);
  // One at the same entry would be taken for the same.
  expect(snapshotter.isDue(null)).toBe(false);
  write(2);
  expect(snapshotter.isDue(null)).toBe(true);
  const taken = snapshotter.take({ ...state, index: asIndex(2) }, null);
  await expect(send()).rejects.toThrow('unreadable');
  expect(await taken).not.toBeNull();
  write(3);
  expect(snapshotter.isDue(null)).toBe(false);
  // One that has been replaced may be anything.
  await expect(send()).rejects.toThrow('unreadable');
  expect(snapshotter.isDue(null)).toBe(false);
});
