/** What a script shows of a node, and what it can expect of it. */
import { asIndex } from '../../src/raft/types.ts';
import type { Host } from './cluster.ts';
import { entriesWords } from './words.ts';

export function state({ id, node, applied }: Host): string {
  if (node === null) return `${id}  down`;
  const { term, commitIndex, log, role } = node;
  const range = log.lastIndex < log.firstIndex ? 'none' : `${log.firstIndex}..${log.lastIndex}`;
  return `${id}  ${role.name.padEnd(12)} term ${term}  log ${range}  commit ${commitIndex}  applied ${applied}`;
}

/** The entries in memory, or on the disk of a node that is down. */
export function logOf({ node, disk }: Host): string {
  const first = node?.log.firstIndex ?? disk.firstIndex;
  const last = node?.log.lastIndex ?? disk.lastIndex;
  const entries: { index: number; term: number }[] = [];
  for (let index: number = first; index <= last; index += 1) {
    const term = node === null ? disk.termAt(asIndex(index)) : node.log.termAt(asIndex(index));
    entries.push({ index, term: term ?? -1 });
  }
  return entriesWords(entries);
}

export function diskState(host: Host): string {
  const { id, disk } = host;
  const { term, vote, recovering } = disk.hardState;
  const snapshot = disk.snapshot === null ? '' : `  snapshot ${disk.snapshot.index}@${disk.snapshot.term}`;
  return `${id}  term ${term} vote ${vote ?? '-'}  log ${disk.firstIndex}..${disk.lastIndex}  commit ${disk.commit}${snapshot}${recovering ? '  recovering' : ''}`;
}

/** The value of a field of the node, as a script writes it. */
export function fieldOf({ node, applied, reads }: Host, field: string): string {
  const values: Record<string, unknown> = {
    role: node?.role.name ?? 'down',
    term: node?.term,
    vote: node?.vote ?? '-',
    last: node?.log.lastIndex,
    commit: node?.commitIndex,
    applied,
    /** Not answered yet. */
    reads: reads.size,
    recovering: node?.recovering,
  };
  if (!(field in values))
    throw new Error(`there is no ${field}; there are ${Object.keys(values).join(', ')}`);
  return String(values[field]);
}

/** What clients are told of their writes, in the words of the scripts. */
export const OUTCOMES: ReadonlyMap<string, string> = new Map([
  ['open', 'open'],
  ['acknowledged', 'acknowledged'],
  ['unknown', 'unknown'],
  ['turned-away', 'rejected'],
]);

/** Throws unless what is is what was expected. */
export function same(what: string, actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual || 'none'}, expected ${expected || 'none'}`);
}
