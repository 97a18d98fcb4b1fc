/** Intersections, unions and differences of sets. */
import { INTSET_MEMBERS_MAX, MemberSet } from './set.ts';

/** Calls `visit` for what is in all of the sets (at least one), until it answers false. O(the smallest × their number). */
export function intersect(sets: readonly MemberSet[], visit: (name: string) => boolean | void): void {
  const [smallest, ...others] = sets.toSorted((a, b) => a.size - b.size);
  smallest?.visit((name) => {
    if (others.every((other) => other.has(name))) return visit(name);
    return true;
  });
}

/** What is in one of the sets at least. */
export function unionOf(sets: readonly MemberSet[]): MemberSet {
  const [largest, ...others] = sets.toSorted((a, b) => b.size - a.size);
  const union = largest === undefined ? new MemberSet() : copyOf(largest);
  for (const other of others) other.visit((name) => void union.add(name));
  return union;
}

/**
 * What is in the first set and in no other. Redis looks its members up in the others, or takes the members of the others out of a
 * copy, whichever seems to be less work; so do we, because the encoding of the result depends on it.
 */
export function differenceOf(first: MemberSet, others: readonly MemberSet[]): MemberSet {
  const lookUps = Math.floor((first.size * (others.length + 1)) / 2);
  const removals = others.reduce((sum, { size }) => sum + size, first.size);
  if (lookUps > removals) {
    const difference = copyOf(first);
    for (const other of others) other.visit((name) => void difference.delete(name));
    return difference;
  }
  const difference = new MemberSet();
  const largestFirst = others.toSorted((a, b) => b.size - a.size);
  first.visit((name) => {
    if (!largestFirst.some((other) => other.has(name))) difference.add(name);
  });
  return difference;
}

/** A set of its own with the same members, kept as if they had come one by one. */
function copyOf(set: MemberSet): MemberSet {
  if (set.size > INTSET_MEMBERS_MAX) return set.fork();
  const copy = new MemberSet();
  set.visit((name) => void copy.add(name));
  return copy;
}
