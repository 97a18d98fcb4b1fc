import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { request } from 'undici';
import { type Message, type NodeId, EntryType, asIndex, asNodeId, asTerm } from '../raft/types.ts';
import { PROTOCOL_VERSION } from './identity.ts';
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
  for (const node of nodes) node.transport.setPeers(nodes.map(({ member }) => member));
  await connected(nodes);
  return nodes;
}

async function connected(nodes: readonly TestNode[]): Promise<void> {
  const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => ({ from, to })));
  await watch.until(() => pairs.every(({ from, to }) => from.transport.connected(to.id)));
}

const heartbeat = (round: number): Message => ({
  type: 'heartbeat',
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
  stop(): Promise<void>;
}

async function startProxy(port: number): Promise<Proxy> {
  const pairs = new Set<{ near: Socket; far: Socket; path: string }>();
  let held: string | null = null;
  const isHeld = (path: string): boolean => held !== null && path.startsWith(held);
  const server: Server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const pair = { near, far, path: '' };
    pairs.add(pair);
    near.on('data', (bytes) => {
      if (pair.path === '') pair.path = bytes.toString('latin1').split(' ')[1] ?? '';
      far.write(bytes);
      if (isHeld(pair.path)) near.pause();
    });
    far.on('data', (bytes) => near.write(bytes));
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
  n1.transport.setPeers([n2.member]);
  n2.transport.setPeers([{ id: n1.id, url: proxy.url }]);
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
