import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { appendHistory, HISTORY_LINES_MAX, historyFile, mayBeKept, readHistory } from './history.ts';

function stateDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-history-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('lines come back, the newest first, out of a file that only its owner can read', () => {
  const file = historyFile({ XDG_STATE_HOME: stateDirectory() });
  expect(readHistory(file)).toEqual([]);
  appendHistory(file, 'SET a 1');
  appendHistory(file, 'GET ä');
  expect(readHistory(file)).toEqual(['GET ä', 'SET a 1']);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('the file is cut to its newest lines', () => {
  const file = join(stateDirectory(), 'history');
  const lines = Array.from({ length: HISTORY_LINES_MAX + 10 }, (_, at) => `GET ${at}`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  expect(readHistory(file)).toEqual(lines.slice(10).reverse());
  expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(HISTORY_LINES_MAX + 1);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('where no file can be, there is no history and no error', () => {
  const file = '/dev/null/kvorum/history';
  appendHistory(file, 'GET a');
  expect(readHistory(file)).toEqual([]);
});

test.each([
  ['AUTH secret', false],
  ['auth user secret', false],
  ['HELLO 3 AUTH user secret', false],
  ['HELLO 3', true],
  ['ACL SETUSER joe on >secret', false],
  ['ACL WHOAMI', true],
  ['CONFIG SET requirepass secret', false],
  ['CONFIG SET maxmemory 1gb', true],
  ['', false],
  ['GET a', true],
])('%j is kept: %s', (line, kept) => {
  expect(mayBeKept(line, line.split(' '))).toBe(kept);
});
