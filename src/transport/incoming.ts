/** The receiving end of a stream: a long `GET` to a peer, dialled again whenever it ends. */
import type { IncomingHttpHeaders } from 'node:http';
import { Client, type Dispatcher } from 'undici';
import { FrameDecoder, FrameError, type FrameHandler } from './codec.ts';
import { names } from './names.ts';

/** Time for a TCP connection to be made. */
export const CONNECT_MS_MAX = 1000;
/** Pause before the first redial. Long enough that a killed process has closed its listener as well. */
const REDIAL_MS_MIN = 20;
const REDIAL_MS_MAX = 1000;
/** Pause after an answer that will not change before an operator does something. */
const LASTING_REDIAL_MS = 5000;

/** The pause before the next attempt after `failures` in a row, in milliseconds: doubling, with jitter. */
export function redialDelay(failures: number): number {
  return Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** failures) * (0.5 + Math.random() / 2);
}

/** A connection of its own to a peer. Throws where `url` is none. */
export function connectionTo(url: string, silenceMsMax: number): Client {
  return new Client(url, {
    pipelining: 1,
    connect: { timeout: CONNECT_MS_MAX, noDelay: true, lookup: names.lookup },
    headersTimeout: silenceMsMax,
    bodyTimeout: silenceMsMax,
  });
}

/** What is wrong with the head of an answer. */
export interface LinkProblem {
  readonly text: string;
  /** The peer will say the same again until an operator does something. */
  readonly lasting: boolean;
}

/** The peer answered, and it is of no use. */
class Refused extends Error {
  readonly lasting: boolean;

  constructor({ text, lasting }: LinkProblem) {
    super(text);
    this.lasting = lasting;
  }
}

/** Why a stream is not there. */
export interface LinkFailure {
  readonly problem: string;
  /** The peer's machine answered that nobody listens: its process is gone, or not there yet. */
  readonly refused: boolean;
}

export interface IncomingOptions {
  readonly url: string;
  readonly path: string;
  readonly headers: () => Record<string, string>;
  /** A stream that says nothing for so many milliseconds is taken for dead. */
  readonly silenceMsMax: number;
  /** What is wrong with the head of the answer, or `null`. */
  readonly check: (status: number, headers: IncomingHttpHeaders) => LinkProblem | null;
  readonly onOpen: () => void;
  readonly onFrame: FrameHandler;
  /** The stream ended or couldn't be opened; it is being dialled again. */
  readonly onFailure: (failure: LinkFailure) => void;
}

/** Dials from {@link start} until {@link close}. */
export class IncomingStream {
  readonly #options: IncomingOptions;
  #client: Client | null = null;
  #attempt: Attempt | null = null;
  #timer: NodeJS.Timeout | null = null;
  #failures = 0;
  #closed = false;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /** Dials, for the first time. May call `onFailure` before it returns. */
  start(): void {
    this.#dial();
  }

  /** The peer is known to be there: an attempt that was to come later is made now. */
  hurry(): void {
    if (this.#timer === null || this.#closed) return;
    clearTimeout(this.#timer);
    this.#dial();
  }

  /** Whether frames can come in now. */
  get open(): boolean {
    return this.#attempt?.open === true;
  }

  /** No callback comes after this. Resolves when the socket is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#attempt?.abandon();
    this.#attempt = null;
    await this.#client?.destroy();
  }

  #dial(): void {
    this.#timer = null;
    const { url, path, headers, silenceMsMax } = this.#options;
    try {
      this.#client ??= connectionTo(url, silenceMsMax);
    } catch (error) {
      this.#failed(error);
      return;
    }
    const attempt = new Attempt({
      ...this.#options,
      onFrame: (from, to, message) => {
        // Not as soon as a stream opens: one that opens and breaks again and again must slow down.
        this.#failures = 0;
        this.#options.onFrame(from, to, message);
      },
      onEnd: (error) => this.#failed(error),
    });
    this.#attempt = attempt;
    this.#client.dispatch({ path, method: 'GET', headers: headers() }, attempt);
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    this.#attempt = null;
    const lasting = error instanceof Refused && error.lasting;
    this.#timer = setTimeout(() => this.#dial(), lasting ? LASTING_REDIAL_MS : redialDelay(this.#failures));
    this.#failures += 1;
    this.#options.onFailure({ problem: problemOf(error), refused: isRefused(error) });
  }
}

interface AttemptOptions extends Pick<IncomingOptions, 'check' | 'onOpen' | 'onFrame'> {
  readonly onEnd: (error: unknown) => void;
}

/** One request: undici's handler for it. Everything that can end it comes together in {@link #end}, once. */
class Attempt implements Dispatcher.DispatchHandler {
  readonly #options: AttemptOptions;
  readonly #decoder: FrameDecoder;
  #ended = false;
  open = false;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder(options.onFrame);
  }

  /** Nothing that still arrives is wanted. */
  abandon(): void {
    this.#ended = true;
    this.open = false;
    this.#decoder.stop();
  }

  onRequestStart(): void {}

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (this.#ended) return;
    const problem = this.#options.check(status, headers);
    if (problem !== null) {
      controller.abort(new Refused(problem));
      return;
    }
    this.open = true;
    try {
      this.#options.onOpen();
    } catch (error) {
      this.#giveUp(controller, error);
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#giveUp(controller, error);
    }
  }

  onResponseEnd(): void {
    this.#end(new Error('the stream was closed by the peer'));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(error);
  }

  /** undici would turn a broken invariant of a callback into a broken stream; it must stop the process instead. */
  #giveUp(controller: Dispatcher.DispatchController, error: unknown): void {
    controller.abort(error instanceof Error ? error : new Error(String(error)));
    if (!(error instanceof FrameError)) rethrowOutside(error);
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.abandon();
    this.#options.onEnd(error);
  }
}

function rethrowOutside(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** A name may stand for several addresses: the peer is only gone when each of them refuses. */
function isRefused(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isRefused);
  return codeOf(error) === 'ECONNREFUSED';
}

function problemOf(error: unknown): string {
  if (isRefused(error)) return 'connection refused';
  const text = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  return text === '' ? (code ?? 'unknown error') : text;
}
