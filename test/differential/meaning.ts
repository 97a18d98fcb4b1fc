/** What a dump means, whoever wrote it: the same text for the same value. */
import { isIntact, valueOf } from '../../src/store/rdb/restore.ts';
import { dumpOf } from '../../src/store/rdb/dump.ts';
import { Hash } from '../../src/store/types/hash.ts';
import { MemberSet } from '../../src/store/types/set.ts';
import { Stream } from '../../src/store/types/stream.ts';
import type { Value } from '../../src/store/value.ts';

/** Before all times: fields that have expired count as well. */
const BEGINNING = 0;

export function meaningOf(dump: string): string {
  const bytes = Buffer.from(dump, 'latin1');
  const value = isIntact(bytes) ? valueOf(bytes) : undefined;
  if (value === undefined) return `no dump: ${JSON.stringify(dump)}`;
  return textOf(value);
}

function textOf(value: Value): string {
  // Hash tables have an order of their own.
  if (value instanceof MemberSet || value instanceof Hash) {
    const members: string[] = [];
    if (value instanceof MemberSet) value.visit((name) => void members.push(name));
    else
      value.visit(BEGINNING, ({ name, value: text, expiresAt }) => {
        members.push(JSON.stringify([name, text, expiresAt]));
      });
    return JSON.stringify([value.type, value.encoding, members.sort()]);
  }
  if (value instanceof Stream) return streamText(value);
  return JSON.stringify(dumpOf(value, BEGINNING));
}

/** Times are those of the moment; the number of nodes counts, but not what was deleted from them. */
function streamText(stream: Stream): string {
  const { lastId, maxDeletedId, entriesAdded } = stream;
  const parts: unknown[] = [lastId, maxDeletedId, String(entriesAdded)];
  stream.nodes.visit(0, stream.nodes.size, ({ first, entries }) => {
    if (entries.length > 0) parts.push([first, entries]);
  });
  stream.groups.visit(0, stream.groups.size, (group) => {
    parts.push([group.name, group.lastId, String(group.entriesRead)]);
    group.consumers.visit(0, group.consumers.size, ({ name, pending }) => {
      parts.push(name, ...pending.slice().map(({ id, deliveries }) => [id, String(deliveries)]));
    });
  });
  return JSON.stringify(parts);
}
