/**
 * What a log must hold, in plain arrays, and a runner that does the same things to the log and to the model. While an
 * action is under way the runner knows both states that a crash may leave.
 */
import { expect } from 'vitest';
import { encodeConfiguration } from '../../../src/raft/configuration.ts';
import {
  asIndex,
  asNodeId,
  asTerm,
  type Configuration,
  type Entry,
  EntryType,
  type HardState,
  type Recovered,
  type SnapshotMeta,
} from '../../../src/raft/types.ts';
import { SnapshotEncoder } from '../../../src/wal/snapshot-file.ts';
import { Wal, type WalOptions } from '../../../src/wal/wal.ts';
import type { FaultyStorage } from './faulty-storage.ts';

export const DIRECTORY = '/data';
export const CONFIGURATION: Configuration = {
  voters: [{ id: asNodeId('n1'), url: 'http://n1', incarnation: '1' }],
  outgoing: [],
  learners: [],
  removed: [],
};

/** With others who can give back what this node has lost. */
export const TRIO: Configuration = {
  ...CONFIGURATION,
  voters: ['n1', 'n2', 'n3'].map((id) => ({ id: asNodeId(id), url: `http://${id}`, incarnation: '1' })),
};

export type Action =
  /** `back`: how many entries at the end are replaced. */
  | {
      readonly type: 'append';
      readonly back: number;
      readonly sizes: readonly number[];
      readonly newTerm: boolean;
    }
  | { readonly type: 'vote' }
  | { readonly type: 'idle' }
  /** `share`: of the log, what may go. */
  | { readonly type: 'compact'; readonly share: number }
  | { readonly type: 'snapshot'; readonly share: number }
  /** `ahead`: how far beyond the last entry. */
  | { readonly type: 'install'; readonly ahead: number }
  | { readonly type: 'reopen' };

export interface State {
  readonly hardState: HardState;
  /** The entry before the first one. */
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotMeta | null;
}

export const INITIAL: State = initial(CONFIGURATION);

function initial(configuration: Configuration): State {
  const term = asTerm(1);
  const payload = encodeConfiguration(configuration);
  return {
    hardState: { term, vote: null, recovering: false },
    base: { index: 0, term: 0 },
    entries: [{ index: asIndex(1), term, type: EntryType.configuration, payload }],
    snapshot: null,
  };
}

export function options(storage: FaultyStorage, changes: Partial<WalOptions> = {}): WalOptions {
  return {
    directory: DIRECTORY,
    storage,
    fsync: 'always',
    segmentBytes: 12_288,
    identity: { clusterId: 'c1', nodeId: 'n1', group: 'main' },
    bootstrap: { hardState: INITIAL.hardState, entries: INITIAL.entries },
    ...changes,
  };
}

export function lastOf({ base, entries }: State): { index: number; term: number } {
  return entries.at(-1) ?? base;
}

function termAt(state: State, index: number): number {
  return state.entries[index - state.base.index - 1]?.term ?? state.base.term;
}

let written = 0;

/** Bytes that differ for every entry ever written, so that an old one can't pass for a new one. */
function payload(size: number): Buffer {
  written += 1;
  const bytes = Buffer.alloc(Math.max(size, 8));
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (written * 31 + at * 7 + 1) & 255;
  bytes.writeUInt32LE(written, 0);
  return bytes;
}

export class Runner {
  readonly storage: FaultyStorage;
  readonly changes: Partial<WalOptions>;
  wal!: Wal;
  readonly configuration: Configuration;
  /** What was acknowledged. */
  state: State;
  /** What the action under way leads to; a crash may leave either. */
  next: State | null = null;

  constructor(
    storage: FaultyStorage,
    changes: Partial<WalOptions> = {},
    configuration: Configuration = CONFIGURATION,
  ) {
    this.storage = storage;
    this.configuration = configuration;
    this.state = initial(configuration);
    const { hardState, entries } = this.state;
    this.changes = { bootstrap: { hardState, entries }, ...changes };
  }

  async open(): Promise<readonly string[]> {
    const { wal, recovered, notes } = await Wal.open(options(this.storage, this.changes));
    this.wal = wal;
    this.state = await this.check(recovered);
    this.next = null;
    return notes;
  }

  async run(action: Action): Promise<void> {
    switch (action.type) {
      case 'append':
        await this.#append(action.back, action.sizes, action.newTerm);
        break;
      case 'vote': {
        const hardState = {
          term: asTerm(this.state.hardState.term + 1),
          vote: asNodeId('n2'),
          recovering: false,
        };
        this.next = { ...this.state, hardState };
        await this.wal.append({ hardState, entries: [], commit: asIndex(0) });
        break;
      }
      case 'idle':
        this.storage.tick();
        this.storage.tick();
        break;
      case 'compact':
        await this.wal.compact(asIndex(Math.floor((this.state.snapshot?.index ?? 0) * action.share)));
        break;
      case 'snapshot': {
        const { base } = this.state;
        const index = base.index + Math.floor((lastOf(this.state).index - base.index) * action.share);
        if (index > (this.state.snapshot?.index ?? 0)) await this.#snapshot(index, termAt(this.state, index));
        break;
      }
      case 'install':
        await this.#install(action.ahead);
        break;
      case 'reopen':
        await this.wal.close();
        await this.open();
        break;
    }
    this.state = this.next ?? this.state;
    this.next = null;
    await this.#checkReads();
  }

  async #append(back: number, sizes: readonly number[], newTerm: boolean): Promise<void> {
    const { state } = this;
    const floor = Math.max(state.base.index, state.snapshot?.index ?? 0);
    const after = Math.max(floor, lastOf(state).index - back);
    // Entries are only ever replaced by those of a newer term.
    const raise = newTerm || after < lastOf(state).index;
    const hardState = raise
      ? { term: asTerm(state.hardState.term + 1), vote: null, recovering: false }
      : null;
    const term = (hardState ?? state.hardState).term;
    const entries = sizes.map((size, at): Entry => {
      const index = asIndex(after + 1 + at);
      return { index, term, type: EntryType.batch, payload: payload(size) };
    });
    this.next = {
      ...state,
      hardState: hardState ?? state.hardState,
      entries: [...state.entries.slice(0, after - state.base.index), ...entries],
    };
    await this.wal.append({ hardState, entries, commit: asIndex(floor) });
  }

  async #snapshot(index: number, term: number): Promise<void> {
    const writer = await this.wal.createSnapshot({
      index: asIndex(index),
      term: asTerm(term),
      configuration: this.configuration,
      configurationIndex: asIndex(1),
    });
    await writer.write(payload(900));
    await writer.write(payload(40));
    const snapshot = await writer.finish();
    this.state = { ...this.state, snapshot };
    await this.wal.purgeSnapshots(1);
  }

  /** As a follower does it that gets a snapshot from its leader. */
  async #install(ahead: number): Promise<void> {
    const { meta, file } = foreignSnapshot(lastOf(this.state).index + ahead, this.state.hardState.term + 1);
    const hardState = { term: meta.term, vote: null, recovering: false };
    const installed: State = {
      hardState,
      base: { index: meta.index, term: meta.term },
      entries: [],
      snapshot: meta,
    };
    this.next = installed;
    const receiver = await this.wal.receiveSnapshot(meta);
    await receiver.write(file.subarray(0, 700));
    await receiver.write(file.subarray(700));
    await receiver.finish();
    await this.wal.append({ hardState, entries: [], commit: asIndex(0) });
    this.state = { ...this.state, hardState };
    await this.wal.resetToSnapshot(meta);
    this.state = installed;
    await this.wal.purgeSnapshots(1);
  }

  /** Holds what was recovered against the states that are allowed, and answers the one it is. */
  async check(recovered: Recovered): Promise<State> {
    const allowed = [this.next, this.state].filter((state) => state !== null);
    const found = allowed.find(
      (state) => recovered.lastIndex === lastOf(state).index && lastTerm(recovered) === lastOf(state).term,
    );
    if (found === undefined) {
      const wanted = allowed.map((state) => `${lastOf(state).index}@${lastOf(state).term}`).join(' or ');
      throw new Error(`recovered ${recovered.lastIndex}@${lastTerm(recovered)} instead of ${wanted}`);
    }
    expect(allowed.map((state) => state.hardState)).toContainEqual(recovered.hardState);
    expect(recovered.hardState.term).toBeGreaterThanOrEqual(lastOf(found).term);
    expect(recovered.snapshot?.index ?? 0).toBeGreaterThanOrEqual(this.state.snapshot?.index ?? 0);
    expect(recovered.compacted.index).toBeLessThanOrEqual(recovered.snapshot?.index ?? 0);
    expect(recovered.commit).toBeLessThanOrEqual(recovered.lastIndex);
    const index = recovered.compacted.index;
    const base = { index, term: recovered.compacted.term };
    expect(base.term).toBe(index < found.base.index ? base.term : termAt(found, index));
    const entries = found.entries.filter((entry) => entry.index > index);
    await this.#checkEntries(base.index, found, entries);
    const configurations = entries
      .filter(({ type }) => type === EntryType.configuration)
      .map((entry) => entry.index);
    expect(recovered.configurations.map((configuration) => configuration.index)).toEqual(configurations);
    return { hardState: recovered.hardState, base, entries, snapshot: recovered.snapshot };
  }

  async #checkReads(): Promise<void> {
    if (this.wal.firstIndex > 1)
      expect(this.wal.firstIndex - 1).toBeLessThanOrEqual(this.state.snapshot?.index ?? 0);
    expect(this.wal.lastIndex).toBe(lastOf(this.state).index);
    const base = this.wal.firstIndex - 1;
    await this.#checkEntries(
      base,
      this.state,
      this.state.entries.filter((entry) => entry.index > base),
    );
  }

  async #checkEntries(base: number, state: State, entries: readonly Entry[]): Promise<void> {
    const found = await readAll(this.wal, base + 1, lastOf(state).index);
    expect(found.map(digest)).toEqual(entries.map(digest));
  }
}

/** The entries `from` to `last`, in pieces as a reader of a long log gets them. */
export async function readAll(wal: Wal, from: number, last: number): Promise<Entry[]> {
  const found: Entry[] = [];
  while (from + found.length <= last) {
    const some = await wal.read(asIndex(from + found.length), asIndex(last), 1500);
    expect(some.length, `entry ${from + found.length} is there`).toBeGreaterThan(0);
    found.push(...some);
  }
  return found;
}

/** An entry as one line, for a comparison that does not depend on how its bytes are held. */
export function digest({ index, term, type, payload: bytes }: Entry): string {
  return `${index} ${term} ${type} ${Buffer.from(bytes).toString('base64')}`;
}

function lastTerm(recovered: Recovered): number {
  return recovered.termRuns.at(-1)?.term ?? recovered.compacted.term;
}

/** A snapshot as another node would send it. */
export function foreignSnapshot(index: number, term: number): { meta: SnapshotMeta; file: Buffer } {
  const encoder = new SnapshotEncoder();
  const parts = [...encoder.head('main'), ...encoder.block(payload(1000)), ...encoder.block(payload(30))];
  const state = {
    index: asIndex(index),
    term: asTerm(term),
    configuration: CONFIGURATION,
    configurationIndex: asIndex(1),
  };
  const { buffers, meta } = encoder.footer(state);
  return { meta, file: Buffer.concat([...parts, ...buffers]) };
}
