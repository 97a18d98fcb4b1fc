/** How entries of streams look in replies. */
import type { ReplyWriter } from '../reply.ts';
import { formatId, type StreamId } from '../types/stream-id.ts';
import type { StreamEntry } from '../types/stream-node.ts';

export function replyId(reply: ReplyWriter, id: StreamId): void {
  reply.bulk(formatId(id));
}

/** The id, and fields and values by turns. */
export function replyEntry(reply: ReplyWriter, { id, fields, values }: StreamEntry): void {
  reply.array(2);
  replyId(reply, id);
  reply.array(2 * fields.length);
  for (let at = 0; at < fields.length; at++) {
    reply.bulk(fields[at] ?? '');
    reply.bulk(values[at] ?? '');
  }
}

export function replyEntries(reply: ReplyWriter, entries: readonly StreamEntry[]): void {
  reply.array(entries.length);
  for (const entry of entries) replyEntry(reply, entry);
}

export function replyIds(reply: ReplyWriter, ids: readonly StreamId[]): void {
  reply.array(ids.length);
  for (const id of ids) replyId(reply, id);
}
