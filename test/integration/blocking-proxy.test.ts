/** Clients that wait for keys on nodes that pass everything on to the leader. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess, until } from './cluster.ts';
import { ReplyError, RespClient, type WireReply } from './resp-client.ts';

const PATIENCE_MS = 20_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start(3, ['--proxy']);
});
afterAll(() => cluster.stop());

async function connect(node: NodeProcess): Promise<RespClient> {
  const client = await RespClient.connect({ host: '127.0.0.1', port: node.port });
  onTestFinished(() => client.close());
  return client;
}

async function run(node: NodeProcess, line: string): Promise<WireReply> {
  const client = await connect(node);
  const [reply] = await client.send([line.split(' ')], PATIENCE_MS);
  client.close();
  return reply ?? null;
}

/** A client of the node that waits; what it is told, the text of an error included. */
async function waiting(node: NodeProcess, line: string): Promise<{ readonly reply: Promise<WireReply> }> {
  const before = await blockedClients(node);
  const client = await connect(node);
  const reply = client
    .send([line.split(' ')], PATIENCE_MS)
    .then(([first]) => (first instanceof ReplyError ? first.text : (first ?? null)));
  await until('the client to wait', async () => (await blockedClients(node)) === before + 1);
  return { reply };
}

async function blockedClients(node: NodeProcess): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec((await run(node, 'INFO clients')) as string)?.[1]);
}

test('clients of all nodes are served, each once, wherever the elements come in', async () => {
  const asking = [];
  for (let round = 0; round < 3; round += 1)
    for (const node of cluster.nodes) asking.push(await waiting(node, `BLPOP a${round} b 0`));
  await run(cluster.nodes[0]!, 'RPUSH b 1 2 3 4');
  await run(cluster.nodes[1]!, 'RPUSH b 5 6 7 8 9');
  const served = await Promise.all(asking.map(({ reply }) => reply));
  const elements = served.map((reply) => (reply as readonly string[])[1]);
  expect(new Set(elements)).toEqual(new Set('123456789'));
  expect(await run(cluster.nodes[2]!, 'EXISTS b')).toBe(0);
});

test('readers of a stream, and a time that is over', async () => {
  const asking = [];
  for (const node of cluster.nodes) asking.push(await waiting(node, 'XREAD BLOCK 0 STREAMS s $'));
  await run(cluster.nodes[1]!, 'XADD s 1-1 f v');
  const news = [['s', [['1-1', ['f', 'v']]]]];
  expect(await Promise.all(asking.map(({ reply }) => reply))).toEqual([news, news, news]);
  for (const node of cluster.nodes) expect(await run(node, 'BLPOP nothing 0.05')).toBeNull();
});

test('when the leader changes, those who wait on any node are told', async () => {
  const leader = await cluster.leader();
  const asking = [];
  for (const node of cluster.nodes) asking.push(await waiting(node, 'BLPOP k 0'));
  await cluster.kill(leader, 'SIGTERM');
  for (const { reply } of asking) expect(await reply).toMatch(/^UNBLOCKED /);
  await cluster.launch(leader);
});
