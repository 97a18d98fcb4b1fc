/** The page of all commands can be made: no command of Redis 7.0.15 is forgotten, be it supported or not. */
import { expect, test } from 'vitest';
import { commandDocs } from '../../scripts/command-docs.ts';

test('every command of Redis has a row, with a reason where it has no place', () => {
  const page = commandDocs();
  expect(page).toMatch(/\n\| `GET <key>` \| 1\.0\.0 \| .+ \|/);
  expect(page).toMatch(/\n\| `CLIENT TRACKING .+` \| 6\.0\.0 \| .+clients\.md#copies-that-clients-keep/);
  const [, absent = ''] = page.split('## What there is not');
  expect(absent).toMatch(/\n\| `PSYNC` \| PSYNC is not supported: /);
});
