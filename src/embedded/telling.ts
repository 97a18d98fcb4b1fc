/**
 * What the program is to hear of writes, in order. It may write, read and close when it hears something, so it hears it
 * between writes only; and what comes of that is told when all have heard what was before.
 */
export class Telling {
  #untold: (() => void)[] = [];
  #told = 0;
  #telling = false;
  #over = false;
  /** Whether writes that belong together are under way: nothing is told in the middle of them. */
  held = false;

  /** Something happened; `tell` calls who wants to hear of it. */
  add(tell: () => void): void {
    this.#untold.push(tell);
  }

  /** Tells what was not told yet. What the program throws then is its own affair, and no word about the write. */
  tell(): void {
    if (this.#untold.length === 0 || this.#telling || this.#over || this.held) return;
    this.#telling = true;
    while (this.#told < this.#untold.length) {
      try {
        this.#untold[this.#told++]?.();
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.#telling = false;
    this.#untold = [];
    this.#told = 0;
  }

  /** The end: tells what was not told yet, in the middle of telling, too, and nothing from then on. */
  end(): void {
    this.#telling = false;
    this.tell();
    this.#over = true;
  }
}
