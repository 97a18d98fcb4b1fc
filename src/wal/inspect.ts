/**
 * A data directory, looked at from outside: what is in it, and what a start would do. Nothing is opened for writing and
 * no lock is taken, so a running node is not disturbed; what is read may then be a moment in between two writes.
 */
import { join } from 'node:path';
import type { Configuration, EntryType } from '../raft/types.ts';
import { CorruptError, REMEDIES, WalError } from './errors.ts';
import { examine, type Examination, type Finding } from './examine.ts';
import { CLAIM_FILE, IDENTITY_FILE, readClaim, type Identity } from './identity.ts';
import { isLocked } from './lock.ts';
import { nodeStorage } from './node-storage.ts';
import type { ReplayedLog } from './replay.ts';
import { isOurs } from './setup.ts';
import type { OpenMode, Storage, StorageFile } from './storage.ts';

export type { Finding } from './examine.ts';

/** What a start would come to. `repaired`: nothing acknowledged is lost. */
export type Decision = 'sound' | 'repaired' | 'recovering' | 'refused';

export interface SegmentView {
  readonly file: string;
  readonly sequence: number;
  /** The entries in it that count; `null`: none do. */
  readonly first: number | null;
  readonly last: number | null;
  readonly bytes: number;
  readonly batches: number;
  /** Complete, and a later segment exists. */
  readonly sealed: boolean;
}

export interface SnapshotView {
  readonly file: string;
  readonly bytes: number;
  /** `null` where it is damaged. */
  readonly index: number | null;
  readonly term: number | null;
  /** What is damaged and where. */
  readonly damage: string | null;
}

export interface TermVoteView {
  readonly file: string;
  readonly state: 'sound' | 'missing' | 'bad';
  readonly term: number | null;
  readonly vote: string | null;
  readonly recovering: boolean | null;
}

/** What is in a directory that was set up. */
export interface Content {
  readonly identity: Identity;
  /** Clusters that the directory belonged to before a forced new one. */
  readonly formerClusters: readonly string[];
  readonly termVote: readonly TermVoteView[];
  readonly segments: readonly SegmentView[];
  /** Segments behind the damage, which were not read. */
  readonly unread: readonly string[];
  readonly entries: {
    readonly first: number;
    readonly last: number;
    readonly lastTerm: number;
    /** A hint: at least so many are known to be committed. */
    readonly commit: number;
    readonly noop: number;
    readonly batch: number;
    readonly configuration: number;
  } | null;
  readonly snapshots: readonly SnapshotView[];
  readonly configuration: Configuration | null;
  /** The names of the rules that decided, see recovery.ts. */
  readonly rules: { readonly tail: string | null; readonly state: string | null };
}

export interface Inspection {
  readonly directory: string;
  /** A process has it open. */
  readonly inUse: boolean;
  /** `claimed`: a node began here and is not part of a cluster yet. */
  readonly state: 'empty' | 'claimed' | 'founded';
  readonly owner: { readonly nodeId: string; readonly group: string; readonly incarnation: string } | null;
  readonly decision: Decision;
  readonly findings: readonly Finding[];
  /** What can be done about a refusal; `null`: there is none. */
  readonly remedy: string | null;
  /** `null` where nothing is set up, or whose directory it is can't be read. */
  readonly content: Content | null;
}

/** Looks at `directory`. Rejects with a `WalError` where a file can't be read at all. */
export async function inspectDirectory(directory: string): Promise<Inspection> {
  const inUse = await isLocked(directory).catch((error: unknown) => {
    throw new WalError('WAL_IO', `${directory} can't be read: ${String(error)}`, error);
  });
  return inspect(nodeStorage, directory, inUse);
}

/** The same over any storage, without the look at the lock. */
export async function inspect(writable: Storage, directory: string, inUse: boolean): Promise<Inspection> {
  const storage = readOnly(writable);
  const names = await storage.list(directory);
  const nothing = { directory, inUse, findings: [], remedy: null, content: null, decision: 'sound' } as const;
  try {
    if (names.includes(IDENTITY_FILE)) {
      const examination = await examine(storage, directory);
      const { nodeId, group, incarnation } = examination.owners.identity;
      const { findings } = examination;
      const content = contentOf(directory, examination);
      const decision = decisionOf(examination);
      const owner = { nodeId, group, incarnation };
      const remedy = decision === 'refused' ? REMEDIES : null;
      return { directory, inUse, state: 'founded', owner, decision, findings, remedy, content };
    }
    if (names.includes(CLAIM_FILE))
      return { ...nothing, state: 'claimed', owner: await readClaim(storage, directory) };
  } catch (error) {
    if (!(error instanceof CorruptError) && !(error instanceof WalError && error.code === 'WAL_FORMAT'))
      throw error;
    const damage = error instanceof CorruptError ? error : null;
    const label = damage === null ? 'unknown format' : 'identity';
    const text = damage?.evidence ?? error.message;
    return { ...nothing, ...refusal(label, damage?.file ?? directory, text), remedy: damage && REMEDIES };
  }
  if (!names.some(isOurs)) return { ...nothing, state: 'empty', owner: null };
  return { ...nothing, ...refusal('identity', join(directory, IDENTITY_FILE), 'the file is missing') };
}

/** Whose directory it is can't be read. */
function refusal(
  label: string,
  file: string,
  text: string,
): Pick<Inspection, 'state' | 'owner' | 'decision' | 'findings' | 'remedy'> {
  const finding: Finding = { action: 'refuse', label, file, offset: 0, text };
  return { state: 'founded', owner: null, decision: 'refused', findings: [finding], remedy: REMEDIES };
}

function decisionOf({ refusal, findings, hardState }: Examination): Decision {
  if (refusal !== null) return 'refused';
  const recovers = findings.some(({ action }) => action === 'recover');
  if (recovers || hardState.newest?.state.recovering === true) return 'recovering';
  return findings.length > 0 ? 'repaired' : 'sound';
}

function contentOf(directory: string, examination: Examination): Content {
  const { owners, hardState, snapshots, log, configuration, tail, state } = examination;
  return {
    identity: owners.identity,
    formerClusters: owners.former.map(({ clusterId }) => clusterId),
    termVote: hardState.copies.map((copy): TermVoteView => {
      const found = copy.state === 'sound' ? copy.stored.state : null;
      return {
        file: copy.name,
        state: copy.state,
        term: found?.term ?? null,
        vote: found?.vote ?? null,
        recovering: found?.recovering ?? null,
      };
    }),
    segments: log === null ? [] : segmentsOf(log),
    unread: log?.unread ?? [],
    entries: log === null ? null : entriesOf(log),
    snapshots: snapshots.map((found) => ({
      file: found.name,
      bytes: found.bytes,
      index: found.meta?.index ?? null,
      term: found.meta?.term ?? null,
      damage: found.meta === null ? found.error.what : null,
    })),
    configuration,
    rules: { tail: tail?.label ?? null, state: state?.label ?? null },
  };
}

function segmentsOf({ segments, index }: ReplayedLog): SegmentView[] {
  return segments.map(({ name, sequence, bytes, batches, state: { sealed } }) => {
    const held = index.segments.find((segment) => segment.name === name);
    const count = held?.offsets.length ?? 0;
    const first = held === undefined || count === 0 ? null : held.first;
    const last = first === null ? null : first + count - 1;
    return { file: name, sequence, first, last, bytes, batches, sealed };
  });
}

function entriesOf({ index, commit, entryTypes }: ReplayedLog): NonNullable<Content['entries']> {
  const count = (type: EntryType): number => entryTypes.get(type) ?? 0;
  return {
    first: index.first,
    last: index.last,
    lastTerm: index.lastTerm,
    commit,
    noop: count(0),
    batch: count(1),
    configuration: count(2),
  };
}

/** The same storage without any way to change it. */
function readOnly(storage: Storage): Storage {
  const never = async (): Promise<never> => {
    throw new Error('an inspection must not write');
  };
  const open = async (path: string, mode: OpenMode): Promise<StorageFile> => {
    if (mode !== 'read') return never();
    const file = await storage.open(path, mode);
    return {
      read: (buffer, position) => file.read(buffer, position),
      size: () => file.size(),
      close: () => file.close(),
      write: never,
      // What the kernel shows is what this is about; making it durable is left to the node.
      sync: async () => undefined,
    };
  };
  return {
    list: (path) => storage.list(path),
    freeBytes: (directory) => storage.freeBytes(directory),
    random: (bytes) => storage.random(bytes),
    every: (periodMs, task) => storage.every(periodMs, task),
    open,
    makeDirectory: never,
    rename: never,
    remove: never,
    syncDirectory: never,
    lock: never,
  };
}
