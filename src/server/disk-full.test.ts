/** A node alone, with its real log on a disk that has no room for a while: from the first refusal to the return. */
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { FaultyStorage, kernelError } from '../../test/unit/wal/faulty-storage.ts';
import { CONFIGURATION, options } from '../../test/unit/wal/model.ts';
import { asGroupId } from '../raft/types.ts';
import { noReply } from '../store/reply.ts';
import { Store } from '../store/store.ts';
import { dataCommands } from '../store/table.ts';
import { Wal } from '../wal/wal.ts';
import { systemClock } from './clock.ts';
import { Driver } from './driver.ts';
import type { Client, Lane } from './engine.ts';

interface World {
  readonly storage: FaultyStorage;
  readonly driver: Driver;
  readonly lines: string[];
  readonly fatal: unknown[];
  /** Makes the watch look now. */
  look(): void;
  wall: number;
  run(line: string): Promise<string>;
}

async function start(): Promise<World> {
  const storage = new FaultyStorage();
  const { wal, recovered } = await Wal.open(options(storage));
  const lines: string[] = [];
  const fatal: unknown[] = [];
  const looks: (() => void)[] = [];
  const log = { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) };
  const id = CONFIGURATION.voters[0]!.id;
  const world: World = {
    storage,
    lines,
    fatal,
    wall: 1_000_000,
    look: () => looks.forEach((look) => look()),
    run: (line) => run(driver, line),
    get driver() {
      return driver;
    },
  };
  const store = new Store();
  const driver: Driver = new Driver(
    {
      id,
      group: asGroupId('main'),
      clusterId: 'c1',
      recovered,
      wal,
      store,
      clock: {
        ...systemClock,
        wall: () => world.wall,
        // A second for the watch passes when the test says so; a write that waits for space is made again at once.
        every: (ms, look) => {
          if (ms !== 1000) return systemClock.every(ms, look);
          looks.push(look);
          return () => looks.splice(0);
        },
        after: (ms, callback) => systemClock.after(ms === 500 ? 1 : ms, callback),
      },
      logger: pino({}, log),
      heartbeatMs: 100,
      snapshotEntries: 1_000_000,
      snapshotBytes: 1_000_000_000,
      fsync: 'always',
      seed: 1,
      clientAddress: () => ({ host: 'h', port: 1 }),
      urls: new Map(),
      onFatal: (error) => fatal.push(error),
    },
    {
      setPeers: () => undefined,
      send: () => undefined,
      connected: () => false,
      fetchSnapshot: () => Promise.reject(new Error('nobody has one')),
    },
  );
  driver.connectPeers();
  driver.start();
  await expect.poll(() => driver.leading).toBe(true);
  onTestFinished(async () => {
    await driver.stop();
    await wal.close();
  });
  return world;
}

/** Sends a command and resolves to its reply as text. */
function run(driver: Driver, line: string): Promise<string> {
  const args = line.split(' ');
  const command = dataCommands.get(args[0]!.toLowerCase())!;
  const lane: Lane = command.write ? 'log' : 'read';
  return new Promise((resolve) => {
    let text = '';
    const client: Client = {
      reply: {
        ...noReply,
        ok: () => (text = 'OK'),
        error: (message) => (text = `-${message}`),
        integer: (value) => (text = `:${value}`),
        bulk: (value) => (text = value ?? 'nil'),
      },
      settled: () => resolve(text),
      watched: () => undefined,
      repeated: () => undefined,
      refused: () => (text = '-refused'),
    };
    driver.submit(lane, { kind: 'command', client, command, args, once: null });
  });
}

const REFUSED = /^-OOM /;

test('little space left: writes are refused, reads served, and writes go on by themselves', async () => {
  const world = await start();
  expect(await world.run('SET a 1')).toBe('OK');
  world.storage.free = 4 * 12_288 - 1;
  world.look();
  await expect.poll(() => world.run('SET probe 1')).toMatch(REFUSED);
  expect(world.driver.status().diskLow).toBe(true);
  expect(await world.run('SET b 1')).toMatch(REFUSED);
  expect(await world.run('GET a')).toBe('1');
  expect(await world.run('GET b')).toBe('nil');
  world.storage.free += 1;
  world.look();
  await expect.poll(() => world.run('SET b 2')).toBe('OK');
  expect(await world.run('GET b')).toBe('2');
  expect(world.driver.status().diskLow).toBe(false);
  expect(world.lines.filter((line) => line.includes('disk'))).toEqual([
    'the disk is almost full: writes are refused until there is space again',
    'there is space on the disk again: writes are accepted',
  ]);
  expect(world.fatal).toEqual([]);
});

test('where the log itself takes the space, a snapshot lets it go, and writes go on by themselves', async () => {
  const world = await start();
  const used = (): number =>
    [...world.storage.names].reduce(
      (sum, [path, { content }]) => sum + (path.endsWith('.log') ? content.length : 0),
      0,
    );
  const value = 'x'.repeat(3000);
  for (let count = 0; count < 20; count += 1) expect(await world.run(`SET a ${value}`)).toBe('OK');
  const before = used();
  world.storage.free = 4 * 12_288 - 1;
  world.look();
  await expect.poll(used).toBeLessThan(before / 2);
  world.storage.free += before - used();
  world.look();
  await expect.poll(() => world.run('SET b 2')).toBe('OK');
  expect(world.lines).toContain('snapshot taken');
  expect(world.fatal).toEqual([]);
});

test('no space at all, from one moment to the next: the write under way waits, the others are refused', async () => {
  const world = await start();
  const value = 'x'.repeat(3000);
  world.storage.fail = (operation, path) =>
    operation === 'write' && path.endsWith('.tmp') ? kernelError('ENOSPC') : null;
  const replies: Promise<string>[] = [];
  for (let count = 0; !world.lines.some((line) => line.includes('waits for space')); count += 1) {
    replies.push(world.run(`SET k${count} ${value}`));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expect.poll(() => world.run('SET probe 1')).toMatch(REFUSED);
  expect(await world.run('SET late 1')).toMatch(REFUSED);
  expect(await world.run('GET late')).toBe('nil');
  expect(world.driver.leading).toBe(true);
  world.storage.fail = () => null;
  await expect.poll(() => world.run('SET late 2')).toBe('OK');
  // Whoever was told anything was told the truth: an OK is there, a refusal is not.
  for (const [count, reply] of (await Promise.all(replies)).entries()) {
    const found = await world.run(`GET k${count}`);
    if (reply === 'OK') expect(found).toBe(value);
    else expect([reply.slice(0, 5), found]).toEqual(['-OOM ', 'nil']);
  }
  expect(world.lines.filter((line) => line.startsWith('the log '))).toHaveLength(2);
  expect(world.fatal).toEqual([]);
  // All of it is on the disk, without a restart in between.
  await world.driver.stop();
});

test('a key past its deadline does not hold the reads up while no entry can say that it is gone', async () => {
  const world = await start();
  expect(await world.run('SET a 1 PX 1000')).toBe('OK');
  expect(await world.run('SET b 2')).toBe('OK');
  world.storage.free = 0;
  world.look();
  await expect.poll(() => world.run('SET c 1')).toMatch(REFUSED);
  world.wall += 5000;
  expect(await world.run('GET b')).toBe('2');
  // As the log has it: it has not been seen as gone, and whoever holds a lock on it still does.
  expect(await world.run('GET a')).toBe('1');
  world.storage.free = 2 ** 40;
  world.look();
  await expect.poll(() => world.run('GET a')).toBe('nil');
});
