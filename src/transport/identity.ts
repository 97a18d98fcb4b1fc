/**
 * Who speaks to whom: every request between nodes and every answer carries the speaker's identity in its headers,
 * and both ends check it, so that a node never takes part in a cluster that isn't its own.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isValidId } from '../raft/configuration.ts';
import { type GroupId, type NodeId, asNodeId } from '../raft/types.ts';

/** Version of the routes, headers and streams between nodes. Nodes of different versions don't talk. */
export const PROTOCOL_VERSION = 1;

/** Where the clients of a node reach it; peers need it to send clients to one another. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
}

export interface IdentityOptions {
  readonly self: { readonly id: NodeId; readonly group: GroupId };
  readonly clusterId: string;
  /** Shared by all nodes of the cluster; `null` where the port needs no guard. Never logged. */
  readonly secret: string | null;
  /** Asked for with every request and answer, because a port may be bound later. */
  readonly clientAddress: () => ClientAddress;
}

/** Why a node turns another one away. */
export type Refusal =
  | 'secret'
  | 'version'
  | 'cluster'
  | 'misdirected'
  | 'unknown'
  | 'removed'
  | 'snapshot'
  | 'closing';

/** One table for both ends: the refused one looks up the text by the name. */
export const REFUSALS: Readonly<Record<Refusal, { readonly status: number; readonly text: string }>> = {
  secret: {
    status: 401,
    text: 'the cluster secret is missing or differs; give all nodes the same --cluster-secret',
  },
  version: {
    status: 426,
    text: `the nodes speak different protocol versions (ours is ${PROTOCOL_VERSION}); run the same release`,
  },
  cluster: {
    status: 412,
    text: 'the nodes belong to different clusters; check --peers and the data directories',
  },
  misdirected: { status: 421, text: 'another node answers at this address; check --peers' },
  unknown: { status: 404, text: 'the node is not in the cluster’s configuration; check --id and --peers' },
  removed: { status: 410, text: 'the node was removed from the cluster; an id is never used again' },
  snapshot: { status: 404, text: 'the snapshot is no longer there; a newer one will be offered' },
  closing: { status: 503, text: 'the node is shutting down' },
};

/** What a node id is to us; `closing` where it no longer matters. */
export type Standing = 'member' | 'removed' | 'unknown' | 'closing';

/** The sender of an accepted request or answer. */
export interface Caller {
  readonly id: NodeId;
  /** `null` where the header is missing or makes no sense. */
  readonly clientAddress: ClientAddress | null;
}

const CLUSTER = 'x-kvorum-cluster';
const GROUP = 'x-kvorum-group';
const NODE = 'x-kvorum-node';
const TO = 'x-kvorum-to';
const VERSION = 'x-kvorum-version';
const CLIENT = 'x-kvorum-client';
const REFUSAL = 'x-kvorum-refusal';

/** Writes and checks the headers of one node. */
export class Identity {
  readonly #options: IdentityOptions;
  readonly #authorization: string | null;

  constructor(options: IdentityOptions) {
    this.#options = options;
    this.#authorization = options.secret === null ? null : `Bearer ${options.secret}`;
  }

  /** Headers of a request to `peer`. */
  requestHeaders(peer: NodeId): Record<string, string> {
    const headers: Record<string, string> = { ...this.responseHeaders(), [TO]: peer };
    if (this.#authorization !== null) headers['authorization'] = this.#authorization;
    return headers;
  }

  /** Headers of an answer. */
  responseHeaders(): Record<string, string> {
    const { self, clusterId, clientAddress } = this.#options;
    const { host, port } = clientAddress();
    return {
      [CLUSTER]: clusterId,
      [GROUP]: self.group,
      [NODE]: self.id,
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
  checkRequest(headers: IncomingHttpHeaders, standing: (id: NodeId) => Standing): Caller | Refusal {
    if (!this.#isAuthorized(headers.authorization)) return 'secret';
    if (headers[VERSION] !== String(PROTOCOL_VERSION)) return 'version';
    if (headers[CLUSTER] !== this.#options.clusterId) return 'cluster';
    if (headers[TO] !== this.#options.self.id) return 'misdirected';
    const id = headers[NODE];
    if (typeof id !== 'string' || !isValidId(id)) return 'unknown';
    const found = standing(asNodeId(id));
    if (found !== 'member') return found;
    return { id: asNodeId(id), clientAddress: parseAddress(headers[CLIENT]) };
  }

  /** The sender of an answer, which must be `peer`, or what is wrong with the answer. */
  checkResponse(status: number, headers: IncomingHttpHeaders, peer: NodeId): Caller | string {
    const refusal = headers[REFUSAL];
    if (isRefusal(refusal)) return `status ${status}: ${REFUSALS[refusal].text}`;
    if (status >= 500) return `status ${status}; see the log of ${peer}`;
    if (status !== 200 || headers[NODE] === undefined) {
      const { group } = this.#options.self;
      return `status ${status} from something that is not a kvorum node of group ${group}; check --peers`;
    }
    if (headers[VERSION] !== String(PROTOCOL_VERSION)) return REFUSALS.version.text;
    if (headers[CLUSTER] !== this.#options.clusterId) return REFUSALS.cluster.text;
    if (headers[NODE] !== peer || headers[GROUP] !== this.#options.self.group)
      return REFUSALS.misdirected.text;
    return { id: peer, clientAddress: parseAddress(headers[CLIENT]) };
  }

  /** Compares digests: of equal length, as the comparison needs, and telling nothing by the time it takes. */
  #isAuthorized(authorization: string | undefined): boolean {
    if (this.#authorization === null) return true;
    return timingSafeEqual(digest(authorization ?? ''), digest(this.#authorization));
  }
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
