/**
 * Who speaks to whom: every request between nodes and every answer carries the speaker's identity in its headers,
 * and both ends check it, so that a node never takes part in a cluster that isn't its own.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isValidId } from '../raft/configuration.ts';
import { type GroupId, type Member, type NodeId, asNodeId } from '../raft/types.ts';

/** Version of the routes, headers and streams between nodes. Nodes of different versions don't talk. */
export const PROTOCOL_VERSION = 2;

/** Where the clients of a node reach it; peers need it to send clients to one another. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
}

export interface IdentityOptions {
  readonly self: { readonly id: NodeId; readonly group: GroupId; readonly incarnation: string };
  /** `null` while this node is not yet part of a cluster. */
  readonly clusterId: () => string | null;
  readonly guard: Guard;
  /** Where peers reach this node. Like the next, asked for with every request: ports may be bound late. */
  readonly url: () => string;
  readonly clientAddress: () => ClientAddress;
}

/** The secret that all nodes of a cluster share, and that whoever wants to change the cluster must know. */
export class Guard {
  readonly #authorization: string | null;

  /** `secret`: `null` where the port needs no guard. Never logged. */
  constructor(secret: string | null) {
    this.#authorization = secret === null ? null : `Bearer ${secret}`;
  }

  /** The header that shows the secret. */
  headers(): Record<string, string> {
    return this.#authorization === null ? {} : { authorization: this.#authorization };
  }

  /** Compares digests: of equal length, as the comparison needs, and telling nothing by the time it takes. */
  admits(authorization: string | undefined): boolean {
    if (this.#authorization === null) return true;
    return timingSafeEqual(digest(authorization ?? ''), digest(this.#authorization));
  }
}

/** Why a node turns another one away. */
export type Refusal =
  | 'secret'
  | 'version'
  | 'starting'
  | 'cluster'
  | 'misdirected'
  | 'unknown'
  | 'impostor'
  | 'removed'
  | 'snapshot'
  | 'closing';

/** One table for both ends: the refused one looks up the text by the name. Texts name no node: each end adds its own. */
export const REFUSALS: Readonly<Record<Refusal, { readonly status: number; readonly text: string }>> = {
  secret: {
    status: 401,
    text: 'the cluster secret is missing or differs; give all nodes the same --cluster-secret',
  },
  version: {
    status: 426,
    text: `the nodes speak different protocol versions (ours is ${PROTOCOL_VERSION}); run the same release`,
  },
  starting: { status: 503, text: 'the node is not yet part of a cluster' },
  cluster: {
    status: 412,
    text:
      'the nodes belong to different clusters; check --peers and the data directories. Where they were just founded and ' +
      'nothing was served yet, empty the data directories of all founding members and start them again',
  },
  misdirected: { status: 421, text: 'another node answers at this address; check --peers' },
  unknown: { status: 404, text: 'the node is not in the cluster’s configuration; check --id and --peers' },
  impostor: {
    status: 409,
    text:
      'this data directory is not the one that the cluster knows under this id; remove the id (kvorum cluster remove <id>) ' +
      'and add the node under a new one (kvorum serve --id <new id> --join <url>)',
  },
  removed: {
    status: 410,
    text:
      'the node was removed from the cluster, and an id is never used again; stop it, or add it under a new id with an ' +
      'empty data directory (kvorum serve --id <new id> --join <url>)',
  },
  snapshot: { status: 404, text: 'the snapshot is no longer there; a newer one will be offered' },
  closing: { status: 503, text: 'the node is shutting down' },
};

/** Refusals that only an operator can change; asking again soon is no use. */
export function isLasting(refusal: Refusal): boolean {
  return refusal === 'impostor' || refusal === 'removed' || refusal === 'cluster';
}

/** An answer that is of no use. */
export interface Problem {
  readonly text: string;
  /** Why the peer turned us away; `null` where it did not. */
  readonly refusal: Refusal | null;
}

/** The sender of a request or answer, as it says; its cluster and whom it addresses are checked, its standing is not. */
export interface Caller extends Member {
  /** `null` where the header is missing or makes no sense. */
  readonly clientAddress: ClientAddress | null;
}

const CLUSTER = 'x-kvorum-cluster';
const GROUP = 'x-kvorum-group';
const NODE = 'x-kvorum-node';
const INCARNATION = 'x-kvorum-incarnation';
const URL_HEADER = 'x-kvorum-url';
const TO = 'x-kvorum-to';
const VERSION = 'x-kvorum-version';
const CLIENT = 'x-kvorum-client';
/** Names a node's own refusal, which it makes before it looks at what was asked. */
export const REFUSAL = 'x-kvorum-refusal';

/** Writes and checks the headers of one node. */
export class Identity {
  readonly #options: IdentityOptions;

  constructor(options: IdentityOptions) {
    this.#options = options;
  }

  /** Headers of a request to `peer`. */
  requestHeaders(peer: NodeId): Record<string, string> {
    return { ...this.responseHeaders(), [TO]: peer, ...this.#options.guard.headers() };
  }

  /** Headers of an answer. */
  responseHeaders(): Record<string, string> {
    const { self, clusterId, url, clientAddress } = this.#options;
    const { host, port } = clientAddress();
    return {
      [CLUSTER]: clusterId() ?? '',
      [GROUP]: self.group,
      [NODE]: self.id,
      [INCARNATION]: self.incarnation,
      [URL_HEADER]: url(),
      [VERSION]: String(PROTOCOL_VERSION),
      [CLIENT]: `${host}:${port}`,
    };
  }

  /** Headers of an answer that turns a request away. A sender without the secret isn't told who we are. */
  refusalHeaders(refusal: Refusal): Record<string, string> {
    const identity = refusal === 'secret' ? { 'www-authenticate': 'Bearer' } : this.responseHeaders();
    return { ...identity, [REFUSAL]: refusal };
  }

  /** The sender of a request, or why it is turned away. The secret comes first. */
  checkRequest(headers: IncomingHttpHeaders): Caller | Refusal {
    const { self, clusterId, guard } = this.#options;
    if (!guard.admits(headers.authorization)) return 'secret';
    if (headers[VERSION] !== String(PROTOCOL_VERSION)) return 'version';
    if (clusterId() === null) return 'starting';
    if (headers[CLUSTER] !== clusterId()) return 'cluster';
    if (headers[TO] !== self.id) return 'misdirected';
    return callerOf(headers) ?? 'unknown';
  }

  /** The sender of an answer, which must be `peer`, or what is wrong with the answer. */
  checkResponse(status: number, headers: IncomingHttpHeaders, peer: Member): Caller | Problem {
    const { self, clusterId } = this.#options;
    const refusal = headers[REFUSAL];
    if (isRefusal(refusal)) return { text: `status ${status}: ${REFUSALS[refusal].text}`, refusal };
    if (status >= 500) return { text: `status ${status}; see the log of ${peer.id}`, refusal: null };
    if (status !== 200 || headers[NODE] === undefined) {
      const text = `status ${status} from something that is not a kvorum node of group ${self.group}; check --peers`;
      return { text, refusal: null };
    }
    const wrong = (refusal: Refusal): Problem => ({ text: REFUSALS[refusal].text, refusal: null });
    if (headers[VERSION] !== String(PROTOCOL_VERSION)) return wrong('version');
    if (headers[CLUSTER] !== clusterId()) return wrong('cluster');
    if (headers[NODE] !== peer.id || headers[GROUP] !== self.group) return wrong('misdirected');
    if (headers[INCARNATION] !== peer.incarnation) return wrong('impostor');
    return { ...peer, clientAddress: parseAddress(headers[CLIENT]) };
  }
}

function callerOf(headers: IncomingHttpHeaders): Caller | null {
  const [id, incarnation, url] = [headers[NODE], headers[INCARNATION], headers[URL_HEADER]];
  if (typeof id !== 'string' || !isValidId(id)) return null;
  if (typeof incarnation !== 'string' || typeof url !== 'string') return null;
  return { id: asNodeId(id), incarnation, url, clientAddress: parseAddress(headers[CLIENT]) };
}

function isRefusal(name: string | string[] | undefined): name is Refusal {
  return typeof name === 'string' && Object.hasOwn(REFUSALS, name);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function parseAddress(header: string | string[] | undefined): ClientAddress | null {
  if (typeof header !== 'string') return null;
  const colon = header.lastIndexOf(':');
  const host = header.slice(0, Math.max(0, colon));
  const port = Number(header.slice(colon + 1));
  if (host === '' || !Number.isInteger(port) || port < 1 || port > 65535) return null;
  return { host, port };
}
