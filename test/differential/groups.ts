/** All groups. A new one is a file of `groups/` that exports `group`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Comparison } from './compare.ts';
import type { Group } from './group.ts';

const FOLDER = join(import.meta.dirname, 'groups');

/** By their names. */
export async function loadGroups(): Promise<ReadonlyMap<string, Group>> {
  const groups = new Map<string, Group>();
  for (const file of readdirSync(FOLDER).sort()) {
    const { group } = (await import(join(FOLDER, file))) as { group: Group };
    groups.set(group.name, group);
  }
  return groups;
}

/** How the replies to a command are compared, if not byte by byte. */
export function comparisonOf(groups: Iterable<Group>, args: readonly string[]): Comparison | undefined {
  const name = (args[0] ?? '').toLowerCase();
  const full = `${name}|${(args[1] ?? '').toLowerCase()}`;
  for (const { compare = {} } of groups) {
    for (const key of [full, name]) if (Object.hasOwn(compare, key)) return compare[key];
  }
  return undefined;
}
