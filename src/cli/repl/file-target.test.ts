/** What a session over a file saves unasked; all else is in `test/integration/repl.test.ts`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { FileTarget } from './file-target.ts';

const PATIENCE = { timeout: 10_000 };

test('an empty file is one that nothing was written to yet', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kvorum-file-target-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'data.json'), '');
  const target = await FileTarget.open(join(folder, 'data.json'));
  await target.run(['SET', 'a', '1']);
  await target.end();
  target.close();
  expect(JSON.parse(readFileSync(join(folder, 'data.json'), 'utf8'))).toMatchObject({ data: { a: '1' } });
  await expect(FileTarget.open(folder)).rejects.toThrow(`${folder}: a directory; expected a file`);
});

test('what was changed is saved from time to time, and told once where it can not be', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kvorum-file-target-'));
  const target = await FileTarget.open(join(folder, 'data.json'), 5);
  onTestFinished(() => {
    target.close();
    rmSync(folder, { recursive: true });
  });
  const told: string[] = [];
  await target.start({ onNotice: (text) => void told.push(text) });
  const saved = (): unknown =>
    (JSON.parse(readFileSync(join(folder, 'data.json'), 'utf8')) as { data: unknown }).data;

  await target.run(['SET', 'a', '1']);
  await vi.waitFor(() => expect(saved()).toEqual({ a: '1' }), PATIENCE);
  await target.run(['RPUSH', 'list', 'x']);
  await vi.waitFor(() => expect(told.length).toBe(1), PATIENCE);
  expect(told[0]).toContain('"list", which is a list');
  await target.run(['SET', 'b', '2']);
  await target.run(['DEL', 'list']);
  await vi.waitFor(() => expect(saved()).toEqual({ a: '1', b: '2' }), PATIENCE);
  expect(told.length).toBe(1);
  // Both at once, and the one that was asked for has everything.
  await target.run(['SET', 'c', '3']);
  await Promise.all([target.run(['SNAPSHOT']), target.run(['SNAPSHOT'])]);
  expect(saved()).toEqual({ a: '1', b: '2', c: '3' });
  expect(readdirSync(folder)).toEqual(['data.json']);
});
