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
  type NodeId,
  type Recovered,
} from '../raft/types.ts';
import { BatchEncoder } from '../store/batch.ts';
import { Store } from '../store/store.ts';
import type { Wal } from '../wal/wal.ts';
import { systemClock } from './clock.ts';
import { Driver, type Peers } from './driver.ts';

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
/** What the transport was told: ids of the peers, and of former members. */
let told: string[];

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
  told = [];
});

/** A transport that only listens to what it is told. */
const peers = {
  setPeers: (members, removed) => told.push(`${members.map((one) => one.id).join()} not ${removed.join()}`),
  send: () => undefined,
  connected: () => false,
  fetchSnapshot: () => Promise.reject(new Error('nobody has one')),
} satisfies Peers;

/** A node alone, as it comes up from its log. */
function open(
  urls: ReadonlyMap<NodeId, string> = new Map<NodeId, string>(),
  said: (line: string) => void = () => undefined,
): Driver {
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
      logger: pino({ level: 'warn' }, { write: said }),
      heartbeatMs: 100,
      snapshotEntries: 1000,
      snapshotBytes: 1_000_000,
      fsync: 'always',
      seed: 1,
      clientAddress: () => ({ host: 'h', port: 1 }),
      urls,
      onFatal: (error) => fatal.push(error),
    },
    peers,
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

/** A node alone that leads. */
async function leading(...args: Parameters<typeof open>): Promise<Driver> {
  const driver = open(...args);
  driver.start();
  await written(driver, () => driver.leading && !driver.clusterView().changing);
  return driver;
}

/** Answers the writes of the log until `condition` holds. */
async function written(driver: Driver, condition: () => boolean): Promise<void> {
  await expect
    .poll(() => {
      for (const write of log.writes.splice(0)) write.resolve();
      return condition() && driver.status().commitIndex === driver.status().lastIndex;
    })
    .toBe(true);
}

const learner = { id: asNodeId('n2'), url: 'http://n2', incarnation: '2', promote: false, replaces: null };

test('a change of membership is answered when it is agreed on, and the transport knows who takes part', async () => {
  const driver = await leading();
  const added = driver.changeMembership({ type: 'addLearner', learner });
  expect(told).toEqual(['n2 not ']);
  expect(driver.clusterView()).toMatchObject({ changing: true, configuration: { learners: [{ id: 'n2' }] } });
  await written(driver, () => !driver.clusterView().changing);
  expect(await added).toEqual({ ok: true });

  const removed = driver.changeMembership({ type: 'remove', id: learner.id });
  // A member still, until that is certain.
  expect(told.at(-1)).toBe('n2 not n2');
  await written(driver, () => !driver.clusterView().changing);
  expect(await removed).toEqual({ ok: true });
  expect(told.at(-1)).toBe(' not n2');

  const again = await driver.changeMembership({ type: 'addLearner', learner });
  expect(again).toMatchObject({ ok: false, reason: 'invalid' });
  await driver.stop();
});

test('a change that is not agreed on when the node stops may or may not be made', async () => {
  const driver = await leading();
  const change = driver.changeMembership({ type: 'addLearner', learner });
  const stopped = driver.stop();
  expect(await change).toMatchObject({ ok: false, reason: 'unknown' });
  expect(await driver.changeMembership({ type: 'addLearner', learner })).toMatchObject({ ok: false });
  for (const write of log.writes) write.resolve();
  await stopped;
});

test('nobody takes over from a sole voter, learner or not', async () => {
  const driver = await leading();
  const added = driver.changeMembership({ type: 'addLearner', learner });
  await written(driver, () => !driver.clusterView().changing);
  await added;
  expect(await driver.handOver()).toBe(false);
  expect(await driver.transfer(learner.id)).toBe(false);
  expect(driver.leading).toBe(true);
  await driver.stop();
});

test('a node is removed for as long as a peer says so', async () => {
  const driver = await leading();
  expect(driver.status().state).toBe('member');
  driver.onRemoved(asNodeId('n2'), true);
  driver.onRemoved(asNodeId('n3'), true);
  driver.onRemoved(asNodeId('n2'), false);
  expect(driver.status().state).toBe('removed');
  driver.onRemoved(asNodeId('n3'), false);
  expect(driver.status().state).toBe('member');
  await driver.stop();
});

test('a node that lacks what its leader has from it says so until it is well again', async () => {
  const said: string[] = [];
  const driver = open(new Map(), (line) => said.push(line));
  expect(driver.status().recovering).toBe(false);
  const lost = { commit: asIndex(0), match: asIndex(5), matchTerm: term, round: 1 };
  driver.onMessage(asNodeId('n2'), { type: 'heartbeat', term, ...lost });
  driver.onMessage(asNodeId('n2'), { type: 'heartbeat', term, ...lost });
  expect(driver.status().recovering).toBe(true);
  expect(said.filter((line) => line.includes('recovering: the leader knows of entries'))).toHaveLength(1);
  for (const write of log.writes) write.resolve();
  await driver.stop();
});

test('an address that the operator gave counts, and is said where the cluster knows another', async () => {
  const said: string[] = [];
  const given = new Map([[learner.id, 'http://elsewhere']]);
  const driver = await leading(given, (line) => said.push(line));
  const added = driver.changeMembership({ type: 'addLearner', learner });
  await written(driver, () => !driver.clusterView().changing);
  await added;
  expect(driver.status().members.map(({ url }) => url)).toEqual(['http://n1', 'http://elsewhere']);
  const words = said.filter((line) => line.includes('the cluster knows n2 at http://n2, but --peers says'));
  expect(words).toHaveLength(1);
  await driver.stop();
});
