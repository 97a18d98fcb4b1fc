/**
 * How a node joins a running cluster: it claims its directory, asks any member to be added as a learner under the
 * directory's incarnation, and once that is agreed on it begins with an empty log, which the leader fills. A crash at any
 * point means to ask again: for the same id and incarnation the answer is the same.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Member, NodeId } from '../raft/types.ts';
import type { Guard } from '../transport/identity.ts';
import { type Beginning, RefusedError } from './founding.ts';
import { CHANGE_MS_MAX, MEMBERS_PATH } from './membership.ts';
import { askNode, errorOf, NoAnswer, type NodeAnswer } from './node-request.ts';

/** Pause before the question is asked again. */
const RETRY_MS = 500;
/** A member may have to pass the question on, and the leader takes up to `CHANGE_MS_MAX`. */
const ANSWER_MS_MAX: number = 2 * CHANGE_MS_MAX;
/** How often the log says what it waits for, unless that changes. */
const LOG_EVERY_MS = 5000;

export interface JoiningOptions {
  readonly self: Member;
  /** The node that is asked. */
  readonly via: string;
  readonly learner: boolean;
  readonly replaces: NodeId | null;
  readonly guard: Guard;
  readonly logger: Logger;
}

export class Joining {
  readonly #options: JoiningOptions;
  #obstacle = 'no answer yet';
  #logged = '';
  #logAt = 0;

  constructor(options: JoiningOptions) {
    this.#options = options;
  }

  /** What it waits for, in words. */
  get waiting(): string {
    return `joining through ${this.#options.via}: ${this.#obstacle}`;
  }

  /** Asks until this node is a member. Rejects with a {@link RefusedError} when it can't become one as it was started. */
  async run(): Promise<Beginning> {
    for (;;) {
      const answer = await this.#ask();
      const { clusterId } = (answer?.body ?? {}) as { clusterId?: unknown };
      if (answer?.status === 200 && typeof clusterId === 'string') return { clusterId, configuration: null };
      if (answer !== null) this.#judge(answer);
      this.#logWaiting();
      await sleep(RETRY_MS);
    }
  }

  /** `null`: no answer. */
  async #ask(): Promise<NodeAnswer | null> {
    const { self, via, learner, replaces, guard } = this.#options;
    const body = { ...self, learner, ...(replaces === null ? {} : { replaces }) };
    try {
      return await askNode(via, {
        method: 'POST',
        path: MEMBERS_PATH,
        body,
        headers: guard.headers(),
        timeoutMs: ANSWER_MS_MAX,
      });
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.#obstacle = error.message;
      return null;
    }
  }

  /** A cluster without a leader, or busy with another change, may say yes later; everything else is final. */
  #judge(answer: NodeAnswer): void {
    const { code, message } = errorOf(answer);
    if (answer.status < 500 && !RETRIED.includes(code)) {
      throw new RefusedError(`${this.#options.via} does not take ${this.#options.self.id} in: ${message}`);
    }
    this.#obstacle = message;
  }

  #logWaiting(): void {
    const now = performance.now();
    if (this.#obstacle === this.#logged && now < this.#logAt) return;
    this.#logged = this.#obstacle;
    this.#logAt = now + LOG_EVERY_MS;
    this.#options.logger.warn(this.waiting);
  }
}

const RETRIED: readonly string[] = ['pending', 'unsafe'];
