/** connect-redis: the sessions of a web shop run by two servers, which outlive the servers and the cluster's leader. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess } from '../cluster.ts';

const HOUR_S = 3600;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start(3, ['--proxy']);
});
afterAll(() => cluster.stop());

interface Shop {
  readonly url: string;
  readonly store: RedisStore;
  close(): void;
}

/** A web server with a basket per visitor, whose sessions are kept on this node. */
async function openShop(node: NodeProcess): Promise<Shop> {
  const client = createClient({ socket: { port: node.port, reconnectStrategy: () => 50 } });
  client.on('error', () => {});
  await client.connect();
  const store = new RedisStore({ client, prefix: 'shop:' });
  const app = express();
  app.use(
    session({
      store,
      secret: 'nobody knows',
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: HOUR_S * 1000 },
    }),
  );
  app.get('/buy', (request, response) => {
    const basket = (request.session['basket'] ?? []) as string[];
    request.session['basket'] = [...basket, request.query['item']];
    response.json(request.session['basket']);
  });
  app.get('/basket', (request, response) => response.json(request.session['basket'] ?? []));
  app.get('/leave', (request, response) => request.session.destroy(() => response.json('bye')));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    server.close();
    server.closeAllConnections();
    if (client.isOpen) client.destroy();
  };
  onTestFinished(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, store, close };
}

/** Somebody with a browser, which keeps the cookie. */
class Visitor {
  #cookie = '';

  async get(shop: Shop, path: string): Promise<unknown> {
    const answer = await fetch(`${shop.url}${path}`, { headers: { cookie: this.#cookie } });
    this.#cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? this.#cookie;
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}

test('a basket is the same on both servers, and outlives a server and the leader', async () => {
  const [first, second] = await cluster.followers();
  const [shop, otherShop] = [await openShop(first!), await openShop(second!)];
  const [ann, bob] = [new Visitor(), new Visitor()];
  expect(await ann.get(shop, '/buy?item=tea')).toEqual(['tea']);
  expect(await ann.get(otherShop, '/buy?item=milk')).toEqual(['tea', 'milk']);
  expect(await bob.get(otherShop, '/basket')).toEqual([]);

  shop.close();
  const reopened = await openShop(first!);
  expect(await ann.get(reopened, '/basket')).toEqual(['tea', 'milk']);

  const killed = await cluster.leader();
  await cluster.kill(killed);
  expect(await ann.get(reopened, '/basket')).toEqual(['tea', 'milk']);
  expect(await ann.get(otherShop, '/buy?item=bread')).toEqual(['tea', 'milk', 'bread']);
  await cluster.launch(killed);
  expect(await ann.get(reopened, '/basket')).toEqual(['tea', 'milk', 'bread']);

  await ann.get(reopened, '/leave');
  expect(await ann.get(otherShop, '/basket')).toEqual([]);
});

test('sessions have a deadline, can be counted, listed and cleared', async () => {
  const node = await cluster.follower();
  const shop = await openShop(node);
  await Promise.all(Array.from({ length: 120 }, (_, at) => new Visitor().get(shop, `/buy?item=${at}`)));
  expect(await shop.store.length()).toBe(120);
  const all = (await shop.store.all()) as { readonly basket: readonly string[] }[];
  expect(new Set(all.map(({ basket }) => basket[0])).size).toBe(120);
  const client = await createClient({ socket: { port: node.port } }).connect();
  const [id] = (await shop.store.ids()) as string[];
  const left = await client.ttl(`shop:${id}`);
  client.destroy();
  expect(left).toBeGreaterThan(HOUR_S - 600);
  expect(left).toBeLessThanOrEqual(HOUR_S);
  await shop.store.clear();
  expect(await shop.store.length()).toBe(0);
});
