/**
 * Everything that a data directory holds, read without changing a byte, and what a start would do about it. Opening
 * the log begins with this, and so does `kvorum check`: there is one reading and one application of the rules.
 */
import { join } from 'node:path';
import { asIndex, type Configuration, type SnapshotMeta } from '../raft/types.ts';
import { corrupt, CorruptError } from './errors.ts';
import { readHardState, type FoundHardState } from './hard-state.ts';
import { readIdentity, type Identity, type Ownership } from './identity.ts';
import {
  decide,
  STATE_RULES,
  TAIL_RULES,
  type StateFacts,
  type StateRule,
  type TailRule,
} from './recovery.ts';
import { replayLog, type ReplayedLog } from './replay.ts';
import { readSnapshots, type FoundSnapshot } from './snapshots.ts';
import type { Storage } from './storage.ts';

/** Something that is not as it should be, and what a start does about it. */
export interface Finding {
  /** `repair`: nothing is lost. `recover`: the node goes on without vote until it has caught up. */
  readonly action: 'repair' | 'recover' | 'refuse';
  /** The name of the rule that decided. */
  readonly label: string;
  readonly file: string;
  readonly offset: number;
  /** What it is and what that means, in words. */
  readonly text: string;
}

/** What was found. */
export interface Examination {
  readonly owners: Ownership;
  readonly hardState: FoundHardState;
  /** Oldest first. */
  readonly snapshots: readonly FoundSnapshot[];
  /** The newest sound one. */
  readonly snapshot: SnapshotMeta | null;
  /** `null`: there is none, which is refused. */
  readonly log: ReplayedLog | null;
  /** What decided on the end of the log; `null`: there is none. */
  readonly tail: TailRule | null;
  /** What decided on how the files fit together; `null`: nothing to ask, the log or the term can't be read. */
  readonly state: StateRule | null;
  /** The last configuration in log and snapshots; `null`: a node that joins, or nothing is left. */
  readonly configuration: Configuration | null;
  readonly findings: readonly Finding[];
  /** Why the node must not start; `null`: it may. */
  readonly refusal: CorruptError | null;
}

/**
 * Examines a directory that is set up. Damage is a finding; rejects with `WAL_FORMAT`, `WAL_IO`, and with `WAL_CORRUPT`
 * where even whose directory it is can't be read. `acceptLoss`: see `WalOptions`.
 */
export async function examine(
  storage: Storage,
  directory: string,
  acceptLoss: boolean = false,
): Promise<Examination> {
  const report = new Report();
  const owners = await readIdentity(storage, directory);
  const { identity } = owners;
  const hardState = await readHardState(storage, directory);
  judgeHardState(directory, hardState, report);
  const snapshots = await readSnapshots(storage, directory);
  const snapshot = snapshots.findLast(({ meta }) => meta !== null)?.meta ?? null;
  const log = await replayLog(storage, directory, owners).catch((error: unknown) => {
    if (!(error instanceof CorruptError)) throw error;
    report.refuse('no log', directory, 0, error);
    return null;
  });
  const configuration = configurationOf(log, snapshot);
  const tail = log === null ? null : judgeTail(log, configuration, identity, acceptLoss, report);
  const readable = log !== null && tail !== null && tail.verdict !== 'refuse' && hardState.newest !== null;
  const state = readable ? judgeState(directory, log, hardState, snapshots, snapshot, report) : null;
  const { findings, refusal } = report;
  return { owners, hardState, snapshots, snapshot, log, tail, state, configuration, findings, refusal };
}

class Report {
  readonly findings: Finding[] = [];
  refusal: CorruptError | null = null;

  refuse(label: string, file: string, offset: number, error: CorruptError): void {
    this.refusal ??= error;
    this.findings.push({ action: 'refuse', label, file, offset, text: error.evidence });
  }

  add(action: 'repair' | 'recover', label: string, file: string, offset: number, text: string): void {
    this.findings.push({ action, label, file, offset, text });
  }
}

function judgeHardState(directory: string, { copies, newest }: FoundHardState, report: Report): void {
  const unsound = copies.filter((copy) => copy.state !== 'sound');
  if (newest === null) {
    const file = join(directory, copies[0]?.name ?? 'term-vote');
    const whys = unsound.map(({ name, why }) => `${name} ${why}`).join('; ');
    const what = `neither copy of term and vote is sound, and the node may have voted: ${whys} [no term]`;
    report.refuse('no term', file, 0, corrupt(file, 0, what, 'no entries'));
    return;
  }
  for (const { name, why } of unsound)
    report.add('repair', 'one copy', join(directory, name), 0, `${name} ${why}; the other copy is sound`);
}

function configurationOf(log: ReplayedLog | null, snapshot: SnapshotMeta | null): Configuration | null {
  const last = log?.configurations.at(-1);
  if (last !== undefined && last.index > (snapshot?.configurationIndex ?? asIndex(0)))
    return last.configuration;
  return snapshot?.configuration ?? null;
}

function judgeTail(
  { end, index }: ReplayedLog,
  configuration: Configuration | null,
  { nodeId }: Identity,
  acceptLoss: boolean,
  report: Report,
): TailRule {
  const voters = configuration === null ? [] : [...configuration.voters, ...configuration.outgoing];
  const restorable = acceptLoss || voters.some(({ id }) => id !== nodeId);
  const rule = decide(TAIL_RULES, { ...end.facts, restorable });
  const { label, because, verdict } = rule;
  const { path, offset, usedEnd, what, promised } = end;
  const range =
    promised === null ? `entries from ${index.last + 1} on` : `entries ${index.last + 1} to ${promised}`;
  switch (verdict) {
    case 'ok':
      break;
    case 'truncate':
      report.add('repair', label, path, offset, `${what}, ${usedEnd - offset} bytes: ${because}`);
      break;
    case 'recover':
      report.add('recover', label, path, offset, `${what} (${range}): ${because}`);
      break;
    case 'refuse':
      report.refuse(label, path, offset, corrupt(path, offset, `${what}: ${because} [${label}]`, range));
      break;
  }
  return rule;
}

function judgeState(
  directory: string,
  { index, commit }: ReplayedLog,
  { newest }: FoundHardState,
  snapshots: readonly FoundSnapshot[],
  snapshot: SnapshotMeta | null,
  report: Report,
): StateRule {
  const { base, last, lastTerm } = index;
  const term = newest?.state.term ?? 0;
  const damaged = snapshots.filter((found) => found.meta === null);
  const covers = snapshot?.index ?? 0;
  const found = index.termAt(asIndex(covers));
  const facts: StateFacts = {
    termBehind: lastTerm > term,
    snapshotDamaged: damaged.length > 0,
    covered: covers >= base.index,
    agrees: snapshot === null || found === snapshot.term,
    contradicts: covers === base.index || (covers <= last && covers <= commit),
  };
  const rule = decide(STATE_RULES, facts);
  const { label, because, verdict } = rule;
  if (verdict === 'refuse') {
    const what = facts.termBehind
      ? `the log ends in term ${lastTerm}, but the stored term is ${term}`
      : facts.covered
        ? `entry ${covers} has term ${found}, its snapshot ${snapshot?.term}`
        : `the log begins after entry ${base.index}, but the newest sound snapshot covers ${covers}`;
    const evidence = damaged.map(({ name, error }) => `; ${name} is damaged: ${error.what}`).join('');
    const range = `entries ${base.index + 1} to ${last}`;
    report.refuse(
      label,
      directory,
      0,
      corrupt(directory, 0, `${what}${evidence}: ${because} [${label}]`, range),
    );
    return rule;
  }
  for (const { name, error } of damaged)
    report.add(
      'repair',
      'older snapshot',
      join(directory, name),
      0,
      `${error.what}; the log serves without it`,
    );
  if (verdict === 'install')
    report.add('repair', label, directory, 0, `the snapshot at ${covers} replaces the log: ${because}`);
  return rule;
}
