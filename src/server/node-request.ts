/** One question in JSON to the HTTP port of a node: how newcomers, followers and operators' commands talk to a cluster. */
import { Agent, request } from 'undici';
import { Guard } from '../transport/identity.ts';
import { names } from '../transport/names.ts';

/** An answer, whatever its status. */
export interface NodeAnswer {
  readonly status: number;
  /** What was in it; `null` where that was not JSON. */
  readonly body: unknown;
}

/** What is wrong, as every refusal of the API says it. */
export interface NodeError {
  readonly code: string;
  readonly message: string;
}

/** Nobody answered, or not in time. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** The request can't have arrived: the connection was refused or the name is unknown. */
  readonly unsent: boolean;

  constructor(message: string, unsent: boolean) {
    super(message);
    this.unsent = unsent;
  }
}

/** Newcomers ask several times a second: a name that nobody knows yet must not be looked up as often. */
const agent = new Agent({ connect: { lookup: names.lookup } });

/** Errors of a connection that was never made. */
const UNSENT = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
];

/** Rejects with {@link NoAnswer}, and with nothing else. `url` is the node's; `timeoutMs` covers the whole exchange. */
export async function askNode(
  url: string,
  question: {
    readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
    readonly path: string;
    readonly body?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
  },
): Promise<NodeAnswer> {
  const { method, path, body, headers, timeoutMs } = question;
  try {
    const target = new URL(path, url);
    // The secret goes to the node that was meant, and nowhere else.
    if (target.origin !== new URL(url).origin) throw new Error(`${path} leads away from ${url}`);
    // Not fetch: it knows ports that a browser must not talk to, and refuses them.
    const answer = await request(target, {
      dispatcher: agent,
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: answer.statusCode, body: parse(await answer.body.text()) };
  } catch (error) {
    throw noAnswer(error, timeoutMs);
  }
}

/** The header that shows the cluster secret; none where there is none. */
export function secretHeaders(secret: string | null): Record<string, string> {
  return new Guard(secret).headers();
}

/** The refusal in an answer; made up from the status where something else than a node answered. */
export function errorOf({ status, body }: NodeAnswer): NodeError {
  const { error } = (body ?? {}) as { error?: Partial<NodeError> };
  if (typeof error?.code === 'string' && typeof error.message === 'string') {
    return { code: error.code, message: error.message };
  }
  return { code: 'unexpected', message: `HTTP ${status}, which is not an answer of a kvorum node` };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function noAnswer(error: unknown, timeoutMs: number): NoAnswer {
  if (!(error instanceof Error)) return new NoAnswer(String(error), false);
  if (error.name === 'TimeoutError') return new NoAnswer(`no answer within ${timeoutMs} ms`, false);
  // The code tells a closed port from an unknown name in a word.
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ERR_INVALID_URL') return new NoAnswer('no URL; give one like http://10.0.0.1:7380', true);
  const unsent = UNSENT.includes(code);
  return new NoAnswer(unsent ? code : error.message || code, unsent);
}
