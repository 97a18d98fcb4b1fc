/**
 * How far a group has read, in numbers: Redis counts what a group read of all entries that were ever added, and guesses the
 * number anew where deletions made it doubtful.
 */
import { addWrapping, type Integer, negateInteger } from '../integer.ts';
import type { Stream } from './stream.ts';
import { type StreamGroup, UNKNOWN_READS } from './stream-group.ts';
import { type StreamId, ZERO_ID } from './stream-id.ts';

function difference(left: Integer, right: Integer): Integer {
  return addWrapping(left, negateInteger(right) ?? right);
}

/** Whether XDEL may have taken an entry out at `from` or behind it, and not before the first that is left. */
export function hasGapFrom(stream: Stream, from: StreamId): boolean {
  const { maxDeletedId } = stream;
  if (stream.size === 0 || maxDeletedId === ZERO_ID || stream.firstId > maxDeletedId) return false;
  return from <= maxDeletedId;
}

/** How many entries were ever added up to the one with that id; undefined where that can't be told. */
export function readsUpTo(stream: Stream, id: StreamId): Integer | undefined {
  const { entriesAdded, lastId, maxDeletedId, size } = stream;
  if (entriesAdded === 0) return 0;
  if (size === 0 && id <= lastId) return entriesAdded;
  if (id === lastId) return entriesAdded;
  if (id > lastId) return undefined;
  const { firstId } = stream;
  if (maxDeletedId !== ZERO_ID && maxDeletedId >= firstId) return undefined;
  if (id < firstId) return difference(entriesAdded, size);
  return id === firstId ? addWrapping(difference(entriesAdded, size), 1) : undefined;
}

/** The group has just been given the next entry of the stream, with that id. */
export function noteRead(stream: Stream, group: StreamGroup, id: StreamId): void {
  if (group.entriesRead !== UNKNOWN_READS && !hasGapFrom(stream, id))
    group.entriesRead = addWrapping(group.entriesRead, 1);
  else if (stream.entriesAdded !== 0) group.entriesRead = readsUpTo(stream, id) ?? UNKNOWN_READS;
}

/** How many entries the group has still to be given; null where that can't be told. */
export function lagOf(stream: Stream, group: StreamGroup): Integer | null {
  const { entriesAdded } = stream;
  if (entriesAdded === 0) return 0;
  const read =
    group.entriesRead !== UNKNOWN_READS && !hasGapFrom(stream, group.lastId)
      ? group.entriesRead
      : readsUpTo(stream, group.lastId);
  return read === undefined ? null : difference(entriesAdded, read);
}
