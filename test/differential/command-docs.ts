/** What COMMAND DOCS of a real redis-server says of arguments. One command or subcommand per line of the fixture. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from 'redis';
import { REDIS_VERSION } from './redis-server.ts';

/** With `since`, which only Redis knows. */
export interface DocumentedArgument {
  readonly name: string;
  readonly type: string;
  readonly key_spec_index?: number;
  readonly token?: string;
  readonly flags?: readonly string[];
  readonly arguments?: readonly DocumentedArgument[];
}

export type ArgumentsByCommand = ReadonlyMap<string, readonly DocumentedArgument[]>;

interface Documented {
  readonly arguments?: readonly DocumentedArgument[];
  readonly subcommands?: Readonly<Record<string, Documented>>;
}

const FILE = join(import.meta.dirname, `../fixtures/redis-${REDIS_VERSION}/command-docs.jsonl`);

export function readArguments(): ArgumentsByCommand {
  const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n');
  return new Map(lines.map((line) => JSON.parse(line) as [string, DocumentedArgument[]]));
}

export async function recordArguments(url: string): Promise<void> {
  const all = [...(await argumentsFrom(url))].sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(FILE, all.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

/** Of the server that listens there. */
export async function argumentsFrom(url: string): Promise<ArgumentsByCommand> {
  const client = createClient({ url, RESP: 3 });
  await client.connect();
  const docs = (await client.sendCommand(['COMMAND', 'DOCS'])) as unknown as Record<string, Documented>;
  client.destroy();
  return new Map(
    Object.entries(docs)
      .flatMap(([name, one]) => [[name, one] as const, ...Object.entries(one.subcommands ?? {})])
      .map(([name, one]) => [name, one.arguments ?? []]),
  );
}
