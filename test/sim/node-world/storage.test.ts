import { expect, test } from 'vitest';
import type { StorageFile } from '../../../src/wal/storage.ts';
import { Random } from '../random.ts';
import { Schedule } from '../schedule.ts';
import { NodeCoverage } from './coverage.ts';
import { Disk } from './storage.ts';

const PATH = '/data/0000000000000001-0000000000000001.log';
/** More than it takes a process to note that what it wrote last is durable. */
const LONG_MS = 1000;

class Bench {
  readonly schedule: Schedule = new Schedule();
  readonly process = { life: 0, pausedUntil: 0 };
  readonly disk: Disk = new Disk({
    schedule: this.schedule,
    random: new Random(1),
    coverage: new NodeCoverage(),
    disturbed: () => undefined,
  });

  /** What an operation of the disk comes to. */
  async done<T>(operation: Promise<T>): Promise<T> {
    while (this.schedule.next());
    return operation;
  }

  wait(ms: number): void {
    this.schedule.after(ms, null, () => undefined);
    while (this.schedule.next());
  }

  die(): void {
    this.process.life += 1;
    this.disk.processDied();
  }

  open(mode: 'create' | 'update'): Promise<StorageFile> {
    return this.done(this.disk.mount(this.process, () => () => undefined).open(PATH, mode));
  }

  /** A file with something durable in it, just now. */
  async written(): Promise<StorageFile> {
    const file = await this.open('create');
    await this.done(this.disk.mount(this.process, () => () => undefined).syncDirectory('/data'));
    await this.write(file);
    return file;
  }

  async write(file: StorageFile): Promise<void> {
    await this.done(file.write([Buffer.alloc(700, 'x')], 0));
    await this.done(file.sync());
  }

  get hasDamage(): boolean {
    return this.disk.damage('flipped bit') !== null;
  }
}

test('a file is damaged when its process has left it alone for long enough, dead or alive', async () => {
  const bench = new Bench();
  await bench.written();
  expect(bench.hasDamage).toBe(false);
  bench.wait(LONG_MS);
  expect(bench.hasDamage).toBe(true);
  bench.die();
  expect(bench.hasDamage).toBe(true);
});

test('a file whose process died too early is spared until a later life has opened the log completely', async () => {
  const bench = new Bench();
  await bench.written();
  bench.die();
  bench.wait(LONG_MS);
  expect(bench.hasDamage, 'down for long').toBe(false);
  const file = await bench.open('update');
  await bench.done(file.sync());
  bench.wait(LONG_MS);
  expect(bench.hasDamage, 'a start that takes long').toBe(false);
  bench.disk.opened();
  expect(bench.hasDamage).toBe(true);
});

test('the time that a sync takes does not count', async () => {
  const bench = new Bench();
  const file = await bench.written();
  bench.disk.stallMs = LONG_MS;
  await bench.write(file);
  expect(bench.hasDamage).toBe(false);
});
