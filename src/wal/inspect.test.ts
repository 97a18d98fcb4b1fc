import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FaultyStorage } from '../../test/unit/wal/faulty-storage.ts';
import { type Action, CONFIGURATION, DIRECTORY, options, Runner, TRIO } from '../../test/unit/wal/model.ts';
import { asNodeId, type Configuration } from '../raft/types.ts';
import { inspect, inspectDirectory, type Inspection } from './inspect.ts';
import { forceNewCluster } from './new-cluster.ts';
import { nodeStorage } from './node-storage.ts';
import { claimDirectory, Wal, WalError } from './wal.ts';

const append = (...sizes: number[]): Action => ({ type: 'append', back: 0, sizes, newTerm: false });

async function member(configuration: Configuration = TRIO): Promise<FaultyStorage> {
  const runner = new Runner(new FaultyStorage(), {}, configuration);
  await runner.open();
  const script: Action[] = [
    append(1500, 1500),
    { type: 'snapshot', share: 1 },
    append(900),
    { type: 'append', back: 1, sizes: [200, 100], newTerm: true },
  ];
  for (const action of script) await runner.run(action);
  await runner.wal.close();
  return runner.storage;
}

/** Inspects on a disk on which nothing may change, and holds the decision against what a start then really does. */
async function look(storage: FaultyStorage): Promise<Inspection> {
  const before = new Map([...storage.names].map(([path, { content }]) => [path, Buffer.from(content)]));
  storage.fail = (operation) =>
    ['list', 'open', 'read', 'size', 'close'].includes(operation)
      ? null
      : new Error(`${operation} is no reading`);
  const found = await inspect(storage, DIRECTORY, false);
  storage.fail = () => null;
  expect([...storage.names.keys()]).toEqual([...before.keys()]);
  for (const [path, bytes] of before) expect(storage.bytes(path).equals(bytes), path).toBe(true);
  const started = await Wal.open(options(storage.clone())).catch((error: unknown) => error);
  if (started instanceof WalError) {
    expect(found.decision).toBe('refused');
    // An operator finds the row in the table of docs/recovery.md, whichever of the two said it.
    const { label } = found.findings.find(({ action }) => action === 'refuse')!;
    if (started.code === 'WAL_CORRUPT') expect(started.message).toContain(`[${label}]`);
  } else {
    const { recovered, notes } = started as Awaited<ReturnType<typeof Wal.open>>;
    const { recovering } = recovered.hardState;
    expect(found.decision).toBe(recovering ? 'recovering' : notes.length > 0 ? 'repaired' : 'sound');
  }
  return found;
}

function newest(storage: FaultyStorage, part: string): Buffer {
  const path = [...storage.names.keys()]
    .filter((name) => name.includes(part))
    .sort()
    .at(-1)!;
  return storage.bytes(path);
}

function spoilEnd(bytes: Buffer): void {
  bytes[bytes.findLastIndex((byte) => byte !== 0) - 100]! ^= 1;
}

describe('an inspection', () => {
  test('of a sound directory tells all that is in it', async () => {
    const found = await look(await member());
    expect(found).toMatchObject({ state: 'founded', decision: 'sound', findings: [], inUse: false });
    expect(found.owner).toMatchObject({ nodeId: 'n1', group: 'main' });
    const { content } = found;
    expect(content).toMatchObject({
      identity: { clusterId: 'c1' },
      formerClusters: [],
      termVote: [
        { file: 'term-vote-a', state: 'sound', term: 2, vote: null, recovering: false },
        { file: 'term-vote-b', state: 'sound', term: 2, vote: null, recovering: false },
      ],
      segments: [
        { sequence: 1, first: 1, last: 3, bytes: 12_288, batches: 2, sealed: true },
        { sequence: 2, first: 4, last: 5, bytes: 12_288, batches: 2, sealed: false },
      ],
      unread: [],
      entries: { first: 1, last: 5, lastTerm: 2, noop: 0, batch: 4, configuration: 1 },
      snapshots: [{ index: 3, term: 1, damage: null }],
      configuration: TRIO,
      rules: { tail: 'clean', state: 'consistent' },
    });
  });

  test('of a torn tail and of one bad copy says that they will be repaired', async () => {
    const storage = await member();
    newest(storage, 'term-vote-a')[30]! ^= 1;
    const bytes = newest(storage, '.log');
    const end = Math.ceil((bytes.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;
    bytes.fill(7, end, end + 700);
    const { decision, findings, content } = await look(storage);
    expect(decision).toBe('repaired');
    expect(findings.map(({ action, label, offset }) => ({ action, label, offset }))).toEqual([
      { action: 'repair', label: 'one copy', offset: 0 },
      { action: 'repair', label: 'torn tail', offset: end },
    ]);
    expect(content?.termVote[0]).toMatchObject({ state: 'bad', term: null });
  });

  test('of a damaged end says whether the node will recover, and which entries are concerned', async () => {
    const storage = await member();
    spoilEnd(newest(storage, '.log'));
    const found = await look(storage);
    expect(found).toMatchObject({ decision: 'recovering', content: { rules: { tail: 'lost end' } } });
    expect(found.findings[0]?.text).toContain('(entries 5 to 5): its identifier shows');
    const alone = await member(CONFIGURATION);
    spoilEnd(newest(alone, '.log'));
    const refused = await look(alone);
    expect(refused).toMatchObject({
      decision: 'refused',
      content: { rules: { tail: 'nobody to ask', state: null } },
    });
    expect(refused.remedy).toContain('Safe remedies');
    expect(found.remedy).toBeNull();
  });

  test('of damage in the middle names the segments that were not read', async () => {
    const storage = await member();
    const first = [...storage.names.keys()].filter((name) => name.endsWith('.log')).sort()[0]!;
    storage.bytes(first)[8192 + 700]! ^= 1;
    const { decision, content } = await look(storage);
    expect(decision).toBe('refused');
    expect(content?.rules.tail).toBe('sealed');
    expect(content?.segments).toHaveLength(1);
    expect(content?.unread).toHaveLength(1);
    expect(content?.entries).toMatchObject({ first: 1, last: 1 });
  });

  test('of a damaged snapshot says where, and that the log serves', async () => {
    const storage = await member();
    newest(storage, '.snap')[700]! ^= 1;
    const { decision, findings, content } = await look(storage);
    expect(decision).toBe('repaired');
    expect(findings.map(({ label }) => label)).toEqual(['older snapshot']);
    expect(content?.snapshots[0]).toMatchObject({ index: null, damage: expect.stringContaining('offset 0') });
  });

  test.each(['identity', 'term-vote'])(
    'of a directory without a sound %s is a refusal, no failure',
    async (part) => {
      const storage = await member();
      for (const path of storage.names.keys()) if (path.includes(part)) storage.bytes(path)[30]! ^= 1;
      expect(await look(storage)).toMatchObject({ decision: 'refused', findings: [{ action: 'refuse' }] });
      for (const path of storage.names.keys()) if (path.includes(part)) storage.lose(path);
      expect(await look(storage)).toMatchObject({ decision: 'refused', findings: [{ action: 'refuse' }] });
    },
  );

  test('of a log without segments, and of a later format, is a refusal, too', async () => {
    const storage = await member();
    const bytes = newest(storage, 'identity');
    bytes.writeUInt32LE(7, 8);
    for (const path of storage.names.keys()) if (path.endsWith('.log')) storage.lose(path);
    expect((await inspect(storage, DIRECTORY, false)).decision).toBe('refused');
    bytes.writeUInt32LE(2, 8);
    expect((await look(storage)).findings.map(({ label }) => label)).toEqual(['no log']);
  });

  test('of a directory without its identity is a refusal, even where only a snapshot is left', async () => {
    const storage = await member();
    storage.lose(join(DIRECTORY, 'identity'));
    expect((await look(storage)).decision).toBe('refused');
    for (const path of storage.names.keys()) if (!path.includes('snapshot-')) storage.lose(path);
    expect((await look(storage)).decision).toBe('refused');
  });

  test('of an empty directory, a claimed one and one that was forced into a new cluster', async () => {
    const empty = new FaultyStorage();
    expect(await inspect(empty, DIRECTORY, false)).toMatchObject({ state: 'empty', owner: null });
    await claimDirectory({ directory: DIRECTORY, nodeId: 'n1', group: 'main', storage: empty });
    expect(await inspect(empty, DIRECTORY, false)).toMatchObject({
      state: 'claimed',
      owner: { nodeId: 'n1' },
    });
    const storage = await member();
    await forceNewCluster({ directory: DIRECTORY, nodeId: asNodeId('n1'), url: 'http://n', storage });
    const { content } = await look(storage);
    expect(content).toMatchObject({ formerClusters: ['c1'], configuration: { removed: ['n2', 'n3'] } });
  });

  test('on the real disk sees a running node, and leaves no trace', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'kvorum-inspect-'));
    onTestFinished(() => rmSync(parent, { recursive: true }));
    const directory = join(parent, 'data');
    await expect(inspectDirectory(directory)).rejects.toMatchObject({ code: 'WAL_IO' });
    const real = {
      ...options(new FaultyStorage(), { segmentBytes: 65_536 }),
      directory,
      storage: nodeStorage,
    };
    const { wal } = await Wal.open(real);
    expect(await inspectDirectory(directory)).toMatchObject({
      inUse: true,
      content: { entries: { last: 1 } },
    });
    await wal.close();
    const traces = () =>
      readdirSync(directory).map((name) => {
        const { size, mtimeMs } = statSync(join(directory, name));
        return { name, size, mtimeMs };
      });
    const before = traces();
    expect(await inspectDirectory(directory)).toMatchObject({ inUse: false, decision: 'sound' });
    expect(traces()).toEqual(before);
  });
});
