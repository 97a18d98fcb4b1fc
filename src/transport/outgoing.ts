/** The sending end of a stream: the response to a peer's long `GET`, into which frames are written. */
import type { ServerResponse } from 'node:http';

/** A stream whose queued bytes don't move for so many milliseconds is given up, to have its memory back. */
const STALL_MS_MAX = 30_000;

/**
 * Frames of one turn leave as one write to the socket: the first corks the stream, {@link flush} uncorks it.
 * Frames that the socket hasn't taken are queued up to a limit in bytes; what doesn't fit is dropped.
 */
export class OutgoingStream {
  readonly #response: ServerResponse;
  readonly #queueBytesMax: number;
  readonly #linkHeartbeat: Buffer;
  #corked = false;
  #quiet = false;
  #stalledSince = 0;
  #stalledAt = 0;

  /** Takes over a response whose head is not yet sent. `onClose` is called once, unless {@link close} came first. */
  constructor(options: {
    readonly response: ServerResponse;
    readonly headers: Record<string, string>;
    /** Limit of the queue in bytes. An empty queue takes one frame of any size. */
    readonly queueBytesMax: number;
    readonly linkHeartbeat: Buffer;
    readonly onClose: () => void;
  }) {
    const { response, headers, linkHeartbeat } = options;
    this.#response = response;
    this.#queueBytesMax = options.queueBytesMax;
    this.#linkHeartbeat = linkHeartbeat;
    response.on('close', options.onClose);
    // A reset connection: 'close' follows and says all there is to do.
    response.on('error', () => {});
    response.socket?.setNoDelay(true);
    response.socket?.setTimeout(0);
    // Neither a length nor chunks: the body ends with the connection, and a frame costs no second framing.
    response.removeHeader('transfer-encoding');
    response.writeHead(200, { ...headers, 'content-type': 'application/octet-stream' });
    response.write(linkHeartbeat);
  }

  /** Queues a frame; `false`: the queue is full or the stream closed, and the frame is dropped. */
  write(frame: Buffer): boolean {
    const response = this.#response;
    const queued = response.writableLength;
    if (response.destroyed || (queued > 0 && queued + frame.length > this.#queueBytesMax)) return false;
    if (!this.#corked) {
      this.#corked = true;
      response.cork();
    }
    response.write(frame);
    this.#quiet = false;
    return true;
  }

  /** Hands the frames of this turn to the socket. */
  flush(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#response.uncork();
  }

  /** To be called once per link heartbeat interval; `now` in milliseconds of a steady clock. */
  beat(now: number): void {
    const queued = this.#response.writableLength;
    if (queued > 0) {
      // No heartbeat: it couldn't overtake what is queued.
      this.#checkStall(now, (this.#response.socket?.bytesWritten ?? 0) - queued);
      return;
    }
    this.#stalledSince = 0;
    if (this.#quiet) this.#response.write(this.#linkHeartbeat);
    this.#quiet = true;
  }

  /** Ends the stream at once, without a call of `onClose`. */
  close(): void {
    this.#response.removeAllListeners('close');
    this.#response.destroy();
  }

  #checkStall(now: number, taken: number): void {
    if (this.#stalledSince === 0 || taken !== this.#stalledAt) {
      this.#stalledSince = now;
      this.#stalledAt = taken;
    } else if (now - this.#stalledSince > STALL_MS_MAX) {
      this.#response.destroy();
    }
  }
}
