/**
 * How several nodes found a cluster together, and what stops an emptied data directory from taking part in it.
 *
 * A node's acknowledgements and votes are in its data directory. Were an emptied directory under the same id taken for
 * the old one, a majority could elect a leader that lacks what a majority had acknowledged. So every directory has a
 * random name, its *incarnation*, and the configuration names members by id *and* incarnation, from the first entry of
 * the log on. That entry must be the same on all founders, so they have to hear each other's incarnations before any of
 * them sets up its log:
 *
 * ```
 *     claim the directory ─▶ ask all others, again and again ─▶ all answered in one round ─▶ set up the log
 *      (durable)                      POST /raft/v1/main/founding                        entry 1 = who they are
 * ```
 *
 * - The cluster's id is a hash over the members with their incarnations. Two different views of the founders are two
 *   different clusters, which turn each other away; at most one of them can have a majority, because every directory
 *   is set up only once.
 * - Nothing is remembered between rounds, so a crash at any point means just to ask again. A node that finds the others
 *   founded with its own incarnation founds the same cluster, even if one of them is gone by now.
 * - If meanwhile the members have changed, it begins with an empty log instead, which the leader fills: it has acknowledged
 *   nothing yet, so nothing can be missing.
 * - A node whose directory was emptied hears that the others were founded with another incarnation, and stops.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { decodeConfiguration, encodeConfiguration, standingOf } from '../raft/configuration.ts';
import {
  type Configuration,
  type GroupId,
  type Member,
  type MemberAddress,
  type NodeId,
} from '../raft/types.ts';
import { type Guard, REFUSALS } from '../transport/identity.ts';
import { askNode, errorOf, NoAnswer } from './node-request.ts';

/** Pause between two rounds of questions. */
const ROUND_MS = 100;
const ANSWER_MS_MAX = 2000;
/** How often the log says who is missing. */
const LOG_EVERY_MS = 5000;

/** How a log begins. */
export interface Beginning {
  readonly clusterId: string;
  /** The first entry; `null`: none, the leader will send everything. */
  readonly configuration: Configuration | null;
}

/** A node that can't take part as it was started. The message says why and what to do. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

/** The cluster that these members found. */
export function foundedBy(group: GroupId, members: readonly Member[]): Beginning {
  const voters = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const text = voters.map(({ id, url, incarnation }) => `${id}=${url}#${incarnation}`).join(' ');
  const clusterId = createHash('sha256').update(`${group} ${text}`).digest('hex').slice(0, 32);
  return { clusterId, configuration: { voters, outgoing: [], learners: [], removed: [] } };
}

/* ----------------------------------------------------------------------------------------------- the two sides */

/** What an id looks like, for schemas. */
export const ID_PATTERN = '^[A-Za-z0-9_.-]{1,64}$';

/** What a founder tells when it asks. */
interface Question {
  readonly from: NodeId;
  /** Whom it takes the asked node for. */
  readonly to: string;
  readonly peers: readonly MemberAddress[];
}

/** What the asked one answers; a refusal has a status of its own. */
export type FoundingReply =
  | { readonly state: 'founding'; readonly incarnation: string }
  | {
      readonly state: 'founded';
      readonly clusterId: string;
      /** Who is and was a member now. */
      readonly configuration: Configuration;
    };

/** What another founder was found to be in one round. */
type Finding =
  | { readonly state: 'founding'; readonly member: Member }
  | { readonly state: 'founded'; readonly clusterId: string; readonly configuration: Configuration }
  | { readonly state: 'missing'; readonly why: string };

export interface FoundingOptions {
  readonly group: GroupId;
  readonly self: Member;
  /** All founding members, this node included. */
  readonly peers: readonly MemberAddress[];
  readonly guard: Guard;
  readonly logger: Logger;
}

export class Founding {
  readonly #options: FoundingOptions;
  #missing: readonly string[];
  #logAt = 0;

  constructor(options: FoundingOptions) {
    this.#options = options;
    this.#missing = this.#others().map(({ id }) => id);
  }

  /** What it waits for, in words. */
  get waiting(): string {
    return `founding: waiting for ${this.#missing.join(', ')}`;
  }

  /** Why this node can't found a cluster with `asking`, which was started with these peers; `null`: it can. */
  objection(asking: string, peers: readonly MemberAddress[]): string | null {
    const [ours, theirs] = [listOf(this.#options.peers), listOf(peers)];
    if (ours === theirs) return null;
    const { id } = this.#options.self;
    return `${id} was started with --peers ${ours}, but ${asking} with --peers ${theirs}; start all with the same list`;
  }

  /** Asks until all have answered. Rejects with a {@link RefusedError} when this directory can't take part. */
  async run(): Promise<Beginning> {
    for (;;) {
      const findings = await Promise.all(this.#others().map((peer) => this.#ask(peer)));
      const beginning = this.#conclude(findings);
      if (beginning !== null) return beginning;
      this.#missing = findings.flatMap((finding) => (finding.state === 'missing' ? [finding.why] : []));
      this.#logWaiting();
      await sleep(ROUND_MS, undefined, { ref: false });
    }
  }

  #conclude(findings: readonly Finding[]): Beginning | null {
    const { group, self } = this.#options;
    const members = [self];
    for (const finding of findings) {
      if (finding.state === 'founded') return this.#beginWith(finding.clusterId, finding.configuration);
      if (finding.state === 'founding') members.push(finding.member);
    }
    return members.length === this.#options.peers.length ? foundedBy(group, members) : null;
  }

  /** Another one was founded already. */
  #beginWith(clusterId: string, configuration: Configuration): Beginning {
    const { group, self } = this.#options;
    const standing = standingOf(configuration, self.id, self.incarnation);
    if (standing === 'impostor') {
      throw new RefusedError(
        `${REFUSALS.impostor.text}. Where the cluster was just founded and nothing was served yet, empty the data ` +
          'directories of all founding members instead and start them again',
      );
    }
    if (standing === 'removed') throw new RefusedError(REFUSALS.removed.text);
    if (standing === 'stranger') {
      throw new RefusedError(
        `the cluster was founded without ${self.id}: --peers can't add a node to it; start this one with --join <url of a member>`,
      );
    }
    const founded = foundedBy(group, configuration.voters);
    return founded.clusterId === clusterId ? founded : { clusterId, configuration: null };
  }

  async #ask(peer: MemberAddress): Promise<Finding> {
    const { group, self, peers, guard } = this.#options;
    const question: Question = { from: self.id, to: peer.id, peers };
    try {
      const answer = await askNode(peer.url, {
        method: 'POST',
        path: pathOf(group),
        body: question,
        headers: guard.headers(),
        timeoutMs: ANSWER_MS_MAX,
      });
      if (answer.status !== 200) return missing(peer, errorOf(answer).message);
      return findingOf(peer, answer.body);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return missing(peer, error.message);
    }
  }

  #others(): readonly MemberAddress[] {
    return this.#options.peers.filter(({ id }) => id !== this.#options.self.id);
  }

  #logWaiting(): void {
    const now = performance.now();
    if (now < this.#logAt) return;
    this.#logAt = now + LOG_EVERY_MS;
    this.#options.logger.warn(this.waiting);
  }
}

function missing({ id, url }: MemberAddress, why: string): Finding {
  return { state: 'missing', why: `${id} (${url}: ${why})` };
}

function findingOf(peer: MemberAddress, body: unknown): Finding {
  const { state, incarnation, clusterId, configuration } = (body ?? {}) as Record<string, unknown>;
  if (state === 'founding' && typeof incarnation === 'string') {
    return { state, member: { id: peer.id, url: peer.url, incarnation } };
  }
  if (state !== 'founded' || typeof clusterId !== 'string')
    return missing(peer, 'an answer that makes no sense');
  try {
    return { state, clusterId, configuration: configurationOfJson(configuration) };
  } catch (error) {
    return missing(peer, String(error));
  }
}

/** Sorted, so that the order in which an operator names the nodes does not matter. */
function listOf(peers: readonly MemberAddress[]): string {
  return peers
    .map(({ id, url }) => `${id}=${url}`)
    .sort()
    .join(',');
}

/* ----------------------------------------------------------------------------------------------------- the route */

/** What the route has to know of the node that is asked. */
export interface AskedNode {
  readonly id: NodeId;
  readonly incarnation: string;
  /** `null`: neither founding nor founded; it joins, or opens its directory. */
  readonly stage: () =>
    | { readonly state: 'founding'; readonly founding: Founding }
    | { readonly state: 'founded'; readonly clusterId: string; readonly configuration: Configuration }
    | null;
}

/** Adds the route on which other founders ask this node who it is. Guarded by the cluster secret. */
export function addFoundingRoute(app: FastifyInstance, group: GroupId, guard: Guard, node: AskedNode): void {
  const id = { type: 'string', pattern: ID_PATTERN };
  const peer = { type: 'object', required: ['id', 'url'], properties: { id, url: { type: 'string' } } };
  const schema = {
    body: {
      type: 'object',
      required: ['from', 'to', 'peers'],
      properties: { from: id, to: id, peers: { type: 'array', items: peer } },
    },
  };
  app.post<{ Body: Question }>(pathOf(group), { schema, logLevel: 'warn' }, (request, reply) => {
    const refuse = (status: number, code: string, message: string): void =>
      void reply.code(status).send({ error: { code, message } });
    if (!guard.admits(request.headers.authorization)) return refuse(401, 'secret', REFUSALS.secret.text);
    const { from, to, peers } = request.body;
    if (to !== node.id)
      return refuse(421, 'misdirected', `${node.id} answers here, not ${to}; check --peers`);
    const stage = node.stage();
    if (stage === null) return refuse(503, 'starting', `${node.id} is not founding a cluster`);
    if (stage.state === 'founded') {
      const { state, clusterId, configuration } = stage;
      return void reply.send({ state, clusterId, configuration: jsonOfConfiguration(configuration) });
    }
    const objection = stage.founding.objection(from, peers);
    if (objection !== null) return refuse(409, 'differentPeers', objection);
    return void reply.send({ state: 'founding', incarnation: node.incarnation });
  });
}

function pathOf(group: GroupId): string {
  return `/raft/v1/${group}/founding`;
}

function jsonOfConfiguration(configuration: Configuration): unknown {
  return JSON.parse(Buffer.from(encodeConfiguration(configuration)).toString('utf8')) as unknown;
}

/** Throws where `value` is none. */
function configurationOfJson(value: unknown): Configuration {
  return decodeConfiguration(Buffer.from(JSON.stringify(value ?? null)));
}
