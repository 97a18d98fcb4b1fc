/** What clients are promised beyond a single connection to the leader: sessions, HTTP, reads and writes on followers. */
import { Cluster as IoredisCluster, Redis } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { answered, Cluster, type NodeProcess, until } from './cluster.ts';
import { encode, exchange } from './tools.ts';

async function postCommand(
  node: NodeProcess,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown; replayed: string | null }> {
  const answer = await fetch(`http://127.0.0.1:${node.httpPort}/v1/command`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return {
    status: answer.status,
    body: await answer.json(),
    replayed: answer.headers.get('idempotency-replayed'),
  };
}

describe('three nodes', () => {
  let cluster: Cluster;
  let leader: NodeProcess;
  let follower: NodeProcess;

  beforeAll(async () => {
    cluster = await Cluster.start(3);
  });
  beforeEach(async () => {
    leader = await cluster.leader();
    follower = await cluster.follower();
  });
  afterAll(() => cluster.stop());

  /** Writes through whichever node leads. */
  function writing(): IoredisCluster {
    const client = new IoredisCluster([{ host: '127.0.0.1', port: leader.port }]);
    onTestFinished(() => client.disconnect());
    return client;
  }

  /** Reads from the node that follows now, and stays there. */
  async function reading(): Promise<Redis> {
    const client = new Redis(follower.port);
    onTestFinished(() => client.disconnect());
    await client.readonly();
    return client;
  }

  /** Commands that the node's client port has taken so far. */
  async function commandsOf(node: NodeProcess): Promise<number> {
    const client = new Redis(node.port);
    const info = await client.info('stats');
    client.disconnect();
    return Number(/total_commands_processed:(\d+)/.exec(info)![1]);
  }

  test('HTTP: a command on any node, text and bytes, results and errors', async () => {
    for (const node of [leader, follower]) {
      expect(await postCommand(node, ['SET', 'http', 'ä€'])).toMatchObject({
        status: 200,
        body: { result: 'OK' },
      });
      expect(await postCommand(node, ['GET', 'http'])).toMatchObject({ body: { result: 'ä€' } });
      const bytes = Buffer.from([0, 255, 128]).toString('base64');
      await postCommand(node, ['SET', 'bytes', { base64: bytes }]);
      expect((await postCommand(node, ['GET', 'bytes'])).body).toEqual({ result: { base64: bytes } });
      expect(await postCommand(node, ['INCR', 'http'])).toMatchObject({
        status: 400,
        body: { error: { code: 'ERR', message: 'value is not an integer or out of range' } },
      });
      expect((await postCommand(node, ['MGET', 'http', 'nothing'])).body).toEqual({ result: ['ä€', null] });
      expect(await postCommand(node, ['CLIENT', 'ID'])).toMatchObject({ status: 400 });
      expect(await postCommand(node, { not: 'an array' })).toMatchObject({ status: 400 });
    }
    const form = await fetch(`http://127.0.0.1:${leader.httpPort}/v1/command`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: '["SET","http","from a web page"]',
    });
    expect(form.status).toBe(415);
  });

  test('HTTP: a write under one key runs once, on whichever node it is sent again', async () => {
    const headers = { 'idempotency-key': 'order 4711' };
    expect(await postCommand(leader, ['INCR', 'orders'], headers)).toMatchObject({
      body: { result: 1 },
      replayed: null,
    });
    for (const node of cluster.nodes) {
      expect(await postCommand(node, ['INCR', 'orders'], headers)).toMatchObject({
        status: 200,
        body: { result: 1 },
        replayed: 'true',
      });
    }
    expect(await postCommand(follower, ['INCR', 'others'], headers)).toMatchObject({
      status: 422,
      body: { error: { code: 'KEYREUSED' } },
    });
    expect((await postCommand(leader, ['GET', 'orders'])).body).toEqual({ result: '1' });
    expect((await postCommand(leader, ['GET', 'others'])).body).toEqual({ result: null });
  });

  test('READONLY: a follower reads what was written on the leader a moment ago, and redirects writes', async () => {
    const [writer, reader] = [writing(), await reading()];
    for (let at = 0; at < 300; at += 1) {
      await answered(() => writer.set('fresh', at));
      expect(await answered(() => reader.get('fresh'))).toBe(String(at));
    }
    const follows = new Redis((await cluster.follower()).port);
    onTestFinished(() => follows.disconnect());
    await expect(follows.get('fresh')).rejects.toThrow('MOVED');
    await follows.readonly();
    expect(await follows.get('fresh')).toBe('299');
    await expect(follows.set('fresh', 'x')).rejects.toThrow('MOVED');
    await follows.readwrite();
    await expect(follows.get('fresh')).rejects.toThrow('MOVED');
  });

  test('READONLY: a transaction of reads runs on the follower; with a write in it, it does not', async () => {
    const reply = '+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n+OK\r\n';
    const request =
      encode('READONLY') +
      encode('WATCH', 'tx') +
      encode('MULTI') +
      encode('GET', 'tx') +
      encode('EXEC') +
      encode('MULTI');
    expect(await exchange(follower.port, request, reply.length)).toBe(reply);
    const moved = `+OK\r\n+OK\r\n-MOVED 3300 127.0.0.1:${leader.port}\r\n-EXECABORT Transaction discarded because of previous errors.\r\n`;
    const write = encode('READONLY') + encode('MULTI') + encode('SET', 'tx', '1') + encode('EXEC');
    const got = await exchange(follower.port, write, moved.length);
    expect(got.replace(/MOVED \d+/, 'MOVED 3300')).toBe(moved);
  });

  test('READONLY: a key seen as expired on the leader is gone on the follower, too', async () => {
    const [writer, reader] = [writing(), await reading()];
    for (let round = 0; round < 20; round += 1) {
      await answered(() => writer.set('brief', 'x', 'PX', 5));
      while ((await answered(() => writer.get('brief'))) !== null);
      expect(await answered(() => reader.get('brief'))).toBeNull();
    }
  });

  test('ioredis reads from followers, and never finds less than it has written', async () => {
    const client = new IoredisCluster([{ host: '127.0.0.1', port: leader.port }], { scaleReads: 'slave' });
    onTestFinished(() => client.disconnect());
    await answered(() => client.set('scaled', 'first'));
    const before = await Promise.all(cluster.nodes.map(commandsOf));
    for (let at = 0; at < 200; at += 1) {
      await answered(() => client.set('scaled', at));
      expect(await answered(() => client.get('scaled'))).toBe(String(at));
    }
    const after = await Promise.all(cluster.nodes.map(commandsOf));
    const taken = cluster.nodes.map((node, at) => ({ node, commands: after[at]! - before[at]! }));
    const onFollowers = taken
      .filter(({ node }) => node !== leader)
      .reduce((sum, { commands }) => sum + commands, 0);
    expect(onFollowers).toBeGreaterThanOrEqual(200);
    expect(taken.find(({ node }) => node === leader)!.commands).toBeLessThan(300);
  });

  test('ioredis never finds less than it has written while the leader changes', async () => {
    const client = new IoredisCluster([{ host: '127.0.0.1', port: leader.port }], { scaleReads: 'slave' });
    onTestFinished(() => client.disconnect());
    let rounds = 0;
    const changed = new AbortController();
    const running = (async () => {
      for (; !changed.signal.aborted || rounds < 300; rounds += 1) {
        await answered(() => client.set('changing', rounds));
        expect(await answered(() => client.get('changing'))).toBe(String(rounds));
      }
    })();
    await until('some rounds', () => rounds > 50);
    // It sleeps while another one is elected, and wakes up as a leader with requests that waited for it.
    leader.process!.kill('SIGSTOP');
    expect(await cluster.leader()).not.toBe(leader);
    leader.process!.kill('SIGCONT');
    changed.abort();
    await running;
  });

  test('node-redis reads from followers, and never finds less than it has written', async () => {
    const client = createCluster({
      rootNodes: [{ url: `redis://127.0.0.1:${leader.port}` }],
      useReplicas: true,
    });
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.destroy());
    await answered(() => client.set('replicas', 'first'));
    const before = await Promise.all(cluster.nodes.map(commandsOf));
    for (let at = 0; at < 200; at += 1) {
      await answered(() => client.set('replicas', String(at)));
      expect(await answered(() => client.get('replicas'))).toBe(String(at));
    }
    const after = await Promise.all(cluster.nodes.map(commandsOf));
    const onFollowers = cluster.nodes.reduce(
      (sum, node, at) => (node === leader ? sum : sum + after[at]! - before[at]!),
      0,
    );
    // It spreads its reads over all nodes, the leader included.
    expect(onFollowers).toBeGreaterThanOrEqual(100);
  });
});
