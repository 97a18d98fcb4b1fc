/**
 * Somebody types: a prompt, editing, history, hints behind the cursor, completion. Node's readline does the editing; what
 * it lacks is a grey text behind the cursor (written after each key, wiped before the next one) and a way to hide a password
 * (what it writes passes through a screen that can be shut).
 */
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import type { ReadStream, WriteStream } from 'node:tty';

import { CommandError } from '../command-error.ts';
import { helpOn } from './help.ts';
import type { Hints } from './hints.ts';
import { appendHistory, HISTORY_LINES_MAX, mayBeKept, readHistory } from './history.ts';
import type { Reply } from './reply.ts';
import type { Outcome, Target } from './target.ts';
import { bytesOf, readLine, WRONG_QUOTES } from './words.ts';

const CONTINUED = '... ';
const LISTENING = 'Reading messages... (press Ctrl-C to quit)';

export class Terminal {
  readonly #target: Target;
  readonly #show: (reply: Reply) => string;
  readonly #hints: Hints;
  readonly #historyFile: string;
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #readline: Interface;
  /** Lines that were typed or pasted and not yet run. */
  readonly #lines: string[] = [];
  /** The lines of a command whose quotes are still open. */
  #begun = '';
  #busy = true;
  #ending = false;
  #finished = false;
  #asking: ((answer: string | null) => void) | null = null;
  #hidden = false;
  #hintShown = false;
  #done: () => void = () => {};

  constructor(
    target: Target,
    show: (reply: Reply) => string,
    hints: Hints,
    historyFile: string,
    input: ReadStream,
    output: WriteStream,
  ) {
    this.#target = target;
    this.#show = show;
    this.#hints = hints;
    this.#historyFile = historyFile;
    this.#input = input;
    this.#output = output;
    this.#readline = createInterface({
      input,
      output: this.#screen(),
      terminal: true,
      history: readHistory(historyFile),
      historySize: HISTORY_LINES_MAX,
      completer: (line: string) => hints.complete(line),
    });
  }

  /** Resolves when the person has had enough. */
  async run(): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    const readline = this.#readline;
    readline.on('line', (line) => this.#onLine(line));
    readline.on('history', (history: string[]) => this.#keep(history));
    readline.on('SIGINT', () => this.#onInterrupt());
    readline.on('close', () => {
      this.#ending = true;
      this.#asking?.(null);
      if (!this.#busy && !this.#finished) void this.#pump();
    });
    if (process.env['TERM'] !== 'dumb') {
      this.#input.prependListener('keypress', () => this.#wipeHint());
      this.#input.on('keypress', () => this.#showHint());
    }
    try {
      await this.#target.start(
        {
          onPush: (reply) => this.#interject(this.#show(reply)),
          onNotice: (text) => this.#interject(text),
          onRedirect: (text) => this.#interject(text),
        },
        (question) => this.#ask(question),
      );
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#print(bytesOf(error.message));
    }
    this.#busy = false;
    void this.#pump();
    await done;
  }

  /** Runs what has been typed, one line after the other, and asks for more. */
  async #pump(): Promise<void> {
    for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
      this.#busy = true;
      await this.#handle(line);
      this.#busy = false;
    }
    if (this.#finished) return;
    if (this.#ending) await this.#end();
    else this.#prompt();
  }

  async #handle(typed: string): Promise<void> {
    const text = this.#begun === '' ? typed : `${this.#begun}\n${typed}`;
    this.#begun = '';
    const line = readLine(bytesOf(text));
    if (line.kind === 'open') this.#begun = text;
    else if (line.kind === 'wrong') this.#print(WRONG_QUOTES);
    else if (line.words.length > 0) {
      if (!text.includes('\n') && mayBeKept(text, line.words)) appendHistory(this.#historyFile, text);
      await this.#run(line.words);
    }
  }

  async #run(words: readonly string[]): Promise<void> {
    const name = words[0]?.toLowerCase() ?? '';
    if (name === 'help' || name === '?') {
      this.#print(bytesOf(helpOn(this.#hints, words.slice(1))));
      return;
    }
    if (name === 'clear' && words.length === 1) {
      this.#output.write('\x1b[H\x1b[2J');
      return;
    }
    let outcome: Outcome;
    try {
      outcome = await this.#target.run(words);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#print(bytesOf(`Error: ${error.message}`));
      return;
    }
    switch (outcome.kind) {
      case 'reply':
        this.#print(this.#show(outcome.reply));
        break;
      case 'listening':
        this.#print(this.#show(outcome.reply));
        this.#print(LISTENING);
        await this.#listen(outcome.until);
        break;
      case 'said':
        this.#print(outcome.text);
        break;
      case 'ended':
        if (outcome.text !== null) this.#print(outcome.text);
        this.#finish();
        return;
    }
    if (this.#target.spaced) this.#print('');
  }

  async #listen(until: Promise<string | null>): Promise<void> {
    const reason = await until;
    if (reason !== null) this.#print(bytesOf(`Error: ${reason}`));
  }

  /** The input is at its end, or there was a Ctrl-C with nothing to interrupt. */
  async #end(): Promise<void> {
    let text: string | null;
    try {
      text = await this.#target.end();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      text = bytesOf(`Error: ${error.message}`);
      process.exitCode = 1;
    }
    this.#print(text === null ? '' : `\n${text}`);
    this.#finish();
  }

  #finish(): void {
    this.#finished = true;
    this.#lines.length = 0;
    this.#readline.close();
    this.#done();
  }

  #onLine(line: string): void {
    if (this.#asking !== null) {
      this.#asking(line);
      return;
    }
    this.#lines.push(line);
    if (!this.#busy) void this.#pump();
  }

  #onInterrupt(): void {
    if (this.#asking !== null) this.#asking(null);
    else if (this.#busy) this.#target.interrupt();
    else if (this.#readline.line !== '' || this.#begun !== '') {
      this.#begun = '';
      this.#readline.write(null, { ctrl: true, name: 'e' });
      this.#readline.write(null, { ctrl: true, name: 'u' });
      this.#print('^C');
      this.#prompt();
    } else this.#readline.close();
  }

  #ask(question: string): Promise<string | null> {
    return new Promise((resolve) => {
      this.#asking = (answer) => {
        this.#asking = null;
        this.#hidden = false;
        this.#output.write('\n');
        resolve(answer === null ? null : bytesOf(answer));
      };
      this.#output.write(question);
      this.#hidden = true;
    });
  }

  /** Called when readline has put a line in front of the history: not all may stay there. */
  #keep(history: string[]): void {
    const line = history[0] ?? '';
    const read = readLine(bytesOf(line));
    const whole = this.#asking === null && this.#begun === '' && read.kind === 'words';
    if (!whole || !mayBeKept(line, read.words)) history.shift();
  }

  #prompt(): void {
    this.#readline.setPrompt(this.#begun === '' ? this.#target.prompt : CONTINUED);
    this.#readline.prompt();
  }

  /** Byte strings. */
  #print(text: string): void {
    this.#output.write(Buffer.from(`${text}\n`, 'latin1'));
  }

  /** Prints above what is being typed. */
  #interject(text: string): void {
    if (this.#busy) {
      this.#print(text);
      return;
    }
    this.#wipeHint();
    this.#output.write('\r\x1b[J');
    this.#print(text);
    this.#readline.prompt(true);
  }

  #showHint(): void {
    const { line, cursor } = this.#readline;
    if (this.#busy || this.#begun !== '' || cursor !== line.length) return;
    const { cols } = this.#readline.getCursorPos();
    const hint = this.#hints.hint(line).slice(0, Math.max(0, this.#output.columns - cols - 1));
    if (hint === '') return;
    this.#output.write(`\x1b[90m${hint}\x1b[0m\x1b[${hint.length}D`);
    this.#hintShown = true;
  }

  #wipeHint(): void {
    if (this.#hintShown) this.#output.write('\x1b[K');
    this.#hintShown = false;
  }

  /** The output as readline may use it. */
  #screen(): Writable {
    const output = this.#output;
    const screen = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#hidden) output.write(chunk);
        done();
      },
    });
    Object.defineProperty(screen, 'columns', { get: () => output.columns });
    output.on('resize', () => screen.emit('resize'));
    return screen;
  }
}
