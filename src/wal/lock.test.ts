import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockDirectory } from './lock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kvorum-lock-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const locked = { code: 'WAL_LOCKED' };

describe('the lock of a directory', () => {
  test('is held by one at a time and can be taken again when it is free', async () => {
    const release = await lockDirectory(directory);
    await expect(lockDirectory(directory)).rejects.toMatchObject(locked);
    await release();
    expect(readdirSync(directory)).toEqual([]);
    const again = await lockDirectory(directory);
    await expect(lockDirectory(directory)).rejects.toMatchObject(locked);
    await again();
  });

  test('is found by whatever name the directory is reached', async () => {
    const release = await lockDirectory(directory);
    const alias = `${directory}-alias`;
    symlinkSync(directory, alias);
    await expect(lockDirectory(alias)).rejects.toMatchObject(locked);
    rmSync(alias);
    await release();
  });

  test.runIf(process.platform === 'linux')('works in a directory with a long path', async () => {
    const deep = join(directory, 'd'.repeat(120), 'e'.repeat(120));
    mkdirSync(deep, { recursive: true });
    const release = await lockDirectory(deep);
    await expect(lockDirectory(deep)).rejects.toMatchObject(locked);
    await release();
    expect(readdirSync(deep)).toEqual([]);
  });

  test('of another process is refused while it lives, and free the moment it is killed', async () => {
    const module = join(import.meta.dirname, 'lock.ts');
    const script = `const { lockDirectory } = await import(${JSON.stringify(module)});
      await lockDirectory(${JSON.stringify(directory)}); console.log('held'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await expect(lockDirectory(directory)).rejects.toMatchObject(locked);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readdirSync(directory)).toEqual(['lock-1']);
    const release = await lockDirectory(directory);
    expect(readdirSync(directory)).toEqual(['lock-2']);
    await release();
  });

  test('never goes to two of many that start at once', async () => {
    for (let round = 0; round < 20; round += 1) {
      const results = await Promise.allSettled(Array.from({ length: 6 }, () => lockDirectory(directory)));
      const winners = results.filter((result) => result.status === 'fulfilled');
      expect(winners.length).toBeLessThanOrEqual(1);
      for (const { value: release } of winners) await release();
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject(locked);
    }
  });
});
