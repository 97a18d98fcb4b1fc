/** SLOWLOG: the commands of this node that ran for longer than `slowlog-log-slower-than`, with what was asked. */
import { isSecret } from './secrets.ts';

/** As Redis keeps of each: so many arguments, and so many bytes of each. */
const ARGUMENTS_MAX = 32;
const ARGUMENT_BYTES_MAX = 128;

export interface SlowCommand {
  readonly id: number;
  /** Seconds since 1970. */
  readonly at: number;
  readonly microseconds: number;
  readonly args: readonly string[];
  readonly address: string;
  readonly name: string;
}

export class SlowLog {
  /** Newest first. */
  #entries: SlowCommand[] = [];
  #nextId = 0;
  #lengthMax = 0;

  set lengthMax(length: number) {
    this.#lengthMax = length;
    this.#entries.length = Math.min(this.#entries.length, length);
  }

  get entries(): readonly SlowCommand[] {
    return this.#entries;
  }

  add(
    microseconds: number,
    args: readonly string[],
    client: { readonly remoteAddress?: string; readonly name?: string },
    at: number,
  ): void {
    const id = this.#nextId;
    this.#nextId += 1;
    const { remoteAddress: address = '', name = '' } = client;
    this.#entries.unshift({ id, at, microseconds, args: shortened(args), address, name });
    if (this.#entries.length > this.#lengthMax) this.#entries.pop();
  }

  reset(): void {
    this.#entries = [];
  }
}

function shortened(args: readonly string[]): string[] {
  const kept = args.length > ARGUMENTS_MAX ? ARGUMENTS_MAX - 1 : args.length;
  const texts = args.slice(0, kept).map((arg, at) => {
    if (isSecret(args, at)) return '(redacted)';
    const left = arg.length - ARGUMENT_BYTES_MAX;
    // A copy: a slice would keep the whole.
    return left <= 0 ? arg : `${arg.slice(0, ARGUMENT_BYTES_MAX)}... (${left} more bytes)`;
  });
  if (kept < args.length) texts.push(`... (${args.length - kept} more arguments)`);
  return texts;
}
