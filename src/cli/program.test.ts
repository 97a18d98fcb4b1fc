import { expect, onTestFinished, test, vi } from 'vitest';

import { ConfigError, SETTINGS } from '../server/config.ts';
import { ioError } from '../wal/errors.ts';
import { program, run, withReplOptionsFirst } from './program.ts';
import { explain } from './serve.ts';

/** Values that the settings refuse; a secret with a space, a number that is none, and so on. */
const BAD = 'not a value';
const ANY_TEXT_WILL_DO = new Set(['data-dir']);

test.each(
  Object.values(SETTINGS)
    .filter(({ argument, flag }) => argument !== null && !ANY_TEXT_WILL_DO.has(flag))
    .map(({ flag }) => flag),
)('--%s reaches its row of the table', async (flag) => {
  const parsed = program().parseAsync(['node', 'kvorum', 'serve', `--${flag}`, BAD]);
  await expect(parsed).rejects.toThrow(ConfigError);
  await expect(parsed).rejects.toThrow(`--${flag}: `);
});

test('the switch and the directory reach theirs', async () => {
  const serve = (...args: string[]): Promise<unknown> =>
    program().parseAsync(['node', 'kvorum', 'serve', ...args]);
  // The secrets are checked before the address to announce: only the switch lets it come that far.
  const open = ['--peers', 'n1=http://a:1,n2=http://b:1', '--host', '0.0.0.0'];
  await expect(serve(...open)).rejects.toThrow('no cluster-secret');
  await expect(serve(...open, '--insecure')).rejects.toThrow('--announce');
  await expect(serve('--data-dir', '')).rejects.toThrow('--data-dir: ""');
});

test('a wrong setting is one line on stderr and exit code 1', async () => {
  const error = vi.spyOn(console, 'error').mockReturnValue();
  const before = process.exitCode;
  onTestFinished(() => {
    error.mockRestore();
    process.exitCode = before;
  });
  await run(['node', 'kvorum', 'serve', '--fsync', 'maybe']);
  expect(process.exitCode).toBe(1);
  expect(error.mock.calls).toEqual([
    ['kvorum: --fsync: "maybe" is not known; use one of always, interval, never'],
  ]);
});

test.each([
  ['repl', 'repl'],
  ['serve -file x', 'serve -file x'],
  ['repl -file data.json', 'repl --file data.json'],
  ['repl -file=data.json GET a', 'repl --file=data.json GET a'],
  ['repl --file data.json SET a -file', 'repl --file data.json SET a -file'],
  ['repl h:1 --json GET a', 'repl --json h:1 GET a'],
  ['repl --user joe h:1 --json --password-file p', 'repl --user joe --json --password-file p h:1'],
  ['repl h:1 SET a --json', 'repl h:1 SET a --json'],
  ['repl h:1 SET a h:2', 'repl h:1 SET a h:2'],
  ['repl [::1]:5 LRANGE a 0 -1', 'repl [::1]:5 LRANGE a 0 -1'],
])('%s is taken as %s', (given, taken) => {
  expect(withReplOptionsFirst(['node', 'kvorum', ...given.split(' ')])).toEqual([
    'node',
    'kvorum',
    ...taken.split(' '),
  ]);
});

test('a directory of another user is told with the remedy, as a port is', () => {
  const denied = Object.assign(new Error('EACCES: permission denied, mkdir d'), { code: 'EACCES' });
  const told = 'EACCES: permission denied, mkdir d; this user may not do that: check the owner of --data-dir';
  expect(explain(denied)).toContain(told);
  expect(explain(ioError('claim', 'd', denied))).toContain(`claim d: ${told}`);
});
