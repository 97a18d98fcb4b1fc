/** A question to a peer outside of Raft: one `POST`, one answer, on a connection of its own. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Client } from 'undici';
import { REFUSAL } from './identity.ts';
import { connectionTo, type LinkProblem } from './incoming.ts';

/** There is no answer. */
export class AskError extends Error {
  override readonly name = 'AskError';
  /** False when the peer has certainly not begun to work on the question. */
  readonly reached: boolean;

  constructor(message: string, reached: boolean, options?: ErrorOptions) {
    super(message, options);
    this.reached = reached;
  }
}

interface AskOptions {
  readonly url: string;
  readonly headers: () => Record<string, string>;
  /** What is wrong with the head of the answer, or `null`. */
  readonly check: (status: number, headers: IncomingHttpHeaders) => LinkProblem | null;
}

/** The connection for questions to one peer, made when the first is asked. */
export class AskConnection {
  readonly #options: AskOptions;
  #client: Client | null = null;
  #closed = false;

  constructor(options: AskOptions) {
    this.#options = options;
  }

  /** The body of the answer. Rejects with an {@link AskError}, also when `signal` ends the wait. */
  async ask(path: string, body: Uint8Array, signal: AbortSignal): Promise<Buffer> {
    if (this.#closed) throw new AskError('the connection is closed', false);
    const { url, headers, check } = this.#options;
    try {
      // However long the peer needs: whoever asks knows how long to wait.
      this.#client ??= connectionTo(url, 0);
      const answer = await this.#client.request({
        path,
        method: 'POST',
        headers: { ...headers(), 'content-type': 'application/octet-stream' },
        body,
        signal,
      });
      const problem = check(answer.statusCode, answer.headers);
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      // Only a node's own refusal, made before it looks at the question, proves that nothing was begun: whatever stands
      // between the nodes may say 503 about a question that it has passed on.
      const turnedAway = answer.headers[REFUSAL] !== undefined || answer.statusCode === 413;
      if (problem !== null) throw new AskError(problem.text, !turnedAway);
      return bytes;
    } catch (error) {
      if (error instanceof AskError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new AskError(message, !failedToConnect(error), { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.destroy();
  }
}

function failedToConnect(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(failedToConnect);
  if (!(error instanceof Error)) return false;
  const { syscall, code } = error as NodeJS.ErrnoException;
  return syscall === 'connect' || syscall === 'getaddrinfo' || code === 'UND_ERR_CONNECT_TIMEOUT';
}
