/**
 * What commands show of a store, key by key, and whether a snapshot brings all of it back. A digest is made from the bytes of
 * a snapshot; what those forget the digest does not miss, but whoever asks does.
 */
import type { Store } from '../../../src/store/store.ts';
import { call, Recorder, type Reply, restored, snapshotOf } from '../../../src/store/testing/harness.ts';
import { check, Failure } from '../failure.ts';

/** Bytes of a snapshot's blocks: small, so that values lie across them. */
const BLOCK_BYTES = 1000;

/** The commands that show everything of a value, by its type. */
const LOOKS: Readonly<Record<string, (store: Store, key: string) => readonly (readonly string[])[]>> = {
  string: (_store, key) => [['GET', key]],
  list: (_store, key) => [['LRANGE', key, '0', '-1']],
  set: (_store, key) => [['SMEMBERS', key]],
  zset: (_store, key) => [['ZRANGE', key, '0', '-1', 'WITHSCORES']],
  stream: (_store, key) => [['XINFO', 'STREAM', key, 'FULL', 'COUNT', '0']],
  'MBbloom--': (_store, key) => [['BF.INFO', key]],
  hash: (store, key) => {
    const fields = texts(ask(store, 'HKEYS', key));
    const deadlines = ['HPEXPIRETIME', key, 'FIELDS', String(fields.length), ...fields];
    return [['HGETALL', key], ...(fields.length > 0 ? [deadlines] : [])];
  },
};

/** What is to be seen of each key, and of the store as a whole under a name that no key has. */
export function portraitOf(store: Store): ReadonlyMap<string, string> {
  const { size, expiring, bytes } = store;
  const portrait = new Map([['the whole', show([size, expiring, bytes])]]);
  for (const key of texts(ask(store, 'KEYS', '*'))) {
    const type = String(ask(store, 'TYPE', key));
    const looks = LOOKS[type]?.(store, key) ?? [];
    const common = [
      ['PEXPIRETIME', key],
      ['OBJECT', 'ENCODING', key],
      ['MEMORY', 'USAGE', key],
    ];
    portrait.set(`key ${key}`, show([type, ...[...common, ...looks].map((args) => ask(store, ...args))]));
  }
  return portrait;
}

/** The first difference, in words; `null` where there is none. */
export function differenceOf(
  one: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): string | null {
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const [left = 'nothing', right = 'nothing'] = [one.get(name), other.get(name)];
    if (left === right) continue;
    let from = 0;
    while (left[from] === right[from]) from += 1;
    const cut = (text: string): string => text.slice(Math.max(0, from - 40), from + 200);
    return `${JSON.stringify(name)}: ${cut(left)} and ${cut(right)}`;
  }
  return null;
}

/** SM: a snapshot, read and written again, has the same bytes, and what was read is what was written. */
export function checkRoundTrip(store: Store, name: string): void {
  const blocks = snapshotOf(store, BLOCK_BYTES);
  const copy = readBack(blocks, `${name} at ${store.appliedIndex}`);
  check(
    copy.digest() === store.digest(),
    'SM',
    () => `${name} at ${store.appliedIndex}: a snapshot brings another digest back`,
  );
  const difference = differenceOf(portraitOf(store), portraitOf(copy));
  check(
    difference === null,
    'SM',
    () => `${name} at ${store.appliedIndex}: a snapshot brings something else back: ${difference}`,
  );
  const again = snapshotOf(copy, BLOCK_BYTES);
  check(
    Buffer.concat(again).equals(Buffer.concat(blocks)),
    'SM',
    () => `${name} at ${store.appliedIndex}: the snapshot of a restored snapshot differs from it`,
  );
}

function readBack(blocks: readonly Uint8Array[], where: string): Store {
  try {
    return restored(blocks);
  } catch (error) {
    throw new Failure('SM', `${where}: a snapshot can't be read back`, { cause: error });
  }
}

/** Reads at the log's own time, like any client. */
function ask(store: Store, ...args: string[]): Reply {
  const { command } = call(...args);
  const recorder = new Recorder();
  store.read(command, args, recorder, store.time);
  return recorder.replies[0] ?? null;
}

function texts(reply: Reply): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

function show(replies: readonly Reply[]): string {
  return JSON.stringify(replies, (_name, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value instanceof Error) return value.message;
    // JSON knows no others.
    return typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
      ? `number ${value}`
      : value;
  });
}
