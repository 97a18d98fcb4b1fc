/**
 * A command that waits for several keys, run again for the one that has something now: as in Redis, the client gets from
 * that key, whatever the keys before it hold by then. The arguments have been run before: they are well-formed.
 */

/** The arguments for `key` alone, which is one of those that the command waits for. */
export function forOneKey(args: readonly string[], key: string): readonly string[] {
  const [name = '', second = ''] = args;
  switch (name.toLowerCase()) {
    case 'blpop':
    case 'brpop':
    case 'bzpopmin':
    case 'bzpopmax':
      return [name, key, args.at(-1) ?? ''];
    case 'blmpop':
    case 'bzmpop':
      return [name, second, '1', key, ...args.slice(3 + Number(args[2]))];
    case 'xread':
    case 'xreadgroup': {
      const { first } = streamsOf(args);
      const count = (args.length - first) / 2;
      const at = args.indexOf(key, first);
      return [...args.slice(0, first), key, args[at + count] ?? ''];
    }
    default:
      return args;
  }
}

/** Whether the command, as it was sent, may wait: XREAD and XREADGROUP do where BLOCK says so. */
export function mayWait({ flags }: { readonly flags: readonly string[] }, args: readonly string[]): boolean {
  if (!flags.includes('blocking')) return false;
  const name = (args[0] ?? '').toLowerCase();
  return (name !== 'xread' && name !== 'xreadgroup') || streamsOf(args).blocks;
}

/** The group that an XREADGROUP reads for; `null` for any other command. */
export function groupOf(args: readonly string[]): string | null {
  return (args[0] ?? '').toLowerCase() === 'xreadgroup' ? streamsOf(args).group : null;
}

/** What stands before the streams of XREAD and XREADGROUP, and where the first one is. */
function streamsOf(args: readonly string[]): { first: number; blocks: boolean; group: string | null } {
  let blocks = false;
  let group: string | null = null;
  for (let at = 1; at < args.length; at++) {
    switch ((args[at] ?? '').toLowerCase()) {
      case 'streams':
        return { first: at + 1, blocks, group };
      case 'block':
        blocks = true;
        at += 1;
        break;
      case 'count':
        at += 1;
        break;
      case 'group':
        group = args[at + 1] ?? '';
        at += 2;
    }
  }
  return { first: args.length, blocks, group };
}
