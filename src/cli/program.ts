/** The verbs and their options, as commander sees them. What a verb does is loaded only when it is called. */
import { Command, Option } from 'commander';

import { type Format, FORMATS } from '../formats/format.ts';
import {
  ConfigError,
  type Config,
  SETTINGS,
  type Setting,
  readConfig,
  readOne,
  variableOf,
} from '../server/config.ts';
import { VERSION } from '../server/version.ts';
import type { Target } from './cluster.ts';
import { CommandError } from './command-error.ts';
import { DEFAULT_CLIENT_ADDRESS } from './transfer/addresses.ts';
import type { Credentials } from './transfer/node-link.ts';

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/]*):\d+$/;
const REPL_OPTIONS_WITH_VALUES: ReadonlySet<string> = new Set(['--file', '--user', '--password-file']);
const DEFAULT_STATUS_URL = 'http://127.0.0.1:7380';

/** Runs the command line to its end; the outcome is in `process.exitCode`. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(withReplOptionsFirst(argv));
  } catch (error) {
    if (!(error instanceof ConfigError) && !(error instanceof CommandError)) throw error;
    console.error(`kvorum: ${error.message}`);
    process.exitCode = 1;
  }
}

/** The command tree; made anew for every run because commander keeps what it parsed. */
export function program(): Command {
  const kvorum = new Command('kvorum')
    .description('A strongly consistent, Raft-replicated key-value cluster that speaks the Redis protocol.')
    .version(VERSION);
  // What follows the words of a command in the REPL is the command's, also when it looks like an option.
  kvorum.enablePositionalOptions();
  kvorum.addCommand(serveCommand());
  kvorum.addCommand(statusCommand());
  kvorum.addCommand(clusterCommand());
  kvorum.addCommand(checkCommand());
  kvorum.addCommand(recoverCommand());
  kvorum.addCommand(replCommand());
  kvorum.addCommand(importCommand());
  kvorum.addCommand(exportCommand());
  return kvorum;
}

function statusCommand(): Command {
  return new Command('status')
    .description('Ask a node, and through it all others, how the cluster is; exits with 1 when none answers.')
    .addOption(urlOption())
    .option('--json', 'print JSON instead of a table')
    .option(
      '--digest',
      'also a hash of all that each node holds, and the log index for which it stands; takes each node some seconds per GB',
    )
    .action(async (options: { url: string; json?: true; digest?: true }) => {
      const { status } = await import('./status.ts');
      await status(options.url, options.json ?? false, options.digest ?? false);
    });
}

function checkCommand(): Command {
  return new Command('check')
    .description(
      'Read a data directory, changing nothing: what is in it and what a start would do. Exits with 0 when it is sound, 1 when it would be repaired, 2 when the node would refuse it.',
    )
    .argument('<data-dir>', 'the data directory, best of a node that is stopped')
    .option('--json', 'print JSON instead of text')
    .action(async (directory: string, options: { json?: true }) => {
      const { check } = await import('./check.ts');
      await check(directory, options.json ?? false);
    });
}

function replCommand(): Command {
  return new Command('repl')
    .description(
      'Talk to a server, or to a file: interactively, with lines from a pipe, or with one command. Exits with 1 when a command from a pipe or the command line failed.',
    )
    .argument('[host:port]', 'a server, any node of a cluster (default: 127.0.0.1:6380)')
    .argument('[command...]', 'one command and its arguments')
    .option('--file <file>', 'the data of this file in place of a server; -file will do')
    .option('--user <name>', 'user that the password belongs to', 'default')
    .option('--password-file <file>', 'file with the password (default: KVORUM_PASSWORD, or it is asked for)')
    .option('--json', 'print replies as JSON, one line each')
    .passThroughOptions()
    .action(
      async (
        first: string | undefined,
        others: string[],
        options: { file?: string; user: string; passwordFile?: string; json?: true },
      ) => {
        const { repl, replTarget } = await import('./repl/repl.ts');
        const { file = null, user, passwordFile = null, json = false } = options;
        await repl({ ...replTarget(file, first, others), user, passwordFile, json });
      },
    );
}

/**
 * Options of the REPL may stand in front of the address and behind it, not behind the first word of a command. One dash is enough
 * for `-file`.
 */
export function withReplOptionsFirst(argv: readonly string[]): readonly string[] {
  const start = 3;
  if (argv[start - 1] !== 'repl') return argv;
  const options: string[] = [];
  const addresses: string[] = [];
  let at = start;
  for (; at < argv.length; at += 1) {
    const arg = argv[at] ?? '';
    if (arg.startsWith('-')) {
      const option = arg.replace(/^-(?=file\b)/, '--');
      options.push(option);
      if (REPL_OPTIONS_WITH_VALUES.has(option) && at + 1 < argv.length) options.push(argv[(at += 1)] ?? '');
    } else if (addresses.length === 0 && ADDRESS.test(arg)) addresses.push(arg);
    else break;
  }
  return [...argv.slice(0, start), ...options, ...addresses, ...argv.slice(at)];
}

function recoverCommand(): Command {
  return new Command('recover')
    .description('When a majority of a cluster is lost for ever: make one of its directories a new cluster.')
    .argument(
      '<data-dir>',
      'the data directory of the member whose log is newest; no node may be running on it',
    )
    .requiredOption('--id <name>', 'name of the node in the new cluster: its own, or a new one')
    .requiredOption('--url <url>', 'where the other nodes will reach it, for example http://10.0.0.1:7380')
    .option('--force-new-cluster', 'make it the only voter of a new cluster; acknowledged writes may be lost')
    .option('--yes-i-accept-data-loss', 'do it; without this only what may be lost is said')
    .action(
      async (
        directory: string,
        options: { id: string; url: string; forceNewCluster?: true; yesIAcceptDataLoss?: true },
      ) => {
        const { recover } = await import('./recover.ts');
        const { id, url, forceNewCluster = false, yesIAcceptDataLoss: accepted = false } = options;
        await recover(directory, { id, url, forceNewCluster, accepted });
      },
    );
}

/** Who takes part. Every verb may ask any member, and exits with 1 and a reason when it was not done. */
function clusterCommand(): Command {
  const cluster = new Command('cluster').description('Say who takes part in a running cluster.');
  const verb = (text: string, description: string): Command =>
    cluster
      .command(text)
      .description(description)
      .addOption(urlOption())
      .addOption(optionOf(SETTINGS.clusterSecret));
  cluster.addCommand(statusCommand());
  verb('add <node-url>', 'Add the node that waits at this HTTP address (kvorum serve --join wait).')
    .option('--learner', 'no vote until it is promoted')
    .option('--replace <id>', 'the voter whose place it takes when it has caught up')
    .action(async (nodeUrl: string, options: TargetOptions & { learner?: true; replace?: string }) => {
      const { add } = await import('./cluster.ts');
      const { learner = false, replace = null } = options;
      await add(targetOf(options), nodeUrl, { learner, replaces: replace });
    });
  verb('remove <id>', 'Remove a member for ever; the leader, too.').action(
    async (id: string, options: TargetOptions) => {
      const { remove } = await import('./cluster.ts');
      await remove(targetOf(options), id);
    },
  );
  verb('promote <id>', 'Give a learner that has caught up a vote.')
    .option('--replace <id>', 'the voter that leaves in the same change')
    .action(async (id: string, options: TargetOptions & { replace?: string }) => {
      const { promote } = await import('./cluster.ts');
      await promote(targetOf(options), id, options.replace ?? null);
    });
  verb('transfer [id]', 'Hand leadership to this voter, or to the one that is closest behind.').action(
    async (id: string | undefined, options: TargetOptions) => {
      const { transfer } = await import('./cluster.ts');
      await transfer(targetOf(options), id ?? null);
    },
  );
  return cluster;
}

function importCommand(): Command {
  return new Command('import')
    .description(
      'Read a file of data into a cluster or a data directory. Nothing is run before the whole file was found to be sound; keys of the same names are replaced.',
    )
    .argument('<file>', 'the file; for append-only files from Redis 7 on, their manifest')
    .addOption(formatOption('recognised by how the file begins'))
    .option('--to <host:port>', `client port of any node of the cluster (default: ${DEFAULT_CLIENT_ADDRESS})`)
    .option('--into <dir>', 'instead: the data directory of an embedded store, which is made if need be')
    .addOption(userOption())
    .addOption(passwordOption())
    .option('--db <number|all>', 'which database of a Redis file; needed where others than 0 have keys')
    .option('--lossy', 'go on without what can not be taken over, and say what that was')
    .option('--torn-end', 'take a log (kvlg, resp) up to where it breaks off in the middle, as after a crash')
    .action(async (file: string, options: ImportFlags) => {
      const { importInto } = await import('./transfer/verbs.ts');
      await importInto(file, options, credentialsOf(options));
    });
}

function exportCommand(): Command {
  return new Command('export')
    .description('Write all keys of a cluster or a data directory into a file.')
    .argument('<file>', 'the file; - is the standard output')
    .addOption(formatOption('by the ending of the file'))
    .option(
      '--from <host:port|dir>',
      `client port of any node of the cluster, or the data directory of an embedded store (default: ${DEFAULT_CLIENT_ADDRESS})`,
    )
    .addOption(userOption())
    .addOption(passwordOption())
    .option('--lossy', 'leave out what the format has no words for, and say what that was')
    .action(async (file: string, options: ExportFlags) => {
      const { exportFrom } = await import('./transfer/verbs.ts');
      await exportFrom(file, options, credentialsOf(options));
    });
}

interface CredentialFlags {
  readonly user: string;
  readonly password?: string;
}

/** As commander finds them. */
export interface ImportFlags extends CredentialFlags {
  readonly format?: Format;
  readonly to?: string;
  readonly into?: string;
  readonly db?: string;
  readonly lossy?: true;
  readonly tornEnd?: true;
}

export interface ExportFlags extends CredentialFlags {
  readonly format?: Format;
  readonly from?: string;
  readonly lossy?: true;
}

function credentialsOf({ user, password }: CredentialFlags): Credentials {
  return { user, password: readOne('password', password, process.env) };
}

function formatOption(otherwise: string): Option {
  return new Option('--format <format>', `what the file is (default: ${otherwise})`).choices(FORMATS);
}

function userOption(): Option {
  return new Option('--user <name>', 'who to be').default('default');
}

function passwordOption(): Option {
  const variable = variableOf(SETTINGS.password);
  return new Option('--password <text>', `password of that user (${variable}, default: none)`);
}

interface TargetOptions {
  readonly url: string;
  readonly clusterSecret?: string;
}

function targetOf({ url, clusterSecret }: TargetOptions): Target {
  return { url, secret: readOne('clusterSecret', clusterSecret, process.env) };
}

function urlOption(): Option {
  return new Option('--url <url>', 'HTTP address of any node').default(DEFAULT_STATUS_URL);
}

function serveCommand(): Command {
  const command = new Command('serve').description('Run one node of a cluster, or a cluster of one.');
  for (const setting of Object.values(SETTINGS)) command.addOption(optionOf(setting));
  return command.action(async (given: Record<string, string | true>) => {
    const config = readConfig(flagsOf(given), process.env);
    const { serve } = await import('./serve.ts');
    await serve(config);
  });
}

function optionOf(setting: Setting<unknown>): Option {
  const { flag, argument, description } = setting;
  const fallback = setting.defaultNote ?? (argument === null ? undefined : setting.default);
  const notes = [variableOf(setting), ...(fallback === undefined ? [] : [`default: ${fallback}`])];
  const flags = argument === null ? `--${flag}` : `--${flag} ${argument}`;
  return new Option(flags, `${description} (${notes.join(', ').replaceAll('`', '')})`);
}

/** Commander files a value under the flag in camel case; the table has its own names. */
function flagsOf(
  given: Readonly<Record<string, string | true>>,
): Partial<Record<keyof Config, string | true>> {
  const flags: Partial<Record<keyof Config, string | true>> = {};
  for (const name of Object.keys(SETTINGS) as (keyof Config)[]) {
    const value = given[optionOf(SETTINGS[name]).attributeName()];
    if (value !== undefined) flags[name] = value;
  }
  return flags;
}
