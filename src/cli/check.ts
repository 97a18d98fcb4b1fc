/** `kvorum check`: what a data directory holds, and what a start would do about it. Changes nothing. */
import { inspectDirectory, type Content, type Decision, type Inspection } from '../wal/inspect.ts';
import { WalError } from '../wal/wal.ts';
import { columns } from './columns.ts';

/** What the process ends with. */
export const EXIT_CODES: Readonly<Record<Decision, number>> = {
  sound: 0,
  repaired: 1,
  recovering: 1,
  refused: 2,
};

const VERDICTS: Readonly<Record<Decision, string>> = {
  sound: 'sound: a start changes nothing',
  repaired: 'would be repaired: a start mends it, and nothing that was acknowledged is lost',
  recovering:
    'recovering: the node starts, but gives no vote until it has caught up with a leader; it may lack what it acknowledged',
  refused: 'refused: the node does not start from this',
};

/** Of a node that lost its disk this is no good news, and of a mistyped path neither. */
const NOT_SET_UP = 'no data: a start sets up a new node here';

/** Prints the report; the exit code is 0 for sound, 1 for repaired or recovering, 2 for refused or unreadable. */
export async function check(directory: string, json: boolean): Promise<void> {
  try {
    const inspection = await inspectDirectory(directory);
    process.exitCode = EXIT_CODES[inspection.decision];
    console.log(json ? JSON.stringify(inspection, null, 2) : report(inspection));
  } catch (error) {
    if (!(error instanceof WalError)) throw error;
    process.exitCode = EXIT_CODES.refused;
    console.error(`kvorum: ${error.message}`);
  }
}

/** The report as lines of text. */
export function report(inspection: Inspection): string {
  const { directory, inUse, state, owner, decision, findings, remedy, content } = inspection;
  const lines = [`directory    ${directory}`];
  if (inUse)
    lines.push(
      '             in use: a process has it open, so this may be a moment in between two of its writes',
    );
  if (owner !== null)
    lines.push(`node         ${owner.nodeId}, group ${owner.group}, incarnation ${owner.incarnation}`);
  if (state === 'empty') lines.push('             empty: nothing was ever set up here');
  if (state === 'claimed')
    lines.push('             claimed by this node, which is not part of a cluster yet');
  if (content !== null) lines.push(...contentLines(content));
  if (findings.length > 0) lines.push('', 'FINDINGS');
  for (const { action, label, file, offset, text } of findings)
    lines.push(`  ${action} [${label}] ${file}${offset === 0 ? '' : ` at ${offset}`}`, `    ${text}`);
  const verdict = state === 'founded' ? VERDICTS[decision] : NOT_SET_UP;
  lines.push('', `verdict      ${verdict}`);
  if (remedy !== null) lines.push(`             ${remedy}`);
  return lines.join('\n');
}

function contentLines(content: Content): string[] {
  const { identity, formerClusters, termVote, entries, configuration, rules } = content;
  const former = formerClusters.length === 0 ? '' : ` (before: ${formerClusters.join(', ')})`;
  const lines = [`cluster      ${identity.clusterId}${former}`];
  if (configuration !== null) lines.push(...membersLines(configuration));
  for (const { file, state, term, vote, recovering } of termVote) {
    const found = `term ${term}, vote ${vote ?? 'none'}${recovering === true ? ', recovering' : ''}`;
    lines.push(`${file.padEnd(12)} ${state === 'sound' ? found : state}`);
  }
  if (entries !== null) {
    const { first, last, lastTerm, commit, noop, batch, configuration: configurations } = entries;
    const types = `${batch} batches of writes, ${configurations} configurations, ${noop} first of a term`;
    const range =
      last < first ? `none, the log begins after ${last}` : `${first} to ${last}, last term ${lastTerm}`;
    lines.push(`entries      ${range}; committed at least to ${commit}`, `             ${types}`);
  }
  lines.push('', ...segmentLines(content), '', ...snapshotLines(content));
  const rule = [rules.tail, rules.state].filter((label) => label !== null).join(', ');
  lines.push('', `rules        ${rule === '' ? 'none could be asked' : rule}`);
  return lines;
}

function membersLines({
  voters,
  outgoing,
  learners,
  removed,
}: NonNullable<Content['configuration']>): string[] {
  const list = (members: readonly { id: string; url: string }[]): string =>
    members.map(({ id, url }) => `${id}=${url}`).join(', ');
  return [
    `voters       ${list(voters)}`,
    ...(outgoing.length === 0 ? [] : [`  outgoing   ${list(outgoing)}`]),
    ...(learners.length === 0 ? [] : [`learners     ${list(learners)}`]),
    ...(removed.length === 0 ? [] : [`removed      ${removed.join(', ')}`]),
  ];
}

function segmentLines({ segments, unread }: Content): string[] {
  const rows = segments.map(({ file, sequence, first, last, bytes, batches, sealed }) => [
    file,
    String(sequence),
    first === null ? 'none' : `${first}-${last}`,
    String(batches),
    String(bytes),
    sealed ? 'sealed' : 'open',
  ]);
  for (const file of unread) rows.push([file, '-', '-', '-', '-', 'not read: it lies behind the damage']);
  return columns([['SEGMENT', 'SEQUENCE', 'ENTRIES', 'BATCHES', 'BYTES', 'STATE'], ...rows]);
}

function snapshotLines({ snapshots }: Content): string[] {
  if (snapshots.length === 0) return ['no snapshots'];
  const rows = snapshots.map(({ file, index, term, bytes, damage }) => [
    file,
    index === null ? '-' : String(index),
    term === null ? '-' : String(term),
    String(bytes),
    damage === null ? 'sound' : `damaged: ${damage}`,
  ]);
  return columns([['SNAPSHOT', 'INDEX', 'TERM', 'BYTES', 'STATE'], ...rows]);
}
