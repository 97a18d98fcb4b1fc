/**
 * Two processes on loopback, through the whole transport: round trips of a heartbeat and its reply, one at a time and
 * several under way, and appends of a few sizes in one direction.
 *
 *     node bench/transport.ts [seconds per measurement, 2 by default]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { pino } from 'pino';
import {
  type Append,
  type Message,
  EntryType,
  asGroupId,
  asIndex,
  asNodeId,
  asTerm,
} from '../src/raft/types.ts';
import { Guard } from '../src/transport/identity.ts';
import { Transport } from '../src/transport/transport.ts';

const [near, far] = [asNodeId('near'), asNodeId('far')];
const term = asTerm(1);
const [commit, match] = [asIndex(1), asIndex(1)];
const heartbeat: Message = { type: 'heartbeat', term, commit, match, matchTerm: term, round: 1 };
const WARM_UP_MS = 500;

interface Running {
  readonly transport: Transport;
  readonly url: string;
  onMessage: (message: Message) => void;
  onDown: () => void;
}

async function start(id: typeof near): Promise<Running> {
  const app = fastify();
  const running = { onMessage: () => {}, onDown: () => {} } as Pick<Running, 'onMessage' | 'onDown'>;
  const transport = new Transport({
    self: { id, group: asGroupId('bench'), incarnation: '1' },
    clusterId: () => 'bench',
    guard: new Guard('bench'),
    url: () => 'http://127.0.0.1:1',
    clientAddress: () => ({ host: '127.0.0.1', port: 1 }),
    heartbeatMs: 500,
    logger: pino({ level: 'silent' }),
    snapshots: { open: () => null },
    onMessage: (_from, message) => running.onMessage(message),
    onPeerDown: () => running.onDown(),
    onUnreachable: () => {},
    onPeerAddress: () => {},
    onRemoved: () => {},
  });
  transport.routes(app);
  transport.setPeers([], []);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return Object.assign(running, { transport, url });
}

/** The other process: answers heartbeats and appends, tells its address, dies when killed. */
async function runFar(nearUrl: string): Promise<void> {
  const node = await start(far);
  node.transport.setPeers([{ id: near, url: nearUrl, incarnation: '1' }], []);
  const round: Message = { type: 'heartbeatReply', term, round: 1, recovering: false };
  const appended: Message = { type: 'appendReply', term, result: { ok: true, match: asIndex(1) } };
  node.onMessage = ({ type }) => node.transport.send(near, type === 'append' ? appended : round);
  process.send?.(node.url);
}

/** Keeps `depth` messages under way; gives every round trip in microseconds. */
function measure(node: Running, message: Message, depth: number, milliseconds: number): Promise<number[]> {
  return new Promise((resolve) => {
    const trips: number[] = [];
    const sentAt: number[] = [];
    const warm = performance.now() + WARM_UP_MS;
    const end = warm + milliseconds;
    const send = (): void => {
      sentAt.push(performance.now());
      node.transport.send(far, message);
    };
    node.onMessage = () => {
      const now = performance.now();
      const sent = sentAt.shift() ?? now;
      if (sent >= warm && now <= end) trips.push((now - sent) * 1000);
      if (now < end) send();
      else if (sentAt.length === 0) resolve(trips);
    };
    for (let sent = 0; sent < depth; sent++) send();
  });
}

function append(bytes: number): Append {
  const payload = Buffer.alloc(bytes, 'payload ');
  const entry = { index: asIndex(2), term, type: EntryType.batch, payload };
  return {
    type: 'append',
    term,
    prevIndex: asIndex(1),
    prevTerm: term,
    commit: asIndex(1),
    entries: [entry],
  };
}

async function runNear(seconds: number): Promise<void> {
  const node = await start(near);
  const child: ChildProcess = fork(import.meta.filename, ['--far', node.url]);
  const [url] = (await once(child, 'message')) as [string];
  node.transport.setPeers([{ id: far, url, incarnation: '1' }], []);
  while (!node.transport.connected(far)) await new Promise((resolve) => setTimeout(resolve, 5));

  const cases: readonly (readonly [string, Message])[] = [
    ['heartbeat', heartbeat],
    ['append 200 B', append(200)],
    ['append 4 KiB', append(4 * 1024)],
    ['append 64 KiB', append(64 * 1024)],
    ['append 1 MiB', append(1024 * 1024)],
  ];
  console.log('message         depth   p50 µs   p99 µs   messages/s   MB/s');
  for (const [name, message] of cases) {
    for (const depth of [1, 8]) {
      const trips = (await measure(node, message, depth, seconds * 1000)).sort((a, b) => a - b);
      const at = (part: number): string => (trips[Math.floor(trips.length * part)] ?? Number.NaN).toFixed(0);
      const rate = trips.length / seconds;
      const bytes = message.type === 'append' ? (message.entries[0]?.payload.length ?? 0) : 0;
      const columns = [String(depth).padStart(5), at(0.5).padStart(8), at(0.99).padStart(8)];
      const rates = [rate.toFixed(0).padStart(12), ((rate * bytes) / 1e6).toFixed(0).padStart(6)];
      console.log(`${name.padEnd(15)} ${[...columns, ...rates].join(' ')}`);
    }
  }

  const killed = performance.now();
  const down = new Promise<void>((resolve) => {
    node.onDown = resolve;
  });
  child.kill('SIGKILL');
  await down;
  console.log(`kill -9 of the peer reported after ${(performance.now() - killed).toFixed(0)} ms`);
  process.exit(0);
}

const [first, nearUrl] = process.argv.slice(2);
if (first === '--far') await runFar(nearUrl ?? '');
else await runNear(Number(first ?? 2));
