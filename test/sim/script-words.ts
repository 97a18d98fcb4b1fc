/** How the commands of golden scripts are read: word by word, with errors that say what is missing or makes no sense. */

/** The words of one command, read from left to right. */
export class Words {
  private at = 0;
  private readonly words: readonly string[];

  constructor(line: string) {
    this.words = line.split(/\s+/).filter((word) => word !== '');
  }

  get done(): boolean {
    return this.at >= this.words.length;
  }

  peek(): string {
    return this.words[this.at] ?? '';
  }

  next(what: string): string {
    const word = this.words[this.at];
    if (word === undefined) throw new Error(`${what} is missing`);
    this.at += 1;
    return word;
  }

  /** Whether these words come next; then they are read. */
  take(...expected: readonly string[]): boolean {
    if (!expected.every((word, offset) => this.words[this.at + offset] === word)) return false;
    this.at += expected.length;
    return true;
  }

  /** What follows after this word, which has to come next. */
  after(word: string): this {
    if (!this.take(word)) throw new Error(`${word} is missing`);
    return this;
  }

  number(what: string): number {
    const word = this.next(what);
    const value = Number(word);
    if (Number.isNaN(value)) throw new Error(`${what}: ${word} is no number`);
    return value;
  }

  /** Of `5ms`, `1..20ms`, `0.5s`: the shortest and the longest. */
  durations(): { minMs: number; maxMs: number } {
    const word = this.next('a duration');
    const [, low, high, unit] = /^(?:([\d.]+)\.\.)?([\d.]+)(ms|s|min|h)$/.exec(word) ?? [];
    const scale = unit === undefined ? undefined : { ms: 1, s: 1000, min: 60_000, h: 3_600_000 }[unit];
    if (scale === undefined || high === undefined)
      throw new Error(`${word} is no duration like 5ms, 0..3ms, 2s or 1h`);
    return { minMs: Number(low ?? high) * scale, maxMs: Number(high) * scale };
  }

  duration(): number {
    return this.durations().maxMs;
  }

  end(): void {
    if (!this.done) throw new Error(`"${this.words.slice(this.at).join(' ')}" makes no sense here`);
  }
}

/** `c1..c3` is c1, c2, c3. */
export function expanded(name: string): string[] {
  const [, stem, first, last] = /^([a-z]+)(\d+)\.\.\1(\d+)$/.exec(name) ?? [];
  if (stem === undefined) return [name];
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => `${stem}${Number(first) + at}`);
}
