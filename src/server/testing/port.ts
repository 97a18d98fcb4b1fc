/** A client port for tests. */
import { pino } from 'pino';
import { ClientPort, type ClientPortOptions } from '../client-port.ts';
import type { Engine } from '../engine.ts';
import { catalogue } from '../table.ts';
import { Users } from '../users.ts';

/** On a free port, silent, with no password and nobody to forward to; `options` take the place of that. */
export function portOf(engine: Engine, options: Partial<ClientPortOptions> = {}): ClientPort {
  return new ClientPort({
    engine,
    host: '127.0.0.1',
    port: 0,
    users: new Users(null, catalogue),
    maxClients: 100,
    maxRequestBytes: 64 * 1024 * 1024,
    followerReads: false,
    forwarder: { submit: () => {} },
    proxy: false,
    logger: pino({ level: 'silent' }),
    ...options,
  });
}
