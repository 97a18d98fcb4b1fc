/** `kvorum serve`: one node, from its start to the signal that ends it. */
import { type Logger, pino } from 'pino';

import { type Config, type HostPort, warningsOf } from '../server/config.ts';
import { startServer } from '../server/server.ts';
import { VERSION } from '../server/version.ts';

/** Starts the node and keeps it running. The process ends with 0 after a signal, with 1 after a failure. */
export async function serve(config: Config): Promise<void> {
  const log = pino({ level: config.logLevel, base: { node: config.id } });
  process.on('uncaughtException', (error) => {
    // The log on disk is all that counts, and it is valid at any moment: stopping here is safe, going on is not.
    log.fatal({ err: error }, `stopping after an unexpected failure: ${error.message}`);
    process.exit(1);
  });
  for (const warning of warningsOf(config)) log.warn(warning);

  // Before the start: as process 1 of a container, a node without a handler would not hear the signal at all.
  const stopAsked = nextSignal();
  const starting = startServer(config);
  const server = await Promise.race([starting, stopAsked]).catch((error: unknown) => fail(log, error));
  if (typeof server === 'string') return process.exit(0);

  log.info(
    `kvorum ${VERSION} is ready: clients at ${text(server.address)}, HTTP at ${text(server.httpAddress)}, data in ${config.dataDir}, fsync ${config.fsync}`,
  );
  log.info(`${await stopAsked}: handing over and stopping; a second signal stops at once`);
  void nextSignal().then((signal) => {
    log.warn(`${signal} again: stopping at once`);
    process.exit(1);
  });
  await server.stop().catch((error: unknown) => fail(log, error));
  log.info('stopped');
  process.exit(0);
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const heard = (signal: NodeJS.Signals): void => {
      process.off('SIGTERM', heard).off('SIGINT', heard);
      resolve(signal);
    };
    process.on('SIGTERM', heard).on('SIGINT', heard);
  });
}

function fail(log: Logger, error: unknown): never {
  if (error instanceof Error && !isDefect(error)) console.error(`kvorum: ${explain(error)}`);
  else log.fatal({ err: error }, 'stopping after an unexpected failure');
  process.exit(1);
}

/** A defect of the program needs its stack in the report; a port in use or a damaged file needs a sentence. */
function isDefect(error: Error): boolean {
  return (
    error.name === 'InvariantError' ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError
  );
}

/** The message with its causes, and the remedy where the operating system's words don't show one. */
export function explain(error: Error): string {
  const parts: string[] = [];
  let remedy: string | undefined;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { message, code = '' } = cause as NodeJS.ErrnoException;
    if (!parts.some((part) => part.includes(message))) parts.push(message);
    remedy ??= REMEDIES[code];
  }
  return remedy === undefined ? parts.join(': ') : `${parts.join(': ')}; ${remedy}`;
}

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has the port: stop it, or choose others with --port and --http-port',
  EADDRNOTAVAIL: 'this machine has no such address: correct --host',
  EACCES: 'this user may not do that: check the owner of --data-dir, and use ports above 1023',
};

function text({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
