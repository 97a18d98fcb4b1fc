/**
 * Requests that a page of a web site makes a visitor's browser send. Where no secret is asked for, the network address is
 * all that keeps strangers out, and a page gets around it: whoever owns a name can make it mean 127.0.0.1, and then the
 * browser takes this node for the page's own site (DNS rebinding).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { JOIN_PATH } from './joining.ts';
import { CLUSTER_PATH } from './membership.ts';

/** Where operators change who takes part. */
const OPERATORS: readonly string[] = [CLUSTER_PATH, JOIN_PATH];

/** Whether the request comes from a page that has a name: one from this machine or an address in figures has none. */
export function fromNamedPage({ origin }: IncomingHttpHeaders): boolean {
  if (origin === undefined) return false;
  const host = URL.parse(origin)?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  return host !== 'localhost' && isIP(host) === 0;
}

/**
 * Whether a browser sent it. A page can keep its name from a `GET` to what the browser takes for its own site, but it can't
 * keep the browser from saying which encodings it reads. Nodes say neither.
 */
function fromBrowser(headers: IncomingHttpHeaders): boolean {
  return headers.origin !== undefined || headers['accept-encoding'] !== undefined;
}

/**
 * Turns pages away from what the cluster secret guards, on a node without one: from the routes between nodes all of them,
 * from those for operators the ones that have a name and want to change something. Call it before the routes are added.
 */
export function turnPagesAway(app: FastifyInstance): void {
  app.addHook('onRequest', ({ method, headers, routeOptions }, reply, next) => {
    const route = routeOptions.url ?? '';
    const refused =
      (route.startsWith('/raft/') && fromBrowser(headers)) ||
      (OPERATORS.some((path) => route.startsWith(path)) && method !== 'GET' && fromNamedPage(headers));
    if (!refused) {
      next();
      return;
    }
    const page = headers.origin ?? 'a browser';
    const message = `pages of ${page} may not ask for ${method} ${route} on a node without --cluster-secret`;
    reply.code(403).send({ error: { code: 'page', message } });
  });
}
