import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClientPort } from './client-port.ts';
import { FakeEngine } from './testing/engine.ts';
import { portOf } from './testing/port.ts';
import { encode, RawClient } from './testing/socket.ts';

let engine: FakeEngine;
let port: ClientPort;
let number: number;

beforeEach(async () => {
  engine = new FakeEngine();
  port = portOf(engine, {
    maxRequestBytes: 1024 * 1024,
    forwarder: { submit: (request) => engine.submit('log', request) },
  });
  number = (await port.listen()).port;
});

afterEach(() => port.close());

const client = (): Promise<RawClient> => RawClient.connect(number);

describe('in RESP2', () => {
  test('subscribers of channels, patterns and shard channels each get what is theirs', async () => {
    await using one = await client();
    await using other = await client();
    one.request('SUBSCRIBE news sport', 'PSUBSCRIBE n*s', 'SSUBSCRIBE news');
    await one.expect(
      '*3',
      '$9',
      'subscribe',
      '$4',
      'news',
      ':1',
      '*3',
      '$9',
      'subscribe',
      '$5',
      'sport',
      ':2',
    );
    await one.expect(
      '*3',
      '$10',
      'psubscribe',
      '$3',
      'n*s',
      ':3',
      '*3',
      '$10',
      'ssubscribe',
      '$4',
      'news',
      ':1',
    );
    other.request('PUBLISH news hello', 'PUBLISH weather rain', 'SPUBLISH news shard', 'PUBLISH sport goal');
    await other.expect(':2', ':0', ':1', ':1');
    await one.expect('*3', '$7', 'message', '$4', 'news', '$5', 'hello');
    await one.expect('*4', '$8', 'pmessage', '$3', 'n*s', '$4', 'news', '$5', 'hello');
    await one.expect('*3', '$8', 'smessage', '$4', 'news', '$5', 'shard');
    await one.expect('*3', '$7', 'message', '$5', 'sport', '$4', 'goal');
    other.request('PUBSUB CHANNELS', 'PUBSUB NUMSUB news nobody', 'PUBSUB NUMPAT', 'PUBSUB SHARDCHANNELS n*');
    await other.expect('*2', '$4', 'news', '$5', 'sport');
    await other.expect('*4', '$4', 'news', ':1', '$6', 'nobody', ':0', ':1', '*1', '$4', 'news');
  });

  test('who listens can do little else, until it listens no more', async () => {
    await using one = await client();
    one.request('SUBSCRIBE a', 'GET x', 'PING', 'PING hi', 'UNSUBSCRIBE', 'UNSUBSCRIBE', 'GET x', 'PING');
    await one.expect('*3', '$9', 'subscribe', '$1', 'a', ':1');
    await one.expect(
      "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
    );
    await one.expect('*2', '$4', 'pong', '$0', '', '*2', '$4', 'pong', '$2', 'hi');
    await one.expect('*3', '$11', 'unsubscribe', '$1', 'a', ':0', '*3', '$11', 'unsubscribe', '$-1', ':0');
    await one.expect('$-1', '+PONG');
  });

  test('nobody listens any more who has reset or closed the connection', async () => {
    await using one = await client();
    await using other = await client();
    one.request('SUBSCRIBE a', 'RESET');
    await one.expect('*3', '$9', 'subscribe', '$1', 'a', ':1', '+RESET');
    other.request('SUBSCRIBE a');
    await other.expect('*3', '$9', 'subscribe', '$1', 'a', ':1');
    one.request('PUBLISH a 1');
    await one.expect(':1');
    other.socket.destroy();
    await expect.poll(() => port.subscriptions.count('channels', 'a')).toBe(0);
  });
});

test('in RESP3 messages are pushes, never inside a reply, and everything else goes on', async () => {
  await using one = await client();
  one.request('HELLO 3 SETNAME x', 'SELECT x');
  await one.through('-ERR value is not an integer or out of range\r\n');
  one.request('SUBSCRIBE a', 'MULTI', 'PUBLISH a inside', 'SET k v', 'EXEC', 'GET k');
  await one.expect('>3', '$9', 'subscribe', '$1', 'a', ':1', '+OK', '+QUEUED', '+QUEUED');
  await one.expect('*2', ':1', '+OK', '$1', 'v', '>3', '$7', 'message', '$1', 'a', '$6', 'inside');
  // Counts are no map here either: client libraries want what Redis sends.
  one.request('PUBSUB NUMSUB a');
  await one.expect('*2', '$1', 'a', ':1');
});

describe('keyspace notifications', () => {
  test('come as the setting says', async () => {
    await using one = await client();
    await using other = await client();
    one.request('PSUBSCRIBE __key*__:*');
    await one.expect('*3', '$10', 'psubscribe', '$11', '__key*__:*'.padEnd(10), ':1').catch(() => {});
    other.request('RPUSH list a');
    await other.expect(':1');
    other.request('CONFIG SET notify-keyspace-events lKE', 'CONFIG GET notify*');
    await other.expect('+OK', '*2', '$22', 'notify-keyspace-events', '$3', 'lKE');
    other.request('RPUSH list b', 'SET s 1');
    await other.expect(':2', '+OK');
    const head = ['*4', '$8', 'pmessage', '$10', '__key*__:*'];
    await one.expect(...head, '$19', '__keyspace@0__:list', '$5', 'rpush');
    await one.expect(...head, '$20', '__keyevent@0__:rpush', '$4', 'list');
    other.send(encode(['CONFIG', 'SET', 'notify-keyspace-events', '']));
    await other.expect('+OK');
    other.request('RPUSH list c', 'PUBLISH __keyspace@0__:end x');
    await other.expect(':3', ':1');
    await one.expect(...head, '$18', '__keyspace@0__:end', '$1', 'x');
  });
});

test('a follower takes a message for the leader, and redirects one of a shard channel', async () => {
  engine.leading = false;
  await using one = await client();
  one.request('SPUBLISH foo x', 'PUBLISH a x');
  expect(await one.through('\r\n')).toMatch(/^-(MOVED 12182|CLUSTERDOWN)/);
  await one.expect(':0');
});
