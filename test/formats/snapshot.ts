/** A snapshot and an append-only file that a real redis-server has made, with what it said of the keys in them. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc64 } from '../../src/store/rdb/crc64.ts';
import { FOOTER_BYTES } from '../../src/store/rdb/kinds.ts';
import { bulkOf, SAMPLES } from '../differential/dumps.ts';
import { Link } from '../differential/link.ts';
import { REDIS_VERSION, RedisServer } from '../differential/redis-server.ts';

export const FOLDER: string = join(import.meta.dirname, `../fixtures/redis-${REDIS_VERSION}`);
export const SNAPSHOT: string = join(FOLDER, 'all-types.rdb');
/** The same by a server that packs and compresses nothing, and with how long each key was not used. */
export const UNPACKED: string = join(FOLDER, 'unpacked.rdb');
export const MANIFEST: string = join(FOLDER, 'appendonly/appendonly.aof.manifest');
const SAID = join(FOLDER, 'all-types.json');

export const LIBRARY = "#!lua name=greeting\nredis.register_function('greet', function() return 'hello' end)";
/** Options of a server, and what it does differently then with the same data. */
export const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  'as it comes': [],
  unpacked: [
    ...'--rdbcompression no --rdbchecksum no --maxmemory-policy allkeys-lru'.split(' '),
    ...'--hash-max-listpack-entries 0 --zset-max-listpack-entries 0 --set-max-intset-entries 0'.split(' '),
    ...'--list-max-listpack-size 3 --list-compress-depth 1 --stream-node-max-entries 2'.split(' '),
  ],
  packed: [
    ...'--maxmemory-policy allkeys-lfu'.split(' '),
    ...'--hash-max-listpack-entries 10000 --hash-max-listpack-value 10000'.split(' '),
    ...'--zset-max-listpack-entries 10000 --zset-max-listpack-value 10000'.split(' '),
    ...'--set-max-intset-entries 10000 --list-max-listpack-size -5 --stream-node-max-entries 0'.split(' '),
  ],
};
/** Deadlines that nobody reading this will see pass. */
const DEADLINES: ReadonlyMap<string, string> = new Map([
  ['a stream', '4102444800000'],
  ['a small hash', '4102444800001'],
  ['an intset of 512', '32503680000000'],
]);

/** What DUMP and PEXPIRETIME say of a key. */
export interface Said {
  readonly key: string;
  readonly dump: string;
  readonly expiresAt: number | null;
}

export function readSaid(): readonly Said[] {
  return JSON.parse(readFileSync(SAID, 'utf8')) as Said[];
}

/** A snapshot with these dumps, each under its title, as a server of that version writes it. */
export function snapshotWith(
  version: number,
  dumps: readonly { readonly title: string; readonly dump: string }[],
): Buffer {
  const parts = dumps.map(
    ({ title, dump }) =>
      `${dump.charAt(0)}${String.fromCharCode(title.length)}${title}${dump.slice(1, -FOOTER_BYTES)}`,
  );
  const digits = String(version).padStart(4, '0');
  const body = Buffer.from(`REDIS${digits}${parts.join('')}\xff`, 'latin1');
  return Buffer.concat([body, crc64(body)]);
}

/** Commands that make a key of each sample, named after it. */
export function commandsOfAllTypes(): (readonly string[])[] {
  const commands = SAMPLES.flatMap(({ title, commands: own }) => [...own, ['RENAME', 'k', title]]);
  for (const [key, deadline] of DEADLINES) commands.push(['PEXPIREAT', key, deadline]);
  return [...commands, ['FUNCTION', 'LOAD', LIBRARY]];
}

/** Sends commands, none of which may fail. */
export async function sendAll(link: Link, commands: readonly (readonly string[])[]): Promise<string[]> {
  const replies = await link.send(commands);
  const failed = replies.findIndex((reply) => reply.startsWith('-'));
  if (failed !== -1) throw new Error(`${commands[failed]?.slice(0, 2).join(' ')}: ${replies[failed]}`);
  return replies;
}

/** What a server says of all its keys, in order. */
export async function say(link: Link): Promise<Said[]> {
  const keys = SAMPLES.map(({ title }) => title).sort();
  const said: Said[] = [];
  for (const key of keys) {
    const [dump = '', deadline = ''] = await sendAll(link, [
      ['DUMP', key],
      ['PEXPIRETIME', key],
    ]);
    const expiresAt = Number(deadline.slice(1, -2));
    said.push({ key, dump: bulkOf(dump), expiresAt: expiresAt < 0 ? null : expiresAt });
  }
  return said;
}

/** Makes all of it anew. */
export async function record(): Promise<void> {
  {
    await using unpacking = await RedisServer.start(VARIANTS['unpacked']);
    const link = await Link.to(unpacking.path, 2);
    await sendAll(link, [...commandsOfAllTypes(), ['SAVE']]);
    cpSync(unpacking.snapshot, UNPACKED);
    link.close();
  }
  await using server = await RedisServer.start();
  const link = await Link.to(server.path, 2);
  const folder = dirname(server.path);
  const appending = join(folder, 'appendonlydir');
  await sendAll(link, [
    ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu'],
    ...commandsOfAllTypes(),
    ['SAVE'],
  ]);
  cpSync(server.snapshot, SNAPSHOT);
  writeFileSync(SAID, `${JSON.stringify(await say(link), null, 1)}\n`);

  await sendAll(link, [
    ['FLUSHALL'],
    ['SET', 'in the base', '1'],
    ['RPUSH', 'list', 'a', 'b'],
    ['CONFIG', 'SET', 'appendonly', 'yes'],
  ]);
  // The first file is written in the background; what comes meanwhile is in the next one.
  for (;;) {
    const [info = ''] = await link.send([['INFO', 'persistence']]);
    if (info.includes('aof_rewrite_in_progress:0') && info.includes('aof_rewrite_scheduled:0')) break;
  }
  await sendAll(link, [
    ['MULTI'],
    ['SET', 'a\r\nb', '\x00\xff'],
    ['INCRBYFLOAT', 'number', '1.5'],
    ['EXEC'],
    ['SET', 'with a deadline', 'x', 'PXAT', '4102444800000'],
    ['LPOP', 'list'],
    ['XADD', 'stream', '5-1', 'f', 'v'],
    ['DEL', 'in the base'],
  ]);
  link.close();
  rmSync(dirname(MANIFEST), { recursive: true, force: true });
  mkdirSync(dirname(MANIFEST));
  cpSync(appending, dirname(MANIFEST), { recursive: true });
}
