/**
 * Peers over HTTP: fastify on the side that is asked, undici on the side that asks.
 *
 * A node that wants to hear from a peer opens a long `GET` to it, and the peer writes frames into the answer for as
 * long as the connection lives. (The other way round, an endless request body, would run into request timeouts and
 * body limits.) There are two such streams each way, so that a large append can't delay a heartbeat:
 *
 * ```
 *            GET /raft/v1/main/stream/control                  over which B tells A:
 *     A ──────────────────────────────────────▶ B     votes, heartbeats, read rounds, replies
 *            GET /raft/v1/main/stream/bulk
 *     A ──────────────────────────────────────▶ B     appends, offers of snapshots
 *            GET /raft/v1/main/snapshot/42-0a1b2c3d?offset=0
 *     A ──────────────────────────────────────▶ B     a snapshot file in chunks
 *            POST /raft/v1/main/forward                        questions outside of Raft (`ask`)
 *     A ──────────────────────────────────────▶ B
 *
 *     and the same from B to A
 * ```
 *
 * - **Sending never waits.** A frame goes into the queue of its stream, or is dropped and the peer reported
 *   unreachable, when the queue is full or there is no stream. Raft sends again what matters.
 * - **One write per stream and turn.** What is sent within one callback of the event loop leaves together.
 * - **A quiet stream still beats**: a link heartbeat in every interval without frames, so that the receiver can take
 *   silence for death and dial again.
 * - **Down is more than unreachable.** When all streams with a peer are closed and its machine refuses a new
 *   connection, its process is gone: reported once, within tens of milliseconds, so that followers of a crashed
 *   leader needn't wait for their election timeout. A time-out or an unknown name means nothing of the kind.
 *
 * **Who is heard.** A node of another cluster, one that was removed, and one whose data directory is not the one that the
 * configuration names are turned away, whichever side dialled. A node that the configuration does not name, but that
 * shows the secret and the cluster's id, is a *guest*: it joined after the newest configuration that this node has. A node
 * that joins, or was away while all others were replaced, knows nobody else who could tell it more. Who may be a guest is
 * decided by the secret alone: the id is no secret, and without one the port is only for machines that are all trusted.
 * A guest that no stream goes to any more is forgotten after a minute.
 *
 * The modules: `codec` (frames), `identity` (headers and refusals), `outgoing` and `incoming` (the two ends of a
 * stream), `snapshot` (files in chunks), `ask` (questions), `peer` (all streams with one node) and this
 * one (all peers, the routes).
 */
import { Readable } from 'node:stream';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Logger } from 'pino';
import { NOBODY, type Standing, standingOf } from '../raft/configuration.ts';
import type { Configuration, GroupId, Member, Message, NodeId, SnapshotMeta } from '../raft/types.ts';
import { AskError } from './ask.ts';
import { type Caller, type ClientAddress, type Guard, Identity, REFUSALS, type Refusal } from './identity.ts';
import { LANES, type Lane, Peer } from './peer.ts';
import {
  type SnapshotSink,
  type SnapshotSource,
  SnapshotError,
  encodeSnapshot,
  fetchSnapshot,
  parseSnapshotName,
  snapshotName,
} from './snapshot.ts';

/** A stream that is silent for so many link heartbeats is taken for dead. */
const SILENT_BEATS_MAX = 4;
/** The same refusal is logged at most once in so many milliseconds: a refused node asks again every second. */
const REFUSAL_LOG_MS = 60_000;
/** As many as a configuration can have members; one more is turned away. */
const GUESTS_MAX = 18;
/** A guest that no stream goes to for so many link heartbeats is forgotten: a minute. */
const GUEST_BEATS_MAX = 120;
/**
 * How long a node that is no longer a member is still listened to, on the streams that there are. A leader that has been
 * removed makes that known and hands over in the same breath: cut off at the first word, the second would be lost, and
 * the others would have to wait for an election timeout.
 */
const FAREWELL_MS = 500;

export interface TransportOptions {
  readonly self: { readonly id: NodeId; readonly group: GroupId; readonly incarnation: string };
  /** `null` while this node is not yet part of a cluster: peers are told so until it is. */
  readonly clusterId: () => string | null;
  readonly guard: Guard;
  /** Where peers reach this node. Asked for with every request, as the next: ports may be bound late. */
  readonly url: () => string;
  /** Where clients reach this node, told to the peers. */
  readonly clientAddress: () => ClientAddress;
  /** Interval of the link heartbeats in milliseconds; four without a sign make a dead stream. About 500. */
  readonly heartbeatMs: number;
  readonly logger: Logger;
  readonly snapshots: SnapshotSource;
  /** A message came in. Never called from inside a method of the transport. What it throws ends the process. */
  readonly onMessage: (from: NodeId, message: Message) => void;
  /** The peer's process is gone. Once per outage. */
  readonly onPeerDown: (peer: NodeId) => void;
  /** Messages to the peer were dropped, or lost with a stream. At most once per turn, never from inside `send`. */
  readonly onUnreachable: (peer: NodeId) => void;
  /** Where the peer's clients reach it; when first heard and at every change. */
  readonly onPeerAddress: (peer: NodeId, address: ClientAddress) => void;
  /** The peer says that this node was removed from the cluster, or (`false`) takes it for a member. */
  readonly onRemoved: (peer: NodeId, removed: boolean) => void;
}

/** A fastify server, whatever logger it was given. */
type Server<Log extends FastifyBaseLogger> = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  Log
>;
type Request = Pick<FastifyRequest, 'headers' | 'params' | 'query'>;
type Reply = Pick<FastifyReply, 'raw' | 'hijack' | 'code' | 'headers' | 'send'>;

interface Guest {
  readonly member: Member;
  /** Link heartbeats in a row that found no stream to it. */
  missed: number;
}

/** The connections of one node, in one group, with all its peers. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #identity: Identity;
  readonly #silenceMsMax: number;
  readonly #peers = new Map<NodeId, Peer>();
  /** Who is and who was a member, as this node knows it. */
  #known: Configuration = NOBODY;
  /** This node has not come to its own addition in the log: what it knows of the members may be long out of date. */
  #newcomer = false;
  /** Members of this cluster that this node has not heard of yet. */
  readonly #guests = new Map<NodeId, Guest>();
  /** Members no longer, whose last words are waited for. */
  readonly #leaving = new Set<Peer>();
  readonly #refusalLogged = new Map<Refusal, number>();
  readonly #beat: NodeJS.Timeout;
  #turnPlanned = false;
  readonly #unreachable = new Set<NodeId>();
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#identity = new Identity(options);
    this.#silenceMsMax = SILENT_BEATS_MAX * options.heartbeatMs;
    this.#beat = setInterval(() => {
      const now = performance.now();
      for (const peer of this.#peers.values()) peer.beat(now);
      this.#forgetGuests();
    }, options.heartbeatMs);
    this.#beat.unref();
  }

  /**
   * Adds the routes of this group to a fastify server; several groups can share one. Call {@link setPeers} before
   * the server listens, or members are turned away as unknown. Streams end when the server begins to close, which
   * would otherwise wait for them.
   */
  routes<Log extends FastifyBaseLogger>(app: Server<Log>): void {
    const path = `/raft/v1/${this.#options.self.group}`;
    const options = { exposeHeadRoute: false, logLevel: 'warn' } as const;
    app.get(`${path}/stream/:lane`, options, (request, reply) => {
      this.#serveStream(request, reply);
      return reply;
    });
    app.get(`${path}/snapshot/:name`, options, async (request, reply) => {
      await this.#serveSnapshot(request, reply);
      return reply;
    });
    app.addHook('preClose', () => this.close());
  }

  /**
   * Adds a route for questions that members {@link ask}: `answer` makes the body of the answer from that of the question.
   * When it rejects, the asker can't know how far it came.
   */
  serve<Log extends FastifyBaseLogger>(
    app: Server<Log>,
    name: string,
    bodyBytesMax: number,
    answer: (body: Buffer) => Promise<Uint8Array>,
  ): void {
    const path = `/raft/v1/${this.#options.self.group}/${name}`;
    void app.register((scope, _options, done) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser(
        'application/octet-stream',
        { parseAs: 'buffer', bodyLimit: bodyBytesMax },
        (_request, body, parsed) => parsed(null, body),
      );
      // Strangers are turned away before their body is read.
      const onRequest = (request: Request, reply: Reply, next: () => void): void => {
        if (this.#admit(request, reply) !== null) next();
      };
      scope.post(path, { logLevel: 'warn', bodyLimit: bodyBytesMax, onRequest }, async (request, reply) => {
        const bytes = await answer(request.body as Buffer);
        reply
          .headers({ ...this.#identity.responseHeaders(), 'content-type': 'application/octet-stream' })
          .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
        return reply;
      });
      done();
    });
  }

  /** Asks a member over the route of that name. Rejects with an {@link AskError}. */
  async ask(to: NodeId, name: string, body: Uint8Array, signal: AbortSignal): Promise<Buffer> {
    const peer = this.#peers.get(to);
    if (peer === undefined) throw new AskError(`${to} is not a member`, false);
    return peer.ask(`/raft/v1/${this.#options.self.group}/${name}`, body, signal);
  }

  /**
   * Says who the members are, this node among them or not, and which ids were: opens streams to new members, closes those
   * of the others shortly after. `newcomer`: this node reads old entries, from before it was added; what a member of this
   * cluster says of itself counts then, for it may have moved since, or been made a new cluster.
   */
  setPeers(members: readonly Member[], removed: readonly NodeId[], newcomer: boolean = false): void {
    if (this.#closed) return;
    this.#known = { voters: members, outgoing: [], learners: [], removed };
    this.#newcomer = newcomer;
    for (const { member } of this.#guests.values()) {
      if (this.#standing(member) !== 'stranger') this.#guests.delete(member.id);
    }
    this.#connect();
  }

  /** One peer for every member and guest, and for nobody else. */
  #connect(): void {
    const wanted = new Map(
      [...this.#known.voters, ...Array.from(this.#guests.values(), ({ member }) => member)].map((member) => [
        member.id,
        member,
      ]),
    );
    wanted.delete(this.#options.self.id);
    for (const [id, peer] of this.#peers) {
      const member = wanted.get(id);
      if (member?.url === peer.url && member.incarnation === peer.member.incarnation) continue;
      this.#peers.delete(id);
      if (member === undefined) this.#takeLeave(peer);
      else void peer.close();
    }
    for (const [id, member] of wanted) {
      if (!this.#peers.has(id)) this.#peers.set(id, this.#newPeer(member));
    }
  }

  #takeLeave(peer: Peer): void {
    this.#leaving.add(peer);
    setTimeout(() => {
      this.#leaving.delete(peer);
      void peer.close();
    }, FAREWELL_MS).unref();
  }

  /** Queues a message for a peer; it may get lost. See {@link TransportOptions.onUnreachable}. */
  send(to: NodeId, message: Message): void {
    if (this.#closed) return;
    const peer = this.#peers.get(to);
    if (peer === undefined || !peer.send(message)) this.#reportUnreachable(to);
    else if (!this.#turnPlanned) {
      // Not setImmediate: 1.4 µs instead of 77 ns, and the frames would wait for all other sockets of this turn.
      this.#turnPlanned = true;
      process.nextTick(this.#endTurn);
    }
  }

  /** Hands what was sent in this turn to the sockets now; otherwise that happens when the running callback ends. */
  flush(): void {
    for (const peer of this.#peers.values()) peer.flush();
  }

  /** Whether what is sent to the peer now is on its way: it has both its streams open on this node. */
  connected(peer: NodeId): boolean {
    return this.#peers.get(peer)?.connected === true;
  }

  /**
   * Fetches a snapshot file from a peer into `sink`, from `sink.offset` on, over as many connections as it takes.
   * Rejects with a {@link SnapshotError} where the peer hasn't got it or turns us away, with the sink's or the
   * signal's error, or after eight attempts in a row that brought nothing. The checksum of the whole file is the
   * sink's to check.
   */
  async fetchSnapshot(
    from: NodeId,
    snapshot: SnapshotMeta,
    sink: SnapshotSink,
    signal: AbortSignal,
  ): Promise<void> {
    const peer = this.#peers.get(from);
    if (peer === undefined) throw new SnapshotError(`no snapshot from ${from}: it is not a member`);
    await fetchSnapshot({
      url: peer.url,
      path: `/raft/v1/${this.#options.self.group}/snapshot/${snapshotName(snapshot)}`,
      headers: () => peer.requestHeaders(),
      silenceMsMax: this.#silenceMsMax,
      check: (status, headers) => peer.checkAnswer(status, headers),
      snapshot,
      sink,
      signal,
    });
  }

  /** Ends all streams and transfers that others have from us and those we have from them. No callback comes after. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#beat);
    const peers = [...this.#peers.values(), ...this.#leaving];
    this.#peers.clear();
    this.#leaving.clear();
    await Promise.all(peers.map((peer) => peer.close()));
  }

  #newPeer(member: Member): Peer {
    const { self, logger, onMessage, onPeerDown, onPeerAddress, onRemoved } = this.#options;
    return new Peer(member, {
      self,
      identity: this.#identity,
      silenceMsMax: this.#silenceMsMax,
      logger,
      onMessage,
      onDown: onPeerDown,
      onLost: (peer) => this.#reportUnreachable(peer),
      onAddress: onPeerAddress,
      onRemoved,
    });
  }

  readonly #endTurn = (): void => {
    this.#turnPlanned = false;
    this.flush();
  };

  /** In the next round of the event loop: a receiver that answers with another send must not starve the loop. */
  #reportUnreachable(peer: NodeId): void {
    if (this.#unreachable.size === 0) setImmediate(this.#endOutage);
    this.#unreachable.add(peer);
  }

  readonly #endOutage = (): void => {
    const peers = [...this.#unreachable];
    this.#unreachable.clear();
    if (this.#closed) return;
    for (const peer of peers) this.#options.onUnreachable(peer);
  };

  /* ------------------------------------------------------------------------------------------- serving peers */

  #serveStream(request: Request, reply: Reply): void {
    const lane = laneNamed(parameter(request.params, 'lane'));
    const peer = this.#admit(request, reply);
    if (peer === null) return;
    if (lane === null) {
      reply.code(404).send({ error: `no such lane; there are ${LANES.join(' and ')}` });
      return;
    }
    reply.hijack();
    peer.accept(lane, reply.raw);
  }

  async #serveSnapshot(request: Request, reply: Reply): Promise<void> {
    const peer = this.#admit(request, reply);
    if (peer === null) return;
    const snapshot = parseSnapshotName(parameter(request.params, 'name'));
    const offset = Number(parameter(request.query, 'offset'));
    if (snapshot === null || !Number.isSafeInteger(offset) || offset < 0) {
      reply.code(400).send({ error: 'expected snapshot/<index>-<checksum as 8 hex digits>?offset=<bytes>' });
      return;
    }
    const pieces = await this.#options.snapshots.open(snapshot.index, snapshot.checksum, offset);
    if (pieces === null) {
      this.#refuse(reply, 'snapshot', request);
      return;
    }
    const body = Readable.from(encodeSnapshot(pieces, offset), { objectMode: false });
    peer.startTransfer(reply.raw);
    reply
      .headers({ ...this.#identity.responseHeaders(), 'content-type': 'application/octet-stream' })
      .send(body);
  }

  /** The peer that asks, or `null` after an answer that turns it away. */
  #admit(request: Request, reply: Reply): Peer | null {
    const caller = this.#identity.checkRequest(request.headers);
    const peer = typeof caller === 'string' ? caller : this.#peerOf(caller);
    if (typeof peer !== 'string') return peer;
    this.#refuse(reply, peer, request);
    return null;
  }

  #peerOf(caller: Caller): Peer | Refusal {
    if (this.#closed) return 'closing';
    const standing = this.#standing(caller);
    if (standing === 'impostor' || standing === 'removed') return standing;
    if (standing === 'stranger' && !this.#welcome(caller)) return 'unknown';
    const peer = this.#peers.get(caller.id);
    peer?.noteAddress(caller.clientAddress);
    return peer ?? 'unknown';
  }

  /** As the configuration says, where that can be relied on. */
  #standing({ id, url, incarnation }: Pick<Member, 'id' | 'url' | 'incarnation'>): Standing {
    const standing = standingOf(this.#known, id, incarnation);
    if (!this.#newcomer || standing === 'removed') return standing;
    const asKnown = this.#known.voters.some((member) => member.id === id && member.url === url);
    return standing === 'member' && asKnown ? 'member' : 'stranger';
  }

  /** Takes in a member that this node has not heard of yet. `false`: it is none, or there are too many. */
  #welcome({ id, url, incarnation }: Caller): boolean {
    const guest = this.#guests.get(id)?.member;
    if (id === this.#options.self.id || (guest !== undefined && guest.incarnation !== incarnation))
      return false;
    if (guest?.url === url) return true;
    if (!URL.canParse(url) || (guest === undefined && this.#guests.size >= GUESTS_MAX)) return false;
    this.#guests.set(id, { member: { id, url, incarnation }, missed: 0 });
    this.#options.logger.info({ peer: id, url }, `${id} is a member that this node has not heard of yet`);
    this.#connect();
    return true;
  }

  #forgetGuests(): void {
    const held = this.#guests.size;
    for (const [id, guest] of this.#guests) {
      guest.missed = this.connected(id) ? 0 : guest.missed + 1;
      if (guest.missed > GUEST_BEATS_MAX) this.#guests.delete(id);
    }
    if (this.#guests.size < held) this.#connect();
  }

  #refuse(reply: Reply, refusal: Refusal, request: Request): void {
    const { status, text } = REFUSALS[refusal];
    reply.code(status).headers(this.#identity.refusalHeaders(refusal)).send({ error: text });
    const now = performance.now();
    if (now - (this.#refusalLogged.get(refusal) ?? -Infinity) < REFUSAL_LOG_MS) return;
    this.#refusalLogged.set(refusal, now);
    const from = String(request.headers['x-kvorum-node'] ?? 'an unnamed node').slice(0, 64);
    this.#options.logger.warn({ status }, `turned ${from} away: ${text}`);
  }
}

function laneNamed(name: string): Lane | null {
  return LANES.find((lane) => lane === name) ?? null;
}

/** A parameter of the path or the query; '' when it is missing or given twice. */
function parameter(values: unknown, name: string): string {
  const value: unknown = (values as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : '';
}
