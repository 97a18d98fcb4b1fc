/**
 * The guards that the cluster's safety rests on, each with the edit that takes it away. A test suite that does not
 * notice the loss of a guard would not notice its absence either: `npm run test:mutation` removes one after the other
 * and lets the simulator look for the harm.
 *
 * Two guards of the core are not here, because no harm comes of their absence in a cluster whose nodes keep all the
 * others; unit tests hold them. That a promise of an earlier term is not sent any more: had a quorum given such promises,
 * the later leader would have their entries, so none would be gone. And that a follower commits no further than an append
 * compared: conflict hints name the very end of what can agree, so no append ends before a tail that differs.
 *
 * Nor are two of the store and of those who wait, which unit tests hold as well: that the store's time never runs back, since
 * no leader proposes an earlier one; and that a client that was away for one key is told of another, since it takes three
 * clients and four moments for anybody to wait in vain for that.
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
    name: 'heartbeat-commit',
    fault: 'heartbeats carry a commit index beyond what the receiver is known to have',
    file: 'raft/replication.ts',
    find: 'const commit = match < node.commitIndex ? match : node.commitIndex;',
    replace: 'const commit = node.commitIndex;',
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
  {
    name: 'change-noop',
    fault: 'a leader changes the voters before it has committed an entry of its own',
    file: 'raft/membership.ts',
    find: 'if (commitIndex < role.noopIndex)\n    return reject(',
    replace: 'if (commitIndex < 0)\n    return reject(',
    world: 'core',
  },
  {
    name: 'change-one-at-a-time',
    fault: 'a second change of the voters begins before the first is committed',
    file: 'raft/membership.ts',
    find: 'if (log.configurationIndex > commitIndex) {',
    replace: 'if (log.configurationIndex < 0) {',
    world: 'core',
  },
  {
    name: 'joint-consensus',
    fault: 'the voters change in one step, with only the new majority deciding',
    file: 'raft/membership.ts',
    find: '    outgoing: voters,\n    learners: learners.filter',
    replace: '    outgoing: [],\n    learners: learners.filter',
    world: 'core',
  },
  {
    name: 'joint-committed',
    fault: 'the last configuration of a change is appended before the joint one is committed',
    file: 'raft/membership.ts',
    find: '  if (log.configurationIndex > commitIndex) return;\n',
    replace: '',
    world: 'core',
  },
  {
    name: 'removed-campaigns',
    fault: 'a node campaigns although it is no voter',
    file: 'raft/election.ts',
    find: 'return log.configurationsFrom(commitIndex).some(({ configuration }) => isVoter(configuration, id));',
    replace:
      'return log.configuration.voters.length > 0 || isVoter(log.configuration, id) || commitIndex < 0;',
    world: 'core',
  },
  {
    name: 'impostor',
    fault: 'a wiped directory takes part under the id that it had',
    file: 'raft/configuration.ts',
    find: "return member.incarnation === incarnation ? 'member' : 'impostor';",
    replace: "return member.incarnation === '' ? 'impostor' : 'member';",
    world: 'core',
  },

  /* ---- nodes whose log may lack something ---- */
  {
    name: 'recovering-votes',
    fault: 'a recovering node gives its vote',
    file: 'raft/election.ts',
    find: '    free &&\n    !node.recovering &&',
    replace: '    free &&',
    world: 'core',
  },
  {
    name: 'recovering-campaigns',
    fault: 'a recovering node campaigns',
    file: 'raft/election.ts',
    find: 'if (recovering) return false;',
    replace: 'if (recovering && commitIndex < 0) return false;',
    world: 'core',
  },
  {
    name: 'recovered-too-early',
    fault: 'a node takes itself for recovered before it has what the leader named',
    file: 'raft/recovery.ts',
    find: 'if (Math.min(recovery.matched, node.durableIndex) < recovery.through) return;',
    replace: '',
    world: 'core',
  },
  {
    name: 'loss-noticed',
    fault: 'a node that lost entries it had acknowledged does not notice',
    file: 'raft/recovery.ts',
    find: 'if (match < log.firstIndex || log.termAt(match) === matchTerm) return false;',
    replace: 'if (match >= 0) return false;',
    world: 'core',
  },

  /* ---- the log on disk ---- */
  {
    name: 'log-sync',
    fault: 'an append is reported as durable without a sync',
    file: 'wal/wal.ts',
    find: "    if (this.#fsync === 'always') await tail.file.sync();\n",
    replace: '',
    world: 'node',
  },
  {
    name: 'vote-sync',
    fault: 'term and vote are reported as durable without a sync',
    file: 'wal/hard-state.ts',
    find: '      await file.write([page], 0);\n      await file.sync();',
    replace: '      await file.write([page], 0);',
    world: 'node',
  },
  {
    name: 'record-checksum',
    fault: 'a record is taken for sound whatever its checksum says',
    file: 'wal/record.ts',
    find: 'if (crc32(buffer.subarray(at + 4, end), crcStart(sequence, base + at)) !== crc) return null;',
    replace: '',
    world: 'node',
  },
  {
    name: 'page-checksum',
    fault: 'a page of term and vote is taken for sound whatever its checksum says',
    file: 'wal/page.ts',
    find: "if (checksum(page, length) !== page.readUInt32LE(16)) return { state: 'bad', why: 'its checksum is wrong' };",
    replace: '',
    world: 'node',
  },
  {
    name: 'segment-name',
    fault: 'a new segment is used before its name is durable',
    file: 'wal/wal.ts',
    find: '    await this.#storage.syncDirectory(this.#directory);\n    if (base === null) {',
    replace: '    if (base === null) {',
    world: 'node',
  },
  {
    name: 'lost-end',
    fault: 'a durable end of the log that is damaged is taken for a torn write',
    file: 'wal/recovery.ts',
    find: "    verdict: 'recover',",
    replace: "    verdict: 'truncate',",
    world: 'node',
  },
  {
    name: 'sealed-segment',
    fault: 'damage in a complete segment is taken for a torn write',
    file: 'wal/recovery.ts',
    find: "    when: { sealed: true },\n    verdict: 'refuse',",
    replace: "    when: { sealed: true },\n    verdict: 'truncate',",
    world: 'node',
  },
  {
    name: 'later-batch',
    fault: 'damage before a sound batch is taken for a torn write',
    file: 'wal/recovery.ts',
    find: "    when: { laterBatchProves: true },\n    verdict: 'refuse',",
    replace: "    when: { laterBatchProves: true },\n    verdict: 'truncate',",
    world: 'node',
  },
  {
    name: 'snapshot-sync',
    fault: 'a snapshot gets its name before its content is durable',
    file: 'wal/snapshots.ts',
    find: '      await file.sync();\n      await file.close();\n      await this.#storage.rename(',
    replace: '      await file.close();\n      await this.#storage.rename(',
    world: 'node',
  },
  {
    name: 'snapshot-name',
    fault: 'a snapshot is relied on before its name is durable',
    file: 'wal/snapshots.ts',
    find: "      await this.#storage.syncDirectory(this.#directory);\n    } catch (error) {\n      throw ioError('publish'",
    replace: "    } catch (error) {\n      throw ioError('publish'",
    world: 'node',
  },
  {
    name: 'snapshot-checksum',
    fault: 'a snapshot is taken for sound whatever its checksum says',
    file: 'wal/snapshot-file.ts',
    find: "if (found !== digest) throw damaged(path, 0, 'the content does not match its checksum');",
    replace: '',
    world: 'node',
  },
  {
    name: 'transfer-checksum',
    fault: 'a fetched snapshot is taken whatever its checksum says',
    file: 'wal/snapshots.ts',
    find: "offset === meta.bytes && checksum === meta.checksum ? await this.#mismatch() : 'checksum or length';",
    replace:
      "offset === meta.bytes || checksum === meta.checksum ? await this.#mismatch() : 'checksum or length';",
    world: 'node',
  },

  /* ---- the node around the core ---- */
  {
    name: 'reply-after-disk',
    fault: 'promises leave when a disk write begins',
    file: 'server/driver.ts',
    find: '    this.#diskBusy = true;',
    replace:
      '    this.#diskBusy = true;\n    for (const { to, message } of work.replies) this.#peers.send(to, message);',
    world: 'node',
  },
  {
    name: 'unknown-outcome',
    fault: 'a write with an unknown outcome is reported as not done',
    file: 'server/requests.ts',
    find: 'if (isWrite(request)) tellUnknown(request.client);',
    replace: 'if (isWrite(request)) refuse(request);',
    world: 'node',
  },
  {
    name: 'expired-stays-gone',
    fault: 'a node’s own clock alone decides that a key has expired, and the next node finds it again',
    file: 'server/requests.ts',
    find: 'for (const key of keysRead(request)) time = Math.min(time, this.#store.deadlineOf(key) - 1);',
    replace: '',
    world: 'node',
  },
  {
    name: 'once',
    fault: 'a write that is sent again under the same number runs again',
    file: 'store/once.ts',
    find: 'if (sequence === last + 1) return RUN;',
    replace: 'if (sequence > 0) return RUN;',
    world: 'node',
  },

  /* ---- the store: the same on every node ---- */
  {
    name: 'lot-from-the-log',
    fault: 'SPOP draws from the node’s own chance',
    file: 'store/commands/sets.ts',
    find: 'names = entry.value.take(wanted, () => context.random());',
    replace: 'names = entry.value.take(wanted, () => Math.random());',
    world: 'node',
  },
  {
    name: 'lot-of-the-entry',
    fault: 'what a write draws depends on how much was read from the node before',
    file: 'store/store.ts',
    find: 'this.#writes.seed(this.#entry, this.#ordinal++);',
    replace: 'this.#writes.seed(this.#entry, this.#readCount);',
    world: 'node',
  },
  {
    name: 'lot-of-kept-replies',
    fault: 'a read whose reply is kept draws what each node’s own reads do',
    file: 'store/store.ts',
    find: '    if (this.#everywhere) this.#reads.seed(this.#entry, this.#ordinal++);\n    else this.#reads',
    replace: '    this.#reads',
    world: 'node',
  },
  {
    name: 'field-deadline-by-the-log',
    fault: 'the deadline of a hash’s field is counted from the node’s own clock',
    file: 'store/commands/hash-expiry.ts',
    find: '    const deadline = parseDeadline(time, unit, context.now, command);',
    replace: '    const deadline = parseDeadline(time, unit, Date.now(), command);',
    world: 'node',
  },
  {
    name: 'snapshot-field-deadline',
    fault: 'snapshots forget the deadlines of fields of hashes',
    file: 'store/types/hash.ts',
    find: '      writer.varint(expiresAt ?? 0);',
    replace: '      writer.varint(0);',
    world: 'node',
  },
  {
    name: 'snapshot-stream-counter',
    fault: 'snapshots forget how many entries a group of a stream has read',
    file: 'store/types/stream-codec.ts',
    find: '    writer.string(String(group.entriesRead));',
    replace: "    writer.string('0');",
    world: 'node',
  },
  {
    name: 'snapshot-removals',
    fault: 'snapshots forget which removals there were, which tells watched keys apart',
    file: 'store/snapshot.ts',
    find: 'const removals = removalPieces(keyspace);',
    replace: 'const removals: string[] = [];',
    world: 'node',
  },
  {
    name: 'snapshot-settings',
    fault: 'snapshots forget the settings',
    file: 'store/snapshot.ts',
    find: "const texts = meta.records().flatMap((body) => recordOf('text', body));",
    replace: "const texts = meta.records().flatMap((body) => recordOf('text', body)).slice(0, 0);",
    world: 'node',
  },
  {
    name: 'eviction-in-the-log',
    fault: 'the leader evicts keys of which the log says nothing',
    file: 'server/requests.ts',
    find: '      if (batch.evicted.length > 0) this.#encoder.addEvict(batch.evicted);\n',
    replace: '',
    world: 'node',
  },
  {
    name: 'eviction-order',
    fault: 'followers evict after the commands of an entry, the leader before them',
    file: 'store/store.ts',
    find: '    for (const run of runs) {\n',
    replace:
      "    for (const run of runs.toSorted((a, b) => Number(a.kind === 'evict') - Number(b.kind === 'evict'))) {\n",
    world: 'node',
  },

  /* ---- clients that wait ---- */
  {
    name: 'waiting-without-leader',
    fault: 'clients go on waiting on a node that leads no more',
    file: 'server/requests.ts',
    find: '    this.#blocked.leadershipLost();\n',
    replace: '',
    world: 'node',
  },
  {
    name: 'waiting-gone',
    fault: 'a client that has gone while it waited gets what comes',
    file: 'server/blocked.ts',
    find: "    if (ending.kind === 'timeout') this.#client.reply.nullArray();",
    replace:
      "    if (ending.kind === 'gone') return;\n    if (ending.kind === 'timeout') this.#client.reply.nullArray();",
    world: 'node',
  },
];
