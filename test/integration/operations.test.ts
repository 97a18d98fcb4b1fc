/** Saving, failing over and shutting down by commands, on real nodes. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess } from './cluster.ts';

function clientOf({ port }: NodeProcess): Redis {
  const redis = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
}

test('a snapshot on request makes the log shorter; leadership goes where it is sent; a node ends itself in order', async () => {
  const cluster = await Cluster.start(3);
  onTestFinished(() => cluster.stop());
  const leader = await cluster.leader();
  const client = clientOf(leader);
  for (let at = 0; at < 100; at += 1) await client.set(`key:${at}`, 'value');
  const before = await cluster.status(leader);
  expect(await client.call('SAVE')).toBe('OK');
  const after = await cluster.status(leader);
  expect(after?.snapshotIndex).toBeGreaterThan(before?.snapshotIndex ?? 0);
  const info = await client.info('persistence');
  expect(info).toMatch(/rdb_saves:1\r\n/);
  expect(await client.call('BGSAVE')).toBe('Background saving started');
  expect(await client.call('WAITAOF', '1', '1', '5000')).toEqual([1, expect.any(Number)]);

  const [heir] = cluster.nodes.filter((node) => node !== leader);
  expect(await client.call('FAILOVER', 'TO', '127.0.0.1', String(heir?.port))).toBe('OK');
  await expect.poll(async () => (await cluster.status(heir!))?.role).toBe('leader');

  const last = clientOf(heir!);
  // No answer: the connection closes.
  last.call('SHUTDOWN').catch(() => null);
  expect(await cluster.ended(heir!)).toBe(0);
  const next = await cluster.leader();
  await expect.poll(() => clientOf(next).get('key:99')).toBe('value');
  await cluster.launch(heir!);
});
