import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { encodeConfiguration } from '../raft/configuration.ts';
import {
  asGroupId,
  asIndex,
  asNodeId,
  asTerm,
  type Entry,
  EntryType,
  type Recovered,
} from '../raft/types.ts';
import { BatchEncoder } from '../store/batch.ts';
import { Store } from '../store/store.ts';
import type { Transport } from '../transport/transport.ts';
import type { Wal } from '../wal/wal.ts';
import { systemClock } from './clock.ts';
import { Driver } from './driver.ts';

/** A log in memory whose writes are answered by hand. */
class HeldLog {
  readonly firstIndex = asIndex(1);
  readonly entries: Entry[];
  readonly writes: PromiseWithResolvers<void>[] = [];
  readonly segmentBytes = 1;
  /** Reads that find the log changed around them. */
  disturbedReads = 0;

  constructor(entries: Entry[]) {
    this.entries = entries;
  }

  get lastIndex(): number {
    return this.entries.length;
  }

  async freeBytes(): Promise<number> {
    return 1e9;
  }

  append(): Promise<void> {
    this.writes.push(Promise.withResolvers<void>());
    return this.writes.at(-1)!.promise;
  }

  async read(from: number, to: number): Promise<Entry[]> {
    this.disturbedReads -= 1;
    return this.disturbedReads >= 0 ? [] : this.entries.slice(from - 1, to);
  }
}

const id = asNodeId('n1');
const term = asTerm(1);
const configuration = {
  voters: [{ id, url: 'http://n1', incarnation: '1' }],
  outgoing: [],
  learners: [],
  removed: [],
};

let log: HeldLog;
let store: Store;
let fatal: unknown[];

beforeEach(() => {
  const encoder = new BatchEncoder();
  encoder.addCommand(['SET', 'a', '1']);
  log = new HeldLog([
    {
      index: asIndex(1),
      term,
      type: EntryType.configuration,
      payload: encodeConfiguration(configuration),
    },
    { index: asIndex(2), term, type: EntryType.batch, payload: encoder.finish(1000) },
  ]);
  store = new Store();
  fatal = [];
});

/** A node alone, as it comes up from its log. */
function open(): Driver {
  const recovered: Recovered = {
    hardState: { term, vote: null, recovering: false },
    snapshot: null,
    firstIndex: asIndex(1),
    lastIndex: asIndex(2),
    compacted: { index: asIndex(0), term: asTerm(0) },
    termRuns: [{ term, first: asIndex(1) }],
    configurations: [{ index: asIndex(1), configuration }],
    commit: asIndex(2),
  };
  return new Driver(
    {
      id,
      group: asGroupId('main'),
      clusterId: 'c',
      recovered,
      wal: log as unknown as Wal,
      store,
      clock: { ...systemClock, wall: () => 2000 },
      logger: pino({ level: 'silent' }),
      heartbeatMs: 100,
      snapshotEntries: 1000,
      snapshotBytes: 1_000_000,
      fsync: 'always',
      seed: 1,
      clientAddress: () => ({ host: 'h', port: 1 }),
      urls: new Map(),
      onFatal: (error) => fatal.push(error),
    },
    {} as Transport,
  );
}

test('stopping waits for the write under way, and ends with its error when it fails', async () => {
  const driver = open();
  driver.start();
  expect(log.writes).toHaveLength(1);
  const stopped = driver.stop();
  log.writes[0]!.reject(new Error('no space left'));
  await expect(stopped).rejects.toThrow('no space left');
  expect(fatal).toEqual([]);
});

test('a failed write is fatal, once, and nothing more is taken', async () => {
  const driver = open();
  driver.start();
  log.writes[0]!.reject(new Error('no space left'));
  await expect(log.writes[0]!.promise).rejects.toThrow();
  expect(fatal).toEqual([new Error('no space left')]);
  expect(driver.leading).toBe(false);
  await expect(driver.stop()).rejects.toThrow('no space left');
  expect(fatal).toHaveLength(1);
});

test('entries whose read was disturbed by a change behind them are read again and applied', async () => {
  log.disturbedReads = 2;
  const driver = open();
  driver.start();
  await expect.poll(() => store.appliedIndex).toBe(2);
  expect(store.size).toBe(1);
  expect(fatal).toEqual([]);
  log.writes[0]!.resolve();
  await driver.stop();
});
