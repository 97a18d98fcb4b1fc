import { expect, test } from 'vitest';
import { Trio } from './testing/trio.ts';
import { asIndex, asNodeId, asTerm, EntryType } from './types.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

test('a cluster elects one leader by itself and applies what it proposes, in order, on every node', () => {
  const trio = new Trio();
  trio.pass(3000);
  const leaders = ['a', 'b', 'c'].filter((name) => trio.node(name).role.name === 'leader');
  expect(leaders).toHaveLength(1);
  trio.propose(leaders[0]!, 'one');
  trio.propose(leaders[0]!, 'two');
  trio.pass(200);
  for (const name of ['a', 'b', 'c']) expect(trio.values(name)).toEqual(['one', 'two']);
});

test('a write is not committed before a majority has it on disk', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
  trio.propose('a', 'x');
  expect(trio.values('a')).toEqual([]);
  trio.releaseDisk('b');
  expect(trio.values('a')).toEqual(['x']);
});

test("a leader's own disk counts like anybody else's", () => {
  const trio = new Trio();
  trio.elect('a');
  trio.slowDisks.add(asNodeId('a')).add(asNodeId('c'));
  trio.propose('a', 'x');
  expect(trio.node('a').commitIndex).toBe(2);
  trio.releaseDisk('a');
  expect(trio.values('a')).toEqual(['x']);
});

test('a candidate asks for votes, and counts its own, only when its vote is on disk', () => {
  const trio = new Trio();
  trio.slowDisks.add(asNodeId('a'));
  trio.elect('a');
  expect(trio.reported('a', 'send').filter(({ message }) => message.type === 'voteRequest')).toEqual([]);
  expect(trio.node('a').role.name).toBe('candidate');
  trio.releaseDisk('a');
  expect(trio.node('a').role.name).toBe('leader');
});

test('a granted vote leaves with the write that makes it durable, and only one candidate gets it', () => {
  const trio = new Trio();
  const request = {
    type: 'voteRequest',
    term: asTerm(2),
    lastIndex: asIndex(1),
    lastTerm: asTerm(1),
    transfer: true,
  } as const;
  trio.isolate('c');
  trio.message('a', 'c', request);
  const persist = trio.reported('c', 'persist').at(-1);
  expect(persist?.hardState).toEqual({ term: 2, vote: 'a', recovering: false });
  expect(persist?.replies).toEqual([{ to: 'a', message: { type: 'voteReply', term: 2, granted: true } }]);
  trio.message('b', 'c', request);
  expect(trio.reported('c', 'send').at(-1)?.message).toEqual({ type: 'voteReply', term: 2, granted: false });
});

test('a node that was alone for hours comes back without disturbing the leader (scenario 4)', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('c');
  trio.pass(3_600_00);
  trio.propose('a', 'x');
  trio.heal();
  trio.pass(3000);
  expect(trio.node('a').role.name).toBe('leader');
  expect(trio.node('a').term).toBe(2);
  expect(trio.values('c')).toEqual(['x']);
});

test('a leader cut off from the others steps down, they elect another, and it follows when it is back', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('a');
  trio.propose('a', 'lost');
  trio.pass(4000);
  expect(trio.node('a').role.name).not.toBe('leader');
  const leader = ['b', 'c'].find((name) => trio.node(name).role.name === 'leader')!;
  trio.propose(leader, 'kept');
  trio.heal();
  trio.pass(3000);
  for (const name of ['a', 'b', 'c']) expect(trio.values(name)).toEqual(['kept']);
});

test('a leader whose disk is stuck makes room for another', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.slowDisks.add(asNodeId('a'));
  trio.propose('a', 'x');
  trio.pass(1500);
  expect(trio.node('a').role.name).not.toBe('leader');
  trio.pass(3000);
  expect(['b', 'c'].some((name) => trio.node(name).role.name === 'leader')).toBe(true);
  trio.pass(10_000);
  expect(trio.node('a').term).toBe(3);
});

test('a leader that writes a large entry has the time that takes, and no more', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.slowDisks.add(asNodeId('a'));
  trio.propose('a', 'x'.repeat(10_000_000));
  trio.pass(2500);
  expect(trio.node('a').role.name).toBe('leader');
  trio.pass(1000);
  expect(trio.node('a').role.name).not.toBe('leader');
});

test('a large entry on its way is not sent a second time, until it is known to be lost', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.slowDisks.add(asNodeId('b'));
  const appends = (): number =>
    trio.reported('a', 'send').filter(({ to, message }) => to === asNodeId('b') && message.type === 'append')
      .length;
  const before = appends();
  trio.propose('a', 'x'.repeat(10_000_000));
  trio.pass(1500);
  expect(appends()).toBe(before + 1);
  trio.feed('a', { type: 'unreachable', peer: asNodeId('b') });
  trio.pass(200);
  expect(appends()).toBe(before + 2);
  trio.pass(1500);
  expect(appends()).toBe(before + 2);
  trio.feed('a', { type: 'unreachable', peer: asNodeId('b') });
  trio.pass(200);
  expect(appends()).toBe(before + 3);
});

test('reads wait for this term’s first entry, then for a round that a majority confirms', () => {
  const trio = new Trio();
  trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
  trio.releaseDisk('b');
  trio.elect('a');
  trio.slowDisks.add(asNodeId('b'));
  trio.feed('a', { type: 'read', id: 1 });
  trio.releaseDisk('b');
  expect(trio.reported('a', 'readReady')).toEqual([{ type: 'readReady', ids: [1] }]);
  trio.isolate('a');
  trio.feed('a', { type: 'read', id: 2 });
  expect(trio.reported('a', 'readReady')).toHaveLength(1);
  trio.pass(2500);
  expect(trio.reported('a', 'readFailed')).toEqual([{ type: 'readFailed', ids: [2], reason: 'notLeader' }]);
});

test('a confirmation of an older round does not release a newer read (scenario 26)', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('a');
  trio.feed('a', { type: 'read', id: 1 });
  trio.message('b', 'a', { type: 'heartbeatReply', term: trio.node('a').term, round: 0, recovering: false });
  expect(trio.reported('a', 'readReady')).toEqual([]);
  trio.message('b', 'a', { type: 'heartbeatReply', term: trio.node('a').term, round: 1, recovering: false });
  expect(trio.reported('a', 'readReady')).toEqual([{ type: 'readReady', ids: [1] }]);
});

test('a follower reads at an index the leader confirmed', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.propose('a', 'x');
  trio.feed('b', { type: 'read', id: 7 });
  trio.pass(200);
  expect(trio.reported('b', 'readReady')).toEqual([{ type: 'readReady', ids: [7] }]);
  expect(trio.values('b')).toEqual(['x']);
});

test('leadership is handed to the best follower, at once and with every entry', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.propose('a', 'x');
  trio.feed('a', { type: 'transfer', to: asNodeId('c') });
  expect(trio.node('c').role.name).toBe('leader');
  expect(trio.reported('a', 'transferEnded')).toEqual([{ type: 'transferEnded', ok: true }]);
});

test('a transfer to a node that is gone is given up, and proposals are taken again', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('c');
  trio.propose('a', 'x');
  trio.feed('a', { type: 'transfer', to: asNodeId('c') });
  trio.propose('a', 'y');
  expect(trio.reported('a', 'rejected').at(-1)?.reason).toBe('transferring');
  trio.pass(1100);
  expect(trio.reported('a', 'transferEnded')).toEqual([{ type: 'transferEnded', ok: false }]);
  trio.propose('a', 'z');
  expect(trio.values('a')).toEqual(['x', 'z']);
});

test('a leader that loses its quorum during a transfer has not handed over', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('a');
  trio.feed('a', { type: 'transfer', to: asNodeId('c') });
  trio.pass(1500);
  expect(trio.node('a').role.name).not.toBe('leader');
  expect(trio.reported('a', 'transferEnded')).toEqual([{ type: 'transferEnded', ok: false }]);
});

test('the followers of a leader whose process is gone do not wait for the election timeout', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('a');
  trio.feed('b', { type: 'peerDown', peer: asNodeId('a') });
  trio.feed('c', { type: 'peerDown', peer: asNodeId('a') });
  trio.pass(500);
  expect(['b', 'c'].filter((name) => trio.node(name).role.name === 'leader')).toHaveLength(1);
});

test('a divergent tail is replaced, and a late acknowledgement of it counts for nothing (scenario 19)', () => {
  const trio = new Trio();
  trio.isolate('c');
  const tail = [2, 3, 4].map((index) => ({
    index: asIndex(index),
    term: asTerm(2),
    type: EntryType.batch,
    payload: text('old'),
  }));
  trio.slowDisks.add(asNodeId('c'));
  trio.message('a', 'c', {
    type: 'append',
    term: asTerm(2),
    prevIndex: asIndex(1),
    prevTerm: asTerm(1),
    entries: tail,
    commit: asIndex(1),
  });
  const fresh = { index: asIndex(2), term: asTerm(3), type: EntryType.batch, payload: text('new') };
  trio.message('b', 'c', {
    type: 'append',
    term: asTerm(3),
    prevIndex: asIndex(1),
    prevTerm: asTerm(1),
    entries: [fresh],
    commit: asIndex(2),
  });
  trio.releaseDisk('c');
  expect(trio.node('c').log.lastIndex).toBe(2);
  expect(trio.values('c')).toEqual(['new']);
  const promises = trio
    .reported('c', 'persist')
    .flatMap(({ replies }) => replies.map(({ to, message }) => [to, message]));
  expect(promises.at(-1)).toEqual(['b', { type: 'appendReply', term: 3, result: { ok: true, match: 2 } }]);
});

test('a stale, shorter append takes nothing away (scenario 16)', () => {
  const trio = new Trio();
  trio.isolate('c');
  const entries = [2, 3].map((index) => ({
    index: asIndex(index),
    term: asTerm(2),
    type: EntryType.batch,
    payload: text('x'),
  }));
  const append = {
    type: 'append',
    term: asTerm(2),
    prevIndex: asIndex(1),
    prevTerm: asTerm(1),
    commit: asIndex(1),
  } as const;
  trio.message('a', 'c', { ...append, entries });
  trio.message('a', 'c', { ...append, entries: entries.slice(0, 1) });
  trio.message('a', 'c', { ...append, entries: [] });
  expect(trio.node('c').log.lastIndex).toBe(3);
});

test('a follower takes for committed only what this append has compared', () => {
  const trio = new Trio();
  trio.isolate('c');
  const entries = [2, 3].map((index) => ({
    index: asIndex(index),
    term: asTerm(2),
    type: EntryType.batch,
    payload: text('x'),
  }));
  const append = { type: 'append', prevIndex: asIndex(1), prevTerm: asTerm(1), entries } as const;
  trio.message('a', 'c', { ...append, term: asTerm(2), commit: asIndex(1) });
  // The leader of term 3 has entry 2 as well, but its entry 3 is another.
  trio.message('b', 'c', { ...append, term: asTerm(3), entries: entries.slice(0, 1), commit: asIndex(3) });
  expect(trio.node('c').commitIndex).toBe(2);
});

test('a promise of an earlier term that has not left yet does not leave', () => {
  const trio = new Trio();
  trio.isolate('c');
  trio.slowDisks.add(asNodeId('c'));
  const append = { type: 'append', prevIndex: asIndex(1), prevTerm: asTerm(1), entries: [] } as const;
  trio.message('a', 'c', { ...append, term: asTerm(2), commit: asIndex(1) });
  trio.message('a', 'c', { ...append, term: asTerm(2), commit: asIndex(1) });
  trio.message('b', 'c', { ...append, term: asTerm(3), commit: asIndex(1) });
  trio.releaseDisk('c');
  const promises = trio
    .reported('c', 'persist')
    .flatMap(({ hardState, replies }) =>
      replies.map(({ to, message }) => [hardState?.term, to, message.term]),
    );
  expect(promises).toEqual([
    [2, 'a', 2],
    [3, 'b', 3],
  ]);
});

test('a rejected append names the last index that could agree, one term at a time', () => {
  const trio = new Trio();
  trio.isolate('c');
  const entries = [2, 3, 4].map((index) => ({
    index: asIndex(index),
    term: asTerm(2),
    type: EntryType.batch,
    payload: text('x'),
  }));
  trio.message('a', 'c', {
    type: 'append',
    term: asTerm(2),
    prevIndex: asIndex(1),
    prevTerm: asTerm(1),
    commit: asIndex(1),
    entries,
  });
  trio.message('b', 'c', {
    type: 'append',
    term: asTerm(5),
    prevIndex: asIndex(9),
    prevTerm: asTerm(1),
    commit: asIndex(1),
    entries: [],
  });
  expect(trio.reported('c', 'send').at(-1)?.message).toEqual({
    type: 'appendReply',
    term: 5,
    result: { ok: false, rejected: 9, hintIndex: 1, hintTerm: 1 },
  });
});

test('lost appends are found and sent again', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.cut.add('a>c');
  for (const value of ['1', '2', '3']) trio.propose('a', value);
  trio.heal();
  trio.pass(500);
  expect(trio.values('c')).toEqual(['1', '2', '3']);
});

test('a full pipeline of uncommitted entries turns proposals away', () => {
  const trio = new Trio(['a', 'b', 'c'], { uncommittedBytes: 200 });
  trio.elect('a');
  trio.isolate('a');
  for (const value of ['1', '2', '3', '4', '5']) trio.propose('a', value);
  expect(trio.reported('a', 'rejected').map(({ reason }) => reason)).toContain('busy');
});

test('a lone voter leads and commits by itself', () => {
  const trio = new Trio(['a']);
  trio.elect('a');
  trio.propose('a', 'x');
  expect(trio.values('a')).toEqual(['x']);
  trio.feed('a', { type: 'read', id: 1 });
  expect(trio.reported('a', 'readReady')).toHaveLength(1);
});

test('a pre-vote counts although its giver is terms behind', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('b');
  trio.pass(2100);
  const { term } = trio.node('b');
  expect(trio.node('b').role.name).toBe('preCandidate');
  const reply = { type: 'preVoteReply', granted: true, campaignTerm: asTerm(term + 1) } as const;
  trio.message('c', 'b', { ...reply, term: asTerm(term - 1) });
  expect(trio.node('b').role.name).toBe('candidate');
});

test('a pre-vote that was given for an earlier attempt does not count for this one', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.isolate('b');
  trio.pass(2100);
  const { term } = trio.node('b');
  expect(trio.node('b').role.name).toBe('preCandidate');
  trio.message('c', 'b', { type: 'preVoteReply', term, granted: true, campaignTerm: term });
  expect([trio.node('b').role.name, trio.node('b').term]).toEqual(['preCandidate', term]);
});

test('the signal to take over is not sent before the successor has every entry', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.slowDisks.add(asNodeId('c'));
  trio.propose('a', 'x');
  trio.feed('a', { type: 'transfer', to: asNodeId('c') });
  const signals = (): number =>
    trio.reported('a', 'send').filter(({ message }) => message.type === 'timeoutNow').length;
  expect(signals()).toBe(0);
  trio.releaseDisk('c');
  expect(signals()).toBe(1);
  expect(trio.node('c').role.name).toBe('leader');
});

test('a late rejection of what has been matched since does not bring entries under way on their way again', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.propose('a', 'x');
  trio.slowDisks.add(asNodeId('c'));
  trio.propose('a', 'y');
  const appends = (): number =>
    trio.reported('a', 'send').filter(({ to, message }) => to === asNodeId('c') && message.type === 'append')
      .length;
  const before = appends();
  const result = { ok: false, rejected: asIndex(2), hintIndex: asIndex(1), hintTerm: asTerm(1) } as const;
  trio.message('c', 'a', { type: 'appendReply', term: asTerm(2), result });
  expect(appends()).toBe(before);
});

test('a read that waits for entries which never come fails', () => {
  const trio = new Trio();
  trio.elect('a');
  trio.cut.add('a>c');
  trio.propose('a', 'x');
  trio.feed('c', { type: 'read', id: 9 });
  const number = trio
    .reported('c', 'send')
    .map(({ message }) => message)
    .at(-1);
  const { commitIndex: index, term } = trio.node('a');
  trio.message('a', 'c', {
    type: 'readIndexReply',
    term,
    id: number!.type === 'readIndexRequest' ? number.id : 0,
    index,
  });
  trio.pass(900);
  expect(trio.reported('c', 'readFailed')).toEqual([]);
  trio.pass(200);
  expect(trio.reported('c', 'readReady')).toEqual([]);
  expect(trio.reported('c', 'readFailed')).toEqual([{ type: 'readFailed', ids: [9], reason: 'notLeader' }]);
});
