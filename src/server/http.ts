/** The HTTP API on the port that the peers share: health and status for operators and containers. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from './engine.ts';
import { VERSION } from './version.ts';

/** Adds the public routes. They need no password: they tell where the cluster stands, never what it holds. */
export function addRoutes(app: FastifyInstance, engine: Engine): void {
  const startedAt = performance.now();

  /** 200 while the node is up and knows a leader, so that it can serve or redirect; 503 otherwise. */
  app.get('/health', (_request, reply) => {
    const { role, leader, id } = engine.status();
    reply
      .code(leader === null ? 503 : 200)
      .send({ status: leader === null ? 'no leader' : 'ok', id, role, leader });
  });

  app.get('/v1/status', (_request, reply) => {
    const uptimeSeconds = Math.floor((performance.now() - startedAt) / 1000);
    reply.send({ ...engine.status(), version: VERSION, uptimeSeconds });
  });
}
