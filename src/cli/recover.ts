/** `kvorum recover --force-new-cluster`: what is left of a cluster whose majority is gone becomes a new one. */
import { ConfigError, readOne } from '../server/config.ts';
import { inspectDirectory, type Inspection } from '../wal/inspect.ts';
import { forceNewCluster, type NewCluster } from '../wal/new-cluster.ts';
import { WalError } from '../wal/wal.ts';
import { CommandError } from './command-error.ts';

export interface RecoverOptions {
  readonly forceNewCluster: boolean;
  readonly id: string;
  readonly url: string;
  /** The operator has read what may be lost. */
  readonly accepted: boolean;
}

export const ACCEPT_FLAG = '--yes-i-accept-data-loss';

/** Prints what may be lost and, where that was accepted, does it. Rejects with a `CommandError`. */
export async function recover(directory: string, options: RecoverOptions): Promise<void> {
  if (!options.forceNewCluster) {
    throw new CommandError(
      'recover needs --force-new-cluster: everything else a node recovers from by itself when it starts (see kvorum check)',
    );
  }
  const nodeId = readOne('id', options.id, {});
  const url = readUrl(options.url);
  if (nodeId === null || url === null) throw new CommandError('recover needs --id and --url');
  try {
    const inspection = await inspectDirectory(directory);
    if (inspection.content === null) throw new CommandError(`${directory}: ${why(inspection)}`);
    console.error(warning(inspection, nodeId));
    if (!options.accepted) {
      throw new CommandError(`nothing was changed; if you accept this, do it again with ${ACCEPT_FLAG}`);
    }
    console.log(done(directory, await forceNewCluster({ directory, nodeId, url })));
  } catch (error) {
    if (error instanceof WalError) throw new CommandError(error.message, { cause: error });
    throw error;
  }
}

/** The table of settings knows the same URL under another flag. */
function readUrl(text: string): string | null {
  try {
    return readOne('httpUrl', text, {});
  } catch (error) {
    if (error instanceof ConfigError) throw new CommandError(error.message.replace('--http-url', '--url'));
    throw error;
  }
}

function why({ state, findings }: Inspection): string {
  if (state === 'founded') return findings[0]?.text ?? 'whose directory it is can not be read';
  return 'no cluster was ever set up here; give the data directory of a member';
}

/** What is at stake, before anything is done. */
export function warning({ content, findings }: Inspection, nodeId: string): string {
  const entries = content?.entries ?? null;
  const configuration = content?.configuration ?? null;
  const { voters = [], outgoing = [], learners = [] } = configuration ?? {};
  const ids = new Set([...voters, ...outgoing, ...learners].map(({ id }) => id));
  const others = [...ids].filter((id) => id !== content?.identity.nodeId);
  const lines = [
    `WARNING: this ends the cluster ${content?.identity.clusterId} for ever and makes ${nodeId} the only voter of a new one.`,
    `  - Every acknowledged write that this directory never got is LOST. Its log ends with entry ${entries?.last ?? '?'} of term ${entries?.lastTerm ?? '?'};`,
    '    run kvorum check on what is left of the other members, and use the one with the highest last term, then the highest entry.',
    '  - Writes that were never acknowledged, and that clients may have sent again, become part of the data.',
    `  - The other members must never be started again${others.length === 0 ? '' : ` (${others.join(', ')})`}: empty their directories and let them join`,
    '    the new cluster under new ids.',
    '  - While a majority of the members can still be started, do not do this: start them.',
  ];
  for (const { action, text } of findings) if (action !== 'repair') lines.push(`  - Damage: ${text}`);
  return lines.join('\n');
}

function done(directory: string, { identity, keptTo, configurationIndex, left, notes }: NewCluster): string {
  return [
    ...notes,
    `${identity.nodeId} is the only voter of the new cluster ${identity.clusterId}: entries up to ${keptTo} were kept,`,
    `entry ${configurationIndex} begins the new cluster. Ids that are never used again: ${left.join(', ') || 'none'}.`,
    `Next: kvorum serve --id ${identity.nodeId} --data-dir ${directory} (without --peers and --join), then add nodes, each with`,
    'a new id and an empty directory: kvorum serve --id <new> --join <url of this node>',
  ].join('\n');
}
