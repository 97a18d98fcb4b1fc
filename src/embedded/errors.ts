/**
 * Why something was refused, for programs to rely on.
 *
 * - `INVALID_OPTION`, `INVALID_ARGUMENT`: a value that can't be used; the message names it and what is expected.
 * - `KEY_TOO_LARGE`, `VALUE_TOO_LARGE`, `STORE_FULL`: a limit of the options is reached; nothing was changed.
 * - `COMMAND`: a command answered with an error; `reply` has its text as on the wire, for example `WRONGTYPE …`.
 * - `CONFLICT`: a transaction was run again and again, and each time somebody else changed what it had read.
 * - `BUSY`: more waits for the disk than the bound allows; nothing was changed. Wait for the promises of earlier writes.
 * - `OVERFLOW`: a watcher did not take its changes in time.
 * - `LOCKED`: another process, or another store of this one, has the directory open.
 * - `DAMAGED`: a file is damaged: of the directory, in a way that a crash does not explain, or one that was to be read.
 * - `DISK`: the disk failed or is full; `cause` has the reason. The store takes no more writes: close it and open it again.
 * - `CLOSED`: the store is closed.
 */
export type StoreErrorCode =
  | 'INVALID_OPTION'
  | 'INVALID_ARGUMENT'
  | 'KEY_TOO_LARGE'
  | 'VALUE_TOO_LARGE'
  | 'STORE_FULL'
  | 'COMMAND'
  | 'CONFLICT'
  | 'BUSY'
  | 'OVERFLOW'
  | 'LOCKED'
  | 'DAMAGED'
  | 'DISK'
  | 'CLOSED';

/** What the library throws and rejects with. A file that can't be opened or written gives the system's own error. */
export class StoreError extends Error {
  /** `StoreError`, or the name of the class that extends it. */
  override readonly name: string = 'StoreError';
  /** The reason; the message says it for people, with the value and what is expected. */
  readonly code: StoreErrorCode;

  /** @internal */
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** A command's error reply, with the code `COMMAND`. */
export class CommandError extends StoreError {
  /** `CommandError`. */
  override readonly name = 'CommandError';
  /** As a server would send it: a word in capitals, a blank, the text. */
  readonly reply: string;

  /** @internal */
  constructor(command: string, reply: string) {
    super('COMMAND', `${command}: ${reply}`);
    this.reply = reply;
  }
}
