/**
 * How many nodes Redis's radix tree has for certain keys. Streams are no radix trees here, but XINFO STREAM tells the number.
 *
 * A node is a fork, where at least two keys part; or the characters between two forks, or between the last fork of a key
 * and its end; or the end of a key.
 */

/** `keys` are in order, distinct and of one length. O(n). */
export function radixNodes(keys: readonly string[]): number {
  // An empty tree is its root.
  if (keys.length === 0) return 1;
  // The depths of the forks on the way to the key before, each below the other.
  const forks: number[] = [];
  const length = keys[0]?.length ?? 0;
  // What is counted before the depth at which a key leaves the others: nothing twice.
  let nodes = 0;
  /** The nodes between a fork, or the root at -1, and the next one below it, or the end of the key. */
  const between = (above: number, below: number): number => (below > above + 1 ? 1 : 0);
  for (let at = 1; at <= keys.length; at++) {
    // The last key leaves all forks.
    const shared = at < keys.length ? sharedCharacters(keys[at - 1] ?? '', keys[at] ?? '') : -1;
    let below = length;
    // The end of the key before.
    nodes++;
    while (forks.length > 0 && (forks.at(-1) as number) > shared) {
      const fork = forks.pop() as number;
      nodes += between(fork, below);
      // The fork itself is counted when the last key leaves it.
      nodes++;
      below = fork;
    }
    if (shared === -1) nodes += between(-1, below);
    else {
      // Down to a fork that stays, or that begins here.
      nodes += between(shared, below);
      if (forks.at(-1) !== shared) forks.push(shared);
    }
  }
  return nodes;
}

function sharedCharacters(one: string, other: string): number {
  let count = 0;
  while (count < one.length && one.charCodeAt(count) === other.charCodeAt(count)) count++;
  return count;
}
