/**
 * Every way in which the disk can say no, each with a code that callers and operators may rely on.
 */

/**
 * - `WAL_CORRUPT`: bytes that were once durable are damaged or missing; the process must not serve from them.
 * - `WAL_FOREIGN`: the directory belongs to another cluster, node or group.
 * - `WAL_FORMAT`: written by a version whose format this one does not read.
 * - `WAL_LOCKED`: another process has the directory open.
 * - `WAL_FULL`: no space left on the device. Only where the error says that it is `retryable` was nothing written.
 * - `WAL_IO`: any other error of a file operation.
 * - `WAL_TOO_LARGE`: a batch or block above the written-down limit; nothing was written.
 * - `WAL_TRANSFER`: a received snapshot is not what was announced; fetch it again.
 */
export type WalErrorCode =
  | 'WAL_CORRUPT'
  | 'WAL_FOREIGN'
  | 'WAL_FORMAT'
  | 'WAL_LOCKED'
  | 'WAL_FULL'
  | 'WAL_IO'
  | 'WAL_TOO_LARGE'
  | 'WAL_TRANSFER';

/**
 * An error of this layer. After `WAL_FULL` or `WAL_IO` from an append the log object is unusable, unless the error is
 * `retryable`: what the disk holds is unknown until it is opened again, so the process must end (a repeated fsync would
 * report success for pages the kernel has given up on).
 */
export class WalError extends Error {
  override readonly name = 'WalError';
  readonly code: WalErrorCode;
  /** Nothing was written and the log is as it was: the same call may be made again as soon as there is space. */
  readonly retryable: boolean;

  constructor(code: WalErrorCode, message: string, cause?: unknown, retryable: boolean = false) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
  }
}

/** The same error for a place where nothing was written yet: no space is then a reason to wait, and no other error is. */
export function nothingWritten(error: unknown): unknown {
  if (!(error instanceof WalError) || error.code !== 'WAL_FULL') return error;
  return new WalError('WAL_FULL', error.message, error.cause, true);
}

/** The safe ways out of a refusal; the same for every kind of damage. Explained in docs/recovery.md. */
export const REMEDIES: string =
  'Safe remedies: (1) replace the node while the others are a majority, they have all of its data: ' +
  'start a new one under a new id in an empty directory with `kvorum serve --join <url of a member> --replace <id of ' +
  'this one>`; (2) if only the disk was at fault, copy the directory aside and restore the file from a copy of the same ' +
  'moment; (3) where no majority is left, `kvorum recover --force-new-cluster` on the node whose log is sound and ' +
  'newest. `kvorum check` tells what is damaged. Do not empty the directory and start again under the same id: votes ' +
  'and acknowledged writes would be forgotten, and the others will refuse it.';

/** Damage at a place in a file. */
export class CorruptError extends WalError {
  /** What is wrong and where in the file. */
  readonly what: string;
  /** The same with the entries that are concerned. */
  readonly evidence: string;
  readonly file: string;

  constructor(file: string, offset: number, what: string, range: string) {
    const evidence = `${what} at offset ${offset} (${range})`;
    super('WAL_CORRUPT', `${file}: ${evidence}. Nothing was changed. ${REMEDIES}`);
    this.what = `${what} at offset ${offset}`;
    this.evidence = evidence;
    this.file = file;
  }
}

/** `range` says which entries are concerned, in words. */
export function corrupt(file: string, offset: number, what: string, range: string): CorruptError {
  return new CorruptError(file, offset, what, range);
}

/** Wraps what a file operation threw; errors of this layer pass unchanged. */
export function ioError(action: string, file: string, cause: unknown): WalError {
  if (cause instanceof WalError) return cause;
  const code = (cause as { code?: unknown } | null)?.code;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new WalError(
      'WAL_FULL',
      `${action} ${file}: no space left on the device; free some (${text})`,
      cause,
    );
  }
  return new WalError('WAL_IO', `${action} ${file}: ${text}`, cause);
}

/** Whether a file operation failed because the file is not there. */
export function isMissing(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ENOENT';
}
