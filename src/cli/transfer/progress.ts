/** How far a long work is, in one line of a terminal that is written over; nothing where nobody looks. */
import { clearLine, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';

const INTERVAL_MS = 100;
const BAR_CHARACTERS = 24;

export class Progress {
  readonly #out: WriteStream;
  readonly #what: string;
  /** 0 where it is not known. */
  readonly #total: number;
  readonly #start: number = performance.now();
  #done = 0;
  #items = 0;
  #drawn = 0;

  /** `total`: bytes, or whatever {@link Progress.advance} counts. `unit`: what items are. */
  constructor(what: string, total: number, out: WriteStream = process.stderr) {
    this.#what = what;
    this.#total = total;
    this.#out = out;
  }

  advance(done: number, items: number): void {
    this.#done += done;
    this.#items += items;
    if (!this.#out.isTTY) return;
    const now = performance.now();
    if (now - this.#drawn < INTERVAL_MS) return;
    this.#drawn = now;
    cursorTo(this.#out, 0);
    this.#out.write(this.line((now - this.#start) / 1000).slice(0, Math.max(0, this.#out.columns - 1)));
    clearLine(this.#out, 1);
  }

  /** Takes the line away. */
  end(): void {
    if (!this.#out.isTTY || this.#drawn === 0) return;
    cursorTo(this.#out, 0);
    clearLine(this.#out, 0);
  }

  /** As it is after so many seconds. */
  line(seconds: number): string {
    const rate = seconds > 0 ? `  ${Math.round(this.#items / seconds)} a second` : '';
    const items = `${this.#items}${rate}`;
    if (this.#total === 0) return `${this.#what}  ${items}`;
    const part = Math.min(1, this.#done / this.#total);
    const filled = Math.round(part * BAR_CHARACTERS);
    const bar = `${'#'.repeat(filled)}${'.'.repeat(BAR_CHARACTERS - filled)}`;
    return `${this.#what} [${bar}] ${Math.floor(part * 100)} %  ${items}`;
  }
}
