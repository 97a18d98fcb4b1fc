/** Every example that is a program of its own runs, and says what it should. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const EXAMPLES = resolve(import.meta.dirname, '../../examples');
const run = promisify(execFile);

test.each([
  [
    'embedded.ts',
    ['balance: 70', 'user:1 = Alice', 'user:3 = Carol', 'news: hello, world', 'newest user: user:3'],
  ],
  [
    'cache.ts',
    [
      'Rome: 12 °C',
      'Oslo: 12 °C',
      'Lima: 12 °C',
      'Rome: 12 °C',
      'no room for Oslo',
      'Bern: 12 °C',
      'Rome: 12 °C',
      'no room for Lima',
      'Oslo: 12 °C',
      '2 hits, 5 misses, 2 evicted',
    ],
  ],
  ['session-store.ts', ['after a restart: alice', 'after the end: undefined']],
  ['job-queue.ts', ['done: one', 'taken: two', 'done: two', 'done: three', 'left: 0']],
  ['watching.ts', ['door:front is open', 'door:front is closed', 'door:front is gone', 'no more']],
])('%s', async (name, lines) => {
  const { stdout } = await run(process.execPath, ['--conditions=kvorum-source', resolve(EXAMPLES, name)]);
  expect(stdout.trimEnd().split('\n')).toEqual(lines);
});
