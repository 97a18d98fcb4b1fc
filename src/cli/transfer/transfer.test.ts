/** Imports and exports of a data directory, through the command line. What a cluster adds is in `test/integration/transfer.test.ts`. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WriteStream } from 'node:tty';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { MANIFEST, readSaid, SNAPSHOT } from '../../../test/formats/snapshot.ts';
import { open } from '../../embedded/store.ts';
import { program, run } from '../program.ts';
import { exportFile } from './export.ts';
import { importFile } from './import.ts';
import { type Reply, ReplyError } from './node-link.ts';
import { Progress } from './progress.ts';

let folder: string;
let store: string;
let said: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvorum-transfer-'));
  store = join(folder, 'store');
  said = [];
  const spies = [vi.spyOn(console, 'log'), vi.spyOn(console, 'error')];
  for (const spy of spies) spy.mockImplementation((text: string) => void said.push(text));
  const before = process.exitCode;
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
    process.exitCode = before;
    rmSync(folder, { recursive: true });
  });
});

/** What it printed, with the folder's name left out. */
async function kvorum(...args: string[]): Promise<string> {
  said = [];
  process.exitCode = 0;
  await run(['node', 'kvorum', ...args]);
  return said.join('\n').replaceAll(`${folder}/`, '');
}

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const read = (name: string): string => readFileSync(join(folder, name), 'latin1');

/** The values of string keys, all others as their types. */
async function contents(): Promise<Record<string, unknown>> {
  const opened = await open(store);
  const keys = opened.execute(['KEYS', '*']) as string[];
  const found = keys.toSorted().map((key) => {
    const type = opened.execute(['TYPE', key]);
    return [key, type === 'string' ? opened.execute(['GET', key]) : type];
  });
  await opened.close();
  return Object.fromEntries(found) as Record<string, unknown>;
}

test('a snapshot of Redis goes in and comes out again, as a snapshot and as commands', async () => {
  expect(await kvorum('import', SNAPSHOT, '--into', store)).toBe(
    `${SNAPSHOT} (rdb): ${readSaid().length + 1} commands were run`,
  );
  for (const format of ['rdb', 'resp']) {
    await kvorum('export', join(folder, `a.${format}`), '--from', store);
    rmSync(store, { recursive: true });
    await kvorum('import', join(folder, `a.${format}`), '--into', store);
    await kvorum('export', join(folder, `b.${format}`), '--from', store);
    const wanted = read(`a.${format}`);
    // The time of the export stands near the beginning.
    const timeless = (text: string): string =>
      format === 'rdb' ? text.slice(0, -8).replace(/ctime\xc2.{4}/s, '') : text;
    expect(timeless(read(`b.${format}`))).toBe(timeless(wanted));
  }
  const opened = await open(store);
  for (const { key, expiresAt } of readSaid())
    expect(opened.execute(['PEXPIRETIME', Buffer.from(key, 'latin1')])).toBe(expiresAt ?? -1);
  expect(opened.execute(['FCALL', 'greet', '0'])).toBe('hello');
  await opened.close();
});

test('an append-only file with its manifest', async () => {
  expect(await kvorum('import', MANIFEST, '--into', store)).toContain('9 commands were run');
  const list = expect.objectContaining({
    'a\r\nb': expect.any(String) as unknown,
    list: 'list',
    number: '1.5',
  }) as unknown;
  expect(await contents()).toEqual(list);
});

test('the seeds’ formats; what they have no words for is refused, or left out and said', async () => {
  const commands = 'SET a 1\nSET b "\\xff"\nRPUSH list x\nSET c 3 PXAT 4102444800000\n';
  await kvorum('import', file('commands.txt', commands), '--into', store);
  for (const format of ['json', 'binary', 'kvsp', 'kvlg']) {
    const out = join(folder, `out.${format}`);
    expect(await kvorum('export', out, '--from', store)).toMatch(
      /^kvorum: \w+ has no words for .*nothing was written$/,
    );
    expect(process.exitCode).toBe(1);
    expect([existsSync(out), existsSync(`${out}.part`)]).toEqual([false, false]);
    const report = await kvorum('export', out, '--from', store, '--lossy');
    expect(report).toContain(`out.${format} (${format}): ${format === 'json' ? 1 : 2} entries were written`);
    expect(report).toContain('"c", which expires');
    expect(report).toContain('"list", which is a list');
    const copy = join(folder, `copy-${format}`);
    await kvorum('import', out, '--into', copy);
    const opened = await open(copy);
    expect(opened.size).toBe(format === 'json' ? 1 : 2);
    expect(opened.get('a')).toBe('1');
    await opened.close();
  }
});

test.each([
  ['a snapshot', 'dump.rdb', SNAPSHOT],
  ['a log', 'log.kvlg', join(import.meta.dirname, '../../../test/fixtures/formats/deleted.kvlg')],
])('%s that is damaged leaves everything as it was', async (_what, name, from) => {
  await kvorum('import', file('before.txt', 'SET before 1\n'), '--into', store);
  const bytes = readFileSync(from);
  bytes[bytes.length - 12]! ^= 0xff;
  const report = await kvorum('import', file(name, bytes), '--into', store);
  expect(report).toMatch(
    new RegExp(`^kvorum: ${name} is damaged at byte \\d+: expected .*, found .*; nothing was imported`),
  );
  expect(process.exitCode).toBe(1);
  expect(await contents()).toEqual({ before: '1' });
});

test('a log that breaks off is taken up to there if asked, a transaction whole or not at all', async () => {
  const log = file('a.aof', 'SET a 1\nMULTI\nSET b 2\n*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$5\r\nab');
  const report = await kvorum('import', log, '--into', store);
  expect(report).toBe(
    'kvorum: a.aof is damaged at byte 48: expected an argument, found the end of the file, inside what begins at byte 22; everything before byte 22 is whole: kvorum import --torn-end takes that; nothing was imported',
  );
  expect(await kvorum('import', log, '--into', store, '--torn-end')).toContain('1 commands were run');
  expect(await contents()).toEqual({ a: '1' });
});

test('databases are chosen', async () => {
  const commands = file('commands.txt', 'SET a 0\nSELECT 3\nSET a 3\nSET b 3\n');
  expect(await kvorum('import', commands, '--into', store)).toContain(
    'databases 0 (1 commands), 3 (2 commands), and kvorum has one',
  );
  expect(existsSync(store)).toBe(false);
  expect(await kvorum('import', commands, '--into', store, '--db', '0')).toContain(
    '1 commands were run, 2 of other databases were not',
  );
  expect(await contents()).toEqual({ a: '0' });
  await kvorum('import', commands, '--into', store, '--db', 'all');
  expect(await contents()).toEqual({ a: '3', b: '3' });
});

test('a command that is refused ends it, and what was run is said', async () => {
  const commands = `${'INCR n\n'.repeat(500)}LPUSH n 1\nINCR n\n`;
  expect(await kvorum('import', file('commands.txt', commands), '--into', store)).toBe(
    'kvorum: commands.txt at byte 3500: LPUSH "n" was refused: WRONGTYPE Operation against a key holding the wrong kind of value; of the 2 commands from number 501 on, which are one step, 1 were run; 500 commands were run before it, and are not undone',
  );
});

test.each([
  [['import', 'nowhere.rdb', '--into', 'x'], "no such file or directory, stat 'nowhere.rdb'"],
  [['import', SNAPSHOT, '--into', 'x', '--to', 'a:1'], 'give one of them'],
  [['import', SNAPSHOT, '--to', 'a'], '--to: "a" is no address; use <host>:<port>'],
  [['import', SNAPSHOT, '--to', '127.0.0.1:1'], '127.0.0.1:1: connect ECONNREFUSED'],
  [['import', SNAPSHOT, '--into', 'x', '--db', 'b'], '--db: "b" is no database'],
  [
    ['import', import.meta.filename, '--into', 'x', '--format', 'resp'],
    'is damaged at byte 0: expected a command',
  ],
  [['export', 'a.xyz'], 'its ending says no format; give --format, one of json, binary'],
  [['export', 'a.rdb', '--from', '/nowhere'], '/nowhere: neither a directory nor <host>:<port>'],
])('%j', async (args, message) => {
  expect(await kvorum(...args)).toContain(message);
  expect(process.exitCode).toBe(1);
});

test('the first bytes say the format, or that there is none', async () => {
  expect(await kvorum('import', file('a', '\x00\x01'), '--into', store)).toBe(
    'kvorum: a: no format begins like this (0001); give its format, one of json, binary, kvsp, kvlg, rdb, resp; nothing was imported',
  );
});

test('progress is drawn on a terminal and nowhere else', () => {
  const drawn: string[] = [];
  const terminal = { isTTY: true, columns: 200, write: (text: string) => drawn.push(text) };
  const progress = new Progress('importing', 200, terminal as unknown as WriteStream);
  progress.advance(50, 10);
  expect(drawn.join('')).toContain('importing [######..................] 25 %  10');
  expect(progress.line(2)).toBe('importing [######..................] 25 %  10  5 a second');
  const silent: string[] = [];
  const pipe = { isTTY: false, write: (text: string) => silent.push(text) };
  new Progress('importing', 200, pipe as unknown as WriteStream).advance(50, 10);
  expect(silent).toEqual([]);
});

test('an export asks for no more at a time than a few megabytes', async () => {
  const keys = Array.from({ length: 1000 }, (_, at) => `k${at}`);
  const sizeOf = (key: string): Reply => {
    const at = Number(key.slice(1));
    if (at < 500) return 5 * 1024 * 1024;
    return at < 520 ? new ReplyError('NOPERM this user has no permissions') : 100;
  };
  const steps: string[][] = [];
  const answer = ([name, first = '', key = '']: readonly string[]): Reply => {
    switch (name) {
      case 'DBSIZE':
        return keys.length;
      case 'SCAN':
        return ['0', keys];
      case 'MEMORY':
        return sizeOf(key);
      case 'DUMP':
        steps.at(-1)?.push(first);
        return `\0\x01${first.at(-1)}${'\0'.repeat(10)}`;
      case 'PEXPIRETIME':
        return -1;
      default:
        return [];
    }
  };
  const origin = {
    read: async (requests: readonly (readonly string[])[]): Promise<readonly Reply[]> => {
      steps.push([]);
      return requests.map(answer);
    },
    close: async (): Promise<void> => {},
  };
  await exportFile(origin, join(folder, 'x.rdb'), { format: 'rdb', lossy: false });
  const asked = steps.filter((step) => step.length > 0);
  expect(asked.flat()).toEqual(keys);
  // 3 × 5 MB, then one by one, then 256.
  expect(asked.map(({ length }) => length)).toEqual([
    ...Array(166).fill(3),
    2,
    ...Array(20).fill(1),
    256,
    224,
  ]);
});

test('a step that is refused as a whole is no success', async () => {
  const commands = file('c.resp', 'SET a 1\nSET b 2\n');
  const aborted = new ReplyError('EXECABORT Transaction discarded because of: OOM \xc3\xbc');
  const target = { run: async () => [aborted, aborted], close: async () => {} };
  const options = { format: null, database: null, lossy: false, tornEnd: false };
  await expect(importFile(commands, options, async () => target)).rejects.toThrow(
    'c.resp at byte 0: SET "a" was refused: EXECABORT Transaction discarded because of: OOM ü; of the 2 commands from number 1 on, which are one step, 0 were run; 0 commands were run before it',
  );
});

test('help says what a password is for', () => {
  for (const name of ['import', 'export']) {
    const command = program().commands.find((one) => one.name() === name);
    const option = command?.options.find((one) => one.long === '--password');
    expect(option?.description).toBe('password of that user (KVORUM_PASSWORD, default: none)');
  }
});

test('a directory without a store has nothing to export, and stays as it is', async () => {
  expect(await kvorum('export', join(folder, 'x.rdb'), '--from', folder)).toContain(
    'there is no store in it',
  );
  expect(process.exitCode).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});

test('what the system refuses is a sentence', async () => {
  file('data.json', '{"version":1,"data":{"a":"1"}}');
  await kvorum('import', join(folder, 'data.json'), '--into', store);
  expect(await kvorum('export', folder, '--from', store, '--format', 'rdb')).toContain(
    ': a directory; expected',
  );
  expect(await kvorum('export', join(folder, 'no', 'x.rdb'), '--from', store)).toContain('ENOENT');
  expect(process.exitCode).toBe(1);
});
