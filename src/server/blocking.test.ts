/** Clients that wait for keys, as their connections see it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noReply } from '../store/reply.ts';
import { dataCommandOf } from '../store/table.ts';
import type { ClientPort, ClientPortOptions } from './client-port.ts';
import { FakeEngine, OTHER } from './testing/engine.ts';
import { portOf } from './testing/port.ts';
import { RawClient } from './testing/socket.ts';

const UNBLOCKED =
  '-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)';

let engine: FakeEngine;
let port: ClientPort;
let address: { host: string; port: number };

async function start(options: Partial<ClientPortOptions> = {}): Promise<void> {
  port = portOf(engine, options);
  address = await port.listen();
}

beforeEach(async () => {
  engine = new FakeEngine();
  await start();
});

afterEach(() => port.close());

function client(): Promise<RawClient> {
  return RawClient.connect(address.port);
}

/** Resolves once so many clients wait. */
async function waiting(count: number): Promise<void> {
  while (engine.blocked.size !== count) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves once the port has read so many bytes. */
async function arrived(bytes: number): Promise<void> {
  while (port.statistics.inputBytes < bytes) await new Promise((resolve) => setImmediate(resolve));
}

describe('a connection that waits', () => {
  test('is served when something comes, and what it sent meanwhile is run after that', async () => {
    await using redis = await client();
    await using other = await client();
    redis.request('SET a 1', 'BLPOP k 0', 'LPUSH k 2', 'CLIENT GETNAME', 'GET a');
    await redis.expect('+OK');
    await waiting(1);
    expect(engine.store.peek('k')).toBeUndefined();
    redis.request('INCR a');
    await arrived(redis.sent);
    expect(engine.store.peek('a')).toBe('1');
    other.request('RPUSH k v');
    await redis.expect('*2\r\n$1\r\nk\r\n$1\r\nv', ':1', '$-1', '$1\r\n1', ':2');
    await other.expect(':1');
  });

  test('stops reading when too much comes behind', async () => {
    await using redis = await client();
    await using other = await client();
    redis.request('BLPOP k 0');
    await waiting(1);
    const value = 'x'.repeat(60_000);
    for (let left = 200; left > 0; left--) redis.request(`SET a ${value}`);
    await arrived(70_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(port.statistics.inputBytes).toBeLessThan(2_000_000);
    other.request('RPUSH k v');
    await redis.expect('*2\r\n$1\r\nk\r\n$1\r\nv', ...Array.from({ length: 200 }, () => '+OK'));
  });

  test('is told when its time is over, in its protocol', async () => {
    await using redis = await client();
    redis.request('BLPOP k 0.01', 'BLMOVE k l LEFT LEFT 0.01', 'BLMPOP 0.01 1 k LEFT', 'PING');
    await redis.expect('*-1', '*-1', '*-1', '+PONG');
    redis.request('HELLO 3', 'BLPOP k 0.01', 'BRPOPLPUSH k l 0.01');
    expect(await redis.through('_\r\n_\r\n')).toContain('proto');
  });

  test('does not wait where there is something, nor after an error', async () => {
    await using redis = await client();
    redis.request('RPUSH k a b', 'BLPOP k 0', 'BLPOP k -1', 'BLPOP k x', 'SET s 1', 'BLPOP s 0', 'BLPOP k');
    await redis.expect(
      ':2',
      '*2\r\n$1\r\nk\r\n$1\r\na',
      '-ERR timeout is negative',
      '-ERR timeout is not a float or out of range',
      '+OK',
      '-WRONGTYPE Operation against a key holding the wrong kind of value',
      "-ERR wrong number of arguments for 'blpop' command",
    );
  });

  test('does not wait in a transaction', async () => {
    await using redis = await client();
    redis.request(
      'MULTI',
      'BLPOP k 0',
      'BLMOVE k l LEFT LEFT 0',
      'BLMPOP 0 1 k LEFT',
      'RPUSH k v',
      'BLPOP k 0',
      'EXEC',
    );
    await redis.expect(
      '+OK',
      ...Array.from({ length: 5 }, () => '+QUEUED'),
      '*5\r\n*-1\r\n$-1\r\n*-1\r\n:1\r\n*2\r\n$1\r\nk\r\n$1\r\nv',
    );
    expect(engine.blocked.size).toBe(0);
  });

  test('takes nothing once it has gone', async () => {
    const [gone, half, stays, other] = await Promise.all([client(), client(), client(), client()]);
    gone.request('BLPOP k 0');
    await waiting(1);
    half.request('BLPOP k 0');
    await waiting(2);
    stays.request('BLPOP k 0');
    await waiting(3);
    gone.socket.destroy();
    await waiting(2);
    // Its other half may stay open: as in Redis, who says goodbye waits no more.
    half.socket.end();
    await half.closed();
    await waiting(1);
    other.request('RPUSH k v');
    await stays.expect('*2\r\n$1\r\nk\r\n$1\r\nv');
    for (const each of [stays, other]) each.socket.destroy();
  });

  test('that goes before it waits takes no place', async () => {
    const redis = await client();
    engine.holding = true;
    redis.request('BLPOP k 0');
    await engine.whenOpen(1);
    redis.socket.end();
    while (port.sessions.size === 1 && !redis.socket.readableEnded) {
      engine.settle();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await redis.closed();
    expect(engine.blocked.size).toBe(0);
  });

  test('is told when the port closes, and holds nothing up', async () => {
    await using redis = await client();
    redis.request('BLPOP k 0', 'PING');
    await waiting(1);
    const closed = port.close();
    await redis.expect(UNBLOCKED);
    expect(await redis.closed()).toBe('');
    await closed;
  });

  test('is told when its node leads no more, and then where to go', async () => {
    await using redis = await client();
    redis.request('BLPOP foo 0', 'BLPOP foo 0');
    await waiting(1);
    engine.depose(OTHER);
    await redis.expect(UNBLOCKED, '-MOVED 12182 127.0.0.1:7002');
  });

  test('that comes to a node that does not lead is redirected', async () => {
    engine.depose(OTHER);
    await using redis = await client();
    redis.request('BLPOP foo 0', 'MULTI', 'BLPOP foo 0', 'EXEC');
    await redis.expect(
      '-MOVED 12182 127.0.0.1:7002',
      '+OK',
      '-MOVED 12182 127.0.0.1:7002',
      '-EXECABORT Transaction discarded because of previous errors.',
    );
  });

  test('answers WAIT for what it has moved', async () => {
    await using redis = await client();
    redis.request('BLMOVE k l LEFT LEFT 0', 'WAIT 0 0');
    await waiting(1);
    await using other = await client();
    other.request('RPUSH k v');
    await redis.expect('$1\r\nv', ':0');
  });
});

describe('a reader of a stream', () => {
  const NEWS = '*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv';

  test('waits behind what it has written, and only where it says BLOCK', async () => {
    await using redis = await client();
    await using other = await client();
    redis.request('XREAD STREAMS s 0', 'SET a 1', 'XREAD BLOCK 0 STREAMS s $', 'GET a');
    await redis.expect('*-1', '+OK');
    await waiting(1);
    other.request('XADD s 1-1 f v');
    await redis.expect(NEWS, '$1\r\n1');
  });

  test('waits on a follower, which answers when it has applied the news', async () => {
    engine.depose(OTHER);
    await using redis = await client();
    redis.request('XREAD BLOCK 0 STREAMS s $', 'READONLY', 'XREAD BLOCK 0 STREAMS s $');
    await redis.expect('-MOVED 3828 127.0.0.1:7002', '+OK');
    await waiting(1);
    const args = ['XADD', 's', '1-1', 'f', 'v'];
    engine.store.beginEntry(++engine.lastProposedIndex, 1000);
    engine.store.execute(dataCommandOf(args)!, args, noReply);
    engine.store.endEntry();
    engine.blocked.applied();
    await redis.expect(NEWS);
    // Nothing that its node can't know is waited for.
    redis.request('XREAD BLOCK 0 STREAMS s $');
    await waiting(1);
    engine.depose(null);
    await redis.expect(UNBLOCKED);
  });
});

test('commands that may wait take no number in a session', async () => {
  await using redis = await client();
  redis.request('KVORUM.SESSION OPEN');
  await redis.expect(':1');
  redis.request('KVORUM.SESSION RESUME 1 1', 'RPUSH k a b c', 'BLPOP k 0', 'BLPOP k', 'RPUSH k d');
  await redis.expect(
    '+OK',
    ':3',
    '*2\r\n$1\r\nk\r\n$1\r\na',
    "-ERR wrong number of arguments for 'blpop' command",
    ':3',
  );
  // Sent again under their numbers, the two pushes are repeated and the pop is not named.
  redis.request('KVORUM.SESSION RESUME 1 1', 'RPUSH k a b c', 'BLPOP k 0', 'RPUSH k d', 'LLEN k');
  await redis.expect('+OK', ':3', '*2\r\n$1\r\nk\r\n$1\r\nb', ':3', ':2');
});
