/** The HTTP API on the port that the peers share: health and status for operators and containers. */
import type { FastifyError, FastifyInstance } from 'fastify';
import { type Driver, REMOVED } from './driver.ts';
import type { Founding } from './founding.ts';
import type { Joining } from './joining.ts';
import { VERSION } from './version.ts';

/** How far a node is on its way into its cluster. The HTTP port listens from the second on. */
export type Stage =
  | { readonly name: 'starting' }
  | { readonly name: 'founding'; readonly founding: Founding }
  | { readonly name: 'joining'; readonly joining: Joining }
  | { readonly name: 'running'; readonly driver: Driver };

/** What a node that does not run yet waits for, in words. */
export function waitingFor(stage: Stage): string {
  switch (stage.name) {
    case 'starting':
    case 'running':
      return 'starting';
    case 'founding':
      return stage.founding.waiting;
    case 'joining':
      return stage.joining.waiting;
  }
}

/** The health check's answer: 200 while the node is up and knows a leader, so that it can serve or redirect. */
function healthOf(stage: Stage): { readonly code: 200 | 503; readonly body: object } {
  if (stage.name !== 'running')
    return { code: 503, body: { status: stage.name, message: waitingFor(stage) } };
  const { role, leader, id, state } = stage.driver.status();
  if (state === 'removed') return { code: 503, body: { status: state, id, message: REMOVED } };
  if (leader === null) return { code: 503, body: { status: 'no leader', id, role, leader } };
  return { code: 200, body: { status: 'ok', id, role, leader } };
}

/** Adds the public routes. They need no password: they tell where the cluster stands, never what it holds. */
export function addRoutes(app: FastifyInstance, stage: () => Stage): void {
  const startedAt = performance.now();

  app.get('/health', (_request, reply) => {
    const { code, body } = healthOf(stage());
    reply.code(code).send(body);
  });

  app.get('/v1/status', (_request, reply) => {
    const current = stage();
    if (current.name !== 'running') {
      reply.code(503).send({ error: { code: current.name, message: waitingFor(current) } });
      return;
    }
    const uptimeSeconds = Math.floor((performance.now() - startedAt) / 1000);
    reply.send({ ...current.driver.status(), version: VERSION, uptimeSeconds });
  });

  app.get('/v1/digest', async (_request, reply) => {
    const current = stage();
    if (current.name === 'running') return reply.send(await current.driver.digest());
    return reply.code(503).send({ error: { code: current.name, message: waitingFor(current) } });
  });

  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) app.log.error(error);
    const code = error.validation === undefined ? 'failed' : 'invalid';
    reply.code(status).send({ error: { code, message: error.message } });
  });
  app.setNotFoundHandler((request, reply) => {
    const message = `there is no ${request.method} ${request.url}`;
    reply.code(404).send({ error: { code: 'notFound', message } });
  });
}
