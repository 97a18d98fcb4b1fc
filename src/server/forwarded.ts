/** The leader's side of forwarded requests: they run as if their clients were here, and their outcomes go back. */
import type { Call, Watch } from '../store/command.ts';
import { ReplyEncoder } from '../store/encoded-reply.ts';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import { hasArity } from '../store/arity.ts';
import { dataCommandOf } from '../store/table.ts';
import { queuedUnwatch, refusedCommand } from './commands/transaction.ts';
import type { Client, Engine, Request, Waits } from './engine.ts';
import { type Arrived, decodeRequests, encodeOutcomes, type Outcome } from './forward-codec.ts';
import { BATCH_BYTES_MAX, isWrite } from './requests.ts';
import { resolve } from './table.ts';

/** All replies to one question. */
export const FORWARDED_REPLY_BYTES_MAX: number = 64 * 1024 * 1024;
/**
 * The longest question. `maxRequestBytes` bounds a transaction's calls and the keys that it watches, each; and an argument
 * of one byte travels as two.
 */
export function questionBytesMax(maxRequestBytes: number): number {
  return 4 * maxRequestBytes + BATCH_BYTES_MAX;
}

/** Runs the requests of one question, in order. Rejects, before any is run, when the bytes are no requests. */
export async function runForwarded(
  engine: Pick<Engine, 'leading' | 'submit' | 'activity' | 'now'>,
  question: Uint8Array,
): Promise<Uint8Array> {
  const arrived = decodeRequests(question);
  const { promise, resolve: done } = Promise.withResolvers<void>();
  const budget: Budget = { bytes: FORWARDED_REPLY_BYTES_MAX, last: null, open: arrived.length, done };
  const clients = arrived.map(() => new ForwardedClient(budget));
  const requests = arrived.map((each, at) => requestOf(each, clients[at] ?? new ForwardedClient(budget)));
  // All in one lane: so they run in their order.
  const lane = requests.some(isWrite) ? 'log' : 'read';
  for (const request of requests) {
    if (engine.leading) {
      show(engine, request);
      engine.submit(lane, request);
    } else {
      request.client.refused(request);
      request.client.settled(1);
    }
  }
  if (arrived.length > 0) await promise;
  return encodeOutcomes(clients.map((client) => client.outcome));
}

/** To those who watch what this node does; the node that passed the request on knows its client. */
function show(engine: Pick<Engine, 'activity' | 'now'>, request: Request): void {
  const { monitors } = engine.activity;
  if (monitors.none) return;
  const calls = request.kind === 'command' ? [request] : request.kind === 'transaction' ? request.calls : [];
  for (const { command, args } of calls) monitors.show(command, args, 'forwarded', engine.now());
}

/** What the requests of one question share. */
interface Budget {
  /** Of replies that may still be made, `last` not counted. */
  bytes: number;
  last: ReplyEncoder | null;
  /** Requests not answered. */
  open: number;
  readonly done: () => void;
}

/** Stands for one client's one request. */
class ForwardedClient implements Client {
  readonly #budget: Budget;
  #encoder: ReplyEncoder | null = null;
  #watches: readonly Watch[] | null = null;
  #repeated = false;
  #refused = false;
  #unknown = false;
  #waits: Extract<Outcome, { kind: 'waits' }> | null = null;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get reply(): ReplyWriter {
    if (this.#encoder === null) {
      // Replies are made one after the other: the one before is complete.
      this.#budget.bytes -= this.#budget.last?.length ?? 0;
      this.#encoder = new ReplyEncoder(noReply, this.#budget.bytes);
      this.#budget.last = this.#encoder;
    }
    return this.#encoder;
  }

  get outcome(): Outcome {
    const encoder = this.#encoder;
    if (this.#waits !== null) return this.#waits;
    if (this.#unknown) return { kind: 'unknown' };
    if (this.#refused || encoder === null) return { kind: 'refused' };
    if (this.#watches !== null) return { kind: 'watches', watches: this.#watches };
    if (encoder.overflowed) return { kind: 'tooLong' };
    return { kind: 'reply', reply: encoder.view(), repeated: this.#repeated };
  }

  settled(): void {
    this.#budget.open -= 1;
    if (this.#budget.open === 0) this.#budget.done();
  }

  watched(watches: readonly Watch[]): void {
    this.#watches = watches;
  }

  repeated(): void {
    this.#repeated = true;
  }

  refused(): void {
    this.#refused = true;
  }

  unknown(): void {
    this.#unknown = true;
  }

  /** Its client waits on the node that it is connected to, which asks again when it sees a change. */
  waits(again: boolean): Waits {
    return {
      again,
      starts: () => true,
      nothingYet: (wait, seen) => {
        this.#waits = { kind: 'waits', wait, seen };
        this.settled();
      },
    };
  }
}

/** Looks the commands up; throws when the asking node knows others than this one. */
function requestOf(arrived: Arrived, client: ForwardedClient): Request {
  switch (arrived.kind) {
    case 'watch':
      return { kind: 'watch', client, keys: arrived.keys };
    case 'command': {
      const { command, args } = callOf(arrived.args);
      const request: Request = { kind: 'command', client, command, args, once: arrived.once };
      return arrived.waits === 'no'
        ? request
        : { ...request, waits: client.waits(arrived.waits === 'again') };
    }
    case 'transaction': {
      const { watches, once } = arrived;
      return { kind: 'transaction', client, calls: arrived.calls.map(callOf), watches, once };
    }
  }
}

function callOf(args: readonly string[]): Call {
  if (args[0] === refusedCommand.name) return { command: refusedCommand, args };
  const data = dataCommandOf(args);
  const command = data !== undefined && hasArity(data, args) ? data : resolve(args);
  if (typeof command !== 'string') {
    if (command.kind === 'data') return { command, args };
    if (command.kind === 'pure') return { command: command.call, args };
    if (command.name === 'unwatch') return { command: queuedUnwatch, args };
  }
  throw new Error(`a forwarded '${args[0] ?? ''}' is unknown here; run the same release on all nodes`);
}
