/** All that one node has to do with one other: two streams each way, and what is known about the connection. */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { GroupId, Member, Message, NodeId } from '../raft/types.ts';
import { AskConnection } from './ask.ts';
import { FrameError, encodeFrame, encodeLinkHeartbeat } from './codec.ts';
import { type ClientAddress, type Identity, type Problem, isLasting } from './identity.ts';
import { IncomingStream, type LinkFailure, type LinkProblem } from './incoming.ts';
import { names } from './names.ts';
import { OutgoingStream } from './outgoing.ts';

/** Appends and snapshots go by the bulk lane, all else by control, so that a large append can't delay a heartbeat. */
export const LANES = ['control', 'bulk'] as const;
export type Lane = (typeof LANES)[number];

/** Limit in bytes of what waits for the socket of each lane. One append window of raft fits four times. */
export const QUEUE_BYTES_MAX: Readonly<Record<Lane, number>> = {
  control: 1024 * 1024,
  bulk: 16 * 1024 * 1024,
};

/**
 * Every append, even an empty one, takes the bulk lane: on the control lane it would overtake the entries that it
 * stands behind, and be rejected.
 */
function laneOf(message: Message): Lane {
  return message.type === 'append' || message.type === 'installSnapshot' ? 'bulk' : 'control';
}

export interface PeerOptions {
  readonly self: { readonly id: NodeId; readonly group: GroupId };
  readonly identity: Identity;
  readonly silenceMsMax: number;
  readonly logger: Logger;
  readonly onMessage: (from: NodeId, message: Message) => void;
  readonly onDown: (peer: NodeId) => void;
  /** Messages for the peer may have been lost with a stream that broke. */
  readonly onLost: (peer: NodeId) => void;
  readonly onAddress: (peer: NodeId, address: ClientAddress) => void;
  /** The peer says that this node was removed, or (`false`) takes it for a member. */
  readonly onRemoved: (peer: NodeId, removed: boolean) => void;
}

export class Peer {
  readonly member: Member;
  readonly #options: PeerOptions;
  readonly #incoming: Record<Lane, IncomingStream>;
  readonly #outgoing: Record<Lane, OutgoingStream | null> = { control: null, bulk: null };
  readonly #questions: AskConnection;
  #transfer: ServerResponse | null = null;
  #address: ClientAddress | null = null;
  /** A stream from the peer was open since it was last reported down. */
  #wasUp = false;
  /** The last thing logged about the connection; `null`: that it stands. */
  #problem: string | null = 'not connected yet';
  #closed = false;

  constructor(member: Member, options: PeerOptions) {
    this.member = member;
    this.#options = options;
    this.#incoming = { control: this.#newIncoming('control'), bulk: this.#newIncoming('bulk') };
    this.#questions = new AskConnection({
      url: member.url,
      headers: () => this.requestHeaders(),
      check: (status, headers) => this.checkAnswer(status, headers),
    });
    for (const lane of LANES) this.#incoming[lane].start();
  }

  get id(): NodeId {
    return this.member.id;
  }

  get url(): string {
    return this.member.url;
  }

  /** Whether both streams to the peer stand, so that what is sent now is on its way. */
  get connected(): boolean {
    return LANES.every((lane) => this.#outgoing[lane] !== null);
  }

  /** Queues the message; `false`: dropped. */
  send(message: Message): boolean {
    const stream = this.#outgoing[laneOf(message)];
    return stream !== null && stream.write(encodeFrame(this.#options.self.id, this.id, message));
  }

  /** See {@link AskConnection.ask}. */
  ask(path: string, body: Uint8Array, signal: AbortSignal): Promise<Buffer> {
    return this.#questions.ask(path, body, signal);
  }

  /** Hands what was sent in this turn to the sockets. */
  flush(): void {
    for (const lane of LANES) this.#outgoing[lane]?.flush();
  }

  /** Keeps quiet streams alive; `now` in milliseconds of a steady clock. */
  beat(now: number): void {
    for (const lane of LANES) this.#outgoing[lane]?.beat(now);
  }

  /** The peer has opened a stream. It replaces an older one, which a restarted peer has left behind. */
  accept(lane: Lane, response: ServerResponse): void {
    this.#outgoing[lane]?.close();
    if (!this.#incoming[lane].open) names.forget(URL.parse(this.url)?.hostname ?? '');
    const { self, identity } = this.#options;
    const stream = new OutgoingStream({
      response,
      headers: identity.responseHeaders(),
      queueBytesMax: QUEUE_BYTES_MAX[lane],
      linkHeartbeat: encodeLinkHeartbeat(self.id, this.id),
      onClose: () => {
        if (this.#outgoing[lane] !== stream) return;
        this.#outgoing[lane] = null;
        this.#options.onLost(this.id);
      },
    });
    this.#outgoing[lane] = stream;
    this.#incoming[lane].hurry();
    this.#logState();
  }

  /** The peer fetches a snapshot. One at a time: an older transfer to the same peer ends. */
  startTransfer(response: ServerResponse): void {
    // Not the stream of the file's chunks: while a read of the disk hangs, that can't be closed.
    this.#transfer?.destroy();
    this.#transfer = response;
    if (this.#closed) response.destroy();
    response.once('close', () => {
      if (this.#transfer === response) this.#transfer = null;
    });
  }

  /** Headers for a request to the peer. */
  requestHeaders(): Record<string, string> {
    return this.#options.identity.requestHeaders(this.id);
  }

  /** What is wrong with an answer from the peer's address, or `null`. */
  checkAnswer(status: number, headers: IncomingHttpHeaders): LinkProblem | null {
    const caller = this.#options.identity.checkResponse(status, headers, this.member);
    if ('text' in caller) return this.#onProblem(caller);
    this.noteAddress(caller.clientAddress);
    this.#options.onRemoved(this.id, false);
    return null;
  }

  #onProblem({ text, refusal }: Problem): LinkProblem {
    if (refusal === 'removed') this.#options.onRemoved(this.id, true);
    return { text, lasting: refusal !== null && isLasting(refusal) };
  }

  /** The peer has said where its clients reach it. */
  noteAddress(address: ClientAddress | null): void {
    if (address === null) return;
    if (this.#address?.host === address.host && this.#address.port === address.port) return;
    this.#address = address;
    this.#options.onAddress(this.id, address);
  }

  /** Ends everything at once; no callback comes after this. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#transfer?.destroy();
    for (const lane of LANES) {
      this.#outgoing[lane]?.close();
      this.#outgoing[lane] = null;
    }
    await Promise.all([this.#questions.close(), ...LANES.map((lane) => this.#incoming[lane].close())]);
  }

  #newIncoming(lane: Lane): IncomingStream {
    const { self, silenceMsMax, onMessage } = this.#options;
    return new IncomingStream({
      url: this.url,
      path: `/raft/v1/${self.group}/stream/${lane}`,
      headers: () => this.requestHeaders(),
      silenceMsMax,
      check: (status, headers) => this.checkAnswer(status, headers),
      onOpen: () => {
        this.#wasUp = true;
        this.#logState();
      },
      onFrame: (from, to, message) => {
        if (this.#closed) return;
        if (from !== this.id || to !== self.id) {
          throw new FrameError(`a frame from ${from} to ${to} came on the stream from ${this.id}`);
        }
        onMessage(from, message);
      },
      onFailure: (failure) => this.#onFailure(lane, failure),
    });
  }

  #onFailure(lane: Lane, { problem, refused }: LinkFailure): void {
    this.#options.logger.debug({ peer: this.id, lane, problem }, `${lane} stream from ${this.id} failed`);
    if (this.#problem !== problem) {
      this.#problem = problem;
      this.#options.logger.warn({ peer: this.id, url: this.url }, `no stream from ${this.id}: ${problem}`);
    }
    const streams = LANES.some((lane) => this.#incoming[lane].open || this.#outgoing[lane] !== null);
    if (!refused || streams || !this.#wasUp) return;
    this.#wasUp = false;
    this.#options.onDown(this.id);
  }

  /** Says once that the connection stands, when it does. */
  #logState(): void {
    if (this.#problem === null || !LANES.every((lane) => this.#incoming[lane].open)) return;
    if (!this.connected) return;
    this.#problem = null;
    this.#options.logger.info({ peer: this.id, url: this.url }, `connected with ${this.id}`);
  }
}
