import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, open as openFile, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DATA_START } from '../wal/segment.ts';
import { open } from './index.ts';

const WRITER = resolve(import.meta.dirname, 'testing/writer.ts');
const KILLS = 4;
const COMPRESSIONS = ['none', 'zstd'] as const;

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvorum-crash-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test.each(COMPRESSIONS)(
  'a process is killed at any moment: every write whose promise had resolved is there (compression: %s)',
  async (compression) => {
    const directory = join(root, `killed-${compression}`);
    const acknowledged: number[] = [];
    for (let round = 0; round < KILLS; round++) {
      const child = spawn(process.execPath, [WRITER, directory, String(round * 1_000_000), compression], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      const enough = Math.floor(Math.random() * 400) + 1;
      child.stdout.setEncoding('latin1');
      for await (const chunk of child.stdout as AsyncIterable<string>) {
        said += chunk;
        if (said.split('\n').length > enough) child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      expect(child.signalCode).toBe('SIGKILL');
      // The last line may be a part of a number.
      acknowledged.push(...said.split('\n').slice(0, -1).map(Number));
      await using store = await open(directory);
      const missing = acknowledged.filter((number) => store.get(`k${number}`) !== `v${number}`.repeat(50));
      expect(missing).toEqual([]);
    }
    expect(acknowledged.length).toBeGreaterThan(KILLS);
  },
  60_000,
);

test.each(COMPRESSIONS)(
  'the last write is torn at every byte: what was acknowledged before is there, and it is there as a whole or not at all (compression: %s)',
  async (compression) => {
    const directory = join(root, `torn-${compression}`);
    const before = join(root, `before-${compression}`);
    const value = 'the value '.repeat(compression === 'none' ? 4 : 30);
    await using store = await open({ directory, valueCompression: compression, valueCompressionMinSize: 1 });
    for (let at = 0; at < 10; at++) await store.set(`k${at}`, `v${at}`);
    await copyFiles(directory, before);
    await store.batch().put('a', value).put('b', 'y').delete('k3').write();
    const name = (await readdir(directory)).find((each) => each.endsWith('.log'))!;
    const [old, now] = await Promise.all([readFile(join(before, name)), readFile(join(directory, name))]);
    let from = 0;
    let to = old.length;
    // The head of the file has an identifier of its own, which is written later.
    for (from = DATA_START; now[from] === old[from]; ) from++;
    for (to = old.length; now[to - 1] === old[to - 1]; ) to--;
    expect(to - from).toBeGreaterThan(60);
    const copy = join(root, 'copy');
    const seen = new Set<number>();
    for (let cut = from; cut <= to; cut++) {
      await rm(copy, { recursive: true, force: true });
      await copyFiles(before, copy);
      const file = await openFile(join(copy, name), 'r+');
      await file.write(now.subarray(from, cut), 0, cut - from, from);
      await file.close();
      await using reopened = await open(copy);
      const size = reopened.size;
      seen.add(size);
      expect(size === 10 || size === 11, `cut at ${cut}`).toBe(true);
      expect(reopened.has('k3')).toBe(size === 10);
      expect(reopened.get('a')).toBe(size === 10 ? undefined : value);
      for (const at of [0, 1, 2, 4, 5, 6, 7, 8, 9]) expect(reopened.get(`k${at}`)).toBe(`v${at}`);
      await reopened.set('on', 'we go');
    }
    expect(seen).toEqual(new Set([10, 11]));
  },
  120_000,
);

/** All of a directory but for its lock, which is a socket. */
function copyFiles(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, filter: (path) => !path.includes('lock-') });
}
