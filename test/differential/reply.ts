/** Replies as bytes: where one ends, and whether two of them mean the same. */

/** The position behind the reply that begins at `at`, or -1 while it is incomplete. Bytes as latin1 characters. */
export function replyEnd(bytes: string, at: number): number {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return -1;
  const type = bytes[at] ?? '';
  const size = Number(bytes.slice(at + 1, lineEnd));
  if ('$=!'.includes(type)) {
    const end = size < 0 ? lineEnd + 2 : lineEnd + 2 + size + 2;
    return end <= bytes.length ? end : -1;
  }
  if (!'*~>%'.includes(type)) return lineEnd + 2;
  let end = lineEnd + 2;
  for (let left = type === '%' ? 2 * size : size; left > 0; left--) {
    end = replyEnd(bytes, end);
    if (end < 0) return -1;
  }
  return end;
}

/** The replies inside an array reply; empty for anything else. */
export function elements(reply: string): string[] {
  const found: string[] = [];
  if (!'*~>'.includes(reply[0] ?? '')) return found;
  for (let at = reply.indexOf('\r\n') + 2; at < reply.length; ) {
    const end = replyEnd(reply, at);
    found.push(reply.slice(at, end));
    at = end;
  }
  return found;
}

/** Commands whose replies depend on when they ran, and by how much they may differ. */
const TIMES: ReadonlyMap<string, { readonly unitMs: number; readonly absolute: boolean }> = new Map([
  ['ttl', { unitMs: 1000, absolute: false }],
  ['pttl', { unitMs: 1, absolute: false }],
  ['expiretime', { unitMs: 1000, absolute: true }],
  ['pexpiretime', { unitMs: 1, absolute: true }],
]);
const TOLERANCE_MS = 30_000;

/**
 * Whether `actual` is what Redis said. Equal bytes, except for the order of keys, the choice of RANDOMKEY and times.
 * `queued` are the commands of the transaction that an EXEC ran; `shiftMs` is how much later ours ran.
 */
export function sameReply(
  args: readonly string[],
  expected: string,
  actual: string,
  queued: readonly (readonly string[])[] = [],
  shiftMs = 0,
): boolean {
  if (expected === actual) return true;
  if (expected[0] !== actual[0]) return false;
  const name = (args[0] ?? '').toLowerCase();
  switch (name) {
    case 'exec': {
      const replies = elements(actual);
      return elements(expected).every((reply, at) =>
        sameReply(queued[at] ?? [], reply, replies[at] ?? '', [], shiftMs),
      );
    }
    case 'keys':
      return sorted(expected) === sorted(actual);
    case 'scan': {
      const [cursor, keys = ''] = elements(expected);
      const [actualCursor, actualKeys = ''] = elements(actual);
      return cursor === actualCursor && sorted(keys) === sorted(actualKeys);
    }
    case 'randomkey':
      return (
        expected.startsWith('$') &&
        actual.startsWith('$') &&
        (expected === '$-1\r\n') === (actual === '$-1\r\n')
      );
    default: {
      const time = TIMES.get(name);
      if (time === undefined || expected[0] !== ':') return false;
      const [one, other] = [Number(expected.slice(1)), Number(actual.slice(1))];
      if (one <= 0 || other <= 0) return false;
      // Run later, a deadline is still the same and nearer, or still as near and later: it depends on how it was given.
      const difference = (other - one) * time.unitMs;
      const moved = time.absolute ? shiftMs : -shiftMs;
      return Math.abs(difference) <= TOLERANCE_MS || Math.abs(difference - moved) <= TOLERANCE_MS;
    }
  }
}

function sorted(keys: string): string {
  return elements(keys).sort().join('');
}
