import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FormatError } from '../store/bytes.ts';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import { dataCommands } from '../store/table.ts';
import { AskError } from '../transport/ask.ts';
import type { Client, NodeAddress, Request } from './engine.ts';
import {
  decodeOutcomes,
  decodeRequests,
  encodeOutcomes,
  encodeRequests,
  type Outcome,
} from './forward-codec.ts';
import { runForwarded } from './forwarded.ts';
import { Forwarder } from './forwarder.ts';
import { PENDING_BYTES_MAX } from './requests.ts';
import { FakeEngine, OTHER, SELF } from './testing/engine.ts';

/** A client that writes down what it is told. */
class Listener implements Client {
  readonly replies: string[] = [];
  settledCount = 0;
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
    this.settledCount += count;
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

/** A question under way: the test answers it. */
interface Question {
  readonly to: string;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
  readonly answer: (body: Uint8Array) => void;
  readonly fail: (error: Error) => void;
}

const [leader1, leader2] = [OTHER, { ...OTHER, id: 'n3' } as NodeAddress];
let now: number;
let alarms: (() => void)[];
let known: NodeAddress | null;
let leading: boolean;
let own: Request[];
let questions: Question[];
let remote: FakeEngine;
let forwarder: Forwarder;
let client: Listener;

beforeEach(() => {
  now = 0;
  alarms = [];
  known = leader1;
  leading = false;
  own = [];
  questions = [];
  remote = new FakeEngine();
  client = new Listener();
  forwarder = new Forwarder({
    self: SELF.id,
    engine: {
      get leading() {
        return leading;
      },
      leaderAddress: () => known,
      submit: (lane, request) => {
        expect(lane).toBe('log');
        own.push(request);
      },
    },
    clock: {
      monotonic: () => now,
      wall: () => now,
      soon: (callback) => void setImmediate(callback),
      after: (_ms, callback) => {
        alarms.push(callback);
        return () => undefined;
      },
      every: () => () => undefined,
    },
    ask: (to, body, signal) =>
      new Promise((answer, fail) => {
        // A copy: the network takes its own time.
        questions.push({ to, body: Buffer.from(body), signal, answer, fail });
        signal.addEventListener('abort', () => fail(new AskError('given up', true)));
      }),
  });
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

/** Lets promises and the forwarder's next turn run. */
async function turn(): Promise<void> {
  for (let rounds = 0; rounds < 4; rounds += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Time passes and the alarms that were set ring. */
async function pass(ms: number): Promise<void> {
  now += ms;
  for (const alarm of alarms.splice(0)) alarm();
  await turn();
}

/** The leader runs the question that is open. */
async function run(): Promise<void> {
  const question = questions.shift()!;
  question.answer(await runForwarded(remote, question.body));
  await turn();
}

async function submit(...requests: readonly Request[]): Promise<void> {
  for (const request of requests) forwarder.submit(request);
  await turn();
}

test('requests of all clients share a question, and what comes meanwhile the next', async () => {
  const other = new Listener();
  await submit(command('SET a 1'), command('GET a', other), command('INCR a'));
  expect(questions).toHaveLength(1);
  await submit(command('INCR a', other));
  expect(questions).toHaveLength(1);
  await run();
  expect(client.replies).toEqual(['OK', ':2']);
  expect(other.replies).toEqual(['1']);
  expect(client.settledCount).toBe(2);
  await run();
  expect(other.replies).toEqual(['1', ':3']);
  expect(forwarder.pendingBytes).toBe(0);
});

test('WATCH, EXEC and replies that are known already keep their places', async () => {
  await submit({ kind: 'watch', client, keys: ['a'] });
  await run();
  const calls = [
    { command: dataCommands.get('incr')!, args: ['INCR', 'a'] },
    { command: dataCommands.get('get')!, args: ['GET', 'a'] },
  ];
  const exec: Request = { kind: 'transaction', client, calls, watches: client.watches, once: null };
  const pong: Request = { kind: 'text', client, write: (reply) => reply.simple('PONG') };
  await submit(exec, pong, command('GET a'), pong, exec);
  await run();
  expect(client.replies).toEqual(['OK', '*2', ':1', '1', 'PONG', '1', 'PONG', 'nil array']);
});

test('a write under a name that was run before is answered as then', async () => {
  const once = { kind: 'key', key: 'k', fingerprint: 'f' } as const;
  await submit({ ...command('INCR a'), once } as Request, { ...command('INCR a'), once } as Request);
  await run();
  expect(client.replies).toEqual([':1', ':1', '(again)']);
});

test('an answer that can not be read leaves writes unknown, asks reads again and says nothing half', async () => {
  const other = new Listener();
  await submit(command('INCR a'), command('GET a', other));
  // An array of two, and only one of them; then a tag that there is none of.
  for (const [count, reply] of [
    [2, [10, 2, 5]],
    [1, [99]],
  ] as const) {
    const outcome: Outcome = { kind: 'reply', reply: Buffer.from(reply), repeated: false };
    questions.shift()!.answer(encodeOutcomes(Array.from({ length: count }, () => outcome)));
    await turn();
    await pass(50);
  }
  expect(client.replies).toEqual(['-UNKNOWN']);
  expect(other.replies).toEqual([]);
  await run();
  expect(other.replies).toEqual(['nil']);
  expect(forwarder.pendingBytes).toBe(0);
});

describe('when the leader changes', () => {
  test('what never reached the old one is asked of the new one', async () => {
    await submit(command('INCR a'), command('GET a'));
    questions.shift()!.fail(new AskError('connection refused', false));
    await turn();
    expect(client.replies).toEqual([]);
    known = leader2;
    await pass(50);
    expect(questions[0]!.to).toBe('n3');
    await run();
    expect(client.replies).toEqual([':1', '1']);
  });

  test('a write without an answer is unknown, and not sent again', async () => {
    await submit(command('INCR a'));
    questions.shift()!.fail(new AskError('other side closed', true));
    await pass(50);
    expect(client.replies).toEqual(['-UNKNOWN']);
    expect(questions).toEqual([]);
  });

  test('what the leader does not know either is unknown', async () => {
    await submit(command('INCR a'));
    questions.shift()!.answer(encodeOutcomes([{ kind: 'unknown' }]));
    await pass(50);
    expect(client.replies).toEqual(['-UNKNOWN']);
    expect(questions).toEqual([]);
  });

  test('reads without an answer are asked again, unless a write of their client is behind them', async () => {
    const [reader, other] = [new Listener(), new Listener()];
    const pong: Request = { kind: 'text', client: reader, write: (reply) => reply.simple('PONG') };
    await submit(
      command('GET a', reader),
      pong,
      command('GET a'),
      command('INCR a'),
      command('GET a'),
      command('INCR b', other),
    );
    questions.shift()!.fail(new AskError('other side closed', true));
    await turn();
    expect(client.replies).toEqual(['refused', '-UNKNOWN']);
    expect(other.replies).toEqual(['-UNKNOWN']);
    expect(reader.replies).toEqual([]);
    await pass(50);
    await run();
    expect(reader.replies).toEqual(['nil', 'PONG']);
    expect(client.replies).toEqual(['refused', '-UNKNOWN', 'nil']);
  });

  test('a node that does not lead runs nothing of it, and all is asked again', async () => {
    remote.leading = false;
    await submit(command('INCR a'), command('GET a'));
    await run();
    expect(client.replies).toEqual([]);
    remote.leading = true;
    await pass(50);
    await run();
    expect(client.replies).toEqual([':1', '1']);
  });

  test('what was sent later does not overtake what is asked again', async () => {
    await submit(command('SET a 1'));
    await submit(command('SET a 2'));
    questions.shift()!.fail(new AskError('connection refused', false));
    await turn();
    await pass(50);
    await run();
    expect(client.replies).toEqual(['OK', 'OK']);
    await submit(command('GET a'));
    await run();
    expect(client.replies).toEqual(['OK', 'OK', '2']);
  });

  test('a leader that is replaced and says nothing is given up after a second', async () => {
    await submit(command('INCR a'));
    known = null;
    await pass(50);
    await pass(900);
    expect(client.replies).toEqual([]);
    await pass(200);
    expect(client.replies).toEqual(['-UNKNOWN']);
  });

  test('one that leads on is waited for, though not for ever', async () => {
    await submit(command('INCR a'));
    await pass(29_000);
    expect(client.replies).toEqual([]);
    await pass(2_000);
    expect(client.replies).toEqual(['-UNKNOWN']);
  });

  test('when this node leads itself, what waits goes to its own log, in order', async () => {
    known = null;
    await submit(command('INCR a'), command('GET a'));
    expect(questions).toEqual([]);
    leading = true;
    await pass(50);
    expect(own.map((request) => (request.kind === 'command' ? request.args[0] : ''))).toEqual([
      'INCR',
      'GET',
    ]);
    expect(forwarder.pendingBytes).toBe(0);
  });

  test('without a leader requests wait five seconds and are then refused', async () => {
    known = null;
    await submit(command('INCR a'));
    await pass(3_000);
    await submit(command('INCR b'));
    await pass(2_000);
    expect(client.replies).toEqual(['refused']);
    await pass(3_000);
    expect(client.replies).toEqual(['refused', 'refused']);
    expect(client.settledCount).toBe(2);
  });
});

test('beyond the bound on pending bytes requests are turned away in their place', async () => {
  await submit(command(`SET a ${'x'.repeat(PENDING_BYTES_MAX)}`), command('GET a'));
  expect(client.replies).toEqual([]);
  await run();
  await turn();
  expect(client.replies).toEqual(['OK', '-BUSY']);
});

test('a reply that is too long to be forwarded says so', async () => {
  remote.store.beginEntry(1, 1);
  remote.store.execute(dataCommands.get('set')!, ['SET', 'a', 'x'.repeat(33 * 1024 * 1024)], noReply);
  remote.store.endEntry();
  remote.lastProposedIndex = 1;
  await submit(command('STRLEN a'), command('GET a'), command('GET a'), command('STRLEN a'));
  await run();
  expect(client.replies.map((reply) => reply.slice(0, 9))).toEqual([
    ':34603008',
    'xxxxxxxxx',
    '-TOOLONG',
    ':34603008',
  ]);
});

test('stopping answers everything', async () => {
  await submit(command('INCR a'));
  await submit(command('INCR b'), command('GET a'));
  forwarder.stop();
  await turn();
  expect(client.replies.toSorted()).toEqual(['-UNKNOWN', 'refused', 'refused']);
});

describe('the codec', () => {
  const text = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
  const watches = fc.array(fc.record({ key: text, version: fc.maxSafeNat() }), { maxLength: 3 });
  const outcome: fc.Arbitrary<Outcome> = fc.oneof(
    fc.record({
      kind: fc.constant('reply' as const),
      reply: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      repeated: fc.boolean(),
    }),
    fc.record({ kind: fc.constantFrom('refused' as const, 'tooLong' as const, 'unknown' as const) }),
    fc.record({ kind: fc.constant('watches' as const), watches }),
    fc.constant({ kind: 'waits' as const, wait: null, seen: [] }),
    fc
      .record({ seen: watches, timeoutMs: fc.nat(), retry: fc.array(text, { minLength: 1, maxLength: 3 }) })
      .map(({ seen, timeoutMs, retry }) => ({
        kind: 'waits' as const,
        wait: { keys: seen.map(({ key }) => key), timeoutMs, retry },
        seen,
      })),
  );

  test('outcomes come out as they went in', () => {
    fc.assert(
      fc.property(fc.array(outcome), (outcomes) => {
        expect(decodeOutcomes(encodeOutcomes(outcomes))).toEqual(outcomes);
      }),
    );
  });

  test('requests come out as they went in', () => {
    const { write: _write, ...exec } = {
      write: 0,
      kind: 'transaction' as const,
      client,
      calls: [{ command: dataCommands.get('get')!, args: ['GET', 'k'] }],
      watches: [{ key: 'k', version: 300 }],
      once: { kind: 'session', session: 5, sequence: 6 } as const,
    };
    const waits = (again: boolean): Request =>
      ({
        ...command('BLPOP a 0'),
        waits: { again, starts: () => true, nothingYet: () => undefined },
      }) as Request;
    const watch = { kind: 'watch', client, keys: ['a', 'b'] };
    const requests = [command('SET a 1'), exec, watch, waits(false), waits(true)] as const;
    expect(decodeRequests(encodeRequests(requests as never))).toEqual([
      { kind: 'command', once: null, args: ['SET', 'a', '1'], waits: 'no' },
      { kind: 'transaction', once: exec.once, watches: exec.watches, calls: [['GET', 'k']] },
      { kind: 'watch', keys: ['a', 'b'] },
      { kind: 'command', once: null, args: ['BLPOP', 'a', '0'], waits: 'may' },
      { kind: 'command', once: null, args: ['BLPOP', 'a', '0'], waits: 'again' },
    ]);
  });

  test('damaged bytes are refused or something else, and never more than that', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of [decodeRequests, decodeOutcomes]) {
          try {
            decode(Buffer.concat([Buffer.from([1]), bytes]));
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});
