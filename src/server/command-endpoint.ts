/**
 * `POST /v1/command`: one command over HTTP, on any node. The body is a JSON array, the command and its arguments:
 * strings, or `{"base64": "…"}` for bytes that are no text. The answer is `{"result": …}` or `{"error": {code, message}}`.
 *
 * A node that does not lead passes the command on to the leader. It does not redirect: `fetch` would drop the password on
 * the way to another host, and `curl` would stop.
 *
 * With `Idempotency-Key` a write runs once however often the request is sent: see the store's `once.ts`. A request that
 * comes again under the same key gets the first answer, and `Idempotency-Replayed: true` with it.
 *
 * A page of another site can't send any of this for its visitor: a browser asks before it posts JSON to a foreign
 * address, and nobody here says yes. Where there is no password, a page must not have a name of its own either: one that
 * has could make its name mean this machine.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Call } from '../store/command.ts';
import { KEY_BYTES_MAX, type Once } from '../store/once.ts';
import type { Client, Engine, Request } from './engine.ts';
import { clusterDown } from './errors.ts';
import type { Forwarder } from './forwarder.ts';
import { JsonReply, type ReplyError } from './json-reply.ts';
import { fromNamedPage } from './pages.ts';
import { resolve } from './table.ts';
import { denialText, onBehalfOf, type User, type Users } from './users.ts';

export const COMMAND_PATH = '/v1/command';

/** Of the SHA-256 of a command: against accidents half of it is plenty. */
const FINGERPRINT_BYTES = 16;

/** The status of errors that say something about the cluster or the key; all others are the command's own: 400. */
const STATUS: Readonly<Record<string, number>> = {
  BUSY: 503,
  CLUSTERDOWN: 503,
  OOM: 507,
  UNKNOWN: 504,
  TOOLONG: 502,
  APPLIED: 409,
  KEYREUSED: 422,
  NOPERM: 403,
};

/** What the endpoint needs of a node that is part of a cluster. */
export interface CommandTarget {
  readonly engine: Pick<Engine, 'leading' | 'submit' | 'now'>;
  readonly forwarder: Pick<Forwarder, 'submit'>;
}

export interface CommandEndpointOptions {
  readonly users: Users;
  /** Bytes of a body. */
  readonly maxRequestBytes: number;
  /** `null` while this node is not part of a cluster yet. */
  readonly target: () => CommandTarget | null;
  /** What it waits for then, in words. */
  readonly waiting: () => string;
}

/** Adds the route. */
export function addCommandEndpoint(app: FastifyInstance, options: CommandEndpointOptions): void {
  const { users, maxRequestBytes } = options;
  const shown = new WeakMap<FastifyRequest, User>();
  void app.register((scope, _options, done) => {
    scope.removeContentTypeParser(['text/plain']);
    scope.addHook('onRequest', (request, reply, next) => {
      const { authorization, origin } = request.headers;
      const user = users.shownBy(authorization);
      if (user === null) unauthorized(reply);
      else if (users.open && fromNamedPage(request.headers)) {
        fail(reply, 403, 'NOPERM', `pages of ${origin} may not send commands to a node without a password`);
      } else {
        shown.set(request, user);
        next();
      }
    });
    scope.post(COMMAND_PATH, { bodyLimit: maxRequestBytes }, (request, reply) => {
      const user = shown.get(request);
      return user === undefined ? unauthorized(reply) : serve(options, user, request, reply);
    });
    done();
  });
}

function unauthorized(reply: FastifyReply): FastifyReply {
  reply.header('www-authenticate', 'Basic realm="kvorum"');
  return fail(
    reply,
    401,
    'NOAUTH',
    'give the password: Authorization: Bearer <password> for the user default, or Basic for any',
  );
}

async function serve(
  { target, waiting }: CommandEndpointOptions,
  user: User,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const args = argumentsOf(request.body);
  if (args === null) {
    return fail(
      reply,
      400,
      'ERR',
      'the body must be a JSON array: the command and its arguments, each a string or {"base64": "…"}',
    );
  }
  const key = request.headers['idempotency-key'];
  if (key !== undefined && (typeof key !== 'string' || key === '' || key.length > KEY_BYTES_MAX))
    return fail(reply, 400, 'ERR', `an Idempotency-Key has 1 to ${KEY_BYTES_MAX} characters`);
  const command = resolve(args);
  if (typeof command === 'string') return send(reply, failed(command));
  const denial = user.restricted ? user.rights.check(command, args) : null;
  if (denial !== null) return send(reply, failed(denialText(command, denial)));
  const node = target();
  if (node === null) return fail(reply, 503, 'CLUSTERDOWN', waiting());
  switch (command.kind) {
    case 'pure':
      return send(
        reply,
        answered((json) => command.answer(args, node.engine.now(), json)),
      );
    case 'data':
      return send(reply, await new Command(node, onBehalfOf(user, { command, args }), key ?? null).run());
    case 'local':
    case 'transaction':
      return fail(
        reply,
        400,
        'ERR',
        `'${command.name}' belongs to a connection, and there is none over HTTP`,
      );
  }
}

/** What a command came to. */
interface Answer {
  readonly json: JsonReply;
  /** Kept from the first time that it was sent. */
  readonly replayed: boolean;
}

function answered(write: (json: JsonReply) => void): Answer {
  const json = new JsonReply();
  write(json);
  return { json, replayed: false };
}

function failed(text: string): Answer {
  return answered((json) => json.error(text));
}

function send(reply: FastifyReply, { json, replayed }: Answer): FastifyReply {
  if (replayed) reply.header('idempotency-replayed', 'true');
  const { failure } = json;
  if (failure === null) return reply.send({ result: json.result ?? null });
  return fail(reply, STATUS[failure.code] ?? 400, failure.code, failure.message);
}

function fail(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  const error: ReplyError = { code, message };
  return reply.code(status).send({ error });
}

/** The arguments as byte strings; `null` where the body is something else. */
function argumentsOf(body: unknown): string[] | null {
  if (!Array.isArray(body) || body.length === 0) return null;
  const args: string[] = [];
  for (const item of body as readonly unknown[]) {
    if (typeof item === 'string') args.push(Buffer.from(item, 'utf8').toString('latin1'));
    else if (typeof item === 'object' && item !== null && 'base64' in item && isBase64(item.base64))
      args.push(Buffer.from(item.base64, 'base64').toString('latin1'));
    else return null;
  }
  return args;
}

/** Node reads what it can and leaves out the rest, so that something else would be stored than was sent. */
function isBase64(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const digits = value.length - (/={1,2}$/.exec(value)?.[0].length ?? 0);
  const strange = value.search(/[^\w+/-]/);
  return (strange === -1 || strange === digits) && digits % 4 !== 1;
}

/** A command on its way, wherever the leader is. */
class Command implements Client {
  readonly reply = new JsonReply();
  readonly #node: CommandTarget;
  readonly #request: Request;
  readonly #write: boolean;
  #replayed = false;
  /** Passed on to the leader, after this node refused it or without asking it. */
  #forwarded = false;
  /** Calls of `settled` that don't count: the request was passed on instead. */
  #passedOn = 0;
  #done: () => void = () => {};

  constructor(node: CommandTarget, { command, args }: Call, key: string | null) {
    this.#node = node;
    this.#write = command.write;
    const once = command.write && key !== null ? onceFor(key, args) : null;
    this.#request = { kind: 'command', client: this, command, args, once };
  }

  async run(): Promise<Answer> {
    const { promise, resolve: done } = Promise.withResolvers<void>();
    this.#done = done;
    if (this.#node.engine.leading) this.#node.engine.submit(this.#write ? 'log' : 'read', this.#request);
    else this.#forward();
    await promise;
    return { json: this.reply, replayed: this.#replayed };
  }

  #forward(): void {
    this.#forwarded = true;
    this.#node.forwarder.submit(this.#request);
  }

  settled(): void {
    if (this.#passedOn > 0) this.#passedOn -= 1;
    else this.#done();
  }

  watched(): void {}

  repeated(): void {
    this.#replayed = true;
  }

  refused(): void {
    if (this.#forwarded) {
      this.reply.error(clusterDown());
      return;
    }
    this.#passedOn += 1;
    this.#forward();
  }
}

function onceFor(key: string, args: readonly string[]): Once {
  const hash = createHash('sha256');
  // With their lengths, so that no two lists of arguments make the same text.
  for (const arg of args) hash.update(`${arg.length} ${arg} `, 'latin1');
  return { kind: 'key', key, fingerprint: hash.digest().toString('latin1', 0, FINGERPRINT_BYTES) };
}
