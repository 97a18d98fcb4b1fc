/** Clients that wait for keys, in a cluster of real processes. */
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess, until } from './cluster.ts';
import { ReplyError, RespClient, type WireReply } from './resp-client.ts';

const PATIENCE_MS = 20_000;
const UNBLOCKED =
  'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)';

let cluster: Cluster;
let leader: NodeProcess;
let clients: RespClient[];
/** Says how many wait, and does what else a test wants done. */
let control: RespClient;

beforeAll(async () => {
  cluster = await Cluster.start(3);
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  clients = [];
  onTestFinished(() => clients.forEach((client) => client.close()));
  leader = await cluster.leader();
  control = await connect();
  await run('FLUSHALL');
});

async function connect(node: NodeProcess = leader): Promise<RespClient> {
  const client = await RespClient.connect({ host: '127.0.0.1', port: node.port });
  clients.push(client);
  return client;
}

/** Runs a command on the leader. */
async function run(line: string): Promise<WireReply> {
  const [reply] = await control.send([line.split(' ')], PATIENCE_MS);
  return reply ?? null;
}

interface Asking {
  readonly client: RespClient;
  /** What it is told, the text of an error or of a lost connection included. */
  readonly reply: Promise<WireReply>;
}

async function ask(line: string, node: NodeProcess = leader): Promise<Asking> {
  const client = await connect(node);
  const reply = client.send([line.split(' ')], PATIENCE_MS).then(
    ([first]) => (first instanceof ReplyError ? first.text : (first ?? null)),
    (error: Error) => error.message,
  );
  return { client, reply };
}

async function blockedClients(client: RespClient): Promise<number> {
  const [info] = await client.send([['INFO', 'clients']], PATIENCE_MS);
  return Number(/blocked_clients:(\d+)/.exec(info as string)?.[1]);
}

/** Clients that wait, in this order. */
async function waiting(...lines: readonly string[]): Promise<Asking[]> {
  const asking: Asking[] = [];
  for (const line of lines) {
    asking.push(await ask(line));
    await until('the client to wait', async () => (await blockedClients(control)) === asking.length);
  }
  return asking;
}

function replies(asking: readonly Asking[]): Promise<WireReply[]> {
  return Promise.all(asking.map(({ reply }) => reply));
}

test('three clients are served in the order in which they came', async () => {
  const asking = await waiting('BLPOP k 0', 'BLPOP k 0', 'BLPOP other k 0');
  await run('RPUSH k a');
  expect(await asking[0]!.reply).toEqual(['k', 'a']);
  expect(await blockedClients(control)).toBe(2);
  await run('RPUSH k b c');
  expect(await replies(asking)).toEqual([
    ['k', 'a'],
    ['k', 'b'],
    ['k', 'c'],
  ]);
});

test('a wait ends with its time, and nothing is taken after it', async () => {
  const [short, long] = await waiting('BLPOP k 0.2', 'BLPOP k 0');
  expect(await short!.reply).toBeNull();
  await run('RPUSH k a b');
  expect(await long!.reply).toEqual(['k', 'a']);
  expect(await run('LRANGE k 0 -1')).toEqual(['b']);
});

test('what is sent behind a BLPOP runs after it', async () => {
  const client = await connect();
  const all = client.send(
    ['SET a 1', 'BLPOP k 0', 'INCR a', 'BLPOP k 0', 'GET a'].map((line) => line.split(' ')),
    PATIENCE_MS,
  );
  await until('the client to wait', async () => (await blockedClients(control)) === 1);
  expect(await run('GET a')).toBe('1');
  await run('RPUSH k v');
  await until('the client to wait again', async () => (await run('GET a')) === '2');
  await run('RPUSH k w');
  expect(await all).toEqual(['OK', ['k', 'v'], 2, ['k', 'w'], '2']);
});

test('a chain of moves', async () => {
  const asking = await waiting('BLMOVE a b LEFT RIGHT 0', 'BRPOPLPUSH b c 0', 'BLMPOP 0 1 c RIGHT');
  await run('RPUSH a v');
  expect(await replies(asking)).toEqual(['v', 'v', ['c', ['v']]]);
  expect(await run('DBSIZE')).toBe(0);
});

test('a client that goes takes nothing with it', async () => {
  const [gone, stays] = await waiting('BLPOP k 0', 'BLPOP k 0');
  gone!.client.close();
  await until('the node to see it', async () => (await blockedClients(control)) === 1);
  await run('RPUSH k v');
  expect(await stays!.reply).toEqual(['k', 'v']);
});

test('two thousand clients, each served once and in order', async () => {
  const [count, wave] = [2000, 50];
  const asking: Asking[] = [];
  while (asking.length < count) {
    // Those of one wave may overtake each other on their way.
    for (let left = wave; left > 0; left -= 1) asking.push(await ask('BLPOP k 0'));
    await until('all to wait', async () => (await blockedClients(control)) === asking.length);
  }
  const values = Array.from({ length: count }, (_, at) => `${at}`);
  for (const value of values.slice(0, 100)) await run(`RPUSH k ${value}`);
  await run(`RPUSH k ${values.slice(100).join(' ')}`);
  const served = (await replies(asking)).map((reply) => Number((reply as readonly string[])[1]));
  expect(new Set(served).size).toBe(count);
  expect(served.map((value) => Math.floor(value / wave))).toEqual(
    served.map((_, at) => Math.floor(at / wave)),
  );
  expect(await run('EXISTS k')).toBe(0);
  await cluster.converged();
});

test('ioredis and node-redis', async () => {
  const io = new Redis(leader.port);
  const node = await createClient({ url: `redis://127.0.0.1:${leader.port}` }).connect();
  onTestFinished(() => {
    io.disconnect();
    node.destroy();
  });
  expect(await io.blpop('k', 0.05)).toBeNull();
  expect(await node.blPop('k', 0.05)).toBeNull();
  const popped = [io.blpop('k', 0), node.blPop('k', 0)];
  await until('both to wait', async () => (await blockedClients(control)) === 2);
  await run('RPUSH k v v');
  expect(await Promise.all(popped)).toEqual([['k', 'v'], { key: 'k', element: 'v' }]);
});

describe('when the leader is lost', () => {
  test('by a quiet end: all who wait are told', async () => {
    const asking = await waiting('BLPOP k 0', 'BLPOP k 0', 'XREAD BLOCK 0 STREAMS s $');
    await cluster.kill(leader, 'SIGTERM');
    expect(await replies(asking)).toEqual([UNBLOCKED, UNBLOCKED, UNBLOCKED]);
    await cluster.launch(leader);
  });

  test('by violence: the connections break', async () => {
    const asking = await waiting('BLPOP k 0', 'BLPOP k 0');
    await cluster.kill(leader);
    expect(await replies(asking)).toEqual(['the connection was lost', 'the connection was lost']);
    await cluster.launch(leader);
  });

  test('because nobody follows any more: all are told, the log has no say in it', async () => {
    const asking = await waiting(...Array.from({ length: 20 }, () => 'BLPOP k 0'));
    const followers = cluster.nodes.filter((node) => node !== leader);
    for (const node of followers) await cluster.kill(node);
    expect(new Set(await replies(asking))).toEqual(new Set([UNBLOCKED]));
    await Promise.all(followers.map((node) => cluster.launch(node)));
  });
});
