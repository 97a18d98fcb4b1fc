/** A node for tests: a real fastify server on 127.0.0.1 with a transport, which notes all that happens to it. */
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { type Member, type Message, type NodeId, asGroupId, asNodeId } from '../../raft/types.ts';
import { type ClientAddress, Guard } from '../identity.ts';
import { Transport, type TransportOptions } from '../transport.ts';

/** Notes of all nodes of a test, and a way to wait until they say something. */
export class Watch {
  readonly #waiting = new Set<() => void>();

  /** Resolves as soon as `condition` holds; it is asked again after everything that happens to a node. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  notify(): void {
    for (const check of this.#waiting) check();
  }
}

export interface TestNode {
  readonly id: NodeId;
  readonly url: string;
  readonly member: Member;
  readonly transport: Transport;
  readonly app: FastifyInstance;
  readonly messages: { readonly from: NodeId; readonly message: Message }[];
  /** What it does at once about a message. */
  onMessage: (message: Message) => void;
  readonly down: NodeId[];
  readonly unreachable: NodeId[];
  readonly addresses: Map<NodeId, ClientAddress>;
  /** Peers that say that this node was removed. */
  readonly removedBy: Set<NodeId>;
  /** Log lines, parsed. */
  readonly log: { readonly level: number; readonly msg: string }[];
  /** As `kill -9` does: the listener and all sockets are gone, nothing is said. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface NodeOptions extends Partial<Pick<TransportOptions, 'heartbeatMs' | 'snapshots'>> {
  readonly port?: number;
  /** Not yet part of a cluster while `null`. */
  readonly clusterId?: string | null;
  readonly secret?: string;
  /** '1' where it does not matter. */
  readonly incarnation?: string;
  readonly peers?: readonly Member[];
  /** Answers what is asked over the route `question`; bodies of at most 1000 bytes. */
  readonly answer?: (question: Buffer) => Promise<Uint8Array>;
}

export async function startNode(watch: Watch, name: string, options: NodeOptions = {}): Promise<TestNode> {
  const id = asNodeId(name);
  const app = fastify();
  const node = {
    id,
    app,
    messages: [] as { from: NodeId; message: Message }[],
    onMessage: (_message: Message): void => undefined,
    down: [] as NodeId[],
    unreachable: [] as NodeId[],
    addresses: new Map<NodeId, ClientAddress>(),
    removedBy: new Set<NodeId>(),
    log: [] as { level: number; msg: string }[],
  };
  const noting =
    <Args extends unknown[]>(note: (...args: Args) => void): ((...args: Args) => void) =>
    (...args) => {
      note(...args);
      // After the transport is done with the callback, so that its own state says the same.
      setImmediate(() => watch.notify());
    };
  const incarnation = options.incarnation ?? '1';
  const clusterId = options.clusterId === undefined ? 'test' : options.clusterId;
  let url = '';
  const transport = new Transport({
    self: { id, group: asGroupId('main'), incarnation },
    clusterId: () => clusterId,
    guard: new Guard(options.secret ?? null),
    url: () => url,
    clientAddress: () => ({ host: `${name}.test`, port: 6380 }),
    heartbeatMs: options.heartbeatMs ?? 500,
    logger: pino(
      { level: 'debug' },
      { write: noting((line: string) => node.log.push(JSON.parse(line) as { level: number; msg: string })) },
    ),
    snapshots: options.snapshots ?? { open: () => null },
    onMessage: noting((from, message) => {
      node.messages.push({ from, message });
      running.onMessage(message);
    }),
    onPeerDown: noting((peer) => node.down.push(peer)),
    onUnreachable: noting((peer) => node.unreachable.push(peer)),
    onPeerAddress: noting((peer, address) => node.addresses.set(peer, address)),
    onRemoved: noting((peer, removed) => {
      if (removed) node.removedBy.add(peer);
      else node.removedBy.delete(peer);
    }),
  });
  transport.routes(app);
  transport.serve(app, 'question', 1000, options.answer ?? ((question) => Promise.resolve(question)));
  transport.setPeers(options.peers ?? [], []);
  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await transport.close();
    await app.close();
  };
  const kill = async (): Promise<void> => {
    app.server.closeAllConnections();
    await stop();
  };
  const running: TestNode = { ...node, transport, url, member: { id, url, incarnation }, stop, kill };
  return running;
}
