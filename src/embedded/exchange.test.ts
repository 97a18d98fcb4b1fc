/** Where files come from and go to: directories, pipes, links, permissions, and nothing left behind. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Entry } from '../formats/format.ts';
import { FileSink, writeEntries } from './exchange.ts';
import { type Format, open, type Store } from './index.ts';
import { sourceOf, wholeOf } from './source.ts';

let folder: string;
let store: Store;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvorum-exchange-'));
  store = await open();
  await store.set('a', '1');
  onTestFinished(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
});

const path = (name: string): string => join(folder, name);
const refused = (message: string): object =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) as string });

const written: Readonly<Record<string, (file: string) => Promise<unknown>>> = {
  export: (file) => store.export(file, 'json'),
  snapshot: (file) => store.snapshot(file),
};

describe.each(Object.entries(written))('%s', (_name, write) => {
  test('a directory or a pipe is not replaced, and nothing is left', async () => {
    mkdirSync(path('directory'));
    execFileSync('mkfifo', [path('pipe')]);
    await expect(write(path('directory'))).rejects.toEqual(refused('directory: a directory; expected'));
    await expect(write(path('pipe'))).rejects.toEqual(refused('pipe: a device or a pipe; expected'));
    expect(lstatSync(path('pipe')).isFIFO()).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['directory', 'pipe']);
  });

  test('who could not read the old file can not read the new one, and links stay', async () => {
    for (const mode of [0o600, 0o640]) {
      writeFileSync(path('file'), 'old');
      chmodSync(path('file'), mode);
      symlinkSync('file', path('link'));
      await write(path('link'));
      expect(lstatSync(path('link')).isSymbolicLink()).toBe(true);
      expect(readFileSync(path('file'), 'latin1')).not.toBe('old');
      expect(statSync(path('file')).mode & 0o777).toBe(mode);
      expect(readdirSync(folder).sort()).toEqual(['file', 'link']);
      rmSync(path('link'));
    }
  });

  test('several at once into one file leave one that is whole', async () => {
    await Promise.all([1, 2, 3].map(() => write(path('file'))));
    expect(readdirSync(folder)).toEqual(['file']);
  });
});

test('an export has what there was when it was asked for', async () => {
  const exported = store.export(path('file'), 'json');
  await store.clear();
  await store.set('b', '2');
  expect(await exported).toMatchObject({ entries: 1 });
  expect(JSON.parse(readFileSync(path('file'), 'utf8'))).toMatchObject({ data: { a: '1' } });
});

/** Told of each step of a work; the most that came in one turn of the event loop. */
function counted(): { step: () => void; most: () => number } {
  let inTurn = 0;
  let most = 0;
  const turn = (): void => {
    inTurn = 0;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  onTestFinished(() => clearImmediate(next));
  const step = (): void => {
    inTurn++;
    most = Math.max(most, inTurn);
  };
  return { step, most: () => most };
}

test('what is exported and loaded leaves time for others', async () => {
  const many = 20_000;
  for (let at = 0; at < many; at++) void store.set(`k${at}`, 'v');
  const exported = counted();
  const entries = (function* (): Generator<Entry> {
    for (let at = 0; at < many; at++) {
      exported.step();
      yield { kind: 'string', key: `k${at}`, value: 'v', expiresAt: null };
    }
  })();
  await writeEntries(await FileSink.open(path('file')), 'rdb', entries, () => {});
  expect(exported.most()).toBeLessThanOrEqual(1000);

  const checked = counted();
  await wholeOf(await sourceOf(path('file'), null), undefined, (_bytes, commands) => {
    if (commands > 0) checked.step();
  });
  expect(checked.most()).toBeLessThanOrEqual(1000);

  const loaded = counted();
  store.on('change', loaded.step);
  expect(await store.load(path('file'))).toEqual({ commands: many });
  expect(loaded.most()).toBeLessThanOrEqual(1000);
});

test('a format that is none is refused before a file is made or read', async () => {
  const none = 'xml' as Format;
  await expect(store.export(path('file'), none)).rejects.toEqual(
    refused('format: xml; expected one of json,'),
  );
  expect(readdirSync(folder)).toEqual([]);
  writeFileSync(path('file'), '{"version":1,"data":{"b":"2"}}');
  await expect(store.load(path('file'), none)).rejects.toEqual(refused('format: xml'));
  expect([...store.keys()]).toEqual(['a']);
});

test('a snapshot is no file to load, and files of other programs are no snapshots', async () => {
  await store.snapshot(path('snapshot'));
  await expect(store.load(path('snapshot'))).rejects.toEqual(refused('restore() reads it'));
  for (const format of ['json', 'rdb', 'binary'] as const) {
    await store.export(path('file'), format);
    await expect(store.restore(path('file'))).rejects.toEqual(refused(`but ${format}, which load() reads`));
  }
  expect([...store.keys()]).toEqual(['a']);
});

test('what can not be read twice is not loaded', async () => {
  execFileSync('mkfifo', [path('pipe')]);
  await expect(store.load(path('pipe'), 'resp')).rejects.toEqual(refused('pipe: a device or a pipe'));
  await expect(store.load(folder)).rejects.toEqual(refused(`${folder}: a directory`));
});

test('a file that is given up is closed', async () => {
  const openFiles = (): string[] => readdirSync('/proc/self/fd');
  // More than what is read ahead.
  writeFileSync(path('damaged'), `{"version":2,"data":{"a":"${'x'.repeat(4 * 1024 * 1024)}"}}`);
  writeFileSync(path('refused'), `LPUSH a x\n${'SET b 1\n'.repeat(512 * 1024)}`);
  const before = openFiles().length;
  await expect(store.load(path('damaged'))).rejects.toMatchObject({ code: 'DAMAGED' });
  await expect(store.load(path('refused'))).rejects.toMatchObject({ code: 'COMMAND' });
  await expect.poll(() => openFiles().length, { timeout: 10_000 }).toBeLessThanOrEqual(before);
});
