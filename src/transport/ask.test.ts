import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { asNodeId, type Member } from '../raft/types.ts';
import { AskConnection, AskError } from './ask.ts';
import type { LinkProblem } from './incoming.ts';
import { type NodeOptions, type TestNode, Watch, startNode } from './testing/node.ts';

const watch = new Watch();
const running: TestNode[] = [];
const waiting = new AbortController().signal;

afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()));
});

async function start(name: string, options?: NodeOptions): Promise<TestNode> {
  const node = await startNode(watch, name, options);
  running.push(node);
  return node;
}

/** Two nodes that know each other, each as the other is told to. */
async function pair(to: NodeOptions = {}, from: NodeOptions = {}): Promise<[TestNode, TestNode]> {
  const nodes: [TestNode, TestNode] = [await start('n1', from), await start('n2', to)];
  for (const node of nodes)
    node.transport.setPeers(
      nodes.map(({ member }) => member),
      [],
    );
  return nodes;
}

function ask(from: TestNode, to: Pick<Member, 'id'>, text: string, signal = waiting): Promise<Buffer> {
  return from.transport.ask(to.id, 'question', Buffer.from(text), signal);
}

/** The error of a question that gets no answer. */
async function failure(asking: Promise<unknown>): Promise<AskError> {
  const error: unknown = await asking.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AskError);
  return error as AskError;
}

test('a member gets the answer to its question, one after the other and many at once', async () => {
  const [n1, n2] = await pair({ answer: async (question) => Buffer.from(`${question.toString()}!`) });
  expect((await ask(n1, n2, 'one')).toString()).toBe('one!');
  expect((await ask(n1, n2, 'two')).toString()).toBe('two!');
  const many = await Promise.all(Array.from({ length: 20 }, (_, at) => ask(n1, n2, `${at}`)));
  expect(many.map(String)).toEqual(Array.from({ length: 20 }, (_, at) => `${at}!`));
});

test('a question that was turned away or never arrived has certainly not been begun', async () => {
  let begun = 0;
  const answer = async (question: Buffer): Promise<Uint8Array> => {
    begun += 1;
    return question;
  };
  const [n1, n2] = await pair({ answer, secret: 'right' }, { secret: 'wrong' });
  expect(await failure(ask(n1, n2, 'x'))).toMatchObject({ reached: false, message: /secret/ });
  expect(await failure(ask(n1, { id: asNodeId('n9') }, 'x'))).toMatchObject({ reached: false });
  const [n3, n4] = await pair({ answer });
  expect(await failure(ask(n3, n4, 'x'.repeat(1001)))).toMatchObject({ reached: false });
  // Never asked before: a connection that stands open while the other side dies leaves it open what arrived.
  const [n5, n6] = await pair({ answer });
  await n6.kill();
  expect(await failure(ask(n5, n6, 'x'))).toMatchObject({ reached: false, message: /ECONNREFUSED/ });
  expect(begun).toBe(0);
});

test('of a question whose answer fails, is lost or is not waited for nobody knows how far it came', async () => {
  const never = Promise.withResolvers<Uint8Array>();
  let begun = Promise.withResolvers<void>();
  const [n1, n2] = await pair({
    answer: async (question) => {
      begun.resolve();
      if (question.toString() === 'fail') throw new Error('no');
      return never.promise;
    },
  });
  expect(await failure(ask(n1, n2, 'fail'))).toMatchObject({ reached: true });

  begun = Promise.withResolvers();
  const giveUp = new AbortController();
  const abandoned = failure(ask(n1, n2, 'x', giveUp.signal));
  await begun.promise;
  giveUp.abort();
  expect(await abandoned).toMatchObject({ reached: true });

  begun = Promise.withResolvers();
  const lost = failure(ask(n1, n2, 'x'));
  await begun.promise;
  const killed = n2.kill();
  expect(await lost).toMatchObject({ reached: true });
  never.resolve(Buffer.alloc(0));
  await killed;
});

test('what stands between the nodes can say nothing about how far a question came', async () => {
  for (const status of [200, 408, 502, 503, 504]) {
    const server = createHttpServer((request, response) => {
      request.resume().on('end', () => response.writeHead(status).end('gateway'));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const connection = new AskConnection({
      url: `http://127.0.0.1:${port}`,
      headers: () => ({}),
      check: () => ({ text: `status ${status}` }) as LinkProblem,
    });
    expect(await failure(connection.ask('/', Buffer.from('x'), waiting))).toMatchObject({ reached: true });
    await connection.close();
    server.close();
  }
});

test('what answers at the address and is no node of the cluster is not believed', async () => {
  const [n1] = await pair();
  const impostor = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'));
  });
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve));
  const { port } = impostor.address() as AddressInfo;
  const id = asNodeId('n2');
  n1.transport.setPeers([{ id, url: `http://127.0.0.1:${port}`, incarnation: '1' }], []);
  await failure(ask(n1, { id }, 'x'));
  await new Promise((resolve) => impostor.close(resolve));
});
