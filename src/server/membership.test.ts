import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import {
  asNodeId,
  type Learner,
  type Member,
  type MemberAddress,
  type MembershipChange,
  type MembershipRejection,
} from '../raft/types.ts';
import { Guard } from '../transport/identity.ts';
import type { ClusterView, Driver, MembershipOutcome } from './driver.ts';
import { addRoutes } from './http.ts';
import { Joining } from './joining.ts';
import { addMembershipRoutes, STRICT } from './membership.ts';
import { askNode, errorOf, type NodeAnswer } from './node-request.ts';

const member = (id: string): Member => ({
  id: asNodeId(id),
  url: `http://${id}:7380`,
  incarnation: '0123456789abcdef',
});

/** What the routes ask of a driver, without a log behind it. */
class FakeDriver {
  readonly id = asNodeId('n1');
  leading = true;
  leader: MemberAddress | null = null;
  outcome: MembershipOutcome | Promise<MembershipOutcome> = { ok: true };
  transferred = true;
  successor: string | null = null;
  voters: readonly Member[] = [member('n1'), member('n2')];
  readonly changes: MembershipChange[] = [];
  readonly transfers: (string | null)[] = [];

  async changeMembership(change: MembershipChange): Promise<MembershipOutcome> {
    this.changes.push(change);
    return this.outcome;
  }

  async transfer(to: string | null): Promise<boolean> {
    this.transfers.push(to);
    return this.transferred;
  }

  leaderMember(): MemberAddress | null {
    return this.leader;
  }

  clusterView(): ClusterView {
    return {
      clusterId: 'c',
      node: this.id,
      leader: this.leading ? this.id : (this.leader?.id ?? null),
      term: 3,
      configuration: { voters: this.voters, outgoing: [], learners: [], removed: [] },
      changing: false,
      commitIndex: 7,
      members: [],
    };
  }
}

interface TestNode {
  readonly driver: FakeDriver;
  readonly url: string;
  ask(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<NodeAnswer>;
}

async function start(secret: string | null = null, running = true): Promise<TestNode> {
  const app = fastify({ forceCloseConnections: true, ...STRICT });
  const driver = new FakeDriver();
  addRoutes(app, () => ({ name: 'starting' }));
  addMembershipRoutes(app, {
    guard: new Guard(secret),
    driver: () => (running ? (driver as unknown as Driver) : null),
    waiting: () => 'founding: waiting for n2',
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const headers = new Guard(secret).headers();
  return {
    driver,
    url,
    ask: (method, path, body) => askNode(url, { method, path, body, headers, timeoutMs: 5000 }),
  };
}

const NEW = { id: 'n4', url: 'http://n4:7380', incarnation: '00112233445566ff' };

test('every path says to the leader what it is for, and answers with the members', async () => {
  const node = await start();
  const learner: Learner = { ...NEW, id: asNodeId('n4'), promote: true, replaces: null };
  const asked: readonly (readonly ['POST' | 'PATCH' | 'DELETE', string, unknown, MembershipChange])[] = [
    ['POST', '/v1/cluster/members', NEW, { type: 'addLearner', learner }],
    [
      'POST',
      '/v1/cluster/members',
      { ...NEW, learner: true },
      { type: 'addLearner', learner: { ...learner, promote: false } },
    ],
    [
      'POST',
      '/v1/cluster/members',
      { ...NEW, replaces: 'n2' },
      { type: 'addLearner', learner: { ...learner, replaces: asNodeId('n2') } },
    ],
    [
      'PATCH',
      '/v1/cluster/members/n2',
      { url: 'http://b:1' },
      { type: 'setUrl', id: asNodeId('n2'), url: 'http://b:1' },
    ],
    ['DELETE', '/v1/cluster/members/n2', undefined, { type: 'remove', id: asNodeId('n2') }],
    ['POST', '/v1/cluster/members/n4/promote', {}, { type: 'promote', id: asNodeId('n4'), replaces: null }],
    [
      'POST',
      '/v1/cluster/members/n4/promote',
      { replaces: 'n2' },
      { type: 'promote', id: asNodeId('n4'), replaces: asNodeId('n2') },
    ],
  ];
  for (const [method, path, body, change] of asked) {
    const answer = await node.ask(method, path, body);
    expect(answer).toMatchObject({ status: 200, body: { clusterId: 'c', leader: 'n1' } });
    expect(node.driver.changes.at(-1)).toEqual(change);
  }
  expect(await node.ask('GET', '/v1/cluster')).toMatchObject({
    status: 200,
    body: { term: 3, changing: false },
  });
});

test.each<[MembershipRejection, number]>([
  ['notLeader', 503],
  ['notReady', 503],
  ['pending', 409],
  ['unsafe', 409],
  ['invalid', 422],
  ['unknown', 504],
])('a change that is turned away as %s is answered with %i and the words', async (reason, status) => {
  const node = await start();
  node.driver.outcome = { ok: false, reason, message: 'because' };
  const answer = await node.ask('DELETE', '/v1/cluster/members/n2');
  expect(answer).toEqual({ status, body: { error: { code: reason, message: 'because' } } });
});

test.each<['POST' | 'PATCH', string, unknown]>([
  ['POST', '/v1/cluster/members', { ...NEW, id: 'n/4' }],
  ['POST', '/v1/cluster/members', { ...NEW, url: 'n4:7380' }],
  ['POST', '/v1/cluster/members', { ...NEW, url: 'http://n4/path' }],
  ['POST', '/v1/cluster/members', { ...NEW, incarnation: 'x' }],
  ['POST', '/v1/cluster/members', { id: 'n4', url: 'http://n4:1' }],
  ['POST', '/v1/cluster/members/n4/promote', undefined],
  ['POST', '/v1/cluster/transfer', undefined],
  ['PATCH', '/v1/cluster/members/n4', { url: 7 }],
  ['POST', '/v1/cluster/members', { ...NEW, learners: true }],
  ['POST', '/v1/cluster/members', { ...NEW, learner: 'true' }],
  ['POST', '/v1/cluster/members/n4/promote', { replace: 'n2' }],
  ['POST', '/v1/cluster/transfer', { too: 'n2' }],
])('%s %s with %o is refused as it stands', async (method, path, body) => {
  const node = await start();
  const answer = await node.ask(method, path, body);
  expect(answer.status).toBe(400);
  expect(errorOf(answer).code).toBe('invalid');
  expect(node.driver.changes).toEqual([]);
  expect(node.driver.transfers).toEqual([]);
});

test('a field that nobody knows is named', async () => {
  const node = await start();
  const answer = await node.ask('POST', '/v1/cluster/members/n4/promote', { replace: 'n2' });
  expect(errorOf(answer).message).toBe('body has no field "replace"');
});

test('a node is added only where it can reach the others', async () => {
  const node = await start();
  node.driver.voters = [member('n1'), { ...member('n2'), url: 'http://0.0.0.0:7380' }];
  const answer = await node.ask('POST', '/v1/cluster/members', NEW);
  expect(answer.status).toBe(422);
  expect(errorOf(answer).message).toContain('first PATCH /v1/cluster/members/n2');
  expect(node.driver.changes).toEqual([]);
});

test('a follower passes on to the leader, secret and all, and answers what that answers', async () => {
  const [leader, follower] = [await start('open sesame'), await start('open sesame')];
  follower.driver.leading = false;
  follower.driver.leader = { id: asNodeId('n2'), url: leader.url };
  leader.driver.outcome = { ok: false, reason: 'unsafe', message: 'because' };
  expect(await follower.ask('POST', '/v1/cluster/members', NEW)).toEqual({
    status: 409,
    body: { error: { code: 'unsafe', message: 'because' } },
  });
  expect(leader.driver.changes).toHaveLength(1);
  expect(follower.driver.changes).toEqual([]);
  await follower.ask('POST', '/v1/cluster/transfer', { to: 'n2' });
  expect(leader.driver.transfers).toEqual(['n2']);
});

test('two nodes that take each other for the leader do not pass a request on for ever', async () => {
  const [one, other] = [await start(), await start()];
  one.driver.leading = other.driver.leading = false;
  one.driver.leader = { id: asNodeId('n2'), url: other.url };
  other.driver.leader = { id: asNodeId('n1'), url: one.url };
  const answer = await one.ask('DELETE', '/v1/cluster/members/n2');
  expect(answer.status).toBe(503);
  expect(errorOf(answer).code).toBe('notLeader');
  // Without a leader that answers, the members are still told, as this node knows them.
  expect(await one.ask('GET', '/v1/cluster')).toMatchObject({ status: 200, body: { leader: 'n2' } });
});

test('a leader that can’t be reached has done nothing; one that falls silent may have', async () => {
  const node = await start();
  node.driver.leading = false;
  node.driver.leader = { id: asNodeId('n2'), url: 'http://127.0.0.1:1' };
  expect(errorOf(await node.ask('DELETE', '/v1/cluster/members/n2')).code).toBe('notLeader');

  const silent = fastify();
  silent.delete('/v1/cluster/members/n2', (request) => {
    request.raw.socket.destroy();
    return new Promise(() => undefined);
  });
  await silent.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => silent.close());
  const { port } = silent.server.address() as AddressInfo;
  node.driver.leader = { id: asNodeId('n2'), url: `http://127.0.0.1:${port}` };
  const answer = await node.ask('DELETE', '/v1/cluster/members/n2');
  expect(answer.status).toBe(504);
  expect(errorOf(answer)).toMatchObject({
    code: 'unknown',
    message: expect.stringContaining('is not known'),
  });
});

test('changes need the secret, looking does not', async () => {
  const node = await start('open sesame');
  for (const authorization of [undefined, 'Bearer open sesam']) {
    const headers = authorization === undefined ? {} : { authorization };
    const ask = (method: 'GET' | 'DELETE', path: string): Promise<NodeAnswer> =>
      askNode(node.url, { method, path, headers, timeoutMs: 5000 });
    expect(errorOf(await ask('DELETE', '/v1/cluster/members/n2')).code).toBe('secret');
    expect((await ask('GET', '/v1/cluster')).status).toBe(200);
  }
  expect(node.driver.changes).toEqual([]);
});

test('a request that names another host goes to the leader all the same, and the secret nowhere else', async () => {
  const node = await start('open sesame');
  const asked: string[] = [];
  const listen = async (name: string): Promise<string> => {
    const app = fastify();
    app.get('/v1/cluster', () => {
      asked.push(name);
      return {};
    });
    onTestFinished(() => app.close());
    return app.listen({ host: '127.0.0.1', port: 0 });
  };
  const [leader, stranger] = [await listen('leader'), await listen('stranger')];
  node.driver.leading = false;
  node.driver.leader = { id: asNodeId('n2'), url: leader };
  const socket = connect(Number(new URL(node.url).port), '127.0.0.1');
  socket.resume().end(`GET ${stranger}/v1/cluster HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  expect(asked).toEqual(['leader']);
});

test('leadership goes to a voter or nowhere', async () => {
  const node = await start();
  node.driver.voters = ['n1', 'n2', 'n3'].map(member);
  expect((await node.ask('POST', '/v1/cluster/transfer', {})).status).toBe(200);
  expect((await node.ask('POST', '/v1/cluster/transfer', { to: 'n1' })).status).toBe(200);
  expect((await node.ask('POST', '/v1/cluster/transfer', { to: 'n9' })).status).toBe(422);
  node.driver.transferred = false;
  const failed = await node.ask('POST', '/v1/cluster/transfer', { to: 'n2' });
  expect(failed.status).toBe(409);
  expect(errorOf(failed).message).toContain('n2 did not take over');
  expect(node.driver.transfers).toEqual([null, 'n2']);
  node.driver.successor = 'n2';
  for (const to of ['n1', 'n3']) {
    const other = await node.ask('POST', '/v1/cluster/transfer', { to });
    expect([other.status, errorOf(other).code], to).toEqual([409, 'pending']);
  }
});

test('a node that is not part of a cluster says what it waits for', async () => {
  const node = await start(null, false);
  for (const answer of [
    await node.ask('GET', '/v1/cluster'),
    await node.ask('DELETE', '/v1/cluster/members/n2'),
  ]) {
    expect(answer).toEqual({
      status: 503,
      body: { error: { code: 'starting', message: 'founding: waiting for n2' } },
    });
  }
});

test('a node that joins asks again while the answer may change, and stops when it will not', async () => {
  const node = await start();
  const joining = (): Joining =>
    new Joining({
      self: { ...NEW, id: asNodeId('n4') },
      via: node.url,
      learner: false,
      replaces: asNodeId('n2'),
      guard: new Guard(null),
      logger: pino({ level: 'silent' }),
    });
  node.driver.outcome = { ok: false, reason: 'pending', message: 'another change is under way' };
  const patient = joining();
  const joined = patient.run();
  await expect.poll(() => patient.waiting).toContain('another change is under way');
  node.driver.outcome = { ok: true };
  expect(await joined).toEqual({ clusterId: 'c', configuration: null });
  expect(node.driver.changes.at(-1)).toEqual({
    type: 'addLearner',
    learner: { ...NEW, promote: true, replaces: 'n2' },
  });

  node.driver.outcome = { ok: false, reason: 'invalid', message: 'n4 was removed' };
  await expect(joining().run()).rejects.toThrow('does not take n4 in: n4 was removed');
});
