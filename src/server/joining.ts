/**
 * How a node joins a running cluster: it claims its directory, asks any member to be added as a learner under the
 * directory's incarnation, and once that is agreed on it begins with an empty log, which the leader fills. A crash at any
 * point means to ask again: for the same id and incarnation the answer is the same.
 *
 * With `--join wait` it begins the other way round: the node waits until an operator says whom to ask.
 *
 * ```
 * GET  /v1/join           {id, url, incarnation} of a node that waits
 * POST /v1/join  {via}    ask this member now
 * ```
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Member, NodeId } from '../raft/types.ts';
import { type Guard, REFUSALS } from '../transport/identity.ts';
import { type Beginning, RefusedError } from './founding.ts';
import { bodyOf, CHANGE_MS_MAX, CLUSTER_PATH, MEMBERS_PATH, URL_SCHEMA } from './membership.ts';
import { askNode, errorOf, NoAnswer, type NodeAnswer } from './node-request.ts';

/** Pause before the question is asked again. */
const RETRY_MS = 500;
/** A member may have to pass the question on, and the leader takes up to `CHANGE_MS_MAX`. */
const ANSWER_MS_MAX: number = 2 * CHANGE_MS_MAX;
/** A node that is a member already starts without an answer after this time. */
const LOOK_MS_MAX = 2000;
/** How often the log says what it waits for, unless that changes. */
const LOG_EVERY_MS = 5000;

export const JOIN_PATH = '/v1/join';

/** What a node that waits says of itself. */
export type Waiting = Member;

export interface JoiningOptions {
  readonly self: Member;
  /** The node that is asked; `null`: the one that {@link Joining.enlist} will name. */
  readonly via: string | null;
  readonly learner: boolean;
  readonly replaces: NodeId | null;
  readonly guard: Guard;
  readonly logger: Logger;
}

export class Joining {
  readonly #options: JoiningOptions;
  readonly #via: PromiseWithResolvers<string> = Promise.withResolvers();
  #asking: string | null;
  #obstacle = 'no answer yet';
  #logged = '';
  #logAt = 0;

  constructor(options: JoiningOptions) {
    this.#options = options;
    this.#asking = options.via;
    if (options.via !== null) this.#via.resolve(options.via);
  }

  get self(): Member {
    return this.#options.self;
  }

  /** Whether nobody has said yet whom to ask. */
  get idle(): boolean {
    return this.#asking === null;
  }

  /** Says whom to ask. */
  enlist(via: string): void {
    this.#asking = via;
    this.#via.resolve(via);
  }

  /** What it waits for, in words. */
  get waiting(): string {
    if (this.#asking === null) return `waiting for: kvorum cluster add ${this.#options.self.url}`;
    return `joining through ${this.#asking}: ${this.#obstacle}`;
  }

  /** Asks until this node is a member. Rejects with a {@link RefusedError} when it can't become one as it was started. */
  async run(): Promise<Beginning> {
    if (this.idle) this.#options.logger.info(this.waiting);
    const via = await this.#via.promise;
    for (;;) {
      const answer = await this.#ask(via);
      const { clusterId } = (answer?.body ?? {}) as { clusterId?: unknown };
      if (answer?.status === 200 && typeof clusterId === 'string') return { clusterId, configuration: null };
      if (answer !== null) this.#judge(via, answer);
      this.#logWaiting();
      await sleep(RETRY_MS, undefined, { ref: false });
    }
  }

  /** `null`: no answer. */
  async #ask(via: string): Promise<NodeAnswer | null> {
    const { self, learner, replaces, guard } = this.#options;
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
  #judge(via: string, answer: NodeAnswer): void {
    const { code, message } = errorOf(answer);
    if (answer.status < 500 && !RETRIED.includes(code)) {
      throw new RefusedError(`${via} does not take ${this.#options.self.id} in: ${message}`);
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

/** The cluster that the node at `url` belongs to; `null` where nobody says. */
export async function clusterAt(url: string): Promise<string | null> {
  try {
    const { body } = await askNode(url, { method: 'GET', path: CLUSTER_PATH, timeoutMs: LOOK_MS_MAX });
    const { clusterId } = (body ?? {}) as { clusterId?: unknown };
    return typeof clusterId === 'string' ? clusterId : null;
  } catch (error) {
    if (error instanceof NoAnswer) return null;
    throw error;
  }
}

/** Adds the routes by which an operator's command finds a node that waits. Guarded by the cluster secret. */
export function addJoiningRoutes(app: FastifyInstance, guard: Guard, joining: () => Joining | null): void {
  const idle = (request: FastifyRequest, reply: FastifyReply): Joining | null => {
    const refuse = (status: number, code: string, message: string): null => {
      reply.code(status).send({ error: { code, message } });
      return null;
    };
    if (!guard.admits(request.headers.authorization)) return refuse(401, 'secret', REFUSALS.secret.text);
    const found = joining();
    if (found?.idle === true) return found;
    return refuse(409, 'notWaiting', 'this node does not wait to be added; start a new one with --join wait');
  };
  app.get(JOIN_PATH, (request, reply) => {
    const found = idle(request, reply);
    if (found !== null) reply.send(found.self satisfies Waiting);
  });
  const schema = { body: bodyOf({ via: URL_SCHEMA }, ['via']) };
  app.post<{ Body: { via: string } }>(JOIN_PATH, { schema }, (request, reply) => {
    const found = idle(request, reply);
    if (found === null) return;
    found.enlist(request.body.via);
    reply.send({ via: request.body.via });
  });
}
