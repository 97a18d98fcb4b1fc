/** Messages go through the log: every subscriber sees the same ones in the same order, whatever node it listens on. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster } from './cluster.ts';

/** A plain client of one node, which tries again for as long as it takes. */
function clientOf(port: number): Redis {
  const redis = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
}

test('subscribers of all nodes see one order, published through all nodes, while the leader is killed', async () => {
  const cluster = await Cluster.start(3);
  onTestFinished(() => cluster.stop());
  const leader = await cluster.leader();
  const followers = cluster.nodes.filter((node) => node !== leader);
  const heard: string[][] = [];
  for (const node of followers) {
    const messages: string[] = [];
    heard.push(messages);
    const subscriber = clientOf(node.port);
    await subscriber.subscribe('news');
    await subscriber.psubscribe('n?ws');
    subscriber.on('message', (_channel, message) => messages.push(message));
    subscriber.on('pmessage', (pattern, _channel, message) => messages.push(`${pattern} ${message}`));
  }
  const publishers = cluster.nodes.map(({ port }) => clientOf(port));
  const acknowledged: string[] = [];
  const publish = (from: number, to: number): Promise<void[]> =>
    Promise.all(
      publishers.map(async (publisher, who) => {
        for (let at = from; at < to; at += 1) {
          const message = `${who}:${at}`;
          // Without an answer nobody knows whether it was sent: it is no loss if it was not.
          const answer = await publisher.publish('news', message).catch(() => null);
          if (answer !== null) acknowledged.push(message);
        }
      }),
    );
  await publish(0, 100);
  await Promise.all([publish(100, 200), cluster.kill(leader).then(() => cluster.launch(leader))]);
  await publish(200, 300);
  const last = acknowledged.at(-1) ?? '';
  for (const messages of heard)
    await expect.poll(() => messages.includes(last), { timeout: 30_000 }).toBe(true);
  const [one = [], other = []] = heard;
  await expect.poll(() => one.length - other.length, { timeout: 30_000 }).toBe(0);
  expect(other).toEqual(one);
  expect(acknowledged.length).toBeGreaterThan(600);
  for (const message of acknowledged) {
    expect(one).toContain(message);
    expect(one).toContain(`n?ws ${message}`);
  }
});
