import { describe, expect, test } from 'vitest';
import { encodeConfiguration } from './configuration.ts';
import { LEARNERS_MAX, VOTERS_MAX } from './membership.ts';
import { learnerOf, Trio } from './testing/trio.ts';
import { asIndex, asNodeId, asTerm, EntryType, type Learner, type MembershipChange } from './types.ts';

const add = (name: string, more: Partial<Learner> = {}): MembershipChange => ({
  type: 'addLearner',
  learner: learnerOf(name, more),
});
const remove = (name: string): MembershipChange => ({ type: 'remove', id: asNodeId(name) });
const promote = (name: string, replaces: string | null = null): MembershipChange => ({
  type: 'promote',
  id: asNodeId(name),
  replaces: replaces === null ? null : asNodeId(replaces),
});
const setUrl = (name: string, url: string): MembershipChange => ({
  type: 'setUrl',
  id: asNodeId(name),
  url,
});

/** `a` leads `a`, `b` and `c`; the nodes named have joined as learners. */
function withLearners(...names: string[]): Trio {
  const trio = new Trio();
  trio.elect('a');
  for (const name of names) {
    trio.join(name);
    expect(trio.answers(trio.change('a', add(name)))).toEqual(['changed']);
  }
  return trio;
}

/** The words in which a request was turned away, after the reason. */
function refusal(trio: Trio, change: MembershipChange, at = 'a'): string {
  const id = trio.change(at, change);
  const rejected = trio.reported(at, 'membershipRejected').find((effect) => effect.id === id);
  return rejected === undefined ? 'not turned away' : `${rejected.reason}: ${rejected.message}`;
}

const leaders = (trio: Trio): string[] =>
  [...trio.nodes.values()].filter(({ role }) => role.name === 'leader').map(({ id }) => id);

describe('learners', () => {
  test('a node that joins begins with an empty log, gets all of it, and never campaigns', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.propose('a', 'before');
    trio.join('d');
    trio.pass(5000);
    expect(trio.node('d').term).toBe(0);
    trio.change('a', add('d'));
    trio.propose('a', 'after');
    trio.pass(100);
    expect(trio.values('d')).toEqual(['before', 'after']);
    trio.isolate('d');
    trio.pass(5000);
    expect([trio.node('d').role.name, trio.node('d').term]).toEqual(['follower', 2]);
    expect(trio.members('a')).toBe('a b c');
  });

  test('a learner counts for no majority', () => {
    const trio = withLearners('d');
    trio.isolate('b');
    trio.isolate('c');
    trio.propose('a', 'x');
    expect(trio.values('d')).toEqual([]);
    trio.pass(1500);
    expect(leaders(trio)).toEqual([]);
  });

  test('a learner that is to be promoted becomes a voter when it has caught up, also under a steady load', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.join('d');
    trio.isolate('d');
    expect(trio.answers(trio.change('a', add('d', { promote: true })))).toEqual(['changed']);
    for (let count = 0; count < 30; count += 1) {
      trio.propose('a', 'x');
      trio.pass(100);
    }
    expect(trio.members('a')).toBe('a b c');
    trio.heal();
    // Always a write or two behind, for its disk takes a while.
    for (let count = 0; count < 20; count += 1) {
      trio.slowDisks.add(asNodeId('d'));
      trio.propose('a', 'x');
      trio.pass(60);
      trio.propose('a', 'x');
      trio.releaseOne('d');
    }
    expect(trio.members('a')).toBe('a b c d');
  });

  test('a learner far behind is not promoted on request either', () => {
    const trio = withLearners('d');
    trio.slowDisks.add(asNodeId('d'));
    for (let count = 0; count < 20; count += 1) {
      trio.propose('a', 'x');
      trio.pass(100);
    }
    expect(refusal(trio, promote('d'))).toMatch(/^notReady: d has not caught up: .* up to 3 of 23/);
  });

  test('a learner that does not answer has not caught up, whatever it has', () => {
    const trio = withLearners('d');
    trio.isolate('d');
    trio.pass(1100);
    expect(refusal(trio, promote('d'))).toMatch(/^notReady: d has not caught up/);
  });

  test('a learner is no successor, however much of the log it has', () => {
    const trio = withLearners('d');
    trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
    trio.propose('a', 'x');
    trio.feed('a', { type: 'transfer', to: null });
    for (const name of ['b', 'c']) trio.releaseDisk(name);
    expect(trio.reported('a', 'transferEnded')).toEqual([{ type: 'transferEnded', ok: true }]);
  });

  test('a learner takes the place of a dead voter in one change', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.isolate('c');
    trio.join('d');
    trio.change('a', add('d', { promote: true, replaces: asNodeId('c') }));
    trio.pass(1500);
    expect(trio.members('a')).toBe('a b d');
    expect(trio.members('d')).toBe('a b d');
    expect(trio.node('a').log.configuration.removed).toEqual(['c']);
  });

  test('when the voter to be replaced has been removed by hand, the learner just becomes a voter', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.join('d');
    trio.isolate('d');
    trio.change('a', add('d', { promote: true, replaces: asNodeId('c') }));
    trio.change('a', remove('c'));
    expect(trio.node('a').log.configuration.learners[0]?.replaces).toBeNull();
    trio.heal();
    trio.pass(1500);
    expect(trio.members('a')).toBe('a b d');
  });

  test('a learner that does not know that it has become a voter gives its vote (scenario 38)', () => {
    const trio = withLearners('d');
    const { lastIndex, lastTerm } = trio.node('a').log;
    const request = { type: 'voteRequest', term: asTerm(9), lastIndex, lastTerm, transfer: true } as const;
    trio.message('b', 'd', request);
    expect(trio.reported('d', 'persist').at(-1)?.hardState?.vote).toBe('b');
  });
});

describe('voters', () => {
  test('both majorities decide on the way, and only the new one afterwards', () => {
    const trio = withLearners('d');
    trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
    const id = trio.change('a', promote('d', 'b'));
    // a and d are a majority of the new voters; of the old ones there is only a.
    expect(trio.members('a')).toBe('a c d|a b c');
    expect(trio.answers(id)).toEqual([]);
    trio.releaseDisk('b');
    expect(trio.members('a')).toBe('a c d');
    expect(trio.answers(id)).toEqual(['changed']);
    trio.propose('a', 'x');
    expect(trio.values('a')).toEqual(['x']);
  });

  test('the requester hears of it when the last entry is committed, not before', () => {
    const trio = withLearners('d');
    const id = trio.change('a', promote('d'));
    expect(trio.answers(id)).toEqual(['changed']);
    const [, changed] = trio.reported('a', 'membershipChanged');
    expect(changed?.configuration.voters.map((voter) => voter.id)).toEqual(['a', 'b', 'c', 'd']);
    expect(changed?.configuration.outgoing).toEqual([]);
  });

  test('a new leader finishes the change that the last one began (scenario 32)', () => {
    const trio = withLearners('d');
    trio.slowDisks.add(asNodeId('b')).add(asNodeId('c')).add(asNodeId('d'));
    const id = trio.change('a', promote('d', 'a'));
    trio.isolate('a');
    for (const name of ['b', 'c', 'd']) trio.releaseDisk(name);
    trio.pass(4000);
    expect(trio.answers(id)).toEqual(['unknown']);
    expect(leaders(trio)).toHaveLength(1);
    expect(trio.members(leaders(trio)[0]!)).toBe('b c d');
    trio.heal();
    trio.pass(4000);
    expect(trio.answers(id)).toEqual(['unknown']);
    // It was not told, and it does not get in anybody's way.
    expect(leaders(trio)).not.toContain('a');
  });

  test('in the middle of a change nobody is elected by one majority alone', () => {
    const trio = withLearners('d', 'e');
    trio.change('a', promote('d'));
    trio.isolate('c');
    for (const name of ['b', 'd', 'e']) trio.cut.add(`${name}>a`);
    trio.change('a', promote('e', 'c'));
    expect(trio.members('b')).toBe('a b d e|a b c d');
    // b, d and e are a majority of the new voters; of the old ones b and d are half.
    trio.isolate('a');
    trio.pass(10_000);
    expect(leaders(trio)).toEqual([]);
    trio.heal();
    trio.isolate('a');
    trio.pass(10_000);
    expect(leaders(trio)).toHaveLength(1);
    expect(trio.members('b')).toBe('a b d e');
  });

  test('a change that is rolled back leaves no trace (scenario 33)', () => {
    const trio = withLearners('d');
    trio.isolate('a');
    const id = trio.change('a', remove('c'));
    expect(trio.members('a')).toBe('a b|a b c');
    trio.pass(4000);
    trio.propose(leaders(trio)[0]!, 'x');
    trio.heal();
    trio.pass(3000);
    expect(trio.members('a')).toBe('a b c');
    expect(trio.answers(id)).toEqual(['unknown']);
    expect(trio.reported('a', 'configuration').at(-1)?.leaving).toEqual([]);
  });

  test('a removed leader leads until the end, without counting itself, and hands over (scenario 35)', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.slowDisks.add(asNodeId('c'));
    const id = trio.change('a', remove('a'));
    // Joint it needs b of the new voters as well as c: nothing moves.
    expect(trio.members('a')).toBe('b c|a b c');
    trio.releaseOne('c');
    expect(trio.members('a')).toBe('b c');
    // a and b have the last entry; without c that is no majority of b and c.
    trio.pass(500);
    expect([trio.node('a').role.name, trio.answers(id)]).toEqual(['leader', []]);
    trio.releaseDisk('c');
    expect(trio.answers(id)).toEqual(['changed']);
    expect([trio.node('a').role.name, trio.node('a').term]).toEqual(['follower', 2]);
    expect(leaders(trio)).toHaveLength(1);
    expect(trio.reported('a', 'transferEnded')).toEqual([]);
    trio.pass(10_000);
    expect(trio.node('a').term).toBe(2);
  });

  test('a removed leader that nobody can follow steps down all the same', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
    trio.change('a', remove('a'));
    trio.releaseOne('b');
    trio.releaseOne('c');
    trio.propose('a', 'x');
    trio.releaseOne('b');
    trio.releaseOne('c');
    // The end of the change is committed, the write behind it is on no other disk.
    expect(trio.reported('a', 'membershipChanged')).toHaveLength(1);
    expect(trio.node('a').role.name).toBe('leader');
    trio.propose('a', 'y');
    expect(trio.reported('a', 'rejected').at(-1)?.reason).toBe('transferring');
    for (const name of ['b', 'c']) trio.cut.add(`${name}>a`);
    trio.pass(1100);
    expect(trio.node('a').role.name).toBe('follower');
    expect(trio.reported('a', 'transferEnded')).toEqual([]);
  });

  test('a leader that is removed together with its last entry may still be needed, and campaigns', () => {
    const trio = new Trio(['a']);
    trio.elect('a');
    trio.join('b');
    trio.change('a', add('b'));
    trio.pass(100);
    trio.slowDisks.add(asNodeId('b'));
    trio.change('a', promote('b', 'a'));
    // b has the joint entry; the last one is on a's disk alone.
    trio.cut.add('a>b');
    trio.releaseDisk('b');
    expect(trio.members('a')).toBe('b');
    expect(trio.members('b')).toBe('b|a');
    trio.open('a', trio.disk('a'), { term: asTerm(2), vote: asNodeId('a'), recovering: false });
    trio.heal();
    trio.pass(5000);
    expect(trio.members('b')).toBe('b');
    expect(leaders(trio)).toEqual(['b']);
  });

  test('members that leave still count for the transport until the change is committed', () => {
    const trio = withLearners('d');
    trio.slowDisks.add(asNodeId('a')).add(asNodeId('d'));
    trio.change('a', promote('d', 'c'));
    trio.releaseOne('d');
    trio.releaseOne('a');
    const leaving = (): string[][] =>
      trio.reported('a', 'configuration').map((effect) => effect.leaving.map(({ id }) => id));
    expect(trio.members('a')).toBe('a b d');
    expect(leaving().at(-1)).toEqual(['c']);
    trio.releaseDisk('a');
    trio.releaseDisk('d');
    expect(leaving().at(-1)).toEqual([]);
  });

  test('a removed node that does not know it campaigns in vain and disturbs nobody (scenario 36)', () => {
    const trio = new Trio();
    trio.elect('a');
    trio.isolate('c');
    trio.change('a', remove('c'));
    trio.heal();
    trio.pass(10_000);
    expect(leaders(trio)).toEqual(['a']);
    expect(trio.node('a').term).toBe(2);
    expect(trio.members('c')).toBe('a b c');
  });
});

describe('guards', () => {
  test('only a leader changes anything, and says who does', () => {
    const trio = withLearners();
    expect(refusal(trio, remove('c'), 'b')).toBe('notLeader: b does not lead: ask a, which does');
    trio.isolate('a');
    trio.pass(5000);
    expect(refusal(trio, remove('c'), 'a')).toMatch(/^notLeader: .*no leader at the moment/);
  });

  test('nothing before this term’s first entry is committed (scenario 34)', () => {
    const trio = new Trio();
    trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
    trio.elect('a');
    trio.releaseOne('b');
    expect(trio.node('a').role.name).toBe('leader');
    expect(refusal(trio, add('d'))).toMatch(/^notReady: a has just been elected/);
    trio.releaseDisk('b');
    expect(refusal(trio, add('d'))).toBe('not turned away');
  });

  test('one change at a time', () => {
    const trio = withLearners('d');
    trio.slowDisks.add(asNodeId('b')).add(asNodeId('c'));
    trio.change('a', setUrl('d', 'http://elsewhere'));
    expect(refusal(trio, remove('d'))).toMatch(/^pending: another change is under way \(entry 4\)/);
    trio.releaseOne('b');
    trio.change('a', promote('d'));
    expect(trio.members('a')).toBe('a b c d|a b c');
    expect(refusal(trio, remove('d'))).toMatch(/^pending/);
    trio.releaseDisk('b');
    expect(trio.members('a')).toBe('a b c d');
    expect(refusal(trio, remove('d'))).toBe('not turned away');
  });

  test('nothing while leadership is handed over', () => {
    const trio = withLearners();
    trio.isolate('c');
    trio.propose('a', 'x');
    trio.feed('a', { type: 'transfer', to: asNodeId('c') });
    expect(refusal(trio, remove('b'))).toMatch(/^pending: a is handing its leadership to c/);
  });

  test('nothing, and no write, while the leader’s disk is nearly full', () => {
    const trio = withLearners();
    trio.fullDisks.add(asNodeId('a'));
    trio.pass(100);
    expect(refusal(trio, add('d'))).toMatch(/^notReady: the disk of the leader a is nearly full/);
    trio.propose('a', 'x');
    expect(trio.reported('a', 'rejected').at(-1)?.reason).toBe('diskFull');
    trio.fullDisks.clear();
    trio.pass(100);
    trio.propose('a', 'y');
    expect(trio.values('a')).toEqual(['y']);
    expect(refusal(trio, add('d'))).toBe('not turned away');
  });

  test('the new voters must have a live majority', () => {
    const trio = withLearners();
    trio.isolate('c');
    expect(refusal(trio, remove('b'))).toBe('not turned away');
    const calm = withLearners();
    calm.isolate('c');
    calm.pass(1100);
    expect(refusal(calm, remove('b'))).toMatch(/^unsafe: of the 2 voters that there would be, c can't vote/);
    expect(refusal(calm, remove('c'))).toBe('not turned away');
  });

  test('the last voter stays', () => {
    const trio = new Trio(['a']);
    trio.elect('a');
    expect(refusal(trio, remove('a'))).toMatch(/^invalid: a is the last voter/);
  });

  test('an id is used once', () => {
    const trio = withLearners('d');
    trio.change('a', remove('d'));
    expect(refusal(trio, add('d'))).toMatch(/^invalid: d was removed from this cluster/);
    trio.change('a', remove('c'));
    expect(refusal(trio, add('c'))).toMatch(/^invalid: c was removed/);
    expect(refusal(trio, add('b', { incarnation: 'wiped' }))).toMatch(
      /^invalid: b is a member with another data directory \(b, this one is wiped\)/,
    );
  });

  test('what is so already is a success', () => {
    const trio = withLearners('d', 'e');
    trio.change('a', promote('d'));
    const again = [add('d'), add('e'), promote('d'), setUrl('e', 'http://e')];
    for (const change of again) expect(trio.answers(trio.change('a', change))).toEqual(['changed']);
    trio.change('a', remove('e'));
    const { lastIndex } = trio.node('a').log;
    expect(trio.answers(trio.change('a', remove('e')))).toEqual(['changed']);
    expect(trio.node('a').log.lastIndex).toBe(lastIndex);
  });

  test('what makes no sense is turned away with the reason', () => {
    const trio = withLearners('d');
    const cases: [MembershipChange, RegExp][] = [
      [add('e', { id: asNodeId('no id') }), /"no id" is no node id/],
      [add('e', { incarnation: '' }), /names no data directory/],
      [add('e', { url: 'http://b' }), /http:\/\/b is the address of b/],
      [add('e', { url: 'e:7001' }), /"e:7001" is no URL/],
      [add('e', { url: `http://${'e'.repeat(256)}` }), /is no URL/],
      [add('e', { promote: true, replaces: asNodeId('d') }), /d, which is no voter; the voters are a, b, c/],
      [add('e', { replaces: asNodeId('c') }), /ask for its promotion/],
      [promote('d', 'x'), /can't take the place of x/],
      [promote('x'), /x is no learner; there are d/],
      [remove('x'), /x is no member; there are a, b, c, d/],
      [setUrl('x', 'http://x'), /x is no member/],
      [setUrl('d', 'http://a'), /http:\/\/a is the address of a/],
      [setUrl('d', ''), /is no URL/],
      [setUrl('d', 'http://10.0.0.1:73800'), /is no URL/],
      [setUrl('d', 'http://['), /is no URL/],
      [setUrl('d', 'http://b\u00fccher:7001'), /is no URL/],
    ];
    for (const [change, words] of cases) expect(refusal(trio, change)).toMatch(words);
    for (const [change] of cases) expect(refusal(trio, change)).toMatch(/^invalid: /);
  });

  test('a voter is replaced by one learner', () => {
    const trio = withLearners();
    trio.change('a', add('d', { promote: true, replaces: asNodeId('c') }));
    expect(refusal(trio, add('e', { promote: true, replaces: asNodeId('c') }))).toMatch(
      /d takes the place of c already/,
    );
  });

  test('there is a bound to voters and to learners', () => {
    const trio = new Trio(Array.from({ length: VOTERS_MAX }, (_, at) => `v${at}`));
    trio.elect('v0');
    expect(refusal(trio, add('d', { promote: true }), 'v0')).toMatch(
      /d would be voter 10, and there can be 9/,
    );
    for (let at = 0; at < LEARNERS_MAX; at += 1) {
      trio.join(`l${at}`);
      expect(trio.answers(trio.change('v0', add(`l${at}`)))).toEqual(['changed']);
    }
    expect(refusal(trio, add('d'), 'v0')).toMatch(/there are 9 learners/);
    expect(refusal(trio, promote('l0'), 'v0')).toMatch(/l0 would be voter 10/);
    expect(trio.answers(trio.change('v0', promote('l0', 'v8')))).toEqual(['changed']);
  });

  test('the list of former members has an end', () => {
    const trio = new Trio(['a', 'b']);
    const removed = Array.from({ length: 4094 }, (_, at) => asNodeId(`x${at}`));
    const { configuration } = trio.node('a').log;
    const payload = encodeConfiguration({ ...configuration, removed });
    const entry = { index: asIndex(2), term: asTerm(1), type: EntryType.configuration, payload };
    for (const name of ['a', 'b'])
      trio.open(name, [...trio.disk(name), entry], { term: asTerm(1), vote: null, recovering: false });
    trio.elect('a');
    expect(refusal(trio, add('d'))).toMatch(/^invalid: 4096 ids have been used/);
    expect(refusal(trio, remove('b'))).toBe('not turned away');
  });
});
