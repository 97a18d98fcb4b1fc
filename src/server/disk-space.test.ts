import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { WalError } from '../wal/wal.ts';
import { type Clock, systemClock } from './clock.ts';
import { DISK_LOW_SEGMENTS, DiskSpace } from './disk-space.ts';

const SEGMENT_BYTES = 100;
const ENOUGH = DISK_LOW_SEGMENTS * SEGMENT_BYTES;

let free: number | Error;
let looks: (() => void)[];
let retries: (() => void)[];
let lines: string[];
let space: DiskSpace;
let changes: boolean[];

beforeEach(() => {
  free = ENOUGH;
  looks = [];
  retries = [];
  lines = [];
  changes = [];
  const clock: Clock = {
    ...systemClock,
    every: (_ms, look) => {
      looks.push(look);
      return () => looks.splice(0);
    },
    after: (_ms, retry) => {
      retries.push(retry);
      return () => retries.splice(0);
    },
  };
  const log = { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) };
  space = new DiskSpace({
    wal: {
      segmentBytes: SEGMENT_BYTES,
      freeBytes: async () => {
        if (free instanceof Error) throw free;
        return free;
      },
    },
    clock,
    logger: pino({}, log),
    onChange: () => changes.push(space.low),
  });
});

/** Lets a second pass. */
async function look(): Promise<void> {
  looks[0]?.();
  await new Promise((resolve) => setImmediate(resolve));
}

const noRoom = (retryable: boolean): WalError =>
  new WalError('WAL_FULL', 'no space left', undefined, retryable);

test('the disk counts as full below four segments, from the start on, and says so once per change', async () => {
  free = ENOUGH - 1;
  space.start();
  await look();
  await look();
  expect(space.low).toBe(true);
  expect(lines).toEqual(['the disk is almost full: writes are refused until there is space again']);
  free = ENOUGH;
  await look();
  await look();
  expect(space.low).toBe(false);
  expect(lines).toHaveLength(2);
  expect(changes).toEqual([true, false]);
});

test('a disk that takes a segment in less than a second is looked at again at once', async () => {
  space.start();
  await look();
  free = ENOUGH - 1;
  await space.write(async () => undefined, SEGMENT_BYTES - 1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(space.low).toBe(false);
  await space.write(async () => undefined, 1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(space.low).toBe(true);
  expect(space.freeBytesWhileLow).toBe(ENOUGH - 1);
});

test('free space that can not be read refuses nothing', async () => {
  free = 0;
  space.start();
  await look();
  free = new Error('EIO');
  await look();
  expect(space.low).toBe(false);
  expect(lines.at(-1)).toContain('EIO');
  await look();
  expect(lines.filter((line) => line.includes('EIO'))).toHaveLength(1);
});

test('a write that finds no room is made again until it succeeds, with two lines for the whole outage', async () => {
  let attempts = 0;
  let done = false;
  const writing = space
    .write(async () => {
      attempts += 1;
      if (attempts < 4) throw noRoom(true);
    })
    .then(() => (done = true));
  for (let turn = 1; turn < 4; turn += 1) {
    await expect.poll(() => retries).toHaveLength(1);
    expect({ attempts, done, low: space.low, outage: space.outage }).toEqual({
      attempts: turn,
      done: false,
      low: true,
      outage: true,
    });
    retries.shift()?.();
  }
  await writing;
  expect({ attempts, low: space.low, outage: space.outage }).toEqual({
    attempts: 4,
    low: false,
    outage: false,
  });
  expect(changes).toEqual([true, false]);
  expect(lines).toEqual([
    'the log waits for space on the disk: no space left',
    'the log has room again and goes on',
  ]);
});

test.each([noRoom(false), new WalError('WAL_IO', 'EIO'), new Error('defect')])(
  'an error after which the log is unusable is passed on at once: %s',
  async (error) => {
    const failing = async (): Promise<void> => {
      throw error;
    };
    await expect(space.write(failing)).rejects.toBe(error);
    expect(space.outage).toBe(false);
    expect(retries).toEqual([]);
  },
);

test('stopping gives a waiting write up', async () => {
  space.start();
  const writing = space.write(() => Promise.reject(noRoom(true)));
  await expect.poll(() => retries).toHaveLength(1);
  space.stop();
  await writing;
  expect(retries).toEqual([]);
  expect(looks).toEqual([]);
});
