import { createHash } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, test } from 'vitest';
import { noReply } from '../store/reply.ts';
import { dataCommandOf } from '../store/table.ts';
import { addCommandEndpoint, type CommandTarget } from './command-endpoint.ts';
import type { Request } from './engine.ts';
import { JsonReply } from './json-reply.ts';
import { catalogue } from './table.ts';
import { Users } from './users.ts';
import { FakeEngine, OTHER } from './testing/engine.ts';

let engine: FakeEngine;
let forwarded: Request[];
let target: CommandTarget | null;
let app: FastifyInstance;

function start(password: string | null = null): void {
  app = fastify();
  const users = new Users(password, catalogue);
  users.attach(engine);
  addCommandEndpoint(app, {
    users,
    maxRequestBytes: 1000,
    target: () => target,
    waiting: () => 'founding: waiting for n2',
  });
}

beforeEach(() => {
  engine = new FakeEngine();
  forwarded = [];
  target = { engine, forwarder: { submit: (request) => forwarded.push(request) } };
  start();
});

async function post(
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown; headers: Record<string, unknown> }> {
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/command',
    headers: { 'content-type': 'application/json', ...headers },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
}

const errorCode = (answer: { body: unknown }): string =>
  (answer.body as { error: { code: string } }).error.code;

describe('a command', () => {
  test('takes text and bytes and answers JSON', async () => {
    expect(await post(['SET', 'ä', 'grün'])).toMatchObject({ status: 200, body: { result: 'OK' } });
    expect((await post(['get', 'ä'])).body).toEqual({ result: 'grün' });
    expect((await post(['APPEND', 'b', { base64: '/wA=' }])).body).toEqual({ result: 2 });
    expect((await post(['MGET', 'b', 'none'])).body).toEqual({ result: [{ base64: '/wA=' }, null] });
    expect((await post(['PING'])).body).toEqual({ result: 'PONG' });
    expect((await post(['KVORUM.SESSION', 'OPEN'])).body).toEqual({ result: 3 });
    expect((await post(['KVORUM.SESSION', 'INFO', '3'])).body).toEqual({
      result: { id: 3, next: 1, oldest: 1 },
    });
  });

  test('that would wait for a key answers at once', async () => {
    expect((await post(['BLPOP', 'k', '0'])).body).toEqual({ result: null });
    expect((await post(['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$'])).body).toEqual({ result: null });
    await post(['RPUSH', 'k', 'v']);
    expect((await post(['BLPOP', 'k', '0'], { 'idempotency-key': 'x' })).body).toEqual({
      result: ['k', 'v'],
    });
    expect((await post(['BLPOP', 'k', '0'], { 'idempotency-key': 'x' })).body).toEqual({
      result: ['k', 'v'],
    });
    expect(engine.blocked.size).toBe(0);
  });

  test('that fails says how, in the status too', async () => {
    await post(['SET', 'a', 'x']);
    expect(await post(['INCR', 'a'])).toMatchObject({
      status: 400,
      body: { error: { code: 'ERR', message: 'value is not an integer or out of range' } },
    });
    for (const wrong of [
      ['NOPE'],
      ['GET'],
      ['CLIENT', 'ID'],
      ['MULTI'],
      [],
      {},
      'null',
      [1],
      [{ base64: 1 }],
      ['SET', 'a', { base64: 'AA*A' }],
      ['SET', 'a', { base64: 'AAAAA' }],
      ['SET', 'a', { base64: 'A=AA' }],
    ])
      expect(await post(wrong), JSON.stringify(wrong)).toMatchObject({ status: 400, body: {} });
    expect((await post(['SET', 'a', 'x'.repeat(1000)])).status).toBe(413);
  });

  test('is turned away while the node is not part of a cluster', async () => {
    target = null;
    expect(await post(['GET', 'a'])).toMatchObject({
      status: 503,
      body: { error: { code: 'CLUSTERDOWN', message: 'founding: waiting for n2' } },
    });
  });
});

describe('an idempotency key', () => {
  test('makes a write run once, and tells a repetition', async () => {
    const headers = { 'idempotency-key': 'k' };
    const first = await post(['INCR', 'n'], headers);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    const again = await post(['INCR', 'n'], headers);
    expect(again.body).toEqual({ result: 1 });
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(await post(['INCR', 'm'], headers)).toMatchObject({
      status: 422,
      body: { error: { code: 'KEYREUSED' } },
    });
    // The same letters, divided in another way.
    await post(['SET', 'ab', 'c'], { 'idempotency-key': 'l' });
    expect((await post(['SET', 'a', 'bc'], { 'idempotency-key': 'l' })).status).toBe(422);
  });

  test('means nothing to a read, and has a length', async () => {
    const headers = { 'idempotency-key': 'k' };
    expect((await post(['GET', 'n'], headers)).body).toEqual({ result: null });
    expect((await post(['INCR', 'n'], headers)).body).toEqual({ result: 1 });
    expect((await post(['GET', 'n'], headers)).body).toEqual({ result: '1' });
    for (const key of ['', 'x'.repeat(256)])
      expect((await post(['INCR', 'n'], { 'idempotency-key': key })).status).toBe(400);
  });
});

describe('on a node that does not lead', () => {
  test('the command goes to the leader, its name with it', async () => {
    engine.depose(OTHER);
    const answer = post(['INCR', 'n'], { 'idempotency-key': 'k' });
    while (forwarded.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [request] = forwarded;
    expect(request).toMatchObject({ kind: 'command', args: ['INCR', 'n'], once: { kind: 'key', key: 'k' } });
    request!.client.reply.integer(7);
    request!.client.repeated();
    request!.client.settled(1);
    expect(await answer).toMatchObject({ body: { result: 7 }, headers: { 'idempotency-replayed': 'true' } });
  });

  test('nor any longer, when it comes to the command: the next leader gets it', async () => {
    engine.holding = true;
    const answer = post(['GET', 'n']);
    await engine.whenOpen(1);
    engine.depose(null);
    expect(forwarded).toHaveLength(1);
    forwarded[0]!.client.refused(forwarded[0]!);
    forwarded[0]!.client.settled(1);
    expect(await answer).toMatchObject({ status: 503, body: { error: { code: 'CLUSTERDOWN' } } });
  });

  test('a write that it had begun is unknown', async () => {
    engine.holding = true;
    const answer = post(['INCR', 'n']);
    await engine.whenOpen(1);
    engine.depose(null);
    expect(await answer).toMatchObject({ status: 504, body: { error: { code: 'UNKNOWN' } } });
  });
});

describe('who may', () => {
  test('with a password: whoever shows it', async () => {
    start('s3cret:x');
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    for (const authorization of ['Bearer s3cret:x', basic('default:s3cret:x'), basic(':s3cret:x')])
      expect((await post(['PING'], { authorization })).status, authorization).toBe(200);
    for (const authorization of [
      '',
      'Bearer',
      'Bearer no',
      basic('default:no'),
      basic('root:s3cret:x'),
      's3cret:x',
    ]) {
      const answer = await post(['PING'], { authorization });
      expect([answer.status, errorCode(answer)], authorization).toEqual([401, 'NOAUTH']);
    }
  });

  test('as any user, within its rights', async () => {
    start('secret');
    const hash = createHash('sha256').update('pw').digest('hex');
    const setUser = dataCommandOf(['ACL', 'SETUSER'])!;
    const args = ['ACL', 'SETUSER', 'ann', 'on', `#${hash}`, '~a', '+@all'];
    const nobody = { reply: noReply, settled() {}, watched() {}, repeated() {}, refused() {} };
    engine.submit('log', { kind: 'command', client: nobody, command: setUser, args, once: null });
    engine.settle();
    const as = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    expect((await post(['SET', 'a', '1'], as('ann:pw'))).body).toEqual({ result: 'OK' });
    const answer = await post(['SET', 'b', '1'], as('ann:pw'));
    expect([answer.status, errorCode(answer)]).toEqual([403, 'NOPERM']);
    expect((await post(['SORT', 'a', 'BY', 'w_*'], as('ann:pw'))).status).toBe(400);
    expect((await post(['SET', 'a', '1'], as('ann:no'))).status).toBe(401);
    expect((await post(['SET', 'b', '1'], as('default:secret'))).status).toBe(200);
    expect((await post(['SET', 'b', '1'])).status).toBe(401);
  });

  test('no page that posts a form, and without a password none that has a name', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])
      expect((await post(['PING'], { 'content-type': type })).status, type).toBe(415);
    for (const origin of ['http://rebound.example:7380', 'null'])
      expect((await post(['PING'], { origin })).status, origin).toBe(403);
    for (const origin of ['http://localhost:7380', 'http://127.0.0.1:7380', 'http://[::1]:7380'])
      expect((await post(['PING'], { origin })).status, origin).toBe(200);
    start('password');
    const headers = { origin: 'http://kv.example', authorization: 'Bearer password' };
    expect((await post(['PING'], headers)).status).toBe(200);
  });
});

test('replies of every kind become JSON', () => {
  const json = new JsonReply();
  json.array(6);
  json.map(2);
  json.bulk('a');
  json.integer(2n ** 60n);
  json.bulk('b');
  json.set(1);
  json.boolean(true);
  json.double(0.5);
  json.double(Infinity);
  json.error('WRONGTYPE not that');
  json.array(0);
  json.verbatim('txt', 'text');
  expect(json.result).toEqual([
    { a: '1152921504606846976', b: [true] },
    0.5,
    'inf',
    { error: { code: 'WRONGTYPE', message: 'not that' } },
    [],
    'text',
  ]);
  const failure = new JsonReply();
  failure.error('LONELY');
  expect(failure.failure).toEqual({ code: 'LONELY', message: 'LONELY' });
});
