/**
 * The promise of recovery, taken literally: every byte of a small data directory is damaged in turn, and every prefix of
 * the last batch is kept in turn (scenarios 46, 47). Whatever happens, a start ends in one of three ways:
 *
 * - `whole`: everything acknowledged is there, byte for byte;
 * - `recovering`: the node knows that it may have forgotten something, and gives no vote until it has it again;
 * - `refused`: it does not start, and nothing in the directory was changed.
 *
 * It never starts with less than it acknowledged without knowing it, nor with anything that was not acknowledged.
 */
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
import type { Configuration, SnapshotMeta } from '../raft/types.ts';
import { Wal, WalError } from './wal.ts';

/** The sweep opens a directory about 40,000 times. */
const SWEEP_MS_MAX = 600_000;

type Outcome = 'whole' | 'recovering' | 'refused';

/** A closed directory, and what is in it. */
interface Kept {
  readonly storage: FaultyStorage;
  readonly acknowledged: Runner['state'];
  /** Every entry that was ever acknowledged, replaced ones included. */
  readonly ever: ReadonlySet<string>;
  /** The entry before the first one that is still in the log. */
  readonly base: number;
  readonly blocks: readonly string[];
}

const append = (back: number, ...sizes: number[]): Action => ({
  type: 'append',
  back,
  sizes,
  newTerm: back > 0,
});

/** Two segments, replaced entries, a snapshot; closed, so that all of it is known to be durable. */
async function keep(configuration: Configuration, compacts: boolean): Promise<Kept> {
  const storage = new FaultyStorage();
  const runner = new Runner(storage, {}, configuration);
  const ever = new Set<string>();
  await runner.open();
  const script: Action[] = [
    append(0, 900, 1500),
    append(0, 700),
    { type: 'snapshot', share: 1 },
    append(0, 300),
    ...(compacts ? [{ type: 'compact', share: 1 } as const] : []),
    append(1, 150, 60),
    { type: 'vote' },
    append(0, 200, 100),
  ];
  for (const action of script) {
    await runner.run(action);
    for (const entry of runner.state.entries) ever.add(digest(entry));
  }
  await runner.wal.close();
  const { wal, recovered } = await Wal.open(options(storage.clone()));
  const blocks = await blocksOf(wal, recovered.snapshot);
  await wal.close();
  return { storage, acknowledged: runner.state, ever, base: recovered.compacted.index, blocks };
}

async function blocksOf(wal: Wal, snapshot: SnapshotMeta | null): Promise<string[]> {
  if (snapshot === null) return [];
  const reader = await wal.openSnapshot(snapshot);
  const blocks: string[] = [];
  for await (const block of reader) blocks.push(block.toString('base64'));
  await reader.close();
  return blocks;
}

/** Opens a damaged copy, and throws where that ends in anything but the three good ways. */
async function outcome(kept: Kept, storage: FaultyStorage): Promise<Outcome> {
  const before = new Map([...storage.names].map(([path, { content }]) => [path, Buffer.from(content)]));
  const { acknowledged, ever } = kept;
  let opened: Awaited<ReturnType<typeof Wal.open>>;
  try {
    opened = await Wal.open(options(storage));
  } catch (error) {
    if (!(error instanceof WalError)) throw error;
    expect(['WAL_CORRUPT', 'WAL_FORMAT', 'WAL_FOREIGN']).toContain(error.code);
    for (const [path, bytes] of before) {
      if (!storage.names.get(path)?.content.equals(bytes))
        throw new Error(`refused, but ${path} was changed`, { cause: error });
    }
    return 'refused';
  }
  const { wal, recovered } = opened;
  const found = (await readAll(wal, recovered.firstIndex, recovered.lastIndex)).map(digest);
  const { term, vote, recovering } = recovered.hardState;
  expect({ term, vote }).toEqual({ term: acknowledged.hardState.term, vote: acknowledged.hardState.vote });
  if (recovered.snapshot !== null) expect(await blocksOf(wal, recovered.snapshot)).toEqual(kept.blocks);
  await wal.close();
  if (recovering) {
    for (const entry of found) if (!ever.has(entry)) throw new Error(`${entry} was never acknowledged`);
    return 'recovering';
  }
  const from = recovered.compacted.index - acknowledged.base.index;
  expect(found).toEqual(acknowledged.entries.slice(Math.max(0, from)).map(digest));
  const covered = Math.max(recovered.snapshot?.index ?? 0, recovered.compacted.index);
  if (recovered.compacted.index > (recovered.snapshot?.index ?? 0))
    throw new Error(`the log begins after ${recovered.compacted.index}, the snapshot covers ${covered}`);
  return 'whole';
}

class Count {
  readonly #outcomes: Record<Outcome, number> = { whole: 0, recovering: 0, refused: 0 };

  async add(what: string, kept: Kept, storage: FaultyStorage): Promise<Outcome> {
    const result = await outcome(kept, storage).catch((error: unknown) => {
      throw new Error(`${what}: ${String(error)}`, { cause: error });
    });
    this.#outcomes[result] += 1;
    return result;
  }

  /** Prints the figures, and hands them out. */
  report(title: string): Record<Outcome, number> {
    const { whole, recovering, refused } = this.#outcomes;
    const all = whole + recovering + refused;
    console.info(
      `${title}: ${all} cases, ${whole} whole, ${recovering} recovering, ${refused} refused, 0 otherwise`,
    );
    return this.#outcomes;
  }
}

/** What a bad disk makes of a byte. */
function damagesOf(byte: number, at: number): number[] {
  const flipped = byte ^ (1 << (at % 8));
  return byte === 0 ? [flipped] : [...new Set([flipped, byte ^ 0xff, 0, byte ^ 0x55])];
}

/** Damages the bytes of these files in turn. */
async function sweep(kept: Kept, files: (path: string) => boolean, count: Count): Promise<void> {
  for (const [path, { content }] of kept.storage.names) {
    if (path.endsWith('.tmp') || !files(path)) continue;
    for (const [at, byte] of content.entries()) {
      for (const damaged of damagesOf(byte, at)) {
        const storage = kept.storage.clone();
        storage.bytes(path)[at] = damaged;
        await count.add(`${path} at ${at}: ${byte} became ${damaged}`, kept, storage);
      }
    }
  }
}

describe('every byte of every file', () => {
  test(
    'of one node of three, whose log needs its snapshot',
    async () => {
      const kept = await keep(TRIO, true);
      const count = new Count();
      expect(kept.base).toBeGreaterThan(0);
      await sweep(kept, () => true, count);
      const { whole, recovering, refused } = count.report('each byte damaged, one node of three');
      expect(whole).toBeGreaterThan(1000);
      expect(recovering).toBeGreaterThan(500);
      expect(refused).toBeGreaterThan(1000);
    },
    SWEEP_MS_MAX,
  );

  test(
    'of the snapshot and of term and vote, where the log still covers the snapshot: never a refusal',
    async () => {
      const kept = await keep(TRIO, false);
      const count = new Count();
      await sweep(kept, (path) => path.endsWith('.snap') || path.includes('term-vote'), count);
      const { recovering, refused } = count.report('each byte of what exists twice');
      expect({ recovering, refused }).toEqual({ recovering: 0, refused: 0 });
    },
    SWEEP_MS_MAX,
  );

  test(
    'of the last batch of a node that is alone: always refused, nobody could give it back',
    async () => {
      const kept = await keep(CONFIGURATION, true);
      const { path, from, to } = lastBatch(kept.storage);
      const count = new Count();
      for (let at = from; at < to; at += 1) {
        for (const damaged of damagesOf(kept.storage.bytes(path)[at]!, at)) {
          const storage = kept.storage.clone();
          storage.bytes(path)[at] = damaged;
          await count.add(`${path} at ${at}`, kept, storage);
        }
      }
      const { whole, recovering, refused } = count.report('each byte of the last batch, alone');
      expect(recovering).toBe(0);
      expect(refused).toBeGreaterThan(400);
      // Only the gaps between records and behind the batch, which hold nothing.
      expect(whole).toBeLessThan(to - from - 400);
    },
    SWEEP_MS_MAX,
  );
});

/** Where the last batch of the newest segment lies; it begins on a sector with a begin record. */
function lastBatch(storage: FaultyStorage): { path: string; from: number; to: number } {
  const path = [...storage.names.keys()]
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)!;
  const bytes = storage.bytes(path);
  let from = 8192;
  for (let at = 8192; at < bytes.length; at += 512) if (bytes[at + 12] === 1) from = at;
  const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return { path, from, to: Math.ceil(used / 512) * 512 };
}

describe('every prefix of the last batch', () => {
  const rests: readonly (readonly [string, (rest: Buffer) => void])[] = [
    ['zeros', (rest) => rest.fill(0)],
    ['what was never written', (rest) => rest.fill(0xa5)],
    ['other bytes', (rest) => rest.forEach((byte, at) => (rest[at] = (byte * 7 + at) & 255))],
  ];

  test.each(rests)('that was acknowledged, then %s', async (title, spoil) => {
    for (const configuration of [TRIO, CONFIGURATION]) {
      const kept = await keep(configuration, true);
      const { path, from, to } = lastBatch(kept.storage);
      const count = new Count();
      for (let cut = from; cut < to; cut += 1) {
        const storage = kept.storage.clone();
        const bytes = storage.bytes(path);
        const before = Buffer.from(bytes);
        spoil(bytes.subarray(cut, to));
        const result = await count.add(`a prefix of ${cut - from} bytes`, kept, storage);
        if (before.equals(storage.bytes(path))) expect(result).toBe('whole');
      }
      const alone = configuration === CONFIGURATION;
      const counts = count.report(
        `each prefix of the last batch, then ${title}, ${alone ? 'alone' : 'of three'}`,
      );
      expect(counts[alone ? 'refused' : 'recovering']).toBeGreaterThan(400);
      expect(counts[alone ? 'recovering' : 'refused']).toBe(0);
    }
  });

  test.each(rests)(
    'that was under way when the power went, then %s: only it is lost',
    async (title, spoil) => {
      const storage = new FaultyStorage();
      const runner = new Runner(storage, {}, CONFIGURATION);
      await runner.open();
      await runner.run(append(0, 900));
      await runner.run(append(0, 300));
      const ever = new Set(runner.state.entries.map(digest));
      const kept: Kept = { storage, acknowledged: runner.state, ever, base: 0, blocks: [] };
      const before = lastBatch(storage).to;
      await runner.run(append(0, 250, 400));
      storage.killProcess();
      const { path, from, to } = lastBatch(storage);
      expect(from).toBe(before);
      const count = new Count();
      // From its second to last sector on every prefix lacks at least one byte of the batch's end.
      const complete = storage.bytes(path).findLastIndex((byte) => byte !== 0);
      for (let cut = from; cut <= complete; cut += 1) {
        const torn = storage.clone();
        spoil(torn.bytes(path).subarray(cut, to));
        expect(await count.add(`a prefix of ${cut - from} bytes`, kept, torn)).toBe('whole');
      }
      count.report(`each prefix of a batch under way, then ${title}`);
    },
  );
});

describe('every sector', () => {
  test.each<[string, (sector: Buffer, at: number) => void]>([
    ['turns to zeros', (sector) => void sector.fill(0)],
    [
      'turns to garbage',
      (sector, at) => sector.forEach((_, byte) => (sector[byte] = (at + byte * 31) & 255)),
    ],
  ])('%s', async (title, spoil) => {
    for (const configuration of [TRIO, CONFIGURATION]) {
      const kept = await keep(configuration, true);
      const count = new Count();
      for (const [path, { content }] of kept.storage.names) {
        if (path.endsWith('.tmp')) continue;
        for (let at = 0; at < content.length; at += 512) {
          const storage = kept.storage.clone();
          spoil(storage.bytes(path).subarray(at, at + 512), at);
          await count.add(`${path} at ${at}`, kept, storage);
        }
      }
      const { refused } = count.report(
        `each sector ${title}, ${configuration === TRIO ? 'of three' : 'alone'}`,
      );
      expect(refused).toBeGreaterThan(5);
    }
  });

  test('of any file is swapped with the one behind it', async () => {
    const kept = await keep(TRIO, true);
    const count = new Count();
    for (const [path, { content }] of kept.storage.names) {
      if (path.endsWith('.tmp')) continue;
      for (let at = 0; at + 1024 <= content.length; at += 512) {
        const storage = kept.storage.clone();
        const bytes = storage.bytes(path);
        const first = Buffer.from(bytes.subarray(at, at + 512));
        bytes.copy(bytes, at, at + 512, at + 1024);
        first.copy(bytes, at + 512);
        await count.add(`${path} at ${at}`, kept, storage);
      }
    }
    expect(count.report('each sector swapped with the next').refused).toBeGreaterThan(3);
  });
});

test('what was given up stays given up through any number of crashes, and the node knows it', async () => {
  const kept = await keep(TRIO, true);
  const { path, from } = lastBatch(kept.storage);
  for (let at = 1, stopped = true; stopped; at += 1) {
    const storage = kept.storage.clone();
    storage.bytes(path)[from + 100]! ^= 1;
    storage.stopAt = at;
    stopped = await Wal.open(options(storage)).then(
      () => false,
      () => true,
    );
    storage.losePower(() => at % 3 === 0);
    expect(await outcome(kept, storage), `crash at operation ${at}`).toBe('recovering');
    // The second start finds a clean log, and still has the doubt: only the leader can take it away.
    storage.losePower(() => at % 3 === 0);
    const { wal, recovered, notes } = await Wal.open(options(storage));
    expect(recovered.hardState.recovering).toBe(true);
    expect(notes.join()).toContain('still recovering');
    await wal.close();
    const copies = [...storage.names.keys()].filter((name) => name.startsWith(`${DIRECTORY}/lost-`));
    expect(copies.length).toBeGreaterThan(0);
  }
});
