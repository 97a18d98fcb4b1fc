import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import { dataCommandOf, dataCommands } from '../store/table.ts';
import { Blocked, GONE, LEADER_LOST, TIMED_OUT, UNBLOCKED, type Waiter } from './blocked.ts';
import type { Client, Request, Waits } from './engine.ts';
import { ManualClock } from './testing/clock.ts';
import { FakeEngine } from './testing/engine.ts';

let clock: ManualClock;
let engine: FakeEngine;

beforeEach(() => {
  clock = new ManualClock();
  engine = new FakeEngine(clock);
  engine.holding = true;
});

/** A client that writes down what it is told, in words. */
class Listener implements Client {
  readonly replies: string[] = [];
  settledCount = 0;
  /** Set while it waits. */
  waiter: Waiter | null = null;
  readonly reply: ReplyWriter = {
    ...noReply,
    ok: () => this.replies.push('OK'),
    error: (text) => this.replies.push(`-${text}`),
    integer: (value) => this.replies.push(`:${value}`),
    bulk: (value) => this.replies.push(value ?? 'nil'),
    nullArray: () => this.replies.push('nil array'),
  };
  settled(count: number): void {
    this.settledCount += count;
    this.waiter = null;
  }
  watched(): void {}
  repeated(): void {}
  refused(): void {
    this.replies.push('refused');
  }

  /** Sends a command that may wait, as a connection does. */
  ask(line: string): this {
    const args = line.split(' ');
    const command = dataCommandOf(args)!;
    const submit = command.write ? (request: Request): void => engine.submit('log', request) : null;
    const waits: Waits = {
      again: false,
      starts: () => true,
      nothingYet: (wait, seen) => {
        this.waiter = engine.blocked.add({ client: this, command, wait: wait!, submit, seen });
      },
    };
    const lane = command.write ? 'log' : 'read';
    engine.submit(lane, { kind: 'command', client: this, command, args, once: null, waits });
    return this;
  }
}

/** Clients that wait, in this order. */
function waiting(...lines: readonly string[]): Listener[] {
  const clients = lines.map((line) => new Listener().ask(line));
  settle();
  return clients;
}

/** Applies what is open, until nothing more follows from it. */
function settle(): void {
  for (clock.turn(); engine.open > 0; clock.turn()) engine.settle();
}

/** Applies a command in an entry; what follows from it stays open. */
function apply(...lines: readonly string[]): void {
  for (const line of lines) {
    const args = line.split(' ');
    const command = dataCommandOf(args)!;
    engine.submit('log', { kind: 'command', client: new Listener(), command, args, once: null });
  }
  engine.settle();
  clock.turn();
}

/** The tries that were submitted since the last call. */
function tries(): string[] {
  return engine.taken
    .splice(0)
    .flatMap(({ request }) =>
      request.kind === 'command' && request.waits?.again === true ? [request.args.join(' ')] : [],
    );
}

describe('lines', () => {
  test('clients are served in the order in which they came, each by one try', () => {
    const clients = waiting('BLPOP k 0', 'BRPOP k 0', 'BLPOP k 0');
    expect(engine.blocked.size).toBe(3);
    apply('RPUSH k a');
    expect(tries()).toEqual(['BLPOP k 0']);
    settle();
    expect(clients.map(({ replies }) => replies)).toEqual([['k', 'a'], [], []]);
    apply('RPUSH k b c d');
    settle();
    expect(clients.map(({ replies }) => replies)).toEqual([
      ['k', 'a'],
      ['k', 'd'],
      ['k', 'b'],
    ]);
    expect(clients.map(({ settledCount }) => settledCount)).toEqual([1, 1, 1]);
    expect(engine.blocked.size).toBe(0);
    expect(engine.blocked.bytes).toBe(0);
  });

  test('ten thousand wait: one element calls one of them, and each success the next', () => {
    const clients = waiting(...Array.from({ length: 10_000 }, () => 'BLPOP k 0'));
    apply('RPUSH k a');
    expect(tries()).toEqual(['BLPOP k 0']);
    settle();
    apply(`RPUSH k ${Array.from({ length: 5000 }, (_, at) => at).join(' ')}`);
    expect(tries()).toHaveLength(5000);
    settle();
    expect(clients.slice(1, 5001).map(({ replies }) => Number(replies[1]))).toEqual(
      Array.from({ length: 5000 }, (_, at) => at),
    );
    expect(engine.blocked.size).toBe(4999);
    expect(tries()).toEqual([]);
  });

  test('an element that comes while others are on their way calls the next in line', () => {
    const [first, second] = waiting('BLPOP k 0', 'BLPOP k 0', 'BLPOP k 0');
    apply('RPUSH k a');
    // An entry that was on its way before the first one's try.
    const args = ['RPUSH', 'k', 'b'];
    engine.store.beginEntry(++engine.lastProposedIndex, 1000);
    engine.store.execute(dataCommandOf(args)!, args, noReply);
    engine.store.endEntry();
    engine.blocked.applied();
    settle();
    // Two elements, two tries: the third client was not bothered.
    expect(tries()).toHaveLength(2);
    expect([first?.replies, second?.replies]).toEqual([
      ['k', 'a'],
      ['k', 'b'],
    ]);
  });

  test('who finds that another was faster keeps the place', () => {
    const [first, second] = waiting('BLPOP k 0', 'BLPOP k 0');
    apply('RPUSH k a', 'LPOP k');
    expect(tries()).toEqual([]);
    apply('RPUSH k b');
    expect(tries()).toEqual(['BLPOP k 0']);
    engine.submitFirst(command('LPOP k'));
    settle();
    expect(first?.replies).toEqual([]);
    apply('RPUSH k c');
    settle();
    expect(first?.replies).toEqual(['k', 'c']);
    expect(second?.replies).toEqual([]);
  });

  test('who takes many leaves the others their places', () => {
    const [many, one] = waiting('BLMPOP 0 1 k LEFT COUNT 10', 'BLPOP k 0');
    apply('RPUSH k a b c');
    settle();
    expect(many?.replies).toEqual(['k', 'a', 'b', 'c']);
    expect(one?.replies).toEqual([]);
    apply('RPUSH k d');
    settle();
    expect(one?.replies).toEqual(['k', 'd']);
  });

  test('lists and sorted sets under one key have lines of their own', () => {
    const [list, set] = waiting('BLPOP k 0', 'BZPOPMIN k 0');
    apply('ZADD k 1 m');
    settle();
    expect(list?.replies).toEqual([]);
    expect(set?.replies.slice(0, 2)).toEqual(['k', 'm']);
  });

  test('a chain of moves', () => {
    const clients = waiting('BLMOVE a b LEFT RIGHT 0', 'BLMOVE b c LEFT RIGHT 0', 'BLPOP c 0');
    apply('RPUSH a v');
    settle();
    expect(clients.map(({ replies }) => replies)).toEqual([['v'], ['v'], ['c', 'v']]);
  });
});

describe('several keys', () => {
  test('the client gets from the key that has changed, whatever the others hold by now', () => {
    const [client] = waiting('BLPOP a b c 0');
    apply('SET a text', 'RPUSH b v');
    expect(tries()).toEqual(['BLPOP b 0']);
    settle();
    expect(client?.replies).toEqual(['b', 'v']);
    expect(engine.blocked.size).toBe(0);
  });

  test('the first key that was written to is the one', () => {
    const [client] = waiting('BLPOP a b 0');
    apply('RPUSH b v', 'RPUSH a w');
    settle();
    expect(client?.replies).toEqual(['b', 'v']);
    expect(engine.store.peek('a')).toBeDefined();
  });

  test('who is on its way for one key does not hold up the line of another', () => {
    const [both, one] = waiting('BLPOP a b 0', 'BLPOP b 0');
    apply('RPUSH a v', 'RPUSH b w');
    settle();
    expect(both?.replies).toEqual(['a', 'v']);
    expect(one?.replies).toEqual(['b', 'w']);
  });

  test('what came under one key while the client was away for another is not missed', () => {
    const [both] = waiting('BLPOP a b 0');
    apply('RPUSH a v', 'RPUSH b w');
    engine.submitFirst(command('DEL a'));
    settle();
    expect(both?.replies).toEqual(['b', 'w']);
  });
});

describe('another type', () => {
  test('is nothing to a client that waits', () => {
    const [client] = waiting('BLPOP k 0');
    apply('SET k text');
    expect(tries()).toEqual([]);
    apply('DEL k', 'RPUSH k v');
    settle();
    expect(client?.replies).toEqual(['k', 'v']);
  });

  test('not even when it comes while the client is on its way', () => {
    const [client] = waiting('BLPOP k 0');
    apply('RPUSH k v');
    engine.submitFirst(command('SET k text'));
    settle();
    expect(client?.replies).toEqual([]);
    apply('DEL k', 'RPUSH k w');
    settle();
    expect(client?.replies).toEqual(['k', 'w']);
  });

  test('as the target of a move it is the error of that command', () => {
    const [client] = waiting('BLMOVE a b LEFT RIGHT 0');
    apply('SET b text', 'RPUSH a v');
    settle();
    expect(client?.replies).toEqual(['-WRONGTYPE Operation against a key holding the wrong kind of value']);
  });
});

describe('streams', () => {
  test('readers are answered from what is applied: all of them, and nothing goes through the log', () => {
    const clients = waiting(
      'XREAD BLOCK 0 STREAMS s $',
      'XREAD BLOCK 0 STREAMS t s $ $',
      'XREAD BLOCK 0 STREAMS t $',
    );
    expect(engine.blocked.size).toBe(3);
    apply('XADD s 1-1 f v');
    expect(tries()).toEqual([]);
    expect(clients.map(({ replies }) => replies)).toEqual([
      ['s', '1-1', 'f', 'v'],
      ['s', '1-1', 'f', 'v'],
      [],
    ]);
    expect(clients.map(({ settledCount }) => settledCount)).toEqual([1, 1, 0]);
    apply('SET t text', 'DEL t', 'XADD t 1-1 f v');
    expect(clients[2]?.replies).toEqual(['t', '1-1', 'f', 'v']);
  });

  test('a reader sees of one entry all that it brought, and of two streams the first', () => {
    const [client] = waiting('XREAD BLOCK 0 STREAMS s t $ $');
    apply('XADD t 1-1 f v', 'XADD s 1-1 f v', 'XADD t 1-2 f v');
    expect(client?.replies).toEqual(['t', '1-1', 'f', 'v', '1-2', 'f', 'v']);
  });

  test('a reader stays when the stream goes', () => {
    apply('XADD s 1-1 f v');
    const [client] = waiting('XREAD BLOCK 0 STREAMS s $');
    apply('DEL s', 'XADD s 1-1 f v');
    expect(client?.replies).toEqual([]);
    apply('XADD s 1-2 f v');
    expect(client?.replies).toEqual(['s', '1-2', 'f', 'v']);
  });

  describe('in groups', () => {
    const reader = (group: string, options = ''): string =>
      `XREADGROUP GROUP ${group} c ${options}BLOCK 0 STREAMS s >`;

    test('of each group the first is called, once for each addition', () => {
      apply('XGROUP CREATE s g $ MKSTREAM', 'XGROUP CREATE s h $');
      const clients = waiting(reader('g'), reader('g'), reader('h'), reader('g', 'COUNT 1 '));
      tries();
      apply('XADD s 1-1 f v');
      expect(tries()).toHaveLength(2);
      settle();
      expect(clients.map(({ replies }) => replies[1])).toEqual(['1-1', undefined, '1-1', undefined]);
      apply('XADD s 1-2 f v', 'XADD s 1-3 f v');
      expect(tries()).toHaveLength(2);
      settle();
      // The second takes both; the last one finds nothing, and keeps its place.
      expect(clients.map(({ replies }) => replies[1])).toEqual(['1-1', '1-2', '1-1', undefined]);
      apply('XADD s 1-4 f v');
      settle();
      expect(clients[3]?.replies[1]).toBe('1-4');
      expect(tries()).toHaveLength(1);
    });

    test('a client of a group that waits for two streams is not called for ever', () => {
      apply('XGROUP CREATE s g $ MKSTREAM', 'XGROUP CREATE t g $ MKSTREAM');
      const [client] = waiting('XREADGROUP GROUP g c BLOCK 0 STREAMS s t > >');
      tries();
      apply('XADD s 1-1 f v', 'XDEL s 1-1', 'XADD t 1-1 f v', 'XDEL t 1-1');
      settle();
      expect(tries().length).toBeLessThan(6);
      expect(client?.replies).toEqual([]);
      expect(engine.blocked.size).toBe(1);
    });

    test.each([
      ['removed', 'DEL s', '-UNBLOCKED the stream key no longer exists'],
      ['replaced', 'SET s text', '-UNBLOCKED the stream key no longer exists'],
      ['flushed', 'FLUSHALL', '-UNBLOCKED the stream key no longer exists'],
      [
        'left without the group',
        'XGROUP DESTROY s g',
        '-NOGROUP the consumer group this client was blocked on no longer exists',
      ],
    ])('a stream that is %s: the clients of its groups are told', (_how, line, reply) => {
      apply('XGROUP CREATE s g $ MKSTREAM');
      const clients = waiting(reader('g'), reader('g'));
      apply(line);
      settle();
      expect(clients[0]?.replies).toEqual([reply]);
      expect(clients[1]?.replies).toEqual([reply]);
      expect(tries()).toEqual([]);
    });
  });
});

describe('the end of a wait', () => {
  test('its time: the null array, and the alarm of who is served is taken off', () => {
    const [short, long] = waiting('BLPOP k 1', 'BLMOVE k l LEFT LEFT 2');
    clock.pass(999);
    expect(short?.replies).toEqual([]);
    clock.pass(1);
    expect(short?.replies).toEqual(['nil array']);
    apply('RPUSH k v');
    settle();
    expect(long?.replies).toEqual(['v']);
    expect(clock.alarms).toBe(0);
  });

  test('a time longer than any timer', () => {
    const [client] = waiting(`BLPOP k ${30 * 24 * 3600}`);
    clock.pass(29 * 24 * 3600 * 1000);
    expect(client?.replies).toEqual([]);
    clock.pass(24 * 3600 * 1000);
    expect(client?.replies).toEqual(['nil array']);
  });

  test.each([
    ['its time', TIMED_OUT, 'nil array'],
    ['a word', UNBLOCKED, '-UNBLOCKED client unblocked via CLIENT UNBLOCK'],
    [
      'a lost leader',
      LEADER_LOST,
      '-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    ],
  ])('%s, for a client that was called: the next one is called in its place', (_what, ending, reply) => {
    const [first, second] = waiting('BLPOP k 0', 'BLPOP k 0');
    apply('RPUSH k v');
    first?.waiter?.end(ending);
    expect(first?.replies).toEqual([reply]);
    settle();
    expect(first?.replies).toEqual([reply]);
    expect(second?.replies).toEqual(['k', 'v']);
  });

  test('comes too late once the try has left: it gets what it finds', () => {
    const [client] = waiting('BLPOP k 0');
    apply('RPUSH k v');
    engine.beforeRun = () => client?.waiter?.end(TIMED_OUT);
    settle();
    expect(client?.replies).toEqual(['k', 'v']);
    expect(client?.settledCount).toBe(1);
  });

  test('unless it finds nothing', () => {
    const [client] = waiting('BLPOP k 0');
    apply('RPUSH k v');
    engine.submitFirst(command('DEL k'));
    engine.beforeRun = () => client?.waiter?.end(TIMED_OUT);
    settle();
    expect(client?.replies).toEqual(['nil array']);
    expect(engine.blocked.size).toBe(0);
  });

  test('a client that has gone takes nothing', () => {
    const [first, second] = waiting('BLPOP k 0', 'BLPOP k 0');
    first?.waiter?.end(GONE);
    apply('RPUSH k v');
    settle();
    expect(first?.replies).toEqual([]);
    expect(second?.replies).toEqual(['k', 'v']);
  });

  test('leadership: who waits is told, and what has left has an unknown outcome', () => {
    const [called, waits] = waiting('BLPOP k 0', 'BLPOP k 0');
    apply('RPUSH k v');
    engine.depose(null);
    expect(called?.replies).toEqual([expect.stringMatching(/^-UNKNOWN outcome/)]);
    expect(waits?.replies).toEqual([
      '-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    ]);
    expect(engine.blocked.size).toBe(0);
  });

  test('all who wait are told at once, however many they are', () => {
    const clients = waiting(...Array.from({ length: 10_000 }, (_, at) => `BLPOP a b${at % 10} 100`));
    engine.depose(null);
    for (const { replies, settledCount } of clients) expect([replies.length, settledCount]).toEqual([1, 1]);
    expect(engine.blocked.bytes).toBe(0);
    expect(clock.alarms).toBe(0);
  });
});

test('a try that was turned away is made again, and its client knows nothing of it', () => {
  const [client] = waiting('BLPOP k 0');
  apply('RPUSH k v');
  engine.refuseTries();
  expect(client?.replies).toEqual([]);
  clock.pass(99);
  expect(engine.open).toBe(0);
  clock.pass(1);
  settle();
  expect(client?.replies).toEqual(['k', 'v']);
});

test('there is room for so many bytes, and for one client whatever it asks', () => {
  const keys = Array.from({ length: 60_000 }, (_, at) => `${at}`.padStart(800, 'k'));
  const blocked = new Blocked({ store: engine.store, clock, events: engine.events });
  const ask = { command: dataCommands.get('blpop')!, client: new Listener(), submit: null, seen: [] };
  const wait = { keys, timeoutMs: 0, retry: ['BLPOP', ...keys, '0'] };
  const one = blocked.add({ ...ask, wait });
  expect(one).not.toBeNull();
  expect(blocked.add({ ...ask, wait: { keys: ['k'], timeoutMs: 0, retry: ['BLPOP', 'k', '0'] } })).toBeNull();
  one?.end(GONE);
  expect(blocked.bytes).toBe(0);
});

function command(line: string): Request {
  const args = line.split(' ');
  const found = dataCommandOf(args)!;
  return { kind: 'command', client: new Listener(), command: found, args, once: null };
}

test('whatever comes in whatever order: nothing is lost, nobody waits in vain, and lines are kept', () => {
  const key = fc.constantFrom('a', 'b', 'c');
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        keys: fc.array(key, { minLength: 1, maxLength: 3 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('push' as const), key, count: fc.integer({ min: 1, max: 3 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom('pop' as const, 'text' as const, 'delete' as const), key }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(), gone: fc.boolean() }),
    },
    { weight: 4, arbitrary: fc.constant({ do: 'entry' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'refuse' as const }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      clock = new ManualClock();
      engine = new FakeEngine(clock);
      engine.holding = true;
      const clients: Listener[] = [];
      let pushed = 0;
      for (const each of steps) {
        switch (each.do) {
          case 'ask':
            clients.push(new Listener().ask(`BLPOP ${each.keys.join(' ')} 0`));
            break;
          case 'push':
            for (let left = each.count; left > 0; left--)
              engine.submit('log', command(`RPUSH ${each.key} ${pushed++}`));
            break;
          case 'pop':
            engine.submit('log', command(`LPOP ${each.key}`));
            break;
          case 'text':
            engine.submit('log', command(`SET ${each.key} text`));
            break;
          case 'delete':
            engine.submit('log', command(`DEL ${each.key}`));
            break;
          case 'end': {
            const waiters = clients.flatMap(({ waiter }) => waiter ?? []);
            waiters[each.which % waiters.length]?.end(each.gone ? GONE : TIMED_OUT);
            break;
          }
          case 'entry':
            engine.settle();
            clock.turn();
            break;
          case 'refuse':
            engine.refuseTries();
            break;
        }
      }
      clock.pass(1000);
      settle();
      // Nobody waits where there is something.
      for (const { waiter } of clients)
        for (const key of waiter?.keys ?? [])
          expect(engine.store.peek(key) === undefined || engine.store.peek(key) === 'text').toBe(true);
      // No element went to two of them.
      const served = new Set(clients.flatMap(({ replies }) => (replies.length === 2 ? [replies[1]] : [])));
      expect(served.size).toBe(clients.filter(({ replies }) => replies.length === 2).length);
      for (const client of clients)
        expect([client.settledCount, client.waiter === null].join()).toMatch(/^(0,false|[01],true)$/);
      expect(engine.blocked.size).toBe(clients.filter(({ waiter }) => waiter !== null).length);
    }),
  );
});
