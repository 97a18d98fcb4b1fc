/** The verbs and their options, as commander sees them. What a verb does is loaded only when it is called. */
import { Command, Option } from 'commander';

import {
  ConfigError,
  type Config,
  SETTINGS,
  type Setting,
  readConfig,
  variableOf,
} from '../server/config.ts';
import { VERSION } from '../server/version.ts';

const DEFAULT_STATUS_URL = 'http://127.0.0.1:7380';

/** Runs the command line to its end; the outcome is in `process.exitCode`. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(argv);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(`kvorum: ${error.message}`);
    process.exitCode = 1;
  }
}

/** The command tree; made anew for every run because commander keeps what it parsed. */
export function program(): Command {
  const kvorum = new Command('kvorum')
    .description('A strongly consistent, Raft-replicated key-value cluster that speaks the Redis protocol.')
    .version(VERSION);
  kvorum.addCommand(serveCommand());
  kvorum
    .command('status')
    .description('Ask a node, and through it all others, how the cluster is; exits with 1 when none answers.')
    .option('--url <url>', 'HTTP address of any node', DEFAULT_STATUS_URL)
    .option('--json', 'print JSON instead of a table')
    .action(async (options: { url: string; json?: true }) => {
      const { status } = await import('./status.ts');
      await status(options.url, options.json ?? false);
    });
  return kvorum;
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
