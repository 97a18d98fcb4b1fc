/** An engine without a log: it runs requests on a store, in order, when it is told to. */
import { asNodeId, type NodeId } from '../../raft/types.ts';
import { settings } from '../../store/settings.ts';
import { Store } from '../../store/store.ts';
import { Activity } from '../activity.ts';
import { Blocked, runOrWait } from '../blocked.ts';
import { type Clock, systemClock } from '../clock.ts';
import {
  type Client,
  type Engine,
  type Lane,
  type NodeAddress,
  type NodeStatus,
  type Request,
  type SnapshotStatus,
  tellUnknown,
} from '../engine.ts';
import { isTry, isWrite, refuse } from '../requests.ts';
import { StoreEvents } from '../store-events.ts';

export const SELF: NodeAddress = { id: asNodeId('n1'), host: '127.0.0.1', port: 7001 };
export const OTHER: NodeAddress = { id: asNodeId('n2'), host: '127.0.0.1', port: 7002 };

export class FakeEngine implements Engine {
  readonly store: Store = new Store();
  get dataBytes(): number {
    return this.store.bytes;
  }

  setting(name: string): string | undefined {
    return this.store.meta.get('settings', name);
  }

  get users(): ReadonlyMap<string, string> {
    return this.store.meta.entries('users');
  }

  get lookups(): { readonly hits: number; readonly misses: number } {
    return this.store.lookups;
  }

  resetLookups(): void {
    this.store.resetLookups();
  }

  readonly events: StoreEvents = new StoreEvents(this.store);
  readonly activity: Activity;
  readonly blocked: Blocked;
  /** What this node says is its own address. */
  host: string = SELF.host;
  /** Whether the other node is up, as far as this one sees. */
  otherUp = true;
  leading = true;
  leader: NodeAddress | null = SELF;
  /** While true, requests are taken and nothing is answered until `settle`. */
  holding = false;
  replicas = 0;
  /** Called when requests have left for the log and none of them is run yet. */
  beforeRun: () => void = () => undefined;
  lastProposedIndex = 0;
  /** What was submitted, for a look at the lanes. */
  readonly taken: { readonly lane: Lane; readonly request: Request }[] = [];
  readonly #queues: Record<Lane, Request[]> = { log: [], read: [] };
  #scheduled = false;
  #waiters: { count: number; resolve: () => void }[] = [];

  /** `clock`: for the timeouts of clients that wait. */
  constructor(clock: Clock = systemClock) {
    this.blocked = new Blocked({ store: this.store, clock, events: this.events });
    this.activity = new Activity(clock);
    const configure = (): void =>
      this.activity.configure((name) => Number(this.setting(name) ?? settings.get(name)?.initial));
    configure();
    this.events.watch({ metaChanged: configure });
  }

  submit(lane: Lane, request: Request): void {
    const other = lane === 'log' ? this.#queues.read : this.#queues.log;
    if (other.some(({ client }) => client === request.client))
      throw new Error(`a client has requests open in both lanes (${request.kind} submitted to ${lane})`);
    if (lane === 'read' && isWrite(request)) throw new Error('a write in the lane of the reads');
    this.taken.push({ lane, request });
    const queue = this.#queues[lane];
    // As in the real thing: who waits already comes first.
    if (isTry(request)) queue.splice(queue.filter(isTry).length, 0, request);
    else queue.push(request);
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

  /** Runs a request before everything else. */
  submitFirst(request: Request): void {
    this.#queues.log.unshift(request);
  }

  /** Turns the clients away that wait already. */
  refuseTries(): void {
    const tries = this.#queues.log.filter(isTry);
    this.#queues.log = this.#queues.log.filter((request) => !isTry(request));
    for (const request of tries) {
      if (request.waits?.starts() !== true) continue;
      request.client.refused(request);
      request.client.settled(1);
    }
  }

  /** Stops leading: what is open is answered as the real thing does. */
  depose(leader: NodeAddress | null): void {
    this.leading = false;
    this.leader = leader;
    for (const lane of ['read', 'log'] as const) {
      this.#answer(lane, (request) => {
        if (isWrite(request)) tellUnknown(request.client);
        else refuse(request);
        return true;
      });
    }
    this.blocked.leadershipLost();
  }

  leaderAddress(): NodeAddress | null {
    return this.leader;
  }

  get pendingBytes(): number {
    return 0;
  }

  snapshots: SnapshotStatus = {
    inProgress: false,
    taken: 0,
    lastAt: 1_700_000_000,
    lastOk: true,
    lastSeconds: -1,
  };
  /** What `takeSnapshot` and `transfer` come to. */
  succeeds = true;
  readonly transfers: (NodeId | null)[] = [];
  successor: NodeId | null = null;

  takeSnapshot(): Promise<boolean> {
    return Promise.resolve(this.succeeds);
  }

  transfer(to: NodeId | null): Promise<boolean> {
    this.transfers.push(to);
    return Promise.resolve(this.succeeds);
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
        connected: id === SELF.id || this.otherUp,
        match: this.leading ? 8 : null,
      })),
      keys: this.store.size,
      keysWithExpiry: this.store.expiring,
      fsync: 'always',
      recovering: false,
      diskLow: false,
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
          if (request.waits !== undefined) return runOrWait(store, request, request.waits, this.now());
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
      return true;
    });
    if (entry) {
      store.endEntry();
      this.blocked.applied();
    }
  }

  /** `write` answers false when the request's client waits instead. */
  #answer(lane: Lane, write: (request: Request) => boolean): void {
    const counts = new Map<Client, number>();
    const requests = this.#queues[lane].splice(0).filter(starts);
    if (requests.length > 0) this.beforeRun();
    this.activity.begin();
    for (const request of requests) {
      if (request.kind === 'command') this.activity.starts(request.command);
      if (!write(request)) continue;
      if (request.kind === 'command') this.activity.ran(request.args, request.client);
      counts.set(request.client, (counts.get(request.client) ?? 0) + 1);
    }
    this.activity.end();
    for (const [client, count] of counts) client.settled(count);
  }
}

/** Whether it is still wanted. */
function starts(request: Request): boolean {
  return request.kind !== 'command' || request.waits === undefined || request.waits.starts();
}
