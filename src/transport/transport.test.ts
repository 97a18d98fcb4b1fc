import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { request } from 'undici';
import { type Member, type Message, EntryType, asIndex, asNodeId, asTerm } from '../raft/types.ts';
import { encodeFrame } from './codec.ts';
import { PROTOCOL_VERSION, REFUSALS, type Refusal } from './identity.ts';
import { QUEUE_BYTES_MAX } from './peer.ts';
import { type NodeOptions, type TestNode, Watch, startNode } from './testing/node.ts';
import { MESSAGES } from './testing/messages.ts';

const watch = new Watch();
const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((it) => it.stop()));
});

async function start(name: string, options?: NodeOptions): Promise<TestNode> {
  const node = await startNode(watch, name, options);
  running.push(node);
  return node;
}

/** Nodes that know each other and are connected. */
async function cluster(names: readonly string[], options?: NodeOptions): Promise<TestNode[]> {
  const nodes = await Promise.all(names.map((name) => start(name, options)));
  for (const node of nodes)
    node.transport.setPeers(
      nodes.map(({ member }) => member),
      [],
    );
  await connected(nodes);
  return nodes;
}

async function pair(): Promise<[TestNode, TestNode]> {
  return (await cluster(['n1', 'n2'])) as [TestNode, TestNode];
}

async function connected(nodes: readonly TestNode[]): Promise<void> {
  const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => ({ from, to })));
  // `connected` tells of the streams to the peer; the log line comes when those from the peer are open as well.
  await watch.until(() =>
    pairs.every(
      ({ from, to }) =>
        from.transport.connected(to.id) && from.log.some(({ msg }) => msg === `connected with ${to.id}`),
    ),
  );
}

/** How often a stream from that peer ended or could not be opened. */
const failures = (node: TestNode, peer: string): number =>
  node.log.filter(({ msg }) => msg.endsWith(`stream from ${peer} failed`)).length;

const heartbeat = (round: number): Message => ({
  type: 'heartbeat',
  match: asIndex(0),
  matchTerm: asTerm(0),
  term: asTerm(1),
  commit: asIndex(0),
  round,
});

function append(bytes: number): Message {
  const entry = {
    index: asIndex(1),
    term: asTerm(1),
    type: EntryType.batch,
    payload: Buffer.alloc(bytes, 7),
  };
  return {
    type: 'append',
    term: asTerm(1),
    prevIndex: asIndex(0),
    prevTerm: asTerm(0),
    commit: asIndex(0),
    entries: [entry],
  };
}

const typesOf = (node: TestNode): string[] => node.messages.map(({ message }) => message.type);

/** A TCP proxy in front of a node that can go silent without closing anything, as a dead network does. */
interface Proxy {
  readonly url: string;
  /** Bytes of connections whose request begins with this path are held back; '' holds all of them. */
  hold(path: string): void;
  release(): void;
  /** Closes all connections, and from now on each new one as soon as it is there. */
  hangUp(): void;
  /** How often data came from the node, on the connection that had the most of it. */
  pieces(): number;
  stop(): Promise<void>;
}

async function startProxy(port: number): Promise<Proxy> {
  const pairs = new Set<{ near: Socket; far: Socket; path: string; pieces: number }>();
  let held: string | null = null;
  let hangingUp = false;
  const isHeld = (path: string): boolean => held !== null && path.startsWith(held);
  const server: Server = createServer((near) => {
    if (hangingUp) {
      near.destroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    const pair = { near, far, path: '', pieces: 0 };
    pairs.add(pair);
    near.on('data', (bytes) => {
      if (pair.path === '') pair.path = bytes.toString('latin1').split(' ')[1] ?? '';
      far.write(bytes);
      if (isHeld(pair.path)) near.pause();
    });
    far.on('data', (bytes) => {
      near.write(bytes);
      pair.pieces += 1;
      watch.notify();
    });
    if (held !== null && held === '') {
      near.pause();
      far.pause();
    }
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => {});
      from.on('close', () => {
        pairs.delete(pair);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: Proxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold(path) {
      held = path;
      for (const pair of pairs) {
        if (!isHeld(pair.path)) continue;
        pair.near.pause();
        pair.far.pause();
      }
    },
    release() {
      held = null;
      for (const { near, far } of pairs) {
        near.resume();
        far.resume();
      }
    },
    hangUp() {
      hangingUp = true;
      for (const { near } of pairs) near.destroy();
    },
    pieces: () => Math.max(...[...pairs].map(({ pieces }) => pieces)),
    stop() {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  running.push(proxy);
  return proxy;
}

/* ------------------------------------------------------------------------------------------------------------- */

test('three nodes exchange every kind of message, each lane in its order', async () => {
  const nodes = await cluster(['n1', 'n2', 'n3']);
  for (const from of nodes) {
    for (const to of nodes)
      for (const message of MESSAGES) if (from !== to) from.transport.send(to.id, message);
  }
  await watch.until(() => nodes.every((node) => node.messages.length === 2 * MESSAGES.length));
  for (const node of nodes) {
    for (const other of nodes) {
      if (other === node) continue;
      const got = node.messages.filter(({ from }) => from === other.id).map(({ message }) => message);
      for (const bulk of [true, false]) {
        const inLane = ({ type }: Message): boolean =>
          (type === 'append' || type === 'installSnapshot') === bulk;
        expect(got.filter(inLane)).toEqual(MESSAGES.filter(inLane));
      }
      expect(node.addresses.get(other.id)).toEqual({ host: `${other.id}.test`, port: 6380 });
    }
  }
  expect(nodes.flatMap(({ unreachable }) => unreachable)).toEqual([]);
});

test('a bulk lane that is stuck does not hold back a heartbeat', async () => {
  const [n1, n2] = [await start('n1'), await start('n2', { heartbeatMs: 60_000 })];
  const proxy = await startProxy(Number(new URL(n1.url).port));
  n1.transport.setPeers([n2.member], []);
  n2.transport.setPeers([{ id: n1.id, url: proxy.url, incarnation: '1' }], []);
  await connected([n1, n2]);
  proxy.hold('/raft/v1/main/stream/bulk');
  n1.transport.send(n2.id, append(8 * 1024 * 1024));
  n1.transport.send(n2.id, heartbeat(1));
  await watch.until(() => n2.messages.length === 1);
  expect(typesOf(n2)).toEqual(['heartbeat']);
  proxy.release();
  await watch.until(() => n2.messages.length === 2);
  expect(typesOf(n2)).toEqual(['heartbeat', 'append']);
});

test('a full queue drops, says unreachable once per turn, and delivers what it took', async () => {
  const [n1, n2] = await pair();
  const message = append(1024 * 1024);
  // Nothing leaves within one turn, so that the queue alone decides.
  for (let sent = 0; sent < 40; sent++) n1.transport.send(n2.id, message);
  n1.transport.send(n2.id, heartbeat(1));
  await watch.until(() => n1.unreachable.length > 0);
  const fit = Math.floor(QUEUE_BYTES_MAX.bulk / (1024 * 1024 + 100));
  await watch.until(() => n2.messages.length === fit + 1);
  n1.transport.send(n2.id, append(1));
  await watch.until(() => n2.messages.length === fit + 2);
  expect(typesOf(n2).filter((type) => type === 'append')).toHaveLength(fit + 1);
  expect(n1.unreachable).toEqual(['n2']);
});

test('a frame larger than the queue passes when the queue is empty', async () => {
  const [n1, n2] = await pair();
  n1.transport.send(n2.id, append(QUEUE_BYTES_MAX.bulk + 1));
  await watch.until(() => n2.messages.length === 1);
  expect(n1.unreachable).toEqual([]);
});

test('a message to a node that is not there is dropped, outside of send', async () => {
  const n1 = await start('n1');
  n1.transport.send(asNodeId('n9'), heartbeat(1));
  expect(n1.unreachable).toEqual([]);
  await watch.until(() => n1.unreachable.length === 1);
  expect(n1.unreachable).toEqual(['n9']);
});

test('a killed peer is reported down once, and connected again when it is back', async () => {
  const [n1, n2, n3] = (await cluster(['n1', 'n2', 'n3'])) as [TestNode, TestNode, TestNode];
  await n2.kill();
  await watch.until(() => n1.down.length > 0 && n3.down.length > 0);
  // The redials that follow are refused as well.
  const [before1, before3] = [failures(n1, 'n2'), failures(n3, 'n2')];
  await watch.until(() => failures(n1, 'n2') >= before1 + 4 && failures(n3, 'n2') >= before3 + 4);
  const members = [n1, n2, n3].map(({ member }) => member);
  const back = await start('n2', { port: Number(new URL(n2.url).port), peers: members });
  await connected([n1, back, n3]);
  for (const node of [n1, n3]) node.transport.send(back.id, heartbeat(2));
  await watch.until(() => back.messages.length === 2);
  expect([n1.down, n3.down]).toEqual([['n2'], ['n2']]);
  await back.kill();
  await watch.until(() => n1.down.length === 2 && n3.down.length === 2);
});

test('a network that goes silent is noticed, is not taken for a dead process, and heals', async () => {
  const [n1, n2] = [await start('n1', { heartbeatMs: 100 }), await start('n2', { heartbeatMs: 100 })];
  const proxy = await startProxy(Number(new URL(n1.url).port));
  n1.transport.setPeers([n2.member], []);
  n2.transport.setPeers([{ id: n1.id, url: proxy.url, incarnation: '1' }], []);
  await connected([n1, n2]);
  proxy.hold('');
  await watch.until(() => n2.log.some(({ msg }) => msg.startsWith('no stream from n1')));
  const before = n2.messages.length;
  proxy.release();
  const sending = setInterval(() => n1.transport.send(n2.id, heartbeat(1)), 20);
  await watch.until(() => n2.messages.length > before);
  clearInterval(sending);
  expect([...n1.down, ...n2.down]).toEqual([]);
});

test('connections that all break, without a refusal, are no sign of a dead process', async () => {
  const [n1, n2] = [await start('n1'), await start('n2')];
  const to1 = await startProxy(Number(new URL(n1.url).port));
  const to2 = await startProxy(Number(new URL(n2.url).port));
  n1.transport.setPeers([{ id: n2.id, url: to2.url, incarnation: '1' }], []);
  n2.transport.setPeers([{ id: n1.id, url: to1.url, incarnation: '1' }], []);
  await connected([n1, n2]);
  const before = failures(n1, 'n2');
  to1.hangUp();
  to2.hangUp();
  await watch.until(() => failures(n1, 'n2') >= before + 6 && !n1.transport.connected(n2.id));
  expect(n1.down).toEqual([]);
});

test('a stream with nothing to say keeps beating', async () => {
  const [n1, n2] = [await start('n1', { heartbeatMs: 100 }), await start('n2', { heartbeatMs: 100 })];
  const proxy = await startProxy(Number(new URL(n1.url).port));
  n1.transport.setPeers([n2.member], []);
  n2.transport.setPeers([{ id: n1.id, url: proxy.url, incarnation: '1' }], []);
  // Head and first heartbeat may be two pieces; a stream without more would not get beyond them.
  await watch.until(() => proxy.pieces() >= 6);
});

test('a stream opened anew by the same peer replaces the one it has', async () => {
  const [n1, n2] = await pair();
  const path = '/raft/v1/main/stream/control';
  const first = await request(n1.url + path, { headers: headersOf('n2') });
  expect(first.statusCode).toBe(200);
  const ended = first.body.dump({ limit: 1024 * 1024 }).catch(() => {});
  // n2 itself lost its stream to ours, dials again and takes the place back: ours ends.
  await ended;
  await connected([n1, n2]);
});

test('a member that leaves is turned away as removed, and knows it from then on', async () => {
  const [n1, n2] = await pair();
  n1.transport.setPeers([n1.member], [n2.id]);
  await watch.until(() => n2.log.some(({ msg }) => msg.includes(REFUSALS.removed.text)));
  expect(n1.transport.connected(n2.id)).toBe(false);
  expect([...n1.down, ...n1.unreachable]).toEqual([]);
  expect([...n2.removedBy]).toEqual(['n1']);
});

test('what a member says together with its farewell is heard', async () => {
  const [n1, n2] = await pair();
  n2.onMessage = ({ type }) => {
    if (type === 'heartbeat') n2.transport.setPeers([n2.member], [n1.id]);
  };
  n1.transport.send(n2.id, heartbeat(1));
  n1.transport.send(n2.id, { type: 'timeoutNow', term: asTerm(1) });
  await watch.until(() => n2.messages.length === 2);
  expect(typesOf(n2)).toEqual(['heartbeat', 'timeoutNow']);
});

test('a member under another data directory is refused on both sides', async () => {
  const n1 = await start('n1', { incarnation: 'a' });
  const wiped = await start('n2', { incarnation: 'c', peers: [n1.member] });
  n1.transport.setPeers([{ ...wiped.member, incarnation: 'b' }], []);
  const told = ({ log }: TestNode, start: string): boolean =>
    log.some(({ msg }) => msg.startsWith(start) && msg.includes(REFUSALS.impostor.text));
  await watch.until(() => told(n1, 'turned n2 away') && told(n1, 'no stream from n2'));
  await watch.until(() => told(wiped, 'no stream from n1'));
  expect(n1.transport.connected(wiped.id)).toBe(false);
});

test('a member that a node has not heard of is heard as a guest, until the configuration names it', async () => {
  const [n1, n2] = await pair();
  const n4 = await start('n4', { peers: [n1.member, n2.member] });
  await connected([n1, n4]);
  n4.transport.send(n1.id, heartbeat(1));
  await watch.until(() => n1.messages.length === 1);
  // The guest's id is its own: nobody else takes it.
  const answer = await request(`${n1.url}/raft/v1/main/stream/control`, {
    headers: headersOf('n4', { 'x-kvorum-incarnation': 'other' }),
  });
  expect(answer.statusCode).toBe(REFUSALS.unknown.status);
  await answer.body.dump();
  n1.transport.setPeers([n2.member, n4.member], []);
  expect(n1.transport.connected(n4.id)).toBe(true);
  n1.transport.setPeers([n2.member], [n4.id]);
  expect(n1.transport.connected(n4.id)).toBe(false);
});

test('while a newcomer reads of members as they were long ago, what they say of themselves counts', async () => {
  const n5 = await start('n5');
  const n1 = await start('n1', { peers: [n5.member] });
  await connected([n1, n5]);
  const moved = { ...n1.member, url: 'http://127.0.0.1:1' };
  for (const old of [moved, { ...n1.member, incarnation: 'before' }, n1.member]) {
    n5.transport.setPeers([old], [], true);
    expect(n5.transport.connected(n1.id)).toBe(true);
  }
  // Nor does it matter which came first.
  const n6 = await start('n6');
  n6.transport.setPeers([moved], [], true);
  n1.transport.setPeers([n6.member], []);
  await connected([n1, n6]);
  n1.transport.send(n6.id, heartbeat(1));
  await watch.until(() => n6.messages.length === 1);
  n6.transport.setPeers([n1.member], []);
  expect(n6.transport.connected(n1.id)).toBe(true);
});

test('guests that are gone make room for others', async () => {
  const n1 = await start('n1', { heartbeatMs: 10 });
  const n2 = await start('n2', { peers: [n1.member] });
  await connected([n1, n2]);
  const knock = async (id: string): Promise<unknown> => {
    // For a snapshot that there is none of: who is let in is told so.
    const answer = await request(`${n1.url}/raft/v1/main/snapshot/1-00000000?offset=0`, {
      headers: headersOf(id),
    });
    await answer.body.dump();
    return answer.headers['x-kvorum-refusal'];
  };
  for (let guest = 1; guest < 18; guest += 1) expect(await knock(`g${guest}`)).toBe('snapshot');
  expect(await knock('late')).toBe('unknown');
  await expect.poll(() => knock('late'), { timeout: 30_000 }).toBe('snapshot');
  // One that is there is not forgotten.
  expect(n1.transport.connected(n2.id)).toBe(true);
});

test('a node that is not yet part of a cluster says so', async () => {
  const n1 = await start('n1', { clusterId: null });
  const n2 = await start('n2', { peers: [n1.member] });
  await watch.until(() => n2.log.some(({ msg }) => msg.includes(REFUSALS.starting.text)));
});

test('closing the server ends the streams first', async () => {
  const [n1, n2] = await pair();
  await n1.app.close();
  await watch.until(() => n2.down.length === 1);
});

/** What n2 would send to n1. */
function headersOf(id: string, changed: Record<string, string> = {}): Record<string, string> {
  return {
    'x-kvorum-cluster': 'test',
    'x-kvorum-group': 'main',
    'x-kvorum-node': id,
    'x-kvorum-incarnation': '1',
    'x-kvorum-url': 'http://127.0.0.1:1',
    'x-kvorum-to': 'n1',
    'x-kvorum-version': String(PROTOCOL_VERSION),
    'x-kvorum-client': 'n2.test:6380',
    authorization: 'Bearer open sesame',
    ...changed,
  };
}

const REFUSED: readonly (readonly [Refusal, Record<string, string>])[] = [
  ['secret', { authorization: '' }],
  ['secret', { authorization: 'Bearer open sesam' }],
  ['version', { 'x-kvorum-version': '1' }],
  ['cluster', { 'x-kvorum-cluster': 'other' }],
  ['misdirected', { 'x-kvorum-to': 'n3' }],
  ['unknown', { 'x-kvorum-node': '../n2' }],
  ['unknown', { 'x-kvorum-node': 'n9', 'x-kvorum-url': 'nowhere' }],
  ['impostor', { 'x-kvorum-incarnation': '2' }],
  ['removed', { 'x-kvorum-node': 'n8' }],
];

test.each(REFUSED)('a request is refused for its %s: %o', async (refusal, changed) => {
  const n1 = await start('n1', { secret: 'open sesame' });
  const n2: Member = { id: n2Id, url: 'http://127.0.0.1:1', incarnation: '1' };
  n1.transport.setPeers([n2], [asNodeId('n8')]);
  for (const path of ['stream/control', 'snapshot/1-00000000?offset=0']) {
    const answer = await request(`${n1.url}/raft/v1/main/${path}`, { headers: headersOf('n2', changed) });
    expect(answer.statusCode).toBe(REFUSALS[refusal].status);
    expect(await answer.body.json()).toEqual({ error: REFUSALS[refusal].text });
  }
  const lines = n1.log.filter(({ msg }) => msg.includes('turned'));
  expect(lines).toHaveLength(1);
  expect(JSON.stringify(n1.log)).not.toContain('sesam');
});

test('nodes with different secrets say so on both ends and do not connect', async () => {
  const [n1, n2] = [await start('n1', { secret: 'one' }), await start('n2', { secret: 'two' })];
  for (const node of [n1, n2]) node.transport.setPeers([n1.member, n2.member], []);
  const told = ({ log }: TestNode, start: string): boolean =>
    log.some(({ msg }) => msg.startsWith(start) && msg.includes(REFUSALS.secret.text));
  await watch.until(() => told(n1, 'turned n2 away') && told(n2, 'turned n1 away'));
  await watch.until(() => told(n1, 'no stream from n2') && told(n2, 'no stream from n1'));
  expect(n1.transport.connected(n2.id)).toBe(false);
});

/** A server that claims to be n2 to n1, and streams these bytes. */
async function startImpostor(headers: Record<string, string>, bytes: Buffer): Promise<Member> {
  const server = createHttpServer((_request, response) => {
    response.writeHead(200, headers);
    response.write(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
  };
  running.push({ stop });
  return {
    id: asNodeId('n2'),
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    incarnation: '1',
  };
}

const [n1Id, n2Id, n3Id] = [asNodeId('n1'), asNodeId('n2'), asNodeId('n3')];
const IMPOSTORS: readonly (readonly [string, Record<string, string>, Buffer, string])[] = [
  ['is another node', headersOf('n3'), encodeFrame(n2Id, n1Id, heartbeat(1)), REFUSALS.misdirected.text],
  [
    'is of another cluster',
    headersOf('n2', { 'x-kvorum-cluster': 'x' }),
    encodeFrame(n2Id, n1Id, heartbeat(1)),
    REFUSALS.cluster.text,
  ],
  [
    'has another data directory',
    headersOf('n2', { 'x-kvorum-incarnation': '2' }),
    encodeFrame(n2Id, n1Id, heartbeat(1)),
    REFUSALS.impostor.text,
  ],
  [
    'is of another version',
    headersOf('n2', { 'x-kvorum-version': '1' }),
    encodeFrame(n2Id, n1Id, heartbeat(1)),
    REFUSALS.version.text,
  ],
  [
    'is of another group',
    headersOf('n2', { 'x-kvorum-group': 'g2' }),
    encodeFrame(n2Id, n1Id, heartbeat(1)),
    REFUSALS.misdirected.text,
  ],
  ['is no node at all', {}, encodeFrame(n2Id, n1Id, heartbeat(1)), 'not a kvorum node'],
  [
    'speaks for another',
    headersOf('n2'),
    encodeFrame(n3Id, n1Id, heartbeat(1)),
    'a frame from n3 to n1 came on the stream from n2',
  ],
  [
    'speaks to another',
    headersOf('n2'),
    encodeFrame(n2Id, n3Id, heartbeat(1)),
    'a frame from n2 to n3 came on the stream from n2',
  ],
  ['speaks nonsense', headersOf('n2'), Buffer.from('nonsense, nonsense'), 'frame has format'],
];

test.each(IMPOSTORS)('a peer is not listened to that %s', async (_, headers, bytes, reason) => {
  const impostor = await startImpostor(headers, bytes);
  const n1 = await start('n1', { peers: [impostor] });
  await watch.until(() =>
    n1.log.some(({ msg }) => msg.startsWith('no stream from n2') && msg.includes(reason)),
  );
  expect(n1.messages).toEqual([]);
});

test('a group that nobody serves is a 404', async () => {
  const n1 = await start('n1');
  const answer = await request(`${n1.url}/raft/v1/other/stream/control`, { headers: headersOf('n2') });
  expect(answer.statusCode).toBe(404);
  await answer.body.dump();
});

test('a peer with an unusable address is a problem of that peer alone', async () => {
  const [n1, n2] = await pair();
  n1.transport.setPeers([n2.member, { id: asNodeId('n3'), url: 'nonsense', incarnation: '1' }], []);
  await watch.until(() => n1.log.some(({ msg }) => msg.startsWith('no stream from n3')));
  expect(n1.transport.connected(n2.id)).toBe(true);
});

test('an invariant that breaks in a receiver stops the process, and not only the stream', async () => {
  const n1 = await start('n1');
  const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
  const child = spawn(process.execPath, [
    '--input-type=module',
    '--eval',
    `
    import { Watch, startNode } from ${module('./testing/node.ts')};
    const peers = [{ id: 'n1', url: ${JSON.stringify(n1.url)}, incarnation: '1' }];
    const node = await startNode(new Watch(), 'n2', { peers });
    node.messages.push = () => { throw new Error('evidence of a broken invariant'); };
    console.log(node.url);
  `,
  ]);
  running.push({ stop: async () => void child.kill() });
  let errors = '';
  child.stderr.on('data', (bytes: Buffer) => (errors += bytes.toString()));
  child.stdout.once('data', (bytes: Buffer) => {
    n1.transport.setPeers([{ id: asNodeId('n2'), url: bytes.toString().trim(), incarnation: '1' }], []);
  });
  await watch.until(() => n1.transport.connected(asNodeId('n2')) || child.exitCode !== null);
  n1.transport.send(asNodeId('n2'), heartbeat(1));
  const [code] = (await once(child, 'close')) as [number];
  expect(errors).toContain('evidence of a broken invariant');
  expect(code).not.toBe(0);
});
