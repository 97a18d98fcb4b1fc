/** `kvorum repl`: commands typed, piped or given at once, for a server or for a file. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

import { commandTable } from '../../server/table.ts';
import { CommandError } from '../command-error.ts';
import { type Address, addressOf } from '../address.ts';
import { Hints } from './hints.ts';
import { historyFile } from './history.ts';
import { Script } from './script.ts';
import { ServerTarget } from './server-target.ts';
import { json, raw } from './show.ts';
import type { AskSecret, Target } from './target.ts';
import { Terminal } from './terminal.ts';
import { bytesOf } from './words.ts';

const DEFAULT_ADDRESS: Address = { host: '127.0.0.1', port: 6380 };

export interface ReplOptions {
  /** A server, or a file. */
  readonly address: Address | string;
  readonly user: string;
  readonly passwordFile: string | null;
  readonly json: boolean;
  /** One command to run in place of a conversation; none if empty. */
  readonly words: readonly string[];
}

/**
 * What the operands mean: an address, or none for this machine, and a command, or none for a conversation. With a file there is
 * no address.
 */
export function replTarget(
  file: string | null,
  first: string | undefined,
  others: readonly string[],
): Pick<ReplOptions, 'address' | 'words'> {
  if (file !== null) return { address: file, words: first === undefined ? [] : [first, ...others] };
  if (first === undefined) return { address: DEFAULT_ADDRESS, words: [] };
  const address = addressOf(first, DEFAULT_ADDRESS.host);
  if (address !== null) return { address, words: others };
  if (others.length === 0 && !commandTable.has(first.toLowerCase()))
    throw new CommandError(
      `"${first}" is neither host:port nor a command; for example: kvorum repl 127.0.0.1:6380`,
    );
  return { address: DEFAULT_ADDRESS, words: [first, ...others] };
}

export async function repl(options: ReplOptions): Promise<void> {
  await converse(await targetOf(options), options);
}

async function targetOf({ address, user, passwordFile }: ReplOptions): Promise<Target> {
  if (typeof address === 'string') {
    const { FileTarget } = await import('./file-target.ts');
    return FileTarget.open(address);
  }
  const password = passwordOf(passwordFile);
  return new ServerTarget(address, bytesOf(user), password === null ? null : bytesOf(password));
}

async function converse(
  target: Target,
  { words, json: asJson }: Pick<ReplOptions, 'words' | 'json'>,
): Promise<void> {
  const { stdin, stdout, stderr } = process;
  // The reader has had enough, as `head` has.
  stdout.on('error', () => process.exit(1));
  const show = asJson ? json : stdout.isTTY ? target.show : raw;
  try {
    if (words.length === 0 && stdin.isTTY && stdout.isTTY) {
      const file = historyFile(process.env);
      await new Terminal(target, show, new Hints(target.extraWords), file, stdin, stdout).run();
      return;
    }
    const out = (text: string): void => void stdout.write(Buffer.from(`${text}\n`, 'latin1'));
    const error = (text: string): void => void stderr.write(Buffer.from(`kvorum: ${text}\n`, 'latin1'));
    await target.start(
      {
        onPush: (reply) => out(show(reply)),
        onNotice: error,
        onRedirect() {},
      },
      askSecret,
    );
    const script = new Script(target, show, asJson, { out, error });
    if (words.length > 0) {
      if (await script.command(words.map(bytesOf), null)) await script.end();
    } else await script.lines(stdin.setEncoding('latin1'));
    if (script.failed) process.exitCode = 1;
  } finally {
    target.close();
  }
}

/** Of the file, if one is named, or of the environment; null for none. */
function passwordOf(file: string | null): string | null {
  if (file === null) return process.env['KVORUM_PASSWORD'] ?? null;
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new CommandError(`--password-file: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Asks somebody who sits at a terminal, and shows nothing of the answer. */
const askSecret: AskSecret = (question) => {
  if (!process.stdin.isTTY) return Promise.resolve(null);
  const dark = new Writable({ write: (_chunk, _encoding, done) => done() });
  const readline = createInterface({ input: process.stdin, output: dark, terminal: true, historySize: 0 });
  process.stderr.write(question);
  return new Promise((resolve) => {
    const answer = (text: string | null): void => {
      readline.close();
      process.stderr.write('\n');
      resolve(text);
    };
    readline.once('line', (line) => answer(bytesOf(line)));
    readline.once('SIGINT', () => answer(null));
  });
};
