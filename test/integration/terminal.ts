/** Somebody at a terminal: types, and waits for what the screen shows. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const PATIENCE_MS = 20_000;
const SCRIPT = join(import.meta.dirname, 'terminal.py');
/** The grey text behind the cursor, and the way back over it. */
// oxlint-disable-next-line no-control-regex
const HINTS = /\x1b\[90m.*?\x1b\[0m\x1b\[\d+D/g;
/** Colours, positions, parts of the screen that are wiped. */
// oxlint-disable-next-line no-control-regex
const CONTROLS = /\x1b\[[0-9;?]*[A-Za-z]/g;

export class TypedTerminal {
  readonly #child: ChildProcess;
  #shown = '';
  /** Everything before this was waited for. */
  #seen = 0;
  #woken: () => void = () => {};

  constructor(
    program: readonly string[],
    options: { readonly cwd?: string; readonly env: NodeJS.ProcessEnv },
  ) {
    this.#child = spawn('python3', [SCRIPT, ...program], { ...options, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdout!.setEncoding('latin1').on('data', (text: string) => {
      this.#shown += text;
      this.#woken();
    });
    this.#child.stdout!.on('close', () => this.#woken());
  }

  /** What was shown, without hints and without what places and colours it. */
  get screen(): string {
    return this.#shown.replaceAll(HINTS, '').replaceAll(CONTROLS, '').replaceAll('\r', '');
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys, 'latin1');
  }

  /** Waits until `text` is shown behind what was waited for before. */
  async shows(text: string): Promise<void> {
    await this.#until(text, () => {
      const at = this.screen.indexOf(text, this.#seen);
      if (at !== -1) this.#seen = at + text.length;
      return at !== -1;
    });
  }

  /** Waits until `text` has stood behind the cursor. */
  async hints(text: string): Promise<void> {
    await this.#until(`the hint ${text}`, () => this.#shown.includes(`\x1b[90m${text}\x1b[0m`));
  }

  async #until(what: string, isSo: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isSo()) {
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(
          `waited ${PATIENCE_MS} ms for ${JSON.stringify(what)}; the screen:\n${this.screen.slice(this.#seen)}`,
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#woken = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** The exit code of the program. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    return this.#child.exitCode;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
