/** An engine without a log: it runs requests on a store, in order, when it is told to. */
import { asNodeId } from '../../raft/types.ts';
import { Store } from '../../store/store.ts';
import type { Client, Engine, Lane, NodeAddress, NodeStatus, Request } from '../engine.ts';
import { outcomeUnknown } from '../errors.ts';
import { isWrite } from '../requests.ts';
import { StoreEvents } from '../store-events.ts';

export const SELF: NodeAddress = { id: asNodeId('n1'), host: '127.0.0.1', port: 7001 };
export const OTHER: NodeAddress = { id: asNodeId('n2'), host: '127.0.0.1', port: 7002 };

export class FakeEngine implements Engine {
  readonly store: Store = new Store();
  readonly events: StoreEvents = new StoreEvents(this.store);
  /** What this node says is its own address. */
  host: string = SELF.host;
  leading = true;
  leader: NodeAddress | null = SELF;
  /** While true, requests are taken and nothing is answered until `settle`. */
  holding = false;
  replicas = 0;
  lastProposedIndex = 0;
  /** What was submitted, for a look at the lanes. */
  readonly taken: { readonly lane: Lane; readonly request: Request }[] = [];
  readonly #queues: Record<Lane, Request[]> = { log: [], read: [] };
  #scheduled = false;
  #waiters: { count: number; resolve: () => void }[] = [];

  submit(lane: Lane, request: Request): void {
    const other = lane === 'log' ? this.#queues.read : this.#queues.log;
    if (other.some(({ client }) => client === request.client))
      throw new Error(`a client has requests open in both lanes (${request.kind} submitted to ${lane})`);
    if (lane === 'read' && isWrite(request)) throw new Error('a write in the lane of the reads');
    this.taken.push({ lane, request });
    this.#queues[lane].push(request);
    this.#waiters = this.#waiters.filter(({ count, resolve }) => this.open < count || resolve());
    if (!this.holding) this.#schedule();
  }

  /** Requests taken and not answered. */
  get open(): number {
    return this.#queues.log.length + this.#queues.read.length;
  }

  /** Resolves once so many requests are open. */
  whenOpen(count: number): Promise<void> {
    if (this.open >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Answers what is open: the reads first, though they may have come later, as reads do that need no disk. */
  settle(): void {
    this.#run('read');
    this.#run('log');
  }

  /** Stops leading: what is open is answered as the real thing does. */
  depose(leader: NodeAddress | null): void {
    this.leading = false;
    this.leader = leader;
    for (const lane of ['read', 'log'] as const) {
      this.#answer(lane, (request) => {
        const { reply } = request.client;
        if (request.kind === 'text') request.write(reply);
        else if (isWrite(request)) reply.error(outcomeUnknown());
        else request.client.refused(request);
      });
    }
  }

  leaderAddress(): NodeAddress | null {
    return this.leader;
  }

  get pendingBytes(): number {
    return 0;
  }

  replicasAt(): number {
    return this.leading ? this.replicas : 0;
  }

  now(): number {
    return 1_700_000_000_123;
  }

  status(): NodeStatus {
    const follower = this.leader === null ? 'unknown' : 'follower';
    return {
      id: SELF.id,
      clusterId: 'c0ffee',
      group: 'main',
      state: 'member',
      role: this.leading ? 'leader' : 'follower',
      term: 3,
      leader: this.leader?.id ?? null,
      firstIndex: 1,
      lastIndex: 9,
      commitIndex: 8,
      appliedIndex: 8,
      snapshotIndex: 0,
      members: [{ ...SELF, host: this.host }, OTHER].map(({ id, host, port }) => ({
        id,
        url: `http://127.0.0.1:${port + 1000}`,
        client: { host, port },
        role: id === this.leader?.id ? 'leader' : follower,
        self: id === SELF.id,
        connected: true,
        match: this.leading ? 8 : null,
      })),
      keys: this.store.size,
      keysWithExpiry: this.store.expiring,
      fsync: 'always',
    };
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.holding) this.settle();
    });
  }

  #run(lane: Lane): void {
    const { store } = this;
    const entry = lane === 'log' && this.#queues.log.length > 0;
    if (entry) store.beginEntry(++this.lastProposedIndex, this.now());
    this.#answer(lane, (request) => {
      const { client } = request;
      switch (request.kind) {
        case 'command':
          if (request.command.write && request.once !== null) {
            const repeated = store.executeOnce(request.once, true, client.reply, (reply) =>
              store.execute(request.command, request.args, reply),
            );
            if (repeated) client.repeated();
          } else if (request.command.write) store.execute(request.command, request.args, client.reply);
          else store.read(request.command, request.args, client.reply, this.now());
          break;
        case 'transaction':
          if (request.once !== null) {
            store.executeOnce(request.once, true, client.reply, (reply) =>
              store.executeTransaction(request.calls, request.watches, reply),
            );
          } else if (isWrite(request)) store.executeTransaction(request.calls, request.watches, client.reply);
          else store.readTransaction(request.calls, request.watches, client.reply, this.now());
          break;
        case 'watch':
          client.watched(request.keys.map((key) => ({ key, version: store.version(key) })));
          client.reply.ok();
          break;
        case 'text':
          request.write(client.reply);
      }
    });
    if (entry) store.endEntry();
  }

  #answer(lane: Lane, write: (request: Request) => void): void {
    const counts = new Map<Client, number>();
    for (const request of this.#queues[lane].splice(0)) {
      write(request);
      counts.set(request.client, (counts.get(request.client) ?? 0) + 1);
    }
    for (const [client, count] of counts) client.settled(count);
  }
}
