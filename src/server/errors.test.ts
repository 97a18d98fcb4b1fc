import { expect, test } from 'vitest';
import {
  busy,
  clusterDown,
  ERRORS,
  moved,
  outcomeUnknown,
  redirection,
  unknownCommand,
  unknownSubcommand,
} from './errors.ts';
import { OTHER, SELF } from './testing/engine.ts';

test('every error says what to do, and only what was or may have been run must not be retried', () => {
  for (const { code, message, hint, retryable } of Object.values(ERRORS)) {
    expect(code).toMatch(/^[A-Z]+$/);
    expect(message).not.toBe('');
    expect(hint).not.toBe('');
    expect(retryable).toBe(code !== 'UNKNOWN' && code !== 'TOOLONG');
  }
});

test('blanks are filled in', () => {
  expect(moved(12_182, OTHER)).toBe('MOVED 12182 127.0.0.1:7002');
  expect(redirection(7, OTHER, SELF.id)).toBe('MOVED 7 127.0.0.1:7002');
  expect(redirection(7, SELF, SELF.id)).toBe(clusterDown());
  expect(redirection(7, null, SELF.id)).toBe(clusterDown());
  expect(clusterDown()).toBe('CLUSTERDOWN The cluster is down: no leader known');
  expect(busy(42)).toMatch(/^BUSY 42 bytes /);
  expect(outcomeUnknown()).toMatch(/^UNKNOWN /);
});

test('what a client said is repeated up to 128 bytes', () => {
  expect(unknownCommand(['foo'])).toBe("ERR unknown command 'foo', with args beginning with: ");
  expect(unknownCommand(['foo', 'a', 'b'])).toBe(
    "ERR unknown command 'foo', with args beginning with: 'a' 'b' ",
  );
  expect(unknownCommand(['f'.repeat(200), 'x'.repeat(200), 'y'])).toBe(
    `ERR unknown command '${'f'.repeat(128)}', with args beginning with: '${'x'.repeat(128)}' `,
  );
  expect(unknownCommand(['foo', 'x'.repeat(100), 'y'.repeat(100), 'z'])).toBe(
    `ERR unknown command 'foo', with args beginning with: '${'x'.repeat(100)}' '${'y'.repeat(25)}' `,
  );
  expect(unknownSubcommand('client', 'foo')).toBe("ERR unknown subcommand 'foo'. Try CLIENT HELP.");
});
