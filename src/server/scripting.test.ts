/** Scripts and what a node answers by itself. */
import { expect, test } from 'vitest';
import { Harness } from '../store/testing/harness.ts';
import { dataContainers } from './commands/data-containers.ts';
import { commandTable } from './table.ts';

const own = [...new Set(commandTable.values())].filter(
  (command) =>
    (command.kind === 'local' || command.kind === 'transaction') &&
    !dataContainers.some(({ name }) => name === command.name),
);

test.each(own.map(({ name }) => name))('no script may call %s, which only this node could answer', (name) => {
  const harness = new Harness();
  const script = 'return redis.pcall(unpack(ARGV)).err';
  // A container is asked for with one of its subcommands.
  const subcommand = own.find((command) => command.name === name);
  const parts =
    subcommand?.kind === 'local'
      ? (subcommand.subcommands?.find(({ kind }) => kind === 'local')?.name.split('|') ?? [name])
      : [name];
  expect(harness.run('EVAL', script, '0', ...parts)).toBe(
    'ERR This Redis command is not allowed from script',
  );
});
