/**
 * Linearizable reads without log entries (ReadIndex, thesis 6.4): the leader notes its commit index, proves with a
 * round of heartbeats that it still leads, and the read may run once that index is applied. One round is under way at
 * a time; every read that arrived before it started shares it, everything later waits for the next.
 *
 * A round's number is confirmed by any heartbeat reply that carries it or a later one: the reply was sent after the
 * round began, so the replier had seen no newer leader by then.
 */
import { quorumValue } from './configuration.ts';
import { broadcastHeartbeats } from './replication.ts';
import { type ConfirmedRead, type Leader, type Node, type PendingRead, send } from './state.ts';
import type { Index, NodeId, ReadIndexReply, Rejection } from './types.ts';

export function onRead(node: Node, id: number): void {
  const { role } = node;
  if (role.name === 'leader') {
    enqueue(node, role, { id, from: null });
  } else if (node.leader === null || node.forwardedReads.size >= node.limits.waitingReads) {
    node.effects.push({ type: 'readFailed', ids: [id], reason: node.leader === null ? 'notLeader' : 'busy' });
  } else {
    const number = node.nextForwardedRead++;
    node.forwardedReads.set(number, { id, deadline: node.now + node.options.electionMs });
    send(node, node.leader, { type: 'readIndexRequest', term: node.term, id: number });
  }
}

export function onReadIndexRequest(node: Node, from: NodeId, id: number): void {
  if (node.role.name === 'leader') enqueue(node, node.role, { id, from });
  else send(node, from, { type: 'readIndexReply', term: node.term, id, index: null });
}

export function onReadIndexReply(node: Node, reply: ReadIndexReply): void {
  const read = node.forwardedReads.get(reply.id);
  if (read === undefined) return;
  node.forwardedReads.delete(reply.id);
  if (reply.index === null) node.effects.push({ type: 'readFailed', ids: [read.id], reason: 'notLeader' });
  else confirm(node, reply.index, [read.id], node.now + node.options.electionMs);
}

/** A follower whose leader changed can't wait for the old one's answer. The numbers are never used again. */
export function failForwardedReads(node: Node): void {
  if (node.forwardedReads.size === 0) return;
  node.effects.push({
    type: 'readFailed',
    ids: [...node.forwardedReads.values()].map(({ id }) => id),
    reason: 'notLeader',
  });
  node.forwardedReads.clear();
}

/**
 * The request or its answer was lost, or the log does not come this far: a node that was removed would wait for ever, and
 * one that is far behind is the wrong one to ask.
 */
export function expireForwardedReads(node: Node): void {
  for (const [number, { id, deadline }] of node.forwardedReads) {
    if (deadline > node.now) break;
    node.forwardedReads.delete(number);
    node.effects.push({ type: 'readFailed', ids: [id], reason: 'notLeader' });
  }
  if (node.confirmedReads.every(({ deadline }) => deadline > node.now)) return;
  for (const { ids, deadline } of node.confirmedReads)
    if (deadline <= node.now) node.effects.push({ type: 'readFailed', ids, reason: 'notLeader' });
  node.confirmedReads = node.confirmedReads.filter(({ deadline }) => deadline > node.now);
}

/** Leadership is over: none of these reads can be proved current any more. */
export function failReads(node: Node, role: Leader): void {
  const { current, waiting } = role.reads;
  for (const read of [...(current?.reads ?? []), ...waiting]) answerFailure(node, read, 'notLeader');
}

function enqueue(node: Node, role: Leader, read: PendingRead): void {
  if (role.reads.waiting.length >= node.limits.waitingReads) answerFailure(node, read, 'busy');
  else role.reads.waiting.push(read);
}

function answerFailure(node: Node, read: PendingRead, reason: Rejection): void {
  if (read.from === null) node.effects.push({ type: 'readFailed', ids: [read.id], reason });
  else send(node, read.from, { type: 'readIndexReply', term: node.term, id: read.id, index: null });
}

/**
 * Finishes the round under way if a quorum confirmed it and starts the next if reads wait. Before this term's first
 * entry is committed the commit index may be behind what an earlier leader acknowledged: reads wait.
 */
export function advanceReads(node: Node, role: Leader): void {
  const { reads } = role;
  for (;;) {
    if (reads.current !== null) {
      if (confirmedRound(node, role) < reads.current.round) return;
      finish(node, reads.current.index, reads.current.reads);
      reads.current = null;
    }
    if (reads.waiting.length === 0 || node.commitIndex < role.noopIndex) return;
    reads.round += 1;
    reads.current = { round: reads.round, index: node.commitIndex, reads: reads.waiting };
    reads.waiting = [];
    broadcastHeartbeats(node, role);
  }
}

function confirmedRound(node: Node, role: Leader): number {
  return quorumValue(node.log.configuration, (id) =>
    id === node.id ? role.reads.round : (role.progress.get(id)?.round ?? 0),
  );
}

function finish(node: Node, index: Index, reads: readonly PendingRead[]): void {
  const own: number[] = [];
  for (const { id, from } of reads) {
    if (from === null) own.push(id);
    else send(node, from, { type: 'readIndexReply', term: node.term, id, index });
  }
  // What this node has committed it only waits to have on its own disk.
  if (own.length > 0) confirm(node, index, own, Number.POSITIVE_INFINITY);
}

function confirm(node: Node, index: Index, ids: number[], deadline: number): void {
  node.confirmedReads.push({ index, ids, deadline });
}

/** Hands out reads whose index is applied. The list is short: it only holds rounds that outran the disk. */
export function releaseReads(node: Node): void {
  if (node.confirmedReads.length === 0 || node.restoring !== null) return;
  const ready: number[] = [];
  const waiting: ConfirmedRead[] = [];
  for (const read of node.confirmedReads) {
    if (read.index <= node.appliedIndex) ready.push(...read.ids);
    else waiting.push(read);
  }
  node.confirmedReads = waiting;
  if (ready.length > 0) node.effects.push({ type: 'readReady', ids: ready });
}
