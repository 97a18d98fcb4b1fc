import { expect, test } from 'vitest';
import { encodeConfiguration, NOBODY } from './configuration.ts';
import { conflictHint, isUpToDate, Log } from './log.ts';
import {
  asIndex,
  asNodeId,
  asTerm,
  type Configuration,
  EntryType,
  type Recovered,
  type SnapshotMeta,
} from './types.ts';

const one: Configuration = {
  voters: [{ id: asNodeId('a'), url: 'http://a', incarnation: '1' }],
  outgoing: [],
  learners: [],
  removed: [],
};
const two: Configuration = {
  ...one,
  learners: [{ id: asNodeId('b'), url: 'http://b', incarnation: '2', promote: false, replaces: null }],
};

const NOTHING: Recovered = {
  hardState: { term: asTerm(9), vote: null, recovering: false },
  snapshot: null,
  firstIndex: asIndex(1),
  lastIndex: asIndex(0),
  compacted: { index: asIndex(0), term: asTerm(0) },
  termRuns: [],
  configurations: [{ index: asIndex(0), configuration: one }],
  commit: asIndex(0),
};

/** A log whose entry at place i + 1 has the i-th term. */
function logOf(...terms: number[]): Log {
  const log = new Log(NOTHING);
  for (const [at, term] of terms.entries()) {
    log.append({
      index: asIndex(at + 1),
      term: asTerm(term),
      type: EntryType.batch,
      payload: new Uint8Array(10),
    });
  }
  return log;
}

function snapshotAt(index: number, term: number): SnapshotMeta {
  return {
    index: asIndex(index),
    term: asTerm(term),
    configuration: one,
    configurationIndex: asIndex(0),
    bytes: 1,
    checksum: 1,
  };
}

const terms = (log: Log): (number | null)[] =>
  Array.from({ length: log.lastIndex + 2 }, (_, index) => log.termAt(asIndex(index)));

test('terms are known for every kept index and for the one before', () => {
  const log = logOf(1, 1, 2, 5, 5);
  expect(terms(log)).toEqual([0, 1, 1, 2, 5, 5, null]);
  log.snapshot = snapshotAt(3, 2);
  log.compact(asIndex(3));
  expect(terms(log)).toEqual([null, null, null, 2, 5, 5, null]);
  log.truncateFrom(asIndex(5));
  expect(terms(log)).toEqual([null, null, null, 2, 5, null]);
});

test('compaction up to the last entry leaves an empty log that goes on', () => {
  const log = logOf(1, 2);
  log.snapshot = snapshotAt(2, 2);
  log.compact(asIndex(2));
  expect([log.firstIndex, log.lastIndex, log.lastTerm, log.cacheFirst]).toEqual([3, 2, 2, 3]);
  log.append({ index: asIndex(3), term: asTerm(2), type: EntryType.noop, payload: new Uint8Array(0) });
  expect(log.termAt(asIndex(3))).toBe(2);
});

test('compaction beyond the snapshot is refused', () => {
  expect(() => logOf(1, 1).compact(asIndex(1))).toThrow('not covered');
});

test('configurations come with their entries and go with them', () => {
  const log = logOf(1);
  log.append({
    index: asIndex(2),
    term: asTerm(1),
    type: EntryType.configuration,
    payload: encodeConfiguration(two),
  });
  expect(log.configuration).toEqual(two);
  expect(log.configurationAt(asIndex(1)).configuration).toEqual(one);
  log.truncateFrom(asIndex(2));
  expect(log.configuration).toEqual(one);
});

test('eviction keeps what may still be needed, and truncation keeps the cache in step', () => {
  const log = logOf(1, 1, 1, 1);
  log.evict(asIndex(2), 0);
  expect(log.cacheFirst).toBe(3);
  expect(log.cached(asIndex(3)).index).toBe(3);
  expect(() => log.cached(asIndex(2))).toThrow('not in memory');
  log.truncateFrom(asIndex(2));
  expect([log.lastIndex, log.cacheFirst]).toEqual([1, 2]);
  log.append({ index: asIndex(2), term: asTerm(2), type: EntryType.batch, payload: new Uint8Array(0) });
  expect(log.cached(asIndex(2)).term).toBe(2);
});

test('a slice has at least one entry and stops at its bound', () => {
  const log = logOf(1, 1, 1);
  expect(log.slice(asIndex(1), asIndex(3), 1)).toHaveLength(1);
  expect(log.slice(asIndex(1), asIndex(3), 150)).toHaveLength(2);
  expect(log.slice(asIndex(1), asIndex(3), 1e9)).toHaveLength(3);
});

test('up to date means: later last term, or the same and at least as long', () => {
  const log = logOf(1, 2);
  expect(isUpToDate(log, asTerm(3), asIndex(1))).toBe(true);
  expect(isUpToDate(log, asTerm(2), asIndex(2))).toBe(true);
  expect(isUpToDate(log, asTerm(2), asIndex(1))).toBe(false);
  expect(isUpToDate(log, asTerm(1), asIndex(9))).toBe(false);
});

test('the conflict hint skips whole terms', () => {
  const log = logOf(1, 1, 3, 3, 3);
  expect(conflictHint(log, asIndex(9), asTerm(7))).toEqual({ index: 5, term: 3 });
  expect(conflictHint(log, asIndex(4), asTerm(2))).toEqual({ index: 2, term: 1 });
});

/** The log of a node that joins. */
function emptyLog(): Log {
  return new Log({ ...NOTHING, configurations: [], termRuns: [] });
}

test('a node that joins has nobody for members, until entries say otherwise, and again when they are cut off', () => {
  const log = emptyLog();
  expect([log.configuration, log.configurationIndex, log.lastIndex]).toEqual([NOBODY, 0, 0]);
  log.append({
    index: asIndex(1),
    term: asTerm(1),
    type: EntryType.configuration,
    payload: encodeConfiguration(one),
  });
  expect([log.configuration, log.configurationIndex]).toEqual([one, 1]);
  log.truncateFrom(asIndex(1));
  expect([log.configuration, log.configurationIndex]).toEqual([NOBODY, 0]);
  log.resetTo(snapshotAt(7, 3));
  expect([log.configuration, log.lastIndex]).toEqual([one, 7]);
});

test('entries without any configuration are no log', () => {
  const recovered = { ...NOTHING, lastIndex: asIndex(2), configurations: [] };
  expect(() => new Log(recovered)).toThrow('holds no configuration');
});

test('the configurations that may yet be in force begin with the one at the index', () => {
  const log = logOf(1);
  for (const [at, configuration] of [two, one, two].entries()) {
    const payload = encodeConfiguration(configuration);
    log.append({ index: asIndex(at + 2), term: asTerm(1), type: EntryType.configuration, payload });
  }
  const indexes = (from: number): number[] => log.configurationsFrom(asIndex(from)).map(({ index }) => index);
  expect([indexes(0), indexes(1), indexes(3), indexes(9)]).toEqual([[0, 2, 3, 4], [0, 2, 3, 4], [3, 4], [4]]);
});
