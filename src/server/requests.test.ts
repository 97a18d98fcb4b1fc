import { beforeEach, describe, expect, test, vi } from 'vitest';
import { asIndex, asTerm, type Entry, EntryType, type Rejection } from '../raft/types.ts';
import { decodeBatch } from '../store/batch.ts';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import { Store } from '../store/store.ts';
import { dataCommands, dataSubcommands } from '../store/table.ts';
import { Activity } from './activity.ts';
import { Blocked } from './blocked.ts';
import { systemClock } from './clock.ts';
import type { Client, Request, Waits } from './engine.ts';
import { BATCH_BYTES_MAX, PENDING_BYTES_MAX, Requests } from './requests.ts';
import { StoreEvents } from './store-events.ts';

/** A client that writes down what it is told. */
class Listener implements Client {
  readonly replies: string[] = [];
  readonly settledCounts: number[] = [];
  watches: readonly { key: string; version: number }[] = [];
  readonly reply: ReplyWriter = {
    ...noReply,
    ok: () => this.replies.push('OK'),
    simple: (text) => this.replies.push(text),
    error: (text) => this.replies.push(`-${text.split(' ')[0]}`),
    integer: (value) => this.replies.push(`:${value}`),
    bulk: (value) => this.replies.push(value ?? 'nil'),
    nullArray: () => this.replies.push('nil array'),
    array: (length) => this.replies.push(`*${length}`),
  };
  settled(count: number): void {
    this.settledCounts.push(count);
  }
  watched(watches: readonly { key: string; version: number }[]): void {
    this.watches = watches;
  }
  repeated(): void {
    this.replies.push('(again)');
  }
  refused(): void {
    this.replies.push('refused');
  }
}

let store: Store;
let wall: number;
let steady: number;
/** By how many ms the steady clock moves on whenever it is read: more than any batch waits for company. */
let pace: number;
let leading: boolean;
/** What the core says to a proposal; `null`: it takes it. */
let rejection: Rejection | null;
let diskBusy: boolean;
let proposals: { id: number; payload: Uint8Array }[];
let reads: number[];
let requests: Requests;
let blocked: Blocked;
/** What was to be called later, and soon. */
let alarms: (() => void)[];
let soon: (() => void)[];
let client: Listener;
let index: number;
/** All that was committed. */
let log: Uint8Array[];

beforeEach(() => {
  store = new Store();
  wall = 1_000_000;
  steady = 0;
  pace = 5;
  leading = true;
  rejection = null;
  diskBusy = false;
  proposals = [];
  reads = [];
  index = 0;
  log = [];
  client = new Listener();
  const proposer = {
    isLeading: () => leading,
    isDiskBusy: () => diskBusy,
    propose: (id: number, payload: Uint8Array) => {
      proposals.push({ id, payload });
      const reason = leading ? rejection : 'notLeader';
      if (reason !== null) proposals.pop();
      if (reason === null) requests.proposed(id, index + proposals.length, 1);
      else requests.rejected(id, reason);
    },
    read: (id: number) => reads.push(id),
  };
  const clock = { ...systemClock, monotonic: () => (steady += pace), wall: () => wall };
  [alarms, soon] = [[], []];
  blocked = new Blocked({
    store,
    clock: {
      ...clock,
      after: (_ms, callback) => {
        alarms.push(callback);
        return () => undefined;
      },
      soon: (callback) => soon.push(callback),
    },
    events: new StoreEvents(store),
  });
  requests = new Requests({ store, clock, proposer, blocked, activity: new Activity(clock) });
});

function command(line: string, from: Client = client): Request {
  const args = line.split(' ');
  return {
    kind: 'command',
    client: from,
    command: dataCommands.get(args[0]!.toLowerCase())!,
    args,
    once: null,
  };
}

/** Commits what was proposed. */
function commit(): void {
  for (const { payload } of proposals.splice(0)) {
    index += 1;
    log.push(payload);
    requests.apply({
      index: asIndex(index),
      term: asTerm(1),
      type: EntryType.batch,
      payload,
    } satisfies Entry);
  }
}

function confirmReads(): void {
  requests.readsReady(reads.splice(0));
}

describe('the log lane', () => {
  test('requests of one turn share one entry and are answered in order when it is applied', () => {
    for (const line of ['SET a 1', 'GET a', 'INCR a', 'GET a']) requests.submit('log', command(line));
    requests.flush();
    expect(proposals).toHaveLength(1);
    expect(client.replies).toEqual([]);
    commit();
    expect(client.replies).toEqual(['OK', '1', ':2', '2']);
    expect(client.settledCounts).toEqual([4]);
  });

  test('what is replayed elsewhere gives the same state', () => {
    for (const line of ['SET a 1', 'GET a', 'INCR a', 'SET b 2 PX 50', 'DEL nothing'])
      requests.submit('log', command(line));
    requests.flush();
    const other = new Store();
    other.applyBatch(1, proposals[0]!.payload);
    commit();
    expect(other.digest()).toBe(store.digest());
  });

  test('while the disk is busy the next batch gathers', () => {
    diskBusy = true;
    requests.submit('log', command('SET a 1'));
    requests.flush();
    requests.submit('log', command('SET a 2'));
    requests.flush();
    expect(proposals).toEqual([]);
    diskBusy = false;
    requests.flush();
    expect(proposals).toHaveLength(1);
  });

  test('a batch waits for the clients of the entry in flight, and for nobody else', () => {
    pace = 0;
    const others = [new Listener(), new Listener()];
    requests.submit('log', command('SET a 1'));
    requests.submit('log', command('SET a 2'));
    requests.flush();
    requests.submit('log', command('SET b 1', others[0]));
    requests.flush();
    expect(proposals).toHaveLength(1);
    commit();
    requests.flush();
    expect(proposals).toEqual([]);
    requests.submit('log', command('SET a 3'));
    requests.submit('log', command('SET a 4'));
    requests.flush();
    expect(proposals).toHaveLength(1);
    commit();
    requests.submit('log', command('SET b 2', others[1]));
    requests.flush();
    expect(proposals).toEqual([]);
    steady += 1;
    requests.flush();
    expect(proposals).toHaveLength(1);
  });

  test('an entry that takes long to commit does not hold up the next', () => {
    vi.useFakeTimers();
    pace = 0;
    requests.submit('log', command('SET a 1'));
    requests.flush();
    requests.submit('log', command('SET b 1', new Listener()));
    requests.flush();
    expect(proposals).toHaveLength(1);
    steady += 3;
    vi.advanceTimersByTime(3);
    expect(proposals).toHaveLength(2);
    vi.useRealTimers();
  });

  test('leadership lost after the proposal leaves the outcome of a write unknown, and no read answered', () => {
    requests.submit('log', command('SET a 1'));
    requests.submit('log', command('GET a'));
    requests.flush();
    leading = false;
    requests.leadershipLost();
    expect(client.replies).toEqual(['-UNKNOWN', 'refused']);
    expect(requests.pendingBytes).toBe(0);
  });

  test('an entry whose outcome was reported as unknown is still applied when it is committed', () => {
    requests.submit('log', command('SET a 1'));
    requests.flush();
    requests.leadershipLost();
    commit();
    expect(client.replies).toEqual(['-UNKNOWN']);
    expect(store.size).toBe(1);
  });

  test('what was never proposed is redirected, not unknown', () => {
    leading = false;
    requests.submit('log', command('SET a 1'));
    requests.flush();
    expect(client.replies).toEqual(['refused']);
  });

  test('a refused write is answered behind the writes before it, whose outcome is still open', () => {
    requests.submit('log', command('SET a 1'));
    requests.flush();
    rejection = 'transferring';
    requests.submit('log', command('SET a 2'));
    requests.flush();
    rejection = null;
    requests.submit('log', command('INCR a'));
    requests.flush();
    expect(client.replies).toEqual([]);
    commit();
    expect(client.replies).toEqual(['OK', 'refused', ':2']);
    expect(requests.pendingBytes).toBe(0);
  });

  test('a refused write is answered behind one whose outcome stays unknown', () => {
    requests.submit('log', command('SET a 1'));
    requests.flush();
    rejection = 'busy';
    requests.submit('log', command('SET a 2'));
    requests.flush();
    leading = false;
    requests.leadershipLost();
    expect(client.replies).toEqual(['-UNKNOWN', '-BUSY']);
    expect(requests.pendingBytes).toBe(0);
  });

  test('beyond the bound on pending bytes requests are turned away in their place', () => {
    const big = 'x'.repeat(PENDING_BYTES_MAX / 2);
    for (let count = 0; count < 3; count += 1) requests.submit('log', command(`SET a ${big}`));
    requests.submit('log', command('GET nothing'));
    requests.flush();
    commit();
    expect(client.replies).toEqual(['OK', '-BUSY', '-BUSY', 'nil']);
    expect(requests.pendingBytes).toBe(0);
  });
});

describe('the read lane', () => {
  test('reads of one turn share a round', () => {
    requests.submit('read', command('GET a'));
    requests.submit('read', command('GET b'));
    requests.flush();
    expect(reads).toHaveLength(1);
    expect(client.replies).toEqual([]);
    confirmReads();
    expect(client.replies).toEqual(['nil', 'nil']);
  });

  test('a failed round redirects', () => {
    requests.submit('read', command('GET a'));
    requests.flush();
    requests.readsFailed(reads.splice(0), 'notLeader');
    expect(client.replies).toEqual(['refused']);
  });

  test('a later read that fails first is answered last', () => {
    requests.submit('read', command('PTTL a'));
    requests.flush();
    requests.submit('read', command('GET a'));
    requests.flush();
    const [first, second] = reads.splice(0);
    requests.readsFailed([second!], 'notLeader');
    expect(client.replies).toEqual([]);
    requests.readsReady([first!]);
    expect(client.replies).toEqual([':-2', 'refused']);
  });

  test('WATCH learns the version, and EXEC sees a change in between', () => {
    requests.submit('read', { kind: 'watch', client, keys: ['a'] });
    requests.flush();
    confirmReads();
    requests.submit('log', command('SET a 1', new Listener()));
    const calls = [{ command: dataCommands.get('set')!, args: ['SET', 'a', '2'] }];
    requests.submit('log', { kind: 'transaction', client, calls, watches: client.watches, once: null });
    requests.flush();
    commit();
    expect(client.replies).toEqual(['OK', 'nil array']);
  });
});

describe('expiry', () => {
  beforeEach(() => {
    requests.submit('log', command('SET a 1 PX 10', new Listener()));
    requests.submit('log', command('SET b 1', new Listener()));
    requests.flush();
    commit();
    wall += 11;
  });

  test('a read that meets a passed deadline waits until the log says so', () => {
    requests.submit('read', command('GET a'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual([]);
    requests.flush();
    expect(proposals).toHaveLength(1);
    commit();
    expect(client.replies).toEqual(['nil']);
    expect(store.size).toBe(1);
  });

  test('later reads queue behind it, reads of other keys before it do not', () => {
    requests.submit('read', command('GET b'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual(['1']);
    requests.submit('read', command('GET a'));
    requests.flush();
    requests.submit('read', command('GET b'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual(['1']);
    requests.flush();
    commit();
    expect(client.replies).toEqual(['1', 'nil', '1']);
  });

  test('once seen as gone, a key stays gone although the clock steps back', () => {
    requests.submit('read', command('GET a'));
    requests.flush();
    confirmReads();
    requests.flush();
    commit();
    wall -= 1000;
    requests.submit('read', command('GET a'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual(['nil', 'nil']);
  });

  test('a node that does not lead sees a key as the log has it, just before the deadline', () => {
    requests.submit('read', command('PTTL a'));
    requests.flush();
    requests.submit('read', command('GET b'));
    requests.flush();
    leading = false;
    confirmReads();
    expect(client.replies).toEqual([':1', '1']);
  });

  test('EXEC of reads waits when a watched key meets its deadline', () => {
    const calls = [{ command: dataCommands.get('get')!, args: ['GET', 'b'] }];
    const watches = [{ key: 'a', version: store.version('a') }];
    requests.submit('read', { kind: 'transaction', client, calls, watches, once: null });
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual([]);
    requests.flush();
    commit();
    expect(client.replies).toEqual(['nil array']);
  });

  test('what looks at all keys sees none as gone that the log still has', () => {
    requests.submit('read', command('KEYS *'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual(['*2', 'b', 'a']);
  });

  test('long keys that expire together leave in several entries', () => {
    const long = 'x'.repeat(700_000);
    for (const name of ['c', 'd', 'e']) requests.submit('log', command(`SET ${name}${long} 1 PX 5`));
    requests.flush();
    commit();
    wall += 5;
    for (const left of [3, 2, 1]) {
      requests.expire();
      requests.flush();
      expect(proposals[0]!.payload.length).toBeLessThan(1_500_000);
      commit();
      expect(store.size).toBe(left);
    }
  });

  test('without traffic the leader removes what is due', () => {
    requests.expire();
    requests.flush();
    commit();
    expect(store.size).toBe(1);
    requests.expire();
    requests.flush();
    expect(proposals).toEqual([]);
  });

  test('a field of a hash is no different: seen as gone when the log says so, and removed by the leader', () => {
    requests.submit('log', command('HSET hash a 1 b 2', new Listener()));
    requests.submit('log', command('HPEXPIRE hash 10 FIELDS 1 a', new Listener()));
    requests.submit('log', command('HPEXPIRE hash 20 FIELDS 1 b', new Listener()));
    requests.flush();
    commit();
    wall += 11;
    requests.submit('read', command('HLEN hash'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual([]);
    requests.flush();
    commit();
    expect(client.replies).toEqual([':1']);
    expect(store.hasDue(wall)).toBe(false);
    // Elsewhere it is there for as long as the log has it.
    wall += 11;
    leading = false;
    requests.submit('read', command('HPTTL hash FIELDS 1 b'));
    requests.flush();
    confirmReads();
    expect(client.replies.slice(1)).toEqual(['*1', ':1']);
  });

  test('a read waits for the deadlines that it has met and for none that passes while it waits', () => {
    const fields = Array.from({ length: 100 }, (_, at) => `f${at}`);
    requests.submit(
      'log',
      command(`HSET hash ${fields.map((field) => `${field} x`).join(' ')}`, new Listener()),
    );
    for (const [at, field] of fields.entries())
      requests.submit('log', command(`HPEXPIRE hash ${10 + at} FIELDS 1 ${field}`, new Listener()));
    requests.flush();
    commit();
    // From now on one field expires every ms, and an entry takes two.
    wall += 10;
    requests.submit('read', command('HLEN hash'));
    requests.flush();
    confirmReads();
    expect(client.replies).toEqual([]);
    wall += 2;
    requests.flush();
    wall += 2;
    commit();
    expect(client.replies, 'as the log has it').toEqual([':97']);
  });

  test('losing leadership answers reads that wait for a deadline', () => {
    requests.submit('read', command('GET a'));
    requests.flush();
    confirmReads();
    leading = false;
    requests.leadershipLost();
    expect(client.replies).toEqual(['1']);
  });
});

describe('clients that wait', () => {
  /** A client that waits for as long as it takes. */
  function waits(line: string): Listener {
    const from = new Listener();
    const request = command(line, from) as Extract<Request, { kind: 'command' }>;
    const begin: Waits = {
      again: false,
      starts: () => true,
      nothingYet: (wait, seen) => {
        const submit = (again: Request): void => requests.submit('log', again);
        blocked.add({ client: from, command: request.command, wait: wait!, submit, seen });
      },
    };
    requests.submit('log', { ...request, waits: begin });
    return from;
  }

  /** The second time no company is waited for. */
  function flush(): void {
    requests.flush();
    requests.flush();
  }

  function propose(): void {
    flush();
    commit();
  }

  /** What the newest proposal holds, in words. */
  function proposed(): string[] {
    return decodeBatch(proposals.at(-1)!.payload).operations.map((operation) =>
      operation.kind === 'command' ? operation.args.join(' ') : operation.kind,
    );
  }

  test('try again in front of what has gathered, in one entry with it', () => {
    const [first, second] = [waits('BLPOP k 0'), waits('BLPOP k 0')];
    propose();
    expect(first.settledCounts).toEqual([]);
    expect(requests.pendingBytes).toBe(0);
    requests.submit('log', command('RPUSH k a b'));
    flush();
    // These come while the elements are on their way.
    requests.submit('log', command('LPOP k'));
    const late = waits('BLPOP k 0');
    commit();
    flush();
    expect(proposed()).toEqual(['BLPOP k 0', 'BLPOP k 0', 'LPOP k', 'BLPOP k 0']);
    commit();
    expect([first.replies, second.replies, late.replies]).toEqual([['*2', 'k', 'a'], ['*2', 'k', 'b'], []]);
    expect(client.replies).toEqual([':2', 'nil']);
    expect(first.settledCounts).toEqual([1]);
    expect(requests.pendingBytes).toBe(0);
    expect(blocked.size).toBe(1);
  });

  test('share entries when they are many, none larger than an entry may be', () => {
    const key = 'k'.repeat(1024 * 1024);
    const all = Array.from({ length: 9 }, () => waits(`BLPOP ${key} 0`));
    for (let left = 9; left > 0; left--) propose();
    expect(blocked.size).toBe(9);
    requests.submit('log', command(`RPUSH ${key} 1 2 3 4 5 6 7 8 9`));
    propose();
    flush();
    expect(proposals).toHaveLength(3);
    for (const { payload } of proposals) expect(payload.length).toBeLessThan(BATCH_BYTES_MAX + 1000);
    for (let left = 9; left > 0; left--) propose();
    expect(all.map(({ replies }) => replies[2])).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  test('who waits no more is left out of the entry', () => {
    const [first, second] = [waits('BLPOP k 0.5'), waits('BLPOP k 0')];
    propose();
    requests.submit('log', command('RPUSH k a'));
    propose();
    alarms.shift()?.();
    expect(first.replies).toEqual(['nil array']);
    flush();
    expect(proposals).toEqual([]);
    expect(requests.pendingBytes).toBe(0);
    for (const callback of soon.splice(0)) callback();
    propose();
    expect(second.replies).toEqual(['*2', 'k', 'a']);
  });

  test.each(['diskFull', 'busy', 'transferring'] as const)(
    'a try that is turned away (%s) is made again',
    (reason) => {
      const from = waits('BLPOP k 0');
      propose();
      requests.submit('log', command('RPUSH k a'));
      propose();
      rejection = reason;
      flush();
      expect(from.replies).toEqual([]);
      expect(requests.pendingBytes).toBe(0);
      rejection = null;
      alarms.shift()?.();
      propose();
      expect(from.replies).toEqual(['*2', 'k', 'a']);
    },
  );

  test('a try is made however much waits already', () => {
    const from = waits('BLPOP k 0');
    propose();
    requests.submit('log', command('RPUSH k a'));
    flush();
    diskBusy = true;
    for (let left = 65; left > 0; left--) requests.submit('log', command(`SET x ${'x'.repeat(1024 * 1024)}`));
    expect(client.replies).toEqual([]);
    commit();
    diskBusy = false;
    propose();
    expect(from.replies).toEqual(['*2', 'k', 'a']);
    while (requests.pendingBytes > 0) propose();
  });

  test('a lost leader: what was proposed is unknown, all else is told to go', () => {
    const [away, called, waiting] = [waits('BLPOP k 0'), waits('BLPOP k 0'), waits('BLPOP k 0')];
    propose();
    requests.submit('log', command('RPUSH k a'));
    propose();
    flush();
    // Another entry calls the second one while the first one's try is on its way.
    const push = command('RPUSH k b') as Extract<Request, { kind: 'command' }>;
    store.beginEntry(store.appliedIndex + 1, wall);
    store.execute(push.command, push.args, noReply);
    store.endEntry();
    blocked.applied();
    leading = false;
    requests.leadershipLost();
    expect([away.replies, called.replies, waiting.replies]).toEqual([
      ['-UNKNOWN'],
      ['-UNBLOCKED'],
      ['-UNBLOCKED'],
    ]);
    expect([away, called, waiting].map(({ settledCounts }) => settledCounts)).toEqual([[1], [1], [1]]);
    expect(requests.pendingBytes).toBe(0);
    expect(blocked.size).toBe(0);
  });

  test('the entries of tries give followers the same state', () => {
    const follower = new Store();
    const all = [waits('BLPOP k l 0'), waits('BLMOVE k l LEFT RIGHT 0'), waits('BLPOP l 0')];
    requests.submit('log', command('RPUSH k a b'));
    for (let left = 6; left > 0; left--) {
      flush();
      for (const { payload } of proposals) follower.applyBatch(follower.appliedIndex + 1, payload);
      commit();
    }
    expect(all.map(({ replies }) => replies.at(-1))).toEqual(['a', 'b', 'b']);
    expect(follower.digest()).toBe(store.digest());
  });
});

describe('beyond maxmemory', () => {
  const config = (name: string, value: string): Request => {
    const args = ['CONFIG', 'SET', name, value];
    return { kind: 'command', client, command: dataSubcommands.get('config|set')!, args, once: null };
  };
  const run = (...lines: string[]): void => {
    for (const line of lines) requests.submit('log', command(line));
    // Each flush takes a step of the clock: the batch waits for company no longer.
    for (let turn = 0; turn < 3; turn++) requests.flush();
    commit();
  };
  /** 100 keys of about a kilobyte, and room for 50. */
  const fill = (policy: string, deadline: (at: number) => string): void => {
    for (let at = 0; at < 100; at++) {
      wall += 1000;
      run(`SET key:${at} ${'x'.repeat(1000)} ${deadline(at)}`.trim());
    }
    for (const each of [config('maxmemory-policy', policy), config('maxmemory', String(store.bytes / 2))])
      requests.submit('log', each);
    requests.flush();
    commit();
    client.replies.length = 0;
  };
  const alive = (from: number, to: number): number => {
    let count = 0;
    for (let at = from; at < to; at++) if (store.version(`key:${at}`) % 2 === 0) count++;
    return count;
  };

  test('with noeviction what needs memory is refused, and the rest is not', () => {
    fill('noeviction', () => '');
    run('SET a 1', 'GET key:1', 'DEL key:1', 'APPEND key:2 x');
    expect(client.replies.slice(0, 1)).toEqual(['-OOM']);
    expect(client.replies.slice(2)).toEqual([':1', '-OOM']);
    expect(store.size).toBe(99);
  });

  test.each([
    ['allkeys-lru', () => ''],
    ['volatile-ttl', (at: number) => `EX ${10_000 + 100 * at}`],
    ['allkeys-random', () => ''],
    ['volatile-lru', (at: number) => (at % 2 === 0 ? 'EX 100000' : '')],
  ] as const)('with %s keys go until there is room, the same on every node', (policy, deadline) => {
    fill(policy, deadline);
    const follower = new Store();
    for (let turn = 0; turn < 5; turn++) {
      requests.expire();
      requests.flush();
      commit();
    }
    expect(store.bytes).toBeLessThanOrEqual(Number(store.meta.get('settings', 'maxmemory')));
    expect(store.size).toBeGreaterThan(40);
    if (policy === 'allkeys-lru' || policy === 'volatile-ttl')
      expect(alive(0, 50)).toBeLessThan(alive(50, 100));
    if (policy === 'volatile-lru')
      for (let at = 1; at < 100; at += 2) expect(store.version(`key:${at}`) % 2).toBe(0);
    run('SET new value');
    expect(client.replies).toEqual(['OK']);
    log.forEach((payload, at) => follower.applyBatch(at + 1, payload));
    expect(follower.digest()).toBe(store.digest());
  });

  test('where the policy finds nothing that may go, what needs memory is refused', () => {
    fill('volatile-lru', () => '');
    run('SET a 1');
    expect(client.replies).toEqual(['-OOM']);
  });
});
