/**
 * Requests that came to another node than the leader, on their way to it: for clients that know no redirects.
 *
 * ```
 *   clients ─submit─▶ waiting ──one question at a time──▶ leader ──▶ outcomes ──▶ clients
 *                        ▲                                               │
 *                        └──────────── what was certainly not run ◀──────┘
 * ```
 *
 * One question is under way at a time, and what comes meanwhile gathers for the next: the more is asked, the more
 * requests share a round trip. Questions leave in the order of their requests and are answered before the next leaves,
 * so each client's requests run in its order.
 *
 * When the leader changes, what was not asked yet waits for the next one. What was asked and not answered may have been
 * run: writes are answered as unknown. Requests that were certainly not run, and reads, are asked again, but never
 * behind a later request of the same client that did run: those are refused, for the client to send again.
 *
 * A client whose command has nothing to give waits here and not at the leader: this node sees what changes as it applies
 * the log, and asks again.
 */
import type { NodeId } from '../raft/types.ts';
import type { Wait } from '../store/context.ts';
import { ByteReader } from '../store/bytes.ts';
import { writeEncodedReply } from '../store/encoded-reply.ts';
import { noReply } from '../store/reply.ts';
import type { Clock } from './clock.ts';
import { type Client, type Engine, type Request, tellUnknown } from './engine.ts';
import { busy, replyTooLong } from './errors.ts';
import { decodeOutcomes, encodeRequests, type Outcome, type Travelling } from './forward-codec.ts';
import { FORWARDED_REPLY_BYTES_MAX } from './forwarded.ts';
import { BATCH_BYTES_MAX, isTry, isWrite, PENDING_BYTES_MAX, sizeOf } from './requests.ts';

/** How long a request waits for a leader before its client is told that there is none: two elections, about. */
export const LEADER_WAIT_MS = 5_000;
/** How often a new leader is looked for, and whether the one that was asked still leads. */
const CHECK_MS = 50;
/** How long a leader that was replaced may still answer: what it had handed on is known to it first. */
const REPLACED_MS = 1_000;
/** A question is given up after this. The leader itself gives up without a quorum within two election timeouts. */
const ANSWER_MS_MAX = 30_000;
/** Requests of one question. */
const QUESTION_REQUESTS_MAX = 4_096;

/** A request that waits. */
interface Waiting {
  readonly request: Request;
  readonly bytes: number;
  /** In ms of the steady clock: refused if there is still no leader then. */
  readonly until: number;
}

/** The question under way. Times in ms of the steady clock. */
interface Asked {
  readonly leader: NodeId;
  readonly at: number;
  /** Since when another node leads, or none. */
  replacedAt: number | null;
}

export interface ForwarderOptions {
  readonly self: NodeId;
  readonly engine: Pick<Engine, 'leading' | 'leaderAddress' | 'submit'>;
  readonly clock: Clock;
  /** Rejects with an error whose `reached` is false when the node has certainly not begun with the question. */
  readonly ask: (to: NodeId, question: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  /** In the order in which they came. */
  #waiting: Waiting[] = [];
  #asked: Asked | null = null;
  #giveUp: AbortController | null = null;
  #pendingBytes = 0;
  #flushScheduled = false;
  #checking = false;
  #stopped = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Bytes of requests taken and not answered. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Takes a request; it is answered later, never within this call. */
  submit(request: Request): void {
    const size = sizeOf(request);
    const held = this.#pendingBytes;
    const full = held > 0 && held + size > PENDING_BYTES_MAX && request.kind !== 'text' && !isTry(request);
    const { client } = request;
    const taken: Request = full
      ? { kind: 'text', client, write: (reply) => reply.error(busy(held)) }
      : request;
    const bytes = full ? sizeOf(taken) : size;
    this.#pendingBytes += bytes;
    this.#waiting.push({
      request: taken,
      bytes,
      until: this.#options.clock.monotonic() + LEADER_WAIT_MS,
    });
    this.#schedule();
  }

  /** Answers everything now: what waits is refused, what was asked is unknown. */
  stop(): void {
    this.#stopped = true;
    this.#giveUp?.abort();
    this.#refuse(this.#waiting.splice(0));
  }

  #schedule(): void {
    if (this.#flushScheduled || this.#asked !== null) return;
    this.#flushScheduled = true;
    this.#options.clock.soon(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Sends on what waits, to wherever the leader is. */
  #flush(): void {
    if (this.#asked !== null || this.#waiting.length === 0) return;
    const { engine, self, clock } = this.#options;
    const leader = engine.leaderAddress()?.id ?? null;
    if (this.#stopped) this.#refuse(this.#waiting.splice(0));
    else if (engine.leading) this.#handOver();
    else if (leader !== null && leader !== self) void this.#ask(leader, this.#nextQuestion());
    else {
      const now = clock.monotonic();
      const expired = this.#waiting.findIndex(({ until }) => until > now);
      this.#refuse(this.#waiting.splice(0, expired === -1 ? Infinity : expired));
      this.#checkLater();
    }
  }

  /** This node leads now: the log takes them, reads too, so that all stay in one order. */
  #handOver(): void {
    for (const { request, bytes } of this.#waiting.splice(0)) {
      this.#pendingBytes -= bytes;
      this.#options.engine.submit('log', request);
    }
  }

  /** The first requests that wait, as many as one question may hold and at least one. */
  #nextQuestion(): Waiting[] {
    let bytes = 0;
    const end = this.#waiting.findIndex(
      (waiting, at) => (bytes += waiting.bytes) > BATCH_BYTES_MAX && at > 0,
    );
    const first = this.#waiting.splice(0, Math.min(end === -1 ? Infinity : end, QUESTION_REQUESTS_MAX));
    return first.filter((waiting) => this.#starts(waiting));
  }

  /** False: its client waits no more. */
  #starts({ request, bytes }: Waiting): boolean {
    if (request.kind !== 'command' || request.waits === undefined || request.waits.starts()) return true;
    this.#pendingBytes -= bytes;
    return false;
  }

  async #ask(leader: NodeId, question: readonly Waiting[]): Promise<void> {
    const { clock, ask } = this.#options;
    const travelling = question.flatMap(({ request }) => (request.kind === 'text' ? [] : [request]));
    this.#asked = { leader, at: clock.monotonic(), replacedAt: null };
    this.#giveUp = new AbortController();
    this.#checkLater();
    const outcomes =
      travelling.length === 0
        ? []
        : await ask(leader, encodeRequests(travelling), this.#giveUp.signal)
            .then((answer) => outcomesOf(travelling, answer))
            .catch((error: unknown) => withoutAnswer(travelling, error));
    this.#asked = null;
    this.#giveUp = null;
    const again = this.#settle(question, outcomes);
    this.#waiting.unshift(...again);
    if (again.length > 0) this.#checkLater();
    else this.#schedule();
  }

  /** Answers what has an outcome; what is to be asked again is the result. */
  #settle(question: readonly Waiting[], outcomes: readonly Outcome[]): Waiting[] {
    const results = withTexts(question, outcomes);
    const lastRun = new Map<Client, number>();
    results.forEach((outcome, at) => {
      const client = question[at]?.request.client;
      if (client !== undefined && outcome !== null && outcome.kind !== 'refused') lastRun.set(client, at);
    });
    const now = this.#options.clock.monotonic();
    const again: Waiting[] = [];
    const held = new Set<Client>();
    const answered = new Map<Client, number>();
    question.forEach((waiting, at) => {
      const { request } = waiting;
      const { client } = request;
      const outcome = results[at] ?? null;
      const behindAll = outcome?.kind === 'refused' && at > (lastRun.get(client) ?? -1);
      if (behindAll && waiting.until > now) held.add(client);
      if (held.has(client)) {
        again.push(waiting);
        return;
      }
      this.#pendingBytes -= waiting.bytes;
      if (answer(request, outcome)) answered.set(client, (answered.get(client) ?? 0) + 1);
    });
    for (const [client, count] of answered) client.settled(count);
    return again;
  }

  #refuse(waiting: readonly Waiting[]): void {
    const counts = new Map<Client, number>();
    for (const { request, bytes } of waiting) {
      this.#pendingBytes -= bytes;
      if (answer(request, request.kind === 'text' ? null : { kind: 'refused' }))
        counts.set(request.client, (counts.get(request.client) ?? 0) + 1);
    }
    for (const [client, count] of counts) client.settled(count);
  }

  /** Looks again soon: for a leader, or whether the one that was asked still is. */
  #checkLater(): void {
    if (this.#checking) return;
    this.#checking = true;
    this.#options.clock.after(CHECK_MS, () => {
      this.#checking = false;
      if (this.#asked === null) this.#flush();
      else this.#checkLeader(this.#asked);
    });
  }

  #checkLeader(asked: Asked): void {
    const { engine, clock } = this.#options;
    const now = clock.monotonic();
    if (engine.leaderAddress()?.id === asked.leader) asked.replacedAt = null;
    else asked.replacedAt ??= now;
    const replaced = asked.replacedAt !== null && now - asked.replacedAt > REPLACED_MS;
    if (replaced || now - asked.at > ANSWER_MS_MAX) this.#giveUp?.abort();
    this.#checkLater();
  }
}

/** Throws where the answer can't be read, or does not fit the question. */
function outcomesOf(requests: readonly Travelling[], answer: Uint8Array): Outcome[] {
  const outcomes = decodeOutcomes(answer);
  // Before the first of them is written to a client: half a reply could not be taken back.
  for (const outcome of outcomes)
    if (outcome.kind === 'reply') writeEncodedReply(new ByteReader(outcome.reply), noReply);
  if (outcomes.length !== requests.length)
    throw new Error(`${outcomes.length} outcomes of ${requests.length} forwarded requests`);
  requests.forEach((request, at) => {
    const outcome = outcomes[at];
    if (outcome?.kind === 'waits' && !couldWait(request, outcome.wait))
      throw new Error(`a forwarded ${request.kind} waits, which it was not asked to`);
  });
  return outcomes;
}

/** Only a client that waits already can be told no more than that it still does. */
function couldWait(request: Travelling, wait: Wait | null): boolean {
  const waits = request.kind === 'command' ? request.waits : undefined;
  return waits !== undefined && (waits.again || wait !== null);
}

/** Without an answer reads can be asked again, and writes only if the question never arrived. */
function withoutAnswer(requests: readonly Travelling[], error: unknown): Outcome[] {
  const reached = !(error instanceof Error && 'reached' in error && error.reached === false);
  return requests.map((request) => (reached && isWrite(request) ? { kind: 'unknown' } : { kind: 'refused' }));
}

/** An outcome for each that travelled, `null` for each known reply that waited with them. */
function withTexts(question: readonly Waiting[], outcomes: readonly Outcome[]): (Outcome | null)[] {
  let next = 0;
  return question.map(({ request }) => (request.kind === 'text' ? null : (outcomes[next++] ?? null)));
}

/** False: its client waits. */
function answer(request: Request, outcome: Outcome | null): boolean {
  const { client } = request;
  if (request.kind === 'text') {
    request.write(client.reply);
    return true;
  }
  switch (outcome?.kind) {
    case 'reply':
      writeEncodedReply(new ByteReader(outcome.reply), client.reply);
      if (outcome.repeated) client.repeated();
      break;
    case 'watches':
      client.watched(outcome.watches);
      client.reply.ok();
      break;
    case 'tooLong':
      client.reply.error(replyTooLong(FORWARDED_REPLY_BYTES_MAX));
      break;
    case 'unknown':
      tellUnknown(client);
      break;
    case 'waits':
      if (request.kind === 'command') request.waits?.nothingYet(outcome.wait, outcome.seen);
      return false;
    case 'refused':
    case undefined:
      client.refused(request);
  }
  return true;
}
