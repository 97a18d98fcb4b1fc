/**
 * Who takes part, over HTTP: any node answers, and passes on to the leader what only the leader can do.
 *
 * ```
 * GET    /v1/cluster                       members, leader, progress, whether a change is under way
 * POST   /v1/cluster/members               {id, url, incarnation, learner?, replaces?}    add a node
 * PATCH  /v1/cluster/members/:id           {url}                                          it has moved
 * DELETE /v1/cluster/members/:id                                                          remove it
 * POST   /v1/cluster/members/:id/promote   {replaces?}                                    a learner gets a vote
 * POST   /v1/cluster/transfer              {to?}                                          hand leadership over
 * ```
 *
 * What changes something needs the cluster secret, as the routes between nodes do, where there is one. An error is
 * `{error: {code, message}}`; the message says what to do. Code `unknown` alone means that the change may yet happen.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import { membersOf } from '../raft/configuration.ts';
import {
  asNodeId,
  type Learner,
  type MembershipChange,
  type MembershipRejection,
  type NodeId,
} from '../raft/types.ts';
import { type Guard, REFUSALS } from '../transport/identity.ts';
import type { ClusterView, Driver, MembershipOutcome } from './driver.ts';
import { ID_PATTERN } from './founding.ts';
import { askNode, NoAnswer } from './node-request.ts';

export const CLUSTER_PATH = '/v1/cluster';
export const MEMBERS_PATH: string = `${CLUSTER_PATH}/members`;

/** How long a change is waited for. It takes two round trips and two syncs, unless a quorum is not there. */
export const CHANGE_MS_MAX = 10_000;
/** What the way to the leader adds to that. */
const FORWARD_MS = 2_000;
const VIEW_MS_MAX = 2_000;
/** Marks a request that a node has passed on, so that it is not passed on again by one that leads no longer. */
const FORWARDED = 'x-kvorum-forwarded';

/** What every path answers when all is well. */
export type ClusterReply = ClusterView;

/** The status of each way in which a change is turned away. */
const STATUS: Readonly<Record<MembershipRejection, number>> = {
  notLeader: 503,
  notReady: 503,
  pending: 409,
  unsafe: 409,
  invalid: 422,
  unknown: 504,
};

export interface MembershipOptions {
  readonly guard: Guard;
  /** `null` while this node is not part of a cluster yet. */
  readonly driver: () => Driver | null;
  /** What it waits for then, in words. */
  readonly waiting: () => string;
}

/** An answer to an HTTP request. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const ID = { type: 'string', pattern: ID_PATTERN } as const;
/** An `http://` URL without a path. */
export const URL_SCHEMA: object = { type: 'string', pattern: '^http://[^/?#@\\s]+$', maxLength: 256 };
const INCARNATION = { type: 'string', pattern: '^[0-9a-f]{16}$' } as const;
const PARAMS = { type: 'object', properties: { id: ID } } as const;

/**
 * What is said has to be understood: a misspelt "learner" would make a voter of a node. For the server on which the
 * routes are; its own way is to leave out what a schema does not name, and to make what it names out of other types.
 */
export const STRICT: Pick<FastifyServerOptions, 'ajv' | 'schemaErrorFormatter'> = {
  ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
  schemaErrorFormatter: ([error], where) => {
    if (error?.keyword === 'additionalProperties')
      return new Error(`${where} has no field "${String(error.params['additionalProperty'])}"`);
    return new Error(`${where}${error?.instancePath ?? ''} ${error?.message ?? 'is not as it should be'}`);
  },
};

/** Every body is an object, even where nothing has to be said: a form of a web page could send a request without one. */
export function bodyOf(
  properties: Readonly<Record<string, object>>,
  required: readonly string[] = [],
): object {
  return { type: 'object', additionalProperties: false, required, properties };
}

interface AddBody {
  readonly id: string;
  readonly url: string;
  readonly incarnation: string;
  readonly learner?: boolean;
  readonly replaces?: string;
}

/** Adds the routes. */
export function addMembershipRoutes(app: FastifyInstance, options: MembershipOptions): void {
  const path = CLUSTER_PATH;
  const change = (
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: MembershipChange,
  ): Promise<FastifyReply> => atLeader(request, reply, options, (driver) => decide(driver, wanted));
  const idOf = (request: FastifyRequest): NodeId => asNodeId((request.params as { id: string }).id);

  app.get(path, (request, reply) => view(request, reply, options));

  app.post<{ Body: AddBody }>(
    MEMBERS_PATH,
    {
      schema: {
        body: bodyOf(
          { id: ID, url: URL_SCHEMA, incarnation: INCARNATION, learner: { type: 'boolean' }, replaces: ID },
          ['id', 'url', 'incarnation'],
        ),
      },
    },
    (request, reply) => {
      const { id, url, incarnation, learner: only = false, replaces } = request.body;
      const learner: Learner = {
        id: asNodeId(id),
        url,
        incarnation,
        promote: !only,
        replaces: replaces === undefined ? null : asNodeId(replaces),
      };
      return atLeader(request, reply, options, (driver) => add(driver, learner));
    },
  );

  app.patch<{ Body: { url: string } }>(
    `${MEMBERS_PATH}/:id`,
    { schema: { params: PARAMS, body: bodyOf({ url: URL_SCHEMA }, ['url']) } },
    (request, reply) => change(request, reply, { type: 'setUrl', id: idOf(request), url: request.body.url }),
  );

  app.delete(`${MEMBERS_PATH}/:id`, { schema: { params: PARAMS } }, (request, reply) =>
    change(request, reply, { type: 'remove', id: idOf(request) }),
  );

  app.post<{ Body: { replaces?: string } }>(
    `${MEMBERS_PATH}/:id/promote`,
    { schema: { params: PARAMS, body: bodyOf({ replaces: ID }) } },
    (request, reply) => {
      const { replaces } = request.body;
      return change(request, reply, {
        type: 'promote',
        id: idOf(request),
        replaces: replaces === undefined ? null : asNodeId(replaces),
      });
    },
  );

  app.post<{ Body: { to?: string } }>(
    `${path}/transfer`,
    { schema: { body: bodyOf({ to: ID }) } },
    (request, reply) => {
      const { to } = request.body;
      const target = to === undefined ? null : asNodeId(to);
      return atLeader(request, reply, options, (driver) => transfer(driver, target));
    },
  );
}

/* ------------------------------------------------------------------------------------------------- at the leader */

/** Does the work here when this node leads, or passes the request on to the node that does. */
async function atLeader(
  request: FastifyRequest,
  reply: FastifyReply,
  options: MembershipOptions,
  work: (driver: Driver) => Promise<Answer>,
): Promise<FastifyReply> {
  const { guard } = options;
  if (!guard.admits(request.headers.authorization)) {
    return send(reply.header('www-authenticate', 'Bearer'), refusal(401, 'secret', REFUSALS.secret.text));
  }
  const driver = options.driver();
  if (driver === null) return send(reply, refusal(503, 'starting', options.waiting()));
  if (driver.leading) return send(reply, await work(driver));
  return send(reply, await forward(request, driver, guard, CHANGE_MS_MAX + FORWARD_MS));
}

async function forward(
  request: FastifyRequest,
  driver: Driver,
  guard: Guard,
  timeoutMs: number,
): Promise<Answer> {
  const leader = driver.leaderMember();
  if (request.headers[FORWARDED] !== undefined || leader === null) {
    return refusal(
      503,
      'notLeader',
      'no leader is known; retry, and see that a majority of the voters is up',
    );
  }
  try {
    return await askNode(leader.url, {
      method: request.method as 'GET' | 'POST' | 'PATCH' | 'DELETE',
      path: pathOf(request.url),
      ...(request.body === undefined ? {} : { body: request.body }),
      headers: { ...guard.headers(), [FORWARDED]: driver.id },
      timeoutMs,
    });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const what = `the leader ${leader.id} at ${leader.url} did not answer: ${error.message}`;
    if (error.unsent) return refusal(503, 'notLeader', `${what}; retry`);
    return refusal(
      504,
      'unknown',
      `${what}. Whether the change was made is not known; look at GET ${CLUSTER_PATH}`,
    );
  }
}

/** Not the target as it came: in its absolute form (`GET http://host/…`) it would name another host than the leader. */
function pathOf(target: string): string {
  const { pathname, search } = new URL(target, 'http://node');
  return pathname + search;
}

function inTime(driver: Driver, change: MembershipChange): Promise<MembershipOutcome> {
  const late = Promise.withResolvers<MembershipOutcome>();
  const timer = setTimeout(() => {
    const message = `not agreed on within ${CHANGE_MS_MAX / 1000} s; it may yet be, so look at GET ${CLUSTER_PATH}`;
    late.resolve({ ok: false, reason: 'unknown', message });
  }, CHANGE_MS_MAX);
  return Promise.race([driver.changeMembership(change), late.promise]).finally(() => clearTimeout(timer));
}

/** A node that listens on every address may have founded a cluster of one without saying where it can be reached. */
async function add(driver: Driver, learner: Learner): Promise<Answer> {
  const nowhere = membersOf(driver.clusterView().configuration).find(({ url }) =>
    ['0.0.0.0', '[::]'].includes(URL.parse(url)?.hostname ?? ''),
  );
  if (nowhere === undefined) return decide(driver, { type: 'addLearner', learner });
  const { id, url } = nowhere;
  const remedy = `PATCH ${MEMBERS_PATH}/${id} with {"url": "http://<host>:<port>"}`;
  return refusal(
    422,
    'invalid',
    `${learner.id} could not reach ${id}, which is known as ${url}; first ${remedy}`,
  );
}

async function decide(driver: Driver, change: MembershipChange): Promise<Answer> {
  const outcome = await inTime(driver, change);
  if (outcome.ok) return { status: 200, body: driver.clusterView() };
  return refusal(STATUS[outcome.reason], outcome.reason, outcome.message);
}

async function transfer(driver: Driver, to: NodeId | null): Promise<Answer> {
  const voters = driver.clusterView().configuration.voters.map(({ id }) => id);
  if (to !== null && !voters.includes(to)) {
    return refusal(422, 'invalid', `${to} is not a voter; the voters are ${voters.join(', ')}`);
  }
  const { successor } = driver;
  if (to !== null && successor !== null && to !== successor)
    return refusal(
      409,
      'pending',
      `${driver.id} is handing its leadership to ${successor}; ask the new leader`,
    );
  if (to === driver.id || (await driver.transfer(to))) return { status: 200, body: driver.clusterView() };
  const message = `${to ?? 'no other voter'} did not take over in time; see that it is up and has caught up`;
  return refusal(409, 'transferFailed', message);
}

async function view(
  request: FastifyRequest,
  reply: FastifyReply,
  { driver: current, guard, waiting }: MembershipOptions,
): Promise<FastifyReply> {
  const driver = current();
  if (driver === null) return send(reply, refusal(503, 'starting', waiting()));
  const own = { status: 200, body: driver.clusterView() };
  if (driver.leading) return send(reply, own);
  const answer = await forward(request, driver, guard, VIEW_MS_MAX);
  const asked = request.headers[FORWARDED] === undefined;
  return send(reply, asked && answer.status !== 200 ? own : answer);
}

function refusal(status: number, code: string, message: string): Answer {
  return { status, body: { error: { code, message } } };
}

function send(reply: FastifyReply, { status, body }: Answer): FastifyReply {
  return reply.code(status).send(body);
}
