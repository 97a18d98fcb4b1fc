import { expect, test } from 'vitest';
import { Trio } from './testing/trio.ts';
import { asIndex, asNodeId, asTerm, EntryType, type Message, type SnapshotMeta } from './types.ts';

function snapshotAt(trio: Trio, index: number, term: number): SnapshotMeta {
  return {
    index: asIndex(index),
    term: asTerm(term),
    configuration: trio.node('a').log.configuration,
    configurationIndex: asIndex(1),
    bytes: 100,
    checksum: index,
  };
}

/** `a` offers `c` a snapshot, and `c` gets the file. */
function install(trio: Trio, snapshot: SnapshotMeta): void {
  trio.message('a', 'c', { type: 'installSnapshot', term: asTerm(2), snapshot });
  trio.feed('c', { type: 'snapshotFetched', from: asNodeId('a'), snapshot });
}

function appendAfter(previous: number, prevTerm: number): Message {
  return {
    type: 'append',
    term: asTerm(2),
    prevIndex: asIndex(previous),
    prevTerm: asTerm(prevTerm),
    entries: [
      { index: asIndex(previous + 1), term: asTerm(2), type: EntryType.batch, payload: new Uint8Array(1) },
    ],
    commit: asIndex(previous),
  };
}

const restored = (trio: Trio): number[] =>
  trio.reported('c', 'restoreSnapshot').map(({ snapshot }) => snapshot.index);

test('a follower whose whole window was lost gets the snapshot when the log has moved on (scenario 18)', () => {
  const trio = new Trio(['a', 'b', 'c'], { windowMessages: 1 });
  trio.elect('a');
  trio.cut.add('a>c');
  for (const value of ['1', '2', '3']) trio.propose('a', value);
  const snapshot = snapshotAt(trio, trio.node('a').appliedIndex, trio.node('a').term);
  trio.feed('a', { type: 'snapshotSaved', snapshot, compactTo: snapshot.index });
  trio.heal();
  trio.pass(300);
  expect(trio.reported('c', 'fetchSnapshot')).toEqual([{ type: 'fetchSnapshot', from: 'a', snapshot }]);
});

test('a member that is away holds no log back, whatever it was offered; one that answers does', () => {
  const trio = new Trio(['a', 'b', 'c'], { windowMessages: 1 });
  trio.elect('a');
  trio.isolate('c');
  const compact = (): number => {
    for (const value of ['1', '2']) trio.propose('a', value);
    const snapshot = snapshotAt(trio, trio.node('a').appliedIndex, trio.node('a').term);
    trio.feed('a', { type: 'snapshotSaved', snapshot, compactTo: snapshot.index });
    return trio.node('a').log.compacted.index;
  };
  const offered = compact();
  expect(compact()).toBe(offered);
  trio.pass(1500);
  expect(compact()).toBeGreaterThan(offered);
});

test('one restore at a time: a newer snapshot waits for the one being restored (scenario 41)', () => {
  const trio = new Trio();
  trio.isolate('c');
  install(trio, snapshotAt(trio, 10, 2));
  install(trio, snapshotAt(trio, 20, 2));
  expect(restored(trio)).toEqual([10]);
  trio.feed('c', { type: 'snapshotRestored', index: asIndex(10) });
  expect(restored(trio)).toEqual([10, 20]);
  trio.feed('c', { type: 'snapshotRestored', index: asIndex(20) });
  expect(trio.node('c').appliedIndex).toBe(20);
});

test('a steady stream of entries does not keep a durable snapshot from being restored', () => {
  const trio = new Trio();
  trio.isolate('c');
  trio.slowDisks.add(asNodeId('c'));
  install(trio, snapshotAt(trio, 10, 2));
  trio.releaseOne('c');
  expect(trio.reported('c', 'persist').at(-1)?.snapshot?.index).toBe(10);
  trio.message('a', 'c', appendAfter(10, 2));
  trio.releaseOne('c');
  expect(trio.node('c').persist.inFlight).not.toBeNull();
  expect(restored(trio)).toEqual([10]);
});

test('a snapshot is not restored before the log that goes on behind it is durable', () => {
  const trio = new Trio();
  trio.isolate('c');
  trio.slowDisks.add(asNodeId('c'));
  trio.message('a', 'c', appendAfter(1, 1));
  install(trio, snapshotAt(trio, 10, 2));
  // The append's write, under way when the snapshot came.
  trio.releaseOne('c');
  expect(restored(trio)).toEqual([]);
  trio.releaseOne('c');
  expect(restored(trio)).toEqual([10]);
});

test('a write of the old log that ends after a snapshot has replaced it counts for nothing', () => {
  const trio = new Trio();
  trio.isolate('c');
  trio.slowDisks.add(asNodeId('c'));
  trio.message('a', 'c', {
    type: 'heartbeat',
    term: asTerm(2),
    commit: asIndex(0),
    match: asIndex(0),
    matchTerm: asTerm(0),
    round: 0,
  });
  trio.releaseOne('c');
  const entries = Array.from({ length: 30 }, (_, at) => ({
    index: asIndex(2 + at),
    term: asTerm(2),
    type: EntryType.batch,
    payload: new Uint8Array(1),
  }));
  const [prevIndex, prevTerm, commit] = [asIndex(1), asTerm(1), asIndex(1)] as const;
  trio.message('a', 'c', { type: 'append', term: asTerm(2), prevIndex, prevTerm, entries, commit });
  const snapshot = snapshotAt(trio, 10, 3);
  trio.message('b', 'c', { type: 'installSnapshot', term: asTerm(3), snapshot });
  trio.feed('c', { type: 'snapshotFetched', from: asNodeId('b'), snapshot });
  trio.releaseOne('c');
  expect(trio.node('c').durableIndex).toBe(1);
});
