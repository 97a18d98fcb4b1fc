/** One or more of every message, for tests. */
import { type Member, type Message, EntryType, asIndex, asNodeId, asTerm } from '../../raft/types.ts';

const term = asTerm(7);
const member = (id: string): Member => ({
  id: asNodeId(id),
  url: `http://${id}:7001`,
  incarnation: `0123456789abcd${id}`,
});

export const MESSAGES: readonly Message[] = [
  { type: 'preVoteRequest', term, lastIndex: asIndex(9), lastTerm: asTerm(6) },
  { type: 'preVoteReply', term, granted: true, campaignTerm: asTerm(8) },
  {
    type: 'voteRequest',
    term,
    lastIndex: asIndex(Number.MAX_SAFE_INTEGER),
    lastTerm: asTerm(6),
    transfer: true,
  },
  { type: 'voteReply', term, granted: false },
  { type: 'append', term, prevIndex: asIndex(0), prevTerm: asTerm(0), commit: asIndex(0), entries: [] },
  {
    type: 'append',
    term,
    prevIndex: asIndex(2 ** 40),
    prevTerm: asTerm(6),
    commit: asIndex(5),
    entries: [
      { index: asIndex(2 ** 40 + 1), term, type: EntryType.noop, payload: Buffer.alloc(0) },
      { index: asIndex(2 ** 40 + 2), term, type: EntryType.batch, payload: Buffer.alloc(100_000, 'payload') },
      { index: asIndex(2 ** 40 + 3), term, type: EntryType.configuration, payload: Buffer.from('{}') },
    ],
  },
  { type: 'appendReply', term, result: { ok: true, match: asIndex(12) } },
  {
    type: 'appendReply',
    term,
    result: { ok: false, rejected: asIndex(12), hintIndex: asIndex(5), hintTerm: asTerm(3) },
  },
  { type: 'heartbeat', term, commit: asIndex(11), match: asIndex(12), matchTerm: term, round: 2 ** 33 },
  { type: 'heartbeatReply', term, round: 4, recovering: true },
  {
    type: 'installSnapshot',
    term,
    snapshot: {
      index: asIndex(1000),
      term,
      configuration: {
        voters: ['n1', 'n2', 'n3'].map(member),
        outgoing: [],
        learners: [{ ...member('n4'), promote: true, replaces: asNodeId('n3') }],
        removed: [asNodeId('n0')],
      },
      configurationIndex: asIndex(3),
      bytes: 123_456_789_012,
      checksum: 0xffff_fffe,
    },
  },
  { type: 'installSnapshotReply', term, index: asIndex(1000), status: 'installed' },
  { type: 'installSnapshotReply', term, index: asIndex(1000), status: 'fetching' },
  { type: 'installSnapshotReply', term, index: asIndex(1000), status: 'failed' },
  { type: 'timeoutNow', term },
  { type: 'readIndexRequest', term, id: 17 },
  { type: 'readIndexReply', term, id: 17, index: asIndex(44) },
  { type: 'readIndexReply', term, id: 18, index: null },
  { type: 'recoveryRequest', term, id: 17 },
  { type: 'recoveryReply', term, id: 17, index: asIndex(44) },
  { type: 'recoveryReply', term, id: 18, index: null },
];
