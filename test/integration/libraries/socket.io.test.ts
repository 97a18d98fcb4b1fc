/** Socket.IO: one chat on two servers, which meet through the cluster: over pub/sub, sharded pub/sub, or a stream. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter';
import { Cluster as ClusterClient, Redis } from 'ioredis';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess } from '../cluster.ts';

const PATIENCE_MS = 20_000;

type Client = Redis | ClusterClient;
type AdapterOf = Parameters<Server['adapter']>[0];

const adapters: readonly [name: string, make: (client: Client) => NonNullable<AdapterOf>][] = [
  ['pub/sub', (client) => createAdapter(client, duplicate(client))],
  ['sharded pub/sub', (client) => createShardedAdapter(client, duplicate(client))],
  ['a stream', (client) => createStreamsAdapter(client)],
];

function duplicate(client: Client): Client {
  return closedAtTheEnd(client instanceof ClusterClient ? client.duplicate() : client.duplicate());
}

function closedAtTheEnd(client: Client): Client {
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start(3, ['--proxy']);
});
afterAll(() => cluster.stop());

function clusterClient(): Client {
  const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  return closedAtTheEnd(
    new ClusterClient(nodes, { clusterRetryStrategy: () => 50, shardedSubscribers: true }),
  );
}

function plainClient({ port }: NodeProcess): Client {
  return closedAtTheEnd(new Redis(port, '127.0.0.1', { retryStrategy: () => 50 }));
}

interface Chat {
  readonly server: Server;
  readonly url: string;
}

async function openChat(adapter: NonNullable<AdapterOf>): Promise<Chat> {
  const http = createServer();
  const server = new Server(http, { adapter });
  server.on('connection', (socket) => {
    socket.on('enter', async (room: string, done: () => void) => {
      await socket.join(room);
      done();
    });
    socket.on('say', (room: string, text: string) => server.to(room).emit('said', text));
  });
  server.on('count', (answer: (count: number) => void) => answer(server.engine.clientsCount));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(() => server.close());
  return { server, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

interface Person {
  readonly socket: Socket;
  readonly heard: string[];
}

async function enter(chat: Chat, room: string): Promise<Person> {
  const socket = io(chat.url, { transports: ['websocket'], forceNew: true });
  onTestFinished(() => void socket.disconnect());
  const heard: string[] = [];
  socket.on('said', (text: string) => heard.push(text));
  await socket.emitWithAck('enter', room);
  return { socket, heard };
}

describe.each(adapters)('over %s', (_name, makeAdapter) => {
  test('people in a room hear each other, whichever server and node they are on', async () => {
    const [first, second] = await cluster.followers();
    const chat = await openChat(makeAdapter(plainClient(first!)));
    const otherChat = await openChat(makeAdapter(plainClient(second!)));
    const [ann, bob] = [await enter(chat, 'tea'), await enter(otherChat, 'tea')];
    const cy = await enter(otherChat, 'coffee');
    // The servers find each other when they listen: until then what one says stays with it.
    await expect
      .poll(
        () => {
          ann.socket.emit('say', 'tea', 'hello');
          return bob.heard.includes('hello');
        },
        { timeout: PATIENCE_MS },
      )
      .toBe(true);
    await bobAnswers(bob, ann);
    expect(cy.heard).toEqual([]);

    const killed = await cluster.leader();
    await cluster.kill(killed);
    await expect
      .poll(
        () => {
          bob.socket.emit('say', 'tea', 'still there?');
          return ann.heard.includes('still there?');
        },
        { timeout: PATIENCE_MS },
      )
      .toBe(true);
    await cluster.launch(killed);
    expect(cy.heard).toEqual([]);
  });

  test('servers know of each other and of all who are there', async () => {
    const chat = await openChat(makeAdapter(clusterClient()));
    const otherChat = await openChat(makeAdapter(clusterClient()));
    await enter(chat, 'tea');
    await enter(otherChat, 'tea');
    await enter(otherChat, 'coffee');
    const inRoom = async (room: string): Promise<number> =>
      (await chat.server.in(room).fetchSockets()).length;
    await expect.poll(() => chat.server.of('/').adapter.serverCount(), { timeout: PATIENCE_MS }).toBe(2);
    await expect.poll(() => inRoom('tea'), { timeout: PATIENCE_MS }).toBe(2);
    expect(await inRoom('coffee')).toBe(1);
    otherChat.server.on('who', (answer: (name: string) => void) => answer('other'));
    expect(await chat.server.serverSideEmitWithAck('who')).toEqual(['other']);
    otherChat.server.in('coffee').disconnectSockets(true);
    await expect.poll(() => inRoom('coffee'), { timeout: PATIENCE_MS }).toBe(0);
  });
});

async function bobAnswers(bob: Person, ann: Person): Promise<void> {
  bob.socket.emit('say', 'tea', 'hello, ann');
  await expect.poll(() => ann.heard.includes('hello, ann'), { timeout: PATIENCE_MS }).toBe(true);
}
