/** What the link does when connections break, leaders change and outcomes are unknown, against servers that do just that. */
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { RequestParser } from '../../server/resp/parser.ts';
import { ClusterLink } from './cluster-link.ts';
import type { Address } from '../address.ts';
import { ReplyError } from './node-link.ts';

/** `null` breaks the connection. */
type Answer = (request: readonly string[]) => string | null;

interface FakeNode {
  readonly address: Address;
  /** All requests after those that begin every connection. */
  readonly asked: string[];
}

async function node(answer: Answer): Promise<FakeNode> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const parser = new RequestParser(1_000_000);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      parser.push(chunk);
      for (let request = parser.next(); request !== null; request = parser.next()) {
        if (request[0] === 'CLUSTER') {
          socket.write('*0\r\n');
          continue;
        }
        asked.push(request.join(' '));
        const reply = answer(request);
        if (reply === null) {
          socket.destroy();
          return;
        }
        socket.write(reply);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, asked };
}

async function linkTo({ address }: FakeNode): Promise<ClusterLink> {
  const link = await ClusterLink.to(address, { user: 'default', password: null });
  onTestFinished(() => link.close());
  return link;
}

/** A session as a node has it: a number that was run before is answered as the first time. */
class Session {
  runs = 0;
  next = 1;
  #resumed = 0;
  readonly #replies = new Map<number, string>();

  answer([name = '', verb, , number]: readonly string[]): string {
    if (name === 'KVORUM.SESSION') {
      if (verb === 'OPEN') return ':7\r\n';
      this.#resumed = Number(number);
      return '+OK\r\n';
    }
    const before = this.#replies.get(this.#resumed);
    if (before !== undefined) return before;
    if (this.#resumed !== this.next) return `-SEQGAP a write before is missing: ${this.next} is the next\r\n`;
    this.runs++;
    const reply = `:${this.runs}\r\n`;
    this.#replies.set(this.next++, reply);
    return reply;
  }
}

test('what was run before the connection broke is not run again', async () => {
  const session = new Session();
  let broken = 0;
  const server = await node((request) => {
    const reply = session.answer(request);
    return request[0] === 'INCR' && broken++ < 2 ? null : reply;
  });
  const link = await linkTo(server);
  await link.openSession();
  expect(await link.run([['INCR', 'n']])).toEqual([1]);
  expect(await link.run([['INCR', 'n']])).toEqual([2]);
  expect(session.runs).toBe(2);
});

test('a number that a read did not take is the next one’s', async () => {
  const session = new Session();
  const server = await node((request) => (request[0] === 'GET' ? '$1\r\nx\r\n' : session.answer(request)));
  const link = await linkTo(server);
  await link.openSession();
  expect(await link.run([['GET', 'n']])).toEqual(['x']);
  expect(await link.run([['INCR', 'n']])).toEqual([1]);
  expect(session.runs).toBe(1);
});

test.each(['-UNKNOWN outcome\r\n', '-CLUSTERDOWN no leader\r\n', '-BUSY later\r\n'])(
  'after %j the same is sent again, under the same number',
  async (trouble) => {
    const session = new Session();
    let times = 0;
    const server = await node((request) =>
      request[0] === 'INCR' && times++ < 1 ? trouble : session.answer(request),
    );
    const link = await linkTo(server);
    await link.openSession();
    expect(await link.run([['INCR', 'n']])).toEqual([1]);
    const resumed = server.asked.filter((request) => request.includes('RESUME'));
    expect(resumed).toEqual(['KVORUM.SESSION RESUME 7 1', 'KVORUM.SESSION RESUME 7 1']);
  },
);

test('a transaction goes where a redirect points, as a whole', async () => {
  const leader = await node(([name]) =>
    name === 'MULTI' ? '+OK\r\n' : name === 'EXEC' ? '*2\r\n+OK\r\n-WRONGTYPE no\r\n' : '+QUEUED\r\n',
  );
  const { port } = leader.address;
  const follower = await node(([name]) =>
    name === 'MULTI' ? '+OK\r\n' : name === 'EXEC' ? '-EXECABORT\r\n' : `-MOVED 1 127.0.0.1:${port}\r\n`,
  );
  const link = await linkTo(follower);
  const commands = [
    ['SET', 'a', '1'],
    ['LPUSH', 'a', '2'],
  ];
  expect(await link.run(commands)).toEqual(['OK', new ReplyError('WRONGTYPE no')]);
  expect(leader.asked).toEqual(['MULTI', 'SET a 1', 'LPUSH a 2', 'EXEC']);
});

test('without a session nobody knows what became of a lost command', async () => {
  const server = await node(([name]) =>
    name === 'INCR' ? null : "-ERR unknown command 'KVORUM.SESSION'\r\n",
  );
  const link = await linkTo(server);
  await link.openSession();
  await expect(link.run([['INCR', 'n']])).rejects.toThrow('nobody knows whether the last commands were run');
  expect(server.asked.filter((request) => request === 'INCR n')).toHaveLength(1);
});

test('replies that are not kept any more count as run', async () => {
  const server = await node(([name, verb]) =>
    name === 'KVORUM.SESSION' ? (verb === 'OPEN' ? ':7\r\n' : '+OK\r\n') : '-APPLIED before\r\n',
  );
  const link = await linkTo(server);
  await link.openSession();
  expect(await link.run([['INCR', 'n']])).toBe(null);
  await link.run([['INCR', 'n']]);
  expect(server.asked).toContain('KVORUM.SESSION RESUME 7 2');
});

test('a question that is only a read is asked again', async () => {
  let times = 0;
  const server = await node(() => (times++ === 0 ? null : ':5\r\n'));
  const link = await linkTo(server);
  expect(await link.read([['DBSIZE']])).toEqual([5]);
});

test.each([
  ['-NOAUTH Authentication required.\r\n', 'Give --password.'],
  ['what is this\r\n', 'what it answers is not RESP'],
])('%j to the first question ends it', async (answer, message) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('data', () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const linking = ClusterLink.to({ host: '127.0.0.1', port }, { user: 'default', password: null });
  await expect(linking).rejects.toThrow(message);
});

test.each([10, 70, 100, 150, 1000])('an answer of %i KB is read when it is there', async (kilobytes) => {
  const value = 'x'.repeat(1018);
  const bulk = `$${value.length}\r\n${value}\r\n`;
  const link = await linkTo(
    await node(([name]) => {
      if (name === 'EXEC') return `*${kilobytes}\r\n${bulk.repeat(kilobytes)}`;
      return name === 'MULTI' ? '+OK\r\n' : '+QUEUED\r\n';
    }),
  );
  expect(await link.read([['GET'], ['GET']])).toEqual(Array.from({ length: kilobytes }, () => value));
});

test('a name and a password go out as UTF-8, as clients send them', async () => {
  const { address, asked } = await node(() => '+OK\r\n');
  const link = await ClusterLink.to(address, { user: 'jürgen', password: '密码' });
  onTestFinished(() => link.close());
  expect(asked.map((request) => Buffer.from(request, 'latin1').toString())).toEqual(['AUTH jürgen 密码']);
});
