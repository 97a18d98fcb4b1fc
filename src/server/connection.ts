/**
 * One client connection: bytes in, requests on their way, bytes out, in the order of the requests.
 *
 * ```
 *  chunk ─▶ parser ─▶ dispatch ─┬─▶ gathered ──one lane per chunk──▶ engine ─▶ writer ─┐
 *                               └─▶ answered at once, when nothing is open ──▶ writer ─┴─ one write per turn ─▶
 * ```
 *
 * Order is kept by three rules. A reply that is known at once while others are still open rides with them through the
 * engine. A command that acts on this node waits until nothing is open. And a connection has requests open in one
 * lane at a time: reads of a chunk that also writes ride in the log with the writes, and a chunk that begins to write
 * waits for the reads before it. On a node that does not lead but forwards, requests have a third lane, to the leader.
 *
 * A command that may wait for a key leaves when everything before it is answered, and nothing behind it is parsed until
 * it is answered itself.
 *
 * Whatever it waits for, it stops parsing, then stops reading the socket: TCP makes the client wait. So what one
 * client can make the node hold is bounded by the constants below.
 */
import type { Socket } from 'node:net';
import type { NodeId } from '../raft/types.ts';
import { type Call, type CommandSpec, type DataCommand, keysOf, type Watch } from '../store/command.ts';
import { mayWait } from '../store/commands/one-key.ts';
import type { Wait } from '../store/context.ts';
import type { Once } from '../store/once.ts';
import { noReply, type ReplyWriter } from '../store/reply.ts';
import { type Ending, GONE, LEADER_LOST, TIMED_OUT, type Waiter } from './blocked.ts';
import type { Denial } from '../store/acl/rights.ts';
import type { Refusal } from './acl-log.ts';
import { describeSession } from './commands/client.ts';
import { queuedUnwatch, refusedCall, refusedCommand } from './commands/transaction.ts';
import type { Client, Lane, Request, Waits } from './engine.ts';
import { busy, clusterDown, ERRORS, errorText, outcomeUnknown, redirection } from './errors.ts';
import { LEADER_WAIT_MS } from './forwarder.ts';
import { keysRead } from './requests.ts';
import { RequestParser } from './resp/parser.ts';
import { OUTPUT_BYTES_MAX, RespWriter } from './resp/writer.ts';
import type {
  Command,
  LocalCommand,
  PortContext,
  PureCommand,
  Session,
  TransactionCommand,
} from './session.ts';
import { keySlot } from './slot.ts';
import type { Push, Space } from './subscriptions.ts';
import { resolve, takesNumber, writeNamed } from './table.ts';
import type { Tracker } from './tracking.ts';
import { Transaction } from './transaction.ts';
import { denialText, lateDenialText, onBehalfOf, type User } from './users.ts';

/** Requests of one connection that may be open before it stops parsing. */
const OPEN_REQUESTS_MAX = 8_192;
/** Bytes that may arrive while requests are open before it lets them all finish. */
const OPEN_BYTES_MAX: number = 8 * 1024 * 1024;
/** Bytes that may arrive while it can't parse before it stops reading. */
const UNPARSED_BYTES_MAX: number = 64 * 1024;
/** Bytes of replies the client has not fetched: beyond it, nothing more is parsed until it has fetched all. */
const UNSENT_BYTES_SOFT: number = 1024 * 1024;
/** Bytes of messages that a subscriber has not fetched; with more it is closed, as nothing can make publishers wait. */
const UNSENT_MESSAGES_MAX: number = 32 * 1024 * 1024;
/** How long a closing connection goes on discarding input, so that the client still gets the last reply. */
const LINGER_MS = 1_000;
/** How often a leader is looked for by a client that has to be told what was acknowledged last. */
const LEADER_CHECK_MS = 50;

const OK = (reply: ReplyWriter): void => reply.ok();
const QUEUED = (reply: ReplyWriter): void => reply.simple('QUEUED');
const countAlone: ReplicaWait['answer'] = (have, reply) => reply.integer(have);
const NO_CALLS = (reply: ReplyWriter): void => reply.array(0);

/** What a connection needs of the client port that owns it. */
export interface ConnectionOwner extends PortContext {
  readonly nodeId: NodeId;
  /** Calls `turn` of the connection at the end of this event-loop turn. */
  touch(connection: Connection): void;
  /** Calls `poll` of the connection every few milliseconds until it returns false. */
  poll(connection: Connection): void;
  /** Which requests are held. */
  readonly paused: 'all' | 'writes' | null;
  /** A client did what no client should; worth a line in the log. */
  warn(connection: Connection, what: string): void;
}

/** A WAIT under way. */
interface ReplicaWait {
  readonly count: number;
  readonly index: number;
  /** Writes how many have the writes. */
  readonly answer: (have: number, reply: ReplyWriter) => void;
  /** Milliseconds of the port's clock. */
  readonly deadline: number;
}

export class Connection implements Client, Session {
  readonly id: number;
  readonly port: ConnectionOwner;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly connectedAt: number;
  activeAt: number;
  name = '';
  libraryName = '';
  libraryVersion = '';
  lastCommand = 'NULL';
  noEvict = false;
  noTouch = false;
  tracker: Tracker | null = null;
  readsHere: boolean;
  readonly subscribed: Readonly<Record<Space, Set<string>>> = {
    channels: new Set(),
    patterns: new Set(),
    shards: new Set(),
  };
  /** In the port's list for the end of this turn. */
  touched = false;

  readonly #socket: Socket;
  readonly #writer: RespWriter;
  readonly #parser: RequestParser;
  readonly #transaction: Transaction;
  #authenticated = false;
  /** Whose rights it has. */
  #user: User;

  /** Parsed and not yet handed to the engine. */
  #gathered: Request[] = [];
  #gatheredWrites = false;
  /** Something has gathered that goes to the leader whoever that is. */
  #gatheredAnywhere = false;
  /** Messages to be sent when the replies of this turn are written. */
  #pushes: Push[] = [];
  /** A request that waits for its turn: everything before it must be answered first. */
  #held: (() => void) | null = null;
  /** Handed to the engine and not yet answered, and where they are. */
  #open = 0;
  #lane: Lane | 'forward' = 'read';
  #openBytes = 0;
  /** Nothing is parsed until no request is open… */
  #waiting = false;
  /** …until the client has fetched its replies… */
  #draining = false;
  /** …until enough replicas have this connection's writes. */
  #replicaWait: ReplicaWait | null = null;
  /** …until the pause of the port is over: the request that has to wait for it. */
  #postponed: readonly string[] | null = null;
  /** Which replies are not sent; `this`: that to the request under way, which is the only one. */
  #muted: 'none' | 'all' | 'next' | 'this' = 'none';
  /** The one request that is open waits for a key. */
  #waiter: Waiter | null = null;
  /** Nothing is parsed ever again. */
  #leaving = false;
  /** The client sends nothing more. */
  #inputEnded = false;
  #finished = false;
  #closed = false;
  /** The newest log index when the last write of this connection was answered. */
  #lastWriteIndex = 0;
  /** The session that its writes belong to, and the sequence of the next one. */
  #session: { readonly id: number; next: number } | null = null;

  constructor(port: ConnectionOwner, socket: Socket, id: number) {
    this.port = port;
    this.#socket = socket;
    this.#writer = new RespWriter(OUTPUT_BYTES_MAX, port.engine.activity.errored);
    this.id = id;
    this.remoteAddress = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    this.localAddress = `${socket.localAddress ?? '?'}:${socket.localPort ?? 0}`;
    this.connectedAt = port.monotonic();
    this.activeAt = this.connectedAt;
    this.#parser = new RequestParser(port.settings.maxRequestBytes);
    this.#transaction = new Transaction(port.settings.maxRequestBytes);
    this.readsHere = port.settings.followerReads;
    this.#user = port.users.default;
    this.#setAuthenticated(port.users.open);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.#onEnd());
    socket.on('drain', () => this.#onDrain());
    socket.on('close', () => {
      this.#closed = true;
      this.#waiter?.end(GONE);
    });
    // A broken connection is closed by the socket itself; there is nobody to tell.
    socket.on('error', () => {});
  }

  /* ---- what the engine sees ------------------------------------------------------------------------------------ */

  get reply(): ReplyWriter {
    return this.#muted === 'all' || this.#muted === 'this' ? noReply : this.#writer;
  }

  settled(count: number): void {
    this.#open -= count;
    if (this.#open === 0) {
      this.#openBytes = 0;
      this.#waiter = null;
      if (this.#lane === 'log') this.#lastWriteIndex = this.port.engine.lastProposedIndex;
      if (this.tracker !== null) this.tracker.answered();
    }
    this.port.touch(this);
  }

  watched(watches: readonly Watch[]): void {
    this.#transaction.watch(watches);
  }

  /** In RESP the reply to a repeated request looks like the first. */
  repeated(): void {}

  refused(request: Request): void {
    const key = keysRead(request)[0];
    // A client that this node forwards for could do nothing with a redirect.
    const forwards = this.port.proxy || this.#lane === 'forward';
    this.reply.error(forwards ? clusterDown() : this.#redirection(key === undefined ? 0 : keySlot(key)));
  }

  unknown(): void {
    if (this.port.settings.unknownOutcome === 'error') this.reply.error(outcomeUnknown());
    else this.#breakOff();
  }

  /* ---- what commands see --------------------------------------------------------------------------------------- */

  get protocol(): 2 | 3 {
    return this.#writer.protocol;
  }

  set protocol(version: 2 | 3) {
    this.#writer.protocol = version;
  }

  get authenticated(): boolean {
    return this.#authenticated;
  }

  get queuedCommands(): number {
    return this.#transaction.length;
  }

  get inputBytes(): number {
    return this.#parser.buffered;
  }

  get outputBytes(): number {
    return this.#writer.length + this.#socket.writableLength;
  }

  get blocked(): boolean {
    return this.#waiter !== null || this.#replicaWait !== null || this.#postponed !== null;
  }

  get closing(): boolean {
    return this.#leaving;
  }

  get queuedBytes(): number {
    return this.#transaction.bytes;
  }

  get userName(): string {
    return this.#user.name;
  }

  authenticate(name: string, password: string, command: string): boolean {
    const user = this.port.users.authenticate(name, password);
    if (user === null) {
      this.#noteRefusal('auth', command, name);
      return false;
    }
    this.#user = user;
    this.#setAuthenticated(true);
    return true;
  }

  submit(command: DataCommand, args: readonly string[]): void {
    this.port.engine.activity.passedOn();
    this.#gathered.push({ kind: 'command', client: this, command, args, once: null });
    this.#gatheredWrites = true;
    this.#gatheredAnywhere = true;
    this.#held = () => this.#whenFresh(() => {});
  }

  reset(): void {
    this.#transaction.end();
    this.port.subscriptions.forget(this);
    if (this.tracker !== null) this.port.tracking.end(this.tracker);
    this.tracker = null;
    this.#writer.protocol = 2;
    this.#session = null;
    this.readsHere = this.port.settings.followerReads;
    if (this.#muted === 'all') this.#muted = 'none';
    this.noTouch = false;
    this.port.engine.activity.monitors.delete(this);
    this.name = '';
    this.#user = this.port.users.default;
    this.#setAuthenticated(this.port.users.open);
  }

  muteReplies(which: 'none' | 'all' | 'next'): void {
    // Who gets no replies at all does not get the next one either.
    if (which !== 'next' || this.#muted !== 'all') this.#muted = which;
  }

  resume(session: number, sequence: number): void {
    this.#session = { id: session, next: sequence };
  }

  push(push: Push): void {
    this.#pushes.push(push);
    this.port.touch(this);
  }

  openPush(length: number): ReplyWriter {
    this.#writer.push(length);
    return this.#writer;
  }

  quit(): void {
    this.#leaving = true;
    this.#waiter?.end(LEADER_LOST);
    this.port.touch(this);
  }

  unblock(ending: Ending): boolean {
    if (this.#replicaWait !== null) this.#endReplicaWait(ending);
    else if (this.#waiter === null) return false;
    else this.#waiter.end(ending);
    return true;
  }

  later(reply: Promise<(reply: ReplyWriter) => void>): void {
    this.#open = 1;
    this.#lane = 'read';
    this.#waiting = true;
    void reply.then((write) => {
      write(this.reply);
      this.settled(1);
    });
  }

  waitForReplicas(
    count: number,
    timeoutMs: number,
    reply: ReplyWriter,
    answer: ReplicaWait['answer'] = countAlone,
  ): void {
    const { engine } = this.port;
    const have = engine.replicasAt(this.#lastWriteIndex);
    if (!engine.leading) {
      reply.error(this.#redirection(0));
    } else if (have >= count) {
      answer(have, reply);
    } else {
      const deadline = timeoutMs === 0 ? Infinity : this.port.monotonic() + timeoutMs;
      this.#replicaWait = { count, index: this.#lastWriteIndex, deadline, answer };
      this.port.poll(this);
    }
  }

  /* ---- what the port sees -------------------------------------------------------------------------------------- */

  /** Goes on with a WAIT; false when it is over. */
  poll(): boolean {
    const wait = this.#replicaWait;
    if (wait === null || this.#closed) return false;
    const { engine } = this.port;
    const have = engine.replicasAt(wait.index);
    if (engine.leading && have < wait.count && this.port.monotonic() < wait.deadline && !this.#leaving)
      return true;
    this.#endReplicaWait(engine.leading ? TIMED_OUT : LEADER_LOST);
    return false;
  }

  /** Answers a WAIT with what it has come to, or with an error. */
  #endReplicaWait(ending: Ending): void {
    const { index = 0, answer = countAlone } = this.#replicaWait ?? {};
    const have = this.port.engine.replicasAt(index);
    this.#replicaWait = null;
    if (ending.kind === 'error') this.reply.error(ending.text);
    else answer(have, this.reply);
    this.port.touch(this);
  }

  /** The end of an event-loop turn in which something happened here: parses on if it may, and writes. */
  turn(): void {
    if (this.#open === 0) this.#submit();
    if (this.#idle) this.#waiting = false;
    this.#endMute();
    this.#advance();
    this.#writePushes();
    this.#flush();
    if (this.#leaving || (this.#inputEnded && !this.#stalled)) this.#finishIfIdle();
  }

  /** Closes at once, whatever is open. */
  destroy(): void {
    this.#socket.destroy();
  }

  isUser(user: User): boolean {
    return this.#user === user;
  }

  /** Its user is no more: what is open is answered, then it is closed. */
  leaveUser(): void {
    this.#user = this.port.users.default;
    this.#setAuthenticated(false);
    if (this.blocked) this.destroy();
    else this.quit();
  }

  /** Closes when it listens to what its user may not listen to any more. */
  endForbiddenListening(): void {
    const { channels, patterns, shards } = this.subscribed;
    const { rights } = this.#user;
    const allowed =
      [...channels, ...shards].every((channel) => rights.mayListen(channel, false)) &&
      [...patterns].every((pattern) => rights.mayListen(pattern, true));
    if (!allowed) this.destroy();
  }

  /* ---- input --------------------------------------------------------------------------------------------------- */

  /** Whether parsing has to wait. */
  get #stalled(): boolean {
    return (
      this.#waiting ||
      this.#draining ||
      this.#held !== null ||
      this.#replicaWait !== null ||
      this.#postponed !== null
    );
  }

  #onData(chunk: Buffer): void {
    if (this.#leaving) return;
    this.port.statistics.inputBytes += chunk.length;
    this.activeAt = this.port.monotonic();
    this.#openBytes += chunk.length;
    this.#parser.push(chunk);
    if (this.#stalled) {
      if (this.#parser.buffered > UNPARSED_BYTES_MAX) this.#socket.pause();
      return;
    }
    this.#advance();
    this.port.touch(this);
  }

  #onEnd(): void {
    this.#inputEnded = true;
    // A client that has gone does not wait any more.
    if (this.#waiter !== null || this.#replicaWait !== null) this.#socket.destroy();
    else this.port.touch(this);
  }

  #onDrain(): void {
    if (this.#draining) {
      this.#draining = false;
      this.port.touch(this);
    }
  }

  /** Parses and dispatches until something has to be waited for, then hands over what has gathered. */
  #advance(): void {
    if (this.#closed) return;
    if (this.#held !== null && this.#idle) {
      const run = this.#held;
      this.#held = null;
      run();
      this.#endMute();
    }
    while (this.#mayDispatch) {
      const args = this.#postponed ?? this.#parser.next();
      if (args === null) break;
      if (this.#postponed === null) this.port.statistics.commands += 1;
      this.#postponed = null;
      if (this.#muted === 'next') {
        this.#muted = 'this';
        this.#waiting = true;
      }
      this.#dispatch(args);
      if (this.tracker !== null) this.#endCaching(args);
      if (this.#muted === 'this' && this.#idle) this.#waiting = false;
      this.#endMute();
      if (this.#open + this.#gathered.length >= OPEN_REQUESTS_MAX || this.#openBytes > OPEN_BYTES_MAX)
        this.#waiting = this.#open + this.#gathered.length > 0;
    }
    if (this.#parser.error !== null && !this.#leaving) {
      this.#answerError(this.#parser.error);
      this.#leaving = true;
    }
    this.#submit();
    if (this.#socket.isPaused() && !this.#stalled) this.#socket.resume();
  }

  /** CLIENT CACHING is for the next command, or for the transaction that the next command begins. */
  #endCaching(args: readonly string[]): void {
    if (this.#transaction.open || this.#postponed !== null || args[0]?.toLowerCase() === 'client') return;
    if (this.tracker !== null) this.tracker.caching = false;
  }

  /** Whether the next request may be looked at; one that was postponed is the next. */
  get #mayDispatch(): boolean {
    if (this.#leaving) return false;
    const postponed = this.#postponed;
    if (postponed === null) return !this.#stalled;
    const command = resolve(postponed);
    return typeof command === 'string' || !this.#isPaused(command);
  }

  /** Whether the command has to wait for the end of a pause. */
  #isPaused(command: Command): boolean {
    const { paused, engine } = this.port;
    if (paused === null) return false;
    if (command.kind === 'transaction')
      return paused === 'all' || (command.name === 'exec' && this.#transaction.writes);
    // Who has to go elsewhere is told so at once.
    if (command.kind === 'data' && !engine.leading && !this.#passesOn(command.write)) return false;
    return paused === 'all' || command.flags.includes('write') || command.flags.includes('may_replicate');
  }

  /** A request whose reply was not to be sent has been answered. */
  #endMute(): void {
    const answered =
      this.#idle && this.#held === null && this.#replicaWait === null && this.#postponed === null;
    if (this.#muted === 'this' && answered) this.#muted = 'none';
  }

  /** Nothing is open: a reply written now stands in its place. */
  get #idle(): boolean {
    return this.#open === 0 && this.#gathered.length === 0;
  }

  /* ---- requests ------------------------------------------------------------------------------------------------ */

  #dispatch(args: readonly string[]): void {
    const command = resolve(args);
    if (typeof command === 'string') {
      if (isHttp(args)) {
        this.port.warn(
          this,
          `closed: "${args[0] ?? ''}" is HTTP; what follows may be a web page's doing, not a client's`,
        );
        this.#leaving = true;
        this.destroy();
        return;
      }
      const write = writeNamed(args);
      if (write !== null) this.#numberRefused(write);
      // EXEC ends the transaction even when it is itself at fault.
      if (this.#transaction.open && args[0]?.toLowerCase() === 'exec') this.#abort(command);
      else this.#refuse(command);
      return;
    }
    this.lastCommand = command.name;
    if (!this.#authenticated && !command.flags.includes('no_auth') && !this.port.users.open) {
      this.#reject(command, errorText(ERRORS.noAuth));
      return;
    }
    const denial = this.#user.restricted ? this.#user.rights.check(command, args) : null;
    if (denial !== null) {
      this.#deny(denial, command, args);
      return;
    }
    if (this.#listens && !LISTENERS_COMMANDS.has(command.name)) {
      this.#reject(
        command,
        `ERR Can't execute '${command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
      );
      return;
    }
    if (this.#isPaused(command)) {
      this.#postponed = args;
      return;
    }
    switch (command.kind) {
      case 'data':
        if (this.#user.restricted && !this.#transaction.open) this.#dataOnBehalf(command, args);
        else this.#data(command, args);
        break;
      case 'pure':
        this.#pure(command, args);
        break;
      case 'transaction':
        this.#transactionCommand(command, args);
        break;
      case 'local':
        this.#local(command, args);
        break;
    }
  }

  /** What a user with limits may do. */
  #dataOnBehalf(command: DataCommand, args: readonly string[]): void {
    const call = onBehalfOf(this.#user, { command, args });
    if (call.command === refusedCommand && command.write) this.#numberRefused(command);
    this.#data(call.command, call.args);
  }

  #data(named: DataCommand, args: readonly string[]): void {
    const command = this.tracker === null ? named : this.tracker.following(named);
    const { write } = command;
    if (this.#transaction.open) {
      if (command.flags.includes('no_multi')) {
        this.#reject(command, errorText(ERRORS.notInTransaction, { command: command.name }));
        return;
      }
      if (write) this.#transaction.noteWrite();
    }
    if (!this.port.engine.leading && !this.#passesOn(write) && command.anywhere !== true) {
      const [key] = keysOf(command, args);
      if (write) this.#numberRefused(command);
      this.#reject(command, this.#redirection(key === undefined ? 0 : keySlot(key)));
      return;
    }
    this.#show(command, args);
    if (this.#transaction.open) this.#queue(command, args);
    else if (mayWait(command, args)) this.#whenIdle(() => this.#runOrWait(command, args));
    else {
      const once = this.#session !== null && takesNumber(command) ? this.#nextOnce() : null;
      this.#gathered.push({ kind: 'command', client: this, command, args, once });
      if (write) this.#gatheredWrites = true;
      if (command.anywhere === true) this.#gatheredAnywhere = true;
    }
  }

  /** Nothing else is open then, and nothing is until it is answered. */
  #runOrWait(command: DataCommand, args: readonly string[]): void {
    const waits: Waits = {
      again: false,
      starts: () => true,
      nothingYet: (wait, seen) => wait !== null && this.#wait(command, wait, seen),
    };
    this.#gathered.push({ kind: 'command', client: this, command, args, once: null, waits });
    if (command.write) this.#gatheredWrites = true;
    this.#waiting = true;
  }

  #wait(command: DataCommand, wait: Wait, seen: readonly Watch[]): void {
    const { engine, forwarder } = this.port;
    if (this.#inputEnded) this.#socket.destroy();
    if (this.#closed || this.#leaving || this.#inputEnded) {
      this.reply.error(LEADER_LOST.text);
      this.settled(1);
      return;
    }
    const lane = this.#lane;
    const submit =
      lane === 'read'
        ? null
        : (request: Request): void =>
            lane === 'log' ? engine.submit(lane, request) : forwarder.submit(request);
    this.#waiter = engine.blocked.add({ client: this, command, wait, submit, seen });
    if (this.#waiter !== null) return;
    this.reply.error(busy(engine.blocked.bytes));
    this.settled(1);
  }

  /** Whether a request that came to a node that does not lead is answered all the same, here or by the leader. */
  #passesOn(write: boolean): boolean {
    return this.port.proxy || (this.readsHere && !write);
  }

  #pure(command: PureCommand, args: readonly string[]): void {
    this.#show(command, args);
    if (!this.#transaction.open) this.port.engine.activity.counts(command);
    if (this.#transaction.open) this.#queue(command.call, args);
    else if (this.#listens && command.name === 'ping' && args.length < 3) {
      this.#answer((reply) => {
        reply.array(2);
        reply.bulk('pong');
        reply.bulk(args[1] ?? '');
      });
    } else this.#answer((reply) => command.answer(args, this.port.engine.now(), reply));
  }

  #local(command: LocalCommand, args: readonly string[]): void {
    if (this.#transaction.open && command.name !== 'quit' && command.name !== 'reset') {
      this.#reject(command, errorText(ERRORS.notInTransaction, { command: command.name }));
    } else {
      this.#show(command, args);
      const run = (): void => this.#runLocal(command, args);
      if (command.fresh?.(args) === true) this.#whenFresh(run);
      else this.#whenIdle(run);
    }
  }

  #runLocal(command: LocalCommand, args: readonly string[]): void {
    const { activity } = this.port.engine;
    activity.begin();
    activity.starts(command);
    command.run(this, args, this.reply);
    activity.ran(args, this);
    activity.end();
  }

  /** To those who watch what this node does. */
  #show(command: Command, args: readonly string[]): void {
    const { engine } = this.port;
    const { monitors } = engine.activity;
    if (!monitors.none) monitors.show(command, args, this.remoteAddress, engine.now());
  }

  /** Runs something when everything before it is answered. */
  #whenIdle(run: () => void): void {
    if (this.#idle) run();
    else this.#held = run;
  }

  /**
   * Runs something when everything before it is answered and this node has seen what was acknowledged anywhere until
   * now; by what the node knows, where no leader is to be had for longer than an election takes.
   */
  #whenFresh(run: () => void): void {
    this.#whenIdle(() => {
      this.#held = run;
      this.#lane = 'read';
      this.#open = 1;
      this.#refresh(this.port.monotonic() + LEADER_WAIT_MS);
    });
  }

  #refresh(until: number): void {
    const refused = (): void => {
      if (this.#closed || this.#leaving || this.port.monotonic() >= until) return;
      // Open until it is asked again: the refusal is about to be counted as an answer.
      this.#open += 1;
      setTimeout(() => this.#refresh(until), LEADER_CHECK_MS).unref();
    };
    this.port.engine.submit('read', { kind: 'text', client: this, write: () => {}, refused });
  }

  #transactionCommand(command: TransactionCommand, args: readonly string[]): void {
    const transaction = this.#transaction;
    this.#show(command, args);
    if (command.name !== 'exec') this.port.engine.activity.counts(command);
    switch (command.name) {
      case 'multi':
        if (transaction.open) this.#answerError('ERR MULTI calls can not be nested');
        else {
          transaction.begin();
          this.#answer(OK);
        }
        break;
      case 'exec':
        this.#exec();
        break;
      case 'discard':
        if (transaction.open) {
          transaction.end();
          this.#answer(OK);
        } else this.#answerError('ERR DISCARD without MULTI');
        break;
      case 'watch':
        if (transaction.open) this.#answerError('ERR WATCH inside MULTI is not allowed');
        else this.#watch(args.slice(1));
        break;
      case 'unwatch':
        if (transaction.open) this.#queue(queuedUnwatch, args);
        else {
          transaction.unwatch();
          this.#answer(OK);
        }
        break;
    }
  }

  #queue(command: DataCommand, args: readonly string[]): void {
    if (this.#transaction.failed || this.#transaction.queue({ command, args })) this.#answer(QUEUED);
    else this.#refuse(this.#transactionTooLarge());
  }

  #transactionTooLarge(): string {
    return errorText(ERRORS.transactionTooLarge, { bytes: this.port.settings.maxRequestBytes });
  }

  #watch(keys: readonly string[]): void {
    if (!this.port.engine.leading && !this.#passesOn(false)) {
      this.#answerError(this.#redirection(keySlot(keys[0] ?? '')));
      return;
    }
    if (!this.#transaction.canWatch(keys)) {
      this.#answerError(this.#transactionTooLarge());
      return;
    }
    this.#gathered.push({ kind: 'watch', client: this, keys });
    // What follows may be the EXEC that needs the answer.
    this.#waiting = true;
  }

  #exec(): void {
    if (!this.#transaction.open) {
      this.#answerError('ERR EXEC without MULTI');
      return;
    }
    const { failed } = this.#transaction;
    const { calls, watches, writes } = this.#transaction.end();
    const once = writes ? this.#nextOnce() : null;
    if (failed) this.#answerError(errorText(ERRORS.execAbort));
    else if (calls.length === 0 && watches.length === 0) this.#answer(NO_CALLS);
    else if (!this.port.engine.leading && !this.#passesOn(writes)) {
      this.#answerError(this.#redirection(slotOf(calls)));
    } else {
      this.#gathered.push({
        kind: 'transaction',
        client: this,
        calls: this.#stillAllowed(calls),
        watches,
        once,
      });
      if (writes) this.#gatheredWrites = true;
    }
  }

  #deny(denial: Denial, command: Command, args: readonly string[]): void {
    if (command.kind === 'data' && command.write) this.#numberRefused(command);
    this.#noteDenial(denial, command, args, this.#transaction.open);
    this.#reject(command, denialText(command, denial));
  }

  /** EXEC ends the transaction even when it is itself at fault. */
  #reject(command: Command, text: string): void {
    this.port.engine.activity.rejected(command);
    if (command.name === 'exec') this.#abort(text);
    else this.#refuse(text);
  }

  /** The calls of a transaction; in place of those that were allowed when they were queued and are not now, errors. */
  #stillAllowed(calls: readonly Call[]): readonly Call[] {
    if (!this.#user.restricted) return calls;
    return calls.map((call) => {
      const { command, args } = call;
      const denial = this.#user.rights.check(command, args);
      if (denial === null) return this.#followed(call, onBehalfOf(this.#user, call));
      this.#noteDenial(denial, command, args, true);
      return refusedCall(lateDenialText(denial));
    });
  }

  /** A call that another one takes the place of is followed by tracking as that one was. */
  #followed(before: Call, { command, args }: Call): Call {
    if (this.tracker === null || before.command === command) return { command, args };
    return { command: this.tracker.following(command), args };
  }

  #noteDenial(
    { reason, position }: Denial,
    command: CommandSpec,
    args: readonly string[],
    inTransaction: boolean,
  ): void {
    const object = reason === 'command' ? command.name : (args[position] ?? '');
    this.#noteRefusal(reason, object, this.#user.name, inTransaction);
  }

  #noteRefusal(
    reason: Refusal['reason'],
    object: string,
    user: string,
    inTransaction: boolean = this.#transaction.open,
  ): void {
    const context = inTransaction ? 'multi' : 'toplevel';
    const refusal = { reason, context, object, user, client: describeSession(this) } as const;
    this.port.aclLog.add(refusal, this.port.monotonic());
  }

  /** Ends the transaction because of an error in EXEC. */
  #abort(error: string): void {
    if (this.#transaction.end().writes) this.#nextOnce();
    const reason = error.replace(/^ERR /, '');
    this.#answerError(`EXECABORT Transaction discarded because of: ${reason}`);
  }

  /** Whether it can do little but listen: a RESP2 client could not tell messages from replies. */
  get #listens(): boolean {
    const { channels, patterns, shards } = this.subscribed;
    return this.protocol === 2 && channels.size + patterns.size + shards.size > 0;
  }

  /* ---- sessions ------------------------------------------------------------------------------------------------ */

  /** The name of the next write; `null` without a session. */
  #nextOnce(): Once | null {
    const session = this.#session;
    if (session === null) return null;
    return { kind: 'session', session: session.id, sequence: session.next++ };
  }

  /**
   * A write was turned away before it got anywhere. It takes its number all the same: the client counts what it sends,
   * whatever the answers are. Its number is missing in the session then, and later writes are refused until the client
   * resumes at it.
   */
  #numberRefused(command: DataCommand): void {
    if (this.#session === null) return;
    if (this.#transaction.open) this.#transaction.noteWrite();
    else if (takesNumber(command)) this.#session.next++;
  }

  /** Where to go with a request for `slot`, from a node that does not lead. */
  #redirection(slot: number): string {
    return redirection(slot, this.port.engine.leaderAddress(), this.port.nodeId);
  }

  /* ---- answers ------------------------------------------------------------------------------------------------- */

  /** An error that also makes an open transaction fail, as every request that could not be queued does. */
  #refuse(text: string): void {
    this.#transaction.fail();
    this.#answerError(text);
  }

  #answerError(text: string): void {
    this.#answer((reply) => reply.error(text));
  }

  /** A reply that is known: written at once, or in its place behind those that are open. */
  #answer(write: (reply: ReplyWriter) => void): void {
    if (this.#idle) write(this.reply);
    else this.#gathered.push({ kind: 'text', client: this, write });
  }

  /** Hands over what has gathered, all in one lane; what needs another one than what is open stays gathered. */
  #submit(): void {
    if (this.#gathered.length === 0) return;
    const wanted = this.#wantedLane();
    if (this.#open === 0) this.#lane = wanted;
    else if (wanted !== this.#lane && (wanted !== 'read' || this.#lane !== 'log')) return;
    const requests = this.#gathered;
    this.#gathered = [];
    this.#gatheredWrites = false;
    this.#gatheredAnywhere = false;
    this.#open += requests.length;
    const lane = this.#lane;
    for (const request of requests) {
      if (lane === 'forward') {
        this.tracker?.passedOn(request);
        this.port.forwarder.submit(request);
      } else this.port.engine.submit(lane, request);
    }
  }

  #wantedLane(): Lane | 'forward' {
    const { engine, proxy } = this.port;
    if (!engine.leading && this.#gatheredAnywhere) return 'forward';
    if (!engine.leading && proxy && (this.#gatheredWrites || !this.readsHere)) return 'forward';
    return this.#gatheredWrites ? 'log' : 'read';
  }

  #writePushes(): void {
    if (this.#pushes.length === 0) return;
    const pushes = this.#pushes;
    this.#pushes = [];
    const { protocol } = this;
    for (const push of pushes) this.#writer.raw(protocol === 3 ? push.resp3 : push.resp2);
    if (this.outputBytes <= UNSENT_MESSAGES_MAX) return;
    this.port.warn(this, `more than ${UNSENT_MESSAGES_MAX} bytes of messages wait to be fetched: closed`);
    this.#socket.destroy();
  }

  #flush(): void {
    const { overflowed } = this.#writer;
    const bytes = this.#writer.take();
    if (this.#closed || this.#finished) return;
    if (overflowed || this.#socket.writableLength + bytes.length > OUTPUT_BYTES_MAX) {
      this.port.warn(this, `more than ${OUTPUT_BYTES_MAX} bytes of replies wait to be fetched: closed`);
      this.#socket.destroy();
      return;
    }
    if (bytes.length === 0) return;
    this.port.statistics.outputBytes += bytes.length;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > UNSENT_BYTES_SOFT) this.#draining = true;
  }

  /* ---- the end ------------------------------------------------------------------------------------------------- */

  /**
   * Says goodbye once everything is answered. Input is discarded for a while: unread, it would reset the connection
   * and could take the last reply with it.
   */
  #finishIfIdle(): void {
    if (!this.#idle || this.#held !== null || this.#replicaWait !== null || this.#finished) return;
    this.#finished = true;
    this.#leaving = true;
    this.#socket.resume();
    this.#socket.end(() => {
      if (!this.#inputEnded) setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    });
  }

  /** Ends the connection in the middle of the replies: what was answered goes out, and nothing behind it. */
  #breakOff(): void {
    if (this.#finished) return;
    this.#flush();
    this.#finished = true;
    this.#leaving = true;
    this.#socket.destroySoon();
  }

  #setAuthenticated(value: boolean): void {
    this.#authenticated = value;
    this.limitStranger();
  }

  /** Who has not said who it is may send little, where that matters. */
  limitStranger(): void {
    this.#parser.restricted = !this.#authenticated && !this.port.users.open;
  }
}

/** The first words of an HTTP request: a browser can be made to send commands in its body to any local port. */
function isHttp(args: readonly string[]): boolean {
  const name = args[0]?.toLowerCase();
  return name === 'post' || name === 'host:';
}

/** What a RESP2 client may send while it listens. */
const LISTENERS_COMMANDS: ReadonlySet<string> = new Set(
  ['', 'p', 's']
    .flatMap((prefix) => [`${prefix}subscribe`, `${prefix}unsubscribe`])
    .concat('ping', 'quit', 'reset'),
);

/** The slot of the first key in a transaction; 0 when it has none. */
function slotOf(calls: readonly Call[]): number {
  for (const { command, args } of calls) {
    const [key] = keysOf(command, args);
    if (key !== undefined) return keySlot(key);
  }
  return 0;
}
