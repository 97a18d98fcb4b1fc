import { expect, test } from 'vitest';
import { learnerOf, Trio } from './testing/trio.ts';
import { asIndex, asNodeId, asTerm, type Entry, EntryType, type SnapshotMeta } from './types.ts';

/** `a` leads `a`, `b` and `c`; five writes, entries 3 to 7, are everywhere. */
function withWrites(): Trio {
  const trio = new Trio();
  trio.elect('a');
  for (const value of ['1', '2', '3', '4', '5']) trio.propose('a', value);
  return trio;
}

/** `c`'s disk has lost everything behind `through`, and knows it. */
function losesTail(trio: Trio, through: number): void {
  const { term, vote } = trio.node('c');
  trio.open('c', trio.disk('c', through), { term, vote, recovering: true });
}

const vote = (term: number, lastIndex: number) =>
  ({
    type: 'voteRequest',
    term: asTerm(term),
    lastIndex: asIndex(lastIndex),
    lastTerm: asTerm(2),
    transfer: true,
  }) as const;

const sent = (trio: Trio, name: string, type: string) =>
  trio.reported(name, 'send').filter(({ message }) => message.type === type);

test('a recovering node gives no vote and no pre-vote, and does not campaign, not even when told to', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.isolate('c');
  const ask = {
    type: 'preVoteRequest',
    term: asTerm(3),
    lastIndex: asIndex(9),
    lastTerm: asTerm(2),
  } as const;
  trio.message('b', 'c', ask);
  expect(sent(trio, 'c', 'preVoteReply').at(-1)?.message).toMatchObject({ granted: false });
  trio.message('a', 'c', { type: 'timeoutNow', term: asTerm(2) });
  trio.pass(5000);
  expect([trio.node('c').role.name, trio.node('c').term]).toEqual(['follower', 2]);
  trio.message('b', 'c', vote(3, 9));
  const replies = trio.reported('c', 'persist').flatMap((persist) => persist.replies);
  expect(replies.at(-1)?.message).toEqual({ type: 'voteReply', term: 3, granted: false });
});

test('it recovers when it has everything that the leader had when it was asked, on disk', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.slowDisks.add(asNodeId('c'));
  trio.pass(100);
  expect(trio.node('c').log.lastIndex).toBe(7);
  expect(trio.node('c').recovering).toBe(true);
  trio.releaseDisk('c');
  expect(trio.node('c').recovering).toBe(false);
  expect(trio.node('c').durableHardState.recovering).toBe(false);
  trio.feed('a', { type: 'transfer', to: asNodeId('c') });
  expect(trio.node('c').role.name).toBe('leader');
  expect(trio.values('c')).toEqual(['1', '2', '3', '4', '5']);
});

test('a divergent tail of the right length does not pass for the lost entries', () => {
  const trio = withWrites();
  const old = (index: number): Entry => ({
    index: asIndex(index),
    term: asTerm(1),
    type: EntryType.batch,
    payload: new Uint8Array(1),
  });
  trio.isolate('c');
  const tail = [2, 3, 4, 5, 6, 7, 8].map(old);
  trio.open('c', [...trio.disk('c', 1), ...tail], { term: asTerm(2), vote: asNodeId('a'), recovering: true });
  trio.message('a', 'c', {
    type: 'heartbeat',
    term: asTerm(2),
    commit: asIndex(7),
    match: asIndex(7),
    matchTerm: asTerm(2),
    round: 0,
  });
  const id = trio.node('c').recovery!.id;
  trio.message('a', 'c', { type: 'recoveryReply', term: asTerm(2), id, index: asIndex(7) });
  expect(trio.node('c').recovering).toBe(true);
  expect(trio.node('c').commitIndex).toBe(0);
  trio.heal();
  trio.pass(3000);
  expect(trio.node('c').recovering).toBe(false);
  expect(trio.values('c')).toEqual(['1', '2', '3', '4', '5']);
});

test('an old copy of a directory, put back, is found out by the leader’s next heartbeat', () => {
  const trio = withWrites();
  trio.open('c', trio.disk('c', 1), { term: asTerm(1), vote: null, recovering: false });
  trio.cut.add('c>a');
  trio.pass(100);
  expect(trio.node('c').durableHardState).toEqual({ term: 2, vote: 'a', recovering: true });
  trio.heal();
  trio.pass(1500);
  expect(trio.node('c').recovering).toBe(false);
  expect(trio.values('c')).toEqual(['1', '2', '3', '4', '5']);
});

test('a healthy node that was away, or comes back from its disk, is not taken for one that lost entries', () => {
  const trio = withWrites();
  trio.open('c', trio.disk('c'), { term: asTerm(2), vote: asNodeId('a'), recovering: false });
  trio.isolate('b');
  trio.propose('a', '6');
  trio.pass(3000);
  trio.heal();
  trio.pass(3000);
  for (const name of ['b', 'c']) expect(sent(trio, name, 'recoveryRequest')).toEqual([]);
});

test('a late acknowledgement of the former life does not keep the lost entries away', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.cut.add('a>c');
  trio.message('a', 'c', {
    type: 'heartbeat',
    term: asTerm(2),
    commit: asIndex(4),
    match: asIndex(4),
    matchTerm: asTerm(2),
    round: 0,
  });
  trio.heal();
  // The leader was asked and has forgotten what c had; then this arrives.
  trio.message('c', 'a', { type: 'appendReply', term: asTerm(2), result: { ok: true, match: asIndex(7) } });
  trio.cut.add('c>a');
  trio.pass(500);
  trio.heal();
  trio.pass(3000);
  expect(trio.node('c').recovering).toBe(false);
  expect(trio.values('c')).toEqual(['1', '2', '3', '4', '5']);
});

test('an answer to a question of a former life is not taken', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.cut.add('a>c');
  const heartbeat = {
    type: 'heartbeat',
    term: asTerm(2),
    commit: asIndex(2),
    match: asIndex(0),
    matchTerm: asTerm(0),
    round: 0,
  } as const;
  trio.message('a', 'c', heartbeat);
  const { id } = trio.node('c').recovery!;
  losesTail(trio, 3);
  trio.message('a', 'c', heartbeat);
  expect(trio.node('c').recovery!.id).not.toBe(id);
  trio.message('a', 'c', { type: 'recoveryReply', term: asTerm(2), id, index: asIndex(1) });
  expect(trio.node('c').recovery!.through).toBeNull();
  expect(trio.node('c').recovering).toBe(true);
});

test('when the leader changes in the middle, the next one is asked', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.cut.add('a>c');
  trio.isolate('a');
  // b alone can't be elected while c recovers: a has to come back.
  trio.pass(5000);
  expect(trio.node('b').role.name).not.toBe('leader');
  trio.heal();
  trio.cut.add('c>a').add('a>c');
  trio.elect('b');
  trio.pass(5000);
  trio.heal();
  trio.pass(5000);
  expect(trio.node('c').recovering).toBe(false);
  expect(trio.values('c')).toEqual(['1', '2', '3', '4', '5']);
});

test('with nobody to ask, the question is asked again', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.cut.add('c>a');
  trio.pass(3500);
  expect(sent(trio, 'c', 'recoveryRequest').length).toBeGreaterThanOrEqual(3);
  expect(trio.node('c').recovering).toBe(true);
});

test('a snapshot brings the lost entries back as well', () => {
  const trio = withWrites();
  const { appliedIndex, term, log } = trio.node('a');
  const snapshot: SnapshotMeta = {
    index: appliedIndex,
    term,
    configuration: log.configuration,
    configurationIndex: asIndex(1),
    bytes: 1,
    checksum: 1,
  };
  trio.feed('a', { type: 'snapshotSaved', snapshot, compactTo: appliedIndex });
  losesTail(trio, 4);
  trio.pass(300);
  expect(trio.reported('c', 'fetchSnapshot')).toHaveLength(1);
  expect(trio.node('c').recovering).toBe(true);
  trio.feed('c', { type: 'snapshotFetched', from: asNodeId('a'), snapshot });
  expect(trio.node('c').recovering).toBe(false);
});

test('a member that may not vote is no successor and makes no majority', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  trio.slowDisks.add(asNodeId('c'));
  trio.pass(200);
  trio.isolate('b');
  trio.pass(900);
  expect(trio.answers(trio.change('a', { type: 'remove', id: asNodeId('b') }))).toEqual(['unsafe']);
  trio.pass(200);
  trio.feed('a', { type: 'transfer', to: null });
  expect(trio.reported('a', 'transferEnded')).toHaveLength(1);
});

test('a member is taken for recovering until it says itself that it is not', () => {
  const trio = withWrites();
  losesTail(trio, 4);
  // It gets its entries back, but never hears how far it has to get.
  trio.cut.add('c>a');
  trio.pass(100);
  trio.cut.clear();
  const { id } = trio.node('c').recovery!;
  trio.message('c', 'a', { type: 'recoveryRequest', term: asTerm(2), id: id - 1 });
  trio.pass(200);
  expect([trio.node('c').log.lastIndex, trio.node('c').recovering]).toEqual([7, true]);
  trio.isolate('b');
  trio.pass(500);
  expect(trio.answers(trio.change('a', { type: 'remove', id: asNodeId('b') }))).toEqual(['unsafe']);
  trio.pass(1000);
  expect(trio.node('c').recovering).toBe(false);
});

test('a recovering learner recovers as voters do', () => {
  const trio = withWrites();
  trio.join('d');
  trio.change('a', { type: 'addLearner', learner: learnerOf('d') });
  trio.open('d', trio.disk('d', 3), { term: asTerm(2), vote: null, recovering: true });
  trio.pass(300);
  expect(trio.node('d').recovering).toBe(false);
});
