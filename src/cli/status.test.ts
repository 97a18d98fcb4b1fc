import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';

import type { MemberStatus } from '../server/engine.ts';
import { asNodeId } from '../raft/types.ts';
import { type NodeReport, type StatusReply, ask, status, table } from './status.ts';

/** A fake node: answers `/v1/status` with whatever `body` makes. */
async function listen(body: () => unknown, code = 200): Promise<string> {
  const server: Server = createServer((request, response) => {
    response.statusCode = request.url === '/v1/status' ? code : 404;
    response.end(JSON.stringify(body()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The URL of a port where nobody listens any more. */
async function closedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function member(id: string, url: string, self: boolean): MemberStatus {
  const client = { host: '127.0.0.1', port: 6380 + Number(id.slice(1)) };
  return { id: asNodeId(id), url, client, role: 'unknown', self, connected: true, match: null };
}

function reply(id: string, over: Partial<StatusReply>): StatusReply {
  return {
    id: asNodeId(id),
    clusterId: 'c',
    group: 'main',
    state: 'member',
    role: 'follower',
    term: 3,
    leader: asNodeId('n1'),
    firstIndex: 1,
    lastIndex: 120,
    commitIndex: 118,
    appliedIndex: 118,
    snapshotIndex: 0,
    members: [],
    keys: 0,
    keysWithExpiry: 0,
    fsync: 'always',
    recovering: false,
    diskLow: false,
    version: '0.1.0',
    uptimeSeconds: 5,
    ...over,
  };
}

test('the asked node names the others, each speaks for itself, a dead one is shown as such', async () => {
  const second = await listen(() => reply('n2', { lastIndex: 110, commitIndex: 108, appliedIndex: 100 }));
  const third = await closedUrl();
  const first: string = await listen(() =>
    reply('n1', {
      role: 'leader',
      members: [
        // Its own URL is that of another network: what counts is that it has just answered.
        member('n1', 'http://n1.invalid:7380', true),
        member('n2', second, false),
        member('n3', third, false),
      ],
    }),
  );

  const reports = await ask(first);
  expect(reports.map(({ id, reachable }) => [id, reachable])).toEqual([
    ['n1', true],
    ['n2', true],
    ['n3', false],
  ]);
  expect(table(reports).split('\n')).toEqual([
    'NODE  ROLE      TERM  LAST  COMMIT  APPLIED  LAG  CLIENT          STATE',
    'n1    leader    3     120   118     118      0    127.0.0.1:6381  ok',
    'n2    follower  3     110   108     100      18   127.0.0.1:6382  ok',
    'n3    -         -     -     -       -        -    127.0.0.1:6383  unreachable: ECONNREFUSED',
  ]);
});

test('a cluster without a leader says so, and lag counts from whoever is furthest', () => {
  const of = (id: string, applied: number): NodeReport => ({
    id,
    url: '',
    client: null,
    learner: false,
    reachable: true,
    status: reply(id, { leader: null, role: 'candidate', commitIndex: applied, appliedIndex: applied }),
  });
  const lines = table([of('n1', 7), of('n2', 9)]).split('\n');
  expect(lines[1]).toMatch(/^n1 +candidate +3 +120 +7 +7 +2 +- +no leader$/);
  expect(lines[2]).toMatch(/^n2 +candidate +3 +120 +9 +9 +0 +- +no leader$/);
});

test('a learner and a node that was removed are told apart from the others', async () => {
  const url = await listen(() =>
    reply('n4', { state: 'removed', members: [{ ...member('n4', 'http://x', true), role: 'learner' }] }),
  );
  const line = table(await ask(url)).split('\n')[1];
  expect(line).toMatch(/^n4 +learner .* removed$/);
});

test('what ails a node stands in its state', async () => {
  const of = async (over: Partial<StatusReply>): Promise<string | undefined> =>
    table(
      await ask(await listen(() => reply('n1', { members: [member('n1', 'http://x', true)], ...over }))),
    ).split('\n')[1];
  expect(await of({ diskLow: true })).toMatch(/ disk nearly full$/);
  expect(await of({ leader: null, recovering: true })).toMatch(/ no leader, recovering$/);
});

test.each<[string, unknown, number, string]>([
  ['an error', {}, 503, 'HTTP 503, which is not an answer of a kvorum node'],
  [
    'that it waits',
    { error: { code: 'founding', message: 'founding: waiting for n2' } },
    503,
    'founding: waiting for n2',
  ],
  ['something that is not a status', { hello: 'world' }, 200, 'not the status of a kvorum node'],
  ['no object', null, 200, 'not the status of a kvorum node'],
])('a server that answers %s counts as unreachable', async (_name, body, code, reason) => {
  const url = await listen(() => body, code);
  expect(await ask(url)).toEqual([{ id: '?', url, client: null, learner: false, reachable: false, reason }]);
});

test('a URL that is none is reported, not thrown', async () => {
  expect(await ask('nonsense')).toMatchObject([
    { reachable: false, reason: 'no URL; give one like http://10.0.0.1:7380' },
  ]);
});

test('prints JSON that a program can read', async () => {
  const url = await listen(() => reply('n1', { members: [member('n1', 'http://x', true)] }));
  const log = vi.spyOn(console, 'log').mockReturnValue();
  onTestFinished(() => log.mockRestore());
  await status(url, true);
  const printed = JSON.parse(String(log.mock.calls[0]?.[0])) as { nodes: NodeReport[] };
  expect(printed.nodes).toMatchObject([{ id: 'n1', reachable: true, status: { term: 3, version: '0.1.0' } }]);
});

test('nobody reachable: exit code 1 and a message with the remedy', async () => {
  const error = vi.spyOn(console, 'error').mockReturnValue();
  const before = process.exitCode;
  onTestFinished(() => {
    error.mockRestore();
    process.exitCode = before;
  });
  const url = await closedUrl();
  await status(url, false);
  expect(process.exitCode).toBe(1);
  expect(error.mock.calls[0]?.[0]).toBe(
    `kvorum: no answer from ${url} (ECONNREFUSED); give the HTTP address of a running node with --url`,
  );
});
