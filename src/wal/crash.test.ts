/**
 * Power loss and process crashes at every operation of a script that touches everything the log can do.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { coin, FaultyStorage, Stopped } from '../../test/unit/wal/faulty-storage.ts';
import { type Action, digest, options, readAll, Runner } from '../../test/unit/wal/model.ts';
import { Wal, WalError, type WalOptions } from './wal.ts';

const append = (back: number, ...sizes: number[]): Action => ({
  type: 'append',
  back,
  sizes,
  newTerm: false,
});

/** Rotates several times, truncates within a segment and over its border, compacts, takes and installs snapshots. */
const SCRIPT: readonly Action[] = [
  append(0, 100),
  append(0, 600, 20, 700),
  { type: 'vote' },
  append(2, 50),
  { type: 'idle' },
  append(0, 1500, 1500),
  append(0, 900),
  { type: 'snapshot', share: 0.6 },
  append(4, 300),
  append(0, 9000),
  { type: 'compact', share: 1 },
  append(0, 200),
  { type: 'snapshot', share: 1 },
  { type: 'compact', share: 1 },
  { type: 'reopen' },
  append(0, 100),
  { type: 'install', ahead: 5 },
  append(0, 1200, 1200),
  append(1, 40),
  { type: 'idle' },
];

/** Runs until the process is stopped; false when it never was. */
async function runUntilStopped(runner: Runner, actions: readonly Action[]): Promise<boolean> {
  try {
    await runner.open();
    for (const action of actions) await runner.run(action);
    return false;
  } catch (error) {
    if (isStop(error)) return true;
    throw error;
  }
}

function isStop(error: unknown): boolean {
  return error instanceof Stopped || (error instanceof WalError && isStop(error.cause));
}

/** The crash at operation `at`, then a second one during the recovery, then a recovery that must succeed. */
async function crashAt(
  at: number,
  crash: (storage: FaultyStorage) => void,
  changes: Partial<WalOptions> = {},
): Promise<boolean> {
  const storage = new FaultyStorage();
  storage.stopAt = at;
  const runner = new Runner(storage, changes);
  const stopped = await runUntilStopped(runner, SCRIPT);
  if (!stopped) return false;
  crash(storage);
  storage.stopAt = storage.operations + 1 + (at % 29);
  if (await runUntilStopped(runner, [])) {
    crash(storage);
    await runner.open();
  } else {
    storage.stopAt = Infinity;
  }
  await runner.run(append(1, 70));
  await runner.run({ type: 'reopen' });
  return true;
}

async function sweep(crash: (at: number) => (storage: FaultyStorage) => void): Promise<number> {
  for (let at = 1; ; at += 1) {
    const stopped = await crashAt(at, crash(at)).catch((error: unknown) => {
      throw new Error(`crash at operation ${at}: ${String(error)}`, { cause: error });
    });
    if (!stopped) return at;
  }
}

describe('a crash at every storage operation (scenarios 1, 2, 21, 42, 48, 51)', () => {
  test('power loss that takes everything not synced', async () => {
    expect(await sweep(() => (storage) => storage.losePower(() => false))).toBeGreaterThan(200);
  });

  test('power loss that takes nothing', async () => {
    await sweep(() => (storage) => storage.losePower(() => true));
  });

  test('the process is killed, the operating system survives', async () => {
    await sweep(() => (storage) => storage.killProcess());
  });

  test.each([1, 2, 3])('power loss that leaves any pattern of sectors and names (%i)', async (seed) => {
    await sweep((at) => {
      const survives = coin(seed * 1000 + at);
      return (storage) => storage.losePower(survives);
    });
  });
});

describe('power loss in the middle of one append (scenarios 46, 48)', () => {
  test('never refuses, never loses what was acknowledged, whatever sectors arrive', async () => {
    for (const sizes of [[100], [3000], [700, 700, 700]]) {
      for (let seed = 0; seed < 150; seed += 1) {
        const storage = new FaultyStorage();
        const runner = new Runner(storage);
        await runner.open();
        await runner.run(append(0, 400));
        // The batch is written, its sync never returns.
        storage.fail = (operation, path) => {
          if (operation === 'sync' && path.endsWith('.log')) storage.stopAt = storage.operations;
          return null;
        };
        await expect(runner.run(append(0, ...sizes))).rejects.toThrow('sync');
        storage.losePower(coin(seed));
        await runner.open();
        await runner.wal.close();
      }
    }
  });

  test('a batch that stops at any byte is cut, and a copy is kept', async () => {
    const storage = new FaultyStorage();
    const runner = new Runner(storage);
    await runner.open();
    await runner.run(append(0, 300));
    const acknowledged = runner.state;
    const path = [...storage.names.keys()].find((name) => name.endsWith('.log'))!;
    const before = Buffer.from(storage.bytes(path));
    await runner.run(append(0, 200, 900));
    const after = Buffer.from(storage.bytes(path));
    storage.killProcess();
    const from = before.findIndex((byte, at) => byte !== after[at]);
    const to = after.findLastIndex((byte, at) => byte !== before[at]) + 1;
    for (let cut = from; cut < to; cut += 1) {
      const torn = storage.clone();
      torn.setBytes(path, Buffer.concat([after.subarray(0, cut), before.subarray(cut)]));
      const again = new Runner(torn);
      again.state = acknowledged;
      const notes = await again.open();
      if (cut === from) continue;
      expect(notes.join()).toContain('a torn write after entry');
      expect([...torn.names.keys()].some((name) => name.includes('/torn-'))).toBe(true);
      await again.wal.close();
    }
  });
});

describe('fsync at intervals', () => {
  test('a power loss takes unsynced batches, whole and from the end, and never refuses', async () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const storage = new FaultyStorage();
      const runner = new Runner(storage, { fsync: 'interval' });
      await runner.open();
      await runner.run(append(0, 100));
      await runner.run({ type: 'idle' });
      // The timer's work goes on in the background; a read is the barrier that lets it end.
      for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
      const synced = runner.state;
      const states = [synced];
      for (let count = 0; count < 5; count += 1) {
        await runner.run(append(0, 100 + ((seed * 37 + count * 311) % 1400)));
        states.push(runner.state);
      }
      storage.losePower(coin(seed));
      const { wal, recovered } = await Wal.open(options(storage, { fsync: 'interval' }));
      const lengths = states.map((state) => state.entries.length);
      expect(lengths).toContain(recovered.lastIndex);
      await wal.close();
    }
  });

  test.each(['interval', 'never'] as const)(
    '%s: a power loss at any operation leaves a log that opens',
    async (fsync) => {
      const script = [
        append(0, 900),
        append(0, 1500),
        append(0, 1900),
        append(0, 600),
        append(0, 2500),
        append(0, 900),
      ];
      for (let at = 1, stopped = true; stopped; at += 1) {
        const storage = new FaultyStorage();
        storage.stopAt = at;
        const runner = new Runner(storage, { fsync });
        stopped = await runUntilStopped(
          runner,
          at % 2 === 0 ? script : script.flatMap((next) => [next, { type: 'idle' }]),
        );
        storage.losePower(coin(at));
        const { wal, recovered } = await Wal.open(options(storage, { fsync }));
        const written = (runner.next ?? runner.state).entries;
        const found = await readAll(wal, 1, recovered.lastIndex);
        expect(found.map(digest)).toEqual(written.slice(0, found.length).map(digest));
        await wal.close();
      }
    },
  );

  test('the timer makes a quiet log durable', async () => {
    const storage = new FaultyStorage();
    const runner = new Runner(storage, { fsync: 'interval' });
    await runner.open();
    await runner.run(append(0, 100));
    storage.tick();
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    storage.losePower(() => false);
    await runner.open();
    expect(runner.state.entries).toHaveLength(2);
  });
});

describe('random histories against the model', () => {
  const action: fc.Arbitrary<Action> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        back: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(12) }),
        sizes: fc.array(fc.oneof(fc.nat(300), fc.nat(6000)), { minLength: 1, maxLength: 6 }),
        newTerm: fc.boolean(),
      }),
    },
    fc.constantFrom<Action>({ type: 'vote' }, { type: 'idle' }, { type: 'reopen' }),
    fc.record({ type: fc.constant('snapshot' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ type: fc.constant('compact' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ type: fc.constant('install' as const), ahead: fc.integer({ min: 1, max: 20 }) }),
  );

  test('append, truncate, compact, snapshot, install, reopen', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const runner = new Runner(new FaultyStorage());
        await runner.open();
        for (const next of actions) await runner.run(next);
        await runner.run({ type: 'reopen' });
      }),
      { numRuns: 100 },
    );
  });

  test('the same with power losses in between', async () => {
    const round = fc.record({
      actions: fc.array(action, { maxLength: 8 }),
      stop: fc.nat(120),
      seed: fc.nat(1e6),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(round, { maxLength: 6 }), async (rounds) => {
        const storage = new FaultyStorage();
        const runner = new Runner(storage);
        for (const { actions, stop, seed } of rounds) {
          storage.stopAt = storage.operations + stop;
          await runUntilStopped(runner, actions);
          storage.losePower(coin(seed));
        }
        await runner.open();
      }),
      { numRuns: 100 },
    );
  });
});
