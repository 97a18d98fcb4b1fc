/** What clients that track are told, beyond what test/unit/tracking.test.ts compares with Redis: time, bounds, other lanes. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noReply } from '../store/reply.ts';
import { dataCommandOf } from '../store/table.ts';
import type { ClientPort } from './client-port.ts';
import type { Request } from './engine.ts';
import { FakeEngine, OTHER } from './testing/engine.ts';
import { portOf } from './testing/port.ts';
import { RawClient } from './testing/socket.ts';

let engine: FakeEngine;
let port: ClientPort;
let reader: RawClient;
let writer: RawClient;
/** What was passed on to the leader and waits for its answer. */
let forwarded: Request[];

beforeEach(async () => {
  engine = new FakeEngine();
  forwarded = [];
  port = portOf(engine, {
    maxRequestBytes: 1024 * 1024,
    forwarder: { submit: (request) => forwarded.push(request) },
    proxy: true,
  });
  const { port: number } = await port.listen();
  reader = await RawClient.connect(number);
  writer = await RawClient.connect(number);
  reader.request('HELLO 3');
  await reader.through('modules\r\n*0\r\n');
});

afterEach(async () => {
  reader.socket.destroy();
  writer.socket.destroy();
  await port.close();
});

async function track(options = ''): Promise<void> {
  reader.request(`CLIENT TRACKING ON${options}`);
  await reader.expect('+OK');
}

function invalidate(...keys: string[]): string {
  return [
    '>2',
    '$10',
    'invalidate',
    `*${keys.length}`,
    ...keys.flatMap((key) => [`$${key.length}`, key]),
  ].join('\r\n');
}

/** Applies a write as a follower does. */
function apply(line: string): void {
  const args = line.split(' ');
  engine.store.beginEntry(engine.store.appliedIndex + 1, engine.now());
  engine.store.execute(dataCommandOf(args)!, args, noReply);
  engine.store.endEntry();
}

test('a key that expires, or goes to make room, is gone for those who have read it', async () => {
  await track();
  reader.request('SET a 1 PXAT 1700000000200', 'SET b 1', 'GET a', 'GET b');
  await reader.expect('+OK', '+OK', '$1', '1', '$1', '1');
  const { store } = engine;
  store.beginEntry(store.appliedIndex + 1, 1_700_000_001_000);
  store.expire(store.dueKeys(1_700_000_001_000, 10));
  store.evict(['b']);
  store.endEntry();
  await reader.expect(invalidate('a'), invalidate('b'));
});

test('NOLOOP: who meets a key of its own that has expired is told, though it was its own write', async () => {
  await track(' NOLOOP');
  reader.request('SET a 1 PXAT 1700000000124', 'GET a');
  await reader.expect('+OK', '$1', '1');
  engine.now = () => 1_700_000_000_200;
  reader.request('SET a 2 XX');
  await reader.expect('_', invalidate('a'));
});

test('NOLOOP with prefixes: what it emptied itself is its own; what another one changed in the same turn is not', async () => {
  await track(' NOLOOP BCAST PREFIX a PREFIX b');
  reader.request('RPUSH a1 x', 'LPOP a1', 'PING');
  await reader.expect(':1', '$1', 'x', '+PONG');
  engine.holding = true;
  reader.request('SET b1 1', 'SET b2 1');
  await engine.whenOpen(2);
  writer.request('SET b1 2');
  await engine.whenOpen(3);
  engine.settle();
  await reader.expect('+OK', '+OK', invalidate('b1'));
});

test('after a snapshot has taken the place of the state, all copies are void', async () => {
  await track();
  apply('SET a 1');
  reader.request('GET a');
  await reader.expect('$1', '1');
  const snapshot = engine.store.startSnapshot();
  const decoder = engine.store.beginRestore();
  for (let block = snapshot.next(1 << 20); block !== null; block = snapshot.next(1 << 20))
    decoder.push(block);
  decoder.finish();
  await reader.expect('>2\r\n$10\r\ninvalidate\r\n_');
  apply('SET a 2');
  reader.request('PING');
  await reader.expect('+PONG');
});

test('there is a bound to the keys that are remembered: those read longest ago are told of as if they had changed', async () => {
  writer.request('CONFIG SET tracking-table-max-keys 2');
  await writer.expect('+OK');
  await track();
  reader.request('MGET a b c');
  await reader.expect('*3', '_', '_', '_', invalidate('a'));
  apply('SET a 1');
  apply('SET b 1');
  await reader.expect(invalidate('b'));
  expect(port.tracking.keys).toBe(1);
});

test('the client that should be told is gone: the one that reads hears of that', async () => {
  writer.request('CLIENT ID');
  await writer.expect(':2');
  await track(' REDIRECT 2');
  reader.request('GET a');
  await reader.expect('_');
  writer.socket.destroy();
  while (port.sessions.size > 1) await new Promise((resolve) => setImmediate(resolve));
  apply('SET a 1');
  await reader.expect('>2', '$21', 'tracking-redir-broken', ':2');
  reader.request('CLIENT TRACKINGINFO');
  await reader.through('broken_redirect\r\n');
});

test('who is gone is forgotten, and nothing is listened to when nobody tracks', async () => {
  await track();
  reader.request('GET a');
  await reader.expect('_');
  expect([port.tracking.clients, port.tracking.keys, port.tracking.items]).toEqual([1, 1, 1]);
  reader.socket.destroy();
  while (port.sessions.size > 1) await new Promise((resolve) => setImmediate(resolve));
  expect([port.tracking.clients, port.tracking.keys, port.tracking.items]).toEqual([0, 0, 0]);
});

test('a follower tells of what it applies to those who read from it', async () => {
  engine.leading = false;
  engine.leader = OTHER;
  reader.request('READONLY');
  await reader.expect('+OK');
  await track();
  reader.request('GET a');
  await reader.expect('_');
  apply('SET a 1');
  await reader.expect(invalidate('a'));
});

/** Answers a read that was passed on. */
function answer(value: string): void {
  const request = forwarded.shift()!;
  request.client.reply.bulk(value);
  request.client.settled(1);
}

async function passedOn(): Promise<void> {
  while (forwarded.length === 0) await new Promise((resolve) => setImmediate(resolve));
}

test('a read that is passed on: what changes while it is away is told again behind the reply', async () => {
  engine.leading = false;
  engine.leader = OTHER;
  await track();
  reader.request('GET a');
  await passedOn();
  // It may be what the reply tells already, or later: the node can't know.
  apply('SET a 1');
  await reader.expect(invalidate('a'));
  answer('1');
  await reader.expect('$1', '1', invalidate('a'));
  // Its client may have kept it all the same: some look at what comes with a reply before they look at the reply.
  apply('SET a 2');
  await reader.expect(invalidate('a'));
  reader.request('GET a');
  await passedOn();
  answer('1');
  await reader.expect('$1', '1');
  apply('SET a 3');
  await reader.expect(invalidate('a'));
});

test('CLIENT LIST shows who tracks, and where it is told', async () => {
  await track(' BCAST REDIRECT 2');
  writer.request('CLIENT LIST ID 1');
  expect(await writer.bulk()).toMatch(/ flags=tB .* redir=2 /);
});
