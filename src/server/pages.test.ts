import fastify from 'fastify';
import { expect, test } from 'vitest';
import { turnPagesAway } from './pages.ts';

const app = fastify();
turnPagesAway(app);
app.all('/raft/v1/main/founding', () => 'ok');
app.all('/v1/cluster/members/:id', () => 'ok');
app.all('/v1/join', () => 'ok');
app.get('/v1/status', () => 'ok');

async function status(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  headers: Record<string, string> = {},
): Promise<number> {
  return (await app.inject({ method, url, headers })).statusCode;
}

const named = { origin: 'http://rebound.example:7380' };
const local = { origin: 'http://localhost:3000' };

test('what nodes ask each other no page may ask, whatever it calls itself', async () => {
  for (const path of ['/raft/v1/main/founding', '/%72aft/v1/main/founding']) {
    expect(await status('POST', path)).toBe(200);
    for (const headers of [named, local, { origin: 'null' }, { 'accept-encoding': 'gzip, deflate' }])
      expect(await status('POST', path, headers), JSON.stringify(headers)).toBe(403);
    expect(await status('GET', path, { 'accept-encoding': '' })).toBe(403);
  }
});

test('who takes part is nothing that a page with a name may change', async () => {
  for (const path of ['/v1/cluster/members/n2', '/v1/%63luster/members/n2', '/v1/join']) {
    expect(await status('DELETE', path)).toBe(200);
    expect(await status('DELETE', path, local)).toBe(200);
    expect(await status('GET', path, named)).toBe(200);
    expect(await status('POST', path, named), path).toBe(403);
    expect(await status('DELETE', path, { origin: 'null' }), path).toBe(403);
  }
  expect(await status('GET', '/v1/status', named)).toBe(200);
});

test('the refusal says what to do', async () => {
  const { body } = await app.inject({ method: 'POST', url: '/v1/join', headers: named });
  expect(JSON.parse(body)).toEqual({
    error: {
      code: 'page',
      message:
        'pages of http://rebound.example:7380 may not ask for POST /v1/join on a node without --cluster-secret',
    },
  });
});
