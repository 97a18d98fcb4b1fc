/**
 * Nobody types: lines out of a pipe, or one command from the command line. Replies go to stdout, errors with the number of
 * their line to stderr, so that what a program reads is only ever a reply; with `--json` both go to stdout, one line for each
 * command.
 */
import type { Json } from '../../server/json-reply.ts';
import { CommandError } from '../command-error.ts';
import type { Reply } from './reply.ts';
import { json } from './show.ts';
import type { Target } from './target.ts';
import { bytesOf, readLine, WRONG_QUOTES } from './words.ts';

export interface Output {
  /** Byte strings. */
  out(text: string): void;
  error(text: string): void;
}

export class Script {
  readonly #target: Target;
  readonly #show: (reply: Reply) => string;
  readonly #json: boolean;
  readonly #output: Output;
  /** Whether anything failed. */
  failed = false;

  /** `show`: for what is no error. */
  constructor(target: Target, show: (reply: Reply) => string, asJson: boolean, output: Output) {
    this.#target = target;
    this.#show = show;
    this.#json = asJson;
    this.#output = output;
  }

  /** Runs the lines of a stream of byte strings, to its end or to a word that ends it. */
  async lines(input: AsyncIterable<string>): Promise<void> {
    let number = 0;
    for await (const line of linesOf(input)) {
      number += 1;
      const read = readLine(line);
      // A quote that isn't closed takes no further lines: one too many would swallow the rest of the script.
      if (read.kind !== 'words') this.#refuse(WRONG_QUOTES, number);
      else if (read.words.length > 0 && !(await this.command(read.words, number))) return;
    }
    await this.end();
  }

  /** False when nothing may follow. `line`: `null` for none. */
  async command(words: readonly string[], line: number | null): Promise<boolean> {
    try {
      const outcome = await this.#target.run(words);
      switch (outcome.kind) {
        case 'reply':
          this.#reply(outcome.reply, line);
          return true;
        case 'listening':
          this.#reply(outcome.reply, line);
          throw new CommandError((await outcome.until) ?? 'interrupted');
        case 'said':
          this.#say(outcome.text);
          return true;
        case 'ended':
          if (outcome.text !== null) this.#say(outcome.text);
          return false;
      }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // What was to come may depend on it.
      this.#refuse(error.message, line);
      return false;
    }
  }

  /** The end of the input. */
  async end(): Promise<void> {
    try {
      await this.#target.end();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.failed = true;
      this.#output.error(bytesOf(error.message));
    }
  }

  #reply(reply: Reply, line: number | null): void {
    if (reply.type === 'error') this.#fail(reply, line);
    else {
      // What EXEC ran has its errors in its reply.
      if (holdsError(reply)) this.failed = true;
      this.#output.out(this.#show(reply));
    }
  }

  #say(text: string): void {
    this.#output.out(this.#json ? json({ type: 'status', text }) : text);
  }

  /** What no server said. */
  #refuse(message: string, line: number | null): void {
    this.#fail({ type: 'error', text: bytesOf(this.#json ? `ERR ${message}` : message) }, line);
  }

  #fail(error: Extract<Reply, { text: string }>, line: number | null): void {
    this.failed = true;
    const note: Readonly<Record<string, Json>> = line === null ? {} : { line };
    if (this.#json) this.#output.out(json(error, note));
    else this.#output.error(where(line) + error.text);
  }
}

function holdsError(reply: Reply): boolean {
  return reply.type === 'error' || ('items' in reply && reply.items.some(holdsError));
}

function where(line: number | null): string {
  return line === null ? '' : `line ${line}: `;
}

/** A last line needs no end. */
async function* linesOf(input: AsyncIterable<string>): AsyncGenerator<string> {
  let rest: string[] = [];
  for await (const chunk of input) {
    const [first = '', ...others] = chunk.split('\n');
    rest.push(first);
    for (const other of others) {
      yield withoutCr(rest.join(''));
      rest = [other];
    }
  }
  const last = rest.join('');
  if (last !== '') yield withoutCr(last);
}

function withoutCr(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
