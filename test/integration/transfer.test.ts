/** `kvorum import` and `export` with a cluster of three, and Redis as the judge of what arrives. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Link } from '../differential/link.ts';
import { RedisServer, redisServerFound } from '../differential/redis-server.ts';
import { commandsOfAllTypes, LIBRARY, readSaid, say, sendAll, SNAPSHOT } from '../formats/snapshot.ts';
import { Cluster, type NodeProcess, until } from './cluster.ts';
import { present, run } from './tools.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const kvorum = (...args: readonly string[]): Promise<string> => run(process.execPath, [MAIN, ...args]);

const at = ({ port }: NodeProcess): string => `127.0.0.1:${port}`;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'kvorum-transfer-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

async function started(args: readonly string[] = []): Promise<Cluster> {
  const cluster = await Cluster.start(3, args);
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function linkTo(node: NodeProcess): Promise<Link> {
  const link = await Link.to(node.port, 2);
  onTestFinished(() => link.close());
  return link;
}

function wordsOf(reply: string): string[] {
  return reply.split('\r\n').filter((line) => !/^[$*]/.test(line));
}

/** What can be read of a key, whatever its type, without the encodings of dumps. */
async function readAll(link: Link, keys: readonly string[]): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const key of keys) {
    const [type = ''] = await link.send([['TYPE', key]]);
    const reads: Record<string, readonly (readonly string[])[]> = {
      string: [['GET', key]],
      list: [['LRANGE', key, '0', '-1']],
      set: [['SORT', key, 'ALPHA']],
      hash: [['HLEN', key]],
      stream: [['XRANGE', key, '-', '+']],
    };
    const commands = [...(reads[type.slice(1, -2)] ?? []), ['PEXPIRETIME', key]];
    all.push([key, type, ...(await link.send(commands))]);
    if (type.startsWith('+hash')) {
      const [fields = ''] = await link.send([['HGETALL', key]]);
      all.push(wordsOf(fields).toSorted());
    }
    if (type.startsWith('+zset')) {
      const [members = ''] = await link.send([['ZRANGE', key, '0', '-1', 'WITHSCORES']]);
      // Redis 7.0 spells scores with 17 digits.
      all.push(wordsOf(members).map((word) => (Number.isNaN(Number(word)) ? word : Number(word))));
    }
    if (type.startsWith('+stream')) {
      const [groups = ''] = await link.send([['XINFO', 'GROUPS', key]]);
      all.push(groups);
    }
  }
  return all;
}

test.runIf(present('redis-server', redisServerFound()))(
  'a snapshot of all types, from Redis into a cluster and back into Redis',
  async () => {
    const directory = folder();
    await using redis = await RedisServer.start();
    const original = await Link.to(redis.path, 2);
    await sendAll(original, [...commandsOfAllTypes(), ['SAVE']]);
    const wanted = await say(original);
    const keys = wanted.map(({ key }) => key);

    const cluster = await started();
    // Wherever it is sent, it finds the leader.
    const file = join(dirname(redis.path), 'dump.rdb');
    expect(await kvorum('import', file, '--to', at(await cluster.follower()))).toBe(
      `${file} (rdb): ${keys.length + 1} commands were run\n`,
    );
    const copy = await linkTo(await cluster.leader());
    expect(await readAll(copy, keys)).toEqual(await readAll(original, keys));
    expect((await sendAll(copy, [['FCALL', 'greet', '0']]))[0]).toBe('$5\r\nhello\r\n');
    expect((await sendAll(copy, [['DBSIZE']]))[0]).toBe(`:${keys.length}\r\n`);

    // And back, both as a snapshot and as commands, into a Redis that knows nothing of where they have been.
    const [before] = [await readAll(original, keys)];
    const out = join(directory, 'out.resp');
    await kvorum('export', out, '--from', at(await cluster.follower()));
    await sendAll(original, [['FLUSHALL'], ['FUNCTION', 'FLUSH']]);
    expect(await run('sh', ['-c', `redis-cli -s ${redis.path} --pipe < ${out}`])).toContain('errors: 0');
    expect(await readAll(original, keys)).toEqual(before);
    const snapshot = join(directory, 'out.rdb');
    await kvorum('export', snapshot, '--from', at(await cluster.leader()));
    expect(await run('redis-check-rdb', [snapshot])).toContain(`${keys.length} keys read`);
    await sendAll(original, [['FLUSHALL']]);
    original.close();
  },
);

test('what a cluster exports, another one imports: both hold the same', async () => {
  const directory = folder();
  const [first, second] = [await started(), await started()];
  await kvorum('import', SNAPSHOT, '--to', at(await first.leader()));
  const file = join(directory, 'a.resp');
  await kvorum('export', file, '--from', at(await first.leader()));
  await kvorum('import', file, '--to', at(await second.leader()));
  const [one, other] = [await linkTo(await first.leader()), await linkTo(await second.leader())];
  expect(await say(other)).toEqual(await say(one));
  expect(readSaid().length).toBe((await say(one)).filter(({ dump }) => dump !== '').length);
  const again = join(directory, 'b.resp');
  await kvorum('export', again, '--from', at(await second.leader()));
  expect(readFileSync(again, 'latin1')).toBe(readFileSync(file, 'latin1'));
  expect(readFileSync(file, 'latin1')).toContain(LIBRARY);
});

test('every command is run once, though the leader is killed meanwhile', async () => {
  const directory = folder();
  const cluster = await started(['--password', 'secret']);
  const count = 30_000;
  const file = join(directory, 'increments.txt');
  writeFileSync(file, 'INCR n\n'.repeat(count));
  const leader = await cluster.leader();
  const auth = ['--password', 'secret'];
  await expect(kvorum('import', file, '--to', at(leader))).rejects.toThrow('NOAUTH');
  await expect(kvorum('import', file, '--to', at(leader), '--password', 'x')).rejects.toThrow('WRONGPASS');
  const importing = kvorum('import', file, '--to', at(leader), ...auth);
  const link = await linkTo(leader);
  await link.send([['AUTH', 'secret']]);
  await until('the import to be under way', async () => {
    const [value = ''] = await link.send([['GET', 'n']]);
    return Number(value.split('\r\n')[1] ?? 0) > 1000;
  });
  await cluster.kill(leader);
  expect(await importing).toContain(`${count} commands were run`);
  const after = await linkTo(await cluster.leader());
  const [, value] = await after.send([
    ['AUTH', 'secret'],
    ['GET', 'n'],
  ]);
  expect(value).toBe(`$5\r\n${count}\r\n`);
});
