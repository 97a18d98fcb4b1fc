/**
 * The guards that the cluster's safety rests on, each with the edit that takes it away. A test suite that does not
 * notice the loss of a guard would not notice its absence either: `npm run test:mutation` removes one after the other
 * and lets the simulator look for the harm.
 */

export interface Mutation {
  readonly name: string;
  /** What the mutated code does wrong, after "the code in which". */
  readonly fault: string;
  /** Below `src/`. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** The world of the simulator in which the guard does its work. */
  readonly world: 'core' | 'node';
}

export const MUTATIONS: readonly Mutation[] = [
  /* ---- elections ---- */
  {
    name: 'vote-once',
    fault: 'a node votes for everyone who asks',
    file: 'raft/election.ts',
    find: 'const free = node.vote === null || node.vote === from;',
    replace: 'const free = true;',
    world: 'core',
  },
  {
    name: 'vote-up-to-date',
    fault: 'a candidate with an older log gets votes',
    file: 'raft/election.ts',
    find: "    node.role.name === 'follower' &&\n    isUpToDate(node.log, request.lastTerm, request.lastIndex);",
    replace: "    node.role.name === 'follower';",
    world: 'core',
  },
  {
    name: 'vote-durable',
    fault: 'a granted vote is told before it is on disk',
    file: 'raft/election.ts',
    find: "sendWhenDurable(node, from, { type: 'voteReply', term: node.term, granted });",
    replace: "send(node, from, { type: 'voteReply', term: node.term, granted });",
    world: 'core',
  },
  {
    name: 'candidacy-durable',
    fault: 'a candidate asks for votes before its own is on disk',
    file: 'raft/election.ts',
    find: "sendWhenDurable(node, to, { type: 'voteRequest', term: node.term, lastIndex, lastTerm, transfer });",
    replace: "send(node, to, { type: 'voteRequest', term: node.term, lastIndex, lastTerm, transfer });",
    world: 'core',
  },
  {
    name: 'earlier-terms',
    fault: 'messages of earlier terms are handled like current ones',
    file: 'raft/node.ts',
    find: "if (message.term < node.term && message.type !== 'preVoteReply') {",
    replace: 'if (message.term < 0) {',
    world: 'core',
  },
  {
    name: 'check-quorum',
    fault: 'a leader that a quorum does not answer goes on leading',
    file: 'raft/election.ts',
    find: 'if (now - Math.max(contact, role.since) >= options.electionMs) {',
    replace: 'if (now < 0) {',
    world: 'core',
  },
  {
    name: 'disk-stall',
    fault: 'a leader whose disk is stuck goes on leading',
    file: 'raft/election.ts',
    find: 'return now - inFlight.since >= options.electionMs + inFlight.bytes / BYTES_PER_MS_MIN;',
    replace: 'return now < inFlight.since;',
    world: 'core',
  },

  /* ---- replication ---- */
  {
    name: 'append-durable',
    fault: 'a follower acknowledges entries before they are on disk',
    file: 'raft/replication.ts',
    find: "sendWhenDurable(node, from, { type: 'appendReply', term: node.term, result: { ok: true, match } });",
    replace: "send(node, from, { type: 'appendReply', term: node.term, result: { ok: true, match } });",
    world: 'core',
  },
  {
    name: 'own-disk',
    fault: 'a leader counts itself before its own write is on disk',
    file: 'raft/replication.ts',
    find: 'id === node.id ? node.durableIndex : (role.progress.get(id)?.match ?? 0),',
    replace: 'id === node.id ? node.log.lastIndex : (role.progress.get(id)?.match ?? 0),',
    world: 'core',
  },
  {
    name: 'current-term-commit',
    fault: 'a leader commits entries of earlier terms by counting copies',
    file: 'raft/replication.ts',
    find: 'if (index <= node.commitIndex || index < role.noopIndex) return;',
    replace: 'if (index <= node.commitIndex) return;',
    world: 'core',
  },
  {
    name: 'previous-entry',
    fault: 'a follower takes entries whatever comes before them',
    file: 'raft/replication.ts',
    find: '} else if (log.termAt(append.prevIndex) !== append.prevTerm) {',
    replace: '} else if (append.prevIndex > log.lastIndex) {',
    world: 'core',
  },
  {
    name: 'stale-append',
    fault: 'an append cuts the log off behind its entries although they agree',
    file: 'raft/replication.ts',
    find: 'if (entry.index <= node.commitIndex || log.termAt(entry.index) === entry.term) continue;',
    replace: 'if (entry.index <= node.commitIndex) continue;',
    world: 'core',
  },
  {
    name: 'aba-in-flight',
    fault: 'the acknowledgement of an overwritten disk write counts for what replaced it',
    file: 'raft/replication.ts',
    find: 'if (persist.inFlight !== null && persist.inFlight.through > last) persist.inFlight.through = last;',
    replace: '',
    world: 'core',
  },
  {
    name: 'truncated-not-durable',
    fault: 'entries that were cut off still count as durable',
    file: 'raft/replication.ts',
    find: 'if (node.durableIndex > last) node.durableIndex = last;',
    replace: '',
    world: 'core',
  },
  {
    name: 'commit-up-to-match',
    fault: 'a follower takes for committed what it has not compared with the leader',
    file: 'raft/replication.ts',
    find: 'commitTo(node, append.commit < match ? append.commit : match);',
    replace: 'commitTo(node, append.commit < log.lastIndex ? append.commit : log.lastIndex);',
    world: 'core',
  },
  {
    name: 'heartbeat-commit',
    fault: 'heartbeats carry a commit index beyond what the receiver is known to have',
    file: 'raft/replication.ts',
    find: 'const commit = match < node.commitIndex ? match : node.commitIndex;',
    replace: 'const commit = node.commitIndex;',
    world: 'core',
  },
  {
    name: 'stale-promises',
    fault: 'a promise made in an earlier term is sent although its entries may be gone',
    file: 'raft/node.ts',
    find: 'replies: persist.replies.filter(({ message }) => message.term === node.term),',
    replace: 'replies: persist.replies,',
    world: 'core',
  },
  {
    name: 'apply-durable',
    fault: 'committed entries are applied before they are on this node’s own disk',
    file: 'raft/node.ts',
    find: 'const to = asIndex(Math.min(node.commitIndex, node.durableIndex));',
    replace: 'const to = node.commitIndex;',
    world: 'core',
  },
  {
    name: 'lost-window',
    fault: 'a window of appends that were all lost is never sent again',
    file: 'raft/replication.ts',
    find: '        progress.movedAt = node.now;\n        sendAppend(node, from, progress, []);',
    replace: '        progress.movedAt = node.now;',
    world: 'core',
  },

  /* ---- snapshots ---- */
  {
    name: 'snapshot-in-flight',
    fault: 'a disk write of the old log counts for the log that a snapshot replaced it with',
    file: 'raft/snapshots.ts',
    find: '    persist.inFlight.through = node.commitIndex;',
    replace: '    persist.inFlight.through = persist.inFlight.through;',
    world: 'core',
  },
  {
    name: 'restore-once',
    fault: 'a restore begins before the log behind it is durable',
    file: 'raft/snapshots.ts',
    find: 'if (restoring === null || !restoring.durable || node.restoreInFlight !== null) return;',
    replace: 'if (restoring === null || node.restoreInFlight !== null) return;',
    world: 'core',
  },

  /* ---- reads ---- */
  {
    name: 'read-noop',
    fault: 'a new leader answers reads before an entry of its own is committed',
    file: 'raft/reads.ts',
    find: 'if (reads.waiting.length === 0 || node.commitIndex < role.noopIndex) return;',
    replace: 'if (reads.waiting.length === 0) return;',
    world: 'core',
  },
  {
    name: 'read-round',
    fault: 'reads are answered without a round',
    file: 'raft/reads.ts',
    find: 'if (confirmedRound(node, role) < reads.current.round) return;',
    replace: '',
    world: 'core',
  },
  {
    name: 'read-round-freshness',
    fault: 'any heartbeat reply, however old, confirms the newest round',
    file: 'raft/replication.ts',
    find: 'if (reply.round > progress.round) progress.round = reply.round;',
    replace: 'progress.round = role.reads.round;',
    world: 'core',
  },
  {
    name: 'read-applied',
    fault: 'a confirmed read runs before its index is applied',
    file: 'raft/reads.ts',
    find: 'if (read.index <= node.appliedIndex) ready.push(...read.ids);',
    replace: 'if (read.index >= 0) ready.push(...read.ids);',
    world: 'core',
  },
  {
    name: 'read-numbers',
    fault: 'a follower’s questions for a read index begin at the same number in every life',
    file: 'raft/node.ts',
    find: 'nextForwardedRead: Math.floor(random.next() * QUESTION_STARTS) * QUESTIONS_PER_LIFE,',
    replace: 'nextForwardedRead: 1,',
    world: 'core',
  },

  /* ---- configurations ---- */
  {
    name: 'configuration-rollback',
    fault: 'a configuration stays in force although its entry was cut off',
    file: 'raft/log.ts',
    find: 'while (this.configurations.length > 1 && this.latestConfiguration().index >= index)\n      this.configurations.pop();',
    replace: '',
    world: 'core',
  },
  {
    name: 'joint-votes',
    fault: 'an election needs only the new half of a joint configuration',
    file: 'raft/configuration.ts',
    find: '  if (configuration.outgoing.length === 0) return first;\n  const second = tallyHalf',
    replace: '  if (first !== undefined) return first;\n  const second = tallyHalf',
    world: 'core',
  },
  {
    name: 'joint-commit',
    fault: 'commitment needs only the new half of a joint configuration',
    file: 'raft/configuration.ts',
    find: 'return Math.min(first, quorumValueHalf(configuration.outgoing, value));',
    replace: 'return first;',
    world: 'core',
  },
];
