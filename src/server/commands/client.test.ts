/** CLIENT: ending, holding, waking and silencing connections. Errors are those of Redis 7.0.15. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClientPort } from '../client-port.ts';
import { FakeEngine, OTHER } from '../testing/engine.ts';
import { portOf } from '../testing/port.ts';
import { RawClient } from '../testing/socket.ts';

let engine: FakeEngine;
let port: ClientPort;
let address: { host: string; port: number };
let one: RawClient;
let two: RawClient;

beforeEach(async () => {
  engine = new FakeEngine();
  port = portOf(engine, {
    maxRequestBytes: 1024 * 1024,
  });
  address = await port.listen();
  one = await RawClient.connect(address.port);
  one.request('CLIENT ID');
  await one.expect(':1');
  two = await RawClient.connect(address.port);
  two.request('CLIENT ID');
  await two.expect(':2');
});

afterEach(async () => {
  one.socket.destroy();
  two.socket.destroy();
  await port.close();
});

/** Resolves once so many clients wait. */
async function waiting(count: number): Promise<void> {
  while (engine.blocked.size !== count) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves once the port has read all that both have sent. */
async function arrived(): Promise<void> {
  while (port.statistics.inputBytes < one.sent + two.sent)
    await new Promise((resolve) => setImmediate(resolve));
}

/** The flags of a connection, as the second one sees them. */
async function flagsOf(id: number): Promise<string> {
  two.request(`CLIENT LIST ID ${id}`);
  return / flags=(\w+) /.exec(await two.bulk())?.[1] ?? '';
}

/** The flags of the second connection, as the first one sees them. */
async function flags(): Promise<string> {
  one.request('CLIENT LIST ID 2');
  return / flags=(\w+) /.exec(await one.bulk())?.[1] ?? '';
}

describe('UNBLOCK', () => {
  test('ends a wait as its time would, or with an error', async () => {
    two.request('BLPOP k 0', 'BLPOP k 0', 'PING');
    await waiting(1);
    expect(await flags()).toBe('b');
    one.request('CLIENT UNBLOCK 2');
    await one.expect(':1');
    await two.expect('*-1');
    await waiting(1);
    one.request('CLIENT UNBLOCK 2 error');
    await one.expect(':1');
    await two.expect('-UNBLOCKED client unblocked via CLIENT UNBLOCK', '+PONG');
    one.request('CLIENT UNBLOCK 2 TIMEOUT', 'CLIENT UNBLOCK 99', 'CLIENT UNBLOCK -1');
    await one.expect(':0', ':0', ':0');
  });

  test('ends WAIT, too', async () => {
    two.request('SET a 1', 'WAIT 3 0', 'WAIT 3 0');
    await two.expect('+OK');
    while ((await flags()) !== 'b');
    one.request('CLIENT UNBLOCK 2');
    await one.expect(':1');
    await two.expect(':0');
    while ((await flags()) !== 'b');
    one.request('CLIENT UNBLOCK 2 ERROR');
    await one.expect(':1');
    await two.expect('-UNBLOCKED client unblocked via CLIENT UNBLOCK');
  });

  test('misused', async () => {
    one.request('CLIENT UNBLOCK', 'CLIENT UNBLOCK x', 'CLIENT UNBLOCK x y', 'CLIENT UNBLOCK 1 ERROR z');
    await one.expect(
      "-ERR wrong number of arguments for 'client|unblock' command",
      '-ERR value is not an integer or out of range',
      '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR',
      "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
    );
  });
});

describe('KILL', () => {
  test('by address, the old way', async () => {
    const { address: host, port: own } = two.socket.address() as { address: string; port: number };
    one.request('CLIENT KILL 1.2.3.4:5', `CLIENT KILL ${host}:${own}`);
    await one.expect('-ERR No such client', '+OK');
    expect(await two.closed()).toBe('');
  });

  test('oneself: the reply comes first, and nothing behind it is run', async () => {
    one.request('CLIENT KILL ID 1', 'CLIENT KILL ID 1 SKIPME no', 'SET a 1');
    await one.expect(':0', ':1');
    expect(await one.closed()).toBe('');
    expect(engine.store.size).toBe(0);
  });

  test.each([
    ['ID 2', 1],
    ['ID 1', 0],
    ['ID 99', 0],
    ['TYPE normal', 1],
    ['TYPE pubsub', 0],
    ['TYPE replica', 0],
    ['USER default', 1],
    ['ADDR 1.2.3.4:5', 0],
    ['LADDR 1.2.3.4:5', 0],
    ['SKIPME yes', 1],
    ['ID 2 TYPE normal USER default', 1],
    ['ID 2 TYPE pubsub', 0],
  ])('%s ends %i', async (filters, count) => {
    one.request(`CLIENT KILL ${filters}`);
    await one.expect(`:${count}`);
    if (count === 1) expect(await two.closed()).toBe('');
    else expect(await flags()).toBe('N');
  });

  test('of one that waits: what it waited for stays', async () => {
    two.request('BLPOP k 0');
    await waiting(1);
    one.request('CLIENT KILL ID 2');
    await one.expect(':1');
    await two.closed();
    await waiting(0);
    one.request('RPUSH k v', 'LLEN k');
    await one.expect(':1', ':1');
  });

  test('misused', async () => {
    one.request(
      'CLIENT KILL',
      'CLIENT KILL ID',
      'CLIENT KILL ID 0',
      'CLIENT KILL ID x',
      'CLIENT KILL ID 1 TYPE',
      'CLIENT KILL TYPE x',
      'CLIENT KILL USER nobody',
      'CLIENT KILL SKIPME x',
      'CLIENT KILL x y',
    );
    await one.expect(
      "-ERR wrong number of arguments for 'client|kill' command",
      '-ERR No such client',
      '-ERR client-id should be greater than 0',
      '-ERR client-id should be greater than 0',
      '-ERR syntax error',
      "-ERR Unknown client type 'x'",
      "-ERR No such user 'nobody'",
      '-ERR syntax error',
      '-ERR syntax error',
    );
  });
});

describe('PAUSE', () => {
  test('holds writes until it is over, and what comes behind them', async () => {
    one.request('CLIENT PAUSE 100000 WRITE');
    await one.expect('+OK');
    two.request('GET a', 'PING', 'SET a 1', 'GET a');
    await two.expect('$-1', '+PONG');
    expect(await flags()).toBe('b');
    one.request('GET a', 'CLIENT UNBLOCK 2');
    await one.expect('$-1', ':0');
    one.request('CLIENT UNPAUSE');
    await one.expect('+OK');
    await two.expect('+OK', '$1\r\n1');
    expect(await flags()).toBe('N');
  });

  test('of a transaction holds the writes in it, and EXEC when there are any', async () => {
    two.request('MULTI', 'SET a 1');
    await two.expect('+OK', '+QUEUED');
    one.request('CLIENT PAUSE 100000 WRITE', 'MULTI', 'GET a', 'EXEC');
    await one.expect('+OK', '+OK', '+QUEUED', '*1\r\n$-1');
    two.request('EXEC');
    await arrived();
    expect(await flags()).toBe('xb');
    one.request('CLIENT UNPAUSE');
    await one.expect('+OK');
    await two.expect('*1\r\n+OK');
  });

  test('of everything ends by itself', async () => {
    one.request('CLIENT PAUSE 50', 'PING');
    two.request('PING');
    await one.expect('+OK', '+PONG');
    await two.expect('+PONG');
  });

  test('two together hold as much as the wider one, for as long as the longer one', async () => {
    one.request('CLIENT PAUSE 100000 WRITE', 'CLIENT PAUSE 1 ALL');
    await one.expect('+OK', '+OK');
    two.request('PING');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(port.paused).toBe('all');
    port.unpause();
    await two.expect('+PONG');
  });

  test('holds nothing that this node would not run', async () => {
    one.request('CLIENT PAUSE 100000 WRITE');
    await one.expect('+OK');
    engine.depose(OTHER);
    one.request('SET foo 1');
    await one.expect('-MOVED 12182 127.0.0.1:7002');
  });

  test('does not hold up the end', async () => {
    one.request('CLIENT PAUSE 100000 ALL', 'SET a 1');
    await one.expect('+OK');
    await arrived();
    await port.close();
    expect(await one.closed()).toBe('');
    expect(engine.store.size).toBe(0);
  });

  test('misused', async () => {
    one.request(
      'CLIENT PAUSE',
      'CLIENT PAUSE x',
      'CLIENT PAUSE x y',
      'CLIENT PAUSE -1',
      'CLIENT PAUSE 1 WRITE x',
      'CLIENT UNPAUSE x',
    );
    await one.expect(
      "-ERR wrong number of arguments for 'client|pause' command",
      '-ERR timeout is not an integer or out of range',
      '-ERR CLIENT PAUSE mode must be WRITE or ALL',
      '-ERR timeout is negative',
      "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
      "-ERR wrong number of arguments for 'client|unpause' command",
    );
  });
});

describe('REPLY', () => {
  test('SKIP: the reply to the next request is not sent, whoever answers it and however late', async () => {
    for (const skipped of [
      'PING',
      'SET a 1',
      'GET a',
      'NOPE',
      'CLIENT ID',
      'EXEC',
      'RESET',
      'WAIT 1 10',
      'BLPOP k 0.01',
    ]) {
      one.request('SET b 1', 'CLIENT REPLY SKIP', skipped, 'ECHO next', 'GET b');
      await one.expect('+OK', '$4\r\nnext', '$1\r\n1');
    }
  });

  test('SKIP before a transaction', async () => {
    one.request('CLIENT REPLY SKIP', 'MULTI', 'SET a 1', 'EXEC');
    await one.expect('+QUEUED', '*1\r\n+OK');
  });

  test('OFF: none is sent, until ON', async () => {
    one.request(
      'CLIENT REPLY OFF',
      'SET a 1',
      'PING',
      'NOPE',
      'CLIENT REPLY SKIP',
      'CLIENT REPLY x',
      'INCR a',
    );
    one.request('CLIENT REPLY ON', 'GET a');
    await one.expect('+OK', '$1\r\n2');
  });

  test('OFF: messages and what belongs to them are sent all the same', async () => {
    one.request('CLIENT REPLY OFF', 'SUBSCRIBE c');
    await one.expect('*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1');
    expect(await flagsOf(1)).toBe('P');
    two.request('PUBLISH c m', 'CLIENT KILL TYPE pubsub');
    await one.expect('*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm');
    expect(await one.closed()).toBe('');
  });

  test('RESET ends it', async () => {
    one.request('CLIENT REPLY OFF', 'RESET', 'PING', 'CLIENT REPLY SKIP', 'CLIENT REPLY ON', 'PING');
    await one.expect('+RESET', '+PONG', '+OK', '+PONG');
  });

  test('misused', async () => {
    one.request('CLIENT REPLY', 'CLIENT REPLY x', 'CLIENT REPLY ON');
    await one.expect("-ERR wrong number of arguments for 'client|reply' command", '-ERR syntax error', '+OK');
  });
});

test('LIST shows what a connection is and does', async () => {
  two.request('CLIENT NO-EVICT on', 'CLIENT NO-TOUCH ON', 'READONLY', 'MULTI', 'SET a 1');
  await two.expect('+OK', '+OK', '+OK', '+OK', '+QUEUED');
  expect(await flags()).toBe('xreT');
  one.request('CLIENT LIST ID 2');
  expect(await one.bulk()).toMatch(
    / multi=1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=[1-9]\d* rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=\d+ events=r cmd=set /,
  );
  two.request('DISCARD', 'RESET', 'CLIENT NO-EVICT OFF', 'CLIENT NO-EVICT x');
  await two.expect('+OK', '+RESET', '+OK', '-ERR syntax error');
  expect(await flags()).toBe('N');
  one.request('CLIENT LIST ID 0 99', 'CLIENT LIST ID x');
  await one.expect('$0\r\n', '-ERR Invalid client ID');
});
