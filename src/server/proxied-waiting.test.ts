/** Clients of a node that forwards, waiting for keys: they wait there, and the leader runs what they ask. */
import { beforeEach, expect, test } from 'vitest';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import { Store } from '../store/store.ts';
import { dataCommandOf } from '../store/table.ts';
import { AskError } from '../transport/ask.ts';
import { Blocked, LEADER_LOST, TIMED_OUT, type Waiter } from './blocked.ts';
import type { Client, Request, Waits } from './engine.ts';
import { encodeOutcomes } from './forward-codec.ts';
import { runForwarded } from './forwarded.ts';
import { Forwarder } from './forwarder.ts';
import { StoreEvents } from './store-events.ts';
import { ManualClock } from './testing/clock.ts';
import { FakeEngine, OTHER, SELF } from './testing/engine.ts';

interface Question {
  readonly body: Uint8Array;
  readonly answer: (body: Uint8Array) => void;
  readonly fail: (error: Error) => void;
}

let clock: ManualClock;
let leader: FakeEngine;
/** The state of the node that forwards. */
let store: Store;
let blocked: Blocked;
let forwarder: Forwarder;
let leading: boolean;
let own: Request[];
let questions: Question[];
/** How much of the leader's log the node has applied. */
let applied: number;

class Listener implements Client {
  readonly replies: string[] = [];
  settledCount = 0;
  waiter: Waiter | null = null;
  readonly reply: ReplyWriter = {
    ...noReply,
    error: (text) => this.replies.push(`-${text.split(' ')[0]}`),
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

  ask(line: string): this {
    const args = line.split(' ');
    const command = dataCommandOf(args)!;
    const waits: Waits = {
      again: false,
      starts: () => true,
      nothingYet: (wait, seen) => {
        const submit = (request: Request): void => forwarder.submit(request);
        this.waiter = blocked.add({ client: this, command, wait: wait!, submit, seen });
      },
    };
    forwarder.submit({ kind: 'command', client: this, command, args, once: null, waits });
    return this;
  }
}

beforeEach(() => {
  clock = new ManualClock();
  leader = new FakeEngine(clock);
  store = new Store();
  blocked = new Blocked({ store, clock, events: new StoreEvents(store) });
  leading = false;
  own = [];
  questions = [];
  applied = 0;
  forwarder = new Forwarder({
    self: SELF.id,
    engine: {
      get leading() {
        return leading;
      },
      leaderAddress: () => OTHER,
      submit: (_lane, request) => own.push(request),
    },
    clock,
    ask: (_to, body) =>
      new Promise((answer, fail) => questions.push({ body: Buffer.from(body), answer, fail })),
  });
});

/** Lets promises and what is to be done soon run. */
async function turn(): Promise<void> {
  for (let rounds = 0; rounds < 4; rounds += 1) {
    clock.turn();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The leader answers the question that is open. */
async function answer(): Promise<void> {
  const question = questions.shift()!;
  question.answer(await runForwarded(leader, question.body));
  await turn();
}

/** The node applies what the leader has written, each command as an entry. */
async function replicate(): Promise<void> {
  for (const { lane, request } of leader.taken.slice(applied)) {
    applied += 1;
    if (lane === 'read' || request.kind !== 'command') continue;
    store.beginEntry(store.appliedIndex + 1, leader.now());
    store.execute(request.command, request.args, noReply);
    store.endEntry();
    blocked.applied();
  }
  await turn();
}

/** A command of somebody at the leader. */
async function atLeader(line: string): Promise<void> {
  const args = line.split(' ');
  leader.submit('log', {
    kind: 'command',
    client: new Listener(),
    command: dataCommandOf(args)!,
    args,
    once: null,
  });
  await turn();
}

/** A client that waits. */
async function waiting(line: string): Promise<Listener> {
  const client = new Listener().ask(line);
  await turn();
  await answer();
  await replicate();
  expect([client.replies, client.settledCount]).toEqual([[], 0]);
  return client;
}

test('a client waits on its own node, which asks again when it sees a change', async () => {
  const client = await waiting('BLPOP k l 0');
  expect(questions).toEqual([]);
  expect(leader.blocked.size).toBe(0);
  await atLeader('RPUSH l v');
  expect(questions).toEqual([]);
  await replicate();
  await answer();
  expect(client.replies).toEqual(['l', 'v']);
  expect(client.settledCount).toBe(1);
  expect([blocked.size, forwarder.pendingBytes]).toEqual([0, 0]);
});

test('a reader of a stream gets what came after it asked', async () => {
  await atLeader('XADD s 1-1 f old');
  await replicate();
  const client = await waiting('XREAD BLOCK 0 STREAMS s $');
  await atLeader('XADD s 1-2 f new');
  await replicate();
  await answer();
  expect(client.replies).toEqual(['s', '1-2', 'f', 'new']);
});

test('what this node had applied before the client began to wait is not missed', async () => {
  const client = new Listener().ask('BLPOP k 0');
  await turn();
  const question = questions.shift()!;
  const outcome = await runForwarded(leader, question.body);
  await atLeader('RPUSH k v');
  await replicate();
  question.answer(outcome);
  await turn();
  await answer();
  expect(client.replies).toEqual(['k', 'v']);
});

test('others of the same node go on while it waits, and no question is held up', async () => {
  const client = await waiting('BLPOP k 0');
  const other = new Listener().ask('BLPOP l 0');
  await turn();
  await answer();
  expect(blocked.size).toBe(2);
  await atLeader('RPUSH k v');
  await atLeader('RPUSH l w');
  await replicate();
  while (questions.length > 0) await answer();
  expect([client.replies, other.replies]).toEqual([
    ['k', 'v'],
    ['l', 'w'],
  ]);
});

test('who is told by the leader that another was faster keeps the place', async () => {
  const client = await waiting('BLPOP k 0');
  await atLeader('RPUSH k v');
  await replicate();
  await atLeader('LPOP k');
  await answer();
  expect([client.replies, blocked.size]).toEqual([[], 1]);
  await atLeader('RPUSH k w');
  await replicate();
  await answer();
  expect(client.replies).toEqual(['k', 'w']);
});

test('and who is told that something else is there by now', async () => {
  const client = await waiting('BLPOP k 0');
  await atLeader('RPUSH k v');
  await replicate();
  await atLeader('SET k text');
  await answer();
  expect([client.replies, blocked.size]).toEqual([[], 1]);
});

test('its time over while the question is under way: it gets what the leader found for it', async () => {
  const [served, unlucky] = [await waiting('BLPOP k 1'), await waiting('BLPOP k 1')];
  await atLeader('RPUSH k v w');
  await replicate();
  served.waiter?.end(TIMED_OUT);
  unlucky.waiter?.end(TIMED_OUT);
  expect([served.replies, unlucky.replies]).toEqual([[], []]);
  await answer();
  expect(served.replies).toEqual(['k', 'v']);
  expect(unlucky.replies).toEqual(['k', 'w']);
});

test('its time over before the question leaves: nothing is asked', async () => {
  const client = await waiting('BLPOP k 1');
  const other = new Listener().ask('BLPOP x 0');
  await turn();
  await atLeader('RPUSH k v');
  await replicate();
  client.waiter?.end(TIMED_OUT);
  expect(client.replies).toEqual(['nil array']);
  await answer();
  expect(questions).toEqual([]);
  expect([other.replies, blocked.size, forwarder.pendingBytes]).toEqual([[], 1, 0]);
  expect(leader.store.peek('k')).toBeDefined();
});

test('without an answer the outcome is unknown; what never arrived is asked again', async () => {
  const [lucky, unlucky] = [await waiting('BLPOP k 0'), await waiting('BLPOP l 0')];
  await atLeader('RPUSH k v');
  await replicate();
  questions.shift()!.fail(new AskError('connection refused', false));
  await turn();
  clock.pass(50);
  await turn();
  await answer();
  expect(lucky.replies).toEqual(['k', 'v']);
  await atLeader('RPUSH l v');
  await replicate();
  questions.shift()!.fail(new AskError('other side closed', true));
  await turn();
  expect(unlucky.replies).toEqual(['-UNKNOWN']);
  expect(blocked.size).toBe(0);
});

test('told to go while it is asked again, it goes', async () => {
  const client = await waiting('BLPOP k 0');
  await atLeader('RPUSH k v');
  await replicate();
  blocked.leadershipLost();
  expect(client.replies).toEqual([]);
  questions.shift()!.fail(new AskError('connection refused', false));
  await turn();
  clock.pass(50);
  await turn();
  expect(questions).toEqual([]);
  expect(client.replies).toEqual([`-${LEADER_LOST.text.split(' ')[0]}`]);
  expect(forwarder.pendingBytes).toBe(0);
});

test('when this node leads itself, its own log runs it', async () => {
  const client = await waiting('BLPOP k 0');
  leading = true;
  await atLeader('RPUSH k v');
  await replicate();
  expect(own).toHaveLength(1);
  const [request] = own;
  expect(request?.kind === 'command' && request.waits?.starts()).toBe(true);
  request?.client.settled(1);
  expect(client.settledCount).toBe(1);
});

test('an outcome that was not asked for is no answer', async () => {
  const client = new Listener();
  const args = ['RPUSH', 'k', 'v'];
  forwarder.submit({ kind: 'command', client, command: dataCommandOf(args)!, args, once: null });
  await turn();
  questions.shift()!.answer(encodeOutcomes([{ kind: 'waits', wait: null, seen: [] }]));
  await turn();
  expect(client.replies).toEqual(['-UNKNOWN']);
  expect(client.settledCount).toBe(1);
});
