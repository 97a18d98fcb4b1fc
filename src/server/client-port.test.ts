import { once } from 'node:events';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { catalogue } from './table.ts';
import { Users } from './users.ts';
import type { ClientPort, ClientPortOptions } from './client-port.ts';
import type { Request } from './engine.ts';
import { portOf } from './testing/port.ts';
import { encode, RawClient } from './testing/socket.ts';
import { FakeEngine, OTHER } from './testing/engine.ts';

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

afterEach(async () => {
  engine.holding = false;
  engine.settle();
  await port.close();
});

/** Another port with other options; the old one is closed. */
async function restart(options: Partial<ClientPortOptions>): Promise<void> {
  await port.close();
  await start(options);
}

function client(): Promise<RawClient> {
  return RawClient.connect(address.port);
}

/** Resolves once the port has read all that the only client sent. */
async function arrived(redis: RawClient): Promise<void> {
  while (port.statistics.inputBytes < redis.sent) await new Promise((resolve) => setImmediate(resolve));
}

describe('pipelining', () => {
  test('replies come in the order of the requests, whoever answers them', async () => {
    await using redis = await client();
    redis.request(
      'SET a 1',
      'GET a',
      'PING',
      'CLIENT GETNAME',
      'NOPE x',
      'GET',
      'INCR a',
      'CLUSTER KEYSLOT foo',
      'ECHO hi',
      'GET a',
    );
    await redis.expect(
      '+OK',
      '$1\r\n1',
      '+PONG',
      '$-1',
      "-ERR unknown command 'NOPE', with args beginning with: 'x' ",
      "-ERR wrong number of arguments for 'get' command",
      ':2',
      ':12182',
      '$2\r\nhi',
      '$1\r\n2',
    );
  });

  test('a chunk that writes goes to the log as a whole, reads alone do not', async () => {
    await using redis = await client();
    redis.request('GET a', 'PING', 'SET a 1', 'GET a');
    await redis.expect('$-1', '+PONG', '+OK', '$1\r\n1');
    expect(engine.taken.map(({ lane, request }) => `${lane} ${request.kind}`)).toEqual([
      'log command',
      'log text',
      'log command',
      'log command',
    ]);
    redis.request('GET a', 'GET b');
    await redis.expect('$1\r\n1', '$-1');
    expect(engine.taken.slice(4).map(({ lane }) => lane)).toEqual(['read', 'read']);
  });

  test('a write waits for the reads before it', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.request('GET a');
    await engine.whenOpen(1);
    redis.request('SET a 1', 'GET a');
    await arrived(redis);
    expect(engine.taken.map(({ lane }) => lane)).toEqual(['read']);
    engine.settle();
    await redis.expect('$-1');
    await engine.whenOpen(2);
    expect(engine.taken.map(({ lane }) => lane)).toEqual(['read', 'log', 'log']);
    engine.settle();
    await redis.expect('+OK', '$1\r\n1');
  });

  test('a local command stands in its place also when a write before it has to wait', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.request('GET a');
    await engine.whenOpen(1);
    redis.request('SET a 1', 'CLIENT ID', 'SET a 2');
    redis.request('GET a');
    await arrived(redis);
    engine.holding = false;
    engine.settle();
    await redis.expect('$-1', '+OK', ':1', '+OK', '$1\r\n2');
  });

  test('reads join the writes that are still open', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.request('SET a 1');
    await engine.whenOpen(1);
    redis.request('GET a');
    await engine.whenOpen(2);
    expect(engine.taken.map(({ lane }) => lane)).toEqual(['log', 'log']);
    engine.settle();
    await redis.expect('+OK', '$1\r\n1');
  });

  test('a local command waits for what is open before it', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.request('SET a 1', 'HELLO 3', 'GET b');
    await engine.whenOpen(1);
    expect(engine.taken).toHaveLength(1);
    engine.holding = false;
    engine.settle();
    await redis.expect(
      '+OK',
      `%7\r\n${['server', 'redis', 'version', '7.0.15', 'proto'].map((text) => `$${text.length}\r\n${text}`).join('\r\n')}`,
      ':3',
      '$2\r\nid',
      ':1',
      '$4\r\nmode',
      '$7\r\ncluster',
      '$4\r\nrole',
      '$6\r\nmaster',
      '$7\r\nmodules',
      '*0',
      '_',
    );
  });

  test('ten thousand requests in one go, mixed, keep their order', async () => {
    await using redis = await client();
    const requests: string[] = [];
    const replies: string[] = [];
    for (let at = 0; at < 10_000; at += 1) {
      const kind = (at * 7919) % 5;
      if (kind === 0) requests.push(`SET k${at} v`);
      if (kind === 1) requests.push(`GET missing`);
      if (kind === 2) requests.push(`ECHO ${at}`);
      if (kind === 3) requests.push(`INCR n`);
      if (kind === 4) requests.push(at % 50 === 4 ? 'CLUSTER KEYSLOT foo' : 'NOPE');
      if (kind === 0) replies.push('+OK');
      if (kind === 1) replies.push('$-1');
      if (kind === 2) replies.push(`$${String(at).length}\r\n${at}`);
      if (kind === 3) replies.push(`:${replies.filter((reply) => reply.startsWith(':n')).length}`);
      if (kind === 4)
        replies.push(at % 50 === 4 ? ':12182' : "-ERR unknown command 'NOPE', with args beginning with: ");
    }
    let counter = 0;
    const expected = replies.map((reply) => (reply === ':0' ? `:${++counter}` : reply));
    redis.request(...requests);
    await redis.expect(...expected);
  });

  test('a request may arrive in any pieces', async () => {
    await using redis = await client();
    for (const piece of ['*3\r', '\n$3\r\nSET\r\n$1', '\r\na\r\n$5\r\nhel', 'lo', '\r', '\nGET a\r', '\n']) {
      redis.send(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await redis.expect('+OK', '$5\r\nhello');
  });
});

describe('transactions', () => {
  test('run as one', async () => {
    await using redis = await client();
    redis.request(
      'MULTI',
      'SET a 1',
      'INCR a',
      'PING',
      'ECHO x',
      'GET a',
      'UNWATCH',
      'SELECT 0',
      'EXEC',
      'GET a',
    );
    await redis.expect(
      '+OK',
      ...Array.from({ length: 7 }, () => '+QUEUED'),
      '*7\r\n+OK\r\n:2\r\n+PONG\r\n$1\r\nx\r\n$1\r\n2\r\n+OK\r\n+OK',
      '$1\r\n2',
    );
  });

  test('that only read need no log entry', async () => {
    await using redis = await client();
    redis.request('MULTI', 'GET a', 'EXEC');
    await redis.expect('+OK', '+QUEUED', '*1\r\n$-1');
    expect(engine.taken.map(({ lane, request }) => `${lane} ${request.kind}`)).toEqual(['read transaction']);
  });

  test('misused answer as Redis does', async () => {
    await using redis = await client();
    redis.request('EXEC', 'DISCARD', 'MULTI', 'MULTI', 'WATCH a', 'SET a 1', 'EXEC', 'MULTI', 'EXEC', 'EXEC');
    await redis.expect(
      '-ERR EXEC without MULTI',
      '-ERR DISCARD without MULTI',
      '+OK',
      '-ERR MULTI calls can not be nested',
      '-ERR WATCH inside MULTI is not allowed',
      '+QUEUED',
      '*1\r\n+OK',
      '+OK',
      '*0',
      '-ERR EXEC without MULTI',
    );
  });

  test.each([
    ['an unknown command', 'NOPE', "-ERR unknown command 'NOPE', with args beginning with: "],
    ['a wrong arity', 'GET', "-ERR wrong number of arguments for 'get' command"],
    [
      'a command that can not be queued',
      'CONFIG GET port',
      "-ERR 'config|get' is not allowed inside a transaction; send it before MULTI or after EXEC",
    ],
  ])('%s spoils it', async (_name, request, error) => {
    await using redis = await client();
    redis.request('MULTI', 'SET a 1', request, 'SET b 1', 'EXEC', 'GET a');
    await redis.expect(
      '+OK',
      '+QUEUED',
      error,
      '+QUEUED',
      '-EXECABORT Transaction discarded because of previous errors.',
      '$-1',
    );
  });

  test('EXEC with arguments ends it as well', async () => {
    await using redis = await client();
    redis.request('MULTI', 'SET a 1', 'EXEC a', 'EXEC', 'GET a');
    await redis.expect(
      '+OK',
      '+QUEUED',
      "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
      '-ERR EXEC without MULTI',
      '$-1',
    );
  });

  test('an error while it runs does not stop it', async () => {
    await using redis = await client();
    redis.request('MULTI', 'SET a x', 'INCR a', 'SET a y', 'EXEC');
    await redis.expect(
      '+OK',
      '+QUEUED',
      '+QUEUED',
      '+QUEUED',
      '*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK',
    );
  });

  test('DISCARD drops it', async () => {
    await using redis = await client();
    redis.request('MULTI', 'SET a 1', 'DISCARD', 'GET a', 'EXEC');
    await redis.expect('+OK', '+QUEUED', '+OK', '$-1', '-ERR EXEC without MULTI');
  });

  test('RESET and QUIT are not queued', async () => {
    await using redis = await client();
    redis.request('MULTI', 'SET a 1', 'RESET', 'GET a', 'MULTI', 'QUIT', 'PING');
    await redis.expect('+OK', '+QUEUED', '+RESET', '$-1', '+OK', '+OK');
    expect(await redis.closed()).toBe('');
  });

  test('one that is too long is refused', async () => {
    await restart({ maxRequestBytes: 10_000 });
    await using redis = await client();
    const value = 'x'.repeat(4_000);
    redis.request('MULTI', `SET a ${value}`, `SET b ${value}`, `SET c ${value}`, 'EXEC', 'GET a');
    await redis.expect(
      '+OK',
      '+QUEUED',
      '+QUEUED',
      '-ERR transaction longer than 10000 bytes; split it',
      '-EXECABORT Transaction discarded because of previous errors.',
      '$-1',
    );
  });
});

describe('WATCH', () => {
  test('lets an unchanged key pass, also when all is sent in one go', async () => {
    await using redis = await client();
    redis.request('SET a 1', 'WATCH a b', 'MULTI', 'INCR a', 'EXEC');
    await redis.expect('+OK', '+OK', '+OK', '+QUEUED', '*1\r\n:2');
  });

  test('stops a transaction whose key another client changed', async () => {
    await using redis = await client();
    await using other = await client();
    redis.request('WATCH a');
    await redis.expect('+OK');
    other.request('SET a other');
    await other.expect('+OK');
    redis.request('MULTI', 'SET a mine', 'EXEC', 'GET a', 'MULTI', 'SET a mine', 'EXEC');
    await redis.expect('+OK', '+QUEUED', '*-1', '$5\r\nother', '+OK', '+QUEUED', '*1\r\n+OK');
  });

  test('stops one whose key the client itself changed', async () => {
    await using redis = await client();
    redis.request('WATCH a', 'SET a 1', 'MULTI', 'GET a', 'EXEC');
    await redis.expect('+OK', '+OK', '+OK', '+QUEUED', '*-1');
  });

  test('keeps the version of the first time', async () => {
    await using redis = await client();
    redis.request('WATCH a', 'SET a 1', 'WATCH a', 'MULTI', 'EXEC');
    await redis.expect('+OK', '+OK', '+OK', '+OK', '*-1');
  });

  test.each(['UNWATCH', 'DISCARD', 'EXEC', 'RESET'])('ends with %s', async (end) => {
    await using redis = await client();
    redis.request('WATCH a', 'SET a 1');
    await redis.expect('+OK', '+OK');
    if (end === 'UNWATCH') {
      redis.request('UNWATCH');
      await redis.expect('+OK');
    } else if (end === 'RESET') {
      redis.request('RESET');
      await redis.expect('+RESET');
    } else {
      redis.request('MULTI', end);
      await redis.expect('+OK', end === 'EXEC' ? '*-1' : '+OK');
    }
    redis.request('MULTI', 'GET a', 'EXEC');
    await redis.expect('+OK', '+QUEUED', '*1\r\n$1\r\n1');
  });

  test('of too many keys is refused', async () => {
    await restart({ maxRequestBytes: 10_000 });
    await using redis = await client();
    redis.request(
      `WATCH ${'x'.repeat(9_000)}`,
      `WATCH ${'y'.repeat(9_000)}`,
      'UNWATCH',
      `WATCH ${'y'.repeat(9_000)}`,
    );
    await redis.expect('+OK', '-ERR transaction longer than 10000 bytes; split it', '+OK', '+OK');
  });

  test('is answered before what follows is even looked at, however late', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.request('GET a');
    await engine.whenOpen(1);
    redis.request('SET b 1', 'WATCH a', 'MULTI', 'SET a 1', 'EXEC');
    await arrived(redis);
    engine.settle();
    await redis.expect('$-1');
    await engine.whenOpen(2);
    expect(engine.taken.map(({ request }) => request.kind)).toEqual(['command', 'command', 'watch']);
    engine.settle();
    await engine.whenOpen(1);
    engine.settle();
    await redis.expect('+OK', '+OK', '+OK', '+QUEUED', '*1\r\n+OK');
  });
});

describe('a node that does not lead', () => {
  test('sends clients to the leader by the slot of the key', async () => {
    engine.depose(OTHER);
    await using redis = await client();
    redis.request(
      'GET foo',
      'SET {foo}a 1',
      'MGET foo bar',
      'DBSIZE',
      'WATCH foo',
      'PING',
      'CLUSTER KEYSLOT foo',
    );
    await redis.expect(
      '-MOVED 12182 127.0.0.1:7002',
      '-MOVED 12182 127.0.0.1:7002',
      '-MOVED 12182 127.0.0.1:7002',
      '-MOVED 0 127.0.0.1:7002',
      '-MOVED 12182 127.0.0.1:7002',
      '+PONG',
      ':12182',
    );
    expect(engine.taken).toEqual([]);
  });

  test('says so when there is no leader', async () => {
    engine.depose(null);
    await using redis = await client();
    redis.request('GET foo', 'PING', 'CLUSTER INFO');
    await redis.expect('-CLUSTERDOWN The cluster is down: no leader known', '+PONG');
    expect(await redis.bulk()).toContain('cluster_state:fail');
  });

  test('redirects inside MULTI at once, and EXEC then aborts', async () => {
    engine.depose(OTHER);
    await using redis = await client();
    redis.request('MULTI', 'SET foo 1', 'EXEC', 'MULTI', 'PING', 'EXEC');
    await redis.expect(
      '+OK',
      '-MOVED 12182 127.0.0.1:7002',
      '-EXECABORT Transaction discarded because of previous errors.',
      '+OK',
      '+QUEUED',
      '-MOVED 0 127.0.0.1:7002',
    );
  });

  test('a leader that loses its office answers what is open, in order, and redirects what follows', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.request('SET foo 1', 'GET foo', 'NOPE');
    await engine.whenOpen(3);
    engine.depose(OTHER);
    redis.request('GET foo');
    await redis.expect(
      '-UNKNOWN outcome: the leader changed after it had taken the write; it may or may not be applied',
      '-MOVED 12182 127.0.0.1:7002',
      "-ERR unknown command 'NOPE', with args beginning with: ",
      '-MOVED 12182 127.0.0.1:7002',
    );
  });

  test('with --unknown-outcome disconnect it says nothing of what is unknown, nor of anything behind it', async () => {
    await restart({ unknownOutcome: 'disconnect' });
    await using redis = await client();
    await using reader = await client();
    redis.request('SET foo 1');
    await redis.expect('+OK');
    engine.holding = true;
    redis.request('SET foo 2', 'PING', 'SET foo 3');
    reader.request('GET foo');
    await engine.whenOpen(4);
    const rest = redis.closed();
    engine.depose(OTHER);
    expect(await rest).toBe('');
    await reader.expect('-MOVED 12182 127.0.0.1:7002');
  });
});

describe('a follower that reads', () => {
  test('after READONLY runs reads itself, in the lane of reads, and redirects writes until READWRITE', async () => {
    engine.depose(OTHER);
    await using redis = await client();
    redis.request(
      'GET foo',
      'READONLY',
      'GET foo',
      'SET foo 1',
      'PING',
      'MGET foo bar',
      'READWRITE',
      'GET foo',
    );
    await redis.expect(
      '-MOVED 12182 127.0.0.1:7002',
      '+OK',
      '$-1',
      '-MOVED 12182 127.0.0.1:7002',
      '+PONG',
      '*2\r\n$-1\r\n$-1',
      '+OK',
      '-MOVED 12182 127.0.0.1:7002',
    );
    expect(new Set(engine.taken.map(({ lane }) => lane))).toEqual(new Set(['read']));
  });

  test('runs transactions that only read, and WATCH', async () => {
    engine.depose(OTHER);
    await using redis = await client();
    redis.request(
      'READONLY',
      'WATCH foo',
      'MULTI',
      'GET foo',
      'EXEC',
      'MULTI',
      'GET foo',
      'SET foo 1',
      'EXEC',
    );
    await redis.expect(
      '+OK',
      '+OK',
      '+OK',
      '+QUEUED',
      '*1\r\n$-1',
      '+OK',
      '+QUEUED',
      '-MOVED 12182 127.0.0.1:7002',
      '-EXECABORT Transaction discarded because of previous errors.',
    );
  });

  test('with --follower-reads needs no READONLY; RESET does not take it away, READWRITE does', async () => {
    await restart({ followerReads: true });
    engine.depose(OTHER);
    await using redis = await client();
    redis.request('GET foo', 'RESET', 'GET foo', 'READWRITE', 'GET foo', 'RESET', 'GET foo');
    await redis.expect('$-1', '+RESET', '$-1', '+OK', '-MOVED 12182 127.0.0.1:7002', '+RESET', '$-1');
  });
});

describe('a follower that forwards', () => {
  let forwarded: Request[];

  beforeEach(async () => {
    forwarded = [];
    await restart({ proxy: true, forwarder: { submit: (request) => forwarded.push(request) } });
    engine.depose(OTHER);
  });

  /** Answers what was forwarded as the leader would, and clears it. */
  function answer(): void {
    const requests = forwarded.splice(0);
    for (const request of requests) {
      if (request.kind === 'text') request.write(request.client.reply);
      else if (request.kind === 'watch') request.client.reply.ok();
      else request.client.reply.simple(request.kind === 'command' ? request.args.join(' ') : 'EXEC');
    }
    for (const request of requests) request.client.settled(1);
  }

  async function whenForwarded(count: number): Promise<void> {
    while (forwarded.length < count) await new Promise((resolve) => setImmediate(resolve));
  }

  test('passes on reads, writes, WATCH and transactions, with known replies in their places', async () => {
    await using redis = await client();
    redis.request('SET a 1', 'PING', 'GET a', 'NOPE', 'MULTI', 'INCR a', 'EXEC');
    await whenForwarded(7);
    expect(engine.taken).toEqual([]);
    answer();
    await redis.expect(
      '+SET a 1',
      '+PONG',
      '+GET a',
      "-ERR unknown command 'NOPE', with args beginning with: ",
      '+OK',
      '+QUEUED',
      '+EXEC',
    );
    redis.request('WATCH a', 'GET a');
    await whenForwarded(1);
    answer();
    await redis.expect('+OK');
    await whenForwarded(1);
    answer();
    await redis.expect('+GET a');
  });

  test('that also reads keeps reads behind the writes of their connection', async () => {
    await using redis = await client();
    redis.request('READONLY');
    await redis.expect('+OK');
    redis.request('SET a 1');
    await whenForwarded(1);
    redis.request('GET a');
    await arrived(redis);
    expect(engine.taken).toEqual([]);
    answer();
    await redis.expect('+SET a 1', '$-1');
    expect(engine.taken.map(({ lane }) => lane)).toEqual(['read']);
  });

  test('that begins to lead runs nothing itself before what it forwarded is answered', async () => {
    await using redis = await client();
    redis.request('SET a 1');
    await whenForwarded(1);
    engine.leading = true;
    redis.request('SET a 2');
    await arrived(redis);
    expect(engine.taken).toEqual([]);
    answer();
    await redis.expect('+SET a 1', '+OK');
    expect(engine.taken.map(({ lane }) => lane)).toEqual(['log']);
  });

  test('says that there is no leader rather than where it is', async () => {
    await using redis = await client();
    redis.request('SET a 1', 'GET a');
    await whenForwarded(2);
    for (const request of forwarded.splice(0)) {
      request.client.refused(request);
      request.client.settled(1);
    }
    const down = '-CLUSTERDOWN The cluster is down: no leader known';
    await redis.expect(down, down);
  });
});

describe('a session', () => {
  /** The sequences under which requests were handed on, null for none. */
  function sequences(): (number | null)[] {
    return engine.taken.flatMap(({ request }) =>
      request.kind === 'text' || request.kind === 'watch'
        ? []
        : [request.once?.kind === 'session' ? request.once.sequence : null],
    );
  }

  const gap = (sequence: number, next: number): string =>
    `-SEQGAP sequence ${sequence} was not run: ${next} is the next of session 1; send the writes from there on again, after KVORUM.SESSION RESUME 1 ${next}`;

  test('numbers writes from where it is resumed, and nothing else', async () => {
    await using redis = await client();
    redis.request('KVORUM.SESSION OPEN', 'SET a 0');
    await redis.expect(':1', '+OK');
    redis.request('KVORUM.SESSION RESUME 1 1', 'INCR a', 'GET a', 'PING', 'INCR a', 'KVORUM.SESSION INFO 1');
    await redis.expect(
      '+OK',
      ':1',
      '$1\r\n1',
      '+PONG',
      ':2',
      '*6\r\n$2\r\nid\r\n:1\r\n$4\r\nnext\r\n:3\r\n$6\r\noldest\r\n:1',
    );
    redis.request('MULTI', 'INCR a', 'GET a', 'EXEC', 'MULTI', 'GET a', 'EXEC', 'INCR a');
    await redis.expect(
      '+OK',
      '+QUEUED',
      '+QUEUED',
      '*2\r\n:3\r\n$1\r\n3',
      '+OK',
      '+QUEUED',
      '*1\r\n$1\r\n3',
      ':4',
    );
    expect(sequences()).toEqual([null, null, 1, null, 2, null, 3, null, 4]);
  });

  test('resumed on another connection answers what was run, and runs what was not', async () => {
    await using first = await client();
    first.request('KVORUM.SESSION OPEN');
    await first.expect(':1');
    first.request('KVORUM.SESSION RESUME 1 1', 'INCR a', 'INCR a');
    await first.expect('+OK', ':1', ':2');
    await using second = await client();
    second.request('KVORUM.SESSION RESUME 1 2', 'INCR a', 'INCR a', 'GET a');
    await second.expect('+OK', ':2', ':3', '$1\r\n3');
  });

  test('a write that is turned away has its number all the same, and those behind it are not run', async () => {
    await using redis = await client();
    redis.request('KVORUM.SESSION OPEN');
    await redis.expect(':1');
    redis.request('KVORUM.SESSION RESUME 1 1', 'INCR a', 'SET a', 'INCR a');
    await redis.expect('+OK', ':1', "-ERR wrong number of arguments for 'set' command");
    await redis.expect(gap(3, 2));
    redis.request('KVORUM.SESSION RESUME 1 2', 'INCR a', 'MULTI', 'SET a', 'INCR a', 'EXEC', 'INCR a');
    await redis.expect(
      '+OK',
      ':2',
      '+OK',
      "-ERR wrong number of arguments for 'set' command",
      '+QUEUED',
      '-EXECABORT Transaction discarded because of previous errors.',
    );
    await redis.expect(gap(4, 3));
  });

  test('on a follower redirected writes have their numbers, too', async () => {
    await using redis = await client();
    redis.request('KVORUM.SESSION OPEN');
    await redis.expect(':1');
    redis.request('KVORUM.SESSION RESUME 1 1');
    await redis.expect('+OK');
    engine.depose(OTHER);
    redis.request('INCR foo');
    await redis.expect('-MOVED 12182 127.0.0.1:7002');
    engine.leading = true;
    redis.request('INCR foo');
    await redis.expect(gap(2, 1));
  });

  test('on a follower redirected commands about sessions take no number', async () => {
    await using redis = await client();
    redis.request('KVORUM.SESSION OPEN', 'KVORUM.SESSION RESUME 1 1', 'INCR a', 'KVORUM.SESSION RESUME 1 1');
    await redis.expect(':1', '+OK', ':1', '+OK');
    engine.depose(OTHER);
    redis.request('KVORUM.SESSION OPEN');
    await redis.expect('-MOVED 0 127.0.0.1:7002');
    engine.leading = true;
    // Sent again under its number: the kept answer, and no second run.
    redis.request('INCR a', 'GET a');
    await redis.expect(':1', '$1\r\n1');
  });

  test('ends with RESET, and begins outside of transactions only', async () => {
    await using redis = await client();
    redis.request('KVORUM.SESSION RESUME 7 1', 'RESET', 'INCR a', 'MULTI', 'KVORUM.SESSION OPEN');
    await redis.expect(
      '+OK',
      '+RESET',
      ':1',
      '+OK',
      "-ERR 'kvorum.session|open' is not allowed inside a transaction; send it before MULTI or after EXEC",
    );
  });

  test('asks for whole numbers', async () => {
    await using redis = await client();
    redis.request(
      'KVORUM.SESSION RESUME 0 1',
      'KVORUM.SESSION RESUME 1 x',
      'KVORUM.SESSION RESUME 1',
      'KVORUM.SESSION',
    );
    await redis.expect(
      '-ERR session and sequence are whole numbers from 1 on, below 2^53 - 1',
      '-ERR value is not an integer or out of range',
      "-ERR wrong number of arguments for 'kvorum.session|resume' command",
      "-ERR wrong number of arguments for 'kvorum.session' command",
    );
  });
});

describe('protocols', () => {
  test('RESP3 after HELLO 3, RESP2 after HELLO 2 and RESET', async () => {
    await using redis = await client();
    redis.request('GET a', 'HELLO 3');
    await redis.expect('$-1');
    redis.request('GET a', 'CONFIG GET maxclients', 'RESET', 'GET a', 'CONFIG GET maxclients');
    const text = await readUntil(redis, '*2\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n');
    expect(
      text.endsWith(
        '_\r\n%1\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n+RESET\r\n$-1\r\n*2\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n',
      ),
    ).toBe(true);
  });

  test('HELLO refuses what it does not know', async () => {
    await using redis = await client();
    redis.request('HELLO 4', 'HELLO x', 'HELLO 3 SETNAME', 'HELLO 3 FOO bar', 'HELLO 3 SETNAME a\nb');
    await redis.expect(
      '-NOPROTO unsupported protocol version',
      '-ERR Protocol version is not an integer or out of range',
      "-ERR Syntax error in HELLO option 'SETNAME'",
      "-ERR Syntax error in HELLO option 'FOO'",
      '-ERR Client names cannot contain spaces, newlines or special characters.',
    );
  });

  test('inline requests, as from nc, answered also after the client has closed its side', async () => {
    await using redis = await client();
    redis.socket.end('SET a "1 2"\r\nGET a\r\n');
    expect(await redis.closed()).toBe('+OK\r\n$3\r\n1 2\r\n');
  });

  test.each(['POST / HTTP/1.1', 'host: x'])('what a web page sends runs no command: %s', async (line) => {
    await using redis = await client();
    redis.send(`${line}\r\nContent-Length: 9\r\n\r\nSET a 1\r\n`);
    expect(await redis.closed()).toBe('');
    expect(engine.taken).toEqual([]);
  });

  test('a protocol error is answered in its place, then the connection closes', async () => {
    await using redis = await client();
    engine.holding = true;
    redis.send(`${encode(['SET', 'a', '1'])}*1\r\n#\r\n${encode(['SET', 'a', '2'])}`);
    await engine.whenOpen(2);
    engine.settle();
    expect(await redis.closed()).toBe("+OK\r\n-ERR Protocol error: expected '$', got '#'\r\n");
    expect(engine.taken).toHaveLength(2);
  });

  test('QUIT is answered after what came before, and nothing after it runs', async () => {
    await using redis = await client();
    redis.request('SET a 1', 'QUIT', 'SET a 2');
    expect(await redis.closed()).toBe('+OK\r\n+OK\r\n');
    expect(engine.taken).toHaveLength(1);
  });
});

describe('a password', () => {
  const REFUSED = '-NOAUTH Authentication required.';
  const WRONG = '-WRONGPASS invalid username-password pair or user is disabled.';

  test('is asked for', async () => {
    await restart({ users: new Users('secret', catalogue) });
    await using redis = await client();
    redis.request(
      'GET a',
      'PING',
      'NOPE',
      'MULTI',
      'AUTH wrong',
      'AUTH other secret',
      'AUTH a b c',
      'GET a',
      'AUTH secret',
      'GET a',
    );
    await redis.expect(
      REFUSED,
      REFUSED,
      "-ERR unknown command 'NOPE', with args beginning with: ",
      REFUSED,
      WRONG,
      WRONG,
      '-ERR syntax error',
      REFUSED,
      '+OK',
      '$-1',
    );
    redis.request('RESET', 'GET a', 'AUTH default secret', 'GET a');
    await redis.expect('+RESET', REFUSED, '+OK', '$-1');
  });

  test('may come with HELLO', async () => {
    await restart({ users: new Users('secret', catalogue) });
    await using redis = await client();
    redis.request('HELLO 3', 'HELLO 3 AUTH default wrong', 'GET a');
    await redis.expect(
      '-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
      WRONG,
      REFUSED,
    );
    redis.request('HELLO 3 AUTH default secret SETNAME me', 'GET a', 'CLIENT GETNAME');
    expect((await readUntil(redis, 'me\r\n')).endsWith('_\r\n$2\r\nme\r\n')).toBe(true);
  });

  test('strangers may send little', async () => {
    await restart({ users: new Users('secret', catalogue) });
    await using many = await client();
    many.send('*11\r\n');
    expect(await many.closed()).toBe('-ERR Protocol error: unauthenticated multibulk length\r\n');
    await using long = await client();
    long.send('*2\r\n$4\r\nAUTH\r\n$16385\r\n');
    expect(await long.closed()).toBe('-ERR Protocol error: unauthenticated bulk length\r\n');
  });

  test('that nobody set is not asked for', async () => {
    await using redis = await client();
    redis.request('AUTH x', 'AUTH default x');
    await redis.expect(
      '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
      '+OK',
    );
  });
});

describe('limits', () => {
  test('too many connections are turned away with a word', async () => {
    await restart({ maxClients: 1 });
    await using first = await client();
    first.request('PING');
    await first.expect('+PONG');
    await using second = await client();
    expect(await second.closed()).toBe('-ERR max number of clients reached\r\n');
    first.request('PING');
    await first.expect('+PONG');
  });

  test('a request that is too long closes the connection with a word', async () => {
    await restart({ maxRequestBytes: 1_000 });
    await using redis = await client();
    redis.send(encode(['SET', 'a', 'x'.repeat(1_000)]));
    expect(await redis.closed()).toBe('-ERR Protocol error: request longer than 1000 bytes\r\n');
  });

  test('a long value comes and goes', async () => {
    await using redis = await client();
    const value = '0123456789'.repeat(500_000);
    redis.request(`SET a ${value}`, 'GET a');
    await redis.expect('+OK', `$${value.length}\r\n${value}`);
  });

  test('a client that never reads is not read from any more, and gets all in order when it does', async () => {
    await using redis = await client();
    const value = 'v'.repeat(10_000);
    redis.request(`SET a ${value}`);
    await redis.expect('+OK');
    redis.socket.pause();
    const count = 20_000;
    redis.send(encode(['GET', 'a']).repeat(count));
    const session = [...port.sessions.values()][0]!;
    // The server goes on until its output is full; then neither output nor input grows.
    let before = -1;
    while (session.outputBytes !== before || session.outputBytes === 0) {
      before = session.outputBytes;
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(session.outputBytes).toBeLessThan(100_000_000);
    expect(session.inputBytes).toBeLessThan(200_000);
    expect(engine.taken.length).toBeLessThan(count);
    redis.socket.resume();
    let received = 0;
    redis.socket.on('data', (text: string) => {
      received += text.length;
    });
    while (received < count * (value.length + 10)) await once(redis.socket, 'data');
    expect(received).toBe(count * (value.length + 10));
  });

  test('a client that floods a node which does not answer is not read from any more', async () => {
    await using redis = await client();
    engine.holding = true;
    const flood = encode(['SET', 'a', 'x'.repeat(1_000)]).repeat(100);
    for (let round = 0; round < 300; round += 1) redis.send(flood);
    const session = [...port.sessions.values()][0]!;
    let before = -1;
    while (engine.open !== before || engine.open === 0) {
      before = engine.open;
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(engine.open).toBeLessThan(10_000);
    expect(session.inputBytes).toBeLessThan(200_000);
    engine.holding = false;
    engine.settle();
    await redis.expect(...Array.from({ length: 30_000 }, () => '+OK'));
  });

  test('a client that goes away leaves nothing behind', async () => {
    engine.holding = true;
    const redis = await client();
    redis.request('SET a 1', 'CLIENT ID');
    await engine.whenOpen(1);
    const session = [...port.sessions.values()][0]!;
    redis.socket.resetAndDestroy();
    while (port.sessions.size > 0) await new Promise((resolve) => setImmediate(resolve));
    engine.settle();
    await new Promise((resolve) => setImmediate(resolve));
    expect(session.outputBytes).toBe(0);
    expect(engine.store.size).toBe(1);
  });
});

describe('close', () => {
  test('lets open replies go out, and takes nothing new', async () => {
    await using busy = await client();
    await using idle = await client();
    idle.request('PING');
    await idle.expect('+PONG');
    engine.holding = true;
    busy.request('SET a 1');
    await engine.whenOpen(1);
    const closed = port.close();
    expect(await idle.closed()).toBe('');
    busy.request('SET a 2');
    await new Promise((resolve) => setImmediate(resolve));
    engine.settle();
    expect(await busy.closed()).toBe('+OK\r\n');
    await closed;
    expect(engine.taken).toHaveLength(1);
    await expect(client()).rejects.toThrow('ECONNREFUSED');
  });
});

describe('WAIT', () => {
  test('answers at once when enough nodes have the writes', async () => {
    await using redis = await client();
    engine.replicas = 2;
    redis.request('SET a 1', 'WAIT 2 0', 'WAIT 0 0', 'WAIT x 1', 'WAIT 1 x', 'WAIT 1 -1');
    await redis.expect(
      '+OK',
      ':2',
      ':2',
      '-ERR value is not an integer or out of range',
      '-ERR timeout is not an integer or out of range',
      '-ERR timeout is negative',
    );
  });

  test('waits for them, and what follows waits too', async () => {
    await using redis = await client();
    redis.request('SET a 1', 'WAIT 1 0', 'PING');
    await redis.expect('+OK');
    engine.replicas = 1;
    await redis.expect(':1', '+PONG');
  });

  test('gives up in time', async () => {
    await using redis = await client();
    redis.request('WAIT 1 1', 'PING');
    await redis.expect(':0', '+PONG');
  });

  test('ends when the node loses its office', async () => {
    await using redis = await client();
    redis.request('SET a 1', 'WAIT 1 0');
    await redis.expect('+OK');
    engine.depose(OTHER);
    await redis.expect(
      '-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    );
    redis.request('WAIT 1 0');
    await redis.expect('-MOVED 0 127.0.0.1:7002');
  });

  test('of a client that has gone is forgotten', async () => {
    const redis = await client();
    redis.request('PING', 'WAIT 1 0');
    await redis.expect('+PONG');
    redis.socket.end();
    expect(await redis.closed()).toBe('');
  });
});

describe('client libraries', () => {
  test('ioredis', async () => {
    const redis = new Redis({ ...address, lazyConnect: true, connectionName: 'app' });
    await redis.connect();
    expect(await redis.set('a', '1')).toBe('OK');
    expect(await redis.mget('a', 'b')).toEqual(['1', null]);
    expect(await redis.multi().incr('a').get('a').exec()).toEqual([
      [null, 2],
      [null, '2'],
    ]);
    const pipeline = redis.pipeline();
    for (let at = 0; at < 500; at += 1) pipeline.incr('n');
    const results = await pipeline.exec();
    expect(results?.at(-1)).toEqual([null, 500]);
    expect(await redis.client('GETNAME')).toBe('app');
    expect(await redis.info('server')).toContain('redis_version:7.0.15');
    await redis.quit();
  });

  test('node-redis', async () => {
    const redis = createClient({ url: `redis://127.0.0.1:${address.port}`, name: 'app' });
    await redis.connect();
    expect(await redis.set('a', '1')).toBe('OK');
    expect(await redis.get('a')).toBe('1');
    expect(await redis.multi().incr('a').get('a').exec()).toEqual([2, '2']);
    expect(await redis.configGet('maxclients')).toEqual({ maxclients: '100' });
    expect((await redis.clientInfo()).name).toBe('app');
    expect(await redis.commandCount()).toBeGreaterThan(50);
    await redis.close();
  });
});

/** Everything received up to and including `end`. */
async function readUntil(redis: RawClient, end: string): Promise<string> {
  let text = '';
  redis.socket.on('data', (piece: string) => {
    text += piece;
  });
  while (!text.includes(end)) await once(redis.socket, 'data');
  return text;
}
