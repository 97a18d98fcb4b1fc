/** Replication (thesis 3.5 and 10.2): appends with flow control, conflict back-up by whole terms, commitment. */
import { quorumValue } from './configuration.ts';
import { conflictHint, entryBytes } from './log.ts';
import { BYTES_PER_MS_MIN, type Leader, type Node, type Progress, send, sendWhenDurable } from './state.ts';
import {
  type Append,
  type AppendReply,
  asIndex,
  asTerm,
  type Entry,
  type EntryType,
  type HeartbeatReply,
  type Index,
  invariant,
  type NodeId,
  type Term,
} from './types.ts';

/** A snapshot offer that stays unanswered is repeated after this many heartbeats. */
const SNAPSHOT_RESEND_HEARTBEATS = 10;

/* ---- the leader's side ---------------------------------------------------------------------------------------- */

/** Appends an entry of this leader's own. The caller sends it. */
export function appendOwn(node: Node, type: EntryType, payload: Uint8Array): Entry {
  const entry: Entry = { index: asIndex(node.log.lastIndex + 1), term: node.term, type, payload };
  node.log.append(entry);
  return entry;
}

export function broadcastAppends(node: Node, role: Leader): void {
  for (const [id, progress] of role.progress) sendAppends(node, id, progress);
}

export function broadcastHeartbeats(node: Node, role: Leader): void {
  role.heartbeatAt = node.now + node.options.heartbeatMs;
  const { round } = role.reads;
  for (const [id, progress] of role.progress) {
    // Behind the compacted part of the log the term is not known any more: such a member is on its way to a snapshot.
    const matchTerm = node.log.termAt(progress.match) ?? asTerm(0);
    const match = matchTerm === 0 ? asIndex(0) : progress.match;
    const commit = match < node.commitIndex ? match : node.commitIndex;
    send(node, id, { type: 'heartbeat', term: node.term, commit, match, matchTerm, round });
  }
}

/** Sends what the member's state and window allow. */
export function sendAppends(node: Node, to: NodeId, progress: Progress): void {
  for (;;) {
    const { state } = progress;
    if (state.name === 'snapshot' || progress.reading !== null) return;
    // Before the window is looked at: a full window whose appends were lost must not hide that the log has moved on.
    if (progress.next <= node.log.compacted.index) {
      offerSnapshot(node, to, progress);
      return;
    }
    if (state.name === 'probe' && state.waiting) return;
    if (state.name === 'replicate' && (progress.next > node.log.lastIndex || isWindowFull(node, state)))
      return;
    if (progress.next <= node.log.lastIndex && progress.next < node.log.cacheFirst) {
      readForPeer(node, progress);
      return;
    }
    sendAppend(
      node,
      to,
      progress,
      node.log.slice(progress.next, node.log.lastIndex, node.limits.appendBytes),
    );
  }
}

/** One append from `progress.next` on; `entries` may be empty. */
function sendAppend(node: Node, to: NodeId, progress: Progress, entries: readonly Entry[]): void {
  const prevIndex = asIndex(progress.next - 1);
  const prevTerm = node.log.termAt(prevIndex);
  invariant(
    prevTerm !== null,
    () => `no term is known at ${prevIndex}, log kept from ${node.log.firstIndex}`,
  );
  send(node, to, { type: 'append', term: node.term, prevIndex, prevTerm, entries, commit: node.commitIndex });
  const last = entries.at(-1);
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  if (progress.state.name === 'probe') {
    progress.state.waiting = true;
    progress.state.retryAt = node.now + bytes / BYTES_PER_MS_MIN;
  } else if (progress.state.name === 'replicate' && last !== undefined) {
    if (progress.state.inFlight.length === 0) progress.movedAt = node.now;
    progress.state.inFlight.push({ last: last.index, bytes });
    progress.state.bytes += bytes;
    progress.next = asIndex(last.index + 1);
  }
}

function isWindowFull(
  node: Node,
  state: { readonly inFlight: readonly unknown[]; readonly bytes: number },
): boolean {
  return state.inFlight.length >= node.limits.windowMessages || state.bytes >= node.limits.windowBytes;
}

function readForPeer(node: Node, progress: Progress): void {
  const to = asIndex(Math.min(node.log.lastIndex, node.log.cacheFirst - 1));
  progress.reading = node.nextReadLogId++;
  node.effects.push({
    type: 'readLog',
    id: progress.reading,
    from: progress.next,
    to,
    maxBytes: node.limits.appendBytes,
  });
}

/** Entries from disk for a member that is behind the cache. Gone or no longer wanted: look again what to send. */
export function onLogReadForPeer(node: Node, role: Leader, id: number, entries: readonly Entry[]): void {
  for (const [to, progress] of role.progress) {
    if (progress.reading !== id) continue;
    progress.reading = null;
    const wanted = entries[0]?.index === progress.next && progress.next > node.log.compacted.index;
    const { state } = progress;
    const free =
      (state.name === 'probe' && !state.waiting) ||
      (state.name === 'replicate' && !isWindowFull(node, state));
    if (wanted && free) sendAppend(node, to, progress, entries);
    sendAppends(node, to, progress);
    return;
  }
}

function offerSnapshot(node: Node, to: NodeId, progress: Progress): void {
  const { snapshot } = node.log;
  invariant(snapshot !== null, () => `the log begins at ${node.log.firstIndex} but there is no snapshot`);
  const resendAt = node.now + SNAPSHOT_RESEND_HEARTBEATS * node.options.heartbeatMs;
  progress.state = { name: 'snapshot', index: snapshot.index, resendAt };
  send(node, to, { type: 'installSnapshot', term: node.term, snapshot });
}

/** The member will not get the snapshot offered, or already has it: find out where it stands. */
export function becomeProbe(progress: Progress, next: Index): void {
  progress.next = next;
  progress.state = { name: 'probe', waiting: false, retryAt: 0 };
}

export function onAppendReply(node: Node, role: Leader, from: NodeId, reply: AppendReply): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastContact = node.now;
  const { result } = reply;
  if (result.ok) acknowledge(node, role, from, progress, result.match);
  else onRejection(node, progress, result.rejected, result.hintIndex, result.hintTerm);
  sendAppends(node, from, progress);
}

/** `match` is durable at the member. */
export function acknowledge(node: Node, role: Leader, from: NodeId, progress: Progress, match: Index): void {
  invariant(
    match <= node.log.lastIndex,
    () =>
      `${from} holds entries up to ${match}, but this leader's log ends at ${node.log.lastIndex}: acknowledged writes are ` +
      'missing from a majority. Was the data directory of a member emptied or put back from an old copy? Keep the ' +
      `directory of ${from}: it has the writes`,
  );
  const { state } = progress;
  if (match > progress.match) {
    progress.match = match;
    progress.movedAt = node.now;
  }
  if (progress.next <= match) progress.next = asIndex(match + 1);
  switch (state.name) {
    case 'probe':
      progress.next = asIndex(progress.match + 1);
      progress.state = { name: 'replicate', inFlight: [], bytes: 0 };
      break;
    case 'snapshot':
      if (progress.match >= node.log.compacted.index) becomeProbe(progress, asIndex(progress.match + 1));
      break;
    case 'replicate':
      while (state.inFlight[0] !== undefined && state.inFlight[0].last <= match) {
        state.bytes -= state.inFlight[0].bytes;
        state.inFlight.shift();
      }
      break;
  }
  advanceCommit(node, role);
}

/**
 * The member does not hold the entry before the ones sent. Its hint only says where to look next, never what it has
 * (RAFT scenario 17); an answer to an older append is told by `rejected` and ignored.
 */
function onRejection(
  node: Node,
  progress: Progress,
  rejected: Index,
  hintIndex: Index,
  hintTerm: Term,
): void {
  const { state } = progress;
  if (rejected <= progress.match || state.name === 'snapshot') return;
  if (state.name === 'probe' && rejected !== progress.next - 1) return;
  const agreed = node.log.lastIndexOfTermAtMost(hintIndex, hintTerm);
  const next = Math.max(progress.match, Math.min(agreed, rejected - 1)) + 1;
  becomeProbe(progress, asIndex(next));
}

export function onHeartbeatReply(node: Node, role: Leader, from: NodeId, reply: HeartbeatReply): void {
  const progress = role.progress.get(from);
  if (progress === undefined) return;
  progress.lastContact = node.now;
  progress.recovering = reply.recovering;
  if (reply.round > progress.round) progress.round = reply.round;
  const { state } = progress;
  switch (state.name) {
    case 'probe':
      // The probe or its answer may be lost; a second one does no harm, unless it is large and the first under way.
      if (node.now >= state.retryAt) state.waiting = false;
      break;
    case 'snapshot':
      if (node.now >= state.resendAt) offerSnapshot(node, from, progress);
      break;
    case 'replicate':
      // Sent, alive, and yet nothing moves: an empty append finds out what was lost.
      if (
        state.inFlight.length > 0 &&
        node.now - progress.movedAt >= node.options.heartbeatMs + state.bytes / BYTES_PER_MS_MIN &&
        progress.next > node.log.compacted.index
      ) {
        progress.movedAt = node.now;
        sendAppend(node, from, progress, []);
      }
      break;
  }
  sendAppends(node, from, progress);
}

/** The transport dropped a message: whatever was sent ahead may be gone. */
export function onUnreachable(role: Leader, peer: NodeId): void {
  const progress = role.progress.get(peer);
  if (progress === undefined || progress.state.name === 'snapshot') return;
  // Not sent on at once: the next heartbeat reply shows that the member is there again.
  if (progress.state.name === 'replicate') progress.next = asIndex(progress.match + 1);
  progress.state = { name: 'probe', waiting: true, retryAt: 0 };
}

/** Commits what a quorum has on disk, if it is of this term (thesis 3.6.2); the leader counts its own disk only. */
export function advanceCommit(node: Node, role: Leader): void {
  const index = asIndex(
    quorumValue(node.log.configuration, (id) =>
      id === node.id ? node.durableIndex : (role.progress.get(id)?.match ?? 0),
    ),
  );
  if (index <= node.commitIndex || index < role.noopIndex) return;
  for (let at = Math.max(node.commitIndex, role.noopIndex) + 1; at <= index; at += 1) {
    role.uncommittedBytes -= entryBytes(node.log.cached(asIndex(at)));
  }
  node.commitIndex = index;
}

/* ---- the follower's side -------------------------------------------------------------------------------------- */

/** Appends from the leader of this term. */
export function onAppend(node: Node, from: NodeId, append: Append): void {
  const { log } = node;
  if (append.prevIndex < node.commitIndex) {
    const lastSent = append.prevIndex + append.entries.length;
    if (lastSent <= node.commitIndex) {
      // Late or repeated: it is committed here, so the leader has it, too (leader completeness).
      acceptUpTo(node, from, node.commitIndex);
      return;
    }
  } else if (log.termAt(append.prevIndex) !== append.prevTerm) {
    const hint = conflictHint(log, append.prevIndex, append.prevTerm);
    send(node, from, {
      type: 'appendReply',
      term: node.term,
      result: { ok: false, rejected: append.prevIndex, hintIndex: hint.index, hintTerm: hint.term },
    });
    return;
  }
  for (const entry of append.entries) {
    // Only a real conflict cuts the log: a stale, shorter append must not take acknowledged entries away.
    if (entry.index <= node.commitIndex || log.termAt(entry.index) === entry.term) continue;
    if (entry.index <= log.lastIndex) truncate(node, entry.index);
    log.append(entry);
  }
  const match = asIndex(append.prevIndex + append.entries.length);
  commitTo(node, append.commit < match ? append.commit : match);
  acceptUpTo(node, from, match);
}

/** The log equals the leader's up to `match`, which is said when it is durable. */
function acceptUpTo(node: Node, from: NodeId, match: Index): void {
  if (node.recovery !== null && match > node.recovery.matched) node.recovery.matched = match;
  sendWhenDurable(node, from, { type: 'appendReply', term: node.term, result: { ok: true, match } });
}

/** Removes a tail that another leader wrote. What was handed to the disk from there on no longer counts. */
function truncate(node: Node, from: Index): void {
  invariant(
    from > node.commitIndex,
    () => `truncation at ${from} would remove entries committed up to ${node.commitIndex}`,
  );
  node.log.truncateFrom(from);
  const last = asIndex(from - 1);
  const { persist } = node;
  if (persist.unsavedFrom > from) persist.unsavedFrom = from;
  if (persist.inFlight !== null && persist.inFlight.through > last) persist.inFlight.through = last;
  if (node.durableIndex > last) node.durableIndex = last;
}

export function commitTo(node: Node, index: Index): void {
  if (index <= node.commitIndex) return;
  invariant(
    index <= node.log.lastIndex,
    () => `commit of ${index} beyond the last entry ${node.log.lastIndex}`,
  );
  node.commitIndex = index;
}
