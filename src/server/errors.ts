/**
 * The error replies that say something about the cluster or the port rather than about a command's arguments, in one
 * table. `retryable` is the promise behind the code: the request was not and will not be applied, so sending it again
 * can't apply it twice. `UNKNOWN` and `TOOLONG` can't promise that.
 */
import type { NodeId } from '../raft/types.ts';
import type { NodeAddress } from './engine.ts';

export interface ErrorReply {
  readonly code: string;
  /** Words in braces are filled in. */
  readonly message: string;
  /** Safe to send again: nothing was applied or ever will be. */
  readonly retryable: boolean;
  /** What a person can do. */
  readonly hint: string;
}

/** The names in the table. */
export type ErrorName =
  | 'moved'
  | 'clusterDown'
  | 'busy'
  | 'diskFull'
  | 'outOfMemory'
  | 'outcomeUnknown'
  | 'replyTooLong'
  | 'unblocked'
  | 'noAuth'
  | 'maxClients'
  | 'notInTransaction'
  | 'transactionTooLarge'
  | 'execAbort';

export const ERRORS: Readonly<Record<ErrorName, ErrorReply>> = {
  moved: {
    code: 'MOVED',
    message: '{slot} {host}:{port}',
    retryable: true,
    hint: 'send it to the named node, the leader; cluster clients do so by themselves',
  },
  clusterDown: {
    code: 'CLUSTERDOWN',
    message: 'The cluster is down: no leader known',
    retryable: true,
    hint: 'retry in a moment; if it stays so, less than a majority of the nodes is up',
  },
  busy: {
    code: 'BUSY',
    message:
      '{bytes} bytes of requests wait for their answers, and this one has no room beside them; retry later',
    retryable: true,
    hint: 'send less at once, or find out why the log is slow',
  },
  diskFull: {
    code: 'OOM',
    message: 'the disk of the leader is nearly full; writes are taken again when there is space',
    retryable: true,
    hint: 'make space on the disk of the leader; the node notices by itself',
  },
  outOfMemory: {
    code: 'OOM',
    message: "command not allowed when used memory > 'maxmemory'.",
    retryable: true,
    hint: 'delete keys, raise maxmemory, or choose a maxmemory-policy by which keys may go',
  },
  outcomeUnknown: {
    code: 'UNKNOWN',
    message: 'outcome: the leader changed after it had taken the write; it may or may not be applied',
    retryable: false,
    hint: 'read the key before writing again, or use a session, which makes it safe to send the write again',
  },
  replyTooLong: {
    code: 'TOOLONG',
    message: 'the request was run, but its reply is longer than the {bytes} bytes that a node forwards',
    retryable: false,
    hint: 'ask the leader itself, or for less at once',
  },
  unblocked: {
    code: 'UNBLOCKED',
    message: 'force unblock from blocking operation, instance state changed (master -> replica?)',
    retryable: true,
    hint: 'ask the new leader',
  },
  noAuth: {
    code: 'NOAUTH',
    message: 'Authentication required.',
    retryable: true,
    hint: 'send AUTH with a user and a password first',
  },
  maxClients: {
    code: 'ERR',
    message: 'max number of clients reached',
    retryable: true,
    hint: 'close idle connections or raise --max-clients',
  },
  notInTransaction: {
    code: 'ERR',
    message: "'{command}' is not allowed inside a transaction; send it before MULTI or after EXEC",
    retryable: true,
    hint: 'only commands over keys and PING, ECHO, TIME, SELECT, UNWATCH can be queued',
  },
  transactionTooLarge: {
    code: 'ERR',
    message: 'transaction longer than {bytes} bytes; split it',
    retryable: true,
    hint: 'a transaction is bounded like a single request, see --max-request-bytes',
  },
  execAbort: {
    code: 'EXECABORT',
    message: 'Transaction discarded because of previous errors.',
    retryable: true,
    hint: 'look at the errors between MULTI and EXEC',
  },
};

/** The text of an error with its blanks filled in. */
export function errorText(error: ErrorReply, values: Readonly<Record<string, string | number>> = {}): string {
  return `${error.code} ${error.message.replaceAll(/\{(\w+)\}/g, (blank, name: string) => String(values[name] ?? blank))}`;
}

/** `slot` of the request's first key; 0 for a request without keys. */
export function moved(slot: number, leader: NodeAddress): string {
  return errorText(ERRORS.moved, { slot, host: leader.host, port: leader.port });
}

export function clusterDown(): string {
  return errorText(ERRORS.clusterDown);
}

/**
 * Where to go with a request for `slot`, from the node `self`, which does not take it. A node that is stopping or
 * handing over may still be known as the leader, to itself: it never sends a client to itself.
 */
export function redirection(slot: number, leader: NodeAddress | null, self: NodeId): string {
  return leader === null || leader.id === self ? clusterDown() : moved(slot, leader);
}

/** `pendingBytes`: what the node holds already. */
export function busy(pendingBytes: number): string {
  return errorText(ERRORS.busy, { bytes: pendingBytes });
}

/** `bytes`: the most that is forwarded. */
export function replyTooLong(bytes: number): string {
  return errorText(ERRORS.replyTooLong, { bytes });
}

export function diskFull(): string {
  return errorText(ERRORS.diskFull);
}

export function outOfMemory(): string {
  return errorText(ERRORS.outOfMemory);
}

export function outcomeUnknown(): string {
  return errorText(ERRORS.outcomeUnknown);
}

/** Bytes of a client's words that an error repeats, as in Redis. */
const QUOTED_BYTES_MAX = 128;

export function unknownCommand(args: readonly string[]): string {
  let quoted = '';
  for (let at = 1; at < args.length && quoted.length < QUOTED_BYTES_MAX; at += 1) {
    quoted += `'${(args[at] ?? '').slice(0, QUOTED_BYTES_MAX - quoted.length)}' `;
  }
  const name = (args[0] ?? '').slice(0, QUOTED_BYTES_MAX);
  return `ERR unknown command '${name}', with args beginning with: ${quoted}`;
}

/** As Redis says of arguments that a subcommand can make nothing of. */
export function wrongSubcommand(container: string, name: string): string {
  return `ERR unknown subcommand or wrong number of arguments for '${name.slice(0, QUOTED_BYTES_MAX)}'. Try ${container.toUpperCase()} HELP.`;
}

export function unknownSubcommand(container: string, name: string): string {
  const quoted = name.slice(0, QUOTED_BYTES_MAX);
  return `ERR unknown subcommand '${quoted}'. Try ${container.toUpperCase()} HELP.`;
}
